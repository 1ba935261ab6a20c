/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow_leg: the steps of one leg, in order. Each look goes over the letters from the first that isn't final: what a child
 * says becomes a letter, and the first step that hasn't begun is decided: skipped, or to be created. Letters that are final
 * stay, whatever becomes of the child. Tests: tests/golden/plans/workflow
 */
#include "applets/controller/workflow.h"
#include <stdio.h>

/* A Run that was created and isn't seen after this time is asked for again: it may have gone before anybody looked. */
enum { ASK_AGAIN_US = 5000000 };
struct look {
    struct reconcile *r;
    const struct flow_job *j;
    struct flow_leg_memory *m;
    size_t job, leg;
    bool failed, cut, stop;                       /* cut: something did not run, or not to its end, as the leg was stopped */
    struct flow_act was;                          /* what an earlier round of the same reconcile decided */
};

/* ---- what expressions see ----------------------------------------------------------------------------------------------- */

static struct str_map step_outputs(void *ctx, size_t step)
{
    struct flow_at *at = ctx;
    const struct run *run = NULL;
    enum child_state s = child_look(at->r, child_name(at->r, at->job, at->leg, step), &run);
    return s == CHILD_SUCCEEDED ? run->status.outputs : (struct str_map){ 0 };
}

struct flow_data leg_data(struct flow_at *at, struct str_map env)
{
    return (struct flow_data){ .env = env, .matrix = at->r->f->jobs[at->job].legs[at->leg].matrix, .step_outputs = step_outputs, .job_outputs = job_outputs, .ctx = at };
}

static int condition(struct look *k, size_t step, bool stop, bool *out, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_FLOW_ARENA };
    struct flow_at at = { k->r, k->job, k->leg };
    struct str text = k->j->spec->steps.v[step].if_;
    struct flow_data d = leg_data(&at, text.p ? known_job_env(&at, &a) : (struct str_map){ 0 });
    struct flow_scope c = { .f = k->r->f, .place = FLOW_STEP_IF, .job = k->j, .step = step };
    d.failure = k->failed;
    d.cancelled = stop;
    d.success = !k->failed && !stop;
    return flow_if(&c, &d, text, k->r->a, out, e);
}

/* ---- letters ------------------------------------------------------------------------------------------------------------- */

static void blame(struct look *k, size_t step, const char *reason, struct str message)
{
    struct str leg = k->j->legs[k->leg].name;
    flow_blame(k->r, reason, arena_fmt(k->r->a, "jobs.%.*s.steps[%zu] (%.*s%s%.*s): %.*s", SFMT(k->j->name), step, SFMT(k->j->spec->steps.v[step].name),
                                       leg.n ? ", leg " : "", SFMT(leg), SFMT(message)));
}

static bool forgives(const struct look *k, size_t step) { return k->j->spec->steps.v[step].has_continue_on_error && k->j->spec->steps.v[step].continue_on_error; }

static void fail(struct look *k, size_t step, const char *reason, struct str message)
{
    k->m->letters[step] = 'F';
    if (!forgives(k, step) && !job_forgives(k->r, k->job))
        blame(k, step, reason, message);
}

static struct str name_of(struct look *k, size_t step)
{
    if (k->m->named != step + 1) {
        snprintf(k->m->child, sizeof k->m->child, "%.*s", SFMT(child_name(k->r, k->job, k->leg, step)));
        k->m->named = step + 1;
    }
    return str_of(k->m->child);
}

