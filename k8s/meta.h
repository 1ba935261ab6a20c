/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta: what the API demands of metadata, of any kind: names, labels, annotations, finalizers, owners. The server asks
 * before it stores, the command line before it sends; both say it in the API's words.
 */
#ifndef K8S_META_H
#define K8S_META_H
#include "core/model_admit.h"

/* What a name may be; all are at most 253 characters, but META_LABEL 63. */
enum meta_name {
    META_SUBDOMAIN,                       /* RFC 1123 subdomain: nearly every kind */
    META_LABEL,                           /* RFC 1123 label: namespaces, services */
    META_PATH,                            /* anything that fits one segment of a path: roles and their bindings */
};
bool meta_name_ok(struct str name, enum meta_name);
/* Appends what is wrong to `errors`, before model_check does, so that what is missing or too long here keeps rules from
 * being run as well. `object` is the whole object; members of a wrong type are left out (decoding refuses them). With
 * neither name nor generateName: Required. */
void meta_check(const struct json *object, enum meta_name, struct arena *, struct model_errors *);
#endif
