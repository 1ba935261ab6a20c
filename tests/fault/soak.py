#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""50 Runs a second of mixed kinds, parts killed at random in the first half: no Run ends wrong, twice or not at all; and in the
second half, in which nobody is killed, memory and descriptors of every process stay where they are.

KR_SOAK_SECONDS=60, KR_SEED."""
import concurrent.futures, itertools, os, random, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

SECONDS, SEED, RATE = int(os.environ.get('KR_SOAK_SECONDS', '60')), int(os.environ.get('KR_SEED', '20261127')), 50
FLOWS = '/apis/kruntimes.io/v1alpha1/namespaces/default/workflows'
MERGE = 'application/merge-patch+json'
PARTS = ('apiserver', 'controller', 'scheduler', 'node', 'runtimed', 'runtime-server')
VICTIMS = ('apiserver', 'controller', 'scheduler', 'runtimed', 'runtime-server')
LOST = ['ExecutionLost', 'PodLost', 'PodDrained']
TTL, SENDERS = 15, 8
s = Suite()
rnd = random.Random(SEED)

# kind: weight, script, phase, what else its status must say, more of the spec
KINDS = {
    'ok': (40, 'exit 0', 'Succeeded', lambda st: True, {}),
    'prints': (10, 'head -c 20000 /dev/urandom | od; echo done >&2', 'Succeeded', lambda st: True, {}),
    'lasts': (10, 'sleep 0.1', 'Succeeded', lambda st: True, {}),
    'seven': (12, 'exit 7', 'Failed', lambda st: (st.get('reason'), st.get('exitCode')) == ('ExitCode', 7), {}),
    'retry': (8, '[ $KRUNTIME_ATTEMPT -ge 2 ]', 'Succeeded', lambda st: st.get('attempt', 0) >= 2, {'retry': {}}),
    'outputs': (10, 'echo k=$KRUNTIME_RUN_NAME >> $KRUNTIME_OUTPUTS', 'Succeeded', lambda st: len(st.get('outputs', {})) == 1, {}),
    'stored': (4, 'echo 1 > $KRUNTIME_ARTIFACTS_DIR/a', 'Succeeded', lambda st: [a['name'] for a in st.get('artifactRefs', [])] == ['a'], {}),
    'inline': (4, None, 'Succeeded', lambda st: True, {'source': {'inline': 'echo "$1"\n'}, 'args': ['x']}),
    'timeout': (1, 'sleep 60', 'Timeout', lambda st: True, {'timeoutSeconds': 1}),
    'cancel': (1, 'sleep 60', 'Cancelled', lambda st: True, {}),
}


class Ends(Phases):
    """Of each Run only its end: name → (phase, status), and those that were seen to have two."""
    events = ('ADDED', 'MODIFIED', 'DELETED')

    def __init__(self, kubeconfig):
        self.two = []
        super().__init__(kubeconfig)

    def note(self, run):
        name, status = run['metadata']['name'], run.get('status', {})
        before = self.of.get(name)
        if before and before[0] != status.get('phase'):
            self.two.append((name, before[0], status.get('phase')))
        if status.get('phase') in TERMINAL:
            self.of[name] = (status['phase'], status)


def usage(i):
    """(applet, pid) → (kB of its own memory, descriptors)."""
    found = {}
    for applet in PARTS:
        for pid in i.pids(applet):
            with contextlib.suppress(OSError, AttributeError):
                memory = int(re.search(r'^RssAnon:\s*(\d+)', open('/proc/%d/status' % pid).read(), re.M).group(1))
                found[applet, pid] = (memory, len(os.listdir('/proc/%d/fd' % pid)))
    return found


connections, numbers, flows = threading.local(), itertools.count(), itertools.count()


def submit(i, kind, n):
    """A Run; with every hundredth a Workflow of three jobs."""
    if not hasattr(connections, 'api'):
        connections.api = Api(os.path.join(i.state, 'kubeconfig'))
    api = connections.api
    weight, script, phase, check, more = KINDS[kind]
    more = dict(more)
    name = '%s-%06d' % (kind, n)
    body = run_object(name, more.pop('args', [script]), ttlSecondsAfterFinished=TTL,
                      retryPolicy={'maxAttempts': 20, 'backoff': '20ms', **more.pop('retry', {'retryableReasons': LOST})}, **more)
    status, answer = api.call('POST', RUNS, body, retry=True)
    if status not in (201, 409):
        s.check('%s is accepted' % name, False, '%s %s' % (status, answer))
    if kind == 'cancel':
        api.call('PATCH', RUNS + '/' + name, {'spec': {'cancelRequested': True}}, MERGE, retry=True)
    if n % 100 == 0:
        step = lambda script: [{'name': 'a', 'run': script, 'retryPolicy': {'maxAttempts': 20, 'backoff': '20ms', 'retryableReasons': LOST}}]
        next(flows)
        api.call('POST', FLOWS, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': 'flow-%06d' % n},
                                 'spec': {'ttlSecondsAfterFinished': TTL, 'jobs': {'a': {'runs-on': 'bash', 'steps': step('exit 0')},
                                                                                   'b': {'runs-on': 'bash', 'needs': ['a'], 'steps': step('exit 0')},
                                                                                   'c': {'runs-on': 'bash', 'needs': ['b'], 'steps': step('exit 0')}}}}, retry=True)
    return name


def load(i, senders, seconds, wanted, kill_every=0):
    """Submits at the rate, as far as the machine goes along; gives samples of usage."""
    begin, samples, kills, next_kill, next_sample, n, sent = time.monotonic(), [], 0, kill_every, 1, 0, []
    while (now := time.monotonic() - begin) < seconds:
        sent = [f for f in sent if not f.done() or wanted.append(f.result())]
        if n < now * RATE and len(sent) < 4 * SENDERS:
            sent.append(senders.submit(submit, i, rnd.choices(list(KINDS), [k[0] for k in KINDS.values()])[0], next(numbers)))
            n += 1
        else:
            time.sleep(0.005)      # the load is a clock's
        if kill_every and now > next_kill:
            kills += bool(i.kill(rnd.choice(VICTIMS), rnd.randrange(2)))
            next_kill += kill_every
        if now > next_sample:
            samples.append(usage(i))
            next_sample += 1
    wanted += [f.result() for f in sent]
    print('%d Runs in %.0f s: %.1f a second; %d kills' % (n, time.monotonic() - begin, n / (time.monotonic() - begin), kills), flush=True)
    return samples


def judge_usage(samples):
    """The last quarter beside the first one of those in which all caches, and the window of finished Runs, are full."""
    samples = samples[TTL * 2 // 3:]
    part = max(1, len(samples) // 4)
    for who in sorted(samples[-1]):
        of = [sample[who] for sample in samples if who in sample]
        if not s.equal('%s %d lives through it' % who, len(of), len(samples)):
            continue
        middle = lambda rows, k: sorted(r[k] for r in rows)[len(rows) // 2]
        memory, fds = [middle(of[:part], 0), middle(of[-part:], 0)], [max(r[1] for r in of[:part]), max(r[1] for r in of[-part:])]
        print('%-16s %7d: %6d → %6d kB, %3d → %3d descriptors' % (*who, *memory, *fds))
        s.check('%s: memory stays' % who[0], memory[1] <= memory[0] * 1.2 + 1500, memory)
        s.check('%s: descriptors stay' % who[0], fds[1] <= fds[0] + 16, fds)


def main():
    with instance() as i:
        i.api.call('PATCH', RUNTIMES + '/bash', {'spec': {'capacity': {'resources': {'runs': 16}}}}, MERGE)
        ends, wanted = Ends(os.path.join(i.state, 'kubeconfig')), []
        with concurrent.futures.ThreadPoolExecutor(SENDERS) as senders:
            load(i, senders, SECONDS / 2, wanted, 3)
            samples = load(i, senders, SECONDS / 2, wanted)
        until, steps = time.monotonic() + DEADLINE, 3 * next(flows)
        of_flows = lambda: [name for name in list(ends.of) if name.startswith('flow-')]
        while time.monotonic() < until and not (all(name in ends.of for name in wanted) and len(of_flows()) >= steps):
            time.sleep(0.05)      # the watcher tells
        missing = [name for name in wanted if name not in ends.of]
        s.equal('each has ended', missing[:20], [])
        wrong = [(name, ends.of[name]) for name in wanted if name in ends.of
                 and not (ends.of[name][0] == KINDS[name.split('-')[0]][2] and KINDS[name.split('-')[0]][3](ends.of[name][1]))]
        s.equal('each has ended right', wrong[:5], [])
        s.equal('none has ended twice', ends.two, [])
        children = {name: (ends.of[name][0], ends.of[name][1].get('reason'), ends.of[name][1].get('message')) for name in of_flows()}
        s.equal('no step of a Workflow has failed', {name: end for name, end in children.items() if end[0] != 'Succeeded'}, {})
        s.equal('all steps of Workflows have ended', len(children), steps)
        judge_usage(samples)
        empty = lambda: not i.api.call('GET', RUNS, retry=True)[1]['items'] and not i.api.call('GET', FLOWS, retry=True)[1]['items']
        until = time.monotonic() + TTL + DEADLINE
        while time.monotonic() < until and not empty():
            time.sleep(0.1)
        s.check('all of them go when their time is over', empty())
        s.equal('no process of a Run is left', i.executed(), [])
        s.equal('no workspace is left', i.workspaces(), [])
        ends.stopped.set()
        if s.failed:
            print('KR_SEED=%d' % SEED)
            print(i.logs())
    s.end()


main()
