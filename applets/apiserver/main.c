/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apiserver: the embedded Kubernetes-style API server as a process: options, state folder, TLS, one loop.
 *
 * It writes DIR/kubeconfig once it listens: who started it waits for that file. TERM drains: watches end, requests under
 * way are answered.
 */
#include "applets/apiserver/backup.h"
#include "applets/apiserver/collector.h"
#include "applets/apiserver/serve.h"
#include "applets/apiserver/state.h"
#include "core/applet.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/tls.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { DRAIN_US = 2000000, EXIT_BUS = 74 };      /* 74: input/output error, as sysexits.h has it */

static struct { struct str state_dir, bind, pods_dir, restore; int64_t port; } o = { .bind = S("127.0.0.1"), .port = 7443 };
static const struct opt opts[] = {
    { "state-dir", 0, OPT_STR, &o.state_dir, "DIR", "folder of the store, the CA, the token and the kubeconfig", .required = true },
    { "pods-dir", 0, OPT_STR, &o.pods_dir, "DIR", "the local node's folder: pods/NAME/log is read there; without it, it is refused" },
    { "bind", 0, OPT_STR, &o.bind, "ADDR", "address to listen on; others than loopback open it to the network" },
    { "port", 0, OPT_INT, &o.port, "PORT", "port to listen on; 0: any that is free", .lo = 0, .hi = 65535 },
    { "restore", 0, OPT_STR, &o.restore, "FILE", "put a backup (local backup) in the place of the store, and end; the server must be down" },
    { 0 } };
static const struct opt *const shared[] = { log_opts, NULL };

struct process { struct loop *loop; struct serve *serve; bool stopping; struct timer stop; };

static void stop_fired(struct loop *loop, struct timer *t)
{
    (void)t;
    loop_stop(loop);
}

static void on_signal(struct loop *loop, int sig, void *ctx)
{
    struct process *p = ctx;
    log_info(&log_std, "stopping", LOG_INT("signal", sig));
    if (p->stopping) {
        loop_stop(loop);
        return;
    }
    p->stopping = true;
    serve_drain(p->serve, loop_now_us(loop) + DRAIN_US);
    loop_timer_in(loop, &p->stop, DRAIN_US / 10);
}

/* The store's file is mapped: pages that went away under us (cut short, disk failed) end the process, with a word. */
static void on_bus_error(int sig)
{
    static const char text[] = "kruntimes apiserver: the store's file can't be read any more (cut short, or the disk failed): stopped\n";
    (void)sig;
    _exit(write(STDERR_FILENO, text, sizeof text - 1) < 0 ? EXIT_BUS + 1 : EXIT_BUS);
}

static int serve_forever(struct api *api, struct state *state, struct kr_err *e)
{
    static const int signals[] = { SIGTERM, SIGINT };
    struct tls *tls = state_tls(state, e);
    if (!tls)
        return -1;
    struct process p = { .loop = api->loop, .stop = { .fire = stop_fired } };
    p.serve = serve_new(api, &(struct serve_config){ .host = o.bind, .port = (uint16_t)o.port, .tls = tls }, e);
    int rc = p.serve && state_write_kubeconfig(state, o.bind, serve_port(p.serve), e) == 0 ? 0 : -1;
    if (rc == 0) {
        loop_signals(api->loop, signals, LEN(signals), on_signal, &p);
        state_keep_fresh(state, api->loop, tls);
        log_info(&log_std, "API server is ready", LOG_STR("address", o.bind), LOG_INT("port", serve_port(p.serve)));
        loop_run(api->loop);
    }
    serve_free(p.serve);
    tls_free(tls);
    return rc;
}

static int restore(struct kr_err *e)
{
    uint64_t objects = 0;
    if (fs_make_dir(o.state_dir.p, 0700, e) < 0 || backup_restore(o.state_dir.p, o.restore.p, &objects, e) < 0)
        return -1;
    printf("restored: %llu objects\n", (unsigned long long)objects);
    return 0;
}

static int run(struct applet_call *call, struct kr_err *e)
{
    (void)call;
    if (o.restore.n)
        return restore(e);
    struct state state;
    struct rnd rnd;
    AUTO_ARENA struct arena a = { .limit = 65536 };
    int rc = -1;
    rnd_system(&rnd);
    metrics_use(METRICS_APISERVER);
    signal(SIGBUS, on_bus_error);
    if (state_open(&state, o.state_dir.p, clock_system.wall_us(&clock_system), e) < 0)
        return -1;
    struct loop *loop = loop_new(&clock_system);
    struct api api = { .loop = loop, .rnd = &rnd };
    api.store = store_open(fs_join(&a, state.dir, "store.mdb"), e);
    if (api.store) {
        api.watches = watches_new(loop, api.store);
        api.pods_dir = o.pods_dir;
        api.ca = buf_view(&state.ca.cert);
        struct collector *collector = api_bootstrap(&api, e) == 0 ? collector_new(&api, e) : NULL;
        if (collector)
            api.authn = authn_new(api.store, api.watches, loop, buf_view(&state.token), buf_view(&state.token_key), e);
        if (api.authn) {
            api.authz = authz_new(api.store, api.watches);
            rc = serve_forever(&api, &state, e);
        }
        collector_free(collector);
        authn_free(api.authn);
        authz_free(api.authz);
        watches_free(api.watches);
        store_close(api.store);
    }
    state_close(&state);
    loop_free(loop);
    return rc;
}

const struct applet applet_apiserver = {
    .name = "apiserver", .group = APPLET_COMPONENT, .brief = "the embedded Kubernetes-style API server",
    .help = "Serves our kinds and the core kinds they need, over TLS with a certificate authority of its own, from one file on disk. "
            "A write is acknowledged once it is on disk.",
    .opts = opts, .shared = shared, .main = run,
};
