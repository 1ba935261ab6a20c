/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_tree: trees of unknown shape. The nodes are cJSON's; this is the one file that knows.
 *
 * Its traps are walled off: the parser here is json_scan.c's (cJSON's takes more than RFC 8259), look-ups compare case, a
 * number is its text (valuedouble is never set), a string knows its length (valueint) so that a NUL inside doesn't cut it, and
 * every node and string is on the caller's arena, so nothing of cJSON's allocates or frees. Tests: tests/unit/core/json.c
 */
#include "core/json.h"
#include "core/map.h"
#include <cjson/cJSON.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>

/* struct json is never defined: a pointer to one is a pointer to a cJSON. */
static cJSON *c_of(const struct json *j) { return (cJSON *)(void *)(uintptr_t)j; }
static struct json *j_of(cJSON *c) { return (struct json *)(void *)c; }

/* Over its budget an arena gives NULL; this node then stands for what is missing, and is never put into a tree. */
static cJSON spare;

static cJSON *node(struct arena *a, int type)
{
    cJSON *c = arena_alloc(a, sizeof *c);
    if (!c) {
        spare = (cJSON){ 0 };
        c = &spare;
    }
    c->type = type;
    return c;
}

static char *text_of(struct arena *a, struct str s)
{
    static char nothing[1];
    char *p = arena_alloc(a, s.n + 1);
    if (!p) return nothing;
    if (s.n) memcpy(p, s.p, s.n);
    return p;
}

/* ---- parse ---- */
static cJSON *parse_value(struct json_cur *c, struct arena *a, struct kr_err *e);

/* Converting a number with a large exponent takes microseconds, so only those are converted whose place and first digits leave
 * it open: above 1.797693134862315807937…e308, DBL_MAX and half of its last place, there is none. */
bool json_fits_double(const char *number)
{
    const char *z = number;
    char first[18] = "000000000000000000";
    int64_t place = -1, exponent = 0;             /* place: of the first digit that isn't 0, as a power of ten */
    size_t n = 0;
    bool point = false;
    for (; *z && *z != 'e' && *z != 'E'; z++) {
        if (*z < '0') {                           /* the point, or the sign */
            point |= *z == '.';
        } else if (n || *z != '0') {
            if (n < sizeof first) first[n] = *z;
            n++;
            place += !point;
        } else {
            place -= point;
        }
    }
    if (!n) return true;
    bool minus = *z && z[1] == '-';
    for (; *z; z++)
        if (*z >= '0' && *z <= '9' && exponent < INT32_MAX) exponent = exponent * 10 + *z - '0';
    place += minus ? -exponent : exponent;
    int there = memcmp(first, "179769313486231580", sizeof first);
    return place < 308 || (place == 308 && (there < 0 || (there == 0 && isfinite(strtod(number, NULL)))));
}

/* A number beyond a double is refused: who reads it as one (all Go programs) could not read the whole document. */
static cJSON *parse_number(struct json_cur *c, struct arena *a, struct kr_err *e)
{
    struct json_cur before = *c;
    struct str raw = json_raw(c);
    int64_t whole;
    char canon[24];
    cJSON *n = node(a, cJSON_Number);
    if (json_i64(&before, &whole)) raw = (struct str){ canon, str_put_i64(canon, whole) };
    n->valuestring = text_of(a, raw);
    if (!json_fits_double(n->valuestring))
        return kr_fail(e, KR_BAD_REQUEST, "JSON: the number %.*s is out of range", (int)(raw.n < 40 ? raw.n : 40), raw.p), NULL;
    return n;
}

static cJSON *string_node(struct arena *a, struct str s)
{
    cJSON *n = node(a, cJSON_String);
    n->valuestring = text_of(a, s);
    n->valueint = a->over ? 0 : (int)s.n;
    return n;
}

static struct str text_in(const cJSON *string) { return (struct str){ string->valuestring, (size_t)string->valueint }; }

static void link_last(cJSON *parent, cJSON *item)
{
    if (item == &spare || parent == &spare) return;
    if (!parent->child) {
        parent->child = item->prev = item;       /* the first one's prev is the last: cJSON's own convention */
        return;
    }
    cJSON *last = parent->child->prev;
    last->next = item;
    item->prev = last;
    parent->child->prev = item;
}

