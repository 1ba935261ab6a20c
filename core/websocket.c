/* SPDX-License-Identifier: Apache-2.0 */
/*
 * websocket: RFC 6455 frames, sans-IO.
 *
 * The one idea: a frame's head is collected byte by byte until its length is known, then its payload is unmasked straight
 * into the message (or control) buffer, so input may be cut anywhere and nothing is held twice.
 *
 * SHA-1 is here because the handshake asks for it and nothing else in the tree may use it; it guards nothing.
 * Not here: extensions (permessage-deflate) and the HTTP side of the handshake, which belongs to who speaks HTTP.
 */
#include "core/websocket.h"
#include "core/base64.h"

enum { CONTROL_MAX = 125 };

void ws_init(struct ws *w, enum ws_role role, struct rnd *rnd)
{
    *w = (struct ws){ .role = role, .rnd = rnd, .message = { .max = LIMIT_WS_MESSAGE }, .control = { .max = CONTROL_MAX } };
}

void ws_free(struct ws *w)
{
    buf_free(&w->message);
    buf_free(&w->control);
}

/* ---- in ---- */
static int fail(struct ws *w, int code, const char *what, struct kr_err *e)
{
    w->fail_code = code;
    return kr_fail(e, code == 1009 ? KR_TOO_LARGE : KR_PROTOCOL, "websocket: %s", what);
}

static bool is_control(enum ws_kind k) { return k >= WS_CLOSE; }

/* How long the head is, as far as can be said from what is there. */
static size_t head_size(const struct ws *w)
{
    if (w->head_n < 2) return 2;
    int len = w->head[1] & 0x7F;
    return 2 + (len == 126 ? 2 : len == 127 ? 8 : 0) + (w->head[1] & 0x80 ? 4 : 0);
}

/* The first two bytes say enough to refuse most of what is wrong (5.2). */
static int check_head(struct ws *w, struct kr_err *e)
{
    int op = w->head[0] & 15, len = w->head[1] & 0x7F;
    bool masked = w->head[1] & 0x80;
    w->fin = w->head[0] & 0x80;
    w->opcode = (enum ws_kind)op;
    if (w->head[0] & 0x70) return fail(w, 1002, "a reserved bit is set, but no extension was agreed on", e);
    if (op > WS_PONG || (op > WS_BINARY && op < WS_CLOSE)) return fail(w, 1002, "unknown kind of frame", e);
    if (masked != (w->role == WS_SERVER))
        return fail(w, 1002, masked ? "the server masked a frame" : "the client did not mask a frame", e);
    if (is_control(w->opcode) && !w->fin) return fail(w, 1002, "a control frame in fragments", e);
    if (is_control(w->opcode) && len > CONTROL_MAX) return fail(w, 1002, "a control frame of more than 125 bytes", e);
    if (!op && !w->message_kind) return fail(w, 1002, "a continuation of nothing", e);
    if (op && !is_control(w->opcode) && w->message_kind) return fail(w, 1002, "a new message within another", e);
    return 0;
}

static int begin_payload(struct ws *w, struct kr_err *e)
{
    int len = w->head[1] & 0x7F, bytes = len == 126 ? 2 : len == 127 ? 8 : 0;
    uint64_t n = bytes ? 0 : (uint64_t)len;
    for (int i = 0; i < bytes; i++) n = n << 8 | w->head[2 + i];
    if ((bytes == 2 && n < 126) || (bytes == 8 && (n <= 0xFFFF || n >> 63)))
        return fail(w, 1002, "a length that is not in its shortest form", e);
    if (!is_control(w->opcode) && n > w->message.max - w->message.n) return fail(w, 1009, "the message is too large", e);
    memset(w->mask, 0, sizeof w->mask);
    if (w->role == WS_SERVER) memcpy(w->mask, w->head + 2 + bytes, 4);
    if (!is_control(w->opcode) && w->opcode) w->message_kind = w->opcode;
    w->left = n;
    w->masked = 0;
    w->in_payload = true;
    w->head_n = 0;
    return 0;
}

