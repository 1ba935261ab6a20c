#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/tutorial.md on a cluster, block by block, as tests/local/tutorial.py types it: only what brings an instance up and takes it away is
left out, and images are this machine's, as there is no registry here."""
import os, sys
sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', d) for d in ('kit', 'local')]
from cluster import *
import tutorial

s = tutorial.s
install()
ns = Space('tutorial')
PYTHON = 'localhost/python:1' in kubectl('get', 'node', '-o', 'jsonpath={.items[*].status.images[*].names}')


class Reader(tutorial.Reader):
    """In a namespace of its own; of the page's Runtime py only where there is an image for it."""
    left_out = 0

    def command(self, command, wanted, line):
        if 'kruntimes local ' in command or command.startswith('export KUBECONFIG') or (re.search(r'\bpy\b|python\.yaml', command) and not PYTHON):
            self.left_out += 1
            return
        super().command(command, wanted, line)


reader = Reader('docs/tutorial.md')
ns.runtime('bash', replicas=2, artifactStore=ns.claim())
s.check('the Runtime bash gets Ready', ns.wait_ready('bash', 180), ns.why())
config = os.path.join(reader.i.dir, 'kubeconfig')
with open(os.path.join(CLUSTER, 'admin.conf')) as f, open(config, 'w') as out:
    out.write(f.read())
kubectl('config', 'set-context', '--current', '--namespace', ns.name, '--kubeconfig', config)
reader.env['KUBECONFIG'] = config
reader.swap = {'namespace "default"': 'namespace "%s"' % ns.name, 'bash   local   2': 'bash   localhost/bash:1   2', 'image: python:3.13-slim': 'image: localhost/python:1\n        imagePullPolicy: IfNotPresent'}
try:
    if reader.kubectl:
        reader.read()
        s.equal('commands that are for an instance on this machine', reader.left_out, 4 if PYTHON else 7)
    else:
        s.skip('docs/tutorial.md', reader.why)
    if s.failed:
        print(ns.why())
finally:
    reader.close()
ns.delete()
ns.api.call('DELETE', '/api/v1/persistentvolumes/' + ns.name)
s.end()
