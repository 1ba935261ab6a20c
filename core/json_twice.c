/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_twice: where a checked text has a key twice in one object, by path. A second walk, for texts of which the parser said
 * that there is something to find. Tested in tests/unit/core/json_twice.c.
 */
#include "core/json.h"
#include "core/map.h"

struct walk { struct json_cur c; struct arena a; struct buf path; void (*told)(void *ctx, struct str path); void *ctx; };

static void walk_value(struct walk *w);

static void walk_object(struct walk *w)
{
    struct map seen = { 0 };
    struct str key;
    size_t base = w->path.n;
    json_enter(&w->c);
    while (json_member(&w->c, &w->a, &key)) {
        buf_fmt(&w->path, "%s%.*s", base ? "." : "", SFMT(key));
        if (map_put(&seen, key, w))
            w->told(w->ctx, buf_view(&w->path));
        walk_value(w);
        w->path.n = base;
    }
    map_free(&seen);
}

static void walk_array(struct walk *w)
{
    size_t base = w->path.n, i = 0;
    json_enter(&w->c);
    while (json_item(&w->c)) {
        buf_fmt(&w->path, "[%zu]", i++);
        walk_value(w);
        w->path.n = base;
    }
}

static void walk_value(struct walk *w)
{
    enum json_type kind = json_kind(&w->c);
    if (kind == JSON_OBJECT)
        walk_object(w);
    else if (kind == JSON_ARRAY)
        walk_array(w);
    else
        json_skip(&w->c);
}

void json_twice(struct str checked, void (*told)(void *ctx, struct str path), void *ctx)
{
    struct walk w = { .c = json_begin(checked), .a = { .limit = LIMIT_JSON_ARENA }, .path = { .max = SIZE_MAX / 4 }, .told = told, .ctx = ctx };
    walk_value(&w);
    arena_reset(&w.a);
    buf_free(&w.path);
}
