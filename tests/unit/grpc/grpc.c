/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/grpc_server.h"
#include "grpc/http_server.h"
#include "grpc/h2.h"
#include "grpc/proto/health.pb.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>

struct fixture { struct here h; struct grpc_server *s; struct grpc_client *c; bool sick, closed; int gone, started; struct grpc_request *last; };

static void echo(struct grpc_request *r, struct str m)
{
    grpc_reply(r, m);
    grpc_end(r, GRPC_OK, S(""));
}
static void count(struct grpc_request *r, struct str m)
{
    for (size_t i = 1; i <= m.n; i++)
        grpc_reply(r, (struct str){ m.p, i });
    grpc_end(r, GRPC_OK, S(""));
}
static void fail(struct grpc_request *r, struct str m) { grpc_end(r, GRPC_NOT_FOUND, m); }
static void large(struct grpc_request *r, struct str m)
{
    static char megabyte[1 << 20];
    (void)m;
    grpc_reply(r, (struct str){ megabyte, sizeof megabyte });
    grpc_end(r, GRPC_OK, S(""));
}
static void silent(struct grpc_request *r, struct str m)
{
    struct fixture *x = grpc_service_ctx(r);
    (void)m;
    x->started++;
    x->last = r;
}
static void went(struct grpc_request *r) { ((struct fixture *)grpc_service_ctx(r))->gone++; }
static void chat_end(struct grpc_request *r) { grpc_end(r, GRPC_OK, S("bye")); }
/* Says much once the client has sent all, and ends when that is taken. */
static void last_words(struct grpc_request *r)
{
    static char much[400000];
    ((struct fixture *)grpc_service_ctx(r))->started++;
    grpc_reply(r, (struct str){ much, sizeof much });
}
static void taken(struct grpc_request *r)
{
    if (((struct fixture *)grpc_service_ctx(r))->started)
        grpc_end(r, GRPC_OK, S("taken"));
}
static void large_piece(struct grpc_request *r, struct str m)
{
    static char much[400000];
    (void)m;
    grpc_reply(r, (struct str){ much, sizeof much });
}
static void labelled(struct grpc_request *r, struct str m)
{
    struct http_field f[] = { { S("x-word"), m } };
    grpc_head(r, (struct http_fields){ f, 1 });
    grpc_reply(r, m);
    grpc_head(r, (struct http_fields){ f, 1 });              /* too late: without effect */
    grpc_end_with(r, GRPC_ABORTED, S("so"), (struct http_fields){ f, 1 });
}
static const struct grpc_method methods[] = {
    { .name = "Labelled", .message = labelled }, { .name = "Large", .message = large },
    { .name = "Echo", .message = echo }, { .name = "Count", .message = count }, { .name = "Fail", .message = fail },
    { .name = "Silent", .message = silent, .gone = went }, { .name = "Chat", .stream_in = true, .message = grpc_reply, .half_closed = chat_end },
    { .name = "LargePieces", .stream_in = true, .message = large_piece, .half_closed = chat_end },
    { .name = "LastWords", .stream_in = true, .message = silent, .half_closed = last_words, .writable = taken }, { 0 } };

static int allow(void *ctx, struct http_fields f, struct kr_err *e)
{
    struct fixture *x = ctx;
    return x->closed && !str_is(http_get(f, "authorization"), "Bearer t") ? kr_fail(e, KR_UNAUTHORIZED, "who are you") : 0;
}
static bool healthy(void *ctx, struct str service) { (void)service; return !((struct fixture *)ctx)->sick; }

static void begin(struct fixture *x)
{
    static struct grpc_service service;
    struct kr_err e = { 0 };
    *x = (struct fixture){ 0 };
    here_loop(&x->h);
    service = (struct grpc_service){ "test.Test", methods, x };
    x->s = grpc_server_new(x->h.loop, &(struct grpc_server_config){ .host = S("127.0.0.1"), .services = &service, .n = 1, .max_message = 100000,
                                                                    .allow = allow, .healthy = healthy, .ctx = x }, &e);
    if (!CHECK(x->s))
        abort();
    x->c = grpc_client_new(x->h.loop, S("127.0.0.1"), grpc_server_port(x->s));
}

static void end(struct fixture *x)
{
    grpc_client_free(x->c);
    grpc_server_free(x->s);
    loop_free(x->h.loop);
}

