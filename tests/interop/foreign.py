#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Row 21: Runtime Servers that know nothing of us but the .proto (Python's grpcio), and err in each way that one can, under our
runtimed: refuse a second Execute or replace the first, write no UTF-8 and a lot, hang, forget, answer about somebody else, break
off. What each does to a Run it knows by the Run's name."""
import concurrent.futures, os, subprocess, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from pygrpc import grpc, l, lg, w, wg, x, xg
from local import *
import failpoints, handmade

s = Suite()
work = tempfile.mkdtemp(prefix='kr-foreign-')
BIG = 'x' * (4 << 20)
DONE = (x.EXECUTION_STATE_SUCCEEDED, x.EXECUTION_STATE_FAILED)


def text_field(number, value):
    size, n = b'', len(value)
    while n >= 128:
        size, n = size + bytes([n & 127 | 128]), n >> 7
    return bytes([number << 3 | 2]) + size + bytes([n]) + value


class Theirs(xg.RuntimeServicer):
    """Without RuntimeWatch: Status is asked again and again."""
    def __init__(self):
        self.runs, self.names, self.executed, self.cancelled, self.asked = {}, {}, [], [], collections.Counter()
        self.begun, self.may_start, self.may_arrive = set(), threading.Event(), threading.Event()

    def hang(self, context):
        while context.is_active():
            time.sleep(0.02)      # as long as the caller has patience

    def start(self, q):
        self.executed.append(q.id)
        self.names[q.id] = q.env['KRUNTIME_RUN_NAME']
        self.runs[q.id] = subprocess.Popen(['/bin/sh', '-c', q.args[0]], cwd=q.working_dir, env=dict(os.environ, **q.env), stdout=subprocess.PIPE, text=True)

    def Execute(self, q, context):
        name = q.env['KRUNTIME_RUN_NAME']
        if name == 'hangs-in-execute':
            self.executed.append(q.id)
            self.hang(context)
        if name.startswith('late-in-execute'):
            self.begun.add(name)
            self.may_start.wait(60)
        if (name == 'adopted' and name not in self.begun) or (name == 'unsent' and not self.may_arrive.is_set()):
            self.begun.add(name)
            context.abort(grpc.StatusCode.UNAVAILABLE, 'not yet')
        if name == 'refuses':
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, 'not that one')
        if q.id in self.runs and name == 'unheard-refused':
            context.abort(grpc.StatusCode.ALREADY_EXISTS, 'it is there')
        if q.id in self.runs:
            self.runs.pop(q.id).kill()
        self.start(q)
        if name.startswith('unheard') and self.executed.count(q.id) == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, 'the answer gets lost')
        return x.ExecuteResponse(id='somebody' if name == 'other-id-in-execute' else q.id)

    def Status(self, q, context):
        name, p = self.names.get(q.id), self.runs.get(q.id)
        self.asked[q.id] += 1
        if name in ('hangs-in-status', 'hangs-for-ever'):
            self.hang(context)
        if name == 'cannot-tell':
            context.abort(grpc.StatusCode.INTERNAL, 'Failed to serialize response!')
        if name == 'cannot-be-read':
            return b'\xff'
        if name and name.startswith('forgets') and (name == 'forgets' or not q.id.endswith('-2')) and self.asked[q.id] > 2:
            self.runs.pop(q.id).kill()
            self.names.pop(q.id)
        if q.id not in self.runs:
            context.abort(grpc.StatusCode.NOT_FOUND, 'no such execution')
        if p.poll() is None:
            return x.StatusResponse(id='somebody' if name == 'other-id-in-status' else q.id, state=x.EXECUTION_STATE_RUNNING)
        if not hasattr(p, 'text'):
            p.text = p.stdout.read()
        state = x.EXECUTION_STATE_FAILED if p.returncode else x.EXECUTION_STATE_SUCCEEDED
        if name == 'no-utf8':
            return text_field(1, q.id.encode()) + bytes([2 << 3, x.EXECUTION_STATE_FAILED, 3 << 3, 9]) + text_field(4, b'a\xff\xc3b\n') + text_field(6, b'bad \xfe\xff luck')
        return x.StatusResponse(id=q.id, state=state, exit_code=p.returncode, stdout=BIG * {'big': 1, 'too-much': 5}[name] if name in ('big', 'too-much') else p.text)

    def List(self, q, context):
        return x.ListResponse(entries=[x.StatusResponse(id=i, state=x.EXECUTION_STATE_RUNNING, stdout=BIG) for i in list(self.runs)[:8]])

    def Cancel(self, q, context):
        if self.names.get(q.id) == 'hangs-for-ever':
            self.hang(context)
        self.cancelled.append(q.id)
        if q.id not in self.runs:
            context.abort(grpc.StatusCode.NOT_FOUND, 'no such execution')
        self.runs.pop(q.id).kill()
        return x.CancelResponse()

    def Forget(self, q, context):
        self.runs.pop(q.id, None)
        return x.ForgetResponse()

    def Health(self, q, context):
        return x.HealthResponse(healthy=True)


