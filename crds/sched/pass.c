/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pass: one look at everything that changed, and the decisions that follow.
 *
 * Pools are independent of each other. In a pool the first Run in order is taken, over and over, from whichever group
 * has it; a group whose first does not fit is left for the rest of the pass. Runs that affinity keeps out are put aside
 * one by one, and go back when what they were judged by has changed. Tests: tests/unit/applets/scheduler.c, tests/golden/plans/scheduler
 */
#include "crds/sched/affinity.h"
#include "crds/sched/pods.h"
#include <stdio.h>

enum fit { FIT_OK, FIT_CAPACITY, FIT_AFFINITY, FIT_LATER };    /* later: to be judged when it is its pool's turn */
struct round { struct sched *s; struct sched_decision *out; size_t n, max; int64_t now_us; };

static struct sched_decision *decide(struct round *r, struct crun *c, enum sched_verdict verdict)
{
    queue_remove(r->s, c);
    c->state = RUN_IN_FLIGHT;
    c->decided = verdict;
    r->s->in_flight++;
    struct sched_decision *d = &r->out[r->n++];
    *d = (struct sched_decision){ .verdict = verdict, .ns = c->group->pool->space->name, .run = c->name, .uid = c->uid, .version = c->version };
    return d;
}

static struct sched_decision *bind(struct round *r, struct crun *c, struct cpod *pod)
{
    struct sched_decision *d = decide(r, c, SCHED_BIND);
    d->pod = pod->name;
    d->pod_uid = pod->uid;
    d->runtime = pod->pool->name;
    d->since_us = c->since_us;
    d->first = !c->attempted;
    pod_add_run(r->s, pod, c);
    c->told = NULL;
    c->told_us = 0;
    if (c->workspace && c->workspace->state == WORKSPACE_FREE) workspace_put(r->s, c->workspace, pod, false);
    return d;
}

static void bind_best(struct round *r, struct crun *c, struct cpod *pod)
{
    struct sched_decision *d = bind(r, c, pod);
    snprintf(d->message, sizeof d->message, "least loaded of %zu, now runs %lld/%lld", pod->pool->ready.n,
             (long long)pod->used[0], (long long)vec_get(pod->capacity, 0));
}

static bool free_for(const struct round *r, const struct cpod *pod, const struct crun *c)
{
    return pod_open(pod) && pod->held_pass != r->s->pass && pod_fits(pod, c->group->requests);
}

static bool better(const struct cpod *a, double score_a, const struct cpod *b, double score_b)
{
    return !b || score_a > score_b || (score_a == score_b && str_cmp(a->name, b->name) < 0);
}

static bool any_free(const struct round *r, const struct crun *c)
{
    const struct pool *p = c->group->pool;
    size_t i = 0;
    while (i < p->npods && !free_for(r, p->pods[i], c)) i++;
    return i < p->npods;
}

/* What affinity says of each pod is known: true at once when it says nothing of this Run. */
static bool judged(const struct round *r, const struct crun *c)
{
    if (!affinity_matters(c)) return true;
    if (!affinity_turn(r->s, c->group->pool, r->now_us)) return false;
    affinity_judge(r->s, c);
    return true;
}

/* The best pod for c, or NULL and why there is none. */
static struct cpod *find(struct round *r, const struct crun *c, enum fit *why)
{
    struct pool *p = c->group->pool;
    bool picky = affinity_matters(c);
    struct heap_node *top = heap_top(&p->ready);
    *why = FIT_OK;
    if (!picky && top && free_for(r, container_of(top, struct cpod, node), c)) return container_of(top, struct cpod, node);
    struct cpod *best = NULL;
    double best_score = 0;
    *why = FIT_CAPACITY;
    if (picky && !any_free(r, c)) return NULL;
    if (!judged(r, c)) return *why = FIT_LATER, NULL;
    for (size_t i = 0; i < p->npods; i++) {
        struct cpod *pod = p->pods[i];
        if (!free_for(r, pod, c)) continue;
        if (picky && pod->apart) {
            *why = FIT_AFFINITY;
            continue;
        }
        double score = 1 - pod->load + (picky ? pod->score : 0);
        if (better(pod, score, best, best_score)) best = pod, best_score = score;
    }
    if (best) *why = FIT_OK;
    return best;
}

