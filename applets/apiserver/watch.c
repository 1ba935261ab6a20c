/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch: noted events wait in a ring for their commit, then go to all watchers that are up to date.
 *
 * A watcher that begins in the past catches up from the store's history, a slice per step and only as fast as its client
 * reads, up to what has been published; then it is one of the others. Nothing of the past is kept in memory.
 *
 * A publish walks the watchers of that resource once; the line of an event is made once per publish and shared by all
 * who want the object as it is. A watcher whose client doesn't read is closed when its queue is full: others never wait
 * for it, and it may come back from the revision it saw last. Tested in tests/unit/applets/apiserver_watch.c.
 */
#include "applets/apiserver/watch.h"
#include <stdio.h>

enum { BOOKMARK_US = 60000000, SLICE_ENTRIES = 2000, SLICE_BYTES = 1048576, SLICE_PAUSE_US = 10000 };

struct event { uint64_t revision; struct version *now, *before; };
struct ring { struct event *v; size_t first, n, cap; };
struct watcher {
    struct watcher *next, **at;
    struct watches *w;
    struct filter filter;
    uint64_t from;
    bool bookmarks, metadata, closing, behind;      /* behind: still fed from the store's history */
    struct str prefix; char *own_prefix;  /* of the keys it may want */
    struct watcher_user user;
    struct timer deadline;
};
struct watches {
    struct loop *loop;
    struct store *store;
    struct ring noted;
    uint64_t newest;                      /* published up to here */
    struct watcher *watchers;
    struct watch_observer *observers;
    size_t n;
    struct timer bookmark, feed;
    struct buf line;
    const struct version *line_of;
    const char *line_type;
};

/* ---- rings ------------------------------------------------------------------------------------------------------- */

static struct event *ring_at(const struct ring *r, size_t i) { return &r->v[(r->first + i) % r->cap]; }

static void ring_push(struct ring *r, struct event ev)
{
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 256;
        struct event *v = xmalloc(cap * sizeof *v);
        for (size_t i = 0; i < r->n; i++)
            v[i] = *ring_at(r, i);
        free(r->v);
        *r = (struct ring){ v, 0, r->n, cap };
    }
    r->v[(r->first + r->n++) % r->cap] = ev;
}

static struct event ring_pop(struct ring *r)
{
    struct event ev = r->v[r->first];
    r->first = (r->first + 1) % r->cap;
    r->n--;
    return ev;
}

static void event_free(struct event ev)
{
    version_unref(ev.now);
    version_unref(ev.before);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

void watch_line(struct buf *b, const char *type, struct str object)
{
    buf_lit(b, "{\"type\":\"");
    buf_lit(b, type);
    buf_lit(b, "\",\"object\":");
    buf_str(b, object);
    buf_lit(b, "}\n");
}

static void send_event(struct watcher *x, const char *type, struct version *v)
{
    struct watches *w = x->w;
    if (x->user.render) {
        AUTO_BUF struct buf object = { .max = LIMIT_WATCH_QUEUE }, line = { .max = LIMIT_WATCH_QUEUE };
        x->user.render(x->user.ctx, &object, v);
        watch_line(&line, type, buf_view(&object));
        x->user.write(x->user.ctx, buf_view(&line));
        return;
    }
    if (w->line_of != v || w->line_type != type) {
        buf_clear(&w->line);
        watch_line(&w->line, type, v->json);
        w->line_of = v;
        w->line_type = type;
    }
    x->user.write(x->user.ctx, buf_view(&w->line));
}

static void send_bookmark(struct watcher *x, bool initial_end)
{
    char api[96];
    AUTO_BUF struct buf b = { .max = 1024 };
    struct str version = x->metadata ? S("meta.k8s.io/v1") : resource_api_version(x->filter.r, api);
    const char *kind = x->metadata ? "PartialObjectMetadata" : x->filter.r->kind;
    buf_fmt(&b, "{\"kind\":\"%s\",\"apiVersion\":\"%.*s\",\"metadata\":{\"resourceVersion\":\"%llu\"", kind, SFMT(version),
            (unsigned long long)x->from);
    buf_lit(&b, initial_end ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}" : "}}");
    AUTO_BUF struct buf line = { .max = 2048 };
    watch_line(&line, "BOOKMARK", buf_view(&b));
    x->user.write(x->user.ctx, buf_view(&line));
}

