/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local: everything on this machine: up, down, status, and run for one shot. `run` uses an instance that is up; else it
 * starts one in a folder of its own and leaves nothing behind.
 */
#include "applets/local/backup.h"
#include "applets/local/instance.h"
#include "applets/local/user.h"
#include "core/applet.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/terminal.h"
#include "crds/follow_flow.h"
#include "crds/submit.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { READY_US = 60000000 };
static struct { struct str dir; struct opt_list files; int64_t port; bool foreground, keep; } o = { .port = 7443 };
const struct opt local_dir_opts[] = {
    { "state-dir", 0, OPT_STR, &o.dir, "DIR", "folder of the instance (default $XDG_STATE_HOME/kruntimes)", .env = "KRUNTIMES_STATE_DIR" },
    { 0 } };
static const struct opt up_opts[] = {
    { "port", 0, OPT_INT, &o.port, "PORT", "port of the API server on 127.0.0.1; 0: any that is free", .lo = 0, .hi = 65535 },
    { 0 } };
static const struct opt run_opts[] = {
    { "file", 'f', OPT_LIST, &o.files, "FILE", "file with Runs or Workflows (repeatable; - is stdin)" },
    { "keep", 0, OPT_FLAG, &o.keep, NULL, "leave what was made in an instance that was up" },
    { 0 } };

int local_state_dir(char out[4096], struct kr_err *e)
{
    if (!o.dir.n)
        return instance_default_dir(out, e);
    return (size_t)snprintf(out, 4096, "%s", o.dir.p) < 4096 ? 0 : kr_fail(e, KR_TOO_LARGE, "the path of the state folder is too long");
}

/* ---- up, down, status -------------------------------------------------------------------------------------------- */

static int up(struct applet_call *c, struct kr_err *e)
{
    char dir[4096];
    struct rnd rnd;
    struct kube *kube = NULL;
    pid_t pid;
    (void)c;
    if (local_state_dir(dir, e) < 0)
        return -1;
    if ((pid = instance_pid(dir)) != 0) {
        printf("up already: PID %ld\nexport KUBECONFIG=%s/kubeconfig\n", (long)pid, dir);
        return 0;
    }
    if (instance_start(dir, o.port, false, &pid, e) < 0)
        return -1;
    rnd_system(&rnd);
    struct loop *loop = loop_new(&clock_system);
    int rc = instance_wait(loop, (struct instance_goal){ dir, pid, READY_US, .every_pod = true }, &rnd, &kube, e);
    kube_free(kube);
    loop_free(loop);
    if (rc < 0) {
        struct kr_err ignored = { 0 };
        if (instance_pid(dir))
            instance_stop(dir, pid, true, &ignored);
        return -1;
    }
    printf("up: PID %ld, Runtime bash is ready\nexport KUBECONFIG=%s/kubeconfig\n", (long)pid, dir);
    return 0;
}

static int down(struct applet_call *c, struct kr_err *e)
{
    char dir[4096];
    (void)c;
    if (local_state_dir(dir, e) < 0)
        return -1;
    pid_t pid = instance_pid(dir);
    if (!pid) {
        printf("not up\n");
        return 0;
    }
    if (instance_stop(dir, pid, false, e) < 0)
        return -1;
    printf("down\n");
    return 0;
}

static int status(struct applet_call *c, struct kr_err *e)
{
    char dir[4096];
    struct rnd rnd;
    struct kube *kube = NULL;
    if (local_state_dir(dir, e) < 0)
        return -1;
    pid_t pid = instance_pid(dir);
    if (!pid) {
        printf("not up (%s)\n", dir);
        c->fail_exit = 3;
        return 3;
    }
    rnd_system(&rnd);
    struct loop *loop = loop_new(&clock_system);
    int rc = instance_wait(loop, (struct instance_goal){ dir, 0, 5000000 }, &rnd, &kube, e);
    if (rc == 0)
        printf("up: PID %ld, %.*s, Runtime bash is ready (%s)\n", (long)pid, SFMT(kube_server(kube)), dir);
    kube_free(kube);
    loop_free(loop);
    return rc;
}

/* ---- run --------------------------------------------------------------------------------------------------------- */

struct one {
    struct session *s;
    const struct submission *x;
    char name[260];
    struct kube_call *call;
    struct follow *follow;
    struct flow_follow *flow;
    struct terminal terminal[3];
    bool done, made;
    int exit;
    char line[900];
};
struct session {
    struct loop *loop;
    struct kube *kube;
    struct rnd rnd;
    struct one *ones; size_t n, left, at;
    bool interrupted, mid_line;                   /* of what stderr shows */
    struct kr_err lost;                           /* why output did not arrive; all is executed all the same */
    char told[128];
};

