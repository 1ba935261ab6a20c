# SPDX-License-Identifier: Apache-2.0
"""inputs: what a fuzz target begins with

Files of the tree (tests/fuzz/corpus/TARGET: recorded by record.py; tests/fuzz/regress/TARGET: every crash stays there), files that are
of its kind anyway, what turns.py found on any machine (found.tar.xz), and what was found here (build/fuzz/corpus/TARGET)."""
import glob
import gzip
import io
import json
import os
import re
import subprocess
import sys
import tarfile

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
PROGRAM = os.environ.get('KR_FUZZ_PROGRAM', 'build/fuzz/fuzz')
OWN, FOUND = 'build/fuzz/corpus', 'tests/fuzz/found.tar.xz'


def from_tree(target):
    """Inputs that the tree has anyway, as bytes."""
    def objects():
        with open('tests/corpus/cases.jsonl', encoding='utf-8') as f:
            for line in f:
                for o in json.loads(line).get('objects', []):
                    if isinstance(o, dict) and len(json.dumps(o)) < 4000:
                        yield o
    read = lambda *patterns: [open(p, 'rb').read()[:16000] for g in patterns for p in sorted(glob.glob(g))]
    crds = b'\n'.join(read('crds/*.yaml')).decode()
    if target == 'yaml':
        return read('crds/*.yaml', 'manifests/*.yaml', 'manifests/samples/*.yaml')
    if target == 'json':
        return [json.dumps(o).encode() for o in objects()][::7]
    if target == 'model':
        kinds = ['Run', 'Runtime', 'Workflow']
        return [bytes([kinds.index(o['kind'])]) + json.dumps(o).encode() for o in objects() if o.get('kind') in kinds][::3]
    if target == 'expr':
        return [r.strip().strip('\'"').encode() for r in re.findall(r'rule: (.*)', crds)]
    if target == 'regex':
        return [p.strip().strip('\'"').encode() + b'\nhttps://host/a.git' for p in set(re.findall(r'pattern: (.*)', crds))]
    if target == 'archive':
        return archives()
    if target == 'jsonpath':
        return [m.encode() for text in read('docs/*.md', 'tests/interop/kubectl.py', 'tests/cluster/*.py') for m in set(re.findall(r"jsonpath='?(\{[^'\n]*\})", text.decode()))]
    if target == 'quantity':
        return [q.encode() for q in sorted({q for o in objects() for q in re.findall(r': "?(-?[0-9.]+(?:[numkMGTPE]i?|[eE][0-9]+)?)"?[,}]', json.dumps(o))})]
    return []


def archives():
    """A tar of a folder, a file and a long path; as it is (the target compresses it) and compressed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.PAX_FORMAT) as t:
        for name, content in (('d', None), ('d/f', b'text'), ('n' * 150, b'long'), ('x', b'z' * 600)):
            m = tarfile.TarInfo(name)
            m.type, m.size = (tarfile.REGTYPE, len(content)) if content is not None else (tarfile.DIRTYPE, 0)
            t.addfile(m, io.BytesIO(content) if content is not None else None)
    data = out.getvalue().rstrip(b'\0')
    data += bytes(-len(data) % 512 + 1024)
    return [b'\1' + data, b'\0' + gzip.compress(data, mtime=0)]


def targets(wanted):
    """The names that are wanted, or all; ends the process at one that there isn't."""
    known = subprocess.run([PROGRAM], capture_output=True, text=True, check=True).stdout.split()
    unknown = [t for t in wanted if t not in known]
    if unknown:
        sys.exit('there is no target %s; there are: %s' % (', '.join(unknown), ' '.join(known)))
    return wanted or sorted(known)


def prepare(target):
    """The folder for what is found, with the inputs that aren't files of the tree in it, and the folders of the tree."""
    own = os.path.join(OWN, target)
    os.makedirs(own, exist_ok=True)
    given = [('tree-%d' % i, data) for i, data in enumerate(from_tree(target))] + FOUND_INPUTS.get(target, [])
    if not given and not os.path.isdir('tests/fuzz/corpus/' + target):
        sys.exit('%s has no inputs to begin with: let tests/fuzz/record.py find some, or from_tree in tests/fuzz/inputs.py' % target)
    for name, data in given:
        with open(os.path.join(own, name), 'wb') as f:
            f.write(data)
    return own, [d for d in ('tests/fuzz/regress/' + target, 'tests/fuzz/corpus/' + target) if os.path.isdir(d)]


def environment(**more):
    return dict(os.environ, ASAN_OPTIONS='hard_rss_limit_mb=4096:allocator_may_return_null=0', **more)


def driver(target, seconds, seed):
    """The command that runs build/fuzz/fuzz on all of a target's inputs."""
    own, given = prepare(target)
    return [PROGRAM, target, '--seconds', str(seconds), '--seed', str(seed), '--keep', own, *given, own]


def found():
    by_target = {}
    if os.path.exists(FOUND):
        with tarfile.open(FOUND) as t:
            for m in t:
                target, name = m.name.split('/')
                by_target.setdefault(target, []).append((name, t.extractfile(m).read()))
    return by_target


FOUND_INPUTS = found()
