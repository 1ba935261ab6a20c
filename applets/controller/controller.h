/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller: what the files of this folder share. Each half is a plain function from what is known to a plan.
 *
 *   main.c          takes keys off the queue and carries plans out
 *   known.c         watches, and what of it is kept and queued       looks.c    from a key to a half's plan
 *   runtime.c       Runtime → owned objects, status, deletion      reaper.c   Runs of lost pods
 *   runtime_pod.c   the pod template we make of a user's           gc.c       Runs whose time is over
 *   runtime_trouble.c   why pods are missing, in words
 *   cleanup.c       artifacts of deleted Runs
 */
#ifndef APPLETS_CONTROLLER_CONTROLLER_H
#define APPLETS_CONTROLLER_CONTROLLER_H
#include "crds/run.h"
#include "k8s/plan.h"

/* ---- runtime_trouble.c ------------------------------------------------------------------------------------------- */
/* Why a Runtime isn't as it should be; reason empty: nothing is known. The first that is told stays. */
struct runtime_trouble { struct str reason, message; };
void runtime_trouble_of_template(struct runtime_trouble *, const struct runtime *, struct arena *);
void runtime_trouble_of_deployment(struct runtime_trouble *, struct str deployment, struct arena *);
void runtime_trouble_of_pod(struct runtime_trouble *, struct str pod, struct arena *);

/* ---- runtime.c --------------------------------------------------------------------------------------------------- */
struct pod_load { const struct pod_load *next; struct str name, cost; int64_t runs; };      /* cost: what its POD_DELETION_COST says; runs: assigned to it */
/* What is known of a Runtime and what it owns: JSON texts, p NULL where there is none. */
struct runtime_view {
    struct str runtime, deployment, service_account, role, role_binding, network_policy;
    int64_t pods, ready_pods;                     /* of its label, those being deleted counted in `pods` only */
    const struct pod_load *loads;                 /* of pods that are neither over nor being deleted */
    struct count_map capacity, used;              /* sums over ready pods, and what assigned Runs take */
    int64_t status_written_us;                    /* wall clock; sums are written at most every 10 s */
    struct str refused;                           /* what the API server said to the last plan; empty: it took it */
    struct runtime_trouble trouble;               /* of pods and Deployment */
};
struct runtime_config { const char *image; };     /* of runtimed and of the injected server */
int runtime_plan(const struct runtime_view *, const struct runtime_config *, int64_t wall_us, struct plan *, struct kr_err *);

/* ---- runtime_pod.c ----------------------------------------------------------------------------------------------- */
/* The Deployment's pod template. `overridden` gets the places where a user's value gave way, and is told as ReservedField. */
struct json *runtime_pod_template(const struct runtime *, const struct runtime_config *, struct arena *, struct buf *overridden, struct kr_err *);
struct json *parse_z(struct arena *, const char *json);     /* a literal of ours */

/* ---- reaper.c ---------------------------------------------------------------------------------------------------- */
struct reaper_view {
    struct str run;                               /* the Run */
    struct str pod;                               /* the pod of that name, p NULL when there is none */
    int64_t node_unknown_since_us;                /* wall clock, 0: it isn't */
    int64_t node_lost_after_us;
};
int reaper_plan(const struct reaper_view *, int64_t wall_us, struct plan *, struct kr_err *);

/* ---- cleanup.c --------------------------------------------------------------------------------------------------- */
/* Deleted Runs of one namespace that wait for the clean-up of one store. */
struct cleanup_view {
    struct str ns, group;                         /* group: as cleanup_group has it */
    struct str job;                               /* the group's Job; p NULL when there is none */
    struct str (*next)(void *runs);               /* of their objects the next one, the oldest first; p NULL: these are all */
    void *runs;
    bool refused;                                 /* the API takes no Job: the namespace is being deleted */
    void (*tell)(void *ctx, const struct run *, struct str message);      /* something of it may be left: for an Event */
    void *ctx;
};
int cleanup_plan(const struct cleanup_view *, const struct runtime_config *, struct plan *, struct kr_err *);
/* Of a Run with this metadata and status (p NULL: none), by the store that it names; empty: it waits for no clean-up. */
struct str cleanup_group(struct str metadata, struct str status, struct arena *);

/* ---- gc.c -------------------------------------------------------------------------------------------------------- */
/* When it ended, wall clock µs, if it is a finished Run that may be deleted; else 0: it is active, being deleted, or owned. */
int64_t gc_ended_us(const struct run *);
/* When a finished Run is to be deleted by its TTL: wall clock µs; 0: never. */
int64_t gc_due_us(const struct run *);
/* --keep PHASE=N: so many finished Runs of a phase are kept in each namespace, the newest. */
struct gc_limit { struct str phase; uint64_t keep; };
struct gc_limits { struct gc_limit v[4]; size_t n; };
int gc_limits_read(struct gc_limits *, const struct str *v, size_t n, struct kr_err *);
bool gc_limit_of(const struct gc_limits *, struct str phase, uint64_t *keep);      /* false: all are kept */
/* Takes `one` into v[max], which has the n that ended first, if it belongs there. */
struct gc_ended { int64_t ended_us; void *run; };
void gc_oldest(struct gc_ended *v, size_t *n, size_t max, struct gc_ended one);
#endif
