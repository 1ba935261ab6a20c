/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache: names become structs here; what the watch shows of Runs and Runtimes is taken over.
 *
 * A Run's news is taken only when it is newer than what is known, our own writes included (each of them was conditional
 * on the version we knew, so nothing can lie in between). Pods are in pods.c. Tests: tests/unit/applets/scheduler.c
 */
#include "crds/sched/affinity.h"
#include "crds/sched/pods.h"
#include <stdio.h>

bool run_by_order(const struct heap_node *a, const struct heap_node *b)
{
    const struct crun *x = container_of(a, struct crun, node), *y = container_of(b, struct crun, node);
    if (x->order != y->order) return x->order < y->order;
    if (x->first_version != y->first_version) return x->first_version < y->first_version;
    return str_cmp(x->name, y->name) < 0;
}

static bool by_moment(const struct heap_node *a, const struct heap_node *b)
{
    return container_of(a, struct crun, node)->moment_us < container_of(b, struct crun, node)->moment_us;
}

static bool by_notice(const struct heap_node *a, const struct heap_node *b)
{
    return container_of(a, struct crun, notice)->notice_us < container_of(b, struct crun, notice)->notice_us;
}

static bool by_load(const struct heap_node *a, const struct heap_node *b)
{
    const struct cpod *x = container_of(a, struct cpod, node), *y = container_of(b, struct cpod, node);
    return x->load != y->load ? x->load < y->load : str_cmp(x->name, y->name) < 0;
}

static bool by_rest(const struct heap_node *a, const struct heap_node *b)
{
    return container_of(a, struct space, rest)->rest_us < container_of(b, struct space, rest)->rest_us;
}

static bool by_turn(const struct heap_node *a, const struct heap_node *b)
{
    return container_of(a, struct pool, judging)->turn < container_of(b, struct pool, judging)->turn;
}

static bool in_no_order(const struct heap_node *a, const struct heap_node *b) { return (void)a, (void)b, false; }

void sched_unhurried(struct sched *s) { s->unhurried = true; }
void sched_assign_ahead(struct sched *s, bool on) { s->ahead = on; }

/* ---- names of resources: a number each, as long as anybody asks for it or offers it; users think of ever new ones ---- */
static uint32_t resource_use(struct sched *s, struct str name)
{
    size_t id = (size_t)(uintptr_t)map_get(&s->resource_ids, name);
    if (id) {
        s->resources[id - 1].users++;
        return (uint32_t)(id - 1);
    }
    if (s->free_resource) {
        id = s->free_resource;
        s->free_resource = s->resources[id].next_free;
    } else {
        id = s->nresources++;
        if (!(id & (id - 1))) s->resources = xrealloc(s->resources, (id ? 2 * id : 1) * sizeof *s->resources);
    }
    s->resources[id] = (struct cresource){ .name = { xstrndup(name.p, name.n), name.n }, .users = 1 };
    map_put(&s->resource_ids, s->resources[id].name, (void *)(uintptr_t)(id + 1));
    return (uint32_t)id;
}

static void resource_leave(struct sched *s, uint64_t id)
{
    struct cresource *r = &s->resources[id];
    if (!id || --r->users) return;
    map_del(&s->resource_ids, r->name);
    free((char *)TAKE(r->name.p));
    r->next_free = s->free_resource;
    s->free_resource = (uint32_t)id;
}

struct sched *sched_new(void)
{
    struct sched *s = xcalloc(1, sizeof *s);
    s->delayed.less = by_moment;
    s->notices.less = by_notice;
    s->resting.less = by_rest;
    resource_use(s, S("runs"));                          /* id 0, for good */
    return s;
}

struct vec *vec_new(struct sched *s, struct sched_amounts in, int64_t runs_default)
{
    size_t n = in.n < 64 ? in.n : 64;
    struct vec *v = xcalloc(1, sizeof *v + (n + 1) * sizeof v->v[0]);
    bool has_runs = false;
    for (size_t i = 0; i <= n; i++) {
        if (i == n && has_runs) break;
        uint32_t id = i < n ? resource_use(s, in.v[i].resource) : 0;
        int64_t amount = i < n ? in.v[i].n : runs_default;
        has_runs |= id == 0;
        size_t at = v->n++;
        for (; at && v->v[at - 1].resource > id; at--) v->v[at] = v->v[at - 1];
        v->v[at].resource = id;
        v->v[at].n = amount;
    }
    return v;
}

