/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workspaces: shared workspaces, and the pod each of them is on.
 *
 * The first Run of a name that nobody here has heard of makes us ask; from then on memory answers. It is kept after the last
 * Run is over, as the next one of the same owner (a Workflow, whose steps come one after another) finds its directory still
 * there. A Run of another owner, or of none, asks anew: the Runs before it may have been deleted, and the directory with
 * them. What is idle is bounded; what was forgotten is asked for again. Tests: tests/golden/plans/scheduler/workspace_*
 */
#include "crds/sched/pods.h"
#include <stdio.h>

enum { KEY = SCHED_KEY + 64 };

void workspace_touch(struct sched *s, struct workspace *w)
{
    if (w->dirty) return;
    w->dirty = true;
    w->dirty_next = s->dirty_workspaces;
    s->dirty_workspaces = w;
}

void workspaces_touch(struct sched *s, struct cpod *p)
{
    for (struct workspace *w = p->workspaces; w; w = w->pod_next) workspace_touch(s, w);
}

/* ---- on a pod or not ---- */
static void off_pod(struct workspace *w)
{
    struct workspace **at = w->pod ? &w->pod->workspaces : NULL;
    while (at && *at != w) at = &(*at)->pod_next;
    if (at) *at = w->pod_next;
    w->pod = NULL;
    w->pod_next = NULL;
    w->certain = w->used = false;
}

/* Its waiting Runs wait where they belong in the new state. */
static void change(struct sched *s, struct workspace *w, enum workspace_state state)
{
    struct crun *all = NULL, **end = &all;
    for (struct crun *c = w->runs; c; c = c->ws_next)
        if (c->state == RUN_WAITING) {
            queue_remove(s, c);
            *end = c;
            end = &c->urgent_next;
        }
    *end = NULL;
    w->state = state;
    for (struct crun *c = all, *next; c; c = next) {
        next = c->urgent_next;
        queue_add(s, c, INT64_MAX);                      /* each of them was due */
    }
    workspace_touch(s, w);
}

void workspace_put(struct sched *s, struct workspace *w, struct cpod *p, bool certain)
{
    if (w->state != WORKSPACE_THERE && w->state != WORKSPACE_LOST) {
        off_pod(w);
        w->pod = p;
        w->pod_next = p->workspaces;
        p->workspaces = w;
        change(s, w, WORKSPACE_THERE);
    }
    if (w->pod == p) w->certain |= certain;
}

void workspace_opened(struct sched *s, struct workspace *w) { change(s, w, WORKSPACE_FREE); }

/* Runs and pods are watched apart: a Run of a pod that is known to be lost tells what was lost with it. */
static void lost_after_all(struct sched *s, struct workspace *w)
{
    if (w->state == WORKSPACE_FREE) change(s, w, WORKSPACE_LOST);
}

void workspace_seen(struct sched *s, struct workspace *w, struct cpod *p, bool started)
{
    if (!pod_is_lost(p)) {
        workspace_put(s, w, p, true);
        if (w->pod == p) w->used |= started;
    } else if (started) {
        lost_after_all(s, w);
    }
}

void workspace_ended(struct sched *s, struct workspace *w, struct cpod *p)
{
    if (w->pod == p) w->used = true;
    else if (pod_is_lost(p)) lost_after_all(s, w);
}

void workspace_unbound(struct sched *s, struct workspace *w)
{
    if (w->state != WORKSPACE_THERE || w->certain || w->on_pod) return;
    off_pod(w);
    change(s, w, WORKSPACE_FREE);
}

void workspaces_of_lost_pod(struct sched *s, struct cpod *p)
{
    /* one that was never seen itself may have gone before the first list of pods: that is to be asked, not to be concluded */
    bool seen = p->capacity != NULL;
    while (p->workspaces) {
        struct workspace *w = p->workspaces;
        enum workspace_state now = !seen ? WORKSPACE_NEW : w->used ? WORKSPACE_LOST : WORKSPACE_FREE;
        off_pod(w);
        change(s, w, now);
    }
}

