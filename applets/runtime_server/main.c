/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime-server: our Runtime Server as a process. It reads the secret that its runtimed left in a file and unlinks the
 * file before anything is executed, listens on loopback, and ends everything it started when it is told to stop.
 */
#include "applets/runtime_server/sandbox.h"
#include "applets/runtime_server/service.h"
#include "core/applet.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/metrics.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ISOLATION_NONE, ISOLATION_PROCESS, ISOLATION_SANDBOX };
static const char *const isolations[] = { "None", "Process", "Sandbox", NULL };
static struct { struct str bind, secret_file, workspaces; struct opt_list interpreter, hide; int64_t port, grace_us, secret_wait_us; int isolation; bool namespaces; } o = {
    .bind = S("127.0.0.1"), .port = 9091, .grace_us = 5000000, .secret_wait_us = 60000000, .isolation = ISOLATION_PROCESS,
    .workspaces = S("/workspace"), .namespaces = true };
static const struct opt opts[] = {
    { "bind", 0, OPT_STR, &o.bind, "ADDR", "address to listen on" },
    { "port", 0, OPT_INT, &o.port, "PORT", "port to listen on", .lo = 0, .hi = 65535, .env = "KRUNTIMES_SERVER_PORT" },
    { "secret-file", 0, OPT_STR, &o.secret_file, "FILE", "file with the secret that callers present; it is unlinked once read" },
    { "secret-wait", 0, OPT_DURATION, &o.secret_wait_us, "TIME", "how long to wait for that file", .lo = 0, .hi = INT64_C(3600000000) },
    { "interpreter", 0, OPT_LIST, &o.interpreter, "WORD", "interpreter of scripts, one word at a time (default: bash, else sh)" },
    { "isolation", 0, OPT_ENUM, &o.isolation, "LEVEL", "what separates executions", .words = isolations },
    { "workspaces", 0, OPT_STR, &o.workspaces, "DIR", "with Sandbox: the folder of which each execution reaches its own part only" },
    { "hide", 0, OPT_LIST, &o.hide, "DIR", "with Sandbox: a folder that no execution may reach" },
    { "namespaces", 0, OPT_FLAG, &o.namespaces, NULL, "with Sandbox: namespaces of its own for each execution where this machine lets us make them",
      .env = "KRUNTIMES_SANDBOX_NAMESPACES" },
    { "grace", 0, OPT_DURATION, &o.grace_us, "TIME", "between TERM and KILL", .lo = 0, .hi = INT64_C(3600000000) },
    { 0 } };
static const struct opt *const shared[] = { log_opts, NULL };

struct process { struct loop *loop; struct str secret; };

static int allow(void *ctx, struct http_fields metadata, struct kr_err *e) { return rs_allow(((struct process *)ctx)->secret, metadata, e); }

static void on_signal(struct loop *loop, int sig, void *ctx)
{
    (void)ctx;
    log_info(&log_std, "stopping", LOG_INT("signal", sig));
    loop_stop(loop);
}

/* The sidecar writes the file when it starts: it may come after us. */
struct waiting { struct loop *loop; struct timer again; const char *path; };

static void look_again(struct loop *loop, struct timer *t)
{
    struct waiting *w = container_of(t, struct waiting, again);
    if (!fs_exists(w->path))
        loop_timer_in(loop, t, 20000);
}

static bool is_there(void *ctx) { return fs_exists(((struct waiting *)ctx)->path); }

static int read_secret(struct loop *loop, const char *path, struct buf *secret, struct kr_err *e)
{
    struct waiting w = { .loop = loop, .again = { .fire = look_again }, .path = path };
    loop_timer_in(loop, &w.again, 0);
    int rc = loop_run_until(loop, is_there, &w, loop_now_us(loop) + o.secret_wait_us);
    loop_timer_stop(loop, &w.again);
    if (rc)
        return kr_fail(e, KR_DEADLINE, "the secret \"%s\" did not appear: runtimed writes it when it starts", path);
    if (fs_read(path, secret, e) < 0)
        return -1;
    while (secret->n && secret->p[secret->n - 1] == '\n')
        secret->p[--secret->n] = '\0';
    if (secret->n < 16)
        return kr_fail(e, KR_INVALID, "the secret in \"%s\" is too short", path);
    return unlink(path) < 0 ? kr_fail_sys(e, KR_SYSTEM, errno, "remove \"%s\"", path) : 0;
}

