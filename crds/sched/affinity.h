/* SPDX-License-Identifier: Apache-2.0 */
/*
 * affinity: near which Runs a Run may, must or would rather be. Shared by the files of this folder only.
 *
 * A term speaks of Runs of the same namespace that count against a pod at this moment, and of the same pod or the same
 * node. A required anti-affinity term holds in both directions: it also keeps others away from the Run that has it. A
 * Run whose required affinity matches nobody yet but itself may be the first.
 *
 * To judge a Run is to compare its terms with each active Run of the namespace, once for all pods: what they select
 * is marked where it runs. Only Runs with terms, or with an anti-affine neighbour, are judged, and again only when a Run
 * began or ended somewhere in the namespace or a pod changed. As anybody may write many long terms, a namespace has a
 * budget of comparisons: what it took beyond is paid by time, and until then its Runs that are to be judged wait, pool
 * after pool, so that each is judged in its turn and the Runs of others never wait for it.
 */
#ifndef CRDS_SCHED_AFFINITY_H
#define CRDS_SCHED_AFFINITY_H
#include "crds/sched/cache.h"

bool affinity_matters(const struct crun *);                          /* terms of its own, or somebody's anti-affinity in its namespace */
void affinity_judge(struct sched *, const struct crun *);            /* of each pod of its pool: apart; score, −1…1, 0 without preferred terms */
bool affinity_turn(struct sched *, struct pool *, int64_t now_us);   /* may its Runs be judged? */
void affinity_keep(struct pool *, struct crun *);                    /* it waits in no heap, and now in pool->apart */
void affinity_wait_turn(struct sched *, struct pool *);              /* they may not, and wait for that */
void affinity_turn_over(struct sched *, struct pool *);              /* none of them waits for it any more */
void affinity_rested(struct sched *, int64_t now_us);                /* spaces that have paid go on */
void affinity_changed(struct sched *, struct space *);               /* somebody runs, or no longer, or has other labels */
#endif
