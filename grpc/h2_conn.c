/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_conn: a connection from its preface to its end. Input is kept until a frame is whole; one call of h2_next handles
 * frames until one of them has made an event. Streams live in a hash by number and vanish when both ends are over; what
 * their users had not consumed then counts as consumed, so that no window of the connection is ever lost.
 * Tests: tests/unit/grpc/h2.c, h2_errors.c
 */
#include "grpc/h2_conn.h"

enum { BURST = 1000, REFILL_US = 30000 };        /* 33 a second */
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

void h2_put_u32(struct buf *b, uint32_t v)
{
    char p[4] = { (char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v };
    buf_add(b, p, 4);
}

uint32_t h2_u32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

void h2_frame_head(struct buf *b, size_t n, unsigned type, unsigned flags, uint32_t stream)
{
    char p[FRAME_HEAD] = { (char)(n >> 16), (char)(n >> 8), (char)n, (char)type, (char)flags,
                           (char)(stream >> 24), (char)(stream >> 16), (char)(stream >> 8), (char)stream };
    buf_add(b, p, sizeof p);
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static size_t slot(const struct h2 *c, uint32_t id) { return (id >> 1) * 2654435761u & (c->cap - 1); }

struct h2_stream *h2_find(const struct h2 *c, uint32_t id)
{
    struct h2_stream *s = c->cap ? c->table[slot(c, id)] : NULL;
    while (s && s->id != id)
        s = s->hash_next;
    return s;
}

static void grow(struct h2 *c)
{
    size_t old = c->cap;
    struct h2_stream **was = c->table;
    c->cap = old ? old * 2 : 16;
    c->table = xcalloc(c->cap, sizeof *c->table);
    for (size_t i = 0; i < old; i++)
        for (struct h2_stream *s = was[i], *next; s; s = next) {
            next = s->hash_next;
            s->hash_next = c->table[slot(c, s->id)];
            c->table[slot(c, s->id)] = s;
        }
    free(was);
}

struct h2_stream *h2_stream_new(struct h2 *c, uint32_t id, bool by_peer)
{
    if (c->n >= c->cap)
        grow(c);
    struct h2_stream *s = xblock(sizeof *s);
    *s = (struct h2_stream){ .id = id, .send_window = c->peer_initial, .recv_window = c->our_initial, .content_length = -1,
                             .out = { .max = LIMIT_H2_STREAM_QUEUE }, .trailers = { .max = LIMIT_H2_HEADER_LIST },
                             .hash_next = c->table[slot(c, id)] };
    c->table[slot(c, id)] = s;
    c->n++;
    if (by_peer)
        c->peer_streams++;
    else
        c->local_streams++;
    return s;
}

void h2_stream_free(struct h2 *c, struct h2_stream *s)
{
    struct h2_stream **at = &c->table[slot(c, s->id)];
    while (*at != s)
        at = &(*at)->hash_next;
    *at = s->hash_next;
    c->n--;
    if (h2_is_peers(c, s->id))
        c->peer_streams--;
    else
        c->local_streams--;
    if (s->ready) {
        struct h2_stream **r = &c->ready_head;
        while (*r != s)
            r = &(*r)->ready_next;
        *r = s->ready_next;
        if (!s->ready_next)
            c->ready_tail = r;
    }
    if (s->unconsumed && !c->dead)
        h2_return_window(c, NULL, s->unconsumed);
    c->queued -= s->out.n - s->out_at;
    buf_free(&s->out);
    buf_free(&s->trailers);
    xblock_free(s, sizeof *s);
}

void h2_maybe_closed(struct h2 *c, struct h2_stream *s)
{
    if (!s->ended_local || !s->ended_remote)
        return;
    h2_event_add(c, (struct h2_event){ .type = H2_CLOSED, .stream = s->id, .user = s->user });
    h2_stream_free(c, s);
}

struct h2_reset *h2_was_reset(struct h2 *c, uint32_t id)
{
    for (size_t i = 0; i < LEN(c->reset); i++)
        if (c->reset[i].id == id)
            return &c->reset[i];
    return NULL;
}

static void put_reset(struct h2 *c, uint32_t id, const struct h2_stream *s, enum h2_code code)
{
    h2_frame_head(&c->out, 4, FRAME_RST_STREAM, 0, id);
    h2_put_u32(&c->out, code);
    c->reset[c->reset_n++ % LEN(c->reset)] = (struct h2_reset){ id, s ? s->recv_window : c->our_initial };
}

void h2_stream_fail(struct h2 *c, uint32_t id, enum h2_code code)
{
    struct h2_stream *s = h2_find(c, id);
    put_reset(c, id, s, code);
    if (s) {
        if (s->head_seen || !h2_is_peers(c, id))             /* a request that was never shown goes unseen */
            h2_event_add(c, (struct h2_event){ .type = H2_RESET, .stream = id, .user = s->user, .code = code });
        h2_stream_free(c, s);
    }
    h2_spend(c, 1);
}

/* Who resets a stream may free what its user pointer means: what is queued for it must not come any more. */
static void drop_events(struct h2 *c, uint32_t id)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->ev_n; i++) {
        struct h2_event ev = c->events[(c->ev_first + i) % c->ev_cap];
        if (ev.stream != id)
            c->events[(c->ev_first + kept++) % c->ev_cap] = ev;
    }
    c->ev_n = kept;
}

