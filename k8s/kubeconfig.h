/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubeconfig: which API server, and who we are there. From kubeconfig files (merged as kubectl does), from what a pod is
 * given, and from the command line. docs/kubeconfig.md tells users what holds; client-go's rules are followed where it is
 * silent. What isn't offered (auth-provider plugins) is refused by name when it would be used.
 */
#ifndef K8S_KUBECONFIG_H
#define K8S_KUBECONFIG_H
#include "core/opt.h"

struct kube_pair { struct str name, value; };
enum kube_interactive { KUBE_IF_AVAILABLE, KUBE_NEVER, KUBE_ALWAYS };
/* A program that prints credentials (client.authentication.k8s.io, ExecCredential). */
struct kube_exec {
    struct str command;                           /* a name for $PATH, or a path; empty: there is none */
    const struct str *args; size_t nargs;
    const struct kube_pair *env; size_t nenv;     /* added to ours */
    struct str api_version;                       /* client.authentication.k8s.io/v1 or …/v1beta1 */
    struct str install_hint;                      /* for who lacks the command */
    enum kube_interactive interactive;            /* may it read from the terminal? */
    struct str cluster;                           /* JSON for spec.cluster of KUBERNETES_EXEC_INFO; empty: it isn't to know */
};

struct kube_config {
    struct arena arena;                           /* owns everything below */
    struct str server;                            /* "https://host:port", as written */
    struct str host; uint16_t port; bool tls;
    struct str path;                              /* prefix of all paths, usually empty; without a '/' at the end */
    struct str server_name;                       /* tls-server-name; empty: host */
    bool insecure;                                /* insecure-skip-tls-verify */
    struct str proxy;                             /* URL (core/proxy.h); empty: none */
    struct str ca, cert, key;                     /* PEM; ca empty: the system's bundle */
    struct str ca_file, cert_file, key_file;      /* where they came from, to be read again when they change; empty: they don't */
    struct str token, token_file;                 /* the file goes before, and is read again when it changes */
    struct str username, password;
    struct kube_exec exec;
    struct str as, as_uid;                        /* who to act as; empty: oneself */
    const struct str *as_groups; size_t nas_groups;
    const struct kube_pair *as_extra; size_t nas_extra;
    int64_t timeout_us;                           /* of one request; 0: the client's own */
    struct str ns;                                /* default namespace; "default" when nobody says */
    struct str context, source;                   /* for messages: the context's name, the file or "in-cluster" */
};

/* What a command line may say instead of the files. All empty: nothing. */
struct kube_flags {
    struct str kubeconfig, context, cluster, user, server, token, ca_file, server_name, proxy, as, as_uid;
    struct opt_list as_groups;
    int64_t timeout_us;
    bool insecure;
};
/* Rows for an applet's table. */
#define KUBE_FLAG_OPTS(f)                                                                                                       \
    { "kubeconfig", 0, OPT_STR, &(f).kubeconfig, "FILE", "which API server, and as whom", .env = "KUBECONFIG" },                \
    { "context", 0, OPT_STR, &(f).context, "NAME", "context of the kubeconfig" },                                               \
    { "cluster", 0, OPT_STR, &(f).cluster, "NAME", "cluster of the kubeconfig, instead of the context's" },                     \
    { "user", 0, OPT_STR, &(f).user, "NAME", "user of the kubeconfig, instead of the context's" },                              \
    { "server", 's', OPT_STR, &(f).server, "URL", "the API server's address" },                                                 \
    { "token", 0, OPT_STR, &(f).token, "TOKEN", "bearer token, instead of the user's credentials" },                            \
    { "certificate-authority", 0, OPT_STR, &(f).ca_file, "FILE", "who the API server's certificate must be from" },             \
    { "tls-server-name", 0, OPT_STR, &(f).server_name, "NAME", "name in the API server's certificate" },                        \
    { "insecure-skip-tls-verify", 0, OPT_FLAG, &(f).insecure, NULL, "take any certificate: no protection" },                    \
    { "proxy-url", 0, OPT_STR, &(f).proxy, "URL", "http, https or socks5 proxy on the way to the API server" },                 \
    { "as", 0, OPT_STR, &(f).as, "USER", "act as this user" },                                                                  \
    { "as-group", 0, OPT_LIST, &(f).as_groups, "GROUP", "act as a member of this group (repeatable)" },                         \
    { "as-uid", 0, OPT_STR, &(f).as_uid, "UID", "act as the user with this UID" },                                              \
    { "request-timeout", 0, OPT_DURATION, &(f).timeout_us, "TIME", "how long one request may take", .hi = INT64_C(86400000000) }

/* One file and nothing else; `context` empty: the current one. Relative file names are taken from the file's directory. */
int kube_config_load(struct kube_config *, const char *path, struct str context, struct kr_err *);
/* The environment and files a container gets (service account). KR_NOT_FOUND outside of a cluster. */
int kube_config_in_cluster(struct kube_config *, struct kr_err *);
/* The file of the flags, $KUBECONFIG, in-cluster, ~/.kube/config, in this order; a ':' separates files of a list, of which
 * the first with an entry has it and those that are not there are passed over. Then the other flags. KR_NOT_FOUND with what
 * was looked for when there is none. */
int kube_config_find(struct kube_config *, const struct kube_flags *, struct kr_err *);
/* A copy on an arena of its own. */
void kube_config_copy(struct kube_config *to, const struct kube_config *from);
void kube_config_free(struct kube_config *);
#endif
