#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""curl, Node's http2, Go's net/http and Python's h2 as clients of our HTTP/2: of the API server over TLS, where ALPN chooses, and of a
gRPC port by prior knowledge. Each makes the same requests: small and large ones, 300 on one connection, a watch that it leaves."""
import os, subprocess, sys
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
if not os.environ.get('KR_VENV'):      # again, with the Python that has h2
    venv = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'venv')], capture_output=True, text=True)
    if venv.returncode:
        print('skip h2: %s' % (venv.stdout.strip() or venv.stderr.strip()))
        print('0 passed, 0 failed, 1 skipped')
        sys.exit(0)
    os.execve(venv.stdout.strip(), [venv.stdout.strip(), *sys.argv], dict(os.environ, KR_VENV='1'))
sys.path.insert(0, os.path.join(HERE, '..', 'kit'))
from local import *
import hashlib, socket
import h2.config, h2.connection, h2.events, h2.exceptions

MAPS = '/api/v1/namespaces/default/configmaps'
WATCH = MAPS + '?watch=true&fieldSelector=metadata.name=big'
REFUSAL = 'this port speaks gRPC (content-type application/grpc over HTTP/2)'
s = Suite()
work = tempfile.mkdtemp(prefix='kr-http-')
digest = lambda b: hashlib.sha256(b).hexdigest()


class Client:
    """A connection of Python's h2: requests by number, events until all asked for have ended."""
    def __init__(self, sock):
        self.sock = sock
        self.c = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding='utf-8'))
        self.c.initiate_connection()
        self.streams, self.bodies = {}, {}
        self.flush()

    def flush(self):
        self.sock.sendall(self.c.data_to_send())

    def request(self, method, path, body=b'', headers=()):
        """Waits for a place among the streams that the server allows, and for what windows hold back."""
        while self.c.open_outbound_streams >= self.c.remote_settings.max_concurrent_streams:
            self.turn()
        n = self.c.get_next_available_stream_id()
        self.streams[n] = {'status': 0, 'body': bytearray(), 'over': False}
        self.c.send_headers(n, [(':method', method), (':scheme', 'http'), (':path', path), (':authority', 'x'), *headers], end_stream=not body)
        while body:
            room = min(self.c.local_flow_control_window(n), self.c.max_outbound_frame_size)
            if room <= 0:
                self.turn()
                continue
            self.c.send_data(n, body[:room], end_stream=len(body) <= room)
            body = body[room:]
        self.flush()
        return self.streams[n]

    def turn(self):
        self.flush()
        data = self.sock.recv(65536)
        if not data:
            raise SystemExit('the server closed the connection')
        for e in self.c.receive_data(data):
            stream = self.streams.get(getattr(e, 'stream_id', None))
            if isinstance(e, h2.events.ResponseReceived):
                stream['status'] = int(dict(e.headers)[':status'])
            elif isinstance(e, h2.events.DataReceived):
                stream['body'] += e.data
                self.c.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
            elif isinstance(e, h2.events.StreamEnded):
                stream['over'] = True
            elif isinstance(e, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                raise SystemExit('reset: %r' % e)
        self.flush()

    def until(self, done):
        while not done():
            self.turn()

    def ask(self, *args):
        stream = self.request(*args)
        self.until(lambda: stream['over'])
        return stream


def python_h2(url, ca, token, body, plain):
    """The lines that the other clients print."""
    host, port = url.removeprefix('https://').split(':')
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(['h2'])
    c = Client(context.wrap_socket(socket.create_connection((host, int(port)), DEADLINE), server_hostname=host))
    auth = [('authorization', 'Bearer ' + token), ('content-type', 'application/json')]
    out = []
    say = lambda name, r, word='': out.append('%s HTTP/2.0 %d %s' % (name, r['status'], word))
    r = c.ask('GET', '/version', b'', auth)
    say('version', r, digest(r['body']))
    say('post', c.ask('POST', MAPS, open(body, 'rb').read(), auth))
    r = c.ask('GET', MAPS + '/big', b'', auth)
    say('get', r, digest(json.loads(r['body'])['data']['k'].encode()))
    many = [c.request('GET', '/version', b'', auth) for _ in range(300)]
    c.until(lambda: all(r['over'] for r in many))
    out.append('many HTTP/2.0 200 %d' % sum(r['status'] == 200 for r in many))
    r = c.request('GET', WATCH, b'', auth)
    c.until(lambda: b'\n' in r['body'])
    say('watch', r, json.loads(r['body'].split(b'\n')[0])['type'])
    c.c.reset_stream(c.c.get_next_available_stream_id() - 2, 8)
    say('missing', c.ask('GET', MAPS + '/none', b'', auth))
    say('delete', c.ask('DELETE', MAPS + '/big', b'', auth))
    host, port = plain.removeprefix('http://').split(':')
    c = Client(socket.create_connection((host, int(port)), DEADLINE))
    r = c.ask('GET', '/')      # no body: behind an answer that comes ahead of one RST_STREAM(NO_ERROR) follows, which old curls take for a failure
    say('plain', r, r['body'].decode().strip())
    return '\n'.join(out)


def curl(url, ca, token, body, plain):
    out = []

    def run(name, *args, word=lambda b: '', file=os.path.join(work, 'out')):
        done = subprocess.run(['curl', '-sS', '--max-time', str(DEADLINE), '--cacert', ca, '-H', 'Authorization: Bearer ' + token, '-H', 'Content-Type: application/json',
                               '-o', file, '-w', '%{http_version} %{http_code}\n', *args], capture_output=True, text=True)
        text = done.stdout.strip() or done.stderr.strip()
        out.append('%s HTTP/%s %s' % (name, text.replace('2 ', '2.0 ', 1), word(open(file, 'rb').read()) if os.path.exists(file) else ''))
        return done
    run('version', '--http2', url + '/version', word=digest)
    run('post', '--http2', '--data-binary', '@' + body, url + MAPS)
    run('get', '--http2', url + MAPS + '/big', word=lambda b: digest(json.loads(b)['data']['k'].encode()))
    done = run('many', '--http2', '--parallel', '--parallel-max', '200', url + '/version?n=[1-300]')
    out[-1] = 'many HTTP/2.0 200 %d' % done.stdout.split('\n').count('2 200')
    watch = subprocess.Popen(['curl', '-sSN', '--http2', '--cacert', ca, '-H', 'Authorization: Bearer ' + token, url + WATCH], stdout=subprocess.PIPE, text=True)
    out.append('watch HTTP/2.0 200 %s' % json.loads(watch.stdout.readline())['type'])
    watch.kill()
    watch.wait()
    run('missing', '--http2', url + MAPS + '/none')
    run('delete', '--http2', '-X', 'DELETE', url + MAPS + '/big')
    run('plain', '--http2-prior-knowledge', plain, word=lambda b: b.decode().strip())
    return '\n'.join(out)


def program(*words):
    return lambda *args: subprocess.run([*words, *args], capture_output=True, text=True, timeout=2 * DEADLINE).stdout


clients = {'Python h2': python_h2}
if shutil.which('curl') and 'HTTP2' in subprocess.run(['curl', '-V'], capture_output=True, text=True).stdout:
    clients['curl'] = curl
else:
    s.skip('curl', 'no curl with HTTP/2 on this machine')
if shutil.which('node'):
    clients['Node http2'] = program('node', os.path.join(HERE, 'http_clients.js'))
else:
    s.skip('Node http2', 'no node on this machine')
got = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'get'), 'httpclient'], capture_output=True, text=True)
if got.returncode:
    s.skip('Go net/http', got.stdout.strip())
