/* SPDX-License-Identifier: Apache-2.0 */
/* kruntimes: finds the applet by argv[0] or the first word; nothing else is here. */
#include "core/applet.h"

#define APPLET(name) extern const struct applet applet_##name;
#include "cmd/applets.def"
#undef APPLET

static const struct applet *const applets[] = {
#define APPLET(name) &applet_##name,
#include "cmd/applets.def"
#undef APPLET
    NULL };

int main(int argc, char **argv) { return applet_main(applets, argc, argv); }
