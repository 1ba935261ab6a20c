/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow_template: text with ${{ }}. An expression ends at the first }} that is in no string and in no braces of its own.
 * Names with a dash in them are spelled as CEL wants them before it sees them. Tests: tests/unit/crds/flow.c
 */
#include "crds/flow.h"

static bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

/* Behind the string that begins at i, or the end of the text. */
static size_t skip_string(struct str s, size_t i)
{
    char q = s.p[i];
    bool raw = i && (s.p[i - 1] | 32) == 'r' && !(i > 1 && is_word(s.p[i - 2]));
    bool triple = i + 2 < s.n && s.p[i + 1] == q && s.p[i + 2] == q;
    for (i += triple ? 3 : 1; i < s.n; i++) {
        if (s.p[i] == '\\' && !raw)
            i++;
        else if (s.p[i] == q && (!triple || (i + 2 < s.n && s.p[i + 1] == q && s.p[i + 2] == q)))
            return i + (triple ? 3 : 1);
    }
    return s.n;
}

/* Offset of the }} that ends the expression which begins at i; -1 when nothing does. */
static ptrdiff_t end_of(struct str s, size_t i)
{
    for (size_t braces = 0; i < s.n;) {
        char c = s.p[i];
        if (c == '\'' || c == '"') {
            i = skip_string(s, i);
            continue;
        }
        if (c == '}' && !braces)
            return i + 1 < s.n && s.p[i + 1] == '}' ? (ptrdiff_t)i : -1;
        braces += c == '{';
        braces -= c == '}';
        i++;
    }
    return -1;
}

int flow_parts(struct str text, struct arena *a, struct flow_part **parts, size_t *n, struct kr_err *e)
{
    size_t most = 1, at = 0;
    for (ptrdiff_t k; (k = str_find(str_from(text, at), S("${{"))) >= 0; at += (size_t)k + 3)
        most += 2;
    struct flow_part *v = arena_alloc(a, most * sizeof *v);
    if (!v)
        return kr_fail(e, KR_TOO_LARGE, "too many expressions");
    *n = at = 0;
    for (ptrdiff_t k; (k = str_find(str_from(text, at), S("${{"))) >= 0;) {
        size_t begin = at + (size_t)k + 3;
        ptrdiff_t end = end_of(text, begin);
        if (end < 0)
            return kr_fail(e, KR_INVALID, "at %zu: \"${{\" is not closed by \"}}\"", begin - 2);
        if (k)
            v[(*n)++] = (struct flow_part){ { text.p + at, (size_t)k }, false, at };
        v[(*n)++] = (struct flow_part){ { text.p + begin, (size_t)end - begin }, true, begin };
        at = (size_t)end + 2;
    }
    if (at < text.n)
        v[(*n)++] = (struct flow_part){ str_from(text, at), false, at };
    *parts = v;
    return 0;
}

int flow_condition(struct str text, struct arena *a, struct str *expression, struct kr_err *e)
{
    struct flow_part *parts;
    size_t n;
    if (flow_parts(text, a, &parts, &n, e) < 0)
        return -1;
    *expression = text;
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].is_expr)
            *expression = parts[i].text;
        used += parts[i].is_expr || str_trim(parts[i].text).n;
    }
    return used <= 1 ? 0 : kr_fail(e, KR_INVALID, "must be one expression, with or without \"${{ }}\" around it");
}

bool flow_asks_status(struct str x)
{
    static const char *const names[] = { "success", "failure", "always", "cancelled" };
    for (size_t i = 0; i < x.n;) {
        if (x.p[i] == '\'' || x.p[i] == '"') {
            i = skip_string(x, i);
            continue;
        }
        size_t n = 0;
        while (i + n < x.n && is_word(x.p[i + n]))
            n++;
        if (n && !(i && x.p[i - 1] == '.') && str_starts(str_trim(str_from(x, i + n)), S("(")))      /* as in CEL */
            for (size_t k = 0; k < LEN(names); k++)
                if (str_is((struct str){ x.p + i, n }, names[k]))
                    return true;
        i += n ? n : 1;
    }
    return false;
}

/* ---- names with dashes --------------------------------------------------------------------------------------------- */

struct spelling { struct buf b, at; };            /* at: offsets in the new text at which a dash became seven bytes more, as size_t */

/* Copies the name at i; after the roots below a dash between letters belongs to it. Returns what stands behind it. */
static size_t copy_name(struct spelling *s, struct str x, size_t i, bool dashes)
{
    for (; i < x.n; i++) {
        bool dash = dashes && x.p[i] == '-' && i + 1 < x.n && is_word(x.p[i + 1]) && i && is_word(x.p[i - 1]);
        if (dash) {
            buf_add(&s->at, &s->b.n, sizeof s->b.n);
            buf_lit(&s->b, "__dash__");
        } else if (is_word(x.p[i])) {
            buf_byte(&s->b, x.p[i]);
        } else {
            break;
        }
    }
    return i;
}

static void spell(struct spelling *s, struct str x)
{
    static const char *const roots[] = { "steps", "jobs", "matrix", "env" };
    bool inside = false;                          /* in a chain of names that began with a root */
    for (size_t i = 0; i < x.n;) {
        char c = x.p[i];
        if (c == '\'' || c == '"') {
            size_t end = skip_string(x, i);
            buf_add(&s->b, x.p + i, end - i);
            i = end;
            inside = false;
        } else if (is_word(c)) {
            bool member = i && x.p[i - 1] == '.';
            size_t from = s->b.n, next = copy_name(s, x, i, inside && member);
            if (!member) {
                inside = false;
                for (size_t k = 0; k < LEN(roots); k++)
                    inside |= str_is((struct str){ s->b.p + from, s->b.n - from }, roots[k]);
            }
            i = next;
        } else {
            inside &= c == '.';
            buf_byte(&s->b, c);
            i++;
        }
    }
}

/* "at N: …" of the text that CEL saw, as of the one that was written. */
static void move_back(const struct spelling *s, struct kr_err *e)
{
    struct kr_err old = *e;
    struct str rest = str_of(old.msg), word = str_cut(&rest, ':');
    int64_t at, moved;
    if (!str_starts(word, S("at ")) || !str_i64(str_from(word, 3), &at))
        return;
    moved = at;
    for (size_t i = 0, dash; i < s->at.n; i += sizeof dash) {
        memcpy(&dash, s->at.p + i, sizeof dash);
        if ((int64_t)dash + 8 < at)
            moved -= 7;
    }
    kr_fail(e, old.code, "at %lld:%.*s", (long long)moved, SFMT(rest));
}

struct expr *flow_compile(const struct flow_scope *scope, struct str text, struct arena *a, struct flow_env *env, struct kr_err *e)
{
    struct spelling s = { .b = { .max = LIMIT_EXPR_TEXT }, .at = { .max = LIMIT_EXPR_TEXT } };
    spell(&s, text);
    flow_env_of(scope, a, env);
    struct expr *x = s.b.failed ? (kr_fail(e, KR_TOO_LARGE, "the expression is too long"), NULL) : expr_compile(buf_view(&s.b), &env->env, e);
    if (!x)
        move_back(&s, e);
    buf_free(&s.b);
    buf_free(&s.at);
    return x;
}
