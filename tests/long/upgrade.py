#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# May take 1800 s.
"""From an older build (tests/tools/older) to this one and back, on the embedded API server.

Beside each other: a controller, scheduler and node of one build on the API server of the other, with Runs under way while they change
places; what a newer kind has is still in the object after the older ones have written to it. One after the other: a state folder that
both have used.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
got = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'older')], capture_output=True, text=True)
if got.returncode:
    s.skip('an older build', (got.stdout or got.stderr).strip())
    s.end()
OLD, NEW = got.stdout.strip(), BINARY
WORKFLOWS = RUNS.replace('/runs', '/workflows')
MERGE = 'application/merge-patch+json'
BASH = {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': 'pool'}, 'spec': {
    'replicas': 2, 'server': 'Injected', 'capacity': {'resources': {'runs': 4}}, 'artifactStore': {'driver': 'filesystem', 'filesystem': {'volumeClaimName': 'store'}},
    'template': {'spec': {'terminationGracePeriodSeconds': 60, 'containers': [{'name': 'runtime', 'image': 'local'}]}}}}


class Parts:
    """An API server of one build; controller, scheduler and node of any."""
    def __init__(self, server):
        self.dir = tempfile.mkdtemp(prefix='kr-upgrade-')
        self.config = self.dir + '/state/kubeconfig'
        self.server = subprocess.Popen([server, 'apiserver', '--state-dir', self.dir + '/state', '--port', '0'], stderr=subprocess.PIPE, text=True)
        line = self.server.stderr.readline()
        while line and 'API server is ready' not in line:
            line = self.server.stderr.readline()
        threading.Thread(target=self.server.stderr.read, daemon=True).start()
        self.api, self.parts = Api(self.config), {}

    def start(self, name, binary):
        if name in self.parts:
            self.parts[name].terminate()
            s.equal('%s ends when told' % name, self.parts[name].wait(2 * DEADLINE), 0)
        more = {'node': ['--dir', self.dir + '/node', '--volumes', self.dir + '/volumes']}.get(name, ['--no-leader-elect', '--metrics-bind', 'off', '--probes-bind', 'off'])
        self.parts[name] = subprocess.Popen([binary, name, '--kubeconfig', self.config, *more], stderr=open('%s/%s.log' % (self.dir, name), 'a'))

    def runs(self, names, seconds=2 * DEADLINE):
        of = lambda: {n: self.api.call('GET', RUNS + '/' + n)[1] for n in names}
        until(lambda: all(r.get('status', {}).get('phase') in TERMINAL for r in of().values()), seconds)
        return of()

    def cli(self, binary, *words):
        return subprocess.run([binary, *words, '--kubeconfig', self.config], capture_output=True, text=True, timeout=DEADLINE)

    def end(self):
        for p in (*self.parts.values(), self.server):
            p.terminate()
        for p in (*self.parts.values(), self.server):
            p.wait(2 * DEADLINE)
        if s.failed:
            for name in self.parts:
                print('--- %s\n%s' % (name, open('%s/%s.log' % (self.dir, name)).read()[-2000:]))
        shutil.rmtree(self.dir, ignore_errors=True)


def phases(runs):
    return {n: r.get('status', {}).get('phase') for n, r in runs.items()}


def beside(server, first, then, words):
    """Parts of `first` on the API server of `server`, replaced by those of `then` while Runs are under way; then back."""
    p = Parts(server)
    try:
        for name in ('controller', 'scheduler', 'node'):
            p.start(name, first)
        s.equal(words + ': a Runtime', p.api.call('POST', RUNTIMES, BASH)[0], 201)
        ready = lambda: p.api.call('GET', RUNTIMES + '/pool')[1].get('status', {}).get('readyReplicas') == 2
        s.check(words + ': its pods come', until(ready))
        made = run_object('made', ['echo 1 > $KRUNTIME_ARTIFACTS_DIR/one; echo k=v > $KRUNTIME_OUTPUTS'], runtime='pool')
        live = {'live%d' % n: run_object('live%d' % n, ['sleep 8; echo over'], runtime='pool') for n in range(3)}
        takes = run_object('takes', ['sleep 8'], runtime='pool', ttlSecondsAfterFinished=3600, artifacts=[{'run': 'made', 'name': 'one', 'path': 'in/one'}])
        flow = {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': 'flow'}, 'spec': {'jobs': {'a': {'runs-on': 'pool', 'steps': [
            {'name': 'one', 'run': 'sleep 4; echo 1 > file'}, {'name': 'two', 'run': 'cat file'}]}}}}
        p.api.call('POST', RUNS, made)
        s.equal(words + ': a Run', phases(p.runs(['made'])), {'made': 'Succeeded'})
        for o in (*live.values(), takes):
            s.equal('%s: %s is taken' % (words, o['metadata']['name']), p.api.call('POST', RUNS, o)[0], 201)
        p.api.call('POST', WORKFLOWS, flow)
        before = p.api.call('GET', RUNS + '/takes')[1]
        s.check(words + ': they run', until(lambda: all(r.get('status', {}).get('phase') == 'Running' for r in p.runs(live, 0).values())))

        for name in ('controller', 'scheduler'):      # what an upgrade begins with; the pods go on
            p.start(name, then)
        ended = p.runs([*live, 'takes'])
        s.equal(words + ': live Runs end as if nothing had been', phases(ended), {n: 'Succeeded' for n in ended})
        s.equal(words + ': and were executed once', {r['status'].get('attempt') for r in ended.values()}, {1})
        s.equal(words + ': nothing of the Run is lost', ended['takes']['spec'], before['spec'])
        over = lambda: p.api.call('GET', WORKFLOWS + '/flow')[1].get('status', {})
        until(lambda: over().get('phase') in TERMINAL)
        s.equal(words + ': the Workflow goes on', over().get('phase'), 'Succeeded')
        s.check(words + ': the Runtime settles', until(lambda: ready() and conditions(p).get('Ready') == 'True', 4 * DEADLINE), conditions(p))
        p.api.call('POST', RUNS, run_object('after', ['true'], runtime='pool'))
        s.equal(words + ': new Runs', phases(p.runs(['after'])), {'after': 'Succeeded'})
        for name in ('controller', 'scheduler'):
            p.start(name, first)
        p.api.call('POST', RUNS, run_object('back', ['true'], runtime='pool'))
        s.equal(words + ': back again', phases(p.runs(['back'], 4 * DEADLINE)), {'back': 'Succeeded'})
        p.start('node', then)      # and the pods are of the other build
        kept = run_object('kept', ['echo 1 > $KRUNTIME_ARTIFACTS_DIR/two'], runtime='pool', artifacts=[{'run': 'made', 'name': 'one', 'path': 'in/one'}])
        s.equal(words + ': a Run for them', p.api.call('POST', RUNS, kept)[0], 201)
        before = p.api.call('GET', RUNS + '/kept')[1]['spec']
        after = p.runs(['kept'], 4 * DEADLINE)
        s.equal(words + ': they execute it', phases(after), {'kept': 'Succeeded'})
        s.equal(words + ': and lose nothing of it, known to them or not', after['kept']['spec'], before)
        for binary in (OLD, NEW):      # each command line reads what is there
            r = p.cli(binary, 'run', 'get', 'made', '-o', 'jsonpath={.status.outputs.k}')
            s.equal(words + ': either command line', (r.returncode, r.stdout.strip()), (0, 'v'))
        p.api.call('DELETE', RUNS + '/made')
        s.check(words + ': what one stored the other cleans up', until(lambda: p.api.call('GET', RUNS + '/made')[0] == 404))
    finally:
        p.end()


def conditions(p):
    return {c['type']: c['status'] for c in p.api.call('GET', RUNTIMES + '/pool')[1].get('status', {}).get('conditions', [])}


def folder():
    """An instance of the old build, of this one, and of the old one again, over one state folder; each time with a Run under way, and one
    that may be tried again. A finished Run with what only the newer one knows lies there meanwhile."""
    i = Instance()
    def submit(binary, run):
        return subprocess.run([binary, 'run', 'submit', '-f', '-'], input=json.dumps(run), capture_output=True, text=True, timeout=2 * DEADLINE, env=i.env)
    again = {'retryPolicy': {'maxAttempts': 20, 'backoff': '100ms'}}
    of = lambda binary, *words: subprocess.run([binary, *words], capture_output=True, text=True, timeout=2 * DEADLINE, env=i.env)
    try:
        seen, carried = [], None
        for n, binary in enumerate((OLD, NEW, OLD, NEW)):
            up = of(binary, 'local', 'up', '--port', '0')
            s.equal('up %d' % n, up.returncode, 0)
            names = of(binary, 'run', 'list', '-o', 'name').stdout.split()
            s.equal('up %d: all that was there is there' % n, sorted(names), sorted('run.kruntimes.io/' + x for x in seen))
            of(binary, 'run', 'submit', '--runtime', 'bash', '--name', 'quick%d' % n, '--wait', '--', 'echo x=%d > $KRUNTIME_OUTPUTS' % n)
            live = of(binary, 'run', 'submit', '--runtime', 'bash', '--name', 'live%d' % n, '--', 'sleep 2')
            s.equal('up %d: Runs' % n, live.returncode, 0)
            r = submit(binary, run_object('made%d' % n, ['sleep 2'], **again))
            s.equal('up %d: a Run that may be tried again' % n, r.returncode, 0)
            seen += ['quick%d' % n, 'live%d' % n, 'made%d' % n]
            if binary == NEW and not carried:
                of(binary, 'run', 'submit', '--runtime', 'bash', '--name', 'quick-left', '--wait', '--', 'echo 1 > $KRUNTIME_ARTIFACTS_DIR/one; echo x=t > $KRUNTIME_OUTPUTS')
                r = submit(binary, run_object('quick-rest', ['cat in/one && echo x=t > $KRUNTIME_OUTPUTS'], artifacts=[{'run': 'quick-left', 'name': 'one', 'path': 'in/one'}]))
                s.equal('up %d: a Run with what the older one does not know' % n, r.returncode, 0)
                of(binary, 'run', 'wait', 'quick-rest')
                carried = of(binary, 'run', 'get', 'quick-rest', '-o', 'jsonpath={.spec}').stdout
                s.check('up %d: it has it' % n, 'quick-left' in carried, carried)
                seen += ['quick-left', 'quick-rest']
            for x in seen[:-1]:
                wanted = {'q': ('Succeeded',), 'm': TERMINAL + ('Pending', 'Scheduled', 'Running'), 'l': ('Succeeded', 'Pending', 'Scheduled', 'Running', 'Failed')}[x[0]]
                phase = of(binary, 'run', 'get', x, '-o', 'jsonpath={.status.phase} {.status.outputs.x}').stdout.split()
                s.check('up %d: %s is as it was' % (n, x), phase and phase[0] in wanted and (x[0] != 'q' or phase[1:] == [x[-1]]), phase)
            s.equal('down %d' % n, of(binary, 'local', 'down').returncode, 0)
        of(NEW, 'local', 'up', '--port', '0')
        for x in [x for x in seen if x[0] == 'l']:      # it ran when its instance went down: lost, and told so
            of(NEW, 'run', 'wait', x)
            phase = of(NEW, 'run', 'get', x, '-o', 'jsonpath={.status.phase} {.status.reason}').stdout.split()
            s.check('%s has an end' % x, phase in (['Succeeded'], ['Failed', 'ExecutionLost'], ['Failed', 'PodDrained'], ['Failed', 'PodLost']), phase)
        for x in [x for x in seen if x[0] == 'm']:      # each of them was tried again
            of(NEW, 'run', 'wait', x)
            s.equal('%s is not lost' % x, of(NEW, 'run', 'get', x, '-o', 'jsonpath={.status.phase}').stdout, 'Succeeded')
        s.equal('what only the newer one knows is still there', json.loads(of(NEW, 'run', 'get', 'quick-rest', '-o', 'jsonpath={.spec}').stdout or '{}'), json.loads(carried))
    finally:
        of(NEW, 'local', 'down')
        shutil.rmtree(i.dir, ignore_errors=True)


beside(NEW, NEW, OLD, 'older controller, newer objects')
beside(OLD, OLD, NEW, 'newer controller, older server')
folder()
s.end()
