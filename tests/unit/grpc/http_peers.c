/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client and server against peers that answer early, late, too much or not at all, and users who leave in a callback. */
#include "core/tls.h"
#include "grpc/h2.h"
#include "grpc/http.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>
#include <sys/socket.h>

#define NONE ((struct http_fields){ 0 })

/* ---- a call whose callbacks may leave ------------------------------------------------------------------------------------ */

enum leave { STAYS, LEAVES_AT_HEAD, LEAVES_AT_DATA, PAUSES_AT_DATA };
struct call { struct hcall *c; enum leave leave; int status; size_t got; bool over, failed, told, left; uint32_t stamp; enum kr_code code; char msg[512]; };

static void leave(struct call *q)
{
    q->left = true;
    hcall_cancel(q->c);
    hcall_cancel(q->c);                           /* the memory goes in a later turn; until then all of these are without effect */
    hcall_write(q->c, S("no"));
    hcall_finish(q->c);
    hcall_pause(q->c, true);
}
static void c_head(struct hcall *h, int status, struct http_fields f)
{
    struct call *q = hcall_ctx(h);
    (void)f;
    CHECK(!q->left);
    q->status = status;
    if (q->leave == LEAVES_AT_HEAD)
        leave(q);
}
static void c_data(struct hcall *h, struct str b)
{
    struct call *q = hcall_ctx(h);
    CHECK(!q->left);
    q->got += b.n;
    if (q->leave == LEAVES_AT_DATA)
        leave(q);
    if (q->leave == PAUSES_AT_DATA)
        hcall_pause(h, true);
}
static void c_end(struct hcall *h, struct http_fields t)
{
    struct call *q = hcall_ctx(h);
    (void)t;
    q->over = true;
    q->stamp = hcall_stamp(h);
}
static void c_writable(struct hcall *h) { ((struct call *)hcall_ctx(h))->told = true; }
static void c_failed(struct hcall *h, const struct kr_err *e)
{
    struct call *q = hcall_ctx(h);
    q->over = q->failed = true;
    q->code = e->code;
    snprintf(q->msg, sizeof q->msg, "%s", e->msg);
}
static const struct hcall_user whole = { .head = c_head, .data = c_data, .end = c_end, .failed = c_failed, .writable = c_writable };
static const struct hcall_user deaf = { .end = c_end, .failed = c_failed };            /* hears the end alone */

static void begin(struct httpc *c, struct call *q, const struct httpc_request *r, const struct hcall_user *user)
{
    struct hcall_user u = *user;
    *q = (struct call){ .leave = q->leave };
    u.ctx = q;
    q->c = httpc_call(c, r, u);
}
#define REQUEST(m, p, ...) (&(struct httpc_request){ .method = S(m), .path = S(p), .authority = S("t"), __VA_ARGS__ })

/* ---- a server by hand: text for HTTP/1.1, a state machine for HTTP/2 ----------------------------------------------------- */

struct peer {
    struct here h;
    struct listener *l;
    struct httpc *c;
    struct one { struct peer *p; struct link *link; struct h2 *h2; struct buf in; } ones[16];
    int n;                                        /* connections so far */
    bool h2, hang_up;
    const char *say;                              /* the answer to whatever comes */
    int lost;
};

static void say(struct one *o, struct str text) { if (o->link) link_write(o->link, text.p, text.n); }

static void out_h2(struct one *o)
{
    for (struct str out; o->link && (out = h2_pending(o->h2)).n && link_write(o->link, out.p, out.n) > 0;)
        h2_sent(o->h2, out.n);
}

static void headers_h2(struct one *o, const struct h2_event *ev)
{
    struct str path = http_get(ev->fields, ":path");
    struct http_field ok = { S(":status"), S("200") }, sum = { S("x-sum"), S("1") };
    if (str_is(path, "/refuse")) {
        h2_reset(o->h2, ev->stream, H2_REFUSED_STREAM);
        return;
    }
    if (str_is(path, "/nonsense")) {
        out_h2(o);
        say(o, (struct str){ "\0\0\0\4\0\0\0\0\1", 9 });          /* SETTINGS of a stream */
        return;
    }
    if (str_is(path, "/malformed")) {
        h2_headers(o->h2, ev->stream, (struct http_fields){ &sum, 1 }, true);         /* no :status */
        return;
    }
    h2_headers(o->h2, ev->stream, (struct http_fields){ &ok, 1 }, str_is(path, "/bare"));
    if (str_is(path, "/open"))
        h2_data(o->h2, ev->stream, S("piece"), false);
    if (str_is(path, "/cancel") || str_is(path, "/internal") || str_is(path, "/refuse-late"))
        h2_reset(o->h2, ev->stream, str_is(path, "/cancel") ? H2_CANCEL : str_is(path, "/internal") ? H2_INTERNAL_ERROR : H2_REFUSED_STREAM);
    if (str_is(path, "/pieces"))
        for (int i = 0; i < 3; i++) {
            h2_data(o->h2, ev->stream, S("piece"), i == 2);
            out_h2(o);
        }
    if (str_is(path, "/trailers")) {
        h2_data(o->h2, ev->stream, S("piece"), false);
        h2_headers(o->h2, ev->stream, (struct http_fields){ &sum, 1 }, true);
    }
}

