/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ignore: patterns are cut at slashes, and names matched one by one; both matchers go back to the last star only, so no pattern
 * takes longer than its length times the path's. Not here: core.excludesFile, which is in a user's settings of git.
 * Tests: tests/unit/applets/ignore.c
 */
#include "applets/cli/ignore.h"
#include <ctype.h>

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static struct str trimmed(struct str line)
{
    while (line.n && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == '\t'))
        line.n--;
    while (line.n && line.p[line.n - 1] == ' ' && !(line.n > 1 && line.p[line.n - 2] == '\\'))
        line.n--;
    return line;
}

static bool read_line(struct str line, struct ignore_rule *r)
{
    *r = (struct ignore_rule){ 0 };
    if (!line.n || *line.p == '#')
        return false;
    if (*line.p == '!') {
        r->take = true;
        line = str_from(line, 1);
    }
    if (line.n && line.p[line.n - 1] == '/') {
        r->folders = true;
        line.n--;
    }
    r->anchored = str_chr(line, '/') >= 0;
    r->pattern = line.n && *line.p == '/' ? str_from(line, 1) : line;
    return r->pattern.n > 0;
}

struct ignore *ignore_read(const struct ignore *above, struct str text, struct arena *a)
{
    size_t lines = 1;
    for (size_t i = 0; i < text.n; i++)
        lines += text.p[i] == '\n';
    struct ignore *g = arena_new(a, struct ignore);
    struct str own = arena_str(a, text);
    if (!g || !(g->rules = arena_alloc(a, lines * sizeof *g->rules)))
        return NULL;
    g->above = above;
    if (str_starts(own, S("\xef\xbb\xbf")))      /* a byte-order mark, as some editors write it */
        own = str_from(own, 3);
    while (own.n)
        g->n += read_line(trimmed(str_cut(&own, '\n')), &g->rules[g->n]);
    return g;
}

/* ---- one name ---------------------------------------------------------------------------------------------------- */

static bool in_class(struct str word, unsigned char c)
{
    static const struct { const char *name; int (*is)(int); } classes[] = {
        { "alnum", isalnum }, { "alpha", isalpha }, { "blank", isblank }, { "cntrl", iscntrl }, { "digit", isdigit }, { "graph", isgraph },
        { "lower", islower }, { "print", isprint }, { "punct", ispunct }, { "space", isspace }, { "upper", isupper }, { "xdigit", isxdigit } };
    for (size_t i = 0; i < LEN(classes); i++)
        if (str_is(word, classes[i].name))
            return classes[i].is(c) != 0;
    return false;
}

/* "[…]" at p.p[at]: whether it has c; *end is behind it. Without its end it is a plain bracket. */
static bool bracket(struct str p, size_t at, unsigned char c, size_t *end, bool *closed)
{
    size_t i = at + 1;
    bool negated = i < p.n && (p.p[i] == '!' || p.p[i] == '^'), has = false;
    i += negated;
    *closed = false;
    for (size_t first = i; i < p.n; i++) {
        unsigned char low = (unsigned char)p.p[i];
        if (low == ']' && i > first) {
            *closed = true;
            *end = i + 1;
            return has != negated;
        }
        ptrdiff_t stop = low == '[' && i + 1 < p.n && p.p[i + 1] == ':' ? str_find(str_from(p, i), S(":]")) : -1;
        if (stop > 1) {
            has |= in_class((struct str){ p.p + i + 2, (size_t)stop - 2 }, c);
            i += (size_t)stop + 1;
            continue;
        }
        if (low == '\\' && i + 1 < p.n)
            low = (unsigned char)p.p[++i];
        unsigned char high = low;
        if (i + 2 < p.n && p.p[i + 1] == '-' && p.p[i + 2] != ']') {
            high = (unsigned char)p.p[i + 2];
            i += 2;
        }
        has |= c >= low && c <= high;
    }
    return false;
}

/* Whether the pattern's next step takes c; *next is behind that step. */
static bool takes(struct str p, size_t at, unsigned char c, size_t *next)
{
    bool closed, has;
    *next = at + 1;
    if (p.p[at] == '?')
        return true;
    if (p.p[at] == '[' && (has = bracket(p, at, c, next, &closed), closed))
        return has;
    *next = at + 1;
    if (p.p[at] == '\\' && at + 1 < p.n)
        at++, *next = at + 1;
    return (unsigned char)p.p[at] == c;
}

static bool name_matches(struct str p, struct str s)
{
    size_t i = 0, k = 0, star = SIZE_MAX, from = 0, next;
    while (k < s.n) {
        if (i < p.n && p.p[i] == '*') {
            star = ++i;
            from = k;
        } else if (i < p.n && takes(p, i, (unsigned char)s.p[k], &next)) {
            i = next;
            k++;
        } else if (star != SIZE_MAX) {
            i = star;
            k = ++from;
        } else {
            return false;
        }
    }
    while (i < p.n && p.p[i] == '*')
        i++;
    return i == p.n;
}

/* ---- paths ------------------------------------------------------------------------------------------------------- */

static bool path_matches(struct str pattern, const struct str *parts, size_t n)
{
    struct str rest = pattern, again = { 0 };
    size_t k = 0, from = 0;
    bool deep = false;
    for (;;) {
        struct str before = rest, part = str_cut(&rest, '/');
        if (before.n && str_is(part, "**")) {
            if (!rest.n)
                return k < n;                     /* all that is in it, not itself */
            deep = true;
            again = rest;
            from = k;
        } else if (before.n && k < n && name_matches(part, parts[k])) {
            k++;
            if (!rest.n && k == n)
                return true;
        } else if (deep && from < n) {
            rest = again;
            k = ++from;
        } else {
            return false;
        }
    }
}

static bool rule_has(const struct ignore_rule *r, const struct str *parts, size_t n, bool folder)
{
    if (r->folders && !folder)
        return false;
    return r->anchored ? path_matches(r->pattern, parts, n) : name_matches(r->pattern, parts[n - 1]);
}

bool ignore_has(const struct ignore *g, const struct str *parts, size_t n, size_t depth, bool folder)
{
    for (; g; g = g->above, depth -= depth > 0)
        for (size_t i = g->n; i-- > 0;)
            if (rule_has(&g->rules[i], parts + depth, n - depth, folder))
                return !g->rules[i].take;
    return false;
}
