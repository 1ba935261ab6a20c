/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authn: tokens of users are looked up by their digest, so a look-up's time tells nothing of a token. Those of service
 * accounts are JWTs (RFC 7519) signed with HS256: only this server reads them. Tests: tests/local/users.py
 */
#include "applets/apiserver/authn.h"
#include "core/base64.h"
#include "core/map.h"
#include <stdio.h>


struct known_user { char digest[DIGEST_TEXT]; char *key, *name, *groups; int64_t expires_us; };
struct authn {
    struct store *store;
    struct loop *loop;
    char admin[DIGEST_TEXT], components[COMPONENTS][DIGEST_TEXT];
    char *key; size_t key_n;
    struct map by_digest, by_secret;              /* struct known_user, by token digest and by store key */
    struct watch_observer observer;
    struct watches *watches;
};

/* ---- users ------------------------------------------------------------------------------------------------------- */

bool user_in_group(const struct api_user *u, struct str group)
{
    for (size_t i = 0; i < u->ngroups; i++)
        if (str_eq(u->groups[i], group))
            return true;
    return false;
}

void user_add_group(struct api_user *u, struct str group)
{
    if (u->ngroups == LEN(u->groups) || user_in_group(u, group))
        return;
    u->groups[u->ngroups++] = group;
    u->masters |= str_is(group, "system:masters");
}

static void set_groups(struct api_user *u, struct str comma_separated, struct arena *a)
{
    while (comma_separated.n) {
        struct str g = str_trim(str_cut(&comma_separated, ','));
        if (g.n)
            user_add_group(u, arena_str(a, g));
    }
    user_add_group(u, S("system:authenticated"));
}

static void forget(struct authn *n, struct str key)
{
    struct known_user *u = map_del(&n->by_secret, key);
    if (!u)
        return;
    map_del(&n->by_digest, str_of(u->digest));
    free(u->key);
    free(u->name);
    free(u->groups);
    free(u);
}

/* A value of a Secret's data, decoded. */
static struct str secret_value(const struct json *secret, const char *key, struct arena *a)
{
    struct kr_err e;
    struct str out;
    struct str text = json_string(json_get(json_get(secret, "data"), key));
    if (!text.n || base64_decode(a, BASE64_STD, text, &out, &e) < 0)
        return json_string(json_get(json_get(secret, "stringData"), key));
    return out;
}

static void note_secret(struct authn *n, struct str key, struct str json)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct kr_err e;
    forget(n, key);
    if (str_find(json, S(AUTHN_USER_SECRET)) < 0)
        return;
    struct json *s = json_parse(&a, json, &e);
    struct str digest = secret_value(s, "token-sha256", &a), name = secret_value(s, "name", &a), expires = secret_value(s, "expires", &a);
    if (!str_is(json_string(json_get(s, "type")), AUTHN_USER_SECRET) || digest.n != DIGEST_TEXT - 1 || !name.n || map_get(&n->by_digest, digest))
        return;
    struct str groups = secret_value(s, "groups", &a);
    struct known_user *u = xcalloc(1, sizeof *u);
    memcpy(u->digest, digest.p, digest.n);
    u->key = xstrndup(key.p, key.n);
    u->name = xstrndup(name.p, name.n);
    u->groups = xstrndup(groups.p ? groups.p : "", groups.n);
    if (!expires.n || !time_parse(expires, &u->expires_us))
        u->expires_us = expires.n ? 1 : INT64_MAX;          /* a moment that can't be read is over */
    map_put(&n->by_digest, str_of(u->digest), u);
    map_put(&n->by_secret, str_of(u->key), u);
}

static bool is_user_secret(const struct version *v) { return !strcmp(v->r->plural, "secrets") && str_is(v->ns, "kube-system"); }

static void committed(void *ctx, const struct version *now, const struct version *before)
{
    struct authn *n = ctx;
    const struct version *v = now ? now : before;
    if (!is_user_secret(v))
        return;
    AUTO_ARENA struct arena a = { .limit = 4096 };
    struct str key = resource_key(v->r, v->ns, v->name, &a);
    if (now)
        note_secret(n, key, now->json);
    else
        forget(n, key);
}

static int read_users(struct authn *n, struct kr_err *e)
{
    struct store_scan s;
    int rc;
    store_scan_begin(n->store, &s, S("secrets./kube-system/"), S(""));
    while ((rc = store_scan_next(&s, e)) > 0 || s.damaged)
        if (rc > 0)
            note_secret(n, s.at.key, s.at.json);
    store_scan_end(&s);
    return rc;
}

static void lost(void *ctx)
{
    struct kr_err e;
    read_users(ctx, &e);
}

