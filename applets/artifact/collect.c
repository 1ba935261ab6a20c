/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collect: what lies in $KRUNTIME_ARTIFACTS_DIR. All of it is looked through before any of it is stored. What an entry is, is
 * asked of an O_PATH descriptor, which opens nothing; what is then read must be the same inode. A symlink is never followed
 * and never stored, so whatever code put there, nothing outside the folder can be read through it.
 */
#include "applets/artifact/store.h"
#include "core/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int by_bytes(const void *a, const void *b) { return str_cmp(*(const struct str *)a, *(const struct str *)b); }

int names_of(int dir, size_t max, struct names *r, struct arena *a, struct kr_err *e)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    size_t cap = 0;
    *r = (struct names){ 0 };
    if (!d) {
        kr_closep(&fd);
        return kr_fail_sys(e, KR_INVALID, errno, "read a folder");
    }
    for (struct dirent *x; (x = readdir(d));) {
        if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, ".."))
            continue;
        if (r->n == max) {
            closedir(d);
            return kr_fail(e, KR_TOO_LARGE, "a folder has more than %zu entries", max);
        }
        if (r->n == cap) {
            cap = cap ? 2 * cap : 16;
            struct str *more = arena_alloc(a, cap * sizeof *more);
            if (more && r->n)
                memcpy(more, r->v, r->n * sizeof *more);
            r->v = more;
        }
        if (r->v)
            r->v[r->n++] = arena_str(a, str_of(x->d_name));
        if (a->over) {
            closedir(d);
            return kr_fail(e, KR_TOO_LARGE, "the names in a folder take too much room");
        }
    }
    closedir(d);
    if (r->n)
        qsort(r->v, r->n, sizeof *r->v, by_bytes);
    return 0;
}

static const char *kind_of(mode_t mode)
{
    return S_ISLNK(mode) ? "a symbolic link" : S_ISFIFO(mode) ? "a FIFO" : S_ISSOCK(mode) ? "a socket" : "a device";
}

int open_plain(int dir, const char *name, bool *is_dir, uint64_t *size, bool *executable, struct kr_err *e)
{
    struct stat before, now;
    AUTO_CLOSE int look = fs_open_beneath(dir, name, O_PATH | O_NOFOLLOW, 0);
    if (look < 0 && (errno == ELOOP || errno == EXDEV))
        return kr_fail(e, KR_INVALID, "\"%s\" is a symbolic link or lies on another file system: only files and folders can be artifacts", name);
    if (look < 0 || fstat(look, &before) < 0)
        return kr_fail_sys(e, KR_INVALID, errno, "open \"%s\"", name);
    *is_dir = S_ISDIR(before.st_mode);
    if (!*is_dir && !S_ISREG(before.st_mode))
        return kr_fail(e, KR_INVALID, "\"%s\" is %s: only files and folders can be artifacts", name, kind_of(before.st_mode));
    AUTO_CLOSE int fd = fs_open_beneath(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | (*is_dir ? O_DIRECTORY : 0), 0);
    if (fd < 0)
        return kr_fail_sys(e, KR_INVALID, errno, "open \"%s\"", name);
    if (fstat(fd, &now) < 0 || now.st_ino != before.st_ino || now.st_dev != before.st_dev || (now.st_mode & S_IFMT) != (before.st_mode & S_IFMT))
        return kr_fail(e, KR_INVALID, "\"%s\" was replaced while it was looked at: something still writes there", name);
    *size = *is_dir ? 0 : (uint64_t)now.st_size;
    *executable = (now.st_mode & 0100) != 0;
    return TAKE_FD(fd);
}

/* ---- looking through --------------------------------------------------------------------------------------------- */

struct look { const struct collect_limits *limits; uint64_t bytes, files; };

