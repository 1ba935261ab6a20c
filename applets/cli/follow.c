/* SPDX-License-Identifier: Apache-2.0 */
/* follow: waiting for a Run as a command: `run submit --wait|--follow`, `run logs --follow`. */
#include "applets/cli/run.h"
#include "core/terminal.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* lost: why output did not arrive. The Run is waited for all the same. */
struct watching {
    struct cli *c;
    struct str name;
    const char *prog;
    bool done, interrupted, output;
    struct terminal terminal[3];
    struct kr_err lost;
    int exit;
    char told[128], phase[16];
};

struct str cli_ns(const struct cli *c) { return str_of(c->own_ns); }

static void on_output(void *ctx, int stream, struct str bytes)
{
    struct watching *w = ctx;
    int fd = stream == 2 ? 2 : 1;
    terminal_write(&w->terminal[fd], fd, bytes, &w->lost);
}

/* Why it waits is worth a line anywhere; progress only where somebody looks. */
static void on_changed(void *ctx, const struct run *r)
{
    struct watching *w = ctx;
    struct str phase = run_phase(r);
    if (isatty(2) && !w->output && !str_is(phase, w->phase) && !run_is_terminal(r))
        terminal_say("run/%.*s %.*s\n", SFMT(w->name), SFMT(phase));
    snprintf(w->phase, sizeof w->phase, "%.*s", (int)(phase.n < 15 ? phase.n : 15), phase.p);
    for (size_t i = 0; r->has_status && i < r->status.conditions.n; i++) {
        const struct condition *c = &r->status.conditions.v[i];
        if (!str_is(c->type, "Scheduled") || !str_is(c->status, "False") || str_is(c->reason, w->told))
            continue;
        snprintf(w->told, sizeof w->told, "%.*s", (int)(c->reason.n < 127 ? c->reason.n : 127), c->reason.p);
        terminal_say("run/%.*s waits: %.*s: %.*s\n", SFMT(w->name), SFMT(c->reason), SFMT(c->message));
    }
}

static void on_trouble(void *ctx, const struct kr_err *e)
{
    struct watching *w = ctx;
    terminal_say("run/%.*s: %s\n", SFMT(w->name), e->msg);
}

static void on_done(void *ctx, const struct run *r, const struct kr_err *e)
{
    struct watching *w = ctx;
    w->done = true;
    if (e) {
        struct kr_err why = *e;
        cli_advise(w->c, &why);
        terminal_say("%s: %s\n", w->prog, why.msg);
        w->exit = failure_exit_status(e);
        return;
    }
    if (!r) {
        terminal_say("run/%.*s: it was deleted\n", SFMT(w->name));
        w->exit = EXIT_LOST;
        return;
    }
    w->exit = run_exit_status(r);
    struct str phase = run_phase(r), reason = r->status.reason, message = r->status.message;
    if (str_is(phase, "Succeeded") && !isatty(2))
        return;
    terminal_say("run/%.*s %.*s%s%.*s%s%.*s%s%.*s\n", SFMT(w->name), SFMT(phase), r->status.duration.n ? " in " : "", SFMT(r->status.duration),
                 reason.n ? ": " : "", SFMT(reason), message.n ? ": " : "", SFMT(message));
}

static bool is_over(void *ctx)
{
    struct watching *w = ctx;
    return w->done || w->interrupted;
}

static void on_signal(struct loop *loop, int sig, void *ctx)
{
    (void)loop;
    (void)sig;
    ((struct watching *)ctx)->interrupted = true;
}

int cli_follow(struct cli *c, struct str ns, struct str name, bool output, const char *prog)
{
    static const int signals[] = { SIGINT, SIGTERM };
    struct watching w = { .c = c, .name = name, .prog = prog, .output = output };
    loop_signals(c->loop, signals, LEN(signals), on_signal, &w);
    struct follow *f = follow_run(c->kube, &(struct follow_config){ .ns = ns, .name = name, .logs = output, .until_end = true, .changed = on_changed,
                                                                    .output = on_output, .trouble = on_trouble, .missing = on_trouble, .done = on_done, .ctx = &w }, &c->rnd);
    loop_run_until(c->loop, is_over, &w, INT64_MAX);
    follow_stop(f);
    c->interrupted |= w.interrupted;
    if (w.interrupted)
        terminal_say("%s: interrupted; the Run goes on: kruntimes run cancel %.*s ends it\n", prog, SFMT(name));
    if (w.lost.code)
        terminal_say("%s: %s\n", prog, w.lost.msg);
    return w.interrupted || (w.lost.code && !w.exit) ? EXIT_OTHER : w.exit;
}
