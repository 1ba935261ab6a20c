#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drains that meet something else: a runtimed that was just restarted and can't ask what is its own, and the end of an attempt that
can't be told. Nothing is begun on a pod that drains, what runs there may end, and nothing is executed twice for it."""
import os, subprocess, sys, tempfile
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *
import handmade

s = Suite()
until = within(30)


class Drained:
    """A pod whose runtimed reaches the API through a proxy. Its Runs note each beginning, and end when they are let go."""
    def __init__(self, i, top, name, *more):
        self.i, self.name, self.place, self.port = i, name, os.path.join(top, name), handmade.free_port()
        self.proxy = handmade.Proxy(i)
        handmade.make_runtime(i, name)
        self.server = handmade.our_server(self.place, self.port)
        self.pod = handmade.Pod(i, name, name, self.port, self.place, kubeconfig=self.proxy.kubeconfig, more=more)
        self.gate = Gate(self.place + '/gate')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in (self.pod.daemon, self.server):      # no-one else ends them where a check has raised
            p.kill()
            p.wait()

    def submit(self, run, end='true', **spec):
        script = 'echo %s $KRUNTIME_ATTEMPT >> %s/begun; %s; %s' % (run, self.place, self.gate.at, end)
        s.equal(run + ' is accepted', self.i.api.call('POST', RUNS, run_object(run, [script], runtime=self.name, **spec))[0], 201)

    def status(self, run):
        return self.i.api.call('GET', RUNS + '/' + run)[1].get('status', {})

    def reaches(self, run, phase):
        s.check('%s: %s' % (run, phase), until(lambda: self.status(run).get('phase') == phase), json.dumps(self.status(run)))
        return self.status(run)

    def begun(self):
        return open(self.place + '/begun').read().split('\n')[:-1]

    def logged(self, text, times=1):
        s.check('%s: its log: %s' % (self.name, text), until(lambda: open(self.pod.log).read().count(text) >= times), open(self.pod.log).read())

    def not_ready(self):
        """So that nothing more is assigned."""
        self.i.api.call('PATCH', handmade.PODS + '/%s/status' % self.name, {'status': {'conditions': [{'type': 'Ready', 'status': 'False'}]}}, handmade.MERGE)

    def restart(self):
        """runtimed dies, and the next one doesn't reach the API."""
        self.proxy.cut()
        self.pod.daemon.kill()
        self.pod.daemon.wait()
        self.pod.start()
        self.logged('runtimed is ready', 2)

    def hands_back(self, run, what, attempt):
        """It drains, and the API is there again: the Run is for another pod."""
        self.pod.daemon.terminate()
        self.logged(' draining ')
        self.proxy.cut(False)
        st = self.reaches(run, 'Pending')
        s.equal('%s: %s' % (run, what), (st.get('attempt'), st.get('assignedPod')), (attempt, None))

    def ends(self):
        s.equal(self.name + ': runtimed ends', self.pod.daemon.wait(20), 0)
        self.server.terminate()
        self.server.wait(20)


def before_the_first_list(i, top):
    with Drained(i, top, 'listless') as p:
        p.submit('runs', retryPolicy={'maxAttempts': 1})
        p.reaches('runs', 'Running')
        p.proxy.cut()
        p.submit('waits')
        p.reaches('waits', 'Scheduled')
        p.not_ready()
        p.restart()
        p.hands_back('waits', 'at no cost', 1)
        p.gate.open()
        st = p.reaches('runs', 'Succeeded')
        s.equal('runs: at its first attempt', st.get('attempt'), 1)
        p.ends()
        s.equal('begun before the first list', p.begun(), ['runs 1'])


def late_before_the_first_list(i, top):
    with Drained(i, top, 'late', '--drain-grace', '10s') as p:      # what still runs is told to end at once
        p.submit('outlasts', retryPolicy={'maxAttempts': 1})
        p.reaches('outlasts', 'Running')
        p.not_ready()
        p.restart()
        s.equal('the drain begins', subprocess.run([BINARY, 'runtimed', '--drain', '--state', p.place + '/st']).returncode, 0)
        p.proxy.cut(False)
        s.equal('outlasts: why', p.reaches('outlasts', 'Failed').get('reason'), 'PodDrained')
        p.pod.daemon.terminate()
        p.ends()
        s.equal('begun when it was late', p.begun(), ['outlasts 1'])


def while_a_retry_is_told(i, top):
    with Drained(i, top, 'untold') as p:
        p.submit('fails', 'exit 3', retryPolicy={'maxAttempts': 2, 'backoff': '60s'})      # which isn't waited for
        p.reaches('fails', 'Running')
        p.not_ready()
        p.proxy.cut()
        p.gate.open()
        p.logged('a status could not be written')
        p.hands_back('fails', 'its next attempt is for another pod', 2)
        p.ends()
        s.equal('begun while a retry was told', p.begun(), ['fails 1'])


with instance() as i, tempfile.TemporaryDirectory(prefix='kr-drains-') as top:
    before_the_first_list(i, top)
    late_before_the_first_list(i, top)
    while_a_retry_is_told(i, top)
    if s.failed:
        print(i.logs())
s.end()
