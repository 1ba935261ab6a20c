/* SPDX-License-Identifier: Apache-2.0 */
/*
 * component: one way to start, lead and stop for the processes that watch the whole cluster. Who loses the lease ends at
 * once: its picture and its right to write are both in doubt, and a fresh start is cheap.
 */
#include "k8s/component.h"
#include "core/log.h"
#include "core/version.h"
#include "grpc/probes.h"
#include "k8s/lease.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static struct {
    struct kube_flags kube;
    struct str ns, lease_ns, identity, metrics, probes;
    bool elect;
} o = { .metrics = S(":8080"), .probes = S(":8081"), .elect = true };

const struct opt component_opts[] = {
    { "kubeconfig", 0, OPT_STR, &o.kube.kubeconfig, "FILE", "which API server, and as whom; else what a pod is given", .env = "KUBECONFIG" },
    { "context", 0, OPT_STR, &o.kube.context, "NAME", "context of the kubeconfig" },
    { "namespace", 'n', OPT_STR, &o.ns, "NAME", "work in this namespace only; else in all" },
    { "leader-elect", 0, OPT_FLAG, &o.elect, NULL, "hold a Lease before working" },
    { "lease-namespace", 0, OPT_STR, &o.lease_ns, "NAME", "where the Lease is; else the own namespace", .env = "KRUNTIMES_NAMESPACE" },
    { "identity", 0, OPT_STR, &o.identity, "NAME", "holder of the Lease; else the host's name", .env = "KRUNTIMES_POD_NAME" },
    { "metrics-bind", 0, OPT_STR, &o.metrics, "ADDR", "where /metrics listens, or off" },
    { "probes-bind", 0, OPT_STR, &o.probes, "ADDR", "where /livez, /readyz and /healthz listen, or off" },
    { 0 } };

struct process {
    struct component c;
    const struct component_config *config;
    struct lease *lease;
    bool started, stopping;
    struct kr_err lost;
};

static void won(void *ctx)
{
    struct process *p = ctx;
    log_info(&log_std, "leading", LOG_Z("component", p->config->name));
    p->started = true;
    p->config->start(&p->c, p->config->ctx);
}

static void lost(void *ctx, const struct kr_err *why)
{
    struct process *p = ctx;
    p->lost = *why;
    loop_stop(p->c.loop);
}

static void lease_trouble(void *ctx, const struct kr_err *e)
{
    (void)ctx;
    log_warn(&log_std, "the lease can't be had now", LOG_ERR(e));
}

static void released(void *ctx) { loop_stop(((struct process *)ctx)->c.loop); }

static void on_signal(struct loop *loop, int sig, void *ctx)
{
    struct process *p = ctx;
    log_info(&log_std, "stopping", LOG_INT("signal", sig));
    if (p->stopping || !p->lease) {
        loop_stop(loop);
        return;
    }
    p->stopping = true;
    lease_release(TAKE(p->lease), released, p);
}

static bool is_ready(void *ctx, struct buf *why)
{
    struct process *p = ctx;
    if (!p->started)
        return true;                              /* a stand-by is as ready as it can be */
    return p->config->ready(p->config->ctx, why);
}

static bool may_write(void *ctx)
{
    const struct process *p = ctx;
    return p->lease && lease_is_held(p->lease);   /* none: it is being given up */
}

static void begin(struct process *p)
{
    char host[256] = "localhost", name[64];
    if (!o.elect) {
        won(p);
        return;
    }
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "kruntimes-%s", p->config->name);
    struct lease_config lc = { .ns = o.lease_ns.n ? o.lease_ns : kube_namespace(p->c.kube), .name = str_of(name),
                               .holder = o.identity.n ? o.identity : str_of(host), .won = won, .lost = lost, .trouble = lease_trouble, .ctx = p };
    p->lease = lease_new(p->c.kube, &lc, &p->c.rnd);
    kube_fence(p->c.kube, may_write, p);
}

static int run_loop(struct process *p, struct kr_err *e)
{
    static const int signals[] = { SIGTERM, SIGINT };
    struct probes_user user = { .ready = is_ready, .ctx = p };
    struct probes *metrics = probes_new(p->c.loop, o.metrics, &user, e), *probes = NULL;
    if (!e->code)
        probes = probes_new(p->c.loop, o.probes, &user, e);
    if (!e->code) {
        loop_signals(p->c.loop, signals, LEN(signals), on_signal, p);
        begin(p);
        loop_run(p->c.loop);
        *e = p->lost;
    }
    if (p->started)
        p->config->stop(p->config->ctx);
    lease_free(p->lease);
    probes_free(probes);
    probes_free(metrics);
    return e->code ? -1 : 0;
}

int component_run(const struct component_config *config, struct kr_err *e)
{
    struct process p = { .config = config, .c = { .ns = o.ns.n ? o.ns : S("") } };
    struct kube_config kc;
    char agent[80];
    metrics_use(config->metrics);
    metrics_use(METRICS_API);
    if (kube_config_find(&kc, &o.kube, e) < 0)
        return -1;
    rnd_system(&p.c.rnd);
    p.c.loop = loop_new(&clock_system);
    snprintf(agent, sizeof agent, "kruntimes-%s/%s", config->name, kr_version);
    p.c.kube = kube_new(p.c.loop, &kc, agent, e);
    int rc = p.c.kube ? run_loop(&p, e) : -1;
    kube_free(p.c.kube);
    loop_free(p.c.loop);
    kube_config_free(&kc);
    return rc;
}
