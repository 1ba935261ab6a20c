/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prepare: the workspace of an attempt, made anew each time: WORKSPACE/UID/{work,out,home,tmp}. Files of a source go below
 * work and nowhere else, whatever their paths say (core/fs.h). Control files lie in out, outside of the working directory.
 */
#include "applets/runtimed/runtimed.h"
#include "core/failpoint.h"
#include "core/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OUTPUTS_FILE_MAX = 1 << 20 };

static char *below(struct str uid, const char *sub, char out[UID_MAX + 32])
{
    snprintf(out, UID_MAX + 32, "%.*s%s%s", SFMT(uid), *sub ? "/" : "", sub);
    return out;
}

/* ---- spare workspaces -------------------------------------------------------------------------------------------------
 * Most Runs leave their folders empty. Those are kept under a name of their own and given to later Runs: making and removing
 * six folders a Run costs more than everything else runtimed does (ext4 looks through what was lately deleted for each). A
 * folder that nobody has changed since it was seen to be empty isn't read again: its ctime tells, which nobody can set. */

/* Their names, how many entries each begins with, and what of ours may lie in it. */
static const struct { const char *name; int entries; const char *ours; } folders[WORKSPACE_FOLDERS] = {
    { "work", 0, "work/script" }, { "out", 1, "out/outputs" }, { "out/artifacts", 0, NULL }, { "home", 0, NULL }, { "tmp", 0, NULL } };
enum { TOP_ENTRIES = 4, ARTIFACTS = 2 };

static char *spare_name(int i, char out[32])
{
    snprintf(out, 32, ".spare-%d", i);
    return out;
}

/* Entries of an open folder besides "." and "..", counted up to `most`; -1 when it can't be read. The system call itself:
 * opendir would cost three more a folder. */
static int count_entries(int fd, int most)
{
    _Alignas(struct dirent) char room[1024];
    int n = -2;
    for (long got; (got = syscall(SYS_getdents64, fd, room, sizeof room)) != 0;) {
        if (got < 0)
            return -1;
        for (long at = 0; at < got && n <= most; at += ((const struct dirent *)(room + at))->d_reclen)
            n++;
        if (n > most)
            break;
    }
    return n;
}

/* A volume with an fsGroup hands its group down to what is made in it. */
static bool is_as_made(const struct stat *st) { return S_ISDIR(st->st_mode) && (st->st_mode & (07777 & ~S_ISGID)) == 0700; }

/* A change in the very tick of the clock in which a folder was looked through would leave its ctime as it is; so the mark of
 * one changed in that tick, or on a file system that keeps coarse times, is not made: tv_nsec 0. */
static struct timespec mark_of(const struct stat *st, const struct timespec *now)
{
    struct timespec none = { 0 }, c = st->st_ctim;
    bool before = c.tv_sec < now->tv_sec || (c.tv_sec == now->tv_sec && c.tv_nsec < now->tv_nsec);
    return before && c.tv_nsec % 1000000 ? c : none;
}

/* Nobody has changed it since it was seen to be empty. */
static bool is_as_seen(const struct stat *st, const struct timespec *seen)
{
    return seen->tv_nsec && seen->tv_nsec == st->st_ctim.tv_nsec && seen->tv_sec == st->st_ctim.tv_sec;
}

