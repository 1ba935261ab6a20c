/* SPDX-License-Identifier: Apache-2.0 */
/* http: server and client against each other on loopback sockets, each story with HTTP/1.1 and with HTTP/2. */
#include "grpc/http.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>
#include <sys/mman.h>

#define NONE ((struct http_fields){ 0 })
enum { BIG = 3000000 };

struct call { struct hcall *c; int status; size_t got; bool over, failed, wrong, cancel_in_data; enum kr_code code; };
struct fixture {
    struct here h;
    struct httpd *d;
    struct httpc *c;
    enum http_version version;
    int begun, gone, now, most;                   /* exchanges; how many at once */
    struct link *links[8]; int nlinks;            /* connections seen */
    struct hreq *held;                            /* /hold: answered by the test */
    size_t received;
};

static void note_link(struct fixture *x, struct link *l)
{
    for (int i = 0; i < x->nlinks; i++)
        if (x->links[i] == l)
            return;
    if (x->nlinks < (int)LEN(x->links))
        x->links[x->nlinks++] = l;
}
static bool is(struct hreq *r, const char *path) { return str_is(hreq_path(r), path); }
static struct fixture *the;                       /* exchanges have no room for more than one pointer */

static void collected(struct hreq *r, struct str body, const struct kr_err *e)
{
    if (!e) {
        the->received += body.n;
        hreq_respond(r, 200, NONE, body);
    }
}
static void on_begin(struct hreq *r, void *ctx)
{
    struct fixture *x = ctx;
    hreq_set_user(r, x);
    x->begun++;
    x->most = ++x->now > x->most ? x->now : x->most;
    note_link(x, hreq_link(r));
    if (is(r, "/echo"))
        hreq_collect(r, BIG, collected);
    else if (is(r, "/early"))
        hreq_respond(r, 403, NONE, S("no"));
    else if (is(r, "/reset"))
        hreq_reset(r, 2);
}
static void on_data(struct hreq *r, struct str b) { ((struct fixture *)hreq_user(r))->received += b.n; }
static void on_end(struct hreq *r)
{
    static char big[BIG];
    struct fixture *x = hreq_user(r);
    if (is(r, "/hold"))
        x->held = r;
    else if (is(r, "/big"))
        hreq_respond(r, 200, NONE, (struct str){ big, BIG });
    else if (is(r, "/small"))
        hreq_respond(r, 200, NONE, S("hello"));
}
static void on_gone(struct hreq *r)
{
    struct fixture *x = hreq_user(r);
    x->gone++;
    x->now--;
    if (x->held == r)
        x->held = NULL;
}

static void begin(struct fixture *x, enum http_version v)
{
    struct kr_err e = { 0 };
    *x = (struct fixture){ .version = v };
    the = x;
    here_loop(&x->h);
    x->d = httpd_new(x->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { on_begin, on_data, on_end, NULL, on_gone, x } }, &e);
    if (!CHECK(x->d))
        abort();
    x->c = httpc_new(x->h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = httpd_port(x->d) }, .version = v });
}
static void end(struct fixture *x)
{
    httpc_free(x->c);
    httpd_free(x->d);
    CHECK_INT(x->begun, x->gone);                 /* every exchange ends exactly once */
    loop_free(x->h.loop);
}

static void c_head(struct hcall *h, int status, struct http_fields f) { (void)f; ((struct call *)hcall_ctx(h))->status = status; }
static void c_data(struct hcall *h, struct str b)
{
    struct call *q = hcall_ctx(h);
    CHECK(!q->over);
    q->got += b.n;
    if (q->cancel_in_data) {
        q->over = true;
        hcall_cancel(TAKE(q->c));
    }
}
static void c_end(struct hcall *h, struct http_fields t)
{
    (void)t;
    struct call *q = hcall_ctx(h);
    CHECK(!q->over);
    q->over = true;
}
static void c_failed(struct hcall *h, const struct kr_err *e)
{
    struct call *q = hcall_ctx(h);
    CHECK(!q->over);
    q->over = q->failed = true;
    q->code = e->code;
}

