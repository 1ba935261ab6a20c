/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain: why a Run waits, with numbers: "2 pods: 1 full (runs 4/4), 1 not ready". The reason is one of a few constants,
 * so that "has it changed" is a comparison of pointers. Tests: tests/golden/plans/scheduler
 */
#include "applets/scheduler/cache.h"
#include <stdio.h>

static const char NOT_FOUND[] = "RuntimeNotFound", NO_PODS[] = "NoPods", NOT_READY[] = "NoReadyPods", FULL[] = "InsufficientCapacity",
                  AFFINITY[] = "AffinityNotMet", HELD[] = "CapacityHeld", WORKSPACE[] = "WorkspaceNotReady";

const char *explain_reason(struct str reason)
{
    static const char *const all[] = { NOT_FOUND, NO_PODS, NOT_READY, FULL, AFFINITY, HELD, WORKSPACE };
    for (size_t i = 0; i < LEN(all); i++)
        if (str_is(reason, all[i])) return all[i];
    return NULL;
}

struct count { size_t full, draining, not_ready, apart, held; uint16_t lacking; int64_t used, of; };

static void count_full(struct count *n, const struct cpod *pod, const struct vec *requests)
{
    n->full++;
    for (size_t i = 0; i < requests->n; i++) {
        uint16_t id = requests->v[i].resource;
        int64_t used = 0, of = vec_get(pod->capacity, id);
        for (size_t k = 0; k < pod->capacity->n; k++)
            if (pod->capacity->v[k].resource == id) used = pod->used[k];
        if (requests->v[i].n <= of - used) continue;
        if (n->full == 1) n->lacking = id, n->used = used, n->of = of;
        return;
    }
}

static void count_pod(struct count *n, const struct cpod *pod, const struct crun *c)
{
    if (pod->deleting) n->draining++;
    else if (!pod->ready) n->not_ready++;
    else if (!pod_fits(pod, c->group->requests)) count_full(n, pod, c->group->requests);
    else if (pod->held_pass && pod->held_pass == pod->pool->hold_pass) n->held++;
    else n->apart++;
}

static void part(char *to, size_t size, size_t n, const char *what, const char **sep)
{
    size_t at = strlen(to);
    if (!n || at >= size) return;
    snprintf(to + at, size - at, "%s%zu %s", *sep, n, what);
    *sep = ", ";
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
        return NO_PODS;
    }
    for (size_t i = 0; i < p->npods; i++) count_pod(&n, p->pods[i], c);
    snprintf(message, size, "%zu pod%s: ", p->npods, p->npods == 1 ? "" : "s");
    snprintf(full, sizeof full, "full (%.40s %lld/%lld)", s->resources[n.lacking], (long long)n.used, (long long)n.of);
    part(message, size, n.full, full, &sep);
    part(message, size, n.apart, "ruled out by affinity", &sep);
    part(message, size, n.held, "kept free for a Run that waits longer", &sep);
    part(message, size, n.draining, "draining", &sep);
    part(message, size, n.not_ready, "not ready", &sep);
    return n.apart ? AFFINITY : n.held ? HELD : n.full ? FULL : NOT_READY;
}
