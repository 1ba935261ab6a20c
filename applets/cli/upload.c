/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload: first the names and sizes of all, so that a folder that is too large is refused by what is in it before anything of it
 * is read. Folders named .git are left out; links and what is no file are refused, as a Run's files are text and nothing else.
 * Tests: tests/local/submit.py
 */
#include "applets/cli/upload.h"
#include "applets/cli/ignore.h"
#include "core/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH = 64, PATH = 4096 };
struct walk { struct upload *out; struct arena *a; const char *folder; struct str parts[DEPTH]; size_t entries; struct kr_err *e; };

void upload_free(struct upload *u)
{
    free(u->v);
    *u = (struct upload){ 0 };
}

static struct str path_of(const struct walk *w, size_t n)
{
    AUTO_BUF struct buf b = { .max = PATH };
    for (size_t i = 0; i < n; i++) {
        buf_lit(&b, i ? "/" : "");
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
    return u->v[u->n++].path.n ? 0 : refuse(w, n < 4 ? n : 4, "has a path that is too long");
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
    if (depth + 1 == DEPTH)
        return refuse(w, depth + 1, "is nested too deeply");
    AUTO_CLOSE int below = openat(dir, name.p, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below < 0)
        return kr_fail_sys(w->e, KR_SYSTEM, errno, "--upload: open \"%s/%.*s\"", w->folder, SFMT(path_of(w, depth + 1)));
    return walk(w, below, depth + 1, rules);
}

/* The folder's own rules; one without a .gitignore has none, and still is a step between its parents' and what is in it. */
static const struct ignore *rules_of(struct walk *w, int dir, const struct ignore *above)
{
    AUTO_BUF struct buf text = { .max = LIMIT_FILE_INPUT };
    AUTO_CLOSE int fd = openat(dir, ".gitignore", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && fs_read_fd(fd, ".gitignore", &text, w->e) < 0)
        return NULL;
    const struct ignore *g = ignore_read(above, buf_view(&text), w->a);
    if (!g)
        kr_fail(w->e, KR_TOO_LARGE, "--upload: the .gitignore files of \"%s\" are too large", w->folder);
    return g;
}

static int walk(struct walk *w, int dir, size_t depth, const struct ignore *above)
{
    const struct ignore *rules = rules_of(w, dir, above);
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
    if (walk(&w, dir, 0, NULL) < 0)
        return -1;
    return read_all(u, dir, folder, a, e);
}
