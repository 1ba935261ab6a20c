# SPDX-License-Identifier: Apache-2.0
"""The parts of an instance by themselves: an API server, a node, and as many controllers and schedulers as a test wants."""
import os, re, signal, socket, subprocess
from local import *

LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kruntimes-'


class Cluster:
    """API server and node by themselves; controllers and schedulers as a test starts them. front: from the API server's port to the one that
    node, controllers and schedulers are to ask instead."""
    def __init__(self, suite, folder, front=None):
        self.suite, self.dir, self.state, self.parts, self.through = suite, folder, os.path.join(folder, 'state'), {}, ''
        self.env = {k: v for k, v in os.environ.items() if not k.startswith('KU') and not k.startswith('KR_')}
        self.start('apiserver', 'apiserver', '--state-dir', self.state, '--pods-dir', os.path.join(self.state, 'pods'), '--port', '0')
        self.until('the API server listens', lambda: os.path.exists(self.kubeconfig()))
        self.api = Api(self.kubeconfig())
        if front:
            port = re.search(r'server: https://127\.0\.0\.1:(\d+)', open(self.kubeconfig()).read()).group(1)
            self.through, instead = '-through', str(front(int(port)))
            for component in ('', 'controller', 'scheduler'):
                with open(self.kubeconfig(component) , encoding='utf-8') as f, open(self.kubeconfig(component) + self.through, 'w', encoding='utf-8') as out:
                    out.write(f.read().replace(':' + port, ':' + instead))
        self.start('node', 'node', '--kubeconfig', self.kubeconfig() + self.through, '--dir', os.path.join(self.state, 'pods'),
                   '--volumes', os.path.join(self.state, 'volumes'))

    def kubeconfig(self, component=''):
        return os.path.join(self.state, 'kubeconfig' + ('-' + component if component else ''))

    def start(self, name, *argv):
        log = open(os.path.join(self.dir, name + '.log'), 'ab')
        self.parts[name] = subprocess.Popen([BINARY, *argv], env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def start_component(self, component, name):
        sockets = ['--%s-bind=unix:%s' % (kind, os.path.join(self.dir, '%s.%s' % (name, kind))) for kind in ('metrics', 'probes')]
        self.start(name, component, '--kubeconfig', self.kubeconfig(component) + self.through, '--lease-namespace', 'kube-system', '--identity', name, *sockets)

    def until(self, what, is_so, seconds=DEADLINE):
        end = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > end:
                return self.suite.check(what, False, self.logs())
            time.sleep(0.02)      # nothing tells when but looking
        return self.suite.check(what, True)

    def holder(self, component):
        status, lease = self.api.call('GET', LEASES + component)
        return lease['spec'].get('holderIdentity', '') if status == 200 else ''

    def page(self, name, path, kind='probes'):
        """Status and text of a page of a part."""
        c = http.client.HTTPConnection('localhost', timeout=DEADLINE)
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.connect(os.path.join(self.dir, '%s.%s' % (name, kind)))
        c.request('GET', path)
        answer = c.getresponse()
        self.type = answer.getheader('content-type')
        return answer.status, answer.read().decode()

    def submit(self, prefix, n):
        names = ['%s-%03d' % (prefix, k) for k in range(n)]
        for name in names:
            self.suite.equal('%s is accepted' % name, self.api.call('POST', RUNS, run_object(name, ['echo']))[0], 201)
        return names

    def wait(self, names):
        done, found = {}, lambda: self.api.call('GET', RUNS)[1]['items']
        def over():
            done.update({r['metadata']['name']: r for r in found()})
            return all(done[n].get('status', {}).get('phase') in TERMINAL for n in names)
        self.until('%s… are over' % names[0], over, 120)
        for n in names:
            self.suite.equal(n, (done[n]['status'].get('phase'), done[n]['status'].get('attempt')), ('Succeeded', 1))

    def logs(self):
        return '\n'.join('--- %s\n%s' % (n, open(os.path.join(self.dir, n + '.log'), errors='replace').read()[-1500:]) for n in self.parts)

    def stop(self):
        for p in reversed(list(self.parts.values())):
            if p.poll() is None:
                p.send_signal(signal.SIGCONT)
                p.terminate()
                try:
                    p.wait(10)
                except subprocess.TimeoutExpired:
                    p.kill()
                    p.wait()
