/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asks: on which pod is a shared workspace? Answered by a list of the Runs that name it, terminal ones included, as the
 * scheduler's own watch shows only those that are not over.
 */
#ifndef CRDS_SCHED_ASKS_H
#define CRDS_SCHED_ASKS_H
#include "k8s/client.h"

struct asks;
/* pod_uid: of the pod that one of these Runs of the Runtime names; empty: none does. */
typedef void asks_found(void *ctx, struct str ns, struct str runtime, struct str workspace, struct str pod_uid);
struct asks *asks_new(struct kube *, asks_found *found, void *ctx);
void asks_free(struct asks *);                    /* no further answer; NULL is fine */
/* Is tried until it is answered. */
void asks_send(struct asks *, struct str ns, struct str runtime, struct str workspace);
/* Looks through a list's text; the UID lives on the arena. */
struct str asks_look(struct str list, struct str runtime, struct str workspace, struct arena *);
#endif
