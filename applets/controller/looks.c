/* SPDX-License-Identifier: Apache-2.0 */
/*
 * looks: a key of the queue → its plan: what is known is put together for the half that decides (runtime.c, reaper.c, gc.c,
 * cleanup.c, workflow.c), and how the plan ended is noted for the next look. Tests: those of the halves, and tests/local
 */
#include "applets/controller/known.h"
#include "core/log.h"
#include "crds/sched/objects.h"
#include "k8s/event.h"
#include <stdio.h>

enum { HISTORY_RUNS = 200 };                      /* deleted in one look */

static void add_count(struct count_map *m, struct str key, int64_t n, struct arena *a)
{
    struct count_pair *there = count_map_find(m, key);
    if (there)
        there->value += n;
    if (there || m->n == 32)
        return;
    if (!m->v)
        m->v = arena_alloc(a, 32 * sizeof *m->v);
    m->v[m->n++] = (struct count_pair){ arena_str(a, key), n };
}

static const struct pod_load *load_of(struct controller *c, struct indexed *x, const struct pod *p, const struct pod_load *others, struct arena *a)
{
    const struct indexer *runs = c->stores[RUNS].objects;
    struct pod_load *load = arena_new(a, struct pod_load);
    if (!load)
        return others;
    *load = (struct pod_load){ others, p->metadata.name, str_map_get(p->metadata.annotations, S(POD_DELETION_COST)), 0 };
    for (struct indexed *r = indexer_find(runs, BY_POD, x->key); r; r = indexer_same(runs, r, BY_POD))
        load->runs++;
    return load;
}

static void sum_pods(struct controller *c, struct str runtime, struct runtime_view *v, struct arena *a)
{
    const struct indexer *pods = c->stores[PODS].objects;
    struct kr_err e = { 0 };
    struct runtime_trouble newest = { 0 };        /* an older pod may be one of a template that was mended since */
    for (struct indexed *x = indexer_find(pods, BY_RUNTIME, runtime); x; x = indexer_same(pods, x, BY_RUNTIME)) {
        struct pod *p = model_decode(pod, x->json, a, &e);
        if (!p)
            continue;
        bool ready = false;
        for (size_t q = 0; q < p->status.conditions.n; q++)
            ready |= str_is(p->status.conditions.v[q].type, "Ready") && str_is(p->status.conditions.v[q].status, "True");
        bool over = str_is(p->status.phase, "Failed") || str_is(p->status.phase, "Succeeded");
        if (over && !p->metadata.deletion_timestamp.n)
            continue;                             /* evicted, or its node was shut down: it is replaced, and stays for people to see */
        v->pods++;
        struct runtime_trouble trouble = { 0 };
        if (!p->metadata.deletion_timestamp.n)
            v->loads = load_of(c, x, p, v->loads, a);
        if (!ready && !p->metadata.deletion_timestamp.n)
            runtime_trouble_of_pod(&trouble, x->json, a);
        if (trouble.reason.n)
            newest = trouble;
        if (!ready || p->metadata.deletion_timestamp.n)
            continue;
        v->ready_pods++;
        for (size_t q = 0; q < p->metadata.annotations.n; q++) {
            struct sched_amount offers;
            if (sched_capacity(p->metadata.annotations.v[q], &offers))
                add_count(&v->capacity, offers.resource, offers.n, a);
        }
    }
    if (!v->trouble.reason.n)
        v->trouble = newest;
}

static void sum_runs(struct controller *c, struct str runtime, struct runtime_view *v, struct arena *a)
{
    const struct indexer *all = c->stores[RUNS].objects;
    struct kr_err e = { 0 };
    static const char *const path[] = { "spec", "resources" };
    for (struct indexed *x = indexer_find(all, BY_RUNTIME, runtime); x; x = indexer_same(all, x, BY_RUNTIME)) {
        struct str raw = json_find_path(x->json, path, 2);
        struct run_resources *r = raw.p ? model_decode(run_resources, raw, a, &e) : NULL;
        bool runs = false;
        for (size_t q = 0; r && q < r->requests.n; q++) {
            add_count(&v->used, r->requests.v[q].key, r->requests.v[q].value, a);
            runs |= str_is(r->requests.v[q].key, "runs");
        }
        if (!runs)
            add_count(&v->used, S("runs"), 1, a);
    }
}

