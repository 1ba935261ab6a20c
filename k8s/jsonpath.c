/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsonpath: kubectl's path templates.
 *
 * The one idea: a path is a list of steps, and evaluation hands each value that a step selects to the next step at once, the
 * last one to a callback. Nothing is collected, so memory is the depth of the recursion and time is a counted budget ("..*"
 * three times over a large document would be cubic).
 *
 * Not here: what kubectl does not offer either (logic operators, functions, regular expressions); it is refused by offset.
 */
#include "k8s/jsonpath.h"

enum step_kind { STEP_MEMBER, STEP_INDEX, STEP_SLICE, STEP_ALL, STEP_DEEP, STEP_FILTER, STEP_UNION };
enum compare { IS_THERE, EQ, NE, LT, LE, GT, GE };

struct step {
    enum step_kind kind;
    struct str name;                    /* member */
    int64_t from, to, by;               /* index: from; slice: all three */
    bool has_from, has_to;
    struct filter *filter;
    struct step *alternatives;          /* union: linked by `next` */
    struct step *next;
};
struct path { bool from_root; struct step *steps; };
struct operand { bool is_path; struct path path; struct json *literal; };
struct filter { enum compare op; struct operand left, right; };

struct node {
    enum { NODE_TEXT, NODE_PATH, NODE_RANGE } kind;
    struct str text;
    struct path path;
    struct node *body, *next;           /* body: of a range */
};
struct jsonpath { struct node *nodes; };

enum { MAX_NESTING = 16 };

/* ---- parse ------------------------------------------------------------------------------------------------------ */
struct parse {
    struct arena *a;
    struct str in;
    size_t at;
    int depth;                          /* filters in filters, ranges in ranges */
    struct kr_err *e;
};

static bool bad(struct parse *p, const char *what)
{
    if (p->a->over) kr_fail(p->e, KR_TOO_LARGE, "jsonpath: it needs more memory than is allowed");
    else kr_fail(p->e, KR_BAD_REQUEST, "jsonpath: offset %zu: %s", p->at, what);
    return false;
}

static char peek(const struct parse *p) { return p->at < p->in.n ? p->in.p[p->at] : 0; }
static bool at_end(const struct parse *p) { return p->at >= p->in.n; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool take(struct parse *p, const char *word)
{
    if (!str_starts(str_from(p->in, p->at), str_of(word))) return false;
    p->at += strlen(word);
    return true;
}

static void skip_spaces(struct parse *p)
{
    while (!at_end(p) && strchr(" \t\r\n", peek(p))) p->at++;
}

static struct step *add_step(struct parse *p, struct step ***tail, enum step_kind kind)
{
    struct step *s = arena_new(p->a, struct step);
    if (!s) return NULL;
    s->kind = kind;
    **tail = s;
    *tail = &s->next;
    return s;
}

static char escaped(char c)
{
    switch (c) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case '\\': case '"': case '\'': case '/': case '.': return c;
    default: return 0;
    }
}

/* A text in either quotes; p is at the first. */
static bool quoted(struct parse *p, struct str *out)
{
    char quote = peek(p), *to = arena_alloc(p->a, p->in.n - p->at + 1);
    size_t n = 0;
    if (!to) return bad(p, "");
    for (p->at++; !at_end(p) && peek(p) != quote; p->at++) {
        char c = peek(p);
        if (c == '\\') {
            p->at++;
            c = escaped(peek(p));
            if (!c) return bad(p, "unknown escape; there are \\n \\t \\r \\\\ \\\" \\' \\/ \\.");
        }
        to[n++] = c;
    }
    if (at_end(p)) return bad(p, "the text has no closing quote");
    p->at++;
    *out = (struct str){ to, n };
    return true;
}

static bool ends_name(char c) { return !c || strchr(" \t\r\n.,[]{}()$@*?=!<>|&\"'", c); }

