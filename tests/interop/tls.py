#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
TLS against OpenSSL, our API server and our client: chains of certificates longer than allowed, old versions, and sessions:
none is ever resumed, who tries gets a full handshake.
"""
import contextlib, os, socket, ssl, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
if not shutil.which('openssl'):
    s.skip('TLS', 'openssl, which makes the certificates, is not on this machine')
    s.end()
top = tempfile.mkdtemp(prefix='kr-tls-')
at = lambda name: os.path.join(top, name)
RUNS_LIST = b'{"kind":"RunList","apiVersion":"kruntimes.io/v1alpha1","metadata":{"resourceVersion":"1"},"items":[]}'
MOST = 8                                     # certificates between a leaf and the CA that Mbed TLS follows


# ---- certificates -----------------------------------------------------------------------------------------------------

def openssl(*args):
    subprocess.run(['openssl', *args], check=True, capture_output=True)


def text(name):
    return open(at(name)).read()


def sign(name, ca, extensions):
    """A key and a certificate of this name, by the CA of that one."""
    openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', at(name + '.key'), '-out', at('csr'), '-subj', '/CN=' + name)
    with open(at('extensions'), 'w') as f:
        f.write(extensions)
    openssl('x509', '-req', '-in', at('csr'), '-CA', at(ca + '.pem'), '-CAkey', at(ca + '.key'), '-days', '2', '-out', at(name + '.pem'), '-extfile', at('extensions'))


def make_chain(length):
    """The root alone is trusted; leaf N has N certificates between itself and the root."""
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', at('ca0.key'), '-out', at('ca0.pem'), '-days', '2', '-subj', '/CN=root')
    for n in range(1, length + 1):
        sign('ca%d' % n, 'ca%d' % (n - 1), 'basicConstraints=critical,CA:TRUE\n')


def leaf(n):
    """A file with the leaf below n certificates, and those."""
    sign('leaf%d' % n, 'ca%d' % n, 'subjectAltName=IP:127.0.0.1\n')
    with open(at('chain%d.pem' % n), 'w') as f:
        f.write(''.join([text('leaf%d.pem' % n)] + [text('ca%d.pem' % k) for k in range(n, 0, -1)]))
    return at('chain%d.pem' % n), at('leaf%d.key' % n)


# ---- our client -------------------------------------------------------------------------------------------------------

class Server:
    """OpenSSL's side: answers each connection with an empty list of Runs, and remembers whether its session was resumed."""
    def __init__(self, cert, key, change=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.context.set_alpn_protocols(['http/1.1'])
        if change:
            change(self.context)
        self.resumed, self.requests = [], 0
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                sock = self.listener.accept()[0]
            except OSError:
                return
            with contextlib.suppress(OSError), sock:
                sock.settimeout(DEADLINE)
                tls = self.context.wrap_socket(sock, server_side=True)
                self.resumed.append(tls.session_reused)
                self.answer(tls)

    def answer(self, tls):
        data = b''
        while more := tls.recv(65536):
            data += more
            if data.endswith(b'\r\n\r\n'):
                self.requests, data = self.requests + 1, b''
                tls.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' % (len(RUNS_LIST), RUNS_LIST))

    def close(self):
        self.listener.close()


def ask(port):
    """What the command line says of a server there."""
    with open(at('kubeconfig'), 'w') as f:
        json.dump({'apiVersion': 'v1', 'kind': 'Config', 'current-context': 'c', 'contexts': [{'name': 'c', 'context': {'cluster': 'c', 'user': 'u'}}],
                   'clusters': [{'name': 'c', 'cluster': {'server': 'https://127.0.0.1:%d' % port, 'certificate-authority-data': base64.b64encode(text('ca0.pem').encode()).decode()}}],
                   'users': [{'name': 'u', 'user': {'token': 't'}}]}, f)
    return subprocess.run([BINARY, 'run', 'list'], capture_output=True, text=True, timeout=DEADLINE, env=dict(os.environ, KUBECONFIG=at('kubeconfig')))


def only(version):
    def change(context):
        context.minimum_version = context.maximum_version = version
    return change


def tickets(n):
    def change(context):
        context.num_tickets = n
    return change


def our_client():
    for n in (0, 1, MOST):
        server = Server(*leaf(n))
        r = ask(server.port)
        s.check('a chain with %d between leaf and CA' % n, r.returncode == 0, r.stdout + r.stderr)
        server.close()
    for n in (MOST + 1, MOST + 4):
        server = Server(*leaf(n))
        r = ask(server.port)
        s.check('a chain with %d is too long' % n, r.returncode != 0 and 'certificate is not accepted: more than 8' in r.stderr and server.requests == 0, r.stdout + r.stderr)
        server.close()
    cert, key = leaf(0)
    with open(at('crowd.pem'), 'w') as f:
        f.write(text('chain0.pem') + text('leaf1.pem') * 100)
    server = Server(at('crowd.pem'), key)
    r = ask(server.port)
    s.check('a hundred that nobody asked for, beyond what a handshake may hold', r.returncode != 0 and server.requests == 0, r.stdout + r.stderr)
    server.close()
    for name, change in (('TLS 1.2, a ticket within the handshake', only(ssl.TLSVersion.TLSv1_2)), ('TLS 1.3, two behind it', only(ssl.TLSVersion.TLSv1_3)), ('TLS 1.3, 200 of them', tickets(200))):
        server = Server(cert, key, change)
        done = [ask(server.port) for _ in range(3)]
        s.check(name, all(r.returncode == 0 for r in done) and server.requests >= 3, done[-1].stdout + done[-1].stderr)
        s.check(name + ': each handshake is whole', server.resumed and not any(server.resumed), str(server.resumed))
        server.close()
    old(cert, key)


def old(cert, key):
    """A server that speaks TLS 1.1 and nothing else."""
    port = socket.create_server(('127.0.0.1', 0))
    number = port.getsockname()[1]
    port.close()
    p = subprocess.Popen(['openssl', 's_server', '-accept', '127.0.0.1:%d' % number, '-cert', cert, '-key', key, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in p.stdout:
        if 'ACCEPT' in line:
            break
    r = ask(number)
    s.check('a server of TLS 1.1 is refused', r.returncode != 0 and 'TLS' in r.stderr, r.stdout + r.stderr)
    p.terminate()
    p.communicate()


# ---- our server -------------------------------------------------------------------------------------------------------

class Ours:
    def __init__(self):
        state = at('state')
        self.p = subprocess.Popen([BINARY, 'apiserver', '--state-dir', state, '--port', '0'], stderr=subprocess.PIPE, text=True)
        self.p.stderr.readline()
        self.port = int(Api(os.path.join(state, 'kubeconfig')).port)
        shutil.copy(os.path.join(state, 'ca.pem'), at('ours.pem'))
        shutil.copy(os.path.join(state, 'ca-key.pem'), at('ours.key'))
        threading.Thread(target=self.p.stderr.read, daemon=True).start()

    def context(self, change=None):
        context = ssl.create_default_context(cafile=at('ours.pem'))
        context.load_verify_locations(at('ca0.pem'))
        if change:
            change(context)
        return context

    def get(self, context, port=None, session=None):
        """The first line of an answer, the session that came of it, and whether one was resumed."""
        with socket.create_connection(('127.0.0.1', port or self.port), DEADLINE) as sock, context.wrap_socket(sock, server_hostname='127.0.0.1', session=session) as tls:
            tls.sendall(b'GET /version HTTP/1.1\r\nHost: x\r\n\r\n')
            return tls.recv(12), tls.session, tls.session_reused

    def close(self):
        self.p.terminate()
        self.p.wait()


def our_server():
    ours = Ours()
    cert, key = leaf(0)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        name = version.name
        context = ours.context(only(version))
        first, session, _ = ours.get(context)
        s.check(name + ': no ticket is given', first == b'HTTP/1.1 200' and not session.has_ticket, repr(first))
        first, _, reused = ours.get(context, session=session)
        s.equal(name + ': who comes back with a session', (first, reused), (b'HTTP/1.1 200', False))
        for change in (None, tickets(1)):
            other = Server(cert, key, change)
            _, session, _ = ours.get(context, other.port)
            first, _, reused = ours.get(context, session=session)
            s.equal(name + ': who comes with the ticket of somebody else', (session.has_ticket, first, reused), (True, b'HTTP/1.1 200', False))
            other.close()
    context = ours.context(lambda c: setattr(c, 'options', c.options | ssl.OP_NO_TICKET))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    other = Server(cert, key, lambda c: setattr(c, 'options', c.options | ssl.OP_NO_TICKET))
    _, session, _ = ours.get(context, other.port)
    first, _, reused = ours.get(context, session=session)
    s.equal('TLS 1.2: who comes with the number of a session', (len(session.id), first, reused), (32, b'HTTP/1.1 200', False))
    other.close()
    client_chains(ours)
    s.check('it lives, and answers', ours.p.poll() is None and ours.get(ours.context())[0] == b'HTTP/1.1 200')
    ours.close()


def client_chains(ours):
    """Client certificates: the right one, and those that lead nowhere or too far."""
    sign('admin', 'ours', 'extendedKeyUsage=clientAuth\n')
    with open(at('sub.pem'), 'w') as f:
        f.write(text('admin.pem'))
    sign('sub', 'ours', 'basicConstraints=critical,CA:TRUE\n')
    sign('below', 'sub', 'extendedKeyUsage=clientAuth\n')
    with open(at('below-chain.pem'), 'w') as f:
        f.write(text('below.pem') + text('sub.pem'))
    long, long_key = leaf(MOST + 4)
    with open(at('repeated.pem'), 'w') as f:
        f.write(text('admin.pem') + text('leaf1.pem') * 100)
    for name, cert, key, good in (('of its own CA', at('admin.pem'), at('admin.key'), True), ('below one that may sign no CA', at('below-chain.pem'), at('below.key'), False),
                                  ('of a chain that is too long', long, long_key, False), ('with a hundred beside it', at('repeated.pem'), at('admin.key'), False)):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ours.context(only(version))
            context.load_cert_chain(cert, key)
            try:
                got = ours.get(context)[0]
            except OSError:
                got = b''
            s.check('%s, a client certificate %s' % (version.name, name), (got == b'HTTP/1.1 200') == good, repr(got))


try:
    make_chain(MOST + 4)
    our_client()
    our_server()
finally:
    shutil.rmtree(top, ignore_errors=True)
s.end()
