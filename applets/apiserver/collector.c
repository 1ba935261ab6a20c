/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collector: an edge for each owner reference, found from both ends, and a queue of keys to look at. Each look reads the
 * object anew, so a key may be queued too often but never too seldom.
 *
 * Keys: 'd' and a store key: are its owners there? 'o' and a store key: it is being deleted and waits for its dependents.
 * 'n' and a name: a namespace that is being deleted; 'f': one to furnish. Tests: tests/unit/applets/collector.c
 */
#include "applets/apiserver/collector.h"
#include "core/log.h"
#include "core/map.h"
#include <stdio.h>

enum { CALLS_PER_TURN = 64, RETRY_US = 1000000 };

struct owner { struct str uid; struct edge *edges; char text[]; };
struct edge { struct edge *next, **at; struct owner *owner; struct object *object; bool blocks; };
struct object { struct str key; const struct resource *r; size_t n; struct edge *edges; char text[]; };
struct job { struct job *next; struct str key; char text[]; };
struct collector {
    struct api *api;
    struct map objects, owners;          /* by store key (those with owners), by uid (those with dependents) */
    struct map queued;                   /* by key of a job */
    struct job *first, **last;
    struct timer step;                   /* a turn of the loop each, so that others are served between them */
    struct watch_observer observer;
    bool rescan;
};

/* ---- the queue --------------------------------------------------------------------------------------------------- */

static void enqueue(struct collector *g, char what, struct str key)
{
    struct job *j = xcalloc(1, sizeof *j + key.n + 2);
    j->text[0] = what;
    memcpy(j->text + 1, key.p, key.n);
    j->key = (struct str){ j->text, key.n + 1 };
    if (map_get(&g->queued, j->key)) {
        free(j);
        return;
    }
    map_put(&g->queued, j->key, j);
    *g->last = j;
    g->last = &j->next;
    loop_timer_in(g->api->loop, &g->step, 0);
}

static struct job *dequeue(struct collector *g)
{
    struct job *j = g->first;
    if (!j)
        return NULL;
    g->first = j->next;
    if (!g->first)
        g->last = &g->first;
    map_del(&g->queued, j->key);
    return j;
}

bool collector_is_idle(const struct collector *g) { return !g->first && !g->rescan; }

/* ---- owners and dependents --------------------------------------------------------------------------------------- */

static void drop_edges(struct collector *g, struct object *o)
{
    for (size_t i = 0; i < o->n; i++) {
        struct edge *d = &o->edges[i];
        *d->at = d->next;
        if (d->next)
            d->next->at = d->at;
        if (!d->owner->edges) {
            map_del(&g->owners, d->owner->uid);
            free(d->owner);
        }
    }
    free(o->edges);
    o->edges = NULL;
    o->n = 0;
}

static void forget(struct collector *g, struct str key)
{
    struct object *o = map_del(&g->objects, key);
    if (!o)
        return;
    drop_edges(g, o);
    free(o);
}

static struct owner *owner_of(struct collector *g, struct str uid)
{
    struct owner *w = map_get(&g->owners, uid);
    if (w)
        return w;
    w = xcalloc(1, sizeof *w + uid.n + 1);
    memcpy(w->text, uid.p, uid.n);
    w->uid = (struct str){ w->text, uid.n };
    map_put(&g->owners, w->uid, w);
    return w;
}

static struct object *object_of(struct collector *g, const struct resource *r, struct str key)
{
    struct object *o = map_get(&g->objects, key);
    if (o)
        return o;
    o = xcalloc(1, sizeof *o + key.n + 1);
    memcpy(o->text, key.p, key.n);
    o->key = (struct str){ o->text, key.n };
    o->r = r;
    map_put(&g->objects, o->key, o);
    return o;
}

static struct str owners_text(struct str json)
{
    static const char *const path[] = { "metadata", "ownerReferences" };
    struct str t = json_find_path(json, path, 2);
    return t.n > 2 ? t : (struct str){ 0 };
}

