/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expr_parse: text → tree, with every name, function and declared field checked.
 *
 * One token is looked ahead; binary operators by precedence climbing. Macros are recognised by their method name and bind
 * a variable to a slot of their own. Each node knows the schema of what it yields where that can be said, so that a field
 * that is not declared is an error here. Evaluation is in expr_eval.c. Tests: tests/unit/core/expr.c
 */
#include "core/expr_ast.h"
#include <errno.h>

enum token { T_END, T_IDENT, T_INT, T_DOUBLE, T_STRING, T_PUNCT };
struct scope { struct scope *up; struct str name; uint32_t slot; const struct expr_schema *schema; };
struct parser {
    struct expr *x;
    struct kr_err *e;
    struct str s;
    size_t at;                 /* behind the token */
    enum token tok;
    size_t tok_at;
    struct str word;           /* IDENT, PUNCT, and the digits of a number */
    struct value literal;      /* STRING, INT, DOUBLE */
    struct scope *scope;
    size_t nodes, nested;      /* nested: macro variables in use */
    int depth;
};
/* A node and the schema of what it yields. */
struct typed { struct node *node; const struct expr_schema *schema; };

static int fail_at(struct parser *p, size_t at, const char *what, struct str word)
{
    return kr_fail(p->e, KR_INVALID, "at %zu: %s%s%.*s%s", at + 1, what, word.n ? " \"" : "", (int)(word.n < 60 ? word.n : 60), word.p, word.n ? "\"" : "");
}
static int fail(struct parser *p, const char *what) { return fail_at(p, p->tok_at, what, p->tok == T_END ? S("") : p->word); }

/* ---- tokens ---- */
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static char ch(const struct parser *p, size_t i) { return i < p->s.n ? p->s.p[i] : 0; }

static int number(struct parser *p)
{
    size_t i = p->at;
    bool hex = ch(p, i) == '0' && (ch(p, i + 1) | 32) == 'x', real = false;
    if (hex) {
        for (i += 2; is_digit(ch(p, i)) || ((ch(p, i) | 32) >= 'a' && (ch(p, i) | 32) <= 'f'); i++) {}
    } else {
        while (is_digit(ch(p, i))) i++;
        if (ch(p, i) == '.' && is_digit(ch(p, i + 1))) for (real = true, i++; is_digit(ch(p, i)); i++) {}
        if ((ch(p, i) | 32) == 'e') {
            size_t k = i + 1 + (ch(p, i + 1) == '+' || ch(p, i + 1) == '-');
            if (is_digit(ch(p, k))) for (real = true, i = k; is_digit(ch(p, i)); i++) {}
        }
    }
    char text[64];
    p->word = (struct str){ p->s.p + p->at, i - p->at };
    if (p->word.n >= sizeof text || is_letter(ch(p, i))) return fail_at(p, p->at, "a number that is not understood", p->word);
    memcpy(text, p->word.p, p->word.n);
    text[p->word.n] = 0;
    errno = 0;
    p->tok = real ? T_DOUBLE : T_INT;
    if (real) p->literal = (struct value){ .kind = EXPR_DOUBLE, .d = strtod(text, NULL) };
    else p->literal = value_of_int((int64_t)strtoull(text, NULL, hex ? 16 : 10));
    /* -9223372036854775808 is read as a negated literal: its digits alone are one too large */
    if (errno || (!real && p->literal.i < 0 && p->literal.i != INT64_MIN)) return fail_at(p, p->at, "a number that is too large", p->word);
    p->at = i;
    return 0;
}

static void put_rune(struct buf *b, uint32_t r)
{
    if (r < 0x80) { buf_byte(b, (char)r); return; }
    if (r < 0x800) buf_byte(b, (char)(0xC0 | r >> 6));
    else if (r < 0x10000) buf_byte(b, (char)(0xE0 | r >> 12)), buf_byte(b, (char)(0x80 | (r >> 6 & 63)));
    else buf_byte(b, (char)(0xF0 | r >> 18)), buf_byte(b, (char)(0x80 | (r >> 12 & 63))), buf_byte(b, (char)(0x80 | (r >> 6 & 63)));
    buf_byte(b, (char)(0x80 | (r & 63)));
}

