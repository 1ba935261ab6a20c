/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client against servers and connections that fail: what is sent again, what is told, what ends. */
#include "grpc/http.h"
#include "grpc/h2.h"
#include "grpc/http_client.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>
#include <unistd.h>

#define NONE ((struct http_fields){ 0 })
struct call { struct hcall *c; int status; size_t got; bool over, failed; enum kr_code code; char msg[512]; struct httpc **close; };
struct fixture { struct here h; struct httpd *d; struct httpc *c; int requests; struct hreq *held; };

static void on_begin(struct hreq *r, void *ctx) { hreq_set_user(r, ctx); }
static void on_data(struct hreq *r, struct str b) { (void)r; (void)b; }
static void on_end(struct hreq *r)
{
    struct fixture *x = hreq_user(r);
    x->requests++;
    if (str_is(hreq_path(r), "/hold"))
        x->held = r;
    else
        hreq_respond(r, 200, NONE, S("hello"));
}
static void on_gone(struct hreq *r)
{
    struct fixture *x = hreq_user(r);
    if (x && x->held == r)
        x->held = NULL;
}

static void serve(struct fixture *x, uint16_t port)
{
    struct kr_err e = { 0 };
    x->d = httpd_new(x->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .port = port, .user = { on_begin, on_data, on_end, NULL, on_gone, x } }, &e);
    if (!CHECK(x->d))
        abort();
}
static void connect_to(struct fixture *x, uint16_t port, enum http_version v)
{
    x->c = httpc_new(x->h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = port }, .version = v });
}
static void end(struct fixture *x)
{
    httpc_free(x->c);
    httpd_free(x->d);
    loop_free(x->h.loop);
}

static void c_head(struct hcall *h, int status, struct http_fields f) { (void)f; ((struct call *)hcall_ctx(h))->status = status; }
static void c_data(struct hcall *h, struct str b) { ((struct call *)hcall_ctx(h))->got += b.n; }
static void ended(struct call *q)
{
    CHECK(!q->over);
    q->over = true;
    if (q->close)
        httpc_free(TAKE(*q->close));
}
static void c_end(struct hcall *h, struct http_fields t) { (void)t; ended(hcall_ctx(h)); }
static void c_failed(struct hcall *h, const struct kr_err *e)
{
    struct call *q = hcall_ctx(h);
    q->failed = true;
    q->code = e->code;
    snprintf(q->msg, sizeof q->msg, "%s", e->msg);
    ended(q);
}
static void start(struct fixture *x, struct call *q, struct str method, struct str path)
{
    struct httpc **close = q->close;
    *q = (struct call){ .close = close };
    q->c = httpc_call(x->c, &(struct httpc_request){ .method = method, .path = path, .authority = S("t") },
                      (struct hcall_user){ .head = c_head, .data = c_data, .end = c_end, .failed = c_failed, .ctx = q });
}

/* ---- a server of one connection after the other, by a script ------------------------------------------------------------ */

struct act { const char *say; size_t n; bool hang_up, h2; int goaway_at; };
struct raw {
    struct here *h; struct listener *l;
    const struct act *acts; int nacts, n;
    struct one { struct link *link; struct h2 *h2; const struct act *act; struct raw *r; int seen; } c[8];
    int requests;
};

static void one_h2(struct one *c, struct str in)
{
    struct h2_event ev;
    h2_feed(c->h2, in, loop_now_us(c->r->h->loop));
    while (h2_next(c->h2, &ev)) {
        if (ev.type != H2_HEADERS)
            continue;
        c->seen++;
        c->r->requests++;
        if (c->act->goaway_at == c->seen) {       /* nothing from this one on was processed */
            AUTO_BUF struct buf b = { .max = 64 };
            char frame[17] = { 0, 0, 8, 7, 0, 0, 0, 0, 0 };
            frame[12] = (char)(ev.stream - 2);
            struct str out = h2_pending(c->h2);
            link_write(c->link, out.p, out.n);
            h2_sent(c->h2, out.n);
            link_write(c->link, frame, sizeof frame);
            return;
        }
        if (c->act->goaway_at && c->seen > c->act->goaway_at)
            return;
        if (c->act->hang_up && c->seen > 1) {
            link_close(TAKE(c->link));
            return;
        }
        struct http_field f = { S(":status"), S("200") };
        h2_headers(c->h2, ev.stream, (struct http_fields){ &f, 1 }, false);
        h2_data(c->h2, ev.stream, S("hello"), true);
    }
    for (struct str out; (out = h2_pending(c->h2)).n && link_write(c->link, out.p, out.n) > 0;)
        h2_sent(c->h2, out.n);
}

