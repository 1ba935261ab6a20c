#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""150,000 finished Runs in a namespace (RUNS=N: so many) don't slow scheduling: an API server and a scheduler alone, a pod that
nobody runs. The scheduler is started with them there, and holds none of them: its memory tells, and its counters that it decided
about the others only. Seconds are printed, not judged."""
import os, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

s = Suite()
many, few = int(os.environ.get('RUNS', '150000')), 500
top = tempfile.mkdtemp(prefix='kr-finished-')
config = top + '/state/kubeconfig'
PODS = '/api/v1/namespaces/default/pods'
SMALL = 4 << 20         # by so much the scheduler may grow; the Runs alone are a hundred MB and more


def start(*args, ready):
    p = subprocess.Popen([BINARY, *args], stderr=subprocess.PIPE, text=True)
    line = p.stderr.readline()
    while line and ready not in line:
        line = p.stderr.readline()
    threading.Thread(target=p.stderr.read, daemon=True).start()
    return p


def create(names, after=None):
    """By 8 connections."""
    def some(k):
        mine = Api(config)
        for n in names[k::8]:
            assert mine.call('POST', RUNS, run_object(n, ['true']))[0] == 201
            if after:
                after(mine, n)
    threads = [threading.Thread(target=some, args=(k,)) for k in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]


def rss(p):
    return int(re.search(r'^VmRSS:\s*(\d+)', open('/proc/%d/status' % p.pid).read(), re.M).group(1)) << 10


def free_port():
    import socket
    with socket.socket() as x:
        x.bind(('127.0.0.1', 0))
        return x.getsockname()[1]


def is_ready(port):
    try:
        c = http.client.HTTPConnection('127.0.0.1', port, timeout=DEADLINE)
        c.request('GET', '/readyz')
        return c.getresponse().status == 200
    except OSError:
        return False


def round_of(name):
    """Seconds until the scheduler has its lists, those until `few` new Runs are bound, and its memory then."""
    port, probes = free_port(), free_port()
    begin = time.monotonic()
    p = subprocess.Popen([BINARY, 'scheduler', '--kubeconfig', config, '--no-leader-elect', '--metrics-bind', '127.0.0.1:%d' % port, '--probes-bind', '127.0.0.1:%d' % probes],
                         stderr=subprocess.DEVNULL)
    try:
        names = ['%s-%d' % (name, n) for n in range(few)]
        while not is_ready(probes):
            assert p.poll() is None and time.monotonic() < begin + DEADLINE
            time.sleep(0.005)     # nothing tells but asking
        started, begin = time.monotonic() - begin, time.monotonic()
        create(names)
        c = http.client.HTTPConnection('127.0.0.1', port, timeout=DEADLINE)

        def value(metric):
            c.request('GET', '/metrics')
            found = re.search(r'^%s (\S+)$' % re.escape(metric), c.getresponse().read().decode(), re.M)
            return int(float(found.group(1))) if found else 0
        until = time.monotonic() + 600
        while value('kruntimes_scheduler_active_runs') < few and time.monotonic() < until:
            time.sleep(0.01)      # polling on purpose: to ask the API server would be what is measured
        took = time.monotonic() - begin
        s.equal('%s: all are bound' % name, len(api.call('GET', RUNS + '?fieldSelector=status.assignedPod%3Dp', retry=True)[1]['items']), few)
        s.equal('%s: it decided about these' % name, value('kruntimes_scheduler_decisions_total{verdict="bind"}'), few)
        s.equal('%s: and holds these' % name, value('kruntimes_scheduler_active_runs'), few)
        memory = rss(p)
    finally:
        p.terminate()
        p.wait()
    for n in names:
        api.call('DELETE', RUNS + '/' + n, retry=True)
    return started, took, memory


server = start('apiserver', '--state-dir', top + '/state', '--port', '0', ready='API server is ready')
try:
    api = Api(config)
    api.call('POST', RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': 'bash'}, 'spec': {'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'x'}]}}}})
    api.call('POST', PODS, {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'p', 'labels': {'kruntimes.io/runtime': 'bash'}, 'annotations': {'kruntimes.io/capacity.runs': '100000'}},
                            'spec': {'containers': [{'name': 'runtime', 'image': 'x'}]}})
    api.call('PATCH', PODS + '/p/status', {'status': {'phase': 'Running', 'conditions': [{'type': 'Ready', 'status': 'True'}]}}, 'application/merge-patch+json')
    first, before, small = round_of('before')
    create(['done-%d' % n for n in range(many)],
           lambda a, n: a.call('PATCH', RUNS + '/' + n + '/status', {'status': {'phase': 'Succeeded', 'completionTime': '2026-01-01T00:00:00Z'}}, 'application/merge-patch+json'))
    second, after, large = round_of('after')
    print('%d Runs bound in %.2f s, with %d finished ones there in %.2f s; the scheduler has its lists after %.2f s and %.2f s, and %.1f MB and %.1f MB' % (
        few, before, many, after, first, second, small / 1e6, large / 1e6))
    s.check('its memory does not grow with them', large < small + SMALL, '%d, then %d bytes' % (small, large))
finally:
    server.terminate()
    server.wait()
    shutil.rmtree(top, ignore_errors=True)
s.end()
