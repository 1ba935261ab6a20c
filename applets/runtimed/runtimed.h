/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtimed: the sidecar's state, shared by the files of this folder only.
 *
 *   claim.c     which Runs are ours, and who gets a slot next       logs.c    what executions wrote, on disk
 *   task.c      one Run from its slot to its end                    tail.c    the Logs service
 *   exec.c      the Runtime Server's side of a task                 journal.c what a restart has to know
 *   status.c    what is written to the API, and what comes back     drain.c   an orderly end
 *   source.c    a Git source, by a process that fetches it          inputs.c  artifacts of other Runs, into the workspace
 *   prepare.c   the workspace; shared.c: one that Runs share        server.c  the Runtime Server: secret, health, leftovers
 *   artifacts.c files that attempts leave, on their way to a store  download.c  the ArtifactService
 *   gone.c      workspaces on their way out
 *
 * A Run has a record as long as its object names this pod; it has a task from when it is claimed until its terminal phase is
 * written and its processes are gone.
 */
#ifndef APPLETS_RUNTIMED_RUNTIMED_H
#define APPLETS_RUNTIMED_RUNTIMED_H
#include "applets/runtimed/artifacts.h"
#include "applets/runtimed/claim.h"
#include "applets/runtimed/drain.h"
#include "applets/runtimed/gone.h"
#include "applets/runtimed/journal.h"
#include "applets/runtimed/logs.h"
#include "applets/runtimed/outputs.h"
#include "applets/runtimed/prepare.h"
#include "applets/runtimed/server.h"
#include "applets/runtimed/source.h"
#include "applets/runtimed/shared.h"
#include "core/map.h"
#include "crds/run.h"
#include "grpc/grpc.h"
#include "k8s/informer.h"
#include <time.h>

enum { UID_MAX = 64, CAPACITY_MAX = 32, RUNNING_GRACE_US = 50000, WORKSPACE_FOLDERS = 5, WORKSPACE_SPARES = 64 };
struct amount { char name[64]; int64_t n, used; };

struct runtimed {
    struct loop *loop;
    struct kube *kube;
    struct rnd rnd;
    struct str pod, pod_uid, ns, runtime; unsigned series;        /* series: of metrics, the Runtime's */
    const char *workspace, *state, *secret_file;
    struct artifacts_config artifacts;
    bool print_output;                            /* as lines of JSON on stdout */
    int spares; struct timespec spare_seen[WORKSPACE_SPARES][WORKSPACE_FOLDERS];    /* workspaces for later Runs; as seen_empty */
    struct source_config git;
    int workspace_fd;                             /* the directory workspace, open */
    struct amount capacity[CAPACITY_MAX]; size_t ncapacity;
    struct informer *runs;
    struct grpc_client *server;
    char secret[65], auth[80];
    bool server_ok, server_seen, no_watch, swept;
    struct grpc_call *health, *list;
    struct timer health_timer;
    struct map by_key, by_uid, shared;            /* struct record; struct shared by name */
    struct journal *journal;
    struct gone gone;
    struct task *tasks; size_t ntasks, log_readers, store_readers;        /* readers: calls from outside that hold a file, a process */
    struct defer serve_slots;
    struct timer room_timer; size_t nslots, most, more;           /* slots taken; while the timer is set: that the server has room for, and so many more after it */
    bool draining, stopping;
    int64_t drain_grace_us;
    struct timer drain_timer, drain_again;
    bool drain_late;                              /* what still runs was told to end: nothing is begun any more */
    void (*drained)(struct runtimed *);           /* called whenever the last task ends while draining */
};

struct record {
    char *key;                                    /* "ns/name" */
    char uid[UID_MAX], access_key[33];
    int64_t attempt;                              /* last one that began here */
    bool over, gone;                              /* it has ended, by the object or by us; the object is gone or names another pod */
    struct task *task;
    struct shared *shared;                        /* the workspace it shares, NULL when it has one of its own */
    struct log *log;                              /* of the attempt that runs; NULL when none does */
};

enum task_state {
    TASK_WAITING,       /* for a slot */
    TASK_STARTING,      /* its source is fetched, or Execute is under way or tried again; or it is looked for after a restart */
    TASK_RUNNING,       /* accepted */
    TASK_STOPPING,      /* Cancel is under way */
    TASK_BACKOFF,       /* between attempts; keeps its slot */
    TASK_ENDING,        /* the outcome is known and being written */
};
enum stop_cause { STOP_NONE, STOP_CANCEL, STOP_TIMEOUT, STOP_DRAIN, STOP_GONE };
enum write_kind { WRITE_NONE, WRITE_RUNNING, WRITE_STORE, WRITE_RETRY, WRITE_END, WRITE_PENDING };

