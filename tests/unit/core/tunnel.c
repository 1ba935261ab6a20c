/* SPDX-License-Identifier: Apache-2.0 */
/* A proxy that follows a script, one byte of its answer at a time, and behind it an echo. */
#include "core/tunnel.h"
#include "core/tls.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>

struct step { const char *hear; size_t nhear; const char *say; size_t nsay; };
#define STEP(h, s) { h, sizeof(h) - 1, s, sizeof(s) - 1 }
struct side {
    struct here h;
    struct listener *l;
    struct link *link;                            /* the proxy's end */
    const struct step *steps; size_t nsteps, at;
    struct tls *server;
    struct buf heard;
    bool hang_up, over, wrong;
    struct link *mine;
    struct buf got;
    struct kr_err e;
    bool opened, ended;
};

static void proxy_ready(struct link *l, void *ctx)
{
    struct side *s = ctx;
    char chunk[4096];
    ptrdiff_t n;
    while ((n = link_read(l, chunk, sizeof chunk)) > 0) {
        buf_add(&s->heard, chunk, (size_t)n);
        if (s->at == s->nsteps) {                 /* the way is open: echo */
            link_write(l, s->heard.p, s->heard.n);
            buf_clear(&s->heard);
        }
    }
    while (s->at < s->nsteps && s->heard.n >= s->steps[s->at].nhear) {
        const struct step *p = &s->steps[s->at++];
        s->wrong |= s->heard.n != p->nhear || memcmp(s->heard.p, p->hear, p->nhear) != 0;
        if (s->wrong)
            printf("    heard \"%.*s\"\n", SFMT(buf_view(&s->heard)));
        buf_clear(&s->heard);
        for (size_t i = 0; i < p->nsay; i++)
            link_write(l, p->say + i, 1);
        if (s->hang_up)
            link_close(TAKE(s->link));
    }
}

static void accepted(void *ctx, int fd)
{
    struct side *s = ctx;
    s->link = link_accept(s->h.loop, fd, s->server, (struct link_user){ proxy_ready, s });
}

static void mine_ready(struct link *l, void *ctx)
{
    struct side *s = ctx;
    char chunk[4096];
    ptrdiff_t n;
    if (link_is_open(l) && !s->opened) {
        s->opened = true;
        link_write(l, "hello", 5);
    }
    while ((n = link_read(l, chunk, sizeof chunk)) > 0)
        buf_add(&s->got, chunk, (size_t)n);
    if (n < 0) {
        s->ended = true;
        s->e = *link_error(l);
    }
    s->over = s->ended || s->got.n >= 5;
}

static void begin(struct side *s, const struct step *steps, size_t n)
{
    struct kr_err e = { 0 };
    here_loop(&s->h);
    s->steps = steps;
    s->nsteps = n;
    s->heard.max = s->got.max = 1 << 20;
    s->l = listen_tcp(s->h.loop, S("127.0.0.1"), 0, accepted, s, &e);
    if (!CHECK(s->l))
        abort();
}

static void go(struct side *s, const char *before, struct str host, const struct tls *tls)
{
    AUTO_ARENA struct arena a = { .limit = 4096 };
    char text[200];
    struct proxy p;
    struct kr_err e = { 0 };
    snprintf(text, sizeof text, "%s127.0.0.1:%u", before, listener_port(s->l));
    CHECK(proxy_parse(&p, str_of(text), &a, &e) == 0);
    s->mine = link_connect(s->h.loop, &(struct link_target){ .host = host, .port = 6443, .proxy = &p, .proxy_tls = tls }, (struct link_user){ mine_ready, s });
    here_until(&s->h, &s->over);
    CHECK(!s->wrong);
}

static void end(struct side *s)
{
    link_close(s->mine);
    link_close(s->link);
    here_turn(&s->h);
    listener_close(s->l);
    buf_free(&s->heard);
    buf_free(&s->got);
    loop_free(s->h.loop);
}

static void passes(const struct step *steps, size_t n, const char *before, struct str host)
{
    struct side s = { 0 };
    begin(&s, steps, n);
    go(&s, before, host, NULL);
    CHECK(!s.ended);
    CHECK_STR(buf_view(&s.got), S("hello"));
    end(&s);
}

TEST(a_way_through_an_http_proxy)
{
    static const struct step plain[] = { STEP("CONNECT api.test:6443 HTTP/1.1\r\nHost: api.test:6443\r\n\r\n", "HTTP/1.1 100 Wait\r\n\r\nHTTP/1.0 200 OK\r\nVia: x\r\n\r\n") };
    static const struct step named[] = { STEP("CONNECT [::5]:6443 HTTP/1.1\r\nHost: [::5]:6443\r\nProxy-Authorization: Basic bWU6d0By\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n") };
    passes(plain, 1, "http://", S("api.test"));
    passes(named, 1, "http://me:w%40r@", S("::5"));
}

TEST(a_way_through_a_socks_proxy)
{
    static const struct step plain[] = { STEP("\5\1\0", "\5\0"), STEP("\5\1\0\3\10api.test\x19\x2b", "\5\0\0\1\1\2\3\4\5\6") };
    static const struct step named[] = { STEP("\5\2\0\2", "\5\2"), STEP("\1\2me\4word", "\1\0"), STEP("\5\1\0\3\10api.test\x19\x2b", "\5\0\0\3\1h\5\6") };
    passes(plain, 2, "socks5://", S("api.test"));
    passes(named, 3, "socks5://me:word@", S("api.test"));
}

