/* SPDX-License-Identifier: Apache-2.0 */
#include "k8s/strategic.h"
#include "k8s/core_schema.h"
#include "tests/kit/test.h"
#include <stdio.h>

TEST(lists_merge_by_key_and_directives_are_obeyed)
{
    static const struct { const char *target, *patch, *want; } T[] = {
        { "{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\",\"image\":\"1\"}]}}", "{\"spec\":{\"containers\":[{\"name\":\"b\",\"image\":\"2\"},{\"name\":\"c\"}]}}",
          "{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\",\"image\":\"2\"},{\"name\":\"c\"}]}}" },
        { "{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}", "{\"spec\":{\"containers\":[{\"$patch\":\"delete\",\"name\":\"a\"}]}}",
          "{\"spec\":{\"containers\":[{\"name\":\"b\"}]}}" },
        { "{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}", "{\"spec\":{\"containers\":[{\"name\":\"z\"},{\"$patch\":\"replace\"}]}}",
          "{\"spec\":{\"containers\":[{\"name\":\"z\"}]}}" },
        { "{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}", "{\"spec\":{\"$setElementOrder/containers\":[{\"name\":\"b\"},{\"name\":\"a\"}],\"containers\":[{\"name\":\"a\",\"image\":\"i\"}]}}",
          "{\"spec\":{\"containers\":[{\"name\":\"b\"},{\"name\":\"a\",\"image\":\"i\"}]}}" },
        { "{\"spec\":{\"containers\":[{\"name\":\"a\",\"args\":[\"1\",\"2\"]}]}}", "{\"spec\":{\"containers\":[{\"name\":\"a\",\"args\":[\"3\"]}]}}",
          "{\"spec\":{\"containers\":[{\"name\":\"a\",\"args\":[\"3\"]}]}}" },
        { "{\"metadata\":{\"finalizers\":[\"a\",\"b\"]}}", "{\"metadata\":{\"finalizers\":[\"b\",\"c\"]}}", "{\"metadata\":{\"finalizers\":[\"a\",\"b\",\"c\"]}}" },
        { "{\"metadata\":{\"finalizers\":[\"a\",\"b\"]}}", "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":[\"a\"]}}", "{\"metadata\":{\"finalizers\":[\"b\"]}}" },
        { "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}}", "{\"spec\":{\"volumes\":[{\"$retainKeys\":[\"name\",\"hostPath\"],\"name\":\"v\",\"hostPath\":{\"path\":\"/x\"}}]}}",
          "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/x\"}}]}}" },
        { "{\"metadata\":{\"labels\":{\"a\":\"1\",\"b\":\"1\"}}}", "{\"metadata\":{\"labels\":{\"a\":null,\"c\":\"1\"}}}", "{\"metadata\":{\"labels\":{\"b\":\"1\",\"c\":\"1\"}}}" },
        { "{\"metadata\":{\"labels\":{\"a\":\"1\"}}}", "{\"metadata\":{\"labels\":{\"$patch\":\"replace\",\"c\":\"1\"}}}", "{\"metadata\":{\"labels\":{\"c\":\"1\"}}}" },
        { "{}", "{\"spec\":{\"$patch\":\"sideways\"}}", "! the directive \"$patch: sideways\" is not one: delete, replace or merge" },
        { "{}", "{\"spec\":{\"containers\":[{\"image\":\"i\"}]}}", "! an item of the list has no \"name\", by which it is merged" },
        { "{}", "{\"$odd\":1}", "! \"$odd\" is no directive of a strategic merge patch" },
        { "{}", "[]", "! a strategic merge patch is an object" },
    };
    const struct model_object *pod = core_schema(S("v1"), S("Pod"));
    CHECK_OR(pod);
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_ARENA struct arena a = { .limit = 1 << 20 };
        AUTO_BUF struct buf b = { .max = 65536 };
        struct kr_err e = { 0 };
        struct json *j = strategic_merge(&a, pod, json_parse(&a, str_of(T[i].target), &e), json_parse(&a, str_of(T[i].patch), &e), &e);
        if (j)
            json_print(&b, j);
        else
            buf_fmt(&b, "! %s", e.msg);
        CHECK_STR(buf_view(&b), str_of(T[i].want));
    }
}

