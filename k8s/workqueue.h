/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workqueue: keys that need a look, each at most once, never one that is being worked on (client-go's work queue as an
 * idea). A key that failed comes back after a wait that doubles from 10 ms to 60 s; success forgets the wait.
 */
#ifndef K8S_WORKQUEUE_H
#define K8S_WORKQUEUE_H
#include "core/loop.h"

struct workqueue;
/* work(ctx, key) is called from the loop; it must end, now or later, in exactly one workqueue_done for that key. */
struct workqueue *workqueue_new(struct loop *, void (*work)(void *ctx, struct str key), void *ctx);
void workqueue_begin(struct workqueue *);         /* until then keys gather: what a look needs isn't there yet */
void workqueue_free(struct workqueue *);
void workqueue_add(struct workqueue *, struct str key);                /* soon; while it is being worked on: once more after that */
void workqueue_add_at(struct workqueue *, struct str key, int64_t mono_us);    /* not before; an earlier moment wins */
/* The work on key is over. failed: comes back after its wait. */
void workqueue_done(struct workqueue *, struct str key, bool failed);
#endif
