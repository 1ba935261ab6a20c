/* SPDX-License-Identifier: Apache-2.0 */
/* link: plain, and beneath TLS; each end reads all it gets, and writes a number of bytes whose values tell their place. */
#include "core/link.h"
#include "core/tls.h"
#include "core/tls_core.h"
#include "core/tls_session.h"
#include "tests/kit/faults.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct end {
    struct link *l;
    size_t to_write, written, got;
    bool opened, over, failed, wrong, close_when_ready;
    int calls;
    char why[512], alpn[16], cn[64];
};

static void write_some(struct end *e)
{
    char chunk[10000];
    while (e->written < e->to_write) {
        size_t n = e->to_write - e->written < sizeof chunk ? e->to_write - e->written : sizeof chunk;
        for (size_t i = 0; i < n; i++)
            chunk[i] = (char)((e->written + i) % 251);
        ptrdiff_t took = link_write(e->l, chunk, n);
        if (took <= 0)
            break;
        e->written += (size_t)took;
    }
    link_want_write(e->l, e->written < e->to_write);
}

static void ready(struct link *l, void *ctx)
{
    struct end *e = ctx;
    char chunk[7001];
    ptrdiff_t n;
    e->calls++;
    if (e->close_when_ready) {
        e->over = true;
        link_close(TAKE(e->l));
        return;
    }
    if (link_is_open(l) && !e->opened) {
        AUTO_ARENA struct arena a = { .limit = 1024 };
        e->opened = true;
        snprintf(e->alpn, sizeof e->alpn, "%.*s", SFMT(link_alpn(l)));
        snprintf(e->cn, sizeof e->cn, "%.*s", SFMT(link_client_cn(l, &a)));
    }
    while ((n = link_read(l, chunk, sizeof chunk)) > 0)
        for (ptrdiff_t i = 0; i < n; i++)
            e->wrong |= chunk[i] != (char)(e->got++ % 251);
    if (n < 0) {
        e->over = true;
        e->failed = link_error(l)->code != KR_OK;
        snprintf(e->why, sizeof e->why, "%s", link_error(l)->msg);
        link_want_write(l, false);
        return;
    }
    write_some(e);
}

static bool both_have_all(void *ctx)
{
    struct end *e = ctx;
    return (e[0].got == e[1].to_write && e[1].got == e[0].to_write) || e[0].over || e[1].over;
}
static void run(struct here *h, bool (*done)(void *), void *ctx)
{
    CHECK_INT(loop_run_until(h->loop, done, ctx, loop_now_us(h->loop) + 60000000), 0);
}

static void pair(struct here *h, struct end e[2])
{
    struct link *l[2];
    link_pair(h->loop, l, (struct link_user){ ready, &e[0] }, (struct link_user){ ready, &e[1] });
    e[0].l = l[0];
    e[1].l = l[1];
}

TEST(much_goes_both_ways_at_once)
{
    struct here h;
    struct end e[2] = { { .to_write = 3000000 }, { .to_write = 5000000 } };
    here_loop(&h);
    pair(&h, e);
    run(&h, both_have_all, e);
    CHECK(!e[0].wrong && !e[1].wrong && !e[0].over && !e[1].over);
    link_close(e[0].l);
    here_until(&h, &e[1].over);
    CHECK(!e[1].failed);                          /* closed properly */
    CHECK_Z(e[1].why, "");
    link_close(e[1].l);
    link_close(NULL);
    loop_free(h.loop);
}

static bool writer_is_full(void *ctx) { struct end *e = ctx; return e[0].calls >= 1 && e[0].written > 0; }

