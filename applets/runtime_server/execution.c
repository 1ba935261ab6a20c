/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execution: a shim and two pipes make one execution.
 *
 * It ends when the shim says so: then nobody below is left, what stands in the pipes is read to the end (nobody holds them
 * open any more) and the state changes. Cancel only tells the shim to end it and waits for the same end; who follows the
 * execution then has the rest of its output before the entry goes.
 * Not here: how processes are found and ended (shim.c), gRPC (service.c). Tests: tests/unit/applets/runtime_server.c
 */
#include "applets/runtime_server/execution.h"
#include "applets/runtime_server/oom.h"
#include "applets/runtime_server/sandbox.h"
#include "applets/runtime_server/shims.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

struct stream { struct fdsrc src; struct execution *x; struct output out; unsigned held; };
struct execution {
    struct execs *all;
    struct str id;
    struct stream streams[2];
    struct shim *shim;                   /* NULL when it has ended */
    struct timer deadline;               /* of the command; when it has ended, of Cancel */
    bool timed_out;
    int64_t oom_before;                  /* processes that the kernel had killed for want of memory when it began */
    enum exec_state state;
    int32_t exit_code;
    char error[256], command[64];
    struct exec_watch *watches;
    void (*cancelled)(void *ctx);
    void *cancel_ctx;
    bool cancel;
};
struct execs { struct loop *loop; struct exec_config cfg; struct shims *shims; struct map by_id; size_t running; };

struct execs *execs_new(struct loop *loop, const struct exec_config *cfg)
{
    struct execs *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->cfg = *cfg;
    s->shims = shims_new(loop);
    return s;
}

static void tell(struct execution *x, bool gone)
{
    for (struct exec_watch *w = x->watches, *next; w; w = next) {
        next = w->next;
        w->changed(w, x, gone);
    }
}

/* ---- output ---- */
/* True when there may be more. */
static bool read_some(struct stream *st)
{
    UNFILLED char bytes[32768];
    ssize_t n = read(st->src.fd, bytes, sizeof bytes);
    if (n > 0) output_add(&st->out, (struct str){ bytes, (size_t)n });
    if (n > 0 || (n < 0 && errno == EINTR)) return true;
    if (n < 0 && errno == EAGAIN) return false;
    loop_unwatch(st->x->all->loop, &st->src);
    close(st->src.fd);
    st->src.fd = -1;
    return false;
}

static void readable(struct loop *l, struct fdsrc *src, unsigned got)
{
    struct stream *st = container_of(src, struct stream, src);
    (void)l, (void)got;
    uint64_t before = st->out.total;
    for (int rounds = 0; rounds < 8 && st->src.fd >= 0 && read_some(st); rounds++) {}    /* then others have their turn */
    if (st->out.total != before) tell(st->x, false);
}

void exec_hold(struct execution *x, int stream, bool on)
{
    struct stream *st = &x->streams[stream - 1];
    st->held = on ? st->held + 1 : st->held - 1;
    if (st->src.fd >= 0) loop_watch(x->all->loop, &st->src, st->held ? 0 : LOOP_IN);
}

/* ---- the end ---- */
static void remove_execution(struct execution *x)
{
    struct loop *l = x->all->loop;
    map_del(&x->all->by_id, x->id);
    if (x->cancelled) x->cancelled(x->cancel_ctx);
    tell(x, true);
    loop_timer_stop(l, &x->deadline);
    for (int i = 0; i < 2; i++) {
        if (x->streams[i].src.fd >= 0) loop_unwatch(l, &x->streams[i].src), close(x->streams[i].src.fd);
        output_free(&x->streams[i].out);
    }
    free((char *)x->id.p);
    xblock_free(x, sizeof *x);
}

static void cancel_is_over(struct loop *l, struct timer *t)
{
    (void)l;
    remove_execution(container_of(t, struct execution, deadline));
}

