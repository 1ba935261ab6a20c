#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may do what: the roles by review, port-forward tried, and what a runtimed's identity can't do, tried with its token."""
import os, ssl, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *
import roles

s = Suite()
install()
ns = Space('kr-tenant')
roles.check(s, ns.api)
ns.runtime('bash', replicas=2)
s.check('the Runtime gets Ready', ns.wait_ready('bash'), json.dumps(ns.runtime_status('bash')))

# port-forward, as people: who may is asked to upgrade, who may not is refused
pods = ns.pods('bash')
for who, may in (('kr-viewer', False), ('kr-submitter', True), ('kr-runtime-admin', True), ('kr-tenant', True)):
    def tried(method):
        connection = ns.api.open()
        connection.request(method, '%s/pods/%s/portforward?ports=9093' % (ns.core, pods[0]['metadata']['name']), headers={'Impersonate-User': who})
        return connection.getresponse().status
    s.equal('%s and port-forward' % who, [tried(m) != 403 for m in ('GET', 'POST')], [may, may])

# a Run on each pod, and one that is over
for name in ('one', 'two'):
    ns.submit(name, ['sleep 120'], resources={'requests': {'runs': 4}})
until(lambda: all(ns.run_status(n).get('phase') == 'Running' for n in ('one', 'two')), 30)
mine, other = ns.run_status('one'), ns.run_status('two')
s.check('they are on different pods', mine['assignedPod'] != other['assignedPod'], '%s %s' % (mine, other))
token = kubectl('create', 'token', '-n', ns.name, 'runtime-bash', '--bound-object-kind=Pod', '--bound-object-name=' + mine['assignedPod'],
                '--bound-object-uid=' + mine['assignedPodUID']).strip()
unbound = kubectl('create', 'token', '-n', ns.name, 'runtime-bash').strip()
certificate = ns.api.context
Anyone = lambda t: ns.api.as_user({'Authorization': 'Bearer ' + t})
ns.api.context = ssl.create_default_context(cafile=os.path.join(CLUSTER, 'pki', 'ca.crt'))
pod, loose = Anyone(token), Anyone(unbound)
ns.api.context = certificate


def answer(who, run, body, sub='/status', type=MERGE):
    code, said = who.call('PATCH', ns.runs + '/' + run + sub, body, type)
    return code if code < 300 else '%d %s' % (code, said.get('message', ''))


def refused(what, *args, **more):
    got = answer(*args, **more)
    s.check('refused: ' + what, str(got).startswith(('403', '422')) and 'kruntimes' in str(got), str(got))


s.equal('its own Run: status', answer(pod, 'one', {'status': {'message': 'still here'}}), 200)
s.equal('its own Run: finalizers', answer(pod, 'one', {'metadata': {'finalizers': ['kruntimes.io/artifact-cleanup']}}, sub=''), 200)
s.equal('and off again', answer(pod, 'one', {'metadata': {'finalizers': None}}, sub=''), 200)
refused('a Run of another pod', pod, 'two', {'status': {'message': 'stolen'}})
refused('a finalizer on a Run of another pod', pod, 'two', {'metadata': {'finalizers': ['kruntimes.io/artifact-cleanup']}}, sub='')
refused('to take a Run over', pod, 'two', {'status': {'assignedPod': mine['assignedPod'], 'assignedPodUID': mine['assignedPodUID']}})
refused('to give its own Run to another pod', pod, 'one', {'status': {'assignedPod': other['assignedPod'], 'assignedPodUID': other['assignedPodUID']}})
refused('a label', pod, 'one', {'metadata': {'labels': {'x': 'y'}}}, sub='')
refused('an owner', pod, 'one', {'metadata': {'ownerReferences': [{'apiVersion': 'v1', 'kind': 'Pod', 'name': 'x', 'uid': 'y'}]}}, sub='')
refused('cancelRequested', pod, 'one', {'spec': {'cancelRequested': True}}, sub='')
refused('a token that names no pod', loose, 'one', {'status': {'message': 'nobody'}})
for what, method, path in (('delete a Run', 'DELETE', ns.runs + '/one'), ('create a Run', 'POST', ns.runs), ('list pods', 'GET', ns.core + '/pods'),
                           ('list Secrets', 'GET', ns.core + '/secrets'), ('read its Runtime', 'GET', ns.runtimes + '/bash'),
                           ('Runs elsewhere', 'GET', GROUP + '/namespaces/default/runs')):
    s.equal('it may not: ' + what, pod.call(method, path, run_object('x') if method == 'POST' else None)[0], 403)
s.equal('its own Run: the end', answer(pod, 'one', {'status': {'phase': 'Failed', 'reason': 'ExitCode', 'completionTime': '2026-01-01T00:00:00Z'}}), 200)
refused('what is over stays over', pod, 'one', {'status': {'phase': 'Running'}})
s.equal('the other one is as it was', (ns.run_status('two').get('phase'), ns.run_status('two').get('message')), ('Running', other.get('message')))
if s.failed:
    print(ns.why()[-3000:])
kubectl('delete', 'clusterrolebindings', 'kr-viewer', 'kr-submitter', 'kr-runtime-admin', check=False)
ns.delete()
s.end()
