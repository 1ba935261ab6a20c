/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubeconfig: reads the file as JSON by the YAML room, then picks by name: context → cluster and user. Data members go
 * before file members, as kubectl has it. What would be needed and isn't offered is an error that names it.
 */
#include "k8s/kubeconfig.h"
#include "core/base64.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/uri.h"
#include "core/yaml.h"
#include <stdio.h>

#define ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount/"

struct reading { struct kube_config *c; const char *path; struct arena *a; };

static struct str text(struct str object, const char *key, struct arena *a)
{
    struct str raw = object.p ? json_find(object, key) : (struct str){ 0 };
    struct str v = raw.p ? json_str_of(raw, a) : raw;
    return v.p ? v : S("");
}

/* The member `what` of the entry of that name in the list `key`: clusters[name=x].cluster. */
static struct str named(struct str root, const char *key, struct str name, const char *what, struct arena *a)
{
    struct str list = json_find(root, key);
    struct json_cur cur = json_begin(list);
    if (!list.p || json_kind(&cur) != JSON_ARRAY)
        return (struct str){ 0 };
    json_enter(&cur);
    while (json_item(&cur)) {
        struct str item = json_raw(&cur);
        if (str_eq(text(item, "name", a), name))
            return json_find(item, what);
    }
    return (struct str){ 0 };
}

static int read_member_file(struct reading *r, struct str name, struct str *ret, struct kr_err *e)
{
    AUTO_BUF struct buf b = { .max = LIMIT_FILE_INPUT };
    const char *slash = strrchr(r->path, '/');
    char *path = name.p[0] == '/' || !slash
                     ? arena_z(r->a, name)
                     : (char *)arena_fmt(r->a, "%.*s/%.*s", (int)(slash - r->path), r->path, SFMT(name)).p;
    if (!path)
        return kr_fail(e, KR_INVALID, "%s: \"%.*s\" is no file name", r->path, SFMT(name));
    if (fs_read(path, &b, e) < 0)
        return kr_wrap(e, "%s", r->path);
    *ret = arena_str(r->a, buf_view(&b));
    return 0;
}

/* KEY-data in base64, or the file that KEY names. */
static int data_or_file(struct reading *r, struct str object, const char *key, struct str *ret, struct kr_err *e)
{
    char with_data[64];
    snprintf(with_data, sizeof with_data, "%s-data", key);
    struct str data = text(object, with_data, r->a), file = text(object, key, r->a);
    if (data.n) {
        if (base64_decode(r->a, BASE64_STD, data, ret, e) < 0)
            return kr_wrap(e, "%s: %s", r->path, with_data);
        return 0;
    }
    return file.n ? read_member_file(r, file, ret, e) : 0;
}

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

static int read_cluster(struct reading *r, struct str cluster, struct kr_err *e)
{
    struct kube_config *c = r->c;
    c->server = text(cluster, "server", r->a);
    c->server_name = text(cluster, "tls-server-name", r->a);
    c->insecure = str_is(json_find(cluster, "insecure-skip-tls-verify"), "true");
    if (json_find(cluster, "proxy-url").p)
        return kr_fail(e, KR_UNSUPPORTED, "%s: proxy-url is not offered", r->path);
    if (!c->server.n)
        return kr_fail(e, KR_INVALID, "%s: the cluster has no server", r->path);
    return set_server(c, r->path, e) < 0 || data_or_file(r, cluster, "certificate-authority", &c->ca, e) < 0 ? -1 : 0;
}

static int read_user(struct reading *r, struct str user, struct kr_err *e)
{
    static const char *const refused[] = { "exec", "auth-provider", "username", "password", "as" };
    struct kube_config *c = r->c;
    if (!user.p)
        return 0;
    for (size_t i = 0; i < LEN(refused); i++)
        if (json_find(user, refused[i]).p)
            return kr_fail(e, KR_UNSUPPORTED, "%s: the user's \"%s\" is not offered: use a token, a token file or a client certificate", r->path,
                           refused[i]);
    c->token = text(user, "token", r->a);
    struct str file = text(user, "tokenFile", r->a);
    if (file.n && !c->token.n) {
        const char *slash = strrchr(r->path, '/');
        c->token_file = file.p[0] == '/' || !slash ? file : arena_fmt(r->a, "%.*s/%.*s", (int)(slash - r->path), r->path, SFMT(file));
        if (read_member_file(r, file, &c->token, e) < 0)
            return -1;
        c->token = str_trim(c->token);
    }
    return data_or_file(r, user, "client-certificate", &c->cert, e) < 0 || data_or_file(r, user, "client-key", &c->key, e) < 0 ? -1 : 0;
}

