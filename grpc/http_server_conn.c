/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_conn: a server's connection: which version it speaks, its turns, in which it writes once, and its clock (slow heads,
 * idle and stalled connections).
 *
 * On a plain port HTTP/2 is known by its preface (RFC 9113 section 3.3); under TLS by ALPN.
 */
#include "grpc/http_server.h"

enum { HEAD_US = 10000000, STALL_US = 60000000, BODY_US = 300000000, LINGER_US = 5000000 };
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* Who is reading takes his turn behind it. */
void hconn_turn(struct hconn *c)
{
    if (!c->reading)
        loop_defer(c->d->loop, &c->turn);
}

void hconn_kill(struct hconn *c)
{
    c->dead = true;
    hconn_turn(c);
}

void hconn_free(struct hconn *c)
{
    while (c->reqs)
        hreq_over(c->reqs);
    while (c->ending)
        hreq_gone(c->ending);
    loop_timer_stop(c->d->loop, &c->timer);
    loop_defer_cancel(c->d->loop, &c->turn);
    link_close(c->link);
    if (c->mode == HCONN_H1)
        http1_done(&c->h1);
    room_count(c, 0);
    h2_free(c->h2);
    buf_free(&c->in);
    buf_free(&c->out);
    *c->at = c->next;
    if (c->next)
        c->next->at = c->at;
    c->d->nconns--;
    free(c);
}

static struct str pending(const struct hconn *c) { return c->mode == HCONN_H2 ? h2_pending(c->h2) : str_from(buf_view(&c->out), c->out_at); }

static void out_sent(struct hconn *c, size_t n)
{
    buf_use(&c->out, &c->out_at, n);
    if (!c->out.n && c->out.cap > HTTP_LOW_WATER)
        buf_free(&c->out);
}

/* The last answer is out, down to the socket. */
static bool is_said(const struct hconn *c) { return !pending(c).n && !link_has_unsent(c->link); }

static void flush(struct hconn *c)
{
    bool moved = false, waits = false;
    if (c->out.failed)                            /* a part of something is in there: nothing may follow it */
        c->dead = true;
    for (struct str out; !c->dead && (out = pending(c)).n;) {
        ptrdiff_t n = link_write(c->link, out.p, out.n);
        if (n < 0) {
            c->dead = true;
            return;
        }
        if (n == 0) {
            waits = true;
            break;
        }
        moved = true;
        if (c->mode == HCONN_H2)
            h2_sent(c->h2, (size_t)n);
        else
            out_sent(c, (size_t)n);
    }
    waits |= !c->dead && link_has_unsent(c->link);
    if (waits && (moved || !c->stalled))
        c->since_us = loop_now_us(c->d->loop);
    c->stalled = waits;
    link_want_write(c->link, waits);
    room_count(c, c->dead ? 0 : c->mode == HCONN_H2 ? h2_waiting(c->h2) : pending(c).n);
}

static bool owes_body(const struct hreq *r) { return r->got && !r->got_end && !r->full && !r->started; }

/* It counts as not moving since then. A body that trickles ends after BODY_US all the same. */
static int64_t still_since(const struct hreq *r)
{
    int64_t whole = r->asked_us + BODY_US - STALL_US;
    return owes_body(r) && whole < r->moved_us ? whole : r->moved_us;
}

/* A stream that waits for the peer's window: since when has nothing left it? What waits for the socket is the connection's. */
static void look_at_queue(struct hreq *r)
{
    uint64_t moved = h2_moved(r->c->h2, r->stream);
    r->waits = h2_queued(r->c->h2, r->stream) > 0;
    if (moved != r->moved || !r->moved_us || r->c->stalled)
        r->moved_us = loop_now_us(r->c->d->loop);
    r->moved = moved;
    if (!r->waits)
        r->moved_us = 0;
}

static void look_at_exchanges(struct hconn *c)
{
    c->stuck_us = 0;
    for (struct hreq *r = c->reqs, *next; r; r = next) {
        next = r->next;
        if (r->waits)
            look_at_queue(r);
        if ((r->waits || owes_body(r)) && (!c->stuck_us || still_since(r) < c->stuck_us))
            c->stuck_us = still_since(r);
        if (r->want_writable && hreq_queued(r) < HTTP_LOW_WATER) {
            r->want_writable = false;
            if (c->d->user.writable)
                c->d->user.writable(r);
        }
    }
}

/* The last answer is said. Where its request was not read to the end, as what is raw never is, closing at once would have the kernel
 * reset the connection: who still sends would be told that, and might never read the answer (RFC 9112 section 9.6). */
static void part(struct hconn *c)
{
    if (c->lingers)
        return;
    c->lingers = c->mode == HCONN_H1 && (c->upgraded || !http1_is_complete(&c->h1));
    c->dead = !c->lingers;
    if (c->dead)
        return;
    c->since_us = loop_now_us(c->d->loop);
    buf_free(&c->in);
    link_end_write(c->link);
}

/* It owes a head: that has less time than an idle connection. */
static bool owes_head(const struct hconn *c)
{
    return c->mode == HCONN_NEW || c->reading_head || (c->mode == HCONN_H2 && !h2_has_begun(c->h2));
}