/* Behind the backslash; moves *i behind the escape. */
static int escape(struct parser *p, size_t *i, struct buf *b)
{
    static const char from[] = "abfnrtv\\'\"`?", to[] = "\a\b\f\n\r\t\v\\'\"`?";
    char c = ch(p, *i);
    const char *known = c ? strchr(from, c) : NULL;
    size_t digits = c == 'x' || c == 'X' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : c >= '0' && c <= '3' ? 3 : 0, base = digits == 3 ? 8 : 16;
    uint32_t r = 0;
    if (known) {
        buf_byte(b, to[known - from]);
        ++*i;
        return 0;
    }
    *i += digits && digits != 3;
    for (size_t k = 0; k < digits; k++, ++*i) {
        char d = ch(p, *i);
        uint32_t v = is_digit(d) ? (uint32_t)(d - '0') : (d | 32) >= 'a' && (d | 32) <= 'f' ? (uint32_t)((d | 32) - 'a' + 10) : 99;
        if (v >= base) return fail_at(p, *i, "an escape that is not understood", S(""));
        r = r * (uint32_t)base + v;
    }
    if (!digits || r > 0x10FFFF || (r >= 0xD800 && r < 0xE000)) return fail_at(p, *i, "an escape that is not understood", S(""));
    put_rune(b, r);
    return 0;
}

static int string(struct parser *p, bool raw)
{
    size_t i = p->at;
    char q = ch(p, i);
    bool triple = ch(p, i + 1) == q && ch(p, i + 2) == q;
    AUTO_BUF struct buf b = { .max = p->s.n };
    i += triple ? 3 : 1;
    for (;; ) {
        char c = ch(p, i);
        if (i >= p->s.n || (!triple && c == '\n')) return fail_at(p, p->at, "a string that is not closed", S(""));
        if (c == q && (!triple || (ch(p, i + 1) == q && ch(p, i + 2) == q))) break;
        i++;
        if (c == '\\' && !raw) {
            if (escape(p, &i, &b) < 0) return -1;
        } else {
            buf_byte(&b, c);
        }
    }
    p->tok = T_STRING;
    p->literal = value_of_str(arena_str(&p->x->arena, buf_view(&b)));
    p->word = (struct str){ p->s.p + p->at, i + (triple ? 3 : 1) - p->at };
    p->at += p->word.n;
    return 0;
}

static int next(struct parser *p)
{
    static const char *const two[] = { "==", "!=", "<=", ">=", "&&", "||" };
    for (;;) {
        while (ch(p, p->at) == ' ' || ch(p, p->at) == '\t' || ch(p, p->at) == '\n' || ch(p, p->at) == '\r') p->at++;
        if (ch(p, p->at) != '/' || ch(p, p->at + 1) != '/') break;
        while (p->at < p->s.n && ch(p, p->at) != '\n') p->at++;
    }
    p->tok_at = p->at;
    char c = ch(p, p->at), d = ch(p, p->at + 1);
    if (p->at >= p->s.n) {
        p->tok = T_END;
        p->word = S("");
        return 0;
    }
    if (is_digit(c) || (c == '.' && is_digit(d))) return number(p);
    if (c == '"' || c == '\'') return string(p, false);
    if ((c | 32) == 'r' && (d == '"' || d == '\'')) return p->at++, string(p, true);
    if ((c | 32) == 'b' && (d == '"' || d == '\'')) return fail_at(p, p->at, "bytes literals are not supported", S(""));
    size_t n = 1;
    p->tok = T_PUNCT;
    if (is_letter(c)) {
        for (p->tok = T_IDENT; is_letter(ch(p, p->at + n)) || is_digit(ch(p, p->at + n)); n++) {}
    } else {
        for (size_t i = 0; i < LEN(two); i++)
            if (c == two[i][0] && d == two[i][1]) n = 2;
        if (n == 1 && !strchr("<>+-*/%!?:.,()[]{}", c)) return fail_at(p, p->at, "a character that means nothing here", (struct str){ p->s.p + p->at, 1 });
    }
    p->word = (struct str){ p->s.p + p->at, n };
    p->at += n;
    return 0;
}