static void start(struct fixture *x, struct call *q, struct httpc_request r)
{
    bool cancel = q->cancel_in_data;
    *q = (struct call){ .cancel_in_data = cancel };
    r.authority = S("test");
    q->c = httpc_call(x->c, &r, (struct hcall_user){ .head = c_head, .data = c_data, .end = c_end, .failed = c_failed, .ctx = q });
}
#define START(x, q, ...) start(x, q, (struct httpc_request){ __VA_ARGS__ })

static void plain_story(enum http_version v)
{
    static char body[BIG + 1];
    struct fixture x;
    struct call q = { 0 };
    begin(&x, v);
    const struct { struct str method, path, body; int status; size_t got; } rows[] = {
        { S("GET"), S("/small"), { 0 }, 200, 5 }, { S("HEAD"), S("/small"), { 0 }, 200, 0 }, { S("GET"), S("/big"), { 0 }, 200, BIG },
        { S("POST"), S("/echo"), S("abc"), 200, 3 }, { S("POST"), S("/echo"), { body, BIG }, 200, BIG }, { S("POST"), S("/small"), S("unread"), 200, 5 } };
    for (size_t i = 0; i < LEN(rows); i++) {
        START(&x, &q, .method = rows[i].method, .path = rows[i].path, .body = rows[i].body);
        here_until(&x.h, &q.over);
        CHECK(!q.failed);
        CHECK_INT(q.status, rows[i].status);
        CHECK_INT(q.got, rows[i].got);
    }
    CHECK_INT(x.nlinks, 1);                       /* one connection for all */
    START(&x, &q, .method = S("POST"), .path = S("/echo"), .body = { body, BIG + 1 });
    here_until(&x.h, &q.over);
    CHECK(q.failed || q.status == 413);
    START(&x, &q, .method = S("GET"), .path = S("/small"));
    here_until(&x.h, &q.over);
    CHECK_INT(q.status, 200);
    end(&x);
}
TEST(requests_are_answered_over_http1) { plain_story(HTTP_11); }
TEST(requests_are_answered_over_http2) { plain_story(HTTP_2); }

static void trouble_story(enum http_version v)
{
    struct fixture x;
    struct call q = { 0 }, late = { 0 };
    begin(&x, v);
    START(&x, &q, .method = S("POST"), .path = S("/early"), .body = S("begun"), .more = true);
    here_until(&x.h, &q.over);                    /* the answer comes before the request has ended */
    CHECK(!q.failed);
    CHECK_INT(q.status, 403);
    START(&x, &q, .method = S("GET"), .path = S("/reset"));
    here_until(&x.h, &q.over);
    CHECK(q.failed && q.code != KR_DEADLINE);
    START(&x, &late, .method = S("GET"), .path = S("/hold"), .deadline_us = loop_now_us(x.h.loop) + 5000000);
    here_until_is(&x.h, &x.now, 1);
    here_skip(&x.h, 5000001);
    here_until(&x.h, &late.over);
    CHECK_INT(late.code, KR_DEADLINE);
    q.cancel_in_data = true;
    START(&x, &q, .method = S("GET"), .path = S("/big"));
    here_until(&x.h, &q.over);
    CHECK(q.got > 0 && q.got < BIG);
    q.cancel_in_data = false;
    START(&x, &q, .method = S("GET"), .path = S("/small"));
    here_until(&x.h, &q.over);
    CHECK_INT(q.status, 200);
    START(&x, &q, .method = S("GET"), .path = S("/hold"));
    httpc_free(TAKE(x.c));
    CHECK(q.over && q.code == KR_CANCELLED);
    end(&x);
}
TEST(resets_deadlines_and_cancels_end_a_call_over_http1) { trouble_story(HTTP_11); }
TEST(resets_deadlines_and_cancels_end_a_call_over_http2) { trouble_story(HTTP_2); }

