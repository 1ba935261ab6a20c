/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tar: a folder as tar.gz, the same bytes for the same content: entries in the order of their names, nobody's, without time,
 * of two modes. Headers are ustar (POSIX.1-1988); a path or a size without room there gets a pax header in front (POSIX.1-2001).
 * Tests: tests/unit/applets/artifact.c, and tar itself in tests/local/artifacts.py.
 */
#include "applets/artifact/tar.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <zlib.h>

enum { LEVEL = 6 };
struct making { z_stream z; struct sink *sink; struct str name; char path[TAR_PATH]; struct kr_err *e; };

/* ---- gzip -------------------------------------------------------------------------------------------------------- */

static int squeeze(struct making *m, struct str bytes, int flush)
{
    static unsigned char out[1 << 16];
    m->z.next_in = (unsigned char *)(uintptr_t)bytes.p;
    m->z.avail_in = (uInt)bytes.n;
    do {
        m->z.next_out = out;
        m->z.avail_out = sizeof out;
        deflate(&m->z, flush);
        struct str part = { (const char *)out, sizeof out - m->z.avail_out };
        if (part.n && sink_put(m->sink, part, m->e) < 0)
            return -1;
    } while (m->z.avail_out == 0);
    return 0;
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static void octal(char *field, size_t n, uint64_t value)
{
    for (size_t i = n - 1; i-- > 0; value >>= 3)
        field[i] = (char)('0' + (value & 7));
    field[n - 1] = '\0';
}

/* Does the path fit into name and prefix? It is cut at a '/'. */
static bool split(struct tar_header *h, struct str path)
{
    if (path.n <= sizeof h->name) {
        memcpy(h->name, path.p, path.n);
        return true;
    }
    for (size_t cut = path.n - sizeof h->name - 1; cut < path.n - 1 && cut <= sizeof h->prefix; cut++)
        if (path.p[cut] == '/' && cut) {
            memcpy(h->prefix, path.p, cut);
            memcpy(h->name, path.p + cut + 1, path.n - cut - 1);
            return true;
        }
    return false;
}

static int put_header(struct making *m, struct tar_header *h, char type, int mode, uint64_t size)
{
    unsigned sum = 0;
    octal(h->mode, sizeof h->mode, (uint64_t)mode);
    octal(h->uid, sizeof h->uid, 0);
    octal(h->gid, sizeof h->gid, 0);
    octal(h->size, sizeof h->size, size >> 33 ? 0 : size);
    octal(h->mtime, sizeof h->mtime, 0);
    octal(h->major, sizeof h->major, 0);
    octal(h->minor, sizeof h->minor, 0);
    memcpy(h->magic, "ustar\00000", 8);
    h->type = type;
    memset(h->checksum, ' ', sizeof h->checksum);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += ((unsigned char *)h)[i];
    octal(h->checksum, 7, sum);
    return squeeze(m, (struct str){ (const char *)h, TAR_BLOCK }, Z_NO_FLUSH);
}

static int pad(struct making *m, uint64_t size)
{
    static const char zeros[TAR_BLOCK];
    size_t over = (size_t)(size % TAR_BLOCK);
    return over ? squeeze(m, (struct str){ zeros, TAR_BLOCK - over }, Z_NO_FLUSH) : 0;
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static void pax_record(struct buf *b, const char *key, struct str value)
{
    size_t n = strlen(key) + value.n + 3, digits = 1;
    char text[24];
    while ((size_t)snprintf(text, sizeof text, "%zu", n + digits) != digits)
        digits++;
    buf_fmt(b, "%zu %s=%.*s\n", n + digits, key, SFMT(value));
}

static int put_pax(struct making *m, struct str path, bool with_path, uint64_t size)
{
    struct tar_header h = { .name = "pax" };
    AUTO_BUF struct buf b = { .max = TAR_PATH + 200 };
    char text[24];
    if (with_path)
        pax_record(&b, "path", path);
    if (size >> 33) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)size);
        pax_record(&b, "size", str_of(text));
    }
    return put_header(m, &h, 'x', 0644, b.n) < 0 || squeeze(m, buf_view(&b), Z_NO_FLUSH) < 0 ? -1 : pad(m, b.n);
}

