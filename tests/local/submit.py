#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run submit with each of its options, retry, and what verbs that write have in common: --dry-run, --output, selectors."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
BASH = ('run', 'submit', '--runtime', 'bash')
FLOW = 'apiVersion: kruntimes.io/v1alpha1\nkind: Workflow\nmetadata: {name: flow}\nspec: {jobs: {a: {runs-on: bash, steps: [{name: s, run: "exit 3"}]}}}\n'


def folder(i, name, files):
    top = os.path.join(i.dir, name)
    for path, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(top, path)), exist_ok=True)
        open(os.path.join(top, path), 'wb').write(text if isinstance(text, bytes) else text.encode())
    return top


with instance() as i:
    i.env['KUBECONFIG'] = os.path.join(i.state, 'kubeconfig')
    made = lambda *words: json.loads(i.cli(*BASH, '--dry-run=client', '-o', 'json', *words).stdout)
    spec = lambda *words: made(*words)['spec']
    there = lambda: sorted(r['metadata']['name'] for r in i.api.call('GET', RUNS)[1]['items'])

    # what each option becomes
    s.equal('retries', (spec('--retries', '2', '--', 'x')['retryPolicy'], spec('--retries', '0', '--', 'x')['retryPolicy']), ({'maxAttempts': 3}, {'maxAttempts': 1}))
    s.equal('timeout, env', (spec('--timeout', '90s', '--', 'x')['timeoutSeconds'], spec('-e', 'A=b=c', '--', 'x')['env']), (90, [{'name': 'A', 'value': 'b=c'}]))
    s.equal('names', (made('--', 'x')['metadata']['generateName'], made('--generate-name', 'a-', '--', 'x')['metadata']['generateName'], made('--name', 'n', '--', 'x')['metadata']['name']), ('bash-', 'a-', 'n'))
    sha = '0123456789abcdef0123456789abcdef01234567'
    for given, url, ref in (('https://example.com/x.git@' + sha, 'https://example.com/x.git', sha), ('https://example.com/x.git', 'https://example.com/x.git', None),
                            ('https://example.com/@scope/x@side/way', 'https://example.com/@scope/x', 'side/way'), ('http://127.0.0.1:8080/x@v1', 'http://127.0.0.1:8080/x', 'v1')):
        got = spec('--git', given, '--', 'make')['source']
        s.equal('git: ' + given, (got['repoURL'], got.get('commitSHA')), (url, ref))
    s.equal('script on stdin', json.loads(i.cli(*BASH, '--script', '-', '--dry-run=client', '-o', 'json', stdin='echo $1\n').stdout)['spec']['source'], {'inline': 'echo $1\n'})

    env = os.path.join(folder(i, 'env', {'c': '# c\n\nA=1\r\n B=x=y \nC=\n', 'b': 'A=2\nD=4\n', 'bad': 'A=1\nB\n', 'binary': b'A=\xff\n'}), '')
    s.equal('variables of files', [(v['name'], v['value']) for v in spec('--env-file', env + 'b', '-e', 'D=5', '-e', 'E=6', '--', 'x')['env']], [('A', '2'), ('D', '5'), ('E', '6')])
    s.equal('of several the last', [(v['name'], v['value']) for v in spec('--env-file', env + 'b', '--env-file', env + 'c', '--', 'x')['env']], [('A', '1'), ('D', '4'), ('B', 'x=y '), ('C', '')])
    for name, why in (('bad', env + 'bad:2: "B" is not NAME=VALUE'), ('binary', 'is no UTF-8 text'), ('nothing', 'No such file')):
        r = i.cli(*BASH, '--dry-run=client', '--env-file', env + name, '--', 'x')
        s.check('variables of a file: ' + name, r.returncode and why in r.stderr, r.stderr)

    # a folder
    top = folder(i, 'up', {'main.sh': 'cat data/a.txt; ls -A; ls sub', 'data/a.txt': 'hello\n', 'skip.log': 'x', 'sub/keep.log': 'k', 'sub/.gitignore': '!keep.log\n', '.gitignore': '*.log\nbuild/\n',
                           'build/big': 'x' * 400000, '.git/config': 'x'})
    r = i.cli(*BASH, '--upload', top, '--entrypoint', 'main.sh', '--follow')
    s.equal('upload', (r.returncode, r.stdout), (0, 'hello\n.gitignore\ndata\nmain.sh\nsub\nkeep.log\n'))
    tree = folder(i, 'tree', {'.git/info/exclude': 'mine\n', '.gitignore': '.env\n*.pem\n/app/made\nout/\n', 'app/.env': 'x', 'app/k.pem': 'x', 'app/mine': 'x', 'app/made': 'x',
                               'app/main.sh': 'x', 'app/sub/made': 'x', 'app/sub/.gitignore': '!kept.pem\n', 'app/sub/kept.pem': 'x', 'app/out/x': 'x', 'out/built': 'x', 'out/.env': 'x'})
    sent = lambda at: [f['path'] for f in spec('--upload', at, '--', 'x')['source']['files']]
    s.equal('what files above it in the working tree name stays here', sent(tree + '/app'), ['main.sh', 'sub/.gitignore', 'sub/kept.pem', 'sub/made'])
    s.equal('of the top itself', sent(tree), ['.gitignore', 'app/main.sh', 'app/sub/.gitignore', 'app/sub/kept.pem', 'app/sub/made'])
    s.equal('of a folder that is named though it is ignored', sent(tree + '/out'), ['built'])
    os.rename(tree + '/.git', tree + '/no-git')
    s.equal('where there is no working tree', sent(tree + '/out'), ['.env', 'built'])
    os.makedirs(os.path.join(tree, *['d'] * 65))
    os.rename(tree + '/no-git', tree + '/.git')
    r = i.cli(*BASH, '--upload', os.path.join(tree, *['d'] * 65), '--', 'x')
    s.check('very deep in a working tree', r.returncode == 2 and 'is nested too deeply in its working tree' in r.stderr, r.stderr)
    many = folder(i, 'many', {'f%03d' % n: 'x' * n for n in range(65)})
    large = folder(i, 'large', {'a/large.txt': 'x' * 262145, 'b.txt': 'y' * 10})
    huge = folder(i, 'huge', {'h': 'x' * 3000000})
    binary = folder(i, 'binary', {'b.bin': b'\xff\xfe'})
    link = folder(i, 'link', {'a': 'a'})
    os.symlink('a', os.path.join(link, 'l'))
    os.mkfifo(os.path.join(folder(i, 'fifo', {'a': 'a'}), 'p'))
    crowd = os.path.join(i.dir, 'crowd')
    os.mkdir(crowd)
    one = os.path.join(crowd, 'f')
    open(one, 'w').close()
    for n in range(100000):
        if n % 30000 == 0:
            target = os.path.join(crowd, 'f%d' % n)      # a file has so many names at most
            open(target, 'w').close()
        else:
            os.link(target, os.path.join(crowd, 'f%d' % n))
    for where, why in ((many, '65 files with 2080 bytes; a Run takes 64 files with 262144 characters; the largest: f064 (64 bytes), f063 (63 bytes), f062 (62 bytes)'),
                       (large, 'the largest: a/large.txt (262145 bytes), b.txt (10 bytes)'), (huge, 'h (3000000 bytes)'), (binary, 'b.bin" (2 bytes) is no UTF-8 text'),
                       (link, '/l" is a symbolic link'), (i.dir + '/fifo', '/p" is no file'), (i.dir + '/none', 'No such file'), (folder(i, 'void', {'.gitignore': '*\n'}), 'has no files'),
                       (crowd, 'has more than 100000 entries')):
        r = i.cli(*BASH, '--upload', where, '--', 'x')
        s.check('upload refused: ' + why[:40], r.returncode in (2, 3, 5) and why in r.stderr and not r.stdout, '%d %s' % (r.returncode, r.stderr))

    # what is refused, and what to do instead
    hello = os.path.join(TOP, 'manifests', 'samples', 'hello.yaml')
    for words, why in ((('--git', 'git@example.com:x.git'), 'neither https:// nor http://'), (('--git', 'ssh://example.com/x'), 'neither https:// nor http://'),
                       (('--git', 'https://me:secret@example.com/x'), 'credentialsSecretName'), (('--git', 'https://me@example.com'), 'credentialsSecretName'),
                       (('--git', 'https://example.com/x@'), 'behind @ a commit'), (('--git', 'https://example.com/x', '--upload', top), '--git is the whole workspace'),
                       (('--name', 'a', '--generate-name', 'b'), 'don\'t go together'), (('--retries', '1', '--max-attempts', '3'), 'say the same'), (('--retries', '100'), 'out of range'),
                       (('--dry-run=maybe',), 'none of none, client, server'), (('--output', 'table'), '--output')):
        r = i.cli(*BASH, *words, '--', 'x')
        s.check('refused: ' + ' '.join(words), r.returncode == 1 and why in r.stderr and not r.stdout, '%d %s%s' % (r.returncode, r.stdout, r.stderr))
    s.check('a commit that is none', 'commitSHA' in i.cli(*BASH, '--git', 'https://example.com/x@a..b', '--', 'x').stderr)
    s.check('nothing is waited for in a dry run', i.cli(*BASH, '--dry-run=server', '--wait', '--', 'x').returncode == 125)
    for words in (('--env', 'A=b'), ('--name', 'x'), ('--retries', '0'), ('--upload', top), ('--git', 'https://example.com/x'), ('--timeout', '5s'), ('--ttl', '0'), ('--label', 'a=b')):
        r = i.cli('run', 'submit', '-f', hello, *words)
        s.check('not beside a file: ' + words[0], r.returncode == 1 and words[0] + ' doesn\'t go with it' in r.stderr, r.stderr)

    # dry runs, and the forms of what was made
    before = there()
    s.equal('client', i.cli(*BASH, '--name', 'dry', '--dry-run=client', '--', 'x').stdout, 'run/dry created (dry run)\n')
    s.equal('server', i.cli(*BASH, '--name', 'dry', '--dry-run=server', '--', 'x').stdout, 'run/dry created (server dry run)\n')
    s.equal('a generated name', i.cli(*BASH, '--dry-run=client', '--', 'x').stdout, 'run/bash-… created (dry run)\n')
    s.check('the server refuses in a dry run too', i.cli(*BASH, '--name', before[0], '--dry-run=server', '--', 'x').returncode == 4)
    s.equal('nothing was made', there(), before)
    alone = dict(i.env, KUBECONFIG='', KRUNTIMES_STATE_DIR=i.dir + '/nowhere')
    s.equal('client, without any server', i.cli(*BASH, '--name', 'x', '--dry-run=client', '-o', 'name', '--', 'x', env=alone).stdout, 'run.kruntimes.io/x\n')
    s.equal('name', i.cli(*BASH, '--name', 'made', '-o', 'name', '--', 'exit 4').stdout, 'run.kruntimes.io/made\n')
    s.equal('jsonpath', i.cli(*BASH, '--name', 'two', '-o', 'jsonpath={.metadata.name}', '--label', 'a=b', '--', 'true').stdout, 'two')
    r = i.cli('run', 'submit', '-f', '-', '--dry-run=client', '-o', 'yaml', stdin=i.cli(*BASH, '--name', 'piped', '--dry-run=client', '-o', 'yaml', '--', 'true').stdout)
    s.check('what is printed is taken back', 'name: piped\n' in r.stdout, r.stdout + r.stderr)
    i.wait({'made', 'two'})

    # again
    r = i.cli('run', 'retry', 'made', '--wait')
    again = re.match(r'run/(made-\w+) created\n', r.stderr)
    s.check('retry', r.returncode == 4 and again, '%d %s' % (r.returncode, r.stderr))
    run = i.api.call('GET', RUNS + '/' + again.group(1))[1]
    s.equal('retry: the same spec', (run['spec']['args'], run['metadata']['annotations']['kruntimes.io/retry-of']), (['exit 4'], 'made'))
    s.check('retry of a retry', re.fullmatch(r'run/made-[a-z0-9]{5} created\n', i.cli('run', 'retry', again.group(1)).stdout))
    s.equal('retry: labels', json.loads(i.cli('run', 'retry', 'two', '-o', 'json', '--dry-run=server').stdout)['metadata']['labels'], {'a': 'b'})
    i.api.call('POST', RUNS, run_object('long', ['sleep 60']))
    for event in i.api.watch(RUNS + '?watch=true&fieldSelector=metadata.name%3Dlong'):
        if event['object'].get('status', {}).get('phase') == 'Running':
            break
    r = i.cli('run', 'retry', 'long')
    s.check('retry of what is not over', r.returncode == 2 and 'is not over (Running)' in r.stderr, r.stderr)
    s.equal('retry of nothing', i.cli('run', 'retry', 'nobody').returncode, 3)
    s.equal('a Workflow', i.cli('workflow', 'submit', '-f', '-', '--wait', stdin=FLOW).returncode, 3)
    r = i.cli('run', 'retry', i.cli('run', 'list', '-l', 'kruntimes.io/step', '-o', 'jsonpath={.items[0].metadata.name}').stdout)
    s.check('retry of a step', r.returncode == 2 and 'workflow rerun --failed' in r.stderr, r.stderr)
    s.equal('rerun in a dry run', i.cli('workflow', 'rerun', 'flow', '--failed', '--dry-run=client').stdout, 'workflow/flow-… created (dry run)\n')
    s.equal('submit a Workflow in a dry run', i.cli('workflow', 'submit', '-f', '-', '--dry-run=server', '-o', 'name', stdin=FLOW.replace('name: flow', 'name: other')).stdout, 'workflow.kruntimes.io/other\n')

    # like another
    like = lambda *words: json.loads(i.cli('run', 'submit', '--dry-run=client', '-o', 'json', *words).stdout)
    i.cli(*BASH, '--name', 'base', '--label', 'a=b', '-e', 'A=1', '-e', 'B=2', '--script', '-', '--retries', '2', '--request', 'runs=2', '--wait', stdin='echo $A$B$C')
    got = like('--from', 'base')
    s.equal('like it', (got['metadata'], got['spec']['source'], got['spec']['env']), ({'generateName': 'base-', 'namespace': 'default', 'labels': {'a': 'b'}, 'annotations': {'kruntimes.io/retry-stem': 'base'}},
                        {'inline': 'echo $A$B$C'}, [{'name': 'A', 'value': '1'}, {'name': 'B', 'value': '2'}]))
    got = like('--from', 'run/base', '--name', 'other', '--label', 'c=d', '-e', 'B=3', '-e', 'C=4', '--retries', '0', '--request', 'tpu=2', '--', 'x', 'y')
    s.equal('but for what is said', (got['metadata']['name'], got['metadata'].get('generateName'), got['metadata']['labels'], got['spec']['env'], got['spec']['retryPolicy']['maxAttempts'], got['spec']['args'], got['spec']['resources']),
            ('other', None, {'a': 'b', 'c': 'd'}, [{'name': 'A', 'value': '1'}, {'name': 'B', 'value': '3'}, {'name': 'C', 'value': '4'}], 1, ['x', 'y'], {'requests': {'runs': 2, 'tpu': 2}}))
    s.equal('another source', like('--from', 'base', '--git', 'https://example.com/x.git@v1')['spec']['source'], {'repoURL': 'https://example.com/x.git', 'commitSHA': 'v1'})
    r = i.cli('run', 'submit', '--from', '@latest', '-e', 'C=9', '--follow')
    s.equal('and executed', (r.returncode, r.stdout), (0, '129\n'))
    for words, code, why in ((('--from', 'nobody'), 3, '--from: runs.kruntimes.io "nobody" not found'), (('--from', 'base', '-f', 'x'), 1, "--from doesn't go with it"),
                             (('--from', i.cli('run', 'list', '-l', 'kruntimes.io/step', '-o', 'jsonpath={.items[0].metadata.name}').stdout), 2, 'is a step of a Workflow'),
                             (('--param', 'a=b'), 1, 'did you mean --env?'), (('--param-file', 'x'), 1, 'did you mean --env-file?'), (('--log',), 1, 'did you mean --follow?')):
        r = i.cli('run', 'submit', *words)
        s.check('refused: ' + ' '.join(words), r.returncode == code and why in r.stderr, '%d %s' % (r.returncode, r.stderr))

    # which are meant
    s.equal('cancel, in a dry run', (i.cli('run', 'cancel', 'long', '--dry-run=server').stdout, i.api.call('GET', RUNS + '/long')[1]['spec'].get('cancelRequested')), ('run/long is asked to end (server dry run)\n', None))
    s.equal('cancel by a field', i.cli('run', 'cancel', '--phase', 'Running').stdout, 'run/long is asked to end\n')
    s.equal('delete: older ones', (i.cli('run', 'delete', '--older', '1h').stdout, i.cli('run', 'delete', '--older', '1h').stderr), ('', 'no runs found in namespace default\n'))
    s.equal('delete by labels, in a dry run', i.cli('run', 'delete', '-l', 'a=b,kruntimes.io/x!=y', '--dry-run=client', '--field-selector', 'metadata.name=two').stdout, 'run/two deleted (dry run)\n')
    s.equal('delete by labels and field', i.cli('run', 'delete', '-l', 'a=b', '--field-selector', 'metadata.name=two').stdout, 'run/two deleted\n')
    s.check('it is gone', 'two' not in there())
    s.equal('delete of what is not there, in a dry run', (i.cli('run', 'delete', 'two', '--dry-run=client').returncode, i.cli('run', 'delete', 'two', '--dry-run=server').returncode), (3, 3))
    r = i.cli('run', 'delete', 'gone-1', 'made', 'gone-2')
    s.equal('what is not there does not keep the rest', (r.returncode, r.stdout, 'gone-1' in r.stderr and 'gone-2' in r.stderr), (3, 'run/made deleted\n', True))
    s.equal('wait for a Workflow', [i.cli('workflow', 'wait', n).returncode for n in ('flow', '@latest', 'nobody')], [3, 3, 120])
    s.equal('scale', (i.cli('runtime', 'scale', 'bash', '--replicas', '3').stdout, i.api.call('GET', RUNTIMES + '/bash')[1]['spec']['replicas']), ('runtime/bash scaled\n', 3))
    s.equal('delete a Runtime, in a dry run', (i.cli('runtime', 'delete', 'bash', '--dry-run=server').stdout, i.api.call('GET', RUNTIMES + '/bash')[0]), ('runtime/bash deleted (server dry run)\n', 200))
    s.equal('delete all Workflows', i.cli('workflow', 'delete', '--all').stdout, 'workflow/flow deleted\n')
    for words in (('delete',), ('cancel',), ('delete', 'x', '--all'), ('cancel', 'x', '-l', 'a')):
        s.equal('refused: ' + ' '.join(words), i.cli('run', *words).returncode, 1)
    if s.failed:
        print(i.logs())
s.end()
