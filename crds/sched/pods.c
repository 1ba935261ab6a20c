/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pods: Runtime Pods, and which Runs count against which.
 *
 * A pod is known by its namespace and UID: a Run that was bound to a pod of the same name but another UID counts against nothing that
 * exists. A Run may be seen before its pod, or outlive it: then the pod is a bare UID that offers nothing. Pods that may
 * take Runs are in their pool's heap, the least loaded on top. Tests: tests/unit/applets/scheduler.c
 */
#include "crds/sched/affinity.h"
#include "crds/sched/pods.h"

bool pod_open(const struct cpod *p) { return p->known && p->ready && !p->deleting; }
bool pod_is_lost(const struct cpod *p) { return p->capacity && (!p->known || p->over); }

bool pod_could_fit(const struct vec *capacity, const struct vec *requests)
{
    for (size_t i = 0; i < requests->n; i++)
        if (requests->v[i].n > vec_get(capacity, requests->v[i].resource)) return false;
    return true;
}

bool pod_fits(const struct cpod *p, const struct vec *requests)
{
    size_t at = 0;
    for (size_t i = 0; i < requests->n; i++) {           /* both are sorted by resource */
        if (!requests->v[i].n) continue;
        while (at < p->capacity->n && p->capacity->v[at].resource < requests->v[i].resource) at++;
        if (at == p->capacity->n || p->capacity->v[at].resource != requests->v[i].resource) return false;
        if (requests->v[i].n > p->capacity->v[at].n - p->used[at]) return false;
    }
    return true;
}

bool pod_takes_ahead(const struct cpod *p, const struct vec *requests)
{
    for (size_t i = 0; i < p->capacity->n; i++)
        if (p->used[i] > p->capacity->v[i].n) return false;
    return pod_could_fit(p->capacity, requests);
}

void pod_reload(struct cpod *p)
{
    p->load = 0;
    for (size_t i = 0; p->capacity && i < p->capacity->n; i++) {
        double full = p->capacity->v[i].n ? (double)p->used[i] / (double)p->capacity->v[i].n : p->used[i] ? 2 : 0;
        if (full > p->load) p->load = full;
    }
    if (!pod_open(p)) heap_remove(&p->pool->ready, &p->node);
    else if (p->node.slot) heap_fix(&p->pool->ready, &p->node);
    else heap_push(&p->pool->ready, &p->node);
}

static void use(struct cpod *p, const struct vec *requests, int sign)
{
    for (size_t i = 0; p->capacity && i < p->capacity->n; i++)
        p->used[i] += sign * vec_get(requests, p->capacity->v[i].resource);
    pod_reload(p);
}

/* Adds to an array whose members know their index + 1 in `slot`. */
static void list_add(struct crun ***list, size_t *n, size_t *cap, struct crun *c, uint32_t *slot)
{
    if (*n == *cap) {
        *cap = *cap ? *cap * 2 : 4;
        *list = xrealloc(*list, *cap * sizeof(struct crun *));
    }
    (*list)[(*n)++] = c;
    *slot = (uint32_t)*n;
}

static struct node *node_join(struct sched *s, struct str name)
{
    if (!name.n) return NULL;
    struct node *n = map_get(&s->nodes, name);
    if (!n) {
        n = xcalloc(1, sizeof *n);
        n->name = (struct str){ xstrndup(name.p, name.n), name.n };
        map_put(&s->nodes, n->name, n);
    }
    n->pods++;
    return n;
}

static void node_leave(struct sched *s, struct node *n)
{
    if (!n || --n->pods) return;
    map_del(&s->nodes, n->name);
    free((char *)n->name.p);
    free(n);
}

static bool has_required_anti(const struct crun *c)
{
    for (size_t i = 0; i < c->nterms; i++)
        if (c->terms[i].anti && !c->terms[i].preferred) return true;
    return false;
}

void pod_add_run(struct sched *s, struct cpod *p, struct crun *c)
{
    struct space *sp = c->group->pool->space;
    c->pod = p;
    list_add(&p->runs, &p->nruns, &p->cap_runs, c, &c->pod_slot);
    list_add(&sp->active, &sp->nactive, &sp->cap_active, c, &c->active_slot);
    sp->with_anti += has_required_anti(c);
    s->active++;
    if (c->workspace) c->workspace->on_pod++;
    use(p, c->group->requests, 1);
    affinity_changed(s, sp);
}

