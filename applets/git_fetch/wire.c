/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: one exchange at a time over grpc/http. The loop turns only inside of these calls. A connection belongs to one origin
 * (scheme, host, port) and to the address that was judged for it; another origin gets another connection and another judgement.
 * Tests: tests/local/git.py, against servers that redirect, trickle, lie and ask for passwords.
 */
#include "applets/git_fetch/wire.h"
#include "core/address.h"
#include "core/base64.h"
#include "core/resolve.h"
#include "core/tls.h"
#include "core/uri.h"
#include "core/version.h"
#include <netinet/in.h>
#include <stdio.h>

#define REFS "/info/refs?service=git-upload-pack"
enum { HELD = 1 << 20, REDIRECTS = 5 };

struct wire {
    struct loop *loop;
    struct wire_config config;
    int64_t deadline_us;
    struct tls *tls;
    struct buf base;                     /* URL of the repository, after redirects; without a '/' at the end */
    struct buf origin;                   /* what conn is connected to */
    struct httpc *conn;
    struct hcall *call;
    int status;
    bool head, ended, is_pack;           /* of the exchange; is_pack: the content type is the one that was asked for */
    const char *want_type;
    struct buf location, body;
    size_t at;                           /* read so far of body */
    uint64_t bytes;
    const struct resolved *found;        /* while a name is looked up */
    struct resolved addresses;
    bool looked_up;
    struct kr_err err;
};

uint64_t wire_bytes(const struct wire *w) { return w->bytes; }