static void close_watcher(struct watcher *x)
{
    if (x->closing)
        return;
    x->closing = true;
    x->user.close(x->user.ctx);
}

/* now NULL: deleted, and `before` is the object as its watchers are told of that. */
static void tell(struct watcher *x, struct version *now, struct version *before, struct version *last)
{
    bool was = before && filter_matches(&x->filter, before);
    bool is = now && filter_matches(&x->filter, now);
    if (is)
        send_event(x, was ? "MODIFIED" : "ADDED", now);
    else if (was)
        send_event(x, "DELETED", last);
    if ((is || was) && x->user.queued(x->user.ctx) > LIMIT_WATCH_QUEUE)
        close_watcher(x);
}

static void deliver(struct watcher *x, const struct event *ev)
{
    struct version *any = ev->now ? ev->now : ev->before;
    if (x->closing || x->behind || any->r != x->filter.r || ev->revision <= x->from)
        return;
    x->from = ev->revision;
    tell(x, ev->now, ev->before, any);
}

/* ---- what is committed -------------------------------------------------------------------------------------------- */

void watch_note(struct watches *w, uint64_t revision, struct version *now, struct version *before)
{
    ring_push(&w->noted, (struct event){ revision, now, before });
}

void watch_observe(struct watches *w, struct watch_observer *o)
{
    o->next = w->observers;
    w->observers = o;
}

void watch_forget(struct watches *w)
{
    bool any = w->noted.n > 0;
    while (w->noted.n)
        event_free(ring_pop(&w->noted));
    for (struct watch_observer *o = w->observers; any && o; o = o->next)
        o->lost(o->ctx);
}

void watch_publish(struct watches *w)
{
    while (w->noted.n) {
        struct event ev = ring_pop(&w->noted);
        for (struct watcher *x = w->watchers, *next; x; x = next) {
            next = x->next;
            deliver(x, &ev);
        }
        for (struct watch_observer *o = w->observers; o; o = o->next)
            o->committed(o->ctx, ev.now, ev.before);
        w->line_of = NULL;
        w->newest = ev.revision;
        event_free(ev);
    }
}

/* ---- watchers ---------------------------------------------------------------------------------------------------- */

static void tell_change(struct watcher *x, const struct store_change *ch)
{
    struct version now, before;
    struct str rest = ch->key;
    str_cut(&rest, '/');
    struct str ns = str_cut(&rest, '/');
    version_view(&now, x->filter.r, ns, rest, ch->revision, ch->json);
    version_view(&before, x->filter.r, ns, rest, ch->revision, ch->before);
    tell(x, ch->deleted ? NULL : &now, ch->before.n ? &before : NULL, &now);
    x->w->line_of = NULL;                         /* these are gone now */
    arena_reset(&now.arena);
    arena_reset(&before.arena);
}

static void end_with_error(struct watcher *x, const struct kr_err *e)
{
    AUTO_BUF struct buf status = { .max = 8192 }, line = { .max = 16384 };
    jw_begin(&status, '{');
    jw_kstr(&status, "kind", S("Status"));
    jw_kstr(&status, "apiVersion", S("v1"));
    jw_kraw(&status, "metadata", S("{}"));
    jw_kstr(&status, "status", S("Failure"));
    jw_kstr(&status, "message", str_of(e->msg));
    jw_kstr(&status, "reason", str_of(kr_codes[e->code].reason));
    jw_kint(&status, "code", kr_codes[e->code].http);
    jw_end(&status, '}');
    watch_line(&line, "ERROR", buf_view(&status));
    x->user.write(x->user.ctx, buf_view(&line));
    close_watcher(x);
}

/* One slice of the past. True: there is more, to be fed later. */
static bool feed_one(struct watcher *x)
{
    struct watches *w = x->w;
    struct store_history h;
    struct kr_err e = { 0 };
    size_t steps = SLICE_ENTRIES;
    int rc = 0;
    store_history_begin(w->store, &h, x->prefix, x->from);
    while (!x->closing && x->user.queued(x->user.ctx) < SLICE_BYTES && (rc = store_history_next(&h, w->newest, &steps, &e)) > 0)
        tell_change(x, &h.at);
    x->from = h.revision;
    store_history_end(&h);
    if (rc < 0)
        end_with_error(x, &e);
    x->behind = !x->closing && x->from < w->newest;
    return x->behind;
}