static int put_entry(struct making *m, struct str path, char type, int mode, uint64_t size)
{
    struct tar_header h = { .name = "" };
    bool fits = split(&h, path);
    if (!fits)
        memcpy(h.name, path.p, sizeof h.name);
    if ((!fits || size >> 33) && put_pax(m, path, !fits, size) < 0)
        return -1;
    return put_header(m, &h, type, mode, size);
}

/* ---- the tree ---------------------------------------------------------------------------------------------------- */

static int put_content(struct making *m, int fd, uint64_t size)
{
    static char chunk[1 << 16];
    for (uint64_t at = 0; at < size;) {
        uint64_t left = size - at;
        ptrdiff_t n = pread(fd, chunk, left < sizeof chunk ? (size_t)left : sizeof chunk, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kr_fail_sys(m->e, KR_INVALID, errno, "read \"%s\" of \"%.*s\"", m->path, SFMT(m->name));
        if (n == 0)
            return kr_fail(m->e, KR_INVALID, "\"%s\" of \"%.*s\" became shorter while it was read: something still writes to it", m->path, SFMT(m->name));
        if (squeeze(m, (struct str){ chunk, (size_t)n }, Z_NO_FLUSH) < 0)
            return -1;
        at += (uint64_t)n;
    }
    return pad(m, size);
}

static int put_tree(struct making *m, int dir, size_t at, int depth)
{
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    struct names names;
    if (depth > LIMIT_ARTIFACT_DEPTH)
        return kr_fail(m->e, KR_TOO_LARGE, "folders of \"%.*s\" are nested more than %d deep", SFMT(m->name), LIMIT_ARTIFACT_DEPTH);
    if (names_of(dir, LIMIT_ARTIFACT_FILES, &names, &a, m->e) < 0)
        return -1;
    for (size_t i = 0; i < names.n; i++) {
        bool is_dir, executable;
        uint64_t size;
        int n = snprintf(m->path + at, sizeof m->path - at, "%s", names.v[i].p);
        if (n < 0 || at + (size_t)n + 2 >= sizeof m->path)
            return kr_fail(m->e, KR_TOO_LARGE, "a path in \"%.*s\" is too long", SFMT(m->name));
        AUTO_CLOSE int fd = open_plain(dir, names.v[i].p, &is_dir, &size, &executable, m->e);
        if (fd < 0)
            return kr_wrap(m->e, "%.*s", SFMT(m->name));
        size_t end = at + (size_t)n;
        if (is_dir) {
            m->path[end++] = '/';
            m->path[end] = '\0';
        }
        if (put_entry(m, (struct str){ m->path, end }, is_dir ? '5' : '0', is_dir || executable ? 0755 : 0644, size) < 0)
            return -1;
        if (is_dir ? put_tree(m, fd, end, depth + 1) < 0 : put_content(m, fd, size) < 0)
            return -1;
    }
    return 0;
}

int tar_write(int dir, struct str name, struct sink *sink, struct kr_err *e)
{
    static const char end[2 * TAR_BLOCK];
    struct making *m = xcalloc(1, sizeof *m);
    m->sink = sink;
    m->name = name;
    m->e = e;
    int rc = deflateInit2(&m->z, LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK ? 0 : kr_fail(e, KR_SYSTEM, "no memory to compress with");
    if (rc == 0) {
        rc = put_tree(m, dir, 0, 0) < 0 || squeeze(m, (struct str){ end, sizeof end }, Z_FINISH) < 0 ? -1 : 0;
        deflateEnd(&m->z);
    }
    free(m);
    return rc;
}
