/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workqueue: keys that need a look, each at most once, never one that is being worked on (client-go's work queue as an
 * idea). A key that failed comes back after a wait that doubles from 10 ms to 60 s, or with news of it; success forgets the wait. Beyond
 * WORKQUEUE_AT_ONCE that are being worked on the others wait here: what they send would wait all the same, and its time run.
 */
#ifndef K8S_WORKQUEUE_H
#define K8S_WORKQUEUE_H
#include "core/loop.h"

enum { WORKQUEUE_AT_ONCE = 256 };
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
