#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shared workspaces on a local instance: one pod, one directory, first on that pod, gone with the pod and with the last Run."""
import os, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

PODS = '/api/v1/namespaces/default/pods'


def shared(name, script, ws='w', runtime='bash', **spec):
    return run_object(name, [script], runtime=runtime, workspace={'name': ws}, **spec)


def make_runtime(i, name, replicas, runs, grace=None):
    template = {'spec': {'containers': [{'name': 'runtime', 'image': 'local'}]}}
    if grace:
        template['spec']['terminationGracePeriodSeconds'] = grace
    i.api.call('POST', RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': name},
               'spec': {'replicas': replicas, 'server': 'Injected', 'interpreter': ['bash'], 'capacity': {'resources': {'runs': runs}}, 'template': template}})
    until(lambda: i.api.call('GET', RUNTIMES + '/' + name)[1].get('status', {}).get('readyReplicas') == replicas, 'pods of ' + name)


def until(what, name):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)      # polling on purpose: files and pods have no common watch
    print('never came: ' + name)
    return False


def pods(i, runtime):
    return [p for p in i.api.call('GET', PODS + '?labelSelector=kruntimes.io/runtime%3D' + runtime)[1]['items'] if not p['metadata'].get('deletionTimestamp')]


def folders(i):
    return sorted(d for base, dirs, _ in os.walk(i.state) for d in dirs if base.endswith('/.shared'))