static int count(struct look *l, uint64_t bytes, struct kr_err *e)
{
    l->bytes += bytes;
    if (++l->files > LIMIT_ARTIFACT_FILES)
        return kr_fail(e, KR_TOO_LARGE, "there are more than %d files and folders in $KRUNTIME_ARTIFACTS_DIR", LIMIT_ARTIFACT_FILES);
    if (l->bytes > l->limits->bytes)
        return kr_fail(e, KR_TOO_LARGE, "the artifacts have more than %llu bytes in all", (unsigned long long)l->limits->bytes);
    return 0;
}

static int look_through(struct look *l, int dir, int depth, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    struct names names;
    if (depth > LIMIT_ARTIFACT_DEPTH)
        return kr_fail(e, KR_TOO_LARGE, "folders are nested more than %d deep", LIMIT_ARTIFACT_DEPTH);
    if (names_of(dir, LIMIT_ARTIFACT_FILES, &names, &a, e) < 0)
        return -1;
    for (size_t i = 0; i < names.n; i++) {
        bool is_dir, executable;
        uint64_t size;
        if (!str_utf8(names.v[i]))
            return kr_fail(e, KR_INVALID, "a name in $KRUNTIME_ARTIFACTS_DIR is not UTF-8");
        AUTO_CLOSE int fd = open_plain(dir, names.v[i].p, &is_dir, &size, &executable, e);
        if (fd < 0 || count(l, size, e) < 0)
            return -1;
        if (is_dir && look_through(l, fd, depth + 1, e) < 0)
            return e->code == KR_INVALID ? kr_wrap(e, "%.*s", SFMT(names.v[i])) : -1;
    }
    return 0;
}

/* ---- what it is -------------------------------------------------------------------------------------------------- */

static const char *type_of(struct str name)
{
    static const struct { const char *end, *type; } table[] = {
        { ".txt", "text/plain" }, { ".log", "text/plain" }, { ".md", "text/markdown" }, { ".csv", "text/csv" }, { ".html", "text/html" },
        { ".json", "application/json" }, { ".xml", "application/xml" }, { ".yaml", "application/yaml" }, { ".yml", "application/yaml" },
        { ".pdf", "application/pdf" }, { ".png", "image/png" }, { ".jpg", "image/jpeg" }, { ".svg", "image/svg+xml" }, { ".gz", "application/gzip" },
        { ".zip", "application/zip" } };
    for (size_t i = 0; i < LEN(table); i++)
        if (str_ends(name, str_of(table[i].end)))
            return table[i].type;
    return "application/octet-stream";
}

static int check_name(struct str name, struct kr_err *e)
{
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < ' ' || name.p[i] == 127)
            return kr_fail(e, KR_INVALID, "the name of an artifact has a control character in it");
    return 0;
}

int collect(int dir, const struct collect_limits *limits, struct collection *r, struct arena *a, struct kr_err *e)
{
    struct look l = { .limits = limits };
    struct names names;
    *r = (struct collection){ 0 };
    if (names_of(dir, LIMIT_ARTIFACTS, &names, a, e) < 0)
        return e->code == KR_TOO_LARGE ? kr_fail(e, KR_TOO_LARGE, "there are more than %d artifacts: put them into a folder", LIMIT_ARTIFACTS) : -1;
    for (size_t i = 0; i < names.n; i++)
        if (check_name(names.v[i], e) < 0)
            return -1;
    if (look_through(&l, dir, 0, e) < 0)
        return -1;
    r->v = arena_alloc(a, (names.n + 1) * sizeof *r->v);
    for (size_t i = 0; r->v && i < names.n; i++) {
        struct collected *c = &r->v[r->n];
        bool executable;
        c->item.name = names.v[i];
        c->item.fd = open_plain(dir, names.v[i].p, &c->item.is_dir, &c->item.size, &executable, e);
        if (c->item.fd < 0) {
            collection_close(r);
            return -1;
        }
        r->n++;
        snprintf(c->content_type, sizeof c->content_type, "%s", c->item.is_dir ? "application/gzip" : type_of(names.v[i]));
    }
    return 0;
}

void collection_close(struct collection *c)
{
    while (c->n)
        close(c->v[--c->n].item.fd);
}
