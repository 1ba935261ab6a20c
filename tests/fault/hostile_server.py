#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Row 21: a Runtime Server that hangs, answers about others, dies in the middle of a stream, forgets, or never stops to speak, under our
runtimed. Each Run ends as it should, beside others that are well, and runtimed's memory stays what it was."""
import concurrent.futures, os, socket, subprocess, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from pygrpc import grpc, w, wg, x, xg
from local import *
import wire

FLOOD = 400 << 20
s = Suite()
over = threading.Event()               # what hangs may go


class Server(xg.RuntimeServicer, wg.RuntimeWatchServicer):
    """What it does with an execution is its first argument."""
    def __init__(self):
        self.what, self.seen, self.vast, self.many = {}, {}, False, 0
        self.kept = {}                         # what each try of a 'no-room' found as its script
        self.refused, self.released = [], threading.Event()    # when of 'one-of-two' a third was; it was often enough
        self.cancelled = threading.Event()     # that of 'speaks-behind', and answered

    def count(self, kind, id):
        self.seen[kind, id] = self.seen.get((kind, id), 0) + 1
        return self.seen[kind, id]

    def Execute(self, q, context):
        what = q.args[0]
        if what == 'one-of-two' and sum(w == what for w in self.what.values()) == 2:
            self.refused.append(time.monotonic())
            if len(self.refused) == 3:
                self.released.set()
            context.abort(grpc.StatusCode.ABORTED, 'no room now')
        self.what[q.id] = what
        if what == 'hang':
            over.wait(300)
        if what in ('no-room', 'no-room-shared'):
            script, found = os.path.join(q.working_dir, q.entrypoint), self.kept.setdefault(what, [])
            found.append(open(script).read())
            with open(script, 'w') as f:
                f.write('of another')
            if len(found) < 4:
                context.abort(grpc.StatusCode.ABORTED, 'no room now')
        return x.ExecuteResponse(id='somebody-else' if what == 'other' else q.id)

    def Watch(self, q, context):
        what = self.what.get(q.id)
        self.count('watch', q.id)
        if what is None or what == 'forget':
            context.abort(grpc.StatusCode.NOT_FOUND, 'no such execution')
        if what in ('status-other', 'status-hang', 'other'):
            context.abort(grpc.StatusCode.UNIMPLEMENTED, 'no Watch')
        if what == 'watch-hang':
            over.wait(300)
        if what == 'speaks-behind':
            self.cancelled.wait(300)
            yield w.WatchEvent(state=x.EXECUTION_STATE_RUNNING, stdout=b'words behind Cancel')
        if what == 'die':
            yield w.WatchEvent(state=x.EXECUTION_STATE_RUNNING, stdout=b'0123456789'[q.stdout_offset:q.stdout_offset + 3])
            if q.stdout_offset < 9:
                context.abort(grpc.StatusCode.UNAVAILABLE, 'oh')
        if what == 'vast-event':
            yield w.WatchEvent(state=x.EXECUTION_STATE_RUNNING, stdout=b'.' * (5 << 20))
        if what == 'flood':
            chunk, sent = b'.' * 32767 + b'\n', 0
            while sent < FLOOD:
                yield w.WatchEvent(state=x.EXECUTION_STATE_RUNNING, stdout=chunk)
                sent += len(chunk)
        yield w.WatchEvent(state=x.EXECUTION_STATE_SUCCEEDED)
        if what == 'ends-and-stays':
            over.wait(300)
        if what == 'ends-twice':
            yield w.WatchEvent(state=x.EXECUTION_STATE_FAILED, exit_code=7, stdout=b'behind the end')

    def Status(self, q, context):
        what = self.what.get(q.id)
        if what is None or what == 'forget':
            context.abort(grpc.StatusCode.NOT_FOUND, 'no such execution')
        if what == 'status-hang':
            over.wait(300)
        if what == 'status-other':
            return x.StatusResponse(id='somebody-else', state=x.EXECUTION_STATE_SUCCEEDED)
        runs = what in ('watch-hang', 'hang', 'die', 'flood') or (what == 'one-of-two' and not self.released.is_set())
        return x.StatusResponse(id=q.id, state=x.EXECUTION_STATE_RUNNING if runs else x.EXECUTION_STATE_SUCCEEDED)

    def List(self, q, context):
        self.count('list', '')
        if self.vast:
            return x.ListResponse(entries=[x.StatusResponse(id='none', state=x.EXECUTION_STATE_SUCCEEDED, stdout='.' * (64 << 20))])
        return x.ListResponse(entries=[x.StatusResponse(id=i, state=x.EXECUTION_STATE_RUNNING) for i in [*self.what, *('nobody-%d' % k for k in range(self.many))]])

    def Cancel(self, q, context):
        self.count('cancel', q.id)
        if self.what.get(q.id) == 'speaks-behind':
            context.add_callback(self.cancelled.set)
        return x.CancelResponse()

    def Forget(self, q, context):
        self.what.pop(q.id, None)
        return x.ForgetResponse()

    def Health(self, q, context):
        return x.HealthResponse(healthy=True)


