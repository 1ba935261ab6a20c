/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded API server without sockets. */
#include "tests/kit/api.h"
#include "k8s/jsonpath.h"
#include "tests/kit/test.h"
#include <stdio.h>

struct kit_api *kit_api_new(void)
{
    struct kit_api *k = xcalloc(1, sizeof *k);
    struct kr_err e = { 0 };
    char path[512];
    clock_fake_init(&k->clock, 1000000, INT64_C(1800000000000000));
    rnd_seed(&k->rnd, 1);
    snprintf(path, sizeof path, "%s/store.mdb", test_tmpdir());
    k->api = (struct api){ .loop = loop_new(&k->clock.clock), .rnd = &k->rnd, .ca = S("PEM") };
    k->api.store = store_open(path, &e);
    if (!k->api.store) {
        printf("  %s\n", e.msg);
        abort();
    }
    k->api.watches = watches_new(k->api.loop, k->api.store);
    CHECK(api_bootstrap(&k->api, &e) == 0);
    k->collector = collector_new(&k->api, &e);
    kit_collect(k);
    return k;
}

void kit_api_free(struct kit_api *k)
{
    api_reply_free(&k->reply);
    collector_free(k->collector);
    watches_free(k->api.watches);
    store_close(k->api.store);
    loop_free(k->api.loop);
    free(k);
}

static void commit(struct kit_api *k)
{
    struct kr_err e = { 0 };
    CHECK(store_commit(k->api.store, &e) == 0);
    watch_publish(k->api.watches);
}

int kit_call(struct kit_api *k, const char *method, const char *path, const char *content_type, const char *body)
{
    struct str query, p;
    struct str whole = str_of(path);
    ptrdiff_t mark = str_chr(whole, '?');
    p = mark < 0 ? whole : (struct str){ whole.p, (size_t)mark };
    query = mark < 0 ? S("") : str_from(whole, (size_t)mark + 1);
    api_reply_free(&k->reply);
    api_handle(&k->api, &(struct api_request){ .method = str_of(method), .path = p, .query = query, .user_agent = str_of(k->agent ? k->agent : ""),
               .content_type = str_of(content_type ? content_type : "application/json"), .body = str_of(body ? body : "") }, &k->reply);
    commit(k);
    return k->reply.status;
}

int kit_post(struct kit_api *k, const char *path, const char *body) { return kit_call(k, "POST", path, NULL, body); }

struct str kit_get(struct kit_api *k, const char *jsonpath)
{
    static char text[4096];
    AUTO_ARENA struct arena a = { .limit = LIMIT_API_ARENA };
    AUTO_BUF struct buf out = { .max = sizeof text };
    struct kr_err e = { 0 };
    struct jsonpath *p = jsonpath_parse(&a, str_of(jsonpath), &e);
    struct json *root = json_parse(&a, buf_view(&k->reply.body), &e);
    if (!p || !root || jsonpath_print(p, root, &out, &e) < 0)
        return (struct str){ text, (size_t)snprintf(text, sizeof text, "! %s", e.msg) };
    return (struct str){ text, (size_t)snprintf(text, sizeof text, "%.*s", SFMT(buf_view(&out))) };
}

static bool quiet(void *ctx) { return collector_is_idle(((struct kit_api *)ctx)->collector); }

void kit_collect(struct kit_api *k)
{
    do {
        CHECK(loop_run_until(k->api.loop, quiet, k, INT64_MAX) == 0);
        commit(k);                       /* what it did may be news to itself */
    } while (!quiet(k));
}
