#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""events and top: whose Events are shown, and how full pods and Runtimes are told to be; CPU and memory where a server measures them."""
import os, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *
from fakeapi import *

s = Suite()
EVENTS = '/api/v1/namespaces/default/events'
LONG = 'a-runtime-whose-name-is-too-long-for-that-of-a-deployment-too'
HASHED = 'runtime-' + LONG[:40] + '-31d96770'


def event(name, kind, about, reason='Lost', type='Warning', at='2026-01-02T03:04:0%dZ', n=0, api=None):
    return {'apiVersion': 'v1', 'kind': 'Event', 'metadata': {'name': name, 'namespace': 'default'}, 'type': type, 'reason': reason, 'message': 'words of ' + name, 'count': 1,
            'involvedObject': {'kind': kind, 'name': about, 'namespace': 'default', 'apiVersion': api or ('v1' if kind == 'Pod' else 'kruntimes.io/v1alpha1')}, 'lastTimestamp': at % n}


with instance() as i:
    rows = lambda *words: [line.split() for line in i.cli(*words).stdout.splitlines()]
    for o in (event('e1', 'Run', 'a', n=5), event('e2', 'Pod', 'runtime-bash-1-2', n=4), event('e3', 'Pod', 'foreign'), event('e4', 'Runtime', 'bash', n=6, type='Normal'),
              event('e5', 'Pod', 'runtime-bash-long-1-2', n=7), event('e7', 'Deployment', HASHED, n=1, api='apps/v1'), event('e8', 'Pod', HASHED + '-x2k4z', n=2), event('e6', 'Deployment', 'runtime-bash', n=8, api='apps/v1')):
        s.equal('create ' + o['metadata']['name'], i.api.call('POST', EVENTS, o)[0], 201)
    told = lambda *words: [r[-1] for r in rows('events', *words)][1:]
    s.equal('headings', rows('events')[0], ['LAST-SEEN', 'TYPE', 'REASON', 'KIND', 'NAME', 'MESSAGE'])
    s.equal('ours and those of Runtimes\' pods, the newest last', told(), ['e7', 'e8', 'e2', 'e1', 'e4', 'e5', 'e6'])
    s.equal('warnings', told('--warnings'), ['e7', 'e8', 'e2', 'e1', 'e5', 'e6'])
    s.equal('of a Run', told('run/a'), ['e1'])
    s.equal('a name alone is a Run', told('a'), ['e1'])
    s.equal('of a Runtime, its Deployment and pods', told('rt/bash'), ['e2', 'e4', 'e6'])
    s.equal('of another', told('runtime/bash-long'), ['e5'])
    s.equal('of one whose name is long', (told('rt/' + LONG), told('rt/' + LONG[:-1])), (['e7', 'e8'], []))
    s.equal('names', i.cli('events', 'run/a', '-o', 'name').stdout, 'event/e1\n')
    s.equal('no other kind', i.cli('events', 'pod/x').returncode, 1)
    s.equal('none', (i.cli('events', 'run/b').stdout, 'no events found in namespace default' in i.cli('events', 'run/b').stderr), ('', True))

    # written through events.k8s.io, as kube-scheduler writes them
    def other(name, **more):
        return dict(event(name, 'Pod', 'runtime-new-1-2'), lastTimestamp=None, count=None, reportingComponent='default-scheduler', reportingInstance='x', action='Binding', **more)
    at = lambda ago: time.strftime('%Y-%m-%dT%H:%M:%S.123456Z', time.gmtime(time.time() - ago))
    for o in (other('n1', eventTime=at(1200)), other('n2', eventTime=at(6000), series={'count': 7, 'lastObservedTime': at(900)}), other('n3', firstTimestamp=at(9000)[:19] + 'Z'), other('n4')):
        s.equal('create ' + o['metadata']['name'], i.api.call('POST', EVENTS, o)[0], 201)
    s.equal('of another API: the newest last', told('runtime/new'), ['n3', 'n1', 'n2', 'n4'])
    s.equal('of another API: when', [r[0] for r in rows('events', 'runtime/new')][1:-1], ['150m', '20m', '15m'])
    s.equal('of another API: lately', told('runtime/new', '--since', '1h'), ['n1', 'n2', 'n4'])
    s.equal('of another API: how often, by whom', [r[5:7] for r in rows('events', 'runtime/new', '-o', 'wide')][1:], [[n, 'default-scheduler'] for n in '1171'])

    spec = {'server': 'Injected', 'interpreter': ['bash'], 'replicas': 0, 'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'local'}]}}}
    i.api.call('POST', RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': LONG}, 'spec': spec})
    s.check('that is what its Deployment is called', until(lambda: i.api.call('GET', '/apis/apps/v1/namespaces/default/deployments/' + HASHED)[0] == 200))
    i.api.call('DELETE', RUNTIMES + '/' + LONG)

    # how full they are
    i.api.call('POST', RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': 'small'}, 'spec': {
        'replicas': 2, 'server': 'Injected', 'interpreter': ['bash'], 'capacity': {'resources': {'runs': 1, 'gpu': 3}}, 'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'local'}]}}}})
    s.check('its pods', until(lambda: i.api.call('GET', RUNTIMES + '/small')[1].get('status', {}).get('readyReplicas') == 2))
    for name in ('a', 'b', 'c'):
        i.api.call('POST', RUNS, run_object(name, ['sleep 600'], runtime='small', resources={'requests': {'gpu': 2}}))
    i.api.call('POST', RUNS, run_object('typo', ['true'], runtime='smal'))
    s.check('two of them run', until(lambda: sum(r.get('status', {}).get('phase') == 'Running' for r in i.api.call('GET', RUNS)[1]['items']) == 2))

    # describe tells the newest of one object
    uid = i.api.call('GET', RUNTIMES + '/small')[1]['metadata']['uid']
    for n in (3, 1, 9, 2, 8, 4, 5):      # of the last the time is told in the other way
        o = event('d%d' % n, 'Runtime', 'small', n=n)
        o['involvedObject']['uid'] = uid
        o.update({'eventTime': o['lastTimestamp'][:-1] + '.000000Z', 'lastTimestamp': None} if n == 5 else {})
        s.equal('create d%d' % n, i.api.call('POST', EVENTS, o)[0], 201)
    lines = i.cli('runtime', 'describe', 'small').stdout.splitlines()
    first = next((k for k, line in enumerate(lines) if line.startswith('Events:')), len(lines))
    s.equal('describe', [line.split()[-3:] for line in lines[first:]], [['words', 'of', 'd%d' % n] for n in (3, 4, 5, 8, 9)])
    s.equal('describe: how long ago, and why', [line.split()[-6:-3] for line in lines[first:]], [['ago', 'Warning', 'Lost:']] * 5)
    s.check('describe: nothing where there are none', 'Events:' not in i.cli('run', 'describe', 'a').stdout, i.cli('run', 'describe', 'a').stdout)

    top = lambda *words: {r[0]: r[1:] for r in rows('top', *words)}
    s.equal('Runtimes', (top()['NAME'], top()['small'], top()['smal'][:3]),
            (['READY', 'RUNS', 'WAITING', 'CPU', 'MEMORY', 'USED'], ['2/2', '2', '1', '<none>', '<none>', 'runs=2/2,gpu=4/6'], ['<none>', '0', '1']))
    pods = [r for r in rows('top', 'pods') if r[1] == 'small']
    s.equal('pods', [r[2:] for r in pods], [['full', '1', '<none>', '<none>', 'runs=1/1,gpu=2/3']] * 2)
    s.equal('all namespaces', rows('top', '-A', '--no-headers')[0][:2], ['default', 'bash'])
    s.equal('anything else', i.cli('top', 'nodes').returncode, 1)

    # a server that measures
    pod = {'metadata': {'name': 'p', 'namespace': 'default', 'uid': 'u', 'labels': {'kruntimes.io/runtime': 'bash'}, 'annotations': {'kruntimes.io/capacity.runs': '4'}}, 'spec': {},
           'status': {'phase': 'Running', 'conditions': [{'type': 'Ready', 'status': 'True'}]}}
    used = {'metadata': {'name': 'p', 'namespace': 'default'}, 'containers': [{'usage': {'cpu': '1500000n', 'memory': '2048Ki'}}, {'usage': {'cpu': '250m', 'memory': '30Mi'}}]}
    ours = '/apis/kruntimes.io/v1alpha1/namespaces/default/'
    bash = {'metadata': {'name': 'bash', 'namespace': 'default'}, 'spec': {'template': {}}}
    with Fake(i.dir, {'GET ' + ours + 'runtimes': (200, {'items': [bash]}), 'GET ' + ours + 'runs': (200, {'items': []}), 'GET /api/v1/namespaces/default/pods': (200, {'items': [pod]}),
                      'GET /apis/metrics.k8s.io/v1beta1/namespaces/default/pods': (200, {'items': [used]})}) as fake:
        s.equal('what a Runtime takes', rows('top', '--kubeconfig', fake.kubeconfig)[1], ['bash', '1/1', '0', '0', '252m', '32Mi', 'runs=0/4'])
        s.equal('what a pod takes', rows('top', 'pods', '--kubeconfig', fake.kubeconfig)[1], ['p', 'bash', 'ready', '0', '252m', '32Mi', 'runs=0/4'])
    if s.failed:
        print(i.logs())
s.end()
