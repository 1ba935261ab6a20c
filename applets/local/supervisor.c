/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor: starts the API server, then controller, scheduler and node, each a process of this binary, and starts again
 * what ends, with waits that double. They die with it. Stopping goes the other way round, the API server last.
 */
#include "applets/local/instance.h"
#include "core/applet.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PARTS = 4, WAIT_MIN_US = 20000, WAIT_MAX_US = 5000000, LIVED_US = 5000000, KUBECONFIG_US = 5000, PART_STOP_US = 4000000 };
static struct { struct str dir; int64_t port; } o = { .port = 7443 };
static const struct opt opts[] = {
    { "state-dir", 0, OPT_STR, &o.dir, "DIR", "folder of the instance", .required = true },
    { "port", 0, OPT_INT, &o.port, "PORT", "port of the API server; 0: any that is free", .lo = 0, .hi = 65535 },
    { 0 } };
static const struct opt *const shared[] = { log_opts, NULL };

struct supervisor;
struct part { struct supervisor *s; const char *name; struct child child; struct timer again; int64_t started_us, wait_us; bool running; };
struct supervisor {
    struct loop *loop;
    struct part parts[PARTS];
    struct timer look;
    int lock;
    bool api_up, stopping;
    int64_t port;
    struct kr_err e;
};

static const char *path_of(struct arena *a, const char *name) { return fs_join(a, o.dir.p, name); }

/* ---- one part ---------------------------------------------------------------------------------------------------- */

static size_t arguments(struct part *p, const char **v, struct arena *a)
{
    size_t n = 0;
    v[n++] = "kruntimes";
    v[n++] = p->name;
    if (!strcmp(p->name, "apiserver")) {
        v[n++] = "--state-dir";
        v[n++] = o.dir.p;
        v[n++] = "--pods-dir";
        v[n++] = path_of(a, "pods");
        v[n++] = "--port";
        v[n++] = arena_fmt(a, "%lld", (long long)p->s->port).p;
        return n;
    }
    bool node = !strcmp(p->name, "node");        /* controller and scheduler may no more than in a cluster */
    v[n++] = "--kubeconfig";
    v[n++] = node ? path_of(a, "kubeconfig") : arena_fmt(a, "%s-%s", path_of(a, "kubeconfig"), p->name).p;
    if (node) {
        v[n++] = "--dir";
        v[n++] = path_of(a, "pods");
        v[n++] = "--volumes";
        v[n++] = path_of(a, "volumes");
        return n;
    }
    v[n++] = "--no-leader-elect";
    v[n++] = "--metrics-bind=off";
    v[n++] = "--probes-bind=off";
    return n;
}

static void start_part(struct part *p)
{
    extern char **environ;
    const char *argv[16] = { NULL };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct kr_err e = { 0 };
    arguments(p, argv, &a);
    AUTO_CLOSE int log = instance_open_log(o.dir.p, p->name);
    struct proc_spec s = { .argv = argv, .envp = (const char *const *)environ, .program = "/proc/self/exe", .in = -1, .out = log, .err = log,
                           .new_group = true, .death_signal = SIGKILL };
    p->started_us = loop_now_us(p->s->loop);
    if (proc_spawn(&s, &p->child.pid, &e) == 0 && loop_child(p->s->loop, &p->child, &e) == 0) {
        p->running = true;
        log_info(&log_std, "started", LOG_Z("part", p->name), LOG_INT("pid", p->child.pid));
        return;
    }
    log_error(&log_std, "a part can't be started", LOG_Z("part", p->name), LOG_ERR(&e));
    loop_timer_in(p->s->loop, &p->again, WAIT_MAX_US);
}

static void start_again(struct loop *loop, struct timer *t)
{
    (void)loop;
    start_part(container_of(t, struct part, again));
}

static void tell_failure(struct supervisor *s)
{
    char last[LAST_WORDS];
    instance_last_words(o.dir.p, "apiserver", last);
    kr_fail(&s->e, KR_UNAVAILABLE, "%s", last);
    loop_stop(s->loop);
}

