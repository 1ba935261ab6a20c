/* SPDX-License-Identifier: Apache-2.0 */
/* Private to kubeconfig*.c: the files that were read, and picking things out of them. */
#ifndef K8S_KUBECONFIG_PRIVATE_H
#define K8S_KUBECONFIG_PRIVATE_H
#include "core/json.h"
#include "k8s/kubeconfig.h"

enum { KUBE_FILES = 64 };
struct kube_file { const char *path; struct str root; };
struct kube_reading {
    struct kube_config *c;
    struct arena *a;                              /* c's */
    struct kube_file files[KUBE_FILES]; size_t nfiles;
    const char *path;                             /* the file that the object being read stands in; for messages and relative names */
};
/* The string member, empty when it is absent or no string. */
struct str kube_text(struct str object, const char *key, struct arena *);
/* A relative name as seen from the file at r->path. Empty stays empty. */
struct str kube_beside(struct kube_reading *r, struct str name);
/* KEY-data in base64, or the file that KEY names; *file (may be NULL) tells which. */
int kube_data_or_file(struct kube_reading *r, struct str object, const char *key, struct str *ret, struct str *file, struct kr_err *);
/* kubeconfig_user.c; `cluster`: what the plugin may be told of. */
int kube_read_user(struct kube_reading *r, struct str user, struct str cluster, struct kr_err *);
int kube_read_token_file(struct kube_reading *r, struct str name, struct kr_err *);
#endif
