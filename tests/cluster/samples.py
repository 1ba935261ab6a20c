#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""manifests/samples on a cluster: each Runtime becomes ready, each Run and the Workflow end as their comments say. There is no registry
here: the images are this machine's of the same kind."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *

s = Suite()
install()
ns = Space('samples')
FOLDER = os.path.join(TOP, 'manifests', 'samples')
IMAGES = {'bash': 'localhost/bash:1', 'python': 'localhost/python:1', 'node': 'localhost/node:1', 'any': 'localhost/busybox:1'}
RUNS = {'hello': ('bash', 'Succeeded', {'greeting': 'hello'}, 'hello from hello\n'), 'files': ('bash', 'Succeeded', {'count': '3'}, '3 words\n'),
        'retry': ('bash', 'Succeeded', None, 'attempt 3\n'), 'python': ('python', 'Succeeded', {'sum': '7'}, 'the sum is 7\n'),
        'node': ('node', 'Succeeded', {'count': '2'}, 'hello Ada, hello Grace\n'), 'any': ('any', 'Succeeded', None, 'no $SHELL was; needed\n')}


def text(path, image=None):
    with open(os.path.join(FOLDER, path)) as f:
        found = f.read()
    return re.sub(r'(?m)^( *)image: .*$', r'\1image: %s\n\1imagePullPolicy: IfNotPresent' % image, found) if image else found


s.equal('every sample is known here', {n for n in os.listdir(FOLDER) if n.endswith('.yaml')}, {n + '.yaml' for n in RUNS} | {'workflow.yaml'})
s.equal('every Runtime too', set(os.listdir(os.path.join(FOLDER, 'runtimes'))), {n + '.yaml' for n in IMAGES})
have = kubectl('get', 'node', '-o', 'jsonpath={.items[*].status.images[*].names}')
there = {name: image for name, image in IMAGES.items() if image in have}
for name, image in IMAGES.items():
    if name in there:
        kubectl('apply', '-n', ns.name, '-f', '-', stdin=text('runtimes/%s.yaml' % name, image))
    else:
        s.skip('runtime %s' % name, 'there is no image %s on this cluster' % image)
for name in there:
    s.check('runtime %s becomes ready' % name, ns.wait_ready(name, 180), ns.why() if name == 'bash' else json.dumps(ns.runtime_status(name)))
mine = {n: r for n, r in RUNS.items() if r[0] in there}
for name in mine:
    kubectl('apply', '-n', ns.name, '-f', '-', stdin=text(name + '.yaml'))
kubectl('apply', '-n', ns.name, '-f', '-', stdin=text('workflow.yaml'))
seen = ns.wait_runs(mine)
for name, (_, phase, outputs, wrote) in mine.items():
    status = seen.get(name, {}).get('status', {})
    s.equal('%s ends' % name, (status.get('phase'), status.get('outputs')), (phase, outputs))
    logs = cli('run', 'logs', name, '-n', ns.name)
    s.equal('%s wrote' % name, logs.stdout, wrote)
flow = lambda: ns.get(GROUP + '/namespaces/%s/workflows/workflow' % ns.name).get('status', {})
s.check('the Workflow succeeds', until(lambda: flow().get('phase') == 'Succeeded', 120), json.dumps(flow()))
if s.failed:
    print(ns.why())
ns.delete()
s.end()
