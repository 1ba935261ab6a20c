/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes of the embedded API server: propagation, garbage collection, namespaces, collections. */
#include "tests/kit/api.h"
#include "tests/kit/test.h"
#include <stdio.h>

#define CMS "/api/v1/namespaces/default/configmaps"
#define PODS "/api/v1/namespaces/default/pods"

/* A ConfigMap, owned by those named (by UID text as it stands in `uids`). */
static void make(struct kit_api *k, const char *name, const char *owners)
{
    char body[1024];
    snprintf(body, sizeof body, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"app\":\"%c\"}%s%s%s}}", name, name[0],
             *owners ? ",\"ownerReferences\":[" : "", owners, *owners ? "]" : "");
    CHECK_INT(kit_post(k, CMS, body), 201);
}

static const char *owner_block(struct kit_api *k, const char *name, bool blocks)
{
    static char text[2][512];
    static int which;
    char path[256];
    which = !which;
    snprintf(path, sizeof path, CMS "/%s", name);
    kit_call(k, "GET", path, NULL, NULL);
    snprintf(text[which], sizeof text[which], "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"%s\",\"uid\":\"%.*s\"%s}", name,
             SFMT(kit_get(k, "{.metadata.uid}")), blocks ? ",\"blockOwnerDeletion\":true" : "");
    return text[which];
}

static const char *owner(struct kit_api *k, const char *name) { return owner_block(k, name, false); }

static struct str names(struct kit_api *k)
{
    kit_call(k, "GET", CMS "?labelSelector=app", NULL, NULL);
    return kit_get(k, "{.items[*].metadata.name}");
}

static int del(struct kit_api *k, const char *name, const char *body)
{
    char path[256];
    snprintf(path, sizeof path, CMS "/%s", name);
    int status = kit_call(k, "DELETE", path, NULL, body);
    return status;
}

TEST(background_takes_dependents_afterwards)
{
    struct kit_api *k = kit_api_new();
    make(k, "a", "");
    make(k, "b", owner(k, "a"));
    make(k, "c", owner(k, "b"));
    CHECK_INT(del(k, "a", NULL), 200);
    CHECK_STR(kit_get(k, "{.status} {.details.name} {.details.kind}"), S("Success a configmaps"));
    CHECK_STR(names(k), S("b c"));
    kit_collect(k);
    CHECK_STR(names(k), S(""));
    kit_api_free(k);
}

TEST(one_owner_left_keeps_it)
{
    struct kit_api *k = kit_api_new();
    char both[1100];
    make(k, "a", "");
    make(k, "b", "");
    snprintf(both, sizeof both, "%s,%s", owner(k, "a"), owner(k, "b"));
    make(k, "c", both);
    del(k, "a", NULL);
    kit_collect(k);
    CHECK_STR(names(k), S("b c"));
    kit_call(k, "GET", CMS "/c", NULL, NULL);
    CHECK_STR(kit_get(k, "{.metadata.ownerReferences[*].name}"), S("b"));
    kit_api_free(k);
}

TEST(foreground_waits_for_what_blocks)
{
    struct kit_api *k = kit_api_new();
    make(k, "a", "");
    make(k, "b", owner_block(k, "a", true));
    CHECK_INT(kit_call(k, "PATCH", CMS "/b", "application/merge-patch+json", "{\"metadata\":{\"finalizers\":[\"test.io/hold\"]}}"), 200);
    CHECK_INT(del(k, "a", "{\"propagationPolicy\":\"Foreground\"}"), 200);
    CHECK_STR(kit_get(k, "{.metadata.finalizers[0]} {.metadata.deletionGracePeriodSeconds}"), S("foregroundDeletion 0"));
    kit_collect(k);
    CHECK_STR(names(k), S("a b"));               /* b is being deleted, a waits for it */
    kit_call(k, "GET", CMS "/b", NULL, NULL);
    CHECK(kit_get(k, "{.metadata.deletionTimestamp}").n > 0);
    CHECK_INT(kit_call(k, "PATCH", CMS "/b", "application/merge-patch+json", "{\"metadata\":{\"finalizers\":null}}"), 200);
    kit_collect(k);
    CHECK_STR(names(k), S(""));
    kit_api_free(k);
}

