#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stock kubectl against a local instance: what people type, and what they must see."""
import hashlib, os, random, re, socket, subprocess, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
got = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'get'), 'kubectl'], capture_output=True, text=True)
if got.returncode == 77:
    s.skip('kubectl', got.stdout.strip())
    s.end()
KUBECTL = got.stdout.strip()

RUN = '''apiVersion: kruntimes.io/v1alpha1
kind: Run
metadata: {name: %s, labels: {app: demo}}
spec: {runtime: bash, args: ["%s"]}
'''
CM = '''apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: demo}}
data: {colour: %s, size: "%s"}
'''
PVC = '''apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: notes}
spec: {accessModes: [ReadWriteOnce, ReadOnlyMany], resources: {requests: {storage: 1Gi}}}
'''
ODD = '''apiVersion: kruntimes.io/v1alpha1
kind: Runtime
metadata: {name: odd}
spec: {isolation: Sandbox, server: Image, template: {spec: {containers: [{name: runtime, image: odd}]}}}
'''


until = within(20)


def echo_server(ip):
    """Answers each connection with what it was sent, and ends when the client has ended its half."""
    def serve(c):
        with c:
            while data := c.recv(65536):
                c.sendall(data)
            c.sendall(b'end')
    server = socket.create_server((ip, 0), backlog=64)
    def accept():
        while True:
            try:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
            except OSError:
                return
    threading.Thread(target=accept, daemon=True).start()
    return server


