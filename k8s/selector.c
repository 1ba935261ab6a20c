/* SPDX-License-Identifier: Apache-2.0 */
/*
 * selector: both spellings become one list of terms on an arena of the selector's own.
 * Tests: tests/unit/k8s/selector.c
 */
#include "k8s/selector.h"
#include <stdlib.h>

enum op { OP_IN, OP_NOT_IN, OP_EXISTS, OP_NOT_EXISTS, OP_GREATER, OP_LESS };
struct term { struct term *next; enum op op; struct str key, *values; size_t n; };
struct selector { struct arena arena; struct term *terms, **last; size_t n, cost; };

#define CUT(s) (int)((s).n < 80 ? (s).n : 80), (s).p

/* ---- rules for keys and values ---- */
static bool alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

static bool name_ok(struct str s)
{
    if (!s.n || s.n > 63 || !alnum(s.p[0]) || !alnum(s.p[s.n - 1])) return false;
    for (size_t i = 0; i < s.n; i++)
        if (!alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_' && s.p[i] != '.') return false;
    return true;
}

static bool subdomain_ok(struct str s)
{
    if (!s.n || s.n > 253) return false;
    while (s.p) {
        struct str part = str_cut(&s, '.');
        if (!part.n || part.p[0] == '-' || part.p[part.n - 1] == '-') return false;
        for (size_t i = 0; i < part.n; i++)
            if (alnum(part.p[i]) ? part.p[i] >= 'A' && part.p[i] <= 'Z' : part.p[i] != '-') return false;
    }
    return true;
}

bool label_key_ok(struct str key)
{
    ptrdiff_t slash = str_chr(key, '/');
    if (slash < 0) return name_ok(key);
    return subdomain_ok((struct str){ key.p, (size_t)slash }) && name_ok(str_from(key, (size_t)slash + 1));
}
bool label_value_ok(struct str value) { return !value.n || name_ok(value); }

/* ---- labels ---- */
enum { MANY = 16 };      /* so many labels, or values of a term, are sorted: each term of each watch's selector looks for one */

static int by_key(const void *a, const void *b) { return str_cmp(((const struct selector_label *)a)->key, ((const struct selector_label *)b)->key); }

struct selector_labels labels_from(struct selector_label *v, size_t n)
{
    if (n > MANY) qsort(v, n, sizeof *v, by_key);
    return (struct selector_labels){ v, n, n > MANY };
}

struct selector_labels labels_of_json(const struct json *map, struct arena *a)
{
    struct selector_label *v = arena_alloc(a, json_len(map) * sizeof *v);
    size_t n = 0;
    for (const struct json *m = v ? json_first(map) : NULL; m; m = json_next(m))
        if (json_is(m, JSON_STRING)) v[n++] = (struct selector_label){ json_key(m), json_string(m) };
    return labels_from(v, n);
}

bool labels_eq(const struct selector_labels *a, const struct selector_labels *b)
{
    size_t i = 0;
    while (i < a->n && i < b->n && str_eq(a->v[i].key, b->v[i].key) && str_eq(a->v[i].value, b->v[i].value)) i++;
    return i == a->n && i == b->n;
}

static struct str put(char **to, struct str s)
{
    struct str copy = { *to, s.n };
    if (s.n) memcpy(*to, s.p, s.n);
    *to += s.n;
    return copy;
}

struct selector_labels labels_copy(struct selector_labels in)
{
    size_t bytes = in.n * sizeof *in.v;
    if (!in.n) return (struct selector_labels){ NULL, 0 };
    for (size_t i = 0; i < in.n; i++) bytes += in.v[i].key.n + in.v[i].value.n;
    struct selector_label *v = xmalloc(bytes);
    char *text = (char *)(v + in.n);
    for (size_t i = 0; i < in.n; i++) {
        v[i].key = put(&text, in.v[i].key);
        v[i].value = put(&text, in.v[i].value);
    }
    return (struct selector_labels){ v, in.n, in.sorted };
}

void labels_free(struct selector_labels *l)
{
    free((void *)(uintptr_t)l->v);
    *l = (struct selector_labels){ NULL, 0 };
}

/* ---- building ---- */
static struct selector *new_selector(void)
{
    struct selector *s = xcalloc(1, sizeof *s);
    s->arena = (struct arena){ .limit = (size_t)LIMIT_SELECTOR_TEXT * 8, .first = 256 };
    s->last = &s->terms;
    return s;
}

void selector_free(struct selector *s)
{
    if (!s) return;
    arena_reset(&s->arena);
    free(s);
}

/* What didn't fit would be empty, and mean something else. */
static int fits(const struct selector *s, struct kr_err *e)
{
    return s->arena.over ? kr_fail(e, KR_BAD_REQUEST, "the selector has more values than %zu bytes of memory hold", s->arena.limit) : 0;
}

static struct term *add_term(struct selector *s, enum op op, struct str key, struct kr_err *e)
{
    if (s->n++ >= LIMIT_SELECTOR_TERMS) return kr_fail(e, KR_BAD_REQUEST, "the selector has more than %d terms", LIMIT_SELECTOR_TERMS), NULL;
    if (!label_key_ok(key)) return kr_fail(e, KR_BAD_REQUEST, "\"%.*s\" is no label key", CUT(key)), NULL;
    struct term *t = arena_new(&s->arena, struct term);
    struct str own = arena_str(&s->arena, key);
    if (fits(s, e) < 0) return NULL;
    s->cost++;
    t->op = op;
    t->key = own;
    *s->last = t;
    s->last = &t->next;
    return t;
}

static int add_value(struct selector *s, struct term *t, struct str value, struct kr_err *e)
{
    if (!label_value_ok(value)) return kr_fail(e, KR_BAD_REQUEST, "\"%.*s\" is no label value", CUT(value));
    if ((t->n & (t->n - 1)) == 0) {                      /* full at each power of two */
        struct str *more = arena_alloc(&s->arena, (t->n ? t->n * 2 : 1) * sizeof *more);
        if (fits(s, e) < 0) return -1;
        if (t->n) memcpy(more, t->values, t->n * sizeof *more);
        t->values = more;
    }
    s->cost += t->n < MANY;
    t->values[t->n++] = arena_str(&s->arena, value);
    return fits(s, e);
}

static int by_value(const void *a, const void *b) { return str_cmp(*(const struct str *)a, *(const struct str *)b); }
static void all_values(struct term *t)
{
    if (t->n > MANY) qsort(t->values, t->n, sizeof *t->values, by_value);
}

/* ---- the text form ---- */
struct reader { struct str rest; struct kr_err *e; struct selector *s; };

static void space(struct reader *r)
{
    while (r->rest.n && (r->rest.p[0] == ' ' || r->rest.p[0] == '\t')) r->rest = str_from(r->rest, 1);
}
static bool take(struct reader *r, const char *z)
{
    space(r);
    if (!str_starts(r->rest, str_of(z))) return false;
    r->rest = str_from(r->rest, strlen(z));
    return true;
}
static struct str word(struct reader *r)
{
    size_t n = 0;
    space(r);
    while (n < r->rest.n && r->rest.p[n] && !strchr(" \t,()=!<>", r->rest.p[n])) n++;
    struct str w = { r->rest.p, n };
    r->rest = str_from(r->rest, n);
    return w;
}

static int value_set(struct reader *r, struct term *t)
{
    if (!take(r, "(")) return kr_fail(r->e, KR_BAD_REQUEST, "\"(\" is expected behind \"in\" and \"notin\"");
    do {
        if (add_value(r->s, t, word(r), r->e) < 0) return -1;
    } while (take(r, ","));
    all_values(t);
    return take(r, ")") ? 0 : kr_fail(r->e, KR_BAD_REQUEST, "\")\" is expected behind the values of \"%.*s\"", SFMT(t->key));
}

/* KEY>N, KEY<N: whole numbers only (Kubernetes' labels package). */
static int compared(struct reader *r, struct str key, bool greater)
{
    int64_t n;
    struct str value = word(r);
    if (!str_i64(value, &n)) return kr_fail(r->e, KR_BAD_REQUEST, "\"%.*s\" is no whole number, as \">\" and \"<\" need", CUT(value));
    struct term *t = add_term(r->s, greater ? OP_GREATER : OP_LESS, key, r->e);
    return t ? add_value(r->s, t, value, r->e) : -1;
}

static int one_term(struct reader *r)
{
    bool not = take(r, "!");
    struct str key = word(r), how = S("");
    if (not) return add_term(r->s, OP_NOT_EXISTS, key, r->e) ? 0 : -1;
    if (take(r, ">")) return compared(r, key, true);
    if (take(r, "<")) return compared(r, key, false);
    bool unequal = take(r, "!="), equal = !unequal && (take(r, "==") || take(r, "="));
    if (!unequal && !equal) how = word(r);
    bool in = str_is(how, "in"), out = str_is(how, "notin");
    if (how.n && !in && !out) return kr_fail(r->e, KR_BAD_REQUEST, "\"%.*s\" is no operator: use =, !=, in or notin", CUT(how));
    struct term *t = add_term(r->s, unequal || out ? OP_NOT_IN : equal || in ? OP_IN : OP_EXISTS, key, r->e);
    if (!t) return -1;
    if (equal || unequal) return add_value(r->s, t, word(r), r->e);
    return how.n ? value_set(r, t) : 0;
}

static int all_terms(struct reader *r)
{
    for (space(r); r->rest.n; space(r)) {
        if (one_term(r) < 0) return -1;
        space(r);
        if (!r->rest.n) return 0;
        if (!take(r, ",")) return kr_fail(r->e, KR_BAD_REQUEST, "\",\" is expected before \"%.*s\"", CUT(r->rest));
        space(r);
        if (!r->rest.n) return kr_fail(r->e, KR_BAD_REQUEST, "the selector ends behind a \",\"");
    }
    return 0;
}

struct selector *selector_parse(struct str text, struct kr_err *e)
{
    if (text.n > LIMIT_SELECTOR_TEXT) return kr_fail(e, KR_BAD_REQUEST, "the selector has %zu bytes, at most %d are allowed", text.n, LIMIT_SELECTOR_TEXT), NULL;
    struct reader r = { text, e, new_selector() };
    if (!all_terms(&r)) return r.s;
    selector_free(r.s);
    return NULL;
}

/* ---- the object form ---- */
static int add_expression(struct selector *s, const struct json *x, struct kr_err *e)
{
    static const struct { const char *name; enum op op; bool values; } ops[] = {
        { "In", OP_IN, true }, { "NotIn", OP_NOT_IN, true }, { "Exists", OP_EXISTS, false }, { "DoesNotExist", OP_NOT_EXISTS, false },
    };
    struct str op = json_string(json_get(x, "operator"));
    const struct json *values = json_get(x, "values");
    size_t i = 0;
    while (i < LEN(ops) && !str_is(op, ops[i].name)) i++;
    if (i == LEN(ops)) return kr_fail(e, KR_BAD_REQUEST, "matchExpressions: \"%.*s\" is no operator: use In, NotIn, Exists or DoesNotExist", CUT(op));
    if (ops[i].values != (json_len(values) > 0)) return kr_fail(e, KR_BAD_REQUEST, "matchExpressions: operator %s %s values", ops[i].name, ops[i].values ? "needs" : "takes no");
    struct term *t = add_term(s, ops[i].op, json_string(json_get(x, "key")), e);
    for (const struct json *v = t ? json_first(values) : NULL; v; v = json_next(v))
        if (add_value(s, t, json_string(v), e) < 0) return -1;
    if (!t) return -1;
    all_values(t);
    return 0;
}

static int add_object(struct selector *s, const struct json *j, struct kr_err *e)
{
    for (const struct json *m = json_first(json_get(j, "matchLabels")); m; m = json_next(m)) {
        struct term *t = add_term(s, OP_IN, json_key(m), e);
        if (!t || add_value(s, t, json_string(m), e) < 0) return -1;
    }
    for (const struct json *x = json_first(json_get(j, "matchExpressions")); x; x = json_next(x))
        if (add_expression(s, x, e) < 0) return -1;
    return 0;
}

struct selector *selector_of_json(const struct json *j, struct kr_err *e)
{
    struct selector *s = new_selector();
    if (!add_object(s, j, e)) return s;
    selector_free(s);
    return NULL;
}

/* ---- asking ---- */
static const struct selector_label *find_label(const struct selector_labels *l, struct str key)
{
    const struct selector_label wanted = { .key = key };
    if (l->sorted) return bsearch(&wanted, l->v, l->n, sizeof *l->v, by_key);
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->v[i].key, key)) return &l->v[i];
    return NULL;
}

