#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Backup while objects are written, restore, the same objects; damaged files are refused; a watch goes on after a restart."""
import os, stat, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
MAPS = '/api/v1/namespaces/default/configmaps'


def objects(api):
    """Everything we made, as it is."""
    return {i['metadata']['name']: i for i in api.call('GET', MAPS)[1]['items'] if i['metadata']['name'].startswith('m')}


def make(api, name, size=10):
    return api.call('POST', MAPS, {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': name}, 'data': {'x': 'ü"\n' + 'y' * size}})


with instance() as i:
    file = os.path.join(i.dir, 'one.backup')
    for n in range(40):
        make(i.api, 'm%02d' % n, 80000)                 # more than a page
    before = objects(i.api)
    stop = threading.Event()

    def load():
        api, n = Api(os.path.join(i.state, 'kubeconfig')), 0
        while not stop.is_set():
            make(api, 'z%d' % n)
            api.call('PATCH', MAPS + '/z%d' % n, {'data': {'x': str(n)}}, 'application/merge-patch+json')
            n += 1
    t = threading.Thread(target=load)
    t.start()
    made = i.cli('local', 'backup', file)
    stop.set()
    t.join()
    s.check('backup under load', made.returncode == 0 and 'objects at revision' in made.stdout, made.stdout + made.stderr)
    s.equal('only the owner may read it', stat.S_IMODE(os.stat(file).st_mode), 0o600)
    again = i.cli('local', 'backup', file)
    s.check('a file that is there is not written over', again.returncode != 0 and 'is there already' in again.stderr, again.stderr)
    s.check('not while it is up', 'is up' in i.cli('local', 'restore', file).stderr)

    i.api.call('DELETE', MAPS + '/m00')
    i.api.call('PATCH', MAPS + '/m01', {'data': {'x': 'changed'}}, 'application/merge-patch+json')
    last = int(i.api.call('GET', MAPS)[1]['metadata']['resourceVersion'])
    i.cli('local', 'down')
    for what, change in (('cut', lambda b: b[:len(b) // 2]), ('without its end', lambda b: b[:b.rstrip(b'\n').rindex(b'\n') + 1]),
                         ('a flipped bit', lambda b: b.replace(b'yyyy', b'yyxy', 1)), ('empty', lambda b: b'')):
        bad = os.path.join(i.dir, 'bad.backup')
        open(bad, 'wb').write(change(open(file, 'rb').read()))
        store = open(os.path.join(i.state, 'store.mdb'), 'rb').read()
        done = i.cli('local', 'restore', bad)
        s.check('refused: ' + what, done.returncode != 0 and 'backup' in done.stderr, done.stderr)
        s.check('nothing is changed by it: ' + what, open(os.path.join(i.state, 'store.mdb'), 'rb').read() == store)
    done = i.cli('local', 'restore', file)
    s.check('restored', done.returncode == 0, done.stderr)
    s.check('the old store is kept', os.path.exists(os.path.join(i.state, 'store.mdb.before-restore')))
    i.up()
    s.check('the same objects', objects(i.api) == before)
    now = int(i.api.call('GET', MAPS)[1]['metadata']['resourceVersion'])
    s.check('revisions go on behind what clients saw', now > last, '%d after %d' % (now, last))
    first = next(i.api.watch(MAPS + '?watch=1&timeoutSeconds=5&resourceVersion=%d' % last))
    s.equal('a watch from before is told to list again', (first['type'], first['object'].get('code')), ('ERROR', 410))

    make(i.api, 'before')
    i.kill('apiserver')
    status, answer = i.api.call('GET', MAPS, retry=True)
    events = [e['object']['metadata']['name'] for e in i.api.watch(MAPS + '?watch=1&timeoutSeconds=1&resourceVersion=%d' % now)]
    s.equal('a watch goes on where it was before a kill', [n for n in events if n == 'before'], ['before'])
s.end()
