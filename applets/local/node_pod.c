/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_pod: one Runtime Pod as two processes of this binary. The pod has a loopback address (127.77.x.y) as its IP, so the
 * ports are those of a cluster. A process that ends is started again with waits that double; readiness is what runtimed's
 * /readyz says. Processes die with the node (PR_SET_PDEATHSIG), and a new node starts them again for the same Pod object.
 */
#include "applets/local/node.h"
#include "core/fs.h"
#include "core/landlock.h"
#include "core/log.h"
#include "core/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <unistd.h>

enum { PROBE_FAST_US = 10000, PROBE_US = 2000000, WAIT_MIN_US = 10000, WAIT_MAX_US = 10000000, LIVED_US = 10000000,
       KILL_US = 3000000 };                       /* after deletionTimestamp, whose seconds are whole: runtimed cancels what is left when the grace is over */

static void start_child(struct child_proc *c);
static void check_end(struct npod *p);

/* ---- what to start, from the pod's spec -------------------------------------------------------------------------- */

static struct json *container(struct json *pod, const char *list, const char *name)
{
    const char *const path[] = { "spec", list };
    for (struct json *c = json_first(json_get_path(pod, path, 2)); c; c = json_next(c))
        if (str_is(json_string(json_get(c, "name")), name))
            return c;
    return NULL;
}

void word(struct words *w, const char *z)
{
    if (w->n < LEN(w->v) - 1)
        w->v[w->n++] = z;
}

bool words_after(struct words *w, struct json *c, const char *applet, struct arena *a)
{
    bool found = false;
    for (int i = 0; i < 2; i++)
        for (struct json *s = json_first(json_get(c, i ? "args" : "command")); s; s = json_next(s)) {
            if (found)
                word(w, arena_z(a, json_string(s)));
            found |= str_is(json_string(s), applet);
        }
    return found;
}

static struct str downward(const struct npod *p, struct str path)
{
    return str_is(path, "metadata.name")        ? p->name
           : str_is(path, "metadata.namespace") ? p->ns
           : str_is(path, "metadata.uid")       ? str_of(p->uid)
           : str_is(path, "status.podIP")       ? str_of(p->ip)
           : str_is(path, "spec.nodeName")      ? S(NODE_NAME)
                                                : S("");
}

static void put_env(struct words *env, const struct npod *p, struct json *c, struct arena *a)
{
    static const char *const field[] = { "valueFrom", "fieldRef", "fieldPath" };
    for (struct json *e = json_first(json_get(c, "env")); e; e = json_next(e)) {
        struct str name = json_string(json_get(e, "name")), value = json_string(json_get(e, "value"));
        struct json *ref = json_get_path(e, field, 3);
        if (ref)
            value = downward(p, json_string(ref));
        word(env, arena_fmt(a, "%.*s=%.*s", SFMT(name), SFMT(value)).p);
    }
}

