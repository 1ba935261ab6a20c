/* SPDX-License-Identifier: Apache-2.0 */
/* heap: see heap.h. A node's slot is its index + 1, so that zeroed memory means "not in a heap". Tests: tests/unit/core/map.c */
#include "core/heap.h"

static void place(struct heap *h, size_t i, struct heap_node *node)
{
    h->nodes[i] = node;
    node->slot = i + 1;
}

static void up(struct heap *h, size_t i)
{
    struct heap_node *node = h->nodes[i];
    for (; i && h->less(node, h->nodes[(i - 1) / 2]); i = (i - 1) / 2) place(h, i, h->nodes[(i - 1) / 2]);
    place(h, i, node);
}

static void down(struct heap *h, size_t i)
{
    struct heap_node *node = h->nodes[i];
    for (size_t kid; (kid = 2 * i + 1) < h->n; i = kid) {
        if (kid + 1 < h->n && h->less(h->nodes[kid + 1], h->nodes[kid])) kid++;
        if (!h->less(h->nodes[kid], node)) break;
        place(h, i, h->nodes[kid]);
    }
    place(h, i, node);
}

void heap_push(struct heap *h, struct heap_node *node)
{
    if (h->n == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 16;
        h->nodes = xrealloc(h->nodes, h->cap * sizeof(struct heap_node *));
    }
    h->nodes[h->n] = node;
    up(h, h->n++);
}

void heap_fix(struct heap *h, struct heap_node *node)
{
    if (!node->slot) return;
    up(h, node->slot - 1);
    down(h, node->slot - 1);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    if (!node->slot) return;
    size_t i = node->slot - 1;
    struct heap_node *last = h->nodes[--h->n];
    node->slot = 0;
    if (last == node) return;
    place(h, i, last);
    heap_fix(h, last);
}

void heap_free(struct heap *h)
{
    for (size_t i = 0; i < h->n; i++) h->nodes[i]->slot = 0;
    free(h->nodes);
    h->nodes = NULL;
    h->n = h->cap = 0;
}