void h2_reset(struct h2 *c, uint32_t id, enum h2_code code)
{
    struct h2_stream *s = h2_find(c, id);
    drop_events(c, id);
    if (!s || c->dead)
        return;
    put_reset(c, id, s, code);
    h2_stream_free(c, s);
}

/* ---- errors and budgets ------------------------------------------------------------------------------------------ */

/* The number never grows: what was told not to be answered may have been sent again elsewhere. */
static void put_goaway(struct h2 *c, uint32_t last, enum h2_code code, const char *text)
{
    if (last < c->goaway_told)
        c->goaway_told = last;
    h2_frame_head(&c->out, 8 + strlen(text), FRAME_GOAWAY, 0, 0);
    h2_put_u32(&c->out, c->goaway_told);
    h2_put_u32(&c->out, code);
    buf_lit(&c->out, text);
}

void h2_die(struct h2 *c, enum h2_code code, const char *text)
{
    put_goaway(c, c->last_peer, code, text);
    h2_event_add(c, (struct h2_event){ .type = H2_DEAD, .code = code, .text = text });
    c->dead = true;
}

bool h2_spend(struct h2 *c, unsigned tokens)
{
    int64_t floor = c->now_us - (int64_t)BURST * REFILL_US;
    if (c->budget_us < floor)
        c->budget_us = floor;
    c->budget_us += (int64_t)tokens * REFILL_US;
    if (c->budget_us <= c->now_us && c->out.n < LIMIT_H2_CONTROL)
        return true;
    h2_die(c, H2_ENHANCE_YOUR_CALM, "too many resets, control or empty frames");
    return false;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void put_setting(struct buf *b, unsigned id, uint32_t value)
{
    char p[2] = { (char)(id >> 8), (char)id };
    buf_add(b, p, 2);
    h2_put_u32(b, value);
}

static void put_first_frames(struct h2 *c, uint32_t streams, uint32_t window)
{
    AUTO_BUF struct buf s = { .max = 256 };
    if (c->role == H2_CLIENT) {
        buf_lit(&c->out, preface);
        put_setting(&s, 2, 0);                   /* ENABLE_PUSH */
    } else {
        put_setting(&s, 3, streams);             /* MAX_CONCURRENT_STREAMS */
    }
    put_setting(&s, 4, window);                  /* INITIAL_WINDOW_SIZE */
    put_setting(&s, 6, LIMIT_H2_HEADER_LIST);    /* MAX_HEADER_LIST_SIZE */
    h2_frame_head(&c->out, s.n, FRAME_SETTINGS, 0, 0);
    buf_str(&c->out, buf_view(&s));
    if (c->conn_window > WINDOW_0) {
        h2_frame_head(&c->out, 4, FRAME_WINDOW_UPDATE, 0, 0);
        h2_put_u32(&c->out, (uint32_t)(c->conn_window - WINDOW_0));
    }
}

struct h2 *h2_new(const struct h2_config *config)
{
    struct h2 *c = xcalloc(1, sizeof *c);
    bool client = config->role == H2_CLIENT;
    uint32_t window = config->stream_window ? config->stream_window : client ? 1048576 : 262144;
    uint32_t whole = config->connection_window ? config->connection_window : client ? 16777216 : 4194304;
    *c = (struct h2){ .role = config->role, .in = { .max = LIMIT_H2_INPUT }, .out = { .max = SIZE_MAX / 2 }, .next_local = client ? 1 : 2,
                      .max_peer = config->max_streams ? config->max_streams : LIMIT_H2_STREAMS, .our_max = 100, .send_window = WINDOW_0,
                      .peer_initial = WINDOW_0, .our_initial = window > WINDOW_0 ? window : WINDOW_0, .initial_wanted = window,
                      .peer_max_frame = MAX_FRAME, .block = { .max = LIMIT_H2_HEADER_BLOCK }, .goaway_last = STREAM_MAX, .goaway_told = STREAM_MAX };
    c->conn_window = whole > WINDOW_0 ? whole : WINDOW_0;
    c->recv_window = c->conn_window;
    c->ready_tail = &c->ready_head;
    c->preface_left = client ? 0 : sizeof preface - 1;
    c->budget_us = INT64_MIN / 2;
    hpack_decoder_init(&c->decoder);
    hpack_encoder_init(&c->encoder);
    put_first_frames(c, c->max_peer, window);
    return c;
}

void h2_free(struct h2 *c)
{
    if (!c)
        return;
    c->dead = true;
    for (size_t i = 0; i < c->cap; i++)
        while (c->table[i])
            h2_stream_free(c, c->table[i]);
    hpack_decoder_free(&c->decoder);
    hpack_encoder_free(&c->encoder);
    free(c->table);
    free(c->events);
    buf_free(&c->in);
    buf_free(&c->out);
    buf_free(&c->block);
    free(c);
}

/* ---- input ------------------------------------------------------------------------------------------------------- */

void h2_event_add(struct h2 *c, struct h2_event ev)
{
    if (c->ev_n == c->ev_cap) {
        size_t cap = c->ev_cap ? c->ev_cap * 2 : 8;
        struct h2_event *v = xmalloc(cap * sizeof *v);
        for (size_t i = 0; i < c->ev_n; i++)
            v[i] = c->events[(c->ev_first + i) % c->ev_cap];
        free(c->events);
        c->events = v;
        c->ev_cap = cap;
        c->ev_first = 0;
    }
    c->events[(c->ev_first + c->ev_n++) % c->ev_cap] = ev;
}

enum { SETTINGS_ACK_US = 10000000 };

/* RFC 9113 section 6.5.3. A peer that is silent altogether is its owner's to notice; and the input that comes after the time
 * may hold the ACK, when it is us who were late to read: the one after that decides. */
static void await_settings_ack(struct h2 *c)
{
    if (!c->settings_at_us)
        c->settings_at_us = c->now_us;
    if (c->settings_late && !c->settings_held)
        h2_die(c, H2_SETTINGS_TIMEOUT, "SETTINGS were not acknowledged");
    c->settings_late = c->now_us - c->settings_at_us > SETTINGS_ACK_US;
}

void h2_feed(struct h2 *c, struct str in, int64_t now_us)
{
    c->now_us = now_us;
    if (c->dead)
        return;
    await_settings_ack(c);
    if (c->dead)
        return;
    if (c->in_at) {
        buf_drop(&c->in, c->in_at);
        c->in_at = 0;
    }
    buf_str(&c->in, in);
    if (c->in.failed)
        h2_die(c, H2_INTERNAL_ERROR, "too much input at a time");
}

static bool take_preface(struct h2 *c)
{
    size_t n = c->in.n - c->in_at, want = c->preface_left;
    const char *expect = preface + sizeof preface - 1 - want;
    if (n > want)
        n = want;
    if (memcmp(c->in.p + c->in_at, expect, n) != 0) {
        h2_die(c, H2_PROTOCOL_ERROR, "this is no HTTP/2 client preface");
        return false;
    }
    c->in_at += n;
    c->preface_left -= n;
    return c->preface_left == 0;
}

/* Handles one frame when it is whole. */
static bool take_frame(struct h2 *c)
{
    if (c->in.n == c->in_at || (c->preface_left && !take_preface(c)))
        return false;
    size_t left = c->in.n - c->in_at;
    const char *p = c->in.p + c->in_at;
    if (left < FRAME_HEAD)
        return false;
    size_t n = (size_t)(unsigned char)p[0] << 16 | (size_t)(unsigned char)p[1] << 8 | (unsigned char)p[2];
    struct frame f = { (unsigned char)p[3], (unsigned char)p[4], h2_u32(p + 5) & STREAM_MAX, { p + FRAME_HEAD, n } };
    if (n > MAX_FRAME) {
        h2_die(c, H2_FRAME_SIZE_ERROR, "the frame is larger than SETTINGS_MAX_FRAME_SIZE");
        return false;
    }
    if (left < FRAME_HEAD + n)
        return false;
    c->in_at += FRAME_HEAD + n;
    if (!c->settings_seen && (f.type != FRAME_SETTINGS || f.flags & FLAG_ACK)) {
        h2_die(c, H2_PROTOCOL_ERROR, "the first frame must be SETTINGS");
        return false;
    }
    h2_receive(c, &f);
    return true;
}

bool h2_next(struct h2 *c, struct h2_event *ev)
{
    while (!c->ev_n && !c->dead && take_frame(c))
        continue;
    if (!c->ev_n)
        return false;
    *ev = c->events[c->ev_first];
    c->ev_first = (c->ev_first + 1) % c->ev_cap;
    c->ev_n--;
    return true;
}

bool h2_is_done(const struct h2 *c)
{
    if (c->out.n)
        return false;
    return c->dead || ((c->goaway_final || c->goaway_seen) && !c->n);
}

void h2_goaway(struct h2 *c, enum h2_code code, bool final)
{
    if (c->dead || c->goaway_final)
        return;
    put_goaway(c, final ? c->last_peer : STREAM_MAX, code, "");
    c->goaway_sent = true;
    c->goaway_final = final;
}

void h2_ping(struct h2 *c, uint64_t opaque)
{
    if (c->dead)
        return;
    h2_frame_head(&c->out, 8, FRAME_PING, 0, 0);
    h2_put_u32(&c->out, (uint32_t)(opaque >> 32));
    h2_put_u32(&c->out, (uint32_t)opaque);
}

bool h2_has_begun(const struct h2 *c) { return c->settings_seen; }
size_t h2_streams(const struct h2 *c) { return c->n; }

void h2_set_user(struct h2 *c, uint32_t id, void *user)
{
    struct h2_stream *s = h2_find(c, id);
    if (s)
        s->user = user;
    for (size_t i = 0; i < c->ev_n; i++) {           /* events that are already queued follow */
        struct h2_event *ev = &c->events[(c->ev_first + i) % c->ev_cap];
        if (ev->stream == id)
            ev->user = user;
    }
}

void *h2_user(const struct h2 *c, uint32_t id)
{
    struct h2_stream *s = h2_find(c, id);
    return s ? s->user : NULL;
}
