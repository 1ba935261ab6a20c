# SPDX-License-Identifier: Apache-2.0
"""Who may do what with kruntimes' roles: rows that any API server must answer alike (SubjectAccessReview).

A person is bound to a role: everywhere, or in one namespace. `tenant` has the cluster's own `edit` in a namespace of theirs,
which gets our rules by aggregation.
"""
PEOPLE = {      # name: (ClusterRole, namespace or None for all)
    'kr-viewer': ('kruntimes-viewer', None),
    'kr-submitter': ('kruntimes-submitter', None),
    'kr-runtime-admin': ('kruntimes-runtime-admin', None),
    'kr-tenant': ('edit', 'kr-tenant'),
}
OURS, CORE, APPS, RBAC = 'kruntimes.io', '', 'apps', 'rbac.authorization.k8s.io'
PAIRS = [      # who, verb, group, resource (with "/sub"), namespace, allowed
    ('kr-viewer', 'list', OURS, 'runs', 'a', True),
    ('kr-viewer', 'watch', OURS, 'runtimes', 'a', True),
    ('kr-viewer', 'get', OURS, 'workflows', 'a', True),
    ('kr-viewer', 'list', CORE, 'events', 'a', True),
    ('kr-viewer', 'create', OURS, 'runs', 'a', False),
    ('kr-viewer', 'patch', OURS, 'runs', 'a', False),
    ('kr-viewer', 'delete', OURS, 'runtimes', 'a', False),
    ('kr-viewer', 'get', CORE, 'pods/portforward', 'a', False),
    ('kr-viewer', 'create', CORE, 'pods/portforward', 'a', False),
    ('kr-viewer', 'get', CORE, 'secrets', 'a', False),
    ('kr-submitter', 'create', OURS, 'runs', 'a', True),
    ('kr-submitter', 'patch', OURS, 'runs', 'a', True),
    ('kr-submitter', 'deletecollection', OURS, 'runs', 'a', True),
    ('kr-submitter', 'create', OURS, 'workflows', 'a', True),
    ('kr-submitter', 'get', CORE, 'pods/portforward', 'a', True),
    ('kr-submitter', 'create', CORE, 'pods/portforward', 'a', True),
    ('kr-submitter', 'create', OURS, 'runtimes', 'a', False),
    ('kr-submitter', 'update', OURS, 'runtimes/scale', 'a', False),
    ('kr-submitter', 'patch', OURS, 'runs/status', 'a', False),
    ('kr-submitter', 'act', OURS, 'runs/runtimed', 'a', False),
    ('kr-submitter', 'create', CORE, 'pods/exec', 'a', False),
    ('kr-submitter', 'get', CORE, 'secrets', 'a', False),
    ('kr-runtime-admin', 'create', OURS, 'runtimes', 'a', True),
    ('kr-runtime-admin', 'patch', OURS, 'runtimes', 'a', True),
    ('kr-runtime-admin', 'update', OURS, 'runtimes/scale', 'a', True),
    ('kr-runtime-admin', 'create', OURS, 'runs', 'a', True),
    ('kr-runtime-admin', 'get', CORE, 'pods/log', 'a', True),
    ('kr-runtime-admin', 'create', CORE, 'pods/portforward', 'a', True),
    ('kr-runtime-admin', 'list', APPS, 'deployments', 'a', True),
    ('kr-runtime-admin', 'patch', APPS, 'deployments', 'a', False),
    ('kr-runtime-admin', 'patch', OURS, 'runs/status', 'a', False),
    ('kr-runtime-admin', 'patch', OURS, 'runtimes/status', 'a', False),
    ('kr-runtime-admin', 'act', OURS, 'runs/controlplane', 'a', False),
    ('kr-runtime-admin', 'create', RBAC, 'roles', 'a', False),
    ('kr-tenant', 'create', OURS, 'runs', 'kr-tenant', True),
    ('kr-tenant', 'create', OURS, 'runtimes', 'kr-tenant', True),
    ('kr-tenant', 'get', OURS, 'runs/status', 'kr-tenant', True),
    ('kr-tenant', 'get', CORE, 'pods/portforward', 'kr-tenant', True),
    ('kr-tenant', 'create', CORE, 'pods/portforward', 'kr-tenant', True),
    ('kr-tenant', 'patch', OURS, 'runs/status', 'kr-tenant', False),
    ('kr-tenant', 'act', OURS, 'runs/runtimed', 'kr-tenant', False),
    ('kr-tenant', 'list', OURS, 'runs', 'a', False),
    ('kr-tenant', 'create', OURS, 'runs', 'a', False),
    ('kr-tenant', 'create', CORE, 'pods/portforward', 'a', False),
    ('kr-tenant', 'list', OURS, 'runs', '', False),
]
# The control plane and a Runtime Pod: what keeps executed code, and a stolen token, small.
COMPONENTS = [
    ('scheduler', 'patch', OURS, 'runs/status', 'a', True),
    ('scheduler', 'patch', OURS, 'runs', 'a', False),
    ('scheduler', 'create', CORE, 'pods', 'a', False),
    ('scheduler', 'get', CORE, 'secrets', 'a', False),
    ('controller', 'delete', OURS, 'runs', 'a', True),
    ('controller', 'create', OURS, 'runs', 'a', True),
    ('controller', 'patch', APPS, 'deployments', 'a', True),
    ('controller', 'delete', APPS, 'deployments', 'a', False),
    ('controller', 'get', CORE, 'secrets', 'a', False),
    ('controller', 'list', CORE, 'configmaps', 'a', False),
    ('controller', 'create', CORE, 'pods', 'a', False),
    ('controller', 'escalate', RBAC, 'roles', 'a', False),
    ('controller', 'bind', RBAC, 'roles', 'a', False),
]