enum { MANY = 12000 };

/* {"HEAD":[{"name":"c0","image":"I"},…]} backwards when asked to. */
static struct json *containers(struct arena *a, const char *image, bool backwards, const char *order)
{
    AUTO_BUF struct buf b = { .max = 4 << 20 };
    struct kr_err e;
    buf_fmt(&b, "{\"spec\":{%s\"containers\":[", order);
    for (int i = 0; i < MANY; i++)
        buf_fmt(&b, "%s{\"name\":\"c%d\",\"image\":\"%s\"}", i ? "," : "", backwards ? MANY - 1 - i : i, image);
    buf_lit(&b, "]}}");
    return json_parse(a, buf_view(&b), &e);
}

/* As long as a request may make them: looking at each for each would not end in time. */
TEST(long_lists_merge_in_any_order)
{
    static const char *const path[] = { "spec", "containers" };
    AUTO_ARENA struct arena a = { .limit = 256 << 20 };
    AUTO_BUF struct buf order = { .max = 4 << 20 };
    const struct model_object *pod = core_schema(S("v1"), S("Pod"));
    struct kr_err e;
    buf_lit(&order, "\"$setElementOrder/containers\":[");
    for (int i = MANY; i-- > 0; )
        buf_fmt(&order, "{\"name\":\"c%d\"}%s", i, i ? "," : "],");
    struct json *old = containers(&a, "1", false, ""), *merged = strategic_merge(&a, pod, old, containers(&a, "2", true, ""), &e);
    CHECK(json_equal(merged, containers(&a, "2", false, "")));
    merged = strategic_merge(&a, pod, old, containers(&a, "3", false, order.p), &e);
    CHECK(json_equal(json_get_path(merged, path, 2), json_get_path(containers(&a, "3", true, ""), path, 2)));
}

TEST(long_lists_of_values_merge_and_are_deleted_from)
{
    AUTO_ARENA struct arena a = { .limit = 256 << 20 };
    AUTO_BUF struct buf there = { .max = 4 << 20 }, more = { .max = 4 << 20 }, keys = { .max = 4 << 20 };
    const struct model_object *pod = core_schema(S("v1"), S("Pod"));
    struct kr_err e;
    buf_lit(&there, "{\"metadata\":{\"finalizers\":[");
    buf_lit(&more, "{\"metadata\":{\"finalizers\":[");
    buf_lit(&keys, "{\"metadata\":{\"$retainKeys\":[");
    for (int i = 0; i < 4 * MANY; i++) {
        buf_fmt(&there, "%s\"f%d\"", i ? "," : "", i);
        buf_fmt(&more, "%s\"f%d\"", i ? "," : "", 5 * MANY - i);
        buf_fmt(&keys, "%s\"k%d\"", i ? "," : "", i);
    }
    buf_lit(&there, "]}}");
    buf_lit(&more, "]}}");
    struct json *old = json_parse(&a, buf_view(&there), &e);
    struct json *all = strategic_merge(&a, pod, old, json_parse(&a, buf_view(&more), &e), &e);
    CHECK_INT(json_len(json_get(json_get(all, "metadata"), "finalizers")), 5 * MANY + 1);
    struct str list = str_from(buf_view(&there), sizeof "{\"metadata\":{\"finalizers\":" - 1);
    struct json *rest = strategic_merge(&a, pod, all, json_parse(&a, arena_fmt(&a, "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":%.*s", SFMT(list)), &e), &e);
    CHECK_INT(json_len(json_get(json_get(rest, "metadata"), "finalizers")), MANY + 1);
    buf_lit(&keys, "],\"labels\":{}}}");
    CHECK(!json_len(json_get(strategic_merge(&a, pod, rest, json_parse(&a, buf_view(&keys), &e), &e), "metadata")));
}
