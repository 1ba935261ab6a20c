/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scheduler: three watches feed the cache, a pass runs once per loop turn in which something changed, and each decision is
 * one conditional patch. All it knows it can learn again: it may be killed at any moment.
 */
#include "applets/scheduler/writes.h"
#include "core/applet.h"
#include "core/log.h"
#include "core/map.h"
#include "crds/run.h"
#include "crds/sched/asks.h"
#include "crds/sched/objects.h"
#include "k8s/component.h"
#include "k8s/informer.h"

enum { BATCH = 64, IN_FLIGHT = 512 };
#define UNFINISHED "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Timeout,status.phase!=Cancelled"

struct scheduler {
    struct component *c;
    struct sched *sched;
    struct informer *runs, *runtimes, *pods;
    struct map pod_uids;                          /* "ns/name" → uid, as the cache knows pods by uid */
    struct defer pass;
    struct timer later;
    struct asks *asks;
    size_t in_flight;
};
struct pod_uid { char *key; struct str uid; };
struct write { struct scheduler *s; char *ns, *run, *uid; enum sched_verdict verdict; unsigned runtime; int64_t sent_us, since_us; };

static void wake(struct scheduler *s) { loop_defer(s->c->loop, &s->pass); }
static int64_t now(struct scheduler *s) { return loop_wall_us(s->c->loop); }

