/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop: one epoll loop, one thread.
 *
 * The loop owns nothing: embed fdsrc, timer, defer, child in your own struct and get back to it with container_of.
 * Level-triggered. Before each sleep all deferred work runs (write flushes are batched there, frees are made there, so
 * that no object dies while a caller up the stack still holds it); between it and what it defers itself, descriptors and
 * timers have their turn. An idle loop makes no wake-ups.
 */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H
#include "core/clock.h"
#include "core/heap.h"
#include <sys/types.h>

struct loop;
enum { LOOP_IN = 1, LOOP_OUT = 2, LOOP_HUP = 4 };        /* HUP is always reported, with or without being wanted */

struct fdsrc { int fd; unsigned want; void (*ready)(struct loop *, struct fdsrc *, unsigned got); };
struct timer { struct heap_node node; int64_t at_us; void (*fire)(struct loop *, struct timer *); };
struct defer { struct defer *next; bool queued; void (*run)(struct loop *, struct defer *); };
struct child { pid_t pid; struct fdsrc src; void (*ended)(struct loop *, struct child *, int wait_status); };

struct loop *loop_new(const struct clock *clock);        /* aborts when the kernel has no epoll for us */
void loop_free(struct loop *);
int64_t loop_now_us(struct loop *);                      /* monotonic, read once per turn */
int64_t loop_wall_us(struct loop *);

void loop_watch(struct loop *, struct fdsrc *, unsigned want);   /* adds or changes; want 0 keeps HUP only */
void loop_unwatch(struct loop *, struct fdsrc *);                /* no-op when not watched; safe inside callbacks */
void loop_timer_at(struct loop *, struct timer *, int64_t mono_us);  /* sets or moves */
void loop_timer_in(struct loop *, struct timer *, int64_t us);
void loop_timer_stop(struct loop *, struct timer *);
static inline bool timer_is_set(const struct timer *t) { return t->node.slot != 0; }
void loop_defer(struct loop *, struct defer *);                  /* once before the next sleep; no-op when queued */
void loop_defer_cancel(struct loop *, struct defer *);

/* Signals come through signalfd; blocks them in this thread. One handler per loop. */
void loop_signals(struct loop *, const int *signals, size_t n, void (*got)(struct loop *, int sig, void *ctx), void *ctx);
/* Reaps `c->pid` through a pidfd when it ends; c must stay until then or until loop_child_forget. <0 when there is no such child. */
int loop_child(struct loop *, struct child *, struct kr_err *);
void loop_child_forget(struct loop *, struct child *);           /* no longer watched, not reaped */

/* Turns until done(ctx) is true (0), the loop was stopped (1), or mono_us passes the deadline (-1; INT64_MAX: never). */
int loop_run_until(struct loop *, bool (*done)(void *ctx), void *ctx, int64_t deadline_us);
void loop_run(struct loop *);                                    /* until loop_stop */
void loop_stop(struct loop *);
uint64_t loop_wakeups(const struct loop *);                      /* returns of epoll_wait so far: tests of idleness */
#endif
