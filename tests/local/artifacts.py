#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Artifacts on a local instance: what Runs leave is stored, described, refused where it must be, and goes with its Run."""
import hashlib, io, os, signal, socket, sys, tarfile
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
FINALIZER = 'kruntimes.io/artifact-cleanup'


until = within(30)


def refs(run):
    return {r['name']: r for r in run['status'].get('artifactRefs', [])}


with instance() as i:
    store = os.path.join(i.state, 'volumes', 'default', 'artifacts')
    path = lambda ref: os.path.join(store, ref['location']['filesystem']['path'])
    in_store = lambda: sorted(os.path.join(d, f) for d, _, files in os.walk(store) for f in files)

    def execute(name, script, **spec):
        status, answer = i.api.call('POST', RUNS, run_object(name, [script], **spec))
        assert status == 201, answer
        return i.wait({name})[name]

    # a file and a folder
    make = 'cd $KRUNTIME_ARTIFACTS_DIR; echo hello > x.txt; mkdir -p d/sub; printf one > d/b; printf two > d/a; : > d/sub/empty; chmod +x d/a; n=%s; printf 3 > d/sub/$n' % ('n' * 120)
    run = execute('both', make)
    if not refs(run):
        print(run, i.logs())
    x, d = refs(run)['x.txt'], refs(run)['d']
    prefix = 'default/%s/1-%s/' % (run['metadata']['uid'], run['status']['assignedPodUID'][:8])
    s.equal('phase', run['status']['phase'], 'Succeeded')
    s.equal('the finalizer', run['metadata'].get('finalizers'), [FINALIZER])
    s.equal('the snapshot', run['status']['artifactStore'], {'driver': 'filesystem', 'filesystem': {'volumeClaimName': 'artifacts'}})
    s.equal('a file', (x['type'], x['driver'], x['sizeBytes'], x['contentType'], x['location']['filesystem']['path']), ('file', 'filesystem', 6, 'text/plain', prefix + 'x.txt'))
    s.equal('a folder', (d['type'], d['contentType'], d['location']['filesystem']['path']), ('archive', 'application/gzip', prefix + 'd'))
    for name, ref in refs(run).items():
        data = open(path(ref), 'rb').read()
        s.equal('digest of ' + name, (len(data), 'sha256:' + hashlib.sha256(data).hexdigest()), (ref['sizeBytes'], ref['digest']))
    with tarfile.open(path(d)) as t:
        s.equal('entries, in order', [m.name for m in t], ['a', 'b', 'sub', 'sub/empty', 'sub/' + 'n' * 120])
        s.equal('nobody\'s, timeless, of two modes', {(m.uid, m.gid, m.mtime, oct(m.mode)) for m in t}, {(0, 0, 0, '0o755'), (0, 0, 0, '0o644')})
        s.equal('content', t.extractfile('a').read(), b'two')
    done = subprocess.run(['tar', 'tzf', path(d)], capture_output=True, text=True)
    s.equal('tar reads it without a word', (done.returncode, done.stderr, len(done.stdout.split())), (0, '', 5))
    s.equal('nothing beside it', len(in_store()), 2)

    # the command line
    out = os.path.join(i.dir, 'out')
    os.mkdir(out)
    get = lambda *args: i.cli('artifact', 'download', *args, '--dir', out)
    lines = i.cli('artifact', 'list', 'both').stdout.splitlines()
    s.equal('list', [l.split()[:3] for l in lines], [['NAME', 'TYPE', 'SIZE'], ['d', 'archive', str(d['sizeBytes'])], ['x.txt', 'file', '6']])
    r = get('both')
    s.equal('download', (r.returncode, r.stdout, r.stderr.replace('no kubeconfig: using the local instance (%s/kubeconfig)\n' % i.state, '')), (0, '%s/d.tar.gz\n%s/x.txt\n' % (out, out), ''))
    s.equal('download: content', (open(out + '/x.txt').read(), open(out + '/d.tar.gz', 'rb').read() == open(path(d), 'rb').read()), ('hello\n', True))
    s.equal('download: nothing else', sorted(os.listdir(out)), ['d.tar.gz', 'x.txt'])
    r = get('both', 'x.txt')
    s.check('a file that is there stays', r.returncode == 4 and 'is there already' in r.stderr, r.stderr)
    s.equal('unless it is forced', get('both', 'x.txt', '--force').returncode, 0)
    # file systems that know no rename without replacing, and no second name of a file
    if shutil.which('strace'):
        env = dict(i.env, ASAN_OPTIONS='detect_leaks=0')
        for faults, code in ((['renameat2:error=EINVAL'], 0), (['renameat2:error=ENOSYS', 'linkat:error=EPERM'], 0), (['renameat2:error=EINVAL', 'linkat:error=ENOSYS'], 0),
                             (['renameat2:error=EINVAL', 'linkat:error=EEXIST'], 4), (['renameat2:error=EIO'], 9)):
            os.unlink(out + '/x.txt') if os.path.exists(out + '/x.txt') else None
            r = subprocess.run(['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=renameat2,linkat', *[w for f in faults for w in ('-e', 'inject=' + f)],
                                BINARY, 'artifact', 'download', 'both', 'x.txt', '--dir', out], capture_output=True, text=True, env=env, timeout=DEADLINE)
            parts = [f for f in os.listdir(out) if f.endswith('.part')]
            s.check('a file system where ' + ', '.join(faults), (r.returncode, os.path.exists(out + '/x.txt'), len(parts)) == (code, not code, int(code > 0)), (r.returncode, parts, r.stderr))
        s.equal('the part becomes the file', (get('both', 'x.txt').returncode, sorted(os.listdir(out))), (0, ['d.tar.gz', 'x.txt']))
    else:
        s.skip('file systems without RENAME_NOREPLACE', 'no strace here')
    s.equal('to stdout', i.cli('artifact', 'download', 'both', 'x.txt', '--output', '-').stdout, 'hello\n')
    r = get('both', 'y')
    s.check('no such artifact', r.returncode == 3 and 'has no artifact "y"' in r.stderr, r.stderr)
    r = i.cli('artifact', 'download', 'both', 'x.txt', '--output', '../x')
    s.check('an unsafe name is refused', r.returncode == 2 and 'no safe file name' in r.stderr and not os.path.exists(i.dir + '/x'), r.stderr)

    # going on with a part; a part that isn't one; an object that was changed
    run = execute('large', 'cd $KRUNTIME_ARTIFACTS_DIR; seq 2000000 > n; : > empty; : > .hidden')
    n = refs(run)['n']
    part = '%s/.n.%s.part' % (out, n['digest'][7:19])
    data = open(path(n), 'rb').read()
    open(part, 'wb').write(data[:5000000])
    mark = os.stat(part).st_ino
    r = get('large', 'n', 'empty')
    s.equal('resume', (r.returncode, open(out + '/n', 'rb').read() == data, os.stat(out + '/n').st_ino == mark, os.path.getsize(out + '/empty')), (0, True, True, 0))
    r = get('large', '.hidden')
    s.check('a hidden name is refused', r.returncode == 2 and not os.path.exists(out + '/.hidden'), r.stderr)
    open(part, 'wb').write(b'x' * 1000)
    r = get('large', 'n', '--force')
    s.check('a foreign part is noticed', r.returncode == 9 and 'is damaged' in r.stderr and not os.path.exists(part), r.stderr)
    with open(path(n), 'r+b') as f:
        f.write(b'X')
    r = get('large', 'n', '--force')
    s.check('a changed object is noticed', r.returncode == 9 and 'is damaged' in r.stderr and open(out + '/n', 'rb').read() == data, r.stderr)
    os.truncate(path(n), 100)
    r = get('large', 'n', '--force')
    s.check('a short object is noticed', r.returncode != 0 and 'another size' in r.stderr, r.stderr)
    os.unlink(path(n))
    r = get('large', 'n', '--force')
    s.check('a lost object is told', r.returncode != 0 and 'No such file' in r.stderr, r.stderr)
    s.equal('what came of it stays a part', [os.path.getsize(out + '/' + f) for f in os.listdir(out) if f.endswith('.part')], [100])

    # the key is needed; what the status says of places is not trusted
    forge = lambda p: i.api.call('PATCH', RUNS + '/large/status', {'status': {'artifactRefs': [dict(n, location={'filesystem': {'path': p}})]}}, 'application/merge-patch+json')
    forge(x['location']['filesystem']['path'])
    r = get('large', 'n', '--force')
    s.check('another Run\'s place is refused', r.returncode != 0 and 'not in the store' in r.stderr, r.stderr)
    forge('default/%s/../../../../kubeconfig/n' % run['metadata']['uid'])
    r = get('large', 'n', '--force')
    s.check('no way out of the store', r.returncode != 0, r.stderr)

    # after its pod is gone any other pod of the Runtime will do
    pod = i.api.call('GET', RUNS + '/both')[1]['status']['assignedPod']
    i.api.call('DELETE', '/api/v1/namespaces/default/pods/' + pod)
    s.check('the pod goes', until(lambda: i.api.call('GET', '/api/v1/namespaces/default/pods/' + pod)[0] == 404))
    s.equal('download from another pod', i.cli('artifact', 'download', 'both', 'x.txt', '--output', '-').stdout, 'hello\n')

    # the same content gives the same bytes
    again = execute('same', 'sleep 1.1; ' + make)
    s.equal('deterministic', refs(again)['d']['digest'], d['digest'])

    # on failure too, of the last attempt only, and a first attempt leaves nothing
    run = execute('failing', 'echo $KRUNTIME_ATTEMPT > $KRUNTIME_ARTIFACTS_DIR/log; exit 3', retryPolicy={'maxAttempts': 3, 'backoff': '10ms'})
    s.equal('of a failure', (run['status']['phase'], run['status']['exitCode'], open(path(refs(run)['log'])).read()), ('Failed', 3, '3\n'))
    s.equal('of the last attempt', os.listdir(os.path.dirname(os.path.dirname(path(refs(run)['log'])))), ['3-' + run['status']['assignedPodUID'][:8]])
    run = execute('late', 'echo 1 > $KRUNTIME_ARTIFACTS_DIR/x; sleep 60', timeoutSeconds=1)
    s.equal('of a timeout', (run['status']['phase'], list(refs(run))), ('Timeout', ['x']))

    # its clock stands still when it has ended, however long it takes to store what it left
    i.api.call('POST', RUNS, run_object('stored-late', ['truncate -s 300M $KRUNTIME_ARTIFACTS_DIR/x'], timeoutSeconds=5))
    helpers = until(lambda: i.helpers('artifact-helper'))
    for pid in helpers:
        os.kill(pid, signal.SIGSTOP)
    s.check('it is being stored', helpers)
    time.sleep(5)      # Execute was accepted before: its deadline is over now
    for pid in helpers:
        os.kill(pid, signal.SIGCONT)
    run = i.wait({'stored-late'})['stored-late']
    s.equal('a deadline that passes while it is stored', (run['status']['phase'], list(refs(run))), ('Succeeded', ['x']))

    # row 49: nothing that isn't a plain file or folder, wherever it lies
    secret = os.path.join(i.state, 'kubeconfig')
    before = len(in_store())
    for name, script, said in (('link', 'ln -s %s l' % secret, '"l" is a symbolic link'), ('deep', 'mkdir d; ln -s / d/root', 'd: "root" is a symbolic link'),
                               ('fifo', 'mkfifo f', '"f" is a FIFO'), ('socket', 'python3 -c "import os; os.mknod(chr(115), 0o140644)"', '"s" is a socket'),
                               ('proc', 'mkdir d; ln -s /proc/self/environ d/e', 'symbolic link'),
                               ('control', 'touch "$(printf \'a\\033[2Jb\')"', 'control character'), ('bytes', 'touch "$(printf \'\\377\')"', 'not UTF-8'),
                               ('many', 'for n in $(seq 33); do : > $n; done', 'more than 32 artifacts'),
                               ('nested', 'p=.; for n in $(seq 70); do p=$p/d; done; mkdir -p $p', 'more than 64 deep'),
                               ('replaced', 'cd ..; rmdir artifacts; ln -s / artifacts', 'KRUNTIME_ARTIFACTS_DIR')):
        run = execute(name, 'cd $KRUNTIME_ARTIFACTS_DIR; %s; exit 0' % script)
        s.equal('row 49: %s: reason' % name, (run['status']['phase'], run['status'].get('reason'), refs(run)), ('Failed', 'ArtifactInvalid', {}))
        s.check('row 49: %s: message' % name, said in run['status']['message'], run['status']['message'])
    s.equal('row 49: nothing of them is stored', len(in_store()), before)
    run = execute('linkfail', 'ln -s / $KRUNTIME_ARTIFACTS_DIR/l; exit 4')
    s.check('a failure stays what it was', run['status']['reason'] == 'ExitCode' and 'not stored: "l" is a symbolic link' in run['status']['message'], str(run['status']))
    run = execute('gone', 'rmdir $KRUNTIME_ARTIFACTS_DIR')
    s.equal('a folder that was removed is empty', (run['status']['phase'], refs(run)), ('Succeeded', {}))
    run = execute('hard', 'cd $KRUNTIME_ARTIFACTS_DIR; echo 1 > a; ln a b; truncate -s 1M sparse')
    s.equal('hard links and holes are files', {k: r['sizeBytes'] for k, r in refs(run).items()}, {'a': 2, 'b': 2, 'sparse': 1 << 20})

    # deleting a Run takes what it has in the store, and nothing else
    keep = refs(again)
    i.cli('run', 'delete', 'both')
    s.check('the Run goes', until(lambda: i.api.call('GET', RUNS + '/both')[0] == 404))
    s.check('with its artifacts', not os.path.exists(os.path.join(store, os.path.dirname(prefix.rstrip('/')))))
    s.check('others stay', all(os.path.exists(path(r)) for r in keep.values()))
    jobs = '/apis/batch/v1/namespaces/default/jobs'
    s.check('the Job goes', until(lambda: not i.api.call('GET', jobs)[1]['items']), str(i.api.call('GET', jobs)[1]))
    i.api.call('POST', RUNS, run_object('brief', ['echo 1 > $KRUNTIME_ARTIFACTS_DIR/x; exit 1'], ttlSecondsAfterFinished=0))
    s.check('by its TTL too', until(lambda: i.api.call('GET', RUNS + '/brief')[0] == 404))
    i.cli('run', 'delete', '--all')
    s.check('many at once', until(lambda: not i.api.call('GET', RUNS)[1]['items']), str(len(i.api.call('GET', RUNS)[1]['items'])))
    s.equal('the store is empty', in_store(), [])

    # a Job that doesn't come to an end within its deadline is ended: one whose Secret is not there, and one whose store never answers
    def job(name, store, **pod):
        made = {'apiVersion': 'batch/v1', 'kind': 'Job', 'metadata': {'name': name, 'labels': {'app.kubernetes.io/managed-by': 'kruntimes'}}, 'spec': {
            'activeDeadlineSeconds': 3, 'template': {'spec': dict({'restartPolicy': 'Never', 'containers': [{
                'name': 'clean', 'image': 'local', 'command': ['/kruntimes', 'artifact-clean'], 'args': ['--namespace', 'default', 'a-run'],
                'volumeMounts': [{'name': 'artifact-store', 'mountPath': '/c'}], 'env': [{'name': k, 'value': v} for k, v in (
                    ('KRUNTIMES_ARTIFACT_STORE', json.dumps(store)), ('AWS_ACCESS_KEY_ID', 'a'), ('AWS_SECRET_ACCESS_KEY', 'b'))]}]}, **pod)}}}
        s.equal('the Job %s' % name, i.api.call('POST', jobs, made)[0], 201)
    silent = socket.create_server(('127.0.0.1', 0))
    silent.settimeout(DEADLINE)
    s3 = {'driver': 's3', 's3': {'bucket': 'b', 'region': 'r', 'endpoint': 'http://127.0.0.1:%d' % silent.getsockname()[1], 'forcePathStyle': True}}
    job('waits', s3, volumes=[{'name': 'artifact-store', 'secret': {'secretName': 'not-there'}}])
    job('hangs', s3)
    caller = silent.accept()[0]
    caller.settimeout(DEADLINE / 2)                # it would give up by itself after a minute
    while caller.recv(65536):
        pass                                      # its process is killed
    ended = lambda name: [(c['type'], c['status'], c['reason']) for c in i.api.call('GET', jobs + '/' + name)[1].get('status', {}).get('conditions', [])]
    for name in ('waits', 'hangs'):
        s.check('its deadline has passed: ' + name, until(lambda: ended(name) == [('Failed', 'True', 'DeadlineExceeded')]), str(ended(name)))
        i.api.call('DELETE', jobs + '/' + name)
    silent.close()

    # a store that refuses (row 53): the Run says so; a clean-up that can't be done lets go, and an Event says what is left
    os.rename(store, store + '.away')
    os.symlink(store + '.away', store)
    run = execute('refused', 'echo 1 > $KRUNTIME_ARTIFACTS_DIR/x')
    s.equal('row 53: the place of the store is a symlink', (run['status']['phase'], run['status']['reason']), ('Failed', 'ArtifactStore'))
    s.equal('row 53: nothing is written through it', [f for _, _, f in os.walk(store + '.away')], [[]] * len(list(os.walk(store + '.away'))))
    if s.failed:
        print(i.logs())
s.end()