static void belongs(struct kit_api *k, const char *name, const char *owners)
{
    char path[256], body[2048];
    snprintf(path, sizeof path, CMS "/%s", name);
    snprintf(body, sizeof body, "{\"metadata\":{\"ownerReferences\":[%s]}}", owners);
    CHECK_INT(kit_call(k, "PATCH", path, "application/merge-patch+json", body), 200);
}

/* Who owns himself, or each other, would wait for ever for the other to go first. What hangs on them is waited for all the same. */
TEST(foreground_in_a_circle)
{
    struct kit_api *k = kit_api_new();
    make(k, "a", "");
    belongs(k, "a", owner_block(k, "a", true));
    CHECK_INT(del(k, "a", "{\"propagationPolicy\":\"Foreground\"}"), 200);
    kit_collect(k);
    CHECK_STR(names(k), S(""));
    make(k, "a", "");
    make(k, "b", owner_block(k, "a", true));
    make(k, "c", owner_block(k, "b", true));
    belongs(k, "a", owner_block(k, "c", true));
    make(k, "d", owner_block(k, "c", true));
    CHECK_INT(kit_call(k, "PATCH", CMS "/d", "application/merge-patch+json", "{\"metadata\":{\"finalizers\":[\"test.io/hold\"]}}"), 200);
    CHECK_INT(del(k, "b", "{\"propagationPolicy\":\"Foreground\"}"), 200);
    kit_collect(k);
    CHECK_STR(names(k), S("c d"));               /* d is held, and is not in the circle: who has it waits */
    CHECK_INT(kit_call(k, "PATCH", CMS "/d", "application/merge-patch+json", "{\"metadata\":{\"finalizers\":null}}"), 200);
    kit_collect(k);
    CHECK_STR(names(k), S(""));
    kit_api_free(k);
}

TEST(orphan_cuts_the_reference)
{
    struct kit_api *k = kit_api_new();
    make(k, "a", "");
    make(k, "b", owner(k, "a"));
    CHECK_INT(kit_call(k, "DELETE", CMS "/a?propagationPolicy=Orphan", NULL, NULL), 200);
    kit_collect(k);
    CHECK_STR(names(k), S("b"));
    kit_call(k, "GET", CMS "/b", NULL, NULL);
    CHECK_STR(kit_get(k, "{.metadata.ownerReferences}"), S(""));
    kit_api_free(k);
}

TEST(an_owner_that_never_was_or_is_another_counts_as_gone)
{
    struct kit_api *k = kit_api_new();
    make(k, "a", "");
    make(k, "b", "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"a\",\"uid\":\"00000000-0000-4000-8000-000000000000\"}");
    make(k, "c", "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"nobody\",\"uid\":\"u\"}");
    make(k, "d", "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Unknown\",\"name\":\"x\",\"uid\":\"v\"}");
    kit_collect(k);
    CHECK_STR(names(k), S("a d"));               /* a kind nobody here knows: left alone */
    kit_api_free(k);
}

TEST(many_dependents_go_in_steps)
{
    struct kit_api *k = kit_api_new();
    char name[32];
    make(k, "a", "");
    const char *o = owner(k, "a");
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "b%d", i);
        make(k, name, o);
    }
    CHECK_INT(kit_call(k, "DELETE", CMS "/a?propagationPolicy=Orphan", NULL, NULL), 200);
    kit_collect(k);
    kit_call(k, "GET", CMS "?labelSelector=app", NULL, NULL);
    CHECK_STR(kit_get(k, "{.items[*].metadata.ownerReferences}"), S(""));
    CHECK_INT(kit_call(k, "DELETE", CMS "?labelSelector=app%3Db", NULL, NULL), 200);
    CHECK_STR(kit_get(k, "{.kind} {.items[299].kind}"), S("ConfigMapList ConfigMap"));
    CHECK_STR(names(k), S(""));
    CHECK_INT(kit_call(k, "GET", CMS "/kube-root-ca.crt", NULL, NULL), 200);
    kit_api_free(k);
}

