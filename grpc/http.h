/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http: requests and responses over a link, HTTP/2 or HTTP/1.1, whichever the connection speaks. The API server, the
 * metrics pages, gRPC and the Kubernetes client all stand on this; none of them sees a frame.
 *
 * Header names are lower case on both versions; pseudo-header fields are folded into method, path, authority, status.
 * Everything handed to a callback is borrowed for the length of the call. An exchange ends exactly once: a server
 * exchange with `gone`, a client call with `end` or `failed`; afterwards the pointer is dead.
 */
#ifndef GRPC_HTTP_H
#define GRPC_HTTP_H
#include "core/http1.h"           /* struct http_field, struct http_fields, http_get */
#include "core/link.h"

/* ---- server ---------------------------------------------------------------------------------------------------- */
struct httpd;
struct hreq;

struct httpd_user {
    void (*begin)(struct hreq *, void *ctx);             /* request head is there; set hreq_set_user now */
    void (*data)(struct hreq *, struct str bytes);       /* body bytes, flow control is given back on return unless paused */
    void (*end)(struct hreq *);                          /* the request is complete */
    void (*writable)(struct hreq *);                     /* the send queue fell below HTTP_LOW_WATER; may be NULL */
    void (*gone)(struct hreq *);                         /* answered in full, reset, or connection lost: release your state */
    void *ctx;
};
enum { HTTP_LOW_WATER = 65536 };

struct httpd_config {
    struct str host; uint16_t port;                      /* port 0: the kernel chooses; host "unix:/path" for a local socket */
    const struct tls *tls;                               /* NULL: plain; then HTTP/2 by prior knowledge and HTTP/1.1 on one port */
    int64_t idle_us;                                     /* close a connection without exchanges after this; 0: 5 minutes */
    size_t bodies, queued;                               /* of all connections together; 0: LIMIT_HTTP_BODIES, LIMIT_HTTP_QUEUED */
    size_t connections;                                  /* at most; 0: as many as there are descriptors */
    struct httpd_user user;
};
struct httpd *httpd_new(struct loop *, const struct httpd_config *, struct kr_err *);
uint16_t httpd_port(const struct httpd *);
/* Stops accepting and says GOAWAY; exchanges under way may end until the deadline, then everything is closed. */
void httpd_drain(struct httpd *, int64_t deadline_us);
bool httpd_is_idle(const struct httpd *);                /* no exchange under way */
void httpd_free(struct httpd *);                         /* closes everything at once (every open exchange gets `gone`) */
/* Serves one link that is already there (tests: an end of link_pair). */
void httpd_serve_fd(struct httpd *, int fd);

struct str hreq_method(const struct hreq *);
struct str hreq_path(const struct hreq *);               /* path and query as sent, not decoded */
struct str hreq_authority(const struct hreq *);
struct http_fields hreq_fields(const struct hreq *);
bool hreq_is_h2(const struct hreq *);
struct link *hreq_link(const struct hreq *);             /* peer name, client certificate */
/* For who keeps what `data` gave him, of a request that isn't whole yet: so many bytes of it now. It may be reset for that, as others
 * may: httpd_config.bodies is for all requests together. What hreq_collect keeps counts by itself. */
void hreq_keeps(struct hreq *, size_t bytes);
void hreq_set_user(struct hreq *, void *user);
void *hreq_user(const struct hreq *);
/* Called from begin: data and end are not called; the whole body (at most max bytes) comes in one `got`, or an error
 * (too large: who doesn't answer in `got` has 413 answered; who calls this again in it, with a larger max, goes on). Who asks
 * whether so large a body may come (Expect: 100-continue) has that error as soon as begin returns, and need not send it. */
void hreq_collect(struct hreq *, size_t max, void (*got)(struct hreq *, struct str body, const struct kr_err *));

void hreq_respond(struct hreq *, int status, struct http_fields, struct str body);   /* head, body and end in one */
void hreq_start(struct hreq *, int status, struct http_fields);                      /* head; body follows by hreq_write, but for HEAD */
void hreq_write(struct hreq *, struct str bytes);        /* copies into the send queue */
void hreq_finish(struct hreq *, struct http_fields trailers);                        /* end of the response (trailers: HTTP/2 and chunked) */
size_t hreq_queued(const struct hreq *);                 /* bytes the peer has not taken yet */
/* Its HTTP/2 connection holds more than LIMIT_H2_QUEUED already, or all connections more than httpd_config.queued: write nothing large. */
bool hreq_is_crowded(const struct hreq *);
void hreq_reset(struct hreq *, uint32_t h2_error);       /* RST_STREAM, or closes an HTTP/1.1 connection */
void hreq_pause(struct hreq *, bool on);                 /* hold the peer's body back */
/* Answers 101 to an HTTP/1.1 upgrade; from then on data and hreq_write carry raw bytes. */
void hreq_upgrade(struct hreq *, struct http_fields);

