/* SPDX-License-Identifier: Apache-2.0 */
/* The forms in which the embedded API server takes a body, by its media type. */
#include "tests/kit/api.h"
#include "tests/kit/test.h"

#define CMS "/api/v1/namespaces/default/configmaps"
#define YAML "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n"
#define JSON "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"m\"}}"
#define ACCEPTED "the body of the request was in an unknown format - accepted media types include: "

TEST(the_form_of_a_body_is_what_its_media_type_says)
{
    static const struct { const char *method, *type, *body; int status; } rows[] = {
        { "POST", "application/yaml", YAML "data: {a: b}\n", 201 }, { "PUT", "Application/YAML; charset=utf-8", YAML, 200 },
        { "PUT", "Application/JSON ;charset=utf-8", JSON, 200 }, { "PUT", "", JSON, 200 }, { "PUT", "application/json", YAML, 400 },
        { "PUT", "application/yaml", YAML "---\n" YAML, 400 }, { "PUT", "application/yaml", "", 400 }, { "PUT", "application/yaml", "a: [", 400 },
        { "PUT", "application/yaml", "- a", 400 }, { "PUT", "application/jsonx", JSON, 415 }, { "PUT", "application/merge-patch+json", JSON, 415 },
        { "PATCH", "Application/Merge-Patch+json;a=b", "{\"data\":{\"a\":\"c\"}}", 200 }, { "PATCH", "application/json", "{}", 415 },
        { "PATCH", "application/yaml", "{}", 415 }, { "PATCH", "", "{}", 415 },
        { "PATCH", "Application/Apply-Patch+YAML", YAML, 200 },
    };
    struct kit_api *k = kit_api_new();
    for (size_t i = 0; i < LEN(rows); i++) {
        AUTO_BUF struct buf path = { .max = 200 };
        buf_fmt(&path, CMS "%s?fieldManager=m", *rows[i].method == 'P' && rows[i].method[1] == 'O' ? "" : "/m");
        buf_byte(&path, '\0');
        CHECK_INT(kit_call(k, rows[i].method, path.p, rows[i].type, rows[i].body), rows[i].status);
    }
    CHECK_INT(kit_call(k, "GET", CMS "/m", NULL, NULL), 200);
    CHECK_STR(kit_get(k, "{.data}"), S("{\"a\":\"c\"}"));
    CHECK_INT(kit_call(k, "PUT", CMS "/m", "text/plain", JSON), 415);
    CHECK_STR(kit_get(k, "{.message}"), S(ACCEPTED "application/json, application/yaml, application/vnd.kubernetes.protobuf"));
    CHECK_INT(kit_call(k, "PUT", CMS "/m", "application/yaml", YAML YAML), 400);
    CHECK_STR(kit_get(k, "{.message}"), S("error decoding YAML: line 4, column 1: the key 'apiVersion' is there already, in line 1"));
    kit_api_free(k);
}
