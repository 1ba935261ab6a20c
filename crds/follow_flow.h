/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow_flow: one Workflow from now to its end: its changes, its child Runs, and what they write, as they write it, line by
 * line with the step that wrote it. Children are found by their label; of very many only some are read at a time.
 */
#ifndef CRDS_FOLLOW_FLOW_H
#define CRDS_FOLLOW_FLOW_H
#include "crds/follow.h"

struct flow_follow;
struct flow_follow_config {
    struct str ns, name;
    bool logs;                                    /* output is wanted */
    bool until_end;                               /* else: what there is now, then done */
    struct str only;                              /* "JOB" or "JOB/STEP": output of these alone; empty: of all */
    void (*changed)(void *ctx, const struct workflow *);                  /* may be NULL */
    void (*child)(void *ctx, const struct run *);                         /* a child is new or has changed; may be NULL */
    /* One line, its newline included, of a child: label "build/test", or "build[1]/test" in the leg of that index. */
    void (*line)(void *ctx, struct str label, int stream, struct str line);
    void (*trouble)(void *ctx, const struct kr_err *);                    /* may be NULL */
    /* Once: w is the last state (NULL: it is gone), exit the status of a command that waited for it. */
    void (*done)(void *ctx, const struct workflow *w, int exit, const struct kr_err *error);
    void *ctx;
};
struct flow_follow *follow_flow(struct kube *, const struct flow_follow_config *, struct rnd *);      /* strings are copied */
void follow_flow_stop(struct flow_follow *);      /* no further callback; NULL is fine */
bool workflow_is_over(const struct workflow *);
#endif
