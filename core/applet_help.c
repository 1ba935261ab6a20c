/* SPDX-License-Identifier: Apache-2.0 */
/* applet_help: the help pages, from the same tables that parsing reads. */
#include "core/applet.h"
#include "core/version.h"
#include <stdio.h>

static void list(const struct applet *const *all, int group, struct buf *b)
{
    for (; *all; all++)
        if (!(*all)->hidden && (group < 0 || (int)(*all)->group == group))
            buf_fmt(b, "  %-14s %s\n", (*all)->name, (*all)->brief);
}

static void whole_program(const char *prog, struct buf *b)
{
    static const char *const headings[] = { "Work", "Components", "Tools" };
    buf_fmt(b, "kruntimes %s: short pieces of work on pods that already run\n\nusage: %s APPLET [VERB] [OPTION…] [ARGUMENT…]\n", kr_version, prog);
    for (int g = 0; g < 3; g++) {
        buf_fmt(b, "\n%s\n", headings[g]);
        list(applet_all(), g, b);
    }
    buf_fmt(b, "\n%s APPLET --help says more. A first try: %s local run -f manifests/samples/hello.yaml\n", prog, prog);
}

static void examples(const struct applet *a, struct buf *b)
{
    if (!a->examples)
        return;
    struct str rest = str_of(a->examples);
    buf_lit(b, "\nexamples\n");
    while (rest.n)
        buf_fmt(b, "  kruntimes %.*s\n", SFMT(str_cut(&rest, '\n')));
}

void applet_help(const struct applet *a, const char *prog, size_t width, struct buf *b)
{
    if (!a) {
        whole_program(prog, b);
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
        list(a->verbs, -1, b);
    }
    if (tables[0]) {
        buf_lit(b, "\noptions\n");
        opt_help(tables, width, b);
    }
    examples(a, b);
}
