/* SPDX-License-Identifier: Apache-2.0 */
/* Watches and versions: resume from the store, selectors, slow clients, what resourceVersion and continue mean. */
#include "applets/apiserver/store_impl.h"
#include "tests/kit/api.h"
#include "tests/kit/test.h"
#include <stdio.h>

#define MAPS "/api/v1/namespaces/default/configmaps"
struct client { struct buf got; bool closed; size_t queued; struct watcher *w; };

static void took(void *ctx, struct str bytes) { buf_str(&((struct client *)ctx)->got, bytes); }
static size_t queued(void *ctx) { return ((struct client *)ctx)->queued; }
static void closed(void *ctx) { ((struct client *)ctx)->closed = true; }

static int make(struct kit_api *k, const char *name, const char *label)
{
    char body[256];
    snprintf(body, sizeof body, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"l\":\"%s\"}}}", name, label);
    return kit_post(k, MAPS, body);
}

static int label(struct kit_api *k, const char *name, const char *value)
{
    char path[128], body[128];
    snprintf(path, sizeof path, MAPS "/%s", name);
    snprintf(body, sizeof body, "{\"metadata\":{\"labels\":{\"l\":\"%s\"}}}", value);
    return kit_call(k, "PATCH", path, "application/merge-patch+json", body);
}

/* The stream that the query gives, as serve.c would start it. */
static void watch(struct kit_api *k, struct client *c, const char *query, uint64_t from)
{
    char path[512];
    struct kr_err e = { 0 };
    int n = snprintf(path, sizeof path, MAPS "?watch=1%s", query);
    if (from)
        snprintf(path + n, sizeof path - (size_t)n, "&resourceVersion=%llu", (unsigned long long)from);
    *c = (struct client){ .got = { .max = 1 << 24 }, .queued = c->queued };
    if (!CHECK(kit_call(k, "GET", path, NULL, NULL) == 200 && k->reply.watch)) {
        printf("  %.*s\n", SFMT(buf_view(&k->reply.body)));
        return;
    }
    k->reply.start.user = (struct watcher_user){ took, queued, closed, NULL, c };
    buf_str(&c->got, buf_view(&k->reply.body));
    c->w = watch_add(k->api.watches, &k->reply.start, &e);
    if (!c->w)
        buf_fmt(&c->got, "! %s", e.msg);
}

/* "ADDED a, DELETED b, " and revisions checked to go up. */
static struct str told(struct client *c)
{
    static struct buf b;
    struct str rest = buf_view(&c->got);
    uint64_t last = 0;
    b.max = 65536;
    buf_clear(&b);
    while (rest.n) {
        AUTO_ARENA struct arena a = { .limit = 1 << 20 };
        struct kr_err e = { 0 };
        struct json *line = json_parse(&a, str_cut(&rest, '\n'), &e), *meta = json_get(json_get(line, "object"), "metadata");
        uint64_t rv = 0;
        str_u64(json_string(json_get(meta, "resourceVersion")), &rv);
        buf_fmt(&b, "%.*s %.*s, ", SFMT(json_string(json_get(line, "type"))), SFMT(json_string(json_get(meta, "name"))));
        CHECK(!rv || rv >= last || str_is(json_string(json_get(line, "type")), "ADDED"));
        last = rv ? rv : last;
    }
    return buf_view(&b);
}

static void stop(struct client *c)
{
    watch_remove(c->w);
    buf_free(&c->got);
    c->w = NULL;
}

static uint64_t version_in(struct kit_api *k)
{
    uint64_t rv = 0;
    CHECK(str_u64(kit_get(k, "{.metadata.resourceVersion}"), &rv));
    return rv;
}