/* No pod has room: one where c may wait for the next slot, where that is wanted. *why may become FIT_LATER. */
static struct cpod *find_ahead(struct round *r, const struct crun *c, enum fit *why)
{
    struct pool *p = c->group->pool;
    bool picky = affinity_matters(c);
    struct cpod *best = NULL;
    if (!r->s->ahead) return NULL;
    if (!judged(r, c)) return *why = FIT_LATER, NULL;
    for (size_t i = 0; i < p->npods; i++) {
        struct cpod *pod = p->pods[i];
        if (pod_open(pod) && pod->held_pass != r->s->pass && pod_takes_ahead(pod, c->group->requests) && !(picky && pod->apart) &&
            better(pod, -pod->load, best, best ? -best->load : 0))
            best = pod;
    }
    return best;
}

/*
 * Small Runs may not keep a big one out for ever: the first in order, once it has waited long, has a pod kept free that it may go to.
 * Until what affinity says of it can be judged that is the one kept free before. False: there was none, or perhaps a better one.
 */
static bool hold_for(struct round *r, const struct crun *c)
{
    struct pool *p = c->group->pool;
    struct cpod *best = NULL;
    if (p->hold_pass == r->s->pass || r->now_us - c->since_us < SCHED_HOLD_US) return true;
    bool known = judged(r, c), picky = affinity_matters(c);
    for (size_t i = 0; i < p->npods; i++) {
        struct cpod *pod = p->pods[i];
        bool may = known ? !(picky && pod->apart) : p->hold_pass && pod->held_pass == p->hold_pass;
        if (may && pod_open(pod) && pod_could_fit(pod->capacity, c->group->requests) && better(pod, -pod->load, best, best ? -best->load : 0)) best = pod;
    }
    if (best) best->held_pass = p->hold_pass = r->s->pass;
    return known;
}

/* More than any pod of this Runtime has, by its own declaration: waiting would not help. */
static bool hopeless(const struct pool *p, const struct vec *requests)
{
    if (!p->exists || p->deleting || pod_could_fit(p->capacity, requests)) return false;
    for (size_t i = 0; i < p->npods; i++)
        if (pod_could_fit(p->pods[i]->capacity, requests)) return false;
    return true;
}

static void fail_hopeless(struct round *r, struct crun *c)
{
    const struct vec *want = c->group->requests, *have = c->group->pool->capacity;
    struct sched_decision *d = decide(r, c, SCHED_FAIL);
    d->reason = "InvalidResources";
    for (size_t i = 0; i < want->n; i++) {
        long long offered = vec_get(have, want->v[i].resource);
        if (want->v[i].n <= offered) continue;
        snprintf(d->message, sizeof d->message, "requests %lld of \"%s\", a pod of runtime \"%.*s\" offers %lld", (long long)want->v[i].n,
                 r->s->resources[want->v[i].resource].name.p, SFMT(c->group->pool->name), offered);
        return;
    }
}

/* ---- groups in the order of their first ---- */
static bool by_first(const struct heap_node *a, const struct heap_node *b)
{
    return run_by_order(&container_of(a, struct group, turn)->first->node, &container_of(b, struct group, turn)->first->node);
}

static struct crun *first_of(const struct group *g)
{
    struct heap_node *top = heap_top(&g->waiting);
    return top ? container_of(top, struct crun, node) : NULL;
}

static void begin_order(struct heap *order, struct pool *p)
{
    struct group *g;
    for (size_t i = 0; (g = map_next(&p->groups, &i));)
        if ((g->first = first_of(g))) heap_push(order, &g->turn);
}

/* In a pass Runs leave their groups, none comes: a group stands too far ahead at most, and goes back when that is seen. */
static struct crun *first_waiting(struct heap *order)
{
    for (struct heap_node *top; (top = heap_top(order));) {
        struct group *g = container_of(top, struct group, turn);
        struct crun *now = first_of(g);
        if (now && now == g->first) return now;
        if ((g->first = now)) heap_fix(order, top);
        else heap_remove(order, top);
    }
    return NULL;
}

