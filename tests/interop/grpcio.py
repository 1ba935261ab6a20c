#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Python's grpcio as a client of our runtime-server. As a Runtime Server under our runtimed: foreign.py."""
import concurrent.futures, os, socket, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from pygrpc import grpc, h, hg, r, rg, w, wg, x, xg
from local import *

work = tempfile.mkdtemp(prefix='kr-grpc-')
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


with socket.socket() as other:               # an address of this machine on which who listens on all of them answers
    s.check('it listens on one address', other.connect_ex(('127.0.0.2', int(port))) != 0)
s.equal('no secret', code(lambda: api.Health(x.HealthRequest())), 'UNAUTHENTICATED')
s.check('health', api.Health(x.HealthRequest(), metadata=MD).healthy)
s.equal('execute', execute('a', 'echo out; echo err >&2; echo $X; exit 3', env={'X': 'y z'}).id, 'a')
out, err, last = follow('a')
s.equal('watch', (out, err, last.state, last.exit_code), (b'out\ny z\n', b'err\n', x.EXECUTION_STATE_FAILED, 3))
st = api.Status(x.StatusRequest(id='a'), metadata=MD)
s.equal('status', (st.state, st.exit_code, st.stdout, st.stderr), (x.EXECUTION_STATE_FAILED, 3, 'out\ny z\n', 'err\n'))
s.equal('watch from an offset', follow('a', stdout_offset=4)[0], b'y z\n')
s.equal('list', [e.id for e in api.List(x.ListRequest(), metadata=MD).entries], ['a'])
s.equal('with what it wrote', api.List(x.ListRequest(), metadata=MD).entries[0].stdout, 'out\ny z\n')
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
execute('vast', 'head -c 8000000 /dev/zero | tr "\\0" x')
follow('vast', stdout_offset=8000000)
events = list(watch.Watch(w.WatchRequest(id='vast', stdout_offset=2000000), metadata=MD))
s.equal('what is not kept is skipped, once, and said', [(e.stdout_skipped, e.stderr_skipped, e.stdout) for e in events if e.stdout_skipped or b'lost' in e.stdout],
        [(8000000 - (4 << 20) - 2000000, 0, b'\n[output lost here]\n')])
s.equal('all the rest comes', sum(len(e.stdout) for e in events if not e.stdout_skipped), 4 << 20)
api.Forget(x.ForgetRequest(id='vast'), metadata=MD)
st = api.Status(x.StatusRequest(id='big'), metadata=MD)
s.check('its beginning by status', len(st.stdout) <= 1 << 20 and 'cut' in st.stdout[-40:], st.stdout[-40:])
for n in range(2):
    execute('big%d' % n, 'head -c 3000000 /dev/zero | tr "\\0" x')
    follow('big%d' % n)
strict = xg.RuntimeStub(grpc.insecure_channel('127.0.0.1:' + port))      # takes 4 MiB, as most do
s.equal('list of more than a client takes: without what they wrote', {e.id: (e.state, e.stdout) for e in strict.List(x.ListRequest(), metadata=MD).entries},
        {id: (x.EXECUTION_STATE_SUCCEEDED, '') for id in ('big', 'big0', 'big1')})
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

shutil.rmtree(work, ignore_errors=True)
s.end()