void sched_workspace(struct sched *s, struct str ns, struct str runtime, struct str name, struct str pod_uid)
{
    char text[KEY];
    int n = snprintf(text, sizeof text, "%.*s/%.*s/%.*s", SFMT(ns), SFMT(runtime), SFMT(name));
    struct workspace *w = n > 0 && (size_t)n < sizeof text ? map_get(&s->workspaces, (struct str){ text, (size_t)n }) : NULL;
    if (!w || w->state != WORKSPACE_ASKED) return;
    struct cpod *p = pod_uid.n ? pod_known(s, ns, pod_uid) : NULL;
    if (p && !pod_is_lost(p)) {
        workspace_put(s, w, p, true);
        if (w->pod == p) w->used = true;
    } else {
        change(s, w, pod_uid.n ? WORKSPACE_LOST : WORKSPACE_FREE);
    }
}

/* ---- who names it ---- */
static void idle_remove(struct sched *s, struct workspace *w)
{
    *(w->idle_prev ? &w->idle_prev->idle_next : &s->idle_first) = w->idle_next;
    *(w->idle_next ? &w->idle_next->idle_prev : &s->idle_last) = w->idle_prev;
    w->idle_next = w->idle_prev = NULL;
    s->nidle--;
}

static void idle_add(struct sched *s, struct workspace *w)
{
    w->idle_prev = s->idle_last;
    *(s->idle_last ? &s->idle_last->idle_next : &s->idle_first) = w;
    s->idle_last = w;
    s->nidle++;
}

static void forget(struct sched *s, struct workspace *w)
{
    struct workspace **at = &s->dirty_workspaces;
    if (w->dirty) {
        while (*at != w) at = &(*at)->dirty_next;
        *at = w->dirty_next;
    }
    off_pod(w);
    w->pool->mentions--;
    sched_touch(s, w->pool);
    map_del(&s->workspaces, w->key);
    heap_free(&w->waiting);
    free(w->owner);
    free(w);
}

static struct workspace *get(struct sched *s, struct pool *p, struct str name)
{
    char text[KEY];
    int n = snprintf(text, sizeof text, "%.*s/%.*s", SFMT(p->key), SFMT(name));
    struct str key = { text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1 };
    struct workspace *w = map_get(&s->workspaces, key);
    if (w) return w;
    w = xcalloc(1, sizeof *w + key.n + 1);
    char *own = (char *)(w + 1);
    memcpy(own, key.p, key.n);
    *w = (struct workspace){ .pool = p, .key = { own, key.n }, .name = { own + p->key.n + 1, key.n - p->key.n - 1 }, .waiting.less = run_by_order, .owner = xstrndup("", 0) };
    map_put(&s->workspaces, w->key, w);
    p->mentions++;
    idle_add(s, w);
    return w;
}

void workspace_join(struct sched *s, struct crun *c, struct str name, struct str owner)
{
    struct workspace *w = get(s, c->group->pool, name);
    if (!w->runs) {
        idle_remove(s, w);
        if (!owner.n || !str_is(owner, w->owner)) {      /* what we remember may be over */
            off_pod(w);
            w->state = WORKSPACE_NEW;
            free(w->owner);
            w->owner = xstrndup(owner.p, owner.n);
        }
    }
    c->workspace = w;
    c->ws_next = w->runs;
    if (w->runs) w->runs->ws_prev = c;
    w->runs = c;
}

void workspace_leave(struct sched *s, struct crun *c)
{
    struct workspace *w = c->workspace;
    if (!w) return;
    *(c->ws_prev ? &c->ws_prev->ws_next : &w->runs) = c->ws_next;
    if (c->ws_next) c->ws_next->ws_prev = c->ws_prev;
    c->workspace = NULL;
    if (w->runs) return;
    idle_add(s, w);
    if (s->nidle <= LIMIT_IDLE_WORKSPACES) return;
    w = s->idle_first;
    idle_remove(s, w);
    forget(s, w);
}

void workspaces_free(struct sched *s)
{
    while (s->idle_first) {
        struct workspace *w = s->idle_first;
        idle_remove(s, w);
        forget(s, w);
    }
    map_free(&s->workspaces);
}
