#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The S3 store against servers of others (versitygw, which checks every signature and checksum, and moto), and against one of
ours that misbehaves as scripted (row 52)."""
import base64, email.utils, hashlib, http.server, io, os, resource, shutil, signal, socket, sys, tarfile, tempfile, threading, urllib.parse
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
KEY, SECRET = 'AKTESTTESTTEST', 'a+secret/of=the-test'
top = tempfile.mkdtemp(prefix='kr-s3-')
secret = os.path.join(top, 'secret')
os.mkdir(secret)
MEMORY = 16 << 20       # RLIMIT_DATA of every helper here, whatever it moves; a sanitizer can't live with one
SANITIZED = b'__asan_init' in open(BINARY, 'rb').read()


def write(path, text):
    with open(path, 'w') as f:
        f.write(text)


write(secret + '/AWS_ACCESS_KEY_ID', KEY + '\n')
write(secret + '/AWS_SECRET_ACCESS_KEY', SECRET)


def helper(verb, order, folder=None, env={}, out=subprocess.PIPE):
    """Exit status, output, stderr."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY) if folder else None

    def setup():
        if folder:
            os.dup2(fd, 3)
        if not SANITIZED:
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    p = subprocess.Popen([BINARY, 'artifact-helper', verb], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE, env=dict(env),
                         pass_fds=(3,) if folder else (), preexec_fn=setup)
    if fd is not None:
        os.close(fd)
    p.stdin.write(json.dumps(order).encode())
    p.stdin.close()
    text = p.stdout.read() if out == subprocess.PIPE else b''
    err = p.stderr.read().decode()
    return p.wait(), text, err


def store(endpoint, place=secret, **more):
    return {'store': {'driver': 's3', 's3': dict({'bucket': 'arts', 'region': 'us-east-1', 'endpoint': endpoint, 'forcePathStyle': True}, **more)}, 'place': place, 'spool': top}


def collect(where, prefix, folder, **kw):
    status, out, err = helper('collect', dict(where, prefix=prefix, maxBytes=1 << 40, again=1, folder=1), folder, **kw)
    return (json.loads(out) if status == 0 else {'status': status, 'err': err})


def free_port():
    with socket.socket() as x:
        x.bind(('127.0.0.1', 0))
        return x.getsockname()[1]


