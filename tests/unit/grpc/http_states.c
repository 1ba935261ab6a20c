/* SPDX-License-Identifier: Apache-2.0 */
/* What users of HTTP say too early, twice or too late, and what HTTP/1.1 looks like on the wire for it. */
#include "grpc/http.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>

#define NONE ((struct http_fields){ 0 })

struct fixture { struct here h; struct httpd *d; struct httpc *c; int gone; size_t received; struct hreq *held; bool refused, ended; int asked; };

static void collected(struct hreq *r, struct str body, const struct kr_err *e)
{
    struct fixture *x = hreq_user(r);
    x->refused = e != NULL;
    if (!e)
        hreq_respond(r, 200, NONE, body);
}

static void asked(struct hreq *r, struct str body, const struct kr_err *e)
{
    struct fixture *x = hreq_user(r);
    x->asked++;
    if (e)
        hreq_collect(r, 10, collected);
    else
        hreq_respond(r, 200, NONE, body);
}

static void clumsy(struct hreq *r)
{
    hreq_write(r, S("before the head"));
    hreq_finish(r, NONE);
    hreq_start(r, 200, NONE);
    hreq_start(r, 500, NONE);
    hreq_respond(r, 500, NONE, S("no"));
    hreq_upgrade(r, NONE);
    hreq_write(r, S(""));
    hreq_write(r, S("hello"));
    hreq_finish(r, NONE);
    hreq_finish(r, NONE);
    hreq_write(r, S("behind the end"));
}

static void on_begin(struct hreq *r, void *ctx)
{
    struct str path = hreq_path(r);
    hreq_set_user(r, ctx);
    if (str_is(path, "/collect")) {
        hreq_collect(r, 10, collected);
    } else if (str_is(path, "/more")) {
        hreq_collect(r, 4, asked);
    } else if (str_is(path, "/started")) {
        hreq_start(r, 200, NONE);
    } else if (str_is(path, "/paused")) {
        hreq_pause(r, true);
        hreq_pause(r, true);
        ((struct fixture *)ctx)->held = r;
    } else if (str_is(path, "/reset")) {
        hreq_reset(r, 8);
        hreq_reset(r, 8);                         /* it is over: all of these are without effect */
        hreq_respond(r, 200, NONE, S("no"));
        hreq_pause(r, true);
        CHECK(hreq_queued(r) == 0 && !hreq_is_crowded(r));
        clumsy(r);
    }
}
static void on_data(struct hreq *r, struct str b) { ((struct fixture *)hreq_user(r))->received += b.n; }
static void on_end(struct hreq *r)
{
    static const struct { const char *path; int status; } empty[] = { { "/204", 204 }, { "/304", 304 } };
    struct str path = hreq_path(r);
    struct http_field trailer = { S("x-sum"), S("7") };
    for (size_t i = 0; i < LEN(empty); i++)
        if (str_is(path, empty[i].path))
            hreq_respond(r, empty[i].status, NONE, S(""));
    if (str_is(path, "/clumsy"))
        clumsy(r);
    if (str_is(path, "/started"))
        hreq_finish(r, NONE);
    if (str_is(path, "/paused"))
        ((struct fixture *)hreq_user(r))->ended = true;
    if (str_is(path, "/stream")) {
        hreq_start(r, 200, NONE);
        hreq_write(r, S("abc"));
        hreq_write(r, S("de"));
        hreq_finish(r, (struct http_fields){ &trailer, 1 });
    }
    if (str_is(path, "/hold"))
        ((struct fixture *)hreq_user(r))->held = r;
}
static void on_gone(struct hreq *r)
{
    struct fixture *x = hreq_user(r);
    x->gone++;
    x->held = x->held == r ? NULL : x->held;
}

static void begin(struct fixture *x, enum http_version v)
{
    struct kr_err e = { 0 };
    *x = (struct fixture){ 0 };
    here_loop(&x->h);
    x->d = httpd_new(x->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { on_begin, on_data, on_end, NULL, on_gone, x } }, &e);
    if (!CHECK(x->d))
        abort();
    x->c = httpc_new(x->h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = httpd_port(x->d), .server_name = S("t") }, .version = v,
                                                        .keepalive_us = 10000000, .connect_timeout_us = 10000000, .max_calls = 10 });
}
static void end(struct fixture *x)
{
    httpc_free(x->c);
    httpc_free(NULL);
    httpd_free(x->d);
    httpd_free(NULL);
    loop_free(x->h.loop);
}

