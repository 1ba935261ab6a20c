/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_plugin: asks a credential plugin once (client.authentication.k8s.io v1 and v1beta1, KEP-541): the program gets
 * KUBERNETES_EXEC_INFO in its environment and prints an ExecCredential. It runs as a child on the loop; its standard error is
 * ours, its standard input only where it may ask somebody at a terminal.
 */
#ifndef K8S_EXEC_PLUGIN_H
#define K8S_EXEC_PLUGIN_H
#include "core/loop.h"
#include "k8s/kubeconfig.h"

struct exec_credential {
    struct str token, cert, key;                  /* PEM; empty what it didn't give */
    int64_t expires_wall_us;                      /* 0: it doesn't say */
};
struct exec_plugin;
struct exec_plugin_user {
    /* Once, from the loop: the credential (views, for the length of the call), or e. The plugin may be freed in it. */
    void (*done)(void *ctx, const struct exec_credential *, const struct kr_err *e);
    void *ctx;
};
/* Starts it; the configuration must stay until the end. What it prints is bounded by LIMIT_EXEC_CREDENTIAL, its time by
 * LIMIT_EXEC_PLUGIN_SECONDS, or LIMIT_EXEC_DIALOG_SECONDS where somebody may be asked. */
struct exec_plugin *exec_plugin_run(struct loop *, const struct kube_exec *, struct exec_plugin_user);
void exec_plugin_free(struct exec_plugin *);      /* kills it when it still runs; no callback; NULL is fine */

/* The two pieces without a process, for tests. */
void exec_plugin_info(struct buf *, const struct kube_exec *, bool interactive);
int exec_plugin_read(struct str printed, const struct kube_exec *, struct arena *, struct exec_credential *, struct kr_err *);
#endif
