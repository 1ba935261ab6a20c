/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What peers send: HTTP/2, HPACK, HTTP/1.1, WebSocket, SPDY, gRPC and its messages. The same bytes must give the same events
 * however they are cut; what was decoded and is encoded again must be decoded to the same.
 */
#include "core/websocket.h"
#include "grpc/grpc.h"
#include "grpc/hpack.h"
#include "grpc/proto/artifact.pb.h"
#include "grpc/proto/executor.pb.h"
#include "grpc/proto/health.pb.h"
#include "grpc/proto/logs.pb.h"
#include "grpc/proto/reflection_v1.pb.h"
#include "grpc/proto/runtime_watch.pb.h"
#include "grpc/spdy.h"
#include "tests/fuzz/fuzz.h"
#include "tests/kit/h2_ends.h"

/* ---- HTTP/2 ------------------------------------------------------------------------------------------------------ */

static void answer(struct h2_end *e, const struct h2_event *ev)
{
    if (ev->type == H2_HEADERS)
        h2_headers(e->h, ev->stream, H2_200, true);
}

static void h2_trace(enum h2_role role, struct str in, size_t cut, struct buf *out)
{
    struct h2_end e;
    AUTO_BUF struct buf sent = { 0 };
    h2_end_init(&e, role, 0, 0);
    if (role == H2_SERVER)
        e.on = answer;
    else
        for (int i = 0; i < 3; i++)
            h2_open(e.h, H2_GET, i != 1, NULL);
    h2_end_take(&e, &sent);
    if (role == H2_SERVER)
        h2_end_feed(&e, S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 64);
    h2_end_feed(&e, in, cut);
    DEMAND(!str_is(h2_end_take(&e, &sent), "never"));
    buf_str(out, h2_end_trace(&e));
    h2_end_done(&e);
}

static void h2_both(enum h2_role role, struct str in)
{
    AUTO_BUF struct buf whole = { .max = 1 << 24 }, cut = { .max = 1 << 24 };
    unsigned n = fuzz_pick(&in, 16) + 1;
    h2_trace(role, in, in.n + 1, &whole);
    h2_trace(role, in, n, &cut);
    DEMAND(str_eq(buf_view(&whole), buf_view(&cut)));
}

#define H2_WORDS "\0\0\0\4\0\0\0\0", "\1\5\0\0\0", "\1\4\0\0\0", "\0\1\0\0\0", "\3\0\0\0", "\6\0\0\0", "\7\0\0\0", "\x08\0\0\0", "\x82\x86\x84\x41\1h", "\x88"
FUZZ_WORDS(h2_server, H2_WORDS) { h2_both(H2_SERVER, in); }
FUZZ_WORDS(h2_client, H2_WORDS) { h2_both(H2_CLIENT, in); }

/* ---- HPACK ------------------------------------------------------------------------------------------------------- */

/* A block that was decoded, encoded by us and decoded again has the same fields. */
FUZZ_WORDS(hpack, "\x82", "\x40\1a\1b", "\x3f\xe1\x1f", "\x20", "\x10\1a\1b", "\xbe", "\x0f\x2f")
{
    struct hpack_decoder d, back;
    struct hpack_encoder enc;
    AUTO_BUF struct buf block = { .max = 1 << 20 };
    struct http_fields f, same;
    hpack_decoder_init(&d);
    hpack_decoder_init(&back);
    hpack_encoder_init(&enc);
    for (bool more = true; more && in.n;) {
        size_t n = fuzz_pick(&in, 255) + 1u;
        struct str one = { in.p, in.n < n ? in.n : n };
        in = str_from(in, one.n);
        more = hpack_decode(&d, one, &f) == HPACK_OK;
        if (!more)
            break;
        buf_clear(&block);
        hpack_encode(&enc, f, &block);
        DEMAND(hpack_decode(&back, buf_view(&block), &same) == HPACK_OK && same.n == f.n);
        for (size_t i = 0; i < f.n; i++)
            DEMAND(str_eq(f.v[i].name, same.v[i].name) && str_eq(f.v[i].value, same.v[i].value));
    }
    hpack_decoder_free(&d);
    hpack_decoder_free(&back);
    hpack_encoder_free(&enc);
}