/* Nothing runs any more; who follows may be behind by what hold() lets pass, and has the time for it that the command had to end. */
static void end_cancel(struct execution *x)
{
    x->deadline.fire = cancel_is_over;
    loop_timer_in(x->all->loop, &x->deadline, x->watches ? x->all->cfg.grace_ms * INT64_C(1000) : 0);
}

static void judge_exec(struct execution *x, int err)
{
    x->state = EXEC_FAILED;
    x->exit_code = err == ENOENT || err == ENOTDIR ? 127 : 126;
    if (x->exit_code == 127) snprintf(x->error, sizeof x->error, "NotFound: command \"%s\" was not found (or the interpreter its \"#!\" line names)", x->command);
    else if (err == E2BIG) snprintf(x->error, sizeof x->error, "TooLarge: arguments and environment are more than the kernel takes");
    else snprintf(x->error, sizeof x->error, "NotExecutable: command \"%s\" can't be executed: %s", x->command, strerror(err));
}

static void judge(struct execution *x, const struct shim_report *r)
{
    if (r->exec_errno) {
        judge_exec(x, r->exec_errno);
    } else if (WIFSIGNALED(r->status)) {
        x->state = EXEC_FAILED;
        x->exit_code = 128 + WTERMSIG(r->status);
        snprintf(x->error, sizeof x->error, "Signalled: ended by signal %d (%s)", WTERMSIG(r->status), strsignal(WTERMSIG(r->status)));
    } else {
        x->exit_code = WEXITSTATUS(r->status);
        x->state = x->exit_code ? EXEC_FAILED : EXEC_SUCCEEDED;
    }
    if (!x->timed_out) return;
    x->state = EXEC_FAILED;
    snprintf(x->error, sizeof x->error, "Timeout: not done in time");
}

/* By a signal, or by the exit code with which a shell tells that of its last command. */
static void judge_kill(struct execution *x)
{
    if (x->exit_code != 128 + SIGKILL || x->timed_out || oom_kills() <= x->oom_before) return;
    snprintf(x->error, sizeof x->error, "OOMKilled: the kernel killed it: what the pod may have of memory was used up");
}

static void shim_ended(void *ctx, const struct shim_report *report)
{
    struct execution *x = ctx;
    for (int i = 0; i < 2; i++)
        while (x->streams[i].src.fd >= 0 && read_some(&x->streams[i])) {}
    loop_timer_stop(x->all->loop, &x->deadline);
    x->all->running--;
    x->shim = NULL;
    if (report) {
        judge(x, report);
    } else {
        x->state = EXEC_FAILED;
        x->exit_code = 128 + SIGKILL;
        snprintf(x->error, sizeof x->error, "Signalled: the process that watched over the command was killed");
    }
    judge_kill(x);
    tell(x, false);
    if (x->cancel) end_cancel(x);
}

static void deadline_passed(struct loop *l, struct timer *t)
{
    struct execution *x = container_of(t, struct execution, deadline);
    (void)l;
    x->timed_out = true;
    shim_end(x->shim);
}

/* ---- the start ---- */
static struct str env_get(const struct exec_request *r, const char *key, struct str or)
{
    for (size_t i = r->nenv; i-- > 0;)
        if (str_is(r->env[i].key, key)) return r->env[i].value;
    return or;
}

/* The server's environment without what is its own, the request's over it. */
static int env_build(char ***out, const struct exec_request *r, struct arena *a, struct kr_err *e)
{
    extern char **environ;
    size_t n = 0, most = r->nenv + 1;
    for (char **v = environ; *v; v++) most++;
    char **envp = arena_alloc(a, most * sizeof *envp);
    if (!envp) return kr_fail(e, KR_TOO_LARGE, "environment is too large");
    struct map given = { 0 };
    for (size_t i = 0; i < r->nenv; i++) map_put(&given, r->env[i].key, (void *)(i + 1));
    for (char **v = environ; *v; v++) {
        struct str rest = str_of(*v), key = str_cut(&rest, '=');
        if (!str_starts(key, S("KR_")) && !map_get(&given, key)) envp[n++] = *v;
    }
    bool bad = false;
    for (size_t i = 0; i < r->nenv && !bad; i++) {
        if (map_get(&given, r->env[i].key) != (void *)(i + 1)) continue;        /* a later one of the same name wins */
        bad = !r->env[i].key.n || str_chr(r->env[i].key, '=') >= 0;
        envp[n] = arena_z(a, arena_join(a, (struct str[]){ r->env[i].key, S("="), r->env[i].value }, 3));
        bad |= !envp[n] || strlen(envp[n]) != r->env[i].key.n + 1 + r->env[i].value.n;
        n++;
    }
    map_free(&given);
    if (bad) return kr_fail(e, KR_INVALID, a->over ? "environment is too large" : "an environment variable has no name, a \"=\" in its name, or a NUL byte");
    *out = envp;
    return 0;
}

