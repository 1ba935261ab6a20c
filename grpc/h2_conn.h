/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to h2_*.c: a connection's state.
 *
 *   h2_conn.c      life, feeding, handing out events, errors, budgets
 *   h2_receive.c   what each frame type does
 *   h2_fields.c    header validation
 *   h2_send.c      what users want sent: headers, data by turns, windows
 */
#ifndef GRPC_H2_CONN_H
#define GRPC_H2_CONN_H
#include "grpc/h2.h"
#include "grpc/hpack.h"

enum { FRAME_DATA, FRAME_HEADERS, FRAME_PRIORITY, FRAME_RST_STREAM, FRAME_SETTINGS, FRAME_PUSH_PROMISE, FRAME_PING, FRAME_GOAWAY,
       FRAME_WINDOW_UPDATE, FRAME_CONTINUATION };
enum { FLAG_END_STREAM = 1, FLAG_ACK = 1, FLAG_END_HEADERS = 4, FLAG_PADDED = 8, FLAG_PRIORITY = 32 };
enum { FRAME_HEAD = 9, MAX_FRAME = 16384, WINDOW_0 = 65535, OUT_HIGH = 65536 };
#define WINDOW_MAX INT64_C(0x7fffffff)
#define STREAM_MAX 0x7fffffffu

struct h2_stream {
    uint32_t id;
    void *user;
    struct h2_stream *hash_next;
    struct h2_stream *ready_next;              /* has data and window: waits for its turn */
    int64_t send_window, recv_window;
    uint32_t unconsumed;                       /* received bytes that h2_consume has not given back */
    uint32_t unreturned;                       /* given back, but no WINDOW_UPDATE told yet */
    struct buf out; size_t out_at;             /* data that waits */
    uint64_t moved;                            /* bytes of it that have left for the output */
    struct buf trailers; size_t ntrailers;     /* fields that go behind it, as name\0value\0 */
    int64_t content_length, received;          /* -1: not said */
    bool ready, end_queued, has_trailers, ended_local, ended_remote, head_seen, head_request;
};

struct h2 {
    enum h2_role role;
    struct hpack_decoder decoder;
    struct hpack_encoder encoder;
    struct buf in, out;
    size_t in_at, preface_left;
    struct h2_stream **table; size_t cap, n;   /* hash by id */
    struct h2_stream *ready_head, **ready_tail;
    struct h2_event *events; size_t ev_first, ev_n, ev_cap;
    uint32_t last_peer, next_local;            /* highest stream the peer opened; next we open */
    uint32_t max_peer, peer_streams;           /* streams the peer may have open, has open */
    uint32_t our_max, local_streams;           /* the peer's MAX_CONCURRENT_STREAMS, ours open */
    int64_t send_window, recv_window, peer_initial, our_initial, conn_window;
    int64_t initial_wanted;                    /* what SETTINGS said; our_initial becomes it with the ACK */
    uint32_t conn_unreturned, peer_max_frame;
    struct buf block;                          /* header block in progress */
    uint32_t block_stream; bool block_end, in_block;
    size_t queued;                             /* data that waits in all streams */
    /* Streams we reset lately: what still comes for them is passed over, DATA as far as their windows reached. */
    struct h2_reset { uint32_t id; int64_t window; } reset[256]; size_t reset_n;
    int64_t budget_us;                         /* glitches: a token bucket in time */
    int64_t now_us;
    int64_t settings_at_us;                    /* first input: our SETTINGS wait for their ACK from then on */
    bool settings_held, settings_late;         /* acknowledged; not in time */
    bool settings_seen, dead, goaway_sent, goaway_final, goaway_seen;
    uint32_t goaway_last, goaway_told;         /* the peer's last stream; ours, which must not grow (section 6.8) */
};
struct frame { unsigned type, flags; uint32_t stream; struct str payload; };

/* h2_conn.c */
void h2_event_add(struct h2 *, struct h2_event);               /* of a connection that is not dead, as for all of these */
void h2_die(struct h2 *, enum h2_code, const char *text);      /* GOAWAY, and no more events but H2_DEAD */
bool h2_spend(struct h2 *, unsigned tokens);                   /* false: the budget is spent, the connection is dead */
struct h2_stream *h2_find(const struct h2 *, uint32_t id);
struct h2_stream *h2_stream_new(struct h2 *, uint32_t id, bool by_peer);
void h2_stream_free(struct h2 *, struct h2_stream *);
void h2_stream_fail(struct h2 *, uint32_t id, enum h2_code);   /* RST_STREAM for what the peer did; H2_RESET when it was open */
void h2_maybe_closed(struct h2 *, struct h2_stream *);         /* both ends over: H2_CLOSED, freed */
void h2_frame_head(struct buf *, size_t n, unsigned type, unsigned flags, uint32_t stream);
void h2_put_u32(struct buf *, uint32_t);
uint32_t h2_u32(const char *p);
struct h2_reset *h2_was_reset(struct h2 *, uint32_t id);          /* NULL: not lately */
static inline bool h2_is_peers(const struct h2 *c, uint32_t id) { return (id & 1) == (c->role == H2_SERVER); }
/* h2_receive.c */
void h2_receive(struct h2 *, const struct frame *);
/* h2_fields.c: which kind of header block it is and whether it is well formed */
enum { FIELDS_REQUEST, FIELDS_RESPONSE, FIELDS_TRAILERS };
bool h2_fields_ok(struct http_fields, int kind, struct h2_stream *);   /* sets content_length; informational: see status */
bool h2_fields_sendable(struct http_fields);                           /* nothing in them that every peer has to refuse */
/* h2_send.c */
void h2_make_ready(struct h2 *, struct h2_stream *);
void h2_return_window(struct h2 *, struct h2_stream *, uint32_t n);    /* stream may be NULL: the connection's only */
#endif
