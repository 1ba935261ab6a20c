/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access: the table of who may do what (crds/access.def), as roles and as rules in JSON.
 */
#ifndef CRDS_ACCESS_H
#define CRDS_ACCESS_H
#include "core/json.h"

enum access_where {
    ACCESS_WORK,                                  /* a ClusterRole; a Role where only one namespace is worked in */
    ACCESS_CLUSTER,                               /* always a ClusterRole */
    ACCESS_HOME,                                  /* a Role in the namespace of the installation */
    ACCESS_GIVEN,                                 /* a Role that the controller makes for each Runtime */
    ACCESS_PEOPLE,                                /* a ClusterRole for people, that they are bound to */
};
enum access_role {
#define ROLE(id, ...) ACCESS_##id,
#define ACCESS(...)
#include "crds/access.def"
#undef ACCESS
#undef ROLE
    ACCESS_ROLES
};
struct access_role_def {
    const char *name;
    enum access_where where;
    const char *aggregate;                        /* "view": the cluster's own role of that name gets these rules too; or NULL */
    const char *brief;
};
struct access_rule { enum access_role role; const char *group, *resources, *names, *verbs, *why; };
extern const struct access_role_def access_roles[ACCESS_ROLES];
extern const struct access_rule access_rules[];
extern const size_t access_nrules;
/* The role's rules as a JSON list of PolicyRules. */
void access_put_rules(enum access_role, struct buf *);
#endif
