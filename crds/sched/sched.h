/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched: which Pending Run goes to which Runtime Pod.
 *
 * A cache of Runtimes, Pods and Runs that is told of every change, and one pass over it that decides. No I/O: the
 * decisions are handed out as a list, whoever carries them out reports back with sched_done. Times are arguments.
 *
 * The order among waiting Runs is priority, with age counting: a Run gains one point of priority per SCHED_POINT_US it
 * has waited, so none starves, and as all gain alike the order of two Runs never changes and a plain heap holds it.
 * Runs that ask for the same thing of the same Runtime wait in one group: when its first doesn't fit, none does, and a
 * pass costs what it places, not what waits.
 *
 * Runs that affinity keeps out stand aside until a Run begins or ends somewhere in their namespace, or a pod changes. What
 * may be compared for them is limited in each namespace: what is left is judged a little later, in turn.
 *
 * Runs that share a workspace run on one pod. Where that is is known from what they say, or asked for once, and kept in
 * mind while Runs of the same owner come. Of a Run that says it is the first to name its workspace nothing is asked. On that pod they are bound at once, be it full or draining: runtimed serves them
 * first, so they wait for a slot at most, never for a queue. When the pod is lost, so is the workspace: they are ended; but where
 * none of them had started there, nothing is lost, and the workspace is nowhere again.
 *
 * A placed Run counts against its pod from the decision on (reservation): until the bind failed, or the watch has shown
 * the resourceVersion that the bind wrote, whichever object the watch may show in between.
 */
#ifndef CRDS_SCHED_SCHED_H
#define CRDS_SCHED_SCHED_H
#include "core/kr.h"
#include "k8s/selector.h"

enum {
    SCHED_POINT_US = 10 * 1000000,      /* waiting this long is worth one point of priority */
    SCHED_NOTICE_US = 2 * 1000000,      /* a Run that waits longer is told why, once ... */
    SCHED_RENOTICE_US = 30 * 1000000,   /* ... and again at most this often, when the reason changed */
    SCHED_HOLD_US = 30 * 1000000,       /* the first in order, waiting longer than this, has a pod kept free for it */
    SCHED_NOTICES_PER_PASS = 4,         /* notices are writes too: binds go first, and in a queue that moves ... */
    SCHED_NOTICES_APART_US = 125000,    /* ... many are assigned before these few at a time come to them */
};

struct sched;

struct sched_amount { struct str resource; int64_t n; };            /* {"runs", 1} */
struct sched_amounts { const struct sched_amount *v; size_t n; };

enum sched_topology { SCHED_BY_POD, SCHED_BY_NODE };
/* Where Runs that `selector` matches run is where this Run wants to be (affinity) or not to be (anti-affinity). */
struct sched_term {
    struct selector *selector;          /* owned by the cache once the Run was handed over */
    enum sched_topology topology;
    bool anti, preferred;
    int32_t weight;                     /* preferred terms: 1…100 */
};

/* What the cache is told. Strings are copied. */
struct sched_runtime {
    struct str ns, name;
    struct sched_amounts capacity;
    bool deleting;
    struct str degraded, why;           /* reason and message of its condition Degraded=True, empty when there is none */
};
struct sched_pod {
    struct str ns, name, uid, runtime, node;
    struct sched_amounts capacity;      /* without "runs": 2 of it */
    bool ready, deleting, over;         /* ready: phase Running and condition Ready=True; over: phase Succeeded or Failed */
};
enum sched_phase { SCHED_PENDING, SCHED_ACTIVE, SCHED_OVER };       /* active: Scheduled or Running; over: terminal */
struct sched_run {
    struct str ns, name, uid, runtime;
    uint64_t version;                   /* resourceVersion as a number */
    enum sched_phase phase;
    struct str pod, pod_uid;            /* status.assignedPod*, when active */
    int32_t priority;
    int64_t created_us, not_before_us;  /* wall clock; not_before: status.nextAttemptTime, 0 when absent */
    bool cancel, attempted, started;    /* attempted: status.attempt is set; started: condition Started=True */
    struct sched_amounts requests;      /* without "runs": 1 of it */
    struct selector_labels labels;
    struct sched_term *terms; size_t nterms;
    struct str refused;                 /* not empty: the Run is ended as Failed (InvalidResources) with this message */
    struct str told;                    /* reason of its Scheduled=False condition, empty when there is none */
    struct str workspace, owner;        /* spec.workspace.name, or empty; UID of the controller that owns the Run, or empty */
    bool opens_workspace;               /* it says that no Run before it names the workspace */
};