static bool is(const struct parser *p, const char *z) { return (p->tok == T_PUNCT || p->tok == T_IDENT) && str_is(p->word, z); }
static int expect(struct parser *p, const char *z)
{
    if (is(p, z)) return next(p);
    return kr_fail(p->e, KR_INVALID, "at %zu: expected \"%s\"%s%.*s%s", p->tok_at + 1, z, p->tok == T_END ? ", but the expression ends" : ", found \"", SFMT(p->word), p->tok == T_END ? "" : "\"");
}

/* ---- nodes ---- */
static struct node *node(struct parser *p, enum node_op op, size_t at)
{
    struct node *n = p->nodes++ < LIMIT_EXPR_NODES ? arena_new(&p->x->arena, struct node) : NULL;
    if (!n) {
        kr_fail(p->e, KR_TOO_LARGE, "the expression is too large");
        return NULL;
    }
    n->op = op;
    n->at = (uint32_t)at;
    return n;
}

/* After the children are set: chains like a.b.c or a + b + c are deep though nothing is nested. */
static int close_node(struct parser *p, struct node *n)
{
    struct node *const fixed[] = { n->a, n->b, n->c };
    uint16_t depth = 0;
    for (size_t i = 0; i < LEN(fixed); i++)
        if (fixed[i] && fixed[i]->depth > depth) depth = fixed[i]->depth;
    for (size_t i = 0; i < n->n; i++)
        if (n->kids[i]->depth > depth) depth = n->kids[i]->depth;
    n->depth = (uint16_t)(depth + 1);
    return n->depth > LIMIT_EXPR_DEPTH * 3 ? kr_fail(p->e, KR_TOO_LARGE, "at %u: nested too deeply", n->at + 1) : 0;
}

static int conditional(struct parser *p, struct typed *out);

static int push_kid(struct parser *p, struct node *n, struct node *kid)
{
    if ((n->n & (n->n - 1)) == 0) {                       /* full at each power of two */
        struct node **more = arena_alloc(&p->x->arena, (n->n ? n->n * 2 : 1) * sizeof(struct node *));
        if (!more) return kr_fail(p->e, KR_TOO_LARGE, "the expression is too large");
        if (n->n) memcpy(more, n->kids, n->n * sizeof(struct node *));
        n->kids = more;
    }
    n->kids[n->n++] = kid;
    return 0;
}

/* a, b, c up to `close`, which is consumed. */
static int arguments(struct parser *p, struct node *n, const char *close)
{
    struct typed arg;
    while (!is(p, close)) {
        if (conditional(p, &arg) < 0 || push_kid(p, n, arg.node) < 0) return -1;
        if (n->op == N_MAP && (expect(p, ":") < 0 || conditional(p, &arg) < 0 || push_kid(p, n, arg.node) < 0)) return -1;
        if (is(p, close)) break;
        if (expect(p, ",") < 0) return -1;
    }
    return close_node(p, n) < 0 ? -1 : next(p);
}

/* ---- functions ---- */
static const struct expr_fn *find_in(const struct expr_fn *v, size_t n, struct str name, bool method, size_t args, bool *known)
{
    for (size_t i = 0; i < n; i++) {
        if (v[i].method != method || !str_is(name, v[i].name)) continue;
        *known = true;
        if (args >= v[i].min_args && args <= v[i].max_args) return &v[i];
    }
    return NULL;
}

