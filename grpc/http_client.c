/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client: calls wait in one queue until a connection can carry them: one HTTP/2 connection for all, or some
 * HTTP/1.1 connections with one call each. A call that the server surely has not processed (GOAWAY, REFUSED_STREAM, a
 * kept HTTP/1.1 connection closed under a call without a body) is sent again by itself; every other loss is told.
 *
 * Not here: redirects, proxies, cookies. Tested in tests/unit/grpc/http.c.
 */
#include "grpc/http_client.h"

enum { MAX_TRIES = 3, H1_CONNECTIONS = 8 };

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static void hcall_leave(struct hcall *k)
{
    if (!k->at)
        return;
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
    if (k->over)
        return;
    if (k->c && k->c->h2 && k->sent)
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
    if (k->over)
        return;
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
    k->sent = false;
    k->stream = 0;
    enqueue(k, true);
}

static void hcall_free(struct hcall *k)
{
    buf_free(&k->out);
    free(k);
}

static void deadline_passed(struct loop *loop, struct timer *t)
{
    (void)loop;
    struct hcall *k = container_of(t, struct hcall, deadline);
    struct kr_err e = { 0 };
    if (k->c && k->c->h2)
        h2_reset(k->c->h2, k->stream, H2_CANCEL);
    else if (k->c)
        k->c->dead = true;
    kr_fail(&e, KR_DEADLINE, "%.*s:%u: no complete answer in time", SFMT(k->h->config.target.host), k->h->config.target.port);
    hcall_fail(k, &e);
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

void cconn_turn(struct cconn *c) { loop_defer(c->h->loop, &c->turn); }

static bool may_send_again(const struct cconn *c, const struct hcall *k)
{
    return c->h1_mode && c->used && !k->head_seen && k->tries == 0 && (str_is(k->method, "GET") || str_is(k->method, "HEAD"));
}

void cconn_lost(struct cconn *c, const struct kr_err *why)
{
    if (c->dead && !c->calls)
        return;
    c->dead = true;
    c->why = *why;
    while (c->calls) {
        struct hcall *k = c->calls;
        if (may_send_again(c, k))
            hcall_again(k);
        else
            hcall_fail(k, why);
    }
    if (!c->open) {                         /* could not be reached at all: what waits is told now */
        while (c->h->queue)
            hcall_fail(c->h->queue, why);
    }
    cconn_turn(c);
}

static void cconn_free(struct cconn *c)
{
    struct loop *loop = c->h->loop;
    loop_timer_stop(loop, &c->timer);
    loop_defer_cancel(loop, &c->turn);
    link_close(c->link);
    if (c->h1_mode)
        http1_done(&c->h1);
    h2_free(c->h2);
    buf_free(&c->out);
    *c->at = c->next;
    if (c->next)
        c->next->at = c->at;
    if (!c->h->closing)
        loop_defer(loop, &c->h->turn);
    free(c);
}

static void lost_link(struct cconn *c)
{
    const struct kr_err *le = link_error(c->link);
    struct kr_err e = { 0 };
    if (c->h1_mode && !le->code)
        h1_call_eof(c);
    if (le->code)
        e = *le;
    else
        kr_fail(&e, KR_UNAVAILABLE, "%.*s:%u: the connection was closed", SFMT(c->h->config.target.host), c->h->config.target.port);
    cconn_lost(c, &e);
}

static void flush(struct cconn *c)
{
    bool waits = false;
    while (c->open && !c->dead) {
        struct str out = c->h2 ? h2_pending(c->h2) : buf_view(&c->out);
        if (!out.n)
            break;
        ptrdiff_t n = link_write(c->link, out.p, out.n);
        if (n < 0) {
            lost_link(c);
            return;
        }
        if (n == 0) {
            waits = true;
            break;
        }
        if (c->h2)
            h2_sent(c->h2, (size_t)n);
        else
            buf_drop(&c->out, (size_t)n);
    }
    if (c->link)
        link_want_write(c->link, waits);
}

static void tell_writable(struct cconn *c)
{
    for (struct hcall *k = c->calls, *next; k; k = next) {
        next = k->next;
        size_t queued = c->h2 ? h2_queued(c->h2, k->stream) : c->out.n;
        if (k->want_writable && queued < HTTP_LOW_WATER) {
            k->want_writable = false;
            if (k->user.writable)
                k->user.writable(k);
        }
    }
}

static void turn_conn(struct loop *loop, struct defer *d)
{
    (void)loop;
    struct cconn *c = container_of(d, struct cconn, turn);
    flush(c);
    if (!c->dead && c->h2)
        h2_call_events(c);
    if (!c->dead)
        tell_writable(c);
    if ((c->h2 && h2_is_done(c->h2)) || (c->retiring && !c->ncalls))
        c->dead = true;
    if (c->dead && c->calls) {
        struct kr_err e = { 0 };
        kr_fail(&e, KR_UNAVAILABLE, "%.*s:%u: the connection was closed", SFMT(c->h->config.target.host), c->h->config.target.port);
        cconn_lost(c, &e);
    }
    if (c->dead && !c->turn.queued)
        cconn_free(c);
    else if (!c->dead)
        loop_defer(c->h->loop, &c->h->turn);
}

static void opened(struct cconn *c)
{
    struct httpc *h = c->h;
    c->open = true;
    c->heard_us = loop_now_us(h->loop);
    bool h2 = h->version == HTTP_2;
    if (h->config.target.tls)
        h2 = str_is(link_alpn(c->link), "h2") && !c->for_upgrade;
    if (h->config.target.tls && h->version == HTTP_2 && !h2 && !c->for_upgrade) {
        struct kr_err e = { 0 };
        kr_fail(&e, KR_PROTOCOL, "%.*s:%u: the server does not offer HTTP/2", SFMT(h->config.target.host), h->config.target.port);
        c->open = false;
        cconn_lost(c, &e);
        return;
    }
    if (!c->for_upgrade)
        h->version = h2 ? HTTP_2 : HTTP_11;
    if (h2)
        h2_call_begin(c);
    else
        h1_call_begin(c);
    loop_timer_in(h->loop, &c->timer, h->config.keepalive_us);
    loop_defer(h->loop, &h->turn);
}

static void ready(struct link *l, void *ctx)
{
    struct cconn *c = ctx;
    char chunk[16384];
    if (c->dead)
        return;
    if (!c->open && link_is_open(l))
        opened(c);
    for (int i = 0; i < 32 && !c->dead; i++) {
        ptrdiff_t n = link_read(l, chunk, sizeof chunk);
        if (n < 0) {
            lost_link(c);
            break;
        }
        if (n == 0)
            break;
        c->heard_us = loop_now_us(c->h->loop);
        c->pinged = false;
        if (c->h2)
            h2_call_read(c, (struct str){ chunk, (size_t)n });
        else
            h1_call_read(c, (struct str){ chunk, (size_t)n });
    }
    cconn_turn(c);
}

/* Connecting took too long, or nothing was heard: a PING first, then the connection counts as dead. */
static void timer_fired(struct loop *loop, struct timer *t)
{
    struct cconn *c = container_of(t, struct cconn, timer);
    struct httpc *h = c->h;
    struct kr_err e = { 0 };
    int64_t silent = loop_now_us(loop) - c->heard_us, k = h->config.keepalive_us;
    if (!c->open) {
        kr_fail(&e, KR_UNAVAILABLE, "%.*s:%u: no connection in time", SFMT(h->config.target.host), h->config.target.port);
        cconn_lost(c, &e);
        return;
    }
    if (!c->h2 || !c->ncalls || silent < k) {
        loop_timer_in(loop, t, silent < k && silent > 0 ? k - silent : k);
        return;
    }
    if (c->pinged) {
        kr_fail(&e, KR_UNAVAILABLE, "%.*s:%u: the server has gone silent", SFMT(h->config.target.host), h->config.target.port);
        cconn_lost(c, &e);
        return;
    }
    c->pinged = true;
    h2_ping(c->h2, 1);
    cconn_turn(c);
    loop_timer_in(loop, t, k);
}

static struct cconn *cconn_new(struct httpc *h, bool for_upgrade)
{
    struct cconn *c = xcalloc(1, sizeof *c);
    *c = (struct cconn){ .h = h, .next = h->conns, .at = &h->conns, .out = { .max = LIMIT_HTTP_OUT }, .for_upgrade = for_upgrade };
    c->turn.run = turn_conn;
    c->timer.fire = timer_fired;
    if (h->conns)
        h->conns->at = &c->next;
    h->conns = c;
    c->link = link_connect(h->loop, &h->config.target, (struct link_user){ ready, c });
    h->config.target.fd = h->config.target.fd > 0 ? -1 : h->config.target.fd;
    loop_timer_in(h->loop, &c->timer, h->config.connect_timeout_us);
    return c;
}

/* ---- who carries what waits -------------------------------------------------------------------------------------- */

static bool can_carry(const struct cconn *c, const struct hcall *k)
{
    if (!c->open || c->dead || c->retiring || c->for_upgrade != k->upgrade)
        return false;
    return c->h2 ? h2_can_open(c->h2) && c->ncalls < c->h->config.max_calls : c->ncalls == 0;
}

static bool is_coming(const struct cconn *c, const struct hcall *k) { return !c->open && !c->dead && c->for_upgrade == k->upgrade; }

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
    return n < (h->version == HTTP_11 ? h->config.max_calls : 1);
}

