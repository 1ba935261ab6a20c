/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crd-gen: prints the CustomResourceDefinitions, or the reference page, from the tables in crds/. What the repository
 * keeps of them is checked against this output; nothing here reads a file or speaks to a server.
 */
#include "core/applet.h"
#include "core/model_crd.h"
#include "crds/crds.h"

static bool markdown;
static const struct opt opts[] = {
    { .name = "markdown", .type = OPT_FLAG, .to = &markdown, .help = "print the reference page instead" },
    { 0 },
};

static int crd_gen_main(struct applet_call *c, struct kr_err *e)
{
    AUTO_BUF struct buf out = { .max = LIMIT_FILE_INPUT };
    const struct model_type *wanted = c->nargs ? crd_find(c->args[0]) : NULL;
    if (c->nargs && !wanted)
        return kr_fail(e, KR_USAGE, "'%.*s' is not one of run, runtime, workflow", SFMT(c->args[0]));
    if (markdown && !wanted)
        buf_lit(&out, "# API reference\n\n<!-- Generated from crds/*.def; do not edit. -->\n\n"
                      "Every field of our kinds, as the server checks it.\n");
    for (const struct model_type *const *t = crd_types; *t; t++) {
        if (wanted && wanted != *t)
            continue;
        if (out.n)
            buf_lit(&out, markdown ? "\n" : "---\n");
        if (markdown)
            model_crd_markdown(*t, &out);
        else
            model_crd_yaml(*t, &out);
    }
    return applet_print(buf_view(&out), e);
}

const struct applet applet_crd_gen = {
    .name = "crd-gen", .brief = "print the CustomResourceDefinitions", .group = APPLET_TOOL,
    .args = "[run|runtime|workflow]", .max_args = 1, .opts = opts, .main = crd_gen_main,
    .help = "Without a kind all three are printed. The output goes to `kubectl apply --server-side -f -`.",
};
