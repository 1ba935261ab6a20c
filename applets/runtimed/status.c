/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status: JSON patches on runs/status. Each begins with tests of assignedPodUID, attempt and phase, so that a label that
 * somebody edits is no conflict and a Run that was taken away is one (422 without causes). Then the object is read again:
 * either our write had arrived before, or the Run is no longer ours.
 */
#include "applets/runtimed/runtimed.h"
#include "core/failpoint.h"
#include "core/log.h"
#include <stdio.h>

enum { WAIT_MIN_US = 20000, WAIT_MAX_US = 5000000 };

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

static void begin_op(struct buf *b, const char *op, const char *path)
{
    jw_begin(b, '{');
    jw_kstr(b, "op", str_of(op));
    jw_kstr(b, "path", str_of(path));
}

static void put_str(struct buf *b, const char *op, const char *path, struct str value)
{
    begin_op(b, op, path);
    jw_kstr(b, "value", value);
    jw_end(b, '}');
}

static void put_int(struct buf *b, const char *op, const char *path, int64_t value)
{
    begin_op(b, op, path);
    jw_kint(b, "value", value);
    jw_end(b, '}');
}

static void put_time(struct buf *b, const char *path, int64_t wall_us, bool micro)
{
    char text[TIME_TEXT];
    if (micro)
        time_print_micro(text, wall_us);
    else
        time_print(text, wall_us);
    put_str(b, "add", path, str_of(text));
}

static void put_remove(struct buf *b, const char *path, bool is_there)
{
    if (!is_there)
        return;
    begin_op(b, "remove", path);
    jw_end(b, '}');
}

static void put_timings(struct buf *b, const struct task *t, bool end)
{
    char text[TIME_TEXT];
    begin_op(b, "add", "/status/timings");
    jw_kbegin(b, "value", '{');
    if (t->run->status.timings.scheduled.n)
        jw_kstr(b, "scheduled", t->run->status.timings.scheduled);
    time_print_micro(text, t->begun_wall_us);
    if (t->begun_wall_us)
        jw_kstr(b, "started", str_of(text));
    time_print_micro(text, t->accepted_wall_us);
    if (t->accepted_wall_us)
        jw_kstr(b, "executed", str_of(text));
    time_print_micro(text, t->ended_wall_us);
    if (end && t->ended_wall_us)
        jw_kstr(b, "finished", str_of(text));
    jw_end(b, '}');
    jw_end(b, '}');
}

static void put_commit(struct buf *b, const struct task *t)
{
    if (!*t->commit)
        return;
    begin_op(b, "add", "/status/source");
    jw_kbegin(b, "value", '{');
    jw_kstr(b, "commit", str_of(t->commit));
    jw_end(b, '}');
    jw_end(b, '}');
}

static void put_conditions(struct buf *b, const struct task *t, const struct run_condition_set *set, size_t n)
{
    begin_op(b, "add", "/status/conditions");
    jw_key(b, S("value"));
    run_put_conditions(b, t->run, set, n, loop_wall_us(t->d->loop));
    jw_end(b, '}');
}

static void put_running(struct buf *b, const struct task *t)
{
    struct run_condition_set set[] = { { .type = "Started", .status = "True", .reason = "Executed" } };
    put_str(b, "add", "/status/phase", S("Running"));
    if (!t->run->status.start_time.n)
        put_time(b, "/status/startTime", t->accepted_wall_us ? t->accepted_wall_us : loop_wall_us(t->d->loop), false);
    put_str(b, "add", "/status/accessKey", str_of(t->rec->access_key));
    put_commit(b, t);
    put_conditions(b, t, set, LEN(set));
}

/* An attempt that was ended from outside has none, and what an attempt before left goes. */
static void put_exit_code(struct buf *b, const struct task *t)
{
    if (t->with_exit_code)
        put_int(b, "add", "/status/exitCode", t->exit_code);
    else
        put_remove(b, "/status/exitCode", t->run->status.has_exit_code);
}

