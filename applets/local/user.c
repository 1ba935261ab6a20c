/* SPDX-License-Identifier: Apache-2.0 */
/*
 * user: a user is a Secret in kube-system (name, groups, digest of the token: no token is kept), a binding to a ClusterRole,
 * and a kubeconfig that is written once. With --certificate there is no token but a client certificate of the instance's
 * CA, which holds until it expires, whatever is deleted: as on a cluster. Tests: tests/local/users.py
 */
#include "applets/local/user.h"
#include "applets/local/session.h"
#include "core/base64.h"
#include "core/digest.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/tls.h"
#include "core/uri.h"
#include "core/clock.h"
#include <stdio.h>
#include <unistd.h>

#define LABEL "kruntimes.io/user"
#define SECRETS "/api/v1/namespaces/kube-system/secrets"
#define RBAC "/apis/rbac.authorization.k8s.io/v1"

static struct { struct opt_list groups; struct str role, ns, out; int64_t expires_us; bool certificate; } o;
static const struct opt add_opts[] = {
    { "group", 0, OPT_LIST, &o.groups, "GROUP", "a group the user is in (repeatable)" },
    { "role", 0, OPT_STR, &o.role, "ROLE", "what they may do: viewer, submitter, runtime-admin, or any ClusterRole (admin, edit, view …)" },
    { "namespace", 'n', OPT_STR, &o.ns, "NS", "only in this namespace" },
    { "certificate", 0, OPT_FLAG, &o.certificate, NULL, "a client certificate instead of a token" },
    { "expires", 0, OPT_DURATION, &o.expires_us, "TIME", "when the token or certificate ends (default: a token never, a certificate after a year)", .lo = 60000000,
      .hi = INT64_C(315360000000000) },
    { "output", 'o', OPT_STR, &o.out, "FILE", "where the kubeconfig goes (default: users/NAME.kubeconfig in the instance's folder)" },
    { 0 } };

/* ---- what is made ------------------------------------------------------------------------------------------------ */

struct new_user { struct str name, id, role; char token[65]; struct tls_pair pair; struct arena arena; };

static int check_name(struct str name, struct kr_err *e)
{
    bool ok = name.n > 0 && name.n <= 63;
    for (size_t i = 0; ok && i < name.n; i++)
        ok = (name.p[i] >= 'a' && name.p[i] <= 'z') || (name.p[i] >= 'A' && name.p[i] <= 'Z') || (name.p[i] >= '0' && name.p[i] <= '9') || strchr("-_.@", name.p[i]);
    return ok ? 0 : kr_fail(e, KR_USAGE, "\"%.*s\" is no name for a user: 1 to 63 letters, digits, - _ . @", SFMT(name));
}

/* Objects of a user are called by a digest of the name, which may hold what an object's name may not. */
static struct str id_of(struct str name, struct arena *a)
{
    char digest[DIGEST_TEXT];
    digest_sha256_text(name, digest);
    return arena_fmt(a, "user-%.16s", digest);
}

static struct str role_of(struct str said, struct arena *a)
{
    static const char *const ours[] = { "viewer", "submitter", "runtime-admin" };
    for (size_t i = 0; i < LEN(ours); i++)
        if (str_is(said, ours[i]))
            return arena_fmt(a, "kruntimes-%s", ours[i]);
    return said;
}

static struct str groups_text(struct arena *a)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    for (size_t i = 0; i < o.groups.n; i++)
        buf_fmt(&b, "%s%.*s", i ? "," : "", SFMT(o.groups.v[i]));
    return arena_str(a, buf_view(&b));
}

