#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""get and list in every form and with every option, of Runs, Runtimes, Workflows and artifacts: the same words mean the same."""
import hashlib, os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *
from fakeapi import *

s = Suite()
FLOW = 'apiVersion: kruntimes.io/v1alpha1\nkind: Workflow\nmetadata: {name: flow}\nspec: {jobs: {a: {runs-on: bash, steps: [{name: s, run: "true"}]}}}\n'


def watch(i, lines, *words):
    """The first lines of a watch, which is ended then."""
    p = subprocess.Popen([BINARY, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=i.env)
    for wanted in lines:
        line = p.stdout.readline().rstrip('\n')
        if callable(wanted):
            wanted()
        else:
            s.check('%s: %s' % (' '.join(words), wanted), re.fullmatch(wanted, line), repr(line))
    p.terminate()
    p.communicate(timeout=DEADLINE)


with instance() as i:
    i.env['KUBECONFIG'] = os.path.join(i.state, 'kubeconfig')
    says = lambda *words: i.cli(*words).stdout
    rows = lambda *words: [line.split() for line in says(*words).splitlines()]
    names = lambda *words: [r[0] for r in rows(*words, '--no-headers')]
    for name, code in (('run-10', 0), ('run-9', 3), ('run-1', 0)):
        i.api.call('POST', RUNS, dict(run_object(name, ['exit %d' % code]), metadata={'name': name, 'labels': {'n': name}}))
    i.api.call('POST', RUNS, run_object('left', ['cd $KRUNTIME_ARTIFACTS_DIR; echo hello > b.txt; mkdir a; seq 1000 > a/x; printf \'a=\\033[2Jx\\n\' > $KRUNTIME_OUTPUTS']))
    i.wait({'run-10', 'run-9', 'run-1', 'left'})
    s.equal('a Workflow', i.cli('workflow', 'submit', '-f', '-', '--wait', stdin=FLOW).returncode, 0)

    # tables
    s.equal('headings', rows('run', 'list')[0], ['NAME', 'RUNTIME', 'PHASE', 'EXIT', 'DURATION', 'AGE'])
    s.equal('wide', rows('run', 'list', '-o', 'wide')[0], ['NAME', 'RUNTIME', 'PHASE', 'EXIT', 'DURATION', 'POD', 'ATTEMPT', 'REASON', 'AGE'])
    s.equal('all namespaces', rows('run', 'list', '-A', '-l', 'n=run-9')[1][:2], ['default', 'run-9'])
    s.check('80 columns are enough', max(map(len, says('run', 'list').splitlines())) <= 80)
    starts = [[m.start() for m in re.finditer(r'\S+', line)][:3] for line in says('run', 'get', 'run-10', 'left').splitlines()]
    s.check('several names are one table', len(starts) == 3 and all(x == starts[0] for x in starts), starts)
    s.equal('runtimes', rows('runtime', 'list')[0], ['NAME', 'IMAGE', 'REPLICAS', 'READY', 'CAPACITY', 'USED', 'AGE'])
    s.equal('workflows', (rows('workflow', 'list')[0], rows('workflow', 'list')[1][:2]), (['NAME', 'PHASE', 'AGE'], ['flow', 'Succeeded']))
    r = i.cli('run', 'get', 'run-1', 'nobody', 'run-9', 'nothing')
    s.equal('what is not there does not hide the rest', (r.returncode, [x.split()[0] for x in r.stdout.splitlines()], len(r.stderr.splitlines())), (3, ['NAME', 'run-1', 'run-9'], 2))
    s.equal('none', (i.cli('run', 'list', '-l', 'n=x').stdout, i.cli('run', 'list', '-l', 'n=x').stderr), ('', 'no runs found in namespace default\n'))

    # which, and in which order
    four = ['left', 'run-1', 'run-9', 'run-10']
    mine = lambda *words: [n for n in names('run', 'list', *words) if n in four]
    s.equal('labels', mine('-l', 'n in (run-1,run-9)'), ['run-1', 'run-9'])
    s.equal('fields', mine('--field-selector', 'status.phase!=Succeeded'), ['run-9'])
    s.equal('by name, numbers as such', mine('--sort-by', '.metadata.name'), four)
    s.equal('by a field of the status', mine('--sort-by', '{.status.exitCode}', '-l', 'n')[-1], 'run-9')
    s.equal('sorted names', says('run', 'list', '-l', 'n', '-o', 'name', '--sort-by', 'metadata.name'), ''.join('run.kruntimes.io/%s\n' % n for n in four[1:]))
    s.equal('sorted items', [o['metadata']['name'] for o in json.loads(says('run', 'list', '-l', 'n', '-o', 'json', '--sort-by', '.metadata.name'))['items']], four[1:])
    s.equal('since', (mine('--since', '1h'), mine('--older', '1h'), i.cli('run', 'list', '--older', '1h').stderr), (['left', 'run-1', 'run-10', 'run-9'], [], 'no runs found in namespace default\n'))
    s.equal('since, of Runtimes and Workflows', (names('runtime', 'list', '--since', '1h'), names('workflow', 'list', '--since', '1h'), names('workflow', 'list', '--older', '1h')), (['bash'], ['flow'], []))

    s.equal('phases', (mine('--phase', 'Failed'), mine('--phase', 'Failed,Succeeded', '-l', 'n'), mine('--phase', 'Failed', '--phase', 'Timeout'), mine('--phase', 'Pending,Running')),
            (['run-9'], ['run-1', 'run-10', 'run-9'], ['run-9'], []))
    s.equal('phases beside a field', mine('--phase', 'Succeeded', '--field-selector', 'metadata.name=run-1'), ['run-1'])
    s.equal('phases of Workflows', (names('workflow', 'list', '--phase', 'Succeeded'), names('workflow', 'list', '--phase', 'Failed,Cancelled,Running')), (['flow'], []))
    s.equal('of what a phase left something', names('artifact', 'list', '--phase', 'Succeeded', '--field-selector', 'metadata.name=left'), ['a', 'b.txt'])
    i.api.call('POST', RUNS, run_object('none', ['true'], runtime='nowhere'))
    s.equal('what has no status is Pending', mine('--phase', 'Pending') or names('run', 'list', '--phase', 'Pending'), ['none'])
    i.api.call('DELETE', RUNS + '/none')
    s.equal('columns of labels', (rows('run', 'list', '-L', 'n,x', '-l', 'n=run-9')[0][-3:], rows('run', 'list', '-L', 'n', '-L', 'x', '-l', 'n=run-9')[1][-2:]), (['AGE', 'N', 'X'], ['run-9', '<none>']))
    s.equal('a label with a domain', rows('run', 'list', '-L', 'kruntimes.io/step', '-l', 'kruntimes.io/step=s')[0][-1], 'STEP')
    s.equal('all labels', ([r[-1] for r in rows('run', 'get', 'run-1', 'left', '--show-labels')], rows('runtime', 'list', '-o', 'wide', '--show-labels')[0][-1]), (['LABELS', 'n=run-1', '<none>'], 'LABELS'))
    def in_pages(size, *words):            # without what a second makes of an AGE
        text = says('run', 'list', *words, '--chunk-size', size, '--no-headers' if 'json' not in words else '--headers')
        return re.sub(r' +\w+$', '', text, flags=re.M)
    for words in (('-l', 'n'), ('-l', 'n', '--sort-by', '.metadata.name'), ('-l', 'n', '-o', 'json'), ('-A', '-l', 'n')):
        s.equal('in pages: ' + ' '.join(words), in_pages('1', *words), in_pages('0', *words))
    latest = max((o['metadata'] for o in json.loads(says('run', 'list', '-o', 'json'))['items']), key=lambda m: (m['creationTimestamp'], int(m['resourceVersion'])))['name']
    s.equal('the newest', (names('run', 'get', '@latest'), names('workflow', 'get', '@latest')), ([latest], ['flow']))
    r = i.cli('run', 'get', '@latest', '-n', 'kube-system')
    s.equal('the newest of none', (r.returncode, '@latest: no runs found in namespace kube-system' in r.stderr), (3, True))

    # forms
    s.equal('custom columns', rows('run', 'list', '-l', 'n=run-9', '-o', 'custom-columns=N:.metadata.name,CODE:.status.exitCode,C:.status.conditions[*].status,X:.x'),
            [['N', 'CODE', 'C', 'X'], ['run-9', '3', 'True,True,False,True', '<none>']])
    s.equal('custom columns of one', rows('runtime', 'get', 'bash', '-o', 'custom-columns=NAME:.metadata.name'), [['NAME'], ['bash']])
    text = says('run', 'get', 'run-1', '-o', 'json')
    s.check('JSON is indented, without the managers', text.startswith('{\n    "apiVersion": "kruntimes.io/v1alpha1",\n') and 'managedFields' not in text, text)
    s.equal('a list in JSON', (json.loads(says('run', 'list', '-o', 'json'))['kind'], len(json.loads(says('run', 'get', 'run-1', 'run-9', '-o', 'json'))['items'])), ('List', 2))
    s.check('YAML', '\n  kind: Run\n' in says('run', 'list', '-o', 'yaml') and says('run', 'get', 'run-1', '-o', 'yaml').startswith('apiVersion: kruntimes.io/v1alpha1\nkind: Run\n'))
    s.equal('a template over a list', says('run', 'list', '-l', 'n', '--sort-by', '.metadata.name', '-o', 'jsonpath={range .items[*]}{.metadata.name} {end}'), 'run-1 run-9 run-10 ')
    s.equal('names', (says('runtime', 'list', '-o', 'name'), says('workflow', 'list', '-o', 'name')), ('runtime.kruntimes.io/bash\n', 'workflow.kruntimes.io/flow\n'))

    # artifacts
    s.equal('of one Run', [r[:3] for r in rows('artifact', 'list', 'left')][::2], [['NAME', 'TYPE', 'SIZE'], ['b.txt', 'file', '6']])
    s.equal('of all', [r[:5] for r in rows('artifact', 'list')][::2], [['NAME', 'RUN', 'TYPE', 'SIZE', 'DIGEST'], ['b.txt', 'left', 'file', '6', hashlib.sha256(b'hello\n').hexdigest()[:12]]])
    s.equal('whose', [r[:2] for r in rows('artifact', 'list', 'left', 'run-1', '-o', 'wide')], [['NAME', 'RUN'], ['a', 'left'], ['b.txt', 'left']])
    s.equal('by size', names('artifact', 'list', '--sort-by', '.sizeBytes'), ['b.txt', 'a'])
    s.equal('names', says('artifact', 'list', '-A', '-o', 'name'), 'artifact/left/a\nartifact/left/b.txt\n')
    s.equal('all namespaces', rows('artifact', 'list', '-A')[1][:2], ['default', 'a'])
    s.equal('JSON', [(o['run'], o['namespace'], o['name']) for o in json.loads(says('artifact', 'list', 'left', '-o', 'json'))['items']], [('left', 'default', 'a'), ('left', 'default', 'b.txt')])
    s.equal('custom columns', rows('artifact', 'list', '--no-headers', '-o', 'custom-columns=N:.name,S:.sizeBytes', '--since', '1h')[1], ['b.txt', '6'])
    s.equal('older', i.cli('artifact', 'list', '--older', '1h').stderr, 'no artifacts found in namespace default\n')
    s.equal('a Run without', i.cli('artifact', 'list', 'run-1').stderr, 'no artifacts found\n')
    s.equal('no such Run', i.cli('artifact', 'list', 'nobody').returncode, 3)

    # watching: what is there, then each change
    submit = lambda: i.api.call('POST', RUNS, run_object('later', ['true']))
    delete = lambda: i.api.call('DELETE', RUNS + '/later')
    seen = []
    watch(i, [r'NAME +RUNTIME +PHASE.*', r'left +bash +Succeeded.*'], 'run', 'list', '-w', '--field-selector', 'metadata.name=left')
    watch(i, [r'run-1 +bash +Succeeded.*', r'run-9 +bash +Failed.*'], 'run', 'get', 'run-1', 'run-9', '-w', '--no-headers')
    p = subprocess.Popen([BINARY, 'run', 'list', '-w', '--output-watch-events', '-o', 'custom-columns=N:.metadata.name,P:.status.phase'], stdout=subprocess.PIPE, text=True, env=i.env)
    s.equal('events: headings', p.stdout.readline().split(), ['EVENT', 'N', 'P'])
    for _ in range(5):
        seen.append(p.stdout.readline().split()[0])
    s.equal('events: what is there', set(seen), {'ADDED'})
    submit()
    while seen[-1] != 'Succeeded':
        seen = p.stdout.readline().split()
    delete()
    while seen[0] != 'DELETED':
        seen = p.stdout.readline().split()
    s.equal('events: the end', seen[:2], ['DELETED', 'later'])
    p.terminate()
    p.communicate(timeout=DEADLINE)
    watch(i, [r'\{', r'    "type": "ADDED",'], 'run', 'get', 'run-1', '-w', '-o', 'json', '--output-watch-events')
    watch(i, [r'run\.kruntimes\.io/run-9'], 'run', 'get', 'run-9', '-w', '-o', 'name')
    watch(i, [r'3'], 'run', 'get', 'run-9', '-w', '-o', 'jsonpath={.status.exitCode}')
    watch(i, [r'NAME +IMAGE.*', r'bash .*'], 'runtime', 'list', '-w')
    watch(i, [r'NAME +PHASE.*', r'flow +Succeeded.*'], 'workflow', 'list', '-w')
    more = lambda: i.api.call('POST', RUNS, run_object('more', ['echo > $KRUNTIME_ARTIFACTS_DIR/new']))
    p = subprocess.Popen([BINARY, 'artifact', 'list', '-w', '-o', 'name'], stdout=subprocess.PIPE, text=True, env=i.env)
    s.equal('artifacts: what is there', [p.stdout.readline() for _ in range(2)], ['artifact/left/a\n', 'artifact/left/b.txt\n'])
    more()
    s.equal('artifacts: a new one', p.stdout.readline(), 'artifact/more/new\n')
    p.terminate()
    p.communicate(timeout=DEADLINE)
    s.equal('a watch of what may not be read', i.cli('run', 'list', '-w', '--as', 'nobody').returncode, 6)

    # what doesn't go together, and what is wrong, is said
    for words, why in ((('run', 'get', 'x', '-l', 'a'), 'names don\'t go together'), (('run', 'get', 'x', '-A'), 'names don\'t go together'),
                       (('run', 'list', '-o', 'json', '--no-headers'), '--no-headers is for tables'), (('run', 'list', '-w', '--sort-by', '.a'), 'doesn\'t go together with --sort-by'),
                       (('run', 'list', '--output-watch-events'), 'goes together with --watch'), (('run', 'list', '-w', '-o', 'name', '--output-watch-events'), 'is for tables'),
                       (('run', 'list', '--sort-by', '{.a'), '--sort-by: jsonpath: offset'), (('run', 'list', '--sort-by', '.metadata'), 'no number, text or time'),
                       (('run', 'list', '-o', 'custom-columns=A'), 'is not HEADING:PATH'), (('run', 'list', '-o', 'custom-columns=A:{'), '--output: A: jsonpath'),
                       (('run', 'list', '-o', 'custom-columns='), 'needs HEADING:PATH'), (('run', 'list', '-o', 'jsonpath={'), '--output: jsonpath'), (('run', 'list', '-o', 'table'), 'is none of wide'),
                       (('run', 'list', '--since', 'soon'), 'is no duration'), (('run', 'list', '--phase', 'failed'), 'did you mean Failed?'), (('run', 'list', '--phase', 'Failed,'), None),
                       (('workflow', 'list', '--phase', 'Timeout'), 'is none of Pending, Running, Succeeded, Failed, Cancelled'), (('run', 'get', 'x', '--phase', 'Failed'), 'names don\'t go together'),
                       (('run', 'list', '-L', 'a', '-o', 'json'), 'are for tables'), (('run', 'list', '-L', 'a b'), '"a b" is no label'), (('run', 'list', '-L', ','.join('abcdefghijklmnopqrstuvwxyz1234567890')), 'at most 32 columns'),
                       (('run', 'list', '-w', '--chunk-size', '3'), 'is for lists'), (('run', 'list', '-o', 'go-template={{.}}'), 'Go templates are not read here'),
                       (('run', 'list', '--status', 'Failed'), 'did you mean --phase?'), (('run', 'list', '--older-than', '1h'), 'did you mean --older?')):
        if why is None:
            s.equal('taken: ' + ' '.join(words), i.cli(*words).returncode, 0)
            continue
        r = i.cli(*words)
        s.check('refused: ' + ' '.join(words), r.returncode == 1 and why in r.stderr and not r.stdout, '%d %s%s' % (r.returncode, r.stdout, r.stderr))
    r = i.cli('run', 'list', '--field-selector', 'spec.colour=red')
    s.check('refused by the server: an unknown field', r.returncode == 2 and 'spec.colour' in r.stderr, r.stderr)

    # pages of a version that the server has forgotten meanwhile: all is asked for anew
    one = lambda n: {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Run', 'metadata': {'name': n, 'namespace': 'default'}, 'spec': {'runtime': 'bash'}}
    page = lambda names, more='': (200, {'kind': 'RunList', 'apiVersion': 'kruntimes.io/v1alpha1', 'metadata': {'continue': more}, 'items': [one(n) for n in names]})
    path = 'GET /apis/kruntimes.io/v1alpha1/namespaces/default/runs?includeObject=None'
    with Fake(i.dir, {path: page(['a', 'b', 'c']), path + '&limit=2': page(['a', 'b'], 'first'), path + '&limit=2&continue=first': status(410, 'Expired', 'too old')}) as fake:
        s.equal('pages that expire', [r[0] for r in rows('run', 'list', '--chunk-size', '2', '--no-headers', '--kubeconfig', fake.kubeconfig)], ['a', 'b', 'c'])
        s.equal('asked for', fake.asked, [path + '&limit=2', path + '&limit=2&continue=first', path])

    # a stranger's escape sequences don't reach the terminal
    if shutil.which('script'):
        tty = lambda words: subprocess.run(['script', '-qec', '%s %s' % (BINARY, words), '/dev/null'], capture_output=True, text=True, env=dict(i.env, TERM='xterm')).stdout
        s.check('in a table', '\x1b[2J' not in tty('run get left -o custom-columns=N:.status.outputs.a') and '^[[2Jx' in tty('run get left -o custom-columns=N:.status.outputs.a'))
        s.check('in YAML', '\x1b[2J' not in tty('run get left -o yaml'))
        s.check('in words', '\x1b[2J' not in tty('run describe left') and '^[[2Jx' in tty('run describe left'), repr(tty('run describe left')))
    else:
        s.skip('terminal', 'there is no program "script" here')
    if s.failed:
        print(i.logs())
s.end()
