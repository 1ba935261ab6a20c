# SPDX-License-Identifier: Apache-2.0
"""The one-node Kubernetes of tests/cluster, as its suites see it: they run inside its namespaces (tests/cluster/in)."""
import collections, contextlib, json, os, re, signal, subprocess, sys, threading, time
from local import Api, BINARY, Suite, TERMINAL, TOP, run_object, until

CLUSTER = os.environ.get('KR_CLUSTER', '')
SYSTEM = 'kruntimes-system'
GROUP = '/apis/kruntimes.io/v1alpha1'
MERGE, JSON_PATCH, APPLY = 'application/merge-patch+json', 'application/json-patch+json', 'application/apply-patch+yaml'
if not CLUSTER:
    sys.exit('this suite needs a cluster: make test-cluster, or tests/cluster/up and tests/cluster/in tests/cluster/NAME.py')


def kubectl(*args, stdin=None, check=True, timeout=120):
    done = subprocess.run(['kubectl', *args], input=stdin, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode:
        raise SystemExit('kubectl %s: %s%s' % (' '.join(args), done.stdout, done.stderr))
    return done.stdout if check else done


def cli(*args, timeout=120):
    return subprocess.run([BINARY, *args], capture_output=True, encoding='utf-8', errors='backslashreplace', timeout=timeout)


class Space:
    """A namespace of its own for a suite, with an API connection of its own."""
    def __init__(self, name):
        self.name, self.api = name, Api(os.path.join(CLUSTER, 'admin.conf'))
        self.runs, self.runtimes = (GROUP + '/namespaces/%s/%s' % (name, r) for r in ('runs', 'runtimes'))
        self.core, self.apps = '/api/v1/namespaces/' + name, '/apis/apps/v1/namespaces/' + name
        self.api.call('POST', '/api/v1/namespaces', {'metadata': {'name': name}}, retry=True)
        until(lambda: self.api.call('GET', self.core + '/serviceaccounts/default')[0] == 200)

    def get(self, path):
        status, answer = self.api.call('GET', path, retry=True)
        return answer if status == 200 else {}

    def items(self, path):
        return self.get(path).get('items', [])

    def runtime(self, name, image='localhost/bash:1', server='Injected', replicas=1, runs=4, template=None, **spec):
        """Makes (or replaces the spec of) a Runtime."""
        container = {'name': 'runtime', 'image': image, 'imagePullPolicy': 'IfNotPresent'}
        pod = {'spec': {'terminationGracePeriodSeconds': 30, 'containers': [container]}} if template is None else template
        body = {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': name},
                'spec': {'server': server, 'replicas': replicas, 'capacity': {'resources': {'runs': runs}}, 'template': pod, **spec}}
        return self.api.call('PATCH', self.runtimes + '/' + name + '?fieldManager=test&force=true', body, APPLY)

    def runtime_status(self, name):
        return self.get(self.runtimes + '/' + name).get('status', {})

    def condition(self, name, type):
        return next((c for c in self.runtime_status(name).get('conditions', []) if c['type'] == type), {})

    def wait_ready(self, name, seconds=90):
        def ready():
            r = self.get(self.runtimes + '/' + name)
            s = r.get('status', {})
            return s.get('observedGeneration') == r.get('metadata', {}).get('generation') and \
                any(c['type'] == 'Ready' and c['status'] == 'True' for c in s.get('conditions', [])) and s.get('replicas') == r['spec'].get('replicas')
        return until(ready, seconds)

    def submit(self, name, args=None, runtime='bash', **spec):
        return self.api.call('POST', self.runs, run_object(name, args, runtime, **spec), retry=True)

    def run_status(self, name):
        return self.get(self.runs + '/' + name).get('status', {})

    def finished(self, name, seconds=60):
        until(lambda: self.run_status(name).get('phase') in TERMINAL, seconds, 0.05)
        return self.run_status(name)

    def wait_runs(self, names, seconds=300, pause=0.5):
        """Runs by name, once all of them are over."""
        names = set(names)

        def all_over():
            runs = {r['metadata']['name']: r for r in self.items(self.runs) if r['metadata']['name'] in names}
            self.seen = runs
            return len(runs) == len(names) and all(r.get('status', {}).get('phase') in TERMINAL for r in runs.values())
        until(all_over, seconds, pause)
        return self.seen

    def pods(self, runtime=None):
        return self.items(self.core + '/pods' + ('?labelSelector=kruntimes.io/runtime=' + runtime if runtime else ''))

    def events(self, name):
        return [e for e in self.items(self.core + '/events') if e['involvedObject'].get('name') == name]

    def claim(self):
        """A folder of the node as a volume for artifacts, since nothing here provisions any; it lets the group of runtimed write (hostPath has
        no fsGroup). A volume is no part of the namespace."""
        folder = os.path.join(CLUSTER, 'volume-' + self.name)
        os.makedirs(folder, exist_ok=True)
        os.chown(folder, 0, 65532)
        os.chmod(folder, 0o2775)
        volume = {'capacity': {'storage': '1Gi'}, 'accessModes': ['ReadWriteMany'], 'hostPath': {'path': folder}, 'storageClassName': '',
                  'claimRef': {'namespace': self.name, 'name': 'artifacts'}}
        self.api.call('POST', '/api/v1/persistentvolumes', {'apiVersion': 'v1', 'kind': 'PersistentVolume', 'metadata': {'name': self.name}, 'spec': volume})
        self.api.call('POST', self.core + '/persistentvolumeclaims', {'apiVersion': 'v1', 'kind': 'PersistentVolumeClaim', 'metadata': {'name': 'artifacts'}, 'spec': {
            'accessModes': ['ReadWriteMany'], 'storageClassName': '', 'volumeName': self.name, 'resources': {'requests': {'storage': '1Gi'}}}})
        return {'driver': 'filesystem', 'filesystem': {'volumeClaimName': 'artifacts'}}

    def delete(self):
        self.api.call('DELETE', '/api/v1/namespaces/' + self.name)

    def why(self):
        """What a failure is looked into with."""
        out = [kubectl('get', 'runtimes,pods,deployments', '-n', self.name, '-o', 'wide', check=False).stdout,
               kubectl('get', 'events', '-n', self.name, check=False).stdout[-3000:]]
        for p in self.pods():
            for c in p['spec'].get('initContainers', []) + p['spec']['containers']:
                log = kubectl('logs', '-n', self.name, p['metadata']['name'], '-c', c['name'], '--tail=15', check=False)
                out.append('--- %s %s\n%s%s' % (p['metadata']['name'], c['name'], log.stdout, log.stderr))
        return '\n'.join(out) + system_logs()


def system_logs():
    out = []
    for app in ('controller', 'scheduler'):
        out.append('--- %s\n%s' % (app, kubectl('logs', '-n', SYSTEM, '-l', 'app.kubernetes.io/component=' + app, '--tail=25', '--prefix', check=False).stdout))
    return '\n'.join(out)


def install():
    """Everything that a cluster needs of us, unless it is there: as anybody would."""
    if kubectl('get', 'deployment', '-n', SYSTEM, 'kruntimes-controller', check=False).returncode:
        kubectl('apply', '-k', os.path.join(TOP, 'manifests'))
    for c in ('controller', 'scheduler'):
        kubectl('rollout', 'status', '-n', SYSTEM, 'deployment/kruntimes-' + c, '--timeout=120s')


@contextlib.contextmanager
def nobody_acts():
    """Controller and scheduler at rest, where they are installed: what a suite makes stays as it is made."""
    there = kubectl('get', 'deployments', '-n', SYSTEM, '-o', 'name', '--ignore-not-found').split()
    if there:
        kubectl('scale', '-n', SYSTEM, '--replicas=0', *there)
        kubectl('wait', '-n', SYSTEM, '--for=delete', 'pods', '--all', '--timeout=90s')
    try:
        yield
    finally:
        if there:
            kubectl('scale', '-n', SYSTEM, '--replicas=2', *there)


# ---- the cluster's own parts ------------------------------------------------------------------------------------------

class Component:
    """etcd, kube-apiserver, kubelet, …: init (tests/cluster/init) starts it again while its file in on/ exists."""
    def __init__(self, name):
        self.file = os.path.join(CLUSTER, 'on', name)

    def pid(self):
        return int(open(self.file).read() or 0)

    def kill(self):
        os.kill(self.pid(), signal.SIGKILL)

    def hold(self):
        pid = self.pid()
        os.unlink(self.file)
        os.kill(pid, signal.SIGKILL)

    def release(self):
        open(self.file, 'w').close()


def pids_of(image_command, *words):
    """PIDs of processes whose command line begins with that program and has these words."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            argv = open('/proc/%s/cmdline' % pid).read().split('\0')
        except OSError:
            continue
        if os.path.basename(argv[0]) == image_command and all(w in argv for w in words):
            found.append(int(pid))
    return sorted(found)
