/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3: objects in a bucket (Amazon S3 REST API 2006-03-01, as far as PUT, GET, DELETE, ListObjectsV2 and multipart uploads go).
 *
 * A file is read once to digest it and once more for each time it is sent, a part at a time: while one is digested those before
 * it are on their way. The server compares what it got with what was digested (a signed payload, or CRC-32C of each part where
 * TLS makes signing it needless), so what is stored is what the digest tells. Parts go out side by side, straight from the file: memory doesn't depend on their size. A folder becomes a
 * temporary file first. An upload that fails is aborted. Tests: tests/interop/s3.py
 */
#include "applets/artifact/s3.h"
#include "core/base64.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/uri.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { PART_DEFAULT = 8 << 20, PARTS_MAX = 10000, CONCURRENCY = 4, RETRIES = 40, PIECE = 1 << 17 };
struct part { char sha[DIGEST_TEXT], crc[16], etag[160]; };
struct upload {
    struct s3 *s;
    struct str key, id;
    const struct item *item;
    struct part *parts; size_t n, next, left;
    int64_t part_size;
    struct digest whole;                          /* of the parts up to next */
    struct arena a;
};

static struct s3 *of(struct depot *d) { return container_of(d, struct s3, depot); }

static void crc_text(struct arena *a, uint32_t crc, char out[16])
{
    unsigned char be[4] = { (unsigned char)(crc >> 24), (unsigned char)(crc >> 16), (unsigned char)(crc >> 8), (unsigned char)crc };
    AUTO_BUF struct buf b = { .max = 16 };
    (void)a;
    base64_put(&b, BASE64_STD, (struct str){ (char *)be, sizeof be });
    snprintf(out, 16, "%.*s", (int)b.n, b.p);
}

/* ---- reading once: the whole's digest, and each part's ------------------------------------------------------------- */

static uint64_t part_end(const struct upload *u, size_t i)
{
    uint64_t end = (uint64_t)u->part_size * (i + 1);
    return end < u->item->size ? end : u->item->size;
}

static int digest_part(struct upload *u, size_t i, struct kr_err *e)
{
    static char piece[PIECE];
    struct digest part;
    struct part *p = &u->parts[i];
    unsigned char raw[DIGEST_BYTES];
    uint64_t end = part_end(u, i);
    uint32_t crc = 0;
    bool sign = !u->s->place.https && u->n > 1;   /* of a single one the whole's digest is it */
    digest_begin(&part);
    for (uint64_t at = (uint64_t)u->part_size * i; at < end;) {
        ptrdiff_t n = pread(u->item->fd, piece, end - at < PIECE ? (size_t)(end - at) : PIECE, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? kr_fail_sys(e, KR_INVALID, errno, "read \"%.*s\"", SFMT(u->item->name))
                         : kr_fail(e, KR_INVALID, "\"%.*s\" became shorter while it was read: something still writes to it", SFMT(u->item->name));
        struct str bytes = { piece, (size_t)n };
        digest_add(&u->whole, bytes);
        crc = digest_crc32c(crc, bytes);
        if (sign)
            digest_add(&part, bytes);
        at += (uint64_t)n;
    }
    digest_end(&part, raw);
    digest_hex(raw, p->sha);
    crc_text(&u->a, crc, p->crc);
    return 0;
}

static void cut(struct upload *u)
{
    u->part_size = u->s->part_size;
    while (u->item->size / (uint64_t)u->part_size >= PARTS_MAX)
        u->part_size *= 2;
    u->n = u->item->size ? (size_t)((u->item->size + (uint64_t)u->part_size - 1) / (uint64_t)u->part_size) : 1;
    u->parts = arena_alloc(&u->a, u->n * sizeof *u->parts);
    digest_begin(&u->whole);
}

static void told(struct upload *u, struct stored *r)
{
    unsigned char raw[DIGEST_BYTES];
    digest_end(&u->whole, raw);
    digest_hex(raw, r->digest);
    r->size = u->item->size;
}

/* ---- sending ------------------------------------------------------------------------------------------------------- */

static int put_whole(struct upload *u, struct stored *r, struct kr_err *e)
{
    if (digest_part(u, 0, e) < 0)
        return -1;
    told(u, r);
    struct s3_call c = { .method = "PUT", .key = u->key, .fd = u->item->fd, .length = u->item->size, .payload = str_of(r->digest), .nfields = 1,
                         .fields = { { S("x-amz-checksum-crc32c"), str_of(u->parts[0].crc) } } };
    int rc = s3_wait(u->s, &c, e);
    s3_call_end(&c);
    return rc;
}

static int begin_parts(struct upload *u, struct kr_err *e)
{
    struct s3_call c = { .method = "POST", .key = u->key, .query = S("uploads="), .nfields = 1, .fields = { { S("x-amz-checksum-algorithm"), S("CRC32C") } } };
    int rc = s3_wait(u->s, &c, e);
    if (rc == 0) {
        u->id = xml_first(buf_view(&c.answer), "UploadId", &u->a);
        if (!u->id.n)
            rc = kr_fail(e, KR_UNAVAILABLE, "the S3 store began a multipart upload without an id");
    }
    s3_call_end(&c);
    return rc;
}

static struct str part_query(struct upload *u, size_t i)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    buf_fmt(&b, "partNumber=%zu&uploadId=", i + 1);
    uri_put_segment(&b, u->id);
    return arena_str(&u->a, buf_view(&b));
}

