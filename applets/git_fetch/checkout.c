/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkout: a walk over the commit's tree, twice: names, order, numbers and sizes are judged before anything is made. Folders, files and links are made and nothing else: no submodules, no filters, no
 * hooks, no attributes, no `.git`. Each name is judged (names.c) and made beneath an open descriptor of its folder, never
 * through a link. Links come last, so that nothing could be written through one, and each is then followed by the kernel with
 * RESOLVE_BENEATH: one that leads out of the folder, by whatever chain, ends it.
 * Tests: tests/fault/git_hostile.py, against repositories written object by object.
 */
#include "applets/git_fetch/fetch.h"
#include "core/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct late_link { struct late_link *next; char *path, *target; };
struct walk {
    const struct fetch *f;
    git_odb *odb;
    struct buf path;                     /* of the entry at hand, for messages */
    struct late_link *links;
    uint64_t files, bytes;
    bool judging;                        /* the first walk: nothing is made */
    struct kr_err *e;
};

static int refuse(struct walk *w, const char *why)
{
    char text[160];
    size_t n = 0;
    for (size_t i = 0; i < w->path.n && n < sizeof text; i++)
        text[n++] = w->path.p[i] >= ' ' && w->path.p[i] <= '~' ? w->path.p[i] : '?';
    return kr_fail(w->e, KR_INVALID, "the repository is refused: %s (\"%.*s\")", why, (int)n, text);
}

static int sys_failed(struct walk *w, const char *step)
{
    int sys = errno;
    return kr_fail_sys(w->e, sys == ENOSPC || sys == EDQUOT ? KR_NO_SPACE : KR_SYSTEM, sys, "%s \"%.100s\"", step, w->path.p);
}

/* ---- one entry --------------------------------------------------------------------------------------------------- */

/* Is it a blob, and of a size that may be? Sizes count together. */
static int weigh(struct walk *w, const git_tree_entry *t)
{
    git_object_t type;
    size_t size;
    if (git_odb_read_header(&size, &type, w->odb, git_tree_entry_id(t)) < 0)
        return git_failed(w->f, w->e, "the mirror is damaged");
    if (type != GIT_OBJECT_BLOB)
        return refuse(w, "what should be a file is none");
    if (size > LIMIT_GIT_FILE)
        return kr_fail(w->e, KR_TOO_LARGE, "the file \"%.100s\" is too large: %zu bytes of at most %d", w->path.p, size, LIMIT_GIT_FILE);
    if ((w->bytes += size) > (uint64_t)LIMIT_GIT_CHECKOUT)
        return kr_fail(w->e, KR_TOO_LARGE, "the files are too large: more than %llu bytes", (unsigned long long)LIMIT_GIT_CHECKOUT);
    return 0;
}

/* The content of a blob that was weighed, or NULL and the error. */
static git_odb_object *content(struct walk *w, const git_tree_entry *t)
{
    git_odb_object *o = NULL;
    if (git_odb_read(&o, w->odb, git_tree_entry_id(t)) < 0)
        git_failed(w->f, w->e, "the mirror is damaged");
    return o;
}

static int make_file(struct walk *w, int dir, const git_tree_entry *t)
{
    const char *name = git_tree_entry_name(t);
    git_odb_object *o = content(w, t);
    int rc = -1;
    if (!o)
        return -1;
    if (unlinkat(dir, name, 0) < 0 && errno != ENOENT) {
        rc = sys_failed(w, "replace");
    } else {
        AUTO_CLOSE int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                                   git_tree_entry_filemode(t) == GIT_FILEMODE_BLOB_EXECUTABLE ? 0755 : 0644);
        rc = fd < 0 ? sys_failed(w, "make") : fs_write_fd(fd, (struct str){ git_odb_object_data(o), git_odb_object_size(o) }, w->path.p, w->e);
    }
    git_odb_object_free(o);
    return rc;
}

static int note_link(struct walk *w, size_t depth, const git_tree_entry *t)
{
    git_odb_object *o = content(w, t);
    if (!o)
        return -1;
    struct str target = { git_odb_object_data(o), git_odb_object_size(o) };
    if (target.n >= 4096 || link_leaves(target, depth)) {
        git_odb_object_free(o);
        return refuse(w, "a link leads out of it");
    }
    struct late_link *l = xmalloc(sizeof *l);
    *l = (struct late_link){ w->links, xstrndup(w->path.p, w->path.n), xstrndup(target.p, target.n) };
    w->links = l;
    git_odb_object_free(o);
    return 0;
}

static int walk_tree(struct walk *w, const git_oid *oid, int dir, size_t depth);

static int make_folder(struct walk *w, int dir, const git_tree_entry *t, size_t depth)
{
    const char *name = git_tree_entry_name(t);
    if (w->judging)
        return walk_tree(w, git_tree_entry_id(t), dir, depth + 1);
    if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
        return sys_failed(w, "make");
    AUTO_CLOSE int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (sub < 0)
        return errno == ENOTDIR || errno == ELOOP ? refuse(w, "a folder and a file of one name") : sys_failed(w, "open");
    return walk_tree(w, git_tree_entry_id(t), sub, depth + 1);
}

