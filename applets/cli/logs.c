/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logs: what Runs wrote, from the runtimed of their pods or out of the Runtime's store. Of several each whole line has its Run in
 * front: one after the other, or with --follow all at once. On a terminal escape sequences are shown, not obeyed (core/terminal.h).
 * Tests: tests/local/logs.py
 */
#include "applets/cli/run.h"
#include "applets/cli/which.h"
#include "core/clock.h"
#include "core/regex.h"
#include "core/terminal.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { AT_ONCE = 64, LINE_MAX = 65536 };           /* Runs that are followed side by side; a line that is longer is cut into several */

static struct { int64_t attempt, tail, since_us; struct str since_time, grep; bool follow, timestamps, previous, prefix, has_prefix; } o;
static const struct opt opts[] = {
    { "follow", 'f', OPT_FLAG, &o.follow, NULL, "until its end; waits for its beginning too" },
    { "attempt", 0, OPT_INT, &o.attempt, "N", "of this attempt (default: the last; with --follow each)", .lo = 0, .hi = INT32_MAX },
    { "previous", 'p', OPT_FLAG, &o.previous, NULL, "of the attempt before the last" },
    { "tail", 0, OPT_INT, &o.tail, "N", "only about the last N lines", .lo = 0, .hi = 1000000000 },
    { "timestamps", 0, OPT_FLAG, &o.timestamps, NULL, "the time in front of each line, and with several attempts the attempt" },
    { "since", 0, OPT_DURATION, &o.since_us, "TIME", "only what came in this last time", .lo = 0, .hi = INT64_C(31536000000000) },
    { "since-time", 0, OPT_STR, &o.since_time, "MOMENT", "only what came after it: RFC 3339, as --timestamps prints it" },
    { "grep", 0, OPT_STR, &o.grep, "PATTERN", "only lines in which this regular expression (RE2) is found; of those that --tail and --since leave" },
    { "prefix", 0, OPT_FLAG, &o.prefix, NULL, "the Run in front of each line: on where there are several; --no-prefix: never", .given = &o.has_prefix },
    { 0 } };

/* One Run being read. line: what came of a line that has no end yet, where lines are printed whole. */
struct reading {
    struct all *all;
    struct str name;
    struct follow *follow;
    bool done, any, failed, inside[3];
    char last;
    struct terminal terminal[3];
    struct buf line[3];
    size_t front[3];                              /* bytes that stand in front of it */
    struct kr_err e;
};
struct all { struct cli c; struct cli_named named; struct reading *v; size_t done; bool whole, prefix, interrupted; int64_t from; struct regex *grep; };

/* ---- output ------------------------------------------------------------------------------------------------------ */

static void on_missing(void *ctx, const struct kr_err *e)
{
    struct reading *r = ctx;
    r->e = *e;
    r->failed = true;
}

static void put(struct reading *r, int stream, struct str bytes)
{
    struct kr_err e = { 0 };
    int fd = stream == 2 ? 2 : 1;
    if (terminal_write(&r->terminal[fd], fd, bytes, &e) < 0) {      /* nobody gets what is still to come */
        on_missing(r, &e);
        r->all->interrupted = true;
    }
    if (bytes.n)
        r->last = bytes.p[bytes.n - 1];
}

/* What stands in front of a line: whose it is, when it began, in which attempt. */
static void put_front(struct buf *b, const struct reading *r, int64_t unix_us, int64_t attempt)
{
    char time[TIME_TEXT];
    if (r->all->prefix)
        buf_fmt(b, "%.*s | ", SFMT(r->name));
    if (!o.timestamps)
        return;
    time_print_micro(time, unix_us);
    buf_fmt(b, attempt > 1 ? "%s [%lld] " : "%s ", time, (long long)attempt);
}

/* A whole line, or what there is of it, in one write: lines of Runs that write at the same time don't mix. */
static void put_whole(struct reading *r, int stream)
{
    struct buf *line = &r->line[stream];
    if (!line->n)
        return;
    struct str text = str_from(buf_view(line), r->front[stream]);
    bool shown = !r->all->grep || regex_search(r->all->grep, (struct str){ text.p, text.n - (text.n && text.p[text.n - 1] == '\n') });
    if (line->p[line->n - 1] != '\n')
        buf_byte(line, '\n');
    if (shown)
        put(r, stream, buf_view(line));
    line->n = 0;
    r->inside[stream] = false;
}

static void put_lines(struct reading *r, int stream, struct str bytes, int64_t unix_us, int64_t attempt)
{
    AUTO_BUF struct buf direct = { .max = 64 * bytes.n + 256 };
    struct buf *b = r->all->whole ? &r->line[stream] : &direct;
    while (bytes.n) {
        ptrdiff_t end = str_chr(bytes, '\n');
        size_t n = end >= 0 ? (size_t)end + 1 : bytes.n;
        bool over = r->all->whole && b->n + n > LINE_MAX;
        n = over && b->n < LINE_MAX ? LINE_MAX - b->n : n;
        if (!r->inside[stream]) {
            put_front(b, r, unix_us, attempt);
            r->front[stream] = b->n;
        }
        buf_add(b, bytes.p, n);
        r->inside[stream] = bytes.p[n - 1] != '\n';
        bytes = str_from(bytes, n);
        if (r->all->whole && (over || !r->inside[stream]))
            put_whole(r, stream);
    }
    if (!r->all->whole)
        put(r, stream, buf_view(b));
}