struct got { bool over; int status, messages; size_t bytes; char text[600]; };
static void on_message(void *ctx, struct str m)
{
    struct got *g = ctx;
    g->messages++;
    g->bytes += m.n;
}
static void on_done(void *ctx, int status, struct str text)
{
    struct got *g = ctx;
    CHECK(!g->over);
    g->over = true;
    g->status = status;
    snprintf(g->text, sizeof g->text, "%.*s", SFMT(text));
}

static struct grpc_call *call(struct fixture *x, const char *path, struct str m, const struct grpc_options *o, struct got *g)
{
    *g = (struct got){ 0 };
    return grpc_call(x->c, path, m, o ? o : &(struct grpc_options){ .timeout_us = 10000000 }, (struct grpc_user){ on_message, on_done, g });
}

static struct grpc_call *open_call(struct fixture *x, const char *path, struct got *g)
{
    return call(x, path, (struct str){ 0 }, &(struct grpc_options){ .timeout_us = 10000000, .open = true }, g);
}

static void check_call(struct fixture *x, const char *path, struct str m, int status, int messages, size_t bytes, const char *text)
{
    struct got g;
    call(x, path, m, NULL, &g);
    here_until(&x->h, &g.over);
    CHECK_INT(g.status, status);
    CHECK_INT(g.messages, messages);
    CHECK_INT(g.bytes, bytes);
    CHECK_Z(g.text, text);
}

TEST(calls_end_with_their_messages_and_status)
{
    struct fixture x;
    static char big[100001];
    begin(&x);
    check_call(&x, "/test.Test/Echo", S("hello"), GRPC_OK, 1, 5, "");
    check_call(&x, "/test.Test/Echo", S(""), GRPC_OK, 1, 0, "");
    check_call(&x, "/test.Test/Echo", (struct str){ big, 100000 }, GRPC_OK, 1, 100000, "");
    check_call(&x, "/test.Test/Echo", (struct str){ big, 100001 }, GRPC_RESOURCE_EXHAUSTED, 0, 0, "the message is larger than allowed");
    check_call(&x, "/test.Test/Count", S("abcd"), GRPC_OK, 4, 10, "");
    check_call(&x, "/test.Test/Fail", S("100 %\nna\303\257ve"), GRPC_NOT_FOUND, 0, 0, "100 %\nna\303\257ve");
    check_call(&x, "/test.Test/Nope", S(""), GRPC_UNIMPLEMENTED, 0, 0, "method Nope is not offered");
    check_call(&x, "/test.Nope/Echo", S(""), GRPC_UNIMPLEMENTED, 0, 0, "service test.Nope is not offered");
    end(&x);
}

TEST(both_sides_stream)
{
    struct fixture x;
    struct got g;
    begin(&x);
    struct grpc_call *c = open_call(&x, "/test.Test/Chat", &g);
    for (int i = 1; i <= 3; i++) {
        grpc_send(c, S("abc"));
        here_until_is(&x.h, &g.messages, i);
    }
    CHECK(!g.over);
    grpc_half_close(c);
    here_until(&x.h, &g.over);
    CHECK_INT(g.status, GRPC_OK);
    CHECK_INT(g.bytes, 9);
    CHECK_Z(g.text, "bye");
    end(&x);
}

TEST(who_answers_after_the_end_of_the_questions_hears_of_that_once)
{
    struct fixture x;
    struct got g;
    begin(&x);
    struct grpc_call *c = open_call(&x, "/test.Test/LastWords", &g);
    grpc_half_close(c);
    here_until(&x.h, &g.over);
    CHECK_INT(g.status, GRPC_OK);
    CHECK_INT(g.bytes, 400000);
    CHECK_INT(x.started, 1);
    end(&x);
}

TEST(questions_wait_until_the_answers_before_are_taken)
{
    struct fixture x;
    struct got g;
    begin(&x);
    struct grpc_call *c = open_call(&x, "/test.Test/LargePieces", &g);
    for (int i = 0; i < 3; i++)
        grpc_send(c, S("abc"));
    grpc_half_close(c);
    here_until(&x.h, &g.over);
    CHECK_INT(g.status, GRPC_OK);
    CHECK_INT(g.messages, 3);
    CHECK_Z(g.text, "bye");
    end(&x);
}

