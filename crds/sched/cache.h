/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache: the structs behind sched.h, shared by the files of this folder only.
 *
 *   space (namespace) ── pools (Runtimes) ── pods
 *                     │                  └── groups: waiting Runs that ask for the same
 *                     └── active Runs, for affinity
 */
#ifndef CRDS_SCHED_CACHE_H
#define CRDS_SCHED_CACHE_H
#include "crds/sched/sched.h"
#include "crds/sched/workspaces.h"
#include "core/heap.h"
#include "core/map.h"

struct vec { uint8_t n; struct { uint64_t resource; int64_t n; } v[]; };   /* sorted by resource; without padding, as its bytes are a key */

enum run_state {
    RUN_IDLE,        /* nothing to decide: over, or active on a pod */
    RUN_WAITING,     /* in its group's heap */
    RUN_DELAYED,     /* in the delayed heap until not_before_us */
    RUN_URGENT,      /* in the urgent list: to be cancelled or failed */
    RUN_IN_FLIGHT,   /* decided; sched_done is awaited */
};

struct crun {
    struct heap_node node;             /* in group->waiting or sched->delayed */
    struct heap_node notice;           /* in sched->notices, while waiting */
    struct group *group;
    struct workspace *workspace;       /* the shared one it names, or NULL */
    struct crun *ws_next, *ws_prev;    /* of its workspace */
    struct heap *in;                   /* while waiting: its group's heap or its workspace's */
    struct cpod *pod;                  /* what it counts against; NULL when nothing */
    struct crun *urgent_next;
    uint32_t pod_slot, active_slot;    /* index in pod->runs and space->active, + 1 */
    uint64_t version;                  /* newest known, by the watch or by our own write; older news is dropped */
    uint64_t first_version;            /* ties of order: who was seen first */
    int64_t order;                     /* smaller goes first: created_us - priority * SCHED_POINT_US */
    int64_t since_us;                  /* waiting since, as seen here */
    int64_t not_before_us, retry_us;   /* the object's nextAttemptTime; after a failed write of ours */
    int64_t moment_us;                 /* key in sched->delayed */
    int64_t notice_us, told_us;        /* key in sched->notices; when told was written by us, 0 before */
    struct sched_term *terms;          /* owned, selectors too */
    struct str name, uid, key;         /* key: "ns/name"; all three in one allocation with the struct */
    struct selector_labels labels;     /* owned */
    const char *told;                  /* reason last written (one of the constants), NULL when none */
    char *refused;
    enum run_state state : 8;
    bool cancel, attempted, opens, aside;      /* opens: its workspace; aside: looked at in this pass, back in the heap after it */
    uint8_t nterms, failures;          /* failures: writes in a row that did not succeed */
    enum sched_verdict decided;        /* while in flight */
};

struct group {
    struct heap_node turn;             /* in the pass: by its first Run */
    const struct crun *first;          /* as it was put there */
    struct pool *pool;
    struct heap waiting;
    struct vec *requests;
    size_t runs;                       /* every crun that points here */
};

struct cpod {
    struct heap_node node;             /* in pool->ready, least loaded on top; only pods that may take Runs */
    struct pool *pool;
    struct str name, uid, key, node_name;   /* key: "ns/uid", uid is a part of it */
    struct vec *capacity;              /* NULL: nothing is known but that a Run counts against this uid */
    int64_t *used;                     /* parallel to capacity->v */
    double load;                       /* the fullest resource, 0…1 and beyond */
    struct crun **runs; size_t nruns, cap_runs;
    struct workspace *workspaces;      /* that are on it */
    bool over;                         /* its phase is terminal */
    bool ready, deleting, known;       /* not known: never seen or deleted, stays while Runs count against it */
    uint64_t held_pass;
};

struct pool {                          /* one per Runtime name that anything here mentions */
    struct space *space;
    struct pool *dirty_next;
    struct str name, key;
    struct vec *capacity;              /* of the Runtime object; NULL while there is none */
    bool exists, deleting, dirty;
    char degraded[64], why[160];       /* what the Runtime says is wrong, cut; empty: nothing */
    uint64_t hold_pass;                /* the pass in which one of its pods is kept free */
    struct heap ready;
    struct cpod **pods; size_t npods, cap_pods;
    size_t mentions;                   /* structs of pods, known or not, and of workspaces that point here */
    struct map groups;                 /* by the bytes of what they request */
};

