/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec: a task's calls to the Runtime Server. Every call has a deadline; a server that is away is asked again with waits
 * that double; one that has forgotten the execution, answers about another one, or fails to tell of it for UNTOLD_US, makes the
 * task lost; one that doesn't even answer Cancel is waited for no longer than CANCEL_US, one that has told the end, or that Cancel is
 * through, and keeps the stream open no longer than CLOSE_US. Watch is tried first, Status takes over where a server doesn't know it.
 *
 * This file must not include stdio.h: two members of the messages are called stdout and stderr.
 */
#include "applets/runtimed/runtimed.h"
#include "core/failpoint.h"
#include "grpc/proto/executor.pb.h"
#include "grpc/proto/runtime_watch.pb.h"

enum { CALL_US = 30000000, WATCH_US = 600000000, CANCEL_US = 30000000, LOOK_US = 5000000, UNTOLD_US = 30000000, CLOSE_US = 1000000, WAIT_MIN_US = 10000, WAIT_MAX_US = 2000000, POLL_MAX_US = 250000 };

static struct str exec_id_of(const struct task *t, char out[UID_MAX + 16])
{
    struct buf b = { .p = out, .cap = UID_MAX + 16, .max = UID_MAX + 15 };
    buf_str(&b, t->uid);
    if (t->attempt > 1)
        buf_fmt(&b, "-%lld", (long long)t->attempt);
    return (struct str){ out, b.n };
}

/* As much as Status may answer: there are servers that don't cut what an execution wrote. */
static size_t answer_max(const pb_msgdesc_t *request) { return request == executor_v1_StatusRequest_fields ? LIMIT_GRPC_STATUS : LIMIT_GRPC_MESSAGE; }

static struct grpc_call *call_server(struct task *t, const char *path, const pb_msgdesc_t *d, const void *msg, int64_t timeout_us,
                                     struct grpc_user user)
{
    AUTO_BUF struct buf b = { .max = LIMIT_EXEC_REQUEST };
    struct http_field store[1];
    struct kr_err e = { 0 };
    if (pb_to_bytes(d, msg, &b, &e) < 0)
        return NULL;
    struct grpc_options o = { .metadata = server_metadata(t->d, store), .timeout_us = timeout_us, .max_message = answer_max(d) };
    return grpc_call(t->d->server, path, buf_view(&b), &o, user);
}

static void wait_then(struct task *t, void (*fire)(struct loop *, struct timer *), int64_t max_us)
{
    t->wait_us = t->wait_us ? t->wait_us * 2 : WAIT_MIN_US;
    if (t->wait_us > max_us)
        t->wait_us = max_us;
    t->again.fire = fire;
    loop_timer_in(t->d->loop, &t->again, t->wait_us);
}

/* It says nothing of the execution, and may another time. */
static bool is_away(int status)
{
    return status == GRPC_UNAVAILABLE || status == GRPC_DEADLINE_EXCEEDED || status == GRPC_UNAUTHENTICATED || status == GRPC_CANCELLED;
}

/* It goes into the Run's status, where bytes that are no text would be refused for ever. */
static void store_error(struct task *t, const char *z)
{
    AUTO_ARENA struct arena a = { .limit = 4 * (size_t)LIMIT_GRPC_MESSAGE };
    const char *clean = pb_clean(&a, pb_str(z));
    size_t n = str_rune_cut(pb_str(clean), sizeof t->error - 1);
    memcpy(t->error, clean ? clean : "", n);
    t->error[n] = '\0';
}

static void nothing(void *ctx, int status, struct str text)
{
    (void)ctx;
    (void)status;
    (void)text;
}

/* ---- Execute ----------------------------------------------------------------------------------------------------- */

struct env_list { executor_v1_ExecuteRequest_EnvEntry *v; pb_size_t n; struct arena *a; };

static void put_env(struct env_list *l, const char *key, struct str value)
{
    l->v[l->n].key = (char *)key;
    l->v[l->n++].value = arena_z(l->a, value);
}

/* A smaller number can't be one of bytes: then "memory" counts something else. */
enum { MEMORY_LEAST = 1048576 };

/* Bytes that the Run asks for; 0: it says nothing of them. */
static int64_t memory_of(const struct task *t)
{
    const struct count_map *m = &t->run->spec.resources.requests;
    for (size_t i = 0; i < m->n; i++)
        if (str_is(m->v[i].key, "memory") && m->v[i].value >= MEMORY_LEAST)
            return m->v[i].value;
    return 0;
}