static void submit_next(struct session *s);

static void finished(struct one *x, int status, const char *line)
{
    x->done = true;
    x->exit = status;
    snprintf(x->line, sizeof x->line, "%s", line);
    x->s->left--;
    submit_next(x->s);
}

static void on_output(void *ctx, int stream, struct str bytes)
{
    struct one *x = ctx;
    int fd = stream == 2 ? 2 : 1;
    terminal_write(&x->terminal[fd], fd, bytes, &x->s->lost);
    if (bytes.n && (stream == 2 || isatty(1)))
        x->s->mid_line = bytes.p[bytes.n - 1] != '\n';
}

/* What we say begins a line, also behind output that doesn't end one. */
static void begin_line(struct session *s)
{
    if (s->mid_line)
        fputc('\n', stderr);
    s->mid_line = false;
}

/* Why a Run waits, said once per reason. */
static void on_changed(void *ctx, const struct run *r)
{
    struct one *x = ctx;
    for (size_t i = 0; r->has_status && i < r->status.conditions.n; i++) {
        const struct condition *c = &r->status.conditions.v[i];
        if (!str_is(c->type, "Scheduled") || !str_is(c->status, "False") || str_is(c->reason, x->s->told))
            continue;
        snprintf(x->s->told, sizeof x->s->told, "%.*s", (int)(c->reason.n < 127 ? c->reason.n : 127), c->reason.p);
        begin_line(x->s);
        terminal_say("run/%s waits: %.*s: %.*s\n", x->name, SFMT(c->reason), SFMT(c->message));
    }
}

static void on_trouble(void *ctx, const struct kr_err *e)
{
    struct one *x = ctx;
    begin_line(x->s);
    terminal_say("%s/%s: %s\n", x->flow ? "workflow" : "run", x->name, e->msg);
}

static void on_done(void *ctx, const struct run *r, const struct kr_err *e)
{
    struct one *x = ctx;
    char line[900], text[32] = "";
    int64_t begun, ended;
    if (e || !r) {
        snprintf(line, sizeof line, "run/%s: %.300s", x->name, e ? e->msg : "it was deleted");
        finished(x, e ? failure_exit_status(e) : EXIT_LOST, line);
        return;
    }
    if (time_parse(r->status.timings.executed, &begun) && time_parse(r->status.timings.finished, &ended) && ended - begun < 1000000)
        snprintf(text, sizeof text, " in %lld ms", (long long)(ended - begun) / 1000);
    else if (r->status.duration.n)
        snprintf(text, sizeof text, " in %.*s", (int)(r->status.duration.n < 20 ? r->status.duration.n : 20), r->status.duration.p);
    struct str phase = run_phase(r), reason = r->status.reason, message = r->status.message;
    if (str_is(phase, "Succeeded") || !reason.n)
        snprintf(line, sizeof line, "run/%s %.*s%s", x->name, SFMT(phase), text);
    else
        snprintf(line, sizeof line, "run/%s %.*s%s: %.*s%s%.*s", x->name, SFMT(phase), text, SFMT(reason), message.n ? ": " : "",
                 (int)(message.n < 400 ? message.n : 400), message.p);
    finished(x, run_exit_status(r), line);
}

/* Lines of steps that run side by side, each with the step in front. */
static void on_line(void *ctx, struct str label, int stream, struct str line)
{
    AUTO_BUF struct buf b = { .max = 65536 };
    struct one *x = ctx;
    buf_fmt(&b, "%.*s | ", SFMT(label));
    buf_str(&b, line);
    terminal_write(NULL, stream == 2 ? 2 : 1, buf_view(&b), &x->s->lost);
}

static void on_child(void *ctx, const struct run *r) { on_changed(ctx, r); }

