/* SPDX-License-Identifier: Apache-2.0 */
/*
 * informer: states LISTING → WATCHING → (WAITING →) WATCHING or LISTING. A watch that ends is opened again from the last
 * version seen; only a 410, a version that can't be used, or an event that is none or too large makes a new list.
 *
 * Waiting after trouble doubles from 50 ms to 10 s with jitter, and starts over when a watch has lived for ten seconds: neither a
 * list nor an event proves anything, lists may be allowed and watches refused, or broken off behind their first event. For the
 * same reason only watches that lived are opened again without a wait. A watch that outlives the time it was asked for is cut: what stands
 * between us and the server has lost it; so is one that is not answered within a minute. Nothing counts as gone but after a list that
 * is whole and is one. A page that is too large, or doesn't come in its time, is asked for again with half as many objects.
 *
 * The user may free us from inside any of its callbacks: then `closed` is seen by what is on the stack, and memory goes when
 * the last of it leaves. Tested in tests/unit/k8s/informer.c, client_faults.c.
 */
#include "k8s/informer.h"
#include "core/json.h"
#include "core/map.h"
#include "core/metrics.h"
#include "core/uri.h"
#include <stdio.h>

enum { WAIT_MIN_US = 50000, WAIT_MAX_US = 10000000, LIVED_US = 10000000, PAGE_MAX = 500, WATCH_S = 600, OVERTIME_S = 30, ANSWER_US = 60000000 };

/* version: a hash of it. It is only compared with itself, and there may be a hundred thousand of these. */
struct known { uint64_t version, seen; uint32_t n; char key[]; };
struct informer {
    struct kube *k;
    struct loop *loop;
    struct rnd *rnd;
    const struct kube_resource *r;
    char *ns, *labels, *fields, *fallback;
    struct informer_user user;
    struct map known;
    uint64_t generation;                          /* of the list in progress; known entries below it are gone after it */
    struct kube_call *list;
    struct kube_stream *watch;
    struct timer wait;                            /* until the next try; of a watch: the end of its answer's time, then its own */
    int64_t watch_us, wait_us, list_began_us, listed_at_us, opened_at_us;
    struct buf version, cont;
    int page;                                     /* so many objects are asked for at once */
    int idle_pages;                               /* of the list in progress: in a row, that had nothing new */
    bool synced, live, relist, use_fallback, always_relist, whole;       /* whole: lists expired between their pages: without pages then */
    bool closed; int busy;                        /* calls of ours on the stack that may call the user */
    char list_kind[80];
};

static void begin(struct informer *inf);
static void wait_some(struct informer *inf, const struct kr_err *e);
static void release(struct informer *inf);

static void enter(struct informer *inf) { inf->busy++; }

static void leave(struct informer *inf)
{
    if (--inf->busy == 0 && inf->closed)
        release(inf);
}

/* ---- what is known ----------------------------------------------------------------------------------------------- */

static struct str known_key(const struct known *n) { return (struct str){ n->key, n->n }; }

static struct known *known_add(struct informer *inf, struct str key)
{
    struct known *n = xcalloc(1, sizeof *n + key.n + 1);
    memcpy(n->key, key.p, key.n);
    n->n = (uint32_t)key.n;
    map_put(&inf->known, known_key(n), n);
    return n;
}

/* What the metadata of an object says of it. */
struct identity { struct str key, name, version; };

static struct identity identity_of(struct str meta, struct arena *a, bool namespaced)
{
    static const char *const keys[] = { "name", "namespace", "resourceVersion" };
    struct str raw[LEN(keys)];
    json_pick(meta, keys, raw, LEN(keys));
    struct str name = json_str_of(raw[0], a), ns = json_str_of(raw[1], a);
    return (struct identity){ namespaced && ns.n ? arena_join(a, (struct str[]){ ns, S("/"), name }, 3) : name, name, json_str_of(raw[2], a) };
}