/* matches(…) with a literal pattern: compiled once, and a bad one is an error now. */
static int prepare_matches(struct parser *p, struct node *call)
{
    struct expr *x = p->x;
    if (strcmp(call->fn->name, "matches") || call->kids[1]->op != N_LITERAL || call->kids[1]->value.kind != EXPR_STRING) return 0;
    if (x->nregexes == LEN(x->regexes)) return kr_fail(p->e, KR_TOO_LARGE, "at %u: more than %d patterns in one expression", call->at + 1, LIMIT_EXPR_REGEXES);
    if (!(call->regex = regex_compile(call->kids[1]->value.s, p->e))) return kr_wrap(p->e, "at %u", call->at + 1);
    x->regexes[x->nregexes++] = call;
    return 0;
}

static int resolve(struct parser *p, struct node *call, struct str name, bool method)
{
    bool known = false;
    call->fn = find_in(expr_builtins, expr_nbuiltins, name, method, call->n, &known);
    if (!call->fn) call->fn = find_in(p->x->env->fns, p->x->env->nfns, name, method, call->n, &known);
    if (!call->fn) return fail_at(p, call->at, known ? "wrong number of arguments for" : method ? "no such method" : "no such function", name);
    return prepare_matches(p, call);
}

/* ---- macros: l.all(x, p) and its like ---- */
static const struct { const char *name; enum node_op op; int least, most; } macros[] = {
    { "all", N_ALL, 2, 2 }, { "exists", N_EXISTS, 2, 2 }, { "exists_one", N_EXISTS_ONE, 2, 2 }, { "filter", N_FILTER, 2, 2 }, { "map", N_MAP_TO, 2, 3 },
};

static int macro(struct parser *p, struct typed *t, enum node_op op, size_t at)
{
    struct node *n = node(p, op, at);
    struct typed arg;
    if (!n) return -1;
    if (p->tok != T_IDENT) return fail(p, "expected the name of a variable, found");
    /* keys of maps are strings, items of lists have their schema */
    bool list = t->schema && t->schema->kind == EXPR_LIST;
    struct scope sc = { p->scope, p->word, (uint32_t)(p->x->env->nvars + p->nested), list && t->schema->items ? t->schema->items(t->schema) : NULL };
    if (sc.slot >= LIMIT_EXPR_SLOTS) return kr_fail(p->e, KR_TOO_LARGE, "at %zu: macros nested too deeply", at + 1);
    if (sc.slot + 1 > p->x->nslots) p->x->nslots = sc.slot + 1;
    if (next(p) < 0 || expect(p, ",") < 0) return -1;
    p->scope = &sc;
    p->nested++;
    int r = conditional(p, &arg);
    n->a = t->node;
    n->b = arg.node;
    n->slot = sc.slot;
    if (!r && op == N_MAP_TO && is(p, ",")) {
        r = next(p) < 0 ? -1 : conditional(p, &arg);
        n->c = arg.node;
    } else if (op == N_MAP_TO) {
        n->c = n->b;
        n->b = NULL;
    }
    p->nested--;
    p->scope = sc.up;
    if (r < 0 || expect(p, ")") < 0 || close_node(p, n) < 0) return -1;
    *t = (struct typed){ n, op == N_FILTER ? t->schema : NULL };
    return 0;
}

/* ---- operands ---- */
static int has(struct parser *p, struct typed *out, size_t at)
{
    struct typed t;
    if (expect(p, "(") < 0 || conditional(p, &t) < 0) return -1;
    if (t.node->op != N_FIELD) return fail_at(p, at, "has() needs a field, as in has(a.b)", S(""));
    t.node->op = N_HAS;
    *out = (struct typed){ t.node, NULL };
    return expect(p, ")");
}

static int variable(struct parser *p, struct typed *out, struct str name, size_t at)
{
    struct node *n = node(p, N_VAR, at);
    if (!n) return -1;
    n->name = name;
    for (struct scope *s = p->scope; s; s = s->up)
        if (str_eq(s->name, name)) {
            n->slot = s->slot;
            *out = (struct typed){ n, s->schema };
            return 0;
        }
    for (size_t i = 0; i < p->x->env->nvars; i++)
        if (str_is(name, p->x->env->vars[i].name)) {
            n->slot = (uint32_t)i;
            p->x->uses |= 1ull << i;
            *out = (struct typed){ n, p->x->env->vars[i].schema };
            return 0;
        }
    return fail_at(p, at, "undeclared name", name);
}