struct call { struct hcall *c; bool over, failed; int status; enum kr_code code; char body[64]; size_t n; };
static void c_head(struct hcall *h, int status, struct http_fields f) { (void)f; ((struct call *)hcall_ctx(h))->status = status; }
static void c_data(struct hcall *h, struct str b)
{
    struct call *q = hcall_ctx(h);
    q->n += (size_t)snprintf(q->body + q->n, sizeof q->body - q->n, "%.*s", (int)(b.n < 30 ? b.n : 30), b.p);
}
static void c_end(struct hcall *h, struct http_fields t) { (void)t; ((struct call *)hcall_ctx(h))->over = true; }
static void c_failed(struct hcall *h, const struct kr_err *e)
{
    struct call *q = hcall_ctx(h);
    q->over = q->failed = true;
    q->code = e->code;
}
static void start(struct fixture *x, struct call *q, struct httpc_request r)
{
    *q = (struct call){ 0 };
    r.authority = S("t");
    q->c = httpc_call(x->c, &r, (struct hcall_user){ .head = c_head, .data = c_data, .end = c_end, .failed = c_failed, .ctx = q });
}
#define START(x, q, ...) start(x, q, (struct httpc_request){ __VA_ARGS__ })

static void states_story(enum http_version v)
{
    struct fixture x;
    struct call q;
    begin(&x, v);
    START(&x, &q, .method = S("GET"), .path = S("/clumsy"));
    here_until(&x.h, &q.over);
    CHECK_INT(q.status, 200);
    CHECK_Z(q.body, "hello");
    START(&x, &q, .method = S("POST"), .path = S("/reset"), .body = S("x"));
    here_until(&x.h, &q.over);
    CHECK(q.failed);
    START(&x, &q, .method = S("POST"), .path = S("/paused"), .more = true);
    for (int i = 0; i < 4; i++) {
        hcall_write(q.c, S("some"));
        here_run(&x.h, 1000);
    }
    hcall_finish(q.c);
    hcall_finish(q.c);
    hcall_write(q.c, S("behind the end"));
    hcall_pause(q.c, true);
    hcall_pause(q.c, true);
    while (!x.held && !q.over)
        here_run(&x.h, 1000);
    CHECK_OR(x.held && !q.over);
    hreq_pause(x.held, false);
    here_until(&x.h, &x.ended);
    hreq_respond(x.held, 200, NONE, S("read"));
    here_run(&x.h, 5000);
    CHECK(!q.n || v == HTTP_2);                   /* HTTP/2 holds back the window only */
    if (!q.over)
        hcall_pause(q.c, false);
    here_until(&x.h, &q.over);
    CHECK_INT(q.status, 200);
    CHECK_INT(x.received, 16);
    START(&x, &q, .method = S("GET"), .path = S("/stream"));
    here_until(&x.h, &q.over);
    CHECK_Z(q.body, "abcde");
    for (int status = 204; status <= 304; status += 100) {
        START(&x, &q, .method = S("GET"), .path = status == 204 ? S("/204") : S("/304"));
        here_until(&x.h, &q.over);
        CHECK(q.status == status && !q.n);
    }
    START(&x, &q, .method = S("PUT"), .path = S("/collect"), .body = S("ten bytes and more"));
    here_until(&x.h, &q.over);
    CHECK(x.refused && (q.failed || q.status == 413));
    for (size_t n = 3; n <= 11; n++) {
        x.asked = 0;
        x.refused = false;
        START(&x, &q, .method = S("PUT"), .path = S("/more"), .body = (struct str){ "eleven byte", n });
        here_until(&x.h, &q.over);
        CHECK(x.asked == 1 && x.refused == (n > 10) && (x.refused ? q.failed || q.status == 413 : q.status == 200 && q.n == n));
    }
    end(&x);
}
TEST(what_is_said_at_the_wrong_moment_is_without_effect_over_http1) { states_story(HTTP_11); }
TEST(what_is_said_at_the_wrong_moment_is_without_effect_over_http2) { states_story(HTTP_2); }

static void waiting_story(enum http_version v)
{
    struct fixture x;
    struct call q;
    struct kr_err why = { .code = KR_UNAVAILABLE };
    begin(&x, v);
    httpc_hold(x.c, true);
    httpc_hold(x.c, true);
    START(&x, &q, .method = S("GET"), .path = S("/clumsy"), .deadline_us = loop_now_us(x.h.loop) + 5000000);
    here_skip(&x.h, 6000000);                     /* time on hold is no time */
    here_run(&x.h, 1000);
    CHECK(!q.over);
    hcall_pause(q.c, true);                       /* before there is a connection */
    hcall_pause(q.c, false);
    httpc_hold(x.c, false);
    here_until(&x.h, &q.over);
    CHECK_Z(q.body, "hello");
    httpc_hold(x.c, true);
    START(&x, &q, .method = S("GET"), .path = S("/clumsy"));
    httpc_refuse(x.c, &why);
    CHECK(q.over && q.code == KR_UNAVAILABLE);
    START(&x, &q, .method = S("GET"), .path = S("/clumsy"));
    hcall_cancel(q.c);                            /* while it waits */
    hcall_cancel(NULL);
    httpc_hold(x.c, false);
    START(&x, &q, .method = S("GET"), .path = S("/hold"));
    while (!x.held && !q.over)
        here_run(&x.h, 1000);
    httpc_renew(x.c);                             /* what is under way goes on where it is */
    struct call other;
    START(&x, &other, .method = S("GET"), .path = S("/clumsy"));
    here_until(&x.h, &other.over);
    CHECK_Z(other.body, "hello");
    CHECK_OR(x.held);
    hreq_respond(x.held, 200, NONE, S("held"));
    here_until(&x.h, &q.over);
    CHECK_Z(q.body, "held");
    httpd_drain(x.d, loop_now_us(x.h.loop) + 60000000);
    httpd_drain(x.d, loop_now_us(x.h.loop) + 60000000);
    CHECK(httpd_port(x.d) == 0 && httpd_is_idle(x.d));
    START(&x, &q, .method = S("GET"), .path = S("/clumsy"));
    here_until(&x.h, &q.over);
    CHECK(q.failed);                              /* nobody listens any more */
    end(&x);
}
TEST(calls_wait_are_refused_and_go_on_over_http1) { waiting_story(HTTP_11); }
TEST(calls_wait_are_refused_and_go_on_over_http2) { waiting_story(HTTP_2); }

