/* SPDX-License-Identifier: Apache-2.0 */
#include "core/map.h"
#include "core/heap.h"
#include "tests/kit/test.h"
#include <stdio.h>

struct item { char key[16]; struct heap_node node; int n; };
static bool less(const struct heap_node *a, const struct heap_node *b)
{
    return container_of(a, struct item, node)->n < container_of(b, struct item, node)->n;
}

TEST(map_agrees_with_an_array)
{
    enum { N = 500 };
    static struct item items[N];
    static bool in[N];
    struct map m = { 0 };
    uint64_t x = test_seed();
    for (int i = 0; i < N; i++) snprintf(items[i].key, sizeof items[i].key, "key-%d", i);
    for (int step = 0; step < 20000; step++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        int i = (int)(x >> 33) % N;
        struct str key = str_of(items[i].key);
        CHECK_OR(map_get(&m, key) == (in[i] ? &items[i] : NULL));
        bool put = x >> 20 & 1;
        CHECK_OR((put ? map_put(&m, key, &items[i]) : map_del(&m, key)) == (in[i] ? &items[i] : NULL));
        in[i] = put;
    }
    size_t n = 0, want = 0;
    for (size_t at = 0; map_next(&m, &at);) n++;
    for (int i = 0; i < N; i++) want += in[i];
    CHECK_INT(n, want);
    map_free(&m);
}

TEST(heap_gives_the_least_first)
{
    enum { N = 300 };
    static struct item items[N];
    struct heap h = { .less = less };
    uint64_t x = test_seed();
    for (int i = 0; i < N; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        items[i].n = (int)(x >> 40);
        heap_push(&h, &items[i].node);
    }
    for (int i = 0; i < N; i += 3) heap_remove(&h, &items[i].node), heap_remove(&h, &items[i].node);
    for (int i = 1; i < N; i += 3) items[i].n /= 2, heap_fix(&h, &items[i].node);
    int last = -1, n = 0;
    for (struct heap_node *top; (top = heap_top(&h)); n++) {
        CHECK_OR(container_of(top, struct item, node)->n >= last);
        last = container_of(top, struct item, node)->n;
        heap_remove(&h, top);
    }
    CHECK_INT(n, N - (N + 2) / 3);
    heap_free(&h);
}