def started(port, process, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as x:
            if x.connect_ex(('127.0.0.1', port)) == 0:
                return True
        time.sleep(0.05)      # nothing tells when it listens but trying
    return False


def tool(*args):
    got = subprocess.run([os.path.join(TOP, 'tests', 'tools', args[0]), *args[1:]], capture_output=True, text=True)
    return got.stdout.strip(), got.returncode == 0


def files(folder, **content):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for name, data in content.items():
        with open(os.path.join(folder, name), 'wb') as f:
            f.write(data) if isinstance(data, bytes) else f.truncate(data)
    return folder


# ---- what any server must do -------------------------------------------------------------------------------------------

def conformance(name, endpoint, strict, big):
    where = store(endpoint, prefix='/some/prefix/')
    data = os.urandom(5 << 20)
    folder = files(top + '/in', **{'empty': b'', 'five': data, 'odd name +&=%ü.txt': b'odd', 'parts': data * 4 + b'end'})
    os.mkdir(folder + '/dir')
    write(folder + '/dir/a', 'A')
    answer = collect(where, 'ns/uid/1-pod', folder)
    refs = {r['name']: r for r in answer.get('refs', [])}
    s.equal('%s: all of it is stored' % name, sorted(refs), ['dir', 'empty', 'five', 'odd name +&=%ü.txt', 'parts'])
    if not refs:
        print(answer)
        return
    s.equal('%s: location' % name, refs['empty']['location'], {'s3': {'bucket': 'arts', 'key': 'some/prefix/ns/uid/1-pod/empty'}})
    for n, r in sorted(refs.items()):
        got = helper('get', dict(where, key='ns/uid/1-pod/' + n))
        s.equal('%s: get %s' % (name, n), (got[0], len(got[1]), 'sha256:' + hashlib.sha256(got[1]).hexdigest()), (0, r['sizeBytes'], r['digest']))
    got = helper('get', dict(where, key='ns/uid/1-pod/parts', offset=len(data) * 4))
    s.equal('%s: get from an offset' % name, (got[0], got[1]), (0, b'end'))
    got = helper('get', dict(where, key='ns/uid/1-pod/parts', offset=len(data) * 4 + 3))
    s.equal('%s: get from the end' % name, (got[0], got[1]), (0, b''))
    got = helper('get', dict(where, key='ns/uid/1-pod/nothing'))
    s.check('%s: get what is not there' % name, got[0] == 3 and 'NoSuchKey' in got[2], got[2])
    small = store(endpoint, prefix='some/prefix', uploadPartSize=5 << 20, uploadConcurrency=3)
    answer = collect(small, 'ns/other/1-pod', files(top + '/big', stream=big))
    r = answer.get('refs', [{}])[0]
    s.check('%s: %d MiB within the memory' % (name, big >> 20), r.get('sizeBytes') == big, str(answer))
    with open(top + '/got', 'wb') as out:
        got = helper('get', dict(small, key='ns/other/1-pod/stream'), out=out)
    digest = hashlib.sha256()
    with open(top + '/got', 'rb') as f:
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    s.check('%s: and back' % name, (got[0], 'sha256:' + digest.hexdigest()) == (0, r.get('digest')), '%s %s' % (got[2], r))
    s.equal('%s: remove' % name, helper('remove', dict(where, prefix='ns/uid'))[0], 0)
    s.equal('%s: it is gone' % name, helper('get', dict(where, key='ns/uid/1-pod/five'))[0], 3)
    s.equal('%s: others stay' % name, helper('get', dict(small, key='ns/other/1-pod/stream', offset=big - 1))[0], 0)
    s.equal('%s: remove nothing' % name, helper('remove', dict(where, prefix='ns/uid'))[0], 0)
    write(top + '/wrong-key', '')
    os.makedirs(top + '/wrong', exist_ok=True)
    write(top + '/wrong/AWS_ACCESS_KEY_ID', KEY)
    write(top + '/wrong/AWS_SECRET_ACCESS_KEY', 'not-the-secret')
    if strict:
        answer = collect(dict(where, place=top + '/wrong'), 'ns/w/1', files(top + '/one', f=b'1'))
        s.check('%s: a wrong key is told, without it' % name, answer.get('reason') == 'ArtifactStore' and 'SignatureDoesNotMatch' in answer['message']
                and 'not-the-secret' not in str(answer), str(answer))
    answer = collect(dict(store(endpoint, bucket='no-such-bucket')), 'ns/w/1', files(top + '/one', f=b'1'))
    s.check('%s: no such bucket' % name, answer.get('reason') == 'ArtifactStore' and 'NoSuchBucket' in answer['message'], str(answer))
    answer = collect(dict(where, place=''), 'ns/e/1', files(top + '/one', f=b'1'), env={'AWS_ACCESS_KEY_ID': KEY, 'AWS_SECRET_ACCESS_KEY': SECRET})
    s.check('%s: keys of the environment' % name, 'refs' in answer, str(answer))
    answer = collect(dict(where, place=''), 'ns/e/1', files(top + '/one', f=b'1'))
    s.check('%s: no keys' % name, 'no keys' in answer.get('message', ''), str(answer))


def versitygw():
    program, ok = tool('get', 'versitygw')
    if not ok:
        s.skip('versitygw', program)
        return
    root, port = top + '/gw', free_port()
    os.makedirs(root + '/arts')
    p = subprocess.Popen([program, '--port', '127.0.0.1:%d' % port, '--access', KEY, '--secret', SECRET, '--quiet', 'posix', root], stdout=subprocess.DEVNULL,
                         stderr=open(top + '/gw.log', 'w'), cwd=top)
    try:
        if s.check('versitygw starts', started(port, p), open(top + '/gw.log').read()[-500:]):
            conformance('versitygw', 'http://127.0.0.1:%d' % port, True, 1 << 30 if 'KR_LONG' in os.environ else 64 << 20)
    finally:
        p.terminate()
        p.wait()


def moto():
    python, ok = tool('venv')
    if not ok:
        s.skip('moto', python)
        return
    port = free_port()
    p = subprocess.Popen([os.path.join(os.path.dirname(python), 'moto_server'), '-H', '127.0.0.1', '-p', str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=top)
    try:
        if s.check('moto starts', started(port, p)):
            c = http.client.HTTPConnection('127.0.0.1', port)
            c.request('PUT', '/arts')
            c.getresponse().read()
            conformance('moto', 'http://127.0.0.1:%d' % port, False, 24 << 20)
            identity(port)
    finally:
        p.terminate()
        p.wait()


def identity(port):
    """A web identity: the role's keys come from STS (moto's), and carry a session token."""
    write(top + '/token', 'a.web.token\n')
    env = {'AWS_ROLE_ARN': 'arn:aws:iam::123456789012:role/kruntimes', 'AWS_WEB_IDENTITY_TOKEN_FILE': top + '/token', 'AWS_ENDPOINT_URL_STS': 'http://127.0.0.1:%d/' % port}
    where = dict(store('http://127.0.0.1:%d' % port), place='')
    answer = collect(where, 'ns/i/1', files(top + '/one', f=b'1'), env=env)
    s.check('a web identity', 'refs' in answer, str(answer))
    answer = collect(where, 'ns/i/1', files(top + '/one', f=b'1'), env=dict(env, AWS_ENDPOINT_URL_STS='http://127.0.0.1:1/'))
    s.check('STS is away', answer.get('reason') == 'ArtifactStore' and 'STS' in answer['message'] and 'a.web.token' not in str(answer), str(answer))


# ---- row 52: a server that misbehaves ----------------------------------------------------------------------------------

class Bad(http.server.BaseHTTPRequestHandler):
    """Each request takes the next act of the script; without one it stores, serves and deletes properly."""
    protocol_version = 'HTTP/1.1'
    script, seen, objects, uploads, lock = [], [], {}, {}, threading.Lock()

    def log_message(self, *_):
        pass

    def answer(self, status, body=b'', **fields):
        self.send_response_only(status)
        for k, v in fields.items():
            self.send_header(k.replace('_', '-'), v)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def error(self, status, code, message='', **fields):
        self.answer(status, ('<?xml version="1.0"?><Error><Code>%s</Code><Message>%s</Message></Error>' % (code, message)).encode(), **fields)

    def act(self):
        path, _, query = self.path.partition('?')
        q = urllib.parse.parse_qs(query, keep_blank_values=True)
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        with Bad.lock:
            Bad.seen.append((self.command, self.path, dict(self.headers), len(body)))
            step = Bad.script.pop(0) if Bad.script else None
        if step and step(self, path, q, body):
            return
        self.serve(path, q, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = act

    def serve(self, path, q, body):
        if self.command == 'POST' and 'uploads' in q:
            Bad.uploads['id<1'] = {}
            self.answer(200, b'<R><UploadId>id&lt;1</UploadId></R>')
        elif self.command == 'POST' and q['uploadId'][0] not in Bad.uploads:
            self.error(404, 'NoSuchUpload')
        elif self.command == 'POST':
            Bad.objects[path] = b''.join(v for _, v in sorted(Bad.uploads.pop(q['uploadId'][0]).items()))
            self.answer(200, b'<R><ETag>"x"</ETag></R>')
        elif self.command == 'PUT' and 'uploadId' in q:
            Bad.uploads.get(q['uploadId'][0], {})[int(q['partNumber'][0])] = body
            self.answer(200, ETag='"p%s"' % q['partNumber'][0])
        elif self.command == 'PUT':
            Bad.objects[path] = body
            self.answer(200, ETag='"e"')
        elif self.command == 'DELETE' and 'uploadId' in q:
            Bad.uploads.pop(q['uploadId'][0], None)
            self.answer(204)
        elif self.command == 'DELETE':
            Bad.objects.pop(path, None)
            self.answer(204)
        elif 'list-type' in q:
            keys = [k[len('/arts/'):] for k in Bad.objects if k.startswith('/arts/' + q['prefix'][0])]
            self.answer(200, ('<L><IsTruncated>false</IsTruncated>%s</L>' % ''.join('<Contents><Key>%s</Key></Contents>' % k for k in keys)).encode())
        elif 'uploads' in q:
            self.answer(200, b'<L></L>')
        elif path in Bad.objects:
            data, at = Bad.objects[path], 0
            if 'Range' in self.headers:
                at = int(self.headers['Range'][6:-1])
            self.answer(206 if at else 200, data[at:])
        else:
            self.error(404, 'NoSuchKey', 'no')


def fails(status, code, message='', **fields):
    return lambda h, *_: h.error(status, code, message, **fields) or True


def cut(h, path, q, body):
    """Half of the object, then the connection is closed."""
    data = Bad.objects[path]
    h.send_response_only(200)
    h.send_header('Content-Length', str(len(data)))
    h.end_headers()
    h.wfile.write(data[:len(data) // 2])
    h.wfile.flush()
    h.close_connection = True
    return True


def dropped(h, *_):
    h.close_connection = True
    return True


def bomb(h, *_):
    entities = ''.join('<!ENTITY a%d "%s">' % (n, '&a%d;' % (n - 1) * 10 if n else 'lol' * 10) for n in range(12))
    h.answer(500, ('<?xml version="1.0"?><!DOCTYPE x [%s]><Error><Code>&a11;</Code><Message>&a11;</Message></Error>' % entities).encode())
    return True


def endless(h, *_):
    h.send_response_only(500)
    h.send_header('Transfer-Encoding', 'chunked')
    h.end_headers()
    try:
        for _ in range(1 << 14):
            h.wfile.write(b'10000\r\n' + b'x' * 65536 + b'\r\n')
    except OSError:
        pass
    h.close_connection = True
    return True


def not_joined(code):
    return lambda h, *_: h.answer(200, b'<?xml version="1.0"?>\n  <Error><Code>%s</Code></Error>' % code.encode()) or True


def joined_unheard(size):
    """The parts are joined, to so many bytes, and the connection is closed."""
    def step(h, path, q, body):
        Bad.objects[path] = b''.join(v for _, v in sorted(Bad.uploads.pop(q['uploadId'][0]).items()))[:size]
        return dropped(h)
    return step


def hostile():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Bad)
    server.daemon_threads = True
    server.handle_error = lambda *_: None         # a client that hangs up is what is tested
    threading.Thread(target=server.serve_forever, daemon=True).start()
    where = dict(store('http://127.0.0.1:%d' % server.server_port))

    def attempt(script, folder=None, prefix='n/u/1', **more):
        Bad.script[:], Bad.seen[:] = script, []
        Bad.objects.clear()
        return collect(dict(where, **more), prefix, folder or files(top + '/one', f=b'content'))

    # `again` lists before it stores: two requests, then the PUT
    ok = [None, None]
    r = attempt(ok + [fails(403, 'AccessDenied', 'no\x1b[2J way &amp; so')])
    s.equal('row 52: 403 is told at once', (r.get('reason'), r.get('message'), sum(x[0] == 'PUT' for x in Bad.seen)), ('ArtifactStore', 'the S3 store answers HTTP 403 AccessDenied: no [2J way & so', 1))
    r = attempt(ok + [fails(500, 'InternalError'), fails(503, 'SlowDown'), dropped])
    s.check('row 52: 500, 503 and a dropped connection are tried again', 'refs' in r and Bad.objects['/arts/n/u/1/f'] == b'content', str(r))
    r = attempt(ok + [fails(500, 'InternalError')] * 30)
    s.check('row 52: not for ever', r.get('reason') == 'ArtifactStore' and sum(x[0] == 'PUT' for x in Bad.seen) == 6, '%s %d' % (r, len(Bad.seen)))
    r = attempt(ok + [fails(307, 'TemporaryRedirect', Location='http://127.0.0.1:1/elsewhere', x_amz_bucket_region='eu-west-3')] * 5)
    auth = [x[2]['authorization'] for x in Bad.seen if x[0] == 'PUT']
    s.check('row 52: another region: signed for it once, the signature goes nowhere else', r.get('reason') == 'ArtifactStore' and 'eu-west-3' in r['message'] and len(auth) == 2
            and '/us-east-1/' in auth[0] and '/eu-west-3/' in auth[1], '%s %s' % (r, auth))
    r = attempt(ok + [fails(400, 'AuthorizationHeaderMalformed', '<Region>eu-west-3</Region>')])
    s.check('row 52: the region of the error', 'refs' in r, str(r))
    ahead = email.utils.formatdate(time.time() + 3600, usegmt=True)
    r = attempt(ok + [fails(403, 'RequestTimeTooSkewed', Date=ahead), None])
    dates = [x[2]['x-amz-date'] for x in Bad.seen if x[0] == 'PUT']
    s.check('row 52: the clock is corrected by the server\'s', 'refs' in r and len(dates) == 2 and dates[1] > dates[0][:9] and abs(int(dates[1][9:11]) - int(dates[0][9:11])) in (1, 23), '%s %s' % (r, dates))
    r = attempt(ok + [fails(403, 'RequestTimeTooSkewed', Date=ahead)] * 9)
    s.check('row 52: once', r.get('reason') == 'ArtifactStore' and sum(x[0] == 'PUT' for x in Bad.seen) == 2, str(r))
    r = attempt(ok + [bomb] * 9)
    s.check('row 52: an XML bomb is text', r.get('reason') == 'ArtifactStore' and len(r['message']) < 400, str(r)[:300])
    r = attempt(ok + [endless] * 9)
    s.check('row 52: an endless error is bounded', r.get('reason') == 'ArtifactStore', str(r)[:300])

    for date in ('', 'x', 'Tue, 5 Nov 1994 08:12:31 GMT', 'Tue, 15 Bar 1994 08:12:31 GMT', 'Tue, 15 anF 1994 08:12:31 GMT', 'Tue, 15 Nov 94 08:12:31 GMT', 'Tue, 15 Nov 1994 8:12 GMT', 'Tue, 99 Nov 1994 08:12:31 GMT'):
        r = attempt(ok + [fails(403, 'RequestTimeTooSkewed', Date=date)] * 9)
        s.check('row 52: no clock of that form: ' + date, r.get('reason') == 'ArtifactStore' and 'refs' not in r, str(r))
    for region in ('', 'us-east-1', 'EU_WEST', 'a/b', 'x' * 70):
        r = attempt(ok + [fails(301, 'PermanentRedirect', '', **({'x_amz_bucket_region': region} if region else {}))] * 9)
        s.check('row 52: no region to go to: ' + region, 'the S3 store sends elsewhere' in r.get('message', '') and sum(x[0] == 'PUT' for x in Bad.seen) == 1, str(r))
    r = attempt(ok + [fails(429, 'TooMany'), fails(400, 'RequestTimeout'), fails(400, 'SlowDown')])
    s.check('row 52: who asks for patience gets it', 'refs' in r, str(r))
    r = attempt(ok + [lambda h, *_: h.answer(400, b'no XML at all \x01') or True])
    s.check('row 52: an error without words', r.get('message', '').startswith('the S3 store answers HTTP 400'), str(r))
    r = attempt(ok + [fails(400, 'C' * 90, 'm' * 500 + '\x7f')])
    s.check('row 52: one of many words', 100 < len(r.get('message', '')) < 400, str(r))

    # all or nothing, and no orphan
    r = attempt(ok + [None, fails(403, 'AccessDenied')], files(top + '/two', a=b'a', b=b'b'))
    s.equal('row 52: what was stored goes again', (r.get('reason'), Bad.objects), ('ArtifactStore', {}))
    small = files(top + '/parts', p=os.urandom((5 << 20) * 3))
    more = {'store': dict(where['store'], s3=dict(where['store']['s3'], uploadPartSize=5 << 20))}
    r = attempt(ok + [None, None, fails(403, 'AccessDenied')], small, **more)
    s.equal('row 52: a failed multipart upload is aborted', (r.get('reason'), Bad.uploads), ('ArtifactStore', {}))
    whole, calls = open(small + '/p', 'rb').read(), lambda method: sum(x[0] == method for x in Bad.seen)
    for code in ('InternalError', 'SlowDown', 'ServiceUnavailable'):
        r = attempt(ok + [None] * 4 + [not_joined(code)], small, **more)
        s.check('row 52: %s inside a 200 is tried again' % code, 'refs' in r and Bad.objects.get('/arts/n/u/1/p') == whole, str(r))
    r = attempt(ok + [None] * 4 + [not_joined('InvalidPart')], small, **more)
    s.check('row 52: an error inside a 200', r.get('reason') == 'ArtifactStore' and 'could not join' in r['message'] and 'InvalidPart' in r['message'] and not Bad.uploads, str(r))
    r = attempt(ok + [None] * 4 + [joined_unheard(len(whole))], small, **more)
    s.check('row 52: joined by a try whose answer was lost', 'refs' in r and Bad.objects.get('/arts/n/u/1/p') == whole, str(r))
    r = attempt(ok + [None] * 4 + [joined_unheard(len(whole) - 1)], small, **more)
    s.equal('row 52: not in full', (r.get('reason'), 'NoSuchUpload' in r.get('message', ''), calls('HEAD')), ('ArtifactStore', True, 1))
    r = attempt(ok + [None] * 4 + [fails(404, 'NoSuchUpload')], small, **more)
    s.equal('row 52: an upload that somebody ended', (r.get('reason'), 'NoSuchUpload' in r.get('message', ''), calls('HEAD')), ('ArtifactStore', True, 0))
    r = attempt(ok + [None, dropped, fails(500, 'InternalError'), dropped], small, **more)
    s.check('row 52: parts are tried again', 'refs' in r and Bad.objects['/arts/n/u/1/p'] == open(small + '/p', 'rb').read(), str(r))

    # a truncated GET is gone on with
    data = os.urandom(300000)
    Bad.objects['/arts/n/u/1/f'] = data
    Bad.script[:], Bad.seen[:] = [cut, cut], []
    got = helper('get', dict(where, key='n/u/1/f'))
    s.equal('row 52: a truncated GET goes on', (got[0], got[1] == data, [x[2].get('range') for x in Bad.seen][0:2]), (0, True, [None, 'bytes=150000-']))
    Bad.script[:], Bad.seen[:] = [cut] + [lambda h, p, q, b: h.answer(200, data) or True], []
    got = helper('get', dict(where, key='n/u/1/f'))
    s.equal('row 52: a server that ignores ranges', (got[0], got[1] == data), (0, True))
    Bad.script[:] = [lambda h, *_: h.answer(200, b'<L><Contents><Key>n/other/secret</Key></Contents></L>') or True] * 2
    Bad.script.insert(0, None)
    Bad.objects['/arts/n/other/secret'] = b'1'
    got = helper('remove', dict(where, prefix='n/u'))
    s.check('a list of what was not asked for deletes nothing', got[0] != 0 and '/arts/n/other/secret' in Bad.objects, got[2])

    # what is removed: uploads that nobody ended, page by page what is listed
    def remove(script, prefix='n/u', **more):
        Bad.script[:], Bad.seen[:] = script, []
        return helper('remove', dict(where, prefix=prefix, **more))
    says = lambda text: lambda h, *_: h.answer(200, text.encode()) or True
    upload = '<Upload><Key>%s</Key><UploadId>%s</UploadId></Upload>'
    Bad.uploads.update({'left&1': {}, 'other': {}})
    got = remove([says('<L>' + upload % ('n/u/1/f', 'left&amp;1') + upload % ('n/else', 'other') + '</L>')])
    s.equal('uploads below the prefix are ended, no others', (got[0], sorted(Bad.uploads)), (0, ['other']))
    got = remove([says('<L>' + upload % ('n/u/1/f', 'gone') + '</L>'), fails(404, 'NoSuchUpload')])
    s.equal('one that is gone is', got[0], 0)
    got = remove([says('<L>' + upload % ('n/u/1/f', 'kept') + '</L>'), fails(403, 'AccessDenied')])
    s.check('one that may not be ended is told', got[0] != 0 and 'AccessDenied' in got[2] + got[1].decode(), got)
    for status in (405, 501):
        s.equal('a server without uploads: %d' % status, remove([fails(status, 'MethodNotAllowed')] + ([fails(status, 'NotImplemented')] * 5 if status == 501 else []) + [None])[0], 0)
    s.check('uploads that may not be listed', remove([fails(403, 'AccessDenied')])[0] != 0)
    Bad.objects.update({'/arts/n/u/a': b'1', '/arts/n/u/b': b'2'})
    page = '<L><IsTruncated>%s</IsTruncated>%s<Contents><Key>n/u/%s</Key></Contents></L>'
    got = remove([None, says(page % ('true', '<NextContinuationToken>t/1+</NextContinuationToken>', 'a')), None, says(page % ('false', '', 'b'))])
    s.equal('page by page', (got[0], [k for k in Bad.objects if k.startswith('/arts/n/u/')], [x[1].split('?')[1].split('&')[0] for x in Bad.seen if 'continuation' in x[1]]),
            (0, [], ['continuation-token=t%2F1%2B']))
    got = remove([None, says(page % ('true', '', 'a'))])
    s.equal('a page that names no next one is the last', got[0], 0)
    got = remove([None, says(page % ('false', '', 'a')), fails(404, 'NoSuchKey')])
    s.equal('what is gone is', got[0], 0)
    got = remove([None, says(page % ('false', '', 'a')), fails(403, 'AccessDenied')])
    s.check('what may not be removed is told', got[0] != 0)
    Bad.uploads.clear()

    # a prefix of the store's own, with slashes around it; a bucket of a name with dots; an endpoint with a path
    s3 = dict(where['store']['s3'], prefix='/deep/in/', endpoint=where['store']['s3']['endpoint'] + '/')
    Bad.script[:], Bad.seen[:] = [None, None], []
    r = collect(dict(where, store={'driver': 's3', 's3': s3}), 'n/p/1', files(top + '/one', f=b'1'))
    s.check('a prefix of its own', 'refs' in r and '/arts/deep/in/n/p/1/f' in Bad.objects, '%s %s' % (r, list(Bad.objects)))
    got = helper('remove', dict(where, store={'driver': 's3', 's3': s3}, prefix='n/p'))
    s.equal('and below it it is removed', (got[0], '/arts/deep/in/n/p/1/f' in Bad.objects), (0, False))
    for endpoint in ('ftp://x', 'http://', 'http://[::1', 'nowhere at all'):
        r = collect(store(endpoint), 'n/p/1', files(top + '/one', f=b'1'))
        s.check('an endpoint that is none: ' + endpoint, 's3.endpoint' in str(r), str(r))
    r = collect(store('https://127.0.0.1:%d' % server.server_port), 'n/p/1', files(top + '/one', f=b'1'))
    s.check('TLS where there is none', 'refs' not in r, str(r))

    # virtual-host style, a session token
    write(secret + '/AWS_SESSION_TOKEN', 'tok')
    Bad.script[:], Bad.seen[:] = [None] * 2, []
    s3 = dict(where['store']['s3'], endpoint='http://localhost:%d' % server.server_port, bucket='arts')
    del s3['forcePathStyle']
    r = collect(dict(where, store={'driver': 's3', 's3': s3}), 'n/v/1', files(top + '/one', f=b'1'))
    put = [x for x in Bad.seen if x[0] == 'PUT'] or [(0, '', {})]
    s.check('virtual-host style and a session token', ('refs' in r and put[0][1] == '/n/v/1/f' and put[0][2]['host'] == 'arts.localhost:%d' % server.server_port
            and put[0][2]['x-amz-security-token'] == 'tok' and 'x-amz-security-token' in put[0][2]['authorization']) or 'arts.localhost' in str(r), '%s %s' % (r, put))
    os.unlink(secret + '/AWS_SESSION_TOKEN')
    server.shutdown()


try:
    hostile()
    versitygw()
    moto()
finally:
    shutil.rmtree(top, ignore_errors=True)
s.end()