static void heard(struct one *o, struct str in)
{
    struct h2_event ev;
    if (!o->h2) {
        if (o->p->say)
            say(o, str_of(o->p->say));
        if (o->p->hang_up)
            link_close(TAKE(o->link));
        return;
    }
    h2_feed(o->h2, in, loop_now_us(o->p->h.loop));
    while (h2_next(o->h2, &ev))
        if (ev.type == H2_HEADERS)
            headers_h2(o, &ev);
        else if (ev.type == H2_DATA)
            h2_consume(o->h2, ev.stream, ev.data.n);
    out_h2(o);
}

static void one_ready(struct link *l, void *ctx)
{
    struct one *o = ctx;
    char chunk[16384];
    ptrdiff_t n;
    while (o->link && (n = link_read(l, chunk, sizeof chunk)) > 0) {
        buf_add(&o->in, chunk, (size_t)n);
        heard(o, (struct str){ chunk, (size_t)n });
    }
}
static void one_more(void *ctx, int fd)
{
    struct peer *p = ctx;
    struct one *o = &p->ones[p->n % (int)LEN(p->ones)];
    CHECK_OR(!o->link);
    *o = (struct one){ .p = p, .h2 = p->h2 ? h2_new(&(struct h2_config){ .role = H2_SERVER }) : NULL, .in = { .max = 1 << 20 } };
    p->n++;
    o->link = link_accept(p->h.loop, fd, NULL, (struct link_user){ one_ready, o });
}
static void on_lost(void *ctx) { ((struct peer *)ctx)->lost++; }
static struct http_fields on_sign(void *ctx, uint32_t *stamp)
{
    static struct http_field many[20];
    (void)ctx;
    *stamp = 7;
    for (size_t i = 0; i < LEN(many); i++)
        many[i] = (struct http_field){ S("x-sign"), S("s") };
    return (struct http_fields){ many, LEN(many) };
}
static void peer_begin(struct peer *p, enum http_version v)
{
    struct kr_err e = { 0 };
    *p = (struct peer){ .h2 = v == HTTP_2 };
    here_loop(&p->h);
    p->l = listen_tcp(p->h.loop, S("127.0.0.1"), 0, one_more, p, &e);
    if (!CHECK(p->l))
        abort();
    p->c = httpc_new(p->h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = listener_port(p->l) }, .version = v, .lost = on_lost, .lost_ctx = p,
                                                         .sign = on_sign });
}
static void peer_end(struct peer *p)
{
    httpc_free(TAKE(p->c));
    for (size_t i = 0; i < LEN(p->ones); i++) {
        link_close(p->ones[i].link);
        h2_free(p->ones[i].h2);
        buf_free(&p->ones[i].in);
    }
    listener_close(p->l);
    loop_free(p->h.loop);
}

/* ---- the client ---------------------------------------------------------------------------------------------------------- */