s = Suite()
with instance() as i:
    post = lambda o: i.api.call('POST', RUNS, o)[0]
    make_runtime(i, 'many', 3, 2)

    # one directory, one pod, though others are empty; each Run's HOME, TMPDIR and outputs are its own
    post(shared('a1', 'echo one > file; pwd > where; echo $HOME > home; echo k=v >> $KRUNTIME_OUTPUTS', runtime='many'))
    first = i.wait({'a1'})['a1']['status']
    s.equal('first', (first['phase'], first.get('outputs')), ('Succeeded', {'k': 'v'}))
    for n in range(2, 8):
        post(shared('a%d' % n, 'cat file; [ "$(pwd)" = "$(cat where)" ] && [ "$KRUNTIME_WORKSPACE" = "$(pwd)" ] && [ "$HOME" != "$(cat home)" ]', runtime='many'))
    later = i.wait({'a%d' % n for n in range(2, 8)})
    s.equal('the others find it', {r['status']['phase'] for r in later.values()}, {'Succeeded'})
    s.equal('on one pod', {r['status']['assignedPodUID'] for r in later.values()}, {first['assignedPodUID']})
    s.equal('no outputs of another', [r['status'].get('outputs') for r in later.values() if r['status'].get('outputs')], [])

    # the scheduler forgets everything: the list tells it
    i.kill('scheduler')
    post(shared('a8', 'cat file', runtime='many'))
    run = i.wait({'a8'})['a8']['status']
    s.equal('after the scheduler was killed', (run['phase'], run['assignedPodUID']), ('Succeeded', first['assignedPodUID']))
    # runtimed too
    i.kill('runtimed')
    i.kill('runtimed', 1)
    i.kill('runtimed', 2)
    post(shared('a9', 'cat file', runtime='many'))
    s.equal('after runtimed was killed', i.wait({'a9'})['a9']['status']['phase'], 'Succeeded')

    # sources: a second Run may bring a file of the same name; a retry keeps what is shared
    for n, text in enumerate(('first', 'second')):
        i.api.call('POST', RUNS, run_object('src%d' % n, None, workspace={'name': 'src'}, source={'inline': 'echo %s; cat data' % text,
                   'files': [{'path': 'data', 'content': text}]}))
        i.wait({'src%d' % n})
        s.equal('source %s' % text, i.cli('run', 'logs', 'src%d' % n).stdout, '%s\n%s' % (text, text))
    post(shared('again', 'echo x >> tries; [ $(wc -l < tries) = 3 ]', ws='again', retryPolicy={'maxAttempts': 3, 'backoff': '10ms'}))
    run = i.wait({'again'})['again']['status']
    s.equal('a retry finds what was left', (run['phase'], run['attempt']), ('Succeeded', 3))

    # the last Run that names it takes the directory along
    s.check('directories are there', folders(i) == ['again', 'src', 'w'], str(folders(i)))
    for n in range(1, 9):
        i.api.call('DELETE', RUNS + '/a%d' % n)
    s.equal('one Run still names it', folders(i), ['again', 'src', 'w'])
    i.api.call('DELETE', RUNS + '/a9')
    s.check('the last is gone', until(lambda: folders(i) == ['again', 'src'], 'removal of w'))
    post(shared('a10', 'test -e file', runtime='many'))
    s.equal('the name is free again', i.wait({'a10'})['a10']['status']['phase'], 'Failed')

    # on a full pod they go before all others that wait there
    make_runtime(i, 'one', 1, 1)
    post(shared('f1', 'true', ws='f', runtime='one'))
    i.wait({'f1'})
    post(run_object('long', ['until [ -e /proc/$$/cwd/go ]; do sleep 0.01; done'], runtime='one'))
    until(lambda: i.api.call('GET', RUNS + '/long')[1].get('status', {}).get('phase') == 'Running', 'long runs')
    for n in range(5):
        post(run_object('queue%d' % n, ['true'], runtime='one', priority=1000))
    post(shared('f2', 'true', ws='f', runtime='one', priority=-1000))
    until(lambda: i.api.call('GET', RUNS + '/f2')[1].get('status', {}).get('phase') == 'Scheduled', 'f2 is bound')
    uid = i.api.call('GET', RUNS + '/long')[1]['metadata']['uid']
    work = [os.path.join(base, uid, 'work') for base, dirs, _ in os.walk(i.state) if uid in dirs and base.endswith('workspace')]
    open(os.path.join(work[0], 'go'), 'w').close()
    done = i.wait({'long', 'f2'} | {'queue%d' % n for n in range(5)})
    began = lambda name: done[name]['status']['timings']['started']
    s.check('it went first', all(began('f2') < began('queue%d' % n) for n in range(5)), str({n: began(n) for n in done}))

    # a pod that drains takes its workspaces' Runs and no others
    make_runtime(i, 'drain', 1, 2, grace=600)
    owner = [{'apiVersion': 'v1', 'kind': 'ConfigMap', 'name': 'owner', 'uid': i.api.call('POST', '/api/v1/namespaces/default/configmaps',
              {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'owner'}})[1]['metadata']['uid'], 'controller': True}]
    def step(name, script):
        o = shared(name, script, ws='d', runtime='drain')
        o['metadata']['ownerReferences'] = owner
        return post(o)
    step('d1', 'echo here > file')
    i.wait({'d1'})
    old = pods(i, 'drain')[0]['metadata']
    i.api.call('DELETE', PODS + '/' + old['name'])
    until(lambda: len(pods(i, 'drain')) == 1 and pods(i, 'drain')[0]['metadata']['uid'] != old['uid'], 'another pod')
    step('d2', 'cat file')
    run = i.wait({'d2'})['d2']['status']
    s.equal('while it drains', (run['phase'], run['assignedPodUID']), ('Succeeded', old['uid']))
    post(run_object('other', ['true'], runtime='drain'))
    run = i.wait({'other'})['other']['status']
    s.check('others go elsewhere', run['phase'] == 'Succeeded' and run['assignedPodUID'] != old['uid'], str(run))

    # a pod that is lost takes its workspaces along: what ran, what waits and what comes later
    make_runtime(i, 'lost', 2, 1)
    post(shared('l1', 'sleep 600', ws='l', runtime='lost', retryPolicy={'maxAttempts': 5, 'backoff': '1ms'}))
    until(lambda: i.api.call('GET', RUNS + '/l1')[1].get('status', {}).get('phase') == 'Running', 'l1 runs')
    post(shared('l2', 'true', ws='l', runtime='lost'))
    until(lambda: i.api.call('GET', RUNS + '/l2')[1].get('status', {}).get('phase') == 'Scheduled', 'l2 waits on the pod')
    i.api.call('DELETE', PODS + '/' + i.api.call('GET', RUNS + '/l1')[1]['status']['assignedPod'] + '?gracePeriodSeconds=0')
    ended = i.wait({'l1', 'l2'})
    s.equal('lost', [(ended[n]['status']['phase'], ended[n]['status']['reason']) for n in ('l1', 'l2')], [('Failed', 'WorkspaceLost')] * 2)
    post(shared('l3', 'true', ws='l', runtime='lost'))
    run = i.wait({'l3'})['l3']['status']
    s.equal('later', (run['phase'], run['reason']), ('Failed', 'WorkspaceLost'))
    post(shared('l4', 'true', ws='l-anew', runtime='lost'))
    s.equal('another name', i.wait({'l4'})['l4']['status']['phase'], 'Succeeded')
s.end()