/* A member's name behind a dot; a backslash takes the next character as it is. */
static bool member_name(struct parse *p, struct str *out)
{
    char *to = arena_alloc(p->a, p->in.n - p->at + 1);
    size_t n = 0;
    if (!to) return bad(p, "");
    while (!ends_name(peek(p))) {
        if (peek(p) == '\\' && ++p->at >= p->in.n) return bad(p, "a backslash at the end");
        to[n++] = peek(p);
        p->at++;
    }
    if (!n) return bad(p, at_end(p) ? "a member's name is missing at the end" : "a member's name is missing");
    *out = (struct str){ to, n };
    return true;
}

static bool integer(struct parse *p, int64_t *out)
{
    size_t from = p->at;
    if (peek(p) == '-') p->at++;
    while (is_digit(peek(p))) p->at++;
    return str_i64((struct str){ p->in.p + from, p->at - from }, out) || bad(p, "not a whole number");
}

/* "1", "1:2", ":2", "::2" */
static bool index_or_slice(struct parse *p, struct step *s)
{
    s->kind = STEP_INDEX;
    s->by = 1;
    if (peek(p) != ':') {
        if (!integer(p, &s->from)) return false;
        s->has_from = true;
    }
    if (!take(p, ":")) return true;
    s->kind = STEP_SLICE;
    if (is_digit(peek(p)) || peek(p) == '-') {
        if (!integer(p, &s->to)) return false;
        s->has_to = true;
    }
    if (take(p, ":") && (is_digit(peek(p)) || peek(p) == '-') && !integer(p, &s->by)) return false;
    return s->by > 0 || bad(p, "the step of a slice is 1 or more");
}

static bool parse_steps(struct parse *p, struct step **head);

static bool number_literal(struct parse *p, struct operand *o)
{
    size_t from = p->at;
    while (!at_end(p) && (is_digit(peek(p)) || strchr("+-.eE", peek(p)))) p->at++;
    struct kr_err e;
    o->literal = json_parse(p->a, (struct str){ p->in.p + from, p->at - from }, &e);
    return o->literal || bad(p, "not a number");
}

static bool parse_path_start(struct parse *p, struct path *out)
{
    out->from_root = take(p, "$");
    if (!out->from_root) take(p, "@");
    return parse_steps(p, &out->steps);
}

static bool parse_operand(struct parse *p, struct operand *o)
{
    struct str text;
    skip_spaces(p);
    char c = peek(p);
    if (c == '@' || c == '$' || c == '.') {
        o->is_path = true;
        return parse_path_start(p, &o->path);
    }
    if (c == '"' || c == '\'') {
        if (!quoted(p, &text)) return false;
        o->literal = json_new_str(p->a, text);
        return true;
    }
    if (is_digit(c) || c == '-') return number_literal(p, o);
    bool yes = take(p, "true");
    if (yes || take(p, "false")) o->literal = json_new_bool(p->a, yes);
    else if (take(p, "null")) o->literal = json_new_null(p->a);
    return o->literal || bad(p, "expected a path (@.x), a quoted text, a number, true, false or null");
}

/* Behind "?(", up to and with ")". */
static bool parse_filter(struct parse *p, struct step *s)
{
    static const struct { const char *word; enum compare op; } ops[] = {
        { "==", EQ }, { "!=", NE }, { "<=", LE }, { ">=", GE }, { "<", LT }, { ">", GT },
    };
    if (++p->depth > MAX_NESTING) return bad(p, "filters are nested too deeply");
    s->kind = STEP_FILTER;
    s->filter = arena_new(p->a, struct filter);
    if (!s->filter) return bad(p, "");
    if (!parse_operand(p, &s->filter->left)) return false;
    skip_spaces(p);
    for (size_t i = 0; i < LEN(ops); i++)
        if (take(p, ops[i].word)) {
            s->filter->op = ops[i].op;
            if (!parse_operand(p, &s->filter->right)) return false;
            skip_spaces(p);
            break;
        }
    if (s->filter->op == IS_THERE && !s->filter->left.is_path) return bad(p, "expected == != < > <= or >=");
    p->depth--;
    return take(p, ")") || bad(p, "expected ')'; && and || are not offered");
}

