#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An API server that takes requests and answers none: the scheduler has as many writes under way as it may have, more to decide and a
Run whose wait is to be told. Until it has lost its Lease it waits, and does not turn in a circle.
"""
import os, resource, signal, sys, tempfile
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from parts import *

MANY = 600                                    # more than the scheduler writes at a time
s = Suite()


def cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)      # of those that have been waited for
    return used.ru_utime + used.ru_stime


with tempfile.TemporaryDirectory(prefix='kr-test-') as folder:
    c = Cluster(s, folder)
    try:
        c.start_component('scheduler', 'only')
        c.until('it leads', lambda: c.holder('scheduler'))
        c.until('and is ready', lambda: c.page('only', '/readyz')[0] == 200)
        only = c.parts['only']
        only.send_signal(signal.SIGSTOP)
        made = [c.api.call('POST', RUNS, run_object('cancelled-%d' % n, ['true'], cancelRequested=True))[0] for n in range(MANY)]
        made.append(c.api.call('POST', RUNS, run_object('waits', ['true'], runtime='not-there'))[0])
        s.equal('Runs to be cancelled, and one that waits', made, [201] * (MANY + 1))
        s.equal('the last one is told', c.api.call('GET', RUNS + '/waits')[0], 200)
        c.parts['apiserver'].send_signal(signal.SIGSTOP)
        only.send_signal(signal.SIGCONT)
        before = cpu()
        s.check('it loses its Lease', only.wait(DEADLINE) != 0)
        took = cpu() - before
        c.parts['apiserver'].send_signal(signal.SIGCONT)
        s.check('processor time', took < 0.25, '%.2f s' % took)
        s.check('it had seen the Runs', 'a decision could not be written' in c.logs(), c.logs())
        c.start_component('scheduler', 'only')
        phases = lambda: [r.get('status', {}).get('phase') for r in c.api.call('GET', RUNS)[1]['items']]
        c.until('another one writes all of it', lambda: sorted(map(str, phases())) == ['Cancelled'] * MANY + ['Pending'])
    finally:
        c.stop()
s.end()
