/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_access: is a call allowed, and may its writer give what the object gives: a role's rules, a binding's role, a user's
 * groups (Kubernetes docs, "Using RBAC Authorization", "Privilege escalation prevention").
 */
#include "applets/apiserver/api.h"

/* ---- the call ---------------------------------------------------------------------------------------------------- */

static struct str verb_of(struct api_call *c)
{
    struct str m = c->q->method;
    bool one = c->path.name.n > 0;
    if (str_is(m, "GET") || str_is(m, "HEAD"))
        return one ? S("get") : api_query_bool(c, "watch") ? S("watch") : S("list");
    if (str_is(m, "DELETE"))
        return one ? S("delete") : S("deletecollection");
    return str_is(m, "POST") ? S("create") : str_is(m, "PUT") ? S("update") : str_is(m, "PATCH") ? S("patch") : m;
}

/* A list or watch of metadata.name=x is one of x: who may see only some names can follow those. */
static struct str only_name(struct api_call *c)
{
    struct field_selector f;
    struct kr_err e;
    struct str name = S("");
    struct str m = c->q->method, text = api_query(c, "fieldSelector");
    if ((!str_is(m, "GET") && !str_is(m, "HEAD")) || !text.n || field_selector_parse(&f, text, &e) < 0)
        return name;
    for (size_t i = 0; i < f.n; i++)
        if (str_is(f.v[i].path, "metadata.name") && !f.v[i].not)
            name = arena_str(&c->arena, f.v[i].value);
    field_selector_free(&f);
    return name;
}

static bool may_all(const struct api_call *c) { return !c->q->user || !c->api->authz || c->q->user->masters; }

static int ask(struct api_call *c, const struct authz_request *q)
{
    return may_all(c) || authz_allows(c->api->authz, c->q->user, q) ? 0 : authz_refuse(c->q->user, q, &c->e);
}

static struct authz_request about(struct api_call *c, struct str verb, struct str name)
{
    const struct api_path *p = &c->path;
    return (struct authz_request){ .verb = verb, .group = str_of(p->r->group), .resource = str_of(p->r->plural), .sub = p->sub,
                                   .ns = api_is_namespace(c) ? p->name : p->ns, .name = name };
}

int api_authorize(struct api_call *c)
{
    struct api_path p;
    struct authz_request q = { .path = c->q->path, .verb = S("get") };
    if (may_all(c))
        return 0;
    if (api_path_parse(&p, c->q->path, &c->arena) == 0) {
        c->path = p;
        q = about(c, verb_of(c), p.name.n ? p.name : only_name(c));
    } else if (!str_is(c->q->method, "GET") && !str_is(c->q->method, "HEAD")) {
        q.verb = verb_of(c);
    }
    return ask(c, &q);
}

int api_may_create(struct api_call *c)
{
    struct authz_request q = about(c, S("create"), c->path.name);
    return ask(c, &q);
}

/* ---- what it gives ----------------------------------------------------------------------------------------------- */

/* Nothing else changed than what garbage collection needs: anybody may let go of an object. */
static bool only_lets_go(struct api_call *c, const struct json *object, const struct json *old)
{
    static const char *const aside[] = { "ownerReferences", "finalizers", "managedFields" };
    struct json *now = json_clone(&c->arena, object), *was = json_clone(&c->arena, old);
    for (size_t i = 0; i < LEN(aside); i++) {
        json_del(json_get(now, "metadata"), str_of(aside[i]));
        json_del(json_get(was, "metadata"), str_of(aside[i]));
    }
    return json_equal(now, was);
}

/* Whoever writes a user's Secret says which groups that user is in. */
static bool makes_user(const struct api_call *c, const struct json *object)
{
    return !strcmp(c->path.r->plural, "secrets") && str_is(c->path.ns, "kube-system") && str_is(json_string(json_get(object, "type")), AUTHN_USER_SECRET);
}

static int may_give_role(struct api_call *c, const struct json *object, const struct json *old, struct kr_err *e)
{
    static const char all[] = "[{\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"verbs\":[\"*\"]},{\"nonResourceURLs\":[\"*\"],\"verbs\":[\"*\"]}]";
    struct authz_request q = about(c, S("escalate"), json_string(json_get(json_get(object, "metadata"), "name")));
    bool sums = json_get(object, "aggregationRule") || json_get(old, "aggregationRule");      /* it gives what others have, now and later */
    if (authz_allows(c->api->authz, c->q->user, &q))
        return 0;
    if (authz_may_grant(c->api->authz, c->q->user, c->path.ns, json_get(object, "rules"), e) < 0)
        return -1;
    if (sums && authz_may_grant(c->api->authz, c->q->user, S(""), json_parse(&c->arena, str_of(all), e), e) < 0)
        return kr_fail(e, KR_FORBIDDEN, "must have cluster-admin privileges to use an aggregationRule");
    return 0;
}

static int may_bind(struct api_call *c, const struct json *object, struct kr_err *e)
{
    const struct json *ref = json_get(object, "roleRef");
    struct authz_request q = about(c, S("bind"), json_string(json_get(ref, "name")));
    q.resource = str_is(json_string(json_get(ref, "kind")), "ClusterRole") ? S("clusterroles") : S("roles");
    const struct json *rules = authz_role_rules(c->api->authz, c->path.ns, ref, &c->arena);
    if (!rules)
        return kr_fail(e, KR_NOT_FOUND, "%.*s.rbac.authorization.k8s.io \"%.*s\" not found", SFMT(q.resource), SFMT(q.name));
    return authz_allows(c->api->authz, c->q->user, &q) ? 0 : authz_may_grant(c->api->authz, c->q->user, c->path.ns, rules, e);
}

int api_may_grant(struct api_call *c, const struct json *object, const struct json *old)
{
    const struct resource *r = c->path.r;
    bool rbac = !strcmp(r->group, "rbac.authorization.k8s.io"), binding = rbac && str_ends(str_of(r->plural), S("bindings"));
    struct str name = json_string(json_get(json_get(object, "metadata"), "name"));
    struct kr_err e = { 0 };
    if (binding && old && !json_equal(json_get(object, "roleRef"), json_get(old, "roleRef"))) {
        api_add_cause(c, "FieldValueInvalid", S("Invalid value: cannot change roleRef"), S("roleRef"));
        return api_fail_invalid(c, name);
    }
    bool user = makes_user(c, object) || makes_user(c, old);
    if ((!rbac && !user) || may_all(c) || (old && only_lets_go(c, object, old)))
        return 0;
    if (user)
        kr_fail(&e, KR_FORBIDDEN, "a Secret of type " AUTHN_USER_SECRET " makes a user with groups: only system:masters may write it");
    else if (binding)
        may_bind(c, object, &e);
    else
        may_give_role(c, object, old, &e);
    if (e.code != KR_FORBIDDEN)
        return e.code ? (c->e = e, -1) : 0;
    c->about = name;
    return kr_fail(&c->e, KR_FORBIDDEN, "%.*s \"%.*s\" is forbidden: %s", SFMT(api_resource_name(r, &c->arena)), SFMT(name), e.msg);
}
