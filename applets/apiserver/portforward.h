/* SPDX-License-Identifier: Apache-2.0 */
/*
 * portforward: pods/NAME/portforward, to the pod's IP, in each way that clients know:
 *   GET over WebSocket, subprotocol v4.channel.k8s.io, ?ports=N: two binary channels per port (data, error), each opened by
 *     a message with the port in two bytes, little endian. Ours.
 *   GET over WebSocket, subprotocol SPDY/3.1+portforward.k8s.io: SPDY inside (forward_spdy.h). kubectl's since 1.31.
 *   POST, Upgrade: SPDY/3.1: the same without the WebSocket. kubectl's before, and what it falls back to.
 */
#ifndef APISERVER_PORTFORWARD_H
#define APISERVER_PORTFORWARD_H
#include "applets/apiserver/api.h"
#include "grpc/http.h"

struct portforward;
bool portforward_wants(const struct hreq *);                       /* is the path a pod's portforward? */
/* Answers the request: 101, or an error. NULL when it was refused. */
struct portforward *portforward_start(struct api *, struct hreq *);
void portforward_data(struct portforward *, struct str bytes);     /* from the client */
void portforward_writable(struct portforward *);                   /* the client took what waited */
void portforward_free(struct portforward *);                       /* NULL is fine */
#endif
