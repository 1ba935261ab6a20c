/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event: v1 Events, for what went wrong or was refused. They tell people; nothing waits for them or reads them back.
 */
#ifndef K8S_EVENT_H
#define K8S_EVENT_H
#include "k8s/client.h"

struct event_about { const struct kube_resource *resource; struct str ns, name, uid; };
/* type "Warning" or "Normal"; reason in CamelCase; component: who says it ("kruntimes-controller"). Sent and forgotten: what the
 * server makes of it is not waited for. */
void event_emit(struct kube *, const struct event_about *, const char *type, const char *reason, struct str message, const char *component);
#endif
