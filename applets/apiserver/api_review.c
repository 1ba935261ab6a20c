/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_review: questions that are asked by creating an object which is answered and not kept: who am I, may I, whose token is
 * this (authorization.k8s.io, authentication.k8s.io), and tokens for service accounts (TokenRequest).
 */
#include "applets/apiserver/api.h"
#include <stdio.h>

enum { TOKEN_MIN_S = 600, TOKEN_DEFAULT_S = 3600, TOKEN_MAX_S = 365 * 86400 };

static const struct api_user *asker(const struct api_call *c)
{
    static const struct api_user nobody_in_particular = { .name = { "kruntimes-admin", 15 }, .groups = { { "system:masters", 14 } }, .ngroups = 1, .masters = true };
    return c->q->user ? c->q->user : &nobody_in_particular;
}

/* The object as it was sent, with status: `status` is the text of an object. */
static void answer(struct api_call *c, struct json *object, struct str status)
{
    struct json *s = json_parse(&c->arena, status, &c->e);
    struct json *meta = json_ensure_object(&c->arena, object, "metadata");
    if (!json_get(meta, "creationTimestamp"))
        json_set(&c->arena, meta, S("creationTimestamp"), json_new_null(&c->arena));
    if (s)
        json_set(&c->arena, object, S("status"), s);
    json_print(&c->reply->body, object);
    c->reply->status = 201;
}

static struct str text_at(const struct json *o, const char *key) { return json_string(json_get(o, key)); }

static void print_user(struct buf *b, const char *key, const struct api_user *u)
{
    jw_kbegin(b, key, '{');
    jw_kstr(b, "username", u->name);
    if (u->uid.n)
        jw_kstr(b, "uid", u->uid);
    jw_kbegin(b, "groups", '[');
    for (size_t i = 0; i < u->ngroups; i++)
        jw_str(b, u->groups[i]);
    jw_end(b, ']');
    if (u->extra_pod.n) {
        jw_kbegin(b, "extra", '{');
        jw_kbegin(b, "authentication.kubernetes.io/pod-name", '[');
        jw_str(b, u->extra_pod);
        jw_end(b, ']');
        jw_kbegin(b, "authentication.kubernetes.io/pod-uid", '[');
        jw_str(b, u->extra_pod_uid);
        jw_end(b, ']');
        jw_end(b, '}');
    }
    jw_end(b, '}');
}

/* ---- may somebody ------------------------------------------------------------------------------------------------ */

static int read_attributes(struct api_call *c, const struct json *spec, struct authz_request *q)
{
    const struct json *r = json_get(spec, "resourceAttributes"), *p = json_get(spec, "nonResourceAttributes");
    *q = (struct authz_request){ 0 };
    if (!r == !p)
        return api_add_cause(c, "FieldValueInvalid", S("Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"),
                             S("spec.resourceAttributes")), api_fail_invalid(c, S(""));
    if (r)
        *q = (struct authz_request){ .verb = text_at(r, "verb"), .group = text_at(r, "group"), .resource = text_at(r, "resource"), .sub = text_at(r, "subresource"),
                                     .ns = text_at(r, "namespace"), .name = text_at(r, "name") };
    else
        *q = (struct authz_request){ .verb = text_at(p, "verb"), .path = text_at(p, "path") };
    return 0;
}

static int access_review(struct api_call *c, struct json *object, const struct api_user *u)
{
    struct authz_request q;
    if (read_attributes(c, json_get(object, "spec"), &q) < 0)
        return -1;
    if (c->path.ns.n && !str_eq(q.ns, c->path.ns))
        return kr_fail(&c->e, KR_INVALID, "spec.resourceAttributes.namespace must match metadata.namespace");
    bool allowed = !c->api->authz || authz_allows(c->api->authz, u, &q);
    answer(c, object, allowed ? S("{\"allowed\":true}") : S("{\"allowed\":false}"));
    return 0;
}

static int review_of_user(struct api_call *c, struct json *object)
{
    const struct json *spec = json_get(object, "spec");
    struct api_user u = { .name = text_at(spec, "user"), .uid = text_at(spec, "uid") };
    for (const struct json *g = json_first(json_get(spec, "groups")); g; g = json_next(g))
        user_add_group(&u, json_string(g));
    if (!u.name.n && !u.ngroups)
        return kr_fail(&c->e, KR_INVALID, "spec.user: Invalid value: \"\": at least one of user or group must be specified");
    return access_review(c, object, &u);
}

static int rules_review(struct api_call *c, struct json *object)
{
    struct str ns = text_at(json_get(object, "spec"), "namespace");
    AUTO_BUF struct buf b = { .max = LIMIT_API_BODY };
    if (!ns.n)
        return kr_fail(&c->e, KR_BAD_REQUEST, "no namespace on request");
    jw_begin(&b, '{');
    if (c->api->authz)
        authz_print_rules(c->api->authz, asker(c), ns, &b);
    jw_end(&b, '}');
    answer(c, object, buf_view(&b));
    return 0;
}

/* ---- who is it --------------------------------------------------------------------------------------------------- */

static int self_review(struct api_call *c, struct json *object)
{
    AUTO_BUF struct buf b = { .max = 65536 };
    jw_begin(&b, '{');
    print_user(&b, "userInfo", asker(c));
    jw_end(&b, '}');
    answer(c, object, buf_view(&b));
    return 0;
}