static void fill_env(struct task *t, struct env_list *l)
{
    const struct run_spec *s = &t->run->spec;
    struct str home = arena_fmt(l->a, "%s/%.*s", t->d->workspace, SFMT(t->uid));
    put_env(l, "HOME", arena_fmt(l->a, "%.*s/home", SFMT(home)));
    put_env(l, "TMPDIR", arena_fmt(l->a, "%.*s/tmp", SFMT(home)));
    for (size_t i = 0; i < s->env.n; i++)
        if (!str_starts(s->env.v[i].name, S("KRUNTIME_")))
            put_env(l, arena_z(l->a, s->env.v[i].name), s->env.v[i].value.p ? s->env.v[i].value : S(""));
    put_env(l, "KRUNTIME_WORKSPACE", work_path(t, l->a));
    put_env(l, "KRUNTIME_OUTPUTS", arena_fmt(l->a, "%.*s/out/outputs", SFMT(home)));
    put_env(l, "KRUNTIME_ARTIFACTS_DIR", arena_fmt(l->a, "%.*s/out/artifacts", SFMT(home)));
    put_env(l, "KRUNTIME_RUN_NAME", t->name);
    put_env(l, "KRUNTIME_RUN_UID", t->uid);
    put_env(l, "KRUNTIME_NAMESPACE", t->ns);
    put_env(l, "KRUNTIME_ATTEMPT", arena_fmt(l->a, "%lld", (long long)t->attempt));
    if (memory_of(t))
        put_env(l, "KRUNTIME_MEMORY", arena_fmt(l->a, "%lld", (long long)memory_of(t)));
}

static void again_begin(struct loop *loop, struct timer *timer)
{
    (void)loop;
    exec_begin(container_of(timer, struct task, again));
}

void exec_cancel_unheard(struct task *t)
{
    char id[UID_MAX + 16];
    executor_v1_CancelRequest q = { .id = id };
    exec_id_of(t, id);
    call_server(t, "/executor.v1.Runtime/Cancel", executor_v1_CancelRequest_fields, &q, CALL_US, (struct grpc_user){ .done = nothing });
}

/* An answer about another execution is none about ours. */
static bool is_ours(struct task *t, const char *id)
{
    char own[UID_MAX + 16];
    t->mistaken = id && *id && !str_is(exec_id_of(t, own), id);
    if (t->mistaken)
        store_error(t, "it answers about another execution");
    return !t->mistaken;
}

static void on_executed(void *ctx, struct str bytes)
{
    struct task *t = ctx;
    AUTO_ARENA struct arena a = { .limit = 65536 };
    executor_v1_ExecuteResponse r = { 0 };
    struct kr_err e = { 0 };
    if (pb_from_bytes(executor_v1_ExecuteResponse_fields, &r, bytes, &a, &e) == 0)
        is_ours(t, r.id);
}

static void executed(void *ctx, int status, struct str text)
{
    struct task *t = ctx;
    AUTO_ARENA struct arena a = { .limit = 65536 };
    KR_FAILPOINT("runtimed.execute.after");
    t->call = NULL;
    if (status == GRPC_OK && t->mistaken) {
        t->mistaken = false;
        exec_cancel_unheard(t);
        task_refused(t, "RuntimeExecute", S("the Runtime Server took it under another id than it was given"));
    } else if (status == GRPC_OK || status == GRPC_ALREADY_EXISTS) {     /* there already: an answer of ours got lost */
        t->wait_us = 0;
        task_accepted(t);
    } else if (status == GRPC_ABORTED) {
        task_postponed(t);
    } else if (is_away(status)) {
        server_trouble(t->d, "Execute", status, text);
        if (!t->stop) {
            wait_then(t, again_begin, WAIT_MAX_US);
            return;
        }
        exec_cancel_unheard(t);
        task_stopped(t);
    } else {
        store_error(t, arena_fmt(&a, "%.*s", SFMT(text)).p);
        task_refused(t, "RuntimeExecute", str_of(t->error));
    }
}