class Forward:
    """kubectl port-forward and the local ports it chose."""
    def __init__(self, env, pod, *ports):
        self.process = subprocess.Popen([KUBECTL, 'port-forward', pod, *('0:%d' % p for p in ports)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        self.ports = []
        while len(self.ports) < len(ports) and (line := self.process.stdout.readline()):
            if m := re.match(r'Forwarding from 127.0.0.1:(\d+) ', line):
                self.ports.append(int(m.group(1)))

    def end(self):
        self.process.terminate()
        return self.process.communicate(timeout=30)[1]


def there_and_back(port, data):
    """Sends all of it and ends its half while it reads; what came back."""
    with socket.create_connection(('127.0.0.1', port), timeout=60) as c:
        def send():
            c.sendall(data)
            c.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        got = b''.join(iter(lambda: c.recv(65536), b''))
        sender.join(60)
    return got


def port_forward(env, pod, ip):
    with echo_server(ip) as server, socket.create_server((ip, 0)) as closed:
        port, dead = server.getsockname()[1], closed.getsockname()[1]
        closed.close()
        for how, more in ('WebSocket', {}), ('SPDY alone', {'KUBECTL_PORT_FORWARD_WEBSOCKETS': 'false'}):
            f = Forward(dict(env, **more), pod, port)
            if not s.check('port-forward by %s begins' % how, len(f.ports) == 1, '' if f.ports else f.end()):
                continue
            data = [random.Random(n).randbytes(n) for n in (0, 1, 70000, 200001, 3000000, 12000000)]
            got = [None] * len(data)
            def one(n):
                got[n] = there_and_back(f.ports[0], data[n])
            threads = [threading.Thread(target=one, args=(n,)) for n in range(len(data))]
            for t in threads:
                t.start()
            with socket.create_connection(('127.0.0.1', f.ports[0])) as lost:      # goes without a word
                lost.sendall(b'x')
            for t in threads:
                t.join(60)
            digest = lambda d: d is not None and (len(d), hashlib.sha256(d).hexdigest())
            for n, d in enumerate(data):
                s.equal('port-forward by %s: %d bytes both ways beside others' % (how, len(d)), digest(got[n]), digest(d + b'end'))
            beside = Forward(dict(env, **more), pod, dead)
            with socket.create_connection(('127.0.0.1', beside.ports[0]), timeout=60) as c:
                s.equal('port-forward by %s to a closed port: the end' % how, c.recv(1), b'')
            beside.process.wait(60)             # stock kubectl gives up at the first error that it is told
            said = beside.end()
            s.check('port-forward by %s to a closed port: the error' % how, re.search('error forwarding port %d to pod .*Connection refused' % dead, said), said)
            s.equal('port-forward by %s: the other goes on' % how, there_and_back(f.ports[0], b'still'), b'stillend')
            # of the connection that went kubectl may say so itself, when its answer comes after that
            said = [line for line in f.end().splitlines() if not re.search('error copying from remote stream to local connection.*(broken pipe|connection reset by peer)', line)]
            s.equal('port-forward by %s: no complaint' % how, said, [])


with instance() as i:
    env = dict(i.env, KUBECONFIG=os.path.join(i.state, 'kubeconfig'), KUBE_EDITOR='sed -i s/red/green/')

    def k(*args, stdin=None, timeout=30):
        return subprocess.run([KUBECTL, *args], input=stdin, capture_output=True, text=True, env=env, timeout=timeout, cwd=i.dir)

    def says(*args, out=None, err='', code=0, stdin=None):
        """What it prints: the whole text, or a pattern that must be found."""
        r = k(*args, stdin=stdin)
        fits = lambda want, have: want is None or (want.search(have) is not None if isinstance(want, re.Pattern) else want == have)
        s.check('kubectl ' + ' '.join(args), r.returncode == code and fits(out, r.stdout) and fits(err, r.stderr), '\n  exit %d\n  %r\n  %r' % (r.returncode, r.stdout[:1500], r.stderr[:600]))
        return r.stdout

    has = re.compile

    # what is there
    says('version', out=has(r'Server Version: v1\.34'), err=None)
    says('cluster-info', out=has('Kubernetes control plane.* is running at'))
    says('api-resources', out=has(r'runs +rn +kruntimes.io/v1alpha1 +true +Run'))
    says('api-resources', '--verbs=deletecollection', '-o', 'name', out=has('^runs.kruntimes.io$', re.M))
    says('api-versions', out=has('^kruntimes.io/v1alpha1$', re.M))
    says('explain', 'run.spec.retryPolicy', out=has(r'maxAttempts\t<integer>'))
    says('explain', 'runtime', '--recursive', out=has('interpreter'))
    says('explain', 'deployment.spec.template.spec.containers.ports', out=has(r'containerPort\t<integer> -required-'))
    says('get', '--raw', '/readyz', out='ok')
    said = k('api-resources', '-v=8', '--cached=false').stderr
    asked = re.findall(r'GET "?https://[^/"]*(/api[^"? ]*)', said)
    s.equal('discovery is two questions', sorted(set(asked)), ['/api', '/apis'])
    says('config', 'view', '--minify', out=has('name: kruntimes-local'))

    # create, get in all outputs
    says('create', '-f', '-', stdin=RUN % ('one', 'echo one'), out='run.kruntimes.io/one created\n')
    says('wait', '--for=condition=Finished', 'run/one', '--timeout=20s', out='run.kruntimes.io/one condition met\n')
    says('wait', '--for=jsonpath={.status.phase}=Succeeded', 'run/one', '--timeout=5s', out='run.kruntimes.io/one condition met\n')
    says('get', 'run', 'one', out=has(r'^NAME +RUNTIME +PHASE +EXIT +DURATION +AGE\none +bash +Succeeded +0 +\S+ +\d+s\n$'))
    says('get', 'rn', 'one', '-o', 'wide', out=has('POD.*REASON'))
    says('get', 'run', 'one', '-o', 'name', out='run.kruntimes.io/one\n')
    says('get', 'run', 'one', '-o', 'jsonpath={.status.exitCode}', out='0')
    says('get', 'run', 'one', '-o', 'custom-columns=N:.metadata.name,P:.status.phase', out='N     P\none   Succeeded\n')
    says('get', 'run', 'one', '-o', 'go-template={{.spec.runtime}}', out='bash')
    says('get', 'run', 'one', '-o', 'yaml', out=has('^  phase: Succeeded$', re.M))
    s.equal('get -o json', json.loads(says('get', 'run', 'one', '-o', 'json'))['kind'], 'Run')
    says('get', 'run', 'none', code=1, out='', err='Error from server (NotFound): runs.kruntimes.io "none" not found\n')
    says('get', 'all', out=has('deployment.apps/runtime-bash'))
    says('get', 'pods', '-l', 'kruntimes.io/runtime=bash', '--field-selector', 'status.phase=Running', '-o', 'name', out=has(r'^pod/runtime-bash\S+\npod/runtime-bash\S+\n$'))
    for n in range(5):
        k('create', 'configmap', 'page%d' % n, '--from-literal=n=%d' % n)
    s.equal('--chunk-size', len(says('get', 'cm', '--chunk-size=2', '-o', 'name').split()), 6)
    says('get', 'cm', '--sort-by=.metadata.name', '-o', 'name', out=has('kube-root-ca.crt\nconfigmap/page0\nconfigmap/page1'))
    says('get', 'run', '--sort-by=.spec.runtime', out=has('^one +bash +Succeeded', re.M))      # a Table with whole objects
    says('get', 'cm', '-A', out=has(r'^kube-system +kube-root-ca.crt', re.M))

    # describe
    says('describe', 'run', 'one', out=has(r'Phase: +Succeeded'))
    says('describe', 'runtime', 'bash', out=has(r'Ready Replicas: +2'))
    says('describe', 'pod', '-l', 'kruntimes.io/runtime=bash', out=has(r'Ready +True'))
    says('describe', 'deployment', 'runtime-bash', out=has(r'Replicas: +2 desired'))
    says('describe', 'node', out=has(r'Ready +True'))
    says('describe', 'ns', 'default', out=has(r'Status: +Active'))

    # the generators, whose clients speak protobuf
    says('create', 'secret', 'generic', 'key', '--from-literal=k=v', out='secret/key created\n')
    says('get', 'secret', 'key', '-o', 'jsonpath={.data.k}', out='dg==')
    says('create', 'deployment', 'web', '--image=web:1', '--replicas=0', out='deployment.apps/web created\n')
    says('create', 'role', 'reader', '--verb=get,list', '--resource=runs.kruntimes.io', out='role.rbac.authorization.k8s.io/reader created\n')
    says('create', 'rolebinding', 'reads', '--role=reader', '--user=zoe', out='rolebinding.rbac.authorization.k8s.io/reads created\n')
    says('create', 'sa', 'bot', out='serviceaccount/bot created\n')
    says('create', 'token', 'bot', out=has(r'^[\w-]+\.[\w-]+\.[\w-]+'))
    says('create', 'ns', 'side', out='namespace/side created\n')
    says('create', 'configmap', 'dry', '--from-literal=a=b', '--dry-run=server', out='configmap/dry created (server dry run)\n')
    says('get', 'cm', 'dry', code=1, out='', err=None)

    # apply, both ways
    says('apply', '-f', '-', stdin=CM % ('red', 1), out='configmap/settings created\n')
    says('apply', '-f', '-', stdin=CM % ('red', 1), out='configmap/settings unchanged\n')
    says('apply', '-f', '-', stdin=CM % ('red', 2), out='configmap/settings configured\n')
    says('diff', '-f', '-', stdin=CM % ('red', 2), out='')
    says('diff', '-f', '-', stdin=CM % ('red', 3), code=1, out=has(r'^\+  size: "3"$', re.M))
    says('apply', '--server-side', '-f', '-', stdin=CM % ('red', 3), out='configmap/settings serverside-applied\n')
    says('apply', '--server-side', '--field-manager=other', '-f', '-', stdin=CM % ('blue', 3), code=1, out='',
         err=has(r'Apply failed with 1 conflict: conflict with "kubectl": \.data\.colour'))
    says('apply', '--server-side', '--field-manager=other', '--force-conflicts', '-f', '-', stdin=CM % ('red', 3), out='configmap/settings serverside-applied\n')
    says('get', 'cm', 'settings', '--show-managed-fields', '-o', 'jsonpath={.metadata.managedFields[*].manager}', out=has('other'))
    says('apply', '-f', '-', stdin=RUN % ('applied', 'true'), out='run.kruntimes.io/applied created\n')
    says('create', '-f', '-', '--validate=strict', stdin=(CM % ('x', 1)).replace('data:', 'dta: {}\ndata:').replace('settings', 'strict'), code=1, out='', err=has('unknown field "dta"'))
    says('create', '-f', '-', '--validate=warn', stdin=(RUN % ('warned', 'true')).replace('runtime: bash', 'runtime: bash, runtme: x'), out=has('created'), err=has('unknown field "spec.runtme"'))

    # edit, patch, label, annotate, replace, scale
    says('edit', 'cm', 'settings', out='configmap/settings edited\n')
    says('get', 'cm', 'settings', '-o', 'jsonpath={.data.colour}', out='green')
    says('patch', 'cm', 'settings', '-p', '{"data":{"strategic":"1"}}', out='configmap/settings patched\n')
    says('patch', 'cm', 'settings', '--type=merge', '-p', '{"data":{"strategic":null}}', out='configmap/settings patched\n')
    says('patch', 'cm', 'settings', '--type=json', '-p', '[{"op":"add","path":"/data/json","value":"1"}]', out='configmap/settings patched\n')
    says('patch', 'run', 'one', '--type=strategic', '-p', '{}', code=1, out='', err=has('strategic-merge-patch.*not supported'))
    says('patch', 'deployment', 'web', '-p', '{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"web:2"},{"name":"side","image":"s"}]}}}}', out='deployment.apps/web patched\n')
    says('get', 'deployment', 'web', '-o', 'jsonpath={.spec.template.spec.containers[*].image}', out='web:2 s')
    says('set', 'image', 'deployment/web', 'web=web:3', out='deployment.apps/web image updated\n')
    says('label', 'run', 'one', 'team=a', out='run.kruntimes.io/one labeled\n')
    says('annotate', 'run', 'one', 'note=b', out='run.kruntimes.io/one annotated\n')
    says('get', 'run', '-l', 'team in (a,b),app', '-o', 'name', out='run.kruntimes.io/one\n')
    says('replace', '-f', '-', stdin=CM % ('white', 9), out='configmap/settings replaced\n')
    says('replace', '--force', '-f', '-', stdin=RUN % ('applied', 'echo again'), out=has('applied replaced'))
    says('scale', 'runtime', 'bash', '--replicas=3', out='runtime.kruntimes.io/bash scaled\n')
    says('wait', '--for=jsonpath={.status.readyReplicas}=3', 'runtime/bash', '--timeout=20s', out=has('condition met'))
    says('scale', 'deployment', 'web', '--replicas=0', '--current-replicas=0', out='deployment.apps/web scaled\n')
    says('rollout', 'status', 'deployment/runtime-bash', out=has('deployment "runtime-bash" successfully rolled out\n$'))

    # events: what is wrong with a Runtime
    k('create', '-f', '-', stdin=ODD)
    s.check('an event comes', until(lambda: 'odd' in k('get', 'events', '-o', 'jsonpath={.items[*].involvedObject.name}').stdout))
    told = r' +Warning +SandboxUnavailable +Runtime/odd +\S.*Injected.*'
    says('events', out=has(r'^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n(.*\n)*\S+' + told + '$', re.M))
    says('events', '--for', 'runtime/odd', '--no-headers', out=has(r'^\S+' + told + r'\n$'))
    says('events', '--for', 'runtime/bash', out='', err='No events found in default namespace.\n')
    says('events', '--types=Normal', '--for', 'runtime/odd', out='', err='No events found in default namespace.\n')
    says('describe', 'runtime', 'odd', out=has(r'Events:\n(.*\n)*  Warning +SandboxUnavailable +\S+ +kruntimes-controller +\S'))
    says('get', 'events', '--field-selector', 'involvedObject.name=odd,type=Warning', '--no-headers', out=has(r'^\S+ +Warning +SandboxUnavailable +runtime/odd +\S.*\n$'))
    says('get', 'events', '-o', 'wide', out=has(r'^LAST SEEN +TYPE +REASON +OBJECT +SUBOBJECT +SOURCE +MESSAGE +FIRST SEEN +COUNT +NAME\n'))
    k('delete', 'runtime', 'odd')

    # claims
    says('apply', '-f', '-', stdin=PVC, out='persistentvolumeclaim/notes created\n')
    says('wait', '--for=jsonpath={.status.phase}=Bound', 'pvc/notes', '--timeout=20s', out='persistentvolumeclaim/notes condition met\n')
    says('get', 'pvc', 'notes', out=has(r'^NAME +STATUS +VOLUME +CAPACITY +ACCESS MODES +STORAGECLASS +VOLUMEATTRIBUTESCLASS +AGE\nnotes +Bound +pvc-\S+ +1Gi +RWO,ROX +<unset> +\S+\n$'))
    says('get', 'pvc', '-o', 'wide', out=has('VOLUMEMODE\n(.*\n)*notes.* Filesystem'))
    says('describe', 'pvc', 'notes', out=has(r'Status: +Bound\n(.*\n)*Finalizers: +\[kubernetes.io/pvc-protection\]\nCapacity: +1Gi\nAccess Modes: +RWO,ROX'))
    says('explain', 'pvc.spec.resources.requests', out=has(r'FIELD: requests'))
    says('apply', '-f', '-', stdin=PVC.replace('ReadOnlyMany', 'ReadWriteMany'), code=1, out='', err=has('spec: Forbidden: spec is immutable after creation except'))
    says('apply', '-f', '-', stdin=PVC.replace('1Gi', '2Gi'), out='persistentvolumeclaim/notes configured\n')
    says('create', '-f', '-', stdin='apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: bad}\nspec: {accessModes: [Odd]}\n', code=1, out='',
         err=has(r'is invalid: \n\* spec.accessModes: Unsupported value: "Odd": supported values: .*\n\* spec.resources\[storage\]: Required value\n'))
    says('delete', 'pvc', 'notes', out='persistentvolumeclaim "notes" deleted\n')
    says('get', 'pvc', 'artifacts', '--no-headers', out=has(r'^artifacts +Bound +pvc-'))
    says('delete', 'pvc', 'artifacts', '--wait=false', out=has('deleted'))
    says('get', 'pvc', 'artifacts', '--no-headers', out=has(r'^artifacts +Terminating '))       # the pods of bash use it

    # watching
    watcher = subprocess.Popen([KUBECTL, 'get', 'runs', '-w', '--no-headers', '-l', 'app=demo', '-o', 'custom-columns=N:.metadata.name,P:.status.phase'], stdout=subprocess.PIPE, text=True, env=env)
    lines = []
    reader = threading.Thread(target=lambda: [lines.append(line.split()) for line in watcher.stdout], daemon=True)
    reader.start()
    until(lambda: ['one', 'Succeeded'] in lines)
    k('create', '-f', '-', stdin=RUN % ('watched', 'true'))
    s.check('get -w', until(lambda: ['watched', 'Succeeded'] in lines), str(lines))
    watcher.terminate()
    watcher.wait()

    # logs of a pod's processes
    pod = k('get', 'pods', '-l', 'kruntimes.io/runtime=bash', '-o', 'name').stdout.split()[0]
    says('logs', pod, '-c', 'runtimed', out=has('runtimed is ready'))
    says('logs', pod, '-c', 'runtime', '--tail=1', out=has(r'^.*\n$'))
    says('logs', pod, '-c', 'runtimed', '--timestamps', '--since=1h', '--limit-bytes=70', out=has(r'^(\S+Z) \1'))
    says('logs', pod, '-c', 'runtimed', '--since-time=2100-01-01T00:00:00Z', out='')
    says('logs', pod, '-c', 'runtimed', '--previous', code=1, out='', err=has('previous terminated container "runtimed" in pod .* not found'))
    follower = subprocess.Popen([KUBECTL, 'logs', '-f', '--tail=1', '-c', 'runtimed', pod], stdout=subprocess.PIPE, text=True, env=env)
    told = []
    reader = threading.Thread(target=lambda: [told.append(line) for line in follower.stdout], daemon=True)
    reader.start()
    until(lambda: told)
    k('delete', '--wait=false', pod)                      # its log ends with it
    reader.join(60)
    s.check('logs -f', not reader.is_alive() and len(told) > 1 and follower.wait(30) == 0, str(told)[-500:])
    pod = until(lambda: (k('get', 'pods', '-l', 'kruntimes.io/runtime=bash', '--field-selector=status.phase=Running', '-o', 'name').stdout.split() or [None])[0])
    says('logs', pod, '-c', 'none', code=1, out='', err=has('container none is not valid for pod'))

    # a port of a pod
    port_forward(env, pod, k('get', pod, '-o', 'jsonpath={.status.podIP}').stdout)
    says('port-forward', 'pod/none', '0:80', code=1, out='', err=has('pods "none" not found'))

    # kruntimes as a plugin: its own verbs, told by the name they were called by
    os.makedirs(os.path.join(i.dir, 'bin'))
    for name in ('kubectl-kruntimes', 'krt'):
        os.symlink(os.path.abspath(BINARY), os.path.join(i.dir, 'bin', name))
    env['PATH'] = os.path.join(i.dir, 'bin') + ':' + env['PATH']
    says('kruntimes', 'runtime', 'get', 'bash', '-o', 'name', out='runtime.kruntimes.io/bash\n')
    says('kruntimes', 'run', 'explain', 'nobody', code=3, out='', err=has('kubectl kruntimes run explain: runs.kruntimes.io "nobody" not found'))
    says('kruntimes', 'run', 'explain', '--help', out=has('(?s)usage: kubectl kruntimes run explain .*  kubectl kruntimes run explain hello'))
    krt = subprocess.run(['krt', 'run', 'lsit'], capture_output=True, text=True, env=env)
    s.equal('krt', (krt.returncode, krt.stderr), (1, 'krt run: there is no verb "lsit": did you mean list?\ntry: krt run --help\n'))

    # who may
    says('auth', 'can-i', 'create', 'runs', out='yes\n')
    says('auth', 'can-i', 'delete', 'runs', '--as=zoe', code=1, out='no\n')
    says('auth', 'can-i', 'list', 'runs', '--as=zoe', out='yes\n')
    says('auth', 'can-i', '--list', '--as=zoe', out=has(r'runs.kruntimes.io +\[\] +\[\] +\[get list\]'))
    says('auth', 'whoami', out=has('kruntimes-admin'))
    says('get', 'secrets', '--as=zoe', code=1, out='', err=has('secrets is forbidden: User "zoe" cannot list resource "secrets"'))

    # deleting
    says('delete', 'run', 'one', out='run.kruntimes.io "one" deleted\n')
    says('delete', 'cm', '-l', 'app=demo', out='configmap "settings" deleted\n')
    says('delete', 'runs', '--all', '--wait=false', out=has('"watched" deleted'))
    says('delete', 'deployment', 'web', '--cascade=foreground', out='deployment.apps "web" deleted\n')
    says('delete', 'cm', 'page0', '--cascade=orphan', out='configmap "page0" deleted\n')
    says('delete', 'cm', 'page0', '--ignore-not-found', out='')
    says('delete', 'ns', 'side', out='namespace "side" deleted\n')
    says('wait', '--for=delete', 'run/one', '--timeout=5s', out='')
    says('get', 'ns', 'side', code=1, out='', err=has('not found'))
    says('delete', 'ns', 'default', code=1, out='', err=has('this namespace may not be deleted'))
    if s.failed:
        print(i.logs()[-3000:])
s.end()
