/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patch: merge patches (RFC 7396) and JSON patches (RFC 6902).
 *
 * The one idea: work on a clone, and let three budgets bound everything: the arena for memory, LIMIT_JSON_DEPTH for depth,
 * LIMIT_PATCH_WORK for time. A pointer is resolved to (parent, last token); each operation is then one edit of that parent.
 *
 * The whole document is kept as the only item of an array of our own, so that the pointer "" has a parent like any other.
 *
 * Not here: strategic merge patch (needs a schema; resources say what they accept) and server-side apply.
 */
#include "k8s/patch.h"

/* One patch being applied. */
struct run {
    struct arena *a;
    struct json *root;          /* array of one: the document */
    const char *why;            /* what went wrong with the operation at hand */
    enum patch_failure failure;
    int64_t work;               /* values that may still be looked at */
};

/* Where a pointer leads: the parent and what is named in it. */
struct place {
    struct json *parent;        /* an object, or an array */
    struct json *child;         /* NULL when there is nothing of that name */
    struct str key;             /* objects */
    size_t index;               /* arrays; json_len for "-" and one past the end */
};

/* Containers below and including j; more than LIMIT_JSON_DEPTH is not counted on. */
static int depth_of(const struct json *j)
{
    int deepest = 0;
    for (const struct json *k = json_first(j); k; k = json_next(k)) {
        int d = depth_of(k);
        if (d > deepest) deepest = d;
    }
    return deepest + (json_is(j, JSON_OBJECT) || json_is(j, JSON_ARRAY));
}

static bool fail(struct run *r, enum patch_failure f, const char *why)
{
    r->failure = f;
    r->why = why;
    return false;
}

static int64_t count(const struct json *j)
{
    int64_t n = 1;
    for (const struct json *k = json_first(j); k; k = json_next(k)) n += count(k);
    return n;
}

static bool charge(struct run *r, int64_t n)
{
    r->work -= n;
    return r->work >= 0 || fail(r, PATCH_TOO_LARGE, "the patch takes too long on this document");
}

/* ---- pointers ---- */
/* RFC 6901 3: "~1" is '/', "~0" is '~', any other '~' is an error. A token without '~' is a view. */
static bool unescape(struct arena *a, struct str raw, struct str *out)
{
    *out = raw;
    if (str_chr(raw, '~') < 0) return true;
    char *to = arena_alloc(a, raw.n + 1);
    size_t n = 0;
    if (!to) return false;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '~') {
            if (++i == raw.n || (raw.p[i] != '0' && raw.p[i] != '1')) return false;
            c = raw.p[i] == '0' ? '~' : '/';
        }
        to[n++] = c;
    }
    *out = (struct str){ to, n };
    return true;
}

/* "0", "17", not "01", "+1", "-1". */
static bool array_index(struct str token, size_t *out)
{
    uint64_t v;
    if (!token.n || token.n > 9 || (token.n > 1 && token.p[0] == '0') || !str_u64(token, &v)) return false;
    *out = (size_t)v;
    return true;
}

static struct json *step(const struct json *in, struct str token)
{
    size_t i;
    if (json_is(in, JSON_OBJECT)) return json_get_str(in, token);
    return json_is(in, JSON_ARRAY) && array_index(token, &i) ? json_at(in, i) : NULL;
}

/* The last token, within its parent. */
static bool place_in(struct run *r, struct json *parent, struct str token, struct place *out)
{
    *out = (struct place){ .parent = parent, .key = token };
    if (json_is(parent, JSON_OBJECT)) {
        out->child = json_get_str(parent, token);
        return true;
    }
    if (!json_is(parent, JSON_ARRAY)) return fail(r, PATCH_NO_TARGET, "the parent is neither an object nor an array");
    size_t len = json_len(parent);
    if (str_is(token, "-")) out->index = len;
    else if (!array_index(token, &out->index)) return fail(r, PATCH_NO_TARGET, "not an array index");
    if (out->index > len) return fail(r, PATCH_NO_TARGET, "the index is beyond the end of the array");
    out->child = json_at(parent, out->index);
    return true;
}

/* level: how many containers the place is within. */
static bool resolve(struct run *r, struct str pointer, struct place *out, int *level)
{
    struct json *at = json_first(r->root);
    *level = 0;
    *out = (struct place){ .parent = r->root, .child = at };
    if (!pointer.n) return true;
    if (pointer.p[0] != '/') return fail(r, PATCH_MALFORMED, "a path begins with '/'");
    struct str rest = str_from(pointer, 1), token;
    for (bool last = false; !last; ) {
        last = str_chr(rest, '/') < 0;
        if (!unescape(r->a, str_cut(&rest, '/'), &token)) {
            if (r->a->over) return fail(r, PATCH_TOO_LARGE, "out of memory budget");
            return fail(r, PATCH_MALFORMED, "'~' in a path is followed by 0 or 1");
        }
        if (++*level > LIMIT_JSON_DEPTH) return fail(r, PATCH_NO_TARGET, "no such path");
        if (!charge(r, (int64_t)json_len(at))) return false;     /* members and items are found one by one */
        if (last) return place_in(r, at, token, out);
        at = step(at, token);
        if (!at) return fail(r, PATCH_NO_TARGET, "no such path");
    }
    return true;
}