void exec_begin(struct task *t)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_EXEC_REQUEST };
    const struct run_spec *s = &t->run->spec;
    char id[UID_MAX + 16];
    struct env_list env = { .v = arena_alloc(&a, (s->env.n + 16) * sizeof *env.v), .a = &a };
    char **args = arena_alloc(&a, (s->args.n + 1) * sizeof *args);
    t->state = TASK_STARTING;
    exec_id_of(t, id);
    fill_env(t, &env);
    for (size_t i = 0; i < s->args.n; i++)
        args[i] = arena_z(&a, s->args.v[i]);
    bool has_inline = s->has_source && s->source.inline_.p;
    executor_v1_ExecuteRequest q = {
        .id = id, .args = args, .args_count = (pb_size_t)s->args.n, .env = env.v, .env_count = env.n,
        .working_dir = (char *)work_path(t, &a).p,
        .entrypoint = s->entrypoint.n ? arena_z(&a, s->entrypoint) : has_inline ? (char *)"script" : NULL };
    if (a.over || !q.working_dir) {
        task_refused(t, "RuntimeExecute", S("arguments and environment are too large for one request"));
        return;
    }
    const char *bad = NULL;
    for (size_t i = 0; i < s->args.n; i++)
        if (!args[i])
            bad = "an argument";
    for (size_t i = 0; i < env.n; i++)
        if (!env.v[i].value)
            bad = env.v[i].key;
    if (bad) {
        task_refused(t, "RuntimeExecute", arena_fmt(&a, "%s has a NUL character inside", bad));
        return;
    }
    journal_write(t, "exec");
    KR_FAILPOINT("runtimed.execute.before");
    t->call = call_server(t, "/executor.v1.Runtime/Execute", executor_v1_ExecuteRequest_fields, &q, CALL_US, (struct grpc_user){ on_executed, executed, t });
    if (!t->call)
        task_refused(t, "RuntimeExecute", S("arguments and environment are too large for one request"));
}

/* ---- Watch ------------------------------------------------------------------------------------------------------- */

static void take_output(struct task *t, int stream, struct str bytes)
{
    if (!bytes.n)
        return;
    t->seen[stream] += bytes.n;
    print_output(t, stream, bytes);
    if (t->rec->log)
        log_append(t->rec->log, stream, bytes, loop_wall_us(t->d->loop));
}

/* The server hasn't kept so many bytes; the note has its words in their place. */
static void take_gap(struct task *t, int stream, uint64_t skipped, struct str note)
{
    t->seen[stream] += skipped;
    print_output(t, stream, note);
    if (t->rec->log)
        log_skip(t->rec->log, stream, skipped, note, loop_wall_us(t->d->loop));
}

static void take_part(struct task *t, int stream, struct str bytes, int64_t skipped)
{
    if (skipped > 0)
        take_gap(t, stream, (uint64_t)skipped, bytes);
    else
        take_output(t, stream, bytes);
}

static void take_end(struct task *t, int state, int32_t exit_code, const char *error)
{
    t->ended = true;
    t->final_state = state;
    t->exit_code = exit_code;
    store_error(t, error);
}

/* The server is there and knows it, and says no more than that it failed (some do at output that is no text), or nothing that can
 * be read: for ever it must not. */
static bool is_untold(struct task *t, int status, struct str text)
{
    bool may_pass = (status == GRPC_OK && t->heard) || is_away(status) || t->state == TASK_STOPPING;
    int64_t now = loop_now_us(t->d->loop);
    if (may_pass || !t->untold_since_us)
        t->untold_since_us = may_pass ? 0 : now;
    if (may_pass || now - t->untold_since_us < UNTOLD_US)
        return false;
    AUTO_ARENA struct arena a = { .limit = 65536 };
    store_error(t, status == GRPC_OK ? "it answers nothing that can be read" : arena_fmt(&a, "it can't tell: %.*s", SFMT(text)).p);
    return true;
}

static void lose(struct task *t)
{
    exec_cancel_unheard(t);                       /* it may run all the same */
    task_lost(t);
}

static bool is_final(int state)
{
    return state == executor_v1_ExecutionState_EXECUTION_STATE_SUCCEEDED || state == executor_v1_ExecutionState_EXECUTION_STATE_FAILED;
}

static void not_closed(struct loop *loop, struct timer *timer)
{
    (void)loop;
    struct task *t = container_of(timer, struct task, again);
    grpc_cancel(TAKE(t->watch));
    task_ended(t);
}

static void on_event(void *ctx, struct str bytes)
{
    struct task *t = ctx;
    AUTO_ARENA struct arena a = { .limit = 4 * (size_t)LIMIT_GRPC_MESSAGE };
    kruntimes_runtime_v1_WatchEvent ev = { 0 };
    struct kr_err e = { 0 };
    if (t->ended || pb_from_bytes(kruntimes_runtime_v1_WatchEvent_fields, &ev, bytes, &a, &e) < 0)
        return;                                   /* what follows the last event counts for nothing; else the call's own end decides */
    t->heard = true;
    t->wait_us = 0;
    take_part(t, 1, pb_view(ev.stdout), ev.stdout_skipped);
    take_part(t, 2, pb_view(ev.stderr), ev.stderr_skipped);
    if (!is_final(ev.state))
        return;
    take_end(t, ev.state, ev.exit_code, ev.error_message);
    if (t->state == TASK_RUNNING) {               /* else Cancel is what it waits for */
        t->again.fire = not_closed;
        loop_timer_in(t->d->loop, &t->again, CLOSE_US);
    }
}