/* ---- HTTP/1.1 ---------------------------------------------------------------------------------------------------- */

static void head_line(struct buf *out, const struct http1_head *h)
{
    buf_fmt(out, "HEAD %.*s %.*s %.*s %d %d %d %llu %d", SFMT(h->method), SFMT(h->target), SFMT(h->authority), h->status, h->minor, (int)h->body,
            (unsigned long long)(h->body == HTTP1_LENGTH ? h->length : 0), h->keep_alive);
    for (size_t i = 0; i < h->fields.n; i++)
        buf_fmt(out, " %.*s=%.*s", SFMT(h->fields.v[i].name), SFMT(h->fields.v[i].value));
    buf_byte(out, '\n');
}

/* False: the connection is over. */
static bool http1_line(struct http1 *p, const struct http1_event *ev, bool *data, struct buf *out)
{
    if (ev->type != HTTP1_DATA && *data)
        buf_byte(out, '\n');
    *data = ev->type == HTTP1_DATA;
    if (ev->type == HTTP1_HEAD)
        head_line(out, ev->head);
    else if (ev->type == HTTP1_DATA)
        buf_str(out, ev->data);
    else if (ev->type == HTTP1_ERROR)
        buf_fmt(out, "ERROR %d %s\n", ev->status, ev->text);
    else {
        buf_lit(out, "END");
        for (size_t i = 0; i < ev->trailers.n; i++)
            buf_fmt(out, " %.*s=%.*s", SFMT(ev->trailers.v[i].name), SFMT(ev->trailers.v[i].value));
        buf_byte(out, '\n');
        http1_restart(p);
    }
    return ev->type != HTTP1_ERROR;
}

static void http1_trace(enum http1_role role, struct str in, size_t cut, struct buf *out)
{
    struct http1 p;
    struct http1_event ev;
    bool on = true, data = false;
    http1_init(&p, role);
    for (size_t at = 0; on && at < in.n; at += cut) {
        struct str piece = { in.p + at, in.n - at < cut ? in.n - at : cut };
        while (on && http1_next(&p, &piece, &ev))
            on = http1_line(&p, &ev, &data, out);
    }
    if (on && http1_eof(&p, &ev))
        http1_line(&p, &ev, &data, out);
    http1_done(&p);
}

static void http1_both(enum http1_role role, struct str in)
{
    AUTO_BUF struct buf whole = { .max = 1 << 24 }, cut = { .max = 1 << 24 };
    unsigned n = fuzz_pick(&in, 16) + 1;
    http1_trace(role, in, in.n + 1, &whole);
    http1_trace(role, in, n, &cut);
    DEMAND(str_eq(buf_view(&whole), buf_view(&cut)));
}

#define HTTP1_WORDS "\r\n", "\r\n\r\n", "HTTP/1.1 ", "GET / ", "Host: h\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "0\r\n\r\n", \
                    "5\r\nhello\r\n", "Expect: 100-continue\r\n", "Upgrade: websocket\r\nConnection: upgrade\r\n", ";a=b", "\t"
FUZZ_WORDS(http1_request, HTTP1_WORDS, "POST http://h/x ") { http1_both(HTTP1_SERVER, in); }
FUZZ_WORDS(http1_response, HTTP1_WORDS, "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.0 204 x\r\n") { http1_both(HTTP1_CLIENT, in); }

/* ---- WebSocket --------------------------------------------------------------------------------------------------- */

