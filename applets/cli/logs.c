/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logs: what a Run wrote, from the runtimed of its pod or out of the Runtime's store. On a terminal its escape sequences are
 * shown, not obeyed (core/terminal.h). Tests: tests/local/logs.py
 */
#include "applets/cli/run.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/terminal.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static struct { int64_t attempt, tail, since_us; struct str since_time; bool follow, timestamps; } o;
static const struct opt opts[] = {
    { "follow", 'f', OPT_FLAG, &o.follow, NULL, "until its end; waits for its beginning too" },
    { "attempt", 0, OPT_INT, &o.attempt, "N", "of this attempt (default: the last; with --follow each)", .lo = 0, .hi = INT32_MAX },
    { "tail", 0, OPT_INT, &o.tail, "N", "only about the last N lines", .lo = 0, .hi = 1000000000 },
    { "timestamps", 0, OPT_FLAG, &o.timestamps, NULL, "the time in front of each line, and with several attempts the attempt" },
    { "since", 0, OPT_DURATION, &o.since_us, "TIME", "only what came in this last time", .lo = 0, .hi = INT64_C(31536000000000) },
    { "since-time", 0, OPT_STR, &o.since_time, "MOMENT", "only what came after it: RFC 3339, as --timestamps prints it" },
    { 0 } };

struct reading { bool done, any, interrupted, failed, inside[3]; char last; int64_t attempt; struct terminal terminal[3]; struct kr_err e; char note[300]; };

static void put(struct reading *r, int stream, struct str bytes)
{
    struct kr_err e = { 0 };
    int fd = stream == 2 ? 2 : 1;
    AUTO_BUF struct buf shown = { .max = 8 * bytes.n + 256 };
    if (isatty(fd)) {
        terminal_put(&r->terminal[stream], bytes, &shown);
        bytes = buf_view(&shown);
    }
    fs_write_fd(fd, bytes, stream == 2 ? "stderr" : "stdout", &e);
    if (bytes.n)
        r->last = bytes.p[bytes.n - 1];
}

/* Each line gets the time at which it began. */
static void put_dated(struct reading *r, int stream, struct str bytes, int64_t unix_us, int64_t attempt)
{
    AUTO_BUF struct buf b = { .max = 64 * bytes.n + 256 };
    char time[TIME_TEXT];
    time_print_micro(time, unix_us);
    while (bytes.n) {
        ptrdiff_t end = str_chr(bytes, '\n');
        size_t n = end >= 0 ? (size_t)end + 1 : bytes.n;
        if (!r->inside[stream])
            buf_fmt(&b, attempt > 1 ? "%s [%lld] " : "%s ", time, (long long)attempt);
        buf_add(&b, bytes.p, n);
        r->inside[stream] = end < 0;
        bytes = str_from(bytes, n);
    }
    put(r, stream, buf_view(&b));
}

static void on_output(void *ctx, int stream, struct str bytes, int64_t unix_us, int64_t attempt)
{
    struct reading *r = ctx;
    r->any = true;
    stream = stream == 2 ? 2 : 1;
    if (o.timestamps)
        put_dated(r, stream, bytes, unix_us, attempt);
    else
        put(r, stream, bytes);
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

/* Wall clock, µs; 0: all of it. */
static int since(int64_t now_us, int64_t *ret, struct kr_err *e)
{
    *ret = o.since_us ? now_us - o.since_us : 0;
    if (!o.since_time.n)
        return 0;
    if (o.since_us)
        return kr_fail(e, KR_USAGE, "--since and --since-time both say from when: give one");
    return time_parse(o.since_time, ret) ? 0 : kr_fail(e, KR_USAGE, "--since-time: \"%.*s\" is no moment like 2026-01-31T12:00:00Z", SFMT(o.since_time));
}

static int run(struct applet_call *call, struct kr_err *e)
{
    static const int signals[] = { SIGINT, SIGTERM };
    struct reading r = { 0 };
    struct cli c;
    int64_t from;
    if (since(clock_system.wall_us(&clock_system), &from, e) < 0 || cli_open(&c, e) < 0)
        return -1;
    loop_signals(c.loop, signals, LEN(signals), on_signal, &r);
    struct follow_config fc = { .ns = cli_ns(&c), .name = call->args[0], .logs = true, .until_end = o.follow, .attempt = o.attempt, .tail_lines = o.tail,
                                .since_us = from, .output_at = on_output, .trouble = on_trouble,
                                .done = on_done, .ctx = &r };
    struct follow *f = follow_run(c.kube, &fc, &c.rnd);
    loop_run_until(c.loop, is_over, &r, INT64_MAX);
    follow_stop(f);
    if (r.failed)
        cli_advise(&c, &r.e);
    cli_close(&c);
    if (r.any && r.last != '\n' && isatty(1))
        put(&r, 1, S("\n"));                      /* the prompt is not glued to it */
    if (r.note[0])
        fprintf(stderr, "%s\n", r.note);
    if (r.failed)
        *e = r.e;
    return r.failed ? -1 : 0;
}

const struct applet run_logs = {
    .name = "logs", .brief = "what it wrote: stdout to stdout, stderr to stderr", .args = "NAME", .names = "runs", .min_args = 1, .max_args = 1,
    .help = "Read through the API server's port-forward from the pod that executed the Run; when that is gone, out of the Runtime's artifact store, where "
            "output is kept beside artifacts, and of every Run when the Runtime is annotated kruntimes.io/keep-logs=true.",
    .examples = "run logs hello\nrun logs hello --follow\nrun logs hello --attempt 1 --tail 20", .opts = opts,
    .shared = (const struct opt *const[]){ cli_opts, NULL }, .main = run,
};
