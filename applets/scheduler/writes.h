/* SPDX-License-Identifier: Apache-2.0 */
/* writes: a decision as the merge patch on /status that carries it out, conditional on the version it rests on. */
#ifndef APPLETS_SCHEDULER_WRITES_H
#define APPLETS_SCHEDULER_WRITES_H
#include "crds/sched/sched.h"

void sched_patch(const struct sched_decision *, int64_t wall_us, struct buf *body);
#endif
