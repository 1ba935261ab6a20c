/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task: one Run from its slot to its end. Everything that happens to it arrives here as one of a few calls; what the
 * process did wins over what was asked later (its end, once seen, is not changed by a cancel or the clock).
 *
 *   WAITING ⇄ STARTING → RUNNING → ENDING → freed
 *                │          ├→ STOPPING ┘     (cancel, timeout, drain, the Run is gone)
 *                └──────────┴→ BACKOFF → STARTING   (retry)
 */
#include "applets/runtimed/runtimed.h"
#include "core/log.h"
#include "core/metrics.h"
#include <stdio.h>

static void decide(struct task *t);
static void tell_outcome(struct task *t);

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int decode(struct task *t, struct str json)
{
    struct kr_err e = { 0 };
    struct run *run = model_keep(run, &t->kept, json, 16 << 20, &e);
    if (!run) {
        log_warn(&log_std, "a Run can't be read", LOG_STR("run", t->name), LOG_ERR(&e));
        return -1;
    }
    t->run = run;
    return 0;
}

static void grace_over(struct loop *loop, struct timer *timer)
{
    (void)loop;
    struct task *t = container_of(timer, struct task, grace);
    if (t->state == TASK_RUNNING && !t->told_running && !t->ended)
        status_write(t, WRITE_RUNNING);
}

static void deadline_passed(struct loop *loop, struct timer *timer)
{
    (void)loop;
    task_stop(container_of(timer, struct task, deadline), STOP_TIMEOUT);
}

static void backoff_over(struct loop *loop, struct timer *timer)
{
    (void)loop;
    task_begin(container_of(timer, struct task, backoff));
}

struct task *task_new(struct runtimed *d, struct record *rec, struct str json)
{
    struct task *t = xblock(sizeof *t);
    *t = (struct task){ .next = d->tasks, .at = &d->tasks, .d = d, .rec = rec, .grace = { .fire = grace_over }, .deadline = { .fire = deadline_passed },
                        .backoff = { .fire = backoff_over } };
    if (decode(t, json) < 0) {
        xblock_free(t, sizeof *t);
        return NULL;
    }
    if (d->tasks)
        d->tasks->at = &t->next;
    d->tasks = t;
    metric_set(METRIC_RUNS_HERE, 0, (int64_t)++d->ntasks);
    t->seen_us = loop_now_us(d->loop);
    struct str key = str_of(rec->key);
    t->ns = str_cut(&key, '/');
    t->name = key;
    t->uid = str_of(rec->uid);
    t->attempt = t->run->status.has_attempt ? t->run->status.attempt : 1;
    snprintf(t->phase, sizeof t->phase, "%.*s", SFMT(run_phase(t->run)));
    time_parse(t->run->metadata.creation_timestamp, &t->created_us);
    rec->task = t;
    return t;
}

void task_free(struct task *t)
{
    struct runtimed *d = t->d;
    *t->at = t->next;
    if (t->next)
        t->next->at = t->at;
    metric_set(METRIC_RUNS_HERE, 0, (int64_t)--d->ntasks);
    slot_release(t);
    source_forget(t);
    inputs_free(t);
    grpc_cancel(t->call);
    grpc_cancel(t->watch);
    kube_cancel(t->write);
    loop_timer_stop(d->loop, &t->again);
    loop_timer_stop(d->loop, &t->grace);
    loop_timer_stop(d->loop, &t->deadline);
    loop_timer_stop(d->loop, &t->backoff);
    loop_timer_stop(d->loop, &t->rewrite);
    log_close(TAKE(t->rec->log));
    t->rec->task = NULL;
    shared_ended(d, t->rec);
    record_left(d, t->rec);
    artifacts_free(t);
    print_rest(t);
    model_kept_free(&t->kept);
    buf_free(&t->outputs_text);
    xblock_free(t, sizeof *t);
    drain_check(d);
}

static void clean_up(struct task *t)
{
    remove_workspace(t->d, t->uid);
    journal_remove(t->d, t->uid);
    task_free(t);
}

/* Deleted while something holds its object: its processes end all the same. */
static bool is_cancelled(const struct task *t)
{
    return (t->run->spec.has_cancel_requested && t->run->spec.cancel_requested) || t->run->metadata.deletion_timestamp.n > 0;
}

/* Why no attempt of it may begin here any more; STOP_NONE: one may. */
static enum stop_cause barred(const struct task *t) { return is_cancelled(t) ? STOP_CANCEL : drain_bars(t) ? STOP_DRAIN : STOP_NONE; }

