/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_receive: what each frame does (RFC 9113 section 6), and to streams in which state (section 5.1). A frame that breaks a
 * rule ends its stream or the connection as the RFC says, and costs tokens of the budget. What may just have crossed our
 * RST_STREAM on its way costs none, nor does PING, which gRPC sends with every round trip of data: its answers are bounded by
 * the output that waits. Tests: tests/unit/grpc/h2.c, h2_errors.c
 */
#include "grpc/h2_conn.h"

/* ---- states ------------------------------------------------------------------------------------------------------ */

static bool is_idle(const struct h2 *c, uint32_t id) { return h2_is_peers(c, id) ? id > c->last_peer : id >= c->next_local; }

/* Padding (section 6.1): cuts it off; false after the connection was ended. */
static bool unpad(struct h2 *c, const struct frame *f, struct str *payload)
{
    *payload = f->payload;
    if (!(f->flags & FLAG_PADDED))
        return true;
    if (!payload->n || (unsigned char)payload->p[0] >= payload->n) {
        h2_die(c, payload->n ? H2_PROTOCOL_ERROR : H2_FRAME_SIZE_ERROR, "the padding is longer than the frame");
        return false;
    }
    size_t pad = (unsigned char)payload->p[0];
    *payload = (struct str){ payload->p + 1, payload->n - 1 - pad };
    return true;
}

static bool length_agrees(const struct h2_stream *s)
{
    return s->content_length < 0 || s->received == s->content_length;
}

static void peer_ended(struct h2 *c, struct h2_stream *s)
{
    s->ended_remote = true;
    h2_maybe_closed(c, s);
}

/* ---- DATA -------------------------------------------------------------------------------------------------------- */

/* A stream that is gone: did we end it, so that what still comes may have been on its way? A client ends every stream it
 * gives up, and of its own numbers no harm can come. */
static bool may_have_crossed(struct h2 *c, uint32_t id) { return c->role == H2_CLIENT || h2_was_reset(c, id); }

static void on_closed_data(struct h2 *c, const struct frame *f, const struct h2_stream *s)
{
    struct h2_reset *r = s ? NULL : h2_was_reset(c, f->stream);
    h2_return_window(c, NULL, (uint32_t)f->payload.n);
    if (r && (r->window -= (int64_t)f->payload.n) < 0)
        h2_die(c, H2_FLOW_CONTROL_ERROR, "more DATA than the window of a stream that was reset");
    else if (!s && may_have_crossed(c, f->stream))
        h2_spend(c, f->payload.n == 0);
    else
        h2_stream_fail(c, f->stream, H2_STREAM_CLOSED);
}

static void on_data(struct h2 *c, const struct frame *f)
{
    struct str data;
    struct h2_stream *s = h2_find(c, f->stream);
    if (!f->stream || is_idle(c, f->stream)) {
        h2_die(c, H2_PROTOCOL_ERROR, "DATA on an idle stream");
        return;
    }
    if (!unpad(c, f, &data))
        return;
    c->recv_window -= (int64_t)f->payload.n;
    if (c->recv_window < 0) {
        h2_die(c, H2_FLOW_CONTROL_ERROR, "more DATA than the connection's window");
        return;
    }
    if (!s || s->ended_remote) {
        on_closed_data(c, f, s);
        return;
    }
    s->recv_window -= (int64_t)f->payload.n;
    s->received += (int64_t)data.n;
    bool end = f->flags & FLAG_END_STREAM;
    if (s->recv_window < 0) {
        h2_return_window(c, NULL, (uint32_t)f->payload.n);
        h2_stream_fail(c, f->stream, H2_FLOW_CONTROL_ERROR);
        return;
    }
    if (!s->head_seen || (s->content_length >= 0 && s->received > s->content_length) || (end && !length_agrees(s))) {
        h2_return_window(c, NULL, (uint32_t)f->payload.n);
        h2_stream_fail(c, f->stream, H2_PROTOCOL_ERROR);
        return;
    }
    if (f->payload.n > data.n)
        h2_return_window(c, s, (uint32_t)(f->payload.n - data.n));
    if (!data.n && !end && !h2_spend(c, 1))
        return;
    s->unconsumed += (uint32_t)data.n;
    if (data.n || end)
        h2_event_add(c, (struct h2_event){ .type = H2_DATA, .stream = s->id, .user = s->user, .data = data, .end = end });
    if (end)
        peer_ended(c, s);
}

/* ---- HEADERS ----------------------------------------------------------------------------------------------------- */

/* Few bytes may stand for a large list. Answers that nobody waits for any more are decoded all the same, and small ones cost what
 * their bytes do. */
