#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pages on a cluster, as tests/local/tutorial.py types them on one machine: docs/tutorial.md block by block, where only what brings an
instance up and takes it away is left out, and the blocks ```console cluster of docs/howto/*.md. Images are this machine's, as there is no
registry here."""
import glob, os, sys
sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', d) for d in ('kit', 'local')]
from cluster import *
import tutorial

s = tutorial.s
install()
ns = Space('tutorial')
PYTHON = 'localhost/python:1' in kubectl('get', 'node', '-o', 'jsonpath={.items[*].status.images[*].names}')


class Reader(tutorial.Reader):
    """With the cluster's kubeconfig, in a namespace of its own; of the page's Runtime py only where there is an image for it."""
    def __init__(self, page):
        super().__init__(page)
        self.left_out, config = 0, os.path.join(self.i.dir, 'kubeconfig')
        with open(os.path.join(CLUSTER, 'admin.conf')) as f, open(config, 'w') as out:
            out.write(f.read())
        kubectl('config', 'set-context', '--current', '--namespace', ns.name, '--kubeconfig', config)
        self.env['KUBECONFIG'] = config
        self.swap = {'namespace "default"': 'namespace "%s"' % ns.name, 'bash   local   2': 'bash   localhost/bash:1   2',
                     'image: python:3.13-slim': 'image: localhost/python:1\n        imagePullPolicy: IfNotPresent'}

    def command(self, command, wanted, line):
        if 'kruntimes local ' in command or command.startswith('export KUBECONFIG') or (re.search(r'\bpy\b|python\.yaml', command) and not PYTHON):
            self.left_out += 1
            return
        super().command(command, wanted, line)


class ClusterBlocks(Reader):
    """Only what a page has for a cluster."""
    def block(self, language, words, content, line):
        if 'cluster' in words:
            self.typed = True
            super().block(language, [], content, line)


def read(reader, then):
    try:
        if reader.kubectl:
            reader.read()
            then()
        else:
            s.skip(reader.page, reader.why)
        if s.failed:
            print(ns.why())
    finally:
        reader.close()


ns.runtime('bash', replicas=2, artifactStore=ns.claim())
s.check('the Runtime bash gets Ready', ns.wait_ready('bash', 180), ns.why())
page = Reader('docs/tutorial.md')
read(page, lambda: s.equal('commands that are for an instance on this machine', page.left_out, 4 if PYTHON else 7))
for name in sorted(glob.glob('docs/howto/*.md', root_dir=TOP)):
    if '```console cluster' in open(os.path.join(TOP, name)).read():
        howto = ClusterBlocks(name)
        read(howto, lambda: s.check(name + ': its blocks for a cluster were typed', howto.typed))
kubectl('delete', 'namespace', 'team-a', '--ignore-not-found', '--wait=false')
ns.delete()
ns.api.call('DELETE', '/api/v1/persistentvolumes/' + ns.name)
s.end()
