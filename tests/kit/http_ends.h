/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_ends: what tests of the HTTP client and server share: a call that notes what it hears and may leave in a callback, a
 * server by hand for the client, and a server whose exchanges do what their path says, with a client by hand.
 */
#ifndef TESTS_KIT_HTTP_ENDS_H
#define TESTS_KIT_HTTP_ENDS_H
#include "grpc/h2.h"
#include "grpc/http.h"
#include "tests/kit/here.h"

/* ---- a call whose callbacks may leave ------------------------------------------------------------------------------------ */
enum peer_leave { STAYS, LEAVES_AT_HEAD, LEAVES_AT_DATA, PAUSES_AT_DATA, PAUSES_AND_LEAVES_AT_DATA };
struct peer_call {
    struct hcall *c;
    enum peer_leave leave;
    int status; size_t got;
    bool over, failed, told, left;                /* told: writable */
    uint32_t stamp;
    enum kr_code code;
    char msg[512];
};
extern const struct hcall_user peer_whole, peer_deaf;            /* deaf: hears the end alone */
void peer_ended(struct hcall *, struct http_fields);
void peer_failed(struct hcall *, const struct kr_err *);
/* Begins a call; all but `leave` is reset before. */
void peer_call(struct httpc *, struct peer_call *, const struct httpc_request *, const struct hcall_user *);
#define PEER_REQUEST(m, p, ...) (&(struct httpc_request){ .method = S(m), .path = S(p), .authority = S("t"), __VA_ARGS__ })

/* ---- a server by hand: text for HTTP/1.1, a state machine for HTTP/2 that answers by path ---------------------------------- */
struct peer {
    struct here h;
    struct listener *l;
    struct httpc *c;
    struct peer_one { struct peer *p; struct link *link; struct h2 *h2; struct buf in; } ones[16];
    int n;                                        /* connections so far */
    int requests;                                 /* of HTTP/2 */
    bool h2, hang_up;
    const char *say;                              /* the answer to whatever comes */
    int lost;
};
void peer_begin(struct peer *, enum http_version);
void peer_end(struct peer *);
void peer_say(struct peer_one *, struct str);

/* ---- a server whose exchanges do what their path says, and a client by hand ------------------------------------------------ */
/* Paths are pairs /WHEN/WHAT: begin, data, end, and what http_ends.c has in its table. Below /collect the body is asked for, at
 * most 8 bytes of it. */
struct served {
    struct here h;
    struct httpd *d;
    struct link *l;                               /* the client's end */
    struct h2 *h2;                                /* NULL: HTTP/1.1 */
    struct buf in;
    bool over, takes;                             /* takes: gives windows back */
    int ends, gone, told, resets, informed;       /* told: writable; informed: answers of 1xx, HTTP/2 */
    int whole;                                    /* answers to their end, HTTP/2 */
    int64_t status;
    enum h2_code code;                            /* of the reset that came last */
    size_t got;                                   /* of bodies, HTTP/2 */
    uint32_t stream;                              /* opened last */
    struct hreq *held;                            /* by /WHEN/hold */
};
enum { SERVED_VAST = 36 << 20 };                  /* what /WHEN/vast answers: more than sockets hold */
#define SERVED_H2 (&(struct h2_config){ .role = H2_CLIENT })
void served_begin(struct served *, const struct h2_config *, bool hears);     /* NULL: HTTP/1.1; hears: data, end and writable */
void served_end(struct served *);
void served_send(struct served *);                /* what the client's state machine has to say now */
void served_open(struct served *, const char *method, const char *path, bool end);
void served_say(struct served *, const char *text);
bool served_hears(struct served *, const char *text);         /* turns until it has come, or the connection has ended */
bool served_until(struct served *, const int *counter, int at_least);         /* turns and sends */
#endif
