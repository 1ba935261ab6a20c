/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expr_eval: tree + variables → value.
 *
 * Recursion is as deep as the tree, which the parser bounds. Every node costs one, what walks data costs its size, so a
 * budget bounds time and, as everything is built on the arena, memory. An error is an ordinary result that && and ||,
 * all() and exists() may forgive (as CEL has it). Tests: tests/unit/core/expr.c
 */
#include "core/expr_ast.h"
#include <math.h>

struct eval { struct expr_run *run; struct value *slots; struct kr_err *e; };

static int eval(struct eval *v, const struct node *n, struct value *out);

int expr_charge(struct expr_run *run, size_t cost, struct kr_err *e)
{
    run->cost_left -= cost < INT32_MAX ? (int64_t)cost : INT32_MAX;
    return run->cost_left < 0 ? kr_fail(e, KR_TOO_LARGE, "the expression costs more than its budget") : 0;
}

static int wrong(struct eval *v, const struct node *n, const char *sign, struct value a, struct value b)
{
    return kr_fail(v->e, KR_INVALID, "at %u: no such overload: %s %s %s", n->at + 1, kind_name(a.kind), sign, kind_name(b.kind));
}

/* ---- arithmetic ---- */
static int overflow(struct eval *v, const struct node *n) { return kr_fail(v->e, KR_INVALID, "at %u: integer overflow", n->at + 1); }

static int int_math(struct eval *v, const struct node *n, int64_t a, int64_t b, int64_t *out)
{
    bool over = false;
    switch (n->op) {
    case N_ADD: over = __builtin_add_overflow(a, b, out); break;
    case N_SUB: over = __builtin_sub_overflow(a, b, out); break;
    case N_MUL: over = __builtin_mul_overflow(a, b, out); break;
    default:
        if (!b) return kr_fail(v->e, KR_INVALID, "at %u: division by zero", n->at + 1);
        over = a == INT64_MIN && b == -1;
        if (!over) *out = n->op == N_DIV ? a / b : a % b;
    }
    return over ? overflow(v, n) : 0;
}

static int join(struct eval *v, struct value a, struct value b, struct value *out)
{
    size_t n = value_len(a) + value_len(b);
    if (expr_charge(v->run, n, v->e) < 0) return -1;
    struct value *items = arena_alloc(v->run->arena, n * sizeof *items);
    if (!items) return kr_fail(v->e, KR_TOO_LARGE, "the expression needs too much memory");
    for (size_t i = 0; i < n; i++) items[i] = i < value_len(a) ? value_at(a, i) : value_at(b, i - value_len(a));
    *out = (struct value){ .kind = EXPR_LIST, .n = (uint32_t)n, .items = items };
    return 0;
}

static int concat(struct eval *v, struct str a, struct str b, struct value *out)
{
    if (expr_charge(v->run, (a.n + b.n) / 10, v->e) < 0) return -1;
    char *p = arena_alloc(v->run->arena, a.n + b.n + 1);
    if (!p) return kr_fail(v->e, KR_TOO_LARGE, "the expression needs too much memory");
    if (a.n) memcpy(p, a.p, a.n);
    if (b.n) memcpy(p + a.n, b.p, b.n);
    *out = value_of_str((struct str){ p, a.n + b.n });
    return 0;
}

static int arithmetic(struct eval *v, const struct node *n, struct value a, struct value b, struct value *out)
{
    static const char *const signs[] = { [N_ADD] = "+", [N_SUB] = "-", [N_MUL] = "*", [N_DIV] = "/", [N_MOD] = "%" };
    if (a.kind != b.kind) return wrong(v, n, signs[n->op], a, b);
    if (a.kind == EXPR_INT || (a.kind == EXPR_DURATION && (n->op == N_ADD || n->op == N_SUB))) {
        *out = (struct value){ .kind = a.kind };
        return int_math(v, n, a.i, b.i, &out->i);
    }
    if (a.kind == EXPR_DOUBLE && n->op != N_MOD) {
        double d = n->op == N_ADD ? a.d + b.d : n->op == N_SUB ? a.d - b.d : n->op == N_MUL ? a.d * b.d : a.d / b.d;
        *out = (struct value){ .kind = EXPR_DOUBLE, .d = d };
        return 0;
    }
    if (n->op == N_ADD && a.kind == EXPR_STRING) return concat(v, a.s, b.s, out);
    if (n->op == N_ADD && a.kind == EXPR_LIST) return join(v, a, b, out);
    return wrong(v, n, signs[n->op], a, b);
}