TEST(who_does_not_read_holds_the_writer_back)
{
    struct here h;
    struct end e[2] = { { .to_write = 30000000 }, { 0 } };
    here_loop(&h);
    pair(&h, e);
    link_pause_read(e[1].l, true);
    run(&h, writer_is_full, e);
    here_run(&h, 20000);
    size_t before = e[1].got;
    CHECK(e[0].written - before < 4000000);
    uint64_t wakeups = loop_wakeups(h.loop);
    here_run(&h, 20000);
    CHECK_INT(e[1].got, before);                  /* not even a look at what waits */
    CHECK(loop_wakeups(h.loop) - wakeups < 5);    /* and no spinning */
    int calls = e[1].calls;
    link_want_write(e[1].l, true);
    here_until_is(&h, &e[1].calls, calls + 1);    /* it is called for other reasons, too */
    CHECK_INT(e[1].got, before);
    link_pause_read(e[1].l, false);
    run(&h, both_have_all, e);
    CHECK_INT(e[1].got, 30000000);
    CHECK(!e[1].wrong);
    link_close(e[0].l);
    link_close(e[1].l);
    loop_free(h.loop);
}

TEST(a_link_may_be_closed_in_its_callback)
{
    struct here h;
    struct end e[2] = { { .to_write = 1000000 }, { .close_when_ready = true } };
    here_loop(&h);
    pair(&h, e);
    here_until(&h, &e[1].over);
    here_until(&h, &e[0].over);
    CHECK(e[0].written < 1000000);
    link_close(e[0].l);
    loop_free(h.loop);
}

/* ---- listening and TLS ------------------------------------------------------------------------------------------- */

struct door { struct here h; struct listener *listener; const struct tls *tls; struct end e[2]; int fd; };      /* fd: of e[0], who keeps it */
static void accepted(void *ctx, int fd)
{
    struct door *d = ctx;
    d->fd = fd;
    link_close(d->e[0].l);
    d->e[0].l = link_accept(d->h.loop, fd, d->tls, (struct link_user){ ready, &d->e[0] });
}
static bool both_open_or_over(void *ctx)
{
    struct end *e = ctx;
    return (e[0].opened && e[1].opened && both_have_all(e)) || e[1].over;
}

static void open_door(struct door *d)
{
    struct kr_err e = { 0 };
    *d = (struct door){ 0 };
    here_loop(&d->h);
    d->listener = listen_tcp(d->h.loop, S("127.0.0.1"), 0, accepted, d, &e);
    if (!CHECK(d->listener))
        abort();
}

/* Connects, and sends n bytes both ways. */
static void meet(struct door *d, const struct tls *server, const struct tls *client, struct str name, size_t n)
{
    link_close(d->e[0].l);
    link_close(d->e[1].l);
    d->tls = server;
    d->e[0] = d->e[1] = (struct end){ .to_write = n };
    d->e[1].l = link_connect(d->h.loop, &(struct link_target){ .host = S("127.0.0.1"), .port = listener_port(d->listener), .tls = client, .server_name = name },
                             (struct link_user){ ready, &d->e[1] });
    run(&d->h, both_open_or_over, d->e);
}

static void close_door(struct door *d)
{
    link_close(d->e[0].l);
    link_close(d->e[1].l);
    listener_close(d->listener);
    loop_free(d->h.loop);
}

TEST(a_listener_says_its_port_and_a_refused_connection_why)
{
    struct door d;
    struct kr_err e = { 0 };
    open_door(&d);
    uint16_t port = listener_port(d.listener);
    CHECK(port > 0);
    meet(&d, NULL, NULL, S(""), 100000);
    CHECK_INT(d.e[0].got, 100000);
    CHECK(str_starts(link_peer(d.e[0].l), S("127.0.0.1:")));
    CHECK(!listen_tcp(d.h.loop, S("127.0.0.1"), port, accepted, &d, &e));
    CHECK(e.code != KR_OK && e.msg[0]);
    listener_close(d.listener);
    struct end lone = { 0 };
    lone.l = link_connect(d.h.loop, &(struct link_target){ .host = S("127.0.0.1"), .port = port }, (struct link_user){ ready, &lone });
    here_until(&d.h, &lone.over);
    CHECK(lone.failed);
    CHECK_INT(link_error(lone.l)->code, KR_UNAVAILABLE);
    char want[64];
    snprintf(want, sizeof want, "127.0.0.1:%u: connect: ", port);
    CHECK(str_starts(str_of(lone.why), str_of(want)));
    link_close(lone.l);
    d.listener = listen_tcp(d.h.loop, S("127.0.0.1"), 0, accepted, &d, &e);
    close_door(&d);
}

