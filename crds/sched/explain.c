/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain: why a Run waits, with numbers: "2 pods: 1 full (runs 4/4), 1 not ready". The reason is one of a few constants,
 * so that "has it changed" is a comparison of pointers. What each pod is to a Run is said in one place, room_of, to the
 * scheduler's conditions and to people alike. Tests: tests/golden/plans/scheduler, tests/local/explain.py
 */
#include "crds/sched/affinity.h"
#include "crds/sched/pods.h"
#include <stdio.h>

static const char NOT_FOUND[] = "RuntimeNotFound", NO_PODS[] = "NoPods", NOT_READY[] = "NoReadyPods", FULL[] = "InsufficientCapacity",
                  AFFINITY[] = "AffinityNotMet", HELD[] = "CapacityHeld", WORKSPACE[] = "WorkspaceNotReady", SANDBOX[] = "SandboxUnavailable";

const char *explain_reason(struct str reason)
{
    static const char *const all[] = { NOT_FOUND, NO_PODS, NOT_READY, FULL, AFFINITY, HELD, WORKSPACE, SANDBOX };
    for (size_t i = 0; i < LEN(all); i++)
        if (str_is(reason, all[i])) return all[i];
    return NULL;
}

struct count { size_t full, draining, not_ready, apart, held; uint64_t lacking; int64_t used, of; };

static void count_full(struct count *n, const struct cpod *pod, const struct vec *requests)
{
    n->full++;
    for (size_t i = 0; i < requests->n; i++) {
        uint64_t id = requests->v[i].resource;
        int64_t used = 0, of = vec_get(pod->capacity, id);
        for (size_t k = 0; k < pod->capacity->n; k++)
            if (pod->capacity->v[k].resource == id) used = pod->used[k];
        if (requests->v[i].n <= of - used) continue;
        if (n->full == 1) n->lacking = id, n->used = used, n->of = of;
        return;
    }
}

/* Without affinity. */
static enum sched_room room_of(const struct cpod *pod, const struct crun *c)
{
    if (pod->deleting) return SCHED_DRAINING;
    if (!pod->ready) return SCHED_NOT_READY;
    if (!pod_fits(pod, c->group->requests)) return SCHED_FULL;
    if (pod->held_pass && pod->held_pass == pod->pool->hold_pass) return SCHED_HELD;
    return SCHED_FREE;
}

static void count_pod(struct count *n, const struct cpod *pod, const struct crun *c)
{
    switch (room_of(pod, c)) {
    case SCHED_DRAINING: n->draining++; break;
    case SCHED_NOT_READY: n->not_ready++; break;
    case SCHED_FULL: count_full(n, pod, c->group->requests); break;
    case SCHED_HELD: n->held++; break;
    default: n->apart++; break;                          /* what has room and still doesn't get it is kept from it by another Run */
    }
}

static void part(char *to, size_t size, size_t n, const char *what, const char **sep)
{
    size_t at = strlen(to);
    if (!n || at >= size) return;
    snprintf(to + at, size - at, "%s%zu %s", *sep, n, what);
    *sep = ", ";
}

/* No pod is ready, and the Runtime says what is wrong: a Run that waits says it too. The reason stays one of ours: what a
 * kubelet calls it changes from minute to minute. */
static const char *not_ready(const struct pool *p, const char *reason, char *message, size_t size)
{
    size_t at = strlen(message);
    if (!*p->degraded) return reason;
    snprintf(message + at, size - at, "; the Runtime says %s: %s", p->degraded, p->why);
    message[str_rune_cut(str_of(message), size - 1)] = '\0';
    return !strcmp(p->degraded, SANDBOX) ? SANDBOX : reason;
}

const char *explain_wait(struct sched *s, const struct crun *c, char *message, size_t size)
{
    const struct pool *p = c->group->pool;
    struct count n = { 0 };
    char full[96];
    const char *sep = "";
    if (c->workspace && c->in == &c->workspace->waiting) {
        const struct cpod *pod = c->workspace->pod;
        snprintf(message, size, "workspace \"%.*s\" %s%.*s%s", SFMT(c->workspace->name), pod ? "is on pod \"" : "is being looked for", pod ? (int)pod->name.n : 0,
                 pod ? pod->name.p : "", pod ? "\", which is not ready" : "");
        return WORKSPACE;
    }
    if (!p->exists || p->deleting) {
        snprintf(message, size, "runtime \"%.*s\" in namespace \"%.*s\" %s", SFMT(p->name), SFMT(p->space->name), p->exists ? "is being deleted" : "does not exist");
        return NOT_FOUND;
    }
    if (!p->npods) {
        snprintf(message, size, "runtime \"%.*s\" has no pods yet", SFMT(p->name));
        return not_ready(p, NO_PODS, message, size);
    }
    for (size_t i = 0; i < p->npods; i++) count_pod(&n, p->pods[i], c);
    snprintf(message, size, "%zu pod%s: ", p->npods, p->npods == 1 ? "" : "s");
    snprintf(full, sizeof full, "full (%.40s %lld/%lld)", s->resources[n.lacking].name.p, (long long)n.used, (long long)n.of);
    part(message, size, n.full, full, &sep);
    part(message, size, n.apart, c->in == &p->apart ? "ruled out by affinity" : "yet to be judged by affinity", &sep);
    part(message, size, n.held, "kept free for a Run that waits longer", &sep);
    part(message, size, n.draining, "draining", &sep);
    part(message, size, n.not_ready, "not ready", &sep);
    return n.apart ? AFFINITY : n.held ? HELD : n.full ? FULL : not_ready(p, NOT_READY, message, size);
}