static void connect(struct collector *g, const struct resource *r, struct str key, struct str json, struct arena *a)
{
    struct kr_err e;
    struct str text = owners_text(json);
    struct json *refs = text.p ? json_parse(a, text, &e) : NULL;
    size_t n = json_len(refs);
    if (!n) {
        forget(g, key);
        return;
    }
    struct object *o = object_of(g, r, key);
    drop_edges(g, o);
    o->edges = xcalloc(n, sizeof *o->edges);
    for (const struct json *ref = json_first(refs); ref; ref = json_next(ref)) {
        struct owner *w = owner_of(g, json_string(json_get(ref, "uid")));
        struct edge *d = &o->edges[o->n++];
        *d = (struct edge){ w->edges, &w->edges, w, o, json_is(json_get(ref, "blockOwnerDeletion"), JSON_TRUE) };
        if (d->next)
            d->next->at = &d->next;
        w->edges = d;
    }
    enqueue(g, 'd', key);
}

static bool has_finalizer(const struct json *meta, const char *name)
{
    for (const struct json *f = json_first(json_get(meta, "finalizers")); f; f = json_next(f))
        if (str_is(json_string(f), name))
            return true;
    return false;
}

static struct str uid_in(struct str json, struct arena *a)
{
    static const char *const path[] = { "metadata", "uid" };
    return json_str_of(json_find_path(json, path, 2), a);
}

static void queue_dependents(struct collector *g, struct str uid)
{
    struct owner *w = map_get(&g->owners, uid);
    for (struct edge *d = w ? w->edges : NULL; d; d = d->next)
        enqueue(g, 'd', d->object->key);
}

/* Where the owner of a reference lies; empty: of a kind nobody here knows, or one that can't own what is in no namespace. */
static struct str owner_key(const struct json *ref, struct str ns, struct arena *a)
{
    const struct resource *r = resource_by_kind(json_string(json_get(ref, "apiVersion")), json_string(json_get(ref, "kind")));
    if (!r || (r->namespaced && !ns.n))
        return (struct str){ 0 };
    return resource_key(r, r->namespaced ? ns : S(""), json_string(json_get(ref, "name")), a);
}

/* The owners that a text names may have waited for this. */
static void queue_owners(struct collector *g, struct str json, struct str ns, struct arena *a)
{
    struct kr_err e;
    struct str text = owners_text(json);
    struct json *refs = text.p ? json_parse(a, text, &e) : NULL;
    for (const struct json *ref = json_first(refs); ref; ref = json_next(ref)) {
        struct str key = owner_key(ref, ns, a);
        if (key.n)
            enqueue(g, 'o', key);
    }
}

static bool is_deleted(struct str json)
{
    static const char *const path[] = { "metadata", "deletionTimestamp" };
    return json_find_path(json, path, 2).p != NULL;
}

static void note_gone(struct collector *g, const struct version *v, struct str key, struct arena *a)
{
    queue_owners(g, v->json, v->ns, a);
    forget(g, key);
    queue_dependents(g, uid_in(v->json, a));
    if (!v->ns.n)
        return;
    enqueue(g, 'n', v->ns);
    if (namespace_has_always(v->r, v->name))
        enqueue(g, 'f', v->ns);
}

static void note_there(struct collector *g, const struct resource *r, struct str name, struct str key, struct str json, struct arena *a)
{
    bool is_namespace = !strcmp(r->plural, "namespaces");
    if (owners_text(json).p || map_get(&g->objects, key))
        connect(g, r, key, json, a);
    if (is_deleted(json))
        enqueue(g, 'o', key);
    if (is_namespace)
        enqueue(g, is_deleted(json) ? 'n' : 'f', name);
}

static void committed(void *ctx, const struct version *now, const struct version *before)
{
    struct collector *g = ctx;
    AUTO_ARENA struct arena a = { .limit = LIMIT_API_ARENA, .first = 1024 };
    const struct version *v = now ? now : before;
    struct str key = resource_key(v->r, v->ns, v->name, &a);
    if (!now) {
        note_gone(g, before, key, &a);
        return;
    }
    struct str had = before ? owners_text(before->json) : (struct str){ 0 };
    if (had.p && !str_eq(had, owners_text(now->json)))
        queue_owners(g, before->json, v->ns, &a);
    if (before && !had.p && !owners_text(now->json).p && !is_deleted(now->json))
        return;                                   /* nearly always: nothing of interest */
    note_there(g, v->r, v->name, key, now->json, &a);
}

/* ---- looks ------------------------------------------------------------------------------------------------------- */

