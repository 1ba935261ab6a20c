#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our patterns against Go's regexp: random ones of the common subset on random texts. What we accept Go accepts, and both find the
same; we may refuse more.

  tests/interop/regexp_go.py [SEED]
"""
import os, random, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 2
s = Suite()
got = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'get'), 'regexp'], capture_output=True, text=True)
if got.returncode == 77:
    s.skip('regexp', got.stdout.strip())
    s.end()
rnd = random.Random(SEED)
LETTERS = ['a', 'b', 'A', 'Z', '0', '9', '-', '_', ' ', '\n', '\t', '.', '/', 'é', 'ß', 'K', 'k', '\u212a', '\u017f', 's', '😀', '\x00', '\x7f', ',', ']', '^', '\\']
CLASSES = ['\\d', '\\D', '\\w', '\\W', '\\s', '\\S', '.', '[[:alpha:]]', '[[:^digit:]]', '[[:space:][:upper:]]', '[^\\d\\s]', '[\\w.-]']
SIMPLE = set('abAZ09-_ ,/éßKks😀\u212a\u017f')


def one():
    k = rnd.random()
    if k < 0.45:
        c = rnd.choice(LETTERS)
        return c if c in SIMPLE or c in '\n\t' else '\\x{%x}' % ord(c) if k < 0.1 or ord(c) < 32 or c == '\x7f' else '\\' + c
    if k < 0.6:
        return rnd.choice(CLASSES)
    if k < 0.75:
        return '[' + rnd.choice(('', '', '^')) + ''.join(rnd.choice(('a', 'b-d', '0-9', 'é', '\\]', 'A-Z', '\\n', 'K', '-', '\\^', '\\-', '😀', 'à-ü', '\\s')) for _ in range(rnd.randint(1, 3))) + ']'
    if k < 0.8:
        return rnd.choice(('^', '$', '\\A', '\\z'))
    return rnd.choice(('(', '(?:', '(?i:', '(?s:', '(?P<n>')) + pattern(2) + ')'


def piece():
    p = one()
    return p + (rnd.choice(('*', '+', '?', '*?', '+?', '??', '{2}', '{0,2}', '{1,}', '{3,4}?', '{0}')) if rnd.random() < 0.35 else '')


def pattern(depth=3):
    return '|'.join(''.join(piece() for _ in range(rnd.randint(0 if depth < 3 else 1, 4 if depth == 3 else 2))) for _ in range(rnd.choice((1, 1, 1, 2, 3))))


def text():
    return ''.join(rnd.choice(LETTERS) for _ in range(rnd.randint(0, 8)))


def spoilt(p):
    at = rnd.randint(0, len(p))
    return p[:at] + rnd.choice(('(', ')', '[', ']', '{', '}', '*', '+', '?', '|', '\\', '^', '$', '(?i)', '{2', '{,3}', '-', '\\x', '(?', '[a-', '{1001}')) + p[at + rnd.randint(0, 1):]


pairs = []
for _ in range(12000):
    p = pattern()
    if rnd.random() < 0.25:
        p = spoilt(p)
    pairs += [(p, text()) for _ in range(2)]
hexed = lambda t: t.encode().hex() or '-'
lines = ''.join('%s %s\n' % (hexed(p), hexed(t)) for p, t in pairs)
run = lambda *argv: subprocess.run(argv, input=lines, capture_output=True, text=True, timeout=4 * DEADLINE)
theirs, ours = run(got.stdout.strip()), run(os.environ.get('KR_INTEROP', os.path.join(TOP, 'build', 'dev', 'interop')), 'regex')
s.check('ours ends clean', ours.returncode == 0 and not ours.stderr, ours.stderr[-1500:])
answers = list(zip(pairs, ours.stdout.split(), theirs.stdout.split()))
s.equal('an answer to each', len(answers), len(pairs))
differ = [(p, t, a, b) for (p, t), a, b in answers if a != '!' and a != b]
refused = sum(a == '!' for _, a, _ in answers)
s.check('what is accepted is found alike', not differ, '%d differ: %r' % (len(differ), differ[:5]))
more = [(p, a, b) for (p, t), a, b in answers if a == '!' and b != '!']
s.check('most are accepted', len(more) < len(pairs) / 5, '%d of %d are refused that Go takes: %r' % (len(more), len(pairs), more[:5]))
s.check('patterns of all kinds were tried', {'true', 'false', '!'} == {b for _, _, b in answers} and refused > 100)
s.end()