static void one_ready(struct link *l, void *ctx)
{
    struct one *c = ctx;
    char chunk[16384];
    ptrdiff_t n;
    while (c->link && (n = link_read(l, chunk, sizeof chunk)) > 0) {
        if (c->h2) {
            one_h2(c, (struct str){ chunk, (size_t)n });
        } else if (c->act->say && !c->seen++) {
            link_write(l, c->act->say, c->act->n);
            if (c->act->hang_up)
                link_close(TAKE(c->link));
        } else if (c->act->hang_up && c->seen++) {
            link_close(TAKE(c->link));
        } else if (!c->act->say) {
            c->r->requests++;
            link_write(l, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", 43);
        }
    }
}
static void one_more(void *ctx, int fd)
{
    struct raw *r = ctx;
    struct one *c = &r->c[r->n % (int)LEN(r->c)];
    *c = (struct one){ .act = &r->acts[r->n < r->nacts ? r->n : r->nacts - 1], .r = r };
    r->n++;
    if (c->act->h2)
        c->h2 = h2_new(&(struct h2_config){ .role = H2_SERVER });
    c->link = link_accept(r->h->loop, fd, NULL, (struct link_user){ one_ready, c });
}
static void raw_begin(struct fixture *x, struct raw *r, const struct act *acts, int n, enum http_version v)
{
    struct kr_err e = { 0 };
    *x = (struct fixture){ 0 };
    here_loop(&x->h);
    *r = (struct raw){ .h = &x->h, .acts = acts, .nacts = n };
    r->l = listen_tcp(x->h.loop, S("127.0.0.1"), 0, one_more, r, &e);
    if (!CHECK(r->l))
        abort();
    connect_to(x, listener_port(r->l), v);
}
static void raw_end(struct fixture *x, struct raw *r)
{
    httpc_free(TAKE(x->c));
    for (int i = 0; i < (int)LEN(r->c); i++) {
        link_close(r->c[i].link);
        h2_free(r->c[i].h2);
    }
    listener_close(r->l);
    end(x);
}

/* As Go's and Python's servers answer the preface: with a status line, or with a page alone. */
#define TEXT(s, hang) { .say = s, .n = sizeof(s) - 1, .hang_up = hang }
TEST(a_plain_server_without_http2_gets_http1)
{
    static const struct act acts[2][2] = { { TEXT("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", true), { 0 } },
                                           { TEXT("<!DOCTYPE HTML><title>Error</title>", false), { 0 } } };
    for (int i = 0; i < 2; i++) {
        struct fixture x;
        struct raw r;
        struct call q[3] = { 0 };
        raw_begin(&x, &r, acts[i], 2, HTTP_2_OR_11);
        for (int j = 0; j < 3; j++)
            start(&x, &q[j], S("POST"), S("/"));
        for (int j = 0; j < 3; j++) {
            here_until(&x.h, &q[j].over);
            CHECK(!q[j].failed);
            CHECK_INT(q[j].got, 5);
        }
        CHECK_INT(r.requests, 3);
        CHECK(r.n >= 3);                          /* each on a connection of its own */
        raw_end(&x, &r);
        raw_begin(&x, &r, acts[i], 1, HTTP_2);    /* who insists hears of it */
        start(&x, &q[0], S("POST"), S("/"));
        here_until(&x.h, &q[0].over);
        CHECK(q[0].failed);
        raw_end(&x, &r);
    }
}

TEST(what_a_goaway_leaves_out_is_sent_again)
{
    static const struct act acts[] = { { .h2 = true, .goaway_at = 2 }, { .h2 = true } };
    struct fixture x;
    struct raw r;
    struct call q[4] = { 0 };
    raw_begin(&x, &r, acts, 2, HTTP_2);
    for (int i = 0; i < 4; i++)
        start(&x, &q[i], S("POST"), S("/"));
    for (int i = 0; i < 4; i++) {
        here_until(&x.h, &q[i].over);
        CHECK(!q[i].failed);
        CHECK_INT(q[i].got, 5);
    }
    CHECK_INT(r.n, 2);
    raw_end(&x, &r);
}

/* What is left of the request is of no use to anybody: it must neither be kept nor go before the next one. */
static void answer_early(const struct act *act, enum http_version v)
{
    static char body[8 << 20];
    struct fixture x;
    struct raw r;
    raw_begin(&x, &r, act, 1, v);
    for (int i = 0; i < 3; i++) {
        struct call q = { 0 };
        httpc_call(x.c, &(struct httpc_request){ .method = S("POST"), .path = S("/"), .authority = S("t"), .body = { body, sizeof body } },
                   (struct hcall_user){ .head = c_head, .data = c_data, .end = c_end, .failed = c_failed, .ctx = &q });
        here_until(&x.h, &q.over);
        CHECK(!q.failed && q.status == 200 && q.got == 5);
        here_turn(&x.h);
        if (x.c->conns && x.c->conns->h2)
            CHECK_INT(h2_streams(x.c->conns->h2), 0);
        CHECK_INT(r.n, v == HTTP_2 ? 1 : i + 1);
    }
    raw_end(&x, &r);
}
TEST(an_answer_before_its_request_is_out_ends_both_over_http1)
{
    answer_early(&(struct act)TEXT("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", false), HTTP_11);
}
TEST(an_answer_before_its_request_is_out_ends_both_over_http2) { answer_early(&(struct act){ .h2 = true }, HTTP_2); }

TEST(a_get_on_a_connection_that_was_dead_already_is_sent_again_and_a_post_is_not)
{
    static const struct act acts[] = { { .h2 = true, .hang_up = true }, { .h2 = true, .hang_up = true }, { .h2 = true } };
    struct fixture x;
    struct raw r;
    struct call q = { 0 };
    raw_begin(&x, &r, acts, 3, HTTP_2);
    for (int i = 0; i < 2; i++) {                 /* the second on the first connection, then on the next */
        start(&x, &q, S("GET"), S("/"));
        here_until(&x.h, &q.over);
        CHECK(!q.failed);
        CHECK_INT(q.got, 5);
    }
    CHECK_INT(r.n, 2);
    start(&x, &q, S("POST"), S("/"));
    here_until(&x.h, &q.over);
    CHECK(q.failed);
    CHECK_INT(q.code, KR_UNAVAILABLE);
    raw_end(&x, &r);
}

/* Two connections that were idle for too long: the third try would be on a new one, but a request that ends two may end all. */
TEST(a_get_is_sent_again_once)
{
    static const struct act act = { .hang_up = true };
    struct fixture x;
    struct raw r;
    struct call q = { 0 }, other = { 0 };
    raw_begin(&x, &r, &act, 1, HTTP_11);
    start(&x, &q, S("GET"), S("/"));
    start(&x, &other, S("GET"), S("/"));
    here_until(&x.h, &q.over);
    here_until(&x.h, &other.over);
    CHECK(!q.failed && !other.failed && r.n == 2);
    start(&x, &q, S("GET"), S("/"));
    here_until(&x.h, &q.over);
    CHECK(q.failed && q.code == KR_UNAVAILABLE && r.n == 2);
    raw_end(&x, &r);
}

TEST(who_calls_behind_one_that_was_cancelled_gets_another_connection)
{
    struct fixture x = { 0 };
    struct call q = { 0 }, next = { 0 };
    here_loop(&x.h);
    serve(&x, 0);
    connect_to(&x, httpd_port(x.d), HTTP_11);
    start(&x, &q, S("GET"), S("/hold"));
    while (!x.held)
        here_run(&x.h, 1000);
    start(&x, &next, S("GET"), S("/"));
    hcall_cancel(q.c);
    here_until(&x.h, &next.over);
    CHECK(!next.failed && next.got == 5);
    end(&x);
}

/* A server where the first `stays` connections stay, with a GOAWAY or without a word, and the others are hung up at once. */
struct door { struct fixture x; struct listener *l; int stays, n, fd[64]; bool goaway; };

static void through_the_door(void *ctx, int fd)
{
    static const char goaway[] = "\0\0\0\4\0\0\0\0\0" "\0\0\10\7\0\0\0\0\0" "\0\0\0\0" "\0\0\0\13";
    struct door *d = ctx;
    if (d->n >= d->stays)
        close(fd);
    else
        d->fd[d->n] = fd;
    if (d->goaway)
        CHECK_INT(write(fd, goaway, sizeof goaway - 1), sizeof goaway - 1);
    d->n++;
}

static void door_begin(struct door *d, int stays, bool goaway, enum http_version v)
{
    struct kr_err e = { 0 };
    *d = (struct door){ .stays = stays, .goaway = goaway };
    here_loop(&d->x.h);
    d->l = listen_tcp(d->x.h.loop, S("127.0.0.1"), 0, through_the_door, d, &e);
    if (!CHECK(d->l))
        abort();
    connect_to(&d->x, listener_port(d->l), v);
}

static void door_end(struct door *d)
{
    listener_close(d->l);
    end(&d->x);
    for (int i = 0; i < d->stays; i++)
        if (d->fd[i])
            close(d->fd[i]);
}

static void here_some(struct here *h, const bool *flag)
{
    for (int turns = 0; turns < 300 && !*flag; turns++)
        here_run(h, 1000);
}

/* It would be connected to again and again, as fast as it hangs up. */
TEST(a_server_that_parts_before_it_is_asked_is_as_good_as_none)
{
    static const struct { bool goaway; enum http_version v; } rows[] = { { false, HTTP_11 }, { false, HTTP_2 }, { true, HTTP_2 } };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct door d;
        struct call q = { 0 }, other = { 0 };
        door_begin(&d, rows[i].goaway ? (int)LEN(d.fd) : 0, rows[i].goaway, rows[i].v);
        start(&d.x, &q, S("POST"), S("/"));
        start(&d.x, &other, S("GET"), S("/"));
        here_some(&d.x.h, &q.over);
        here_some(&d.x.h, &other.over);
        if (!CHECK(q.failed && q.code == KR_UNAVAILABLE && other.failed) | !CHECK(d.n <= 8))
            printf("    row %zu: %d connections, %s\n", i, d.n, q.msg);
        door_end(&d);
    }
}

