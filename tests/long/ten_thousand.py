#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Row 69: 10,000 Runs (KR_RUNS says another number) made at once and deleted at once: none lost, none ended twice, and when they
have gone so has what they took; how long an early and a late Run waited is printed. A thousand: tests/fault/thousand.py."""
import collections, concurrent.futures, os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

COUNT, SLOTS = int(os.environ.get('KR_RUNS', '10000')), 16
s = Suite()


def memory(i):
    """kB of each part's own memory."""
    return {a: [int(re.search(r'RssAnon:\s+(\d+)', open('/proc/%d/status' % pid).read()).group(1)) for pid in i.pids(a)]
            for a in ('apiserver', 'controller', 'scheduler', 'runtimed')}


class Counter(threading.Thread):
    """Ends and deletions as a watcher sees them."""
    def __init__(self, i):
        super().__init__(daemon=True)
        self.api = Api(os.path.join(i.state, 'kubeconfig'))
        self.version, self.ends, self.gone = self.api.call('GET', RUNS)[1]['metadata']['resourceVersion'], collections.defaultdict(list), set()
        self.start()

    def run(self):
        with contextlib.suppress(OSError, http.client.HTTPException):      # the instance has gone down
            self.follow()

    def follow(self):
        while True:
            for event in self.api.watch(RUNS + '?watch=true&allowWatchBookmarks=true&timeoutSeconds=600&resourceVersion=' + self.version):
                if event['type'] == 'ERROR':
                    raise SystemExit(str(event))
                self.version, name = event['object']['metadata']['resourceVersion'], event['object']['metadata'].get('name')
                phase = event['object'].get('status', {}).get('phase')
                if event['type'] == 'DELETED':
                    self.gone.add(name)
                elif phase in TERMINAL and self.ends[name][-1:] != [phase]:
                    self.ends[name].append(phase)


with instance() as i:
    i.api.call('PATCH', RUNTIMES + '/bash', {'spec': {'capacity': {'resources': {'runs': SLOTS}}}}, 'application/merge-patch+json')
    s.check('the pool is ready', until(lambda: i.api.call('GET', RUNTIMES + '/bash')[1].get('status', {}).get('capacity') == {'runs': 2 * SLOTS}, 60))
    watcher, begin, before = Counter(i), time.monotonic(), memory(i)
    names = ['r%05d' % n for n in range(COUNT)]

    def each(call):
        """Status codes of a call for each Run, 16 at a time."""
        def some(part):
            api = Api(os.path.join(i.state, 'kubeconfig'))
            return [call(api, name)[0] for name in part]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            return collections.Counter(c for part in pool.map(some, [names[k::16] for k in range(16)]) for c in part)

    codes = each(lambda api, name: api.call('POST', RUNS, run_object(name, ['true'])))
    made = time.monotonic()
    s.equal('all are accepted', codes, {201: COUNT})
    s.check('all end', until(lambda: len(watcher.ends) == COUNT, 800), len(watcher.ends))
    ended = time.monotonic()
    s.equal('each once, and well', {n: e for n, e in watcher.ends.items() if e != ['Succeeded']}, {})
    full = memory(i)
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        deleted, probe = beside.submit(each, lambda api, name: api.call('DELETE', RUNS + '/' + name)), time.monotonic()
        i.api.call('POST', RUNS, run_object('probe', ['true']))
    s.equal('all are deleted', deleted.result(), {200: COUNT})
    s.check('a Run beside that ends', until(lambda: watcher.ends.get('probe') == ['Succeeded'], 120), watcher.ends.get('probe'))
    probe = time.monotonic() - probe
    s.check('all go', until(lambda: len(watcher.gone - {'probe'}) == COUNT, 120), len(watcher.gone))
    s.equal('the probe alone is left', [r['metadata']['name'] for r in i.api.call('GET', RUNS)[1]['items']], ['probe'])
    s.check('so do their workspaces', until(lambda: not i.workspaces(), 60), i.workspaces()[:5])
    print('%d Runs made in %.1f s, all at their end after %.1f s; one beside the deletion took %.2f s' % (COUNT, made - begin, ended - begin, probe))
    for part in before:
        print('%-10s %s → %s → %s kB' % (part, before[part], full[part], memory(i).get(part)))
    if s.failed:
        print(i.logs())
s.end()
