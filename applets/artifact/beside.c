/* SPDX-License-Identifier: Apache-2.0 */
/*
 * beside: a ring of pieces between the one who reads and the thread that digests. To read and to write a file takes as long as to
 * digest it, so the two together take half of the time where there are two processors. Tests: tests/unit/applets/artifact.c
 */
#include "applets/artifact/store.h"
#include <pthread.h>

enum { WORTH_IT = 4 * BESIDE_PIECE, STACK = 131072 };
struct beside {
    struct digest *digest;
    bool threaded, over;
    uint64_t filled, done;                        /* pieces; the ring has those between */
    size_t n[BESIDE_ROOMS];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    char room[BESIDE_ROOMS][BESIDE_PIECE];
};

static void *digest_all(void *arg)
{
    struct beside *b = arg;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (b->done == b->filled && !b->over)
            pthread_cond_wait(&b->moved, &b->lock);
        if (b->done == b->filled)
            break;
        size_t at = b->done % BESIDE_ROOMS;
        pthread_mutex_unlock(&b->lock);
        digest_add(b->digest, (struct str){ b->room[at], b->n[at] });
        pthread_mutex_lock(&b->lock);
        b->done++;
        pthread_cond_signal(&b->moved);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

static bool start(struct beside *b)
{
    pthread_attr_t attr;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->moved, NULL);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    bool started = pthread_create(&b->thread, &attr, digest_all, b) == 0;
    pthread_attr_destroy(&attr);
    return started;
}

struct beside *beside_begin(struct digest *digest, uint64_t bytes)
{
    struct beside *b = xcalloc(1, sizeof *b);
    b->digest = digest;
    b->threaded = bytes >= WORTH_IT && start(b);
    return b;
}

char *beside_room(struct beside *b)
{
    if (!b->threaded)
        return b->room[0];
    pthread_mutex_lock(&b->lock);
    while (b->filled - b->done == BESIDE_ROOMS)
        pthread_cond_wait(&b->moved, &b->lock);
    pthread_mutex_unlock(&b->lock);
    return b->room[b->filled % BESIDE_ROOMS];
}

void beside_add(struct beside *b, size_t n)
{
    if (!b->threaded) {
        digest_add(b->digest, (struct str){ b->room[0], n });
        return;
    }
    pthread_mutex_lock(&b->lock);
    b->n[b->filled++ % BESIDE_ROOMS] = n;
    pthread_cond_signal(&b->moved);
    pthread_mutex_unlock(&b->lock);
}

void beside_end(struct beside *b)
{
    if (b->threaded) {
        pthread_mutex_lock(&b->lock);
        b->over = true;
        pthread_cond_signal(&b->moved);
        pthread_mutex_unlock(&b->lock);
        pthread_join(b->thread, NULL);
    }
    free(b);
}
