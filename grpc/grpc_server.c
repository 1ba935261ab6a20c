/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_server: finds the method of a path, hands it whole messages, keeps deadlines, and writes status into trailers. Every
 * server also serves health and reflection. Tested in tests/unit/grpc/grpc.c and against other people's clients in
 * tests/interop.
 */
#include "grpc/grpc_server.h"
#include <stdio.h>

static const struct grpc_service built_in[] = {
    { "grpc.health.v1.Health", grpc_health_methods, NULL },
    { "grpc.reflection.v1.ServerReflection", grpc_reflection_v1_methods, NULL },
    { "grpc.reflection.v1alpha.ServerReflection", grpc_reflection_v1alpha_methods, NULL },
};

/* ---- finding the method ------------------------------------------------------------------------------------------ */

static const struct grpc_service *find_service(const struct grpc_service *v, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_is(name, v[i].name))
            return &v[i];
    return NULL;
}

static const struct grpc_method *find_method(const struct grpc_service *s, struct str name)
{
    for (const struct grpc_method *m = s->methods; m->name; m++)
        if (str_is(name, m->name))
            return m;
    return NULL;
}

/* ---- answering --------------------------------------------------------------------------------------------------- */

void grpc_head(struct grpc_request *r, struct http_fields metadata)
{
    struct http_field f[1 + GRPC_METADATA] = { { S("content-type"), S("application/grpc") } };
    size_t n = 1;
    if (r->over || r->head_sent)
        return;
    for (size_t i = 0; i < metadata.n && n < LEN(f); i++)
        f[n++] = metadata.v[i];
    r->head_sent = true;
    hreq_start(r->http, 200, (struct http_fields){ f, n });
}

void grpc_reply(struct grpc_request *r, struct str message)
{
    AUTO_BUF struct buf b = { .max = message.n + 16 };
    if (r->over)
        return;
    if (message.n > HTTP_LOW_WATER && hreq_is_crowded(r->http)) {
        grpc_end(r, GRPC_RESOURCE_EXHAUSTED, S("too many answers wait on this connection: take them first"));
        return;
    }
    grpc_head(r, (struct http_fields){ 0 });
    grpc_frame(&b, message);
    hreq_write(r->http, buf_view(&b));
}

int grpc_reply_pb(struct grpc_request *r, const pb_msgdesc_t *d, const void *msg)
{
    AUTO_BUF struct buf b = { .max = 4 * (size_t)LIMIT_GRPC_MESSAGE };
    struct kr_err e = { 0 };
    if (pb_to_bytes(d, msg, &b, &e) < 0) {
        grpc_end_err(r, &e);
        return -1;
    }
    grpc_reply(r, buf_view(&b));
    return 0;
}

void grpc_end(struct grpc_request *r, int status, struct str text) { grpc_end_with(r, status, text, (struct http_fields){ 0 }); }

void grpc_end_with(struct grpc_request *r, int status, struct str text, struct http_fields metadata)
{
    char code[12];
    AUTO_BUF struct buf coded = { .max = 2048 };
    if (r->over)
        return;
    r->over = true;
    loop_timer_stop(r->s->loop, &r->deadline);
    snprintf(code, sizeof code, "%d", status);
    grpc_put_message(&coded, (struct str){ text.p, str_rune_cut(text, 480) });
    struct http_field f[3 + GRPC_METADATA] = { { S("grpc-status"), str_of(code) } };
    size_t n = 1;
    if (coded.n)
        f[n++] = (struct http_field){ S("grpc-message"), buf_view(&coded) };
    for (size_t i = 0; i < metadata.n && i < GRPC_METADATA; i++)
        f[n++] = metadata.v[i];
    if (r->head_sent) {
        hreq_finish(r->http, (struct http_fields){ f, n });
        return;
    }
    f[n++] = (struct http_field){ S("content-type"), S("application/grpc") };
    hreq_respond(r->http, 200, (struct http_fields){ f, n }, S(""));      /* trailers only */
}

void grpc_end_err(struct grpc_request *r, const struct kr_err *e) { grpc_end(r, kr_codes[e->code].grpc, str_of(e->msg)); }

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void deadline_passed(struct loop *loop, struct timer *t)
{
    (void)loop;
    struct grpc_request *r = container_of(t, struct grpc_request, deadline);
    grpc_end(r, GRPC_DEADLINE_EXCEEDED, S("the call's deadline has passed"));
    if (!r->gone && r->method->gone) {
        r->gone = true;
        r->method->gone(r);
    }
}

