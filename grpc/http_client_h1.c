/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client_h1: one call at a time on an HTTP/1.1 connection, which is kept for the next one where both sides allow it.
 * After 101 the connection carries raw bytes for its call until either side closes (RFC 9110 section 7.8).
 */
#include "grpc/http_client.h"

void h1_call_begin(struct cconn *c)
{
    c->h1_mode = true;
    http1_init(&c->h1, HTTP1_CLIENT);
}

static void on_end(struct cconn *c, struct hcall *k, struct http_fields trailers)
{
    if (!k->finished || c->out.n || !c->h1.head.keep_alive)
        c->retiring = true;                       /* answered before all was sent: the rest must not go before the next request */
    c->used = true;
    link_pause_read(c->link, false);              /* the end of an idle connection is heard, whatever the call held back */
    hcall_over(k);
    k->user.end(k, trailers);
}

static void broken(struct cconn *c, const char *how)
{
    struct kr_err e = { 0 };
    kr_fail(&e, KR_PROTOCOL, "%s", how);
    cconn_broken(c, &e);
}

static void on_event(struct cconn *c, const struct http1_event *ev)
{
    struct hcall *k = c->calls;
    struct kr_err e = { 0 };
    if (ev->type == HTTP1_ERROR) {
        broken(c, ev->text);
        return;
    }
    if (ev->type == HTTP1_HEAD && ev->head->status < 200 && ev->head->status != 101) {
        if (c->informed++ < LIMIT_HTTP_INFORMATIONAL)
            return;
        kr_fail(&e, KR_PROTOCOL, "more than %d answers of 1xx before the one that counts", LIMIT_HTTP_INFORMATIONAL);
        cconn_broken(c, &e);
        return;
    }
    if (ev->type == HTTP1_HEAD && ev->head->status == 101 && !k->upgrade) {
        broken(c, "the server answered 101 (Switching Protocols), which was not asked for");
        return;
    }
    if (ev->type == HTTP1_HEAD) {
        k->head_seen = true;
        k->upgraded = ev->head->status == 101;
        if (k->user.head)
            k->user.head(k, ev->head->status, ev->head->fields);
    } else if (ev->type == HTTP1_DATA) {
        if (k->user.data)
            k->user.data(k, ev->data);
    } else {
        on_end(c, k, ev->trailers);
    }
}

static bool is_upgraded(const struct cconn *c) { return c->calls && c->calls->upgraded; }

void h1_call_read(struct cconn *c, struct str in)
{
    struct http1_event ev;
    if (!c->calls) {                              /* not even the begin of an answer is kept: the next call would take it for its own */
        broken(c, "bytes nobody asked for");
        return;
    }
    while (!c->dead && !is_upgraded(c) && http1_next(&c->h1, &in, &ev))
        on_event(c, &ev);
    if (c->dead)
        return;
    if (is_upgraded(c)) {                         /* what follows its head is raw */
        if (in.n && c->calls->user.data)
            c->calls->user.data(c->calls, in);
    } else if (http1_is_complete(&c->h1)) {
        http1_restart(&c->h1);
        c->retiring |= in.n > 0;
    }
}

void h1_call_eof(struct cconn *c)
{
    struct http1_event ev;
    if (is_upgraded(c)) {
        struct hcall *k = c->calls;
        hcall_over(k);
        k->user.end(k, (struct http_fields){ 0 });
        return;
    }
    if (c->calls && http1_eof(&c->h1, &ev) && ev.type == HTTP1_END)
        on_event(c, &ev);
}

void h1_call_send(struct cconn *c, struct hcall *k)
{
    link_pause_read(c->link, k->paused);
    http1_put_request(&c->out, k->method, k->path, k->authority);
    struct http_fields more = hcall_sign(k);
    for (size_t i = 0; i < k->nfields; i++)
        http1_put_field(&c->out, k->fields[i].name, k->fields[i].value);
    for (size_t i = 0; i < more.n; i++)
        http1_put_field(&c->out, more.v[i].name, more.v[i].value);
    if (k->more && k->length)
        buf_fmt(&c->out, "content-length: %llu\r\n", (unsigned long long)k->length);
    else if (k->more && !k->upgrade)
        http1_put_field(&c->out, S("transfer-encoding"), S("chunked"));
    else if (k->out.n || str_is(k->method, "POST") || str_is(k->method, "PUT") || str_is(k->method, "PATCH"))
        buf_fmt(&c->out, "content-length: %zu\r\n", k->out.n);
    http1_put_end(&c->out);
    c->informed = 0;
    http1_expect_head(&c->h1, str_is(k->method, "HEAD"));
    h1_call_body(k);
}

void h1_call_body(struct hcall *k)
{
    struct buf *out = &k->c->out;
    if (k->upgrade || !k->more || k->length) {
        buf_str(out, buf_view(&k->out));
    } else {
        http1_put_chunk(out, buf_view(&k->out));
        if (k->finished)
            http1_put_last_chunk(out, (struct http_fields){ 0 });
    }
    if (k->more)
        buf_clear(&k->out);
    k->out.failed |= out->failed;
}
