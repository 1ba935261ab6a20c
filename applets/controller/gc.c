/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc: when finished Runs go. A Run that a live controller owns goes with its owner.
 */
#include "applets/controller/controller.h"
#include "core/clock.h"

int64_t gc_due_us(const struct run *r)
{
    int64_t end;
    if (!run_is_terminal(r) || !r->spec.has_ttl_seconds_after_finished || r->metadata.deletion_timestamp.n)
        return 0;
    for (size_t i = 0; i < r->metadata.owner_references.n; i++)
        if (r->metadata.owner_references.v[i].controller)
            return 0;
    if (!time_parse(r->status.completion_time, &end))
        return 0;
    return end + r->spec.ttl_seconds_after_finished * 1000000;
}