struct sched *sched_new(void);
void sched_free(struct sched *);
/* A pod that is full takes one Run more, which waits there for the next free slot: no write stands between two Runs. */
void sched_assign_ahead(struct sched *, bool);
/* Nobody else waits: a pass judges all Runs with affinity, however long their terms are. */
void sched_unhurried(struct sched *);
void sched_set_runtime(struct sched *, const struct sched_runtime *);
void sched_del_runtime(struct sched *, struct str ns, struct str name);
void sched_set_pod(struct sched *, const struct sched_pod *);
void sched_del_pod(struct sched *, struct str ns, struct str uid);
/* Takes the selectors of r->terms (they are freed with the Run, or at once when the object is older than what is known). */
void sched_set_run(struct sched *, const struct sched_run *r, int64_t now_us);
void sched_del_run(struct sched *, struct str ns, struct str name);

/* ASK: the answer is sched_workspace, not sched_done. */
enum sched_verdict { SCHED_BIND, SCHED_CANCEL, SCHED_FAIL, SCHED_WAIT, SCHED_ASK };
struct sched_decision {
    enum sched_verdict verdict;
    struct str ns, run, uid;            /* these live until the next change of the cache */
    uint64_t version;                   /* what the decision rests on: the write is conditional on it */
    struct str pod, pod_uid;            /* BIND */
    struct str runtime, workspace;      /* ASK: on which pod does a Run of this name and Runtime run, or did? runtime: BIND too */
    int64_t since_us;                   /* BIND: it has been waiting since, as seen here */
    bool first;                         /* BIND: attempt 1 is to be written */
    const char *reason;                 /* FAIL, WAIT: CamelCase */
    char message[256];                  /* BIND: why this pod; FAIL, CANCEL, WAIT: for people */
};
/* Decides until nothing more can be decided at this moment or `out` is full (returns how many; when it is full call
 * again). Each decided Run is left alone until sched_done. now_us is wall-clock time. */
size_t sched_pass(struct sched *, int64_t now_us, struct sched_decision *out, size_t max);
/* How a decision ended: version is what the write answered, 0 when it failed (the Run then waits again as the watch shows it). */
void sched_done(struct sched *, struct str ns, struct str run, struct str uid, uint64_t version, int64_t now_us);
/* The answer to ASK: the pod that any Run of the workspace names, terminal ones included; pod_uid empty: none does. */
void sched_workspace(struct sched *, struct str ns, struct str runtime, struct str workspace, struct str pod_uid);
/* When the next pass has something to do though nothing changes; INT64_MAX: never. Valid after a pass. */
int64_t sched_next_us(const struct sched *);

/* For people, who ask about one Run: where it stands after a pass, and what each pod of its Runtime is to it. */
enum sched_look_state { SCHED_LOOK_WAITING, SCHED_LOOK_DELAYED, SCHED_LOOK_DECIDED, SCHED_LOOK_ACTIVE };
struct sched_look {
    enum sched_look_state state;
    size_t npods, before;               /* before: waiting Runs of the Runtime that go first */
    int64_t moment_us;                  /* DELAYED: until then */
    struct str pod;                     /* ACTIVE: what it counts against; lives until the next change */
    const char *reason;                 /* WAITING: as in its condition, message too */
    char message[256];
};
enum sched_room { SCHED_FREE, SCHED_FULL, SCHED_APART, SCHED_HELD, SCHED_DRAINING, SCHED_NOT_READY };
struct sched_look_pod { struct str name, node; enum sched_room room; size_t runs; char amounts[256]; };    /* amounts: "runs=2/4,gpu=0/1" */
bool sched_look(struct sched *, struct str ns, struct str run, struct sched_look *);               /* false: no such Run that isn't over */
bool sched_look_pod(struct sched *, struct str ns, struct str run, size_t i, struct sched_look_pod *);      /* in order, from 0 on */

/* For `top`: each pod that is there and each Runtime that anybody mentions, in no order; *at begins as 0. False at the end. */
struct sched_look_pool { struct str ns, name; bool exists; size_t pods, ready, waiting, active; char amounts[256]; };
bool sched_next_pod(const struct sched *, size_t *at, struct str *ns, struct str *runtime, struct sched_look_pod *);
bool sched_next_pool(const struct sched *, size_t *at, struct sched_look_pool *);

/* For metrics: what is where. */
struct sched_stats { size_t pools, pods, ready, waiting, delayed, in_flight, active, resources, names; };      /* names: of resources, of Runtimes */
struct sched_stats sched_stats(const struct sched *);
#endif
