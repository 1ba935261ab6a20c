/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller: watches, keeps texts by key, queues keys, and carries out the plan of each. Keys of the one queue say what
 * they are: "runtime/NS/NAME", "run/NS/NAME" (its pod), "ttl/NS/NAME", "history/NS/PHASE", "clean/NS/GROUP", "workflow/NS/NAME".
 */
#include "applets/controller/controller.h"
#include "applets/controller/workflow.h"
#include "core/applet.h"
#include "core/log.h"
#include "core/map.h"
#include "core/version.h"
#include "k8s/component.h"
#include "k8s/event.h"
#include "k8s/indexer.h"
#include "k8s/informer.h"
#include "k8s/workqueue.h"
#include <stdio.h>

enum { KEY_MAX = 400, SUMS_US = 1000000, HISTORY_US = 1000000, CLEAN_RUNS = 200 };
#define OURS "app.kubernetes.io/managed-by=kruntimes"

static struct { struct str image; int64_t node_lost_us; struct opt_list keep; struct gc_limits limits; } o = { .image = S("kruntimes"), .node_lost_us = INT64_C(300000000) };
static const struct opt opts[] = {
    { "image", 0, OPT_STR, &o.image, "IMAGE", "image of runtimed and of the injected Runtime Server", .env = "KRUNTIMES_IMAGE" },
    { "node-lost-after", 0, OPT_DURATION, &o.node_lost_us, "TIME", "a node that is Ready=Unknown for longer has lost its pods", .lo = 1000000,
      .hi = INT64_C(86400000000) },
    { "keep", 0, OPT_LIST, &o.keep, "PHASE=N", "finished Runs of a phase (Succeeded, Failed, Timeout, Cancelled) to keep in each namespace, the newest; of others all (repeatable)" },
    { 0 } };

/* What is kept beside an object's text. Of a Run that is over this is all. child: what its Workflow was last queued for. */
enum kin { NO_CHILD, CHILD_GOES_ON, CHILD_IS_OVER };
struct note { int64_t unknown_since_us, due_us, ended_us; enum kin child; char uid[40]; };
enum store_id { RUNTIMES, DEPLOYMENTS, ACCOUNTS, ROLES, BINDINGS, POLICIES, PODS, NODES, RUNS, WORKFLOWS, JOBS, STORES };
/* Of a Workflow: what was seen of it. A child of one that isn't over keeps a short text when it is over itself. */
struct flow_note { struct flow_memory *memory; char uid[40]; };
/* Objects are filed under "NS/RUNTIME"; of Runs only those that have a pod and aren't over, under "NS/POD" too;
 * children of Workflows under "NS/WORKFLOW"; where finished Runs are counted (--keep), those under "NS/PHASE". */
enum { BY_RUNTIME, BY_POD, BY_CLEAN, BY_OWNER, BY_HISTORY, INDEXES };
struct controller;
struct store { struct controller *c; enum store_id id; struct indexer *objects; struct informer *informer; };
struct controller {
    struct component *c;
    struct store stores[STORES];
    struct workqueue *queue;
    struct map no_jobs;                           /* "NS/GROUP" whose Job the API refused, as their namespace is being deleted → the key */
    struct map written;                           /* "NS/NAME" of a Runtime → struct written */
    int64_t trouble_us;                           /* monotonic: when a watch was last interrupted */
};
struct written { char *key; int64_t at_us; char refused[600]; };      /* refused: what the API server said to its last plan */
struct work { struct controller *c; char key[KEY_MAX]; };

/* ---- stores ------------------------------------------------------------------------------------------------------ */

static struct indexed *get(struct controller *c, enum store_id id, struct str key) { return indexer_get(c->stores[id].objects, key); }

static struct str text_of(struct controller *c, enum store_id id, struct str key)
{
    struct indexed *x = get(c, id, key);
    return x ? x->json : (struct str){ 0 };
}

static struct note *note_of(struct controller *c, enum store_id id, struct indexed *x) { return indexer_record(c->stores[id].objects, x); }

