# SPDX-License-Identifier: Apache-2.0
"""A local instance for tests: up in a folder of its own, its API over HTTPS, its processes by PID, down again."""
import base64, collections, contextlib, http.client, json, os, re, shutil, signal, ssl, subprocess, sys, tempfile, threading, time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get('KR_BINARY', os.path.join(TOP, 'build', 'kruntimes'))
DEADLINE = 60


def until(what, seconds=DEADLINE, pause=0.02):
    """The first true value of what(), or its last one. Polling on purpose: what is waited for tells nobody else."""
    end = time.monotonic() + seconds
    value = what()
    while not value and time.monotonic() < end:
        time.sleep(pause)
        value = what()
    return value


def within(seconds):
    """An until that has so long where it isn't told otherwise."""
    return lambda what, seconds=seconds: until(what, seconds)


class Suite:
    """Named checks and the last line that tests/run wants."""
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, name, ok, detail=''):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print('FAIL %s %s' % (name, detail))
        return ok

    def equal(self, name, got, want):
        return self.check(name, got == want, 'got %r, want %r' % (got, want))

    def skip(self, name, why):
        self.skipped += 1
        print('skip %s: %s' % (name, why))

    def end(self):
        print('%d passed, %d failed%s' % (self.passed, self.failed, ', %d skipped' % self.skipped if self.skipped else ''))
        sys.exit(1 if self.failed else 0)


class Refused(Exception):
    """A watch that was answered with something else: the status and the body."""


class Api:
    def __init__(self, kubeconfig):
        text = open(kubeconfig).read()
        found = lambda name: re.search(r'^ *%s: (\S+)$' % name, text, re.M)
        field = lambda name: found(name).group(1)
        self.host, self.port = field('server').removeprefix('https://').rsplit(':', 1)
        self.context = ssl.create_default_context(cadata=base64.b64decode(field('certificate-authority-data')).decode())
        self.headers = {'Content-Type': 'application/json'}
        if found('token'):
            self.headers['Authorization'] = 'Bearer ' + field('token')
        if found('client-key-data'):
            with tempfile.NamedTemporaryFile() as pair:
                pair.write(b''.join(base64.b64decode(field(n)) for n in ('client-certificate-data', 'client-key-data')))
                pair.flush()
                self.context.load_cert_chain(pair.name)
        self.connection = None

    def as_user(self, headers):
        """The same server, other headers; without the client certificate."""
        other = Api.__new__(Api)
        other.__dict__.update(self.__dict__, headers=dict({'Content-Type': 'application/json'}, **headers), connection=None)
        return other

    def open(self):
        return http.client.HTTPSConnection(self.host, int(self.port), context=self.context, timeout=DEADLINE)

    def call(self, method, path, body=None, type=None, retry=False):
        """Status and parsed answer. retry: a lost connection is tried again (the API server may be down for a moment)."""
        headers = dict(self.headers, **({'Content-Type': type} if type else {}))
        data = json.dumps(body) if body is not None else None
        until = time.monotonic() + DEADLINE
        while True:
            try:
                if not self.connection:
                    self.connection = self.open()
                self.connection.request(method, path, data, headers)
                answer = self.connection.getresponse()
                return answer.status, json.loads(answer.read())
            except (OSError, http.client.HTTPException):
                self.connection = None
                if not retry or time.monotonic() > until:
                    raise
                time.sleep(0.01)      # the server is being started again: nothing tells when but trying

    def watch(self, path):
        """Events of a watch, until it ends."""
        c = self.open()
        c.request('GET', path, headers=self.headers)
        answer = c.getresponse()
        if answer.status != 200:
            raise Refused(answer.status, answer.read().decode(errors='replace')[:1000])
        for line in answer:
            yield json.loads(line)


RUNS = '/apis/kruntimes.io/v1alpha1/namespaces/default/runs'
RUNTIMES = '/apis/kruntimes.io/v1alpha1/namespaces/default/runtimes'


class Gate:
    """What Runs wait at, each by the command `at`, until it is opened; those that come later pass."""
    def __init__(self, path):
        os.mkfifo(path)
        self.at, self.fifo = 'read go < ' + path, os.open(path, os.O_RDWR | os.O_CLOEXEC)      # so that nobody's open(2) waits

    def open(self):
        os.write(self.fifo, b'\n' * 64)