static bool bracket_item(struct parse *p, struct step *s)
{
    skip_spaces(p);
    char c = peek(p);
    if (c == '"' || c == '\'') {
        s->kind = STEP_MEMBER;
        return quoted(p, &s->name);
    }
    if (take(p, "*")) {
        s->kind = STEP_ALL;
        return true;
    }
    if (take(p, "?(")) return parse_filter(p, s);
    if (is_digit(c) || c == '-' || c == ':') return index_or_slice(p, s);
    return bad(p, "expected an index, a slice, a quoted name, * or ?( inside of [ ]");
}

/* Behind "[", up to and with "]". */
static bool parse_bracket(struct parse *p, struct step ***tail)
{
    struct step *first = NULL, **alternatives = &first;
    do {
        struct step *s = add_step(p, &alternatives, STEP_ALL);
        if (!s) return bad(p, "");
        if (!bracket_item(p, s)) return false;
        skip_spaces(p);
    } while (take(p, ","));
    if (!take(p, "]")) return bad(p, "expected ']'");
    if (!first->next) {
        **tail = first;
        *tail = &first->next;
        return true;
    }
    struct step *both = add_step(p, tail, STEP_UNION);
    if (!both) return bad(p, "");
    both->alternatives = first;
    return true;
}

/* Behind a dot. */
static bool parse_dot(struct parse *p, struct step ***tail, bool first)
{
    bool deep = take(p, ".");
    if (deep && !add_step(p, tail, STEP_DEEP)) return bad(p, "");
    if (peek(p) == '[') return true;
    if (take(p, "*")) return add_step(p, tail, STEP_ALL) || bad(p, "");
    if (first && !deep && (at_end(p) || strchr(" }", peek(p)))) return true;       /* "." is the value itself */
    struct str name;
    if (!member_name(p, &name)) return false;
    struct step *s = add_step(p, tail, STEP_MEMBER);
    if (!s) return bad(p, "");
    s->name = name;
    return true;
}

static bool parse_steps(struct parse *p, struct step **head)
{
    struct step **tail = head;
    for (int n = 0; peek(p) == '.' || peek(p) == '['; n++) {
        if (n == LIMIT_JSONPATH_STEPS) return bad(p, "the path has too many steps");
        bool dot = take(p, ".");
        if (!dot) p->at++;
        if (!(dot ? parse_dot(p, &tail, n == 0) : parse_bracket(p, &tail))) return false;
    }
    return true;
}

static bool starts_path(char c) { return c == '.' || c == '[' || c == '$' || c == '@'; }

static struct node *add_node(struct parse *p, struct node ***tail)
{
    struct node *n = arena_new(p->a, struct node);
    if (!n) return bad(p, ""), NULL;
    **tail = n;
    *tail = &n->next;
    return n;
}

static bool parse_nodes(struct parse *p, struct node **head, bool in_range, bool in_braces);

/* A word that must not be the beginning of a longer one. */
static bool take_word(struct parse *p, const char *word)
{
    size_t before = p->at;
    if (take(p, word) && strchr(" }", at_end(p) ? ' ' : peek(p))) return true;
    p->at = before;
    return false;
}

static bool parse_range(struct parse *p, struct node *n)
{
    if (++p->depth > MAX_NESTING) return bad(p, "ranges are nested too deeply");
    n->kind = NODE_RANGE;
    skip_spaces(p);
    if (!starts_path(peek(p))) return bad(p, "expected a path behind 'range'");
    if (!parse_path_start(p, &n->path) || !parse_nodes(p, &n->body, true, true)) return false;
    p->depth--;
    return true;
}

