/* SPDX-License-Identifier: Apache-2.0 */
/* shared: workspaces that several Runs of this pod share, each as long as a Run object that names it is there. */
#ifndef APPLETS_RUNTIMED_SHARED_H
#define APPLETS_RUNTIMED_SHARED_H
#include "core/kr.h"

struct runtimed;
struct record;
struct task;
struct run;
void shared_join(struct runtimed *, struct record *, const struct run *);     /* a new record */
void shared_leave(struct runtimed *, struct record *);                        /* it goes; the last one takes the directory along */
void shared_ended(struct runtimed *, struct record *);                        /* its task has ended: its owner's next Run may follow */
int64_t shared_busy_until(const struct runtimed *);                           /* monotonic; until then an owner may send its next Run */
struct str work_path(const struct task *, struct arena *);                    /* the working directory, shared or not */
int shared_open(int workspace);                   /* the directory that has them, in that of all workspaces; -1: there is none */
int work_open(const struct task *, struct kr_err *);                          /* a descriptor of it; makes it where it is shared */
void shared_sweep(struct runtimed *);             /* directories that no record names */
void shared_stop(struct runtimed *);
#endif