TEST(resumes_from_disk_as_it_was_live)
{
    struct kit_api *k = kit_api_new();
    struct client live = { 0 }, later = { 0 };
    kit_call(k, "GET", MAPS, NULL, NULL);
    uint64_t from = version_in(k);
    watch(k, &live, "&labelSelector=l%3Dx", from);
    CHECK_INT(make(k, "a", "x"), 201);
    CHECK_INT(make(k, "b", "y"), 201);
    CHECK_INT(label(k, "b", "x"), 200);           /* enters */
    CHECK_INT(label(k, "a", "y"), 200);           /* leaves */
    CHECK_INT(label(k, "b", "x2"), 200);
    CHECK_INT(label(k, "b", "x"), 200);
    CHECK_INT(kit_call(k, "DELETE", MAPS "/b", NULL, NULL), 200);
    CHECK_STR(told(&live), S("ADDED a, ADDED b, DELETED a, DELETED b, ADDED b, DELETED b, "));
    watch(k, &later, "&labelSelector=l%3Dx", from);
    CHECK_STR(told(&later), told(&live));
    stop(&later);
    struct store *s = k->api.store;               /* another server on the same file has the same past */
    stop(&live);
    watches_free(k->api.watches);
    k->api.watches = watches_new(k->api.loop, s);
    watch(k, &later, "", from);
    CHECK_STR(told(&later), S("ADDED a, ADDED b, MODIFIED b, MODIFIED a, MODIFIED b, MODIFIED b, DELETED b, "));
    stop(&later);
    watch(k, &later, "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", 0);
    CHECK_STR(told(&later), S("ADDED a, ADDED kube-root-ca.crt, BOOKMARK , "));
    CHECK(str_find(buf_view(&later.got), S("k8s.io/initial-events-end")) >= 0);
    stop(&later);
    kit_api_free(k);
}

TEST(who_reads_slowly_is_fed_slowly_then_dropped_alone)
{
    struct kit_api *k = kit_api_new();
    struct client slow = { .queued = 2000000 }, quick = { 0 };
    kit_call(k, "GET", MAPS, NULL, NULL);
    uint64_t from = version_in(k);
    CHECK_INT(make(k, "a", "x"), 201);
    watch(k, &slow, "", from);
    CHECK_STR(told(&slow), S(""));                /* its queue is long: nothing from the past yet */
    watch(k, &quick, "", from);
    CHECK_INT(label(k, "a", "y"), 200);
    CHECK_STR(told(&quick), S("ADDED a, MODIFIED a, "));
    slow.queued = 0;
    for (int i = 0; i < 3; i++) {
        clock_fake_advance(&k->clock, 20000);
        kit_collect(k);
        loop_run_until(k->api.loop, NULL, NULL, loop_now_us(k->api.loop));
    }
    CHECK_STR(told(&slow), S("ADDED a, MODIFIED a, "));
    slow.queued = LIMIT_WATCH_QUEUE + 1;
    CHECK_INT(label(k, "a", "z"), 200);
    CHECK(slow.closed && !quick.closed);
    CHECK_STR(told(&quick), S("ADDED a, MODIFIED a, MODIFIED a, "));
    stop(&slow);
    stop(&quick);
    kit_api_free(k);
}

TEST(too_old_is_told)
{
    struct kit_api *k = kit_api_new();
    struct client c = { 0 };
    kit_call(k, "GET", MAPS, NULL, NULL);
    uint64_t from = version_in(k);
    make(k, "a", "x");
    clock_fake_advance(&k->clock, INT64_C(1000000) * (LIMIT_HISTORY_SECONDS + 1));
    kit_collect(k);
    make(k, "b", "x");
    make(k, "c", "x");
    watch(k, &c, "", from);
    CHECK(str_starts(buf_view(&c.got), S("! too old resource version: ")));
    stop(&c);
    kit_api_free(k);
}