void vec_free(struct sched *s, struct vec *v)
{
    for (size_t i = 0; v && i < v->n; i++) resource_leave(s, v->v[i].resource);
    free(v);
}

int64_t vec_get(const struct vec *v, uint64_t resource)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->v[i].resource == resource) return v->v[i].n;
    return 0;
}

struct str vec_bytes(const struct vec *v) { return (struct str){ (const char *)v->v, v->n * sizeof v->v[0] }; }
struct str vec_key(const struct vec *v) { return (struct str){ (const char *)&v->terms, sizeof v->terms + v->n * sizeof v->v[0] }; }
_Static_assert(offsetof(struct vec, v) == offsetof(struct vec, terms) + sizeof(uint32_t), "a key is one piece");

/* ---- spaces and pools: made when first mentioned. Pools go again, as a Run may name any Runtime; there are as many spaces as namespaces ---- */
static struct space *space_of(struct sched *s, struct str ns)
{
    struct space *sp = map_get(&s->spaces, ns);
    if (sp) return sp;
    sp = xcalloc(1, sizeof *sp);
    sp->name = (struct str){ xstrndup(ns.p, ns.n), ns.n };
    sp->kept.less = in_no_order;
    sp->judging.less = by_turn;
    map_put(&s->spaces, sp->name, sp);
    return sp;
}

struct str sched_key(char *to, size_t size, struct str ns, struct str name)
{
    if (ns.n + name.n + 2 > size) return (struct str){ to, 0 };       /* no object is called so */
    if (ns.n) memcpy(to, ns.p, ns.n);
    to[ns.n] = '/';
    if (name.n) memcpy(to + ns.n + 1, name.p, name.n);
    to[ns.n + 1 + name.n] = 0;
    return (struct str){ to, ns.n + 1 + name.n };
}

struct pool *sched_pool(struct sched *s, struct str ns, struct str runtime)
{
    char text[SCHED_KEY];
    struct str key = sched_key(text, sizeof text, ns, runtime);
    struct pool *p = map_get(&s->pools, key);
    if (p) return p;
    p = xcalloc(1, sizeof *p);
    p->space = space_of(s, ns);
    p->key = (struct str){ xstrndup(key.p, key.n), key.n };
    p->name = str_from(p->key, ns.n + 1);
    p->ready.less = by_load;
    p->apart.less = run_by_order;
    p->round = 1;
    map_put(&s->pools, p->key, p);
    return p;
}

static void pool_free(struct sched *s, struct pool *p)
{
    heap_free(&p->ready);
    heap_free(&p->apart);
    map_free(&p->groups);
    free(p->pods);
    vec_free(s, p->capacity);
    free((char *)p->key.p);
    free(p);
}

void pool_leave(struct sched *s, struct pool *p)
{
    if (p->dirty || p->exists || p->groups.n || p->mentions) return;
    map_del(&s->pools, p->key);
    pool_free(s, p);
}

void sched_touch(struct sched *s, struct pool *p)
{
    if (p->dirty) return;
    p->dirty = true;
    p->dirty_next = s->dirty;
    s->dirty = p;
}

void pool_changed(struct sched *s, struct pool *p)
{
    p->changed = true;
    sched_touch(s, p);
}

static struct group *group_of(struct sched *s, struct pool *p, struct vec *requests, bool terms)
{
    requests->terms = terms;
    struct group *g = map_get(&p->groups, vec_key(requests));
    if (g) {
        vec_free(s, requests);
        g->runs++;
        return g;
    }
    g = xcalloc(1, sizeof *g);
    *g = (struct group){ .pool = p, .waiting.less = run_by_order, .requests = requests, .runs = 1 };
    map_put(&p->groups, vec_key(requests), g);
    return g;
}

static void group_leave(struct sched *s, struct group *g)
{
    if (--g->runs) return;
    map_del(&g->pool->groups, vec_key(g->requests));
    sched_touch(s, g->pool);
    heap_free(&g->waiting);
    vec_free(s, g->requests);
    free(g);
}

