/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client: calls wait in one queue until a connection can carry them: one HTTP/2 connection for all, or some
 * HTTP/1.1 connections with one call each. A call that the server surely has not processed (GOAWAY, REFUSED_STREAM, a
 * server that speaks no HTTP/2), or a GET on a connection that turned out to be dead, is sent again by itself; every other
 * loss is told.
 *
 * A callback may do anything, closing the client included: memory goes when the outermost callback has returned. Connections
 * are in http_client_conn.c. Not here: redirects, cookies. Tested in tests/unit/grpc/http.c, http_faults.c.
 */
#include "grpc/http_client.h"

enum { MAX_TRIES = 3, H1_CONNECTIONS = 8 };

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static void hcall_leave(struct hcall *k)
{
    *k->at = k->next;
    if (k->next)
        k->next->at = k->at;
    else if (!k->c)
        k->h->queue_end = k->at;
    if (k->c) {
        k->c->ncalls--;
        cconn_turn(k->c);
        k->c = NULL;
    }
    k->at = NULL;
}

static void enqueue(struct hcall *k, bool first)
{
    struct httpc *h = k->h;
    k->number = ++h->numbers;
    k->queued_us = loop_now_us(h->loop);
    struct hcall **place = first ? &h->queue : h->queue_end;
    k->next = *place;
    k->at = place;
    *place = k;
    if (k->next)
        k->next->at = &k->next;
    else
        h->queue_end = &k->next;
    loop_defer(h->loop, &h->turn);
}

void hcall_over(struct hcall *k)
{
    if (k->c && k->c->h2)
        h2_set_user(k->c->h2, k->stream, NULL);
    hcall_leave(k);
    k->over = true;
    loop_timer_stop(k->h->loop, &k->deadline);
    k->next = k->h->over;
    k->h->over = k;
    k->h->ncalls--;
    loop_defer(k->h->loop, &k->h->turn);
}

void hcall_fail(struct hcall *k, const struct kr_err *e)
{
    hcall_over(k);
    k->user.failed(k, e);
}

void hcall_again(struct hcall *k)
{
    struct kr_err e = { 0 };
    if (++k->tries >= MAX_TRIES || k->head_seen || k->more) {
        kr_fail(&e, KR_UNAVAILABLE, "%.*s:%u: the server did not take the request", SFMT(k->h->config.target.host),
                k->h->config.target.port);
        hcall_fail(k, &e);
        return;
    }
    hcall_leave(k);
    k->stream = 0;
    enqueue(k, true);
}

static void hcall_free(struct hcall *k)
{
    buf_free(&k->out);
    xblock_free(k, k->size);
}

/* A body of which a part was not taken must not go out as a whole one. */
static void too_large(const struct hcall *k, struct kr_err *e)
{
    kr_fail(e, KR_TOO_LARGE, "%.*s:%u: the request is larger than %d bytes", SFMT(k->h->config.target.host), k->h->config.target.port, LIMIT_HTTP_OUT);
}

void hcall_unsendable(struct hcall *k)
{
    struct kr_err e = { 0 };
    kr_fail(&e, KR_INVALID, "%.*s:%u: the request can't be sent: its method, its path or a field has bytes that are not allowed, or it is larger than %d bytes",
            SFMT(k->h->config.target.host), k->h->config.target.port, LIMIT_HTTP_OUT);
    hcall_fail(k, &e);
}

static void deadline_passed(struct loop *loop, struct timer *t)
{
    (void)loop;
    struct hcall *k = container_of(t, struct hcall, deadline);
    struct httpc *h = k->h;
    struct kr_err e = { 0 };
    if (h->on_hold && !k->c)
        return;                             /* the time of the hold is added behind it */
    bool large = k->out.failed;
    if (k->c && k->c->h2)
        h2_reset(k->c->h2, k->stream, H2_CANCEL);
    else if (k->c)
        k->c->dead = true;
    if (large)
        too_large(k, &e);
    else
        kr_fail(&e, KR_DEADLINE, "%.*s:%u: no complete answer in time", SFMT(h->config.target.host), h->config.target.port);
    httpc_enter(h);
    hcall_fail(k, &e);
    httpc_leave(h);
}

struct http_fields hcall_sign(struct hcall *k)
{
    const struct httpc_config *c = &k->h->config;
    return c->sign ? c->sign(c->sign_ctx, &k->stamp) : (struct http_fields){ 0 };
}

/* Those that wait now: a callback may put in new ones, and cancel others. */
void httpc_fail_queue(struct httpc *h, const struct kr_err *e)
{
    uint64_t last = h->numbers;
    while (h->queue) {
        struct hcall *k = h->queue;
        while (k && k->number > last)
            k = k->next;
        if (!k)
            return;
        hcall_fail(k, e);
    }
}

