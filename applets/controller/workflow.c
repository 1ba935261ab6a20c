/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow: one look at a Workflow. Jobs are looked at in order until none changes its phase any more, as the end of one
 * begins others and the first failure stops the rest; then what the legs want done becomes the plan. Nothing is created
 * before the whole Workflow has been checked. Tests: tests/golden/plans/workflow
 */
#include "applets/controller/workflow.h"

static void plan_act(struct reconcile *r, const struct flow_act *act, size_t job, size_t leg)
{
    struct plan_op *op;
    if (act->create) {
        op = plan_add(r->p, PLAN_CREATE, &kube_runs, r->w->metadata.namespace, act->child);
        op->body = act->body;
        r->m->jobs[job].legs[leg].asked_us = r->now_us;
        op->exists_is_fine = true;                /* ours from before, or a stranger's: the next look tells */
        op->why = "the next step";
    } else {
        op = plan_add(r->p, PLAN_MERGE_PATCH, &kube_runs, r->w->metadata.namespace, act->child);
        op->body = S("{\"spec\":{\"cancelRequested\":true}}");
        op->missing_is_fine = true;
        op->why = "the job is to stop";
    }
    op->beside = true;
}

/* ---- the end --------------------------------------------------------------------------------------------------------------- */

static struct str_map no_steps(void *ctx, size_t step)
{
    (void)ctx, (void)step;
    return (struct str_map){ 0 };
}

static enum flow_phase result(const struct reconcile *r)
{
    bool failed = false, cancelled = false;
    for (size_t i = 0; i < r->f->njobs; i++) {
        const struct workflow_job *spec = r->f->jobs[i].spec;
        failed |= r->m->jobs[i].phase == FLOW_FAILED && !(spec->has_continue_on_error && spec->continue_on_error);
        cancelled |= r->m->jobs[i].phase == FLOW_CANCELLED;
    }
    return r->cancel && cancelled ? FLOW_CANCELLED : failed ? FLOW_FAILED : cancelled ? FLOW_CANCELLED : FLOW_SUCCEEDED;
}

/* One that can't be evaluated fails what has succeeded, and is left out otherwise. */
static struct str_map take_outputs(struct reconcile *r, enum flow_phase *phase)
{
    const struct str_map *want = &r->w->spec.outputs;
    struct str_map out = { arena_alloc(r->a, (want->n + 1) * sizeof *out.v), 0 };
    struct flow_at at = { .r = r };
    struct flow_scope c = { .f = r->f, .place = FLOW_OUTPUT };
    struct flow_data d = { .env = known_env(r, r->a), .step_outputs = no_steps, .job_outputs = job_outputs, .ctx = &at };
    size_t bytes = 0;
    for (size_t i = 0; out.v && i < want->n; i++) {
        struct kr_err e = { 0 };
        struct str value = S("");
        int rc = flow_text(&c, &d, want->v[i].value, r->a, &value, &e);
        bytes += want->v[i].key.n + value.n;
        if (rc == 0 && (value.n > LIMIT_RUN_OUTPUT_VALUE || bytes > LIMIT_FLOW_OUTPUTS))
            rc = kr_fail(&e, KR_TOO_LARGE, "one value may have %d bytes, all of them %d", LIMIT_RUN_OUTPUT_VALUE, LIMIT_FLOW_OUTPUTS);
        if (rc == 0) {
            out.v[out.n++] = (struct str_pair){ want->v[i].key, value };
        } else if (*phase == FLOW_SUCCEEDED) {
            *phase = FLOW_FAILED;
            flow_blame(r, e.code == KR_TOO_LARGE ? "OutputsTooLarge" : "OutputsInvalid", arena_fmt(r->a, "outputs.%.*s: %s", SFMT(want->v[i].key), e.msg));
        }
    }
    return out;
}

/* ---- one look -------------------------------------------------------------------------------------------------------------- */

static bool has_failed_job(const struct reconcile *r)
{
    for (size_t i = 0; i < r->f->njobs; i++)
        if (r->m->jobs[i].phase == FLOW_FAILED && !(r->f->jobs[i].spec->has_continue_on_error && r->f->jobs[i].spec->continue_on_error))
            return true;
    return false;
}