/* ---- Runtimes ---- */
static void keep(char *to, size_t size, struct str text) { snprintf(to, size, "%.*s", (int)str_rune_cut(text, size - 1), text.p); }

void sched_set_runtime(struct sched *s, const struct sched_runtime *r)
{
    struct pool *p = sched_pool(s, r->ns, r->name);
    vec_free(s, p->capacity);
    p->capacity = vec_new(s, r->capacity, SCHED_RUNS_OF_POD);
    p->exists = true;
    p->deleting = r->deleting;
    keep(p->degraded, sizeof p->degraded, r->degraded);
    keep(p->why, sizeof p->why, r->why);
    pool_changed(s, p);
}

void sched_del_runtime(struct sched *s, struct str ns, struct str name)
{
    struct pool *p = sched_pool(s, ns, name);
    p->exists = p->deleting = false;
    p->degraded[0] = '\0';
    sched_touch(s, p);
}

/* ---- Runs ---- */
static void terms_free(const struct sched_term *terms, size_t n)
{
    for (size_t i = 0; i < n; i++) selector_free(terms[i].selector);
}

static void run_free(struct sched *s, struct crun *c)
{
    queue_remove(s, c);
    struct pool *p = c->pod ? c->pod->pool : c->group->pool->hold_pass ? c->group->pool : NULL;      /* a pod may have been kept free for it */
    if (c->workspace && c->pod) workspace_ended(s, c->workspace, c->pod);
    pod_remove_run(s, c);
    if (p) sched_touch(s, p);
    if (c->state == RUN_IN_FLIGHT) s->in_flight--;
    workspace_leave(s, c);
    map_del(&s->runs, c->key);
    group_leave(s, c->group);
    terms_free(c->terms, c->nterms);
    free(c->terms);
    labels_free(&c->labels);
    free(c->refused);
    free(c);
}

static struct crun *run_new(struct sched *s, const struct sched_run *r, int64_t now_us)
{
    struct crun *c = xcalloc(1, sizeof *c + r->ns.n + 1 + r->name.n + 1 + r->uid.n + 1);
    char *text = (char *)(c + 1);
    c->key = sched_key(text, r->ns.n + r->name.n + 2, r->ns, r->name);
    c->name = str_from(c->key, r->ns.n + 1);
    if (r->uid.n) memcpy(text + c->key.n + 1, r->uid.p, r->uid.n);
    c->uid = (struct str){ text + c->key.n + 1, r->uid.n };
    c->group = group_of(s, sched_pool(s, r->ns, r->runtime), vec_new(s, r->requests, 1), r->nterms > 0);
    c->first_version = r->version;
    c->since_us = now_us;
    c->nterms = (uint8_t)(r->nterms < 255 ? r->nterms : 255);
    c->terms = xcalloc(c->nterms, sizeof *c->terms);
    if (c->nterms) memcpy(c->terms, r->terms, c->nterms * sizeof *c->terms);
    if (r->told.n) c->told = explain_reason(r->told);
    if (r->refused.n) c->refused = xstrndup(r->refused.p, r->refused.n);
    map_put(&s->runs, c->key, c);
    if (r->workspace.n) workspace_join(s, c, r->workspace, r->owner);
    return c;
}

/* What the object says now, whatever it said before. The Run is in no queue. */
static void place(struct sched *s, struct crun *c, const struct sched_run *r, int64_t now_us)
{
    if (r->phase == SCHED_ACTIVE) {
        if (c->state == RUN_IN_FLIGHT) s->in_flight--;
        c->state = RUN_IDLE;
        struct cpod *pod = pod_of_uid(s, c->group->pool, r->pod, r->pod_uid);
        if (c->pod != pod) {
            pod_remove_run(s, c);
            pod_add_run(s, pod, c);
        }
        if (c->workspace) workspace_seen(s, c->workspace, pod, r->started);
        return;
    }
    if (c->state == RUN_IN_FLIGHT) return;               /* our write is conditional: it fails now, and sched_done queues it again */
    if (c->pod) {                                        /* handed back, or its pod was lost */
        sched_touch(s, c->pod->pool);
        pod_remove_run(s, c);
        c->since_us = now_us;
    }
    queue_add(s, c, now_us);
}