static void put_retry(struct buf *b, const struct task *t)
{
    put_running(b, t);
    put_int(b, "add", "/status/attempt", t->attempt + 1);
    put_time(b, "/status/nextAttemptTime", t->next_attempt_us, true);
    put_str(b, "add", "/status/reason", str_of(t->end_reason));
    put_str(b, "add", "/status/message", str_of(t->end_message));
    put_exit_code(b, t);
    put_timings(b, t, true);
}

/* Back to the scheduler: at no cost when it hadn't started, else as the next attempt. */
static void put_pending(struct buf *b, const struct task *t)
{
    const struct run_status *s = &t->run->status;
    struct run_condition_set set[] = { { .type = "Scheduled", .status = "False", .reason = "PodDrained", .message = S("the pod is being drained") },
                                       { .type = "Started", .remove = true } };
    bool counts = t->end_reason != NULL;
    put_str(b, "add", "/status/phase", S("Pending"));
    put_remove(b, "/status/assignedPod", s->assigned_pod.n > 0);
    put_remove(b, "/status/assignedPodUID", s->assigned_pod_uid.n > 0);
    if (counts) {
        put_int(b, "add", "/status/attempt", t->attempt + 1);
        put_time(b, "/status/nextAttemptTime", t->next_attempt_us, true);
        put_str(b, "add", "/status/reason", str_of(t->end_reason));
        put_str(b, "add", "/status/message", str_of(t->end_message));
        put_exit_code(b, t);
    }
    put_conditions(b, t, set, LEN(set));
}

static void put_raw(struct buf *b, const char *path, struct str json)
{
    begin_op(b, "add", path);
    jw_kraw(b, "value", json);
    jw_end(b, '}');
}

static void put_outputs(struct buf *b, const struct task *t)
{
    begin_op(b, "add", "/status/outputs");
    jw_kbegin(b, "value", '{');
    for (size_t i = 0; i < t->outputs.n; i++) {
        jw_key(b, t->outputs.v[i].key);
        jw_str(b, t->outputs.v[i].value);
    }
    jw_end(b, '}');
    jw_end(b, '}');
}

static void put_reason(struct buf *b, const struct task *t)
{
    if (t->end_reason)
        put_str(b, "add", "/status/reason", str_of(t->end_reason));
    else
        put_remove(b, "/status/reason", t->run->status.reason.n > 0);
}

static void put_end(struct buf *b, const struct task *t)
{
    const struct run_status *s = &t->run->status;
    char text[32];
    bool started = t->accepted_wall_us > 0 || s->start_time.n;
    int64_t begun = t->accepted_wall_us, now = loop_wall_us(t->d->loop);
    const char *cause = t->end_reason ? t->end_reason : t->end_phase;
    struct run_condition_set set[] = {
        { .type = "Finished", .status = "True", .reason = cause },
        { .type = "Succeeded", .status = !strcmp(t->end_phase, "Succeeded") ? "True" : "False", .reason = cause },
        { .type = "Started", .status = "True", .reason = "Executed" } };
    put_str(b, "add", "/status/phase", str_of(t->end_phase));
    put_reason(b, t);
    if (*t->end_message)
        put_str(b, "add", "/status/message", str_of(t->end_message));
    else
        put_remove(b, "/status/message", s->message.n > 0);
    if (started && !s->start_time.n)
        put_time(b, "/status/startTime", begun, false);
    put_time(b, "/status/completionTime", now, false);
    if (begun)
        put_str(b, "add", "/status/duration", run_duration_text((t->ended_wall_us ? t->ended_wall_us : now) - begun, text));
    put_exit_code(b, t);
    put_str(b, "add", "/status/accessKey", str_of(t->rec->access_key));
    if (t->outputs.n)
        put_outputs(b, t);
    if (t->refs.n)
        put_raw(b, "/status/artifactRefs", buf_view(&t->refs));
    put_commit(b, t);
    put_timings(b, t, true);
    put_conditions(b, t, set, started ? 3 : 2);
}