/* As a request that isn't whole had filled the room, and answers had. */
TEST(all_connections_of_a_server_keep_so_much_together)
{
    struct fixture x;
    struct got g;
    begin(&x);
    struct grpc_call *c = open_call(&x, "/test.Test/Silent", &g);
    grpc_send(c, S("abc"));
    here_until_is(&x.h, &x.started, 1);
    struct hreq *r = x.last->http;
    x.s->httpd->queued += LIMIT_GRPC_QUEUED;
    CHECK(!hreq_is_crowded(r));
    x.s->httpd->queued++;
    CHECK(hreq_is_crowded(r));
    x.s->httpd->queued -= LIMIT_GRPC_QUEUED + (size_t)1;
    hreq_keeps(r, LIMIT_GRPC_BODIES / 2);
    check_call(&x, "/test.Test/Echo", S("hello"), GRPC_OK, 1, 5, "");
    CHECK(!g.over);
    hreq_keeps(r, LIMIT_GRPC_BODIES);
    here_until(&x.h, &g.over);
    CHECK_INT(g.status, GRPC_UNAVAILABLE);        /* it may be sent again */
    check_call(&x, "/test.Test/Echo", S("hello"), GRPC_OK, 1, 5, "");
    end(&x);
}

struct labels { struct got got; struct grpc_call *call; char words[64]; int cancel_at, seen; };
static void on_labels(void *ctx, struct http_fields f, bool trailing)
{
    struct labels *l = ctx;
    struct str word = http_get(f, "x-word");
    size_t n = strlen(l->words);
    snprintf(l->words + n, sizeof l->words - n, "%s%.*s;", trailing ? "trailing " : "", SFMT(word));
    if (++l->seen == l->cancel_at)
        grpc_cancel(l->call);
}

TEST(metadata_comes_ahead_and_beside_the_status)
{
    struct fixture x;
    begin(&x);
    for (int cancel_at = 0; cancel_at <= 2; cancel_at++) {
        struct labels l = { .cancel_at = cancel_at };
        l.call = grpc_call(x.c, "/test.Test/Labelled", S("hi"), &(struct grpc_options){ .timeout_us = 10000000 },
                           (struct grpc_user){ on_message, on_done, &l, on_labels });
        if (cancel_at) {                          /* by who heard it: nothing comes behind */
            here_until_is(&x.h, &l.seen, cancel_at);
            check_call(&x, "/test.Test/Echo", S("hello"), GRPC_OK, 1, 5, "");
        } else {
            here_until(&x.h, &l.got.over);
            CHECK_INT(l.got.status, GRPC_ABORTED);
        }
        CHECK_INT(l.got.over, !cancel_at);
        CHECK_Z(l.words, cancel_at == 1 ? "hi;" : "hi;trailing hi;");
    }
    end(&x);
}

TEST(a_call_ends_at_its_deadline_and_when_it_is_cancelled)
{
    struct fixture x;
    struct got g;
    begin(&x);
    call(&x, "/test.Test/Silent", S("x"), &(struct grpc_options){ .timeout_us = 5000000 }, &g);
    here_until_is(&x.h, &x.started, 1);
    here_skip(&x.h, 5000000);
    here_until(&x.h, &g.over);
    CHECK_INT(g.status, GRPC_DEADLINE_EXCEEDED);
    here_until_is(&x.h, &x.gone, 1);
    struct grpc_call *c = call(&x, "/test.Test/Silent", S("x"), NULL, &g);
    here_until_is(&x.h, &x.started, 2);
    grpc_cancel(c);
    here_until_is(&x.h, &x.gone, 2);
    CHECK(!g.over);
    call(&x, "/test.Test/Silent", S("x"), NULL, &g);
    here_until_is(&x.h, &x.started, 3);
    grpc_client_free(TAKE(x.c));
    CHECK(g.over);
    CHECK_INT(g.status, GRPC_CANCELLED);
    here_until_is(&x.h, &x.gone, 3);
    end(&x);
}

/* A client that asks and asks, and takes nothing. */
struct greedy { struct link *l; struct h2 *h; bool settled; int heads, exhausted, refused, over; };

