/* SPDX-License-Identifier: Apache-2.0 */
#include "applets/runtimed/outputs.h"
#include "tests/kit/test.h"

TEST(outputs_are_read)
{
    static const struct { const char *text, *want; } T[] = {
        { "", "" }, { "a=1\n", "a=1;" }, { "a=1\nb=2", "a=1;b=2;" }, { "a=1\n\n\nb=\n", "a=1;b=;" }, { "a=1\na=2\n", "a=2;" }, { "a=b=c\n", "a=b=c;" },
        { "a<<E\nx\ny\nE\nb=1\n", "a=x\ny;b=1;" }, { "a<<E\nE\n", "a=;" }, { "a<<E\n\nE", "a=;" }, { "a<<E\nEE\nE\n", "a=EE;" }, { "a=x<<y\n", "a=x<<y;" },
        { " a =1\n", " a =1;" },
        { "nothing\n", "! line 1: neither KEY=VALUE nor KEY<<WORD" }, { "a=1\n=2\n", "! line 2: an output has no name" },
        { "a<<E\nx\n", "! line 1: \"a<<E\" is never closed by a line \"E\"" }, { "a<<\nx\n", "! line 1: \"<<\" needs a word behind it" },
        { "a=\xFF\n", "! line 1: an output is not text (UTF-8 without NUL)" },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_BUF struct buf b = { .max = 4096 };
        struct outputs o;
        struct kr_err e = { 0 };
        if (outputs_parse(&o, str_of(T[i].text), &e) < 0) buf_fmt(&b, "! %s", e.msg);
        else for (size_t k = 0; k < o.n; k++) buf_fmt(&b, "%.*s=%.*s;", SFMT(o.v[k].key), SFMT(o.v[k].value));
        CHECK_STR(buf_view(&b), str_of(T[i].want));
    }
}

TEST(outputs_have_limits)
{
    struct outputs o;
    struct kr_err e = { 0 };
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    for (int i = 0; i < 64; i++) buf_fmt(&b, "k%d=v\n", i);
    CHECK(!outputs_parse(&o, buf_view(&b), &e) && o.n == 64);
    buf_lit(&b, "one=more\n");
    CHECK(outputs_parse(&o, buf_view(&b), &e) < 0 && e.code == KR_TOO_LARGE);
    buf_clear(&b);
    buf_lit(&b, "k=");
    for (int i = 0; i < 8192; i++) buf_byte(&b, 'x');
    CHECK(!outputs_parse(&o, buf_view(&b), &e));
    buf_byte(&b, 'x');
    CHECK(outputs_parse(&o, buf_view(&b), &e) < 0 && e.code == KR_TOO_LARGE);
    buf_clear(&b);
    for (int k = 0; k < 9; k++) {
        buf_fmt(&b, "k%d=", k);
        for (int i = 0; i < 8000; i++) buf_byte(&b, 'x');
        buf_byte(&b, '\n');
    }
    CHECK(outputs_parse(&o, buf_view(&b), &e) < 0 && e.code == KR_TOO_LARGE);
    CHECK(outputs_parse(&o, (struct str){ "a=\0\n", 4 }, &e) < 0 && e.code == KR_INVALID);
    for (int extra = 0; extra < 2; extra++) {
        buf_clear(&b);
        for (int i = 0; i < LIMIT_RUN_OUTPUT_KEY + extra; i++) buf_byte(&b, 'k');
        buf_lit(&b, "=v\n");
        CHECK_INT(outputs_parse(&o, buf_view(&b), &e), -extra);
    }
    CHECK_INT(e.code, KR_TOO_LARGE);
}
