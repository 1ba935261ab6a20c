/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every failure of I/O below HTTP/1.1, HTTP/2, TLS and gRPC, client and server in one loop: reads and writes of a few bytes, EINTR and
 * EAGAIN between any two, a connection that ends or breaks behind each byte, and one that takes no more at each write, on either side.
 */
#include "core/tls.h"
#include "grpc/grpc.h"
#include "grpc/http.h"
#include "tests/kit/faults.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum kind { PLAIN_11, PLAIN_2, TLS_11, TLS_2, GRPC, KINDS };
enum how { WELL, INTERRUPTED, NOT_YET, BREAKS, ENDS, REFUSES };
enum { BODY = 60, STEP_TLS = 61 };

/* What the calls to the sockets do. */
static struct {
    enum how how;
    size_t most;                                  /* bytes at a time; 0: all */
    uint16_t port;                                /* of the server: tells the sides apart */
    bool server;                                  /* the side that breaks */
    size_t left;                                  /* behind so many bytes that it receives, or so many writes (REFUSES) */
    uint32_t dice;
    bool broken;                                  /* once: connections after it are whole */
} net;

static bool on_server_side(int fd)
{
    struct sockaddr_in a = { 0 };
    socklen_t n = sizeof a;
    return getsockname(fd, (struct sockaddr *)&a, &n) == 0 && ntohs(a.sin_port) == net.port;
}

/* Lets the bytes through that are still to come before the break, as many as are there. */
static long until_the_break(int fd, size_t n)
{
    char there[16384];
    if (n > sizeof there)
        n = sizeof there;
    if (net.left) {
        ssize_t got = recvfrom(fd, there, net.left < n ? net.left : n, MSG_PEEK | MSG_DONTWAIT, NULL, NULL);
        if (got > 0)
            net.left -= (size_t)got;
        return got > 0 ? got : (long)n;           /* nothing there, or the end: as it is */
    }
    net.broken = true;
    if (net.how == ENDS)
        return 0;
    shutdown(fd, SHUT_RDWR);
    return -ECONNRESET;
}

static long ask(enum fault_call call, int fd, size_t n)
{
    if (call != FAULT_RECV && call != FAULT_SEND)
        return (long)n;
    net.dice = net.dice * 1664525 + 1013904223;   /* by chance: turn by turn one of the sides might never get one */
    if ((net.how == INTERRUPTED || net.how == NOT_YET) && net.dice >> 31)
        return net.how == INTERRUPTED ? -EINTR : -EAGAIN;
    if (call == FAULT_RECV && (net.how == BREAKS || net.how == ENDS) && !net.broken && on_server_side(fd) == net.server)
        return until_the_break(fd, n);
    if (call == FAULT_SEND && net.how == REFUSES && !net.broken && on_server_side(fd) == net.server && !net.left--) {
        net.broken = true;
        return -EPIPE;
    }
    return net.most ? (long)net.most : (long)n;
}

/* ---- both ends ------------------------------------------------------------------------------------------------------- */

struct fixture {
    struct here h;
    struct tls *tls_server, *tls_client;
    struct httpd *d;
    struct httpc *c;
    struct grpc_server *gs;
    struct grpc_client *gc;
};
struct call { bool over, failed; int status; struct buf body; };

static void echo(struct hreq *r, struct str body, const struct kr_err *e)
{
    if (!e)
        hreq_respond(r, 200, (struct http_fields){ 0 }, body);
}
static void on_begin(struct hreq *r, void *ctx) { (void)ctx; hreq_collect(r, 65536, echo); }
static void on_gone(struct hreq *r) { (void)r; }
static void grpc_echo(struct grpc_request *r, struct str m)
{
    grpc_reply(r, m);
    grpc_end(r, GRPC_OK, S(""));
}
static const struct grpc_method methods[] = { { .name = "Echo", .message = grpc_echo }, { 0 } };
static const struct grpc_service service = { "test.Test", methods, NULL };

