/* SPDX-License-Identifier: Apache-2.0 */
/* log: both formats to the byte; what a value can't do to a line; what happens to one that is too long. */
#include "core/json.h"
#include "core/log.h"
#include "core/metrics.h"
#include "tests/kit/test.h"
#include <fcntl.h>
#include <unistd.h>

static struct clock_fake now;
static struct log make(int json)
{
    clock_fake_init(&now, 0, INT64_C(1767323045123456));
    return (struct log){ .level = LOG_INFO, .json = json, .fd = 2, .clock = &now.clock };
}

static struct str line_of(int json, size_t max, struct buf *b, const struct log_field *f, size_t n)
{
    struct log l = make(json);
    buf_free(b);
    b->max = max;
    log_format(&l, LOG_INFO, "run bound", f, n, b);
    return buf_view(b);
}

TEST(text_and_json_to_the_byte) {
    AUTO_BUF struct buf b = { 0 };
    const struct kr_err e = { .msg = "no such pod \"x\"" };
    const struct log_field f[] = { LOG_Z("run", "default/x"), LOG_INT("attempt", -1), LOG_BOOL("ok", true), LOG_US("took", 1500000),
                                   LOG_US("skew", -250000), LOG_JSON("raw", S("{\"a\":[1]}")), LOG_Z("empty", ""), LOG_ERR(&e) };
    CHECK_STR(line_of(0, LIMIT_LOG_LINE, &b, f, LEN(f)),
              S("2026-01-02T03:04:05.123456Z info  run bound  run=default/x attempt=-1 ok=true took=1.500000 skew=-0.250000 "
                "raw={\"a\":[1]} empty=\"\" error=\"no such pod \\\"x\\\"\"\n"));
    CHECK_STR(line_of(1, LIMIT_LOG_LINE, &b, f, LEN(f)),
              S("{\"ts\":\"2026-01-02T03:04:05.123456Z\",\"level\":\"info\",\"msg\":\"run bound\",\"run\":\"default/x\",\"attempt\":-1,"
                "\"ok\":true,\"took\":1.500000,\"skew\":-0.250000,\"raw\":{\"a\":[1]},\"empty\":\"\",\"error\":\"no such pod \\\"x\\\"\"}\n"));
    CHECK_STR(line_of(0, LIMIT_LOG_LINE, &b, f, 0), S("2026-01-02T03:04:05.123456Z info  run bound\n"));
}

TEST(no_value_forges_a_line) {
    AUTO_BUF struct buf b = { 0 };
    static const struct { struct str value, written; } rows[] = {
        { S("x\n2026 error forged"), S("\"x\\n2026 error forged\"") },
        { S("\r\t\x1b[2J\0"), S("\"\\r\\t\\u001b[2J\\u0000\"") },
        { S("\x7f\xc2\x9b"
            "31m\xe2\x80\xa8\xe2\x80\xa9"), S("\"\\u007f\\u009b31m\\u2028\\u2029\"") },
        { S("a=b"), S("\"a=b\"") },
        { S("\xff\xc3"), S("\"\xef\xbf\xbd\xef\xbf\xbd\"") },
        { S("\xed\xa0\x80"), S("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"") },
        { S("\\\""), S("\"\\\\\\\"\"") },
        { S("gr\xc3\xbc\xc3\x9f\xe2\x82\xac\xf0\x9f\x98\x80"), S("\"gr\xc3\xbc\xc3\x9f\xe2\x82\xac\xf0\x9f\x98\x80\"") },
    };
    for (size_t i = 0; i < LEN(rows); i++)
        for (int json = 0; json < 2; json++) {
            struct log_field f = LOG_STR("v", rows[i].value);
            struct str line = line_of(json, LIMIT_LOG_LINE, &b, &f, 1);
            CHECK(str_find(line, rows[i].written) > 0);
            CHECK_INT(str_chr(line, '\n'), (ptrdiff_t)line.n - 1);
            CHECK(str_utf8(line));
        }
}

static bool is_json(struct str line)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 22 };
    struct kr_err e;
    return json_parse(&a, str_trim(line), &e) != NULL;
}

TEST(a_long_line_is_cut_and_says_so) {
    AUTO_BUF struct buf b = { 0 }, big = { .max = 1 << 20 }, raw = { .max = 1 << 20 };
    for (int i = 0; i < 20000; i++)
        buf_lit(&big, i % 3 ? "\xc3\xa4" : "\x01");
    buf_fmt(&raw, "[%0*d]", 20000, 1);
    const struct { struct log_field f[3]; } rows[] = {
        { { LOG_Z("a", "1"), LOG_STR("big", buf_view(&big)), LOG_Z("after", "x") } },
        { { LOG_Z("a", "1"), LOG_JSON("big", buf_view(&raw)), LOG_Z("after", "x") } },
    };
    for (size_t i = 0; i < LEN(rows); i++)
        for (int json = 0; json < 2; json++)
            for (size_t max = LIMIT_LOG_LINE - 40; max <= LIMIT_LOG_LINE; max++) {
                struct str line = line_of(json, max, &b, rows[i].f, 3);
                CHECK_OR(!b.failed && line.n <= max && str_utf8(line));
                CHECK_OR(str_ends(line, json ? S(",\"cut\":true}\n") : S(" cut=true\n")));
                CHECK_OR(str_find(line, S("after")) < 0 && str_find(line, S("big")) > 0);
                CHECK_OR(!json || is_json(line));
            }
    struct str plain = { memset(xmalloc(17000), 'x', 17000), 17000 };
    struct log_field f = LOG_STR("plain", plain);
    CHECK(str_ends(line_of(0, LIMIT_LOG_LINE, &b, &f, 1), S("x\" cut=true\n")));
    CHECK(b.n > LIMIT_LOG_LINE - 100);
    free((void *)(uintptr_t)plain.p);
}

static int evaluated;
static int64_t touch(void) { return ++evaluated; }

TEST(levels_arguments_and_the_counter) {
    int fd[2];
    char got[4096];
    CHECK_OR(pipe2(fd, O_CLOEXEC) == 0);
    struct log l = make(0);
    l.fd = fd[1];
    int64_t before = metric_value(METRIC_LOG_LINES, LOG_WARN);
    log_debug(&l, "not written", LOG_INT("n", touch()));
    CHECK_INT(evaluated, 0);
    log_warn(&l, "written", LOG_INT("n", touch()));
    log_error(&l, "bare");
    close(fd[1]);
    ptrdiff_t n = read(fd[0], got, sizeof got);
    close(fd[0]);
    CHECK_STR(((struct str){ got, n > 0 ? (size_t)n : 0 }),
              S("2026-01-02T03:04:05.123456Z warn  written  n=1\n2026-01-02T03:04:05.123456Z error bare\n"));
    CHECK_INT(metric_value(METRIC_LOG_LINES, LOG_WARN), before + 1);
    l.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    log_error(&l, "nobody reads");                     /* comes back */
    close(l.fd);
}
