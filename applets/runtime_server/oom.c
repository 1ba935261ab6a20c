/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oom: the file is looked for once, and stays open: where /proc/self/cgroup says, and at the top of the mount, which is our own cgroup in a
 * container (there the path may be one of the node's). Read at the start of each execution and again at an end by SIGKILL, it
 * tells whether that kill can have been the kernel's. Tests: tests/unit/applets/runtime_server.c, tests/fault/hostile_runs.py
 */
#include "applets/runtime_server/oom.h"
#include "core/fs.h"
#include <fcntl.h>
#include <unistd.h>

int64_t oom_count(struct str text)
{
    for (struct str line; (line = str_cut(&text, '\n')).n;) {
        struct str word = str_cut(&line, ' ');
        int64_t n;
        if (str_is(word, "oom_kill"))
            return str_i64(line, &n) && n >= 0 ? n : -1;
    }
    return -1;
}

struct str oom_file(struct str cgroups, bool v2, struct arena *a)
{
    for (struct str line; (line = str_cut(&cgroups, '\n')).n;) {
        struct str id = str_cut(&line, ':'), controllers = str_cut(&line, ':');
        if (v2 && str_is(id, "0") && !controllers.n)
            return arena_fmt(a, "/sys/fs/cgroup%.*s/memory.events", SFMT(line));
        if (!v2 && str_is(controllers, "memory"))
            return arena_fmt(a, "/sys/fs/cgroup/memory%.*s/memory.oom_control", SFMT(line));
    }
    return (struct str){ 0 };
}

static int64_t count_in(int fd)
{
    char text[2048];
    ptrdiff_t n = fd < 0 ? 0 : pread(fd, text, sizeof text, 0);
    return n > 0 ? oom_count((struct str){ text, (size_t)n }) : -1;
}

static int find(void)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    AUTO_BUF struct buf cgroups = { .max = 16384 };
    struct kr_err ignored = { 0 };
    fs_read("/proc/self/cgroup", &cgroups, &ignored);
    struct str places[] = { oom_file(buf_view(&cgroups), true, &a), oom_file(buf_view(&cgroups), false, &a), S("/sys/fs/cgroup/memory.events"),
                            S("/sys/fs/cgroup/memory/memory.oom_control") };
    for (size_t i = 0; i < LEN(places); i++) {
        int fd = places[i].p ? open(places[i].p, O_RDONLY | O_CLOEXEC) : -1;
        if (count_in(fd) >= 0)
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return -1;
}

int64_t oom_kills(void)
{
    static int file = -2;                         /* not looked for yet; then open for good: a read is a tenth of what opening takes */
    if (file == -2)
        file = find();
    int64_t n = count_in(file);
    return n > 0 ? n : 0;
}
