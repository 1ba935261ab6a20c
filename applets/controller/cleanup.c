/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup: objects of deleted Runs go out of their store by a Job that mounts it (the controller reads no Secrets and has no
 * volumes). Runs of a namespace with the same store are one group: one Job at a time takes up to RUNS_MAX of them, the oldest; when
 * it is through, the finalizers of those are lifted and the rest gets the next one. What can't be cleaned is told and let go, so that a store
 * that is gone never holds a Run. Golden plans: tests/golden/plans/controller/cleanup_*
 */
#include "applets/controller/controller.h"

#define FINALIZER "kruntimes.io/artifact-cleanup"
enum { NS_WORDS = 2 };                            /* of the Job's arguments: --namespace NAME, before the Runs */
enum { RUNS_MAX = 100, BYTES_MAX = 4 << 20, TRIES = 10, LIMIT_S = 1800, KEPT_S = 3600, NOBODY = 65532 };

struct cleaning {
    const struct cleanup_view *v;
    const struct runtime_config *config;
    struct arena *a;
    struct plan *p;
    struct run **runs; size_t n;                  /* those that this look is about */
};

static ptrdiff_t finalizer_of(const struct object_meta *m)
{
    for (size_t i = 0; i < m->finalizers.n; i++)
        if (str_is(m->finalizers.v[i], FINALIZER))
            return (ptrdiff_t)i;
    return -1;
}

struct str cleanup_group(struct str metadata, struct str status, struct arena *a)
{
    static const char *const keys[] = { "deletionTimestamp", "finalizers" };
    struct str meta[LEN(keys)];
    json_pick(metadata, keys, meta, LEN(keys));
    if (!meta[0].p || str_find(meta[1], S("\"" FINALIZER "\"")) < 0)
        return S("");
    struct str text = json_find(status, "artifactStore");
    if (!text.p)
        return S("none");                         /* nothing was uploaded: the snapshot comes first */
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < text.n; i++)
        hash = (hash ^ (unsigned char)text.p[i]) * UINT64_C(1099511628211);
    return arena_fmt(a, "%016llx", (unsigned long long)hash);
}

static void lift(struct cleaning *c, const struct run *r, const char *why)
{
    ptrdiff_t i = finalizer_of(&r->metadata);
    if (i < 0)
        return;
    struct plan_op *op = plan_add(c->p, PLAN_JSON_PATCH, &kube_runs, r->metadata.namespace, r->metadata.name);
    op->body = arena_fmt(c->a, "[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"%.*s\"},{\"op\":\"test\",\"path\":\"/metadata/finalizers/%td\",\"value\":\"" FINALIZER
                               "\"},{\"op\":\"remove\",\"path\":\"/metadata/finalizers/%td\"}]", SFMT(r->metadata.uid), i, i);
    op->missing_is_fine = op->stale_is_fine = true;
    op->why = why;
}

/* Lets it go although something may be left, and says where. */
static void give_up(struct cleaning *c, const struct run *r, const char *why)
{
    const struct artifact_store *s = &r->status.artifact_store;
    struct str place = s->has_s3 ? arena_fmt(c->a, "bucket %.*s, below %.*s%s", SFMT(s->s3.bucket), SFMT(s->s3.prefix), s->s3.prefix.n ? "/" : "")
                                 : arena_fmt(c->a, "volume claim %.*s, below ", SFMT(s->filesystem.volume_claim_name));
    c->v->tell(c->v->ctx, r, arena_fmt(c->a, "artifacts may be left in %.*s%.*s/%.*s/: %s", SFMT(place), SFMT(r->metadata.namespace), SFMT(r->metadata.uid), why));
    lift(c, r, why);
}

/* ---- the Job ----------------------------------------------------------------------------------------------------- */

static struct str job_name(const struct cleanup_view *v, struct arena *a) { return arena_fmt(a, "kruntimes-clean-%.*s", SFMT(v->group)); }

static void put_volume(struct buf *b, const struct artifact_store *s)
{
    if (!s->has_filesystem && !s->s3.credentials_secret_name.n)
        return;
    jw_kbegin(b, "volumes", '[');
    jw_begin(b, '{');
    jw_kstr(b, "name", S("artifact-store"));
    jw_kbegin(b, s->has_filesystem ? "persistentVolumeClaim" : "secret", '{');
    jw_kstr(b, s->has_filesystem ? "claimName" : "secretName", s->has_filesystem ? s->filesystem.volume_claim_name : s->s3.credentials_secret_name);
    jw_end(b, '}');
    jw_end(b, '}');
    jw_end(b, ']');
}

