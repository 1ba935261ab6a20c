/* SPDX-License-Identifier: Apache-2.0 */
/*
 * untar: reads a tar.gz that a stranger may have made, and tells of files and folders, nothing else. What tar.c writes is read,
 * and what other programs write of the same: POSIX headers, pax paths and sizes. Links, devices, sparse files and anything
 * else that an entry can be are refused, as is a name that isn't plain. Nothing of the archive is taken for memory before it
 * was weighed: an entry's size counts against the limit when it is announced.
 * Tests: tests/unit/applets/artifact.c, tests/fault/archives.py, tests/fuzz/archive.c
 */
#include "applets/artifact/tar.h"
#include <errno.h>
#include <unistd.h>
#include <zlib.h>

enum { CHUNK = 65536, PAX_MAX = TAR_PATH + 4096, PADDING_MAX = 1 << 20 };
struct reading {
    z_stream z;
    int fd;
    bool ended, has_size;                         /* ended: of the gzip stream; has_size: a pax header names the next entry's */
    const struct untar_user *user;
    uint64_t bytes, bytes_max, entries, size;
    struct str pax_path;                          /* of the next entry; p NULL: in its own header */
    struct kr_err *e;
    unsigned char in[CHUNK], out[CHUNK];
    char pax[PAX_MAX], path[TAR_PATH];
};

static int refuse(struct reading *r, const char *why) { return kr_fail(r->e, KR_INVALID, "the archive is refused: %s", why); }

/* ---- gzip -------------------------------------------------------------------------------------------------------- */

static ptrdiff_t more(struct reading *r)
{
    ptrdiff_t n;
    while ((n = read(r->fd, r->in, sizeof r->in)) < 0 && errno == EINTR)
        ;
    return n < 0 ? kr_fail_sys(r->e, KR_UNAVAILABLE, errno, "read the archive") : n;
}

/* At most n bytes; 0 at the end, -1. */
static ptrdiff_t inflate_some(struct reading *r, void *to, size_t n)
{
    r->z.next_out = to;
    r->z.avail_out = (uInt)n;
    while (!r->ended && r->z.avail_out == n) {
        if (!r->z.avail_in) {
            ptrdiff_t got = more(r);
            if (got <= 0)
                return got < 0 ? -1 : refuse(r, "it ends in the middle");
            r->z.next_in = r->in;
            r->z.avail_in = (uInt)got;
        }
        int rc = inflate(&r->z, Z_NO_FLUSH);
        r->ended = rc == Z_STREAM_END;
        if (rc != Z_OK && rc != Z_BUF_ERROR && rc != Z_STREAM_END)
            return refuse(r, "it is no gzip, or damaged");
    }
    return (ptrdiff_t)(n - r->z.avail_out);
}

static int pull(struct reading *r, void *to, size_t n)
{
    for (char *at = to; n;) {
        ptrdiff_t got = inflate_some(r, at, n);
        if (got <= 0)
            return got < 0 ? -1 : refuse(r, "it ends in the middle");
        at += got;
        n -= (size_t)got;
    }
    return 0;
}

