/* SPDX-License-Identifier: Apache-2.0 */
/*
 * artifact-helper: one order, as JSON on stdin, and one answer. runtimed starts it (core/helper.h); it has no right that
 * runtimed hasn't, and nobody else speaks to it.
 *
 *   collect   {store, place, spool, prefix, maxBytes, again, folder, logs, logsPrefix}; with folder 1 the artifacts are in descriptor
 *             3, logs is runtimed's folder of the Run → {"refs":[…], "logsError"} or {"reason", "message"}
 *   get       {store, place, key, offset} → the bytes
 *   place     {store, place, spool, key, path, type, sizeBytes, digest, maxBytes}; descriptor 3 is a working directory → {} or {"message"}
 *   remove    {store, place, prefix}
 *
 * Tests: tests/unit/applets/artifact.c, tests/local/artifacts.py
 */
#include "applets/artifact/store.h"
#include "core/applet.h"
#include "core/clock.h"
#include "core/fs.h"
#include <signal.h>
#include <stdio.h>

enum { ORDER_MAX = 1 << 20, DIR_FD = 3, WORK_FD = 3 };

struct order {
    struct buf text;
    struct arena a;
    struct artifact_store *where;
    struct depot *store;
};

static struct str word(struct order *o, const char *key)
{
    struct str s = json_str_of(json_find(buf_view(&o->text), key), &o->a);
    return s.p ? s : S("");
}

static int64_t number(struct order *o, const char *key)
{
    int64_t n = 0;
    str_i64(json_find(buf_view(&o->text), key), &n);
    return n;
}

static int order_read(struct order *o, struct kr_err *e)
{
    *o = (struct order){ .text = { .max = ORDER_MAX }, .a = { .limit = 64 << 20 } };
    signal(SIGPIPE, SIG_IGN);
    if (fs_read_fd(0, "the order", &o->text, e) < 0 || json_scan(buf_view(&o->text), e) < 0)
        return -1;
    struct str store = json_find(buf_view(&o->text), "store");
    o->where = store.p ? model_decode(artifact_store, store, &o->a, e) : NULL;
    if (!o->where)
        return e->code ? -1 : kr_fail(e, KR_INVALID, "the order names no store");
    o->store = depot_open(o->where, word(o, "place"), word(o, "spool"), e);
    return o->store ? 0 : -1;
}

static void order_end(struct order *o)
{
    depot_close(o->store);
    buf_free(&o->text);
    arena_reset(&o->a);
}

/* ---- collect ----------------------------------------------------------------------------------------------------- */

static void put_ref(struct buf *b, struct order *o, const struct collected *c, struct str key)
{
    char now[TIME_TEXT], digest[DIGEST_TEXT + 8];
    time_print(now, clock_system.wall_us(&clock_system));
    snprintf(digest, sizeof digest, "sha256:%s", c->stored.digest);
    jw_begin(b, '{');
    jw_kstr(b, "name", c->item.name);
    jw_kstr(b, "driver", o->where->driver);
    jw_kstr(b, "type", c->item.is_dir ? S("archive") : S("file"));
    depot_put_location(b, o->where, key);
    jw_kint(b, "sizeBytes", (int64_t)c->stored.size);
    jw_kstr(b, "digest", str_of(digest));
    jw_kstr(b, "contentType", str_of(c->content_type));
    jw_kstr(b, "createdAt", str_of(now));
    jw_end(b, '}');
}

static int store_all(struct order *o, struct collection *all, struct buf *refs, struct kr_err *e)
{
    struct str prefix = word(o, "prefix");
    for (size_t i = 0; i < all->n; i++) {
        struct collected *c = &all->v[i];
        struct str key = arena_fmt(&o->a, "%.*s/%.*s", SFMT(prefix), SFMT(c->item.name));
        if (depot_check_key(key, e) < 0 || o->store->driver->put(o->store, key, &c->item, &c->stored, e) < 0)
            return -1;
        put_ref(refs, o, c, key);
    }
    return 0;
}

static int collect_and_store(struct order *o, struct buf *refs, struct kr_err *e)
{
    struct collect_limits limits = { .bytes = (uint64_t)number(o, "maxBytes") };
    struct collection all;
    struct kr_err ignored = { 0 };
    if (collect(DIR_FD, &limits, &all, &o->a, e) < 0)
        return -1;
    int rc = number(o, "again") ? o->store->driver->remove(o->store, word(o, "prefix"), e) : 0;
    if (rc == 0)
        rc = store_all(o, &all, refs, e);
    collection_close(&all);
    if (rc < 0)
        o->store->driver->remove(o->store, word(o, "prefix"), &ignored);
    return rc;
}

