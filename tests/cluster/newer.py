#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kinds that are newer than the build at work: each has fields that it does not know, in spec, in status and deep inside. Controller,
scheduler, runtimed and command line do their work, and nothing of them is lost."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *

s = Suite()
install()
CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/'
KINDS = ('runs', 'runtimes', 'workflows')
TEXT = {'type': 'string'}
PLACES = {'runs': ['spec', 'spec/properties/retryPolicy', 'spec/properties/env/items', 'status'], 'runtimes': ['spec', 'spec/properties/capacity', 'status'],
          'workflows': ['spec', 'spec/properties/jobs/additionalProperties', 'spec/properties/jobs/additionalProperties/properties/steps/items', 'status']}
ns = Space('newer')
flows = GROUP + '/namespaces/newer/workflows'
ways = {'runs': ns.runs, 'runtimes': ns.runtimes, 'workflows': flows}
call = ns.api.call


def widen(kind):
    """The kind as a later release would have it: one more field in each of these places."""
    ops = [{'op': 'add', 'path': '/spec/versions/0/schema/openAPIV3Schema/properties/%s/properties/later' % place, 'value': TEXT} for place in PLACES[kind]]
    code, answer = call('PATCH', CRDS + kind + '.kruntimes.io', ops, JSON_PATCH)
    s.check('the kind %s is newer' % kind, code == 200, json.dumps(answer)[:500])


def served(kind):
    """Does the server keep the new field by now? It tells nobody when."""
    body = {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': {'runs': 'Run', 'runtimes': 'Runtime', 'workflows': 'Workflow'}[kind], 'metadata': {'name': 'probe'}, 'spec': dict(
        {'runs': {'runtime': 'bash'}, 'runtimes': {'server': 'Injected', 'template': {'spec': {'containers': [{'name': 'runtime', 'image': 'x'}]}}},
         'workflows': {'jobs': {'a': {'runs-on': 'bash', 'steps': [{'name': 's', 'run': 'x'}]}}}}[kind], later='x')}
    code, answer = call('POST', ways[kind] + '?dryRun=All', body)
    return code == 201 and answer['spec'].get('later') == 'x'


def later(o, *path):
    for key in path:
        o = (o[key] if isinstance(o, list) else o.get(key)) or {}
    return o.get('later')


def keep(what, kind, name, paths):
    o = ns.get('%s/%s' % (ways[kind], name))
    s.equal('%s keeps what is new' % what, [later(o, *p) for p in paths], ['kept'] * len(paths))
    return o


RUN = [('spec',), ('spec', 'retryPolicy'), ('spec', 'env', 0), ('status',)]
FLOW = [('spec',), ('spec', 'jobs', 'a'), ('spec', 'jobs', 'a', 'steps', 0), ('status',)]
run = lambda name, script, **spec: {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Run', 'metadata': {'name': name}, 'spec': {
    'runtime': 'bash', 'args': [script], 'later': 'kept', 'retryPolicy': {'maxAttempts': 2, 'backoff': '10ms', 'later': 'kept'},
    'env': [{'name': 'A', 'value': '1', 'later': 'kept'}], **spec}}
