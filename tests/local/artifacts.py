#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Artifacts on a local instance: what Runs leave is stored, described, refused where it must be, and goes with its Run."""
import hashlib, io, os, sys, tarfile
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
FINALIZER = 'kruntimes.io/artifact-cleanup'


def until(what, seconds=30):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.02)
    return what()


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

    # the same content gives the same bytes
    again = execute('same', 'sleep 1.1; ' + make)
    s.equal('deterministic', refs(again)['d']['digest'], d['digest'])

    # on failure too, of the last attempt only, and a first attempt leaves nothing
    run = execute('failing', 'echo $KRUNTIME_ATTEMPT > $KRUNTIME_ARTIFACTS_DIR/log; exit 3', retryPolicy={'maxAttempts': 3, 'backoff': '10ms'})
    s.equal('of a failure', (run['status']['phase'], run['status']['exitCode'], open(path(refs(run)['log'])).read()), ('Failed', 3, '3\n'))
    s.equal('of the last attempt', os.listdir(os.path.dirname(os.path.dirname(path(refs(run)['log'])))), ['3-' + run['status']['assignedPodUID'][:8]])
    run = execute('late', 'echo 1 > $KRUNTIME_ARTIFACTS_DIR/x; sleep 60', timeoutSeconds=1)
    s.equal('of a timeout', (run['status']['phase'], list(refs(run))), ('Timeout', ['x']))

    # row 49: nothing that isn't a plain file or folder, wherever it lies
    secret = os.path.join(i.state, 'kubeconfig')
    before = len(in_store())
    for name, script, said in (('link', 'ln -s %s l' % secret, '"l" is a symbolic link'), ('deep', 'mkdir d; ln -s / d/root', 'd: "root" is a symbolic link'),
                               ('fifo', 'mkfifo f', '"f" is a FIFO'), ('socket', 'python3 -c "import socket; socket.socket(1).bind(chr(115))"', '"s" is a socket'),
                               ('proc', 'mkdir d; ln -s /proc/self/environ d/e', 'symbolic link'),
                               ('control', 'touch "$(printf \'a\\033[2Jb\')"', 'control character'), ('bytes', 'touch "$(printf \'\\377\')"', 'not UTF-8'),
                               ('many', 'for n in $(seq 33); do : > $n; done', 'more than 32 artifacts'),
                               ('nested', 'p=.; for n in $(seq 70); do p=$p/d; done; mkdir -p $p', 'more than 64 deep'),
                               ('replaced', 'cd ..; rmdir artifacts; ln -s / artifacts', 'KRUNTIME_ARTIFACTS_DIR')):
        run = execute(name, 'cd $KRUNTIME_ARTIFACTS_DIR; %s; exit 0' % script)
        s.equal('row 49: %s: reason' % name, (run['status']['phase'], run['status']['reason'], refs(run)), ('Failed', 'ArtifactInvalid', {}))
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
    run = execute('brief', 'echo 1 > $KRUNTIME_ARTIFACTS_DIR/x; exit 1', ttlSecondsAfterFinished=0)
    s.check('by its TTL too', until(lambda: i.api.call('GET', RUNS + '/brief')[0] == 404))
    i.cli('run', 'delete', '--all')
    s.check('many at once', until(lambda: not i.api.call('GET', RUNS)[1]['items']), str(len(i.api.call('GET', RUNS)[1]['items'])))
    s.equal('the store is empty', in_store(), [])

    # a store that refuses (row 53): the Run says so; a clean-up that can't be done lets go, and an Event says what is left
    os.rename(store, store + '.away')
    os.symlink(store + '.away', store)
    run = execute('refused', 'echo 1 > $KRUNTIME_ARTIFACTS_DIR/x')
    s.equal('row 53: the place of the store is a symlink', (run['status']['phase'], run['status']['reason']), ('Failed', 'ArtifactStore'))
    s.equal('row 53: nothing is written through it', [f for _, _, f in os.walk(store + '.away')], [[]] * len(list(os.walk(store + '.away'))))
    if s.failed:
        print(i.logs())
s.end()
