# SPDX-License-Identifier: Apache-2.0
"""A Runtime Pod made by hand on a local instance: a Pod object and a runtimed of its own, which a test can stop, cut off or put
beside another Runtime Server; and a proxy that can be cut."""
import os, re, socket, subprocess, threading
import local
from local import RUNTIMES

PODS = '/api/v1/namespaces/default/pods'
MERGE = 'application/merge-patch+json'


def make_runtime(i, name):
    """A Runtime without pods but those made by hand."""
    return i.api.call('POST', RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': name},
                                         'spec': {'replicas': 0, 'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'x'}]}}}})


class Pod:
    """port: of a Runtime Server that is there. runtime: made before. more: options."""
    def __init__(self, i, runtime, name, port, place, capacity=32, binary=None, kubeconfig=None, pages='off', more=()):
        self.i, self.name = i, name
        self.uid = i.api.call('POST', PODS, {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': name, 'labels': {'kruntimes.io/runtime': runtime},
                              'annotations': {'kruntimes.io/capacity.runs': str(capacity)}}, 'spec': {'containers': [{'name': 'runtime'}]}})[1]['metadata']['uid']
        self.argv = [binary or local.BINARY, 'runtimed', '--pod-name', name, '--pod-uid', self.uid, '-n', 'default', '--capacity', 'runs=%d' % capacity, '--workspace', place + '/ws',
                     '--state', place + '/st', '--secret-file', place + '/secret', '--server-port', str(port), '--port', '0', '--pages-bind', pages,
                     '--kubeconfig', kubeconfig or os.path.join(i.state, 'kubeconfig'), *more]
        os.makedirs(place + '/ws', exist_ok=True)
        self.log = place + '/runtimed.log'
        self.start()
        i.api.call('PATCH', PODS + '/%s/status' % name, {'status': {'phase': 'Running', 'podIP': '127.0.0.1', 'conditions': [{'type': 'Ready', 'status': 'True'}]}}, MERGE)

    def start(self):
        self.daemon = subprocess.Popen(self.argv, stderr=open(self.log, 'a'))

    def grpc_port(self):
        return int(re.findall(r'runtimed is ready .*port=(\d+)', open(self.log).read())[-1])

    def stop(self):
        """Its exit status."""
        self.daemon.terminate()
        return self.daemon.wait(20)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def our_server(place, port):
    """Our runtime-server; it waits for the secret that runtimed writes."""
    os.makedirs(place, exist_ok=True)
    return subprocess.Popen([local.BINARY, 'runtime-server', '--port', str(port), '--secret-file', place + '/secret'], stderr=open(place + '/server.log', 'a'))


class Proxy:
    """TCP to an API server; cut: what is open breaks off, what is new is refused."""
    def __init__(self, i):
        self.to, self.is_cut, self.open = (i.api.host.replace('https://', ''), int(i.api.port)), False, set()
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.kubeconfig = os.path.join(i.dir, 'kubeconfig-by-proxy')
        text = open(os.path.join(i.state, 'kubeconfig')).read()
        with open(self.kubeconfig, 'w') as f:
            f.write(re.sub(r'server: \S+', 'server: https://127.0.0.1:%d' % self.listener.getsockname()[1], text))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            one, _ = self.listener.accept()
            if self.is_cut:
                one.close()
                continue
            other = socket.create_connection(self.to)
            self.open |= {one, other}
            for a, b in ((one, other), (other, one)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            self.open.discard(s)
            s.close()

    def cut(self, on=True):
        self.is_cut = on
        for s in list(self.open) if on else ():
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
