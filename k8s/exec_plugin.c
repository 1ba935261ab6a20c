/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_plugin: two things are waited for, the child's end and the end of what it prints (a grandchild may hold the pipe: what
 * was printed by the child's end counts). Who hangs or babbles is killed. Tested in tests/unit/k8s/exec_plugin.c.
 */
#include "k8s/exec_plugin.h"
#include "core/json.h"
#include "core/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct exec_plugin {
    struct loop *loop;
    const struct kube_exec *x;
    struct exec_plugin_user user;
    struct child child;
    struct fdsrc out;
    struct timer limit;
    struct defer failed;                          /* it could not be started: told from the loop */
    struct buf printed;
    struct kr_err e;
    int seconds;
    bool running, grouped;
};

/* ---- what it is told ------------------------------------------------------------------------------------------------ */

void exec_plugin_info(struct buf *b, const struct kube_exec *x, bool interactive)
{
    jw_begin(b, '{');
    jw_kstr(b, "kind", S("ExecCredential"));
    jw_kstr(b, "apiVersion", x->api_version);
    jw_kbegin(b, "spec", '{');
    if (x->cluster.n)
        jw_kraw(b, "cluster", x->cluster);
    jw_kbool(b, "interactive", interactive);
    jw_end(b, '}');
    jw_end(b, '}');
}

static bool is_overridden(const struct kube_exec *x, struct str entry)
{
    ptrdiff_t n = str_chr(entry, '=');
    struct str name = { entry.p, n < 0 ? entry.n : (size_t)n };
    for (size_t i = 0; i < x->nenv; i++)
        if (str_eq(x->env[i].name, name))
            return true;
    return str_is(name, "KUBERNETES_EXEC_INFO");
}

static const char **environment(const struct kube_exec *x, bool interactive, struct arena *a)
{
    AUTO_BUF struct buf info = { .max = 4 * LIMIT_FILE_INPUT };
    size_t n = 0, m = 0;
    while (environ[n])
        n++;
    const char **v = arena_alloc(a, (n + x->nenv + 2) * sizeof *v);
    for (size_t i = 0; v && i < n; i++)
        if (!is_overridden(x, str_of(environ[i])))
            v[m++] = environ[i];
    for (size_t i = 0; v && i < x->nenv; i++)
        v[m++] = arena_fmt(a, "%.*s=%.*s", SFMT(x->env[i].name), SFMT(x->env[i].value)).p;
    exec_plugin_info(&info, x, interactive);
    if (v)
        v[m] = arena_fmt(a, "KUBERNETES_EXEC_INFO=%.*s", SFMT(buf_view(&info))).p;
    return v;
}

/* ---- what it says --------------------------------------------------------------------------------------------------- */

static int read_status(struct str status, struct arena *a, struct exec_credential *c, struct kr_err *e)
{
    struct str expires = json_str_of(json_find(status, "expirationTimestamp"), a);
    c->token = json_str_of(json_find(status, "token"), a);
    c->cert = json_str_of(json_find(status, "clientCertificateData"), a);
    c->key = json_str_of(json_find(status, "clientKeyData"), a);
    if (expires.n && !time_parse(expires, &c->expires_wall_us))
        return kr_fail(e, KR_INVALID, "its expirationTimestamp is no time");
    if (!c->cert.n != !c->key.n)
        return kr_fail(e, KR_INVALID, "it gave a client %s without its %s", c->cert.n ? "certificate" : "key", c->cert.n ? "key" : "certificate");
    return c->token.n || c->cert.n ? 0 : kr_fail(e, KR_INVALID, "it gave neither a token nor a client certificate");
}

int exec_plugin_read(struct str printed, const struct kube_exec *x, struct arena *a, struct exec_credential *c, struct kr_err *e)
{
    struct kr_err why = { 0 };
    *c = (struct exec_credential){ 0 };
    if (json_scan(printed, &why) < 0)
        return kr_fail(e, KR_INVALID, "what it printed is no JSON");       /* and not repeated: it may be a secret */
    struct str version = json_str_of(json_find(printed, "apiVersion"), a), kind = json_str_of(json_find(printed, "kind"), a);
    if (!str_is(kind, "ExecCredential") || !str_eq(version, x->api_version))
        return kr_fail(e, KR_INVALID, "it printed a \"%.*s\" of \"%.*s\", an ExecCredential of \"%.*s\" is needed", (int)(kind.n < 64 ? kind.n : 64),
                       kind.p ? kind.p : "", (int)(version.n < 64 ? version.n : 64), version.p ? version.p : "", SFMT(x->api_version));
    return read_status(json_find(printed, "status"), a, c, e);
}

/* ---- its life ------------------------------------------------------------------------------------------------------- */

static void stop_reading(struct exec_plugin *p)
{
    if (p->out.fd < 0)
        return;
    loop_unwatch(p->loop, &p->out);
    close(p->out.fd);
    p->out.fd = -1;
}

static void kill_it(struct exec_plugin *p)
{
    if (p->running)
        kill(p->grouped ? -p->child.pid : p->child.pid, SIGKILL);
}

