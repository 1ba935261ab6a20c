/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow: the short verbs, and the list of all. Tests: tests/local/workflow_cli.py
 */
#include "applets/cli/change.h"
#include "applets/cli/which.h"
#include "applets/cli/workflow.h"
#include "crds/submit.h"
#include <stdio.h>

static const struct opt *const list_tables[] = { cli_phase_opts, cli_list_opts, cli_label_opts, cli_opts, NULL };
static const struct opt *const create_tables[] = { cli_create_opts, cli_opts, NULL };
static const struct opt *const target_tables[] = { cli_phase_opts, cli_target_opts, cli_opts, NULL };

struct workflow *cli_workflow(struct cli *c, struct str name, struct arena *a, struct str *text, struct kr_err *e)
{
    AUTO_BUF struct buf body = { .max = LIMIT_KUBE_ANSWER };
    if (cli_get(c, &kube_workflows, cli_ns(c), name, &body, e) < 0)
        return NULL;
    struct str own = arena_str(a, buf_view(&body));
    if (text)
        *text = own;
    return model_decode(workflow, own, a, e);
}

static int get(struct applet_call *call, struct kr_err *e)
{
    struct cli c;
    if (cli_open_latest(&c, &kube_workflows, call, call->nargs, e) < 0)
        return -1;
    int rc = cli_show(&c, &kube_workflows, call->args, call->nargs, e);
    cli_close(&c);
    return rc;
}

static int cancel_one(struct cli *c, struct str name, struct kr_err *e)
{
    return cli_change_one(c, &kube_workflows, name, "PATCH", S("{\"spec\":{\"cancelRequested\":true}}"), "is asked to end", e);
}

static int delete_one(struct cli *c, struct str name, struct kr_err *e) { return cli_change_one(c, &kube_workflows, name, "DELETE", S(""), "deleted", e); }
static int cancel(struct applet_call *call, struct kr_err *e) { return cli_each(call, &kube_workflows, cancel_one, e); }
static int delete(struct applet_call *call, struct kr_err *e) { return cli_each(call, &kube_workflows, delete_one, e); }

/* ---- submit -------------------------------------------------------------------------------------------------------------- */

static struct { struct opt_list files; bool wait, follow; } o;
static const struct opt submit_opts[] = {
    { "file", 'f', OPT_LIST, &o.files, "FILE", "file with Workflows (repeatable; - is stdin)" },
    { "wait", 0, OPT_FLAG, &o.wait, NULL, "show its progress, and exit with the exit code of the step that failed it" },
    { "follow", 0, OPT_FLAG, &o.follow, NULL, "print what its steps write as it comes, and wait" },
    { 0 } };

static int send_all(struct cli *c, const struct submissions *list, struct str *names, struct arena *a, struct kr_err *e)
{
    struct made made;
    int rc = made_begin(&made, e), printed = 0;
    for (size_t i = 0; i < list->n && rc == 0; i++)
        if ((rc = made_add(&made, c, list->v[i].resource, list->v[i].ns, list->v[i].json, o.wait || o.follow ? stderr : stdout, a, &names[i], e)) < 0)
            kr_wrap(e, "%.*s", SFMT(list->v[i].from));
    struct kr_err late = { 0 };
    if ((printed = made_print(&made, &late)) < 0 && rc == 0)
        *e = late;
    return rc < 0 ? rc : printed;
}

static int submit_all(struct cli *c, const struct applet_call *call, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 256 << 20 };
    struct submissions list = { 0 };
    int status = 0;
    for (size_t i = 0; i < o.files.n; i++)
        if (submit_read(&list, o.files.v[i].p, cli_ns(c), &a, e) < 0)
            return -1;
    struct str *names = arena_alloc(&a, (list.n + 1) * sizeof *names);
    for (size_t i = 0; i < list.n; i++)
        if (list.v[i].resource != &kube_workflows)
            return kr_fail(e, KR_INVALID, "%.*s: is no Workflow: kruntimes run submit takes it", SFMT(list.v[i].from));
    if (send_all(c, &list, names, &a, e) < 0)
        return -1;
    for (size_t i = 0; i < list.n && !c->interrupted && (o.wait || o.follow); i++) {
        int rc = cli_follow_flow(c, list.v[i].ns, names[i], o.follow, true, S(""), call->prog);
        status = status ? status : rc;
    }
    return status;
}

static int submit(struct applet_call *call, struct kr_err *e)
{
    struct cli c;
    bool waits = o.wait || o.follow;
    if (cli_is_dry() && waits) {
        call->fail_exit = EXIT_USAGE;
        return kr_fail(e, KR_USAGE, "--dry-run makes nothing that could be waited for");
    }
    int rc = o.files.n ? cli_open_maybe(&c, cli_is_offline(), e) : kr_fail(e, KR_USAGE, "no file: name one with -f");
    if (rc == 0) {
        rc = submit_all(&c, call, e);
        cli_close(&c);
    }
    if (rc < 0 && waits)
        call->fail_exit = failure_exit_status(e);
    opt_list_free(&o.files);
    return rc;
}

static const struct applet verb_submit = {
    .name = "submit", .brief = "create Workflows from files", .help = "All are checked before the first is sent: references, types and cycles too.",
    .examples = "workflow submit -f ci.yaml\nworkflow submit -f ci.yaml --follow", .opts = submit_opts, .shared = create_tables, .main = submit,
    .usage_exit = EXIT_USAGE, .usage_exit_with = (const char *const[]){ "--wait", "--follow", NULL } };
static const struct applet verb_get = { .name = "get", .brief = "Workflows as a table or in another form", .args = "[NAME…]", .names = "workflows", .shared = list_tables, .main = get };
static const struct applet verb_list = { .name = "list", .brief = "all Workflows of the namespace as a table", .aliases = (const char *const[]){ "ls", NULL },
                                         .shared = list_tables, .main = get };
static const struct applet verb_cancel = { .name = "cancel", .brief = "ask Workflows to end; always() steps still run", .aliases = (const char *const[]){ "stop", NULL }, .args = "[NAME…]", .names = "workflows",
                                           .shared = target_tables, .main = cancel };
static const struct applet verb_delete = { .name = "delete", .brief = "delete Workflows and their Runs", .args = "[NAME…]", .names = "workflows", .shared = target_tables,
                                           .main = delete };
const struct applet applet_workflow = {
    .name = "workflow", .group = APPLET_WORK, .brief = "submit Workflows, and look after them", .aliases = (const char *const[]){ "workflows", "wf", NULL },
    .verbs = (const struct applet *const[]){ &verb_submit, &verb_get, &verb_list, &workflow_describe, &workflow_logs, &workflow_watch, &workflow_wait, &verb_cancel, &workflow_rerun,
                                             &verb_delete, &workflow_lint, &workflow_graph, NULL } };
