/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow: a watch on one object and at most one Tail call. An attempt can be read when the object shows its access key and
 * has reached that attempt; a Run that ended at once shows both with its end. Done when it is terminal and all was read.
 *
 * A Tail that breaks off is opened again from the moment at which what came last was written; what had come of that moment
 * comes once more and is dropped. Who follows to the end waits for an API server that is away, with both: output is given up
 * only while the watch is open.
 */
#include "crds/follow.h"
#include "grpc/proto/logs.pb.h"
#include "core/uri.h"
#include "k8s/pod_way.h"

enum { LOGS_PORT = 9093, TAIL_US = INT64_C(86400000000), AGAIN_US = 100000, TRIES = 5 };

struct follow {
    struct kube *k;
    struct rnd *rnd;
    struct follow_config c;
    char *ns, *name;
    struct informer *watch;
    struct model_kept kept;
    struct run *run;                              /* as last seen */
    bool seen, is_gone, is_done;
    int64_t next;                                 /* attempt to be read next */
    int tries;                                    /* since something came */
    int failures;                                 /* to reach the API server before the Run was seen */
    int64_t last_ns;                              /* of the attempt being read: when what came last was written; 0: nothing came */
    uint64_t came[3], drop[3];                    /* bytes of that moment by stream: those that came, those that come once more */
    struct pod_way *way;                          /* to the pod the Run is on, shared with whoever else reads from it */
    struct grpc_call *tail;
    struct timer again;
    struct defer turn;
    char *other;                                  /* a pod that is asked instead of the Run's own, which is gone */
    struct kube_call *asking;
};

int run_exit_status(const struct run *r)
{
    struct str p = run_phase(r);
    if (str_is(p, "Succeeded"))
        return 0;
    if (str_is(p, "Timeout"))
        return EXIT_TIMEOUT;
    if (str_is(p, "Cancelled"))
        return EXIT_CANCELLED;
    if (str_is(p, "Failed") && r->status.has_exit_code && r->status.exit_code > 0 && r->status.exit_code < 256)
        return (int)r->status.exit_code;
    return EXIT_LOST;
}

int failure_exit_status(const struct kr_err *e)
{
    return e->code == KR_USAGE || e->code == KR_INVALID || e->code == KR_BAD_REQUEST ? EXIT_USAGE
           : e->code == KR_UNAVAILABLE || e->code == KR_UNAUTHORIZED || e->code == KR_DEADLINE ? EXIT_UNREACHABLE
                                                                                              : EXIT_OTHER;
}

bool follow_gives_up(const struct kr_err *e, int *failures)
{
    bool may_pass = e->code == KR_UNAVAILABLE || e->code == KR_TOO_MANY;
    return !may_pass || ++*failures == FOLLOW_TRIES;
}

static void wake(struct follow *f) { loop_defer(kube_loop(f->k), &f->turn); }

static void finish(struct follow *f, const struct kr_err *e)
{
    if (f->is_done)
        return;
    f->is_done = true;
    f->c.done(f->c.ctx, f->is_gone ? NULL : f->run, e);
}

static void tell_missing(struct follow *f, const struct kr_err *e)
{
    if (f->c.missing)
        f->c.missing(f->c.ctx, e);
}

/* ---- logs -------------------------------------------------------------------------------------------------------- */

static void close_tail(struct follow *f)
{
    grpc_cancel(TAKE(f->tail));
    pod_way_close(TAKE(f->way));
}

/* What of it has not come before. */
static struct str fresh(struct follow *f, const kruntimes_logs_v1_TailChunk *chunk)
{
    int stream = chunk->stream == 2 ? 2 : 1;
    struct str data = pb_view(chunk->data);
    if (chunk->unix_nano != f->last_ns) {
        f->last_ns = chunk->unix_nano;
        memset(f->came, 0, sizeof f->came);
        memset(f->drop, 0, sizeof f->drop);
    }
    size_t again = f->drop[stream] < data.n ? (size_t)f->drop[stream] : data.n;
    f->drop[stream] -= again;
    data = str_from(data, again);
    f->came[stream] += data.n;
    return data;
}

static void on_chunk(void *ctx, struct str bytes)
{
    struct follow *f = ctx;
    AUTO_ARENA struct arena a = { .limit = 2 * (size_t)LIMIT_GRPC_MESSAGE };
    kruntimes_logs_v1_TailChunk chunk = { 0 };
    struct kr_err e = { 0 };
    if (pb_from_bytes(kruntimes_logs_v1_TailChunk_fields, &chunk, bytes, &a, &e) < 0) {
        kr_wrap(&e, "a part of the logs of attempt %lld", (long long)f->next);
        tell_missing(f, &e);
        return;
    }
    struct str data = fresh(f, &chunk);
    if (!data.n)
        return;
    f->tries = 0;
    if (f->c.output_at)
        f->c.output_at(f->c.ctx, chunk.stream, data, chunk.unix_nano / 1000, chunk.attempt);
    else
        f->c.output(f->c.ctx, chunk.stream, data);
}