/* A queue that is full drops what else asks to come in. -1: somebody else has the port. */
static int silent_door(uint16_t port, int guests[2])
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0) {
        close(fd);
        return -1;
    }
    CHECK_INT(listen(fd, 0), 0);
    for (int i = 0; i < 2; i++) {
        guests[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(guests[i], (struct sockaddr *)&a, sizeof a);
    }
    return fd;
}

TEST(an_address_that_never_answers_does_not_hide_the_next)
{
    struct door d = { 0 };
    struct kr_err e = { 0 };
    int guests[2] = { -1, -1 }, silent = -1;
    uint16_t port = 0;
    here_loop(&d.h);
    for (int tries = 0; tries < 100 && silent < 0; tries++) {        /* until a port is free in both families */
        if (d.listener) listener_close(d.listener);
        d.listener = listen_tcp(d.h.loop, S("::1"), 0, accepted, &d, &e);
        if (!d.listener) {                        /* not every machine has IPv6 */
            loop_free(d.h.loop);
            return;
        }
        port = listener_port(d.listener);
        silent = silent_door(port, guests);
    }
    CHECK(silent >= 0);
    d.e[1].l = link_connect(d.h.loop, &(struct link_target){ .host = S("localhost"), .port = port }, (struct link_user){ ready, &d.e[1] });
    here_skip(&d.h, 2000000);
    here_until(&d.h, &d.e[1].opened);
    CHECK(str_starts(link_peer(d.e[1].l), S("[::1]:")));
    CHECK_INT(link_error(d.e[1].l)->code, KR_OK);
    close(guests[0]), close(guests[1]), close(silent);
    close_door(&d);
}

/* Who vanished from a connection that is held back tells nobody: the kernel asks. */
TEST(a_connection_that_was_accepted_is_probed)
{
    struct door d;
    int on = 0;
    socklen_t n = sizeof on;
    open_door(&d);
    meet(&d, NULL, NULL, S(""), 10);
    CHECK_INT(getsockopt(d.fd, SOL_SOCKET, SO_KEEPALIVE, &on, &n), 0);
    CHECK(on);
    close_door(&d);
}

/* From then on nothing of the other end gets through to fd. */
static void vanish(int fd)
{
    struct sock_filter nothing = { .code = BPF_RET | BPF_K, .k = 0 };
    struct sock_fprog all = { .len = 1, .filter = &nothing };
    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof all), 0);
}

static bool is_acknowledged(int fd)
{
    struct tcp_info i = { 0 };
    socklen_t n = sizeof i;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &n) == 0 && !i.tcpi_unacked;
}

/* While a byte is on its way the kernel doesn't probe. Who is there and takes nothing more has acknowledged what he took. */
TEST(who_vanishes_is_noticed_while_something_is_on_its_way)
{
    static const struct { bool there, held; } rows[] = { { false, false }, { false, true }, { true, false } };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct door d;
        open_door(&d);
        meet(&d, NULL, NULL, S(""), 10);
        link_pause_read(d.e[0].l, rows[i].held);
        link_pause_read(d.e[1].l, true);
        if (!rows[i].there)
            vanish(d.fd);
        d.e[0].to_write = rows[i].there ? 30000000 : 20;
        link_want_write(d.e[0].l, true);
        while (d.e[0].written < 20 || (rows[i].there && !is_acknowledged(d.fd)))
            here_run(&d.h, 1000);
        for (int late = 0; late < 2; late++) {
            fault_silence_ms = late ? 45000 : 30000;
            here_skip(&d.h, 15000000);
            here_run(&d.h, 2000);
            CHECK_INT(d.e[0].over, late && !rows[i].there);
        }
        fault_silence_ms = 0;
        CHECK(rows[i].there || str_find(str_of(d.e[0].why), S("timed out")) > 0);
        close_door(&d);
    }
}

static const char *const h2_first[] = { "h2", "http/1.1", NULL }, *const only_h1[] = { "http/1.1", NULL };
static int64_t now(void) { return clock_system.wall_us(&clock_system); }

