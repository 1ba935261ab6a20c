/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_room: what all connections of a server may keep together, however many there are, and how many there may be.
 *
 * Nobody is turned away at the door for it, as who fills the room would keep the others out. Who has been at it for longest leaves:
 * among requests the one that began first and is not whole yet, among answers the connection that has not been done with its own
 * for longest. Who does as usual is through before he is ever the oldest. Tested in tests/unit/grpc/http_room.c.
 */
#include "grpc/http_server.h"

/* ---- connections ------------------------------------------------------------------------------------------------- */

/* Descriptors are the process' own work's, too. The connection that has had nothing to do for longest leaves; where all are busy the
 * new one isn't taken: what is under way counts more. Those that leave are closed in their turn, so there may be some more for a moment. */
bool room_for_another(struct httpd *d)
{
    struct hconn *idle = NULL;
    if (!d->most_conns || d->nconns < d->most_conns)
        return true;
    for (struct hconn *c = d->conns; c; c = c->next)
        if (!c->dead && !c->nreqs && !c->ending && !c->queued && (!idle || c->since_us <= idle->since_us))
            idle = c;
    if (idle)
        hconn_kill(idle);
    return idle;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

void room_end(struct hreq *r)
{
    struct httpd *d = r->c->d;
    if (!r->elder)
        return;
    *r->elder = r->younger;
    if (r->younger)
        r->younger->elder = r->elder;
    else
        d->coming_end = r->elder;
    r->elder = NULL;
    d->kept -= r->kept;
}

static void give_up(struct hreq *r)
{
    struct kr_err e = { 0 };
    room_end(r);
    if (!r->got || r->started) {
        hreq_reset(r, H2_ENHANCE_YOUR_CALM);
        return;
    }
    kr_fail(&e, KR_TOO_MANY, "too much of other requests is on its way here, and this one has been for longest: send it again");
    e.retry_after_s = 1;
    buf_free(&r->body);
    hreq_refuse_body(r, &e, 429, S("too many requests are under way\n"));
}

static void make_room(struct httpd *d)
{
    while (d->kept > d->most_kept)                /* of which all is of those that come */
        give_up(d->coming);
}

void room_begin(struct hreq *r)
{
    struct httpd *d = r->c->d;
    make_room(d);
    r->elder = d->coming_end;
    *d->coming_end = r;
    d->coming_end = &r->younger;
    r->kept = r->size;
    d->kept += r->kept;
}

void room_keep(struct hreq *r, size_t body)
{
    if (!r->elder)
        return;
    r->c->d->kept += r->size + body - r->kept;
    r->kept = r->size + body;
    make_room(r->c->d);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

bool room_is_short(const struct httpd *d) { return d->queued > d->most_queued; }

void room_wrote(struct hconn *c, size_t n)
{
    if (!c->queued)
        c->queued_us = loop_now_us(c->d->loop);
    c->queued += n;
    c->d->queued += n;
}

/* The one that has not been done with its queue for longest; NULL when there is but one: it may have asked for that much. */
static struct hconn *slowest(struct httpd *d)
{
    struct hconn *found = NULL;
    size_t n = 0;
    for (struct hconn *c = d->conns; c; c = c->next) {
        bool much = c->queued > HTTP_LOW_WATER;
        n += much;
        if (much && (!found || c->queued_us < found->queued_us))
            found = c;
    }
    return n > 1 ? found : NULL;
}

void room_count(struct hconn *c, size_t queued)
{
    struct httpd *d = c->d;
    if (!c->queued)
        c->queued_us = loop_now_us(d->loop);
    d->queued += queued - c->queued;
    c->queued = queued;
    for (struct hconn *one; room_is_short(d) && (one = slowest(d));) {
        d->queued -= one->queued;
        one->queued = 0;
        one->dead = true;
        hconn_turn(one);
    }
}