static int identifier(struct parser *p, struct typed *out)
{
    static const char *const types[] = { "int", "double", "string", "bool", "list", "map", "null_type" };
    struct str name = p->word;
    size_t at = p->tok_at;
    if (next(p) < 0) return -1;
    struct node *n = node(p, N_LITERAL, at);
    if (!n) return -1;
    *out = (struct typed){ n, NULL };
    if (str_is(name, "true") || str_is(name, "false")) return n->value = value_of_bool(name.n == 4), 0;
    if (str_is(name, "null")) return n->value = (struct value){ .kind = EXPR_NULL }, 0;
    if (str_is(name, "has") && is(p, "(")) return has(p, out, at);
    if (!is(p, "(")) {
        static const enum expr_kind kinds[] = { EXPR_INT, EXPR_DOUBLE, EXPR_STRING, EXPR_BOOL, EXPR_LIST, EXPR_MAP, EXPR_NULL };
        for (size_t i = 0; i < LEN(types); i++)
            if (str_is(name, types[i])) return n->value = (struct value){ .kind = EXPR_TYPE, .i = kinds[i] }, 0;
        return variable(p, out, name, at);
    }
    n->op = N_CALL;
    if (next(p) < 0 || arguments(p, n, ")") < 0) return -1;
    return resolve(p, n, name, false);
}

static int primary(struct parser *p, struct typed *out)
{
    size_t at = p->tok_at;
    struct node *n;
    if (p->tok == T_IDENT) return identifier(p, out);
    if (p->tok == T_INT || p->tok == T_DOUBLE || p->tok == T_STRING) {
        if (p->tok == T_INT && p->literal.i == INT64_MIN) return fail(p, "a number that is too large");
        if (!(n = node(p, N_LITERAL, at))) return -1;
        n->value = p->literal;
        *out = (struct typed){ n, NULL };
        return next(p);
    }
    if (is(p, "(")) return next(p) < 0 || conditional(p, out) < 0 ? -1 : expect(p, ")");
    if (is(p, "[") || is(p, "{")) {
        bool list = is(p, "[");
        if (!(n = node(p, list ? N_LIST : N_MAP, at)) || next(p) < 0) return -1;
        *out = (struct typed){ n, NULL };
        return arguments(p, n, list ? "]" : "}");
    }
    return p->tok == T_END ? fail(p, "the expression ends where a value is expected") : fail(p, "a value is expected, found");
}

static int method(struct parser *p, struct typed *t, struct str name, size_t at)
{
    if (next(p) < 0) return -1;
    for (size_t i = 0; i < LEN(macros); i++)
        if (str_is(name, macros[i].name)) return macro(p, t, macros[i].op, at);
    struct node *n = node(p, N_CALL, at);
    if (!n || push_kid(p, n, t->node) < 0 || arguments(p, n, ")") < 0) return -1;
    *t = (struct typed){ n, NULL };
    return resolve(p, n, name, true);
}

/* The names CEL keeps for itself are written __in__, and '-', '.', '/' as __dash__, __dot__, __slash__ in field names. */
static struct str unescape(struct parser *p, struct str name)
{
    static const struct { const char *from, *to; } parts[] = { { "__dash__", "-" }, { "__dot__", "." }, { "__slash__", "/" }, { "__underscores__", "__" } };
    AUTO_BUF struct buf b = { .max = name.n };
    if (name.n > 4 && str_starts(name, S("__")) && str_ends(name, S("__")) && str_find((struct str){ name.p + 2, name.n - 4 }, S("__")) < 0) {
        bool part = false;
        for (size_t k = 0; k < LEN(parts); k++) part |= str_is(name, parts[k].from);
        if (!part) return (struct str){ name.p + 2, name.n - 4 };
    }
    for (size_t i = 0; i < name.n;) {
        size_t k = 0;
        while (k < LEN(parts) && !str_starts(str_from(name, i), str_of(parts[k].from))) k++;
        if (k < LEN(parts)) buf_lit(&b, parts[k].to), i += strlen(parts[k].from);
        else buf_byte(&b, name.p[i++]);
    }
    return arena_str(&p->x->arena, buf_view(&b));
}

