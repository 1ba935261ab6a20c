#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python client library, typed and dynamic, unchanged against a local instance."""
import os, subprocess, sys
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
if not os.environ.get('KR_VENV'):      # again, with the Python that has the library
    venv = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'venv')], capture_output=True, text=True)
    if venv.returncode:
        print('skip pyclient: %s' % (venv.stdout.strip() or venv.stderr.strip()))
        print('0 passed, 0 failed, 1 skipped')
        sys.exit(0)
    os.execve(venv.stdout.strip(), [venv.stdout.strip(), __file__], dict(os.environ, KR_VENV='1'))
sys.path.insert(0, os.path.join(HERE, '..', 'kit'))
from local import *
from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException

s = Suite()


def code(fn, *args, **kw):
    try:
        fn(*args, **kw)
        return 200
    except ApiException as e:
        return e.status


with instance() as i:
    api = config.new_client_from_config(os.path.join(i.state, 'kubeconfig'))
    core, apps, custom, rbac = client.CoreV1Api(api), client.AppsV1Api(api), client.CustomObjectsApi(api), client.RbacAuthorizationV1Api(api)
    G = ('kruntimes.io', 'v1alpha1', 'default', 'runs')

    # typed
    s.equal('version', client.VersionApi(api).get_code().minor, '34')
    s.equal('namespaces', {'default', 'kube-system'} <= {n.metadata.name for n in core.list_namespace().items}, True)
    made = core.create_namespaced_config_map('default', client.V1ConfigMap(metadata=client.V1ObjectMeta(name='py', labels={'l': '1'}), data={'a': '1'}))
    s.equal('create', (made.metadata.name, made.data, made.metadata.uid is not None), ('py', {'a': '1'}, True))
    s.equal('twice', code(core.create_namespaced_config_map, 'default', client.V1ConfigMap(metadata=client.V1ObjectMeta(name='py'))), 409)
    made.data['b'] = '2'
    new = core.replace_namespaced_config_map('py', 'default', made)
    s.equal('replace', new.data, {'a': '1', 'b': '2'})
    s.equal('a stale replace', code(core.replace_namespaced_config_map, 'py', 'default', made), 409)
    s.equal('patch', core.patch_namespaced_config_map('py', 'default', {'data': {'b': None}}).data, {'a': '1'})
    s.equal('dry run', (core.patch_namespaced_config_map('py', 'default', {'data': {'x': 'y'}}, dry_run='All').data, core.read_namespaced_config_map('py', 'default').data),
            ({'a': '1', 'x': 'y'}, {'a': '1'}))
    s.equal('selector', [c.metadata.name for c in core.list_namespaced_config_map('default', label_selector='l in (1,2)').items], ['py'])
    for n in range(7):
        core.create_namespaced_secret('default', client.V1Secret(metadata=client.V1ObjectMeta(generate_name='page-'), string_data={'k': str(n)}))
    pages, names, token = 0, [], None
    while pages == 0 or token:
        page = core.list_namespaced_secret('default', limit=3, _continue=token)
        names += [x.metadata.name for x in page.items]
        token, pages = page.metadata._continue, pages + 1
    s.equal('pages', (pages, len(names), len(set(names))), (3, 7, 7))
    s.equal('a collection', (core.delete_collection_namespaced_secret('default') is not None, core.list_namespaced_secret('default').items), (True, []))
    pods = core.list_namespaced_pod('default', field_selector='status.phase=Running').items
    s.equal('pods', ([p.status.phase for p in pods], all(p.status.pod_ip.startswith('127.77.') for p in pods)), (['Running'] * 2, True))
    s.check('logs', 'runtimed is ready' in core.read_namespaced_pod_log(pods[0].metadata.name, 'default', container='runtimed'))
    s.equal('deployments', [d.status.ready_replicas for d in apps.list_namespaced_deployment('default').items], [2])
    s.equal('scale', apps.read_namespaced_deployment_scale('runtime-bash', 'default').spec.replicas, 2)
    review = client.AuthorizationV1Api(api).create_self_subject_access_review(client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(
        resource_attributes=client.V1ResourceAttributes(verb='create', group='kruntimes.io', resource='runs', namespace='default'))))
    s.equal('may I', review.status.allowed, True)
    s.equal('roles', 'view' in [r.metadata.name for r in rbac.list_cluster_role().items], True)
    s.equal('gone', (core.delete_namespaced_config_map('py', 'default').status, code(core.read_namespaced_config_map, 'py', 'default')), ('Success', 404))

    # custom objects, and a watch that is resumed
    custom.create_namespaced_custom_object(*G, run_object('c', ['echo c']))
    phases, version = [], None
    w = watch.Watch()
    for event in w.stream(custom.list_namespaced_custom_object, *G, timeout_seconds=20, field_selector='metadata.name=c'):
        phases.append(event['object'].get('status', {}).get('phase'))
        version = event['object']['metadata']['resourceVersion']
        if phases[-1] == 'Succeeded':
            break
    s.equal('watch', phases[-1], 'Succeeded')
    custom.patch_namespaced_custom_object(*G, 'c', {'metadata': {'labels': {'seen': 'yes'}}})
    for event in w.stream(custom.list_namespaced_custom_object, *G, timeout_seconds=5, resource_version=version):
        s.equal('a watch from where it was', (event['type'], event['object']['metadata']['labels']), ('MODIFIED', {'seen': 'yes'}))
        break
    s.equal('a refusal', code(custom.create_namespaced_custom_object, *G, run_object('bad', ['x'], timeoutSeconds=0)), 422)
    s.equal('a scale', custom.patch_namespaced_custom_object_scale('kruntimes.io', 'v1alpha1', 'default', 'runtimes', 'bash', {'spec': {'replicas': 1}})['spec']['replicas'], 1)

    # metadata alone, as informers of client-go's metadata package ask for it
    one = api.call_api('/apis/kruntimes.io/v1alpha1/namespaces/default/runs/c', 'GET', header_params={'Accept': 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'},
                       response_type='object', auth_settings=['BearerToken'])[0]
    s.equal('metadata alone', (one['kind'], one['apiVersion'], one['metadata']['name'], 'spec' in one), ('PartialObjectMetadata', 'meta.k8s.io/v1', 'c', False))
    all_ = api.call_api('/apis/kruntimes.io/v1alpha1/runs', 'GET', header_params={'Accept': 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1'},
                        response_type='object', auth_settings=['BearerToken'])[0]
    s.equal('a list of it', (all_['kind'], [set(i) for i in all_['items']]), ('PartialObjectMetadataList', [{'kind', 'apiVersion', 'metadata'}] * len(all_['items'])))

    # dynamic
    dyn = dynamic.DynamicClient(api)
    runs = dyn.resources.get(api_version='kruntimes.io/v1alpha1', kind='Run')
    s.equal('discovered', (runs.name, runs.namespaced), ('runs', True))
    s.equal('dynamic create', runs.create(body=run_object('d', ['true']), namespace='default').metadata.name, 'd')
    cms = dyn.resources.get(api_version='v1', kind='ConfigMap')
    body = {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'ssa'}, 'data': {'k': 'v'}}
    s.equal('server-side apply', cms.server_side_apply(body=body, namespace='default', field_manager='py').data.k, 'v')
    body['data']['k'] = 'w'
    try:
        cms.server_side_apply(body=body, namespace='default', field_manager='other')
        conflict = None
    except dynamic.exceptions.ConflictError as e:
        conflict = e.summary()
    s.check('a conflict', conflict and 'conflict with "py"' in conflict, conflict)
    s.equal('forced', cms.server_side_apply(body=body, namespace='default', field_manager='other', force_conflicts=True).data.k, 'w')
    seen = [e['object'].metadata.name for e in runs.watch(namespace='default', timeout=1)]
    s.check('dynamic watch', {'c', 'd'} <= set(seen), str(seen))
    runs.delete(name='d', namespace='default')
    if s.failed:
        print(i.logs()[-3000:])
s.end()