static void watch_streams(struct execution *x)
{
    for (int i = 0; i < 2; i++) {
        x->streams[i].x = x;
        x->streams[i].src.ready = readable;
        loop_watch(x->all->loop, &x->streams[i].src, LOOP_IN);
    }
}

static int launch(struct execution *x, struct shim_spec *spec, struct kr_err *e)
{
    int p[2][2];
    for (int i = 0; i < 2; i++)
        if (pipe2(p[i], O_CLOEXEC) < 0) {
            int err = errno;
            while (i--) close(p[i][0]), close(p[i][1]);
            return kr_fail_sys(e, KR_SYSTEM, err, "no pipes for the execution");
        }
    spec->out = p[0][1], spec->err = p[1][1];
    x->shim = shims_start(x->all->shims, spec, shim_ended, x, e);
    for (int i = 0; i < 2; i++) {
        close(p[i][1]);
        fcntl(p[i][0], F_SETFL, O_NONBLOCK);
        if (x->shim) x->streams[i].src.fd = p[i][0];
        else close(p[i][0]);
    }
    return x->shim ? 0 : -1;
}

/* The folder of the Run is above that of $KRUNTIME_OUTPUTS, which runtimed sets and a Run's env can't. Empty: there is none. */
static const char *folder_of(const struct exec_request *r, struct arena *a)
{
    struct str outputs = env_get(r, "KRUNTIME_OUTPUTS", S(""));
    for (int up = 0; up < 2; up++) {
        while (outputs.n && outputs.p[outputs.n - 1] != '/') outputs.n--;
        if (outputs.n) outputs.n--;
    }
    const char *folder = arena_z(a, outputs);
    return folder ? folder : "";
}

/* A shared working directory lies elsewhere. */
static int rules_of(const struct execs *s, const char *folder, int dir, struct arena *a, struct kr_err *e)
{
    const char *own[] = { *folder ? folder : NULL, arena_fmt(a, "/proc/self/fd/%d", dir).p };
    return sandbox_rules(s->cfg.sandbox, own, LEN(own), e);
}

/* $KRUNTIME_MEMORY is what the Run asks for, in bytes: runtimed sets it, and a Run's env can't. */
static int64_t memory_of(const struct exec_request *r)
{
    int64_t n;
    return str_i64(env_get(r, "KRUNTIME_MEMORY", S("")), &n) && n > 0 ? n : 0;
}

static int start_in(struct execs *s, const struct exec_request *r, int dir, const char *where, struct execution *x, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_EXEC_REQUEST };
    struct shim_spec spec = { .dir = dir, .grace_ms = s->cfg.grace_ms, .harden = s->cfg.harden };
    const char *own = getenv("PATH");
    struct str path = env_get(r, "PATH", own && *own ? str_of(own) : S("/usr/local/bin:/usr/bin:/bin"));
    AUTO_CLOSE int rules = -1;
    spec.folder = folder_of(r, &a);
    if (s->cfg.sandbox && (rules = rules_of(s, spec.folder, dir, &a, e)) < 0) return -1;
    spec.sandbox = s->cfg.sandbox;
    spec.rules = rules;
    if (spec.sandbox) spec.memory = memory_of(r);
    spec.where = where;
    struct argv_request want = { r->entrypoint, r->args, s->cfg.interpreter, path, dir };
    if (argv_build(&spec.argv, &want, &a, e) < 0 || env_build(&spec.envp, r, &a, e) < 0) return -1;
    if (!(spec.path = arena_z(&a, path))) return kr_fail(e, KR_INVALID, "PATH has a NUL byte inside");
    snprintf(x->command, sizeof x->command, "%s", spec.argv[0]);
    x->command[str_rune_cut(str_of(x->command), sizeof x->command - 1)] = 0;
    return launch(x, &spec, e);
}