static void refuse_http(struct hreq *h, int status, const char *text)
{
    struct http_field f[] = { { S("content-type"), S("text/plain; charset=utf-8") } };
    hreq_set_user(h, NULL);
    hreq_respond(h, status, (struct http_fields){ f, LEN(f) }, str_of(text));
}

static struct grpc_request *request_new(struct grpc_server *s, struct hreq *h)
{
    struct grpc_request *r = xblock(sizeof *r);
    size_t max = s->config.max_message ? s->config.max_message : LIMIT_GRPC_MESSAGE;
    *r = (struct grpc_request){ .s = s, .http = h, .framer = { .max = max }, .arena = { .limit = 4 * max + 65536 },
                                .deadline = { .fire = deadline_passed } };
    hreq_set_user(h, r);
    return r;
}

/* Sets service and method, or ends the call. */
static bool route(struct grpc_request *r)
{
    struct grpc_server *s = r->s;
    struct str rest = str_from(hreq_path(r->http), 1), service = str_cut(&rest, '/'), encoding = http_get(hreq_fields(r->http), "grpc-encoding");
    struct kr_err e = { 0 };
    bool ours = true;
    r->service = find_service(s->config.services, s->config.n, service);
    if (!r->service) {
        r->service = find_service(built_in, LEN(built_in), service);
        ours = false;
    }
    r->method = r->service ? find_method(r->service, rest) : NULL;
    if (!r->method) {
        AUTO_BUF struct buf text = { .max = 400 };
        buf_fmt(&text, "%s %.*s is not offered", r->service ? "method" : "service", SFMT(r->service ? rest : service));
        grpc_end(r, GRPC_UNIMPLEMENTED, buf_view(&text));
        return false;
    }
    if (encoding.n && !str_is(encoding, "identity")) {
        grpc_end(r, GRPC_UNIMPLEMENTED, S("compression is not offered: send grpc-encoding identity"));
        return false;
    }
    if (ours && s->config.allow && s->config.allow(s->config.ctx, hreq_fields(r->http), &e) < 0) {
        grpc_end_err(r, &e);
        return false;
    }
    return true;
}

static void begin(struct hreq *h, void *ctx)
{
    struct grpc_server *s = ctx;
    struct str type = http_get(hreq_fields(h), "content-type"), timeout = http_get(hreq_fields(h), "grpc-timeout");
    int64_t us;
    if (!str_starts(type, S("application/grpc")) || (type.n > 16 && type.p[16] != '+' && type.p[16] != ';')) {
        refuse_http(h, 415, "this port speaks gRPC (content-type application/grpc over HTTP/2)\n");
        return;
    }
    if (!str_is(hreq_method(h), "POST") || !hreq_is_h2(h)) {
        refuse_http(h, hreq_is_h2(h) ? 405 : 505, "gRPC is POST over HTTP/2\n");
        return;
    }
    struct grpc_request *r = request_new(s, h);
    if (!route(r))
        return;
    if (timeout.n && !grpc_parse_timeout(timeout, &us))
        grpc_end(r, GRPC_INVALID_ARGUMENT, S("grpc-timeout can't be read"));
    else if (timeout.n)
        loop_timer_in(s->loop, &r->deadline, us);
}

static void finish(struct grpc_request *r)
{
    if (grpc_unread(&r->framer))
        grpc_end(r, GRPC_INTERNAL, S("the request ends inside a message"));
    else if (!r->messages && !r->method->stream_in)
        grpc_end(r, GRPC_INTERNAL, S("the request has no message"));
    else if (r->method->half_closed)
        r->method->half_closed(r);
}

static bool is_behind(const struct grpc_request *r) { return r->method->stream_in && hreq_queued(r->http) >= HTTP_LOW_WATER; }

