/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fieldset_object: objects and field sets: which fields an object has, what changed between two, merging, removing.
 *
 * An object is looked at as a node: a schema (NULL where none is known) and the value; its children are fields of a map, or
 * items of a list with keys or of a set. Children are sorted by element, so two objects are compared in one merge.
 * A list whose items can't be told apart (a key is missing or there twice) is one field.
 */
#include "k8s/fieldset_private.h"
#include "core/map.h"
#include <stdlib.h>

enum shape { LEAF, FIELDS, ITEMS };               /* one field; a map; a list of items with keys or a set */
struct child { struct str element; const struct model_schema *s; struct json *value; };
struct children { struct child *v; size_t n; bool bad; };

/* ---- schema ------------------------------------------------------------------------------------------------------ */

static bool is_set(const struct model_schema *s) { return s && s->shape == MODEL_LIST && s->list && !strcmp(s->list, "set"); }
static const char *keys_of(const struct model_schema *s) { return s && s->shape == MODEL_LIST && s->list && !strncmp(s->list, "map:", 4) ? s->list + 4 : NULL; }

static enum shape shape_of(const struct model_schema *s, const struct json *v)
{
    if (json_is(v, JSON_OBJECT))
        return s && s->object && s->object->atomic ? LEAF : FIELDS;
    return json_is(v, JSON_ARRAY) && (is_set(s) || keys_of(s)) ? ITEMS : LEAF;
}

static const struct model_schema *field_schema(const struct model_schema *s, struct str name)
{
    if (!s)
        return NULL;
    if (s->shape == MODEL_MAP)
        return model_item(s);
    const struct model_field *f = s->object ? model_find(s->object, name) : NULL;
    return f ? &f->s : NULL;
}

/* The value of an item's key; a default of the schema stands in. */
static struct json *key_value(struct arena *a, const struct model_schema *s, const struct json *item, struct str key)
{
    struct kr_err e;
    struct json *v = json_get_str(item, key);
    const struct model_schema *f = field_schema(model_item(s), key);
    return v || !f || !f->def ? v : json_parse(a, str_of(f->def), &e);
}

/* `k:{…}` with the keys sorted; empty when one is missing. */
static struct str item_element(struct arena *a, const struct model_schema *s, const struct json *item)
{
    AUTO_BUF struct buf b = { .max = LIMIT_OBJECT_BYTES };
    if (is_set(s)) {
        buf_lit(&b, "v:");
        json_print(&b, item);
        return arena_str(a, buf_view(&b));
    }
    struct str rest = str_of(keys_of(s));
    buf_lit(&b, "k:");
    jw_begin(&b, '{');
    while (rest.n) {                              /* tables name them in order */
        struct str key = str_cut(&rest, ',');
        struct json *v = key_value(a, s, item, key);
        if (!v || json_is(v, JSON_OBJECT) || json_is(v, JSON_ARRAY))
            return S("");
        jw_key(&b, key);
        AUTO_BUF struct buf value = { .max = LIMIT_OBJECT_BYTES };
        json_print(&value, v);
        jw_raw(&b, buf_view(&value));
    }
    jw_end(&b, '}');
    return arena_str(a, buf_view(&b));
}

/* ---- children ---------------------------------------------------------------------------------------------------- */

static struct children children_of(struct arena *a, const struct model_schema *s, const struct json *v)
{
    struct children c = { 0 };
    size_t n = json_len(v);
    bool map = json_is(v, JSON_OBJECT);
    c.v = n ? arena_alloc(a, n * sizeof *c.v) : NULL;
    for (struct json *m = c.v ? json_first(v) : NULL; m; m = json_next(m)) {
        struct str element = map ? arena_join(a, (struct str[]){ S("f:"), json_key(m) }, 2) : item_element(a, s, m);
        c.v[c.n++] = (struct child){ element, map ? field_schema(s, json_key(m)) : model_item(s), m };
        c.bad |= !element.n;
    }
    return c;
}

static int by_element(const void *a, const void *b) { return fieldset_order(((const struct child *)a)->element, ((const struct child *)b)->element); }

static struct children sorted_children(struct arena *a, const struct model_schema *s, const struct json *v)
{
    struct children c = children_of(a, s, v);
    if (c.n > 1)
        qsort(c.v, c.n, sizeof *c.v, by_element);
    for (size_t i = 1; i < c.n; i++)
        c.bad |= str_eq(c.v[i].element, c.v[i - 1].element);
    return c;
}

