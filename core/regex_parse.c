/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex_parse: recursive descent over the pattern that emits code as it goes.
 *
 * A piece of program has one entry, its first instruction, and falls out of its end; repeats copy the piece (targets are
 * relative to the piece while it is copied). Depth and size are bounded, so a pattern of any length is harmless.
 * Not here: matching (regex.c). Tests: tests/unit/core/regex.c
 */
#include "core/regex_parse.h"

enum { RUNE_MAX = 0x10FFFF, REPEAT_MAX = 1000, DEPTH_MAX = 100, RANGES_MAX = 512 };

struct range { uint32_t lo, hi; };
struct set { struct range v[RANGES_MAX]; size_t n; };
struct parser {
    struct str s;
    size_t at;
    int depth;
    bool fold, dot_all;
    bool bare;                 /* what was read last is flags alone: nothing that could be repeated */
    struct regex_prog *p;
    struct kr_err *e;
};

static int refuse(struct parser *p, const char *what)
{
    return kr_fail(p->e, KR_INVALID, "pattern \"%.*s\": %s at position %zu", (int)(p->s.n < 120 ? p->s.n : 120), p->s.p, what, p->at);
}

static int emit(struct parser *p, struct regex_inst in)
{
    struct regex_prog *g = p->p;
    if (g->n == LIMIT_REGEX_PROGRAM) return kr_fail(p->e, KR_TOO_LARGE, "pattern is too large (more than %d steps)", LIMIT_REGEX_PROGRAM);
    if (g->n == g->cap) {
        g->cap = g->cap ? g->cap * 2 : 32;
        g->v = xrealloc(g->v, g->cap * sizeof *g->v);
    }
    g->v[g->n++] = in;
    return 0;
}

static uint32_t here(const struct parser *p) { return (uint32_t)p->p->n; }

/* Opens a gap for one instruction at `at`, moving what follows; its targets move along. */
static int insert(struct parser *p, uint32_t at, struct regex_inst in)
{
    if (emit(p, in) < 0) return -1;
    struct regex_inst *v = p->p->v;
    for (uint32_t i = here(p) - 1; i > at; i--) {
        v[i] = v[i - 1];
        if (v[i].x >= at) v[i].x++;
        if (v[i].y >= at) v[i].y++;
    }
    v[at] = in;
    return 0;
}

/* Copies the piece from…to to the end; inside targets are moved. */
static int copy(struct parser *p, uint32_t from, uint32_t to)
{
    uint32_t shift = here(p) - from;
    for (uint32_t i = from; i < to; i++) {
        struct regex_inst in = p->p->v[i];
        in.x += shift;
        in.y += shift;
        if (emit(p, in) < 0) return -1;
    }
    return 0;
}

/* ---- characters ---- */
static bool more(const struct parser *p) { return p->at < p->s.n; }
static char peek(const struct parser *p) { return more(p) ? p->s.p[p->at] : 0; }
static bool take(struct parser *p, char c)
{
    if (!more(p) || p->s.p[p->at] != c) return false;
    p->at++;
    return true;
}
static bool take_word(struct parser *p, const char *z)
{
    if (!str_starts(str_from(p->s, p->at), str_of(z))) return false;
    p->at += strlen(z);
    return true;
}

static uint32_t rune(struct parser *p)         /* the pattern is valid UTF-8: checked at the start */
{
    unsigned char c = (unsigned char)p->s.p[p->at++];
    int follow = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
    uint32_t r = follow ? c & (0x3Fu >> follow) : c;
    while (follow--) r = r << 6 | ((unsigned char)p->s.p[p->at++] & 0x3F);
    return r;
}

static int add(struct parser *p, struct set *s, uint32_t lo, uint32_t hi)
{
    if (s->n == RANGES_MAX) return refuse(p, "a class with too many ranges");
    s->v[s->n++] = (struct range){ lo, hi };
    return 0;
}

static int by_lo(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

/* Sorted, without overlaps. */
static void tidy(struct set *s)
{
    size_t n = 0;
    qsort(s->v, s->n, sizeof *s->v, by_lo);
    for (size_t i = 0; i < s->n; i++) {
        if (n && s->v[i].lo <= s->v[n - 1].hi + 1) {
            if (s->v[i].hi > s->v[n - 1].hi) s->v[n - 1].hi = s->v[i].hi;
        } else {
            s->v[n++] = s->v[i];
        }
    }
    s->n = n;
}

static int negate(struct parser *p, struct set *s)
{
    struct set out = { .n = 0 };
    uint32_t next = 0;
    tidy(s);
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].lo > next && add(p, &out, next, s->v[i].lo - 1) < 0) return -1;
        next = s->v[i].hi + 1;
    }
    if (next <= RUNE_MAX && add(p, &out, next, RUNE_MAX) < 0) return -1;
    *s = out;
    return 0;
}

