/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow_child: one step as a Run. Its name follows from the Workflow's UID, job, leg and step, so that whoever creates it
 * again meets the first one; a Run of that name that isn't controlled by this Workflow is a stranger's and never taken.
 * Tests: tests/unit/applets/workflow.c, tests/golden/plans/workflow
 */
#include "applets/controller/workflow.h"
#include "core/digest.h"

/* A script of this size goes as an argument, so that the shared directory stays the user's alone. */
enum { ARG_MAX_BYTES = 8192 };

static void put_words(struct buf *b, struct str s, size_t most)
{
    for (size_t i = 0, n = 0; i < s.n && n < most; i++, n++) {
        char c = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 32) : s.p[i];
        buf_byte(b, (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-');
    }
    buf_byte(b, '-');
}

static void digest_of(const struct reconcile *r, size_t job, size_t leg, const char *step, char out[DIGEST_TEXT])
{
    AUTO_BUF struct buf b = { .max = 1024 };
    buf_fmt(&b, "%.*s/%.*s/%zu/%s", SFMT(r->w->metadata.uid), SFMT(r->f->jobs[job].name), leg, step);
    digest_sha256_text(buf_view(&b), out);
}

struct str child_name(const struct reconcile *r, size_t job, size_t leg, size_t step)
{
    AUTO_BUF struct buf b = { .max = 128 };
    char digest[DIGEST_TEXT], number[32];
    struct buf n = { .p = number, .cap = sizeof number, .max = sizeof number - 1 };
    buf_fmt(&n, "%zu", step);
    digest_of(r, job, leg, number, digest);
    put_words(&b, r->w->metadata.name, 24);
    put_words(&b, r->f->jobs[job].name, 12);
    put_words(&b, r->f->jobs[job].spec->steps.v[step].name, 12);
    buf_fmt(&b, "%.10s", digest);
    return arena_str(r->a, buf_view(&b));
}

struct str workflow_of(const struct object_meta *m, bool name)
{
    for (size_t i = 0; i < m->owner_references.n; i++)
        if (m->owner_references.v[i].controller && str_is(m->owner_references.v[i].kind, "Workflow"))
            return name ? m->owner_references.v[i].name : m->owner_references.v[i].uid;
    return S("");
}

enum child_state child_look(const struct reconcile *r, struct str name, const struct run **out)
{
    struct kr_err e = { 0 };
    struct str text = r->v->run(r->v->ctx, name);
    if (!text.p)
        return CHILD_NONE;
    const struct run *run = model_decode(run, text, r->a, &e);
    if (!run || !str_eq(workflow_of(&run->metadata, false), r->w->metadata.uid))
        return CHILD_FOREIGN;
    *out = run;
    struct str phase = run_phase(run);
    return !run_phase_is_terminal(phase) ? CHILD_ACTIVE : str_is(phase, "Succeeded") ? CHILD_SUCCEEDED : str_is(phase, "Cancelled") ? CHILD_CANCELLED : CHILD_FAILED;
}

void workflow_child_text(const struct run *r, struct buf *b)
{
    struct run x = { .metadata = { .name = r->metadata.name, .namespace = r->metadata.namespace, .uid = r->metadata.uid,
                                   .creation_timestamp = r->metadata.creation_timestamp, .owner_references = r->metadata.owner_references },
                     .has_metadata = true, .has_status = true,
                     .status = { .phase = r->status.phase, .reason = r->status.reason, .message = r->status.message, .outputs = r->status.outputs, .artifact_refs = r->status.artifact_refs,
                                 .exit_code = r->status.exit_code, .has_exit_code = r->status.has_exit_code, .completion_time = r->status.completion_time } };
    model_encode(run, &x, b);
}

/* ---- bodies -------------------------------------------------------------------------------------------------------------- */

static struct json *text(struct reconcile *r, struct str s) { return json_new_str(r->a, s); }

static void put(struct reconcile *r, struct json *o, const char *key, struct json *v) { json_set(r->a, o, str_of(key), v); }

/* No step of the leg before this one has had a child: the scheduler needs not ask where the workspace is. */
static bool opens_workspace(const struct reconcile *r, size_t job, size_t leg, size_t step)
{
    while (step && r->m->jobs[job].legs[leg].letters[step - 1] == 'K')
        step--;
    return !step;
}

static struct json *metadata(struct reconcile *r, const struct flow_act *act, size_t job, size_t leg)
{
    const struct flow_job *j = &r->f->jobs[job];
    struct json *m = json_new_object(r->a), *labels = json_new_object(r->a), *owner = json_new_object(r->a), *owners = json_new_array(r->a);
    put(r, m, "name", text(r, act->child));
    put(r, m, "namespace", text(r, r->w->metadata.namespace));
    put(r, labels, "kruntimes.io/workflow-uid", text(r, r->w->metadata.uid));
    put(r, labels, "kruntimes.io/job", text(r, j->name));
    put(r, labels, "kruntimes.io/leg", text(r, arena_fmt(r->a, "%zu", leg)));
    put(r, labels, "kruntimes.io/step", text(r, j->spec->steps.v[act->step].name));
    put(r, m, "labels", labels);
    if (opens_workspace(r, job, leg, act->step)) {
        struct json *notes = json_new_object(r->a);
        put(r, notes, RUN_OPENS_WORKSPACE, text(r, S("true")));
        put(r, m, "annotations", notes);
    }
    put(r, owner, "apiVersion", text(r, S("kruntimes.io/v1alpha1")));
    put(r, owner, "kind", text(r, S("Workflow")));
    put(r, owner, "name", text(r, r->w->metadata.name));
    put(r, owner, "uid", text(r, r->w->metadata.uid));
    put(r, owner, "controller", json_new_bool(r->a, true));
    json_append(owners, owner);
    put(r, m, "ownerReferences", owners);
    return m;
}

/* all: a value that can't be evaluated is an error; else it is left out. */
static int eval_map(const struct flow_scope *c, const struct flow_data *d, struct str_map in, bool all, struct arena *a, struct str_map *out, struct kr_err *e)
{
    *out = (struct str_map){ arena_alloc(a, (in.n + 1) * sizeof *out->v), 0 };
    for (size_t i = 0; out->v && i < in.n; i++) {
        struct str value;
        int rc = flow_text(c, d, in.v[i].value, a, &value, e);
        if (rc == 0 && value.n > 32768)
            rc = kr_fail(e, KR_INVALID, "has %zu bytes, at most 32768 are allowed", value.n);
        if (rc == 0)
            out->v[out->n++] = (struct str_pair){ in.v[i].key, value };
        else if (all)
            return kr_wrap(e, "env: %.*s", SFMT(in.v[i].key));
    }
    return 0;
}

static int spec_env(const struct reconcile *r, bool all, struct arena *a, struct str_map *out, struct kr_err *e)
{
    struct flow_scope c = { .f = r->f, .place = FLOW_ENV };
    struct flow_data d = { 0 };
    return eval_map(&c, &d, r->w->spec.env, all, a, out, e);
}

/* spec.env, then the job's over it, each with its expressions; the step's own come in body. */
static int job_env(struct flow_at *at, bool all, struct arena *a, struct str_map *out, struct kr_err *e)
{
    const struct flow_job *j = &at->r->f->jobs[at->job];
    struct flow_scope c = { .f = at->r->f, .place = FLOW_JOB_ENV, .job = j };
    struct str_map of_flow, of_job;
    if (spec_env(at->r, all, a, &of_flow, e) < 0)
        return -1;
    struct flow_data d = leg_data(at, of_flow);
    if (eval_map(&c, &d, j->spec->env, all, a, &of_job, e) < 0)
        return -1;
    *out = flow_merge(of_flow, of_job, a);
    return 0;
}

struct str_map known_env(const struct reconcile *r, struct arena *a)
{
    struct str_map out = { 0 };
    struct kr_err e = { 0 };
    spec_env(r, false, a, &out, &e);
    return out;
}

struct str_map known_job_env(struct flow_at *at, struct arena *a)
{
    struct str_map out = { 0 };
    struct kr_err e = { 0 };
    job_env(at, false, a, &out, &e);
    return out;
}

static int put_env(struct reconcile *r, struct json *spec, struct str_map env, struct kr_err *e)
{
    struct json *list = json_new_array(r->a);
    for (size_t i = 0; i < env.n; i++) {
        struct json *one = json_new_object(r->a);
        if (env.v[i].value.n && memchr(env.v[i].value.p, 0, env.v[i].value.n))
            return kr_fail(e, KR_INVALID, "env: %.*s: has a NUL character inside", SFMT(env.v[i].key));
        put(r, one, "name", text(r, env.v[i].key));
        put(r, one, "value", text(r, env.v[i].value));
        json_append(list, one);
    }
    if (env.n)
        put(r, spec, "env", list);
    return 0;
}

/* A short script is the one argument of the interpreter: nothing of it lies in the directory. A long one, one with a line of
 * its own for the interpreter, or with arguments, is a file. */
static int put_work(struct reconcile *r, struct json *spec, const struct workflow_step *s, struct str run, const struct str *args, struct kr_err *e)
{
    struct json *list = json_new_array(r->a);
    bool as_arg = run.n && !s->args.n && run.n <= ARG_MAX_BYTES && !str_starts(run, S("#!")) && !memchr(run.p, 0, run.n);
    if (run.n > 262144)
        return kr_fail(e, KR_INVALID, "run: has %zu bytes with its values, at most 262144 are allowed", run.n);
    if (as_arg)
        json_append(list, text(r, run));
    for (size_t i = 0; i < s->args.n; i++) {
        if (args[i].n > ARG_MAX_BYTES || (args[i].n && memchr(args[i].p, 0, args[i].n)))
            return kr_fail(e, KR_INVALID, "args[%zu]: is longer than %d bytes with its values, or has a NUL character inside", i, ARG_MAX_BYTES);
        json_append(list, text(r, args[i]));
    }
    if (json_len(list))
        put(r, spec, "args", list);
    if (run.n && !as_arg) {
        struct json *source = json_new_object(r->a);
        put(r, source, "inline", text(r, run));
        put(r, spec, "source", source);
        put(r, spec, "entrypoint", text(r, arena_fmt(r->a, ".kruntimes/%.*s", SFMT(s->name))));
    }
    return 0;
}

static void put_retry(struct reconcile *r, struct json *spec, const struct retry_policy *p)
{
    AUTO_BUF struct buf b = { .max = 16384 };
    struct kr_err e = { 0 };
    model_encode(retry_policy, p, &b);
    struct json *j = json_parse(r->a, buf_view(&b), &e);
    if (j)
        put(r, spec, "retryPolicy", j);
}

/* Of several legs and steps that left one of that name the last has it. */
static const struct run *who_left(const struct reconcile *r, size_t job, struct str name)
{
    for (size_t leg = r->f->jobs[job].nlegs; leg--;)
        for (size_t step = r->f->jobs[job].spec->steps.n; step--;) {
            const struct run *run = NULL;
            if (child_look(r, child_name(r, job, leg, step), &run) < CHILD_SUCCEEDED)
                continue;
            for (size_t i = 0; i < run->status.artifact_refs.n; i++)
                if (str_eq(run->status.artifact_refs.v[i].name, name))
                    return run;
        }
    return NULL;
}

/* Of a rerun, for jobs that had succeeded before: the child of the Workflow before. */
static struct json *who_had_left(struct reconcile *r, struct str job, struct str name)
{
    struct kr_err e = { 0 };
    struct str note = str_map_get(r->w->metadata.annotations, S("kruntimes.io/rerun-artifacts"));
    struct json *all = note.n ? json_parse(r->a, note, &e) : NULL;
    return json_get(json_get(all, arena_z(r->a, job)), arena_z(r->a, name));
}

static int put_artifacts(struct reconcile *r, struct json *spec, const struct workflow_step *s, struct kr_err *e)
{
    struct json *list = json_new_array(r->a);
    for (size_t i = 0; i < s->artifacts.n; i++) {
        struct str name;
        struct json *one = json_new_object(r->a);
        ptrdiff_t job = flow_artifact_of(r->f, s->artifacts.v[i].from, &name);
        const struct run *run = job < 0 ? NULL : who_left(r, (size_t)job, name);
        struct json *before = job < 0 || run ? NULL : who_had_left(r, r->f->jobs[job].name, name);
        if (!run && !before)
            return kr_fail(e, KR_NOT_FOUND, "artifacts[%zu]: no step of the job has left an artifact: %.*s", i, SFMT(s->artifacts.v[i].from));
        put(r, one, "run", text(r, run ? run->metadata.name : json_string(json_get(before, "run"))));
        put(r, one, "uid", text(r, run ? run->metadata.uid : json_string(json_get(before, "uid"))));
        put(r, one, "name", text(r, name));
        put(r, one, "path", text(r, s->artifacts.v[i].path));
        json_append(list, one);
    }
    if (s->artifacts.n)
        put(r, spec, "artifacts", list);
    return 0;
}

int child_body(struct reconcile *of, struct flow_act *act, size_t job, size_t leg, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_PLAN_BYTES, .first = 16384 };
    AUTO_BUF struct buf b = { .max = LIMIT_PLAN_BYTES };      /* whole: what is too large for the API server is its to say */
    struct reconcile here = *of, *r = &here;      /* what it is made of isn't kept: there may be many in one look */
    here.a = &a;
    const struct flow_job *j = &r->f->jobs[job];
    const struct workflow_step *s = &j->spec->steps.v[act->step];
    struct flow_at at = { r, job, leg };
    struct str_map env, own;
    char digest[DIGEST_TEXT];
    if (job_env(&at, true, r->a, &env, e) < 0)
        return -1;
    struct flow_data d = leg_data(&at, env);
    struct flow_scope c = { .f = r->f, .place = FLOW_STEP_ENV, .job = j, .step = act->step };
    if (eval_map(&c, &d, s->env, true, r->a, &own, e) < 0)
        return -1;
    d.env = env = flow_merge(env, own, r->a);
    c.place = FLOW_STEP_TEXT;
    struct str run = S(""), *args = arena_alloc(r->a, (s->args.n + 1) * sizeof *args);
    if (!args || (s->run.p && flow_text(&c, &d, s->run, r->a, &run, e) < 0))
        return kr_wrap(e, "run");
    for (size_t i = 0; i < s->args.n; i++)
        if (flow_text(&c, &d, s->args.v[i], r->a, &args[i], e) < 0)
            return kr_wrap(e, "args[%zu]", i);
    struct json *body = json_new_object(r->a), *spec = json_new_object(r->a), *workspace = json_new_object(r->a);
    put(r, body, "apiVersion", text(r, S("kruntimes.io/v1alpha1")));
    put(r, body, "kind", text(r, S("Run")));
    put(r, body, "metadata", metadata(r, act, job, leg));
    put(r, spec, "runtime", text(r, j->spec->runs_on));
    if (put_work(r, spec, s, run, args, e) < 0 || put_env(r, spec, env, e) < 0 || put_artifacts(r, spec, s, e) < 0)
        return -1;
    if (s->has_timeout_seconds)
        put(r, spec, "timeoutSeconds", json_new_int(r->a, s->timeout_seconds));
    if (s->has_retry_policy)
        put_retry(r, spec, &s->retry_policy);
    digest_of(r, job, leg, "workspace", digest);
    put(r, workspace, "name", text(r, arena_fmt(r->a, "wf-%.20s", digest)));
    put(r, spec, "workspace", workspace);
    put(r, body, "spec", spec);
    json_print(&b, body);
    act->body = arena_str(&r->p->arena, buf_view(&b));
    return a.over || b.failed ? kr_fail(e, KR_TOO_LARGE, "the step needs too much memory") : 0;
}
