/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authz: a grant is a binding with its rules resolved. A question walks the grants that name the user; there are as many as
 * bindings. Aggregated ClusterRoles get the rules of those their selectors pick. Tests: tests/local/users.py
 */
#include "applets/apiserver/authz.h"
#include <stdio.h>

#define RBAC "rbac.authorization.k8s.io"

/* Each request asks, so subjects are kept as what they are compared with: service accounts by the names of their users. */
struct subject { bool group; struct str name; };
struct grant { struct grant *next; struct str ns; const struct subject *subjects; size_t n; const struct json *rules; };
struct authz {
    struct store *store;
    struct watch_observer observer;
    struct arena arena;                           /* of the grants */
    struct grant *grants;
    bool fresh;
};

/* ---- the table --------------------------------------------------------------------------------------------------- */

static struct json *read_object(struct authz *z, struct str key, struct arena *a)
{
    struct store_value v;
    struct kr_err e;
    return store_get(z->store, key, &v, &e) > 0 ? json_parse(a, arena_str(a, v.json), &e) : NULL;
}

static bool has_labels(const struct json *object, const struct json *want)
{
    const struct json *labels = json_get(json_get(object, "metadata"), "labels");
    for (const struct json *m = json_first(want); m; m = json_next(m)) {
        const struct json *l = json_get_str(labels, json_key(m));
        if (!l || !json_equal(l, m))
            return false;
    }
    return json_len(want) > 0;
}

/* Rules of a ClusterRole with aggregationRule: its own are replaced by those of the roles it picks. */
static struct json *aggregate(struct authz *z, const struct json *role, struct arena *a)
{
    static const char *const path[] = { "aggregationRule", "clusterRoleSelectors" };
    struct json *all = json_new_array(a);
    struct store_scan s;
    struct kr_err e;
    store_scan_begin(z->store, &s, S("clusterroles." RBAC "/"), S(""));
    while (store_scan_next(&s, &e) > 0) {
        struct json *other = json_parse(a, arena_str(a, s.at.json), &e);
        bool picked = false;
        for (const struct json *sel = json_first(json_get_path(role, path, 2)); sel && other; sel = json_next(sel))
            picked |= has_labels(other, json_get(sel, "matchLabels"));
        for (const struct json *r = picked ? json_first(json_get(other, "rules")) : NULL; r; r = json_next(r))
            json_append(all, json_clone(a, r));
    }
    store_scan_end(&s);
    return all;
}

struct json *authz_role_rules(struct authz *z, struct str ns, const struct json *ref, struct arena *a)
{
    struct str kind = json_string(json_get(ref, "kind")), name = json_string(json_get(ref, "name"));
    bool cluster = str_is(kind, "ClusterRole");
    struct json *role = read_object(z, arena_fmt(a, "%s." RBAC "/%.*s/%.*s", cluster ? "clusterroles" : "roles", SFMT(cluster ? S("") : ns), SFMT(name)), a);
    if (!role)
        return NULL;
    if (cluster && json_get(role, "aggregationRule"))
        return aggregate(z, role, a);
    struct json *rules = json_get(role, "rules");
    return rules ? rules : json_new_array(a);
}

static void read_subjects(struct grant *g, const struct json *list, struct arena *a)
{
    struct subject *to = arena_alloc(a, json_len(list) * sizeof *to);
    g->subjects = to;
    for (const struct json *s = json_first(list); to && s; s = json_next(s)) {
        struct str kind = json_string(json_get(s, "kind")), name = json_string(json_get(s, "name")), ns = json_string(json_get(s, "namespace"));
        if (str_is(kind, "ServiceAccount"))
            name = arena_fmt(a, "system:serviceaccount:%.*s:%.*s", SFMT(ns.n ? ns : g->ns), SFMT(name));
        else if (!str_is(kind, "User") && !str_is(kind, "Group"))
            continue;
        to[g->n++] = (struct subject){ str_is(kind, "Group"), name };
    }
}

static void read_bindings(struct authz *z, const char *prefix)
{
    struct store_scan s;
    struct kr_err e;
    struct arena *a = &z->arena;
    struct json *list = json_new_array(a);
    store_scan_begin(z->store, &s, str_of(prefix), S(""));
    while (store_scan_next(&s, &e) > 0) {
        struct json *b = json_parse(a, arena_str(a, s.at.json), &e);
        if (b)
            json_append(list, b);
    }
    store_scan_end(&s);
    for (const struct json *b = json_first(list); b; b = json_next(b)) {
        struct str ns = json_string(json_get(json_get(b, "metadata"), "namespace"));
        struct json *rules = authz_role_rules(z, ns, json_get(b, "roleRef"), a);
        struct grant *g = rules ? arena_alloc(a, sizeof *g) : NULL;
        if (!g)
            continue;
        *g = (struct grant){ .next = z->grants, .ns = ns, .rules = rules };
        read_subjects(g, json_get(b, "subjects"), a);
        z->grants = g;
    }
}