static void many_story(enum http_version v, int most)
{
    enum { N = 300 };
    struct fixture x;
    static struct call q[N];
    begin(&x, v);
    for (int i = 0; i < N; i++)
        START(&x, &q[i], .method = S("POST"), .path = S("/echo"), .body = S("0123456789"));
    for (int i = 0; i < N; i++) {
        here_until(&x.h, &q[i].over);
        CHECK(!q[i].failed && q[i].status == 200 && q[i].got == 10);
    }
    CHECK_INT(x.received, 10 * N);
    CHECK(x.most <= most);
    end(&x);
}
TEST(calls_beyond_what_the_server_takes_wait_over_http1) { many_story(HTTP_11, 8); }
TEST(calls_beyond_what_the_server_takes_wait_over_http2) { many_story(HTTP_2, 299); }

TEST(while_a_server_drains_what_is_under_way_may_end)
{
    struct fixture x;
    struct call q = { 0 }, late = { 0 };
    struct kr_err e = { 0 };
    begin(&x, HTTP_2);
    START(&x, &q, .method = S("GET"), .path = S("/hold"));
    here_until_is(&x.h, &x.now, 1);
    while (!x.held)
        here_run(&x.h, 1000);
    uint16_t port = httpd_port(x.d);
    httpd_drain(x.d, loop_now_us(x.h.loop) + 60000000);
    struct httpd *next = httpd_new(x.h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .port = port,
                                                                     .user = { on_begin, on_data, on_end, NULL, on_gone, &x } }, &e);
    CHECK_OR(next);
    here_run(&x.h, 20000);                        /* GOAWAY arrives */
    START(&x, &late, .method = S("GET"), .path = S("/small"));
    here_until(&x.h, &late.over);
    CHECK_INT(late.status, 200);                  /* on a new connection, of the next server */
    CHECK(!q.over);
    CHECK_OR(x.held);
    hreq_respond(x.held, 200, NONE, S("at last"));
    here_until(&x.h, &q.over);
    CHECK_INT(q.status, 200);
    CHECK_INT(q.got, 7);
    CHECK_INT(x.nlinks, 2);
    httpd_free(next);
    end(&x);
}

struct raw { struct link *l; struct str out; struct buf in; bool over; };
static void raw_ready(struct link *l, void *ctx)
{
    struct raw *r = ctx;
    char chunk[4096];
    ptrdiff_t n;
    if (r->out.n && link_is_open(l)) {
        ptrdiff_t took = link_write(l, r->out.p, r->out.n);
        r->out = str_from(r->out, took > 0 ? (size_t)took : 0);
    }
    while ((n = link_read(l, chunk, sizeof chunk)) > 0)
        buf_add(&r->in, chunk, (size_t)n);
    r->over |= n < 0;
}

TEST(pipelined_requests_are_answered_in_order)
{
    struct fixture x;
    begin(&x, HTTP_11);
    struct raw r = { .in = { .max = 65536 }, .out = S("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nfirstGET /small HTTP/1.1\r\nHost: t\r\n\r\n"
                                                      "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlast") };
    r.l = link_connect(x.h.loop, &(struct link_target){ .host = S("127.0.0.1"), .port = httpd_port(x.d) }, (struct link_user){ raw_ready, &r });
    here_until(&x.h, &r.over);
    ptrdiff_t first = str_find(buf_view(&r.in), S("\r\n\r\nfirst")), hello = str_find(buf_view(&r.in), S("\r\n\r\nhello")),
              last = str_find(buf_view(&r.in), S("\r\n\r\nlast"));
    CHECK(first > 0 && hello > first && last > hello);
    CHECK_INT(x.begun, 3);
    link_close(r.l);
    buf_free(&r.in);
    end(&x);
}

/* ---- peers that do not go on ---------------------------------------------------------------------------------------- */

