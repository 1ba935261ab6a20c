/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shims: the server's side. A shim that has reported stands in the list of those that wait, the one used last in front, so
 * that a quiet server works with one or two. A process that dies is seen twice, by its socket and by its PID; the PID is
 * what counts, since only then it is reaped. Tests: tests/unit/applets/runtime_server.c
 */
#include "applets/runtime_server/shims.h"
#include <unistd.h>

enum { WAITING_MAX = 16, REST_US = 30000000 };

struct shim {
    struct shim *next, **at;             /* in busy or waiting */
    struct shims *all;
    struct fdsrc src;
    struct child child;
    void (*ended)(void *ctx, const struct shim_report *);    /* NULL: waiting */
    void *ctx;
};
struct shims { struct loop *loop; struct shim *busy, *waiting; size_t nwaiting; struct timer rest; };

static void enlist(struct shim *s, struct shim **list)
{
    s->next = *list;
    s->at = list;
    if (s->next) s->next->at = &s->next;
    *list = s;
}

static void delist(struct shim *s)
{
    *s->at = s->next;
    if (s->next) s->next->at = s->at;
    if (!s->ended) s->all->nwaiting--;
}

/* Its socket is closed, which ends it; `child` stays until it is reaped. */
static void dismiss(struct shim *s)
{
    if (s->src.fd < 0) return;
    loop_unwatch(s->all->loop, &s->src);
    close(s->src.fd);
    s->src.fd = -1;
}

/* One stays, so that a Run now and then doesn't wait for a new one, which may want namespaces. */
static void rest(struct loop *loop, struct timer *t)
{
    struct shims *all = container_of(t, struct shims, rest);
    bool stays = false;
    (void)loop;
    for (struct shim *s = all->waiting; s; s = s->next) {
        if (stays) dismiss(s);
        stays |= s->src.fd >= 0;
    }
}

/* Into the list of those that wait before `ended` is called: it may want a shim at once. */
static void finish(struct shim *s, const struct shim_report *report)
{
    void (*ended)(void *, const struct shim_report *) = s->ended;
    delist(s);
    s->ended = NULL;
    s->all->nwaiting++;
    enlist(s, &s->all->waiting);
    if (!report || report->spent || s->all->nwaiting > WAITING_MAX) dismiss(s);
    loop_timer_in(s->all->loop, &s->all->rest, REST_US);
    ended(s->ctx, report);
}

static void readable(struct loop *loop, struct fdsrc *src, unsigned got)
{
    struct shim *s = container_of(src, struct shim, src);
    struct shim_report r;
    (void)loop, (void)got;
    int rc = shim_read(src->fd, &r);
    if (rc < 0) dismiss(s);
    else if (rc > 0 && s->ended) finish(s, &r);
}

static void died(struct loop *loop, struct child *c, int wait_status)
{
    struct shim *s = container_of(c, struct shim, child);
    struct shim_report r;
    (void)loop, (void)wait_status;
    bool reported = s->ended && s->src.fd >= 0 && shim_read(s->src.fd, &r) > 0;
    dismiss(s);
    if (s->ended) finish(s, reported ? &r : NULL);
    delist(s);
    free(s);
}

static struct shim *start_new(struct shims *all, const struct shim_spec *spec, struct kr_err *e)
{
    struct shim *s = xcalloc(1, sizeof *s);
    s->all = all;
    s->child = (struct child){ .pid = shim_fork(spec, &s->src.fd, e), .ended = died };
    if (s->child.pid < 0 || loop_child(all->loop, &s->child, e) < 0) {
        if (s->child.pid > 0)
            close(s->src.fd);
        free(s);
        return NULL;
    }
    s->src.ready = readable;
    loop_watch(all->loop, &s->src, LOOP_IN);
    return s;
}

struct shims *shims_new(struct loop *loop)
{
    struct shims *all = xcalloc(1, sizeof *all);
    *all = (struct shims){ .loop = loop, .rest = { .fire = rest } };
    return all;
}

struct shim *shims_start(struct shims *all, const struct shim_spec *spec, void (*ended)(void *ctx, const struct shim_report *), void *ctx,
                         struct kr_err *e)
{
    struct shim *s = all->waiting;
    while (s && s->src.fd < 0) s = s->next;
    if (s && shim_order(s->src.fd, spec)) delist(s);
    else if (!(s = start_new(all, spec, e))) return NULL;
    s->ended = ended;
    s->ctx = ctx;
    enlist(s, &all->busy);
    return s;
}

void shim_end(struct shim *s) { shim_order_end(s->src.fd); }

static void drop(struct shim *s)
{
    dismiss(s);                                          /* it sees to the rest, and to its own end */
    loop_child_forget(s->all->loop, &s->child);
    free(s);
}

void shims_free(struct shims *all)
{
    for (struct shim *s, *next = all->busy; (s = next);) next = s->next, drop(s);
    for (struct shim *s, *next = all->waiting; (s = next);) next = s->next, drop(s);
    loop_timer_stop(all->loop, &all->rest);
    free(all);
}