/* One thing inside of braces. *end: it was "end". */
static bool parse_action(struct parse *p, struct node ***tail, bool in_range, bool *end)
{
    char c = peek(p);
    if (take_word(p, "end")) {
        *end = true;
        return in_range || bad(p, "'end' without 'range'");
    }
    bool range = take_word(p, "range");
    if (!range && c != '"' && c != '\'' && !starts_path(c))
        return bad(p, at_end(p) ? "'{' without '}'" : "expected a path, a quoted text, range or end");
    struct node *n = add_node(p, tail);
    if (!n) return false;
    if (range) return parse_range(p, n);
    if (starts_path(c)) {
        n->kind = NODE_PATH;
        return parse_path_start(p, &n->path);
    }
    return quoted(p, &n->text);
}

/* Texts and actions up to the end of the template, or behind the "end" of a range (still inside of its braces). */
static bool parse_nodes(struct parse *p, struct node **head, bool in_range, bool in_braces)
{
    struct node **tail = head;
    bool end = false;
    while (!end) {
        if (!in_braces) {
            ptrdiff_t n = str_chr(str_from(p->in, p->at), '{');
            struct str text = { p->in.p + p->at, n < 0 ? p->in.n - p->at : (size_t)n };
            struct node *t = text.n ? add_node(p, &tail) : NULL;
            if (text.n && !t) return false;
            if (t) t->text = text;
            p->at += text.n;
            if (at_end(p)) return in_range ? bad(p, "'range' without 'end'") : true;
            p->at++;
            in_braces = true;
        }
        skip_spaces(p);
        if (take(p, "}")) in_braces = false;
        else if (!parse_action(p, &tail, in_range, &end)) return false;
    }
    return true;
}

static bool begin(struct parse *p, struct str text)
{
    if (text.n > LIMIT_JSONPATH_TEXT) {
        kr_fail(p->e, KR_TOO_LARGE, "jsonpath: it has %zu bytes, %d are allowed", text.n, LIMIT_JSONPATH_TEXT);
        return false;
    }
    if (!str_utf8(text) || (text.n && memchr(text.p, 0, text.n))) return bad(p, "not a text in UTF-8");
    p->in = arena_str(p->a, text);
    return !p->a->over || bad(p, "");
}

struct jsonpath *jsonpath_parse(struct arena *a, struct str text, struct kr_err *e)
{
    struct parse p = { .a = a, .e = e };
    if (!begin(&p, text)) return NULL;
    struct jsonpath *j = arena_new(a, struct jsonpath);
    if (!j) return bad(&p, ""), NULL;
    return parse_nodes(&p, &j->nodes, false, false) ? j : NULL;
}

struct jsonpath *jsonpath_parse_column(struct arena *a, struct str path, struct kr_err *e)
{
    struct parse p = { .a = a, .e = e };
    if (path.n && path.p[0] == '{' && str_ends(path, S("}"))) path = (struct str){ path.p + 1, path.n - 2 };
    struct str text = path.n && starts_path(path.p[0]) ? path : arena_fmt(a, ".%.*s", SFMT(path));
    if (!begin(&p, text)) return NULL;
    struct jsonpath *j = arena_new(a, struct jsonpath);
    struct node *n = j ? arena_new(a, struct node) : NULL;
    if (!n) return bad(&p, ""), NULL;
    n->kind = NODE_PATH;
    j->nodes = n;
    if (!parse_path_start(&p, &n->path)) return NULL;
    if (!at_end(&p)) return bad(&p, "a column has one path and nothing else"), NULL;
    return j;
}

/* ---- evaluate --------------------------------------------------------------------------------------------------- */
struct eval {
    const struct json *root, *current;
    /* Takes one result; false ends the walk (without that being an error). */
    bool (*found)(struct eval *, const struct json *);
    bool lenient;                       /* an index beyond the end finds nothing */
    int64_t *visits;                    /* budget, shared by all walks of one evaluation */
    struct kr_err *e;
    bool failed;
    /* for the callbacks */
    struct buf *out;
    bool any;
    char between;                       /* what separates results; 0: a space */
    const struct json *first;
    const struct node *body;
};

static bool walk(struct eval *v, const struct step *s, const struct json *at);

static bool stop(struct eval *v) { return v->failed = true, false; }

