/* SPDX-License-Identifier: Apache-2.0 */
/*
 * artifacts: what the last attempt left in $KRUNTIME_ARTIFACTS_DIR, on its way to the Runtime's store. In this order, so that
 * whatever dies in between, what was stored is found and removed with the Run:
 *
 *   the finalizer on the Run → the snapshot of the store in its status → the upload, by a helper process → the refs with the end
 *
 * The helper stores all or leaves nothing; one that is killed is followed by another, as the work of the Run is done. A Run that was taken away meanwhile loses: its objects, under a key of this attempt
 * and pod, are removed again. Tests: tests/unit/applets/runtimed_artifacts.c, tests/local/artifacts.py,
 * tests/fault/artifacts.py
 */
#include "applets/runtimed/runtimed.h"
#include "core/failpoint.h"
#include "core/fs.h"
#include "core/helper.h"
#include "core/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define FINALIZER "kruntimes.io/artifact-cleanup"
enum { ANSWER_MAX = 1 << 20, WAIT_MIN_US = 50000, WAIT_MAX_US = 5000000, REMOVE_US = 120000000, HELPERS_MAX = 3, REFUSALS_MAX = 120 };      /* refusals: of ten minutes */
static const int64_t UPLOAD_US = INT64_C(600000000);

struct storing {
    struct task *t;
    struct kube_call *call;
    struct helper *helper;
    struct timer again;
    int64_t wait_us, until_us;                    /* until: monotonic; the upload, by as many helpers as it takes */
    int refusals;                                 /* of the finalizer, by an API server that has the Run */
    bool uploading;                               /* something may be in the store */
    int helpers;                                  /* that were killed, by the kernel out of memory or by a person */
};

bool artifacts_has_store(const struct runtimed *d) { return d->artifacts.store.n > 0; }

struct str artifacts_prefix(const struct task *t, struct arena *a)
{
    return arena_fmt(a, "%.*s/%.*s/%lld-%.*s", SFMT(t->ns), SFMT(t->uid), (long long)t->attempt, (int)(t->d->pod_uid.n < 8 ? t->d->pod_uid.n : 8), t->d->pod_uid.p);
}

const struct artifact_ref *artifacts_ref_of(const struct run *run, struct str name)
{
    for (size_t i = 0; i < run->status.artifact_refs.n; i++)
        if (str_eq(run->status.artifact_refs.v[i].name, name))
            return &run->status.artifact_refs.v[i];
    return NULL;
}

struct str artifacts_key_of(const struct runtimed *d, const struct run *run, const struct artifact_ref *ref, struct arena *a)
{
    struct kr_err e = { 0 };
    struct artifact_store *ours = artifacts_has_store(d) ? model_decode(artifact_store, d->artifacts.store, a, &e) : NULL;
    struct str own = arena_fmt(a, "%.*s/%.*s/", SFMT(d->ns), SFMT(run->metadata.uid)), place = ref->location.filesystem.path;
    if (!ours || !str_eq(ours->driver, ref->driver))
        return S("");
    if (str_is(ref->driver, "s3")) {
        struct str prefix = ours->s3.prefix;
        place = ref->location.s3.key;
        while (prefix.n && prefix.p[prefix.n - 1] == '/')
            prefix.n--;
        while (prefix.n && prefix.p[0] == '/')
            prefix = str_from(prefix, 1);
        if (!str_eq(ours->s3.bucket, ref->location.s3.bucket) || !str_starts(place, prefix))
            return S("");
        place = str_from(place, prefix.n ? prefix.n + 1 : 0);
    } else if (!run->status.has_artifact_store || !str_eq(run->status.artifact_store.filesystem.volume_claim_name, ours->filesystem.volume_claim_name)) {
        return S("");
    }
    return str_starts(place, own) && str_ends(place, arena_fmt(a, "/%.*s", SFMT(ref->name))) ? place : S("");
}

bool artifacts_wanted(const struct task *t)
{
    bool wrote = t->rec->log && (log_total(t->rec->log, 1) || log_total(t->rec->log, 2));
    return artifacts_has_store(t->d) && (has_artifacts(t) || (t->d->artifacts.keep_logs && wrote));
}

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