static void look(struct reconcile *r)
{
    bool fail_fast = !r->w->spec.has_fail_fast || r->w->spec.fail_fast, changed = true, all = true;
    for (size_t i = 0; i < r->f->njobs; i++)
        r->acts[i] = arena_alloc(r->a, r->f->jobs[i].nlegs * sizeof *r->acts[i]);
    while (changed) {
        changed = false;
        for (size_t i = 0; i < r->f->njobs; i++)
            if (!job_is_over(r, r->f->order[i]))
                changed |= job_look(r, r->f->order[i]);
        if (fail_fast && !r->fail_fast && has_failed_job(r))
            r->fail_fast = changed = true;
    }
    for (size_t i = 0; i < r->f->njobs; i++) {
        all &= job_is_over(r, i);
        for (size_t l = 0; !job_is_over(r, i) && l < r->f->jobs[i].nlegs; l++)
            if (r->acts[i][l].create || r->acts[i][l].cancel)
                plan_act(r, &r->acts[i][l], i, l);
    }
    enum flow_phase phase = all ? result(r) : FLOW_RUNNING;
    struct str_map outputs = all ? take_outputs(r, &phase) : (struct str_map){ 0 };
    status_plan(r, phase, outputs);
}

static void refuse(struct reconcile *r, const struct kr_err *e)
{
    r->f = NULL;
    flow_blame(r, "InvalidWorkflow", str_of(e->msg));
    status_plan(r, FLOW_FAILED, (struct str_map){ 0 });
}

/* Checked whole, once per memory; what is already under way was checked by whoever began it. */
static bool is_valid(struct reconcile *r)
{
    struct kr_err e = { 0 };
    bool ok = r->v->workflow.n <= 2 * LIMIT_FLOW_SPEC || kr_fail(&e, KR_TOO_LARGE, "spec: is larger than %d bytes", LIMIT_FLOW_SPEC) == 0;
    if (ok && !r->m->checked) {
        AUTO_BUF struct buf b = { .max = LIMIT_FLOW_SPEC };
        model_encode(workflow_spec, &r->w->spec, &b);
        if (b.failed)
            ok = kr_fail(&e, KR_TOO_LARGE, "spec: is larger than %d bytes", LIMIT_FLOW_SPEC) == 0;
    }
    ok = ok && (r->f = flow_make(r->w, r->a, &e)) != NULL;
    if (ok && !r->m->checked)
        ok = flow_check(r->f, &e) == 0;
    if (!ok) {
        r->m->arena.limit = 16 << 20;
        refuse(r, &e);
        return false;
    }
    r->m->checked = true;
    return true;
}

/* The TTL counts from completionTime. */
static void plan_ttl(struct reconcile *r)
{
    int64_t end;
    if (!r->w->spec.has_ttl_seconds_after_finished || !time_parse(r->w->status.completion_time, &end))
        return;
    end += r->w->spec.ttl_seconds_after_finished * 1000000;
    if (r->now_us < end) {
        r->p->look_again_us = end;
        return;
    }
    struct plan_op *op = plan_add(r->p, PLAN_DELETE, &kube_workflows, r->w->metadata.namespace, r->w->metadata.name);
    op->uid = arena_str(&r->p->arena, r->w->metadata.uid);
    op->missing_is_fine = op->stale_is_fine = true;
    op->why = "its ttlSecondsAfterFinished is over";
}

int workflow_plan(const struct flow_view *v, struct flow_memory *m, int64_t wall_us, struct plan *p, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_PLAN_BYTES, .first = 16384 };
    p->arena.limit = LIMIT_PLAN_BYTES;
    struct workflow *w = model_decode(workflow, v->workflow, &a, e);
    struct reconcile r = { .v = v, .m = m, .w = w, .p = p, .a = &a, .now_us = wall_us };
    if (!w)
        return -1;
    if (w->metadata.deletion_timestamp.n)
        return 0;                                 /* children go with it */
    if (w->has_status && (str_is(w->status.phase, "Succeeded") || str_is(w->status.phase, "Failed") || str_is(w->status.phase, "Cancelled"))) {
        plan_ttl(&r);
        return 0;
    }
    if (!is_valid(&r))
        return 0;
    status_load(&r);
    r.cancel = w->spec.has_cancel_requested && w->spec.cancel_requested;
    look(&r);
    if (!a.over && !p->arena.over)
        return 0;
    flow_memory_failed(m);                        /* what it asks for is never sent */
    return kr_fail(e, KR_TOO_LARGE, "a look at the Workflow needs too much memory");
}
