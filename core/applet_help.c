/* SPDX-License-Identifier: Apache-2.0 */
/*
 * applet_help: the help pages, from the same tables that parsing reads: what is shown is what is taken. Deliberately not
 * here: anything about the terminal, which the caller knows. Tests: tests/unit/core/applet.c.
 */
#include "core/applet.h"
#include "core/version.h"
#include <stdio.h>

enum { BRIEF_AT = 17 };      /* column */

static void list(const struct applet *const *all, int group, size_t width, struct buf *b)
{
    for (; *all; all++)
        if (!(*all)->hidden && (group < 0 || (int)(*all)->group == group)) {
            AUTO_BUF struct buf brief = { .max = 4096 };
            opt_wrap(str_of((*all)->brief), BRIEF_AT, width, &brief);
            buf_fmt(b, "  %-14s %.*s", (*all)->name, SFMT(str_from(buf_view(&brief), BRIEF_AT)));
        }
}

static void whole_program(const char *prog, size_t width, struct buf *b)
{
    static const char *const headings[] = { "Work", "Components", "Tools" };
    buf_fmt(b, "kruntimes %s: short pieces of work on pods that already run\n\n", kr_version);
    buf_fmt(b, "usage: %s APPLET [VERB] [OPTION…] [ARGUMENT…]\n", prog);
    for (int g = 0; g < (int)LEN(headings); g++) {
        AUTO_BUF struct buf rows = { .max = 16384 };
        list(applet_all(), g, width, &rows);
        if (rows.n)
            buf_fmt(b, "\n%s\n%s", headings[g], rows.p);
    }
    buf_fmt(b, "\n%s APPLET --help says more.\n", prog);
    if (applet_find(applet_all(), S("local")))
        buf_fmt(b, "A first try: %s local run -f manifests/samples/hello.yaml\n", prog);
}

/* By the name it was called: "kubectl kruntimes run list". */
static void examples(const struct applet *a, const char *prog, struct buf *b)
{
    struct str called = str_starts(str_of(prog), S("kubectl kruntimes")) ? S("kubectl kruntimes") : str_starts(str_of(prog), S("krt ")) ? S("krt") : S("kruntimes");
    if (!a->examples)
        return;
    struct str rest = str_of(a->examples);
    buf_lit(b, "\nexamples\n");
    while (rest.n) {
        struct str line = str_cut(&rest, '\n');
        buf_fmt(b, "  %.*s %.*s\n", SFMT(called), SFMT(line));
    }
}

void applet_help(const struct applet *a, const char *prog, size_t width, struct buf *b)
{
    if (!a) {
        whole_program(prog, width, b);
        return;
    }
    const struct opt *tables[APPLET_TABLES + 1];
    applet_tables(a, tables);
    buf_fmt(b, "%s: %s\n\nusage: %s%s%s%s\n", prog, a->brief, prog, a->verbs ? " VERB [OPTION…]" : tables[0] ? " [OPTION…]" : "",
            a->args ? " " : "", a->args ? a->args : "");
    if (a->help) {
        buf_byte(b, '\n');
        opt_wrap(str_of(a->help), 0, width, b);
    }
    if (a->verbs) {
        buf_lit(b, "\nverbs\n");
        list(a->verbs, -1, width, b);
    }
    if (tables[0]) {
        buf_lit(b, "\noptions\n");
        opt_help(tables, width, b);
    }
    examples(a, prog, b);
}
