#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Python's grpcio as a client of our runtime-server, and as a Runtime Server under our runtimed."""
import concurrent.futures, os, subprocess, sys
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
if not os.environ.get('KR_VENV'):      # again, with the Python that has grpcio
    venv = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'venv')], capture_output=True, text=True)
    if venv.returncode:
        print('skip grpcio: %s' % (venv.stdout.strip() or venv.stderr.strip()))
        print('0 passed, 0 failed, 1 skipped')
        sys.exit(0)
    os.execve(venv.stdout.strip(), [venv.stdout.strip(), __file__], dict(os.environ, KR_VENV='1'))
sys.path.insert(0, os.path.join(HERE, '..', 'kit'))
from local import *
import grpc
from grpc_tools import protoc

work = tempfile.mkdtemp(prefix='kr-grpc-')
protos = os.path.join(TOP, 'grpc', 'proto')
protoc.main(['protoc', '-I' + protos, '--python_out=' + work, '--grpc_python_out=' + work] +
            [os.path.join(protos, f) for f in ('executor.proto', 'runtime_watch.proto', 'health.proto', 'reflection_v1.proto')])
sys.path.insert(0, work)
import executor_pb2 as x, executor_pb2_grpc as xg, runtime_watch_pb2 as w, runtime_watch_pb2_grpc as wg
import health_pb2 as h, health_pb2_grpc as hg, reflection_v1_pb2 as r, reflection_v1_pb2_grpc as rg

s = Suite()
SECRET = 'a secret of enough length'
MD = [('authorization', 'Bearer ' + SECRET)]


def code(call):
    try:
        call()
        return 'OK'
    except grpc.RpcError as e:
        return e.code().name


# ---- our server, their client
secret = os.path.join(work, 'secret')
open(secret, 'w').write(SECRET)
server = subprocess.Popen([BINARY, 'runtime-server', '--port', '0', '--secret-file', secret], stderr=subprocess.PIPE, text=True)
port = re.search(r'port=(\d+)', server.stderr.readline()).group(1)
s.check('the secret is unlinked', not os.path.exists(secret))
channel = grpc.insecure_channel('127.0.0.1:' + port, options=[('grpc.max_receive_message_length', 16 << 20)])
api, watch = xg.RuntimeStub(channel), wg.RuntimeWatchStub(channel)
execute = lambda id, *args, **k: api.Execute(x.ExecuteRequest(id=id, args=args, working_dir=work, **k), metadata=MD)


def follow(id, **k):
    events = list(watch.Watch(w.WatchRequest(id=id, **k), metadata=MD))
    return b''.join(e.stdout for e in events), b''.join(e.stderr for e in events), events[-1]


s.equal('no secret', code(lambda: api.Health(x.HealthRequest())), 'UNAUTHENTICATED')
s.check('health', api.Health(x.HealthRequest(), metadata=MD).healthy)
s.equal('execute', execute('a', 'echo out; echo err >&2; echo $X; exit 3', env={'X': 'y z'}).id, 'a')
out, err, last = follow('a')
s.equal('watch', (out, err, last.state, last.exit_code), (b'out\ny z\n', b'err\n', x.EXECUTION_STATE_FAILED, 3))
st = api.Status(x.StatusRequest(id='a'), metadata=MD)
s.equal('status', (st.state, st.exit_code, st.stdout, st.stderr), (x.EXECUTION_STATE_FAILED, 3, 'out\ny z\n', 'err\n'))
s.equal('watch from an offset', follow('a', stdout_offset=4)[0], b'y z\n')
s.equal('list', [e.id for e in api.List(x.ListRequest(), metadata=MD).entries], ['a'])
s.equal('a second of that id', code(lambda: execute('a', 'true')), 'ALREADY_EXISTS')
api.Forget(x.ForgetRequest(id='a'), metadata=MD)
s.equal('forgotten', code(lambda: api.Status(x.StatusRequest(id='a'), metadata=MD)), 'NOT_FOUND')
execute('long', 'sleep 60')
s.equal('forget what runs', code(lambda: api.Forget(x.ForgetRequest(id='long'), metadata=MD)), 'FAILED_PRECONDITION')
s.equal('deadline', code(lambda: list(watch.Watch(w.WatchRequest(id='long'), metadata=MD, timeout=0.2))), 'DEADLINE_EXCEEDED')
api.Cancel(x.CancelRequest(id='long'), metadata=MD)
s.equal('cancelled', code(lambda: api.Status(x.StatusRequest(id='long'), metadata=MD)), 'NOT_FOUND')
execute('big', 'head -c 3000000 /dev/zero | tr "\\0" x')
s.equal('all of a long output by watch', len(follow('big')[0]), 3000000)
st = api.Status(x.StatusRequest(id='big'), metadata=MD)
s.check('its beginning by status', len(st.stdout) <= 1 << 20 and 'cut' in st.stdout[-40:], st.stdout[-40:])
execute('bytes', "printf 'a\\377b'")
follow('bytes')
s.equal('bytes that are no UTF-8', api.Status(x.StatusRequest(id='bytes'), metadata=MD).stdout, 'a\ufffdb')
s.equal('a command that is not there', (lambda e: (e.exit_code, e.error_message.split(':')[0]))(execute('none', 'no-such', 'x') and follow('none')[2]), (127, 'NotFound'))
s.equal('unknown method', code(lambda: channel.unary_unary('/executor.v1.Runtime/Nope')(b'', metadata=MD)), 'UNIMPLEMENTED')
s.equal('compression', code(lambda: api.Health(x.HealthRequest(), metadata=MD, compression=grpc.Compression.Gzip)) in ('OK', 'UNIMPLEMENTED'), True)
s.equal('too large a message', code(lambda: execute('huge', 'x' * (17 << 20))), 'RESOURCE_EXHAUSTED')
s.equal('grpc.health', hg.HealthStub(channel).Check(h.HealthCheckRequest()).status, h.HealthCheckResponse.SERVING)
info = rg.ServerReflectionStub(channel).ServerReflectionInfo(iter([r.ServerReflectionRequest(list_services=''),
    r.ServerReflectionRequest(file_containing_symbol='executor.v1.Runtime'), r.ServerReflectionRequest(file_by_filename='nope')]))
