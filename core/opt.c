/* SPDX-License-Identifier: Apache-2.0 */
/*
 * opt: parsing. Each word of the command line is taken once from left to right; what its table row says decides how. The
 * environment fills what was not given. Help and defaults are in opt_help.c; tests in tests/unit/core/opt.c.
 */
#include "core/opt.h"
#include "core/clock.h"
#include <stdio.h>

void opt_list_free(struct opt_list *l)
{
    free(l->v);
    *l = (struct opt_list){ 0 };
}

void opt_args_free(struct opt_args *a)
{
    free(a->v);
    *a = (struct opt_args){ 0 };
}

const struct opt *opt_find(const struct opt *const *tables, struct str name)
{
    for (; *tables; tables++)
        for (const struct opt *o = *tables; o->name; o++)
            if (str_is(name, o->name))
                return o;
    return NULL;
}

static const struct opt *find_letter(const struct opt *const *tables, char letter)
{
    for (; *tables; tables++)
        for (const struct opt *o = *tables; o->name; o++)
            if (o->letter && o->letter == letter)
                return o;
    return NULL;
}

bool opt_takes_next(const struct opt *const *tables, struct str word)
{
    const struct opt *o;
    if (str_starts(word, S("--"))) {
        o = opt_find(tables, str_from(word, 2));
        return o && o->type != OPT_FLAG;
    }
    for (size_t i = 1; i < word.n && word.p[0] == '-'; i++) {
        o = find_letter(tables, word.p[i]);
        if (!o || o->type != OPT_FLAG)
            return o && i + 1 == word.n;
    }
    return false;
}

/* ---- near misses ------------------------------------------------------------------------------------------------- */

/* Edit distance with transpositions (optimal string alignment), or `most` + 1 beyond it. */
static size_t distance(struct str a, struct str b, size_t most)
{
    enum { MAX = 48 };
    size_t row[3][MAX + 1];
    if (a.n > MAX || b.n > MAX)
        return most + 1;
    for (size_t j = 0; j <= b.n; j++)
        row[1][j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t *now = row[(i + 1) % 3], *was = row[i % 3], *before = row[(i + 2) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t cost = a.p[i - 1] != b.p[j - 1], d = was[j - 1] + cost;
            d = was[j] + 1 < d ? was[j] + 1 : d;
            d = now[j - 1] + 1 < d ? now[j - 1] + 1 : d;
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] && before[j - 2] + 1 < d)
                d = before[j - 2] + 1;
            now[j] = d;
        }
    }
    return row[(a.n + 1) % 3][b.n];
}

/* The same against the beginning of a longer word: "timout" of "timeoutSeconds". */
static bool begins_nearly(struct str word, struct str got)
{
    for (size_t n = got.n; n <= got.n + 1 && n < word.n; n++)
        if (distance(got, (struct str){ word.p, n }, 1) <= 1)
            return true;
    return false;
}

const char *opt_nearest(struct str got, const char *const *words, size_t n)
{
    size_t most = got.n < 4 ? 1 : got.n < 8 ? 2 : 3, best = most + 1;
    const char *found = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(got, str_of(words[i]), most);
        if (got.n >= 3 && str_starts(str_of(words[i]), got) && d > 1)
            d = 1;
        else if (got.n >= 5 && d > 2 && begins_nearly(str_of(words[i]), got))
            d = 2;
        if (d < best) {
            best = d;
            found = words[i];
        }
    }
    return found;
}

static bool is_also(const struct opt *o, struct str name)
{
    struct str words = str_of(o->also);
    while (words.n)
        if (str_eq(str_cut(&words, ' '), name))
            return true;
    return false;
}

