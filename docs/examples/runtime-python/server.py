#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Runtime Server in Python, from executor.proto alone (docs/custom-runtime.md). It executes Python: a Run's script finds the
modules below imported already, since each execution is a fork of a process that has them.

    python3 -m grpc_tools.protoc -I grpc/proto --python_out=. --grpc_python_out=. executor.proto
    python3 server.py 9091
"""
import concurrent.futures, io, multiprocessing, os, runpy, signal, sys, threading
import grpc
import executor_pb2 as pb, executor_pb2_grpc as rpc

WARM = ['json', 'decimal', 'statistics', 're', 'urllib.request']      # what scripts here like to import
LIMIT = 1 << 20                                                       # bytes of each stream that Status and List show


def child(q_entry, q_args, q_env, q_dir, out, err):
    """In the fork: a session of its own, so that all it starts can be ended with it."""
    os.setsid()
    for fd, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), fd)
    os.environ.update(q_env)
    os.chdir(q_dir)
    sys.path.insert(0, q_dir)
    sys.stdout, sys.stderr = io.TextIOWrapper(io.FileIO(1, 'w')), io.TextIOWrapper(io.FileIO(2, 'w'))
    if q_entry:                                # a file of the workspace, with arguments
        sys.argv = [q_entry, *q_args]
        runpy.run_path(q_entry, run_name='__main__')
    else:                                      # a script as the argument
        sys.argv = ['-c']
        exec(compile(q_args[0], '<script>', 'exec'), {'__name__': '__main__'})


def text(path):
    """The first MiB, cut between characters, with what is no UTF-8 replaced: string fields must be valid."""
    try:
        with open(path, 'rb') as f:
            data = f.read(LIMIT + 1)
    except FileNotFoundError:
        return ''
    cut = data[:LIMIT].decode(errors='ignore' if len(data) > LIMIT else 'replace')
    return cut + ('\n[cut]\n' if len(data) > LIMIT else '')


class Execution:
    def __init__(self, fork, q, entry):
        base = os.path.join(os.environ.get('TMPDIR', '/tmp'), 'run-' + q.id.replace('/', '_'))
        self.id, self.out, self.err, self.late = q.id, base + '.out', base + '.err', False
        self.process = fork.Process(target=child, args=(entry, list(q.args), dict(q.env), q.working_dir or '.', self.out, self.err))
        self.process.start()
        self.timer = threading.Timer(q.timeout_seconds, self.too_late) if q.timeout_seconds else None
        if self.timer:
            self.timer.start()

    def too_late(self):
        self.late = True
        self.kill()

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self.process.kill()                # it had no session yet

    def status(self):
        code = self.process.exitcode
        answer = pb.StatusResponse(id=self.id, stdout=text(self.out), stderr=text(self.err))
        if code is None:
            answer.state = pb.EXECUTION_STATE_RUNNING
            return answer
        answer.exit_code = code if code >= 0 else 128 - code
        answer.state = pb.EXECUTION_STATE_FAILED if code or self.late else pb.EXECUTION_STATE_SUCCEEDED
        if self.late:
            answer.error_message = 'it took longer than it may'
        return answer

    def remove(self):
        if self.timer:
            self.timer.cancel()
        self.kill()
        self.process.join()
        for path in (self.out, self.err):
            if os.path.exists(path):
                os.remove(path)


class Runtime(rpc.RuntimeServicer):
    def __init__(self):
        self.all, self.lock = {}, threading.Lock()
        self.fork = multiprocessing.get_context('forkserver')      # forks a process without threads and without gRPC
        self.fork.set_forkserver_preload(WARM)

    def find(self, q, context):
        if q.id not in self.all:
            context.abort(grpc.StatusCode.NOT_FOUND, 'no execution "%s"' % q.id)
        return self.all[q.id]

    def Execute(self, q, context):
        there = q.entrypoint and os.path.isfile(os.path.join(q.working_dir, q.entrypoint))
        if not there and len(q.args) != 1:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, 'give a file of the workspace as entrypoint, or a script as the only argument')
        with self.lock:
            if q.id in self.all:
                context.abort(grpc.StatusCode.ALREADY_EXISTS, 'execution "%s" is there' % q.id)
            self.all[q.id] = Execution(self.fork, q, q.entrypoint if there else '')
        return pb.ExecuteResponse(id=q.id)

    def Status(self, q, context):
        return self.find(q, context).status()

    def List(self, q, context):
        entries = [x.status() for x in list(self.all.values())]
        if sum(len(e.stdout) + len(e.stderr) for e in entries) > 2 * LIMIT:
            for e in entries:                  # an answer beyond 4 MiB is refused by strict clients; Status has the text
                e.ClearField('stdout')
                e.ClearField('stderr')
        return pb.ListResponse(entries=entries)

    def Cancel(self, q, context):
        self.find(q, context)
        with self.lock:
            gone = self.all.pop(q.id, None)
        if gone:
            gone.remove()
        return pb.CancelResponse()

    def Forget(self, q, context):
        if self.find(q, context).process.exitcode is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'execution "%s" still runs' % q.id)
        return pb.ForgetResponse() if self.Cancel(q, context) else None

    def Health(self, q, context):
        return pb.HealthResponse(healthy=True)


if __name__ == '__main__':
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(32))
    runtime = Runtime()
    rpc.add_RuntimeServicer_to_server(runtime, server)
    port = server.add_insecure_port('127.0.0.1:' + (sys.argv[1] if len(sys.argv) > 1 else '9091'))
    server.start()
    print('listening on %d' % port, flush=True)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stop.wait()
    server.stop(None)
    for execution in list(runtime.all.values()):
        execution.remove()
