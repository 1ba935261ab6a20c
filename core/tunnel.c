/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel: SAY (send what is due) and HEAR (read one answer) take turns until the proxy has opened the way, then the socket
 * is handed over, or PUMP carries bytes both ways. The exchanges: CONNECT and its head, or SOCKS5's greeting, password and
 * request (RFC 1928, RFC 1929). Tested in tests/unit/core/tunnel.c.
 */
#include "core/tunnel.h"
#include "core/base64.h"
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum tunnel_step { HTTP_HEAD, SOCKS_METHOD, SOCKS_PASSWORD, SOCKS_REPLY, PUMP };
enum { QUEUE_HIGH = 262144 };

struct tunnel {
    struct loop *loop;
    struct tunnel_user user;
    enum proxy_kind kind;
    enum tunnel_step step;
    struct link *proxy, *near;                    /* to the proxy; our end of the pair, while pumping */
    char *host, *who, *password; uint16_t port;
    char name[300];                               /* the proxy's address, for messages */
    struct buf say, heard, to_near, to_proxy;
    int informed;                                 /* answers of 1xx so far */
    bool begun, proxy_over, near_over;
};

static void close_links(struct tunnel *t)
{
    link_close(TAKE(t->proxy));
    link_close(TAKE(t->near));
}

void tunnel_close(struct tunnel *t)
{
    if (!t)
        return;
    close_links(t);
    free(t->host);
    if (t->password)
        explicit_bzero(t->password, strlen(t->password));
    free(t->password);
    free(t->who);
    buf_free(&t->say);
    buf_free(&t->heard);
    buf_free(&t->to_near);
    buf_free(&t->to_proxy);
    free(t);
}

static void fail(struct tunnel *t, struct kr_err *e)
{
    kr_wrap(e, "proxy %s", t->name);
    close_links(t);
    t->user.opened(t->user.ctx, -1, e);
}

/* ---- pumping ------------------------------------------------------------------------------------------------------ */

/* From one link into the queue of the other, and the queue out. False when `from` has ended. */
static bool carry(struct link *from, struct buf *queue, struct link *to)
{
    char chunk[16384];
    ptrdiff_t n = 1;
    while (queue->n < QUEUE_HIGH && (n = link_read(from, chunk, sizeof chunk)) > 0)
        buf_add(queue, chunk, (size_t)n);
    while (queue->n) {
        ptrdiff_t took = link_write(to, queue->p, queue->n);
        if (took < 0)
            return false;
        if (took == 0)
            break;
        buf_drop(queue, (size_t)took);
    }
    link_want_write(to, queue->n > 0);
    link_pause_read(from, queue->n >= QUEUE_HIGH);
    return n >= 0;
}

/* Who reads after the end of the other side has all of it: an end goes on when its queue is empty. */
static void pump(struct tunnel *t)
{
    if (!t->proxy || !t->near)
        return;
    t->proxy_over |= !carry(t->proxy, &t->to_near, t->near);
    t->near_over |= !carry(t->near, &t->to_proxy, t->proxy);
    if ((t->proxy_over && !t->to_near.n) || (t->near_over && !t->to_proxy.n))
        close_links(t);
}

static void near_ready(struct link *l, void *ctx)
{
    (void)l;
    pump(ctx);
}

