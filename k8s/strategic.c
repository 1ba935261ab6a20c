/* SPDX-License-Identifier: Apache-2.0 */
/* strategic: see strategic.h. Items are found by a table of their keys' texts, as a list may be as long as a request. Tests: tests/unit/k8s/strategic.c */
#include "k8s/strategic.h"
#include "core/map.h"
#include "k8s/core_schema.h"

enum { KEEP, DELETE, REPLACE };
static const struct str order_of = { "$setElementOrder/", 17 }, delete_from = { "$deleteFromPrimitiveList/", 25 };

static int directive(const struct json *patch, int *what, struct kr_err *e)
{
    struct str word = json_string(json_get(patch, "$patch"));
    *what = str_is(word, "delete") ? DELETE : str_is(word, "replace") ? REPLACE : KEEP;
    return !json_get(patch, "$patch") || *what != KEEP || str_is(word, "merge")
               ? 0 : kr_fail(e, KR_BAD_REQUEST, "the directive \"$patch: %.*s\" is not one: delete, replace or merge", SFMT(word));
}

/* What is new is taken without directives and nulls. */
static struct json *plain(struct arena *a, const struct json *j)
{
    if (!json_is(j, JSON_OBJECT) && !json_is(j, JSON_ARRAY))
        return json_clone(a, j);
    bool map = json_is(j, JSON_OBJECT);
    struct json *out = map ? json_new_object(a) : json_new_array(a);
    for (const struct json *m = json_first(j); m; m = json_next(m)) {
        if (map && (json_is(m, JSON_NULL) || str_starts(json_key(m), S("$"))))
            continue;
        if (!map && json_get(m, "$patch"))
            continue;
        if (map)
            json_set(a, out, json_key(m), plain(a, m));
        else
            json_append(out, plain(a, m));
    }
    return out;
}

/* Items of a list by the value of their key, or by their own where key is NULL. */
struct items { struct arena *a; const char *key; struct map by; };

/* Values are equal when they are printed alike: what lists are merged by are strings and whole numbers. Empty: it has none. */
static struct str name_of(const struct items *x, const struct json *item)
{
    AUTO_BUF struct buf b = { .max = LIMIT_JSON_ARENA };
    const struct json *id = x->key ? json_get(item, x->key) : item;
    if (id)
        json_print(&b, id);
    return arena_str(x->a, buf_view(&b));
}

static struct json *find(const struct items *x, const struct json *like)
{
    struct str name = name_of(x, like);
    return name.n ? map_get(&x->by, name) : NULL;
}

/* Of several with one key the first is found. */
static void note(struct items *x, struct json *item)
{
    struct str name = name_of(x, item);
    if (name.n && !map_get(&x->by, name))
        map_put(&x->by, name, item);
}

static struct items items_of(struct arena *a, const struct json *list, const char *key)
{
    struct items x = { .a = a, .key = key };
    for (struct json *m = json_first(list); m; m = json_next(m))
        note(&x, m);
    return x;
}

/* Items that the order names stand as it says; others keep their places among them. */
static struct json *reorder(struct arena *a, const struct json *list, const char *key, const struct json *order)
{
    struct json *out = json_new_array(a);
    const struct json *next = json_first(order);
    struct items ordered = items_of(a, order, key), listed = items_of(a, list, key);
    for (const struct json *m = json_first(list); m; m = json_next(m)) {
        if (!find(&ordered, m)) {
            json_append(out, json_clone(a, m));
            continue;
        }
        const struct json *item = NULL;
        for (; next && !item; next = json_next(next))
            item = find(&listed, next);
        if (item)
            json_append(out, json_clone(a, item));
    }
    map_free(&ordered.by);
    map_free(&listed.by);
    return out;
}

static const struct model_object *object_of(const struct model_object *o, struct str key)
{
    const struct model_field *f = o ? model_find(o, key) : NULL;
    const struct model_schema *s = f ? &f->s : NULL;
    while (s && (s->shape == MODEL_LIST || s->shape == MODEL_MAP))
        s = model_item(s);
    return s && s->shape == MODEL_OBJECT ? s->object : NULL;
}

/* One item of the patch into the list. */
static int merge_item(const struct model_object *o, struct items *x, struct json *out, const struct json *m, struct kr_err *e)
{
    struct arena *a = x->a;
    struct str name = name_of(x, m);
    struct json *was = name.n ? map_get(&x->by, name) : NULL, *now;
    int what = KEEP;
    if (x->key && !json_get(m, x->key))
        return kr_fail(e, KR_BAD_REQUEST, "an item of the list has no \"%s\", by which it is merged", x->key);
    if (x->key && directive(m, &what, e) < 0)
        return -1;
    if (what == DELETE) {
        if (was) {
            map_del(&x->by, name);
            json_remove(out, was);
        }
        return 0;
    }
    if (was && !x->key)
        return 0;
    now = !x->key ? json_clone(a, m) : what == REPLACE || !was ? plain(a, m) : strategic_merge(a, o, was, m, e);
    if (!now)
        return -1;
    if (was)
        json_replace(out, was, now);
    else
        json_append(out, now);
    if (name.n)
        map_put(&x->by, name, now);
    return 0;
}