new_status = lambda kind, name: call('PATCH', '%s/%s/status' % (ways[kind], name), {'status': {'later': 'kept'}}, MERGE)[0]
try:
    for kind in KINDS:
        widen(kind)
    s.check('the server keeps the new fields', until(lambda: all(served(k) for k in KINDS)))

    # a Runtime: its pool, its finalizer, its sums; scaled by us and by the command line
    ns.runtime('bash', later='kept', capacity={'resources': {'runs': 4}, 'later': 'kept'})
    s.check('the Runtime gets Ready', ns.wait_ready('bash', 120), ns.why())
    s.equal('the status of the Runtime', new_status('runtimes', 'bash'), 200)
    kubectl('scale', '-n', ns.name, 'runtime/bash', '--replicas=2')
    s.check('and is scaled', ns.wait_ready('bash', 120), ns.why())
    keep('the Runtime', 'runtimes', 'bash', [('spec',), ('spec', 'capacity'), ('status',)])

    # a Run: assigned, executed twice, cancelled, by people and by us
    s.equal('a Run', call('POST', ns.runs, run('twice', 'echo $A; [ $KRUNTIME_ATTEMPT = 2 ]'))[0], 201)
    s.equal('its status', new_status('runs', 'twice'), 200)
    s.equal('it is executed', ns.finished('twice').get('phase'), 'Succeeded')
    keep('a Run that was executed', 'runs', 'twice', RUN)
    call('POST', ns.runs, run('long', 'sleep 600'))
    until(lambda: ns.run_status('long').get('phase') == 'Running')
    s.equal('the status of one that runs', new_status('runs', 'long'), 200)
    s.equal('cancel', cli('run', 'cancel', 'long', '-n', ns.name).returncode, 0)
    s.equal('it is cancelled', ns.finished('long').get('phase'), 'Cancelled')
    keep('a Run that was cancelled', 'runs', 'long', RUN)
    for words in (('get', 'twice', '-o', 'json'), ('retry', 'twice', '-o', 'json'), ('submit', '--from', 'twice', '-e', 'B=2', '-o', 'json')):
        done = cli('run', *words, '-n', ns.name)
        o = json.loads(done.stdout) if done.returncode == 0 else {}
        s.equal('run %s has what is new' % words[0], [later(o, *p) for p in RUN[:3]], ['kept'] * 3)
        if words[0] != 'get' and o:
            ns.finished(o['metadata']['name'])
            keep('what run %s made' % words[0], 'runs', o['metadata']['name'], RUN[:3])
    text = json.dumps(run('filed', 'true'))
    done = subprocess.run([BINARY, 'run', 'submit', '-f', '-', '-n', ns.name], input=text, capture_output=True, text=True, timeout=120)
    s.check('a file with a field that this build does not know is refused by name, not cut', done.returncode == 2 and 'later' in done.stderr, done.stdout + done.stderr)

    # a Workflow, and what rerun makes of it
    jobs = {'a': {'runs-on': 'bash', 'later': 'kept', 'steps': [{'name': 'one', 'run': 'exit 3', 'later': 'kept'}]}}
    s.equal('a Workflow', call('POST', flows, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Workflow', 'metadata': {'name': 'flow'}, 'spec': {'later': 'kept', 'jobs': jobs}})[0], 201)
    s.equal('its status', new_status('workflows', 'flow'), 200)
    s.check('it ends', until(lambda: ns.get(flows + '/flow').get('status', {}).get('phase') == 'Failed'), json.dumps(ns.get(flows + '/flow')))
    keep('a Workflow', 'workflows', 'flow', FLOW)
    done = cli('workflow', 'rerun', 'flow', '-n', ns.name, '-o', 'json')
    o = json.loads(done.stdout) if done.returncode == 0 else {}
    s.equal('workflow rerun has what is new', [later(o, *p) for p in FLOW[:3]], ['kept'] * 3)

    # who asks is told
    done = cli('doctor', '-n', ns.name)
    s.check('doctor names the place', done.returncode == 4 and 'kinds: runs.kruntimes.io is another release\'s' in done.stdout and '.later differs' in done.stdout, done.stdout)
    if s.failed:
        print(ns.why())
finally:
    kubectl('apply', '--server-side', '--force-conflicts', '-k', os.path.join(TOP, 'crds'))
    for kind in KINDS:
        ops = [{'op': 'remove', 'path': '/spec/versions/0/schema/openAPIV3Schema/properties/%s/properties/later' % place} for place in PLACES[kind]]
        there = json.dumps(ns.get(CRDS + kind + '.kruntimes.io')).count('"later"')
        if there:
            call('PATCH', CRDS + kind + '.kruntimes.io', ops, JSON_PATCH)
ns.delete()
s.end()
