/* SPDX-License-Identifier: Apache-2.0 */
/* metrics: the numbers, their page as Prometheus reads it, and the table's own rules. */
#include "core/metrics.h"
#include "tests/kit/test.h"
#include <ctype.h>
#include <stdio.h>

static bool has(const struct buf *b, const char *line) { return str_find(buf_view(b), str_of(line)) >= 0; }

TEST(numbers_are_kept) {
    metric_add(METRIC_SCHED_DECISIONS, 1, 2);
    metric_add(METRIC_SCHED_DECISIONS, 1, 3);
    metric_set(METRIC_SCHED_WAITING, 0, 7);
    metric_set(METRIC_SCHED_WAITING, 0, -2);
    metric_observe_us(METRIC_SCHED_WRITE_SECONDS, 0, 2500);
    CHECK_INT(metric_value(METRIC_SCHED_DECISIONS, 1), 5);
    CHECK_INT(metric_value(METRIC_SCHED_DECISIONS, 0), 0);
    CHECK_INT(metric_value(METRIC_SCHED_WAITING, 0), -2);
    CHECK_INT(metric_value(METRIC_SCHED_WRITE_SECONDS, 0), 1);
}

TEST(words_have_places) {
    CHECK_INT(metric_word(METRIC_API_REQUESTS, S("GET")), 0);
    CHECK_INT(metric_word(METRIC_API_REQUESTS, S("WATCH")), 5);
    CHECK_INT(metric_word(METRIC_API_REQUESTS, S("BREW")), 6);       /* the last one: other */
    CHECK_INT(metric_word(METRIC_API_REQUESTS, S("")), 6);
    CHECK_INT(metric_word(METRIC_API_REQUESTS, S("GE")), 6);
}

TEST(the_page) {
    AUTO_BUF struct buf b = { .max = LIMIT_METRICS_PAGE };
    metric_add(METRIC_SCHED_DECISIONS, 0, 3);
    metric_set(METRIC_SCHED_ACTIVE, 0, 4);
    metric_observe_us(METRIC_SCHED_WRITE_SECONDS, 0, 500);           /* a bound belongs to its bucket */
    metric_observe_us(METRIC_SCHED_WRITE_SECONDS, 0, 501);
    metric_observe_us(METRIC_SCHED_WRITE_SECONDS, 0, 400000000);
    metrics_print(&b, METRICS_TEXT, INT64_C(1767323045000000));
    CHECK(has(&b, "# TYPE kruntimes_log_lines_total counter\nkruntimes_log_lines_total{level=\"error\"} 0\n"));
    CHECK(!has(&b, "kruntimes_scheduler_"));                         /* nobody said this is a scheduler */
    metrics_use(METRICS_SCHEDULER);
    buf_clear(&b);
    metrics_print(&b, METRICS_TEXT, INT64_C(1767323045000000));
    CHECK(has(&b, "# HELP kruntimes_scheduler_decisions_total Decisions written, refused ones included.\n"
                  "# TYPE kruntimes_scheduler_decisions_total counter\n"
                  "kruntimes_scheduler_decisions_total{verdict=\"bind\"} 3\n"
                  "kruntimes_scheduler_decisions_total{verdict=\"cancel\"} 0\n"));
    CHECK(has(&b, "# TYPE kruntimes_scheduler_active_runs gauge\nkruntimes_scheduler_active_runs 4\n"));
    CHECK(has(&b, "kruntimes_scheduler_write_seconds_bucket{le=\"0.0005\"} 1\n"
                  "kruntimes_scheduler_write_seconds_bucket{le=\"0.001\"} 2\n"));
    CHECK(has(&b, "kruntimes_scheduler_write_seconds_bucket{le=\"300\"} 2\n"
                  "kruntimes_scheduler_write_seconds_bucket{le=\"3600\"} 3\n"
                  "kruntimes_scheduler_write_seconds_bucket{le=\"+Inf\"} 3\n"
                  "kruntimes_scheduler_write_seconds_sum 400.001001\n"
                  "kruntimes_scheduler_write_seconds_count 3\n"));
    CHECK(has(&b, "\nkruntimes_build_info{version=\""));
    CHECK(has(&b, "\nprocess_resident_memory_bytes ") && !has(&b, "process_resident_memory_bytes 0\n"));
    CHECK(has(&b, "\nprocess_start_time_seconds 17") && has(&b, "\nprocess_open_fds "));
    CHECK(!has(&b, "kruntimes_apiserver_"));
}

static void observe(enum metric m, unsigned n, const char *runtime, int64_t us)
{
    while (n--)
        metric_observe_of_us(m, metric_runtime(S("team"), str_of(runtime)), 0, us);
}

TEST(each_runtime_has_series_of_its_own) {
    AUTO_BUF struct buf b = { .max = LIMIT_METRICS_PAGE };
    metrics_use(METRICS_RUNTIMED);
    observe(METRIC_RUNNING_SECONDS, 2, "bash", 1500);
    observe(METRIC_RUNNING_SECONDS, 3, "q\"\\\n", 1500);            /* no name that the API takes; the page stays one */
    metrics_print(&b, METRICS_TEXT, 0);
    CHECK(has(&b, "kruntimes_runtimed_running_seconds_bucket{runtime_namespace=\"team\",runtime=\"bash\",phase=\"Succeeded\",le=\"0.0025\"} 2\n"));
    CHECK(has(&b, "kruntimes_runtimed_running_seconds_count{runtime_namespace=\"team\",runtime=\"bash\",phase=\"retried\"} 0\n"));
    CHECK(has(&b, "kruntimes_runtimed_running_seconds_count{runtime_namespace=\"team\",runtime=\"q\\\"\\\\\",phase=\"Succeeded\"} 3\n"));
    CHECK(!has(&b, "runtime=\"other\""));
}

