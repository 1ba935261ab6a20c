#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Figures of Workflows, each beside the same work done bare on this machine: on a local instance (make bench-workflow), or inside
tests/cluster/in on the Kubernetes there (make bench-cluster)."""
import os, statistics, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

# The environment of a container: no locale that each command loads, nobody's shims in front of python3.
os.environ['PATH'] = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
for name in ('LANG', 'LANGUAGE', 'LC_ALL'):
    os.environ.pop(name, None)
FIB = 'def f(n): return n if n < 2 else f(n - 1) + f(n - 2)\nprint(f(%d))'


def moment(text):
    return time.mktime(time.strptime(text[:19], '%Y-%m-%dT%H:%M:%S')) + float('0' + text[19:26])


def bare(n, times):
    """Seconds of one `python3 -c` of it, the median."""
    took = []
    for _ in range(times):
        begin = time.monotonic()
        subprocess.run(['python3', '-c', FIB % n], stdout=subprocess.DEVNULL, check=True)
        took.append(time.monotonic() - begin)
    return statistics.median(took)


def middle(values):
    return sorted(values)[len(values) // 2]


class Place:
    """A namespace with the Runtimes `py`, which has Python, and `wide` of 64 slots."""
    def __init__(self, api, ns, image):
        base = '/apis/kruntimes.io/v1alpha1/namespaces/%s/' % ns
        self.api, self.flows, self.runs = api, base + 'workflows', base + 'runs'
        for name, interpreter, slots, image in (('py', 'python3', 2, image('python')), ('wide', 'bash', 64, image('bash'))):
            code, answer = api.call('POST', base + 'runtimes', {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': name}, 'spec': {
                'server': 'Injected', 'interpreter': [interpreter], 'capacity': {'resources': {'runs': slots}},
                'template': {'spec': {'containers': [{'name': 'runtime', 'image': image, 'imagePullPolicy': 'IfNotPresent'}]}}}})
            assert code == 201, answer
            while api.call('GET', base + 'runtimes/' + name)[1].get('status', {}).get('readyReplicas') != 1:
                time.sleep(0.05)      # polling on purpose: before the measurement

    def execute(self, name, jobs):
        """Seconds from the request to the end that a watcher sees, how often the status was written, and the children."""
        begin = time.monotonic()
        code, w = self.api.call('POST', self.flows, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': name}, 'spec': {'jobs': jobs}})
        assert code == 201, w
        patches = 0
        for event in self.api.watch(self.flows + '?watch=true&timeoutSeconds=300&fieldSelector=metadata.name%3D' + name):
            patches += event['type'] == 'MODIFIED'
            if event['object'].get('status', {}).get('phase') in ('Succeeded', 'Failed', 'Cancelled'):
                break
        took = time.monotonic() - begin
        assert event['object']['status']['phase'] == 'Succeeded', event['object']['status']
        return took, patches, self.api.call('GET', self.runs + '?labelSelector=kruntimes.io/workflow-uid%3D' + w['metadata']['uid'])[1]['items']


@contextlib.contextmanager
def place():
    if not os.environ.get('KR_CLUSTER'):
        with instance() as i:
            yield Place(i.api, 'default', lambda name: 'local')
        return
    from cluster import Space, install
    install()
    ns = Space('bench-workflow')
    try:
        yield Place(ns.api, ns.name, lambda name: 'localhost/%s:1' % name)
    finally:
        ns.delete()


def steps(n, count):
    return {'a': {'runs-on': 'py', 'steps': [{'name': 's%d' % k, 'args': ['python3', '-c', FIB % n]} for k in range(count)]}}


with place() as p:
    one = bare(10, 40)
    p.execute('warm', steps(10, 3))
    took, patches, runs = p.execute('small', steps(10, 40))
    print('40 steps of fibo(10)   %6.1f ms a step above bare python3 (total %.3f s, bare %.1f ms, %d status patches)' % ((took / 40 - one) * 1e3, took, one * 1e3, patches))
    times = sorted(({k: moment(v) for k, v in r['status']['timings'].items()} for r in runs), key=lambda t: t['executed'])
    gaps = sorted((b['executed'] - a['finished']) * 1e3 for a, b in zip(times, times[1:]))
    print('gap between two steps  %6.1f ms p50, %.1f ms p99 (end of one seen by runtimed to the next accepted by the Runtime Server)' % (middle(gaps), gaps[-1]))
    print('    of it, p50         %6.1f ms until the scheduler decides (end written, next created), %.1f ms until runtimed begins (bind), %.1f ms until it is accepted' % (
        middle([(b['scheduled'] - a['finished']) * 1e3 for a, b in zip(times, times[1:])]), middle([(t['started'] - t['scheduled']) * 1e3 for t in times]),
        middle([(t['executed'] - t['started']) * 1e3 for t in times])))
    one = bare(33, 5)
    took, patches, runs = p.execute('large', steps(33, 10))
    print('10 steps of fibo(33)   %6.3f total / bare (total %.3f s, bare 10 x %.3f s)' % (took / (10 * one), took, one))
    took, patches, runs = p.execute('wide', {'a': {'runs-on': 'wide', 'strategy': {'matrix': {'k': [str(k) for k in range(256)]}}, 'steps': [{'name': 's', 'run': 'sleep 1'}]}})
    print('256 legs on 64 slots   %6.3f ideal / real (4 s / %.3f s)' % (4 / took, took))