TEST(pages_are_of_one_revision)
{
    struct kit_api *k = kit_api_new();
    char path[512], token[256], name[16];
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "m%d", i);
        make(k, name, "x");
    }
    CHECK_INT(kit_call(k, "GET", MAPS "?limit=2", NULL, NULL), 200);
    uint64_t first = version_in(k);
    CHECK_STR(kit_get(k, "{.metadata.remainingItemCount}"), S("4"));       /* kube-root-ca.crt is one of them */
    snprintf(token, sizeof token, "%.*s", SFMT(kit_get(k, "{.metadata.continue}")));
    make(k, "m9", "x");
    kit_call(k, "DELETE", MAPS "/m3", NULL, NULL);
    label(k, "m2", "y");
    snprintf(path, sizeof path, MAPS "?limit=9&continue=%s", token);
    CHECK_INT(kit_call(k, "GET", path, NULL, NULL), 200);
    CHECK_STR(kit_get(k, "{.items[*].metadata.name} {.items[1].metadata.labels.l}"), S("m1 m2 m3 m4 x"));
    CHECK(version_in(k) == first);
    snprintf(path, sizeof path, MAPS "?resourceVersionMatch=Exact&resourceVersion=%llu", (unsigned long long)first);
    CHECK_INT(kit_call(k, "GET", path, NULL, NULL), 200);
    CHECK_STR(kit_get(k, "{.items[*].metadata.name}"), S("kube-root-ca.crt m0 m1 m2 m3 m4"));
    clock_fake_advance(&k->clock, INT64_C(1000000) * (LIMIT_HISTORY_SECONDS + 1));
    kit_collect(k);
    make(k, "n", "x");
    CHECK_INT(kit_call(k, "GET", path, NULL, NULL), 410);
    snprintf(path, sizeof path, MAPS "?limit=9&continue=%s", token);
    CHECK_INT(kit_call(k, "GET", path, NULL, NULL), 410);
    CHECK_STR(kit_get(k, "{.reason}"), S("Expired"));
    snprintf(path, sizeof path, MAPS "?limit=9&continue=%.*s", SFMT(kit_get(k, "{.metadata.continue}")));
    CHECK_INT(kit_call(k, "GET", path, NULL, NULL), 200);
    CHECK_STR(kit_get(k, "{.items[*].metadata.name}"), S("m1 m2 m4 m9 n"));
    CHECK_INT(kit_call(k, "GET", MAPS "?limit=2&continue=zzzz", NULL, NULL), 400);
    CHECK_INT(kit_call(k, "GET", MAPS "?continue=OTk5OTk5OSBjb25maWdtYXBzLi9kZWZhdWx0L2E", NULL, NULL), 400);
    kit_api_free(k);
}

TEST(versions_mean_what_they_mean_elsewhere)
{
    struct kit_api *k = kit_api_new();
    static const struct { const char *query; int status; } t[] = {
        { "?resourceVersion=", 200 }, { "?resourceVersion=0", 200 }, { "?resourceVersion=1", 200 }, { "?resourceVersion=x", 400 },
        { "?resourceVersion=-1", 400 }, { "?resourceVersion=999999", 504 }, { "?resourceVersionMatch=Exact", 422 },
        { "?resourceVersionMatch=Exact&resourceVersion=0", 422 }, { "?resourceVersionMatch=Nearly&resourceVersion=1", 422 },
        { "?resourceVersionMatch=NotOlderThan&resourceVersion=1", 200 }, { "?sendInitialEvents=true", 422 },
        { "?watch=1&sendInitialEvents=true", 422 }, { "?watch=1&resourceVersionMatch=Exact&resourceVersion=1", 422 },
        { "?resourceVersionMatch=Exact&resourceVersion=1&continue=x", 422 }, { "?limit=-1", 400 }, { "?watch=1&resourceVersion=999999", 504 },
    };
    for (size_t i = 0; i < LEN(t); i++) {
        char path[256];
        snprintf(path, sizeof path, MAPS "%s", t[i].query);
        if (!CHECK_INT(kit_call(k, "GET", path, NULL, NULL), t[i].status))
            printf("  %s\n", path);
    }
    CHECK_INT(kit_call(k, "GET", MAPS "?resourceVersion=999999", NULL, NULL), 504);
    CHECK_STR(kit_get(k, "{.reason} {.details.causes[0].reason} {.details.retryAfterSeconds}"), S("Timeout ResourceVersionTooLarge 1"));
    CHECK_INT(k->reply.wait_for, 999999);
    kit_api_free(k);
}

/* A parameter that is passed over would be worse than none: who deletes by a selector would delete everything. */
TEST(parameters_that_can_not_be_decoded_are_refused)
{
    static const char *const bad[] = { "%ff", "a%3D%00", "%zz", "%", "a%3", "a\tb" };
    static const char *const names[] = { "labelSelector", "fieldSelector", "watch", "dryRun", "timeout", "nobody-knows" };
    static const char *const methods[] = { "GET", "DELETE", "POST" };
    struct kit_api *k = kit_api_new();
    struct kr_err e = { 0 };
    CHECK_INT(make(k, "a", "x"), 201);
    for (size_t n = 0; n < LEN(names); n++)
        for (size_t i = 0; i < LEN(bad) * LEN(methods); i++) {
            char path[256], want[128];
            snprintf(path, sizeof path, MAPS "?limit=5&%s=%s", names[n], bad[i % LEN(bad)]);
            snprintf(want, sizeof want, "query parameter '%s': ", names[n]);
            CHECK_INT(kit_call(k, methods[i / LEN(bad)], path, NULL, "{}"), 400);
            if (!CHECK(str_starts(kit_get(k, "{.message}"), str_of(want))))
                printf("  %s: %.*s\n", path, SFMT(kit_get(k, "{.message}")));
        }
    CHECK_INT(kit_call(k, "GET", MAPS "/a", NULL, NULL), 200);
    CHECK_INT(kit_call(k, "GET", MAPS "?fieldSelector=metadata.name%3Da&%C3%A9=1", NULL, NULL), 200);
    CHECK(api_check(&k->api, NULL, S("GET"), S(MAPS "/a/portforward"), S("ports=%zz"), &e) < 0 && e.code == KR_BAD_REQUEST);
    kit_api_free(k);
}

