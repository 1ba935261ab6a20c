/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubeconfig: reads each file as JSON by the YAML room, then picks by name, the first file with the name has it: context →
 * cluster and user. Data members go before file members, as kubectl has it. Users are in kubeconfig_user.c. What would be
 * needed and isn't offered is an error that names it. Tested in tests/unit/k8s/kubeconfig.c.
 */
#include "core/base64.h"
#include "core/fs.h"
#include "core/proxy.h"
#include "core/uri.h"
#include "core/yaml.h"
#include "k8s/kubeconfig_private.h"
#include <stdio.h>

#define ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount/"
#define BUDGET (4 * (size_t)LIMIT_FILE_INPUT)

/* ---- picking ----------------------------------------------------------------------------------------------------- */

struct str kube_text(struct str object, const char *key, struct arena *a)
{
    struct str raw = object.p ? json_find(object, key) : (struct str){ 0 };
    struct str v = raw.p ? json_str_of(raw, a) : raw;
    return v.p ? v : S("");
}

/* The member `what` of the entry of that name in the list `key`: clusters[name=x].cluster. */
static struct str named_in(struct str root, const char *key, struct str name, const char *what, struct arena *a)
{
    struct str list = json_find(root, key);
    struct json_cur cur = json_begin(list);
    if (!list.p || json_kind(&cur) != JSON_ARRAY)
        return (struct str){ 0 };
    json_enter(&cur);
    while (json_item(&cur)) {
        struct str item = json_raw(&cur);
        if (str_eq(kube_text(item, "name", a), name))
            return json_find(item, what);
    }
    return (struct str){ 0 };
}

static struct str named(struct kube_reading *r, const char *key, struct str name, const char *what)
{
    for (size_t i = 0; i < r->nfiles; i++) {
        struct str found = named_in(r->files[i].root, key, name, what, r->a);
        if (!found.p)
            continue;
        r->path = r->files[i].path;
        return found;
    }
    r->path = r->files[0].path;
    return (struct str){ 0 };
}

struct str kube_beside(struct kube_reading *r, struct str name)
{
    const char *slash = r->path ? strrchr(r->path, '/') : NULL;
    if (!name.n || name.p[0] == '/' || !slash)
        return name;
    return arena_fmt(r->a, "%.*s/%.*s", (int)(slash - r->path), r->path, SFMT(name));
}

int kube_data_or_file(struct kube_reading *r, struct str object, const char *key, struct str *ret, struct str *file, struct kr_err *e)
{
    char with_data[64];
    AUTO_BUF struct buf b = { .max = LIMIT_FILE_INPUT };
    snprintf(with_data, sizeof with_data, "%s-data", key);
    struct str data = kube_text(object, with_data, r->a), name = kube_beside(r, kube_text(object, key, r->a));
    if (data.n) {
        if (base64_decode(r->a, BASE64_STD, data, ret, e) < 0)
            return kr_wrap(e, "%s: %s", r->path, with_data);
        return 0;
    }
    if (!name.n)
        return 0;
    char *path = arena_z(r->a, name);
    if (!path)
        return kr_fail(e, KR_INVALID, "%s: \"%.*s\" is no file name", r->path, SFMT(name));
    if (fs_read(path, &b, e) < 0)
        return kr_wrap(e, "%s", r->path);
    *ret = arena_str(r->a, buf_view(&b));
    if (file)
        *file = name;
    return 0;
}

/* ---- the server -------------------------------------------------------------------------------------------------- */

static int set_server(struct kube_config *c, const char *from, struct kr_err *e)
{
    struct uri_url u;
    if (uri_parse_url(c->server, &u, e) < 0)
        return kr_wrap(e, "%s: server \"%.*s\"", from, SFMT(c->server));
    c->host = arena_str(&c->arena, u.host);
    c->port = u.port;
    c->tls = u.https;
    while (u.path.n && u.path.p[u.path.n - 1] == '/')
        u.path.n--;
    c->path = arena_str(&c->arena, u.path);
    return 0;
}

static int check_proxy(const struct kube_config *c, const char *from, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 16384 };
    struct proxy p;
    return !c->proxy.n || proxy_parse(&p, c->proxy, &a, e) == 0 ? 0 : kr_wrap(e, "%s", from);
}

/* What neither files nor flags say the environment does, for the server that is the one in the end. */
static int ask_environment(struct kube_config *c, struct kr_err *e)
{
    if (c->proxy.n || !c->host.n)
        return 0;
    c->proxy = arena_str(&c->arena, proxy_from_env(c->tls, c->host, c->port));
    return check_proxy(c, "the proxy of the environment", e);
}