/* It is smaller than what it takes the place of, so that it always fits. */
static void put_bare_end(struct buf *b, const struct task *t)
{
    const struct run_status *s = &t->run->status;
    put_str(b, "add", "/status/phase", str_of(t->end_phase));
    put_reason(b, t);
    put_time(b, "/status/completionTime", loop_wall_us(t->d->loop), false);
    put_remove(b, "/status/message", s->message.n > 0);
    put_remove(b, "/status/exitCode", s->has_exit_code);          /* of an attempt before */
    put_remove(b, "/status/timings", s->has_timings);
    put_remove(b, "/status/conditions", s->conditions.n > 0);
}

static void put_tests(struct buf *b, const struct task *t)
{
    put_str(b, "test", "/status/assignedPodUID", t->d->pod_uid);
    put_int(b, "test", "/status/attempt", t->attempt);
    put_str(b, "test", "/status/phase", str_of(t->phase));
}

/* Each kind of write is a place of its own where a test may kill us. */
static void failpoints(enum write_kind kind, bool after)
{
#define POINTS(name) after ? KR_FAILPOINT("runtimed.write-" name ".after") : KR_FAILPOINT("runtimed.write-" name ".before")
    switch (kind) {
    case WRITE_RUNNING: POINTS("running"); break;
    case WRITE_STORE: POINTS("store"); break;
    case WRITE_RETRY: POINTS("retry"); break;
    case WRITE_PENDING: POINTS("pending"); break;
    case WRITE_END: POINTS("end"); break;
    case WRITE_NONE: break;
    }
#undef POINTS
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void send_write(struct task *t);

static void again(struct loop *loop, struct timer *timer)
{
    (void)loop;
    send_write(container_of(timer, struct task, rewrite));
}

static void later(struct task *t)
{
    t->write_wait_us = t->write_wait_us ? t->write_wait_us * 2 : WAIT_MIN_US;
    if (t->write_wait_us > WAIT_MAX_US)
        t->write_wait_us = WAIT_MAX_US;
    t->rewrite.fire = again;
    loop_timer_in(t->d->loop, &t->rewrite, t->write_wait_us);
}

static void accepted(struct task *t)
{
    enum write_kind kind = t->writing;
    failpoints(kind, true);
    t->writing = WRITE_NONE;
    t->write_wait_us = 0;
    const char *phase = kind == WRITE_END ? t->end_phase : kind == WRITE_PENDING ? "Pending" : "Running";
    snprintf(t->phase, sizeof t->phase, "%s", phase);
    task_written(t, kind);
}

/* After a failed test: did an earlier try of the same write arrive? */
static void read_again(void *ctx, const struct kube_result *r)
{
    struct task *t = ctx;
    t->write = NULL;
    if (r->error && r->error->code == KR_NOT_FOUND) {
        task_drop(t);
        return;
    }
    if (r->error) {
        later(t);
        return;
    }
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct kr_err e = { 0 };
    struct run *now = model_decode(run, r->body, &a, &e);
    bool mine = now && str_eq(now->metadata.uid, t->uid) && str_eq(now->status.assigned_pod_uid, t->d->pod_uid);
    struct str phase = now ? run_phase(now) : S("");
    if (mine && t->writing == WRITE_END && str_is(phase, t->end_phase)) {
        accepted(t);
    } else if (mine && t->writing == WRITE_RETRY && now->status.attempt == t->attempt + 1) {
        accepted(t);
    } else if (mine && t->writing == WRITE_RUNNING && str_is(phase, "Running") && now->status.attempt == t->attempt) {
        accepted(t);
    } else if (mine && t->writing == WRITE_STORE && str_is(phase, "Running") && now->status.attempt == t->attempt && now->status.has_artifact_store) {
        accepted(t);
    } else if (mine && !run_phase_is_terminal(phase) && now->status.attempt == t->attempt) {
        snprintf(t->phase, sizeof t->phase, "%.*s", SFMT(phase));
        task_update(t, r->body);
        later(t);
    } else {
        task_drop(t);
    }
}

static void set_outputs_refused(struct task *t, const char *reason, const char *text, const char *more)
{
    t->outputs.n = 0;
    t->end_phase = "Failed";
    t->end_reason = reason;
    snprintf(t->end_message, sizeof t->end_message, "%s%.400s", text, more);
}

/* The object has no room for the write: its user filled it. What says least goes first, and an end is told in any case. */
static void make_room(struct task *t)
{
    if (t->writing == WRITE_RUNNING) {            /* what comes after it may fit */
        t->writing = WRITE_NONE;
        task_written(t, WRITE_NONE);
        return;
    }
    if (t->writing == WRITE_STORE || (t->writing == WRITE_END && !t->outputs.n && t->refs.n)) {
        t->writing = WRITE_NONE;
        artifacts_have_no_room(t);
        return;
    }
    if (t->writing == WRITE_END && t->outputs.n)
        set_outputs_refused(t, "OutputsTooLarge", "the Run's object has no room for its outputs", "");
    else if (t->writing == WRITE_END)
        t->bare_end = true;
    else if (*t->end_message)
        t->end_message[0] = '\0';
    else if (t->writing == WRITE_RETRY)
        t->writing = WRITE_END;
    later(t);
}

static void written(void *ctx, const struct kube_result *r)
{
    struct task *t = ctx;
    t->write = NULL;
    if (!r->error) {
        if (t->writing == WRITE_RETRY)
            task_update(t, r->body);              /* the next attempt may end before the watch brings this, and removes what it left */
        accepted(t);
        return;
    }
    if (r->error->code == KR_NOT_FOUND) {
        task_drop(t);
    } else if ((r->error->code == KR_INVALID && !r->causes) || r->error->code == KR_CONFLICT) {
        t->write = kube_get(t->d->kube, &kube_runs, t->ns, t->name, (struct kube_user){ read_again, t });
    } else if (r->error->code == KR_INVALID && t->writing == WRITE_END && t->outputs.n) {
        log_warn(&log_std, "the outputs were refused", LOG_STR("run", t->name), LOG_ERR(r->error));
        set_outputs_refused(t, "OutputsInvalid", "the API server refused the outputs: ", r->error->msg);      /* told, not lost in a loop */
        later(t);
    } else if (r->error->code == KR_TOO_LARGE) {
        log_warn(&log_std, "a status does not fit into the Run's object", LOG_STR("run", t->name), LOG_STR("namespace", t->ns), LOG_ERR(r->error));
        make_room(t);
    } else {
        log_warn(&log_std, "a status could not be written", LOG_STR("run", t->name), LOG_STR("namespace", t->ns), LOG_ERR(r->error));
        later(t);
    }
}

static void send_write(struct task *t)
{
    AUTO_BUF struct buf b = { .max = LIMIT_API_BODY };
    jw_begin(&b, '[');
    put_tests(&b, t);
    if (t->writing == WRITE_RUNNING || t->writing == WRITE_STORE) {
        put_running(&b, t);
        put_timings(&b, t, false);
        if (t->writing == WRITE_STORE)
            put_raw(&b, "/status/artifactStore", t->d->artifacts.store);
    } else if (t->writing == WRITE_RETRY) {
        put_retry(&b, t);
    } else if (t->writing == WRITE_PENDING) {
        put_pending(&b, t);
    } else if (t->bare_end) {
        put_bare_end(&b, t);
    } else {
        put_end(&b, t);
    }
    jw_end(&b, ']');
    failpoints(t->writing, false);
    t->write = kube_json_patch(t->d->kube, &kube_runs, t->ns, t->name, "status", buf_view(&b), (struct kube_user){ written, t });
}

void status_write(struct task *t, enum write_kind kind)
{
    if (t->writing) {
        t->wanted = kind;                         /* one at a time: each tests what the one before it wrote */
        return;
    }
    t->writing = kind;
    send_write(t);
}
