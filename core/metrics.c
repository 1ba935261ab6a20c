/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: one array of numbers, a slice of it per row of metrics.def: words × (1, or the buckets of a histogram and its
 * sum). Process numbers come from /proc when somebody scrapes. Deliberately not here: labels that grow, threads, time.
 * Tests: tests/unit/core/metrics.c.
 */
#include "core/metrics.h"
#include "core/version.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <dirent.h>

const struct metric_def metric_defs[METRIC_COUNT] = {
#define METRIC(id, type, group, name, label, words, help) { METRIC_##type, METRICS_##group, name, label, words, help },
#include "core/metrics.def"
#undef METRIC
};
enum { MAX_WORDS = 8, BUCKETS = 14 };
/* Upper bounds in µs: from a fast local step to a slow start. */
static const int64_t bounds[BUCKETS] = { 500,    1000,   2500,   5000,    10000,   25000,    50000,
                                         100000, 250000, 500000, 1000000, 5000000, 30000000, 300000000 };
struct series { uint64_t n; int64_t value, sum; uint64_t bucket[BUCKETS]; };
static struct series *all[METRIC_COUNT];
static bool used[METRICS_GROUPS] = { [METRICS_CORE] = true };

static unsigned word_count(const struct metric_def *d)
{
    unsigned n = 1;
    if (!d->label)
        return 1;
    for (const char *p = d->words; *p; p++)
        n += *p == ',';
    return n;
}

static struct series *series(enum metric m, unsigned word)
{
    if (word >= word_count(&metric_defs[m]) || word >= MAX_WORDS)
        abort();
    if (!all[m])
        all[m] = xcalloc(MAX_WORDS, sizeof **all);
    return &all[m][word];
}

void metric_add(enum metric m, unsigned word, uint64_t n) { series(m, word)->n += n; }
void metric_set(enum metric m, unsigned word, int64_t value) { series(m, word)->value = value; }

void metric_observe_us(enum metric m, unsigned word, int64_t us)
{
    struct series *s = series(m, word);
    s->n++;
    s->sum += us;
    for (int i = 0; i < BUCKETS; i++)
        s->bucket[i] += us <= bounds[i];
}

unsigned metric_word(enum metric m, struct str word)
{
    struct str rest = str_of(metric_defs[m].words);
    unsigned i = 0, n = word_count(&metric_defs[m]);
    while (rest.n) {
        if (str_eq(str_cut(&rest, ','), word))
            return i;
        i++;
    }
    return n - 1;
}

int64_t metric_value(enum metric m, unsigned word)
{
    struct series *s = series(m, word);
    return metric_defs[m].type == METRIC_GAUGE ? s->value : (int64_t)s->n;
}

void metrics_use(enum metric_group g) { used[g] = true; }

/* ---- the page ---------------------------------------------------------------------------------------------------- */

static void print_one(struct buf *b, const struct metric_def *d, const struct series *s, struct str word)
{
    char label[96] = "";
    if (d->label)
        snprintf(label, sizeof label, "%s=\"%.*s\"", d->label, SFMT(word));
    if (d->type != METRIC_HISTOGRAM) {
        long long value = d->type == METRIC_GAUGE ? s->value : (int64_t)s->n;
        buf_fmt(b, d->label ? "%s{%s} %lld\n" : "%s%s %lld\n", d->name, label, value);
        return;
    }
    const char *comma = d->label ? "," : "";
    for (int i = 0; i < BUCKETS; i++)
        buf_fmt(b, "%s_bucket{%s%sle=\"%g\"} %llu\n", d->name, label, comma, (double)bounds[i] / 1e6, (unsigned long long)s->bucket[i]);
    buf_fmt(b, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", d->name, label, comma, (unsigned long long)s->n);
    buf_fmt(b, d->label ? "%s_sum{%s} %.6f\n" : "%s_sum%s %.6f\n", d->name, label, (double)s->sum / 1e6);
    buf_fmt(b, d->label ? "%s_count{%s} %llu\n" : "%s_count%s %llu\n", d->name, label, (unsigned long long)s->n);
}

static void print_metric(struct buf *b, enum metric m)
{
    static const char *const types[] = { "counter", "gauge", "histogram" };
    const struct metric_def *d = &metric_defs[m];
    buf_fmt(b, "# HELP %s %s\n# TYPE %s %s\n", d->name, d->help, d->name, types[d->type]);
    struct str rest = d->label ? str_of(d->words) : S("");
    for (unsigned i = 0; i < word_count(d); i++)
        print_one(b, d, series(m, i), str_cut(&rest, ','));
}

static size_t read_small(const char *path, char *to, size_t size)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ptrdiff_t n = fd < 0 ? -1 : read(fd, to, size - 1);
    to[n < 0 ? 0 : n] = '\0';
    return n < 0 ? 0 : (size_t)n;
}

/* Field `index` (from 1) of /proc/self/stat behind the command's name, which may hold anything. */
static int64_t stat_field(const char *text, int index)
{
    const char *p = strrchr(text, ')');
    int64_t v = 0;
    if (!p)
        return 0;
    struct str rest = str_of(p + 2), word = { 0 };
    for (int i = 3; i <= index; i++)
        word = str_cut(&rest, ' ');
    str_i64(word, &v);
    return v;
}

static void process_row(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_fmt(b, "# HELP %s %s\n# TYPE %s %s\n%s", name, help, name, type, name);
}

static void print_process(struct buf *b, int64_t wall_us)
{
    char text[1024], uptime[64];
    size_t fds = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        fds++;
    if (d)
        closedir(d);
    read_small("/proc/self/stat", text, sizeof text);
    read_small("/proc/uptime", uptime, sizeof uptime);
    double tick = (double)sysconf(_SC_CLK_TCK);
    process_row(b, "process_cpu_seconds_total", "counter", "CPU time used, of the user and of the system.");
    buf_fmt(b, " %.2f\n", (double)(stat_field(text, 14) + stat_field(text, 15)) / tick);
    process_row(b, "process_resident_memory_bytes", "gauge", "Memory that is resident now.");
    buf_fmt(b, " %lld\n", (long long)stat_field(text, 24) * sysconf(_SC_PAGESIZE));
    process_row(b, "process_virtual_memory_bytes", "gauge", "Size of the address space.");
    buf_fmt(b, " %lld\n", (long long)stat_field(text, 23));
    process_row(b, "process_start_time_seconds", "gauge", "When the process was started, since 1970 UTC.");
    buf_fmt(b, " %.2f\n", (double)wall_us / 1e6 - strtod(uptime, NULL) + (double)stat_field(text, 22) / tick);
    process_row(b, "process_open_fds", "gauge", "Descriptors that are open.");
    buf_fmt(b, " %zu\n", fds > 3 ? fds - 3 : 0);         /* ".", ".." and the one we look with don't count */
}

void metrics_print(struct buf *out, int64_t wall_us)
{
    for (int m = 0; m < METRIC_COUNT; m++)
        if (used[metric_defs[m].group])
            print_metric(out, (enum metric)m);
    process_row(out, "kruntimes_build_info", "gauge", "What this binary is; always 1.");
    buf_fmt(out, "{version=\"%s\"} 1\n", kr_version);
    print_process(out, wall_us);
    while (out->failed && out->n && out->p[out->n - 1] != '\n')
        out->p[--out->n] = '\0';                         /* half a line would be a wrong one */
}
