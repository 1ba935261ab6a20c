/* SPDX-License-Identifier: Apache-2.0 */
#include "k8s/patch.h"
#include "tests/kit/test.h"

static struct json *parse(struct arena *a, const char *text)
{
    struct kr_err e = { 0 };
    struct json *j = json_parse(a, str_of(text), &e);
    if (!CHECK(j)) CHECK_Z(e.msg, text);
    return j;
}

TEST(patch_merge_examples_of_rfc_7396)
{
    static const struct { const char *target, *patch, *want; } rows[] = {
        { "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
        { "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
        { "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
        { "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
        { "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
        { "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
        { "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
        { "{\"a\":\"foo\"}", "null", "null" },
        { "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
        { "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
        { "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
        { "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
        { "{\"n\":12345678901234567890123}", "{\"m\":0.10}", "{\"n\":12345678901234567890123,\"m\":0.10}" },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        AUTO_ARENA struct arena a = { .limit = 65536 };
        AUTO_BUF struct buf b = { .max = 4096 };
        struct kr_err e = { 0 };
        struct json *target = parse(&a, rows[i].target), *out = patch_merge(&a, target, parse(&a, rows[i].patch), &e);
        json_print(&b, out);
        CHECK_STR(buf_view(&b), str_of(rows[i].want));
        buf_clear(&b);
        json_print(&b, target);
        CHECK_STR(buf_view(&b), str_of(rows[i].target));
    }
}

/* The shape of the public json-patch-tests: a document, a patch, and what must come of it (NULL: refused). */
static const struct { const char *doc, *patch, *want; enum patch_failure why; } rows_json[] = {
    { "{}", "[]", "{}", PATCH_OK },
    { "[]", "[]", "[]", PATCH_OK },
    { "{\"foo\":1}", "[]", "{\"foo\":1}", PATCH_OK },
    { "{}", "{}", NULL, PATCH_MALFORMED },
    { "{}", "[1]", NULL, PATCH_MALFORMED },
    { "{}", "[{\"op\":\"spam\",\"path\":\"\"}]", NULL, PATCH_UNKNOWN_OP },
    { "{}", "[{\"path\":\"\"}]", NULL, PATCH_MALFORMED },
    { "{}", "[{\"op\":\"add\",\"value\":1}]", NULL, PATCH_MALFORMED },
    { "{}", "[{\"op\":\"add\",\"path\":null,\"value\":1}]", NULL, PATCH_MALFORMED },
    { "{}", "[{\"op\":\"add\",\"path\":\"a\",\"value\":1}]", NULL, PATCH_MALFORMED },
    { "{}", "[{\"op\":\"add\",\"path\":\"/a\"}]", NULL, PATCH_MALFORMED },
    { "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/a\"}]", NULL, PATCH_MALFORMED },
    { "{\"a\":null}", "[{\"op\":\"test\",\"path\":\"/a\"}]", NULL, PATCH_MALFORMED },
    { "{\"a\":1}", "[{\"op\":\"copy\",\"path\":\"/b\"}]", NULL, PATCH_MALFORMED },
    { "{\"a\":1}", "[{\"op\":\"move\",\"path\":\"/b\"}]", NULL, PATCH_MALFORMED },
    { "{}", "[{\"op\":\"add\",\"path\":\"/a~2\",\"value\":1}]", NULL, PATCH_MALFORMED },
    { "{}", "[{\"op\":\"add\",\"path\":\"/a~\",\"value\":1}]", NULL, PATCH_MALFORMED },
    /* add */
    { "{\"foo\":1}", "[{\"op\":\"add\",\"path\":\"/bar\",\"value\":[1,{}]}]", "{\"foo\":1,\"bar\":[1,{}]}", PATCH_OK },
    { "{\"foo\":1}", "[{\"op\":\"add\",\"path\":\"/foo\",\"value\":null}]", "{\"foo\":null}", PATCH_OK },
    { "{\"foo\":1}", "[{\"op\":\"add\",\"path\":\"\",\"value\":[]}]", "[]", PATCH_OK },
    { "{\"foo\":1}", "[{\"op\":\"add\",\"path\":\"/\",\"value\":2}]", "{\"foo\":1,\"\":2}", PATCH_OK },
    { "{\"foo\":{}}", "[{\"op\":\"add\",\"path\":\"/foo/\",\"value\":2}]", "{\"foo\":{\"\":2}}", PATCH_OK },
    { "[\"a\"]", "[{\"op\":\"add\",\"path\":\"/0\",\"value\":\"b\"}]", "[\"b\",\"a\"]", PATCH_OK },
    { "[\"a\"]", "[{\"op\":\"add\",\"path\":\"/1\",\"value\":\"b\"}]", "[\"a\",\"b\"]", PATCH_OK },
    { "[\"a\"]", "[{\"op\":\"add\",\"path\":\"/-\",\"value\":[\"b\"]}]", "[\"a\",[\"b\"]]", PATCH_OK },
    { "[]", "[{\"op\":\"add\",\"path\":\"/0\",\"value\":1},{\"op\":\"add\",\"path\":\"/0\",\"value\":2}]", "[2,1]", PATCH_OK },
    { "[1,2]", "[{\"op\":\"add\",\"path\":\"/1\",\"value\":9}]", "[1,9,2]", PATCH_OK },
    { "[1,2]", "[{\"op\":\"add\",\"path\":\"/3\",\"value\":9}]", NULL, PATCH_NO_TARGET },
    { "[1,2]", "[{\"op\":\"add\",\"path\":\"/01\",\"value\":9}]", NULL, PATCH_NO_TARGET },
    { "[1,2]", "[{\"op\":\"add\",\"path\":\"/-1\",\"value\":9}]", NULL, PATCH_NO_TARGET },
    { "[1,2]", "[{\"op\":\"add\",\"path\":\"/1e0\",\"value\":9}]", NULL, PATCH_NO_TARGET },
    { "[1,2]", "[{\"op\":\"add\",\"path\":\"/99999999999999999999\",\"value\":9}]", NULL, PATCH_NO_TARGET },
    { "[1,2]", "[{\"op\":\"add\",\"path\":\"/x\",\"value\":9}]", NULL, PATCH_NO_TARGET },
    { "{\"q\":1}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":1}]", NULL, PATCH_NO_TARGET },
    { "{\"q\":\"s\"}", "[{\"op\":\"add\",\"path\":\"/q/b\",\"value\":1}]", NULL, PATCH_NO_TARGET },
    { "{\"0\":1}", "[{\"op\":\"add\",\"path\":\"/0\",\"value\":2}]", "{\"0\":2}", PATCH_OK },
    { "{\"-\":{}}", "[{\"op\":\"add\",\"path\":\"/-/-\",\"value\":2}]", "{\"-\":{\"-\":2}}", PATCH_OK },
    { "{\"a/b\":{\"c~d\":1}}", "[{\"op\":\"replace\",\"path\":\"/a~1b/c~0d\",\"value\":2}]", "{\"a/b\":{\"c~d\":2}}", PATCH_OK },
    { "{\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}]", "{\"~1\":10}", PATCH_OK },
    /* remove */
    { "{\"a\":1,\"b\":[1,2]}", "[{\"op\":\"remove\",\"path\":\"/b/0\"}]", "{\"a\":1,\"b\":[2]}", PATCH_OK },
    { "{\"a\":1,\"b\":2}", "[{\"op\":\"remove\",\"path\":\"/a\"}]", "{\"b\":2}", PATCH_OK },
    { "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/b\"}]", NULL, PATCH_NO_TARGET },
    { "[1]", "[{\"op\":\"remove\",\"path\":\"/1\"}]", NULL, PATCH_NO_TARGET },
    { "[1]", "[{\"op\":\"remove\",\"path\":\"/-\"}]", NULL, PATCH_NO_TARGET },
    { "[1]", "[{\"op\":\"remove\",\"path\":\"\"}]", NULL, PATCH_NO_TARGET },
    /* replace */
    { "{\"a\":1,\"b\":2}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":null}]", "{\"a\":null,\"b\":2}", PATCH_OK },
    { "[1,2,3]", "[{\"op\":\"replace\",\"path\":\"/1\",\"value\":9}]", "[1,9,3]", PATCH_OK },
    { "[1,2,3]", "[{\"op\":\"replace\",\"path\":\"/2\",\"value\":9}]", "[1,2,9]", PATCH_OK },
    { "[1]", "[{\"op\":\"replace\",\"path\":\"/1\",\"value\":9}]", NULL, PATCH_NO_TARGET },
    { "[1]", "[{\"op\":\"replace\",\"path\":\"/-\",\"value\":9}]", NULL, PATCH_NO_TARGET },
    { "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":9}]", NULL, PATCH_NO_TARGET },
    { "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":9}]", "9", PATCH_OK },
    /* move, copy */
    { "{\"a\":1,\"b\":{}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b/c\"}]", "{\"b\":{\"c\":1}}", PATCH_OK },
    { "[1,2,3]", "[{\"op\":\"move\",\"from\":\"/0\",\"path\":\"/2\"}]", "[2,3,1]", PATCH_OK },
    { "[1,2,3]", "[{\"op\":\"move\",\"from\":\"/0\",\"path\":\"/3\"}]", NULL, PATCH_NO_TARGET },
    { "{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a\"}]", "{\"a\":1}", PATCH_OK },
    { "{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", NULL, PATCH_NO_TARGET },
    { "{\"a\":1,\"ab\":{}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/ab/c\"}]", "{\"ab\":{\"c\":1}}", PATCH_OK },
    { "{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a/b\",\"path\":\"\"}]", "1", PATCH_OK },
    { "{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/x\",\"path\":\"/b\"}]", NULL, PATCH_NO_TARGET },
    { "{\"a\":{\"b\":1}}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/c\"}]", "{\"a\":{\"b\":1,\"c\":{\"b\":1}}}", PATCH_OK },
    { "{\"a\":[1]}", "[{\"op\":\"copy\",\"from\":\"\",\"path\":\"/a/-\"}]", "{\"a\":[1,{\"a\":[1]}]}", PATCH_OK },
    { "{\"a\":1}", "[{\"op\":\"copy\",\"from\":\"/b\",\"path\":\"/c\"}]", NULL, PATCH_NO_TARGET },
    /* test */
    { "{\"a\":{\"x\":1,\"y\":[1.0,2]}}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":{\"y\":[1,2],\"x\":1e0}}]", "{\"a\":{\"x\":1,\"y\":[1,2]}}", PATCH_OK },
    { "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":\"1\"}]", NULL, PATCH_TEST_FAILED },
    { "{\"a\":[1,2]}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":[2,1]}]", NULL, PATCH_TEST_FAILED },
    { "{\"a\":null}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":null}]", "{\"a\":null}", PATCH_OK },
    { "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/b\",\"value\":null}]", NULL, PATCH_TEST_FAILED },
    { "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/b/c\",\"value\":null}]", NULL, PATCH_TEST_FAILED },
    { "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"\",\"value\":{\"a\":1}}]", "{\"a\":1}", PATCH_OK },
    { "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":2},{\"op\":\"test\",\"path\":\"/a\",\"value\":1}]", NULL, PATCH_TEST_FAILED },
};

TEST(patch_json_cases)
{
    for (size_t i = 0; i < LEN(rows_json); i++) {
        AUTO_ARENA struct arena a = { .limit = 65536 };
        AUTO_BUF struct buf b = { .max = 4096 }, before = { .max = 4096 };
        struct kr_err e = { 0 };
        enum patch_failure why = PATCH_OK;
        struct json *doc = parse(&a, rows_json[i].doc);
        json_print(&before, doc);
        struct json *out = patch_json(&a, doc, parse(&a, rows_json[i].patch), &why, &e);
        if (!CHECK_INT(why, rows_json[i].why) || !CHECK(!out == !rows_json[i].want)) CHECK_Z(e.msg, rows_json[i].patch);
        if (out) json_print(&b, out), CHECK_STR(buf_view(&b), str_of(rows_json[i].want));
        buf_clear(&b);
        json_print(&b, doc);
        CHECK_STR(buf_view(&b), buf_view(&before));
    }
}

TEST(patch_errors_name_the_operation_and_its_path)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct kr_err e = { 0 };
    struct json *doc = parse(&a, "{\"a\":1}");
    patch_json(&a, doc, parse(&a, "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1},{\"op\":\"replace\",\"path\":\"/b\",\"value\":1}]"), NULL, &e);
    CHECK_Z(e.msg, "operation 1 (replace '/b'): no such member");
    CHECK_INT(e.code, KR_INVALID);
    patch_json(&a, doc, parse(&a, "[{\"op\":\"add\",\"path\":\"b\",\"value\":1}]"), NULL, &e);
    CHECK_Z(e.msg, "operation 0 (add 'b'): a path begins with '/'");
    CHECK_INT(e.code, KR_BAD_REQUEST);
}

static void repeat(struct buf *b, const char *op, int n)
{
    buf_lit(b, "[");
    for (int i = 0; i < n; i++) buf_fmt(b, "%s%s", i ? "," : "", op);
    buf_lit(b, "]");
}

TEST(patch_that_copies_its_copies_is_refused)
{
    static const char *const ops[] = {
        "{\"op\":\"copy\",\"from\":\"\",\"path\":\"/a\"}",             /* deeper each time */
        "{\"op\":\"copy\",\"from\":\"/w\",\"path\":\"/w/-\"}",         /* deeper and wider */
        "{\"op\":\"copy\",\"from\":\"/l\",\"path\":\"/l/-\"}",
    };
    for (size_t i = 0; i < LEN(ops); i++) {
        AUTO_ARENA struct arena a = { .limit = 1 << 20 }, p = { .limit = 1 << 20 };
        AUTO_BUF struct buf b = { .max = 1 << 20 };
        struct kr_err e = { 0 };
        enum patch_failure why = PATCH_OK;
        repeat(&b, ops[i], 100);
        CHECK(!patch_json(&a, parse(&a, "{\"w\":[[1],[2]],\"l\":[0]}"), json_parse(&p, buf_view(&b), &e), &why, &e));
        CHECK_INT(why, PATCH_TOO_LARGE);
        CHECK_INT(e.code, KR_TOO_LARGE);
    }
}

TEST(patch_of_too_many_operations_is_refused)
{
    for (int extra = 0; extra < 2; extra++) {
        AUTO_ARENA struct arena a = { .limit = 1 << 20 }, p = { .limit = 64 << 20 };
        AUTO_BUF struct buf b = { .max = 1 << 20 };
        struct kr_err e = { 0 };
        repeat(&b, "{\"op\":\"test\",\"path\":\"\",\"value\":1}", LIMIT_PATCH_OPS + extra);
        CHECK_INT(!patch_json(&a, parse(&a, "1"), json_parse(&p, buf_view(&b), &e), NULL, &e), extra);
    }
}

TEST(patch_that_takes_too_long_is_refused)
{
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    struct kr_err e = { 0 };
    enum patch_failure why = PATCH_OK;
    repeat(&b, "0", 10000);
    struct json *doc = json_parse(&a, buf_view(&b), &e);
    buf_clear(&b);
    repeat(&b, "{\"op\":\"test\",\"path\":\"/-\",\"value\":0}", 1);
    CHECK(!patch_json(&a, doc, json_parse(&a, buf_view(&b), &e), &why, &e));
    CHECK_INT(why, PATCH_TEST_FAILED);
    buf_clear(&b);
    repeat(&b, "{\"op\":\"test\",\"path\":\"/9999\",\"value\":0}", 5000);
    CHECK(!patch_json(&a, doc, json_parse(&a, buf_view(&b), &e), &why, &e));
    CHECK_INT(why, PATCH_TOO_LARGE);
}

TEST(patch_pointers_of_rfc_6901)
{
    static const struct { const char *pointer, *want; } rows[] = {
        { "/foo", "[\"bar\",\"baz\"]" }, { "/foo/0", "\"bar\"" }, { "/", "0" }, { "/a~1b", "1" }, { "/c%d", "2" }, { "/ ", "7" },
        { "/m~0n", "8" }, { "/foo/2", NULL }, { "/foo/-", NULL }, { "foo", NULL }, { "/x/y", NULL }, { "/m~2n", NULL },
    };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct json *doc = parse(&a, "{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\" \":7,\"m~n\":8}");
    CHECK(patch_pointer(doc, S("")) == doc);
    for (size_t i = 0; i < LEN(rows); i++) {
        AUTO_BUF struct buf b = { .max = 4096 };
        struct json *j = patch_pointer(doc, str_of(rows[i].pointer));
        CHECK_OR(!j == !rows[i].want);
        if (j) json_print(&b, j), CHECK_STR(buf_view(&b), str_of(rows[i].want));
    }
}
