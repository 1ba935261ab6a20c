/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: a line is made in one bounded buffer and written with one write(2), so lines of several processes on one stderr
 * never mix. Everything that isn't printable is escaped as JSON does; a line that is too long is cut and says so.
 * Deliberately not here: files, rotation, syslog. Tests: tests/unit/core/log.c.
 */
#include "core/log.h"
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

static void put_seconds(struct buf *b, int64_t us)
{
    uint64_t n = us < 0 ? -(uint64_t)us : (uint64_t)us;
    buf_fmt(b, "%s%llu.%06llu", us < 0 ? "-" : "", (unsigned long long)(n / 1000000), (unsigned long long)(n % 1000000));
}

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '"' || s.p[i] == '=' || s.p[i] == '\\' || (unsigned char)s.p[i] >= 127)
            return false;
    return s.n > 0;
}

/* What a terminal or a line reader could take for a command beyond ASCII: DEL, the C1 controls (U+009B begins an escape
 * sequence) and the two line separators. 0 when `p` begins with none of them; else its code point, `*n` bytes long. */
static unsigned odd_control(const unsigned char *p, size_t *n)
{
    *n = p[0] == 0x7f ? 1 : p[0] == 0xc2 ? 2 : 3;
    if (p[0] == 0x7f)
        return 0x7f;
    if (p[0] == 0xc2 && p[1] < 0xa0)
        return p[1];
    if (p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9))
        return 0x2000U + (p[2] & 0x3fU);
    return 0;
}

/* One character of valid UTF-8 as it stands in a quoted text of either format. */
static void put_rune(struct buf *b, struct str rune)
{
    size_t n;
    unsigned char c = (unsigned char)rune.p[0];
    unsigned odd = odd_control((const unsigned char *)rune.p, &n);
    if (odd)
        buf_fmt(b, "\\u%04x", odd);
    else if (c == '"' || c == '\\')
        buf_add(b, (char[]){ '\\', (char)c }, 2);
    else if (c == '\n' || c == '\t' || c == '\r')
        buf_add(b, (char[]){ '\\', c == '\n' ? 'n' : c == '\t' ? 't' : 'r' }, 2);
    else if (c < ' ')
        buf_fmt(b, "\\u%04x", c);
    else
        buf_str(b, rune);
}

/* Quoted; a byte that isn't UTF-8 becomes U+FFFD. False when the text had to end at `limit`. */
static bool put_text(struct buf *b, struct str s, size_t limit)
{
    size_t valid = str_utf8_prefix(s);
    buf_byte(b, '"');
    while (s.n && b->n + 8 <= limit) {
        size_t n = 1;
        if (valid) {
            while (n < valid && ((unsigned char)s.p[n] & 0xc0) == 0x80)
                n++;
            put_rune(b, (struct str){ s.p, n });
            valid -= n;
            s = str_from(s, n);
            continue;
        }
        buf_lit(b, "\xef\xbf\xbd");
        s = str_from(s, 1);
        valid = str_utf8_prefix(s);
    }
    buf_byte(b, '"');
    return !s.n;
}

/* False when not all of it fitted below `limit`. */
static bool put_value(struct buf *b, const struct log_field *f, bool json, size_t limit)
{
    switch (f->type) {
    case LOG_T_STR:
        if (json || !is_plain(f->s) || b->n + f->s.n > limit)
            return put_text(b, f->s, limit);
        buf_str(b, f->s);
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
        if (b->n + f->s.n <= limit) {
            buf_str(b, f->s);
            break;
        }
        buf_lit(b, "null");                       /* half a document would be none */
        return false;
    }
    return true;
}

void log_format(const struct log *l, enum log_level level, const char *msg, const struct log_field *f, size_t n, struct buf *line)
{
    enum { MARK = 64, NUMBER = 64 };              /* room for the mark and the end; for a key's dressing and a number */
    static const char *const padded[] = { "error", "warn ", "info ", "debug" };
    const struct clock *clock = l->clock ? l->clock : &clock_system;
    size_t max = line->max < LIMIT_LOG_LINE ? line->max : LIMIT_LOG_LINE, limit = max > MARK ? max - MARK : 0;
    AUTO_BUF struct buf b = { .max = LIMIT_LOG_LINE };
    char now[TIME_TEXT];
    bool whole = true;
    time_print_micro(now, clock->wall_us(clock));
    if (l->json) {
        buf_fmt(&b, "{\"ts\":\"%s\",\"level\":\"%s\",\"msg\":", now, level_words[level]);
        whole = put_text(&b, str_of(msg), limit);
    } else {
        buf_fmt(&b, "%s %s %s%s", now, padded[level], msg, n ? " " : "");
    }
    for (size_t i = 0; i < n && whole; i++) {
        whole = b.n + strlen(f[i].key) + NUMBER <= limit;
        if (!whole)
            break;
        buf_fmt(&b, l->json ? ",\"%s\":" : " %s=", f[i].key);
        whole = put_value(&b, &f[i], l->json, limit);
    }
    if (!whole)
        buf_lit(&b, l->json ? ",\"cut\":true" : " cut=true");
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
