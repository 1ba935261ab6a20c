#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Logs of pods, read through the API server of a local instance from what the node's processes wrote."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

PODS = '/api/v1/namespaces/default/pods'
s = Suite()


def text(api, path):
    c = api.open()
    c.request('GET', path, headers=api.headers)
    answer = c.getresponse()
    return answer.status, answer.read().decode(errors='replace')


with instance() as i:
    i.api.call('POST', RUNS, run_object('one', ['echo hello']))
    s.equal('a run ends', i.wait(['one'])['one'].get('status', {}).get('phase'), 'Succeeded')
    pod = i.api.call('GET', RUNS + '/one')[1]['status']['assignedPod']
    uid = i.api.call('GET', PODS + '/' + pod)[1]['metadata']['uid']
    for container, file in (('runtimed', 'runtimed.log'), ('runtime', 'runtime-server.log')):
        kept = open(os.path.join(i.state, 'pods', uid, file)).read()
        status, got = text(i.api, '%s/%s/log?container=%s' % (PODS, pod, container))
        s.equal(container + ': status', status, 200)
        s.check(container + ': begins as the file does', bool(kept) and got.startswith(kept), repr(got[:200]))
    s.equal('one line', text(i.api, '%s/%s/log?container=runtimed&tailLines=1' % (PODS, pod))[1].count('\n'), 1)
    s.equal('what went before a restart is refused', text(i.api, '%s/%s/log?previous=true' % (PODS, pod))[0], 400)
    s.equal('no such pod', text(i.api, PODS + '/nobody/log')[0], 404)
    nobody = i.api.as_user({'Authorization': 'Bearer wrong'})
    s.equal('a stranger is not told', text(nobody, '%s/%s/log' % (PODS, pod))[0], 401)
    names = [r['name'] for r in i.api.call('GET', '/api/v1')[1]['resources']]
    s.check('discovery names it', 'pods/log' in names, str(names))
s.end()