static void split(struct str key, struct str *ns, struct str *name)
{
    *name = key;
    *ns = str_cut(name, '/');
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

static void passed_over(const char *kind, struct str key, const struct kr_err *e)
{
    log_warn(&log_std, "an object can't be read and is passed over", LOG_Z("kind", kind), LOG_STR("key", key), LOG_ERR(e));
}

static void run_set(void *ctx, struct str key, struct str json)
{
    struct scheduler *s = ctx;
    struct kr_err e = { 0 };
    if (sched_take_run(s->sched, json, now(s), &e) < 0)
        passed_over("Run", key, &e);
    wake(s);
}

static void run_gone(void *ctx, struct str key, struct str json)
{
    struct scheduler *s = ctx;
    struct str ns, name;
    (void)json;
    split(key, &ns, &name);
    sched_del_run(s->sched, ns, name);
    wake(s);
}

static void runtime_set(void *ctx, struct str key, struct str json)
{
    struct scheduler *s = ctx;
    struct kr_err e = { 0 };
    if (sched_take_runtime(s->sched, json, &e) < 0)
        passed_over("Runtime", key, &e);
    wake(s);
}

static void runtime_gone(void *ctx, struct str key, struct str json)
{
    struct scheduler *s = ctx;
    struct str ns, name;
    (void)json;
    split(key, &ns, &name);
    sched_del_runtime(s->sched, ns, name);
    wake(s);
}

static void pod_gone(void *ctx, struct str key, struct str json)
{
    struct scheduler *s = ctx;
    struct pod_uid *u = map_del(&s->pod_uids, key);
    struct str ns, name;
    (void)json;
    if (!u)
        return;
    split(key, &ns, &name);
    sched_del_pod(s->sched, ns, u->uid);
    free((void *)u->uid.p);
    free(u->key);
    free(u);
    wake(s);
}

static void pod_set(void *ctx, struct str key, struct str json)
{
    struct scheduler *s = ctx;
    struct kr_err e = { 0 };
    struct str uid;
    struct pod_uid *u = map_get(&s->pod_uids, key);
    if (sched_take_pod(s->sched, json, &uid, &e) < 0) {
        passed_over("Pod", key, &e);
        return;
    }
    if (u && !str_eq(u->uid, uid)) {              /* another pod of that name */
        pod_gone(s, key, (struct str){ 0 });
        u = NULL;
    }
    if (u) {
        free((void *)uid.p);
    } else {
        u = xcalloc(1, sizeof *u);
        *u = (struct pod_uid){ xstrndup(key.p, key.n), uid };
        map_put(&s->pod_uids, (struct str){ u->key, key.n }, u);
    }
    wake(s);
}

static void synced(void *ctx) { wake(ctx); }
static void trouble(void *ctx, const struct kr_err *e)
{
    (void)ctx;
    log_warn(&log_std, "the API can't be watched now", LOG_ERR(e));
}

/* ---- decisions --------------------------------------------------------------------------------------------------- */

static void written(void *ctx, const struct kube_result *r)
{
    struct write *w = ctx;
    struct scheduler *s = w->s;
    static const char *const path[] = { "metadata", "resourceVersion" };
    AUTO_ARENA struct arena a = { .limit = 4096 };
    uint64_t version = 0;
    if (!r->error)
        str_u64(json_str_of(json_find_path(r->body, path, 2), &a), &version);
    else if (r->error->code != KR_CONFLICT && r->error->code != KR_NOT_FOUND)
        log_warn(&log_std, "a decision could not be written", LOG_Z("run", w->run), LOG_Z("namespace", w->ns), LOG_ERR(r->error));
    metric_add(METRIC_SCHED_DECISIONS, (unsigned)w->verdict, 1);
    metric_observe_us(METRIC_SCHED_WRITE_SECONDS, 0, loop_now_us(s->c->loop) - w->sent_us);
    if (w->verdict == SCHED_BIND && version)
        metric_observe_of_us(METRIC_PENDING_SECONDS, w->runtime, 0, now(s) - w->since_us);
    sched_done(s->sched, str_of(w->ns), str_of(w->run), str_of(w->uid), version, now(s));
    s->in_flight--;
    free(w->ns);
    free(w->run);
    free(w->uid);
    free(w);
    wake(s);
}

static void carry_out(struct scheduler *s, const struct sched_decision *d)
{
    AUTO_BUF struct buf body = { .max = 16384 };
    if (d->verdict == SCHED_ASK) {
        asks_send(s->asks, d->ns, d->runtime, d->workspace);
        return;
    }
    struct write *w = xcalloc(1, sizeof *w);
    *w = (struct write){ .s = s, .ns = xstrndup(d->ns.p, d->ns.n), .run = xstrndup(d->run.p, d->run.n), .uid = xstrndup(d->uid.p, d->uid.n),
                         .verdict = d->verdict, .sent_us = loop_now_us(s->c->loop), .since_us = d->since_us,
                         .runtime = d->verdict == SCHED_BIND ? metric_runtime(d->ns, d->runtime) : 0 };
    sched_patch(d, now(s), &body);
    log_debug(&log_std, "decided", LOG_STR("run", d->run), LOG_STR("namespace", d->ns), LOG_STR("pod", d->pod), LOG_Z("why", d->message));
    s->in_flight++;
    kube_merge_patch(s->c->kube, &kube_runs, str_of(w->ns), str_of(w->run), "status", buf_view(&body), (struct kube_user){ written, w });
}

static void found(void *ctx, struct str ns, struct str runtime, struct str workspace, struct str pod_uid)
{
    struct scheduler *s = ctx;
    sched_workspace(s->sched, ns, runtime, workspace, pod_uid);
    wake(s);
}

static bool is_ready(void *ctx, struct buf *why)
{
    struct scheduler *s = ctx;
    bool runs = informer_ready(s->runs, why), runtimes = informer_ready(s->runtimes, why), pods = informer_ready(s->pods, why);
    return runs && runtimes && pods;
}

static bool is_synced(const struct scheduler *s)
{
    return informer_is_synced(s->runs) && informer_is_synced(s->runtimes) && informer_is_synced(s->pods);
}

static void pass(struct loop *loop, struct defer *d)
{
    struct scheduler *s = container_of(d, struct scheduler, pass);
    static struct sched_decision out[BATCH];
    size_t n = BATCH;
    if (!is_synced(s))
        return;
    while (n == BATCH && s->in_flight + BATCH <= IN_FLIGHT) {
        n = sched_pass(s->sched, now(s), out, BATCH);
        for (size_t i = 0; i < n; i++)
            carry_out(s, &out[i]);
    }
    int64_t next = sched_next_us(s->sched);
    bool full = s->in_flight + BATCH > IN_FLIGHT;     /* nothing can be decided, whatever is due, until a write is over: that wakes us */
    if (full || next == INT64_MAX)
        loop_timer_stop(loop, &s->later);
    else
        loop_timer_in(loop, &s->later, next > now(s) ? next - now(s) : 0);
    struct sched_stats stats = sched_stats(s->sched);
    metric_set(METRIC_SCHED_WAITING, 0, (int64_t)stats.waiting);
    metric_set(METRIC_SCHED_ACTIVE, 0, (int64_t)stats.active);
}

static void later(struct loop *loop, struct timer *t)
{
    (void)loop;
    wake(container_of(t, struct scheduler, later));
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static struct informer *watch(struct scheduler *s, const struct kube_resource *r, const char *labels, const char *fields,
                              void (*set)(void *, struct str, struct str), void (*gone)(void *, struct str, struct str))
{
    struct informer_config c = { .resource = r, .ns = s->c->ns, .labels = str_of(labels), .fields = str_of(fields), .fallback_fields = S(""),
                                 .user = { set, gone, synced, trouble, s } };
    return informer_new(s->c->kube, &c, &s->c->rnd);
}

static bool assign_ahead;
static const struct opt opts[] = {
    { "assign-ahead", 0, OPT_FLAG, &assign_ahead, NULL, "give each full pod one Run more, which waits there for the next free slot", .env = "KRUNTIMES_ASSIGN_AHEAD" },
    { 0 } };

static void start(struct component *c, void *ctx)
{
    struct scheduler *s = ctx;
    *s = (struct scheduler){ .c = c, .sched = sched_new(), .pass = { .run = pass }, .later = { .fire = later },
                              .asks = asks_new(c->kube, found, s) };
    sched_assign_ahead(s->sched, assign_ahead);
    s->runtimes = watch(s, &kube_runtimes, "", "", runtime_set, runtime_gone);
    s->pods = watch(s, &kube_pods, "kruntimes.io/runtime", "", pod_set, pod_gone);
    s->runs = watch(s, &kube_runs, "", UNFINISHED, run_set, run_gone);
}

static void stop(void *ctx)
{
    struct scheduler *s = ctx;
    struct pod_uid *u;
    informer_free(s->runs);
    informer_free(s->runtimes);
    informer_free(s->pods);
    asks_free(s->asks);
    loop_defer_cancel(s->c->loop, &s->pass);
    loop_timer_stop(s->c->loop, &s->later);
    for (size_t i = 0; (u = map_next(&s->pod_uids, &i));) {
        free((void *)u->uid.p);
        free(u->key);
        free(u);
    }
    map_free(&s->pod_uids);
}

static int run(struct applet_call *call, struct kr_err *e)
{
    (void)call;
    static struct scheduler s;
    struct component_config c = { .name = "scheduler", .metrics = METRICS_SCHEDULER, .start = start, .stop = stop, .ready = is_ready, .ctx = &s };
    int rc = component_run(&c, e);
    if (s.sched)
        sched_free(s.sched);
    return rc;
}

const struct applet applet_scheduler = {
    .name = "scheduler", .group = APPLET_COMPONENT, .brief = "assigns Runs to Runtime Pods",
    .help = "Watches Runs, Runtimes and Runtime Pods, and binds each waiting Run to a pod of its Runtime: by priority and age, capacity, "
            "affinity, and the least load.",
    .opts = opts, .shared = (const struct opt *const[]){ component_opts, log_opts, NULL }, .main = run,
};