static int serve(struct process *p, struct execs *x, struct kr_err *e)
{
    static const int signals[] = { SIGTERM, SIGINT };
    struct grpc_service services[RS_SERVICES];
    rs_services(x, services);
    struct grpc_server *s = grpc_server_new(p->loop, &(struct grpc_server_config){ .host = o.bind, .port = (uint16_t)o.port, .services = services,
                                                                                   .n = RS_SERVICES, .max_message = LIMIT_EXEC_REQUEST, .allow = allow,
                                                                                   .ctx = p }, e);
    if (!s)
        return -1;
    loop_signals(p->loop, signals, LEN(signals), on_signal, p);
    log_info(&log_std, "Runtime Server is ready", LOG_STR("address", o.bind), LOG_INT("port", grpc_server_port(s)));
    loop_run(p->loop);
    grpc_server_free(s);
    return 0;
}

/* A sandbox holds a descriptor of each folder that may be read: executions must not run out of theirs for that. */
static void raise_files(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

/* Never silently less: without what it needs there is no server. A kubelet shows the text as how the container ended. */
static int make_sandbox(struct sandbox **ret, struct kr_err *e)
{
    struct kr_err ignored = { 0 };
    raise_files();
    const char **hide = xcalloc(o.hide.n + 1, sizeof *hide);
    for (size_t i = 0; i < o.hide.n; i++)
        hide[i] = o.hide.v[i].p;
    *ret = sandbox_check(e) == 0 && fs_make_dir(o.workspaces.p, 0755, e) == 0 ? sandbox_new(o.workspaces.p, hide, o.hide.n, o.namespaces, e) : NULL;
    free(hide);
    if (*ret && !sandbox_lacks(*ret))
        log_info(&log_std, "Sandbox: rules, a filter and namespaces");
    else if (*ret)
        log_info(&log_std, "Sandbox: rules and a filter, no namespaces", LOG_Z("why", sandbox_lacks(*ret)));
    if (*ret && sandbox_leaves_open(*ret))
        log_warn(&log_std, "Sandbox: Runs may change modes, owners, times and attributes of each other's files", LOG_Z("why", sandbox_leaves_open(*ret)));
    if (*ret)
        return 0;
    AUTO_CLOSE int log = open("/dev/termination-log", O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
    if (log >= 0)
        fs_write_fd(log, str_of(e->msg), "the termination log", &ignored);
    return -1;
}

static int run(struct applet_call *call, struct kr_err *e)
{
    (void)call;
    struct sandbox *sandbox = NULL;
    if (o.isolation == ISOLATION_SANDBOX && make_sandbox(&sandbox, e) < 0)
        return -1;
    AUTO_BUF struct buf secret = { .max = 4096 };
    const char **interpreter = xcalloc(o.interpreter.n + 1, sizeof *interpreter);
    for (size_t i = 0; i < o.interpreter.n; i++)
        interpreter[i] = o.interpreter.v[i].p;
    prctl(PR_SET_DUMPABLE, 0);                    /* children of our UID can't look into us */
    metrics_use(METRICS_RUNTIME_SERVER);
    struct process p = { .loop = loop_new(&clock_system) };
    int rc = o.secret_file.n ? read_secret(p.loop, o.secret_file.p, &secret, e) : 0;
    if (rc == 0) {
        p.secret = buf_view(&secret);
        struct exec_config xc = { .interpreter = o.interpreter.n ? interpreter : NULL, .harden = o.isolation != ISOLATION_NONE, .sandbox = sandbox,
                                  .grace_ms = (int)(o.grace_us / 1000) };
        struct execs *x = execs_new(p.loop, &xc);
        rc = serve(&p, x, e);
        execs_free(x);
    }
    loop_free(p.loop);
    sandbox_free(sandbox);
    free(interpreter);
    return rc;
}

const struct applet applet_runtime_server = {
    .name = "runtime-server", .group = APPLET_COMPONENT, .brief = "executes commands in a Runtime Pod",
    .help = "Speaks executor.v1.Runtime and kruntimes.runtime.v1.RuntimeWatch to the runtimed of its pod. Each execution has a process group "
            "and session of its own; whatever it leaves behind is ended with it.",
    .opts = opts, .shared = shared, .main = run,
};