static int read_cluster(struct kube_reading *r, struct str cluster, struct kr_err *e)
{
    struct kube_config *c = r->c;
    c->server = kube_text(cluster, "server", r->a);
    c->server_name = kube_text(cluster, "tls-server-name", r->a);
    c->insecure = str_is(json_find(cluster, "insecure-skip-tls-verify"), "true");
    c->proxy = kube_text(cluster, "proxy-url", r->a);
    if (!c->server.n)
        return kr_fail(e, KR_INVALID, "%s: the cluster has no server", r->path);
    return set_server(c, r->path, e) < 0 || check_proxy(c, r->path, e) < 0 ||
                   kube_data_or_file(r, cluster, "certificate-authority", &c->ca, &c->ca_file, e) < 0
               ? -1
               : 0;
}

/* ---- contexts ---------------------------------------------------------------------------------------------------- */

/* Refuses a name that no file has; tells those there are. */
static int no_such(struct kube_reading *r, const char *list, const char *what, struct str name, struct kr_err *e)
{
    AUTO_BUF struct buf there = { .max = 240 };
    for (size_t i = 0; i < r->nfiles; i++) {
        struct str all = json_find(r->files[i].root, list);
        struct json_cur c = all.p ? json_begin(all) : (struct json_cur){ 0 };
        if (!all.p || json_kind(&c) != JSON_ARRAY)
            continue;
        for (json_enter(&c); json_item(&c);) {
            struct str one = kube_text(json_raw(&c), "name", r->a);
            buf_fmt(&there, "%s\"%.*s\"", there.n ? ", " : "", SFMT(one));
        }
    }
    if (!there.n)
        return kr_fail(e, KR_NOT_FOUND, "%s: there is no %s \"%.*s\", nor any other", r->files[0].path, what, SFMT(name));
    return kr_fail(e, KR_NOT_FOUND, "%s: there is no %s \"%.*s\": there %s%.*s%s", r->files[0].path, what, SFMT(name), there.failed ? "are many: " : "is ",
                   SFMT(buf_view(&there)), there.failed ? " and others" : "");
}

/* The context's cluster, user and namespace, unless the flags name others. */
static int pick(struct kube_reading *r, const struct kube_flags *f, struct str *cluster, struct str *user, struct kr_err *e)
{
    struct kube_config *c = r->c;
    for (size_t i = 0; !c->context.n && i < r->nfiles; i++)
        c->context = kube_text(r->files[i].root, "current-context", r->a);
    if (c->context.n) {
        struct str ctx = named(r, "contexts", c->context, "context");
        if (!ctx.p)
            return no_such(r, "contexts", "context", c->context, e);
        *cluster = kube_text(ctx, "cluster", r->a);
        *user = kube_text(ctx, "user", r->a);
        c->ns = kube_text(ctx, "namespace", r->a);
    } else if (!f->cluster.n && !f->server.n) {
        return kr_fail(e, KR_INVALID, "%s: it has no current-context: name one with --context", r->files[0].path);
    }
    if (f->cluster.n)
        *cluster = f->cluster;
    if (f->user.n)
        *user = f->user;
    return 0;
}

static int read_config(struct kube_reading *r, const struct kube_flags *f, struct kr_err *e)
{
    struct str cluster_name = { 0 }, user_name = { 0 };
    r->c->context = arena_str(r->a, f->context);
    if (pick(r, f, &cluster_name, &user_name, e) < 0)
        return -1;
    struct str cluster = cluster_name.n ? named(r, "clusters", cluster_name, "cluster") : (struct str){ 0 };
    if (cluster.p && read_cluster(r, cluster, e) < 0)
        return -1;
    if (!cluster_name.n && !f->server.n)
        return kr_fail(e, KR_INVALID, "the context \"%.*s\" names no cluster; choose one with --cluster, or --server", SFMT(r->c->context));
    if (!cluster.p && cluster_name.n)
        return no_such(r, "clusters", "cluster", cluster_name, e);
    struct str user = user_name.n ? named(r, "users", user_name, "user") : (struct str){ 0 };
    if (user_name.n && !user.p)
        return no_such(r, "users", "user", user_name, e);
    return user.p && !f->token.n ? kube_read_user(r, user, cluster, e) : 0;
}

/* ---- flags ------------------------------------------------------------------------------------------------------- */

static int apply_identity(struct kube_config *c, const struct kube_flags *f, struct kr_err *e)
{
    if (f->token.n) {
        c->token = arena_str(&c->arena, f->token);
        c->token_file = S("");                    /* else it would be read over the token that was asked for */
    }
    if (f->as.n || f->as_uid.n || f->as_groups.n) {
        c->as = arena_str(&c->arena, f->as);
        c->as_uid = arena_str(&c->arena, f->as_uid);
        struct str *groups = arena_alloc(&c->arena, (f->as_groups.n + 1) * sizeof *groups);
        for (size_t i = 0; groups && i < f->as_groups.n; i++)
            groups[i] = arena_str(&c->arena, f->as_groups.v[i]);
        c->as_groups = groups;
        c->nas_groups = groups ? f->as_groups.n : 0;
        c->as_extra = NULL;
        c->nas_extra = 0;
    }
    if (!c->as.n && (c->as_uid.n || c->nas_groups || c->nas_extra))
        return kr_fail(e, KR_USAGE, "a group or UID to act as needs a user to act as (--as)");
    return 0;
}

