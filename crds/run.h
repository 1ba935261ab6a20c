/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: what everybody who writes a Run's status has to agree on: phases, conditions, the fields of an end.
 */
#ifndef CRDS_RUN_H
#define CRDS_RUN_H
#include "crds/crds.h"

/* Annotation of a Run, "true": no Run before it has named its shared workspace, so that the scheduler may put it anywhere without asking. */
#define RUN_OPENS_WORKSPACE "kruntimes.io/opens-workspace"

bool run_is_terminal(const struct run *);
bool run_phase_is_terminal(struct str phase);
struct str run_phase(const struct run *);                    /* absent is "Pending" */
/* "True", "False", "Unknown"; absent is empty. */
struct str run_condition(const struct run *, const char *type);
int64_t run_attempts_max(const struct run *);                /* retryPolicy.maxAttempts, 1 where absent */
/* Wait before attempt `next` (2…): backoff doubled per retry, at most 60 s. */
int64_t run_backoff_us(const struct run *, int64_t next);
bool run_may_retry(const struct run *, const char *reason);  /* by retryableReasons and the reasons that never are; not by attempts */

struct run_condition_set { const char *type, *status, *reason; struct str message; bool remove; };
/* Writes the whole list as a JSON array: the Run's own, changed by `set`. lastTransitionTime stays where status does. */
void run_put_conditions(struct buf *, const struct run *, const struct run_condition_set *set, size_t n, int64_t wall_us);
/* "2.4s", "12ms", "1m5s": status.duration. */
struct str run_duration_text(int64_t us, char out[32]);
/* The name of the condition's reason is the phase's cause; terminal phases set Finished=True and Succeeded. */
struct run_end { const char *phase, *reason; struct str message; };
/* Members of status for a terminal phase: phase, reason, message, completionTime, conditions; into an open object. started_us 0:
 * it never started. */
void run_put_end(struct buf *, const struct run *, const struct run_end *, int64_t started_us, int64_t wall_us);
#endif
