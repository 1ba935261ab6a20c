/* SPDX-License-Identifier: Apache-2.0 */
/* workflow: the verbs of `kruntimes workflow`; workflow.c lists them. */
#ifndef APPLETS_CLI_WORKFLOW_H
#define APPLETS_CLI_WORKFLOW_H
#include "applets/cli/run.h"
#include "crds/flow.h"
#include "crds/follow_flow.h"

extern const struct applet workflow_describe, workflow_lint, workflow_graph, workflow_rerun, workflow_watch, workflow_wait, workflow_logs;

/* Gets one and decodes it on the arena; *text (may be NULL) is the object as it came. */
struct workflow *cli_workflow(struct cli *, struct str name, struct arena *, struct str *text, struct kr_err *);
/* Follows it to its end and returns the exit status. logs: its steps' lines on stdout and stderr; else its progress, drawn where
 * stdout is a terminal. */
int cli_follow_flow(struct cli *, struct str ns, struct str name, bool logs, bool until_end, struct str only, const char *prog);
/* A drawing of jobs, one a line; letters: of all steps by job, leg and step (NULL: from status). Used by watch and describe. */
void flow_draw(const struct flow *, char *const *letters, bool colours, struct buf *out);
#endif