/* What the child says. */
static void read_child(struct look *k, size_t step)
{
    char *letter = &k->m->letters[step];
    const struct run *run = NULL;
    int64_t created;
    struct str name = name_of(k, step);
    if (*letter == 'R' && k->m->begun_us && k->r->v->goes_on(k->r->v->ctx, name))
        return;                                   /* as it did when it was looked at whole */
    enum child_state s = child_look(k->r, name, &run);
    if (run && time_parse(run->metadata.creation_timestamp, &created) && (!k->m->begun_us || created < k->m->begun_us))
        k->m->begun_us = created;
    switch (s) {
    case CHILD_NONE:
        if (*letter == 'R')
            fail(k, step, "ExecutionLost", S("its Run was deleted"));
        break;
    case CHILD_FOREIGN:
        fail(k, step, "NameTaken", arena_fmt(k->r->a, "there is a Run \"%.*s\" that isn't of this Workflow", SFMT(name)));
        break;
    case CHILD_ACTIVE:
        *letter = 'R';
        break;
    case CHILD_SUCCEEDED:
        *letter = 'S';
        break;
    case CHILD_CANCELLED:
        *letter = 'C';
        break;
    case CHILD_FAILED:
        fail(k, step, "StepFailed", arena_fmt(k->r->a, "%.*s%s%.*s", SFMT(run->status.reason), run->status.message.n ? ": " : "", SFMT(run->status.message)));
        break;
    }
}

/* Looked for once: a step begins when those before it are over, and from then on it is we who begin it. */
static bool later_began(struct look *k, size_t step)
{
    const struct run *run;
    if (k->m->ours)
        return false;
    for (size_t i = step + 1; i < k->j->spec->steps.n; i++)
        if (k->m->letters[i] != 'W' || child_look(k->r, child_name(k->r, k->job, k->leg, i), &run) > CHILD_FOREIGN)
            return true;
    k->m->ours = true;
    return false;
}

/* A step that hasn't begun: true when it is to be created now. */
static bool decide(struct look *k, size_t step)
{
    struct kr_err e = { 0 };
    bool yes = false;
    struct flow_act *act = &k->r->acts[k->job][k->leg];
    if (k->m->asked_us && k->r->now_us < k->m->asked_us + ASK_AGAIN_US) {      /* it is on its way here */
        int64_t at = k->m->asked_us + ASK_AGAIN_US;
        if (!k->r->p->look_again_us || at < k->r->p->look_again_us)
            k->r->p->look_again_us = at;
        return true;
    }
    /* A later step began: whoever was here before us was done with this one. What it depends on is over and says the same once
     * more; only the stop may be new. */
    bool begun = later_began(k, step);
    if (begun && k->stop && condition(k, step, false, &yes, &e) == 0 && !yes) {
        k->m->letters[step] = 'K';
        return false;
    }
    if (condition(k, step, k->stop, &yes, &e) < 0) {
        kr_wrap(&e, "if");
        fail(k, step, "ExpressionFailed", str_of(e.msg));
        return false;
    }
    if (!yes) {
        k->m->letters[step] = k->stop ? 'C' : 'K';
        return false;
    }
    if (k->was.create && k->was.step == step) {   /* its body says the same once more, and the arena keeps each that is made */
        *act = k->was;
        return true;
    }
    if (k->r->p->arena.used > LIMIT_PLAN_BYTES / 4) {      /* the rest is for the largest body there can be: the next look begins more */
        k->r->p->look_again_us = k->r->now_us;
        return true;
    }
    *act = (struct flow_act){ .create = true, .step = step, .child = name_of(k, step) };
    if (child_body(k->r, act, k->job, k->leg, &e) < 0) {
        *act = (struct flow_act){ 0 };
        fail(k, step, e.code == KR_NOT_FOUND ? "ArtifactMissing" : "ExpressionFailed", str_of(e.msg));
        return false;
    }
    if (begun) {                                  /* it was created, then */
        *act = (struct flow_act){ 0 };
        fail(k, step, "ExecutionLost", S("its Run was deleted"));
        return false;
    }
    return true;
}

