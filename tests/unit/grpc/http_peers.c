/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client and server against peers that answer early, late, too much or not at all, and users who leave in a callback. */
#include "core/tls.h"
#include "tests/kit/http_ends.h"
#include "tests/kit/test.h"
#include <stdio.h>
#include <sys/socket.h>

#define NONE ((struct http_fields){ 0 })

/* ---- the client ---------------------------------------------------------------------------------------------------------- */

#define EIGHT(s) s s s s s s s s
#define CONTINUE32 EIGHT("HTTP/1.1 100 Continue\r\n\r\n" "HTTP/1.1 102 Processing\r\n\r\n" "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" "HTTP/1.1 199 So\r\n\r\n")

TEST(what_a_server_of_http1_may_answer)
{
    static const struct { const char *say; bool hang_up; int status; size_t got; const char *msg; } rows[] = {
        { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", false, 200, 5, "" },
        { "HTTP/1.1 200 OK\r\n\r\nhello", true, 200, 5, "" },                                                       /* the end of the connection ends it */
        { "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", true, 200, 5, "closed" },
        { "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", true, 200, 5, "closed" },
        { "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n", false, 200, 5, "" },              /* what else may come is not ours */
        { "NONSENSE\r\n\r\n", false, 0, 0, "127.0.0.1" },
        { CONTINUE32 "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", false, 200, 5, "" },
        { CONTINUE32 "HTTP/1.1 100 Continue\r\n\r\n", false, 0, 0, "more than 32 answers of 1xx" },
        { "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", false, 200, 0, "127.0.0.1" },
        { "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nraw", true, 0, 0, "101" },           /* nobody asked */
        { "", true, 0, 0, "closed" },
    };
    for (size_t i = 0; i < LEN(rows); i++)
        for (int hears = 0; hears < 2; hears++) {
            struct peer p;
            struct peer_call q = { 0 };
            peer_begin(&p, HTTP_11);
            p.say = rows[i].say;
            p.hang_up = rows[i].hang_up;
            peer_call(p.c, &q, PEER_REQUEST("POST", "/", .body = S("x")), hears ? &peer_whole : &peer_deaf);
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
        struct peer_call q = { 0 };
        struct http_field empty = { S("x-empty"), S("") };
        peer_begin(&p, HTTP_11);
        p.say = "HTTP/1.1 204 No Content\r\n\r\n";
        peer_call(p.c, &q, &(struct httpc_request){ .method = str_of(rows[i].method), .path = S("/"), .authority = S("t"), .fields = { &empty, 1 } }, &peer_whole);
        here_until(&p.h, &q.over);
        CHECK((str_find(buf_view(&p.ones[0].in), S("content-length: 0\r\n")) > 0) == rows[i].says && str_find(buf_view(&p.ones[0].in), S("x-empty: \r\n")) > 0);
        peer_end(&p);
    }
}

/* A server that ends an idle connection may say so (408): nobody asked, and nobody is harmed. Nor is the begin of an answer kept
 * for the next request, whose own answer would become a part of it. */
TEST(what_a_server_of_http1_says_unasked)
{
    static const char *const said[] = { "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n", "H", "HTTP/1.1 404 Not Found\r\nx-all: ",
                                        "HTTP/1.1 100 Continue\r\n\r\n" };
    for (size_t i = 0; i < LEN(said); i++) {
        struct peer p;
        struct peer_call q = { 0 };
        peer_begin(&p, HTTP_11);
        p.say = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        peer_call(p.c, &q, PEER_REQUEST("GET", "/"), &peer_whole);
        here_until(&p.h, &q.over);
        peer_say(&p.ones[0], str_of(said[i]));
        here_run(&p.h, 2000);
        peer_call(p.c, &q, PEER_REQUEST("GET", "/"), &peer_whole);
        here_until(&p.h, &q.over);
        CHECK(!q.failed && q.status == 200 && q.got == 5);
        CHECK_INT(p.n, 2);
        CHECK_INT(p.lost, 1);
        peer_end(&p);
    }
}

TEST(a_body_of_known_length_goes_out_as_it_is)
{
    struct peer p;
    struct peer_call q = { 0 };
    peer_begin(&p, HTTP_11);
    peer_call(p.c, &q, PEER_REQUEST("PUT", "/", .more = true, .length = 6), &peer_whole);
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
        { "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", false, &peer_whole, 403 },
        { "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nraw", true, &peer_whole, 101 },
        { "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nraw", true, &peer_deaf, 0 },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct peer p;
        struct peer_call q = { 0 };
        peer_begin(&p, HTTP_11);
        p.say = rows[i].say;
        p.hang_up = rows[i].hang_up;
        peer_call(p.c, &q, PEER_REQUEST("GET", "/", .upgrade = true), rows[i].user);
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
            struct peer_call q = { 0 };
            peer_begin(&p, HTTP_2);
            peer_call(p.c, &q, &(struct httpc_request){ .method = S("POST"), .path = str_of(rows[i].path), .authority = S("t"), .more = how == 2, .body = S("x") }, how == 1 ? &peer_deaf : &peer_whole);
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
    static const enum peer_leave how[] = { LEAVES_AT_HEAD, LEAVES_AT_DATA, PAUSES_AND_LEAVES_AT_DATA };
    for (size_t at = 0; at < LEN(how); at++)
        for (size_t i = 0; i < LEN(paths); i++) {
            struct peer p;
            struct peer_call q = { .leave = how[at] }, other = { 0 };
            peer_begin(&p, HTTP_2);
            peer_call(p.c, &q, &(struct httpc_request){ .method = S("GET"), .path = str_of(paths[i]), .authority = S("t") }, &peer_whole);
            peer_call(p.c, &other, PEER_REQUEST("GET", "/pieces"), &peer_whole);
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
        struct peer_call q = { .leave = PAUSES_AT_DATA };
        peer_begin(&p, HTTP_2);
        peer_call(p.c, &q, PEER_REQUEST("GET", "/open"), &peer_whole);
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
        struct peer_call sent = { 0 }, waits = { 0 }, cancelled = { 0 };
        peer_begin(&p, v ? HTTP_2 : HTTP_11);
        peer_call(p.c, &cancelled, PEER_REQUEST("GET", "/hold"), &peer_whole);
        hcall_cancel(cancelled.c);
        peer_call(p.c, &sent, PEER_REQUEST("GET", "/hold", .deadline_us = loop_now_us(p.h.loop) + 5000000), &peer_whole);
        here_until_is(&p.h, &p.n, 1);
        here_run(&p.h, 2000);
        httpc_hold(p.c, true);
        peer_call(p.c, &waits, PEER_REQUEST("GET", "/hold", .deadline_us = loop_now_us(p.h.loop) + 5000000), &peer_whole);
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
    struct peer_call sent[8] = { 0 }, waits = { 0 };
    peer_begin(&p, HTTP_11);
    for (size_t i = 0; i < LEN(sent); i++)
        peer_call(p.c, &sent[i], PEER_REQUEST("GET", "/hold"), &peer_whole);
    peer_call(p.c, &waits, PEER_REQUEST("GET", "/hold", .deadline_us = loop_now_us(p.h.loop) + 5000000), &peer_whole);
    here_until_is(&p.h, &p.n, 8);
    here_run(&p.h, 2000);
    here_skip(&p.h, 6000000);
    here_until(&p.h, &waits.over);
    CHECK(waits.code == KR_DEADLINE && !sent[0].over && p.n == 8);
    peer_end(&p);
}

/* ---- what a user does who hears of a failure ----------------------------------------------------------------------------- */

static struct { struct peer *p; struct peer_call again; bool close; } late;

static void c_failed_and_more(struct hcall *h, const struct kr_err *e)
{
    peer_failed(h, e);
    if (late.close)
        httpc_free(late.p->c);                        /* it is being closed */
    else
        peer_call(late.p->c, &late.again, PEER_REQUEST("GET", "/"), &peer_whole);
}

TEST(who_hears_of_a_failure_may_call_again_or_close)
{
    static const struct hcall_user user = { .end = peer_ended, .failed = c_failed_and_more };
    struct kr_err why = { .code = KR_UNAUTHORIZED };
    for (int close = 0; close < 2; close++) {
        struct peer p;
        struct peer_call q = { 0 }, other = { 0 };
        peer_begin(&p, HTTP_11);
        late.p = &p;
        late.close = close;
        late.again = (struct peer_call){ 0 };
        httpc_hold(p.c, true);
        peer_call(p.c, &q, PEER_REQUEST("GET", "/"), &user);
        peer_call(p.c, &other, PEER_REQUEST("GET", "/"), &peer_whole);
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
    static const struct { const char *method, *say; bool more, again; size_t got; } rows[] = {
        { "GET", "", false, true, 0 }, { "HEAD", "", false, true, 0 }, { "DELETE", "", false, false, 0 }, { "GET", "", true, false, 0 },
        { "GET", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", false, false, 5 },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct peer p;
        struct peer_call q = { 0 };
        peer_begin(&p, HTTP_11);
        p.say = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        peer_call(p.c, &q, PEER_REQUEST("GET", "/"), &peer_whole);
        here_until(&p.h, &q.over);
        p.say = rows[i].say;
        p.hang_up = true;
        peer_call(p.c, &q, &(struct httpc_request){ .method = str_of(rows[i].method), .path = S("/"), .authority = S("t"), .more = rows[i].more }, &peer_whole);
        here_until(&p.h, &q.over);
        CHECK_INT(p.n, rows[i].again ? 2 : 1);
        CHECK(q.failed && q.code == KR_UNAVAILABLE && q.got == rows[i].got);
        peer_end(&p);
    }
}

/* ---- TLS ----------------------------------------------------------------------------------------------------------------- */

/* Over TLS a connection is open when both have shaken hands, and speaks what they agreed upon. */
TEST(a_server_that_never_shakes_hands)
{
    struct peer p;
    struct kr_err e = { 0 };
    struct peer_call q = { 0 };
    struct tls *tls = tls_client_new(&(struct tls_config){ .skip_verify = true }, &e);
    peer_begin(&p, HTTP_11);
    httpc_free(p.c);
    p.c = httpc_new(p.h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = listener_port(p.l), .tls = tls }, .version = HTTP_2, .connect_timeout_us = 3000000 });
    peer_call(p.c, &q, PEER_REQUEST("GET", "/"), &peer_whole);
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
        { HTTP_2, true, { "2", "1.1", "1.1" } }, { HTTP_2_OR_11, false, { "2", "1.1", "1.1" } },
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
            struct peer_call q = { 0 };
            struct tls *server = tls_server_new(&(struct tls_config){ .cert = buf_view(&leaf.cert), .key = buf_view(&leaf.key), .alpn = offers[i][0] ? offers[i] : NULL }, &e);
            struct tls *client = tls_client_new(&(struct tls_config){ .ca = buf_view(&ca.cert), .alpn = rows[j].upgrade ? both + 1 : both }, &e);
            here_loop(&h);
            struct httpd *d = httpd_new(h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .tls = server, .user = { no_user, no_bytes, say_version, NULL, nothing, NULL } }, &e);
            struct httpc *c = httpc_new(h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = httpd_port(d), .tls = client }, .version = rows[j].version });
            peer_call(c, &q, PEER_REQUEST("GET", "/", .upgrade = rows[j].upgrade), &peer_whole);
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

