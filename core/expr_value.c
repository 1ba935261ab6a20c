/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expr_value: what expressions compute with. Lists and maps are either built by the expression or stand on a JSON tree;
 * the functions here hide which. Tests: tests/unit/core/expr.c
 */
#include "core/expr_ast.h"
#include <math.h>

const char *kind_name(enum expr_kind k)
{
    static const char *const names[] = { "dyn", "bool", "int", "double", "string", "list", "map", "map", "google.protobuf.Duration", "null_type", "type" };
    return names[k];
}

struct value value_of_json(const struct json *j, const struct expr_schema *schema)
{
    struct value v = { .kind = EXPR_NULL, .schema = schema };
    bool real = schema && schema->kind == EXPR_DOUBLE;
    switch (json_type(j)) {
    case JSON_TRUE: case JSON_FALSE: return value_of_bool(json_is(j, JSON_TRUE));
    case JSON_STRING: return value_of_str(json_string(j));
    case JSON_NUMBER:
        if (!real && json_int(j, &v.i)) v.kind = EXPR_INT;
        else v.kind = EXPR_DOUBLE, v.d = json_double(j);
        return v;
    case JSON_ARRAY: v.kind = EXPR_LIST; break;
    case JSON_OBJECT: v.kind = schema && schema->kind == EXPR_OBJECT ? EXPR_OBJECT : EXPR_MAP; break;
    default: return v;
    }
    v.json = j;
    return v;
}

static const struct expr_schema *inside(struct value v)
{
    return v.schema && v.schema->items ? v.schema->items(v.schema) : NULL;
}

static const struct expr_schema *member_schema(struct value v, struct str name)
{
    if (!v.schema) return NULL;
    return v.schema->kind == EXPR_OBJECT ? v.schema->field(v.schema, name) : inside(v);
}

size_t value_len(struct value v) { return v.json ? json_len(v.json) : v.n; }

struct value value_at(struct value v, size_t i)
{
    return v.json ? value_of_json(json_at(v.json, i), inside(v)) : v.items[i];
}

/* Members in order; objects have few, so counting to the i-th is fine. */
static const struct json *nth_member(const struct json *object, size_t i)
{
    const struct json *m = json_first(object);
    while (i--) m = json_next(m);
    return m;
}
struct value value_key(struct value v, size_t i) { return v.json ? value_of_str(json_key(nth_member(v.json, i))) : v.pairs[i].key; }
struct value value_item(struct value v, size_t i)
{
    if (!v.json) return v.pairs[i].value;
    const struct json *m = nth_member(v.json, i);
    return value_of_json(m, member_schema(v, json_key(m)));
}

bool value_get_field(struct value v, struct str name, struct value *out) { return value_get(v, value_of_str(name), out); }

bool value_get(struct value v, struct value key, struct value *out)
{
    if (v.json) {
        const struct json *m = key.kind == EXPR_STRING ? json_get_str(v.json, key.s) : NULL;
        if (m) *out = value_of_json(m, member_schema(v, key.s));
        return m;
    }
    struct expr_run free_of_charge = { .cost_left = INT64_MAX };
    for (size_t i = v.n; i-- > 0;)
        if (value_equal(&free_of_charge, v.pairs[i].key, key)) return *out = v.pairs[i].value, true;
    return false;
}

/* ---- order ---- */
static int sign(bool less, bool more) { return more - less; }

int value_compare(struct value a, struct value b)
{
    if (a.kind == EXPR_INT && b.kind == EXPR_DOUBLE) return sign((double)a.i < b.d, (double)a.i > b.d);
    if (a.kind == EXPR_DOUBLE && b.kind == EXPR_INT) return sign(a.d < (double)b.i, a.d > (double)b.i);
    if (a.kind != b.kind) return INT32_MIN;
    switch (a.kind) {
    case EXPR_BOOL: return sign(a.b < b.b, a.b > b.b);
    case EXPR_INT: case EXPR_DURATION: return sign(a.i < b.i, a.i > b.i);
    case EXPR_DOUBLE: return sign(a.d < b.d, a.d > b.d);
    case EXPR_STRING: {
        int c = str_cmp(a.s, b.s);
        return sign(c < 0, c > 0);
    }
    default: return INT32_MIN;
    }
}

/* ---- equality ---- */
static bool equal_ordered(struct expr_run *r, struct value a, struct value b)
{
    const struct json *x = a.json ? json_first(a.json) : NULL, *y = b.json ? json_first(b.json) : NULL;
    size_t n = value_len(a);
    for (size_t i = 0; i < n; i++) {
        struct value u = a.json ? value_of_json(x, inside(a)) : a.items[i], v = b.json ? value_of_json(y, inside(b)) : b.items[i];
        if (!value_equal(r, u, v)) return false;
        if (x) x = json_next(x);
        if (y) y = json_next(y);
    }
    return true;
}

