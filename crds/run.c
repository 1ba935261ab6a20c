/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: the phase table's words and the shape of status patches, once. Tested in tests/unit/crds/run.c.
 */
#include "crds/run.h"
#include "core/clock.h"
#include <stdio.h>

enum { BACKOFF_US = 1000000, BACKOFF_MAX_US = 60000000 };

bool run_phase_is_terminal(struct str p)
{
    return str_is(p, "Succeeded") || str_is(p, "Failed") || str_is(p, "Timeout") || str_is(p, "Cancelled");
}

struct str run_phase(const struct run *r) { return r->has_status && r->status.phase.n ? r->status.phase : S("Pending"); }
bool run_is_terminal(const struct run *r) { return run_phase_is_terminal(run_phase(r)); }

static const struct condition *find(const struct run *r, struct str type)
{
    for (size_t i = 0; r->has_status && i < r->status.conditions.n; i++)
        if (str_eq(r->status.conditions.v[i].type, type))
            return &r->status.conditions.v[i];
    return NULL;
}

struct str run_condition(const struct run *r, const char *type)
{
    const struct condition *c = find(r, str_of(type));
    return c ? c->status : S("");
}

int64_t run_attempts_max(const struct run *r)
{
    const struct retry_policy *p = &r->spec.retry_policy;
    return r->spec.has_retry_policy && p->has_max_attempts ? p->max_attempts : 1;
}

int64_t run_backoff_us(const struct run *r, int64_t next)
{
    int64_t us = BACKOFF_US;
    if (r->spec.has_retry_policy && r->spec.retry_policy.backoff.n)
        duration_parse(r->spec.retry_policy.backoff, &us);
    for (int64_t i = 2; i < next && us < BACKOFF_MAX_US; i++)
        us *= 2;
    return us > BACKOFF_MAX_US ? BACKOFF_MAX_US : us;
}

bool run_may_retry(const struct run *r, const char *reason)
{
    static const char *const never[] = { "Cancelled", "OutputsInvalid", "OutputsTooLarge", "ArtifactInvalid", "InvalidResources", "WorkspaceLost" };
    for (size_t i = 0; i < LEN(never); i++)
        if (!strcmp(reason, never[i]))
            return false;
    const struct str_list *list = &r->spec.retry_policy.retryable_reasons;
    if (!r->spec.has_retry_policy || !list->n)
        return true;
    for (size_t i = 0; i < list->n; i++)
        if (str_is(list->v[i], reason))
            return true;
    return false;
}

static void put_condition(struct buf *b, struct str type, struct str status, struct str reason, struct str message, struct str since)
{
    jw_begin(b, '{');
    jw_kstr(b, "type", type);
    jw_kstr(b, "status", status);
    jw_kstr(b, "lastTransitionTime", since);
    jw_kstr(b, "reason", reason);
    jw_kstr(b, "message", message);
    jw_end(b, '}');
}

static bool is_set(const struct run_condition_set *set, size_t n, struct str type)
{
    for (size_t i = 0; i < n; i++)
        if (str_is(type, set[i].type))
            return true;
    return false;
}

void run_put_conditions(struct buf *b, const struct run *r, const struct run_condition_set *set, size_t n, int64_t wall_us)
{
    char now[TIME_TEXT];
    time_print(now, wall_us);
    jw_begin(b, '[');
    for (size_t i = 0; r && r->has_status && i < r->status.conditions.n; i++) {
        const struct condition *c = &r->status.conditions.v[i];
        if (!is_set(set, n, c->type))
            put_condition(b, c->type, c->status, c->reason, c->message, c->last_transition_time);
    }
    for (size_t i = 0; i < n; i++) {
        const struct condition *old = r ? find(r, str_of(set[i].type)) : NULL;
        struct str since = old && str_is(old->status, set[i].status) ? old->last_transition_time : str_of(now);
        if (!set[i].remove)
            put_condition(b, str_of(set[i].type), str_of(set[i].status), str_of(set[i].reason), set[i].message, since);
    }
    jw_end(b, ']');
}

struct str run_duration_text(int64_t us, char out[32])
{
    long long ms = us < 0 ? 0 : us / 1000, s = ms / 1000;
    int n = ms < 1000 ? snprintf(out, 32, "%lldms", ms)
            : s < 60  ? snprintf(out, 32, "%lld.%llds", s, ms % 1000 / 100)
            : s < 3600 ? snprintf(out, 32, "%lldm%llds", s / 60, s % 60)
                       : snprintf(out, 32, "%lldh%lldm", s / 3600, s % 3600 / 60);
    return (struct str){ out, (size_t)n };
}

void run_put_end(struct buf *b, const struct run *r, const struct run_end *end, int64_t started_us, int64_t wall_us)
{
    char now[TIME_TEXT], text[32];
    bool succeeded = !strcmp(end->phase, "Succeeded");
    const char *reason = end->reason ? end->reason : end->phase;
    time_print(now, wall_us);
    jw_kstr(b, "phase", str_of(end->phase));
    if (end->reason)
        jw_kstr(b, "reason", str_of(end->reason));
    if (end->message.n)
        jw_kstr(b, "message", (struct str){ end->message.p, str_rune_cut(end->message, 1024) });
    jw_kstr(b, "completionTime", str_of(now));
    if (started_us)
        jw_kstr(b, "duration", run_duration_text(wall_us - started_us, text));
    struct run_condition_set set[3] = { { .type = "Finished", .status = "True", .reason = reason },
                                        { .type = "Succeeded", .status = succeeded ? "True" : "False", .reason = reason },
                                        { .type = "Started", .status = "True", .reason = "Executed" } };
    jw_key(b, S("conditions"));
    run_put_conditions(b, r, set, started_us ? 3 : 2, wall_us);
}
