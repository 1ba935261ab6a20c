/* SPDX-License-Identifier: Apache-2.0 */
/*
 * artifacts: what attempts leave in $KRUNTIME_ARTIFACTS_DIR, to the Runtime's store (artifacts.c) and from there to who may
 * have it: people (download.c), and Runs that name them in spec.artifacts (inputs.c). The store itself is a helper's business (`kruntimes artifact-helper`, applets/artifact).
 */
#ifndef APPLETS_RUNTIMED_ARTIFACTS_H
#define APPLETS_RUNTIMED_ARTIFACTS_H
#include "grpc/grpc.h"

struct runtimed;
struct task;
struct artifacts_config {
    struct str store;                             /* status.artifactStore as JSON; empty: there is none */
    struct str place, spool;                      /* where the helper finds it (applets/artifact/store.h) */
    int64_t bytes;                                /* of all artifacts of a Run */
    bool keep_logs;                               /* of Runs without artifacts, too */
};
bool artifacts_has_store(const struct runtimed *);
/* The outcome is known: is there something for the store? Logs go with artifacts, and alone where they are to be kept. */
bool artifacts_wanted(const struct task *);
/* task_stored comes, or the task is dropped. */
void artifacts_begin(struct task *);
void artifacts_snapshot_written(struct task *);   /* WRITE_STORE was accepted */
void artifacts_have_no_room(struct task *);       /* what is written for them doesn't fit into the Run's object: task_stored comes, and they go again */
void artifacts_abandon(struct task *);            /* what it stored, or is storing, goes again */
void artifacts_free(struct task *);
/* inputs.c: true when spec.artifacts are to be brought first; task_prepared, task_refused or task_stopped comes. */
bool inputs_begin(struct task *);
void inputs_stop(struct task *);                  /* the Run is to stop */
void inputs_free(struct task *);
/* Of a Run's reference, the artifact's key in our store; empty when it isn't there, or not where that Run's artifacts go. */
struct run;
struct artifact_ref;
struct str artifacts_key_of(const struct runtimed *, const struct run *, const struct artifact_ref *, struct arena *);
const struct artifact_ref *artifacts_ref_of(const struct run *, struct str name);      /* NULL: it has none of that name */
/* "NAMESPACE/UID/ATTEMPT-POD" of the attempt. */
struct str artifacts_prefix(const struct task *, struct arena *);
/* The order for a helper: store and place are in it, more may follow; and its environment. */
void artifacts_order(const struct runtimed *, struct buf *);
const char *const *artifacts_environment(struct arena *);
/* What it said at its end. KR_INVALID: that it can't be, in its own words; other codes: it could not even say so. */
struct helper_end;
int artifacts_answer(const struct helper_end *, struct kr_err *);

/* stored.c: an attempt's log out of the store, asked for by the Run's name and UID. `got` comes once, with a reader (its to free)
 * or with a gRPC status that says why not; attempt 0: the last. */
struct stored_log;
struct log_reader;
/* Who reads the store for a call holds a process, until store_readers is counted down. False: too many do, and the call has ended. */
bool store_reader_begins(struct grpc_request *);
/* Of one that has begun; stored_stop counts it down. */
struct stored_log *stored_fetch(struct runtimed *, struct str run, struct str uid, int64_t attempt, struct str key,
                                void (*got)(void *ctx, struct log_reader *, int64_t attempt, int status, struct str text), void *ctx);
void stored_stop(struct stored_log *);            /* also from inside `got`; NULL is fine */

extern const struct grpc_method download_methods[];
#endif
