#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Row 60: scheduler, controller and runtimed are killed at each failpoint in turn, under load: no Run is lost, none is executed
twice for one attempt, each ends once and right, nothing is left behind, and who died is back in a moment.

KR_POINTS=30 (a number by seed, or "all"), KR_SEED, KR_ONLY=WORD (those with the word in their name)."""
import hashlib, os, random, sys, urllib.parse
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *
import failpoints, gitserver
from gitserver import git

SEED, POINTS, ONLY = int(os.environ.get('KR_SEED', '20261127')), os.environ.get('KR_POINTS', '30'), os.environ.get('KR_ONLY', '')
FLOWS = '/apis/kruntimes.io/v1alpha1/namespaces/default/workflows'
PODS = '/api/v1/namespaces/default/pods'
MERGE = 'application/merge-patch+json'
LOST = ['ExecutionLost', 'PodLost', 'PodDrained']      # what a kill may cost an attempt
POOL_KILLS = 5      # then the pod is replaced: its node waits longer before each start

s = Suite()
if failpoints.missing(s):
    s.end()
armed = failpoints.Armed()
rnd = random.Random(SEED)
ALL = armed.names()
# Servers without Watch are tried with Python's grpcio (tests/interop/grpcio.py).
ELSEWHERE = [p for p in ALL if '.status.' in p or '.last-status.' in p]
# Passed several times in a round: killed at one of those by seed. The controller of the diamond at each of these.
OFTEN = ('execute', 'watch', 'forget', 'journal', 'write-end', 'spare', 'patch-runs/status')
DIAMOND = {'controller.create-runs': (2, 8, 14, 19, 20), 'controller.patch-workflows/status': (2,)}


until = within(30)


def chosen():
    """(point, at which hit), processes in turn, so that each has time to live between its kills."""
    points = [(p, 1) for p in ALL if p not in ELSEWHERE and ONLY in p]
    points += [(p, n) for p, _ in points for n in DIAMOND.get(p.rsplit('.', 1)[0], ())]
    if POINTS != 'all' and not ONLY:
        points = rnd.sample(points, min(int(POINTS), len(points)))
    by = {}
    for p in sorted(points, key=lambda p: (rnd.random(), p)):
        by.setdefault(p[0].split('.')[0], []).append(p)
    order = [(n / len(group), p) for group in by.values() for n, p in enumerate(group)]
    return [p for _, p in sorted(order)]


class Load:
    """What is submitted, and what must become of it."""
    def __init__(self, i):
        self.i, self.api, self.journal = i, i.api, os.path.join(i.dir, 'journal')
        self.runs, self.flows, self.gone, self.round = {}, {}, [], 0
        open(self.journal, 'w').close()

    def post(self, path, body):
        status, answer = self.api.call('POST', path, body, retry=True)
        s.check('%s is accepted' % body['metadata']['name'], status == 201, '%s %s' % (status, answer))
        return answer

    def run(self, kind, script, phase='Succeeded', check=None, runtime='bash', attempts=20, **spec):
        """A Run that notes each of its executions; lost attempts are made up for."""
        name = '%s-%02d' % (kind, self.round)
        body = run_object(name, ['echo "$KRUNTIME_RUN_NAME $KRUNTIME_RUN_UID $KRUNTIME_ATTEMPT" >> %s; %s' % (self.journal, script)], runtime,
                          retryPolicy={'maxAttempts': attempts, 'backoff': '20ms', **spec.pop('retry', {'retryableReasons': LOST})}, **spec)
        body['metadata']['labels'] = {'round': str(self.round)}
        self.post(RUNS, body)
        self.runs[name] = (phase, check or (lambda status: True))
        return name

    def flow(self, kind, jobs, **spec):
        name = '%s-%02d' % (kind, self.round)
        self.post(FLOWS, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': name}, 'spec': {'jobs': jobs, **spec}})
        self.flows[name] = len(jobs)
        return name

    def job(self, script, runtime='bash', **more):
        note = 'echo "$KRUNTIME_RUN_NAME $KRUNTIME_RUN_UID $KRUNTIME_ATTEMPT" >> %s; ' % self.journal
        return {'runs-on': runtime, 'steps': [{'name': 'step', 'run': note + script, 'retryPolicy': {'maxAttempts': 20, 'backoff': '20ms', 'retryableReasons': LOST}}], **more}

    def diamond(self):
        """20 jobs: one, eighteen side by side, one that has seen all of them."""
        jobs = {'first': self.job('echo v=1 >> $KRUNTIME_OUTPUTS', outputs={'v': '${{ steps.step.outputs.v }}'})}
        middle = ['m%02d' % k for k in range(18)]
        jobs.update({m: self.job('[ "$V" = 1 ]; echo v=%d >> $KRUNTIME_OUTPUTS' % k, needs=['first'], outputs={'v': '${{ steps.step.outputs.v }}'}) for k, m in enumerate(middle)})
        for m in middle:
            jobs[m]['steps'][0]['env'] = {'V': '${{ jobs.first.outputs.v }}'}
        jobs['last'] = self.job('[ "$SUM" = %s ]' % ','.join(map(str, range(18))), needs=middle)
        jobs['last']['steps'][0]['env'] = {'SUM': ','.join('${{ jobs.%s.outputs.v }}' % m for m in middle)}
        return self.flow('diamond', jobs)

    def base(self):
        self.diamond()
        self.run('ok', 'exit 0')
        self.run('slow', 'sleep 0.2; exit 0')
        self.run('seven', 'exit 7', 'Failed', lambda st: (st.get('reason'), st.get('exitCode')) == ('ExitCode', 7))
        self.run('retry', '[ $(grep -c "^$KRUNTIME_RUN_NAME " %s) -ge 3 ]' % self.journal, check=lambda st: st.get('attempt', 0) >= 3, retry={})
        self.run('timeout', 'sleep 60', 'Timeout', timeoutSeconds=1)
        self.run('outputs', 'echo k=v >> $KRUNTIME_OUTPUTS', check=lambda st: st.get('outputs') == {'k': 'v'})
        self.run('stored', 'echo %d > $KRUNTIME_ARTIFACTS_DIR/a' % self.round, check=lambda st: [a['name'] for a in st.get('artifactRefs', [])] == ['a'])
        cancel = self.run('cancel', 'sleep 60', 'Cancelled')
        s.equal('%s is asked to end' % cancel, self.api.call('PATCH', RUNS + '/' + cancel, {'spec': {'cancelRequested': True}}, MERGE, retry=True)[0], 200)

    def status(self, name, path=RUNS):
        code, answer = self.api.call('GET', path + '/' + name, retry=True)
        return answer.get('status', {}) if code == 200 else {}

    def is_over(self):
        """Of this round."""
        mine = self.api.call('GET', RUNS + '?labelSelector=' + urllib.parse.quote('round=%d' % self.round), retry=True)[1]['items']
        flows = [self.status(name, FLOWS) for name in self.flows if name.endswith('-%02d' % self.round)]
        return all(o.get('phase') in TERMINAL for o in flows + [r.get('status', {}) for r in mine])

    def goes(self, path):
        """An object that is deleted, or deletes itself."""
        self.gone.append(path)
        self.runs.pop(os.path.basename(path), None)
        self.flows.pop(os.path.basename(path), None)


# ---- what leads to a point that the load alone doesn't come to ----------------------------------------------------------------

def pod_of(l, runtime):
    """The pod of a pool of one, once it is ready; what is being deleted is none."""
    def look():
        pods = [p for p in l.api.call('GET', PODS, retry=True)[1]['items'] if p['metadata']['labels'].get('kruntimes.io/runtime') == runtime and 'deletionTimestamp' not in p['metadata']]
        ready = [p for p in pods if any(c['type'] == 'Ready' and c['status'] == 'True' for c in p.get('status', {}).get('conditions', []))]
        return ready[0]['metadata'] if len(ready) == 1 == len(pods) else None
    return until(look)


def kill(l, applet, uid):
    """The process of this pod, as soon as there is one."""
    def strike():
        with contextlib.suppress(OSError):
            for pid in l.i.pids(applet):
                if uid in open('/proc/%d/cmdline' % pid).read():
                    os.kill(pid, signal.SIGKILL)
                    return True
    s.check('%s is killed' % applet, until(strike))


def make_runtime(l, name, replicas):
    l.post(RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': name},
                      'spec': {'replicas': replicas, 'server': 'Injected', 'isolation': 'Process', 'capacity': {'resources': {'runs': 4}},
                               'artifactStore': {'driver': 'filesystem', 'filesystem': {'volumeClaimName': 'artifacts'}}, 'git': {'allowPrivateAddresses': True},
                               'template': {'spec': {'terminationGracePeriodSeconds': 30, 'containers': [{'name': 'runtime', 'image': 'local'}]}}}})


def runtime_comes_and_goes(l):
    name = 'pool-%02d' % l.round
    make_runtime(l, name, 0)
    until(lambda: l.status(name, RUNTIMES).get('observedGeneration'))
    l.api.call('DELETE', RUNTIMES + '/' + name, retry=True)
    l.goes(RUNTIMES + '/' + name)


def stored_goes(l):
    name = l.run('swept', 'echo x > $KRUNTIME_ARTIFACTS_DIR/a')
    until(lambda: l.status(name).get('phase') in TERMINAL)
    l.api.call('DELETE', RUNS + '/' + name, retry=True)
    l.goes(RUNS + '/' + name)


def run_with_ttl(l):
    l.goes(RUNS + '/' + l.run('brief', 'exit 0', ttlSecondsAfterFinished=0))


def flow_with_ttl(l):
    l.goes(FLOWS + '/' + l.flow('brief', {'a': l.job('exit 0')}, ttlSecondsAfterFinished=0))


def pod_is_lost(l):
    pod = pod_of(l, 'spare')
    name = l.run('stranded', '[ $KRUNTIME_ATTEMPT -gt 1 ] || sleep 60', runtime='spare')
    until(lambda: l.status(name).get('phase') == 'Running')
    l.api.call('DELETE', PODS + '/' + pod['name'] + '?gracePeriodSeconds=0', retry=True)


def replicas_are_lowered(l):
    pool, go = 'pool-%02d' % l.round, os.path.join(l.i.dir, 'go-%d' % l.round)
    make_runtime(l, pool, 2)
    until(lambda: l.status(pool, RUNTIMES).get('readyReplicas') == 2)
    name = l.run('kept', 'while [ ! -e %s ]; do sleep 0.01; done' % go, runtime=pool)
    until(lambda: l.status(name).get('phase') == 'Running')
    l.api.call('PATCH', RUNTIMES + '/' + pool, {'spec': {'replicas': 1}}, MERGE, retry=True)
    until(lambda: l.status(pool, RUNTIMES).get('replicas') == 1)
    open(go, 'w').close()
    until(lambda: l.status(name).get('phase') in TERMINAL)
    l.api.call('DELETE', RUNTIMES + '/' + pool, retry=True)
    l.goes(RUNTIMES + '/' + pool)


def pod_drains(l):
    pod = pod_of(l, 'spare')
    go = os.path.join(l.i.dir, 'go-%d' % l.round)
    name = l.run('handed-back', '[ $KRUNTIME_ATTEMPT -gt 1 ] || { while [ ! -e %s ]; do sleep 0.01; done; exit 1; }' % go, runtime='spare', retry={})
    until(lambda: l.status(name).get('phase') == 'Running')
    l.api.call('DELETE', PODS + '/' + pod['name'], retry=True)
    until(lambda: 'draining' in open(os.path.join(l.i.state, 'pods', pod['uid'], 'runtimed.log')).read())
    open(go, 'w').close()


def log_is_read(l):
    name = l.run('told', 'echo kept; echo x > $KRUNTIME_ARTIFACTS_DIR/a', runtime='spare')      # logs are stored beside artifacts
    until(lambda: l.status(name).get('phase') in TERMINAL)
    pod = pod_of(l, 'spare')
    l.api.call('DELETE', PODS + '/' + pod['name'] + '?gracePeriodSeconds=0', retry=True)
    until(lambda: pod_of(l, 'spare')['uid'] != pod['uid'])
    until(lambda: l.i.cli('run', 'logs', name) and not os.path.exists(armed.path(l.point)))
    l.after = lambda: s.equal('%s: the log is read later' % name, until(lambda: l.i.cli('run', 'logs', name).stdout), 'kept\n')


def artifact_is_read(l):
    name = l.run('fetched', 'echo kept > $KRUNTIME_ARTIFACTS_DIR/a', runtime='spare')
    until(lambda: l.status(name).get('phase') in TERMINAL)
    until(lambda: l.i.cli('artifact', 'download', name, 'a', '--dir', l.i.dir, '--force') and not os.path.exists(armed.path(l.point)))

    def after():
        done = until(lambda: (lambda r: r if r.returncode == 0 else None)(l.i.cli('artifact', 'download', name, 'a', '--dir', l.i.dir, '--force')))
        s.equal('%s: the artifact is read later' % name, done and open(l.i.dir + '/a').read(), 'kept\n')
    l.after = after


def source_is_fetched(l):
    l.run('git', 'cat file', runtime='spare', source={'repoURL': l.git, 'commitSHA': 'main'})


def artifact_is_brought(l):
    name = l.run('left', 'echo kept > $KRUNTIME_ARTIFACTS_DIR/a', runtime='spare')
    until(lambda: l.status(name).get('phase') in TERMINAL)
    l.run('takes', '[ "$(cat in/a)" = kept ]', runtime='spare', artifacts=[{'run': name, 'name': 'a', 'path': 'in/a'}])


def workspace_is_large(l):
    l.run('large', 'for k in {1..100}; do : > f$k; done', runtime='spare')


def execute_is_never_sent(l):
    """Whoever takes over doesn't know that. Alone: of a Run that is Running for an attempt before, as much is known."""
    until(l.is_over)
    armed.arm('runtimed.execute.before')
    l.run('unsent', 'exit 0')
    s.check('runtimed is killed before', armed.wait('runtimed.execute.before', 20))


