/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server: the Runtime Server beside us. A server of ours waits for a secret in a file and unlinks it; so the file is written
 * whenever the server doesn't answer, and taken away once it does. After the first healthy answer, executions that belong
 * to no task are ended: they are of Runs that were taken away while we were down.
 */
#include "applets/runtimed/runtimed.h"
#include "core/failpoint.h"
#include "core/fs.h"
#include "core/log.h"
#include "grpc/proto/executor.pb.h"
#include <unistd.h>

enum { LEFTOVERS = 256, CALL_US = 10000000, CALM_US = 10000000, FAST_US = 20000, MAX_US = 1000000 };

struct http_fields server_metadata(const struct runtimed *d, struct http_field store[1])
{
    store[0] = (struct http_field){ S("authorization"), str_of(d->auth) };
    return (struct http_fields){ store, 1 };
}

static struct grpc_call *call(struct runtimed *d, const char *path, struct str body, struct grpc_user user)
{
    struct http_field store[1];
    struct grpc_options o = { .metadata = server_metadata(d, store), .timeout_us = CALL_US, .max_message = LIMIT_GRPC_LIST };
    return grpc_call(d->server, path, body, &o, user);
}

static void offer_secret(struct runtimed *d)
{
    struct kr_err e = { 0 };
    if (fs_exists(d->secret_file))
        return;
    if (fs_write(d->secret_file, str_of(d->secret), 0600, false, &e) < 0)
        log_error(&log_std, "the secret can't be written", LOG_ERR(&e));
}

/* ---- leftovers --------------------------------------------------------------------------------------------------- */

static void was_ended(void *ctx, int status, struct str text)
{
    (void)ctx;
    (void)status;
    (void)text;
    KR_FAILPOINT("runtimed.end-leftover.after");
}

static void end_execution(struct runtimed *d, const char *id)
{
    executor_v1_CancelRequest q = { .id = (char *)id };
    AUTO_BUF struct buf b = { .max = 4096 };
    struct kr_err e = { 0 };
    log_info(&log_std, "ending an execution of no Run", LOG_Z("id", id));
    KR_FAILPOINT("runtimed.end-leftover.before");
    if (pb_to_bytes(executor_v1_CancelRequest_fields, &q, &b, &e) == 0)
        call(d, "/executor.v1.Runtime/Cancel", buf_view(&b), (struct grpc_user){ .done = was_ended });
}

static void on_list(void *ctx, struct str bytes)
{
    struct runtimed *d = ctx;
    AUTO_ARENA struct arena a = { .limit = 2 * (size_t)LIMIT_GRPC_LIST };
    executor_v1_ListResponse list = { 0 };
    struct kr_err e = { 0 };
    int n = 0;
    if (pb_from_bytes(executor_v1_ListResponse_fields, &list, bytes, &a, &e) < 0)
        log_warn(&log_std, "what the Runtime Server lists can't be read: executions of no Run are not ended", LOG_ERR(&e));
    for (pb_size_t i = 0; !e.code && i < list.entries_count; i++) {
        struct str id = pb_str(list.entries[i].id), uid = { id.p, id.n > 36 ? 36 : id.n };
        struct record *r = record_of_uid(d, uid);
        if (r && r->task)
            continue;
        if (++n > LEFTOVERS) {                    /* each is a call: the rest when these are gone, with a healthy answer to come */
            d->server_seen = false;
            return;
        }
        end_execution(d, list.entries[i].id);
    }
}

static void listed(void *ctx, int status, struct str text)
{
    struct runtimed *d = ctx;
    KR_FAILPOINT("runtimed.list.after");
    d->list = NULL;
    if (status == GRPC_RESOURCE_EXHAUSTED)        /* it would be the same again */
        log_warn(&log_std, "what the Runtime Server lists is too large: executions of no Run are not ended", LOG_STR("error", text));
    else if (status != GRPC_OK)
        d->server_seen = false;                   /* asked again with the next healthy answer */
}

/* ---- health ------------------------------------------------------------------------------------------------------ */

static void ask(struct runtimed *d);

/* Told when it changes, with why; until it answers for the first time it is starting. */
static void set_ok(struct runtimed *d, bool ok, const char *call, const char *why, struct str text)
{
    if (d->server_ok && !ok)
        log_warn(&log_std, "the Runtime Server doesn't answer", LOG_Z("call", call), LOG_Z("status", why), LOG_STR("error", text));
    else if (ok && !d->server_ok)
        log_info(&log_std, "the Runtime Server answers");
    d->server_ok = ok;
}

