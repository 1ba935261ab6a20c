/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_client: a call is an HTTP/2 exchange whose status comes in the trailers. What isn't gRPC (another content type, an
 * HTTP status) becomes the status that the protocol document assigns. Tested in tests/unit/grpc/grpc.c.
 */
#include "grpc/grpc.h"
#include <limits.h>
#include <stdio.h>

/* A connection whose streams are all taken gets another beside it: a Watch for each execution would keep what ends at once waiting. */
enum { CONNECTIONS = LIMIT_EXECUTIONS / LIMIT_H2_STREAMS + 4 };

struct grpc_client { struct loop *loop; struct httpc *http; char authority[320]; void (*lost)(void *ctx); void *lost_ctx; };
struct grpc_call {
    struct grpc_client *c;
    struct hcall *http;
    struct grpc_user user;
    struct grpc_framer framer;
    int http_status, status;                      /* status -1: not told yet */
    int64_t deadline_us;
    char text[480];
    bool in_callback, cancelled, is_grpc;
};

static void connection_lost(void *ctx)
{
    struct grpc_client *c = ctx;
    if (c->lost)
        c->lost(c->lost_ctx);
}

struct grpc_client *grpc_client_new(struct loop *loop, struct str host, uint16_t port)
{
    struct grpc_client *c = xcalloc(1, sizeof *c);
    c->loop = loop;
    snprintf(c->authority, sizeof c->authority, "%.*s:%u", host.n < 300 ? (int)host.n : 300, host.p, port);
    c->http = httpc_new(loop, &(struct httpc_config){ .target = { .host = host, .port = port }, .version = HTTP_2, .max_connections = CONNECTIONS,
                                                      .lost = connection_lost, .lost_ctx = c });
    return c;
}

struct grpc_client *grpc_client_over(struct loop *loop, int fd)
{
    struct grpc_client *c = xcalloc(1, sizeof *c);
    c->loop = loop;
    snprintf(c->authority, sizeof c->authority, "localhost");
    c->http = httpc_new(loop, &(struct httpc_config){ .target = { .host = S("localhost"), .fd = fd }, .version = HTTP_2 });
    return c;
}

void grpc_client_on_lost(struct grpc_client *c, void (*lost)(void *ctx), void *ctx)
{
    c->lost = lost;
    c->lost_ctx = ctx;
}

bool grpc_client_is_spent(const struct grpc_client *c) { return httpc_is_spent(c->http); }

void grpc_client_free(struct grpc_client *c)
{
    if (!c)
        return;
    httpc_free(c->http);
    free(c);
}

static void call_free(struct grpc_call *k)
{
    buf_free(&k->framer.b);
    xblock_free(k, sizeof *k);
}

static void finish(struct grpc_call *k, int status, struct str text)
{
    struct grpc_user user = k->user;
    char kept[480];
    size_t n = str_rune_cut(text, sizeof kept - 1);
    memcpy(kept, text.p, n);
    kept[n] = '\0';
    call_free(k);
    user.done(user.ctx, status, (struct str){ kept, n });
}

static int status_of_http(int http)
{
    return http == 400 ? GRPC_INTERNAL : http == 401 ? GRPC_UNAUTHENTICATED : http == 403 ? GRPC_PERMISSION_DENIED : http == 404 ? GRPC_UNIMPLEMENTED
         : http == 429 || (http >= 502 && http <= 504) ? GRPC_UNAVAILABLE : GRPC_UNKNOWN;
}

static void read_status(struct grpc_call *k, struct http_fields f)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    int64_t n;
    if (!str_i64(http_get(f, "grpc-status"), &n))
        return;
    k->status = n >= 0 && n <= INT_MAX ? (int)n : GRPC_UNKNOWN;
    struct str text = grpc_parse_message(&a, http_get(f, "grpc-message"));
    snprintf(k->text, sizeof k->text, "%.*s", (int)str_rune_cut(text, sizeof k->text - 1), text.p ? text.p : "");
}

static void forget(struct grpc_call *k)
{
    hcall_cancel(k->http);
    call_free(k);
}

static void on_head(struct hcall *h, int status, struct http_fields f)
{
    struct grpc_call *k = hcall_ctx(h);
    k->http_status = status;
    k->is_grpc = str_starts(http_get(f, "content-type"), S("application/grpc"));
    read_status(k, f);
    if (!k->user.metadata)
        return;
    k->in_callback = true;
    k->user.metadata(k->user.ctx, f, false);
    k->in_callback = false;
    if (k->cancelled)
        forget(k);
}

/* Ends the call from inside its data callback. */
static void give_up(struct grpc_call *k, int status, const char *text)
{
    hcall_cancel(k->http);
    finish(k, status, str_of(text));
}

