/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow_check: every expression of a Workflow is compiled where it stands, before anything is done. What remains for later is
 * only what depends on values. Tests: tests/unit/crds/flow.c
 */
#include "crds/flow.h"

static int check_expr(const struct flow_scope *c, const struct flow_part *p, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_FLOW_ARENA };
    struct flow_env env;
    struct expr *x = flow_compile(c, p->text, &a, &env, e);
    bool condition = c->place == FLOW_JOB_IF || c->place == FLOW_STEP_IF;
    enum expr_kind k = x ? expr_yields(x) : EXPR_DYN;
    expr_free(x);
    if (!x)
        return -1;
    if (condition && k != EXPR_DYN && k != EXPR_BOOL)
        return kr_fail(e, KR_INVALID, "a condition must yield a bool");
    return 0;
}

static int check_text(const struct flow_scope *c, struct str text, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_FLOW_ARENA };
    struct flow_part *parts;
    size_t n;
    if (str_find(text, S("${{")) < 0)
        return 0;
    if (flow_parts(text, &a, &parts, &n, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (parts[i].is_expr && check_expr(c, &parts[i], e) < 0)
            return -1;
    return 0;
}

static int check_if(const struct flow_scope *c, struct str text, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_FLOW_ARENA };
    struct flow_part whole = { .is_expr = true };
    if (!text.p)
        return 0;
    return flow_condition(text, &a, &whole.text, e) < 0 ? -1 : check_expr(c, &whole, e);
}

static bool name_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_';
        if (!letter && !(i && ((ch >= '0' && ch <= '9') || ch == '.' || ch == '-')))
            return false;
    }
    return s.n && s.n <= 128;
}

static int check_env(const struct flow_scope *c, struct str_map env, struct kr_err *e)
{
    for (size_t i = 0; i < env.n; i++) {
        if (!name_ok(env.v[i].key))
            return kr_fail(e, KR_INVALID, "\"%.*s\" is no name of a variable", (int)(env.v[i].key.n < 128 ? env.v[i].key.n : 128), env.v[i].key.p);
        if (check_text(c, env.v[i].value, e) < 0)
            return kr_wrap(e, "%.*s", SFMT(env.v[i].key));
    }
    return 0;
}

static int check_map(const struct flow_scope *c, struct str_map m, struct kr_err *e)
{
    for (size_t i = 0; i < m.n; i++)
        if (check_text(c, m.v[i].value, e) < 0)
            return kr_wrap(e, "%.*s", SFMT(m.v[i].key));
    return 0;
}

/* From jobs above only: of no other is it known that it is over. */
static int check_artifacts(const struct flow_scope *c, const struct workflow_step *s, struct kr_err *e)
{
    for (size_t i = 0; i < s->artifacts.n; i++) {
        struct str from = s->artifacts.v[i].from, name;
        ptrdiff_t job = flow_artifact_of(c->f, from, &name);
        if (job < 0)
            return kr_fail(e, KR_INVALID, "artifacts[%zu].from: \"%.*s\" names no job of this Workflow", i, SFMT(from));
        if (!(c->job->above >> job & 1))
            return kr_fail(e, KR_INVALID, "artifacts[%zu].from: the job \"%.*s\" is not among those that this one needs", i, SFMT(c->f->jobs[job].name));
    }
    return 0;
}

static int check_step(struct flow_scope *c, struct kr_err *e)
{
    const struct workflow_step *s = &c->job->spec->steps.v[c->step];
    c->place = FLOW_STEP_IF;
    if (check_if(c, s->if_, e) < 0)
        return kr_wrap(e, "if");
    c->place = FLOW_STEP_ENV;
    if (check_env(c, s->env, e) < 0)
        return kr_wrap(e, "env");
    c->place = FLOW_STEP_TEXT;
    if (check_text(c, s->run, e) < 0)
        return kr_wrap(e, "run");
    for (size_t i = 0; i < s->args.n; i++)
        if (check_text(c, s->args.v[i], e) < 0)
            return kr_wrap(e, "args[%zu]", i);
    return check_artifacts(c, s, e);
}

static int check_job(struct flow_scope *c, struct kr_err *e)
{
    c->place = FLOW_JOB_IF;
    if (check_if(c, c->job->spec->if_, e) < 0)
        return kr_wrap(e, "if");
    c->place = FLOW_JOB_ENV;
    if (check_env(c, c->job->spec->env, e) < 0)
        return kr_wrap(e, "env");
    for (c->step = 0; c->step < c->job->spec->steps.n; c->step++)
        if (check_step(c, e) < 0)
            return kr_wrap(e, "steps[%zu]", c->step);
    c->place = FLOW_JOB_OUTPUT;
    return check_map(c, c->job->spec->outputs, e) < 0 ? kr_wrap(e, "outputs") : 0;
}

/* "a: b: c: at 3: …" → "a.b.c: at 3: …": the parts that kr_wrap put in front are a path. */
static void join_path(struct kr_err *e, size_t parts)
{
    char *at = e->msg;
    for (size_t i = 0; i < parts && (at = strstr(at, ": ")); i++) {
        *at++ = '.';
        memmove(at, at + 1, strlen(at + 1) + 1);
    }
}

int flow_check(const struct flow *f, struct kr_err *e)
{
    struct flow_scope c = { .f = f, .place = FLOW_ENV };
    const struct workflow_spec *s = &f->w->spec;
    if (check_env(&c, s->env, e) < 0)
        return kr_wrap(e, "env"), join_path(e, 0), -1;
    for (size_t i = 0; i < f->njobs; i++) {
        c = (struct flow_scope){ .f = f, .job = &f->jobs[i] };
        if (check_job(&c, e) < 0) {
            bool in_step = c.place >= FLOW_STEP_IF && c.place <= FLOW_STEP_TEXT;
            kr_wrap(e, "jobs.%.*s", SFMT(f->jobs[i].name));
            join_path(e, in_step ? 2 : 1);
            return -1;
        }
    }
    c = (struct flow_scope){ .f = f, .place = FLOW_OUTPUT };
    return check_map(&c, s->outputs, e) < 0 ? kr_wrap(e, "outputs") : 0;
}

/* ---- what may surprise ------------------------------------------------------------------------------------------------ */

void flow_lint(const struct flow *f, void (*warn)(void *ctx, struct str place, const char *text), void *ctx)
{
    for (size_t i = 0; i < f->njobs; i++)
        for (size_t k = 0; k < f->jobs[i].spec->steps.n; k++) {
            AUTO_ARENA struct arena a = { .limit = LIMIT_FLOW_ARENA };
            const struct workflow_step *s = &f->jobs[i].spec->steps.v[k];
            if (str_find(s->run, S("${{")) >= 0)
                warn(ctx, arena_fmt(&a, "jobs.%.*s.steps[%zu].run", SFMT(f->jobs[i].name), k),
                     "the value of an expression becomes part of the script, and runs: put it into env and use \"$NAME\"");
        }
}
