/* SPDX-License-Identifier: Apache-2.0 */
/*
 * component: what controller and scheduler share as processes: options, API client, leader election, metrics and probes,
 * and an orderly end.
 */
#ifndef K8S_COMPONENT_H
#define K8S_COMPONENT_H
#include "core/metrics.h"
#include "core/opt.h"
#include "k8s/client.h"

struct component {
    struct loop *loop;
    struct kube *kube;
    struct rnd rnd;
    struct str ns;                                /* the namespace to work in; empty: all */
};
struct component_config {
    const char *name;                             /* "scheduler": lease kruntimes-scheduler, user agent */
    enum metric_group metrics;
    void (*start)(struct component *, void *ctx); /* it leads (or needs not to): work begins */
    void (*stop)(void *ctx);                      /* once, before the process ends; NULL-safe state of yours is freed here */
    bool (*ready)(void *ctx, struct buf *why);    /* for /readyz, once started; `why`: a line for each cause */
    void *ctx;
};
extern const struct opt component_opts[];         /* put it into the applet's `shared` */
/* Until TERM, or the lease is lost (an error: the container starts again). */
int component_run(const struct component_config *, struct kr_err *);
#endif