static struct model_schema root_schema(const struct model_object *o) { return (struct model_schema){ .shape = MODEL_OBJECT, .object = o }; }

/* ---- which fields it has ----------------------------------------------------------------------------------------- */

/* A key of a map is a field of its own; a member of an object is not, nor is one where nothing is known. */
static bool is_key_of_map(const struct model_schema *s) { return s && s->shape == MODEL_MAP; }

static void fields_of(struct arena *a, const struct model_schema *s, const struct json *v, struct fieldset *out)
{
    enum shape shape = shape_of(s, v);
    struct children c = shape == LEAF ? (struct children){ 0 } : sorted_children(a, s, v);
    if (shape == LEAF || c.bad) {
        out->member = true;
        return;
    }
    out->v = c.n ? arena_alloc(a, c.n * sizeof *out->v) : NULL;
    for (size_t i = 0; out->v && i < c.n; i++) {
        struct fieldset *child = &out->v[out->n++];
        *child = (struct fieldset){ .element = c.v[i].element };
        fields_of(a, c.v[i].s, c.v[i].value, child);
        bool empty = json_is(c.v[i].value, JSON_OBJECT) && !json_len(c.v[i].value);
        child->member |= shape == ITEMS || empty || is_key_of_map(s);
    }
}

struct fieldset fieldset_of(struct arena *a, const struct model_object *schema, const struct json *object)
{
    struct fieldset out = { 0 };
    struct model_schema root = root_schema(schema);
    fields_of(a, schema ? &root : NULL, object, &out);
    return out;
}

/* ---- what changed ------------------------------------------------------------------------------------------------ */

/* All of it, the containers themselves too. */
static void whole(struct arena *a, const struct model_schema *s, const struct json *v, struct fieldset *out)
{
    enum shape shape = shape_of(s, v);
    struct children c = shape == LEAF ? (struct children){ 0 } : sorted_children(a, s, v);
    out->member = true;
    out->v = c.n && !c.bad ? arena_alloc(a, c.n * sizeof *out->v) : NULL;
    for (size_t i = 0; out->v && i < c.n; i++) {
        out->v[out->n++] = (struct fieldset){ .element = c.v[i].element };
        whole(a, c.v[i].s, c.v[i].value, &out->v[i]);
    }
}

static void compare(struct arena *a, const struct model_schema *s, const struct json *old, const struct json *now, struct field_changes *out);

static void keep_if_any(struct fieldset *into, struct fieldset child, struct str element)
{
    child.element = element;
    if (!fieldset_is_empty(&child))
        into->v[into->n++] = child;
}

static void compare_children(struct arena *a, const struct children *x, const struct children *y, struct field_changes *out)
{
    size_t room = x->n + y->n;
    if (!room)
        return;
    out->added.v = arena_alloc(a, room * sizeof *out->added.v);
    out->modified.v = arena_alloc(a, room * sizeof *out->modified.v);
    out->removed.v = arena_alloc(a, room * sizeof *out->removed.v);
    if (!out->added.v || !out->modified.v || !out->removed.v)
        return;
    for (size_t i = 0, k = 0; i < x->n || k < y->n;) {
        int order = i == x->n ? 1 : k == y->n ? -1 : fieldset_order(x->v[i].element, y->v[k].element);
        const struct child *o = order <= 0 ? &x->v[i++] : NULL, *n = order >= 0 ? &y->v[k++] : NULL;
        struct field_changes child = { 0 };
        struct str element = o ? o->element : n->element;
        if (!n)
            whole(a, o->s, o->value, &child.removed);
        else if (!o)
            whole(a, n->s, n->value, &child.added);
        else
            compare(a, n->s, o->value, n->value, &child);
        keep_if_any(&out->added, child.added, element);
        keep_if_any(&out->modified, child.modified, element);
        keep_if_any(&out->removed, child.removed, element);
    }
}

