#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""API servers whose certificate is signed with RSA, as most clusters' are: over TLS 1.3 and over TLS 1.2."""
import os, ssl, sys, threading
import http.server
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()


class Runs(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        body = b'{"kind":"RunList","apiVersion":"kruntimes.io/v1alpha1","metadata":{"resourceVersion":"1"},"items":[]}'
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if not shutil.which('openssl'):
    s.skip('RSA certificates', 'openssl, which makes them, is not on this machine')
    s.end()
top = tempfile.mkdtemp(prefix='kr-rsa-')
key, cert = os.path.join(top, 'key.pem'), os.path.join(top, 'cert.pem')
subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'],
               check=True, capture_output=True)
for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE      # as Go's servers: the client's order counts
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(['http/1.1'])
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Runs)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = os.path.join(top, 'kubeconfig')
    with open(config, 'w') as f:
        json.dump({'apiVersion': 'v1', 'kind': 'Config', 'current-context': 'c', 'contexts': [{'name': 'c', 'context': {'cluster': 'c', 'user': 'u'}}],
                   'clusters': [{'name': 'c', 'cluster': {'server': 'https://127.0.0.1:%d' % server.server_port, 'certificate-authority-data': base64.b64encode(open(cert, 'rb').read()).decode()}}],
                   'users': [{'name': 'u', 'user': {'token': 't'}}]}, f)
    r = subprocess.run([BINARY, 'run', 'list'], capture_output=True, text=True, timeout=60, env=dict(os.environ, KUBECONFIG=config))
    s.check(version.name, r.returncode == 0, r.stdout + r.stderr)
    server.shutdown()
shutil.rmtree(top)
s.end()
