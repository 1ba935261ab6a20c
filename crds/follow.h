/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow: one Run from now to its end: its changes, and what it writes, as it writes it. Logs come from the runtimed of the
 * Run's pod through pods/portforward, attempt after attempt; when that pod is gone, out of the Runtime's store through another
 * of its pods.
 */
#ifndef CRDS_FOLLOW_H
#define CRDS_FOLLOW_H
#include "crds/run.h"
#include "k8s/informer.h"

/* So often the API server is asked that nobody has seen yet; one that was there is waited for. */
enum { FOLLOW_TRIES = 6 };

struct follow;
struct follow_config {
    struct str ns, name;
    bool logs;                                    /* output is wanted */
    bool until_end;                               /* else: what there is now (logs of one attempt), then done */
    int64_t attempt;                              /* this one only; 0: each from the first, without until_end the last */
    bool previous;                                /* the one before the last; not with attempt or until_end */
    int64_t tail_lines, since_us;                 /* lines from the end, 0: all; wall clock moment, 0: all */
    void (*changed)(void *ctx, const struct run *);                       /* may be NULL */
    void (*output)(void *ctx, int stream, struct str bytes);              /* 1 stdout, 2 stderr */
    void (*output_at)(void *ctx, int stream, struct str bytes, int64_t unix_us, int64_t attempt);      /* in its place; may be NULL */
    void (*trouble)(void *ctx, const struct kr_err *);                    /* the Run can't be watched now: it is tried again; may be NULL */
    void (*missing)(void *ctx, const struct kr_err *);                    /* a part of the output is given up, it goes on; may be NULL */
    /* Once: run is the last state (NULL: it is gone), error tells what kept it from being followed. */
    void (*done)(void *ctx, const struct run *, const struct kr_err *error);
    void *ctx;
};
struct follow *follow_run(struct kube *, const struct follow_config *, struct rnd *);     /* strings are copied */
void follow_stop(struct follow *);                /* no further callback; NULL is fine */
/* Exit status of a command that waited for it: the Run's own, 124 Timeout, 123 Cancelled, 122 lost or refused. */
int run_exit_status(const struct run *);
enum {
#define EXIT(name, status, meaning) EXIT_##name = (status),
#include "crds/exits.def"
#undef EXIT
};
/* Whether to give up after a failure before anything was seen: it will not get better by waiting, or FOLLOW_TRIES are over.
 * *failures: their number so far. */
bool follow_gives_up(const struct kr_err *, int *failures);
/* The exit status of a failure of ours while waiting. */
int failure_exit_status(const struct kr_err *);
#endif
