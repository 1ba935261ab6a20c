/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service: the RPCs. All of executor.v1.Runtime are unary and answer at once, but for Cancel, which answers when nothing of
 * the execution is left. Watch sends what was written since the offsets, then follows.
 *
 * This file must not include stdio.h: two members of the messages are called stdout and stderr.
 */
#include "applets/runtime_server/service.h"
#include "core/metrics.h"
#include "grpc/proto/executor.pb.h"
#include "grpc/proto/runtime_watch.pb.h"

enum { WATCH_CHUNK = 32768, LIST_TEXT_MAX = 2097152 };

static struct execs *table(struct grpc_request *r) { return grpc_service_ctx(r); }

int rs_allow(struct str secret, struct http_fields metadata, struct kr_err *e)
{
    struct str got = http_get(metadata, "authorization");
    unsigned char diff = 0;
    if (!secret.n)
        return 0;
    if (!str_starts(got, S("Bearer ")) || got.n - 7 != secret.n)
        return kr_fail(e, KR_UNAUTHORIZED, "the secret is missing or wrong");
    for (size_t i = 0; i < secret.n; i++)
        diff |= (unsigned char)(got.p[7 + i] ^ secret.p[i]);
    return diff ? kr_fail(e, KR_UNAUTHORIZED, "the secret is missing or wrong") : 0;
}

/* ---- executor.v1.Runtime ----------------------------------------------------------------------------------------- */

static executor_v1_ExecutionState state_of(const struct execution *x)
{
    return exec_state(x) == EXEC_RUNNING     ? executor_v1_ExecutionState_EXECUTION_STATE_RUNNING
           : exec_state(x) == EXEC_SUCCEEDED ? executor_v1_ExecutionState_EXECUTION_STATE_SUCCEEDED
                                             : executor_v1_ExecutionState_EXECUTION_STATE_FAILED;
}

static struct execution *find(struct grpc_request *r, const char *id)
{
    struct execution *x = exec_find(table(r), pb_str(id));
    if (!x)
        grpc_end(r, GRPC_NOT_FOUND, arena_fmt(grpc_arena(r), "no execution \"%s\"", id ? id : ""));
    return x;
}

static void execute(struct grpc_request *r, struct str bytes)
{
    struct arena *a = grpc_arena(r);
    struct kr_err e = { 0 };
    executor_v1_ExecuteRequest *q = grpc_decode(r, executor_v1_ExecuteRequest_fields, sizeof *q, bytes);
    if (!q)
        return;
    struct exec_request x = { .id = pb_str(q->id), .entrypoint = pb_str(q->entrypoint), .working_dir = pb_str(q->working_dir),
                              .timeout_s = q->timeout_seconds, .nenv = q->env_count };
    struct str *args = arena_alloc(a, (q->args_count + 1u) * sizeof *args);
    struct { struct str key, value; } *env = arena_alloc(a, (q->env_count + 1u) * sizeof *env);
    if (!args || !env) {
        grpc_end(r, GRPC_RESOURCE_EXHAUSTED, S("the request is too large"));
        return;
    }
    for (pb_size_t i = 0; i < q->args_count; i++)
        args[i] = pb_str(q->args[i]);
    for (pb_size_t i = 0; i < q->env_count; i++) {
        env[i].key = pb_str(q->env[i].key);
        env[i].value = pb_str(q->env[i].value);
    }
    x.args = (struct strs){ args, q->args_count };
    x.env = (const void *)env;
    if (q->handler && *q->handler) {
        grpc_end(r, GRPC_INVALID_ARGUMENT, S("handlers are not offered by this server"));
        return;
    }
    int rc = exec_start(table(r), &x, &e);
    metric_add(METRIC_EXECUTIONS, rc < 0, 1);
    if (rc < 0) {
        grpc_end_err(r, &e);
        return;
    }
    executor_v1_ExecuteResponse answer = { .id = q->id };
    if (grpc_reply_pb(r, executor_v1_ExecuteResponse_fields, &answer) == 0)
        grpc_end(r, GRPC_OK, S(""));
}

static void fill_status(struct grpc_request *r, const struct execution *x, bool text, executor_v1_StatusResponse *s)
{
    struct arena *a = grpc_arena(r);
    *s = (executor_v1_StatusResponse){ .id = arena_z(a, exec_id(x)), .state = state_of(x) };
    if (exec_state(x) != EXEC_RUNNING)
        s->exit_code = exec_exit_code(x);
    if (exec_error(x).n)
        s->error_message = pb_clean(a, exec_error(x));
    if (!text)
        return;
    s->stdout = pb_clean(a, output_text(exec_output(x, 1), a));
    s->stderr = pb_clean(a, output_text(exec_output(x, 2), a));
}

