/* SPDX-License-Identifier: Apache-2.0 */
#include "crds/crds.h"
#include "k8s/core_schema.h"
#include "k8s/managed.h"
#include "tests/kit/test.h"
#include <stdio.h>

static struct arena arena = { .limit = 64 << 20 };

static struct json *parse(const char *text)
{
    struct kr_err e = { 0 };
    struct json *j = json_parse(&arena, str_of(text), &e);
    if (!j)
        printf("  %s: %s\n", text, e.msg);
    return j;
}

static struct fieldset set(const char *text)
{
    struct fieldset s = { 0 };
    struct kr_err e = { 0 };
    CHECK(fieldset_parse(&arena, parse(text), &s, &e) == 0);
    return s;
}

static struct str text(const struct fieldset *s)
{
    static char out[4][4096];
    static int which;
    AUTO_BUF struct buf b = { .max = 4096 };
    which = (which + 1) % 4;
    json_print(&b, fieldset_json(&arena, s));
    return (struct str){ out[which], (size_t)snprintf(out[which], 4096, "%.*s", SFMT(buf_view(&b))) };
}

TEST(sets_are_read_printed_and_combined)
{
    static const struct { const char *a, *b, *both, *less, *common; } T[] = {
        { "{\"f:a\":{}}", "{\"f:b\":{}}", "{\"f:a\":{},\"f:b\":{}}", "{\"f:a\":{}}", "{}" },
        { "{\"f:a\":{\".\":{},\"f:x\":{}}}", "{\"f:a\":{}}", "{\"f:a\":{\".\":{},\"f:x\":{}}}", "{\"f:a\":{\"f:x\":{}}}", "{\"f:a\":{}}" },
        { "{\"f:a\":{\"f:x\":{},\"f:y\":{}}}", "{\"f:a\":{\"f:y\":{},\"f:z\":{}}}", "{\"f:a\":{\"f:x\":{},\"f:y\":{},\"f:z\":{}}}", "{\"f:a\":{\"f:x\":{}}}",
          "{\"f:a\":{\"f:y\":{}}}" },
        { "{\"v:1\":{},\"k:{\\\"n\\\":1}\":{},\"f:z\":{},\"i:0\":{}}", "{}", "{\"f:z\":{},\"k:{\\\"n\\\":1}\":{},\"v:1\":{},\"i:0\":{}}",
          "{\"f:z\":{},\"k:{\\\"n\\\":1}\":{},\"v:1\":{},\"i:0\":{}}", "{}" },
        { "{}", "{\"f:a\":{}}", "{\"f:a\":{}}", "{}", "{}" },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        struct fieldset a = set(T[i].a), b = set(T[i].b);
        struct fieldset both = fieldset_union(&arena, &a, &b), less = fieldset_difference(&arena, &a, &b), common = fieldset_intersection(&arena, &a, &b);
        CHECK_STR(text(&both), str_of(T[i].both));
        CHECK_STR(text(&less), str_of(T[i].less));
        CHECK_STR(text(&common), str_of(T[i].common));
        CHECK(fieldset_equal(&both, &both) && fieldset_is_empty(&common) == !strcmp(T[i].common, "{}"));
    }
    static const char *const bad[] = { "1", "{\"a\":{}}", "{\"f:a\":1}", "{\"f:a\":{\"x\":{}}}" };
    for (size_t i = 0; i < LEN(bad); i++) {
        struct fieldset s;
        struct kr_err e;
        CHECK(fieldset_parse(&arena, parse(bad[i]), &s, &e) < 0 && e.code == KR_BAD_REQUEST);
    }
}

