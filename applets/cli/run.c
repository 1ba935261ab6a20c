/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: the short verbs, and the list of all. get and list are the same but that list takes no names.
 */
#include "applets/cli/change.h"
#include "applets/cli/run.h"
#include "applets/cli/wait.h"
#include <stdio.h>

static const struct opt *const list_tables[] = { cli_phase_opts, cli_list_opts, cli_label_opts, cli_opts, NULL };
static const struct opt *const named_tables[] = { cli_named_opts, cli_opts, NULL };
static const struct opt *const target_tables[] = { cli_phase_opts, cli_target_opts, cli_opts, NULL };

/* ---- get, list --------------------------------------------------------------------------------------------------- */

static int get(struct applet_call *call, struct kr_err *e)
{
    struct cli c;
    if (cli_open_latest(&c, &kube_runs, call, call->nargs, e) < 0)
        return -1;
    int rc = cli_show(&c, &kube_runs, call->args, call->nargs, e);
    cli_close(&c);
    return rc;
}

/* ---- cancel, delete ---------------------------------------------------------------------------------------------- */

static int cancel_one(struct cli *c, struct str name, struct kr_err *e)
{
    return cli_change_one(c, &kube_runs, name, "PATCH", S("{\"spec\":{\"cancelRequested\":true}}"), "is asked to end", e);
}

static int delete_one(struct cli *c, struct str name, struct kr_err *e) { return cli_change_one(c, &kube_runs, name, "DELETE", S(""), "deleted", e); }
static int cancel(struct applet_call *call, struct kr_err *e) { return cli_each(call, &kube_runs, cancel_one, e); }
static int delete(struct applet_call *call, struct kr_err *e) { return cli_each(call, &kube_runs, delete_one, e); }

/* ---- wait -------------------------------------------------------------------------------------------------------- */

static int wait_one(struct cli *c, struct str name, const char *prog) { return cli_follow(c, cli_ns(c), name, false, prog); }
static int wait_all(struct applet_call *call, struct kr_err *e) { return cli_wait(call, &kube_runs, wait_one, e); }

static const struct applet verb_get = { .name = "get", .brief = "Runs as a table or in another form", .args = "[NAME…]", .names = "runs",
                                        .examples = "run get\nrun get hello -o yaml\nrun get @latest\nrun get -A -l team=a -o wide\nrun get --phase Failed,Timeout --since 24h", .shared = list_tables, .main = get };
static const struct applet verb_list = { .name = "list", .brief = "all Runs of the namespace as a table", .aliases = (const char *const[]){ "ls", NULL },
                                         .examples = "run list -L team\nrun list --phase Pending --sort-by .spec.priority", .shared = list_tables, .main = get };
static const struct applet verb_cancel = { .name = "cancel", .brief = "ask Runs to end", .aliases = (const char *const[]){ "stop", NULL }, .args = "[NAME…]", .names = "runs", .shared = target_tables,
                                           .examples = "run cancel hello\nrun cancel -l team=a --phase Running",
                                           .main = cancel };
static const struct applet verb_delete = { .name = "delete", .brief = "delete Runs; what executes is ended", .args = "[NAME…]", .names = "runs", .shared = target_tables,
                                           .examples = "run delete hello\nrun delete --phase Succeeded --older 24h --dry-run=server", .main = delete };
static const struct applet verb_wait = { .name = "wait", .brief = "wait for the end; exit with the Run's exit code", .args = "[NAME…]", .names = "runs",
                                         .help = "Of several the exit status is that of the first that did not succeed.", .examples = "run wait hello --timeout 5m\nrun wait -l team=a", .opts = cli_wait_opts, .shared = named_tables, .main = wait_all, .usage_exit = EXIT_USAGE };
const struct applet applet_run = {
    .name = "run", .group = APPLET_WORK, .brief = "submit Runs, and look after them", .aliases = (const char *const[]){ "runs", "rn", NULL },
    .verbs = (const struct applet *const[]){ &run_submit, &verb_get, &verb_list, &run_describe, &run_explain, &run_logs, &verb_wait, &verb_cancel, &run_retry, &verb_delete, NULL } };
