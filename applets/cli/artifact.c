/* SPDX-License-Identifier: Apache-2.0 */
/*
 * artifact: what Runs left. list reads the Run's status; download asks a runtimed through port-forward (that of the Run's pod,
 * else another of the same Runtime, which has the same store), writes beside the target, checks size and digest, and renames.
 * What a broken connection left is gone on with, by the next try or the next command. Tests: tests/local/artifacts.py
 */
#include "applets/cli/output.h"
#include "applets/cli/which.h"
#include "core/digest.h"
#include "core/fs.h"
#include "core/terminal.h"
#include "core/uri.h"
#include "crds/run.h"
#include "grpc/grpc.h"
#include "grpc/proto/artifact.pb.h"
#include "k8s/portforward.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PORT = 9093, TRIES = 5, AGAIN_US = 200000, PROGRESS_US = 200000 };
static const int64_t DOWNLOAD_US = INT64_C(86400000000);
static struct { struct str dir, output; bool force; } o = { .dir = S(".") };
static const struct opt download_opts[] = {
    { "dir", 'd', OPT_STR, &o.dir, "DIR", "where the files go" },
    { "output", 0, OPT_STR, &o.output, "FILE", "file name for the one artifact that is named; - is stdout" },
    { "force", 0, OPT_FLAG, &o.force, NULL, "replace files that are there" },
    { 0 } };

static struct run *read_run(struct cli *c, struct str name, struct buf *body, struct arena *a, struct kr_err *e)
{
    if (cli_get(c, &kube_runs, str_of(c->own_ns), name, body, e) < 0)
        return NULL;
    return model_decode(run, buf_view(body), a, e);
}

/* ---- list -------------------------------------------------------------------------------------------------------- */

static const struct view_column columns[] = {
    { .name = "Name", .path = ".name" }, { .name = "Run", .path = ".run", .wide = true }, { .name = "Type", .path = ".type" },
    { .name = "Size", .path = ".sizeBytes" }, { .name = "Digest", .path = ".digest", .how = CELL_DIGEST },
    { .name = "Driver", .path = ".driver", .wide = true }, { .name = "Content-Type", .path = ".contentType", .wide = true },
    { .name = "Age", .path = ".createdAt", .how = CELL_AGE }, { 0 } };

/* What a Run left: each of its status.artifactRefs, with the names of the Run and of its namespace. */
static void artifacts_of(struct items *l, struct str object)
{
    static const char *const refs_path[] = { "status", "artifactRefs" }, *const name_path[] = { "metadata", "name" }, *const ns_path[] = { "metadata", "namespace" };
    struct str refs = json_find_path(object, refs_path, 2), ns = json_find_path(object, ns_path, 2), name = json_find_path(object, name_path, 2);
    struct json_cur cur = json_begin(refs);
    if (!refs.n || json_kind(&cur) != JSON_ARRAY)
        return;
    json_enter(&cur);
    while (json_item(&cur)) {
        struct str ref = str_from(json_raw(&cur), 1);
        items_add(l, arena_fmt(&l->arena, "{\"namespace\":%.*s,\"run\":%.*s,%.*s", SFMT(ns), SFMT(name), SFMT(ref)), (struct str){ 0 });
    }
}

static void put_name(struct buf *b, const struct json *ref)
{
    buf_fmt(b, "%.*s/%.*s", SFMT(json_string(json_get(ref, "run"))), SFMT(json_string(json_get(ref, "name"))));
}

static int list(struct applet_call *call, struct kr_err *e)
{
    static const char *const created[2] = { "createdAt", NULL };
    struct view_column shown[LEN(columns)];
    struct cli c;
    memcpy(shown, columns, sizeof columns);
    shown[1].wide = call->nargs == 1;             /* whose they are is known then */
    if (cli_open_latest(&c, &kube_runs, call, call->nargs, e) < 0)
        return -1;
    int rc = cli_show_view(&c, &(struct view){ .resource = &kube_runs, .plural = "artifacts", .name_form = "artifact", .time_path = created, .columns = shown,
                                               .expand = artifacts_of, .put_name = put_name }, call->args, call->nargs, e);
    cli_close(&c);
    return rc;
}

/* ---- one download ------------------------------------------------------------------------------------------------ */

struct fetch {
    struct cli *c;
    const struct run *run;
    const struct artifact_ref *ref;
    struct str pod;
    int fd;                                       /* of the part, or stdout */
    bool to_stdout, head, done, interrupted, unsound;
    int64_t offset, got;                          /* got: all that is in the part and in the digest */
    struct digest digest;
    struct kube_forward *forward;
    struct grpc_client *client;
    struct grpc_call *call;
    struct timer tick;
    int64_t shown, shown_us;
    struct kr_err e, way;                         /* way: what port-forward said */
};

