/* SPDX-License-Identifier: Apache-2.0 */
/* processes: CPU time and memory of an instance's processes, from /proc. */
#include "tests/bench/bench.h"
#include "core/fs.h"
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

static bool read_proc(const char *pid, const char *file, struct buf *b)
{
    char path[300];
    struct kr_err ignored = { 0 };
    snprintf(path, sizeof path, "/proc/%.20s/%s", pid, file);
    buf_clear(b);
    return fs_read(path, b, &ignored) == 0;
}

/* Calls fn for the processes of this instance that are this applet; a runtime-server's shims, its forks, count as it. */
static void each(struct bench *b, const char *applet, void (*fn)(const char *pid, void *), void *ctx)
{
    DIR *d = opendir("/proc");
    AUTO_BUF struct buf line = { .max = 65536 };
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] < '1' || e->d_name[0] > '9' || !read_proc(e->d_name, "cmdline", &line) || !line.n)
            continue;
        struct str rest = buf_view(&line);
        str_cut(&rest, '\0');
        if (!str_is(str_cut(&rest, '\0'), applet) || str_find(rest, str_of(b->state)) < 0)
            continue;
        fn(e->d_name, ctx);
    }
    if (d)
        closedir(d);
}

struct sum { double seconds; size_t count, rss; };

static int64_t field(struct str stat, int index)
{
    int64_t v = 0;
    size_t end = stat.n;
    while (end && stat.p[end - 1] != ')')
        end--;
    struct str rest = str_from(stat, end + 1), word = { 0 };
    for (int i = 3; i <= index; i++)
        word = str_cut(&rest, ' ');
    str_i64(word, &v);
    return v;
}

static void add(const char *pid, void *ctx)
{
    struct sum *s = ctx;
    AUTO_BUF struct buf b = { .max = 4096 };
    if (!read_proc(pid, "stat", &b))
        return;
    struct str stat = buf_view(&b);
    s->seconds += (double)(field(stat, 14) + field(stat, 15)) / (double)sysconf(_SC_CLK_TCK);
    s->count++;
    size_t rss = (size_t)field(stat, 24) * (size_t)sysconf(_SC_PAGESIZE);
    s->rss = rss > s->rss ? rss : s->rss;
}

void bench_cpu(struct bench *b, const char *applet, double *seconds, size_t *count)
{
    struct sum s = { 0 };
    each(b, applet, add, &s);
    *seconds = s.seconds;
    *count = s.count;
}

size_t bench_rss(struct bench *b, const char *applet, size_t *count)
{
    struct sum s = { 0 };
    each(b, applet, add, &s);
    *count = s.count;
    return s.rss;
}

size_t bench_resident(const char *pid)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    return read_proc(pid, "stat", &b) ? (size_t)field(buf_view(&b), 24) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

int bench_memory(struct bench *b)
{
    static const char *const parts[] = { "apiserver", "controller", "scheduler", "node", "runtimed", "runtime-server", "local-supervisor" };
    printf("memory (RSS of the largest):");
    for (size_t i = 0; i < LEN(parts); i++) {
        size_t n;
        printf(" %s %.1f MB", parts[i], (double)bench_rss(b, parts[i], &n) / 1e6);
    }
    printf("\n");
    return 0;
}
