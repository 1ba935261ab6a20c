# SPDX-License-Identifier: Apache-2.0
"""An API server that is only what a test says it is: answers by method and path on this machine, with any clock, and any certificate."""
import contextlib, email.utils, http.server, json, os, ssl, threading, time


def status(code, reason, message):
    return code, {'kind': 'Status', 'apiVersion': 'v1', 'status': 'Failure', 'code': code, 'reason': reason, 'message': message}


NO_PAGE = 404, '404 page not found\n'
NO_RESOURCE = status(404, 'NotFound', 'the server could not find the requested resource')


class Fake:
    """answers: {'GET /version': (200, object or text)}; the longest that a request's method and path begin with counts. skew: seconds
    that its clock is ahead; None: it tells no time. certificate: its file and its key's, for TLS."""
    def __init__(self, folder, answers=None, skew=0, certificate=None):
        self.answers, self.skew, self.asked = dict(answers or {}), skew, []
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            wbufsize = -1             # head and body in one write: else each answer waits for an acknowledgement

            def do(self):
                body = self.rfile.read(int(self.headers.get('content-length') or 0))
                code, answer = fake.answer('%s %s' % (self.command, self.path), body)
                data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response_only(code)
                if fake.skew is not None:
                    self.send_header('Date', email.utils.formatdate(time.time() + fake.skew, usegmt=True))
                self.send_header('Content-Type', 'text/plain' if isinstance(answer, str) else 'application/json')
                self.send_header('Content-Length', str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = do

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*certificate)
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.kubeconfig = os.path.join(folder, 'fake-%d' % self.server.server_port)
        with open(self.kubeconfig, 'w') as f:
            json.dump({'apiVersion': 'v1', 'kind': 'Config', 'current-context': 'fake',
                       'clusters': [{'name': 'fake', 'cluster': {'server': 'http%s://127.0.0.1:%d' % ('s' if certificate else '', self.server.server_port)}}],
                       'users': [{'name': 'me', 'user': {'token': 'x'}}],
                       'contexts': [{'name': 'fake', 'context': {'cluster': 'fake', 'user': 'me'}}]}, f)

    def answer(self, asked, body):
        self.asked.append(asked)
        fits = [k for k in self.answers if asked.startswith(k)]
        found = self.answers[max(fits, key=len)] if fits else NO_RESOURCE
        return found(json.loads(body or '{}')) if callable(found) else found

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
