/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2: one HTTP/2 connection without I/O (RFC 9113): bytes in, events out, bytes to send out. Either role.
 *
 *     h2_feed(c, bytes, now_us);
 *     while (h2_next(c, &ev)) …                     // nothing re-enters: answer by the calls below
 *     out = h2_pending(c); … send …; h2_sent(c, n);
 *
 * The state machine keeps the protocol: header validation (section 8), content-length, windows, SETTINGS, GOAWAY,
 * CONTINUATION, closed streams. What the peer breaks becomes RST_STREAM or GOAWAY by itself and shows as an event.
 * Floods (rapid reset, empty frames, control frames) are counted against budgets that refill with time.
 * Data a user writes waits in its stream until windows and the connection's output allow; streams take turns.
 */
#ifndef GRPC_H2_H
#define GRPC_H2_H
#include "core/http1.h"                    /* struct http_field, struct http_fields */

struct h2;
enum h2_role { H2_CLIENT, H2_SERVER };
enum h2_code {                             /* RFC 9113 section 7 */
    H2_NO_ERROR, H2_PROTOCOL_ERROR, H2_INTERNAL_ERROR, H2_FLOW_CONTROL_ERROR, H2_SETTINGS_TIMEOUT, H2_STREAM_CLOSED,
    H2_FRAME_SIZE_ERROR, H2_REFUSED_STREAM, H2_CANCEL, H2_COMPRESSION_ERROR, H2_CONNECT_ERROR, H2_ENHANCE_YOUR_CALM,
    H2_INADEQUATE_SECURITY, H2_HTTP_1_1_REQUIRED
};
struct h2_config {
    enum h2_role role;
    uint32_t max_streams;                  /* what the peer may have open towards us (server); 0: LIMIT_H2_STREAMS */
    uint32_t stream_window;                /* our receive windows; 0: 1 MiB a stream, 16 MiB the connection (client), */
    uint32_t connection_window;            /*                         256 KiB and 4 MiB (server) */
};
struct h2 *h2_new(const struct h2_config *);    /* the preface and SETTINGS are pending at once */
void h2_free(struct h2 *);                      /* NULL is fine */

enum h2_type {
    H2_HEADERS,        /* request (server) or final response (client): fields hold pseudo-header fields first, as sent */
    H2_INFORMATIONAL,  /* client: a 1xx response */
    H2_DATA,           /* bytes; count against the window until h2_consume */
    H2_TRAILERS,       /* always with end */
    H2_RESET,          /* the stream is gone: by the peer, or by us for what the peer did; its user pointer comes one last time */
    H2_WRITABLE,       /* all that was queued in the stream has left for the output */
    H2_CLOSED,         /* both directions have ended properly; its user pointer comes one last time */
    H2_PEER_SETTINGS,  /* the peer's SETTINGS changed (h2_can_open may have) */
    H2_GOAWAY_SEEN,    /* streams of ours above `last` were not processed (each gets an H2_RESET with REFUSED_STREAM) */
    H2_PONG,           /* answer to h2_ping, `opaque` */
    H2_DEAD,           /* the connection is over: code and text; GOAWAY is pending where it helps; no event follows */
};
struct h2_event {                          /* views are valid until the next call for this connection */
    enum h2_type type;
    uint32_t stream;
    void *user;                            /* what h2_set_user left there */
    struct http_fields fields;             /* names in lower case */
    struct str data;
    bool end;                              /* the peer ends its direction with this */
    enum h2_code code;                     /* RESET, GOAWAY_SEEN, DEAD */
    bool by_peer;                          /* RESET: it was the peer's */
    uint32_t last;                         /* GOAWAY_SEEN */
    uint64_t opaque;
    const char *text;                      /* DEAD: lower case, constant */
};
/* Takes all of `in` (h2 keeps what is not yet a whole frame). `now_us`: monotonic, for the flood budgets. Drain h2_next
 * afterwards and before the next feed. */
void h2_feed(struct h2 *, struct str in, int64_t now_us);
bool h2_next(struct h2 *, struct h2_event *);
/* Bytes to send now; at most some 64 KiB are made at a time. H2_WRITABLE and H2_CLOSED come of it: drain h2_next afterwards. */
struct str h2_pending(struct h2 *);
void h2_sent(struct h2 *, size_t n);
bool h2_is_done(const struct h2 *);        /* dead or drained, and nothing pending: close the socket */

/* Fields must be in lower case, without control bytes and connection fields: else the stream gets an H2_RESET with INTERNAL_ERROR.
 * Client: opens a stream; its number, or 0 when the peer's MAX_CONCURRENT_STREAMS, GOAWAY or used-up numbers forbid it. */
uint32_t h2_open(struct h2 *, struct http_fields, bool end, void *user);
bool h2_can_open(const struct h2 *);
bool h2_is_used_up(const struct h2 *);     /* client: of the numbers none is left, for good */
/* Response head (`:status` first) or trailers (end, no pseudo-header). False: no such stream any more. */
bool h2_headers(struct h2 *, uint32_t stream, struct http_fields, bool end);
bool h2_data(struct h2 *, uint32_t stream, struct str bytes, bool end);        /* copies */
size_t h2_queued(const struct h2 *, uint32_t stream);                          /* bytes that wait in the stream */
size_t h2_waiting(const struct h2 *);                                           /* bytes, in all streams and on their way out */
bool h2_is_full(const struct h2 *);                                             /* more than LIMIT_H2_QUEUED wait in all streams */
uint64_t h2_moved(const struct h2 *, uint32_t stream);                         /* bytes that have left it for the output */
bool h2_has_ended(const struct h2 *, uint32_t stream);                         /* our direction: its end has left for the output */
void h2_reset(struct h2 *, uint32_t stream, enum h2_code);                     /* no event follows for it */
void h2_consume(struct h2 *, uint32_t stream, size_t n);     /* gives window back; a stream that is gone has given back all of it */
void h2_set_user(struct h2 *, uint32_t stream, void *user);
void *h2_user(const struct h2 *, uint32_t stream);
void h2_ping(struct h2 *, uint64_t opaque);
/* Graceful: announces the end (2^31-1), then with `final` the last stream that will be answered. */
void h2_goaway(struct h2 *, enum h2_code, bool final);
bool h2_has_begun(const struct h2 *);      /* the peer's preface and SETTINGS have come */
size_t h2_streams(const struct h2 *);      /* open ones, either side's */
/* Calls each(user) for every open stream; the streams must not be changed meanwhile. */
#endif