static struct json *merge_list(struct arena *a, const struct model_object *item, const char *key, const struct json *old, const struct json *patch,
                               struct kr_err *e)
{
    for (const struct json *m = json_first(patch); m; m = json_next(m))
        if (key && str_is(json_string(json_get(m, "$patch")), "replace") && !json_get(m, key))
            return plain(a, patch);
    struct json *out = json_is(old, JSON_ARRAY) ? json_clone(a, old) : json_new_array(a);
    struct items x = items_of(a, out, key);
    for (const struct json *m = json_first(patch); m && out; m = json_next(m))
        if (merge_item(item, &x, out, m, e) < 0)
            out = NULL;
    map_free(&x.by);
    return out;
}

/* $retainKeys: what isn't listed goes. */
static void retain(struct json *out, struct json *keys)
{
    struct map listed = { 0 };
    for (struct json *k = json_first(keys); k; k = json_next(k))
        map_put(&listed, json_string(k), k);
    for (struct json *m = json_first(out), *next; m; m = next) {
        next = json_next(m);
        if (!map_get(&listed, json_key(m)))
            json_remove(out, m);
    }
    map_free(&listed);
}

static void delete_values(struct arena *a, struct json *out, struct str name, const struct json *values)
{
    struct json *list = json_get_str(out, name);
    struct items go = items_of(a, values, NULL);
    for (struct json *m = json_first(list), *next; m; m = next) {
        next = json_next(m);
        if (find(&go, m))
            json_remove(list, m);
    }
    map_free(&go.by);
}

static int merge_member(struct arena *a, const struct model_object *o, struct json *out, const struct json *m, struct kr_err *e)
{
    struct str key = json_key(m);
    const struct json *old = json_get_str(out, key);
    struct core_merge how = o ? core_merge_of(o, key) : (struct core_merge){ 0 };
    struct json *now;
    if (json_is(m, JSON_NULL)) {
        json_del(out, key);
        return 0;
    }
    if (json_is(m, JSON_OBJECT))
        now = strategic_merge(a, object_of(o, key), json_is(old, JSON_OBJECT) ? old : NULL, m, e);
    else if (json_is(m, JSON_ARRAY) && how.merge)
        now = merge_list(a, object_of(o, key), how.key, old, m, e);
    else
        now = plain(a, m);
    if (!now)
        return -1;
    json_set(a, out, key, now);
    return 0;
}

struct json *strategic_merge(struct arena *a, const struct model_object *o, const struct json *target, const struct json *patch, struct kr_err *e)
{
    int what;
    if (!json_is(patch, JSON_OBJECT))
        return kr_fail(e, KR_BAD_REQUEST, "a strategic merge patch is an object"), NULL;
    if (directive(patch, &what, e) < 0)
        return NULL;
    struct json *out = what == KEEP && json_is(target, JSON_OBJECT) ? json_clone(a, target) : json_new_object(a);
    if (what == DELETE)
        return out;
    for (const struct json *m = json_first(patch); m; m = json_next(m))
        if (str_starts(json_key(m), delete_from))
            delete_values(a, out, str_from(json_key(m), delete_from.n), m);
    for (const struct json *m = json_first(patch); m; m = json_next(m)) {
        if (!str_starts(json_key(m), S("$")) && merge_member(a, o, out, m, e) < 0)
            return NULL;
        else if (str_starts(json_key(m), S("$")) && !str_is(json_key(m), "$patch") && !str_is(json_key(m), "$retainKeys") &&
                 !str_starts(json_key(m), delete_from) && !str_starts(json_key(m), order_of))
            return kr_fail(e, KR_BAD_REQUEST, "\"%.*s\" is no directive of a strategic merge patch", SFMT(json_key(m))), NULL;
    }
    for (const struct json *m = json_first(patch); m; m = json_next(m)) {
        struct str name = str_starts(json_key(m), order_of) ? str_from(json_key(m), order_of.n) : S("");
        const struct json *list = name.n ? json_get_str(out, name) : NULL;
        if (list && json_is(list, JSON_ARRAY))
            json_set(a, out, name, reorder(a, list, o ? core_merge_of(o, name).key : NULL, m));
    }
    if (json_get(patch, "$retainKeys"))
        retain(out, json_get(patch, "$retainKeys"));
    return a->over ? (kr_fail(e, KR_TOO_LARGE, "the patch needs more memory than it may take"), NULL) : out;
}
