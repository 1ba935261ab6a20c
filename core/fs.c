/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs: reading with a limit, atomic writing, and trees that strangers wrote: below a base directory every step is taken
 * with openat and O_NOFOLLOW, so that no symlink leads out of it. Tested in tests/unit/core/fs.c.
 */
#include "core/fs.h"
#include "core/failpoint.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int fs_read_fd(int fd, const char *what, struct buf *out, struct kr_err *e)
{
    size_t begin = out->n;
    for (;;) {
        size_t room = out->max > out->n ? out->max - out->n : 0;
        char probe;
        void *to = room ? buf_room(out, room < 65536 ? room : 65536) : &probe;
        ptrdiff_t n = read(fd, to, room ? (room < 65536 ? room : 65536) : 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            out->n = begin;
            return kr_fail_sys(e, KR_SYSTEM, errno, "read \"%s\"", what);
        }
        if (n == 0)
            return 0;
        if (!room) {
            out->n = begin;
            return kr_fail(e, KR_TOO_LARGE, "\"%s\" is larger than %zu bytes", what, out->max - begin);
        }
        out->n += (size_t)n;
        out->p[out->n] = '\0';
    }
}

int fs_read(const char *path, struct buf *out, struct kr_err *e)
{
    if (!strcmp(path, "-"))
        return fs_read_fd(0, "stdin", out, e);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "open \"%s\"", path);
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        return kr_fail(e, KR_INVALID, "\"%s\" is a directory, a file is needed", path);
    return fs_read_fd(fd, path, out, e);
}

int fs_write_fd(int fd, struct str bytes, const char *what, struct kr_err *e)
{
    while (bytes.n) {
        ptrdiff_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kr_fail_sys(e, KR_SYSTEM, errno, "write \"%s\"", what);
        bytes = str_from(bytes, (size_t)n);
    }
    return 0;
}

static int sync_dir_of(const char *path, struct kr_err *e)
{
    char dir[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + (slash == path) : 1;
    if (n >= sizeof dir)
        return kr_fail(e, KR_TOO_LARGE, "the path \"%s\" is too long", path);
    memcpy(dir, slash ? path : ".", n);
    dir[n] = '\0';
    AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "sync \"%s\"", dir);
    return 0;
}

int fs_write(const char *path, struct str content, mode_t mode, bool durable, struct kr_err *e)
{
    char temp[4096];
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return kr_fail(e, KR_INVALID, "\"%s\" is there and is no file: nothing is written over it", path);
    int n = snprintf(temp, sizeof temp, "%s.%ld.new", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof temp)
        return kr_fail(e, KR_TOO_LARGE, "the path \"%s\" is too long", path);
    AUTO_CLOSE int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "write \"%s\"", temp);
    if (fchmod(fd, mode) < 0 || fs_write_fd(fd, content, temp, e) < 0 || (durable && fsync(fd) < 0) ||
        KR_FAILPOINTS_AROUND("*.file.rename", rename(temp, path)) < 0) {
        int why = errno;
        unlink(temp);
        return e->code ? -1 : kr_fail_sys(e, KR_SYSTEM, why, "write \"%s\"", path);
    }
    return durable ? sync_dir_of(path, e) : 0;
}

int fs_make_dir(const char *path, mode_t mode, struct kr_err *e)
{
    char part[4096];
    size_t n = strlen(path);
    if (!n || n >= sizeof part)
        return kr_fail(e, KR_INVALID, "\"%s\" is no path for a directory", path);
    if (mkdir(path, mode) == 0)                   /* usually only the last part is missing */
        return 0;
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        char was = part[i];
        part[i] = '\0';
        if (mkdir(part, was ? 0755 : mode) < 0 && errno != EEXIST)
            return kr_fail_sys(e, KR_SYSTEM, errno, "make the directory \"%s\"", part);
        part[i] = was;
    }
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return kr_fail(e, KR_INVALID, "\"%s\" is there and is no directory", path);
    return 0;
}

static int plain_name(struct str part, char out[256], struct str whole, struct kr_err *e)
{
    if (!part.n || str_is(part, ".") || str_is(part, "..") || part.n > 255 || memchr(part.p, '\0', part.n))
        return kr_fail(e, KR_INVALID, "the path \"%.*s\" must be relative, of plain names, without \".\", \"..\" or empty parts", SFMT(whole));
    memcpy(out, part.p, part.n);
    out[part.n] = '\0';
    return 0;
}

int fs_open_dir_at(int base, struct str path, mode_t mode, struct kr_err *e)
{
    AUTO_CLOSE int at = fcntl(base, F_DUPFD_CLOEXEC, 3);
    struct str rest = path;
    char name[256];
    if (at < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "open a directory");
    if (path.n && path.p[path.n - 1] == '/')      /* an empty part at the end, which str_cut doesn't show */
        return plain_name(S(""), name, path, e);
    while (rest.n) {
        if (plain_name(str_cut(&rest, '/'), name, path, e) < 0)
            return -1;
        if (mkdirat(at, name, mode) < 0 && errno != EEXIST)
            return kr_fail_sys(e, KR_SYSTEM, errno, "make the directory \"%s\" of \"%.*s\"", name, SFMT(path));
        int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && (errno == ENOTDIR || errno == ELOOP))
            return kr_fail(e, KR_INVALID, "the path \"%.*s\" leads through \"%s\", which is no folder", SFMT(path), name);
        if (next < 0)
            return kr_fail_sys(e, KR_SYSTEM, errno, "open \"%s\" of \"%.*s\"", name, SFMT(path));
        close(at);
        at = next;
    }
    return TAKE_FD(at);
}

