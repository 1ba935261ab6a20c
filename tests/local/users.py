#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""People beside the admin on a local instance: tokens, certificates, roles, reviews, impersonation."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kit'))
from local import *

REVIEW = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
WHO = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
s = Suite()


def add(i, name, *options):
    r = i.cli('local', 'user', 'add', name, *options)
    path = r.stdout.split('KUBECONFIG=')[-1].strip()
    s.check('add ' + name, r.returncode == 0 and os.stat(path).st_mode & 0o777 == 0o600, r.stdout + r.stderr)
    return path, Api(path)


def who(api):
    return api.call('POST', WHO, {'apiVersion': 'authentication.k8s.io/v1', 'kind': 'SelfSubjectReview'})[1]['status']['userInfo']


def may(api, verb, resource, group='kruntimes.io', ns='default', **more):
    return api.call('POST', REVIEW, {'apiVersion': 'authorization.k8s.io/v1', 'kind': 'SelfSubjectAccessReview', 'spec': {
        'resourceAttributes': dict(verb=verb, resource=resource, group=group, namespace=ns, **more)}})[1]['status']['allowed']


with instance() as i:
    ann_config, ann = add(i, 'ann', '--role', 'submitter', '-n', 'default')
    _, vic = add(i, 'vic@example.com', '--role', 'viewer')
    _, ops = add(i, 'ops', '--role', 'cluster-admin', '--group', 'operators', '--certificate', '--expires', '48h')
    _, nil = add(i, 'nil')

    s.equal('who, by token', (who(ann)['username'], who(ann)['groups']), ('ann', ['system:authenticated']))
    s.equal('who, by certificate', (who(ops)['username'], who(ops)['groups']), ('ops', ['operators', 'system:authenticated']))
    s.equal('the admin', who(i.api)['groups'], ['system:masters', 'system:authenticated'])

    # what a role gives and what it doesn't
    env = dict(i.env, KUBECONFIG=ann_config)
    r = i.cli('run', 'submit', '--runtime', 'bash', '--name', 'anns', '--wait', '--follow', '--', 'echo', 'by ann', env=env)
    s.equal('a submitter submits and reads logs', (r.returncode, r.stdout.splitlines()[-1:]), (0, ['by ann']))
    s.equal('in their namespace only', ann.call('GET', '/apis/kruntimes.io/v1alpha1/namespaces/kube-system/runs')[0], 403)
    status, answer = ann.call('PATCH', RUNTIMES + '/bash', {'spec': {'replicas': 0}}, 'application/merge-patch+json')
    s.equal('not the Runtime', (status, answer['message']), (403, 'runtimes.kruntimes.io "bash" is forbidden: User "ann" cannot patch resource "runtimes" '
                                                           'in API group "kruntimes.io" in the namespace "default"'))
    s.equal('not the status', ann.call('PATCH', RUNS + '/anns/status', {'status': {'message': 'x'}}, 'application/merge-patch+json')[0], 403)
    s.equal('not secrets', ann.call('GET', '/api/v1/namespaces/default/secrets')[1]['message'],
            'secrets is forbidden: User "ann" cannot list resource "secrets" in API group "" in the namespace "default"')
    s.equal('a viewer looks', (vic.call('GET', '/apis/kruntimes.io/v1alpha1/runs')[0], vic.call('POST', RUNS, run_object('x', ['x']))[0]), (200, 403))
    s.equal('an admin by certificate', ops.call('GET', '/api/v1/nodes')[0], 200)
    s.equal('no role: what is served, no more', [nil.call('GET', p)[0] for p in ('/version', '/apis', '/api/v1', RUNS, '/api/v1/nodes')], [200, 200, 200, 403, 403])
    s.equal('can-i', [may(ann, 'create', 'runs'), may(ann, 'create', 'runs', ns='kube-system'), may(ann, 'delete', 'runtimes'),
                      may(ann, 'get', 'pods', group='', subresource='portforward')], [True, False, False, True])
    rules = ann.call('POST', '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', {'apiVersion': 'authorization.k8s.io/v1', 'kind': 'SelfSubjectRulesReview',
                     'spec': {'namespace': 'default'}})[1]['status']
    s.check('can-i --list', any('runs' in r['resources'] and 'create' in r['verbs'] for r in rules['resourceRules']), str(rules))

    # nobody gives what they don't have
    role = {'apiVersion': 'rbac.authorization.k8s.io/v1', 'kind': 'Role', 'metadata': {'name': 'more'}, 'rules': [{'apiGroups': [''], 'resources': ['nodes'], 'verbs': ['delete']}]}
    roles = '/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles'
    _, boss = add(i, 'boss', '--role', 'admin', '-n', 'default')
    status, answer = boss.call('POST', roles, role)
    s.check('no escalation', status == 403 and 'attempting to grant RBAC permissions not currently held' in answer['message'], answer)
    role['rules'] = [{'apiGroups': ['kruntimes.io'], 'resources': ['runs'], 'verbs': ['get']}]
    s.equal('but what one has', boss.call('POST', roles, role)[0], 201)
    binding = {'apiVersion': 'rbac.authorization.k8s.io/v1', 'kind': 'RoleBinding', 'metadata': {'name': 'b'}, 'subjects': [{'kind': 'User', 'name': 'nil'}],
               'roleRef': {'apiGroup': 'rbac.authorization.k8s.io', 'kind': 'ClusterRole', 'name': 'cluster-admin'}}
    bindings = roles.replace('/roles', '/rolebindings')
    s.equal('nor by a binding', boss.call('POST', bindings, binding)[0], 403)
    binding['roleRef'] = {'apiGroup': 'rbac.authorization.k8s.io', 'kind': 'Role', 'name': 'more'}
    s.equal('a binding holds at once', (nil.call('GET', RUNS + '/anns')[0], boss.call('POST', bindings, binding)[0], nil.call('GET', RUNS + '/anns')[0]), (403, 201, 200))
    boss.call('DELETE', bindings + '/b')
    s.equal('and ends at once', nil.call('GET', RUNS + '/anns')[0], 403)

    # who writes what is everybody's makes nobody more than they are
    _, ed = add(i, 'ed', '--role', 'edit')
    user = {'apiVersion': 'v1', 'kind': 'Secret', 'metadata': {'name': 'z'}, 'type': 'kruntimes.io/user', 'stringData': {'name': 'z', 'groups': 'system:masters', 'token-sha256': '0' * 64}}
    users, merge = '/api/v1/namespaces/kube-system/secrets', 'application/merge-patch+json'
    status, answer = ed.call('POST', users, user)
    s.check('an editor makes no users', status == 403 and 'only system:masters may write it' in answer['message'], answer)
    vics = next(o['metadata']['name'] for o in i.api.call('GET', users)[1]['items'] if o.get('type') == 'kruntimes.io/user')
    s.equal('nor changes one', [ed.call('PATCH', users + '/' + vics, body, merge)[0] for body in ({'stringData': {'groups': 'system:masters'}}, {'type': 'Opaque'})], [403, 403])
    s.equal('nor makes one of another Secret', (ed.call('POST', users, dict(user, type='Opaque'))[0], ed.call('PATCH', users + '/z', {'type': 'kruntimes.io/user'}, merge)[0]), (201, 403))
    s.equal('elsewhere it is a Secret like others', ed.call('POST', users.replace('kube-system', 'default'), user)[0], 201)
    team = '/api/v1/namespaces/default'
    s.equal('what runs things writes what is seen of them', [ed.call('PATCH', team + '/' + p, {'metadata': {'labels': {'a': 'b'}}}, merge)[0] for p in
            ('pods/x/status', 'persistentvolumeclaims/x/status', '')] + [ed.call('GET', team)[0]], [403, 403, 403, 200])
    ed.call('POST', team + '/pods', {'metadata': {'name': 'portforward'}, 'spec': {'containers': [{'name': 'c', 'image': 'none'}]}})
    s.equal('an object may be called portforward', (vic.call('GET', team + '/pods/portforward')[0], ed.call('DELETE', team + '/pods/portforward')[0],
                                                    i.api.call('POST', '/api/v1/namespaces', {'metadata': {'name': 'portforward'}})[0],
                                                    i.api.call('GET', '/api/v1/namespaces/portforward')[0]), (200, 200, 201, 200))

    # roles as Kubernetes has them: put together by labels, of names, of subresources, for groups and for accounts
    rbac = '/apis/rbac.authorization.k8s.io/v1'
    rule = lambda groups, resources, verbs, **more: dict(apiGroups=groups, resources=resources, verbs=verbs, **more)
    made = lambda path, kind, name, **more: s.equal(kind + ' ' + name, i.api.call('POST', path, {
        'apiVersion': 'rbac.authorization.k8s.io/v1', 'kind': kind, 'metadata': {'name': name, **more.pop('meta', {})}, **more})[0], 201)
    refers = lambda kind, name: {'apiGroup': 'rbac.authorization.k8s.io', 'kind': kind, 'name': name}
    made(rbac + '/clusterroles', 'ClusterRole', 'part', meta={'labels': {'sums': 'yes', 'more': 'x'}}, rules=[rule([''], ['nodes'], ['get'])])
    made(rbac + '/clusterroles', 'ClusterRole', 'no-part', meta={'labels': {'sums': 'no'}}, rules=[rule([''], ['nodes'], ['delete'])])
    made(rbac + '/clusterroles', 'ClusterRole', 'sum', rules=[rule([''], ['nodes'], ['patch'])],
         aggregationRule={'clusterRoleSelectors': [{'matchLabels': {'sums': 'yes'}}, {'matchLabels': {}}]})
    made(rbac + '/clusterrolebindings', 'ClusterRoleBinding', 'sum', roleRef=refers('ClusterRole', 'sum'), subjects=[
        {'kind': 'Robot', 'name': 'nil'}, {'kind': 'ServiceAccount', 'name': 'default', 'namespace': 'default'}, {'kind': 'Group', 'name': 'summed'}])
    made(rbac + '/clusterrolebindings', 'ClusterRoleBinding', 'astray', roleRef=refers('ClusterRole', 'never-made'), subjects=[{'kind': 'Group', 'name': 'summed'}])
    made(roles, 'Role', 'named', rules=[rule([''], ['pods', 'configmaps'], ['get'], resourceNames=['one', 'two']), rule(['apps'], ['deployments/scale'], ['get']),
                                        rule([''], ['*/log'], ['get']), rule(['batch'], ['*'], ['*'])])
    made(bindings, 'RoleBinding', 'named', roleRef=refers('Role', 'named'), subjects=[{'kind': 'Group', 'name': 'summed'}])
    made(rbac + '/clusterroles', 'ClusterRole', 'paths', rules=[{'nonResourceURLs': ['/metrics', '/debug/*'], 'verbs': ['get']}])
    made(rbac + '/clusterrolebindings', 'ClusterRoleBinding', 'paths', roleRef=refers('ClusterRole', 'paths'), subjects=[{'kind': 'Group', 'name': 'summed'}])
    def summed(verb, resource, group='', ns='default', **more):
        spec = {'groups': ['summed'], 'user': 'somebody', 'resourceAttributes': dict(verb=verb, resource=resource, group=group, namespace=ns, **more)}
        return i.api.call('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews',
                          {'apiVersion': 'authorization.k8s.io/v1', 'kind': 'SubjectAccessReview', 'spec': spec})[1]['status']['allowed']
    s.equal('a sum has the rules of its parts alone', [summed(v, 'nodes') for v in ('get', 'delete', 'patch')], [True, False, False])
    s.equal('names', [summed('get', 'pods', name=n) for n in ('one', 'two', 'three', '')], [True, True, False, False])
    s.equal('subresources', [summed('get', 'deployments', 'apps', subresource='scale'), summed('get', 'deployments', 'apps'), summed('get', 'deployments', 'apps', subresource='status'),
                             summed('get', 'pods', subresource='log'), summed('get', 'pods', subresource='exec'), summed('get', 'jobs', 'batch', subresource='status')],
            [True, False, False, True, False, True])
    s.equal('in their namespace', summed('get', 'pods', ns='kube-system', name='one'), False)
    def path_of(path, verb='get'):
        return i.api.call('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {'apiVersion': 'authorization.k8s.io/v1', 'kind': 'SubjectAccessReview', 'spec': {
            'groups': ['summed'], 'nonResourceAttributes': {'path': path, 'verb': verb}}})[1]['status']['allowed']
    s.equal('paths', [path_of('/metrics'), path_of('/debug/x'), path_of('/metrics/x'), path_of('/metrics', 'post')], [True, True, False, False])
    local = '/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews'
    ask = lambda path, kind, spec: i.api.call('POST', path, {'apiVersion': 'authorization.k8s.io/v1', 'kind': kind, 'spec': spec})
    where = {'verb': 'get', 'resource': 'pods', 'namespace': 'default', 'name': 'one'}
    s.equal('of a namespace', ask(local, 'LocalSubjectAccessReview', {'groups': ['summed'], 'resourceAttributes': where})[1]['status']['allowed'], True)
    s.equal('and of no other', ask(local, 'LocalSubjectAccessReview', {'groups': ['summed'], 'resourceAttributes': dict(where, namespace='x')})[0], 422)
    subject = local.replace('/namespaces/default/local', '/')
    s.equal('reviews that ask nothing', [ask(subject, 'SubjectAccessReview', spec)[0] for spec in (
        {'user': 'x'}, {'resourceAttributes': where}, {'user': 'x', 'resourceAttributes': where, 'nonResourceAttributes': {'path': '/', 'verb': 'get'}})], [422] * 3)
    s.equal('rules of no namespace', ask('/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', 'SelfSubjectRulesReview', {})[0], 400)
    s.equal('the admin may all', ask('/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', 'SelfSubjectRulesReview', {'namespace': 'default'})[1]['status']['resourceRules'][0],
            {'verbs': ['*'], 'apiGroups': ['*'], 'resources': ['*']})
    s.equal('a review of another kind', [ask(REVIEW, 'Pod', {})[0], i.api.call('POST', REVIEW, [1])[0]], [400] * 2)

    # whoever may write roles gives what they have, however it is put
    made(rbac + '/clusterroles', 'ClusterRole', 'writer', rules=[rule(['rbac.authorization.k8s.io'], ['clusterroles'], ['get', 'create', 'update', 'patch']),
         rule([''], ['configmaps'], ['patch']), rule([''], ['configmaps'], ['get', 'list', 'watch'], resourceNames=['one'])])
    _, mal = add(i, 'mal', '--role', 'writer')
    own = rbac + '/clusterroles/writer'
    sums = {'aggregationRule': {'clusterRoleSelectors': [{'matchLabels': {'kubernetes.io/bootstrapping': 'rbac-defaults'}}]}}
    status, answer = mal.call('PATCH', own, sums, merge)
    s.check('not by a sum', status == 403 and 'must have cluster-admin privileges to use an aggregationRule' in answer['message'], answer)
    s.equal('not by labels of a larger role', mal.call('PATCH', rbac + '/clusterroles/cluster-admin', {'metadata': {'labels': {'sums': 'yes'}}}, merge)[0], 403)
    s.equal('anybody lets go', mal.call('PATCH', rbac + '/clusterroles/cluster-admin', {'metadata': {'finalizers': None}}, merge)[0], 200)
    s.equal('the admin sums', i.api.call('PATCH', own, sums, merge)[0], 200)
    i.api.call('PATCH', own, {'aggregationRule': None}, merge)
    maps = '/api/v1/namespaces/default/configmaps'
    apply = lambda: mal.call('PATCH', maps + '/one?fieldManager=m', {'apiVersion': 'v1', 'kind': 'ConfigMap', 'data': {'a': 'b'}}, 'application/apply-patch+yaml')[0]
    absent = apply()
    i.api.call('POST', maps, {'metadata': {'name': 'one'}})
    s.equal('an apply creates with that right alone', (absent, apply()), (403, 200))
    s.equal('a list of one name needs that name', [mal.call('GET', maps + '?fieldSelector=' + f)[0] for f in ('metadata.name%3Done', 'metadata.name%3Dtwo', 'metadata.name!%3Done', '')],
            [200, 403, 403, 403])

    # nobody, somebody else
    s.equal('nobody sees health and version', [i.api.as_user({}).call('GET', p)[0] for p in ('/version', '/apis', RUNS)], [200, 403, 403])
    s.equal('wrong tokens', [i.api.as_user({'Authorization': a}).call('GET', RUNS)[0] for a in ('Bearer x', 'Bearer ', 'Basic YTpi', 'Bearer a.b.c')], [401] * 4)
    pretend = lambda api, **h: api.as_user(dict(api.headers, **{k.replace('_', '-'): v for k, v in h.items()}))
    s.equal('impersonation needs a right', pretend(ann, Impersonate_User='system:masters').call('GET', RUNS)[0], 403)
    s.equal('each header one', pretend(ann, Impersonate_User='ann', Impersonate_Group='system:masters').call('GET', RUNS)[0], 403)
    s.equal('the admin may', who(pretend(i.api, Impersonate_User='ann'))['username'], 'ann')
    groups = lambda name: who(pretend(i.api, Impersonate_User=name))['groups']
    s.equal('and is what they are', (groups('system:serviceaccount:default:x'), pretend(i.api, Impersonate_User='system:anonymous').call('GET', '/apis')[0]),
            (['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'], 403))
    s.equal('and has their rights then', pretend(i.api, Impersonate_User='ann').call('GET', '/api/v1/nodes')[0], 403)

    # tokens of service accounts
    tokens = '/api/v1/namespaces/default/serviceaccounts/default/token'
    request = lambda **spec: i.api.call('POST', tokens, {'apiVersion': 'authentication.k8s.io/v1', 'kind': 'TokenRequest', 'spec': spec})
    status, answer = request()
    account = i.api.as_user({'Authorization': 'Bearer ' + answer['status']['token']})
    s.equal('a service account', (status, who(account)['username'], who(account)['groups']), (201, 'system:serviceaccount:default:default',
            ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated']))
    other = request(audiences=['vault'])[1]['status']['token']
    s.equal('a token for others is none for us', i.api.as_user({'Authorization': 'Bearer ' + other}).call('GET', '/version')[0], 401)
    review = lambda token, *audiences: i.api.call('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {'apiVersion': 'authentication.k8s.io/v1', 'kind': 'TokenReview',
                                                  'spec': {'token': token, 'audiences': list(audiences)}})[1]['status']
    s.equal('TokenReview', [review(other, 'vault').get('authenticated'), review(other, 'other').get('authenticated'), review('x').get('authenticated')], [True, None, None])
    pod = i.api.call('GET', '/api/v1/namespaces/default/pods')[1]['items'][0]['metadata']
    bound = request(boundObjectRef={'kind': 'Pod', 'apiVersion': 'v1', 'name': pod['name'], 'uid': pod['uid']})[1]['status']['token']
    s.equal('bound to a pod', who(i.api.as_user({'Authorization': 'Bearer ' + bound}))['extra']['authentication.kubernetes.io/pod-name'], [pod['name']])
    s.equal('to the right one', request(boundObjectRef={'kind': 'Pod', 'apiVersion': 'v1', 'name': pod['name'], 'uid': 'x'})[0], 409)
    s.equal('to a pod alone, and one that is there', [request(boundObjectRef={'kind': k, 'apiVersion': 'v1', 'name': 'none'})[0] for k in ('Secret', 'Pod')], [422, 404])
    s.equal('of an account that is there', i.api.call('POST', tokens.replace('/default/token', '/none/token'), {'spec': {}})[0], 404)
    s.equal('for a year at most', request(expirationSeconds=10 ** 9)[0], 422)
    s.equal('for ten minutes at least', request(expirationSeconds=1)[0], 422)

    # names that YAML would take for something else
    i.api.call('POST', '/api/v1/namespaces', {'metadata': {'name': '123'}})
    for name in ('007', 'true', '1e5', '@ann'):
        path, api = add(i, name, '--role', 'viewer', '-n', '123')
        s.equal('a name is a text: ' + name, re.findall(r'(?:user|name|namespace): ("?(?:%s|123)"?)$' % name, open(path).read(), re.M), ['"%s"' % name] * 2 + ['"123"'])
        s.equal('and is theirs', who(api)['username'], name)
        i.cli('local', 'user', 'delete', name)

    # the verbs
    r = i.cli('local', 'user', 'list')
    s.equal('list', sorted(line.split()[:3] for line in r.stdout.splitlines()[1:]), [['ann', 'token', '<none>'], ['boss', 'token', '<none>'], ['ed', 'token', '<none>'], ['mal', 'token', '<none>'], ['nil', 'token', '<none>'],
            ['ops', 'certificate', 'operators'], ['vic@example.com', 'token', '<none>']])
    s.check('twice', i.cli('local', 'user', 'add', 'ann').returncode != 0 and 'is there already' in i.cli('local', 'user', 'add', 'ann').stderr)
    for name in ('a/b', 'a b', 'a:b', 'x' * 64, 'system:masters', 'é'):
        s.check('no name for a user: ' + name, 'is no name for a user' in i.cli('local', 'user', 'add', name).stderr)
    s.check('a namespace without a role', '--role' in i.cli('local', 'user', 'add', 'y', '-n', 'default').stderr)
    s.check('a file that can not be', i.cli('local', 'user', 'add', 'y', '--output', '/nowhere/at/all').returncode != 0)
    s.check('a role that is not', 'not found' in i.cli('local', 'user', 'add', 'x', '--role', 'nope').stderr)
    s.equal('nothing of it stays', i.cli('local', 'user', 'list').stdout.count('\nx '), 0)
    s.equal('delete', i.cli('local', 'user', 'delete', 'ann').stdout, 'user/ann deleted\n')
    s.equal('a deleted token is none', ann.call('GET', '/version')[0], 401)
    s.check('and who is not there', 'there is no user "ann"' in i.cli('local', 'user', 'delete', 'ann').stderr)
    secrets = json.dumps(i.api.call('GET', '/api/v1/namespaces/kube-system/secrets')[1])
    s.check('no token is kept', vic.headers['Authorization'].split()[1] not in secrets)
    if s.failed:
        print(i.logs())
s.end()
