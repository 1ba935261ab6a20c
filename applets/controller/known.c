/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known: watches, keeps texts by key, files and notes what looks ask for, and queues the keys that a change concerns. Of Runs that
 * are over only a record stays. Tests: tests/unit/applets/controller_known.c, tests/local, tests/fault/kills.py, tests/fault/hostile_api.py
 */
#include "applets/controller/known.h"
#include "core/log.h"
#include <stdio.h>

enum { SUMS_US = 1000000 };
#define OURS "app.kubernetes.io/managed-by=kruntimes"

/* ---- texts, and what is queued ------------------------------------------------------------------------------------- */

struct indexed *known_get(struct controller *c, enum store_id id, struct str key) { return indexer_get(c->stores[id].objects, key); }

struct str known_text(struct controller *c, enum store_id id, struct str key)
{
    struct indexed *x = known_get(c, id, key);
    return x ? x->json : (struct str){ 0 };
}

struct note *known_note(struct controller *c, enum store_id id, struct indexed *x) { return indexer_record(c->stores[id].objects, x); }

static void queue_add(struct controller *c, const char *what, struct str key)
{
    char text[KEY_MAX];
    int n = snprintf(text, sizeof text, "%s/%.*s", what, SFMT(key));
    if (n > 0 && (size_t)n < sizeof text)
        workqueue_add(c->queue, (struct str){ text, (size_t)n });
}

void queue_runtime(struct controller *c, struct str key)
{
    if (key.n)
        queue_add(c, "runtime", key);
}

/* What needs no look at once: what happens until then is looked at together. */
static void queue_later(struct controller *c, const char *what, struct str key, int64_t in_us)
{
    char text[KEY_MAX];
    int n = snprintf(text, sizeof text, "%s/%.*s", what, SFMT(key));
    if (key.n && n > 0 && (size_t)n < sizeof text)
        workqueue_add_at(c->queue, (struct str){ text, (size_t)n }, loop_now_us(c->c->loop) + in_us);
}

bool known_is_active(struct controller *c, struct indexed *run) { return indexer_filed(c->stores[RUNS].objects, run, BY_POD).n > 0; }

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
        if (known_is_active(c, x))
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
        if (known_is_active(c, x) && !known_note(c, RUNS, x)->sound)
            queue_add(c, "run", x->key);
        else if (known_note(c, RUNS, x)->due_us)
            queue_add(c, "ttl", x->key);
        queue_cleaning(c, indexer_filed(s->objects, x, BY_CLEAN));
        if (runtime.n != active_of.n)
            queue_later(c, "runtime", runtime.n ? runtime : active_of, SUMS_US);      /* its sums are written at most every 10 s */
        break;
    default:
        queue_runtime(c, runtime);
        break;
    }
}

/* ---- notes --------------------------------------------------------------------------------------------------------- */

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
    struct note *note = known_note(s->c, RUNS, x);
    enum kin now = !flow.n ? NO_CHILD : over ? CHILD_IS_OVER : CHILD_GOES_ON;
    if (now == note->child)
        return;
    queue_flow_of(s, x);                          /* of the Run that had the name before */
    file_under(s, x, BY_OWNER, flow, a);
    queue_flow_of(s, x);
    note->child = now;
}

static void note_history(struct store *s, struct indexed *x, struct str phase, struct arena *a)
{
    uint64_t keep;
    if (!s->c->o->limits.n)
        return;
    file_under(s, x, BY_HISTORY, known_note(s->c, RUNS, x)->ended_us && gc_limit_of(&s->c->o->limits, phase, &keep) ? phase : S(""), a);
    queue_later(s->c, "history", indexer_filed(s->objects, x, BY_HISTORY), HISTORY_US);
}

static void note_pod(struct store *s, struct indexed *x, struct str json, struct arena *a)
{
    static const char *const parts[] = { "metadata", "spec", "status" }, *const keys[] = { "uid", "deletionTimestamp", "labels" };
    struct str part[LEN(parts)], meta[LEN(keys)];
    json_pick(json, parts, part, LEN(parts));
    json_pick(part[0], keys, meta, LEN(keys));
    struct str uid = json_str_of(meta[0], a), phase = json_str_of(json_find(part[2], "phase"), a);
    struct note *n = known_note(s->c, PODS, x);
    n->sound = !meta[1].p && !str_is(phase, "Succeeded") && !str_is(phase, "Failed");
    snprintf(n->uid, sizeof n->uid, "%.*s", SFMT(uid));
    indexer_file(s->objects, x, BY_NODE, json_str_of(json_find(part[1], "nodeName"), a));
    file_under(s, x, BY_RUNTIME, json_str_of(json_find(meta[2], "kruntimes.io/runtime"), a), a);
}

