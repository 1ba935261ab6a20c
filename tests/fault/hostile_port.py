#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What others of a pod may do at runtimed's own port: open more connections than it has descriptors for, follow logs by the hundred,
begin downloads and not read them. Runs are executed all the same, and what is in bounds is served."""
import os, resource, socket, struct, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from pygrpc import grpc, l, lg
from local import *
import handmade, wire

READERS, STORE_READERS, FILES = 256, 32, 1024      # LIMIT_LOG_READERS, LIMIT_STORE_READERS; what a container often begins with
s = Suite()
work = tempfile.mkdtemp(prefix='kr-port-')


def code_of(call):
    """Of a call that ends, or None: its first answer came."""
    try:
        next(iter(call))
    except StopIteration:
        return grpc.StatusCode.OK
    except grpc.RpcError as e:
        return e.code()


class Port:
    def __init__(self, i, pod):
        self.i, self.pod, self.port, self.pid = i, pod, pod.grpc_port(), pod.daemon.pid

    def channel(self):
        return grpc.insecure_channel('127.0.0.1:%d' % self.port, [('grpc.use_local_subchannel_pool', 1), ('grpc.http2.bdp_probe', 0)])

    def submit(self, name, script):
        s.equal(name + ' is accepted', self.i.api.call('POST', RUNS, run_object(name, [script], runtime='port'))[0], 201)

    def status(self, name):
        return self.i.api.call('GET', RUNS + '/' + name)[1].get('status', {})

    def executes(self, what, name):
        self.submit(name, 'echo hi; echo k=v > $KRUNTIME_OUTPUTS')
        st = self.i.wait({name}).get(name, {}).get('status', {})
        s.equal(what + ': a Run is executed', (st.get('phase'), st.get('outputs'), st.get('message')), ('Succeeded', {'k': 'v'}, None))

    def tail(self, channel, run, follow=False):
        return lg.LogsStub(channel).Tail(l.TailRequest(run_uid=run['metadata']['uid'], tail_lines=-1, follow=follow),
                                         metadata=[('kruntimes-access-key', run['status']['accessKey'])])

    def helpers(self):
        return open('/proc/%d/task/%d/children' % (self.pid, self.pid)).read().split()


def connections(p):
    """None of them says a word."""
    idle = [socket.create_connection(('127.0.0.1', p.port)) for _ in range(FILES + 100)]
    until(lambda: len(os.listdir('/proc/%d/fd' % p.pid)) > 250)
    p.executes('%d idle connections' % len(idle), 'beside-connections')
    run = p.i.wait({'beside-connections'})['beside-connections']
    with p.channel() as c:
        s.equal('and one more is served', b''.join(chunk.data for chunk in p.tail(c, run)), b'hi\n')
    for sock in idle:
        sock.close()


def followers(p, go):
    p.submit('followed', 'echo hi; until [ -e %s ]; do sleep 0.02; done' % go)
    s.check('it runs', until(lambda: p.status('followed').get('accessKey')))
    run = p.i.api.call('GET', RUNS + '/followed')[1]
    channels = [p.channel() for _ in range(2)]
    calls = [p.tail(channels[k % 2], run, follow=True) for k in range(READERS + 44)]
    s.equal('%d who follow a log' % len(calls), collections.Counter(code_of(c) for c in calls), {None: READERS, grpc.StatusCode.RESOURCE_EXHAUSTED: 44})
    p.executes('logs are followed', 'beside-followers')
    for c in channels:
        c.close()
    with p.channel() as c:
        s.check('those that are gone leave room', until(lambda: code_of(p.tail(c, run)) is None))
    open(go, 'w').close()
    p.i.wait({'followed'})


def small_records(p):
    """A program that wrote its output byte by byte, 128 MiB of records of one byte on the disk: who asks for the last line, or for what came
    after a moment, doesn't keep the others waiting."""
    run = p.i.wait({'beside-connections'})['beside-connections']
    base = os.path.join(work, 'pod', 'st', 'logs', run['metadata']['uid'], '1.log')
    record = struct.pack('<IIqII', 0x4b524c47, 1, 10 ** 15, 1, 0) + b'\n'
    for name, n in ((base, 64 << 20), (base + '.1', 32 << 20), (base + '.2', 32 << 20)):
        with open(name, 'wb') as f:
            f.write(record * (n // len(record)))
    channels = [p.channel() for _ in range(2)]
    ask = lambda c, **q: lg.LogsStub(c).Tail(l.TailRequest(run_uid=run['metadata']['uid'], **q), metadata=[('kruntimes-access-key', run['status']['accessKey'])])
    calls = [ask(c, **q) for c in channels for q in 20 * [{'tail_lines': 1}, {'tail_lines': -1, 'since_unix_nano': 1 << 62}]]
    p.executes('%d who read the end of a vast log' % len(calls), 'beside-small-records')
    s.check('which was looked at meanwhile', any(not c.done() for c in calls))
    s.equal('and the end is found', b''.join(chunk.data for chunk in ask(channels[0], tail_lines=1)), b'\n')
    for c in channels:
        c.close()


def downloads(p):
    p.submit('stored', 'head -c 50000000 /dev/zero > $KRUNTIME_ARTIFACTS_DIR/vast')
    run = p.i.wait({'stored'})['stored']
    s.equal('an artifact is stored', (run['status']['phase'], [r['name'] for r in run['status'].get('artifactRefs', [])]), ('Succeeded', ['vast']))
    field = lambda n, text: bytes([n << 3 | 2, len(text)]) + text.encode()
    download = lambda c: c.unary_stream('/artifact.v1.ArtifactService/Download')(field(2, 'stored') + field(3, 'vast'), metadata=[('kruntimes-access-key', run['status']['accessKey'])])
    c = p.channel()
    calls = [download(c) for _ in range(STORE_READERS + 8)]
    s.equal('%d who download and do not read' % len(calls), collections.Counter(code_of(c) for c in calls), {None: STORE_READERS, grpc.StatusCode.RESOURCE_EXHAUSTED: 8})
    s.check('a process each, and no more', len(p.helpers()) <= STORE_READERS, str(len(p.helpers())))
    s.check('memory', wire.memory(p.pid) < 64, '%.1f MiB' % wire.memory(p.pid))
    p.executes('downloads wait', 'beside-downloads')
    c.close()
    s.check('those that are gone leave no process', until(lambda: not p.helpers()))
    with p.channel() as c:
        s.check('and room', until(lambda: code_of(download(c)) is None))
    until(lambda: not p.helpers())


def stored_log(p, store):
    """Of a Run that the pod never had: what lies in the place of its log is no log, and has no end."""
    key = '0123456789abcdef' * 2
    p.i.api.call('POST', RUNS, run_object('elsewhere', ['exit'], runtime='nowhere'))
    uid = p.i.api.call('PATCH', RUNS + '/elsewhere/status', {'status': {'phase': 'Succeeded', 'attempt': 1, 'accessKey': key}}, 'application/merge-patch+json')[1]['metadata']['uid']
    os.makedirs(os.path.join(store, 'default', uid, 'logs'))
    with open(os.path.join(store, 'default', uid, 'logs', '1'), 'wb') as f:
        f.truncate(1 << 40)
    with p.channel() as c:
        call = lg.LogsStub(c).Tail(l.TailRequest(run_uid=uid, attempt=1, tail_lines=-1), metadata=[('kruntimes-access-key', key), ('kruntimes-run', 'elsewhere')])
        s.equal('a stored log without end', (code_of(call), call.details()), (grpc.StatusCode.UNAVAILABLE, 'what the store has in the place of the log is larger than a log can be'))
    until(lambda: not p.helpers())


with instance() as i:
    place, port = os.path.join(work, 'pod'), handmade.free_port()
    os.makedirs(os.path.join(work, 'store'))
    server = handmade.our_server(place, port)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    handmade.make_runtime(i, 'port')
    pod = handmade.Pod(i, 'port', 'port', port, place, more=['--artifacts', os.path.join(work, 'store'), '--artifact-store',
                       json.dumps({'driver': 'filesystem', 'filesystem': {'volumeClaimName': 'store'}})])
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * FILES)), hard))
    try:
        s.check('it is up', until(lambda: 'runtimed is ready' in open(pod.log).read()))
        p = Port(i, pod)
        connections(p)
        followers(p, os.path.join(work, 'go'))
        small_records(p)
        downloads(p)
        stored_log(p, os.path.join(work, 'store'))
    finally:
        s.equal('runtimed ends when told', pod.stop(), 0)
        server.terminate()
        server.wait(DEADLINE)
    if s.failed:
        print(open(pod.log).read()[-3000:])
shutil.rmtree(work, ignore_errors=True)
s.end()
