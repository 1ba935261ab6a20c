/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resource: the rows of resource.def as data, and the paths of the Kubernetes API conventions ("/api/v1" for the core
 * group, "/apis/GROUP/VERSION" else).
 */
#include "k8s/resource.h"
#include "core/uri.h"
#include <stdio.h>

#define KUBE_RESOURCE(id, ...) const struct kube_resource kube_##id = { __VA_ARGS__ };
#include "k8s/resource.def"
#undef KUBE_RESOURCE

static const struct kube_resource *const all[] = {
#define KUBE_RESOURCE(id, ...) &kube_##id,
#include "k8s/resource.def"
#undef KUBE_RESOURCE
};

struct str kube_api_version(const struct kube_resource *r, char out[96])
{
    int n = *r->group ? snprintf(out, 96, "%s/%s", r->group, r->version) : snprintf(out, 96, "%s", r->version);
    return (struct str){ out, (size_t)n };
}

const struct kube_resource *kube_resource_of_kind(struct str api_version, struct str kind)
{
    char text[96];
    for (size_t i = 0; i < LEN(all); i++)
        if (str_is(kind, all[i]->kind) && str_eq(api_version, kube_api_version(all[i], text)))
            return all[i];
    return NULL;
}

void kube_path(struct buf *b, const struct kube_resource *r, struct str ns, struct str name, const char *sub)
{
    buf_lit(b, *r->group ? "/apis/" : "/api");
    buf_lit(b, r->group);
    buf_byte(b, '/');
    buf_lit(b, r->version);
    if (r->namespaced && ns.n) {
        buf_lit(b, "/namespaces/");
        uri_put_segment(b, ns);
    }
    buf_byte(b, '/');
    buf_lit(b, r->plural);
    if (name.n) {
        buf_byte(b, '/');
        uri_put_segment(b, name);
    }
    if (sub && *sub) {
        buf_byte(b, '/');
        buf_lit(b, sub);
    }
}