enum { MUCH_TO_DECODE = 4096 };

/* The stream a block belongs to; NULL when it is to be passed over (the block was decoded all the same). */
static struct h2_stream *stream_for_block(struct h2 *c, uint32_t id)
{
    struct h2_stream *s = h2_find(c, id);
    if (s && s->ended_remote) {
        h2_stream_fail(c, id, H2_STREAM_CLOSED);
        return NULL;
    }
    if (s)
        return s;
    if (!is_idle(c, id)) {
        if (may_have_crossed(c, id))
            h2_spend(c, c->role == H2_SERVER || c->decoder.size > MUCH_TO_DECODE);
        else
            h2_die(c, H2_STREAM_CLOSED, "HEADERS on a closed stream");
        return NULL;
    }
    if (c->role == H2_CLIENT || !h2_is_peers(c, id)) {
        h2_die(c, H2_PROTOCOL_ERROR, "the peer opened a stream with a number that isn't its own");
        return NULL;
    }
    c->last_peer = id;
    if (c->peer_streams >= c->max_peer || c->goaway_final || c->out.n > LIMIT_H2_OUTPUT || h2_is_full(c)) {
        h2_stream_fail(c, id, H2_REFUSED_STREAM);
        return NULL;
    }
    return h2_stream_new(c, id, true);
}

/* Of fields that are a response's: `:status` of three digits is the first. */
static bool is_informational(struct http_fields f) { return f.v[0].value.p[0] == '1'; }

static void on_block(struct h2 *c)
{
    struct http_fields fields;
    bool end = c->block_end;
    enum hpack_result r = hpack_decode(&c->decoder, buf_view(&c->block), &fields);
    buf_clear(&c->block);
    c->in_block = false;
    if (r == HPACK_BROKEN) {
        h2_die(c, H2_COMPRESSION_ERROR, "the header block can't be decoded");
        return;
    }
    struct h2_stream *s = stream_for_block(c, c->block_stream);
    if (!s)
        return;
    int kind = s->head_seen ? FIELDS_TRAILERS : c->role == H2_SERVER ? FIELDS_REQUEST : FIELDS_RESPONSE;
    if (r == HPACK_TOO_LARGE) {
        h2_stream_fail(c, s->id, H2_ENHANCE_YOUR_CALM);
        return;
    }
    bool head_request = s->head_request;
    if (!h2_fields_ok(fields, kind, s) || (kind == FIELDS_TRAILERS && !end)) {
        h2_stream_fail(c, s->id, H2_PROTOCOL_ERROR);
        return;
    }
    if (kind == FIELDS_RESPONSE) {
        s->head_request = head_request;
        if (is_informational(fields)) {
            s->content_length = -1;
            if (end || str_is(fields.v[0].value, "101"))     /* section 8.6: no upgrade */
                h2_stream_fail(c, s->id, H2_PROTOCOL_ERROR);
            else if (h2_spend(c, 1))
                h2_event_add(c, (struct h2_event){ .type = H2_INFORMATIONAL, .stream = s->id, .user = s->user, .fields = fields });
            return;
        }
        if (head_request || str_is(fields.v[0].value, "304"))
            s->content_length = -1;              /* it tells what a GET would have had */
    }
    if (end && !length_agrees(s)) {
        h2_stream_fail(c, s->id, H2_PROTOCOL_ERROR);
        return;
    }
    s->head_seen = true;
    h2_event_add(c, (struct h2_event){ .type = kind == FIELDS_TRAILERS ? H2_TRAILERS : H2_HEADERS, .stream = s->id, .user = s->user,
                                       .fields = fields, .end = end });
    if (end)
        peer_ended(c, s);
}

static void add_block(struct h2 *c, struct str part, bool complete)
{
    if (!part.n && !complete && !h2_spend(c, 1))
        return;
    buf_str(&c->block, part);
    if (c->block.failed)
        h2_die(c, H2_ENHANCE_YOUR_CALM, "the header block is too large");
    else if (complete)
        on_block(c);
}

static void on_headers(struct h2 *c, const struct frame *f)
{
    struct str part;
    if (!f->stream) {
        h2_die(c, H2_PROTOCOL_ERROR, "HEADERS without a stream");
        return;
    }
    if (!unpad(c, f, &part))
        return;
    if (f->flags & FLAG_PRIORITY) {
        if (part.n < 5) {
            h2_die(c, H2_FRAME_SIZE_ERROR, "HEADERS too short for its priority");
            return;
        }
        if ((h2_u32(part.p) & STREAM_MAX) == f->stream) {
            h2_die(c, H2_PROTOCOL_ERROR, "a stream depends on itself");
            return;
        }
        part = str_from(part, 5);
    }
    c->in_block = true;
    c->block_stream = f->stream;
    c->block_end = f->flags & FLAG_END_STREAM;
    buf_clear(&c->block);
    add_block(c, part, f->flags & FLAG_END_HEADERS);
}

