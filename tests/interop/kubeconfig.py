#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ways to an API server: proxies by CONNECT and SOCKS5, one that speaks nothing but plain HTTP/1.1 (as `kubectl proxy`),
credential plugins, merged kubeconfig lists, acting as somebody else."""
import http.client, http.server, socket, ssl, threading
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()


def pump(a, b):
    """Bytes both ways until either side ends."""
    def one(x, y):
        try:
            while data := x.recv(65536):
                y.sendall(data)
        except OSError:
            pass
        for end in (x, y):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
    t = threading.Thread(target=one, args=(a, b), daemon=True)
    t.start()
    one(b, a)
    t.join()


class Proxy:
    """CONNECT and SOCKS5 on one port; names are the proxy's to look up: `api.behind.example` is the instance."""
    def __init__(self, target, password=None):
        self.target, self.password, self.asked = target, password, []
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            c, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        with c, contextlib.suppress(OSError, ValueError):
            f = c.makefile('rb', 0)
            if c.recv(1, socket.MSG_PEEK) == b'\5':
                host, port = self.socks(c, f)
            else:
                host, port = self.connect(c, f)
            self.asked.append('%s:%d' % (host, port))
            with socket.create_connection(self.target) as out:
                pump(c, out)

    def connect(self, c, f):
        method, target, _ = f.readline().decode().split()
        fields = {}
        while line := f.readline().strip():
            k, v = line.decode().split(':', 1)
            fields[k.lower()] = v.strip()
        if self.password and fields.get('proxy-authorization') != 'Basic ' + base64.b64encode(self.password.encode()).decode():
            c.sendall(b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n')
            raise ValueError
        if method != 'CONNECT':
            raise ValueError
        c.sendall(b'HTTP/1.1 200 Connection established\r\n\r\n')
        host, port = target.rsplit(':', 1)
        return host.strip('[]'), int(port)

    def socks(self, c, f):
        f.read(f.read(2)[1])
        c.sendall(b'\5\0')
        f.read(4)
        host = f.read(f.read(1)[0]).decode()
        port = int.from_bytes(f.read(2), 'big')
        c.sendall(b'\5\0\0\1\0\0\0\0\0\0')
        return host, port


class Plain(http.server.BaseHTTPRequestHandler):
    """What `kubectl proxy` is: plain HTTP/1.1 in front, HTTPS with the admin's token behind. No HTTP/2 at all."""
    protocol_version = 'HTTP/1.1'
    api = None
    seen = set()

    def log_message(self, *args):
        pass

    def forward(self):
        Plain.seen.add((self.command, self.request_version))
        raw = self.api.context.wrap_socket(socket.create_connection((self.api.host, int(self.api.port))), server_hostname=self.api.host)
        body = self.rfile.read(int(self.headers.get('content-length') or 0))
        head = ['%s %s HTTP/1.1' % (self.command, self.path), 'Authorization: ' + self.api.headers['Authorization']]
        upgrade = self.headers.get('upgrade')
        head += ['%s: %s' % (k, v) for k, v in self.headers.items() if k.lower() not in ('authorization', 'connection')]
        head.append('Connection: ' + ('Upgrade' if upgrade else 'close'))
        raw.sendall('\r\n'.join(head + ['', '']).encode() + body)
        self.close_connection = True
        pump(self.connection, raw)         # the answer as it comes, until its end; an upgrade goes on both ways

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = forward


def config(server, ca=None, user='{}', **cluster):
    cluster = ', '.join('%s: %s' % (k.replace('_', '-'), json.dumps(v)) for k, v in
                        dict(cluster, server=server, **({'certificate_authority_data': ca} if ca else {})).items())
    return ('apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n'
            'clusters: [{name: k, cluster: {%s}}]\nusers: [{name: u, user: %s}]\n' % (cluster, user))


with instance() as i:
    admin = open(os.path.join(i.state, 'kubeconfig')).read()
    server, ca, token = (re.search(r'^ *%s: (\S+)$' % n, admin, re.M).group(1) for n in ('server', 'certificate-authority-data', 'token'))
    where = (i.api.host, int(i.api.port))
    name = i.api.host
    me = json.dumps({'token': token})

    def file(what, text, mode=0o600):
        path = os.path.join(i.dir, what)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def go(*args, path=None, **env):
        return i.cli(*args, env=dict(i.env, **({'KUBECONFIG': path} if path else {}), **env))

    # proxies; the server's name is known behind them only
    behind = 'https://api.behind.example:6443'
    proxy, locked = Proxy(where), Proxy(where, 'me:w@rd')
    for kind, url in ('http', 'http://127.0.0.1:%d' % proxy.port), ('socks5', 'socks5://127.0.0.1:%d' % proxy.port), \
                     ('with a password', 'http://me:w%%40rd@127.0.0.1:%d' % locked.port):
        p = file('proxied', config(behind, ca, me, proxy_url=url, tls_server_name=name))
        r = go('run', 'submit', '--runtime', 'bash', '--name', 'by-' + kind.split()[-1], '--wait', '--follow', '--', 'echo', 'through ' + kind, path=p)
        s.equal('a Run and its logs through a proxy, ' + kind, (r.returncode, r.stdout.splitlines()[-1:]), (0, ['through ' + kind]))
    s.equal('the proxy looks names up', set(proxy.asked + locked.asked), {'api.behind.example:6443'})
    p = file('direct', config(behind, ca, me, tls_server_name=name))
    r = go('run', 'list', path=p, HTTPS_PROXY='http://127.0.0.1:%d' % proxy.port)
    s.equal('the proxy of the environment', r.returncode, 0)
    before = len(proxy.asked)
    r = go('run', 'list', path=p, HTTPS_PROXY='http://127.0.0.1:%d' % proxy.port, NO_PROXY='.example')
    s.check('NO_PROXY', r.returncode != 0 and len(proxy.asked) == before, r.stderr)
    r = go('run', 'list', '--proxy-url', 'http://127.0.0.1:%d' % locked.port, path=p)
    s.check('a proxy that wants a password says so', r.returncode != 0 and 'wants a user and password' in r.stderr, r.stderr)
    r = go('run', 'list', '--proxy-url', 'http://me:secret@127.0.0.1:1', path=p)
    s.check('a proxy that is not there', r.returncode != 0 and '127.0.0.1:1' in r.stderr and 'secret' not in r.stderr, r.stderr)

    # plain HTTP/1.1 and nothing else
    Plain.api = i.api
    plain = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Plain)
    threading.Thread(target=plain.serve_forever, daemon=True).start()
    url = 'http://127.0.0.1:%d' % plain.server_address[1]
    r = go('run', 'submit', '--server', url, '--runtime', 'bash', '--name', 'by-plain', '--wait', '--follow', '--', 'echo', 'in plain')
    s.equal('a Run and its logs over plain HTTP/1.1', (r.returncode, r.stdout.splitlines()[-1:]), (0, ['in plain']))
    s.check('and it was', {v for _, v in Plain.seen} == {'HTTP/1.1'}, str(Plain.seen))

    # credential plugins
    plugin = '''#!/bin/sh
echo "$*" >>%s/asked
case $KUBERNETES_EXEC_INFO in *'"server":"%s"'*) ;; *) echo "no cluster: $KUBERNETES_EXEC_INFO" >&2; exit 9;; esac
printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/%%s","status":{"token":"%%s"}}' "$1" "$TOKEN"
'''
    file('plug/bin/plugin', plugin % (i.dir, server), 0o700)
    for version in 'v1', 'v1beta1':
        user = ('{exec: {apiVersion: client.authentication.k8s.io/%s, command: bin/plugin, args: [%s, get-token], env: [{name: TOKEN, value: %s}], '
                'provideClusterInfo: true, interactiveMode: IfAvailable}}' % (version, version, json.dumps(token)))
        p = file('plug/config', config(server, ca, user))
        r = go('run', 'submit', '--runtime', 'bash', '--name', 'plugged-' + version, '--wait', '--follow', '--', 'echo', version, path=p)
        s.equal('a credential plugin, ' + version, (r.returncode, r.stdout.splitlines()[-1:]), (0, [version]))
    s.equal('asked once a command', open(os.path.join(i.dir, 'asked')).read().split('\n'), ['v1 get-token', 'v1beta1 get-token', ''])
    p = file('plug/missing', config(server, ca, '{exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-login, interactiveMode: Never, '
                                                'installHint: "ask in the shop"}}'))
    r = go('run', 'list', path=p)
    s.check('a plugin that is missing', r.returncode != 0 and 'ask in the shop' in r.stderr and 'no-such-login' in r.stderr, r.stderr)
    r = go('run', 'list', '--token', token, path=p)
    s.equal('a token goes before it', r.returncode, 0)

    # lists of files, and who one is
    one = file('one', 'current-context: d\ncontexts: [{name: d, context: {cluster: far, user: u}}]\nusers: [{name: u, user: %s}]\n' % me)
    two = file('two', config(server, ca, '{token: wrong}').replace('name: k,', 'name: far,'))
    r = go('run', 'list', path='%s:%s/absent:%s' % (one, i.dir, two))
    s.equal('a list of kubeconfigs', r.returncode, 0)
    r = go('run', 'list', path=two)
    s.check('whose first entry of a name counts', r.returncode != 0, r.stdout)
    r = go('run', 'list', '--as', 'nobody-knows', path='%s:%s' % (one, two))
    s.check('acting as somebody', r.returncode != 0 and 'nobody-knows' in r.stderr, r.stderr)
    r = go('run', 'list', '--as', 'nobody-knows', '--as-group', 'system:masters', path='%s:%s' % (one, two))
    s.equal('in a group', r.returncode, 0)
    r = go('run', 'list', '--as-group', 'system:masters', path='%s:%s' % (one, two))
    s.check('a group needs a user', r.returncode != 0 and '--as' in r.stderr, r.stderr)
    r = go('run', 'list', '--server', server, '--token', token, '--certificate-authority', file('ca.pem', base64.b64decode(ca).decode()))
    s.equal('without any file', r.returncode, 0)
    r = go('run', 'list', '--server', server, '--token', token)
    s.check('an unknown certificate is refused', r.returncode != 0, r.stdout)
    r = go('run', 'list', '--server', server, '--token', token, '--insecure-skip-tls-verify')
    s.equal('unless one insists', r.returncode, 0)
s.end()
