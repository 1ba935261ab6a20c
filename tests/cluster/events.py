#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Events are for what went wrong: a Runtime that starts, Runs and Workflows that do as they should leave none; a lost pod leaves one."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *

s = Suite()
install()
ns = Space('events')
flows = GROUP + '/namespaces/events/workflows'


def ours():
    """Events about our kinds, or of our making about anything."""
    return [(e['type'], e['reason'], e['involvedObject']['kind'], e['involvedObject'].get('name')) for e in ns.items(ns.core + '/events')
            if e['involvedObject'].get('apiVersion', '').startswith('kruntimes.io/') or e.get('source', {}).get('component', '').startswith('kruntimes')]


ns.runtime('bash')
s.check('the Runtime gets Ready', ns.wait_ready('bash'), json.dumps(ns.runtime_status('bash')))
NORMAL = {
    'short': dict(args=['true']),
    'long': dict(args=['sleep 2']),
    'outputs': dict(args=['echo k=v >>$KRUNTIME_OUTPUTS']),
    'script': dict(source={'inline': 'echo $1'}, args=['x']),
    'timed': dict(args=['true'], timeoutSeconds=30),
    'labelled': dict(args=['true'], priority=5, ttlSecondsAfterFinished=3600),
    'shared': dict(args=['true'], workspace={'name': 'w'}),
}
for name, spec in NORMAL.items():
    ns.submit(name, **spec)
ends = ns.wait_runs(NORMAL, 60, 0.1)
s.equal('Runs of each kind succeed', {n: r.get('status', {}).get('phase') for n, r in ends.items()}, dict.fromkeys(NORMAL, 'Succeeded'))
jobs = {'a': {'runs-on': 'bash', 'steps': [{'name': 'one', 'run': 'echo k=v >>$KRUNTIME_OUTPUTS'}, {'name': 'two', 'run': 'true'}], 'outputs': {'k': '${{ steps.one.outputs.k }}'}},
        'b': {'runs-on': 'bash', 'needs': ['a'], 'steps': [{'name': 'three', 'run': '[ "${{ jobs.a.outputs.k }}" = v ]'}]}}
code, answer = ns.api.call('POST', flows, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': 'flow'}, 'spec': {'jobs': jobs}})
s.equal('the Workflow is accepted', code, 201)
phase = lambda: ns.get(flows + '/flow').get('status', {}).get('phase')
until(lambda: phase() in ('Succeeded', 'Failed', 'Cancelled'), 60)
s.equal('a Workflow succeeds', (phase(), ns.get(flows + '/flow').get('status', {}).get('message')), ('Succeeded', None))
kubectl('delete', 'run', 'short', '-n', ns.name)
s.equal('and there is no Event of all that', ours(), [])

# the other way round, so that an Event would have been seen
ns.submit('lost', ['[ $KRUNTIME_ATTEMPT = 2 ] || sleep 300'], retryPolicy={'maxAttempts': 2, 'backoff': '10ms'})
until(lambda: ns.run_status('lost').get('phase') == 'Running', 20)
ns.api.call('DELETE', ns.core + '/pods/' + ns.run_status('lost')['assignedPod'] + '?gracePeriodSeconds=0')
s.equal('a Run whose pod is lost is tried again', ns.finished('lost', 90).get('phase'), 'Succeeded')
s.equal('and its Event is the only one', until(ours, 20), [('Warning', 'PodLost', 'Run', 'lost')])
if s.failed:
    print(ns.why())
ns.delete()
s.end()
