/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow_status: status from memory and back. It is small by design: a letter a step, and names only of Runs that run or
 * have failed. Progress alone is written at most every two seconds; beginnings and the end at once.
 * Tests: tests/golden/plans/workflow
 */
#include "applets/controller/workflow.h"

enum { PROGRESS_US = 2000000 };
const char *const flow_phases[] = { "Pending", "Running", "Succeeded", "Failed", "Cancelled", "Skipped" };

static enum flow_phase phase_of(struct str s)
{
    for (size_t i = 0; i < FLOW_SKIPPED + 1u; i++)
        if (str_is(s, flow_phases[i]))
            return (enum flow_phase)i;
    return FLOW_PENDING;
}

void flow_memory_free(struct flow_memory *m)
{
    arena_reset(&m->arena);
    free(m->written);
    *m = (struct flow_memory){ 0 };
}

void flow_memory_failed(struct flow_memory *m)
{
    free(TAKE(m->written));
    for (size_t i = 0; m->loaded && i < LEN(m->jobs); i++)
        for (size_t l = 0; l < m->jobs[i].nlegs; l++)
            m->jobs[i].legs[l].asked_us = 0;
}

void flow_blame(struct reconcile *r, const char *reason, struct str message)
{
    if (r->m->reason.n)
        return;
    r->m->reason = arena_str(&r->m->arena, str_of(reason));
    r->m->message = arena_str(&r->m->arena, (struct str){ message.p, str_rune_cut(message, 1024) });
}

/* ---- from status ----------------------------------------------------------------------------------------------------------- */

static void load_leg(struct flow_leg_memory *m, const struct workflow_leg *s, size_t nsteps)
{
    enum flow_phase p = phase_of(s->phase);
    if (p >= FLOW_RUNNING)
        m->phase = p;
    if (s->steps.n == nsteps && nsteps)
        memcpy(m->letters, s->steps.p, nsteps);
}

static void load_job(struct reconcile *r, size_t job, const struct workflow_job_status *s)
{
    struct flow_job_memory *m = &r->m->jobs[job];
    const struct flow_job *j = &r->f->jobs[job];
    m->phase = phase_of(s->phase);
    m->outputs = (struct str_map){ arena_alloc(&r->m->arena, (s->outputs.n + 1) * sizeof *m->outputs.v), 0 };
    for (size_t i = 0; m->outputs.v && i < s->outputs.n; i++) {
        m->outputs.v[m->outputs.n++] = (struct str_pair){ arena_str(&r->m->arena, s->outputs.v[i].key), arena_str(&r->m->arena, s->outputs.v[i].value) };
        r->m->outputs += s->outputs.v[i].key.n + s->outputs.v[i].value.n;
    }
    for (size_t i = 0; i < s->legs.n; i++)
        for (size_t l = 0; l < m->nlegs; l++)
            if (str_eq(s->legs.v[i].name, j->legs[l].name))
                load_leg(&m->legs[l], &s->legs.v[i], j->spec->steps.n);
}

/* Of a rerun: jobs that had succeeded before count as such, with the outputs they had. */
static void load_succeeded(struct reconcile *r)
{
    struct kr_err e = { 0 };
    struct str note = str_map_get(r->w->metadata.annotations, S("kruntimes.io/rerun-succeeded"));
    struct json *jobs = note.n ? json_parse(r->a, note, &e) : NULL;
    for (struct json *j = json_first(jobs); j; j = json_next(j)) {
        ptrdiff_t at = flow_job_of(r->f, json_key(j));
        if (at < 0 || r->m->jobs[at].phase != FLOW_PENDING)
            continue;
        struct flow_job_memory *m = &r->m->jobs[at];
        m->phase = FLOW_SUCCEEDED;
        m->outputs = (struct str_map){ arena_alloc(&r->m->arena, (json_len(j) + 1) * sizeof *m->outputs.v), 0 };
        for (struct json *o = json_first(j); o && m->outputs.v; o = json_next(o))
            if (json_string(o).n <= LIMIT_RUN_OUTPUT_VALUE && m->outputs.n < 64)
                m->outputs.v[m->outputs.n++] = (struct str_pair){ arena_str(&r->m->arena, json_key(o)), arena_str(&r->m->arena, json_string(o)) };
        for (size_t l = 0; l < m->nlegs; l++) {
            m->legs[l].phase = FLOW_SUCCEEDED;
            memset(m->legs[l].letters, 'S', r->f->jobs[at].spec->steps.n);
        }
    }
}

void status_load(struct reconcile *r)
{
    struct flow_memory *m = r->m;
    if (m->loaded)
        return;
    m->loaded = true;
    m->arena.limit = 16 << 20;
    const struct workflow_status *s = &r->w->status;
    if (s->message.n && s->reason.n)
        flow_blame(r, arena_z(r->a, s->reason), s->message);
    for (size_t i = 0; i < r->f->njobs; i++) {
        struct flow_job_memory *j = &m->jobs[i];
        size_t nsteps = r->f->jobs[i].spec->steps.n;
        j->nlegs = r->f->jobs[i].nlegs;
        j->legs = arena_alloc(&m->arena, j->nlegs * sizeof *j->legs);
        for (size_t l = 0; l < j->nlegs; l++) {
            j->legs[l].letters = arena_alloc(&m->arena, nsteps + 1);
            memset(j->legs[l].letters, 'W', nsteps);
        }
        for (size_t k = 0; r->w->has_status && k < s->jobs.n; k++)
            if (str_eq(s->jobs.v[k].key, r->f->jobs[i].name))
                load_job(r, i, &s->jobs.v[k].value);
    }
    load_succeeded(r);
}