static int start_part(struct upload *u, struct s3_call *c, size_t i, struct kr_err *e)
{
    if (digest_part(u, i, e) < 0)
        return -1;
    uint64_t from = (uint64_t)u->part_size * i;
    *c = (struct s3_call){ .method = "PUT", .key = u->key, .query = part_query(u, i), .fd = u->item->fd, .offset = from, .length = part_end(u, i) - from, .nfields = 1,
                           .payload = u->s->place.https ? S("UNSIGNED-PAYLOAD") : str_of(u->parts[i].sha),
                           .fields = { { S("x-amz-checksum-crc32c"), str_of(u->parts[i].crc) } } };
    s3_start(u->s, c);
    return 0;
}

struct lane { struct s3_call c; size_t part; bool busy; };
struct lanes { struct lane *v; size_t n; };

static bool any_done(void *ctx)
{
    struct lanes *l = ctx;
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].busy && l->v[i].c.done)
            return true;
    return false;
}

/* Takes what is done, starts what comes next. */
static int turn(struct upload *u, struct lanes *l, struct kr_err *e)
{
    for (size_t i = 0; i < l->n; i++) {
        struct lane *x = &l->v[i];
        if (x->busy && x->c.done) {
            if (x->c.e.code) {
                *e = x->c.e;
                return -1;
            }
            snprintf(u->parts[x->part].etag, sizeof u->parts[x->part].etag, "%s", x->c.etag);
            s3_call_end(&x->c);
            x->busy = false;
            u->left--;
        }
        if (!x->busy && u->next < u->n) {
            x->part = u->next++;
            if (start_part(u, &x->c, x->part, e) < 0)
                return -1;
            x->busy = true;
        }
    }
    return 0;
}

static int send_parts(struct upload *u, struct kr_err *e)
{
    struct lanes l = { .n = (size_t)u->s->concurrency };
    l.v = arena_alloc(&u->a, l.n * sizeof *l.v);
    u->left = u->n;
    int rc = 0;
    while (rc == 0 && u->left) {
        rc = turn(u, &l, e);
        if (rc == 0 && u->left)
            loop_run_until(u->s->loop, any_done, &l, INT64_MAX);
    }
    for (size_t i = 0; i < l.n; i++)
        if (l.v[i].busy)
            s3_call_end(&l.v[i].c);
    return rc;
}