static int run_collect(struct applet_call *c, struct kr_err *e)
{
    struct order o;
    AUTO_BUF struct buf answer = { .max = ORDER_MAX };
    struct kr_err why = { 0 }, logs = { 0 };
    (void)c;
    jw_begin(&answer, '{');
    jw_kbegin(&answer, "refs", '[');
    int rc = order_read(&o, &why);
    if (rc == 0 && number(&o, "folder"))
        rc = collect_and_store(&o, &answer, &why);
    jw_end(&answer, ']');
    if (rc == 0 && word(&o, "logs").n && store_logs(o.store, word(&o, "logs"), word(&o, "logsPrefix"), word(&o, "spool"), &o.a, &logs) < 0)
        jw_kstr(&answer, "logsError", str_of(logs.msg));
    if (rc < 0) {
        bool theirs = why.code == KR_INVALID || why.code == KR_TOO_LARGE;
        buf_clear(&answer);
        jw_begin(&answer, '{');
        jw_kstr(&answer, "reason", theirs ? S("ArtifactInvalid") : S("ArtifactStore"));
        jw_kstr(&answer, "message", str_of(why.msg));
    }
    jw_end(&answer, '}');
    order_end(&o);
    return applet_print(buf_view(&answer), e);
}

/* ---- get, remove ------------------------------------------------------------------------------------------------- */

static int run_get(struct applet_call *c, struct kr_err *e)
{
    struct order o;
    (void)c;
    int rc = order_read(&o, e);
    struct str key = word(&o, "key");
    int64_t offset = number(&o, "offset");
    if (rc == 0)
        rc = depot_check_key(key, e);
    if (rc == 0)
        rc = o.store->driver->get(o.store, key, offset > 0 ? (uint64_t)offset : 0, 1, e);
    order_end(&o);
    return rc;
}

static int run_remove(struct applet_call *c, struct kr_err *e)
{
    struct order o;
    (void)c;
    int rc = order_read(&o, e);
    struct str prefix = word(&o, "prefix");
    if (rc == 0)
        rc = depot_check_key(prefix, e);
    if (rc == 0)
        rc = o.store->driver->remove(o.store, prefix, e);
    order_end(&o);
    return rc;
}

/* ---- place ------------------------------------------------------------------------------------------------------- */

static int run_place(struct applet_call *c, struct kr_err *e)
{
    struct order o;
    AUTO_BUF struct buf answer = { .max = ORDER_MAX };
    struct kr_err why = { 0 };
    (void)c;
    int rc = order_read(&o, &why);
    struct placing p = { .key = word(&o, "key"), .path = word(&o, "path"), .digest = word(&o, "digest"), .spool = word(&o, "spool"),
                         .size = (uint64_t)number(&o, "sizeBytes"), .bytes_max = (uint64_t)number(&o, "maxBytes"), .is_archive = str_is(word(&o, "type"), "archive") };
    if (rc == 0)
        rc = depot_check_key(p.key, &why);
    if (rc == 0)
        rc = place(o.store, WORK_FD, &p, &why);
    jw_begin(&answer, '{');
    if (rc < 0)
        jw_kstr(&answer, "message", str_of(why.msg));
    jw_end(&answer, '}');
    order_end(&o);
    return applet_print(buf_view(&answer), e);
}

/* ---- the applet -------------------------------------------------------------------------------------------------- */

static const struct applet verb_collect = { .name = "collect", .brief = "store what lies in a folder", .main = run_collect, .hidden = true };
static const struct applet verb_get = { .name = "get", .brief = "print an object of a store", .main = run_get, .hidden = true };
static const struct applet verb_place = { .name = "place", .brief = "put an object of a store into a folder", .main = run_place, .hidden = true };
static const struct applet verb_remove = { .name = "remove", .brief = "remove objects from a store", .main = run_remove, .hidden = true };
const struct applet applet_artifact_helper = {
    .name = "artifact-helper", .group = APPLET_COMPONENT, .brief = "moves artifacts between a pod and its store", .hidden = true,
    .verbs = (const struct applet *const[]){ &verb_collect, &verb_get, &verb_place, &verb_remove, NULL },
};