void sched_set_run(struct sched *s, const struct sched_run *r, int64_t now_us)
{
    char text[SCHED_KEY];
    struct crun *c = map_get(&s->runs, sched_key(text, sizeof text, r->ns, r->name));
    if (c && !str_eq(c->uid, r->uid)) run_free(s, c), c = NULL;
    if (r->phase == SCHED_OVER || (c && r->version <= c->version)) {
        terms_free(r->terms, r->nterms);
        if (c && r->phase == SCHED_OVER) run_free(s, c);
        return;
    }
    if (!c) c = run_new(s, r, now_us);
    else terms_free(r->terms, r->nterms), queue_remove(s, c);
    c->version = r->version;
    c->cancel = r->cancel;
    c->attempted = r->attempted;
    c->opens = r->opens_workspace;
    c->failures = 0;
    c->retry_us = 0;
    c->not_before_us = r->not_before_us;
    c->order = r->created_us - (int64_t)r->priority * SCHED_POINT_US;
    if (!labels_eq(&c->labels, &r->labels)) {
        c->judged = 0;
        if (c->pod) affinity_changed(s, c->group->pool->space);
    }
    labels_free(&c->labels);
    c->labels = labels_copy(r->labels);
    place(s, c, r, now_us);
}

void sched_del_run(struct sched *s, struct str ns, struct str name)
{
    char text[SCHED_KEY];
    struct crun *c = map_get(&s->runs, sched_key(text, sizeof text, ns, name));
    if (c) run_free(s, c);
}

void sched_done(struct sched *s, struct str ns, struct str run, struct str uid, uint64_t version, int64_t now_us)
{
    char text[SCHED_KEY];
    struct crun *c = map_get(&s->runs, sched_key(text, sizeof text, ns, run));
    if (!c || !str_eq(c->uid, uid) || c->state != RUN_IN_FLIGHT) return;
    s->in_flight--;
    c->state = RUN_IDLE;
    if (version > c->version) c->version = version;
    if (version && c->decided == SCHED_BIND && c->workspace) c->workspace->certain = true;
    if (version && c->decided != SCHED_WAIT) return;     /* bound: it counts against its pod; ended: the watch takes it away */
    if (!version) {
        if (c->pod) sched_touch(s, c->pod->pool);
        pod_remove_run(s, c);
        if (c->workspace) workspace_unbound(s, c->workspace);
        if (c->decided == SCHED_WAIT) c->told = NULL, c->told_us = 0;
        /* a newer object ends the wait sooner; without one the same write would fail the same way */
        c->retry_us = now_us + (SCHED_RETRY_US << (c->failures < 6 ? c->failures++ : 6));
    }
    queue_add(s, c, now_us);
}

/* ---- end ---- */
void sched_free(struct sched *s)
{
    struct crun *c;
    struct cpod *pod;
    struct pool *p;
    struct space *sp;
    for (size_t i = 0; (c = map_next(&s->runs, &i));) run_free(s, c);
    workspaces_free(s);
    for (size_t i = 0; (pod = map_next(&s->pods, &i));) pod_forget(s, pod);
    heap_free(&s->resting);                              /* heaps first, then those that are in them */
    for (size_t i = 0; (sp = map_next(&s->spaces, &i));) {
        free(sp->active);
        heap_free(&sp->kept), heap_free(&sp->judging);
        free((char *)sp->name.p);
        free(sp);
    }
    for (size_t i = 0; (p = map_next(&s->pools, &i));) pool_free(s, p);
    for (size_t i = 0; i < s->nresources; i++) free((char *)s->resources[i].name.p);
    map_free(&s->runs), map_free(&s->pods), map_free(&s->pools), map_free(&s->spaces), map_free(&s->resource_ids), map_free(&s->nodes);
    heap_free(&s->delayed), heap_free(&s->notices);
    free(s->resources);
    free(s);
}

struct sched_stats sched_stats(const struct sched *s)
{
    struct sched_stats st = { .waiting = s->waiting, .delayed = s->delayed.n, .in_flight = s->in_flight, .active = s->active, .resources = s->resource_ids.n, .names = s->pools.n };
    const struct pool *p;
    for (size_t i = 0; (p = map_next(&s->pools, &i));) {
        st.pools += p->exists;
        st.pods += p->npods;
        st.ready += p->ready.n;
    }
    return st;
}
