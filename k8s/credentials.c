/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credentials: a generation counts what the token or the certificates were; a request carries the one it was signed with as
 * its stamp, so that of many 401s for the same token only the first has it fetched anew. A certificate and its key are two
 * files: a pair that doesn't fit (one of them is written already) leaves the old one in use until the next look.
 * Tested in tests/unit/k8s/credentials.c.
 */
#include "k8s/credentials.h"
#include "core/base64.h"
#include "core/fs.h"
#include "core/uri.h"
#include "k8s/exec_plugin.h"
#include <sys/stat.h>

enum { LOOK_US = 1000000, TOKEN_US = 60000000, PLUGIN_PAUSE_US = 10000000 };
enum { FILE_TOKEN, FILE_CA, FILE_CERT, FILE_KEY, FILES };

struct watched { const char *path; struct stat was; bool changed; };
struct credentials {
    struct loop *loop;
    const struct kube_config *c;
    struct credentials_user user;
    struct tls *tls[3];
    struct watched files[FILES];
    struct buf pem[FILES];                        /* as in use now; FILE_TOKEN: the token */
    struct buf authorization;
    struct arena arena;                           /* impersonation's fields */
    struct http_field *fields; size_t nfields;    /* authorization first, when there is one */
    uint32_t generation;
    int64_t looked_us, token_us;
    bool by_plugin, have, stale;                  /* stale: the server refused what the plugin gave */
    struct exec_plugin *plugin;
    int64_t got_us, expires_wall_us;
};

static void wipe(struct buf *b)
{
    if (b->p)
        explicit_bzero(b->p, b->n);
    buf_free(b);
}

static void replace(struct buf *b, struct str s)
{
    wipe(b);
    buf_str(b, s);
}

/* ---- fields -------------------------------------------------------------------------------------------------------- */

/* Impersonate-Extra-KEY: the key percent-encoded, in lower case as HTTP/2 wants it. */
static struct str extra_name(struct arena *a, struct str key)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    buf_lit(&b, "impersonate-extra-");
    uri_put_segment(&b, key);
    for (size_t i = 0; i < b.n; i++)
        if (b.p[i] >= 'A' && b.p[i] <= 'Z')
            b.p[i] = (char)(b.p[i] + 32);
    return arena_str(a, buf_view(&b));
}

static void make_fields(struct credentials *k)
{
    const struct kube_config *c = k->c;
    size_t n = 1;                                 /* room for authorization */
    k->fields = arena_alloc(&k->arena, (3 + c->nas_groups + c->nas_extra) * sizeof *k->fields);
    if (c->as.n)
        k->fields[n++] = (struct http_field){ S("impersonate-user"), c->as };
    if (c->as.n && c->as_uid.n)
        k->fields[n++] = (struct http_field){ S("impersonate-uid"), c->as_uid };
    for (size_t i = 0; c->as.n && i < c->nas_groups; i++)
        k->fields[n++] = (struct http_field){ S("impersonate-group"), c->as_groups[i] };
    for (size_t i = 0; c->as.n && i < c->nas_extra; i++)
        k->fields[n++] = (struct http_field){ extra_name(&k->arena, c->as_extra[i].name), c->as_extra[i].value };
    k->nfields = n;
}

static void authorize(struct credentials *k)
{
    const struct kube_config *c = k->c;
    wipe(&k->authorization);
    if (k->pem[FILE_TOKEN].n) {
        buf_lit(&k->authorization, "Bearer ");
        buf_str(&k->authorization, buf_view(&k->pem[FILE_TOKEN]));
    } else if (c->username.n) {
        AUTO_BUF struct buf plain = { .max = LIMIT_TOKEN };
        buf_fmt(&plain, "%.*s:%.*s", SFMT(c->username), SFMT(c->password));
        buf_lit(&k->authorization, "Basic ");
        base64_put(&k->authorization, BASE64_STD, buf_view(&plain));
        wipe(&plain);
    }
    k->fields[0] = (struct http_field){ S("authorization"), buf_view(&k->authorization) };
}

struct http_fields credentials_fields(const struct credentials *k, uint32_t *stamp)
{
    size_t skip = !k->authorization.n;
    *stamp = k->generation;
    return (struct http_fields){ k->fields + skip, k->nfields - skip };
}

/* ---- TLS ----------------------------------------------------------------------------------------------------------- */

static const char *const both[] = { "h2", "http/1.1", NULL }, *const h1[] = { "http/1.1", NULL };

