#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PersistentVolumeClaims of a local instance: bound to a folder, used by Runtime Pods, protected while they are, gone with what is in them."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

CLAIMS = '/api/v1/namespaces/default/persistentvolumeclaims'
RUNTIMES = '/apis/kruntimes.io/v1alpha1/namespaces/default/runtimes'
s = Suite()


def claim(name, **spec):
    return {'apiVersion': 'v1', 'kind': 'PersistentVolumeClaim', 'metadata': {'name': name},
            'spec': dict({'accessModes': ['ReadWriteOnce'], 'resources': {'requests': {'storage': '1Gi'}}}, **spec)}


with instance() as i:
    get = lambda name: i.api.call('GET', CLAIMS + '/' + name)
    phase = lambda name: get(name)[1].get('status', {}).get('phase')
    folder = lambda name: os.path.join(i.state, 'volumes', 'default', name)

    status, made = i.api.call('POST', CLAIMS, claim('data'))
    s.equal('create', (status, made['status'], made['metadata']['finalizers'], made['spec']['volumeMode']), (201, {'phase': 'Pending'}, ['kubernetes.io/pvc-protection'], 'Filesystem'))
    s.check('it is bound', until(lambda: phase('data') == 'Bound'), str(get('data')))
    bound = get('data')[1]
    s.equal('what it got', (bound['status'], bound['spec']['volumeName']),
            ({'phase': 'Bound', 'accessModes': ['ReadWriteOnce'], 'capacity': {'storage': '1Gi'}}, 'pvc-' + made['metadata']['uid']))
    s.check('its folder is there', os.path.isdir(folder('data')))

    # a Runtime keeps artifacts there
    runtime = i.api.call('GET', RUNTIMES + '/bash')[1]
    store = {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': 'keeps'},
             'spec': dict({k: v for k, v in runtime['spec'].items() if k in ('server', 'isolation', 'template', 'interpreter')}, replicas=1,
                          artifactStore={'driver': 'filesystem', 'filesystem': {'volumeClaimName': 'data'}})}
    status, answer = i.api.call('POST', RUNTIMES, store)
    s.equal('a Runtime with that claim', status, 201) or print(answer)
    i.api.call('POST', RUNS, run_object('kept', ['echo text > $KRUNTIME_ARTIFACTS_DIR/a.txt'], runtime='keeps'))
    run = i.wait(['kept'])['kept']
    s.equal('a Run with an artifact', run.get('status', {}).get('phase'), 'Succeeded') or print(run)
    s.check('the artifact is in the claim\'s folder', any(files for _, _, files in os.walk(folder('data'))))

    # deleted while it is used
    status, answer = i.api.call('DELETE', CLAIMS + '/data')
    s.equal('delete answers with the object', (status, answer['kind'], 'deletionTimestamp' in answer['metadata']), (200, 'PersistentVolumeClaim', True))
    i.api.call('POST', CLAIMS, claim('later'))
    s.check('another one is bound meanwhile', until(lambda: phase('later') == 'Bound'))
    s.equal('the used one stays', (get('data')[0], os.path.isdir(folder('data'))), (200, True))
    i.cli('local', 'down')
    i.up()
    i.api.call('POST', CLAIMS, claim('after'))
    s.check('the node is at work after a restart', until(lambda: phase('after') == 'Bound'))
    s.equal('the used one stays after a restart', get('data')[0], 200)
    i.api.call('DELETE', RUNS + '/kept')
    i.api.call('DELETE', RUNTIMES + '/keeps')
    s.check('it goes with its last pod', until(lambda: get('data')[0] == 404), str(get('data')))
    s.check('and so does its folder', not os.path.exists(folder('data')))

    # not used: at once; with a namespace: too
    i.api.call('DELETE', CLAIMS + '/later')
    s.check('one that nobody uses goes', until(lambda: get('later')[0] == 404) and not os.path.exists(folder('later')))
    i.api.call('POST', '/api/v1/namespaces', {'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': 'side'}})
    side = CLAIMS.replace('default', 'side')
    i.api.call('POST', side, claim('data'))
    s.check('bound in another namespace', until(lambda: i.api.call('GET', side + '/data')[1].get('status', {}).get('phase') == 'Bound'))
    i.api.call('DELETE', '/api/v1/namespaces/side')
    s.check('a namespace goes with its claims', until(lambda: i.api.call('GET', '/api/v1/namespaces/side')[0] == 404))
    s.check('and with their folders', not os.path.exists(os.path.join(i.state, 'volumes', 'side', 'data')))
    if s.failed:
        print(i.logs()[-4000:])
s.end()
