/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to http_client*.c: calls, the connections that carry them, and the queue in between.
 *
 * A call is in one of three places: waiting in httpc's queue, on a connection, or over (its memory goes in the next
 * deferred turn, so that a callback may cancel any call, its own too).
 */
#ifndef GRPC_HTTP_CLIENT_H
#define GRPC_HTTP_CLIENT_H
#include "grpc/h2.h"
#include "grpc/http.h"

struct hcall {
    size_t size;                          /* of the block, which has all of the request but its body */
    struct hcall *next, **at;             /* httpc's queue, a connection's calls, or those that are over */
    struct httpc *h;
    struct cconn *c;                      /* NULL: waits */
    struct hcall_user user;
    struct str method, path, authority;
    struct http_field *fields; size_t nfields;
    struct buf out;                       /* body not yet handed to a connection */
    uint32_t stream;
    int tries;
    uint32_t stamp;
    uint64_t number;                      /* in order of queueing */
    int64_t queued_us;
    size_t held;
    uint64_t length;                      /* of the body, where it is known before it is written */
    struct timer deadline;
    bool more, finished, upgrade, head_seen, answered, paused, over, want_writable, upgraded;
};
struct cconn {
    struct cconn *next, **at;
    struct httpc *h;
    struct link *link;
    struct h2 *h2;                        /* NULL: HTTP/1.1, or not known yet */
    struct http1 h1;
    struct buf out;                       /* HTTP/1.1 */
    struct hcall *calls;
    size_t ncalls;
    struct defer turn;
    struct timer timer;                   /* connecting, then keepalive */
    int64_t heard_us;
    unsigned informed;                    /* HTTP/1.1: answers of 1xx before the one that counts */
    bool open, h1_mode, pinged, heard, dead, retiring, for_upgrade, used;      /* heard: any byte; used: an answer; dead: it has no calls */
    bool carried;                         /* a call, be it one that failed */
};
struct httpc {
    struct loop *loop;
    struct httpc_config config;
    char *host, *server_name;
    enum http_version version;            /* what the server spoke last; until then what is hoped for */
    struct hcall *queue, **queue_end;
    struct hcall *over;
    struct cconn *conns;
    size_t ncalls;
    uint64_t numbers;
    struct defer turn;                    /* frees what is over, starts what waits */
    unsigned busy;                        /* callbacks of ours that are on the stack: who closes us in one has us freed behind it */
    int64_t held_us;                      /* since then, while on_hold */
    bool on_hold, closing;
};

/* ---- http_client.c */
void httpc_enter(struct httpc *);                            /* around whatever may end in a user's callback */
void httpc_leave(struct httpc *);                            /* may free h and its connections */
void httpc_fail_queue(struct httpc *, const struct kr_err *);
struct http_fields hcall_sign(struct hcall *);               /* the fields to be added now */
void hcall_over(struct hcall *);                             /* once: no further callback */
void hcall_fail(struct hcall *, const struct kr_err *);
void hcall_unsendable(struct hcall *);
void hcall_again(struct hcall *);                            /* back into the queue: the server has not processed it */
/* ---- http_client_conn.c */
struct cconn *cconn_new(struct httpc *, bool for_upgrade);
void cconn_free(struct cconn *);
void cconn_turn(struct cconn *);
void cconn_carry(struct cconn *, struct hcall *);            /* the call is sent, or fails: it can't be written */
void cconn_lost(struct cconn *, const struct kr_err *why);   /* dead from now on; freed in its turn */
void cconn_broken(struct cconn *, struct kr_err *why);       /* the same, with whom it was to in front of why */
/* ---- http_client_h2.c, http_client_h1.c */
void h2_call_begin(struct cconn *);
void h2_call_read(struct cconn *, struct str in);
void h2_call_events(struct cconn *);                          /* those that sending made */
void h2_call_send(struct cconn *, struct hcall *);           /* h2_can_open said yes; what can't be written comes back as an event */
void h2_call_body(struct hcall *);
void h1_call_begin(struct cconn *);
void h1_call_read(struct cconn *, struct str in);
void h1_call_eof(struct cconn *);
void h1_call_send(struct cconn *, struct hcall *);           /* may leave c->out failed */
void h1_call_body(struct hcall *);
#endif