/* ---- comparison ---- */
static int order(struct eval *v, const struct node *n, struct value a, struct value b, struct value *out)
{
    static const char *const signs[] = { [N_LT] = "<", [N_LE] = "<=", [N_GT] = ">", [N_GE] = ">=" };
    if (a.kind == EXPR_STRING && b.kind == EXPR_STRING && expr_charge(v->run, (a.s.n < b.s.n ? a.s.n : b.s.n) / 10, v->e) < 0) return -1;
    int c = value_compare(a, b);
    if (c == INT32_MIN) return wrong(v, n, signs[n->op], a, b);
    bool nan = (a.kind == EXPR_DOUBLE && isnan(a.d)) || (b.kind == EXPR_DOUBLE && isnan(b.d));
    if (nan) return kr_fail(v->e, KR_INVALID, "at %u: NaN comes neither before nor behind anything", n->at + 1);
    *out = value_of_bool((n->op == N_LT ? c < 0 : n->op == N_LE ? c <= 0 : n->op == N_GT ? c > 0 : c >= 0));
    return 0;
}

static int equality(struct eval *v, const struct node *n, struct value a, struct value b, struct value *out)
{
    bool same = value_equal(v->run, a, b);
    if (v->run->cost_left < 0) return expr_charge(v->run, 0, v->e);
    *out = value_of_bool(same == (n->op == N_EQ));
    return 0;
}

static int contains(struct eval *v, const struct node *n, struct value a, struct value b, struct value *out)
{
    struct value item;
    bool found = false;
    if (b.kind == EXPR_LIST) {
        for (size_t i = 0; i < value_len(b) && !found && v->run->cost_left >= 0; i++) found = value_equal(v->run, a, value_at(b, i));
    } else if (b.kind == EXPR_MAP || b.kind == EXPR_OBJECT) {
        found = value_get(b, a, &item);
    } else {
        return wrong(v, n, "in", a, b);
    }
    *out = value_of_bool(found);
    return expr_charge(v->run, 1, v->e);
}

static int two(struct eval *v, const struct node *n, struct value *out)
{
    struct value a, b;
    if (eval(v, n->a, &a) < 0 || eval(v, n->b, &b) < 0) return -1;
    switch (n->op) {
    case N_EQ: case N_NE: return equality(v, n, a, b, out);
    case N_LT: case N_LE: case N_GT: case N_GE: return order(v, n, a, b, out);
    case N_IN: return contains(v, n, a, b, out);
    default: return arithmetic(v, n, a, b, out);
    }
}

/* ---- logic: an error is forgiven when the other side decides ---- */
static bool spent(const struct eval *v) { return v->run->cost_left < 0 || v->run->arena->over; }

static int want_bool(struct eval *v, const struct node *n, struct value x)
{
    return x.kind == EXPR_BOOL ? 0 : kr_fail(v->e, KR_INVALID, "at %u: a bool is needed here, not %s", n->at + 1, kind_name(x.kind));
}

static int eval_bool(struct eval *v, const struct node *n, struct value *out)
{
    return eval(v, n, out) < 0 ? -1 : want_bool(v, n, *out);
}

static int logic(struct eval *v, const struct node *n, struct value *out)
{
    struct value a, b;
    bool decides = n->op == N_OR;
    struct kr_err first;
    int bad = eval_bool(v, n->a, &a);
    if (!bad && a.b == decides) return *out = a, 0;
    if (bad && spent(v)) return -1;
    if (bad) first = *v->e;
    if (eval_bool(v, n->b, &b) < 0) {
        if (bad && !spent(v)) *v->e = first;
        return -1;
    }
    if (bad && b.b != decides) return *v->e = first, -1;
    *out = b;
    return 0;
}

/* ---- macros ---- */
static int range(struct eval *v, const struct node *n, struct value *list)
{
    if (eval(v, n->a, list) < 0) return -1;
    if (list->kind != EXPR_LIST && list->kind != EXPR_MAP && list->kind != EXPR_OBJECT)
        return kr_fail(v->e, KR_INVALID, "at %u: a list or a map is needed here, not %s", n->at + 1, kind_name(list->kind));
    return expr_charge(v->run, value_len(*list), v->e);
}

