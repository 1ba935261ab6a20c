/* SPDX-License-Identifier: Apache-2.0 */
/* A helper is this binary again: with arguments it doesn't know it says so and ends, which is all that is needed of it here. */
#include "core/helper.h"
#include "tests/kit/test.h"
#include <sys/wait.h>

struct seen { int ends, status; bool late; char out[200], err[400]; size_t data; };

static void ended(void *ctx, const struct helper_end *h)
{
    struct seen *s = ctx;
    s->ends++;
    s->status = h->status;
    s->late = h->late;
    memcpy(s->out, h->out.p, h->out.n < sizeof s->out ? h->out.n : sizeof s->out - 1);
    memcpy(s->err, h->err.p, h->err.n < sizeof s->err ? h->err.n : sizeof s->err - 1);
}

static bool is_over(void *ctx) { return ((struct seen *)ctx)->ends > 0; }

TEST(its_words_and_its_end_are_told)
{
    struct seen s = { 0 };
    struct kr_err e = { 0 };
    struct loop *loop = loop_new(&clock_system);
    static const char *const argv[] = { "unit", "no-test-has-this-name", NULL };
    CHECK_OR(helper_start(loop, &(struct helper_spec){ .argv = argv, .input = S("order"), .max_out = 100, .timeout_us = 30000000 },
                          (struct helper_user){ .ended = ended, .ctx = &s }, &e));
    CHECK_INT(loop_run_until(loop, is_over, &s, loop_now_us(loop) + 30000000), 0);
    CHECK(WIFEXITED(s.status) && !s.late);
    CHECK(str_find(str_of(s.out), S("0 failed")) >= 0);
    loop_run_until(loop, is_over, &s, loop_now_us(loop));
    CHECK_INT(s.ends, 1);
    loop_free(loop);
}

TEST(too_much_output_ends_it)
{
    struct seen s = { 0 };
    struct kr_err e = { 0 };
    struct loop *loop = loop_new(&clock_system);
    static const char *const argv[] = { "unit", "no-test-has-this-name", NULL };
    CHECK_OR(helper_start(loop, &(struct helper_spec){ .argv = argv, .max_out = 3, .timeout_us = 30000000 }, (struct helper_user){ .ended = ended, .ctx = &s }, &e));
    CHECK_INT(loop_run_until(loop, is_over, &s, loop_now_us(loop) + 30000000), 0);
    CHECK_INT(s.ends, 1);
    loop_free(loop);
}

TEST(stopped_it_says_nothing)
{
    struct seen s = { 0 };
    struct kr_err e = { 0 };
    struct loop *loop = loop_new(&clock_system);
    static const char *const argv[] = { "unit", "no-test-has-this-name", NULL };
    struct helper *h = helper_start(loop, &(struct helper_spec){ .argv = argv, .max_out = 100, .timeout_us = 30000000 },
                                    (struct helper_user){ .ended = ended, .ctx = &s }, &e);
    CHECK_OR(h);
    helper_stop(h);
    helper_stop(NULL);
    loop_run_until(loop, is_over, &s, loop_now_us(loop) + 200000);
    CHECK_INT(s.ends, 0);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0);         /* reaped: no child is left */
    loop_free(loop);
}