def server_is_killed(l):
    kill(l, 'runtime-server', pod_of(l, 'bash')['uid'])


def daemon_is_killed(l):
    kill(l, 'runtimed', pod_of(l, 'bash')['uid'])


def run_goes_unseen(l):
    """Its runtimed is dead when its Run is deleted."""
    pod = pod_of(l, 'spare')
    name = l.run('unseen', 'sleep 60', runtime='spare')
    until(lambda: l.status(name).get('phase') == 'Running')
    kill(l, 'runtimed', pod['uid'])
    l.api.call('DELETE', RUNS + '/' + name, retry=True)
    l.goes(RUNS + '/' + name)


def upload_is_abandoned(l):
    """Somebody takes our finalizer away, and the Run with it."""
    name = l.run('torn', 'head -c 60000000 /dev/urandom > $KRUNTIME_ARTIFACTS_DIR/a')
    until(lambda: l.status(name).get('artifactStore'))
    l.torn.append(l.api.call('GET', RUNS + '/' + name, retry=True)[1]['metadata']['uid'])
    l.api.call('PATCH', RUNS + '/' + name, {'metadata': {'finalizers': None}}, MERGE, retry=True)
    l.api.call('DELETE', RUNS + '/' + name, retry=True)
    l.goes(RUNS + '/' + name)