static void greedy_event(struct greedy *g, const struct h2_event *ev)
{
    if (ev->type == H2_HEADERS || ev->type == H2_TRAILERS)
        g->exhausted += str_is(http_get(ev->fields, "grpc-status"), "8");
    g->heads += ev->type == H2_HEADERS;
    g->refused += ev->type == H2_RESET && ev->code == H2_REFUSED_STREAM;
    g->over = g->heads + g->refused;
    g->settled |= ev->type == H2_PEER_SETTINGS;
}
static void greedy_ready(struct link *l, void *ctx)
{
    struct greedy *g = ctx;
    char chunk[16384];
    struct h2_event ev;
    for (ptrdiff_t n; (n = link_read(l, chunk, sizeof chunk)) > 0;) {
        h2_feed(g->h, (struct str){ chunk, (size_t)n }, 0);
        while (h2_next(g->h, &ev))
            greedy_event(g, &ev);
    }
    for (struct str out; (out = h2_pending(g->h)).n && link_is_open(l);) {
        ptrdiff_t n = link_write(l, out.p, out.n);
        if (n <= 0)
            break;
        h2_sent(g->h, (size_t)n);
    }
}

TEST(no_more_answers_wait_for_a_client_that_takes_none_than_the_limit)
{
    struct fixture x;
    struct greedy g = { 0 };
    AUTO_BUF struct buf asked = { .max = 64 };
    enum { CALLS = 200 };
    begin(&x);
    grpc_frame(&asked, S("x"));
    g.h = h2_new(&(struct h2_config){ .role = H2_CLIENT, .stream_window = 1 });
    g.l = link_connect(x.h.loop, &(struct link_target){ .host = S("127.0.0.1"), .port = grpc_server_port(x.s) }, (struct link_user){ greedy_ready, &g });
    struct http_field f[] = { { S(":method"), S("POST") }, { S(":scheme"), S("http") }, { S(":path"), S("/test.Test/Large") }, { S(":authority"), S("t") },
                              { S("content-type"), S("application/grpc") }, { S("te"), S("trailers") } };
    here_until(&x.h, &g.settled);
    for (int i = 0; i < CALLS; i++) {             /* all of their heads before the first body: none is refused at its head */
        uint32_t id = h2_open(g.h, (struct http_fields){ f, LEN(f) }, false, NULL);
        CHECK_OR(id);
    }
    for (int i = 0; i < CALLS; i++)
        h2_data(g.h, (uint32_t)(2 * i + 1), buf_view(&asked), true);
    greedy_ready(g.l, &g);
    here_until_is(&x.h, &g.over, CALLS);
    CHECK_INT(g.refused, 0);
    CHECK_INT(g.exhausted, CALLS - 64);           /* 64 answers of a mebibyte, with their prefixes, are more than 64 MiB */
    link_close(g.l);
    h2_free(g.h);
    check_call(&x, "/test.Test/Echo", S("others"), GRPC_OK, 1, 6, "");
    end(&x);
}

TEST(who_is_not_allowed_is_refused_but_may_ask_for_health)
{
    struct fixture x;
    struct got g;
    begin(&x);
    x.closed = true;
    check_call(&x, "/test.Test/Echo", S("x"), GRPC_UNAUTHENTICATED, 0, 0, "who are you");
    struct http_field f = { S("authorization"), S("Bearer t") };
    call(&x, "/test.Test/Echo", S("x"), &(struct grpc_options){ .timeout_us = 10000000, .metadata = { &f, 1 } }, &g);
    here_until(&x.h, &g.over);
    CHECK_INT(g.status, GRPC_OK);
    check_call(&x, "/grpc.health.v1.Health/Check", S(""), GRPC_OK, 1, 2, "");
    check_call(&x, "/grpc.health.v1.Health/Check", S("\x0a\x09test.Test"), GRPC_OK, 1, 2, "");
    check_call(&x, "/grpc.health.v1.Health/Check", S("\x0a\x01z"), GRPC_NOT_FOUND, 0, 0, "no such service");
    end(&x);
}

static void count_lost(void *ctx) { ++*(int *)ctx; }

