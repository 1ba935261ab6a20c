/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack: an artifact from its store to its place in another Run's working directory. What comes is first measured against size
 * and digest that were noted when it was stored; only then is an archive read. Each of its files is made beneath an open
 * descriptor of its folder, by its own name, and only where nothing is yet: no link is followed and nothing is written
 * outside, whatever the archive says or the directory holds. What is half made goes again.
 * Tests: tests/fault/archives.py, tests/local/inputs.py
 */
#include "applets/artifact/store.h"
#include "core/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files and folders ------------------------------------------------------------------------------------------- */

/* open: the folders on the way to where we are, the root first; each name is that of the folder in the one before. */
struct making { struct { char name[256]; int fd; } open[LIMIT_ARTIFACT_DEPTH + 2]; size_t n; int file; struct str path; };

static int twice(const struct making *m, struct kr_err *e)
{
    return kr_fail(e, KR_INVALID, "the archive is refused: it has \"%.*s\" twice", (int)(m->path.n < 200 ? m->path.n : 200), m->path.p);
}

static void leave(struct making *m, size_t n)
{
    while (m->n > n)
        close(m->open[--m->n].fd);
}

/* To the folder that the path's last name goes into. */
static int go(struct making *m, struct str path, char name[256], struct kr_err *e)
{
    size_t at = 1;
    for (struct str part = str_cut(&path, '/'); ; part = str_cut(&path, '/')) {
        memcpy(name, part.p, part.n);
        name[part.n] = '\0';
        if (!path.n) {
            leave(m, at);
            return m->open[at - 1].fd;
        }
        if (at < m->n && !strcmp(m->open[at].name, name)) {
            at++;
            continue;
        }
        leave(m, at);
        int fd = fs_open_beneath(m->open[at - 1].fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
            return kr_fail(e, KR_INVALID, "the archive is refused: \"%.*s\" lies in a folder that it doesn't have", (int)(m->path.n < 200 ? m->path.n : 200), m->path.p);
        if (fd < 0)
            return kr_fail_sys(e, KR_SYSTEM, errno, "open the folder \"%s\"", name);
        memcpy(m->open[at].name, name, sizeof m->open[at].name);
        m->open[at].fd = fd;
        m->n = ++at;
    }
}

static int entry(void *ctx, struct str path, bool is_dir, bool executable, struct kr_err *e)
{
    struct making *m = ctx;
    char name[256] = "";
    kr_closep(&m->file);
    m->file = -1;
    m->path = path;
    int dir = go(m, path, name, e);
    if (dir < 0)
        return -1;
    if (is_dir && mkdirat(dir, name, 0755) == 0)
        return 0;
    if (!is_dir)
        m->file = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, executable ? 0755 : 0644);
    if (is_dir ? errno == EEXIST : m->file < 0 && errno == EEXIST)
        return twice(m, e);
    return !is_dir && m->file >= 0 ? 0 : kr_fail_sys(e, errno == ENOSPC || errno == EDQUOT ? KR_NO_SPACE : KR_SYSTEM, errno, "make \"%s\"", name);
}

static int content(void *ctx, struct str bytes, struct kr_err *e) { return fs_write_fd(((struct making *)ctx)->file, bytes, "a file of the archive", e); }

int unpack(int archive, int dir, uint64_t bytes_max, struct kr_err *e)
{
    struct making *m = xcalloc(1, sizeof *m);
    struct untar_user user = { entry, content, m };
    m->file = -1;
    m->open[0].fd = fcntl(dir, F_DUPFD_CLOEXEC, 3);
    m->n = m->open[0].fd >= 0;
    int rc = m->n ? untar(archive, bytes_max, &user, e) : kr_fail_sys(e, KR_SYSTEM, errno, "open a folder");
    kr_closep(&m->file);
    leave(m, 0);
    free(m);
    return rc;
}

/* ---- one artifact ------------------------------------------------------------------------------------------------ */

/* A store that gives more than was noted can't fill the volume: the kernel ends the write. */
static void limit_files(uint64_t bytes)
{
    struct rlimit r;
    signal(SIGXFSZ, SIG_IGN);
    if (getrlimit(RLIMIT_FSIZE, &r) == 0) {
        r.rlim_cur = bytes < r.rlim_max ? bytes : r.rlim_max;
        setrlimit(RLIMIT_FSIZE, &r);
    }
}

static int measure(int fd, const struct placing *p, struct kr_err *e)
{
    static char chunk[1 << 16];
    char text[DIGEST_TEXT];
    unsigned char raw[DIGEST_BYTES];
    struct digest d;
    uint64_t at = 0;
    ptrdiff_t n;
    digest_begin(&d);
    while ((n = pread(fd, chunk, sizeof chunk, (off_t)at)) > 0) {
        digest_add(&d, (struct str){ chunk, (size_t)n });
        at += (uint64_t)n;
    }
    if (n < 0)
        return kr_fail_sys(e, KR_UNAVAILABLE, errno, "read what came from the store");
    digest_end(&d, raw);
    digest_hex(raw, text);
    return at == p->size && str_is(p->digest, text) ? 0 : kr_fail(e, KR_INVALID, "it is damaged: what the store has is not what was stored");
}

static int fetch(struct depot *d, const struct placing *p, int fd, struct kr_err *e)
{
    limit_files(p->size);
    int rc = d->driver->get(d, p->key, 0, fd, e);
    limit_files(p->bytes_max);
    return rc < 0 ? -1 : measure(fd, p, e);
}

static int place_archive(struct depot *d, const struct placing *p, int into, const char *name, struct kr_err *e)
{
    AUTO_CLOSE int fd = spool_open(p->spool, e);
    if (fd < 0 || fetch(d, p, fd, e) < 0)
        return -1;
    if (mkdirat(into, name, 0755) < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "make the folder \"%s\"", name);
    AUTO_CLOSE int dir = fs_open_beneath(into, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (dir < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "open the folder \"%s\"", name);
    return unpack(fd, dir, p->bytes_max, e);
}

static int place_file(struct depot *d, const struct placing *p, int into, const char *name, struct kr_err *e)
{
    AUTO_CLOSE int fd = openat(into, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);
    return fd < 0 ? kr_fail_sys(e, KR_SYSTEM, errno, "make \"%s\"", name) : fetch(d, p, fd, e);
}

int place(struct depot *d, int work, const struct placing *p, struct kr_err *e)
{
    struct str dir = p->path, last = p->path;
    struct kr_err ignored = { 0 };
    char name[256];
    for (ptrdiff_t slash; (slash = str_chr(last, '/')) >= 0;)
        last = str_from(last, (size_t)slash + 1);
    dir.n -= last.n + (last.n < dir.n);
    if (!last.n || last.n > 255 || (!dir.n && last.n < p->path.n) || memchr(last.p, '\0', last.n) || str_is(last, ".") || str_is(last, ".."))
        return kr_fail(e, KR_INVALID, "\"%.*s\" is no path in the workspace", SFMT(p->path));
    memcpy(name, last.p, last.n);
    name[last.n] = '\0';
    AUTO_CLOSE int into = dir.n ? fs_open_dir_at(work, dir, 0755, e) : fcntl(work, F_DUPFD_CLOEXEC, 3);
    if (into < 0 || fs_remove_tree_at(into, name, e) < 0)
        return e->code ? -1 : kr_fail_sys(e, KR_SYSTEM, errno, "open the workspace");
    int rc = p->is_archive ? place_archive(d, p, into, name, e) : place_file(d, p, into, name, e);
    if (rc < 0)
        fs_remove_tree_at(into, name, &ignored);
    return rc;
}
