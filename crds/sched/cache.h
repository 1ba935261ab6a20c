/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache: the structs behind sched.h, shared by the files of this folder only.
 *
 *   space (namespace) ── pools (Runtimes) ── pods
 *                     │                  ├── groups: waiting Runs that ask for the same
 *                     │                  └── waiting Runs that affinity keeps out, as things are
 *                     └── active Runs, for affinity
 */
#ifndef CRDS_SCHED_CACHE_H
#define CRDS_SCHED_CACHE_H
#include "crds/sched/sched.h"
#include "crds/sched/workspaces.h"
#include "core/heap.h"
#include "core/map.h"

/* Sorted by resource; without padding, as its bytes are a key. terms: of a Run with affinity, whose like wait in a group of their own. */
struct vec { uint32_t n, terms; struct { uint64_t resource; int64_t n; } v[]; };

enum run_state {
    RUN_IDLE,        /* nothing to decide: over, or active on a pod */
    RUN_WAITING,     /* in its group's heap, its workspace's, or among those of its pool that affinity keeps out */
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
    struct heap *in;                   /* while waiting: the heap that has it */
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
    bool cancel, attempted, opens;     /* opens: its workspace */
    uint8_t nterms, failures;          /* failures: writes in a row that did not succeed */
    uint32_t judged;                   /* the round of its pool in which affinity kept it out */
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

struct node { struct str name; size_t pods; uint64_t marked; };

struct cpod {
    struct heap_node node;             /* in pool->ready, least loaded on top; only pods that may take Runs */
    struct pool *pool;
    struct str name, uid, key;         /* key: "ns/uid", uid is a part of it */
    struct node *on_node;              /* NULL: it has none yet */
    struct vec *capacity;              /* NULL: nothing is known but that a Run counts against this uid */
    int64_t *used;                     /* parallel to capacity->v */
    double load;                       /* the fullest resource, 0…1 and beyond */
    struct crun **runs; size_t nruns, cap_runs;
    struct workspace *workspaces;      /* that are on it */
    bool over;                         /* its phase is terminal */
    bool ready, deleting, known;       /* not known: never seen or deleted, stays while Runs count against it */
    uint64_t held_pass;
    uint64_t marked;                   /* equal to sched->mark: a Run that the term of this moment selects is here */
    bool apart; double score;          /* of the Run that was judged last */
};

struct pool {                          /* one per Runtime name that anything here mentions */
    struct space *space;
    struct pool *dirty_next;
    struct str name, key;
    struct vec *capacity;              /* of the Runtime object; NULL while there is none */
    bool exists, deleting, dirty;
    char degraded[64], why[160];       /* what the Runtime says is wrong, cut; empty: nothing */
    uint64_t hold_pass;                /* the pass in which one of its pods was last kept free; 0: none is */
    struct heap ready;
    struct cpod **pods; size_t npods, cap_pods;
    size_t mentions;                   /* structs of pods, known or not, and of workspaces that point here */
    struct map groups;                 /* by the bytes of what they request */
    struct heap apart;                 /* waiting Runs that affinity kept out when they were judged */
    bool changed;                      /* what they were judged by: they go back to their groups */
    struct heap_node kept, judging;    /* in space->kept while there are some; in space->judging while some are yet to be judged */
    uint64_t turn;                     /* key in space->judging */
    uint32_t round;                    /* so often the Runs in apart went back */
};

struct space {
    struct str name;
    struct crun **active; size_t nactive, cap_active;
    size_t with_anti;                  /* active Runs with a required anti-affinity term */
    struct heap kept, judging;         /* pools that have Runs affinity keeps out; those whose Runs wait to be judged, first come first */
    struct heap_node rest;             /* in sched->resting until what judging cost is paid */
    int64_t compared, paid_us, rest_us;    /* what is not paid yet, as of when; key in sched->resting */
};

struct sched {
    struct map spaces, pools, pods, runs;   /* by "ns", "ns/runtime", "ns/uid", "ns/name" */
    struct map workspaces, resource_ids, nodes;
    struct workspace *dirty_workspaces, *idle_first, *idle_last;   /* idle: no Run names them; the last to become so last */
    size_t nidle;
    struct cresource { struct str name; size_t users; uint32_t next_free; } *resources;     /* name owned, a C string too; no users: the id is free */
    size_t nresources; uint32_t free_resource;                                             /* the first of those, 0: none */
    struct heap delayed, notices;
    struct crun *urgent;
    struct pool *dirty;
    struct heap resting;               /* spaces that used up what they may compare */
    uint64_t pass, mark, turns;
    int64_t notices_from_us;           /* the next batch of notices is due then */
    size_t waiting, in_flight, active;
    bool ahead, unhurried;             /* sched_assign_ahead, sched_unhurried */
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
void sched_touch(struct sched *, struct pool *);                     /* its groups are looked at in the next pass */
void pool_changed(struct sched *, struct pool *);                    /* Runs that affinity kept out too: its pods changed */
bool run_by_order(const struct heap_node *, const struct heap_node *);       /* of crun.node */
struct vec *vec_new(struct sched *, struct sched_amounts, int64_t runs_default);
void vec_free(struct sched *, struct vec *);                         /* NULL is fine */
int64_t vec_get(const struct vec *, uint64_t resource);              /* 0 when absent */
struct str vec_bytes(const struct vec *);
struct str vec_key(const struct vec *);                              /* of a group: the bytes, and whether it is of Runs with terms */

/* queue.c: where a Run waits */
void queue_add(struct sched *, struct crun *, int64_t now_us);       /* by its cancel, refused, not_before */
void queue_remove(struct sched *, struct crun *);

/* explain.c */
const char *explain_reason(struct str reason);                       /* the constant of that name; NULL when it isn't one of ours */
const char *explain_wait(struct sched *, const struct crun *, char *message, size_t size);  /* reason; fills the message */
#endif