#define ACCOUNT(name) { name, "kruntimes-" name, "system:serviceaccount:kruntimes-system:kruntimes-" name }
const struct component_account component_accounts[COMPONENTS] = { ACCOUNT("controller"), ACCOUNT("scheduler") };

void authn_component_token(struct str key, const char *name, char out[DIGEST_TEXT])
{
    unsigned char bytes[DIGEST_BYTES];
    AUTO_BUF struct buf text = { .max = 128 };
    buf_fmt(&text, "component %s", name);
    digest_hmac(key, buf_view(&text), bytes);
    digest_hex(bytes, out);
    explicit_bzero(bytes, sizeof bytes);
    explicit_bzero(text.p, text.n);
}

/* The token's digest is kept, as of users' tokens. */
static void note_components(struct authn *n)
{
    char token[DIGEST_TEXT];
    for (size_t i = 0; i < COMPONENTS; i++) {
        authn_component_token((struct str){ n->key, n->key_n }, component_accounts[i].name, token);
        digest_sha256_text(str_of(token), n->components[i]);
    }
    explicit_bzero(token, sizeof token);
}

struct authn *authn_new(struct store *store, struct watches *w, struct loop *loop, struct str admin_token, struct str key, struct kr_err *e)
{
    struct authn *n = xcalloc(1, sizeof *n);
    *n = (struct authn){ .store = store, .loop = loop, .watches = w, .key = xstrndup(key.p, key.n), .key_n = key.n,
                         .observer = { .committed = committed, .lost = lost, .ctx = n } };
    digest_sha256_text(admin_token, n->admin);
    note_components(n);
    if (read_users(n, e) < 0) {
        authn_free(n);
        return NULL;
    }
    watch_observe(w, &n->observer);
    return n;
}

void authn_free(struct authn *n)
{
    struct known_user *u;
    if (!n)
        return;
    for (size_t i = 0; (u = map_next(&n->by_secret, &i));)
        forget(n, str_of(u->key));
    map_free(&n->by_secret);
    map_free(&n->by_digest);
    explicit_bzero(n->key, n->key_n);
    free(n->key);
    free(n);
}

/* ---- tokens of service accounts ---------------------------------------------------------------------------------- */

static struct str sign(struct authn *n, struct str text, struct arena *a)
{
    unsigned char mac[DIGEST_BYTES];
    digest_hmac((struct str){ n->key, n->key_n }, text, mac);
    return base64_encode(a, BASE64_URL, (struct str){ (const char *)mac, sizeof mac });
}

struct str authn_issue(struct authn *n, const struct token_request *q, struct arena *a)
{
    AUTO_BUF struct buf b = { .max = 65536 };
    int64_t now_s = loop_wall_us(n->loop) / 1000000;
    jw_begin(&b, '{');
    jw_kraw(&b, "aud", q->audiences);
    jw_kint(&b, "exp", q->expires_wall_us / 1000000);
    jw_kint(&b, "iat", now_s);
    jw_kstr(&b, "iss", S(AUTHN_ISSUER));
    jw_kbegin(&b, "kubernetes.io", '{');
    jw_kstr(&b, "namespace", q->ns);
    if (q->pod.n) {
        jw_kbegin(&b, "pod", '{');
        jw_kstr(&b, "name", q->pod);
        jw_kstr(&b, "uid", q->pod_uid);
        jw_end(&b, '}');
    }
    jw_kbegin(&b, "serviceaccount", '{');
    jw_kstr(&b, "name", q->name);
    jw_kstr(&b, "uid", q->uid);
    jw_end(&b, '}');
    jw_end(&b, '}');
    jw_kint(&b, "nbf", now_s);
    jw_kstr(&b, "sub", arena_fmt(a, "system:serviceaccount:%.*s:%.*s", SFMT(q->ns), SFMT(q->name)));
    jw_end(&b, '}');
    struct str head = base64_encode(a, BASE64_URL, S("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"));
    struct str text = arena_fmt(a, "%.*s.%.*s", SFMT(head), SFMT(base64_encode(a, BASE64_URL, buf_view(&b))));
    return arena_fmt(a, "%.*s.%.*s", SFMT(text), SFMT(sign(n, text, a)));
}

/* Is the object that the token is bound to still the same? */
static bool is_there(struct authn *n, const char *plural, struct str ns, struct str name, struct str uid, struct arena *a)
{
    static const char *const path[] = { "metadata", "uid" };
    struct store_value v;
    struct kr_err e;
    return store_get(n->store, arena_fmt(a, "%s./%.*s/%.*s", plural, SFMT(ns), SFMT(name)), &v, &e) > 0 &&
           str_eq(json_str_of(json_find_path(v.json, path, 2), a), uid);
}

