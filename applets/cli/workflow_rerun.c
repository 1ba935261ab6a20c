/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow_rerun: a Workflow once more, as a new one. With --failed the jobs that have succeeded are not executed again: what they
 * said and who left their artifacts goes along in annotations, which the controller takes for theirs.
 * Tests: tests/local/workflow_cli.py, tests/local/inputs.py
 */
#include "applets/cli/change.h"
#include "applets/cli/which.h"
#include "applets/cli/workflow.h"
#include "core/uri.h"
#include <stdio.h>

#define ARTIFACTS "kruntimes.io/rerun-artifacts"
static struct { bool failed; } o;
static const struct opt *const create_tables[] = { cli_create_opts, cli_opts, NULL };

static const struct opt rerun_opts[] = {
    { "failed", 0, OPT_FLAG, &o.failed, NULL, "only jobs that have not succeeded; of the others the outputs are taken over" },
    { 0 } };

/* What has succeeded, with its outputs, as the controller reads it: {"JOB": {"KEY": "VALUE"}}. */
static struct str succeeded(const struct workflow *w, struct arena *a)
{
    AUTO_BUF struct buf b = { .max = LIMIT_ANNOTATIONS };
    jw_begin(&b, '{');
    for (size_t i = 0; i < w->status.jobs.n; i++) {
        const struct workflow_job_status *s = &w->status.jobs.v[i].value;
        if (!str_is(s->phase, "Succeeded"))
            continue;
        jw_key(&b, w->status.jobs.v[i].key);
        jw_begin(&b, '{');
        for (size_t k = 0; k < s->outputs.n; k++) {
            jw_key(&b, s->outputs.v[k].key);
            jw_str(&b, s->outputs.v[k].value);
        }
        jw_end(&b, '}');
    }
    jw_end(&b, '}');
    return b.failed ? (struct str){ 0 } : arena_str(a, buf_view(&b));
}

/* ---- artifacts of what has succeeded ------------------------------------------------------------------------------------- */

static bool has_succeeded(const struct workflow *w, struct str job)
{
    for (size_t i = 0; i < w->status.jobs.n; i++)
        if (str_eq(w->status.jobs.v[i].key, job))
            return str_is(w->status.jobs.v[i].value.phase, "Succeeded");
    return false;
}

/* By leg, then by step: the later one's artifact is the job's. -1: the Run is not of that job, or has left none of that name. */
static int64_t rank_of(const struct flow_job *j, const struct run *r, struct str artifact)
{
    struct str leg = str_map_get(r->metadata.labels, S("kruntimes.io/leg")), step = str_map_get(r->metadata.labels, S("kruntimes.io/step"));
    int64_t n = 0, at = -1;
    bool has = false;
    for (size_t i = 0; i < r->status.artifact_refs.n; i++)
        has |= str_eq(r->status.artifact_refs.v[i].name, artifact);
    for (size_t i = 0; i < j->spec->steps.n; i++)
        if (str_eq(j->spec->steps.v[i].name, step))
            at = (int64_t)i;
    return has && at >= 0 && str_eq(str_map_get(r->metadata.labels, S("kruntimes.io/job")), j->name) && str_i64(leg, &n) ? n * 128 + at : -1;
}

/* What a rerun of a rerun was told itself, else who of the children left it. NULL: nobody. */
static struct json *who_left(const struct flow_job *j, struct str artifact, struct json *told, const struct run **children, size_t n, struct arena *a)
{
    struct json *before = json_get(json_get(told, arena_z(a, j->name)), arena_z(a, artifact)), *one = json_new_object(a);
    const struct run *best = NULL;
    if (before)
        return json_clone(a, before);
    for (size_t i = 0; i < n; i++)
        if (rank_of(j, children[i], artifact) > (best ? rank_of(j, best, artifact) : -1))
            best = children[i];
    if (!best)
        return NULL;
    json_set(a, one, S("run"), json_new_str(a, best->metadata.name));
    json_set(a, one, S("uid"), json_new_str(a, best->metadata.uid));
    return one;
}

static int list_children(struct cli *c, const struct workflow *w, const struct run ***v, size_t *n, struct arena *a, struct kr_err *e)
{
    AUTO_BUF struct buf p = { .max = 4096 }, body = { .max = LIMIT_KUBE_ANSWER };
    kube_path(&p, &kube_runs, cli_ns(c), S(""), NULL);
    uri_put_param(&p, "labelSelector", arena_fmt(a, "kruntimes.io/workflow-uid=%.*s", SFMT(w->metadata.uid)));
    if (cli_call(c, &(struct kube_request){ .method = "GET", .path = buf_view(&p) }, &body, e) < 0)
        return -1;
    struct json *items = json_get(json_parse(a, buf_view(&body), e), "items");
    *v = arena_alloc(a, (json_len(items) + 1) * sizeof **v);
    for (struct json *i = json_first(items); i && *v; i = json_next(i)) {
        AUTO_BUF struct buf text = { .max = LIMIT_KUBE_LINE };
        json_print(&text, i);
        const struct run *run = model_decode(run, arena_str(a, buf_view(&text)), a, e);
        if (!run)
            return -1;
        (*v)[(*n)++] = run;
    }
    return e->code ? -1 : 0;
}

/* Of the jobs that aren't executed again, what the others' steps bring, as the controller reads it: {"JOB": {"NAME": {"run", "uid"}}}.
 * NULL and no error: nothing is brought. */