/* Each item of a is matched with one of b that no other has: list types set and map compare like this. */
static bool equal_unordered(struct expr_run *r, struct value a, struct value b)
{
    size_t n = value_len(a);
    AUTO_FREE bool *used = xcalloc(n, 1);
    for (size_t i = 0; i < n; i++) {
        struct value item = value_at(a, i);
        size_t k = 0;
        while (k < n && (used[k] || !value_equal(r, item, value_at(b, k)))) k++;
        if (k == n || r->cost_left < 0) return false;
        used[k] = true;
    }
    return true;
}

static bool equal_maps(struct expr_run *r, struct value a, struct value b)
{
    size_t n = value_len(a);
    for (size_t i = 0; i < n; i++) {
        struct value other;
        if (!value_get(b, value_key(a, i), &other) || !value_equal(r, value_item(a, i), other)) return false;
    }
    return true;
}

bool value_equal(struct expr_run *r, struct value a, struct value b)
{
    bool map_a = a.kind == EXPR_MAP || a.kind == EXPR_OBJECT, map_b = b.kind == EXPR_MAP || b.kind == EXPR_OBJECT;
    if (--r->cost_left < 0) return false;
    if (map_a && map_b) return value_len(a) == value_len(b) && equal_maps(r, a, b);
    if (a.kind == EXPR_LIST && b.kind == EXPR_LIST) {
        if (value_len(a) != value_len(b)) return false;
        if (equal_ordered(r, a, b)) return true;
        return ((a.schema && a.schema->as_set) || (b.schema && b.schema->as_set)) && equal_unordered(r, a, b);
    }
    if (a.kind == EXPR_NULL || a.kind == EXPR_TYPE) return a.kind == b.kind && (a.kind == EXPR_NULL || a.i == b.i);
    if (a.kind == EXPR_STRING && b.kind == EXPR_STRING) {
        r->cost_left -= (int64_t)(a.s.n < b.s.n ? a.s.n : b.s.n) / 10;
        return str_eq(a.s, b.s);
    }
    bool nan = (a.kind == EXPR_DOUBLE && isnan(a.d)) || (b.kind == EXPR_DOUBLE && isnan(b.d));
    return !nan && value_compare(a, b) == 0;
}

/* ---- text ---- */
static void print_double(struct buf *b, double d)
{
    AUTO_ARENA struct arena a = { .limit = 4096, .first = 256 };
    if (isnan(d) || isinf(d)) buf_lit(b, isnan(d) ? "NaN" : d > 0 ? "+Inf" : "-Inf");
    else if (d == 0 && signbit(d)) buf_lit(b, "-0");
    else buf_str(b, json_number_text(json_new_double(&a, d)));
}

static void print_json(struct buf *b, struct value v)
{
    if (v.json) {
        json_print(b, v.json);
        return;
    }
    if (v.kind == EXPR_STRING) {
        jw_str(b, v.s);
        return;
    }
    if (v.kind != EXPR_LIST && v.kind != EXPR_MAP) {
        jw_raw(b, S(""));                        /* puts the comma */
        value_print(b, v);
        return;
    }
    bool list = v.kind == EXPR_LIST;
    jw_begin(b, list ? '[' : '{');
    for (size_t i = 0; i < v.n; i++) {
        if (!list) {
            AUTO_BUF struct buf key = { .max = LIMIT_EXPR_TEXT };
            value_print(&key, v.pairs[i].key);
            jw_key(b, buf_view(&key));
        }
        print_json(b, list ? v.items[i] : v.pairs[i].value);
    }
    jw_end(b, list ? ']' : '}');
}

void value_print(struct buf *b, struct value v)
{
    switch (v.kind) {
    case EXPR_BOOL: buf_lit(b, v.b ? "true" : "false"); return;
    case EXPR_INT: buf_fmt(b, "%lld", (long long)v.i); return;
    case EXPR_DOUBLE: print_double(b, v.d); return;
    case EXPR_STRING: buf_str(b, v.s); return;
    case EXPR_DURATION: print_double(b, (double)v.i / 1e9), buf_byte(b, 's'); return;
    case EXPR_NULL: buf_lit(b, "null"); return;
    case EXPR_TYPE: buf_lit(b, kind_name((enum expr_kind)v.i)); return;
    default: print_json(b, v);
    }
}
