/* SPDX-License-Identifier: Apache-2.0 */
#include "core/regex.h"
#include "tests/kit/test.h"
#include <stdio.h>

static const struct { const char *pattern, *text; bool want; } T[] = {
    { "", "", true }, { "", "x", true }, { "a", "", false }, { "a", "cat", true }, { "^a", "cat", false }, { "^c", "cat", true }, { "t$", "cat", true },
    { "a$", "cat", false }, { "^$", "", true }, { "^$", "x", false }, { "a|b", "xbx", true }, { "^(a|b)$", "ab", false }, { "^(a|b)+$", "abba", true },
    { "^(|a)$", "", true }, { "^(a|)$", "a", true }, { "^a*$", "aaa", true }, { "^a*$", "aab", false }, { "^a?$", "aa", false }, { "^a??$", "a", true },
    { "^a{2}$", "aa", true }, { "^a{2}$", "aaa", false }, { "^a{2,}$", "a", false }, { "^a{2,}$", "aaaa", true }, { "^a{1,3}$", "aaaa", false },
    { "^a{0,2}$", "", true }, { "^a{0,2}$", "aa", true }, { "^a{0,2}$", "aaa", false }, { "^a{0}b$", "b", true }, { "^(ab){2,3}$", "ababab", true },
    { "^(ab){2,3}$", "ab", false }, { "^(a{2}){2}$", "aaaa", true }, { "^(a|b{2}){2}$", "bba", true }, { "^(x*){2}$", "xxx", true }, { "^(x*)*$", "xxx", true },
    { "a{", "a{", true }, { "a{,2}", "a{,2}", true }, { "^a{2", "a{2", true }, { "^.$", "\n", false }, { "(?s)^.$", "\n", true }, { "^.$", "é", true },
    { "^.$", "😀", true }, { "^..$", "é", false }, { "^[a-c]$", "b", true }, { "^[^a-c]$", "b", false }, { "^[^a-c]$", "é", true }, { "^[]a]$", "]", true },
    { "^[a-]$", "-", true }, { "^[-a]$", "-", true }, { "^[^]]$", "]", false }, { "^[\\]\\\\]+$", "]\\", true }, { "^[µé]$", "µ", true }, { "^[µé]$", "\xC2\xB6", false },
    { "^[à-ü]+$", "éàü", true }, { "^\\d+$", "0123456789", true }, { "^\\d$", "x", false }, { "^\\D$", "x", true }, { "^\\w+$", "aZ_9", true }, { "^\\W$", "-", true },
    { "^\\s+$", " \t\n\f\r", true }, { "^\\s$", "\v", false }, { "^\\S$", "é", true }, { "^[\\d.]+$", "1.5", true }, { "^[^\\s/?#@]+$", "host:80", true },
    { "^[^\\s/?#@]+$", "a b", false }, { "^\\x41\\x{e9}$", "Aé", true }, { "^[^\\x00]*$", "abc", true }, { "\\.", "x", false }, { "\\.", ".", true },
    { "(?i)^abc$", "aBC", true }, { "^(?i:a)b$", "Ab", true }, { "^(?i:a)b$", "AB", false }, { "^((?i)a)b$", "AB", false }, { "(?i)^[a-c]$", "B", true },
    { "(?i)^K$", "\xE2\x84\xAA", true }, { "(?i)^[^a]$", "A", false }, { "^(?:ab)+$", "abab", true }, { "^(?P<n>a)$", "a", true }, { "\\Aa\\z", "a", true },
    { "a\\z", "ab", false }, { "^[[:alpha:]]+$", "ab", true }, { "^[[:^digit:]]$", "5", false }, { "^[[:space:][:digit:]]+$", " 5", true },
    { "$^", "", true }, { "$^", "x", false }, { "9*?$^", "A", false }, { "^$|b", "x", false }, { "x^", "x", false }, { "$x", "x", false }, { "(^|/)[.]{0,2}(/|$)", "a/b", false }, { "(^|/)[.]{0,2}(/|$)", "a/../b", true }, { "(^|/)[.]{0,2}(/|$)", "/a", true },
    { "(^|/)[.]{0,2}(/|$)", "a/", true }, { "(^|/)[.]{0,2}(/|$)", "a//b", true }, { "(^|/)[.]{0,2}(/|$)", ".", true }, { "(^|/)[.]{0,2}(/|$)", "...", false },
    { "(^|/)[.]{0,2}(/|$)", ".a/..b", false }, { "^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$", "1m30.5s", true },
    { "^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$", "5µs", true }, { "^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$", "5", false },
    { "^https?://[^\\s/?#@]+([/?#][^\\s]*)?$", "https://h/x?y", true }, { "^https?://[^\\s/?#@]+([/?#][^\\s]*)?$", "https://u@h/", false },
};

