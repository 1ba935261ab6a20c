#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Figures of Workflows on a local instance, each beside the same work done bare on this machine. make bench-workflow prints them."""
import os, statistics, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

FLOWS = '/apis/kruntimes.io/v1alpha1/namespaces/default/workflows'
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


def execute(i, name, jobs):
    """Seconds from the request to the end that a watcher sees, and the children."""
    begin = time.monotonic()
    code, w = i.api.call('POST', FLOWS, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': name}, 'spec': {'jobs': jobs}})
    assert code == 201, w
    patches = 0
    for event in i.api.watch(FLOWS + '?watch=true&timeoutSeconds=300&fieldSelector=metadata.name%3D' + name):
        patches += event['type'] == 'MODIFIED'
        if event['object'].get('status', {}).get('phase') in ('Succeeded', 'Failed', 'Cancelled'):
            break
    took = time.monotonic() - begin
    assert event['object']['status']['phase'] == 'Succeeded', event['object']['status']
    runs = i.api.call('GET', RUNS + '?labelSelector=kruntimes.io/workflow-uid%3D' + w['metadata']['uid'])[1]['items']
    return took, patches, runs


def steps(n, count):
    return {'a': {'runs-on': 'bash', 'steps': [{'name': 's%d' % k, 'args': ['python3', '-c', FIB % n]} for k in range(count)]}}


with instance() as i:
    one = bare(10, 40)
    execute(i, 'warm', steps(10, 3))
    took, patches, runs = execute(i, 'small', steps(10, 40))
    print('40 steps of fibo(10)   %6.1f ms a step above bare python3 (total %.3f s, bare %.1f ms, %d status patches)' % ((took / 40 - one) * 1e3, took, one * 1e3, patches))
    runs.sort(key=lambda r: r['status']['timings']['executed'])
    gaps = sorted((moment(b['status']['timings']['executed']) - moment(a['status']['timings']['finished'])) * 1e3 for a, b in zip(runs, runs[1:]))
    print('gap between two steps  %6.1f ms p50, %.1f ms p99 (end of one seen by runtimed to the next accepted by the Runtime Server)' % (gaps[len(gaps) // 2], gaps[-1]))
    one = bare(33, 5)
    took, patches, runs = execute(i, 'large', steps(33, 10))
    print('10 steps of fibo(33)   %6.3f total / bare (total %.3f s, bare 10 x %.3f s)' % (took / (10 * one), took, one))
    i.api.call('POST', RUNTIMES, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': 'wide'}, 'spec': {
               'server': 'Injected', 'interpreter': ['bash'], 'capacity': {'resources': {'runs': 64}},
               'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'local'}]}}}})
    while i.api.call('GET', RUNTIMES + '/wide')[1].get('status', {}).get('readyReplicas') != 1:
        time.sleep(0.05)      # polling on purpose: before the measurement
    took, patches, runs = execute(i, 'wide', {'a': {'runs-on': 'wide', 'strategy': {'matrix': {'k': [str(k) for k in range(256)]}}, 'steps': [{'name': 's', 'run': 'sleep 1'}]}})
    print('256 legs on 64 slots   %6.3f ideal / real (4 s / %.3f s)' % (4 / took, took))