/* The key is this attempt's alone: what lies there in full are its parts. */
static bool is_joined(struct upload *u)
{
    struct kr_err ignored = { 0 };
    struct s3_call c = { .method = "HEAD", .key = u->key };
    bool there = s3_wait(u->s, &c, &ignored) == 0 && c.size == (int64_t)u->item->size;
    s3_call_end(&c);
    return there;
}

static int complete(struct upload *u, struct kr_err *e)
{
    AUTO_BUF struct buf b = { .max = 8 << 20 }, q = { .max = 4096 };
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    buf_lit(&b, "<CompleteMultipartUpload>");
    for (size_t i = 0; i < u->n; i++)
        buf_fmt(&b, "<Part><ChecksumCRC32C>%s</ChecksumCRC32C><ETag>%s</ETag><PartNumber>%zu</PartNumber></Part>", u->parts[i].crc, u->parts[i].etag, i + 1);
    buf_lit(&b, "</CompleteMultipartUpload>");
    buf_lit(&q, "uploadId=");
    uri_put_segment(&q, u->id);
    struct s3_call c = { .method = "POST", .key = u->key, .query = buf_view(&q), .body = buf_view(&b), .joins = true };
    int rc = s3_wait(u->s, &c, e);
    bool gone = rc < 0 && str_is(xml_first(buf_view(&c.answer), "Code", &a), "NoSuchUpload");
    s3_call_end(&c);
    if (gone && c.tries && is_joined(u))          /* by a try whose answer was lost */
        return 0;
    return rc < 0 ? kr_wrap(e, "could not join the parts") : 0;
}

static int abort_upload(struct s3 *s, struct str key, struct str id, struct kr_err *e)
{
    AUTO_BUF struct buf q = { .max = 4096 };
    buf_lit(&q, "uploadId=");
    uri_put_segment(&q, id);
    struct s3_call c = { .method = "DELETE", .key = key, .query = buf_view(&q) };
    int rc = s3_wait(s, &c, e);
    s3_call_end(&c);
    return rc == 0 || c.status == 404 ? 0 : -1;
}

static int put_file(struct s3 *s, struct str key, const struct item *item, struct stored *r, struct kr_err *e)
{
    struct upload u = { .s = s, .key = key, .item = item, .a = { .limit = 16 << 20 } };
    struct kr_err ignored = { 0 };
    int rc;
    cut(&u);
    if (u.n == 1) {
        rc = put_whole(&u, r, e);
    } else if ((rc = begin_parts(&u, e)) == 0) {
        rc = send_parts(&u, e) < 0 || complete(&u, e) < 0 ? -1 : 0;
        if (rc == 0)
            told(&u, r);
        else
            abort_upload(s, key, u.id, &ignored);
    }
    arena_reset(&u.a);
    return rc;
}

/* ---- the driver ----------------------------------------------------------------------------------------------------- */

static int put(struct depot *d, struct str key, const struct item *item, struct stored *r, struct kr_err *e)
{
    struct sink sink;
    if (!item->is_dir)
        return put_file(of(d), key, item, r, e);
    AUTO_CLOSE int fd = spool_open(of(d)->spool, e);
    if (fd < 0)
        return -1;
    sink_begin(&sink, fd);
    if (item_write(item, &sink, e) < 0)
        return -1;
    return put_file(of(d), key, &(struct item){ .name = item->name, .fd = fd, .size = sink.n }, r, e);
}

static int get(struct depot *d, struct str key, uint64_t offset, int out, struct kr_err *e)
{
    struct s3_call c = { .method = "GET", .key = key, .offset = offset, .out = out };
    int rc = s3_wait(of(d), &c, e);
    s3_call_end(&c);
    return rc < 0 && c.status == 416 ? 0 : rc;    /* the offset is the end */
}

static struct str without_prefix(const struct s3 *s, struct str key)
{
    return s->prefix.n && str_starts(key, s->prefix) ? str_from(key, s->prefix.n + 1) : key;
}

