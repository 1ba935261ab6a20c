/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtimed: the sidecar of a Runtime Pod as a process. Three doors: gRPC on loopback 9093 (logs), pages on 9094
 * (/healthz /readyz /metrics /drain), and a socket in the state folder over which `runtimed --drain` begins the drain.
 */
#include "applets/runtimed/runtimed.h"
#include "core/applet.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/version.h"
#include "grpc/probes.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static struct {
    struct str kubeconfig, pod, pod_uid, ns, runtime, capacity, workspace, state, secret_file, server_host, bind, pages;
    struct str artifact_store, artifacts, store_credentials, git_secret;
    int64_t server_port, port, drain_grace_us, artifact_bytes, git_timeout_us;
    bool drain, keep_logs, print_output, git_private;
} o = { .artifacts = S("/var/lib/kruntimes/artifacts"), .store_credentials = S("/var/lib/kruntimes/store-credentials"), .artifact_bytes = INT64_C(10737418240), .git_timeout_us = 60000000,
        .workspace = S("/workspace"), .state = S("/var/lib/kruntimes/runtimed"), .secret_file = S("/var/lib/kruntimes/secret/secret"), .server_host = S("127.0.0.1"), .bind = S("127.0.0.1"),
        .pages = S(":9094"), .server_port = 9091, .port = 9093, .drain_grace_us = INT64_C(3600000000) };
static const struct opt opts[] = {
    { "pod-name", 0, OPT_STR, &o.pod, "NAME", "name of the pod", .env = "KRUNTIMES_POD_NAME" },
    { "pod-uid", 0, OPT_STR, &o.pod_uid, "UID", "UID of the pod", .env = "KRUNTIMES_POD_UID" },
    { "namespace", 'n', OPT_STR, &o.ns, "NAME", "namespace of the pod", .env = "KRUNTIMES_NAMESPACE" },
    { "runtime", 0, OPT_STR, &o.runtime, "NAME", "its Runtime, for messages", .env = "KRUNTIMES_RUNTIME" },
    { "capacity", 0, OPT_STR, &o.capacity, "LIST", "what the pod can take: runs=4,gpu=1 (runs: 2 where it isn't named)", .env = "KRUNTIMES_CAPACITY" },
    { "kubeconfig", 0, OPT_STR, &o.kubeconfig, "FILE", "which API server, and as whom; else what a pod is given", .env = "KUBECONFIG" },
    { "workspace", 0, OPT_STR, &o.workspace, "DIR", "where Runs work" },
    { "state", 0, OPT_STR, &o.state, "DIR", "own folder: logs and the journal" },
    { "secret-file", 0, OPT_STR, &o.secret_file, "FILE", "where the Runtime Server finds the secret" },
    { "server-host", 0, OPT_STR, &o.server_host, "ADDR", "address of the Runtime Server" },
    { "server-port", 0, OPT_INT, &o.server_port, "PORT", "port of the Runtime Server", .lo = 1, .hi = 65535, .env = "KRUNTIMES_SERVER_PORT" },
    { "bind", 0, OPT_STR, &o.bind, "ADDR", "address of the gRPC port" },
    { "port", 0, OPT_INT, &o.port, "PORT", "gRPC port for logs and artifacts", .lo = 0, .hi = 65535 },
    { "pages-bind", 0, OPT_STR, &o.pages, "ADDR", "where /healthz /readyz /metrics /drain listen, or off" },
    { "git-secret", 0, OPT_STR, &o.git_secret, "DIR", "folder with host, username, password and ca.crt for Git sources", .env = "KRUNTIMES_GIT_SECRET" },
    { "git-timeout", 0, OPT_DURATION, &o.git_timeout_us, "TIME", "limit of one fetch", .env = "KRUNTIMES_GIT_TIMEOUT", .lo = 1000000, .hi = INT64_C(3600000000) },
    { "git-allow-private", 0, OPT_FLAG, &o.git_private, NULL, "Git sources in private networks too", .env = "KRUNTIMES_GIT_ALLOW_PRIVATE" },
    { "drain-grace", 0, OPT_DURATION, &o.drain_grace_us, "TIME", "the pod's termination grace", .env = "KRUNTIMES_DRAIN_GRACE", .hi = INT64_C(86400000000) },
    { "artifact-store", 0, OPT_STR, &o.artifact_store, "JSON", "where artifacts go, as the Runtime's artifactStore", .env = "KRUNTIMES_ARTIFACT_STORE" },
    { "artifacts", 0, OPT_STR, &o.artifacts, "DIR", "where the volume of a filesystem store is mounted" },
    { "store-credentials", 0, OPT_STR, &o.store_credentials, "DIR", "where the Secret of an S3 store is mounted" },
    { "artifact-bytes", 0, OPT_INT, &o.artifact_bytes, "N", "bytes that the artifacts of a Run may have in all", .lo = 1, .hi = INT64_MAX,
      .env = "KRUNTIMES_ARTIFACT_BYTES" },
    { "keep-logs", 0, OPT_FLAG, &o.keep_logs, NULL, "store the output of every Run that wrote some, not only beside artifacts", .env = "KRUNTIMES_KEEP_LOGS" },
    { "print-output", 0, OPT_FLAG, &o.print_output, NULL, "print what Runs write, as lines of JSON, for the cluster's log collectors",
      .env = "KRUNTIMES_PRINT_OUTPUT" },
    { "drain", 0, OPT_FLAG, &o.drain, NULL, "ask the runtimed of this pod to drain, and end" },
    { 0 } };
