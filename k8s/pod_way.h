/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pod_way: gRPC to a port of a pod through the API server. Whoever needs the same port of the same pod shares one
 * port-forward: all their calls are streams of one HTTP/2 connection in one WebSocket.
 */
#ifndef K8S_POD_WAY_H
#define K8S_POD_WAY_H
#include "grpc/grpc.h"
#include "k8s/client.h"

struct pod_way;
/* A share; nothing is sent yet. rnd must outlive the last share. */
struct pod_way *pod_way_open(struct kube *, struct str ns, struct str pod, uint16_t port, struct rnd *);
/* Gives the share back, after one's own calls have ended or were cancelled: with the last one the port-forward ends. NULL is fine. */
void pod_way_close(struct pod_way *);
/* For the calls to be made now: opens the port-forward when there is none or the last one has ended. Not to be kept. */
struct grpc_client *pod_way_client(struct pod_way *);
/* Why the last port-forward failed (the server's or the pod's words; calls only hear that their connection was closed), or
 * code KR_OK. */
const struct kr_err *pod_way_error(const struct pod_way *);
bool pod_way_is(const struct pod_way *, struct str ns, struct str pod);
#endif
