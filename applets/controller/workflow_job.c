/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow_job: when a job begins, which of its legs may, and what it leaves. A job whose phase is final isn't looked at
 * again. Tests: tests/golden/plans/workflow
 */
#include "applets/controller/workflow.h"

static struct flow_job_memory *of(const struct reconcile *r, size_t job) { return &r->m->jobs[job]; }
bool job_is_over(const struct reconcile *r, size_t job) { return of(r, job)->phase >= FLOW_SUCCEEDED; }

bool job_forgives(const struct reconcile *r, size_t job) { return r->f->jobs[job].spec->has_continue_on_error && r->f->jobs[job].spec->continue_on_error; }
static bool is_fine(const struct reconcile *r, size_t job)
{
    return of(r, job)->phase == FLOW_SUCCEEDED || (of(r, job)->phase == FLOW_FAILED && job_forgives(r, job));
}

struct str_map job_outputs(void *ctx, size_t job) { return of(((struct flow_at *)ctx)->r, job)->outputs; }

static struct str_map nothing(void *ctx, size_t step)
{
    (void)ctx, (void)step;
    return (struct str_map){ 0 };
}

static int condition(struct reconcile *r, size_t job, bool stop, bool *out, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_FLOW_ARENA };
    const struct flow_job *j = &r->f->jobs[job];
    struct flow_at at = { r, job, 0 };
    struct flow_scope c = { .f = r->f, .place = FLOW_JOB_IF, .job = j };
    struct flow_data d = { .env = known_env(r, &a), .step_outputs = nothing, .job_outputs = job_outputs, .ctx = &at, .success = !stop, .cancelled = stop };
    for (size_t i = 0; i < r->f->njobs; i++) {
        d.success &= !(j->needs >> i & 1) || is_fine(r, i);
        d.failure |= (j->above >> i & 1) && of(r, i)->phase == FLOW_FAILED && !job_forgives(r, i);
    }
    return flow_if(&c, &d, j->spec->if_, r->a, out, e);
}

/* A job whose condition holds though everything is to stop, always() or cancelled(), is spared. */
static bool is_spared(struct reconcile *r, size_t job)
{
    struct kr_err e = { 0 };
    bool yes = false;
    return r->f->jobs[job].spec->if_.p && condition(r, job, true, &yes, &e) == 0 && yes;
}

static bool needs_are_over(const struct reconcile *r, size_t job)
{
    for (size_t i = 0; i < r->f->njobs; i++)
        if ((r->f->jobs[job].needs >> i & 1) && !job_is_over(r, i))
            return false;
    return true;
}

/* A job of which nothing has begun: true when it may. */
static bool begin(struct reconcile *r, size_t job, bool stop)
{
    struct flow_job_memory *m = of(r, job);
    struct kr_err e = { 0 };
    bool yes = false, fine = true;
    if (!needs_are_over(r, job)) {
        if (stop && !is_spared(r, job))
            m->phase = FLOW_CANCELLED;
        return false;
    }
    for (size_t i = 0; i < r->f->njobs; i++)
        fine &= !(r->f->jobs[job].needs >> i & 1) || is_fine(r, i);
    if (condition(r, job, stop, &yes, &e) < 0) {
        m->phase = FLOW_FAILED;
        if (!job_forgives(r, job))
            flow_blame(r, "ExpressionFailed", arena_fmt(r->a, "jobs.%.*s.if: %s", SFMT(r->f->jobs[job].name), e.msg));
    } else if (!yes) {
        m->phase = r->cancel || (stop && fine) ? FLOW_CANCELLED : FLOW_SKIPPED;
    }
    return m->phase < FLOW_SUCCEEDED;
}

/* Once, with a new memory: children tell what has begun. */
static void look_for_begun(struct reconcile *r, size_t job)
{
    struct flow_job_memory *m = of(r, job);
    const struct run *run;
    for (size_t l = 0; l < m->nlegs && !m->looked; l++)
        for (size_t i = 0; i < r->f->jobs[job].spec->steps.n && m->legs[l].phase == FLOW_PENDING; i++)
            if (m->legs[l].letters[i] != 'W' || child_look(r, child_name(r, job, l, i), &run) > CHILD_FOREIGN)
                m->legs[l].phase = m->phase = FLOW_RUNNING;
    m->looked = true;
}

/* ---- outputs -------------------------------------------------------------------------------------------------------------- */

static int add_output(struct reconcile *r, struct flow_job_memory *m, size_t job, const struct flow_data *d, struct str_pair p, size_t *bytes, struct kr_err *e)
{
    struct flow_scope c = { .f = r->f, .place = FLOW_JOB_OUTPUT, .job = &r->f->jobs[job] };
    struct str value;
    size_t k = 0;
    if (flow_text(&c, d, p.value, r->a, &value, e) < 0)
        return -1;
    *bytes += p.key.n + value.n;
    if (value.n > LIMIT_RUN_OUTPUT_VALUE || *bytes > LIMIT_FLOW_OUTPUTS || r->m->outputs + *bytes > LIMIT_FLOW_OUTPUTS * 8)
        return kr_fail(e, KR_TOO_LARGE, "one value may have %d bytes, those of a job %d, those of a Workflow %d", LIMIT_RUN_OUTPUT_VALUE, LIMIT_FLOW_OUTPUTS,
                       LIMIT_FLOW_OUTPUTS * 8);
    while (k < m->outputs.n && !str_eq(m->outputs.v[k].key, p.key))
        k++;
    m->outputs.v[k] = (struct str_pair){ arena_str(&r->m->arena, p.key), arena_str(&r->m->arena, value) };
    m->outputs.n += k == m->outputs.n;
    return 0;
}