void user_add_account_groups(struct api_user *u, struct str ns, struct arena *a)
{
    user_add_group(u, S("system:serviceaccounts"));
    user_add_group(u, arena_fmt(a, "system:serviceaccounts:%.*s", SFMT(ns)));
}

static int read_account(struct authn *n, const struct json *claims, struct arena *a, struct api_user *u)
{
    const struct json *k = json_get(claims, "kubernetes.io"), *account = json_get(k, "serviceaccount"), *pod = json_get(k, "pod");
    struct str ns = json_string(json_get(k, "namespace")), name = json_string(json_get(account, "name"));
    int64_t expires = 0;
    json_int(json_get(claims, "exp"), &expires);
    if (expires <= loop_wall_us(n->loop) / 1000000 || !is_there(n, "serviceaccounts", ns, name, json_string(json_get(account, "uid")), a))
        return -1;
    *u = (struct api_user){ .name = arena_fmt(a, "system:serviceaccount:%.*s:%.*s", SFMT(ns), SFMT(name)), .uid = json_string(json_get(account, "uid")) };
    if (pod) {
        u->extra_pod = json_string(json_get(pod, "name"));
        u->extra_pod_uid = json_string(json_get(pod, "uid"));
        if (!is_there(n, "pods", ns, u->extra_pod, u->extra_pod_uid, a))
            return -1;
    }
    user_add_account_groups(u, ns, a);
    user_add_group(u, S("system:authenticated"));
    return 0;
}

static int account_token(struct authn *n, struct str token, struct arena *a, struct api_user *u, struct str *audiences)
{
    struct kr_err e;
    struct str claims, rest = token, head = str_cut(&rest, '.'), body = str_cut(&rest, '.');
    struct str text = { token.p, head.n + 1 + body.n };
    if (!head.n || !body.n || !rest.n || !digest_same(sign(n, text, a), rest) || base64_decode(a, BASE64_URL, body, &claims, &e) < 0)
        return -1;
    struct json *j = json_parse(a, claims, &e);
    if (!j || !str_is(json_string(json_get(j, "iss")), AUTHN_ISSUER))
        return -1;
    AUTO_BUF struct buf list = { .max = 65536 };
    json_print(&list, json_get(j, "aud"));
    *audiences = arena_str(a, buf_view(&list));
    return read_account(n, j, a, u);
}

/* ---- who --------------------------------------------------------------------------------------------------------- */

int authn_token(struct authn *n, struct str token, struct arena *a, struct api_user *ret, struct str *audiences, struct kr_err *e)
{
    char digest[DIGEST_TEXT];
    digest_sha256_text(token, digest);
    *audiences = S("[\"" AUTHN_ISSUER "\"]");
    if (digest_same(str_of(digest), str_of(n->admin))) {
        *ret = (struct api_user){ .name = S("kruntimes-admin") };
        set_groups(ret, S("system:masters"), a);
        return 0;
    }
    for (size_t i = 0; i < COMPONENTS; i++)
        if (digest_same(str_of(digest), str_of(n->components[i]))) {
            *ret = (struct api_user){ .name = str_of(component_accounts[i].user) };
            set_groups(ret, S("system:serviceaccounts,system:serviceaccounts:kruntimes-system"), a);
            return 0;
        }
    struct known_user *u = map_get(&n->by_digest, str_of(digest));
    if (u && u->expires_us > loop_wall_us(n->loop)) {
        *ret = (struct api_user){ .name = arena_str(a, str_of(u->name)) };
        set_groups(ret, str_of(u->groups), a);
        return 0;
    }
    if (!u && account_token(n, token, a, ret, audiences) == 0)
        return 0;
    return kr_fail(e, KR_UNAUTHORIZED, "Unauthorized");
}

int authn_user(struct authn *n, struct str authorization, const struct link *link, struct arena *a, struct api_user *ret, struct kr_err *e)
{
    struct str audiences;
    if (authorization.n) {
        if (!str_starts(authorization, S("Bearer ")))
            return kr_fail(e, KR_UNAUTHORIZED, "Unauthorized");
        if (authn_token(n, str_trim(str_from(authorization, 7)), a, ret, &audiences, e) < 0)
            return -1;
        /* A token that was made for somebody else is none for us. */
        return str_find(audiences, S("\"" AUTHN_ISSUER "\"")) >= 0 ? 0 : kr_fail(e, KR_UNAUTHORIZED, "Unauthorized");
    }
    struct str cn = link ? link_client_cn(link, a) : (struct str){ 0 };
    *ret = (struct api_user){ .name = cn.n ? cn : S("system:anonymous") };
    if (!cn.n) {
        user_add_group(ret, S("system:unauthenticated"));
        return 0;
    }
    set_groups(ret, link_client_groups(link, a), a);
    return 0;
}