/* ---- for people ---- */
static struct str node_of(const struct cpod *pod) { return pod->on_node ? pod->on_node->name : S(""); }

static struct crun *run_named(const struct sched *s, struct str ns, struct str run)
{
    char text[SCHED_KEY];
    return map_get(&s->runs, sched_key(text, sizeof text, ns, run));
}

static size_t count_before(const struct sched *s, const struct crun *c)
{
    const struct crun *other;
    size_t n = 0;
    for (size_t i = 0; (other = map_next(&s->runs, &i));)
        n += other != c && other->state == RUN_WAITING && other->group->pool == c->group->pool && run_by_order(&other->node, &c->node);
    return n;
}

bool sched_look(struct sched *s, struct str ns, struct str run, struct sched_look *ret)
{
    struct crun *c = run_named(s, ns, run);
    if (!c) return false;
    *ret = (struct sched_look){ .npods = c->group->pool->npods, .pod = c->pod ? c->pod->name : S("") };
    switch (c->state) {
    case RUN_WAITING:
        ret->state = SCHED_LOOK_WAITING;
        ret->before = count_before(s, c);
        ret->reason = explain_wait(s, c, ret->message, sizeof ret->message);
        break;
    case RUN_DELAYED:
        ret->state = SCHED_LOOK_DELAYED;
        ret->moment_us = c->moment_us;
        break;
    case RUN_IN_FLIGHT:
    case RUN_URGENT: ret->state = SCHED_LOOK_DECIDED; break;
    case RUN_IDLE: ret->state = SCHED_LOOK_ACTIVE; break;
    }
    return true;
}

static void put_amounts(const struct sched *s, const struct cpod *pod, char *to, size_t size)
{
    size_t at = 0;
    *to = 0;
    for (size_t i = 0; pod->capacity && i < pod->capacity->n && at < size; i++) {
        int n = snprintf(to + at, size - at, "%s%.54s=%lld/%lld", i ? "," : "", s->resources[pod->capacity->v[i].resource].name.p, (long long)pod->used[i],
                         (long long)pod->capacity->v[i].n);
        at += n > 0 ? (size_t)n : 0;
    }
}

bool sched_look_pod(struct sched *s, struct str ns, struct str run, size_t i, struct sched_look_pod *ret)
{
    const struct crun *c = run_named(s, ns, run);
    if (!c || i >= c->group->pool->npods) return false;
    const struct cpod *pod = c->group->pool->pods[i];
    *ret = (struct sched_look_pod){ .name = pod->name, .node = node_of(pod), .room = room_of(pod, c), .runs = pod->nruns };
    if (!i && affinity_matters(c)) affinity_judge(s, c);         /* of all at once */
    if (ret->room == SCHED_FREE && affinity_matters(c) && pod->apart) ret->room = SCHED_APART;
    put_amounts(s, pod, ret->amounts, sizeof ret->amounts);
    return true;
}

static enum sched_room room_at_all(const struct cpod *pod)
{
    if (pod->deleting) return SCHED_DRAINING;
    if (!pod->ready) return SCHED_NOT_READY;
    for (size_t i = 0; i < pod->capacity->n; i++)        /* one that has no "runs" left takes nothing, whatever else it has */
        if (pod->capacity->v[i].resource == 0) return pod->used[i] >= pod->capacity->v[i].n ? SCHED_FULL : SCHED_FREE;
    return SCHED_FULL;
}

bool sched_next_pod(const struct sched *s, size_t *at, struct str *ns, struct str *runtime, struct sched_look_pod *ret)
{
    const struct cpod *pod;
    do pod = map_next(&s->pods, at);
    while (pod && !pod->known);
    if (!pod) return false;
    *ret = (struct sched_look_pod){ .name = pod->name, .node = node_of(pod), .room = room_at_all(pod), .runs = pod->nruns };
    put_amounts(s, pod, ret->amounts, sizeof ret->amounts);
    *ns = pod->pool->space->name;
    *runtime = pod->pool->name;
    return true;
}

/* Over the pods that may take Runs, as the Runtime's own status has it. */
static void put_sums(const struct sched *s, const struct pool *p, char *to, size_t size)
{
    size_t done = 0;
    *to = 0;
    for (uint32_t id = 0; id < s->nresources && done < size; id++) {
        long long used = 0, of = 0;
        for (size_t i = 0; i < p->npods; i++)
            for (size_t k = 0; pod_open(p->pods[i]) && k < p->pods[i]->capacity->n; k++)
                if (p->pods[i]->capacity->v[k].resource == id) used += p->pods[i]->used[k], of += p->pods[i]->capacity->v[k].n;
        if (!of && !used) continue;
        int n = snprintf(to + done, size - done, "%s%.54s=%lld/%lld", done ? "," : "", s->resources[id].name.p, used, of);
        done += n > 0 ? (size_t)n : 0;
    }
}

bool sched_next_pool(const struct sched *s, size_t *at, struct sched_look_pool *ret)
{
    const struct pool *p = map_next(&s->pools, at);
    const struct crun *c;
    if (!p) return false;
    *ret = (struct sched_look_pool){ .ns = p->space->name, .name = p->name, .exists = p->exists, .pods = p->npods, .ready = p->ready.n };
    for (size_t i = 0; i < p->npods; i++) ret->active += p->pods[i]->nruns;
    for (size_t i = 0; (c = map_next(&s->runs, &i));)
        ret->waiting += c->group->pool == p && (c->state == RUN_WAITING || c->state == RUN_DELAYED);
    put_sums(s, p, ret->amounts, sizeof ret->amounts);
    return true;
}
