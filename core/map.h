/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map: hash table from byte strings to pointers.
 *
 * Keys are borrowed: they must live as long as the entry (normally they point into the value). Open addressing, load
 * at most 3/4, nothing is allocated while empty. Values are never NULL. Iteration order is not stable across changes;
 * removing the entry being visited is allowed while iterating.
 */
#ifndef CORE_MAP_H
#define CORE_MAP_H
#include "core/kr.h"

struct map_slot { uint64_t hash; struct str key; void *value; };
struct map { struct map_slot *slots; size_t n, cap, dead; };

void *map_get(const struct map *m, struct str key);               /* NULL when absent */
void *map_put(struct map *m, struct str key, void *value);        /* returns the value it replaces (the new key is kept), or NULL */
void *map_del(struct map *m, struct str key);                     /* returns what was there, or NULL */
void map_free(struct map *m);                                     /* the table only, not keys or values */
/* for (size_t i = 0; (v = map_next(&m, &i)); ) … */
void *map_next(const struct map *m, size_t *at);
#endif