static void compare(struct arena *a, const struct model_schema *s, const struct json *old, const struct json *now, struct field_changes *out)
{
    enum shape was = shape_of(s, old), is = shape_of(s, now);
    bool both_empty = !json_len(old) && !json_len(now);
    if (json_equal(old, now))                     /* most of an object is as it was */
        return;
    if (was != LEAF && was == is && json_type(old) == json_type(now) && !both_empty) {
        struct children x = sorted_children(a, s, old), y = sorted_children(a, s, now);
        if (!x.bad && !y.bad) {
            compare_children(a, &x, &y, out);
            return;
        }
    }
    out->modified.member = !json_equal(old, now);
}

void fieldset_compare(struct arena *a, const struct model_object *schema, const struct json *old, const struct json *now, struct field_changes *out)
{
    struct model_schema root = root_schema(schema);
    *out = (struct field_changes){ 0 };
    if (old)
        compare(a, schema ? &root : NULL, old, now, out);
    else
        whole(a, schema ? &root : NULL, now, &out->added);
    out->added.member = out->modified.member = out->removed.member = false;
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

static struct json *merge(struct arena *a, const struct model_schema *s, const struct json *live, const struct json *applied);

static struct map by_name(const struct children *c)
{
    struct map m = { 0 };
    for (size_t i = c->n; i-- > 0; )              /* of two the first */
        map_put(&m, c->v[i].element, &c->v[i]);
    return m;
}

/* Items that only the live list has keep their places among the others; those of both stand in the applied order. */
static struct json *merge_items(struct arena *a, const struct children *live, const struct children *applied)
{
    struct json *out = json_new_array(a);
    size_t l = 0, r = 0;
    bool *given = arena_alloc(a, live->n + 1);
    struct map in_live = by_name(live), in_applied = by_name(applied);
    while (given && (l < live->n || r < applied->n)) {
        if (l < live->n && (given[l] || !map_get(&in_applied, live->v[l].element))) {
            if (!given[l])
                json_append(out, json_clone(a, live->v[l].value));
            l++;
            continue;
        }
        const struct child *next = &applied->v[r++], *old = map_get(&in_live, next->element);
        if (old)
            given[old - live->v] = true;
        json_append(out, old ? merge(a, next->s, old->value, next->value) : json_clone(a, next->value));
    }
    map_free(&in_live);
    map_free(&in_applied);
    return out;
}

static struct json *merge(struct arena *a, const struct model_schema *s, const struct json *live, const struct json *applied)
{
    enum shape shape = shape_of(s, applied);
    if (shape == LEAF || json_type(live) != json_type(applied) || shape_of(s, live) == LEAF)
        return json_clone(a, applied);
    struct children x = children_of(a, s, live), y = children_of(a, s, applied);
    if (x.bad || y.bad)
        return json_clone(a, applied);
    if (shape == ITEMS)
        return merge_items(a, &x, &y);
    struct json *out = json_clone(a, live);
    for (const struct json *m = json_first(applied); m; m = json_next(m)) {
        struct str key = json_key(m);
        const struct json *old = json_get_str(live, key);
        json_set(a, out, key, old ? merge(a, field_schema(s, key), old, m) : json_clone(a, m));
    }
    return out;
}

struct json *fieldset_merge(struct arena *a, const struct model_object *schema, const struct json *live, const struct json *applied)
{
    struct model_schema root = root_schema(schema);
    return merge(a, schema ? &root : NULL, live, applied);
}

/* ---- removing ---------------------------------------------------------------------------------------------------- */

/* True when the value itself is to go. */
static bool prune(struct arena *a, const struct model_schema *s, struct json *v, const struct fieldset *drop, const struct fieldset *keep)
{
    enum shape shape = shape_of(s, v);
    bool kept = keep && !fieldset_is_empty(keep), removed = false;
    if (shape == LEAF)
        return drop->member && !kept;
    struct children c = children_of(a, s, v);
    if (c.bad)
        return drop->member && !kept;
    for (size_t i = 0; i < c.n; i++) {
        const struct fieldset *d = fieldset_child(drop, c.v[i].element);
        if (!d || !prune(a, c.v[i].s, c.v[i].value, d, fieldset_child(keep, c.v[i].element)))
            continue;
        json_remove(v, c.v[i].value);
        removed = true;
    }
    return !kept && drop->element.n && (drop->member || (removed && !json_len(v)));
}

void fieldset_remove(struct arena *a, const struct model_object *schema, struct json *object, const struct fieldset *drop, const struct fieldset *keep)
{
    struct model_schema root = root_schema(schema);
    prune(a, schema ? &root : NULL, object, drop, keep);
}