bool wire_failed(const struct wire *w, struct kr_err *why)
{
    if (w->err.code)
        *why = w->err;
    return w->err.code != KR_OK;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int set_base(struct wire *w, struct str url)
{
    while (str_ends(url, S("/")))
        url.n--;
    buf_clear(&w->base);
    buf_str(&w->base, url);
    return w->base.failed ? kr_fail(&w->err, KR_INVALID, "the URL is too long") : 0;
}

struct wire *wire_new(struct loop *loop, const struct wire_config *config, struct kr_err *e)
{
    static const char *const alpn[] = { "h2", "http/1.1", NULL };
    struct wire *w = xcalloc(1, sizeof *w);
    struct uri_url u;
    *w = (struct wire){ .loop = loop, .config = *config, .base.max = 8192, .origin.max = 1024, .location.max = 8192, .body.max = (size_t)4 << 20 };
    if (uri_parse_url(config->url, &u, e) < 0)
        goto failed;
    if (u.query.p) {
        kr_fail(e, KR_INVALID, "a repository's URL has no query");
        goto failed;
    }
    w->tls = tls_client_new(&(struct tls_config){ .ca = config->ca, .alpn = alpn }, e);
    if (!w->tls && u.https)
        goto failed;
    *e = (struct kr_err){ 0 };           /* without any CA bundle http still works; a redirect to https is refused below */
    set_base(w, config->url);
    return w;
failed:
    wire_free(w);
    return NULL;
}

void wire_begin(struct wire *w, int64_t deadline_us) { w->deadline_us = deadline_us; }

void wire_free(struct wire *w)
{
    if (!w)
        return;
    wire_end(w);
    httpc_free(w->conn);
    tls_free(w->tls);
    buf_free(&w->base);
    buf_free(&w->origin);
    buf_free(&w->location);
    buf_free(&w->body);
    free(w);
}

/* ---- where to ---------------------------------------------------------------------------------------------------- */

static void found(void *ctx, const struct resolved *r, const struct kr_err *e)
{
    struct wire *w = ctx;
    if (e)
        w->err = *e;
    else
        w->addresses = *r;
    w->looked_up = true;
}

static bool is_looked_up(void *ctx) { return ((struct wire *)ctx)->looked_up; }

static int out_of_time(struct wire *w) { return kr_fail(&w->err, KR_DEADLINE, "the fetch took longer than git.timeoutSeconds"); }

static int look_up(struct wire *w, const struct uri_url *u)
{
    if (resolve_literal(u->host, u->port, &w->addresses))
        return 0;
    w->looked_up = false;
    struct resolve *job = resolve_start(w->loop, u->host, u->port, found, w);
    if (loop_run_until(w->loop, is_looked_up, w, w->deadline_us) != 0) {
        resolve_cancel(job);
        return out_of_time(w);
    }
    return w->err.code ? -1 : 0;
}

/* One address that isn't public spoils them all: a name with both kinds is a trap, or a mistake that should be seen. */
static int judge(struct wire *w, struct str host)
{
    char text[64];
    for (size_t i = 0; !w->config.allow_private && i < w->addresses.n; i++) {
        const char *what = address_special(&w->addresses.addr[i]);
        if (what)
            return kr_fail(&w->err, KR_FORBIDDEN, "\"%.*s\" is %.*s, %s: the Runtime's git.allowPrivateAddresses would allow it", SFMT(host),
                           SFMT(resolve_text(&w->addresses.addr[i], text)), what);
    }
    return 0;
}

static struct str address_only(const struct sockaddr_storage *s, char out[64])
{
    struct str t = resolve_text(s, out);
    while (t.n && t.p[t.n - 1] != ':')
        t.n--;
    t.n--;
    return t.n && *t.p == '[' ? (struct str){ t.p + 1, t.n - 2 } : t;
}

/* A connection to the URL's origin, made to an address that was judged. */
static int connect_to(struct wire *w, const struct uri_url *u)
{
    AUTO_BUF struct buf origin = { .max = w->origin.max };
    char text[64];
    buf_fmt(&origin, "%d %.*s %u", u->https, SFMT(u->host), u->port);
    if (w->conn && str_eq(buf_view(&origin), buf_view(&w->origin)))
        return 0;
    if (u->https && !w->tls)
        return kr_fail(&w->err, KR_UNAVAILABLE, "there is no CA bundle to check the server's certificate with");
    if (look_up(w, u) < 0 || judge(w, u->host) < 0)
        return -1;
    httpc_free(w->conn);
    w->conn = httpc_new(w->loop, &(struct httpc_config){
        .target = { .host = address_only(&w->addresses.addr[0], text), .port = u->port, .tls = u->https ? w->tls : NULL, .server_name = u->host },
        .connect_timeout_us = w->deadline_us - loop_now_us(w->loop) });
    buf_clear(&w->origin);
    buf_str(&w->origin, buf_view(&origin));
    return 0;
}

/* ---- an exchange ------------------------------------------------------------------------------------------------- */

static void give_up(struct wire *w)
{
    hcall_cancel(w->call);
    w->call = NULL;
    w->ended = true;
}

static void too_large(struct wire *w)
{
    kr_fail(&w->err, KR_TOO_LARGE, "the repository is too large: its answers have more than %llu bytes", (unsigned long long)w->config.max_bytes);
    give_up(w);
}

static void on_head(struct hcall *h, int status, struct http_fields f)
{
    struct wire *w = hcall_ctx(h);
    uint64_t length;
    if (status < 200)
        return;
    struct str location = http_get(f, "location"), type = http_get(f, "content-type");
    w->status = status;
    w->head = true;
    w->is_pack = str_caseeq(str_trim(str_cut(&type, ';')), str_of(w->want_type));
    buf_clear(&w->location);
    buf_str(&w->location, location);
    if (str_u64(http_get(f, "content-length"), &length) && length > w->config.max_bytes - w->bytes)
        too_large(w);                    /* nothing of it need come first */
}

static void on_data(struct hcall *h, struct str bytes)
{
    struct wire *w = hcall_ctx(h);
    w->bytes += bytes.n;
    if (w->bytes > w->config.max_bytes) {
        too_large(w);
        return;
    }
    if (w->status != 200)
        return;                          /* a page of an error */
    buf_str(&w->body, bytes);
    if (w->body.failed) {
        kr_fail(&w->err, KR_TOO_LARGE, "the server sends faster than it may");
        give_up(w);
        return;
    }
    if (w->body.n - w->at > HELD)
        hcall_pause(h, true);
}

static void on_end(struct hcall *h, struct http_fields trailers)
{
    (void)trailers;
    struct wire *w = hcall_ctx(h);
    w->call = NULL;
    w->ended = true;
}

static void on_failed(struct hcall *h, const struct kr_err *e)
{
    struct wire *w = hcall_ctx(h);
    w->call = NULL;
    w->ended = true;
    if (e->code == KR_DEADLINE)
        out_of_time(w);
    else if (!w->err.code)
        w->err = *e;
}

static bool has_head(void *ctx)
{
    struct wire *w = ctx;
    return w->head || w->ended;
}

static bool has_bytes(void *ctx)
{
    struct wire *w = ctx;
    return w->body.n > w->at || w->ended;
}

/* The password is for this host, and the way there is encrypted. */
static bool may_see_secret(const struct wire *w, const struct uri_url *u)
{
    const struct git_secret *s = w->config.secret;
    char with_port[300];
    if (!s || !s->host || !u->https)
        return false;
    snprintf(with_port, sizeof with_port, "%.*s:%u", SFMT(u->host), u->port);
    return str_caseeq(str_of(s->host), str_of(with_port)) || (u->port == 443 && str_caseeq(str_of(s->host), u->host));
}

static struct str authorization(const struct wire *w, struct arena *a)
{
    const struct git_secret *s = w->config.secret;
    struct str both = arena_fmt(a, "%s:%s", s->username, s->password);
    return arena_fmt(a, "Basic %.*s", SFMT(base64_encode(a, BASE64_STD, both)));
}

static struct str authority_of(const struct uri_url *u, struct arena *a)
{
    const char *open = u->ipv6 ? "[" : "", *close = u->ipv6 ? "]" : "";
    return u->port == (u->https ? 443 : 80) ? arena_fmt(a, "%s%.*s%s", open, SFMT(u->host), close)
                                            : arena_fmt(a, "%s%.*s%s:%u", open, SFMT(u->host), close, u->port);
}

static int send_request(struct wire *w, struct str url, struct str method, struct str body)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct uri_url u;
    bool post = str_is(method, "POST");
    if (uri_parse_url(url, &u, &w->err) < 0 || connect_to(w, &u) < 0)
        return -1;
    struct http_field f[4] = { { S("user-agent"), arena_fmt(&a, "git/2.0 (kruntimes %s)", kr_version) }, { S("accept"), S("*/*") } };
    size_t n = 2;
    if (may_see_secret(w, &u))
        f[n++] = (struct http_field){ S("authorization"), authorization(w, &a) };
    if (post)
        f[n++] = (struct http_field){ S("content-type"), S("application/x-git-upload-pack-request") };
    struct str path = u.query.p ? arena_fmt(&a, "%.*s?%.*s", SFMT(u.path), SFMT(u.query)) : u.path;
    wire_end(w);
    w->want_type = post ? "application/x-git-upload-pack-result" : "application/x-git-upload-pack-advertisement";
    w->call = httpc_call(w->conn, &(struct httpc_request){ .method = method, .path = path, .authority = authority_of(&u, &a), .fields = { f, n },
                                                           .body = body, .deadline_us = w->deadline_us },
                         (struct hcall_user){ .head = on_head, .data = on_data, .end = on_end, .failed = on_failed, .ctx = w });
    if (loop_run_until(w->loop, has_head, w, w->deadline_us) != 0)
        return out_of_time(w);
    return w->err.code ? -1 : 0;
}