TEST(too_many_runtimes_share_one) {
    AUTO_BUF struct buf b = { .max = LIMIT_METRICS_PAGE };
    char name[32];
    metrics_use(METRICS_SCHEDULER);
    for (int i = 1; i <= LIMIT_METRIC_RUNTIMES + 20; i++) {
        snprintf(name, sizeof name, "r%d", i);
        observe(METRIC_PENDING_SECONDS, 1, name, 7);
    }
    CHECK_INT(metric_runtime(S("team"), S("r1")), 1);
    CHECK_INT(metric_runtime(S("team"), S("one more")), 0);
    CHECK_INT(metric_value(METRIC_PENDING_SECONDS, 0), LIMIT_METRIC_RUNTIMES + 20);
    metrics_print(&b, METRICS_TEXT, 0);
    CHECK(!b.failed && has(&b, "_pending_seconds_count{runtime_namespace=\"\",runtime=\"other\"} 20\n"));
    CHECK(has(&b, "_pending_seconds_count{runtime_namespace=\"team\",runtime=\"r100\"} 1\n") && !has(&b, "\"r101\""));
}

TEST(what_a_scraper_asks_for) {
    AUTO_BUF struct buf b = { .max = LIMIT_METRICS_PAGE };
    CHECK_INT(metrics_accepted(S("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1")), METRICS_OPEN);
    CHECK_INT(metrics_accepted(S("text/plain, application/OpenMetrics-Text")), METRICS_OPEN);
    CHECK_INT(metrics_accepted(S("text/plain;version=0.0.4, application/openmetrics-textual")), METRICS_TEXT);
    CHECK_INT(metrics_accepted((struct str){ 0 }), METRICS_TEXT);
    metrics_use(METRICS_SCHEDULER);
    metric_observe_us(METRIC_SCHED_WRITE_SECONDS, 0, 500);
    metrics_print(&b, METRICS_OPEN, 0);
    CHECK(has(&b, "# TYPE kruntimes_log_lines counter\nkruntimes_log_lines_total{level=\"error\"} 0\n"));
    CHECK(has(&b, "# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total "));
    CHECK(has(&b, "_bucket{le=\"0.5\"} 1\n") && has(&b, "_bucket{le=\"1.0\"} 1\n") && has(&b, "_bucket{le=\"3600.0\"} 1\n"));
    CHECK(str_ends(buf_view(&b), S("\n# EOF\n")));
    buf_free(&b);
    b.max = 2000;                                                    /* cut: no end, so that it isn't taken for a whole one */
    metrics_print(&b, METRICS_OPEN, 0);
    CHECK(b.failed && !has(&b, "# EOF"));
}

/* Every line is a comment of two kinds or "name{…} number", and each name was announced before. */
TEST(the_page_is_well_formed) {
    AUTO_BUF struct buf b = { .max = LIMIT_METRICS_PAGE };
    for (int g = 0; g < METRICS_GROUPS; g++)
        metrics_use((enum metric_group)g);
    metrics_print(&b, METRICS_TEXT, 0);
    CHECK_OR(!b.failed && b.n && b.p[b.n - 1] == '\n');
    struct str rest = buf_view(&b), type = { 0 };
    while (rest.n) {
        struct str line = str_cut(&rest, '\n');
        if (str_starts(line, S("# TYPE "))) {
            type = str_from(line, 7);
            type = str_cut(&type, ' ');
            continue;
        }
        if (str_starts(line, S("# HELP ")))
            continue;
        CHECK_OR(str_starts(line, type) && type.n);
        char last = line.p[line.n - 1];
        CHECK_OR(isdigit((unsigned char)last) && str_chr(line, ' ') > 0);
    }
}

TEST(the_page_is_cut_between_lines) {
    for (size_t max = 64; max < 1000; max++) {
        AUTO_BUF struct buf b = { .max = max };
        metrics_print(&b, METRICS_TEXT, 0);
        CHECK_OR(b.n <= max && b.failed && (!b.n || b.p[b.n - 1] == '\n'));
    }
}

static struct str family(const char *name)
{
    struct str s = str_of(name);
    s.n -= str_ends(s, S("_total")) ? S("_total").n : 0;
    return s;
}

TEST(rows_follow_the_rules) {
    for (int m = 0; m < METRIC_COUNT; m++) {
        const struct metric_def *d = &metric_defs[m];
        unsigned words = 0;
        struct str rest = str_of(d->words);
        while (d->label && rest.n)
            words += str_cut(&rest, ',').n > 0;
        CHECK(str_starts(str_of(d->name), S("kruntimes_")));
        CHECK(str_ends(str_of(d->name), S("_total")) == (d->type == METRIC_COUNTER));
        CHECK(str_ends(str_of(d->name), S("_seconds")) || d->type != METRIC_HISTOGRAM);
        CHECK(d->label ? words > 1 : !d->words[0]);
        CHECK(str_ends(str_of(d->help), S(".")));
        for (unsigned w = 0; w < words; w++)
            metric_value((enum metric)m, w);           /* aborts where a row has more words than there is room for */
        for (int other = 0; other < m; other++)          /* without _total too: OpenMetrics names families so */
            CHECK(!str_eq(family(d->name), family(metric_defs[other].name)));
    }
}
