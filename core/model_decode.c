/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_decode: JSON text to structs, driven by the tables of core/model.h.
 *
 * One walk of the cursor and no tree. The server's objects list their fields in some order that rarely differs between
 * two objects, so the search for a field starts behind the last one found. The path of an error is a chain of places on
 * the stack that nobody looks at until something is wrong. Rules are not checked here: what came from a server was.
 */
#include "core/model.h"

struct place {
    const struct place *up;
    struct str key;                       /* of a member; p NULL: an item */
    size_t index;
};
struct decoder {
    struct json_cur c;
    struct arena *arena;
    struct kr_err *e;
};

static int decode_object(struct decoder *, const struct model_object *, char *out, const struct place *);

static void print_path(struct buf *b, const struct place *at)
{
    if (!at)
        return;
    print_path(b, at->up);
    if (!at->key.p) {
        buf_fmt(b, "[%zu]", at->index);
        return;
    }
    if (b->n)
        buf_byte(b, '.');
    buf_str(b, at->key);
}

static int unexpected(struct decoder *d, const struct place *at, const char *wanted)
{
    static const char *const names[] = { "null", "a boolean", "a boolean", "a number", "a string", "a list", "an object" };
    AUTO_BUF struct buf path = { .max = LIMIT_ERR_MESSAGE };
    print_path(&path, at);
    return kr_fail(d->e, KR_INVALID, "%.*s%sexpected %s, got %s", SFMT(buf_view(&path)), path.n ? ": " : "", wanted,
                   names[json_kind(&d->c)]);
}

static int over(struct decoder *d)
{
    return kr_fail(d->e, KR_TOO_LARGE, "the object needs more than %zu bytes of memory", d->arena->limit);
}

static int decode_text(struct decoder *d, struct str *out, const struct place *at)
{
    if (json_kind(&d->c) != JSON_STRING)
        return unexpected(d, at, "a string");
    *out = json_text(&d->c, d->arena);
    return 0;
}

static int decode_int(struct decoder *d, int64_t *out, const struct place *at)
{
    struct decoder before = *d;
    if (json_kind(&d->c) == JSON_NUMBER && json_i64(&d->c, out))
        return 0;
    d->c = before.c;
    return unexpected(d, at, "a whole number");
}

/* A whole number or its digits; beyond int64 it is as much as there is. */
static int decode_count(struct decoder *d, int64_t *out, const struct place *at)
{
    if (json_kind(&d->c) != JSON_STRING)
        return decode_int(d, out, at);
    struct decoder before = *d;
    struct str s = json_text(&d->c, d->arena);
    if (str_i64(s, out))
        return 0;
    size_t digits = 0;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    *out = INT64_MAX;
    if (digits && digits == s.n)
        return 0;
    d->c = before.c;
    return unexpected(d, at, "a whole number");
}

/* Room for one more element; the vector doubles, starting with four. */
static char *grow(struct decoder *d, char *v, size_t n, size_t size)
{
    if (n == 0)
        return arena_alloc(d->arena, 4 * size);
    if (n < 4 || (n & (n - 1)))
        return v;
    char *bigger = arena_alloc(d->arena, 2 * n * size);
    if (bigger)
        memcpy(bigger, v, n * size);
    return bigger;
}

static int decode_list(struct decoder *, const struct model_schema *, struct str_list *out, const struct place *);
static int decode_map(struct decoder *, const struct model_schema *, struct str_map *out, const struct place *);

/* The value of an item or member, not null; `out` is of the item's C type. */
static int decode_value(struct decoder *d, const struct model_schema *s, char *out, const struct place *at)
{
    if (s->raw) {
        *(struct str *)(void *)out = json_raw(&d->c);
        return 0;
    }
    switch (s->shape) {
    case MODEL_TEXT:
    case MODEL_TIME: return decode_text(d, (struct str *)(void *)out, at);
    case MODEL_INT:
    case MODEL_INT32: return decode_int(d, (int64_t *)(void *)out, at);
    case MODEL_COUNT: return decode_count(d, (int64_t *)(void *)out, at);
    case MODEL_BOOL: {
        enum json_type t = json_kind(&d->c);
        if (t != JSON_TRUE && t != JSON_FALSE)
            return unexpected(d, at, "true or false");
        *(bool *)(void *)out = t == JSON_TRUE;
        json_skip(&d->c);
        return 0;
    }
    case MODEL_RAW:
        *(struct str *)(void *)out = json_raw(&d->c);
        return 0;
    case MODEL_OBJECT: return decode_object(d, s->object, out, at);
    case MODEL_LIST: return decode_list(d, s, (struct str_list *)(void *)out, at);
    case MODEL_MAP: return decode_map(d, s, (struct str_map *)(void *)out, at);
    }
    return 0;
}