TEST(what_a_server_of_http1_may_answer)
{
    static const struct { const char *say; bool hang_up; int status; size_t got; const char *msg; } rows[] = {
        { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", false, 200, 5, "" },
        { "HTTP/1.1 200 OK\r\n\r\nhello", true, 200, 5, "" },                                                       /* the end of the connection ends it */
        { "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", true, 200, 5, "closed" },
        { "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", true, 200, 5, "closed" },
        { "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n", false, 200, 5, "" },              /* what else may come is not ours */
        { "NONSENSE\r\n\r\n", false, 0, 0, "127.0.0.1" },
        { "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", false, 200, 0, "127.0.0.1" },
        { "", true, 0, 0, "closed" },
    };
    for (size_t i = 0; i < LEN(rows); i++)
        for (int hears = 0; hears < 2; hears++) {
            struct peer p;
            struct call q = { 0 };
            peer_begin(&p, HTTP_11);
            p.say = rows[i].say;
            p.hang_up = rows[i].hang_up;
            begin(p.c, &q, REQUEST("POST", "/", .body = S("x")), hears ? &whole : &deaf);
            here_until(&p.h, &q.over);
            CHECK(!hears || (q.status == rows[i].status && q.got == rows[i].got));
            CHECK(q.failed == (rows[i].msg[0] != 0) && str_find(str_of(q.msg), str_of(rows[i].msg)) >= 0);
            CHECK(str_find(buf_view(&p.ones[0].in), S("x-sign: s\r\n")) > 0);
            peer_end(&p);
        }
}

/* Without a body they have none, and say so where a server may expect one. */
TEST(a_request_without_a_body)
{
    static const struct { const char *method; bool says; } rows[] = { { "PUT", true }, { "PATCH", true }, { "POST", true }, { "DELETE", false }, { "GET", false } };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct peer p;
        struct call q = { 0 };
        struct http_field empty = { S("x-empty"), S("") };
        peer_begin(&p, HTTP_11);
        p.say = "HTTP/1.1 204 No Content\r\n\r\n";
        begin(p.c, &q, &(struct httpc_request){ .method = str_of(rows[i].method), .path = S("/"), .authority = S("t"), .fields = { &empty, 1 } }, &whole);
        here_until(&p.h, &q.over);
        CHECK((str_find(buf_view(&p.ones[0].in), S("content-length: 0\r\n")) > 0) == rows[i].says && str_find(buf_view(&p.ones[0].in), S("x-empty: \r\n")) > 0);
        peer_end(&p);
    }
}

/* A server that ends an idle connection may say so (408): nobody asked, and nobody is harmed. */
TEST(what_a_server_of_http1_says_unasked)
{
    struct peer p;
    struct call q = { 0 };
    peer_begin(&p, HTTP_11);
    p.say = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    begin(p.c, &q, REQUEST("GET", "/"), &whole);
    here_until(&p.h, &q.over);
    say(&p.ones[0], S("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"));
    here_until_is(&p.h, &p.lost, 1);
    begin(p.c, &q, REQUEST("GET", "/"), &whole);
    here_until(&p.h, &q.over);
    CHECK(!q.failed && p.n == 2);
    peer_end(&p);
}

TEST(a_body_of_known_length_goes_out_as_it_is)
{
    struct peer p;
    struct call q = { 0 };
    peer_begin(&p, HTTP_11);
    begin(p.c, &q, REQUEST("PUT", "/", .more = true, .length = 6), &whole);
    hcall_write(q.c, S("abc"));
    here_until_is(&p.h, &p.n, 1);
    here_until(&p.h, &q.told);
    p.say = "HTTP/1.1 204 No Content\r\n\r\n";
    hcall_write(q.c, S("def"));
    hcall_finish(q.c);
    here_until(&p.h, &q.over);
    struct str in = buf_view(&p.ones[0].in);
    CHECK(q.status == 204 && str_find(in, S("content-length: 6\r\n")) > 0 && str_find(in, S("chunked")) < 0 && str_find(in, S("\r\n\r\nabcdef")) > 0);
    peer_end(&p);
}

TEST(an_upgrade_that_is_refused_or_left)
{
    static const struct { const char *say; bool hang_up; const struct hcall_user *user; int status; } rows[] = {
        { "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", false, &whole, 403 },
        { "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nraw", true, &whole, 101 },
        { "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nraw", true, &deaf, 0 },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct peer p;
        struct call q = { 0 };
        peer_begin(&p, HTTP_11);
        p.say = rows[i].say;
        p.hang_up = rows[i].hang_up;
        begin(p.c, &q, REQUEST("GET", "/", .upgrade = true), rows[i].user);
        here_until(&p.h, &q.over);
        CHECK(!q.failed && q.status == rows[i].status);
        peer_end(&p);
    }
}

TEST(what_a_server_of_http2_may_answer)
{
    static const struct { const char *path; int status; size_t got; enum kr_code code; const char *msg; } rows[] = {
        { "/bare", 200, 0, KR_OK, "" },
        { "/pieces", 200, 15, KR_OK, "" },
        { "/trailers", 200, 5, KR_OK, "" },
        { "/refuse", 0, 0, KR_UNAVAILABLE, "did not take the request" },
        { "/refuse-late", 200, 0, KR_UNAVAILABLE, "did not take the request" },
        { "/malformed", 0, 0, KR_PROTOCOL, "reset for what the server sent, code 1" },
        { "/cancel", 200, 0, KR_CANCELLED, "reset by the server, code 8" },
        { "/internal", 200, 0, KR_UNAVAILABLE, "reset by the server, code 2" },
        { "/nonsense", 0, 0, KR_PROTOCOL, "127.0.0.1" },
    };
    for (size_t i = 0; i < LEN(rows); i++)
        for (int how = 0; how < 3; how++) {           /* hears all; the end alone; has a body that it never ends */
            struct peer p;
            struct call q = { 0 };
            peer_begin(&p, HTTP_2);
            begin(p.c, &q, &(struct httpc_request){ .method = S("POST"), .path = str_of(rows[i].path), .authority = S("t"), .more = how == 2, .body = S("x") }, how == 1 ? &deaf : &whole);
            here_until(&p.h, &q.over);
            CHECK(how == 1 || (q.status == rows[i].status && q.got == rows[i].got));
            CHECK(q.failed == (rows[i].code != KR_OK) && str_find(str_of(q.msg), str_of(rows[i].msg)) >= 0);
            CHECK(!q.failed || q.code == rows[i].code);
            CHECK(q.failed || q.stamp == 7);
            peer_end(&p);
        }
}

