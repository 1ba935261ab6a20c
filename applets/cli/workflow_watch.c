/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workflow_watch: a Workflow as it goes: watch, logs, and the waiting of submit. On a terminal the graph is drawn anew with
 * each change, in place; elsewhere each change of a step or job is a line. Steps are known from their Runs, which tell more
 * than the status that is written now and then. Tests: tests/local/workflow_cli.py
 */
#include "applets/cli/wait.h"
#include "applets/cli/workflow.h"
#include "core/fs.h"
#include "core/terminal.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

struct watching {
    struct str name;
    const char *prog;
    bool logs, draws, quiet, until_end, done, interrupted;      /* until_end: its end is waited for, and the exit status tells of it */
    int exit;
    struct arena arena;                           /* the graph, made once */
    struct flow *flow;
    char **letters;                               /* by job: of all steps of all legs, one after the other */
    char *phases[64];
    size_t drawn;                                 /* rows on the terminal */
    struct kr_err lost;                           /* why output did not arrive; the end is waited for all the same */
};

/* ---- drawing --------------------------------------------------------------------------------------------------------------- */

/* How many are before it, one after the other: of those it needs that is known, as they come first. */
static int depth_of(const struct flow *f, size_t job, const int *depths)
{
    int depth = 0;
    for (size_t i = 0; i < f->njobs; i++)
        if (f->jobs[job].needs >> i & 1 && depths[i] + 1 > depth)
            depth = depths[i] + 1;
    return depth;
}

static const struct { char letter; const char *sign, *colour; } signs[] = {
    { 'W', "·", "" }, { 'R', "●", "\033[33m" }, { 'S', "✓", "\033[32m" }, { 'F', "✗", "\033[31m" }, { 'C', "⊘", "\033[35m" }, { 'K', "-", "\033[2m" } };

static void put_letter(struct buf *b, char letter, bool colours)
{
    for (size_t i = 0; i < LEN(signs); i++)
        if (signs[i].letter == letter)
            buf_fmt(b, "%s%s%s", colours ? signs[i].colour : "", signs[i].sign, colours && *signs[i].colour ? "\033[0m" : "");
}

static char sum_of(const char *letters, size_t n)
{
    for (const char *p = "FCRW"; *p; p++)
        if (memchr(letters, *p, n))
            return *p == 'W' && memchr(letters, 'S', n) ? 'R' : *p;
    return memchr(letters, 'S', n) ? 'S' : 'K';
}

void flow_draw(const struct flow *f, char *const *letters, bool colours, struct buf *b)
{
    int depths[64] = { 0 };
    for (size_t o = 0; o < f->njobs; o++) {
        const struct flow_job *j = &f->jobs[f->order[o]];
        int depth = depths[f->order[o]] = depth_of(f, f->order[o], depths);
        const char *all = letters[f->order[o]];
        size_t n = j->spec->steps.n;
        const char *sep = " ← ";
        put_letter(b, sum_of(all, n * j->nlegs), colours);
        buf_fmt(b, " %*s%.*s", 2 * depth, "", SFMT(j->name));
        for (size_t l = 0; l < j->nlegs && l < 16; l++) {
            buf_byte(b, ' ');
            if (j->legs[l].name.n)
                buf_fmt(b, " %.*s:", SFMT(j->legs[l].name));
            for (size_t i = 0; i < n; i++)
                put_letter(b, all[l * n + i], colours);
        }
        if (j->nlegs > 16)
            buf_fmt(b, " … %zu legs", j->nlegs);
        for (size_t i = 0; i < f->njobs; i++)
            if (j->needs >> i & 1) {
                buf_fmt(b, "%s%.*s", sep, SFMT(f->jobs[i].name));
                sep = ", ";
            }
        buf_byte(b, '\n');
    }
}

static void draw(struct watching *w, bool last)
{
    AUTO_BUF struct buf b = { .max = 4 << 20 }, graph = { .max = 1 << 20 };
    if (!w->draws || !w->flow)
        return;
    const char *none = getenv("NO_COLOR");
    flow_draw(w->flow, w->letters, !none || !*none, &graph);
    terminal_draw(&w->drawn, buf_view(&graph), last, &b);
    fs_write_fd(1, buf_view(&b), "stdout", &w->lost);
}

/* ---- events ---------------------------------------------------------------------------------------------------------------- */

static void tell(struct watching *w, const char *what, struct str phase)
{
    AUTO_BUF struct buf b = { .max = 8192 };
    if (w->draws || w->logs)
        return;
    buf_fmt(&b, "%s %.*s\n", what, SFMT(phase));
    fs_write_fd(1, buf_view(&b), "stdout", &w->lost);
}

