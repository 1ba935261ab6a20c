#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pools on a local instance: drain, scale, deletion, and an instance that goes down and comes up again."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

PODS = '/api/v1/namespaces/default/pods'
s = Suite()


until = within(30)


def status(i, name):
    return i.api.call('GET', RUNS + '/' + name)[1].get('status', {})


def pods(i):
    return [p['metadata']['name'] for p in i.api.call('GET', PODS)[1]['items'] if 'deletionTimestamp' not in p['metadata']]


with instance() as i:
    s.equal('parts are visible as processes', [len(i.pids(a)) for a in ('apiserver', 'controller', 'scheduler', 'node', 'runtimed', 'runtime-server')], [1, 1, 1, 1, 2, 2])

    # a volume that hands its group down, as one with an fsGroup does
    for base, folders, _ in os.walk(i.state):
        if 'workspace' in folders:
            os.chmod(os.path.join(base, 'workspace'), 0o2775)
    i.api.call('POST', RUNS, run_object('group', ['echo k=v >>$KRUNTIME_OUTPUTS']))
    until(lambda: status(i, 'group').get('phase') in TERMINAL)
    s.equal('its folders are no artifacts', (status(i, 'group')['phase'], status(i, 'group').get('outputs')), ('Succeeded', {'k': 'v'}))

    # a pod is deleted under a Run: it may end within the grace
    i.api.call('POST', RUNS, run_object('short', ['sleep 1; echo done']))
    until(lambda: status(i, 'short').get('phase') == 'Running')
    pod = status(i, 'short')['assignedPod']
    i.api.call('DELETE', PODS + '/' + pod)
    until(lambda: status(i, 'short').get('phase') in TERMINAL)
    s.equal('drain: what runs may end', (status(i, 'short')['phase'], status(i, 'short')['assignedPod'], status(i, 'short')['attempt']), ('Succeeded', pod, 1))
    s.check('drain: a new pod comes', until(lambda: len(pods(i)) == 2 and pod not in pods(i)), str(pods(i)))

    # past the grace: cancelled there, tried elsewhere
    i.api.call('POST', RUNS, run_object('long', ['[ $KRUNTIME_ATTEMPT = 2 ] || sleep 60'], retryPolicy={'maxAttempts': 2, 'backoff': '10ms'}))
    until(lambda: status(i, 'long').get('phase') == 'Running')
    pod = status(i, 'long')['assignedPod']
    i.api.call('DELETE', PODS + '/' + pod + '?gracePeriodSeconds=1')
    until(lambda: status(i, 'long').get('phase') in TERMINAL)
    s.equal('drain: what does not end is tried elsewhere', (status(i, 'long')['phase'], status(i, 'long')['attempt']), ('Succeeded', 2))
    s.check('drain: on another pod', status(i, 'long')['assignedPod'] != pod)

    # the grace may be made shorter while it lasts: the Run isn't drained, its pod is lost
    i.api.call('POST', RUNS, run_object('impatient', ['sleep 60']))
    until(lambda: status(i, 'impatient').get('phase') == 'Running')
    pod = status(i, 'impatient')['assignedPod']
    for grace in ('', '?gracePeriodSeconds=1', '?gracePeriodSeconds=600'):
        i.api.call('DELETE', PODS + '/' + pod + grace)
    until(lambda: status(i, 'impatient').get('phase') in TERMINAL)
    s.equal('drain: a second delete may shorten the grace', (status(i, 'impatient')['phase'], status(i, 'impatient').get('reason')), ('Failed', 'PodLost'))

    # who may annotate a pod may write anything there: its Runtime is looked after all the same
    note = lambda text: i.api.call('PATCH', PODS + '/' + pods(i)[0], {'metadata': {'annotations': {'kruntimes.io/capacity.runs': text}}}, 'application/merge-patch+json')
    runtime = lambda: i.api.call('GET', RUNTIMES + '/bash')[1]
    for text in ('-9223372036854775808', '9223372036854775807'):
        note(text)
        s.check('a pod says it takes %s Runs: that does not count' % text, until(lambda: runtime()['status'].get('capacity') == {'runs': 4}), str(runtime()['status']))
    note('4')
    s.check('it takes 4 again', until(lambda: runtime()['status'].get('capacity') == {'runs': 8}), str(runtime()['status']))

    # scale
    scale = lambda n: i.api.call('PATCH', RUNTIMES + '/bash', {'spec': {'replicas': n}}, 'application/merge-patch+json')
    ready = lambda: i.api.call('GET', RUNTIMES + '/bash')[1].get('status', {}).get('readyReplicas')
    scale(4)
    s.check('scale up', until(lambda: ready() == 4 and len(pods(i)) == 4))
    busy = ['busy-%d' % n for n in range(4)]
    for name in busy:
        i.api.call('POST', RUNS, run_object(name, ['sleep 60']))
    until(lambda: all(status(i, name).get('phase') == 'Running' for name in busy))
    where = {status(i, name)['assignedPod']: name for name in busy}
    s.equal('each pod executes one', sorted(where), sorted(pods(i)))
    newest = max(i.api.call('GET', PODS)[1]['items'], key=lambda p: p['metadata']['creationTimestamp'])['metadata']['name']
    end = lambda name: i.api.call('PATCH', RUNS + '/' + name, {'spec': {'cancelRequested': True}}, 'application/merge-patch+json')
    for name in busy:
        if name != where[newest]:
            end(name)
    until(lambda: [status(i, name).get('phase') in TERMINAL for name in busy].count(True) == 3)
    scale(1)
    s.check('scale down: the pod that executes something stays, though it is the newest', until(lambda: len(pods(i)) == 1) and pods(i) == [newest], (pods(i), newest))
    cost = i.api.call('GET', PODS + '/' + newest)[1].get('metadata', {}).get('annotations', {}).get('controller.kubernetes.io/pod-deletion-cost')
    s.equal('scale down: its Run goes on, and what it costs was told', (status(i, where[newest]).get('phase'), cost), ('Running', '1'))
    end(where[newest])
    s.check('scale down', until(lambda: ready() == 1 and len(i.pids('runtimed')) == 1), str(ready()))
    scale(0)
    s.check('parked', until(lambda: not i.pids('runtimed')))
    i.api.call('POST', RUNS, run_object('parked', ['echo woken']))
    scale(2)
    i.wait({'parked'})
    s.equal('a parked pool wakes', status(i, 'parked').get('phase'), 'Succeeded')

    # an image can't be run here, and the pod says so
    i.api.call('POST', RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': 'image'},
                                 'spec': {'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'python:3'}]}}}})
    waiting = until(lambda: [p['status']['containerStatuses'][0]['state']['waiting']['message'] for p in i.api.call('GET', PODS)[1]['items']
                             if p['metadata']['labels'].get('kruntimes.io/runtime') == 'image' and 'waiting' in p.get('status', {}).get('containerStatuses', [{'state': {}}])[0]['state']])
    s.check('no images here', waiting and 'Injected' in waiting[0], str(waiting))

    # so many pods of a Deployment and no more; the second number shows that the node has looked again
    image = lambda: i.api.call('GET', '/apis/apps/v1/namespaces/default/deployments/runtime-image')[1]
    of_image = lambda: [p for p in i.api.call('GET', PODS)[1]['items'] if p['metadata']['labels'].get('kruntimes.io/runtime') == 'image']
    for wanted in (66, 67):
        i.api.call('PATCH', RUNTIMES + '/image', {'spec': {'replicas': wanted}}, 'application/merge-patch+json')
        s.check('%d pods are wanted' % wanted, until(lambda: (image()['spec']['replicas'], image()['status'].get('observedGeneration'), image()['status'].get('replicas')) ==
                                                     (wanted, image()['metadata']['generation'], 64), 120), str(image().get('status')))
    s.equal('64 pods of a Deployment, and no more', len(of_image()), 64)
    s.check('the Runtime says so', until(lambda: '67 pods are wanted, 64 are the most' in json.dumps(i.api.call('GET', RUNTIMES + '/image')[1].get('status'))),
            json.dumps(i.api.call('GET', RUNTIMES + '/image')[1].get('status')))

    # deleting a Runtime drains its pool
    i.api.call('DELETE', RUNTIMES + '/image')
    s.check('a Runtime goes when its pods have', until(lambda: i.api.call('GET', RUNTIMES + '/image')[0] == 404, 120))
    s.check('and takes what it owned', until(lambda: i.api.call('GET', '/apis/apps/v1/namespaces/default/deployments/runtime-image')[0] == 404, 120))

    # what a user takes out of the template goes, what others put on the Deployment stays
    deployment = '/apis/apps/v1/namespaces/default/deployments/' + i.api.call('GET', '/apis/apps/v1/namespaces/default/deployments')[1]['items'][0]['metadata']['name']
    env = lambda: i.api.call('GET', deployment)[1]['spec']['template']['spec']['containers'][0].get('env', [])
    template = lambda value: i.api.call('PATCH', RUNTIMES + '/bash', {'spec': {'template': {'spec': {'containers': [value]}}}}, 'application/merge-patch+json')
    container = i.api.call('GET', RUNTIMES + '/bash')[1]['spec']['template']['spec']['containers'][0]
    i.api.call('PATCH', deployment, {'metadata': {'labels': {'mine': 'stays'}}}, 'application/merge-patch+json')
    template(dict(container, env=[{'name': 'ADDED', 'value': '1'}]))
    s.check('the template changes', until(lambda: 'ADDED' in [e['name'] for e in env()]))
    template(container)
    s.check('and changes back', until(lambda: 'ADDED' not in [e['name'] for e in env()]), str(env()))
    s.equal('a label of others stays', i.api.call('GET', deployment)[1]['metadata']['labels'].get('mine'), 'stays')

    # a Deployment goes without its pods: they live, and the next one, which the Runtime makes at once, takes them up. Else they go with it
    uid = lambda: i.api.call('GET', deployment)[1].get('metadata', {}).get('uid')
    owned = lambda: {p['metadata']['name']: [o['uid'] for o in p['metadata'].get('ownerReferences', [])] for p in i.api.call('GET', PODS)[1]['items']}
    until(lambda: len(owned()) == 2)
    for policy in ('Orphan', 'Background', 'Foreground'):
        was, before = uid(), sorted(owned())
        i.api.call('DELETE', deployment + '?propagationPolicy=' + policy)
        s.check('%s: the next Deployment has its pods' % policy, until(lambda: uid() not in (None, was) and len(owned()) == 2 and all(o == [uid()] for o in owned().values())), owned())
        s.equal('%s: are they those of the last one' % policy, [n in before for n in owned()], [policy == 'Orphan'] * 2)
    until(lambda: ready() == 2)

    # a pod drains before a Run on it has started: back to Pending, at no cost
    i.api.call('PATCH', RUNTIMES + '/bash', {'spec': {'capacity': {'resources': {'runs': 1}}}}, 'application/merge-patch+json')
    one_slot = lambda: [p for p in i.api.call('GET', PODS)[1]['items'] if p['metadata']['annotations'].get('kruntimes.io/capacity.runs') == '1'
                        and any(c['type'] == 'Ready' and c['status'] == 'True' for c in p.get('status', {}).get('conditions', []))]
    until(lambda: len(one_slot()) == 2 and len(pods(i)) == 2)
    for name in ('busy-a', 'busy-b'):
        i.api.call('POST', RUNS, run_object(name, ['until [ -e go ]; do read -t 0.05 <> <(:); done; exit 0']))
        until(lambda: status(i, name).get('phase') == 'Running')
    version = i.api.call('POST', RUNS, run_object('unstarted', ['echo at last']))[1]['metadata']['resourceVersion']
    pod = one_slot()[0]
    i.api.call('PATCH', RUNS + '/unstarted/status', {'status': {'phase': 'Scheduled', 'assignedPod': pod['metadata']['name'],
               'assignedPodUID': pod['metadata']['uid'], 'attempt': 1}}, 'application/merge-patch+json')
    i.api.call('DELETE', PODS + '/' + pod['metadata']['name'])
    s.check('it leaves the pod', until(lambda: status(i, 'unstarted').get('assignedPod') != pod['metadata']['name']))
    for name in ('busy-a', 'busy-b'):
        i.put(name, 'go')
    i.wait({'unstarted', 'busy-a', 'busy-b'})
    seen = [e['object']['status'].get('phase') for e in i.api.watch(RUNS + '?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%%3Dunstarted&resourceVersion=%s' % version)
            if e['type'] == 'MODIFIED']
    s.equal('Scheduled, Pending, and again', seen[:3] + seen[-1:], ['Scheduled', 'Pending', 'Scheduled', 'Succeeded'])
    s.equal('at no cost', status(i, 'unstarted').get('attempt'), 1)
    s.equal('what ran there could end', [status(i, n).get('phase') for n in ('busy-a', 'busy-b')], ['Succeeded'] * 2)

    # down and up again: the state stays
    i.api.call('POST', RUNS, run_object('lost', ['sleep 60']))
    until(lambda: status(i, 'lost').get('phase') == 'Running')
    before = {r['metadata']['name']: r['status']['phase'] for r in i.api.call('GET', RUNS)[1]['items']}
    s.equal('down', i.cli('local', 'down').stdout, 'down\n')
    s.equal('no process stays', [a for a in ('apiserver', 'controller', 'scheduler', 'node', 'runtimed', 'runtime-server') if i.pids(a)], [])
    i.up()
    after = {r['metadata']['name']: r['status']['phase'] for r in i.api.call('GET', RUNS)[1]['items']}
    s.equal('the state stays', {k: v for k, v in after.items() if k != 'lost'}, {k: v for k, v in before.items() if k != 'lost'})
    until(lambda: status(i, 'lost').get('phase') in TERMINAL)
    s.equal('what ran is told as lost', (status(i, 'lost')['phase'], status(i, 'lost').get('reason')), ('Failed', 'ExecutionLost'))
    i.api.call('POST', RUNS, run_object('again', ['echo again']))
    i.wait({'again'})
    s.equal('and it works', i.cli('run', 'logs', 'again').stdout, 'again\n')
    s.equal('logs from before', i.cli('run', 'logs', 'unstarted').stdout, 'at last\n')

    # a pod goes while the node can't see it: the next node finds its folder, and removes it
    until(lambda: len(i.pids('runtimed')) == 2)
    pod, other = i.api.call('GET', PODS)[1]['items'][:2]
    folder = lambda p: os.path.join(i.state, 'pods', p['metadata']['uid'])
    node = i.pids('node')[0]
    os.kill(node, signal.SIGSTOP)
    i.api.call('DELETE', PODS + '/' + pod['metadata']['name'] + '?gracePeriodSeconds=0')
    s.check('its folder is there', os.path.isdir(folder(pod)))
    os.kill(node, signal.SIGKILL)
    s.check('a pod that went unseen leaves no folder', until(lambda: not os.path.exists(folder(pod))))
    s.check('one that is there keeps its own', os.path.isdir(folder(other)))
    s.check('and another pod comes', until(lambda: len(pods(i)) == 2 and len(i.pids('runtimed')) == 2), str(pods(i)))
    if s.failed:
        print(i.logs())
s.end()