/* Nothing is told behind it, and the connection serves others. */
TEST(a_callback_may_leave)
{
    static const char *const paths[] = { "/bare", "/pieces", "/trailers", "/cancel" };
    for (enum leave at = LEAVES_AT_HEAD; at <= LEAVES_AT_DATA; at++)
        for (size_t i = 0; i < LEN(paths); i++) {
            struct peer p;
            struct call q = { .leave = at }, other = { 0 };
            peer_begin(&p, HTTP_2);
            begin(p.c, &q, &(struct httpc_request){ .method = S("GET"), .path = str_of(paths[i]), .authority = S("t") }, &whole);
            begin(p.c, &other, REQUEST("GET", "/pieces"), &whole);
            here_until(&p.h, &other.over);
            here_run(&p.h, 2000);
            CHECK(!other.failed && p.n == 1);
            CHECK(q.left ? !q.over : q.over);
            peer_end(&p);
        }
}

TEST(what_is_held_back_is_taken_later_or_left)
{
    for (int cancel = 0; cancel < 2; cancel++) {
        struct peer p;
        struct call q = { .leave = PAUSES_AT_DATA };
        peer_begin(&p, HTTP_2);
        begin(p.c, &q, REQUEST("GET", "/open"), &whole);
        while (!q.got && !q.over)
            here_run(&p.h, 1000);
        CHECK(!q.over && q.got == 5);
        if (cancel) {
            hcall_cancel(q.c);
        } else {
            hcall_pause(q.c, false);
            hcall_pause(q.c, true);
            hcall_pause(q.c, false);                  /* with nothing held back */
        }
        here_run(&p.h, 2000);
        CHECK(!q.over && !httpc_is_spent(p.c));
        peer_end(&p);
    }
}

TEST(a_deadline_a_cancel_and_the_end_of_the_client_meet_calls_wherever_they_are)
{
    for (int v = 0; v < 2; v++) {
        struct peer p;
        struct call sent = { 0 }, waits = { 0 }, cancelled = { 0 };
        peer_begin(&p, v ? HTTP_2 : HTTP_11);
        begin(p.c, &cancelled, REQUEST("GET", "/hold"), &whole);
        hcall_cancel(cancelled.c);
        begin(p.c, &sent, REQUEST("GET", "/hold", .deadline_us = loop_now_us(p.h.loop) + 5000000), &whole);
        here_until_is(&p.h, &p.n, 1);
        here_run(&p.h, 2000);
        httpc_hold(p.c, true);
        begin(p.c, &waits, REQUEST("GET", "/hold", .deadline_us = loop_now_us(p.h.loop) + 5000000), &whole);
        here_skip(&p.h, 6000000);
        here_until(&p.h, &sent.over);
        CHECK(sent.failed && sent.code == KR_DEADLINE && !waits.over && !cancelled.over);
        httpc_free(TAKE(p.c));
        CHECK(waits.failed && waits.code == KR_CANCELLED);
        peer_end(&p);
    }
}

/* HTTP/1.1 has a call a connection: beyond eight they wait, and their time runs. */
TEST(a_deadline_of_a_call_that_waits_for_a_connection)
{
    struct peer p;
    struct call sent[8] = { 0 }, waits = { 0 };
    peer_begin(&p, HTTP_11);
    for (size_t i = 0; i < LEN(sent); i++)
        begin(p.c, &sent[i], REQUEST("GET", "/hold"), &whole);
    begin(p.c, &waits, REQUEST("GET", "/hold", .deadline_us = loop_now_us(p.h.loop) + 5000000), &whole);
    here_until_is(&p.h, &p.n, 8);
    here_run(&p.h, 2000);
    here_skip(&p.h, 6000000);
    here_until(&p.h, &waits.over);
    CHECK(waits.code == KR_DEADLINE && !sent[0].over && p.n == 8);
    peer_end(&p);
}