static void queue_add(struct controller *c, const char *what, struct str key)
{
    char text[KEY_MAX];
    int n = snprintf(text, sizeof text, "%s/%.*s", what, SFMT(key));
    if (n > 0 && (size_t)n < sizeof text)
        workqueue_add(c->queue, (struct str){ text, (size_t)n });
}

static void queue_runtime(struct controller *c, struct str key)
{
    if (key.n)
        queue_add(c, "runtime", key);
}

/* Sums are written at most every 10 s: a Run's change needs no look at once. */
static void queue_sums(struct controller *c, struct str runtime)
{
    char key[KEY_MAX];
    int n = snprintf(key, sizeof key, "runtime/%.*s", SFMT(runtime));
    if (runtime.n && n > 0 && (size_t)n < sizeof key)
        workqueue_add_at(c->queue, (struct str){ key, (size_t)n }, loop_now_us(c->c->loop) + SUMS_US);
}

static bool is_active(struct controller *c, struct indexed *run) { return indexer_filed(c->stores[RUNS].objects, run, BY_POD).n > 0; }

static void queue_runs_of(struct controller *c, struct str pod)
{
    const struct indexer *runs = c->stores[RUNS].objects;
    for (struct indexed *x = indexer_find(runs, BY_POD, pod); x; x = indexer_same(runs, x, BY_POD))
        queue_add(c, "run", x->key);
}

static void queue_all_active(struct controller *c)
{
    struct indexed *x;
    for (size_t i = 0; (x = indexer_next(c->stores[RUNS].objects, &i));)
        if (is_active(c, x))
            queue_add(c, "run", x->key);
}

static void queue_cleaning(struct controller *c, struct str group)
{
    if (group.n)
        queue_add(c, "clean", group);
}

/* x has changed, or is about to go. active_of: the Runtime of which it held a slot before, or empty. */
static void touched(struct store *s, struct indexed *x, struct str active_of)
{
    struct controller *c = s->c;
    struct str runtime = indexer_filed(s->objects, x, BY_RUNTIME);
    switch (s->id) {
    case RUNTIMES:
        queue_add(c, "runtime", x->key);
        break;
    case WORKFLOWS:
        queue_add(c, "workflow", x->key);
        break;
    case PODS:
        queue_runtime(c, runtime);
        queue_runs_of(c, x->key);
        break;
    case NODES:
        queue_all_active(c);
        break;
    case JOBS:
        queue_cleaning(c, indexer_filed(s->objects, x, BY_CLEAN));
        break;
    case RUNS:
        if (is_active(c, x))
            queue_add(c, "run", x->key);
        else if (note_of(c, RUNS, x)->due_us)
            queue_add(c, "ttl", x->key);
        queue_cleaning(c, indexer_filed(s->objects, x, BY_CLEAN));
        if (runtime.n != active_of.n)
            queue_sums(c, runtime.n ? runtime : active_of);
        break;
    default:
        queue_runtime(c, runtime);
        break;
    }
}

/* Under "NS/NAME", where a name is given. */
static void file_under(struct store *s, struct indexed *x, size_t index, struct str name, struct arena *a)
{
    struct str rest = x->key, ns = str_cut(&rest, '/');
    indexer_file(s->objects, x, index, name.n ? arena_join(a, (struct str[]){ ns, S("/"), name }, 3) : S(""));
}

static void queue_flow_of(struct store *s, struct indexed *run)
{
    struct str flow = indexer_filed(s->objects, run, BY_OWNER);
    if (flow.n)
        queue_add(s->c, "workflow", flow);
}

/* What a Workflow does next depends on which children there are and which are over: what else happens to one needs no look. */
static void note_child(struct store *s, struct indexed *x, struct str flow, bool over, struct arena *a)
{
    struct note *note = note_of(s->c, RUNS, x);
    enum kin now = !flow.n ? NO_CHILD : over ? CHILD_IS_OVER : CHILD_GOES_ON;
    if (now == note->child)
        return;
    queue_flow_of(s, x);                          /* of the Run that had the name before */
    file_under(s, x, BY_OWNER, flow, a);
    queue_flow_of(s, x);
    note->child = now;
}

