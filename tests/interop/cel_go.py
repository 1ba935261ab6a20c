#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our expressions against cel-go: random ones over the same data, of right types and of wrong ones. Both give the same value, or both none.

  tests/interop/cel_go.py [SEED]
"""
import os, random, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 3
s = Suite()
tools = os.path.join(TOP, 'tests', 'tools')
got = subprocess.run([os.path.join(tools, 'get'), 'cel'], capture_output=True, text=True)
if got.returncode == 77:
    s.skip('cel-go', got.stdout.strip())
    s.end()
# The data that the program has in itself.
DATA = re.search(r'const data = `(.*)`', open(os.path.join(tools, 'cel', 'main.go')).read()).group(1)
rnd = random.Random(SEED)
pick = rnd.choice


def wrong(kind, d):
    """Now and then something of another type."""
    return pick((num, text, flag, items, table))(d) if rnd.random() < 0.04 else None


def num(d):
    k = rnd.random()
    if d <= 0 or k < 0.3:
        return pick(('0', '1', '2', '-1', '7', '9223372036854775807', '-9223372036854775808', 'self.n', 'self.m.a', 'self.l[1]', 'self.list[0].v', '1.5', '0.0', '-2.25', '1e3'))
    if k < 0.65:
        return '(%s %s %s)' % (any_num(d - 1), pick(('+', '-', '*', '/', '%')), any_num(d - 1))
    if k < 0.75:
        return 'size(%s)' % pick((text, items, table))(d - 1)
    if k < 0.8:
        return '-(%s)' % any_num(d - 1)
    if k < 0.86:
        return '%s[%s]' % (items(d - 1), any_num(0))
    if k < 0.92:
        return 'int(%s)' % pick((num, text))(d - 1)
    return '(%s ? %s : %s)' % (flag(d - 1), num(d - 1), num(d - 1))


def any_num(d):
    return wrong('n', d) or num(d)


def text(d):
    k = rnd.random()
    if d <= 0 or k < 0.4:
        return pick(("'a'", "''", '"b"', "'héllo'", "'12'", "'-7'", "'x,y,z'", 'self.s', 'self.o.x', 'self.list[1].name', "'😀é'", "'A'"))
    if k < 0.55:
        return '(%s + %s)' % (any_text(d - 1), any_text(d - 1))
    if k < 0.65:
        return 'string(%s)' % pick(('1', 'true', "'x'", 'self.n', '-5'))
    if k < 0.75:
        return '%s.%s' % (text(d - 1), pick(('lowerAscii()', 'upperAscii()', 'trim()', "replace('a', 'bb')")))
    if k < 0.85:
        return '%s.substring(%s)' % (text(d - 1), pick(('0', '1', '2', '0, 1', '1, 3', '-1')))
    return '(%s ? %s : %s)' % (flag(d - 1), text(d - 1), text(d - 1))


def any_text(d):
    return wrong('s', d) or text(d)


def items(d):
    k = rnd.random()
    if d <= 0 or k < 0.35:
        return pick(('[]', '[1, 2, 3]', "['a', 'b']", 'self.l', 'self.e', 'self.list', '[[1], [2]]', '[1, 2.0, 3]', "[self.n, 'x', true]"))
    if k < 0.5:
        return '(%s + %s)' % (items(d - 1), items(d - 1))
    if k < 0.65:
        return '%s.map(x, %s)' % (items(d - 1), pick(('x', '[x]', 'x == 1', num(d - 1))))
    if k < 0.8:
        return '%s.filter(x, %s)' % (items(d - 1), pick(('x == 2', 'true', "x != 'a'", flag(d - 1))))
    return '[%s]' % ', '.join(pick((num, text, flag))(d - 1) for _ in range(rnd.randint(1, 3)))


def table(d):
    return pick(('{}', "{'a': 1}", 'self.m', 'self.o', "{'x': [1], 'y': {}}", '{1: 2}', "{true: 'x'}", 'self', "{'a': 1, 'b': self.n}"))


def flag(d):
    k = rnd.random()
    if d <= 0 or k < 0.2:
        return pick(('true', 'false', 'self.t', 'has(self.n)', 'has(self.none)', 'has(self.o.x)', 'has(self.m.c)', "'a' in self.m", '2 in self.l'))
    if k < 0.4:
        return '(%s %s %s)' % (any_num(d - 1), pick(('<', '<=', '>', '>=', '==', '!=')), any_num(d - 1))
    if k < 0.5:
        return '(%s %s %s)' % (any_text(d - 1), pick(('<', '<=', '>', '>=', '==', '!=')), any_text(d - 1))
    if k < 0.56:
        return '(%s %s %s)' % (items(d - 1), pick(('==', '!=')), items(d - 1))
    if k < 0.7:
        return '(%s %s %s)' % (flag(d - 1), pick(('&&', '||')), wrong('b', d) or flag(d - 1))
    if k < 0.75:
        return '!%s' % flag(d - 1)
    if k < 0.82:
        return '%s.%s(%s)' % (text(d - 1), pick(('startsWith', 'endsWith', 'contains')), any_text(d - 1))
    if k < 0.86:
        return '%s.matches(%s)' % (text(d - 1), pick(("'^a'", "'l+o'", "'^[a-z]*$'", "'b$'")))
    if k < 0.94:
        return '%s.%s(x, %s)' % (items(d - 1), pick(('all', 'exists', 'exists_one')), pick(('x > 1', 'x == 2', "x == 'a'", 'x != 3', flag(d - 1))))
    return '(%s in %s)' % (pick((num, text))(d - 1), pick((items, table))(d - 1))


lines = ''.join(pick((num, text, flag, items))(rnd.randint(1, 4)) + '\n' for _ in range(8000))
lines = ''.join(line + '\n' for line in dict.fromkeys(lines.split('\n')) if line)
theirs = subprocess.run([got.stdout.strip()], input=lines, capture_output=True, text=True, timeout=4 * DEADLINE)
ours = subprocess.run([os.environ.get('KR_INTEROP', os.path.join(TOP, 'build', 'dev', 'interop')), 'expr'], input=DATA + '\n' + lines, capture_output=True, text=True, timeout=4 * DEADLINE)
s.check('ours ends clean', ours.returncode == 0 and not ours.stderr, ours.stderr[-1500:])
a, b = (p.stdout.split('\n') for p in (ours, theirs))
s.equal('an answer to each', (len(a), len(b)), (lines.count('\n') + 1,) * 2)
differ = [(x, y.split('\t')[1]) for x, y in zip(a, b) if x != y]
s.check('the same value, or none', not differ, '%d of %d differ: %s' % (len(differ), len(a), '\n  '.join(repr(d) for d in differ[:12])))
good = sum(not x.endswith('\t!') for x in b if x)
s.check('both kinds were tried', good > 500 and len(b) - good > 500, '%d with a value, %d without' % (good, len(b) - good))
s.end()