/* One folder below `top`, emptied of what is ours. *seen: its mark, made anew where it has to be looked through. */
static bool folder_is_clean(int top, size_t i, struct timespec *seen)
{
    struct stat st;
    struct timespec now;
    if (fstatat(top, folders[i].name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !is_as_made(&st))
        return false;
    if (is_as_seen(&st, seen))
        return true;
    if (folders[i].ours)
        unlinkat(top, folders[i].ours, 0);
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    AUTO_CLOSE int fd = openat(top, folders[i].name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return false;
    *seen = mark_of(&st, &now);
    return count_entries(fd, folders[i].entries) == folders[i].entries;
}

static bool is_clean(int top, struct timespec seen[WORKSPACE_FOLDERS])
{
    struct stat st;
    if (fstat(top, &st) < 0 || !is_as_made(&st) || count_entries(top, TOP_ENTRIES) != TOP_ENTRIES)
        return false;
    for (size_t i = 0; i < WORKSPACE_FOLDERS; i++)
        if (!folder_is_clean(top, i, &seen[i]))
            return false;
    return true;
}

void remove_workspace(struct runtimed *d, struct str uid)
{
    char name[UID_MAX + 32], spare[32];
    const struct record *r = record_of_uid(d, uid);
    struct timespec seen[WORKSPACE_FOLDERS] = { 0 };
    AUTO_CLOSE int top = openat(d->workspace_fd, below(uid, "", name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top < 0 && errno == ENOENT)
        return;
    if (r && r->task)
        memcpy(seen, r->task->seen_empty, sizeof seen);
    if (top >= 0 && d->spares < WORKSPACE_SPARES && is_clean(top, seen) &&
        KR_FAILPOINTS_AROUND("runtimed.spare-workspace.rename", renameat(d->workspace_fd, below(uid, "", name), d->workspace_fd, spare_name(d->spares, spare))) == 0) {
        memcpy(d->spare_seen[d->spares++], seen, sizeof seen);
        return;
    }
    gone_put(d, d->workspace_fd, below(uid, "", name));
}

static int make_dirs(struct task *t, struct kr_err *e)
{
    struct runtimed *d = t->d;
    char name[UID_MAX + 32], spare[32];
    while (d->spares > 0)
        if (KR_FAILPOINTS_AROUND("runtimed.take-spare.rename", renameat(d->workspace_fd, spare_name(--d->spares, spare), d->workspace_fd, below(t->uid, "", name))) == 0) {
            memcpy(t->seen_empty, d->spare_seen[d->spares], sizeof t->seen_empty);
            return 0;
        }
    memset(t->seen_empty, 0, sizeof t->seen_empty);
    for (size_t i = 0; i <= WORKSPACE_FOLDERS; i++)
        if (mkdirat(d->workspace_fd, below(t->uid, i ? folders[i - 1].name : "", name), 0700) < 0)
            return kr_fail_sys(e, KR_SYSTEM, errno, "make the folder \"%s\" of the workspace", name);
    return 0;
}

void remove_spares(struct runtimed *d)
{
    char spare[32];
    for (int i = 0; i < WORKSPACE_SPARES; i++)
        gone_put(d, d->workspace_fd, spare_name(i, spare));
}

static int write_source(struct task *t, int work, struct kr_err *e)
{
    const struct run_spec *spec = &t->run->spec;
    const struct run_source *s = &spec->source;
    struct str entry = spec->entrypoint.n ? spec->entrypoint : S("script");
    if (!spec->has_source)
        return 0;
    if (s->repo_url.n)
        return source_begin(t, work, e) < 0 ? -1 : 1;
    bool shared = t->rec->shared != NULL;         /* an earlier Run may have left a file of that name: it is replaced */
    if (s->inline_.p && shared)
        fs_unlink_at(work, entry);
    for (size_t i = 0; shared && i < s->files.n; i++)
        fs_unlink_at(work, s->files.v[i].path);
    if (s->inline_.p && fs_write_at(work, entry, s->inline_, 0755, e) < 0)
        return kr_wrap(e, "source.inline");
    for (size_t i = 0; i < s->files.n; i++)
        if (fs_write_at(work, s->files.v[i].path, s->files.v[i].content, 0755, e) < 0)
            return kr_wrap(e, "source.files[%zu]", i);
    return 0;
}

int prepare_workspace(struct task *t, struct kr_err *e)
{
    remove_workspace(t->d, t->uid);
    if (make_dirs(t, e) < 0)
        return -1;
    if (!t->run->spec.has_source && !t->rec->shared)
        return 0;
    AUTO_CLOSE int work = work_open(t, e);
    if (work < 0)
        return -1;
    return write_source(t, work, e);
}

int read_outputs(struct task *t, struct kr_err *e)
{
    char name[UID_MAX + 32];
    struct stat st;
    /* The Run may have put a link to another one's folder in the place of "out", which it can't read itself. */
    AUTO_CLOSE int out = openat(t->d->workspace_fd, below(t->uid, "out", name), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    AUTO_CLOSE int fd = out < 0 ? -1 : openat(out, "outputs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    t->outputs.n = 0;
    if (fd < 0)
        return errno == ENOENT ? 0 : kr_fail_sys(e, KR_INVALID, errno, "$KRUNTIME_OUTPUTS can't be read");
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return kr_fail(e, KR_INVALID, "$KRUNTIME_OUTPUTS is no file any more");
    t->outputs_text = (struct buf){ .max = OUTPUTS_FILE_MAX };
    if (fs_read_fd(fd, "$KRUNTIME_OUTPUTS", &t->outputs_text, e) < 0)
        return -1;
    return outputs_parse(&t->outputs, buf_view(&t->outputs_text), e);
}

bool has_artifacts(const struct task *t)
{
    char name[UID_MAX + 32];
    struct stat st;
    below(t->uid, folders[ARTIFACTS].name, name);
    if (fstatat(t->d->workspace_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) && is_as_seen(&st, &t->seen_empty[ARTIFACTS]))
        return false;
    AUTO_CLOSE int fd = openat(t->d->workspace_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno != ENOENT;                   /* something else stands there: told when it is to be collected */
    return count_entries(fd, 0) > 0;
}
