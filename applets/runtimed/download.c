/* SPDX-License-Identifier: Apache-2.0 */
/*
 * download: artifact.v1.ArtifactService. Who presents a Run's access key gets its artifacts, from any pod of a Runtime with the
 * same store: the Run is read from the API, its own pod may be gone. What the status says of a place is taken only when it lies
 * where that Run's artifacts go; the bytes come from a helper process. Metadata kruntimes-offset asks for the rest of a
 * download that was cut.
 */
#include "applets/runtimed/runtimed.h"
#include "core/digest.h"
#include "core/failpoint.h"
#include "core/helper.h"
#include "grpc/proto/artifact.pb.h"

enum { FRAME = 61440 };                         /* below what a `bytes` member takes */
static const int64_t DOWNLOAD_US = INT64_C(86400000000);
struct download {
    struct grpc_request *r;
    struct runtimed *d;
    struct kube_call *look;
    struct helper *helper;
    struct str ns, run, name, key;                /* on the request's arena; key: the access key */
    struct arena arena;                           /* the Run */
    int64_t offset, left;
};

static void end(struct download *w, int status, struct str text)
{
    struct grpc_request *r = w->r;
    grpc_end(r, status, text);                    /* `gone` frees */
}

static bool send_metadata(struct download *w, const struct artifact_ref *ref)
{
    struct arena *a = &w->arena;
    artifact_v1_ArtifactMetadata m = { .name = arena_z(a, ref->name), .type = arena_z(a, ref->type), .content_type = arena_z(a, ref->content_type),
                                       .size_bytes = ref->size_bytes, .digest = arena_z(a, ref->digest) };
    artifact_v1_DownloadResponse q = { .which_payload = artifact_v1_DownloadResponse_metadata_tag, .payload.metadata = &m };
    return grpc_reply_pb(w->r, artifact_v1_DownloadResponse_fields, &q) == 0;
}

/* ---- the bytes --------------------------------------------------------------------------------------------------- */

static void got_bytes(void *ctx, struct str bytes)
{
    struct download *w = ctx;
    while (bytes.n) {
        AUTO_ARENA struct arena a = { .limit = 2 * FRAME };
        struct str part = { bytes.p, bytes.n < FRAME ? bytes.n : FRAME };
        artifact_v1_DownloadResponse q = { .which_payload = artifact_v1_DownloadResponse_data_tag, .payload.data = pb_bytes(&a, part) };
        bytes = str_from(bytes, part.n);
        w->left -= (int64_t)part.n;
        if (w->left < 0) {
            end(w, GRPC_DATA_LOSS, S("the artifact in the store has another size than it had when it was stored"));
            return;
        }
        if (grpc_reply_pb(w->r, artifact_v1_DownloadResponse_fields, &q) < 0)
            return;
    }
    if (grpc_queued(w->r) > 4 * HTTP_LOW_WATER)
        helper_pause(w->helper, true);
}

static void all_read(void *ctx, const struct helper_end *h)
{
    struct download *w = ctx;
    w->helper = NULL;
    if (h->status)
        end(w, GRPC_UNAVAILABLE, h->err.n ? str_trim(h->err) : S("the artifact can't be read from its store"));
    else if (w->left)
        end(w, GRPC_DATA_LOSS, S("the artifact in the store has another size than it had when it was stored"));
    else
        end(w, GRPC_OK, S(""));
}

static void read_store(struct download *w, struct str key)
{
    static const char *const argv[] = { "kruntimes", "artifact-helper", "get", NULL };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    AUTO_BUF struct buf order = { .max = 0 };
    struct kr_err e = { 0 };
    artifacts_order(w->d, &order);
    jw_kstr(&order, "key", key);
    jw_kint(&order, "offset", w->offset);
    jw_end(&order, '}');
    struct helper_spec s = { .argv = argv, .envp = artifacts_environment(&a), .input = buf_view(&order), .timeout_us = DOWNLOAD_US, .memory = LIMIT_ARTIFACT_HELPER };
    w->helper = KR_FAILPOINTS_AROUND("runtimed.read-artifact.fork", helper_start(w->d->loop, &s, (struct helper_user){ got_bytes, all_read, w }, &e));
    if (!w->helper)
        grpc_end_err(w->r, &e);
}