static void on_health(void *ctx, struct str bytes)
{
    struct runtimed *d = ctx;
    AUTO_ARENA struct arena a = { .limit = 65536 };
    executor_v1_HealthResponse h = { 0 };
    struct kr_err e = { 0 };
    bool ok = pb_from_bytes(executor_v1_HealthResponse_fields, &h, bytes, &a, &e) == 0 && h.healthy;
    set_ok(d, ok, "Health", e.code ? "OK" : "not healthy", e.code ? str_of(e.msg) : pb_str(h.message));
}

static void health_done(void *ctx, int status, struct str text)
{
    struct runtimed *d = ctx;
    static int64_t wait;
    KR_FAILPOINT("runtimed.health.after");
    d->health = NULL;
    if (status != GRPC_OK) {
        set_ok(d, false, "Health", grpc_status_name(status), text);
        offer_secret(d);
        wait = wait ? wait * 2 : FAST_US;
        loop_timer_in(d->loop, &d->health_timer, wait < MAX_US ? wait : MAX_US);
        return;
    }
    wait = 0;
    if (d->server_ok && fs_exists(d->secret_file))
        unlink(d->secret_file);
    if (d->server_ok && d->swept && !d->server_seen && !d->list) {
        d->server_seen = true;
        KR_FAILPOINT("runtimed.list.before");
        d->list = call(d, "/executor.v1.Runtime/List", S(""), (struct grpc_user){ on_list, listed, d });
    }
    loop_timer_in(d->loop, &d->health_timer, d->server_ok && d->swept ? CALM_US : MAX_US / 10);
}

static void ask(struct runtimed *d)
{
    if (d->health)
        return;
    KR_FAILPOINT("runtimed.health.before");
    d->health = call(d, "/executor.v1.Runtime/Health", S(""), (struct grpc_user){ on_health, health_done, d });
}

static void ask_again(struct loop *loop, struct timer *t)
{
    (void)loop;
    ask(container_of(t, struct runtimed, health_timer));
}

/* Who answers next may be another one, which waits for the secret. Not at once: one that hangs up as soon as it is asked would be asked
 * without end; and one that didn't answer is asked again when its time has come. */
static void connection_lost(void *ctx)
{
    struct runtimed *d = ctx;
    if (d->server_ok && !d->health)
        loop_timer_in(d->loop, &d->health_timer, FAST_US);
}

void server_trouble(struct runtimed *d, const char *call, int status, struct str text)
{
    set_ok(d, false, call, grpc_status_name(status), text);
    ask(d);
}

/* The secret outlives this process: a Runtime Server that is up took it from the file and has no other. It lies in our own
 * state folder, which the executed code doesn't see. */
static int load_secret(struct runtimed *d, struct kr_err *e)
{
    static const char hex[] = "0123456789abcdef";
    AUTO_ARENA struct arena a = { .limit = 65536 };
    AUTO_BUF struct buf kept = { .max = sizeof d->secret };
    const char *path = fs_join(&a, d->state, "secret");
    struct kr_err ignored = { 0 };
    unsigned char secret[32];
    if (fs_read(path, &kept, &ignored) == 0 && kept.n == sizeof d->secret - 1) {
        memcpy(d->secret, kept.p, kept.n + 1);
        return 0;
    }
    rnd_secret(secret, sizeof secret);
    for (size_t i = 0; i < sizeof secret; i++) {
        d->secret[2 * i] = hex[secret[i] >> 4];
        d->secret[2 * i + 1] = hex[secret[i] & 15];
    }
    return fs_write(path, str_of(d->secret), 0600, false, e);
}

int server_start(struct runtimed *d, struct str host, uint16_t port, struct kr_err *e)
{
    if (load_secret(d, e) < 0)
        return -1;
    memcpy(d->auth, "Bearer ", 7);
    memcpy(d->auth + 7, d->secret, sizeof d->secret);
    d->health_timer.fire = ask_again;
    d->server = grpc_client_new(d->loop, host, port);
    grpc_client_on_lost(d->server, connection_lost, d);
    ask(d);                                       /* the secret is offered when nobody answers to it */
    return 0;
}

void server_stop(struct runtimed *d)
{
    loop_timer_stop(d->loop, &d->health_timer);
    grpc_cancel(TAKE(d->health));
    grpc_cancel(TAKE(d->list));
    grpc_client_free(TAKE(d->server));
}
