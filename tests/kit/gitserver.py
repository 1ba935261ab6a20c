# SPDX-License-Identifier: Apache-2.0
"""Git repositories over HTTP(S) for tests: git's own http-backend behind a small server that can also redirect, ask for a
password, trickle and lie. Repositories are made by git, or object by object where git itself would refuse them."""
import base64, hashlib, http.server, os, ssl, struct, subprocess, threading, zlib

BACKENDS = ('/usr/lib/git-core/git-http-backend', '/usr/libexec/git-core/git-http-backend')
BACKEND = next((p for p in BACKENDS if os.path.exists(p)), None)


def git(*args, cwd=None, stdin=None, env=None):
    e = {'PATH': os.environ['PATH'], 'HOME': '/nonexistent', 'GIT_CONFIG_NOSYSTEM': '1', 'GIT_AUTHOR_NAME': 'a', 'GIT_AUTHOR_EMAIL': 'a@b',
         'GIT_COMMITTER_NAME': 'a', 'GIT_COMMITTER_EMAIL': 'a@b', 'LC_ALL': 'C', **(env or {})}
    return subprocess.run(['git', '-c', 'init.defaultBranch=main', '-c', 'safe.directory=*', *args], cwd=cwd, input=stdin, check=True, capture_output=True,
                          env=e).stdout.decode(errors='replace').strip()


def make_certificates(folder, names=('DNS:localhost', 'IP:127.0.0.1')):
    """ca.crt, server.crt, server.key, and bad.crt of another authority."""
    run = lambda *a: subprocess.run(['openssl', *a], check=True, capture_output=True, cwd=folder)
    for ca in ('ca', 'other'):
        run('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', ca + '.key', '-out', ca + '.crt', '-days', '2',
            '-subj', '/CN=test ' + ca, '-addext', 'basicConstraints=critical,CA:TRUE')
    open(os.path.join(folder, 'ext'), 'w').write('subjectAltName=%s\nbasicConstraints=CA:FALSE\n' % ','.join(names))
    run('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=git')
    for ca, out in (('ca', 'server.crt'), ('other', 'bad.crt')):
        run('x509', '-req', '-in', 'server.csr', '-CA', ca + '.crt', '-CAkey', ca + '.key', '-CAcreateserial', '-out', out, '-days', '2', '-extfile', 'ext')


class Raw:
    """A bare repository, object by object."""
    def __init__(self, path):
        self.path = path
        git('init', '--bare', '-q', path)

    def put(self, kind, body):
        data = kind.encode() + b' %d\0' % len(body) + body
        oid = hashlib.sha1(data).hexdigest()
        folder = os.path.join(self.path, 'objects', oid[:2])
        os.makedirs(folder, exist_ok=True)
        if not os.path.exists(os.path.join(folder, oid[2:])):
            open(os.path.join(folder, oid[2:]), 'wb').write(zlib.compress(data, 1))
        return oid

    def blob(self, text):
        return self.put('blob', text.encode() if isinstance(text, str) else text)

    def tree(self, entries, sort=True):
        """entries: (mode, name, oid); in git's order unless told not to."""
        as_bytes = lambda n: n.encode() if isinstance(n, str) else n
        if sort:
            entries = sorted(entries, key=lambda e: as_bytes(e[1]) + (b'/' if e[0] == '40000' else b''))
        return self.put('tree', b''.join(m.encode() + b' ' + as_bytes(n) + b'\0' + bytes.fromhex(o) for m, n, o in entries))

    def commit(self, tree, branch='main'):
        oid = self.put('commit', ('tree %s\nauthor a <a@b> 1700000000 +0000\ncommitter a <a@b> 1700000000 +0000\n\nx\n' % tree).encode())
        path = os.path.join(self.path, 'refs', 'heads', branch)
        open(path, 'w').write(oid + '\n')
        return oid


def delta(base_size, copies, size=None):
    """One that makes of its base an object of so many copies of it, a part of at most 0xffff00 bytes at a time."""
    def number(n):
        out = bytearray()
        while n > 0x7f:
            out.append(n & 0x7f | 0x80)
            n >>= 7
        return bytes(out + bytes([n]))
    part = min(base_size, 0xffff00)
    return number(base_size) + number(size if size is not None else part * copies) + (b'\xf0' + part.to_bytes(3, 'little')) * copies