static bool is_zero(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

/* Behind the two empty blocks there may be padding, and nothing behind the stream. */
static int finish(struct reading *r)
{
    ptrdiff_t n;
    size_t padding = 0;
    while ((n = inflate_some(r, r->out, sizeof r->out)) > 0)
        if (!is_zero(r->out, (size_t)n) || (padding += (size_t)n) > PADDING_MAX)
            return refuse(r, "something follows behind its end");
    if (n == 0)
        n = r->z.avail_in ? 1 : more(r);
    return n > 0 ? refuse(r, "something follows behind its end") : (int)n;
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static bool octal(const char *field, size_t n, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0, digits = 0;
    while (i < n && field[i] == ' ')
        i++;
    for (; i < n && field[i] >= '0' && field[i] <= '7'; i++, digits++)
        v = v << 3 | (uint64_t)(field[i] - '0');
    *out = v;
    return digits && (i == n || field[i] == '\0' || field[i] == ' ');
}

static bool sum_is_right(struct tar_header *h)
{
    uint64_t want;
    unsigned sum = 0;
    bool ok = octal(h->checksum, sizeof h->checksum, &want);
    memset(h->checksum, ' ', sizeof h->checksum);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += ((unsigned char *)h)[i];
    return ok && sum == want;
}

/* "LENGTH KEY=VALUE\n", again and again. Of what they can say, paths and sizes matter. */
static int read_pax(struct reading *r, uint64_t size)
{
    if (size > PAX_MAX)
        return refuse(r, "a pax header is too long");
    if (pull(r, r->pax, (size_t)size) < 0)
        return -1;
    for (struct str rest = { r->pax, (size_t)size }; rest.n;) {
        struct str number = { rest.p, 0 }, record;
        uint64_t n;
        while (number.n < rest.n && rest.p[number.n] != ' ')
            number.n++;
        if (!str_u64(number, &n) || n > rest.n || n < number.n + 3 || rest.p[n - 1] != '\n')
            return refuse(r, "a pax header is damaged");
        record = (struct str){ rest.p + number.n + 1, (size_t)n - number.n - 2 };
        rest = str_from(rest, (size_t)n);
        struct str key = str_cut(&record, '=');
        if (str_starts(key, S("GNU.sparse")))
            return refuse(r, "it has a sparse file");
        if (str_is(key, "path"))
            r->pax_path = record.p ? record : S("");
        if (str_is(key, "size") && !(r->has_size = str_u64(record, &r->size)))
            return refuse(r, "a pax header is damaged");
    }
    return 0;
}

/* The path, without the '/' that a folder's ends in. Plain names only, whatever wrote them. */
static int check_path(struct reading *r, struct str *path, bool is_dir)
{
    if (is_dir && path->n && path->p[path->n - 1] == '/')
        path->n--;
    struct str rest = *path;
    bool plain = path->n && path->n < TAR_PATH && str_utf8(*path) && !memchr(path->p, '\0', path->n) && path->p[path->n - 1] != '/';
    for (int depth = 0; plain && rest.n; depth++) {
        struct str name = str_cut(&rest, '/');
        plain = name.n && name.n <= 255 && !str_is(name, ".") && !str_is(name, "..");
        if (depth > LIMIT_ARTIFACT_DEPTH)
            return kr_fail(r->e, KR_TOO_LARGE, "folders of the archive are nested more than %d deep", LIMIT_ARTIFACT_DEPTH);
    }
    return plain ? 0 : refuse(r, "an entry has no plain relative path");
}

static struct str text_of(const char *field, size_t n) { return (struct str){ field, strnlen(field, n) }; }

static struct str own_path(struct reading *r, const struct tar_header *h)
{
    struct str name = text_of(h->name, sizeof h->name), prefix = text_of(h->prefix, sizeof h->prefix);
    size_t n = 0;
    if (prefix.n) {
        memcpy(r->path, prefix.p, prefix.n);
        n = prefix.n;
        r->path[n++] = '/';
    }
    memcpy(r->path + n, name.p, name.n);
    return (struct str){ r->path, n + name.n };
}

static const char *kind_refused(char type)
{
    switch (type) {
    case '0': case '\0': case '5': return NULL;
    case '1': return "it has a hard link";
    case '2': return "it has a symbolic link";
    case '3': case '4': return "it has a device";
    case '6': return "it has a FIFO";
    case 'S': return "it has a sparse file";
    default: return "it has an entry of an unknown kind";
    }
}

/* ---- entries ----------------------------------------------------------------------------------------------------- */

static int pass_content(struct reading *r, uint64_t size)
{
    size_t over = (size_t)(size % TAR_BLOCK);
    for (uint64_t left = size; left;) {
        size_t n = left < CHUNK ? (size_t)left : CHUNK;
        if (pull(r, r->out, n) < 0 || r->user->content(r->user->ctx, (struct str){ (char *)r->out, n }, r->e) < 0)
            return -1;
        left -= n;
    }
    return over ? pull(r, r->out, TAR_BLOCK - over) : 0;
}

static int read_entry(struct reading *r, const struct tar_header *h, uint64_t size)
{
    struct str path = r->pax_path.p ? r->pax_path : own_path(r, h);
    bool is_dir = h->type == '5';
    uint64_t mode;
    const char *why = kind_refused(h->type);
    if (why)
        return refuse(r, why);
    if (!octal(h->mode, sizeof h->mode, &mode) || (is_dir && size))
        return refuse(r, "a header is damaged");
    if (check_path(r, &path, is_dir) < 0)
        return -1;
    if (++r->entries > LIMIT_ARTIFACT_FILES)
        return kr_fail(r->e, KR_TOO_LARGE, "the archive has more than %d files and folders", LIMIT_ARTIFACT_FILES);
    if (size > r->bytes_max - r->bytes)
        return kr_fail(r->e, KR_TOO_LARGE, "the archive has more than %llu bytes of content", (unsigned long long)r->bytes_max);
    r->bytes += size;
    if (r->user->entry(r->user->ctx, path, is_dir, mode & 0100, r->e) < 0)
        return -1;
    r->pax_path = (struct str){ 0 };
    r->has_size = false;
    return pass_content(r, size);
}

/* 1: there are more; 0: that was the end. */
static int read_block(struct reading *r)
{
    struct tar_header h;
    uint64_t size;
    if (pull(r, &h, sizeof h) < 0)
        return -1;
    if (is_zero((unsigned char *)&h, sizeof h)) {
        if (pull(r, &h, sizeof h) < 0)
            return -1;
        return is_zero((unsigned char *)&h, sizeof h) ? finish(r) : refuse(r, "something follows behind its end");
    }
    if (memcmp(h.magic, "ustar\00000", sizeof h.magic) != 0 || !sum_is_right(&h))
        return refuse(r, "it is no POSIX tar, or damaged");
    if (!octal(h.size, sizeof h.size, &size))
        return refuse(r, "a header is damaged");
    if (h.type == 'x') {
        if (r->pax_path.p || r->has_size || read_pax(r, size) < 0)
            return r->e->code ? -1 : refuse(r, "two pax headers speak of one entry");
        size_t over = (size_t)(size % TAR_BLOCK);
        return over && pull(r, r->out, TAR_BLOCK - over) < 0 ? -1 : 1;
    }
    return read_entry(r, &h, r->has_size ? r->size : size) < 0 ? -1 : 1;
}

int untar(int fd, uint64_t bytes_max, const struct untar_user *user, struct kr_err *e)
{
    struct reading *r = xcalloc(1, sizeof *r);
    *r = (struct reading){ .fd = fd, .user = user, .bytes_max = bytes_max, .e = e };
    int rc = inflateInit2(&r->z, 15 + 16) == Z_OK ? 1 : kr_fail(e, KR_SYSTEM, "no memory to read the archive with");
    while (rc > 0)
        rc = read_block(r);
    inflateEnd(&r->z);
    free(r);
    return rc;
}