static bool walk_path(struct eval *v, const struct path *path)
{
    return walk(v, path->steps, path->from_root ? v->root : v->current);
}

static bool take_first(struct eval *v, const struct json *j)
{
    v->first = j;
    return false;
}

/* The first value of an operand, NULL when there is none. */
static const struct json *value_of(struct eval *v, const struct operand *o, const struct json *at)
{
    if (!o->is_path) return o->literal;
    struct eval inner = { .root = v->root, .current = at, .found = take_first, .lenient = true, .visits = v->visits, .e = v->e };
    walk_path(&inner, &o->path);
    if (inner.failed) v->failed = true;
    return inner.first;
}

static bool ordered(enum compare op, int order)
{
    return op == LT ? order < 0 : op == LE ? order <= 0 : op == GT ? order > 0 : order >= 0;
}

/* Only numbers and strings have an order, and only among themselves. */
static bool holds(enum compare op, const struct json *a, const struct json *b)
{
    int64_t x, y;
    if (!a || !b) return op == NE && (a || b);
    if (op == EQ || op == NE) return json_equal(a, b) == (op == EQ);
    if (json_is(a, JSON_STRING) && json_is(b, JSON_STRING)) return ordered(op, str_cmp(json_string(a), json_string(b)));
    if (!json_is(a, JSON_NUMBER) || !json_is(b, JSON_NUMBER)) return false;
    if (json_int(a, &x) && json_int(b, &y)) return ordered(op, (x > y) - (x < y));
    double c = json_double(a), d = json_double(b);
    return ordered(op, (c > d) - (c < d));
}

static bool passes(struct eval *v, const struct filter *f, const struct json *at)
{
    const struct json *left = value_of(v, &f->left, at);
    if (f->op == IS_THERE) return left;
    return holds(f->op, left, value_of(v, &f->right, at));
}

static bool walk_index(struct eval *v, const struct step *s, const struct step *next, const struct json *at)
{
    if (!json_is(at, JSON_ARRAY)) return true;
    int64_t len = (int64_t)json_len(at), i = s->from < 0 ? s->from + len : s->from;
    if (i >= 0 && i < len) return walk(v, next, json_at(at, (size_t)i));
    if (v->lenient) return true;
    kr_fail(v->e, KR_INVALID, "jsonpath: index %lld is out of range, the array has %lld items", (long long)s->from, (long long)len);
    return stop(v);
}

static int64_t clamp(int64_t i, int64_t len)
{
    if (i < 0) i += len;
    return i < 0 ? 0 : i > len ? len : i;
}

static bool walk_slice(struct eval *v, const struct step *s, const struct step *next, const struct json *at)
{
    if (!json_is(at, JSON_ARRAY)) return true;
    int64_t len = (int64_t)json_len(at), from = s->has_from ? clamp(s->from, len) : 0, to = s->has_to ? clamp(s->to, len) : len, i = 0;
    for (const struct json *j = json_first(at); j && i < to; j = json_next(j), i++)
        if (i >= from && (i - from) % s->by == 0 && !walk(v, next, j)) return false;
    return true;
}

/* The value itself, then everything below it, in document order. */
static bool walk_deep(struct eval *v, const struct step *next, const struct json *at)
{
    bool before = v->lenient;
    v->lenient = true;
    bool go = walk(v, next, at);
    for (const struct json *j = json_first(at); j && go; j = json_next(j)) go = walk_deep(v, next, j);
    v->lenient = before;
    return go;
}

