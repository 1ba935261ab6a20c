/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease: leader election on a coordination.k8s.io Lease. Who holds it renews; who doesn't waits until the holder has not
 * renewed for the lease's duration, by its own clock from when it last saw a change (clocks of machines are not compared).
 */
#ifndef K8S_LEASE_H
#define K8S_LEASE_H
#include "k8s/client.h"

struct lease;
struct lease_config {
    struct str ns, name, holder;                  /* holder: pod name; a restarted container takes its own lease back at once */
    int64_t duration_us, renew_us;                /* 0: 15 s, and a third of the duration; lost after two thirds */
    void (*won)(void *ctx);
    void (*lost)(void *ctx, const struct kr_err *why);     /* stop writing at once: it could not be renewed in time, or was taken */
    void (*trouble)(void *ctx, const struct kr_err *);     /* an attempt failed, it goes on; may be NULL */
    void *ctx;
};
struct lease *lease_new(struct kube *, const struct lease_config *, struct rnd *);
/* Renewed less than two thirds of the duration ago, by our own monotonic clock: only then may its holder act (for kube_fence;
 * `lost` comes from the loop, which may have been stopped until now). */
bool lease_is_held(const struct lease *);
/* Gives it up so that another may take it at once; frees when the server has answered or after a second, then `over`. */
void lease_release(struct lease *, void (*over)(void *ctx), void *ctx);
void lease_free(struct lease *);                  /* no release, no callback; may be called in any of the callbacks */
#endif