/* The output in an answer is copied by its encoding: what it was made of goes at once, not when a slow peer has taken it all. */
static void answer_with(struct grpc_request *r, const pb_msgdesc_t *d, const void *msg, struct arena_mark before)
{
    if (grpc_reply_pb(r, d, msg) == 0)
        grpc_end(r, GRPC_OK, S(""));
    arena_rewind(grpc_arena(r), before);
}

static void status(struct grpc_request *r, struct str bytes)
{
    executor_v1_StatusRequest *q = grpc_decode(r, executor_v1_StatusRequest_fields, sizeof *q, bytes);
    struct execution *x = q ? find(r, q->id) : NULL;
    executor_v1_StatusResponse answer;
    if (!x)
        return;
    struct arena_mark before = arena_mark(grpc_arena(r));
    fill_status(r, x, true, &answer);
    answer_with(r, executor_v1_StatusResponse_fields, &answer, before);
}

/* All outputs when their sum is small, else none: strict clients take 4 MiB. */
static void list(struct grpc_request *r, struct str bytes)
{
    (void)bytes;
    struct execution *x;
    size_t n = 0, sum = 0, at = 0;
    while ((x = exec_next(table(r), &at))) {
        n++;
        for (int s = 1; s <= 2; s++)
            sum += exec_output(x, s)->total < LIMIT_STATUS_TEXT ? (size_t)exec_output(x, s)->total : LIMIT_STATUS_TEXT;
    }
    struct arena_mark before = arena_mark(grpc_arena(r));
    executor_v1_StatusResponse *v = arena_alloc(grpc_arena(r), (n + 1) * sizeof *v);
    executor_v1_ListResponse answer = { .entries = v };
    if (!v) {
        grpc_end(r, GRPC_RESOURCE_EXHAUSTED, S("too many executions"));
        return;
    }
    for (at = 0; (x = exec_next(table(r), &at));)
        fill_status(r, x, sum <= LIST_TEXT_MAX, &v[answer.entries_count++]);
    answer_with(r, executor_v1_ListResponse_fields, &answer, before);
}

/* A Cancel's answer waits for the execution's end; the call may be gone by then. */
struct cancelling { struct grpc_request *r; };

static void cancelled(void *ctx)
{
    struct cancelling *c = ctx;
    executor_v1_CancelResponse answer = { 0 };
    if (c->r) {
        grpc_set_user(c->r, NULL);
        if (grpc_reply_pb(c->r, executor_v1_CancelResponse_fields, &answer) == 0)
            grpc_end(c->r, GRPC_OK, S(""));
    }
    free(c);
}

static void cancel(struct grpc_request *r, struct str bytes)
{
    executor_v1_CancelRequest *q = grpc_decode(r, executor_v1_CancelRequest_fields, sizeof *q, bytes);
    struct execution *x = q ? find(r, q->id) : NULL;
    if (!x)
        return;
    struct cancelling *c = xcalloc(1, sizeof *c);
    c->r = r;
    grpc_set_user(r, c);
    exec_cancel(table(r), x, cancelled, c);
}

static void cancel_gone(struct grpc_request *r)
{
    struct cancelling *c = grpc_user(r);
    if (c)
        c->r = NULL;
}

static void forget(struct grpc_request *r, struct str bytes)
{
    executor_v1_ForgetRequest *q = grpc_decode(r, executor_v1_ForgetRequest_fields, sizeof *q, bytes);
    struct execution *x = q ? find(r, q->id) : NULL;
    executor_v1_ForgetResponse answer = { 0 };
    struct kr_err e = { 0 };
    if (!x)
        return;
    if (exec_forget(table(r), x, &e) < 0)
        grpc_end_err(r, &e);
    else if (grpc_reply_pb(r, executor_v1_ForgetResponse_fields, &answer) == 0)
        grpc_end(r, GRPC_OK, S(""));
}

static void health(struct grpc_request *r, struct str bytes)
{
    (void)bytes;
    executor_v1_HealthResponse answer = { .healthy = true };
    if (grpc_reply_pb(r, executor_v1_HealthResponse_fields, &answer) == 0)
        grpc_end(r, GRPC_OK, S(""));
}

/* ---- RuntimeWatch ------------------------------------------------------------------------------------------------ */

struct following {
    struct exec_watch watch;
    struct grpc_request *r;
    struct execution *x;                          /* NULL: nothing to follow any more */
    uint64_t offset[3];                           /* by stream */
    bool holds[3];
};

/* skipped: so many bytes are gone, and these are our words in their place. */
static bool send_bytes(struct following *f, int stream, struct str bytes, uint64_t skipped)
{
    AUTO_ARENA struct arena a = { .limit = 2 * WATCH_CHUNK };
    kruntimes_runtime_v1_WatchEvent ev = { .state = executor_v1_ExecutionState_EXECUTION_STATE_RUNNING };      /* the final state comes last and alone */
    if (stream == 1) {
        ev.stdout = pb_bytes(&a, bytes);
        ev.stdout_skipped = (int64_t)skipped;
    } else {
        ev.stderr = pb_bytes(&a, bytes);
        ev.stderr_skipped = (int64_t)skipped;
    }
    return grpc_reply_pb(f->r, kruntimes_runtime_v1_WatchEvent_fields, &ev) == 0;
}

