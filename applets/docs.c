/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs: the reference pages as Markdown, from the tables that the program itself reads: applets and options as parsing and
 * --help see them, metrics as they are scraped, limits, exit statuses, conditions and reasons. docs/reference.md is made of this output and checked
 * against it (tests/lint/generated). Deliberately not here: prose. Tests: tests/unit/applets/tables.c.
 */
#include "core/applet.h"
#include "core/metrics.h"

/* ---- Markdown ---------------------------------------------------------------------------------------------------- */

/* Text of a table's cell: a bar would end it, a bracket could begin a tag. */
static void put_cell(struct str s, struct buf *b)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '|')
            buf_lit(b, "\\|");
        else if (s.p[i] == '<')
            buf_lit(b, "&lt;");
        else
            buf_byte(b, s.p[i] == '\n' ? ' ' : s.p[i]);
}

/* The same in a code span; nothing for nothing. */
static void put_code(struct str s, struct buf *b)
{
    if (!s.n)
        return;
    buf_byte(b, '`');
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '|')
            buf_lit(b, "\\|");
        else
            buf_byte(b, s.p[i]);
    buf_byte(b, '`');
}

static void next_cell(struct buf *b) { buf_lit(b, " | "); }

/* ---- applets and options ----------------------------------------------------------------------------------------- */

static void applet_row(const struct applet *a, const char *path, struct buf *b)
{
    buf_lit(b, "| ");
    put_code(str_of(path), b);
    next_cell(b);
    put_code(str_of(a->args ? a->args : ""), b);
    next_cell(b);
    put_cell(str_of(a->brief), b);
    for (const char *const *alias = a->aliases; alias && *alias; alias++)
        buf_fmt(b, "%s`%s`", alias == a->aliases ? "; also " : ", ", *alias);
    buf_lit(b, " |\n");
}

static void option_row(const struct opt *o, struct buf *b)
{
    AUTO_BUF struct buf def = { .max = 512 }, name = { .max = 256 };
    if (o->letter)
        buf_fmt(&name, "-%c, ", o->letter);
    buf_fmt(&name, "--%s", o->name);
    if (o->type != OPT_FLAG)
        buf_fmt(&name, " %s", o->arg ? o->arg : "VALUE");
    buf_lit(b, "| ");
    put_code(buf_view(&name), b);
    next_cell(b);
    put_cell(str_of(o->help), b);
    for (int i = 0; o->type == OPT_ENUM && o->words[i]; i++)
        buf_fmt(b, "%s`%s`", i ? ", " : ": ", o->words[i]);
    if (o->type == OPT_INT && (o->lo || o->hi))
        buf_fmt(b, " (%lld…%lld)", (long long)o->lo, (long long)o->hi);
    next_cell(b);
    opt_default_text(o, &def);
    if (o->required)
        buf_lit(b, "needed");
    else
        put_code(buf_view(&def), b);
    next_cell(b);
    put_code(str_of(o->env ? o->env : ""), b);
    buf_lit(b, " |\n");
}

static void option_table(const struct applet *a, const char *path, struct buf *b)
{
    const struct opt *tables[APPLET_TABLES + 1];
    bool begun = false;
    applet_tables(a, tables);
    for (const struct opt *const *t = tables; *t; t++)
        for (const struct opt *o = *t; o->name; o++) {
            if (o->hidden || opt_find(tables, str_of(o->name)) != o)
                continue;
            if (!begun)
                buf_fmt(b, "%s### kruntimes %s\n\n| option | meaning | default | variable |\n|---|---|---|---|\n", b->n ? "\n" : "", path);
            begun = true;
            option_row(o, b);
        }
}

static void each(const struct applet *const *list, struct str above, void (*fn)(const struct applet *, const char *, struct buf *),
                 struct buf *b)
{
    for (; list && *list; list++) {
        AUTO_BUF struct buf path = { .max = 256 };
        if ((*list)->hidden)
            continue;
        buf_fmt(&path, "%.*s%s%s", SFMT(above), above.n ? " " : "", (*list)->name);
        fn(*list, path.p, b);
        each((*list)->verbs, buf_view(&path), fn, b);
    }
}

static void applets(struct buf *b)
{
    buf_lit(b, "| command | arguments | what it does |\n|---|---|---|\n");
    each(applet_all(), S(""), applet_row, b);
}

static void options(struct buf *b) { each(applet_all(), S(""), option_table, b); }

/* ---- metrics, limits, exit statuses ------------------------------------------------------------------------------ */

