#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""500 Workflows of 10 steps at once (KR_FLOWS says another number): all end well; what the controller took is printed."""
import os, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

FLOWS = '/apis/kruntimes.io/v1alpha1/namespaces/default/workflows'
N, LIMIT = int(os.environ.get('KR_FLOWS', '500')), 900

s = Suite()
with instance() as i:
    begin = time.monotonic()
    jobs = {'a': {'runs-on': 'bash', 'steps': [{'name': 's%d' % k, 'run': 'echo %d >> n; [ $(wc -l < n) = %d ]' % (k, k + 1)} for k in range(10)]}}
    for n in range(N):
        code, answer = i.api.call('POST', FLOWS, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': 'w%d' % n}, 'spec': {'jobs': jobs}})
        if code != 201:
            s.check('created w%d' % n, False, str(answer))
    phases = {}
    while time.monotonic() < begin + LIMIT:
        listed = i.api.call('GET', FLOWS)[1]['items']
        phases = {w['metadata']['name']: w.get('status', {}).get('phase') for w in listed}
        if all(p in ('Succeeded', 'Failed', 'Cancelled') for p in phases.values()):
            break
        time.sleep(0.5)      # polling on purpose: 500 watches would be the load
    took = time.monotonic() - begin
    s.equal('all have succeeded', sorted(n for n in phases if phases[n] != 'Succeeded'), [])
    runs = i.api.call('GET', RUNS)[1]['items']
    s.equal('each step once', len(runs), N * 10)
    pid = i.pids('controller')[0]
    status, stat = open('/proc/%d/status' % pid).read(), open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()
    print('%d Workflows, %d Runs in %.1f s; controller: %s kB, at most %s kB, %.1f s of CPU' % (
        N, len(runs), took, re.search(r'VmRSS:\s+(\d+)', status).group(1), re.search(r'VmHWM:\s+(\d+)', status).group(1), (int(stat[11]) + int(stat[12])) / os.sysconf('SC_CLK_TCK')))
s.end()