struct look {
    struct collector *g;
    const struct resource *r;
    struct str key, ns, name, json;
    struct json *object, *meta;
    struct arena arena;
    int calls;
};

/* The object as it is now; false when it is gone. */
static bool read_object(struct look *l)
{
    struct store_value v;
    struct kr_err e;
    struct str rest = l->key, resource = str_cut(&rest, '/');
    l->ns = str_cut(&rest, '/');
    l->name = rest;
    l->r = resource_by_prefix(resource);
    if (!l->r || store_get(l->g->api->store, l->key, &v, &e) <= 0)
        return false;
    l->json = arena_str(&l->arena, v.json);
    l->object = json_parse(&l->arena, l->json, &e);
    l->meta = json_get(l->object, "metadata");
    return l->meta != NULL;
}

static int call(struct look *l, const char *method, const char *type, struct str body)
{
    l->calls++;
    return collector_call(l->g->api, method, l->r, l->ns, l->name, NULL, type, body, NULL);
}

/* A merge patch of metadata's member, fenced by uid and version. */
static int patch_meta(struct look *l, const char *member, const struct json *value)
{
    AUTO_BUF struct buf b = { .max = LIMIT_API_BODY };
    jw_begin(&b, '{');
    jw_kbegin(&b, "metadata", '{');
    jw_kstr(&b, "uid", json_string(json_get(l->meta, "uid")));
    jw_kstr(&b, "resourceVersion", json_string(json_get(l->meta, "resourceVersion")));
    jw_key(&b, str_of(member));
    json_print(&b, value);
    jw_end(&b, '}');
    jw_end(&b, '}');
    return call(l, "PATCH", "application/merge-patch+json", buf_view(&b));
}

static int lift_finalizer(struct look *l, const char *name)
{
    struct json *left = json_new_array(&l->arena);
    for (const struct json *f = json_first(json_get(l->meta, "finalizers")); f; f = json_next(f))
        if (!str_is(json_string(f), name))
            json_append(left, json_clone(&l->arena, f));
    return patch_meta(l, "finalizers", left);
}

enum owner_state { OWNER_SOLID, OWNER_WAITS, OWNER_GONE };

static enum owner_state owner_state(struct look *l, const struct json *ref)
{
    struct store_value v;
    struct kr_err e;
    struct str key = owner_key(ref, l->ns, &l->arena);
    if (!key.n)
        return OWNER_SOLID;                       /* nothing is deleted on a guess */
    int rc = store_get(l->g->api->store, key, &v, &e);
    if (rc < 0)
        return OWNER_SOLID;
    if (rc == 0)
        return OWNER_GONE;
    struct str json = arena_str(&l->arena, v.json);
    if (!str_eq(uid_in(json, &l->arena), json_string(json_get(ref, "uid"))))
        return OWNER_GONE;
    struct json *owner = is_deleted(json) ? json_parse(&l->arena, json, &e) : NULL;
    return owner && has_finalizer(json_get(owner, "metadata"), "foregroundDeletion") ? OWNER_WAITS : OWNER_SOLID;
}

static int delete_dependent(struct look *l, bool owner_waits)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    bool has_own = map_get(&l->g->owners, json_string(json_get(l->meta, "uid"))) != NULL;
    const char *policy = has_finalizer(l->meta, "orphan") ? "Orphan"
                       : has_finalizer(l->meta, "foregroundDeletion") || (owner_waits && has_own) ? "Foreground" : "Background";
    jw_begin(&b, '{');
    jw_kstr(&b, "propagationPolicy", str_of(policy));
    jw_kbegin(&b, "preconditions", '{');
    jw_kstr(&b, "uid", json_string(json_get(l->meta, "uid")));
    jw_kstr(&b, "resourceVersion", json_string(json_get(l->meta, "resourceVersion")));
    jw_end(&b, '}');
    jw_end(&b, '}');
    return call(l, "DELETE", "application/json", buf_view(&b));
}

static int look_dependent(struct look *l)
{
    struct json *left = json_new_array(&l->arena), *refs = json_get(l->meta, "ownerReferences");
    size_t n = json_len(refs), waiting = 0;
    if (!n || json_get(l->meta, "deletionTimestamp"))
        return 0;
    for (const struct json *ref = json_first(refs); ref; ref = json_next(ref)) {
        enum owner_state s = owner_state(l, ref);
        waiting += s == OWNER_WAITS;
        if (s == OWNER_SOLID)
            json_append(left, json_clone(&l->arena, ref));
    }
    if (json_len(left) == n)
        return 0;
    return json_len(left) ? patch_meta(l, "ownerReferences", left) : delete_dependent(l, waiting > 0);
}

