#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Roles on the embedded API server: the rows of kit/roles.py, and that controller and scheduler of an instance really are
the accounts of an installation: whatever the other suites of this folder do is done with those rights.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
import fakeapi, handmade, roles
from local import *

s = Suite()
with instance() as i:
    roles.check(s, i.api)
    for name in ('controller', 'scheduler'):
        kubeconfig = os.path.join(i.state, 'kubeconfig-' + name)
        api = Api(kubeconfig)
        status, answer = api.call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews',
                                  {'apiVersion': 'authentication.k8s.io/v1', 'kind': 'SelfSubjectReview'})
        s.equal('%s is its account' % name, answer.get('status', {}).get('userInfo', {}).get('username'),
                'system:serviceaccount:kruntimes-system:kruntimes-' + name)
        s.equal('%s reads no secrets' % name, api.call('GET', '/api/v1/secrets')[0], 403)
        argv = [open('/proc/%d/cmdline' % pid).read().split('\0') for pid in i.pids(name)]
        s.equal('the process has that kubeconfig', [kubeconfig in a for a in argv], [True])
        s.check('its file is its own', os.stat(kubeconfig).st_mode & 0o077 == 0)
    # runtimed is not shown what other pods have to do
    seen = [('GET /apis/kruntimes.io/v1alpha1/namespaces/default/runs', (200, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'RunList', 'metadata': {'resourceVersion': '1'}, 'items': []}))]
    with fakeapi.Fake(i.dir, dict(seen)) as fake:
        handmade.make_runtime(i, 'alone')
        pod = handmade.Pod(i, 'alone', 'narrow', handmade.free_port(), os.path.join(i.dir, 'narrow'), kubeconfig=fake.kubeconfig)
        end = time.monotonic() + DEADLINE
        while not any('watch=' in asked for asked in fake.asked) and time.monotonic() < end:
            time.sleep(0.01)      # nothing tells when it asks but looking
        s.check('runtimed asks for the Runs of its pod', fake.asked and all('fieldSelector=status.assignedPod%3Dnarrow' in asked for asked in fake.asked), fake.asked[:5])
        s.equal('and ends when told', pod.stop(), 0)

    s.equal('a Run succeeds', i.cli('run', 'submit', '--runtime', 'bash', '--wait', '--', 'true').returncode, 0)
    said = i.logs()
    s.check('nothing is forbidden', 'is forbidden' not in said, said)
s.end()