static bool send_piece(struct following *f, int stream)
{
    uint64_t before = f->offset[stream], at = before;
    struct str piece = output_at(exec_output(f->x, stream), &at);
    if (!piece.n)
        return false;
    if (piece.n > WATCH_CHUNK)
        piece.n = WATCH_CHUNK;
    f->offset[stream] = at + piece.n;
    if (at != before && !send_bytes(f, stream, S("\n[output lost here]\n"), at - before))
        return false;
    return send_bytes(f, stream, piece, 0);
}

static void send_last(struct following *f)
{
    kruntimes_runtime_v1_WatchEvent ev = { .state = (int32_t)state_of(f->x), .exit_code = exec_exit_code(f->x) };
    struct grpc_request *r = f->r;
    if (exec_error(f->x).n)
        ev.error_message = pb_clean(grpc_arena(r), exec_error(f->x));
    exec_unwatch(f->x, &f->watch);
    f->x = NULL;
    if (grpc_reply_pb(r, kruntimes_runtime_v1_WatchEvent_fields, &ev) == 0)
        grpc_end(r, GRPC_OK, S(""));
}

static void send_pieces(struct following *f)
{
    while (f->x && !grpc_is_over(f->r) && grpc_queued(f->r) < HTTP_LOW_WATER) {
        bool any = send_piece(f, 1);
        any |= f->x && !grpc_is_over(f->r) && send_piece(f, 2);
        if (any)
            continue;
        if (f->x && exec_state(f->x) != EXEC_RUNNING)
            send_last(f);
        return;
    }
}

/* Who follows gets everything: a command that writes faster than that waits before the ring comes round. What a pipe holds at the end
 * of the command, a MiB at most, fits in the other half. */
static void hold(struct following *f, bool may)
{
    for (int stream = 1; f->x && stream <= 2; stream++) {
        uint64_t total = exec_output(f->x, stream)->total;
        bool far = may && total > f->offset[stream] && total - f->offset[stream] > OUTPUT_TAIL / 2;
        if (far != f->holds[stream])
            exec_hold(f->x, stream, far);
        f->holds[stream] = far;
    }
}

static void push(struct following *f)
{
    send_pieces(f);
    hold(f, true);
}

static void changed(struct exec_watch *w, struct execution *x, bool is_gone)
{
    (void)x;
    struct following *f = container_of(w, struct following, watch);
    if (is_gone) {
        f->x = NULL;
        grpc_end(f->r, GRPC_NOT_FOUND, S("the execution was removed"));
        return;
    }
    push(f);
}

static void watch(struct grpc_request *r, struct str bytes)
{
    kruntimes_runtime_v1_WatchRequest *q = grpc_decode(r, kruntimes_runtime_v1_WatchRequest_fields, sizeof *q, bytes);
    struct execution *x = q ? find(r, q->id) : NULL;
    if (!x)
        return;
    struct following *f = xblock(sizeof *f);
    *f = (struct following){ .watch = { .changed = changed }, .r = r, .x = x,
                             .offset = { 0, q->stdout_offset > 0 ? (uint64_t)q->stdout_offset : 0, q->stderr_offset > 0 ? (uint64_t)q->stderr_offset : 0 } };
    grpc_set_user(r, f);
    exec_watch(x, &f->watch);
    push(f);
}

static void watch_writable(struct grpc_request *r)
{
    if (grpc_user(r))
        push(grpc_user(r));
}

static void watch_gone(struct grpc_request *r)
{
    struct following *f = grpc_user(r);
    if (!f)
        return;
    hold(f, false);                               /* nobody reads: the command isn't kept waiting for that */
    if (f->x)
        exec_unwatch(f->x, &f->watch);
    grpc_set_user(r, NULL);
    xblock_free(f, sizeof *f);
}

static const struct grpc_method runtime_methods[] = {
    { "Execute", .message = execute }, { "Status", .message = status },   { "List", .message = list },
    { "Cancel", .message = cancel, .gone = cancel_gone }, { "Forget", .message = forget }, { "Health", .message = health }, { 0 } };
static const struct grpc_method watch_methods[] = { { "Watch", .message = watch, .gone = watch_gone, .writable = watch_writable }, { 0 } };

void rs_services(struct execs *x, struct grpc_service out[RS_SERVICES])
{
    out[0] = (struct grpc_service){ "executor.v1.Runtime", runtime_methods, x };
    out[1] = (struct grpc_service){ "kruntimes.runtime.v1.RuntimeWatch", watch_methods, x };
}