static int make_secret(struct session *s, struct new_user *u, int64_t now_us)
{
    char digest[DIGEST_TEXT], when[TIME_TEXT] = "";
    AUTO_BUF struct buf b = { .max = 65536 };
    digest_sha256_text(str_of(u->token), digest);
    if (o.expires_us)
        time_print(when, now_us + o.expires_us);
    jw_begin(&b, '{');
    jw_kstr(&b, "apiVersion", S("v1"));
    jw_kstr(&b, "kind", S("Secret"));
    jw_kstr(&b, "type", S("kruntimes.io/user"));
    jw_kbegin(&b, "metadata", '{');
    jw_kstr(&b, "name", u->id);
    jw_kbegin(&b, "labels", '{');
    jw_kstr(&b, LABEL, u->id);
    jw_end(&b, '}');
    jw_end(&b, '}');
    jw_kbegin(&b, "data", '{');
    jw_kstr(&b, "name", base64_encode(&u->arena, BASE64_STD, u->name));
    jw_kstr(&b, "groups", base64_encode(&u->arena, BASE64_STD, groups_text(&u->arena)));
    if (!o.certificate)
        jw_kstr(&b, "token-sha256", base64_encode(&u->arena, BASE64_STD, str_of(digest)));
    if (*when)
        jw_kstr(&b, "expires", base64_encode(&u->arena, BASE64_STD, str_of(when)));
    jw_end(&b, '}');
    jw_end(&b, '}');
    if (session_call(s, "POST", S(SECRETS), buf_view(&b)) == 0)
        return 0;
    return s->e->code == KR_EXISTS ? kr_fail(s->e, KR_EXISTS, "the user \"%.*s\" is there already", SFMT(u->name)) : -1;
}

static int make_binding(struct session *s, struct new_user *u)
{
    AUTO_BUF struct buf b = { .max = 65536 };
    struct str in_ns = arena_fmt(&u->arena, RBAC "/namespaces/%.*s/rolebindings", SFMT(o.ns));
    jw_begin(&b, '{');
    jw_kstr(&b, "apiVersion", S("rbac.authorization.k8s.io/v1"));
    jw_kstr(&b, "kind", o.ns.n ? S("RoleBinding") : S("ClusterRoleBinding"));
    jw_kbegin(&b, "metadata", '{');
    jw_kstr(&b, "name", u->id);
    jw_kbegin(&b, "labels", '{');
    jw_kstr(&b, LABEL, u->id);
    jw_end(&b, '}');
    jw_end(&b, '}');
    jw_kbegin(&b, "roleRef", '{');
    jw_kstr(&b, "apiGroup", S("rbac.authorization.k8s.io"));
    jw_kstr(&b, "kind", S("ClusterRole"));
    jw_kstr(&b, "name", u->role);
    jw_end(&b, '}');
    jw_kbegin(&b, "subjects", '[');
    jw_begin(&b, '{');
    jw_kstr(&b, "apiGroup", S("rbac.authorization.k8s.io"));
    jw_kstr(&b, "kind", S("User"));
    jw_kstr(&b, "name", u->name);
    jw_end(&b, '}');
    jw_end(&b, ']');
    jw_end(&b, '}');
    return session_call(s, "POST", o.ns.n ? in_ns : S(RBAC "/clusterrolebindings"), buf_view(&b));
}

static int make_certificate(const char *dir, struct new_user *u, int64_t now_us, struct kr_err *e)
{
    struct tls_pair ca = { .cert = { .max = 65536 }, .key = { .max = 65536 } };
    struct tls_request q = { .common_name = u->name, .organisations = o.groups.v, .norganisations = o.groups.n, .usage = TLS_FOR_CLIENT, .now_us = now_us,
                             .days = o.expires_us ? (int)((o.expires_us + INT64_C(86399999999)) / INT64_C(86400000000)) : 365 };
    int rc = fs_read(fs_join(&u->arena, dir, "ca.pem"), &ca.cert, e) < 0 || fs_read(fs_join(&u->arena, dir, "ca-key.pem"), &ca.key, e) < 0 ? -1
           : tls_issue(&u->pair, &ca, &q, e);
    tls_pair_free(&ca);
    return rc;
}

/* A YAML string whatever it looks like: as it is, 007 would be a number, and @ann nothing at all. */
static struct str quoted(struct arena *a, struct str text)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    jw_str(&b, text);
    return arena_str(a, buf_view(&b));
}

