/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workqueue: a map of keys, a list of those that are due, and one heap (the loop's timers) for those that come later. An
 * entry goes away when it neither waits nor has failed. Tested in tests/unit/k8s/workqueue.c.
 */
#include "k8s/workqueue.h"
#include "core/map.h"

enum { WAIT_MIN_US = 10000, WAIT_MAX_US = 60000000 };

struct entry {
    struct str key;
    struct workqueue *q;
    struct entry *next;
    struct timer later;
    int64_t wait_us;
    bool due, working, again;
};
struct workqueue {
    struct loop *loop;
    struct map entries;
    struct entry *head, **tail;
    size_t depth, working;
    bool begun;
    struct defer turn;
    void (*work)(void *, struct str);
    void *ctx;
};

static void drop_when_idle(struct entry *n)
{
    if (n->due || n->working || n->wait_us || timer_is_set(&n->later))
        return;
    map_del(&n->q->entries, n->key);
    free((void *)n->key.p);
    free(n);
}

static void make_due(struct entry *n)
{
    struct workqueue *q = n->q;
    loop_timer_stop(q->loop, &n->later);
    if (n->working) {
        n->again = true;
        return;
    }
    if (n->due)
        return;
    n->due = true;
    n->next = NULL;
    *q->tail = n;
    q->tail = &n->next;
    q->depth++;
    if (q->begun)
        loop_defer(q->loop, &q->turn);
}

static void fired(struct loop *loop, struct timer *t)
{
    (void)loop;
    make_due(container_of(t, struct entry, later));
}

static struct entry *entry_of(struct workqueue *q, struct str key)
{
    struct entry *n = map_get(&q->entries, key);
    if (n)
        return n;
    n = xcalloc(1, sizeof *n);
    *n = (struct entry){ .key = { xstrndup(key.p, key.n), key.n }, .q = q, .later = { .fire = fired } };
    map_put(&q->entries, n->key, n);
    return n;
}

static void turn(struct loop *loop, struct defer *d)
{
    (void)loop;
    struct workqueue *q = container_of(d, struct workqueue, turn);
    size_t left = q->depth;                       /* who comes meanwhile comes next time */
    for (struct entry *n; (n = q->head) && left && q->working < WORKQUEUE_AT_ONCE; left--) {
        q->head = n->next;
        if (!q->head)
            q->tail = &q->head;
        n->due = false;
        n->working = true;
        q->depth--;
        q->working++;
        q->work(q->ctx, n->key);
    }
}

struct workqueue *workqueue_new(struct loop *loop, void (*work)(void *, struct str), void *ctx)
{
    struct workqueue *q = xcalloc(1, sizeof *q);
    *q = (struct workqueue){ .loop = loop, .work = work, .ctx = ctx, .turn = { .run = turn } };
    q->tail = &q->head;
    return q;
}

void workqueue_begin(struct workqueue *q)
{
    q->begun = true;
    if (q->head)
        loop_defer(q->loop, &q->turn);
}

void workqueue_free(struct workqueue *q)
{
    struct entry *n;
    if (!q)
        return;
    loop_defer_cancel(q->loop, &q->turn);
    for (size_t i = 0; (n = map_next(&q->entries, &i));) {
        loop_timer_stop(q->loop, &n->later);
        free((void *)n->key.p);
        free(n);
    }
    map_free(&q->entries);
    free(q);
}

void workqueue_add(struct workqueue *q, struct str key) { make_due(entry_of(q, key)); }

void workqueue_add_at(struct workqueue *q, struct str key, int64_t mono_us)
{
    struct entry *n = entry_of(q, key);
    if (n->due || n->again || (timer_is_set(&n->later) && n->later.at_us <= mono_us))
        return;
    loop_timer_at(q->loop, &n->later, mono_us);
}

void workqueue_done(struct workqueue *q, struct str key, bool failed)
{
    struct entry *n = map_get(&q->entries, key);
    if (!n || !n->working)
        return;
    n->working = false;
    q->working--;
    if (q->head)
        loop_defer(q->loop, &q->turn);
    n->wait_us = !failed ? 0 : !n->wait_us ? WAIT_MIN_US : n->wait_us * 2 > WAIT_MAX_US ? WAIT_MAX_US : n->wait_us * 2;
    if (n->again) {                               /* news, of which what failed may have known nothing */
        n->again = false;
        make_due(n);
    } else if (failed) {
        workqueue_add_at(q, n->key, loop_now_us(q->loop) + n->wait_us);      /* or when it was to be looked at anyway */
    }
    drop_when_idle(n);
}