static const struct opt *const shared[] = { log_opts, NULL };

struct process { struct runtimed d; struct hreq *waiting[64]; size_t nwaiting; };

/* ---- capacity ---------------------------------------------------------------------------------------------------- */

static int parse_capacity(struct runtimed *d, struct str list, struct kr_err *e)
{
    bool runs = false;
    while (list.n) {
        struct str rest = str_cut(&list, ','), name = str_cut(&rest, '=');
        struct amount *a = &d->capacity[d->ncapacity];
        if (d->ncapacity == CAPACITY_MAX - 1 || !name.n || name.n >= sizeof a->name || !str_i64(rest, &a->n) || a->n < 0)
            return kr_fail(e, KR_USAGE, "--capacity: \"%.*s\" is not NAME=WHOLE-NUMBER", SFMT(name));
        memcpy(a->name, name.p, name.n);
        runs |= str_is(name, "runs");
        d->ncapacity++;
    }
    if (!runs)
        d->capacity[d->ncapacity++] = (struct amount){ .name = "runs", .n = 2 };
    return 0;
}

/* ---- pages ------------------------------------------------------------------------------------------------------- */

static bool is_ready(void *ctx, struct buf *why)
{
    struct process *p = ctx;
    if (!informer_is_live(p->d.runs))
        buf_lit(why, "the API can't be watched\n");
    if (!p->d.server_ok)
        buf_lit(why, "the Runtime Server is not healthy\n");
    if (p->d.draining)
        buf_lit(why, "draining\n");
    return why->n == 0;
}

static void answer_drained(struct process *p)
{
    for (size_t i = 0; i < p->nwaiting; i++)
        hreq_respond(p->waiting[i], 200, (struct http_fields){ 0 }, S("drained\n"));
    p->nwaiting = 0;
}

/* Only waits: what begins the drain is `runtimed --drain`, or TERM. */
static bool drain_page(void *ctx, struct hreq *r, struct str path)
{
    struct process *p = ctx;
    if (!str_is(path, "/drain"))
        return false;
    if (p->nwaiting == LEN(p->waiting)) {
        hreq_respond(r, 503, (struct http_fields){ 0 }, S("too many wait already\n"));
        return true;
    }
    p->waiting[p->nwaiting++] = r;
    if (drain_is_over(&p->d))
        answer_drained(p);
    return true;
}

static void page_gone(void *ctx, struct hreq *r)
{
    struct process *p = ctx;
    for (size_t i = 0; i < p->nwaiting; i++)
        if (p->waiting[i] == r)
            p->waiting[i] = p->waiting[--p->nwaiting];
}

