/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait: the verb, for each kind that ends: one name after another, within one limit of time for all.
 * Tests: tests/local/exits.py, tests/local/workflow_cli.py
 */
#include "applets/cli/wait.h"
#include "crds/follow.h"

static struct { int64_t timeout_us; } o;
const struct opt cli_wait_opts[] = {
    { "timeout", 0, OPT_DURATION, &o.timeout_us, "TIME", "give up after this time; 0: never", .lo = 0, .hi = INT64_C(31536000000000) },
    { 0 } };

static void too_long(struct loop *loop, struct timer *t)
{
    (void)t;
    loop_stop(loop);
}

int cli_wait(struct applet_call *call, const struct kube_resource *r, cli_follow_one *follow, struct kr_err *e)
{
    struct cli c;
    struct cli_named named;
    struct timer limit = { .fire = too_long };
    int status = 0;
    if (cli_open_named(&c, r, call, &named, e) < 0) {
        call->fail_exit = failure_exit_status(e);
        return -1;
    }
    int64_t until = o.timeout_us ? loop_now_us(c.loop) + o.timeout_us : INT64_MAX;
    if (o.timeout_us)
        loop_timer_at(c.loop, &limit, until);
    for (size_t i = 0; i < named.n && !c.interrupted && loop_now_us(c.loop) < until; i++) {
        int one = follow(&c, named.v[i], call->prog);
        status = status ? status : one;
    }
    bool late = loop_now_us(c.loop) >= until;
    loop_timer_stop(c.loop, &limit);
    cli_named_free(&named);
    cli_close(&c);
    if (late)
        call->fail_exit = EXIT_OTHER;
    return late ? kr_fail(e, KR_DEADLINE, "it has not ended in time") : status;
}
