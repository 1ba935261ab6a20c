/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal: one small file per active Run, STATE/journal/UID: "ATTEMPT WHAT BEGUN_US". It tells a restarted runtimed whether
 * an execution may be there. It needs to survive the process, not the machine: no fsync.
 */
#include "applets/runtimed/runtimed.h"
#include "core/fs.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char *path_of(const struct runtimed *d, struct str uid, char out[4096])
{
    snprintf(out, 4096, "%s/journal/%.*s", d->state, SFMT(uid));
    return out;
}

void journal_write(const struct task *t, const char *what)
{
    char path[4096], text[96];
    struct kr_err ignored = { 0 };      /* without a journal a restart executes again, as at-least-once allows */
    int n = snprintf(text, sizeof text, "%lld %s %lld\n", (long long)t->attempt, what, (long long)t->begun_wall_us);
    AUTO_CLOSE int fd = open(path_of(t->d, t->uid, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)                        /* one small write: a reader after a kill finds all of it or nothing */
        fs_write_fd(fd, (struct str){ text, (size_t)n }, path, &ignored);
}

void journal_remove(const struct runtimed *d, struct str uid)
{
    char path[4096];
    unlink(path_of(d, uid, path));
}

bool journal_read(const struct runtimed *d, struct str uid, int64_t attempt, bool *backoff, int64_t *begun_wall_us)
{
    char path[4096];
    struct kr_err ignored = { 0 };
    AUTO_BUF struct buf b = { .max = 256 };
    int64_t n;
    if (fs_read(path_of(d, uid, path), &b, &ignored) < 0)
        return false;
    struct str rest = str_trim(buf_view(&b)), first = str_cut(&rest, ' '), what = str_cut(&rest, ' ');
    if (!str_i64(first, &n) || n != attempt || !str_i64(rest, begun_wall_us))
        return false;
    *backoff = str_is(what, "backoff");
    return true;
}

static void sweep(struct runtimed *d, const char *dir, void (*drop)(struct runtimed *, struct str uid))
{
    DIR *list = opendir(dir);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        struct str uid = str_of(entry->d_name);
        if (entry->d_name[0] != '.' && !record_of_uid(d, uid))
            drop(d, uid);
    }
    if (list)
        closedir(list);
}

static void drop_workspace(struct runtimed *d, struct str uid) { remove_workspace(d, uid); }
static void drop_logs(struct runtimed *d, struct str uid) { logs_remove(d->state, uid); }
static void drop_journal(struct runtimed *d, struct str uid) { journal_remove(d, uid); }

void sweep_leftovers(struct runtimed *d)
{
    char path[4096];
    sweep(d, d->workspace, drop_workspace);
    snprintf(path, sizeof path, "%s/logs", d->state);
    sweep(d, path, drop_logs);
    snprintf(path, sizeof path, "%s/journal", d->state);
    sweep(d, path, drop_journal);
}
