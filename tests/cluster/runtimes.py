#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Runtime's life on a cluster: mistakes told in a condition and an Event; edits, drains and deletion with Runs in flight."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *

s = Suite()
install()
ns = Space('runtimes')


def container(name='runtime', image='localhost/bash:1', **more):
    return dict({'name': name, 'image': image, 'imagePullPolicy': 'IfNotPresent'}, **more)


def template(*containers, **spec):
    return {'spec': dict({'terminationGracePeriodSeconds': 30, 'containers': list(containers)}, **spec)}


def told(name, words, seconds=60, ready='False'):
    """Degraded says these words, and so does an Event on the Runtime."""
    says = lambda c: c.get('status') == 'True' and re.search(words, c.get('reason', '') + ': ' + c.get('message', ''))
    s.check('%s: the condition says /%s/' % (name, words), until(lambda: says(ns.condition(name, 'Degraded')), seconds),
            json.dumps(ns.runtime_status(name).get('conditions')))
    event = lambda: any(re.search(words, e['reason'] + ': ' + e['message']) for e in ns.events(name) if e['type'] == 'Warning')
    s.check('%s: an Event says it' % name, until(event, 20), str([(e['reason'], e['message']) for e in ns.events(name)]))
    if ready:
        s.equal('%s: Ready' % name, ns.condition(name, 'Ready').get('status'), ready)


# ---- mistakes. All are made at once, then each is looked for
LONG = 'n' + 'a' * 62
quota = Space('runtimes-quota')
quota.api.call('POST', quota.core + '/resourcequotas', {'apiVersion': 'v1', 'kind': 'ResourceQuota', 'metadata': {'name': 'none'}, 'spec': {'hard': {'pods': '0'}}})
strict = Space('runtimes-strict')
strict.api.call('PATCH', '/api/v1/namespaces/' + strict.name, {'metadata': {'labels': {'pod-security.kubernetes.io/enforce': 'restricted'}}}, MERGE)
ns.runtime('good')
ns.runtime('bad-image', image='localhost/no-such-image:1')
ns.runtime('bad-image-name', image='Not An Image')
ns.runtime('no-account', template=template(container(), serviceAccountName='nobody-made-it'))
ns.runtime('bad-env', template=template(container(env=[{'name': '', 'value': 'x'}])))
ns.runtime('bad-mount', template=template(container(volumeMounts=[{'name': 'nowhere', 'mountPath': '/x'}])))
ns.runtime('bad-label', template=dict(template(container()), metadata={'labels': {'not a label': 'x'}}))
ns.runtime('two-9094', template=template(container(), container(name='proxy', ports=[{'containerPort': 9094}])))
ns.runtime('two-servers', template=template(container(), container(name='proxy', ports=[{'containerPort': 9091}])))
ns.runtime('no-room', template=template(container(resources={'requests': {'cpu': '900'}})))
ns.runtime('crash', server='Image', image='localhost/noshell:1', template=template(container(image='localhost/noshell:1', args=['I', 'end', 'at', 'once'])))
ns.runtime('reserved', template=template(container(), automountServiceAccountToken=True))
quota.runtime('full')
strict.runtime('root', template=template(container(securityContext={'runAsUser': 0})))
strict.runtime('fits')
code, answer = ns.runtime('x' + LONG)
s.check('a name that is too long is refused', code == 422 and 'metadata.name' in str(answer), str(answer)[:300])
code, answer = ns.runtime('long-container', template=template(container(), container(name='c' * 64)))
s.check('so is a container\'s', code == 422 and 'containers[1].name' in str(answer), str(answer)[:300])
code, answer = ns.runtime('port', port=9094)
s.check('a port of ours is refused', code == 422 and 'spec.port' in str(answer), str(answer)[:300])
code, answer = ns.runtime(LONG)
s.equal('the longest name is accepted', code, 201)