static bool has_value(const struct term *t, struct str value)
{
    if (t->n > MANY) return bsearch(&value, t->values, t->n, sizeof *t->values, by_value);
    for (size_t i = 0; i < t->n; i++)
        if (str_eq(value, t->values[i])) return true;
    return false;
}

static bool holds(const struct term *t, const struct selector_labels *l)
{
    const struct selector_label *found = find_label(l, t->key);
    if (t->op == OP_EXISTS || t->op == OP_NOT_EXISTS) return (found != NULL) == (t->op == OP_EXISTS);
    int64_t has, than = 0;
    if (t->op == OP_GREATER || t->op == OP_LESS)
        return found && str_i64(found->value, &has) && str_i64(t->values[0], &than) && (t->op == OP_GREATER ? has > than : has < than);
    return (found && has_value(t, found->value)) == (t->op == OP_IN);      /* an object without the label is in no set */
}

bool selector_matches(const struct selector *s, const struct selector_labels *l)
{
    for (const struct term *t = s ? s->terms : NULL; t; t = t->next)
        if (!holds(t, l)) return false;
    return true;
}

size_t selector_cost(const struct selector *s) { return 1 + (s ? s->cost : 0); }

static void print_set(struct buf *b, const struct term *t)
{
    bool in = t->op == OP_IN;
    if (t->op == OP_GREATER || t->op == OP_LESS) {
        buf_fmt(b, "%s%.*s", t->op == OP_GREATER ? ">" : "<", SFMT(t->values[0]));
        return;
    }
    if (t->n == 1) {
        buf_fmt(b, "%s%.*s", in ? "=" : "!=", SFMT(t->values[0]));
        return;
    }
    for (size_t i = 0; i < t->n; i++) buf_fmt(b, "%s%.*s", i ? "," : in ? " in (" : " notin (", SFMT(t->values[i]));
    buf_byte(b, ')');
}