static void warn_about(struct controller *c, enum store_id id, const struct kube_resource *r, struct str key, const char *reason, struct str message)
{
    static const char *const uid[] = { "metadata", "uid" };
    AUTO_ARENA struct arena a = { .limit = 4096 };
    struct str name = key, ns = str_cut(&name, '/');
    struct event_about about = { r, ns, name, json_str_of(json_find_path(known_text(c, id, key), uid, 2), &a) };
    event_emit(c->c->kube, &about, "Warning", reason, message, "kruntimes-controller");
}

/* A status that says Degraded is told as an Event too: the condition is what it is now, Events are what people look at. */
static void tell_trouble(struct controller *c, struct str key, struct str patch)
{
    static const char *const path[] = { "status", "conditions" };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct kr_err e = { 0 };
    for (const struct json *q = json_first(json_parse(&a, json_find_path(patch, path, 2), &e)); q; q = json_next(q))
        if (str_is(json_string(json_get(q, "type")), "Degraded") && str_is(json_string(json_get(q, "status")), "True"))
            warn_about(c, RUNTIMES, &kube_runtimes, key, json_string(json_get(q, "reason")).p, json_string(json_get(q, "message")));
}

static int plan_runtime(struct controller *c, struct str key, struct plan *p, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    struct str name = key, ns = str_cut(&name, '/');
    struct str object = runtime_object_name(name, &a), owned = arena_fmt(&a, "%.*s/%.*s", SFMT(ns), SFMT(object));
    if (!known_get(c, RUNTIMES, key))
        return 0;
    struct written *w = known_written(c, key);
    struct runtime_view v = { .runtime = known_text(c, RUNTIMES, key), .deployment = known_text(c, DEPLOYMENTS, owned),
                              .service_account = known_text(c, ACCOUNTS, owned), .role = known_text(c, ROLES, owned), .role_binding = known_text(c, BINDINGS, owned),
                              .network_policy = known_text(c, POLICIES, owned), .status_written_us = w->at_us, .refused = str_of(w->refused) };
    runtime_trouble_of_deployment(&v.trouble, v.deployment, &a);
    sum_pods(c, key, &v, &a);
    sum_runs(c, key, &v, &a);
    if (runtime_plan(&v, &(struct runtime_config){ c->o->image.p }, loop_wall_us(c->c->loop), p, e) < 0)
        return -1;
    for (size_t i = 0; i < p->n; i++)
        if (p->ops[i].resource == &kube_runtimes && p->ops[i].sub) {
            w->at_us = loop_wall_us(c->c->loop);
            tell_trouble(c, key, p->ops[i].body);
        }
    return 0;
}

static int plan_run(struct controller *c, struct str key, struct plan *p, struct kr_err *e)
{
    struct indexed *run = known_get(c, RUNS, key);
    if (!run || !known_is_active(c, run) || !known_may_judge(c))
        return 0;
    struct str pod = indexer_filed(c->stores[RUNS].objects, run, BY_POD);
    struct reaper_view v = { .run = run->json, .pod = known_text(c, PODS, pod), .node_lost_after_us = c->o->node_lost_us };
    struct indexed *on = known_get(c, PODS, pod), *node = on ? known_get(c, NODES, indexer_filed(c->stores[PODS].objects, on, BY_NODE)) : NULL;
    if (node)
        v.node_unknown_since_us = known_note(c, NODES, node)->unknown_since_us;
    int rc = reaper_plan(&v, loop_wall_us(c->c->loop), p, e);
    if (rc == 0 && p->n) {
        metric_add(METRIC_REAPED_RUNS, 0, 1);
        warn_about(c, RUNS, &kube_runs, key, "PodLost", str_of(p->ops[0].why));
    }
    return rc;
}

static int plan_ttl(struct controller *c, struct str key, struct plan *p, struct kr_err *e)
{
    struct indexed *x = known_get(c, RUNS, key);
    struct note *k = x ? known_note(c, RUNS, x) : NULL;
    struct str name = key, ns = str_cut(&name, '/');
    (void)e;
    if (!k || !k->due_us)
        return 0;
    if (k->due_us > loop_wall_us(c->c->loop)) {
        p->look_again_us = k->due_us;
        return 0;
    }
    struct plan_op *op = plan_add(p, PLAN_DELETE, &kube_runs, ns, name);
    op->uid = arena_str(&p->arena, str_of(k->uid));
    op->missing_is_fine = op->stale_is_fine = true;
    op->why = "its ttlSecondsAfterFinished is over";
    return 0;
}

