/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared: workspaces that several Runs share: WORKSPACE/.shared/NAME. One lives as long as a Run object of this pod names it,
 * terminal ones included: a Workflow's children are there as long as the Workflow is. Only the working directory is shared;
 * outputs, HOME and TMPDIR are each Run's own. Tests: tests/local/workspaces.py
 */
#include "applets/runtimed/runtimed.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER ".shared"
/* A controller that was just killed, or handed over, makes its next step within this time. */
enum { OWNER_IDLE_US = 20000000 };
struct shared { char *name; size_t records; bool owned; int64_t ended_us; };

static bool has_controller(const struct run *r)
{
    for (size_t i = 0; i < r->metadata.owner_references.n; i++)
        if (r->metadata.owner_references.v[i].controller)
            return true;
    return false;
}

void shared_join(struct runtimed *d, struct record *rec, const struct run *run)
{
    struct str name = run->spec.has_workspace ? run->spec.workspace.name : S("");
    if (!name.n)
        return;
    struct shared *s = map_get(&d->shared, name);
    if (!s) {
        s = xcalloc(1, sizeof *s);
        *s = (struct shared){ .name = xstrndup(name.p, name.n), .owned = has_controller(run), .ended_us = loop_now_us(d->loop) };
        map_put(&d->shared, str_of(s->name), s);
    }
    s->records++;
    rec->shared = s;
}

static void path_of(const struct runtimed *d, const char *name, char out[4096]) { snprintf(out, 4096, "%s/" FOLDER "/%s", d->workspace, name); }

int shared_open(int workspace) { return openat(workspace, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); }

static void remove_folder(struct runtimed *d, const char *name)
{
    AUTO_CLOSE int dir = shared_open(d->workspace_fd);
    if (dir >= 0)
        gone_put(d, dir, name);
}

static void forget(struct shared *s)
{
    free(s->name);
    free(s);
}

void shared_leave(struct runtimed *d, struct record *rec)
{
    struct shared *s = rec->shared;
    rec->shared = NULL;
    if (!s || --s->records)
        return;
    map_del(&d->shared, str_of(s->name));
    remove_folder(d, s->name);
    forget(s);
}

void shared_ended(struct runtimed *d, struct record *rec)
{
    if (rec->shared)
        rec->shared->ended_us = loop_now_us(d->loop);
}

int64_t shared_busy_until(const struct runtimed *d)
{
    int64_t until = 0;
    const struct shared *s;
    for (size_t i = 0; (s = map_next(&d->shared, &i));)
        if (s->owned && s->ended_us + OWNER_IDLE_US > until)
            until = s->ended_us + OWNER_IDLE_US;
    return until;
}

struct str work_path(const struct task *t, struct arena *a)
{
    char path[4096];
    if (!t->rec->shared)
        return arena_fmt(a, "%s/%.*s/work", t->d->workspace, SFMT(t->uid));
    path_of(t->d, t->rec->shared->name, path);
    return arena_str(a, str_of(path));
}

int work_open(const struct task *t, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 16384 };
    struct str path = work_path(t, &a);
    if (t->rec->shared) {
        mkdirat(t->d->workspace_fd, FOLDER, 0700);
        if (mkdir(path.p, 0700) < 0 && errno != EEXIST)
            return kr_fail_sys(e, KR_SYSTEM, errno, "make the shared workspace \"%s\"", path.p);
    }
    int fd = open(path.p, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 ? fd : kr_fail_sys(e, KR_SYSTEM, errno, "open \"%s\"", path.p);
}

void shared_sweep(struct runtimed *d)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/" FOLDER, d->workspace);
    DIR *list = opendir(path);
    for (struct dirent *entry; list && (entry = readdir(list));)
        if (entry->d_name[0] != '.' && !map_get(&d->shared, str_of(entry->d_name)))
            remove_folder(d, entry->d_name);
    if (list)
        closedir(list);
}

void shared_stop(struct runtimed *d)
{
    struct shared *s;
    for (size_t i = 0; (s = map_next(&d->shared, &i));)
        forget(s);
    map_free(&d->shared);
}
