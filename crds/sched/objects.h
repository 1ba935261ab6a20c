/* SPDX-License-Identifier: Apache-2.0 */
/* objects: from API objects to what the cache is told. */
#ifndef CRDS_SCHED_OBJECTS_H
#define CRDS_SCHED_OBJECTS_H
#include "core/model.h"
#include "crds/sched/sched.h"

/* Each takes a checked JSON text; what can't be decoded is passed over (KR_INVALID in *e, for the log). */
int sched_take_run(struct sched *, struct str json, int64_t now_us, struct kr_err *);
int sched_take_runtime(struct sched *, struct str json, struct kr_err *);
bool sched_capacity(struct str_pair annotation, struct sched_amount *ret);      /* of a pod: what it offers of one resource; false: another annotation */
int sched_take_pod(struct sched *, struct str json, struct str *uid, struct kr_err *);      /* uid: a copy the caller frees */
#endif
