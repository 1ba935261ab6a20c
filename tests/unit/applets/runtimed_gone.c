/* SPDX-License-Identifier: Apache-2.0 */
/* The process that removes is this binary here, which knows no such word and ends: what it does is shown by tests/fault/hostile_runs.py. */
#include "applets/runtimed/runtimed.h"
#include "core/fs.h"
#include "tests/kit/test.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int count(int dir, const char *of)
{
    int n = 0;
    DIR *d = fdopendir(openat(dir, of, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!CHECK(d)) return -1;
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.' || !strncmp(e->d_name, ".gone-", 6);
    closedir(d);
    return n;
}

static void make(int dir, const char *name, int files)
{
    struct kr_err e = { 0 };
    char path[64];
    for (int i = 0; i < files; i++) {
        snprintf(path, sizeof path, "%s/f%d", name, i);
        CHECK_OR(fs_write_at(dir, str_of(path), S("x"), 0600, &e) == 0);
    }
}

static bool is_removed(void *ctx) { return gone_is_removed(ctx); }

TEST(a_small_workspace_goes_at_once_and_a_large_one_makes_room)
{
    struct runtimed d = { .loop = loop_new(&clock_system), .workspace_fd = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
    gone_put(&d, d.workspace_fd, "absent");
    gone_sweep(&d);
    CHECK(gone_is_removed(&d));                            /* no process for nothing */
    make(d.workspace_fd, "small", 20);
    gone_put(&d, d.workspace_fd, "small");
    CHECK_INT(count(d.workspace_fd, "."), 0);
    CHECK(gone_is_removed(&d));

    make(d.workspace_fd, ".gone-0-large", 1);              /* of a process before */
    make(d.workspace_fd, "large", 1000);
    gone_put(&d, d.workspace_fd, "large");
    CHECK(faccessat(d.workspace_fd, "large", F_OK, 0) < 0);
    CHECK_INT(count(d.workspace_fd, "."), 2);
    CHECK(count(d.workspace_fd, ".gone-1-large") > 900);   /* the loop has not done it */
    CHECK(!gone_is_removed(&d));

    make(d.workspace_fd, "large", 100);                    /* the next attempt; one process at a time, and another one for what came meanwhile */
    struct helper *one = d.gone.helper;
    gone_put(&d, d.workspace_fd, "large");
    CHECK(d.gone.helper == one && d.gone.more);
    CHECK_INT(loop_run_until(d.loop, is_removed, &d, loop_now_us(d.loop) + 30000000), 0);
    CHECK(!d.gone.more);
    gone_sweep(&d);
    CHECK(!gone_is_removed(&d));
    CHECK_INT(loop_run_until(d.loop, is_removed, &d, loop_now_us(d.loop) + 30000000), 0);
    close(d.workspace_fd);
    loop_free(d.loop);
}
