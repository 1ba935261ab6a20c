/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spdy: the server's side of SPDY/3.1 framing without I/O: bytes in, events out, bytes to send. It is what kubectl speaks
 * for port-forward, through a WebSocket or bare.
 *
 *   spdy_init(&s);
 *   while (spdy_take(&s, &bytes, &ev, &out, &e) == 0 && ev.kind) …      each one; then send out
 *   after -1: spdy_put_goaway(&s, &out), send, close the connection
 *
 * Which streams are open is the caller's to know: numbers only go up, so bytes for one it has let go of are late, not wrong.
 * Pings are answered into `out`. There are no windows: Kubernetes' clients neither send nor heed WINDOW_UPDATE, and to keep
 * to the 64 KiB that the specification begins with would end every transfer there. Hold the connection back instead.
 */
#ifndef GRPC_SPDY_H
#define GRPC_SPDY_H
#include "core/http1.h"                    /* struct http_fields */
#include <zlib.h>

enum spdy_kind { SPDY_NOTHING, SPDY_OPENED, SPDY_DATA, SPDY_RESET };
enum spdy_status { SPDY_PROTOCOL_ERROR = 1, SPDY_REFUSED_STREAM = 3 };         /* of RST_STREAM and GOAWAY */
/* Views are valid until the next spdy_take. NOTHING: the bytes are used up, give more. */
struct spdy_event {
    enum spdy_kind kind;
    uint32_t stream;
    struct http_fields fields;             /* OPENED: names in lower case */
    struct str data;                       /* DATA: a piece of a frame; empty only with fin */
    bool fin;                              /* OPENED, DATA: the peer sends no more on this stream */
};
struct spdy {                              /* private */
    z_stream in, out;                      /* each direction compresses all its header blocks as one stream */
    unsigned char head[8];
    size_t head_n;
    size_t left;                           /* of the frame's payload; meaningful while in_payload */
    bool in_payload, skip, failed;
    uint32_t last;                         /* the highest stream that was opened */
    struct buf payload, block;
    struct http_field fields[LIMIT_SPDY_FIELDS];
};

void spdy_init(struct spdy *);
void spdy_free(struct spdy *);
/* Consumes from *bytes until one event is there or nothing is left. KR_PROTOCOL or KR_TOO_LARGE; then nothing more is taken. */
int spdy_take(struct spdy *, struct str *bytes, struct spdy_event *, struct buf *out, struct kr_err *);

void spdy_put_reply(struct spdy *, struct buf *out, uint32_t stream);                     /* the stream is accepted */
void spdy_put_data(struct buf *out, uint32_t stream, struct str bytes, bool fin);         /* as many frames as it takes */
void spdy_put_reset(struct buf *out, uint32_t stream, enum spdy_status);
void spdy_put_goaway(struct spdy *, struct buf *out);                                     /* for what the peer did wrong */
/* What both sides tell the compressor first. */
struct str spdy_dictionary(struct buf *into);
#endif