class Watched(Theirs, wg.RuntimeWatchServicer):
    """With RuntimeWatch, which breaks off in the middle, ends once without an end, and hasn't kept all."""
    def __init__(self):
        super().__init__()
        self.offsets = []

    def Watch(self, q, context):
        self.offsets.append(q.stdout_offset)
        text = b'0123456789' * 1000
        if len(self.offsets) == 1:
            yield w.WatchEvent(state=x.EXECUTION_STATE_RUNNING, stdout=text[:4000])
            context.abort(grpc.StatusCode.UNAVAILABLE, 'broken off')
        if len(self.offsets) == 2:
            yield w.WatchEvent(state=x.EXECUTION_STATE_RUNNING, stdout=text[q.stdout_offset:6000])
            yield w.WatchEvent(state=x.EXECUTION_STATE_RUNNING, stdout=b'gone', stdout_skipped=1000)
            return
        yield w.WatchEvent(state=x.EXECUTION_STATE_RUNNING, stdout=text[q.stdout_offset:])
        yield w.WatchEvent(state=x.EXECUTION_STATE_SUCCEEDED)


def serve(servicer):
    """Status may answer with bytes that grpcio itself would not make."""
    as_bytes = lambda m: m if isinstance(m, bytes) else m.SerializeToString()
    methods = {m.name: grpc.unary_unary_rpc_method_handler(getattr(servicer, m.name), getattr(x, m.input_type.name).FromString, as_bytes)
               for m in x.DESCRIPTOR.services_by_name['Runtime'].methods}
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(48), handlers=[grpc.method_handlers_generic_handler('executor.v1.Runtime', methods)])
    if isinstance(servicer, wg.RuntimeWatchServicer):
        wg.add_RuntimeWatchServicer_to_server(servicer, server)
    port = server.add_insecure_port('127.0.0.1:0')
    server.start()
    return server, port


class Beside(handmade.Pod):
    """A pod of one of their servers, with our runtimed."""
    def __init__(self, i, name, port, binary=None):
        handmade.make_runtime(i, name)
        super().__init__(i, name, name, port, os.path.join(work, name), binary=binary)

    def submit(self, name, script='exit 0', **spec):
        status, run = self.i.api.call('POST', RUNS, run_object(name, [script], runtime=self.name, **spec))
        s.equal('%s is accepted' % name, status, 201)
        return run['metadata']['uid']

    def output(self, run):
        """All it wrote, as runtimed has it."""
        chunks = lg.LogsStub(grpc.insecure_channel('127.0.0.1:%d' % self.grpc_port())).Tail(l.TailRequest(run_uid=run['metadata']['uid'], tail_lines=-1),
                                                                                            metadata=[('kruntimes-access-key', run['status']['accessKey'])])
        return b''.join(c.data for c in chunks)

    def stop(self):
        s.equal('%s: runtimed ends when told' % self.name, super().stop(), 0)


