/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc: when finished Runs go, and the refusal of Workflows. A Run that a live controller owns goes with its owner.
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

int workflow_plan(struct str json, int64_t wall_us, struct plan *p, struct kr_err *e)
{
    p->arena.limit = LIMIT_PLAN_BYTES;
    struct workflow *w = model_decode(workflow, json, &p->arena, e);
    char now[TIME_TEXT];
    if (!w)
        return -1;
    if (w->has_status && w->status.phase.n && !str_is(w->status.phase, "Pending") && !str_is(w->status.phase, "Running"))
        return 0;
    AUTO_BUF struct buf b = { .max = 4096 };
    time_print(now, wall_us);
    jw_begin(&b, '{');
    jw_kbegin(&b, "status", '{');
    jw_kstr(&b, "phase", S("Failed"));
    jw_kstr(&b, "reason", S("NotOffered"));
    jw_kstr(&b, "message", S("Workflows are not carried out yet: submit its steps as Runs"));
    jw_kstr(&b, "completionTime", str_of(now));
    jw_kint(&b, "observedGeneration", w->metadata.generation);
    jw_end(&b, '}');
    jw_end(&b, '}');
    struct plan_op *op = plan_add(p, PLAN_MERGE_PATCH, &kube_workflows, w->metadata.namespace, w->metadata.name);
    op->sub = "status";
    op->body = arena_str(&p->arena, buf_view(&b));
    op->missing_is_fine = op->stale_is_fine = true;
    op->why = "not offered";
    return 0;
}