static void on_output(void *ctx, int stream, struct str bytes, int64_t unix_us, int64_t attempt)
{
    struct reading *r = ctx;
    r->any = true;
    stream = stream == 2 ? 2 : 1;
    if (o.timestamps || r->all->whole)
        put_lines(r, stream, bytes, unix_us, attempt);
    else
        put(r, stream, bytes);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void on_trouble(void *ctx, const struct kr_err *e)
{
    const struct reading *r = ctx;
    terminal_say("run/%.*s: %s\n", SFMT(r->name), e->msg);
}

static void on_done(void *ctx, const struct run *run, const struct kr_err *e)
{
    struct reading *r = ctx;
    r->done = true;
    r->all->done++;
    for (int stream = 1; stream <= 2; stream++)
        put_whole(r, stream);
    if (e)
        on_missing(r, e);
    else if (run && !r->any && !run->status.access_key.n)
        terminal_say("run/%.*s is %.*s: it has written nothing\n", SFMT(run->metadata.name), SFMT(run_phase(run)));
}

static void on_signal(struct loop *loop, int sig, void *ctx)
{
    (void)loop;
    (void)sig;
    ((struct all *)ctx)->interrupted = true;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static void begin(struct all *x, size_t i)
{
    struct reading *r = &x->v[i];
    *r = (struct reading){ .all = x, .name = x->named.v[i], .line = { [1] = { .max = 2 * LINE_MAX }, [2] = { .max = 2 * LINE_MAX } } };
    struct follow_config fc = { .ns = cli_ns(&x->c), .name = r->name, .logs = true, .until_end = o.follow, .attempt = o.attempt, .previous = o.previous,
                                .tail_lines = o.tail, .since_us = x->from, .output_at = on_output, .trouble = on_trouble, .missing = on_missing, .done = on_done,
                                .ctx = r };
    r->follow = follow_run(x->c.kube, &fc, &x->c.rnd);
}

/* The first error is the command's; others are told as they come. */
static void end(struct all *x, size_t i, struct kr_err *e)
{
    struct reading *r = &x->v[i];
    follow_stop(r->follow);
    buf_free(&r->line[1]);
    buf_free(&r->line[2]);
    if (r->failed)
        cli_advise(&x->c, &r->e);
    if (r->failed && x->named.n > 1)
        kr_wrap(&r->e, "run/%.*s", SFMT(r->name));
    if (r->failed && !e->code)
        *e = r->e;
    else if (r->failed)
        terminal_say("%s\n", r->e.msg);
    if (r->last && r->last != '\n' && isatty(1))
        put(r, 1, S("\n"));                      /* the prompt is not glued to it */
}

static bool one_is_over(void *ctx) { return ((struct reading *)ctx)->done || ((struct reading *)ctx)->all->interrupted; }
static bool all_are_over(void *ctx) { return ((struct all *)ctx)->done == ((struct all *)ctx)->named.n || ((struct all *)ctx)->interrupted; }

static void read_all(struct all *x, struct kr_err *e)
{
    size_t n = x->named.n;
    x->v = xcalloc(n, sizeof *x->v);
    for (size_t i = 0; i < n && !x->interrupted; i++) {
        begin(x, i);
        if (o.follow)
            continue;
        loop_run_until(x->c.loop, one_is_over, &x->v[i], INT64_MAX);
        end(x, i, e);
    }
    if (o.follow)
        loop_run_until(x->c.loop, all_are_over, x, INT64_MAX);
    for (size_t i = 0; i < n && o.follow; i++)
        end(x, i, e);
    free(x->v);
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

static int check(const struct applet_call *call, struct kr_err *e)
{
    if (o.previous && (o.attempt || o.follow))
        return kr_fail(e, KR_USAGE, "--previous is one attempt that is over: it doesn't go together with --attempt or --follow");
    return call->nargs > AT_ONCE && o.follow ? kr_fail(e, KR_USAGE, "--follow is for at most %d Runs", AT_ONCE) : 0;
}

static int read_named(struct all *x, const struct applet_call *call, struct kr_err *e)
{
    static const int signals[] = { SIGINT, SIGTERM };
    if (check(call, e) < 0 || since(clock_system.wall_us(&clock_system), &x->from, e) < 0 || cli_open_named(&x->c, &kube_runs, call, &x->named, e) < 0)
        return -1;
    x->prefix = o.has_prefix ? o.prefix : x->named.n > 1 || cli_list.selector.n;
    x->whole = x->prefix || x->grep;
    int rc = 0;
    if (o.follow && x->named.n > AT_ONCE) {
        rc = kr_fail(e, KR_TOO_LARGE, "%zu Runs have these labels: --follow is for at most %d; choose fewer, or leave it out", x->named.n, AT_ONCE);
    } else {
        loop_signals(x->c.loop, signals, LEN(signals), on_signal, x);
        read_all(x, e);
        rc = e->code ? -1 : 0;
    }
    cli_named_free(&x->named);
    cli_close(&x->c);
    return rc;
}

static int run(struct applet_call *call, struct kr_err *e)
{
    struct all x = { 0 };
    if (o.grep.n && !(x.grep = regex_compile(o.grep, e)))
        return e->code = KR_USAGE, kr_wrap(e, "--grep");
    int rc = read_named(&x, call, e);
    regex_free(x.grep);
    return rc;
}

const struct applet run_logs = {
    .name = "logs", .brief = "what it wrote: stdout to stdout, stderr to stderr", .args = "[NAME…]", .names = "runs",
    .help = "Read through the API server's port-forward from the pod that executed the Run; when that is gone, out of the Runtime's artifact store, where "
            "output is kept beside artifacts, and of every Run when the Runtime is annotated kruntimes.io/keep-logs=true. With --selector: of the Runs that have the "
            "labels now, the oldest first, or with --follow all at once.",
    .examples = "run logs hello\nrun logs @latest --follow\nrun logs hello --attempt 1 --tail 20\nrun logs -l team=a --since 1h --grep 'error|warning'", .opts = opts,
    .shared = (const struct opt *const[]){ cli_named_opts, cli_opts, NULL }, .main = run,
};
