/* SPDX-License-Identifier: Apache-2.0 */
/* Server-side apply and managed fields, as a client of the embedded API server sees them. */
#include "tests/kit/api.h"
#include "tests/kit/test.h"
#include <stdio.h>

#define CM "/api/v1/namespaces/default/configmaps/c"
#define RUNTIME "/apis/kruntimes.io/v1alpha1/namespaces/default/runtimes/r"
#define APPLY "application/apply-patch+yaml"
#define MERGE "application/merge-patch+json"

static int apply(struct kit_api *k, const char *manager, const char *data)
{
    char path[256], body[1024];
    snprintf(path, sizeof path, CM "?fieldManager=%s", manager);
    snprintf(body, sizeof body, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {%s}\n", data);
    return kit_call(k, "PATCH", path, APPLY, body);
}

static struct str data(struct kit_api *k)
{
    kit_call(k, "GET", CM, NULL, NULL);
    return kit_get(k, "{.data}");
}

/* "manager operation fieldsV1", one a line. */
static struct str managers(struct kit_api *k, const char *path)
{
    kit_call(k, "GET", path, NULL, NULL);
    return kit_get(k, "{range .metadata.managedFields[*]}{.manager} {.operation}{.subresource} {.fieldsV1}{\"\\n\"}{end}");
}

TEST(apply_creates_changes_and_takes_away)
{
    struct kit_api *k = kit_api_new();
    CHECK_INT(apply(k, "a", "x: '1', w: '2'"), 201);
    CHECK_INT(apply(k, "a", "x: '1', w: '2'"), 200);
    struct str version = kit_get(k, "{.metadata.resourceVersion}");
    char before[32];
    snprintf(before, sizeof before, "%.*s", SFMT(version));
    CHECK_INT(apply(k, "a", "w: '2', x: '1'"), 200);
    CHECK_STR(kit_get(k, "{.metadata.resourceVersion}"), str_of(before));        /* nothing changed, nothing is written */
    CHECK_INT(apply(k, "a", "x: '3', z: '4'"), 200);
    CHECK_STR(data(k), S("{\"x\":\"3\",\"z\":\"4\"}"));
    CHECK_STR(managers(k, CM), S("a Apply {\"f:data\":{\"f:x\":{},\"f:z\":{}}}\n"));
    kit_api_free(k);
}

TEST(conflicts_force_and_sharing)
{
    struct kit_api *k = kit_api_new();
    CHECK_INT(apply(k, "a", "x: '1', w: '1'"), 201);
    CHECK_INT(apply(k, "b", "x: '1', z: '1'"), 200);                             /* the same value is shared */
    CHECK_INT(apply(k, "b", "x: '2', w: '2', z: '1'"), 409);
    CHECK_STR(kit_get(k, "{.message}"), S("Apply failed with 2 conflicts: conflicts with \"a\":\n- .data.w\n- .data.x"));
    CHECK_STR(kit_get(k, "{.reason} {.details.causes[1].reason} {.details.causes[1].field} {.details.causes[1].message}"),
              S("Conflict FieldManagerConflict .data.x conflict with \"a\""));
    CHECK_INT(kit_call(k, "PATCH", CM "?fieldManager=b&force=true", APPLY, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {x: '2', z: '1'}}"), 200);
    CHECK_STR(managers(k, CM), S("a Apply {\"f:data\":{\"f:w\":{}}}\nb Apply {\"f:data\":{\"f:x\":{},\"f:z\":{}}}\n"));
    CHECK_INT(apply(k, "a", "w: '1'"), 200);                                     /* x isn't a's any more: it stays */
    CHECK_STR(data(k), S("{\"x\":\"2\",\"w\":\"1\",\"z\":\"1\"}"));
    CHECK_INT(apply(k, "b", "z: '1'"), 200);
    CHECK_STR(data(k), S("{\"w\":\"1\",\"z\":\"1\"}"));
    kit_api_free(k);
}

TEST(other_writes_take_fields_over)
{
    struct kit_api *k = kit_api_new();
    CHECK_INT(kit_post(k, "/api/v1/namespaces/default/configmaps?fieldManager=made",
                       "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\",\"labels\":{\"l\":\"1\"}},\"data\":{\"x\":\"1\",\"y\":\"1\"}}"), 201);
    CHECK_STR(managers(k, CM), S("made Update {\"f:data\":{\".\":{},\"f:x\":{},\"f:y\":{}},\"f:metadata\":{\"f:labels\":{\".\":{},\"f:l\":{}}}}\n"));
    CHECK_INT(kit_call(k, "PATCH", CM "?fieldManager=p", MERGE, "{\"data\":{\"x\":\"2\",\"y\":null}}"), 200);
    CHECK_STR(managers(k, CM), S("made Update {\"f:data\":{},\"f:metadata\":{\"f:labels\":{\".\":{},\"f:l\":{}}}}\np Update {\"f:data\":{\"f:x\":{}}}\n"));
    CHECK_INT(apply(k, "a", "x: '3'"), 409);
    CHECK_STR(kit_get(k, "{.message}"), S("Apply failed with 1 conflict: conflict with \"p\" using v1: .data.x"));
    CHECK_INT(kit_call(k, "PATCH", CM, MERGE, "{\"data\":{\"y\":\"9\"}}"), 200);          /* who doesn't say is known by the client's name */
    CHECK_STR(managers(k, CM), S("made Update {\"f:data\":{},\"f:metadata\":{\"f:labels\":{\".\":{},\"f:l\":{}}}}\np Update {\"f:data\":{\"f:x\":{}}}\n"
                                 "unknown Update {\"f:data\":{\"f:y\":{}}}\n"));
    CHECK_INT(kit_call(k, "PATCH", CM, MERGE, "{\"metadata\":{\"managedFields\":[{}]}}"), 200);
    CHECK_STR(managers(k, CM), S(""));
    CHECK_INT(apply(k, "a", "x: '3'"), 409);
    CHECK_STR(kit_get(k, "{.message}"), S("Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.x"));
    kit_api_free(k);
}

/* Who doesn't say a name is known by the first word of its User-Agent, from the creation on. */
TEST(writers_without_a_field_manager)
{
    struct kit_api *k = kit_api_new();
    k->agent = "maker/v1.2 (linux/amd64)";
    CHECK_INT(kit_post(k, "/api/v1/namespaces/default/configmaps", "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\"},\"data\":{\"x\":\"1\",\"y\":\"1\"}}"),
              201);
    CHECK_STR(managers(k, CM), S("maker Update {\"f:data\":{\".\":{},\"f:x\":{},\"f:y\":{}}}\n"));
    k->agent = "patcher";
    CHECK_INT(kit_call(k, "PATCH", CM, MERGE, "{\"data\":{\"x\":\"2\"}}"), 200);
    k->agent = "replacer/1";
    CHECK_INT(kit_call(k, "PUT", CM, NULL, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\"},\"data\":{\"x\":\"2\",\"y\":\"1\",\"z\":\"3\"}}"), 200);
    CHECK_STR(managers(k, CM), S("maker Update {\"f:data\":{\".\":{},\"f:y\":{}}}\npatcher Update {\"f:data\":{\"f:x\":{}}}\n"
                                 "replacer Update {\"f:data\":{\"f:z\":{}}}\n"));
    CHECK_INT(apply(k, "a", "x: '3'"), 409);
    CHECK_STR(kit_get(k, "{.message}"), S("Apply failed with 1 conflict: conflict with \"patcher\" using v1: .data.x"));
    CHECK_INT(kit_call(k, "PATCH", CM, MERGE, "{\"data\":{\"x\":\"2\"}}"), 200);              /* nothing changes, nobody owns more */
    CHECK(str_find(managers(k, CM), S("replacer Update {\"f:data\":{\"f:z\":{}}}\n")) >= 0);
    k->agent = "status/2";
    CHECK_INT(kit_post(k, "/apis/kruntimes.io/v1alpha1/namespaces/default/runs", "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Run\",\"metadata\":{\"name\":\"r\"},"
                          "\"spec\":{\"runtime\":\"bash\",\"args\":[\"true\"]}}"), 201);
    CHECK_INT(kit_call(k, "PATCH", "/apis/kruntimes.io/v1alpha1/namespaces/default/runs/r/status", MERGE, "{\"status\":{\"phase\":\"Pending\"}}"), 200);
    CHECK(str_find(managers(k, "/apis/kruntimes.io/v1alpha1/namespaces/default/runs/r"), S("status Updatestatus {\"f:status\":{\".\":{},\"f:phase\":{}}}\n")) >= 0);
    kit_api_free(k);
}

TEST(lists_with_keys_are_merged_by_them)
{
    struct kit_api *k = kit_api_new();
    const char *body = "apiVersion: kruntimes.io/v1alpha1\nkind: Runtime\nmetadata: {name: r, finalizers: [a.io/one]}\nspec:\n  template:\n    spec:\n"
                       "      containers:\n      - {name: runtime, image: bash, env: [{name: A, value: '1'}]}\n";
    const char *two = "apiVersion: kruntimes.io/v1alpha1\nkind: Runtime\nmetadata: {name: r, finalizers: [a.io/two]}\nspec:\n  template:\n    spec:\n"
                      "      containers:\n      - {name: runtime, image: bash}\n      - {name: more, image: x}\n";
    CHECK_INT(kit_call(k, "PATCH", RUNTIME "?fieldManager=one", APPLY, body), 201);
    CHECK_INT(kit_call(k, "PATCH", RUNTIME "?fieldManager=two", APPLY, two), 200);
    CHECK_STR(kit_get(k, "{.metadata.finalizers} {.spec.template.spec.containers[*].name}"), S("[\"a.io/one\",\"a.io/two\"] runtime more"));
    CHECK_INT(kit_call(k, "PATCH", RUNTIME "?fieldManager=two", APPLY,
                       "{apiVersion: kruntimes.io/v1alpha1, kind: Runtime, metadata: {name: r}, spec: {template: {spec: {containers: [{name: runtime, image: other}]}}}}"), 409);
    CHECK_STR(kit_get(k, "{.details.causes[*].field}"), S(".spec.template.spec.containers[name=\"runtime\"].image"));
    CHECK_INT(kit_call(k, "PATCH", RUNTIME "?fieldManager=two", APPLY, "{apiVersion: kruntimes.io/v1alpha1, kind: Runtime, metadata: {name: r}}"), 200);
    CHECK_STR(kit_get(k, "{.metadata.finalizers} {.spec.template.spec.containers[*].name} {.spec.template.spec.containers[0].image}"),
              S("[\"a.io/one\"] runtime bash"));
    kit_api_free(k);
}

TEST(status_is_owned_apart)
{
    struct kit_api *k = kit_api_new();
    const char *body = "{apiVersion: kruntimes.io/v1alpha1, kind: Runtime, metadata: {name: r}, spec: {template: {spec: {containers: [{name: runtime, image: bash}]}}}, "
                       "status: {replicas: 1}}";
    CHECK_INT(kit_call(k, "PATCH", RUNTIME "/status?fieldManager=s", APPLY, body), 404);
    CHECK_INT(kit_call(k, "PATCH", RUNTIME "?fieldManager=m", APPLY, body), 201);
    CHECK_STR(kit_get(k, "{.status}"), S(""));
    CHECK_INT(kit_call(k, "PATCH", RUNTIME "/status?fieldManager=s", APPLY, body), 200);
    CHECK_STR(kit_get(k, "{.status.replicas}"), S("1"));
    CHECK_STR(managers(k, RUNTIME), S("m Apply {\"f:spec\":{\"f:template\":{\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"runtime\\\"}\":{\".\":{},\"f:image\":{},"
                                      "\"f:name\":{}}}}}}}\ns Applystatus {\"f:status\":{\"f:replicas\":{}}}\n"));
    kit_api_free(k);
}

TEST(what_an_apply_must_say)
{
    static const struct { const char *query, *body; int status; const char *message; } T[] = {
        { "", "{}", 422, "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch" },
        { "?fieldManager=a", "a: [", 400, NULL },
        { "?fieldManager=a", "--- {}\n--- {}\n", 400, NULL },
        { "?fieldManager=a", "{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}", 400,
          "the name of the object (other) does not match the name on the URL (r)" },
        { "?fieldManager=a", "{apiVersion: v1, kind: ConfigMap, metadata: {name: r}}", 400,
          "the API version in the data (v1) does not match the expected API version (kruntimes.io/v1alpha1)" },
        { "?fieldManager=a", "{apiVersion: kruntimes.io/v1alpha1, kind: Runtime, metadata: {managedFields: [{}]}}", 400, "metadata.managedFields must be nil" },
        { "?fieldManager=a", "{apiVersion: kruntimes.io/v1alpha1, kind: Runtime, metadata: {uid: u}}", 409, NULL },
        { "?fieldManager=a", "{apiVersion: kruntimes.io/v1alpha1, kind: Runtime, spec: {nope: 1}}", 422,
          "Runtime.kruntimes.io \"r\" is invalid: spec.nope: field not declared in schema" },
        { "?fieldManager=a", "{apiVersion: kruntimes.io/v1alpha1, kind: Runtime, spec: {replicas: many}}", 422, NULL },
    };
    struct kit_api *k = kit_api_new();
    for (size_t i = 0; i < LEN(T); i++) {
        char path[256];
        snprintf(path, sizeof path, RUNTIME "%s", T[i].query);
        if (!CHECK(kit_call(k, "PATCH", path, APPLY, T[i].body) == T[i].status))
            printf("    case %zu: %d %.*s\n", i, k->reply.status, SFMT(buf_view(&k->reply.body)));
        else if (T[i].message)
            CHECK_STR(kit_get(k, "{.message}"), str_of(T[i].message));
    }
    CHECK_INT(kit_call(k, "GET", RUNTIME, NULL, NULL), 404);
    CHECK_INT(kit_call(k, "PATCH", RUNTIME "?fieldManager=a&dryRun=All", APPLY,
                       "{apiVersion: kruntimes.io/v1alpha1, kind: Runtime, spec: {template: {spec: {containers: [{name: runtime, image: bash}]}}}}"), 201);
    CHECK_INT(kit_call(k, "GET", RUNTIME, NULL, NULL), 404);
    kit_api_free(k);
}