/* Whoever asks on without taking the answers isn't read: they would fill the memory, as each may be much larger than its question. */
static void take_messages(struct grpc_request *r)
{
    AUTO_BUF struct buf message = { .max = 0 };
    enum grpc_framing f = GRPC_MESSAGE;
    while (!r->over && !is_behind(r) && (f = grpc_next(&r->framer, &message)) != GRPC_MORE) {
        if (f == GRPC_COMPRESSED)
            grpc_end(r, GRPC_UNIMPLEMENTED, S("the message is compressed, which is not offered"));
        else if (f == GRPC_TOO_LARGE)
            grpc_end(r, GRPC_RESOURCE_EXHAUSTED, S("the message is larger than allowed"));
        else if (r->messages++ && !r->method->stream_in)
            grpc_end(r, GRPC_INTERNAL, S("the method takes one message, a second came"));
        else
            r->method->message(r, buf_view(&message));
    }
    if (r->over)
        return;
    hreq_pause(r->http, is_behind(r));
    if (r->ended && f == GRPC_MORE) {
        r->ended = false;
        finish(r);
    }
}

static void data(struct hreq *h, struct str bytes)
{
    struct grpc_request *r = hreq_user(h);
    if (!r || r->over)
        return;
    grpc_feed(&r->framer, bytes);
    take_messages(r);
    hreq_keeps(h, grpc_unread(&r->framer));
}

static void end(struct hreq *h)
{
    struct grpc_request *r = hreq_user(h);
    if (!r || r->over)
        return;
    r->ended = true;
    take_messages(r);
}

static void writable(struct hreq *h)
{
    struct grpc_request *r = hreq_user(h);
    if (!r || r->over)
        return;
    if (r->method->stream_in)
        take_messages(r);
    if (!r->over && r->method->writable)
        r->method->writable(r);
}

static void gone(struct hreq *h)
{
    struct grpc_request *r = hreq_user(h);
    if (!r)
        return;
    r->over = true;
    if (!r->gone && r->method && r->method->gone)
        r->method->gone(r);
    if (r->at) {
        *r->at = r->next;
        if (r->next)
            r->next->at = r->at;
    }
    loop_timer_stop(r->s->loop, &r->deadline);
    buf_free(&r->framer.b);
    arena_reset(&r->arena);
    xblock_free(r, sizeof *r);
}

/* ---- the server -------------------------------------------------------------------------------------------------- */

struct grpc_server *grpc_server_new(struct loop *loop, const struct grpc_server_config *config, struct kr_err *e)
{
    struct grpc_server *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->config = *config;
    struct httpd_config hc = { .host = config->host, .port = config->port, .bodies = LIMIT_GRPC_BODIES, .queued = LIMIT_GRPC_QUEUED, .connections = LIMIT_HTTP_CONNECTIONS,
                               .user = { .begin = begin, .data = data, .end = end, .writable = writable, .gone = gone, .ctx = s } };
    s->httpd = httpd_new(loop, &hc, e);
    if (s->httpd)
        return s;
    free(s);
    return NULL;
}

void grpc_server_free(struct grpc_server *s)
{
    if (!s)
        return;
    httpd_free(s->httpd);
    free(s);
}

uint16_t grpc_server_port(const struct grpc_server *s) { return httpd_port(s->httpd); }
struct httpd *grpc_server_httpd(struct grpc_server *s) { return s->httpd; }
void *grpc_service_ctx(const struct grpc_request *r) { return r->service->ctx; }
struct http_fields grpc_metadata(const struct grpc_request *r) { return hreq_fields(r->http); }
void grpc_set_user(struct grpc_request *r, void *user) { r->user = user; }
void *grpc_user(const struct grpc_request *r) { return r->user; }
struct arena *grpc_arena(struct grpc_request *r) { return &r->arena; }
size_t grpc_queued(const struct grpc_request *r) { return hreq_queued(r->http); }
bool grpc_is_over(const struct grpc_request *r) { return r->over; }

void *grpc_decode(struct grpc_request *r, const pb_msgdesc_t *d, size_t size, struct str bytes)
{
    struct kr_err e = { 0 };
    void *msg = arena_alloc(&r->arena, size);
    if (msg && pb_from_bytes(d, msg, bytes, &r->arena, &e) == 0)
        return msg;
    grpc_end(r, msg && e.code != KR_TOO_LARGE ? GRPC_INTERNAL : GRPC_RESOURCE_EXHAUSTED, str_of(e.msg));
    return NULL;
}