static int orphan_dependents(struct look *l, struct owner *w)
{
    struct collector *g = l->g;
    int status = 0;
    for (struct edge *d = w->edges; d && l->calls < CALLS_PER_TURN && !status; d = d->next) {
        struct look dep = { .g = g, .key = d->object->key, .arena = { .limit = LIMIT_API_ARENA } };
        if (read_object(&dep)) {
            struct json *left = json_new_array(&dep.arena);
            for (const struct json *ref = json_first(json_get(dep.meta, "ownerReferences")); ref; ref = json_next(ref))
                if (!str_eq(json_string(json_get(ref, "uid")), w->uid))
                    json_append(left, json_clone(&dep.arena, ref));
            status = patch_meta(&dep, "ownerReferences", left);
        }
        l->calls++;
        arena_reset(&dep.arena);
    }
    return status;
}

struct waiting { struct waiting *next; struct str key; };

/* Itself and all that, deleted in the foreground too, wait for it, over however many others: were it to wait for one of
 * them, none of them would ever go. */
static void find_circle(struct look *l, struct map *circle)
{
    struct waiting self = { NULL, l->key }, *last = &self;
    struct kr_err e;
    map_put(circle, l->key, l);
    for (struct waiting *w = &self; w; w = w->next) {
        struct store_value v;
        struct str text = store_get(l->g->api->store, w->key, &v, &e) > 0 ? arena_str(&l->arena, owners_text(v.json)) : (struct str){ 0 };
        const struct json *refs = text.n ? json_parse(&l->arena, text, &e) : NULL;
        for (const struct json *ref = json_first(refs); ref; ref = json_next(ref)) {
            struct str key = owner_key(ref, l->ns, &l->arena);
            if (!json_is(json_get(ref, "blockOwnerDeletion"), JSON_TRUE) || owner_state(l, ref) != OWNER_WAITS || map_get(circle, key))
                continue;
            if (!(last->next = arena_new(&l->arena, struct waiting)))
                return;
            last = last->next;
            last->key = key;
            map_put(circle, key, l);
        }
    }
}

static bool waits_outside(struct look *l, const struct owner *w)
{
    struct map circle = { 0 };
    bool outside = false;
    find_circle(l, &circle);
    for (const struct edge *d = w->edges; d; d = d->next)
        outside |= d->blocks && !map_get(&circle, d->object->key);
    map_free(&circle);
    return outside;
}

static int look_owner(struct look *l)
{
    struct owner *w = map_get(&l->g->owners, json_string(json_get(l->meta, "uid")));
    if (!json_get(l->meta, "deletionTimestamp"))
        return 0;
    if (has_finalizer(l->meta, "orphan"))
        return w ? orphan_dependents(l, w) : lift_finalizer(l, "orphan");
    if (!has_finalizer(l->meta, "foregroundDeletion"))
        return 0;
    bool blocked = false;
    for (struct edge *d = w ? w->edges : NULL; d; d = d->next) {
        blocked |= d->blocks;
        enqueue(l->g, 'd', d->object->key);
    }
    return blocked && waits_outside(l, w) ? 0 : lift_finalizer(l, "foregroundDeletion");
}

/* 0, or the HTTP status of what failed. */
static int look(struct collector *g, struct job *j, int *calls)
{
    struct look l = { .g = g, .key = str_from(j->key, 1), .arena = { .limit = LIMIT_API_ARENA, .first = 4096 } };
    int status = 0, rc = 0;
    switch (j->key.p[0]) {
    case 'n':
        rc = namespace_empty(g->api, l.key);
        l.calls = rc > 0 ? CALLS_PER_TURN : 1;
        if (rc > 0)
            enqueue(g, 'n', l.key);
        status = rc < 0 ? 500 : 0;
        break;
    case 'f':
        status = namespace_furnish(g->api, l.key);
        l.calls = 2;
        break;
    default:
        if (read_object(&l))
            status = j->key.p[0] == 'd' ? look_dependent(&l) : look_owner(&l);
    }
    *calls += l.calls;
    arena_reset(&l.arena);
    return status;
}

