#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run explain on a local instance: what it tells of a Run that waits is what the scheduler wrote, and each pod is told with its numbers."""
import os, signal, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()


def make_runtime(i, name, replicas, **resources):
    i.api.call('POST', RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': name},
               'spec': {'replicas': replicas, 'server': 'Injected', 'interpreter': ['bash'], 'capacity': {'resources': resources},
                        'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'local'}]}}}})
    s.check('pods of ' + name, until(lambda: i.api.call('GET', RUNTIMES + '/' + name)[1].get('status', {}).get('readyReplicas', 0) == replicas))


with instance() as i:
    def explain(name, *more):
        return i.cli('run', 'explain', name, *more)

    def add(name, args, **spec):
        status, answer = i.api.call('POST', RUNS, run_object(name, args, **spec))
        s.check('create ' + name, status == 201, str(answer))

    def status(name):
        return i.api.call('GET', RUNS + '/' + name)[1].get('status', {})

    def scheduled(name):
        return next((c for c in status(name).get('conditions', []) if c['type'] == 'Scheduled' and c['status'] == 'False'), None)

    def agrees(name, reason):
        """What the scheduler wrote and what explain tells are the same words."""
        s.check(name + ': the scheduler says why', until(lambda: scheduled(name) and scheduled(name)['reason'] == reason), str(scheduled(name)))
        told = explain(name)
        line = 'Waits:         %s: %s\n' % (reason, scheduled(name)['message'])
        s.check(name + ': explain says the same', told.returncode == 0 and line in told.stdout, '%r is not in %s' % (line, told.stdout))
        s.check(name + ': and what to do', '\nNext:  ' in told.stdout, told.stdout)
        return told.stdout

    make_runtime(i, 'small', 2, runs=1, gpu=2)
    for name in ('a', 'b'):
        add(name, ['sleep 600'], runtime='small')
        s.check(name + ' runs', until(lambda: status(name).get('phase') == 'Running'))
    add('c', ['true'], runtime='small', priority=5)
    add('d', ['true'], runtime='small', resources={'requests': {'gpu': 1}})
    agrees('c', 'InsufficientCapacity')
    text = agrees('d', 'InsufficientCapacity')
    s.check('both pods are told, with numbers', len(re.findall(r'^runtime-small\S* +local +runs=1/1,gpu=0/2 +full$', text, re.M)) == 2, text)
    s.check('and who is in front', 'In front:      1 Run, by priority and age\n' in text, text)
    s.check('and what it asks for', 'Asks for:      runs 1, gpu 1 of a pod; priority 0\n' in text, text)
    text = explain('a').stdout
    s.check('one that runs', re.search(r'^Runs: +on pod \S+ since 2', text, re.M) and 'it is here' in text, text)

    # no such Runtime, and what was probably meant
    add('typo', ['true'], runtime='smal')
    s.check('a near name', 'did you mean Runtime "small"?' in agrees('typo', 'RuntimeNotFound'))
    add('other', ['true'], runtime='entirely-different')
    text = agrees('other', 'RuntimeNotFound')
    s.check('those there are', 'Runtime "bash"' in text and 'Runtime "small"' in text, text)

    # affinity, in the words of the scheduler
    add('alone', ['sleep 600'], affinity={'runAntiAffinity': {'requiredDuringSchedulingIgnoredDuringExecution': [
        {'labelSelector': {'matchExpressions': [{'key': 'x', 'operator': 'DoesNotExist'}]}, 'topologyKey': 'kubernetes.io/hostname'}]}})
    s.equal('each pod is ruled out', len(re.findall(r'^runtime-bash\S+ .*ruled out by affinity$', agrees('alone', 'AffinityNotMet'), re.M)), 2)

    add('near', ['true'], affinity={'runAffinity': {'requiredDuringSchedulingIgnoredDuringExecution': [
        {'labelSelector': {'matchLabels': {'app': 'db'}}, 'topologyKey': 'kubernetes.io/hostname'}]}})
    agrees('near', 'AffinityNotMet')
    i.api.call('PATCH', RUNS + '/a', {'metadata': {'labels': {'app': 'db'}}}, 'application/merge-patch+json')      # of another Runtime
    s.equal('near: it goes when one that runs is called so', i.wait({'near'}).get('near', {}).get('status', {}).get('phase'), 'Succeeded')

    # no pods, none ready
    make_runtime(i, 'parked', 0, runs=1)
    add('nopods', ['true'], runtime='parked')
    agrees('nopods', 'NoPods')

    # a pause before the next attempt, on its pod; over; not there
    add('again', ['exit 3'], retryPolicy={'maxAttempts': 2, 'backoff': '60s'})
    s.check('it waits to be tried again', until(lambda: status('again').get('nextAttemptTime')))
    text = explain('again').stdout
    s.check('until when', status('again')['nextAttemptTime'] in text and 'before it tries again' in text, text)
    add('big', ['true'], runtime='small', resources={'requests': {'gpu': 5}})
    i.wait({'big'})
    text = explain('big').stdout
    s.check('one that is over', 'Is over:       InvalidResources: requests 5 of "gpu"' in text, text)
    r = explain('nobody')
    s.check('one that is not there', r.returncode == 3 and 'not found' in r.stderr and not r.stdout, r.stderr)

    # a scheduler that does nothing is told from one that can't
    stopped = i.pids('scheduler')
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    add('idle', ['true'])
    text = explain('idle').stdout
    s.check('a pod has room, and nobody assigns', re.search(r'^Waits: +pod runtime-bash\S+ has room for it \(least loaded', text, re.M) and 'kruntimes doctor' in text, text)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)

    # --watch: again with each change, until it runs
    watch = subprocess.Popen([BINARY, 'run', 'explain', 'd', '-w'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=i.env)
    seen = []
    for line in watch.stdout:
        seen.append(line)
        if line.startswith('Waits:'):
            break
    for name in ('a', 'b'):
        i.api.call('PATCH', RUNS + '/' + name, {'spec': {'cancelRequested': True}}, 'application/merge-patch+json')
    seen.append(watch.stdout.read())
    text = ''.join(seen)
    s.equal('watch ends by itself', watch.wait(DEADLINE), 0)
    s.check('it waited, and then it is over or runs', 'InsufficientCapacity' in text and ('\nIs over:' in text or '\nRuns:' in text), text)
    if s.failed:
        print(i.logs())
s.end()