/* ---- the small frames -------------------------------------------------------------------------------------------- */

static void on_priority(struct h2 *c, const struct frame *f)
{
    if (!f->stream)
        h2_die(c, H2_PROTOCOL_ERROR, "PRIORITY without a stream");
    else if (f->payload.n != 5)
        h2_stream_fail(c, f->stream, H2_FRAME_SIZE_ERROR);
    else if ((h2_u32(f->payload.p) & STREAM_MAX) == f->stream)
        h2_stream_fail(c, f->stream, H2_PROTOCOL_ERROR);
    else
        h2_spend(c, 1);
}

static void on_rst(struct h2 *c, const struct frame *f)
{
    struct h2_stream *s = h2_find(c, f->stream);
    if (f->payload.n != 4) {
        h2_die(c, H2_FRAME_SIZE_ERROR, "RST_STREAM of a wrong size");
    } else if (!f->stream || is_idle(c, f->stream)) {
        h2_die(c, H2_PROTOCOL_ERROR, "RST_STREAM on an idle stream");
    } else if (h2_spend(c, c->role == H2_SERVER) && s) {
        h2_event_add(c, (struct h2_event){ .type = H2_RESET, .stream = s->id, .user = s->user, .code = h2_u32(f->payload.p), .by_peer = true });
        h2_stream_free(c, s);
    }
}

/* Section 6.9.2: the windows of all streams move by the difference; once a frame, however often it names the setting. */
static bool move_windows(struct h2 *c, int64_t by)
{
    for (size_t i = 0; i < c->cap; i++)
        for (struct h2_stream *s = c->table[i]; s; s = s->hash_next) {
            s->send_window += by;
            if (s->send_window > WINDOW_MAX)
                return false;
            h2_make_ready(c, s);
        }
    return true;
}

static bool take_setting(struct h2 *c, unsigned id, uint32_t v)
{
    switch (id) {
    case 1:
        hpack_encoder_limit(&c->encoder, v);
        break;
    case 2:
        if (v > 1 || (v && c->role == H2_CLIENT))
            return h2_die(c, H2_PROTOCOL_ERROR, "a bad SETTINGS_ENABLE_PUSH"), false;
        break;
    case 3:
        c->our_max = v;
        break;
    case 4:
        if (v > WINDOW_MAX)
            return h2_die(c, H2_FLOW_CONTROL_ERROR, "a bad SETTINGS_INITIAL_WINDOW_SIZE"), false;
        c->peer_initial = v;
        break;
    case 5:
        if (v < MAX_FRAME || v > 16777215)
            return h2_die(c, H2_PROTOCOL_ERROR, "a bad SETTINGS_MAX_FRAME_SIZE"), false;
        c->peer_max_frame = v;
        break;
    default:
        break;                                   /* MAX_HEADER_LIST_SIZE is advice; others are to be ignored */
    }
    return true;
}

static void our_settings_hold(struct h2 *c)
{
    int64_t by = c->initial_wanted - c->our_initial;
    c->our_initial = c->initial_wanted;
    for (size_t i = 0; by && i < c->cap; i++)
        for (struct h2_stream *s = c->table[i]; s; s = s->hash_next)
            s->recv_window += by;
}

static void on_settings(struct h2 *c, const struct frame *f)
{
    if (f->stream || (f->flags & FLAG_ACK ? f->payload.n != 0 : f->payload.n % 6 != 0)) {
        h2_die(c, f->stream ? H2_PROTOCOL_ERROR : H2_FRAME_SIZE_ERROR, "a malformed SETTINGS frame");
        return;
    }
    if (f->flags & FLAG_ACK) {
        c->settings_held = true;
        our_settings_hold(c);
        return;
    }
    if (!c->settings_seen)
        c->our_max = UINT32_MAX;                 /* until now a guess; unlimited where it isn't said */
    else if (!h2_spend(c, 1))
        return;
    c->settings_seen = true;
    int64_t initial = c->peer_initial;
    for (size_t i = 0; i < f->payload.n; i += 6) {
        const unsigned char *p = (const unsigned char *)f->payload.p + i;
        if (!take_setting(c, (unsigned)p[0] << 8 | p[1], h2_u32(f->payload.p + i + 2)))
            return;
    }
    if (initial != c->peer_initial && !move_windows(c, c->peer_initial - initial)) {
        h2_die(c, H2_FLOW_CONTROL_ERROR, "a window grew beyond 2^31-1");
        return;
    }
    h2_frame_head(&c->out, 0, FRAME_SETTINGS, FLAG_ACK, 0);
    h2_event_add(c, (struct h2_event){ .type = H2_PEER_SETTINGS });
}

