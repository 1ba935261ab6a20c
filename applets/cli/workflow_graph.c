/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow_graph: what can be said of a Workflow without running it: lint, graph; and describe. lint and graph read
 * files, or stdin, and need no server. Tests: tests/local/workflow_cli.py
 */
#include "applets/cli/which.h"
#include "applets/cli/workflow.h"
#include "core/log.h"
#include "crds/submit.h"
#include <stdio.h>

static const struct opt *const plain_tables[] = { cli_opts, NULL };
static const struct opt *const no_tables[] = { NULL };

/* ---- lint ---------------------------------------------------------------------------------------------------------------- */

struct linting { struct str from; size_t warnings; };

static void warn(void *ctx, struct str place, const char *text)
{
    struct linting *l = ctx;
    l->warnings++;
    printf("%.*s: warning: %.*s: %s\n", SFMT(l->from), SFMT(place), text);
}

static int lint(struct applet_call *call, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 256 << 20 };
    struct submissions list = { 0 };
    for (size_t i = 0; i < call->nargs; i++)
        if (submit_read(&list, call->args[i].p, S("default"), &a, e) < 0)
            return -1;
    for (size_t i = 0; i < list.n; i++) {
        struct linting l = { .from = list.v[i].from };
        struct flow *f;
        if (list.v[i].resource != &kube_workflows)
            continue;
        if (submit_workflow(list.v[i].json, &f, &a, e) < 0)
            return kr_wrap(e, "%.*s", SFMT(l.from));
        flow_lint(f, warn, &l);
        if (!l.warnings)
            printf("%.*s: fine\n", SFMT(l.from));
    }
    return 0;
}

/* ---- graph --------------------------------------------------------------------------------------------------------------- */

static struct { struct str form; } o = { .form = S("dot") };
static const struct opt graph_opts[] = {
    { "output", 'o', OPT_STR, &o.form, "FORM", "dot or mermaid" },
    { 0 } };

static void put_label(struct buf *b, const struct flow_job *j)
{
    buf_fmt(b, "%.*s", SFMT(j->name));
    if (j->nlegs > 1)
        buf_fmt(b, " (%zu legs)", j->nlegs);
}

static void put_graph(const struct flow *f, bool dot, struct buf *b)
{
    buf_fmt(b, dot ? "digraph \"%.*s\" {\n  rankdir=LR;\n  node [shape=box];\n" : "%%%% %.*s\nflowchart LR\n", SFMT(f->w->metadata.name));
    for (size_t o_ = 0; o_ < f->njobs; o_++) {
        size_t i = f->order[o_];
        buf_fmt(b, dot ? "  j%zu [label=\"" : "  j%zu[\"", i);
        put_label(b, &f->jobs[i]);
        buf_lit(b, dot ? "\"];\n" : "\"]\n");
        for (size_t k = 0; k < f->njobs; k++)
            if (f->jobs[i].needs >> k & 1)
                buf_fmt(b, dot ? "  j%zu -> j%zu;\n" : "  j%zu --> j%zu\n", k, i);
    }
    buf_lit(b, dot ? "}\n" : "");
}

static int graph(struct applet_call *call, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 256 << 20 };
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    struct submissions list = { 0 };
    if (!str_is(o.form, "dot") && !str_is(o.form, "mermaid"))
        return kr_fail(e, KR_USAGE, "--output: \"%.*s\" is neither dot nor mermaid", SFMT(o.form));
    if (submit_read(&list, call->args[0].p, S("default"), &a, e) < 0)
        return -1;
    for (size_t i = 0; i < list.n; i++) {
        struct flow *f;
        if (list.v[i].resource != &kube_workflows)
            continue;
        if (submit_workflow(list.v[i].json, &f, &a, e) < 0)
            return kr_wrap(e, "%.*s", SFMT(list.v[i].from));
        put_graph(f, str_is(o.form, "dot"), &b);
    }
    return b.n ? cli_print(buf_view(&b), e) : kr_fail(e, KR_INVALID, "%.*s: there is no Workflow in it", SFMT(call->args[0]));
}

/* ---- describe ------------------------------------------------------------------------------------------------------------ */

static void line(struct buf *b, const char *key, struct str value)
{
    if (value.n)
        buf_fmt(b, "%-14s %.*s\n", key, SFMT(value));
}

