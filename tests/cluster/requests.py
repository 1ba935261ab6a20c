#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One script of API requests, sent to the real API server and to the embedded one: the answers are equal.

What differs from one server to another by nature (versions, UIDs, times) is put into order-preserving names first. What
differs for a reason is listed in differences.txt, "step  where  why" (where without the numbers of items): a line that no longer differs is a failure too.
"""
import os, subprocess, sys, tempfile, urllib.parse
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from cluster import *

NS = 'requests'
CORE, OURS = '/api/v1/namespaces/' + NS, '/apis/kruntimes.io/v1alpha1/namespaces/' + NS
CMS, RUNS, RUNTIMES = CORE + '/configmaps', OURS + '/runs', OURS + '/runtimes'
STRATEGIC = 'application/strategic-merge-patch+json'
TABLE = {'Accept': 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'}
META = {'Accept': 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json'}
METAS = {'Accept': 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json'}
steps = []


def step(name, method, path, body=None, type=None, headers=None, save=None, watch=False, keep=None):
    """save: {variable: path in the answer}. keep: only these members of the answer are compared."""
    steps.append(dict(name=name, method=method, path=path, body=body, type=type, headers=headers or {}, save=save or {}, watch=watch, keep=keep))


def cm(name, labels=None, **data):
    return {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': dict({'name': name}, **({'labels': labels} if labels else {})), 'data': data}


def run(name, labels=None, **spec):
    return {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Run', 'metadata': dict({'name': name}, **({'labels': labels} if labels else {})),
            'spec': dict({'runtime': 'none', 'args': ['true']}, **spec)}


def runtime(name, **spec):
    return {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Runtime', 'metadata': {'name': name},
            'spec': dict({'replicas': 0, 'template': {'metadata': {'labels': {'kept': 'yes'}}, 'spec': {'containers': [{'name': 'runtime', 'image': 'x'}]}}}, **spec)}


def script():
    # ---- discovery, paths
    step('group', 'GET', '/apis/kruntimes.io')
    step('group-version', 'GET', '/apis/kruntimes.io/v1alpha1')
    step('no-such-group', 'GET', '/apis/none.example/v1')
    step('no-such-version', 'GET', '/apis/kruntimes.io/v9')
    step('no-such-resource', 'GET', OURS + '/walks')
    step('no-such-subresource', 'GET', RUNS + '/x/walk')
    step('no-such-core-resource', 'GET', CORE + '/walks')
    step('api-versions', 'GET', '/api', keep=['kind', 'versions'])
    step('livez', 'GET', '/livez')
    # ---- namespaces
    step('namespace-create', 'POST', '/api/v1/namespaces', {'metadata': {'name': NS, 'labels': {'team': 'a'}}})
    step('namespace-again', 'POST', '/api/v1/namespaces', {'metadata': {'name': NS}})
    step('namespace-get', 'GET', '/api/v1/namespaces/' + NS)
    step('namespace-missing', 'GET', '/api/v1/namespaces/nowhere')
    step('namespace-patch', 'PATCH', '/api/v1/namespaces/' + NS, {'metadata': {'labels': {'team': 'b', 'x': None}}}, MERGE)
    step('namespace-bad-name', 'POST', '/api/v1/namespaces', {'metadata': {'name': 'Bad_Name'}})
    step('into-a-missing-namespace', 'POST', '/api/v1/namespaces/nowhere/configmaps', cm('a'))
    step('run-into-a-missing-namespace', 'POST', '/apis/kruntimes.io/v1alpha1/namespaces/nowhere/runs', run('a'))
    # ---- ConfigMaps: create, read, replace
    step('cm-create', 'POST', CMS, cm('a', {'app': 'one', 'tier': 'x'}, k='v'), save={'a_rv': 'metadata.resourceVersion', 'a_uid': 'metadata.uid'})
    step('cm-create-again', 'POST', CMS, cm('a', k='v'))
    step('cm-create-wrong-namespace', 'POST', CMS, {'metadata': {'name': 'b', 'namespace': 'other'}})
    step('cm-create-no-name', 'POST', CMS, {'metadata': {}, 'data': {'k': 'v'}})
    step('cm-create-bad-name', 'POST', CMS, cm('Not Good'))
    step('cm-create-bad-label', 'POST', CMS, cm('b', {'bad key!': 'x'}))
    step('cm-create-bad-annotation', 'POST', CMS, {'metadata': {'name': 'b', 'annotations': {'a b': 'x'}}})
    step('cm-create-wrong-kind', 'POST', CMS, {'apiVersion': 'v1', 'kind': 'Secret', 'metadata': {'name': 'b'}})
    step('cm-create-wrong-version', 'POST', CMS, {'apiVersion': 'v2', 'kind': 'ConfigMap', 'metadata': {'name': 'b'}})
    step('cm-create-not-json', 'POST', CMS, 'this is not JSON')
    step('cm-create-empty', 'POST', CMS, '')
    step('cm-create-wrong-type', 'POST', CMS, {'metadata': {'name': 'b'}, 'data': {'k': 5}})
    step('cm-create-unknown-strict', 'POST', CMS + '?fieldValidation=Strict', {'metadata': {'name': 'b'}, 'colour': 'red'})
    step('cm-create-unknown-warn', 'POST', CMS + '?fieldValidation=Warn&dryRun=All', {'metadata': {'name': 'b'}, 'colour': 'red'})
    step('cm-create-bad-validation', 'POST', CMS + '?fieldValidation=Sometimes', cm('b'))
    step('cm-create-dry', 'POST', CMS + '?dryRun=All', cm('dry'))
    step('cm-dry-is-gone', 'GET', CMS + '/dry')
    step('cm-create-bad-dry', 'POST', CMS + '?dryRun=Some', cm('dry'))
    step('cm-create-with-version', 'POST', CMS, {'metadata': {'name': 'b', 'resourceVersion': '5'}})
    step('cm-create-content-type', 'POST', CMS, cm('b'), 'text/plain')
    step('cm-get', 'GET', CMS + '/a')
    step('cm-get-missing', 'GET', CMS + '/zzz')
    step('cm-get-not-acceptable', 'GET', CMS + '/a', headers={'Accept': 'image/png'})
    step('cm-get-table', 'GET', CMS + '/a', headers=TABLE)
    step('cm-get-metadata', 'GET', CMS + '/a', headers=META)
    step('cm-put', 'PUT', CMS + '/a', {'metadata': {'name': 'a', 'resourceVersion': '$a_rv', 'labels': {'app': 'one'}}, 'data': {'k': 'w'}}, save={'a_rv2': 'metadata.resourceVersion'})
    step('cm-put-stale', 'PUT', CMS + '/a', {'metadata': {'name': 'a', 'resourceVersion': '$a_rv'}, 'data': {'k': 'x'}})
    step('cm-put-unconditional', 'PUT', CMS + '/a', {'metadata': {'name': 'a', 'labels': {'app': 'one'}}, 'data': {'k': 'w2'}})
    step('cm-put-no-change', 'PUT', CMS + '/a', {'metadata': {'name': 'a', 'labels': {'app': 'one'}}, 'data': {'k': 'w2'}})
    step('cm-put-other-uid', 'PUT', CMS + '/a', {'metadata': {'name': 'a', 'uid': '00000000-0000-0000-0000-000000000000'}, 'data': {}})
    step('cm-put-other-name', 'PUT', CMS + '/a', {'metadata': {'name': 'b'}, 'data': {}})
    step('cm-put-missing', 'PUT', CMS + '/zzz', {'metadata': {'name': 'zzz', 'resourceVersion': '1'}, 'data': {}})
    step('cm-immutable', 'POST', CMS, {'metadata': {'name': 'fixed'}, 'data': {'k': 'v'}, 'immutable': True})
    step('cm-collection-put', 'PUT', CMS, cm('a'))
    step('cm-post-to-name', 'POST', CMS + '/a', cm('a'))
    # ---- patches
    step('cm-merge', 'PATCH', CMS + '/a', {'data': {'k': None, 'n': '1'}}, MERGE)
    step('cm-merge-same', 'PATCH', CMS + '/a', {'data': {'n': '1'}}, MERGE)
    step('cm-merge-stale', 'PATCH', CMS + '/a', {'metadata': {'resourceVersion': '$a_rv'}, 'data': {'n': '2'}}, MERGE)
    step('cm-merge-missing', 'PATCH', CMS + '/zzz', {'data': {}}, MERGE)
    step('cm-merge-not-json', 'PATCH', CMS + '/a', 'no', MERGE)
    step('cm-strategic', 'PATCH', CMS + '/a', {'data': {'s': 'x'}}, STRATEGIC)
    step('cm-strategic-delete', 'PATCH', CMS + '/a', {'data': {'s': None}}, STRATEGIC)
    step('cm-json-patch', 'PATCH', CMS + '/a', [{'op': 'test', 'path': '/data/n', 'value': '1'}, {'op': 'add', 'path': '/data/j', 'value': 'y'}], JSON_PATCH)
    step('cm-json-patch-test', 'PATCH', CMS + '/a', [{'op': 'test', 'path': '/data/n', 'value': '9'}], JSON_PATCH)
    step('cm-json-patch-missing', 'PATCH', CMS + '/a', [{'op': 'remove', 'path': '/data/none'}], JSON_PATCH)
    step('cm-json-patch-bad-op', 'PATCH', CMS + '/a', [{'op': 'twist', 'path': '/data/n'}], JSON_PATCH)
    step('cm-json-patch-object', 'PATCH', CMS + '/a', {'op': 'add'}, JSON_PATCH)
    step('cm-patch-type', 'PATCH', CMS + '/a', {}, 'application/json')
    step('cm-patch-dry', 'PATCH', CMS + '/a?dryRun=All', {'data': {'dry': 'yes'}}, MERGE)
    step('cm-patch-name', 'PATCH', CMS + '/a', {'metadata': {'name': 'b'}}, MERGE)
    step('cm-apply', 'PATCH', CMS + '/applied?fieldManager=one', {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'applied'}, 'data': {'a': '1', 'b': '1'}}, APPLY)
    step('cm-apply-conflict', 'PATCH', CMS + '/applied?fieldManager=two', {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'applied'}, 'data': {'a': '2'}}, APPLY)
    step('cm-apply-force', 'PATCH', CMS + '/applied?fieldManager=two&force=true', {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'applied'}, 'data': {'a': '2'}}, APPLY)
    step('cm-apply-less', 'PATCH', CMS + '/applied?fieldManager=one', {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'applied'}, 'data': {}}, APPLY)
    step('cm-apply-no-manager', 'PATCH', CMS + '/applied', {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'applied'}}, APPLY)
    step('cm-apply-no-kind', 'PATCH', CMS + '/applied?fieldManager=one', {'metadata': {'name': 'applied'}}, APPLY)
    # ---- lists, selectors, chunks
    for n in range(5):
        step('cm-list-%d' % n, 'POST', CMS, cm('l%d' % n, {'n': str(n), 'odd': str(n % 2)}))
    step('list', 'GET', CMS + '?labelSelector=odd')
    step('list-equal', 'GET', CMS + '?labelSelector=odd%3D1', keep=['kind', 'items.metadata.name'])
    step('list-set', 'GET', CMS + '?labelSelector=' + urllib.parse.quote('n in (1,2), odd notin (0)'), keep=['items.metadata.name'])
    step('list-not', 'GET', CMS + '?labelSelector=' + urllib.parse.quote('!odd,app!=two'), keep=['items.metadata.name'])
    step('list-bad-selector', 'GET', CMS + '?labelSelector=' + urllib.parse.quote('n in (1'))
    step('list-bad-selector-value', 'GET', CMS + '?labelSelector=' + urllib.parse.quote('n=a b'))
    step('list-field-name', 'GET', CMS + '?fieldSelector=metadata.name%3Dl1', keep=['items.metadata.name'])
    step('list-field-not-name', 'GET', CMS + '?labelSelector=odd&fieldSelector=metadata.name!%3Dl1', keep=['items.metadata.name'])
    step('list-bad-field', 'GET', CMS + '?fieldSelector=data.k%3Dv')
    step('list-bad-field-syntax', 'GET', CMS + '?fieldSelector=metadata.name')
    step('list-table', 'GET', CMS + '?labelSelector=odd', headers=TABLE)
    step('list-metadata', 'GET', CMS + '?labelSelector=odd%3D1', headers=METAS)
    step('list-chunk', 'GET', CMS + '?labelSelector=odd&limit=2', save={'more': 'metadata.continue'}, keep=['items.metadata.name'])
    step('list-chunk-2', 'GET', CMS + '?labelSelector=odd&limit=2&continue=$more', save={'more2': 'metadata.continue'}, keep=['items.metadata.name'])
    step('list-chunk-3', 'GET', CMS + '?labelSelector=odd&limit=2&continue=$more2')
    step('list-bad-continue', 'GET', CMS + '?limit=2&continue=rubbish')
    step('list-bad-limit', 'GET', CMS + '?limit=many')
    step('list-at-0', 'GET', CMS + '?labelSelector=odd%3D1&resourceVersion=0', keep=['kind', 'items.metadata.name'])
    step('list-exact-missing', 'GET', CMS + '?resourceVersionMatch=Exact')
    step('list-match-unknown', 'GET', CMS + '?resourceVersion=1&resourceVersionMatch=Roughly')
    step('list-bad-version', 'GET', CMS + '?resourceVersion=abc')
    step('list-all-namespaces', 'GET', '/api/v1/configmaps?fieldSelector=metadata.namespace%3D' + NS + '&labelSelector=odd', keep=['items.metadata.name'])
    # ---- watches: from a version on, bounded by time
    step('watch-from', 'GET', CMS + '?watch=true&timeoutSeconds=1&resourceVersion=$a_rv&fieldSelector=metadata.name%3Da', watch=True)
    step('watch-labels', 'GET', CMS + '?watch=true&timeoutSeconds=1&resourceVersion=$a_rv&labelSelector=odd%3D1', watch=True)
    step('watch-bookmark', 'GET', CMS + '?watch=true&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&labelSelector=odd%3D1', watch=True)
    step('watch-bad-initial', 'GET', CMS + '?watch=true&timeoutSeconds=1&sendInitialEvents=true')
    step('watch-bad-version', 'GET', CMS + '?watch=true&timeoutSeconds=1&resourceVersion=abc', watch=True)
    step('watch-table', 'GET', CMS + '?watch=true&timeoutSeconds=1&resourceVersion=$a_rv&labelSelector=odd%3D1', watch=True, headers=TABLE)
    step('watch-old', 'GET', CMS + '?watch=true&timeoutSeconds=1&resourceVersion=0&fieldSelector=metadata.name%3Dl1', watch=True)
    # ---- Runs: schema, defaults, status
    step('run-create', 'POST', RUNS, run('r', {'app': 'x'}), save={'r_rv': 'metadata.resourceVersion', 'r_uid': 'metadata.uid'})
    step('run-generate', 'POST', RUNS, {'kind': 'Run', 'apiVersion': 'kruntimes.io/v1alpha1', 'metadata': {'generateName': 'g-'}, 'spec': {'runtime': 'none'}})
    step('run-no-runtime', 'POST', RUNS, {'apiVersion': 'kruntimes.io/v1alpha1', 'kind': 'Run', 'metadata': {'name': 'bad'}, 'spec': {}})
    step('run-bad-timeout', 'POST', RUNS, run('bad', timeoutSeconds=0))
    step('run-unknown-strict', 'POST', RUNS + '?fieldValidation=Strict', run('bad', colour='red'))
    step('run-unknown-warn', 'POST', RUNS + '?fieldValidation=Warn&dryRun=All', run('bad', colour='red'))
    step('run-wrong-kind', 'POST', RUNS, dict(run('bad'), kind='Walk'))
    step('run-wrong-version', 'POST', RUNS, dict(run('bad'), apiVersion='kruntimes.io/v9'))
    step('run-no-kind', 'POST', RUNS, {'metadata': {'name': 'bad'}, 'spec': {'runtime': 'none'}})
    step('run-status-on-create', 'POST', RUNS + '?dryRun=All', dict(run('bad'), status={'phase': 'Running'}))
    step('run-edit-spec', 'PATCH', RUNS + '/r', {'spec': {'args': ['false']}}, MERGE)
    step('run-edit-label', 'PATCH', RUNS + '/r', {'metadata': {'labels': {'app': 'y'}}}, MERGE)
    step('run-status-by-main', 'PATCH', RUNS + '/r', {'status': {'phase': 'Running'}}, MERGE)
    step('run-bind', 'PATCH', RUNS + '/r/status', {'metadata': {'resourceVersion': '$r_rv'}, 'status': {'phase': 'Scheduled'}}, MERGE)
    step('run-status', 'PATCH', RUNS + '/r/status', {'spec': {'args': ['x']}, 'metadata': {'labels': {'app': 'z'}}, 'status': {'phase': 'Scheduled', 'assignedPod': 'p', 'assignedPodUID': 'u', 'attempt': 1}}, MERGE)
    step('run-status-test', 'PATCH', RUNS + '/r/status', [{'op': 'test', 'path': '/status/attempt', 'value': 2}], JSON_PATCH)
    step('run-status-strategic', 'PATCH', RUNS + '/r/status', {'status': {}}, STRATEGIC)
    step('run-status-get', 'GET', RUNS + '/r/status')
    step('run-field-pod', 'GET', RUNS + '?fieldSelector=status.assignedPod%3Dp', keep=['items.metadata.name'])
    step('run-field-phase', 'GET', RUNS + '?fieldSelector=status.phase!%3DSucceeded,spec.runtime%3Dnone&labelSelector=app', keep=['items.metadata.name'])
    step('run-field-unknown', 'GET', RUNS + '?fieldSelector=spec.priority%3D1')
    step('run-end', 'PATCH', RUNS + '/r/status', [{'op': 'replace', 'path': '/status/phase', 'value': 'Succeeded'}, {'op': 'add', 'path': '/status/completionTime', 'value': '2026-01-01T00:00:00Z'}], JSON_PATCH)
    step('run-after-the-end', 'PATCH', RUNS + '/r/status', {'status': {'phase': 'Running'}}, MERGE)
    step('run-bad-phase', 'PATCH', RUNS + '/r/status', {'status': {'phase': 'Walking'}}, MERGE)
    step('run-remove-status', 'PATCH', RUNS + '/r/status', [{'op': 'remove', 'path': '/status'}], JSON_PATCH)
    step('run-table', 'GET', RUNS + '?fieldSelector=metadata.name%3Dr', headers=TABLE)
    step('run-metadata', 'GET', RUNS + '/r', headers=META)
    step('run-watch', 'GET', RUNS + '?watch=true&timeoutSeconds=1&resourceVersion=$r_rv&fieldSelector=status.assignedPod%3Dp', watch=True)
    step('run-apply', 'PATCH', RUNS + '/ap?fieldManager=one', run('ap'), APPLY)
    step('run-apply-again', 'PATCH', RUNS + '/ap?fieldManager=one', run('ap'), APPLY)
    step('run-apply-immutable', 'PATCH', RUNS + '/ap?fieldManager=two&force=true', run('ap', args=['other']), APPLY)
    step('run-put-stale', 'PUT', RUNS + '/r', dict(run('r'), metadata={'name': 'r', 'resourceVersion': '$r_rv'}))
    step('run-put-no-version', 'PUT', RUNS + '/r', run('r'))
    step('run-delete-other-uid', 'DELETE', RUNS + '/r', {'preconditions': {'uid': '00000000-0000-0000-0000-000000000000'}})
    step('run-delete-stale', 'DELETE', RUNS + '/r', {'preconditions': {'resourceVersion': '$r_rv'}})
    step('run-delete-dry', 'DELETE', RUNS + '/r?dryRun=All')
    step('run-delete', 'DELETE', RUNS + '/r', {'preconditions': {'uid': '$r_uid'}})
    step('run-delete-again', 'DELETE', RUNS + '/r')
    # ---- Runtimes: nested template, scale
    step('rt-create', 'POST', RUNTIMES, runtime('rt'), save={'rt_rv': 'metadata.resourceVersion'})
    step('rt-generation', 'PATCH', RUNTIMES + '/rt', {'spec': {'port': 9999}}, MERGE)
    step('rt-scale-get', 'GET', RUNTIMES + '/rt/scale')
    step('rt-scale-patch', 'PATCH', RUNTIMES + '/rt/scale', {'spec': {'replicas': 0}}, MERGE)
    step('rt-scale-negative', 'PATCH', RUNTIMES + '/rt/scale', {'spec': {'replicas': -1}}, MERGE)
    step('rt-scale-put-stale', 'PUT', RUNTIMES + '/rt/scale', {'apiVersion': 'autoscaling/v1', 'kind': 'Scale', 'metadata': {'name': 'rt', 'namespace': NS, 'resourceVersion': '$rt_rv'}, 'spec': {'replicas': 0}})
    step('rt-scale-missing', 'GET', RUNTIMES + '/zzz/scale')
    step('run-has-no-scale', 'GET', RUNS + '/ap/scale')
    step('rt-table', 'GET', RUNTIMES + '/rt', headers=TABLE)
    step('rt-no-container', 'POST', RUNTIMES, runtime('bad', template={'spec': {'containers': []}}))
    step('rt-bad-port', 'POST', RUNTIMES, runtime('bad', port=9093))
    step('rt-status', 'PATCH', RUNTIMES + '/rt/status', {'status': {'readyReplicas': 0, 'replicas': 0, 'selector': 'a=b'}}, MERGE)
    step('rt-scale-after', 'GET', RUNTIMES + '/rt/scale')
    # ---- finalizers, deletion of many
    step('fin-create', 'POST', CMS, {'metadata': {'name': 'fin', 'finalizers': ['example.com/wait']}, 'data': {'k': 'v'}})
    step('fin-bad', 'POST', CMS, {'metadata': {'name': 'fin2', 'finalizers': ['no slash']}})
    step('fin-delete', 'DELETE', CMS + '/fin')
    step('fin-still-there', 'GET', CMS + '/fin')
    step('fin-delete-again', 'DELETE', CMS + '/fin')
    step('fin-add', 'PATCH', CMS + '/fin', {'metadata': {'finalizers': ['example.com/wait', 'example.com/more']}}, MERGE)
    step('fin-lift', 'PATCH', CMS + '/fin', {'metadata': {'finalizers': None}}, MERGE)
    step('fin-gone', 'GET', CMS + '/fin')
    step('delete', 'DELETE', CMS + '/a', {'preconditions': {'uid': '$a_uid'}})
    step('delete-missing', 'DELETE', CMS + '/a')
    step('delete-bad-policy', 'DELETE', CMS + '/l1?propagationPolicy=Sideways')
    step('delete-collection', 'DELETE', CMS + '?labelSelector=odd%3D1')
    step('after-collection', 'GET', CMS + '?labelSelector=odd', keep=['items.metadata.name'])
    step('delete-collection-dry', 'DELETE', CMS + '?labelSelector=odd&dryRun=All', keep=['kind'])
    step('watch-deleted', 'GET', CMS + '?watch=true&timeoutSeconds=1&resourceVersion=$a_rv2&labelSelector=n%3D1', watch=True)
    # ---- reviews
    review = {'apiVersion': 'authorization.k8s.io/v1', 'kind': 'SelfSubjectAccessReview', 'spec': {'resourceAttributes': {'namespace': NS, 'verb': 'get', 'group': 'kruntimes.io', 'resource': 'runs'}}}
    step('self-review', 'POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review, keep=['kind', 'status.allowed'])
    step('review-empty', 'POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', dict(review, spec={}))
    step('review-get', 'GET', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews')


# ---- sending --------------------------------------------------------------------------------------------------------

def at(value, path):
    for part in path.split('.'):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def send(api, one, known):
    fill = lambda text: re.sub(r'\$([a-z]\w*)', lambda m: known.get(m[1], m[0]), text)
    body = one['body']
    if body is not None and not isinstance(body, str):
        body = json.dumps(body)
    connection = api.open()
    headers = dict({k: v for k, v in api.headers.items() if k != 'Content-Type'}, Accept='application/json')
    if body is not None:
        headers['Content-Type'] = one['type'] or 'application/json'
    headers.update(one['headers'])
    path = fill(one['path'])
    connection.request(one['method'], path, fill(body).encode() if body is not None else None, headers)
    answer = connection.getresponse()
    text = answer.read().decode('utf-8', 'replace')
    warnings = [v for k, v in answer.getheaders() if k.lower() == 'warning']
    try:
        parsed = [json.loads(line) for line in text.splitlines() if line] if one['watch'] and answer.status == 200 else json.loads(text)
    except ValueError:
        parsed = text
    for variable, where in one['save'].items():
        known[variable] = str(at(parsed, where))
    return {'code': answer.status, 'type': (answer.getheader('Content-Type') or '').split(';')[0], 'warnings': warnings, 'answer': parsed}


class Names:
    """Same value, same name, in the order in which they first appear; an order of versions stays visible by that."""
    def __init__(self):
        self.of = {}

    def name(self, kind, value):
        return self.of.setdefault((kind, value), '<%s %d>' % (kind, sum(1 for k in self.of if k[0] == kind) + 1))


def normal(value, names, key=''):
    if isinstance(value, dict):
        return {k: normal(v, names, k) for k, v in value.items() if k not in ('managedFields', 'remainingItemCount')}
    if isinstance(value, list):
        if key in ('verbs', 'resources'):      # discovery has no order: it is that in which kinds were installed
            value = sorted(value, key=lambda v: v if isinstance(v, str) else v['name'])
        return [normal(v, names, key) for v in value]
    if not isinstance(value, str):
        return value
    if key == 'resourceVersion':
        return '<version>' if value else ''
    if key == 'continue':
        return '<continue>' if value else ''
    if key in ('uid',) and re.fullmatch(r'[0-9a-f-]{36}', value):
        return names.name('uid', value)
    value = re.sub(r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', lambda m: names.name('uid', m[0]), value)
    value = re.sub(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z', lambda m: m[0] if m[0].startswith('2026-01-01T') else '<time>', value)
    value = re.sub(r'\b\d+m?s\b', '<age>', value) if re.fullmatch(r'(\d+[dhms])+', value) else value
    return re.sub(r'\bg-[a-z0-9]{5}\b', 'g-<random>', value)


def only(value, path):
    """The values at a path, through lists."""
    parts = re.split(r'(?<!\\)\.', path)
    for n, part in enumerate(parts):
        part = part.replace('\\.', '.')
        if isinstance(value, list):
            return [only(v, '.'.join(parts[n:])) for v in value]
        value = value.get(part) if isinstance(value, dict) else None
    return value


def play(api):
    known, names, told = {}, Names(), {}
    for one in steps:
        got = send(api, one, known)
        if one['keep'] and got['code'] < 300:
            got['answer'] = {p: only(got['answer'], p) for p in one['keep']}
        if one['watch'] and isinstance(got['answer'], list):      # bookmarks come when they like, but for the first
            got['answer'] = [e for e in got['answer'] if e['type'] != 'BOOKMARK' or 'k8s.io/initial-events-end' in json.dumps(e)]
        told[one['name']] = normal(got, names)
    return told


def differ(a, b, where=''):
    """Places at which two answers differ, as text."""
    if isinstance(a, dict) and isinstance(b, dict):
        return [d for k in sorted(set(a) | set(b)) for d in differ(a.get(k, '(absent)'), b.get(k, '(absent)'), where + '.' + k if where else k)]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [d for i in range(len(a)) for d in differ(a[i], b[i], '%s[%d]' % (where, i))]
    return [] if a == b else [(where, a, b)]


def main():
    s = Suite()
    script()
    s.check('at least 120 requests', len(steps) >= 120 and len({x['name'] for x in steps}) == len(steps), str(len(steps)))
    if kubectl('get', 'crd', 'runs.kruntimes.io', check=False).returncode:
        kubectl('apply', '-k', os.path.join(TOP, 'crds'))
    kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s')
    real = Api(os.path.join(CLUSTER, 'admin.conf'))
    with tempfile.TemporaryDirectory() as state:
        server = subprocess.Popen([BINARY, 'apiserver', '--state-dir', state, '--port', '0'], stderr=subprocess.DEVNULL)
        try:
            kubeconfig = os.path.join(state, 'kubeconfig')
            until(lambda: os.path.exists(kubeconfig) and os.path.getsize(kubeconfig), 30)
            ours = play(Api(kubeconfig))
        finally:
            server.terminate()
            server.wait()
    with nobody_acts():
        theirs = play(real)
    real.call('DELETE', '/api/v1/namespaces/' + NS)
    reasons = {}
    for line in open(os.path.join(TOP, 'tests', 'cluster', 'differences.txt')):
        if line.strip() and not line.startswith('#'):
            name, where, why = line.strip().split(None, 2)
            reasons[name, where] = why
    met = set()
    for one in steps:
        left = []
        for where, a, b in differ(theirs[one['name']], ours[one['name']]):
            key = (one['name'], re.sub(r'\[\d+\]', '[]', where))
            if key in reasons:
                met.add(key)
            else:
                left.append('\n  %s\n    Kubernetes: %s\n    embedded:   %s' % (where, json.dumps(a)[:700], json.dumps(b)[:700]))
        s.check(one['name'], not left, '%s %s%s' % (one['method'], one['path'], ''.join(left)))
    for key in sorted(set(reasons) - met):
        s.check('listed difference %s %s' % key, False, 'is none: take the line out of differences.txt')
    s.end()


if __name__ == '__main__':
    main()