static int read_config(struct reading *r, struct str root, struct str context, struct kr_err *e)
{
    struct kube_config *c = r->c;
    c->context = context.n ? arena_str(r->a, context) : text(root, "current-context", r->a);
    if (!c->context.n)
        return kr_fail(e, KR_INVALID, "%s: it has no current-context: name one with --context", r->path);
    struct str ctx = named(root, "contexts", c->context, "context", r->a);
    if (!ctx.p)
        return kr_fail(e, KR_NOT_FOUND, "%s: there is no context \"%.*s\"", r->path, SFMT(c->context));
    struct str cluster_name = text(ctx, "cluster", r->a), user_name = text(ctx, "user", r->a);
    struct str cluster = named(root, "clusters", cluster_name, "cluster", r->a);
    struct str user = named(root, "users", user_name, "user", r->a);
    if (!cluster.p)
        return kr_fail(e, KR_NOT_FOUND, "%s: there is no cluster \"%.*s\"", r->path, SFMT(cluster_name));
    if (user_name.n && !user.p)
        return kr_fail(e, KR_NOT_FOUND, "%s: there is no user \"%.*s\"", r->path, SFMT(user_name));
    c->ns = text(ctx, "namespace", r->a);
    if (!c->ns.n)
        c->ns = S("default");
    return read_cluster(r, cluster, e) < 0 || read_user(r, user, e) < 0 ? -1 : 0;
}

int kube_config_load(struct kube_config *c, const char *path, struct str context, struct kr_err *e)
{
    AUTO_BUF struct buf file = { .max = LIMIT_FILE_INPUT };
    AUTO_ARENA struct arena scratch = { .limit = 4 * LIMIT_FILE_INPUT };
    struct yaml_docs docs;
    *c = (struct kube_config){ .arena = { .limit = 4 * LIMIT_FILE_INPUT } };
    if (fs_read(path, &file, e) < 0)
        return -1;
    if (yaml_to_json(buf_view(&file), &scratch, &docs, e) < 0)
        return kr_wrap(e, "%s", path);
    c->source = arena_str(&c->arena, str_of(path));
    struct reading r = { c, path, &c->arena };
    int rc = docs.n ? read_config(&r, arena_str(&c->arena, docs.docs[0].json), context, e) : kr_fail(e, KR_INVALID, "%s: it is empty", path);
    if (rc < 0)
        kube_config_free(c);
    return rc;
}

int kube_config_in_cluster(struct kube_config *c, struct kr_err *e)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    AUTO_BUF struct buf token = { .max = LIMIT_TOKEN }, ca = { .max = LIMIT_FILE_INPUT }, ns = { .max = 256 };
    *c = (struct kube_config){ .arena = { .limit = 4 * LIMIT_FILE_INPUT } };
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
    c->ns = ns.n ? arena_str(&c->arena, str_trim(buf_view(&ns))) : S("default");
    c->source = S("in-cluster");
    c->context = S("in-cluster");
    if (set_server(c, "in-cluster", e) == 0)
        return 0;
    kube_config_free(c);
    return -1;
}

int kube_config_find(struct kube_config *c, struct str path, struct str context, struct kr_err *e)
{
    const char *env = getenv("KUBECONFIG"), *home = getenv("HOME");
    AUTO_ARENA struct arena a = { .limit = 16384 };
    if (path.n)
        return kube_config_load(c, arena_z(&a, path), context, e);
    if (env && *env)
        return kube_config_load(c, env, context, e);
    if (kube_config_in_cluster(c, e) == 0)
        return 0;
    if (e->code != KR_NOT_FOUND)
        return -1;
    *e = (struct kr_err){ 0 };
    char *file = fs_join(&a, home ? home : "/", ".kube/config");
    if (fs_exists(file))
        return kube_config_load(c, file, context, e);
    return kr_fail(e, KR_NOT_FOUND, "no kubeconfig: --kubeconfig and $KUBECONFIG are not given, this is no container of a cluster, and \"%s\" is not there",
                   file);
}

void kube_config_free(struct kube_config *c)
{
    arena_reset(&c->arena);
    *c = (struct kube_config){ 0 };
}
