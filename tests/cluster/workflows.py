#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Workflows on a real Kubernetes: pipelines from end to end, cancels, a rolling update, a lost pod and its rerun, many at once."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *

OVER = ('Succeeded', 'Failed', 'Cancelled')
MANY, STEPS = (200 if os.environ.get('KR_LONG') else 25), 10

s = Suite()
install()
ns = Space('workflows')
flows = GROUP + '/namespaces/%s/workflows' % ns.name
ns.runtime('bash', replicas=2, runs=8)
s.check('the Runtime gets Ready', ns.wait_ready('bash'), json.dumps(ns.runtime_status('bash')))


def make(name, jobs, **spec):
    for j in jobs.values():
        j.setdefault('runs-on', 'bash')
    status, answer = ns.api.call('POST', flows, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': name}, 'spec': dict(spec, jobs=jobs)}, retry=True)
    s.equal('created ' + name, (status, answer.get('message')), (201, None))


def step(name, run='true', **more):
    return dict(more, name=name, run=run)


def status(name):
    return ns.get(flows + '/' + name).get('status', {})


def end(name, seconds=90):
    until(lambda: status(name).get('phase') in OVER, seconds, 0.05)
    return status(name)


def children(name):
    return ns.items(ns.runs + '?labelSelector=kruntimes.io/workflow-uid%3D' + ns.get(flows + '/' + name)['metadata']['uid'])


def child(name, job, st):
    """Of a job's step: the status, once there is one that has a pod."""
    def there():
        return next((r['status'] for r in children(name) if r['metadata']['labels']['kruntimes.io/job'] == job and
                     r['metadata']['labels']['kruntimes.io/step'] == st and r.get('status', {}).get('phase') == 'Running'), None)
    return until(there, 60, 0.05) or {}


def steps_of(name):
    return {j: [leg['steps'] for leg in v['legs']] for j, v in status(name).get('jobs', {}).items()}


def asked():
    """Lists of Runs that the API server has answered."""
    return sum(float(line.rsplit(' ', 1)[1]) for line in kubectl('get', '--raw', '/metrics').splitlines()
               if line.startswith('apiserver_request_total{') and 'resource="runs"' in line and 'verb="LIST"' in line)


# a pipeline: one directory for the steps of a job, outputs through two jobs, a matrix, a step that is skipped
make('pipeline', {
    'build': {'outputs': {'v': '${{ steps.make.outputs.v }}'}, 'steps': [step('make', 'echo made > f; echo v=42 >> $KRUNTIME_OUTPUTS'), step('look', '[ "$(cat f)" = made ]'),
              step('never', 'exit 9', **{'if': 'failure()'})]},
    'test': {'needs': ['build'], 'strategy': {'matrix': {'os': ['linux', 'bsd', 'plan9']}},
             'steps': [step('try', '[ "$V" = 42 ]; echo on $OS', env={'V': '${{ jobs.build.outputs.v }}', 'OS': '${{ matrix.os }}'})]}},
     outputs={'v': '${{ jobs.build.outputs.v }}'})
e = end('pipeline')
s.equal('the pipeline succeeds', (e.get('phase'), e.get('outputs')), ('Succeeded', {'v': '42'}))
s.equal('its steps', steps_of('pipeline'), {'build': ['SSK'], 'test': ['S', 'S', 'S']})
s.equal('kubectl waits for it', kubectl('wait', '-n', ns.name, '--for=condition=Finished', 'workflow/pipeline', '--timeout=10s').strip(), 'workflow.kruntimes.io/pipeline condition met')
r = cli('workflow', 'logs', 'pipeline', '-n', ns.name)
s.equal('its output, by port-forward', sorted(line.split('|')[-1].strip() for line in r.stdout.splitlines()), ['on bsd', 'on linux', 'on plan9'])

# the sample, as anybody would send it
done = kubectl('create', '-n', ns.name, '-f', os.path.join(TOP, 'manifests', 'samples', 'workflow.yaml'), check=False)
s.check('the sample is taken', done.returncode == 0, done.stderr)
name = re.sub(r'.*/(\S+) created', r'\1', done.stdout.strip())
s.equal('the sample succeeds', end(name).get('phase'), 'Succeeded')

# many legs: where a workspace is needs not be asked for, and the status stays a few writes
before = asked()
make('wide', {'a': {'strategy': {'matrix': {'k': [str(k) for k in range(48)]}}, 'steps': [step('s', 'echo 1 > f'), step('t', '[ $(cat f) = 1 ]')]}})
s.equal('48 legs succeed', (end('wide').get('phase'), set(steps_of('wide').get('a', []))), ('Succeeded', {'SS'}))
s.check('no list of Runs for each of them', asked() - before < 48, asked() - before)

# cancelled: what runs ends, what is always() runs
make('cancelled', {'a': {'steps': [step('long', 'sleep 600'), step('next'), step('clean', 'echo clean', **{'if': 'always()'})]}})
child('cancelled', 'a', 'long')
ns.api.call('PATCH', flows + '/cancelled', {'spec': {'cancelRequested': True}}, MERGE)
s.equal('cancelled', (end('cancelled').get('phase'), steps_of('cancelled')), ('Cancelled', {'a': ['CCS']}))

# what the server refuses, and what the controller does
code, answer = ns.api.call('POST', flows, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': 'self'}, 'spec': {'jobs': {'a': {'runs-on': 'bash', 'needs': ['a'], 'steps': [step('s')]}}}})
s.equal('a job that needs itself is refused', code, 422)
make('circle', {'a': {'needs': ['b'], 'steps': [step('s')]}, 'b': {'needs': ['a'], 'steps': [step('s')]}})
e = end('circle')
s.equal('a circle ends at once', (e.get('phase'), e.get('reason'), len(children('circle'))), ('Failed', 'InvalidWorkflow', 0))

# a rolling update under a job: the pod stays for the steps that are still to come
make('updated', {'a': {'steps': [step('one', 'echo 1 > f; sleep 3')] + [step('s%d' % k, '[ $(cat f) = 1 ]; sleep 0.2') for k in range(5)]}})
on = child('updated', 'a', 'one').get('assignedPodUID')
ns.runtime('bash', replicas=2, runs=9)
s.equal('a job outlives a rolling update', (end('updated').get('phase'), {r['status'].get('assignedPodUID') for r in children('updated')}), ('Succeeded', {on}))
s.check('the update gets through', ns.wait_ready('bash'), ns.why())

# its pod is lost: WorkspaceLost, and rerun --failed executes that job again elsewhere
make('lost', {'first': {'outputs': {'n': '${{ steps.s.outputs.n }}'}, 'steps': [step('s', 'echo n=$RANDOM$RANDOM >> $KRUNTIME_OUTPUTS')]},
              'second': {'needs': ['first'], 'steps': [step('s', 'echo 1 > f; until [ -e /tmp/go ] || [ "$AGAIN" = again ]; do sleep 0.2; done',
                                                            env={'N': '${{ jobs.first.outputs.n }}', 'AGAIN': "${{ workflow.name != 'lost' ? 'again' : '' }}"}), step('t', '[ $(cat f) = 1 ]')]}})
pod = child('lost', 'second', 's').get('assignedPod')
kubectl('delete', 'pod', '-n', ns.name, '--grace-period=0', '--force', pod, check=False)
e = end('lost')
n = e['jobs']['first'].get('outputs')
s.equal('a lost pod', (e.get('phase'), 'WorkspaceLost' in e.get('message', ''), steps_of('lost')), ('Failed', True, {'first': ['S'], 'second': ['FK']}))
r = cli('workflow', 'rerun', 'lost', '--failed', '-n', ns.name)
s.equal('rerun', r.returncode, 0)
again = re.search(r'workflow/(\S+) created', r.stdout).group(1)          # by its word: two may be made in one second
e = end(again)
s.equal('rerun --failed mends it', (again != 'lost', e.get('phase'), {r['metadata']['labels']['kruntimes.io/job'] for r in children(again)}, bool(n)), (True, 'Succeeded', {'second'}, True))
s.equal('and keeps the outputs of what had succeeded', ns.get(flows + '/' + again)['status']['jobs']['first'].get('outputs'), n)

# many at once, the controllers killed meanwhile
begin = time.monotonic()
for k in range(MANY):
    make('many-%d' % k, {'a': {'steps': [step('s%d' % j, 'echo %d >> n; [ $(wc -l < n) -gt %d ]' % (j, j)) for j in range(STEPS)]}})
for applet in ('controller', 'scheduler'):
    for pid in pids_of('kruntimes', applet):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
phases = lambda: {w['metadata']['name']: w.get('status', {}).get('phase') for w in ns.items(flows) if w['metadata']['name'].startswith('many-')}
until(lambda: set(phases().values()) <= set(OVER), 600, 0.5)
took = time.monotonic() - begin
s.equal('all of many succeed', sorted(set(phases().values())), ['Succeeded'])
s.equal('each step once', len([r for r in ns.items(ns.runs) if r['metadata']['name'].startswith('many-')]), MANY * STEPS)
print('%d Workflows of %d steps: %.1f s, controllers and schedulers killed once' % (MANY, STEPS, took))

# what belongs to a Workflow goes with it
for w in ns.items(flows):
    ns.api.call('DELETE', flows + '/' + w['metadata']['name'])
s.check('deleted Workflows take their Runs along', until(lambda: not ns.items(ns.runs), 120), len(ns.items(ns.runs)))
if s.failed:
    print(ns.why())
ns.delete()
s.end()