static void drained(struct runtimed *d)
{
    struct process *p = container_of(d, struct process, d);
    answer_drained(p);
    if (d->stopping)
        loop_stop(d->loop);
}

static bool begin_page(void *ctx, struct hreq *r, struct str path)
{
    struct process *p = ctx;
    if (!str_is(path, "/begin-drain"))
        return false;
    drain_begin(&p->d);
    hreq_respond(r, 200, (struct http_fields){ 0 }, S("draining\n"));
    return true;
}

static void on_signal(struct loop *loop, int sig, void *ctx)
{
    struct process *p = ctx;
    if (p->d.stopping) {
        loop_stop(loop);
        return;
    }
    log_info(&log_std, "stopping", LOG_INT("signal", sig));
    p->d.stopping = true;
    drain_begin(&p->d);
    drain_check(&p->d);
}

/* ---- `runtimed --drain` ------------------------------------------------------------------------------------------ */

struct asking { bool done; int status; struct kr_err e; };

static void asked_head(struct hcall *h, int status, struct http_fields f)
{
    (void)f;
    ((struct asking *)hcall_ctx(h))->status = status;
}

static void asked_end(struct hcall *h, struct http_fields f)
{
    (void)f;
    ((struct asking *)hcall_ctx(h))->done = true;
}

static void asked_failed(struct hcall *h, const struct kr_err *e)
{
    struct asking *a = hcall_ctx(h);
    a->e = *e;
    a->done = true;
}

static bool is_done(void *ctx) { return ((struct asking *)ctx)->done; }

static int ask_to_drain(struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 16384 };
    struct loop *loop = loop_new(&clock_system);
    struct asking asking = { 0 };
    struct httpc *c = httpc_new(loop, &(struct httpc_config){ .target = { .host = arena_fmt(&a, "unix:%s/control", o.state.p) }, .version = HTTP_11 });
    httpc_call(c, &(struct httpc_request){ .method = S("GET"), .path = S("/begin-drain"), .authority = S("localhost"),
                                           .deadline_us = loop_now_us(loop) + 5000000 },
               (struct hcall_user){ .head = asked_head, .end = asked_end, .failed = asked_failed, .ctx = &asking });
    loop_run_until(loop, is_done, &asking, INT64_MAX);
    httpc_free(c);
    loop_free(loop);
    if (!asking.e.code && asking.status == 200)
        return 0;
    *e = asking.e;
    if (!e->code)
        return kr_fail(e, KR_PROTOCOL, "runtimed answered %d", asking.status);
    return kr_wrap(e, "no runtimed answers on \"%s/control\"", o.state.p);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int check_options(struct kr_err *e)
{
    if (!o.pod.n || !o.pod_uid.n || !o.ns.n)
        return kr_fail(e, KR_USAGE, "--pod-name, --pod-uid and --namespace are needed: the pod's template gives them");
    if (o.pod_uid.n >= UID_MAX)
        return kr_fail(e, KR_USAGE, "--pod-uid is too long");
    return 0;
}

static int take_store(struct runtimed *d, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    if (!o.artifact_store.n)
        return 0;
    struct artifact_store *s = json_scan(o.artifact_store, e) == 0 ? model_decode(artifact_store, o.artifact_store, &a, e) : NULL;
    if (!s)
        return kr_wrap(e, "--artifact-store");
    d->artifacts = (struct artifacts_config){ .store = o.artifact_store, .place = str_is(s->driver, "s3") ? o.store_credentials : o.artifacts,
                                              .spool = o.workspace, .bytes = o.artifact_bytes, .keep_logs = o.keep_logs };
    return 0;
}

static int make_dirs(struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    return fs_make_dir(o.workspace.p, 0755, e) < 0 || fs_make_dir(fs_join(&a, o.state.p, "logs"), 0700, e) < 0 ? -1 : 0;
}

static bool healthy(void *ctx, struct str service)
{
    (void)service;
    return ((struct process *)ctx)->d.server_ok;
}

