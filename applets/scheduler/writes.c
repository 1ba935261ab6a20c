/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writes: the scheduler owns four edges of the phase table: bind, cancel, fail, and telling why a Run waits. The patch
 * replaces the list of conditions: a Run that waits has none but those the scheduler wrote itself.
 */
#include "applets/scheduler/writes.h"
#include "core/clock.h"
#include "crds/run.h"

static void put_bind(const struct sched_decision *d, int64_t wall_us, struct buf *b)
{
    char micro[TIME_TEXT];
    struct run_condition_set set[] = { { .type = "Scheduled", .status = "True", .reason = "Assigned", .message = str_of(d->message) } };
    time_print_micro(micro, wall_us);
    jw_kstr(b, "phase", S("Scheduled"));
    jw_kraw(b, "reason", S("null"));
    jw_kraw(b, "message", S("null"));
    jw_kstr(b, "assignedPod", d->pod);
    jw_kstr(b, "assignedPodUID", d->pod_uid);
    if (d->first)
        jw_kint(b, "attempt", 1);
    jw_kbegin(b, "timings", '{');
    jw_kstr(b, "scheduled", str_of(micro));
    jw_end(b, '}');
    jw_key(b, S("conditions"));
    run_put_conditions(b, NULL, set, LEN(set), wall_us);
}

static void put_wait(const struct sched_decision *d, int64_t wall_us, struct buf *b)
{
    struct run_condition_set set[] = { { .type = "Scheduled", .status = "False", .reason = d->reason, .message = str_of(d->message) } };
    jw_kstr(b, "phase", S("Pending"));            /* what its absence means; a table of the API server shows the field as it is */
    jw_key(b, S("conditions"));
    run_put_conditions(b, NULL, set, LEN(set), wall_us);
}

void sched_patch(const struct sched_decision *d, int64_t wall_us, struct buf *b)
{
    static const struct run nothing = { 0 };
    struct run_end end = { .phase = "Failed", .reason = d->reason, .message = str_of(d->message) };
    jw_begin(b, '{');
    jw_kbegin(b, "metadata", '{');
    jw_key(b, S("resourceVersion"));
    buf_fmt(b, "\"%llu\"", (unsigned long long)d->version);
    jw_end(b, '}');
    jw_kbegin(b, "status", '{');
    switch (d->verdict) {
    case SCHED_BIND:
        put_bind(d, wall_us, b);
        break;
    case SCHED_CANCEL:
        end.phase = end.reason = "Cancelled";
        run_put_end(b, &nothing, &end, 0, wall_us);
        break;
    case SCHED_FAIL:
        run_put_end(b, &nothing, &end, 0, wall_us);
        break;
    case SCHED_WAIT:
        put_wait(d, wall_us, b);
        break;
    case SCHED_ASK:                               /* nothing is written */
        break;
    }
    jw_end(b, '}');
    jw_end(b, '}');
}
