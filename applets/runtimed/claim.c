/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim: the watch on the Runs of this pod, and slots. A Run that doesn't fit stays Scheduled and waits here; by priority,
 * then by age; those that share a workspace go before all others, as they can go nowhere else. One that is too large for what is free holds back those behind it, so that it isn't overtaken for ever.
 * A Runtime Server may have room for fewer executions than there are slots; then no more are served than it has taken.
 */
#include "applets/runtimed/runtimed.h"
#include "core/log.h"
#include <stdio.h>

enum { ROOM_US = 1000000 };

/* ---- records ----------------------------------------------------------------------------------------------------- */

struct record *record_of_uid(const struct runtimed *d, struct str uid) { return map_get(&d->by_uid, uid); }

static void record_free(struct runtimed *d, struct record *r)
{
    if (map_get(&d->by_key, str_of(r->key)) == r)
        map_del(&d->by_key, str_of(r->key));
    if (map_get(&d->by_uid, str_of(r->uid)) == r)
        map_del(&d->by_uid, str_of(r->uid));
    shared_leave(d, r);
    free(r->key);
    free(r);
}

static struct record *record_new(struct runtimed *d, struct str key, const struct run *run)
{
    struct record *r = xcalloc(1, sizeof *r);
    unsigned char secret[16];
    r->key = xstrndup(key.p, key.n);
    snprintf(r->uid, sizeof r->uid, "%.*s", SFMT(run->metadata.uid));
    if (run->status.access_key.n == 32) {
        memcpy(r->access_key, run->status.access_key.p, 32);
    } else {
        rnd_secret(secret, sizeof secret);
        hex_put(r->access_key, secret, sizeof secret);
    }
    r->attempt = run->status.has_attempt ? run->status.attempt : 1;
    map_put(&d->by_key, str_of(r->key), r);
    map_put(&d->by_uid, str_of(r->uid), r);
    shared_join(d, r, run);
    return r;
}

/* ---- the watch --------------------------------------------------------------------------------------------------- */

static void forget_run(struct runtimed *d, struct record *r)
{
    logs_remove(d->state, str_of(r->uid));
    record_free(d, r);
}

static void gone(void *ctx, struct str key, struct str json)
{
    struct runtimed *d = ctx;
    struct record *r = map_get(&d->by_key, key);
    (void)json;
    if (!r)
        return;
    map_del(&d->by_key, str_of(r->key));          /* a new Run of that name may come before the processes are gone */
    r->over = r->gone = true;
    if (r->task)
        task_stop(r->task, STOP_GONE);
    else
        forget_run(d, r);
}

void record_left(struct runtimed *d, struct record *r)
{
    if (r->gone)
        forget_run(d, r);
}

static void set(void *ctx, struct str key, struct str json)
{
    struct runtimed *d = ctx;
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct kr_err e = { 0 };
    struct run *run = model_decode(run, json, &a, &e);
    struct record *r = map_get(&d->by_key, key);
    if (!run) {
        log_warn(&log_std, "a Run can't be read", LOG_STR("run", key), LOG_ERR(&e));
        return;
    }
    if (!str_eq(run->status.assigned_pod_uid, d->pod_uid) || (r && !str_is(run->metadata.uid, r->uid))) {
        gone(d, key, json);                       /* a pod of our name before us, or another Run of that name */
        r = NULL;
        if (!str_eq(run->status.assigned_pod_uid, d->pod_uid))
            return;
    }
    if (!r)
        r = record_new(d, key, run);
    if (run_is_terminal(run)) {
        r->over = true;
        if (r->task && r->task->state != TASK_ENDING)
            task_drop(r->task);                   /* somebody else ended it: ours is over too */
        return;
    }
    if (r->task) {
        if (!run->status.attempt || run->status.attempt >= r->task->attempt)      /* else it is from before the attempt that we wrote last */
            task_update(r->task, json);
        return;
    }
    if (r->over)
        return;                                   /* an echo from before our own terminal write */
    struct task *t = task_new(d, r, json);
    if (!t)
        return;
    t->adopted = !d->swept || !strcmp(t->phase, "Running");
    slots_serve(d);
    if (drain_bars(t))
        task_stop(t, STOP_DRAIN);                 /* it was assigned before the drain was seen */
    else if ((run->spec.has_cancel_requested && run->spec.cancel_requested) || run->metadata.deletion_timestamp.n)
        task_stop(t, STOP_CANCEL);
}

/* After the first list: what no Run has any more goes, and waiting tasks may begin. */
static void synced(void *ctx)
{
    struct runtimed *d = ctx;
    if (!d->swept)
        sweep_leftovers(d);
    d->swept = true;
    slots_serve(d);
    drain_check(d);                               /* it may have waited to know what is here */
}

