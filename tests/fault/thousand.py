#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""1,000 Runs submitted at once over 2 pods of 16 slots: none lost, none executed twice, slots never exceeded."""
import collections, concurrent.futures, os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

RUN_COUNT, SLOTS = 1000, 16
s = Suite()
with instance() as i:
    i.api.call('PATCH', RUNTIMES + '/bash', {'spec': {'isolation': 'Process', 'capacity': {'resources': {'runs': SLOTS}}}}, 'application/merge-patch+json')
    until = time.monotonic() + 30
    while time.monotonic() < until:
        status = i.api.call('GET', RUNTIMES + '/bash')[1].get('status', {})
        if status.get('capacity', {}).get('runs') == 2 * SLOTS and status.get('readyReplicas') == 2 and status.get('replicas') == 2:
            break
        time.sleep(0.05)      # the new pods come, the old ones go: status tells
    journal = os.path.join(i.dir, 'journal')       # of all Runs, hence isolation Process
    # One O_APPEND write each: begin, and end after some work. /proc/uptime is one clock for all.
    script = ('read up _ < /proc/uptime; echo "begin $KRUNTIME_RUN_UID $up ${KRUNTIME_WORKSPACE%%/workspace/*}" >> %s; sleep 0.0$((RANDOM %% 9 + 1)); '
              'read up _ < /proc/uptime; echo "end $KRUNTIME_RUN_UID $up" >> %s') % (journal, journal)
    names = ['r%04d' % n for n in range(RUN_COUNT)]

    def submit(part):
        api = Api(os.path.join(i.state, 'kubeconfig'))
        return [api.call('POST', RUNS, run_object(name, [script]))[0] for name in part]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        codes = [c for part in pool.map(submit, [names[k::16] for k in range(16)]) for c in part]
    s.equal('all are accepted', collections.Counter(codes), {201: RUN_COUNT})
    runs = i.wait(set(names), 180)
    s.equal('none is lost', len(runs), RUN_COUNT)
    s.equal('all succeed', collections.Counter(r.get('status', {}).get('phase') for r in runs.values()), {'Succeeded': RUN_COUNT})
    events = [line.split() for line in open(journal)]
    begins = collections.Counter(e[1] for e in events if e[0] == 'begin')
    s.equal('each began once', (len(begins), set(begins.values())), (RUN_COUNT, {1}))
    s.equal('each ended once', set(collections.Counter(e[1] for e in events if e[0] == 'end').values()), {1})
    pod_of = {e[1]: e[3] for e in events if e[0] == 'begin'}
    busy, most = collections.Counter(), collections.Counter()
    for e in events:          # in the order in which they were written
        pod = pod_of[e[1]]
        busy[pod] += 1 if e[0] == 'begin' else -1
        most[pod] = max(most[pod], busy[pod])
    s.check('slots are never exceeded', all(n <= SLOTS for n in most.values()), str(most))
    s.check('both pods are used', len(most) == 2, str(most))
    s.check('attempts stay at 1', all(r['status'].get('attempt') == 1 for r in runs.values() if 'status' in r))
    if s.failed:
        print(i.logs())
s.end()