static void ws_trace(enum ws_role role, struct str in, size_t cut, struct buf *out)
{
    struct ws w;
    struct rnd r = { 0 };
    struct kr_err e = { 0 };
    int rc = 0;
    ws_init(&w, role, &r);
    for (size_t at = 0; rc == 0 && at < in.n; at += cut) {
        struct str piece = { in.p + at, in.n - at < cut ? in.n - at : cut };
        struct ws_event ev;
        do {
            rc = ws_take(&w, &piece, &ev, &e);
            if (rc == 0 && ev.kind != WS_NOTHING) {
                buf_fmt(out, "%d %d ", (int)ev.kind, ev.kind == WS_CLOSE ? ev.code : 0);
                buf_str(out, ev.data);
                buf_byte(out, '\n');
            }
        } while (rc == 0 && (piece.n || ev.kind != WS_NOTHING));
    }
    if (rc < 0)
        buf_fmt(out, "failed %d %s\n", w.fail_code, e.msg);
    ws_free(&w);
}

FUZZ_WORDS(websocket, "\x82\x80", "\x01\x03", "\x88\x02\x03\xe8", "\x89", "\x82\x7e\0\x80", "\x80\x01")
{
    AUTO_BUF struct buf whole = { .max = 1 << 24 }, cut = { .max = 1 << 24 };
    enum ws_role role = fuzz_pick(&in, 2) ? WS_CLIENT : WS_SERVER;
    unsigned n = fuzz_pick(&in, 8) + 1;
    ws_trace(role, in, in.n + 1, &whole);
    ws_trace(role, in, n, &cut);
    DEMAND(str_eq(buf_view(&whole), buf_view(&cut)));
}

/* ---- SPDY -------------------------------------------------------------------------------------------------------- */

static void spdy_trace(struct str in, size_t cut, struct buf *out)
{
    static struct spdy s;
    AUTO_BUF struct buf answers = { .max = 1 << 24 };
    struct spdy_event ev;
    struct kr_err e = { 0 };
    int rc = 0;
    spdy_init(&s);
    for (size_t at = 0; rc == 0 && at < in.n; at += cut) {
        struct str piece = { in.p + at, in.n - at < cut ? in.n - at : cut };
        while ((rc = spdy_take(&s, &piece, &ev, &answers, &e)) == 0 && ev.kind) {
            if (ev.kind == SPDY_DATA)
                buf_str(out, ev.data);
            else
                buf_fmt(out, "|%d %u|", (int)ev.kind, ev.stream);
            for (size_t i = 0; i < ev.fields.n; i++)
                buf_fmt(out, " %.*s=%.*s", SFMT(ev.fields.v[i].name), SFMT(ev.fields.v[i].value));
            if (ev.fin)
                buf_fmt(out, "|end %u|", ev.stream);
        }
    }
    if (rc < 0)
        buf_fmt(out, "!%s", e.msg);
    buf_str(out, buf_view(&answers));
    spdy_free(&s);
}

FUZZ_WORDS(spdy, "\x80\3\0\1\0\0\0", "\x80\3\0\3\0\0\0\x08", "\x80\3\0\6\0\0\0\4\0\0\0\1", "\0\0\0\1\0\0\0\2", "\x78\xbb\xe3\xc6\xa7\xc2")
{
    AUTO_BUF struct buf whole = { .max = 1 << 24 }, cut = { .max = 1 << 24 };
    unsigned n = fuzz_pick(&in, 8) + 1;
    spdy_trace(in, in.n + 1, &whole);
    spdy_trace(in, n, &cut);
    DEMAND(str_eq(buf_view(&whole), buf_view(&cut)));
}

/* ---- gRPC -------------------------------------------------------------------------------------------------------- */

static void frames(struct str in, size_t cut, struct buf *out)
{
    struct grpc_framer f = { .max = 4096 };
    AUTO_BUF struct buf m = { 0 };
    enum grpc_framing r = GRPC_MORE;
    for (size_t at = 0; at < in.n && r == GRPC_MORE; at += cut) {
        grpc_feed(&f, (struct str){ in.p + at, in.n - at < cut ? in.n - at : cut });
        while ((r = grpc_next(&f, &m)) == GRPC_MESSAGE)
            grpc_frame(out, buf_view(&m));
    }
    buf_fmt(out, " then %d", (int)r);
    buf_free(&f.b);
}

