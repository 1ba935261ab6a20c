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
#define PLAIN "\"pods\",\"pods/log\",\"pods/status\",\"configmaps\",\"services\",\"serviceaccounts\",\"persistentvolumeclaims\",\"events\",\"namespaces\"," \
              "\"deployments\",\"deployments/scale\",\"deployments/status\",\"jobs\",\"jobs/status\",\"networkpolicies\",\"leases\""
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
    ROLE("view", RULE_OF(CORE, PLAIN, READ) "," OURS),
    ROLE("edit", RULE_OF(CORE, PLAIN ",\"secrets\"", READ "," WRITE) "," RULE_OF("\"kruntimes.io\"", "\"*\"", READ "," WRITE) "," LOGS),
    ROLE("admin", RULE_OF(CORE, PLAIN ",\"secrets\"", READ "," WRITE) "," RULE_OF("\"kruntimes.io\"", "\"*\"", READ "," WRITE) "," LOGS ","
         RULE_OF("\"rbac.authorization.k8s.io\"", "\"roles\",\"rolebindings\"", READ "," WRITE) "," RULE_OF("\"authorization.k8s.io\"", "\"localsubjectaccessreviews\"", "\"create\"")
         "," RULE_OF("\"\"", "\"serviceaccounts/token\"", "\"create\"")),
};
const size_t authz_ndefaults = LEN(authz_defaults);

void authz_put_people(enum access_role role, struct buf *b)
{
    jw_begin(b, '{');
    jw_kstr(b, "apiVersion", S("rbac.authorization.k8s.io/v1"));
    jw_kstr(b, "kind", S("ClusterRole"));
    jw_kbegin(b, "metadata", '{');
    jw_kstr(b, "name", str_of(access_roles[role].name));
    jw_kbegin(b, "labels", '{');
    jw_kstr(b, "kubernetes.io/bootstrapping", S("rbac-defaults"));
    jw_end(b, '}');
    jw_end(b, '}');
    jw_key(b, S("rules"));
    access_put_rules(role, b);
    jw_end(b, '}');
}
