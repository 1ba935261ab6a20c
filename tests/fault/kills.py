#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of every component at random moments under load: each Run reaches exactly one right terminal phase."""
import os, random, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

SEED = int(os.environ.get('KR_SEED', '20261124'))
ROUNDS, PER_ROUND = 20, 12
VICTIMS = ('apiserver', 'scheduler', 'controller', 'runtimed', 'runtime-server')
s = Suite()
rnd = random.Random(SEED)

with instance() as i:
    i.api.call('PATCH', RUNTIMES + '/bash', {'spec': {'capacity': {'resources': {'runs': 8}}}}, 'application/merge-patch+json')
    phases = Phases(os.path.join(i.state, 'kubeconfig'))
    wanted = {}
    for n in range(ROUNDS):
        acknowledged, moment = [], rnd.randrange(PER_ROUND)
        for k in range(PER_ROUND):
            name = 'k%02d-%02d' % (n, k)
            fails = k % 6 == 5
            body = run_object(name, ['sleep 0.0%d; exit %d' % (rnd.randint(1, 9), 5 if fails else 0)],
                              retryPolicy={'maxAttempts': 1 if fails else 20, 'backoff': '20ms'})
            status, answer = i.api.call('POST', RUNS, body, retry=True)
            if s.check('%s is accepted' % name, status in (201, 409), '%s %s' % (status, answer)):
                wanted[name] = fails
                acknowledged.append(name)
            if k == moment:
                until, which = time.monotonic() + DEADLINE, rnd.randrange(4)
                while not i.kill(VICTIMS[n % len(VICTIMS)], which) and time.monotonic() < until:
                    time.sleep(0.01)      # it was killed in the round before last, and is being started again
                s.check('round %d: %s is killed' % (n, VICTIMS[n % len(VICTIMS)]), time.monotonic() < until)
            time.sleep(rnd.random() / 50)      # spreads the load around the moment of the kill
        for name in acknowledged:
            status, _ = i.api.call('GET', RUNS + '/' + name, retry=True)
            s.check('%s is still there' % name, status == 200, str(status))
    runs = i.wait(set(wanted), 120)
    phases.settle(wanted)
    s.equal('each is terminal', sorted(n for n in wanted if runs.get(n, {}).get('status', {}).get('phase') not in TERMINAL), [])
    for name, fails in wanted.items():
        status = runs.get(name, {}).get('status', {})
        if fails:            # one attempt: its own failure, or told as lost
            right = status.get('phase') == 'Failed' and status.get('reason') in ('ExitCode', 'ExecutionLost', 'PodLost')
        else:
            right = status.get('phase') == 'Succeeded'
        s.check('%s ends right' % name, right, '%s %s' % (status.get('phase'), status.get('reason')))
        s.check('%s has one terminal phase' % name, phases.one_end(name), str(phases.of[name]))
    if s.failed:
        print('KR_SEED=%d' % SEED)
        print(i.logs())
s.end()
