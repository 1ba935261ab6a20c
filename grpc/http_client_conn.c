/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client_conn: one connection from connecting to its end. It dies once (`dead`), tells its calls, and is freed in its
 * turn. A peer that has gone silent under open calls is asked by PING and given up after as long again; HTTP/1.1 has the
 * kernel's probes only. Tested in tests/unit/grpc/http.c, http_faults.c.
 */
#include "grpc/http_client.h"

void cconn_turn(struct cconn *c) { loop_defer(c->h->loop, &c->turn); }

/* Nothing came back, and asking twice does no harm: servers and what stands before them close connections they deem idle. */
static bool may_send_again(const struct cconn *c, const struct hcall *k)
{
    return c->used && !k->head_seen && k->tries == 0 && !k->more && (str_is(k->method, "GET") || str_is(k->method, "HEAD"));
}

/* Could not be reached at all; or as good as that: a server that hangs up before it is asked anything, while calls wait that it
 * would be asked, would be connected to again and again, as fast as it does so. */
static bool is_unreachable(const struct cconn *c)
{
    const struct hcall *waits = c->h->on_hold ? NULL : c->h->queue;
    while (waits && waits->upgrade != c->for_upgrade)
        waits = waits->next;
    return !c->open || (!c->carried && waits);
}

void cconn_lost(struct cconn *c, const struct kr_err *why)
{
    if (c->dead && !c->calls)
        return;
    c->dead = true;
    while (c->calls) {
        struct hcall *k = c->calls;
        if (may_send_again(c, k))
            hcall_again(k);
        else
            hcall_fail(k, why);
    }
    if (is_unreachable(c))                  /* what waits is told now */
        httpc_fail_queue(c->h, why);
    cconn_turn(c);
}

void cconn_free(struct cconn *c)
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

void cconn_broken(struct cconn *c, struct kr_err *why)
{
    kr_wrap(why, "%.*s:%u", SFMT(c->h->config.target.host), c->h->config.target.port);
    cconn_lost(c, why);
}

static void closed(struct cconn *c)
{
    struct kr_err e = { 0 };
    kr_fail(&e, KR_UNAVAILABLE, "the connection was closed");
    cconn_broken(c, &e);
}

static void lost_link(struct cconn *c)
{
    const struct kr_err *le = link_error(c->link);
    if (c->h1_mode && !le->code)
        h1_call_eof(c);
    if (le->code)
        cconn_lost(c, le);
    else
        closed(c);
}

/* The first frame of an HTTP/2 server is SETTINGS, whose length begins with a zero byte: text never does. */
static bool speaks_other(struct cconn *c, char first)
{
    struct httpc *h = c->h;
    if (c->heard || !c->h2 || h->config.version != HTTP_2_OR_11 || h->config.target.tls || !first)
        return false;
    h->version = HTTP_11;
    while (c->calls)
        hcall_again(c->calls);
    c->dead = true;
    return true;
}

static void read_some(struct cconn *c)
{
    UNFILLED char chunk[16384];
    for (int i = 0; i < 32 && !c->dead; i++) {
        ptrdiff_t n = link_read(c->link, chunk, sizeof chunk);
        if (n < 0) {
            lost_link(c);
            break;
        }
        if (n == 0 || speaks_other(c, chunk[0]))
            break;
        c->heard_us = loop_now_us(c->h->loop);
        c->heard = true;
        c->pinged = false;
        if (c->h2)
            h2_call_read(c, (struct str){ chunk, (size_t)n });
        else
            h1_call_read(c, (struct str){ chunk, (size_t)n });
        if ((size_t)n < sizeof chunk && !c->h->config.target.tls)
            break;                                /* the socket was emptied */
    }
}

