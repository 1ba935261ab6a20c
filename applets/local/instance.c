/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance: the lock says whether an instance is up: the kernel lets go of it with the supervisor, however that ends.
 */
#include "applets/local/instance.h"
#include "core/fs.h"
#include "core/landlock.h"
#include "core/json.h"
#include "core/proc.h"
#include "core/version.h"
#include "k8s/informer.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POLL_US = 5000, OTHERS_US = 10000000, STOP_US = 15000000, SANDBOX_ABI = 6 };

static const char bash_runtime[] =
    "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Runtime\",\"metadata\":{\"name\":\"bash\",\"namespace\":\"default\"},"
    "\"spec\":{\"replicas\":2,\"server\":\"Injected\",\"isolation\":\"%s\",\"artifactStore\":{\"driver\":\"filesystem\",\"filesystem\":{\"volumeClaimName\":\"artifacts\"}},"
    "\"capacity\":{\"resources\":{\"runs\":4}},"
    "\"template\":{\"spec\":{\"terminationGracePeriodSeconds\":30,\"containers\":[{\"name\":\"runtime\",\"image\":\"local\"}]}}}}";

/* Where its artifacts are. */
static const char artifacts_claim[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\",\"metadata\":{\"name\":\"artifacts\",\"namespace\":\"default\"},"
    "\"spec\":{\"accessModes\":[\"ReadWriteMany\"],\"resources\":{\"requests\":{\"storage\":\"10Gi\"}}}}";

int instance_default_dir(char out[4096], struct kr_err *e)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = state && *state ? snprintf(out, 4096, "%s/kruntimes", state) : snprintf(out, 4096, "%s/.local/state/kruntimes", home ? home : "");
    if ((!state || !*state) && (!home || !*home))
        return kr_fail(e, KR_USAGE, "neither $XDG_STATE_HOME nor $HOME is set: name a folder with --state-dir");
    return n < 4096 ? 0 : kr_fail(e, KR_TOO_LARGE, "the path of the state folder is too long");
}

pid_t instance_pid(const char *dir)
{
    char path[4200], text[32];
    snprintf(path, sizeof path, "%s/lock", dir);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0)
        return 0;
    ptrdiff_t n = pread(fd, text, sizeof text, 0);
    int64_t pid = 0;
    return n > 0 && str_i64(str_trim((struct str){ text, (size_t)n }), &pid) ? (pid_t)pid : 0;
}

/* ---- logs -------------------------------------------------------------------------------------------------------- */

