/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubeconfig: which API server, and who we are there. From a kubeconfig file (contexts, client certificates, tokens, token
 * files, CA data) or from what a pod is given.
 *
 * What isn't offered is refused by name when it would be used: exec and auth-provider plugins, basic auth, proxies.
 */
#ifndef K8S_KUBECONFIG_H
#define K8S_KUBECONFIG_H
#include "core/kr.h"

struct kube_config {
    struct arena arena;                           /* owns everything below */
    struct str server;                            /* "https://host:port", as written */
    struct str host; uint16_t port; bool tls;
    struct str path;                              /* prefix of all paths, usually empty; without a '/' at the end */
    struct str server_name;                       /* tls-server-name; empty: host */
    bool insecure;                                /* insecure-skip-tls-verify */
    struct str ca, cert, key;                     /* PEM; ca empty: the system's bundle */
    struct str token, token_file;                 /* token_file is read again when it changes */
    struct str ns;                                /* default namespace; "default" when nobody says */
    struct str context, source;                   /* for messages: the context's name, the file or "in-cluster" */
};
/* `context` empty: the current one. Relative file names are taken from the file's directory. */
int kube_config_load(struct kube_config *, const char *path, struct str context, struct kr_err *);
/* The environment and files a container gets (service account). KR_NOT_FOUND outside of a cluster. */
int kube_config_in_cluster(struct kube_config *, struct kr_err *);
/* --kubeconfig, $KUBECONFIG (one file), in-cluster, ~/.kube/config, in this order; `path` empty: not given.
 * KR_NOT_FOUND with what was looked for when there is none. */
int kube_config_find(struct kube_config *, struct str path, struct str context, struct kr_err *);
void kube_config_free(struct kube_config *);
#endif