work = tempfile.mkdtemp(prefix='kr-server-')
theirs = Server()
server = grpc.server(concurrent.futures.ThreadPoolExecutor(64))
xg.add_RuntimeServicer_to_server(theirs, server)
wg.add_RuntimeWatchServicer_to_server(theirs, server)
port = server.add_insecure_port('127.0.0.1:0')
server.start()
# What it does, spec, phase, and words of the message or the reason.
RUNS_OF = {'well': ({}, 'Succeeded', ''), 'hang': ({'timeoutSeconds': 2}, 'Timeout', ''), 'watch-hang': ({'timeoutSeconds': 2}, 'Timeout', ''),
           'speaks-behind': ({'timeoutSeconds': 2}, 'Timeout', ''), 'status-hang': ({'timeoutSeconds': 2}, 'Timeout', ''), 'other': ({}, 'Failed', ''), 'status-other': ({}, 'Failed', ''),
           'ends-and-stays': ({}, 'Succeeded', ''), 'ends-twice': ({}, 'Succeeded', ''), 'vast-event': ({}, 'Failed', 'larger than allowed'),
           'no-room': ({'timeoutSeconds': 1, 'source': {'inline': 'own'}}, 'Succeeded', ''),
           'no-room-shared': ({'source': {'inline': 'own'}, 'workspace': {'name': 'shared'}}, 'Succeeded', ''), 'forget': ({}, 'Failed', ''), 'die': ({}, 'Succeeded', ''), 'flood': ({}, 'Succeeded', '')}
