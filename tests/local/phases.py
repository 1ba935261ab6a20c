#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each edge of the phase table that a local instance can walk, as a watcher sees it: the phases in their order, with the
attempt. Processes are stopped (SIGSTOP) where a Run is to be found in a phase that it would leave at once. The edges of a lost
pod beyond these are the reaper's golden plans; a pod that drains before a Run has started is in pods.py."""
import os, signal, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

MERGE = 'application/merge-patch+json'
BRIEF = ('brief', 'brief-bad', 'thrice', 'in-vain', 'c-backoff')      # what ends at once, or its first attempt
s = Suite()


def cancel(i, name):
    return i.api.call('PATCH', RUNS + '/' + name, {'spec': {'cancelRequested': True}}, MERGE)


def held(i, *applets):
    """Stops these processes for as long as a with lasts."""
    @contextlib.contextmanager
    def hold():
        pids = [pid for a in applets for pid in i.pids(a)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
    return hold()


def until(i, name, *phases, attempt=0):
    """Waits by a watch for one of these phases, in that attempt or a later one, or for the deadline; the status then."""
    status = {}
    for event in i.api.watch(RUNS + '?watch=true&timeoutSeconds=%d&fieldSelector=metadata.name%%3D%s' % (DEADLINE, name)):
        status = event['object'].get('status', {})
        if status.get('phase', 'Pending') in phases and status.get('attempt', 0) >= attempt:
            return status
    return status


def told(i, name, version):
    """What the history has of a Run since a version: "Phase attempt", repetitions left out."""
    seen = []
    for event in i.api.watch(RUNS + '?watch=true&timeoutSeconds=1&resourceVersion=%s&fieldSelector=metadata.name%%3D%s' % (version, name)):
        if event['type'] == 'BOOKMARK':
            continue
        status = event['object'].get('status', {})
        word = '%s %s' % (status.get('phase', 'Pending'), status.get('attempt', '-'))
        if not seen or seen[-1] != word:
            seen.append(word)
    return seen


with instance() as i:
    version = i.api.call('GET', RUNS)[1]['metadata']['resourceVersion']
    submit = lambda name, args, **spec: i.api.call('POST', RUNS, run_object(name, args, **spec))
    want = {}      # Run → what a watcher is to see, and the reason at the end

    # Scheduled, and straight to an end within the grace
    want['brief'] = (['Pending -', 'Scheduled 1', 'Succeeded 1'], None)
    want['brief-bad'] = (['Pending -', 'Scheduled 1', 'Failed 1'], 'ExitCode')
    submit('brief', ['true'])
    submit('brief-bad', ['exit 3'])
    # … and over Running
    want['long'] = (['Pending -', 'Scheduled 1', 'Running 1', 'Succeeded 1'], None)
    want['long-bad'] = (['Pending -', 'Scheduled 1', 'Running 1', 'Failed 1'], 'ExitCode')
    want['slow'] = (['Pending -', 'Scheduled 1', 'Running 1', 'Timeout 1'], 'Timeout')
    submit('long', ['sleep 0.5'])
    submit('long-bad', ['sleep 0.5; exit 3'])
    submit('slow', ['sleep 60'], timeoutSeconds=1)
    # Running, again and again
    want['thrice'] = (['Pending -', 'Scheduled 1', 'Running 2', 'Running 3', 'Succeeded 3'], None)
    want['in-vain'] = (['Pending -', 'Scheduled 1', 'Running 2', 'Failed 2'], 'ExitCode')
    submit('thrice', ['[ $KRUNTIME_ATTEMPT = 3 ]'], retryPolicy={'maxAttempts': 5, 'backoff': '10ms'})
    submit('in-vain', ['exit 4'], retryPolicy={'maxAttempts': 2, 'backoff': '10ms'})
    # what can never fit
    want['huge'] = (['Pending -', 'Failed -'], 'InvalidResources')
    submit('huge', ['true'], resources={'requests': {'runs': 1000}})
    for name in want:
        until(i, name, *TERMINAL)

    # cancelled: while Pending, while Scheduled, while Running, between two attempts
    want['c-pending'] = (['Pending -', 'Cancelled -'], 'Cancelled')
    submit('c-pending', ['true'], runtime='nowhere')
    cancel(i, 'c-pending')
    want['c-scheduled'] = (['Pending -', 'Scheduled 1', 'Cancelled 1'], 'Cancelled')
    with held(i, 'runtimed'):
        submit('c-scheduled', ['true'])
        until(i, 'c-scheduled', 'Scheduled')
        cancel(i, 'c-scheduled')
        for _ in range(2):                        # the server's answers to these come after it has sent the change to those that watch
            i.api.call('GET', RUNS + '/c-scheduled')
    want['c-running'] = (['Pending -', 'Scheduled 1', 'Running 1', 'Cancelled 1'], 'Cancelled')
    submit('c-running', ['sleep 60'])
    until(i, 'c-running', 'Running')
    cancel(i, 'c-running')
    want['c-backoff'] = (['Pending -', 'Scheduled 1', 'Running 2', 'Cancelled 2'], 'Cancelled')
    submit('c-backoff', ['exit 1'], retryPolicy={'maxAttempts': 2, 'backoff': '60s'})
    until(i, 'c-backoff', 'Running', attempt=2)
    cancel(i, 'c-backoff')
    for name in ('c-pending', 'c-scheduled', 'c-running', 'c-backoff'):
        s.equal(name + ' ends', until(i, name, *TERMINAL).get('phase'), 'Cancelled')
    s.check('what is cancelled while Scheduled is not executed', 'executed' not in i.api.call('GET', RUNS + '/c-scheduled')[1]['status'].get('timings', {}))

    # what the process did wins over a cancel that comes later
    want['too-late'] = (['Pending -', 'Scheduled 1', 'Running 1', 'Succeeded 1'], None)
    submit('too-late', ['until [ -e go ]; do read -t 0.02 <> <(:); done; exit 0'])
    until(i, 'too-late', 'Running')
    with held(i, 'controller', 'scheduler'):
        i.put('too-late', 'go')
        until(i, 'too-late', *TERMINAL)
        s.equal('a cancel of what is over is taken', cancel(i, 'too-late')[0], 200)

    # a pod was given more than it has: it counts what is asked for, not Runs
    i.api.call('POST', RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': 'gpus'}, 'spec': {
        'server': 'Injected', 'capacity': {'resources': {'runs': 8, 'gpu': 2}}, 'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'none'}]}}}})
    gpus = lambda name, n, args, **spec: submit(name, args, runtime='gpus', resources={'requests': {'gpu': n}}, **spec)
    gpus('gpu-a', 2, ['until [ -e go ]; do read -t 0.02 <> <(:); done; exit 0'])
    on = until(i, 'gpu-a', 'Running')
    gpus('gpu-b', 1, ['true'])
    i.api.call('PATCH', RUNS + '/gpu-b/status', {'status': {'phase': 'Scheduled', 'assignedPod': on['assignedPod'], 'assignedPodUID': on['assignedPodUID'], 'attempt': 1}}, MERGE)
    gpus('gpu-none', 0, ['true'], priority=10)
    s.equal('what needs none of it is served', until(i, 'gpu-none', *TERMINAL).get('phase'), 'Succeeded')
    s.equal('what needs more than is left waits, on its pod', until(i, 'gpu-b', 'Scheduled', *TERMINAL).get('phase'), 'Scheduled')
    i.put('gpu-a', 'go')
    b, a = until(i, 'gpu-b', *TERMINAL), until(i, 'gpu-a', *TERMINAL)
    s.check('and is executed once that is free', (a['phase'], b['phase']) == ('Succeeded', 'Succeeded') and b['timings']['started'] >= a['timings']['finished'], '%s %s' % (a, b))

    # a terminal phase never changes, whoever asks
    for name in ('brief', 'slow', 'c-running', 'long-bad'):
        phase = i.api.call('GET', RUNS + '/' + name)[1]['status']['phase']
        for other in ('Pending', 'Running', 'Succeeded', 'Failed', 'Timeout', 'Cancelled', None):
            if other != phase:
                status, answer = i.api.call('PATCH', RUNS + '/' + name + '/status', {'status': {'phase': other}}, MERGE)
                s.equal('%s: %s → %s is refused' % (name, phase, other), status, 422)
        s.equal(name + ': its status stays', i.api.call('PATCH', RUNS + '/' + name + '/status', {'status': None}, MERGE)[0], 422)
        s.equal(name + ': a label may change', i.api.call('PATCH', RUNS + '/' + name, {'metadata': {'labels': {'a': 'b'}}}, MERGE)[0], 200)

    for name, (phases, reason) in want.items():
        seen = told(i, name, version)
        if name in BRIEF and 'Running 1' in seen:      # where others keep the machine busy, it outlives the grace
            seen.remove('Running 1')
        s.equal(name, seen, phases)
        status = i.api.call('GET', RUNS + '/' + name)[1]['status']
        ends = {c['type']: c['status'] for c in status.get('conditions', []) if c['type'] in ('Finished', 'Succeeded')}
        s.equal(name + ': whoever wrote the end, it is whole', ('completionTime' in status, ends), (True, {'Finished': 'True', 'Succeeded': str(status['phase'] == 'Succeeded')}))
        s.equal(name + ': reason', i.api.call('GET', RUNS + '/' + name)[1]['status'].get('reason'), reason)
    if s.failed:
        print(i.logs())
s.end()