static void opened(struct tunnel *t)
{
    int pair[2];
    buf_free(&t->heard);
    if (t->kind != PROXY_HTTPS) {
        int fd = link_detach(TAKE(t->proxy));
        t->user.opened(t->user.ctx, fd, NULL);
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        abort();
    t->step = PUMP;
    t->near = link_accept(t->loop, pair[0], NULL, (struct link_user){ near_ready, t });
    t->user.opened(t->user.ctx, pair[1], NULL);
}

/* ---- what is said ------------------------------------------------------------------------------------------------- */

static void say_connect(struct tunnel *t)
{
    bool v6 = strchr(t->host, ':') != NULL;
    AUTO_BUF struct buf target = { .max = 512 };
    buf_fmt(&target, v6 ? "[%s]:%u" : "%s:%u", t->host, t->port);
    buf_fmt(&t->say, "CONNECT %.*s HTTP/1.1\r\nHost: %.*s\r\n", SFMT(buf_view(&target)), SFMT(buf_view(&target)));
    if (t->who) {
        AUTO_BUF struct buf plain = { .max = 4096 };
        buf_fmt(&plain, "%s:%s", t->who, t->password);
        buf_lit(&t->say, "Proxy-Authorization: Basic ");
        base64_put(&t->say, BASE64_STD, buf_view(&plain));
        buf_lit(&t->say, "\r\n");
        if (plain.p)
            explicit_bzero(plain.p, plain.n);
    }
    buf_lit(&t->say, "\r\n");
    t->step = HTTP_HEAD;
}

static void say_greeting(struct tunnel *t)
{
    if (t->who)
        buf_add(&t->say, "\5\2\0\2", 4);          /* without anything, or user and password */
    else
        buf_add(&t->say, "\5\1\0", 3);
    t->step = SOCKS_METHOD;
}

static void say_password(struct tunnel *t)
{
    buf_byte(&t->say, 1);
    buf_byte(&t->say, (char)strlen(t->who));
    buf_lit(&t->say, t->who);
    buf_byte(&t->say, (char)strlen(t->password));
    buf_lit(&t->say, t->password);
    t->step = SOCKS_PASSWORD;
}

/* The name as it is: the proxy looks it up (an address is a name that it knows). */
static void say_request(struct tunnel *t)
{
    buf_add(&t->say, "\5\1\0\3", 4);
    buf_byte(&t->say, (char)strlen(t->host));
    buf_lit(&t->say, t->host);
    buf_byte(&t->say, (char)(t->port >> 8));
    buf_byte(&t->say, (char)t->port);
    t->step = SOCKS_REPLY;
}

/* ---- what is heard: 1 opened, 0 go on, -1 failed ------------------------------------------------------------------- */

static int hear_head(struct tunnel *t, struct kr_err *e)
{
    struct str head = buf_view(&t->heard);
    if (!str_ends(head, S("\r\n\r\n")) && !str_ends(head, S("\n\n")))
        return 0;
    int64_t status = 0;
    ptrdiff_t space = str_chr(head, ' ');
    struct str line = head;
    line = str_trim(str_cut(&line, '\n'));
    if (!str_starts(head, S("HTTP/1.")) || space < 0 || !str_i64((struct str){ head.p + space + 1, 3 }, &status))
        return kr_fail(e, KR_PROTOCOL, "it doesn't answer as an HTTP proxy");
    if (status >= 100 && status < 200) {
        buf_clear(&t->heard);
        return t->informed++ < LIMIT_HTTP_INFORMATIONAL
                   ? 0 : kr_fail(e, KR_PROTOCOL, "more than %d answers of 1xx before the one that counts", LIMIT_HTTP_INFORMATIONAL);
    }
    if (status >= 200 && status < 300)
        return 1;
    if (status == 407)
        return kr_fail(e, KR_UNAUTHORIZED, t->who ? "it refuses the user and password of its URL" : "it wants a user and password: put them into its URL");
    return kr_fail(e, status == 403 ? KR_FORBIDDEN : KR_UNAVAILABLE, "it refuses the way to %s:%u: %.*s", t->host, t->port,
                   (int)str_utf8_prefix((struct str){ line.p, line.n < 120 ? line.n : 120 }), line.p);
}

static int hear_method(struct tunnel *t, struct kr_err *e)
{
    if (t->heard.n < 2)
        return 0;
    if (t->heard.p[0] != 5)
        return kr_fail(e, KR_PROTOCOL, "it doesn't answer as a SOCKS5 proxy");
    int method = (unsigned char)t->heard.p[1];
    buf_clear(&t->heard);
    if (method == 2 && t->who)
        say_password(t);
    else if (method == 0)
        say_request(t);
    else
        return kr_fail(e, KR_UNAUTHORIZED, t->who ? "it takes neither of our ways to say who we are" : "it wants a user and password: put them into its URL");
    return 0;
}

static int hear_password(struct tunnel *t, struct kr_err *e)
{
    if (t->heard.n < 2)
        return 0;
    if (t->heard.p[1] != 0)
        return kr_fail(e, KR_UNAUTHORIZED, "it refuses the user and password of its URL");
    buf_clear(&t->heard);
    say_request(t);
    return 0;
}

static int hear_reply(struct tunnel *t, struct kr_err *e)
{
    static const char *const why[] = { "", "it failed", "its rules forbid the way", "the network can't be reached", "the host can't be reached",
                                       "the connection was refused", "it took too long", "it knows no CONNECT", "it knows no names" };
    const unsigned char *p = (const unsigned char *)t->heard.p;
    if (t->heard.n < 5)
        return 0;
    if (p[0] != 5)
        return kr_fail(e, KR_PROTOCOL, "it doesn't answer as a SOCKS5 proxy");
    if (p[1] != 0)
        return kr_fail(e, p[1] == 2 ? KR_FORBIDDEN : KR_UNAVAILABLE, "%s:%u: %s", t->host, t->port, p[1] < LEN(why) ? why[p[1]] : "it refuses");
    size_t address = p[3] == 1 ? 4 : p[3] == 4 ? 16 : p[3] == 3 ? 1u + p[4] : 0;
    if (!address)
        return kr_fail(e, KR_PROTOCOL, "it doesn't answer as a SOCKS5 proxy");
    return t->heard.n == 4 + address + 2;
}

static int hear(struct tunnel *t, struct kr_err *e)
{
    switch (t->step) {
    case HTTP_HEAD: return hear_head(t, e);
    case SOCKS_METHOD: return hear_method(t, e);
    case SOCKS_PASSWORD: return hear_password(t, e);
    case SOCKS_REPLY: return hear_reply(t, e);
    default: return 1;
    }
}

/* ---- turns --------------------------------------------------------------------------------------------------------- */

static bool flush(struct tunnel *t)
{
    while (t->say.n) {
        ptrdiff_t n = link_write(t->proxy, t->say.p, t->say.n);
        if (n <= 0) {
            link_want_write(t->proxy, n == 0);
            return n == 0;
        }
        buf_drop(&t->say, (size_t)n);
    }
    link_want_write(t->proxy, false);
    return true;
}

static void lost(struct tunnel *t)
{
    struct kr_err e = *link_error(t->proxy);
    if (!e.code)
        kr_fail(&e, KR_UNAVAILABLE, "it closed the connection");
    fail(t, &e);
}

static void proxy_ready(struct link *l, void *ctx)
{
    struct tunnel *t = ctx;
    struct kr_err e = { 0 };
    char byte;
    if (t->step == PUMP) {
        pump(t);
        return;
    }
    if (link_is_open(l) && !t->begun) {
        t->begun = true;
        if (t->kind == PROXY_SOCKS5)
            say_greeting(t);
        else
            say_connect(t);
    }
    for (;;) {
        if (t->say.n && !flush(t))
            break;
        ptrdiff_t n = link_read(l, &byte, 1);
        if (n == 0)
            return;
        if (n < 0)
            break;
        buf_byte(&t->heard, byte);
        int rc = t->heard.failed ? kr_fail(&e, KR_TOO_LARGE, "its answer is longer than %zu bytes", t->heard.max) : hear(t, &e);
        if (rc == 0)
            continue;
        if (rc > 0)
            opened(t);
        else
            fail(t, &e);
        return;
    }
    lost(t);
}

struct tunnel *tunnel_open(struct loop *loop, const struct proxy *p, const struct tls *tls, struct str host, uint16_t port, struct tunnel_user user)
{
    struct tunnel *t = xcalloc(1, sizeof *t);
    size_t most = p->kind == PROXY_SOCKS5 ? 255 : host.n;
    *t = (struct tunnel){ .loop = loop, .user = user, .kind = p->kind, .host = xstrndup(host.p, host.n < most ? host.n : most), .port = port,
                          .say = { .max = 16384 }, .heard = { .max = LIMIT_HTTP1_START_LINE }, .to_near = { .max = QUEUE_HIGH + 65536 },
                          .to_proxy = { .max = QUEUE_HIGH + 65536 } };
    snprintf(t->name, sizeof t->name, str_chr(p->host, ':') >= 0 ? "[%.*s]:%u" : "%.*s:%u", SFMT(p->host), p->port);
    if (p->user.n) {
        t->who = xstrndup(p->user.p, p->user.n);
        t->password = xstrndup(p->password.p ? p->password.p : "", p->password.n);
    }
    t->proxy = link_connect(loop, &(struct link_target){ .host = p->host, .port = p->port, .tls = p->kind == PROXY_HTTPS ? tls : NULL },
                            (struct link_user){ proxy_ready, t });
    return t;
}