TEST(a_connection_that_ends_while_nobody_calls_is_told)
{
    struct fixture x;
    int lost = 0;
    begin(&x);
    grpc_client_on_lost(x.c, count_lost, &lost);
    check_call(&x, "/test.Test/Echo", S("x"), GRPC_OK, 1, 1, "");
    CHECK_INT(lost, 0);
    grpc_server_free(TAKE(x.s));
    here_until_is(&x.h, &lost, 1);
    struct got g;
    call(&x, "/test.Test/Echo", S("x"), NULL, &g);
    here_until(&x.h, &g.over);
    CHECK_INT(g.status, GRPC_UNAVAILABLE);
    CHECK_INT(lost, 1);                           /* one that was never open is none that was lost */
    grpc_client_free(x.c);
    loop_free(x.h.loop);
}

TEST(calls_that_last_do_not_keep_the_others_waiting)
{
    static struct got last[LIMIT_H2_STREAMS];
    struct fixture x;
    begin(&x);
    for (size_t i = 0; i < LEN(last); i++)
        call(&x, "/test.Test/Silent", S("x"), &(struct grpc_options){ .timeout_us = 3600000000 }, &last[i]);
    here_until_is(&x.h, &x.started, LIMIT_H2_STREAMS);
    check_call(&x, "/test.Test/Echo", S("x"), GRPC_OK, 1, 1, "");
    end(&x);
}

TEST(who_watches_health_is_told_of_changes)
{
    struct fixture x;
    struct got g;
    begin(&x);
    struct grpc_call *c = call(&x, "/grpc.health.v1.Health/Watch", S(""), NULL, &g);
    here_until_is(&x.h, &g.messages, 1);
    x.sick = true;
    grpc_server_health_changed(x.s);
    here_until_is(&x.h, &g.messages, 2);
    CHECK(!g.over);
    grpc_cancel(c);
    check_call(&x, "/grpc.health.v1.Health/Check", S(""), GRPC_OK, 1, 2, "");     /* a round trip later nobody watches */
    grpc_server_health_changed(x.s);
    end(&x);
}

/* ---- what a well-behaved client doesn't send ---------------------------------------------------------------------- */

struct raw { int status; char grpc[16]; bool over; };
static void raw_status(struct raw *r, struct http_fields f)
{
    struct str s = http_get(f, "grpc-status");
    if (s.n)
        snprintf(r->grpc, sizeof r->grpc, "%.*s", SFMT(s));
}
static void raw_head(struct hcall *c, int status, struct http_fields f)
{
    struct raw *r = hcall_ctx(c);
    r->status = status;
    raw_status(r, f);
}
static void raw_data(struct hcall *c, struct str b) { (void)c; (void)b; }
static void raw_end(struct hcall *c, struct http_fields f)
{
    struct raw *r = hcall_ctx(c);
    raw_status(r, f);
    r->over = true;
}
static void raw_failed(struct hcall *c, const struct kr_err *e) { (void)e; ((struct raw *)hcall_ctx(c))->over = true; }

TEST(what_is_not_grpc_is_refused_in_words_the_peer_understands)
{
    static const struct { const char *method, *type, *timeout, *encoding; struct str body; int status; const char *grpc; } rows[] = {
        { "POST", "application/grpc", "1S", "", { "\0\0\0\0\1x", 6 }, 200, "0" },
        { "POST", "application/grpc+proto", "1S", "identity", { "\0\0\0\0\1x", 6 }, 200, "0" },
        { "POST", "application/json", "1S", "", { "{}", 2 }, 415, "" },
        { "POST", "application/grpc-web", "1S", "", { "\0\0\0\0\1x", 6 }, 415, "" },
        { "GET", "application/grpc", "1S", "", { 0 }, 405, "" },
        { "POST", "application/grpc", "1S", "", { 0 }, 200, "13" },                           /* no message */
        { "POST", "application/grpc", "1S", "", { "\0\0\0\0\5x", 6 }, 200, "13" },            /* ends inside */
        { "POST", "application/grpc", "1S", "", { "\1\0\0\0\1x", 6 }, 200, "12" },            /* compressed */
        { "POST", "application/grpc", "1S", "gzip", { "\1\0\0\0\1x", 6 }, 200, "12" },
        { "POST", "application/grpc", "1S", "", { "\0\377\377\377\377x", 6 }, 200, "8" },
        { "POST", "application/grpc", "soon", "", { "\0\0\0\0\1x", 6 }, 200, "3" },
    };
    struct fixture x;
    begin(&x);
    struct httpc *c = httpc_new(x.h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = grpc_server_port(x.s) }, .version = HTTP_2 });
    for (size_t i = 0; i < LEN(rows); i++) {
        struct raw r = { 0 };
        struct http_field f[] = { { S("content-type"), str_of(rows[i].type) }, { S("grpc-timeout"), str_of(rows[i].timeout) },
                                  { S("grpc-encoding"), str_of(rows[i].encoding) } };
        httpc_call(c, &(struct httpc_request){ .method = str_of(rows[i].method), .path = S("/test.Test/Echo"), .authority = S("t"),
                                               .fields = { f, *rows[i].encoding ? 3 : 2 }, .body = rows[i].body },
                   (struct hcall_user){ .head = raw_head, .data = raw_data, .end = raw_end, .failed = raw_failed, .ctx = &r });
        here_until(&x.h, &r.over);
        if (!CHECK(r.status == rows[i].status) | !CHECK_Z(r.grpc, rows[i].grpc))
            printf("    row %zu: %d\n", i, r.status);
    }
    struct raw r = { 0 };
    struct http_field f = { S("content-type"), S("application/grpc") };
    httpc_call(c, &(struct httpc_request){ .method = S("POST"), .path = S("/test.Test/Silent"), .authority = S("t"), .fields = { &f, 1 },
                                           .body = S("\0\0\0\0\0\0\0\0\0\0") },
               (struct hcall_user){ .head = raw_head, .data = raw_data, .end = raw_end, .failed = raw_failed, .ctx = &r });
    here_until(&x.h, &r.over);
    CHECK_Z(r.grpc, "13");                        /* a second message on a method that takes one */
    httpc_free(c);
    end(&x);
}