static int unknown(const struct opt *const *tables, struct str name, struct kr_err *e)
{
    const char *words[256], *meant = NULL;
    size_t n = 0;
    for (; *tables; tables++)
        for (const struct opt *o = *tables; o->name && n < LEN(words); o++)
            if (!o->hidden) {
                words[n++] = o->name;
                meant = is_also(o, name) ? o->name : meant;
            }
    const char *near = meant ? meant : opt_nearest(name, words, n);
    if (near)
        return kr_fail(e, KR_USAGE, "unknown option \"--%.*s\": did you mean --%s?", SFMT(name), near);
    return kr_fail(e, KR_USAGE, "unknown option \"--%.*s\"", SFMT(name));
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static int set_enum(const struct opt *o, struct str v, const char *from, struct kr_err *e)
{
    AUTO_BUF struct buf list = { .max = 400 };
    for (int i = 0; o->words[i]; i++) {
        if (str_is(v, o->words[i])) {
            *(int *)o->to = i;
            return 0;
        }
        buf_fmt(&list, "%s%s", i ? ", " : "", o->words[i]);
    }
    return kr_fail(e, KR_USAGE, "%s: \"%.*s\" is none of %.*s", from, SFMT(v), SFMT(buf_view(&list)));
}

static int set_number(const struct opt *o, struct str v, const char *from, struct kr_err *e)
{
    int64_t n;
    bool time = o->type == OPT_DURATION;
    if (time ? !duration_parse(v, &n) : !str_i64(v, &n))
        return kr_fail(e, KR_USAGE, "%s: \"%.*s\" is no %s", from, SFMT(v), time ? "duration like 30s, 1m30s or 250ms" : "whole number");
    if ((o->lo || o->hi) && (n < o->lo || n > o->hi)) {
        if (time)
            return kr_fail(e, KR_USAGE, "%s: \"%.*s\" is out of range (%.10g s … %.10g s)", from, SFMT(v), (double)o->lo / 1e6,
                           (double)o->hi / 1e6);
        return kr_fail(e, KR_USAGE, "%s: %lld is out of range (%lld … %lld)", from, (long long)n, (long long)o->lo, (long long)o->hi);
    }
    *(int64_t *)o->to = n;
    return 0;
}

static int set(const struct opt *o, struct str v, const char *from, struct kr_err *e)
{
    int rc = 0;
    switch (o->type) {
    case OPT_FLAG:
        if (str_is(v, "true") || str_is(v, "1") || str_is(v, "yes"))
            *(bool *)o->to = true;
        else if (str_is(v, "false") || str_is(v, "0") || str_is(v, "no"))
            *(bool *)o->to = false;
        else
            rc = kr_fail(e, KR_USAGE, "%s: \"%.*s\" is neither true nor false", from, SFMT(v));
        break;
    case OPT_STR:
        *(struct str *)o->to = v;
        break;
    case OPT_INT:
    case OPT_DURATION:
        rc = set_number(o, v, from, e);
        break;
    case OPT_ENUM:
        rc = set_enum(o, v, from, e);
        break;
    case OPT_LIST: {
        struct opt_list *l = o->to;
        if (l->n == l->cap) {
            l->cap = l->cap ? l->cap * 2 : 8;
            l->v = xrealloc(l->v, l->cap * sizeof *l->v);
        }
        l->v[l->n++] = v;
        break;
    }
    }
    if (rc == 0 && o->given)
        *o->given = true;
    return rc;
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

struct parse {
    const struct opt *const *tables;
    int argc, i;
    char **argv;
    const struct opt *seen[128];
    size_t nseen;
};

static void mark(struct parse *p, const struct opt *o)
{
    if (p->nseen < LEN(p->seen))
        p->seen[p->nseen++] = o;
}

static bool is_seen(const struct parse *p, const struct opt *o)
{
    for (size_t i = 0; i < p->nseen; i++)
        if (p->seen[i] == o)
            return true;
    return false;
}

static int take_value(struct parse *p, const struct opt *o, const char *from, struct kr_err *e)
{
    if (p->i + 1 >= p->argc)
        return kr_fail(e, KR_USAGE, "%s needs a value: %s", from, o->arg ? o->arg : "VALUE");
    mark(p, o);
    return set(o, str_of(p->argv[++p->i]), from, e);
}

static int long_option(struct parse *p, struct str word, struct kr_err *e)
{
    char from[80];
    struct str rest = word, name = str_cut(&rest, '=');
    bool has_value = name.n < word.n;
    const struct opt *o = opt_find(p->tables, name);
    snprintf(from, sizeof from, "--%.*s", name.n < 70 ? (int)name.n : 70, name.p);
    if (!o && !has_value && str_starts(name, S("no-"))) {
        o = opt_find(p->tables, str_from(name, 3));
        if (o && o->type == OPT_FLAG) {
            mark(p, o);
            return set(o, S("false"), from, e);
        }
        o = NULL;
    }
    if (!o)
        return unknown(p->tables, name, e);
    if (has_value) {
        mark(p, o);
        return set(o, rest.p ? rest : S(""), from, e);
    }
    if (o->type == OPT_FLAG) {
        mark(p, o);
        return set(o, S("true"), from, e);
    }
    return take_value(p, o, from, e);
}

static int short_options(struct parse *p, struct str letters, struct kr_err *e)
{
    char from[3] = "-?";
    for (size_t i = 0; i < letters.n; i++) {
        const struct opt *o = find_letter(p->tables, letters.p[i]);
        from[1] = letters.p[i];
        if (!o)
            return kr_fail(e, KR_USAGE, "unknown option \"-%c\"", letters.p[i]);
        struct str rest = str_from(letters, i + 1);
        if (o->type == OPT_FLAG) {
            mark(p, o);
            if (set(o, S("true"), from, e) < 0)
                return -1;
            continue;
        }
        if (!rest.n)
            return take_value(p, o, from, e);
        mark(p, o);
        return set(o, rest.p[0] == '=' ? str_from(rest, 1) : rest, from, e);
    }
    return 0;
}

static int from_environment(const struct parse *p, struct kr_err *e)
{
    for (const struct opt *const *t = p->tables; *t; t++)
        for (const struct opt *o = *t; o->name; o++) {
            if (opt_find(p->tables, str_of(o->name)) != o)
                continue;                         /* a table before has the name */
            const char *v = o->env && !is_seen(p, o) ? getenv(o->env) : NULL;
            char from[80];
            bool given = is_seen(p, o) || (v && *v);
            snprintf(from, sizeof from, "$%s", o->env ? o->env : "");
            if (v && *v && set(o, str_of(v), from, e) < 0)
                return -1;
            if (o->required && !given)
                return kr_fail(e, KR_USAGE, "--%s is needed: %s", o->name, o->help);
        }
    return 0;
}

int opt_parse(const struct opt *const *tables, int argc, char **argv, unsigned flags, struct opt_args *ret, struct kr_err *e)
{
    struct parse p = { .tables = tables, .argc = argc, .argv = argv };
    struct opt_args a = { .v = xcalloc((size_t)argc + 1, sizeof *a.v) };
    bool options = true, dashed = false;
    int rc = 0;
    for (; p.i < argc && rc == 0; p.i++) {
        struct str word = str_of(argv[p.i]);
        if (options && str_is(word, "--")) {
            options = false;
            dashed = true;
            a.dash = a.n;
        } else if (options && str_starts(word, S("--"))) {
            rc = long_option(&p, str_from(word, 2), e);
        } else if (options && word.n > 1 && word.p[0] == '-') {
            rc = short_options(&p, str_from(word, 1), e);
        } else {
            a.v[a.n++] = word;
            if (flags & OPT_STOP_AT_ARG)
                options = false;
        }
    }
    if (!dashed)
        a.dash = a.n;
    if (rc == 0)
        rc = from_environment(&p, e);
    if (rc < 0) {
        opt_args_free(&a);
        return -1;
    }
    *ret = a;
    return 0;
}