static void show_progress(struct fetch *f, bool last)
{
    int64_t now = loop_now_us(f->c->loop), us = now - f->shown_us;
    AUTO_BUF struct buf shown = { 0 };
    if (!isatty(2))
        return;
    struct str name = terminal_text(2, f->ref->name, &shown);
    fprintf(stderr, "\r%.*s  %3lld %%  %lld of %lld bytes  %.1f MB/s\033[K%s", SFMT(name),
            f->ref->size_bytes ? (long long)(f->got * 100 / f->ref->size_bytes) : 100LL, (long long)f->got, (long long)f->ref->size_bytes,
            us > 0 ? (double)(f->got - f->shown) / (double)us : 0, last ? "\n" : "");
    f->shown = f->got;
    f->shown_us = now;
}

static void tick(struct loop *loop, struct timer *t)
{
    struct fetch *f = container_of(t, struct fetch, tick);
    show_progress(f, false);
    loop_timer_in(loop, t, PROGRESS_US);
}

static void fail(struct fetch *f, const struct kr_err *e)
{
    if (!f->done)
        f->e = *e;
    f->done = true;
}

static void take_head(struct fetch *f, const artifact_v1_ArtifactMetadata *m)
{
    struct kr_err e = { 0 };
    f->head = true;
    if (m->size_bytes != f->ref->size_bytes || !str_eq(pb_str(m->digest), f->ref->digest)) {
        kr_fail(&e, KR_CONFLICT, "artifact \"%.*s\" is another one than the Run's status says", SFMT(f->ref->name));
        f->unsound = true;
        fail(f, &e);
    }
}

static void take_bytes(struct fetch *f, struct str bytes)
{
    struct kr_err e = { 0 };
    if (f->got + (int64_t)bytes.n > f->ref->size_bytes) {
        kr_fail(&e, KR_PROTOCOL, "artifact \"%.*s\" has more bytes than the Run's status says", SFMT(f->ref->name));
        f->unsound = true;
        fail(f, &e);
        return;
    }
    if (fs_write_fd(f->fd, bytes, f->to_stdout ? "stdout" : "the part of the download", &e) < 0) {
        fail(f, &e);
        return;
    }
    digest_add(&f->digest, bytes);
    f->got += (int64_t)bytes.n;
}

static void on_message(void *ctx, struct str bytes)
{
    struct fetch *f = ctx;
    AUTO_ARENA struct arena a = { .limit = 2 * (size_t)LIMIT_GRPC_MESSAGE };
    artifact_v1_DownloadResponse q = { 0 };
    struct kr_err e = { 0 };
    if (f->done)
        return;
    if (pb_from_bytes(artifact_v1_DownloadResponse_fields, &q, bytes, &a, &e) < 0)
        fail(f, &e);
    else if (q.which_payload == artifact_v1_DownloadResponse_metadata_tag)
        take_head(f, q.payload.metadata);
    else if (q.which_payload == artifact_v1_DownloadResponse_data_tag && f->head)
        take_bytes(f, pb_view(q.payload.data));
}

static void on_done(void *ctx, int status, struct str text)
{
    struct fetch *f = ctx;
    struct kr_err e = { 0 };
    f->call = NULL;
    if (status != GRPC_OK) {
        if (f->way.code)
            e = f->way;
        else
            kr_fail(&e, grpc_code(status), "artifact \"%.*s\": %.*s", SFMT(f->ref->name), SFMT(text));
        fail(f, &e);
    }
    f->done = true;
}

static void way_failed(void *ctx, const struct kr_err *e)
{
    struct fetch *f = ctx;
    if (!f->way.code)
        f->way = *e;
}

static bool is_over(void *ctx)
{
    struct fetch *f = ctx;
    return f->done || f->interrupted;
}

static void on_signal(struct loop *loop, int sig, void *ctx)
{
    (void)loop;
    (void)sig;
    ((struct fetch *)ctx)->interrupted = true;
}

