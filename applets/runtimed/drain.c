/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drain: nothing new is started; Runs that hadn't started go back to Pending at no cost; the rest may end, and what still
 * runs 10 s before the grace is over is cancelled (PodDrained) and tried elsewhere by its policy. Runs that share a workspace
 * are served until then, and waited for a little longer than there are any: a Workflow's next step may be about to come. What
 * was executed here before a restart is among the rest: a drain isn't over until it is known. Tests: tests/fault/drains.py
 */
#include "applets/runtimed/runtimed.h"
#include "core/log.h"

enum { BEFORE_END_US = 10000000 };

static void cancel_rest(struct loop *loop, struct timer *timer)
{
    (void)loop;
    struct runtimed *d = container_of(timer, struct runtimed, drain_timer);
    d->drain_late = true;
    for (struct task *t = d->tasks, *next; t; t = next) {
        next = t->next;
        task_stop(t, STOP_DRAIN);
    }
    drain_check(d);
}

static bool spares(const struct task *t) { return t->rec->shared != NULL; }

bool drain_bars(const struct task *t) { return t->d->draining && (t->d->drain_late || !spares(t)); }

void drain_begin(struct runtimed *d)
{
    if (d->draining)
        return;
    d->draining = true;
    log_info(&log_std, "draining", LOG_INT("runs", (int64_t)d->ntasks));
    for (struct task *t = d->tasks, *next; t; t = next) {
        next = t->next;
        if (spares(t))
            continue;
        if (t->state == TASK_WAITING || t->state == TASK_BACKOFF || t->state == TASK_STARTING)
            task_stop(t, STOP_DRAIN);
    }
    d->drain_timer.fire = cancel_rest;
    loop_timer_in(d->loop, &d->drain_timer, d->drain_grace_us > BEFORE_END_US ? d->drain_grace_us - BEFORE_END_US : 0);
    drain_check(d);
}

static void look_again(struct loop *loop, struct timer *timer)
{
    (void)loop;
    drain_check(container_of(timer, struct runtimed, drain_again));
}

bool drain_is_over(struct runtimed *d)
{
    if (!d->draining || d->ntasks || !gone_is_removed(d) || (!d->swept && !d->drain_late && journal_has_notes(d)))
        return false;
    int64_t until = d->drain_late ? 0 : shared_busy_until(d);
    if (until <= loop_now_us(d->loop))
        return true;
    d->drain_again.fire = look_again;
    loop_timer_at(d->loop, &d->drain_again, until);
    return false;
}

void drain_check(struct runtimed *d)
{
    if (d->drained && drain_is_over(d))
        d->drained(d);
}