static void trouble(void *ctx, const struct kr_err *e)
{
    (void)ctx;
    log_warn(&log_std, "the API can't be watched now", LOG_ERR(e));
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

static int64_t request_of(const struct task *t, const char *name)
{
    const struct count_map *m = &t->run->spec.resources.requests;
    for (size_t i = 0; i < m->n; i++)
        if (str_is(m->v[i].key, name))
            return m->v[i].value;
    return !strcmp(name, "runs");
}

static bool fits(const struct runtimed *d, const struct task *t)
{
    for (size_t i = 0; i < d->ncapacity; i++)
        if (request_of(t, d->capacity[i].name) > d->capacity[i].n - d->capacity[i].used)
            return false;
    return true;
}

static void take(struct task *t, int sign)
{
    for (size_t i = 0; i < t->d->ncapacity; i++)
        t->d->capacity[i].used += sign * request_of(t, t->d->capacity[i].name);
    t->slot = sign > 0;
    t->d->nslots += (size_t)sign;
}

void slot_release(struct task *t)
{
    if (!t->slot)
        return;
    take(t, -1);
    slots_serve(t->d);
}

/* What had the server's room besides our tasks may be gone: one more is tried, then two, four, and so on. */
static void room_may_be(struct loop *loop, struct timer *timer)
{
    struct runtimed *d = container_of(timer, struct runtimed, room_timer);
    d->most += d->more;
    d->more *= 2;
    if (d->most < d->ntasks)
        loop_timer_in(loop, timer, ROOM_US);
    slots_serve(d);
}

/* Learnt, as no server tells how much room it has. */
void slot_refused(struct task *t)
{
    struct runtimed *d = t->d;
    take(t, -1);
    d->most = d->nslots;
    d->more = 1;
    if (timer_is_set(&d->room_timer))
        return;
    log_info(&log_std, "the Runtime Server has no room for more executions now", LOG_INT("slots", (int64_t)d->most));
    d->room_timer.fire = room_may_be;
    loop_timer_in(d->loop, &d->room_timer, ROOM_US);
}

static bool has_room(const struct runtimed *d) { return !timer_is_set(&d->room_timer) || d->nslots < d->most; }

void slots_serve(struct runtimed *d) { loop_defer(d->loop, &d->serve_slots); }

static bool goes_before(const struct task *a, const struct task *b)
{
    if (a->adopted != b->adopted)
        return a->adopted;                        /* it may be running already: its slot is taken as it is */
    if (!a->rec->shared != !b->rec->shared)
        return a->rec->shared != NULL;
    if (a->run->spec.priority != b->run->spec.priority)
        return a->run->spec.priority > b->run->spec.priority;
    if (a->created_us != b->created_us)          /* in whole seconds */
        return a->created_us < b->created_us;
    return a->seen_us <= b->seen_us;             /* who is seen in one turn stands behind those after it in the list */
}

static void serve(struct loop *loop, struct defer *defer)
{
    (void)loop;
    struct runtimed *d = container_of(defer, struct runtimed, serve_slots);
    while (d->swept) {
        struct task *best = NULL;
        for (struct task *t = d->tasks; t; t = t->next)
            if ((t->adopted || !drain_bars(t)) && t->state == TASK_WAITING && !t->slot && (!best || goes_before(t, best)))
                best = t;
        if (!best || (!best->adopted && (!has_room(d) || !fits(d, best))))
            return;
        take(best, 1);
        task_begin(best);
    }
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void claim_start(struct runtimed *d)
{
    AUTO_BUF struct buf fields = { .max = 512 };
    d->serve_slots.run = serve;
    buf_fmt(&fields, "status.assignedPod=%.*s", SFMT(d->pod));
    struct informer_config c = { .resource = &kube_runs, .ns = d->ns, .fields = buf_view(&fields), .fallback_fields = S(""),
                                 .user = { set, gone, synced, trouble, d } };
    d->runs = informer_new(d->kube, &c, &d->rnd);
}

void claim_stop(struct runtimed *d)
{
    struct record *r;
    informer_free(TAKE(d->runs));
    while (d->tasks)
        task_free(d->tasks);
    loop_defer_cancel(d->loop, &d->serve_slots);
    loop_timer_stop(d->loop, &d->room_timer);
    for (size_t i = 0; (r = map_next(&d->by_key, &i));) {
        free(r->key);
        free(r);
    }
    shared_stop(d);
    gone_stop(d);
    map_free(&d->by_key);
    map_free(&d->by_uid);
}