/* An idle connection is told to end (GOAWAY), and ended when its client doesn't. */
TEST(an_idle_connection_of_http2_is_ended)
{
    struct served x;
    served_begin(&x, SERVED_H2, true);
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
    struct peer_call q = { 0 };
    int fd[2];
    here_loop(&h);
    struct httpd *d = httpd_new(h.loop, &(struct httpd_config){ .idle_us = 5000000, .user = { no_user, no_bytes, say_version, NULL, nothing, NULL } }, &e);
    CHECK_OR(d && httpd_port(d) == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
    httpd_serve_fd(d, fd[0]);
    struct httpc *c = httpc_new(h.loop, &(struct httpc_config){ .target = { .host = S("t"), .fd = fd[1] }, .version = HTTP_ANY });
    peer_call(c, &q, PEER_REQUEST("GET", "/"), &peer_whole);
    here_until(&h, &q.over);
    CHECK(!q.failed && q.got == 3 && !httpc_is_spent(c));
    here_skip(&h, 5000001);
    for (int n = 0; n < 60000 && !httpc_is_spent(c); n++)
        here_run(&h, 1000);
    CHECK(httpc_is_spent(c));
    peer_call(c, &q, PEER_REQUEST("GET", "/"), &peer_whole);
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
            served_begin(&x, SERVED_H2, true);
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
        served_begin(&x, h2 ? SERVED_H2 : NULL, false);
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
        { "POST /end/respond HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nfew\r\nzz\r\n", "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain", false },
        { "POST /end/respond HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n+2\r\n", "HTTP/1.1 400", false },
        { "POST /begin/start HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "", false },
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
            served_begin(&x, NULL, true);
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
    served_begin(&x, NULL, true);
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