/* ---- Runs that affinity keeps out ---- */
static void bring_back(struct pool *p)
{
    struct heap_node *top;
    p->changed = false;
    p->round++;
    while ((top = heap_top(&p->apart))) {
        struct crun *c = container_of(top, struct crun, node);
        heap_remove(c->in, top);
        c->in = &c->group->waiting;
        heap_push(c->in, top);
    }
}

/* While some are yet to be judged those that were are not judged again, so that the round comes to its end. */
static void end_round(struct sched *s, struct pool *p, bool judged_all)
{
    if (!p->apart.n && p->kept.slot) {
        heap_remove(&p->space->kept, &p->kept);
        p->round++;                                      /* nothing tells this pool of changes now: who comes back from a notice is judged anew */
    }
    if (!judged_all) affinity_wait_turn(s, p);
    else if (p->judging.slot) affinity_turn_over(s, p);
    if (judged_all && p->changed && p->apart.n) sched_touch(s, p);
}

/* What is decided in this pool until nothing is left or the list is full. */
static void pass_pool(struct round *r, struct pool *p)
{
    struct sched *s = r->s;
    struct heap order = { .less = by_first };
    struct crun *c;
    bool judged_all = true;
    if ((p->changed || p->hold_pass) && !p->judging.slot) bring_back(p);     /* what was held may be free now */
    begin_order(&order, p);
    while (r->n < r->max && (c = first_waiting(&order))) {
        enum fit why;
        struct cpod *pod = p->exists && !p->deleting ? find(r, c, &why) : (why = FIT_CAPACITY, NULL);
        struct cpod *later = !pod && why == FIT_CAPACITY && p->exists && !p->deleting ? find_ahead(r, c, &why) : NULL;
        if (pod) {
            bind_best(r, c, pod);
        } else if (later) {
            struct sched_decision *d = bind(r, c, later);
            snprintf(d->message, sizeof d->message, "waits there for the next free slot, now runs %lld/%lld", (long long)later->used[0],
                     (long long)vec_get(later->capacity, 0));
        } else if (why == FIT_AFFINITY) {
            heap_remove(c->in, &c->node);
            affinity_keep(p, c);
        } else if (why == FIT_LATER) {
            judged_all = false;
            hold_for(r, c);
            heap_remove(&order, &c->group->turn);
        } else if (hopeless(p, c->group->requests)) {
            fail_hopeless(r, c);
        } else {
            judged_all &= hold_for(r, c);
            heap_remove(&order, &c->group->turn);
        }
    }
    if (p->hold_pass != s->pass && r->n < r->max) p->hold_pass = 0;          /* a full list may leave out whom it is kept for */
    heap_free(&order);
    end_round(s, p, judged_all);
}

static void pass_pools(struct round *r)
{
    struct pool *p;
    while (r->n < r->max && (p = r->s->dirty)) {
        r->s->dirty = p->dirty_next;
        p->dirty = false;                                /* first, as what is decided may touch it, or others */
        pass_pool(r, p);
        if (r->n == r->max) sched_touch(r->s, p);        /* perhaps there is more */
        pool_leave(r->s, p);
    }
}

/* ---- shared workspaces ---- */
static void ask(struct round *r, struct workspace *w)
{
    w->state = WORKSPACE_ASKED;
    r->out[r->n++] = (struct sched_decision){ .verdict = SCHED_ASK, .ns = w->pool->space->name, .run = S(""), .uid = S(""), .runtime = w->pool->name, .workspace = w->name };
}

static void fail_lost(struct round *r, struct crun *c)
{
    struct sched_decision *d = decide(r, c, SCHED_FAIL);
    d->reason = "WorkspaceLost";
    snprintf(d->message, sizeof d->message, "the pod that had workspace \"%.*s\" is gone, and the workspace with it: use another name, or delete the Runs that name it",
             SFMT(c->workspace->name));
}

static void bind_there(struct round *r, struct crun *c, struct cpod *pod)
{
    if (!pod_could_fit(pod->capacity, c->group->requests)) {
        struct sched_decision *d = decide(r, c, SCHED_FAIL);
        d->reason = "InvalidResources";
        snprintf(d->message, sizeof d->message, "it requests more than the pod of workspace \"%.*s\" offers", SFMT(c->workspace->name));
        return;
    }
    struct sched_decision *d = bind(r, c, pod);
    snprintf(d->message, sizeof d->message, "workspace \"%.*s\" is there, now runs %lld/%lld", SFMT(c->workspace->name), (long long)pod->used[0],
             (long long)vec_get(pod->capacity, 0));
}