TEST(patterns)
{
    for (size_t i = 0; i < LEN(T); i++) {
        struct kr_err e = { 0 };
        struct regex *r = regex_compile(str_of(T[i].pattern), &e);
        if (!CHECK(r)) {
            printf("    row %s: %s\n", T[i].pattern, e.msg);
            continue;
        }
        for (int again = 0; again < 2; again++)
            if (!CHECK(regex_search(r, str_of(T[i].text)) == T[i].want)) printf("    row %s on %s\n", T[i].pattern, T[i].text);
        regex_free(r);
    }
}

TEST(what_is_not_supported_is_refused)
{
    static const char *const bad[] = { "(?-:a)", "(?i-)a", "(?i)*", "a(?i){2}", "(?i)\xC3\xA9", "(?i)[a-\xC3\xA9]", "{2}", "a|{1,2}", "({3,})", "(", ")", "a)", "(a", "[a", "[]", "[b-a]", "*", "+a", "a**", "a+*", "a{2}{3}", "a{1001}", "a{3,2}", "\\", "\\b", "\\1", "\\pL",
                                       "(?=a)", "(?!a)", "(?<=a)", "(?m)a", "(?P<>a)", "\\x4", "\\x{110000}", "[[:foo:]]", "\\Q", "((((a{100}){100}){100}){100})", "\xFF" };
    for (size_t i = 0; i < LEN(bad); i++) {
        struct kr_err e = { 0 };
        struct regex *r = regex_compile(str_of(bad[i]), &e);
        if (!CHECK(!r)) printf("    %s was accepted\n", bad[i]);
        CHECK(e.msg[0]);
        regex_free(r);
    }
}

TEST(a_pattern_of_too_many_steps_is_refused)
{
    struct kr_err e = { 0 };
    CHECK(!regex_compile(S("(a{1000}){21}"), &e));
    CHECK_INT(e.code, KR_TOO_LARGE);
    CHECK_Z(e.msg, "pattern is too large (more than 20000 steps)");
}

TEST(a_catastrophic_pattern_is_linear)
{
    struct kr_err e;
    struct regex *r = regex_compile(S("^(a+)+(a|b)*(.*x){20}$"), &e);
    CHECK_OR(r);
    char *text = xmalloc(200000);
    memset(text, 'a', 200000);
    CHECK(!regex_search(r, (struct str){ text, 200000 }));
    free(text);
    regex_free(r);
}

/* More states than the table holds: it starts anew and the answer stays right. */
TEST(a_full_table_starts_anew)
{
    struct kr_err e;
    struct regex *r = regex_compile(S("^(a|b)*a(a|b){12}$"), &e);
    CHECK_OR(r);
    char text[4000];
    uint64_t x = test_seed();
    for (size_t n = 13; n < sizeof text; n += 111) {
        for (size_t i = 0; i < n; i++) x = x * 6364136223846793005u + 1442695040888963407u, text[i] = x >> 40 & 1 ? 'a' : 'b';
        CHECK_OR(regex_search(r, (struct str){ text, n }) == (text[n - 13] == 'a'));
    }
    regex_free(r);
}

/* Whatever step of a pattern the program runs full at, it is a clean error, and with one step more another one. */
TEST(a_program_that_runs_full_at_any_step)
{
    static const char *const ends[] = { "b*", "b+?", "b?", "b{2,4}", "b{3,}", "(b|c|d)", "[a-cx]", "[^\\d\\s]", "(?i:k[a-z])", "(?s:.)", "\\w", "[[:^alpha:]]", "(b{2}){2}", "^b$", "[à-ü]" };
    for (size_t i = 0; i < LEN(ends); i++)
        for (int room = 0; room < 40; room++) {
            AUTO_BUF struct buf b = { .max = 4096 };
            struct kr_err e = { 0 };
            int n = LIMIT_REGEX_PROGRAM - 1 - room;
            buf_fmt(&b, "(?:a{100}){%d}a{%d}%s", n / 100, n % 100, ends[i]);
            struct regex *r = regex_compile(buf_view(&b), &e);
            if (!CHECK(r ? !e.code : e.code == KR_TOO_LARGE))
                printf("    %.*s: %s\n", SFMT(buf_view(&b)), e.msg);
            regex_free(r);
        }
}
