/* SPDX-License-Identifier: Apache-2.0 */
#include "k8s/workqueue.h"
#include "tests/kit/test.h"

struct fixture {
    struct clock_fake clock;
    struct loop *loop;
    struct workqueue *q;
    struct buf seen;                              /* keys in the order in which they came */
    int outcome;                                  /* 0: stays under way, 1: done at once, 2: failed at once */
};

static void work(void *ctx, struct str key)
{
    struct fixture *f = ctx;
    buf_str(&f->seen, key);
    buf_byte(&f->seen, ' ');
    if (f->outcome)
        workqueue_done(f->q, key, f->outcome == 2);
}

static void begin(struct fixture *f, int outcome)
{
    *f = (struct fixture){ .seen = { .max = 4096 }, .outcome = outcome };
    clock_fake_init(&f->clock, 1000000, 0);
    f->loop = loop_new(&f->clock.clock);
    f->q = workqueue_new(f->loop, work, f);
    workqueue_begin(f->q);
}

static void end(struct fixture *f)
{
    workqueue_free(f->q);
    loop_free(f->loop);
    buf_free(&f->seen);
}

/* What came in the turns that are due after `us` more. */
static struct str after(struct fixture *f, int64_t us)
{
    static char text[4096];
    buf_clear(&f->seen);
    clock_fake_advance(&f->clock, us);
    loop_run_until(f->loop, NULL, NULL, f->clock.mono);
    struct str s = buf_view(&f->seen);
    memcpy(text, s.p, s.n);
    return (struct str){ text, s.n };
}

TEST(keys_gather_until_it_begins_and_come_at_once_then)
{
    struct fixture f;
    begin(&f, 1);
    workqueue_free(f.q);
    f.q = workqueue_new(f.loop, work, &f);
    workqueue_add(f.q, S("a"));
    workqueue_add(f.q, S("b"));
    workqueue_add_at(f.q, S("c"), 1000000 + 5000000);
    workqueue_add(f.q, S("a"));
    CHECK_STR(after(&f, 60000000), S(""));
    workqueue_begin(f.q);
    CHECK_STR(after(&f, 0), S("a b c "));
    workqueue_begin(f.q);                         /* as after every list */
    CHECK_STR(after(&f, 0), S(""));
    end(&f);
}

TEST(a_key_comes_once_however_often_it_is_added)
{
    struct fixture f;
    begin(&f, 1);
    workqueue_add(f.q, S("a"));
    workqueue_add(f.q, S("b"));
    workqueue_add(f.q, S("a"));
    CHECK_STR(after(&f, 0), S("a b "));
    CHECK_STR(after(&f, 100000000), S(""));
    workqueue_add(f.q, S("a"));
    CHECK_STR(after(&f, 0), S("a "));
    end(&f);
}

TEST(a_key_under_way_comes_once_more_when_it_is_done)
{
    struct fixture f;
    begin(&f, 0);
    workqueue_add(f.q, S("a"));
    CHECK_STR(after(&f, 0), S("a "));
    workqueue_add(f.q, S("a"));
    workqueue_add(f.q, S("a"));
    CHECK_STR(after(&f, 1000000), S(""));
    workqueue_done(f.q, S("a"), false);
    CHECK_STR(after(&f, 0), S("a "));
    workqueue_done(f.q, S("a"), false);
    CHECK_STR(after(&f, 100000000), S(""));
    workqueue_done(f.q, S("a"), false);           /* of nothing that is under way */
    workqueue_done(f.q, S("unknown"), true);
    CHECK_STR(after(&f, 100000000), S(""));
    end(&f);
}

TEST(waits_after_failures_double_up_to_a_minute_and_success_forgets_them)
{
    struct fixture f;
    begin(&f, 2);
    workqueue_add(f.q, S("a"));
    CHECK_STR(after(&f, 0), S("a "));
    for (int64_t wait = 10000; wait < 60000000; wait *= 2) {
        CHECK_STR(after(&f, wait - 1), S(""));
        CHECK_STR(after(&f, 1), S("a "));
    }
    for (int i = 0; i < 3; i++) {
        CHECK_STR(after(&f, 60000000 - 1), S(""));
        CHECK_STR(after(&f, 1), S("a "));
    }
    f.outcome = 1;
    CHECK_STR(after(&f, 60000000), S("a "));
    f.outcome = 2;
    workqueue_add(f.q, S("a"));
    CHECK_STR(after(&f, 0), S("a "));
    CHECK_STR(after(&f, 10000), S("a "));
    end(&f);
}