static struct json *artifacts_of(struct cli *c, const struct workflow *w, struct arena *a, struct kr_err *e)
{
    struct flow *f = flow_make(w, a, e);
    struct str note = str_map_get(w->metadata.annotations, S(ARTIFACTS)), name;
    struct json *told = note.n ? json_parse(a, note, e) : NULL, *out = NULL;
    const struct run **children = NULL;
    size_t n = 0;
    for (size_t i = 0; f && !e->code && i < f->njobs; i++)
        for (size_t k = 0; k < f->jobs[i].spec->steps.n; k++)
            for (size_t x = 0; x < f->jobs[i].spec->steps.v[k].artifacts.n; x++) {
                ptrdiff_t job = flow_artifact_of(f, f->jobs[i].spec->steps.v[k].artifacts.v[x].from, &name);
                if (job < 0 || !has_succeeded(w, f->jobs[job].name) || (!children && list_children(c, w, &children, &n, a, e) < 0))
                    continue;
                struct json *who = who_left(&f->jobs[job], name, told, children, n, a), *of = json_get(out, arena_z(a, f->jobs[job].name));
                if (!who)
                    continue;
                out = out ? out : json_new_object(a);
                of = of ? of : json_new_object(a);
                json_set(a, of, name, who);
                json_set(a, out, f->jobs[job].name, of);
            }
    return out;
}

/* ---- the new one --------------------------------------------------------------------------------------------------------- */

static struct json *again(struct cli *c, const struct workflow *w, const struct json *old, struct arena *a, struct kr_err *e)
{
    AUTO_BUF struct buf text = { .max = LIMIT_ANNOTATIONS };
    struct json *o_ = json_new_object(a), *meta = json_new_object(a), *notes = json_new_object(a), *spec = json_clone(a, json_get(old, "spec"));
    struct str name = w->metadata.name, done = o.failed ? succeeded(w, a) : S("");
    if (!done.p)
        return kr_fail(e, KR_TOO_LARGE, "the outputs of what succeeded are too large to be taken over: rerun all of it"), NULL;
    json_set(a, o_, S("apiVersion"), json_new_str(a, S("kruntimes.io/v1alpha1")));
    json_set(a, o_, S("kind"), json_new_str(a, S("Workflow")));
    json_set(a, meta, S("generateName"), json_new_str(a, arena_fmt(a, "%.*s-", (int)(name.n < 200 ? name.n : 200), name.p)));
    if (json_get_path(old, (const char *const[]){ "metadata", "labels" }, 2))
        json_set(a, meta, S("labels"), json_clone(a, json_get_path(old, (const char *const[]){ "metadata", "labels" }, 2)));
    json_set(a, notes, S("kruntimes.io/rerun-of"), json_new_str(a, name));
    if (o.failed)
        json_set(a, notes, S("kruntimes.io/rerun-succeeded"), json_new_str(a, done));
    struct json *artifacts = o.failed ? artifacts_of(c, w, a, e) : NULL;
    if (e->code)
        return NULL;
    if (artifacts) {
        json_print(&text, artifacts);
        json_set(a, notes, S(ARTIFACTS), json_new_str(a, buf_view(&text)));
    }
    json_set(a, meta, S("annotations"), notes);
    json_set(a, o_, S("metadata"), meta);
    json_del(spec, S("cancelRequested"));
    json_set(a, o_, S("spec"), spec);
    return o_;
}

static int rerun_one(struct cli *c, struct made *made, struct str name, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    AUTO_BUF struct buf body = { .max = LIMIT_API_BODY };
    struct str text;
    struct workflow *w = cli_workflow(c, name, &a, &text, e);
    if (!w)
        return -1;
    if (!workflow_is_over(w))
        return kr_fail(e, KR_INVALID, "workflow/%.*s is not over: cancel it, or wait for its end", SFMT(name));
    if (o.failed && str_is(w->status.phase, "Succeeded"))
        return kr_fail(e, KR_INVALID, "workflow/%.*s has succeeded: without --failed it is executed again as a whole", SFMT(name));
    struct json *old = json_parse(&a, text, e), *next = old ? again(c, w, old, &a, e) : NULL;
    if (!next)
        return -1;
    json_print(&body, next);
    return made_add(made, c, &kube_workflows, cli_ns(c), buf_view(&body), stdout, &a, &text, e);
}

static int rerun(struct applet_call *call, struct kr_err *e)
{
    struct cli c;
    struct made made;
    struct kr_err late = { 0 };
    int rc = made_begin(&made, e);
    if (rc < 0 || cli_open_latest(&c, &kube_workflows, call, call->nargs, e) < 0)
        return -1;
    for (size_t i = 0; rc == 0 && i < call->nargs; i++)
        rc = rerun_one(&c, &made, call->args[i], e);
    if (made_print(&made, &late) < 0 && rc == 0) {
        *e = late;
        rc = -1;
    }
    cli_close(&c);
    return rc;
}

const struct applet workflow_rerun = { .name = "rerun", .brief = "execute it again, as a new Workflow", .args = "NAME…", .names = "workflows", .min_args = 1, .opts = rerun_opts,
                                       .aliases = (const char *const[]){ "retry", "resubmit", NULL }, .shared = create_tables, .main = rerun };
