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
    struct room x = { 0 };
    struct kr_err e = { 0 };
    here_loop(&x.h);
    x.d = httpd_new(x.h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { .begin = begin, .gone = gone, .ctx = &x } }, &e);
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
    httpd_free(x.d);
    loop_free(x.h.loop);
}

/* Who keeps it himself, as gRPC does, hears of it by a reset. */
TEST(of_too_much_that_is_kept_the_oldest_is_reset)
{
    struct served x;
    served_begin(&x, SERVED_H2, true);
    for (int i = 0; i < 4; i++) {
        CHECK(!x.resets && !x.gone);
        served_open(&x, "POST", "/begin/hold", false);
        while (!x.held && !x.over)
            here_run(&x.h, 500);
        hreq_keeps(TAKE(x.held), LIMIT_HTTP_BODIES / 4);
    }
    served_until(&x, &x.resets, 1);
    CHECK(x.code == H2_ENHANCE_YOUR_CALM && x.gone == 1);
    CHECK(x.d->kept <= LIMIT_HTTP_BODIES && x.d->kept > LIMIT_HTTP_BODIES / 2);
    served_end(&x);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static bool waits(struct served *x)
{
    for (int n = 0; n < 60000 && x->d->queued < SERVED_VAST / 2; n++)
        here_run(&x->h, 1000);
    return x->d->queued >= SERVED_VAST / 2;
}

struct reader { bool over; size_t got; };
static void read_on(struct link *l, void *ctx)
{
    struct reader *x = ctx;
    char chunk[65536];
    ptrdiff_t n;
    while ((n = link_read(l, chunk, sizeof chunk)) > 0)
        x->got += (size_t)n;
    x->over |= n < 0;
}

/* Two connections don't read their vast answers; a third has a small one to read. */
TEST(of_too_many_answers_the_one_that_waits_for_longest_goes)
{
    static const char ask[] = "GET /end/vast HTTP/1.1\r\nhost: h\r\n\r\n";
    struct served x;
    struct reader late = { 0 };
    served_begin(&x, NULL, true);
    link_pause_read(x.l, true);
    served_say(&x, ask);
    CHECK(waits(&x));
    size_t one = x.d->queued;
    struct link *l = link_connect(x.h.loop, &(struct link_target){ .host = S("127.0.0.1"), .port = httpd_port(x.d) }, (struct link_user){ read_on, &late });
    while (!link_is_open(l))
        here_run(&x.h, 500);
    link_pause_read(l, true);
    CHECK_INT(link_write(l, ask, sizeof ask - 1), sizeof ask - 1);
    for (int n = 0; n < 60000 && x.d->queued < one + SERVED_VAST / 2; n++)
        here_run(&x.h, 1000);
    here_run(&x.h, 20000);
    CHECK(!room_is_short(x.d));
    size_t rest = LIMIT_HTTP_QUEUED + one - x.d->queued;             /* as if others had so much that the first's part is too much */
    x.d->queued += rest;
    CHECK(room_is_short(x.d));
    link_pause_read(l, false);                    /* the second one reads: its turn is where it is seen */
    for (int n = 0; n < 60000 && !late.over && late.got < SERVED_VAST; n++)
        here_run(&x.h, 1000);
    CHECK(late.got >= SERVED_VAST && !late.over);
    link_pause_read(x.l, false);
    here_until(&x.h, &x.over);
    CHECK(x.got < SERVED_VAST);
    x.d->queued -= rest;
    CHECK_INT(x.d->queued, 0);
    link_close(l);
    served_end(&x);
}