/* From f->got on; 0 when the stream came to its proper end. */
static int stream(struct fetch *f, struct kr_err *e)
{
    int fd;
    char offset[24];
    AUTO_BUF struct buf b = { .max = 4096 };
    AUTO_ARENA struct arena a = { .limit = 8192 };
    artifact_v1_DownloadRequest q = { .namespace = f->c->own_ns, .run_name = arena_z(&a, f->run->metadata.name), .artifact_name = arena_z(&a, f->ref->name) };
    int n = snprintf(offset, sizeof offset, "%lld", (long long)f->got);
    struct http_field fields[] = { { S("kruntimes-access-key"), f->run->status.access_key }, { S("kruntimes-offset"), { offset, (size_t)n } } };
    f->done = f->head = false;
    f->e = f->way = (struct kr_err){ 0 };
    if (pb_to_bytes(artifact_v1_DownloadRequest_fields, &q, &b, e) < 0)
        return -1;
    f->forward = kube_forward_open(f->c->kube, str_of(f->c->own_ns), f->pod, PORT, &f->c->rnd, &fd, way_failed, f);
    f->client = grpc_client_over(f->c->loop, fd);
    f->call = grpc_call(f->client, "/artifact.v1.ArtifactService/Download", buf_view(&b), &(struct grpc_options){ .metadata = { fields, 2 }, .timeout_us = DOWNLOAD_US },
                        (struct grpc_user){ on_message, on_done, f });
    loop_run_until(f->c->loop, is_over, f, INT64_MAX);
    grpc_cancel(TAKE(f->call));
    grpc_client_free(TAKE(f->client));
    kube_forward_close(TAKE(f->forward));
    if (f->interrupted)
        return kr_fail(e, KR_CANCELLED, "interrupted; the same command goes on from here");
    *e = f->e;
    return e->code ? -1 : 0;
}

static bool never(void *ctx)
{
    return ((struct fetch *)ctx)->interrupted;
}

/* A connection that breaks is made anew, from where it broke. */
static int transfer(struct fetch *f, struct kr_err *e)
{
    for (int tries = 0;; tries++) {
        int64_t before = f->got;
        *e = (struct kr_err){ 0 };
        if (stream(f, e) == 0)
            return 0;
        if (f->got > before)
            tries = 0;
        if (f->unsound || f->interrupted || !kr_codes[e->code].retry || tries == TRIES)
            return -1;
        loop_run_until(f->c->loop, never, f, loop_now_us(f->c->loop) + AGAIN_US);
    }
}