static void on_flow_done(void *ctx, const struct workflow *w, int status, const struct kr_err *e)
{
    struct one *x = ctx;
    char line[900];
    int64_t begun, ended;
    if (e || !w) {
        snprintf(line, sizeof line, "workflow/%s: %.300s", x->name, e ? e->msg : "it was deleted");
    } else {
        struct str phase = w->status.phase, reason = w->status.reason, message = w->status.message;
        bool timed = time_parse(w->status.start_time, &begun) && time_parse(w->status.completion_time, &ended);
        snprintf(line, sizeof line, "workflow/%s %.*s%s%.0lld%s%s%.*s%s%.*s", x->name, SFMT(phase), timed ? " in " : "", timed ? (long long)(ended - begun) / 1000000 : 0,
                 timed ? (ended - begun < 1000000 ? "less than 1 s" : " s") : "", reason.n ? ": " : "", SFMT(reason), message.n ? ": " : "",
                 (int)(message.n < 500 ? message.n : 500), message.p);
    }
    finished(x, status, line);
}

static void created(void *ctx, const struct kube_result *r)
{
    struct one *x = ctx;
    static const char *const name[] = { "metadata", "name" };
    AUTO_ARENA struct arena a = { .limit = 4096 };
    char line[900];
    x->call = NULL;
    if (r->error) {
        snprintf(line, sizeof line, "%.*s: %.400s", SFMT(x->x->from), r->error->msg);
        finished(x, failure_exit_status(r->error), line);
        return;
    }
    x->made = true;
    snprintf(x->name, sizeof x->name, "%.*s", SFMT(json_str_of(json_find_path(r->body, name, 2), &a)));
    if (x->x->resource == &kube_workflows) {
        x->flow = follow_flow(x->s->kube, &(struct flow_follow_config){ .ns = x->x->ns, .name = str_of(x->name), .logs = true, .until_end = true, .child = on_child,
                                                                        .line = on_line, .trouble = on_trouble, .done = on_flow_done, .ctx = x }, &x->s->rnd);
        return;
    }
    if (x->x->resource != &kube_runs) {
        snprintf(line, sizeof line, "runtime/%s created", x->name);
        finished(x, 0, line);
        return;
    }
    x->follow = follow_run(x->s->kube, &(struct follow_config){ .ns = x->x->ns, .name = str_of(x->name), .logs = true, .until_end = true,
                                                                .changed = on_changed, .output = on_output, .trouble = on_trouble,
                                                                .missing = on_trouble, .done = on_done, .ctx = x }, &x->s->rnd);
}

/* One after the other: their output would mix. */
static void submit_next(struct session *s)
{
    if (s->at == s->n || s->interrupted)
        return;
    struct one *x = &s->ones[s->at++];
    x->call = kube_create(s->kube, x->x->resource, x->x->ns, x->x->json, (struct kube_user){ created, x });
}

static bool all_done(void *ctx)
{
    struct session *s = ctx;
    return s->left == 0 || s->interrupted;
}

static void on_signal(struct loop *loop, int sig, void *ctx)
{
    (void)loop;
    (void)sig;
    ((struct session *)ctx)->interrupted = true;
}

static void nothing(void *ctx, const struct kube_result *r)
{
    (void)r;
    ++*(size_t *)ctx;
}

struct count { size_t *have, want; };
static bool counted(void *ctx)
{
    struct count *c = ctx;
    return *c->have >= c->want;
}

/* What this command made in an instance that stays goes again. */
static void remove_all(struct session *s)
{
    size_t have = 0, want = 0;
    for (size_t i = s->n; i-- > 0;)
        if (s->ones[i].made) {
            kube_delete(s->kube, s->ones[i].x->resource, s->ones[i].x->ns, str_of(s->ones[i].name), S(""), -1, (struct kube_user){ nothing, &have });
            want++;
        }
    loop_run_until(s->loop, counted, &(struct count){ &have, want }, loop_now_us(s->loop) + 5000000);
}

static int run_all(struct session *s, const struct submissions *list, bool clean, struct kr_err *e)
{
    int rc = 0;
    s->ones = xcalloc(list->n, sizeof *s->ones);
    s->n = s->left = list->n;
    for (size_t i = 0; i < list->n; i++)
        s->ones[i] = (struct one){ .s = s, .x = &list->v[i] };
    submit_next(s);
    loop_run_until(s->loop, all_done, s, INT64_MAX);
    begin_line(s);
    for (size_t i = 0; i < s->n; i++) {
        struct one *x = &s->ones[i];
        follow_stop(x->follow);
        follow_flow_stop(x->flow);
        kube_cancel(x->call);
        if (x->done)
            terminal_say("%s\n", x->line);
        if (x->exit && !rc)
            rc = x->exit;
    }
    if (s->lost.code) {
        terminal_say("%s\n", s->lost.msg);
        rc = rc ? rc : EXIT_OTHER;
    }
    if (clean)
        remove_all(s);
    free(s->ones);
    return s->interrupted ? kr_fail(e, KR_CANCELLED, "interrupted") : rc;
}

