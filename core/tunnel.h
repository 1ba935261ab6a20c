/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel: a connected socket to a server that lies behind a proxy (core/proxy.h).
 *
 * Behind a plain proxy the socket is the proxy's own, handed over when the way is open. Behind one that speaks TLS it is one
 * end of a pair, and the tunnel pumps between its other end and the TLS connection, so it must live as long as the socket.
 * What the proxy answers is read byte by byte: nothing that belongs to the server is ever taken.
 */
#ifndef CORE_TUNNEL_H
#define CORE_TUNNEL_H
#include "core/link.h"
#include "core/proxy.h"

struct tunnel;
struct tunnel_user {
    /* Once, from the loop: fd ≥ 0 is the caller's to close, or e says why there is none. The tunnel may be closed in it. */
    void (*opened)(void *ctx, int fd, const struct kr_err *e);
    void *ctx;
};
/* `tls`: for an https:// proxy; its session is made at once. Strings are copied. There is no deadline of its own. */
struct tunnel *tunnel_open(struct loop *, const struct proxy *, const struct tls *tls, struct str host, uint16_t port, struct tunnel_user);
void tunnel_close(struct tunnel *);               /* no further callback; NULL is fine */
#endif