static void attempt_read(struct follow *f)
{
    f->next++;
    f->tries = 0;
    f->last_ns = 0;
    free(TAKE(f->other));                         /* the next one's pod is the one to be asked first */
    wake(f);
}

static void pods_came(void *ctx, const struct kube_result *r)
{
    static const char *const conditions[] = { "status", "conditions" };
    struct follow *f = ctx;
    AUTO_ARENA struct arena a = { .limit = LIMIT_KUBE_ANSWER };
    struct kr_err e = { 0 };
    f->asking = NULL;
    struct json *list = r->error ? NULL : json_parse(&a, r->body, &e);
    for (struct json *i = json_first(json_get(list, "items")); i && !f->other; i = json_next(i))
        for (struct json *c = json_first(json_get_path(i, conditions, 2)); c; c = json_next(c))
            if (str_is(json_string(json_get(c, "type")), "Ready") && str_is(json_string(json_get(c, "status")), "True")) {
                struct str name = json_string(json_get(json_get(i, "metadata"), "name"));
                f->other = xstrndup(name.p, name.n);
                break;
            }
    if (!f->other) {
        if (r->error)
            kr_fail(&e, r->error->code, "the logs of attempt %lld: its pod is gone, and other pods of the Runtime can't be looked for: %s", (long long)f->next, r->error->msg);
        else
            kr_fail(&e, KR_NOT_FOUND, "the logs of attempt %lld: its pod is gone, and no other pod of the Runtime is there to look into the store", (long long)f->next);
        tell_missing(f, &e);
        attempt_read(f);
        return;
    }
    wake(f);
}

static void ask_for_pods(struct follow *f)
{
    AUTO_BUF struct buf path = { .max = 4096 }, labels = { .max = 256 };
    buf_fmt(&labels, "kruntimes.io/runtime=%.*s", SFMT(f->run->spec.runtime));
    kube_path(&path, &kube_pods, str_of(f->ns), S(""), NULL);
    uri_put_param(&path, "labelSelector", buf_view(&labels));
    close_tail(f);
    f->asking = kube_send(f->k, &(struct kube_request){ .method = "GET", .path = buf_view(&path) }, (struct kube_user){ pods_came, f });
}

/* The way to the pod may not be there yet, or no longer. */
static void tail_trouble(struct follow *f, const struct kr_err *e)
{
    if (f->way && pod_way_error(f->way)->code == KR_NOT_FOUND && !f->other) {
        ask_for_pods(f);                          /* its pod is gone: another may read the store */
        return;
    }
    if (++f->tries < TRIES && e->code != KR_FORBIDDEN) {
        loop_timer_in(kube_loop(f->k), &f->again, AGAIN_US * f->tries);
        return;
    }
    tell_missing(f, e);
    attempt_read(f);
}

static void tail_done(void *ctx, int status, struct str text)
{
    struct follow *f = ctx;
    struct kr_err e = { 0 };
    f->tail = NULL;
    if (status == GRPC_OK) {
        attempt_read(f);
        return;
    }
    const struct kr_err *why = pod_way_error(f->way);     /* the call fails with its socket; this says why */
    if (why->code)
        kr_fail(&e, why->code, "the logs of attempt %lld: %s", (long long)f->next, why->msg);
    else
        kr_fail(&e, grpc_code(status), "the logs of attempt %lld: %.*s", (long long)f->next, SFMT(text));
    tail_trouble(f, &e);
}

static void again(struct loop *loop, struct timer *t)
{
    (void)loop;
    wake(container_of(t, struct follow, again));
}

