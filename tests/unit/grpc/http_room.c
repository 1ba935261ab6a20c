/* SPDX-License-Identifier: Apache-2.0 */
/* What all connections of an HTTP server keep together: who has been at it for longest leaves, the others don't notice. */
#include "grpc/http_server.h"
#include "tests/kit/http_ends.h"
#include "tests/kit/test.h"
#include <stdio.h>

enum { EACH = 4194304, MANY = LIMIT_HTTP_BODIES / EACH };      /* so many bodies that lack one byte each fit, with one to spare for their heads */

/* ---- requests ---------------------------------------------------------------------------------------------------- */

struct upload { struct room *room; struct link *l; size_t sent; bool over, answered; char text[256]; size_t n; };
struct room { struct here h; struct httpd *d; struct upload up[MANY + 1]; int whole, given_up, gone; size_t longest; };
static char piece[65536];

static void got(struct hreq *r, struct str body, const struct kr_err *e)
{
    struct room *x = hreq_user(r);
    x->given_up += e && e->code == KR_TOO_MANY;
    x->whole += !e && body.n == EACH;
    if (!e)
        hreq_respond(r, 200, (struct http_fields){ 0 }, S("whole"));
}
static void begin(struct hreq *r, void *ctx)
{
    hreq_set_user(r, ctx);
    hreq_collect(r, EACH, got);
}
static void gone(struct hreq *r) { ((struct room *)hreq_user(r))->gone++; }

static void open_room(struct room *x, size_t connections)
{
    struct kr_err e = { 0 };
    *x = (struct room){ 0 };
    here_loop(&x->h);
    x->d = httpd_new(x->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .connections = connections, .user = { .begin = begin, .gone = gone, .ctx = x } }, &e);
    if (!CHECK(x->d))
        abort();
}

static void close_room(struct room *x)
{
    httpd_free(x->d);
    loop_free(x->h.loop);
}

static void ready(struct link *l, void *ctx)
{
    struct upload *u = ctx;
    ptrdiff_t n;
    while ((n = link_read(l, u->text + u->n, sizeof u->text - u->n - 1)) > 0)
        u->n += (size_t)n;
    u->over |= n < 0;
    u->answered |= u->over || str_find((struct str){ u->text, u->n }, S("\r\n\r\n")) > 0;
}

static void send(struct upload *u, size_t n)
{
    while (n && !u->over) {
        ptrdiff_t took = link_write(u->l, piece, n < sizeof piece ? n : sizeof piece);
        if (took <= 0)
            here_run(&u->room->h, 500);
        else
            n -= (size_t)took;
    }
}

/* Connects, and sends all of a body but its last byte. */
static void upload(struct room *x, struct upload *u)
{
    char head[128];
    int n = snprintf(head, sizeof head, "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n", EACH);
    *u = (struct upload){ .room = x };
    u->l = link_connect(x->h.loop, &(struct link_target){ .host = S("127.0.0.1"), .port = httpd_port(x->d) }, (struct link_user){ ready, u });
    while (!link_is_open(u->l))
        here_run(&x->h, 500);
    CHECK_INT(link_write(u->l, head, (size_t)n), n);
    size_t before = x->d->kept;
    send(u, EACH - 1);
    while (!x->given_up && x->d->kept < before + EACH - 1)
        here_run(&x->h, 500);
}

/* Twice on one server: what was given up counts no more. */
TEST(of_too_many_bodies_the_oldest_is_given_up)
{
    struct room x;
    open_room(&x, 0);
    for (int round = 1; round <= 2; round++) {
        x.given_up = x.whole = 0;
        for (int i = 0; i <= MANY; i++) {
            upload(&x, &x.up[i]);
            if (x.given_up)
                break;
            CHECK(!x.up[0].answered);
        }
        here_until(&x.h, &x.up[0].answered);
        CHECK_INT(x.given_up, 1);
        CHECK(str_starts(str_of(x.up[0].text), S("HTTP/1.1 429 ")));
        CHECK(x.d->kept <= LIMIT_HTTP_BODIES);
        for (int i = 1; i <= MANY && x.up[i].l; i++) {
            CHECK(!x.up[i].answered);
            send(&x.up[i], 1);
            here_until(&x.h, &x.up[i].answered);
            CHECK(str_starts(str_of(x.up[i].text), S("HTTP/1.1 200 ")));
        }
        CHECK(x.whole >= MANY - 1);
        for (int i = 0; i <= MANY; i++)
            link_close(TAKE(x.up[i].l));
        CHECK_INT(x.d->kept, 0);
        CHECK(!x.d->coming);
    }
    close_room(&x);
}