/* True when nothing is left to decide about it in this pass. The pod may be full or draining: its Runs go first there. */
static bool pass_workspace(struct round *r, struct workspace *w)
{
    struct heap_node *top;
    if (w->state == WORKSPACE_THERE && !w->pod->known) w->state = WORKSPACE_LOST;
    while (r->n < r->max && (top = heap_top(&w->waiting))) {
        struct crun *c = container_of(top, struct crun, node);
        if (w->state == WORKSPACE_LOST) fail_lost(r, c);
        else if (w->state == WORKSPACE_THERE && (w->pod->ready || w->pod->deleting)) bind_there(r, c, w->pod);
        else if (w->state == WORKSPACE_NEW && c->opens) workspace_opened(r->s, w);
        else if (w->state == WORKSPACE_NEW) ask(r, w);
        else return true;
    }
    return r->n < r->max;
}

static void pass_workspaces(struct round *r)
{
    while (r->s->dirty_workspaces && pass_workspace(r, r->s->dirty_workspaces)) {
        r->s->dirty_workspaces->dirty = false;
        r->s->dirty_workspaces = r->s->dirty_workspaces->dirty_next;
    }
}

static void end_urgent(struct round *r)
{
    struct crun *c;
    while (r->n < r->max && (c = r->s->urgent)) {
        struct sched_decision *d = decide(r, c, c->cancel ? SCHED_CANCEL : SCHED_FAIL);
        d->reason = c->cancel ? "Cancelled" : "InvalidResources";
        snprintf(d->message, sizeof d->message, "%s", c->cancel ? "cancelled before it was assigned to a pod" : c->refused);
    }
}

static void tell_waiting(struct round *r)
{
    struct sched *s = r->s;
    struct heap_node *top;
    if (r->now_us < s->notices_from_us) return;
    size_t told = 0;
    while (r->n < r->max && told < SCHED_NOTICES_PER_PASS && (top = heap_top(&s->notices))) {
        struct crun *c = container_of(top, struct crun, notice);
        if (c->notice_us > r->now_us) break;
        char message[256];
        const char *reason = explain_wait(s, c, message, sizeof message);
        if (reason == c->told) {
            c->notice_us = r->now_us + SCHED_RENOTICE_US;
            heap_fix(&s->notices, top);
            continue;
        }
        struct sched_decision *d = decide(r, c, SCHED_WAIT);
        d->reason = c->told = reason;
        memcpy(d->message, message, sizeof d->message);
        c->told_us = r->now_us;
        told++;
    }
    if (told == SCHED_NOTICES_PER_PASS) s->notices_from_us = r->now_us + SCHED_NOTICES_APART_US;
}

size_t sched_pass(struct sched *s, int64_t now_us, struct sched_decision *out, size_t max)
{
    struct round r = { .s = s, .out = out, .max = max, .now_us = now_us };
    struct heap_node *top;
    s->pass++;
    while ((top = heap_top(&s->delayed)) && container_of(top, struct crun, node)->moment_us <= now_us) {
        struct crun *c = container_of(top, struct crun, node);
        queue_remove(s, c);
        queue_add(s, c, now_us);
    }
    end_urgent(&r);
    pass_workspaces(&r);
    affinity_rested(s, now_us);
    pass_pools(&r);
    pass_workspaces(&r);                                 /* of those that a bind just put somewhere */
    if (!s->dirty && !s->dirty_workspaces) tell_waiting(&r);
    return r.n;
}

int64_t sched_next_us(const struct sched *s)
{
    int64_t next = INT64_MAX;
    struct heap_node *top = heap_top(&s->delayed);
    if (top) next = container_of(top, struct crun, node)->moment_us;
    if ((top = heap_top(&s->resting)) && container_of(top, struct space, rest)->rest_us < next) next = container_of(top, struct space, rest)->rest_us;
    if ((top = heap_top(&s->notices))) {
        int64_t at = container_of(top, struct crun, notice)->notice_us;
        if (at < s->notices_from_us) at = s->notices_from_us;
        if (at < next) next = at;
    }
    return next;
}