/* ---- which ------------------------------------------------------------------------------------------------------- */

static void start(struct download *w, const struct run *run)
{
    const struct artifact_ref *ref = artifacts_ref_of(run, w->name);
    if (!ref) {
        end(w, GRPC_NOT_FOUND, S("the Run has no artifact of that name"));
        return;
    }
    struct str key = artifacts_key_of(w->d, run, ref, &w->arena);
    if (!key.n) {
        end(w, GRPC_FAILED_PRECONDITION, S("the artifact is not in the store of this Runtime"));
        return;
    }
    if (w->offset > ref->size_bytes) {
        end(w, GRPC_OUT_OF_RANGE, S("the artifact is shorter than that"));
        return;
    }
    w->left = ref->size_bytes - w->offset;
    if (send_metadata(w, ref))
        read_store(w, key);
}

static void found(void *ctx, const struct kube_result *r)
{
    struct download *w = ctx;
    struct kr_err e = { 0 };
    w->look = NULL;
    struct run *run = r->error ? NULL : model_decode(run, arena_str(&w->arena, r->body), &w->arena, &e);
    if (r->error && r->error->code == KR_NOT_FOUND)
        end(w, GRPC_NOT_FOUND, S("no such Run"));
    else if (r->error)
        grpc_end_err(w->r, r->error);
    else if (!run)
        grpc_end_err(w->r, &e);
    else if (run->status.access_key.n != 32 || !digest_same(run->status.access_key, w->key))
        end(w, GRPC_PERMISSION_DENIED, S("the access key is missing or wrong: it is in the Run's status.accessKey"));
    else
        start(w, run);
}

static void download(struct grpc_request *r, struct str bytes)
{
    struct runtimed *d = grpc_service_ctx(r);
    artifact_v1_DownloadRequest *q = grpc_decode(r, artifact_v1_DownloadRequest_fields, sizeof *q, bytes);
    if (!q || !store_reader_begins(r))
        return;
    struct arena *a = grpc_arena(r);
    struct download *w = xcalloc(1, sizeof *w);
    *w = (struct download){ .r = r, .d = d, .arena = { .limit = 32 << 20, .first = 4096 }, .ns = d->ns, .run = pb_str(q->run_name), .name = pb_str(q->artifact_name),
                            .key = arena_str(a, http_get(grpc_metadata(r), "kruntimes-access-key")) };
    grpc_set_user(r, w);
    struct str offset = http_get(grpc_metadata(r), "kruntimes-offset");
    if (q->namespace && !str_is(d->ns, q->namespace))
        end(w, GRPC_NOT_FOUND, S("this pod serves another namespace"));
    else if (!w->run.n || !w->name.n || (offset.p && (!str_i64(offset, &w->offset) || w->offset < 0)))
        end(w, GRPC_INVALID_ARGUMENT, S("run_name and artifact_name are needed, and kruntimes-offset is a whole number"));
    else
        w->look = kube_get(d->kube, &kube_runs, d->ns, w->run, (struct kube_user){ found, w });
}

static void writable(struct grpc_request *r)
{
    struct download *w = grpc_user(r);
    if (w && w->helper)
        helper_pause(w->helper, false);
}

static void gone(struct grpc_request *r)
{
    struct download *w = grpc_user(r);
    if (!w)
        return;
    w->d->store_readers--;
    grpc_set_user(r, NULL);
    kube_cancel(w->look);
    helper_stop(w->helper);
    arena_reset(&w->arena);
    free(w);
}

const struct grpc_method download_methods[] = { { "Download", .message = download, .gone = gone, .writable = writable }, { 0 } };