/* spec.env is a list-map by name, spec.args atomic, retryPolicy.retryableReasons a set or atomic as run.def has it. */
TEST(objects_are_walked_by_their_schema)
{
    static const struct { const char *old, *now, *added, *modified, *removed; } T[] = {
        { "{\"spec\":{\"args\":[\"a\"]}}", "{\"spec\":{\"args\":[\"b\"]}}", "{}", "{\"f:spec\":{\"f:args\":{}}}", "{}" },
        { "{\"spec\":{}}", "{\"spec\":{\"env\":[{\"name\":\"A\",\"value\":\"1\"}]}}",
          "{\"f:spec\":{\"f:env\":{\".\":{},\"k:{\\\"name\\\":\\\"A\\\"}\":{\".\":{},\"f:name\":{},\"f:value\":{}}}}}", "{}", "{}" },
        { "{\"spec\":{\"env\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"B\"}]}}", "{\"spec\":{\"env\":[{\"name\":\"A\",\"value\":\"2\"}]}}", "{}",
          "{\"f:spec\":{\"f:env\":{\"k:{\\\"name\\\":\\\"A\\\"}\":{\"f:value\":{}}}}}",
          "{\"f:spec\":{\"f:env\":{\"k:{\\\"name\\\":\\\"B\\\"}\":{\".\":{},\"f:name\":{}}}}}" },
        { "{\"spec\":{\"env\":[{\"name\":\"A\"},{\"name\":\"B\"}]}}", "{\"spec\":{\"env\":[{\"name\":\"B\"},{\"name\":\"A\"}]}}", "{}", "{}", "{}" },
        { "{\"metadata\":{\"labels\":{\"a\":\"1\"}}}", "{\"metadata\":{\"labels\":{\"b\":\"1\"}}}", "{\"f:metadata\":{\"f:labels\":{\"f:b\":{}}}}", "{}",
          "{\"f:metadata\":{\"f:labels\":{\"f:a\":{}}}}" },
        { "{\"metadata\":{\"finalizers\":[\"x\"]}}", "{\"metadata\":{\"finalizers\":[\"y\",\"x\"]}}", "{\"f:metadata\":{\"f:finalizers\":{\"v:\\\"y\\\"\":{}}}}", "{}", "{}" },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        struct field_changes c;
        fieldset_compare(&arena, type_run.object, parse(T[i].old), parse(T[i].now), &c);
        CHECK_STR(text(&c.added), str_of(T[i].added));
        CHECK_STR(text(&c.modified), str_of(T[i].modified));
        CHECK_STR(text(&c.removed), str_of(T[i].removed));
    }
}

TEST(merging_keeps_places_and_strangers)
{
    static const struct { const char *live, *applied, *want; } T[] = {
        { "{\"spec\":{\"env\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"B\",\"value\":\"1\"}]}}",
          "{\"spec\":{\"env\":[{\"name\":\"C\"},{\"name\":\"B\",\"value\":\"2\"}]}}",
          "{\"spec\":{\"env\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"C\"},{\"name\":\"B\",\"value\":\"2\"}]}}" },
        { "{\"spec\":{\"args\":[\"a\",\"b\"]}}", "{\"spec\":{\"args\":[\"c\"]}}", "{\"spec\":{\"args\":[\"c\"]}}" },
        { "{\"metadata\":{\"labels\":{\"a\":\"1\",\"b\":\"1\"}}}", "{\"metadata\":{\"labels\":{\"b\":\"2\",\"c\":\"3\"}}}",
          "{\"metadata\":{\"labels\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}}}" },
        { "{\"spec\":\"odd\"}", "{\"spec\":{\"args\":[]}}", "{\"spec\":{\"args\":[]}}" },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_BUF struct buf b = { .max = 65536 };
        json_print(&b, fieldset_merge(&arena, type_run.object, parse(T[i].live), parse(T[i].applied)));
        CHECK_STR(buf_view(&b), str_of(T[i].want));
    }
}

/* Each has what the other has, in the other order: so many that a look at each for each would not end in time. */
TEST(long_lists_are_merged_in_the_applied_order)
{
    enum { MANY = 100000 };
    static const char *const path[] = { "metadata", "finalizers" };
    AUTO_ARENA struct arena a = { .limit = 512 << 20 };
    struct json *both[2];
    for (int way = 0; way < 2; way++) {
        struct json *list = json_new_array(&a);
        for (int i = 0; i < MANY; i++)
            json_append(list, json_new_str(&a, arena_fmt(&a, "f%d", way ? MANY - 1 - i : i)));
        both[way] = json_new_object(&a);
        json_set(&a, json_ensure_object(&a, both[way], path[0]), str_of(path[1]), list);
    }
    const struct json *merged = fieldset_merge(&a, core_schema(S("v1"), S("Pod")), both[0], both[1]);
    CHECK(json_equal(json_get_path(merged, path, 2), json_get_path(both[1], path, 2)));
}