TEST(what_a_delete_may_say)
{
    struct kit_api *k = kit_api_new();
    make(k, "a", "");
    CHECK_INT(del(k, "a", "{\"propagationPolicy\":\"Sideways\"}"), 422);
    CHECK_STR(kit_get(k, "{.message}"), S("DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Sideways\": supported "
                                          "values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""));
    CHECK_INT(del(k, "a", "{\"propagationPolicy\":\"Orphan\",\"orphanDependents\":true}"), 422);
    CHECK_INT(del(k, "a", "{\"preconditions\":{\"uid\":\"x\"}}"), 409);
    CHECK_INT(del(k, "a", "{\"preconditions\":{\"resourceVersion\":\"1\"}}"), 409);
    CHECK_INT(del(k, "a", "{\"dryRun\":[\"Some\"]}"), 422);
    CHECK_INT(del(k, "a", "["), 400);
    CHECK_INT(kit_call(k, "DELETE", CMS "/a", "application/vnd.kubernetes.protobuf", "k8s"), 400);
    CHECK_INT(kit_call(k, "DELETE", CMS "/a", "text/plain", "x"), 415);
    CHECK_INT(del(k, "a", "{\"dryRun\":[\"All\"]}"), 200);
    CHECK_INT(kit_call(k, "DELETE", CMS "/a?dryRun=All", NULL, NULL), 200);
    CHECK_STR(names(k), S("a"));
    CHECK_INT(kit_call(k, "DELETE", "/api/v1/configmaps", NULL, NULL), 405);
    CHECK_INT(del(k, "a", NULL), 200);
    CHECK_INT(del(k, "a", NULL), 404);
    kit_api_free(k);
}

static int delete_pod(struct kit_api *k, const char *query)
{
    char path[128];
    snprintf(path, sizeof path, PODS "/p%s", query);
    return kit_call(k, "DELETE", path, NULL, NULL);
}

static void make_pod(struct kit_api *k, const char *node)
{
    char body[512];
    snprintf(body, sizeof body, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{%s\"terminationGracePeriodSeconds\":30,"
             "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}", node);
    CHECK_INT(kit_post(k, PODS, body), 201);
}

/* The first delete says how long; those after it may say less, and it counts from the first. */
TEST(the_grace_of_a_pod_is_only_made_shorter)
{
    static const struct { const char *query; int64_t later_s; const char *grace; int64_t gone_by_s; } cases[] = {
        { "?gracePeriodSeconds=9223372036854775807", 0, "1000000000", 1000000000 },
        { "?gracePeriodSeconds=600", 0, "600", 600 }, { "", 0, "600", 600 },   { "?gracePeriodSeconds=599", 32, "599", 599 },
        { "?gracePeriodSeconds=700", 0, "599", 599 }, { "?gracePeriodSeconds=1", 0, "1", 1 }, { "", 0, "1", 1 },
    };
    struct kit_api *k = kit_api_new();
    make_pod(k, "\"nodeName\":\"n\",");
    int64_t first_us = k->clock.wall;
    for (size_t i = 0; i < LEN(cases); i++) {
        char gone_by[TIME_TEXT];
        clock_fake_advance(&k->clock, cases[i].later_s * 1000000);
        loop_run_until(k->api.loop, NULL, NULL, loop_now_us(k->api.loop));
        CHECK_INT(delete_pod(k, cases[i].query), 200);
        time_print(gone_by, first_us + cases[i].gone_by_s * 1000000);
        CHECK_STR(kit_get(k, "{.metadata.deletionTimestamp}"), str_of(gone_by));
        CHECK_STR(kit_get(k, "{.metadata.deletionGracePeriodSeconds}"), str_of(cases[i].grace));
    }
    CHECK_INT(delete_pod(k, "?gracePeriodSeconds=0"), 200);
    CHECK_INT(kit_call(k, "GET", PODS "/p", NULL, NULL), 404);
    kit_api_free(k);
}

TEST(a_pod_with_nothing_to_end_has_no_grace)
{
    static const struct { const char *node, *phase; int left; } cases[] = {
        { "\"nodeName\":\"n\",", "Running", 200 }, { "\"nodeName\":\"n\",", "Succeeded", 404 }, { "\"nodeName\":\"n\",", "Failed", 404 }, { "", "Pending", 404 } };
    struct kit_api *k = kit_api_new();
    for (size_t i = 0; i < LEN(cases); i++) {
        char status[64];
        make_pod(k, cases[i].node);
        snprintf(status, sizeof status, "{\"status\":{\"phase\":\"%s\"}}", cases[i].phase);
        CHECK_INT(kit_call(k, "PATCH", PODS "/p/status", "application/merge-patch+json", status), 200);
        CHECK_INT(delete_pod(k, "?gracePeriodSeconds=60"), 200);
        CHECK_INT(kit_call(k, "GET", PODS "/p", NULL, NULL), cases[i].left);
        delete_pod(k, "?gracePeriodSeconds=0");
    }
    kit_api_free(k);
}

TEST(a_namespace_goes_with_what_is_in_it)
{
    struct kit_api *k = kit_api_new();
    CHECK_INT(kit_post(k, "/api/v1/namespaces", "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"n\"}}"), 201);
    CHECK_STR(kit_get(k, "{.spec.finalizers[0]} {.status.phase} {.metadata.labels.kubernetes\\.io/metadata\\.name}"), S("kubernetes Active n"));
    kit_collect(k);
    CHECK_INT(kit_call(k, "GET", "/api/v1/namespaces/n/serviceaccounts/default", NULL, NULL), 200);
    CHECK_INT(kit_call(k, "GET", "/api/v1/namespaces/n/configmaps/kube-root-ca.crt", NULL, NULL), 200);
    CHECK_STR(kit_get(k, "{.data.ca\\.crt}"), S("PEM"));
    CHECK_INT(kit_call(k, "DELETE", "/api/v1/namespaces/n/serviceaccounts/default", NULL, NULL), 200);
    kit_collect(k);
    CHECK_INT(kit_call(k, "GET", "/api/v1/namespaces/n/serviceaccounts/default", NULL, NULL), 200);      /* it comes back */
    CHECK_INT(kit_post(k, "/api/v1/namespaces/n/secrets", "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\",\"finalizers\":[\"test.io/hold\"]}}"), 201);

    CHECK_INT(kit_call(k, "DELETE", "/api/v1/namespaces/n", NULL, NULL), 200);
    CHECK_STR(kit_get(k, "{.kind} {.status.phase}"), S("Namespace Terminating"));
    CHECK_INT(kit_post(k, "/api/v1/namespaces/n/configmaps", "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"late\"}}"), 403);
    CHECK_STR(kit_get(k, "{.message} {.details.causes[0].reason}"), S("configmaps \"late\" is forbidden: unable to create new content in namespace n because it "
                                                                     "is being terminated NamespaceTerminating"));
    kit_collect(k);
    CHECK_INT(kit_call(k, "GET", "/api/v1/namespaces/n", NULL, NULL), 200);
    CHECK_STR(kit_get(k, "{.status.conditions[?(@.status==\"True\")].type}"), S("NamespaceContentRemaining NamespaceFinalizersRemaining"));
    CHECK_INT(kit_call(k, "PATCH", "/api/v1/namespaces/n/secrets/s", "application/merge-patch+json", "{\"metadata\":{\"finalizers\":null}}"), 200);
    kit_collect(k);
    CHECK_INT(kit_call(k, "GET", "/api/v1/namespaces/n", NULL, NULL), 404);
    CHECK_INT(kit_post(k, "/api/v1/namespaces/n/configmaps", "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"later\"}}"), 404);

    CHECK_INT(kit_call(k, "DELETE", "/api/v1/namespaces/default", NULL, NULL), 403);
    CHECK_INT(kit_call(k, "DELETE", "/api/v1/namespaces", NULL, NULL), 405);
    kit_api_free(k);
}

/* It may own what is in no namespace, as any owner may. */
TEST(a_namespace_goes_by_each_policy)
{
    static const struct { const char *policy; int role; } cases[] = { { "Background", 404 }, { "Foreground", 404 }, { "Orphan", 200 } };
    for (size_t i = 0; i < LEN(cases); i++) {
        struct kit_api *k = kit_api_new();
        char body[512], path[128];
        CHECK_INT(kit_post(k, "/api/v1/namespaces", "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"n\"}}"), 201);
        snprintf(body, sizeof body, "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"ClusterRole\",\"metadata\":{\"name\":\"r\",\"ownerReferences\":[{\"apiVersion\":"
                 "\"v1\",\"kind\":\"Namespace\",\"name\":\"n\",\"uid\":\"%.*s\",\"blockOwnerDeletion\":true}]},\"rules\":[]}", SFMT(kit_get(k, "{.metadata.uid}")));
        CHECK_INT(kit_post(k, "/apis/rbac.authorization.k8s.io/v1/clusterroles", body), 201);
        kit_collect(k);
        snprintf(path, sizeof path, "/api/v1/namespaces/n?propagationPolicy=%s", cases[i].policy);
        CHECK_INT(kit_call(k, "DELETE", path, NULL, NULL), 200);
        kit_collect(k);
        CHECK_INT(kit_call(k, "GET", "/api/v1/namespaces/n", NULL, NULL), 404);
        CHECK_INT(kit_call(k, "GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/r", NULL, NULL), cases[i].role);
        kit_api_free(k);
    }
}

/* Almost as large as an object may be: what its deletion adds finds room, and its namespace goes. */
TEST(a_namespace_goes_with_a_large_object)
{
    struct kit_api *k = kit_api_new();
    AUTO_BUF struct buf b = { .max = 2 * LIMIT_OBJECT_BYTES };
    int status = 0;
    CHECK_INT(kit_post(k, "/api/v1/namespaces", "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"n\"}}"), 201);
    for (int less = 0; less < 1000 && status != 201; less += 10) {
        buf_clear(&b);
        buf_lit(&b, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"large\",\"finalizers\":[\"test.io/hold\"]},\"data\":{\"x\":\"");
        for (int i = 0; i < LIMIT_OBJECT_BYTES - 100 - less; i++)
            buf_byte(&b, 'x');
        buf_lit(&b, "\"}}");
        buf_byte(&b, '\0');
        status = kit_post(k, "/api/v1/namespaces/n/configmaps", b.p);
    }
    CHECK_INT(status, 201);
    CHECK_INT(kit_call(k, "DELETE", "/api/v1/namespaces/n", NULL, NULL), 200);
    kit_collect(k);
    CHECK_INT(kit_call(k, "GET", "/api/v1/namespaces/n/configmaps/large", NULL, NULL), 200);
    CHECK(kit_get(k, "{.metadata.deletionTimestamp}").n > 0);
    CHECK_INT(kit_call(k, "PATCH", "/api/v1/namespaces/n/configmaps/large", "application/merge-patch+json", "{\"metadata\":{\"finalizers\":null}}"), 200);
    kit_collect(k);
    CHECK_INT(kit_call(k, "GET", "/api/v1/namespaces/n", NULL, NULL), 404);
    kit_api_free(k);
}