static struct tls_config tls_of(struct credentials *k, int which)
{
    return (struct tls_config){ .ca = buf_view(&k->pem[FILE_CA]), .cert = buf_view(&k->pem[FILE_CERT]), .key = buf_view(&k->pem[FILE_KEY]),
                                .alpn = which == CREDENTIALS_BOTH ? both : h1, .skip_verify = k->c->insecure };
}

/* A proxy is somebody else: it sees no certificate of ours, and may have its own from the cluster's CA or a public one. */
static int make_proxy_tls(struct credentials *k, struct kr_err *e)
{
    AUTO_BUF struct buf ca = { .max = 2 * LIMIT_FILE_INPUT };
    struct kr_err ignored = { 0 };
    if (k->pem[FILE_CA].n) {
        buf_str(&ca, buf_view(&k->pem[FILE_CA]));
        buf_byte(&ca, '\n');
        tls_system_ca(&ca, &ignored);
    }
    struct tls_config tc = { .ca = buf_view(&ca), .alpn = h1, .skip_verify = k->c->insecure };
    return (k->tls[CREDENTIALS_PROXY] = tls_client_new(&tc, e)) ? 0 : -1;
}

static int make_tls(struct credentials *k, struct kr_err *e)
{
    for (int i = CREDENTIALS_BOTH; k->c->tls && i <= CREDENTIALS_H1; i++) {
        struct tls_config tc = tls_of(k, i);
        if (!(k->tls[i] = tls_client_new(&tc, e)))
            return -1;
    }
    return str_starts(k->c->proxy, S("https:")) ? make_proxy_tls(k, e) : 0;
}

static bool reload_tls(struct credentials *k, struct kr_err *e)
{
    for (int i = CREDENTIALS_BOTH; k->c->tls && i <= CREDENTIALS_H1; i++) {
        struct tls_config tc = tls_of(k, i);
        if (tls_reload(k->tls[i], &tc, e) < 0)
            return false;
    }
    return true;
}

const struct tls *credentials_tls(const struct credentials *k, enum credentials_tls which) { return k->tls[which]; }

/* ---- files --------------------------------------------------------------------------------------------------------- */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool has_changed(struct watched *w, struct stat *now)
{
    return w->path && stat(w->path, now) == 0 && !same_file(now, &w->was);
}

static void look_at_token(struct credentials *k, bool force)
{
    struct watched *w = &k->files[FILE_TOKEN];
    struct stat st;
    struct kr_err e = { 0 };
    AUTO_BUF struct buf b = { .max = LIMIT_TOKEN };
    if (!w->path || (!has_changed(w, &st) && !force && loop_now_us(k->loop) - k->token_us < TOKEN_US))
        return;
    k->token_us = loop_now_us(k->loop);
    if (fs_read(w->path, &b, &e) < 0 || !str_trim(buf_view(&b)).n)
        return;                                   /* the old one may still be good; a 401 will say */
    if (stat(w->path, &st) == 0)
        w->was = st;
    struct str token = str_trim(buf_view(&b));
    if (!str_eq(token, buf_view(&k->pem[FILE_TOKEN]))) {
        replace(&k->pem[FILE_TOKEN], token);
        k->generation++;
        authorize(k);
    }
    wipe(&b);
}

/* CA, certificate and key are taken over together or not at all. */
static void look_at_certificates(struct credentials *k)
{
    struct stat now[FILES];
    struct buf old[FILES];
    struct kr_err e = { 0 };
    bool any = false, ok = true;
    for (int i = FILE_CA; i < FILES; i++)
        any |= has_changed(&k->files[i], &now[i]);
    if (!any || !k->c->tls)
        return;
    memcpy(old, k->pem, sizeof old);
    for (int i = FILE_CA; i < FILES; i++) {
        k->pem[i] = (struct buf){ .max = LIMIT_FILE_INPUT };
        if (k->files[i].path)
            ok = ok && stat(k->files[i].path, &now[i]) == 0 && fs_read(k->files[i].path, &k->pem[i], &e) == 0;
        else
            buf_str(&k->pem[i], buf_view(&old[i]));
    }
    ok = ok && reload_tls(k, &e);
    for (int i = FILE_CA; i < FILES; i++) {
        wipe(ok ? &old[i] : &k->pem[i]);
        if (!ok)
            k->pem[i] = old[i];
        else if (k->files[i].path)
            k->files[i].was = now[i];
    }
    if (ok) {
        k->generation++;
        k->user.renewed(k->user.ctx);
    }
}

/* ---- the plugin ---------------------------------------------------------------------------------------------------- */

