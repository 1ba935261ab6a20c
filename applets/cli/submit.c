/* SPDX-License-Identifier: Apache-2.0 */
/*
 * submit: Runs from files, or one from the command line (submit_spec.c). All are checked before the first is sent.
 * Tests: tests/local/submit.py
 */
#include "applets/cli/change.h"
#include "applets/cli/run.h"
#include "crds/submit.h"
#include <stdio.h>

static struct { struct opt_list files; bool wait, follow; } o;
static const struct opt opts[] = {
    { "file", 'f', OPT_LIST, &o.files, "FILE", "file with Runs (repeatable; - is stdin); instead of options that say what a Run is" },
    { "wait", 0, OPT_FLAG, &o.wait, NULL, "wait for its end, and exit with its exit code", .also = "watch" },
    { "follow", 0, OPT_FLAG, &o.follow, NULL, "print its output as it comes, and wait", .also = "log logs showlog" },
    { 0 } };

static int from_options(struct submissions *list, struct cli *c, const struct applet_call *call, struct arena *a, struct kr_err *e)
{
    AUTO_BUF struct buf b = { .max = LIMIT_API_BODY };
    if (submit_from_options(call, &b, e) < 0 || (submit_spec_from().n && submit_from(c, submit_spec_from(), &b, a, e) < 0))
        return -1;
    list->newer = submit_spec_from().n > 0;
    return submit_check(list, arena_str(a, buf_view(&b)), S("the command line"), cli_ns(c), a, e);
}

static int gather(struct submissions *list, struct cli *c, const struct applet_call *call, struct arena *a, struct kr_err *e)
{
    const char *given = submit_spec_given();
    if (!o.files.n)
        return from_options(list, c, call, a, e);
    if (given)
        return kr_fail(e, KR_USAGE, "--file says what is executed: --%s doesn't go with it", given);
    if (call->nargs)
        return kr_fail(e, KR_USAGE, "--file says what is executed: a command doesn't go with it");
    for (size_t i = 0; i < o.files.n; i++)
        if (submit_read(list, o.files.v[i].p, cli_ns(c), a, e) < 0)
            return -1;
    return 0;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

/* What was made is printed also where a later one is refused. */
static int send_all(struct cli *c, const struct submissions *list, struct str *names, struct arena *a, struct kr_err *e)
{
    struct made made;
    struct kr_err late = { 0 };
    FILE *to = o.follow ? NULL : o.wait ? stderr : stdout;
    int rc = made_begin(&made, e);
    for (size_t i = 0; i < list->n && rc == 0; i++)
        if ((rc = made_add(&made, c, list->v[i].resource, list->v[i].ns, list->v[i].json, to, a, &names[i], e)) < 0)
            kr_wrap(e, "%.*s", SFMT(list->v[i].from));
    if (made_print(&made, &late) < 0 && rc == 0) {
        *e = late;
        rc = -1;
    }
    return rc;
}

static int submit_all(struct cli *c, const struct submissions *list, const char *prog, struct arena *a, struct kr_err *e)
{
    struct str *names = arena_alloc(a, (list->n + 1) * sizeof *names);
    int status = 0;
    if (send_all(c, list, names, a, e) < 0)
        return -1;
    for (size_t i = 0; i < list->n && !c->interrupted && (o.wait || o.follow); i++) {
        if (list->v[i].resource != &kube_runs)
            continue;
        int one = cli_follow(c, list->v[i].ns, names[i], o.follow, prog);
        status = status ? status : one;
    }
    return status;
}

static int run(struct applet_call *call, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 256 << 20 };
    struct submissions list = { 0 };
    struct cli c;
    bool waits = o.wait || o.follow;
    if (cli_is_dry() && waits) {
        call->fail_exit = EXIT_USAGE;
        return kr_fail(e, KR_USAGE, "--dry-run makes nothing that could be waited for");
    }
    int rc = cli_open_maybe(&c, cli_is_offline(), e);
    if (rc == 0) {
        rc = gather(&list, &c, call, &a, e);
        if (rc == 0)
            rc = submit_all(&c, &list, call->prog, &a, e);
        cli_close(&c);
    }
    if (rc < 0 && waits)
        call->fail_exit = failure_exit_status(e);
    opt_list_free(&o.files);
    submit_spec_done();
    return rc;
}

const struct applet run_submit = {
    .name = "submit", .brief = "create Runs", .args = "[-- COMMAND [ARG…]]",
    .help = "From files, or one from options, which with --from take the place of what another Run has. After --, one argument is a script for the Runtime's interpreter, several are a command executed as "
            "it is. With --wait or --follow the exit status is the Run's own; failures of ours are 120 to 125.",
    .examples = "run submit --runtime bash -- echo hello\nrun submit --runtime bash --follow -- 'for i in 1 2 3; do echo $i; done'\nrun submit -f job.yaml --wait\n"
                "run submit --runtime python --upload . --entrypoint main.py --follow\nrun submit --runtime bash --git https://example.com/x.git@v1 -- make test\n"
                "run submit --runtime bash --dry-run=client -o yaml -- echo hello >run.yaml\nrun submit --from @latest -e DEBUG=1 --follow",
    .opts = opts, .shared = (const struct opt *const[]){ submit_spec_opts, cli_create_opts, cli_opts, NULL }, .main = run,
    .usage_exit = EXIT_USAGE, .usage_exit_with = (const char *const[]){ "--wait", "--follow", NULL },
};