/* Simple case folding of ASCII letters, and of the two characters beyond that fold to one (U+017F, U+212A). */
static bool has(const struct set *s, size_t n, uint32_t r)
{
    for (size_t i = 0; i < n; i++)
        if (s->v[i].lo <= r && r <= s->v[i].hi) return true;
    return false;
}

static int fold(struct parser *p, struct set *s)
{
    size_t n = s->n;
    for (uint32_t c = 'a'; c <= 'z'; c++) {
        uint32_t up = c - 32, odd = c == 's' ? 0x17F : c == 'k' ? 0x212A : c;
        if (!has(s, n, c) && !has(s, n, up) && !has(s, n, odd)) continue;
        if (add(p, s, c, c) < 0 || add(p, s, up, up) < 0 || add(p, s, odd, odd) < 0) return -1;
    }
    return 0;
}

static const struct { const char *name; struct range v[4]; size_t n; } named[] = {
    { "d", { { '0', '9' } }, 1 },
    { "s", { { '\t', '\n' }, { '\f', '\r' }, { ' ', ' ' } }, 3 },
    { "w", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
    { "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } }, 3 },
    { "alpha", { { 'A', 'Z' }, { 'a', 'z' } }, 2 },
    { "ascii", { { 0, 127 } }, 1 },
    { "blank", { { '\t', '\t' }, { ' ', ' ' } }, 2 },
    { "cntrl", { { 0, 31 }, { 127, 127 } }, 2 },
    { "digit", { { '0', '9' } }, 1 },
    { "graph", { { '!', '~' } }, 1 },
    { "lower", { { 'a', 'z' } }, 1 },
    { "print", { { ' ', '~' } }, 1 },
    { "punct", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } }, 4 },
    { "space", { { '\t', '\r' }, { ' ', ' ' } }, 2 },
    { "upper", { { 'A', 'Z' } }, 1 },
    { "word", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
    { "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } }, 3 },
};

/* Of letters beyond ASCII the other case isn't known here: without an answer is better than with a wrong one. */
static int add_either_case(struct parser *p, struct set *s, uint32_t lo, uint32_t hi)
{
    struct set one = { .v = { { lo, hi } }, .n = 1 };
    if (!p->fold) return add(p, s, lo, hi);
    if (hi >= 0x80 && !(lo == hi && (lo == 0x17F || lo == 0x212A))) return refuse(p, "(?i) with characters beyond ASCII, which is not supported");
    if (fold(p, &one) < 0) return -1;
    for (size_t i = 0; i < one.n; i++)
        if (add(p, s, one.v[i].lo, one.v[i].hi) < 0) return -1;
    return 0;
}

/* 1: added, 0: no such name. */
static int add_named(struct parser *p, struct set *s, struct str name, bool not)
{
    for (size_t i = 0; i < LEN(named); i++) {
        if (!str_is(name, named[i].name)) continue;
        struct set one = { .n = 0 };
        for (size_t k = 0; k < named[i].n; k++)
            if (add(p, &one, named[i].v[k].lo, named[i].v[k].hi) < 0) return -1;
        if (p->fold && fold(p, &one) < 0) return -1;
        if (not && negate(p, &one) < 0) return -1;
        for (size_t k = 0; k < one.n; k++)
            if (add(p, s, one.v[k].lo, one.v[k].hi) < 0) return -1;
        return 1;
    }
    return 0;
}

/* Behind a backslash: \d and friends. */
static int perl_class(struct parser *p, struct set *s)
{
    char c = peek(p), low = (char)(c | 32);
    if (low != 'd' && low != 's' && low != 'w') return 0;
    p->at++;
    return add_named(p, s, (struct str){ &low, 1 }, c != low);
}

static int hex(struct parser *p, uint32_t *out)
{
    bool braces = take(p, '{');
    size_t digits = 0, most = braces ? 6 : 2;
    *out = 0;
    for (; digits < most && more(p); digits++, p->at++) {
        char c = peek(p);
        int v = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (v < 0) break;
        *out = *out << 4 | (uint32_t)v;
    }
    if (!digits || (!braces && digits != 2) || (braces && !take(p, '}')) || *out > RUNE_MAX) return refuse(p, "a bad \\x escape");
    return 0;
}

/* One character behind a backslash. */
static int escape(struct parser *p, uint32_t *out)
{
    static const char from[] = "afnrtv", to[] = "\a\f\n\r\t\v";
    if (!more(p)) return refuse(p, "a backslash with nothing behind it");
    char c = peek(p);
    const char *known = strchr(from, c);
    if (c == 'x') {
        p->at++;
        return hex(p, out);
    }
    if (c && known) {
        *out = (unsigned char)to[known - from];
    } else if ((unsigned char)c < 128 && !((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9')) {
        *out = (unsigned char)c;
    } else {
        return refuse(p, "an escape that is not supported");
    }
    p->at++;
    return 0;
}

/* ---- emitting classes as UTF-8 ---- */
static size_t encode(uint32_t r, unsigned char to[4])
{
    size_t n = r < 0x80 ? 1 : r < 0x800 ? 2 : r < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    for (size_t i = n; i-- > 1; r >>= 6) to[i] = (unsigned char)(0x80 | (r & 0x3F));
    to[0] = (unsigned char)(n == 1 ? r : lead[n] | r);
    return n;
}

struct utf8_seq { unsigned char lo[4], hi[4]; size_t n; };
struct seqs { struct utf8_seq *v; size_t n, cap; };

/* Splits lo…hi into sequences whose bytes each run over a range of their own. */
static void split(struct seqs *out, uint32_t lo, uint32_t hi)
{
    static const uint32_t last[] = { 0x7F, 0x7FF, 0xFFFF };
    if (lo > hi) return;
    if (lo <= 0xDFFF && hi >= 0xD800) {                  /* surrogates are no characters */
        if (lo < 0xD800) split(out, lo, 0xD7FF);
        if (hi > 0xDFFF) split(out, 0xE000, hi);
        return;
    }
    for (size_t i = 0; i < LEN(last); i++)
        if (lo <= last[i] && hi > last[i]) {
            split(out, lo, last[i]);
            split(out, last[i] + 1, hi);
            return;
        }
    unsigned char a[4], b[4];
    size_t n = encode(lo, a);
    for (size_t i = 1; i < n; i++) {
        uint32_t m = (1u << 6 * i) - 1;
        if ((lo & ~m) == (hi & ~m)) continue;
        if (lo & m) {
            split(out, lo, lo | m);
            split(out, (lo | m) + 1, hi);
            return;
        }
        if ((hi & m) != m) {
            split(out, lo, (hi & ~m) - 1);
            split(out, hi & ~m, hi);
            return;
        }
    }
    encode(hi, b);
    if (out->n == out->cap) {
        out->cap = out->cap ? out->cap * 2 : 16;
        out->v = xrealloc(out->v, out->cap * sizeof *out->v);
    }
    struct utf8_seq *q = &out->v[out->n++];
    memcpy(q->lo, a, n);
    memcpy(q->hi, b, n);
    q->n = n;
}

/* split s1, (split s2, (… sn)): each sequence jumps to the end. */
static int emit_set(struct parser *p, struct set *s)
{
    struct seqs q = { 0 };
    int r = 0;
    tidy(s);
    for (size_t i = 0; i < s->n; i++) split(&q, s->v[i].lo, s->v[i].hi);
    uint32_t end = here(p);
    for (size_t i = 0; i < q.n; i++) end += (uint32_t)q.v[i].n + (i + 1 < q.n ? 2 : 0);
    if (!q.n) r = emit(p, (struct regex_inst){ .op = RE_BYTES, .lo = 1, .hi = 0, .x = here(p) + 1 });   /* matches nothing */
    for (size_t i = 0; i < q.n && !r; i++) {
        bool last = i + 1 == q.n;
        if (!last) r = emit(p, (struct regex_inst){ .op = RE_SPLIT, .x = here(p) + 1, .y = here(p) + 2 + (uint32_t)q.v[i].n });
        for (size_t k = 0; k < q.v[i].n && !r; k++)
            r = emit(p, (struct regex_inst){ .op = RE_BYTES, .lo = q.v[i].lo[k], .hi = q.v[i].hi[k], .x = here(p) + 1 });
        if (!last && !r) r = emit(p, (struct regex_inst){ .op = RE_JUMP, .x = end });
    }
    free(q.v);
    return r;
}

/* ---- grammar ---- */
static int class_item(struct parser *p, struct set *s)
{
    uint32_t lo, hi;
    if (take_word(p, "[:")) {
        bool not = take(p, '^');
        struct str rest = str_from(p->s, p->at);
        ptrdiff_t n = str_find(rest, S(":]"));
        int got = n < 0 ? 0 : add_named(p, s, (struct str){ rest.p, (size_t)n }, not);
        if (got <= 0 || n < 2) return got < 0 ? -1 : refuse(p, "an unknown [:class:]");
        p->at += (size_t)n + 2;
        return 0;
    }
    if (take(p, '\\')) {
        int got = perl_class(p, s);
        if (got) return got < 0 ? -1 : 0;
        if (escape(p, &lo) < 0) return -1;
    } else {
        lo = rune(p);
    }
    hi = lo;
    if (peek(p) == '-' && p->at + 1 < p->s.n && p->s.p[p->at + 1] != ']') {
        p->at++;
        if (take(p, '\\')) {
            if (escape(p, &hi) < 0) return -1;
        } else {
            hi = rune(p);
        }
        if (hi < lo) return refuse(p, "a range that runs backwards");
    }
    return add_either_case(p, s, lo, hi);
}

static int class(struct parser *p)
{
    struct set s = { .n = 0 };
    bool not = take(p, '^');
    for (bool first = true; first || peek(p) != ']'; first = false) {
        if (!more(p)) return refuse(p, "a class that is not closed");
        if (class_item(p, &s) < 0) return -1;
    }
    p->at++;
    if (not && negate(p, &s) < 0) return -1;
    return emit_set(p, &s);
}

static int alternation(struct parser *p);

static int flags(struct parser *p, bool *group)
{
    bool on = true, some = true;
    for (;; p->at++) {
        if (!some && (peek(p) == ':' || peek(p) == ')')) return refuse(p, "a group whose minus turns nothing off");
        some = peek(p) != '-';
        switch (peek(p)) {
        case 'i': p->fold = on; break;
        case 's': p->dot_all = on; break;
        case '-': on = false; break;
        case ':': *group = true; p->at++; return 0;
        case ')': *group = false; p->at++; return 0;
        default: return refuse(p, "a group of a kind that is not supported");
        }
    }
}

static int group(struct parser *p)
{
    bool fold_before = p->fold, dot_before = p->dot_all, inner = true;
    if (take_word(p, "?P<") || take_word(p, "?<")) {
        size_t from = p->at;
        while (more(p) && (peek(p) == '_' || ((peek(p) | 32) >= 'a' && (peek(p) | 32) <= 'z') || (peek(p) >= '0' && peek(p) <= '9'))) p->at++;
        if (p->at == from || !take(p, '>')) return refuse(p, "a group of a kind that is not supported");
    } else if (take(p, '?')) {
        if (flags(p, &inner) < 0) return -1;
        p->bare = !inner;
        if (!inner) return 0;                            /* (?i): for the rest of the enclosing group */
    }
    if (++p->depth > DEPTH_MAX) return refuse(p, "groups nested too deeply");
    if (alternation(p) < 0) return -1;
    p->depth--;
    if (!take(p, ')')) return refuse(p, "a group that is not closed");
    p->fold = fold_before;
    p->dot_all = dot_before;
    p->bare = false;
    return 0;
}

static int literal(struct parser *p, uint32_t r)
{
    struct set s = { .n = 0 };
    return add_either_case(p, &s, r, r) < 0 ? -1 : emit_set(p, &s);
}

static int atom(struct parser *p)
{
    struct set s = { .n = 0 };
    uint32_t r;
    char c = peek(p);
    if (c == '*' || c == '+' || c == '?') return refuse(p, "a repeat with nothing to repeat");
    if (take(p, '(')) return group(p);
    if (take(p, '[')) return class(p);
    if (take(p, '^') || take_word(p, "\\A")) return emit(p, (struct regex_inst){ .op = RE_BEGIN, .x = here(p) + 1 });
    if (take(p, '$') || take_word(p, "\\z")) return emit(p, (struct regex_inst){ .op = RE_END, .x = here(p) + 1 });
    if (take(p, '.')) {
        if (add(p, &s, 0, p->dot_all ? RUNE_MAX : '\n' - 1) < 0 || (!p->dot_all && add(p, &s, '\n' + 1, RUNE_MAX) < 0)) return -1;
        return emit_set(p, &s);
    }
    if (take(p, '\\')) {
        int got = perl_class(p, &s);
        if (got) return got < 0 ? -1 : emit_set(p, &s);
        return escape(p, &r) < 0 ? -1 : literal(p, r);
    }
    return literal(p, rune(p));
}

/* {n}, {n,}, {n,m}; anything else is a literal brace. max -1: no end. */
static bool braces(struct parser *p, int *min, int *max)
{
    size_t from = p->at;
    int v[2] = { 0, -1 };
    bool comma = false, digits[2] = { false, false };
    if (!take(p, '{')) return false;
    for (; more(p) && peek(p) != '}'; p->at++) {
        char c = peek(p);
        if (c == ',' && !comma && digits[0]) {
            comma = true;
        } else if (c >= '0' && c <= '9') {
            int *to = &v[comma];
            *to = (*to < 0 ? 0 : *to) * 10 + (c - '0');
            if (*to > REPEAT_MAX) *to = REPEAT_MAX + 1;
            digits[comma] = true;
        } else {
            break;
        }
    }
    if (!digits[0] || !take(p, '}')) {
        p->at = from;
        return false;
    }
    *min = v[0];
    *max = comma ? (digits[1] ? v[1] : -1) : v[0];
    return true;
}

static int star(struct parser *p, uint32_t from)
{
    if (insert(p, from, (struct regex_inst){ .op = RE_SPLIT, .x = from + 1 }) < 0) return -1;
    if (emit(p, (struct regex_inst){ .op = RE_JUMP, .x = from }) < 0) return -1;
    p->p->v[from].y = here(p);
    return 0;
}

/* The piece from…end is there once; makes it min…max times. */
static int repeat(struct parser *p, uint32_t from, int min, int max)
{
    uint32_t to = here(p), size = to - from;
    if (min > REPEAT_MAX || max > REPEAT_MAX || (max >= 0 && max < min)) return refuse(p, "a repeat count that is not allowed");
    if (max == 0) {
        p->p->n = from;
        return 0;
    }
    if (min == 0 && max < 0) return star(p, from);
    if (max < 0) {                                       /* x{n,}: n-1 copies, then x with a way back */
        for (int i = 1; i < min; i++)
            if (copy(p, from, to) < 0) return -1;
        return emit(p, (struct regex_inst){ .op = RE_SPLIT, .x = here(p) - size, .y = here(p) + 1 });
    }
    for (int i = 1; i < min; i++)
        if (copy(p, from, to) < 0) return -1;
    int optional = max - (min ? min : 1);                /* further copies, each behind a way out */
    for (int i = 0; i < optional; i++) {
        uint32_t at = here(p);
        if (emit(p, (struct regex_inst){ .op = RE_SPLIT, .x = at + 1, .y = at + 1 + size }) < 0 || copy(p, from, to) < 0) return -1;
    }
    if (min) return 0;
    if (insert(p, from, (struct regex_inst){ .op = RE_SPLIT, .x = from + 1 }) < 0) return -1;
    p->p->v[from].y = from + 1 + size;                   /* leaving early goes through the other ways out */
    return 0;
}

static int piece(struct parser *p)
{
    uint32_t from = here(p);
    int min, max;
    if (braces(p, &min, &max)) return refuse(p, "a repeat with nothing to repeat");
    p->bare = false;
    if (atom(p) < 0) return -1;
    if (p->bare) return 0;                               /* a repeat behind it has nothing to repeat: the next atom says so */
    if (take(p, '*')) min = 0, max = -1;
    else if (take(p, '+')) min = 1, max = -1;
    else if (take(p, '?')) min = 0, max = 1;
    else if (!braces(p, &min, &max)) return 0;
    take(p, '?');
    int again[2];
    if (peek(p) == '*' || peek(p) == '+' || peek(p) == '?' || braces(p, &again[0], &again[1])) return refuse(p, "a repeat of a repeat");
    return repeat(p, from, min, max);
}

static int alternation(struct parser *p)
{
    uint32_t from = here(p), jumps[RANGES_MAX];
    size_t n = 0;
    for (;;) {
        while (more(p) && peek(p) != '|' && peek(p) != ')')
            if (piece(p) < 0) return -1;
        if (!take(p, '|')) break;
        if (n == LEN(jumps)) return refuse(p, "too many alternatives");
        if (insert(p, from, (struct regex_inst){ .op = RE_SPLIT, .x = from + 1 }) < 0) return -1;
        jumps[n++] = here(p);
        if (emit(p, (struct regex_inst){ .op = RE_JUMP }) < 0) return -1;
        p->p->v[from].y = here(p);
        from = here(p);
    }
    for (size_t i = 0; i < n; i++) p->p->v[jumps[i]].x = here(p);
    return 0;
}

int regex_parse(struct regex_prog *out, struct str pattern, struct kr_err *e)
{
    struct parser p = { .s = pattern, .p = out, .e = e };
    if (!str_utf8(pattern)) return kr_fail(e, KR_INVALID, "pattern is not valid UTF-8");
    if (alternation(&p) < 0) return -1;
    if (more(&p)) return refuse(&p, "a \")\" that closes nothing");
    return emit(&p, (struct regex_inst){ .op = RE_MATCH });
}
