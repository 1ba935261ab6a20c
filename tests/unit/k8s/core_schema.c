/* SPDX-License-Identifier: Apache-2.0 */
#include "k8s/core_schema.h"
#include "tests/kit/test.h"
#include <stdio.h>

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

/* A body of that kind with these bytes (fewer than 128), and what follows in Unknown; as JSON, or the code of the error. */
static struct json *body_of(struct arena *a, const char *kind, struct str raw, struct str behind, struct kr_err *e)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    size_t n = strlen(kind);
    *e = (struct kr_err){ 0 };
    buf_add(&b, "k8s\0\n", 5);
    buf_fmt(&b, "%c\n\x02v1\x12%c%s\x12%c", (int)n + 6, (int)n, kind, (int)raw.n);
    buf_str(&b, raw);
    buf_str(&b, behind);
    return core_from_protobuf(a, buf_view(&b), e);
}

TEST(protobuf_fields_that_are_wrong)
{
    static const struct { const char *kind; struct str raw; } cases[] = {
        { "ConfigMap", S("\x08\x01") },                                      /* a message as a number */
        { "ConfigMap", S("\x10\x01") },                                      /* a map as a number */
        { "ConfigMap", S("\n\x02\x08\x01") },                                /* a string as a number */
        { "ConfigMap", S("\n\x03:\x01x") },                                  /* a number as a string */
        { "ConfigMap", S("\x12\x02\x08\x01") },                              /* a key as a number */
        { "ConfigMap", S("\x12\x05\n\x01k\x10\x01") },                       /* a value as a number */
        { "ConfigMap", S("\x12\x03\n\x01\xff") },                            /* a key that is no UTF-8 */
        { "ConfigMap", S("\n\x0d" "B\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x10") },       /* cut in its time */
        { "ConfigMap", S("\n\x0c" "B\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f") },           /* 2^63-1 seconds */
        { "ConfigMap", S("\n\x08" "B\x06\x10\x80\x94\xeb\xdc\x03") },        /* a second of nanoseconds */
        { "ConfigMap", S("\n\x03" "B\x01\x08") },
        { "ConfigMap", S("\x82\x80\x80\x80\x10\x01x") },                     /* field 2^29 */
        { "ConfigMap", S("\x02\x01x") }, { "ConfigMap", S("\x0b\x0c") }, { "ConfigMap", S("\x0e") }, { "ConfigMap", S("\x0f") },
        { "Pod\xff", S("") },
        { "Pod", S("\x12\x03:\x01\x08") },
        { "Pod", S("\x12\x03:\x01\x0b") },
    };
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct kr_err e;
    for (size_t i = 0; i < LEN(cases); i++)
        if (!CHECK(!body_of(&a, cases[i].kind, cases[i].raw, S(""), &e)) || !CHECK(e.code == KR_BAD_REQUEST))
            printf("case %zu\n", i);
    CHECK(!body_of(&a, "ConfigMap", S(""), S("\x1a\x04gzip"), &e) && e.code == KR_UNSUPPORTED);
}

TEST(protobuf_fields_that_come_twice)
{
    static const struct { struct str raw; const char *want; } cases[] = {
        { S("\n\x05\n\x03one\n\x05\n\x03two"), "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"two\"}}" },
        { S("\n\x05\n\x03one\n\x04\x1a\x02ns"), "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"one\",\"namespace\":\"ns\"}}" },
        { S("\n\x05\n\x03one\n\x02\n\x00"), "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{}}" },      /* the last is empty */
        { S("\x12\x06\n\x01k\x12\x01" "a\x12\x06\n\x01k\x12\x01" "b"), "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"data\":{\"k\":\"b\"}}" },
    };
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct kr_err e;
    for (size_t i = 0; i < LEN(cases); i++) {
        AUTO_BUF struct buf b = { .max = 4096 };
        struct json *j = body_of(&a, "ConfigMap", cases[i].raw, S(""), &e);
        if (CHECK(j)) {
            json_print(&b, j);
            CHECK_STR(buf_view(&b), str_of(cases[i].want));
        }
    }
}