static struct str list_query(struct s3 *s, struct str key, const char *kind, struct str token, struct arena *a)
{
    AUTO_BUF struct buf b = { .max = 16384 }, prefix = { .max = 4096 };
    buf_fmt(&prefix, "%.*s%s%.*s/", SFMT(s->prefix), s->prefix.n ? "/" : "", SFMT(key));
    if (token.n) {
        buf_lit(&b, "continuation-token=");
        uri_put_segment(&b, token);
        buf_byte(&b, '&');
    }
    buf_fmt(&b, "%sprefix=", kind);
    uri_put_segment(&b, buf_view(&prefix));
    return arena_str(a, buf_view(&b));
}

static int delete_key(struct s3 *s, struct str key, struct kr_err *e)
{
    struct s3_call c = { .method = "DELETE", .key = key };
    int rc = s3_wait(s, &c, e);
    s3_call_end(&c);
    return rc == 0 || c.status == 404 ? 0 : -1;
}

/* One page; *more: what the next one begins with. */
static int delete_page(struct s3 *s, struct str key, struct str *more, struct arena *a, struct kr_err *e)
{
    struct s3_call c = { .method = "GET", .query = list_query(s, key, "list-type=2&", *more, a) };
    int rc = s3_wait(s, &c, e);
    struct str doc = arena_str(a, buf_view(&c.answer)), name;
    s3_call_end(&c);
    size_t at = 0;
    while (rc == 0 && xml_find(doc, &at, "Key", a, &name)) {
        struct str own = without_prefix(s, name);
        if (!str_starts(own, arena_fmt(a, "%.*s/", SFMT(key))))
            return kr_fail(e, KR_UNAVAILABLE, "the S3 store lists what it was not asked for");
        rc = delete_key(s, own, e);
    }
    *more = str_is(xml_first(doc, "IsTruncated", a), "true") ? xml_first(doc, "NextContinuationToken", a) : S("");
    return rc;
}

static int abort_uploads(struct s3 *s, struct str key, struct arena *a, struct kr_err *e)
{
    struct s3_call c = { .method = "GET", .query = arena_fmt(a, "%.*s&uploads=", SFMT(list_query(s, key, "", S(""), a))) };
    int rc = s3_wait(s, &c, e);
    struct str doc = arena_str(a, buf_view(&c.answer)), name, id;
    s3_call_end(&c);
    if (rc < 0)
        return c.status == 501 || c.status == 405 ? (*e = (struct kr_err){ 0 }, 0) : -1;      /* a server without multipart uploads */
    for (size_t at = 0; xml_find(doc, &at, "Key", a, &name) && xml_find(doc, &at, "UploadId", a, &id);)
        if (str_starts(without_prefix(s, name), arena_fmt(a, "%.*s/", SFMT(key))) && abort_upload(s, without_prefix(s, name), id, e) < 0)
            return -1;
    return 0;
}

static int s3_remove(struct depot *d, struct str key, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 32 << 20 };
    struct str more = S("");
    if (abort_uploads(of(d), key, &a, e) < 0)
        return -1;
    do {
        if (delete_page(of(d), key, &more, &a, e) < 0)
            return -1;
    } while (more.n && !a.over);
    return a.over ? kr_fail(e, KR_UNAVAILABLE, "too many objects below \"%.*s\" for one go", SFMT(key)) : 0;
}

static void s3_close(struct depot *d)
{
    struct s3 *s = of(d);
    httpc_free(s->http);
    if (s->loop)
        loop_free(s->loop);
    tls_free(s->tls);
    arena_reset(&s->arena);
    free(s);
}

static const struct depot_driver driver = { put, get, s3_remove, s3_close };

/* ---- opening -------------------------------------------------------------------------------------------------------- */

