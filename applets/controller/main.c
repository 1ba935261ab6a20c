/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller: takes keys off its queue, and carries out the plan of each. What is known and queued is known.h's, what a key wants
 * done is looks.c's.
 */
#include "applets/controller/known.h"
#include "core/applet.h"
#include "core/log.h"
#include <stdio.h>

struct work { struct controller *c; char key[KEY_MAX]; };

static struct controller_options o = { .image = S("kruntimes"), .node_lost_us = INT64_C(300000000) };
static const struct opt opts[] = {
    { "image", 0, OPT_STR, &o.image, "IMAGE", "image of runtimed and of the injected Runtime Server", .env = "KRUNTIMES_IMAGE" },
    { "node-lost-after", 0, OPT_DURATION, &o.node_lost_us, "TIME", "a node that is Ready=Unknown for longer has lost its pods", .lo = 1000000,
      .hi = INT64_C(86400000000) },
    { "keep", 0, OPT_LIST, &o.keep, "PHASE=N", "finished Runs of a phase (Succeeded, Failed, Timeout, Cancelled) to keep in each namespace, the newest; of others all (repeatable)" },
    { 0 } };

static void done(void *ctx, const struct kr_err *error)
{
    struct work *w = ctx;
    metric_add(METRIC_CONTROLLER_PLANS, error != NULL, 1);
    struct str key = str_of(w->key), what = str_cut(&key, '/');
    look_ended(w->c, what, key, error);
    if (error)
        log_warn(&log_std, "a plan could not be carried out", LOG_Z("key", w->key), LOG_ERR(error));
    workqueue_done(w->c->queue, str_of(w->key), error != NULL);
    free(w);
}

static void carry_out(struct controller *c, struct str key, struct plan *p)
{
    struct loop *loop = c->c->loop;
    if (log_on(&log_std, LOG_DEBUG)) {
        AUTO_BUF struct buf text = { .max = 65536 };
        plan_print(p, &text);
        log_debug(&log_std, "planned", LOG_STR("key", key), LOG_STR("plan", buf_view(&text)));
    }
    if (p->look_again_us) {
        int64_t in = p->look_again_us - loop_wall_us(loop);
        workqueue_add_at(c->queue, key, loop_now_us(loop) + (in > 0 ? in : 0));
    }
    if (!p->n) {
        plan_free(p);
        workqueue_done(c->queue, key, false);
        return;
    }
    struct work *w = xcalloc(1, sizeof *w);
    w->c = c;
    snprintf(w->key, sizeof w->key, "%.*s", SFMT(key));
    plan_execute(c->c->kube, p, done, w);
}

static void work(void *ctx, struct str key)
{
    struct controller *c = ctx;
    struct plan p = { 0 };
    struct kr_err e = { 0 };
    struct str rest = key, what = str_cut(&rest, '/');
    if (look_at(c, what, rest, &p, &e) < 0) {
        log_warn(&log_std, "no plan", LOG_STR("key", key), LOG_ERR(&e));
        plan_free(&p);
        workqueue_done(c->queue, key, true);
        return;
    }
    carry_out(c, key, &p);
}

static void start(struct component *component, void *ctx)
{
    struct controller *c = ctx;
    *c = (struct controller){ .c = component, .o = &o, .trouble_us = INT64_MIN };
    c->queue = workqueue_new(component->loop, work, c);
    known_watch(c);
}

static bool is_ready(void *ctx, struct buf *why) { return known_is_ready(ctx, why); }

static void stop(void *ctx)
{
    struct controller *c = ctx;
    known_free(c);
    workqueue_free(c->queue);
}

static int run(struct applet_call *call, struct kr_err *e)
{
    static struct controller c;
    (void)call;
    if (gc_limits_read(&o.limits, o.keep.v, o.keep.n, e) < 0)
        return -1;
    return component_run(&(struct component_config){ .name = "controller", .metrics = METRICS_CONTROLLER, .start = start, .stop = stop, .ready = is_ready, .ctx = &c },
                         e);
}

const struct applet applet_controller = {
    .name = "controller", .group = APPLET_COMPONENT, .brief = "keeps Runtimes' pools and Workflows, and Runs whose pod is lost or whose time is over",
    .help = "Makes of each Runtime a Deployment and what it needs, and of each Workflow its child Runs, gives Runs of lost pods back to the scheduler, and deletes finished Runs when "
            "their ttlSecondsAfterFinished is over, and with --keep the oldest when there are more than that.",
    .opts = opts, .shared = (const struct opt *const[]){ component_opts, log_opts, NULL }, .main = run,
};