TEST(a_server_that_takes_one_connection_is_not_connected_to_without_end)
{
    struct door d;
    struct call first = { 0 }, second = { 0 };
    door_begin(&d, 1, false, HTTP_11);
    start(&d.x, &first, S("GET"), S("/"));
    here_until_is(&d.x.h, &d.n, 1);
    start(&d.x, &second, S("GET"), S("/"));
    here_some(&d.x.h, &second.over);
    CHECK(second.failed && !first.over && d.n <= 4);
    door_end(&d);
}

TEST(calls_that_are_held_hear_nothing_of_connections_that_part)
{
    struct door d;
    struct call q = { 0 };
    door_begin(&d, 0, false, HTTP_11);
    start(&d.x, &q, S("GET"), S("/"));
    here_turn(&d.x.h);                            /* it connects */
    httpc_hold(d.x.c, true);
    here_run(&d.x.h, 20000);
    CHECK(d.n == 1 && !q.over);
    httpc_hold(d.x.c, false);
    here_some(&d.x.h, &q.over);
    CHECK(d.n == 2 && q.failed);
    door_end(&d);
}

TEST(an_idle_connection_that_parts_is_not_what_an_upgrade_waits_for)
{
    struct door d;
    struct call q = { 0 }, up = { 0 };
    door_begin(&d, 2, false, HTTP_11);
    start(&d.x, &q, S("GET"), S("/"));
    here_turn(&d.x.h);
    hcall_cancel(q.c);                            /* its connection opens all the same */
    here_until_is(&d.x.h, &d.n, 1);
    here_run(&d.x.h, 5000);
    close(d.fd[0]);
    d.fd[0] = 0;
    up.c = httpc_call(d.x.c, &(struct httpc_request){ .method = S("GET"), .path = S("/"), .authority = S("t"), .more = true, .upgrade = true },
                      (struct hcall_user){ .head = c_head, .data = c_data, .end = c_end, .failed = c_failed, .ctx = &up });
    here_until_is(&d.x.h, &d.n, 2);
    here_run(&d.x.h, 5000);
    CHECK(!up.over);
    door_end(&d);
}

