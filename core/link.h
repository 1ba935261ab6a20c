/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link: one connection = a socket [+ TLS by mbedTLS, with ALPN]. Non-blocking; who owns the link drives it.
 *
 * The link calls `ready` when something may be done; the owner then reads until 0 and writes what it has. Handshakes
 * (TCP connect, TLS) happen inside; reads and writes answer "nothing yet" until they are through. Names are resolved
 * by a helper thread that speaks through an eventfd; their addresses are tried in turn, each but the last for 2 s. A TCP
 * peer that has vanished is noticed on either side, also while it is not read: after 45 s of silence, by the kernel's probes,
 * within a minute where something is sent that it never acknowledges; where its window was shut, when the kernel gives up
 * (some 15 minutes). Tests use link_pair, whose two ends split, delay and cut by seed.
 */
#ifndef CORE_LINK_H
#define CORE_LINK_H
#include "core/loop.h"

struct tls;                       /* one side's configuration: certificates, CA, ALPN (core/tls.h) */
struct proxy;                     /* core/proxy.h */
struct link;

struct link_user {
    /* Something changed: opened, readable, writable or dead. Called from the loop only, never from inside a link call. */
    void (*ready)(struct link *, void *ctx);
    void *ctx;
};

struct link_target {
    struct str host;              /* name, IPv4 or IPv6 without brackets; "unix:/path" for a local socket */
    uint16_t port;
    const struct tls *tls;        /* NULL: plain */
    struct str server_name;       /* for SNI and verification; empty: host */
    int fd;                       /* > 0: a socket that is connected already, taken over instead of connecting */
    const struct proxy *proxy;    /* NULL: none. The host's name is then the proxy's to look up */
    const struct tls *proxy_tls;  /* for an https:// proxy */
};

/* Starts connecting; never blocks, failures arrive through ready + link_error. */
struct link *link_connect(struct loop *, const struct link_target *, struct link_user);
/* Takes over an accepted or paired socket (made non-blocking, close-on-exec, TCP_NODELAY). tls NULL: plain. */
struct link *link_accept(struct loop *, int fd, const struct tls *, struct link_user);
/* Two connected ends in memory (a socketpair). */
void link_pair(struct loop *, struct link *out[2], struct link_user a, struct link_user b);

/* > 0 bytes read, 0 nothing yet, -1 end or error: look at link_error (empty message = the peer closed properly; under TLS only
 * close_notify does, as anybody on the way can end a TCP connection). */
ptrdiff_t link_read(struct link *, void *p, size_t n);
/* Bytes taken (may be fewer, or 0: wait for ready), -1 when the peer takes none any more: what it said before may still be read. */
ptrdiff_t link_write(struct link *, const void *p, size_t n);
/* What it took waits for the socket (TLS alone): closing now would cut it off. ready is called once it is out. */
bool link_has_unsent(const struct link *);
bool link_is_open(const struct link *);                 /* handshakes done */
struct str link_alpn(const struct link *);              /* what was agreed, empty when nothing */
const struct kr_err *link_error(const struct link *);   /* why it is dead; code KR_OK and empty while it lives or closed properly */
void link_want_write(struct link *, bool on);           /* ready is to be called when writable; on after a short write */
void link_end_write(struct link *);                     /* of one that is open, with nothing unsent: the peer reads the end; reading goes on */
void link_pause_read(struct link *, bool on);           /* back pressure: no ready for bytes that wait, and link_read has none */
struct str link_peer(const struct link *);              /* "127.0.0.1:4711", for messages */
struct str link_client_cn(const struct link *, struct arena *);   /* subject CN of a verified client certificate, empty without */
struct str link_client_groups(const struct link *, struct arena *);       /* its O's, separated by commas */
int link_detach(struct link *);                         /* a plain link that is open: its socket is the caller's, the link is gone */
void link_close(struct link *);                         /* at once, frees; no further callback. NULL is fine */

/* Listening: backs off 100 ms on EMFILE/ENFILE instead of spinning. */
struct listener;
struct listener *listen_tcp(struct loop *, struct str host, uint16_t port, void (*accepted)(void *ctx, int fd), void *ctx, struct kr_err *);
struct listener *listen_unix(struct loop *, struct str path, void (*accepted)(void *ctx, int fd), void *ctx, struct kr_err *);
uint16_t listener_port(const struct listener *);        /* what the kernel chose for port 0 */
void listener_close(struct listener *);
#endif
