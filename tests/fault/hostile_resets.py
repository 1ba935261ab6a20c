#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Row 21, below gRPC: a Runtime Server that resets Execute and Watch with each error code of RFC 9113 section 7 and one that it doesn't
know, and one that goes away (GOAWAY) with calls under way. Each Run is executed once, and its output comes once."""
import os, socket, struct, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from pygrpc import grpc, l, lg, w, x
from local import *
import h2.config, h2.connection, h2.events
from handmade import Pod, make_runtime

s = Suite()
TEXT = b'0123456789'
executions, counts, lock = {}, {}, threading.Lock()      # id: what its first argument says; (what, method): calls


def message(m):
    body = m.SerializeToString()
    return b'\0' + struct.pack('>I', len(body)) + body


class Connection:
    """Of runtimed to the Runtime Server. What a Run does to Execute and Watch is its first argument: METHOD-reset-CODE, METHOD-away or well."""
    def __init__(self, sock):
        self.sock, self.calls = sock, {}
        self.c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding='utf-8'))
        self.c.initiate_connection()

    def say(self):
        self.sock.sendall(self.c.data_to_send())

    def begin(self, stream, *messages):
        self.c.send_headers(stream, [(':status', '200'), ('content-type', 'application/grpc')])
        for m in messages:
            self.c.send_data(stream, message(m))

    def answer(self, stream, *messages, status=0):
        self.begin(stream, *messages)
        self.c.send_headers(stream, [('grpc-status', str(status))], end_stream=True)

    def spoil(self, stream, what, method):
        """True: the call is spoiled, as the first calls of its kind are. Of those cut off by GOAWAY every other one was not seen."""
        n = counts[what, method] = counts.get((what, method), 0) + 1
        kind, how, *code = what.split('-') if '-' in what else ('', '')
        if kind != method or n > 3:
            return False
        if how == 'reset':
            self.c.reset_stream(stream, int(code[0]))
        else:
            self.c.close_connection(0, last_stream_id=stream - 2 if n % 2 else stream)
            self.say()
            self.sock.shutdown(socket.SHUT_RDWR)
        return True

    def execute(self, stream, q):
        if not self.spoil(stream, q.args[0], 'execute'):
            executions[q.id] = q.args[0]
            self.answer(stream, x.ExecuteResponse(id=q.id))

    def watch(self, stream, q):
        what = executions.get(q.id)
        if what is None:
            return self.answer(stream, status=5)
        rest = TEXT[q.stdout_offset:]
        if what.startswith('watch') and counts.get((what, 'watch'), 0) < 3:
            self.begin(stream, w.WatchEvent(state=x.EXECUTION_STATE_RUNNING, stdout=rest[:2]))
            self.say()
        if not self.spoil(stream, what, 'watch'):
            self.answer(stream, w.WatchEvent(state=x.EXECUTION_STATE_RUNNING, stdout=rest), w.WatchEvent(state=x.EXECUTION_STATE_SUCCEEDED))

    def called(self, stream, path, body):
        method = path.split('/')[-1]
        if method == 'Execute':
            self.execute(stream, x.ExecuteRequest.FromString(body))
        elif method == 'Watch':
            self.watch(stream, w.WatchRequest.FromString(body))
        elif method == 'Health':
            self.answer(stream, x.HealthResponse(healthy=True))
        elif method == 'List':
            self.answer(stream, x.ListResponse())
        elif method == 'Forget':
            self.answer(stream, x.ForgetResponse())
        else:
            self.answer(stream, status=12)

    def serve(self):
        with contextlib.suppress(OSError):
            self.say()
            while data := self.sock.recv(65536):
                with lock:
                    for e in self.c.receive_data(data):
                        if isinstance(e, h2.events.RequestReceived):
                            self.calls[e.stream_id] = [dict(e.headers)[':path'], b'']
                        elif isinstance(e, h2.events.DataReceived):
                            self.calls[e.stream_id][1] += e.data
                            self.c.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
                        elif isinstance(e, h2.events.StreamEnded):
                            path, body = self.calls.pop(e.stream_id)
                            self.called(e.stream_id, path, body[5:])
                    self.say()


door = socket.create_server(('127.0.0.1', 0))


def accept():
    with contextlib.suppress(OSError):
        while True:
            threading.Thread(target=Connection(door.accept()[0]).serve, daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
CODES = [*range(14), 4096]
RESET = ['%s-reset-%d' % (method, code) for method in ('execute', 'watch') for code in CODES]
work = tempfile.mkdtemp(prefix='kr-resets-')
with instance() as i:
    make_runtime(i, 'theirs')
    pod = Pod(i, 'theirs', 'theirs', door.getsockname()[1], work, capacity=64)
    runs = {}
    for names in (RESET, ['execute-away'], ['watch-away'], ['well']):      # who goes away takes the calls of others along
        for name in names:
            i.api.call('POST', RUNS, run_object(name, [name], runtime='theirs'))
        runs.update(i.wait(set(names)))
    for name, run in sorted(runs.items()):
        s.check(name + ': the Run is executed', run.get('status', {}).get('phase') == 'Succeeded', json.dumps(run.get('status', {}))[:600])
    with grpc.insecure_channel('127.0.0.1:%d' % pod.grpc_port()) as channel:
        for name in ('watch-reset-0', 'watch-reset-8', 'watch-away', 'well'):
            chunks = lg.LogsStub(channel).Tail(l.TailRequest(run_uid=runs[name]['metadata']['uid'], tail_lines=-1), metadata=[('kruntimes-access-key', runs[name]['status']['accessKey'])])
            s.equal(name + ': its output came once', b''.join(chunk.data for chunk in chunks), TEXT)
    spoiled = [counts.get((name, name.split('-')[0])) for name in runs if name != 'well']
    s.equal('each call was made again until it was answered', spoiled, [4] * len(spoiled))
    s.equal('it ends when told', pod.stop(), 0)
    told = [line for line in open(pod.log) if "doesn't answer" in line]
    s.check('it tells which call failed, and how', any('call=Watch status=UNAVAILABLE error="127.0.0.1:' in line for line in told), ''.join(told)[-2000:])
    if s.failed:
        print(open(pod.log).read()[-3000:])
door.close()
shutil.rmtree(work, ignore_errors=True)
s.end()