static void issue(struct tls_pair *ret, const struct tls_pair *ca, struct str cn, struct str name, unsigned usage, int64_t at)
{
    struct kr_err e = { 0 };
    CHECK_INT(tls_issue(ret, ca, &(struct tls_request){ .common_name = cn, .names = &name, .nnames = 1, .usage = usage, .now_us = at, .days = 1 }, &e), 0);
}
static struct tls *serving(const struct tls_pair *leaf, const struct tls_pair *ca, bool need)
{
    struct kr_err e = { 0 };
    struct tls *t = tls_server_new(&(struct tls_config){ .ca = ca ? buf_view(&ca->cert) : S(""), .cert = buf_view(&leaf->cert), .key = buf_view(&leaf->key),
                                                         .alpn = h2_first, .need_client_cert = need }, &e);
    CHECK(t);
    return t;
}
static struct tls *trusting(const struct tls_pair *ca, const struct tls_pair *me, const char *const *alpn)
{
    struct kr_err e = { 0 };
    struct tls *t = tls_client_new(&(struct tls_config){ .ca = buf_view(&ca->cert), .cert = me ? buf_view(&me->cert) : S(""),
                                                         .key = me ? buf_view(&me->key) : S(""), .alpn = alpn }, &e);
    CHECK(t);
    return t;
}

TEST(tls_takes_the_right_server_and_no_other)
{
    struct door d;
    struct kr_err e = { 0 };
    struct tls_pair ca = { 0 }, other = { 0 }, leaf = { 0 }, old = { 0 };
    CHECK_INT(tls_make_ca(&ca, S("ca"), now(), 10, &e) | tls_make_ca(&other, S("other"), now(), 10, &e), 0);
    issue(&leaf, &ca, S("server"), S("right.example"), TLS_FOR_SERVER, now());
    issue(&old, &ca, S("server"), S("right.example"), TLS_FOR_SERVER, now() - 5 * 86400ll * 1000000);
    struct tls *server = serving(&leaf, NULL, false), *expired = serving(&old, NULL, false);
    struct tls *client = trusting(&ca, NULL, h2_first), *h1 = trusting(&ca, NULL, only_h1), *wrong = trusting(&other, NULL, h2_first);
    open_door(&d);
    meet(&d, server, client, S("right.example"), 2000000);
    CHECK(d.e[0].got == 2000000 && d.e[1].got == 2000000 && !d.e[0].wrong && !d.e[1].wrong);
    CHECK_Z(d.e[0].alpn, "h2");
    CHECK_Z(d.e[1].alpn, "h2");
    meet(&d, server, h1, S("right.example"), 10);
    CHECK_Z(d.e[1].alpn, "http/1.1");
    const struct { struct tls *server, *client; struct str name; } refused[] = {
        { server, client, S("wrong.example") }, { server, wrong, S("right.example") }, { expired, client, S("right.example") }, { NULL, client, S("right.example") } };
    for (size_t i = 0; i < LEN(refused); i++) {
        meet(&d, refused[i].server, refused[i].client, refused[i].name, 10);
        CHECK(d.e[1].over && d.e[1].failed && !d.e[1].opened);
        CHECK(!refused[i].server || !(d.e[0].got + d.e[1].got));
        CHECK(d.e[1].why[0]);
    }
    close_door(&d);
    tls_free(server), tls_free(expired), tls_free(client), tls_free(h1), tls_free(wrong);
    tls_pair_free(&ca), tls_pair_free(&other), tls_pair_free(&leaf), tls_pair_free(&old);
}

