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
