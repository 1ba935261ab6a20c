/* SPDX-License-Identifier: Apache-2.0 */
/*
 * portforward: one port of a pod as a local socket, through the API server (WebSocket, subprotocol v4.channel.k8s.io).
 */
#ifndef K8S_PORTFORWARD_H
#define K8S_PORTFORWARD_H
#include "k8s/client.h"

struct kube_forward;
/* *fd is a connected socket that the caller owns; bytes wait in it until the API server has opened the way. failed is called
 * at most once: the server refused, or the pod's port did (its words); the socket is closed then. */
struct kube_forward *kube_forward_open(struct kube *, struct str ns, struct str pod, uint16_t port, struct rnd *, int *fd,
                                       void (*failed)(void *ctx, const struct kr_err *), void *ctx);
void kube_forward_close(struct kube_forward *);          /* no callback any more; NULL is fine */
#endif
