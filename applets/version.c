/* SPDX-License-Identifier: Apache-2.0 */
/* version: what this binary is: one number on one line, for people and for scripts. */
#include "core/applet.h"
#include "core/version.h"

static int run(struct applet_call *c, struct kr_err *e)
{
    (void)c;
    AUTO_BUF struct buf line = { .max = 256 };
    buf_fmt(&line, "%s\n", kr_version);
    return applet_print(buf_view(&line), e);
}

const struct applet applet_version = { .name = "version", .group = APPLET_TOOL, .brief = "what this binary is", .main = run };
