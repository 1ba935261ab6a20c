#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""record: inputs for the fuzz targets from real traffic, into tests/fuzz/corpus/TARGET (kept with the source)

    python3 tests/fuzz/record.py    all anew (it is no suite); needs what the interop tests need (kubectl, Go, versitygw, curl)

kubectl, curl, client-go, grpcio, grpc-go, an S3 server and our own CLI talk through taps, which take TLS off and keep what each
side said. From that are cut header blocks, messages, bodies, lines of watches, queries. A token that passes is of an instance that is
gone before the file is written. Per target stay at most MOST, from the shortest to the longest."""
import base64, collections, contextlib, glob, os, shutil, ssl, struct, subprocess, sys, threading, time, urllib.parse
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'kit'))
from pygrpc import grpc, h, hg, r, rg, w, wg, x, xg
import hpack, re, socket
from local import *

CORPUS, MOST, LARGEST = os.path.join(HERE, 'corpus'), 16, 6000
KINDS = ['executor.v1.ExecuteRequest', 'executor.v1.StatusResponse', 'executor.v1.ListResponse', 'executor.v1.CancelRequest', 'executor.v1.HealthResponse',
         'kruntimes.runtime.v1.WatchRequest', 'kruntimes.runtime.v1.WatchEvent']        # as protocol.c numbers them
CALLS = {'Execute': (0, None), 'Status': (None, 1), 'List': (None, 2), 'Cancel': (3, None), 'Health': (None, 4), 'Watch': (5, 6)}
found = collections.defaultdict(set)
PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'


def keep(target, data):
    if data and len(data) <= LARGEST:
        found[target].add(bytes(data))


def tool(*args):
    got = subprocess.run([os.path.join(TOP, 'tests', 'tools', args[0]), *args[1:]], capture_output=True, text=True)
    if got.returncode:
        sys.exit('record: %s: %s' % (' '.join(args), got.stdout.strip() or got.stderr.strip()))
    return got.stdout.strip()


class Tap:
    """TCP to a server, TLS by tls = (certificate and key of the tap, context towards the server); what was said lies in talks."""
    def __init__(self, to, tls=None):
        self.to, self.tls, self.talks = to, tls, []
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            one, _ = self.listener.accept()
            threading.Thread(target=self.join, args=(one,), daemon=True).start()

    def join(self, one):
        try:
            other = socket.create_connection(self.to)
            if self.tls:
                front = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                front.load_cert_chain(self.tls[0])
                front.set_alpn_protocols(['h2', 'http/1.1'])
                one = front.wrap_socket(one, server_side=True)
                self.tls[1].set_alpn_protocols([one.selected_alpn_protocol() or 'http/1.1'])
                other = self.tls[1].wrap_socket(other, server_hostname=self.to[0])
        except OSError:
            return
        said = (bytearray(), bytearray())
        self.talks.append(said)
        for a, b, log in ((one, other, said[0]), (other, one, said[1])):
            threading.Thread(target=self.pump, args=(a, b, log), daemon=True).start()

    def pump(self, a, b, log):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                log += data
                b.sendall(data)
        with contextlib.suppress(OSError):
            b.shutdown(socket.SHUT_WR)


# ---- what talks are made of ------------------------------------------------------------------------------------------

def frames(data):
    while len(data) >= 9:
        n, kind, flags, stream = int.from_bytes(data[:3], 'big'), data[3], data[4], int.from_bytes(data[5:9], 'big') & 0x7fffffff
        if len(data) < 9 + n:
            return
        yield kind, flags, stream, data[9:9 + n]
        data = data[9 + n:]


def streams(data):
    """{stream: (fields, body)}; header blocks are kept as they pass."""
    decoder, out, blocks = hpack.Decoder(), {}, []
    for kind, flags, stream, body in frames(data):
        if kind == 1:
            body = body[1:len(body) - body[0]] if flags & 8 else body
            body = body[5:] if flags & 0x20 else body
            if not flags & 4:
                break                                  # continued: the table would be wrong from here on
            fields = dict(decoder.decode(body))
            blocks.append(body)
            out.setdefault(stream, ({}, bytearray()))[0].update(fields)
        elif kind == 0 and stream in out:
            out[stream][1].extend(body[1:len(body) - body[0]] if flags & 8 else body)
    for n in (1, 4, 12):                               # some of a connection's blocks are an input together: they share a table
        some = b''.join(bytes([len(b) - 1]) + b for b in blocks[:n] if len(b) <= 255)
        keep('hpack', some)
    return out


def grpc_messages(body):
    while len(body) >= 5:
        n = int.from_bytes(body[1:5], 'big')
        yield bytes(body[5:5 + n])
        body = body[5 + n:]


def query(path):
    keep('uri', path.encode())
    for name, value in urllib.parse.parse_qsl(urllib.parse.urlsplit(path).query):
        if name in ('labelSelector', 'fieldSelector'):
            keep('selector', value.encode())


def content(kind, body, objects, path=''):
    """A body of the Kubernetes API, of either side."""
    if 'protobuf' in kind:
        for at in (m.start() for m in re.finditer(b'k8s\0', body)):
            keep('protobuf', body[at + 4:])
        return
    if 'watch=' in path:
        lines = bytes(body).split(b'\n')[:-1]
        for n in (1, 3, 8):
            keep('watch', b'\1' + b''.join(line + b'\n' for line in lines[:n]))
        return
    keep('json', body)
    with contextlib.suppress(ValueError):
        o = json.loads(body)
        if isinstance(o, dict) and o.get('kind') in ('Run', 'Runtime', 'Workflow'):
            keep('model', bytes([('Run', 'Runtime', 'Workflow').index(o['kind'])]) + bytes(body))
        if isinstance(o, dict) and 'metadata' in o:
            objects[path.split('?')[0]] = bytes(body).strip()


def h2_talk(there, back):
    if not there.startswith(PREFACE):
        return
    there = bytes(there[len(PREFACE):])
    for target, said in (('h2_server', there), ('h2_client', bytes(back))):
        at, cuts = 0, []
        for _, _, _, body in frames(said):
            at += 9 + len(body)
            cuts.append(at)
        for n in (4, 12, 40):                          # whole frames
            keep(target, b'\7' + said[:cuts[min(n, len(cuts)) - 1]] if cuts else b'')
    asked, objects = streams(there), {}
    answered = streams(bytes(back))
    for stream, (fields, body) in answered.items():
        mine = asked.get(stream, ({}, b''))
        path, kind = mine[0].get(':path', ''), fields.get('content-type', '')
        if kind.startswith('application/grpc'):
            call(path, mine, (fields, body))
        else:
            query(path)
            content(kind, body, objects, path)
    for fields, body in asked.values():
        change(fields.get(':method'), fields.get(':path', ''), fields.get('content-type', ''), body, objects)


def change(method, path, kind, body, objects):
    """A patch beside what it was made for."""
    target = objects.get(path.split('?')[0])
    if method == 'PATCH' and target:
        if 'apply-patch' in kind or 'strategic' in kind:
            keep('apply', b'\0' + target + b'\n' + bytes(body))
        keep('patch', target + b'\n' + bytes(body))
    elif method in ('POST', 'PUT'):
        content(kind, body, {}, '')


def call(path, mine, theirs):
    keep('grpc_frames', b'\3' + bytes(mine[1]))
    keep('grpc_frames', b'\3' + bytes(theirs[1]))
    for text in (mine[0].get('grpc-timeout'), theirs[0].get('grpc-message')):
        keep('grpc_text', (text or '').encode())
    numbers = CALLS.get(path.rsplit('/', 1)[-1]) if path.startswith(('/executor.v1', '/kruntimes.runtime.v1')) else None
    for n, side in zip(numbers or (), (mine, theirs)):
        for m in grpc_messages(side[1]) if n is not None else ():
            keep('messages', bytes([n]) + m)


def http1_talk(there, back):
    there = re.sub(rb'Bearer (\S+)', lambda m: b'Bearer ' + b't' * len(m.group(1)), bytes(there))
    keep('http1_request', b'\7' + bytes(there))
    keep('http1_response', b'\7' + bytes(back))
    first, _, rest = bytes(there).partition(b'\r\n\r\n')
    words = first.split(b' ')
    if len(words) > 2:
        query(words[1].decode())
    if m := re.search(rb'\r\nUpgrade: *(\S+)', first, re.I):
        answer = bytes(back).partition(b'\r\n\r\n')[2]
        if m.group(1).lower() == b'websocket':
            keep('websocket', b'\0\3' + rest)
            keep('websocket', b'\1\3' + answer)
            for key in re.findall(rb'Sec-WebSocket-(?:Key|Accept): *(\S+)', first + bytes(back), re.I):
                keep('base64', key)
        else:
            keep('spdy', b'\3' + rest)
    for xml in re.findall(rb'<\?xml.*?\?>\s*<(\w+)', bytes(back)):
        at = bytes(back).index(b'<?xml')
        keep('s3_answer', bytes(back)[at:bytes(back).rindex(b'>') + 1])


def read(tap):
    for there, back in tap.talks:
        (h2_talk if there.startswith(b'PRI ') else http1_talk)(there, back)


# ---- who talks -------------------------------------------------------------------------------------------------------

def certificate(folder):
    pair = os.path.join(folder, 'tap.pem')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=localhost', '-keyout', pair, '-out', pair + '.crt'],
                   check=True, capture_output=True)
    with open(pair, 'a') as f:
        f.write(open(pair + '.crt').read())
    return pair


RUN = 'apiVersion: kruntimes.io/v1alpha1\nkind: Run\nmetadata: {name: one, labels: {app: demo}}\nspec: {runtime: bash, args: ["echo", "hello"], env: [{name: A, value: b}]}\n'
CM = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, labels: {app: demo}}\ndata: {colour: %s, size: "%s"}\n'
DEPLOYMENT = '''apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web, ports: [{containerPort: 80}]}]}}
'''
FOLLOW = ('a=1\nB<<EOF\nline 1\nline 2\nEOF\n', 'total=17\nname=a b c\nempty=\n', 'json={"a":[1,2,3]}\n', 'text<<ghadelimiter_1\n=\r\n\xe4\nghadelimiter_1\n', 'unfinished<<X\nabc\n', '=novalue\n')


def kubernetes(folder):
    kubectl, program = tool('get', 'kubectl'), tool('get', 'clientgo')
    with instance() as i:
        tap = Tap((i.api.host, int(i.api.port)), (certificate(folder), i.api.context))
        config = os.path.join(folder, 'kubeconfig')
        env = dict(i.env, KUBECONFIG=config)

        def k(*args, stdin=None, **more):
            return subprocess.run([kubectl, *args], input=stdin, capture_output=True, text=True, timeout=60, env=dict(env, **more)).stdout
        k('config', 'set-cluster', 'c', '--server=https://127.0.0.1:%d' % tap.port, '--insecure-skip-tls-verify')
        k('config', 'set-credentials', 'me', '--token=' + i.api.headers['Authorization'].split()[1])
        k('config', 'set-context', 'c', '--cluster=c', '--user=me', '--namespace=default')
        k('config', 'use-context', 'c')
        for more in ([], ['set-credentials', 'u', '--username=a', '--password=b'], ['set-credentials', 'v', '--exec-command=helper', '--exec-api-version=client.authentication.k8s.io/v1', '--exec-arg=x'],
                     ['set-context', 'w', '--cluster=c', '--user=v', '--namespace=n']):
            keep('kubeconfig', (k('config', *more) if more else '') .encode())
            keep('kubeconfig', re.sub(r'token: .*', 'token: t', open(config).read()).replace(str(tap.port), '6443').encode())
        for n in range(2):
            k('apply', '-f', '-', stdin=CM % ('red', n) + '---\n' + RUN)
            k('apply', '--server-side', '--force-conflicts', '-f', '-', stdin=DEPLOYMENT.replace('80', str(80 + n)))
            k('apply', '-f', '-', stdin=DEPLOYMENT.replace('name: web}\n', 'name: side}\n').replace('80', str(80 + n)))
        for args in ('get runs', 'get runs -o wide -l app=demo', 'get runs -o json', 'get cm -l app in (demo,other)', 'get pods --field-selector status.phase=Running,metadata.name!=x', 'get cm settings -o yaml',
                     'get events', 'get cm none', 'label cm settings tier=x', 'annotate run one why=because', 'get cm -l !tier', 'scale deployment web --replicas=0', 'get all', 'api-resources',
                     'create configmap made --from-literal=a=b', 'create secret generic kept --from-literal=a=b', 'delete cm made', 'auth can-i create runs', 'explain run.spec', 'get --raw /livez?verbose'):
            k(*([*args.split(' -l ')[0].split(), '-l', args.split(' -l ')[1]] if ' in (' in args else args.split()))
        k('patch', 'cm', 'settings', '--type=json', '-p', '[{"op":"test","path":"/data/colour","value":"red"},{"op":"add","path":"/data/x~1y","value":"1"},{"op":"remove","path":"/data/size"}]')
        k('patch', 'cm', 'settings', '--type=merge', '-p', '{"data":{"colour":null,"b":"c"}}')
        k('patch', 'deployment', 'web', '-p', '{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"other"},{"name":"new","image":"n"}]}}}}')
        k('get', 'runs,cm', '-w', '--request-timeout=2s')
        k('get', 'runs', '-w', '--output-watch-events', '-o', 'json', '--request-timeout=2s')
        sign = os.path.join(folder, 'sign')
        go = subprocess.Popen([program, 'restart', sign], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        end = time.monotonic() + 60
        while not os.path.exists(sign) and go.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        go.kill()
        go.wait()

        # a run's log over our WebSocket, and kubectl's ways to a port
        i.cli('run', 'logs', 'one', env=env)
        pod = k('get', 'pods', '-o', 'name').split()[0]
        ip = k('get', pod, '-o', 'jsonpath={.status.podIP}')
        server = socket.create_server((ip, 0))
        def echo():
            while True:
                c, _ = server.accept()
                with c:
                    c.sendall(c.recv(1000) or b'.')
        threading.Thread(target=echo, daemon=True).start()
        for more in ({'KUBECTL_PORT_FORWARD_WEBSOCKETS': 'true'}, {'KUBECTL_PORT_FORWARD_WEBSOCKETS': 'false'}):
            p = subprocess.Popen([kubectl, 'port-forward', pod, '0:%d' % server.getsockname()[1]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=dict(env, **more))
            port = int(re.search(r':(\d+) ', p.stdout.readline()).group(1))
            for text in (b'one', b'two' * 100):
                with socket.create_connection(('127.0.0.1', port)) as c:
                    c.sendall(text)
                    c.shutdown(socket.SHUT_WR)
                    c.recv(1000)
            p.terminate()
            p.wait()
        base = 'https://127.0.0.1:%d/api/v1/namespaces/default/configmaps' % tap.port
        body = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"}}'
        for args in (['-s', base], ['-s', base + '/none'], ['-s', '-X', 'POST', '-d', body % 'a', '-H', 'Content-Type: application/json', base], ['-sI', base], ['-s', '--http1.0', base + '/a'],
                     ['-s', '-X', 'POST', '-H', 'Transfer-Encoding: chunked', '-H', 'Expect: 100-continue', '-d', body % 'b', '-H', 'Content-Type: application/json', base],
                     ['-s', base + '/a', base + '/b', '-X', 'DELETE'], ['-s', base + '?watch=true&timeoutSeconds=1&allowWatchBookmarks=true'], ['-s', '-T', '-', base + '/%20']):
            subprocess.run(['curl', '-k', '-H', 'Authorization: ' + i.api.headers['Authorization'], *([] if '--http1.0' in args else ['--http1.1']), *args], input=b'{}', capture_output=True, timeout=60)
        read(tap)


def runtime_server(folder):
    secret, token = os.path.join(folder, 'secret'), 'a secret of enough length'
    with open(secret, 'w') as f:
        f.write(token)
    server = subprocess.Popen([BINARY, 'runtime-server', '--port', '0', '--secret-file', secret], stderr=subprocess.PIPE, text=True)
    tap = Tap(('127.0.0.1', int(re.search(r'port=(\d+)', server.stderr.readline()).group(1))))
    channel, md = grpc.insecure_channel('127.0.0.1:%d' % tap.port), [('authorization', 'Bearer ' + token)]
    api, watch = xg.RuntimeStub(channel), wg.RuntimeWatchStub(channel)
    api.Health(x.HealthRequest(), metadata=md)
    for n, script in enumerate(('echo out; echo err >&2; exit 3', 'true', 'seq 100', 'kill -9 $$')):
        api.Execute(x.ExecuteRequest(id='r%d' % n, args=[script], working_dir=folder, env={'A': 'b', 'C': 'd e'}), metadata=md, timeout=10 + n)
        list(watch.Watch(w.WatchRequest(id='r%d' % n, stdout_offset=n), metadata=md, timeout=30))
        api.Status(x.StatusRequest(id='r%d' % n), metadata=md)
        api.List(x.ListRequest(), metadata=md)
    api.Execute(x.ExecuteRequest(id='long', args=['sleep 60'], working_dir=folder), metadata=md)
    api.Cancel(x.CancelRequest(id='long'), metadata=md)
    for wrong in (lambda: api.Status(x.StatusRequest(id='none'), metadata=md), lambda: api.Health(x.HealthRequest())):
        with contextlib.suppress(grpc.RpcError):
            wrong()
    hg.HealthStub(channel).Check(h.HealthCheckRequest(), metadata=md)
    list(rg.ServerReflectionStub(channel).ServerReflectionInfo(iter([r.ServerReflectionRequest(list_services='')]), metadata=md))
    channel.close()
    server.terminate()
    server.wait(20)
    read(tap)


def grpc_go():
    ours = os.environ.get('KR_INTEROP', os.path.join(TOP, 'build', 'dev', 'interop'))
    cases = ['empty_unary', 'large_unary', 'client_streaming', 'ping_pong', 'empty_stream', 'status_code_and_message', 'special_status_message', 'custom_metadata', 'unimplemented_method', 'cancel_after_begin']
    server = subprocess.Popen([ours, 'serve'], stdout=subprocess.PIPE, text=True)
    tap = Tap(('127.0.0.1', int(server.stdout.readline().split()[1])))
    for case in cases:
        subprocess.run([tool('get', 'interop/client'), '--server_host=127.0.0.1', '--server_port=%d' % tap.port, '--test_case=' + case], capture_output=True, timeout=60)
    server.terminate()
    server.wait(20)
    read(tap)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([tool('get', 'interop/server'), '--port=%d' % port], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while socket.socket().connect_ex(('127.0.0.1', port)) and time.monotonic() < end:
        time.sleep(0.05)
    tap = Tap(('127.0.0.1', port))
    for case in cases:
        subprocess.run([ours, 'call', str(tap.port), case], capture_output=True, timeout=60)
    server.kill()
    server.wait()
    read(tap)


def s3(folder):
    key, secret = 'AKTESTTESTTEST', 'a+secret/of=the-test'
    place, disk, files = (os.path.join(folder, n) for n in ('place', 'disk', 'files'))
    for d in (place, disk + '/arts', files):
        os.makedirs(d)
    for name, text in (('AWS_ACCESS_KEY_ID', key), ('AWS_SECRET_ACCESS_KEY', secret)):
        with open(os.path.join(place, name), 'w') as f:
            f.write(text)
    for name, size in (('small', 10), ('odd name +&=%ü.txt', 1), ('parts', 11 << 20)):
        with open(os.path.join(files, name), 'wb') as f:
            f.truncate(size)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([tool('get', 'versitygw'), '--port', '127.0.0.1:%d' % port, '--access', key, '--secret', secret, 'posix', disk], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while socket.socket().connect_ex(('127.0.0.1', port)) and time.monotonic() < end:
        time.sleep(0.05)
    tap = Tap(('127.0.0.1', port))
    where = {'store': {'driver': 's3', 's3': {'bucket': 'arts', 'region': 'us-east-1', 'endpoint': 'http://127.0.0.1:%d' % tap.port, 'forcePathStyle': True, 'uploadPartSize': 5 << 20}}, 'place': place, 'spool': folder}
    def helper(verb, **more):
        fd = os.open(files, os.O_RDONLY | os.O_DIRECTORY)
        subprocess.run([BINARY, 'artifact-helper', verb], input=json.dumps(dict(where, **more)).encode(), capture_output=True, timeout=60, preexec_fn=lambda: os.dup2(fd, 3), close_fds=False)
        os.close(fd)
    helper('collect', prefix='ns/uid/1', maxBytes=1 << 40, again=1, folder=1)
    helper('get', key='ns/uid/1/small')
    helper('get', key='ns/uid/1/none')
    where['store']['s3']['bucket'] = 'no-such'
    helper('get', key='x')
    where['store']['s3']['bucket'] = 'arts'
    helper('remove', prefix='ns/uid')
    server.terminate()
    server.wait(20)
    read(tap)


def write():
    shutil.rmtree(CORPUS, ignore_errors=True)
    for target, inputs in sorted(found.items()):
        os.makedirs(os.path.join(CORPUS, target))
        every = sorted(inputs, key=lambda d: (len(d), d))
        for n, data in enumerate(every[int(i * len(every) / MOST)] for i in range(MOST)) if len(every) > MOST else enumerate(every):
            with open(os.path.join(CORPUS, target, '%02d' % n), 'wb') as f:
                f.write(data)
        print('%-16s %3d seen, %2d kept' % (target, len(inputs), min(len(inputs), MOST)))


def main():
    folder = tempfile.mkdtemp(prefix='kr-record-')
    try:
        for text in FOLLOW:
            keep('outputs', text.encode('latin-1'))
        kubernetes(folder)
        runtime_server(folder)
        grpc_go()
        s3(folder)
        write()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()