/* In steps, so that the client's pings are answered. */
static void pass(struct fixture *x, int seconds)
{
    for (; seconds > 0; seconds -= 5) {
        here_skip(&x->h, (seconds < 5 ? seconds : 5) * INT64_C(1000000));
        here_run(&x->h, 20000);
    }
}

static void stuck_upload(enum http_version v)
{
    struct fixture x;
    struct call q = { 0 };
    begin(&x, v);
    START(&x, &q, .method = S("POST"), .path = S("/echo"), .body = S("some"), .more = true);
    here_until_is(&x.h, &x.begun, 1);
    pass(&x, 55);
    hcall_write(q.c, S("more"));                   /* within the minute: it may take another */
    here_run(&x.h, 20000);
    pass(&x, 55);
    CHECK(!q.over && x.begun == 1 && !x.gone);
    pass(&x, 5);
    here_until(&x.h, &q.over);
    CHECK_INT(q.status, 408);
    here_until_is(&x.h, &x.gone, 1);
    end(&x);
}
TEST(a_body_that_stops_coming_is_given_up_over_http1) { stuck_upload(HTTP_11); }
TEST(a_body_that_stops_coming_is_given_up_over_http2) { stuck_upload(HTTP_2); }

static void trickled_upload(enum http_version v)
{
    struct fixture x;
    struct call q = { 0 };
    begin(&x, v);
    START(&x, &q, .method = S("POST"), .path = S("/echo"), .body = S("some"), .more = true);
    here_until_is(&x.h, &x.begun, 1);
    for (int i = 0; i < 5; i++) {                  /* never silent for a minute */
        pass(&x, 50);
        CHECK(!q.over);
        hcall_write(q.c, S("more"));
        here_run(&x.h, 20000);
    }
    pass(&x, 50);
    here_until(&x.h, &q.over);
    CHECK_INT(q.status, 408);
    here_until_is(&x.h, &x.gone, 1);
    end(&x);
}
TEST(a_body_that_trickles_is_given_up_over_http1) { trickled_upload(HTTP_11); }
TEST(a_body_that_trickles_is_given_up_over_http2) { trickled_upload(HTTP_2); }

TEST(a_stream_whose_window_stays_shut_is_reset_and_others_go_on)
{
    struct fixture x;
    struct call big = { 0 }, held = { 0 }, small = { 0 };
    begin(&x, HTTP_2);
    START(&x, &held, .method = S("GET"), .path = S("/hold"));
    START(&x, &big, .method = S("GET"), .path = S("/big"));
    hcall_pause(big.c, true);                      /* a window of 1 MiB for 3 MB */
    here_until_is(&x.h, &x.begun, 2);
    here_run(&x.h, 50000);
    for (int i = 0; i < 3; i++) {                  /* what others do on the connection makes no difference */
        here_skip(&x.h, 25000000);
        START(&x, &small, .method = S("GET"), .path = S("/small"));
        here_until(&x.h, &small.over);
        CHECK_INT(small.status, 200);
    }
    here_until(&x.h, &big.over);
    CHECK(big.failed && !held.over);
    CHECK_INT(big.code, KR_CANCELLED);
    end(&x);
}

/* ---- what is too large ---------------------------------------------------------------------------------------------- */

/* Zeros that take no memory: more than a queue may hold. */
static struct str vast(void)
{
    size_t n = LIMIT_HTTP_OUT + (size_t)1;
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!CHECK(p != MAP_FAILED))
        abort();
    return (struct str){ p, n };
}