struct json *patch_pointer(const struct json *document, struct str pointer)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_FILE_INPUT };
    struct json *at = (struct json *)(uintptr_t)document;
    if (!pointer.n) return at;
    if (pointer.p[0] != '/') return NULL;
    struct str rest = str_from(pointer, 1), token;
    for (bool last = false; !last && at; at = step(at, token)) {
        last = str_chr(rest, '/') < 0;
        if (!unescape(&a, str_cut(&rest, '/'), &token)) return NULL;
    }
    return at;
}

/* ---- the six operations ---- */
/* Puts a value (in no tree) at the place: replaces what has that name in an object, moves up what is behind in an array. */
static bool put(struct run *r, const struct place *at, struct json *value, int level)
{
    if (level + depth_of(value) > LIMIT_JSON_DEPTH) return fail(r, PATCH_TOO_LARGE, "the document would be nested too deeply");
    if (at->parent == r->root) {
        json_remove_at(r->root, 0);
        json_append(r->root, value);
    } else if (json_is(at->parent, JSON_OBJECT)) {
        json_set(r->a, at->parent, at->key, value);
    } else {
        json_insert(at->parent, at->index, value);
    }
    return !r->a->over || fail(r, PATCH_TOO_LARGE, "out of memory budget");
}

static struct json *clone(struct run *r, const struct json *j)
{
    if (!charge(r, count(j))) return NULL;
    struct json *copy = json_clone(r->a, j);
    if (!r->a->over) return copy;
    fail(r, PATCH_TOO_LARGE, "out of memory budget");
    return NULL;
}

static bool existing(struct run *r, struct str pointer, struct place *at, int *level)
{
    return resolve(r, pointer, at, level) && (at->child || fail(r, PATCH_NO_TARGET, "no such member"));
}

static bool op_add(struct run *r, struct str path, const struct json *value)
{
    struct place at;
    int level;
    if (!resolve(r, path, &at, &level)) return false;
    struct json *copy = clone(r, value);
    return copy && put(r, &at, copy, level);
}

static bool op_remove(struct run *r, struct str path)
{
    struct place at;
    int level;
    if (!existing(r, path, &at, &level)) return false;
    if (at.parent == r->root) return fail(r, PATCH_NO_TARGET, "the whole document can't be removed");
    json_remove(at.parent, at.child);
    return true;
}

static bool op_replace(struct run *r, struct str path, const struct json *value)
{
    struct place at;
    int level;
    if (!existing(r, path, &at, &level)) return false;
    struct json *copy = clone(r, value);
    if (!copy) return false;
    if (json_is(at.parent, JSON_ARRAY) && at.parent != r->root) json_remove(at.parent, at.child);
    return put(r, &at, copy, level);
}

static bool op_copy(struct run *r, struct str from, struct str path)
{
    struct place source;
    int level;
    return existing(r, from, &source, &level) && op_add(r, path, source.child);
}

/* The source is taken out first: RFC 6902 4.4 defines a move as remove, then add. */
static bool op_move(struct run *r, struct str from, struct str path)
{
    struct place source, at;
    int level;
    bool inside = path.n > from.n && str_starts(path, from) && path.p[from.n] == '/';
    if (!existing(r, from, &source, &level)) return false;
    if (str_eq(from, path)) return true;
    if (inside) return fail(r, PATCH_NO_TARGET, "a value can't be moved into itself");
    struct json *copy = clone(r, source.child);
    if (!copy) return false;
    if (source.parent != r->root) json_remove(source.parent, source.child);
    return resolve(r, path, &at, &level) && put(r, &at, copy, level);
}

static bool op_test(struct run *r, struct str path, const struct json *value)
{
    struct place at;
    int level;
    if (!resolve(r, path, &at, &level))
        return r->failure == PATCH_NO_TARGET ? fail(r, PATCH_TEST_FAILED, "there is no such path") : false;
    if (!at.child) return fail(r, PATCH_TEST_FAILED, "there is no such member");
    if (!charge(r, count(value))) return false;
    return json_equal(at.child, value) || fail(r, PATCH_TEST_FAILED, "the value is another");
}

