#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Faults under load: what is killed, stopped, cut off or deleted, no Run is lost, ends twice, sticks, or is reaped for an outage.

Each fault meets KR_RUNS Runs that are being submitted (120; with KR_LONG=1, `make test-long`: 1,000 and longer faults). A watcher
follows each Run through all of it: the verdict is about what it saw, not about how things stand at the end.
KR_FAULTS=EXPRESSION: only the faults whose title it finds.
"""
import concurrent.futures, contextlib, http.client, os, random, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *

LONG = bool(os.environ.get('KR_LONG'))
RUNS = int(os.environ.get('KR_RUNS', '1000' if LONG else '120'))
WORKERS, SLOTS = 16, 16
AWAY, CUT = (30, 120) if LONG else (9, 15)      # seconds
SEED = int(os.environ.get('KR_SEED', '20261126'))
s = Suite()
install()
ns = Space('faults')
ONLY = os.environ.get('KR_FAULTS', '')
seen = collections.defaultdict(list)      # name → what a watcher saw: phases in order, an end with all that makes it one
stop = threading.Event()


def note(run):
    status, before = run.get('status', {}), seen[run['metadata']['name']]
    now = (status.get('phase', 'Pending'),)
    if now[0] in TERMINAL:      # an end that is written again would differ in one of these
        now += (status.get('attempt'), status.get('assignedPodUID'), status.get('completionTime'), json.dumps(status.get('timings'), sort_keys=True))
    if not before or before[-1] != now:
        before.append(now)


def ended_once(name):
    """The watcher saw this Run, saw one end of it, and nothing after that."""
    return [x[0] in TERMINAL for x in seen[name]].count(True) == 1 and seen[name][-1][0] in TERMINAL


def watch():
    """Follows every phase, from the last version on, through restarts of the API server."""
    api = Api(os.path.join(CLUSTER, 'admin.conf'))
    version = None
    while not stop.is_set():
        with contextlib.suppress(Exception):      # whatever an API server that is going down or coming up says
            if not version:
                listed = api.call('GET', ns.runs, retry=True)[1]
                version = listed['metadata']['resourceVersion']
                for run in listed['items']:
                    note(run)
            for event in api.watch(ns.runs + '?watch=true&timeoutSeconds=60&resourceVersion=' + version):
                if event['type'] == 'ERROR':
                    version = None
                    break
                version = event['object']['metadata']['resourceVersion']
                if event['type'] in ('ADDED', 'MODIFIED'):
                    note(event['object'])
        stop.wait(0.1)


def clear():
    kubectl('delete', 'runs', '-n', ns.name, '--all', '--wait=false')
    until(lambda: not ns.items(ns.runs + '?limit=1'), 60)


def submit(names, rnd, pause, longest):
    api = Api(os.path.join(CLUSTER, 'admin.conf'))
    codes = []
    for name in names:
        body = run_object(name, ['sleep %.2f' % rnd.uniform(0.01, longest)], retryPolicy={'maxAttempts': 20, 'backoff': '20ms'})
        while True:
            with contextlib.suppress(ValueError, OSError, http.client.HTTPException):      # an API server that is away for long
                code, answer = api.call('POST', ns.runs, body, retry=True)
                if code in (201, 409):
                    break
                if code < 500 and code != 429:
                    codes.append((code, str(answer)[:200]))
                    break
            stop.wait(0.2)
        stop.wait(pause)
    return codes


def trial(title, fault, seconds=0, attempts_stay=False):
    """A third is submitted, the fault comes, the rest is submitted meanwhile (over that many seconds); then all must end right."""
    if not re.search(ONLY, title):
        return
    tag, rnd = re.sub(r'[^a-z]+', '-', title.lower()).strip('-'), random.Random(SEED)
    names = ['%s-%04d' % (tag, n) for n in range(RUNS)]
    begin, third, bad = time.monotonic(), RUNS // 3, []
    ns.wait_ready('bash')

    def spread(part, seconds):
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            rnds = [random.Random(rnd.random()) for _ in range(WORKERS)]
            longest = max(2, 2 * SLOTS * seconds / len(part))      # so that always about SLOTS of them are in flight
            for codes in pool.map(lambda k: submit(part[k::WORKERS], rnds[k], seconds * WORKERS / len(part), longest), range(WORKERS)):
                bad.extend(codes)
    spread(names[:third], 0)
    rest = threading.Thread(target=spread, args=(names[third:], seconds))
    rest.start()
    in_flight = lambda: sum(bool(seen[n]) and seen[n][-1][0] == 'Running' for n in names[third:])
    s.check('%s: it meets Runs in flight' % title, until(lambda: in_flight() >= 4, 180))
    fault()
    rest.join()
    ends = ns.wait_runs(names, 600 if LONG else 240)
    until(lambda: all(map(ended_once, names)), 20)      # the watcher may be behind
    s.equal('%s: all are accepted' % title, bad, [])
    s.equal('%s: none is lost' % title, sorted(set(names) - set(ends)), [])
    status = {n: r.get('status', {}) for n, r in ends.items()}
    s.equal('%s: all Succeeded' % title, collections.Counter((x.get('phase'), x.get('reason')) for x in status.values()), {('Succeeded', None): RUNS})
    more = {n: x.get('attempt') for n, x in status.items() if x.get('attempt') != 1}
    if attempts_stay:
        s.equal('%s: none is reaped' % title, more, {})
    s.equal('%s: each is seen to end once' % title, {n: seen[n] for n in names if not ended_once(n)}, {})
    print('%-42s %5.1f s, %d Runs tried again' % (title, time.monotonic() - begin, len(more)), flush=True)
    if s.failed:
        left = [(n, x) for n, x in status.items() if x.get('phase') != 'Succeeded'][:3]
        print(json.dumps(left)[:3000], ns.why()[-6000:])
        sys.exit(s.end())
    clear()
    s.equal('%s: nothing is seen after an end' % title, {n: seen[n] for n in names if not ended_once(n)}, {})


def ours(applet):
    """PIDs of an applet's processes in pods."""
    return pids_of('kruntimes', applet)