/* ---- what a user does who hears of a failure ----------------------------------------------------------------------------- */

static struct { struct peer *p; struct call again; bool close; } late;

static void c_failed_and_more(struct hcall *h, const struct kr_err *e)
{
    c_failed(h, e);
    if (late.close)
        httpc_free(late.p->c);                        /* it is being closed */
    else
        begin(late.p->c, &late.again, REQUEST("GET", "/"), &whole);
}

TEST(who_hears_of_a_failure_may_call_again_or_close)
{
    static const struct hcall_user user = { .end = c_end, .failed = c_failed_and_more };
    struct kr_err why = { .code = KR_UNAUTHORIZED };
    for (int close = 0; close < 2; close++) {
        struct peer p;
        struct call q = { 0 }, other = { 0 };
        peer_begin(&p, HTTP_11);
        late.p = &p;
        late.close = close;
        late.again = (struct call){ 0 };
        httpc_hold(p.c, true);
        begin(p.c, &q, REQUEST("GET", "/"), &user);
        begin(p.c, &other, REQUEST("GET", "/"), &whole);
        if (close)
            httpc_free(p.c);
        else
            httpc_refuse(p.c, &why);
        CHECK(q.failed && other.failed && !late.again.over);
        if (close)
            p.c = NULL;
        peer_end(&p);
    }
}

/* What is repeated by itself: only what changes nothing, and where an idle connection ended before anything came back. */
TEST(what_is_sent_again_by_itself)
{
    static const struct { const char *method, *say; bool more, again; } rows[] = {
        { "GET", "", false, true }, { "HEAD", "", false, true }, { "DELETE", "", false, false }, { "GET", "", true, false },
        { "GET", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", false, false },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct peer p;
        struct call q = { 0 };
        peer_begin(&p, HTTP_11);
        p.say = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        begin(p.c, &q, REQUEST("GET", "/"), &whole);
        here_until(&p.h, &q.over);
        p.say = rows[i].say;
        p.hang_up = true;
        begin(p.c, &q, &(struct httpc_request){ .method = str_of(rows[i].method), .path = S("/"), .authority = S("t"), .more = rows[i].more }, &whole);
        here_until(&p.h, &q.over);
        CHECK_INT(p.n, rows[i].again ? 2 : 1);
        CHECK(q.failed && q.code == KR_UNAVAILABLE);
        peer_end(&p);
    }
}

/* ---- TLS ----------------------------------------------------------------------------------------------------------------- */

/* Over TLS a connection is open when both have shaken hands, and speaks what they agreed upon. */
TEST(a_server_that_never_shakes_hands)
{
    struct peer p;
    struct kr_err e = { 0 };
    struct call q = { 0 };
    struct tls *tls = tls_client_new(&(struct tls_config){ .skip_verify = true }, &e);
    peer_begin(&p, HTTP_11);
    httpc_free(p.c);
    p.c = httpc_new(p.h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = listener_port(p.l), .tls = tls }, .version = HTTP_2, .connect_timeout_us = 3000000 });
    begin(p.c, &q, REQUEST("GET", "/"), &whole);
    here_until_is(&p.h, &p.n, 1);
    here_run(&p.h, 2000);
    here_skip(&p.h, 3000001);
    here_until(&p.h, &q.over);
    CHECK(q.code == KR_UNAVAILABLE && str_find(str_of(q.msg), S("no connection in time")) > 0);
    CHECK(!httpc_is_spent(p.c) || p.n == 1);
    peer_end(&p);
    tls_free(tls);
}

static void no_user(struct hreq *r, void *ctx) { hreq_set_user(r, ctx); }
static void say_version(struct hreq *r) { hreq_respond(r, 200, NONE, hreq_is_h2(r) ? S("2") : S("1.1")); }
static void nothing(struct hreq *r) { (void)r; }
static void no_bytes(struct hreq *r, struct str b) { (void)r; (void)b; }

