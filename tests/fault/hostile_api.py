#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Hostile and unusual requests to the embedded API server, each row by its number: what must happen, within which memory and
processor time (the process's own, so that a busy machine changes nothing).

  tests/fault/hostile_api.py [ROW…]
"""
import base64, contextlib, hashlib, http.client, os, random, selectors, socket, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
CORE = '/api/v1/namespaces/default/'
MAPS = CORE + 'configmaps'
RBAC = '/apis/rbac.authorization.k8s.io/v1/'
MERGE, JSONP, STRATEGIC, APPLY = ['application/%s+%s' % x for x in (('merge-patch', 'json'), ('json-patch', 'json'), ('strategic-merge-patch', 'json'), ('apply-patch', 'yaml'))]


class Server:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='kr-hostile-')
        self.start('0')

    def start(self, port):
        self.p = subprocess.Popen([BINARY, 'apiserver', '--state-dir', self.dir, '--port', port], stderr=subprocess.PIPE, text=True)
        line = self.p.stderr.readline()
        if 'ready' not in line:
            raise SystemExit('the API server did not start: ' + line)
        threading.Thread(target=self.p.stderr.read, daemon=True).start()
        self.api = Api(os.path.join(self.dir, 'kubeconfig'))

    def memory(self):
        """MiB that are its own: pages of the store's mapped file aren't."""
        return int(re.search(r'^RssAnon:\s*(\d+)', open('/proc/%d/status' % self.p.pid).read(), re.M).group(1)) / 1024

    def cpu(self):
        """Seconds on a processor; it has one thread."""
        return int(open('/proc/%d/schedstat' % self.p.pid).read().split()[0]) / 1e9

    def end(self):
        self.p.terminate()
        code = self.p.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
        return code


def config(name, data=None, **meta):
    return {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': dict(meta, name=name), 'data': data or {'k': 'v'}}


class Row:
    """One row: a name for its checks, and bounds on what it may cost the server."""
    def __init__(self, number, cpu=None, memory=None):
        self.number, self.limits = number, (cpu, memory)

    def __enter__(self):
        self.before = server.cpu(), server.memory()
        return self

    def __exit__(self, kind, *rest):
        if kind:
            return
        cpu, memory = server.cpu() - self.before[0], server.memory() - self.before[1]
        self.check('it lives', server.p.poll() is None and server.api.call('GET', '/readyz2')[0] == 404)
        if self.limits[0]:
            self.check('processor time', cpu <= self.limits[0], '%.2f s, at most %.2f' % (cpu, self.limits[0]))
        if self.limits[1]:
            self.check('memory', memory <= self.limits[1], '%.1f MiB more, at most %.1f' % (memory, self.limits[1]))

    def check(self, what, ok, detail=''):
        return s.check('row %s: %s' % (self.number, what), ok, detail)

    def equal(self, what, got, want):
        return s.equal('row %s: %s' % (self.number, what), got, want)

    def says(self, what, answer, status, pattern='', reason=None):
        """The status, and words of the message."""
        got, body = answer
        return self.check(what, got == status and (not pattern or re.search(pattern, body.get('message', ''))) and (reason is None or body.get('reason') == reason),
                          '%s %s' % (got, json.dumps(body)[:400]))


def send(method, path, data, type=None, api=None, headers=None):
    """Raw bytes as a body; status, answer and headers."""
    api = api or server.api
    c = api.open()
    try:
        try:
            c.request(method, path, data, dict(api.headers, **({'Content-Type': type} if type else {}), **(headers or {})))
        except OSError:
            pass                                                  # the answer may have come before all was sent
        r = c.getresponse()
        text = r.read()
        return r.status, json.loads(text) if r.headers['content-type'] == 'application/json' else {}, r.headers
    except (OSError, http.client.HTTPException):
        return 'closed', {}, {}
    finally:
        c.close()


def state():
    """All objects as they are, and the revision."""
    after, items = '', []
    while True:
        answer = server.api.call('GET', '/kruntimes/backup?after=' + after)[1]
        items += [(i['key'], i['revision'], i['crc']) for i in answer['items']]
        if 'after' not in answer:
            return answer['revision'], hashlib.sha256(repr(items).encode()).hexdigest()
        after = answer['after'].replace('/', '%2F')


def row_22():
    cases = [('nested 10,000 deep', b'[' * 10000 + b']' * 10000), ('a deep object', b'{"a":' * 10000 + b'1' + b'}' * 10000), ('1e400', b'{"a":1e400}'),
             ('NaN', b'{"a":NaN}'), ('Infinity', b'{"a":Infinity}'), ('trailing garbage', json.dumps(config('x')).encode() + b'garbage'),
             ('two documents', json.dumps(config('x')).encode() * 2), ('a byte order mark', b'\xef\xbb\xbf' + json.dumps(config('x')).encode()),
             ('bad UTF-8', b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"k":"\xff"}}'), ('cut short', b'{"apiVersion":"v1"'),
             ('nothing', b''), ('a NUL', b'\0'), ('a control character in a string', b'{"a":"\x01"}'), ('a bad escape', b'{"a":"\\x41"}')]
    with Row(22, cpu=0.5, memory=16) as r:
        for name, body in cases:
            r.says(name, send('POST', MAPS, body)[:2], 400)
        text = json.dumps(run_object('n', ['x'], priority=1)).replace('"priority": 1', '"priority": %s')
        for number in ('12345678901234567890', '-9223372036854775809', '1e19', '1.5'):
            status, answer, _ = send('POST', RUNS, (text % number).encode())
            r.check('priority %s' % number, status in (400, 422), '%d %s' % (status, answer.get('message')))
        half = send('POST', MAPS, b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"half"},"data":{"k":"\\ud800"}}')
        r.equal('half of a surrogate pair is the replacement character, as Go reads it', (half[0], half[1]['data']), (201, {'k': '\ufffd'}))
        twice = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{"k":"1"},"data":{"k":"2"}}'
        status, answer, headers = send('POST', MAPS, twice)
        r.equal('duplicate keys: the last one wins, with a warning', (status, answer.get('data'), r'duplicate field \"data\"' in str(headers.get('warning'))), (201, {'k': '2'}, True))
        r.says('duplicate keys, strict', send('POST', MAPS + '?fieldValidation=Strict', twice.replace(b'twice', b'strict'))[:2], 400, 'duplicate field "data"')
        r.equal('the same of our kinds, strict', send('POST', RUNS + '?fieldValidation=Strict', json.dumps(run_object('n', ['x'])).replace('"runtime"', '"runtime": "a", "runtime"').encode())[0], 400)


def row_23():
    head = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\n'
    laughs = 'a: &a [x,x,x,x,x,x,x,x,x,x]\n' + ''.join('%s: &%s [%s]\n' % (c, c, ','.join(['*' + p] * 10)) for p, c in zip('abcdefghijklmno', 'bcdefghijklmnop'))
    merges = 'a: &a {k: v}\n' + ''.join('%s: &%s {<<: [%s]}\n' % (c, c, ', '.join(['*' + p] * 10)) for p, c in zip('abcdefghijklmno', 'bcdefghijklmnop'))
    cases = [('billion laughs', laughs), ('merge keys by the billion', merges), ('flow a million deep', head + 'data: ' + '[' * 1000000), ('block 1,500 deep', ''.join(' ' * n + 'a:\n' for n in range(1500))),
             ('an alias within its anchor', head + 'data: &a {k: *a}\n'), ('an unknown alias', head + 'data: *b\n'), ('tabs', 'apiVersion: v1\n\tkind: x\n'),
             ('two documents', head + '---\n' + head), ('none', '# nothing\n'), ('a scalar', 'x'), ('bad UTF-8', head.encode() + b'data: {k: "\xff"}\n'), ('a NUL', head + 'data: {k: "a\0b"}\n')]
    for name, text in cases:
        with Row(23, cpu=0.05, memory=64) as r:
            status, answer, _ = send('PATCH', MAPS + '/y?fieldManager=m', text if isinstance(text, bytes) else text.encode(), APPLY)
            r.check(name, status in (400, 413) and answer.get('kind') == 'Status', '%d %s' % (status, str(answer)[:300]))
    with Row(23) as r:
        status, answer, _ = send('PATCH', MAPS + '/y?fieldManager=m', (head + 'data: {bin: !!binary "aGk=", "yes": "on", n: !!str 1}\n').encode(), APPLY)
        r.check('tags: taken as text or refused', (status == 201 and set(answer['data']) <= {'bin', 'yes', 'n'}) or status == 400, '%d %s' % (status, str(answer)[:300]))


def row_24():
    with Row(24, cpu=2, memory=32) as r:
        status, answer, _ = send('POST', MAPS, b' ' * (3145728 + 1))
        r.says('3 MiB and a byte', (status, answer), 413, reason='RequestEntityTooLarge')
        c = server.api.open()                                     # a body without an end: told before it is all here
        c.putrequest('POST', MAPS)
        for k, v in dict(server.api.headers, **{'Transfer-Encoding': 'chunked'}).items():
            c.putheader(k, v)
        c.endheaders()
        sent, chunk = 0, b'10000\r\n' + b' ' * 65536 + b'\r\n'
        try:
            while sent < 64 << 20:
                c.send(chunk)
                sent += 65536
        except OSError:
            pass
        try:
            status = c.getresponse().status
        except (OSError, http.client.HTTPException):
            status = 'closed'
        r.check('chunks without end', status in (413, 'closed') and sent < 64 << 20, '%s after %d bytes' % (status, sent))
        raw = server.api.open()                                   # says more than comes, then goes
        raw.putrequest('POST', MAPS)
        for k, v in dict(server.api.headers, **{'Content-Length': '1000'}).items():
            raw.putheader(k, v)
        raw.endheaders()
        raw.send(b'{"apiVersion"')
        raw.close()
        raw = server.api.open()                                   # more than was said: the rest is no request
        raw.connect()
        body = json.dumps(config('short')).encode()
        raw.sock.sendall(b'POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s garbage\r\n\r\n' % (
            MAPS.encode(), server.api.headers['Authorization'].encode(), len(body), body))
        text = b''
        while chunk := raw.sock.recv(65536):
            text += chunk
        r.check('more bytes than it said', text.startswith(b'HTTP/1.1 201') and b'HTTP/1.1 400' in text, repr(text[:200]))
    nobody = server.api.as_user({'Content-Type': 'application/json'})
    with Row(24, memory=16) as r:                                 # who may not write is told so by his head, however much he would send
        for what, api, method, body, want in (('a body that nobody may send', nobody, 'POST', b' ' * 3000000, (403, 'closed')), ('a small one', nobody, 'POST', b' ' * 16384, (403,)),
                                              ('a GET with a body', server.api, 'GET', b' ' * 16384, (200,)), ('a GET with a large one', server.api, 'GET', b' ' * 3000000, (413, 'closed'))):
            status, _, _ = send(method, MAPS, body, api=api)
            r.check(what, status in want, str(status))
        held = []
        for _ in range(24):                                       # they stand there, all but their last byte sent
            raw = nobody.open()
            raw.connect()
            raw.sock.sendall(b'POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3000000\r\n\r\n' % MAPS.encode())
            with contextlib.suppress(OSError):
                raw.sock.sendall(b' ' * 2999999)
            held.append(raw)
        r.check('bodies of nobody are not kept', server.memory() - r.before[1] < 16, '%.1f MiB more' % (server.memory() - r.before[1]))
        for raw in held:
            raw.close()
    for name, field, begin in (('nothing of what it said', 'Content-Length: 1000', b''), ('only its beginning', 'Content-Length: 1000', b'{"apiVersion":'),
                               ('half a chunk', 'Transfer-Encoding: chunked', b'10\r\n{"api'), ('no last chunk', 'Transfer-Encoding: chunked', b'2\r\n{}\r\n')):
        raw = server.api.open()                                   # the rest never comes
        raw.connect()
        raw.sock.sendall(('POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: application/json\r\n%s\r\n\r\n' % (
            MAPS, server.api.headers['Authorization'], field)).encode() + begin)
        later.append((24, 'a body of which there is ' + name, raw, lambda text: text.startswith(b'HTTP/1.1 408 ') and b'\r\nconnection: close\r\n' in text.lower()))


def settle():
    """Connections that the server is to give up by itself, after its minute, while other rows go on."""
    for number, name, connection, good in later:
        connection.sock.settimeout(DEADLINE + 60)
        try:
            text = b''.join(iter(lambda: connection.sock.recv(65536), b''))
        except OSError as e:
            text = repr(e).encode()
        s.check('row %d: %s' % (number, name), good(text), repr(text[:300]))
    s.check('it lives', server.p.poll() is None and server.api.call('GET', '/readyz2')[0] == 404)


def row_25():
    with Row(25, memory=64) as r:
        server.api.call('POST', MAPS, config('large', {'k': 'x' * 1000000}))
        before = server.api.call('GET', MAPS + '/large')[1]
        for name, type, patch in (('merge', MERGE, {'data': {'l': 'y' * 700000}}), ('JSON', JSONP, [{'op': 'add', 'path': '/data/l', 'value': 'y' * 700000}]),
                                  ('copies', JSONP, [{'op': 'copy', 'from': '/data/k', 'path': '/data/l'}]), ('strategic', STRATEGIC, {'data': {'l': 'y' * 700000}})):
            r.says('a %s patch beyond 1.5 MiB' % name, server.api.call('PATCH', MAPS + '/large', patch, type), 413, 'too large')
        r.says('a PUT', server.api.call('PUT', MAPS + '/large', dict(before, data={'k': 'x' * 1600000})), 413, 'too large')
        r.equal('the old one is untouched', server.api.call('GET', MAPS + '/large')[1], before)
        server.api.call('DELETE', MAPS + '/large')


def row_26():
    with Row(26) as r:
        before = state()
        files = sorted(os.listdir(server.dir))
        for name, field in (('..', 'metadata.name'), ('a/b', 'metadata.name'), ('a' * 254, 'metadata.name'), ('Upper', 'metadata.name'), ('a%2fb', 'metadata.name'), ('ünï', 'metadata.name'),
                            ('a b', 'metadata.name'), ('-a', 'metadata.name'), ('a\0b', 'metadata.name'), ('.', 'metadata.name')):
            status, answer = server.api.call('POST', MAPS, config(name))
            r.check('name %r' % name[:20], status == 422 and [c['field'] for c in answer['details']['causes']] == [field], '%d %s' % (status, str(answer)[:200]))
        r.says('no name', server.api.call('POST', MAPS, config('')), 422, 'metadata.name: Required value: name or generateName is required')
        for path in ('/..', '/%2e%2e', '/a%2fb', '/a%00b', '/../../secrets', '//', '/a/b/c', '/%zz', '/' + 'a' * 8000):
            status, answer, _ = send('GET', MAPS + path, None)
            r.check('path %s' % path[:20], status in (400, 404), '%d' % status)
        r.equal('no object was made', state(), before)
        r.equal('no file was made', sorted(os.listdir(server.dir)), files)


def row_27():
    server.api.call('POST', MAPS, config('p', {'a': '1', 'b': '2'}))
    server.api.call('POST', RUNS, run_object('p', ['x']))
    before = server.api.call('GET', MAPS + '/p')[1]
    patch = lambda ops, path=MAPS + '/p', type=JSONP: server.api.call('PATCH', path, ops, type)
    with Row(27, cpu=2, memory=64) as r:
        status, _, _ = send('PATCH', MAPS + '/p', b'[' + b','.join([b'{"op":"test","path":"/a"}'] * 1000000) + b']', JSONP)
        r.check('a million operations', status in (413, 'closed'), str(status))
        r.says('10,001 operations', patch([{'op': 'test', 'path': '/data/a', 'value': '1'}] * 10001), 413, 'maximum operations in a JSON patch is 10000, got 10001')
        r.equal('10,000 operations', patch([{'op': 'test', 'path': '/data/a', 'value': '1'}] * 10000)[0], 200)
        bomb = [{'op': 'add', 'path': '/data/x0', 'value': 'x' * 1000}] + [{'op': 'copy', 'from': '/data', 'path': '/data/x%d' % n} for n in range(1, 60)]
        status, answer = patch(bomb)
        r.check('copies that double', status in (413, 422), '%d %s' % (status, answer.get('message')))
    with Row(27) as r:
        for name, ops, want in (('an index below 0', [{'op': 'add', 'path': '/metadata/finalizers', 'value': ['a/b']}, {'op': 'add', 'path': '/metadata/finalizers/-1', 'value': 'c/d'}], 422),
                                ('an index that is none', [{'op': 'add', 'path': '/data/a/-', 'value': 'x'}], 422), ('a leading zero', [{'op': 'add', 'path': '/metadata/finalizers/00', 'value': 'x'}], 422),
                                ('a path that is not there', [{'op': 'replace', 'path': '/data/none', 'value': 'x'}], 422), ('no such operation', [{'op': 'jump', 'path': '/data/a'}], 422),
                                ('a test that fails half way', [{'op': 'replace', 'path': '/data/a', 'value': '9'}, {'op': 'test', 'path': '/data/b', 'value': 'no'}, {'op': 'remove', 'path': '/data/b'}], 422),
                                ('an object, no list', {'op': 'add'}, 400)):
            status, answer = patch(ops)
            r.check(name, status in (want, 400), '%d %s' % (status, answer.get('message')))
        r.equal('nothing of all this was written', server.api.call('GET', MAPS + '/p')[1], before)
        status, answer = patch({'spec': {'priority': 1}}, RUNS + '/p', STRATEGIC)
        r.says('a strategic merge patch on a custom resource', (status, answer), 415, 'unknown format.*application/json-patch\\+json', 'UnsupportedMediaType')
        r.equal('null removes', patch({'data': {'a': None}}, type=MERGE)[1]['data'], {'b': '2'})
        r.equal('null of what is not there', patch({'data': {'none': None}}, type=MERGE)[1]['data'], {'b': '2'})
        r.says('a patch that is no object', patch([1], type=MERGE), 400)
    with Row(27, cpu=4) as r:      # what comes in another order than it stands there is found without a look at each for each
        keys, pods = ['%x' % n for n in range(20000)], CORE + 'pods'
        containers = lambda image, order=1: {'spec': {'containers': [{'name': 'c%d' % n, 'image': image} for n in range(6000)][::order]}}
        r.equal('many keys', server.api.call('POST', MAPS, config('wide', dict.fromkeys(keys, 'a')))[0], 201)
        for type in (MERGE, STRATEGIC):
            r.equal('many keys, backwards, ' + type, patch({'data': dict.fromkeys(keys[::-1], type)}, MAPS + '/wide', type)[1]['data'].get(keys[7]), type)
        r.equal('many items', server.api.call('POST', pods, dict(containers('a'), apiVersion='v1', kind='Pod', metadata={'name': 'long'}))[0], 201)
        r.equal('many items, backwards', patch(containers('b', -1), pods + '/long', STRATEGIC)[1]['spec']['containers'][7]['image'], 'b')
        r.equal('it goes', server.api.call('DELETE', pods + '/long?gracePeriodSeconds=0')[0], 200)


def row_28():
    with Row(28, cpu=1) as r:
        made = server.api.call('POST', MAPS, config('rv'))[1]
        now = server.api.call('PUT', MAPS + '/rv', dict(made, data={'k': 'w'}))[1]
        r.says('a stale PUT', server.api.call('PUT', MAPS + '/rv', made), 409, 'the object has been modified; please apply your changes to the latest version', 'Conflict')
        r.equal('a PUT without a version', server.api.call('PUT', MAPS + '/rv', config('rv', {'k': 'x'}))[0], 200)
        zero = dict(now, data={'k': 'z'}, metadata=dict(now['metadata'], resourceVersion='0'))
        r.equal('a PUT with "0"', server.api.call('PUT', MAPS + '/rv', zero)[0], 200)
        r.says('resourceVersion on a create', server.api.call('POST', MAPS, config('rv2', resourceVersion='5')), 400, 'resourceVersion should not be set on objects to be created', 'BadRequest')
        for rv in ('x', '-1', '1.5', '99999999999999999999'):
            r.says('resourceVersion=%s' % rv, server.api.call('GET', MAPS + '?resourceVersion=' + rv), 400, 'resourceVersion: Invalid value')
        newest = int(server.api.call('GET', MAPS)[1]['metadata']['resourceVersion'])
        for path in (MAPS, MAPS + '/rv'):
            status, answer, headers = send('GET', path + '?resourceVersion=%d' % (newest + 1000), None)
            r.check('a future version', (status, answer.get('reason'), answer['details']['causes'][0]['reason']) == (504, 'Timeout', 'ResourceVersionTooLarge')
                    and answer['message'].startswith('Too large resource version: %d, current: ' % (newest + 1000)) and headers['retry-after'] == '1', '%d %s' % (status, answer))
        later = []                                                # one that comes to be is waited for
        t = threading.Thread(target=lambda: later.append(send('GET', MAPS + '/rv?resourceVersion=%d' % (newest + 1), None)[0]))
        t.start()
        server.api.call('POST', MAPS, config('rv3'))
        t.join()
        r.equal('a future version that comes', later, [200])
        for rv in ('', '0', str(newest)):
            r.equal('a list at "%s"' % rv, server.api.call('GET', MAPS + '?resourceVersion=' + rv)[0], 200)
        exact = server.api.call('GET', MAPS + '?resourceVersion=%s&resourceVersionMatch=Exact' % made['metadata']['resourceVersion'])[1]
        r.equal('exactly as it was', [i['data'] for i in exact['items'] if i['metadata']['name'] == 'rv'], [{'k': 'v'}])


def row_29():
    with Row(29, memory=96) as r:
        first = server.api.call('POST', MAPS, config('old'))[1]['metadata']['resourceVersion']
        for n in range(3):
            server.api.call('POST', MAPS, config('page%d' % n))
        page = server.api.call('GET', MAPS + '?limit=2')[1]
        token = page['metadata']['continue']
        r.equal('a token that is whole', server.api.call('GET', MAPS + '?limit=2&continue=' + token)[0], 200)
        for name, bad in (('no base64', 'x%21'), ('another kind', None), ('the future', 'OTk5OTk5OTk5IGNvbmZpZ21hcHMuL2RlZmF1bHQvYQ'), ('garbage', 'eHh4eHh4'),
                          ('longer than a key', base64.urlsafe_b64encode(b'1 configmaps./default/' + b'a' * 481).decode().rstrip('='))):
            path = MAPS + '?continue=' + bad if bad else CORE + 'secrets?continue=' + token
            r.says('a forged token: ' + name, server.api.call('GET', path), 400, 'continue key is not valid')
        n = 0
        while server.api.call('GET', MAPS + '?limit=2&continue=' + token)[0] == 200 and n < 400:      # the history holds 256 MiB
            server.api.call('PUT', MAPS + '/old', config('old', {'k': str(n) + 'x' * 1400000}))
            n += 1
        status, answer = server.api.call('GET', MAPS + '?limit=2&continue=' + token)
        r.says('an expired token', (status, answer), 410, 'The provided continue parameter is too old', 'Expired')
        rest = server.api.call('GET', MAPS + '?continue=' + answer['metadata']['continue'])
        r.check('its answer has a token for the rest', rest[0] == 200 and 'old' not in [i['metadata']['name'] for i in page['items'] if i in rest[1]['items']], str(rest)[:200])
        r.says('a list at a version that is gone', server.api.call('GET', MAPS + '?resourceVersion=%s&resourceVersionMatch=Exact' % first), 410, reason='Expired')
        events = list(server.api.watch(MAPS + '?watch=1&resourceVersion=' + first))
        r.equal('a watch from there is told in the stream', [(e['type'], e['object'].get('code'), e['object'].get('reason')) for e in events], [('ERROR', 410, 'Expired')])
        r.check('with the versions', re.match(r'too old resource version: %s \(\d+\)$' % first, events[0]['object']['message']), events[0]['object']['message'])
        server.api.call('DELETE', MAPS + '/old')


class Line:
    """A watch on a socket of its own that a selector reads."""
    def __init__(self, path):
        self.c = server.api.open()
        self.c.connect()
        self.c.sock.sendall(('GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n' % (path, server.api.headers['Authorization'])).encode())
        self.seen, self.ended, self.text = set(), False, b''

    def read(self):
        try:
            while chunk := self.c.sock.recv(65536):
                self.text += chunk
                *lines, self.text = self.text.split(b'\n')
                self.seen |= {m.group(1) for line in lines for m in [re.search(rb'"type":"ADDED".*?"name":"(small-\d+)"', line)] if m}
            self.ended = True
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        except OSError:
            self.ended = True


def row_30():
    many = 1000
    with Row(30, memory=160) as r:
        lines, sel = [], selectors.DefaultSelector()
        for n in range(many - 1):
            lines.append(Line(MAPS + '?watch=1&labelSelector=size%3Dsmall&resourceVersion=0'))
            lines[-1].c.sock.setblocking(False)
            sel.register(lines[-1].c.sock, selectors.EVENT_READ, lines[-1])
        stuck = Line(MAPS + '?watch=1&resourceVersion=' + server.api.call('GET', MAPS)[1]['metadata']['resourceVersion'])
        for n in range(60):
            server.api.call('POST', MAPS, config('big', {'k': 'x' * 1000000}))
            server.api.call('DELETE', MAPS + '/big')
            if n % 12 == 0:
                server.api.call('POST', MAPS, config('small-%d' % n, labels={'size': 'small'}))
        want, until = {b'small-%d' % n for n in range(0, 60, 12)}, time.monotonic() + 60
        while any(not want <= x.seen for x in lines) and time.monotonic() < until:
            for key, _ in sel.select(1):
                key.data.read()
        r.equal('%d others were told all' % len(lines), sum(want <= x.seen and not x.ended for x in lines), many - 1)
        stuck.c.sock.settimeout(30)
        stuck.text, got = b'', 0
        try:
            while chunk := stuck.c.sock.recv(1 << 20):
                got += len(chunk)
        except OSError:
            pass
        r.check('who never read was dropped', got < 60 << 20, '%d bytes' % got)
        for x in lines + [stuck]:
            x.c.close()


def forward(pod, ports):
    """A port-forward over a WebSocket with channels."""
    raw = socket.create_connection((server.api.host, int(server.api.port)), DEADLINE)
    sock = server.api.context.wrap_socket(raw, server_hostname=server.api.host)
    sock.sendall(('GET %spods/%s/portforward?ports=%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
                  'Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\nAuthorization: %s\r\n\r\n'
                  % (CORE, pod, ','.join(map(str, ports)), base64.b64encode(b'k' * 16).decode(), server.api.headers['Authorization'])).encode())
    return sock


def on_channel(channel, data):
    return b'\x82' + (bytes([0x80 | len(data) + 1]) if len(data) < 125 else b'\xff' + (len(data) + 1).to_bytes(8, 'big')) + b'\0\0\0\0' + bytes([channel]) + data


def row_30_forward():
    """Two ports: what waits for the one, whose pod ends without having taken it, holds the other back no longer."""
    pods = CORE + 'pods'
    server.api.call('POST', pods, {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'two'}, 'spec': {'containers': [{'name': 'c', 'image': 'x'}]}})
    server.api.call('PATCH', pods + '/two/status', {'status': {'podIP': '127.0.0.1'}}, MERGE)
    mute, other = socket.create_server(('127.0.0.1', 0)), socket.create_server(('127.0.0.1', 0))
    with Row('30, port-forward', memory=24) as r:
        sock = forward('two', [x.getsockname()[1] for x in (mute, other)])
        ends = [x.accept()[0] for x in (mute, other)]
        sent, block = 0, memoryview(on_channel(0, b'x' * 500000))
        sock.settimeout(2)
        try:
            while sent < 100 << 20:
                sock.sendall(block)
                sent += len(block)
        except TimeoutError:
            pass
        r.check('a client is held back', sent < 64 << 20, str(sent))
        ends[0].shutdown(socket.SHUT_WR)
        sock.settimeout(DEADLINE)
        ends[1].settimeout(DEADLINE)
        try:
            for data in [block] * 100 + [on_channel(2, b'hello')]:
                sock.sendall(data)                # the first one goes on where it stopped
            heard = ends[1].recv(100)
        except OSError as e:
            heard = e
        r.equal('and is read again: the other port hears him', heard, b'hello')
        for x in (sock, mute, other, *ends):
            x.close()
    server.api.call('DELETE', pods + '/two?gracePeriodSeconds=0')


def row_31():
    with Row(31, cpu=30, memory=32) as r:
        at = int(server.api.call('GET', MAPS)[1]['metadata']['resourceVersion'])
        stop, made = threading.Event(), []

        def write():
            api, n = Api(os.path.join(server.dir, 'kubeconfig')), 0
            while not stop.is_set():
                status, answer = api.call('PATCH', MAPS + '/moves?fieldManager=w', {'apiVersion': 'v1', 'kind': 'ConfigMap', 'data': {'n': str(n), 'pad': 'x' * (n % 7 * 3000)}}, APPLY)
                made.append((int(answer['metadata']['resourceVersion']), answer['data']['n']))
                n += 1
        t = threading.Thread(target=write)
        t.start()
        seen, rnd = [], random.Random(31)
        for n in range(1000):
            line = Line(MAPS + '?watch=1&fieldSelector=metadata.name%%3Dmoves&resourceVersion=%d' % at)
            line.c.sock.settimeout(30)
            text, enough = b'', rnd.choice((300, 900, 2500, 9000, 24000))             # the last is longer than any event: it moves on
            while len(text) < enough:                             # hangs up wherever it is: mid-line mostly
                text += line.c.sock.recv(enough - len(text))
            line.c.close()
            for x in re.findall(rb'^(\{"type".*\})\r?$', text, re.M):
                e = json.loads(x)
                at = int(e['object']['metadata']['resourceVersion'])
                seen.append((at, e['object']['data']['n']))
        stop.set()
        t.join()
        r.check('1,000 times cut off: nothing lost, twice or out of order', seen == made[:len(seen)] and len(seen) > 100, '%d of %d; first difference %s' % (
            len(seen), len(made), next((x for x in zip(seen, made) if x[0] != x[1]), None)))


def row_32():
    with Row(32, cpu=2, memory=32) as r:
        for text, ok in (('a in (b,c),,!x', False), ('a in (b,c),!x', True), ('a in ()', True), ('a=', True), ('a==b,c!=d', True), ('a in b', False), ('=b', False), ('a b', False), ('a in (b', False),
                         ('!', False), ('a>1', True), ('a>x', False), ('a' * 64, False), ('x/y/z=1', False), ('a=' + 'b' * 64, False), ('-a', False), (',', False), ('notin', True)):
            status, answer = server.api.call('GET', MAPS + '?labelSelector=' + ''.join('%%%02x' % b for b in text.encode()))
            r.check('labels "%s"' % text[:20], status == (200 if ok else 400), '%d %s' % (status, answer.get('message')))
        for path in ('labelSelector=', 'fieldSelector='):
            status, answer, _ = send('GET', MAPS + '?' + path + 'a%3Db%2C' * 12000, None)
            r.check('%s of 100 KB' % path, status in (400, 414, 'closed'), '%s' % status)
            body = '?' + path + 'a%3Db%2C' * 125000
            status = send('GET', MAPS + body, None)[0]
            r.check('%s of 1 MB' % path, status in (400, 414, 431, 'closed'), '%s' % status)
        r.says('an unknown field', server.api.call('GET', MAPS + '?fieldSelector=data.k%3Dv'), 400, 'field label not supported: data.k')
        r.says('a field selector that is none', server.api.call('GET', MAPS + '?fieldSelector=a'), 400, 'invalid field selector')
        r.equal('a field that is', server.api.call('GET', RUNS + '?fieldSelector=status.phase%21%3DSucceeded')[0], 200)


def row_33():
    with Row(33) as r:
        made = server.api.call('POST', MAPS, config('d', finalizers=['example.org/hold']))[1]
        options = lambda **o: dict({'kind': 'DeleteOptions', 'apiVersion': 'v1'}, **o)
        r.says('another UID', server.api.call('DELETE', MAPS + '/d', options(preconditions={'uid': 'x'})), 409, 'Precondition failed: UID in precondition: x, UID in object meta: ' + made['metadata']['uid'])
        r.says('another version', server.api.call('DELETE', MAPS + '/d', options(preconditions={'resourceVersion': '1'})), 409, 'Precondition failed: ResourceVersion in precondition: 1')
        r.equal('still there', server.api.call('GET', MAPS + '/d')[1], made)
        status, answer = server.api.call('DELETE', MAPS + '/d', options(preconditions={'uid': made['metadata']['uid']}))
        first = answer['metadata'].get('deletionTimestamp')
        r.check('held by a finalizer', status in (200, 202) and first and answer['metadata']['finalizers'] == ['example.org/hold'], '%d %s' % (status, answer))
        again = server.api.call('DELETE', MAPS + '/d')[1]
        r.equal('twice: nothing changes', again['metadata']['deletionTimestamp'], first)
        r.says('no finalizer is added now', server.api.call('PATCH', MAPS + '/d', {'metadata': {'finalizers': ['example.org/hold', 'example.org/more']}}, MERGE), 422, 'no new finalizers can be added if the object is being deleted')
        r.equal('the last finalizer goes, and so does it', (server.api.call('PATCH', MAPS + '/d', {'metadata': {'finalizers': None}}, MERGE)[0], server.api.call('GET', MAPS + '/d')[0]), (200, 404))
        r.says('what is gone', server.api.call('DELETE', MAPS + '/d'), 404, 'configmaps "d" not found')
        for policy in ('Sideways', 'background'):
            r.says('a policy that is none', server.api.call('DELETE', MAPS + '/kube-root-ca.crt?propagationPolicy=' + policy), 422, 'propagationPolicy: .*Foreground')
        r.says('two policies', server.api.call('DELETE', MAPS + '/kube-root-ca.crt', options(orphanDependents=True, propagationPolicy='Orphan')), 422, 'cannot be both set')
        for policy, left in (('Background', False), ('Foreground', False), ('Orphan', True)):
            owner = server.api.call('POST', MAPS, config('owner'))[1]
            ref = {'apiVersion': 'v1', 'kind': 'ConfigMap', 'name': 'owner', 'uid': owner['metadata']['uid'], 'blockOwnerDeletion': True}
            server.api.call('POST', MAPS, config('owned', ownerReferences=[ref]))
            server.api.call('DELETE', MAPS + '/owner', options(propagationPolicy=policy))
            until = time.monotonic() + 30
            while time.monotonic() < until:
                states = [server.api.call('GET', MAPS + '/' + n) for n in ('owner', 'owned')]
                if states[0][0] == 404 and (states[1][0] == 404 or (left and not states[1][1]['metadata'].get('ownerReferences'))):
                    break
            r.equal(policy, [x[0] for x in states], [404, 200 if left else 404])
            server.api.call('DELETE', MAPS + '/owned')


def row_34():
    with Row(34) as r:
        server.api.call('POST', MAPS, config('dry', {'a': '1'}, finalizers=['example.org/x']))
        server.api.call('POST', MAPS, config('dry2', labels={'l': 'dry'}))
        server.api.call('POST', RUNS, run_object('dry', ['x']))
        server.api.call('POST', RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': 'dry'}, 'spec': {'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'i'}]}}}})
        server.api.call('POST', CORE + 'serviceaccounts', {'apiVersion': 'v1', 'kind': 'ServiceAccount', 'metadata': {'name': 'dry'}})
        before, run = state(), server.api.call('GET', RUNS + '/dry')[1]
        review = {'apiVersion': 'authorization.k8s.io/v1', 'kind': 'SelfSubjectAccessReview', 'spec': {'resourceAttributes': {'verb': 'get', 'resource': 'pods'}}}
        cases = [('create', 'POST', MAPS, config('new'), None, 201), ('create with a generated name', 'POST', MAPS, dict(config(''), metadata={'generateName': 'g-'}), None, 201),
                 ('create what is there', 'POST', MAPS, config('dry'), None, 409), ('create what is invalid', 'POST', MAPS, config('UP'), None, 422),
                 ('replace', 'PUT', MAPS + '/dry', config('dry', {'a': '2'}), None, 200), ('merge patch', 'PATCH', MAPS + '/dry', {'data': {'a': '2'}}, MERGE, 200),
                 ('JSON patch', 'PATCH', MAPS + '/dry', [{'op': 'add', 'path': '/data/a', 'value': '2'}], JSONP, 200), ('strategic patch', 'PATCH', MAPS + '/dry', {'data': {'a': '2'}}, STRATEGIC, 200),
                 ('apply', 'PATCH', MAPS + '/dry?fieldManager=m&force=true', config('dry', {'a': '2'}), APPLY, 200), ('apply what is new', 'PATCH', MAPS + '/new?fieldManager=m', config('new'), APPLY, 201),
                 ('status', 'PATCH', RUNS + '/dry/status', {'status': {'message': 'x'}}, MERGE, 200), ('replace status', 'PUT', RUNS + '/dry/status', dict(run, status={'message': 'y'}), None, 200),
                 ('scale', 'PATCH', RUNTIMES + '/dry/scale', {'spec': {'replicas': 7}}, MERGE, 200), ('delete', 'DELETE', MAPS + '/dry2', None, None, 200),
                 ('delete what is held', 'DELETE', MAPS + '/dry', None, None, 200), ('delete in the foreground', 'DELETE', MAPS + '/dry2?propagationPolicy=Foreground', None, None, 200),
                 ('delete a collection', 'DELETE', MAPS + '?labelSelector=l%3Ddry', None, None, 200), ('a namespace', 'POST', '/api/v1/namespaces', {'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': 'dry'}}, None, 201),
                 ('drop the last finalizer', 'PATCH', MAPS + '/dry', {'metadata': {'finalizers': None}}, MERGE, 200), ('a review', 'POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review, None, 201),
                 ('a token', 'POST', CORE + 'serviceaccounts/dry/token', {'apiVersion': 'authentication.k8s.io/v1', 'kind': 'TokenRequest', 'spec': {}}, None, 201)]
        for name, method, path, body, type, want in cases:
            status, answer = server.api.call(method, path + ('&' if '?' in path else '?') + 'dryRun=All', body, type)
            r.equal('dry run: ' + name, (status, state() == before), (want, True))
            if name in ('replace', 'merge patch', 'apply', 'JSON patch'):
                r.equal('and what it would be', answer['data'], {'a': '2'})
        r.equal('in the options of a delete too', (server.api.call('DELETE', MAPS + '/dry2', {'kind': 'DeleteOptions', 'apiVersion': 'v1', 'dryRun': ['All']})[0], state() == before), (200, True))
        for method, path in (('POST', MAPS), ('PUT', MAPS + '/dry'), ('DELETE', MAPS + '/dry')):
            status, answer = server.api.call(method, path + '?dryRun=Some', config('dry'))
            r.equal('dryRun=Some: %s' % method, (status in (400, 422), 'supported values: "All"' in answer['message'], state() == before), (True, True, True))


def row_35():
    with Row(35) as r:
        apply = lambda who, data, force='', name='ssa': server.api.call('PATCH', MAPS + '/%s?fieldManager=%s%s' % (name, who, force), config(name, data), APPLY)
        owners = lambda: {m['manager']: sorted(k[2:] for k in m['fieldsV1'].get('f:data', {}) if k != '.') for m in server.api.call('GET', MAPS + '/ssa')[1]['metadata']['managedFields']}
        r.equal('the first apply creates', apply('one', {'a': '1', 'b': '1'})[0], 201)
        status, answer = apply('two', {'b': '2', 'c': '2'})
        r.equal('a conflict has its cause', (status, answer['reason'], answer['message'], answer['details']['causes']), (409, 'Conflict', 'Apply failed with 1 conflict: conflict with "one": .data.b',
                [{'reason': 'FieldManagerConflict', 'message': 'conflict with "one"', 'field': '.data.b'}]))
        r.equal('force takes it', (apply('two', {'b': '2', 'c': '2'}, '&force=true')[1]['data'], owners()), ({'a': '1', 'b': '2', 'c': '2'}, {'one': ['a'], 'two': ['b', 'c']}))
        r.equal('the same value is shared', (apply('one', {'a': '1', 'c': '2'})[0], owners()), (200, {'one': ['a', 'c'], 'two': ['b', 'c']}))
        r.equal('what all left is gone, what another has stays', (apply('one', {'a': '1'})[1]['data'], apply('two', {'b': '2'})[1]['data']), ({'a': '1', 'b': '2', 'c': '2'}, {'a': '1', 'b': '2'}))
        server.api.call('PATCH', MAPS + '/ssa?fieldManager=three', {'data': {'a': '3'}}, MERGE)
        status, answer = apply('one', {'a': '1'})
        r.check('an update takes over too', status == 409 and re.match(r'Apply failed with 1 conflict: conflict with "three" using v1( at \S+)?: \.data\.a$', answer['message']), answer['message'])
        r.says('no manager', server.api.call('PATCH', MAPS + '/ssa', config('ssa'), APPLY), 422, 'fieldManager: Required value: is required for apply patch')
        r.says('managedFields in an apply', server.api.call('PATCH', MAPS + '/ssa?fieldManager=one', config('ssa', managedFields=[{'manager': 'x'}]), APPLY), 400, 'metadata.managedFields must be nil')


def row_36():
    with Row(36) as r:
        as_ = lambda **h: server.api.as_user({k.replace('_', '-'): v for k, v in h.items()})
        admin = server.api.headers['Authorization']
        r.says('nobody', as_().call('GET', MAPS), 403, 'User "system:anonymous" cannot list resource "configmaps"', 'Forbidden')
        for name, value in (('garbage', 'Bearer x'), ('nothing', 'Bearer '), ('three parts', 'Bearer a.b.c'), ('no algorithm', 'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJzeXN0ZW06YWRtaW4ifQ.'), ('a megabyte', 'Bearer ' + 'x' * 60000)):
            status = as_(Authorization=value).call('GET', MAPS)[0]
            r.check('a token that is none: ' + name, status in (401, 431), str(status))
        account = CORE + 'serviceaccounts'
        server.api.call('POST', account, {'apiVersion': 'v1', 'kind': 'ServiceAccount', 'metadata': {'name': 'bot'}})
        server.api.call('POST', RBAC + 'clusterrolebindings', {'apiVersion': 'rbac.authorization.k8s.io/v1', 'kind': 'ClusterRoleBinding', 'metadata': {'name': 'bot'},
                        'roleRef': {'apiGroup': 'rbac.authorization.k8s.io', 'kind': 'ClusterRole', 'name': 'view'}, 'subjects': [{'kind': 'ServiceAccount', 'name': 'bot', 'namespace': 'default'}]})
        token = lambda **spec: server.api.call('POST', account + '/bot/token', {'apiVersion': 'authentication.k8s.io/v1', 'kind': 'TokenRequest', 'spec': spec})[1]['status']['token']
        good, other = token(), token(audiences=['somebody-else'])
        r.equal('its own token', as_(Authorization='Bearer ' + good).call('GET', MAPS)[0], 200)
        r.equal('a token for another audience', as_(Authorization='Bearer ' + other).call('GET', MAPS)[0], 401)
        r.equal('a token with a changed letter', as_(Authorization='Bearer ' + good[:-9] + ('A' if good[-9] != 'A' else 'B') + good[-8:]).call('GET', MAPS)[0], 401)
        review = lambda t, **spec: server.api.call('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {'apiVersion': 'authentication.k8s.io/v1', 'kind': 'TokenReview', 'spec': dict(spec, token=t)})[1]['status']
        r.equal('a review of it', (review(good)['authenticated'], review(good)['user']['username'], review(other).get('authenticated', False), review(other, audiences=['somebody-else'])['authenticated']),
                (True, 'system:serviceaccount:default:bot', False, True))
        status, answer = as_(Authorization='Bearer ' + good, Impersonate_User='root', Impersonate_Group='system:masters').call('GET', CORE + 'secrets')
        r.says('impersonation without the right', (status, answer), 403, 'cannot impersonate resource "(users|groups)"')
        for user in ('system:masters', 'system:admin', 'kruntimes-admin'):
            r.equal('as %s' % user, as_(Authorization='Bearer ' + good, Impersonate_User=user).call('GET', CORE + 'secrets')[0], 403)
        r.equal('impersonation by the admin gives what that user has', [as_(Authorization=admin, Impersonate_User=u).call('GET', MAPS)[0] for u in ('nobody', 'system:serviceaccount:default:bot')], [403, 200])
        r.equal('a group without a user', as_(Authorization=admin, Impersonate_Group='system:masters').call('GET', MAPS)[0] in (400, 403, 500), True)
        server.api.call('DELETE', account + '/bot')
        r.equal('the account is gone, and so is its token', as_(Authorization='Bearer ' + good).call('GET', MAPS)[0], 401)


wanted, later = sys.argv[1:], []
server = Server()
try:
    for name, row in sorted((n, f) for n, f in globals().items() if n.startswith('row_')):
        if not wanted or name[4:] in wanted:
            begin = time.monotonic()
            try:
                row()
            except Exception as e:                 # a row that breaks off is one failure, the others are still tried
                s.check('%s: it breaks off' % name, False, repr(e)[:600])
                if server.p.poll() is not None:
                    server.start('0')
                server.api.connection = None
            print('row %s: %.1f s' % (name[4:], time.monotonic() - begin))
    settle()
    s.check('it ends when it is told to', server.end() == 0)
finally:
    if server.p.poll() is None:
        server.p.kill()
s.end()
