/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward_spdy: port-forward as kubectl asks for it, protocol portforward.k8s.io in SPDY/3.1. Each connection is a pair of
 * streams (headers streamtype: data or error, port, requestid): the data stream carries its bytes, the error stream at
 * most one message. Without sockets to the client: bytes in, bytes out through `send`.
 */
#ifndef APISERVER_FORWARD_SPDY_H
#define APISERVER_FORWARD_SPDY_H
#include "applets/apiserver/forward_link.h"

struct forward_spdy;
struct forward_spdy_user {
    void (*send)(void *ctx, struct str bytes);    /* to the client */
    void (*held)(void *ctx);                      /* whether forward_spdy_is_full may have changed */
    size_t (*queued)(void *ctx);                  /* bytes that the client has not taken yet */
    void *ctx;
};
struct forward_spdy *forward_spdy_new(struct loop *, struct str pod, struct str ip, struct forward_spdy_user);
int forward_spdy_data(struct forward_spdy *, struct str bytes, struct kr_err *);        /* -1: the connection is to be closed */
bool forward_spdy_is_full(const struct forward_spdy *);     /* the client is to be held back: too much waits, in all pairs together */
void forward_spdy_writable(struct forward_spdy *);
void forward_spdy_free(struct forward_spdy *);              /* NULL is fine */
#endif
