/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow: jobs and their order. A depth-first walk finds the order and, where there is none, the cycle to be told. Sets of jobs
 * are bits: there are at most 64. Tests: tests/unit/crds/flow.c
 */
#include "crds/flow.h"

static int by_name(const void *a, const void *b) { return str_cmp(((const struct flow_job *)a)->name, ((const struct flow_job *)b)->name); }

/* Both names may have dots: the first that is the name of a job is it. */
ptrdiff_t flow_artifact_of(const struct flow *f, struct str from, struct str *name)
{
    struct str between = S(".artifacts."), rest = str_starts(from, S("jobs.")) ? str_from(from, 5) : S("");
    for (size_t i = 1; i + between.n < rest.n; i++) {
        ptrdiff_t job;
        if (!str_starts(str_from(rest, i), between) || (job = flow_job_of(f, (struct str){ rest.p, i })) < 0)
            continue;
        *name = str_from(rest, i + between.n);
        return job;
    }
    return -1;
}

ptrdiff_t flow_job_of(const struct flow *f, struct str name)
{
    for (size_t i = 0; i < f->njobs; i++)
        if (str_eq(f->jobs[i].name, name))
            return (ptrdiff_t)i;
    return -1;
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

struct walk { struct flow *f; uint64_t done, open; size_t path[64], depth, n; struct kr_err *e; };

static int tell_cycle(struct walk *w, size_t at)
{
    AUTO_BUF struct buf b = { .max = 400 };
    size_t from = 0;
    while (w->path[from] != at)
        from++;
    for (size_t i = from; i < w->depth; i++)
        buf_fmt(&b, "%.*s -> ", SFMT(w->f->jobs[w->path[i]].name));
    buf_fmt(&b, "%.*s", SFMT(w->f->jobs[at].name));
    struct str first = w->f->jobs[at].name;
    return kr_fail(w->e, KR_INVALID, "jobs.%.*s.needs: goes in a circle: %.*s", SFMT(first), SFMT(buf_view(&b)));
}

static int visit(struct walk *w, size_t at)
{
    struct flow_job *j = &w->f->jobs[at];
    if (w->done >> at & 1)
        return 0;
    if (w->open >> at & 1)
        return tell_cycle(w, at);
    w->open |= UINT64_C(1) << at;
    w->path[w->depth++] = at;
    for (size_t i = 0; i < w->f->njobs; i++) {
        if (!(j->needs >> i & 1))
            continue;
        if (visit(w, i) < 0)
            return -1;
        j->above |= w->f->jobs[i].above | UINT64_C(1) << i;
    }
    w->depth--;
    w->done |= UINT64_C(1) << at;
    w->f->order[w->n++] = at;
    return 0;
}

static int find_needs(struct flow *f, struct flow_job *j, struct kr_err *e)
{
    for (size_t i = 0; i < j->spec->needs.n; i++) {
        struct str name = j->spec->needs.v[i];
        ptrdiff_t at = flow_job_of(f, name);
        if (at < 0)
            return kr_fail(e, KR_INVALID, "jobs.%.*s.needs[%zu]: there is no job \"%.*s\"", SFMT(j->name), i, SFMT(name));
        j->needs |= UINT64_C(1) << at;
    }
    return 0;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static int check_steps(const struct flow_job *j, struct kr_err *e)
{
    const struct workflow_job *s = j->spec;
    if (!s->steps.n)
        return kr_fail(e, KR_INVALID, "jobs.%.*s.steps: a job needs at least one", SFMT(j->name));
    for (size_t i = 0; i < s->steps.n; i++) {
        for (size_t k = 0; k < i; k++)
            if (str_eq(s->steps.v[i].name, s->steps.v[k].name))
                return kr_fail(e, KR_INVALID, "jobs.%.*s.steps[%zu].name: \"%.*s\" is the name of steps[%zu] too", SFMT(j->name), i, SFMT(s->steps.v[i].name), k);
    }
    return 0;
}

static int count(const struct flow *f, struct kr_err *e)
{
    size_t legs = 0, children = 0;
    for (size_t i = 0; i < f->njobs; i++) {
        legs += f->jobs[i].nlegs;
        children += f->jobs[i].nlegs * f->jobs[i].spec->steps.n;
    }
    if (legs > LIMIT_FLOW_LEGS)
        return kr_fail(e, KR_INVALID, "jobs: %zu legs in all, at most %d are allowed", legs, LIMIT_FLOW_LEGS);
    return children <= LIMIT_FLOW_CHILDREN ? 0 : kr_fail(e, KR_INVALID, "jobs: %zu child Runs in all, at most %d are allowed", children, LIMIT_FLOW_CHILDREN);
}

struct flow *flow_make(const struct workflow *w, struct arena *a, struct kr_err *e)
{
    struct flow *f = arena_new(a, struct flow);
    size_t n = w->spec.jobs.n;
    if (!f)
        return kr_fail(e, KR_TOO_LARGE, "the Workflow is too large"), NULL;
    if (!n || n > LEN(f->jobs))
        return kr_fail(e, KR_INVALID, "jobs: there must be 1 to %zu", LEN(f->jobs)), NULL;
    f->w = w;
    f->a = a;
    f->njobs = n;
    for (size_t i = 0; i < n; i++)
        f->jobs[i] = (struct flow_job){ .name = w->spec.jobs.v[i].key, .spec = &w->spec.jobs.v[i].value };
    qsort(f->jobs, n, sizeof *f->jobs, by_name);
    struct walk walk = { .f = f, .e = e };
    for (size_t i = 0; i < n; i++)
        if (check_steps(&f->jobs[i], e) < 0 || find_needs(f, &f->jobs[i], e) < 0)
            return NULL;
    for (size_t i = 0; i < n; i++)
        if (visit(&walk, i) < 0 || flow_legs(&f->jobs[i], a, e) < 0)
            return NULL;
    return count(f, e) < 0 ? NULL : f;
}

struct str_map flow_merge(struct str_map under, struct str_map over, struct arena *a)
{
    struct str_map m = { arena_alloc(a, (under.n + over.n + 1) * sizeof *m.v), 0 };
    for (size_t i = 0; m.v && i < under.n; i++)
        if (!str_map_get(over, under.v[i].key).p)
            m.v[m.n++] = under.v[i];
    for (size_t i = 0; m.v && i < over.n; i++)
        m.v[m.n++] = over.v[i];
    return m;
}