/* As a kube-apiserver reads them: what is there is true but for 0 and false. */
TEST(whether_it_is_true_is_read_as_elsewhere)
{
    static const struct { const char *value; bool yes; } t[] = {
        { "", false }, { "?watch=0", false }, { "?watch=false", false }, { "?watch=FALSE", false }, { "?watch=false&watch=1", false }, { "?other=1", false },
        { "?watch", true }, { "?watch=", true }, { "?watch=1", true }, { "?watch=true", true }, { "?watch=yes", true }, { "?watch=f", true } };
    static const struct { const char *query; int status; } initial[] = {
        { "?watch&resourceVersionMatch=NotOlderThan&sendInitialEvents", 200 }, { "?watch&sendInitialEvents", 422 }, { "?sendInitialEvents", 422 } };
    static const struct { const char *query; bool orphan; } orphans[] = {
        { "", false }, { "?orphanDependents=0", false }, { "?orphanDependents=False", false }, { "?orphanDependents", true }, { "?orphanDependents=yes", true } };
    struct kit_api *k = kit_api_new();
    char path[256];
    for (size_t i = 0; i < LEN(t); i++) {
        snprintf(path, sizeof path, MAPS "%s", t[i].value);
        CHECK_INT(kit_call(k, "GET", path, NULL, NULL), 200);
        if (!CHECK(k->reply.watch == t[i].yes))
            printf("  %s\n", path);
    }
    for (size_t i = 0; i < LEN(initial); i++) {
        snprintf(path, sizeof path, MAPS "%s", initial[i].query);
        CHECK_INT(kit_call(k, "GET", path, NULL, NULL), initial[i].status);
    }
    for (size_t i = 0; i < LEN(orphans); i++) {
        CHECK_INT(kit_post(k, MAPS, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"o\",\"finalizers\":[\"test/holds\"]}}"), 201);
        snprintf(path, sizeof path, MAPS "/o%s", orphans[i].query);
        CHECK_INT(kit_call(k, "DELETE", path, NULL, NULL), 200);
        if (!CHECK((str_find(kit_get(k, "{.metadata.finalizers}"), S("orphan")) >= 0) == orphans[i].orphan))
            printf("  %s: %.*s\n", path, SFMT(kit_get(k, "{.metadata.finalizers}")));
        kit_call(k, "PATCH", MAPS "/o", "application/merge-patch+json", "{\"metadata\":{\"finalizers\":[]}}");
        CHECK_INT(kit_call(k, "GET", MAPS "/o", NULL, NULL), 404);
    }
    kit_api_free(k);
}