FUZZ_WORDS(grpc_frames, "\0\0\0\0\0", "\0\0\0\0\5hello", "\1\0\0\0\1", "\0\377\377\377\377")
{
    AUTO_BUF struct buf whole = { .max = 1 << 24 }, cut = { .max = 1 << 24 };
    unsigned n = fuzz_pick(&in, 8) + 1;
    frames(in, in.n + 1, &whole);
    frames(in, n, &cut);
    DEMAND(str_eq(buf_view(&whole), buf_view(&cut)));
}

FUZZ_WORDS(grpc_text, "99999999H", "1n", "%41", "%C3%A9")
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    AUTO_BUF struct buf text = { .max = 1 << 20 };
    int64_t us, again;
    if (grpc_parse_timeout(in, &us)) {
        DEMAND(us >= 0);
        grpc_put_timeout(&text, us);
        DEMAND(grpc_parse_timeout(buf_view(&text), &again));
        DEMAND(us == 0 || again >= us - us / 1000 || again == 99999999 * INT64_C(1000000));     /* eight digits, in seconds at most */
    }
    buf_clear(&text);
    grpc_put_message(&text, in);
    for (size_t i = 0; i < text.n; i++)
        DEMAND(text.p[i] >= ' ' && text.p[i] <= '~');
    struct str back = grpc_parse_message(&a, buf_view(&text));
    DEMAND(!str_utf8(in) || str_eq(back, in));
    grpc_parse_message(&a, in);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

#define MESSAGE(T) { &T##_msg, sizeof(T) }
static const struct { const pb_msgdesc_t *d; size_t size; } messages[] = {
    MESSAGE(executor_v1_ExecuteRequest), MESSAGE(executor_v1_StatusResponse), MESSAGE(executor_v1_ListResponse), MESSAGE(executor_v1_CancelRequest),
    MESSAGE(executor_v1_HealthResponse), MESSAGE(kruntimes_runtime_v1_WatchRequest), MESSAGE(kruntimes_runtime_v1_WatchEvent),
    MESSAGE(kruntimes_logs_v1_TailRequest), MESSAGE(kruntimes_logs_v1_TailChunk), MESSAGE(artifact_v1_DownloadRequest), MESSAGE(artifact_v1_DownloadResponse),
    MESSAGE(grpc_health_v1_HealthCheckRequest), MESSAGE(grpc_health_v1_HealthCheckResponse), MESSAGE(grpc_reflection_v1_ServerReflectionRequest),
    MESSAGE(grpc_reflection_v1_ServerReflectionResponse),
};

/* What is accepted is encoded to bytes that mean the same: encoding it once more changes nothing. */
FUZZ_WORDS(messages, "\x0a\1a", "\x10\1", "\x12\2\x0a\0", "\x1a\4\x0a\1k\x12", "\x0b\x0c", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1")
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    AUTO_BUF struct buf once = { .max = 1 << 22 }, twice = { .max = 1 << 22 };
    struct kr_err e = { 0 };
    unsigned i = fuzz_pick(&in, LEN(messages));
    void *m = arena_alloc(&a, messages[i].size);
    if (pb_from_bytes(messages[i].d, m, in, &a, &e) < 0)
        return;
    DEMAND(pb_to_bytes(messages[i].d, m, &once, &e) == 0);
    DEMAND(pb_from_bytes(messages[i].d, m, buf_view(&once), &a, &e) == 0 || a.over);
    if (a.over)
        return;
    DEMAND(pb_to_bytes(messages[i].d, m, &twice, &e) == 0 && str_eq(buf_view(&once), buf_view(&twice)));
}
