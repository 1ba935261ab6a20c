/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload: first the names and sizes of all, so that a folder that is too large is refused by what is in it before anything of it
 * is read. In a working tree of git the .gitignore files above the folder count too. Folders named .git are left out; links and what is no file are refused, as a Run's files are text and nothing else.
 * Tests: tests/local/submit.py
 */
#include "applets/cli/upload.h"
#include "applets/cli/ignore.h"
#include "core/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH = 64, PATH = 4096 };
/* parts: a path's names from the top of the working tree on; the first base of them lead to the folder. */
struct walk { struct upload *out; struct arena *a; const char *folder; struct str parts[2 * DEPTH]; size_t base, entries; struct kr_err *e; };

void upload_free(struct upload *u)
{
    free(u->v);
    *u = (struct upload){ 0 };
}

/* From the folder on. */
static struct str path_of(const struct walk *w, size_t n)
{
    AUTO_BUF struct buf b = { .max = PATH };
    for (size_t i = w->base; i < n; i++) {
        buf_lit(&b, i > w->base ? "/" : "");
        buf_str(&b, w->parts[i]);
    }
    return b.failed ? S("") : arena_str(w->a, buf_view(&b));
}

static int refuse(struct walk *w, size_t n, const char *why)
{
    return kr_fail(w->e, KR_INVALID, "--upload: \"%s/%.*s\" %s: leave it out by .gitignore, or give the source as --git", w->folder, SFMT(path_of(w, n)), why);
}

static int add(struct walk *w, size_t n, int64_t size)
{
    struct upload *u = w->out;
    if (u->n == u->cap) {
        u->cap = u->cap ? u->cap * 2 : 64;
        u->v = xrealloc(u->v, u->cap * sizeof *u->v);
    }
    u->v[u->n] = (struct upload_file){ .path = path_of(w, n), .size = size };
    return u->v[u->n++].path.n ? 0 : refuse(w, n < w->base + 4 ? n : w->base + 4, "has a path that is too long");
}

static int walk(struct walk *w, int dir, size_t depth, const struct ignore *above);