static int write_kubeconfig(struct session *s, struct new_user *u, const char *path, struct kr_err *e)
{
    AUTO_BUF struct buf b = { .max = 262144 }, ca = { .max = 65536 };
    struct arena *a = &u->arena;
    struct str name = quoted(a, u->name), ns = quoted(a, o.ns.n ? o.ns : S("default"));
    if (fs_read(fs_join(a, s->dir, "ca.pem"), &ca, e) < 0)
        return -1;
    buf_fmt(&b, "apiVersion: v1\nkind: Config\ncurrent-context: kruntimes-local\nclusters:\n- name: kruntimes-local\n  cluster:\n    server: %.*s\n", SFMT(s->config.server));
    buf_fmt(&b, "    certificate-authority-data: %.*s\nusers:\n- name: %.*s\n  user:\n", SFMT(base64_encode(a, BASE64_STD, buf_view(&ca))), SFMT(name));
    if (o.certificate)
        buf_fmt(&b, "    client-certificate-data: %.*s\n    client-key-data: %.*s\n", SFMT(base64_encode(a, BASE64_STD, buf_view(&u->pair.cert))),
                SFMT(base64_encode(a, BASE64_STD, buf_view(&u->pair.key))));
    else
        buf_fmt(&b, "    token: %s\n", u->token);
    buf_fmt(&b, "contexts:\n- name: kruntimes-local\n  context:\n    cluster: kruntimes-local\n    user: %.*s\n    namespace: %.*s\n", SFMT(name), SFMT(ns));
    int rc = fs_write(path, buf_view(&b), 0600, false, e);
    explicit_bzero(b.p, b.n);
    return rc;
}

/* ---- add --------------------------------------------------------------------------------------------------------- */

static int delete_user(struct session *s, struct str id, struct arena *a)
{
    static const char *const kinds[] = { RBAC "/clusterrolebindings", RBAC "/rolebindings" };
    AUTO_BUF struct buf found = { .max = 1 << 20 };
    if (session_call(s, "GET", arena_fmt(a, "%s?labelSelector=kruntimes.io%%2Fuser%%3D%.*s", kinds[1], SFMT(id)), S("")) < 0)
        return -1;
    buf_str(&found, buf_view(&s->answer));
    struct json *list = json_parse(a, buf_view(&found), s->e);
    for (const struct json *b = json_first(json_get(list, "items")); b; b = json_next(b)) {
        const struct json *meta = json_get(b, "metadata");
        if (session_call(s, "DELETE", arena_fmt(a, RBAC "/namespaces/%.*s/rolebindings/%.*s", SFMT(json_string(json_get(meta, "namespace"))),
                                        SFMT(json_string(json_get(meta, "name")))), S("")) < 0)
            return -1;
    }
    if (session_call(s, "DELETE", arena_fmt(a, "%s/%.*s", kinds[0], SFMT(id)), S("")) < 0 && s->e->code != KR_NOT_FOUND)
        return -1;
    return session_call(s, "DELETE", arena_fmt(a, SECRETS "/%.*s", SFMT(id)), S(""));
}

static int add_user(struct session *s, struct new_user *u, struct kr_err *e)
{
    unsigned char secret[32];
    int64_t now_us = clock_system.wall_us(&clock_system);
    char folder[4200];
    snprintf(folder, sizeof folder, "%s/users", s->dir);
    const char *path = o.out.n ? o.out.p : arena_z(&u->arena, arena_fmt(&u->arena, "%s/%.*s.kubeconfig", folder, SFMT(u->name)));
    if (!o.out.n && fs_make_dir(folder, 0700, e) < 0)
        return -1;
    if (fs_exists(path))
        return kr_fail(e, KR_EXISTS, "\"%s\" is there already: remove it, or name another file with -o", path);
    if (o.certificate && make_certificate(s->dir, u, now_us, e) < 0)
        return -1;
    rnd_secret(secret, sizeof secret);
    hex_put(u->token, secret, sizeof secret);
    explicit_bzero(secret, sizeof secret);
    if (u->role.n && session_call(s, "GET", arena_fmt(&u->arena, RBAC "/clusterroles/%.*s", SFMT(u->role)), S("")) < 0)
        return -1;
    if (make_secret(s, u, now_us) < 0)
        return -1;
    if ((u->role.n && make_binding(s, u) < 0) || write_kubeconfig(s, u, path, e) < 0) {
        struct kr_err why = *e;
        delete_user(s, u->id, &u->arena);         /* all or nothing */
        *e = why;
        return -1;
    }
    printf("user/%.*s added\nexport KUBECONFIG=%s\n", SFMT(u->name), path);
    return 0;
}