void selector_print(struct buf *b, const struct selector *s)
{
    for (const struct term *t = s ? s->terms : NULL; t; t = t->next) {
        buf_fmt(b, "%s%s%.*s", t == s->terms ? "" : ",", t->op == OP_NOT_EXISTS ? "!" : "", SFMT(t->key));
        if (t->op != OP_EXISTS && t->op != OP_NOT_EXISTS) print_set(b, t);
    }
}

/* ---- fields ---- */
/* Unescapes in place: the text is a copy of our own. */
static struct str unescape(struct str s)
{
    char *p = (char *)(uintptr_t)s.p;
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (p[i] == '\\' && i + 1 < s.n && (p[i + 1] == ',' || p[i + 1] == '=' || p[i + 1] == '\\')) i++;
        p[n++] = p[i];
    }
    return (struct str){ p, n };
}

static size_t find_plain(struct str s, char c)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\') i++;
        else if (s.p[i] == c) return i;
    }
    return s.n;
}

static int field_term(struct field_selector *f, struct str term, struct kr_err *e)
{
    size_t eq = find_plain(term, '=');
    if (eq == term.n || !eq || f->n == LIMIT_SELECTOR_TERMS) return kr_fail(e, KR_BAD_REQUEST, "invalid field selector: \"%.*s\" is not field=value or field!=value", CUT(term));
    bool not = term.p[eq - 1] == '!', twice = !not && eq + 1 < term.n && term.p[eq + 1] == '=';
    f->v = xrealloc(f->v, (f->n + 1) * sizeof *f->v);
    f->v[f->n++] = (struct field_term){ str_trim((struct str){ term.p, eq - not }), unescape(str_from(term, eq + 1 + twice)), not };
    return 0;
}

int field_selector_parse(struct field_selector *out, struct str text, struct kr_err *e)
{
    if (text.n > LIMIT_SELECTOR_TEXT) return kr_fail(e, KR_BAD_REQUEST, "the selector has %zu bytes, at most %d are allowed", text.n, LIMIT_SELECTOR_TEXT);
    struct field_selector f = { .own = xstrndup(text.p, text.n) };
    struct str rest = { f.own, text.n };
    while (rest.n) {
        size_t end = find_plain(rest, ',');
        if (field_term(&f, (struct str){ rest.p, end }, e) < 0) {
            field_selector_free(&f);
            return -1;
        }
        rest = str_from(rest, end + 1);
    }
    *out = f;
    return 0;
}

void field_selector_free(struct field_selector *f)
{
    free(f->v);
    free(f->own);
    *f = (struct field_selector){ .n = 0 };
}

bool field_selector_matches(const struct field_selector *f, struct str (*get)(void *, struct str), void *ctx)
{
    for (size_t i = 0; i < f->n; i++)
        if (str_eq(get(ctx, f->v[i].path), f->v[i].value) == f->v[i].not) return false;
    return true;
}