static void refused(const struct step *steps, size_t n, const char *before, bool hang_up, enum kr_code code, const char *word)
{
    struct side s = { .hang_up = hang_up };
    begin(&s, steps, n);
    go(&s, before, S("api.test"), NULL);
    CHECK(s.ended && !s.opened);
    CHECK_INT(s.e.code, code);
    if (!CHECK(str_find(str_of(s.e.msg), str_of(word)) >= 0 && str_find(str_of(s.e.msg), S("proxy 127.0.0.1:")) == 0))
        printf("    \"%s\" lacks \"%s\"\n", s.e.msg, word);
    end(&s);
}

#define CONNECT "CONNECT api.test:6443 HTTP/1.1\r\nHost: api.test:6443\r\n\r\n"
TEST(a_proxy_that_refuses_says_why)
{
    static char flood[20000], waits[(LIMIT_HTTP_INFORMATIONAL + 1) * 21 + 1];
    memset(flood, 'x', sizeof flood);
    memcpy(flood, "HTTP/1.1 200 OK\r\nA: ", 20);
    for (size_t at = 0; at + 21 < sizeof waits; at += 21)
        memcpy(waits + at, "HTTP/1.1 100 Wait\r\n\r\n", 22);
    const struct { struct step step[2]; size_t n; bool socks, hang_up; enum kr_code code; const char *word; } rows[] = {
        { { STEP(CONNECT, "HTTP/1.1 403 Not that way\r\n\r\nno") }, 1, false, false, KR_FORBIDDEN, "403 Not that way" },
        { { STEP(CONNECT, "HTTP/1.1 407 Who\r\n\r\n") }, 1, false, false, KR_UNAUTHORIZED, "user and password" },
        { { STEP(CONNECT, "HTTP/1.1 502 Bad\r\n\r\n") }, 1, false, false, KR_UNAVAILABLE, "api.test:6443: HTTP/1.1 502 Bad" },
        { { STEP(CONNECT, "SSH-2.0-x\r\n\r\n") }, 1, false, false, KR_PROTOCOL, "HTTP proxy" },
        { { STEP(CONNECT, "HTTP/1.1 2") }, 1, false, true, KR_UNAVAILABLE, "closed the connection" },
        { { { CONNECT, sizeof CONNECT - 1, flood, sizeof flood } }, 1, false, false, KR_TOO_LARGE, "longer than" },
        { { { CONNECT, sizeof CONNECT - 1, waits, sizeof waits - 1 } }, 1, false, false, KR_PROTOCOL, "more than 32 answers of 1xx" },
        { { STEP("\5\1\0", "\5\xff") }, 1, true, false, KR_UNAUTHORIZED, "user and password" },
        { { STEP("\5\1\0", "HT") }, 1, true, false, KR_PROTOCOL, "SOCKS5" },
        { { STEP("\5\1\0", "\5\0"), STEP("\5\1\0\3\10api.test\x19\x2b", "\5\5\0\1\0\0\0\0\0\0") }, 2, true, false, KR_UNAVAILABLE, "refused" } };
    for (size_t i = 0; i < LEN(rows); i++)
        refused(rows[i].step, rows[i].n, rows[i].socks ? "socks5://" : "http://", rows[i].hang_up, rows[i].code, rows[i].word);
}

TEST(a_way_through_a_proxy_that_speaks_tls)
{
    static const struct step steps[] = { STEP(CONNECT, "HTTP/1.1 200 OK\r\n\r\n") };
    struct tls_pair ca, leaf;
    struct kr_err e = { 0 };
    struct str name = S("127.0.0.1");
    struct side s = { 0 };
    begin(&s, steps, 1);
    int64_t now = loop_wall_us(s.h.loop);
    CHECK_OR(tls_make_ca(&ca, S("ca"), now, 1, &e) == 0);
    CHECK_OR(tls_issue(&leaf, &ca, &(struct tls_request){ .common_name = S("p"), .names = &name, .nnames = 1, .usage = TLS_FOR_SERVER, .now_us = now, .days = 1 }, &e) == 0);
    s.server = tls_server_new(&(struct tls_config){ .cert = buf_view(&leaf.cert), .key = buf_view(&leaf.key) }, &e);
    struct tls *client = tls_client_new(&(struct tls_config){ .ca = buf_view(&ca.cert) }, &e);
    CHECK_OR(s.server && client);
    go(&s, "https://", S("api.test"), client);
    CHECK_STR(buf_view(&s.got), S("hello"));
    static char big[3000000];                     /* more than the queues hold, both ways at once */
    size_t sent = 0;
    for (int i = 0; i < 20000 && s.got.n < 900000; i++) {
        ptrdiff_t n = sent < sizeof big ? link_write(s.mine, big, sizeof big - sent < 65536 ? sizeof big - sent : 65536) : 0;
        sent += n > 0 ? (size_t)n : 0;
        here_run(&s.h, 1000);
    }
    CHECK(s.got.n >= 900000);
    s.over = false;
    link_close(TAKE(s.link));                     /* the proxy goes: so does the way */
    here_until(&s.h, &s.over);
    end(&s);
    tls_free(client);
    tls_free(s.server);
    tls_pair_free(&ca);
    tls_pair_free(&leaf);
}