void wire_end(struct wire *w)
{
    if (w->call)
        hcall_cancel(w->call);
    w->call = NULL;
    w->head = w->ended = false;
    w->status = 0;
    w->at = 0;
    buf_clear(&w->body);
}

static int refused(struct wire *w)
{
    struct uri_url u;
    struct kr_err ignored = { 0 };
    bool parsed = uri_parse_url(buf_view(&w->base), &u, &ignored) == 0, secret = w->config.secret && w->config.secret->host;
    int s = w->status;
    if (s == 401 || s == 403) {
        const char *why = !secret                             ? "the Runtime names no git.credentialsSecretName"
                          : parsed && !u.https                ? "a password is sent over https only"
                          : parsed && !may_see_secret(w, &u)  ? "the Secret is for another host"
                                                              : "the Secret's user name and password were not taken";
        return kr_fail(&w->err, s == 401 ? KR_UNAUTHORIZED : KR_FORBIDDEN, "the server answered %d %s; %s", s, http_reason(s), why);
    }
    if (s == 404)
        return kr_fail(&w->err, KR_NOT_FOUND, "there is no such repository (404), or it isn't shown to whom we are");
    return kr_fail(&w->err, kr_code_of_http(s), "the server answered %d %s", s, http_reason(s));
}

/* ---- redirects --------------------------------------------------------------------------------------------------- */

