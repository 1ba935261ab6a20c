/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc: gRPC over HTTP/2 (the protocol document "gRPC over HTTP2"), client and server, on grpc/http.h. Messages are bytes
 * here; grpc/pb.h turns them into structs. Compression is not offered: identity only.
 */
#ifndef GRPC_GRPC_H
#define GRPC_GRPC_H
#include "grpc/http.h"
#include "grpc/pb.h"

enum grpc_status {
    GRPC_OK, GRPC_CANCELLED, GRPC_UNKNOWN, GRPC_INVALID_ARGUMENT, GRPC_DEADLINE_EXCEEDED, GRPC_NOT_FOUND, GRPC_ALREADY_EXISTS,
    GRPC_PERMISSION_DENIED, GRPC_RESOURCE_EXHAUSTED, GRPC_FAILED_PRECONDITION, GRPC_ABORTED, GRPC_OUT_OF_RANGE, GRPC_UNIMPLEMENTED,
    GRPC_INTERNAL, GRPC_UNAVAILABLE, GRPC_DATA_LOSS, GRPC_UNAUTHENTICATED
};
enum { GRPC_METADATA = 16 };                               /* fields of metadata in a call's head, and beside its status */
const char *grpc_status_name(int);                         /* "NOT_FOUND"; "CODE_99" for what isn't known */
enum kr_code grpc_code(int status);                        /* the code of the table with that gRPC status */

/* ---- client ------------------------------------------------------------------------------------------------------ */
struct grpc_client;
struct grpc_call;
/* Plaintext HTTP/2 to host:port; connects with the first call, and again where those it has allow no further stream. */
struct grpc_client *grpc_client_new(struct loop *, struct str host, uint16_t port);
/* `lost` is called whenever a connection that was open has ended, also while no call was under way. */
void grpc_client_on_lost(struct grpc_client *, void (*lost)(void *ctx), void *ctx);
/* Over a connected socket, which is taken over; when it closes there is no other. */
struct grpc_client *grpc_client_over(struct loop *, int fd);
bool grpc_client_is_spent(const struct grpc_client *);     /* of a socket that was taken over: it has ended, every call will fail */
void grpc_client_free(struct grpc_client *);               /* open calls end with CANCELLED */
struct grpc_user {
    void (*message)(void *ctx, struct str bytes);          /* each response message; may be NULL */
    void (*done)(void *ctx, int status, struct str text);  /* once; OK, or what went wrong (the peer's words or ours) */
    void *ctx;
    void (*metadata)(void *ctx, struct http_fields, bool trailing);    /* the head's fields, then those with the status; may be NULL */
};
struct grpc_options {
    struct http_fields metadata;                           /* copied; at most GRPC_METADATA fields */
    int64_t timeout_us;                                    /* needed: every call has an end */
    size_t max_message;                                    /* 0: LIMIT_GRPC_MESSAGE */
    bool open;                                             /* the request goes on: grpc_send, then grpc_half_close */
};
/* path "/package.Service/Method"; request: the encoded message (p NULL with `open`: none yet). */
struct grpc_call *grpc_call(struct grpc_client *, const char *path, struct str request, const struct grpc_options *, struct grpc_user);
void grpc_send(struct grpc_call *, struct str message);
void grpc_half_close(struct grpc_call *);
void grpc_pause(struct grpc_call *, bool on);              /* hold responses back */
void grpc_cancel(struct grpc_call *);                      /* no further callback; NULL is fine */

/* ---- server ------------------------------------------------------------------------------------------------------ */
struct grpc_request;
struct grpc_method {
    const char *name;                                      /* NULL ends the table */
    bool stream_in;                                        /* the client streams: `message` may come more than once, but none while
                                                              the answers to those before are above HTTP_LOW_WATER */
    void (*message)(struct grpc_request *, struct str bytes);
    void (*half_closed)(struct grpc_request *);            /* stream_in: the client has sent all; may be NULL */
    void (*gone)(struct grpc_request *);                   /* cancelled, past its deadline, or answered: release; may be NULL */
    void (*writable)(struct grpc_request *);               /* the queue fell below HTTP_LOW_WATER; may be NULL */
};
struct grpc_service { const char *name; const struct grpc_method *methods; void *ctx; };      /* "executor.v1.Runtime" */
struct grpc_server;
struct grpc_server_config {
    struct str host; uint16_t port;
    const struct grpc_service *services; size_t n;         /* kept */
    size_t max_message;                                    /* 0: LIMIT_GRPC_MESSAGE */
    /* May this call be made? <0 and e: its code's gRPC status. Health and reflection are not asked for. May be NULL. */
    int (*allow)(void *ctx, struct http_fields metadata, struct kr_err *);
    bool (*healthy)(void *ctx, struct str service);        /* for grpc.health.v1; NULL: always */
    void *ctx;
};
struct grpc_server *grpc_server_new(struct loop *, const struct grpc_server_config *, struct kr_err *);
uint16_t grpc_server_port(const struct grpc_server *);
struct httpd *grpc_server_httpd(struct grpc_server *);     /* for drain, and links of tests */
void grpc_server_health_changed(struct grpc_server *);     /* tells those who watch */
void grpc_server_free(struct grpc_server *);

void *grpc_service_ctx(const struct grpc_request *);
struct http_fields grpc_metadata(const struct grpc_request *);
void grpc_set_user(struct grpc_request *, void *);
void *grpc_user(const struct grpc_request *);
struct arena *grpc_arena(struct grpc_request *);           /* lives as long as the request */
/* Metadata ahead of the messages, at most GRPC_METADATA fields; without effect once something was sent. */
void grpc_head(struct grpc_request *, struct http_fields metadata);
/* One message; more may follow. A large one ends the call with RESOURCE_EXHAUSTED where the client takes nothing (hreq_is_crowded). */
void grpc_reply(struct grpc_request *, struct str message);
int grpc_reply_pb(struct grpc_request *, const pb_msgdesc_t *, const void *msg);   /* <0: it could not be encoded, the call has ended */
void grpc_end(struct grpc_request *, int status, struct str text);
void grpc_end_with(struct grpc_request *, int status, struct str text, struct http_fields metadata);       /* and metadata beside it */
void grpc_end_err(struct grpc_request *, const struct kr_err *);
size_t grpc_queued(const struct grpc_request *);
/* The message decoded into a struct on the request's arena; NULL: bad, the call has ended with INTERNAL, or RESOURCE_EXHAUSTED. */
void *grpc_decode(struct grpc_request *, const pb_msgdesc_t *, size_t size, struct str bytes);
bool grpc_is_over(const struct grpc_request *);

/* ---- pieces, for tests ------------------------------------------------------------------------------------------- */
/* Length-prefixed messages: feeds bytes, hands out whole messages. */
struct grpc_framer { struct buf b; size_t at, max; };        /* at: so much of b is used */
enum grpc_framing { GRPC_MORE, GRPC_MESSAGE, GRPC_COMPRESSED, GRPC_TOO_LARGE };
void grpc_feed(struct grpc_framer *, struct str bytes);
size_t grpc_unread(const struct grpc_framer *);            /* bytes that grpc_next has not given yet */
enum grpc_framing grpc_next(struct grpc_framer *, struct buf *message);
void grpc_frame(struct buf *out, struct str message);
void grpc_put_timeout(struct buf *, int64_t us);           /* "1500m"; at most 8 digits */
bool grpc_parse_timeout(struct str, int64_t *us);
void grpc_put_message(struct buf *, struct str text);      /* percent-encoded, for grpc-message */
struct str grpc_parse_message(struct arena *, struct str coded);
#endif