static struct value nth(struct value list, size_t i) { return list.kind == EXPR_LIST ? value_at(list, i) : value_key(list, i); }

/* all and exists: one decided item decides, whatever errors others had. */
static int quantifier(struct eval *v, const struct node *n, struct value *out)
{
    struct value list, r;
    struct kr_err first = { 0 };
    bool bad = false, decides = n->op == N_EXISTS;
    if (range(v, n, &list) < 0) return -1;
    for (size_t i = 0; i < value_len(list); i++) {
        v->slots[n->slot] = nth(list, i);
        if (eval_bool(v, n->b, &r) < 0) {
            if (spent(v)) return -1;
            if (!bad) first = *v->e;
            bad = true;
        } else if (r.b == decides) {
            return *out = value_of_bool(decides), 0;
        }
    }
    if (bad) return *v->e = first, -1;
    *out = value_of_bool(!decides);
    return 0;
}

static int exists_one(struct eval *v, const struct node *n, struct value *out)
{
    struct value list, r;
    size_t found = 0;
    if (range(v, n, &list) < 0) return -1;
    for (size_t i = 0; i < value_len(list); i++) {
        v->slots[n->slot] = nth(list, i);
        if (eval_bool(v, n->b, &r) < 0) return -1;
        found += r.b;
    }
    *out = value_of_bool(found == 1);
    return 0;
}

/* filter, and map with or without a condition */
static int build(struct eval *v, const struct node *n, struct value *out)
{
    struct value list, r = value_of_bool(true);
    uint32_t made = 0;
    if (range(v, n, &list) < 0) return -1;
    struct value *items = arena_alloc(v->run->arena, value_len(list) * sizeof *items);
    if (!items) return kr_fail(v->e, KR_TOO_LARGE, "the expression needs too much memory");
    for (size_t i = 0; i < value_len(list); i++) {
        v->slots[n->slot] = nth(list, i);
        if (n->b && eval_bool(v, n->b, &r) < 0) return -1;
        if (!r.b) continue;
        if (n->op == N_FILTER) items[made] = v->slots[n->slot];
        else if (eval(v, n->c, &items[made]) < 0) return -1;
        made++;
    }
    *out = (struct value){ .kind = EXPR_LIST, .n = made, .items = items };
    return 0;
}

/* ---- the rest ---- */
static int field(struct eval *v, const struct node *n, struct value *out)
{
    struct value of, found;
    if (eval(v, n->a, &of) < 0) return -1;
    if (of.kind != EXPR_MAP && of.kind != EXPR_OBJECT)
        return kr_fail(v->e, KR_INVALID, "at %u: %s has no field \"%.*s\"", n->at + 1, kind_name(of.kind), SFMT(n->name));
    bool there = value_get_field(of, n->name, &found);
    if (n->op == N_HAS) return *out = value_of_bool(there), 0;
    if (!there) return kr_fail(v->e, KR_INVALID, "at %u: no such key: %.*s", n->at + 1, SFMT(n->name));
    *out = found;
    return 0;
}

static int index_of(struct eval *v, const struct node *n, struct value *out)
{
    struct value of, key;
    if (eval(v, n->a, &of) < 0 || eval(v, n->b, &key) < 0) return -1;
    if (of.kind == EXPR_LIST && key.kind == EXPR_DOUBLE && key.d >= -1 && key.d < 9e15 && key.d == (double)(int64_t)key.d)
        key = (struct value){ .kind = EXPR_INT, .i = (int64_t)key.d };       /* as CEL has it: a whole number is one */
    if (of.kind == EXPR_LIST && key.kind == EXPR_INT) {
        if (key.i < 0 || (uint64_t)key.i >= value_len(of)) return kr_fail(v->e, KR_INVALID, "at %u: index out of bounds: %lld", n->at + 1, (long long)key.i);
        *out = value_at(of, (size_t)key.i);
        return 0;
    }
    if (of.kind != EXPR_MAP && of.kind != EXPR_OBJECT) return wrong(v, n, "[]", of, key);
    if (value_get(of, key, out)) return 0;
    return kr_fail(v->e, KR_INVALID, "at %u: no such key", n->at + 1);
}