s.check('the good one gets Ready', ns.wait_ready('good'), json.dumps(ns.runtime_status('good')))
s.check('the one with the longest name gets Ready', ns.wait_ready(LONG), json.dumps(ns.runtime_status(LONG)))
ns.submit('long-named', ['echo yes'], runtime=LONG)
s.equal('and executes', ns.finished('long-named').get('phase'), 'Succeeded')
told('bad-image', 'no-such-image', 90)
told('bad-image-name', 'InvalidImageName')
told('no-account', 'nobody-made-it')
told('bad-env', r'env\[0\]\.name')
told('bad-mount', 'nowhere')
told('bad-label', 'not a label')
told('two-9094', 'PortCollision.*proxy.*9094', ready='')
told('two-servers', 'PortCollision.*proxy.*9091', ready='')
told('no-room', 'Unschedulable.*Insufficient cpu')
told('crash', 'CrashLoopBackOff.*runtime', 90)
s.check('reserved: it is told', until(lambda: 'automountServiceAccountToken' in ns.condition('reserved', 'Degraded').get('message', '')), str(ns.condition('reserved', 'Degraded')))
ns, quota = quota, ns
told('full', 'exceeded quota')
ns, quota = quota, ns
ns, strict = strict, ns
told('root', 'restricted')
s.check('what we make fits PodSecurity restricted', ns.wait_ready('fits'), json.dumps(ns.runtime_status('fits')))
ns, strict = strict, ns

# a mistake that is mended is told no more
ns.runtime('bad-env')
s.check('a mended template gets Ready', ns.wait_ready('bad-env'), json.dumps(ns.runtime_status('bad-env')))
s.check('and is Degraded no more', until(lambda: ns.condition('bad-env', 'Degraded').get('status') == 'False', 20), str(ns.condition('bad-env', 'Degraded')))
for name in ('bad-image', 'bad-image-name', 'no-account', 'bad-env', 'bad-mount', 'bad-label', 'two-9094', 'two-servers', 'no-room', 'crash', 'reserved', LONG):
    ns.api.call('DELETE', ns.runtimes + '/' + name)

# ---- drift: what others change on objects of ours comes back
edit = lambda body: ns.api.call('PATCH', ns.apps + '/deployments/runtime-good', body, MERGE)
deployed = lambda: ns.get(ns.apps + '/deployments/runtime-good')
edit({'spec': {'replicas': 0}, 'metadata': {'labels': {'mine': 'stays'}}})
s.check('replicas come back', until(lambda: deployed()['spec']['replicas'] == 1, 20))
s.equal('a label of others stays', deployed()['metadata']['labels'].get('mine'), 'stays')
ns.api.call('DELETE', '/apis/rbac.authorization.k8s.io/v1/namespaces/%s/rolebindings/runtime-good' % ns.name)
s.check('a deleted RoleBinding comes back', until(lambda: ns.get('/apis/rbac.authorization.k8s.io/v1/namespaces/%s/rolebindings/runtime-good' % ns.name), 20))

# ---- kubectl scale
kubectl('scale', '-n', ns.name, 'runtime/good', '--replicas=2')
s.check('kubectl scale', until(lambda: ns.runtime_status('good').get('readyReplicas') == 2, 60), json.dumps(ns.runtime_status('good')))
s.check('capacity is the sum', until(lambda: ns.runtime_status('good').get('capacity') == {'runs': 8}, 20), json.dumps(ns.runtime_status('good')))

# ---- an edit with Runs in flight: none is lost, each is executed once
journal = ['r%02d' % n for n in range(24)]
for n in journal[:8]:
    ns.submit(n, ['sleep 4; echo $KRUNTIME_ATTEMPT'], runtime='good')
until(lambda: sum(ns.run_status(n).get('phase') == 'Running' for n in journal[:8]) == 8, 20)
before = {p['metadata']['name'] for p in ns.pods('good')}
ns.runtime('good', replicas=2, template=template(container(env=[{'name': 'GENERATION', 'value': '2'}])))
for n in journal[8:]:
    ns.submit(n, ['echo generation=$GENERATION >>$KRUNTIME_OUTPUTS; sleep 0.2'], runtime='good')
ends = ns.wait_runs(journal, 90)
s.equal('all Succeeded', collections.Counter(r.get('status', {}).get('phase') for r in ends.values()), {'Succeeded': 24})
s.equal('at the first attempt', collections.Counter(r['status'].get('attempt') for r in ends.values()), {1: 24})
s.check('the pods are new', until(lambda: not before & {p['metadata']['name'] for p in ns.pods('good')} and ns.wait_ready('good', 1), 60), str(before))

