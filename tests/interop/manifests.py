#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""manifests: `kruntimes manifests` and manifests/ say the same by kustomize, and an overlay reaches every place.

What needs a cluster (does it install, does the admission policy refuse) is tests/cluster's.
"""
import os, shutil, subprocess, sys, tempfile
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
if not os.environ.get('KR_VENV'):      # again, with the Python that reads YAML
    venv = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'venv')], capture_output=True, text=True)
    if venv.returncode:
        print('skip manifests: %s' % (venv.stdout.strip() or venv.stderr.strip()))
        print('0 passed, 0 failed, 1 skipped')
        sys.exit(0)
    os.execve(venv.stdout.strip(), [venv.stdout.strip(), __file__], dict(os.environ, KR_VENV='1'))
sys.path.insert(0, os.path.join(HERE, '..', 'kit'))
from local import BINARY, Suite
import yaml


def tool(name):
    """A test program's path, or why it can't be had."""
    got = subprocess.run([os.path.join(TOP, 'tests/tools/get'), name], capture_output=True, text=True)
    return (got.stdout.strip(), None) if got.returncode == 0 else (None, (got.stdout or got.stderr).strip())


def objects(text):
    """By kind, namespace and name: the order of documents says nothing."""
    found = [d for d in yaml.safe_load_all(text) if d]
    for d in found:      # kustomize takes kinds that it doesn't know for namespaced; an API server drops that
        if d['kind'] in ('FlowSchema', 'ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'):
            d['metadata'].pop('namespace', None)
    by_name = {(d['kind'], d['metadata'].get('namespace', ''), d['metadata']['name']): d for d in found}
    assert len(by_name) == len(found), 'an object stands there twice'
    return by_name


def differences(a, b):
    return ['/'.join(k) for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)]


def main():
    s = Suite()
    print_ = lambda *args: subprocess.run([BINARY, 'manifests', *args], capture_output=True, text=True)
    ours = print_()
    s.equal('manifests prints', ours.returncode, 0)
    for args, why in ((['--image', 'a b'], 'no reference to an image'), (['--namespace', 'A'], 'no name of a namespace'),
                      (['--only-namespace', 'x/y'], 'no name of a namespace'), (['--replicas', '0'], 'replicas'), (['--part', 'x'], 'no part "x"')):
        bad = print_(*args)
        s.check('%s is refused' % args, bad.returncode != 0 and not bad.stdout and why in bad.stderr, bad.stderr)
    kubectl, why = tool('kubectl')
    if not kubectl:
        s.skip('kustomize', why)
        s.end()
    kustomize = lambda folder: subprocess.run([kubectl, 'kustomize', folder], capture_output=True, text=True)
    base = kustomize(os.path.join(TOP, 'manifests'))
    s.equal('kustomize takes the base', (base.returncode, base.stderr), (0, ''))
    s.equal('both print the same objects', differences(objects(base.stdout), objects(ours.stdout)), [])
    s.check('and there are some', len(objects(ours.stdout)) > 25)
    with tempfile.TemporaryDirectory() as d:
        for folder in ('manifests', 'crds'):
            shutil.copytree(os.path.join(TOP, folder), os.path.join(d, folder))
        os.mkdir(os.path.join(d, 'mine'))
        with open(os.path.join(d, 'mine', 'kustomization.yaml'), 'w') as f:
            f.write('resources: [../manifests]\nnamespace: elsewhere\n'
                    'images: [{name: localhost/kruntimes, newName: registry.example.com/kr, newTag: "9"}]\n')
        mine = kustomize(os.path.join(d, 'mine'))
    s.equal('kustomize takes an overlay', (mine.returncode, mine.stderr), (0, ''))
    s.equal('an overlay of namespace and image is what the options print',
            differences(objects(mine.stdout), objects(print_('--namespace', 'elsewhere', '--image', 'registry.example.com/kr:9').stdout)), [])
    s.end()


main()
