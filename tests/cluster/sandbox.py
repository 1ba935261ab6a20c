#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Isolation Sandbox in pods: under PodSecurity restricted with nothing asked of the cluster, and with namespaces on top where node,
kubelet and container runtime let a pod have users of its own (`hostUsers: false`); where they don't, the line says who refused."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *

s = Suite()
install()
ns = Space('sandbox')
ns.api.call('PATCH', '/api/v1/namespaces/' + ns.name, {'metadata': {'labels': {'pod-security.kubernetes.io/enforce': 'restricted'}}}, MERGE)
own = Space('sandbox-users')      # procMount Unmasked is none of restricted's


def server_log(space, runtime):
    return '\n'.join(kubectl('logs', '-n', space.name, p['metadata']['name'], '-c', 'runtime', check=False).stdout for p in space.pods(runtime))


def outcome(space, name, script, runtime):
    """Exit code of a shell script, and what it wrote as outputs."""
    space.submit(name, [script], runtime=runtime)
    status = space.finished(name, 120)
    return status.get('exitCode'), status.get('outputs', {})


def contained(space, runtime, namespaces):
    """What must hold in every sandbox, and what namespaces add."""
    code, out = outcome(space, 'works', 'echo yes > "$TMPDIR/x" && read -r x < "$TMPDIR/x" && echo "x=$x" >> "$KRUNTIME_OUTPUTS"', runtime)
    s.equal('%s: a Run works, in files of its own' % runtime, (code, out), (0, {'x': 'yes'}))
    for name, script in (('environ', 'read -r -d "" x < /proc/1/environ && [[ $x = *KRUNTIMES* ]]'), ('secret', ': < /var/run/secrets/kubernetes.io/serviceaccount/token'),
                         ('neighbours', 'for d in /workspace/*; do [ "$d" = "${HOME%/*}" ] || ls "$d/work" && exit; done; exit 1'),
                         ('binary', ': >> /kruntimes/bin/kruntimes')):
        code, _ = outcome(space, name, script, runtime)
        s.check('%s: refused: %s' % (runtime, name), code not in (0, None), str(space.run_status(name)))
    code, out = outcome(space, 'alone', 'n=0; for p in /proc/[0-9]*; do n=$((n + 1)); done; echo "n=$n" >> "$KRUNTIME_OUTPUTS"; : > /tmp/mine && echo tmp=yes >> "$KRUNTIME_OUTPUTS"', runtime)
    if namespaces:
        s.check('%s: a Run sees its own processes, few of them, and has a /tmp' % runtime, int(out.get('n', 0)) in (1, 2, 3) and out.get('tmp') == 'yes', '%s %s' % (code, out))
    else:
        s.check('%s: without namespaces there is no common /tmp' % runtime, 'tmp' not in out, '%s %s' % (code, out))


def container(**security):
    return {'name': 'runtime', 'image': 'localhost/bash:1', 'imagePullPolicy': 'IfNotPresent', 'securityContext': security}


def refused(space, runtime):
    """In whose words a pod does not start."""
    events = [e['message'] for e in space.items(space.core + '/events') if e['type'] == 'Warning' and re.search('user ?n|hostUsers|procMount|namespace', e['message'], re.I)]
    return events[0] if events else ''


ns.runtime('plain', isolation='Sandbox')
own.runtime('apart', isolation='Sandbox', template={'spec': {
    'terminationGracePeriodSeconds': 30, 'hostUsers': False, 'containers': [container(procMount='Unmasked', seccompProfile={'type': 'Unconfined'})]}})
if s.check('plain: Ready under PodSecurity restricted', ns.wait_ready('plain', 180), ns.why() if s.failed else str(ns.runtime_status('plain'))):
    said = server_log(ns, 'plain')
    s.check('plain: its log says what it has', 'Sandbox: rules' in said, said)
    contained(ns, 'plain', 'Sandbox: rules, a filter and namespaces' in said)
until(lambda: own.wait_ready('apart', 1) or refused(own, 'apart'), 180, 1)
if not own.wait_ready('apart', 1):
    why = refused(own, 'apart')
    s.skip('namespaces in a pod', why) if why else s.check('apart: Ready, or somebody says why not', False, own.why())
else:
    said = server_log(own, 'apart')
    if 'Sandbox: rules, a filter and namespaces' in said:
        contained(own, 'apart', True)
    else:
        s.skip('namespaces in a pod', 'the node lets the pod make none: ' + said.strip()[-200:])
for space in (ns, own):
    space.delete()
s.end()
