/* SPDX-License-Identifier: Apache-2.0 */
#include "core/loop.h"
#include "tests/kit/test.h"
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

struct record { struct loop *l; char text[64]; size_t n; size_t want; };
struct mark { struct timer t; struct defer d; struct fdsrc src; struct child c; struct record *r; char name; struct mark *other; };

static void put(struct record *r, char c) { if (r->n < sizeof r->text - 1) r->text[r->n++] = c; }
static bool enough(void *ctx) { struct record *r = ctx; return r->n >= r->want; }
static void on_timer(struct loop *l, struct timer *t) { (void)l; struct mark *m = container_of(t, struct mark, t); put(m->r, m->name); }
static void on_defer(struct loop *l, struct defer *d)
{
    struct mark *m = container_of(d, struct mark, d);
    put(m->r, m->name);
    if (m->other && m->r->n < sizeof m->r->text - 1) loop_defer(l, &m->other->d);
}
static void on_ready(struct loop *l, struct fdsrc *s, unsigned got)
{
    struct mark *m = container_of(s, struct mark, src);
    (void)got;
    put(m->r, m->name);
    loop_unwatch(l, s);
    if (m->other) loop_unwatch(l, &m->other->src);
}
static void on_child(struct loop *l, struct child *c, int status)
{
    struct mark *m = container_of(c, struct mark, c);
    (void)l;
    put(m->r, (char)('0' + WEXITSTATUS(status)));
}
static void on_signal(struct loop *l, int sig, void *ctx) { (void)l; put(ctx, sig == SIGUSR1 ? 'u' : '?'); }

TEST(timers_fire_in_order_and_can_be_moved)
{
    struct clock_fake f;
    clock_fake_init(&f, 0, 0);
    struct record r = { .l = loop_new(&f.clock), .want = 3 };
    struct mark a = { .t.fire = on_timer, .r = &r, .name = 'a' }, b = a, c = a, d = a;
    b.name = 'b', c.name = 'c', d.name = 'd';
    loop_timer_in(r.l, &a.t, 3000000);
    loop_timer_in(r.l, &b.t, 1000000);
    loop_timer_in(r.l, &c.t, 2000000);
    loop_timer_in(r.l, &d.t, 1500000);
    loop_timer_in(r.l, &a.t, 500000);
    loop_timer_stop(r.l, &d.t);
    CHECK(!timer_is_set(&d.t) && timer_is_set(&a.t));
    clock_fake_advance(&f, 86400ll * 1000000);
    CHECK_INT(loop_run_until(r.l, enough, &r, INT64_MAX), 0);
    CHECK_Z(r.text, "abc");
    loop_free(r.l);
}

TEST(deferred_work_runs_before_the_sleep_and_once)
{
    struct record r = { .l = loop_new(&clock_system), .want = 3 };
    struct mark a = { .d.run = on_defer, .r = &r, .name = 'a' }, b = a, c = a;
    b.name = 'b', c.name = 'c';
    a.other = &c;
    loop_defer(r.l, &a.d);
    loop_defer(r.l, &b.d);
    loop_defer(r.l, &a.d);
    CHECK_INT(loop_run_until(r.l, enough, &r, loop_now_us(r.l) + 5000000), 0);
    CHECK_Z(r.text, "abc");
    loop_defer(r.l, &b.d);
    loop_defer_cancel(r.l, &b.d);
    CHECK(!b.d.queued);
    loop_defer(r.l, &c.d);
    r.want = 4;
    CHECK_INT(loop_run_until(r.l, enough, &r, loop_now_us(r.l) + 5000000), 0);
    CHECK_Z(r.text, "abcc");
    loop_free(r.l);
}

/* 'a' and 'b' defer each other until the record is full. */
TEST(deferred_work_without_end_leaves_the_others_their_turn)
{
    int p[2];
    CHECK_OR(!pipe(p) && write(p[1], "x", 1) == 1);
    struct record r = { .l = loop_new(&clock_system), .want = 6 };
    struct mark a = { .d.run = on_defer, .r = &r, .name = 'a' }, b = a, t = { .t.fire = on_timer, .r = &r, .name = 't' },
                f = { .src = { .fd = p[0], .ready = on_ready }, .r = &r, .name = 'f' };
    b.name = 'b';
    a.other = &b, b.other = &a;
    loop_defer(r.l, &a.d);
    loop_watch(r.l, &f.src, LOOP_IN);
    loop_timer_in(r.l, &t.t, 1);
    CHECK_INT(loop_run_until(r.l, enough, &r, loop_now_us(r.l) + 5000000), 0);
    CHECK(strchr(r.text, 't') && strchr(r.text, 'f'));
    loop_free(r.l);
    close(p[0]);
    close(p[1]);
}

/* Both are ready in one turn; the first takes the second away. */
TEST(a_source_unwatched_in_a_callback_stays_silent)
{
    int p[2], q[2];
    CHECK_OR(!pipe(p) && !pipe(q) && write(p[1], "x", 1) == 1 && write(q[1], "x", 1) == 1);
    struct record r = { .l = loop_new(&clock_system), .want = 9 };
    struct mark a = { .src = { .fd = p[0], .ready = on_ready }, .r = &r, .name = 'a' }, b = { .src = { .fd = q[0], .ready = on_ready }, .r = &r, .name = 'b' };
    a.other = &b, b.other = &a;
    loop_watch(r.l, &a.src, LOOP_IN);
    loop_watch(r.l, &b.src, LOOP_IN);
    CHECK_INT(loop_run_until(r.l, enough, &r, loop_now_us(r.l) + 20000), -1);
    CHECK_INT(r.n, 1);
    loop_free(r.l);
}

TEST(children_and_signals_are_events)
{
    struct record r = { .l = loop_new(&clock_system), .want = 2 };
    struct mark m = { .c.ended = on_child, .r = &r };
    struct kr_err e;
    loop_signals(r.l, (int[]){ SIGUSR1 }, 1, on_signal, &r);
    m.c.pid = fork();
    if (!m.c.pid) _exit(7);
    CHECK_OR(!loop_child(r.l, &m.c, &e));
    kill(getpid(), SIGUSR1);
    CHECK_INT(loop_run_until(r.l, enough, &r, loop_now_us(r.l) + 5000000), 0);
    CHECK(strchr(r.text, '7') && strchr(r.text, 'u'));
    loop_free(r.l);
}

TEST(an_idle_loop_does_not_wake)
{
    struct record r = { .l = loop_new(&clock_system), .want = 1 };
    uint64_t before = loop_wakeups(r.l);
    CHECK_INT(loop_run_until(r.l, enough, &r, loop_now_us(r.l) + 50000), -1);
    CHECK(loop_wakeups(r.l) - before <= 2);
    loop_free(r.l);
}
