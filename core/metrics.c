/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: one array of numbers, a slice of it per row of metrics.def: Runtimes (where it is kept by them) × words × (1, or
 * the buckets of a histogram and its sum). Process numbers come from /proc when somebody scrapes. Deliberately not here: labels that grow, threads, time.
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
#define METRIC(id, type, group, name, label, words, help) { METRIC_##type, METRICS_##group, name, label, words, help, false },
#define METRIC_BY_RUNTIME(id, type, group, name, label, words, help) { METRIC_##type, METRICS_##group, name, label, words, help, true },
#include "core/metrics.def"
#undef METRIC_BY_RUNTIME
#undef METRIC
};
const char *const metrics_content_types[] = { "text/plain; version=0.0.4; charset=utf-8", "application/openmetrics-text; version=1.0.0; charset=utf-8" };
enum { MAX_WORDS = 8, BUCKETS = 17, PLACES = LIMIT_METRIC_RUNTIMES + 1 };
/* Upper bounds in µs: from a fast local step to an hour's Run. */
static const int64_t bounds[BUCKETS] = { 500,    1000,   2500,    5000,    10000,   25000,    50000,    100000,    250000,
                                         500000, 1000000, 2500000, 5000000, 10000000, 30000000, 300000000, 3600000000 };
struct series { uint64_t n; int64_t value, sum; uint64_t bucket[BUCKETS]; };
static struct series *all[METRIC_COUNT][PLACES];
static struct { const char *ns, *name; } runtimes[PLACES] = { { "", "other" } };      /* by place */
static unsigned nruntimes = 1;
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

static struct series *series_of(enum metric m, unsigned runtime, unsigned word)
{
    if (word >= word_count(&metric_defs[m]) || word >= MAX_WORDS || runtime >= nruntimes)
        abort();
    if (!all[m][runtime])
        all[m][runtime] = xcalloc(MAX_WORDS, sizeof ***all);
    return &all[m][runtime][word];
}

static struct series *series(enum metric m, unsigned word) { return series_of(m, 0, word); }

unsigned metric_runtime(struct str ns, struct str name)
{
    for (unsigned i = 1; i < nruntimes; i++)
        if (str_is(name, runtimes[i].name) && str_is(ns, runtimes[i].ns))
            return i;
    if (nruntimes == PLACES)
        return 0;
    runtimes[nruntimes].ns = xstrndup(ns.p, ns.n);
    runtimes[nruntimes].name = xstrndup(name.p, name.n);
    return nruntimes++;
}

void metric_add(enum metric m, unsigned word, uint64_t n) { series(m, word)->n += n; }
void metric_set(enum metric m, unsigned word, int64_t value) { series(m, word)->value = value; }

void metric_observe_us(enum metric m, unsigned word, int64_t us) { metric_observe_of_us(m, 0, word, us); }

void metric_observe_of_us(enum metric m, unsigned runtime, unsigned word, int64_t us)
{
    struct series *s = series_of(m, runtime, word);
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
    int64_t n = 0;
    for (unsigned i = 0; i < nruntimes; i++)
        n += all[m][i] ? (int64_t)series_of(m, i, word)->n : 0;
    return metric_defs[m].type == METRIC_GAUGE ? series(m, word)->value : n;
}

void metrics_use(enum metric_group g) { used[g] = true; }

/* ---- the page ---------------------------------------------------------------------------------------------------- */

static void put_label(struct buf *b, const char *name, struct str value)
{
    buf_fmt(b, "%s%s=\"", b->n ? "," : "", name);
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '"' || value.p[i] == '\\')
            buf_byte(b, '\\');
        if ((unsigned char)value.p[i] >= ' ')              /* names have none: nothing is lost */
            buf_byte(b, value.p[i]);
    }
    buf_byte(b, '"');
}

/* A bound as a label; OpenMetrics wants whole ones with a dot. */
static void put_bound(struct buf *b, enum metrics_format format, double seconds)
{
    char text[32];
    snprintf(text, sizeof text, "%g", seconds);
    buf_fmt(b, format == METRICS_OPEN && !strchr(text, '.') ? "le=\"%s.0\"} " : "le=\"%s\"} ", text);
}

