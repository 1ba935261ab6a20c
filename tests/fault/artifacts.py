#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A filesystem store that refuses (row 53), and runtimed killed while it stores: a reason in words, nothing half visible."""
import os, shutil, signal, sys, tempfile, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()


until = within(30)


def visible(store):
    return sorted(os.path.join(d, f) for d, _, files in os.walk(store) for f in files)


# ---- the helper against disks that refuse, in a mount namespace of its own ------------------------------------------------

INSIDE = r'''
set -e
top=$1 binary=$2
mkdir -p $top/store $top/in
head -c 3000000 /dev/urandom >$top/in/big
echo 1 >$top/in/a
order() { printf '{"store":{"driver":"filesystem","filesystem":{"volumeClaimName":"c"}},"place":"%s","spool":"%s","prefix":"ns/uid/1-pod","maxBytes":1000000000,"again":%s,"folder":1}' "$top/store" "$top" "${1:-0}"; }
ask() { order $1 | "$binary" artifact-helper collect 3<$top/in; echo; }
mount -t tmpfs -o size=1m none $top/store
echo full; ask; find $top/store -type f
mount -o remount,size=8m $top/store
echo room; ask | cut -c1-8; find $top/store -type f | wc -l
mount -o remount,ro $top/store
echo ro; ask 1; find $top/store -type f | wc -l
umount $top/store
mount -t tmpfs -o size=8m,nr_inodes=5 none $top/store
echo inodes; ask; find $top/store -type f
if command -v strace >/dev/null; then
    umount $top/store; mount -t tmpfs none $top/store
    for inject in fsync:error=EIO:when=5+ write:error=EDQUOT:when=2 renameat:error=EIO; do
        order | strace -f -qq -o /dev/null -e trace=${inject%%:*} -e inject=$inject "$binary" artifact-helper collect 3<$top/in >$top/out 2>&1 || true
        echo "inject $inject"; head -c 300 $top/out; echo; find $top/store -type f
    done
fi
'''


def disks():
    top = tempfile.mkdtemp(prefix='kr-disk-')
    try:
        r = subprocess.run(['unshare', '-m', 'sh', '-c', INSIDE, 'sh', top, BINARY], capture_output=True, text=True)
        if 'unshare' in r.stderr or 'mount:' in r.stderr:
            s.skip('row 53', 'no mount namespaces here: ' + r.stderr.strip()[:100])
            return
        lines = r.stdout.split('\n')
        after = lambda word, n=1: lines[lines.index(word) + n] if word in lines else ''
        s.check('row 53: ENOSPC is told', '"ArtifactStore"' in after('full') and 'No space left' in after('full'), r.stdout + r.stderr)
        s.equal('row 53: ENOSPC leaves nothing', after('full', 2), 'room')
        s.equal('row 53: with room it goes', (after('room'), after('room', 2)), ('{"refs":', '2'))
        s.check('row 53: EROFS is told', '"ArtifactStore"' in after('ro') and 'Read-only' in after('ro'), after('ro'))
        s.equal('row 53: what was there stays', after('ro', 2), '2')
        s.check('row 53: no inodes', '"ArtifactStore"' in after('inodes') and 'No space left' in after('inodes'), after('inodes'))
        s.check('row 53: no inodes leave nothing', after('inodes', 2) == '' or after('inodes', 2).startswith('inject'), after('inodes', 2))
        injected = [l for l in lines if l.startswith('inject ')]
        if not injected:
            s.skip('row 53: EIO, EDQUOT', 'no strace here')
        for line in injected:
            s.check('row 53: ' + line, '"ArtifactStore"' in after(line), after(line))
            s.check('row 53: %s leaves nothing' % line, not after(line, 2).startswith('/'), after(line, 2))
    finally:
        shutil.rmtree(top, ignore_errors=True)


# ---- kills ------------------------------------------------------------------------------------------------------------------

def kills():
    """runtimed dies at some moment of the upload, again and again: the Run ends once, with its artifacts whole or none."""
    with instance() as i:
        store = os.path.join(i.state, 'volumes', 'default', 'artifacts')
        for n in range(6):
            name = 'killed%d' % n
            i.api.call('POST', RUNS, run_object(name, ['cd $KRUNTIME_ARTIFACTS_DIR; head -c 20000000 /dev/urandom > a; head -c 20000000 /dev/urandom > b; echo 3 > c']), retry=True)
            uid = i.api.call('GET', RUNS + '/' + name)[1]['metadata']['uid']
            folder = os.path.join(store, 'default', uid)
            begun = (lambda: visible(folder)) if n % 2 else (lambda: i.api.call('GET', RUNS + '/' + name)[1]['metadata'].get('finalizers'))
            until(begun)
            for pid in i.pids('runtimed'):
                os.kill(pid, signal.SIGKILL)
            run = i.wait({name})[name]
            refs = {r['name']: r for r in run['status'].get('artifactRefs', [])}
            s.equal('kill %d: it ends with all of it' % n, (run['status']['phase'], sorted(refs)), ('Succeeded', ['a', 'b', 'c']))
            s.equal('kill %d: nothing else is there' % n, visible(folder), sorted(os.path.join(store, r['location']['filesystem']['path']) for r in refs.values())
                    + sorted(os.path.join(folder, 'logs', f) for f in (os.listdir(folder + '/logs') if os.path.exists(folder + '/logs') else [])))
        i.cli('run', 'delete', '--all')
        s.check('all goes', until(lambda: not visible(store)), str(visible(store)))
        if s.failed:
            print(i.logs())


disks()
kills()
s.end()
