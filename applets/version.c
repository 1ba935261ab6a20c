/* SPDX-License-Identifier: Apache-2.0 */
/* version: what this binary is: one number on one line, for people and for scripts. */
#include "core/applet.h"
#include "core/version.h"
#include <stdio.h>

static int run(struct applet_call *c, struct kr_err *e)
{
    (void)c;
    (void)e;
    printf("%s\n", kr_version);
    return 0;
}

const struct applet applet_version = { .name = "version", .group = APPLET_TOOL, .brief = "what this binary is", .main = run };