static void set_letter(struct watching *w, size_t job, size_t leg, size_t step, char letter, const char *word)
{
    const struct flow_job *j = &w->flow->jobs[job];
    char *at = &w->letters[job][leg * j->spec->steps.n + step];
    AUTO_ARENA struct arena a = { .limit = 4096 };
    if (*at == letter || strchr("SFC", *at))
        return;
    *at = letter;
    if (letter == 'R' || letter == 'W')
        return;
    tell(w, arena_fmt(&a, "%.*s%s%.*s%s/%.*s", SFMT(j->name), j->nlegs > 1 ? "[" : "", j->nlegs > 1 ? (int)j->legs[leg].name.n : 0, j->legs[leg].name.p,
                      j->nlegs > 1 ? "]" : "", SFMT(j->spec->steps.v[step].name)).p, str_of(word));
}

static void make_graph(struct watching *w, const struct workflow *from)
{
    AUTO_BUF struct buf text = { .max = LIMIT_API_BODY };
    struct kr_err e = { 0 };
    struct workflow x = *from;
    x.has_status = false;
    model_encode(workflow, &x, &text);
    struct workflow *own = model_decode(workflow, arena_str(&w->arena, buf_view(&text)), &w->arena, &e);
    if (!own || !(w->flow = flow_make(own, &w->arena, &e)))
        return;
    w->letters = arena_alloc(&w->arena, w->flow->njobs * sizeof *w->letters);
    for (size_t i = 0; i < w->flow->njobs; i++) {
        size_t n = w->flow->jobs[i].nlegs * w->flow->jobs[i].spec->steps.n;
        w->letters[i] = arena_alloc(&w->arena, n + 1);
        memset(w->letters[i], 'W', n);
    }
}

static void take_status(struct watching *w, const struct workflow *from)
{
    static const struct { char letter; const char *word; } words[] = { { 'S', "Succeeded" }, { 'F', "Failed" }, { 'C', "Cancelled" }, { 'K', "Skipped" } };
    for (size_t k = 0; from->has_status && k < from->status.jobs.n; k++) {
        ptrdiff_t job = flow_job_of(w->flow, from->status.jobs.v[k].key);
        const struct workflow_job_status *s = &from->status.jobs.v[k].value;
        for (size_t l = 0; job >= 0 && l < s->legs.n; l++)
            for (size_t i = 0; l < w->flow->jobs[job].nlegs && i < s->legs.v[l].steps.n && i < w->flow->jobs[job].spec->steps.n; i++)
                for (size_t q = 0; q < LEN(words); q++)
                    if (s->legs.v[l].steps.p[i] == words[q].letter)
                        set_letter(w, (size_t)job, l, i, words[q].letter, words[q].word);
    }
}

static void on_changed(void *ctx, const struct workflow *from)
{
    struct watching *w = ctx;
    if (!w->flow)
        make_graph(w, from);
    if (!w->flow || w->logs || w->quiet)
        return;
    take_status(w, from);
    draw(w, false);
}

static void on_child(void *ctx, const struct run *r)
{
    struct watching *w = ctx;
    struct str step = str_map_get(r->metadata.labels, S("kruntimes.io/step")), phase = run_phase(r);
    ptrdiff_t job = w->flow ? flow_job_of(w->flow, str_map_get(r->metadata.labels, S("kruntimes.io/job"))) : -1;
    int64_t leg = 0;
    if (job < 0 || w->logs || w->quiet || !str_i64(str_map_get(r->metadata.labels, S("kruntimes.io/leg")), &leg) || leg < 0 || (size_t)leg >= w->flow->jobs[job].nlegs)
        return;
    const struct workflow_job *spec = w->flow->jobs[job].spec;
    for (size_t i = 0; i < spec->steps.n; i++)
        if (str_eq(spec->steps.v[i].name, step)) {
            char letter = str_is(phase, "Succeeded") ? 'S' : str_is(phase, "Cancelled") ? 'C' : run_is_terminal(r) ? 'F' : 'R';
            AUTO_ARENA struct arena a = { .limit = 1024 };
            set_letter(w, (size_t)job, (size_t)leg, i, letter, arena_z(&a, phase));
        }
    draw(w, false);
}

static void on_line(void *ctx, struct str label, int stream, struct str line)
{
    AUTO_BUF struct buf b = { .max = 65536 };
    struct watching *w = ctx;
    buf_fmt(&b, "%.*s | ", SFMT(label));
    buf_str(&b, line);
    terminal_write(NULL, stream == 2 ? 2 : 1, buf_view(&b), &w->lost);
}

static void on_trouble(void *ctx, const struct kr_err *e) { terminal_say("%s: %s\n", ((struct watching *)ctx)->prog, e->msg); }

static void on_done(void *ctx, const struct workflow *x, int status, const struct kr_err *e)
{
    struct watching *w = ctx;
    w->done = true;
    w->exit = e || !x || w->until_end ? status : 0;
    if (e) {
        terminal_say("%s: %s\n", w->prog, e->msg);
        return;
    }
    if (!x) {
        terminal_say("workflow/%.*s: it was deleted\n", SFMT(w->name));
        return;
    }
    draw(w, true);
    if (workflow_is_over(x))
        terminal_say("workflow/%.*s %.*s%s%.*s%s%.*s\n", SFMT(w->name), SFMT(x->status.phase), x->status.reason.n ? ": " : "", SFMT(x->status.reason),
                     x->status.message.n ? ": " : "", SFMT(x->status.message));
}