static void make_tls(struct fixture *x)
{
    static const char *const alpn[] = { "h2", "http/1.1", NULL };
    static struct tls_pair ca, leaf;              /* once for all: keys take their time */
    struct kr_err e = { 0 };
    struct str name = S("127.0.0.1");
    int64_t now = clock_system.wall_us(&clock_system);
    if (!ca.cert.n)
        CHECK(tls_make_ca(&ca, S("ca"), now, 2, &e) == 0 &&
              tls_issue(&leaf, &ca, &(struct tls_request){ .common_name = S("s"), .names = &name, .nnames = 1, .usage = TLS_FOR_SERVER, .now_us = now, .days = 1 }, &e) == 0);
    x->tls_server = tls_server_new(&(struct tls_config){ .cert = buf_view(&leaf.cert), .key = buf_view(&leaf.key), .alpn = alpn }, &e);
    x->tls_client = tls_client_new(&(struct tls_config){ .ca = buf_view(&ca.cert), .alpn = alpn }, &e);
    if (!CHECK(x->tls_server && x->tls_client))
        abort();
}

static void begin(struct fixture *x, enum kind kind)
{
    struct kr_err e = { 0 };
    *x = (struct fixture){ 0 };
    here_loop(&x->h);
    if (kind == TLS_11 || kind == TLS_2)
        make_tls(x);
    if (kind == GRPC) {
        x->gs = grpc_server_new(x->h.loop, &(struct grpc_server_config){ .host = S("127.0.0.1"), .services = &service, .n = 1 }, &e);
        if (!CHECK(x->gs))
            abort();
        net.port = grpc_server_port(x->gs);
        x->gc = grpc_client_new(x->h.loop, S("127.0.0.1"), net.port);
        return;
    }
    x->d = httpd_new(x->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .tls = x->tls_server, .user = { .begin = on_begin, .gone = on_gone } }, &e);
    if (!CHECK(x->d))
        abort();
    net.port = httpd_port(x->d);
    x->c = httpc_new(x->h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = net.port, .tls = x->tls_client },
                                                        .version = kind == PLAIN_2 ? HTTP_2 : kind == PLAIN_11 || kind == TLS_11 ? HTTP_11 : HTTP_ANY });
}

static void end(struct fixture *x)
{
    grpc_client_free(x->gc);
    grpc_server_free(x->gs);
    if (x->c)
        httpc_free(x->c);
    httpd_free(x->d);
    tls_free(x->tls_client);
    tls_free(x->tls_server);
    loop_free(x->h.loop);
}

static void c_head(struct hcall *h, int status, struct http_fields f) { (void)f; ((struct call *)hcall_ctx(h))->status = status; }
static void c_data(struct hcall *h, struct str b) { buf_str(&((struct call *)hcall_ctx(h))->body, b); }
static void over(struct call *q)
{
    CHECK(!q->over);                              /* it ends once */
    q->over = true;
}
static void c_end(struct hcall *h, struct http_fields t) { (void)t; over(hcall_ctx(h)); }
static void c_failed(struct hcall *h, const struct kr_err *e)
{
    struct call *q = hcall_ctx(h);
    CHECK(e->code != KR_OK && e->msg[0]);
    q->failed = true;
    over(q);
}
static void g_message(void *ctx, struct str m) { buf_str(&((struct call *)ctx)->body, m); }
static void g_done(void *ctx, int status, struct str text)
{
    struct call *q = ctx;
    (void)text;
    q->status = status == GRPC_OK ? 200 : status;
    q->failed = status != GRPC_OK;
    over(q);
}

/* One call; true when it came back whole. What comes back otherwise is a failure, never something else. */
static bool call(struct fixture *x)
{
    struct call q = { .body = { .max = 65536 } };
    char body[BODY];
    for (int i = 0; i < BODY; i++)
        body[i] = (char)('a' + i % 26);
    struct str sent = { body, sizeof body };
    if (x->gc)
        grpc_call(x->gc, "/test.Test/Echo", sent, &(struct grpc_options){ .timeout_us = 200000000 }, (struct grpc_user){ g_message, g_done, &q });
    else
        httpc_call(x->c, &(struct httpc_request){ .method = S("POST"), .path = S("/echo"), .authority = S("t"), .body = sent },
                   (struct hcall_user){ .head = c_head, .data = c_data, .end = c_end, .failed = c_failed, .ctx = &q });
    here_until(&x->h, &q.over);
    CHECK(q.failed || (q.status == 200 && str_eq(buf_view(&q.body), sent)));
    bool whole = q.over && !q.failed;
    buf_free(&q.body);
    return whole;
}