static int take_head(struct ws *w, struct str *in, struct kr_err *e)
{
    while (in->n && w->head_n < head_size(w)) {
        w->head[w->head_n++] = (unsigned char)*in->p;
        *in = str_from(*in, 1);
        if (w->head_n == 2 && check_head(w, e) < 0) return -1;
    }
    return w->head_n == head_size(w) ? begin_payload(w, e) : 0;
}

static void take_payload(struct ws *w, struct str *in)
{
    struct buf *b = is_control(w->opcode) ? &w->control : &w->message;
    size_t n = in->n < w->left ? in->n : (size_t)w->left;
    char *to = buf_room(b, n);
    if (!to) return;            /* can't be: begin_payload has looked */
    for (size_t i = 0; i < n; i++) to[i] = (char)((unsigned char)in->p[i] ^ w->mask[(w->masked + i) & 3]);
    b->n += n;
    w->masked += n;
    w->left -= n;
    *in = str_from(*in, n);
}

/* 7.4: which codes may be in a frame. */
static bool code_ok(int c) { return (c >= 1000 && c <= 1014 && c != 1004 && c != 1005 && c != 1006) || (c >= 3000 && c <= 4999); }

static int close_event(struct ws *w, struct ws_event *ev, struct kr_err *e)
{
    struct str data = buf_view(&w->control);
    int code = 1005;
    if (data.n == 1) return fail(w, 1002, "a close frame with half a code", e);
    if (data.n) code = (unsigned char)data.p[0] << 8 | (unsigned char)data.p[1];
    if (data.n && !code_ok(code)) return fail(w, 1002, "a close code that is not for frames", e);
    data = data.n ? str_from(data, 2) : data;
    if (!str_utf8(data)) return fail(w, 1007, "a close reason that is not UTF-8", e);
    *ev = (struct ws_event){ WS_CLOSE, code, data };
    w->close_got = true;
    return 0;
}

/* A frame is complete. */
static int end_frame(struct ws *w, struct ws_event *ev, struct kr_err *e)
{
    w->in_payload = false;
    if (w->opcode == WS_CLOSE) return close_event(w, ev, e);
    if (is_control(w->opcode)) {
        *ev = (struct ws_event){ w->opcode, 0, buf_view(&w->control) };
        return 0;
    }
    if (!w->fin) return 0;
    struct str data = buf_view(&w->message);
    if (w->message_kind == WS_TEXT && !str_utf8(data)) return fail(w, 1007, "a text that is not UTF-8", e);
    *ev = (struct ws_event){ w->message_kind, 0, data };
    w->message_kind = WS_NOTHING;
    w->deliver = true;
    return 0;
}

int ws_take(struct ws *w, struct str *bytes, struct ws_event *ev, struct kr_err *e)
{
    *ev = (struct ws_event){ WS_NOTHING, 0, S("") };
    if (w->fail_code) return kr_fail(e, KR_PROTOCOL, "websocket: the connection has failed before");
    if (w->deliver) buf_clear(&w->message);
    w->deliver = false;
    if (!w->in_payload) buf_clear(&w->control);
    while (ev->kind == WS_NOTHING && !w->close_got && bytes->n) {
        if (!w->in_payload && take_head(w, bytes, e) < 0) return -1;
        if (!w->in_payload) continue;
        take_payload(w, bytes);
        if (!w->left && end_frame(w, ev, e) < 0) return -1;
    }
    if (w->close_got) *bytes = str_from(*bytes, bytes->n);
    return 0;
}