TEST(timeouts_messages_and_codes_on_the_wire)
{
    static const struct { int64_t us; const char *text; } put[] = { { 0, "1u" }, { 1500000, "1500000u" }, { 99999999, "99999999u" },
        { 100000000, "100000m" }, { 99999999999, "99999999m" }, { 100000000000, "100000S" }, { INT64_MAX, "99999999S" } };
    static const struct { const char *text; int64_t us; } parsed[] = { { "1n", 1 }, { "0n", 0 }, { "1500m", 1500000 }, { "2S", 2000000 },
        { "3M", 180000000 }, { "99999999H", 359999996400000000 }, { "7u", 7 } };
    static const char *const bad[] = { "", "1", "S", "123456789S", "-1S", "+1S", "1x", "1.5S", " 1S" };
    AUTO_BUF struct buf b = { .max = 400 };
    AUTO_ARENA struct arena a = { .limit = 4096 };
    int64_t us = 42;
    for (size_t i = 0; i < LEN(put); i++) {
        buf_clear(&b);
        grpc_put_timeout(&b, put[i].us);
        CHECK_STR(buf_view(&b), str_of(put[i].text));
    }
    for (size_t i = 0; i < LEN(parsed); i++) {
        CHECK(grpc_parse_timeout(str_of(parsed[i].text), &us));
        CHECK_INT(us, parsed[i].us);
    }
    us = 42;
    for (size_t i = 0; i < LEN(bad); i++)
        CHECK(!grpc_parse_timeout(str_of(bad[i]), &us));
    CHECK_INT(us, 42);
    buf_clear(&b);
    grpc_put_message(&b, S("a%b\n\303\251~"));
    CHECK_STR(buf_view(&b), S("a%25b%0A%C3%A9~"));
    CHECK_STR(grpc_parse_message(&a, buf_view(&b)), S("a%b\n\303\251~"));
    CHECK_STR(grpc_parse_message(&a, S("%4x%4")), S("%4x%4"));
    CHECK_INT(grpc_code(GRPC_INVALID_ARGUMENT), KR_INVALID);
    CHECK_INT(grpc_code(GRPC_OK), KR_OK);
    CHECK_Z(grpc_status_name(GRPC_UNAUTHENTICATED), "UNAUTHENTICATED");
    CHECK_Z(grpc_status_name(-1), "CODE_99");
}

TEST(bytes_longer_than_their_length_can_say_are_refused)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    static char big[65536];
    pb_bytes_array_t *b = pb_bytes(&a, (struct str){ big, 65535 });
    CHECK_OR(b);
    CHECK_INT(pb_view(b).n, 65535);
    CHECK(!pb_bytes(&a, (struct str){ big, 65536 }));
}
