/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state: made once, read ever after; the CA lives ten years and its leaf a year, of which it is used for half.
 * A folder that others may enter is refused: it holds the keys to everything that runs here.
 */
#include "applets/apiserver/state.h"
#include "applets/apiserver/authn.h"
#include "core/base64.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/clock.h"
#include "core/log.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CA_DAYS = 3650, LEAF_DAYS = 365, PEM_MAX = 65536 };
#define HOUR_US INT64_C(3600000000)

static int check_dir(const char *dir, struct kr_err *e)
{
    struct stat st;
    if (fs_make_dir(dir, 0700, e) < 0)
        return kr_wrap(e, "the state folder");
    if (stat(dir, &st) < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "look at the state folder \"%s\"", dir);
    if (st.st_uid != geteuid())
        return kr_fail(e, KR_FORBIDDEN, "the state folder \"%s\" belongs to user %u, not to %u: name another one with --state-dir", dir,
                       (unsigned)st.st_uid, (unsigned)geteuid());
    if (st.st_mode & 077)
        return kr_fail(e, KR_FORBIDDEN, "the state folder \"%s\" is open to others (mode %o): chmod 700 it", dir, (unsigned)(st.st_mode & 0777));
    if (access(dir, R_OK | W_OK | X_OK) < 0)
        return kr_fail_sys(e, KR_FORBIDDEN, errno, "the state folder \"%s\" can't be used", dir);
    return 0;
}

static int read_file(struct arena *a, const char *dir, const char *name, struct buf *out, struct kr_err *e)
{
    out->max = PEM_MAX;
    return fs_read(fs_join(a, dir, name), out, e);
}

static int load_ca(struct state *s, struct arena *a, int64_t now_us, struct kr_err *e)
{
    const char *cert = fs_join(a, s->dir, "ca.pem"), *key = fs_join(a, s->dir, "ca-key.pem");
    if (fs_exists(cert) && fs_exists(key))
        return read_file(a, s->dir, "ca.pem", &s->ca.cert, e) < 0 || read_file(a, s->dir, "ca-key.pem", &s->ca.key, e) < 0 ? -1 : 0;
    if (tls_make_ca(&s->ca, S("kruntimes local CA"), now_us, CA_DAYS, e) < 0)
        return -1;
    if (fs_write(key, buf_view(&s->ca.key), 0600, true, e) < 0)
        return -1;
    return fs_write(cert, buf_view(&s->ca.cert), 0600, true, e);
}

/* A secret of 32 bytes in hex, made when it is missing. */
static int load_secret(struct state *s, const char *name, struct buf *secret, struct arena *a, struct kr_err *e)
{
    const char *path = fs_join(a, s->dir, name);
    secret->max = 256;
    if (fs_exists(path)) {
        if (fs_read(path, secret, e) < 0)
            return -1;
        while (secret->n && secret->p[secret->n - 1] == '\n')
            secret->p[--secret->n] = '\0';
        return secret->n >= 32 ? 0 : kr_fail(e, KR_INVALID, "\"%s\" is too short for a secret: remove it, and a new one is made", path);
    }
    unsigned char bytes[32];
    char text[2 * sizeof bytes + 1];
    rnd_secret(bytes, sizeof bytes);
    hex_put(text, bytes, sizeof bytes);
    buf_lit(secret, text);
    explicit_bzero(bytes, sizeof bytes);
    explicit_bzero(text, sizeof text);
    return fs_write(path, buf_view(secret), 0600, true, e);
}

static int issue_server(const struct state *s, struct tls_pair *ret, int64_t now_us, struct kr_err *e)
{
    static const struct str names[] = { { "localhost", 9 }, { "127.0.0.1", 9 }, { "::1", 3 } };
    struct tls_request q = { .common_name = S("kruntimes-apiserver"), .names = names, .nnames = LEN(names), .usage = TLS_FOR_SERVER,
                             .now_us = now_us, .days = LEAF_DAYS };
    return tls_issue(ret, &s->ca, &q, e);
}

int state_open(struct state *s, const char *dir, int64_t now_us, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    *s = (struct state){ .dir = xstrndup(dir, strlen(dir)) };
    if (check_dir(dir, e) == 0 && load_ca(s, &a, now_us, e) == 0 && load_secret(s, "token", &s->token, &a, e) == 0 &&
        load_secret(s, "token-key", &s->token_key, &a, e) == 0 && issue_server(s, &s->server, now_us, e) == 0)
        return 0;
    state_close(s);
    return -1;
}