TEST(news_of_a_key_do_not_wait_for_its_backoff)
{
    struct fixture f;
    begin(&f, 2);
    workqueue_add(f.q, S("a"));
    after(&f, 0);
    f.outcome = 1;
    workqueue_add(f.q, S("a"));
    CHECK_STR(after(&f, 0), S("a "));
    CHECK_STR(after(&f, 60000000), S(""));
    end(&f);
}

TEST(neither_news_nor_moments_are_lost_when_what_is_under_way_fails)
{
    struct fixture f;
    begin(&f, 2);
    workqueue_add(f.q, S("a"));
    after(&f, 0);
    for (int64_t wait = 10000; wait < 10000000; wait *= 2)
        after(&f, wait);                          /* the next one comes after more than 10 s */
    f.outcome = 0;
    workqueue_add(f.q, S("a"));
    CHECK_STR(after(&f, 0), S("a "));
    workqueue_add(f.q, S("a"));                   /* news while it is under way */
    workqueue_done(f.q, S("a"), true);
    CHECK_STR(after(&f, 0), S("a "));
    workqueue_add_at(f.q, S("a"), f.clock.mono + 3000);
    workqueue_done(f.q, S("a"), true);
    CHECK_STR(after(&f, 2999), S(""));
    CHECK_STR(after(&f, 1), S("a "));
    workqueue_done(f.q, S("a"), true);
    CHECK_STR(after(&f, 10000000), S(""));
    CHECK_STR(after(&f, 60000000), S("a "));
    end(&f);
}

TEST(of_two_moments_the_earlier_wins)
{
    struct fixture f;
    begin(&f, 1);
    int64_t now = f.clock.mono;
    workqueue_add_at(f.q, S("a"), now + 5000);
    workqueue_add_at(f.q, S("a"), now + 3000);
    workqueue_add_at(f.q, S("a"), now + 9000);
    CHECK_STR(after(&f, 2999), S(""));
    CHECK_STR(after(&f, 1), S("a "));
    CHECK_STR(after(&f, 1000000), S(""));
    workqueue_add_at(f.q, S("a"), f.clock.mono + 1000);
    workqueue_add(f.q, S("a"));                   /* now is earlier still */
    CHECK_STR(after(&f, 0), S("a "));
    CHECK_STR(after(&f, 1000), S(""));
    end(&f);
}

TEST(a_moment_that_comes_while_the_key_is_under_way_is_not_lost)
{
    struct fixture f;
    begin(&f, 0);
    workqueue_add(f.q, S("a"));
    after(&f, 0);
    workqueue_add_at(f.q, S("a"), f.clock.mono + 1000);
    CHECK_STR(after(&f, 1000), S(""));
    workqueue_done(f.q, S("a"), false);
    CHECK_STR(after(&f, 0), S("a "));
    workqueue_add_at(f.q, S("a"), f.clock.mono + 1000);
    workqueue_done(f.q, S("a"), false);
    CHECK_STR(after(&f, 999), S(""));
    CHECK_STR(after(&f, 1), S("a "));
    end(&f);
}

TEST(beyond_so_many_under_way_keys_wait_until_one_is_done)
{
    struct fixture f;
    char key[] = "000";
    begin(&f, 0);
    for (int i = 0; i < WORKQUEUE_AT_ONCE; i++) {
        key[0] = (char)('0' + i / 100), key[1] = (char)('0' + i / 10 % 10), key[2] = (char)('0' + i % 10);
        workqueue_add(f.q, (struct str){ key, 3 });
    }
    workqueue_add(f.q, S("a"));
    workqueue_add(f.q, S("b"));
    CHECK_INT(after(&f, 0).n, WORKQUEUE_AT_ONCE * sizeof key);
    workqueue_done(f.q, S("000"), false);
    CHECK_STR(after(&f, 0), S("a "));
    workqueue_done(f.q, S("a"), true);
    CHECK_STR(after(&f, 0), S("b "));
    CHECK_STR(after(&f, 20000), S(""));           /* "a" is due again, and waits */
    workqueue_done(f.q, S("b"), false);
    CHECK_STR(after(&f, 0), S("a "));
    end(&f);
}

TEST(keys_of_one_queue_do_not_wait_for_each_other)
{
    struct fixture f;
    begin(&f, 0);
    workqueue_add(f.q, S("a"));
    after(&f, 0);
    workqueue_add(f.q, S("b"));
    CHECK_STR(after(&f, 0), S("b "));
    workqueue_add_at(f.q, S("c"), f.clock.mono + 1000);           /* still waiting when the queue goes */
    workqueue_done(f.q, S("b"), true);
    end(&f);
}
