#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Figures of the command line and of scrapes, on an embedded API server alone. `make bench-cli` prints them.

run list ÷ kubectl get: the same table of 10,000 finished Runs, from start to end of the process, in turns, medians.
A scrape: /metrics of the API server, the controller and the scheduler with RUNS Runs there (150,000), medians of 50 on one connection."""
import os, statistics, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

LISTED, MANY, CONNECTIONS = 10000, int(os.environ.get('RUNS', '150000')), 16
top = tempfile.mkdtemp(prefix='kr-bench-cli-')
config, started = top + '/state/kubeconfig', []


def start(*args, ready):
    p = subprocess.Popen([BINARY, *args], stderr=subprocess.PIPE, text=True)
    started.append(p)
    line = p.stderr.readline()
    while line and ready not in line:
        line = p.stderr.readline()
    threading.Thread(target=p.stderr.read, daemon=True).start()


def fill(first, last):
    """Finished Runs, by several connections."""
    def some(k):
        mine = Api(config)
        for n in range(first + k, last, CONNECTIONS):
            name = 'run-%06d' % n
            assert mine.call('POST', RUNS, run_object(name, ['true']))[0] == 201
            mine.call('PATCH', RUNS + '/' + name + '/status', {'status': {'phase': 'Succeeded', 'exitCode': 0, 'duration': '12ms'}}, 'application/merge-patch+json')
    threads = [threading.Thread(target=some, args=(k,)) for k in range(CONNECTIONS)]
    [t.start() for t in threads]
    [t.join() for t in threads]


def seconds(*words):
    begin = time.monotonic()
    lines = subprocess.run(words, capture_output=True, env=dict(os.environ, KUBECONFIG=config, HOME=top), check=True).stdout.count(b'\n')
    took = time.monotonic() - begin
    assert lines == LISTED + 1, lines
    return took


def lists():
    ours, theirs = [], []
    made = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'get'), 'kubectl'], capture_output=True, text=True)
    kubectl = made.stdout.strip() if made.returncode == 0 else None
    for _ in range(8):
        ours.append(seconds(BINARY, 'run', 'list'))
        if kubectl:
            theirs.append(seconds(kubectl, 'get', 'runs.kruntimes.io'))
    mine = statistics.median(ours[1:])
    if kubectl:
        other = statistics.median(theirs[1:])
        print('run list of %d Runs: %.1f ms; kubectl get: %.1f ms; ratio %.2f' % (LISTED, mine * 1e3, other * 1e3, mine / other))
    else:
        print('run list of %d Runs: %.1f ms (no kubectl: %s)' % (LISTED, mine * 1e3, made.stdout.strip()))


def scrape(name, connection, headers={}):
    took, size = [], 0
    for _ in range(50):
        begin = time.monotonic()
        connection.request('GET', '/metrics', headers=headers)
        answer = connection.getresponse()
        size = len(answer.read())
        took.append(time.monotonic() - begin)
        assert answer.status == 200, answer.status
    print('scrape of the %s with %d Runs: %.2f ms, %d bytes' % (name, MANY, statistics.median(took) * 1e3, size))


def free_port():
    import socket
    with socket.socket() as x:
        x.bind(('127.0.0.1', 0))
        return x.getsockname()[1]


try:
    start('apiserver', '--state-dir', top + '/state', '--port', '0', ready='ready')
    api = Api(config)
    fill(0, LISTED)
    lists()
    fill(LISTED, MANY)
    scrape('API server', api.open(), api.headers)
    for applet in ('controller', 'scheduler'):
        port = free_port()
        start(applet, '--kubeconfig', config, '--no-leader-elect', '--metrics-bind', '127.0.0.1:%d' % port, '--probes-bind', 'off', ready='leading')
        scrape(applet, http.client.HTTPConnection('127.0.0.1', port, timeout=DEADLINE))
finally:
    for p in reversed(started):
        p.terminate()
        p.wait()
    shutil.rmtree(top, ignore_errors=True)