TRIGGERS = (
    (r'controller\.\w+-(serviceaccounts|roles|rolebindings|deployments|networkpolicies|runtimes)', runtime_comes_and_goes),
    (r'controller\.(\w+-jobs|patch-runs)\.', stored_goes),
    (r'controller\.delete-runs', run_with_ttl),
    (r'controller\.delete-workflows', flow_with_ttl),
    (r'controller\.(patch-runs/status|create-events)', pod_is_lost),
    (r'controller\.patch-pods', replicas_are_lowered),
    (r'runtimed\.write-pending', pod_drains),
    (r'runtimed\.read-log', log_is_read),
    (r'runtimed\.read-artifact', artifact_is_read),
    (r'runtimed\.fetch-source', source_is_fetched),
    (r'runtimed\.bring-artifact', artifact_is_brought),
    (r'runtimed\.(remove-)?gone', workspace_is_large),
    (r'runtimed\.look-for', execute_is_never_sent),
    (r'runtimed\.file\.rename', server_is_killed),
    (r'runtimed\.(list|health)\.', daemon_is_killed),
    (r'runtimed\.end-leftover', run_goes_unseen),
    (r'runtimed\.remove-artifacts', upload_is_abandoned),
)


# ---- one kill --------------------------------------------------------------------------------------------------------------------