/* What ends within a second is looked at together. */
static void note_history(struct store *s, struct indexed *x, struct str phase, struct arena *a)
{
    char key[KEY_MAX];
    uint64_t keep;
    if (!o.limits.n)
        return;
    file_under(s, x, BY_HISTORY, note_of(s->c, RUNS, x)->ended_us && gc_limit_of(&o.limits, phase, &keep) ? phase : S(""), a);
    struct str filed = indexer_filed(s->objects, x, BY_HISTORY);
    int n = snprintf(key, sizeof key, "history/%.*s", SFMT(filed));
    if (filed.n && n > 0 && (size_t)n < sizeof key)
        workqueue_add_at(s->c->queue, (struct str){ key, (size_t)n }, loop_now_us(s->c->c->loop) + HISTORY_US);
}

static void note_run(struct store *s, struct indexed *x, struct str json, struct arena *a)
{
    static const char *const parts[] = { "metadata", "spec", "status" }, *const states[] = { "phase", "assignedPod" };
    struct str part[LEN(parts)], state[LEN(states)];
    json_pick(json, parts, part, LEN(parts));
    json_pick(part[2], states, state, LEN(states));
    struct str p = json_str_of(state[0], a);
    bool active = str_is(p, "Scheduled") || str_is(p, "Running");
    file_under(s, x, BY_RUNTIME, active ? json_str_of(json_find(part[1], "runtime"), a) : S(""), a);
    file_under(s, x, BY_POD, active ? json_str_of(state[1], a) : S(""), a);
    file_under(s, x, BY_CLEAN, active ? S("") : cleanup_group(part[0], part[2], a), a);
    struct kr_err e = { 0 };
    bool terminal = run_phase_is_terminal(p);
    struct run *r = terminal || json_find(part[0], "ownerReferences").p ? model_decode(run, json, a, &e) : NULL;
    struct str flow = r ? workflow_of(&r->metadata, true) : S("");
    note_child(s, x, flow, terminal, a);
    struct note *note = note_of(s->c, RUNS, x);
    note->ended_us = terminal && r ? gc_ended_us(r) : 0;
    note_history(s, x, p, a);
    if (!terminal || indexer_filed(s->objects, x, BY_CLEAN).n)
        return;                                   /* of what is over only a record stays: when it goes, and who it is */
    note->due_us = r ? gc_due_us(r) : 0;
    if (r)
        snprintf(note->uid, sizeof note->uid, "%.*s", SFMT(r->metadata.uid));
    AUTO_BUF struct buf text = { .max = LIMIT_OBJECT_BYTES };
    if (flow.n)
        workflow_child_text(r, &text);
    indexer_set(s->objects, x->key, flow.n ? buf_view(&text) : (struct str){ 0 });
}

/* The Workflow is over, or gone, or another one of its name is there. */
static void forget_flow(struct controller *c, struct indexed *x)
{
    struct flow_note *n = indexer_record(c->stores[WORKFLOWS].objects, x);
    if (n->memory)
        flow_memory_free(n->memory);
    free(n->memory);
    *n = (struct flow_note){ 0 };
}

/* Since when the node is Ready=Unknown. */
static void note_node(struct note *k, struct str json, struct arena *a)
{
    struct kr_err e = { 0 };
    struct k8s_node *n = model_decode(k8s_node, json, a, &e);
    k->unknown_since_us = 0;
    for (size_t i = 0; n && i < n->status.conditions.n; i++) {
        const struct pod_condition *q = &n->status.conditions.v[i];
        if (str_is(q->type, "Ready") && str_is(q->status, "Unknown") && !time_parse(q->last_transition_time, &k->unknown_since_us))
            k->unknown_since_us = 0;
    }
}

