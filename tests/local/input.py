#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input gets a clear error and loses nothing."""
import os, socket, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

HEAD = 'apiVersion: kruntimes.io/v1alpha1\nkind: Run\nmetadata: {name: x}\n'
CASES = [
    ('absolute entrypoint', HEAD + 'spec: {runtime: bash, entrypoint: /etc/passwd}\n', 'entrypoint'),
    ('entrypoint with ..', HEAD + 'spec: {runtime: bash, entrypoint: a/../b}\n', 'entrypoint'),
    ('unknown field', HEAD + 'spec: {runtime: bash, colour: red}\n', 'unknown field "spec.colour"'),
    ('wrong type', HEAD + 'spec: {runtime: bash, timeoutSeconds: soon}\n', 'timeoutSeconds'),
    ('oversized inline', HEAD + 'spec: {runtime: bash, source: {inline: "%s"}}\n' % ('x' * 262145), 'inline'),
    ('missing runtime', HEAD + 'spec: {args: [ls]}\n', 'spec.runtime: Required value'),
    ('no YAML', 'a: [1, 2\nb: }', 'line '),
    ('empty', '# nothing\n', 'there is no object'),
    ('another kind', 'apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n', 'kind "Pod"'),
    ('billion laughs', 'a: &a [x,x,x,x,x,x,x,x,x,x]\n' + ''.join('%s: &%s [%s]\n' % (c, c, ','.join(['*' + p] * 10)) for p, c in zip('abcdefgh', 'bcdefghi')), 'alias'),
    ('Git by a protocol of its own', HEAD + 'spec: {runtime: bash, source: {repoURL: "git://example.org/x.git"}}\n', 'spec.source.repoURL'),
    ('Git with a password', HEAD + 'spec: {runtime: bash, source: {repoURL: "https://me:secret@example.org/x.git"}}\n', 'spec.source.repoURL'),
]