static void put_runs(struct buf *b, const struct workflow_status *s)
{
    for (size_t j = 0; j < s->jobs.n; j++)
        for (size_t l = 0; l < s->jobs.v[j].value.legs.n; l++) {
            const struct workflow_leg *leg = &s->jobs.v[j].value.legs.v[l];
            for (size_t r = 0; r < leg->runs.n; r++)
                buf_fmt(b, "%-14s %.*s/%.*s is run/%.*s\n", "Run:", SFMT(s->jobs.v[j].key), SFMT(leg->runs.v[r].step), SFMT(leg->runs.v[r].name));
        }
}

static void put_drawing(const struct workflow *w, struct arena *a, struct buf *b)
{
    struct kr_err e = { 0 };
    struct flow *f = flow_make(w, a, &e);
    if (!f)
        return;
    char **letters = arena_alloc(a, f->njobs * sizeof *letters);
    for (size_t i = 0; i < f->njobs; i++) {
        size_t n = f->jobs[i].spec->steps.n;
        letters[i] = arena_alloc(a, f->jobs[i].nlegs * n + 1);
        memset(letters[i], 'W', f->jobs[i].nlegs * n);
        for (size_t k = 0; w->has_status && k < w->status.jobs.n; k++)
            for (size_t l = 0; str_eq(w->status.jobs.v[k].key, f->jobs[i].name) && l < w->status.jobs.v[k].value.legs.n && l < f->jobs[i].nlegs; l++)
                if (w->status.jobs.v[k].value.legs.v[l].steps.n == n)
                    memcpy(letters[i] + l * n, w->status.jobs.v[k].value.legs.v[l].steps.p, n);
    }
    buf_lit(b, "Jobs:\n");
    flow_draw(f, letters, false, b);
}

static int describe_one(struct cli *c, struct str name, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    AUTO_BUF struct buf b = { .max = 4 << 20 };
    char age[32];
    struct workflow *w = cli_workflow(c, name, &a, NULL, e);
    if (!w)
        return -1;
    line(&b, "Name:", w->metadata.name);
    line(&b, "Namespace:", w->metadata.namespace);
    line(&b, "UID:", w->metadata.uid);
    line(&b, "Age:", cli_age(c, w->metadata.creation_timestamp, age));
    line(&b, "Phase:", w->has_status && w->status.phase.n ? w->status.phase : S("Pending"));
    line(&b, "Reason:", w->status.reason);
    line(&b, "Message:", w->status.message);
    line(&b, "Started:", w->status.start_time);
    line(&b, "Ended:", w->status.completion_time);
    for (size_t i = 0; i < w->status.outputs.n; i++)
        buf_fmt(&b, "%-14s %.*s=%.*s\n", i ? "" : "Outputs:", SFMT(w->status.outputs.v[i].key), SFMT(w->status.outputs.v[i].value));
    put_runs(&b, &w->status);
    put_drawing(w, &a, &b);
    if (str_is(w->status.phase, "Failed") && !str_is(w->status.reason, "InvalidWorkflow"))
        buf_fmt(&b, "%-14s kruntimes workflow rerun %.*s --failed\n", "Advice:", SFMT(name));
    cli_put_events(c, w->metadata.namespace, w->metadata.uid, &b);
    return cli_print(buf_view(&b), e);
}

static int describe(struct applet_call *call, struct kr_err *e)
{
    struct cli c;
    int rc = cli_open_latest(&c, &kube_workflows, call, call->nargs, e);
    for (size_t i = 0; rc == 0 && i < call->nargs; i++)
        rc = describe_one(&c, call->args[i], e);
    cli_close(&c);
    return rc;
}

const struct applet workflow_lint = { .name = "lint", .brief = "what is wrong with files of Workflows, and what may surprise", .args = "FILE…", .min_args = 1,
                                      .help = "Checks what submit checks, without a server, and warns where the value of an expression becomes part of a script.",
                                      .shared = no_tables, .main = lint };
const struct applet workflow_graph = { .name = "graph", .brief = "a file's graph of jobs, for dot or mermaid", .args = "FILE", .min_args = 1, .max_args = 1, .opts = graph_opts,
                                       .shared = no_tables, .main = graph };
const struct applet workflow_describe = { .name = "describe", .brief = "all about it, in words", .args = "NAME…", .names = "workflows", .min_args = 1, .shared = plain_tables, .main = describe };
