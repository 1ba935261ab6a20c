/* SPDX-License-Identifier: Apache-2.0 */
/* workspaces: shared workspaces, and which pod each of them is on. Shared by the files of this folder only. */
#ifndef CRDS_SCHED_WORKSPACES_H
#define CRDS_SCHED_WORKSPACES_H
#include "core/heap.h"

struct sched;
struct pool;
struct cpod;
struct crun;
enum workspace_state {
    WORKSPACE_NEW,    /* nothing is known: to be asked for */
    WORKSPACE_ASKED,
    WORKSPACE_FREE,   /* it is nowhere yet: its Runs wait like others, the first to be bound takes it along */
    WORKSPACE_THERE,  /* on its pod */
    WORKSPACE_LOST,   /* its pod was lost */
};
struct workspace {                     /* by "ns/runtime/name" */
    struct pool *pool;
    struct workspace *dirty_next;
    struct workspace *pod_next;        /* of its pod */
    struct workspace *idle_next, *idle_prev;
    struct cpod *pod;                  /* THERE */
    struct crun *runs;                 /* those that name it and aren't over */
    struct heap waiting;               /* of them those that wait while it isn't FREE */
    char *owner;                       /* UID of the first Run's controller, or empty */
    struct str key, name;              /* one allocation with the struct */
    size_t on_pod;                     /* Runs that count against the pod */
    enum workspace_state state : 8;
    bool dirty, certain;               /* certain: a bind to the pod was seen or accepted */
    bool used;                         /* something may lie in it: one of its Runs has started there, or is over */
};

void workspace_join(struct sched *, struct crun *, struct str name, struct str owner);    /* a new Run names it */
void workspace_leave(struct sched *, struct crun *);                 /* the Run is over or gone */
void workspace_touch(struct sched *, struct workspace *);            /* it is looked at in the next pass */
void workspace_put(struct sched *, struct workspace *, struct cpod *, bool certain);      /* now it is THERE */
void workspace_seen(struct sched *, struct workspace *, struct cpod *, bool started);      /* the watch shows one of its Runs there */
void workspace_ended(struct sched *, struct workspace *, struct cpod *);     /* a Run of it that counted against the pod is over or gone */
void workspace_opened(struct sched *, struct workspace *);           /* one of its Runs says that there was none before it */
void workspace_unbound(struct sched *, struct workspace *);          /* a bind failed: without another it is FREE again */
void workspaces_of_lost_pod(struct sched *, struct cpod *);          /* the pod is about to be forgotten, or was lost */
void workspaces_touch(struct sched *, struct cpod *);
void workspaces_free(struct sched *);
#endif