def elected(l, point):
    """A second process of the kind, for a namespace without anything, with an election: local instances have none."""
    what = point.split('.')[0]
    argv = [armed.binary, what, '--kubeconfig', os.path.join(l.i.state, 'kubeconfig'), '--namespace', 'nobody', '--lease-namespace', 'kube-system', '--identity', 'test',
            '--metrics-bind', 'off', '--probes-bind', 'off']
    lease = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kruntimes-' + what
    l.api.call('DELETE', lease, retry=True)
    armed.arm(point)
    log = open(os.path.join(l.i.dir, 'elected.log'), 'w')
    first = subprocess.Popen(argv, stderr=log)
    s.check('%s is reached' % point, armed.wait(point, 20), open(log.name).read())
    killed, before = time.monotonic(), l.api.call('GET', lease, retry=True)[1].get('spec', {}).get('renewTime')
    s.equal('%s: it dies' % point, first.wait(20), -signal.SIGKILL)
    again = subprocess.Popen(argv, stderr=log)
    s.check('%s: it leads again' % point, until(lambda: l.api.call('GET', lease, retry=True)[1].get('spec', {}).get('renewTime') not in (None, before)), open(log.name).read())
    took = time.monotonic() - killed
    again.terminate()
    s.equal('%s: and ends in order' % point, again.wait(20), 0)
    return took


