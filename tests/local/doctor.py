#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""doctor: a line for each thing that may stand in the way, what to do below those that do, and the exit status of the first. On a
local instance as its admin and as a viewer, and on servers that are just as ill as a case says."""
import os, subprocess, sys, time
try:
    import yaml
except ImportError:
    venv = subprocess.run([os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tools', 'venv')], capture_output=True, text=True)
    if venv.returncode == 0 and not os.environ.get('KR_VENV'):      # again, with the Python that reads YAML
        os.execve(venv.stdout.strip(), [venv.stdout.strip(), __file__], dict(os.environ, KR_VENV='1'))
    yaml = None
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *
from fakeapi import *

s = Suite()
CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/'
LEASES = '/apis/coordination.k8s.io/v1/namespaces/kruntimes-system/leases/kruntimes-'


def stamp(ago=0):
    return time.strftime('%Y-%m-%dT%H:%M:%S.000000Z', time.gmtime(time.time() - ago))


def lease(holder='pod-1', ago=1):
    return 200, {'apiVersion': 'coordination.k8s.io/v1', 'kind': 'Lease', 'metadata': {'name': 'x'},
                 'spec': {'holderIdentity': holder, 'leaseDurationSeconds': 15, 'renewTime': stamp(ago)}}


def runtime(name, **status):
    return {'metadata': {'name': name, 'generation': 1, 'creationTimestamp': stamp(60)}, 'spec': {'replicas': 2, 'template': {}},
            'status': dict({'observedGeneration': 1, 'readyReplicas': 2}, **status)}


def items(*objects):
    return 200, {'kind': 'List', 'items': list(objects)}


def crd(kind):
    """Ours, as a server gives it back: with members of its own, in JSON."""
    o = yaml.safe_load(open(os.path.join(TOP, 'crds', kind + '.yaml')))
    o['metadata'].update(uid='1', resourceVersion='5')
    o['spec']['conversion'] = {'strategy': 'None'}
    o['spec']['names'].setdefault('listKind', o['spec']['names']['kind'] + 'List')
    o['status'] = {'conditions': []}
    return o


def healthy():
    kinds = ('run', 'runtime', 'workflow')
    return {'GET /version': (200, {'gitVersion': 'v1.34.1'}),
            'POST /apis/authentication.k8s.io/v1/selfsubjectreviews': (201, {'status': {'userInfo': {'username': 'ann'}}}),
            'POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews': (201, {'status': {'allowed': True}}),
            'GET /api/v1/namespaces/default': (200, {'kind': 'Namespace'}),
            'GET /apis/kruntimes.io/v1alpha1': (200, {'kind': 'APIResourceList', 'resources': [{'name': k + 's'} for k in kinds]}),
            'GET ' + LEASES + 'controller': lease(), 'GET ' + LEASES + 'scheduler': lease(),
            'GET /apis/kruntimes.io/v1alpha1/namespaces/default/runtimes': items(runtime('bash')),
            'GET /apis/kruntimes.io/v1alpha1/namespaces/default/runs': items(),
            **{'GET %s%ss.kruntimes.io' % (CRDS, k): (200, crd(k)) for k in kinds}}


def doctor(i, fake, *more):
    return i.cli('doctor', '--kubeconfig', fake.kubeconfig, *more)


def ill(i, name, changes, want, *words, skew=0, more=()):
    """One thing is wrong: one line says FAIL, with these words in it or below it."""
    with Fake(i.dir, dict(healthy(), **changes), skew) as fake:
        r = doctor(i, fake, *more)
    lines = r.stdout.split('\n')
    fails = [n for n, line in enumerate(lines) if line.startswith('FAIL ')]
    s.equal(name + ': exit status', r.returncode, want)
    if not s.check(name + ': one line fails', len(fails) == 1, r.stdout + r.stderr):
        return
    s.check(name + ': what to do', lines[fails[0] + 1].startswith('      '), r.stdout)
    for w in words:
        s.check('%s: "%s"' % (name, w), w in '\n'.join(lines[fails[0]:fails[0] + 2]), r.stdout)


def well(i, name, changes, *words, skew=0, more=()):
    with Fake(i.dir, dict(healthy(), **changes), skew) as fake:
        r = doctor(i, fake, *more)
    s.check(name + ': nothing fails', r.returncode == 0 and 'FAIL' not in r.stdout and 'checks are fine\n' in r.stdout, r.stdout + r.stderr)
    for w in words:
        s.check('%s: "%s"' % (name, w), w in r.stdout, r.stdout)


def on_fakes(i):
    run = lambda ago, **status: {'metadata': {'name': 'r', 'creationTimestamp': stamp(ago)}, 'spec': {'runtime': 'bash'}, 'status': status}
    told = lambda ago: [{'type': 'Scheduled', 'status': 'False', 'reason': 'NoPods', 'message': '', 'lastTransitionTime': stamp(ago)}]
    runs, runtimes = ('GET /apis/kruntimes.io/v1alpha1/namespaces/default/' + k for k in ('runs', 'runtimes'))
    older, newer, tighter = crd('run'), crd('run'), crd('runtime')
    spec = lambda o: o['spec']['versions'][0]['schema']['openAPIV3Schema']['properties']['spec']
    del spec(older)['properties']['priority']
    spec(newer)['properties']['later'] = {'type': 'string'}
    newer['metadata']['annotations']['kruntimes.io/version'] = '7.1.0'
    del older['metadata']['annotations']
    spec(tighter)['properties']['replicas']['maximum'] = 5

    well(i, 'a healthy cluster', {}, 'ok    kubeconfig: context "fake"', 'ok    server: http://127.0.0.1', 'version v1.34.1', 'ok    clock: as', 'you are "ann"',
         'ok    kinds: runs.kruntimes.io is this release\'s', 'ok    rights in namespace "default": look at Runs', 'ok    controller: pod-1 is at work',
         'ok    scheduler: pod-1', 'ok    runtime/bash: 2 of 2 pods', 'ok    scheduler: 0 Runs wait')
    ill(i, 'kinds missing', {'GET /apis/kruntimes.io/v1alpha1': NO_PAGE}, 3, 'kruntimes.io/v1alpha1 is not there', 'kruntimes manifests | kubectl apply')
    ill(i, 'one kind missing', {'GET /apis/kruntimes.io/v1alpha1': (200, {'resources': [{'name': 'runs'}, {'name': 'runtimes'}]})}, 3, 'workflows.kruntimes.io is not there')
    ill(i, 'an older kind', {'GET %sruns.kruntimes.io' % CRDS: (200, older)}, 4, 'another release', 'it says no version, this is ', 'properties.spec.properties.priority differs', 'crd-gen run')
    ill(i, 'a newer kind', {'GET %sruns.kruntimes.io' % CRDS: (200, newer)}, 4, 'it says 7.1.0, this is ', 'properties.spec.properties.later differs')
    ill(i, 'a kind that was changed', {'GET %sruntimes.kruntimes.io' % CRDS: (200, tighter)}, 4, 'replicas.maximum differs', 'crd-gen runtime')
    well(i, 'kinds that may not be read', {'GET ' + CRDS: status(403, 'Forbidden', 'no'), **{'GET %s%ss.kruntimes.io' % (CRDS, k): status(403, 'Forbidden', 'no') for k in ('run', 'runtime', 'workflow')}},
         'note  kinds: runs.kruntimes.io is there; whether')
    ill(i, 'no scheduler ever', {'GET ' + LEASES + 'scheduler': status(404, 'NotFound', 'no')}, 7, 'none has ever been at work', '--lease-namespace')
    ill(i, 'a scheduler that is gone', {'GET ' + LEASES + 'scheduler': lease(ago=90)}, 7, 'scheduler: pod-1 has not been heard of for 9', 'deployment/kruntimes-scheduler')
    ill(i, 'a Lease that nobody holds', {'GET ' + LEASES + 'controller': lease(holder='')}, 7, 'controller: none is at work')
    well(i, 'Leases that may not be read', {'GET ' + LEASES + 'controller': status(403, 'Forbidden', 'leases is forbidden')}, 'note  controller: its Lease can\'t be looked at: leases is forbidden')
    well(i, 'Leases elsewhere', {'GET ' + LEASES.replace('kruntimes-system', 'other') + k: lease() for k in ('controller', 'scheduler')}, more=('--lease-namespace', 'other'))
    ill(i, 'clocks that differ', {**{'GET ' + LEASES + k: lease(ago=-300) for k in ('controller', 'scheduler')}}, 9, 'the server differ by ', 'NTP', skew=300)
    well(i, 'clocks that differ a little', {}, 'note  clock: this machine and the server differ by 1', skew=-12)
    well(i, 'a server without a clock', {}, 'note  clock: the server doesn\'t tell its time', skew=None)
    ill(i, 'an expired token', {'POST /apis/authentication.k8s.io/v1/selfsubjectreviews': status(401, 'Unauthorized', 'Unauthorized')}, 6, 'credentials: Unauthorized', 'may have expired')
    well(i, 'a server that doesn\'t know who', {'POST /apis/authentication.k8s.io/v1/selfsubjectreviews': NO_PAGE}, 'note  credentials: they are taken')
    ill(i, 'a right that is missing', {'POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews': lambda q: (201, {'status': {
        'allowed': q['spec']['resourceAttributes']['subresource'] != 'portforward'}})}, 6, 'you may not read logs and artifacts in namespace "default" (create pods/portforward)', 'kruntimes-submitter')
    ill(i, 'no namespace', {'GET /api/v1/namespaces/default': status(404, 'NotFound', 'namespaces "default" not found')}, 3, 'namespaces "default" not found', 'kubectl get namespaces')
    ill(i, 'no Runtimes', {runtimes: items()}, 3, 'namespace "default" has none', 'runtime list -A')
    degraded = [{'type': 'Degraded', 'status': 'True', 'reason': 'ImagePullBackOff', 'message': 'Back-off pulling image "bsh:5"', 'lastTransitionTime': stamp()}]
    ill(i, 'an image that can\'t be pulled', {runtimes: items(runtime('bash', conditions=degraded, readyReplicas=0))}, 9, 'runtime/bash: ImagePullBackOff: Back-off pulling image "bsh:5"',
        'runtime describe bash')
    ill(i, 'a controller that does nothing', {runtimes: items(runtime('bash', observedGeneration=0))}, 7, 'the controller has not looked at')
    well(i, 'pods on their way', {runtimes: items(runtime('bash', readyReplicas=1))}, 'note  runtime/bash: 1 of 2 pods are ready')
    ill(i, 'a scheduler that does nothing', {runs: items(run(60), run(30))}, 7, '2 Runs have waited for more than 15 s and were not told why')
    well(i, 'a scheduler that is busy', {runs: items(run(60), run(60, conditions=told(3)), run(2))}, 'ok    scheduler: 3 Runs wait; kruntimes run explain')
    ill(i, 'another server', {'GET /version': (200, '<html>')}, 2, 'server: the API server\'s answer')


with instance() as i:
    r = i.cli('doctor')
    s.check('a local instance is fine', r.returncode == 0 and 'FAIL' not in r.stdout and 'ok    kinds: runs.kruntimes.io is built in' in r.stdout, r.stdout + r.stderr)
    s.check('its clock is compared', 'ok    clock: as the server\'s' in r.stdout, r.stdout)
    s.check('its Runtime', 'ok    runtime/bash: 2 of 2 pods are ready' in r.stdout, r.stdout)
    r = i.cli('version', '--server')
    s.check('version --server', re.fullmatch(r'\S+\nserver https://127\.0\.0\.1:\d+ v\S+\+kruntimes\S*\n', r.stdout), r.stdout + r.stderr)
    i.cli('local', 'user', 'add', 'vic', '--role', 'viewer')
    vic = os.path.join(i.state, 'users', 'vic.kubeconfig')
    r = i.cli('doctor', '--kubeconfig', vic)
    s.check('a viewer is told what is missing', r.returncode == 6 and r.stdout.count('FAIL  rights: you may not') == 5 and r.stdout.count('the role kruntimes-submitter:') == 1, r.stdout)
    r = i.cli('doctor', '--kubeconfig', vic, '--role', 'viewer')
    s.check('unless that is all they want', r.returncode == 0 and 'note  rights in namespace "default" that you don\'t have' in r.stdout, r.stdout)
    none = dict(i.env, KRUNTIMES_STATE_DIR=i.dir + '/nothing')
    r = i.cli('doctor', env=none)
    s.check('no kubeconfig', r.returncode == 3 and r.stdout.startswith('FAIL  kubeconfig: no kubeconfig') and '1 of 1 checks failed' in r.stdout, r.stdout)
    if yaml:
        on_fakes(i)
    else:
        s.skip('other servers', 'no Python that reads YAML')
s.end()