void inherit(struct words *env, struct arena *a)
{
    static const char *const names[] = { "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "SSL_CERT_FILE" };
    for (size_t i = 0; i < LEN(names); i++)
        if (getenv(names[i]))
            word(env, arena_fmt(a, "%s=%s", names[i], getenv(names[i])).p);
}

static const char *below(const struct npod *p, struct arena *a, const char *sub)
{
    return arena_fmt(a, "%s/%s/%s", p->n->dir, p->uid, sub).p;
}

const char *claim_dir(const struct node *n, struct str ns, struct json *pod, const char *volume, struct arena *a, struct kr_err *e)
{
    static const char *const path[] = { "spec", "volumes" }, *const name[] = { "persistentVolumeClaim", "claimName" };
    for (struct json *v = json_first(json_get_path(pod, path, 2)); v; v = json_next(v)) {
        struct str claim = json_string(json_get_path(v, name, 2));
        if (!str_is(json_string(json_get(v, "name")), volume) || !claim.n || str_chr(claim, '/') >= 0 || claim.p[0] == '.')
            continue;
        const char *dir = arena_fmt(a, "%s/%.*s/%.*s", n->volumes, SFMT(ns), SFMT(claim)).p;
        return fs_make_dir(dir, 0700, e) < 0 ? NULL : dir;
    }
    return NULL;
}

static bool command_of(struct child_proc *c, struct words *argv, struct words *env, struct arena *a, struct kr_err *e)
{
    struct npod *p = c->p;
    struct json *pod = json_parse(a, buf_view(&p->json), e);
    bool sidecar = c == &p->runtimed;
    struct json *box = pod ? container(pod, sidecar ? "initContainers" : "containers", sidecar ? "runtimed" : "runtime") : NULL;
    word(argv, p->n->self);
    word(argv, c->what);
    if (!box || !words_after(argv, box, c->what, a))
        return false;
    for (size_t i = 0; i < argv->n; i++)
        p->sandbox |= !sidecar && !strcmp(argv->v[i], "Sandbox");
    word(argv, "--secret-file");
    word(argv, below(p, a, "secret"));
    word(argv, "--bind");
    word(argv, p->ip);
    if (sidecar) {
        static const char *const own[] = { "--workspace", "workspace", "--state", "state" };
        for (size_t i = 0; i < LEN(own); i += 2) {
            word(argv, own[i]);
            word(argv, below(p, a, own[i + 1]));
        }
        const char *claim = claim_dir(p->n, p->ns, pod, "artifact-store", a, e);
        if (claim) {
            word(argv, "--artifacts");
            word(argv, claim);
        }
        const char *keys = secrets_folder(&p->secrets, "artifact-store");
        word(argv, "--store-credentials");
        word(argv, keys ? keys : below(p, a, "secrets/artifact-store"));       /* never those of the machine */
        word(argv, "--server-host");
        word(argv, p->ip);
        word(argv, "--pages-bind");
        word(argv, arena_fmt(a, "%s:9094", p->ip).p);
        word(argv, "--kubeconfig");
        word(argv, p->n->kubeconfig);
        word(argv, "--drain-grace");
        word(argv, arena_fmt(a, "%llds", (long long)p->grace_s).p);
        const char *git = secrets_folder(&p->secrets, "kruntimes-git");
        if (git) {
            word(argv, "--git-secret");
            word(argv, git);
        }
    }
    char *slash = strrchr(p->n->kubeconfig, '/');
    if (!sidecar) {
        word(argv, "--workspaces");
        word(argv, below(p, a, "workspace"));
    }
    if (!sidecar && slash) {                      /* the instance's own files */
        word(argv, "--hide");
        word(argv, slash == p->n->kubeconfig ? "/" : arena_fmt(a, "%.*s", (int)(slash - p->n->kubeconfig), p->n->kubeconfig).p);
        word(argv, "--hide");
        word(argv, p->n->dir);
        word(argv, "--hide");
        word(argv, p->n->volumes);
    }
    inherit(env, a);
    put_env(env, p, box, a);
    return true;
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

static void told(void *ctx, const struct kube_result *r);

static void put_container(struct buf *b, const char *name, const struct child_proc *c, bool ready)
{
    char now[TIME_TEXT];
    time_print(now, loop_wall_us(c->p->n->loop));
    jw_begin(b, '{');
    jw_kstr(b, "name", str_of(name));
    jw_kbool(b, "ready", ready);
    jw_kbool(b, "started", c->running);
    jw_kint(b, "restartCount", c->restarts);
    jw_kstr(b, "image", S(""));
    jw_kstr(b, "imageID", S(""));
    jw_kbegin(b, "state", '{');
    if (c->running) {
        jw_kbegin(b, "running", '{');
        jw_kstr(b, "startedAt", str_of(now));
    } else {
        bool floor = c == &c->p->server && c->p->sandbox && landlock_abi() < 6;
        jw_kbegin(b, "waiting", '{');
        jw_kstr(b, "reason", c->p->unrunnable ? S("NoImages") : floor ? S("SandboxUnavailable") : S("CrashLoopBackOff"));
        jw_kstr(b, "message", c->p->unrunnable ? S("this node runs no images: set server: Injected in the Runtime")
                              : floor ? S("this kernel has no Landlock of ABI 6 (Linux 6.12): set isolation to Process") : S("it is started again in a moment"));
    }
    jw_end(b, '}');
    jw_end(b, '}');
    jw_end(b, '}');
}

static void put_pod_condition(struct buf *b, const char *type, bool ok, const char *now)
{
    jw_begin(b, '{');
    jw_kstr(b, "type", str_of(type));
    jw_kstr(b, "status", ok ? S("True") : S("False"));
    jw_kstr(b, "lastTransitionTime", str_of(now));
    jw_end(b, '}');
}

static void tell(struct npod *p)
{
    AUTO_BUF struct buf b = { .max = 8192 };
    char now[TIME_TEXT];
    if (p->write) {
        p->dirty = true;
        return;
    }
    p->dirty = false;
    time_print(now, loop_wall_us(p->n->loop));
    jw_begin(&b, '{');
    jw_kbegin(&b, "metadata", '{');
    jw_kstr(&b, "uid", str_of(p->uid));
    jw_end(&b, '}');
    jw_kbegin(&b, "status", '{');
    jw_kstr(&b, "phase", p->unrunnable ? S("Pending") : S("Running"));
    jw_kstr(&b, "podIP", str_of(p->ip));
    jw_kstr(&b, "hostIP", S("127.0.0.1"));
    jw_kbegin(&b, "conditions", '[');
    put_pod_condition(&b, "PodScheduled", true, now);
    put_pod_condition(&b, "Initialized", p->runtimed.running, now);
    put_pod_condition(&b, "ContainersReady", p->ready, now);
    put_pod_condition(&b, "Ready", p->ready, now);
    jw_end(&b, ']');
    jw_kbegin(&b, "initContainerStatuses", '[');
    put_container(&b, "runtimed", &p->runtimed, p->ready);
    jw_end(&b, ']');
    jw_kbegin(&b, "containerStatuses", '[');
    put_container(&b, "runtime", &p->server, p->server.running);
    jw_end(&b, ']');
    jw_end(&b, '}');
    jw_end(&b, '}');
    p->write = kube_merge_patch(p->n->kube, &kube_pods, p->ns, p->name, "status", buf_view(&b), (struct kube_user){ told, p });
}

static void told(void *ctx, const struct kube_result *r)
{
    struct npod *p = ctx;
    p->write = NULL;
    if (r->error && r->error->code != KR_NOT_FOUND && r->error->code != KR_CONFLICT) {
        log_warn(&log_std, "a pod's status could not be written", LOG_STR("pod", p->name), LOG_ERR(r->error));
        p->told = false;                          /* the next probe tries again */
        return;
    }
    if (p->dirty)
        tell(p);
}

static void set_ready(struct npod *p, bool ready)
{
    if (p->ready == ready && p->told)
        return;
    if (p->ready != ready)
        log_info(&log_std, "a pod's readiness changed", LOG_STR("pod", p->name), LOG_Z("ip", p->ip), LOG_BOOL("ready", ready));
    p->ready = ready;
    p->told = true;
    tell(p);
    node_wake(p->n);
}

/* ---- probing ----------------------------------------------------------------------------------------------------- */

static void probed(struct npod *p, bool ready)
{
    p->probing = NULL;
    set_ready(p, ready && !p->going);
    loop_timer_in(p->n->loop, &p->probe_timer, p->ready ? PROBE_US : PROBE_FAST_US);
}

static void probe_head(struct hcall *h, int status, struct http_fields f)
{
    (void)f;
    struct npod *p = hcall_ctx(h);
    hcall_cancel(h);
    probed(p, status == 200);
}

static void probe_end(struct hcall *h, struct http_fields f)
{
    (void)f;
    probed(hcall_ctx(h), false);
}

static void probe_failed(struct hcall *h, const struct kr_err *e)
{
    (void)e;
    probed(hcall_ctx(h), false);
}

static void probe_now(struct loop *loop, struct timer *t)
{
    struct npod *p = container_of(t, struct npod, probe_timer);
    if (p->probing || !p->started)
        return;
    p->probing = httpc_call(p->probe, &(struct httpc_request){ .method = S("GET"), .path = S("/readyz"), .authority = str_of(p->ip),
                                                               .deadline_us = loop_now_us(loop) + 2000000 },
                            (struct hcall_user){ .head = probe_head, .end = probe_end, .failed = probe_failed, .ctx = p });
}

/* ---- processes --------------------------------------------------------------------------------------------------- */

static void child_ended(struct loop *loop, struct child *child, int status)
{
    struct child_proc *c = container_of(child, struct child_proc, child);
    struct npod *p = c->p;
    char text[48];
    c->running = false;
    log_info(&log_std, "a process of a pod ended", LOG_STR("pod", p->name), LOG_Z("process", c->what), LOG_STR("how", proc_status_text(status, text)));
    if (p->going) {
        if (c == &p->runtimed && p->server.running)
            kill(p->server.child.pid, SIGTERM);
        check_end(p);
        return;
    }
    c->restarts++;
    if (loop_now_us(loop) - c->started_us > LIVED_US)
        c->wait_us = 0;
    loop_timer_in(loop, &c->again, c->wait_us);
    c->wait_us = c->wait_us ? (c->wait_us * 2 < WAIT_MAX_US ? c->wait_us * 2 : WAIT_MAX_US) : WAIT_MIN_US;
    p->told = false;
    set_ready(p, false);
    loop_timer_in(loop, &p->probe_timer, PROBE_FAST_US);
}

static void start_again(struct loop *loop, struct timer *t)
{
    (void)loop;
    start_child(container_of(t, struct child_proc, again));
}

/* The log of the process before is kept beside that of the one to come: what it said last tells why it ended. */
static int open_log(const struct child_proc *c, struct arena *a)
{
    const char *now = below(c->p, a, arena_fmt(a, "%s.log", c->what).p), *before = below(c->p, a, arena_fmt(a, "%s.previous.log", c->what).p);
    if (rename(now, before) < 0 && errno != ENOENT)
        log_warn(&log_std, "the log of a pod's last process can't be put aside", LOG_STR("pod", c->p->name), LOG_INT("errno", errno));
    return open(now, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void start_child(struct child_proc *c)
{
    struct npod *p = c->p;
    struct words argv = { .n = 0 }, env = { .n = 0 };
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct kr_err e = { 0 };
    if (!command_of(c, &argv, &env, &a, &e)) {
        p->unrunnable = true;
        p->told = false;
        set_ready(p, false);
        return;
    }
    AUTO_CLOSE int log = open_log(c, &a);
    struct proc_spec s = { .argv = argv.v, .envp = env.v, .program = "/proc/self/exe", .dir = below(p, &a, "."), .in = -1, .out = log, .err = log,
                           .new_group = true, .death_signal = SIGKILL };
    c->started_us = loop_now_us(p->n->loop);
    if (proc_spawn(&s, &c->child.pid, &e) < 0 || loop_child(p->n->loop, &c->child, &e) < 0) {
        log_error(&log_std, "a process of a pod can't be started", LOG_STR("pod", p->name), LOG_ERR(&e));
        loop_timer_in(p->n->loop, &c->again, WAIT_MAX_US / 10);
        return;
    }
    c->running = true;
}

/* An address whose ports are free: another instance on this machine may use the same net. */
static bool address_is_free(const char *ip)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(9093) };
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return inet_pton(AF_INET, ip, &a.sin_addr) == 1 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
}

static void choose_address(struct npod *p)
{
    struct node *n = p->n;
    for (int i = 0; i < 512; i++) {
        n->next_host = n->next_host % 254 + 1;
        snprintf(p->ip, sizeof p->ip, "127.77.%u.%u", n->net, n->next_host);
        if (address_is_free(p->ip))
            return;
        if (n->next_host == 254)
            n->net = (unsigned)rnd_below(&n->rnd, 254) + 1;
    }
}

static void start_children(struct npod *p)
{
    start_child(&p->runtimed);
    if (!p->unrunnable)
        start_child(&p->server);
    if (!p->unrunnable)
        loop_timer_in(p->n->loop, &p->probe_timer, PROBE_FAST_US);
}

static void secrets_ready(struct secrets *s)
{
    struct npod *p = container_of(s, struct npod, secrets);
    if (!p->runtimed.started_us && !p->going && !p->n->stopping)
        start_children(p);
}

static void start(struct npod *p)
{
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct kr_err e = { 0 };
    if (fs_make_dir(below(p, &a, "workspace"), 0700, &e) < 0 || fs_make_dir(below(p, &a, "state"), 0700, &e) < 0) {
        log_error(&log_std, "a pod's folder can't be made", LOG_STR("pod", p->name), LOG_ERR(&e));
        loop_timer_in(p->n->loop, &p->begin_again, AGAIN_US);
        return;
    }
    p->started = true;
    choose_address(p);
    p->probe = httpc_new(p->n->loop, &(struct httpc_config){ .target = { .host = str_of(p->ip), .port = 9094 }, .version = HTTP_11 });
    struct json *pod = json_parse(&a, buf_view(&p->json), &e);
    p->secrets.ready = secrets_ready;
    if (pod)
        secrets_mount(&p->secrets, p->n, p->ns, pod, container(pod, "initContainers", "runtimed"), below(p, &a, "secrets"));
    if (!p->secrets.first)
        start_children(p);
}

static void begin_again(struct loop *loop, struct timer *t)
{
    (void)loop;
    struct npod *p = container_of(t, struct npod, begin_again);
    if (!p->started && !p->n->stopping)
        start(p);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void removed(void *ctx, const struct kube_result *r)
{
    struct npod *p = ctx;
    p->write = NULL;
    p->removing = false;
    if (r->error && r->error->code != KR_NOT_FOUND && r->error->code != KR_CONFLICT)
        loop_timer_in(p->n->loop, &p->kill_timer, AGAIN_US);
}

/* Both are gone: so may the object be. */
static void check_end(struct npod *p)
{
    if (p->runtimed.running || p->server.running || !p->going || p->removing || p->n->stopping)
        return;
    p->removing = true;
    kube_cancel(p->write);
    p->write = kube_delete(p->n->kube, &kube_pods, p->ns, p->name, str_of(p->uid), 0, (struct kube_user){ removed, p });
}

static void grace_over(struct loop *loop, struct timer *t)
{
    (void)loop;
    struct npod *p = container_of(t, struct npod, kill_timer);
    if (p->runtimed.running)
        kill(p->runtimed.child.pid, SIGKILL);
    if (p->server.running)
        kill(p->server.child.pid, SIGKILL);
    check_end(p);
}

static void kill_after_grace(struct npod *p)
{
    int64_t left_us = p->gone_by_us + KILL_US - loop_wall_us(p->n->loop);
    loop_timer_in(p->n->loop, &p->kill_timer, left_us > 0 ? left_us : 0);
}

static void go(struct npod *p)
{
    p->going = true;
    p->ready = false;
    loop_timer_stop(p->n->loop, &p->begin_again);
    loop_timer_stop(p->n->loop, &p->runtimed.again);
    loop_timer_stop(p->n->loop, &p->server.again);
    if (p->runtimed.running)
        kill(p->runtimed.child.pid, SIGTERM);     /* it drains, and ends when its Runs have */
    else if (p->server.running)
        kill(p->server.child.pid, SIGTERM);
    kill_after_grace(p);
    check_end(p);
}

void npod_stop(struct npod *p)
{
    p->going = true;
    if (p->runtimed.running)
        kill(p->runtimed.child.pid, SIGKILL);     /* what runs is told as lost when this machine comes back */
    if (p->server.running)
        kill(p->server.child.pid, SIGTERM);
}

bool npod_is_down(const struct npod *p) { return !p->runtimed.running && !p->server.running; }

static void deleted(void *ctx, const struct kube_result *r)
{
    struct npod *p = ctx;
    p->deletion = NULL;
    if (!r->error || r->error->code == KR_NOT_FOUND || r->error->code == KR_CONFLICT)
        return;                                   /* the watch brings what became of it */
    log_warn(&log_std, "a pod could not be deleted", LOG_STR("pod", p->name), LOG_ERR(r->error));
    p->deleting = p->going;                       /* its Deployment looks again, and chooses anew */
    loop_timer_in(p->n->loop, &p->n->again, AGAIN_US);
}

void npod_delete(struct npod *p)
{
    if (!p || p->deleting)
        return;
    p->deleting = true;
    p->deletion = kube_delete(p->n->kube, &kube_pods, p->ns, p->name, str_of(p->uid), -1, (struct kube_user){ deleted, p });
}

static void adopted(void *ctx, const struct kube_result *r)
{
    struct npod *p = ctx;
    p->adoption = NULL;
    if (!r->error || r->error->code == KR_NOT_FOUND || r->error->code == KR_CONFLICT)
        return;
    log_warn(&log_std, "a pod could not be given to its Deployment", LOG_STR("pod", p->name), LOG_ERR(r->error));
    p->owner[0] = '\0';
    loop_timer_in(p->n->loop, &p->n->again, AGAIN_US);
}

void npod_adopt(struct npod *p, const char *owner, struct str patch)
{
    snprintf(p->owner, sizeof p->owner, "%s", owner);      /* it counts from now on; the watch says what it is */
    if (!p->adoption)
        p->adoption = kube_merge_patch(p->n->kube, &kube_pods, p->ns, p->name, NULL, patch, (struct kube_user){ adopted, p });
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */

static struct npod *npod_new(struct node *n, struct str key, const struct pod *o)
{
    struct npod *p = xcalloc(1, sizeof *p);
    p->n = n;
    p->key = xstrndup(key.p, key.n);
    p->name = str_of(p->key);
    p->ns = str_cut(&p->name, '/');
    p->json.max = LIMIT_KUBE_LINE;
    p->runtimed = (struct child_proc){ .child = { .ended = child_ended }, .p = p, .what = "runtimed", .again = { .fire = start_again } };
    p->server = (struct child_proc){ .child = { .ended = child_ended }, .p = p, .what = "runtime-server", .again = { .fire = start_again } };
    p->begin_again.fire = begin_again;
    p->probe_timer.fire = probe_now;
    p->kill_timer.fire = grace_over;
    snprintf(p->uid, sizeof p->uid, "%.*s", SFMT(o->metadata.uid));
    snprintf(p->hash, sizeof p->hash, "%.*s", SFMT(str_map_get(o->metadata.labels, S("pod-template-hash"))));
    time_parse(o->metadata.creation_timestamp, &p->created_us);
    map_put(&n->by_key, str_of(p->key), p);
    return p;
}

void npod_free(struct npod *p)
{
    struct node *n = p->n;
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct kr_err ignored = { 0 };
    map_del(&n->by_key, str_of(p->key));
    struct child_proc *both[] = { &p->runtimed, &p->server };
    for (size_t i = 0; i < LEN(both); i++) {
        loop_timer_stop(n->loop, &both[i]->again);
        if (both[i]->running) {
            kill(both[i]->child.pid, SIGKILL);
            loop_child_forget(n->loop, &both[i]->child);
        }
    }
    loop_timer_stop(n->loop, &p->begin_again);
    loop_timer_stop(n->loop, &p->probe_timer);
    loop_timer_stop(n->loop, &p->kill_timer);
    secrets_unmount(&p->secrets);
    hcall_cancel(p->probing);
    httpc_free(p->probe);
    kube_cancel(p->write);
    kube_cancel(p->deletion);
    kube_cancel(p->adoption);
    if (p->deleted)
        fs_remove_tree(arena_fmt(&a, "%s/%s", n->dir, p->uid).p, &ignored);
    buf_free(&p->json);
    free(p->key);
    free(p);
}

void npod_gone(void *ctx, struct str key, struct str json)
{
    struct node *n = ctx;
    struct npod *p = map_get(&n->by_key, key);
    (void)json;
    if (!p)
        return;
    p->deleted = true;
    npod_free(p);
    node_wake(n);
}

void npod_set(void *ctx, struct str key, struct str json)
{
    struct node *n = ctx;
    AUTO_ARENA struct arena a = { .limit = 16 << 20 };
    struct kr_err e = { 0 };
    struct pod *o = model_decode(pod, json, &a, &e);
    struct npod *p = map_get(&n->by_key, key);
    if (!o || !str_is(o->spec.node_name, NODE_NAME))
        return;
    if (p && !str_is(o->metadata.uid, p->uid)) {
        npod_gone(n, key, json);
        p = NULL;
    }
    if (!p)
        p = npod_new(n, key, o);
    buf_clear(&p->json);
    buf_str(&p->json, json);
    snprintf(p->owner, sizeof p->owner, "%.*s", SFMT(o->metadata.owner_references.n ? o->metadata.owner_references.v[0].uid : S("")));
    int64_t before_us = p->gone_by_us;
    p->grace_s = o->metadata.has_deletion_grace_period_seconds          ? o->metadata.deletion_grace_period_seconds
                 : o->spec.has_termination_grace_period_seconds ? o->spec.termination_grace_period_seconds
                                                                : 30;
    if (!str_i64(str_map_get(o->metadata.annotations, S(POD_DELETION_COST)), &p->cost))
        p->cost = 0;
    if (time_parse(o->metadata.deletion_timestamp, &p->gone_by_us)) {
        p->deleting = true;
        if (!p->going)
            go(p);
        else if (p->gone_by_us < before_us)      /* deleted once more, by somebody with less patience */
            kill_after_grace(p);
    } else if (!p->started && !n->stopping) {
        start(p);
    }
    node_wake(n);
}
