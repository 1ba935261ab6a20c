/* SPDX-License-Identifier: Apache-2.0 */
/* metrics: the numbers, their page as Prometheus reads it, and the table's own rules. */
#include "core/metrics.h"
#include "tests/kit/test.h"
#include <ctype.h>

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
    metrics_print(&b, INT64_C(1767323045000000));
    CHECK(has(&b, "# TYPE kruntimes_log_lines_total counter\nkruntimes_log_lines_total{level=\"error\"} 0\n"));
    CHECK(!has(&b, "kruntimes_scheduler_"));                         /* nobody said this is a scheduler */
    metrics_use(METRICS_SCHEDULER);
    buf_clear(&b);
    metrics_print(&b, INT64_C(1767323045000000));
    CHECK(has(&b, "# HELP kruntimes_scheduler_decisions_total Decisions written, refused ones included.\n"
                  "# TYPE kruntimes_scheduler_decisions_total counter\n"
                  "kruntimes_scheduler_decisions_total{verdict=\"bind\"} 3\n"
                  "kruntimes_scheduler_decisions_total{verdict=\"cancel\"} 0\n"));
    CHECK(has(&b, "# TYPE kruntimes_scheduler_active_runs gauge\nkruntimes_scheduler_active_runs 4\n"));
    CHECK(has(&b, "kruntimes_scheduler_write_seconds_bucket{le=\"0.0005\"} 1\n"
                  "kruntimes_scheduler_write_seconds_bucket{le=\"0.001\"} 2\n"));
    CHECK(has(&b, "kruntimes_scheduler_write_seconds_bucket{le=\"300\"} 2\n"
                  "kruntimes_scheduler_write_seconds_bucket{le=\"+Inf\"} 3\n"
                  "kruntimes_scheduler_write_seconds_sum 400.001001\n"
                  "kruntimes_scheduler_write_seconds_count 3\n"));
    CHECK(has(&b, "\nkruntimes_build_info{version=\""));
    CHECK(has(&b, "\nprocess_resident_memory_bytes ") && !has(&b, "process_resident_memory_bytes 0\n"));
    CHECK(has(&b, "\nprocess_start_time_seconds 17") && has(&b, "\nprocess_open_fds "));
    CHECK(!has(&b, "kruntimes_apiserver_"));
}

/* Every line is a comment of two kinds or "name{…} number", and each name was announced before. */
TEST(the_page_is_well_formed) {
    AUTO_BUF struct buf b = { .max = LIMIT_METRICS_PAGE };
    for (int g = 0; g < METRICS_GROUPS; g++)
        metrics_use((enum metric_group)g);
    metrics_print(&b, 0);
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
        metrics_print(&b, 0);
        CHECK_OR(b.n <= max && b.failed && (!b.n || b.p[b.n - 1] == '\n'));
    }
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
        for (int other = 0; other < m; other++)
            CHECK(strcmp(d->name, metric_defs[other].name) != 0);
    }
}