struct task {
    struct task *next, **at;
    struct runtimed *d;
    struct record *rec;
    struct str ns, name, uid;
    struct model_kept kept;                       /* the object as last seen; run is decoded from it */
    struct run *run;
    enum task_state state;
    char phase[16];                               /* as the API has it, by what we saw and wrote */
    int64_t attempt;
    bool slot, adopted, told_running, last_look;  /* adopted: found after a restart, its execution may be there; last_look: before Cancel */
    struct timespec seen_empty[WORKSPACE_FOLDERS];        /* ctime of a folder of its workspace when it was seen to be empty, or 0 */
    int64_t created_us, begun_wall_us, accepted_wall_us, ended_wall_us;
    int64_t seen_us;                              /* monotonic: when it was seen; 0 once its phase Scheduled was counted */

    struct source *source; struct inputs *inputs; bool inputs_there;      /* while it is fetched; while spec.artifacts are brought; they are in the workspace */
    char commit[65];                              /* what source.commitSHA turned out to be; empty: not known */
    struct grpc_call *call, *watch;               /* Execute, Cancel, Forget or Status; Watch */
    struct timer again, grace, deadline, backoff, rewrite;
    int64_t wait_us, write_wait_us;               /* before `again` and `rewrite`; they double */
    uint64_t seen[3];                             /* bytes of each stream that are in the log */
    bool ended, lost, mistaken, unconfirmed, cancelled, heard;    /* the end was seen; the server doesn't know it; it answered about another; Cancel was given up; it is through, or was given up: only Watch is waited for; this answer was readable */
    int64_t untold_since_us, cancel_until_us;     /* monotonic: the server answers and fails to tell; Cancel is tried; 0: not so */
    int final_state; int32_t exit_code; char error[512];
    enum stop_cause stop;

    struct kube_call *write; enum write_kind writing, wanted;      /* wanted: to be written when the one under way is through */
    const char *end_phase, *end_reason;
    char end_message[1024];
    struct outputs outputs; struct buf outputs_text;
    bool with_exit_code, bare_end, prepared;      /* bare_end: its object has room for no more than the phase; prepared: but for room in the server all is there */
    struct buf unprinted[3];                      /* of each stream the line that isn't whole yet (print.c) */
    struct storing *storing;                      /* its artifacts are being stored; NULL: they are not */
    struct buf refs;                              /* status.artifactRefs as JSON: stored by this attempt */
    int64_t next_attempt_us;                      /* wall clock, with WRITE_RETRY and WRITE_PENDING */
};

/* task.c */
struct task *task_new(struct runtimed *, struct record *, struct str json);
void task_update(struct task *, struct str json); /* the object changed */
void task_begin(struct task *);                   /* it has its slot */
void task_prepared(struct task *);                /* its source, or what its artifacts brought, is there */
void task_accepted(struct task *);
void task_found(struct task *);                   /* after a restart: the server has it */
void task_unbegun(struct task *);                 /* after a restart: Execute had never arrived */
void task_ended(struct task *);                   /* its end was seen */
void task_lost(struct task *);                    /* the server doesn't know it */
void task_refused(struct task *, const char *reason, struct str message);     /* it can't be executed */
void task_postponed(struct task *);               /* nor now, but later */
void task_stop(struct task *, enum stop_cause);
void task_stopped(struct task *);                 /* Cancel is through: nothing of it is left */
void task_written(struct task *, enum write_kind);      /* WRITE_NONE: one was given up */
void task_stored(struct task *, const char *reason, struct str message);      /* reason NULL: t->refs has them */
void task_is_deleted(struct task *);              /* while its end is being told: it is cancelled */
void task_drop(struct task *);                    /* the Run is gone or no longer ours: end it, write nothing */
void task_free(struct task *);

/* exec.c */
void exec_begin(struct task *);
void exec_look_for(struct task *);                /* after a restart: has it begun? */
void exec_follow(struct task *);                  /* Watch, or Status again and again */
void exec_cancel_task(struct task *);
void exec_cancel_unheard(struct task *);         /* nobody waits for the answer: a server that didn't answer Execute may have taken it */
void exec_forget_task(struct task *);             /* nobody waits for the answer */

/* status.c */
void status_write(struct task *, enum write_kind);
#endif
