/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map: open addressing with linear probing; a removed entry leaves a mark that the next growth sweeps out.
 * A slot is empty (hash 0), dead (hash 1, value NULL) or live (value set). Tests: tests/unit/core/map.c
 */
#include "core/map.h"

enum { EMPTY = 0, DEAD = 1 };

static uint64_t hash_of(struct str key)
{
    uint64_t h = str_hash(key);
    return h <= DEAD ? h + 2 : h;
}

static struct map_slot *find(const struct map *m, struct str key, uint64_t h)
{
    if (!m->cap) return NULL;
    for (size_t i = h & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_slot *s = &m->slots[i];
        if (s->hash == EMPTY) return NULL;
        if (s->hash == h && str_eq(s->key, key)) return s;
    }
}

static void insert(struct map *m, struct map_slot new)
{
    size_t i = new.hash & (m->cap - 1);
    while (m->slots[i].hash > DEAD) i = (i + 1) & (m->cap - 1);
    m->dead -= m->slots[i].hash == DEAD;
    m->slots[i] = new;
    m->n++;
}

static void resize(struct map *m, size_t cap)
{
    struct map old = *m;
    *m = (struct map){ .slots = xcalloc(cap, sizeof *m->slots), .cap = cap };
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].hash > DEAD) insert(m, old.slots[i]);
    free(old.slots);
}

void *map_get(const struct map *m, struct str key)
{
    struct map_slot *s = find(m, key, hash_of(key));
    return s ? s->value : NULL;
}

void *map_put(struct map *m, struct str key, void *value)
{
    uint64_t h = hash_of(key);
    struct map_slot *s = find(m, key, h);
    if (s) {
        void *old = s->value;
        *s = (struct map_slot){ h, key, value };
        return old;
    }
    if (!m->cap) resize(m, 16);
    else if ((m->n + m->dead + 1) * 4 > m->cap * 3) resize(m, m->n * 2 >= m->cap ? m->cap * 2 : m->cap);
    insert(m, (struct map_slot){ h, key, value });
    return NULL;
}

void *map_del(struct map *m, struct str key)
{
    struct map_slot *s = find(m, key, hash_of(key));
    if (!s) return NULL;
    void *old = s->value;
    *s = (struct map_slot){ .hash = DEAD };
    m->n--;
    m->dead++;
    return old;
}

void map_free(struct map *m)
{
    free(m->slots);
    *m = (struct map){ 0 };
}

void *map_next(const struct map *m, size_t *at)
{
    while (*at < m->cap)
        if (m->slots[(*at)++].hash > DEAD) return m->slots[*at - 1].value;
    return NULL;
}
