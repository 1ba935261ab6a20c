/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retry: a Run that is over once more, as a new Run with the same spec: the old one stays as it ended. Tests: tests/local/submit.py
 */
#include "applets/cli/change.h"
#include "applets/cli/run.h"
#include "applets/cli/which.h"
#include <stdio.h>

static struct { bool wait, follow; } o;
static const struct opt opts[] = {
    { "wait", 0, OPT_FLAG, &o.wait, NULL, "wait for its end, and exit with its exit code" },
    { "follow", 0, OPT_FLAG, &o.follow, NULL, "print its output as it comes, and wait" },
    { 0 } };

static int retry_one(struct cli *c, struct made *made, struct str name, struct arena *a, struct str *next, struct kr_err *e)
{
    AUTO_BUF struct buf text = { .max = LIMIT_API_BODY };
    const struct json *again = submit_like(c, name, true, a, e);
    if (!again)
        return -1;
    json_print(&text, again);
    return made_add(made, c, &kube_runs, cli_ns(c), buf_view(&text), o.follow ? NULL : o.wait ? stderr : stdout, a, next, e);
}

static int retry_all(struct cli *c, const struct applet_call *call, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 256 << 20 };
    struct str *next = arena_alloc(&a, (call->nargs + 1) * sizeof *next);
    struct made made;
    struct kr_err late = { 0 };
    int rc = made_begin(&made, e), status = 0;
    for (size_t i = 0; i < call->nargs && rc == 0; i++)
        rc = retry_one(c, &made, call->args[i], &a, &next[i], e);
    if (made_print(&made, &late) < 0 && rc == 0) {
        *e = late;
        rc = -1;
    }
    for (size_t i = 0; i < call->nargs && rc == 0 && !c->interrupted && (o.wait || o.follow); i++) {
        int one = cli_follow(c, cli_ns(c), next[i], o.follow, call->prog);
        status = status ? status : one;
    }
    return rc < 0 ? rc : status;
}

static int run(struct applet_call *call, struct kr_err *e)
{
    struct cli c;
    bool waits = o.wait || o.follow;
    if (cli_is_dry() && waits) {
        call->fail_exit = EXIT_USAGE;
        return kr_fail(e, KR_USAGE, "--dry-run makes nothing that could be waited for");
    }
    int rc = cli_open_latest(&c, &kube_runs, call, call->nargs, e);
    if (rc == 0) {
        rc = retry_all(&c, call, e);
        cli_close(&c);
    }
    if (rc < 0 && waits)
        call->fail_exit = failure_exit_status(e);
    return rc;
}

const struct applet run_retry = {
    .name = "retry", .brief = "execute it again, as a new Run", .args = "NAME…", .names = "runs", .min_args = 1, .aliases = (const char *const[]){ "rerun", "resubmit", NULL },
    .help = "The new Run has the same spec and labels and a name that begins with the old one's, which stays as it ended. To change something on the way: run submit --from.",
    .examples = "run retry hello\nrun retry @latest --follow", .opts = opts, .shared = (const struct opt *const[]){ cli_create_opts, cli_opts, NULL }, .main = run,
    .usage_exit = EXIT_USAGE, .usage_exit_with = (const char *const[]){ "--wait", "--follow", NULL } };