void task_update(struct task *t, struct str json)
{
    if (decode(t, json) < 0)
        return;
    if (is_cancelled(t))
        task_stop(t, STOP_CANCEL);
}

/* ---- beginning --------------------------------------------------------------------------------------------------- */

static void open_log(struct task *t)
{
    struct kr_err e = { 0 };
    log_close(TAKE(t->rec->log));
    t->rec->log = log_open(t->d->state, t->uid, t->attempt, &e);
    if (!t->rec->log) {
        log_warn(&log_std, "the output can't be kept", LOG_STR("run", t->name), LOG_ERR(&e));
        return;
    }
    t->rec->attempt = t->attempt;
    t->seen[1] = log_total(t->rec->log, 1);
    t->seen[2] = log_total(t->rec->log, 2);
}

static void reset_attempt(struct task *t)
{
    t->ended = t->lost = t->with_exit_code = t->mistaken = t->unconfirmed = t->cancelled = t->bare_end = false;
    t->cancel_until_us = t->untold_since_us = 0;
    t->accepted_wall_us = t->ended_wall_us = 0;
    t->last_look = t->inputs_there = false;
    t->wait_us = 0;
    t->exit_code = 0;
    t->commit[0] = '\0';
    t->error[0] = '\0';
    t->end_phase = t->end_reason = NULL;
    t->end_message[0] = '\0';
    t->outputs.n = 0;
    buf_free(&t->outputs_text);
    buf_free(&t->refs);
}

static void start_deadline(struct task *t, int64_t from_wall_us)
{
    if (!t->run->spec.has_timeout_seconds)
        return;
    int64_t left = from_wall_us + t->run->spec.timeout_seconds * 1000000 - loop_wall_us(t->d->loop);
    loop_timer_in(t->d->loop, &t->deadline, left > 0 ? left : 0);
}

static void forget_attempt(struct task *t, int64_t attempt)
{
    int64_t own = t->attempt;
    t->attempt = attempt;
    exec_forget_task(t);
    t->attempt = own;
}

/* After a restart: what the journal says decides whether an execution may be there. */
static bool adopt(struct task *t)
{
    if (!t->adopted)
        return false;
    t->adopted = false;
    const struct journal_note *note = journal_read(t->d, t->uid);
    if (!note || note->attempt > t->attempt) {
        if (strcmp(t->phase, "Running") != 0)
            return false;                         /* nothing was started */
        task_lost(t);
        return true;
    }
    if (note->attempt < t->attempt) {             /* that there is this one was written, and no more done */
        forget_attempt(t, note->attempt);
        return false;
    }
    if (note->backoff)
        return false;
    open_log(t);
    t->begun_wall_us = note->wall_us;
    if (strcmp(t->phase, "Running") != 0 && !t->seen[1] && !t->seen[2]) {
        start_deadline(t, loop_wall_us(t->d->loop));
        exec_look_for(t);                         /* nothing was ever heard of it */
    } else {
        task_found(t);
    }
    return true;
}

void task_found(struct task *t)
{
    t->accepted_wall_us = t->begun_wall_us;
    task_accepted(t);
}

void task_unbegun(struct task *t)
{
    loop_timer_stop(t->d->loop, &t->deadline);
    if (t->stop)
        task_stopped(t);
    else
        task_begin(t);
}

static bool waits_for_its_time(struct task *t)
{
    int64_t at, now = loop_wall_us(t->d->loop);
    if (!t->run->status.next_attempt_time.n || !time_parse(t->run->status.next_attempt_time, &at) || at <= now)
        return false;
    t->state = TASK_BACKOFF;
    loop_timer_in(t->d->loop, &t->backoff, at - now);
    return true;
}

void task_begin(struct task *t)
{
    struct kr_err e = { 0 };
    t->state = TASK_STARTING;
    t->told_running = !strcmp(t->phase, "Running");
    if (adopt(t))
        return;
    enum stop_cause cause = barred(t);
    if (cause) {
        t->stop = cause;
        task_stopped(t);
        return;
    }
    if (waits_for_its_time(t))
        return;
    t->begun_wall_us = loop_wall_us(t->d->loop);
    if (t->prepared) {
        t->prepared = false;
        task_prepared(t);
        return;
    }
    reset_attempt(t);
    open_log(t);
    int rc = prepare_workspace(t, &e);
    if (rc < 0)
        task_refused(t, "PrepareSource", str_of(e.msg));
    else if (rc == 0)
        task_prepared(t);
}

