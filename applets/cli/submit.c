/* SPDX-License-Identifier: Apache-2.0 */
/*
 * submit: Runs from files, or one from the command line. All are checked before the first is sent.
 */
#include "applets/cli/run.h"
#include "core/fs.h"
#include "crds/submit.h"
#include <stdio.h>

static struct {
    struct opt_list files, env, labels, requests, sources;
    struct str name, runtime, entrypoint, inline_file;
    int64_t timeout_us, attempts, priority, ttl;
    bool wait, follow, has_priority, has_ttl;
} o;
static const struct opt opts[] = {
    { "file", 'f', OPT_LIST, &o.files, "FILE", "file with Runs (repeatable; - is stdin); instead of the options below" },
    { "runtime", 0, OPT_STR, &o.runtime, "NAME", "Runtime that executes it" },
    { "name", 0, OPT_STR, &o.name, "NAME", "name of the Run (default: the Runtime's and a tail)" },
    { "env", 'e', OPT_LIST, &o.env, "NAME=VALUE", "variable (repeatable)" },
    { "label", 0, OPT_LIST, &o.labels, "NAME=VALUE", "label (repeatable)" },
    { "request", 0, OPT_LIST, &o.requests, "NAME=N", "what it takes of a pod's capacity (repeatable)" },
    { "script", 0, OPT_STR, &o.inline_file, "FILE", "source.inline from this file (- is stdin); arguments follow --" },
    { "source", 0, OPT_LIST, &o.sources, "PATH", "a file into the workspace, under this relative path (repeatable)" },
    { "entrypoint", 0, OPT_STR, &o.entrypoint, "PATH", "file of the workspace to execute" },
    { "timeout", 0, OPT_DURATION, &o.timeout_us, "TIME", "limit of each attempt, whole seconds", .lo = 1000000, .hi = INT64_C(31536000000000) },
    { "max-attempts", 0, OPT_INT, &o.attempts, "N", "attempts in all", .lo = 1, .hi = 100 },
    { "priority", 0, OPT_INT, &o.priority, "N", "higher goes first", .lo = -1000, .hi = 1000, .given = &o.has_priority },
    { "ttl", 0, OPT_INT, &o.ttl, "SECONDS", "deleted that long after its end", .lo = 0, .hi = INT32_MAX, .given = &o.has_ttl },
    { "wait", 0, OPT_FLAG, &o.wait, NULL, "wait for its end, and exit with its exit code" },
    { "follow", 0, OPT_FLAG, &o.follow, NULL, "print its output as it comes, and wait" },
    { 0 } };

/* ---- a Run from options ------------------------------------------------------------------------------------------ */

static int pairs(struct buf *b, const struct opt_list *l, const char *option, bool numbers, struct kr_err *e)
{
    for (size_t i = 0; i < l->n; i++) {
        struct str value = l->v[i], name = str_cut(&value, '=');
        int64_t n;
        if (!name.n || name.n == l->v[i].n)
            return kr_fail(e, KR_USAGE, "--%s: \"%.*s\" is not NAME=VALUE", option, SFMT(l->v[i]));
        jw_key(b, name);
        if (numbers && str_i64(value, &n))
            jw_int(b, n);
        else
            jw_str(b, value);
    }
    return 0;
}

static int put_env(struct buf *b, struct kr_err *e)
{
    for (size_t i = 0; i < o.env.n; i++) {
        struct str value = o.env.v[i], name = str_cut(&value, '=');
        if (!name.n || name.n == o.env.v[i].n)
            return kr_fail(e, KR_USAGE, "--env: \"%.*s\" is not NAME=VALUE", SFMT(o.env.v[i]));
        jw_begin(b, '{');
        jw_kstr(b, "name", name);
        jw_kstr(b, "value", value);
        jw_end(b, '}');
    }
    return 0;
}

static int put_text_file(struct buf *b, const char *key, struct str path, struct kr_err *e)
{
    AUTO_BUF struct buf text = { .max = LIMIT_FILE_INPUT };
    if (fs_read(path.p, &text, e) < 0)
        return -1;
    if (!str_utf8(buf_view(&text)))
        return kr_fail(e, KR_INVALID, "\"%.*s\" is no UTF-8 text: a Run's source is text", SFMT(path));
    jw_kstr(b, key, buf_view(&text));
    return 0;
}

static int put_source(struct buf *b, struct kr_err *e)
{
    if (!o.inline_file.n && !o.sources.n)
        return 0;
    jw_kbegin(b, "source", '{');
    if (o.inline_file.n && put_text_file(b, "inline", o.inline_file, e) < 0)
        return -1;
    if (o.sources.n) {
        jw_kbegin(b, "files", '[');
        for (size_t i = 0; i < o.sources.n; i++) {
            jw_begin(b, '{');
            jw_kstr(b, "path", o.sources.v[i]);
            if (put_text_file(b, "content", o.sources.v[i], e) < 0)
                return -1;
            jw_end(b, '}');
        }
        jw_end(b, ']');
    }
    jw_end(b, '}');
    return 0;
}