/* A folder that goes with us. */
static int temporary_dir(char out[4096], struct kr_err *e)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(out, 4096, "%.4000s/kruntimes-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    return mkdtemp(out) ? 0 : kr_fail_sys(e, KR_SYSTEM, errno, "make a folder \"%s\"", out);
}

/* supervisor: 0 when the instance isn't ours. */
static int run_in(struct session *s, const char *dir, pid_t supervisor, const struct submissions *list, struct kr_err *e)
{
    struct instance_goal goal = { dir, supervisor, READY_US, .interrupted = &s->interrupted };
    int rc = instance_wait(s->loop, goal, &s->rnd, &s->kube, e);
    if (rc == 0)
        rc = run_all(s, list, !supervisor && !o.keep, e);
    kube_free(s->kube);
    return rc;
}

static int run_in_own(struct session *s, const struct submissions *list, struct kr_err *e)
{
    char dir[4096];
    pid_t pid;
    struct kr_err ignored = { 0 };
    if (temporary_dir(dir, e) < 0)
        return -1;
    int rc = instance_start(dir, 0, true, &pid, e);
    if (rc == 0) {
        rc = run_in(s, dir, pid, list, e);
        instance_stop(dir, pid, true, &ignored);
    }
    fs_remove_tree(dir, &ignored);
    return rc;
}

/* A signal is heard from here on: whenever it comes, nothing of ours is left behind. */
static int run_session(const struct submissions *list, struct kr_err *e)
{
    static const int signals[] = { SIGINT, SIGTERM };
    char dir[4096];
    struct session s = { 0 };
    if (local_state_dir(dir, e) < 0)
        return -1;
    rnd_system(&s.rnd);
    s.loop = loop_new(&clock_system);
    loop_signals(s.loop, signals, LEN(signals), on_signal, &s);
    int rc = instance_pid(dir) ? run_in(&s, dir, 0, list, e) : run_in_own(&s, list, e);
    loop_free(s.loop);
    return rc;
}

static int run(struct applet_call *c, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 256 << 20 };
    struct submissions list = { 0 };
    int rc = 0;
    c->fail_exit = EXIT_USAGE;
    for (size_t i = 0; i < o.files.n && rc == 0; i++)
        rc = submit_read(&list, o.files.v[i].p, S("default"), &a, e);
    for (size_t i = 0; i < c->nargs && rc == 0; i++)
        rc = submit_read(&list, c->args[i].p, S("default"), &a, e);
    if (rc == 0 && !o.files.n && !c->nargs)
        rc = kr_fail(e, KR_USAGE, "no file: name one with -f");
    if (rc == 0) {
        c->fail_exit = EXIT_OTHER;
        rc = run_session(&list, e);
        if (rc < 0)
            c->fail_exit = failure_exit_status(e);
    }
    opt_list_free(&o.files);
    return rc;
}

/* ---- the applet --------------------------------------------------------------------------------------------------- */

static const struct opt *const shared[] = { local_dir_opts, log_opts, NULL };
static const struct applet verb_up = { .name = "up", .brief = "start an instance that stays", .opts = up_opts, .shared = shared, .main = up };
static const struct applet verb_down = { .name = "down", .brief = "stop it; its state stays", .shared = shared, .main = down };
static const struct applet verb_status = { .name = "status", .brief = "is it up?", .shared = shared, .main = status };
static const struct applet verb_run = {
    .name = "run", .brief = "execute Runs and Workflows from files, print their output, exit with their exit code", .args = "[FILE…]",
    .help = "Uses the instance that is up; else starts one, and leaves nothing behind. Several go one after the other; lines of a Workflow "
            "have the step that wrote them in front. The exit status is the Run's own (of a Workflow that of the step that failed it), the first "
            "that isn't 0; failures of ours are 120 to 125.",
    .examples = "local run -f manifests/samples/hello.yaml\nlocal run a.yaml b.yaml", .opts = run_opts, .shared = shared, .main = run,
    .usage_exit = EXIT_USAGE };
const struct applet applet_local = {
    .name = "local", .group = APPLET_WORK, .brief = "an instance on this machine, without a cluster",
    .verbs = (const struct applet *const[]){ &verb_up, &verb_down, &verb_status, &verb_run, &local_user_applet, &local_backup_applet, &local_restore_applet, NULL } };
