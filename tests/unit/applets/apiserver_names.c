/* SPDX-License-Identifier: Apache-2.0 */
/* Names and sizes the embedded API server refuses, and that nothing is left or lost by it. */
#include "tests/kit/api.h"
#include "tests/kit/test.h"
#include <stdio.h>

#define CMS "/api/v1/namespaces/default/configmaps"

static int create(struct kit_api *k, const char *name)
{
    char body[1024];
    snprintf(body, sizeof body, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"t\":\"1\"}}}", name);
    return kit_post(k, CMS, body);
}

TEST(names_that_no_object_may_have)
{
    struct kit_api *k = kit_api_new();
    static const char *const bad[] = { "..", ".", "a/b", "A", "%2f", "", "a_b", "-a", "a-", "a..b", "\303\244", "a\\u0000b" };
    uint64_t before = store_revision(k->api.store);
    for (size_t i = 0; i < LEN(bad); i++) {
        CHECK_INT(create(k, bad[i]), 422);
        CHECK_STR(kit_get(k, "{.details.causes[0].field}"), S("metadata.name"));
    }
    CHECK_INT((int64_t)store_revision(k->api.store), (int64_t)before);
    char name[255];
    memset(name, 'a', 254);
    name[254] = '\0';
    CHECK_INT(create(k, name), 422);
    name[253] = '\0';
    CHECK_INT(create(k, name), 201);
    kit_api_free(k);
}

TEST(names_in_paths_that_lead_nowhere)
{
    struct kit_api *k = kit_api_new();
    static const char *const bad[] = { CMS "/..", CMS "/a%2fb", CMS "/%2e%2e", "/api/v1/namespaces/../configmaps/x", CMS "/a/b/c" };
    for (size_t i = 0; i < LEN(bad); i++)
        CHECK_INT(kit_call(k, "GET", bad[i], NULL, NULL), 404);
    kit_api_free(k);
}

TEST(names_aside_an_object_too_large_leaves_the_old_one)
{
    struct kit_api *k = kit_api_new();
    AUTO_BUF struct buf b = { .max = 2 * LIMIT_OBJECT_BYTES };
    CHECK_INT(create(k, "big"), 201);
    uint64_t before = store_revision(k->api.store);
    buf_str(&b, S("{\"data\":{\"x\":\""));
    for (int i = 0; i < LIMIT_OBJECT_BYTES; i++)
        buf_byte(&b, 'x');
    buf_str(&b, S("\"}}"));
    buf_byte(&b, '\0');
    CHECK_INT(kit_call(k, "PATCH", CMS "/big", "application/merge-patch+json", b.p), 413);
    CHECK_INT((int64_t)store_revision(k->api.store), (int64_t)before);
    CHECK_INT(kit_call(k, "GET", CMS "/big", NULL, NULL), 200);
    CHECK_STR(kit_get(k, "{.data}"), S(""));
    kit_api_free(k);
}

/* Five letters are fourteen million names: one that is taken is drawn again, and a long prefix leaves room for them in a DNS label. */
TEST(names_that_are_drawn)
{
    struct kit_api *k = kit_api_new();
    static const char one[] = "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"generateName\":\"a-\"}}";
    char names[2][64];
    for (int i = 0; i < 2; i++) {
        rnd_seed(&k->rnd, 7);                     /* the same draw */
        CHECK_INT(kit_post(k, CMS, one), 201);
        snprintf(names[i], sizeof names[i], "%.*s", SFMT(kit_get(k, "{.metadata.name}")));
    }
    CHECK(strlen(names[0]) == 7 && strlen(names[1]) == 7 && strcmp(names[0], names[1]));
    CHECK_INT(kit_post(k, CMS, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"generateName\":\"a-long-name-that-goes-on-and-on-and-on-and-on-and-on-and-on-and-on-\"}}"), 201);
    CHECK_INT(kit_get(k, "{.metadata.name}").n, 63);
    kit_api_free(k);
}
