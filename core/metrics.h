/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: counters, gauges and histograms of this process, in Prometheus' text form.
 *
 * Each is one row in core/metrics.def. A metric has at most one label, whose values are a fixed list of words in the row.
 * Some are kept for each Runtime besides: the first LIMIT_METRIC_RUNTIMES that a process meets have series of their own, all
 * others share one. So nothing a user does makes more series than that. Numbers are kept where they change; a scrape only
 * prints them.
 */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H
#include "core/kr.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
enum metric_group {                       /* who has it: a process prints the groups it said it is */
    METRICS_CORE, METRICS_API, METRICS_SCHEDULER, METRICS_CONTROLLER, METRICS_RUNTIMED, METRICS_RUNTIME_SERVER, METRICS_APISERVER,
    METRICS_GROUPS
};
enum metric {
#define METRIC(id, type, group, name, label, words, help) METRIC_##id,
#define METRIC_BY_RUNTIME METRIC
#include "core/metrics.def"
#undef METRIC_BY_RUNTIME
#undef METRIC
    METRIC_COUNT
};
struct metric_def {
    enum metric_type type;
    enum metric_group group;
    const char *name, *label, *words, *help;         /* label NULL: one series; words: "ok,refused,failed" */
    bool by_runtime;
};
extern const struct metric_def metric_defs[METRIC_COUNT];

/* `word` is the place of the label's value in the row's list; 0 without a label. Beyond the list is a bug: aborts. */
void metric_add(enum metric, unsigned word, uint64_t n);           /* counters */
void metric_set(enum metric, unsigned word, int64_t value);        /* gauges */
void metric_observe_us(enum metric, unsigned word, int64_t us);    /* histograms: durations, shown in seconds */
/* The same in the series of a Runtime. */
void metric_observe_of_us(enum metric, unsigned runtime, unsigned word, int64_t us);
/* The place of a Runtime's series, made on first use; 0, which all share, once there are LIMIT_METRIC_RUNTIMES. */
unsigned metric_runtime(struct str ns, struct str name);
/* The place of a word in the row's list, or of the last one ("other") when it isn't there. */
unsigned metric_word(enum metric, struct str word);
int64_t metric_value(enum metric, unsigned word);                  /* counters and gauges; histograms: how many, of all Runtimes */

void metrics_use(enum metric_group);                               /* this group is printed from now on; CORE always is */
/* The groups in use, kruntimes_build_info and process_*. out->max bounds it. */
enum metrics_format { METRICS_TEXT, METRICS_OPEN };                /* Prometheus' text format 0.0.4; OpenMetrics 1.0 */
void metrics_print(struct buf *out, enum metrics_format, int64_t wall_us);
/* What a scraper that sends this Accept gets, and the content type of it. */
enum metrics_format metrics_accepted(struct str accept);
extern const char *const metrics_content_types[];
#endif
