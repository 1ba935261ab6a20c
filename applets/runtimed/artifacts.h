/* SPDX-License-Identifier: Apache-2.0 */
/*
 * artifacts: what attempts leave in $KRUNTIME_ARTIFACTS_DIR, to the Runtime's store (artifacts.c) and from there to who may
 * have it (download.c). The store itself is a helper's business (`kruntimes artifact-helper`, applets/artifact).
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
};
bool artifacts_has_store(const struct runtimed *);
/* The outcome is known and there are some: task_stored comes, or the task is dropped. */
void artifacts_begin(struct task *);
void artifacts_snapshot_written(struct task *);   /* WRITE_STORE was accepted */
void artifacts_abandon(struct task *);            /* what it stored, or is storing, goes again */
void artifacts_free(struct task *);
/* "NAMESPACE/UID/ATTEMPT-POD" of the attempt. */
struct str artifacts_prefix(const struct task *, struct arena *);
/* The order for a helper: store and place are in it, more may follow; and its environment. */
void artifacts_order(const struct runtimed *, struct buf *);
const char *const *artifacts_environment(struct arena *);

extern const struct grpc_method download_methods[];
#endif
