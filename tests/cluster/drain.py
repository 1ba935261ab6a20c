#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An edited Runtime rolls over while a Run is in flight on its old pod, for as long as that takes: with KR_LONG=1 six minutes.

The template says no grace: what the controller puts there has to be enough. New Runs go to the new pod meanwhile.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *

SECONDS = 360 if os.environ.get('KR_LONG') else 20
s = Suite()
install()
ns = Space('drain')


def template(generation):
    return {'spec': {'containers': [{'name': 'runtime', 'image': 'localhost/bash:1', 'imagePullPolicy': 'IfNotPresent', 'env': [{'name': 'GENERATION', 'value': generation}]}]}}


def outcome(name):
    st = ns.run_status(name)
    return st.get('phase'), st.get('attempt'), st.get('assignedPod'), st.get('outputs')


ns.runtime('bash', template=template('1'))
s.check('the Runtime gets Ready', ns.wait_ready('bash'), json.dumps(ns.runtime_status('bash')))
SAY = 'echo generation=$GENERATION >>$KRUNTIME_OUTPUTS'
begin = time.monotonic()
ns.submit('long', ['sleep %d; ' % SECONDS + SAY])
s.check('a long Run executes', until(lambda: ns.run_status('long').get('phase') == 'Running', 20), json.dumps(ns.run_status('long')))
old = ns.run_status('long')['assignedPod']
ns.runtime('bash', template=template('2'))
fresh = lambda: [p['metadata']['name'] for p in ns.pods('bash') if p['metadata']['name'] != old and not p['metadata'].get('deletionTimestamp') and
                 any(c['type'] == 'Ready' and c['status'] == 'True' for c in p.get('status', {}).get('conditions', []))]
s.check('a new pod comes', until(fresh, 90), kubectl('get', 'pods', '-n', ns.name))
new = (fresh() or [''])[0]
n = 0
while time.monotonic() < begin + SECONDS - 5:      # all the while: one Run after the other, each to the new pod
    ns.submit('meanwhile-%d' % n, [SAY])
    ns.finished('meanwhile-%d' % n)
    if not s.equal('meanwhile %d' % n, outcome('meanwhile-%d' % n), ('Succeeded', 1, new, {'generation': '2'})):
        break
    s.check('and the old pod stays', ns.get(ns.core + '/pods/' + old).get('metadata', {}).get('deletionTimestamp') and ns.run_status('long').get('phase') == 'Running',
            json.dumps(ns.run_status('long')))
    n += 1
    time.sleep(max(0, min(15, begin + SECONDS - 5 - time.monotonic())))      # the length of the drain is what is tried
ns.finished('long', SECONDS)
s.equal('the long Run ends where and as it began', outcome('long'), ('Succeeded', 1, old, {'generation': '1'}))
s.check('then the old pod goes', until(lambda: not ns.get(ns.core + '/pods/' + old), 60), kubectl('get', 'pods', '-n', ns.name, check=False).stdout)
print('a drain of %d s, %d Runs meanwhile' % (time.monotonic() - begin, n))
if s.failed:
    print(ns.why())
ns.delete()
s.end()
