#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Random clients, kills, stops and a full disk, by seed; then the history that everybody saw is checked (as etcd's robustness
tests do): no event lost, twice, out of order or back in time, no acknowledged write lost, no stale read, no revision back,
no bookmark ahead of its stream.

  tests/fault/history.py [--seconds N] [--seed N]
"""
import os, random, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

MAPS = '/api/v1/namespaces/default/configmaps'
args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
seconds = float(args.get('--seconds', 20))
seed = int(args.get('--seed', os.environ.get('KR_SEED', random.SystemRandom().randrange(1 << 32))))
s = Suite()
lock = threading.Lock()
lost = (OSError, http.client.HTTPException, ValueError)      # a connection that ended, also in the middle of a line


class Server:
    def __init__(self, top):
        self.state, self.port, self.p = os.path.join(top, 'state'), '0', None

    def start(self):
        self.p = subprocess.Popen([BINARY, 'apiserver', '--state-dir', self.state, '--port', self.port], stderr=subprocess.PIPE, text=True)
        line = self.p.stderr.readline()
        while line and 'API server is ready' not in line:
            line = self.p.stderr.readline()
        if line:
            threading.Thread(target=self.p.stderr.read, daemon=True).start()
            self.port = self.port if self.port != '0' else Api(os.path.join(self.state, 'kubeconfig')).port
        return bool(line)

    def kill(self):
        self.p.kill()
        self.p.wait()


class World:
    """What is common to the clients: when to end, what was acknowledged, the newest revision that anybody was told."""
    def __init__(self, server):
        self.server, self.end, self.writes, self.deleted, self.newest, self.counts = server, False, {}, set(), 0, {}

    def api(self):
        return Api(os.path.join(self.server.state, 'kubeconfig'))

    def count(self, what):
        with lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def is_enough(self):
        return self.counts.get('writes', 0) > 100 and self.counts.get('kills', 0) > 0

    def told(self, revision):
        with lock:
            self.newest = max(self.newest, revision)


def rv(o):
    return int(o['metadata']['resourceVersion'])


def writer(w, rnd, number):
    api, n = w.api(), 0
    while not w.end:
        name, n = 'm%d' % rnd.randrange(12), n + 1
        value, kind = '%d-%d' % (number, n), rnd.randrange(10)
        body = {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': name, 'labels': {'odd': str(rnd.randrange(2))}},
                'data': {'v': value, 'pad': 'x' * rnd.choice((10, 10, 10, 3000, 60000))}}
        before = w.newest
        try:
            if kind < 3:
                status, answer = api.call('POST', MAPS, body)
            elif kind < 7:
                status, answer = api.call('PATCH', MAPS + '/' + name, {k: body[k] for k in ('metadata', 'data')}, 'application/merge-patch+json')
            elif kind < 8:
                status, answer = api.call('GET', MAPS + '/' + name)
                if status == 200:
                    body['metadata']['resourceVersion'] = answer['metadata']['resourceVersion']
                    status, answer = api.call('PUT', MAPS + '/' + name, body)
            elif kind < 9:
                status, answer = api.call('DELETE', MAPS + '/' + name)
                if status == 200:
                    with lock:
                        w.deleted.add(answer['details']['uid'])
                    w.count('deletes')
                    continue
            else:
                status, answer = api.call('GET', MAPS)
                if status == 200 and not rv(answer) >= before:
                    s.check('a list is never older than what was acknowledged before it began', False, '%d after %d' % (rv(answer), before))
                w.count('lists')
                continue
        except lost:
            api.connection = None
            w.count('lost connections')
            time.sleep(0.01)
            continue
        if status in (200, 201) and answer.get('data', {}).get('v') == value:
            with lock:
                w.writes[rv(answer)] = (name, value)
            w.told(rv(answer))
            w.count('writes')
        elif status == 507:
            w.count('refused: full')
            time.sleep(0.02)
        elif status not in (200, 404, 409):
            s.check('an answer that is known', False, '%d %s' % (status, str(answer)[:300]))


def watcher(w, rnd, out, selector=''):
    """Follows from one list on, through all reconnects. out: events, with the revision the list had."""
    api, from_ = w.api(), None
    while from_ is None:
        try:
            status, answer = api.call('GET', MAPS + '?' + selector, retry=True)
            from_ = rv(answer) if status == 200 else None
        except lost:
            api.connection = None
    out.update(start=from_, list={i['metadata']['name']: i for i in answer['items']}, events=[], marks=0)
    while not w.end or from_ < w.target:
        try:
            path = '%s?watch=1&allowWatchBookmarks=true&timeoutSeconds=%d&resourceVersion=%d&%s' % (MAPS, rnd.choice((1, 2, 5)), from_, selector)
            for e in api.watch(path):
                if e['type'] == 'ERROR':
                    s.check('no watch is told an error', False, str(e)[:300])
                    return
                at = rv(e['object'])
                if e['type'] == 'BOOKMARK':
                    out['marks'] += 1
                    ok = at >= from_
                else:
                    ok = at > from_
                    out['events'].append((at, e['type'], e['object']['metadata']['name'], e['object']['metadata']['uid'], e['object'].get('data', {}).get('v')))
                if not ok:
                    s.check('events only go forwards', False, '%s at %d after %d' % (e['type'], at, from_))
                from_ = max(from_, at)
                if rnd.random() < 0.002:
                    break                              # hangs up
        except lost:
            w.count('watches cut')
            time.sleep(0.01)


def chaos(w, rnd, small):
    filler = os.path.join(small, 'filler') if small else None
    while not w.end:
        time.sleep(rnd.uniform(0.1, 1.2))
        kind = rnd.randrange(5 if small else 4)
        if kind < 2:
            w.server.kill()
            if not w.server.start():
                s.check('it starts again after a kill', False)
                w.end = True
            w.count('kills')
        elif kind < 4:
            os.kill(w.server.p.pid, signal.SIGSTOP)
            time.sleep(rnd.uniform(0.01, 0.4))
            os.kill(w.server.p.pid, signal.SIGCONT)
            w.count('stops')
        else:
            with contextlib.suppress(OSError), open(filler, 'wb', 0) as f:
                while True:
                    f.write(b'0' * 65536)
            time.sleep(rnd.uniform(0.05, 0.5))
            os.unlink(filler)
            w.count('full disks')


def replay(seen):
    """The state that the list and the events of a watch make; what can't be is reported."""
    state = {n: o['data'].get('v') for n, o in seen['list'].items() if n.startswith('m')}
    for at, kind, name, uid, value in seen['events']:
        if (kind == 'ADDED') == (name in state):
            s.check('ADDED only what was not there, all else only what was', False, '%s %s at %d' % (kind, name, at))
        if kind == 'DELETED':
            state.pop(name, None)
        else:
            state[name] = value
    return state