static void refresh(struct authz *z)
{
    if (z->fresh)
        return;
    arena_reset(&z->arena);
    z->arena = (struct arena){ .limit = LIMIT_API_ARENA, .first = 16384 };
    z->grants = NULL;
    read_bindings(z, "clusterrolebindings." RBAC "/");
    read_bindings(z, "rolebindings." RBAC "/");
    z->fresh = true;
}

static void committed(void *ctx, const struct version *now, const struct version *before)
{
    struct authz *z = ctx;
    const struct version *v = now ? now : before;
    if (!strcmp(v->r->group, RBAC))
        z->fresh = false;
}

static void lost(void *ctx) { ((struct authz *)ctx)->fresh = false; }

struct authz *authz_new(struct store *store, struct watches *w)
{
    struct authz *z = xcalloc(1, sizeof *z);
    *z = (struct authz){ .store = store, .observer = { .committed = committed, .lost = lost, .ctx = z } };
    watch_observe(w, &z->observer);
    return z;
}

void authz_free(struct authz *z)
{
    if (!z)
        return;
    arena_reset(&z->arena);
    free(z);
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

static bool is_subject(const struct grant *g, const struct api_user *u)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->subjects[i].group ? user_in_group(u, g->subjects[i].name) : str_eq(g->subjects[i].name, u->name))
            return true;
    return false;
}

static bool lists(const struct json *list, struct str word)
{
    for (const struct json *m = json_first(list); m; m = json_next(m))
        if (str_is(json_string(m), "*") || str_eq(json_string(m), word))
            return true;
    return false;
}

/* "pods", "pods/log", "*", "*" "/log" */
static bool is_resource(struct str listed, struct str resource, struct str sub)
{
    struct str of = sub.n ? str_cut(&listed, '/') : listed;
    return (str_is(of, "*") && (!sub.n || !listed.p || str_eq(listed, sub))) || (str_eq(of, resource) && (!sub.n || str_eq(listed, sub)));
}

static bool lists_resource(const struct json *list, struct str resource, struct str sub)
{
    for (const struct json *m = json_first(list); m; m = json_next(m))
        if (is_resource(json_string(m), resource, sub))
            return true;
    return false;
}

static bool lists_path(const struct json *list, struct str path)
{
    for (const struct json *m = json_first(list); m; m = json_next(m)) {
        struct str x = json_string(m);
        if (str_eq(x, path) || (str_ends(x, S("*")) && str_starts(path, (struct str){ x.p, x.n - 1 })))
            return true;
    }
    return false;
}

static bool rule_allows(const struct json *r, const struct authz_request *q)
{
    if (!lists(json_get(r, "verbs"), q->verb))
        return false;
    if (q->path.n)
        return lists_path(json_get(r, "nonResourceURLs"), q->path);
    const struct json *names = json_get(r, "resourceNames");
    if (json_len(names)) {
        bool named = false;
        for (const struct json *m = json_first(names); m; m = json_next(m))
            named |= q->name.n && str_eq(json_string(m), q->name);
        if (!named)
            return false;
    }
    return lists(json_get(r, "apiGroups"), q->group) && lists_resource(json_get(r, "resources"), q->resource, q->sub);
}

bool authz_allows(struct authz *z, const struct api_user *u, const struct authz_request *q)
{
    if (u->masters)
        return true;
    refresh(z);
    for (const struct grant *g = z->grants; g; g = g->next) {
        if ((g->ns.n && (q->path.n || !str_eq(g->ns, q->ns))) || !is_subject(g, u))
            continue;
        for (const struct json *r = json_first(g->rules); r; r = json_next(r))
            if (rule_allows(r, q))
                return true;
    }
    return false;
}

int authz_refuse(const struct api_user *u, const struct authz_request *q, struct kr_err *e)
{
    if (q->path.n)
        return kr_fail(e, KR_FORBIDDEN, "forbidden: User \"%.*s\" cannot %.*s path \"%.*s\"", SFMT(u->name), SFMT(q->verb), SFMT(q->path));
    char where[320], named[320] = "";
    snprintf(where, sizeof where, q->ns.n ? "in the namespace \"%.*s\"" : "at the cluster scope", SFMT(q->ns));
    if (q->name.n)
        snprintf(named, sizeof named, " \"%.*s\"", SFMT(q->name));
    return kr_fail(e, KR_FORBIDDEN, "%.*s%s%.*s%s is forbidden: User \"%.*s\" cannot %.*s resource \"%.*s%s%.*s\" in API group \"%.*s\" %s", SFMT(q->resource),
                   q->group.n ? "." : "", SFMT(q->group), named, SFMT(u->name), SFMT(q->verb), SFMT(q->resource), q->sub.n ? "/" : "", SFMT(q->sub),
                   SFMT(q->group), where);
}