/* Who keeps it himself, as gRPC does, hears of it by a reset, and so does who has begun to answer; who collects says it in his words. */
TEST(of_too_much_that_is_kept_the_oldest_hears_of_it)
{
    static const struct { const char *method, *path; int status; } rows[] = {
        { "POST", "/begin/hold", 0 }, { "POST", "/collect/8/begin/hold/begin/start", 0 }, { "POST", "/collect/8/begin/hold", 429 }, { "PATCH", "/collect/8/begin/hold", 400 } };
    for (size_t row = 0; row < LEN(rows); row++) {
        struct served x;
        served_begin(&x, SERVED_H2, true);
        for (int i = 0; i < 4; i++) {
            CHECK(!x.resets && !x.gone);
            served_open(&x, rows[row].method, rows[row].path, false);
            while (!x.held && !x.over)
                here_run(&x.h, 500);
            hreq_keeps(TAKE(x.held), LIMIT_HTTP_BODIES / 4);
        }
        served_until(&x, &x.resets, 1);
        CHECK_INT(x.code, rows[row].status ? H2_NO_ERROR : H2_ENHANCE_YOUR_CALM);
        CHECK(!rows[row].status || x.status == rows[row].status);
        CHECK_INT(x.gone, 1);
        CHECK(x.d->kept <= LIMIT_HTTP_BODIES && x.d->kept > LIMIT_HTTP_BODIES / 2);
        served_end(&x);
    }
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

static void call_up(struct room *x, struct upload *u)
{
    *u = (struct upload){ .room = x };
    u->l = link_connect(x->h.loop, &(struct link_target){ .host = S("127.0.0.1"), .port = httpd_port(x->d) }, (struct link_user){ ready, u });
}

/* Connects; the server has taken it, or refused it. */
static void join(struct room *x, struct upload *u)
{
    const struct hconn *first = x->d->conns;
    call_up(x, u);
    while (x->d->conns == first && !u->over)
        here_run(&x->h, 500);
    here_skip(&x->h, 1000);                       /* so that one is idle for longer than the next */
}

static void leave_all(struct room *x, int n)
{
    for (int i = 0; i < n; i++)
        link_close(TAKE(x->up[i].l));
    while (x->d->nconns)
        here_run(&x->h, 500);
}

static void finish_upload(struct room *x, struct upload *u)
{
    send(u, 1);
    here_until(&x->h, &u->answered);
    CHECK(str_starts(str_of(u->text), S("HTTP/1.1 200 ")));
}

TEST(of_too_many_connections_the_one_idle_for_longest_leaves)
{
    struct room x;
    struct upload *up = x.up;
    open_room(&x, 3);
    upload(&x, &up[0]);                           /* busy, and the oldest */
    join(&x, &up[1]);
    join(&x, &up[2]);
    CHECK(!up[0].over && !up[1].over && !up[2].over);
    join(&x, &up[3]);
    here_until(&x.h, &up[1].over);
    CHECK(!up[0].over && !up[2].over && !up[3].over);
    CHECK_INT(x.d->nconns, 3);
    finish_upload(&x, &up[0]);                    /* idle since now: the third is so for longer */
    here_skip(&x.h, 1000);
    join(&x, &up[4]);
    here_until(&x.h, &up[2].over);
    CHECK(!up[0].over && !up[3].over && !up[4].over);
    leave_all(&x, 5);
    close_room(&x);
}

/* Several that come in one turn: each takes the place of another. */
TEST(connections_that_come_together_each_take_a_place)
{
    struct room x;
    open_room(&x, 2);
    join(&x, &x.up[0]);
    join(&x, &x.up[1]);
    call_up(&x, &x.up[2]);
    call_up(&x, &x.up[3]);
    here_until(&x.h, &x.up[0].over);
    here_until(&x.h, &x.up[1].over);
    CHECK(!x.up[2].over && !x.up[3].over);
    CHECK_INT(x.d->nconns, 2);
    leave_all(&x, 4);
    close_room(&x);
}

/* With a request, an answer that is not out yet, or an exchange whose end is to be told. */
TEST(a_connection_beyond_those_that_are_busy_is_not_taken)
{
    struct room x;
    struct hreq ends;
    open_room(&x, 3);
    join(&x, &x.up[0]);
    x.d->conns->queued = 1;
    join(&x, &x.up[1]);
    x.d->conns->ending = &ends;
    upload(&x, &x.up[2]);
    join(&x, &x.up[3]);
    here_until(&x.h, &x.up[3].over);
    CHECK(!x.up[0].over && !x.up[1].over && !x.up[2].over);
    finish_upload(&x, &x.up[2]);
    x.d->conns->next->ending = NULL;
    x.d->conns->next->next->queued = 0;
    leave_all(&x, 4);
    close_room(&x);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* Reads when it is told to, `most` bytes in all. */
struct reader { struct link *l; bool over; size_t got, most; };
static void read_on(struct link *l, void *ctx)
{
    struct reader *x = ctx;
    char chunk[65536];
    ptrdiff_t n = 0;
    while (x->got < x->most && (n = link_read(l, chunk, sizeof chunk)) > 0)
        x->got += (size_t)n;
    x->over |= n < 0;
    link_pause_read(l, x->got >= x->most);
}

static void goes_on(struct served *x, struct reader *r, size_t most)
{
    r->most = most;
    link_pause_read(r->l, false);
    for (int n = 0; n < 60000 && !r->over && r->got < most; n++)
        here_run(&x->h, 1000);
}

static void begin_reader(struct served *x, struct reader *r)
{
    *r = (struct reader){ 0 };
    r->l = link_connect(x->h.loop, &(struct link_target){ .host = S("127.0.0.1"), .port = httpd_port(x->d) }, (struct link_user){ read_on, r });
    while (!link_is_open(r->l))
        here_run(&x->h, 500);
}

/* Asks for a vast answer, until what sockets don't hold of it waits. */
static void ask(struct served *x, struct reader *r)
{
    static const char say[] = "GET /end/vast HTTP/1.1\r\nhost: h\r\n\r\n";
    size_t before = x->d->queued;
    CHECK_INT(link_write(r->l, say, sizeof say - 1), sizeof say - 1);
    for (int n = 0; n < 60000 && x->d->queued < before + SERVED_VAST / 2; n++)
        here_run(&x->h, 1000);
    here_run(&x->h, 20000);
}

/* Two connections don't read their vast answers, a third asks for nothing. What they have is too much as if others had the rest. */
static void two_wait(int first)
{
    struct served x;
    struct reader r[2];
    served_begin(&x, NULL, true);
    begin_reader(&x, &r[0]);
    begin_reader(&x, &r[1]);
    ask(&x, &r[first]);
    x.d->queued += LIMIT_HTTP_QUEUED;
    goes_on(&x, &r[first], 1 << 20);              /* alone it may have asked for that much */
    CHECK(r[first].got >= 1 << 20 && !r[first].over);
    here_run(&x.h, 20000);
    x.d->queued -= LIMIT_HTTP_QUEUED;
    size_t one = x.d->queued;
    CHECK(one > 0);
    ask(&x, &r[!first]);
    CHECK(!room_is_short(x.d));
    size_t rest = LIMIT_HTTP_QUEUED + one - x.d->queued;
    x.d->queued += rest;
    CHECK(room_is_short(x.d));
    goes_on(&x, &r[!first], SERVED_VAST);         /* its turn is where it is seen */
    CHECK(r[!first].got >= SERVED_VAST && !r[!first].over);
    goes_on(&x, &r[first], SERVED_VAST);
    CHECK(r[first].got < SERVED_VAST && r[first].over);
    x.d->queued -= rest;
    CHECK_INT(x.d->queued, 0);
    link_close(r[0].l);
    link_close(r[1].l);
    served_end(&x);
}
TEST(of_too_many_answers_the_one_that_waits_for_longest_goes)
{
    two_wait(0);
    two_wait(1);
}

TEST(no_large_answer_is_begun_while_room_is_short)
{
    struct served x;
    served_begin(&x, SERVED_H2, true);
    served_open(&x, "POST", "/begin/hold", false);
    while (!x.held && !x.over)
        here_run(&x.h, 500);
    CHECK(!hreq_is_crowded(x.held));
    x.d->queued += LIMIT_HTTP_QUEUED + (size_t)1;
    CHECK(hreq_is_crowded(x.held));
    x.d->queued -= LIMIT_HTTP_QUEUED + (size_t)1;
    served_end(&x);
}
