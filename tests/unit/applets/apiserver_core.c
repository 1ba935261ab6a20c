/* SPDX-License-Identifier: Apache-2.0 */
/* Core kinds of the embedded API server that are more than plain storage. */
#include "tests/kit/api.h"
#include "tests/kit/test.h"

#define SECRETS "/api/v1/namespaces/default/secrets"
#define SECRET(more) "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\"}" more "}"
#define MERGE "application/merge-patch+json"

TEST(string_data_of_a_secret_is_written_only)
{
    struct kit_api *k = kit_api_new();
    CHECK_INT(kit_post(k, SECRETS, SECRET(",\"data\":{\"a\":\"b2xk\",\"b\":\"a2VwdA==\"},\"stringData\":{\"a\":\"new\",\"c\":\"\"}")), 201);
    CHECK_STR(kit_get(k, "{.data}"), S("{\"a\":\"bmV3\",\"b\":\"a2VwdA==\",\"c\":\"\"}"));
    CHECK_STR(kit_get(k, "{.stringData}"), S(""));
    CHECK_INT(kit_call(k, "PATCH", SECRETS "/s", MERGE, "{\"stringData\":{\"b\":\"\xc3\xa9\"}}"), 200);
    CHECK_INT(kit_call(k, "GET", SECRETS "/s", NULL, NULL), 200);
    CHECK_STR(kit_get(k, "{.data}"), S("{\"a\":\"bmV3\",\"b\":\"w6k=\",\"c\":\"\"}"));
    CHECK_INT(kit_call(k, "PATCH", SECRETS "/s?fieldManager=m", "application/apply-patch+yaml", "apiVersion: v1\nkind: Secret\nstringData: {d: x}\n"), 200);
    CHECK_STR(kit_get(k, "{.data.d} {.stringData}"), S("eA== "));
    CHECK_INT(kit_call(k, "PUT", SECRETS "/s", NULL, SECRET(",\"stringData\":{\"only\":\"x\"}")), 200);
    CHECK_STR(kit_get(k, "{.data}"), S("{\"only\":\"eA==\"}"));
    CHECK_INT(kit_call(k, "PATCH", SECRETS "/s", MERGE, "{\"stringData\":{\"b\":1}}"), 400);
    CHECK_INT(kit_post(k, "/api/v1/namespaces/default/configmaps", "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"m\"},\"stringData\":{\"a\":\"x\"}}"), 201);
    CHECK_STR(kit_get(k, "{.data}"), S(""));                               /* no other kind has that */
    kit_api_free(k);
}

#define CLAIMS "/api/v1/namespaces/default/persistentvolumeclaims"
#define CLAIM(spec) "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\",\"metadata\":{\"name\":\"c\"},\"spec\":" spec ",\"status\":{\"phase\":\"Bound\"}}"
#define ASKED(modes, size) CLAIM("{\"accessModes\":[" modes "],\"resources\":{\"requests\":{\"storage\":" size "}}}")

TEST(a_claim_is_pending_and_protected)
{
    struct kit_api *k = kit_api_new();
    CHECK_INT(kit_post(k, CLAIMS, ASKED("\"ReadWriteOnce\"", "\"1Gi\"")), 201);
    CHECK_STR(kit_get(k, "{.status} {.metadata.finalizers} {.spec.volumeMode}"), S("{\"phase\":\"Pending\"} [\"kubernetes.io/pvc-protection\"] Filesystem"));
    CHECK_INT(kit_call(k, "PATCH", CLAIMS "/c", MERGE, "{\"spec\":{\"volumeName\":\"v\"}}"), 200);          /* once */
    CHECK_INT(kit_call(k, "PATCH", CLAIMS "/c", MERGE, "{\"spec\":{\"volumeName\":\"w\"}}"), 422);
    CHECK_INT(kit_call(k, "PATCH", CLAIMS "/c", MERGE, "{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"2Gi\"}}}}"), 422);
    CHECK_INT(kit_call(k, "PATCH", CLAIMS "/c/status", MERGE, "{\"status\":{\"phase\":\"Bound\"}}"), 200);
    CHECK_INT(kit_call(k, "PATCH", CLAIMS "/c", MERGE, "{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"2Gi\"}}}}"), 200);
    CHECK_INT(kit_call(k, "PATCH", CLAIMS "/c", MERGE, "{\"spec\":{\"accessModes\":[\"ReadWriteMany\"]}}"), 422);
    CHECK_STR(kit_get(k, "{.message}"), S("PersistentVolumeClaim \"c\" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests and "
                                          "volumeAttributesClassName for bound claims"));
    CHECK_INT(kit_call(k, "DELETE", CLAIMS "/c", NULL, NULL), 200);
    CHECK_INT(kit_call(k, "GET", CLAIMS "/c", NULL, NULL), 200);           /* until who has the volumes lets go */
    CHECK(kit_get(k, "{.metadata.deletionTimestamp}").n > 0);
    CHECK_INT(kit_call(k, "PATCH", CLAIMS "/c", MERGE, "{\"metadata\":{\"finalizers\":null}}"), 200);
    CHECK_INT(kit_call(k, "GET", CLAIMS "/c", NULL, NULL), 404);
    kit_api_free(k);
}