static void assign(struct hcall *k, struct cconn *c)
{
    hcall_leave(k);
    k->next = c->calls;
    k->at = &c->calls;
    if (c->calls)
        c->calls->at = &k->next;
    c->calls = k;
    k->c = c;
    c->ncalls++;
    if (!(c->h2 ? h2_call_send(c, k) : h1_call_send(c, k)))
        hcall_again(k);
    cconn_turn(c);
}

static void start_waiting(struct httpc *h)
{
    for (struct hcall *k = h->queue, *next; k; k = next) {
        next = k->next;
        if (h->config.target.fd < 0 && !h->conns) {
            struct kr_err e = { 0 };
            kr_fail(&e, KR_UNAVAILABLE, "the connection was closed");
            hcall_fail(k, &e);
            continue;
        }
        struct cconn *c = h->conns;
        while (c && !can_carry(c, k))
            c = c->next;
        if (c) {
            assign(k, c);
        } else if (may_connect(h, k)) {
            cconn_new(h, k->upgrade);
        } else if (h->version != HTTP_11 && !k->upgrade) {
            break;
        }
    }
}

static void turn_client(struct loop *loop, struct defer *d)
{
    (void)loop;
    struct httpc *h = container_of(d, struct httpc, turn);
    while (h->over) {
        struct hcall *k = h->over;
        h->over = k->next;
        hcall_free(k);
    }
    start_waiting(h);
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
    h->version = config->version;
    if (h->version == HTTP_ANY && !config->target.tls)
        h->version = HTTP_11;
    if (!h->config.keepalive_us)
        h->config.keepalive_us = 15000000;
    if (!h->config.connect_timeout_us)
        h->config.connect_timeout_us = 10000000;
    if (!h->config.max_calls)
        h->config.max_calls = h->version == HTTP_11 ? H1_CONNECTIONS : 1000;
    h->queue_end = &h->queue;
    h->turn.run = turn_client;
    return h;
}