/* What the server offers by ALPN decides; who insists on HTTP/2 hears that there is none. */
TEST(what_is_agreed_upon_over_tls)
{
    static const char *const offers[][3] = { { "h2", "http/1.1" }, { "http/1.1" }, { NULL } };
    static const struct { enum http_version version; bool upgrade; const char *speaks[LEN(offers)]; } rows[] = {
        { HTTP_2, false, { "2", "", "" } }, { HTTP_ANY, false, { "2", "1.1", "1.1" } }, { HTTP_11, true, { "2", "1.1", "1.1" } },
    };
    struct kr_err e = { 0 };
    struct tls_pair ca = { 0 }, leaf = { 0 };
    struct str name = S("127.0.0.1");
    int64_t now = clock_system.wall_us(&clock_system);
    CHECK_OR(tls_make_ca(&ca, S("ca"), now, 2, &e) == 0 && tls_issue(&leaf, &ca, &(struct tls_request){ .common_name = S("s"), .names = &name, .nnames = 1, .usage = TLS_FOR_SERVER, .now_us = now, .days = 1 }, &e) == 0);
    for (size_t i = 0; i < LEN(offers); i++)
        for (size_t j = 0; j < LEN(rows); j++) {
            static const char *const both[] = { "h2", "http/1.1", NULL };
            struct here h;
            struct call q = { 0 };
            struct tls *server = tls_server_new(&(struct tls_config){ .cert = buf_view(&leaf.cert), .key = buf_view(&leaf.key), .alpn = offers[i][0] ? offers[i] : NULL }, &e);
            struct tls *client = tls_client_new(&(struct tls_config){ .ca = buf_view(&ca.cert), .alpn = rows[j].upgrade ? both + 1 : both }, &e);
            here_loop(&h);
            struct httpd *d = httpd_new(h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .tls = server, .user = { no_user, no_bytes, say_version, NULL, nothing, NULL } }, &e);
            struct httpc *c = httpc_new(h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = httpd_port(d), .tls = client }, .version = rows[j].version });
            begin(c, &q, REQUEST("GET", "/", .upgrade = rows[j].upgrade), &whole);
            here_until(&h, &q.over);
            const char *want = rows[j].upgrade ? "1.1" : rows[j].speaks[i];
            CHECK(want[0] ? !q.failed && q.got == strlen(want) : q.failed && str_find(str_of(q.msg), S("does not offer HTTP/2")) > 0);
            httpc_free(c);
            httpd_free(d);
            tls_free(client);
            tls_free(server);
            loop_free(h.loop);
        }
    tls_pair_free(&ca);
    tls_pair_free(&leaf);
}

/* ---- the server ---------------------------------------------------------------------------------------------------------- */

struct served { struct here h; struct httpd *d; struct link *l; struct h2 *h2; struct buf in; bool over; int ends, gone; int64_t status; uint32_t stream; };

/* Paths are /WHEN/WHAT. */
static void by_path(struct hreq *r, const char *when)
{
    struct str path = hreq_path(r), what = str_from(path, strlen(when));
    if (!str_starts(path, str_of(when)))
        return;
    if (str_is(what, "/reset"))
        hreq_reset(r, H2_CANCEL);
    else if (str_is(what, "/respond"))
        hreq_respond(r, 200, NONE, S("early"));
    else if (str_is(what, "/stream")) {
        static const char some[100000];
        hreq_start(r, 200, NONE);
        hreq_write(r, (struct str){ some, sizeof some });
        hreq_finish(r, NONE);
    } else if (str_is(what, "/upgrade"))
        hreq_upgrade(r, NONE);
    else if (str_is(what, "/pause"))
        hreq_pause(r, true);
}
static void s_got(struct hreq *r, struct str body, const struct kr_err *e)
{
    if (e && str_is(hreq_method(r), "PATCH"))
        hreq_respond(r, 400, NONE, S("in other words"));
    else if (!e)
        hreq_respond(r, 200, NONE, body);
}
static void s_begin(struct hreq *r, void *ctx)
{
    hreq_set_user(r, ctx);
    if (str_is(hreq_path(r), "/collect"))
        hreq_collect(r, 8, s_got);
    by_path(r, "/begin");
}
static void s_data(struct hreq *r, struct str b) { (void)b; by_path(r, "/data"); }
static void s_end(struct hreq *r)
{
    ((struct served *)hreq_user(r))->ends++;
    by_path(r, "/end");
}
static void s_gone(struct hreq *r) { ((struct served *)hreq_user(r))->gone++; }

static void s_ready(struct link *l, void *ctx)
{
    struct served *x = ctx;
    char chunk[16384];
    ptrdiff_t n;
    while ((n = link_read(l, chunk, sizeof chunk)) > 0) {
        struct h2_event ev;
        buf_add(&x->in, chunk, (size_t)n);
        if (x->h2)
            h2_feed(x->h2, (struct str){ chunk, (size_t)n }, loop_now_us(x->h.loop));
        while (x->h2 && h2_next(x->h2, &ev)) {
            if (ev.type == H2_HEADERS)
                str_i64(http_get(ev.fields, ":status"), &x->status);
            x->over |= ev.type == H2_RESET || ev.type == H2_CLOSED || ev.type == H2_DEAD || ev.end;
        }
    }
    x->over |= n < 0;
}

