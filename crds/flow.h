/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow: what a Workflow means, for everybody who has to agree on it: the command line refuses what the controller would end
 * as InvalidWorkflow, in the same words and with the same place ("jobs.build.steps[2].run: at 5: …").
 *
 * Jobs are sorted by name and matrices by key, as an API server doesn't keep the order of maps. Everything lives on the
 * caller's arena.
 *
 *   flow.c            jobs, their legs, the order             flow_scope.c      which names an expression may use, and where
 *   flow_legs.c       matrix → legs                           flow_eval.c       their values, and the functions
 *   flow_template.c   text with ${{ }}                        flow_check.c      every expression of a Workflow, tried
 */
#ifndef CRDS_FLOW_H
#define CRDS_FLOW_H
#include "core/expr.h"
#include "crds/crds.h"

struct flow_leg { struct str name; struct str_map matrix; };      /* name: "" without a matrix, else values, "linux, 3.12" */
struct flow_job {
    struct str name;
    const struct workflow_job *spec;
    struct flow_leg *legs; size_t nlegs;
    uint64_t needs, above;                        /* bits by index of jobs: those it names, and those above them too */
};
struct flow {
    const struct workflow *w;
    struct arena *a;
    struct flow_job jobs[64]; size_t njobs;
    size_t order[64];                             /* each job after those it needs */
};
/* KR_INVALID: unknown needs, a cycle ("a -> b -> a"), too many legs or child Runs, two steps of a name. */
struct flow *flow_make(const struct workflow *, struct arena *, struct kr_err *);
/* Every expression is compiled and its references are looked up; names of variables are checked. */
int flow_check(const struct flow *, struct kr_err *);
/* Things that work and may surprise. */
void flow_lint(const struct flow *, void (*warn)(void *ctx, struct str place, const char *text), void *ctx);
ptrdiff_t flow_job_of(const struct flow *, struct str name);      /* index, -1 when there is none */
/* Of steps[].artifacts[].from: the job's index, -1 when there is none of that name; and the artifact's name. */
ptrdiff_t flow_artifact_of(const struct flow *, struct str from, struct str *name);

/* ---- expressions ------------------------------------------------------------------------------------------------- */
enum flow_place { FLOW_ENV, FLOW_JOB_IF, FLOW_JOB_ENV, FLOW_STEP_IF, FLOW_STEP_ENV, FLOW_STEP_TEXT, FLOW_JOB_OUTPUT, FLOW_OUTPUT };
/* Where an expression stands: which names it may use follows. */
struct flow_scope { const struct flow *f; enum flow_place place; const struct flow_job *job; size_t step; };
/* What the names stand for. Outputs of what has none, or hasn't ended: an empty map. */
struct flow_data {
    struct str_map env, matrix;                   /* evaluated before */
    struct str_map (*step_outputs)(void *ctx, size_t step);
    struct str_map (*job_outputs)(void *ctx, size_t job);
    void *ctx;
    bool success, failure, cancelled;             /* what the functions of `if` answer */
};
/* Text with its expressions replaced. An output that isn't there is an error, as in CEL: has(steps.a.outputs.k) asks. */
int flow_text(const struct flow_scope *, const struct flow_data *, struct str text, struct arena *, struct str *out, struct kr_err *);
/* A condition, with or without ${{ }}. Without one of success() failure() always() cancelled() in it, success() is asked first;
 * an absent one (p NULL) is success(). */
int flow_if(const struct flow_scope *, const struct flow_data *, struct str text, struct arena *, bool *out, struct kr_err *);
/* Pairs of `over` go over those of `under`. */
struct str_map flow_merge(struct str_map under, struct str_map over, struct arena *);

/* ---- shared by flow_*.c only --------------------------------------------------------------------------------------- */
struct flow_part { struct str text; bool is_expr; size_t at; };    /* at: offset of the expression in the whole */
/* Cuts a text into plain parts and expressions; KR_INVALID when one isn't closed. */
int flow_parts(struct str text, struct arena *, struct flow_part **parts, size_t *n, struct kr_err *);
int flow_legs(struct flow_job *, struct arena *, struct kr_err *);
struct flow_env { struct expr_env env; struct expr_var vars[5]; };
/* The variables of a scope in the order workflow, env, matrix, jobs, steps, as far as the place has them. */
void flow_env_of(const struct flow_scope *, struct arena *, struct flow_env *);
/* steps.my-step → steps.my__dash__step: CEL would take it for a subtraction. Errors tell positions of the text before. */
struct expr *flow_compile(const struct flow_scope *, struct str expression, struct arena *, struct flow_env *, struct kr_err *);
bool flow_asks_status(struct str expression);     /* one of the four functions is called in it */
int flow_condition(struct str text, struct arena *, struct str *expression, struct kr_err *);   /* the one expression of an `if` */
extern const struct expr_fn flow_functions[];
extern const size_t flow_nfunctions, flow_nplain; /* the first nplain may be used anywhere, the others in `if` */
#endif
