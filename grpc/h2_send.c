/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_send: what users want sent. Header blocks go out at once (the compression state is the connection's, so their order
 * is their moment); data waits in its stream and is cut into frames by turns when the output has room, as far as both
 * windows allow. Trailers wait behind the data. A stream whose end needs no window passes those that wait for the
 * connection's. Tests: tests/unit/grpc/h2.c
 */
#include "grpc/h2_conn.h"

static size_t queued(const struct h2_stream *s) { return s->out.n - s->out_at; }

static void put_block(struct h2 *c, uint32_t stream, struct http_fields fields, bool end)
{
    size_t at = c->out.n;
    unsigned flags = end ? FLAG_END_STREAM : 0;
    h2_frame_head(&c->out, 0, FRAME_HEADERS, flags, stream);
    hpack_encode(&c->encoder, fields, &c->out);
    size_t n = c->out.n - at - FRAME_HEAD, most = c->peer_max_frame;
    AUTO_BUF struct buf all = { .max = n };      /* what doesn't fit into one frame */
    if (n > most) {
        buf_add(&all, c->out.p + at + FRAME_HEAD + most, n - most);
        c->out.n -= n - most;
    }
    char *head = c->out.p + at;
    size_t first = n < most ? n : most;
    head[0] = (char)(first >> 16), head[1] = (char)(first >> 8), head[2] = (char)first;
    head[4] = (char)(flags | (all.n ? 0 : FLAG_END_HEADERS));
    for (struct str rest = buf_view(&all), part; rest.n; rest = str_from(rest, part.n)) {
        part = (struct str){ rest.p, rest.n < most ? rest.n : most };
        h2_frame_head(&c->out, part.n, FRAME_CONTINUATION, part.n < rest.n ? 0 : FLAG_END_HEADERS, stream);
        buf_str(&c->out, part);
    }
}

static void we_ended(struct h2 *c, struct h2_stream *s)
{
    s->ended_local = true;
    h2_maybe_closed(c, s);
}

bool h2_is_used_up(const struct h2 *c) { return c->next_local > STREAM_MAX; }

bool h2_can_open(const struct h2 *c)
{
    return !c->dead && !c->goaway_seen && !c->goaway_sent && c->local_streams < c->our_max && !h2_is_used_up(c);
}

uint32_t h2_open(struct h2 *c, struct http_fields fields, bool end, void *user)
{
    if (!h2_can_open(c))
        return 0;
    uint32_t id = c->next_local;
    c->next_local += 2;
    struct h2_stream *s = h2_stream_new(c, id, false);
    s->user = user;
    for (size_t i = 0; i < fields.n; i++)
        if (str_is(fields.v[i].name, ":method"))
            s->head_request = str_is(fields.v[i].value, "HEAD");
    if (h2_fields_sendable(fields)) {
        put_block(c, id, fields, end);
        s->ended_local = end;
        return id;
    }
    h2_event_add(c, (struct h2_event){ .type = H2_RESET, .stream = id, .user = user, .code = H2_INTERNAL_ERROR });
    h2_stream_free(c, s);                        /* nothing was sent: to the peer it is a number left out */
    return id;
}

/* Fields as one text, for trailers that wait: name, NUL, value, NUL. Neither may have a NUL. */
static bool keep_trailers(struct h2_stream *s, struct http_fields fields)
{
    for (size_t i = 0; i < fields.n; i++) {
        buf_str(&s->trailers, fields.v[i].name);
        buf_byte(&s->trailers, '\0');
        buf_str(&s->trailers, fields.v[i].value);
        buf_byte(&s->trailers, '\0');
    }
    s->ntrailers = fields.n;
    s->has_trailers = true;
    return !s->trailers.failed;
}

static void put_trailers(struct h2 *c, struct h2_stream *s)
{
    AUTO_FREE struct http_field *many = NULL;
    struct http_field few[16], *v = few;
    if (s->ntrailers > LEN(few))
        v = many = xcalloc(s->ntrailers, sizeof *v);
    struct str rest = buf_view(&s->trailers);
    for (size_t i = 0; i < s->ntrailers; i++) {
        v[i].name = str_cut(&rest, '\0');
        v[i].value = str_cut(&rest, '\0');
    }
    put_block(c, s->id, (struct http_fields){ v, s->ntrailers }, true);
}

bool h2_headers(struct h2 *c, uint32_t id, struct http_fields fields, bool end)
{
    struct h2_stream *s = h2_find(c, id);
    if (!s || c->dead || s->ended_local || s->end_queued)
        return false;
    if (!h2_fields_sendable(fields) || (end && queued(s) && !keep_trailers(s, fields))) {
        h2_stream_fail(c, id, H2_INTERNAL_ERROR);
        return false;
    }
    if (end && queued(s)) {
        s->end_queued = true;
        return true;
    }
    put_block(c, id, fields, end);
    if (end)
        we_ended(c, s);
    return true;
}

void h2_make_ready(struct h2 *c, struct h2_stream *s)
{
    bool empty_end = s->end_queued && !queued(s);
    if (s->ready || s->ended_local || (!empty_end && (!queued(s) || s->send_window <= 0)))
        return;
    s->ready = true;
    s->ready_next = NULL;
    *c->ready_tail = s;
    c->ready_tail = &s->ready_next;
}

static void put_frame(struct h2 *c, struct h2_stream *s, struct str bytes, bool end)
{
    h2_frame_head(&c->out, bytes.n, FRAME_DATA, end ? FLAG_END_STREAM : 0, s->id);
    buf_str(&c->out, bytes);
    s->moved += bytes.n;
    s->send_window -= (int64_t)bytes.n;
    c->send_window -= (int64_t)bytes.n;
}

