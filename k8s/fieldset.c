/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fieldset: sets as tries with sorted children, so that each operation is one merge of two sorted lists. This file knows
 * sets only; how objects are walked is in fieldset_object.c. Tests: tests/unit/k8s/fieldset.c
 */
#include "k8s/fieldset_private.h"
#include <stdlib.h>

/* Fields, then items by key, by value, by number; each by its text. */
static int rank(struct str element) { return element.n ? (int)(strchr("fkvi", element.p[0]) - "fkvi") : -1; }

int fieldset_order(struct str a, struct str b)
{
    int by_kind = rank(a) - rank(b);
    return by_kind ? by_kind : str_cmp(a, b);
}

static int by_element(const void *a, const void *b)
{
    return fieldset_order(((const struct fieldset *)a)->element, ((const struct fieldset *)b)->element);
}

void fieldset_sort(struct fieldset *s)
{
    if (s->n > 1)
        qsort(s->v, s->n, sizeof *s->v, by_element);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static bool is_element(struct str s) { return s.n >= 2 && s.p[1] == ':' && memchr("fkvi", s.p[0], 4); }

int fieldset_parse(struct arena *a, const struct json *j, struct fieldset *out, struct kr_err *e)
{
    if (!json_is(j, JSON_OBJECT))
        return kr_fail(e, KR_BAD_REQUEST, "fieldsV1: an object was expected");
    size_t n = json_len(j);
    if (n > LIMIT_FIELDSET)
        return kr_fail(e, KR_TOO_LARGE, "fieldsV1: more than %d fields in one place", LIMIT_FIELDSET);
    out->member = n == 0;
    out->n = 0;
    out->v = n ? arena_alloc(a, n * sizeof *out->v) : NULL;
    if (n && !out->v)
        return kr_fail(e, KR_TOO_LARGE, "fieldsV1 is too large");
    for (const struct json *m = json_first(j); m; m = json_next(m)) {
        if (str_is(json_key(m), ".")) {
            out->member = true;
            continue;
        }
        if (!is_element(json_key(m)))
            return kr_fail(e, KR_BAD_REQUEST, "fieldsV1: \"%.*s\" is no path element (f:, k:, v: or i:)", SFMT(json_key(m)));
        struct fieldset *child = &out->v[out->n++];
        child->element = arena_str(a, json_key(m));
        if (fieldset_parse(a, m, child, e) < 0)
            return -1;
    }
    fieldset_sort(out);
    return 0;
}

struct json *fieldset_json(struct arena *a, const struct fieldset *s)
{
    struct json *o = json_new_object(a);
    if (s->member && s->n && s->element.n)
        json_add(a, o, S("."), json_new_object(a));
    for (size_t i = 0; i < s->n; i++)
        json_add(a, o, s->v[i].element, fieldset_json(a, &s->v[i]));
    return o;
}

/* ---- sets -------------------------------------------------------------------------------------------------------- */

bool fieldset_is_empty(const struct fieldset *s)
{
    if (s->member && s->element.n)
        return false;
    for (size_t i = 0; i < s->n; i++)
        if (!fieldset_is_empty(&s->v[i]))
            return false;
    return true;
}

bool fieldset_equal(const struct fieldset *a, const struct fieldset *b)
{
    bool same = a->n == b->n && (a->member == b->member || !a->element.n) && str_eq(a->element, b->element);
    for (size_t i = 0; same && i < a->n; i++)
        same = fieldset_equal(&a->v[i], &b->v[i]);
    return same;
}

enum op { UNION, DIFFERENCE, INTERSECTION };

static bool result_of(enum op op, bool a, bool b) { return op == UNION ? a || b : op == DIFFERENCE ? a && !b : a && b; }

static struct fieldset combine(struct arena *arena, enum op op, const struct fieldset *a, const struct fieldset *b)
{
    static const struct fieldset none;
    struct fieldset out = { .element = a->element.n ? a->element : b->element };
    out.member = out.element.n && result_of(op, a->member, b->member);
    size_t room = a->n + (op == UNION ? b->n : 0);
    out.v = room ? arena_alloc(arena, room * sizeof *out.v) : NULL;
    for (size_t i = 0, k = 0; out.v && (i < a->n || (op == UNION && k < b->n));) {
        int order = i == a->n ? 1 : k == b->n ? -1 : fieldset_order(a->v[i].element, b->v[k].element);
        const struct fieldset *x = order <= 0 ? &a->v[i++] : &none, *y = order >= 0 ? &b->v[k++] : &none;
        if (op != UNION && x == &none)
            continue;
        struct fieldset child = y == &none && op != INTERSECTION ? *x : x == &none ? *y : combine(arena, op, x, y);
        if (!fieldset_is_empty(&child))
            out.v[out.n++] = child;
    }
    return out;
}

struct fieldset fieldset_union(struct arena *a, const struct fieldset *x, const struct fieldset *y) { return combine(a, UNION, x, y); }
struct fieldset fieldset_difference(struct arena *a, const struct fieldset *x, const struct fieldset *y) { return combine(a, DIFFERENCE, x, y); }
struct fieldset fieldset_intersection(struct arena *a, const struct fieldset *x, const struct fieldset *y) { return combine(a, INTERSECTION, x, y); }

const struct fieldset *fieldset_child(const struct fieldset *s, struct str element)
{
    size_t lo = 0, hi = s ? s->n : 0;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int order = fieldset_order(s->v[mid].element, element);
        if (order == 0)
            return &s->v[mid];
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* ---- paths for people -------------------------------------------------------------------------------------------- */

/* k:{"containerPort":80,"protocol":"TCP"} → [containerPort=80,protocol="TCP"] */
static void print_key(struct buf *b, struct str object)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct kr_err e;
    struct json *j = json_parse(&a, object, &e);
    buf_byte(b, '[');
    for (const struct json *m = json_first(j); m; m = json_next(m)) {
        AUTO_BUF struct buf value = { .max = 65536 };
        json_print(&value, m);
        buf_fmt(b, "%s%.*s=%.*s", m == json_first(j) ? "" : ",", SFMT(json_key(m)), SFMT(buf_view(&value)));
    }
    buf_byte(b, ']');
}

static void each(const struct fieldset *s, struct buf *path, void (*fn)(void *ctx, struct str path), void *ctx)
{
    size_t before = path->n;
    struct str text = str_from(s->element, s->element.n ? 2 : 0);
    switch (s->element.n ? s->element.p[0] : 0) {
    case 'f': buf_fmt(path, ".%.*s", SFMT(text)); break;
    case 'k': print_key(path, text); break;
    case 'v': buf_fmt(path, "[=%.*s]", SFMT(text)); break;
    case 'i': buf_fmt(path, "[%.*s]", SFMT(text)); break;
    }
    if (s->member && s->element.n)
        fn(ctx, buf_view(path));
    for (size_t i = 0; i < s->n; i++)
        each(&s->v[i], path, fn, ctx);
    path->n = before;
}

void fieldset_each(const struct fieldset *s, void (*fn)(void *ctx, struct str path), void *ctx)
{
    AUTO_BUF struct buf path = { .max = 65536 };
    each(s, &path, fn, ctx);
}
