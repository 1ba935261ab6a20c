#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Workflows on a local instance: pipelines from end to end, cancels, kills, lost pods, a full pod, strangers."""
import os, random, re, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

FLOWS = '/apis/kruntimes.io/v1alpha1/namespaces/default/workflows'
PODS = '/api/v1/namespaces/default/pods'
OVER = ('Succeeded', 'Failed', 'Cancelled')

def flow(name, jobs, **spec):
    for j in jobs.values():
        j.setdefault('runs-on', 'bash')
    return {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': name}, 'spec': dict(spec, jobs=jobs)}

def step(name, run='true', **more):
    return dict(more, name=name, run=run)

def until(what, name):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        got = what()
        if got:
            return got
        time.sleep(0.02)      # polling on purpose: kills and several kinds at once
    print('never came: ' + name)
    return None

s = Suite()

with instance() as i:
    def make(o):
        code, answer = i.api.call('POST', FLOWS, o, retry=True)
        return s.check('created ' + o['metadata']['name'], code == 201, str(answer)[:300])

    def get(name):
        return i.api.call('GET', FLOWS + '/' + name, retry=True)[1]

    def end(name):
        def over():
            w = get(name)
            return w if w.get('status', {}).get('phase') in OVER else None
        return (until(over, 'end of ' + name) or get(name)).get('status', {})

    def children(name):
        uid = get(name)['metadata']['uid']
        return i.api.call('GET', RUNS + '?labelSelector=kruntimes.io/workflow-uid%3D' + uid, retry=True)[1]['items']

    def child(name, job, st):
        return next((r for r in children(name) if r['metadata']['labels']['kruntimes.io/job'] == job and r['metadata']['labels']['kruntimes.io/step'] == st), None)

    def running(name, job, st):
        return until(lambda: (child(name, job, st) or {}).get('status', {}).get('phase') == 'Running', '%s/%s runs' % (job, st))

    def patch(name, spec):
        return i.api.call('PATCH', FLOWS + '/' + name, {'spec': spec}, type='application/merge-patch+json', retry=True)

    def make_runtime(name, replicas, runs):
        i.api.call('POST', RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': name}, 'spec': {
                   'replicas': replicas, 'server': 'Injected', 'interpreter': ['bash'], 'capacity': {'resources': {'runs': runs}},
                   'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'local'}]}}}})
        until(lambda: i.api.call('GET', RUNTIMES + '/' + name)[1].get('status', {}).get('readyReplicas') == replicas, 'pods of ' + name)

    # a pipeline: env, outputs over three levels, one directory, conditions, always
    make(flow('whole', {
        'a': {'steps': [step('one', 'echo v=$WHO >> $KRUNTIME_OUTPUTS; echo data > file'), step('two', 'grep -q data file')], 'outputs': {'x': '${{ steps.one.outputs.v }}'}},
        'b': {'needs': ['a'], 'steps': [step('t', '[ "$X" = me ] && [ ! -e file ] && echo y=$X! >> $KRUNTIME_OUTPUTS', env={'X': '${{ jobs.a.outputs.x }}'})],
              'outputs': {'y': '${{ steps.t.outputs.y }}'}},
        'c': {'needs': ['b'], 'if': 'jobs.b.outputs.y == "no"', 'steps': [step('s')]},
    }, env={'WHO': 'me'}, outputs={'all': '<${{ jobs.b.outputs.y }}>'}))
    st = end('whole')
    s.equal('pipeline', (st.get('phase'), st.get('outputs'), st['jobs']['c']['phase']), ('Succeeded', {'all': '<me!>'}, 'Skipped'))
    runs = children('whole')
    s.equal('children', sorted((r['metadata']['labels']['kruntimes.io/job'], r['metadata']['labels']['kruntimes.io/step']) for r in runs),
            [('a', 'one'), ('a', 'two'), ('b', 't')])
    s.check('owner', all(o['controller'] and o['name'] == 'whole' for r in runs for o in r['metadata']['ownerReferences']))
    a1, a2 = child('whole', 'a', 'one'), child('whole', 'a', 'two')
    s.equal('one pod, one workspace', (a1['spec']['workspace'], a1['status']['assignedPodUID']), (a2['spec']['workspace'], a2['status']['assignedPodUID']))
    s.equal('conditions', {c['type']: c['status'] for c in st['conditions']}, {'Finished': 'True', 'Succeeded': 'True'})
    i.api.call('DELETE', FLOWS + '/whole')
    s.check('children go with it', until(lambda: not [r for r in i.api.call('GET', RUNS)[1]['items'] if r['metadata']['name'].startswith('whole-')], 'collection'))

    # refused before a child exists
    make(flow('circle', {'a': {'needs': ['b'], 'steps': [step('s')]}, 'b': {'needs': ['a'], 'steps': [step('s')]}}))
    st = end('circle')
    s.equal('a cycle', (st['phase'], st['reason'], st['message']), ('Failed', 'InvalidWorkflow', 'jobs.a.needs: goes in a circle: a -> b -> a'))
    make(flow('nowhere', {'build': {'steps': [step('a'), step('b'), step('c', 'echo ${{ steps.d.outputs.x }}')]}}))
    st = end('nowhere')
    s.check('the place', st['reason'] == 'InvalidWorkflow' and st['message'].startswith('jobs.build.steps[2].run: '), str(st))
    s.equal('no child', children('nowhere') + children('circle'), [])

    # failure with clean-up, retries, a strange shell script
    make(flow('bad', {'a': {'steps': [step('one', 'exit 7'), step('two'), step('clean', 'touch cleaned', **{'if': 'always()'}), step('tell', 'test -e cleaned', **{'if': 'failure()'})]}}))
    st = end('bad')
    s.equal('failure', (st['phase'], st['reason'], st['jobs']['a']['legs'][0]['steps']), ('Failed', 'StepFailed', 'FKSS'))
    make(flow('again', {'a': {'steps': [step('one', 'echo x >> n; [ $(wc -l < n) = 3 ]', retryPolicy={'maxAttempts': 3, 'backoff': '1ms'})]}}))
    s.equal('retries', end('again')['phase'], 'Succeeded')

    # cancels: pending, running, between, with always()
    make(flow('c1', {'a': {'runs-on': 'not-there', 'steps': [step('one'), step('clean', **{'if': 'always()'})]}}))
    until(lambda: children('c1'), 'a child')
    patch('c1', {'cancelRequested': True})
    until(lambda: child('c1', 'a', 'clean'), 'the always() step')
    i.api.call('PATCH', RUNS + '/' + child('c1', 'a', 'clean')['metadata']['name'], {'spec': {'cancelRequested': True}}, type='application/merge-patch+json')
    s.equal('cancelled while it waits', (end('c1')['phase'], end('c1')['jobs']['a']['legs'][0]['steps']), ('Cancelled', 'CC'))
    make(flow('c2', {'a': {'steps': [step('one', 'sleep 60'), step('two'), step('clean', 'echo done=1 >> $KRUNTIME_OUTPUTS', **{'if': 'always()'})]}, 'b': {'needs': ['a'], 'steps': [step('s')]}}))
    running('c2', 'a', 'one')
    patch('c2', {'cancelRequested': True})
    st = end('c2')
    s.equal('cancelled while it runs', (st['phase'], st['jobs']['a']['legs'][0]['steps'], st['jobs']['b']['phase']), ('Cancelled', 'CCS', 'Cancelled'))
    s.check('the cancel is one way', patch('c2', {'cancelRequested': False})[0] == 422)

    # a child that somebody deletes; a stranger of its name
    make(flow('gone', {'a': {'steps': [step('one', 'sleep 60'), step('two')]}}))
    running('gone', 'a', 'one')
    i.api.call('DELETE', RUNS + '/' + child('gone', 'a', 'one')['metadata']['name'])
    st = end('gone')
    s.equal('deleted child', (st['phase'], st['reason']), ('Failed', 'ExecutionLost'))

    # a child that the API server refuses: the others of the Workflow go on, and it is told
    env = {'E%d' % n: '${{ matrix.k }}' * 31 for n in range(60)}
    make(flow('large', {'a': {'strategy': {'matrix': {'k': ['x' * 1024]}}, 'env': env, 'steps': [step('one', env={'S' + k: v for k, v in env.items()})]},
                        'b': {'steps': [step('one')]}}))
    s.check('the job beside it succeeds', until(lambda: get('large').get('status', {}).get('jobs', {}).get('b', {}).get('phase') == 'Succeeded', 'end of b'))
    told = until(lambda: [e for e in i.api.call('GET', '/api/v1/namespaces/default/events')[1]['items'] if e['involvedObject']['name'] == 'large'], 'an Event')
    s.equal('who is told', {(e['type'], e['reason'], e['involvedObject']['kind'], e['involvedObject']['uid']) for e in told or []},
            {('Warning', 'Refused', 'Workflow', get('large')['metadata']['uid'])})
    s.check('what is told', told and re.match('create runs "large-a-one-[0-9a-f]+": .* too large', told[0]['message']), str(told))
    patch('large', {'cancelRequested': True})
    s.equal('what is refused can be cancelled', end('large')['phase'], 'Cancelled')

    # a wide matrix with a limit, on a pod that is full of others
    make_runtime('narrow', 1, 1)
    i.api.call('POST', RUNS, run_object('hog', ['sleep 1'], runtime='narrow'))
    for n in range(3):
        make(flow('full%d' % n, {'a': {'runs-on': 'narrow', 'strategy': {'matrix': {'k': ['1', '2', '3']}, 'maxParallel': 2}, 'steps': [step('one', 'touch f'), step('two', 'test -e f')]}}))
    s.equal('jobs on a full pod', {end('full%d' % n)['phase'] for n in range(3)}, {'Succeeded'})

    # the pod is lost: the job fails; rerun --failed mends it, and doesn't repeat what was well
    make_runtime('pair', 2, 2)
    make(flow('lost', {'ok': {'steps': [step('s', 'echo v=$RANDOM >> $KRUNTIME_OUTPUTS')], 'outputs': {'v': '${{ steps.s.outputs.v }}'}},
                       'a': {'runs-on': 'pair', 'needs': ['ok'], 'steps': [step('one', 'touch f'), step('two', 'test -e f; sleep ${SLOW:-60}', timeoutSeconds=120), step('three', 'test -e f')]}}))
    running('lost', 'a', 'two')
    i.api.call('DELETE', PODS + '/' + child('lost', 'a', 'two')['status']['assignedPod'] + '?gracePeriodSeconds=0')
    st = end('lost')
    s.check('lost pod', st['phase'] == 'Failed' and 'WorkspaceLost' in st['message'], str(st.get('message')))

    # twenty jobs in diamonds, the controller killed at random moments: each step ran, the end is right
    random.seed(int(os.environ.get('KR_SEED', '20260101')))
    jobs = {}
    for layer in range(5):
        for n in range(4):
            jobs['j%d%d' % (layer, n)] = {'steps': [step('s', 'echo v=1 >> $KRUNTIME_OUTPUTS'), step('t', 'sleep 0.0%d' % random.randrange(1, 9))],
                                          'outputs': {'v': '${{ steps.s.outputs.v }}'}}
            if layer:
                jobs['j%d%d' % (layer, n)]['needs'] = ['j%d%d' % (layer - 1, n), 'j%d%d' % (layer - 1, (n + 1) % 4)]
    for round in range(2):
        make(flow('diamond%d' % round, jobs))
        kills = 0
        while get('diamond%d' % round).get('status', {}).get('phase') not in OVER and kills < 6:
            time.sleep(random.random() * 0.2)      # random moments are the point
            kills += i.kill('controller') > 0
        st = end('diamond%d' % round)
        s.equal('killed %d times' % kills, (st['phase'], {l['steps'] for j in st['jobs'].values() for l in j['legs']}), ('Succeeded', {'SS'}))
        runs = children('diamond%d' % round)
        s.equal('each step once', (len(runs), {r['status']['phase'] for r in runs}), (40, {'Succeeded'}))
s.end()
