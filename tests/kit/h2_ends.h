/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_ends: what tests of HTTP/2 share: an end of a connection with a trace of its events, and two of them wired together
 * in memory.
 */
#ifndef TESTS_KIT_H2_ENDS_H
#define TESTS_KIT_H2_ENDS_H
#include "grpc/h2.h"
#include "tests/kit/test.h"

struct h2_end {
    struct h2 *h;
    struct buf trace;                          /* one line an event; DATA of a stream in a row is one line of at most 64 bytes */
    bool hold;                                 /* does not consume */
    size_t data[8];                            /* bytes of DATA by number of the stream / 2, modulo 8 */
    int64_t now_us;
    void (*on)(struct h2_end *, const struct h2_event *);        /* may be NULL */
    uint32_t run;                              /* stream of the DATA line that is open; 0: none */
    bool dead;                                 /* H2_DEAD came: an event behind it ends the process */
};
void h2_end_init(struct h2_end *, enum h2_role, uint32_t stream_window, uint32_t connection_window);
/* A server behind the client's preface, its windows as given; 0: the usual ones. */
void h2_end_behind_preface(struct h2_end *, uint32_t stream_window);
void h2_end_done(struct h2_end *);
struct str h2_end_trace(struct h2_end *);                        /* what came since the last call; valid until the next event */
void h2_end_feed(struct h2_end *, struct str, size_t cut);       /* in pieces of `cut` bytes, all events drained after each */
void h2_end_drain(struct h2_end *);
struct str h2_end_take(struct h2_end *, struct buf *into);       /* all that it wants to send now */
void h2_pump(struct h2_end *a, struct h2_end *b, size_t cut);    /* until nothing moves */
struct str test_hex(struct buf *, const char *text);             /* hexadecimal digits; all else is skipped */

#define BOTH_ENDS(stream_window, connection_window)                         \
    struct h2_end c, s;                                                     \
    h2_end_init(&c, H2_CLIENT, stream_window, connection_window);           \
    h2_end_init(&s, H2_SERVER, stream_window, connection_window)
#define ENDS_DONE() (h2_end_done(&c), h2_end_done(&s))

#define H2_FLD(n, v) { S(n), S(v) }
#define H2_FIELDS(...) ((struct http_fields){ (struct http_field[]){ __VA_ARGS__ }, \
                        sizeof((struct http_field[]){ __VA_ARGS__ }) / sizeof(struct http_field) })
#define H2_GET H2_FIELDS(H2_FLD(":method", "GET"), H2_FLD(":scheme", "http"), H2_FLD(":path", "/x"), H2_FLD(":authority", "h"))
#define H2_200 H2_FIELDS(H2_FLD(":status", "200"))
#endif