static int take(struct credentials *k, const struct exec_credential *got, struct kr_err *e)
{
    bool certs = !str_eq(got->cert, buf_view(&k->pem[FILE_CERT])) || !str_eq(got->key, buf_view(&k->pem[FILE_KEY]));
    replace(&k->pem[FILE_TOKEN], got->token);
    replace(&k->pem[FILE_CERT], got->cert);
    replace(&k->pem[FILE_KEY], got->key);
    k->generation++;
    authorize(k);
    if (certs && !reload_tls(k, e))
        return kr_wrap(e, "credential plugin \"%.*s\"", SFMT(k->c->exec.command));
    if (certs)
        k->user.renewed(k->user.ctx);
    k->have = true;
    k->stale = false;
    k->got_us = loop_now_us(k->loop);
    k->expires_wall_us = got->expires_wall_us;
    return 0;
}

static void answered(void *ctx, const struct exec_credential *got, const struct kr_err *e)
{
    struct credentials *k = ctx;
    struct kr_err why = { 0 };
    if (e)
        why = *e;
    k->have = false;
    if (got)
        take(k, got, &why);
    exec_plugin_free(TAKE(k->plugin));            /* what it gave went with it */
    k->user.hold(k->user.ctx, false);
    if (why.code)
        k->user.refused(k->user.ctx, &why);       /* last: whoever hears it may close us */
}

/* What has expired as it came is used for a moment all the same: plugins must not run with each request. */
static bool is_good(const struct credentials *k)
{
    if (!k->have || k->stale)
        return false;
    return !k->expires_wall_us || loop_wall_us(k->loop) < k->expires_wall_us || loop_now_us(k->loop) - k->got_us < PLUGIN_PAUSE_US;
}

static void look_at_plugin(struct credentials *k)
{
    if (k->plugin || is_good(k))
        return;
    k->user.hold(k->user.ctx, true);
    k->plugin = exec_plugin_run(k->loop, &k->c->exec, (struct exec_plugin_user){ answered, k });
}

/* ---- what users call ----------------------------------------------------------------------------------------------- */

void credentials_look(struct credentials *k)
{
    int64_t now = loop_now_us(k->loop);
    if (k->by_plugin)
        look_at_plugin(k);
    if (now - k->looked_us < LOOK_US)
        return;
    k->looked_us = now;
    look_at_token(k, false);
    look_at_certificates(k);
}

bool credentials_failed(struct credentials *k, uint32_t stamp)
{
    if (stamp != k->generation)
        return true;
    if (k->by_plugin) {
        k->stale = true;
        return true;
    }
    look_at_token(k, true);
    k->looked_us = INT64_MIN / 2;
    return k->files[FILE_TOKEN].path || k->files[FILE_CERT].path;
}

static void watch_file(struct credentials *k, int which, struct str path, struct str text)
{
    struct watched *w = &k->files[which];
    k->pem[which].max = which == FILE_TOKEN ? LIMIT_TOKEN : LIMIT_FILE_INPUT;
    buf_str(&k->pem[which], text);
    w->path = path.n ? arena_z(&k->arena, path) : NULL;
    if (w->path && stat(w->path, &w->was) < 0)
        w->was = (struct stat){ 0 };
}

struct credentials *credentials_new(struct loop *loop, const struct kube_config *c, struct credentials_user user, struct kr_err *e)
{
    struct credentials *k = xcalloc(1, sizeof *k);
    *k = (struct credentials){ .loop = loop, .c = c, .user = user, .authorization = { .max = 2 * LIMIT_TOKEN }, .arena = { .limit = 1 << 20 },
                               .looked_us = INT64_MIN / 2, .token_us = INT64_MIN / 2 };
    watch_file(k, FILE_TOKEN, c->token_file, c->token);
    watch_file(k, FILE_CA, c->ca_file, c->ca);
    watch_file(k, FILE_CERT, c->cert_file, c->cert);
    watch_file(k, FILE_KEY, c->key_file, c->key);
    k->by_plugin = c->exec.command.n && !c->token.n && !c->token_file.n && !c->username.n && !c->cert.n;
    make_fields(k);
    authorize(k);
    if (make_tls(k, e) == 0)
        return k;
    credentials_free(k);
    return NULL;
}

void credentials_free(struct credentials *k)
{
    if (!k)
        return;
    exec_plugin_free(k->plugin);
    for (size_t i = 0; i < LEN(k->tls); i++)
        tls_free(k->tls[i]);
    for (size_t i = 0; i < FILES; i++)
        wipe(&k->pem[i]);
    wipe(&k->authorization);
    arena_reset(&k->arena);
    free(k);
}