static bool apply(struct run *r, const struct json *op)
{
    const struct json *from = json_get(op, "from"), *value = json_get(op, "value");
    struct str name = json_string(json_get(op, "op")), path = json_string(json_get(op, "path"));
    bool wants_value = str_is(name, "add") || str_is(name, "replace") || str_is(name, "test");
    bool wants_from = str_is(name, "move") || str_is(name, "copy");
    if (!json_is(op, JSON_OBJECT)) return fail(r, PATCH_MALFORMED, "an operation is an object");
    if (!json_is(json_get(op, "op"), JSON_STRING)) return fail(r, PATCH_MALFORMED, "\"op\" is missing or not a string");
    if (!wants_value && !wants_from && !str_is(name, "remove"))
        return fail(r, PATCH_UNKNOWN_OP, "\"op\" is none of add, remove, replace, move, copy, test");
    if (!json_is(json_get(op, "path"), JSON_STRING)) return fail(r, PATCH_MALFORMED, "\"path\" is missing or not a string");
    if (wants_value && !value) return fail(r, PATCH_MALFORMED, "\"value\" is missing");
    if (wants_from && !json_is(from, JSON_STRING)) return fail(r, PATCH_MALFORMED, "\"from\" is missing or not a string");
    if (str_is(name, "add")) return op_add(r, path, value);
    if (str_is(name, "remove")) return op_remove(r, path);
    if (str_is(name, "replace")) return op_replace(r, path, value);
    if (str_is(name, "test")) return op_test(r, path, value);
    return str_is(name, "move") ? op_move(r, json_string(from), path) : op_copy(r, json_string(from), path);
}

/* ---- documents ---- */
static enum kr_code code_of(enum patch_failure f)
{
    return f == PATCH_MALFORMED ? KR_BAD_REQUEST : f == PATCH_TOO_LARGE ? KR_TOO_LARGE : KR_INVALID;
}

static void describe(const struct run *r, size_t n, const struct json *op, struct kr_err *e)
{
    struct str name = json_string(json_get(op, "op")), path = json_string(json_get(op, "path"));
    kr_fail(e, code_of(r->failure), "operation %zu (%.*s '%.*s'): %s", n, (int)str_rune_cut(name, 20), name.p,
            (int)str_rune_cut(path, 200), path.p, r->why);
}

static struct json *give_up(enum patch_failure f, enum patch_failure *why)
{
    if (why) *why = f;
    return NULL;
}

struct json *patch_json(struct arena *a, const struct json *target, const struct json *ops, enum patch_failure *why, struct kr_err *e)
{
    struct run r = { .a = a, .root = json_new_array(a), .work = LIMIT_PATCH_WORK };
    if (!json_is(ops, JSON_ARRAY)) {
        kr_fail(e, KR_BAD_REQUEST, "a JSON patch is an array of operations");
        return give_up(PATCH_MALFORMED, why);
    }
    size_t n = json_len(ops);
    if (n > LIMIT_PATCH_OPS) {
        kr_fail(e, KR_TOO_LARGE, "Request entity too large: The allowed maximum operations in a JSON patch is %d, got %zu", LIMIT_PATCH_OPS, n);
        return give_up(PATCH_TOO_LARGE, why);
    }
    struct json *copy = json_clone(a, target);
    if (a->over) {
        kr_fail(e, KR_TOO_LARGE, "the document to patch is larger than the memory budget of %zu bytes", a->limit);
        return give_up(PATCH_TOO_LARGE, why);
    }
    json_append(r.root, copy);
    n = 0;
    for (const struct json *op = json_first(ops); op; op = json_next(op), n++)
        if (!apply(&r, op)) {
            describe(&r, n, op, e);
            return give_up(r.failure, why);
        }
    if (why) *why = PATCH_OK;
    copy = json_first(r.root);
    json_remove(r.root, copy);
    return copy;
}

/* RFC 7396 2, MergePatch(target, patch); target is ours to change, or NULL. */
static struct json *merge(struct arena *a, struct json *target, const struct json *patch)
{
    if (!json_is(patch, JSON_OBJECT)) return json_clone(a, patch);
    if (!json_is(target, JSON_OBJECT)) target = json_new_object(a);
    for (const struct json *m = json_first(patch); m && !a->over; m = json_next(m)) {
        struct json *old = json_get_str(target, json_key(m));
        if (json_is(m, JSON_NULL)) {
            if (old) json_remove(target, old);
        } else if (json_is(old, JSON_OBJECT) && json_is(m, JSON_OBJECT)) {
            merge(a, old, m);
        } else {
            json_set(a, target, json_key(m), merge(a, NULL, m));
        }
    }
    return target;
}

struct json *patch_merge(struct arena *a, const struct json *target, const struct json *patch, struct kr_err *e)
{
    struct json *result = merge(a, target ? json_clone(a, target) : NULL, patch);
    if (!a->over) return result;
    kr_fail(e, KR_TOO_LARGE, "the merge patch needs more memory than is allowed (%zu bytes)", a->limit);
    return NULL;
}