def kill_each(applet, times=6 if LONG else 3):
    """Each time one of them; from the second time on, kubelet waits longer and longer before it starts a container again."""
    def fault():
        rnd = random.Random(SEED)
        for n in range(times):
            victims = until(lambda: ours(applet), 120)
            if not s.check('%s: there is one to kill' % applet, victims, 'the %d. time' % (n + 1)):
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(rnd.choice(victims), signal.SIGKILL)
            stop.wait(0.7)
    return fault


def delete_pods(grace):
    def fault():
        for pod in ns.pods('bash'):
            ns.api.call('DELETE', '%s/pods/%s?gracePeriodSeconds=%d' % (ns.core, pod['metadata']['name'], grace), retry=True)
            stop.wait(0.5)
    return fault


def answers():
    return kubectl('get', '--raw', '/readyz', check=False, timeout=20).returncode == 0


def restart(*names, times=3 if LONG else 1):
    def fault():
        for n in names * times:
            before = Component(n).pid()
            Component(n).kill()
            until(lambda: Component(n).pid() != before, 30)
            until(answers, 90)
    return fault


def away(name, seconds, meanwhile=lambda: None):
    """A part of Kubernetes is not there for a while, and something else happens meanwhile."""
    def fault():
        Component(name).hold()
        try:
            stop.wait(seconds / 3)
            meanwhile()
            stop.wait(seconds * 2 / 3)
        finally:
            Component(name).release()
        until(answers, 90)
    return fault


def holder(lease):
    return json.loads(kubectl('get', 'lease', '-n', SYSTEM, lease, '-o', 'json'))['spec'].get('holderIdentity', '')


