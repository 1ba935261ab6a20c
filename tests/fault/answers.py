#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Answers that get lost: between the API server and everybody who writes to it connections end, by chance, behind a request whose
answer has not come, or before it. Whoever asked can't know whether it was done. No Run is lost, none is executed twice, and each has the
end it would have had. KR_SEED takes another course.
"""
import os, random, selectors, sys, tempfile, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from parts import *

SEED = int(os.environ.get('KR_SEED', '1'))
ENOUGH = 12                                   # of each kind
FLOWS = RUNS.replace('/runs', '/workflows')
s = Suite()


class Lossy:
    """Hands bytes on between its port and the server's. While `loses`, a request now and then, by chance, never arrives, or its answer
    doesn't; either way the connection ends."""
    def __init__(self, port):
        self.port, self.loses, self.lost, self.rnd = port, False, [0, 0], random.Random(SEED)
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.look = selectors.DefaultSelector()
        self.look.register(self.listener, selectors.EVENT_READ)
        self.wake, self.waker = socket.socketpair()
        self.look.register(self.wake, selectors.EVENT_READ)
        self.peers, self.requests, self.doomed = {}, {}, set()
        self.thread = threading.Thread(target=self.turn)
        self.thread.start()

    def begin(self):
        client, _ = self.listener.accept()
        try:
            server = socket.create_connection(('127.0.0.1', self.port))
        except OSError:
            client.close()
            return
        for one, other in ((client, server), (server, client)):
            self.peers[one] = other
            self.look.register(one, selectors.EVENT_READ)
        self.requests[client] = 0

    def end(self, one):
        for x in (one, self.peers.pop(one)):
            self.peers.pop(x, None)
            self.requests.pop(x, None)
            self.doomed.discard(x)
            self.look.unregister(x)
            x.close()

    def hand_on(self, one):
        try:
            got = one.recv(65536)
            if got and one in self.requests:
                self.requests[one] += 1
                if self.loses and self.requests[one] > 8 and self.rnd.random() < 0.12:      # the first are TLS's
                    kind = self.rnd.randrange(2)
                    self.lost[kind] += 1
                    if kind == 0:
                        got = b''
                    else:
                        self.doomed.add(self.peers[one])
            if not got or one in self.doomed:
                return self.end(one)
            self.peers[one].sendall(got)
        except OSError:
            self.end(one)

    def turn(self):
        while True:
            for key, _ in self.look.select():
                if key.fileobj is self.wake:
                    return
                if key.fileobj is self.listener:
                    self.begin()
                elif key.fileobj in self.peers:
                    self.hand_on(key.fileobj)

    def stop(self):
        self.waker.send(b'x')
        self.thread.join()
        for one in list(self.peers):
            if one in self.peers:
                self.end(one)
        self.listener.close()


def submit(c, n, log):
    """Round n, straight at the API server: {name: (phase, exit code, attempt, executions)}."""
    wanted = {}
    def run(name, script, expected, **spec):
        wanted[name] = expected
        s.equal('%s is accepted' % name, c.api.call('POST', RUNS, run_object(name, ['echo %s >> %s; %s' % (name, log, script)], **spec))[0], 201)
    for k in range(24):
        run('plain-%d-%02d' % (n, k), 'true', ('Succeeded', 0, 1, 1))
    for k in range(4):
        run('fails-%d-%d' % (n, k), 'exit 3', ('Failed', 3, 1, 1))
        run('again-%d-%d' % (n, k), 'test "$KRUNTIME_ATTEMPT" = 2', ('Succeeded', 0, 2, 2), retryPolicy={'maxAttempts': 3, 'backoff': '10ms'})
    steps = [{'name': x, 'run': 'echo $KRUNTIME_RUN_NAME >> %s' % log} for x in ('one', 'two')]
    flow = {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': 'flow-%d' % n},
            'spec': {'jobs': {'a': {'runs-on': 'bash', 'steps': steps}, 'b': {'runs-on': 'bash', 'needs': ['a'], 'steps': steps}}}}
    s.equal('flow-%d is accepted' % n, c.api.call('POST', FLOWS, flow)[0], 201)
    return wanted


def main():
    fronts = []
    def front(port):
        fronts.append(Lossy(port))
        return fronts[0].listener.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix='kr-test-') as folder:
        c, log, wanted, rounds = Cluster(s, folder, front), os.path.join(folder, 'executed'), {}, 0
        try:
            for x in ('controller', 'scheduler'):
                c.start_component(x, x)
            s.equal('a Runtime', c.api.call('POST', RUNTIMES, {
                'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': 'bash'},
                'spec': {'replicas': 2, 'server': 'Injected', 'isolation': 'Process', 'capacity': {'resources': {'runs': 4}},
                         'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'local'}]}}}})[0], 201)
            c.until('both pods are ready', lambda: c.api.call('GET', RUNTIMES + '/bash')[1].get('status', {}).get('readyReplicas') == 2)
            items = lambda path: {o['metadata']['name']: o for o in c.api.call('GET', path)[1]['items']}
            is_over = lambda o: o.get('status', {}).get('phase') in TERMINAL
            fronts[0].loses = True
            while rounds < 30 and min(fronts[0].lost) < ENOUGH and not s.failed:
                wanted.update(submit(c, rounds, log))
                rounds += 1
                c.until('round %d is over, though answers are lost' % rounds, lambda: all(map(is_over, (*items(RUNS).values(), *items(FLOWS).values()))), 120)
            fronts[0].loses = False
            s.check('requests and answers were lost', min(fronts[0].lost) >= ENOUGH, fronts[0].lost)
            print('lost: %d requests and %d answers in %d rounds' % (*fronts[0].lost, rounds))
            runs, flows, executed = items(RUNS), items(FLOWS), open(log).read().split()
            for name, (phase, code, attempt, times) in wanted.items():
                r = runs[name].get('status', {})
                s.equal(name, (r.get('phase'), r.get('exitCode'), r.get('attempt'), executed.count(name)), (phase, code, attempt, times))
            s.equal('the Workflows', {n: w.get('status', {}).get('phase') for n, w in flows.items()}, {'flow-%d' % n: 'Succeeded' for n in range(rounds)})
            children = [n for n in runs if n not in wanted]
            s.equal('their Runs', (len(children), {runs[n]['status'].get('phase') for n in children}), (4 * rounds, {'Succeeded'}))
            s.equal('each of them once', sorted(n for n in executed if n not in wanted), sorted(children))
            for x in ('controller', 'scheduler', 'node'):
                s.equal('%s lives' % x, c.parts[x].poll(), None)
        finally:
            c.stop()
            for f in fronts:
                f.stop()
    s.end()


main()
