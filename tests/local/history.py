#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many finished Runs are kept (kruntimes controller --keep), by an API server and a controller alone."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
top = tempfile.mkdtemp(prefix='kr-history-')
state, config = top + '/state', top + '/state/kubeconfig'
of = lambda ns: '/apis/kruntimes.io/v1alpha1/namespaces/%s/runs' % ns


def finished(name, phase, minute, ns='default', **meta):
    """A Run that ended that minute, as runtimed would leave it."""
    o = run_object(name, ['true'])
    o['metadata'].update(meta)
    code, answer = api.call('POST', of(ns), o)
    assert code == 201, answer
    code, answer = api.call('PATCH', of(ns) + '/' + name + '/status', {'status': {'phase': phase, 'completionTime': '2026-01-01T%02d:%02d:00Z' % (minute // 60, minute % 60)}}, 'application/merge-patch+json')
    assert code == 200, answer


def names(ns='default'):
    return sorted(r['metadata']['name'] for r in api.call('GET', of(ns))[1]['items'])


for words in (('Succeeded',), ('Running=1',), ('Succeeded=-1',), ('Succeeded=x',), ('Succeeded=1', 'Succeeded=2'), ('succeeded=1',)):
    done = subprocess.run([BINARY, 'controller', '--kubeconfig', '/nowhere'] + [a for w in words for a in ('--keep', w)], capture_output=True, text=True)
    s.check('--keep %s is refused' % ' '.join(words), done.returncode == 1 and '--keep' in done.stderr, '%d %s' % (done.returncode, done.stderr))
server = subprocess.Popen([BINARY, 'apiserver', '--state-dir', state, '--port', '0'], stderr=subprocess.PIPE, text=True)
line = server.stderr.readline()
while line and 'API server is ready' not in line:
    line = server.stderr.readline()
parts = [server]
try:
    api = Api(config)
    api.call('POST', '/api/v1/namespaces', {'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': 'other'}})
    owner = api.call('POST', '/api/v1/namespaces/default/configmaps', {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'owner'}})[1]
    ref = lambda controller: [{'apiVersion': 'v1', 'kind': 'ConfigMap', 'name': 'owner', 'uid': owner['metadata']['uid'], 'controller': controller}]
    for n in (3, 1, 4, 0, 2):
        finished('s%d' % n, 'Succeeded', n)
        finished('f%d' % n, 'Failed', n)
        finished('c%d' % n, 'Cancelled', n)
        finished('o%d' % n, 'Succeeded', n, 'other')
    finished('owned', 'Succeeded', 0, ownerReferences=ref(True))
    finished('mine', 'Succeeded', 0, ownerReferences=ref(False))
    api.call('POST', of('default'), run_object('pending', ['true']))
    log = open(top + '/log', 'w')
    parts.append(subprocess.Popen([BINARY, 'controller', '--kubeconfig', config, '--no-leader-elect', '--metrics-bind', '127.0.0.1:0', '--probes-bind', '127.0.0.1:0', '--keep', 'Succeeded=3', '--keep', 'Failed=0'],
                                  stdout=log, stderr=log))
    want = ['c%d' % n for n in range(5)] + ['owned', 'pending', 's2', 's3', 's4']
    s.check('the newest stay; what is owned, active or of another phase too', until(lambda: names() == want), str(names()) + open(top + '/log').read()[-500:])
    s.check('each namespace by itself', until(lambda: names('other') == ['o2', 'o3', 'o4']), str(names('other')))
    finished('s9', 'Succeeded', 9)
    s.check('one more, one less', until(lambda: names() == sorted(set(want) - {'s2'} | {'s9'})), str(names()))
    finished('early', 'Succeeded', 0)
    s.check('it counts when it ended, not when it was seen', until(lambda: 'early' not in names()) and 's3' in names(), str(names()))
    # many at once: more than one plan takes
    for n in range(450):
        finished('m%03d' % n, 'Failed', n, 'other')
    s.check('many go', until(lambda: names('other') == ['o2', 'o3', 'o4'], 120), str(len(names('other'))))
finally:
    for p in reversed(parts):
        p.terminate()
        p.wait()
    shutil.rmtree(top, ignore_errors=True)
s.end()
