#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Output of Runs: times, streams, terminals; kept in the store so that it outlives its pod; as lines of JSON (row 51)."""
import json, os, pty, re, select, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()


until = within(30)


def on_terminal(i, *args):
    """What a terminal gets of a command, until it ends."""
    pid, fd = pty.fork()
    if not pid:
        os.execve(BINARY, [BINARY, *args], i.env)
    seen = b''
    while True:
        ready, _, _ = select.select([fd], [], [], DEADLINE)
        try:
            data = os.read(fd, 65536) if ready else b''
        except OSError:
            data = b''
        if not data:
            break
        seen += data
    os.waitpid(pid, 0)
    os.close(fd)
    return seen


with instance() as i:
    def execute(name, script, **spec):
        status, answer = i.api.call('POST', RUNS, run_object(name, [script], **spec))
        assert status == 201, answer
        return i.wait({name})[name]

    logs = lambda *args: i.cli('run', 'logs', *args)
    ns = 'no kubeconfig: using the local instance (%s/kubeconfig)\n' % i.state
    pods = '/api/v1/namespaces/default/pods'

    # times and attempts
    execute('timed', 'printf "one\\ntwo"; echo err >&2; echo; echo three')
    r = logs('timed', '--timestamps')
    line = re.compile(r'^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (.*)$')
    s.equal('timestamps: one a line', [line.match(l).group(2) if line.match(l) else l for l in r.stdout.splitlines()], ['one', 'two', 'three'])
    s.check('timestamps: stderr too', line.match(r.stderr.replace(ns, '').rstrip('\n')), r.stderr)
    execute('twice', 'echo attempt $KRUNTIME_ATTEMPT; [ $KRUNTIME_ATTEMPT = 2 ]', retryPolicy={'maxAttempts': 2, 'backoff': '10ms'})
    r = logs('twice', '--follow', '--timestamps')
    s.equal('timestamps: the attempt', [l.split(' ', 1)[1] for l in r.stdout.splitlines()], ['attempt 1', '[2] attempt 2'])
    execute('lines', 'seq 1000')
    s.equal('tail', logs('lines', '--tail', '3').stdout.splitlines()[-3:], ['998', '999', '1000'])
    s.equal('since', logs('lines', '--since', '1h').stdout.count('\n'), 1000)
    s.equal('since a moment', [logs('lines', '--since-time', at).stdout.count('\n') for at in ('2026-01-01T00:00:00Z', '2126-01-01T00:00:00.5+02:00')], [1000, 0])
    r = logs('lines', '--since-time', 'yesterday')
    s.equal('since what is no moment', (r.returncode, 'is no moment like 2026-01-31T12:00:00Z' in r.stderr), (1, True))
    s.equal('since twice', logs('lines', '--since', '1h', '--since-time', '2026-01-01T00:00:00Z').returncode, 1)

    s.equal('the attempt before', (logs('twice', '--previous').stdout, logs('twice', '-p', '--timestamps').stdout.split(' ', 1)[1]), ('attempt 1\n', 'attempt 1\n'))
    r = logs('lines', '-p')
    s.equal('there was none', (r.returncode, 'run/lines has had no attempt before its last one' in r.stderr), (3, True))
    s.equal('the newest', logs('@latest', '--tail', '1').stdout.splitlines()[-1:], ['1000'])

    # several: whole lines, each with its Run in front
    for name in ('one', 'two'):
        execute(name, 'printf "a\\nb of %s"; echo err >&2' % name)
        i.api.call('PATCH', RUNS + '/' + name, {'metadata': {'labels': {'several': 'yes'}}}, 'application/merge-patch+json')
    r = logs('-l', 'several=yes')
    s.equal('several: in order', (r.returncode, r.stdout, r.stderr.replace(ns, '')), (0, 'one | a\none | b of one\ntwo | a\ntwo | b of two\n', 'one | err\ntwo | err\n'))
    s.equal('several: followed', sorted(logs('-l', 'several=yes', '--follow').stdout.splitlines()), ['one | a', 'one | b of one', 'two | a', 'two | b of two'])
    s.equal('several: by name, with times', [l.split(' ')[0::3] for l in logs('two', 'one', '--timestamps').stdout.splitlines()], [['two', 'a'], ['two', 'b'], ['one', 'a'], ['one', 'b']])
    s.equal('several: as they are', logs('one', 'two', '--no-prefix').stdout, 'a\nb of onea\nb of two')
    s.equal('one, with its name', logs('one', '--prefix').stdout, 'one | a\none | b of one\n')
    r = logs('one', 'nobody', 'two')
    s.equal('several: one is not there', (r.returncode, len(r.stdout.splitlines()), 'run/nobody: ' in r.stderr), (3, 4, True))
    execute('wide', 'head -c 200000 /dev/zero | tr "\\0" x; echo')
    s.equal('several: a very long line is several', max(map(len, logs('wide', '--prefix').stdout.splitlines())) <= 65600, True)
    s.equal('several: nothing of it is lost', logs('wide', '--prefix').stdout.replace('wide | ', '').replace('\n', ''), 'x' * 200000)
    for name in ('on', 'two-on'):
        i.api.call('POST', RUNS, dict(run_object(name, ['echo begun; sleep 1000']), metadata={'name': name, 'labels': {'on': 'y'}}))
    p = subprocess.Popen([BINARY, 'run', 'logs', '-l', 'on=y', '-f'], stdout=subprocess.PIPE, text=True, env=i.env)
    s.equal('several: at once', {p.stdout.readline() for _ in range(2)}, {'on | begun\n', 'two-on | begun\n'})
    i.cli('run', 'cancel', '-l', 'on=y')
    s.equal('several: to their ends', (p.communicate(timeout=DEADLINE)[0], p.returncode), ('', 0))
    i.api.call('POST', RUNS, run_object('through', ['echo before; until [ -e go ]; do read -t 0.05 <> <(:); done; echo after']))
    p = subprocess.Popen([BINARY, 'run', 'logs', 'through', '-f'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=i.env)
    s.equal('through a restart of the API server: before', p.stdout.readline(), 'before\n')
    server = i.pids('apiserver')
    i.kill('apiserver')
    until(lambda: i.pids('apiserver') not in ([], server))
    i.api.call('GET', RUNS, retry=True)
    i.put('through', 'go')
    out, err = p.communicate(timeout=DEADLINE)
    s.check('through a restart of the API server: after', (p.returncode, out) == (0, 'after\n'), (p.returncode, out, err))
    for words, why in ((('one', '-p', '-f'), "doesn't go together with --attempt or --follow"), (('one', '-l', 'a'), "names don't go together with --selector"), ((), 'say which'),
                       (('-f', *['x%d' % n for n in range(65)]), 'at most 64 Runs')):
        r = logs(*words)
        s.check('refused: ' + ' '.join(words), r.returncode == 1 and why in r.stderr, r.stderr)
    r = logs('-l', 'several=no')
    s.equal('several: none', (r.returncode, 'no runs found in namespace default with the labels several=no' in r.stderr), (3, True))

    s.equal('grep', (logs('one', '--grep', '^b o').stdout, logs('-l', 'several=yes', '--grep', 'a$').stdout, logs('lines', '--grep', '^99?$').stdout), ('b of one\n', 'one | a\ntwo | a\n', '9\n99\n'))
    s.equal('grep: not in what stands in front', logs('one', '--prefix', '--timestamps', '--grep', 'one [|]|Z').stdout, '')
    s.equal('grep: followed, nothing', (logs('one', '-f', '--grep', 'nothing').stdout, logs('one', '--grep', 'nothing').returncode), ('', 0))
    r = logs('one', '--grep', '(')
    s.equal('grep: what is no pattern', (r.returncode, '--grep: ' in r.stderr), (1, True))

    # row 51: on a terminal nothing is obeyed, in a pipe bytes are as they were
    evil = '\033]0;owned\007\033[2J\033[1mbold\033[0m\033]52;c;YQ==\007'
    execute('evil', "printf '%%b' '%s'; printf '\\033['; printf '5n no newline'" % evil.replace('\033', '\\033').replace('\007', '\\007'))
    s.equal('row 51: a pipe gets the bytes', logs('evil').stdout, evil + '\033[5n no newline')
    seen = on_terminal(i, 'run', 'logs', 'evil')
    s.check('row 51: a terminal gets no escapes but colours', b'\033[1mbold\033[0m' in seen and b'^[]0;owned^G' in seen and not re.search(rb'\033(?!\[[\d;]*m)', seen), str(seen))
    s.check('row 51: the prompt is not glued on', seen.endswith(b'no newline\r\n'), str(seen))
    say = "printf 'A\\033]0;owned\\007\\033[2Jx\\n'"
    flow = os.path.join(i.dir, 'flow.yaml')
    json.dump({'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'generateName': 'evil-'}, 'spec': {'jobs': {'a': {
        'runs-on': 'bash', 'strategy': {'matrix': {'m': ['\033[2Jx']}}, 'steps': [{'name': 's', 'run': say}]}}}}, open(flow, 'w'))
    run = os.path.join(i.dir, 'run.yaml')
    json.dump(dict(run_object('', [say]), metadata={'generateName': 'evil-'}), open(run, 'w'))
    name = i.cli('workflow', 'submit', '-f', flow).stdout.split('/')[1].split()[0]
    i.api.call('PATCH', RUNS + '/evil/status', {'status': {'message': '\033[2Jx'}}, 'application/merge-patch+json')
    for words in (('workflow', 'logs', '-f', name), ('workflow', 'logs', name), ('workflow', 'watch', name), ('workflow', 'describe', name),
                  ('workflow', 'submit', '--follow', '-f', flow), ('local', 'run', '-f', flow), ('local', 'run', '-f', run), ('run', 'submit', '--follow', '-f', run),
                  ('run', 'wait', 'evil'), ('run', 'explain', 'evil'), ('run', 'describe', 'evil'), ('run', 'get', '\033[2Jx'), ('run', 'delete', '\033[2Jx', '\033[2Jy'),
                  ('workflow', 'watch', '\033[2Jx')):
        seen = on_terminal(i, *words)
        s.check('row 51: %r' % (words,), b'^[[2J' in seen and not re.search(rb'\033(?!\[([\d;]*m|\d+A|J|\?7[lh]))', seen), str(seen))
    # what can't be written is no success; what a Run left with comes first
    three = os.path.join(i.dir, 'three.yaml')
    json.dump(run_object('three', ['echo out; exit 3']), open(three, 'w'))
    for want, words in ((5, ('run', 'logs', 'lines')), (5, ('run', 'logs', 'lines', '--grep', '9')), (5, ('run', 'logs', 'lines', '--prefix')), (5, ('run', 'logs', 'one', 'two', '-f')),
                        (120, ('run', 'submit', '--follow', '-f', run)), (120, ('workflow', 'logs', name)), (120, ('workflow', 'watch', name)),
                        (120, ('workflow', 'submit', '--follow', '-f', flow)), (120, ('local', 'run', '-f', flow)), (120, ('local', 'run', '-f', run)),
                        (3, ('local', 'run', '-f', three)), (3, ('run', 'submit', '--runtime', 'bash', '--follow', '--', 'echo out; exit 3'))):
        with open('/dev/full', 'w') as full:
            r = subprocess.run([BINARY, *words], stdout=full, stderr=subprocess.PIPE, text=True, env=i.env, timeout=DEADLINE)
        s.check('to a full disk: ' + ' '.join(words), r.returncode == want and 'write "stdout": No space left' in r.stderr, '%d %s' % (r.returncode, r.stderr))
    execute('flood', 'head -c 30000000 /dev/zero | tr "\\0" x; echo; echo end')
    r = logs('flood')
    s.check('row 51: a line of 30 MB', len(r.stdout) == 30000005 and r.stdout.endswith('x\nend\n'), str(len(r.stdout)))
    # whoever reads what a Run writes may be slower than it: the Run waits, and nothing is lost
    uid = i.api.call('POST', RUNS, run_object('outruns', ['until [ -e go ]; do sleep 0.02; done; head -c 30000000 /dev/zero | tr "\\0" x; echo; echo end; touch written']))[1]['metadata']['uid']
    until(lambda: i.api.call('GET', RUNS + '/outruns')[1].get('status', {}).get('phase') == 'Running')
    daemons, written = i.pids('runtimed'), os.path.join(next(w for w in i.workspaces() if os.path.basename(w) == uid), 'work', 'written')
    for pid in daemons:
        os.kill(pid, signal.SIGSTOP)
    i.put('outruns', 'go')
    end = time.monotonic() + 2
    while not os.path.exists(written) and time.monotonic() < end:
        time.sleep(0.02)      # it must not get so far
    s.check('row 51: who writes faster than is read waits', not os.path.exists(written))
    for pid in daemons:
        os.kill(pid, signal.SIGCONT)
    i.wait({'outruns'})
    r = logs('outruns')
    s.check('row 51: and nothing of it is lost', len(r.stdout) == 30000005 and r.stdout.endswith('x\nend\n'), str(len(r.stdout)))
    execute('binary', "printf '\\377\\376\\000ok'")
    got = subprocess.run([BINARY, 'run', 'logs', 'binary'], capture_output=True, env=i.env).stdout
    s.equal('row 51: bytes as they are', got, b'\xff\xfe\x00ok')

    # output goes with the artifacts and outlives the pod
    run = execute('kept', 'echo attempt $KRUNTIME_ATTEMPT; echo oops >&2; seq 100000; echo 1 > $KRUNTIME_ARTIFACTS_DIR/x; [ $KRUNTIME_ATTEMPT = 2 ]',
                  retryPolicy={'maxAttempts': 2, 'backoff': '10ms'})
    run_lost = execute('lost', 'echo alone')
    live = {n: logs('kept', '--attempt', n) for n in ('1', '2')}
    s.check('live', live['2'].stdout.startswith('attempt 2\n1\n2\n') and live['2'].stdout.endswith('\n100000\n'), live['2'].stdout[:100])
    stored = lambda r: '%s/volumes/default/artifacts/default/%s/logs' % (i.state, r['metadata']['uid'])
    s.equal('stored: each attempt', sorted(os.listdir(stored(run))), ['1', '2'])
    s.check('without artifacts it is not', not os.path.exists(stored(run_lost)))
    for name in {run['status']['assignedPod'], run_lost['status']['assignedPod']}:
        i.api.call('DELETE', pods + '/' + name)
        s.check('the pod goes', until(lambda: i.api.call('GET', pods + '/' + name)[0] == 404))
    for n in ('1', '2'):
        r = logs('kept', '--attempt', n)
        s.check('from the store it reads the same: attempt ' + n, (r.stdout, r.stderr, r.returncode) == (live[n].stdout, live[n].stderr, 0), '%r %r' % (r.stdout[:80], r.stderr))
    s.equal('the last attempt', logs('kept').stdout, live['2'].stdout)
    s.equal('followed: all attempts', logs('kept', '-f').stdout, live['1'].stdout + live['2'].stdout)
    s.equal('tail of what is stored', logs('kept', '--tail', '2').stdout.splitlines()[-2:], ['99999', '100000'])
    r = logs('lost')
    s.check('what was not stored is told', r.returncode == 3 and 'neither on a pod nor in the store' in r.stderr, r.stderr)
    r = logs('kept', '--attempt', '7')
    s.check('no such attempt', r.stdout == '', r.stdout[:100])
    key = run['status']['accessKey']
    i.api.call('PATCH', RUNS + '/kept/status', {'status': {'accessKey': '0' * 32}}, 'application/merge-patch+json')
    forged = i.api.call('GET', RUNS + '/kept')[1]['status']['accessKey']
    s.equal('who may read the Run may read its output', (forged, logs('kept').returncode), ('0' * 32, 0))

    # every Run's, where the Runtime says so; and as lines of JSON
    def ready_with(*names):
        ok = lambda p: any(c['type'] == 'Ready' and c['status'] == 'True' for c in p.get('status', {}).get('conditions', []))
        env = lambda p: {e['name'] for e in p['spec']['initContainers'][0]['env']} if 'kruntimes-copy' != p['spec']['initContainers'][0]['name'] else {e['name'] for e in p['spec']['initContainers'][1]['env']}
        alive = [p for p in i.api.call('GET', pods)[1]['items'] if 'deletionTimestamp' not in p['metadata']]
        return len(alive) == 2 and all(ok(p) and set(names) <= env(p) for p in alive)
    i.api.call('PATCH', RUNTIMES + '/bash', {'metadata': {'annotations': {'kruntimes.io/keep-logs': 'true', 'kruntimes.io/print-output': 'true'}}}, 'application/merge-patch+json')
    s.check('the pool follows', until(lambda: ready_with('KRUNTIMES_KEEP_LOGS', 'KRUNTIMES_PRINT_OUTPUT')))
    run = execute('all', 'echo hello; printf "no end" >&2')
    s.equal('stored without artifacts', (os.listdir(stored(run)), run['status'].get('artifactRefs')), (['1'], None))
    text = open('%s/pods/%s/runtimed.log' % (i.state, run['status']['assignedPodUID'])).read()
    lines = [json.loads(l) for l in text.splitlines() if l.startswith('{"time"')]
    s.equal('lines of JSON', sorted((l['run'], l['attempt'], l['stream'], l['text']) for l in lines), [('all', 1, 'stderr', 'no end'), ('all', 1, 'stdout', 'hello')])
    i.api.call('DELETE', pods + '/' + run['status']['assignedPod'])
    until(lambda: i.api.call('GET', pods + '/' + run['status']['assignedPod'])[0] == 404)
    r = logs('all')
    s.equal('and read', (r.stdout, r.stderr.replace(ns, '')), ('hello\n', 'no end'))
    i.cli('run', 'delete', 'all')
    s.check('it goes with its Run', until(lambda: not os.path.exists(os.path.dirname(stored(run)))))
    store = os.path.join(i.state, 'volumes', 'default', 'artifacts')
    os.rename(store, store + '.away')
    os.symlink(store + '.away', store)
    run = execute('unstored', 'echo hello')
    s.equal('a store that refuses it decides nothing', (run['status']['phase'], run['status'].get('message')), ('Succeeded', None))
    s.equal('and it is read where it is', logs('unstored').stdout, 'hello\n')
    text = open('%s/pods/%s/runtimed.log' % (i.state, run['status']['assignedPodUID'])).read()
    s.check('which is told', "the output of a Run can't be stored" in text, text[-1000:])
    if s.failed:
        print(i.logs())
s.end()