/* ---- the sweeps ------------------------------------------------------------------------------------------------------ */

static void small_pieces(enum kind kind)
{
    static const struct { enum how how; size_t most; } ways[] = { { WELL, 1 }, { WELL, 3 }, { WELL, 100 }, { INTERRUPTED, 7 }, { NOT_YET, 1 }, { NOT_YET, 0 } };
    fault_ask = ask;
    for (size_t i = 0; i < LEN(ways); i++) {
        struct fixture x;
        net = (__typeof__(net)){ .how = ways[i].how, .most = ways[i].most };
        begin(&x, kind);
        for (int n = 0; n < 2; n++)
            CHECK(call(&x));
        end(&x);
    }
    fault_ask = NULL;
}

TEST(pieces_of_every_size_over_http1) { small_pieces(PLAIN_11); }
TEST(pieces_of_every_size_over_http2) { small_pieces(PLAIN_2); }
TEST(pieces_of_every_size_over_http1_and_tls) { small_pieces(TLS_11); }
TEST(pieces_of_every_size_over_http2_and_tls) { small_pieces(TLS_2); }
TEST(pieces_of_every_size_of_grpc) { small_pieces(GRPC); }

/* A first call whose connection breaks, and the next one, which has another. True while the break was reached. */
static bool break_once(enum kind kind, enum how how, int side, size_t left, size_t *broken)
{
    struct fixture x;
    net = (__typeof__(net)){ .how = how, .server = side == 1, .left = left };
    begin(&x, kind);
    bool whole = call(&x);
    CHECK(net.broken || whole);
    bool reached = net.broken;
    *broken += !whole;
    net.how = WELL;
    CHECK(call(&x) || call(&x));                  /* the second may meet what is left of the first connection */
    end(&x);
    return reached;
}

/* Behind each byte that a side receives. */
static void break_behind_each(enum kind kind, size_t step)
{
    fault_ask = ask;
    for (int side = 0; side < 2; side++) {
        size_t broken = 0, at = 0;
        while (break_once(kind, at / step % 2 ? ENDS : BREAKS, side, at, &broken))
            at += step;
        CHECK(broken > 3);
    }
    fault_ask = NULL;
}

/* At each of a side's writes. */
static void refuse_each(enum kind kind)
{
    fault_ask = ask;
    for (int side = 0; side < 2; side++) {
        size_t broken = 0, at = 0;
        while (break_once(kind, REFUSES, side, at, &broken))
            at++;
        CHECK(broken > 0);
    }
    fault_ask = NULL;
}

TEST(a_connection_refuses_each_write_of_http1) { refuse_each(PLAIN_11); }
TEST(a_connection_refuses_each_write_of_http2) { refuse_each(PLAIN_2); }
TEST(a_connection_refuses_each_write_of_grpc) { refuse_each(GRPC); }
TEST(a_connection_refuses_each_write_of_tls_and_http1) { refuse_each(TLS_11); }
TEST(a_connection_refuses_each_write_of_tls_and_http2) { refuse_each(TLS_2); }

TEST(a_connection_breaks_behind_each_byte_of_http1) { break_behind_each(PLAIN_11, 1); }
TEST(a_connection_breaks_behind_each_byte_of_http2) { break_behind_each(PLAIN_2, 1); }
TEST(a_connection_breaks_behind_each_byte_of_grpc) { break_behind_each(GRPC, 1); }
TEST(a_connection_breaks_within_tls_and_http1) { break_behind_each(TLS_11, STEP_TLS); }
TEST(a_connection_breaks_within_tls_and_http2) { break_behind_each(TLS_2, STEP_TLS); }