static void on_data(struct hcall *h, struct str bytes)
{
    struct grpc_call *k = hcall_ctx(h);
    AUTO_BUF struct buf message = { .max = 0 };
    if (!k->is_grpc)
        return;
    grpc_feed(&k->framer, bytes);
    for (;;) {
        enum grpc_framing f = grpc_next(&k->framer, &message);
        if (f == GRPC_MORE)
            return;
        if (f != GRPC_MESSAGE) {
            give_up(k, f == GRPC_TOO_LARGE ? GRPC_RESOURCE_EXHAUSTED : GRPC_INTERNAL,
                    f == GRPC_TOO_LARGE ? "the answer is larger than allowed" : "the answer is compressed, which was not asked for");
            return;
        }
        k->in_callback = true;
        if (k->user.message)
            k->user.message(k->user.ctx, buf_view(&message));
        k->in_callback = false;
        if (k->cancelled) {
            forget(k);
            return;
        }
    }
}

static void on_end(struct hcall *h, struct http_fields trailers)
{
    struct grpc_call *k = hcall_ctx(h);
    char text[80];
    read_status(k, trailers);
    if (k->user.metadata && trailers.n) {
        k->in_callback = true;
        k->user.metadata(k->user.ctx, trailers, true);
        k->in_callback = false;
    }
    if (k->cancelled) {
        call_free(k);
    } else if (k->status < 0 && (k->http_status != 200 || !k->is_grpc)) {
        snprintf(text, sizeof text, "the peer speaks no gRPC: it answered HTTP %d", k->http_status);
        finish(k, k->http_status == 200 ? GRPC_UNKNOWN : status_of_http(k->http_status), str_of(text));
    } else if (k->status < 0) {
        finish(k, GRPC_UNKNOWN, S("the answer has no grpc-status"));
    } else if (k->status == GRPC_OK && grpc_unread(&k->framer)) {
        finish(k, GRPC_INTERNAL, S("the answer ended within a message"));
    } else {
        finish(k, k->status, str_of(k->text));
    }
}

static void on_failed(struct hcall *h, const struct kr_err *e)
{
    struct grpc_call *k = hcall_ctx(h);
    bool late = e->code == KR_CANCELLED && loop_now_us(k->c->loop) >= k->deadline_us;      /* the server counts the same time, and was first */
    finish(k, e->code == KR_DEADLINE || late ? GRPC_DEADLINE_EXCEEDED : e->code == KR_CANCELLED ? GRPC_CANCELLED : GRPC_UNAVAILABLE, str_of(e->msg));
}

struct grpc_call *grpc_call(struct grpc_client *c, const char *path, struct str request, const struct grpc_options *o, struct grpc_user user)
{
    struct grpc_call *k = xblock(sizeof *k);
    struct http_field f[4 + GRPC_METADATA];
    size_t n = 0;
    AUTO_BUF struct buf timeout = { .max = 32 }, body = { .max = request.n + 16 };
    *k = (struct grpc_call){ .c = c, .user = user, .status = -1, .framer = { .max = o->max_message ? o->max_message : LIMIT_GRPC_MESSAGE },
                             .deadline_us = loop_now_us(c->loop) + o->timeout_us };
    grpc_put_timeout(&timeout, o->timeout_us);
    f[n++] = (struct http_field){ S("te"), S("trailers") };
    f[n++] = (struct http_field){ S("content-type"), S("application/grpc") };
    f[n++] = (struct http_field){ S("user-agent"), S("grpc-c-kruntimes") };
    f[n++] = (struct http_field){ S("grpc-timeout"), buf_view(&timeout) };
    for (size_t i = 0; i < o->metadata.n && n < LEN(f); i++)
        f[n++] = o->metadata.v[i];
    if (request.p || !o->open)
        grpc_frame(&body, request);
    struct httpc_request q = { .method = S("POST"), .path = str_of(path), .authority = str_of(c->authority), .fields = { f, n },
                               .body = buf_view(&body), .more = o->open, .deadline_us = k->deadline_us };
    k->http = httpc_call(c->http, &q, (struct hcall_user){ .head = on_head, .data = on_data, .end = on_end, .failed = on_failed, .ctx = k });
    return k;
}

void grpc_send(struct grpc_call *k, struct str message)
{
    AUTO_BUF struct buf b = { .max = message.n + 16 };
    grpc_frame(&b, message);
    hcall_write(k->http, buf_view(&b));
}

void grpc_half_close(struct grpc_call *k) { hcall_finish(k->http); }
void grpc_pause(struct grpc_call *k, bool on) { hcall_pause(k->http, on); }

void grpc_cancel(struct grpc_call *k)
{
    if (!k || k->cancelled)
        return;
    k->cancelled = true;
    if (!k->in_callback)                          /* else it is cleaned up behind the callback */
        forget(k);
}
