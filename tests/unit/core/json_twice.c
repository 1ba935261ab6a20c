/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that an object has twice, by path. */
#include "core/json.h"
#include "tests/kit/test.h"

static void note(void *ctx, struct str path)
{
    buf_fmt(ctx, "%.*s ", SFMT(path));
}

static struct str twice_in(const char *text)
{
    static struct buf all;
    struct kr_err e = { 0 };
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    bool twice = false;
    all.max = 4096;
    buf_clear(&all);
    CHECK(json_parse_keys(&a, str_of(text), &twice, &e) != NULL);
    json_twice(str_of(text), note, &all);
    CHECK(twice == (all.n > 0));
    return buf_view(&all);
}

TEST(keys_that_are_there_twice_by_path)
{
    CHECK_STR(twice_in("{\"a\":1,\"b\":{\"a\":2}}"), S(""));
    CHECK_STR(twice_in("{\"a\":1,\"a\":2}"), S("a "));
    CHECK_STR(twice_in("{\"a\":1,\"a\":2,\"a\":3}"), S("a a "));
    CHECK_STR(twice_in("{\"s\":{\"c\":[{\"n\":1},{\"n\":1,\"x\":[[{}]],\"n\":2}]}}"), S("s.c[1].n "));
    CHECK_STR(twice_in("[{\"a\":{\"b\":1,\"b\":1},\"a\":1}]"), S("[0].a.b [0].a "));
    CHECK_STR(twice_in("7"), S(""));
}
