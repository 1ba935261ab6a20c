/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resource: the kinds this program speaks of, where the API has them, and paths to them.
 */
#ifndef K8S_RESOURCE_H
#define K8S_RESOURCE_H
#include "core/kr.h"

struct kube_resource { const char *group, *version, *plural, *kind; bool namespaced; };
#define KUBE_RESOURCE(id, ...) extern const struct kube_resource kube_##id;
#include "k8s/resource.def"
#undef KUBE_RESOURCE
const struct kube_resource *kube_resource_of_kind(struct str api_version, struct str kind);    /* NULL when not known here */
struct str kube_api_version(const struct kube_resource *, char out[96]);                       /* "apps/v1" */
/* Appends /apis/GROUP/VERSION[/namespaces/NS]/PLURAL[/NAME[/SUB]]; empty parts are left out. */
void kube_path(struct buf *, const struct kube_resource *, struct str ns, struct str name, const char *sub);
#endif
