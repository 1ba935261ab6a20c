/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: counters, gauges and histograms of this process, in Prometheus' text form.
 *
 * Each is one row in core/metrics.def. A metric has at most one label, whose values are a fixed list of words in the row,
 * so nothing a user does can make more series. Numbers are kept where they change; a scrape only prints them.
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
#include "core/metrics.def"
#undef METRIC
    METRIC_COUNT
};
struct metric_def {
    enum metric_type type;
    enum metric_group group;
    const char *name, *label, *words, *help;         /* label NULL: one series; words: "ok,refused,failed" */
};
extern const struct metric_def metric_defs[METRIC_COUNT];

/* `word` is the place of the label's value in the row's list; 0 without a label. Beyond the list is a bug: aborts. */
void metric_add(enum metric, unsigned word, uint64_t n);           /* counters */
void metric_set(enum metric, unsigned word, int64_t value);        /* gauges */
void metric_observe_us(enum metric, unsigned word, int64_t us);    /* histograms: durations, shown in seconds */
/* The place of a word in the row's list, or of the last one ("other") when it isn't there. */
unsigned metric_word(enum metric, struct str word);
int64_t metric_value(enum metric, unsigned word);                  /* counters and gauges; histograms: how many */

void metrics_use(enum metric_group);                               /* this group is printed from now on; CORE always is */
/* Text exposition format 0.0.4: the groups in use, kruntimes_build_info and process_*. out->max bounds it. */
void metrics_print(struct buf *out, int64_t wall_us);
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#endif