static void read_printed(struct exec_plugin *p)
{
    char chunk[16384];
    ptrdiff_t n;
    while (p->out.fd >= 0) {
        n = read(p->out.fd, chunk, sizeof chunk);
        if (n > 0)
            buf_add(&p->printed, chunk, (size_t)n);
        else if (n == 0 || (errno != EINTR && errno != EAGAIN))
            stop_reading(p);
        else if (errno == EAGAIN)
            break;
        if (p->printed.failed) {
            kr_fail(&p->e, KR_TOO_LARGE, "it printed more than %d bytes", LIMIT_EXEC_CREDENTIAL);
            stop_reading(p);
            kill_it(p);
        }
    }
    explicit_bzero(chunk, sizeof chunk);
}

static void readable(struct loop *loop, struct fdsrc *src, unsigned got)
{
    (void)loop;
    (void)got;
    read_printed(container_of(src, struct exec_plugin, out));
}

static void finish(struct exec_plugin *p, const struct exec_credential *c)
{
    if (!c)
        kr_wrap(&p->e, "credential plugin \"%.*s\"", SFMT(p->x->command));
    p->user.done(p->user.ctx, c, c ? NULL : &p->e);
}

static void ended(struct loop *loop, struct child *child, int status)
{
    struct exec_plugin *p = container_of(child, struct exec_plugin, child);
    AUTO_ARENA struct arena a = { .limit = 4 * LIMIT_EXEC_CREDENTIAL };
    struct exec_credential c;
    char how[48];
    read_printed(p);
    p->running = false;
    stop_reading(p);
    loop_timer_stop(loop, &p->limit);
    if (!p->e.code && status)
        kr_fail(&p->e, KR_UNAUTHORIZED, "it ended with %.*s", SFMT(proc_status_text(status, how)));
    if (!p->e.code)
        exec_plugin_read(buf_view(&p->printed), p->x, &a, &c, &p->e);
    finish(p, p->e.code ? NULL : &c);
}

static void time_is_up(struct loop *loop, struct timer *t)
{
    (void)loop;
    struct exec_plugin *p = container_of(t, struct exec_plugin, limit);
    kr_fail(&p->e, KR_DEADLINE, "it was not ready after %d s", p->seconds);
    stop_reading(p);
    kill_it(p);
}

static void not_started(struct loop *loop, struct defer *d)
{
    (void)loop;
    finish(container_of(d, struct exec_plugin, failed), NULL);
}

static int start(struct exec_plugin *p, bool interactive, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 16 * (size_t)LIMIT_FILE_INPUT };
    const struct kube_exec *x = p->x;
    const char **argv = arena_alloc(&a, (x->nargs + 2) * sizeof *argv), **env = environment(x, interactive, &a);
    int pipe_fd[2];
    for (size_t i = 0; argv && i <= x->nargs; i++)
        if (!(argv[i] = arena_z(&a, i ? x->args[i - 1] : x->command)))
            return kr_fail(e, KR_INVALID, "an argument has a NUL in it");
    if (a.over)
        return kr_fail(e, KR_TOO_LARGE, "arguments and environment are too long");
    if (pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK) < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "make a pipe");
    fcntl(pipe_fd[1], F_SETFL, 0);                /* the plugin's end blocks, as it expects */
    struct proc_spec spec = { .argv = argv, .envp = env, .in = interactive ? 0 : -1, .out = pipe_fd[1], .err = 2, .new_group = !interactive,
                              .death_signal = SIGTERM };
    int rc = proc_spawn(&spec, &p->child.pid, e);
    close(pipe_fd[1]);
    p->out = (struct fdsrc){ .fd = pipe_fd[0], .ready = readable };
    if (rc < 0) {
        stop_reading(p);
        if (rc == -ENOENT && x->install_hint.n)
            kr_fail(e, KR_NOT_FOUND, "it is not installed: %.*s", (int)str_rune_cut(x->install_hint, 300), x->install_hint.p);
        return -1;
    }
    p->running = true;
    p->grouped = !interactive;
    p->child.ended = ended;
    loop_watch(p->loop, &p->out, LOOP_IN);
    return loop_child(p->loop, &p->child, e);
}

struct exec_plugin *exec_plugin_run(struct loop *loop, const struct kube_exec *x, struct exec_plugin_user user)
{
    struct exec_plugin *p = xcalloc(1, sizeof *p);
    bool terminal = isatty(0), interactive = terminal && x->interactive != KUBE_NEVER;
    *p = (struct exec_plugin){ .loop = loop, .x = x, .user = user, .out = { .fd = -1 }, .limit = { .fire = time_is_up }, .failed = { .run = not_started },
                               .printed = { .max = LIMIT_EXEC_CREDENTIAL },
                               .seconds = interactive ? LIMIT_EXEC_DIALOG_SECONDS : LIMIT_EXEC_PLUGIN_SECONDS };
    int rc = x->interactive == KUBE_ALWAYS && !terminal
                 ? kr_fail(&p->e, KR_UNAUTHORIZED, "it needs a terminal to ask at (interactiveMode: Always), and standard input is none")
                 : start(p, interactive, &p->e);
    if (rc < 0)
        loop_defer(loop, &p->failed);
    else
        loop_timer_in(loop, &p->limit, p->seconds * INT64_C(1000000));
    return p;
}

void exec_plugin_free(struct exec_plugin *p)
{
    if (!p)
        return;
    if (p->running) {
        kill_it(p);
        loop_child_forget(p->loop, &p->child);
        while (waitpid(p->child.pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    stop_reading(p);
    loop_timer_stop(p->loop, &p->limit);
    loop_defer_cancel(p->loop, &p->failed);
    if (p->printed.p)
        explicit_bzero(p->printed.p, p->printed.n);
    buf_free(&p->printed);
    free(p);
}
