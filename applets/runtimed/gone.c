/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gone: both ends, runtimed's and the process that removes (`kruntimes remove-gone`, which is given the directory workspace).
 * Tests: tests/unit/applets/runtimed_gone.c, tests/fault/hostile_runs.py.
 */
#include "applets/runtimed/runtimed.h"
#include "core/applet.h"
#include "core/failpoint.h"
#include "core/fs.h"
#include "core/helper.h"
#include "core/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define GONE ".gone-"
enum { AT_ONCE = 64, WORKSPACE_FD = 3 };
#define REMOVE_US INT64_C(600000000)              /* what is left then is for another process */

/* ---- both ends --------------------------------------------------------------------------------------------------- */

static DIR *list_of(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !list)
        close(fd);
    return list;
}

/* The next name of what is gone; NULL: no more. */
static const char *next_gone(DIR *list)
{
    for (struct dirent *entry; (entry = readdir(list));)
        if (str_starts(str_of(entry->d_name), S(GONE)))
            return entry->d_name;
    return NULL;
}

static bool has_gone(int dir)
{
    DIR *list = list_of(dir);
    bool yes = list && next_gone(list);
    if (list)
        closedir(list);
    return yes;
}

/* ---- runtimed's end ---------------------------------------------------------------------------------------------- */

static void begin(struct runtimed *d);

static void removed(void *ctx, const struct helper_end *end)
{
    struct runtimed *d = ctx;
    d->gone.helper = NULL;
    if (end->status && !end->late)
        log_warn(&log_std, "not all of the workspaces that are over can be removed", LOG_STR("error", str_trim(end->err)));
    if (d->gone.more || end->late)
        begin(d);
    drain_check(d);
}

static void begin(struct runtimed *d)
{
    static const char *const argv[] = { "kruntimes", "remove-gone", NULL };
    struct proc_fd fds[] = { { d->workspace_fd, WORKSPACE_FD } };
    struct helper_spec s = { .argv = argv, .fds = fds, .nfds = LEN(fds), .max_out = 1, .timeout_us = REMOVE_US };
    struct kr_err e = { 0 };
    d->gone.more = d->gone.helper != NULL;
    if (d->gone.helper)
        return;
    d->gone.helper = KR_FAILPOINTS_AROUND("runtimed.remove-gone.fork", helper_start(d->loop, &s, (struct helper_user){ .ended = removed, .ctx = d }, &e));
    if (!d->gone.helper)
        log_warn(&log_std, "no helper can be started", LOG_ERR(&e));
}

void gone_put(struct runtimed *d, int dir, const char *name)
{
    char to[128];
    int rc;
    struct kr_err e = { 0 };
    if (fs_remove_some_at(dir, name, AT_ONCE, &e) == 0)
        return;
    do {
        snprintf(to, sizeof to, GONE "%u-%.64s", d->gone.n++, name);
        rc = KR_FAILPOINTS_AROUND("runtimed.gone.rename", renameat(dir, name, dir, to));
    } while (rc < 0 && (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR));      /* of a process before us */
    if (rc == 0)
        begin(d);
    else
        log_warn(&log_std, "a workspace that is over can't be moved away", LOG_Z("name", name), LOG_Z("error", strerror(errno)));
}

void gone_sweep(struct runtimed *d)
{
    AUTO_CLOSE int shared = shared_open(d->workspace_fd);
    if (has_gone(d->workspace_fd) || (shared >= 0 && has_gone(shared)))
        begin(d);
}

bool gone_is_removed(const struct runtimed *d) { return !d->gone.helper; }

void gone_stop(struct runtimed *d) { helper_stop(TAKE(d->gone.helper)); }

/* ---- the process ------------------------------------------------------------------------------------------------- */

/* All that can go goes; *e is the first failure. */
static void remove_in(int dir, struct kr_err *e)
{
    DIR *list = list_of(dir);
    if (!list) {
        kr_fail_sys(e, KR_SYSTEM, errno, "read the directory of workspaces");
        return;
    }
    for (const char *name; (name = next_gone(list));) {
        struct kr_err why = { 0 };
        if (fs_remove_tree_at(dir, name, &why) < 0 && !e->code) {
            *e = why;
            kr_wrap(e, "%s", name);
        }
    }
    closedir(list);
}

static int run(struct applet_call *call, struct kr_err *e)
{
    (void)call;
    AUTO_CLOSE int shared = shared_open(WORKSPACE_FD);
    remove_in(WORKSPACE_FD, e);
    if (shared >= 0)
        remove_in(shared, e);
    return e->code ? -1 : 0;
}

const struct applet applet_remove_gone = {
    .name = "remove-gone", .group = APPLET_COMPONENT, .hidden = true, .brief = "removes workspaces that are over; started by runtimed", .main = run,
};
