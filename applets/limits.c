/* SPDX-License-Identifier: Apache-2.0 */
/* limits: every limit on what comes from outside, as core/limits.def has it, in a table. */
#include "core/applet.h"

static const struct { const char *name; long long value; const char *who, *then; } rows[] = {
#define LIMIT(name, value, who, then) { #name, value, who, then },
#include "core/limits.def"
#undef LIMIT
};

static int run(struct applet_call *c, struct kr_err *e)
{
    (void)c;
    AUTO_BUF struct buf b = { .max = 65536 };
    buf_fmt(&b, "%-24s %12s  %-16s %s\n", "LIMIT", "VALUE", "WHO PUSHES", "WHAT HAPPENS THEN");
    for (size_t i = 0; i < LEN(rows); i++)
        buf_fmt(&b, "%-24s %12lld  %-16s %s\n", rows[i].name, rows[i].value, rows[i].who, rows[i].then);
    return applet_print(buf_view(&b), e);
}

const struct applet applet_limits = { .name = "limits", .group = APPLET_TOOL, .brief = "every limit on what comes from outside", .main = run };
