/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change: what verbs that write have in common: --dry-run, the form in which what was made is printed, and which objects are
 * meant, by name or by selectors.
 */
#ifndef APPLETS_CLI_CHANGE_H
#define APPLETS_CLI_CHANGE_H
#include "applets/cli/output.h"

extern const struct opt cli_dry_run_opts[];       /* --dry-run */
extern const struct opt cli_create_opts[];        /* --dry-run, --output */
extern const struct opt cli_target_opts[];        /* --selector, --field-selector, --older, --all, --dry-run */
bool cli_is_dry(void);                            /* nothing is changed */
bool cli_is_offline(void);                        /* --dry-run=client: nothing is sent either */
const char *cli_dry_suffix(void);                 /* " (dry run)", " (server dry run)" or "" */

/* ---- making ------------------------------------------------------------------------------------------------------ */

struct made { struct items items; enum cli_form form; struct str template; bool asked; };
int made_begin(struct made *, struct kr_err *);   /* reads --output */
/* Sends an object, or only looks at it, as --dry-run has it. *name: what the server called it, on the arena. Without --output the
 * line "run/x created" goes to `to` (NULL: nowhere) at once. */
int made_add(struct made *, struct cli *, const struct kube_resource *, struct str ns, struct str json, void *to, struct arena *, struct str *name, struct kr_err *);
int made_print(struct made *, struct kr_err *);   /* with --output: what was made, in that form; once */

/* ---- meaning ----------------------------------------------------------------------------------------------------- */

/* For each object that the words or the selectors name: `one`, until it fails. */
int cli_each(struct applet_call *, const struct kube_resource *, int (*one)(struct cli *, struct str name, struct kr_err *), struct kr_err *);
/* "run", of the resource runs. */
const char *cli_word(const struct kube_resource *);
/* DELETE or a merge patch of one, or whether it is there, as --dry-run has it; then the line "run/x DONE". */
int cli_change_one(struct cli *, const struct kube_resource *, struct str name, const char *method, struct str patch, const char *done, struct kr_err *);
#endif