/* Some at a time: what is still too much then is found when these have gone. */
static int plan_history(struct controller *c, struct str key, struct plan *p, struct kr_err *e)
{
    (void)e;
    const struct indexer *runs = c->stores[RUNS].objects;
    struct gc_ended oldest[HISTORY_RUNS];
    struct str phase = key, ns = str_cut(&phase, '/');
    size_t count = 0, n = 0;
    uint64_t keep;
    p->arena.limit = LIMIT_PLAN_BYTES;
    if (!gc_limit_of(&c->o->limits, phase, &keep))
        return 0;
    for (struct indexed *x = indexer_find(runs, BY_HISTORY, key); x; x = indexer_same(runs, x, BY_HISTORY), count++)
        gc_oldest(oldest, &n, LEN(oldest), (struct gc_ended){ known_note(c, RUNS, x)->ended_us, x });
    for (size_t i = 0; i < n && count > keep; i++, count--) {
        struct indexed *x = oldest[i].run;
        struct str name = x->key;
        str_cut(&name, '/');
        struct plan_op *op = plan_add(p, PLAN_DELETE, &kube_runs, ns, arena_str(&p->arena, name));
        op->uid = arena_str(&p->arena, str_of(known_note(c, RUNS, x)->uid));
        op->missing_is_fine = op->stale_is_fine = op->beside = true;
        op->why = "there are more finished Runs than are to be kept";
    }
    if (count > keep)
        p->look_again_us = loop_wall_us(c->c->loop) + HISTORY_US;
    return 0;
}

static void tell_left(void *ctx, const struct run *r, struct str message)
{
    struct controller *c = ctx;
    struct event_about about = { &kube_runs, r->metadata.namespace, r->metadata.name, r->metadata.uid };
    event_emit(c->c->kube, &about, "Warning", "ArtifactsLeft", message, "kruntimes-controller");
    log_warn(&log_std, "a Run is let go with its artifacts", LOG_STR("namespace", r->metadata.namespace), LOG_STR("run", r->metadata.name),
             LOG_STR("message", message));         /* a namespace that is being deleted takes no Event */
}

struct waiting { const struct indexer *runs; struct indexed *next; };

static struct str next_waiting(void *ctx)
{
    struct waiting *w = ctx;
    struct indexed *x = w->next;
    if (x)
        w->next = indexer_same(w->runs, x, BY_CLEAN);
    return x ? x->json : (struct str){ 0 };
}

static int plan_cleaning(struct controller *c, struct str key, struct plan *p, struct kr_err *e)
{
    const struct indexer *runs = c->stores[RUNS].objects;
    struct waiting w = { runs, indexer_find(runs, BY_CLEAN, key) };
    struct indexed *job = indexer_find(c->stores[JOBS].objects, BY_CLEAN, key);
    struct str group = key, ns = str_cut(&group, '/');
    if (!w.next)
        free(map_del(&c->no_jobs, key));          /* a namespace of that name may be made again */
    struct cleanup_view v = { .ns = ns, .group = group, .job = job ? job->json : (struct str){ 0 }, .next = next_waiting, .runs = &w,
                              .refused = map_get(&c->no_jobs, key) != NULL, .tell = tell_left, .ctx = c };
    return cleanup_plan(&v, &(struct runtime_config){ c->o->image.p }, p, e);
}

static void note_no_jobs(struct controller *c, struct str key, const struct kr_err *error)
{
    if (error->code != KR_FORBIDDEN || str_find(str_of(error->msg), S("being terminated")) < 0 || map_get(&c->no_jobs, key))
        return;
    char *copy = xstrndup(key.p, key.n);
    map_put(&c->no_jobs, str_of(copy), copy);
}

struct flow_ctx { struct controller *c; struct str ns; };
static struct str run_named(void *ctx, struct str name)
{
    struct flow_ctx *f = ctx;
    char key[KEY_MAX];
    int n = snprintf(key, sizeof key, "%.*s/%.*s", SFMT(f->ns), SFMT(name));
    struct indexed *x = n > 0 && (size_t)n < sizeof key ? known_get(f->c, RUNS, (struct str){ key, (size_t)n }) : NULL;
    return !x ? (struct str){ 0 } : x->json.p ? x->json : S("{}");     /* over, and no Workflow's: somebody else's */
}

