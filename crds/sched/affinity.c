/* SPDX-License-Identifier: Apache-2.0 */
/*
 * affinity: near which Runs a Run may, must or would rather be.
 *
 * A term speaks of Runs of the same namespace that count against a pod at this moment, and of the same pod or the same
 * node. A required anti-affinity term holds in both directions: it also keeps others away from the Run that has it. A
 * Run whose required affinity matches nobody yet but itself may be the first. Costs grow with the Runs that are active,
 * and only Runs with terms, or with an anti-affine neighbour, pay. Tests: tests/golden/plans/scheduler
 */
#include "crds/sched/cache.h"

static bool same_place(enum sched_topology by, const struct cpod *a, const struct cpod *b)
{
    if (a == b) return true;
    return by == SCHED_BY_NODE && a->node_name.n && str_eq(a->node_name, b->node_name);
}

/* Does a Run that `t` selects run where `pod` is? *anywhere: does one run at all? */
static bool neighbour(const struct space *sp, const struct sched_term *t, const struct cpod *pod, bool *anywhere)
{
    for (size_t i = 0; i < sp->nactive; i++) {
        const struct crun *other = sp->active[i];
        if (!selector_matches(t->selector, &other->labels)) continue;
        *anywhere = true;
        if (same_place(t->topology, other->pod, pod)) return true;
    }
    return false;
}

bool affinity_matters(const struct crun *c) { return c->nterms || c->group->pool->space->with_anti; }

static bool unwelcome(const struct space *sp, const struct crun *c, const struct cpod *pod)
{
    for (size_t i = 0; sp->with_anti && i < sp->nactive; i++) {
        const struct crun *other = sp->active[i];
        for (size_t k = 0; k < other->nterms; k++) {
            const struct sched_term *t = &other->terms[k];
            if (t->anti && !t->preferred && same_place(t->topology, other->pod, pod) && selector_matches(t->selector, &c->labels)) return true;
        }
    }
    return false;
}

bool affinity_allows(const struct crun *c, const struct cpod *pod)
{
    const struct space *sp = c->group->pool->space;
    for (size_t i = 0; i < c->nterms; i++) {
        const struct sched_term *t = &c->terms[i];
        bool anywhere = false;
        if (t->preferred) continue;
        bool near = neighbour(sp, t, pod, &anywhere);
        if (t->anti ? near : !near && (anywhere || !selector_matches(t->selector, &c->labels))) return false;
    }
    return !unwelcome(sp, c, pod);
}

double affinity_score(const struct crun *c, const struct cpod *pod)
{
    double got = 0, all = 0;
    for (size_t i = 0; i < c->nterms; i++) {
        const struct sched_term *t = &c->terms[i];
        bool anywhere = false;
        if (!t->preferred) continue;
        all += t->weight;
        if (neighbour(c->group->pool->space, t, pod, &anywhere)) got += t->anti ? -t->weight : t->weight;
    }
    return all > 0 ? got / all : 0;
}