static void feed_fired(struct loop *loop, struct timer *t)
{
    struct watches *w = container_of(t, struct watches, feed);
    bool more = false;
    for (struct watcher *x = w->watchers, *next; x; x = next) {
        next = x->next;
        if (x->behind && !x->closing)
            more |= feed_one(x);
    }
    if (more)
        loop_timer_in(loop, t, SLICE_PAUSE_US);
}

static void bookmark_fired(struct loop *loop, struct timer *t)
{
    struct watches *w = container_of(t, struct watches, bookmark);
    for (struct watcher *x = w->watchers, *next; x; x = next) {
        next = x->next;
        if (!x->behind && x->from < w->newest)
            x->from = w->newest;
        if (x->bookmarks && !x->closing && !x->behind)
            send_bookmark(x, false);
    }
    if (w->n)
        loop_timer_in(loop, t, BOOKMARK_US);
}

static void deadline_fired(struct loop *loop, struct timer *t)
{
    struct watcher *x = container_of(t, struct watcher, deadline);
    (void)loop;
    if (x->bookmarks && !x->behind && !x->closing) {
        x->from = x->from < x->w->newest ? x->w->newest : x->from;      /* the next one begins here, however little this one was told */
        send_bookmark(x, false);
    }
    close_watcher(x);
}

struct watcher *watch_add(struct watches *w, struct watch_start *start, struct kr_err *e)
{
    if (start->from < store_compacted(w->store)) {
        kr_fail(e, KR_EXPIRED, "too old resource version: %llu (%llu)", (unsigned long long)start->from,
                (unsigned long long)store_compacted(w->store));
        return NULL;
    }
    if (w->n >= LIMIT_WATCHES) {
        kr_fail(e, KR_TOO_MANY, "too many watches are open (%d)", LIMIT_WATCHES);
        return NULL;
    }
    struct watcher *x = xcalloc(1, sizeof *x);
    *x = (struct watcher){ .next = w->watchers, .at = &w->watchers, .w = w, .filter = start->filter, .from = start->from,
                           .bookmarks = start->bookmarks, .metadata = start->metadata, .user = start->user };
    start->filter = (struct filter){ 0 };
    AUTO_ARENA struct arena a = { .limit = 4096 };
    struct str prefix = resource_prefix(x->filter.r, x->filter.ns, &a);
    x->prefix = (struct str){ x->own_prefix = xstrndup(prefix.p, prefix.n), prefix.n };
    if (w->watchers)
        w->watchers->at = &x->next;
    w->watchers = x;
    w->n++;
    x->deadline.fire = deadline_fired;
    loop_timer_at(w->loop, &x->deadline, start->deadline_us);
    if (!timer_is_set(&w->bookmark))
        loop_timer_in(w->loop, &w->bookmark, BOOKMARK_US);
    if (start->initial_end)
        send_bookmark(x, true);
    x->behind = x->from < w->newest;
    if (x->behind && feed_one(x))
        loop_timer_in(w->loop, &w->feed, SLICE_PAUSE_US);
    return x;
}

void watch_remove(struct watcher *x)
{
    if (!x)
        return;
    *x->at = x->next;
    if (x->next)
        x->next->at = x->at;
    loop_timer_stop(x->w->loop, &x->deadline);
    if (--x->w->n == 0)
        loop_timer_stop(x->w->loop, &x->w->bookmark);
    filter_free(&x->filter);
    free(x->own_prefix);
    free(x);
}

struct watches *watches_new(struct loop *loop, struct store *store)
{
    struct watches *w = xcalloc(1, sizeof *w);
    *w = (struct watches){ .loop = loop, .store = store, .newest = store_revision(store), .bookmark = { .fire = bookmark_fired },
                           .feed = { .fire = feed_fired }, .line = { .max = LIMIT_WATCH_QUEUE } };
    return w;
}

void watches_free(struct watches *w)
{
    if (!w)
        return;
    while (w->watchers)
        watch_remove(w->watchers);
    w->observers = NULL;
    watch_forget(w);
    loop_timer_stop(w->loop, &w->bookmark);
    loop_timer_stop(w->loop, &w->feed);
    free(w->noted.v);
    buf_free(&w->line);
    free(w);
}