static void vast_answer(enum http_version v)
{
    struct fixture x;
    struct call q = { 0 }, next = { 0 };
    begin(&x, v);
    START(&x, &q, .method = S("GET"), .path = S("/hold"));
    here_until_is(&x.h, &x.begun, 1);
    here_run(&x.h, 5000);
    CHECK_OR(x.held);
    hreq_start(x.held, 200, NONE);
    hreq_write(x.held, vast());
    here_until(&x.h, &q.over);
    CHECK(q.failed && !q.got);
    START(&x, &next, .method = S("GET"), .path = S("/small"));
    here_until(&x.h, &next.over);
    CHECK_INT(next.status, 200);
    end(&x);
}
TEST(an_answer_beyond_the_queue_ends_its_connection_over_http1) { vast_answer(HTTP_11); }
TEST(an_answer_beyond_the_queue_ends_its_stream_over_http2) { vast_answer(HTTP_2); }

static void vast_request(enum http_version v)
{
    struct fixture x;
    struct call whole = { 0 }, piece = { 0 }, next = { 0 };
    begin(&x, v);
    START(&x, &whole, .method = S("PUT"), .path = S("/small"), .body = vast());
    START(&x, &piece, .method = S("PUT"), .path = S("/hold"), .more = true);
    here_until(&x.h, &whole.over);
    here_until_is(&x.h, &x.begun, 1);
    hcall_write(piece.c, vast());
    CHECK(!piece.over);
    hcall_finish(piece.c);
    hcall_deadline(piece.c, loop_now_us(x.h.loop) + 3600000000);       /* more time doesn't put the end off */
    here_until(&x.h, &piece.over);
    CHECK(whole.failed && piece.failed);
    CHECK_INT(whole.code, KR_TOO_LARGE);
    CHECK_INT(piece.code, KR_TOO_LARGE);
    CHECK(!x.held);
    START(&x, &next, .method = S("GET"), .path = S("/small"));
    here_until(&x.h, &next.over);
    CHECK_INT(next.status, 200);
    CHECK_INT(x.received, 0);
    end(&x);
}
TEST(a_request_beyond_the_queue_fails_and_is_not_cut_over_http1) { vast_request(HTTP_11); }
TEST(a_request_beyond_the_queue_fails_and_is_not_cut_over_http2) { vast_request(HTTP_2); }

/* ---- upgrade ------------------------------------------------------------------------------------------------------- */

static void up_begin(struct hreq *r, void *ctx)
{
    struct http_field f[] = { { S("upgrade"), S("echo") }, { S("connection"), S("upgrade") } };
    hreq_set_user(r, ctx);
    ((struct fixture *)ctx)->begun++;
    if (str_is(http_get(hreq_fields(r), "upgrade"), "echo"))
        hreq_upgrade(r, (struct http_fields){ f, LEN(f) });
    else
        hreq_respond(r, 400, NONE, S("no"));
}
static void up_data(struct hreq *r, struct str b) { hreq_write(r, b); }
static void up_end(struct hreq *r) { (void)r; }

TEST(after_an_upgrade_raw_bytes_go_both_ways)
{
    static char body[200000];
    struct fixture x = { 0 };
    struct call q = { 0 };
    struct kr_err e = { 0 };
    here_loop(&x.h);
    x.d = httpd_new(x.h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { up_begin, up_data, up_end, NULL, on_gone, &x } }, &e);
    CHECK_OR(x.d);
    x.c = httpc_new(x.h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = httpd_port(x.d) }, .version = HTTP_11 });
    struct http_field f[] = { { S("upgrade"), S("echo") }, { S("connection"), S("upgrade") } };
    START(&x, &q, .method = S("GET"), .path = S("/"), .fields = { f, LEN(f) }, .more = true, .upgrade = true);
    while (!q.status && !q.over)
        here_run(&x.h, 1000);
    CHECK_INT(q.status, 101);
    hcall_write(q.c, (struct str){ body, sizeof body });
    for (int i = 0; i < 5000 && q.got < sizeof body && !q.over; i++)
        here_run(&x.h, 1000);
    CHECK_INT(q.got, sizeof body);
    CHECK(!q.over);
    hcall_cancel(q.c);
    here_until_is(&x.h, &x.gone, 1);
    end(&x);
}