struct space {
    struct str name;
    struct crun **active; size_t nactive, cap_active;
    size_t with_anti;                  /* active Runs with a required anti-affinity term */
};

struct sched {
    struct map spaces, pools, pods, runs;   /* by "ns", "ns/runtime", "ns/uid", "ns/name" */
    struct map workspaces, resource_ids;
    struct workspace *dirty_workspaces, *idle_first, *idle_last;   /* idle: no Run names them; the last to become so last */
    size_t nidle;
    struct cresource { struct str name; size_t users; uint32_t next_free; } *resources;     /* name owned, a C string too; no users: the id is free */
    size_t nresources; uint32_t free_resource;                                             /* the first of those, 0: none */
    struct heap delayed, notices;
    struct crun *urgent;
    struct pool *dirty;
    struct crun **aside; size_t naside, cap_aside;
    uint64_t pass;
    int64_t notices_from_us;           /* the next batch of notices is due then */
    size_t waiting, in_flight, active;
    bool ahead;                        /* sched_assign_ahead */
};

enum {
    SCHED_KEY = 640,                   /* "ns/name" fits: a namespace is 63 bytes, a name 253 */
    SCHED_RUNS_OF_POD = 2,             /* api: absent `runs` of a pod */
    SCHED_RETRY_US = 50000,            /* doubles to 3.2 s */
};

/* cache.c */
struct str sched_key(char *to, size_t size, struct str ns, struct str name);   /* "ns/name", cut when it does not fit */
struct pool *sched_pool(struct sched *, struct str ns, struct str runtime);
void pool_leave(struct sched *, struct pool *);                      /* it isn't dirty: freed when nothing mentions it any more */
void sched_touch(struct sched *, struct pool *);                     /* its waiting Runs are looked at in the next pass */
bool run_by_order(const struct heap_node *, const struct heap_node *);       /* of crun.node */
struct vec *vec_new(struct sched *, struct sched_amounts, int64_t runs_default);
void vec_free(struct sched *, struct vec *);                         /* NULL is fine */
int64_t vec_get(const struct vec *, uint64_t resource);              /* 0 when absent */
struct str vec_bytes(const struct vec *);

/* pods.c: what counts against which pod */
void pod_add_run(struct sched *, struct cpod *, struct crun *);      /* also enters the Run into space->active */
void pod_remove_run(struct sched *, struct crun *);                  /* no-op when it counts against none */
bool pod_fits(const struct cpod *, const struct vec *requests);
bool pod_takes_ahead(const struct cpod *, const struct vec *requests);     /* it is full, and nobody waits on it yet */
bool pod_could_fit(const struct vec *capacity, const struct vec *requests);
void pod_reload(struct cpod *);                                      /* load and place in pool->ready follow its state */
bool pod_open(const struct cpod *);                                  /* may take Runs */
bool pod_is_lost(const struct cpod *);                               /* it was there, and has ended or gone */

struct cpod *pod_known(const struct sched *, struct str ns, struct str uid);          /* NULL: nobody mentioned it */
struct cpod *pod_of_uid(struct sched *, struct pool *, struct str name, struct str uid);   /* made when unknown */
void pod_forget(struct sched *, struct cpod *);                      /* frees it; no Run counts against it any more */

/* queue.c: where a Run waits */
void queue_add(struct sched *, struct crun *, int64_t now_us);       /* by its cancel, refused, not_before */
void queue_remove(struct sched *, struct crun *);

/* affinity.c */
enum fit { FIT_OK, FIT_CAPACITY, FIT_AFFINITY };
bool affinity_matters(const struct crun *);                          /* terms of its own, or somebody's anti-affinity in its namespace */
bool affinity_allows(const struct crun *, const struct cpod *);
double affinity_score(const struct crun *, const struct cpod *);   /* −1…1, 0 without preferred terms */

/* explain.c */
const char *explain_reason(struct str reason);                       /* the constant of that name; NULL when it isn't one of ours */
const char *explain_wait(struct sched *, const struct crun *, char *message, size_t size);  /* reason; fills the message */
#endif