/* Of several legs the last one that succeeded says it. */
static void take_outputs(struct reconcile *r, size_t job)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_FLOW_ARENA };
    struct flow_job_memory *m = of(r, job);
    const struct str_map *want = &r->f->jobs[job].spec->outputs;
    m->outputs = (struct str_map){ arena_alloc(&r->m->arena, (want->n + 1) * sizeof *m->outputs.v), 0 };
    size_t leg = m->nlegs, bytes = 0;
    while (leg && m->legs[leg - 1].phase != FLOW_SUCCEEDED)
        leg--;
    if (!leg || !m->outputs.v)
        return;
    struct flow_at at = { r, job, leg - 1 };
    struct flow_data d = leg_data(&at, known_job_env(&at, &a));
    for (size_t i = 0; i < want->n; i++) {
        struct kr_err e = { 0 };
        if (add_output(r, m, job, &d, want->v[i], &bytes, &e) == 0)
            continue;
        if (m->phase != FLOW_SUCCEEDED)
            continue;                             /* it has failed for another reason: what can be said is said */
        m->phase = FLOW_FAILED;
        if (!job_forgives(r, job))
            flow_blame(r, e.code == KR_TOO_LARGE ? "OutputsTooLarge" : "OutputsInvalid",
                       arena_fmt(r->a, "jobs.%.*s.outputs.%.*s: %s", SFMT(r->f->jobs[job].name), SFMT(want->v[i].key), e.msg));
    }
    r->m->outputs += bytes;
}

/* ---- the job -------------------------------------------------------------------------------------------------------------- */

static bool leg_is_over(const struct flow_leg_memory *l) { return l->phase >= FLOW_SUCCEEDED; }

static void look_at_legs(struct reconcile *r, size_t job, bool stop)
{
    struct flow_job_memory *m = of(r, job);
    const struct workflow_job *spec = r->f->jobs[job].spec;
    size_t running = 0, most = spec->has_strategy && spec->strategy.has_max_parallel ? (size_t)spec->strategy.max_parallel : SIZE_MAX;
    bool fail_fast = !spec->has_strategy || !spec->strategy.has_fail_fast || spec->strategy.fail_fast, failed = false;
    for (size_t l = 0; l < m->nlegs; l++) {       /* those that have begun, whatever they do next */
        if (m->legs[l].phase == FLOW_RUNNING)
            leg_look(r, job, l, stop);
        running += m->legs[l].phase == FLOW_RUNNING;
        failed |= m->legs[l].phase == FLOW_FAILED;
    }
    if (failed && fail_fast && !stop) {
        for (size_t l = 0; l < m->nlegs; l++)
            if (m->legs[l].phase == FLOW_RUNNING)
                leg_look(r, job, l, true);
        stop = true;
    }
    for (size_t l = 0; l < m->nlegs; l++) {
        if (m->legs[l].phase != FLOW_PENDING)
            continue;
        if (stop) {
            memset(m->legs[l].letters, 'K', spec->steps.n);
            m->legs[l].phase = FLOW_CANCELLED;
        } else if (running < most) {
            leg_look(r, job, l, false);
            running += m->legs[l].phase == FLOW_RUNNING;
        }
    }
}

static void end_when_all_are_over(struct reconcile *r, size_t job)
{
    struct flow_job_memory *m = of(r, job);
    bool failed = false, cancelled = false;
    for (size_t l = 0; l < m->nlegs; l++) {
        if (!leg_is_over(&m->legs[l]))
            return;
        failed |= m->legs[l].phase == FLOW_FAILED;
        cancelled |= m->legs[l].phase == FLOW_CANCELLED;
    }
    m->phase = failed ? FLOW_FAILED : cancelled ? FLOW_CANCELLED : FLOW_SUCCEEDED;
    take_outputs(r, job);
}

bool job_look(struct reconcile *r, size_t job)
{
    struct flow_job_memory *m = of(r, job);
    enum flow_phase before = m->phase;
    bool stop = r->cancel || r->fail_fast;
    if (m->phase < FLOW_SUCCEEDED)
        look_for_begun(r, job);
    if (m->phase == FLOW_PENDING) {
        if (begin(r, job, stop))
            m->phase = FLOW_RUNNING;
        else if (m->phase >= FLOW_SUCCEEDED)
            for (size_t l = 0; l < m->nlegs; l++) {
                m->legs[l].phase = m->phase;
                memset(m->legs[l].letters, 'K', r->f->jobs[job].spec->steps.n);
            }
    }
    if (m->phase == FLOW_RUNNING) {
        look_at_legs(r, job, stop && !is_spared(r, job));
        end_when_all_are_over(r, job);
    }
    return m->phase != before;
}