TEST(timeouts_are_durations_and_seconds_numbers)
{
    static const struct { const char *method, *query; int status; int64_t us; } t[] = {
        { "GET", "/a?timeout=30s", 200, 30000000 }, { "GET", "?timeout=1m30s", 200, 90000000 }, { "GET", "?timeout=%2B5ms", 200, 5000 },
        { "GET", "?timeout=0", 200, 0 }, { "GET", "?timeout=0s", 200, 0 }, { "GET", "?timeout=-1h", 200, 0 }, { "GET", "?timeout=", 200, 0 },
        { "GET", "?timeout=30", 400, 0 }, { "GET", "?timeout=soon", 400, 0 }, { "GET", "?timeout=--5s", 400, 0 }, { "PUT", "/a?timeout=5x", 400, 0 },
        { "GET", "?watch=1&timeout=x", 400, 0 }, { "GET", "?timeoutSeconds=5", 200, 0 }, { "GET", "?timeoutSeconds=5s", 400, 0 },
        { "GET", "?watch=1&timeoutSeconds=5", 200, 0 }, { "GET", "?watch=1&timeoutSeconds=x", 400, 0 }, { "DELETE", "?timeoutSeconds=x", 400, 0 } };
    struct kit_api *k = kit_api_new();
    CHECK_INT(make(k, "a", "x"), 201);
    for (size_t i = 0; i < LEN(t); i++) {
        char path[256];
        snprintf(path, sizeof path, MAPS "%s", t[i].query);
        if (!CHECK_INT(kit_call(k, t[i].method, path, NULL, "{}"), t[i].status) | !CHECK_INT(k->reply.timeout_us, t[i].us))
            printf("  %s %s\n", t[i].method, path);
    }
    CHECK_INT(kit_call(k, "GET", "/api?timeout=x", NULL, NULL), 400);
    CHECK_STR(kit_get(k, "{.reason}: {.message}"), S("BadRequest: invalid timeout specified in the request URL - time: invalid duration \"x\": write 30s"));
    CHECK_INT(kit_call(k, "GET", MAPS "/a", NULL, NULL), 200);
    kit_api_free(k);
}

TEST(a_failed_store_is_told)
{
    struct kit_api *k = kit_api_new();
    CHECK_INT(kit_call(k, "GET", "/readyz", NULL, NULL), 200);
    CHECK_INT(make(k, "a", "x"), 201);
    k->api.store->failed = true;
    kr_fail(&k->api.store->error, KR_SYSTEM, "commit: Input/output error");
    CHECK_INT(kit_call(k, "GET", "/readyz", NULL, NULL), 500);
    CHECK(str_find(buf_view(&k->reply.body), S("it stopped writing: commit: Input/output error")) >= 0);
    CHECK_INT(kit_call(k, "GET", "/livez", NULL, NULL), 200);
    CHECK_INT(make(k, "b", "x"), 500);
    CHECK_STR(kit_get(k, "{.message}"), S("the store stopped writing: commit: Input/output error"));
    CHECK_INT(kit_call(k, "GET", MAPS "/a", NULL, NULL), 200);
    kit_api_free(k);
}

TEST(a_backup_is_of_one_revision_and_for_the_admin)
{
    struct kit_api *k = kit_api_new();
    char path[128];
    make(k, "a", "x");
    CHECK_INT(kit_call(k, "GET", "/kruntimes/backup", NULL, NULL), 200);
    snprintf(path, sizeof path, "/kruntimes/backup?revision=%.*s&after=configmaps.", SFMT(kit_get(k, "{.revision}")));
    make(k, "b", "x");
    CHECK_INT(kit_call(k, "GET", path, NULL, NULL), 200);
    CHECK(str_find(buf_view(&k->reply.body), S("configmaps./default/a\"")) >= 0);
    CHECK(str_find(buf_view(&k->reply.body), S("configmaps./default/b\"")) < 0);
    CHECK_INT(kit_call(k, "GET", "/kruntimes/backup?revision=999999", NULL, NULL), 400);
    CHECK_INT(kit_call(k, "POST", "/kruntimes/backup", NULL, NULL), 405);
    struct api_user ann = { .name = S("ann") };
    api_reply_free(&k->reply);
    api_handle(&k->api, &(struct api_request){ .method = S("GET"), .path = S("/kruntimes/backup"), .user = &ann }, &k->reply);
    CHECK_INT(k->reply.status, 403);
    kit_api_free(k);
}

TEST(so_many_watches_may_be_open)
{
    struct kit_api *k = kit_api_new();
    struct client *all = xcalloc(LIMIT_WATCHES, sizeof *all), one = { 0 };
    for (size_t i = 0; i < LIMIT_WATCHES; i++) {
        watch(k, &all[i], "", 0);
        CHECK(all[i].w != NULL);
    }
    watch(k, &one, "", 0);
    CHECK(str_ends(buf_view(&one.got), S("! too many watches are open (10000)")));
    stop(&all[0]);
    stop(&one);
    watch(k, &one, "", 0);
    CHECK(one.w != NULL);
    stop(&one);
    for (size_t i = 1; i < LIMIT_WATCHES; i++)
        stop(&all[i]);
    free(all);
    kit_api_free(k);
}
