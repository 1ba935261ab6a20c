#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Faults under load: what is killed, stopped, cut off or deleted, no Run is lost, ends twice, sticks, or is reaped for an outage.

Each fault meets KR_RUNS Runs that are being submitted (120; with KR_LONG=1, `make test-long`: 1,000 and longer faults).
"""
import concurrent.futures, contextlib, http.client, os, random, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *

LONG = bool(os.environ.get('KR_LONG'))
RUNS = int(os.environ.get('KR_RUNS', '1000' if LONG else '120'))
WORKERS, SLOTS = 16, 16
SEED = int(os.environ.get('KR_SEED', '20261126'))
s = Suite()
install()
ns = Space('faults')
phases = collections.defaultdict(list)      # name → phases in the order a watcher saw them
stop = threading.Event()


def note(run):
    seen, phase = phases[run['metadata']['name']], run.get('status', {}).get('phase', 'Pending')
    if not seen or seen[-1] != phase:
        seen.append(phase)


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


def submit(names, rnd):
    api = Api(os.path.join(CLUSTER, 'admin.conf'))
    codes = []
    for name in names:
        body = run_object(name, ['sleep 0.0%d%d' % (rnd.randint(0, 9), rnd.randint(1, 9))], retryPolicy={'maxAttempts': 20, 'backoff': '20ms'})
        while True:
            with contextlib.suppress(ValueError):
                code, answer = api.call('POST', ns.runs, body, retry=True)
                if code in (201, 409):
                    break
                if code < 500 and code != 429:
                    codes.append((code, str(answer)[:200]))
                    break
            stop.wait(0.2)
    return codes


def trial(title, fault, attempts_stay=False):
    """A third is submitted, the fault comes, the rest is submitted meanwhile; then all must end right."""
    tag, rnd = re.sub(r'[^a-z]+', '-', title.lower()).strip('-'), random.Random(SEED)
    names = ['%s-%04d' % (tag, n) for n in range(RUNS)]
    begin, third, bad = time.monotonic(), RUNS // 3, []
    ns.wait_ready('bash')

    def spread(part):
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for codes in pool.map(lambda k: submit(part[k::WORKERS], random.Random(rnd.random())), range(WORKERS)):
                bad.extend(codes)
    spread(names[:third])
    rest = threading.Thread(target=spread, args=(names[third:],))
    rest.start()
    fault()
    rest.join()
    ends = ns.wait_runs(names, 600 if LONG else 240)
    s.equal('%s: all are accepted' % title, bad, [])
    s.equal('%s: none is lost' % title, sorted(set(names) - set(ends)), [])
    status = {n: r.get('status', {}) for n, r in ends.items()}
    s.equal('%s: all Succeeded' % title, collections.Counter((x.get('phase'), x.get('reason')) for x in status.values()), {('Succeeded', None): RUNS})
    more = {n: x.get('attempt') for n, x in status.items() if x.get('attempt') != 1}
    if attempts_stay:
        s.equal('%s: none is reaped' % title, more, {})
    twice = {n: phases[n] for n in names if sum(p in TERMINAL for p in phases[n]) > 1 or (phases[n] and phases[n][-1] not in TERMINAL and any(p in TERMINAL for p in phases[n]))}
    s.equal('%s: none ends twice' % title, twice, {})
    print('%-42s %5.1f s, %d Runs tried again' % (title, time.monotonic() - begin, len(more)))
    if s.failed:
        left = [(n, x) for n, x in status.items() if x.get('phase') != 'Succeeded'][:3]
        print(json.dumps(left)[:3000], ns.why()[-6000:])
        sys.exit(s.end())
    kubectl('delete', 'runs', '-n', ns.name, '--all', '--wait=false')
    until(lambda: not ns.items(ns.runs + '?limit=1'), 60)


def ours(applet):
    """PIDs of an applet's processes in pods."""
    return pids_of('kruntimes', applet)


def kill_each(applet, times=3):
    def fault():
        for n in range(times):
            victims = ours(applet)
            if victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(random.Random(SEED + n).choice(victims), signal.SIGKILL)
            stop.wait(0.7)
    return fault


def delete_pods(grace):
    def fault():
        for pod in ns.pods('bash'):
            ns.api.call('DELETE', '%s/pods/%s?gracePeriodSeconds=%d' % (ns.core, pod['metadata']['name'], grace), retry=True)
            stop.wait(0.5)
    return fault


def restart(*names):
    def fault():
        for n in names:
            Component(n).kill()
            until(lambda: kubectl('get', '--raw', '/readyz', check=False, timeout=20).returncode == 0, 90)
    return fault


def holder(lease):
    return json.loads(kubectl('get', 'lease', '-n', SYSTEM, lease, '-o', 'json'))['spec'].get('holderIdentity', '')


def stop_leader(component, seconds):
    """SIGSTOP: it can't let go; the other one takes over when the lease is over, and it does no harm when it wakes."""
    def fault():
        pod = holder('kruntimes-' + component)
        mine = [p for p in ours(component) if ('KRUNTIMES_POD_NAME=' + pod) in open('/proc/%d/environ' % p).read().split('\0')]
        s.check('%s: the leader is found' % component, len(mine) == 1, '%s %s' % (pod, mine))
        for p in mine:
            os.kill(p, signal.SIGSTOP)
        s.check('%s: another takes over' % component, until(lambda: holder('kruntimes-' + component) not in ('', pod), 45), holder('kruntimes-' + component))
        stop.wait(max(0, seconds - 20))
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
        stop.wait(seconds)
        subprocess.run(['iptables', '-D', *rule], check=True)
        s.check('the cut-off pod is still there', any(p['metadata']['uid'] == pod['metadata']['uid'] for p in ns.pods('bash')))
    return fault


ns.runtime('bash', replicas=2, runs=SLOTS)
s.check('the Runtime gets Ready', ns.wait_ready('bash'), ns.why() if s.failed else '')
threading.Thread(target=watch, daemon=True).start()
for applet in ('controller', 'scheduler', 'runtimed', 'runtime-server'):
    trial('kill -9 ' + applet, kill_each(applet))
trial('delete pods within the grace', delete_pods(25))
trial('delete pods without grace', delete_pods(0))
trial('restart etcd and the API server', restart('etcd', 'kube-apiserver'), attempts_stay=True)
trial('kill kubelet', lambda: Component('kubelet').kill(), attempts_stay=True)
trial('stop the scheduler that leads', stop_leader('scheduler', 60 if LONG else 0), attempts_stay=True)
trial('stop the controller that leads', stop_leader('controller', 60 if LONG else 0), attempts_stay=True)
trial('cut a pod off the API', cut_off(120 if LONG else 15), attempts_stay=True)
stop.set()
ns.delete()
s.end()
