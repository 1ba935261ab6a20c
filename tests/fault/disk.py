#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that is full refuses writes and loses nothing; a value that was damaged is told; a store that is cut short under the server ends it."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()


def config(name):
    return {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': name}, 'data': {'x': 'y' * 200000}}


def start(state, port='0'):
    p = subprocess.Popen([BINARY, 'apiserver', '--state-dir', state, '--port', port], stderr=subprocess.PIPE, text=True)
    line = p.stderr.readline()
    return p, (Api(os.path.join(state, 'kubeconfig')) if 'ready' in line else None), line


def stop(p):
    p.terminate()
    p.communicate(timeout=30)


MAPS = '/api/v1/namespaces/default/configmaps'
top = tempfile.mkdtemp(prefix='kr-disk-')
small = os.path.join(top, 'small')
os.mkdir(small)
mounted = os.geteuid() == 0 and subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=4m', 'none', small], capture_output=True).returncode == 0
if mounted:
    try:
        os.mkdir(os.path.join(small, 'state'), 0o700)
        p, api, line = start(os.path.join(small, 'state'))
        kept, refused = [], None
        for n in range(100):
            status, answer = api.call('POST', MAPS, config('c%d' % n))
            if status != 201:
                refused = (status, answer.get('reason'))
                break
            kept.append('c%d' % n)
        s.equal('full: the write is refused', refused, (507, 'InsufficientStorage'))
        s.check('full: something was written before', len(kept) > 2, str(len(kept)))
        names = [i['metadata']['name'] for i in api.call('GET', MAPS)[1]['items'] if i['metadata']['name'] != 'kube-root-ca.crt']
        s.equal('full: reading goes on, nothing acknowledged is lost', sorted(names), sorted(kept))
        beside = []                                   # one turn of the server: a write that fails, a list and a watch
        for path in (MAPS, MAPS + '?watch=1&timeoutSeconds=1'):
            c = api.open()
            c.connect()
            beside.append((path, c))
        os.kill(p.pid, signal.SIGSTOP)
        writer = api.connection
        writer.request('POST', MAPS, json.dumps(config('beside')), api.headers)
        for path, c in beside:
            c.request('GET', path, headers=api.headers)
        os.kill(p.pid, signal.SIGCONT)
        with writer.getresponse() as answer:
            answer.read()
        s.equal('full: a write in the same turn', answer.status, 507)
        s.equal('full: who reads or watches beside it is answered', [c.getresponse().status for path, c in beside], [200, 200])
        s.equal('full: deleting makes room', api.call('DELETE', MAPS + '/c0')[0] in (200, 507), True)
        port = api.port
        stop(p)
        p, api, line = start(os.path.join(small, 'state'), port)
        if s.check('full: it starts again', api is not None, line):
            names = [i['metadata']['name'] for i in api.call('GET', MAPS)[1]['items'] if i['metadata']['name'] != 'kube-root-ca.crt']
            s.check('full: all of it is still there', set(kept) - {'c0'} <= set(names), str(names))
        stop(p)
    finally:
        subprocess.run(['umount', '-l', small])
else:
    s.skip('full disk', 'a small file system can be mounted by root only')

# the store's file is cut short under the running server: what is gone can't be read, and is never made up
def answer_of(api, method, path, body=None):
    """Status and answer, or None when the connection went."""
    try:
        return api.call(method, path, body)
    except (OSError, http.client.HTTPException, ValueError):
        return None


for name, part in (('to a page', 0), ('to a half', 0.5), ('by the last pages', 0.97)):
    for first in ('GET', 'LIST', 'POST'):
        what = 'cut %s, then %s: ' % (name, first)
        state = os.path.join(top, 'cut-%s-%s' % (part, first))
        p, api, line = start(state)
        objects = {'c%02d' % n: api.call('POST', MAPS, config('c%02d' % n))[1] for n in range(20)}
        path = os.path.join(state, 'store.mdb')
        used = len(open(path, 'rb').read().rstrip(b'\0'))          # while it is open, zeros lie ahead of what is in it
        os.truncate(path, max(4096, int(used * part) // 4096 * 4096))
        wrong = []
        if first == 'LIST':
            got = answer_of(api, 'GET', MAPS)
            if got and got[0] == 200:
                wrong += [i['metadata']['name'] for i in got[1]['items'] if i['metadata']['name'] in objects and i['data'] != objects[i['metadata']['name']]['data']]
                wrong += ['%d objects' % len(got[1]['items'])] * (len(got[1]['items']) != 21)
        if first == 'POST':
            got = answer_of(api, 'POST', MAPS, config('late'))
            s.check(what + 'it is refused, or the server ends', not got or got[0] >= 500 or part > 0.9, str(got)[:300])
        for n, o in objects.items():
            got = answer_of(api, 'GET', MAPS + '/' + n)
            if got and not (got[0] >= 500 or (got[0] == 200 and got[1]['data'] == o['data'] and got[1]['metadata']['uid'] == o['metadata']['uid'])):
                wrong.append((n, str(got)[:200]))
        s.equal(what + 'nothing wrong is served', wrong, [])
        try:
            said = p.communicate(timeout=30)[1]
        except subprocess.TimeoutExpired:
            stop(p)
            said = 'it goes on'
        s.check(what + 'the server ends with a word', p.returncode == 74 and said.endswith("the store's file can't be read any more (cut short, or the disk failed): stopped\n"), '%s %s' % (p.returncode, said[-500:]))
        q = subprocess.run([BINARY, 'apiserver', '--state-dir', state, '--port', '0'], capture_output=True, text=True, timeout=60)
        s.check(what + 'it does not start again on that', q.returncode not in (0, -11, -7) and 'store.mdb' in q.stderr, '%s %s' % (q.returncode, q.stderr[-500:]))

# a damaged value
state = os.path.join(top, 'state')
p, api, line = start(state)
api.call('POST', MAPS, {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'good'}, 'data': {'k': 'sound'}})
api.call('POST', MAPS, {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'hurt'}, 'data': {'k': 'marker-of-damage'}})
stop(p)
path = os.path.join(state, 'store.mdb')
data = open(path, 'rb').read()
with open(path, 'r+b') as f:
    at = -1
    while (at := data.find(b'marker-of-damage', at + 1)) >= 0:
        f.seek(at)
        f.write(b'M')
p, api, line = start(state)
status, answer = api.call('GET', MAPS + '/hurt')
s.check('damage: told by name', status == 500 and 'hurt' in answer['message'] and 'checksum' in answer['message'], str(answer))
s.equal('damage: the rest is served', api.call('GET', MAPS + '/good')[0], 200)
q = subprocess.run([BINARY, 'apiserver', '--state-dir', state, '--port', '0'], capture_output=True, text=True, timeout=30)
s.check('a second server on one store', q.returncode and 'in use by another API server' in q.stderr, q.stderr)
stop(p)
shutil.rmtree(top, ignore_errors=True)
s.end()