/* What happens to a Run on such a pod is no reason to ask whether it is lost; what happens to the pod or its node is. */
static bool is_sound(struct controller *c, struct str pod, struct str uid)
{
    struct indexed *x = known_get(c, PODS, pod);
    struct note *n = x ? known_note(c, PODS, x) : NULL;
    if (!n || !n->sound || !str_is(uid, n->uid))
        return false;
    struct indexed *node = known_get(c, NODES, indexer_filed(c->stores[PODS].objects, x, BY_NODE));
    return !node || !known_note(c, NODES, node)->unknown_since_us;
}

static void note_run(struct store *s, struct indexed *x, struct str json, struct arena *a)
{
    static const char *const parts[] = { "metadata", "spec", "status" }, *const states[] = { "phase", "assignedPod", "assignedPodUID" };
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
    struct note *note = known_note(s->c, RUNS, x);
    note->sound = active && is_sound(s->c, indexer_filed(s->objects, x, BY_POD), json_str_of(state[2], a));
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
void known_forget_flow(struct controller *c, struct indexed *x)
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

/* ---- events -------------------------------------------------------------------------------------------------------- */

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
    else if (s->id == PODS)
        note_pod(s, x, json, &a);
    else if (s->id == NODES)
        note_node(known_note(s->c, NODES, x), json, &a);
    else if (s->id == JOBS)
        file_under(s, x, BY_CLEAN, json_str_of(json_find(json_find_path(json, labels, 2), "kruntimes.io/clean"), &a), &a);
    else
        file_under(s, x, BY_RUNTIME, json_str_of(json_find(json_find_path(json, labels, 2), "kruntimes.io/runtime"), &a), &a);
    touched(s, x, active_of);
}

static void written_free(struct written *w)
{
    if (w)
        free(w->key);
    free(w);
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
        known_forget_flow(s->c, x);
    if (s->id == RUNTIMES)
        written_free(map_del(&s->c->written, key));       /* the next one of that name has been refused nothing yet */
    indexer_remove(s->objects, x);
}

/* After an outage nobody is judged before pods and nodes were listed anew; Runs may be old, what is written tests what it judged. */
bool known_may_judge(const struct controller *c)
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
    if (known_may_judge(s->c))
        queue_all_active(s->c);
}

/* A look with half of the lists would miss what is there: it would make it once more, or take it for gone. */
static void synced(void *ctx)
{
    struct controller *c = ((struct store *)ctx)->c;
    for (int i = 0; i < STORES; i++)
        if (!informer_is_synced(c->stores[i].informer))
            return;
    workqueue_begin(c->queue);
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

struct written *known_written(struct controller *c, struct str runtime)
{
    struct written *w = map_get(&c->written, runtime);
    if (!w) {
        w = xcalloc(1, sizeof *w);
        w->key = xstrndup(runtime.p, runtime.n);
        map_put(&c->written, str_of(w->key), w);
    }
    return w;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

bool known_is_ready(const struct controller *c, struct buf *why)
{
    bool ready = true;
    for (int i = 0; i < STORES; i++)
        ready &= informer_ready(c->stores[i].informer, why);
    return ready;
}

static void watch(struct controller *c, enum store_id id, const struct kube_resource *r, const char *labels)
{
    struct store *s = &c->stores[id];
    struct informer_config ic = { .resource = r, .ns = r->namespaced ? c->c->ns : S(""), .labels = str_of(labels),
                                  .relist_after_trouble = id == PODS || id == NODES || id == RUNS, .user = { set, gone, synced, trouble, s, live } };
    s->c = c;
    s->id = id;
    bool noted = id == RUNS || id == PODS || id == NODES;
    s->objects = indexer_new(noted ? sizeof(struct note) : id == WORKFLOWS ? sizeof(struct flow_note) : 0, id == RUNS && c->o->limits.n ? INDEXES : BY_HISTORY);
    s->informer = informer_new(c->c->kube, &ic, &c->c->rnd);
}

void known_watch(struct controller *c)
{
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

void known_free(struct controller *c)
{
    struct written *w;
    char *key;
    struct indexed *x;
    for (size_t at = 0; (x = indexer_next(c->stores[WORKFLOWS].objects, &at));)
        known_forget_flow(c, x);
    for (int i = 0; i < STORES; i++) {
        informer_free(c->stores[i].informer);
        indexer_free(c->stores[i].objects);
    }
    for (size_t at = 0; (w = map_next(&c->written, &at));)
        written_free(w);
    map_free(&c->written);
    for (size_t at = 0; (key = map_next(&c->no_jobs, &at));)
        free(key);
    map_free(&c->no_jobs);
}
