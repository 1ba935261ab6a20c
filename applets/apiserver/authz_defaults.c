/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authz_defaults: roles that are there from the start. The system's own as a cluster has them; admin, edit and view over what
 * is served here; and those of crds/access.def for people who use kruntimes.
 */
#include "applets/apiserver/authz.h"

#define ROLE(name, rules) "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"ClusterRole\",\"metadata\":{\"name\":\"" name "\",\"labels\":{" \
                          "\"kubernetes.io/bootstrapping\":\"rbac-defaults\"}},\"rules\":[" rules "]}"
#define BIND(name, group) "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"ClusterRoleBinding\",\"metadata\":{\"name\":\"" name "\",\"labels\":{" \
                          "\"kubernetes.io/bootstrapping\":\"rbac-defaults\"}},\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\"name\":\"" name \
                          "\"},\"subjects\":[{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Group\",\"name\":\"" group "\"}]}"
#define RULE_OF(groups, resources, verbs) "{\"apiGroups\":[" groups "],\"resources\":[" resources "],\"verbs\":[" verbs "]}"
#define PATHS(paths, verbs) "{\"nonResourceURLs\":[" paths "],\"verbs\":[" verbs "]}"
#define READ "\"get\",\"list\",\"watch\""
#define WRITE "\"create\",\"delete\",\"deletecollection\",\"patch\",\"update\""
#define CORE "\"\",\"apps\",\"batch\",\"networking.k8s.io\",\"coordination.k8s.io\""
#define PLAIN "\"pods\",\"configmaps\",\"services\",\"serviceaccounts\",\"persistentvolumeclaims\",\"events\",\"deployments\",\"deployments/scale\",\"jobs\",\"networkpolicies\",\"leases\""
#define SEEN RULE_OF(CORE, "\"namespaces\",\"pods/log\",\"pods/status\",\"persistentvolumeclaims/status\",\"deployments/status\",\"jobs/status\"", READ)      /* and written by who runs them */
#define OURS RULE_OF("\"kruntimes.io\"", "\"runs\",\"runs/status\",\"runtimes\",\"runtimes/status\",\"runtimes/scale\",\"workflows\",\"workflows/status\"", READ)
#define LOGS RULE_OF("\"\"", "\"pods/portforward\"", "\"get\",\"create\"")

const char *const authz_defaults[] = {
    ROLE("cluster-admin", "{\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"verbs\":[\"*\"]}," PATHS("\"*\"", "\"*\"")),
    BIND("cluster-admin", "system:masters"),
    ROLE("system:discovery", PATHS("\"/api\",\"/api/*\",\"/apis\",\"/apis/*\",\"/healthz\",\"/livez\",\"/openapi\",\"/openapi/*\",\"/readyz\",\"/version\",\"/version/\"", "\"get\"")),
    BIND("system:discovery", "system:authenticated"),
    ROLE("system:public-info-viewer", PATHS("\"/healthz\",\"/livez\",\"/livez/*\",\"/readyz\",\"/readyz/*\",\"/version\",\"/version/\"", "\"get\"")),
    BIND("system:public-info-viewer", "system:unauthenticated"),
    ROLE("system:basic-user", RULE_OF("\"authorization.k8s.io\"", "\"selfsubjectaccessreviews\",\"selfsubjectrulesreviews\"", "\"create\"") ","
         RULE_OF("\"authentication.k8s.io\"", "\"selfsubjectreviews\"", "\"create\"")),
    BIND("system:basic-user", "system:authenticated"),
    ROLE("view", RULE_OF(CORE, PLAIN, READ) "," SEEN "," OURS),
    ROLE("edit", RULE_OF(CORE, PLAIN ",\"secrets\"", READ "," WRITE) "," SEEN "," OURS "," RULE_OF("\"kruntimes.io\"", "\"runs\",\"runtimes\",\"runtimes/scale\",\"workflows\"", WRITE) "," LOGS),
    ROLE("admin", RULE_OF(CORE, PLAIN ",\"secrets\"", READ "," WRITE) "," SEEN "," OURS "," RULE_OF("\"kruntimes.io\"", "\"runs\",\"runtimes\",\"runtimes/scale\",\"workflows\"", WRITE) "," LOGS ","
         RULE_OF("\"rbac.authorization.k8s.io\"", "\"roles\",\"rolebindings\"", READ "," WRITE) "," RULE_OF("\"authorization.k8s.io\"", "\"localsubjectaccessreviews\"", "\"create\"")
         "," RULE_OF("\"\"", "\"serviceaccounts/token\"", "\"create\"")),
};
const size_t authz_ndefaults = LEN(authz_defaults);

static void put_head(enum access_role role, const char *kind, struct buf *b)
{
    bool home = access_roles[role].where == ACCESS_HOME;
    AUTO_BUF struct buf name = { .max = 128 };
    buf_fmt(&name, "%s%s", access_roles[role].name, home ? "-lease" : "");
    jw_begin(b, '{');
    jw_kstr(b, "apiVersion", S("rbac.authorization.k8s.io/v1"));
    jw_kstr(b, "kind", str_of(home ? kind + sizeof "Cluster" - 1 : kind));
    jw_kbegin(b, "metadata", '{');
    jw_kstr(b, "name", buf_view(&name));
    if (home)
        jw_kstr(b, "namespace", S("kube-system"));
    jw_kbegin(b, "labels", '{');
    jw_kstr(b, "kubernetes.io/bootstrapping", S("rbac-defaults"));
    jw_end(b, '}');
    jw_end(b, '}');
}

void authz_put_role(enum access_role role, struct buf *b)
{
    put_head(role, "ClusterRole", b);
    jw_key(b, S("rules"));
    access_put_rules(role, b);
    jw_end(b, '}');
}

void authz_put_binding(enum access_role role, const char *user, struct buf *b)
{
    bool home = access_roles[role].where == ACCESS_HOME;
    put_head(role, "ClusterRoleBinding", b);
    jw_kbegin(b, "roleRef", '{');
    jw_kstr(b, "apiGroup", S("rbac.authorization.k8s.io"));
    jw_kstr(b, "kind", home ? S("Role") : S("ClusterRole"));
    buf_fmt(b, ",\"name\":\"%s%s\"", access_roles[role].name, home ? "-lease" : "");
    jw_end(b, '}');
    jw_kbegin(b, "subjects", '[');
    jw_begin(b, '{');
    jw_kstr(b, "apiGroup", S("rbac.authorization.k8s.io"));
    jw_kstr(b, "kind", S("User"));
    jw_kstr(b, "name", str_of(user));
    jw_end(b, '}');
    jw_end(b, ']');
    jw_end(b, '}');
}