TEST(tls_has_a_limit_on_what_waits)
{
    struct kr_err e = { 0 };
    struct tls_pair ca = { 0 };
    size_t n = LIMIT_TLS_BUFFER + (size_t)1;
    void *zeros = mmap(NULL, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK_OR(zeros != MAP_FAILED && tls_make_ca(&ca, S("ca"), now(), 10, &e) == 0);
    struct tls *client = trusting(&ca, NULL, h2_first);
    struct tls_session *s = tls_session_new(client, S("x"), &e);
    CHECK_INT(tls_session_handshake(s, &e), 0);
    tls_session_feed(s, zeros, n);
    CHECK_INT(tls_session_handshake(s, &e), -1);
    CHECK(e.code != KR_OK && e.msg[0]);
    tls_session_free(s);
    tls_free(client);
    tls_pair_free(&ca);
}

static long reset(enum fault_call call, int fd, size_t n)
{
    (void)fd;
    return call == FAULT_SEND ? -ECONNRESET : (long)n;
}

/* Who writes hears at once that the socket is gone: nobody calls ready for it any more. */
TEST(a_write_that_the_socket_refuses_fails_beneath_tls_too)
{
    struct door d;
    struct kr_err e = { 0 };
    struct tls_pair ca = { 0 }, leaf = { 0 };
    CHECK_INT(tls_make_ca(&ca, S("ca"), now(), 10, &e), 0);
    issue(&leaf, &ca, S("server"), S("127.0.0.1"), TLS_FOR_SERVER, now());
    struct tls *server = serving(&leaf, &ca, false), *client = trusting(&ca, NULL, h2_first);
    for (int with_tls = 0; with_tls < 2; with_tls++) {
        open_door(&d);
        meet(&d, with_tls ? server : NULL, with_tls ? client : NULL, S(""), 10);
        fault_ask = reset;
        CHECK_INT(link_write(d.e[1].l, "x", 1), -1);
        CHECK_INT(link_error(d.e[1].l)->code, KR_UNAVAILABLE);
        fault_ask = NULL;
        close_door(&d);
    }
    tls_free(server);
    tls_free(client);
    tls_pair_free(&ca);
    tls_pair_free(&leaf);
}

/* What both ends of a door have agreed on: certificates are made once, of which only the configurations stay. */
struct agreed { struct tls *server, *client; };
static void agree(struct agreed *t)
{
    struct kr_err e = { 0 };
    struct tls_pair ca = { 0 }, leaf = { 0 };
    CHECK_INT(tls_make_ca(&ca, S("ca"), now(), 10, &e), 0);
    issue(&leaf, &ca, S("server"), S("127.0.0.1"), TLS_FOR_SERVER, now());
    *t = (struct agreed){ serving(&leaf, &ca, false), trusting(&ca, NULL, h2_first) };
    tls_pair_free(&ca);
    tls_pair_free(&leaf);
}

/* Anybody on the way can end a TCP connection: that is no end of what was sent over TLS. */
TEST(an_end_without_close_notify_is_an_error)
{
    struct door d;
    struct agreed t;
    agree(&t);
    for (int with_tls = 0; with_tls < 2; with_tls++)
        for (int says_so = 0; says_so < 2; says_so++) {
            open_door(&d);
            meet(&d, with_tls ? t.server : NULL, with_tls ? t.client : NULL, S(""), 10);
            if (says_so)
                link_close(TAKE(d.e[0].l));
            else
                shutdown(d.fd, SHUT_RDWR);
            here_until(&d.h, &d.e[1].over);
            CHECK_INT(d.e[1].failed, with_tls && !says_so);
            char byte;
            CHECK_INT(link_read(d.e[1].l, &byte, 1), -1);     /* and asking again changes nothing */
            CHECK_INT(link_error(d.e[1].l)->code, with_tls && !says_so ? KR_UNAVAILABLE : KR_OK);
            close_door(&d);
        }
    tls_free(t.server);
    tls_free(t.client);
}

struct pipe { int fd; bool keeps; struct buf out; };      /* out: what is not sent yet */

static int plain_socket(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}
static size_t fill_socket(int fd, struct str bytes)
{
    size_t sent = 0;
    for (ssize_t n; sent < bytes.n && (n = send(fd, bytes.p + sent, bytes.n - sent, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0;)
        sent += (size_t)n;
    return sent;
}
static int pipe_send(void *ctx, const unsigned char *bytes, size_t n)
{
    struct pipe *p = ctx;
    if (!p->keeps)
        return (int)fill_socket(p->fd, (struct str){ (const char *)bytes, n });
    buf_add(&p->out, bytes, n);
    return (int)n;
}
static int pipe_recv(void *ctx, unsigned char *bytes, size_t n)
{
    ssize_t got = recv(((struct pipe *)ctx)->fd, bytes, n, MSG_DONTWAIT);
    return got < 0 ? MBEDTLS_ERR_SSL_WANT_READ : (int)got;
}

static bool is_held_back(void *ctx) { return link_has_unsent(((struct end *)ctx)->l); }
static bool all_is_sent(void *ctx) { return !is_held_back(ctx); }

TEST(what_tls_took_and_the_socket_did_not_is_told)
{
    struct door d;
    struct agreed t;
    agree(&t);
    open_door(&d);
    meet(&d, t.server, t.client, S(""), 10);
    CHECK(!link_has_unsent(d.e[0].l));
    link_pause_read(d.e[1].l, true);
    d.e[0].to_write = 30000000;
    link_want_write(d.e[0].l, true);
    run(&d.h, is_held_back, &d.e[0]);
    d.e[0].to_write = d.e[0].written;             /* the owner has no more to say: what is left is the link's */
    link_pause_read(d.e[1].l, false);
    run(&d.h, all_is_sent, &d.e[0]);
    run(&d.h, both_have_all, d.e);
    CHECK_INT(d.e[1].got, d.e[0].written);
    close_door(&d);
    tls_free(t.server);
    tls_free(t.client);
}

/* ChangeCipherSpec means nothing in TLS 1.3, and any number of it is allowed. */
TEST(a_handshake_that_gets_nowhere_ends)
{
    static const char nothing[] = { 20, 3, 3, 0, 1, 1 };
    struct kr_err e = { 0 };
    struct agreed t;
    agree(&t);
    struct tls_session *client = tls_session_new(t.client, S("127.0.0.1"), &e), *server = tls_session_new(t.server, S(""), &e);
    CHECK_INT(tls_session_handshake(client, &e), 0);
    struct str hello = tls_session_pending(client);
    tls_session_feed(server, hello.p, hello.n);
    CHECK_INT(tls_session_handshake(server, &e), 0);
    size_t fed = hello.n;
    for (; fed + sizeof nothing <= LIMIT_TLS_HANDSHAKE; fed += sizeof nothing)
        tls_session_feed(server, nothing, sizeof nothing);
    CHECK_INT(tls_session_handshake(server, &e), 0);
    tls_session_feed(server, nothing, sizeof nothing);
    CHECK_INT(tls_session_handshake(server, &e), -1);
    CHECK_INT(e.code, KR_PROTOCOL);
    tls_session_free(client);
    tls_session_free(server);
    tls_free(t.server);
    tls_free(t.client);
}

static void look(struct link *l, void *ctx) { *(bool *)ctx |= !link_is_open(l); }

/* Who is held back has much to read yet when the other end is gone, and would never come to its end. */
TEST(a_link_that_is_held_back_hears_that_the_other_end_is_gone)
{
    struct door d;
    struct linger at_once = { 1, 0 };
    bool dead = false;
    int waiting = 0;
    open_door(&d);
    d.e[0].to_write = 300000;
    int fd = plain_socket(listener_port(d.listener));
    struct link *l = link_accept(d.h.loop, fd, NULL, (struct link_user){ look, &dead });
    link_pause_read(l, true);
    for (int n = 0; n < 60000 && (!d.e[0].l || waiting < 20000); n++) {
        here_run(&d.h, 1000);
        ioctl(fd, FIONREAD, &waiting);
    }
    CHECK(!dead && waiting >= 20000);
    fd = link_detach(TAKE(d.e[0].l));
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    here_until(&d.h, &dead);
    CHECK_INT(link_error(l)->code, KR_UNAVAILABLE);
    link_close(l);
    close_door(&d);
}

/* TLS of our own at the other end, whose records are ours to choose. */
struct by_hand { struct door d; struct agreed t; mbedtls_ssl_context ssl; struct pipe p; };
static void begin_by_hand(struct by_hand *x)
{
    *x = (struct by_hand){ .p = { .out = { .max = 1 << 24 } } };
    agree(&x->t);
    open_door(&x->d);
    x->d.tls = x->t.server;
    x->p.fd = plain_socket(listener_port(x->d.listener));
    mbedtls_ssl_init(&x->ssl);
    CHECK_INT(mbedtls_ssl_setup(&x->ssl, &x->t.client->core->conf), 0);
    CHECK_INT(mbedtls_ssl_set_hostname(&x->ssl, "127.0.0.1"), 0);
    mbedtls_ssl_set_bio(&x->ssl, &x->p, pipe_send, pipe_recv, NULL);
    for (int n = 0; n < 60000 && mbedtls_ssl_handshake(&x->ssl) == MBEDTLS_ERR_SSL_WANT_READ; n++)
        here_run(&x->d.h, 1000);
    for (int n = 0; n < 60000 && !x->d.e[0].opened; n++)
        here_run(&x->d.h, 1000);
    x->p.keeps = true;
}
static void end_by_hand(struct by_hand *x)
{
    mbedtls_ssl_free(&x->ssl);
    close(x->p.fd);
    buf_free(&x->p.out);
    close_door(&x->d);
    tls_free(x->t.server);
    tls_free(x->t.client);
}
static int warn(struct by_hand *x) { return mbedtls_ssl_send_alert_message(&x->ssl, MBEDTLS_SSL_ALERT_LEVEL_WARNING, MBEDTLS_SSL_ALERT_MSG_USER_CANCELED); }

/* Warnings are records that hold nothing for who reads. */
TEST(records_that_hold_nothing_leave_the_others_their_turn)
{
    struct by_hand x;
    int waiting = 0;
    begin_by_hand(&x);
    link_pause_read(x.d.e[0].l, true);
    while (x.p.out.n < 4 << 20)
        CHECK_OR(warn(&x) == 0);
    size_t sent = fill_socket(x.p.fd, buf_view(&x.p.out));
    CHECK(sent > 17 * 16384);
    char byte;
    link_pause_read(x.d.e[0].l, false);
    CHECK_INT(link_read(x.d.e[0].l, &byte, 1), 0);
    CHECK(ioctl(x.d.fd, FIONREAD, &waiting) == 0 && waiting > 0);
    end_by_hand(&x);
}

/* What comes with them is read at once, as the socket has no more to tell; and they are no end. */
TEST(records_that_hold_nothing_do_not_hide_those_behind_them)
{
    static const struct { int warnings, empty; } rows[] = { { 1, 0 }, { 100, 0 }, { 0, 1 }, { 0, 2 }, { 0, 3 }, { 2, 2 } };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct by_hand x;
        begin_by_hand(&x);
        for (int n = 0; n < rows[i].warnings; n++)
            CHECK_INT(warn(&x), 0);
        for (int n = 0; n < rows[i].empty; n++)
            CHECK_INT(mbedtls_ssl_write(&x.ssl, (const unsigned char *)"", 0), 0);
        CHECK_INT(mbedtls_ssl_write(&x.ssl, (const unsigned char *)"\0", 1), 1);
        CHECK_INT(fill_socket(x.p.fd, buf_view(&x.p.out)), x.p.out.n);
        for (int n = 0; n < 2000 && !x.d.e[0].got && !x.d.e[0].over; n++)
            here_run(&x.d.h, 1000);
        if (!CHECK_INT(x.d.e[0].got, 1) | !CHECK(!x.d.e[0].over))
            printf("    row %zu: %s\n", i, x.d.e[0].why);
        end_by_hand(&x);
    }
}

TEST(client_certificates_are_of_the_right_authority)
{
    struct door d;
    struct kr_err e = { 0 };
    struct tls_pair ca = { 0 }, other = { 0 }, leaf = { 0 }, me = { 0 }, stranger = { 0 }, late = { 0 };
    CHECK_INT(tls_make_ca(&ca, S("ca"), now(), 10, &e) | tls_make_ca(&other, S("other"), now(), 10, &e), 0);
    issue(&leaf, &ca, S("server"), S("127.0.0.1"), TLS_FOR_SERVER, now());
    issue(&me, &ca, S("admin"), S("admin"), TLS_FOR_CLIENT, now());
    issue(&stranger, &other, S("admin"), S("admin"), TLS_FOR_CLIENT, now());
    issue(&late, &ca, S("admin"), S("admin"), TLS_FOR_CLIENT, now() - 5 * 86400ll * 1000000);
    struct tls *server = serving(&leaf, &ca, true), *lax = serving(&leaf, &ca, false);
    struct tls *with = trusting(&ca, &me, h2_first), *without = trusting(&ca, NULL, h2_first), *false_one = trusting(&ca, &stranger, h2_first);
    struct tls *expired = trusting(&ca, &late, h2_first);
    open_door(&d);
    meet(&d, server, with, S(""), 1000);
    CHECK_Z(d.e[0].cn, "admin");
    CHECK_INT(d.e[0].got, 1000);
    meet(&d, lax, without, S(""), 1000);
    CHECK_Z(d.e[0].cn, "");
    CHECK_INT(d.e[0].got, 1000);
    meet(&d, server, without, S(""), 1000);
    CHECK(d.e[1].over && d.e[1].failed && !d.e[0].got);
    struct tls *const refused[][2] = { { lax, false_one }, { lax, expired }, { server, expired } };
    for (size_t i = 0; i < LEN(refused); i++) {
        meet(&d, refused[i][0], refused[i][1], S(""), 1000);
        CHECK(d.e[1].over && d.e[1].failed && !d.e[0].got);
    }
    close_door(&d);
    CHECK(!tls_server_new(&(struct tls_config){ .cert = buf_view(&leaf.cert), .key = buf_view(&me.key) }, &e));
    CHECK(e.msg[0]);
    CHECK(!tls_server_new(&(struct tls_config){ .cert = S("no PEM"), .key = buf_view(&me.key) }, &e));
    tls_free(server), tls_free(lax), tls_free(with), tls_free(without), tls_free(false_one), tls_free(expired);
    tls_pair_free(&ca), tls_pair_free(&other), tls_pair_free(&leaf), tls_pair_free(&me), tls_pair_free(&stranger), tls_pair_free(&late);
}

TEST(names_of_certificates_are_plain)
{
    static const struct str bad[] = { S(""), S("a,O=system:masters"), S("a+b"), S("a\"b"), S("a\\b"), S("a<b"), S("a>b"), S("a;b"), S("a=b"), S("#a"), S("a\nb"),
                                      S("sixty-five-bytes-sixty-five-bytes-sixty-five-bytes-sixty-five-byte") };
    struct kr_err e = { 0 };
    struct tls_pair ca = { 0 }, leaf = { 0 };
    CHECK_OR(tls_make_ca(&ca, S("ca"), now(), 2, &e) == 0);
    for (size_t i = 0; i < LEN(bad); i++) {
        struct tls_pair none = { 0 };
        CHECK(tls_make_ca(&none, bad[i], now(), 1, &e) < 0 && e.code == KR_INVALID);
        CHECK(tls_issue(&none, &ca, &(struct tls_request){ .common_name = bad[i], .usage = TLS_FOR_CLIENT, .now_us = now(), .days = 1 }, &e) < 0 && e.code == KR_INVALID);
        CHECK(tls_issue(&none, &ca, &(struct tls_request){ .common_name = S("a"), .organisations = &bad[i], .norganisations = 1, .now_us = now(), .days = 1 }, &e) < 0 && e.code == KR_INVALID);
    }
    struct str many[64];
    for (size_t i = 0; i < LEN(many); i++)
        many[i] = S("h.example");
    CHECK(tls_issue(&leaf, &ca, &(struct tls_request){ .common_name = S("a"), .names = many, .nnames = LEN(many), .usage = TLS_FOR_SERVER, .now_us = now(), .days = 1 }, &e) < 0);
    CHECK_OR(tls_issue(&leaf, &ca, &(struct tls_request){ .common_name = S("a"), .usage = TLS_FOR_SERVER | TLS_FOR_CLIENT, .now_us = now(), .days = 1 }, &e) == 0);
    tls_pair_free(&leaf);
    CHECK(tls_issue(&leaf, &(struct tls_pair){ 0 }, &(struct tls_request){ .common_name = S("a"), .usage = TLS_FOR_SERVER, .now_us = now(), .days = 1 }, &e) < 0);
    tls_pair_free(&ca);
}