static void open_tail(struct follow *f)
{
    AUTO_BUF struct buf b = { .max = 1024 };
    AUTO_ARENA struct arena a = { .limit = 4096 };
    struct kr_err e = { 0 };
    kruntimes_logs_v1_TailRequest q = { .run_uid = arena_z(&a, f->run->metadata.uid), .attempt = (int32_t)f->next, .follow = f->c.until_end,
                                        .tail_lines = f->c.tail_lines > 0 ? f->c.tail_lines : -1, .since_unix_nano = f->c.since_us * 1000 };
    if (f->last_ns) {
        q.tail_lines = -1;
        q.since_unix_nano = f->last_ns;
        memcpy(f->drop, f->came, sizeof f->drop);
    }
    struct http_field key[] = { { S("kruntimes-access-key"), f->run->status.access_key }, { S("kruntimes-run"), str_of(f->name) } };
    struct str pod = f->other ? str_of(f->other) : f->run->status.assigned_pod;
    if (!f->way || !pod_way_is(f->way, str_of(f->ns), pod)) {
        close_tail(f);
        f->way = pod_way_open(f->k, str_of(f->ns), pod, LOGS_PORT, f->rnd);
    }
    if (pb_to_bytes(kruntimes_logs_v1_TailRequest_fields, &q, &b, &e) < 0) {
        finish(f, &e);
        return;
    }
    f->tail = grpc_call(pod_way_client(f->way), "/kruntimes.logs.v1.Logs/Tail", buf_view(&b),
                        &(struct grpc_options){ .metadata = { key, 2 }, .timeout_us = TAIL_US }, (struct grpc_user){ on_chunk, tail_done, f });
}

/* ---- one look ---------------------------------------------------------------------------------------------------- */

static bool wants_more_logs(struct follow *f)
{
    const struct run_status *s = &f->run->status;
    int64_t last = s->has_attempt ? s->attempt : 0;
    if (!f->c.logs || !f->run->has_status || !s->access_key.n)
        return false;
    if (!f->next)
        f->next = f->c.attempt ? f->c.attempt : f->c.until_end ? 1 : last - f->c.previous;
    return f->next > 0 && f->next <= (f->c.attempt ? f->c.attempt : last - f->c.previous);
}

static void turn(struct loop *loop, struct defer *d)
{
    (void)loop;
    struct follow *f = container_of(d, struct follow, turn);
    struct kr_err e = { 0 };
    if (f->is_done || f->tail || f->asking || timer_is_set(&f->again))
        return;
    if (!f->run) {
        if (informer_is_synced(f->watch)) {
            kr_fail(&e, KR_NOT_FOUND, "runs.kruntimes.io \"%s\" not found", f->name);
            finish(f, &e);
        }
        return;
    }
    if (wants_more_logs(f) && f->run->status.assigned_pod.n) {
        if (!f->tries || !f->c.until_end || informer_is_live(f->watch))
            open_tail(f);
        return;
    }
    if (f->c.previous && f->next <= 0) {
        kr_fail(&e, KR_NOT_FOUND, "run/%s has had no attempt before its last one", f->name);
        finish(f, &e);
    } else if (f->is_gone || run_is_terminal(f->run) || (!f->c.until_end && f->c.logs)) {
        finish(f, NULL);
    }
}

static void set(void *ctx, struct str key, struct str json)
{
    struct follow *f = ctx;
    struct kr_err e = { 0 };
    (void)key;
    struct run *run = model_keep(run, &f->kept, json, 16 << 20, &e);
    if (!run) {
        finish(f, &e);
        return;
    }
    f->run = run;
    f->is_gone = false;
    if (f->c.changed)
        f->c.changed(f->c.ctx, run);
    wake(f);
}

static void gone(void *ctx, struct str key, struct str json)
{
    struct follow *f = ctx;
    (void)key;
    (void)json;
    f->is_gone = true;
    wake(f);
}

static void synced(void *ctx) { wake(ctx); }
static void live(void *ctx) { wake(ctx); }

static void trouble(void *ctx, const struct kr_err *e)
{
    struct follow *f = ctx;
    if (!f->run && follow_gives_up(e, &f->failures))
        finish(f, e);
    else if (f->c.trouble)
        f->c.trouble(f->c.ctx, e);
}

struct follow *follow_run(struct kube *k, const struct follow_config *c, struct rnd *rnd)
{
    struct follow *f = xcalloc(1, sizeof *f);
    AUTO_BUF struct buf fields = { .max = 512 };
    *f = (struct follow){ .k = k, .rnd = rnd, .c = *c, .ns = xstrndup(c->ns.p, c->ns.n), .name = xstrndup(c->name.p, c->name.n), .turn = { .run = turn },
                          .again = { .fire = again } };
    buf_fmt(&fields, "metadata.name=%s", f->name);
    f->watch = informer_new(k, &(struct informer_config){ .resource = &kube_runs, .ns = str_of(f->ns), .fields = buf_view(&fields),
                                                          .user = { set, gone, synced, trouble, f, live } }, rnd);
    return f;
}

void follow_stop(struct follow *f)
{
    if (!f)
        return;
    informer_free(f->watch);
    close_tail(f);
    loop_timer_stop(kube_loop(f->k), &f->again);
    loop_defer_cancel(kube_loop(f->k), &f->turn);
    model_kept_free(&f->kept);
    kube_cancel(f->asking);
    free(f->other);
    free(f->ns);
    free(f->name);
    free(f);
}