static void keep_version(struct informer *inf, struct str version)
{
    if (!version.n)
        return;
    buf_clear(&inf->version);
    buf_str(&inf->version, version);
}

static void set(struct informer *inf, struct str json, const struct identity *is)
{
    struct known *n = map_get(&inf->known, is->key);
    uint64_t hash = str_hash(is->version);
    if (!is->key.n)
        return;
    if (!n || n->seen != inf->generation)
        inf->idle_pages = 0;
    if (n && n->version == hash) {
        n->seen = inf->generation;                /* the list shows what is known already */
        return;
    }
    if (!n)
        n = known_add(inf, is->key);
    n->version = hash;
    n->seen = inf->generation;
    inf->user.set(inf->user.ctx, known_key(n), json);
}

static void gone(struct informer *inf, struct str key, struct str json)
{
    struct known *n = map_del(&inf->known, key);
    if (!n)
        return;
    inf->user.gone(inf->user.ctx, known_key(n), json);
    free(n);
}

static void drop_unseen(struct informer *inf)
{
    struct known *n;
    for (size_t i = 0; !inf->closed && (n = map_next(&inf->known, &i));)
        if (n->seen != inf->generation)
            gone(inf, known_key(n), (struct str){ 0 });
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static void wait_fired(struct loop *loop, struct timer *t)
{
    (void)loop;
    struct informer *inf = container_of(t, struct informer, wait);
    bool unanswered = inf->watch && !inf->opened_at_us;
    struct kr_err e = { 0 };
    inf->live &= !inf->watch;
    kube_close_stream(TAKE(inf->watch));
    enter(inf);
    if (unanswered) {
        kr_fail(&e, KR_DEADLINE, "the watch of %s was not answered in time", inf->r->plural);
        wait_some(inf, &e);
    } else {
        begin(inf);
    }
    leave(inf);
}

static void wait_some(struct informer *inf, const struct kr_err *e)
{
    inf->live = false;
    inf->relist |= inf->always_relist;
    if (e && inf->user.trouble)
        inf->user.trouble(inf->user.ctx, e);
    if (inf->closed)
        return;
    int64_t us = inf->wait_us + (int64_t)rnd_below(inf->rnd, (uint64_t)inf->wait_us / 2 + 1);
    if (e && e->retry_after_s)
        us = e->retry_after_s * INT64_C(1000000);
    inf->wait_us = inf->wait_us * 2 > WAIT_MAX_US ? WAIT_MAX_US : inf->wait_us * 2;
    loop_timer_in(inf->loop, &inf->wait, us);
}

/* A watch is over; e NULL: as it may happen without trouble. */
static void go_on(struct informer *inf, const struct kr_err *e)
{
    bool lived = inf->opened_at_us && loop_now_us(inf->loop) - inf->opened_at_us >= LIVED_US;
    if (lived)
        inf->wait_us = WAIT_MIN_US;
    if (e || !lived)
        wait_some(inf, e);
    else
        begin(inf);
}

/* ---- watch ------------------------------------------------------------------------------------------------------- */

enum { ADDED, MODIFIED, DELETED, BOOKMARK, ERROR, NTYPES };
struct event { int type; struct str object; struct identity is; };

/* An event of this kind of object, with a key and a version. The core kinds' bookmarks name their kind too. */
static int read_event(struct informer *inf, struct str line, struct event *ev, struct arena *a, struct kr_err *e)
{
    static const char *const types[] = { "ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR" };
    static const char *const members[] = { "type", "object" }, *const parts[] = { "kind", "metadata" };
    struct str member[LEN(members)], part[LEN(parts)];
    if (json_scan(line, e) < 0)
        return kr_wrap(e, "the watch of %s", inf->r->plural);
    json_pick(line, members, member, LEN(members));
    json_pick(member[1], parts, part, LEN(parts));
    struct str type = json_str_of(member[0], a), kind = json_str_of(part[0], a);
    *ev = (struct event){ .object = member[1], .is = identity_of(part[1], a, inf->r->namespaced) };
    while (ev->type < NTYPES && !str_is(type, types[ev->type]))
        ev->type++;
    if (ev->type == NTYPES || (ev->type != ERROR && kind.p && !str_is(kind, inf->r->kind)))
        return kr_fail(e, KR_PROTOCOL, "the watch of %s: an event that is none", inf->r->plural);
    if (ev->type != ERROR && !ev->is.version.n)
        return kr_fail(e, KR_PROTOCOL, "the watch of %s: an object without a version", inf->r->plural);
    return ev->type < BOOKMARK && !ev->is.name.n ? kr_fail(e, KR_PROTOCOL, "the watch of %s: an object without a name", inf->r->plural) : 0;
}

static void take_line(struct informer *inf, struct str line)
{
    struct kr_err e = { 0 };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct event ev;
    if (read_event(inf, line, &ev, &a, &e) < 0) {
        inf->relist = true;
        kube_close_stream(TAKE(inf->watch));
        wait_some(inf, &e);
        return;
    }
    if (ev.type == ERROR) {
        int64_t code = 0;
        str_i64(json_find(ev.object, "code"), &code);
        kube_status_error((int)code, ev.object, &e, NULL);
        inf->relist = true;
        kube_close_stream(TAKE(inf->watch));
        go_on(inf, code == 410 ? NULL : &e);
        return;
    }
    keep_version(inf, ev.is.version);
    if (ev.type == ADDED || ev.type == MODIFIED)
        set(inf, ev.object, &ev.is);
    else if (ev.type == DELETED)
        gone(inf, ev.is.key, ev.object);
}

static void on_line(void *ctx, struct str line)
{
    struct informer *inf = ctx;
    enter(inf);
    take_line(inf, line);
    leave(inf);
}

static void on_opened(void *ctx)
{
    struct informer *inf = ctx;
    inf->live = true;
    inf->opened_at_us = loop_now_us(inf->loop);
    loop_timer_in(inf->loop, &inf->wait, inf->watch_us);
    enter(inf);
    if (inf->user.live)
        inf->user.live(inf->user.ctx);
    leave(inf);
}

static void on_ended(void *ctx, int status, const struct kr_err *e)
{
    struct informer *inf = ctx;
    inf->watch = NULL;
    loop_timer_stop(inf->loop, &inf->wait);
    enter(inf);
    if (e && e->code == KR_EXPIRED) {
        inf->relist = true;
        go_on(inf, NULL);
    } else if (e) {
        if (e->code == KR_TOO_LARGE)              /* a line: the same watch would lead to it again, a list goes around it */
            inf->relist = true;
        if (status >= 400 && status != 401 && status != 429 && status < 500)
            inf->relist = true;
        go_on(inf, e);
    } else {
        go_on(inf, NULL);                         /* the server's own time limit */
    }
    leave(inf);
}

static void put_selectors(struct informer *inf, struct buf *p)
{
    const char *fields = inf->use_fallback ? inf->fallback : inf->fields;
    kube_path(p, inf->r, str_of(inf->ns), (struct str){ 0 }, NULL);
    if (*inf->labels)
        uri_put_param(p, "labelSelector", str_of(inf->labels));
    if (*fields)
        uri_put_param(p, "fieldSelector", str_of(fields));
}

static void watch(struct informer *inf)
{
    AUTO_BUF struct buf p = { .max = LIMIT_HTTP1_START_LINE };
    char seconds[24];
    put_selectors(inf, &p);
    uri_put_param(&p, "watch", S("true"));
    uri_put_param(&p, "allowWatchBookmarks", S("true"));
    uri_put_param(&p, "resourceVersion", buf_view(&inf->version));
    int limit_s = WATCH_S + (int)rnd_below(inf->rnd, WATCH_S);
    snprintf(seconds, sizeof seconds, "%d", limit_s);
    uri_put_param(&p, "timeoutSeconds", str_of(seconds));
    inf->opened_at_us = 0;
    inf->watch = kube_open_stream(inf->k, buf_view(&p), (struct kube_stream_user){ on_opened, on_line, on_ended, inf });
    inf->watch_us = (limit_s + OVERTIME_S) * INT64_C(1000000);
    loop_timer_in(inf->loop, &inf->wait, ANSWER_US);
}

/* ---- list -------------------------------------------------------------------------------------------------------- */

static void list_page(struct informer *inf);

static void listed(struct informer *inf)
{
    drop_unseen(inf);
    if (inf->closed)
        return;
    inf->relist = false;
    inf->synced = true;
    inf->page = inf->page * 2 > PAGE_MAX ? PAGE_MAX : inf->page * 2;      /* for the next one */
    inf->listed_at_us = inf->list_began_us;
    if (inf->user.synced)
        inf->user.synced(inf->user.ctx);
    if (!inf->closed)
        watch(inf);
}

/* False: it can't be less. */
static bool ask_for_less(struct informer *inf)
{
    if (!inf->whole && inf->page == 1)
        return false;
    if (!inf->whole)
        inf->page /= 2;
    inf->whole = false;
    return true;
}

static void list_failed(struct informer *inf, const struct kube_result *r, const struct kr_err *e)
{
    inf->whole |= r->status == 410 && inf->cont.n;        /* the pages took longer than the server keeps a snapshot */
    bool less = (e->code == KR_TOO_LARGE || e->code == KR_DEADLINE) && ask_for_less(inf);
    if (less && e->code == KR_TOO_LARGE) {
        list_page(inf);
        return;
    }
    buf_clear(&inf->cont);
    if (r->status == 400 && inf->fallback && !inf->use_fallback) {
        inf->use_fallback = true;
        list_page(inf);
    } else {
        wait_some(inf, e);
    }
}

/* False: not all of it can be taken for what the server has. */
static bool take_items(struct informer *inf, struct str items)
{
    struct json_cur cur = json_begin(items);
    if (!items.p || str_is(items, "null"))
        return items.p;                           /* an empty list may come as null */
    if (json_kind(&cur) != JSON_ARRAY)
        return false;
    json_enter(&cur);
    while (!inf->closed && json_item(&cur)) {
        AUTO_ARENA struct arena item = { .limit = 65536 };
        struct str json = json_raw(&cur);
        struct identity is = identity_of(json_find(json, "metadata"), &item, inf->r->namespaced);
        set(inf, json, &is);
    }
    return true;
}

static void take_list(struct informer *inf, const struct kube_result *r)
{
    AUTO_ARENA struct arena a = { .limit = 131072 };
    struct kr_err e = { 0 };
    if (r->error) {
        list_failed(inf, r, r->error);
        return;
    }
    static const char *const members[] = { "metadata", "items" };
    struct str member[LEN(members)];
    json_pick(r->body, members, member, LEN(members));
    struct str meta = member[0], version = json_str_of(json_find(meta, "resourceVersion"), &a);
    inf->idle_pages++;
    if (!version.n || !take_items(inf, member[1])) {
        kr_fail(&e, KR_PROTOCOL, "the API server's list of %s has no %s", inf->r->plural, version.n ? "items" : "version");
        list_failed(inf, r, &e);
        return;
    }
    if (inf->closed)
        return;
    keep_version(inf, version);
    struct str cont = json_str_of(json_find(meta, "continue"), &a);
    if (cont.n && (str_eq(cont, buf_view(&inf->cont)) || inf->idle_pages >= LIMIT_KUBE_IDLE_PAGES)) {
        kr_fail(&e, KR_PROTOCOL, "the API server's list of %s has no end: its pages lead to each other", inf->r->plural);
        list_failed(inf, r, &e);
        return;
    }
    buf_clear(&inf->cont);
    buf_str(&inf->cont, cont);
    if (cont.n)
        list_page(inf);
    else
        listed(inf);
}

static void on_list(void *ctx, const struct kube_result *r)
{
    struct informer *inf = ctx;
    inf->list = NULL;
    enter(inf);
    take_list(inf, r);
    leave(inf);
}

static void list_page(struct informer *inf)
{
    AUTO_BUF struct buf p = { .max = LIMIT_HTTP1_START_LINE };
    char limit[16];
    put_selectors(inf, &p);
    snprintf(limit, sizeof limit, "%d", inf->page);
    if (!inf->whole)
        uri_put_param(&p, "limit", str_of(limit));
    if (inf->cont.n) {
        uri_put_param(&p, "continue", buf_view(&inf->cont));
    } else {
        inf->generation++;
        inf->idle_pages = 0;
        inf->list_began_us = loop_now_us(inf->loop);
        metric_add(METRIC_KUBE_RELISTS, 0, 1);
    }
    if (p.failed) {
        struct kr_err e = { 0 };
        kr_fail(&e, KR_PROTOCOL, "the API server's continue token for %s is too long", inf->r->plural);
        list_failed(inf, &(struct kube_result){ 0 }, &e);
        return;
    }
    inf->list = kube_send(inf->k, &(struct kube_request){ .method = "GET", .path = buf_view(&p), .kind = inf->list_kind, .timeout_us = 60000000 },
                          (struct kube_user){ on_list, inf });
}

static void begin(struct informer *inf)
{
    loop_timer_stop(inf->loop, &inf->wait);
    if (inf->synced && !inf->relist && inf->version.n) {
        watch(inf);
        return;
    }
    buf_clear(&inf->cont);
    list_page(inf);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static char *copy(struct str s) { return xstrndup(s.p ? s.p : "", s.n); }

struct informer *informer_new(struct kube *k, const struct informer_config *c, struct rnd *rnd)
{
    struct informer *inf = xcalloc(1, sizeof *inf);
    *inf = (struct informer){ .k = k, .loop = kube_loop(k), .rnd = rnd, .r = c->resource, .ns = copy(c->ns), .labels = copy(c->labels),
                              .fields = copy(c->fields), .fallback = c->fallback_fields.p ? copy(c->fallback_fields) : NULL, .user = c->user, .always_relist = c->relist_after_trouble,
                              .wait = { .fire = wait_fired }, .wait_us = WAIT_MIN_US, .page = PAGE_MAX, .version = { .max = 1024 }, .cont = { .max = 65536 } };
    snprintf(inf->list_kind, sizeof inf->list_kind, "%sList", c->resource->kind);
    begin(inf);
    return inf;
}

static void release(struct informer *inf)
{
    struct known *n;
    for (size_t i = 0; (n = map_next(&inf->known, &i));)
        free(n);
    map_free(&inf->known);
    buf_free(&inf->version);
    buf_free(&inf->cont);
    free(inf->ns);
    free(inf->labels);
    free(inf->fields);
    free(inf->fallback);
    free(inf);
}

void informer_free(struct informer *inf)
{
    if (!inf || inf->closed)
        return;
    inf->closed = true;
    kube_cancel(TAKE(inf->list));
    kube_close_stream(TAKE(inf->watch));
    loop_timer_stop(inf->loop, &inf->wait);
    if (!inf->busy)
        release(inf);
}

void informer_relist(struct informer *inf)
{
    if (!inf)
        return;
    inf->relist = true;
    if (inf->closed || (!inf->list && !inf->watch))
        return;
    kube_cancel(TAKE(inf->list));
    kube_close_stream(TAKE(inf->watch));
    inf->live = false;
    begin(inf);
}

bool informer_is_synced(const struct informer *inf) { return inf->synced; }
bool informer_is_live(const struct informer *inf) { return inf->synced && inf->live; }
bool informer_ready(const struct informer *inf, struct buf *why)
{
    if (!informer_is_live(inf))
        buf_fmt(why, inf->synced ? "%s: the watch is interrupted\n" : "%s: no list of them is complete yet\n", inf->r->plural);
    return informer_is_live(inf);
}
int64_t informer_listed_at(const struct informer *inf) { return inf->listed_at_us; }