static int literal_list(struct eval *v, const struct node *n, struct value *out)
{
    struct value *items = arena_alloc(v->run->arena, n->n * sizeof *items);
    if (!items) return kr_fail(v->e, KR_TOO_LARGE, "the expression needs too much memory");
    for (size_t i = 0; i < n->n; i++)
        if (eval(v, n->kids[i], &items[i]) < 0) return -1;
    if (n->op == N_LIST) *out = (struct value){ .kind = EXPR_LIST, .n = n->n, .items = items };
    else *out = (struct value){ .kind = EXPR_MAP, .n = n->n / 2, .pairs = (const struct value_pair *)(const void *)items };
    return 0;
}

static int matches(struct eval *v, const struct node *n, struct value *args, struct value *out)
{
    if (args[0].kind != EXPR_STRING) return wrong(v, n, "matches", args[0], args[1]);
    if (expr_charge(v->run, args[0].s.n / 10, v->e) < 0) return -1;
    *out = value_of_bool(regex_search(n->regex, args[0].s));
    return 0;
}

static int call(struct eval *v, const struct node *n, struct value *out)
{
    struct value args[8];
    if (n->n > LEN(args)) return kr_fail(v->e, KR_INVALID, "at %u: too many arguments", n->at + 1);
    for (size_t i = 0; i < n->n; i++)
        if (eval(v, n->kids[i], &args[i]) < 0) return -1;
    if (n->regex) return matches(v, n, args, out);
    return n->fn->call(v->run, args, n->n, out, v->e) < 0 ? kr_wrap(v->e, "at %u", n->at + 1) : 0;
}

static int eval(struct eval *v, const struct node *n, struct value *out)
{
    struct value a;
    if (expr_charge(v->run, 1, v->e) < 0) return -1;
    switch (n->op) {
    case N_LITERAL: *out = n->value; return 0;
    case N_VAR: *out = v->slots[n->slot]; return 0;
    case N_FIELD: case N_HAS: return field(v, n, out);
    case N_INDEX: return index_of(v, n, out);
    case N_LIST: case N_MAP: return literal_list(v, n, out);
    case N_CALL: return call(v, n, out);
    case N_NOT:
        if (eval_bool(v, n->a, &a) < 0) return -1;
        *out = value_of_bool(!a.b);
        return 0;
    case N_NEG:
        if (eval(v, n->a, &a) < 0) return -1;
        if (a.kind == EXPR_DOUBLE) return *out = (struct value){ .kind = EXPR_DOUBLE, .d = -a.d }, 0;
        if (a.kind != EXPR_INT) return kr_fail(v->e, KR_INVALID, "at %u: a number is needed here, not %s", n->at + 1, kind_name(a.kind));
        *out = value_of_int(0);
        return __builtin_sub_overflow((int64_t)0, a.i, &out->i) ? overflow(v, n) : 0;
    case N_AND: case N_OR: return logic(v, n, out);
    case N_COND: return eval_bool(v, n->a, &a) < 0 ? -1 : eval(v, a.b ? n->b : n->c, out);
    case N_ALL: case N_EXISTS: return quantifier(v, n, out);
    case N_EXISTS_ONE: return exists_one(v, n, out);
    case N_FILTER: case N_MAP_TO: return build(v, n, out);
    default: return two(v, n, out);
    }
}

int expr_eval(const struct expr *x, struct expr_run *run, const struct value *vars, struct value *out, struct kr_err *e)
{
    struct value slots[LIMIT_EXPR_SLOTS + 1], result;
    struct eval v = { run, slots, e };
    for (size_t i = 0; i < x->env->nvars; i++) slots[i] = vars[i];
    if (eval(&v, x->root, &result) < 0) return -1;
    *out = result;
    return 0;
}

int expr_eval_bool(const struct expr *x, struct expr_run *run, const struct value *vars, bool *out, struct kr_err *e)
{
    struct value r;
    if (expr_eval(x, run, vars, &r, e) < 0) return -1;
    if (r.kind != EXPR_BOOL) return kr_fail(e, KR_INVALID, "the expression yields %s, a bool is needed", kind_name(r.kind));
    *out = r.b;
    return 0;
}