void artifacts_order(const struct runtimed *d, struct buf *b)
{
    b->max = ANSWER_MAX;
    jw_begin(b, '{');
    jw_kraw(b, "store", d->artifacts.store);
    jw_kstr(b, "place", d->artifacts.place);
    jw_kstr(b, "spool", d->artifacts.spool);
}

/* What a helper may know of our environment: how a cloud's identity is found. */
const char *const *artifacts_environment(struct arena *a)
{
    extern char **environ;
    size_t n = 0;
    while (environ[n])
        n++;
    const char **list = arena_alloc(a, (n + 1) * sizeof *list), **at = list;
    for (size_t i = 0; list && i < n; i++)
        if (str_starts(str_of(environ[i]), S("AWS_")) || str_starts(str_of(environ[i]), S("SSL_CERT_FILE=")))
            *at++ = environ[i];
    return list;
}

int artifacts_answer(const struct helper_end *end, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = ANSWER_MAX };
    char how[48];
    struct str said = str_trim(end->err);
    if (end->late)
        return kr_fail(e, KR_DEADLINE, "it took longer than 10 minutes");
    if (end->status)
        return kr_fail(e, KR_SYSTEM, "the helper ended with %.*s%s%.*s", SFMT(proc_status_text(end->status, how)), said.n ? ": " : "", SFMT(said));
    if (json_scan(end->out, e) < 0)
        return kr_wrap(e, "the helper's answer");
    struct str message = json_str_of(json_find(end->out, "message"), &a);
    return message.p ? kr_fail(e, KR_INVALID, "%.*s", SFMT(message)) : 0;
}

struct removal { struct runtimed *d; struct buf order; };

static void removed(void *ctx, const struct helper_end *end)
{
    (void)ctx;
    if (end->status)
        log_warn(&log_std, "artifacts of a Run that was taken away stay in the store until the Run is deleted", LOG_STR("error", str_trim(end->err)));
}

static void remove_now(void *ctx, const struct helper_end *end)
{
    static const char *const argv[] = { "kruntimes", "artifact-helper", "remove", NULL };
    struct removal *r = ctx;
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct kr_err e = { 0 };
    (void)end;
    struct helper_spec s = { .argv = argv, .envp = artifacts_environment(&a), .input = buf_view(&r->order), .max_out = 4096, .timeout_us = REMOVE_US,
                             .memory = LIMIT_ARTIFACT_HELPER };
    if (!KR_FAILPOINTS_AROUND("runtimed.remove-artifacts.fork", helper_start(r->d->loop, &s, (struct helper_user){ .ended = removed }, &e)))
        log_warn(&log_std, "no helper can be started", LOG_ERR(&e));
    buf_free(&r->order);
    free(r);
}

void artifacts_abandon(struct task *t)
{
    struct storing *s = t->storing;
    AUTO_ARENA struct arena a = { .limit = 4096 };
    if (!(s && s->uploading) && !t->refs.n)
        return;
    struct removal *r = xcalloc(1, sizeof *r);
    r->d = t->d;
    artifacts_order(t->d, &r->order);
    jw_kstr(&r->order, "prefix", artifacts_prefix(t, &a));
    jw_end(&r->order, '}');
    if (s && s->helper)
        helper_kill(TAKE(s->helper), (struct helper_user){ .ended = remove_now, .ctx = r });
    else
        remove_now(r, NULL);
}

void artifacts_free(struct task *t)
{
    struct storing *s = TAKE(t->storing);
    buf_free(&t->refs);
    if (!s)
        return;
    kube_cancel(s->call);
    helper_stop(s->helper);
    loop_timer_stop(t->d->loop, &s->again);
    free(s);
}

static void output_not_stored(const struct task *t, struct str why)
{
    log_warn(&log_std, "the output of a Run can't be stored", LOG_STR("run", t->name), LOG_STR("error", why));
}