/* ---- who carries what waits -------------------------------------------------------------------------------------- */

static bool can_carry(const struct cconn *c, const struct hcall *k)
{
    if (!c->open || c->dead || c->retiring || c->for_upgrade != k->upgrade)
        return false;
    return c->h2 ? h2_can_open(c->h2) && c->ncalls < c->h->config.max_calls : c->ncalls == 0;
}

static bool is_coming(const struct cconn *c, const struct hcall *k) { return !c->open && !c->dead && c->for_upgrade == k->upgrade; }

static size_t most_connections(const struct httpc *h)
{
    return h->config.max_connections ? h->config.max_connections : h->version == HTTP_11 ? H1_CONNECTIONS : 1;
}

/* Is another connection worth opening for k? */
static bool may_connect(struct httpc *h, const struct hcall *k)
{
    size_t n = 0;
    if (h->config.target.fd < 0)                  /* the one socket it was given is used up */
        return false;
    for (struct cconn *c = h->conns; c; c = c->next) {
        if (is_coming(c, k) && (h->version != HTTP_11 || k->upgrade))
            return false;
        n += !c->dead && !c->retiring && c->for_upgrade == k->upgrade;
    }
    if (k->upgrade)
        return true;
    return n < most_connections(h);
}

static void start_waiting(struct httpc *h)
{
    if (h->config.target.fd < 0 && !h->conns) {
        struct kr_err e = { 0 };
        kr_fail(&e, KR_UNAVAILABLE, "the connection was closed");
        httpc_fail_queue(h, &e);
        return;
    }
    for (struct hcall *k = h->queue, *next; k && !h->on_hold; k = next) {
        next = k->next;
        if (k->out.failed) {
            struct kr_err e = { 0 };
            too_large(k, &e);
            hcall_fail(k, &e);
            loop_defer(h->loop, &h->turn);        /* who heard it may have changed the queue */
            return;
        }
        struct cconn *c = h->conns;
        while (c && !can_carry(c, k))
            c = c->next;
        if (c) {
            hcall_leave(k);
            cconn_carry(c, k);
            if (k->over) {                        /* it can't be written, and who heard it may have changed the queue */
                loop_defer(h->loop, &h->turn);
                return;
            }
        } else if (may_connect(h, k)) {
            cconn_new(h, k->upgrade);
        } else if (h->version != HTTP_11 && !k->upgrade) {
            break;
        }
    }
}

static void free_over(struct httpc *h)
{
    while (h->over) {
        struct hcall *k = h->over;
        h->over = k->next;
        hcall_free(k);
    }
}

static void turn_client(struct loop *loop, struct defer *d)
{
    (void)loop;
    struct httpc *h = container_of(d, struct httpc, turn);
    httpc_enter(h);
    free_over(h);
    start_waiting(h);
    httpc_leave(h);
}

static void destroy(struct httpc *h)
{
    while (h->conns)
        cconn_free(h->conns);
    free_over(h);
    loop_defer_cancel(h->loop, &h->turn);
    free(h->host);
    free(h->server_name);
    free(h);
}

void httpc_enter(struct httpc *h) { h->busy++; }

void httpc_leave(struct httpc *h)
{
    if (!--h->busy && h->closing)
        destroy(h);
}

/* ---- what users call ---------------------------------------------------------------------------------------------- */

struct httpc *httpc_new(struct loop *loop, const struct httpc_config *config)
{
    struct httpc *h = xcalloc(1, sizeof *h);
    h->loop = loop;
    h->config = *config;
    h->host = xstrndup(config->target.host.p, config->target.host.n);
    h->config.target.host.p = h->host;
    if (config->target.server_name.n) {
        h->server_name = xstrndup(config->target.server_name.p, config->target.server_name.n);
        h->config.target.server_name.p = h->server_name;
    }
    h->version = config->version == HTTP_2_OR_11 ? HTTP_2 : config->version;
    if (h->version == HTTP_ANY && !config->target.tls)
        h->version = HTTP_11;
    if (!h->config.keepalive_us)
        h->config.keepalive_us = 15000000;
    if (!h->config.connect_timeout_us)
        h->config.connect_timeout_us = 10000000;
    if (!h->config.max_calls)
        h->config.max_calls = 1000;
    h->queue_end = &h->queue;
    h->turn.run = turn_client;
    return h;
}

void httpc_free(struct httpc *h)
{
    if (!h || h->closing)
        return;
    struct kr_err e = { 0 };
    httpc_enter(h);
    h->closing = true;
    kr_fail(&e, KR_CANCELLED, "the client was closed");
    for (struct cconn *c = h->conns; c; c = c->next) {
        c->dead = true;
        while (c->calls)
            hcall_fail(c->calls, &e);
    }
    while (h->queue)
        hcall_fail(h->queue, &e);
    httpc_leave(h);
}