def without_watch(i, theirs, pod):
    pod.submit('good', 'echo hi; echo k=v > $KRUNTIME_OUTPUTS')
    pod.submit('bad', 'exit 4')
    pod.submit('late', 'sleep 60', timeoutSeconds=1)
    for kind in ('refused', 'replaced'):
        pod.submit('unheard-' + kind, 'sleep 0.3')
    pod.submit('no-utf8')
    pod.submit('big')
    pod.submit('refuses')
    pod.submit('hangs-in-execute', timeoutSeconds=1)
    pod.submit('hangs-in-status', 'sleep 60', timeoutSeconds=1)
    pod.submit('hangs-for-ever', 'sleep 60')
    unheard = [pod.submit('late-in-execute' + n, 'sleep 60') for n in ('', '-deleted')]
    s.check('Execute takes its time', until(lambda: len(theirs.begun) == 2))
    i.api.call('PATCH', RUNS + '/late-in-execute', {'spec': {'cancelRequested': True}}, 'application/merge-patch+json')
    i.api.call('DELETE', RUNS + '/late-in-execute-deleted')
    s.check('deleted meanwhile', until(lambda: i.api.call('GET', RUNS + '/late-in-execute-deleted')[0] == 404))
    theirs.may_start.set()
    s.check('what was cancelled or deleted while Execute was under way is ended once it has begun', until(lambda: all(u in theirs.executed and u in theirs.cancelled for u in unheard)))
    pod.submit('cannot-tell', 'sleep 60')
    pod.submit('cannot-be-read', 'sleep 60')
    pod.submit('too-much')
    pod.submit('forgets', 'sleep 60')
    pod.submit('forgets-once', '[ $KRUNTIME_ATTEMPT = 2 ] || sleep 60', retryPolicy={'maxAttempts': 2, 'backoff': '10ms'})
    pod.submit('other-id-in-execute', 'sleep 60')
    pod.submit('other-id-in-status', 'sleep 60')
    s.check('the one that hangs for ever runs', until(lambda: i.api.call('GET', RUNS + '/hangs-for-ever')[1].get('status', {}).get('phase') == 'Running'))
    i.api.call('PATCH', RUNS + '/hangs-for-ever', {'spec': {'cancelRequested': True}}, 'application/merge-patch+json')
    names = {'good', 'bad', 'late', 'unheard-refused', 'unheard-replaced', 'no-utf8', 'big', 'refuses', 'hangs-in-execute', 'hangs-in-status', 'hangs-for-ever', 'cannot-tell', 'forgets',
             'forgets-once', 'late-in-execute', 'other-id-in-execute', 'other-id-in-status', 'cannot-be-read', 'too-much'}
    runs = i.wait(names, 90)
    of = lambda n, *keys: tuple(runs.get(n, {}).get('status', {}).get(k) for k in keys)
    says = lambda n: runs.get(n, {}).get('status', {}).get('message', '')
    id = lambda n: runs.get(n, {}).get('metadata', {}).get('uid')
    s.equal('it succeeds', of('good', 'phase', 'outputs'), ('Succeeded', {'k': 'v'}))
    s.equal('what it wrote', pod.output(runs['good']), b'hi\n')
    s.equal('it fails', of('bad', 'phase', 'reason', 'exitCode'), ('Failed', 'ExitCode', 4))
    s.equal('timeout', of('late', 'phase'), ('Timeout',))
    s.equal('an answer to Execute is lost, the second is refused', (of('unheard-refused', 'phase', 'attempt'), theirs.executed.count(id('unheard-refused'))), (('Succeeded', 1), 1))
    s.equal('an answer to Execute is lost, the second replaces it', (of('unheard-replaced', 'phase', 'attempt'), theirs.executed.count(id('unheard-replaced'))), (('Succeeded', 1), 2))
    s.equal('no UTF-8: it ends as it ended', of('no-utf8', 'phase', 'exitCode'), ('Failed', 9))
    s.check('no UTF-8: the message is made text', says('no-utf8').startswith('bad ') and says('no-utf8').endswith(' luck'), says('no-utf8'))
    s.equal('no UTF-8: the log has its bytes', pod.output(runs['no-utf8']), b'a\xff\xc3b\n')
    s.equal('4 MiB of output', (of('big', 'phase'), len(pod.output(runs['big']))), (('Succeeded',), len(BIG)))
    s.equal('refused', of('refuses', 'phase', 'reason', 'message'), ('Failed', 'RuntimeExecute', 'not that one'))
    s.equal('Execute hangs: timeout', of('hangs-in-execute', 'phase'), ('Timeout',))
    s.check('Execute hangs: what it may have taken is cancelled', until(lambda: id('hangs-in-execute') in theirs.cancelled))
    s.equal('Status hangs: timeout', (of('hangs-in-status', 'phase'), id('hangs-in-status') in theirs.cancelled), (('Timeout',), True))
    s.equal('Cancel hangs too: cancelled all the same', of('hangs-for-ever', 'phase'), ('Cancelled',))
    s.check('Cancel hangs too: what is not known is told', 'has not confirmed' in says('hangs-for-ever'), says('hangs-for-ever'))
    s.equal('Status fails for ever', (of('cannot-tell', 'phase', 'reason'), says('cannot-tell').partition(': ')[2], id('cannot-tell') in theirs.cancelled),
            (('Failed', 'ExecutionLost'), "it can't tell: Failed to serialize response!", True))
    s.equal('Status answers what cannot be read', (of('cannot-be-read', 'phase', 'reason'), says('cannot-be-read').partition(': ')[2], id('cannot-be-read') in theirs.cancelled),
            (('Failed', 'ExecutionLost'), 'it answers nothing that can be read', True))
    s.equal('Status answers more than 16 MiB', (of('too-much', 'phase', 'reason'), says('too-much').partition(': ')[2]),
            (('Failed', 'ExecutionLost'), "it can't tell: the answer is larger than allowed"))
    s.equal('cancelled while Execute was under way', of('late-in-execute', 'phase'), ('Cancelled',))
    s.equal('forgotten', of('forgets', 'phase', 'reason'), ('Failed', 'ExecutionLost'))
    s.equal('forgotten, tried again', of('forgets-once', 'phase', 'attempt'), ('Succeeded', 2))
    s.check('the second attempt has an id of its own', id('forgets-once') + '-2' in theirs.executed, str(theirs.executed))
    s.equal('another id in the answer to Execute', of('other-id-in-execute', 'phase', 'reason'), ('Failed', 'RuntimeExecute'))
    s.check('what it started is cancelled', until(lambda: id('other-id-in-execute') in theirs.cancelled))
    s.equal('another id in the answer to Status', of('other-id-in-status', 'phase', 'reason'), ('Failed', 'ExecutionLost'))


