/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs: a store in a folder. An object is written beside its Run's folders, synced, renamed to its place, and the folder is
 * synced: a crash leaves the whole object or none of it. Every path is walked from the open root by the kernel's rules
 * (no symlink, nothing outside), whatever lies in the store. Tests: tests/unit/applets/artifact.c, tests/fault/artifacts.py
 */
#include "applets/artifact/store.h"
#include "core/failpoint.h"
#include "core/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

struct fs_depot { struct depot s; int root; };
enum { DIR_MODE = 0770, FILE_MODE = 0660, PATH = 1100, EARLY = 4 << 20, PIECE = 1 << 20 };

static struct str dir_of(struct str key)
{
    while (key.n && key.p[key.n - 1] != '/')
        key.n--;
    return key.n ? (struct str){ key.p, key.n - 1 } : S("");
}

static const char *z(struct str s, char out[PATH])
{
    snprintf(out, PATH, "%.*s", SFMT(s));
    return out;
}

/* Opens the folder at a key, making what is missing; what is made is in its parent for good when this returns. */
static int make_dirs(struct fs_depot *s, struct str dir, struct kr_err *e)
{
    char path[PATH];
    AUTO_CLOSE int at = fcntl(s->root, F_DUPFD_CLOEXEC, 3);
    for (struct str rest = dir; at >= 0 && rest.n;) {
        z(str_cut(&rest, '/'), path);
        bool made = mkdirat(at, path, DIR_MODE) == 0;
        if (!made && errno != EEXIST)
            return kr_fail_sys(e, KR_UNAVAILABLE, errno, "make the folder \"%s\" in the store", path);
        if (made && KR_FAILPOINTS_AROUND("artifact-helper.store-folder.fsync", fsync(at)) < 0)
            return kr_fail_sys(e, KR_UNAVAILABLE, errno, "sync the store");
        int next = fs_open_beneath(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (next < 0)
            return kr_fail_sys(e, KR_UNAVAILABLE, errno, "open the folder \"%s\" in the store", path);
        close(at);
        at = next;
    }
    return at < 0 ? kr_fail_sys(e, KR_UNAVAILABLE, errno, "open the store") : TAKE_FD(at);
}

/* The disk is set to work while what follows is still read and digested; fsync then has little to wait for. */
struct early { struct sink s; int (*write)(struct sink *, struct str, struct kr_err *); uint64_t begun; };

static int write_early(struct sink *sink, struct str bytes, struct kr_err *e)
{
    struct early *w = container_of(sink, struct early, s);
    if (w->write(sink, bytes, e) < 0)
        return -1;
    if (sink->n - w->begun >= EARLY) {
        sync_file_range(sink->fd, (off_t)w->begun, (off_t)(sink->n - w->begun), SYNC_FILE_RANGE_WRITE);
        w->begun = sink->n;
    }
    return 0;
}

static int fill(int fd, const struct item *item, struct stored *r, struct kr_err *e)
{
    struct early early = { .begun = 0 };
    sink_begin(&early.s, fd);
    early.write = early.s.write;
    early.s.write = write_early;
    if (item_write(item, &early.s, e) < 0)
        return -1;
    sink_end(&early.s, r);
    return KR_FAILPOINTS_AROUND("artifact-helper.store-file.fsync", fsync(fd)) < 0 ? kr_fail_sys(e, KR_UNAVAILABLE, errno, "sync \"%.*s\" in the store", SFMT(item->name)) : 0;
}

/* One for each folder of objects, so that what a kill left is found again. */
static void temp_name(struct str dir, char out[PATH + 8])
{
    struct str run = dir_of(dir);
    snprintf(out, PATH + 8, ".new-%.*s", SFMT(str_from(dir, run.n ? run.n + 1 : 0)));
}

static int put(struct depot *store, struct str key, const struct item *item, struct stored *r, struct kr_err *e)
{
    struct fs_depot *s = container_of(store, struct fs_depot, s);
    char temp[PATH + 8], name[PATH];
    struct str dir = dir_of(key), run = dir_of(dir);
    AUTO_CLOSE int to = make_dirs(s, dir, e);
    if (to < 0)
        return -1;
    AUTO_CLOSE int beside = make_dirs(s, run, e);
    if (beside < 0)
        return -1;
    temp_name(dir, temp);
    unlinkat(beside, temp, 0);                    /* of a process before us that was killed */
    AUTO_CLOSE int fd = openat(beside, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return kr_fail_sys(e, KR_UNAVAILABLE, errno, "make a file in the store");
    z(str_from(key, dir.n + 1), name);
    if (fill(fd, item, r, e) == 0 && KR_FAILPOINTS_AROUND("artifact-helper.store-file.rename", renameat(beside, temp, to, name)) == 0 &&
        KR_FAILPOINTS_AROUND("artifact-helper.store-place.fsync", fsync(to)) == 0)
        return 0;
    int why = errno;
    unlinkat(beside, temp, 0);
    return e->code ? -1 : kr_fail_sys(e, KR_UNAVAILABLE, why, "put \"%.*s\" into its place in the store", SFMT(item->name));
}

/* By the kernel, without a copy of ours; where the two descriptors are of a kind it can't do so with, by us. */
static int send_rest(int fd, int out, off_t at, const char *path, struct kr_err *e)
{
    static char chunk[1 << 16];
    for (bool ours = false;;) {
        ptrdiff_t n = ours ? pread(fd, chunk, sizeof chunk, at) : sendfile(out, fd, &at, PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && !ours && (errno == EINVAL || errno == ENOSYS)) {
            ours = true;
            continue;
        }
        if (n < 0)
            return kr_fail_sys(e, KR_UNAVAILABLE, errno, "read \"%s\" in the store", path);
        if (n == 0)
            return 0;
        if (ours && fs_write_fd(out, (struct str){ chunk, (size_t)n }, "the artifact", e) < 0)
            return -1;
        at += ours ? n : 0;
    }
}

static int get(struct depot *store, struct str key, uint64_t offset, int out, struct kr_err *e)
{
    struct fs_depot *s = container_of(store, struct fs_depot, s);
    char path[PATH];
    struct stat st;
    AUTO_CLOSE int fd = fs_open_beneath(s->root, z(key, path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0)
        return kr_fail_sys(e, errno == ENOENT ? KR_NOT_FOUND : KR_UNAVAILABLE, errno, "open \"%s\" in the store", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return kr_fail(e, KR_INVALID, "\"%s\" in the store is no file", path);
    return send_rest(fd, out, (off_t)offset, path, e);
}

static int fs_remove(struct depot *store, struct str key, struct kr_err *e)
{
    struct fs_depot *s = container_of(store, struct fs_depot, s);
    char path[PATH], name[PATH], temp[PATH + 8];
    struct str dir = dir_of(key);
    z(str_from(key, dir.n ? dir.n + 1 : 0), name);
    temp_name(key, temp);
    AUTO_CLOSE int at = dir.n ? fs_open_beneath(s->root, z(dir, path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0) : fcntl(s->root, F_DUPFD_CLOEXEC, 3);
    if (at < 0)
        return errno == ENOENT ? 0 : kr_fail_sys(e, KR_UNAVAILABLE, errno, "open \"%s\" in the store", path);
    unlinkat(at, temp, 0);
    if (fs_remove_tree_at(at, name, e) == 0)
        return 0;
    e->code = KR_UNAVAILABLE;
    return kr_wrap(e, "the artifact store");
}

static void fs_close(struct depot *store)
{
    struct fs_depot *s = container_of(store, struct fs_depot, s);
    close(s->root);
    free(s);
}

static const struct depot_driver driver = { put, get, fs_remove, fs_close };

struct depot *fs_depot_open(struct str root, struct kr_err *e)
{
    char path[4096];
    if (!root.n || root.n >= sizeof path) {
        kr_fail(e, KR_INVALID, "the folder of the artifact store isn't known");
        return NULL;
    }
    snprintf(path, sizeof path, "%.*s", SFMT(root));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        kr_fail_sys(e, KR_UNAVAILABLE, errno, "open the artifact store \"%s\"", path);
        return NULL;
    }
    struct fs_depot *s = xcalloc(1, sizeof *s);
    *s = (struct fs_depot){ .s = { &driver }, .root = fd };
    return &s->s;
}