static cJSON *parse_array(struct json_cur *c, struct arena *a, struct kr_err *e)
{
    cJSON *array = node(a, cJSON_Array);
    json_enter(c);
    while (json_item(c)) {
        cJSON *item = parse_value(c, a, e);
        if (!item) return NULL;
        link_last(array, item);
    }
    return array;
}

/* Most differ in their first byte: no call is made for that. A key with a NUL inside is nobody's. */
static bool is_named(const char *name, struct str key)
{
    for (size_t i = 0; i < key.n; i++)
        if (name[i] != key.p[i] || !name[i]) return false;
    return !name[key.n];
}

/* ---- members by name ----
 * Whoever sends an object chooses how many members it has, and a look at each for each takes minutes with a hundred thousand.
 * So an object that gets many has a table of them, on the arena of who adds: open addressing, at most three quarters full.
 * cJSON has no use for two fields of an object: valuestring is the table, valueint how many were added. */
enum { MANY = 64 };
struct table { size_t cap, used; cJSON *at[]; };      /* used: with those that are gone */
static cJSON gone;                                    /* stands where a member was, until the table grows */

static struct table *table_of(const cJSON *object) { return object == &spare ? NULL : (struct table *)(void *)object->valuestring; }

/* Where the key is, or would be. */
static cJSON **slot_of(struct table *t, struct str key)
{
    size_t i = (size_t)str_hash(key) & (t->cap - 1);
    while (t->at[i] && (t->at[i] == &gone || !is_named(t->at[i]->string, key))) i = (i + 1) & (t->cap - 1);
    return &t->at[i];
}

static void enter(struct table *t, cJSON *m)
{
    cJSON **slot = slot_of(t, str_of(m->string));
    t->used += !*slot;
    *slot = m;
}

/* A new table, of all members; an arena takes nothing back. Over its budget nothing is found any more but by walking. */
static void index_members(struct arena *a, cJSON *object)
{
    size_t n = 0, cap = 2 * MANY;
    for (cJSON *m = object->child; m; m = m->next) n++;
    while (cap < 2 * (n + 1)) cap *= 2;
    struct table *t = arena_alloc(a, sizeof *t + cap * sizeof *t->at);
    object->valuestring = (char *)(void *)t;
    object->valueint = t ? object->valueint : INT_MIN;
    if (t) t->cap = cap;
    for (cJSON *m = t ? object->child : NULL; m; m = m->next) enter(t, m);
}

static cJSON *find(const cJSON *object, struct str key)
{
    struct table *t = table_of(object);
    if (t) return *slot_of(t, key);
    for (cJSON *m = object->child; m; m = m->next)
        if (is_named(m->string, key)) return m;
    return NULL;
}

/* After n of them were linked one behind the other: a table of the right size at once. */
static void count_members(struct arena *a, cJSON *object, size_t n)
{
    if (object == &spare) return;
    object->valueint = (int)n;
    if (n >= MANY) index_members(a, object);
}

static void link_member(struct arena *a, cJSON *object, cJSON *m)
{
    struct table *t = table_of(object);
    if (m == &spare || object == &spare) return;
    link_last(object, m);
    object->valueint++;
    if (t ? 4 * (t->used + 1) > 3 * t->cap : object->valueint == MANY) index_members(a, object);
    else if (t) enter(t, m);
}

static void replace(cJSON *parent, cJSON *old, cJSON *new)
{
    if (new == &spare) return;
    if (table_of(parent)) enter(table_of(parent), new);
    new->next = old->next;
    new->prev = old->prev == old ? new : old->prev;
    if (new->next) new->next->prev = new;
    else parent->child->prev = new;
    if (parent->child == old) parent->child = new;
    else new->prev->next = new;
}

/* Duplicate keys: the last wins, in the place of the first. `json_scan` has counted none where that is usual, so the
 * look-up is only made when the object is small or duplicates were seen. */
