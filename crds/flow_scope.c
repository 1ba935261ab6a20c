/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow_scope: which names an expression may use, as schemas that core/expr asks while it compiles.
 *
 *   place             workflow  env                   matrix  jobs (needs, transitively)  steps (earlier)  success() …
 *   spec.env             ×
 *   job if               ×      spec                            ×                                             ×
 *   job env              ×      spec                    ×       ×
 *   step if              ×      spec, job               ×       ×                            ×                ×
 *   step env             ×      spec, job               ×       ×                            ×
 *   step run, args       ×      spec, job, step         ×       ×                            ×
 *   job outputs          ×      spec, job               ×       ×                            × (all)
 *   spec.outputs         ×      spec                            × (all)
 */
#include "crds/flow.h"

/* A schema and what its fields are looked up in. */
enum what { W_WORKFLOW, W_ENV, W_MATRIX, W_JOBS, W_STEPS, W_JOB, W_STEP, W_OUTPUTS };
struct node { struct expr_schema s; enum what what; const struct flow_scope *scope; const struct flow_job *job; struct arena *a; };

static const struct expr_schema text_schema = { .kind = EXPR_STRING };
static const struct expr_schema *text_items(const struct expr_schema *s)
{
    (void)s;
    return &text_schema;
}
static const struct expr_schema any_outputs = { .kind = EXPR_MAP, .items = text_items };

static const struct expr_schema *field(const struct expr_schema *s, struct str name);

static const struct expr_schema *make(const struct node *of, enum what what, const struct flow_job *job)
{
    struct node *n = arena_new(of->a, struct node);
    if (!n)
        return &text_schema;
    *n = (struct node){ .s = { .kind = EXPR_OBJECT, .field = field }, .what = what, .scope = of->scope, .job = job, .a = of->a };
    return &n->s;
}

static bool env_has(const struct flow_scope *c, struct str name)
{
    const struct workflow_spec *w = &c->f->w->spec;
    bool job = c->place >= FLOW_STEP_IF && c->place <= FLOW_JOB_OUTPUT;
    return str_map_get(w->env, name).p || (job && str_map_get(c->job->spec->env, name).p) ||
           (c->place == FLOW_STEP_TEXT && str_map_get(c->job->spec->steps.v[c->step].env, name).p);
}

static bool matrix_has(const struct flow_job *j, struct str name)
{
    for (size_t i = 0; i < j->nlegs; i++)
        if (str_map_get(j->legs[i].matrix, name).p)
            return true;
    return false;
}

static bool step_is_before(const struct flow_scope *c, struct str name)
{
    size_t n = c->place == FLOW_JOB_OUTPUT ? c->job->spec->steps.n : c->step;
    for (size_t i = 0; i < n; i++)
        if (str_eq(c->job->spec->steps.v[i].name, name))
            return true;
    return false;
}

static const struct expr_schema *job_field(const struct node *n, struct str name)
{
    ptrdiff_t at = flow_job_of(n->scope->f, name);
    if (at < 0 || (n->scope->place != FLOW_OUTPUT && !(n->scope->job->above >> at & 1)))
        return NULL;
    return make(n, W_JOB, &n->scope->f->jobs[at]);
}

static const struct expr_schema *field(const struct expr_schema *s, struct str name)
{
    const struct node *n = container_of(s, struct node, s);
    switch (n->what) {
    case W_WORKFLOW: return str_is(name, "name") || str_is(name, "namespace") || str_is(name, "uid") ? &text_schema : NULL;
    case W_ENV: return env_has(n->scope, name) ? &text_schema : NULL;
    case W_MATRIX: return matrix_has(n->scope->job, name) ? &text_schema : NULL;
    case W_JOBS: return job_field(n, name);
    case W_STEPS: return step_is_before(n->scope, name) ? make(n, W_STEP, NULL) : NULL;
    case W_JOB: return str_is(name, "outputs") ? make(n, W_OUTPUTS, n->job) : NULL;
    case W_STEP: return str_is(name, "outputs") ? &any_outputs : NULL;
    case W_OUTPUTS: return str_map_get(n->job->spec->outputs, name).p ? &text_schema : NULL;
    }
    return NULL;
}

void flow_env_of(const struct flow_scope *scope, struct arena *a, struct flow_env *env)
{
    static const struct { const char *name; enum what what; unsigned places; } rows[] = {
#define AT(p) (1u << FLOW_##p)
        { "workflow", W_WORKFLOW, ~0u },
        { "env", W_ENV, ~AT(ENV) },
        { "matrix", W_MATRIX, AT(JOB_ENV) | AT(STEP_IF) | AT(STEP_ENV) | AT(STEP_TEXT) | AT(JOB_OUTPUT) },
        { "jobs", W_JOBS, ~AT(ENV) },
        { "steps", W_STEPS, AT(STEP_IF) | AT(STEP_ENV) | AT(STEP_TEXT) | AT(JOB_OUTPUT) },
#undef AT
    };
    struct node root = { .scope = scope, .a = a };
    bool condition = scope->place == FLOW_JOB_IF || scope->place == FLOW_STEP_IF;
    size_t n = 0;
    for (size_t i = 0; i < LEN(rows); i++)
        if (rows[i].places >> scope->place & 1)
            env->vars[n++] = (struct expr_var){ rows[i].name, make(&root, rows[i].what, NULL) };
    env->env = (struct expr_env){ env->vars, n, flow_functions, condition ? flow_nfunctions : flow_nplain };
}
