/* SPDX-License-Identifier: Apache-2.0 */
/*
 * which: which objects a verb is about: their names, "@latest", selectors, phases.
 */
#ifndef APPLETS_CLI_WHICH_H
#define APPLETS_CLI_WHICH_H
#include "applets/cli/cli.h"

extern const struct opt cli_phase_opts[];         /* --phase, for lists of kinds that have phases */
extern const struct opt cli_named_opts[];         /* --selector, for verbs about names (cli_named) */
/* Puts --phase into the field selector. What has no status yet is Pending, so the terms say which phases are not wanted. */
int cli_phases(const struct kube_resource *, struct kr_err *);
/* Each "@latest" among the names becomes the name of the newest in the namespace. */
int cli_latest(struct cli *, const struct kube_resource *, struct str *names, size_t n, struct kr_err *);
/* cli_open, and that with the first words of the command line. */
int cli_open_latest(struct cli *, const struct kube_resource *, struct applet_call *, size_t words, struct kr_err *);
/* What a verb is about: its words, or with --selector what has the labels now, the oldest first. Freed with the arena. */
struct cli_named { struct str *v; size_t n; struct arena arena; };
/* Opens the connection too (cli_open), and closes it when the names can't be had. */
int cli_open_named(struct cli *, const struct kube_resource *, const struct applet_call *, struct cli_named *, struct kr_err *);
void cli_named_free(struct cli_named *);
#endif