def run_object(name, args=None, runtime='bash', **spec):
    spec['runtime'] = runtime
    if args is not None:
        spec['args'] = args
    return {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Run', 'metadata': {'name': name}, 'spec': spec}


class Instance:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='kr-test-')
        self.state = os.path.join(self.dir, 'state')
        self.env = {k: v for k, v in os.environ.items() if k not in ('KUBECONFIG', 'KUBERNETES_SERVICE_HOST')}
        self.env.update(KRUNTIMES_STATE_DIR=self.state, HOME=self.dir)

    def cli(self, *args, stdin=None, timeout=DEADLINE, env=None):
        return subprocess.run([BINARY, *args], input=stdin, capture_output=True, text=True, timeout=timeout, env=env or self.env)

    def up(self):
        done = self.cli('local', 'up', '--port', '0')
        if done.returncode:
            raise SystemExit('the instance did not come up: %s%s' % (done.stdout, done.stderr))
        self.api = Api(os.path.join(self.state, 'kubeconfig'))
        return self

    def down(self):
        self.cli('local', 'down')
        shutil.rmtree(self.dir, ignore_errors=True)

    def pids(self, applet):
        """PIDs of this instance's processes of an applet: parts by the supervisor's children, pods' by their command line."""
        found = {}
        for pid in filter(str.isdigit, os.listdir('/proc')):
            with contextlib.suppress(OSError):
                argv = open('/proc/%s/cmdline' % pid).read().split('\0')
                if len(argv) > 1 and argv[1] == applet and any(self.state in a for a in argv):
                    found[int(pid)] = int(re.search(r'^PPid:\s*(\d+)', open('/proc/%s/status' % pid).read(), re.M).group(1))
        return sorted(pid for pid, parent in found.items() if parent not in found)      # without what they forked

    def helpers(self, applet):
        """PIDs of the helper processes of its runtimeds: their command lines don't say whose they are."""
        found, parents = [], set(self.pids('runtimed'))
        for pid in filter(str.isdigit, os.listdir('/proc')):
            with contextlib.suppress(OSError):
                if open('/proc/%s/cmdline' % pid).read().split('\0')[1:2] == [applet] and \
                   int(re.search(r'^PPid:\s*(\d+)', open('/proc/%s/status' % pid).read(), re.M).group(1)) in parents:
                    found.append(int(pid))
        return found

    def kill(self, applet, which=0):
        pids = self.pids(applet)
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[which % len(pids)], signal.SIGKILL)
        return len(pids)

    def wait(self, names, timeout=DEADLINE):
        """Runs by name once all of them are terminal (or the deadline has passed)."""
        runs, until = {}, time.monotonic() + timeout
        while time.monotonic() < until:
            status, answer = self.api.call('GET', RUNS, retry=True)
            runs = {r['metadata']['name']: r for r in answer.get('items', []) if r['metadata']['name'] in names}
            if len(runs) == len(names) and all(r.get('status', {}).get('phase') in TERMINAL for r in runs.values()):
                break
            time.sleep(0.05)      # polling on purpose: the watch is what other tests try
        return runs

    def executed(self):
        """Command lines of processes that Runs of this instance started."""
        found = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            with contextlib.suppress(OSError):
                env = open('/proc/%s/environ' % pid, errors='replace').read()
                if 'KRUNTIME_RUN_UID=' in env and self.state in env:
                    found.append(open('/proc/%s/cmdline' % pid).read().replace('\0', ' '))
        return found

    def workspaces(self):
        """Folders of Runs on this instance's pods; those that wait for a Run begin with a dot."""
        return [os.path.join(d, x) for d, folders, _ in os.walk(self.state) if os.path.basename(d) == 'workspace' for x in folders if x[0] != '.']

    def put(self, run, name):
        """An empty file into the working directory of a Run that is there: a sandboxed one sees no other folder of this test."""
        uid = self.api.call('GET', RUNS + '/' + run)[1]['metadata']['uid']
        folder = next(w for w in self.workspaces() if os.path.basename(w) == uid)
        open(os.path.join(folder, 'work', name), 'w').close()

    def logs(self):
        out = []
        for base, _, files in os.walk(self.state):
            for f in files:
                with contextlib.suppress(FileNotFoundError):      # its pod may go just now
                    if f.endswith('.log'):
                        out.append('--- %s\n%s' % (f, open(os.path.join(base, f), errors='replace').read()[-2000:]))
        return '\n'.join(out)


class Phases:
    """A watcher of all Runs, through restarts of the API server: name → phases in the order in which it saw them."""
    events = ('ADDED', 'MODIFIED')

    def __init__(self, kubeconfig):
        self.of, self.kubeconfig, self.stopped = collections.defaultdict(list), kubeconfig, threading.Event()
        threading.Thread(target=self.watch, daemon=True).start()

    def note(self, run):
        seen, phase = self.of[run['metadata']['name']], run.get('status', {}).get('phase', 'Pending')
        if not seen or seen[-1] != phase:
            seen.append(phase)

    def watch(self):
        while not self.stopped.is_set():
            try:
                api = Api(self.kubeconfig)
                listed = api.call('GET', RUNS, retry=True)[1]
                for run in listed['items']:
                    self.note(run)
                for event in api.watch(RUNS + '?watch=true&timeoutSeconds=60&resourceVersion=' + listed['metadata']['resourceVersion']):
                    if event['type'] in self.events:
                        self.note(event['object'])
                    if self.stopped.is_set():
                        return
            except (OSError, http.client.HTTPException, ValueError, KeyError):
                time.sleep(0.02)      # the server is down for a moment

    def settle(self, names):
        """Waits until it has seen the end of all of them; then what would still change an end gets the chance to."""
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until and not all(set(self.of[name]) & set(TERMINAL) for name in names):
            time.sleep(0.05)
        time.sleep(0.2)
        self.stopped.set()

    def one_end(self, name):
        ends = [p for p in self.of[name] if p in TERMINAL]
        return len(ends) == 1 and self.of[name][-1] == ends[0]


TERMINAL = ('Succeeded', 'Failed', 'Timeout', 'Cancelled')


@contextlib.contextmanager
def instance():
    i = Instance()
    try:
        yield i.up()
    finally:
        i.down()