# ---- a drain: what runs may end, what isn't started goes elsewhere at no cost
ns.submit('draining', ['sleep 6; echo ended'], runtime='good', resources={'requests': {'runs': 4}})
until(lambda: ns.run_status('draining').get('phase') == 'Running', 20)
pod = ns.run_status('draining')['assignedPod']
ns.api.call('DELETE', ns.core + '/pods/' + pod)
s.equal('a drained Run may end', (ns.finished('draining').get('phase'), ns.run_status('draining').get('assignedPod'), ns.run_status('draining').get('attempt')), ('Succeeded', pod, 1))
s.check('the pod goes', until(lambda: pod not in [p['metadata']['name'] for p in ns.pods('good')], 40))
ns.wait_ready('good')
ns.submit('over-grace', ['[ $KRUNTIME_ATTEMPT = 2 ] || sleep 300'], runtime='good', retryPolicy={'maxAttempts': 2, 'backoff': '10ms'})
until(lambda: ns.run_status('over-grace').get('phase') == 'Running', 20)
pod = ns.run_status('over-grace')['assignedPod']
ns.api.call('DELETE', ns.core + '/pods/' + pod + '?gracePeriodSeconds=12')
end = ns.finished('over-grace', 60)
s.equal('past the grace it is tried elsewhere', (end.get('phase'), end.get('attempt'), end.get('assignedPod') != pod), ('Succeeded', 2, True))
ns.wait_ready('good')
ns.submit('gone', ['[ $KRUNTIME_ATTEMPT = 2 ] || sleep 300'], runtime='good', retryPolicy={'maxAttempts': 2, 'backoff': '10ms'})
until(lambda: ns.run_status('gone').get('phase') == 'Running', 20)
pod = ns.run_status('gone')['assignedPod']
ns.api.call('DELETE', ns.core + '/pods/' + pod + '?gracePeriodSeconds=0')
end = ns.finished('gone', 60)
s.equal('a pod deleted without grace is told as lost, and tried elsewhere', (end.get('phase'), end.get('attempt'), end.get('assignedPod') != pod), ('Succeeded', 2, True))

# ---- deletion: binds stop, what runs may end, the finalizer goes with the last pod, the rest by garbage collection
ns.wait_ready('good')
ns.submit('last', ['sleep 5; echo last'], runtime='good')
until(lambda: ns.run_status('last').get('phase') == 'Running', 20)
ns.api.call('DELETE', ns.runtimes + '/good')
ns.submit('late', ['echo late'], runtime='good')
s.equal('what runs may end', (ns.finished('last').get('phase'), ns.run_status('last').get('attempt')), ('Succeeded', 1))
s.check('the Runtime goes', until(lambda: not ns.get(ns.runtimes + '/good'), 60))
s.equal('no pod is left when it has gone', ns.pods('good'), [])
left = lambda: kubectl('get', 'deployment,role,rolebinding,serviceaccount,networkpolicy', '-n', ns.name, '-o', 'name', '-l', 'kruntimes.io/runtime=good')
s.check('nor anything else of it', until(lambda: not left(), 40), left())
s.check('a late Run waits and says why', until(lambda: 'RuntimeNotFound' in json.dumps(ns.run_status('late')), 20), json.dumps(ns.run_status('late')))
s.equal('it is Pending', ns.run_status('late').get('phase', 'Pending'), 'Pending')
ns.runtime('good')
s.equal('a Runtime of that name takes it', ns.finished('late', 90).get('phase'), 'Succeeded')

# ---- a namespace with Runs and Runtimes goes
ns.submit('with-it', ['sleep 300'], runtime='good')
until(lambda: ns.run_status('with-it').get('phase') == 'Running', 20)
if s.failed:
    print(ns.why())
for n in (ns, quota, strict):
    n.delete()
for n in (ns, quota, strict):
    s.check('namespace %s goes' % n.name, until(lambda: n.api.call('GET', '/api/v1/namespaces/' + n.name)[0] == 404, 120),
            kubectl('get', 'ns', n.name, '-o', 'yaml', check=False).stdout)
s.end()