/* ---- out ---- */
static void put_frame(struct ws *w, struct buf *out, enum ws_kind kind, struct str data)
{
    unsigned char head[14] = { (unsigned char)(0x80 | kind) }, mask[4] = { 0 };
    size_t n = 2;
    int bytes = data.n < 126 ? 0 : data.n <= 0xFFFF ? 2 : 8;
    head[1] = (unsigned char)(bytes == 0 ? data.n : bytes == 2 ? 126 : 127);
    for (int i = bytes - 1; i >= 0; i--) head[n++] = (unsigned char)((uint64_t)data.n >> 8 * i);
    if (w->role == WS_CLIENT) {
        uint64_t r = rnd_u64(w->rnd) >> 32;
        for (int i = 0; i < 4; i++) head[n++] = mask[i] = (unsigned char)(r >> 8 * i);
        head[1] |= 0x80;
    }
    char *to = buf_room(out, n + data.n);
    if (!to) return;
    memcpy(to, head, n);
    for (size_t i = 0; i < data.n; i++) to[n + i] = (char)((unsigned char)data.p[i] ^ mask[i & 3]);
    out->n += n + data.n;
    out->p[out->n] = 0;
}

void ws_put(struct ws *w, struct buf *out, enum ws_kind kind, struct str data)
{
    if (w->close_sent || kind == WS_CLOSE || kind == WS_NOTHING) return;
    if (is_control(kind) && data.n > CONTROL_MAX) out->failed = true;
    else put_frame(w, out, kind, data);
}

void ws_put_close(struct ws *w, struct buf *out, int code, struct str reason)
{
    char data[CONTROL_MAX] = { (char)(code >> 8), (char)code };
    size_t n = str_rune_cut(reason, CONTROL_MAX - 2);
    if (w->close_sent) return;
    if (n) memcpy(data + 2, reason.p, n);
    put_frame(w, out, WS_CLOSE, code == 1005 ? S("") : (struct str){ data, n + 2 });
    w->close_sent = true;
}

/* ---- SHA-1 (RFC 3174), for inputs of at most 119 bytes ---- */
static uint32_t rotate(uint32_t x, int n) { return x << n | x >> (32 - n); }

static void sha1_block(uint32_t h[5], const unsigned char *p)
{
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], f = h[4];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t mix = i < 20 ? ((b & c) | (~b & d)) + 0x5A827999u : i < 40 ? (b ^ c ^ d) + 0x6ED9EBA1u
                     : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDCu : (b ^ c ^ d) + 0xCA62C1D6u;
        uint32_t t = rotate(a, 5) + mix + f + w[i];
        f = d, d = c, c = rotate(b, 30), b = a, a = t;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += f;
}

static void sha1(struct str in, char out[20])
{
    uint32_t h[5] = { 0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u, 0xC3D2E1F0u };
    unsigned char padded[128] = { 0 };
    size_t n = in.n < 56 ? 64 : 128;
    memcpy(padded, in.p, in.n);
    padded[in.n] = 0x80;
    padded[n - 2] = (unsigned char)(in.n * 8 >> 8);
    padded[n - 1] = (unsigned char)(in.n * 8);
    for (size_t i = 0; i < n; i += 64) sha1_block(h, padded + i);
    for (int i = 0; i < 20; i++) out[i] = (char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

/* ---- handshake ---- */
static void text_of(struct str bytes, char *out, size_t size)
{
    AUTO_ARENA struct arena a = { .limit = 1024 };
    struct str text = base64_encode(&a, BASE64_STD, bytes);
    if (text.n >= size) abort();
    memcpy(out, text.p, text.n);
    out[text.n] = 0;
}

void ws_key(struct rnd *rnd, char out[WS_KEY_TEXT])
{
    uint64_t r[2] = { rnd_u64(rnd), rnd_u64(rnd) };
    text_of((struct str){ (char *)r, sizeof r }, out, WS_KEY_TEXT);
}

bool ws_key_ok(struct str key)
{
    AUTO_ARENA struct arena a = { .limit = 1024 };
    struct kr_err e;
    struct str bytes;
    return key.n == WS_KEY_TEXT - 1 && base64_decode(&a, BASE64_STD, key, &bytes, &e) == 0 && bytes.n == 16;
}

void ws_accept(struct str key, char out[WS_ACCEPT_TEXT])
{
    AUTO_BUF struct buf b = { .max = 119 };
    char digest[20];
    buf_str(&b, str_trim(key));
    buf_lit(&b, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    sha1(buf_view(&b), digest);
    text_of((struct str){ digest, sizeof digest }, out, WS_ACCEPT_TEXT);
}
