/* SPDX-License-Identifier: Apache-2.0 */
#include "core/kr.h"
#include "tests/kit/test.h"
#include <errno.h>

TEST(errors_gain_context_in_front)
{
    struct kr_err e = { 0 };
    CHECK(kr_fail(&e, KR_INVALID, "spec.%s: out of range", "timeoutSeconds") < 0);
    kr_wrap(&e, "run '%s'", "x");
    CHECK_Z(e.msg, "run 'x': spec.timeoutSeconds: out of range");
    CHECK_INT(kr_codes[e.code].http, 422);
    CHECK(!kr_codes[KR_INVALID].retry && kr_codes[KR_CONFLICT].retry);
}

TEST(an_errno_chooses_its_code)
{
    struct kr_err e = { 0 };
    kr_fail_sys(&e, KR_SYSTEM, ENOENT, "open '%s'", "a");
    CHECK_INT(e.code, KR_NOT_FOUND);
    CHECK_Z(e.msg, "open 'a': No such file or directory");
}

TEST(a_long_message_is_cut_between_runes)
{
    struct kr_err e = { 0 };
    char text[LIMIT_ERR_MESSAGE + 10] = { 0 };
    for (size_t i = 0; i + 3 < sizeof text; i += 2) memcpy(text + i, "é", 2);
    kr_fail(&e, KR_INVALID, "x%s", text);
    CHECK(str_utf8(str_of(e.msg)));
    CHECK(strlen(e.msg) >= LIMIT_ERR_MESSAGE - 3);
}

TEST(what_is_used_of_a_buffer_goes_once_it_is_the_larger_part)
{
    AUTO_BUF struct buf b = { .max = 16 };
    size_t at = 0;
    buf_lit(&b, "abcdefgh");
    buf_use(&b, &at, 3);
    CHECK(b.n == 8 && at == 3);
    buf_use(&b, &at, 1);
    CHECK_STR(buf_view(&b), S("efgh"));
    buf_use(&b, &at, 4);
    CHECK(b.n == 0 && at == 0);
    buf_use(&b, &at, 0);
    CHECK(b.n == 0 && at == 0);
}

TEST(a_full_buffer_stays_failed)
{
    AUTO_BUF struct buf b = { .max = 4 };
    buf_lit(&b, "abcd");
    CHECK(!b.failed);
    buf_byte(&b, 'e');
    CHECK(b.failed);
    buf_lit(&b, "");
    CHECK_STR(buf_view(&b), S("abcd"));
    buf_clear(&b);
    buf_fmt(&b, "%d", 42);
    CHECK_STR(buf_view(&b), S("42"));
}

TEST(an_arena_keeps_its_budget)
{
    for (size_t budget = 0; budget < 256; budget += 16) {
        struct arena a = { .limit = budget, .first = 32 };
        size_t got = 0;
        while (arena_alloc(&a, 16)) got += 16;
        CHECK_INT(got, budget);
        CHECK(a.over && !arena_alloc(&a, 1));
        arena_reset(&a);
        CHECK(!a.over);
    }
}

TEST(an_arena_goes_back_to_a_mark)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct str kept = arena_str(&a, S("kept"));
    struct arena_mark m = arena_mark(&a);
    for (int i = 0; i < 100; i++) {               /* ten times the budget in all */
        CHECK(arena_alloc(&a, 50) && arena_alloc(&a, 100000));
        arena_rewind(&a, m);
    }
    CHECK(str_is(kept, "kept") && !a.over);
    CHECK_INT(a.used, m.used);
    CHECK(str_is(arena_str(&a, S("next")), "next"));
}

TEST(numbers_are_put_as_they_are_read)
{
    static const int64_t v[] = { 0, 1, -1, 9, 10, -10, 99, 100, 1234567890123, INT64_MAX, INT64_MIN };
    for (size_t i = 0; i < LEN(v); i++) {
        char text[21];
        int64_t back;
        size_t n = str_put_i64(text, v[i]);
        CHECK(n <= sizeof text && str_i64((struct str){ text, n }, &back) && back == v[i]);
        CHECK(text[0] != '0' || n == 1);
    }
}

TEST(text_on_an_arena_short_long_and_joined)
{
    AUTO_ARENA struct arena a = { .limit = 4096 };
    const struct str parts[] = { S("a"), { NULL, 0 }, S("bc"), S("") };
    char wide[300];
    for (size_t n = 250; n < 260; n++) {          /* around what is formatted once */
        memset(wide, '7', n), wide[n] = 0;
        CHECK(str_is(arena_fmt(&a, "%s", wide), wide));
    }
    struct str all = arena_join(&a, parts, LEN(parts));
    CHECK(str_is(all, "abc") && all.p[3] == 0);
    CHECK_INT(arena_join(&a, parts, 0).n, 0);
}

TEST(numbers_are_whole_or_refused)
{
    static const struct { const char *text; bool ok; int64_t want; } T[] = {
        { "0", true, 0 }, { "-1", true, -1 }, { "9223372036854775807", true, INT64_MAX }, { "-9223372036854775808", true, INT64_MIN },
        { "9223372036854775808", false, 0 }, { "", false, 0 }, { "-", false, 0 }, { " 1", false, 0 }, { "1x", false, 0 },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        int64_t v = 77;
        CHECK(str_i64(str_of(T[i].text), &v) == T[i].ok);
        CHECK_INT(v, T[i].ok ? T[i].want : 77);
    }
}

TEST(utf8_is_checked_as_rfc_3629_says)
{
    CHECK(str_utf8(S("aé€😀")) && str_runes(S("aé€😀")) == 4);
    CHECK(!str_utf8(S("\xC0\x80")) && !str_utf8(S("\xED\xA0\x80")) && !str_utf8(S("\xF4\x90\x80\x80")) && !str_utf8(S("\xE2\x82")));
    CHECK_INT(str_rune_cut(S("aé€"), 2), 1);
    CHECK_INT(str_rune_cut(S("aé€"), 3), 3);
    CHECK_INT(str_rune_cut(S("aé€"), 5), 3);
}

TEST(cut_walks_a_list)
{
    struct str rest = S("a,,b");
    CHECK_STR(str_cut(&rest, ','), S("a"));
    CHECK_STR(str_cut(&rest, ','), S(""));
    CHECK_STR(str_cut(&rest, ','), S("b"));
    CHECK(!rest.p);
}
