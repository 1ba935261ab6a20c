/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap: binary heap of nodes embedded in the caller's structs (timers, queues). The least node, by the caller's order,
 * is on top; a node knows its place, so removing or re-sorting any node is O(log n).
 */
#ifndef CORE_HEAP_H
#define CORE_HEAP_H
#include "core/kr.h"

struct heap_node { size_t slot; };                     /* 0: not in a heap */
struct heap {
    bool (*less)(const struct heap_node *, const struct heap_node *);
    struct heap_node **nodes;
    size_t n, cap;
};

void heap_push(struct heap *h, struct heap_node *node);    /* the node must not be in a heap */
void heap_remove(struct heap *h, struct heap_node *node);  /* no-op when it isn't in one */
void heap_fix(struct heap *h, struct heap_node *node);     /* after its key changed */
static inline struct heap_node *heap_top(const struct heap *h) { return h->n ? h->nodes[0] : NULL; }
void heap_free(struct heap *h);                            /* the array only; nodes are marked as out */
#endif
