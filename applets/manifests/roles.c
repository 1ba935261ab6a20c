/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roles: accounts, roles and bindings as YAML, each rule a row of crds/access.def with its reason beside it. Where only
 * one namespace is worked in, what is a ClusterRole else is a Role there. Test: tests/interop/manifests.py.
 */
#include "applets/manifests/manifests.h"
#include "crds/access.h"

#define RBAC "rbac.authorization.k8s.io"

static void put_list(struct buf *b, const char *key, const char *words, bool first)
{
    struct str rest = str_of(words);
    buf_fmt(b, "%s%s: [", first ? "- " : "  ", key);
    if (!rest.n)
        buf_lit(b, "\"\"");
    for (const char *between = ""; rest.n; between = ", ") {
        struct str word = str_cut(&rest, ' ');
        buf_fmt(b, "%s%.*s", between, SFMT(word));
    }
    buf_lit(b, "]\n");
}

static void put_rules(enum access_role role, struct buf *b)
{
    buf_lit(b, "rules:\n");
    for (size_t i = 0; i < access_nrules; i++) {
        const struct access_rule *r = &access_rules[i];
        if (r->role != role)
            continue;
        if (*r->why)
            buf_fmt(b, "# %s\n", r->why);
        put_list(b, "apiGroups", r->group, true);
        put_list(b, "resources", r->resources, false);
        if (*r->names)
            put_list(b, "resourceNames", r->names, false);
        put_list(b, "verbs", r->verbs, false);
    }
}

static void put_head(const char *kind, const char *name, struct str ns, struct buf *b)
{
    buf_fmt(b, "apiVersion: " RBAC "/v1\nkind: %s\nmetadata:\n  name: %s\n", kind, name);
    if (ns.n)
        buf_fmt(b, "  namespace: %.*s\n", SFMT(ns));
    buf_lit(b, "  labels:\n    app.kubernetes.io/name: kruntimes\n    app.kubernetes.io/part-of: kruntimes\n");
}

static void put_binding(const struct install *in, const char *kind, const char *name, const char *account, struct str ns, struct buf *b)
{
    buf_fmt(b, "apiVersion: " RBAC "/v1\nkind: %sBinding\nmetadata:\n  name: %s\n", kind, name);
    if (ns.n)
        buf_fmt(b, "  namespace: %.*s\n", SFMT(ns));
    buf_lit(b, "  labels:\n    app.kubernetes.io/name: kruntimes\n    app.kubernetes.io/part-of: kruntimes\n");
    buf_fmt(b, "roleRef:\n  apiGroup: " RBAC "\n  kind: %s\n  name: %s\nsubjects:\n- kind: ServiceAccount\n  name: %s\n  namespace: %.*s\n", kind, name, account,
            SFMT(in->ns));
}

static void put_account(const struct install *in, const char *component, struct buf *b)
{
    install_put_text(in, "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: kruntimes-$NAME\n  namespace: $NAMESPACE\n  labels:\n"
                         "    app.kubernetes.io/name: kruntimes\n    app.kubernetes.io/component: $NAME\n    app.kubernetes.io/part-of: kruntimes\n", component, b);
}

void install_put_access(const struct install *in, struct buf *b)
{
    buf_lit(b, "# Accounts of the control plane, and what they may. Each rule is a call in the code (crds/access.def).\n");
    put_account(in, "controller", b);
    buf_lit(b, "---\n");
    put_account(in, "scheduler", b);
    for (int i = 0; i < ACCESS_ROLES; i++) {
        const struct access_role_def *d = &access_roles[i];
        bool cluster = d->where == ACCESS_CLUSTER || (d->where == ACCESS_WORK && !in->only.n);
        struct str ns = cluster ? S("") : d->where == ACCESS_HOME ? in->ns : in->only;
        const char *account = str_starts(str_of(d->name), S("kruntimes-controller")) ? "kruntimes-controller" : "kruntimes-scheduler";
        /* Both Roles of a component may stand in one namespace. */
        AUTO_BUF struct buf name = { .max = 128 };
        if (d->where == ACCESS_GIVEN || d->where == ACCESS_PEOPLE)
            continue;
        buf_fmt(&name, "%s%s", d->name, d->where == ACCESS_HOME ? "-lease" : "");
        buf_lit(b, "---\n");
        put_head(cluster ? "ClusterRole" : "Role", name.p, ns, b);
        put_rules((enum access_role)i, b);
        buf_lit(b, "---\n");
        put_binding(in, cluster ? "ClusterRole" : "Role", name.p, account, ns, b);
    }
}

void install_put_people(const struct install *in, struct buf *b)
{
    (void)in;
    buf_lit(b, "# Roles for people: bind them by a RoleBinding in a namespace, or a ClusterRoleBinding for all. The cluster's own view, edit\n"
               "# and admin get the same rules by the label.\n");
    const char *between = "";
    for (int i = 0; i < ACCESS_ROLES; i++) {
        const struct access_role_def *d = &access_roles[i];
        if (d->where != ACCESS_PEOPLE)
            continue;
        buf_lit(b, between);
        between = "---\n";
        put_head("ClusterRole", d->name, S(""), b);
        buf_fmt(b, "    rbac.authorization.k8s.io/aggregate-to-%s: \"true\"\n", d->aggregate);
        buf_fmt(b, "  annotations:\n    kubernetes.io/description: %s\n", d->brief);
        put_rules((enum access_role)i, b);
    }
}
