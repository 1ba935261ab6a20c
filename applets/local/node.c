/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node: the process. It says that its Node is Ready, watches Deployments, Pods and Jobs of Runtimes, and claims, and stops its pods'
 * processes when it is told to stop; the Pod objects stay, and the next start takes them up again. Of what went meanwhile it
 * removes the folders. Tests: tests/local/pods.py
 */
#include "applets/local/node.h"
#include "core/applet.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/version.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>

enum { STOP_US = 1500000 };
static struct { struct str kubeconfig, dir, volumes; } o;
static const struct opt opts[] = {
    { "kubeconfig", 0, OPT_STR, &o.kubeconfig, "FILE", "which API server, and as whom", .env = "KUBECONFIG", .required = true },
    { "dir", 0, OPT_STR, &o.dir, "DIR", "folder for the pods' workspaces, state and logs", .required = true },
    { "volumes", 0, OPT_STR, &o.volumes, "DIR", "folder for what PersistentVolumeClaims name", .required = true },
    { 0 } };
static const struct opt *const shared[] = { log_opts, NULL };

void node_wake(struct node *n) { loop_defer(n->loop, &n->turn); }

/* ---- what is left of pods and Jobs that went while no node was there to see it ------------------------------------ */

static bool is_uid(const char *name)
{
    bool ok = strlen(name) == 36;
    for (size_t i = 0; ok && name[i]; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23, hex = (name[i] >= '0' && name[i] <= '9') || (name[i] >= 'a' && name[i] <= 'f');
        ok = dash ? name[i] == '-' : hex;
    }
    return ok;
}

static bool is_here(const struct node *n, const char *uid)
{
    struct npod *p;
    struct njob *j;
    for (size_t i = 0; (p = map_next(&n->by_key, &i));)
        if (!strcmp(p->uid, uid))
            return true;
    for (size_t i = 0; (j = map_next(&n->jobs_by_key, &i));)
        if (njob_is(j, uid))
            return true;
    return false;
}

static void sweep(struct node *n)
{
    DIR *d = opendir(n->dir);
    n->swept = true;
    for (struct dirent *x; d && (x = readdir(d));) {
        struct kr_err e = { 0 };
        if (!is_uid(x->d_name) || is_here(n, x->d_name))
            continue;
        if (fs_remove_tree_at(dirfd(d), x->d_name, &e) < 0)
            log_warn(&log_std, "the folder of a pod that is gone can't be removed", LOG_Z("uid", x->d_name), LOG_ERR(&e));
        else
            log_info(&log_std, "the folder of a pod that is gone was removed", LOG_Z("uid", x->d_name));
    }
    if (d)
        closedir(d);
}

/* ---- the process -------------------------------------------------------------------------------------------------- */

static void turn(struct loop *loop, struct defer *d)
{
    (void)loop;
    struct node *n = container_of(d, struct node, turn);
    if (!n->swept && !n->stopping && informer_is_synced(n->pods) && informer_is_synced(n->jobs))
        sweep(n);
    deploys_turn(n);
    claims_turn(n);
}

static void again(struct loop *loop, struct timer *t)
{
    (void)loop;
    node_wake(container_of(t, struct node, again));
}

static void synced(void *ctx) { node_wake(ctx); }
static void trouble(void *ctx, const struct kr_err *e)
{
    (void)ctx;
    log_warn(&log_std, "the API can't be watched now", LOG_ERR(e));
}

static void node_told(void *ctx, const struct kube_result *r)
{
    (void)ctx;
    if (r->error && r->error->code != KR_EXISTS)
        log_warn(&log_std, "the Node could not be written", LOG_ERR(r->error));
}

/* Create says all: on a server that keeps a Node from before, it is Ready already. */
static void say_ready(struct node *n)
{
    static const char body[] = "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"" NODE_NAME
                               "\",\"labels\":{\"kubernetes.io/hostname\":\"" NODE_NAME "\",\"kubernetes.io/os\":\"linux\"}},"
                               "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"KruntimesLocal\"}]}}";
    kube_create(n->kube, &kube_nodes, S(""), str_of(body), (struct kube_user){ node_told, n });
}