/* What the connection waits for decides about its one timer. */
static void rearm(struct hconn *c)
{
    int64_t at = 0;
    if (c->lingers)
        at = c->since_us + LINGER_US;
    else if (c->stalled)
        at = c->since_us + STALL_US;
    else if (c->stuck_us)
        at = c->stuck_us + STALL_US;
    else if (!c->nreqs)
        at = c->since_us + (owes_head(c) ? HEAD_US : c->d->idle_us);
    if (at)
        loop_timer_at(c->d->loop, &c->timer, at);
    else
        loop_timer_stop(c->d->loop, &c->timer);
}

static void turn(struct loop *loop, struct defer *defer)
{
    struct hconn *c = container_of(defer, struct hconn, turn);
    while (c->ending) {
        hreq_gone(c->ending);
        if (!c->nreqs)
            c->since_us = loop_now_us(loop);
    }
    if (!c->dead && c->mode == HCONN_H1) {
        h1_serve_more(c);
        link_pause_read(c->link, (c->h1_req && c->h1_req->paused) || c->in.n > LIMIT_HTTP_PIPELINE / 2);
    }
    flush(c);
    if (!c->dead && c->mode == HCONN_H2)
        h2_serve_events(c);
    if (!c->dead)
        look_at_exchanges(c);
    if ((c->close_after || (c->mode == HCONN_H2 && h2_is_done(c->h2))) && is_said(c))
        part(c);
    if (c->dead && !c->turn.queued) {             /* what ended since then has queued another */
        hconn_free(c);
        return;
    }
    rearm(c);
}

static void take(struct hconn *c, struct str in)
{
    if (c->mode == HCONN_NEW && link_alpn(c->link).n) {
        if (str_is(link_alpn(c->link), "h2"))
            h2_serve_begin(c);
        else
            h1_serve_begin(c);
    } else if (c->mode == HCONN_NEW) {
        buf_str(&c->in, in);
        size_t n = c->in.n < sizeof preface - 1 ? c->in.n : sizeof preface - 1;
        if (memcmp(c->in.p, preface, n) == 0 && n < sizeof preface - 1)
            return;
        AUTO_BUF struct buf all = c->in;
        c->in = (struct buf){ .max = LIMIT_HTTP_PIPELINE };
        if (n == sizeof preface - 1 && memcmp(all.p, preface, n) == 0)
            h2_serve_begin(c);
        else
            h1_serve_begin(c);
        take(c, buf_view(&all));
        return;
    }
    if (c->mode == HCONN_H2)
        h2_serve_read(c, in);
    else
        h1_serve_read(c, in);
}

/* Reads what is there, but not for ever: others wait too, and epoll tells again. Nor more than what is kept of requests that wait. */
static void ready(struct link *l, void *ctx)
{
    struct hconn *c = ctx;
    UNFILLED char chunk[16384];
    c->reading = true;
    for (int i = 0; i < 16 && !c->dead && c->in.n <= LIMIT_HTTP_PIPELINE / 2; i++) {
        ptrdiff_t n = link_read(l, chunk, sizeof chunk);
        if (n < 0) {
            c->dead = true;
            break;
        }
        if (n == 0)
            break;
        take(c, (struct str){ chunk, (size_t)n });
        c->lingered += c->lingers ? (size_t)n : 0;
        c->dead |= c->lingered > LIMIT_HTTP_LINGER;
        if ((size_t)n < sizeof chunk && !c->d->tls)
            break;                                /* the socket was emptied */
    }
    c->reading = false;
    turn(c->d->loop, &c->turn);
}

/* Ends the exchanges that wait for a peer that doesn't go on. */
static void end_stuck(struct hconn *c)
{
    int64_t since = loop_now_us(c->d->loop) - STALL_US;
    for (struct hreq *r = c->reqs, *next; r; r = next) {
        next = r->next;
        if (r->waits && r->moved_us <= since)
            hreq_reset(r, H2_CANCEL);
        else if (owes_body(r) && still_since(r) <= since)
            hreq_respond(r, 408, (struct http_fields){ 0 }, S("the request's body did not come\n"));
    }
    hconn_turn(c);
}

static void expired(struct loop *loop, struct timer *t)
{
    struct hconn *c = container_of(t, struct hconn, timer);
    if (!c->stalled && c->stuck_us) {
        end_stuck(c);
        return;
    }
    if (c->mode == HCONN_H2 && !c->stalled) {
        h2_goaway(c->h2, H2_NO_ERROR, true);
        c->since_us = loop_now_us(loop);
        hconn_turn(c);
        return;
    }
    hconn_kill(c);
}

void hconn_adopt(struct httpd *d, int fd)
{
    struct hconn *c = xcalloc(1, sizeof *c);
    *c = (struct hconn){ .next = d->conns, .at = &d->conns, .d = d, .since_us = loop_now_us(d->loop),
                         .in = { .max = LIMIT_HTTP_PIPELINE }, .out = { .max = LIMIT_HTTP_OUT } };
    c->turn.run = turn;
    c->timer.fire = expired;
    if (d->conns)
        d->conns->at = &c->next;
    d->conns = c;
    d->nconns++;
    c->link = link_accept(d->loop, fd, d->tls, (struct link_user){ ready, c });
    rearm(c);
}
