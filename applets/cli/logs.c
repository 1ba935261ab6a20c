/* SPDX-License-Identifier: Apache-2.0 */
/* logs: what a Run wrote, from the runtimed of its pod. */
#include "applets/cli/run.h"
#include "core/fs.h"
#include <signal.h>
#include <stdio.h>

static struct { int64_t attempt, tail, since_us; bool follow; } o;
static const struct opt opts[] = {
    { "follow", 'f', OPT_FLAG, &o.follow, NULL, "until its end; waits for its beginning too" },
    { "attempt", 0, OPT_INT, &o.attempt, "N", "of this attempt (default: the last; with --follow each)", .lo = 0, .hi = INT32_MAX },
    { "tail", 0, OPT_INT, &o.tail, "N", "only about the last N lines", .lo = 0, .hi = 1000000000 },
    { "since", 0, OPT_DURATION, &o.since_us, "TIME", "only what came in this last time", .lo = 0, .hi = INT64_C(31536000000000) },
    { 0 } };

struct reading { bool done, any, interrupted, failed; struct kr_err e; char note[300]; };

static void on_output(void *ctx, int stream, struct str bytes)
{
    struct kr_err e = { 0 };
    ((struct reading *)ctx)->any = true;
    fs_write_fd(stream == 2 ? 2 : 1, bytes, stream == 2 ? "stderr" : "stdout", &e);
}

static void on_trouble(void *ctx, const struct kr_err *e)
{
    struct reading *r = ctx;
    r->e = *e;
    r->failed = true;
}

static void on_done(void *ctx, const struct run *run, const struct kr_err *e)
{
    struct reading *r = ctx;
    r->done = true;
    if (e) {
        r->e = *e;
        r->failed = true;
    } else if (run && !r->any && !run->status.access_key.n) {
        snprintf(r->note, sizeof r->note, "run/%.*s is %.*s: it has written nothing", SFMT(run->metadata.name), SFMT(run_phase(run)));
    }
}

static bool is_over(void *ctx)
{
    struct reading *r = ctx;
    return r->done || r->interrupted;
}

static void on_signal(struct loop *loop, int sig, void *ctx)
{
    (void)loop;
    (void)sig;
    ((struct reading *)ctx)->interrupted = true;
}

static int run(struct applet_call *call, struct kr_err *e)
{
    static const int signals[] = { SIGINT, SIGTERM };
    struct reading r = { 0 };
    struct cli c;
    if (cli_open(&c, e) < 0)
        return -1;
    loop_signals(c.loop, signals, LEN(signals), on_signal, &r);
    struct follow_config fc = { .ns = cli_ns(&c), .name = call->args[0], .logs = true, .until_end = o.follow, .attempt = o.attempt, .tail_lines = o.tail,
                                .since_us = o.since_us ? loop_wall_us(c.loop) - o.since_us : 0, .output = on_output, .trouble = on_trouble,
                                .done = on_done, .ctx = &r };
    struct follow *f = follow_run(c.kube, &fc, &c.rnd);
    loop_run_until(c.loop, is_over, &r, INT64_MAX);
    follow_stop(f);
    cli_close(&c);
    if (r.note[0])
        fprintf(stderr, "%s\n", r.note);
    if (r.failed)
        *e = r.e;
    return r.failed ? -1 : 0;
}

const struct applet run_logs = {
    .name = "logs", .brief = "what it wrote: stdout to stdout, stderr to stderr", .args = "NAME", .min_args = 1, .max_args = 1,
    .help = "Read through the API server's port-forward from the pod that executed the Run, so the pod must still be there.",
    .examples = "run logs hello\nrun logs hello --follow\nrun logs hello --attempt 1 --tail 20", .opts = opts,
    .shared = (const struct opt *const[]){ cli_opts, NULL }, .main = run,
};