static cJSON *parse_object(struct json_cur *c, struct arena *a, struct kr_err *e)
{
    cJSON *object = node(a, cJSON_Object);
    struct str key;
    size_t n = 0;
    json_enter(c);
    while (json_member(c, a, &key)) {
        if (key.n && memchr(key.p, 0, key.n)) return kr_fail(e, KR_BAD_REQUEST, "JSON: a key has a NUL character (\\u0000) inside"), NULL;
        char *own = text_of(a, key);
        cJSON *item = parse_value(c, a, e), *old = n < 64 ? find(object, key) : NULL;
        if (!item) return NULL;
        item->string = own;
        if (old) replace(object, old, item);
        else link_last(object, item), n++;
    }
    count_members(a, object, n);
    return object;
}

static cJSON *parse_any(struct json_cur *c, struct arena *a, struct kr_err *e)
{
    switch (json_kind(c)) {
    case JSON_OBJECT: return parse_object(c, a, e);
    case JSON_ARRAY: return parse_array(c, a, e);
    case JSON_NUMBER: return parse_number(c, a, e);
    case JSON_STRING: return string_node(a, json_text(c, a));
    case JSON_TRUE: json_skip(c); return node(a, cJSON_True);
    case JSON_FALSE: json_skip(c); return node(a, cJSON_False);
    default: json_skip(c); return node(a, cJSON_NULL);
    }
}

static cJSON *parse_value(struct json_cur *c, struct arena *a, struct kr_err *e)
{
    cJSON *v = parse_any(c, a, e);
    if (!a->over) return v;
    kr_fail(e, KR_TOO_LARGE, "the JSON document needs more memory than is allowed (%zu bytes)", a->limit);
    return NULL;
}

/* With a table, as there may be hundreds of thousands: comparing each with each would take minutes. */
void json_drop_duplicates(struct json *tree)
{
    struct map seen = { 0 };
    bool object = json_is(tree, JSON_OBJECT);
    for (cJSON *m = tree ? c_of(tree)->child : NULL; m; m = m->next) {
        cJSON *old = object ? map_put(&seen, str_of(m->string), m) : NULL;
        if (old) json_remove(tree, j_of(old));
        if (m->child) json_drop_duplicates(j_of(m));
    }
    map_free(&seen);
}

static void count_twice(void *ctx, struct str key, size_t offset)
{
    (void)key, (void)offset;
    ++*(size_t *)ctx;
}

struct json *json_parse_keys(struct arena *a, struct str text, bool *ret_twice, struct kr_err *e)
{
    size_t twice = 0;
    if (json_scan_keys(text, count_twice, &twice, e) < 0) return NULL;
    struct json_cur c = json_begin(text);
    cJSON *root = parse_value(&c, a, e);
    if (!root) return NULL;
    if (twice) json_drop_duplicates(j_of(root));
    *ret_twice = twice > 0;
    return j_of(root);
}

struct json *json_parse(struct arena *a, struct str text, struct kr_err *e)
{
    bool ignored;
    return json_parse_keys(a, text, &ignored, e);
}

/* ---- look ---- */
enum json_type json_type(const struct json *j)
{
    switch (j ? c_of(j)->type & 0xFF : cJSON_NULL) {
    case cJSON_False: return JSON_FALSE;
    case cJSON_True: return JSON_TRUE;
    case cJSON_Number: return JSON_NUMBER;
    case cJSON_String: return JSON_STRING;
    case cJSON_Array: return JSON_ARRAY;
    case cJSON_Object: return JSON_OBJECT;
    default: return JSON_NULL;
    }
}

const char *json_type_name(enum json_type t)
{
    static const char *const names[] = { "null", "boolean", "boolean", "number", "string", "array", "object" };
    return names[t];
}

bool json_is(const struct json *j, enum json_type t) { return j && json_type(j) == t; }
struct str json_string(const struct json *j) { return json_is(j, JSON_STRING) ? text_in(c_of(j)) : S(""); }
double json_double(const struct json *j) { return json_is(j, JSON_NUMBER) ? strtod(c_of(j)->valuestring, NULL) : 0; }