/* Who names no audience means the API server's own. */
static bool asks_for(const struct json *wanted, struct str audiences)
{
    for (const struct json *m = json_first(wanted); m; m = json_next(m)) {
        AUTO_BUF struct buf quoted = { .max = 4096 };
        jw_str(&quoted, json_string(m));
        if (str_find(audiences, buf_view(&quoted)) >= 0)
            return true;
    }
    return !json_len(wanted) && str_find(audiences, S("\"" AUTHN_ISSUER "\"")) >= 0;
}

static int token_review(struct api_call *c, struct json *object)
{
    struct json *spec = json_get(object, "spec");
    struct api_user u;
    struct str audiences;
    struct kr_err e = { 0 };
    AUTO_BUF struct buf b = { .max = 65536 };
    bool known = c->api->authn && authn_token(c->api->authn, text_at(spec, "token"), &c->arena, &u, &audiences, &e) == 0 &&
                 asks_for(json_get(spec, "audiences"), audiences);
    jw_begin(&b, '{');
    if (known) {
        jw_kbool(&b, "authenticated", true);
        print_user(&b, "user", &u);
        jw_kraw(&b, "audiences", audiences);
    } else {
        jw_kstr(&b, "error", S("invalid bearer token"));
    }
    jw_end(&b, '}');
    answer(c, object, buf_view(&b));
    return 0;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static struct str uid_at(struct api_call *c, const char *plural, struct str name)
{
    static const char *const path[] = { "metadata", "uid" };
    struct store_value v;
    if (store_get(c->api->store, arena_fmt(&c->arena, "%s./%.*s/%.*s", plural, SFMT(c->path.ns), SFMT(name)), &v, &c->e) <= 0)
        return S("");
    return arena_str(&c->arena, json_str_of(json_find_path(v.json, path, 2), &c->arena));
}

static int bind_to_pod(struct api_call *c, const struct json *ref, struct token_request *q)
{
    if (!ref)
        return 0;
    if (!str_is(text_at(ref, "kind"), "Pod"))
        return kr_fail(&c->e, KR_INVALID, "spec.boundObjectRef.kind: a token can be bound to a Pod only");
    q->pod = text_at(ref, "name");
    q->pod_uid = uid_at(c, "pods", q->pod);
    struct str said = text_at(ref, "uid");
    if (!q->pod_uid.n)
        return kr_fail(&c->e, KR_NOT_FOUND, "pods \"%.*s\" not found", SFMT(q->pod));
    if (said.n && !str_eq(said, q->pod_uid))
        return kr_fail(&c->e, KR_CONFLICT, "Operation cannot be fulfilled on pods \"%.*s\": the UID in the bound object reference (%.*s) does not match the UID in "
                                           "record. The object might have been deleted and then recreated", SFMT(q->pod), SFMT(said));
    return 0;
}

static int token_request(struct api_call *c, struct json *object)
{
    struct json *spec = json_ensure_object(&c->arena, object, "spec");
    int64_t seconds = TOKEN_DEFAULT_S;
    char when[TIME_TEXT];
    AUTO_BUF struct buf audiences = { .max = 65536 }, b = { .max = 65536 };
    struct token_request q = { .ns = c->path.ns, .name = c->path.name, .uid = uid_at(c, "serviceaccounts", c->path.name) };
    if (!q.uid.n)
        return api_fail_not_found(c, c->path.name);
    json_int(json_get(spec, "expirationSeconds"), &seconds);
    if (seconds < TOKEN_MIN_S || seconds > TOKEN_MAX_S)
        return kr_fail(&c->e, KR_INVALID, "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: %lld: may not specify a "
                                          "duration less than 10 minutes or more than a year", (long long)seconds);
    if (bind_to_pod(c, json_get(spec, "boundObjectRef"), &q) < 0)
        return -1;
    if (json_len(json_get(spec, "audiences")))
        json_print(&audiences, json_get(spec, "audiences"));
    else
        buf_lit(&audiences, "[\"" AUTHN_ISSUER "\"]");
    q.audiences = buf_view(&audiences);
    q.expires_wall_us = loop_wall_us(c->api->loop) + seconds * 1000000;
    time_print(when, q.expires_wall_us);
    json_set(&c->arena, spec, S("expirationSeconds"), json_new_int(&c->arena, seconds));
    jw_begin(&b, '{');
    jw_kstr(&b, "token", authn_issue(c->api->authn, &q, &c->arena));
    jw_kstr(&b, "expirationTimestamp", str_of(when));
    jw_end(&b, '}');
    answer(c, object, buf_view(&b));
    return 0;
}

int api_review(struct api_call *c)
{
    struct json *object;
    const char *what = c->path.r->plural;
    if (api_parse_body(c, &object) < 0)
        return -1;
    if (!json_is(object, JSON_OBJECT))
        return kr_fail(&c->e, KR_BAD_REQUEST, "the body must be an object");
    if (str_is(c->path.sub, "token"))
        return c->api->authn ? token_request(c, object) : kr_fail(&c->e, KR_UNSUPPORTED, "tokens are not offered here");
    if (json_get(object, "kind") && meta_check_kind(c, object) < 0)
        return -1;
    if (!strcmp(what, "selfsubjectaccessreviews"))
        return access_review(c, object, asker(c));
    if (!strcmp(what, "selfsubjectrulesreviews"))
        return rules_review(c, object);
    if (!strcmp(what, "selfsubjectreviews"))
        return self_review(c, object);
    if (!strcmp(what, "tokenreviews"))
        return token_review(c, object);
    return review_of_user(c, object);
}
