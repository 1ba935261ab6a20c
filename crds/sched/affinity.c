/* SPDX-License-Identifier: Apache-2.0 */
/*
 * affinity: near which Runs a Run may, must or would rather be.
 * Tests: tests/golden/plans/scheduler, tests/unit/applets/scheduler.c
 */
#include "crds/sched/affinity.h"

enum {
    COMPARED_PER_US = 10,              /* paid by each microsecond: about a tenth of a processor for a namespace */
    COMPARED_AT_ONCE = 2000000,        /* before it has to wait, until all is paid */
    COMPARED_BY_ANY = 32,              /* what judging costs where there is nobody to compare with */
};

bool affinity_matters(const struct crun *c) { return c->nterms || c->group->pool->space->with_anti; }

/* ---- judging ---- */
static void mark(const struct sched *s, const struct sched_term *t, struct cpod *pod)
{
    pod->marked = s->mark;
    if (t->topology == SCHED_BY_NODE && pod->on_node) pod->on_node->marked = s->mark;
}

static bool is_marked(const struct sched *s, const struct cpod *pod) { return pod->marked == s->mark || (pod->on_node && pod->on_node->marked == s->mark); }

/* False when no pod is left: the other terms change nothing then. */
static bool judge_term(struct sched *s, const struct crun *c, const struct sched_term *t)
{
    const struct pool *p = c->group->pool;
    const struct space *sp = p->space;
    bool anywhere = false, left = false;
    s->mark++;
    for (size_t i = 0; i < sp->nactive; i++) {
        const struct crun *other = sp->active[i];
        if (!selector_matches(t->selector, &other->labels)) continue;
        anywhere = true;
        mark(s, t, other->pod);
    }
    bool first = !t->anti && !anywhere && selector_matches(t->selector, &c->labels);
    for (size_t i = 0; i < p->npods; i++) {
        struct cpod *pod = p->pods[i];
        bool near = is_marked(s, pod);
        if (t->preferred) pod->score += !near ? 0 : t->anti ? -t->weight : t->weight;
        else if (t->anti ? near : !near && !first) pod->apart = true;
        left |= !pod->apart;
    }
    return left;
}

/* Who is somewhere and doesn't want c near. Returns what it cost. */
static int64_t judge_others(struct sched *s, const struct crun *c)
{
    const struct pool *p = c->group->pool;
    const struct space *sp = p->space;
    int64_t cost = 0;
    s->mark++;
    for (size_t i = 0; sp->with_anti && i < sp->nactive; i++) {
        const struct crun *other = sp->active[i];
        for (size_t k = 0; k < other->nterms; k++) {
            const struct sched_term *t = &other->terms[k];
            if (!t->anti || t->preferred) continue;
            cost += (int64_t)selector_cost(t->selector);
            if (selector_matches(t->selector, &c->labels)) mark(s, t, other->pod);
        }
    }
    for (size_t i = 0; i < p->npods; i++) p->pods[i]->apart |= is_marked(s, p->pods[i]);
    return cost;
}

void affinity_judge(struct sched *s, const struct crun *c)
{
    const struct pool *p = c->group->pool;
    struct space *sp = p->space;
    double all = 0;
    int64_t cost = COMPARED_BY_ANY + (int64_t)p->npods;
    for (size_t i = 0; i < p->npods; i++) p->pods[i]->apart = false, p->pods[i]->score = 0;
    bool left = true;
    for (size_t i = 0; left && i < c->nterms; i++) {
        const struct sched_term *t = &c->terms[i];
        left = judge_term(s, c, t);
        if (t->preferred) all += t->weight;
        cost += (int64_t)(selector_cost(t->selector) * (sp->nactive + 1) + p->npods);
    }
    if (left) cost += judge_others(s, c);
    for (size_t i = 0; all > 0 && i < p->npods; i++) p->pods[i]->score /= all;
    sp->compared += cost;
}

void affinity_keep(struct pool *p, struct crun *c)
{
    c->judged = p->round;
    c->in = &p->apart;
    heap_push(c->in, &c->node);
    if (!p->kept.slot) heap_push(&p->space->kept, &p->kept);
}

/* ---- whose turn it is ---- */
/* A clock that was set back pays everything: how long it was is not known. */
static void pay(struct space *sp, int64_t now_us)
{
    int64_t since = now_us - sp->paid_us;
    sp->paid_us = now_us;
    if (since < 0 || since > sp->compared / COMPARED_PER_US) sp->compared = 0;
    else sp->compared -= since * COMPARED_PER_US;
}

bool affinity_turn(struct sched *s, struct pool *p, int64_t now_us)
{
    struct space *sp = p->space;
    struct heap_node *first = heap_top(&sp->judging);
    if (s->unhurried) return true;
    if (sp->rest.slot) return false;
    pay(sp, now_us);
    if (sp->compared >= COMPARED_AT_ONCE) {
        sp->rest_us = now_us + sp->compared / COMPARED_PER_US + 1;
        heap_push(&s->resting, &sp->rest);
        return false;
    }
    return !first || first == &p->judging;
}

void affinity_wait_turn(struct sched *s, struct pool *p)
{
    if (p->judging.slot) return;
    p->turn = ++s->turns;
    heap_push(&p->space->judging, &p->judging);
}

static void call_next(struct sched *s, const struct space *sp)
{
    struct heap_node *first = heap_top(&sp->judging);
    if (first && !sp->rest.slot) sched_touch(s, container_of(first, struct pool, judging));
}

void affinity_turn_over(struct sched *s, struct pool *p)
{
    heap_remove(&p->space->judging, &p->judging);
    call_next(s, p->space);
}

void affinity_rested(struct sched *s, int64_t now_us)
{
    for (struct heap_node *top; (top = heap_top(&s->resting));) {
        struct space *sp = container_of(top, struct space, rest);
        if (sp->rest_us > now_us && sp->paid_us <= now_us) return;
        heap_remove(&s->resting, top);
        call_next(s, sp);
    }
}

/* ---- what changes a judgement ---- */
void affinity_changed(struct sched *s, struct space *sp)
{
    for (size_t i = 0; i < sp->kept.n; i++) pool_changed(s, container_of(sp->kept.nodes[i], struct pool, kept));
}