static bool is_over(void *ctx)
{
    struct watching *w = ctx;
    return w->done || w->interrupted;
}

static void on_signal(struct loop *loop, int sig, void *ctx)
{
    (void)loop, (void)sig;
    ((struct watching *)ctx)->interrupted = true;
}

static int follow_one(struct cli *c, struct watching *w, struct str ns, struct str only)
{
    static const int signals[] = { SIGINT, SIGTERM };
    loop_signals(c->loop, signals, LEN(signals), on_signal, w);
    struct flow_follow *f = follow_flow(c->kube, &(struct flow_follow_config){ .ns = ns, .name = w->name, .logs = w->logs, .until_end = w->until_end, .only = only,
                                                                               .changed = on_changed, .child = on_child, .line = on_line, .trouble = on_trouble,
                                                                               .done = on_done, .ctx = w }, &c->rnd);
    loop_run_until(c->loop, is_over, w, INT64_MAX);
    follow_flow_stop(f);
    arena_reset(&w->arena);
    c->interrupted |= w->interrupted;
    if (w->interrupted)
        terminal_say("%s: interrupted; the Workflow goes on: kruntimes workflow cancel %.*s ends it\n", w->prog, SFMT(w->name));
    if (w->lost.code)
        terminal_say("%s: %s\n", w->prog, w->lost.msg);
    return w->interrupted || (w->lost.code && !w->exit) ? EXIT_OTHER : w->exit;
}

int cli_follow_flow(struct cli *c, struct str ns, struct str name, bool logs, bool until_end, struct str only, const char *prog)
{
    struct watching w = { .name = name, .prog = prog, .logs = logs, .draws = !logs && isatty(1), .until_end = until_end, .arena = { .limit = 64 << 20 } };
    return follow_one(c, &w, ns, only);
}

/* ---- wait -------------------------------------------------------------------------------------------------------------------- */

static int wait_one(struct cli *c, struct str name, const char *prog)
{
    struct watching w = { .name = name, .prog = prog, .quiet = true, .until_end = true, .arena = { .limit = 64 << 20 } };
    return follow_one(c, &w, cli_ns(c), S(""));
}

static int wait_all(struct applet_call *call, struct kr_err *e) { return cli_wait(call, &kube_workflows, wait_one, e); }

/* ---- watch, logs ------------------------------------------------------------------------------------------------------------- */

static struct { struct str only; bool follow; } o;
static const struct opt logs_opts[] = {
    { "only", 0, OPT_STR, &o.only, "JOB[/STEP]", "of this job, or of this step of it, alone" },
    { "follow", 'f', OPT_FLAG, &o.follow, NULL, "as it comes, until the Workflow ends" },
    { 0 } };
static const struct opt *const plain_tables[] = { cli_opts, NULL };

static int follow(struct applet_call *call, bool logs, bool until_end, struct kr_err *e)
{
    struct cli c;
    if (cli_open_latest(&c, &kube_workflows, call, 1, e) < 0) {
        call->fail_exit = failure_exit_status(e);
        return -1;
    }
    int rc = cli_follow_flow(&c, cli_ns(&c), call->args[0], logs, until_end, o.only, call->prog);
    cli_close(&c);
    return rc;
}

static int watch(struct applet_call *call, struct kr_err *e) { return follow(call, false, true, e); }
static int logs(struct applet_call *call, struct kr_err *e) { return follow(call, true, o.follow, e); }

const struct applet workflow_wait = {
    .name = "wait", .brief = "wait for the end; exit with the exit code of the step that failed it", .args = "[NAME…]", .names = "workflows", .opts = cli_wait_opts,
    .help = "Of several the exit status is that of the first that did not succeed.", .examples = "workflow wait ci --timeout 30m\nworkflow wait @latest",
    .shared = (const struct opt *const[]){ cli_named_opts, cli_opts, NULL }, .main = wait_all, .usage_exit = EXIT_USAGE };
const struct applet workflow_watch = {
    .name = "watch", .brief = "its jobs and steps as they go, until it ends", .args = "NAME", .names = "workflows", .min_args = 1, .max_args = 1,
    .help = "On a terminal the graph of jobs is drawn anew in place; elsewhere each step that ends is a line. The exit status is that of the step that failed it.",
    .shared = plain_tables, .main = watch, .usage_exit = EXIT_USAGE };
const struct applet workflow_logs = {
    .name = "logs", .brief = "what its steps wrote, each line with its step in front", .args = "NAME", .names = "workflows", .min_args = 1, .max_args = 1, .opts = logs_opts,
    .shared = plain_tables, .main = logs };