static void set(void *ctx, struct str key, struct str json)
{
    struct store *s = ctx;
    AUTO_ARENA struct arena a = { .limit = 16 << 20, .first = 4096 };
    static const char *const labels[] = { "metadata", "labels" };
    struct indexed *x = indexer_get(s->objects, key);
    struct str active_of = x && s->id == RUNS ? arena_str(&a, indexer_filed(s->objects, x, BY_RUNTIME)) : S("");
    x = indexer_set(s->objects, key, json);
    if (s->id == RUNS)
        note_run(s, x, json, &a);
    else if (s->id == NODES)
        note_node(note_of(s->c, NODES, x), json, &a);
    else if (s->id == JOBS)
        file_under(s, x, BY_CLEAN, json_str_of(json_find(json_find_path(json, labels, 2), "kruntimes.io/clean"), &a), &a);
    else
        file_under(s, x, BY_RUNTIME, json_str_of(json_find(json_find_path(json, labels, 2), "kruntimes.io/runtime"), &a), &a);
    touched(s, x, active_of);
}

static void gone(void *ctx, struct str key, struct str json)
{
    struct store *s = ctx;
    struct indexed *x = indexer_get(s->objects, key);
    (void)json;
    if (!x)
        return;
    touched(s, x, S(""));
    if (s->id == RUNS)
        queue_flow_of(s, x);
    if (s->id == WORKFLOWS)
        forget_flow(s->c, x);
    indexer_remove(s->objects, x);
}

/* After an outage nobody is judged before pods and nodes were listed anew; Runs may be old, what is written tests what it judged. */
static bool may_judge(const struct controller *c)
{
    static const enum store_id ids[] = { PODS, NODES, RUNS };
    for (size_t i = 0; i < LEN(ids); i++)
        if (!informer_is_live(c->stores[ids[i]].informer) || (ids[i] != RUNS && informer_listed_at(c->stores[ids[i]].informer) < c->trouble_us))
            return false;
    return true;
}

/* Pods, nodes and Runs are there to be judged by: what was asked for before came too early. */
static void live(void *ctx)
{
    struct store *s = ctx;
    if (may_judge(s->c))
        queue_all_active(s->c);
}

static void trouble(void *ctx, const struct kr_err *e)
{
    struct store *s = ctx;
    if (s->id == RUNS || s->id == PODS || s->id == NODES) {
        s->c->trouble_us = loop_now_us(s->c->c->loop);
        informer_relist(s->c->stores[PODS].informer);         /* it may hang on the same dead connection without knowing yet */
        informer_relist(s->c->stores[NODES].informer);
    }
    log_warn(&log_std, "the API can't be watched now", LOG_ERR(e));
}

/* ---- work -------------------------------------------------------------------------------------------------------- */

static bool is_ready(void *ctx, struct buf *why)
{
    struct controller *c = ctx;
    bool ready = true;
    for (int i = 0; i < STORES; i++)
        ready &= informer_ready(c->stores[i].informer, why);
    return ready;
}

static bool is_synced(const struct controller *c)
{
    for (int i = 0; i < STORES; i++)
        if (!informer_is_synced(c->stores[i].informer))
            return false;
    return true;
}

static void add_count(struct count_map *m, struct str key, int64_t n, struct arena *a)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(m->v[i].key, key)) {
            m->v[i].value += n;
            return;
        }
    if (m->n == 32)
        return;
    if (!m->v)
        m->v = arena_alloc(a, 32 * sizeof *m->v);
    m->v[m->n++] = (struct count_pair){ arena_str(a, key), n };
}

static void sum_pods(struct controller *c, struct str runtime, struct runtime_view *v, struct arena *a)
{
    const struct indexer *pods = c->stores[PODS].objects;
    struct kr_err e = { 0 };
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
        if (!ready && !p->metadata.deletion_timestamp.n)
            runtime_trouble_of_pod(&v->trouble, x->json, a);
        if (!ready || p->metadata.deletion_timestamp.n)
            continue;
        v->ready_pods++;
        for (size_t q = 0; q < p->metadata.annotations.n; q++) {
            int64_t n;
            struct str_pair note = p->metadata.annotations.v[q];
            if (str_starts(note.key, S("kruntimes.io/capacity.")) && str_i64(note.value, &n))
                add_count(&v->capacity, str_from(note.key, sizeof "kruntimes.io/capacity." - 1), n, a);
        }
    }
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