static int field(struct parser *p, struct typed *t, struct str name, size_t at)
{
    struct node *n = node(p, N_FIELD, at);
    if (!n) return -1;
    n->name = unescape(p, name);
    n->a = t->node;
    const struct expr_schema *of = t->schema, *sub = NULL;
    if (of && of->kind == EXPR_OBJECT && !(sub = of->field(of, n->name))) return fail_at(p, at, "undeclared field", n->name);
    if (of && of->kind == EXPR_MAP && of->items) sub = of->items(of);
    if (of && of->kind != EXPR_OBJECT && of->kind != EXPR_MAP && of->kind != EXPR_DYN) return fail_at(p, at, "this is no object, it has no field", n->name);
    *t = (struct typed){ n, sub };
    return close_node(p, n);
}

static int member(struct parser *p, struct typed *out)
{
    if (primary(p, out) < 0) return -1;
    while (is(p, ".") || is(p, "[")) {
        bool dot = is(p, ".");
        if (next(p) < 0) return -1;
        struct str name = p->word;
        size_t at = p->tok_at;
        if (!dot) {
            struct typed index;
            struct node *n = node(p, N_INDEX, at);
            if (!n || conditional(p, &index) < 0 || expect(p, "]") < 0) return -1;
            n->a = out->node;
            n->b = index.node;
            if (close_node(p, n) < 0) return -1;
            if (out->schema && out->schema->kind == EXPR_OBJECT && index.node->op == N_LITERAL && index.node->value.kind == EXPR_STRING) {
                const struct expr_schema *sub = out->schema->field(out->schema, index.node->value.s);
                if (!sub) return fail_at(p, at, "undeclared field", index.node->value.s);
                *out = (struct typed){ n, sub };
                continue;
            }
            bool inside = out->schema && out->schema->items;
            *out = (struct typed){ n, inside ? out->schema->items(out->schema) : NULL };
            continue;
        }
        if (p->tok != T_IDENT) return fail(p, "expected a name behind \".\", found");
        if (next(p) < 0) return -1;
        if ((is(p, "(") ? method(p, out, name, at) : field(p, out, name, at)) < 0) return -1;
    }
    return 0;
}

static int unary(struct parser *p, struct typed *out)
{
    size_t at = p->tok_at;
    if (!is(p, "!") && !is(p, "-")) return member(p, out);
    bool not = is(p, "!");
    if (next(p) < 0) return -1;
    if (!not && p->tok == T_INT) {                        /* -9223372036854775808 has no positive twin */
        struct node *n = node(p, N_LITERAL, at);
        if (!n) return -1;
        n->value = value_of_int((int64_t)-(uint64_t)p->literal.i);
        *out = (struct typed){ n, NULL };
        return next(p);
    }
    if (++p->depth > LIMIT_EXPR_DEPTH) return kr_fail(p->e, KR_TOO_LARGE, "at %zu: nested too deeply", at + 1);
    int r = unary(p, out);
    p->depth--;
    struct node *n = r < 0 ? NULL : node(p, not ? N_NOT : N_NEG, at);
    if (!n) return -1;
    n->a = out->node;
    *out = (struct typed){ n, NULL };
    return close_node(p, n);
}

static const struct { const char *sign; enum node_op op; int level; } binary_ops[] = {
    { "||", N_OR, 1 }, { "&&", N_AND, 2 }, { "==", N_EQ, 3 }, { "!=", N_NE, 3 }, { "<", N_LT, 3 }, { "<=", N_LE, 3 }, { ">", N_GT, 3 }, { ">=", N_GE, 3 },
    { "in", N_IN, 3 }, { "+", N_ADD, 4 }, { "-", N_SUB, 4 }, { "*", N_MUL, 5 }, { "/", N_DIV, 5 }, { "%", N_MOD, 5 },
};