bool httpc_is_spent(const struct httpc *h)
{
    bool any = h->config.target.fd >= 0;
    for (const struct cconn *c = h->conns; c; c = c->next)
        any |= !c->dead && !c->retiring;
    return !any;
}

void httpc_hold(struct httpc *h, bool on)
{
    if (h->on_hold == on)
        return;
    h->on_hold = on;
    int64_t now = loop_now_us(h->loop);
    if (on) {
        h->held_us = now;
        return;
    }
    for (struct hcall *k = h->queue; k; k = k->next)
        if (k->deadline.at_us)
            loop_timer_at(h->loop, &k->deadline, k->deadline.at_us + now - (k->queued_us > h->held_us ? k->queued_us : h->held_us));
    loop_defer(h->loop, &h->turn);
}

void httpc_refuse(struct httpc *h, const struct kr_err *e)
{
    httpc_enter(h);
    httpc_fail_queue(h, e);
    httpc_leave(h);
}

void httpc_renew(struct httpc *h)
{
    for (struct cconn *c = h->conns; c; c = c->next) {
        c->retiring = true;
        c->dead |= !c->open;
        cconn_turn(c);
    }
    loop_defer(h->loop, &h->turn);
}

static struct str put(char **at, struct str s)
{
    char *p = *at;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    *at += s.n + 1;
    return (struct str){ p, s.n };
}

struct hcall *httpc_call(struct httpc *h, const struct httpc_request *q, struct hcall_user user)
{
    size_t size = sizeof(struct hcall) + q->fields.n * sizeof *q->fields.v + q->method.n + q->path.n + q->authority.n + 3;
    for (size_t i = 0; i < q->fields.n; i++)
        size += q->fields.v[i].name.n + q->fields.v[i].value.n + 2;
    struct hcall *k = xblock(size);
    *k = (struct hcall){ .size = size, .h = h, .user = user, .fields = (struct http_field *)(k + 1), .nfields = q->fields.n,
                         .out = { .max = LIMIT_HTTP_OUT }, .more = q->more, .finished = !q->more, .upgrade = q->upgrade, .length = q->length };
    char *at = (char *)(k->fields + q->fields.n);
    k->method = put(&at, q->method);
    k->path = put(&at, q->path);
    k->authority = put(&at, q->authority);
    for (size_t i = 0; i < q->fields.n; i++)
        k->fields[i] = (struct http_field){ put(&at, q->fields.v[i].name), put(&at, q->fields.v[i].value) };
    buf_str(&k->out, q->body);
    k->deadline.fire = deadline_passed;
    if (q->deadline_us)
        loop_timer_at(h->loop, &k->deadline, q->deadline_us);
    h->ncalls++;
    enqueue(k, q->first);
    return k;
}

void hcall_deadline(struct hcall *k, int64_t deadline_us)
{
    if (!k->out.failed)                     /* else the timer is to tell of that */
        loop_timer_at(k->h->loop, &k->deadline, deadline_us);
}

void *hcall_ctx(const struct hcall *k) { return k->user.ctx; }
uint32_t hcall_stamp(const struct hcall *k) { return k->stamp; }

static void push_body(struct hcall *k)
{
    if (!k->c)
        return;
    if (!k->out.failed && k->c->h2)
        h2_call_body(k);
    else if (!k->out.failed)
        h1_call_body(k);
    if (k->out.failed)
        loop_timer_in(k->h->loop, &k->deadline, 0);       /* told from the loop */
    cconn_turn(k->c);
}

void hcall_write(struct hcall *k, struct str bytes)
{
    if (k->over || k->finished)
        return;
    buf_str(&k->out, bytes);
    k->want_writable = true;
    push_body(k);
}

void hcall_finish(struct hcall *k)
{
    if (k->over || k->finished)
        return;
    k->finished = true;
    push_body(k);
}

void hcall_pause(struct hcall *k, bool on)
{
    if (k->over || k->paused == on)
        return;
    k->paused = on;
    if (!k->c)
        return;
    if (k->c->h2) {
        if (!on && k->held) {
            h2_consume(k->c->h2, k->stream, k->held);
            k->held = 0;
        }
    } else {
        link_pause_read(k->c->link, on);
    }
    cconn_turn(k->c);
}

void hcall_cancel(struct hcall *k)
{
    if (!k || k->over)
        return;
    if (k->c && k->c->h2)
        h2_reset(k->c->h2, k->stream, H2_CANCEL);
    else if (k->c)
        k->c->dead = true;
    hcall_over(k);
}
