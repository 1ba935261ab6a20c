/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to http_server*.c: a server connection and its exchanges. What both versions share is in http_server.c and
 * http_server_conn.c; how a version reads, writes and ends an exchange stands behind the functions below.
 *
 * Nothing a user calls calls the user back: an exchange that ends on our side is put on `ending` and gets its `gone` in
 * the connection's turn, after which its output is flushed: behind what was read, else deferred.
 */
#ifndef GRPC_HTTP_SERVER_H
#define GRPC_HTTP_SERVER_H
#include "grpc/h2.h"
#include "grpc/http.h"

enum hconn_mode { HCONN_NEW, HCONN_H1, HCONN_H2 };
struct hconn {
    struct hconn *next, **at;             /* list of the server */
    struct httpd *d;
    struct link *link;
    enum hconn_mode mode;
    struct h2 *h2;
    struct http1 h1;
    struct buf in;                        /* bytes not yet looked at: before the version is known, and pipelined requests */
    struct buf out;                       /* HTTP/1.1 only; HTTP/2 keeps its own */
    size_t out_at;                        /* so much of it was sent */
    struct hreq *reqs;                    /* open exchanges */
    struct hreq *ending;                  /* over on our side, `gone` is due */
    size_t nreqs;
    struct hreq *h1_req;                  /* the exchange whose request is being read or answered */
    struct defer turn;
    struct timer timer;
    int64_t stuck_us;                     /* the exchange that has not moved for longest; 0: none has to */
    size_t queued;                        /* its part of httpd.queued */
    int64_t queued_us;                    /* since then it has always been some */
    int64_t since_us;                     /* begin of what the timer watches: idleness, a head, a write that stalls */
    bool reading, reading_head, stalled, dead, upgraded, close_after;       /* close_after: the last answer is in out */
    bool lingers;                         /* that is said: what comes of a request that was not read is read for nothing */
    size_t lingered;                      /* so much */
};
struct hreq {
    struct hreq *next, **at;              /* reqs or ending */
    struct hreq *younger, **elder;        /* httpd.coming; elder NULL: not in it */
    size_t kept;                          /* its part of httpd.kept, while it is in there */
    struct hconn *c;
    size_t size;                          /* of this block */
    uint32_t stream;                      /* HTTP/2; once it is over there is none any more, nor an event of it */
    struct str method, path, authority;
    struct http_field *fields; size_t nfields;
    void *user;
    struct buf body;                      /* hreq_collect */
    void (*got)(struct hreq *, struct str, const struct kr_err *);
    size_t held;                          /* window not given back while paused */
    uint64_t moved;                       /* of what is queued, when it was looked at last */
    int64_t moved_us;                     /* since then nothing moved: neither to the peer, nor from it while it owes a body that is collected */
    int64_t asked_us;                     /* since then it is collected */
    bool got_end;                         /* the request is complete */
    bool started, finished;               /* response: head sent, end sent */
    bool chunked, no_body, keep_alive;    /* HTTP/1.1 */
    bool expect_continue;                 /* it waits for a 100 before it sends its body */
    bool asks_too_much;                   /* it expects a 100 for a body that is larger than what is collected */
    bool paused, full, want_writable, over, waits;          /* waits: HTTP/2, something may be queued */
};
struct httpd {
    struct loop *loop;
    struct listener *listener;
    struct httpd_user user;
    const struct tls *tls;
    int64_t idle_us;
    struct hconn *conns;
    size_t nconns, most_conns;            /* most: 0: any number */
    struct timer drain;
    bool draining;
    size_t nreqs;
    struct hreq *coming, **coming_end;    /* requests that are not whole yet, in the order in which they began */
    size_t kept, most_kept;               /* bytes of those: heads, and what there is of bodies */
    size_t queued, most_queued;           /* bytes of answers that wait, in all connections */
};

/* ---- http_server.c */
struct hreq *hreq_new(struct hconn *, struct str method, struct str path, struct str authority, struct http_fields);
void hreq_over(struct hreq *);                       /* once: gone is due in the next turn */
void hreq_gone(struct hreq *);                       /* that: the user hears of it, and it is freed */
void hreq_body(struct hreq *, struct str bytes);     /* to the user, or to what is collected */
void hreq_body_end(struct hreq *);
/* Of what is collected: `got` has the error, and may collect more; who doesn't answer there has `status` answered. */
void hreq_refuse_body(struct hreq *, const struct kr_err *, int status, struct str text);
void hreq_too_large(struct hreq *);                  /* that for KR_TOO_LARGE and 413 */
bool hreq_wants_100(struct hreq *);                  /* behind begin: who asks with too large a body is refused instead */

/* ---- http_server_conn.c */
void hconn_adopt(struct httpd *, int fd);
void hconn_turn(struct hconn *);                     /* asks for the deferred turn; who is reading takes his turn behind it */
void hconn_kill(struct hconn *);                     /* freed in the next turn */
void hconn_free(struct hconn *);

/* ---- http_server_room.c */
void room_begin(struct hreq *);                      /* its request begins to come */
void room_keep(struct hreq *, size_t body);          /* so much of its body is kept now */
void room_end(struct hreq *);                        /* it is whole, or over; twice is fine */
void room_wrote(struct hconn *, size_t);             /* so much more waits */
void room_count(struct hconn *, size_t queued);      /* what waits, after a write */
bool room_is_short(const struct httpd *);
bool room_for_another(struct httpd *);               /* connection; an idle one may leave for it */

/* ---- http_server_h1.c, http_server_h2.c */
void h1_serve_begin(struct hconn *);
void h1_serve_read(struct hconn *, struct str in);
void h1_serve_more(struct hconn *);                  /* an exchange ended: the next request, if it is there already */
void h1_serve_start(struct hreq *, int status, struct http_fields, bool whole, size_t length);
void h1_serve_write(struct hreq *, struct str);
void h1_serve_finish(struct hreq *, struct http_fields trailers);
void h1_serve_upgrade(struct hreq *, struct http_fields);
void h2_serve_begin(struct hconn *);
void h2_serve_read(struct hconn *, struct str in);
void h2_serve_events(struct hconn *);                 /* those that sending made */
void h2_serve_start(struct hreq *, int status, struct http_fields, bool end);
void h2_serve_write(struct hreq *, struct str, bool end);
void h2_serve_finish(struct hreq *, struct http_fields trailers);
#endif