static void on_ping(struct h2 *c, const struct frame *f)
{
    if (f->stream || f->payload.n != 8) {
        h2_die(c, f->stream ? H2_PROTOCOL_ERROR : H2_FRAME_SIZE_ERROR, "a malformed PING frame");
        return;
    }
    if (f->flags & FLAG_ACK) {
        uint64_t opaque = (uint64_t)h2_u32(f->payload.p) << 32 | h2_u32(f->payload.p + 4);
        h2_event_add(c, (struct h2_event){ .type = H2_PONG, .opaque = opaque });
    } else if (h2_spend(c, 0)) {
        h2_frame_head(&c->out, 8, FRAME_PING, FLAG_ACK, 0);
        buf_str(&c->out, f->payload);
    }
}

static void on_goaway(struct h2 *c, const struct frame *f)
{
    if (f->stream || f->payload.n < 8) {
        h2_die(c, f->stream ? H2_PROTOCOL_ERROR : H2_FRAME_SIZE_ERROR, "a malformed GOAWAY frame");
        return;
    }
    if (!h2_spend(c, 1))                         /* all streams are looked at */
        return;
    uint32_t last = h2_u32(f->payload.p) & STREAM_MAX;
    c->goaway_seen = true;
    if (last < c->goaway_last)
        c->goaway_last = last;
    h2_event_add(c, (struct h2_event){ .type = H2_GOAWAY_SEEN, .last = last, .code = h2_u32(f->payload.p + 4) });
    for (size_t i = 0; i < c->cap; i++)
        for (struct h2_stream *s = c->table[i], *next; s; s = next) {
            next = s->hash_next;
            if (h2_is_peers(c, s->id) || s->id <= last)
                continue;
            h2_event_add(c, (struct h2_event){ .type = H2_RESET, .stream = s->id, .user = s->user, .code = H2_REFUSED_STREAM, .by_peer = true });
            h2_stream_free(c, s);
        }
}

static void on_window(struct h2 *c, const struct frame *f)
{
    if (f->payload.n != 4) {
        h2_die(c, H2_FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size");
        return;
    }
    uint32_t by = h2_u32(f->payload.p) & STREAM_MAX;
    if (!f->stream) {
        c->send_window += by;
        if (!by || c->send_window > WINDOW_MAX)
            h2_die(c, by ? H2_FLOW_CONTROL_ERROR : H2_PROTOCOL_ERROR, "a bad WINDOW_UPDATE");
        return;
    }
    struct h2_stream *s = h2_find(c, f->stream);
    if (is_idle(c, f->stream)) {
        h2_die(c, H2_PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream");
    } else if (s) {
        s->send_window += by;
        if (!by || s->send_window > WINDOW_MAX)
            h2_stream_fail(c, f->stream, by ? H2_FLOW_CONTROL_ERROR : H2_PROTOCOL_ERROR);
        else
            h2_make_ready(c, s);
    }
}

void h2_receive(struct h2 *c, const struct frame *f)
{
    if (c->in_block && (f->type != FRAME_CONTINUATION || f->stream != c->block_stream)) {
        h2_die(c, H2_PROTOCOL_ERROR, "a header block was not continued");
        return;
    }
    switch (f->type) {
    case FRAME_DATA: on_data(c, f); break;
    case FRAME_HEADERS: on_headers(c, f); break;
    case FRAME_PRIORITY: on_priority(c, f); break;
    case FRAME_RST_STREAM: on_rst(c, f); break;
    case FRAME_SETTINGS: on_settings(c, f); break;
    case FRAME_PUSH_PROMISE: h2_die(c, H2_PROTOCOL_ERROR, "PUSH_PROMISE was not asked for"); break;
    case FRAME_PING: on_ping(c, f); break;
    case FRAME_GOAWAY: on_goaway(c, f); break;
    case FRAME_WINDOW_UPDATE: on_window(c, f); break;
    case FRAME_CONTINUATION:
        if (c->in_block)
            add_block(c, f->payload, f->flags & FLAG_END_HEADERS);
        else
            h2_die(c, H2_PROTOCOL_ERROR, "CONTINUATION without HEADERS");
        break;
    default:
        h2_spend(c, 1);                          /* unknown types are passed over (section 4.1) */
        break;
    }
}