int exec_start(struct execs *s, const struct exec_request *r, struct kr_err *e)
{
    if (map_get(&s->by_id, r->id)) return kr_fail(e, KR_EXISTS, "execution \"%.*s\" is there already", SFMT(r->id));
    if (s->by_id.n >= LIMIT_EXECUTIONS) return kr_fail(e, KR_CONFLICT, "there are %d executions already: try again when one has gone", LIMIT_EXECUTIONS);
    AUTO_FREE char *where = xstrndup(r->working_dir.n ? r->working_dir.p : ".", r->working_dir.n ? r->working_dir.n : 1);
    AUTO_CLOSE int dir = open(where, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return kr_fail_sys(e, KR_INVALID, errno, "working directory \"%s\"", where);
    struct execution *x = xblock(sizeof *x);
    *x = (struct execution){ .all = s, .oom_before = oom_kills() };
    if (start_in(s, r, dir, where, x, e) < 0) {
        xblock_free(x, sizeof *x);
        return -1;
    }
    x->id = (struct str){ xstrndup(r->id.p, r->id.n), r->id.n };
    map_put(&s->by_id, x->id, x);
    s->running++;
    watch_streams(x);
    x->deadline.fire = deadline_passed;
    if (r->timeout_s > 0) loop_timer_in(s->loop, &x->deadline, r->timeout_s * 1000000);
    return 0;
}

/* ---- asked from outside ---- */
struct execution *exec_find(struct execs *s, struct str id) { return map_get(&s->by_id, id); }
struct execution *exec_next(struct execs *s, size_t *at) { return map_next(&s->by_id, at); }
struct str exec_id(const struct execution *x) { return x->id; }
enum exec_state exec_state(const struct execution *x) { return x->state; }
int32_t exec_exit_code(const struct execution *x) { return x->exit_code; }
struct str exec_error(const struct execution *x) { return str_of(x->error); }
const struct output *exec_output(const struct execution *x, int stream) { return &x->streams[stream - 1].out; }
void exec_cancel(struct execs *s, struct execution *x, void (*done)(void *ctx), void *ctx)
{
    (void)s;
    if (x->cancelled) x->cancelled(x->cancel_ctx);       /* a second Cancel takes the place of the first, which is answered now */
    x->cancel = true;
    x->cancelled = done;
    x->cancel_ctx = ctx;
    if (x->shim) shim_end(x->shim);
    else if (!timer_is_set(&x->deadline)) end_cancel(x);
}

int exec_forget(struct execs *s, struct execution *x, struct kr_err *e)
{
    (void)s;
    if (x->state == EXEC_RUNNING) return kr_fail(e, KR_PRECONDITION, "execution \"%.*s\" is running", SFMT(x->id));
    remove_execution(x);
    return 0;
}

void exec_watch(struct execution *x, struct exec_watch *w)
{
    w->next = x->watches;
    x->watches = w;
}

void exec_unwatch(struct execution *x, struct exec_watch *w)
{
    for (struct exec_watch **at = &x->watches; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            break;
        }
    if (x->cancel && !x->shim && !x->watches) end_cancel(x);
}

void execs_free(struct execs *s)
{
    struct execution *x;
    shims_free(s->shims);
    for (size_t i = 0; (x = map_next(&s->by_id, &i));) remove_execution(x);
    map_free(&s->by_id);
    free(s);
}