static void again_follow(struct loop *loop, struct timer *timer)
{
    (void)loop;
    exec_follow(container_of(timer, struct task, again));
}

/* While stopping, the timer is Cancel's: that one has to come through, and the last output is looked for after it. */
static void follow_later(struct task *t, int64_t most_us)
{
    if (t->state != TASK_STOPPING)
        wait_then(t, again_follow, most_us);
}

/* Only the rest of it was waited for: its end, or that it is ended, is known. */
static bool was_last(struct task *t)
{
    if (t->cancelled)
        task_stopped(t);
    else if (t->ended)
        task_ended(t);
    else
        return false;
    return true;
}

static void watch_done(void *ctx, int status, struct str text)
{
    struct task *t = ctx;
    KR_FAILPOINT("runtimed.watch.after");
    t->watch = NULL;
    if (was_last(t))
        return;
    if (status == GRPC_UNIMPLEMENTED) {
        t->d->no_watch = true;
        exec_follow(t);
    } else if (status == GRPC_NOT_FOUND) {
        if (t->state != TASK_STOPPING)            /* while stopping it is our Cancel that removed it */
            task_lost(t);
    } else if (is_untold(t, status, text)) {
        lose(t);
    } else {
        if (status == GRPC_UNAVAILABLE)
            server_trouble(t->d, "Watch", status, text);
        follow_later(t, WAIT_MAX_US);
    }
}

/* ---- Status, for servers without Watch --------------------------------------------------------------------------- */

/* The text so far: what is behind the bytes we have is new. Beyond the server's cap nothing new can be told. */
static void take_text(struct task *t, int stream, struct str text)
{
    if (text.n > t->seen[stream])
        take_output(t, stream, str_from(text, (size_t)t->seen[stream]));
}

static void on_status(void *ctx, struct str bytes)
{
    struct task *t = ctx;
    AUTO_ARENA struct arena a = { .limit = 2 * (size_t)LIMIT_GRPC_STATUS };
    executor_v1_StatusResponse s = { 0 };
    struct kr_err e = { 0 };
    if (pb_from_bytes(executor_v1_StatusResponse_fields, &s, bytes, &a, &e) < 0 || !is_ours(t, s.id))
        return;
    t->heard = true;
    take_text(t, 1, pb_str(s.stdout));
    take_text(t, 2, pb_str(s.stderr));
    if (is_final((int)s.state))
        take_end(t, (int)s.state, s.exit_code, s.error_message);
}

static void status_done(void *ctx, int status, struct str text)
{
    struct task *t = ctx;
    KR_FAILPOINT("runtimed.status.after");
    t->watch = NULL;
    if (was_last(t))
        return;
    if (status == GRPC_NOT_FOUND && t->state != TASK_STOPPING)
        task_lost(t);
    else if ((t->mistaken && t->state != TASK_STOPPING) || is_untold(t, status, text))
        lose(t);
    else if (status == GRPC_OK || status != GRPC_NOT_FOUND)
        follow_later(t, status == GRPC_OK ? POLL_MAX_US : WAIT_MAX_US);
}

void exec_follow(struct task *t)
{
    char id[UID_MAX + 16];
    exec_id_of(t, id);
    if (t->watch || t->ended)
        return;
    t->heard = false;
    if (t->d->no_watch) {
        executor_v1_StatusRequest q = { .id = id };
        KR_FAILPOINT("runtimed.status.before");
        t->watch = call_server(t, "/executor.v1.Runtime/Status", executor_v1_StatusRequest_fields, &q, CALL_US,
                               (struct grpc_user){ on_status, status_done, t });
        return;
    }
    kruntimes_runtime_v1_WatchRequest q = { .id = id, .stdout_offset = (int64_t)t->seen[1], .stderr_offset = (int64_t)t->seen[2] };
    KR_FAILPOINT("runtimed.watch.before");
    t->watch = call_server(t, "/kruntimes.runtime.v1.RuntimeWatch/Watch", kruntimes_runtime_v1_WatchRequest_fields, &q, WATCH_US,
                           (struct grpc_user){ on_event, watch_done, t });
}