static int take(struct walk *w, int dir, struct str name, size_t depth, const struct ignore *rules)
{
    struct stat st;
    w->parts[depth] = name;
    if (++w->entries > LIMIT_UPLOAD_ENTRIES)
        return kr_fail(w->e, KR_TOO_LARGE, "--upload: \"%s\" has more than %d entries: name a smaller folder, or give the source as --git", w->folder, LIMIT_UPLOAD_ENTRIES);
    if (fstatat(dir, name.p, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return kr_fail_sys(w->e, KR_SYSTEM, errno, "--upload: look at \"%s/%.*s\"", w->folder, SFMT(path_of(w, depth + 1)));
    if (ignore_has(rules, w->parts, depth + 1, depth, S_ISDIR(st.st_mode)))
        return 0;
    if (S_ISREG(st.st_mode))
        return add(w, depth + 1, st.st_size);
    if (!S_ISDIR(st.st_mode))
        return refuse(w, depth + 1, S_ISLNK(st.st_mode) ? "is a symbolic link, and a Run takes plain files" : "is no file");
    if (depth + 1 == w->base + DEPTH)
        return refuse(w, depth + 1, "is nested too deeply");
    AUTO_CLOSE int below = openat(dir, name.p, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below < 0)
        return kr_fail_sys(w->e, KR_SYSTEM, errno, "--upload: open \"%s/%.*s\"", w->folder, SFMT(path_of(w, depth + 1)));
    return walk(w, below, depth + 1, rules);
}

/* The folder's own rules; one without such a file has none, and still is a step between its parents' and what is in it. */
static const struct ignore *rules_of(struct walk *w, int dir, const char *file, const struct ignore *above)
{
    AUTO_BUF struct buf text = { .max = LIMIT_FILE_INPUT };
    AUTO_CLOSE int fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && fs_read_fd(fd, file, &text, w->e) < 0)
        return NULL;
    const struct ignore *g = ignore_read(above, buf_view(&text), w->a);
    if (!g)
        kr_fail(w->e, KR_TOO_LARGE, "--upload: the .gitignore files of \"%s\" are too large", w->folder);
    return g;
}

static int walk(struct walk *w, int dir, size_t depth, const struct ignore *above)
{
    const struct ignore *rules = rules_of(w, dir, ".gitignore", above);
    int own = dup(dir), rc = rules ? 0 : -1;
    DIR *d = own < 0 ? NULL : fdopendir(own);
    for (struct dirent *x; d && rc == 0 && (x = readdir(d));)
        if (strcmp(x->d_name, ".") && strcmp(x->d_name, "..") && strcmp(x->d_name, ".git"))
            rc = take(w, dir, arena_str(w->a, str_of(x->d_name)), depth, rules);
    if (!d && rc == 0)
        rc = kr_fail_sys(w->e, KR_SYSTEM, errno, "--upload: read \"%s/%.*s\"", w->folder, SFMT(path_of(w, depth)));
    if (d)
        closedir(d);
    else if (own >= 0)
        close(own);
    return rc;
}

/* ---- the working tree -------------------------------------------------------------------------------------------- */

/* How long the path of its top is: the nearest folder from `path` up that holds .git. False: there is none. */
static bool find_top(const char *path, size_t *ret)
{
    char git[PATH + 8];
    for (size_t n = strlen(path);;) {
        snprintf(git, sizeof git, "%.*s/.git", (int)n, path);
        *ret = n;
        if (faccessat(AT_FDCWD, git, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return true;
        if (!n)
            return false;
        while (n && path[--n] != '/')
            ;
    }
}

/* names: those that lead from dir to the folder. */
static int descend(struct walk *w, int dir, struct str names, const struct ignore *above, const struct ignore **ret)
{
    *ret = names.n ? rules_of(w, dir, ".gitignore", above) : above;
    if (!*ret || !names.n)
        return *ret ? 0 : -1;
    if (w->base == DEPTH)
        return kr_fail(w->e, KR_INVALID, "--upload: \"%s\" is nested too deeply in its working tree", w->folder);
    struct str name = arena_str(w->a, str_cut(&names, '/'));
    AUTO_CLOSE int below = openat(dir, name.p, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below < 0)
        return kr_fail_sys(w->e, KR_SYSTEM, errno, "--upload: open \"%.*s\" above \"%s\"", SFMT(name), w->folder);
    w->parts[w->base++] = name;
    return descend(w, below, names, *ret, ret);
}

/* The rules from the top down to the folder, and the names between, which they look at; *ret stays where there is no working tree.
 * A folder that they leave out was named all the same: what is in it is taken. */
static int rules_above(struct walk *w, const struct ignore **ret)
{
    char path[PATH];
    size_t top;
    if (!realpath(w->folder, path))
        return kr_fail_sys(w->e, KR_SYSTEM, errno, "--upload: open the folder \"%s\"", w->folder);
    if (!find_top(path, &top))
        return 0;
    AUTO_CLOSE int dir = open(arena_fmt(w->a, "%.*s/", (int)top, path).p, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return kr_fail_sys(w->e, KR_SYSTEM, errno, "--upload: open \"%.*s\"", (int)top, path);
    const struct ignore *own = rules_of(w, dir, ".git/info/exclude", NULL);
    return own ? descend(w, dir, str_of(path[top] ? path + top + 1 : ""), own, ret) : -1;
}

/* ---- sizes and content ------------------------------------------------------------------------------------------- */

static int by_size(const void *x, const void *y)
{
    const struct upload_file *a = x, *b = y;
    return a->size != b->size ? (a->size > b->size ? -1 : 1) : str_cmp(a->path, b->path);
}

static int by_path(const void *x, const void *y) { return str_cmp(((const struct upload_file *)x)->path, ((const struct upload_file *)y)->path); }

static int too_large(struct upload *u, const char *folder, int64_t size, struct kr_err *e)
{
    AUTO_BUF struct buf most = { .max = 200 };
    qsort(u->v, u->n, sizeof *u->v, by_size);
    for (size_t i = 0; i < u->n && i < 3; i++)
        buf_fmt(&most, "%s%.*s (%lld bytes)", i ? ", " : "", SFMT(u->v[i].path), (long long)u->v[i].size);
    return kr_fail(e, KR_TOO_LARGE, "--upload: \"%s\" has %zu files with %lld bytes; a Run takes %d files with %d characters; the largest: %.*s; leave out what isn't needed "
                   "by .gitignore, or give the source as --git", folder, u->n, (long long)size, UPLOAD_FILES, UPLOAD_CHARACTERS, SFMT(buf_view(&most)));
}

static int read_one(int dir, const char *folder, struct upload_file *f, struct arena *a, struct kr_err *e)
{
    AUTO_BUF struct buf text = { .max = 4 * UPLOAD_CHARACTERS };
    AUTO_CLOSE int fd = fs_open_beneath(dir, f->path.p, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "--upload: open \"%s/%.*s\"", folder, SFMT(f->path));
    if (fs_read_fd(fd, f->path.p, &text, e) < 0)
        return kr_wrap(e, "--upload");
    if (!str_utf8(buf_view(&text)) || !str_utf8(f->path))
        return kr_fail(e, KR_INVALID, "--upload: \"%s/%.*s\" (%zu bytes) is no UTF-8 text: a Run's source is text: leave it out by .gitignore, or give the source as --git", folder,
                       SFMT(f->path), text.n);
    f->content = arena_str(a, buf_view(&text));
    return 0;
}

static int read_all(struct upload *u, int dir, const char *folder, struct arena *a, struct kr_err *e)
{
    int64_t size = 0, characters = 0;
    for (size_t i = 0; i < u->n; i++)
        size += u->v[i].size;
    if (u->n > UPLOAD_FILES || size > 4 * UPLOAD_CHARACTERS)
        return too_large(u, folder, size, e);
    for (size_t i = 0; i < u->n; i++) {
        if (read_one(dir, folder, &u->v[i], a, e) < 0)
            return -1;
        characters += (int64_t)str_runes(u->v[i].content);
    }
    if (characters > UPLOAD_CHARACTERS)
        return too_large(u, folder, size, e);
    if (u->n)
        qsort(u->v, u->n, sizeof *u->v, by_path);
    return u->n ? 0 : kr_fail(e, KR_INVALID, "--upload: \"%s\" has no files that .gitignore lets through", folder);
}

int upload_read(struct upload *u, const char *folder, struct arena *a, struct kr_err *e)
{
    AUTO_CLOSE int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct walk w = { .out = u, .a = a, .folder = folder, .e = e };
    if (dir < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "--upload: open the folder \"%s\"", folder);
    const struct ignore *above = NULL;
    if (rules_above(&w, &above) < 0 || walk(&w, dir, w.base, above) < 0)
        return -1;
    return read_all(u, dir, folder, a, e);
}