int instance_open_log(const char *dir, const char *name)
{
    char path[4200], aside[4210];
    struct stat st;
    snprintf(path, sizeof path, "%s/log/%s.log", dir, name);
    snprintf(aside, sizeof aside, "%s.1", path);
    if (stat(path, &st) == 0 && st.st_size > LIMIT_LOCAL_LOG)
        rename(path, aside);                      /* where that fails it grows on: better than no log */
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

void instance_last_words(const char *dir, const char *name, char out[LAST_WORDS])
{
    char path[4200];
    UNFILLED char tail[65536];                    /* of a log that may be larger than one wants to read */
    snprintf(path, sizeof path, "%s/log/%s.log", dir, name);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END), most = sizeof tail;
    ptrdiff_t n = fd < 0 ? 0 : pread(fd, tail, sizeof tail, size > most ? size - most : 0);
    struct str text = str_trim((struct str){ tail, n > 0 ? (size_t)n : 0 }), last = text;
    while (text.n)
        last = str_cut(&text, '\n');
    snprintf(out, LAST_WORDS, "%.*s", SFMT(last));
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

int instance_start(const char *dir, int64_t port, bool follow, pid_t *pid, struct kr_err *e)
{
    char number[24], log_dir[4200];
    snprintf(number, sizeof number, "%lld", (long long)port);
    snprintf(log_dir, sizeof log_dir, "%s/log", dir);
    if (fs_make_dir(dir, 0700, e) < 0 || fs_make_dir(log_dir, 0700, e) < 0)
        return kr_wrap(e, "the state folder");
    AUTO_CLOSE int log = instance_open_log(dir, "supervisor");
    if (log < 0)
        return kr_fail_sys(e, KR_FORBIDDEN, errno, "the state folder \"%s\" can't be written", dir);
    const char *argv[] = { "kruntimes", "local-supervisor", "--state-dir", dir, "--port", number, NULL };
    extern char **environ;
    struct proc_spec s = { .argv = argv, .envp = (const char *const *)environ, .program = "/proc/self/exe", .in = -1, .out = log, .err = log,
                           .new_session = true, .death_signal = follow ? SIGTERM : 0 };
    return proc_spawn(&s, pid, e) < 0 ? -1 : 0;
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

struct waiting {
    struct loop *loop;
    const char *dir;
    pid_t supervisor;
    struct rnd *rnd;
    struct kube *kube;
    struct kube_call *call;
    struct informer *runtimes;
    struct timer again;
    int64_t one_ready_us;                         /* when the first pod was ready; 0: none is */
    const bool *interrupted;
    bool every_pod, ready, failed, created;
    struct kr_err e;
};

static void runtime_set(void *ctx, struct str key, struct str json)
{
    struct waiting *w = ctx;
    static const char *const ready[] = { "status", "readyReplicas" }, *const replicas[] = { "spec", "replicas" };
    int64_t have = 0, want = 1;
    if (!str_is(key, "default/bash"))
        return;
    str_i64(json_find_path(json, ready, 2), &have);
    str_i64(json_find_path(json, replicas, 2), &want);
    if (!w->one_ready_us && (have >= 1 || want == 0))
        w->one_ready_us = loop_now_us(w->loop);
    w->ready |= w->every_pod ? have >= want : w->one_ready_us != 0;
}

static void runtime_gone(void *ctx, struct str key, struct str json)
{
    (void)ctx;
    (void)key;
    (void)json;
}

static void claim_made(void *ctx, const struct kube_result *r)
{
    (void)ctx;
    (void)r;                                      /* the folder is made for its pods in any case */
}

static void created(void *ctx, const struct kube_result *r)
{
    struct waiting *w = ctx;
    w->call = NULL;
    if (r->error && r->error->code != KR_EXISTS) {
        if (r->error->code != KR_UNAVAILABLE && r->error->code != KR_DEADLINE) {
            w->e = *r->error;
            w->failed = true;
        }
        return;                                   /* not up yet: the next look tries again */
    }
    w->created = true;
    if (!r->error)
        kube_create(w->kube, &kube_persistentvolumeclaims, S("default"), str_of(artifacts_claim), (struct kube_user){ claim_made, NULL });
    w->runtimes = informer_new(w->kube, &(struct informer_config){ .resource = &kube_runtimes, .ns = S("default"),
                                                                   .user = { .set = runtime_set, .gone = runtime_gone, .ctx = w } }, w->rnd);
}

static bool supervisor_is_gone(struct waiting *w) { return w->supervisor && kill(w->supervisor, 0) < 0 && errno == ESRCH; }

static void tell_death(struct waiting *w)
{
    char last[LAST_WORDS];
    instance_last_words(w->dir, "supervisor", last);
    w->failed = true;
    kr_fail(&w->e, KR_UNAVAILABLE, "the instance ended while it started: %.300s (see %s/log/supervisor.log)", last, w->dir);
}

static void look(struct loop *loop, struct timer *t)
{
    struct waiting *w = container_of(t, struct waiting, again);
    w->ready |= w->one_ready_us && loop_now_us(loop) - w->one_ready_us > OTHERS_US;
    char path[4200];
    struct kr_err e = { 0 };
    struct kube_config kc;
    int status;
    if (w->supervisor && waitpid(w->supervisor, &status, WNOHANG) == w->supervisor)
        w->supervisor = -1;
    if (w->supervisor < 0 || supervisor_is_gone(w)) {
        tell_death(w);
        return;
    }
    snprintf(path, sizeof path, "%s/kubeconfig", w->dir);
    if (!w->kube && fs_exists(path)) {
        if (kube_config_load(&kc, path, S(""), &e) == 0) {
            w->kube = kube_new(loop, &kc, "kruntimes-local", &e);
            kube_config_free(&kc);
        }
        if (!w->kube) {
            w->e = e;
            w->failed = true;
            return;
        }
    }
    char body[1024];
    snprintf(body, sizeof body, bash_runtime, landlock_abi() >= SANDBOX_ABI ? "Sandbox" : "Process");
    if (w->kube && !w->created && !w->call)
        w->call = kube_create(w->kube, &kube_runtimes, S("default"), str_of(body), (struct kube_user){ created, w });
    loop_timer_in(loop, &w->again, POLL_US);
}

static bool is_over(void *ctx)
{
    struct waiting *w = ctx;
    return w->ready || w->failed || (w->interrupted && *w->interrupted);
}

int instance_wait(struct loop *loop, struct instance_goal goal, struct rnd *rnd, struct kube **ret, struct kr_err *e)
{
    struct waiting w = { .loop = loop, .dir = goal.dir, .supervisor = goal.supervisor, .every_pod = goal.every_pod, .interrupted = goal.interrupted, .rnd = rnd,
                         .again = { .fire = look } };
    loop_timer_in(loop, &w.again, 0);
    int rc = loop_run_until(loop, is_over, &w, loop_now_us(loop) + goal.timeout_us);
    loop_timer_stop(loop, &w.again);
    informer_free(w.runtimes);
    kube_cancel(w.call);
    if (w.failed)
        *e = w.e;
    else if (rc < 0)
        kr_fail(e, KR_UNAVAILABLE, "the instance is not ready after %lld s: look into %s/log", (long long)(goal.timeout_us / 1000000), goal.dir);
    else if (!w.ready)
        kr_fail(e, KR_CANCELLED, "interrupted");
    if (e->code) {
        kube_free(w.kube);
        return -1;
    }
    *ret = w.kube;
    return 0;
}

/* ---- stopping ---------------------------------------------------------------------------------------------------- */

struct ending { const char *dir; pid_t pid; bool ours; struct timer again; };

static void poll_end(struct loop *loop, struct timer *t) { loop_timer_in(loop, t, POLL_US); }

static bool has_ended(void *ctx)
{
    struct ending *x = ctx;
    if (x->ours)
        return waitpid(x->pid, NULL, WNOHANG) != 0;
    return instance_pid(x->dir) == 0;
}

int instance_stop(const char *dir, pid_t pid, bool ours, struct kr_err *e)
{
    struct loop *loop = loop_new(&clock_system);
    struct ending x = { dir, pid, ours, { .fire = poll_end } };
    kill(pid, SIGTERM);
    loop_timer_in(loop, &x.again, POLL_US);
    int rc = loop_run_until(loop, has_ended, &x, loop_now_us(loop) + STOP_US);
    loop_timer_stop(loop, &x.again);
    loop_free(loop);
    return rc == 0 ? 0 : kr_fail(e, KR_DEADLINE, "the instance in \"%s\" (PID %ld) does not end", dir, (long)pid);
}