TEST(a_connection_that_slept_is_asked_with_the_next_call)
{
    struct fixture x = { 0 };
    struct call q = { 0 };
    here_loop(&x.h);
    serve(&x, 0);
    connect_to(&x, httpd_port(x.d), HTTP_2);
    start(&x, &q, S("GET"), S("/"));
    here_until(&x.h, &q.over);
    here_skip(&x.h, 100000000);
    here_turn(&x.h);
    start(&x, &q, S("GET"), S("/hold"));
    here_until_is(&x.h, &x.requests, 2);
    for (int i = 0; i < 4; i++) {                 /* it lives: PINGs are answered however long the call takes */
        do
            here_run(&x.h, 1000);
        while (x.c->conns && x.c->conns->pinged);
        CHECK_OR(x.c->conns);
        here_skip(&x.h, 15000000);
    }
    CHECK(!q.over);
    CHECK_OR(x.held);
    hreq_respond(x.held, 200, NONE, S("late"));
    here_until(&x.h, &q.over);
    CHECK(!q.failed);
    end(&x);
}

TEST(held_calls_wait_and_refused_ones_hear_why)
{
    struct fixture x = { 0 };
    struct call q = { 0 }, p = { 0 };
    struct kr_err e = { 0 };
    here_loop(&x.h);
    serve(&x, 0);
    connect_to(&x, httpd_port(x.d), HTTP_2);
    httpc_hold(x.c, true);
    start(&x, &q, S("GET"), S("/"));
    here_run(&x.h, 5000);
    CHECK_INT(x.requests, 0);
    kr_fail(&e, KR_UNAUTHORIZED, "no credentials");
    httpc_refuse(x.c, &e);
    CHECK(q.failed);
    CHECK_Z(q.msg, "no credentials");
    start(&x, &p, S("GET"), S("/"));
    httpc_hold(x.c, false);
    here_until(&x.h, &p.over);
    CHECK_INT(p.status, 200);
    end(&x);
}

TEST(any_callback_may_close_the_client)
{
    for (int v = 0; v < 2; v++)
        for (int how = 0; how < 3; how++) {
            struct fixture x = { 0 };
            struct call q = { .close = &x.c }, other = { 0 };
            struct kr_err e = { 0 };
            here_loop(&x.h);
            serve(&x, 0);
            uint16_t port = httpd_port(x.d);
            if (how == 1)
                httpd_free(TAKE(x.d));            /* it can't be reached */
            connect_to(&x, port, v ? HTTP_2 : HTTP_11);
            start(&x, &other, S("GET"), S("/hold"));
            start(&x, &q, S("GET"), S("/"));
            kr_fail(&e, KR_UNAUTHORIZED, "no");
            if (how == 2) {
                httpc_hold(x.c, true);
                httpc_refuse(x.c, &e);
            }
            here_until(&x.h, &q.over);
            CHECK(!x.c);
            CHECK(other.over);
            CHECK_INT(other.code, how == 0 ? KR_CANCELLED : how == 1 ? KR_UNAVAILABLE : KR_UNAUTHORIZED);
            here_run(&x.h, 2000);
            end(&x);
        }
}