static int binary(struct parser *p, struct typed *out, int level)
{
    if (unary(p, out) < 0) return -1;
    for (;;) {
        size_t i = 0, at = p->tok_at;
        while (i < LEN(binary_ops) && !is(p, binary_ops[i].sign)) i++;
        if (i == LEN(binary_ops) || binary_ops[i].level < level) return 0;
        struct typed right;
        if (next(p) < 0 || binary(p, &right, binary_ops[i].level + 1) < 0) return -1;
        struct node *n = node(p, binary_ops[i].op, at);
        if (!n) return -1;
        n->a = out->node;
        n->b = right.node;
        *out = (struct typed){ n, NULL };
        if (close_node(p, n) < 0) return -1;
    }
}

static int conditional(struct parser *p, struct typed *out)
{
    size_t at = p->tok_at;
    struct typed yes, no;
    if (++p->depth > LIMIT_EXPR_DEPTH) return kr_fail(p->e, KR_TOO_LARGE, "at %zu: nested too deeply", at + 1);
    int r = binary(p, out, 1);
    if (!r && is(p, "?")) {
        struct node *n = node(p, N_COND, at);
        if (!n || next(p) < 0 || binary(p, &yes, 1) < 0 || expect(p, ":") < 0 || conditional(p, &no) < 0) return -1;
        n->a = out->node;
        n->b = yes.node;
        n->c = no.node;
        *out = (struct typed){ n, yes.schema == no.schema ? yes.schema : NULL };
        if (close_node(p, n) < 0) return -1;
    }
    p->depth--;
    return r;
}

struct expr *expr_compile(struct str text, const struct expr_env *env, struct kr_err *e)
{
    struct typed root;
    if (text.n > LIMIT_EXPR_TEXT || env->nvars >= LIMIT_EXPR_SLOTS) return kr_fail(e, KR_TOO_LARGE, "the expression has %zu bytes, at most %d are allowed", text.n, LIMIT_EXPR_TEXT), NULL;
    if (!str_utf8(text)) return kr_fail(e, KR_INVALID, "the expression is not valid UTF-8"), NULL;
    struct expr *x = xcalloc(1, sizeof *x);
    x->arena.limit = (size_t)LIMIT_EXPR_TEXT * 2 + LIMIT_EXPR_NODES * 2 * sizeof(struct node);
    x->text = arena_str(&x->arena, text);
    x->env = env;
    x->nslots = env->nvars;
    struct parser p = { .x = x, .e = e, .s = x->text };
    if (next(&p) < 0 || conditional(&p, &root) < 0 || (p.tok != T_END && fail(&p, "something behind the end of the expression:") < 0)) {
        expr_free(x);
        return NULL;
    }
    x->root = root.node;
    x->yields = root.schema;
    return x;
}

void expr_free(struct expr *x)
{
    if (!x) return;
    for (size_t i = 0; i < x->nregexes; i++) regex_free(x->regexes[i]->regex);
    arena_reset(&x->arena);
    free(x);
}

enum expr_kind expr_yields(const struct expr *x)
{
    switch (x->root->op) {
    case N_NOT: case N_AND: case N_OR: case N_EQ: case N_NE: case N_LT: case N_LE: case N_GT: case N_GE: case N_IN: case N_HAS: case N_ALL:
    case N_EXISTS: case N_EXISTS_ONE: return EXPR_BOOL;
    case N_LIST: case N_FILTER: case N_MAP_TO: return EXPR_LIST;
    case N_MAP: return EXPR_MAP;
    case N_LITERAL: return x->root->value.kind;
    default: return x->yields ? x->yields->kind : EXPR_DYN;
    }
}

bool expr_uses(const struct expr *x, const char *var)
{
    for (size_t i = 0; i < x->env->nvars; i++)
        if (!strcmp(x->env->vars[i].name, var)) return x->uses >> i & 1;
    return false;
}