/* A server that wants no more of a request answers it and closes (RFC 9112 section 9.5): what it said is read though nothing can be sent. */
static void flush(struct cconn *c)
{
    bool waits = false;
    while (c->open && !c->dead) {
        struct str out = c->h2 ? h2_pending(c->h2) : buf_view(&c->out);
        if (!out.n)
            break;
        ptrdiff_t n = link_write(c->link, out.p, out.n);
        if (n < 0) {
            read_some(c);
            if (!c->dead)
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
    link_want_write(c->link, waits);
}

/* A callback may end any call: after each one the list is looked through again. */
static void tell_writable(struct cconn *c)
{
    for (struct hcall *k = c->calls; k;) {
        bool tell = k->want_writable && (c->h2 ? h2_queued(c->h2, k->stream) : c->out.n) < HTTP_LOW_WATER;
        if (tell)
            k->want_writable = false;
        if (tell && k->user.writable) {
            k->user.writable(k);
            k = c->calls;
        } else {
            k = k->next;
        }
    }
}

static void one_turn(struct cconn *c)
{
    flush(c);
    if (!c->dead && c->h2)
        h2_call_events(c);
    if (!c->dead)
        tell_writable(c);
    if ((c->h2 && h2_is_done(c->h2)) || (c->retiring && !c->ncalls))
        c->dead = true;
    if (c->dead && c->calls)
        closed(c);
    if (c->dead && !c->turn.queued && !c->h->closing) {
        struct httpc *h = c->h;
        bool was_open = c->open;
        cconn_free(c);
        if (was_open && h->config.lost)
            h->config.lost(h->config.lost_ctx);
    } else if (!c->dead) {
        loop_defer(c->h->loop, &c->h->turn);
    }
}

static void turn_conn(struct loop *loop, struct defer *d)
{
    (void)loop;
    struct cconn *c = container_of(d, struct cconn, turn);
    struct httpc *h = c->h;
    httpc_enter(h);
    one_turn(c);
    httpc_leave(h);
}

/* ---- opening ------------------------------------------------------------------------------------------------------- */

static void opened(struct cconn *c)
{
    struct httpc *h = c->h;
    c->open = true;
    c->heard_us = loop_now_us(h->loop);
    bool h2 = !c->for_upgrade && (h->config.target.tls ? str_is(link_alpn(c->link), "h2") : h->version != HTTP_11);
    if (h->config.target.tls && h->config.version == HTTP_2 && !h2 && !c->for_upgrade) {
        struct kr_err e = { 0 };
        kr_fail(&e, KR_PROTOCOL, "the server does not offer HTTP/2");
        c->open = false;
        cconn_broken(c, &e);
        return;
    }
    if (!c->for_upgrade)
        h->version = h2 ? HTTP_2 : HTTP_11;
    if (h2)
        h2_call_begin(c);
    else
        h1_call_begin(c);
    loop_timer_stop(h->loop, &c->timer);
    loop_defer(h->loop, &h->turn);
}

static void ready(struct link *l, void *ctx)
{
    struct cconn *c = ctx;
    struct httpc *h = c->h;
    if (c->dead)
        return;
    httpc_enter(h);
    if (!c->open && link_is_open(l))
        opened(c);
    read_some(c);
    cconn_turn(c);
    httpc_leave(h);
}

/* ---- silence ------------------------------------------------------------------------------------------------------- */

static void ask(struct cconn *c)
{
    c->pinged = true;
    h2_ping(c->h2, 1);
    cconn_turn(c);
    loop_timer_in(c->h->loop, &c->timer, c->h->config.keepalive_us);
}

/* Connecting took too long, or nothing was heard: a PING first, then the connection counts as dead. */
static void time_is_up(struct cconn *c)
{
    struct httpc *h = c->h;
    struct kr_err e = { 0 };
    int64_t silent = loop_now_us(h->loop) - c->heard_us, k = h->config.keepalive_us;
    if (!c->open) {
        const struct kr_err *le = link_error(c->link);
        kr_fail(&e, KR_UNAVAILABLE, "no connection in time%s%s", le->code ? ": " : "", le->code ? le->msg : "");
        cconn_broken(c, &e);
    } else if (!c->ncalls) {
        return;                                   /* asleep until it carries something */
    } else if (silent < k) {
        loop_timer_in(h->loop, &c->timer, k - silent);
    } else if (!c->pinged) {
        ask(c);
    } else {
        kr_fail(&e, KR_UNAVAILABLE, "the server has gone silent");
        cconn_broken(c, &e);
    }
}

static void timer_fired(struct loop *loop, struct timer *t)
{
    (void)loop;
    struct cconn *c = container_of(t, struct cconn, timer);
    struct httpc *h = c->h;
    httpc_enter(h);
    time_is_up(c);
    httpc_leave(h);
}

/* A connection that slept may be long dead: it is asked with the first call. */
static void watch_silence(struct cconn *c)
{
    int64_t silent = loop_now_us(c->h->loop) - c->heard_us, k = c->h->config.keepalive_us;
    if (!c->h2 || timer_is_set(&c->timer))
        return;
    if (silent >= k && !c->pinged)
        ask(c);
    else
        loop_timer_in(c->h->loop, &c->timer, k);
}

void cconn_carry(struct cconn *c, struct hcall *k)
{
    k->next = c->calls;
    k->at = &c->calls;
    if (c->calls)
        c->calls->at = &k->next;
    c->calls = k;
    k->c = c;
    c->carried = true;
    c->ncalls++;
    if (c->h2)
        h2_call_send(c, k);
    else
        h1_call_send(c, k);
    c->retiring |= c->h2 && h2_is_used_up(c->h2);
    if (c->out.failed) {                          /* a part of it is in there: nothing may follow it */
        c->dead = true;
        hcall_unsendable(k);
    }
    watch_silence(c);
    cconn_turn(c);
}

struct cconn *cconn_new(struct httpc *h, bool for_upgrade)
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
