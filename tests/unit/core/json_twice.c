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

/* Some of the first 64 are there twice, so that fewer members are kept than were read; then come more. */
TEST(the_last_of_each_key_wins_in_objects_of_any_size)
{
    for (int keys = 20; keys < 80; keys += 3) {
        AUTO_ARENA struct arena a = { .limit = 1 << 20 };
        AUTO_BUF struct buf b = { .max = 65536 };
        struct kr_err e = { 0 };
        buf_lit(&b, "{");
        for (int round = 0; round < 2; round++)
            for (int i = 0; i < keys; i++) buf_fmt(&b, "%s\"k%d\":%d,\"\":%d", i || round ? "," : "", i, round, i);
        buf_lit(&b, "}");
        struct json *j = json_parse(&a, buf_view(&b), &e);
        CHECK_INT(json_len(j), keys + 1);
        int64_t n;
        for (struct json *m = json_first(j); m; m = json_next(m)) CHECK_OR(json_int(m, &n) && n == (json_key(m).n ? 1 : keys - 1));
    }
}