static int apply_flags(struct kube_config *c, const struct kube_flags *f, struct kr_err *e)
{
    struct kube_reading r = { .c = c, .a = &c->arena };
    AUTO_BUF struct buf b = { .max = LIMIT_FILE_INPUT };
    if (f->server.n) {
        c->server = arena_str(r.a, f->server);
        if (set_server(c, "--server", e) < 0)
            return -1;
    }
    if (f->server_name.n)
        c->server_name = arena_str(r.a, f->server_name);
    if (f->proxy.n) {
        c->proxy = arena_str(r.a, f->proxy);
        if (check_proxy(c, "--proxy-url", e) < 0)
            return -1;
    }
    if (ask_environment(c, e) < 0)
        return -1;
    if (f->ca_file.n) {
        if (fs_read(f->ca_file.p, &b, e) < 0)
            return kr_wrap(e, "--certificate-authority");
        c->ca = arena_str(r.a, buf_view(&b));
        c->ca_file = arena_str(r.a, f->ca_file);
    }
    c->insecure |= f->insecure;
    if (f->timeout_us)
        c->timeout_us = f->timeout_us;
    return apply_identity(c, f, e);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int add_file(struct kube_reading *r, const char *path, struct kr_err *e)
{
    AUTO_BUF struct buf file = { .max = LIMIT_FILE_INPUT };
    AUTO_ARENA struct arena scratch = { .limit = BUDGET };
    struct yaml_docs docs;
    if (r->nfiles == KUBE_FILES)
        return kr_fail(e, KR_TOO_LARGE, "\"%s\": more than %d kubeconfig files", path, KUBE_FILES);
    if (fs_read(path, &file, e) < 0)
        return -1;
    if (yaml_to_json(buf_view(&file), &scratch, &docs, e) < 0)
        return kr_wrap(e, "%s", path);
    if (!docs.n)
        return kr_fail(e, KR_INVALID, "%s: it is empty", path);
    r->files[r->nfiles++] = (struct kube_file){ arena_str(r->a, str_of(path)).p, arena_str(r->a, docs.docs[0].json) };
    return 0;
}

/* "a:b:c", of which some may not be there; a file whose name has a ':' in it is one file. */
static int add_list(struct kube_reading *r, struct str list, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    const char *whole = arena_z(&a, list);
    if (whole && (str_chr(list, ':') < 0 || fs_exists(whole)))
        return add_file(r, whole, e);
    for (struct str rest = list; rest.n;) {
        struct str name = str_cut(&rest, ':');
        const char *path = name.n ? arena_z(&a, name) : NULL;
        if (path && fs_exists(path) && add_file(r, path, e) < 0)
            return -1;
    }
    return r->nfiles ? 0 : kr_fail(e, KR_NOT_FOUND, "none of the kubeconfig files \"%.*s\" is there", SFMT(list));
}

static void begin(struct kube_config *c, struct kube_reading *r)
{
    *c = (struct kube_config){ .arena = { .limit = BUDGET } };
    *r = (struct kube_reading){ .c = c, .a = &c->arena };
}

/* From the files that were added; on failure c is empty. */
static int complete(struct kube_config *c, struct kube_reading *r, const struct kube_flags *f, int rc, struct kr_err *e)
{
    if (rc == 0 && r->nfiles) {
        c->source = str_of(r->files[0].path);
        rc = read_config(r, f, e);
    }
    if (rc == 0)
        rc = apply_flags(c, f, e);
    if (rc == 0 && !c->ns.n)
        c->ns = S("default");
    if (rc == 0 && c->arena.over)
        rc = kr_fail(e, KR_TOO_LARGE, "%.*s: it needs more than %zu bytes", SFMT(c->source), c->arena.limit);
    if (rc < 0)
        kube_config_free(c);
    return rc < 0 ? -1 : 0;
}

int kube_config_load(struct kube_config *c, const char *path, struct str context, struct kr_err *e)
{
    struct kube_reading r;
    begin(c, &r);
    return complete(c, &r, &(struct kube_flags){ .context = context }, add_file(&r, path, e), e);
}

int kube_config_in_cluster(struct kube_config *c, struct kr_err *e)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    AUTO_BUF struct buf token = { .max = LIMIT_TOKEN }, ca = { .max = LIMIT_FILE_INPUT }, ns = { .max = 256 };
    *c = (struct kube_config){ .arena = { .limit = BUDGET } };
    if (!host || !port || !*host || !*port)
        return kr_fail(e, KR_NOT_FOUND, "this is no container of a cluster: $KUBERNETES_SERVICE_HOST is not set");
    if (fs_read(ACCOUNT "token", &token, e) < 0 || fs_read(ACCOUNT "ca.crt", &ca, e) < 0)
        return kr_wrap(e, "the service account");
    struct kr_err ignored = { 0 };
    fs_read(ACCOUNT "namespace", &ns, &ignored);
    c->server = arena_fmt(&c->arena, strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
    c->token = arena_str(&c->arena, str_trim(buf_view(&token)));
    c->token_file = S(ACCOUNT "token");
    c->ca = arena_str(&c->arena, buf_view(&ca));
    c->ca_file = S(ACCOUNT "ca.crt");
    c->ns = ns.n ? arena_str(&c->arena, str_trim(buf_view(&ns))) : S("default");
    c->source = S("in-cluster");
    c->context = S("in-cluster");
    if (set_server(c, "in-cluster", e) == 0 && ask_environment(c, e) == 0)
        return 0;
    kube_config_free(c);
    return -1;
}

static int find_without_name(struct kube_config *c, struct kube_reading *r, const struct kube_flags *f, struct kr_err *e)
{
    const char *home = getenv("HOME");
    AUTO_ARENA struct arena a = { .limit = 16384 };
    if (!f->context.n && !f->cluster.n && !f->user.n && !f->server.n) {
        if (kube_config_in_cluster(c, e) == 0)
            return complete(c, r, f, 0, e);
        if (e->code != KR_NOT_FOUND)
            return -1;
        *e = (struct kr_err){ 0 };
        begin(c, r);
    }
    char *file = fs_join(&a, home ? home : "/", ".kube/config");
    if (fs_exists(file))
        return complete(c, r, f, add_file(r, file, e), e);
    if (f->server.n && !f->context.n && !f->cluster.n && !f->user.n) {
        c->source = S("--server");
        return complete(c, r, f, 0, e);
    }
    return kr_fail(e, KR_NOT_FOUND, "no kubeconfig: --kubeconfig and $KUBECONFIG are not given, this is no container of a cluster, and \"%s\" is not there",
                   file);
}

int kube_config_find(struct kube_config *c, const struct kube_flags *f, struct kr_err *e)
{
    const char *env = getenv("KUBECONFIG");
    struct kube_reading r;
    struct str list = f->kubeconfig.n ? f->kubeconfig : str_of(env);
    begin(c, &r);
    return list.n ? complete(c, &r, f, add_list(&r, list, e), e) : find_without_name(c, &r, f, e);
}

/* ---- copies ------------------------------------------------------------------------------------------------------ */

static const struct kube_pair *copy_pairs(struct arena *a, const struct kube_pair *from, size_t n)
{
    struct kube_pair *to = n ? arena_alloc(a, n * sizeof *to) : NULL;
    for (size_t i = 0; i < n; i++)
        to[i] = (struct kube_pair){ arena_str(a, from[i].name), arena_str(a, from[i].value) };
    return to;
}

static const struct str *copy_texts(struct arena *a, const struct str *from, size_t n)
{
    struct str *to = n ? arena_alloc(a, n * sizeof *to) : NULL;
    for (size_t i = 0; i < n; i++)
        to[i] = arena_str(a, from[i]);
    return to;
}

void kube_config_copy(struct kube_config *to, const struct kube_config *from)
{
    *to = *from;
    to->arena = (struct arena){ .limit = SIZE_MAX / 2 };             /* as much as `from` has, which was bounded */
    struct str *const texts[] = { &to->server, &to->host, &to->path, &to->server_name, &to->proxy, &to->ca, &to->cert, &to->key, &to->ca_file,
                                  &to->cert_file, &to->key_file, &to->token, &to->token_file, &to->username, &to->password, &to->exec.command,
                                  &to->exec.api_version, &to->exec.install_hint, &to->exec.cluster, &to->as, &to->as_uid, &to->ns, &to->context,
                                  &to->source };
    for (size_t i = 0; i < LEN(texts); i++)
        if (texts[i]->p)
            *texts[i] = arena_str(&to->arena, *texts[i]);
    to->exec.args = copy_texts(&to->arena, from->exec.args, from->exec.nargs);
    to->exec.env = copy_pairs(&to->arena, from->exec.env, from->exec.nenv);
    to->as_groups = copy_texts(&to->arena, from->as_groups, from->nas_groups);
    to->as_extra = copy_pairs(&to->arena, from->as_extra, from->nas_extra);
}

void kube_config_free(struct kube_config *c)
{
    arena_reset(&c->arena);
    *c = (struct kube_config){ 0 };
}