static void served_begin(struct served *x, bool h2, bool hears)
{
    struct kr_err e = { 0 };
    *x = (struct served){ .in = { .max = 1 << 22 } };
    here_loop(&x->h);
    x->d = httpd_new(x->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { s_begin, hears ? s_data : NULL, hears ? s_end : NULL, NULL, s_gone, x } }, &e);
    if (!CHECK(x->d))
        abort();
    x->h2 = h2 ? h2_new(&(struct h2_config){ .role = H2_CLIENT }) : NULL;
    x->l = link_connect(x->h.loop, &(struct link_target){ .host = S("127.0.0.1"), .port = httpd_port(x->d) }, (struct link_user){ s_ready, x });
    while (!link_is_open(x->l) && !x->over)
        here_run(&x->h, 500);
}
static void served_end(struct served *x)
{
    link_close(x->l);
    h2_free(x->h2);
    httpd_free(x->d);
    buf_free(&x->in);
    loop_free(x->h.loop);
}
/* What the client's end has to say now. */
static void served_send(struct served *x)
{
    for (struct str out; (out = h2_pending(x->h2)).n && link_write(x->l, out.p, out.n) > 0;)
        h2_sent(x->h2, out.n);
}
static void served_open(struct served *x, const char *method, const char *path, bool end)
{
    struct http_field f[] = { { S(":method"), str_of(method) }, { S(":scheme"), S("http") }, { S(":path"), str_of(path) }, { S("host"), S("h") } };
    x->over = false;
    x->status = 0;
    x->stream = h2_open(x->h2, (struct http_fields){ f, LEN(f) }, end, NULL);
    served_send(x);
}

/* An idle connection is told to end (GOAWAY), and ended when its client doesn't. */
TEST(an_idle_connection_of_http2_is_ended)
{
    struct served x;
    served_begin(&x, true, true);
    served_open(&x, "GET", "/end/respond", true);
    for (int n = 0; n < 60000 && x.status != 200; n++)
        here_run(&x.h, 1000);
    x.over = false;
    here_skip(&x.h, 300000001);
    for (int n = 0; n < 60000 && h2_can_open(x.h2); n++)
        here_run(&x.h, 1000);
    CHECK(!h2_can_open(x.h2));
    here_skip(&x.h, 300000001);
    here_until(&x.h, &x.over);
    served_end(&x);
}