void pod_remove_run(struct sched *s, struct crun *c)
{
    struct cpod *p = c->pod;
    struct space *sp = c->group->pool->space;
    if (!p) return;
    struct crun *last = p->runs[--p->nruns];
    p->runs[c->pod_slot - 1] = last;
    last->pod_slot = c->pod_slot;
    last = sp->active[--sp->nactive];
    sp->active[c->active_slot - 1] = last;
    last->active_slot = c->active_slot;
    c->pod_slot = c->active_slot = 0;
    c->pod = NULL;
    sp->with_anti -= has_required_anti(c);
    s->active--;
    if (c->workspace) c->workspace->on_pod--;
    use(p, c->group->requests, -1);
    affinity_changed(s, sp);
    if (!p->known && !p->nruns) pod_forget(s, p);
}

/* A status may name any UID: only those of its own namespace are meant. */
struct cpod *pod_known(const struct sched *s, struct str ns, struct str uid)
{
    char text[SCHED_KEY];
    return map_get(&s->pods, sched_key(text, sizeof text, ns, uid));
}

struct cpod *pod_of_uid(struct sched *s, struct pool *pool, struct str name, struct str uid)
{
    char text[SCHED_KEY];
    struct str key = sched_key(text, sizeof text, pool->space->name, uid);
    struct cpod *p = map_get(&s->pods, key);
    if (p) return p;
    p = xcalloc(1, sizeof *p);
    p->pool = pool;
    pool->mentions++;
    p->key = (struct str){ xstrndup(key.p, key.n), key.n };
    p->uid = str_from(p->key, pool->space->name.n + 1);
    p->name = (struct str){ xstrndup(name.p, name.n), name.n };
    map_put(&s->pods, p->key, p);
    return p;
}

static void leave_pool(struct cpod *p)
{
    struct pool *pool = p->pool;
    heap_remove(&pool->ready, &p->node);
    for (size_t i = 0; i < pool->npods; i++)
        if (pool->pods[i] == p) pool->pods[i--] = pool->pods[--pool->npods];
    p->known = false;
}

void pod_forget(struct sched *s, struct cpod *p)
{
    workspaces_of_lost_pod(s, p);
    leave_pool(p);
    p->pool->mentions--;
    pool_changed(s, p->pool);
    map_del(&s->pods, p->key);
    free((char *)p->key.p);
    free((char *)p->name.p);
    node_leave(s, p->on_node);
    vec_free(s, p->capacity);
    free(p->used);
    free(p->runs);
    free(p);
}

static void enter_pool(struct sched *s, struct cpod *p, struct pool *pool)
{
    if (p->known && p->pool == pool) return;
    if (p->known) leave_pool(p);
    p->pool->mentions--;
    pool_changed(s, p->pool);
    pool->mentions++;
    p->pool = pool;
    p->known = true;
    if (pool->npods == pool->cap_pods) {
        pool->cap_pods = pool->cap_pods ? pool->cap_pods * 2 : 8;
        pool->pods = xrealloc(pool->pods, pool->cap_pods * sizeof(struct cpod *));
    }
    pool->pods[pool->npods++] = p;
}

static void set_capacity(struct sched *s, struct cpod *p, struct sched_amounts capacity)
{
    struct vec *v = vec_new(s, capacity, SCHED_RUNS_OF_POD);
    if (p->capacity && str_eq(vec_bytes(p->capacity), vec_bytes(v))) {
        vec_free(s, v);
        return;
    }
    vec_free(s, p->capacity);
    free(p->used);
    p->capacity = v;
    p->used = xcalloc(v->n, sizeof *p->used);
    for (size_t r = 0; r < p->nruns; r++)
        for (size_t i = 0; i < v->n; i++) p->used[i] += vec_get(p->runs[r]->group->requests, v->v[i].resource);
}

void sched_set_pod(struct sched *s, const struct sched_pod *in)
{
    struct pool *pool = sched_pool(s, in->ns, in->runtime);
    struct cpod *p = pod_of_uid(s, pool, in->name, in->uid);
    enter_pool(s, p, pool);
    struct node *node = node_join(s, in->node);
    bool moved = node != p->on_node;
    node_leave(s, p->on_node);
    p->on_node = node;
    if (moved) affinity_changed(s, pool->space);
    p->ready = in->ready;
    p->deleting = in->deleting;
    p->over = in->over;
    set_capacity(s, p, in->capacity);
    pod_reload(p);
    pool_changed(s, pool);
    if (p->over) workspaces_of_lost_pod(s, p);
    workspaces_touch(s, p);
}

void sched_del_pod(struct sched *s, struct str ns, struct str uid)
{
    struct cpod *p = pod_known(s, ns, uid);
    if (!p) return;
    pool_changed(s, p->pool);
    workspaces_of_lost_pod(s, p);
    leave_pool(p);
    if (!p->nruns) pod_forget(s, p);
}