static int follow(struct wire *w)
{
    AUTO_BUF struct buf to = { .max = w->base.max };
    struct uri_url was, is;
    struct str l = buf_view(&w->location);
    if (uri_parse_url(buf_view(&w->base), &was, &w->err) < 0)
        return -1;
    if (str_starts(l, S("/")) && !str_starts(l, S("//")))
        buf_fmt(&to, "%.*s", (int)(was.path.p - w->base.p), w->base.p);
    buf_str(&to, l);
    if (to.failed || !str_ends(buf_view(&to), S(REFS)))
        return kr_fail(&w->err, KR_PROTOCOL, "the server redirects to something that is no Git repository");
    to.n -= sizeof REFS - 1;
    if (uri_parse_url(buf_view(&to), &is, &w->err) < 0)
        return kr_wrap(&w->err, "redirected");
    if (was.https && !is.https)
        return kr_fail(&w->err, KR_FORBIDDEN, "the server redirects from https to http");
    return set_base(w, buf_view(&to));
}

static bool is_redirect(int status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }

int wire_get_refs(struct wire *w)
{
    for (int i = 0; i <= REDIRECTS; i++) {
        AUTO_BUF struct buf url = { .max = w->base.max + sizeof REFS };
        buf_str(&url, buf_view(&w->base));
        buf_lit(&url, REFS);
        if (w->err.code || send_request(w, buf_view(&url), S("GET"), S("")) < 0)
            return -1;
        if (is_redirect(w->status)) {
            wire_end(w);
            if (follow(w) < 0)
                return -1;
            continue;
        }
        if (w->status != 200)
            return refused(w);
        return w->is_pack ? 0 : kr_fail(&w->err, KR_PROTOCOL, "this is no Git repository: the answer has another content type (or an old \"dumb\" server)");
    }
    return kr_fail(&w->err, KR_PROTOCOL, "the server redirects again and again");
}

int wire_post_pack(struct wire *w, struct str body)
{
    AUTO_BUF struct buf url = { .max = w->base.max + 32 };
    buf_str(&url, buf_view(&w->base));
    buf_lit(&url, "/git-upload-pack");
    if (w->err.code || send_request(w, buf_view(&url), S("POST"), body) < 0)
        return -1;
    if (w->status != 200)
        return refused(w);
    return w->is_pack ? 0 : kr_fail(&w->err, KR_PROTOCOL, "the server's answer to the fetch has another content type");
}

ptrdiff_t wire_read(struct wire *w, void *p, size_t n)
{
    if (!w->err.code && loop_run_until(w->loop, has_bytes, w, w->deadline_us) != 0)
        return out_of_time(w);
    size_t have = w->body.n - w->at;
    if (w->err.code)
        return -1;
    if (n > have)
        n = have;
    if (n)
        memcpy(p, w->body.p + w->at, n);
    w->at += n;
    if (w->at == w->body.n) {
        w->body.n = w->at = 0;
        if (w->call)
            hcall_pause(w->call, false);
    }
    return (ptrdiff_t)n;
}
