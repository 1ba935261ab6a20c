/* SPDX-License-Identifier: Apache-2.0 */
/* run: the verbs of `kruntimes run`, one file each where they are long; run.c lists them. */
#ifndef APPLETS_CLI_RUN_H
#define APPLETS_CLI_RUN_H
#include "applets/cli/cli.h"
#include "crds/follow.h"

extern const struct applet run_submit, run_logs, run_describe, run_explain, run_retry;

/* Follows one Run to its end: output to stdout and stderr when wanted; says on stderr why it waits, and how it ended.
 * Returns the exit status (run_exit_status, or failure_exit_status with the message on stderr). */
int cli_follow(struct cli *, struct str ns, struct str name, bool output, const char *prog);
/* A Run from the options of submit, as JSON. */
extern const struct opt submit_spec_opts[];
int submit_from_options(const struct applet_call *, struct buf *, struct kr_err *);
const char *submit_spec_given(void);              /* one of them that was given; NULL: none */
struct str submit_spec_from(void);                /* --from: which Run it is to be like; empty: none */
/* A new Run like that one. retry: it is over, and the new one says of which it is the retry. */
struct json *submit_like(struct cli *, struct str name, bool retry, struct arena *, struct kr_err *);
/* The same under what the options say (a Run as JSON), which the result replaces. */
int submit_from(struct cli *, struct str from, struct buf *text, struct arena *, struct kr_err *);
void submit_spec_done(void);
struct str cli_ns(const struct cli *);            /* the one namespace of names */
#endif
