/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc: when finished Runs go: when their TTL is over, or when there are more of their phase in their namespace than are to be kept.
 * A Run that a live controller owns goes with its owner. Tests: tests/golden/plans/controller, tests/local/history.py
 */
#include "applets/controller/controller.h"
#include "core/clock.h"

int64_t gc_ended_us(const struct run *r)
{
    int64_t end;
    if (!run_is_terminal(r) || r->metadata.deletion_timestamp.n)
        return 0;
    for (size_t i = 0; i < r->metadata.owner_references.n; i++)
        if (r->metadata.owner_references.v[i].controller)
            return 0;
    return time_parse(r->status.completion_time, &end) ? end : 0;
}

int64_t gc_due_us(const struct run *r)
{
    int64_t end = gc_ended_us(r);
    return end && r->spec.has_ttl_seconds_after_finished ? end + r->spec.ttl_seconds_after_finished * 1000000 : 0;
}

/* In v, sorted, the oldest; of two of one moment either. */
void gc_oldest(struct gc_ended *v, size_t *n, size_t max, struct gc_ended one)
{
    size_t at = *n;
    if (*n == max && (!max || one.ended_us >= v[max - 1].ended_us))
        return;
    while (at && v[at - 1].ended_us > one.ended_us)
        at--;
    *n += *n < max;
    memmove(v + at + 1, v + at, (*n - at - 1) * sizeof *v);
    v[at] = one;
}

int gc_limits_read(struct gc_limits *l, const struct str *v, size_t n, struct kr_err *e)
{
    *l = (struct gc_limits){ 0 };
    for (size_t i = 0; i < n; i++) {
        struct str rest = v[i], phase = str_cut(&rest, '=');
        uint64_t keep;
        if (!run_phase_is_terminal(phase) || !str_u64(rest, &keep) || keep > INT64_MAX)
            return kr_fail(e, KR_USAGE, "--keep %.*s: it is PHASE=N, where PHASE is Succeeded, Failed, Timeout or Cancelled", SFMT(v[i]));
        for (size_t k = 0; k < l->n; k++)
            if (str_eq(l->v[k].phase, phase))
                return kr_fail(e, KR_USAGE, "--keep %.*s: there is another one for that phase", SFMT(v[i]));
        l->v[l->n++] = (struct gc_limit){ phase, keep };
    }
    return 0;
}

bool gc_limit_of(const struct gc_limits *l, struct str phase, uint64_t *keep)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->v[i].phase, phase)) {
            *keep = l->v[i].keep;
            return true;
        }
    return false;
}
