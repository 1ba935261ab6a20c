#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exit statuses of the command line: the Run's own and 120 to 125 where a Run is waited for, the code table's elsewhere.
And how an API server is found: by option, by $KUBECONFIG, in the home folder, and last the local instance, which is told."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
BASH = ('run', 'submit', '--runtime', 'bash')


def files(i):
    """Kubeconfigs for what can go wrong."""
    text = open(os.path.join(i.state, 'kubeconfig')).read()
    made = {'gone': None, 'no-yaml': 'x: [', 'dead': re.sub(r'server: .*', 'server: https://127.0.0.1:1', text),
            'stranger': re.sub(r'token: .*', 'token: wrong', '\n'.join(x for x in text.split('\n') if 'client-' not in x))}
    for name, content in made.items():
        if content is not None:
            with open(os.path.join(i.dir, name), 'w') as f:
                f.write(content)
    return {name: os.path.join(i.dir, name) for name in made}


with instance() as i:
    config = files(i)
    used = i.cli('run', 'submit', '--runtime', 'bash', '--name', 'taken', '--', 'true')
    s.equal('submit', (used.returncode, used.stdout), (0, 'run/taken created\n'))
    hello = os.path.join(TOP, 'manifests', 'samples', 'hello.yaml')
    for words in (('run', 'submit', '--runtime', 'nowhere', '--name', 'off', '--', 'true'), ('run', 'cancel', 'off')):
        s.equal(' '.join(words), i.cli(*words).returncode, 0)
    CASES = [
        # the Run's own, as a shell has it
        (0, BASH + ('--wait', '--', 'true')), (9, BASH + ('--wait', '--', 'exit 9')), (9, BASH + ('--follow', '--', 'exit 9')),
        (137, BASH + ('--wait', '--', 'bash', '-c', 'kill -9 $$')), (127, BASH + ('--wait', '--', 'no-such-command', 'x')), (255, BASH + ('--wait', '--', 'exit 255')),
        (0, ('run', 'wait', 'taken')), (123, ('run', 'wait', 'off')),
        # failures of ours, while waiting
        (124, BASH + ('--wait', '--timeout', '1s', '--', 'sleep', '30')), (122, BASH + ('--wait',)),
        (125, BASH + ('--nonsense', '--wait')), (125, BASH + ('--wait', '--env', 'nothing', '--', 'true')), (125, ('run', 'wait')), (125, ('local', 'run', '--nonsense')),
        (125, ('workflow', 'wait', '--nonsense')), (125, ('workflow', 'submit', '--wait')), (125, ('workflow', 'submit', '--nonsense', '--follow')),
        (125, ('workflow', 'watch')), (125, ('workflow', 'watch', '--nonsense', 'x')), (125, ('local', 'run')), (125, ('local', 'run', '-f', '/nobody.yaml')), (125, BASH + ('--wait', '--priority', '5000', '--', 'true')),
        (120, BASH + ('--name', 'taken', '--wait', '--', 'true')), (120, ('run', 'wait', 'nobody')), (120, ('run', 'wait', 'taken', '--kubeconfig', config['gone'])),
        (121, BASH + ('--wait', '--kubeconfig', config['dead'], '--', 'true')), (121, BASH + ('--wait', '--kubeconfig', config['stranger'], '--', 'true')),
        (121, ('run', 'wait', 'taken', '--kubeconfig', config['dead'])),
        (120, ('workflow', 'watch', 'x', '--kubeconfig', config['gone'])), (120, ('workflow', 'logs', 'x', '--kubeconfig', config['gone'])),
        # elsewhere by the code table
        (1, BASH + ('--nonsense',)), (1, ('run', 'nonsense')), (1, ('workflow', 'submit')), (1, ('workflow', 'submit', '--nonsense')), (1, ('run', 'list', '-o', 'nonsense')), (1, ('completion', 'nonsense')), (1, ('nonsense',)),
        (2, BASH + ('--name', 'No_Name', '--', 'true')), (2, ('run', 'list', '--kubeconfig', config['no-yaml'])),
        (3, ('run', 'get', 'nobody')), (3, ('run', 'logs', 'nobody')), (3, ('run', 'cancel', 'nobody')), (3, ('run', 'delete', 'nobody')), (3, ('run', 'describe', 'nobody')),
        (3, ('runtime', 'get', 'nobody')), (3, ('runtime', 'describe', 'nobody')), (3, ('run', 'list', '--kubeconfig', config['gone'])),
        (4, BASH + ('--name', 'taken', '--', 'true')), (6, ('run', 'list', '--kubeconfig', config['stranger'])),
        (7, ('run', 'list', '--kubeconfig', config['dead'])),
    ]
    for want, words in CASES:
        r = i.cli(*words)
        s.check('%d: %s' % (want, ' '.join(words)), r.returncode == want, '%d %s%s' % (r.returncode, r.stdout, r.stderr))
        if want in range(1, 8) or want in (120, 121, 125):
            s.check('one that failed says so on stderr alone: ' + ' '.join(words), r.stderr.count('\n') <= 8 and 'kruntimes' in r.stderr and not r.stdout, r.stdout + r.stderr)
    r = i.cli('local', 'run', '-f', hello, '-f', '-', stdin='apiVersion: kruntimes.io/v1alpha1\nkind: Run\nmetadata: {name: six}\nspec: {runtime: bash, args: [exit 6]}\n')
    s.equal('local run: the first that is not 0', (r.returncode, r.stdout), (6, 'hello from hello\n'))
    def doc(kind, name, spec):
        return 'apiVersion: kruntimes.io/v1alpha1\nkind: %s\nmetadata: {name: %s}\nspec: %s\n' % (kind, name, spec)
    def runs(text, *options):
        r = i.cli('local', 'run', '-f', '-', *options, stdin=text)
        return r.returncode, r.stdout, r.stderr
    code, out, err = runs(doc('Run', 'slow', '{runtime: bash, args: ["printf out; printf err >&2; sleep 1.2; exit 3"]}'))
    s.check('local run: seconds, and both streams, each line of ours whole', (code, out) == (3, 'out') and re.search(r'^err\nrun/slow Failed in \S+: ExitCode: ', err), (code, out, err))
    code, out, err = runs(doc('Run', 'late', '{runtime: bash, timeoutSeconds: 1, args: [sleep 60]}'))
    s.check('local run: a timeout', code == 124 and 'run/late Timeout' in err, (code, out, err))
    code, out, err = runs(doc('Run', 'taken', '{runtime: bash, args: ["true"]}'))
    s.check('local run: one that is there already', code in (4, 120) and 'taken' in err, (code, out, err))
    code, out, err = runs(doc('Runtime', 'unused', '{replicas: 0, template: {spec: {containers: [{name: runtime, image: x}]}}}') + '---\n'
                          + doc('Workflow', 'breaks', '{jobs: {a: {runs-on: bash, steps: [{name: one, run: "sleep 1.1; exit 4"}]}}}'), '--keep')
    s.check('local run: a Runtime, and a Workflow that fails', code == 4 and 'runtime/unused created' in err and re.search(r'workflow/breaks Failed in [0-9]+ s: ', err), (code, out, err))
    s.equal('local run: --keep', i.cli('workflow', 'get', 'breaks').returncode, 0)

    # one that waits says why, once; what ends it from outside is told
    def begin(text, *words):
        p = subprocess.Popen([BINARY, 'local', 'run', '-f', '-'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=i.env)
        p.stdin.write(text)
        p.stdin.close()
        p.stdin = None
        return p
    waits = begin(doc('Run', 'waits', '{runtime: nobody-has-it, args: ["true"]}'))
    s.check('local run: why it waits', 'run/waits waits: ' in waits.stderr.readline())
    i.api.call('DELETE', RUNS + '/waits')
    out, err = waits.communicate(timeout=DEADLINE)
    s.check('local run: deleted', waits.returncode == 122 and 'run/waits: it was deleted' in err, (waits.returncode, err))
    flow = begin(doc('Workflow', 'goes', '{jobs: {a: {runs-on: nobody-has-it, steps: [{name: one, run: "true"}]}}}'))
    s.check('local run: why a step waits', ' waits: ' in flow.stderr.readline())
    i.api.call('DELETE', RUNS.replace('/runs', '/workflows') + '/goes')
    out, err = flow.communicate(timeout=DEADLINE)
    s.check('local run: a Workflow deleted', flow.returncode == 122 and 'workflow/goes: it was deleted' in err, (flow.returncode, err))
    stopped = begin(doc('Run', 'stopped', '{runtime: nobody-has-it, args: ["true"]}'))
    stopped.stderr.readline()
    stopped.send_signal(signal.SIGINT)
    out, err = stopped.communicate(timeout=DEADLINE)
    s.check('local run: interrupted', stopped.returncode != 0 and 'interrupted' in err, (stopped.returncode, err))
    s.equal('local run: what it made goes with it', i.api.call('GET', RUNS + '/stopped')[0], 404)
    room = os.path.join(i.dir, 'room')
    os.mkdir(room)
    early = subprocess.Popen([BINARY, 'local', 'run', '-f', hello], stderr=subprocess.PIPE, text=True, env=dict(i.env, KRUNTIMES_STATE_DIR=os.path.join(i.dir, 'none'), TMPDIR=room))
    until(lambda: os.listdir(room), pause=0)
    early.send_signal(signal.SIGINT)
    out, err = early.communicate(timeout=DEADLINE)
    s.check('local run: interrupted while its instance starts', early.returncode > 0 and 'interrupted' in err, (early.returncode, err))
    s.equal('local run: its folder goes', os.listdir(room), [])
    lost = subprocess.run([BINARY, 'local', 'run', '-f', hello], capture_output=True, text=True, timeout=DEADLINE,
                          env=dict(i.env, KRUNTIMES_STATE_DIR=os.path.join(i.dir, 'none'), TMPDIR='/nowhere'))
    s.check('local run: no room for an instance', lost.returncode != 0 and 'make a folder "/nowhere/' in lost.stderr, lost.stderr)

    # which API server
    told = 'no kubeconfig: using the local instance (%s/kubeconfig)\n' % i.state
    real = os.path.join(i.state, 'kubeconfig')
    s.check('the local instance, and a line on stderr', i.cli('run', 'list').stderr.startswith(told))
    s.equal('by option', (i.cli('run', 'get', 'taken', '-o', 'name', '--kubeconfig', real).stdout, i.cli('run', 'get', 'taken', '--kubeconfig', real).stderr),
            ('run.kruntimes.io/taken\n', ''))
    by = lambda path: i.cli('run', 'get', 'taken', '-o', 'name', env=dict(i.env, KUBECONFIG=path))
    s.equal('by $KUBECONFIG', (by(real).stdout, by(real).stderr), ('run.kruntimes.io/taken\n', ''))
    s.equal('of several the first that says it', by(real + ':' + config['dead']).returncode, 0)
    s.equal('$KUBECONFIG wins over the instance', by(config['dead']).returncode, 7)
    os.makedirs(os.path.join(i.dir, '.kube'))
    shutil.copy(config['dead'], os.path.join(i.dir, '.kube', 'config'))
    s.equal('the home folder wins over the instance', i.cli('run', 'list').returncode, 7)
    os.remove(os.path.join(i.dir, '.kube', 'config'))

    # progress is for terminals only, and NO_COLOR is obeyed there
    s.check('no escape sequence in a pipe', '\x1b' not in i.cli(*BASH, '--wait', '--', 'true').stderr)
    tty = lambda **env: subprocess.run(['script', '-qec', '%s run list; %s run submit --runtime bash --wait -- sleep 0.3' % (BINARY, BINARY), '/dev/null'],
                                       capture_output=True, text=True, env=dict(i.env, TERM='xterm', **env)).stdout
    if shutil.which('script'):
        s.check('NO_COLOR', not re.search(r'\x1b\[[0-9;]*m', tty(NO_COLOR='1')), repr(tty(NO_COLOR='1')))
    else:
        s.skip('NO_COLOR', 'there is no program "script" here')
    if s.failed:
        print(i.logs())

# a state folder in which nothing may be made
if os.geteuid() == 0:
    lone = Instance()
    os.chmod(lone.dir, 0o755)
    binary = os.path.join(lone.dir, 'kruntimes')
    shutil.copy(BINARY, binary)
    os.makedirs(os.path.join(lone.dir, 'closed'), 0o755)
    r = subprocess.run([binary, 'local', 'up', '--state-dir', os.path.join(lone.dir, 'closed', 'state'), '--port', '0'], user=65534, group=65534,
                       capture_output=True, text=True, env=lone.env, timeout=DEADLINE)
    s.check('no permission on the state folder', r.returncode == 6 and 'Permission denied' in r.stderr and 'closed' in r.stderr, '%d %s' % (r.returncode, r.stderr))
    s.equal('nothing was made there', os.listdir(os.path.join(lone.dir, 'closed')), [])
    shutil.rmtree(lone.dir)
else:
    s.skip('no permission', 'only root can be somebody else')
s.end()
