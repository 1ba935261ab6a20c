/* SPDX-License-Identifier: Apache-2.0 */
/* user: `kruntimes local user add|list|delete`: people beside the admin, each with a kubeconfig of their own. */
#ifndef APPLETS_LOCAL_USER_H
#define APPLETS_LOCAL_USER_H
#include "core/applet.h"

/* The verbs; each takes the instance from --state-dir, which `dir_opts` declares. */
extern const struct applet local_user_applet;
/* The instance's folder as the command line has it; made by main.c. */
int local_state_dir(char out[4096], struct kr_err *);
extern const struct opt local_dir_opts[];
#endif