static bool is_address(struct str host)
{
    bool digits = host.n > 0;
    for (size_t i = 0; i < host.n; i++)
        digits &= (host.p[i] >= '0' && host.p[i] <= '9') || host.p[i] == '.' || host.p[i] == ':';
    return digits;
}

static int find_place(struct s3 *s, const struct store_s3 *c, struct kr_err *e)
{
    const char *env = getenv("AWS_REGION");
    struct uri_url u;
    s->region = c->region.n ? arena_str(&s->arena, c->region) : str_of(env && *env ? env : "us-east-1");
    s->own_endpoint = c->endpoint.n > 0;
    struct str url = s->own_endpoint ? c->endpoint : arena_fmt(&s->arena, "https://s3.%.*s.amazonaws.com", SFMT(s->region));
    if (uri_parse_url(arena_str(&s->arena, url), &u, e) < 0)
        return kr_wrap(e, "s3.endpoint");
    /* With TLS a bucket with dots matches no certificate; an address has no subdomains. */
    bool path_style = (c->has_force_path_style && c->force_path_style) || is_address(u.host) || (u.https && str_chr(c->bucket, '.') >= 0);
    struct str path = u.path;
    while (path.n && path.p[path.n - 1] == '/')
        path.n--;
    s->place = (struct uri_place){ path_style ? u.host : arena_fmt(&s->arena, "%.*s.%.*s", SFMT(c->bucket), SFMT(u.host)), u.port, u.https };
    s->base = path_style ? arena_fmt(&s->arena, "%.*s/%.*s", SFMT(path), SFMT(c->bucket)) : arena_str(&s->arena, path);
    bool usual = u.port == (u.https ? 443 : 80);
    s->host = arena_fmt(&s->arena, u.ipv6 ? "[%.*s]" : "%.*s", SFMT(s->place.name));
    if (!usual)
        s->host = arena_fmt(&s->arena, "%.*s:%u", SFMT(s->host), u.port);
    return 0;
}

static int open_tls(struct s3 *s, struct str dir, struct kr_err *e)
{
    AUTO_BUF struct buf ca = { .max = 1 << 20 };
    static const char *const alpn[] = { "http/1.1", NULL };
    const char *path = arena_fmt(&s->arena, "%.*s/ca.crt", SFMT(dir)).p;
    if (dir.n && fs_exists(path) && fs_read(path, &ca, e) < 0)
        return -1;
    s->tls = tls_client_new(&(struct tls_config){ .ca = buf_view(&ca), .alpn = alpn }, e);
    if (s->tls || !s->place.https)
        return 0;                                 /* without TLS nobody needs certificates */
    return kr_wrap(e, "TLS for the S3 store");
}

struct depot *s3_depot_open(const struct store_s3 *c, struct str dir, struct str spool, struct kr_err *e)
{
    struct s3 *s = xcalloc(1, sizeof *s);
    *s = (struct s3){ .depot = { &driver }, .loop = loop_new(&clock_system), .arena = { .limit = 4 << 20 }, .retries_left = RETRIES,
                      .part_size = c->has_upload_part_size ? c->upload_part_size : PART_DEFAULT,
                      .concurrency = c->has_upload_concurrency ? c->upload_concurrency : CONCURRENCY };
    rnd_system(&s->rnd);
    s->bucket = arena_str(&s->arena, c->bucket);
    struct str p = c->prefix;
    while (p.n && p.p[0] == '/')
        p = str_from(p, 1);
    while (p.n && p.p[p.n - 1] == '/')
        p.n--;
    s->prefix = arena_str(&s->arena, p.p ? p : S(""));
    s->spool = arena_str(&s->arena, spool.p ? spool : S(""));
    if (find_place(s, c, e) < 0 || open_tls(s, dir, e) < 0 || s3_find_keys(s, dir, e) < 0) {
        s3_close(&s->depot);
        return NULL;
    }
    *e = (struct kr_err){ 0 };
    s3_connect(s);
    return &s->depot;
}