/* It fits into one frame, and nobody waits for his turn: it need not wait in its stream. */
static bool goes_at_once(const struct h2 *c, const struct h2_stream *s, size_t n)
{
    return n && !queued(s) && !c->ready_head && c->out.n < OUT_HIGH && n <= MAX_FRAME && (int64_t)n <= s->send_window &&
           (int64_t)n <= c->send_window;
}

bool h2_data(struct h2 *c, uint32_t id, struct str bytes, bool end)
{
    struct h2_stream *s = h2_find(c, id);
    if (!s || c->dead || s->ended_local || s->end_queued)
        return false;
    if (goes_at_once(c, s, bytes.n)) {
        put_frame(c, s, bytes, end);
        h2_event_add(c, (struct h2_event){ .type = H2_WRITABLE, .stream = id, .user = s->user });
        if (end)
            we_ended(c, s);
        return true;
    }
    buf_str(&s->out, bytes);
    if (!s->out.failed)
        c->queued += bytes.n;
    if (s->out.failed) {
        h2_stream_fail(c, id, H2_INTERNAL_ERROR);
        return false;
    }
    s->end_queued = end;
    h2_make_ready(c, s);
    return true;
}

size_t h2_queued(const struct h2 *c, uint32_t id)
{
    const struct h2_stream *s = h2_find(c, id);
    return s ? queued(s) : 0;
}

size_t h2_waiting(const struct h2 *c) { return c->queued + c->out.n; }
bool h2_is_full(const struct h2 *c) { return c->queued > LIMIT_H2_QUEUED; }

uint64_t h2_moved(const struct h2 *c, uint32_t id)
{
    const struct h2_stream *s = h2_find(c, id);
    return s ? s->moved : 0;
}

bool h2_has_ended(const struct h2 *c, uint32_t id)
{
    const struct h2_stream *s = h2_find(c, id);
    return s && s->ended_local;
}

/* One DATA frame of s. */
static void put_data(struct h2 *c, struct h2_stream *s)
{
    size_t n = queued(s);
    if (n > MAX_FRAME)
        n = MAX_FRAME;                           /* each peer takes these; larger ones would let one stream hold up the others */
    if ((int64_t)n > s->send_window)
        n = s->send_window > 0 ? (size_t)s->send_window : 0;
    if ((int64_t)n > c->send_window)
        n = c->send_window > 0 ? (size_t)c->send_window : 0;
    bool last = n == queued(s), end = last && s->end_queued && !s->has_trailers;
    if (!n && !end)
        return;                                  /* the window shrank meanwhile */
    put_frame(c, s, (struct str){ s->out.p + s->out_at, n }, end);
    buf_use(&s->out, &s->out_at, n);
    c->queued -= n;
    if (!last)
        return;
    h2_event_add(c, (struct h2_event){ .type = H2_WRITABLE, .stream = s->id, .user = s->user });
    if (s->has_trailers)
        put_trailers(c, s);
    if (s->end_queued)
        we_ended(c, s);
}

struct str h2_pending(struct h2 *c)
{
    struct h2_stream *starved = NULL, **starved_tail = &starved;     /* the connection's window is used up */
    while (c->out.n < OUT_HIGH && c->ready_head && !c->dead) {
        struct h2_stream *s = c->ready_head;
        uint32_t id = s->id;
        c->ready_head = s->ready_next;
        if (!c->ready_head)
            c->ready_tail = &c->ready_head;
        if (c->send_window <= 0 && queued(s)) {
            s->ready_next = NULL;
            *starved_tail = s;
            starved_tail = &s->ready_next;
            continue;
        }
        s->ready = false;
        put_data(c, s);
        s = h2_find(c, id);                      /* it may have ended */
        if (s)
            h2_make_ready(c, s);
    }
    if (starved) {                               /* they keep their turn */
        *starved_tail = c->ready_head;
        if (!c->ready_head)
            c->ready_tail = starved_tail;
        c->ready_head = starved;
    }
    return buf_view(&c->out);
}

void h2_sent(struct h2 *c, size_t n)
{
    buf_drop(&c->out, n);
    if (!c->out.n && c->out.cap > 4 * OUT_HIGH)
        buf_free(&c->out);
}

/* ---- the other direction's windows ------------------------------------------------------------------------------- */

static void put_window(struct h2 *c, uint32_t stream, uint32_t n)
{
    h2_frame_head(&c->out, 4, FRAME_WINDOW_UPDATE, 0, stream);
    h2_put_u32(&c->out, n);
}

void h2_return_window(struct h2 *c, struct h2_stream *s, uint32_t n)
{
    c->conn_unreturned += n;
    if (c->conn_unreturned >= c->conn_window / 2) {
        put_window(c, 0, c->conn_unreturned);
        c->recv_window += c->conn_unreturned;
        c->conn_unreturned = 0;
    }
    if (!s || s->ended_remote)
        return;
    s->unreturned += n;
    if (s->unreturned >= c->our_initial / 2) {
        put_window(c, s->id, s->unreturned);
        s->recv_window += s->unreturned;
        s->unreturned = 0;
    }
}

void h2_consume(struct h2 *c, uint32_t id, size_t n)
{
    struct h2_stream *s = h2_find(c, id);
    if (!s || c->dead)
        return;                                  /* it gave all back when it ended */
    uint32_t back = n < s->unconsumed ? (uint32_t)n : s->unconsumed;
    s->unconsumed -= back;
    if (back)
        h2_return_window(c, s, back);
}