static void put_container(struct cleaning *c, struct buf *b, const struct run *first)
{
    const struct artifact_store *s = &first->status.artifact_store;
    AUTO_BUF struct buf store = { .max = 65536 };
    model_encode(artifact_store, s, &store);
    jw_begin(b, '{');
    jw_kstr(b, "name", S("clean"));
    jw_kstr(b, "image", str_of(c->config->image));
    jw_kraw(b, "command", S("[\"/kruntimes\",\"artifact-clean\"]"));
    jw_kbegin(b, "args", '[');
    jw_str(b, S("--namespace"));
    jw_str(b, c->v->ns);
    for (size_t i = 0; i < c->n; i++)
        jw_str(b, c->runs[i]->metadata.uid);
    jw_end(b, ']');
    jw_kbegin(b, "env", '[');
    jw_begin(b, '{');
    jw_kstr(b, "name", S("KRUNTIMES_ARTIFACT_STORE"));
    jw_kstr(b, "value", buf_view(&store));
    jw_end(b, '}');
    jw_end(b, ']');
    if (s->has_filesystem)
        jw_kraw(b, "volumeMounts", S("[{\"name\":\"artifact-store\",\"mountPath\":\"/var/lib/kruntimes/artifacts\"}]"));
    else if (s->s3.credentials_secret_name.n)
        jw_kraw(b, "volumeMounts", S("[{\"name\":\"artifact-store\",\"mountPath\":\"/var/lib/kruntimes/store-credentials\",\"readOnly\":true}]"));
    jw_kraw(b, "securityContext", S("{\"allowPrivilegeEscalation\":false,\"readOnlyRootFilesystem\":true,\"capabilities\":{\"drop\":[\"ALL\"]}}"));
    jw_kraw(b, "resources", S("{\"requests\":{\"cpu\":\"10m\",\"memory\":\"16Mi\"}}"));
    jw_end(b, '}');
}

static void put_pod(struct cleaning *c, struct buf *b, const struct run *first)
{
    jw_kbegin(b, "template", '{');
    jw_kraw(b, "metadata", S("{\"labels\":{\"app.kubernetes.io/name\":\"kruntimes\",\"app.kubernetes.io/component\":\"artifact-clean\"}}"));
    jw_kbegin(b, "spec", '{');
    jw_kstr(b, "restartPolicy", S("Never"));
    jw_kbool(b, "automountServiceAccountToken", false);
    jw_kraw(b, "securityContext", arena_fmt(c->a, "{\"runAsUser\":%d,\"runAsNonRoot\":true,\"fsGroup\":%d,\"seccompProfile\":{\"type\":\"RuntimeDefault\"}}", NOBODY, NOBODY));
    jw_kbegin(b, "containers", '[');
    put_container(c, b, first);
    jw_end(b, ']');
    put_volume(b, &first->status.artifact_store);
    jw_end(b, '}');
    jw_end(b, '}');
}

static void make_job(struct cleaning *c)
{
    AUTO_BUF struct buf b = { .max = LIMIT_API_BODY };
    struct str name = job_name(c->v, c->a);
    jw_begin(&b, '{');
    jw_kstr(&b, "apiVersion", S("batch/v1"));
    jw_kstr(&b, "kind", S("Job"));
    jw_kbegin(&b, "metadata", '{');
    jw_kstr(&b, "name", name);
    jw_kraw(&b, "labels", arena_fmt(c->a, "{\"kruntimes.io/clean\":\"%.*s\",\"app.kubernetes.io/name\":\"kruntimes\",\"app.kubernetes.io/component\":\"artifact-clean\","
                                          "\"app.kubernetes.io/part-of\":\"kruntimes\",\"app.kubernetes.io/managed-by\":\"kruntimes\"}", SFMT(c->v->group)));
    jw_end(&b, '}');
    jw_kbegin(&b, "spec", '{');
    jw_kint(&b, "backoffLimit", TRIES - 1);
    jw_kint(&b, "activeDeadlineSeconds", LIMIT_S);        /* a Secret or a claim that is gone lets its pod never start */
    jw_kint(&b, "ttlSecondsAfterFinished", KEPT_S);
    put_pod(c, &b, c->runs[0]);
    jw_end(&b, '}');
    jw_end(&b, '}');
    struct plan_op *op = plan_add(c->p, PLAN_CREATE, &kube_jobs, c->v->ns, name);
    op->body = arena_str(c->a, buf_view(&b));
    op->exists_is_fine = true;
    op->why = "deleted Runs have artifacts";
}

