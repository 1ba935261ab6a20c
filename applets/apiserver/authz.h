/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authz: who may do what: role-based access control (Kubernetes docs, "Using RBAC Authorization").
 *
 * Roles and bindings are read from the store into one table, again when one of them changes. system:masters may do
 * anything. Who writes roles or bindings can't give more than they have, unless they may `escalate` or `bind`.
 */
#ifndef APISERVER_AUTHZ_H
#define APISERVER_AUTHZ_H
#include "applets/apiserver/authn.h"
#include "crds/access.h"

struct authz_request {
    struct str verb;                              /* get list watch create update patch delete deletecollection … */
    struct str group, resource, sub, ns, name;    /* ns empty: all namespaces, or a cluster kind */
    struct str path;                              /* instead of a resource: "/metrics" */
};
struct authz;
struct authz *authz_new(struct store *, struct watches *);
void authz_free(struct authz *);
bool authz_allows(struct authz *, const struct api_user *, const struct authz_request *);
/* `runs.kruntimes.io "x" is forbidden: User "bob" cannot get resource "runs" in API group "kruntimes.io" in the namespace "default"` */
int authz_refuse(const struct api_user *, const struct authz_request *, struct kr_err *);

/* May the user give these rules (a list of PolicyRules) in this namespace (empty: everywhere)? KR_FORBIDDEN names what they lack. */
int authz_may_grant(struct authz *, const struct api_user *, struct str ns, const struct json *rules, struct kr_err *);
/* The rules of a Role or ClusterRole as roleRef names it; NULL when there is none. */
struct json *authz_role_rules(struct authz *, struct str ns, const struct json *role_ref, struct arena *);
/* Appends the user's rules in that namespace to a SubjectRulesReviewStatus (resourceRules, nonResourceRules). */
void authz_print_rules(struct authz *, const struct api_user *, struct str ns, struct buf *);
/* The ClusterRoles and bindings that are there from the start, one JSON object each. */
extern const char *const authz_defaults[];
extern const size_t authz_ndefaults;
/* The role, or its binding to the component's account, as one JSON object. Leases are in kube-system here. */
void authz_put_role(enum access_role, struct buf *);
void authz_put_binding(enum access_role, const char *user, struct buf *);
#endif