def taken_over(i, theirs, pod):
    """Killed and started again: what runs is followed on, what had not begun begins, what is nobody's is ended, although List is larger than 4 MiB."""
    status = lambda name: i.api.call('GET', RUNS + '/' + name)[1].get('status', {})
    pod.submit('adopted', 'echo one; sleep 1; echo two')
    pod.submit('unsent')
    told = pod.submit('retry-told', '[ $KRUNTIME_ATTEMPT = 2 ] || sleep 60', retryPolicy={'maxAttempts': 2})
    s.check('they run', until(lambda: all(status(name).get('phase') == 'Running' for name in ('adopted', 'retry-told')) and 'unsent' in theirs.begun))
    pod.daemon.kill()
    pod.daemon.wait()
    prepared = status('adopted')['timings']['started']
    i.api.call('PATCH', RUNS + '/retry-told/status', {'status': {'attempt': 2}}, 'application/merge-patch+json')      # the last that it did
    theirs.may_arrive.set()
    theirs.runs['stranger'] = subprocess.Popen(['sleep', '60'])
    pod.start()
    runs = i.wait({'adopted', 'unsent', 'retry-told'}, 30)
    run = runs['adopted']
    s.equal('adopted: once, to its end', (run['status']['phase'], run['status']['attempt'], theirs.executed.count(run['metadata']['uid'])), ('Succeeded', 1, 1))
    s.equal('adopted: all it wrote', pod.output(run), b'one\ntwo\n')
    s.check('adopted: its time counts from when Execute was sent', run['status']['timings']['executed'] > prepared, str((run['status']['timings'], prepared)))
    of = lambda name: tuple(runs[name]['status'].get(k) for k in ('phase', 'reason', 'attempt'))
    s.equal('Execute had not arrived: it does', (of('unsent'), theirs.executed.count(runs['unsent']['metadata']['uid'])), (('Succeeded', None, 1), 1))
    s.equal('a retry had been told: it is begun', (of('retry-told'), theirs.executed.count(told + '-2')), (('Succeeded', None, 2), 1))
    s.check('the attempt before is forgotten', told not in theirs.runs and told not in theirs.cancelled, str((theirs.runs, theirs.cancelled)))
    s.check('an execution of no Run is ended', until(lambda: 'stranger' in theirs.cancelled))


def killed_between(i, theirs, port):
    """The failpoints that only a server without Watch leads to."""
    if failpoints.missing(s):
        return
    armed = failpoints.Armed()
    pod = Beside(i, 'killed', port, armed.binary)
    for point in [p for p in armed.names() if '.status.' in p or '.last-status.' in p]:
        name = point.replace('.', '-')
        armed.arm(point)
        pod.submit(name, 'sleep 60' if 'last' in point else 'sleep 0.2', timeoutSeconds=1)
        s.check('%s is reached' % point, armed.wait(point, 20))
        pod.daemon.wait()
        pod.start()
        run = i.wait({name}, 30)[name]
        s.equal('%s: it ends right' % point, (run['status']['phase'], run['status']['attempt']), ('Timeout' if 'last' in point else 'Succeeded', 1))
        s.equal('%s: executed once' % point, theirs.executed.count(run['metadata']['uid']), 1)
    pod.stop()


theirs, watched = Theirs(), Watched()
(server, port), (other, other_port) = serve(theirs), serve(watched)
with instance() as i:
    pods = [Beside(i, 'plain', port), Beside(i, 'watched', other_port)]
    pods[1].submit('broken', 'exit 0')
    without_watch(i, theirs, pods[0])
    taken_over(i, theirs, pods[0])
    run = i.wait({'broken'}, 30)['broken']
    s.equal('a Watch that breaks off goes on where it was', (run['status']['phase'], watched.offsets), ('Succeeded', [0, 4000, 7000]))
    s.equal('nothing of it is lost or told twice, but for what the server had lost', pods[1].output(run), b'0123456789' * 600 + b'gone' + b'0123456789' * 300)
    killed_between(i, theirs, port)
    for pod in pods:
        pod.stop()
    if s.failed:
        print(i.logs())
        print(*[open(p.log).read()[-3000:] for p in pods])
for p in theirs.runs.values():
    p.kill()
server.stop(None)
other.stop(None)
shutil.rmtree(work, ignore_errors=True)
s.end()
