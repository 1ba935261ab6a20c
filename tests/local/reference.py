#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The reference names all there is: each option that --help shows, each metric that is scraped, each limit, each exit status.

docs/reference.md is made of the program's own tables, which tests/lint/fresh holds it to; here it is held to what the program does."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
page = open(os.path.join(TOP, 'docs', 'reference.md')).read()
readme = open(os.path.join(TOP, 'README.md')).read()
run = lambda *words, **more: subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=DEADLINE, **more)
verbs = re.findall(r'^\| `([^`]+)`', run('docs', 'applets').stdout, re.M)
s.check('there are verbs', len(verbs) > 40, verbs)

for verb in verbs:
    help_page = run(*verb.split(), '--help').stdout
    section = page.partition('### kruntimes %s\n' % verb)[2].partition('\n### ')[0]
    names = re.findall(r'^  (?:-\w, |    )(--[\w-]+)', help_page, re.M)
    s.equal('options of ' + verb, [n for n in names if n != '--help' and not re.search(r'^\| `(-\w, )?%s[ `]' % n, section, re.M)], [])

rows = re.findall(r'^\s*([A-Z][A-Z0-9_]+)\s', run('limits').stdout, re.M)[1:]      # behind the heading
s.check('limits', len(rows) > 50 and all(re.search(r'^\| %s \|' % n, page, re.M) for n in rows), [n for n in rows if '| %s |' % n not in page])

exits = set(re.findall(r'^CODE\(\w+, +(\d+),', open(os.path.join(TOP, 'core', 'codes.def')).read(), re.M) + re.findall(r'^EXIT\(\w+, +(\d+),', open(os.path.join(TOP, 'crds', 'exits.def')).read(), re.M))
tried = set(re.findall(r'\((\d+), (?:BASH|\()', open(os.path.join(TOP, 'tests', 'local', 'exits.py')).read()))
for name, text in (('the reference', page), ('the README', readme)):
    s.equal('exit statuses in ' + name, [n for n in sorted(exits) if not re.search(r'^\| %s \| ' % n, text, re.M)], [])
s.equal('those of a wait are tried', sorted(n for n in exits if int(n) >= 120 and n not in tried), [])

with instance() as i:
    i.api.call('POST', RUNS, run_object('one', ['true']))
    i.wait({'one'})
    c = i.api.open()
    c.request('GET', '/metrics', headers=i.api.headers)
    answer = c.getresponse()
    pages = [answer.read().decode()]
    s.check('the API server counts what it writes', answer.status == 200 and re.search(r'^kruntimes_apiserver_writes_total [1-9]', pages[0], re.M), pages[0])
    s.equal('not for everybody', i.api.as_user({}).call('GET', '/metrics')[0], 403)
    for pod in i.api.call('GET', '/api/v1/namespaces/default/pods')[1]['items']:
        c = http.client.HTTPConnection(pod['status']['podIP'], 9094, timeout=DEADLINE)
        c.request('GET', '/metrics')
        pages.append(c.getresponse().read().decode())
    seen = set(re.findall(r'^# TYPE (\S+) ', '\n'.join(pages), re.M))
    s.check('metrics are scraped', len(seen) > 12, seen)
    s.equal('metrics', sorted(n for n in seen if '`%s`' % n not in page and not n.startswith('process_')), [])
s.end()
