/* SPDX-License-Identifier: Apache-2.0 */
#include "core/clock.h"
#include "tests/kit/test.h"

TEST(times_are_rfc_3339)
{
    char text[TIME_TEXT];
    int64_t us;
    time_print(text, 1767323045123456);
    CHECK_Z(text, "2026-01-02T03:04:05Z");
    time_print_micro(text, 1767323045123456);
    CHECK_Z(text, "2026-01-02T03:04:05.123456Z");
    CHECK(time_parse(S("2026-01-02T03:04:05.123456789Z"), &us) && us == 1767323045123456);
    CHECK(time_parse(S("2026-01-02T05:04:05+02:00"), &us) && us == 1767323045000000);
    CHECK(time_parse(S("2024-02-29T00:00:00Z"), &us) && !time_parse(S("2023-02-29T00:00:00Z"), &us));
    CHECK(!time_parse(S("2026-01-02"), &us) && !time_parse(S("2026-13-02T00:00:00Z"), &us) && !time_parse(S("2026-01-02T03:04:05"), &us) && !time_parse(S(""), &us));
}

TEST(durations_are_go_s)
{
    static const struct { const char *text; bool ok; int64_t us; } T[] = {
        { "1s", true, 1000000 }, { "1m30s", true, 90000000 }, { "1.5s", true, 1500000 }, { "100ms", true, 100000 }, { "5µs", true, 5 }, { "5us", true, 5 },
        { "1h", true, 3600000000 }, { "2000ns", true, 2 }, { "", false, 0 }, { "5", false, 0 }, { "s", false, 0 }, { "1x", false, 0 }, { "1.2.3s", false, 0 }, { "-1s", false, 0 },
        { ".s", false, 0 }, { "99999999999999h", false, 0 },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        int64_t us = 0;
        CHECK(duration_parse(str_of(T[i].text), &us) == T[i].ok);
        CHECK_INT(us, T[i].us);
    }
}

TEST(a_seed_gives_its_numbers)
{
    struct rnd a, b;
    rnd_seed(&a, 1), rnd_seed(&b, 1);
    for (int i = 0; i < 1000; i++) {
        uint64_t n = rnd_below(&a, 7);
        CHECK_OR(n < 7 && n == rnd_below(&b, 7));
    }
}

TEST(ages_have_two_units_at_most)
{
    static const struct { int64_t seconds; const char *text; } T[] = {
        { -5, "0s" }, { 0, "0s" }, { 119, "119s" }, { 120, "2m" }, { 200, "3m20s" }, { 1500, "25m" }, { 10800, "3h" }, { 11100, "3h5m" }, { 43200, "12h" },
        { 172800, "2d" }, { 187200, "2d4h" }, { 3456000, "40d" } };
    for (size_t i = 0; i < LEN(T); i++) {
        char text[AGE_TEXT];
        age_print(text, T[i].seconds);
        CHECK_Z(text, T[i].text);
    }
}

TEST(dates_of_http)
{
    char text[TIME_HTTP];
    int64_t us = 0;
    time_print_http(text, 784111777 * INT64_C(1000000) + 999999);
    CHECK_Z(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(time_parse_http(S("Sun, 06 Nov 1994 08:49:37 GMT"), &us) && us == 784111777 * INT64_C(1000000));
    CHECK(time_parse_http(S("Thu, 29 Feb 2024 23:59:59 GMT"), &us) && !time_parse_http(S("Thu, 29 Feb 2023 23:59:59 GMT"), &us));
    CHECK(!time_parse_http(S("Sun, 06 Nov 1994 08:49:37 UTC"), &us) && !time_parse_http(S("Sun, 06 nov 1994 08:49:37 GMT"), &us));
    CHECK(!time_parse_http(S("Sunday, 06-Nov-94 08:49:37 GMT"), &us) && !time_parse_http(S("Sun, 06 Nov 1994 08:49:37 GM"), &us) && !time_parse_http(S(""), &us));
}
