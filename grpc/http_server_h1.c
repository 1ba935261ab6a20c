/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_h1: HTTP/1.1 exchanges, one at a time (RFC 9112). A request that is pipelined waits in c->in until the
 * one before it is answered. A request that isn't read to its end closes the connection behind its answer.
 */
#include "grpc/http_server.h"
#include <stdio.h>

static void refuse(struct hconn *c, const struct http1_event *ev)
{
    bool answering = c->h1_req && c->h1_req->started;
    if (c->h1_req)                         /* its body broke */
        hreq_over(c->h1_req);
    if (answering) {                       /* nothing sensible can be said within another answer */
        c->dead = true;
        return;
    }
    char body[160];
    int n = snprintf(body, sizeof body, "%s\n", ev->text);
    http1_put_status(&c->out, ev->status);
    buf_fmt(&c->out, "content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s", n, body);
    c->close_after = true;
}

static void on_head(struct hconn *c, const struct http1_head *h)
{
    struct hreq *r = hreq_new(c, h->method, h->target, h->authority, h->fields);
    c->reading_head = false;
    c->h1_req = r;
    r->keep_alive = h->keep_alive;
    r->no_body = str_is(h->method, "HEAD");
    r->expect_continue = h->expect_continue;
    r->chunked = h->minor >= 1;
    c->d->user.begin(r, c->d->user.ctx);
    if (hreq_wants_100(r))
        buf_lit(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
}

/* Parses one message's worth of `in`; what belongs to the next one stays in it. An exchange that is over before its request ends
 * the connection, so that there is one for each DATA and END. */
static void parse(struct hconn *c, struct str *in)
{
    struct http1_event ev;
    while (!c->dead && !c->close_after && http1_next(&c->h1, in, &ev)) {
        switch (ev.type) {
        case HTTP1_HEAD:
            on_head(c, ev.head);
            break;
        case HTTP1_DATA:
            hreq_body(c->h1_req, ev.data);
            break;
        case HTTP1_END:
            if (!c->upgraded)
                hreq_body_end(c->h1_req);
            break;
        case HTTP1_ERROR:
            refuse(c, &ev);
            return;
        }
    }
}

void h1_serve_begin(struct hconn *c)
{
    c->mode = HCONN_H1;
    http1_init(&c->h1, HTTP1_SERVER);
}

/* What parse() left: raw where the connection is upgraded, else it waits. There is room: who reads stops at half of it. */
static void keep(struct hconn *c, struct str in)
{
    if (c->upgraded && c->h1_req && in.n)
        hreq_body(c->h1_req, in);
    else if (!c->upgraded)
        buf_str(&c->in, in);
}

void h1_serve_read(struct hconn *c, struct str in)
{
    if (c->close_after)
        return;                            /* whatever follows the last answer is not read as a request */
    if (!c->upgraded && !c->in.n && !http1_is_complete(&c->h1)) {
        bool idle = http1_is_idle(&c->h1);
        parse(c, &in);
        if (idle && !c->h1_req && !http1_is_idle(&c->h1) && !http1_is_complete(&c->h1)) {
            c->reading_head = true;
            c->since_us = loop_now_us(c->d->loop);
        }
    }
    keep(c, in);
}

void h1_serve_more(struct hconn *c)
{
    while (!c->dead && !c->close_after && !c->upgraded && !c->h1_req && http1_is_complete(&c->h1)) {
        http1_restart(&c->h1);
        if (!c->in.n)
            return;
        AUTO_BUF struct buf waiting = c->in;
        c->in = (struct buf){ .max = LIMIT_HTTP_PIPELINE };
        struct str in = buf_view(&waiting);
        parse(c, &in);
        keep(c, in);
    }
}

static bool bodiless(int status) { return status == 204 || status == 304; }

void h1_serve_start(struct hreq *r, int status, struct http_fields f, bool whole, size_t length)
{
    struct buf *out = &r->c->out;
    bool http11 = r->chunked;
    http1_put_status(out, status);
    for (size_t i = 0; i < f.n; i++)
        http1_put_field(out, f.v[i].name, f.v[i].value);
    r->chunked = false;
    if (bodiless(status)) {
        r->no_body = true;
    } else if (whole) {
        buf_fmt(out, "content-length: %zu\r\n", length);
    } else if (http11) {
        buf_lit(out, "transfer-encoding: chunked\r\n");
        r->chunked = true;
    } else {
        r->keep_alive = false;             /* HTTP/1.0: the body ends with the connection */
    }
    if (!r->got_end || r->c->d->draining)
        r->keep_alive = false;
    if (!r->keep_alive)
        buf_lit(out, "connection: close\r\n");
    http1_put_end(out);
}

void h1_serve_write(struct hreq *r, struct str bytes)
{
    struct buf *out = &r->c->out;
    if (r->no_body)
        return;
    if (r->c->upgraded || !r->chunked)
        buf_str(out, bytes);
    else
        http1_put_chunk(out, bytes);
}

void h1_serve_finish(struct hreq *r, struct http_fields trailers)
{
    struct hconn *c = r->c;
    if (c->upgraded)
        r->keep_alive = false;
    else if (r->chunked && !r->no_body)
        http1_put_last_chunk(&c->out, trailers);
    if (!r->keep_alive || c->d->draining)
        c->close_after = true;
    hreq_over(r);                          /* a request that is not complete yet has lost its keep_alive with the head */
}

void h1_serve_upgrade(struct hreq *r, struct http_fields f)
{
    struct buf *out = &r->c->out;
    http1_put_status(out, 101);
    for (size_t i = 0; i < f.n; i++)
        http1_put_field(out, f.v[i].name, f.v[i].value);
    http1_put_end(out);
    r->c->upgraded = true;
    r->got_end = false;
    r->chunked = false;
}