static struct written *written_of(struct controller *c, struct str runtime)
{
    struct written *w = map_get(&c->written, runtime);
    if (!w) {
        w = xcalloc(1, sizeof *w);
        w->key = xstrndup(runtime.p, runtime.n);
        map_put(&c->written, str_of(w->key), w);
    }
    return w;
}

static void emit_about_runtime(struct controller *c, struct str key, const char *reason, struct str message, struct arena *a)
{
    static const char *const uid[] = { "metadata", "uid" };
    struct str name = key, ns = str_cut(&name, '/');
    struct event_about about = { &kube_runtimes, ns, name, json_str_of(json_find_path(text_of(c, RUNTIMES, key), uid, 2), a) };
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
            emit_about_runtime(c, key, json_string(json_get(q, "reason")).p, json_string(json_get(q, "message")), &a);
}

static int plan_runtime(struct controller *c, struct str key, struct plan *p, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    struct str name = key, ns = str_cut(&name, '/');
    struct str object = runtime_object_name(name, &a), owned = arena_fmt(&a, "%.*s/%.*s", SFMT(ns), SFMT(object));
    struct written *w = written_of(c, key);
    struct runtime_view v = { .runtime = text_of(c, RUNTIMES, key), .deployment = text_of(c, DEPLOYMENTS, owned),
                              .service_account = text_of(c, ACCOUNTS, owned), .role = text_of(c, ROLES, owned), .role_binding = text_of(c, BINDINGS, owned),
                              .network_policy = text_of(c, POLICIES, owned), .status_written_us = w->at_us, .refused = str_of(w->refused) };
    if (!v.runtime.p)
        return 0;
    runtime_trouble_of_deployment(&v.trouble, v.deployment, &a);
    sum_pods(c, key, &v, &a);
    sum_runs(c, key, &v, &a);
    if (runtime_plan(&v, &(struct runtime_config){ o.image.p }, loop_wall_us(c->c->loop), p, e) < 0)
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
    static const char *const node_path[] = { "spec", "nodeName" };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct indexed *run = get(c, RUNS, key);
    struct str name = key, ns = str_cut(&name, '/');
    if (!run || !is_active(c, run) || !may_judge(c))
        return 0;
    struct str pod = indexer_filed(c->stores[RUNS].objects, run, BY_POD);
    struct reaper_view v = { .run = run->json, .pod = text_of(c, PODS, pod), .node_lost_after_us = o.node_lost_us };
    struct indexed *node = v.pod.p ? get(c, NODES, json_str_of(json_find_path(v.pod, node_path, 2), &a)) : NULL;
    if (node)
        v.node_unknown_since_us = note_of(c, NODES, node)->unknown_since_us;
    int rc = reaper_plan(&v, loop_wall_us(c->c->loop), p, e);
    if (rc == 0 && p->n) {
        static const char *const uid[] = { "metadata", "uid" };
        struct event_about about = { &kube_runs, ns, name, json_str_of(json_find_path(v.run, uid, 2), &a) };
        metric_add(METRIC_REAPED_RUNS, 0, 1);
        event_emit(c->c->kube, &about, "Warning", "PodLost", str_of(p->ops[0].why), "kruntimes-controller");
    }
    return rc;
}