def check(w, full, odd):
    final = w.api().call('GET', MAPS)[1]
    now = {i['metadata']['name']: i for i in final['items'] if i['metadata']['name'].startswith('m')}
    every = {}
    for seen in full:
        for e in seen['events']:
            every.setdefault(e[0], set()).add(e)
    s.check('one revision is one event to all', all(len(v) == 1 for v in every.values()))
    for i, seen in enumerate(full):
        have, want = [e[0] for e in seen['events']], sorted(r for r in every if r > seen['start'])
        s.check('watcher %d: nothing lost, twice or out of order' % i, have == want,
                'missing %s, too many %s' % (sorted(set(want) - set(have))[:9], [r for r in have if have.count(r) > 1][:9] if len(have) < 20000 else '?'))
        s.check('watcher %d ends where the list is' % i, replay(seen) == {n: o['data']['v'] for n, o in now.items()})
    s.check('the watcher with a selector too', replay(odd) == {n: o['data']['v'] for n, o in now.items() if o['metadata']['labels']['odd'] == '1'})
    start = min(seen['start'] for seen in full)
    missing = [r for r, (name, value) in w.writes.items() if r > start and not any(e[2] == name and e[4] == value for e in every.get(r, ()))]
    s.check('no acknowledged write is lost', not missing, str(sorted(missing)[:9]))
    gone = {e[3] for v in every.values() for e in v if e[1] == 'DELETED'}
    s.check('no acknowledged delete is lost', w.deleted <= gone, str(len(w.deleted - gone)))
    s.check('the revision never goes back', rv(final) >= w.newest)
    s.check('there was something to check', len(every) > 50 and w.counts.get('kills', 0) > 0, str(w.counts))


def main():
    top = tempfile.mkdtemp(prefix='kr-history-')
    small = os.path.join(top, 'small')
    os.mkdir(small)
    mounted = os.geteuid() == 0 and subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=256m', 'none', small], capture_output=True).returncode == 0
    if not mounted:
        s.skip('full disk', 'a small file system can be mounted by root only')
    w = World(Server(small))
    os.mkdir(w.server.state, 0o700)
    if not w.server.start():
        raise SystemExit('the API server did not start')
    w.target = 0
    rnd, full, odd = random.Random(seed), [{}, {}, {}], {}
    threads = [threading.Thread(target=watcher, args=(w, random.Random(rnd.random()), out)) for out in full]
    threads.append(threading.Thread(target=watcher, args=(w, random.Random(rnd.random()), odd, 'labelSelector=odd%3D1')))
    threads += [threading.Thread(target=writer, args=(w, random.Random(rnd.random()), n)) for n in range(4)]
    trouble = threading.Thread(target=chaos, args=(w, random.Random(rnd.random()), small if mounted else None))
    try:
        for t in threads:
            t.start()
        trouble.start()
        until = time.monotonic() + seconds
        while not w.end and (time.monotonic() < until or (not w.is_enough() and time.monotonic() < until + 120)):
            time.sleep(0.2)                            # a slow machine gets the time that there is something to check
        w.target = 1 << 62                             # watchers stay until the last event is there
        w.end = True
        trouble.join()
        for t in threads[4:]:
            t.join()
        api = w.api()
        for label in ('0', '1'):                       # both watchers see one of these, or both
            body = {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'm-end-' + label, 'labels': {'odd': label}}, 'data': {'v': 'end'}}
            status, answer = api.call('POST', MAPS, body, retry=True)
        w.target = rv(answer) if s.equal('a last write', status, 201) else 0
        if not w.target:
            print(subprocess.run(['du', '-ak', small], capture_output=True, text=True).stdout + subprocess.run(['df', '-k', small], capture_output=True, text=True).stdout)
        for t in threads[:4]:
            t.join()
        check(w, full, odd)
        print('seed %d, %.0f s: %s, %d bookmarks' % (seed, seconds, w.counts, sum(f.get('marks', 0) for f in full)))
    finally:
        w.end = True
        w.server.kill()
        if mounted:
            subprocess.run(['umount', '-l', small])
        shutil.rmtree(top, ignore_errors=True)
    if s.failed:
        print('seed %d' % seed)
    s.end()


main()
