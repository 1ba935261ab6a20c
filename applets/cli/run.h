/* SPDX-License-Identifier: Apache-2.0 */
/* run: the verbs of `kruntimes run`, one file each where they are long; run.c lists them. */
#ifndef APPLETS_CLI_RUN_H
#define APPLETS_CLI_RUN_H
#include "applets/cli/cli.h"
#include "crds/follow.h"

extern const struct applet run_submit, run_logs, run_describe, run_explain;

/* Follows one Run to its end: output to stdout and stderr when wanted; says on stderr why it waits, and how it ended.
 * Returns the exit status (run_exit_status, or failure_exit_status with the message on stderr). */
int cli_follow(struct cli *, struct str ns, struct str name, bool output, const char *prog);
struct str cli_ns(const struct cli *);            /* the one namespace of names */
#endif
