/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_prune: makes an object what its table declares: null members go, undeclared fields go and are named, defaults
 * come. Nothing is refused here; a value of a wrong type is left for the check to find.
 */
#include "core/model_check.h"

struct pruner {
    struct arena *arena;
    struct str *paths;
    size_t n, cap;
    bool wanted;
};

static void prune_value(struct pruner *, const struct model_schema *, struct json *, const struct model_place *);

static void name_unknown(struct pruner *p, const struct model_place *at)
{
    if (!p->wanted || p->n >= LIMIT_MODEL_ERRORS)
        return;
    if (p->n == p->cap) {
        struct str *more = arena_alloc(p->arena, (p->cap ? 2 * p->cap : 4) * sizeof *more);
        if (!more)
            return;
        if (p->n)
            memcpy(more, p->paths, p->n * sizeof *more);
        p->paths = more;
        p->cap = p->cap ? 2 * p->cap : 4;
    }
    AUTO_BUF struct buf b = { .max = LIMIT_MODEL_PATH };
    model_place_print(&b, at, false);
    p->paths[p->n++] = arena_str(p->arena, buf_view(&b));
}

static void prune_object(struct pruner *p, const struct model_object *o, struct json *v, const struct model_place *up, bool root)
{
    for (struct json *m = json_first(v), *next; m; m = next) {
        next = json_next(m);
        struct model_place at = { .up = up, .key = json_key(m) };
        if (root && (str_is(at.key, "apiVersion") || str_is(at.key, "kind") || str_is(at.key, "metadata")))
            continue;
        const struct model_field *f = model_find(o, at.key);
        if (f && json_is(m, JSON_NULL)) {
            json_remove(v, m);
        } else if (f) {
            prune_value(p, &f->s, m, &at);
        } else if (!o->open) {
            name_unknown(p, &at);
            json_remove(v, m);
        }
    }
}

static void prune_value(struct pruner *p, const struct model_schema *s, struct json *v, const struct model_place *up)
{
    size_t i = 0;
    if (s->shape == MODEL_OBJECT && json_is(v, JSON_OBJECT)) {
        prune_object(p, s->object, v, up, false);
    } else if (s->shape == MODEL_MAP && json_is(v, JSON_OBJECT)) {
        for (struct json *m = json_first(v), *next; m; m = next) {
            next = json_next(m);
            struct model_place at = { .up = up, .key = json_key(m), .map_key = true };
            if (json_is(m, JSON_NULL))
                json_remove(v, m);
            else
                prune_value(p, model_item(s), m, &at);
        }
    } else if (s->shape == MODEL_LIST && json_is(v, JSON_ARRAY)) {
        for (struct json *m = json_first(v); m; m = json_next(m)) {
            struct model_place at = { .up = up, .index = i++ };
            prune_value(p, model_item(s), m, &at);
        }
    }
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

void model_prune(const struct model_type *t, struct arena *a, struct json *object, struct str_list *unknown)
{
    struct pruner p = { .arena = a, .wanted = unknown != NULL };
    if (json_is(object, JSON_OBJECT))
        prune_object(&p, t->object, object, NULL, true);
    if (!unknown)
        return;
    if (p.n)
        qsort(p.paths, p.n, sizeof *p.paths, by_text);
    *unknown = (struct str_list){ p.paths, p.n };
}

static void default_value(struct arena *a, const struct model_schema *s, struct json *v)
{
    if (s->shape == MODEL_OBJECT && json_is(v, JSON_OBJECT)) {
        for (const struct model_field *f = s->object->fields; f->name; f++) {
            struct str name = { f->name, f->len };
            struct json *m = json_get_str(v, name);
            struct kr_err e;
            if (!m && f->s.def && (m = json_parse(a, str_of(f->s.def), &e)))
                json_set(a, v, name, m);
            if (m)
                default_value(a, &f->s, m);
        }
    } else if ((s->shape == MODEL_MAP && json_is(v, JSON_OBJECT)) || (s->shape == MODEL_LIST && json_is(v, JSON_ARRAY))) {
        for (struct json *m = json_first(v); m; m = json_next(m))
            default_value(a, model_item(s), m);
    }
}

void model_default(const struct model_type *t, struct arena *a, struct json *object)
{
    const struct model_schema root = { .shape = MODEL_OBJECT, .object = t->object };
    default_value(a, &root, object);
}