static struct tls_config config_of(const struct state *s)
{
    static const char *const alpn[] = { "h2", "http/1.1", NULL };
    return (struct tls_config){ .ca = buf_view(&s->ca.cert), .cert = buf_view(&s->server.cert), .key = buf_view(&s->server.key), .alpn = alpn };
}

struct tls *state_tls(const struct state *s, struct kr_err *e)
{
    struct tls_config tc = config_of(s);
    return tls_server_new(&tc, e);
}

static int renew(struct state *s, int64_t now_us, struct kr_err *e)
{
    int64_t end_us;
    struct tls_pair old = s->server, next = { 0 };
    if (tls_not_after(buf_view(&old.cert), &end_us, e) < 0)
        return -1;
    if (now_us < end_us - LEAF_DAYS * 24 * HOUR_US / 2)
        return 0;
    if (issue_server(s, &next, now_us, e) < 0)
        return -1;
    s->server = next;
    struct tls_config tc = config_of(s);
    if (tls_reload(s->renewal.tls, &tc, e) == 0) {
        log_info(&log_std, "the server's certificate was renewed");
        tls_pair_free(&old);
        return 0;
    }
    s->server = old;
    tls_pair_free(&next);
    return -1;
}

static void look(struct loop *loop, struct timer *t)
{
    struct state *s = container_of(t, struct state, renewal.look);
    struct kr_err e = { 0 };
    if (renew(s, loop_wall_us(loop), &e) < 0)
        log_error(&log_std, "the server's certificate was not renewed: another try in an hour", LOG_ERR(&e));
    loop_timer_in(loop, t, HOUR_US);
}

void state_keep_fresh(struct state *s, struct loop *loop, struct tls *tls)
{
    s->renewal.loop = loop;
    s->renewal.tls = tls;
    s->renewal.look.fire = look;
    loop_timer_in(loop, &s->renewal.look, HOUR_US);
}

void state_close(struct state *s)
{
    if (s->renewal.loop)
        loop_timer_stop(s->renewal.loop, &s->renewal.look);
    tls_pair_free(&s->ca);
    tls_pair_free(&s->server);
    if (s->token.p)
        explicit_bzero(s->token.p, s->token.n);
    if (s->token_key.p)
        explicit_bzero(s->token_key.p, s->token_key.n);
    buf_free(&s->token);
    buf_free(&s->token_key);
    free(s->dir);
    *s = (struct state){ 0 };
}

static int write_kubeconfig(struct state *s, const char *file, const char *user, struct str token, struct str server, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 262144 };
    AUTO_BUF struct buf b = { .max = 65536 };
    struct str ca = base64_encode(&a, BASE64_STD, buf_view(&s->ca.cert));
    buf_lit(&b, "apiVersion: v1\nkind: Config\ncurrent-context: kruntimes-local\nclusters:\n- name: kruntimes-local\n  cluster:\n");
    buf_fmt(&b, "    server: %.*s\n    certificate-authority-data: %.*s\n", SFMT(server), SFMT(ca));
    buf_fmt(&b, "users:\n- name: %s\n  user:\n    token: %.*s\n", user, SFMT(token));
    buf_fmt(&b, "contexts:\n- name: kruntimes-local\n  context:\n    cluster: kruntimes-local\n    user: %s\n    namespace: default\n", user);
    const char *path = fs_join(&a, s->dir, file);
    AUTO_BUF struct buf was = { .max = 65536 };
    struct kr_err ignored = { 0 };
    if (fs_read(path, &was, &ignored) == 0 && str_eq(buf_view(&was), buf_view(&b)))
        return 0;                                 /* a start on a full disk needs no room */
    return fs_write(path, buf_view(&b), 0600, false, e);
}

int state_write_kubeconfig(struct state *s, struct str host, uint16_t port, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 16384 };
    bool v6 = str_chr(host, ':') >= 0;
    struct str server = arena_fmt(&a, "https://%s%.*s%s:%u", v6 ? "[" : "", SFMT(host), v6 ? "]" : "", port);
    for (size_t i = 0; i < COMPONENTS; i++) {
        const struct component_account *c = &component_accounts[i];
        char token[DIGEST_TEXT];
        authn_component_token(buf_view(&s->token_key), c->name, token);
        if (write_kubeconfig(s, arena_fmt(&a, "kubeconfig-%s", c->name).p, c->account, str_of(token), server, e) < 0)
            return -1;
    }
    return write_kubeconfig(s, "kubeconfig", "kruntimes-admin", buf_view(&s->token), server, e);
}
