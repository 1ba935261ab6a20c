/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: lines on stderr: a constant message and typed key/values, as text for people or JSON for collectors.
 *
 *     log_info(l, "run bound", LOG_STR("run", name), LOG_INT("attempt", n));
 *     2026-01-02T03:04:05.123456Z info  run bound  run=default/x attempt=1
 *     {"ts":"2026-01-02T03:04:05.123456Z","level":"info","msg":"run bound","run":"default/x","attempt":1}
 *
 * Only applets log; library code returns errors. A line is one write(2), control characters and bad UTF-8 are escaped, so
 * that no value can forge a second line. Arguments are evaluated only when the level is on. Keys are snake_case literals.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H
#include "core/clock.h"
#include "core/opt.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
struct log {
    int level;                                      /* enum log_level: what is above it is not written */
    int json;                                       /* 0 text, 1 JSON */
    int fd;                                         /* where to; 2 at first */
    const struct clock *clock;                      /* NULL: clock_system */
};
extern struct log log_std;                          /* the process's own: set by log_opts */
extern const struct opt log_opts[];                 /* --log-level, --log-format: put it into your applet's `shared` */

enum log_type { LOG_T_STR, LOG_T_INT, LOG_T_BOOL, LOG_T_US, LOG_T_RAW };
struct log_field { const char *key; enum log_type type; struct str s; int64_t i; };
#define LOG_STR(k, v) ((struct log_field){ .key = (k), .type = LOG_T_STR, .s = (v) })          /* struct str */
#define LOG_Z(k, v) ((struct log_field){ .key = (k), .type = LOG_T_STR, .s = str_of(v) })      /* C string */
#define LOG_INT(k, v) ((struct log_field){ .key = (k), .type = LOG_T_INT, .i = (v) })
#define LOG_BOOL(k, v) ((struct log_field){ .key = (k), .type = LOG_T_BOOL, .i = (v) })
#define LOG_US(k, v) ((struct log_field){ .key = (k), .type = LOG_T_US, .i = (v) })            /* a duration, written in seconds */
#define LOG_JSON(k, v) ((struct log_field){ .key = (k), .type = LOG_T_RAW, .s = (v) })         /* valid JSON, one line, as it is */
#define LOG_ERR(e) ((struct log_field){ .key = "error", .type = LOG_T_STR, .s = str_of((e)->msg) })

static inline bool log_on(const struct log *l, enum log_level level) { return l->level >= (int)level; }
void log_write(const struct log *l, enum log_level level, const char *msg, const struct log_field *f, size_t n);
/* What log_write would write, newline included; buf.max bounds the line (LIMIT_LOG_LINE): a longer one is cut and marked. */
void log_format(const struct log *l, enum log_level level, const char *msg, const struct log_field *f, size_t n, struct buf *line);

#define LOG_AT(l, level, msg, ...)                                                                        \
    do {                                                                                                  \
        if (log_on((l), (level))) {                                                                       \
            const struct log_field log_f_[] = { { 0 }, ##__VA_ARGS__ };                                   \
            log_write((l), (level), "" msg, log_f_ + 1, LEN(log_f_) - 1);                                 \
        }                                                                                                 \
    } while (0)
#define log_error(l, ...) LOG_AT(l, LOG_ERROR, __VA_ARGS__)
#define log_warn(l, ...) LOG_AT(l, LOG_WARN, __VA_ARGS__)
#define log_info(l, ...) LOG_AT(l, LOG_INFO, __VA_ARGS__)
#define log_debug(l, ...) LOG_AT(l, LOG_DEBUG, __VA_ARGS__)
#endif
