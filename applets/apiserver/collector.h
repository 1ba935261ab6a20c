/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collector: garbage collection by owner references, inside the API server process (Kubernetes docs, "Garbage Collection").
 *
 * It knows owners and dependents from what is committed, and acts as any client would, through api_handle, a bounded number
 * of calls per loop turn. What it did and what did not reach the disk it finds again from the store.
 *
 *   owner gone                                   → dependents without another owner are deleted
 *   owner deleted with propagation Foreground    → dependents first; the owner when none is left that blocks it
 *   owner deleted with propagation Orphan        → dependents lose the reference, then the owner goes
 *   namespace deleted                            → namespaces.c empties it
 */
#ifndef APISERVER_COLLECTOR_H
#define APISERVER_COLLECTOR_H
#include "applets/apiserver/api.h"

struct collector;
/* Reads the store; from then on it follows the API's watches. <0 when the store can't be read. */
struct collector *collector_new(struct api *, struct kr_err *);
void collector_free(struct collector *);
bool collector_is_idle(const struct collector *);        /* nothing waits to be looked at */

/* ---- shared with namespaces.c ------------------------------------------------------------------------------------ */
/* One call as the garbage collector; 0 or the HTTP status of the failure. ret (may be NULL) gets the answer's text. */
int collector_call(struct api *, const char *method, const struct resource *, struct str ns, struct str name, const char *sub,
                   const char *content_type, struct str body, struct buf *ret);

/* namespaces.c: one step of a namespace that is being deleted. 1: again soon, 0: nothing more to do before something in it
 * changes, -1: again later. */
int namespace_empty(struct api *, struct str name);
/* What each namespace has from the start: the ServiceAccount "default" and the ConfigMap "kube-root-ca.crt". */
int namespace_furnish(struct api *, struct str name);      /* 0 or an HTTP status */
bool namespace_has_always(const struct resource *, struct str name);       /* is it one of those two? */
#endif
