/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_h2: HTTP/2's events become exchanges. Pseudo-header fields (RFC 9113 section 8.3.1) are folded into the
 * exchange; windows are given back as the user takes the bytes. A response that is complete before its request is gets
 * RST_STREAM(NO_ERROR) behind it, as section 8.1 allows, so that the client stops sending.
 */
#include "grpc/http_server.h"

void h2_serve_begin(struct hconn *c)
{
    c->mode = HCONN_H2;
    c->h2 = h2_new(&(struct h2_config){ .role = H2_SERVER });
}

static void on_headers(struct hconn *c, const struct h2_event *ev)
{
    struct str method = { 0 }, path = { 0 }, authority = { 0 };
    size_t i = 0;
    for (; i < ev->fields.n && str_starts(ev->fields.v[i].name, S(":")); i++) {
        struct http_field f = ev->fields.v[i];
        if (str_is(f.name, ":method"))
            method = f.value;
        else if (str_is(f.name, ":path"))
            path = f.value;
        else if (str_is(f.name, ":authority"))
            authority = f.value;
    }
    struct http_fields rest = { ev->fields.v + i, ev->fields.n - i };
    if (!authority.n)
        authority = http_get(rest, "host");
    struct hreq *r = hreq_new(c, method, path, authority, rest);
    r->stream = ev->stream;
    r->expect_continue = !ev->end && str_caseeq(http_get(rest, "expect"), S("100-continue"));
    h2_set_user(c->h2, ev->stream, r);
    c->d->user.begin(r, c->d->user.ctx);
    if (hreq_wants_100(r))
        h2_headers(c->h2, ev->stream, (struct http_fields){ &(struct http_field){ S(":status"), S("100") }, 1 }, false);
    if (ev->end && !r->over)
        hreq_body_end(r);
    else if (ev->end)
        r->got_end = true;
}

static void on_data(struct hconn *c, const struct h2_event *ev)
{
    struct hreq *r = ev->user;
    if (ev->data.n)
        hreq_body(r, ev->data);
    if (!r->over && r->paused)
        r->held += ev->data.n;
    else
        h2_consume(c->h2, ev->stream, ev->data.n);
    if (ev->end && !r->over)
        hreq_body_end(r);
}

/* RFC 9113 section 8.1 has the client stop once the answer is complete, its end included, and not before. */
static void stop_if_answered(struct hreq *r)
{
    struct hconn *c = r->c;
    if (r->got_end || !h2_has_ended(c->h2, r->stream))
        return;
    h2_reset(c->h2, r->stream, H2_NO_ERROR);
    hreq_over(r);
}

/* Events of a stream have its exchange: one that ends before has reset the stream, and behind that there is none. */
static void on_event(struct hconn *c, const struct h2_event *ev)
{
    struct hreq *r = ev->user;
    switch (ev->type) {
    case H2_HEADERS:
        on_headers(c, ev);
        break;
    case H2_DATA:
        on_data(c, ev);
        break;
    case H2_TRAILERS:
        hreq_body_end(r);
        break;
    case H2_RESET:
    case H2_CLOSED:
        hreq_over(r);
        break;
    case H2_WRITABLE:
        stop_if_answered(r);
        break;
    default:
        break;      /* H2_DEAD: what is pending (GOAWAY) goes out, then h2_is_done closes */
    }
}

void h2_serve_events(struct hconn *c)
{
    struct h2_event ev;
    while (h2_next(c->h2, &ev))
        on_event(c, &ev);
}

void h2_serve_read(struct hconn *c, struct str in)
{
    h2_feed(c->h2, in, loop_now_us(c->d->loop));
    h2_serve_events(c);
}

void h2_serve_start(struct hreq *r, int status, struct http_fields f, bool end)
{
    char text[21];
    size_t digits = str_put_i64(text, status);
    struct http_field few[16], *v = f.n < LEN(few) ? few : xmalloc((f.n + 1) * sizeof *v);
    v[0] = (struct http_field){ S(":status"), { text, digits } };
    for (size_t i = 0; i < f.n; i++)
        v[i + 1] = f.v[i];
    h2_headers(r->c->h2, r->stream, (struct http_fields){ v, f.n + 1 }, end);
    if (v != few)
        free(v);
}

void h2_serve_write(struct hreq *r, struct str bytes, bool end) { h2_data(r->c->h2, r->stream, bytes, end); }

void h2_serve_finish(struct hreq *r, struct http_fields trailers)
{
    (void)trailers;
    stop_if_answered(r);
}