static int plan_ttl(struct controller *c, struct str key, struct plan *p, struct kr_err *e)
{
    struct indexed *x = get(c, RUNS, key);
    struct note *k = x ? note_of(c, RUNS, x) : NULL;
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
static int plan_history(struct controller *c, struct str key, struct plan *p)
{
    const struct indexer *runs = c->stores[RUNS].objects;
    struct gc_ended oldest[CLEAN_RUNS];
    struct str phase = key, ns = str_cut(&phase, '/');
    size_t count = 0, n = 0;
    uint64_t keep;
    p->arena.limit = LIMIT_PLAN_BYTES;
    if (!gc_limit_of(&o.limits, phase, &keep))
        return 0;
    for (struct indexed *x = indexer_find(runs, BY_HISTORY, key); x; x = indexer_same(runs, x, BY_HISTORY), count++)
        gc_oldest(oldest, &n, LEN(oldest), (struct gc_ended){ note_of(c, RUNS, x)->ended_us, x });
    for (size_t i = 0; i < n && count > keep; i++, count--) {
        struct indexed *x = oldest[i].run;
        struct str name = x->key;
        str_cut(&name, '/');
        struct plan_op *op = plan_add(p, PLAN_DELETE, &kube_runs, ns, arena_str(&p->arena, name));
        op->uid = arena_str(&p->arena, str_of(note_of(c, RUNS, x)->uid));
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

static int plan_cleaning(struct controller *c, struct str key, struct plan *p, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    const struct indexer *runs = c->stores[RUNS].objects;
    struct indexed *job = indexer_find(c->stores[JOBS].objects, BY_CLEAN, key);
    struct str group = key, ns = str_cut(&group, '/'), *list = arena_alloc(&a, CLEAN_RUNS * sizeof *list);
    size_t n = 0;
    for (struct indexed *x = indexer_find(runs, BY_CLEAN, key); list && x && n < CLEAN_RUNS; x = indexer_same(runs, x, BY_CLEAN))
        list[n++] = x->json;
    struct cleanup_view v = { .ns = ns, .group = group, .job = job ? job->json : (struct str){ 0 }, .runs = list, .n = n,
                              .refused = map_get(&c->no_jobs, key) != NULL, .tell = tell_left, .ctx = c };
    return cleanup_plan(&v, &(struct runtime_config){ o.image.p }, p, e);
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
    struct indexed *x = n > 0 && (size_t)n < sizeof key ? get(f->c, RUNS, (struct str){ key, (size_t)n }) : NULL;
    return !x ? (struct str){ 0 } : x->json.p ? x->json : S("{}");     /* over, and no Workflow's: somebody else's */
}

static bool child_goes_on(void *ctx, struct str name)
{
    struct flow_ctx *f = ctx;
    char key[KEY_MAX];
    int n = snprintf(key, sizeof key, "%.*s/%.*s", SFMT(f->ns), SFMT(name));
    struct indexed *x = n > 0 && (size_t)n < sizeof key ? get(f->c, RUNS, (struct str){ key, (size_t)n }) : NULL;
    return x && note_of(f->c, RUNS, x)->child == CHILD_GOES_ON;
}

static void drop_children(struct controller *c, struct str key)
{
    struct indexer *runs = c->stores[RUNS].objects;
    for (struct indexed *x = indexer_find(runs, BY_OWNER, key), *next; x; x = next) {
        next = indexer_same(runs, x, BY_OWNER);
        if (note_of(c, RUNS, x)->uid[0])          /* it is over too */
            indexer_set(runs, x->key, (struct str){ 0 });
    }
}

static int plan_workflow(struct controller *c, struct str key, struct plan *p, struct kr_err *e)
{
    static const char *const uid_path[] = { "metadata", "uid" }, *const phase_path[] = { "status", "phase" };
    AUTO_ARENA struct arena a = { .limit = 4096 };
    struct indexed *x = get(c, WORKFLOWS, key);
    if (!x)
        return 0;
    struct flow_note *n = indexer_record(c->stores[WORKFLOWS].objects, x);
    struct str uid = json_str_of(json_find_path(x->json, uid_path, 2), &a), phase = json_str_of(json_find_path(x->json, phase_path, 2), &a), name = key;
    struct flow_ctx f = { c, str_cut(&name, '/') };
    bool over = run_phase_is_terminal(phase);
    if (over || !str_is(uid, n->uid))
        forget_flow(c, x);
    if (over)
        drop_children(c, key);
    if (!n->memory) {
        n->memory = xcalloc(1, sizeof *n->memory);
        snprintf(n->uid, sizeof n->uid, "%.*s", SFMT(uid));
    }
    int rc = workflow_plan(&(struct flow_view){ .workflow = x->json, .run = run_named, .goes_on = child_goes_on, .ctx = &f }, n->memory, loop_wall_us(c->c->loop), p, e);
    if (over)
        forget_flow(c, x);
    return rc;
}

/* Nothing of the plan counts as done: what it created shows by itself. */
static void workflow_failed(struct controller *c, struct str key)
{
    struct indexed *x = str_starts(key, S("workflow/")) ? get(c, WORKFLOWS, str_from(key, sizeof "workflow/" - 1)) : NULL;
    struct flow_note *n = x ? indexer_record(c->stores[WORKFLOWS].objects, x) : NULL;
    if (n && n->memory)
        flow_memory_failed(n->memory);
}

/* What the API server refused is told by the Runtime's condition: kept for the next look, which comes by itself after a
 * failure and at once when it goes well again. */
static void note_refusal(struct work *w, const struct kr_err *error)
{
    struct str key = str_of(w->key), what = str_cut(&key, '/');
    if (error && str_is(what, "clean"))
        note_no_jobs(w->c, key, error);
    struct written *k = str_is(what, "runtime") && text_of(w->c, RUNTIMES, key).p ? written_of(w->c, key) : NULL;
    if (!k || (error && (error->code == KR_UNAVAILABLE || error->code == KR_CONFLICT)))
        return;
    bool first = error && !k->refused[0], mended = !error && k->refused[0];
    snprintf(k->refused, sizeof k->refused, "%s", error ? error->msg : "");
    if (first || mended)
        queue_runtime(w->c, key);
}

static void done(void *ctx, const struct kr_err *error)
{
    struct work *w = ctx;
    metric_add(METRIC_CONTROLLER_PLANS, error != NULL, 1);
    note_refusal(w, error);
    if (error)
        workflow_failed(w->c, str_of(w->key));
    if (error)
        log_warn(&log_std, "a plan could not be carried out", LOG_Z("key", w->key), LOG_ERR(error));
    workqueue_done(w->c->queue, str_of(w->key), error != NULL);
    free(w);
}

static void carry_out(struct controller *c, struct str key, struct plan *p)
{
    struct loop *loop = c->c->loop;
    if (log_on(&log_std, LOG_DEBUG)) {
        AUTO_BUF struct buf text = { .max = 65536 };
        plan_print(p, &text);
        log_debug(&log_std, "planned", LOG_STR("key", key), LOG_STR("plan", buf_view(&text)));
    }
    if (p->look_again_us) {
        int64_t in = p->look_again_us - loop_wall_us(loop);
        workqueue_add_at(c->queue, key, loop_now_us(loop) + (in > 0 ? in : 0));
    }
    if (!p->n) {
        plan_free(p);
        workqueue_done(c->queue, key, false);
        return;
    }
    struct work *w = xcalloc(1, sizeof *w);
    w->c = c;
    snprintf(w->key, sizeof w->key, "%.*s", SFMT(key));
    plan_execute(c->c->kube, p, done, w);
}

static void work(void *ctx, struct str key)
{
    struct controller *c = ctx;
    struct plan p = { 0 };
    struct kr_err e = { 0 };
    struct str rest = key, what = str_cut(&rest, '/');
    int rc = 0;
    if (!is_synced(c)) {
        workqueue_done(c->queue, key, true);      /* comes back: the first lists take a moment */
        return;
    }
    if (str_is(what, "runtime"))
        rc = plan_runtime(c, rest, &p, &e);
    else if (str_is(what, "run"))
        rc = plan_run(c, rest, &p, &e);
    else if (str_is(what, "ttl"))
        rc = plan_ttl(c, rest, &p, &e);
    else if (str_is(what, "history"))
        rc = plan_history(c, rest, &p);
    else if (str_is(what, "clean"))
        rc = plan_cleaning(c, rest, &p, &e);
    else
        rc = plan_workflow(c, rest, &p, &e);
    if (rc < 0) {
        log_warn(&log_std, "no plan", LOG_STR("key", key), LOG_ERR(&e));
        plan_free(&p);
        workqueue_done(c->queue, key, true);
        return;
    }
    carry_out(c, key, &p);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void watch(struct controller *c, enum store_id id, const struct kube_resource *r, const char *labels)
{
    struct store *s = &c->stores[id];
    struct informer_config ic = { .resource = r, .ns = r->namespaced ? c->c->ns : S(""), .labels = str_of(labels),
                                  .relist_after_trouble = id == PODS || id == NODES || id == RUNS, .user = { set, gone, NULL, trouble, s, live } };
    s->c = c;
    s->id = id;
    s->objects = indexer_new(id == RUNS || id == NODES ? sizeof(struct note) : id == WORKFLOWS ? sizeof(struct flow_note) : 0, id == RUNS && o.limits.n ? INDEXES : BY_HISTORY);
    s->informer = informer_new(c->c->kube, &ic, &c->c->rnd);
}

static void start(struct component *component, void *ctx)
{
    struct controller *c = ctx;
    *c = (struct controller){ .c = component, .trouble_us = INT64_MIN };
    c->queue = workqueue_new(component->loop, work, c);
    watch(c, RUNTIMES, &kube_runtimes, "");
    watch(c, DEPLOYMENTS, &kube_deployments, OURS);
    watch(c, ACCOUNTS, &kube_serviceaccounts, OURS);
    watch(c, ROLES, &kube_roles, OURS);
    watch(c, BINDINGS, &kube_rolebindings, OURS);
    watch(c, POLICIES, &kube_networkpolicies, OURS);
    watch(c, PODS, &kube_pods, "kruntimes.io/runtime");
    watch(c, NODES, &kube_nodes, "");
    watch(c, RUNS, &kube_runs, "");
    watch(c, WORKFLOWS, &kube_workflows, "");
    watch(c, JOBS, &kube_jobs, OURS);
}

static void stop(void *ctx)
{
    struct controller *c = ctx;
    struct written *w;
    char *key;
    struct indexed *x;
    for (size_t at = 0; (x = indexer_next(c->stores[WORKFLOWS].objects, &at));)
        forget_flow(c, x);
    for (int i = 0; i < STORES; i++) {
        informer_free(c->stores[i].informer);
        indexer_free(c->stores[i].objects);
    }
    for (size_t at = 0; (w = map_next(&c->written, &at));) {
        free(w->key);
        free(w);
    }
    map_free(&c->written);
    for (size_t at = 0; (key = map_next(&c->no_jobs, &at));)
        free(key);
    map_free(&c->no_jobs);
    workqueue_free(c->queue);
}

static int run(struct applet_call *call, struct kr_err *e)
{
    static struct controller c;
    (void)call;
    if (gc_limits_read(&o.limits, o.keep.v, o.keep.n, e) < 0)
        return -1;
    return component_run(&(struct component_config){ .name = "controller", .metrics = METRICS_CONTROLLER, .start = start, .stop = stop, .ready = is_ready, .ctx = &c },
                         e);
}

const struct applet applet_controller = {
    .name = "controller", .group = APPLET_COMPONENT, .brief = "keeps Runtimes' pools and Workflows, and Runs whose pod is lost or whose time is over",
    .help = "Makes of each Runtime a Deployment and what it needs, and of each Workflow its child Runs, gives Runs of lost pods back to the scheduler, and deletes finished Runs when "
            "their ttlSecondsAfterFinished is over, and with --keep the oldest when there are more than that.",
    .opts = opts, .shared = (const struct opt *const[]){ component_opts, log_opts, NULL }, .main = run,
};
