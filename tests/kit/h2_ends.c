/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_ends: see its header. A DATA line holds the bytes of a whole run, so that the trace does not depend on where frames
 * were cut.
 */
#include "tests/kit/h2_ends.h"

void h2_end_init(struct h2_end *e, enum h2_role role, uint32_t stream_window, uint32_t connection_window)
{
    *e = (struct h2_end){ .trace = { .max = 1 << 24 }, .now_us = 1000000000 };
    e->h = h2_new(&(struct h2_config){ .role = role, .stream_window = stream_window, .connection_window = connection_window });
}

void h2_end_behind_preface(struct h2_end *s, uint32_t stream_window)
{
    h2_end_init(s, H2_SERVER, stream_window, stream_window ? 65535 : 0);
    h2_end_feed(s, S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 99);
}

void h2_end_done(struct h2_end *e)
{
    h2_free(e->h);
    buf_free(&e->trace);
}

static void close_run(struct h2_end *e)
{
    if (e->run) buf_byte(&e->trace, '\n');
    e->run = 0;
}

static void trace_data(struct h2_end *e, const struct h2_event *ev)
{
    if (e->run != ev->stream) {
        close_run(e);
        buf_fmt(&e->trace, "DATA %u ", ev->stream);
        e->run = ev->stream;
    }
    if (ev->data.n <= 64) buf_str(&e->trace, ev->data);
    else buf_fmt(&e->trace, "…");
    if (ev->end) buf_lit(&e->trace, " end");
    e->data[ev->stream / 2 % 8] += ev->data.n;
    if (!e->hold) h2_consume(e->h, ev->stream, ev->data.n);
}

static void trace_event(struct h2_end *e, const struct h2_event *ev)
{
    static const char *const names[] = { "HEADERS", "INFORMATIONAL", "DATA", "TRAILERS", "RESET", "WRITABLE", "CLOSED", "PEER_SETTINGS",
                                         "GOAWAY_SEEN", "PONG", "DEAD" };
    if (ev->type == H2_DATA) {
        trace_data(e, ev);
        return;
    }
    if (ev->type == H2_PEER_SETTINGS || ev->type == H2_WRITABLE) return;     /* when they come depends on the cut */
    close_run(e);
    buf_fmt(&e->trace, "%s", names[ev->type]);
    if (ev->stream) buf_fmt(&e->trace, " %u", ev->stream);
    for (size_t i = 0; i < ev->fields.n; i++) buf_fmt(&e->trace, " %.*s=%.*s", SFMT(ev->fields.v[i].name), SFMT(ev->fields.v[i].value));
    if (ev->type == H2_RESET || ev->type == H2_GOAWAY_SEEN || ev->type == H2_DEAD) buf_fmt(&e->trace, " code %d", (int)ev->code);
    if (ev->type == H2_GOAWAY_SEEN) buf_fmt(&e->trace, " last %u", ev->last);
    if (ev->type == H2_PONG) buf_fmt(&e->trace, " %llx", (unsigned long long)ev->opaque);
    if (ev->by_peer) buf_lit(&e->trace, " by peer");
    if (ev->end) buf_lit(&e->trace, " end");
    buf_byte(&e->trace, '\n');
}

void h2_end_drain(struct h2_end *e)
{
    struct h2_event ev;
    while (h2_next(e->h, &ev)) {
        if (e->dead) abort();
        e->dead = ev.type == H2_DEAD;
        trace_event(e, &ev);
        if (e->on) e->on(e, &ev);
    }
}

void h2_end_feed(struct h2_end *e, struct str in, size_t cut)
{
    while (in.n) {
        size_t n = in.n < cut ? in.n : cut;
        char *copy = xmalloc(n);                   /* of its own, so that reading beyond it or later shows */
        memcpy(copy, in.p, n);
        h2_feed(e->h, (struct str){ copy, n }, e->now_us);
        free(copy);
        h2_end_drain(e);
        in = str_from(in, n);
    }
}

struct str h2_end_take(struct h2_end *e, struct buf *into)
{
    buf_clear(into);
    into->max = 1 << 26;
    for (struct str out; (out = h2_pending(e->h)).n;) {
        buf_str(into, out);
        h2_sent(e->h, out.n);
        h2_end_drain(e);
    }
    h2_end_drain(e);
    return buf_view(into);
}

void h2_pump(struct h2_end *a, struct h2_end *b, size_t cut)
{
    AUTO_BUF struct buf from_a = { 0 }, from_b = { 0 };
    do {
        h2_end_take(a, &from_a);
        h2_end_feed(b, buf_view(&from_a), cut);
        h2_end_take(b, &from_b);
        h2_end_feed(a, buf_view(&from_b), cut);
    } while (from_a.n || from_b.n);
}

struct str h2_end_trace(struct h2_end *e)
{
    static struct buf last;
    close_run(e);
    buf_free(&last);
    last = e->trace;
    e->trace = (struct buf){ .max = last.max };
    return buf_view(&last);
}

struct str test_hex(struct buf *b, const char *text)
{
    buf_clear(b);
    b->max = 1 << 20;
    for (int half = -1; *text; text++) {
        int v = *text >= '0' && *text <= '9' ? *text - '0' : *text >= 'a' && *text <= 'f' ? *text - 'a' + 10 : -1;
        if (v >= 0 && half >= 0) buf_byte(b, (char)(half << 4 | v));
        if (v >= 0) half = half < 0 ? v : -1;
    }
    return buf_view(b);
}
