/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: a line is made in one bounded buffer and written with one write(2), so lines of several processes on one stderr
 * never mix. Everything that isn't printable is escaped as JSON does; a line that is too long is cut and says so.
 */
#include "core/log.h"
#include "core/json.h"
#include "core/metrics.h"
#include <errno.h>
#include <unistd.h>

struct log log_std = { .level = LOG_INFO, .fd = 2 };
static const char *const level_words[] = { "error", "warn", "info", "debug", NULL };
static const char *const format_words[] = { "text", "json", NULL };
const struct opt log_opts[] = {
    { "log-level", 0, OPT_ENUM, &log_std.level, "LEVEL", "what is logged", .env = "KRUNTIMES_LOG_LEVEL", .words = level_words },
    { "log-format", 0, OPT_ENUM, &log_std.json, "FORMAT", "how lines look", .env = "KRUNTIMES_LOG_FORMAT", .words = format_words },
    { 0 } };

static void put_seconds(struct buf *b, int64_t us) { buf_fmt(b, "%lld.%06lld", (long long)(us / 1000000), (long long)(us < 0 ? -us : us) % 1000000); }

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '"' || s.p[i] == '=' || s.p[i] == '\\' || (unsigned char)s.p[i] >= 127)
            return false;
    return s.n > 0;
}

/* jw_str wants valid UTF-8: what isn't becomes U+FFFD. */
static void put_text(struct buf *b, struct str s)
{
    AUTO_BUF struct buf clean = { .max = LIMIT_LOG_LINE };
    while (s.n && clean.n < LIMIT_LOG_LINE / 2) {
        size_t n = str_utf8_prefix(s);
        if (n > LIMIT_LOG_LINE / 4)
            n = str_rune_cut(s, LIMIT_LOG_LINE / 4);
        buf_add(&clean, s.p, n);
        s = str_from(s, n);
        if (s.n && !n) {
            buf_lit(&clean, "\xef\xbf\xbd");
            s = str_from(s, 1);
        }
    }
    AUTO_BUF struct buf quoted = { .max = LIMIT_LOG_LINE * 8 };
    jw_str(&quoted, buf_view(&clean));
    buf_str(b, buf_view(&quoted));
}

static void put_value(struct buf *b, const struct log_field *f, bool json)
{
    switch (f->type) {
    case LOG_T_STR:
        if (!json && is_plain(f->s))
            buf_str(b, f->s);
        else
            put_text(b, f->s);
        break;
    case LOG_T_INT:
        buf_fmt(b, "%lld", (long long)f->i);
        break;
    case LOG_T_BOOL:
        buf_lit(b, f->i ? "true" : "false");
        break;
    case LOG_T_US:
        put_seconds(b, f->i);
        break;
    case LOG_T_RAW:
        buf_str(b, f->s);
        break;
    }
}

void log_format(const struct log *l, enum log_level level, const char *msg, const struct log_field *f, size_t n, struct buf *line)
{
    static const char *const padded[] = { "error", "warn ", "info ", "debug" };
    const struct clock *clock = l->clock ? l->clock : &clock_system;
    AUTO_BUF struct buf b = { .max = LIMIT_LOG_LINE * 16 };
    char now[TIME_TEXT];
    time_print_micro(now, clock->wall_us(clock));
    if (l->json) {
        buf_fmt(&b, "{\"ts\":\"%s\",\"level\":\"%s\",\"msg\":", now, level_words[level]);
        put_text(&b, str_of(msg));
    } else {
        buf_fmt(&b, "%s %s %s", now, padded[level], msg);
        if (n)
            buf_byte(&b, ' ');
    }
    for (size_t i = 0; i < n; i++) {
        size_t before = b.n;
        buf_fmt(&b, l->json ? ",\"%s\":" : " %s=", f[i].key);
        put_value(&b, &f[i], l->json);
        if (b.n > LIMIT_LOG_LINE - 32) {
            b.n = before;
            buf_lit(&b, l->json ? ",\"cut\":true" : " cut=true");
            break;
        }
    }
    buf_lit(&b, l->json ? "}\n" : "\n");
    buf_str(line, buf_view(&b));
}

void log_write(const struct log *l, enum log_level level, const char *msg, const struct log_field *f, size_t n)
{
    AUTO_BUF struct buf line = { .max = LIMIT_LOG_LINE };
    metric_add(METRIC_LOG_LINES, (unsigned)level, 1);
    log_format(l, level, msg, f, n, &line);
    for (struct str rest = buf_view(&line); rest.n;) {
        ptrdiff_t put = write(l->fd, rest.p, rest.n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return;                               /* nobody reads: the work goes on */
        rest = str_from(rest, (size_t)put);
    }
}