static int put_spec(struct buf *b, const struct applet_call *c, struct kr_err *e)
{
    jw_kbegin(b, "spec", '{');
    jw_kstr(b, "runtime", o.runtime);
    if (c->nargs) {
        jw_kbegin(b, "args", '[');
        for (size_t i = 0; i < c->nargs; i++)
            jw_str(b, c->args[i]);
        jw_end(b, ']');
    }
    if (o.env.n) {
        jw_kbegin(b, "env", '[');
        if (put_env(b, e) < 0)
            return -1;
        jw_end(b, ']');
    }
    if (put_source(b, e) < 0)
        return -1;
    if (o.entrypoint.n)
        jw_kstr(b, "entrypoint", o.entrypoint);
    if (o.timeout_us)
        jw_kint(b, "timeoutSeconds", (o.timeout_us + 999999) / 1000000);
    if (o.attempts) {
        jw_kbegin(b, "retryPolicy", '{');
        jw_kint(b, "maxAttempts", o.attempts);
        jw_end(b, '}');
    }
    if (o.has_priority)
        jw_kint(b, "priority", o.priority);
    if (o.has_ttl)
        jw_kint(b, "ttlSecondsAfterFinished", o.ttl);
    if (o.requests.n) {
        jw_kbegin(b, "resources", '{');
        jw_kbegin(b, "requests", '{');
        if (pairs(b, &o.requests, "request", true, e) < 0)
            return -1;
        jw_end(b, '}');
        jw_end(b, '}');
    }
    jw_end(b, '}');
    return 0;
}

static int from_options(const struct applet_call *c, struct buf *b, struct kr_err *e)
{
    AUTO_BUF struct buf prefix = { .max = 256 };
    if (!o.runtime.n)
        return kr_fail(e, KR_USAGE, "what is to be executed, and where? Give -f FILE, or --runtime NAME -- COMMAND");
    jw_begin(b, '{');
    jw_kstr(b, "apiVersion", S("kruntimes.io/v1alpha1"));
    jw_kstr(b, "kind", S("Run"));
    jw_kbegin(b, "metadata", '{');
    buf_fmt(&prefix, "%.*s-", SFMT(o.runtime));
    if (o.name.n)
        jw_kstr(b, "name", o.name);
    else
        jw_kstr(b, "generateName", buf_view(&prefix));
    if (o.labels.n) {
        jw_kbegin(b, "labels", '{');
        if (pairs(b, &o.labels, "label", false, e) < 0)
            return -1;
        jw_end(b, '}');
    }
    jw_end(b, '}');
    if (put_spec(b, c, e) < 0)
        return -1;
    jw_end(b, '}');
    return b->failed ? kr_fail(e, KR_TOO_LARGE, "the Run is too large") : 0;
}

static int gather(struct submissions *list, const struct applet_call *c, struct str ns, struct arena *a, struct kr_err *e)
{
    AUTO_BUF struct buf b = { .max = LIMIT_API_BODY };
    if (!o.files.n)
        return from_options(c, &b, e) < 0 || submit_check(list, arena_str(a, buf_view(&b)), S("the command line"), ns, a, e) < 0 ? -1 : 0;
    if (o.runtime.n || c->nargs)
        return kr_fail(e, KR_USAGE, "--file says what is executed: --runtime and a command don't go with it");
    for (size_t i = 0; i < o.files.n; i++)
        if (submit_read(list, o.files.v[i].p, ns, a, e) < 0)
            return -1;
    return 0;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static int send(struct cli *c, const struct submission *x, struct arena *a, struct str *name, struct kr_err *e)
{
    static const char *const name_path[] = { "metadata", "name" };
    AUTO_BUF struct buf p = { .max = 4096 }, body = { .max = LIMIT_KUBE_ANSWER };
    kube_path(&p, x->resource, x->ns, S(""), NULL);
    if (cli_call(c, &(struct kube_request){ .method = "POST", .path = buf_view(&p), .body = x->json }, &body, e) < 0)
        return kr_wrap(e, "%.*s", SFMT(x->from));
    *name = arena_str(a, json_str_of(json_find_path(buf_view(&body), name_path, 2), a));
    FILE *to = o.wait || o.follow ? stderr : stdout;
    if (!o.follow)
        fprintf(to, "%s/%.*s created\n", x->resource == &kube_runs ? "run" : x->resource == &kube_workflows ? "workflow" : "runtime", SFMT(*name));
    return 0;
}

static int submit_all(struct cli *c, const struct submissions *list, const char *prog, struct arena *a, struct kr_err *e)
{
    struct str *names = arena_alloc(a, (list->n + 1) * sizeof *names);
    int status = 0;
    for (size_t i = 0; i < list->n; i++)
        if (send(c, &list->v[i], a, &names[i], e) < 0)
            return -1;
    for (size_t i = 0; i < list->n && (o.wait || o.follow); i++) {
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
    int rc = cli_open(&c, e);
    if (rc == 0) {
        rc = gather(&list, call, cli_ns(&c), &a, e);
        if (rc == 0)
            rc = submit_all(&c, &list, call->prog, &a, e);
        cli_close(&c);
    }
    if (rc < 0 && waits)
        call->fail_exit = failure_exit_status(e);
    opt_list_free(&o.files);
    opt_list_free(&o.env);
    opt_list_free(&o.labels);
    opt_list_free(&o.requests);
    opt_list_free(&o.sources);
    return rc;
}

const struct applet run_submit = {
    .name = "submit", .brief = "create Runs", .args = "[-- COMMAND [ARG…]]",
    .help = "From files, or one from options. After --, one argument is a script for the Runtime's interpreter, several are a command executed as "
            "it is. With --wait or --follow the exit status is the Run's own; failures of ours are 120 to 125.",
    .examples = "run submit --runtime bash -- echo hello\nrun submit --runtime bash --follow -- 'for i in 1 2 3; do echo $i; done'\nrun submit -f job.yaml --wait",
    .opts = opts, .shared = (const struct opt *const[]){ cli_opts, NULL }, .main = run,
    .usage_exit = EXIT_USAGE, .usage_exit_with = (const char *const[]){ "--wait", "--follow", NULL },
};
