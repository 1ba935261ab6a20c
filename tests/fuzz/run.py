#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random inputs for every parser: run.py [--seconds N] [TARGET…]

A target begins with what lies in tests/fuzz/corpus/TARGET and tests/fuzz/regress/TARGET (every crash stays there), with files
of the tree that are of its kind, and with what earlier runs found (build/fuzz/corpus/TARGET). Tests take the same seed each
time, so that a change is judged by what it changed; `make fuzz` takes the day's. One line a target; the last line is
"N passed, N failed"."""
import argparse
import concurrent.futures
import glob
import gzip
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
PROGRAM = os.environ.get('KR_FUZZ_PROGRAM', 'build/fuzz/fuzz')
OWN = 'build/fuzz/corpus'


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


def run(target, seconds, seed):
    own = os.path.join(OWN, target)
    os.makedirs(own, exist_ok=True)
    given = from_tree(target)
    if not given and not os.path.isdir('tests/fuzz/corpus/' + target):
        return False, 'FAIL %s has no inputs to begin with: let tests/fuzz/record.py find some, or from_tree in tests/fuzz/run.py' % target
    for i, data in enumerate(given):
        with open(os.path.join(own, 'tree-%d' % i), 'wb') as f:
            f.write(data)
    folders = [d for d in ('tests/fuzz/regress/' + target, 'tests/fuzz/corpus/' + target, own) if os.path.isdir(d)]
    command = [PROGRAM, target, '--seconds', str(seconds), '--seed', str(seed), '--keep', own, *folders]
    env = dict(os.environ, ASAN_OPTIONS='hard_rss_limit_mb=4096:allocator_may_return_null=0')
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors='replace', env=env, timeout=seconds * 4 + 300)
        said, code = (done.stdout + done.stderr).strip(), done.returncode
    except subprocess.TimeoutExpired:
        said, code = 'it did not end', 1
    if code:
        return False, 'FAIL %s (%s)\n%s' % (target, ' '.join(command[:6]), said[-4000:])
    return True, said.split('\n')[-1]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--seconds', type=int, default=int(os.environ.get('KR_FUZZ_SECONDS', '10')))
    p.add_argument('--seed', type=int, default=1, help='0: the day\'s')
    p.add_argument('targets', nargs='*')
    o = p.parse_args()
    seed = o.seed or int(time.time()) // 86400
    known = subprocess.run([PROGRAM], capture_output=True, text=True, check=True).stdout.split()
    unknown = [t for t in o.targets if t not in known]
    if unknown:
        sys.exit('there is no target %s; there are: %s' % (', '.join(unknown), ' '.join(known)))
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for ok, said in pool.map(lambda t: run(t, o.seconds, seed), o.targets or sorted(known)):
            print(said, flush=True)
            passed, failed = passed + ok, failed + (not ok)
    print('%d passed, %d failed' % (passed, failed))
    sys.exit(1 if failed else 0)


main()