static void over(struct storing *s, const char *reason, struct str message)
{
    struct task *t = s->t;
    if (reason && !has_artifacts(t)) {            /* what it wrote is an extra: how the Run ended is not for that to decide */
        output_not_stored(t, message);
        reason = NULL;
    }
    char copy[1024];
    snprintf(copy, sizeof copy, "%.*s", (int)str_rune_cut(message, sizeof copy - 1), message.p ? message.p : "");
    t->storing = NULL;
    loop_timer_stop(t->d->loop, &s->again);
    free(s);
    task_stored(t, reason, str_of(copy));
}

void artifacts_have_no_room(struct task *t)
{
    struct str why = S("the Run's object has no room for references to artifacts");
    if (t->storing) {
        over(t->storing, "ArtifactInvalid", why);
        return;
    }
    artifacts_abandon(t);
    buf_free(&t->refs);
    task_stored(t, "ArtifactInvalid", why);
}

/* ---- the upload -------------------------------------------------------------------------------------------------- */

static void keep(struct storing *s, struct str answer)
{
    AUTO_ARENA struct arena a = { .limit = ANSWER_MAX };
    struct str refs = json_find(answer, "refs"), logs = json_str_of(json_find(answer, "logsError"), &a);
    if (logs.n)
        output_not_stored(s->t, logs);
    s->t->refs = (struct buf){ .max = ANSWER_MAX };
    if (refs.p && !str_is(refs, "[]"))
        buf_str(&s->t->refs, refs);
    over(s, NULL, S(""));
}

static void uploaded(void *ctx, const struct helper_end *end)
{
    struct storing *s = ctx;
    struct kr_err e = { 0 };
    char how[48];
    s->helper = NULL;
    KR_FAILPOINT("runtimed.store-artifacts.done");
    if (artifacts_answer(end, &e) == 0) {
        keep(s, end->out);
    } else if (e.code == KR_INVALID) {
        over(s, str_is(json_find(end->out, "reason"), "\"ArtifactInvalid\"") ? "ArtifactInvalid" : "ArtifactStore", str_of(e.msg));
    } else if (WIFSIGNALED(end->status) && !end->late && ++s->helpers < HELPERS_MAX) {
        log_warn(&log_std, "the helper that stores artifacts was killed; another one begins anew", LOG_STR("run", s->t->name), LOG_STR("how", proc_status_text(end->status, how)));
        artifacts_snapshot_written(s->t);
    } else {
        kr_wrap(&e, "the upload");
        over(s, "ArtifactStore", str_of(e.msg));
    }
}