bool json_int(const struct json *j, int64_t *out)
{
    if (!json_is(j, JSON_NUMBER)) return false;
    struct json_cur c = json_begin(str_of(c_of(j)->valuestring));
    return json_i64(&c, out);
}

struct str json_number_text(const struct json *j) { return json_is(j, JSON_NUMBER) ? str_of(c_of(j)->valuestring) : S(""); }

bool json_is_whole(const struct json *j)
{
    int64_t v;
    return json_is(j, JSON_NUMBER) && (json_int(j, &v) || !strpbrk(c_of(j)->valuestring, ".eE"));
}

static bool is_container(const struct json *j) { return json_is(j, JSON_OBJECT) || json_is(j, JSON_ARRAY); }

size_t json_len(const struct json *j)
{
    size_t n = 0;
    for (struct json *k = json_first(j); k; k = json_next(k)) n++;
    return n;
}
struct json *json_first(const struct json *j) { return is_container(j) ? j_of(c_of(j)->child) : NULL; }
struct json *json_next(const struct json *j) { return j_of(c_of(j)->next); }
struct str json_key(const struct json *m) { return str_of(c_of(m)->string ? c_of(m)->string : ""); }

struct json *json_at(const struct json *array, size_t i)
{
    struct json *j = json_is(array, JSON_ARRAY) ? json_first(array) : NULL;
    while (j && i--) j = json_next(j);
    return j;
}

struct json *json_get_str(const struct json *object, struct str key)
{
    return json_is(object, JSON_OBJECT) ? j_of(find(c_of(object), key)) : NULL;
}

struct json *json_get_path(const struct json *object, const char *const *keys, size_t n)
{
    struct json *j = (struct json *)(uintptr_t)object;
    for (size_t i = 0; i < n && j; i++) j = json_get(j, keys[i]);
    return j;
}

/* ---- make ---- */
struct json *json_new_null(struct arena *a) { return j_of(node(a, cJSON_NULL)); }
struct json *json_new_bool(struct arena *a, bool v) { return j_of(node(a, v ? cJSON_True : cJSON_False)); }
struct json *json_new_object(struct arena *a) { return j_of(node(a, cJSON_Object)); }
struct json *json_new_array(struct arena *a) { return j_of(node(a, cJSON_Array)); }

static struct json *new_number(struct arena *a, struct str text)
{
    cJSON *n = node(a, cJSON_Number);
    n->valuestring = text_of(a, text);
    return j_of(n);
}

struct json *json_new_int(struct arena *a, int64_t v)
{
    char text[24];
    return new_number(a, (struct str){ text, str_put_i64(text, v) });
}

/* The shortest text that reads back as the same double. */
struct json *json_new_double(struct arena *a, double v)
{
    char text[40] = "0";
    bool small = v > -1e15 && v < 1e15 && v == (double)(int64_t)v;
    if (small) return json_new_int(a, (int64_t)v);
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    return new_number(a, str_of(text));
}

struct json *json_new_str(struct arena *a, struct str s) { return j_of(string_node(a, s)); }

void json_set(struct arena *a, struct json *object, struct str key, struct json *value)
{
    cJSON *o = c_of(object), *v = c_of(value), *old = find(o, key);
    v->string = text_of(a, key);
    v->next = v->prev = NULL;
    if (old) replace(o, old, v);
    else link_member(a, o, v);
}

void json_add(struct arena *a, struct json *object, struct str key, struct json *value)
{
    cJSON *v = c_of(value);
    v->string = text_of(a, key);
    v->next = v->prev = NULL;
    link_member(a, c_of(object), v);
}

struct json *json_ensure_object(struct arena *a, struct json *object, const char *key)
{
    struct json *j = json_get(object, key);
    if (json_is(j, JSON_OBJECT)) return j;
    j = json_new_object(a);
    json_set(a, object, str_of(key), j);
    return j;
}

void json_remove(struct json *parent, struct json *child)
{
    cJSON *p = c_of(parent), *c = c_of(child);
    cJSON **slot = json_is(parent, JSON_OBJECT) && table_of(p) ? slot_of(table_of(p), str_of(c->string)) : NULL;
    if (slot && *slot == c) *slot = &gone;
    if (p->child == c) p->child = c->next;
    else c->prev->next = c->next;
    if (c->next) c->next->prev = c->prev;
    else if (p->child) p->child->prev = c->prev;
    c->next = c->prev = NULL;
}