static int serve(struct process *p, struct kr_err *e)
{
    static const int signals[] = { SIGTERM, SIGINT };
    struct runtimed *d = &p->d;
    AUTO_ARENA struct arena a = { .limit = 16384 };
    struct grpc_service services[] = { { "kruntimes.logs.v1.Logs", tail_methods, d }, { "artifact.v1.ArtifactService", download_methods, d } };
    struct probes_user pages_user = { .ready = is_ready, .page = drain_page, .page_gone = page_gone, .ctx = p };
    struct probes_user control_user = { .ready = is_ready, .page = begin_page, .ctx = p };
    struct probes *pages = NULL, *control = NULL;
    struct grpc_server *s = grpc_server_new(d->loop, &(struct grpc_server_config){ .host = o.bind, .port = (uint16_t)o.port, .services = services,
                                                                                   .n = LEN(services), .healthy = healthy, .ctx = p }, e);
    if (s && server_start(d, o.server_host, (uint16_t)o.server_port, e) == 0) {
        pages = probes_new(d->loop, o.pages, &pages_user, e);
        if (!e->code)
            control = probes_new(d->loop, arena_fmt(&a, "unix:%s/control", o.state.p), &control_user, e);
        if (!e->code) {
            loop_signals(d->loop, signals, LEN(signals), on_signal, p);
            claim_start(d);
            log_info(&log_std, "runtimed is ready", LOG_STR("pod", d->pod), LOG_INT("port", grpc_server_port(s)));
            loop_run(d->loop);
            claim_stop(d);
        }
    }
    loop_timer_stop(d->loop, &d->drain_timer);
    loop_timer_stop(d->loop, &d->drain_again);
    probes_free(pages);
    probes_free(control);
    grpc_server_free(s);
    server_stop(d);
    return e->code ? -1 : 0;
}

static int run(struct applet_call *call, struct kr_err *e)
{
    static struct process p;
    struct kube_config kc;
    char agent[80];
    (void)call;
    if (o.drain)
        return ask_to_drain(e);
    if (check_options(e) < 0 || parse_capacity(&p.d, o.capacity, e) < 0 || make_dirs(e) < 0)
        return -1;
    if (take_store(&p.d, e) < 0 || kube_config_find(&kc, &(struct kube_flags){ .kubeconfig = o.kubeconfig }, e) < 0)
        return -1;
    metrics_use(METRICS_RUNTIMED);
    metrics_use(METRICS_API);
    p.d.series = metric_runtime(o.ns, o.runtime);
    rnd_system(&p.d.rnd);
    p.d.loop = loop_new(&clock_system);
    p.d.pod = o.pod;
    p.d.pod_uid = o.pod_uid;
    p.d.ns = o.ns;
    p.d.runtime = o.runtime;
    p.d.workspace = o.workspace.p;
    p.d.workspace_fd = open(o.workspace.p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p.d.workspace_fd < 0) {
        kube_config_free(&kc);
        return kr_fail_sys(e, KR_SYSTEM, errno, "open \"%s\"", o.workspace.p);
    }
    p.d.state = o.state.p;
    p.d.print_output = o.print_output;
    p.d.secret_file = o.secret_file.p;
    p.d.drain_grace_us = o.drain_grace_us;
    p.d.git = (struct source_config){ o.git_secret.n ? o.git_secret.p : NULL, o.git_private, o.git_timeout_us / 1000000 };
    p.d.drained = drained;
    snprintf(agent, sizeof agent, "kruntimes-runtimed/%s", kr_version);
    p.d.kube = kube_new(p.d.loop, &kc, agent, e);
    int rc = p.d.kube && journal_open(&p.d, e) == 0 ? serve(&p, e) : -1;
    journal_close(&p.d);
    close(p.d.workspace_fd);
    kube_free(p.d.kube);
    loop_free(p.d.loop);
    kube_config_free(&kc);
    return rc;
}

const struct applet applet_runtimed = {
    .name = "runtimed", .group = APPLET_COMPONENT, .brief = "sidecar of a Runtime Pod: claims Runs and has them executed",
    .help = "Claims the Runs that are assigned to its pod, prepares their workspaces, has the Runtime Server of the pod execute them, keeps what "
            "they write, and tells the API what became of them.",
    .opts = opts, .shared = shared, .main = run,
};
