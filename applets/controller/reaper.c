/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reaper: a Run whose pod is lost goes back to Pending or ends. Lost is: gone, another UID, over (Succeeded, Failed), past
 * its deletion by 30 s, or on a node that nobody has heard of for minutes. NotReady is not lost: an API outage makes every
 * pod NotReady. One that shares a workspace ends, as the workspace is lost with the pod, unless it hadn't started and the pod has
 * ended: then the scheduler knows whether anything was lost. Whatever is written tests the assignment it judged.
 */
#include "applets/controller/controller.h"
#include "core/clock.h"
#include "k8s/core_types.h"
#include <stdio.h>

enum { PAST_DELETION_US = 30000000 };

/* Why the pod is lost, NULL when it isn't. *ended: it is gone for everybody. *look_again: the moment at which it may be, 0 when only an event can tell. */
static const char *lost(const struct reaper_view *v, const struct run *r, int64_t now_us, struct arena *a, bool *ended, int64_t *look_again,
                        struct kr_err *e)
{
    *look_again = 0;
    *ended = true;
    if (!v->pod.p)
        return "the pod is gone";
    struct pod *p = model_decode(pod, v->pod, a, e);
    if (!p)
        return NULL;
    if (!str_eq(p->metadata.uid, r->status.assigned_pod_uid))
        return "the pod was replaced by another one of its name";
    if (str_is(p->status.phase, "Succeeded") || str_is(p->status.phase, "Failed"))
        return "the pod has ended";
    *ended = false;                               /* it may still be bound to: a Run with a workspace there goes to it while it drains */
    int64_t at;
    if (p->metadata.deletion_timestamp.n && time_parse(p->metadata.deletion_timestamp, &at)) {
        if (now_us > at + PAST_DELETION_US)
            return "the pod is past its deletion";
        *look_again = at + PAST_DELETION_US + 1;
    }
    if (v->node_unknown_since_us) {
        at = v->node_unknown_since_us + v->node_lost_after_us;
        if (now_us >= at)
            return "the pod's node has not been heard of";
        if (!*look_again || at < *look_again)
            *look_again = at;
    }
    return NULL;
}

static void put_op(struct buf *b, const char *op, const char *path, struct str value)
{
    jw_begin(b, '{');
    jw_kstr(b, "op", str_of(op));
    jw_kstr(b, "path", str_of(path));
    if (value.p)
        jw_kraw(b, "value", value);
    jw_end(b, '}');
}

static void put_text(struct buf *b, const char *op, const char *path, struct str text)
{
    AUTO_BUF struct buf v = { .max = 8192 };
    jw_str(&v, text);
    put_op(b, op, path, buf_view(&v));
}

static void put_conditions(struct buf *b, const struct run *r, const struct run_condition_set *set, size_t n, int64_t now_us)
{
    AUTO_BUF struct buf v = { .max = 262144 };
    run_put_conditions(&v, r, set, n, now_us);
    put_op(b, "add", "/status/conditions", buf_view(&v));
}

/* That of an attempt before: the one that was lost left none. */
static void drop_exit_code(struct buf *b, const struct run *r)
{
    if (r->status.has_exit_code)
        put_op(b, "remove", "/status/exitCode", (struct str){ 0 });
}

static void put_end(struct buf *b, const struct run *r, const char *phase, const char *reason, struct str message, int64_t now_us)
{
    char now[TIME_TEXT];
    struct run_condition_set set[] = { { .type = "Finished", .status = "True", .reason = reason }, { .type = "Succeeded", .status = "False", .reason = reason } };
    time_print(now, now_us);
    put_text(b, "add", "/status/phase", str_of(phase));
    put_text(b, "add", "/status/reason", str_of(reason));
    put_text(b, "add", "/status/message", message);
    put_text(b, "add", "/status/completionTime", str_of(now));
    drop_exit_code(b, r);
    put_conditions(b, r, set, LEN(set), now_us);
}

static void put_again(struct buf *b, const struct run *r, bool started, struct str why, int64_t now_us, struct arena *a)
{
    struct run_condition_set set[] = { { .type = "Scheduled", .status = "False", .reason = "PodLost", .message = why },
                                       { .type = "Started", .remove = true } };
    char at[TIME_TEXT];
    put_text(b, "add", "/status/phase", S("Pending"));
    put_op(b, "remove", "/status/assignedPod", (struct str){ 0 });
    put_op(b, "remove", "/status/assignedPodUID", (struct str){ 0 });
    if (started) {
        int64_t next = r->status.attempt + 1;
        time_print_micro(at, now_us + run_backoff_us(r, next));
        put_op(b, "add", "/status/attempt", arena_fmt(a, "%lld", (long long)next));
        put_text(b, "add", "/status/nextAttemptTime", str_of(at));
        put_text(b, "add", "/status/reason", S("PodLost"));
        put_text(b, "add", "/status/message", why);
        drop_exit_code(b, r);
    }
    put_conditions(b, r, set, LEN(set), now_us);
}

int reaper_plan(const struct reaper_view *v, int64_t wall_us, struct plan *p, struct kr_err *e)
{
    p->arena.limit = LIMIT_PLAN_BYTES;
    struct run *r = model_decode(run, v->run, &p->arena, e);
    if (!r)
        return -1;
    struct str phase = run_phase(r);
    if (!str_is(phase, "Scheduled") && !str_is(phase, "Running"))
        return 0;
    bool ended;
    const char *why = lost(v, r, wall_us, &p->arena, &ended, &p->look_again_us, e);
    if (!why)
        return e->code ? -1 : 0;
    AUTO_BUF struct buf b = { .max = LIMIT_API_BODY };
    bool started = str_is(run_condition(r, "Started"), "True"), cancel = r->spec.has_cancel_requested && r->spec.cancel_requested;
    struct str message = arena_fmt(&p->arena, "%s: \"%.*s\"", why, SFMT(r->status.assigned_pod));
    jw_begin(&b, '[');
    put_text(&b, "test", "/status/assignedPodUID", r->status.assigned_pod_uid);
    if (r->status.has_attempt)
        put_op(&b, "test", "/status/attempt", arena_fmt(&p->arena, "%lld", (long long)r->status.attempt));
    put_text(&b, "test", "/status/phase", phase);
    if (cancel)
        put_end(&b, r, "Cancelled", "Cancelled", S("it was cancelled on request, after its pod was lost"), wall_us);
    else if (r->spec.has_workspace && (started || !ended))
        put_end(&b, r, "Failed", "WorkspaceLost", arena_fmt(&p->arena, "%.*s, and its shared workspace went with it", SFMT(message)), wall_us);
    else if (started && (r->status.attempt >= run_attempts_max(r) || !run_may_retry(r, "PodLost")))
        put_end(&b, r, "Failed", "PodLost", message, wall_us);
    else
        put_again(&b, r, started, message, wall_us, &p->arena);
    jw_end(&b, ']');
    struct plan_op *op = plan_add(p, PLAN_JSON_PATCH, &kube_runs, r->metadata.namespace, r->metadata.name);
    op->sub = "status";
    op->body = arena_str(&p->arena, buf_view(&b));
    op->missing_is_fine = op->stale_is_fine = true;
    op->why = why;
    return 0;
}
