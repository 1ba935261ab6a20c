/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow_legs: matrix → legs: every combination but the excluded ones, then what include adds. Keys go by name, values as they
 * stand; the last key changes fastest. Tests: tests/unit/crds/flow.c
 */
#include "crds/flow.h"

static int by_key(const void *a, const void *b) { return str_cmp(((const struct str_list_pair *)a)->key, ((const struct str_list_pair *)b)->key); }
static int by_name(const void *a, const void *b) { return str_cmp(((const struct str_pair *)a)->key, ((const struct str_pair *)b)->key); }

/* Does the combination have all pairs of the pattern? */
static bool has_all(struct str_map combination, struct str_map pattern)
{
    for (size_t i = 0; i < pattern.n; i++) {
        struct str v = str_map_get(combination, pattern.v[i].key);
        if (!v.p || !str_eq(v, pattern.v[i].value))
            return false;
    }
    return true;
}

static bool excluded(const struct workflow_strategy *s, struct str_map combination)
{
    for (size_t i = 0; i < s->exclude.n; i++)
        if (has_all(combination, s->exclude.v[i]))
            return true;
    return false;
}

static bool taken(const struct flow_job *j, struct str name)
{
    for (size_t i = 0; i < j->nlegs; i++)
        if (str_eq(j->legs[i].name, name))
            return true;
    return false;
}

/* "linux, 3.12", unique in the job and at most 253 bytes. */
static struct str name_of(const struct flow_job *j, struct str_map m, struct arena *a)
{
    AUTO_BUF struct buf b = { .max = 16384 };
    for (size_t i = 0; i < m.n; i++)
        buf_fmt(&b, "%s%.*s", i ? ", " : "", SFMT(m.v[i].value));
    struct str whole = { b.p ? b.p : "", str_rune_cut(buf_view(&b), 240) };
    if (whole.n == b.n && !taken(j, whole))
        return arena_str(a, whole);
    struct str name;
    size_t i = j->nlegs;
    do
        name = arena_fmt(a, "%.*s #%zu", SFMT(whole), i++);
    while (name.n && taken(j, name));             /* a value may end like that itself; empty: memory is out */
    return name;
}

static int add(struct flow_job *j, struct str_map m, struct arena *a, struct kr_err *e)
{
    if (j->nlegs == 256)
        return kr_fail(e, KR_INVALID, "jobs.%.*s.strategy: makes more than 256 legs", SFMT(j->name));
    struct flow_leg *leg = &j->legs[j->nlegs];
    leg->matrix = m;
    leg->name = name_of(j, m, a);
    j->nlegs++;
    return 0;
}

static int combine(struct flow_job *j, const struct str_list_pair *keys, size_t nkeys, struct arena *a, struct kr_err *e)
{
    size_t at[8] = { 0 };
    for (;;) {
        struct str_map m = { arena_alloc(a, (nkeys + 1) * sizeof *m.v), nkeys };
        if (!m.v)
            return kr_fail(e, KR_TOO_LARGE, "jobs.%.*s.strategy: needs too much memory", SFMT(j->name));
        for (size_t i = 0; i < nkeys; i++)
            m.v[i] = (struct str_pair){ keys[i].key, keys[i].value.v[at[i]] };
        if (!excluded(&j->spec->strategy, m) && add(j, m, a, e) < 0)
            return -1;
        size_t k = nkeys;
        while (k && ++at[k - 1] == keys[k - 1].value.n)
            at[--k] = 0;
        if (!k)
            return 0;
    }
}

int flow_legs(struct flow_job *j, struct arena *a, struct kr_err *e)
{
    const struct workflow_strategy *s = &j->spec->strategy;
    size_t nkeys = s->matrix.n;
    bool any = j->spec->has_strategy && (nkeys || s->include.n);
    j->legs = arena_alloc(a, (any ? 256 : 1) * sizeof *j->legs);
    if (!j->legs || nkeys > 8)
        return kr_fail(e, KR_TOO_LARGE, "jobs.%.*s.strategy: needs too much memory", SFMT(j->name));
    if (!any) {
        j->nlegs = 1;
        j->legs[0].name = S("");
        return 0;
    }
    struct str_list_pair keys[8] = { 0 };
    if (nkeys)
        memcpy(keys, s->matrix.v, nkeys * sizeof *keys);
    qsort(keys, nkeys, sizeof *keys, by_key);
    for (size_t i = 0; i < nkeys; i++)
        if (!keys[i].value.n)
            return kr_fail(e, KR_INVALID, "jobs.%.*s.strategy.matrix.%.*s: has no values", SFMT(j->name), SFMT(keys[i].key));
    if (nkeys && combine(j, keys, nkeys, a, e) < 0)
        return -1;
    for (size_t i = 0; i < s->include.n; i++) {
        struct str_map m = { arena_copy(a, s->include.v[i].v, s->include.v[i].n * sizeof *m.v), s->include.v[i].n };
        if (m.v)
            qsort(m.v, m.n, sizeof *m.v, by_name);
        if (add(j, m, a, e) < 0)
            return -1;
    }
    return j->nlegs ? 0 : kr_fail(e, KR_INVALID, "jobs.%.*s.strategy: exclude leaves no leg", SFMT(j->name));
}