FOLLOWED = {'well', 'hang', 'watch-hang', 'speaks-behind', 'no-room', 'no-room-shared', 'die', 'flood', 'ends-and-stays', 'ends-twice', 'vast-event'}
with instance() as i:
    i.api.call('POST', RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': 'theirs'},
                                 'spec': {'replicas': 0, 'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'x'}]}}}})
    pod = i.api.call('POST', '/api/v1/namespaces/default/pods', {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {
        'name': 'p', 'labels': {'kruntimes.io/runtime': 'theirs'}, 'annotations': {'kruntimes.io/capacity.runs': '32'}}, 'spec': {'containers': [{'name': 'runtime'}]}})[1]
    log = os.path.join(i.dir, 'runtimed.log')
    argv = [BINARY, 'runtimed', '--pod-name', 'p', '--pod-uid', pod['metadata']['uid'], '-n', 'default', '--capacity', 'runs=32', '--workspace', os.path.join(work, 'ws'),
            '--state', os.path.join(work, 'st'), '--secret-file', os.path.join(work, 'sec'), '--server-port', str(port), '--port', '0', '--pages-bind', 'off',
            '--kubeconfig', os.path.join(i.state, 'kubeconfig')]
    daemon = subprocess.Popen(argv, stderr=open(log, 'w'))
    i.api.call('PATCH', '/api/v1/namespaces/default/pods/p/status', {'status': {'phase': 'Running', 'podIP': '127.0.0.1', 'conditions': [{'type': 'Ready', 'status': 'True'}]}},
               'application/merge-patch+json')
    most, stop = [0, 0], threading.Event()

    def kept():
        total = 0
        for base, _, files in os.walk(os.path.join(work, 'st', 'logs')):
            for f in files:
                with contextlib.suppress(FileNotFoundError):
                    total += os.path.getsize(os.path.join(base, f))
        return total

    def look():
        while not stop.wait(0.1):
            if daemon.poll() is not None:      # between two of them
                continue
            most[0], most[1] = max(most[0], wire.memory(daemon.pid)), max(most[1], kept())
    looker = threading.Thread(target=look)
    looker.start()
    runs = {}
    for names in (FOLLOWED, set(RUNS_OF) - FOLLOWED):      # a server that says UNIMPLEMENTED is not asked for Watch again
        for name in names:
            i.api.call('POST', RUNS, run_object(name, [name], runtime='theirs', **RUNS_OF[name][0]))
        runs.update(i.wait(names))
    for name, (_, phase, words) in RUNS_OF.items():
        status = runs.get(name, {}).get('status', {})
        s.check('row 21: ' + name, status.get('phase') == phase and words in status.get('message', ''), json.dumps(status)[:600])
    s.check('row 21: one that still runs there is cancelled', all(theirs.seen.get(('cancel', runs[n]['metadata']['uid'])) for n in ('watch-hang', 'status-hang') if n in runs), str(theirs.seen))
    i.api.call('POST', RUNS, run_object('after', ['well'], runtime='theirs'))
    s.equal('row 21: the next Run is served', i.wait({'after'}).get('after', {}).get('status', {}).get('phase'), 'Succeeded')
    told = len(open(log).read())
    for k in range(4):                         # followed by Status by now
        i.api.call('POST', RUNS, run_object('room-%d' % k, ['one-of-two'], runtime='theirs'))
    s.equal('row 21: who finds no room waits for it', sorted(r.get('status', {}).get('phase') for r in i.wait({'room-%d' % k for k in range(4)}).values()), ['Succeeded'] * 4)
    theirs.released.set()                      # also where that failed
    at = theirs.refused
    s.equal('row 21: what was prepared for it is kept, but where others may change it', theirs.kept, {'no-room': ['own'] + ['of another'] * 3, 'no-room-shared': ['own'] * 4})
    s.check('row 21: and is not sent again at once', len(at) >= 3 and at[2] - at[0] >= 1, str(at))
    s.check('row 21: nor is the server held for one that does not answer', "doesn't answer  call" not in open(log).read()[told:], open(log).read()[told:])
    s.check('row 21: who died was asked again from where it stopped', theirs.seen.get(('watch', runs['die']['metadata']['uid'])) == 4, str(theirs.seen))
    daemon.terminate()
    s.equal('it ends when told', daemon.wait(DEADLINE), 0)
    theirs.vast, asked = True, theirs.seen.get(('list', ''), 0)
    daemon = subprocess.Popen(argv, stderr=open(log, 'a'))
    i.api.call('POST', RUNS, run_object('last', ['well'], runtime='theirs'))
    s.equal('row 21: a List beyond 64 MiB is given up, and Runs are served', i.wait({'last'}).get('last', {}).get('status', {}).get('phase'), 'Succeeded')
    told = until(lambda: 'what the Runtime Server lists is too large' in open(log).read())      # question and answer are under way beside the Run
    s.check('row 21: it was asked for', theirs.seen.get(('list', ''), 0) > asked, str(theirs.seen))
    s.check('row 21: and is told', told, open(log).read()[-600:])
    daemon.terminate()
    s.equal('it ends when told', daemon.wait(DEADLINE), 0)
    theirs.vast, theirs.many, asked = False, 60000, theirs.seen.get(('list', ''), 0)
    daemon = subprocess.Popen(argv, stderr=open(log, 'a'))
    until(lambda: theirs.seen.get(('list', ''), 0) >= asked + 2)
    ended = lambda: sum(kind == 'cancel' and id.startswith('nobody-') for kind, id in list(theirs.seen))
    s.check('row 21: of very many executions of no Run some are ended at a time, and it is asked for the others', theirs.seen.get(('list', ''), 0) > asked + 1 and 0 < ended() <= 1024, str(ended()))
    stop.set()
    looker.join()
    logged = lambda words: sum(words in open(os.path.join(base, f), 'rb').read() for base, _, files in os.walk(os.path.join(work, 'st', 'logs')) for f in files)
    s.equal('row 21: what comes behind the end is nothing', logged(b'behind the end'), 0)
    s.equal('row 21: output that comes behind the answer to Cancel is kept', logged(b'words behind Cancel'), 1)
    s.check('row 21: memory of runtimed', 0 < most[0] <= 64, '%.1f MiB at most' % most[0])
    s.check('row 21: of 400 MB of output 64 and 64 MiB are kept', 100 << 20 < most[1] <= (64 + 64 + 8) << 20, '%d bytes' % most[1])
    over.set()
    daemon.terminate()
    try:
        s.equal('it ends when told', daemon.wait(DEADLINE), 0)
    except subprocess.TimeoutExpired:
        s.check('it ends when told', False)
        daemon.kill()
    # what takes connections and hangs up: a server of TLS, or what stands before one that is away
    with socket.create_server(('127.0.0.1', 0)) as door:
        door.settimeout(DEADLINE)
        argv[argv.index('--server-port') + 1] = str(door.getsockname()[1])
        daemon, at = subprocess.Popen(argv, stderr=open(log, 'a')), []
        for _ in range(8):
            door.accept()[0].close()
            at.append(time.monotonic())
        s.check('row 21: who hangs up is asked ever more rarely', at[-1] - at[0] >= 1, 'asked 8 times in %.3f s' % (at[-1] - at[0]))
        daemon.terminate()
        s.equal('it ends when told', daemon.wait(DEADLINE), 0)
    if s.failed:
        print(open(log).read()[-3000:])
server.stop(None)
shutil.rmtree(work, ignore_errors=True)
s.end()