static int make_entry(struct walk *w, int dir, const git_tree_entry *t, size_t depth)
{
    const char *why = name_refused(str_of(git_tree_entry_name(t)));
    if (why)
        return refuse(w, why);
    if (++w->files > LIMIT_GIT_FILES)
        return kr_fail(w->e, KR_TOO_LARGE, "the repository has too many files: more than %d", LIMIT_GIT_FILES);
    switch (git_tree_entry_filemode(t)) {
    case GIT_FILEMODE_TREE:
        return make_folder(w, dir, t, depth);
    case GIT_FILEMODE_BLOB:
    case GIT_FILEMODE_BLOB_EXECUTABLE:
        return w->judging ? weigh(w, t) : make_file(w, dir, t);
    case GIT_FILEMODE_LINK:
        return w->judging ? weigh(w, t) : note_link(w, depth, t);
    case GIT_FILEMODE_COMMIT:
        return 0;                        /* a submodule: nothing of it is fetched */
    default:
        return refuse(w, "an entry of an unknown kind");
    }
}

/* Git's order of entries; equal names can't be told apart by it. */
static bool goes_before(const git_tree_entry *a, const git_tree_entry *b)
{
    bool ta = git_tree_entry_filemode(a) == GIT_FILEMODE_TREE, tb = git_tree_entry_filemode(b) == GIT_FILEMODE_TREE;
    const char *p = git_tree_entry_name(a), *q = git_tree_entry_name(b);
    while (*p && *p == *q)
        p++, q++;
    unsigned char x = *p ? (unsigned char)*p : ta ? '/' : 0, y = *q ? (unsigned char)*q : tb ? '/' : 0;
    return x < y;
}

static int walk_tree(struct walk *w, const git_oid *oid, int dir, size_t depth)
{
    git_tree *tree = NULL;
    size_t before = w->path.n;
    int rc = 0;
    if (depth > LIMIT_GIT_DEPTH)
        return refuse(w, "folders in folders without end");
    if (clock_system.mono_us(&clock_system) > w->f->deadline_us)
        return kr_fail(w->e, KR_DEADLINE, "the fetch took longer than git.timeoutSeconds");
    if (git_tree_lookup(&tree, w->f->repo, oid) < 0)
        return git_failed(w->f, w->e, "the mirror is damaged");
    for (size_t i = 0, n = git_tree_entrycount(tree); rc == 0 && i < n; i++) {
        const git_tree_entry *t = git_tree_entry_byindex(tree, i);
        buf_fmt(&w->path, "%s%s", before ? "/" : "", git_tree_entry_name(t));
        if (w->path.failed)
            rc = kr_fail(w->e, KR_TOO_LARGE, "the repository has a path of more than %zu bytes", w->path.max);
        else if (i && !goes_before(git_tree_entry_byindex(tree, i - 1), t))
            rc = refuse(w, "a folder that is out of order or has a name twice");
        else
            rc = make_entry(w, dir, t, depth);
        if (rc == 0)
            w->path.p[w->path.n = before] = '\0';
    }
    git_tree_free(tree);
    return rc;
}

/* ---- links ------------------------------------------------------------------------------------------------------- */

static int open_beneath(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
    struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };
    return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}

static int make_link(struct walk *w, const struct late_link *l)
{
    const char *slash = strrchr(l->path, '/'), *name = slash ? slash + 1 : l->path;
    AUTO_FREE char *folder = slash ? xstrndup(l->path, (size_t)(slash - l->path)) : xstrndup(".", 1);
    AUTO_CLOSE int dir = open_beneath(w->f->into, folder, O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    buf_clear(&w->path);
    buf_lit(&w->path, l->path);
    if (dir < 0)
        return sys_failed(w, "open the folder of");
    if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
        return errno == EISDIR ? refuse(w, "a folder and a link of one name") : sys_failed(w, "replace");
    return symlinkat(l->target, dir, name) < 0 ? sys_failed(w, "make the link") : 0;
}

/* A dangling link or one that turns in a circle is a file like any other; the way out is what matters. */
static int judge_link(struct walk *w, const struct late_link *l)
{
    AUTO_CLOSE int fd = open_beneath(w->f->into, l->path, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
    if (fd >= 0 || errno != EXDEV)
        return 0;
    buf_clear(&w->path);
    buf_lit(&w->path, l->path);
    return refuse(w, "a link leads out of it");
}

static int make_links(struct walk *w)
{
    for (const struct late_link *l = w->links; l; l = l->next)
        if (make_link(w, l) < 0)
            return -1;
    for (const struct late_link *l = w->links; l; l = l->next)
        if (judge_link(w, l) < 0)
            return -1;
    return 0;
}

int checkout(const struct fetch *f, struct kr_err *e)
{
    struct walk w = { .f = f, .path.max = 4095, .judging = true, .e = e };
    git_commit *commit = NULL;
    int rc = -1;
    if (git_repository_odb(&w.odb, f->repo) < 0 || git_commit_lookup(&commit, f->repo, &f->commit) < 0)
        git_failed(f, e, "the mirror is damaged");
    else
        rc = walk_tree(&w, git_commit_tree_id(commit), f->into, 0);
    w.judging = false;
    w.files = 0;
    if (rc == 0)
        rc = walk_tree(&w, git_commit_tree_id(commit), f->into, 0) < 0 ? -1 : make_links(&w);
    for (struct late_link *l; (l = w.links);) {
        w.links = l->next;
        free(l->path);
        free(l->target);
        free(l);
    }
    git_commit_free(commit);
    git_odb_free(w.odb);
    buf_free(&w.path);
    return rc;
}