static void ended(struct loop *loop, struct child *child, int status)
{
    struct part *p = container_of(child, struct part, child);
    struct supervisor *s = p->s;
    char text[48];
    p->running = false;
    if (s->stopping)
        return;
    log_warn(&log_std, "a part ended and is started again", LOG_Z("part", p->name), LOG_STR("how", proc_status_text(status, text)));
    if (!s->api_up && p == &s->parts[0]) {        /* it never came up: starting it again would not help */
        tell_failure(s);
        return;
    }
    if (loop_now_us(loop) - p->started_us > LIVED_US)
        p->wait_us = 0;
    loop_timer_in(loop, &p->again, p->wait_us);
    p->wait_us = !p->wait_us ? WAIT_MIN_US : p->wait_us * 2 < WAIT_MAX_US ? p->wait_us * 2 : WAIT_MAX_US;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static void look(struct loop *loop, struct timer *t)
{
    struct supervisor *s = container_of(t, struct supervisor, look);
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct kube_config kc;
    struct kr_err e = { 0 };
    const char *path = path_of(&a, "kubeconfig");
    if (!fs_exists(path) || kube_config_load(&kc, path, S(""), &e) < 0) {
        loop_timer_in(loop, t, KUBECONFIG_US);
        return;
    }
    s->api_up = true;
    s->port = kc.port;                            /* a restart keeps it: clients hold it */
    kube_config_free(&kc);
    for (int i = 1; i < PARTS; i++)
        start_part(&s->parts[i]);
}

static bool is_down(void *ctx) { return !((struct part *)ctx)->running; }

static void stop_all(struct supervisor *s)
{
    static const int order[PARTS] = { 3, 2, 1, 0 };
    s->stopping = true;
    loop_timer_stop(s->loop, &s->look);
    for (int i = 0; i < PARTS; i++) {
        struct part *p = &s->parts[order[i]];
        loop_timer_stop(s->loop, &p->again);
        if (!p->running)
            continue;
        kill(p->child.pid, SIGTERM);
        if (loop_run_until(s->loop, is_down, p, loop_now_us(s->loop) + PART_STOP_US) == 0)
            continue;
        kill(p->child.pid, SIGKILL);
        loop_run_until(s->loop, is_down, p, loop_now_us(s->loop) + PART_STOP_US);
    }
}

static void on_signal(struct loop *loop, int sig, void *ctx)
{
    (void)ctx;
    log_info(&log_std, "stopping", LOG_INT("signal", sig));
    loop_stop(loop);
}

static int take_lock(struct supervisor *s, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    const char *path = path_of(&a, "lock");
    char text[32];
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock < 0)
        return kr_fail_sys(e, KR_FORBIDDEN, errno, "open \"%s\"", path);
    if (flock(s->lock, LOCK_EX | LOCK_NB) < 0)
        return kr_fail(e, KR_EXISTS, "an instance is up in \"%s\" already", o.dir.p);
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    return ftruncate(s->lock, 0) < 0 || pwrite(s->lock, text, (size_t)n, 0) != n ? kr_fail_sys(e, KR_SYSTEM, errno, "write \"%s\"", path) : 0;
}

static int run(struct applet_call *call, struct kr_err *e)
{
    static const char *const names[PARTS] = { "apiserver", "controller", "scheduler", "node" };
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct supervisor s = { .lock = -1, .port = o.port, .look = { .fire = look } };
    (void)call;
    if (fs_make_dir(o.dir.p, 0700, e) < 0 || fs_make_dir(path_of(&a, "log"), 0700, e) < 0 || take_lock(&s, e) < 0)
        return -1;
    unlink(path_of(&a, "kubeconfig"));            /* the API server writes it again when it listens */
    s.loop = loop_new(&clock_system);
    loop_signals(s.loop, signals, LEN(signals), on_signal, &s);
    for (int i = 0; i < PARTS; i++)
        s.parts[i] = (struct part){ .s = &s, .name = names[i], .child = { .ended = ended }, .again = { .fire = start_again } };
    start_part(&s.parts[0]);
    loop_timer_in(s.loop, &s.look, KUBECONFIG_US);
    loop_run(s.loop);
    stop_all(&s);
    unlink(path_of(&a, "kubeconfig"));
    loop_free(s.loop);
    close(s.lock);
    *e = s.e;
    return e->code ? -1 : 0;
}

const struct applet applet_local_supervisor = {
    .name = "local-supervisor", .group = APPLET_COMPONENT, .brief = "keeps the parts of a local instance running", .hidden = true, .opts = opts,
    .shared = shared, .main = run,
};