def bind(api):
    """Makes the people's bindings (and the tenant's namespace). api: an Api with the rights to."""
    api.call('POST', '/api/v1/namespaces', {'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': 'kr-tenant'}})
    base = '/apis/rbac.authorization.k8s.io/v1/'
    for name, (role, ns) in PEOPLE.items():
        kind = 'RoleBinding' if ns else 'ClusterRoleBinding'
        yield api.call('POST', base + ('namespaces/%s/rolebindings' % ns if ns else 'clusterrolebindings'), {
            'apiVersion': 'rbac.authorization.k8s.io/v1', 'kind': kind, 'metadata': {'name': name},
            'roleRef': {'apiGroup': RBAC, 'kind': 'ClusterRole', 'name': role},
            'subjects': [{'apiGroup': RBAC, 'kind': 'User', 'name': name}]})


def may(api, user, verb, group, resource, ns, groups=()):
    what, _, sub = resource.partition('/')
    attributes = {'verb': verb, 'group': group, 'resource': what, 'namespace': ns}
    if sub:
        attributes['subresource'] = sub
    status, answer = api.call('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
        'apiVersion': 'authorization.k8s.io/v1', 'kind': 'SubjectAccessReview',
        'spec': {'user': user, 'groups': ['system:authenticated', *groups], 'resourceAttributes': attributes}})
    return answer['status']['allowed'] if status == 201 else '%s %s' % (status, answer)


def check(suite, api):
    for status, answer in bind(api):
        suite.check('a binding', status in (201, 409), answer)
    for who, verb, group, resource, ns, want in PAIRS:
        suite.equal('%s %s %s in "%s"' % (who, verb, resource, ns), may(api, who, verb, group, resource, ns), want)
    for who, verb, group, resource, ns, want in COMPONENTS:
        user = 'system:serviceaccount:kruntimes-system:kruntimes-' + who
        suite.equal('%s %s %s in "%s"' % (who, verb, resource, ns), may(api, user, verb, group, resource, ns,
                                                                        ('system:serviceaccounts', 'system:serviceaccounts:kruntimes-system')), want)