static bool has_condition(const struct json *job, const char *type)
{
    static const char *const path[] = { "status", "conditions" };
    for (struct json *x = json_first(json_get_path(job, path, 2)); x; x = json_next(x))
        if (str_is(json_string(json_get(x, "type")), type) && str_is(json_string(json_get(x, "status")), "True"))
            return true;
    return false;
}

static struct json *asked_of(const struct json *job)
{
    static const char *const path[] = { "spec", "template", "spec", "containers" };
    return json_get(json_first(json_get_path(job, path, 4)), "args");
}

static bool was_asked(struct cleaning *c, const struct json *job, struct str run)
{
    static const char *const path[] = { "metadata", "uid" };
    struct arena_mark mark = arena_mark(c->a);
    struct str uid = json_str_of(json_find_path(run, path, 2), c->a);
    struct json *x = json_first(asked_of(job));
    while (x && !str_eq(json_string(x), uid))
        x = json_next(x);
    arena_rewind(c->a, mark);
    return x != NULL;
}

/* ---- one look ---------------------------------------------------------------------------------------------------- */

/* Those that the Job was asked for, whoever has come since; without one as many as go into the next. */
static int take_runs(struct cleaning *c, const struct json *job, struct kr_err *e)
{
    size_t words = json_len(asked_of(job)), bytes = 0, most = !job ? RUNS_MAX : words > NS_WORDS ? words - NS_WORDS : 0;
    c->runs = arena_alloc(c->a, (most + 1) * sizeof *c->runs);
    for (struct str r; c->runs && c->n < most && (r = c->v->next(c->v->runs)).p;) {
        if (job && !was_asked(c, job, r))
            continue;
        bytes += r.n;
        if (!job && c->n && bytes > BYTES_MAX)
            break;                                /* some large ones would not let any go */
        if (!(c->runs[c->n++] = model_decode(run, r, c->a, e)))
            return -1;
    }
    return c->runs ? 0 : kr_fail(e, KR_TOO_LARGE, "the plan needs more than %zu bytes of memory", c->a->limit);
}

static void after_job(struct cleaning *c, const struct json *job)
{
    bool failed = has_condition(job, "Failed");
    for (size_t i = 0; i < c->n; i++) {
        if (failed)
            give_up(c, c->runs[i], "the clean-up Job failed");
        else
            lift(c, c->runs[i], "its artifacts are removed");
    }
    struct plan_op *op = plan_add(c->p, PLAN_DELETE, &kube_jobs, c->v->ns, job_name(c->v, c->a));
    op->uid = json_string(json_get(json_get(job, "metadata"), "uid"));
    op->missing_is_fine = op->stale_is_fine = true;
    op->why = failed ? "it failed" : "it is done";
}

int cleanup_plan(const struct cleanup_view *v, const struct runtime_config *config, struct plan *p, struct kr_err *e)
{
    p->arena.limit = LIMIT_PLAN_BYTES;
    struct cleaning c = { .v = v, .config = config, .a = &p->arena, .p = p };
    struct json *job = v->job.p ? json_parse(&p->arena, v->job, e) : NULL;
    if (v->job.p && !job)
        return -1;
    if (job && !has_condition(job, "Failed") && !has_condition(job, "Complete"))
        return 0;                                 /* its end brings another look */
    if (take_runs(&c, job, e) < 0)
        return -1;
    if (job) {
        after_job(&c, job);
    } else if (str_is(v->group, "none")) {
        for (size_t i = 0; i < c.n; i++)
            lift(&c, c.runs[i], "it has no artifacts");
    } else if (v->refused) {
        for (size_t i = 0; i < c.n; i++)
            give_up(&c, c.runs[i], "the namespace is being deleted");
    } else if (c.n) {
        make_job(&c);
    }
    return 0;
}
