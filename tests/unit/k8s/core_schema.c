/* SPDX-License-Identifier: Apache-2.0 */
#include "k8s/core_schema.h"
#include "tests/kit/test.h"

static const struct model_field *field(const struct model_object *o, const char *name)
{
    const struct model_field *f = o ? model_find(o, str_of(name)) : NULL;
    CHECK(f);
    return f;
}

TEST(kinds_are_found_and_types_followed)
{
    const struct model_object *pod = core_schema(S("v1"), S("Pod"));
    CHECK_OR(pod && core_schema(S("apps/v1"), S("Deployment")) && core_schema(S("rbac.authorization.k8s.io/v1"), S("Role")));
    CHECK(!core_schema(S("v1"), S("Nothing")) && !core_schema(S("kruntimes.io/v1alpha1"), S("Run")) && core_schema(S("v1"), S("Pod")) == pod);
    const struct model_object *spec = field(pod, "spec")->s.object, *container = model_item(&field(spec, "containers")->s)->object;
    CHECK_STR(str_of(core_schema_name(spec)), S("core/v1.PodSpec"));
    CHECK_STR(str_of(field(spec, "containers")->s.list), S("map:name"));
    CHECK_STR(str_of(field(container, "ports")->s.list), S("map:containerPort,protocol"));
    CHECK(field(spec, "containers")->s.required && field(container, "image")->s.shape == MODEL_TEXT && field(spec, "nodeSelector")->s.shape == MODEL_MAP);
    const struct model_object *volume = model_item(&field(spec, "volumes")->s)->object;
    CHECK(field(volume, "emptyDir")->s.shape == MODEL_OBJECT);           /* inlined in Go */
    CHECK_STR(str_of(core_merge_of(container, S("ports")).key), S("containerPort"));
    CHECK(core_merge_of(spec, S("volumes")).retain_keys && !core_merge_of(spec, S("tolerations")).merge);
}

/* A ConfigMap as client-go sends it: k8s\0, Unknown{TypeMeta{v1 ConfigMap}, raw}. */
TEST(protobuf_bodies_are_read)
{
    static const char body[] = "k8s\0\n\x0f\n\x02v1\x12\tConfigMap\x12\x20\n\x12\n\x02" "cm\x12\x00\x1a\x00\"\x00*\x00\x32\x00\x38\x00\x42\x00\x12\n\n\x03key\x12\x03val";
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    AUTO_BUF struct buf b = { .max = 4096 };
    struct kr_err e = { 0 };
    struct str whole = { body, sizeof body - 1 };
    struct json *j = core_from_protobuf(&a, whole, &e);
    if (CHECK(j)) {
        json_print(&b, j);
        CHECK_STR(buf_view(&b), S("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"cm\"},\"data\":{\"key\":\"val\"}}"));
    }
    for (size_t n = 0; n < whole.n; n++) {               /* no cut reads beyond its end */
        AUTO_FREE char *cut = xmalloc(n + 1);
        memcpy(cut, body, n);
        core_from_protobuf(&a, (struct str){ cut, n }, &e);
    }
    CHECK(!core_from_protobuf(&a, S("{}"), &e) && e.code == KR_BAD_REQUEST);
    static const char other[] = "k8s\0\n\x0a\n\x02v1\x12\x04None\x12\x00";
    CHECK(!core_from_protobuf(&a, (struct str){ other, sizeof other - 1 }, &e) && e.code == KR_UNSUPPORTED);
}