TEST(what_a_claim_asks_for_is_checked)
{
    static const struct { const char *body, *why; } rows[] = {
        { CLAIM("{}"), "[spec.accessModes: Required value: at least 1 access mode is required, spec.resources[storage]: Required value]" },
        { ASKED("\"Odd\"", "1"), "spec.accessModes: Unsupported value: \"Odd\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"" },
        { ASKED("\"ReadWriteMany\"", "\"0\""), "spec.resources[storage]: Invalid value: \"0\": must be greater than zero" },
        { ASKED("\"ReadWriteMany\"", "-5"), "spec.resources[storage]: Invalid value: \"-5\": must be greater than zero" },
    };
    struct kit_api *k = kit_api_new();
    for (size_t i = 0; i < LEN(rows); i++) {
        AUTO_BUF struct buf want = { .max = 1024 };
        buf_fmt(&want, "PersistentVolumeClaim \"c\" is invalid: %s", rows[i].why);
        CHECK_INT(kit_post(k, CLAIMS, rows[i].body), 422);
        CHECK_STR(kit_get(k, "{.message}"), buf_view(&want));
    }
    CHECK_INT(kit_post(k, CLAIMS, ASKED("\"ReadWriteMany\"", "\"many\"")), 400);
    kit_api_free(k);
}

TEST(what_is_made_has_no_status_yet)
{
    struct kit_api *k = kit_api_new();
    CHECK_INT(kit_post(k, "/apis/batch/v1/namespaces/default/jobs", "{\"metadata\":{\"name\":\"j\"},\"status\":{\"conditions\":[{\"type\":\"Complete\",\"status\":\"True\"}]}}"), 201);
    CHECK_STR(kit_get(k, "{.status}"), S(""));
    CHECK_INT(kit_post(k, "/api/v1/namespaces/default/pods", "{\"metadata\":{\"name\":\"p\"},\"spec\":{},\"status\":{\"phase\":\"Running\",\"podIP\":\"127.0.0.1\"}}"), 201);
    CHECK_STR(kit_get(k, "{.status}"), S("{\"phase\":\"Pending\"}"));
    CHECK_INT(kit_call(k, "PATCH", "/api/v1/namespaces/default/pods/q?fieldManager=m", "application/apply-patch+yaml", "{apiVersion: v1, kind: Pod, metadata: {name: q}, status: {podIP: 127.0.0.1}}"), 201);
    CHECK_STR(kit_get(k, "{.status}"), S("{\"phase\":\"Pending\"}"));
    CHECK_INT(kit_post(k, "/api/v1/nodes", "{\"metadata\":{\"name\":\"n\"},\"status\":{\"capacity\":{\"cpu\":\"1\"}}}"), 201);       /* a node says itself what it is */
    CHECK_STR(kit_get(k, "{.status.capacity.cpu}"), S("1"));
    kit_api_free(k);
}

#define RUNTIMES "/apis/kruntimes.io/v1alpha1/namespaces/default/runtimes"

TEST(the_generation_tells_of_changes_and_of_the_end)
{
    static const char made[] = "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Runtime\",\"metadata\":{\"name\":\"r\",\"finalizers\":[\"a.b/c\"]%s},\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"runtime\",\"image\":\"bash\"}]}}}}";
    AUTO_BUF struct buf first = { .max = 4096 }, again = { .max = 4096 };
    struct kit_api *k = kit_api_new();
    buf_fmt(&first, made, "");
    CHECK_INT(kit_post(k, RUNTIMES, first.p), 201);
    CHECK_STR(kit_get(k, "{.metadata.generation}"), S("1"));
    AUTO_BUF struct buf version = { .max = 64 }, said = { .max = 256 };
    buf_str(&version, kit_get(k, "{.metadata.resourceVersion}"));
    buf_fmt(&said, ",\"resourceVersion\":\"%.*s\"", SFMT(buf_view(&version)));
    buf_fmt(&again, made, said.p);
    CHECK_INT(kit_call(k, "PUT", RUNTIMES "/r", NULL, again.p), 200);                       /* what is left out is filled in: the same object */
    CHECK_STR(kit_get(k, "{.metadata.resourceVersion}"), buf_view(&version));
    CHECK_STR(kit_get(k, "{.metadata.generation}"), S("1"));
    CHECK_INT(kit_call(k, "PATCH", RUNTIMES "/r", MERGE, "{\"spec\":{\"bogus\":1}}"), 200);  /* pruned */
    CHECK_STR(kit_get(k, "{.metadata.generation}"), S("1"));
    CHECK_INT(kit_call(k, "PATCH", RUNTIMES "/r", MERGE, "{\"spec\":{\"replicas\":3}}"), 200);
    CHECK_STR(kit_get(k, "{.metadata.generation}"), S("2"));
    CHECK_INT(kit_call(k, "DELETE", RUNTIMES "/r", NULL, NULL), 200);
    CHECK_INT(kit_call(k, "GET", RUNTIMES "/r", NULL, NULL), 200);
    CHECK_STR(kit_get(k, "{.metadata.generation}"), S("3"));
    CHECK_INT(kit_call(k, "DELETE", RUNTIMES "/r", NULL, NULL), 200);                       /* once */
    CHECK_INT(kit_call(k, "GET", RUNTIMES "/r", NULL, NULL), 200);
    CHECK_STR(kit_get(k, "{.metadata.generation}"), S("3"));
    kit_api_free(k);
}

/* An object so large that a change of it just goes beyond the memory of a request stays as it was: the edge is searched for. */
TEST(a_change_that_runs_out_of_memory_leaves_the_object)
{
    enum { KEYS = 60000 };
    int fits = 30000, over = KEYS;
    struct kit_api *k = kit_api_new();
    while (over - fits > 300) {
        int n = (fits + over) / 2;
        AUTO_BUF struct buf body = { .max = 4 << 20 }, path = { .max = 256 };
        buf_fmt(&body, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"m%d\"},\"data\":{", n);
        for (int i = 0; i < n; i++)
            buf_fmt(&body, "%s\"%d\":\"\"", i ? "," : "", i);
        buf_lit(&body, "}}");
        buf_fmt(&path, "/api/v1/namespaces/default/configmaps/m%d", n);
        int made = kit_post(k, "/api/v1/namespaces/default/configmaps", body.p);
        int changed = made == 201 ? kit_call(k, "PATCH", path.p, MERGE, "{\"data\":{\"x\":\"y\"}}") : 413;
        CHECK(changed == 200 || changed == 413);
        if (made == 201) {
            CHECK_INT(kit_call(k, "GET", path.p, NULL, NULL), 200);
            CHECK_STR(kit_get(k, "{.data.x} {.kind}"), changed == 200 ? S("y ConfigMap") : S(" ConfigMap"));
        }
        *(changed == 200 ? &fits : &over) = n;
    }
    CHECK(over < KEYS && fits > 30000);
    kit_api_free(k);
}

TEST(selectors_on_all_fields_of_an_event)
{
    static const char *const fields[] = { "involvedObject.kind%3DRun", "involvedObject.name%3Dr", "involvedObject.namespace%3Ddefault", "involvedObject.uid%3Du",
                                          "involvedObject.apiVersion%3Dv1", "reason%3DWhy", "reportingComponent%3Dtest", "type%3DWarning" };
    struct kit_api *k = kit_api_new();
    CHECK_INT(kit_post(k, "/api/v1/namespaces/default/events", "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"e\"},\"involvedObject\":{\"kind\":\"Run\",\"name\":\"r\","
                       "\"namespace\":\"default\",\"uid\":\"u\",\"apiVersion\":\"v1\"},\"reason\":\"Why\",\"reportingComponent\":\"test\",\"type\":\"Warning\"}"), 201);
    for (size_t i = 0; i < LEN(fields); i++) {
        AUTO_BUF struct buf path = { .max = 256 };
        buf_fmt(&path, "/api/v1/namespaces/default/events?fieldSelector=%s", fields[i]);
        CHECK_INT(kit_call(k, "GET", path.p, NULL, NULL), 200);
        CHECK_STR(kit_get(k, "{.items[*].metadata.name}"), S("e"));
        buf_lit(&path, "x");
        CHECK_INT(kit_call(k, "GET", path.p, NULL, NULL), 200);
        CHECK_STR(kit_get(k, "{.items[*].metadata.name}"), S(""));
    }
    kit_api_free(k);
}