static void print_one(struct buf *b, enum metrics_format format, const struct metric_def *d, const struct series *s, struct str labels)
{
    const char *open = labels.n ? "{" : "", *close = labels.n ? "}" : "", *comma = labels.n ? "," : "";
    if (d->type != METRIC_HISTOGRAM) {
        long long value = d->type == METRIC_GAUGE ? s->value : (int64_t)s->n;
        buf_fmt(b, "%s%s%.*s%s %lld\n", d->name, open, SFMT(labels), close, value);
        return;
    }
    for (int i = 0; i < BUCKETS; i++) {
        buf_fmt(b, "%s_bucket{%.*s%s", d->name, SFMT(labels), comma);
        put_bound(b, format, (double)bounds[i] / 1e6);
        buf_fmt(b, "%llu\n", (unsigned long long)s->bucket[i]);
    }
    buf_fmt(b, "%s_bucket{%.*s%sle=\"+Inf\"} %llu\n", d->name, SFMT(labels), comma, (unsigned long long)s->n);
    buf_fmt(b, "%s_sum%s%.*s%s %.6f\n", d->name, open, SFMT(labels), close, (double)s->sum / 1e6);
    buf_fmt(b, "%s_count%s%.*s%s %llu\n", d->name, open, SFMT(labels), close, (unsigned long long)s->n);
}

/* The lines that announce a family: OpenMetrics names it without the _total of its samples. */
static void announce(struct buf *b, enum metrics_format format, const char *name, const char *type, const char *help)
{
    struct str family = str_of(name);
    if (format == METRICS_OPEN && str_ends(family, S("_total")))
        family.n -= S("_total").n;
    buf_fmt(b, "# HELP %.*s %s\n# TYPE %.*s %s\n", SFMT(family), help, SFMT(family), type);
}

static void print_metric(struct buf *b, enum metrics_format format, enum metric m)
{
    static const char *const types[] = { "counter", "gauge", "histogram" };
    const struct metric_def *d = &metric_defs[m];
    announce(b, format, d->name, types[d->type], d->help);
    for (unsigned place = 0; place < (d->by_runtime ? nruntimes : 1); place++) {
        struct str rest = d->label ? str_of(d->words) : S("");
        if (d->by_runtime && !place && !all[m][0])
            continue;                                    /* there are not so many Runtimes */
        for (unsigned i = 0; i < word_count(d); i++) {
            struct str word = str_cut(&rest, ',');
            AUTO_BUF struct buf labels = { .max = 1024 };
            if (d->by_runtime) {
                put_label(&labels, "runtime_namespace", str_of(runtimes[place].ns));
                put_label(&labels, "runtime", str_of(runtimes[place].name));
            }
            if (d->label)
                put_label(&labels, d->label, word);
            print_one(b, format, d, series_of(m, place, i), buf_view(&labels));
        }
    }
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

static void print_process(struct buf *b, enum metrics_format f, int64_t wall_us)
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
    announce(b, f, "process_cpu_seconds_total", "counter", "CPU time used, of the user and of the system.");
    buf_fmt(b, "process_cpu_seconds_total %.2f\n", (double)(stat_field(text, 14) + stat_field(text, 15)) / tick);
    announce(b, f, "process_resident_memory_bytes", "gauge", "Memory that is resident now.");
    buf_fmt(b, "process_resident_memory_bytes %lld\n", (long long)stat_field(text, 24) * sysconf(_SC_PAGESIZE));
    announce(b, f, "process_virtual_memory_bytes", "gauge", "Size of the address space.");
    buf_fmt(b, "process_virtual_memory_bytes %lld\n", (long long)stat_field(text, 23));
    announce(b, f, "process_start_time_seconds", "gauge", "When the process was started, since 1970 UTC.");
    buf_fmt(b, "process_start_time_seconds %.2f\n", (double)wall_us / 1e6 - strtod(uptime, NULL) + (double)stat_field(text, 22) / tick);
    announce(b, f, "process_open_fds", "gauge", "Descriptors that are open.");
    buf_fmt(b, "process_open_fds %zu\n", fds > 3 ? fds - 3 : 0);         /* ".", ".." and the one we look with don't count */
}

enum metrics_format metrics_accepted(struct str accept)
{
    while (accept.n) {
        struct str one = str_cut(&accept, ','), type = str_trim(str_cut(&one, ';'));
        if (str_caseeq(type, S("application/openmetrics-text")))
            return METRICS_OPEN;                          /* whoever names it knows it, and prefers it */
    }
    return METRICS_TEXT;
}

void metrics_print(struct buf *out, enum metrics_format format, int64_t wall_us)
{
    for (int m = 0; m < METRIC_COUNT; m++)
        if (used[metric_defs[m].group])
            print_metric(out, format, (enum metric)m);
    announce(out, format, "kruntimes_build_info", "gauge", "What this binary is; always 1.");
    buf_fmt(out, "kruntimes_build_info{version=\"%s\"} 1\n", kr_version);
    print_process(out, format, wall_us);
    if (format == METRICS_OPEN)
        buf_lit(out, "# EOF\n");                         /* a page that was cut has none, and a scraper sees that */
    while (out->failed && out->n && out->p[out->n - 1] != '\n')
        out->p[--out->n] = '\0';                         /* half a line would be a wrong one */
}