static bool child_goes_on(void *ctx, struct str name)
{
    struct flow_ctx *f = ctx;
    char key[KEY_MAX];
    int n = snprintf(key, sizeof key, "%.*s/%.*s", SFMT(f->ns), SFMT(name));
    struct indexed *x = n > 0 && (size_t)n < sizeof key ? known_get(f->c, RUNS, (struct str){ key, (size_t)n }) : NULL;
    return x && known_note(f->c, RUNS, x)->child == CHILD_GOES_ON;
}

static void drop_children(struct controller *c, struct str key)
{
    struct indexer *runs = c->stores[RUNS].objects;
    for (struct indexed *x = indexer_find(runs, BY_OWNER, key), *next; x; x = next) {
        next = indexer_same(runs, x, BY_OWNER);
        if (known_note(c, RUNS, x)->uid[0])          /* it is over too */
            indexer_set(runs, x->key, (struct str){ 0 });
    }
}

static int plan_workflow(struct controller *c, struct str key, struct plan *p, struct kr_err *e)
{
    static const char *const uid_path[] = { "metadata", "uid" }, *const phase_path[] = { "status", "phase" };
    AUTO_ARENA struct arena a = { .limit = 4096 };
    struct indexed *x = known_get(c, WORKFLOWS, key);
    if (!x)
        return 0;
    struct flow_note *n = indexer_record(c->stores[WORKFLOWS].objects, x);
    struct str uid = json_str_of(json_find_path(x->json, uid_path, 2), &a), phase = json_str_of(json_find_path(x->json, phase_path, 2), &a), name = key;
    struct flow_ctx f = { c, str_cut(&name, '/') };
    bool over = run_phase_is_terminal(phase);
    if (over || !str_is(uid, n->uid))
        known_forget_flow(c, x);
    if (over)
        drop_children(c, key);
    if (!n->memory) {
        n->memory = xcalloc(1, sizeof *n->memory);
        snprintf(n->uid, sizeof n->uid, "%.*s", SFMT(uid));
    }
    int rc = workflow_plan(&(struct flow_view){ .workflow = x->json, .run = run_named, .goes_on = child_goes_on, .ctx = &f }, n->memory, loop_wall_us(c->c->loop), p, e);
    if (over)
        known_forget_flow(c, x);
    return rc;
}

/* ---- how it ended ------------------------------------------------------------------------------------------------ */

/* Nothing of the plan counts as done: what it created shows by itself. A refusal is tried again too, and told: it may need a person. */
static void workflow_failed(struct controller *c, struct str key, const struct kr_err *error)
{
    struct indexed *x = known_get(c, WORKFLOWS, key);
    struct flow_note *n = x ? indexer_record(c->stores[WORKFLOWS].objects, x) : NULL;
    if (n && n->memory)
        flow_memory_failed(n->memory);
    if (x && plan_is_refusal(error))
        warn_about(c, WORKFLOWS, &kube_workflows, key, "Refused", str_of(error->msg));
}

/* What the API server refused is told by the Runtime's condition: kept for the next look, which comes by itself after a
 * failure and at once when it goes well again. */
static void note_refusal(struct controller *c, struct str key, const struct kr_err *error)
{
    struct written *k = known_text(c, RUNTIMES, key).p ? known_written(c, key) : NULL;
    if (!k || (error && kr_codes[error->code].retry))
        return;                                   /* nothing of ours is wrong: it goes well later */
    bool first = error && !k->refused[0], mended = !error && k->refused[0];
    snprintf(k->refused, sizeof k->refused, "%s", error ? error->msg : "");
    if (first || mended)
        queue_runtime(c, key);
}

void look_ended(struct controller *c, struct str what, struct str key, const struct kr_err *error)
{
    if (str_is(what, "runtime"))
        note_refusal(c, key, error);
    else if (error && str_is(what, "clean"))
        note_no_jobs(c, key, error);
    else if (error && str_is(what, "workflow"))
        workflow_failed(c, key, error);
}

int look_at(struct controller *c, struct str what, struct str key, struct plan *p, struct kr_err *e)
{
    static const struct { const char *what; int (*plan)(struct controller *, struct str key, struct plan *, struct kr_err *); } kinds[] = {
        { "runtime", plan_runtime }, { "run", plan_run }, { "ttl", plan_ttl }, { "history", plan_history }, { "clean", plan_cleaning } };
    for (size_t i = 0; i < LEN(kinds); i++)
        if (str_is(what, kinds[i].what))
            return kinds[i].plan(c, key, p, e);
    return plan_workflow(c, key, p, e);
}