TEST(removing_spares_what_others_have)
{
    static const struct { const char *object, *drop, *keep, *want; } T[] = {
        { "{\"spec\":{\"priority\":1,\"runtime\":\"r\"}}", "{\"f:spec\":{\"f:priority\":{}}}", "{}", "{\"spec\":{\"runtime\":\"r\"}}" },
        { "{\"spec\":{\"retryPolicy\":{\"backoff\":\"1s\"},\"runtime\":\"r\"}}", "{\"f:spec\":{\"f:retryPolicy\":{\"f:backoff\":{}}}}", "{}", "{\"spec\":{\"runtime\":\"r\"}}" },
        { "{\"spec\":{\"env\":[{\"name\":\"A\",\"value\":\"1\"}]}}", "{\"f:spec\":{\"f:env\":{\"k:{\\\"name\\\":\\\"A\\\"}\":{\".\":{},\"f:name\":{}}}}}",
          "{\"f:spec\":{\"f:env\":{\"k:{\\\"name\\\":\\\"A\\\"}\":{\"f:value\":{}}}}}", "{\"spec\":{\"env\":[{\"value\":\"1\"}]}}" },
        { "{\"spec\":{\"env\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"B\"}]}}", "{\"f:spec\":{\"f:env\":{\"k:{\\\"name\\\":\\\"A\\\"}\":{\".\":{},\"f:name\":{}}}}}", "{}",
          "{\"spec\":{\"env\":[{\"name\":\"B\"}]}}" },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_BUF struct buf b = { .max = 65536 };
        struct json *o = parse(T[i].object);
        struct fieldset drop = set(T[i].drop), keep = set(T[i].keep);
        fieldset_remove(&arena, type_run.object, o, &drop, &keep);
        json_print(&b, o);
        CHECK_STR(buf_view(&b), str_of(T[i].want));
    }
}

TEST(old_updates_become_one_manager)
{
    struct managers m = { 0 };
    struct json *old = NULL;
    for (int i = 0; i < 30; i++) {
        char body[64], name[16], time[32];
        snprintf(body, sizeof body, "{\"spec\":{\"priority\":%d},\"x%d\":1}", i, i);
        snprintf(name, sizeof name, "m%d", i);
        snprintf(time, sizeof time, "2026-01-01T00:00:%02dZ", i);
        struct manager who = { .name = arena_str(&arena, str_of(name)), .api_version = S("v1"), .time = arena_str(&arena, str_of(time)) };
        struct json *now = parse(body);
        CHECK(managed_update(&arena, &m, &who, NULL, old, old ? fieldset_merge(&arena, NULL, old, now) : now));
        old = old ? fieldset_merge(&arena, NULL, old, now) : now;
    }
    CHECK_INT(m.n, LIMIT_FIELD_MANAGERS);
    bool ancient = false;
    for (size_t i = 0; i < m.n; i++)
        ancient |= str_is(m.v[i].name, "ancient-changes");
    CHECK(ancient);
}

TEST(a_place_has_a_number_of_fields)
{
    AUTO_BUF struct buf b = { .max = 4 << 20 };
    struct kr_err e = { 0 };
    struct fieldset s = { 0 };
    buf_byte(&b, '{');
    for (int i = 0; i <= LIMIT_FIELDSET; i++)
        buf_fmt(&b, "%s\"f:k%d\":{}", i ? "," : "", i);
    buf_byte(&b, '}');
    buf_byte(&b, 0);
    CHECK_INT(fieldset_parse(&arena, parse(b.p), &s, &e), -1);
    CHECK_INT(e.code, KR_TOO_LARGE);
    CHECK_Z(e.msg, "fieldsV1: more than 65536 fields in one place");
}
