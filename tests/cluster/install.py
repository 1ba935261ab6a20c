#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From kubectl apply -k to a Run that succeeded; uninstalled, nothing is left; namespaces with everything in them go.

It takes the installation away and puts it back: the other suites of the cluster find it as they like it.
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *

s = Suite()
OURS = re.compile('kruntimes')
EVERYWHERE = kubectl('api-resources', '--verbs=list', '-o', 'name').split()


def ours_everywhere():
    """Everything in the cluster whose name, group or manager tells that it is ours."""
    kinds = ','.join(k for k in kubectl('api-resources', '--verbs=list', '-o', 'name').split() if not k.startswith('events'))
    listed = kubectl('get', kinds, '-A', '-o', 'custom-columns=K:.kind,NS:.metadata.namespace,N:.metadata.name,L:.metadata.labels', '--no-headers',
                     '--ignore-not-found', check=False)
    return [line for line in listed.stdout.splitlines() if OURS.search(line)]


def lives(ns):
    """The thread: a Runtime gets Ready, a Run succeeds, its output can be read."""
    ns.runtime('bash')
    s.check('a Runtime gets Ready', ns.wait_ready('bash'), json.dumps(ns.runtime_status('bash')))
    ns.submit('hello', ['echo hello'])
    s.equal('a Run succeeds', ns.finished('hello').get('phase'), 'Succeeded')
    s.equal('and says so', cli('run', 'logs', 'hello', '-n', ns.name).stdout, 'hello\n')


install()
ns = Space('install')
lives(ns)
kubectl('apply', '-k', os.path.join(TOP, 'manifests'))
s.check('applied again, nothing changes', all('unchanged' in line or 'configured' not in line for line in kubectl('apply', '-k', os.path.join(TOP, 'manifests')).splitlines()
                                             if 'deployment' in line))
for component in ('controller', 'scheduler'):
    pods = [p for p in ns.items('/api/v1/namespaces/%s/pods' % SYSTEM) if p['metadata']['labels'].get('app.kubernetes.io/component') == component]
    s.equal('two of the ' + component, sum(p['status']['phase'] == 'Running' for p in pods), 2)

# a namespace with Runs (one that runs), a Runtime, and what they own
ns.submit('running', ['sleep 300'])
until(lambda: ns.run_status('running').get('phase') == 'Running', 20)
ns.delete()
s.check('a namespace with all of it goes', until(lambda: ns.api.call('GET', '/api/v1/namespaces/install')[0] == 404, 90),
        kubectl('get', 'ns', 'install', '-o', 'yaml', check=False).stdout)

# uninstalled in the order that lets finalizers go: Runtimes, Runs, then the rest
for other in kubectl('get', 'ns', '-o', 'name').split():
    if json.loads(kubectl('get', other, '-o', 'json'))['status']['phase'] == 'Terminating':
        kubectl('wait', '--for=delete', other, '--timeout=120s', check=False)
kubectl('delete', 'runtimes', '-A', '--all', '--timeout=120s')
kubectl('delete', 'runs', '-A', '--all', '--timeout=60s')
kubectl('delete', '-k', os.path.join(TOP, 'manifests'), '--timeout=120s')
s.equal('nothing of ours is left', until(lambda: ours_everywhere() == [], 60) and [] or ours_everywhere(), [])

# and it installs again
install()
ns = Space('install-again')
lives(ns)
if s.failed:
    print(ns.why())
ns.delete()
s.end()