def pack(objects):
    """A pack: (kind, body) of whole objects, ('delta', back, body) of deltas on the object so many places before."""
    kinds, out, at = {'commit': 1, 'tree': 2, 'blob': 3, 'delta': 6}, bytearray(b'PACK' + struct.pack('>II', 2, len(objects))), []
    for o in objects:
        body, n = o[-1], len(o[-1])
        at.append(len(out))
        first, n = kinds[o[0]] << 4 | n & 15, n >> 4
        while n:
            out.append(first | 0x80)
            first, n = n & 0x7f, n >> 7
        out.append(first)
        if o[0] == 'delta':
            back = at[-1] - at[-1 - o[1]]
            digits = [back & 0x7f]
            while back >> 7:
                back = (back >> 7) - 1
                digits.insert(0, back & 0x7f | 0x80)
            out += bytes(digits)
        out += zlib.compress(body, 1)
    return bytes(out) + hashlib.sha1(out).digest()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, root, address=('127.0.0.1', 0), certificate=None):
        self.root, self.requests, self.secret, self.redirect, self.packs = root, [], 'user:pass word', {}, {}
        super().__init__(address, Handler)
        self.port, self.tls = self.server_port, certificate is not None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
            self.context.set_alpn_protocols(['http/1.1'])
        self.stopping = threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True).start()

    def finish_request(self, request, address):
        if self.tls:
            try:
                request.settimeout(20)
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:
                return
        super().finish_request(request, address)

    def handle_error(self, request, address):
        pass

    def url(self, path, host='127.0.0.1'):
        return '%s://%s:%d/%s' % ('https' if self.tls else 'http', host, self.port, path)

    def stop(self):
        self.stopping.set()
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *a):
        pass

    def answer(self, status, body=b'', type='text/plain', **headers):
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k.replace('_', '-'), v)
        self.send_header('Content-Type', type)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.serve(b'')

    def do_POST(self):
        self.serve(self.rfile.read(int(self.headers.get('Content-Length', 0))))

    def serve(self, body):
        s = self.server
        s.requests.append((self.command, self.path, self.headers.get('Authorization')))
        first, _, rest = self.path[1:].partition('/')
        if first == 'to':                             # /to/NAME/…: to what the test has put there
            target = s.redirect[rest.split('/')[0]]
            return self.answer(302, Location=target + self.path[len('/to/' + rest.split('/')[0]):])
        if first == 'auth':
            want = 'Basic ' + base64.b64encode(s.secret.encode()).decode()
            if self.headers.get('Authorization') != want:
                return self.answer(401, WWW_Authenticate='Basic realm="git"')
            return self.backend('/' + rest, body)
        if first == 'status':
            return self.answer(int(rest.split('/')[0]), b'a page that is not for programs')
        if first == 'html':
            return self.answer(200, b'<html>not git</html>', 'text/html')
        if first == 'trickle':
            return self.trickle(endless=True)
        if first == 'pack':                           # /pack/NAME/…: whatever is asked for, the pack that the test has put there
            return self.give(*s.packs[rest.split('/')[0]])
        if first == 'promise':                        # an answer of so many bytes, by its head
            return self.promise(int(rest.split('/')[0]))
        if first == 'flood':
            return self.flood()
        if first == 'garbage':
            return self.answer(200, b'001e# service=git-upload-pack\n0000ffffnonsense', 'application/x-git-upload-pack-advertisement')
        self.backend(self.path, body)

    def give(self, oid, data):
        if self.command == 'POST':
            return self.answer(200, b'0008NAK\n' + data, 'application/x-git-upload-pack-result')
        lines = [oid.encode() + b' HEAD\0ofs-delta agent=x\n', oid.encode() + b' refs/heads/main\n']
        self.answer(200, b'001e# service=git-upload-pack\n0000' + b''.join(b'%04x%s' % (len(l) + 4, l) for l in lines) + b'0000', 'application/x-git-upload-pack-advertisement')

    def promise(self, length):
        self.send_response(200)
        self.send_header('Content-Type', 'application/x-git-upload-pack-advertisement')
        self.send_header('Content-Length', str(length))
        self.end_headers()
        self.wfile.flush()
        self.server.stopping.wait(60)

    def stream(self, chunks):
        self.send_response(200)
        self.send_header('Content-Type', 'application/x-git-upload-pack-advertisement')
        self.send_header('Transfer-Encoding', 'chunked')
        self.end_headers()
        for c in chunks:
            self.wfile.write(b'%x\r\n%s\r\n' % (len(c), c))
            self.wfile.flush()

    def lines(self):
        yield b'001e# service=git-upload-pack\n0000'
        n = 0
        while not self.server.stopping.is_set():
            n += 1
            line = b'%040x refs/heads/b%d\n' % (n, n)
            yield b'%04x%s' % (len(line) + 4, line)

    def trickle(self, endless):
        def slow():
            for line in self.lines():
                yield line
                self.server.stopping.wait(0.2)        # the trickle itself is what is tested
        self.stream(slow())

    def flood(self):
        def fast():
            some = []
            for line in self.lines():
                some.append(line)
                if len(some) == 20000:
                    yield b''.join(some)
                    some = []
        self.stream(fast())

    def backend(self, target, body):
        path, _, query = target.partition('?')
        env = {'PATH': os.environ['PATH'], 'GIT_PROJECT_ROOT': self.server.root, 'GIT_HTTP_EXPORT_ALL': '1', 'PATH_INFO': path, 'QUERY_STRING': query,
               'REQUEST_METHOD': self.command, 'CONTENT_TYPE': self.headers.get('Content-Type', ''), 'CONTENT_LENGTH': str(len(body)),
               'HTTP_CONTENT_ENCODING': self.headers.get('Content-Encoding', ''), 'GIT_PROTOCOL': self.headers.get('Git-Protocol', ''),
               'GIT_CONFIG_COUNT': '1', 'GIT_CONFIG_KEY_0': 'safe.directory', 'GIT_CONFIG_VALUE_0': '*', 'HOME': '/nonexistent'}
        out = subprocess.run([BACKEND], input=body, capture_output=True, env=env).stdout
        head, _, rest = out.partition(b'\r\n\r\n')
        fields = dict(l.split(': ', 1) for l in head.decode().split('\r\n') if ': ' in l)
        status = int(fields.pop('Status', '200').split()[0])
        self.answer(status, rest, fields.get('Content-Type', 'text/plain'))
