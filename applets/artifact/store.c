/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: the driver by its name, keys, and the bytes of an item on their way into a store: read once, counted and digested as
 * they pass. Tests: tests/unit/applets/artifact.c
 */
#include "applets/artifact/store.h"
#include "core/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* ---- sink -------------------------------------------------------------------------------------------------------- */

/* What a store refuses is its failure (KR_UNAVAILABLE), never that of what is stored (KR_INVALID, KR_TOO_LARGE). */
static int write_fd(struct sink *s, struct str bytes, struct kr_err *e)
{
    if (fs_write_fd(s->fd, bytes, "the artifact", e) == 0)
        return 0;
    e->code = KR_UNAVAILABLE;
    return -1;
}

void sink_begin(struct sink *s, int fd)
{
    *s = (struct sink){ .write = write_fd, .fd = fd };
    digest_begin(&s->digest);
}

int sink_put(struct sink *s, struct str bytes, struct kr_err *e)
{
    digest_add(&s->digest, bytes);
    s->n += bytes.n;
    return s->write(s, bytes, e);
}

void sink_end(struct sink *s, struct stored *r)
{
    unsigned char raw[DIGEST_BYTES];
    digest_end(&s->digest, raw);
    digest_hex(raw, r->digest);
    r->size = s->n;
}

static int read_piece(const struct item *i, uint64_t at, char *into, size_t *got, struct kr_err *e)
{
    uint64_t left = i->size - at;
    ptrdiff_t n;
    do {
        n = pread(i->fd, into, left < BESIDE_PIECE ? (size_t)left : BESIDE_PIECE, (off_t)at);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return kr_fail_sys(e, KR_INVALID, errno, "read \"%.*s\"", SFMT(i->name));
    if (n == 0)
        return kr_fail(e, KR_INVALID, "\"%.*s\" became shorter while it was read: something still writes to it", SFMT(i->name));
    *got = (size_t)n;
    return 0;
}

/* The very bytes that are written are digested, not the file a second time: it may change. */
static int write_file(const struct item *i, struct sink *s, struct kr_err *e)
{
    struct beside *digest = beside_begin(&s->digest, i->size);
    size_t n = 0;
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && at < i->size; at += n) {
        char *piece = beside_room(digest);
        if ((rc = read_piece(i, at, piece, &n, e)) < 0)
            break;
        beside_add(digest, n);
        s->n += n;
        rc = s->write(s, (struct str){ piece, n }, e);
    }
    beside_end(digest);
    return rc;
}

int item_write(const struct item *i, struct sink *s, struct kr_err *e)
{
    return i->is_dir ? tar_write(i->fd, i->name, s, e) : write_file(i, s, e);
}

int spool_open(struct str spool, struct kr_err *e)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%.*s", SFMT(spool.n ? spool : S("/tmp")));
    int fd = n > 0 && (size_t)n < sizeof path - 32 ? open(path, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600) : -1;
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        snprintf(path + n, sizeof path - (size_t)n, "/.spool-XXXXXX");
        if ((fd = mkostemp(path, O_CLOEXEC)) >= 0)
            unlink(path);
    }
    return fd >= 0 ? fd : kr_fail_sys(e, KR_UNAVAILABLE, errno, "make a temporary file for an archive");
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

int depot_check_key(struct str key, struct kr_err *e)
{
    struct str rest = key;
    bool plain = key.n > 0 && key.n <= 1024 && str_utf8(key) && !memchr(key.p, '\0', key.n) && key.p[key.n - 1] != '/';
    while (plain && rest.n) {
        struct str part = str_cut(&rest, '/');
        plain = part.n && part.n <= 255 && !str_is(part, ".") && !str_is(part, "..");
    }
    return plain ? 0 : kr_fail(e, KR_INVALID, "\"%.*s\" is no key of an artifact", key.n < 200 ? (int)key.n : 200, key.p ? key.p : "");
}

static struct str prefix_of(const struct artifact_store *s)
{
    struct str p = s->has_s3 ? s->s3.prefix : S("");
    while (p.n && p.p[0] == '/')
        p = str_from(p, 1);
    while (p.n && p.p[p.n - 1] == '/')
        p.n--;
    return p;
}

void depot_put_location(struct buf *b, const struct artifact_store *s, struct str key)
{
    struct str prefix = prefix_of(s);
    AUTO_BUF struct buf full = { .max = 2048 };
    buf_fmt(&full, "%.*s%s%.*s", SFMT(prefix), prefix.n ? "/" : "", SFMT(key));
    jw_kbegin(b, "location", '{');
    if (str_is(s->driver, "s3")) {
        jw_kbegin(b, "s3", '{');
        jw_kstr(b, "bucket", s->s3.bucket);
        jw_kstr(b, "key", buf_view(&full));
        jw_end(b, '}');
    } else {
        jw_kbegin(b, "filesystem", '{');
        jw_kstr(b, "path", key);
        jw_end(b, '}');
    }
    jw_end(b, '}');
}

/* ---- drivers ----------------------------------------------------------------------------------------------------- */

struct depot *depot_open(const struct artifact_store *s, struct str place, struct str spool, struct kr_err *e)
{
    if (str_is(s->driver, "filesystem"))
        return fs_depot_open(place, e);
    if (str_is(s->driver, "s3") && s->has_s3)
        return s3_depot_open(&s->s3, place, spool, e);
    kr_fail(e, KR_UNSUPPORTED, "artifact stores of the kind \"%.*s\" are not offered", SFMT(s->driver));
    return NULL;
}

void depot_close(struct depot *s)
{
    if (s)
        s->driver->close(s);
}