/* What one step selects; `next` is given apart because the alternatives of a union share theirs. */
static bool select_step(struct eval *v, const struct step *s, const struct step *next, const struct json *at)
{
    const struct json *j;
    switch (s->kind) {
    case STEP_MEMBER:
        j = json_get_str(at, s->name);
        return !j || walk(v, next, j);
    case STEP_INDEX: return walk_index(v, s, next, at);
    case STEP_SLICE: return walk_slice(v, s, next, at);
    case STEP_DEEP: return walk_deep(v, next, at);
    case STEP_ALL:
        for (j = json_first(at); j; j = json_next(j))
            if (!walk(v, next, j)) return false;
        return true;
    case STEP_FILTER:
        for (j = json_is(at, JSON_ARRAY) ? json_first(at) : NULL; j && !v->failed; j = json_next(j))
            if (passes(v, s->filter, j) && !walk(v, next, j)) return false;
        return !v->failed;
    default:
        for (const struct step *alt = s->alternatives; alt; alt = alt->next)
            if (!select_step(v, alt, next, at)) return false;
        return true;
    }
}

static bool walk(struct eval *v, const struct step *s, const struct json *at)
{
    if (--*v->visits < 0) {
        kr_fail(v->e, KR_TOO_LARGE, "jsonpath: more than %d values would be visited", LIMIT_JSONPATH_VISITS);
        return stop(v);
    }
    return s ? select_step(v, s, s->next, at) : v->found(v, at);
}

/* ---- print ---- */
static bool print_value(struct eval *v, const struct json *j)
{
    if (v->any) buf_byte(v->out, v->between ? v->between : ' ');
    v->any = true;
    if (json_is(j, JSON_STRING)) {
        buf_str(v->out, json_string(j));
    } else {
        /* json_print looks at what stands before it to place commas; a fresh buffer has nothing there. */
        AUTO_BUF struct buf own = { .max = v->out->max - v->out->n };
        json_print(&own, j);
        buf_str(v->out, buf_view(&own));
        v->out->failed |= own.failed;
    }
    if (!v->out->failed) return true;
    kr_fail(v->e, KR_TOO_LARGE, "jsonpath: the output is larger than %zu bytes", v->out->max);
    return stop(v);
}

static bool print_nodes(struct eval *v, const struct node *n);

static bool print_body(struct eval *v, const struct json *j)
{
    struct eval inner = *v;
    inner.current = j;
    if (print_nodes(&inner, v->body)) return true;
    return stop(v);
}

/* The walks below start afresh at v->current; v itself is only their pattern. */
static bool print_nodes(struct eval *v, const struct node *n)
{
    for (; n; n = n->next) {
        struct eval one = { .root = v->root, .current = v->current, .visits = v->visits, .e = v->e, .out = v->out };
        one.found = n->kind == NODE_RANGE ? print_body : print_value;
        one.body = n->body;
        if (n->kind == NODE_TEXT) buf_str(v->out, n->text);
        else walk_path(&one, &n->path);
        if (one.failed) return false;
    }
    return true;
}

int jsonpath_print(const struct jsonpath *p, const struct json *root, struct buf *out, struct kr_err *e)
{
    int64_t visits = LIMIT_JSONPATH_VISITS;
    struct eval v = { .root = root, .current = root, .visits = &visits, .e = e, .out = out };
    if (!print_nodes(&v, p->nodes)) return -1;
    if (out->failed) return kr_fail(e, KR_TOO_LARGE, "jsonpath: the output is larger than %zu bytes", out->max);
    return 0;
}

void jsonpath_print_column(const struct jsonpath *p, const struct json *root, struct buf *out)
{
    int64_t visits = LIMIT_JSONPATH_VISITS;
    struct kr_err e;
    struct eval v = { .root = root, .current = root, .found = print_value, .lenient = true, .visits = &visits, .e = &e, .out = out, .between = ',' };
    for (const struct node *n = p->nodes; n; n = n->next)
        if (n->kind == NODE_PATH) walk_path(&v, &n->path);
}

const struct json *jsonpath_first(const struct jsonpath *p, const struct json *root)
{
    int64_t visits = LIMIT_JSONPATH_VISITS;
    struct kr_err e;
    struct eval v = { .root = root, .current = root, .found = take_first, .lenient = true, .visits = &visits, .e = &e };
    if (!p->nodes || p->nodes->kind != NODE_PATH || p->nodes->next) return NULL;
    walk_path(&v, &p->nodes->path);
    return v.first;
}