def probe(l, name):
    """Its end shows that controller, scheduler and both pods' runtimed do their work."""
    return l.flow(name, {'a': l.job('exit 0'), 'b': l.job('exit 0', 'spare')})


def strike(l, point, hits):
    """Kills at the point under load; seconds until the instance has done new work from end to end, None when that says nothing."""
    l.after, l.point = None, point
    if 'leases' in point:
        return elected(l, point)
    trigger = next((t for pattern, t in TRIGGERS if re.match(pattern, point)), None)
    armed.arm(point, rnd.randint(1, 3) if hits == 1 and not trigger and any(word in point for word in OFTEN) else hits)
    l.base()
    if trigger:
        trigger(l)
    reached = armed.wait(point, 20)
    if not s.check('%s is reached' % point, reached, '' if reached else l.i.logs()):
        armed.disarm(point)
    killed, name = time.monotonic(), probe(l, 'probe')
    until(lambda: l.status(name, FLOWS).get('phase') in TERMINAL)
    took = time.monotonic() - killed
    s.check('%s: all of its round ends' % point, until(l.is_over, 60), [n for n in l.runs if n.endswith('-%02d' % l.round) and l.status(n).get('phase') not in TERMINAL])
    if l.after:
        l.after()
    return took if reached else None


def renew(l, runtime):
    pod = pod_of(l, runtime)
    l.api.call('DELETE', PODS + '/' + pod['name'] + '?gracePeriodSeconds=1', retry=True)
    s.check('a fresh pod', until(lambda: (lambda p: p and p['uid'] != pod['uid'])(pod_of(l, runtime))))


# ---- the verdict -----------------------------------------------------------------------------------------------------------------

def judge_runs(l, phases):
    items = {r['metadata']['name']: r for r in l.api.call('GET', RUNS)[1]['items']}
    executions = collections.Counter(tuple(line.split()) for line in open(l.journal))
    s.equal('no attempt is executed twice', [e for e, n in executions.items() if n > 1], [])
    ran = {(name, uid) for name, uid, _ in executions}
    for name, (phase, check) in l.runs.items():
        st = items.get(name, {}).get('status', {})
        s.check('%s ends right' % name, st.get('phase') == phase and check(st), json.dumps(st))
        if phase != 'Cancelled' and name in items:
            s.check('%s was executed' % name, (name, items[name]['metadata']['uid']) in ran, json.dumps(st))
        s.check('%s has one terminal phase' % name, phases.one_end(name), str(phases.of[name]))
    flows = {w['metadata']['name']: w for w in l.api.call('GET', FLOWS)[1]['items']}
    for name, jobs in l.flows.items():
        children = [r for r in items.values() if any(o['name'] == name for o in r['metadata'].get('ownerReferences', []))]
        s.equal('%s: a Run for each step' % name, len(children), jobs)
        s.equal('%s: each has succeeded once' % name, [(c['metadata']['name'], phases.of[c['metadata']['name']]) for c in children
                                                       if not phases.one_end(c['metadata']['name']) or c['status']['phase'] != 'Succeeded'], [])
        s.equal('%s: each was executed' % name, [c['metadata']['name'] for c in children if (c['metadata']['name'], c['metadata']['uid']) not in ran], [])
        s.equal('%s ends right' % name, flows.get(name, {}).get('status', {}).get('phase'), 'Succeeded')
    return items