void artifacts_snapshot_written(struct task *t)
{
    static const char *const argv[] = { "kruntimes", "artifact-helper", "collect", NULL };
    struct storing *s = t->storing;
    AUTO_ARENA struct arena a = { .limit = 65536 };
    AUTO_BUF struct buf order = { .max = 0 };
    struct kr_err e = { 0 };
    bool some = has_artifacts(t);
    AUTO_CLOSE int dir = !some ? -1 : fs_open_beneath(t->d->workspace_fd, arena_fmt(&a, "%.*s/out/artifacts", SFMT(t->uid)).p, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (some && dir < 0) {
        kr_fail_sys(&e, KR_INVALID, errno, "open $KRUNTIME_ARTIFACTS_DIR");
        over(s, "ArtifactInvalid", str_of(e.msg));
        return;
    }
    artifacts_order(t->d, &order);
    jw_kstr(&order, "prefix", artifacts_prefix(t, &a));
    jw_kint(&order, "maxBytes", t->d->artifacts.bytes);
    jw_kint(&order, "again", 1);                  /* a process before us may have begun */
    jw_kint(&order, "folder", some);
    jw_kstr(&order, "logs", arena_fmt(&a, "%s/logs/%.*s", t->d->state, SFMT(t->uid)));
    jw_kstr(&order, "logsPrefix", arena_fmt(&a, "%.*s/%.*s/logs", SFMT(t->ns), SFMT(t->uid)));
    jw_end(&order, '}');
    if (!s->uploading)
        s->until_us = loop_now_us(t->d->loop) + UPLOAD_US;
    int64_t left = s->until_us - loop_now_us(t->d->loop);
    struct helper_spec spec = { .argv = argv, .envp = artifacts_environment(&a), .input = buf_view(&order), .fds = (struct proc_fd[]){ { dir, 3 } }, .nfds = some,
                                .max_out = ANSWER_MAX, .timeout_us = left > 0 ? left : 0, .memory = LIMIT_ARTIFACT_HELPER };
    s->helper = KR_FAILPOINTS_AROUND("runtimed.store-artifacts.fork", helper_start(t->d->loop, &spec, (struct helper_user){ .ended = uploaded, .ctx = s }, &e));
    s->uploading = true;
    if (!s->helper)
        over(s, "ArtifactStore", str_of(e.msg));
}

/* ---- the finalizer ----------------------------------------------------------------------------------------------- */

static void ensure_finalizer(struct storing *s);

static void again(struct loop *loop, struct timer *t)
{
    (void)loop;
    ensure_finalizer(container_of(t, struct storing, again));
}

/* However long the API is away: nothing else could be told meanwhile. */
static void later(struct storing *s)
{
    s->wait_us = !s->wait_us ? WAIT_MIN_US : s->wait_us * 2 < WAIT_MAX_US ? s->wait_us * 2 : WAIT_MAX_US;
    loop_timer_in(s->t->d->loop, &s->again, s->wait_us);
}

static void looked(void *ctx, const struct kube_result *r)
{
    struct storing *s = ctx;
    struct task *t = s->t;
    s->call = NULL;
    if (r->error && r->error->code == KR_NOT_FOUND) {
        task_drop(t);
        return;
    }
    if (!r->error)
        task_update(t, r->body);
    if (!r->error && ++s->refusals > REFUSALS_MAX)
        over(s, "ArtifactStore", S("the Run is changed too often to put a finalizer on it"));
    else
        later(s);
}

static void told(void *ctx, const struct kube_result *r)
{
    struct storing *s = ctx;
    struct task *t = s->t;
    s->call = NULL;
    if (!r->error) {
        task_update(t, r->body);
        status_write(t, WRITE_STORE);
    } else if (r->error->code == KR_NOT_FOUND) {
        task_drop(t);
    } else if (r->error->code == KR_INVALID || r->error->code == KR_CONFLICT || r->error->code == KR_FORBIDDEN) {
        s->call = kube_get(t->d->kube, &kube_runs, t->ns, t->name, (struct kube_user){ looked, s });
    } else if (r->error->code == KR_TOO_LARGE) {
        artifacts_have_no_room(t);
    } else {
        log_warn(&log_std, "a finalizer could not be written", LOG_STR("run", t->name), LOG_STR("namespace", t->ns), LOG_ERR(r->error));
        later(s);
    }
}

static bool has_finalizer(const struct object_meta *m)
{
    for (size_t i = 0; i < m->finalizers.n; i++)
        if (str_is(m->finalizers.v[i], FINALIZER))
            return true;
    return false;
}

static void ensure_finalizer(struct storing *s)
{
    struct task *t = s->t;
    const struct object_meta *m = &t->run->metadata;
    AUTO_BUF struct buf b = { .max = 4096 };
    if (m->deletion_timestamp.n) {
        artifacts_free(t);
        task_is_deleted(t);
        return;
    }
    if (has_finalizer(m)) {
        status_write(t, WRITE_STORE);
        return;
    }
    jw_begin(&b, '[');
    buf_fmt(&b, "{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"%.*s\"}", SFMT(t->uid));
    if (m->finalizers.n)
        buf_lit(&b, ",{\"op\":\"add\",\"path\":\"/metadata/finalizers/-\",\"value\":\"" FINALIZER "\"}]");
    else                                          /* making the list must not undo another's */
        buf_fmt(&b, ",{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":\"%.*s\"},{\"op\":\"add\",\"path\":\"/metadata/finalizers\",\"value\":[\"" FINALIZER "\"]}]",
                SFMT(m->resource_version));
    s->call = kube_json_patch(t->d->kube, &kube_runs, t->ns, t->name, NULL, buf_view(&b), (struct kube_user){ told, s });
}

void artifacts_begin(struct task *t)
{
    struct storing *s = xcalloc(1, sizeof *s);
    *s = (struct storing){ .t = t, .again = { .fire = again } };
    t->storing = s;
    ensure_finalizer(s);
}