/* ---- grants of others -------------------------------------------------------------------------------------------- */

static bool has_rule(struct authz *z, const struct api_user *u, struct str ns, const struct authz_request *q)
{
    struct authz_request own = *q;
    own.ns = ns;
    return authz_allows(z, u, &own);              /* a "*" asked for is only found where "*" stands */
}

static const struct json *or_one(const struct json *list, const struct json *one) { return json_len(list) ? json_first(list) : one; }

/* Each combination that the rule allows must be the user's own. */
static bool may_grant_rule(struct authz *z, const struct api_user *u, struct str ns, const struct json *r, const struct json *none)
{
    for (const struct json *v = json_first(json_get(r, "verbs")); v; v = json_next(v)) {
        for (const struct json *p = json_first(json_get(r, "nonResourceURLs")); p; p = json_next(p))
            if (!has_rule(z, u, S(""), &(struct authz_request){ .verb = json_string(v), .path = json_string(p) }))
                return false;
        for (const struct json *g = json_first(json_get(r, "apiGroups")); g; g = json_next(g))
            for (const struct json *x = json_first(json_get(r, "resources")); x; x = json_next(x))
                for (const struct json *n = or_one(json_get(r, "resourceNames"), none); n; n = n == none ? NULL : json_next(n)) {
                    struct str sub = json_string(x), resource = str_cut(&sub, '/');
                    if (!has_rule(z, u, ns, &(struct authz_request){ .verb = json_string(v), .group = json_string(g), .resource = resource, .sub = sub,
                                                                     .name = json_string(n) }))
                        return false;
                }
    }
    return true;
}

static void print_list(struct buf *b, const char *name, const struct json *list)
{
    if (!json_len(list))
        return;
    buf_fmt(b, "%s%s:", b->p[b->n - 1] == '{' ? "" : ", ", name);
    json_print(b, list);
}

int authz_may_grant(struct authz *z, const struct api_user *u, struct str ns, const struct json *rules, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 4096 };
    AUTO_BUF struct buf lacks = { .max = 300 };
    const struct json *none = json_new_str(&a, S(""));
    for (const struct json *r = json_first(rules); r && !u->masters; r = json_next(r)) {
        if (may_grant_rule(z, u, ns, r, none))
            continue;
        buf_lit(&lacks, "\n{");
        print_list(&lacks, "APIGroups", json_get(r, "apiGroups"));
        print_list(&lacks, "Resources", json_get(r, "resources"));
        print_list(&lacks, "ResourceNames", json_get(r, "resourceNames"));
        print_list(&lacks, "NonResourceURLs", json_get(r, "nonResourceURLs"));
        print_list(&lacks, "Verbs", json_get(r, "verbs"));
        buf_byte(&lacks, '}');
    }
    if (!lacks.n)
        return 0;
    return kr_fail(e, KR_FORBIDDEN, "user \"%.*s\" is attempting to grant RBAC permissions not currently held:%.*s", SFMT(u->name), SFMT(buf_view(&lacks)));
}

/* ---- what somebody may ------------------------------------------------------------------------------------------- */

static void print_rules(struct authz *z, const struct api_user *u, struct str ns, bool paths, struct buf *b)
{
    static const char *const all = "{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"]}", *const all_paths = "{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"*\"]}";
    if (u->masters)
        jw_raw(b, str_of(paths ? all_paths : all));
    for (const struct grant *g = z->grants; g; g = g->next) {
        if ((g->ns.n && !str_eq(g->ns, ns)) || !is_subject(g, u))
            continue;
        for (const struct json *r = json_first(g->rules); r; r = json_next(r))
            if ((json_len(json_get(r, "nonResourceURLs")) > 0) == paths) {
                AUTO_BUF struct buf text = { .max = 65536 };
                json_print(&text, r);
                jw_raw(b, buf_view(&text));
            }
    }
}

void authz_print_rules(struct authz *z, const struct api_user *u, struct str ns, struct buf *b)
{
    refresh(z);
    jw_kbegin(b, "resourceRules", '[');
    print_rules(z, u, ns, false, b);
    jw_end(b, ']');
    jw_kbegin(b, "nonResourceRules", '[');
    print_rules(z, u, ns, true, b);
    jw_end(b, ']');
    jw_kbool(b, "incomplete", false);
}