s = Suite()
with instance() as i:
    for name, text, want in CASES:
        r = i.cli('run', 'submit', '-f', '-', stdin=text)
        s.check('submit: ' + name, r.returncode in (1, 2, 5) and want in r.stderr and not r.stdout, '%d %s' % (r.returncode, r.stderr))
        r = i.cli('local', 'run', '-f', '-', stdin=text)
        s.check('local run: ' + name, r.returncode == 125 and want in r.stderr, '%d %s' % (r.returncode, r.stderr))
    big = os.path.join(i.dir, 'big.yaml')
    with open(big, 'wb') as f:
        f.truncate(100 << 20)
    r = i.cli('run', 'submit', '-f', big)
    s.check('a 100 MB file', r.returncode and 'larger than' in r.stderr, r.stderr)
    s.equal('nothing was made', i.api.call('GET', RUNS)[1]['items'], [])

    # a collection whose objects together need more than one request may take: all go, as one by one
    for n in range(20):
        i.api.call('POST', '/api/v1/namespaces/default/configmaps', {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'big-%d' % n, 'labels': {'big': 'yes'}},
                                                                     'data': {'x': 'x' * 1000000}})
    code, gone = i.api.call('DELETE', '/api/v1/namespaces/default/configmaps?labelSelector=big%3Dyes')
    s.equal('a large collection is deleted at once', (code, len(gone.get('items', []))), (200, 20))

    # an unknown Runtime: the Run waits and says why
    i.api.call('POST', RUNS, run_object('waits', ['true'], runtime='nowhere'))
    for event in i.api.watch(RUNS + '?watch=true&timeoutSeconds=20&fieldSelector=metadata.name%3Dwaits'):
        conditions = event['object'].get('status', {}).get('conditions', [])
        if conditions:
            break
    s.equal('unknown Runtime', [(c['type'], c['status'], c['reason']) for c in conditions], [('Scheduled', 'False', 'RuntimeNotFound')])
    s.equal('unknown Runtime: still Pending, in words that a table shows', i.api.call('GET', RUNS + '/waits')[1]['status'].get('phase'), 'Pending')

    # the API itself, for those who don't use the CLI
    status, answer = i.api.call('POST', RUNS, run_object('bad', ['x'], entrypoint='../x', timeoutSeconds=0))
    s.equal('API: 422 with causes', (status, sorted(c['field'] for c in answer['details']['causes'])), (422, ['spec.entrypoint', 'spec.timeoutSeconds']))
    s.equal('API: nobody may do nothing', i.api.as_user({}).call('GET', RUNS)[0], 403)
    who = {k: v for k, v in i.api.headers.items() if k == 'Authorization'}
    accepts = lambda media: i.api.as_user(dict(who, Accept=media))
    status, answer = accepts('image/png').call('GET', RUNS)
    s.equal('API: no form of it that the client takes', (status, answer['reason'], answer.get('details')), (406, 'NotAcceptable', None))
    s.equal('API: or the second one', accepts('image/png, application/*;q=0.5').call('GET', RUNS)[0], 200)
    TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io'
    maps = '/api/v1/namespaces/default/configmaps'
    for n in range(2):
        i.api.call('POST', maps, {'metadata': {'name': 'm%d' % n}, 'data': {'a': '1', 'b': '2'}, 'binaryData': {'c': 'eA=='}})
    seen = [e['object'] for e in accepts(TABLE).watch(maps + '?watch=1&timeoutSeconds=1&fieldSelector=metadata.name!%3Dkube-root-ca.crt')]
    s.equal('API: a watch of tables has its columns once', [[c['name'] for c in t['columnDefinitions'] or []] for t in seen], [['Name', 'Data', 'Age'], []])
    s.equal('API: and counts what ConfigMaps hold', [t['rows'][0]['cells'][:2] for t in seen], [['m0', 3], ['m1', 3]])
    status, answer = i.api.call('POST', RUNS + '?fieldValidation=Sometimes', run_object('x', ['x']))
    s.equal('API: a mistake in a parameter', (status, answer['details']['kind'], answer['details']['causes'][0]['field']), (422, 'CreateOptions', 'fieldValidation'))
    status, answer = i.api.call('POST', RUNS, dict(run_object('x', ['x']), kind='Walk'))
    s.equal('API: another kind', (status, answer['details']['causes'][0]['field']), (422, 'kind'))
    s.equal('API: a wrong token', i.api.as_user({'Authorization': 'Bearer x'}).call('GET', RUNS)[0], 401)

    # usage
    r = i.cli('run', 'submit', '--runtme', 'bash')
    s.check('a misspelt option', r.returncode == 1 and 'did you mean --runtime?' in r.stderr, r.stderr)
    r = i.cli('rnu')
    s.check('a misspelt applet', 'did you mean run?' in r.stderr, r.stderr)
    full = subprocess.run([BINARY, 'limits'], stdout=open('/dev/full', 'w'), stderr=subprocess.PIPE, text=True)
    s.check('stdout is full', full.returncode and 'stdout' in full.stderr, full.stderr)

    # a second instance
    r = i.cli('local', 'up')
    s.check('up twice', r.returncode == 0 and 'up already' in r.stdout, r.stdout + r.stderr)
    port = socket.socket()
    port.bind(('127.0.0.1', 0))
    port.listen()
    r = i.cli('local', 'up', '--state-dir', os.path.join(i.dir, 'other'), '--port', str(port.getsockname()[1]))
    s.check('a port in use', r.returncode and 'in use' in r.stderr, r.stderr)
    os.mkdir(os.path.join(i.dir, 'open'), 0o755)
    r = i.cli('local', 'up', '--state-dir', os.path.join(i.dir, 'open'), '--port', '0')
    s.check('a state folder open to others', r.returncode and 'chmod 700' in r.stderr, r.stderr)
    open(os.path.join(i.dir, 'file'), 'w').close()
    r = i.cli('local', 'up', '--state-dir', os.path.join(i.dir, 'file'), '--port', '0')
    s.check('a state folder that is a file', r.returncode and 'state folder' in r.stderr, r.stderr)
    if s.failed:
        print(i.logs())

# no instance, nothing found
lone = Instance()
r = lone.cli('run', 'list')
s.check('no kubeconfig', r.returncode and 'no kubeconfig' in r.stderr, r.stderr)
before = set(os.listdir(tempfile.gettempdir()))
r = lone.cli('local', 'run', '-f', os.path.join(TOP, 'manifests', 'samples', 'hello.yaml'))
s.equal('local run without an instance', (r.returncode, r.stdout), (0, 'hello from hello\n'))
s.check('its closing line', re.search(r'^run/hello Succeeded in \d+ ?ms$', r.stderr, re.M), r.stderr)
s.equal('it leaves nothing behind', (sorted(os.listdir(lone.dir)), [x for x in set(os.listdir(tempfile.gettempdir())) - before if x.startswith('kruntimes-')]), ([], []))
shutil.rmtree(lone.dir)
s.end()
