/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expr_functions: the functions every expression has, one row each in the table at the end.
 *
 * A row says how many arguments (a method's receiver is the first); the function checks their kinds. Positions in strings
 * are Unicode characters, as CEL has them. Tests: tests/unit/core/expr.c
 */
#include "core/expr_ast.h"
#include <math.h>

static int refuse(struct kr_err *e, const char *what, struct value v)
{
    return kr_fail(e, KR_INVALID, "no such overload: %s(%s)", what, kind_name(v.kind));
}
static int over(struct kr_err *e) { return kr_fail(e, KR_TOO_LARGE, "the expression needs too much memory"); }

static int want_strings(const char *what, const struct value *a, size_t n, struct kr_err *e)
{
    for (size_t i = 0; i < n; i++)
        if (a[i].kind != EXPR_STRING) return refuse(e, what, a[i]);
    return 0;
}

/* What was built in b becomes a string on the arena. */
static int give(struct expr_run *r, struct buf *b, struct value *out, struct kr_err *e)
{
    if (b->failed || expr_charge(r, b->n / 10 + 1, e) < 0) return b->failed ? over(e) : -1;
    *out = value_of_str(arena_str(r->arena, buf_view(b)));
    return r->arena->over ? over(e) : 0;
}

/* ---- conversions ---- */
static int f_size(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    (void)n;
    if (a[0].kind == EXPR_STRING) {
        *out = value_of_int((int64_t)str_runes(a[0].s));
        return expr_charge(r, a[0].s.n / 10, e);
    }
    if (a[0].kind != EXPR_LIST && a[0].kind != EXPR_MAP && a[0].kind != EXPR_OBJECT) return refuse(e, "size", a[0]);
    *out = value_of_int((int64_t)value_len(a[0]));
    return 0;
}

static int f_int(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    (void)r, (void)n;
    *out = value_of_int(a[0].i);
    if (a[0].kind == EXPR_INT) return 0;
    if (a[0].kind == EXPR_STRING) return str_i64(a[0].s, &out->i) ? 0 : kr_fail(e, KR_INVALID, "int(): not a whole number");
    if (a[0].kind != EXPR_DOUBLE) return refuse(e, "int", a[0]);
    if (!(a[0].d > -9223372036854775808.0 && a[0].d < 9223372036854775808.0)) return kr_fail(e, KR_INVALID, "int(): out of range");
    out->i = (int64_t)a[0].d;
    return 0;
}

static bool parse_double(struct str s, double *out)
{
    char text[64], *end;
    if (!s.n || s.n >= sizeof text || strspn(s.p, "+-.eE0123456789") < s.n) return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    *out = strtod(text, &end);
    return !*end;
}

static int f_double(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    (void)r, (void)n;
    *out = (struct value){ .kind = EXPR_DOUBLE, .d = a[0].kind == EXPR_INT ? (double)a[0].i : a[0].d };
    if (a[0].kind == EXPR_STRING) return parse_double(a[0].s, &out->d) ? 0 : kr_fail(e, KR_INVALID, "double(): not a number");
    return a[0].kind == EXPR_INT || a[0].kind == EXPR_DOUBLE ? 0 : refuse(e, "double", a[0]);
}

static int f_string(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    (void)n;
    AUTO_BUF struct buf b = { .max = 256 };
    if (a[0].kind == EXPR_STRING) return *out = a[0], 0;
    if (a[0].kind == EXPR_LIST || a[0].kind == EXPR_MAP || a[0].kind == EXPR_OBJECT || a[0].kind == EXPR_NULL) return refuse(e, "string", a[0]);
    value_print(&b, a[0]);
    return give(r, &b, out, e);
}

static int f_bool(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    (void)r, (void)n;
    if (a[0].kind == EXPR_BOOL) return *out = a[0], 0;
    if (a[0].kind != EXPR_STRING) return refuse(e, "bool", a[0]);
    *out = value_of_bool(str_is(a[0].s, "true") || str_is(a[0].s, "True") || str_is(a[0].s, "TRUE") || str_is(a[0].s, "t") || str_is(a[0].s, "1"));
    if (out->b || str_is(a[0].s, "false") || str_is(a[0].s, "False") || str_is(a[0].s, "FALSE") || str_is(a[0].s, "f") || str_is(a[0].s, "0")) return 0;
    return kr_fail(e, KR_INVALID, "bool(): neither true nor false");
}

static int f_type(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    (void)r, (void)n, (void)e;
    *out = (struct value){ .kind = EXPR_TYPE, .i = a[0].kind == EXPR_OBJECT ? EXPR_MAP : a[0].kind };
    return 0;
}

static int f_dyn(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    (void)r, (void)n, (void)e;
    *out = a[0];
    return 0;
}

/* duration('1h30m'), in nanoseconds; '-' in front and whole int64 as CEL has it. */
static int f_duration(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    static const struct { const char *name; double ns; } units[] = { { "ns", 1 }, { "us", 1e3 }, { "µs", 1e3 }, { "μs", 1e3 }, { "ms", 1e6 }, { "s", 1e9 }, { "m", 60e9 }, { "h", 3600e9 } };
    (void)r, (void)n;
    *out = (struct value){ .kind = EXPR_DURATION, .i = a[0].i };
    if (a[0].kind == EXPR_DURATION) return 0;
    if (want_strings("duration", a, 1, e) < 0) return -1;
    struct str s = a[0].s;
    bool neg = s.n && s.p[0] == '-';
    double all = 0;
    s = str_from(s, s.n && (s.p[0] == '-' || s.p[0] == '+'));
    if (str_is(s, "0")) return out->i = 0, 0;
    do {
        size_t k = 0, u = 0, unit = 0;
        double v;
        while (k < s.n && ((s.p[k] >= '0' && s.p[k] <= '9') || s.p[k] == '.')) k++;
        bool number = parse_double((struct str){ s.p, k }, &v);
        s = str_from(s, k);
        while (unit < s.n && s.p[unit] != '.' && (s.p[unit] < '0' || s.p[unit] > '9')) unit++;
        while (u < LEN(units) && !str_is((struct str){ s.p, unit }, units[u].name)) u++;
        if (!number || u == LEN(units)) return kr_fail(e, KR_INVALID, "type conversion error from 'string' to 'google.protobuf.Duration'");
        all += v * units[u].ns;
        s = str_from(s, unit);
    } while (s.n);
    if (all >= 9223372036854775808.0) return kr_fail(e, KR_INVALID, "duration(): out of range");
    out->i = neg ? -(int64_t)all : (int64_t)all;
    return 0;
}

/* ---- strings ---- */
#define STRING_TEST(name, test)                                                                                            \
    static int f_##name(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)          \
    {                                                                                                                      \
        if (want_strings(#name, a, n, e) < 0 || expr_charge(r, a[0].s.n / 10, e) < 0) return -1;                           \
        *out = value_of_bool(test(a[0].s, a[1].s));                                                                        \
        return 0;                                                                                                          \
    }
static bool has_part(struct str s, struct str what) { return str_find(s, what) >= 0; }
STRING_TEST(contains, has_part)
STRING_TEST(startsWith, str_starts)
STRING_TEST(endsWith, str_ends)

/* A pattern that is only known now; literal ones are compiled with the expression. */
static int f_matches(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    if (want_strings("matches", a, n, e) < 0 || expr_charge(r, a[0].s.n / 10 + a[1].s.n, e) < 0) return -1;
    struct regex *re = regex_compile(a[1].s, e);
    if (!re) return -1;
    *out = value_of_bool(regex_search(re, a[0].s));
    regex_free(re);
    return 0;
}

static int f_trim(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    (void)n;
    if (want_strings("trim", a, 1, e) < 0) return -1;
    *out = value_of_str(str_trim(a[0].s));
    return expr_charge(r, a[0].s.n / 10, e);
}

static int change_case(struct expr_run *r, const struct value *a, struct value *out, struct kr_err *e, char from, char to)
{
    if (want_strings(from == 'A' ? "lowerAscii" : "upperAscii", a, 1, e) < 0 || expr_charge(r, a[0].s.n / 10, e) < 0) return -1;
    char *p = arena_alloc(r->arena, a[0].s.n + 1);
    if (!p) return over(e);
    for (size_t i = 0; i < a[0].s.n; i++) {
        char c = a[0].s.p[i];
        p[i] = c >= from && c <= from + 25 ? (char)(c - from + to) : c;
    }
    *out = value_of_str((struct str){ p, a[0].s.n });
    return 0;
}
static int f_lower(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e) { (void)n; return change_case(r, a, out, e, 'A', 'a'); }
static int f_upper(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e) { (void)n; return change_case(r, a, out, e, 'a', 'A'); }

/* Byte offset of the i-th character; false beyond the end. */
static bool rune_offset(struct str s, int64_t i, size_t *off)
{
    size_t at = 0;
    if (i < 0) return false;
    for (; i && at < s.n; i--)
        for (at++; at < s.n && ((unsigned char)s.p[at] & 0xC0) == 0x80; at++) {}
    *off = at;
    return !i;
}

static int f_substring(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    size_t from, to = a[0].s.n;
    if (want_strings("substring", a, 1, e) < 0) return -1;
    for (size_t i = 1; i < n; i++)
        if (a[i].kind != EXPR_INT) return refuse(e, "substring", a[i]);
    if (!rune_offset(a[0].s, a[1].i, &from) || (n == 3 && !rune_offset(a[0].s, a[2].i, &to)) || to < from) return kr_fail(e, KR_INVALID, "substring(): index out of range");
    *out = value_of_str((struct str){ a[0].s.p + from, to - from });
    return expr_charge(r, a[0].s.n / 10, e);
}

static int f_char_at(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    size_t from, to;
    (void)n;
    if (want_strings("charAt", a, 1, e) < 0) return -1;
    if (a[1].kind != EXPR_INT) return refuse(e, "charAt", a[1]);
    if (!rune_offset(a[0].s, a[1].i, &from)) return kr_fail(e, KR_INVALID, "charAt(): index out of range");
    if (!rune_offset(a[0].s, a[1].i + 1, &to)) to = from;
    *out = value_of_str((struct str){ a[0].s.p + from, to - from });
    return expr_charge(r, a[0].s.n / 10, e);
}

static int find_in_string(const struct value *a, bool last)
{
    ptrdiff_t found = -1;
    for (size_t off = 0; off <= a[0].s.n; off++) {
        ptrdiff_t at = str_find(str_from(a[0].s, off), a[1].s);
        if (at < 0) break;
        found = at + (ptrdiff_t)off;
        if (!last) break;
        off = (size_t)found;
    }
    return found < 0 ? -1 : (int)str_runes((struct str){ a[0].s.p, (size_t)found });
}

static int index_in(struct expr_run *r, const struct value *a, struct value *out, struct kr_err *e, bool last)
{
    if (a[0].kind == EXPR_LIST) {
        int64_t found = -1;
        for (size_t i = 0; i < value_len(a[0]) && (last || found < 0) && r->cost_left >= 0; i++)
            if (value_equal(r, value_at(a[0], i), a[1])) found = (int64_t)i;
        *out = value_of_int(found);
        return expr_charge(r, 1, e);
    }
    if (want_strings(last ? "lastIndexOf" : "indexOf", a, 2, e) < 0 || expr_charge(r, a[0].s.n * (last ? a[1].s.n + 1 : 1) / 10, e) < 0) return -1;
    *out = value_of_int(find_in_string(a, last));
    return 0;
}
static int f_index_of(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e) { (void)n; return index_in(r, a, out, e, false); }
static int f_last_index_of(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e) { (void)n; return index_in(r, a, out, e, true); }

static int f_split(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    struct str rest = a[0].s, sep = a[1].s;
    int64_t most = n == 3 && a[2].kind == EXPR_INT ? a[2].i : -1;
    size_t parts = 1;
    if (want_strings("split", a, 2, e) < 0 || expr_charge(r, rest.n + 1, e) < 0) return -1;
    if (!sep.n) return kr_fail(e, KR_INVALID, "split(): the separator is empty");
    for (ptrdiff_t at; (at = str_find(rest, sep)) >= 0; parts++) rest = str_from(rest, (size_t)at + sep.n);
    struct value *items = arena_alloc(r->arena, parts * sizeof *items);
    if (!items) return over(e);
    rest = a[0].s;
    uint32_t made = 0;
    for (ptrdiff_t at; most != 0 && made + 1 != most && (at = str_find(rest, sep)) >= 0; rest = str_from(rest, (size_t)at + sep.n))
        items[made++] = value_of_str((struct str){ rest.p, (size_t)at });
    if (most != 0) items[made++] = value_of_str(rest);
    *out = (struct value){ .kind = EXPR_LIST, .n = made, .items = items };
    return 0;
}

static int f_join(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    AUTO_BUF struct buf b = { .max = LIMIT_EXPR_TEXT * 4 };
    if (a[0].kind != EXPR_LIST) return refuse(e, "join", a[0]);
    if (n == 2 && want_strings("join", a + 1, 1, e) < 0) return -1;
    for (size_t i = 0; i < value_len(a[0]); i++) {
        struct value item = value_at(a[0], i);
        if (want_strings("join", &item, 1, e) < 0 || expr_charge(r, 1, e) < 0) return -1;
        if (i && n == 2) buf_str(&b, a[1].s);
        buf_str(&b, item.s);
    }
    return give(r, &b, out, e);
}

static int f_replace(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    AUTO_BUF struct buf b = { .max = LIMIT_EXPR_TEXT * 4 };
    struct str rest = a[0].s;
    int64_t left = n == 4 && a[3].kind == EXPR_INT ? a[3].i : INT64_MAX;
    if (want_strings("replace", a, 3, e) < 0 || expr_charge(r, rest.n + 1, e) < 0) return -1;
    if (!a[1].s.n) return kr_fail(e, KR_INVALID, "replace(): what to replace is empty");
    for (ptrdiff_t at; left-- > 0 && (at = str_find(rest, a[1].s)) >= 0; rest = str_from(rest, (size_t)at + a[1].s.n)) {
        buf_add(&b, rest.p, (size_t)at);
        buf_str(&b, a[2].s);
    }
    buf_str(&b, rest);
    return give(r, &b, out, e);
}

/* ---- lists ---- */
static int f_sum(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    (void)n;
    if (a[0].kind != EXPR_LIST) return refuse(e, "sum", a[0]);
    *out = value_of_int(0);
    for (size_t i = 0; i < value_len(a[0]); i++) {
        struct value v = value_at(a[0], i);
        if (i == 0) *out = (struct value){ .kind = v.kind };
        if (v.kind != out->kind || (v.kind != EXPR_INT && v.kind != EXPR_DOUBLE && v.kind != EXPR_DURATION)) return refuse(e, "sum", v);
        if (v.kind == EXPR_DOUBLE) out->d += v.d;
        else if (__builtin_add_overflow(out->i, v.i, &out->i)) return kr_fail(e, KR_INVALID, "sum(): integer overflow");
        if (expr_charge(r, 1, e) < 0) return -1;
    }
    return 0;
}

static int extreme(struct expr_run *r, const struct value *a, struct value *out, struct kr_err *e, int want)
{
    if (a[0].kind != EXPR_LIST || !value_len(a[0])) return kr_fail(e, KR_INVALID, "min() and max() need a list that is not empty");
    *out = value_at(a[0], 0);
    for (size_t i = 1; i < value_len(a[0]); i++) {
        struct value v = value_at(a[0], i);
        int c = value_compare(v, *out);
        if (c == INT32_MIN) return refuse(e, want < 0 ? "min" : "max", v);
        if (c == want) *out = v;
        if (expr_charge(r, 1, e) < 0) return -1;
    }
    return 0;
}
static int f_min(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e) { (void)n; return extreme(r, a, out, e, -1); }
static int f_max(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e) { (void)n; return extreme(r, a, out, e, 1); }

static int f_is_sorted(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    (void)n;
    if (a[0].kind != EXPR_LIST) return refuse(e, "isSorted", a[0]);
    *out = value_of_bool(true);
    for (size_t i = 1; i < value_len(a[0]); i++) {
        int c = value_compare(value_at(a[0], i - 1), value_at(a[0], i));
        if (c == INT32_MIN) return refuse(e, "isSorted", value_at(a[0], i));
        if (c > 0) out->b = false;
        if (expr_charge(r, 1, e) < 0) return -1;
    }
    return 0;
}

const struct expr_fn expr_builtins[] = {
    { "size", 1, 1, false, f_size }, { "size", 1, 1, true, f_size }, { "int", 1, 1, false, f_int }, { "double", 1, 1, false, f_double },
    { "string", 1, 1, false, f_string }, { "bool", 1, 1, false, f_bool }, { "duration", 1, 1, false, f_duration }, { "type", 1, 1, false, f_type },
    { "dyn", 1, 1, false, f_dyn },
    { "contains", 2, 2, true, f_contains }, { "startsWith", 2, 2, true, f_startsWith }, { "endsWith", 2, 2, true, f_endsWith },
    { "matches", 2, 2, true, f_matches }, { "matches", 2, 2, false, f_matches },
    { "split", 2, 3, true, f_split }, { "join", 1, 2, true, f_join }, { "replace", 3, 4, true, f_replace }, { "trim", 1, 1, true, f_trim },
    { "lowerAscii", 1, 1, true, f_lower }, { "upperAscii", 1, 1, true, f_upper }, { "substring", 2, 3, true, f_substring }, { "charAt", 2, 2, true, f_char_at },
    { "indexOf", 2, 2, true, f_index_of }, { "lastIndexOf", 2, 2, true, f_last_index_of },
    { "sum", 1, 1, true, f_sum }, { "min", 1, 1, true, f_min }, { "max", 1, 1, true, f_max }, { "isSorted", 1, 1, true, f_is_sorted },
};
const size_t expr_nbuiltins = LEN(expr_builtins);
