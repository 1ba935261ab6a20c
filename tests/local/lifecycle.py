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
    kept = {}
    for container, file in (('runtimed', 'runtimed.log'), ('runtime', 'runtime-server.log')):
        kept[container] = open(os.path.join(i.state, 'pods', uid, file)).read()
        status, got = text(i.api, '%s/%s/log?container=%s' % (PODS, pod, container))
        s.equal(container + ': status', status, 200)
        s.check(container + ': begins as the file does', bool(kept[container]) and got.startswith(kept[container]), repr(got[:200]))
    s.equal('one line', text(i.api, '%s/%s/log?container=runtimed&tailLines=1' % (PODS, pod))[1].count('\n'), 1)
    for container, file in (('runtimed', 'runtimed.log'), ('runtime', 'runtime-server.log')):
        previous = lambda: text(i.api, '%s/%s/log?container=%s&previous=true' % (PODS, pod, container))
        s.equal(container + ': it was not started again', (previous()[0], 'previous terminated container \\"%s\\" in pod \\"%s\\" not found' % (container, pod) in previous()[1]), (400, True))
        for pid in i.pids(file.removesuffix('.log')):
            os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + DEADLINE
        while previous()[0] == 400 and time.monotonic() < end:
            time.sleep(0.05)
        status, before = previous()
        s.equal(container + ': started again, its log before', (status, before.startswith(kept[container])), (200, True))
        s.check(container + ': the new one\'s does not go on there', not text(i.api, '%s/%s/log?container=%s' % (PODS, pod, container))[1].startswith(kept[container]))
    s.equal('no such pod', text(i.api, PODS + '/nobody/log')[0], 404)
    nobody = i.api.as_user({'Authorization': 'Bearer wrong'})
    s.equal('a stranger is not told', text(nobody, '%s/%s/log' % (PODS, pod))[0], 401)
    names = [r['name'] for r in i.api.call('GET', '/api/v1')[1]['resources']]
    s.check('discovery names it', 'pods/log' in names, str(names))
s.end()
