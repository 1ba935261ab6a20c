/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retry: a Run that is over once more, as a new Run with the same spec: the old one stays as it ended. A step of a Workflow is
 * not for this: its workspace and its place in the order are the Workflow's. Tests: tests/local/submit.py
 */
#include "applets/cli/change.h"
#include "applets/cli/run.h"
#include <stdio.h>

static struct { bool wait, follow; } o;
static const struct opt opts[] = {
    { "wait", 0, OPT_FLAG, &o.wait, NULL, "wait for its end, and exit with its exit code" },
    { "follow", 0, OPT_FLAG, &o.follow, NULL, "print its output as it comes, and wait" },
    { 0 } };

/* Its name without the tail of a former retry. */
static struct str stem_of(const struct run *r)
{
    struct str name = r->metadata.name, before = str_map_get(r->metadata.annotations, S("kruntimes.io/retry-stem"));
    struct str stem = before.n && str_starts(name, before) ? before : name;
    return (struct str){ stem.p, stem.n < 200 ? stem.n : 200 };
}

static struct str again(const struct run *r, const struct json *old, struct arena *a)
{
    AUTO_BUF struct buf text = { .max = LIMIT_API_BODY };
    static const char *const labels_path[] = { "metadata", "labels" };
    struct json *object = json_new_object(a), *meta = json_new_object(a), *notes = json_new_object(a), *spec = json_clone(a, json_get(old, "spec"));
    const struct json *labels = json_get_path(old, labels_path, 2);
    json_set(a, object, S("apiVersion"), json_new_str(a, S("kruntimes.io/v1alpha1")));
    json_set(a, object, S("kind"), json_new_str(a, S("Run")));
    json_set(a, meta, S("generateName"), json_new_str(a, arena_fmt(a, "%.*s-", SFMT(stem_of(r)))));
    json_set(a, meta, S("namespace"), json_new_str(a, r->metadata.namespace));
    if (labels)
        json_set(a, meta, S("labels"), json_clone(a, labels));
    json_set(a, notes, S("kruntimes.io/retry-of"), json_new_str(a, r->metadata.name));
    json_set(a, notes, S("kruntimes.io/retry-stem"), json_new_str(a, stem_of(r)));
    json_set(a, meta, S("annotations"), notes);
    json_set(a, object, S("metadata"), meta);
    json_del(spec, S("cancelRequested"));
    json_set(a, object, S("spec"), spec);
    json_print(&text, object);
    return arena_str(a, buf_view(&text));
}

static int retry_one(struct cli *c, struct made *made, struct str name, struct arena *a, struct str *next, struct kr_err *e)
{
    AUTO_BUF struct buf body = { .max = LIMIT_KUBE_ANSWER };
    if (cli_get(c, &kube_runs, cli_ns(c), name, &body, e) < 0)
        return -1;
    const struct run *r = model_decode(run, buf_view(&body), a, e);
    const struct json *old = r ? json_parse(a, buf_view(&body), e) : NULL;
    if (!old)
        return -1;
    if (!run_is_terminal(r))
        return kr_fail(e, KR_INVALID, "run/%.*s is not over (%.*s): cancel it, or wait for its end", SFMT(name), SFMT(run_phase(r)));
    if (str_map_get(r->metadata.labels, S("kruntimes.io/workflow-uid")).n)
        return kr_fail(e, KR_INVALID, "run/%.*s is a step of a Workflow: kruntimes workflow rerun --failed executes what failed of that again", SFMT(name));
    return made_add(made, c, &kube_runs, cli_ns(c), again(r, old, a), o.follow ? NULL : o.wait ? stderr : stdout, a, next, e);
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
    for (size_t i = 0; i < call->nargs && rc == 0 && (o.wait || o.follow); i++) {
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
    int rc = cli_open(&c, e);
    if (rc == 0) {
        rc = retry_all(&c, call, e);
        cli_close(&c);
    }
    if (rc < 0 && waits)
        call->fail_exit = failure_exit_status(e);
    return rc;
}

const struct applet run_retry = {
    .name = "retry", .brief = "execute it again, as a new Run", .args = "NAME…", .names = "runs", .min_args = 1, .aliases = (const char *const[]){ "rerun", NULL },
    .help = "The new Run has the same spec and labels and a name that begins with the old one's, which stays as it ended.",
    .examples = "run retry hello\nrun retry hello --follow", .opts = opts, .shared = (const struct opt *const[]){ cli_create_opts, cli_opts, NULL }, .main = run,
    .usage_exit = EXIT_USAGE, .usage_exit_with = (const char *const[]){ "--wait", "--follow", NULL } };