/* ---- to status ------------------------------------------------------------------------------------------------------------- */

static void put_map(struct buf *b, const char *key, struct str_map m)
{
    if (!m.n)
        return;
    jw_kbegin(b, key, '{');
    for (size_t i = 0; i < m.n; i++) {
        jw_key(b, m.v[i].key);
        jw_str(b, m.v[i].value);
    }
    jw_end(b, '}');
}

static void put_leg(struct reconcile *r, struct buf *b, size_t job, size_t leg)
{
    const struct flow_leg_memory *l = &r->m->jobs[job].legs[leg];
    const struct workflow_job *spec = r->f->jobs[job].spec;
    bool any = false;
    jw_begin(b, '{');
    jw_kstr(b, "name", r->f->jobs[job].legs[leg].name);
    jw_kstr(b, "phase", str_of(flow_phases[l->phase]));
    jw_kstr(b, "steps", str_of(l->letters));
    for (size_t i = 0; i < spec->steps.n; i++) {
        if (l->letters[i] != 'R' && l->letters[i] != 'F')
            continue;
        if (!any)
            jw_kbegin(b, "runs", '[');
        any = true;
        jw_begin(b, '{');
        jw_kstr(b, "step", spec->steps.v[i].name);
        jw_kstr(b, "name", child_name(r, job, leg, i));
        jw_end(b, '}');
    }
    if (any)
        jw_end(b, ']');
    jw_end(b, '}');
}

static void put_jobs(struct reconcile *r, struct buf *b)
{
    jw_kbegin(b, "jobs", '{');
    for (size_t i = 0; i < r->f->njobs; i++) {
        const struct flow_job_memory *m = &r->m->jobs[i];
        jw_key(b, r->f->jobs[i].name);
        jw_begin(b, '{');
        jw_kstr(b, "phase", str_of(flow_phases[m->phase]));
        put_map(b, "outputs", m->outputs);
        jw_kbegin(b, "legs", '[');
        for (size_t l = 0; l < m->nlegs; l++)
            put_leg(r, b, i, l);
        jw_end(b, ']');
        jw_end(b, '}');
    }
    jw_end(b, '}');
}

/* Conditions are those of a Run: the list is made by the same function. */
static void put_conditions(struct reconcile *r, struct buf *b, enum flow_phase phase)
{
    bool ok = phase == FLOW_SUCCEEDED;
    const char *reason = ok ? "Succeeded" : r->m->reason.n ? arena_z(r->a, r->m->reason) : flow_phases[phase];
    struct run_condition_set set[] = { { .type = "Finished", .status = "True", .reason = reason }, { .type = "Succeeded", .status = ok ? "True" : "False", .reason = reason } };
    jw_key(b, S("conditions"));
    run_put_conditions(b, NULL, set, LEN(set), r->now_us);
}

static void put_time(struct buf *b, const char *key, int64_t us)
{
    char text[TIME_TEXT];
    time_print(text, us);
    jw_kstr(b, key, str_of(text));
}

static void put_status(struct reconcile *r, struct buf *b, enum flow_phase phase, struct str_map outputs)
{
    bool over = phase >= FLOW_SUCCEEDED;
    jw_kstr(b, "phase", str_of(flow_phases[phase]));
    jw_kint(b, "observedGeneration", r->w->metadata.generation);
    if (phase == FLOW_SUCCEEDED) {                /* though a reason was written: what was to stop came to its end while no controller was there */
        jw_kraw(b, "reason", S("null"));
        jw_kraw(b, "message", S("null"));
    } else if (over || r->m->reason.n) {          /* long before the end, as it is seen once */
        jw_kstr(b, "reason", r->m->reason.n ? r->m->reason : str_of(flow_phases[phase]));
        if (r->m->message.n)
            jw_kstr(b, "message", r->m->message);
    }
    put_map(b, "outputs", outputs);
    if (r->f)
        put_jobs(r, b);
}

static void add_op(struct reconcile *r, struct str status, bool over)
{
    AUTO_BUF struct buf b = { .max = LIMIT_API_BODY };
    buf_lit(&b, "{\"status\":");
    buf_str(&b, status);
    buf_byte(&b, '}');
    struct plan_op *op = plan_add(r->p, PLAN_MERGE_PATCH, &kube_workflows, r->w->metadata.namespace, r->w->metadata.name);
    op->sub = "status";
    op->body = arena_str(&r->p->arena, buf_view(&b));
    op->missing_is_fine = op->beside = true;
    op->why = over ? "it is over" : "progress";
}

void status_plan(struct reconcile *r, enum flow_phase phase, struct str_map outputs)
{
    AUTO_BUF struct buf b = { .max = LIMIT_API_BODY }, whole = { .max = LIMIT_API_BODY };
    bool over = phase >= FLOW_SUCCEEDED, first = !r->w->has_status || !r->w->status.start_time.n;
    if (!over && r->m->written && r->now_us < r->m->written_us + PROGRESS_US) {      /* not even put together, for the many legs there may be */
        int64_t at = r->m->written_us + PROGRESS_US;
        if (!r->p->look_again_us || at < r->p->look_again_us)
            r->p->look_again_us = at;
        return;
    }
    jw_begin(&b, '{');
    put_status(r, &b, phase, outputs);
    if (r->m->written && str_is(buf_view(&b), r->m->written))
        return;
    free(r->m->written);
    r->m->written = xstrndup(b.p, b.n);
    r->m->written_us = r->now_us;
    if (first)
        put_time(&b, "startTime", r->now_us);
    if (over) {
        put_time(&b, "completionTime", r->now_us);
        put_conditions(r, &b, phase);
    }
    jw_end(&b, '}');
    add_op(r, buf_view(&b), over);
}