static void metrics(struct buf *b)
{
    static const char *const types[] = { "counter", "gauge", "histogram" };
    static const char *const groups[] = { "each", "each that talks to an API server", "scheduler", "controller", "runtimed",
                                          "runtime-server", "apiserver" };
    _Static_assert(LEN(groups) == METRICS_GROUPS, "a name for each group");
    buf_lit(b, "| metric | type | label | meaning | of |\n|---|---|---|---|---|\n");
    for (int m = 0; m < METRIC_COUNT; m++) {
        const struct metric_def *d = &metric_defs[m];
        buf_fmt(b, "| `%s` | %s | ", d->name, types[d->type]);
        if (d->by_runtime)
            buf_fmt(b, "`runtime_namespace`, `runtime`%s", d->label ? "; " : "");
        if (d->label)
            buf_fmt(b, "`%s`: %s", d->label, d->words);
        buf_fmt(b, " | %s | %s |\n", d->help, groups[d->group]);
    }
}

static void limits(struct buf *b)
{
    static const struct { const char *name; long long value; const char *who, *then; } rows[] = {
#define LIMIT(name, value, who, then) { #name, value, who, then },
#include "core/limits.def"
#undef LIMIT
    };
    buf_lit(b, "| limit | value | who pushes against it | what happens then |\n|---|---|---|---|\n");
    for (size_t i = 0; i < LEN(rows); i++) {
        buf_fmt(b, "| %s | %lld | %s | ", rows[i].name, rows[i].value, rows[i].who);
        put_cell(str_of(rows[i].then), b);
        buf_lit(b, " |\n");
    }
}

/* Codes that share an exit status share a row: all a script can see is the number. */
static void exits(struct buf *b)
{
    buf_lit(b, "| exit status | meaning |\n|---|---|\n");
    for (int status = 0; status < 256; status++) {
        const char *between = "";
        for (int c = 0; c < KR_CODE_COUNT; c++) {
            if (kr_codes[c].exit != status)
                continue;
            if (!*between)
                buf_fmt(b, "| %d | ", status);
            buf_fmt(b, "%s%s", between, kr_codes[c].meaning);
            between = "; ";
        }
        if (*between)
            buf_lit(b, " |\n");
    }
    buf_lit(b, "| a Run's own | of a command that waits for a Run or Workflow (`--wait`, `--follow`, `wait`, `local run`); what isn't a Run's is 120 to 125 there |\n");
#define EXIT(name, status, meaning) buf_lit(b, "| " #status " | " meaning " |\n");
#include "crds/exits.def"
#undef EXIT
}

/* ---- conditions, reasons, events --------------------------------------------------------------------------------- */

struct said { const char *what, *of, *name, *meaning; };
static const struct said said[] = {
#define CONDITION(of, type, meaning) { "condition", of, type, meaning },
#define REASON(of, reason, meaning) { "reason", of, reason, meaning },
#define EVENT(about, reason, meaning) { "event", about, reason, meaning },
#include "crds/reasons.def"
#undef CONDITION
#undef REASON
#undef EVENT
};

static void put_said(struct buf *b, const char *what)
{
    buf_fmt(b, "| of | %s | meaning |\n|---|---|---|\n", what);
    for (size_t i = 0; i < LEN(said); i++)
        if (!strcmp(said[i].what, what)) {
            buf_fmt(b, "| %s | `%s` | ", said[i].of, said[i].name);
            put_cell(str_of(said[i].meaning), b);
            buf_lit(b, " |\n");
        }
}

static void conditions(struct buf *b) { put_said(b, "condition"); }
static void reasons(struct buf *b) { put_said(b, "reason"); }
static void events(struct buf *b) { put_said(b, "event"); }

static int run(struct applet_call *c, struct kr_err *e)
{
    static const struct { const char *name; void (*write)(struct buf *); } pages[] = {
        { "applets", applets }, { "options", options }, { "metrics", metrics }, { "limits", limits }, { "exits", exits },
        { "conditions", conditions }, { "reasons", reasons }, { "events", events } };
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    for (size_t i = 0; i < LEN(pages); i++)
        if (str_is(c->args[0], pages[i].name)) {
            pages[i].write(&b);
            if (b.failed)
                return kr_fail(e, KR_TOO_LARGE, "the page is larger than %d bytes", 1 << 20);
            return applet_print(buf_view(&b), e);
        }
    return kr_fail(e, KR_USAGE, "\"%.*s\" is none of applets, options, metrics, limits, exits, conditions, reasons, events", SFMT(c->args[0]));
}

const struct applet applet_docs = {
    .name = "docs", .brief = "print a reference page as Markdown", .group = APPLET_TOOL, .hidden = true,
    .args = "applets|options|metrics|limits|exits|conditions|reasons|events", .min_args = 1, .max_args = 1, .main = run };
