#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Figures of the protocols, each beside other people's, taking turns: make bench-proto prints them. The server has one core, the client
another; both sides answer and ask the same."""
import atexit, os, re, resource, socket, statistics, struct, subprocess, sys, tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCH = os.path.join(TOP, 'build', 'bench')
TURNS, REQUESTS, BYTES = int(os.environ.get('TURNS', '5')), int(os.environ.get('REQUESTS', '200000')), 100
CORES = sorted(os.sched_getaffinity(0))
ANSWER = 'Hello, World!\n'


class Server:
    """On the first core. It prints "port N", or is told one and listens there."""

    def __init__(self, *command, port=None, **env):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=dict(os.environ, **env),
                                        preexec_fn=lambda: os.sched_setaffinity(0, {CORES[0]}))
        self.name = os.path.basename(command[0])
        atexit.register(self.end)                        # also when something fails on the way
        self.port = port or int(self.process.stdout.readline().split()[1])
        while port and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', port)) == 0:
                    break

    def cpu(self):
        words = open('/proc/%d/stat' % self.process.pid).read().rsplit(')', 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf('SC_CLK_TCK')

    def end(self):
        self.process.kill()
        self.process.wait()


def client(*command, **env):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={k: str(v) for k, v in dict(os.environ, **env).items()},
                          preexec_fn=lambda: os.sched_setaffinity(0, {CORES[-1]}))
    if done.returncode:
        sys.exit('%s: ended with %d' % (' '.join(command), done.returncode))
    return done.stdout


def h2load(server, url, *more, requests=REQUESTS, clients=50, streams=100, log=None):
    """Requests a second; requests per second of the server's own CPU time; with a log the 99th percentile in seconds."""
    before = server.cpu()
    out = client('h2load', '-n%d' % requests, '-c%d' % clients, '-m%d' % streams, *(['--log-file=' + log] if log else []), *more, url % server.port)
    spent = server.cpu() - before
    good = int(re.search(r'status codes: (\d+) 2xx', out)[1])
    if good < requests:                                  # Go's server drops connections of TLS under this load now and then
        print('  (%s answered %d of %d)' % (server.name, good, requests))
    took = sorted(int(line.split('\t')[2]) for line in open(log)) if log else [0]
    if log:
        os.unlink(log)
    return float(re.search(r'([\d.]+) req/s', out)[1]), good / max(spent, 0.01), took[len(took) * 99 // 100] / 1e6


def turns(ways):
    """For each way the medians of its numbers; one after the other, so that what else the machine does falls on all."""
    got = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            got[name].append(way())
    return {name: [statistics.median(column) for column in zip(*rows)] for name, rows in got.items()}


def nghttpd(folder, pair=()):
    with socket.socket() as free:                        # it takes a number and doesn't tell which it got
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    return Server('/usr/sbin/nghttpd', '-a', '127.0.0.1', '-d', folder, *([] if pair else ['--no-tls']), str(port), *reversed(pair), port=port)


def http(go, folder, pair=()):
    servers = {'ours': Server(BENCH, 'http', **({'CERTIFICATE': os.path.join(folder, 'pair')} if pair else {})), 'nghttpd': nghttpd(folder, pair),
               'Go': Server(go, 'http', *pair)}
    url = ('https' if pair else 'http') + '://127.0.0.1:%d/hello.txt'
    got = turns({name: lambda s=s: h2load(s, url) for name, s in servers.items()})
    for s in servers.values():
        s.end()
    what = 'HTTP/2 over TLS' if pair else 'HTTP/2'
    print('%s, %d bytes, h2load -c 50 -m 100:' % (what, len(ANSWER)), ', '.join('%s %.0f/s' % (name, row[0]) for name, row in got.items()))
    for other in ('nghttpd', 'Go'):
        print('  ours / %s = %.2f; by CPU time of the server %.2f' % (other, got['ours'][0] / got[other][0], got['ours'][1] / got[other][1]))


def grpc(go, folder):
    body, log = os.path.join(folder, 'echo'), os.path.join(folder, 'log')
    payload = b'\x12' + bytes([BYTES]) + bytes(BYTES)                    # Payload.body
    message = b'\x1a' + bytes([len(payload)]) + payload                   # SimpleRequest.payload
    with open(body, 'wb') as f:
        f.write(struct.pack('>BI', 0, len(message)) + message)
    ask = ['-d', body, '-H', 'content-type: application/grpc', '-H', 'te: trailers']
    url = 'http://127.0.0.1:%d/grpc.testing.TestService/UnaryCall'
    servers = {'ours': Server(BENCH, 'grpc'), 'grpc-go': Server(go, 'grpc')}
    for s in servers.values():                                              # what is measured are echoes that arrive
        client(BENCH, 'call', PORT=s.port, CALLS=100, BYTES=BYTES, AT_ONCE=1)
    load = turns({name: lambda s=s: h2load(s, url, *ask) for name, s in servers.items()})
    calm = turns({name: lambda s=s: h2load(s, url, *ask, requests=REQUESTS // 10, clients=10, streams=1, log=log) for name, s in servers.items()})
    print('gRPC unary echo of %d bytes, h2load -c 50 -m 100:' % BYTES, ', '.join('%s %.0f/s' % (name, row[0]) for name, row in load.items()))
    print('  ours / grpc-go = %.2f; by CPU time of the server %.2f' % tuple(load['ours'][i] / load['grpc-go'][i] for i in (0, 1)))
    print('  p99 of -c 10 -m 1:', ', '.join('%s %.0f µs' % (name, row[2] * 1e6) for name, row in calm.items()))

    def rate(calls, *command, **env):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        words = client(*command, **env).split()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return float(words[1]), float(words[2]), calls / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    port, few = servers['ours'].port, REQUESTS // 2
    got = turns({'ours': lambda: rate(REQUESTS, BENCH, 'call', PORT=port, CALLS=REQUESTS, BYTES=BYTES, AT_ONCE=100),
                 'grpc-go': lambda: rate(few, go, 'call', str(port), str(few), str(BYTES), '100')})
    print('gRPC client, 100 calls at once on one connection to our server:', ', '.join('%s %.0f/s (p99 %.1f ms)' % (name, row[0], row[1] * 1e3) for name, row in got.items()))
    print('  ours / grpc-go = %.2f; by CPU time of the client %.2f' % tuple(got['ours'][i] / got['grpc-go'][i] for i in (0, 2)))
    for s in servers.values():
        s.end()


def main():
    tool = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'get'), 'protobench'], capture_output=True, text=True)
    if tool.returncode:
        sys.exit(tool.stdout + tool.stderr)
    go = tool.stdout.strip()
    with open('/proc/cpuinfo') as f:
        model = re.search(r'model name\s*: (.*)', f.read())
    print('machine: %d cores, %s, load %.1f' % (len(CORES), model[1] if model else 'unknown', os.getloadavg()[0]), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, 'hello.txt'), 'w') as f:
            f.write(ANSWER)
        http(go, folder)
        # Our server makes the pair of keys, the others take the same.
        Server(BENCH, 'http', CERTIFICATE=os.path.join(folder, 'first')).end()
        http(go, folder, [os.path.join(folder, 'first.crt'), os.path.join(folder, 'first.key')])
        grpc(go, folder)
    print(client(BENCH, 'json'), end='')
    server = Server(BENCH, 'http')
    print(client(BENCH, 'hold', PORT=server.port, SERVER=server.process.pid) + client(BENCH, 'lines', PORT=server.port), end='')
    server.end()


main()