/* ---- after a restart --------------------------------------------------------------------------------------------- */

static void again_look_for(struct loop *loop, struct timer *timer)
{
    (void)loop;
    exec_look_for(container_of(timer, struct task, again));
}

/* Of its answers only that it doesn't know it counts: all else is for those who follow it, or end it, to judge. */
static void looked_for(void *ctx, int status, struct str text)
{
    struct task *t = ctx;
    KR_FAILPOINT("runtimed.look-for.after");
    t->call = NULL;
    if (is_away(status) && !t->stop) {
        server_trouble(t->d, "Status", status, text);
        wait_then(t, again_look_for, WAIT_MAX_US);
        return;
    }
    t->wait_us = 0;
    if (status == GRPC_NOT_FOUND)
        task_unbegun(t);
    else
        task_found(t);
}

void exec_look_for(struct task *t)
{
    char id[UID_MAX + 16];
    executor_v1_StatusRequest q = { .id = id };
    exec_id_of(t, id);
    KR_FAILPOINT("runtimed.look-for.before");
    t->call = call_server(t, "/executor.v1.Runtime/Status", executor_v1_StatusRequest_fields, &q, CALL_US, (struct grpc_user){ .done = looked_for, .ctx = t });
}

/* ---- Cancel and Forget ------------------------------------------------------------------------------------------- */

static void again_cancel(struct loop *loop, struct timer *timer)
{
    (void)loop;
    exec_cancel_task(container_of(timer, struct task, again));
}

static void no_more_output(struct loop *loop, struct timer *timer)
{
    (void)loop;
    task_stopped(container_of(timer, struct task, again));
}

/* What it had written may still be on its way. */
static void cancel_is_through(struct task *t)
{
    t->cancelled = true;
    if (!t->watch) {
        task_stopped(t);
        return;
    }
    t->again.fire = no_more_output;
    loop_timer_in(t->d->loop, &t->again, CLOSE_US);
}

static void cancel_done(void *ctx, int status, struct str text)
{
    struct task *t = ctx;
    KR_FAILPOINT("runtimed.cancel.after");
    t->call = NULL;
    t->unconfirmed = status != GRPC_OK && status != GRPC_NOT_FOUND;
    if (!t->unconfirmed || loop_now_us(t->d->loop) >= t->cancel_until_us) {
        cancel_is_through(t);
        return;
    }
    if (status == GRPC_UNAVAILABLE)
        server_trouble(t->d, "Cancel", status, text);
    wait_then(t, again_cancel, WAIT_MAX_US);
}

static void looked(void *ctx, int status, struct str text)
{
    struct task *t = ctx;
    (void)status;
    (void)text;
    KR_FAILPOINT("runtimed.last-status.after");
    t->call = NULL;
    exec_cancel_task(t);
}

void exec_cancel_task(struct task *t)
{
    char id[UID_MAX + 16];
    executor_v1_CancelRequest q = { .id = id };
    exec_id_of(t, id);
    loop_timer_stop(t->d->loop, &t->again);
    if (!t->cancel_until_us)
        t->cancel_until_us = loop_now_us(t->d->loop) + CANCEL_US;
    if (t->d->no_watch && !t->last_look) {        /* Cancel removes the output too: it is read before */
        executor_v1_StatusRequest look = { .id = id };
        t->last_look = true;
        grpc_cancel(TAKE(t->watch));
        KR_FAILPOINT("runtimed.last-status.before");
        t->call = call_server(t, "/executor.v1.Runtime/Status", executor_v1_StatusRequest_fields, &look, LOOK_US,
                              (struct grpc_user){ on_status, looked, t });
        return;
    }
    KR_FAILPOINT("runtimed.cancel.before");
    t->call = call_server(t, "/executor.v1.Runtime/Cancel", executor_v1_CancelRequest_fields, &q, CANCEL_US,
                          (struct grpc_user){ .done = cancel_done, .ctx = t });
}

static void forgotten(void *ctx, int status, struct str text)
{
    (void)ctx;
    (void)status;
    (void)text;
    KR_FAILPOINT("runtimed.forget.after");
}

void exec_forget_task(struct task *t)
{
    char id[UID_MAX + 16];
    executor_v1_ForgetRequest q = { .id = id };
    exec_id_of(t, id);
    KR_FAILPOINT("runtimed.forget.before");
    call_server(t, "/executor.v1.Runtime/Forget", executor_v1_ForgetRequest_fields, &q, CALL_US, (struct grpc_user){ .done = forgotten });
}