TEST(a_server_that_drains_ends_its_connections)
{
    struct fixture x;
    struct call q;
    begin(&x, HTTP_11);
    START(&x, &q, .method = S("GET"), .path = S("/hold"));
    while (!x.held && !q.over)
        here_run(&x.h, 1000);
    httpd_drain(x.d, loop_now_us(x.h.loop) + 5000000);
    here_run(&x.h, 1000);
    CHECK(!q.over);
    here_skip(&x.h, 5000001);                     /* its time is up */
    here_until(&x.h, &q.over);
    CHECK(q.failed && x.gone == 1);
    end(&x);
}

/* ---- HTTP/1.1 as bytes --------------------------------------------------------------------------------------------------- */

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

#define CLOSE "Connection: close\r\n"
TEST(http1_on_the_wire)
{
    static const struct { const char *say, *hear, *not; } rows[] = {
        { "GET /stream HTTP/1.1\r\nHost: t\r\n" CLOSE "\r\n", "transfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 7\r\n\r\n", "content-length" },
        { "GET /stream HTTP/1.0\r\n\r\n", "\r\n\r\nabcde", "chunked" },
        { "HEAD /stream HTTP/1.1\r\nHost: t\r\n" CLOSE "\r\n", "HTTP/1.1 200", "abc" },
        { "GET /204 HTTP/1.1\r\nHost: t\r\n" CLOSE "\r\n", "HTTP/1.1 204", "content-length" },
        { "POST /collect HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n" CLOSE "\r\nabc", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200", "413" },
        { "POST /collect HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 99\r\n" CLOSE "\r\nmore than ten bytes", "HTTP/1.1 413", "100 Continue" },
        { "POST /collect HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n", "HTTP/1.1 413", "100 Continue" },      /* who asks need not send it */
        { "POST /collect HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 10\r\n" CLOSE "\r\nten bytes.", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200", "413" },
        { "POST /collect HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n" CLOSE "\r\n3\r\nabc\r\n0\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200", "413" },
        { "POST /more HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 9\r\n" CLOSE "\r\nnine byte", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200", "413" },
        { "POST /more HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n", "HTTP/1.1 413", "100 Continue" },
        { "POST /more HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n" CLOSE "\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", "\r\n\r\nabcdef", "413" },
        { "POST /started HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200", "100 Continue" },      /* it has its answer already */
        { "POST /clumsy HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n" CLOSE "\r\n3\r\nabc\r\n0\r\n\r\n", "hello", "500" },
        { "POST /clumsy HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400", "200" },
        { "GET /204 HTTP/1.1\r\nHost: t\r\n\r\n\r\n", "HTTP/1.1 204", "close" },                                 /* and then nothing, until it is too long */
        { "NONSENSE\r\n\r\n", "HTTP/1.1 400", "200" },
    };
    struct fixture x;
    begin(&x, HTTP_11);
    for (size_t i = 0; i < LEN(rows); i++) {
        struct raw r = { .in = { .max = 65536 }, .out = str_of(rows[i].say) };
        r.l = link_connect(x.h.loop, &(struct link_target){ .host = S("127.0.0.1"), .port = httpd_port(x.d) }, (struct link_user){ raw_ready, &r });
        if (str_is(str_of(rows[i].not), "close")) {
            while (!r.over && str_find(buf_view(&r.in), str_of(rows[i].hear)) < 0)
                here_run(&x.h, 1000);
            here_skip(&x.h, 300000001);
        }
        here_until(&x.h, &r.over);
        if (!CHECK(str_find(buf_view(&r.in), str_of(rows[i].hear)) >= 0) | !CHECK(str_find(buf_view(&r.in), str_of(rows[i].not)) < 0))
            printf("    %s\n    %.*s\n", rows[i].say, SFMT(buf_view(&r.in)));
        link_close(r.l);
        buf_free(&r.in);
    }
    end(&x);
}
