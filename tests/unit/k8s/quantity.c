/* SPDX-License-Identifier: Apache-2.0 */
#include "k8s/quantity.h"
#include "tests/kit/test.h"

TEST(quantity_reads_and_prints_canonically)
{
    static const struct { const char *in, *out; int64_t whole, milli; } rows[] = {
        { "0", "0", 0, 0 }, { "-0", "0", 0, 0 }, { "0Gi", "0", 0, 0 }, { "1", "1", 1, 1000 }, { "+1", "1", 1, 1000 }, { "100m", "100m", 1, 100 },
        { "1.5", "1500m", 2, 1500 }, { "0.1", "100m", 1, 100 }, { ".5", "500m", 1, 500 }, { "5.", "5", 5, 5000 }, { "1000m", "1", 1, 1000 },
        { "1000", "1k", 1000, 1000000 }, { "1500", "1500", 1500, 1500000 }, { "12e6", "12e6", 12000000, 12000000000 }, { "1E3", "1e3", 1000, 1000000 },
        { "1e-3", "1e-3", 1, 1 }, { "1e+3", "1e3", 1000, 1000000 }, { "5E", "5E", 5000000000000000000, INT64_MIN },
        { "1Ki", "1Ki", 1024, 1024000 }, { "1024Ki", "1Mi", 1048576, 1048576000 }, { "1.5Gi", "1536Mi", 1610612736, 1610612736000 },
        { "0.5Gi", "512Mi", 536870912, 536870912000 }, { "0.5Ki", "512", 512, 512000 }, { "1000Ki", "1000Ki", 1024000, 1024000000 },
        { "-1.5", "-1500m", -1, -1500 }, { "-2Ki", "-2Ki", -2048, -2048000 }, { "1u", "1u", 1, 1 }, { "100n", "100n", 1, 1 }, { "0.000000001", "1n", 1, 1 },
        { "7Ei", "7Ei", 8070450532247928832, INT64_MIN }, { "128974848", "128974848", 128974848, 128974848000 }, { "129M", "129M", 129000000, 129000000000 },
        { "123Mi", "123Mi", 128974848, 128974848000 }, { "00012.5000", "12500m", 13, 12500 }, { "0.1Ki", "102400m", 103, 102400 },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct quantity q, back;
        struct kr_err e = { 0 };
        char buf[QUANTITY_TEXT];
        int64_t v = INT64_MIN, m = INT64_MIN;
        if (!CHECK_INT(quantity_parse(str_of(rows[i].in), &q, &e), 0)) CHECK_Z(e.msg, rows[i].in);
        CHECK_STR(quantity_print(&q, buf), str_of(rows[i].out));
        CHECK_INT(quantity_parse(str_of(rows[i].out), &back, &e), 0);
        CHECK_INT(quantity_cmp(&q, &back), 0);
        quantity_whole(&q, &v);
        CHECK_INT(v, rows[i].whole);
        quantity_milli(&q, &m);
        CHECK_INT(m, rows[i].milli);
    }
}

TEST(quantity_order)
{
    static const char *const up[] = { "-9E", "-1Gi", "-1", "-1n", "0", "1n", "1u", "999999n", "1m", "0.5", "1", "1.000000001", "1k", "1Ki", "1M", "1Mi", "1Gi", "1E", "7Ei", "9E" };
    struct kr_err e = { 0 };
    for (size_t i = 0; i < LEN(up); i++)
        for (size_t k = 0; k < LEN(up); k++) {
            struct quantity a, b;
            CHECK_OR(quantity_parse(str_of(up[i]), &a, &e) == 0 && quantity_parse(str_of(up[k]), &b, &e) == 0);
            if (!CHECK_INT(quantity_cmp(&a, &b), (i > k) - (i < k))) CHECK_Z(up[i], up[k]);
        }
}

TEST(quantity_refuses)
{
    static const char *const bad[] = { "", "-", "+", ".", "m", "1 ", " 1", "1x", "1mi", "1K", "1.2.3", "--1", "1e", "1e1.5", "1e+-3", "1eE", "1Kii", "0.1n", "1e-12", "1e99",
        "99999999999999999999", "9Ei1", "99Ei", "8Ei", "-8Ei", "-080Ei", "1,5", "0x10", "1e1000000000000000000000", "\xff" };
    for (size_t i = 0; i < LEN(bad); i++) {
        struct quantity q;
        struct kr_err e = { 0 };
        if (!CHECK_INT(quantity_parse(str_of(bad[i]), &q, &e), -1)) CHECK_Z(bad[i], "refused");
        CHECK_INT(e.code, KR_INVALID);
    }
}