def judge_leftovers(l, items):
    for path in l.gone:
        s.check('%s is gone' % path.rsplit('/', 2)[-1], until(lambda: l.api.call('GET', path)[0] == 404), path)
    store = os.path.join(l.i.state, 'volumes', 'default', 'artifacts')
    there = lambda: sorted(os.path.relpath(os.path.join(d, f), store) for d, _, files in os.walk(store) for f in files if '/logs' not in d and not any(u in d for u in l.torn))
    refs = sorted(a['location']['filesystem']['path'] for r in items.values() for a in r['status'].get('artifactRefs', []))
    s.check('the store holds what Runs refer to, whole, and nothing else', until(lambda: there() == refs), 'there: %s\nrefs: %s' % (there(), refs))
    for r in items.values():
        for a in r['status'].get('artifactRefs', []):
            with contextlib.suppress(FileNotFoundError):
                digest = 'sha256:' + hashlib.sha256(open(os.path.join(store, a['location']['filesystem']['path']), 'rb').read()).hexdigest()
                s.equal('digest of %s' % r['metadata']['name'], digest, a['digest'])
    s.check('no process of a Run is left', until(lambda: not l.i.executed()), str(l.i.executed()))
    s.check('no workspace is left', until(lambda: not l.i.workspaces()), str(l.i.workspaces()))


def main():
    with tempfile.TemporaryDirectory(prefix='kr-git-') as work, instance() as i:
        l = Load(i)
        l.torn = []
        git('init', '-q', work + '/tree')
        open(work + '/tree/file', 'w').write('from git\n')
        git('add', '-A', cwd=work + '/tree')
        git('commit', '-q', '-m', 'x', cwd=work + '/tree')
        git('clone', '-q', '--bare', work + '/tree', work + '/served/r.git')
        server = gitserver.Server(work + '/served')
        l.git = server.url('r.git')
        i.api.call('PATCH', RUNTIMES + '/bash', {'spec': {'replicas': 1, 'isolation': 'Process', 'capacity': {'resources': {'runs': 16}}}}, MERGE)
        make_runtime(l, 'spare', 1)
        s.check('both pools are up', until(lambda: pod_of(l, 'bash') and pod_of(l, 'spare') and l.status('bash', RUNTIMES).get('capacity') == {'runs': 16}), i.logs())
        phases, times, kills = Phases(os.path.join(i.state, 'kubeconfig')), {}, 0
        for point, hits in chosen():
            begin, name = time.monotonic(), '%s#%d' % (point, hits)
            times[name] = strike(l, point, hits)
            print('%-48s back after %5.2f s, %5.2f s in all' % (name, times[name] or -1, time.monotonic() - begin), flush=True)
            kills += point.startswith('runtimed')
            if kills == POOL_KILLS:
                renew(l, 'bash'), renew(l, 'spare')
                kills = 0
            l.round += 1
        phases.settle(l.runs)
        judge_leftovers(l, judge_runs(l, phases))
        back = sorted(t for t in times.values() if t is not None)
        if back:
            print('%d kills: new work is done after %.2f s (p50), %.2f s (max: %s)' % (len(back), back[len(back) // 2], back[-1], max(times, key=lambda p: times[p] or 0)))
        if s.failed:
            print('KR_SEED=%d' % SEED)
            print(i.logs())
    s.end()


main()
