/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: the short verbs, and the list of all. get and list are the same but that list takes no names.
 */
#include "applets/cli/run.h"
#include "core/uri.h"
#include <stdio.h>

static const struct opt *const list_tables[] = { cli_list_opts, cli_opts, NULL };
static const struct opt *const plain_tables[] = { cli_opts, NULL };

/* ---- get, list --------------------------------------------------------------------------------------------------- */

static int get(struct applet_call *call, struct kr_err *e)
{
    struct cli c;
    if (cli_open(&c, e) < 0)
        return -1;
    int rc = cli_show(&c, &kube_runs, call->args, call->nargs, e);
    cli_close(&c);
    return rc;
}

/* ---- cancel ------------------------------------------------------------------------------------------------------ */

static int cancel(struct applet_call *call, struct kr_err *e)
{
    struct cli c;
    int rc = cli_open(&c, e);
    for (size_t i = 0; rc == 0 && i < call->nargs; i++) {
        AUTO_BUF struct buf p = { .max = 4096 };
        kube_path(&p, &kube_runs, cli_ns(&c), call->args[i], NULL);
        rc = cli_call(&c, &(struct kube_request){ .method = "PATCH", .path = buf_view(&p), .content_type = "application/merge-patch+json",
                                                  .body = S("{\"spec\":{\"cancelRequested\":true}}") }, NULL, e);
        if (rc == 0)
            printf("run/%.*s is asked to end\n", SFMT(call->args[i]));
    }
    cli_close(&c);
    return rc;
}

/* ---- delete ------------------------------------------------------------------------------------------------------ */

static struct { struct str selector; bool all; } del;
static const struct opt delete_opts[] = {
    { "selector", 'l', OPT_STR, &del.selector, "LABELS", "those with these labels" },
    { "all", 0, OPT_FLAG, &del.all, NULL, "all of the namespace" },
    { 0 } };

static int delete_one(struct cli *c, struct str name, struct kr_err *e)
{
    AUTO_BUF struct buf p = { .max = 4096 };
    kube_path(&p, &kube_runs, cli_ns(c), name, NULL);
    if (cli_call(c, &(struct kube_request){ .method = "DELETE", .path = buf_view(&p) }, NULL, e) < 0)
        return -1;
    printf("run/%.*s deleted\n", SFMT(name));
    return 0;
}

static int delete_listed(struct cli *c, struct kr_err *e)
{
    AUTO_BUF struct buf p = { .max = LIMIT_HTTP1_START_LINE }, body = { .max = LIMIT_KUBE_ANSWER };
    AUTO_ARENA struct arena a = { .limit = LIMIT_KUBE_ANSWER };
    kube_path(&p, &kube_runs, cli_ns(c), S(""), NULL);
    if (del.selector.n)
        uri_put_param(&p, "labelSelector", del.selector);
    if (cli_call(c, &(struct kube_request){ .method = "GET", .path = buf_view(&p) }, &body, e) < 0)
        return -1;
    struct json *list = json_parse(&a, buf_view(&body), e);
    int rc = list ? 0 : -1;
    for (struct json *i = json_first(json_get(list, "items")); i && rc == 0; i = json_next(i))
        rc = delete_one(c, json_string(json_get(json_get(i, "metadata"), "name")), e);
    return rc;
}

static int delete(struct applet_call *call, struct kr_err *e)
{
    struct cli c;
    bool listed = del.all || del.selector.n;
    if (listed == (call->nargs > 0))
        return kr_fail(e, KR_USAGE, "say which: names, or --selector, or --all");
    int rc = cli_open(&c, e);
    if (rc == 0 && listed)
        rc = delete_listed(&c, e);
    for (size_t i = 0; rc == 0 && i < call->nargs; i++)
        rc = delete_one(&c, call->args[i], e);
    cli_close(&c);
    return rc;
}

/* ---- wait -------------------------------------------------------------------------------------------------------- */

static struct { int64_t timeout_us; } wait_for;
static const struct opt wait_opts[] = {
    { "timeout", 0, OPT_DURATION, &wait_for.timeout_us, "TIME", "give up after this time; 0: never", .lo = 0, .hi = INT64_C(31536000000000) },
    { 0 } };

static void too_long(struct loop *loop, struct timer *t)
{
    (void)t;
    loop_stop(loop);
}

static int wait_all(struct applet_call *call, struct kr_err *e)
{
    struct cli c;
    struct timer limit = { .fire = too_long };
    int status = 0;
    if (cli_open(&c, e) < 0) {
        call->fail_exit = failure_exit_status(e);
        return -1;
    }
    int64_t until = wait_for.timeout_us ? loop_now_us(c.loop) + wait_for.timeout_us : INT64_MAX;
    if (wait_for.timeout_us)
        loop_timer_at(c.loop, &limit, until);
    for (size_t i = 0; i < call->nargs && loop_now_us(c.loop) < until; i++) {
        int one = cli_follow(&c, cli_ns(&c), call->args[i], false, call->prog);
        status = status ? status : one;
    }
    bool late = loop_now_us(c.loop) >= until;
    loop_timer_stop(c.loop, &limit);
    cli_close(&c);
    if (late) {
        call->fail_exit = EXIT_OTHER;
        return kr_fail(e, KR_DEADLINE, "it has not ended in time");
    }
    return status;
}

static const struct applet verb_get = { .name = "get", .brief = "Runs as a table or in another form", .args = "[NAME…]",
                                        .examples = "run get\nrun get hello -o yaml\nrun get -A -l team=a -o wide", .shared = list_tables, .main = get };
static const struct applet verb_list = { .name = "list", .brief = "the same without names", .aliases = (const char *const[]){ "ls", NULL },
                                         .shared = list_tables, .main = get };
static const struct applet verb_cancel = { .name = "cancel", .brief = "ask Runs to end", .args = "NAME…", .min_args = 1, .shared = plain_tables,
                                           .main = cancel };
static const struct applet verb_delete = { .name = "delete", .brief = "delete Runs; what executes is ended", .args = "[NAME…]", .opts = delete_opts,
                                           .shared = plain_tables, .main = delete };
static const struct applet verb_wait = { .name = "wait", .brief = "wait for the end; exit with the Run's exit code", .args = "NAME…", .min_args = 1,
                                         .opts = wait_opts, .shared = plain_tables, .main = wait_all, .usage_exit = EXIT_USAGE };
const struct applet applet_run = {
    .name = "run", .group = APPLET_WORK, .brief = "submit Runs, and look after them", .aliases = (const char *const[]){ "runs", "rn", NULL },
    .verbs = (const struct applet *const[]){ &run_submit, &verb_get, &verb_list, &run_describe, &run_explain, &run_logs, &verb_wait, &verb_cancel, &verb_delete, NULL } };