void task_prepared(struct task *t)
{
    if (inputs_begin(t))
        return;
    start_deadline(t, loop_wall_us(t->d->loop));  /* anew when Execute is accepted: until then, for a server that never answers it */
    exec_begin(t);
}

/* Its time hasn't begun, and after a restart nothing of it is looked for. */
void task_postponed(struct task *t)
{
    if (t->stop) {
        task_stopped(t);
        return;
    }
    loop_timer_stop(t->d->loop, &t->deadline);
    journal_write(t, "backoff");
    t->state = TASK_WAITING;
    t->prepared = !t->rec->shared;                /* others may change what is shared meanwhile */
    slot_refused(t);
}

void task_accepted(struct task *t)
{
    struct loop *loop = t->d->loop;
    t->state = TASK_RUNNING;
    int64_t now = loop_wall_us(loop);
    if (!t->accepted_wall_us) {                   /* else adopted: part of its time is over */
        t->accepted_wall_us = now;
        metric_observe_us(METRIC_RUN_START_SECONDS, 0, now - t->begun_wall_us);
        if (t->seen_us)
            metric_observe_of_us(METRIC_SCHEDULED_SECONDS, t->d->series, 0, loop_now_us(loop) - t->seen_us);
        t->seen_us = 0;
    }
    start_deadline(t, t->accepted_wall_us);
    if (!t->told_running)
        loop_timer_in(loop, &t->grace, RUNNING_GRACE_US);
    exec_follow(t);
    if (t->stop)                                  /* asked for while Execute was under way */
        exec_cancel_task(t), t->state = TASK_STOPPING;
    else if (is_cancelled(t))
        task_stop(t, STOP_CANCEL);
    else if (t->d->drain_late)                    /* found after a restart */
        task_stop(t, STOP_DRAIN);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void stop_clocks(struct task *t)
{
    loop_timer_stop(t->d->loop, &t->grace);
    loop_timer_stop(t->d->loop, &t->deadline);
    loop_timer_stop(t->d->loop, &t->again);
    t->ended_wall_us = loop_wall_us(t->d->loop);
}

void task_ended(struct task *t)
{
    if (t->state == TASK_ENDING)
        return;
    if (t->state == TASK_STOPPING)
        return;                                   /* Cancel answers when all of it is gone; the cause is what came first */
    stop_clocks(t);
    decide(t);
}

void task_lost(struct task *t)
{
    if (t->state == TASK_ENDING)
        return;
    t->lost = true;
    stop_clocks(t);
    decide(t);
}

void task_refused(struct task *t, const char *reason, struct str message)
{
    t->end_reason = reason;
    snprintf(t->end_message, sizeof t->end_message, "%.*s", (int)str_rune_cut(message, sizeof t->end_message - 1), message.p ? message.p : "");
    stop_clocks(t);
    decide(t);
}

void task_stop(struct task *t, enum stop_cause cause)
{
    if (cause == STOP_GONE && t->state == TASK_ENDING) {
        task_drop(t);
        return;
    }
    if (t->ended || t->state == TASK_ENDING || (t->stop && cause != STOP_GONE))
        return;
    if (t->adopted && cause != STOP_GONE)
        return;                                   /* its execution is looked for first; then this is seen */
    bool already = t->stop != STOP_NONE;
    t->stop = cause;
    if (already)
        return;
    switch (t->state) {
    case TASK_WAITING:
    case TASK_BACKOFF:
        task_stopped(t);
        break;
    case TASK_RUNNING:
        t->state = TASK_STOPPING;
        loop_timer_stop(t->d->loop, &t->again);
        exec_cancel_task(t);
        break;
    default:
        if (t->source) {
            source_stop(t);
        } else if (t->inputs) {
            inputs_stop(t);
        } else if (!t->call) {                    /* between two tries of Execute */
            exec_cancel_unheard(t);
            task_stopped(t);
        }
        break;                                    /* else task_accepted or a failure of Execute sees it */
    }
}

void task_stopped(struct task *t)
{
    stop_clocks(t);
    grpc_cancel(TAKE(t->watch));
    if (t->stop == STOP_GONE) {
        task_drop(t);
        return;
    }
    decide(t);
}

void task_drop(struct task *t)
{
    bool may_run = (t->state == TASK_RUNNING || t->state == TASK_STARTING) && !t->ended;
    kube_cancel(TAKE(t->write));
    loop_timer_stop(t->d->loop, &t->rewrite);     /* nothing is left to write again */
    t->writing = t->wanted = WRITE_NONE;
    if (may_run && t->stop != STOP_GONE) {
        task_stop(t, STOP_GONE);
        return;
    }
    if (t->ended || t->state == TASK_ENDING)
        exec_forget_task(t);
    artifacts_abandon(t);
    clean_up(t);
}

/* ---- the outcome ------------------------------------------------------------------------------------------------- */

static void set_end(struct task *t, const char *phase, const char *reason, const char *message)
{
    t->end_phase = phase;
    t->end_reason = reason;
    if (message != t->end_message)
        snprintf(t->end_message, sizeof t->end_message, "%s", message);
}

/* "NotFound: …": the word tells, the sentence is for people. */
static void set_failure(struct task *t)
{
    struct str rest = str_of(t->error), word = str_cut(&rest, ':');
    char text[1024];
    t->with_exit_code = true;
    rest = str_trim(rest);
    bool has = rest.n > 0;
    if (str_is(word, "Timeout")) {
        t->with_exit_code = false;
        set_end(t, "Timeout", "Timeout", "the server's own limit ended it");
        return;
    }
    bool killed = str_is(word, "OOMKilled"), signalled = str_is(word, "Signalled") || killed;
    if (signalled)
        snprintf(text, sizeof text, "%.*s", has ? (int)rest.n : 0, has ? rest.p : "");
    else if (has)
        snprintf(text, sizeof text, "%.*s", SFMT(rest));
    else if (*t->error)
        snprintf(text, sizeof text, "%s", t->error);
    else
        snprintf(text, sizeof text, "the command ended with exit code %d", (int)t->exit_code);
    set_end(t, "Failed", killed ? "OOMKilled" : signalled ? "Signalled" : "ExitCode", text);
}

static void set_success(struct task *t)
{
    struct kr_err e = { 0 };
    t->with_exit_code = true;
    if (read_outputs(t, &e) < 0) {
        t->outputs.n = 0;
        set_end(t, "Failed", e.code == KR_TOO_LARGE ? "OutputsTooLarge" : "OutputsInvalid", e.msg);
    } else if (has_artifacts(t) && !artifacts_has_store(t->d)) {
        set_end(t, "Failed", "ArtifactStore", "there are files in $KRUNTIME_ARTIFACTS_DIR, but the Runtime has no artifactStore");
    } else {
        set_end(t, "Succeeded", NULL, "");
    }
}

static void set_lost(struct task *t)
{
    char text[640];
    snprintf(text, sizeof text, "the Runtime Server is of no use for this execution: %s", t->error);
    set_end(t, "Failed", "ExecutionLost", text);
}

static void decide_outcome(struct task *t)
{
    enum { SUCCEEDED = 3 };
    if (t->stop == STOP_CANCEL)
        set_end(t, "Cancelled", "Cancelled", t->run->metadata.deletion_timestamp.n ? "it was deleted" : "it was cancelled on request");
    else if (t->stop == STOP_TIMEOUT) {
        char text[96];
        snprintf(text, sizeof text, "it took longer than timeoutSeconds: %lld", (long long)t->run->spec.timeout_seconds);
        set_end(t, "Timeout", "Timeout", text);
    } else if (t->stop == STOP_DRAIN && t->rec->shared)
        set_end(t, "Failed", "WorkspaceLost", "its pod was drained before the workspace's owner was done, and the workspace went with it");
    else if (t->stop == STOP_DRAIN)
        set_end(t, "Failed", "PodDrained", "its pod was drained before it had ended");
    else if (t->lost && *t->error)
        set_lost(t);
    else if (t->lost)
        set_end(t, "Failed", "ExecutionLost", "the Runtime Server does not know the execution any more: it was restarted, as after a kill of its container for want of memory "
                                            "(OOMKilled, which the pod's lastState tells)");
    else if (t->end_reason)
        set_end(t, "Failed", t->end_reason, t->end_message);
    else if (t->final_state == SUCCEEDED)
        set_success(t);
    else
        set_failure(t);
}

static void set_outcome(struct task *t)
{
    decide_outcome(t);
    size_t n = strlen(t->end_message);
    if (t->unconfirmed)
        snprintf(t->end_message + n, sizeof t->end_message - n, "%sthe Runtime Server has not confirmed that its processes are gone", n ? "; " : "");
}

static bool may_retry(const struct task *t)
{
    return strcmp(t->end_phase, "Succeeded") && t->stop != STOP_CANCEL && !is_cancelled(t) && t->attempt < run_attempts_max(t->run) &&
           run_may_retry(t->run, t->end_reason);
}

static void decide(struct task *t)
{
    bool began = t->accepted_wall_us > 0;
    t->state = TASK_ENDING;
    if (t->stop == STOP_DRAIN && !began && !t->rec->shared) {
        t->end_reason = NULL;
        status_write(t, WRITE_PENDING);           /* handed back at no cost */
        return;
    }
    set_outcome(t);
    print_rest(t);
    if (!may_retry(t) && began && t->stop != STOP_CANCEL && t->stop != STOP_DRAIN && artifacts_wanted(t))
        artifacts_begin(t);
    else
        tell_outcome(t);
}

/* Of what is written to the API last: the end, or that there is another attempt. */
static void tell_outcome(struct task *t)
{
    if (!may_retry(t)) {
        status_write(t, WRITE_END);
        return;
    }
    t->next_attempt_us = loop_wall_us(t->d->loop) + run_backoff_us(t->run, t->attempt + 1);
    status_write(t, (t->stop == STOP_DRAIN || t->d->draining) && !t->rec->shared ? WRITE_PENDING : WRITE_RETRY);
}

/* A failed attempt stays what it was, and says that its artifacts are not there. */
void task_stored(struct task *t, const char *reason, struct str message)
{
    size_t n = strlen(t->end_message), room = sizeof t->end_message - 1;
    if (reason && !strcmp(t->end_phase, "Succeeded")) {
        t->outputs.n = 0;
        snprintf(t->end_message, sizeof t->end_message, "%.*s", (int)str_rune_cut(message, room), message.p);
        set_end(t, "Failed", reason, t->end_message);
    } else if (reason) {
        snprintf(t->end_message + n, sizeof t->end_message - n, "%sits artifacts are not stored: %.*s", n ? "; " : "",
                 (int)str_rune_cut(message, n + 64 < room ? room - n - 64 : 0), message.p);
    }
    tell_outcome(t);
}

void task_is_deleted(struct task *t)
{
    t->stop = STOP_CANCEL;
    set_outcome(t);
    tell_outcome(t);
}

/* ---- what the API accepted --------------------------------------------------------------------------------------- */

static void begin_retry(struct task *t)
{
    if (t->ended)
        exec_forget_task(t);
    int64_t at = t->next_attempt_us;
    t->attempt++;
    t->stop = STOP_NONE;
    reset_attempt(t);
    t->state = TASK_BACKOFF;
    t->begun_wall_us = loop_wall_us(t->d->loop);
    journal_write(t, "backoff");
    remove_workspace(t->d, t->uid);
    int64_t wait = barred(t) ? 0 : at - loop_wall_us(t->d->loop);      /* task_begin sees to it */
    loop_timer_in(t->d->loop, &t->backoff, wait > 0 ? wait : 0);
}

static void count_end(struct task *t, struct str as)
{
    if (t->accepted_wall_us && t->ended_wall_us)  /* else the Runtime Server never had it */
        metric_observe_of_us(METRIC_RUNNING_SECONDS, t->d->series, metric_word(METRIC_RUNNING_SECONDS, as), t->ended_wall_us - t->accepted_wall_us);
}

void task_written(struct task *t, enum write_kind kind)
{
    enum write_kind wanted = t->wanted;
    t->wanted = WRITE_NONE;
    switch (kind) {
    case WRITE_RUNNING:
        t->told_running = true;
        break;
    case WRITE_STORE:
        t->told_running = true;
        artifacts_snapshot_written(t);
        break;
    case WRITE_RETRY:
        metric_add(METRIC_RUN_RETRIES, 0, 1);
        count_end(t, S("retried"));
        t->told_running = true;
        begin_retry(t);
        break;
    case WRITE_PENDING:
    case WRITE_END:
        if (kind == WRITE_END) {
            metric_add(METRIC_RUNS_ENDED, metric_word(METRIC_RUNS_ENDED, str_of(t->end_phase)), 1);
            count_end(t, str_of(t->end_phase));
        }
        if (t->ended)
            exec_forget_task(t);
        t->rec->over = true;
        clean_up(t);
        return;
    case WRITE_NONE:
        break;
    }
    if (wanted)
        status_write(t, wanted);
}
