/* SPDX-License-Identifier: Apache-2.0 */
/* pods: what counts against which pod, and what still fits there. Shared by the files of this folder only. */
#ifndef CRDS_SCHED_PODS_H
#define CRDS_SCHED_PODS_H
#include "crds/sched/cache.h"

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
#endif
