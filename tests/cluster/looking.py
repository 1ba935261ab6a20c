#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What looks at a cluster: doctor, to whoever asks and with parts missing; top; events of Runtimes whose pods can't start; lists, logs and
selectors of the command line against a real API server."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *

s = Suite()
install()
ns = Space('looking')
here = lambda *words: cli(*words, '-n', ns.name)
rows = lambda *words: [line.split() for line in here(*words).stdout.splitlines()]
LONG = 'a-runtime-whose-name-is-too-long-for-that-of-a-deployment-too'


def says(what, done, code, *lines):
    """Exit code, and each line begins one of what was printed."""
    printed = done.stdout.splitlines()
    missing = [want for want in lines if not any(line.startswith(want) for line in printed)]
    s.check('doctor: ' + what, done.returncode == code and not missing, '%d, missing %s\n%s%s' % (done.returncode, missing, done.stdout, done.stderr))


# doctor
says('a namespace without Runtimes', here('doctor'), 3, 'ok    server: ', 'ok    kinds: runs.kruntimes.io is this release\'s', 'FAIL  runtimes: namespace "looking" has none')
ns.runtime('bash', replicas=1, runs=2)
s.check('the Runtime gets Ready', ns.wait_ready('bash', 120), ns.why())
says('all is well', here('doctor', '--role', 'runtime-admin'), 0, 'ok    credentials: you are "', 'ok    kinds: runtimes.kruntimes.io is this release\'s',
     'ok    kinds: workflows.kruntimes.io is this release\'s', 'ok    rights in namespace "looking": look at Runs', 'ok    controller: ', 'ok    scheduler: ',
     'ok    runtime/bash: 1 of 1 pods are ready', 'ok    scheduler: 0 Runs wait', 'all ')
says('somebody without rights', here('doctor', '--as', 'nobody-special'), 6, 'FAIL  rights: you may not look at Runs in namespace "looking"',
     '      who keeps the cluster can give you the role kruntimes-submitter')
kubectl('create', 'rolebinding', 'vic', '-n', ns.name, '--clusterrole', 'kruntimes-viewer', '--user', 'vic')
seen = until(lambda: 'all ' in (d := here('doctor', '--as', 'vic', '--role', 'viewer')).stdout and d)
says('a viewer', seen or here('doctor', '--as', 'vic', '--role', 'viewer'), 0, 'note  kinds: runs.kruntimes.io is there', 'note  rights in namespace "looking" that you don\'t have', 'all ')
says('no such namespace', cli('doctor', '-n', 'nowhere'), 3, 'FAIL  namespace: ')
with nobody_acts():
    ns.submit('untold', ['true'])
    says('nobody at work', here('doctor'), 7, 'FAIL  controller: none is at work', 'FAIL  scheduler: none is at work', '      kubectl -n kruntimes-system get pods')
s.check('they go on with what waited', ns.finished('untold', 120).get('phase') == 'Succeeded', ns.why())

# top
for name in ('t1', 't2', 't3'):
    ns.submit(name, ['sleep 600'])
s.check('two run', until(lambda: sum(ns.run_status(n).get('phase') == 'Running' for n in ('t1', 't2', 't3')) == 2), ns.why())
s.equal('top', [dict(zip(rows('top')[0], r)) for r in rows('top')[1:]], [{'NAME': 'bash', 'READY': '1/1', 'RUNS': '2', 'WAITING': '1', 'CPU': '<none>', 'MEMORY': '<none>', 'USED': 'runs=2/2'}])
s.check('top: of its capacity', 'runs=2/2' in here('top').stdout, here('top').stdout)
pod = ns.pods('bash')[0]['metadata']['name']
s.check('top pods', any(pod in r for r in rows('top', 'pods')), str(rows('top', 'pods')))
s.check('top of all namespaces', ['looking', 'bash'] in [r[:2] for r in rows('top', '-A')], str(rows('top', '-A')))

# lists, against the real server: pages, phases, labels, the newest
s.equal('phases', sorted(r[0] for r in rows('run', 'list', '--phase', 'Running,Pending,Scheduled', '--no-headers')), ['t1', 't2', 't3'])
s.equal('in pages', [r[0] for r in rows('run', 'list', '--chunk-size', '1', '--no-headers')], ['t1', 't2', 't3', 'untold'])
ns.api.call('PATCH', ns.runs + '/untold', {'metadata': {'labels': {'team': 'a'}}}, MERGE)
s.equal('columns of labels', [r[-1] for r in rows('run', 'list', '-L', 'team')], ['TEAM', '<none>', '<none>', '<none>', 'a'])
s.equal('the newest', rows('run', 'get', '@latest', '--no-headers')[0][0], max((r['metadata'] for r in ns.items(ns.runs)), key=lambda m: (m['creationTimestamp'], int(m['resourceVersion'])))['name'])
flow = {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': 'flow'}, 'spec': {'jobs': {'a': {'runs-on': 'nowhere', 'steps': [{'name': 's', 'run': 'x'}]}}}}
ns.api.call('POST', GROUP + '/namespaces/looking/workflows', flow)
s.check('phases of Workflows', until(lambda: [r[0] for r in rows('workflow', 'list', '--phase', 'Pending,Running', '--no-headers')] == ['flow']) and not rows('workflow', 'list', '--phase', 'Failed'))
here('workflow', 'delete', 'flow')
here('run', 'cancel', '--phase', 'Pending,Scheduled,Running')
ns.wait_runs(('t1', 't2', 't3'), 120)
for name in ('l1', 'l2'):
    ns.api.call('POST', ns.runs, dict(run_object(name, ['echo from %s' % name]), metadata={'name': name, 'labels': {'logs': 'y'}}))
ns.wait_runs(('l1', 'l2'), 120)
s.equal('logs of several', here('run', 'logs', '-l', 'logs=y').stdout, 'l1 | from l1\nl2 | from l2\n')
ns.submit('twice', ['echo attempt $KRUNTIME_ATTEMPT; [ $KRUNTIME_ATTEMPT = 2 ]'], retryPolicy={'maxAttempts': 2, 'backoff': '10ms'})
ns.finished('twice')
s.equal('logs of the attempt before', here('run', 'logs', 'twice', '--previous').stdout, 'attempt 1\n')

# events of what can't start, also where the Deployment's name is a hash
for name in ('broken', LONG):
    ns.runtime(name, image='localhost/there-is-none:1')
told = lambda name: [dict(zip(('last', 'type', 'reason', 'kind', 'name'), r)) for r in rows('events', 'runtime/' + name)[1:]]
for name in ('broken', LONG):
    about = until(lambda: [e for e in told(name) if e['kind'] == 'Pod' and e['reason'] in ('Failed', 'BackOff', 'ErrImageNeverPull')], 120)
    s.check('events: the image of %s can\'t be had' % name, about, str(told(name)) + ns.why())
    s.check('events: its Deployment and pods alone', all(e['name'].startswith('runtime-' + name[:40]) or e['name'] == name for e in told(name)), str(told(name)))
says('a Runtime that is broken', here('doctor'), 9, 'FAIL  runtime/broken: ', '      correct the Runtime; kruntimes runtime describe broken')
if s.failed:
    print(ns.why())
ns.delete()
s.end()