static int add(struct applet_call *c, struct kr_err *e)
{
    struct session s;
    struct new_user u = { .arena = { .limit = 4 << 20 }, .name = c->args[0] };
    if (check_name(u.name, e) < 0)
        return -1;
    if (o.ns.n && !o.role.n)
        return kr_fail(e, KR_USAGE, "--namespace says where --role holds: give that too");
    u.id = id_of(u.name, &u.arena);
    u.role = role_of(o.role, &u.arena);
    int rc = session_open(&s, e) < 0 ? -1 : add_user(&s, &u, e);
    session_close(&s);
    explicit_bzero(u.token, sizeof u.token);
    tls_pair_free(&u.pair);
    arena_reset(&u.arena);
    return rc;
}

/* ---- list, delete ------------------------------------------------------------------------------------------------ */

static struct str data_of(const struct json *secret, const char *key, struct arena *a)
{
    struct str out;
    struct kr_err e;
    struct str text = json_string(json_get(json_get(secret, "data"), key));
    return text.n && base64_decode(a, BASE64_STD, text, &out, &e) == 0 ? out : S("");
}

static int list(struct applet_call *c, struct kr_err *e)
{
    struct session s;
    AUTO_ARENA struct arena a = { .limit = 32 << 20 };
    (void)c;
    int rc = session_open(&s, e) < 0 ? -1 : session_call(&s, "GET", S(SECRETS "?fieldSelector=type%3Dkruntimes.io%2Fuser"), S(""));
    struct json *found = rc == 0 ? json_parse(&a, buf_view(&s.answer), e) : NULL;
    if (found)
        printf("%-24s %-12s %-32s %s\n", "NAME", "BY", "GROUPS", "EXPIRES");
    for (const struct json *x = json_first(json_get(found, "items")); x; x = json_next(x)) {
        struct str name = data_of(x, "name", &a), groups = data_of(x, "groups", &a), expires = data_of(x, "expires", &a);
        printf("%-24.*s %-12s %-32.*s %.*s\n", SFMT(name), data_of(x, "token-sha256", &a).n ? "token" : "certificate", SFMT(groups.n ? groups : S("<none>")),
               SFMT(expires.n ? expires : S("<none>")));
    }
    session_close(&s);
    return found ? 0 : -1;
}

static int delete(struct applet_call *c, struct kr_err *e)
{
    struct session s;
    AUTO_ARENA struct arena a = { .limit = 4 << 20 };
    int rc = session_open(&s, e) < 0 ? -1 : delete_user(&s, id_of(c->args[0], &a), &a);
    if (rc < 0 && e->code == KR_NOT_FOUND)
        kr_fail(e, KR_NOT_FOUND, "there is no user \"%.*s\" (\"kruntimes local user list\" names them)", SFMT(c->args[0]));
    if (rc == 0) {
        struct str file = arena_fmt(&a, "%s/users/%.*s.kubeconfig", s.dir, SFMT(c->args[0]));
        unlink(arena_z(&a, file));
        printf("user/%.*s deleted\n", SFMT(c->args[0]));
    }
    session_close(&s);
    return rc;
}

static const struct opt *const shared[] = { local_dir_opts, log_opts, NULL };
static const struct applet verb_add = {
    .name = "add", .brief = "make a user and their kubeconfig", .args = "NAME", .min_args = 1, .max_args = 1,
    .help = "Without --role the user may only see what is served. The token is in the kubeconfig and nowhere else.",
    .examples = "local user add ann --role submitter -n default\nlocal user add ops --role admin --group ops --certificate --expires 720h", .opts = add_opts, .shared = shared, .main = add };
static const struct applet verb_list = { .name = "list", .brief = "users that were added", .shared = shared, .main = list };
static const struct applet verb_delete = { .name = "delete", .brief = "take a user's token and role away", .args = "NAME", .min_args = 1, .max_args = 1, .shared = shared, .main = delete };
const struct applet local_user_applet = { .name = "user", .brief = "people beside the admin: add, list, delete",
                                          .verbs = (const struct applet *const[]){ &verb_add, &verb_list, &verb_delete, NULL } };