TEST(a_server_without_an_address_serves_what_it_is_given)
{
    struct here h;
    struct kr_err e = { 0 };
    struct call q = { 0 };
    int fd[2];
    here_loop(&h);
    struct httpd *d = httpd_new(h.loop, &(struct httpd_config){ .idle_us = 5000000, .user = { no_user, no_bytes, say_version, NULL, nothing, NULL } }, &e);
    CHECK_OR(d && httpd_port(d) == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
    httpd_serve_fd(d, fd[0]);
    struct httpc *c = httpc_new(h.loop, &(struct httpc_config){ .target = { .host = S("t"), .fd = fd[1] }, .version = HTTP_ANY });
    begin(c, &q, REQUEST("GET", "/"), &whole);
    here_until(&h, &q.over);
    CHECK(!q.failed && q.got == 3 && !httpc_is_spent(c));
    here_skip(&h, 5000001);
    for (int n = 0; n < 60000 && !httpc_is_spent(c); n++)
        here_run(&h, 1000);
    CHECK(httpc_is_spent(c));
    begin(c, &q, REQUEST("GET", "/"), &whole);
    here_until(&h, &q.over);
    CHECK(q.failed);
    httpc_free(c);
    httpd_free(d);
    loop_free(h.loop);
}

/* However a user ends an exchange, and whatever of it still comes: `gone` is told once, and the connection serves the next. */
TEST(exchanges_that_end_before_their_request_over_http2)
{
    static const struct { const char *path; bool answered; } rows[] = {
        { "/begin/reset", true }, { "/begin/respond", true }, { "/begin/stream", true }, { "/begin/upgrade", false }, { "/data/reset", true }, { "/data/respond", true },
        { "/data/stream", true }, { "/end/reset", true }, { "/end/respond", true }, { "/end/stream", true }, { "/collect", true }, { "/elsewhere", false },
    };
    struct http_field sum = { S("x-sum"), S("1") };
    for (size_t i = 0; i < LEN(rows); i++)
        for (int how = 0; how < 4; how++) {           /* no body; one; one that ends by trailers; one too large to collect */
            struct served x;
            served_begin(&x, true, true);
            served_open(&x, i % 2 ? "POST" : "PATCH", rows[i].path, how == 0);
            if (how)
                h2_data(x.h2, x.stream, how == 3 ? S("more than eight bytes") : S("few"), how != 2);
            if (how == 2)
                h2_headers(x.h2, x.stream, (struct http_fields){ &sum, 1 }, true);
            served_send(&x);
            bool answered = rows[i].answered && (how || !str_starts(str_of(rows[i].path), S("/data")));
            for (int n = 0; n < 60000 && !(answered ? x.gone : x.ends); n++) {
                here_run(&x.h, 1000);
                served_send(&x);
            }
            CHECK_INT(x.gone, answered);
            served_open(&x, "GET", "/end/respond", true);
            for (int n = 0; n < 60000 && x.status != 200; n++) {
                here_run(&x.h, 1000);
                served_send(&x);
            }
            CHECK_INT(x.status, 200);
            served_end(&x);
        }
}

TEST(a_user_who_hears_nothing_of_a_body)
{
    for (int h2 = 0; h2 < 2; h2++) {
        struct served x;
        served_begin(&x, h2, false);
        if (h2) {
            served_open(&x, "POST", "/nobody/answers", false);
            h2_data(x.h2, x.stream, S("few"), true);
            served_send(&x);
            here_run(&x.h, 5000);
            h2_reset(x.h2, x.stream, H2_CANCEL);
            served_send(&x);
        } else {
            link_write(x.l, "POST /begin/respond HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nfew", 62);
        }
        here_until_is(&x.h, &x.gone, 1);
        served_end(&x);
    }
}

TEST(exchanges_that_end_before_their_request_over_http1)
{
    static const struct { const char *say, *hear; bool stays; } rows[] = {
        { "POST /begin/respond HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nfew", "connection: close", false },
        { "POST /begin/respond HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nfew", "early", false },
        { "POST /begin/reset HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nfew", "", false },
        { "POST /data/reset HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nfew", "", false },
        { "POST /data/respond HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nfew", "early", false },
        { "POST /end/respond HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nfew", "early", true },
        { "POST /end/respond HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nfew\r\nzz\r\n", "", false },
        { "POST /collect HTTP/1.1\r\nhost: h\r\ncontent-length: 30\r\n\r\nmore than eight bytes", "413", false },
        { "PATCH /collect HTTP/1.1\r\nhost: h\r\ncontent-length: 30\r\n\r\nmore than eight bytes", "in other words", false },
        { "POST /begin/respond HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n", "HTTP/1.1 200", false },
        { "GET /begin/upgrade HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nraw", "HTTP/1.1 101", true },
        { "GET /end/respond HTTP/1.1\r\nhost: h\r\n\r\nGET /end/respond HTTP/1.0\r\nhost: h\r\n\r\nGET /never HTTP/1.1\r\n", "connection: close", false },
        { "\r\n", "", true },
    };
    for (size_t i = 0; i < LEN(rows); i++)
        for (size_t step = 0; step < 2; step++) {
            struct served x;
            struct str all = str_of(rows[i].say);
            served_begin(&x, false, true);
            for (size_t at = 0; at < all.n && !x.over; at += step ? 1 : all.n) {
                link_write(x.l, all.p + at, step ? 1 : all.n);
                here_run(&x.h, step ? 20 : 1000);
            }
            for (int n = 0; n < 60000 && !x.over && (!rows[i].stays || str_find(buf_view(&x.in), str_of(rows[i].hear)) < 0); n++)
                here_run(&x.h, 1000);
            if (!CHECK(str_find(buf_view(&x.in), str_of(rows[i].hear)) >= 0) | !CHECK(x.over != rows[i].stays))
                printf("    %s\n    %.*s\n", rows[i].say, SFMT(buf_view(&x.in)));
            served_end(&x);
        }
}

/* Requests that wait behind one that isn't answered are kept up to a bound; then the connection is not read any more. */
TEST(a_pipeline_without_end)
{
    static const char one[] = "GET /begin/none HTTP/1.1\r\nhost: h\r\n\r\n";
    struct served x;
    size_t sent = 0;
    served_begin(&x, false, true);
    for (int idle = 0; idle < 200 && sent < 64u << 20;) {
        ptrdiff_t n = link_write(x.l, one, sizeof one - 1);
        sent += n > 0 ? (size_t)n : 0;
        idle = n == (ptrdiff_t)sizeof one - 1 ? 0 : idle + 1;
        if (n != (ptrdiff_t)sizeof one - 1)
            here_run(&x.h, 1000);
        if (n > 0 && n < (ptrdiff_t)sizeof one - 1)
            link_write(x.l, one + n, sizeof one - 1 - (size_t)n);
    }
    CHECK(sent > LIMIT_HTTP_PIPELINE / 2 && sent < 64u << 20);
    CHECK(!x.over && x.ends == 1);
    served_end(&x);
}