def stop_leader(component, seconds):
    """SIGSTOP: it can't let go; the other one takes over when the lease is over, and it does no harm when it wakes."""
    def fault():
        pod = holder('kruntimes-' + component)
        mine = [p for p in ours(component) if ('KRUNTIMES_POD_NAME=' + pod) in open('/proc/%d/environ' % p).read().split('\0')]
        s.check('%s: the leader is found' % component, len(mine) == 1, '%s %s' % (pod, mine))
        since = time.monotonic()
        for p in mine:
            os.kill(p, signal.SIGSTOP)
        s.check('%s: another takes over' % component, until(lambda: holder('kruntimes-' + component) not in ('', pod), 45), holder('kruntimes-' + component))
        stop.wait(max(0, since + seconds - time.monotonic()))
        for p in mine:
            with contextlib.suppress(ProcessLookupError):      # its probe may have ended it
                os.kill(p, signal.SIGCONT)
    return fault


def cut_off(seconds):
    """One pod can't reach the API server: what it was given waits there, what it executes goes on."""
    def fault():
        pod = next(p for p in ns.pods('bash') if p.get('status', {}).get('podIP'))
        rule = ['INPUT', '-s', pod['status']['podIP'], '-p', 'tcp', '--dport', '6443', '-j', 'DROP']
        subprocess.run(['iptables', '-I', *rule], check=True)
        try:
            stop.wait(seconds)
            seen = subprocess.run(['iptables', '-nvxL', 'INPUT'], capture_output=True, text=True, check=True).stdout
        finally:
            subprocess.run(['iptables', '-D', *rule], check=True)
        dropped = re.search(r'^ *(\d+) .* DROP .* %s .*dpt:6443' % re.escape(pod['status']['podIP']), seen, re.M)
        s.check('it was cut off', dropped and int(dropped.group(1)) > 0, seen)
        s.check('the cut-off pod is still there', any(p['metadata']['uid'] == pod['metadata']['uid'] for p in ns.pods('bash')))
    return fault


ns.runtime('bash', replicas=2, runs=SLOTS)
s.check('the Runtime gets Ready', ns.wait_ready('bash'), ns.why() if s.failed else '')
clear()      # of a trial that was given up, on a cluster that stays
threading.Thread(target=watch, daemon=True).start()
for applet in ('controller', 'scheduler', 'runtimed', 'runtime-server'):
    trial('kill -9 ' + applet, kill_each(applet), seconds=90 if LONG else 2, attempts_stay=applet != 'runtime-server')
trial('delete pods within the grace', delete_pods(25))
trial('delete pods without grace', delete_pods(0))
trial('restart etcd and the API server', restart('etcd', 'kube-apiserver'), seconds=40 if LONG else 10, attempts_stay=True)
trial('kill kubelet', restart('kubelet'), attempts_stay=True)
trial('kill containerd', restart('containerd'), attempts_stay=True)
trial('kill kube-controller-manager', restart('kube-controller-manager'), attempts_stay=True)
trial('no containerd for a while', away('containerd', AWAY), seconds=AWAY, attempts_stay=True)
trial('no kube-controller-manager, pods deleted', away('kube-controller-manager', AWAY, delete_pods(25)), seconds=AWAY)
trial('no kube-scheduler, pods deleted', away('kube-scheduler', AWAY, delete_pods(25)), seconds=AWAY)
trial('stop the scheduler that leads', stop_leader('scheduler', 60 if LONG else 0), seconds=60 if LONG else 15, attempts_stay=True)
trial('stop the controller that leads', stop_leader('controller', 60 if LONG else 0), seconds=60 if LONG else 15, attempts_stay=True)
trial('cut a pod off the API', cut_off(CUT), seconds=CUT, attempts_stay=True)
trial('no API server for a while', away('kube-apiserver', CUT), seconds=CUT, attempts_stay=True)
stop.set()
ns.delete()
s.end()
