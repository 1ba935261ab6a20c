/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue: where a Run that needs a decision stands: urgent (to be ended), delayed (its moment has not come), or waiting in
 * its group's heap, or its shared workspace's. Exactly one of them; state says which. Tests: tests/unit/applets/scheduler.c
 */
#include "crds/sched/affinity.h"

void queue_add(struct sched *s, struct crun *c, int64_t now_us)
{
    bool end = c->cancel || c->refused;
    c->moment_us = end || c->retry_us > c->not_before_us ? c->retry_us : c->not_before_us;
    if (c->moment_us > now_us) {
        c->state = RUN_DELAYED;
        heap_push(&s->delayed, &c->node);
        return;
    }
    if (end) {
        c->state = RUN_URGENT;
        c->urgent_next = s->urgent;
        s->urgent = c;
        return;
    }
    c->state = RUN_WAITING;
    s->waiting++;
    bool bound_to_it = c->workspace && c->workspace->state != WORKSPACE_FREE;
    c->in = bound_to_it ? &c->workspace->waiting : &c->group->waiting;
    if (!bound_to_it && c->judged == c->group->pool->round) affinity_keep(c->group->pool, c);      /* it was but told that it waits */
    else heap_push(c->in, &c->node);
    c->notice_us = c->told_us ? c->told_us + SCHED_RENOTICE_US : c->since_us + SCHED_NOTICE_US;
    heap_push(&s->notices, &c->notice);
    if (bound_to_it)
        workspace_touch(s, c->workspace);
    else
        sched_touch(s, c->group->pool);
}

static void urgent_remove(struct sched *s, struct crun *c)
{
    for (struct crun **at = &s->urgent; *at; at = &(*at)->urgent_next)
        if (*at == c) {
            *at = c->urgent_next;
            return;
        }
}

void queue_remove(struct sched *s, struct crun *c)
{
    switch (c->state) {
    case RUN_WAITING:
        s->waiting--;
        heap_remove(c->in, &c->node);
        heap_remove(&s->notices, &c->notice);
        break;
    case RUN_DELAYED: heap_remove(&s->delayed, &c->node); break;
    case RUN_URGENT: urgent_remove(s, c); break;
    case RUN_IDLE: return;
    case RUN_IN_FLIGHT: return;
    }
    c->state = RUN_IDLE;
}