static int check_content(struct fetch *f, struct kr_err *e)
{
    unsigned char raw[DIGEST_BYTES];
    char text[DIGEST_TEXT + 8] = "sha256:";
    digest_end(&f->digest, raw);
    digest_hex(raw, text + 7);
    if (f->got == f->ref->size_bytes && (!f->ref->digest.n || str_is(f->ref->digest, text)))
        return 0;
    f->unsound = true;
    return kr_fail(e, KR_PROTOCOL, "artifact \"%.*s\" is damaged: %lld bytes with the digest %s came, %lld with %.*s were stored", SFMT(f->ref->name),
                   (long long)f->got, text, (long long)f->ref->size_bytes, SFMT(f->ref->digest));
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* What a name may be that becomes a file's: plain, not hidden, not like an option, nothing a terminal obeys. */
static int file_name(const struct artifact_ref *ref, char out[300], struct kr_err *e)
{
    struct str s = o.output.n ? o.output : ref->name;
    bool plain = s.n && s.n <= 240 && (o.output.n || (s.p[0] != '.' && s.p[0] != '-')) && str_utf8(s);
    for (size_t i = 0; plain && i < s.n; i++)
        plain = (unsigned char)s.p[i] >= ' ' && s.p[i] != 127 && s.p[i] != '/' && s.p[i] != '\\';
    if (!plain || str_is(s, ".") || str_is(s, ".."))
        return kr_fail(e, KR_INVALID, "an artifact's name is no safe file name: name the file yourself with --output");
    snprintf(out, 300, "%.*s%s", SFMT(s), !o.output.n && str_is(ref->type, "archive") ? ".tar.gz" : "");
    return 0;
}

/* What an earlier command left is digested, and gone on from. */
static int take_part(struct fetch *f, struct kr_err *e)
{
    static char chunk[1 << 16];
    struct stat st;
    if (flock(f->fd, LOCK_EX | LOCK_NB) < 0)
        return kr_fail(e, KR_CONFLICT, "artifact \"%.*s\" is being downloaded here already", SFMT(f->ref->name));
    if (fstat(f->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return kr_fail(e, KR_INVALID, "the part of artifact \"%.*s\" is no file", SFMT(f->ref->name));
    if (st.st_size > f->ref->size_bytes && ftruncate(f->fd, 0) < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "begin anew");
    for (ptrdiff_t n; (n = pread(f->fd, chunk, sizeof chunk, f->got)) > 0; f->got += n)
        digest_add(&f->digest, (struct str){ chunk, (size_t)n });
    lseek(f->fd, f->got, SEEK_SET);
    return 0;
}

/* A rename that replaces nothing. NFS, 9p and older FUSE know no such flag: there a second name does it; where files have only one,
 * a look before is all there is. */
static int rename_new(int dir, const char *from, const char *to)
{
    if (syscall(SYS_renameat2, dir, from, dir, to, 1 /* RENAME_NOREPLACE */) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (linkat(dir, from, dir, to, 0) == 0)
        return unlinkat(dir, from, 0);
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
        return -1;
    if (faccessat(dir, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return errno = EEXIST, -1;
    return renameat(dir, from, dir, to);
}

static int put_in_place(int dir, const char *part, const char *name, int fd, struct kr_err *e)
{
    if (fsync(fd) < 0 || (o.force ? renameat(dir, part, dir, name) : rename_new(dir, part, name)) < 0)
        return errno == EEXIST ? kr_fail(e, KR_EXISTS, "\"%s\" is there already (--force replaces it)", name)
                               : kr_fail_sys(e, KR_SYSTEM, errno, "write \"%s\"", name);
    fsync(dir);
    return 0;
}

static int fetch_to_file(struct fetch *f, int dir, struct kr_err *e)
{
    char name[300], part[340];
    if (file_name(f->ref, name, e) < 0)
        return -1;
    if (!o.force && faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return kr_fail(e, KR_EXISTS, "\"%s\" is there already (--force replaces it)", name);
    snprintf(part, sizeof part, ".%.200s.%.12s.part", name, f->ref->digest.n > 19 ? f->ref->digest.p + 7 : "");
    f->fd = openat(dir, part, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0666);
    if (f->fd < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "write \"%s\"", part);
    int rc = take_part(f, e);
    if (rc == 0)
        rc = transfer(f, e);
    if (rc == 0)
        rc = check_content(f, e);
    if (rc == 0)
        rc = put_in_place(dir, part, name, f->fd, e);
    if (f->unsound)
        unlinkat(dir, part, 0);
    close(f->fd);
    if (rc == 0)
        printf("%.*s%s%s\n", SFMT(o.dir), o.dir.n && o.dir.p[o.dir.n - 1] == '/' ? "" : "/", name);
    return rc;
}

/* ---- which, and from where --------------------------------------------------------------------------------------- */

static bool pod_is_ready(const struct pod *p)
{
    for (size_t i = 0; i < p->status.conditions.n; i++)
        if (str_is(p->status.conditions.v[i].type, "Ready") && str_is(p->status.conditions.v[i].status, "True"))
            return !p->metadata.deletion_timestamp.n;
    return false;
}

/* The Run's own pod while it is there, else any of the Runtime that is ready. */
static int find_pod(struct cli *c, const struct run *r, struct str *pod, struct arena *a, struct kr_err *e)
{
    AUTO_BUF struct buf path = { .max = 4096 }, body = { .max = LIMIT_KUBE_ANSWER };
    kube_path(&path, &kube_pods, str_of(c->own_ns), S(""), NULL);
    uri_put_param(&path, "labelSelector", arena_fmt(a, "kruntimes.io/runtime=%.*s", SFMT(r->spec.runtime)));
    if (cli_call(c, &(struct kube_request){ .method = "GET", .path = buf_view(&path) }, &body, e) < 0)
        return -1;
    struct json *list = json_parse(a, buf_view(&body), e);
    *pod = S("");
    for (struct json *i = json_first(json_get(list, "items")); i; i = json_next(i)) {
        AUTO_BUF struct buf text = { .max = LIMIT_KUBE_LINE };
        struct kr_err ignored = { 0 };
        json_print(&text, i);
        struct pod *p = model_decode(pod, arena_str(a, buf_view(&text)), a, &ignored);
        if (p && (str_eq(p->metadata.uid, r->status.assigned_pod_uid) || (!pod->n && pod_is_ready(p))))
            *pod = p->metadata.name;
        if (p && str_eq(p->metadata.uid, r->status.assigned_pod_uid))
            break;
    }
    return pod->n ? 0 : kr_fail(e, KR_UNAVAILABLE, "no pod of Runtime \"%.*s\" is there to read its store", SFMT(r->spec.runtime));
}

static bool is_wanted(const struct applet_call *call, struct str name)
{
    for (size_t i = 1; i < call->nargs; i++)
        if (str_eq(call->args[i], name))
            return true;
    return call->nargs == 1;
}

static int check_names(const struct applet_call *call, const struct run *r, struct kr_err *e)
{
    for (size_t i = 1; i < call->nargs; i++) {
        bool found = false;
        for (size_t k = 0; k < r->status.artifact_refs.n; k++)
            found |= str_eq(call->args[i], r->status.artifact_refs.v[k].name);
        if (!found)
            return kr_fail(e, KR_NOT_FOUND, "run \"%.*s\" has no artifact \"%.*s\"", SFMT(call->args[0]), SFMT(call->args[i]));
    }
    if (!r->status.artifact_refs.n)
        return kr_fail(e, KR_NOT_FOUND, "run \"%.*s\" has no artifacts", SFMT(call->args[0]));
    if (o.output.n && !(call->nargs == 2 || (call->nargs == 1 && r->status.artifact_refs.n == 1)))
        return kr_fail(e, KR_USAGE, "--output is for one artifact: name it");
    return 0;
}

static int fetch_one(struct cli *c, const struct run *r, const struct artifact_ref *ref, struct str pod, int dir, struct kr_err *e)
{
    static const int signals[] = { SIGINT, SIGTERM };
    struct fetch f = { .c = c, .run = r, .ref = ref, .pod = pod, .fd = 1, .to_stdout = str_is(o.output, "-"), .tick = { .fire = tick },
                       .shown_us = loop_now_us(c->loop) };
    digest_begin(&f.digest);
    loop_signals(c->loop, signals, LEN(signals), on_signal, &f);
    loop_timer_in(c->loop, &f.tick, PROGRESS_US);
    int rc = f.to_stdout ? transfer(&f, e) : fetch_to_file(&f, dir, e);
    if (f.to_stdout && rc == 0)
        rc = check_content(&f, e);
    loop_timer_stop(c->loop, &f.tick);
    if (f.got > 0)
        show_progress(&f, true);
    return rc;
}

static int download(struct applet_call *call, struct kr_err *e)
{
    struct cli c;
    AUTO_BUF struct buf body = { .max = LIMIT_KUBE_ANSWER };
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    struct str pod;
    AUTO_CLOSE int dir = -1;
    if (cli_open_latest(&c, &kube_runs, call, 1, e) < 0)
        return -1;
    struct run *r = read_run(&c, call->args[0], &body, &a, e);
    int rc = r ? check_names(call, r, e) : -1;
    if (rc == 0 && (dir = open(o.dir.p, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        rc = kr_fail_sys(e, KR_SYSTEM, errno, "open the folder \"%.*s\"", SFMT(o.dir));
    if (rc == 0)
        rc = find_pod(&c, r, &pod, &a, e);
    for (size_t i = 0; rc == 0 && i < r->status.artifact_refs.n; i++)
        if (is_wanted(call, r->status.artifact_refs.v[i].name))
            rc = fetch_one(&c, r, &r->status.artifact_refs.v[i], pod, dir, e);
    cli_close(&c);
    return rc;
}

static const struct applet verb_list = { .name = "list", .brief = "what Runs left", .args = "[RUN…]", .names = "runs", .aliases = (const char *const[]){ "ls", "get", NULL },
                                         .help = "Of the named Runs, or of all that the selectors let through. --since and --older go by when it was stored.",
                                         .examples = "artifact list build\nartifact list -A --sort-by .sizeBytes\nartifact list -l team=a -o name",
                                         .shared = (const struct opt *const[]){ cli_phase_opts, cli_list_opts, cli_opts, NULL }, .main = list };
static const struct applet verb_download = {
    .name = "download", .brief = "copy it here", .aliases = (const char *const[]){ "cp", NULL }, .args = "RUN [NAME…]", .names = "runs", .min_args = 1,
    .help = "Without names all of them. Folders come as NAME.tar.gz. Size and digest are checked before a file gets its name; what a broken "
            "connection left is gone on with by the same command. Read through the API server's port-forward from a pod of the Runtime, so one "
            "must be there.",
    .examples = "artifact download build\nartifact download build report.html --dir /tmp\nartifact download build dist --output - | tar tz",
    .opts = download_opts, .shared = (const struct opt *const[]){ cli_opts, NULL }, .main = download };
const struct applet applet_artifact = {
    .name = "artifact", .group = APPLET_WORK, .brief = "look at what Runs left, and copy it", .aliases = (const char *const[]){ "artifacts", NULL },
    .verbs = (const struct applet *const[]){ &verb_list, &verb_download, NULL } };
