#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HPACK against Python's hpack: random header lists both ways through both dynamic tables while their sizes change, and spoilt
blocks, which both must read alike.

  tests/interop/hpack_python.py [SEED]
"""
import os, subprocess, sys
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
if not os.environ.get('KR_VENV'):      # again, with the Python that has hpack
    venv = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'venv')], capture_output=True, text=True)
    if venv.returncode:
        print('skip hpack: %s' % (venv.stdout.strip() or venv.stderr.strip()))
        print('0 passed, 0 failed, 1 skipped')
        sys.exit(0)
    os.execve(venv.stdout.strip(), [venv.stdout.strip(), *sys.argv], dict(os.environ, KR_VENV='1'))
sys.path.insert(0, os.path.join(HERE, '..', 'kit'))
from local import *
import random
import hpack

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 7541
s = Suite()
ours = subprocess.Popen([os.environ.get('KR_INTEROP', os.path.join(TOP, 'build', 'dev', 'interop')), 'hpack'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
rnd = random.Random(SEED)


def ask(*words):
    ours.stdin.write(' '.join(words) + '\n')
    ours.stdin.flush()
    return ours.stdout.readline().rstrip('\n')


def coded(fields):
    return ' '.join(bytes(n).hex() + '=' + bytes(v).hex() for n, v in fields)


NAMES = [b':method', b':path', b':status', b'content-type', b'content-length', b'cookie', b'authorization', b'x-request-id', b'x', b'a-name-that-no-table-has']
VALUES = [b'', b'GET', b'/', b'200', b'application/json', b'0', b'Bearer ' + b'x' * 300]


def name():
    return rnd.choice(NAMES) if rnd.random() < 0.7 else bytes(rnd.choice(b'abcdefghijklmnopqrstuvwxyz0123456789-') for _ in range(rnd.randint(1, 40)))


def value():
    return rnd.choice(VALUES) if rnd.random() < 0.5 else bytes(rnd.randrange(256) for _ in range(int(rnd.expovariate(1 / 60))))


def fields():
    return [(name(), value()) for _ in range(rnd.randint(0, 12))]


def reset():
    ask('fresh')
    return hpack.Encoder(), hpack.Decoder()


def theirs(decoder, block):
    try:
        return coded(decoder.decode(block, raw=True))
    except hpack.OversizedHeaderListError:
        return 'large'
    except Exception:                  # it has a few kinds, IndexError and UnicodeDecodeError among them
        return 'broken'


wrong = {'ours is read by theirs': [], 'theirs is read by ours': []}
blocks = []
for connection in range(30):
    enc, dec = reset()
    for step in range(100):
        if rnd.random() < 0.08:        # the peer's SETTINGS
            size = rnd.choice((0, 1, 64, 100, 1000, 4096, 65536))
            dec.max_allowed_table_size = size
            ask('limit', str(size))
            if rnd.random() < 0.4:
                dec.max_allowed_table_size = size = rnd.choice((0, 300, 4096))
                ask('limit', str(size))
        if rnd.random() < 0.08:        # its encoder makes its own table smaller or larger
            for size in rnd.sample((0, 32, 128, 1024, 4096), rnd.choice((1, 1, 2))):
                if size != enc.header_table_size:      # it forgets a change that is said twice
                    enc.header_table_size = size
        want = fields()
        block = bytes.fromhex(ask('encode', coded(want)))
        got = theirs(dec, block)
        if got != coded(want):
            wrong['ours is read by theirs'].append((connection, step, coded(want), block.hex(), got))
            break
        want = [hpack.NeverIndexedHeaderTuple(n, v) if rnd.random() < 0.1 else (n, v) for n, v in fields()]
        block = enc.encode(want, huffman=rnd.random() < 0.7)
        blocks.append(block)
        got = ask('decode', block.hex())
        if got != coded(want):
            wrong['theirs is read by ours'].append((connection, step, coded(want), block.hex(), got))
            break
for what, cases in wrong.items():
    s.check(what + ', seed %d' % SEED, not cases, repr(cases[:1])[:2000])

# Each spoilt block in tables of its own: a list, or none for both.
differ = []
tried = {'broken': 0, 'list': 0}
for _ in range(4000):
    block = bytearray(rnd.choice(blocks) or b'\x82')
    for _ in range(rnd.randint(1, 3)):
        at = rnd.randrange(len(block))
        kind = rnd.random()
        if kind < 0.5:
            block[at] ^= 1 << rnd.randrange(8)
        elif kind < 0.75:
            block[at] = rnd.choice((0, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0x82, 0xbe, 0xff))
        else:
            del block[at:at + rnd.randint(1, 4)]
        block = block or bytearray(b'\x82')
    _, dec = reset()
    got, want = ask('decode', block.hex()), theirs(dec, bytes(block))
    tried['broken' if got == 'broken' else 'list'] += 1
    if got != want:
        differ.append((block.hex(), 'ours', got, 'theirs', want))
s.check('spoilt blocks are read alike', not differ, '%d differ: %r' % (len(differ), differ[:3]))
s.check('spoilt blocks of both kinds were tried', min(tried.values()) > 300, repr(tried))
ours.stdin.close()
s.equal('it ends clean', ours.wait(DEADLINE), 0)
s.end()
