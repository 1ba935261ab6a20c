/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strategic: strategic merge patches of core kinds (Kubernetes API conventions; "Update API Objects in Place Using kubectl
 * patch"): as RFC 7396, but lists that the schema says so of are merged by their key, and directives say what else is to
 * happen: $patch: delete | replace | merge, $retainKeys, $deleteFromPrimitiveList/X, $setElementOrder/X.
 */
#ifndef K8S_STRATEGIC_H
#define K8S_STRATEGIC_H
#include "core/json.h"
#include "core/model.h"

/* A new tree; target NULL counts as absent. KR_BAD_REQUEST for a directive that isn't one, or an item without its key. */
struct json *strategic_merge(struct arena *, const struct model_object *, const struct json *target, const struct json *patch, struct kr_err *);
#endif
