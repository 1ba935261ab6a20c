/* SPDX-License-Identifier: Apache-2.0 */
/* prepare: the workspace of an attempt, before and after it. */
#ifndef APPLETS_RUNTIMED_PREPARE_H
#define APPLETS_RUNTIMED_PREPARE_H
#include "core/kr.h"

struct runtimed;
struct task;
/* 0: ready; 1: its Git source is being fetched. */
int prepare_workspace(struct task *, struct kr_err *);
void remove_workspace(struct runtimed *, struct str uid);
void remove_spares(struct runtimed *);            /* of a process before us */
/* Reads $KRUNTIME_OUTPUTS into t->outputs. KR_TOO_LARGE, KR_INVALID as outputs_parse. */
int read_outputs(struct task *, struct kr_err *);
bool has_artifacts(const struct task *);
#endif
