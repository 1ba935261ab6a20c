/* SPDX-License-Identifier: Apache-2.0 */
/* outputs: see outputs.h. Reading the file (bounded, no links followed) is exec.c's. Tests: tests/unit/applets/runtimed_outputs.c */
#include "applets/runtimed/outputs.h"

struct reader { struct str rest; size_t line; };

static struct str next_line(struct reader *r)
{
    r->line++;
    return str_cut(&r->rest, '\n');
}

/* Everything up to the line that is `word` alone, its line ends included but for the last. */
static int several_lines(struct reader *r, struct str key, struct str word, struct str *value, struct kr_err *e)
{
    const char *from = r->rest.p;
    size_t opened = r->line;
    while (r->rest.p) {
        struct str line = next_line(r);
        if (!str_eq(line, word)) continue;
        *value = (struct str){ from, (size_t)(line.p - from) };
        if (value->n) value->n--;
        return 0;
    }
    return kr_fail(e, KR_INVALID, "line %zu: \"%.*s<<%.*s\" is never closed by a line \"%.*s\"", opened, SFMT(key), SFMT(word), SFMT(word));
}

static int put(struct outputs *o, struct str key, struct str value, size_t line, struct kr_err *e)
{
    if (!key.n) return kr_fail(e, KR_INVALID, "line %zu: an output has no name", line);
    if (key.n > LIMIT_RUN_OUTPUT_KEY) return kr_fail(e, KR_TOO_LARGE, "line %zu: the name of an output has %zu bytes, at most %d are allowed", line, key.n, LIMIT_RUN_OUTPUT_KEY);
    if (value.n > LIMIT_RUN_OUTPUT_VALUE)
        return kr_fail(e, KR_TOO_LARGE, "line %zu: output \"%.*s\" has %zu bytes, at most %d are allowed; use an artifact for more", line, SFMT(key), value.n, LIMIT_RUN_OUTPUT_VALUE);
    if (!str_utf8(key) || !str_utf8(value) || memchr(key.p, 0, key.n) || (value.n && memchr(value.p, 0, value.n)))
        return kr_fail(e, KR_INVALID, "line %zu: an output is not text (UTF-8 without NUL)", line);
    for (size_t i = 0; i < o->n; i++)
        if (str_eq(o->v[i].key, key)) {
            o->v[i].value = value;
            return 0;
        }
    if (o->n == LEN(o->v)) return kr_fail(e, KR_TOO_LARGE, "line %zu: more than %d outputs", line, LIMIT_RUN_OUTPUT_KEYS);
    o->v[o->n++] = (struct output_pair){ key, value };
    return 0;
}

static int one_entry(struct outputs *o, struct reader *r, struct kr_err *e)
{
    struct str line = next_line(r), value;
    size_t at_line = r->line;
    if (!line.n) return 0;
    ptrdiff_t eq = str_chr(line, '='), here = str_find(line, S("<<"));
    if (here >= 0 && (eq < 0 || here < eq)) {
        struct str key = { line.p, (size_t)here }, word = str_from(line, (size_t)here + 2);
        if (!word.n) return kr_fail(e, KR_INVALID, "line %zu: \"<<\" needs a word behind it", at_line);
        return several_lines(r, key, word, &value, e) < 0 ? -1 : put(o, key, value, at_line, e);
    }
    if (eq < 0) return kr_fail(e, KR_INVALID, "line %zu: neither KEY=VALUE nor KEY<<WORD", at_line);
    return put(o, (struct str){ line.p, (size_t)eq }, str_from(line, (size_t)eq + 1), at_line, e);
}

int outputs_parse(struct outputs *out, struct str text, struct kr_err *e)
{
    struct outputs o = { .n = 0 };
    struct reader r = { text, 0 };
    size_t all = 0;
    while (r.rest.p && r.rest.n)
        if (one_entry(&o, &r, e) < 0) return -1;
    for (size_t i = 0; i < o.n; i++) all += o.v[i].key.n + o.v[i].value.n;
    if (all > LIMIT_RUN_OUTPUTS) return kr_fail(e, KR_TOO_LARGE, "the outputs have %zu bytes in all, at most %d are allowed; use artifacts for more", all, LIMIT_RUN_OUTPUTS);
    *out = o;
    return 0;
}