int fs_write_at(int base, struct str path, struct str content, mode_t mode, struct kr_err *e)
{
    size_t cut = path.n;
    while (cut && path.p[cut - 1] != '/')
        cut--;
    struct str dir = { path.p, cut ? cut - 1 : 0 }, last = str_from(path, cut);
    char name[256];
    if (plain_name(last, name, path, e) < 0 || (cut == 1 && kr_fail(e, KR_INVALID, "the path \"%.*s\" must be relative", SFMT(path))))
        return -1;
    AUTO_CLOSE int at = dir.n ? fs_open_dir_at(base, dir, 0755, e) : fcntl(base, F_DUPFD_CLOEXEC, 3);
    if (at < 0)
        return -1;
    AUTO_CLOSE int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0 && (errno == EEXIST || errno == EISDIR))
        return kr_fail(e, KR_INVALID, "\"%.*s\" is there already, as a file or a folder", SFMT(path));
    if (fd < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "write \"%.*s\"", SFMT(path));
    fchmod(fd, mode);
    return fs_write_fd(fd, content, name, e);
}

void fs_unlink_at(int base, struct str path)
{
    size_t cut = path.n;
    while (cut && path.p[cut - 1] != '/')
        cut--;
    struct kr_err ignored = { 0 };
    struct str dir = { path.p, cut ? cut - 1 : 0 };
    char name[256];
    if (plain_name(str_from(path, cut), name, path, &ignored) < 0 || cut == 1)
        return;
    AUTO_CLOSE int at = dir.n ? fs_open_dir_at(base, dir, 0755, &ignored) : fcntl(base, F_DUPFD_CLOEXEC, 3);
    if (at >= 0)
        unlinkat(at, name, 0);
}

/* What lies deeper is moved to the top of its tree and goes from there: few descriptors are open at a time, and no depth is too much. */
enum { REMOVE_DEPTH = 32 };
struct removal { int top; unsigned moves; bool moved; size_t left; };     /* left: entries that may still be looked at */

static int remove_at(struct removal *, int at, const char *name, int depth, struct kr_err *);

static int move_up(struct removal *r, int at, const char *name, struct kr_err *e)
{
    char to[16];
    int rc;
    do {
        snprintf(to, sizeof to, ".%u", r->moves++);
        rc = renameat(at, name, r->top, to);
    } while (rc < 0 && (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR));      /* a name of its own there */
    r->moved = true;
    return rc < 0 ? kr_fail_sys(e, KR_SYSTEM, errno, "remove \"%s\"", name) : 0;
}

static int remove_entries(struct removal *r, DIR *d, int depth, struct kr_err *e)
{
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(d));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            rc = remove_at(r, dirfd(d), entry->d_name, depth + 1, e);
    return rc;
}

static int remove_at(struct removal *r, int at, const char *name, int depth, struct kr_err *e)
{
    if (!r->left--)
        return 1;
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return kr_fail_sys(e, KR_SYSTEM, errno, "remove \"%s\"", name);
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, 0) == 0)
        fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : kr_fail_sys(e, KR_SYSTEM, errno, "remove \"%s\"", name);
    fchmod(fd, 0700);
    DIR *d = depth < REMOVE_DEPTH ? fdopendir(fd) : NULL;
    if (!d) {
        close(fd);
        return depth < REMOVE_DEPTH ? kr_fail(e, KR_SYSTEM, "the directory \"%s\" can't be read", name) : move_up(r, at, name, e);
    }
    if (depth == 0)
        r->top = fd;
    int rc = remove_entries(r, d, depth, e);
    while (rc == 0 && depth == 0 && r->moved) {
        r->moved = false;
        rewinddir(d);
        rc = remove_entries(r, d, depth, e);
    }
    closedir(d);
    if (rc == 0 && unlinkat(at, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return kr_fail_sys(e, KR_SYSTEM, errno, "remove \"%s\"", name);
    return rc;
}

int fs_remove_some_at(int dir, const char *name, size_t most, struct kr_err *e) { return remove_at(&(struct removal){ .left = most }, dir, name, 0, e); }

int fs_remove_tree(const char *path, struct kr_err *e) { return fs_remove_some_at(AT_FDCWD, path, SIZE_MAX, e); }

int fs_remove_tree_at(int dir, const char *name, struct kr_err *e) { return fs_remove_some_at(dir, name, SIZE_MAX, e); }

int fs_open_beneath(int base, const char *path, int flags, mode_t mode)
{
    struct open_how how = { .flags = (unsigned)(flags | O_CLOEXEC), .mode = mode,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };
    return (int)syscall(SYS_openat2, base, path, &how, sizeof how);
}

bool fs_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

char *fs_join(struct arena *a, const char *dir, const char *name)
{
    size_t n = strlen(dir);
    return (char *)arena_fmt(a, "%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name).p;
}