/* ---- client ---------------------------------------------------------------------------------------------------- */
struct httpc;
struct hcall;

struct hcall_user {
    void (*head)(struct hcall *, int status, struct http_fields);
    void (*data)(struct hcall *, struct str bytes);
    void (*writable)(struct hcall *);                    /* may be NULL */
    void (*end)(struct hcall *, struct http_fields trailers);
    void (*failed)(struct hcall *, const struct kr_err *);   /* retry flag of the code tells whether it may be sent again */
    void *ctx;
};

/* ANY: by ALPN; on a plain link ANY means HTTP/1.1. 2_OR_11: on a plain link HTTP/2 by prior knowledge, and HTTP/1.1 once
 * the server has answered that with something else (nothing is lost: it has not seen a request yet). */
enum http_version { HTTP_ANY, HTTP_2, HTTP_11, HTTP_2_OR_11 };
struct httpc_config {
    struct link_target target;                           /* names are copied; tls, proxy and proxy_tls stay the caller's */
    enum http_version version;
    int64_t keepalive_us;                                /* HTTP/2: PING after this much silence while calls are open; 0: 15 s; dead after twice that */
    int64_t connect_timeout_us;                          /* 0: 10 s */
    size_t max_calls;                                    /* HTTP/2: a connection's; beyond, and beyond the peer's SETTINGS, calls wait; 0: 1000 */
    size_t max_connections;                              /* 0: HTTP/1.1 8, HTTP/2 1. Upgrades have theirs beside */
    /* Fields that are added when a call is about to be sent (valid until the next turn), for what may change while it waits:
     * authorization. *stamp is kept with the call. NULL: none. */
    struct http_fields (*sign)(void *ctx, uint32_t *stamp);
    void *sign_ctx;
    void (*lost)(void *ctx);                             /* a connection that was open has ended, with calls or without; may be NULL */
    void *lost_ctx;
};
/* Connects on the first call and again after a loss. A call that the server surely has not processed is sent again by itself,
 * also a GET or HEAD without an answer on a connection that had answered before; the others under way fail. */
struct httpc *httpc_new(struct loop *, const struct httpc_config *);
void httpc_free(struct httpc *);                         /* open calls get `failed` (CANCELLED); may be called in any callback */
bool httpc_is_spent(const struct httpc *);               /* the one socket it was given has ended, or takes no calls any more */
/* Nothing is sent, what comes waits; the time does not count against deadlines. */
void httpc_hold(struct httpc *, bool on);
void httpc_refuse(struct httpc *, const struct kr_err *);    /* the calls that wait now get `failed` */
void httpc_renew(struct httpc *);                        /* connections end with what they carry, new calls get new ones: certificates changed */
struct httpc_request {
    struct str method, path, authority;
    struct http_fields fields;                           /* copied */
    struct str body;                                     /* copied; sent at once */
    bool more;                                           /* hcall_write will follow, then hcall_finish */
    uint64_t length;                                     /* with more: that many bytes will be written; 0: not known (HTTP/1.1: chunked) */
    int64_t deadline_us;                                 /* monotonic moment at which it fails with DEADLINE; 0: none */
    bool first;                                          /* goes before those that wait */
    bool upgrade;                                        /* HTTP/1.1 upgrade on a connection of its own: after 101 head, raw bytes both ways */
};
struct hcall *httpc_call(struct httpc *, const struct httpc_request *, struct hcall_user);
void *hcall_ctx(const struct hcall *);
uint32_t hcall_stamp(const struct hcall *);              /* what `sign` left when it was sent last */
void hcall_write(struct hcall *, struct str bytes);
void hcall_finish(struct hcall *);
void hcall_deadline(struct hcall *, int64_t deadline_us);    /* in place of the request's: there is more to come than was known */
void hcall_pause(struct hcall *, bool on);               /* hold the response's body back */
void hcall_cancel(struct hcall *);                       /* resets the stream; no further callback, the pointer is dead */
#endif
