/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client_h2: calls on one HTTP/2 connection. A stream that the server refused before it did anything (RFC 9113
 * section 8.7) goes back into the queue; a GOAWAY retires the connection, as does the last number that a stream can have, and
 * what waits goes to a new one.
 */
#include "grpc/http_client.h"

void h2_call_begin(struct cconn *c) { c->h2 = h2_new(&(struct h2_config){ .role = H2_CLIENT }); }

static void on_head(struct hcall *k, const struct h2_event *ev)
{
    int64_t status = 0;
    size_t i = 0;
    while (i < ev->fields.n && str_starts(ev->fields.v[i].name, S(":")))
        i++;
    str_i64(http_get(ev->fields, ":status"), &status);
    struct http_fields rest = { ev->fields.v + i, ev->fields.n - i };
    k->head_seen = true;
    k->c->used = true;
    if (k->user.head)
        k->user.head(k, (int)status, rest);
}

static void on_end(struct hcall *k, struct http_fields trailers)
{
    if (k->over)
        return;
    k->answered = true;
    if (!k->finished || h2_queued(k->c->h2, k->stream))
        h2_reset(k->c->h2, k->stream, H2_NO_ERROR);     /* answered before all was sent: the rest is of no use, and the server may never take it */
    hcall_over(k);
    k->user.end(k, trailers);
}

static void on_reset(struct hcall *k, const struct h2_event *ev)
{
    struct kr_err e = { 0 };
    if (ev->code == H2_REFUSED_STREAM) {
        hcall_again(k);
        return;
    }
    if (ev->code == H2_INTERNAL_ERROR && !ev->by_peer) {
        hcall_unsendable(k);
        return;
    }
    kr_fail(&e, ev->by_peer ? KR_UNAVAILABLE : KR_PROTOCOL, "%.*s:%u: the stream was reset %s, code %d", SFMT(k->h->config.target.host),
            k->h->config.target.port, ev->by_peer ? "by the server" : "for what the server sent", (int)ev->code);
    if (ev->by_peer && ev->code == H2_CANCEL)
        e.code = KR_CANCELLED;
    hcall_fail(k, &e);
}

static void on_data(struct hcall *k, struct cconn *c, const struct h2_event *ev)
{
    if (ev->data.n && k->user.data)
        k->user.data(k, ev->data);
    if (k->paused && !k->over)
        k->held += ev->data.n;
    else
        h2_consume(c->h2, ev->stream, ev->data.n);
    if (ev->end)
        on_end(k, (struct http_fields){ 0 });
}

/* Events of a stream whose call goes on; behind the reset of one that was cancelled there are none. */
static void on_call_event(struct hcall *k, struct cconn *c, const struct h2_event *ev)
{
    if (ev->type == H2_HEADERS) {
        on_head(k, ev);
        if (ev->end)
            on_end(k, (struct http_fields){ 0 });
    } else if (ev->type == H2_DATA) {
        on_data(k, c, ev);
    } else if (ev->type == H2_TRAILERS) {
        on_end(k, ev->fields);
    } else if (ev->type == H2_RESET) {
        on_reset(k, ev);
    }
}

static void on_event(struct cconn *c, const struct h2_event *ev)
{
    if (ev->user)
        on_call_event(ev->user, c, ev);
    struct kr_err e = { 0 };
    switch (ev->type) {
    case H2_GOAWAY_SEEN:
        c->retiring = true;
        if (c->carried)
            break;
        kr_fail(&e, KR_UNAVAILABLE, "the server takes no requests (GOAWAY, code %d)", (int)ev->code);
        cconn_broken(c, &e);
        break;
    case H2_DEAD:
        kr_fail(&e, KR_PROTOCOL, "%s", ev->text);
        cconn_broken(c, &e);
        break;
    default:
        break;
    }
}

void h2_call_events(struct cconn *c)
{
    struct h2_event ev;
    while (!c->dead && h2_next(c->h2, &ev))
        on_event(c, &ev);
}

void h2_call_read(struct cconn *c, struct str in)
{
    h2_feed(c->h2, in, loop_now_us(c->h->loop));
    h2_call_events(c);
}

void h2_call_send(struct cconn *c, struct hcall *k)
{
    struct http_fields more = hcall_sign(k);
    size_t n = 4 + k->nfields + more.n;
    struct http_field few[20], *v = n <= LEN(few) ? few : xmalloc(n * sizeof *v);
    v[0] = (struct http_field){ S(":method"), k->method };
    v[1] = (struct http_field){ S(":scheme"), c->h->config.target.tls ? S("https") : S("http") };
    v[2] = (struct http_field){ S(":authority"), k->authority };
    v[3] = (struct http_field){ S(":path"), k->path };
    for (size_t i = 0; i < k->nfields; i++)
        v[i + 4] = k->fields[i];
    for (size_t i = 0; i < more.n; i++)
        v[4 + k->nfields + i] = more.v[i];
    /* A body that was promised ends by DATA, be it empty: gRPC knows no other end of a request. */
    bool end = k->finished && !k->out.n && !k->more;
    k->stream = h2_open(c->h2, (struct http_fields){ v, n }, end, k);
    if (v != few)
        free(v);
    if (!end)
        h2_call_body(k);
}

/* The bytes stay until the call was answered or had more to send: a refused stream is sent again from them. */
void h2_call_body(struct hcall *k)
{
    h2_data(k->c->h2, k->stream, buf_view(&k->out), k->finished);
    if (k->more)
        buf_clear(&k->out);
}