/* Lists and maps of every element type begin alike: a pointer and a count; str_list and str_map stand for them all. */
static int decode_list(struct decoder *d, const struct model_schema *s, struct str_list *out, const struct place *up)
{
    if (json_kind(&d->c) != JSON_ARRAY)
        return unexpected(d, up, "a list");
    const struct model_schema *item = model_item(s);
    char *v = grow(d, NULL, 0, s->size);
    size_t n = 0;
    for (json_enter(&d->c); json_item(&d->c); n++) {
        struct place at = { .up = up, .index = n };
        v = n ? grow(d, v, n, s->size) : v;
        if (!v)
            return over(d);
        if (decode_value(d, item, v + n * s->size, &at) < 0)
            return -1;
    }
    if (!v)
        return over(d);
    *out = (struct str_list){ (struct str *)(void *)v, n };
    return 0;
}

static int decode_map(struct decoder *d, const struct model_schema *s, struct str_map *out, const struct place *up)
{
    if (json_kind(&d->c) != JSON_OBJECT)
        return unexpected(d, up, "an object");
    const struct model_schema *item = model_item(s);
    char *v = grow(d, NULL, 0, s->size);
    size_t n = 0;
    struct str key;
    for (json_enter(&d->c); json_member(&d->c, d->arena, &key);) {
        struct place at = { .up = up, .key = key };
        if (json_kind(&d->c) == JSON_NULL) {
            json_skip(&d->c);
            continue;
        }
        v = n ? grow(d, v, n, s->size) : v;
        if (!v)
            return over(d);
        char *pair = v + n * s->size;
        *(struct str *)(void *)pair = key;
        if (decode_value(d, item, pair + sizeof(struct str), &at) < 0)
            return -1;
        n++;
    }
    if (!v)
        return over(d);
    *out = (struct str_map){ (struct str_pair *)(void *)v, n };
    return 0;
}

/* How many bytes a field's value takes in its struct, without its presence. */
static size_t value_size(const struct model_schema *s)
{
    if (s->raw)
        return sizeof(struct str);
    switch (s->shape) {
    case MODEL_OBJECT: return s->object->size;
    case MODEL_BOOL: return sizeof(bool);
    case MODEL_INT:
    case MODEL_INT32:
    case MODEL_COUNT: return sizeof(int64_t);
    default: return sizeof(struct str);
    }
}

static int decode_field(struct decoder *d, const struct model_field *f, char *out, const struct place *at)
{
    bool *has = f->has ? (bool *)(out + f->has) : NULL;
    bool null = json_kind(&d->c) == JSON_NULL;
    if (null || (has && *has))                  /* a key for the second time: the last one wins, whole */
        memset(out + f->at, 0, value_size(&f->s));
    if (has)
        *has = !null;
    if (null) {
        json_skip(&d->c);
        return 0;
    }
    return decode_value(d, &f->s, out + f->at, at);
}

static int decode_object(struct decoder *d, const struct model_object *o, char *out, const struct place *up)
{
    if (json_kind(&d->c) != JSON_OBJECT)
        return unexpected(d, up, "an object");
    const struct model_field *next = o->fields;
    struct str key;
    for (json_enter(&d->c); json_member(&d->c, d->arena, &key);) {
        const struct model_field *f = next;
        while (f->name && (f->len != key.n || memcmp(f->name, key.p, key.n)))
            f++;
        if (!f->name)
            for (f = o->fields; f != next && (f->len != key.n || memcmp(f->name, key.p, key.n)); f++)
                ;
        if (f == next && (!f->name || f->len != key.n || memcmp(f->name, key.p, key.n))) {
            json_skip(&d->c);
            continue;
        }
        struct place at = { .up = up, .key = key };
        if (decode_field(d, f, out, &at) < 0)
            return -1;
        next = f + 1;
    }
    return 0;
}

void *model_decode_object(const struct model_object *o, struct str checked, struct arena *a, struct kr_err *e)
{
    struct decoder d = { .c = json_begin(checked), .arena = a, .e = e };
    char *out = arena_alloc(a, o->size ? o->size : 1);
    if (!out) {
        over(&d);
        return NULL;
    }
    if (decode_object(&d, o, out, NULL) < 0)
        return NULL;
    if (a->over) {
        over(&d);
        return NULL;
    }
    return out;
}

void *model_keep_object(struct model_kept *k, const struct model_object *o, struct str checked, size_t budget, struct kr_err *e)
{
    struct model_kept now = { .text = { .max = LIMIT_KUBE_LINE }, .arena = { .limit = budget, .first = 4096 } };
    buf_str(&now.text, checked);
    void *out = model_decode_object(o, buf_view(&now.text), &now.arena, e);
    model_kept_free(out ? k : &now);
    if (out)
        *k = now;
    return out;
}

void model_kept_free(struct model_kept *k)
{
    buf_free(&k->text);
    arena_reset(&k->arena);
}