void httpc_free(struct httpc *h)
{
    if (!h)
        return;
    struct kr_err e = { 0 };
    h->closing = true;
    kr_fail(&e, KR_CANCELLED, "the client was closed");
    for (struct cconn *c = h->conns; c; c = c->next)
        while (c->calls)
            hcall_fail(c->calls, &e);
    while (h->queue)
        hcall_fail(h->queue, &e);
    while (h->conns)
        cconn_free(h->conns);
    while (h->over) {
        struct hcall *k = h->over;
        h->over = k->next;
        hcall_free(k);
    }
    loop_defer_cancel(h->loop, &h->turn);
    free(h->host);
    free(h->server_name);
    free(h);
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
    size_t bytes = q->method.n + q->path.n + q->authority.n + 3;
    for (size_t i = 0; i < q->fields.n; i++)
        bytes += q->fields.v[i].name.n + q->fields.v[i].value.n + 2;
    struct hcall *k = xmalloc(sizeof *k + q->fields.n * sizeof *q->fields.v + bytes);
    *k = (struct hcall){ .h = h, .user = user, .fields = (struct http_field *)(k + 1), .nfields = q->fields.n,
                         .out = { .max = LIMIT_HTTP_OUT }, .more = q->more, .finished = !q->more, .upgrade = q->upgrade };
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
    enqueue(k, false);
    return k;
}

void *hcall_ctx(const struct hcall *k) { return k->user.ctx; }
static void push_body(struct hcall *k)
{
    if (!k->c || !k->sent)
        return;
    if (k->c->h2)
        h2_call_body(k);
    else
        h1_call_body(k);
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
    if (k->c && k->c->h2 && k->sent)
        h2_reset(k->c->h2, k->stream, H2_CANCEL);
    else if (k->c)
        k->c->dead = true;
    hcall_over(k);
}