static bool all_down(void *ctx)
{
    struct node *n = ctx;
    struct npod *p;
    for (size_t i = 0; (p = map_next(&n->by_key, &i));)
        if (!npod_is_down(p))
            return false;
    return true;
}

static void on_signal(struct loop *loop, int sig, void *ctx)
{
    struct node *n = ctx;
    struct npod *p;
    log_info(&log_std, "stopping", LOG_INT("signal", sig));
    if (!n->stopping) {
        n->stopping = true;
        for (size_t i = 0; (p = map_next(&n->by_key, &i));)
            npod_stop(p);
    }
    loop_stop(loop);
}

static void serve(struct node *n)
{
    static const int signals[] = { SIGTERM, SIGINT };
    struct informer_config pods = { .resource = &kube_pods, .labels = S("kruntimes.io/runtime"), .fields = S("spec.nodeName=" NODE_NAME),
                                    .user = { npod_set, npod_gone, synced, trouble, n } };
    struct informer_config deployments = { .resource = &kube_deployments, .labels = S("app.kubernetes.io/managed-by=kruntimes"),
                                           .user = { deploy_set, deploy_gone, synced, trouble, n } };
    struct informer_config jobs = { .resource = &kube_jobs, .labels = S("app.kubernetes.io/managed-by=kruntimes"),
                                    .user = { njob_set, njob_gone, synced, trouble, n } };
    struct informer_config claims = { .resource = &kube_persistentvolumeclaims, .user = { claim_set, claim_gone, synced, trouble, n } };
    struct npod *p;
    struct deploy *d;
    struct njob *j;
    struct claim *c;
    loop_signals(n->loop, signals, LEN(signals), on_signal, n);
    say_ready(n);
    n->deployments = informer_new(n->kube, &deployments, &n->rnd);
    n->pods = informer_new(n->kube, &pods, &n->rnd);
    n->jobs = informer_new(n->kube, &jobs, &n->rnd);
    n->claims = informer_new(n->kube, &claims, &n->rnd);
    loop_run(n->loop);
    loop_run_until(n->loop, all_down, n, loop_now_us(n->loop) + STOP_US);
    informer_free(n->deployments);
    informer_free(n->pods);
    informer_free(n->jobs);
    informer_free(n->claims);
    for (size_t i = 0; (c = map_next(&n->claims_by_key, &i)); i = 0)
        claim_free(c);
    for (size_t i = 0; (j = map_next(&n->jobs_by_key, &i)); i = 0)
        njob_free(j);
    loop_timer_stop(n->loop, &n->again);
    for (size_t i = 0; (p = map_next(&n->by_key, &i)); i = 0)
        npod_free(p);
    for (size_t i = 0; (d = map_next(&n->deploys, &i));)
        deploy_free(d);
    loop_defer_cancel(n->loop, &n->turn);
    map_free(&n->by_key);
    map_free(&n->jobs_by_key);
    map_free(&n->deploys);
    map_free(&n->claims_by_key);
}

static int run(struct applet_call *call, struct kr_err *e)
{
    struct kube_config kc;
    char agent[80];
    (void)call;
    if (fs_make_dir(o.dir.p, 0700, e) < 0 || kube_config_find(&kc, &(struct kube_flags){ .kubeconfig = o.kubeconfig }, e) < 0)
        return -1;
    struct node n = { .loop = loop_new(&clock_system), .dir = o.dir.p, .volumes = o.volumes.p, .kubeconfig = o.kubeconfig.p, .self = "kruntimes", .turn = { .run = turn },
                      .again = { .fire = again } };
    rnd_system(&n.rnd);
    n.net = (unsigned)rnd_below(&n.rnd, 254) + 1;
    snprintf(agent, sizeof agent, "kruntimes-node/%s", kr_version);
    n.kube = kube_new(n.loop, &kc, agent, e);
    if (n.kube)
        serve(&n);
    kube_free(n.kube);
    loop_free(n.loop);
    kube_config_free(&kc);
    return e->code ? -1 : 0;
}

const struct applet applet_node = {
    .name = "node", .group = APPLET_COMPONENT, .brief = "runs Runtime Pods on this machine as plain processes",
    .help = "Part of `local`. Makes Pods of Deployments, and of each Pod a runtimed and a runtime-server on a loopback address of its own.",
    .opts = opts, .shared = shared, .main = run,
};