/* A step that runs while the leg is to stop goes on only when its condition still holds: always(), cancelled(). */
static void stop_child(struct look *k, size_t step)
{
    struct kr_err e = { 0 };
    const struct run *run = NULL;
    bool yes = false;
    struct str name = name_of(k, step);
    if (k->j->spec->steps.v[step].if_.p && condition(k, step, true, &yes, &e) == 0 && yes)
        return;
    if (child_look(k->r, name, &run) == CHILD_ACTIVE && !(run->spec.has_cancel_requested && run->spec.cancel_requested))
        k->r->acts[k->job][k->leg] = (struct flow_act){ .cancel = true, .step = step, .child = name };
}

/* ---- the leg ------------------------------------------------------------------------------------------------------------- */

/* After a new start: the first child may be over, and isn't looked at for anything else. */
static void find_begin(struct look *k)
{
    const struct run *run = NULL;
    for (size_t i = 0; k->j->spec->has_timeout_seconds && !k->m->begun_us && i < k->j->spec->steps.n; i++)
        if (!strchr("WK", k->m->letters[i]) && child_look(k->r, child_name(k->r, k->job, k->leg, i), &run) > CHILD_FOREIGN)
            time_parse(run->metadata.creation_timestamp, &k->m->begun_us);
}

/* The limit of the job counts from its first child. at_us: now, or when something ended. */
static void check_time(struct look *k, int64_t at_us)
{
    if (!k->j->spec->has_timeout_seconds || !k->m->begun_us || k->m->timed_out)
        return;
    int64_t due = k->m->begun_us + k->j->spec->timeout_seconds * 1000000;
    if (at_us < due) {
        if (k->r->now_us < due && (!k->r->p->look_again_us || due < k->r->p->look_again_us))
            k->r->p->look_again_us = due;
        return;
    }
    k->m->timed_out = true;
    if (!job_forgives(k->r, k->job))
        flow_blame(k->r, "Timeout", arena_fmt(k->r->a, "jobs.%.*s: it took longer than timeoutSeconds: %lld", SFMT(k->j->name), (long long)k->j->spec->timeout_seconds));
}

/* Of a child that was cancelled; 0: it can't be told. Past the limit it was the limit that cancelled it, whoever noticed that. */
static int64_t ended_us(struct look *k, size_t step)
{
    const struct run *run = NULL;
    int64_t end = 0;
    bool there = k->j->spec->has_timeout_seconds && child_look(k->r, child_name(k->r, k->job, k->leg, step), &run) == CHILD_CANCELLED;
    return there && time_parse(run->status.completion_time, &end) ? end : 0;
}

void leg_look(struct reconcile *r, size_t job, size_t leg, bool stop)
{
    struct look k = { .r = r, .j = &r->f->jobs[job], .m = &r->m->jobs[job].legs[leg], .job = job, .leg = leg, .stop = stop, .was = r->acts[job][leg] };
    bool timed = false;
    r->acts[job][leg] = (struct flow_act){ 0 };
    find_begin(&k);
    for (size_t i = 0; i < k.j->spec->steps.n; i++) {
        char *letter = &k.m->letters[i];
        if (*letter == 'W' || *letter == 'R') {
            read_child(&k, i);
            if (*letter != 'W')
                k.m->asked_us = 0;
        }
        if (*letter == 'C')
            check_time(&k, ended_us(&k, i));
        if (!timed && (*letter == 'R' || (*letter == 'W' && !k.stop))) {
            check_time(&k, r->now_us);
            timed = true;
        }
        k.failed |= k.m->timed_out;
        k.stop |= k.m->timed_out;
        k.m->phase = FLOW_RUNNING;
        if (*letter == 'R') {
            if (k.stop)
                stop_child(&k, i);
            return;
        }
        if (*letter == 'W' && decide(&k, i))
            return;
        k.failed |= *letter == 'F' && !forgives(&k, i);
        k.cut |= *letter == 'C';
        k.stop |= *letter == 'C';                 /* somebody cancelled the child, or the stop kept it out: the leg is cancelled */
    }
    k.m->phase = k.failed || k.m->timed_out ? FLOW_FAILED : k.cut ? FLOW_CANCELLED : FLOW_SUCCEEDED;
}