void json_replace(struct json *parent, struct json *child, struct json *value)
{
    if (c_of(value) == &spare) return;
    c_of(value)->string = c_of(child)->string;
    replace(c_of(parent), c_of(child), c_of(value));
    c_of(child)->next = c_of(child)->prev = NULL;
}

bool json_del(struct json *object, struct str key)
{
    struct json *j = json_get_str(object, key);
    if (j) json_remove(object, j);
    return j;
}

void json_append(struct json *array, struct json *value)
{
    c_of(value)->next = c_of(value)->prev = NULL;
    link_last(c_of(array), c_of(value));
}

bool json_insert(struct json *array, size_t i, struct json *value)
{
    cJSON *a = c_of(array), *v = c_of(value), *before = c_of(json_at(array, i));
    if (v == &spare) return true;
    if (!before) {
        if (i != json_len(array)) return false;
        json_append(array, value);
        return true;
    }
    v->string = NULL;
    v->next = before;
    v->prev = before->prev;
    if (a->child == before) a->child = v;
    else before->prev->next = v;
    before->prev = v;
    return true;
}

bool json_remove_at(struct json *array, size_t i)
{
    struct json *j = json_at(array, i);
    if (j) json_remove(array, j);
    return j;
}

struct json *json_clone(struct arena *a, const struct json *j)
{
    const cJSON *from = c_of(j);
    if (json_is(j, JSON_STRING)) return j_of(string_node(a, text_in(from)));
    cJSON *to = node(a, from->type);
    if (json_is(j, JSON_NUMBER)) to->valuestring = text_of(a, str_of(from->valuestring));
    size_t n = 0;
    for (cJSON *k = from->child; k; k = k->next, n++) {
        cJSON *copy = c_of(json_clone(a, j_of(k)));
        if (k->string) copy->string = text_of(a, str_of(k->string));
        link_last(to, copy);
    }
    if (json_is(j, JSON_OBJECT)) count_members(a, to, n);
    return j_of(to);
}

/* ---- compare, print ---- */
static bool equal_numbers(const struct json *a, const struct json *b)
{
    int64_t x, y;
    if (json_int(a, &x) && json_int(b, &y)) return x == y;
    return str_eq(json_number_text(a), json_number_text(b)) || json_double(a) == json_double(b);
}

bool json_equal(const struct json *a, const struct json *b)
{
    enum json_type t = json_type(a);
    if (t != json_type(b)) return false;
    if (t == JSON_NUMBER) return equal_numbers(a, b);
    if (t == JSON_STRING) return str_eq(text_in(c_of(a)), text_in(c_of(b)));
    if (t != JSON_ARRAY && t != JSON_OBJECT) return true;
    const struct json *x = json_first(a), *y = json_first(b);
    for (; x && y; x = json_next(x), y = json_next(y)) {
        const struct json *other = t == JSON_ARRAY || str_eq(json_key(x), json_key(y)) ? y : json_get_str(b, json_key(x));
        if (!other || !json_equal(x, other)) return false;
    }
    return !x && !y;
}

void json_print(struct buf *b, const struct json *j)
{
    switch (json_type(j)) {
    case JSON_OBJECT: jw_begin(b, '{'); break;
    case JSON_ARRAY: jw_begin(b, '['); break;
    case JSON_STRING: jw_str(b, json_string(j)); return;
    case JSON_NUMBER: jw_raw(b, str_of(c_of(j)->valuestring)); return;
    case JSON_NULL: jw_null(b); return;
    default: jw_bool(b, json_is(j, JSON_TRUE)); return;
    }
    for (const struct json *k = json_first(j); k && !b->failed; k = json_next(k)) {
        if (json_is(j, JSON_OBJECT)) jw_key(b, json_key(k));
        json_print(b, k);
    }
    jw_end(b, json_is(j, JSON_OBJECT) ? '}' : ']');
}
