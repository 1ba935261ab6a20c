#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kruntimes manifests --uninstall: our kinds go before what handles them, and what hangs stops it before anything else goes."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
ROLE = '/apis/rbac.authorization.k8s.io/v1/clusterroles/kruntimes-controller'
LIST = '/apis/kruntimes.io/v1alpha1/'
with instance() as i:
    uninstall = lambda *args: i.cli('manifests', '--uninstall', '--kubeconfig', os.path.join(i.state, 'kubeconfig'), *args)
    left = lambda: {kind: len(i.api.call('GET', LIST + kind)[1]['items']) for kind in ('runs', 'runtimes', 'workflows')}
    for n in range(3):
        i.api.call('POST', RUNS, run_object('r%d' % n, ['true']))
    i.wait(['r0', 'r1', 'r2'])
    i.api.call('POST', RUNS, run_object('waits', ['true'], runtime='none'))
    i.api.call('POST', RUNS, dict(run_object('held', ['true'], runtime='none'), metadata={'name': 'held', 'finalizers': ['example.com/mine']}))

    dry = uninstall('--dry-run')
    s.equal('a dry run ends well', (dry.returncode, dry.stderr), (0, ''))
    s.check('it says what would go', 'runtimes/bash in default would be deleted' in dry.stdout and ROLE + ' would be deleted' in dry.stdout, dry.stdout)
    s.equal('and deletes nothing', left(), {'runs': 5, 'runtimes': 1, 'workflows': 0})

    stuck = uninstall('--timeout', '1s')
    s.check('what hangs stops it', stuck.returncode != 0 and '"held" in "default" is still being deleted' in stuck.stderr, stuck.stderr)
    s.equal('the Runtime is gone, with its pods', (left()['runtimes'], i.api.call('GET', '/api/v1/pods')[1]['items']), (0, []))
    s.equal('the rights of those who could help are not', i.api.call('GET', ROLE)[0], 200)
    i.api.call('PATCH', RUNS + '/held', {'metadata': {'finalizers': None}}, 'application/merge-patch+json')

    kept = uninstall('--keep-control-plane')
    s.equal('nothing of ours is left', (kept.returncode, left()), (0, {'runs': 0, 'runtimes': 0, 'workflows': 0}))
    s.equal('the control plane is', i.api.call('GET', ROLE)[0], 200)

    done = uninstall()
    s.equal('the rest goes', (done.returncode, done.stderr), (0, ''))
    s.equal('with its roles', [i.api.call('GET', ROLE.replace('controller', n))[0] for n in ('controller', 'scheduler', 'viewer')], [404, 404, 404])
    again = uninstall()
    s.equal('twice is as good as once', (again.returncode, again.stdout, again.stderr), (0, '', ''))
    wrong = i.cli('manifests', '--dry-run')
    s.check('--dry-run alone is refused', wrong.returncode == 1 and 'belong to --uninstall' in wrong.stderr, wrong.stderr)
s.end()