static int scan(struct collector *g, struct kr_err *e);

static void step(struct loop *loop, struct timer *t)
{
    struct collector *g = container_of(t, struct collector, step);
    struct kr_err e = { 0 };
    int calls = 0;
    if (g->rescan && scan(g, &e) < 0) {
        loop_timer_in(loop, &g->step, RETRY_US);
        return;
    }
    for (struct job *j; calls < CALLS_PER_TURN && (j = dequeue(g));) {
        int status = look(g, j, &calls);
        if (status >= 500 || status == 429) {
            enqueue(g, j->key.p[0], str_from(j->key, 1));
            loop_timer_in(loop, &g->step, RETRY_US);
            free(j);
            return;
        }
        if (status >= 400 && status != 404)
            log_warn(&log_std, "garbage collection was refused", LOG_STR("key", j->key), LOG_INT("status", status));
        free(j);
    }
    if (g->first)
        loop_timer_in(loop, &g->step, 0);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void clear(struct collector *g)
{
    struct object *o;
    struct job *j;
    for (size_t i = 0; (o = map_next(&g->objects, &i));) {
        drop_edges(g, o);
        free(o);
    }
    map_free(&g->objects);
    map_free(&g->owners);
    while ((j = dequeue(g)))
        free(j);
    map_free(&g->queued);
}

/* All from the store, anew. */
static int scan(struct collector *g, struct kr_err *e)
{
    clear(g);
    for (size_t i = 0; i < nresources; i++) {
        struct store_scan s;
        AUTO_ARENA struct arena a = { .limit = SIZE_MAX / 2, .first = 16384 };
        int rc;
        store_scan_begin(g->api->store, &s, resource_prefix(&resources[i], S(""), &a), S(""));
        while ((rc = store_scan_next(&s, e)) > 0 || s.damaged) {
            if (rc < 0)
                continue;                         /* who asks for it is told; that it is there keeps what it owns (owner_state) */
            struct str name = s.at.key;
            str_cut(&name, '/');
            str_cut(&name, '/');
            note_there(g, &resources[i], name, s.at.key, s.at.json, &a);
        }
        store_scan_end(&s);
        if (rc < 0)
            return -1;
    }
    g->rescan = false;
    return 0;
}

static void lost(void *ctx)
{
    struct collector *g = ctx;
    g->rescan = true;
    loop_timer_in(g->api->loop, &g->step, RETRY_US);
}

struct collector *collector_new(struct api *api, struct kr_err *e)
{
    struct collector *g = xcalloc(1, sizeof *g);
    *g = (struct collector){ .api = api, .last = &g->first, .step = { .fire = step },
                             .observer = { .committed = committed, .lost = lost, .ctx = g } };
    if (scan(g, e) < 0) {
        collector_free(g);
        return NULL;
    }
    watch_observe(api->watches, &g->observer);
    return g;
}

void collector_free(struct collector *g)
{
    if (!g)
        return;
    clear(g);
    loop_timer_stop(g->api->loop, &g->step);
    free(g);
}

int collector_call(struct api *api, const char *method, const struct resource *r, struct str ns, struct str name, const char *sub,
                   const char *content_type, struct str body, struct buf *ret)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct api_reply reply;
    char version[96];
    struct str in_ns = ns.n ? arena_fmt(&a, "/namespaces/%.*s", SFMT(ns)) : S("");
    struct str path = arena_fmt(&a, "/%s/%.*s%.*s/%s%s%.*s%s%s", *r->group ? "apis" : "api", SFMT(resource_api_version(r, version)), SFMT(in_ns),
                                r->plural, name.n ? "/" : "", SFMT(name), sub ? "/" : "", sub ? sub : "");
    struct api_request q = { .method = str_of(method), .path = path, .content_type = str_of(content_type), .body = body,
                             .user_agent = S("kube-controller-manager") };
    api_handle(api, &q, &reply);
    int status = reply.status;
    if (ret)
        buf_str(ret, buf_view(&reply.body));
    api_reply_free(&reply);
    if (api->wrote)
        api->wrote(api->wrote_ctx);
    return status >= 400 ? status : 0;
}