answers = list(info)
s.check('reflection lists', 'executor.v1.Runtime' in [v.name for v in answers[0].list_services_response.service])
s.check('reflection has the file', b'ExecuteRequest' in answers[1].file_descriptor_response.file_descriptor_proto[0])
s.equal('reflection: unknown', answers[2].error_response.error_code, 5)
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    done = list(pool.map(lambda n: (execute('p%d' % n, 'echo %d' % n), follow('p%d' % n)[0])[1], range(200)))
s.equal('200 side by side', done, [b'%d\n' % n for n in range(200)])
server.terminate()
s.equal('it ends when told', server.wait(20), 0)


# ---- our runtimed, their server: no RuntimeWatch, so Status is asked again and again
class Theirs(xg.RuntimeServicer):
    def __init__(self):
        self.runs, self.seen = {}, []

    def Execute(self, q, context):
        self.seen.append((q.id, list(q.args), q.working_dir, dict(q.env)))
        self.runs[q.id] = subprocess.Popen(['/bin/sh', '-c', q.args[0]], cwd=q.working_dir, env=dict(os.environ, **q.env), stdout=subprocess.PIPE, text=True)
        return x.ExecuteResponse(id=q.id)

    def Status(self, q, context):
        if q.id not in self.runs:
            context.abort(grpc.StatusCode.NOT_FOUND, 'no such execution')
        p = self.runs[q.id]
        if p.poll() is None:
            return x.StatusResponse(id=q.id, state=x.EXECUTION_STATE_RUNNING)
        if not hasattr(p, 'text'):
            p.text = p.stdout.read()
        state = x.EXECUTION_STATE_FAILED if p.returncode else x.EXECUTION_STATE_SUCCEEDED
        return x.StatusResponse(id=q.id, state=state, exit_code=p.returncode, stdout=p.text)

    def List(self, q, context):
        return x.ListResponse(entries=[x.StatusResponse(id=i, state=x.EXECUTION_STATE_RUNNING) for i in self.runs])

    def Cancel(self, q, context):
        if q.id not in self.runs:
            context.abort(grpc.StatusCode.NOT_FOUND, 'no such execution')
        self.runs.pop(q.id).kill()
        return x.CancelResponse()

    def Forget(self, q, context):
        self.runs.pop(q.id, None)
        return x.ForgetResponse()

    def Health(self, q, context):
        return x.HealthResponse(healthy=True)


theirs = Theirs()
other = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
xg.add_RuntimeServicer_to_server(theirs, other)
port = other.add_insecure_port('127.0.0.1:0')
other.start()
with instance() as i:
    i.api.call('POST', RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': 'theirs'},
                                 'spec': {'replicas': 0, 'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'x'}]}}}})
    pod = i.api.call('POST', '/api/v1/namespaces/default/pods', {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {
        'name': 'p', 'labels': {'kruntimes.io/runtime': 'theirs'}, 'annotations': {'kruntimes.io/capacity.runs': '4'}}, 'spec': {'containers': [{'name': 'runtime'}]}})[1]
    args = ['--pod-name', 'p', '--pod-uid', pod['metadata']['uid'], '-n', 'default', '--capacity', 'runs=4', '--workspace', os.path.join(work, 'ws'),
            '--state', os.path.join(work, 'st'), '--secret-file', os.path.join(work, 'sec'), '--server-port', str(port), '--port', '0', '--pages-bind', 'off',
            '--kubeconfig', os.path.join(i.state, 'kubeconfig')]
    daemon = subprocess.Popen([BINARY, 'runtimed', *args], stderr=open(os.path.join(i.dir, 'runtimed.log'), 'w'))
    i.api.call('PATCH', '/api/v1/namespaces/default/pods/p/status', {'status': {'phase': 'Running', 'podIP': '127.0.0.1', 'conditions': [{'type': 'Ready', 'status': 'True'}]}},
               'application/merge-patch+json')
    for name, script in (('good', 'echo hi; echo k=v > $KRUNTIME_OUTPUTS'), ('bad', 'exit 4'), ('late', 'sleep 30')):
        i.api.call('POST', RUNS, run_object(name, [script], runtime='theirs', **({'timeoutSeconds': 1} if name == 'late' else {})))
    runs = i.wait({'good', 'bad', 'late'}, 30)
    get = lambda n, k: runs.get(n, {}).get('status', {}).get(k)
    s.equal('their server: succeeds', (get('good', 'phase'), get('good', 'outputs')), ('Succeeded', {'k': 'v'}))
    s.equal('their server: fails', (get('bad', 'phase'), get('bad', 'exitCode')), ('Failed', 4))
    s.equal('their server: timeout', get('late', 'phase'), 'Timeout')
    s.check('their server: the id is the uid', {e[0] for e in theirs.seen} == {run['metadata']['uid'] for run in runs.values()}, str(theirs.seen))
    daemon.terminate()
    s.equal('runtimed ends when told', daemon.wait(20), 0)
    if s.failed:
        print(open(os.path.join(i.dir, 'runtimed.log')).read()[-3000:])
other.stop(None)
shutil.rmtree(work, ignore_errors=True)
s.end()