else:
    clients['Go net/http'] = program(got.stdout.strip())

state = os.path.join(work, 'state')
server = subprocess.Popen([BINARY, 'apiserver', '--state-dir', state, '--port', '0'], stderr=subprocess.PIPE, text=True)
server.stderr.readline()
grpc = subprocess.Popen([BINARY, 'runtime-server', '--port', '0'], stderr=subprocess.PIPE, text=True)
plain = 'http://127.0.0.1:' + re.search(r'port=(\d+)', grpc.stderr.readline()).group(1)
try:
    text = open(os.path.join(state, 'kubeconfig')).read()
    field = lambda name: re.search(r'^ *%s: (\S+)$' % name, text, re.M).group(1)
    ca, body = os.path.join(work, 'ca'), os.path.join(work, 'body')
    open(ca, 'wb').write(base64.b64decode(field('certificate-authority-data')))
    data = ''.join('%08x ' % (n * 2654435761 % 2**32) for n in range(100000))
    open(body, 'w').write(json.dumps({'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'big'}, 'data': {'k': data}}))
    api = Api(os.path.join(state, 'kubeconfig'))
    c = api.open()
    c.request('GET', '/version')
    version = digest(c.getresponse().read())
    want = ['version HTTP/2.0 200 ' + version, 'post HTTP/2.0 201', 'get HTTP/2.0 200 ' + digest(data.encode()), 'many HTTP/2.0 200 300',
            'watch HTTP/2.0 200 ADDED', 'missing HTTP/2.0 404', 'delete HTTP/2.0 200', 'plain HTTP/2.0 415 ' + REFUSAL]
    for name, run in clients.items():
        try:
            lines = [line.strip() for line in run(field('server'), ca, field('token'), body, plain).split('\n')]
        except (SystemExit, Exception) as e:
            lines = [repr(e)]
        for line in want:
            s.check('%s: %s' % (name, line.split()[0]), line in lines, 'want %r in %r' % (line, lines))
    s.check('both live', server.poll() is None and grpc.poll() is None)
finally:
    for p in (server, grpc):
        p.terminate()
        p.wait()
    shutil.rmtree(work, ignore_errors=True)
s.end()
