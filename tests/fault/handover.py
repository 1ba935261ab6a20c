#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two controllers and two schedulers, each with a Lease and the rights of an installation: the leader is stopped, killed, or
ends in order under load, and the other takes over. No Run is lost, none is executed twice, and who comes back too late ends.
"""
import os, signal, sys, tempfile
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
import exposition
from parts import *

COMPONENTS = ('controller', 'scheduler')
s = Suite()


def other(name):
    return name[:-1] + ('b' if name[-1] == 'a' else 'a')


def hand_over(c, how, sig):
    """Sends sig to both leaders under load; the stand-bys take over. Returns who led."""
    before = {x: c.holder(x) for x in COMPONENTS}
    names = c.submit(how + '-1', 20)
    for x in COMPONENTS:
        c.parts[before[x]].send_signal(sig)
    names += c.submit(how + '-2', 20)
    for x in COMPONENTS:
        c.until('%s: the other %s takes over' % (how, x), lambda: c.holder(x) == other(before[x]))
    c.wait(names + c.submit(how + '-3', 20))
    return before


def main():
    with tempfile.TemporaryDirectory(prefix='kr-test-') as folder:
        c = Cluster(s, folder)
        try:
            for x in COMPONENTS:
                for which in 'ab':
                    c.start_component(x, '%s-%s' % (x, which))
            for x in COMPONENTS:
                c.until('a %s leads' % x, lambda: c.holder(x))
                lead = c.holder(x)
                c.until('who leads is ready', lambda: c.page(lead, '/readyz')[0] == 200)
                s.equal('a stand-by is ready', c.page(other(lead), '/readyz')[0], 200)
                s.equal('both are alive', [c.page(n, path)[0] for n in (lead, other(lead)) for path in ('/livez', '/healthz')], [200] * 4)
                status, text = c.page(lead, '/metrics', 'metrics')
                s.equal('%s: a scraper reads its metrics' % x, (status, exposition.faults(text)), (200, []))
                s.check('and there are some', text.count('# TYPE') > 5 and c.type.startswith(('text/plain; version=0.0.4', 'application/openmetrics-text')), c.type)
            s.equal('a Runtime', c.api.call('POST', RUNTIMES, {
                'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': 'bash'},
                'spec': {'replicas': 2, 'server': 'Injected', 'capacity': {'resources': {'runs': 4}},
                         'template': {'spec': {'terminationGracePeriodSeconds': 30, 'containers': [{'name': 'runtime', 'image': 'local'}]}}}})[0], 201)
            c.wait(c.submit('first', 10))

            # ends in order: the Lease is given up, nobody has to wait for it to run out
            before = hand_over(c, 'term', signal.SIGTERM)
            for x in COMPONENTS:
                s.equal('%s ended in order' % x, c.parts[before[x]].wait(DEADLINE), 0)
                c.start_component(x, before[x])

            # stopped for longer than the Lease: who comes back has lost it, and ends before it writes anything
            before = hand_over(c, 'stop', signal.SIGSTOP)
            for x in COMPONENTS:
                c.parts[before[x]].send_signal(signal.SIGCONT)
                s.check('%s came back too late and ends' % x, c.parts[before[x]].wait(DEADLINE) != 0)
                log = open(os.path.join(folder, before[x] + '.log')).read()
                s.check('%s says why' % x, 'could not be renewed in time' in log, log[-500:])
                c.start_component(x, before[x])

            before = hand_over(c, 'kill', signal.SIGKILL)
            forbidden = [n for n in c.parts if 'is forbidden' in open(os.path.join(folder, n + '.log'), errors='replace').read()]
            lead = {x: c.holder(x) for x in COMPONENTS}
            c.parts['apiserver'].kill()
            for x, cause in (('controller', 'nodes: the watch is interrupted'), ('scheduler', 'runs: the watch is interrupted')):
                c.until('%s without an API is not ready, and says why' % x, lambda: (lambda status, why: status == 503 and cause in why)(*c.page(lead[x], '/readyz')))
                s.equal('%s without an API is alive' % x, c.page(lead[x], '/livez')[0], 200)
            s.equal('nothing was asked for that an installation does not grant', forbidden, [])
        finally:
            c.stop()
    s.end()


main()
