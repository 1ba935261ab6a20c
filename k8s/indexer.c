/* SPDX-License-Identifier: Apache-2.0 */
/*
 * indexer: one block of memory per object: head, one link per index, the user's record, the key. A value that something is
 * filed under has a drawer, which goes with its last object. Tests: tests/unit/k8s/indexer.c
 */
#include "k8s/indexer.h"
#include "core/map.h"

struct drawer { struct item *first, **end; size_t index; struct str value; char text[]; };
struct filing { struct item *next, **at; struct drawer *in; };
struct item { struct indexed x; struct filing filed[]; };
struct indexer { size_t record, indexes; struct map items, drawers[INDEXES_MAX]; };

static struct item *item_of(const struct indexed *x) { return container_of((struct indexed *)x, struct item, x); }

struct indexer *indexer_new(size_t record, size_t indexes)
{
    struct indexer *ix = xcalloc(1, sizeof *ix);
    ix->record = (record + 7) & ~(size_t)7;
    ix->indexes = indexes < INDEXES_MAX ? indexes : INDEXES_MAX;
    return ix;
}

void *indexer_record(const struct indexer *ix, struct indexed *x) { return &item_of(x)->filed[ix->indexes]; }
size_t indexer_count(const struct indexer *ix) { return ix->items.n; }
struct indexed *indexer_get(const struct indexer *ix, struct str key) { return map_get(&ix->items, key); }
struct indexed *indexer_next(const struct indexer *ix, size_t *at) { return map_next(&ix->items, at); }

struct indexed *indexer_set(struct indexer *ix, struct str key, struct str json)
{
    struct indexed *x = map_get(&ix->items, key);
    if (!x) {
        struct item *it = xcalloc(1, sizeof *it + ix->indexes * sizeof *it->filed + ix->record + key.n + 1);
        x = &it->x;
        char *own = (char *)indexer_record(ix, x) + ix->record;
        memcpy(own, key.p, key.n);
        x->key = (struct str){ own, key.n };
        map_put(&ix->items, x->key, x);
    }
    char *text = json.p ? xstrndup(json.p, json.n) : NULL;
    free((char *)x->json.p);
    x->json = (struct str){ text, text ? json.n : 0 };
    return x;
}

static void take_out(struct indexer *ix, struct filing *f)
{
    if (!f->in)
        return;
    *f->at = f->next;
    if (f->next)
        f->next->filed[f->in->index].at = f->at;
    else
        f->in->end = f->at;
    if (!f->in->first) {
        map_del(&ix->drawers[f->in->index], f->in->value);
        free(f->in);
    }
    *f = (struct filing){ 0 };
}

static struct drawer *drawer_of(struct indexer *ix, size_t index, struct str value)
{
    struct drawer *d = map_get(&ix->drawers[index], value);
    if (d)
        return d;
    d = xcalloc(1, sizeof *d + value.n + 1);
    memcpy(d->text, value.p, value.n);
    d->end = &d->first;
    d->index = index;
    d->value = (struct str){ d->text, value.n };
    map_put(&ix->drawers[index], d->value, d);
    return d;
}

void indexer_file(struct indexer *ix, struct indexed *x, size_t index, struct str value)
{
    struct item *it = item_of(x);
    struct filing *f = &it->filed[index];
    if (str_eq(indexer_filed(ix, x, index), value))
        return;
    take_out(ix, f);
    if (!value.n)
        return;
    struct drawer *d = drawer_of(ix, index, value);
    *f = (struct filing){ NULL, d->end, d };
    *d->end = it;
    d->end = &f->next;
}

struct str indexer_filed(const struct indexer *ix, const struct indexed *x, size_t index)
{
    const struct drawer *d = index < ix->indexes ? item_of(x)->filed[index].in : NULL;
    return d ? d->value : S("");
}

struct indexed *indexer_find(const struct indexer *ix, size_t index, struct str value)
{
    const struct drawer *d = map_get(&ix->drawers[index], value);
    return d ? &d->first->x : NULL;
}

struct indexed *indexer_same(const struct indexer *ix, const struct indexed *x, size_t index)
{
    struct item *next = index < ix->indexes ? item_of(x)->filed[index].next : NULL;
    return next ? &next->x : NULL;
}

void indexer_remove(struct indexer *ix, struct indexed *x)
{
    struct item *it = item_of(x);
    for (size_t i = 0; i < ix->indexes; i++)
        take_out(ix, &it->filed[i]);
    map_del(&ix->items, x->key);
    free((char *)x->json.p);
    free(it);
}

void indexer_free(struct indexer *ix)
{
    struct indexed *x;
    if (!ix)
        return;
    for (size_t i = 0; (x = indexer_next(ix, &i));)
        indexer_remove(ix, x);
    map_free(&ix->items);
    for (size_t i = 0; i < ix->indexes; i++)
        map_free(&ix->drawers[i]);
    free(ix);
}
