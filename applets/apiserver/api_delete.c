/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_delete: DELETE of one object and of a collection: preconditions, propagation, finalizers, and the grace of pods
 * (deletionTimestamp is the moment at which the grace is over; whoever runs the pod deletes it with grace 0 when it is gone).
 * A further DELETE can only shorten a grace, which counts from the first one: as in a kube-apiserver.
 *
 * Propagation only leaves a finalizer here, as in a kube-apiserver; collector.c does the rest.
 */
#include "applets/apiserver/api.h"

enum { POD_GRACE_S = 30, GRACE_MAX_S = 1000000000 };      /* some 31 years: any more is no other wish */
enum policy { POLICY_UNSET, POLICY_BACKGROUND, POLICY_FOREGROUND, POLICY_ORPHAN };
struct options { struct str uid, version; enum policy policy; int64_t grace_s; };      /* grace_s -1: not said */

/* ---- options ----------------------------------------------------------------------------------------------------- */

static int read_policy(struct api_call *c, struct str policy, struct str orphan, struct options *o)
{
    static const char *const words[] = { "", "Background", "Foreground", "Orphan" };
    if (policy.n && orphan.n)
        return api_fail_option(c, "DeleteOptions", "propagationPolicy", "FieldValueInvalid",
                               arena_fmt(&c->arena, "Invalid value: \"%.*s\": orphanDependents and deletionPropagation cannot be both set", SFMT(policy)));
    if (orphan.n)
        o->policy = str_is(orphan, "true") ? POLICY_ORPHAN : POLICY_BACKGROUND;
    for (size_t i = 1; i < LEN(words); i++)
        if (str_is(policy, words[i]))
            o->policy = (enum policy)i;
    if (policy.n && o->policy == POLICY_UNSET)
        return api_fail_option(c, "DeleteOptions", "propagationPolicy", "FieldValueNotSupported",
                               arena_fmt(&c->arena, "Unsupported value: \"%.*s\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
                                         SFMT(policy)));
    return 0;
}

/* From the body, and from the query where the body doesn't say. */
static int read_options(struct api_call *c, struct options *o)
{
    static const char *const uid_path[] = { "preconditions", "uid" }, *const version_path[] = { "preconditions", "resourceVersion" };
    struct str policy, orphan, grace = api_query(c, "gracePeriodSeconds");
    struct json *body = NULL;
    *o = (struct options){ .grace_s = -1 };
    if (c->q->body.n && api_parse_body(c, &body) < 0)
        return -1;
    if (body && !json_is(body, JSON_OBJECT) && !json_is(body, JSON_NULL))
        return kr_fail(&c->e, KR_BAD_REQUEST, "DeleteOptions: an object was expected");
    const struct json *orphan_said = json_get(body, "orphanDependents"), *dry = json_get(body, "dryRun");
    policy = json_string(json_get(body, "propagationPolicy"));
    orphan = json_is(orphan_said, JSON_TRUE) ? S("true") : json_is(orphan_said, JSON_FALSE) ? S("false")
           : !api_query_given(c, "orphanDependents") ? S("") : api_query_bool(c, "orphanDependents") ? S("true") : S("false");
    if (json_len(dry) && !str_is(json_string(json_first(dry)), "All"))
        return api_fail_option(c, "DeleteOptions", "dryRun", "FieldValueNotSupported",
                               arena_fmt(&c->arena, "Unsupported value: [\"%.*s\"]: supported values: \"All\"", SFMT(json_string(json_first(dry)))));
    c->dry_run |= json_len(dry) > 0;
    o->uid = json_string(json_get_path(body, uid_path, 2));
    o->version = json_string(json_get_path(body, version_path, 2));
    if (!json_int(json_get(body, "gracePeriodSeconds"), &o->grace_s) && grace.n && !str_i64(grace, &o->grace_s))
        return kr_fail(&c->e, KR_BAD_REQUEST, "gracePeriodSeconds: Invalid value: \"%.*s\": a number was expected", SFMT(grace));
    return read_policy(c, policy.n ? policy : api_query(c, "propagationPolicy"), orphan, o);
}

static int preconditions(struct api_call *c, struct str name, const struct options *o, const struct json *meta)
{
    struct str uid = json_string(json_get(meta, "uid")), version = json_string(json_get(meta, "resourceVersion"));
    if (o->uid.n && !str_eq(o->uid, uid))
        return api_fail_conflict(c, name, arena_fmt(&c->arena, "Precondition failed: UID in precondition: %.*s, UID in object meta: %.*s", SFMT(o->uid),
                                                    SFMT(uid)).p);
    if (o->version.n && !str_eq(o->version, version))
        return api_fail_conflict(c, name, arena_fmt(&c->arena, "Precondition failed: ResourceVersion in precondition: %.*s, ResourceVersion in object "
                                                    "meta: %.*s", SFMT(o->version), SFMT(version)).p);
    return 0;
}

/* ---- one object -------------------------------------------------------------------------------------------------- */

int api_remove(struct api_call *c, struct str name, struct str json)
{
    struct api *api = c->api;
    uint64_t revision = store_revision(api->store) + 1;
    struct json *last = json_parse(&c->arena, json, &c->e);
    if (!last)
        return -1;
    json_set(&c->arena, json_ensure_object(&c->arena, last, "metadata"), S("resourceVersion"),
             json_new_str(&c->arena, arena_fmt(&c->arena, "%llu", (unsigned long long)revision)));
    AUTO_BUF struct buf text = { .max = LIMIT_API_BODY };
    json_print(&text, last);
    struct str key = resource_key(c->path.r, c->path.ns, name, &c->arena);
    if (text.failed || c->arena.over)
        return kr_fail(&c->e, KR_TOO_LARGE, API_OVER);
    if (store_delete(api->store, key, buf_view(&text), &c->e) < 0)
        return -1;
    watch_note(api->watches, revision, NULL, version_new(c->path.r, c->path.ns, name, revision, buf_view(&text)));
    return 0;
}

static int64_t grace_of(struct api_call *c, const struct options *o, const struct json *object)
{
    static const char *const grace_path[] = { "spec", "terminationGracePeriodSeconds" }, *const node_path[] = { "spec", "nodeName" },
                      *const phase_path[] = { "status", "phase" };
    const struct json *meta = json_get(object, "metadata");
    struct str phase = json_string(json_get_path(object, phase_path, 2));
    int64_t grace = POD_GRACE_S, had = 0;
    if (json_get(meta, "deletionTimestamp")) {
        json_int(json_get(meta, "deletionGracePeriodSeconds"), &had);
        return o->grace_s >= 0 && o->grace_s < had ? o->grace_s : had;
    }
    if (!(c->path.r->flags & RES_GRACE) || !json_string(json_get_path(object, node_path, 2)).n || str_is(phase, "Succeeded") || str_is(phase, "Failed"))
        return 0;
    json_int(json_get_path(object, grace_path, 2), &grace);
    grace = o->grace_s >= 0 ? o->grace_s : grace;
    return grace < 0 ? 1 : grace < GRACE_MAX_S ? grace : GRACE_MAX_S;
}

/* The collector's finalizers as the policy wants them; the rest stay. True when any is left. */
static bool set_finalizers(struct api_call *c, struct json *meta, enum policy policy)
{
    struct json *left = json_new_array(&c->arena);
    for (const struct json *f = json_first(json_get(meta, "finalizers")); f; f = json_next(f)) {
        bool ours = str_is(json_string(f), "orphan") || str_is(json_string(f), "foregroundDeletion");
        if (!ours || policy == POLICY_UNSET)
            json_append(left, json_clone(&c->arena, f));
    }
    if (policy == POLICY_FOREGROUND || policy == POLICY_ORPHAN)
        json_append(left, json_new_str(&c->arena, policy == POLICY_ORPHAN ? S("orphan") : S("foregroundDeletion")));
    if (json_len(left))
        json_set(&c->arena, meta, S("finalizers"), left);
    else
        json_del(meta, S("finalizers"));
    return json_len(left) > 0;
}

static int refuse_namespace(struct api_call *c, struct str name)
{
    if (!api_is_namespace(c) || (!str_is(name, "default") && !str_is(name, "kube-system")))
        return 0;
    c->about = name;
    return kr_fail(&c->e, KR_FORBIDDEN, "namespaces \"%.*s\" is forbidden: this namespace may not be deleted", SFMT(name));
}

static void mark(struct api_call *c, struct json *object, int64_t grace_s)
{
    char text[TIME_TEXT];
    struct json *meta = json_get(object, "metadata");
    int64_t over_us = loop_wall_us(c->api->loop), had = 0;
    if (time_parse(json_string(json_get(meta, "deletionTimestamp")), &over_us))
        json_int(json_get(meta, "deletionGracePeriodSeconds"), &had);
    else
        meta_raise_generation(c, object);         /* who waits for new ones hears of it */
    time_print(text, over_us + (grace_s - had) * 1000000);
    json_set(&c->arena, meta, S("deletionTimestamp"), json_new_str(&c->arena, str_of(text)));
    json_set(&c->arena, meta, S("deletionGracePeriodSeconds"), json_new_int(&c->arena, grace_s));
    if (api_is_namespace(c))
        json_set(&c->arena, json_ensure_object(&c->arena, object, "status"), S("phase"), json_new_str(&c->arena, S("Terminating")));
}

/* Removes the object, or marks it when something holds it. *json is its last or present state. */
static int delete_one(struct api_call *c, struct str name, const struct options *o, struct str *json, bool *removed)
{
    struct store_value old;
    struct json *object;
    struct str key = resource_key(c->path.r, c->path.ns, name, &c->arena);
    int rc = store_get(c->api->store, key, &old, &c->e);
    if (rc <= 0)
        return rc < 0 ? -1 : api_fail_not_found(c, name);
    struct str was = arena_str(&c->arena, old.json);
    *json = was;
    if (!(object = json_parse(&c->arena, was, &c->e)))
        return -1;
    struct json *meta = json_ensure_object(&c->arena, object, "metadata");
    if (refuse_namespace(c, name) < 0 || preconditions(c, name, o, meta) < 0)
        return -1;
    static const char *const held_path[] = { "spec", "finalizers" };
    int64_t grace = grace_of(c, o, object);
    bool held = set_finalizers(c, meta, o->policy) || (api_is_namespace(c) && json_len(json_get_path(object, held_path, 2)));
    *removed = !held && !grace;
    if (*removed)
        return c->dry_run ? 0 : api_remove(c, name, was);
    mark(c, object, grace);
    struct json *before = json_parse(&c->arena, was, &c->e);
    if (!before || json_equal(before, object))
        return before ? 0 : -1;
    return api_store_object(c, name, object, &(struct store_value){ key, old.revision, was }, json);
}

static void send_success(struct api_call *c, struct str json)
{
    static const char *const uid[] = { "metadata", "uid" };
    struct buf *b = &c->reply->body;
    jw_begin(b, '{');
    jw_kstr(b, "kind", S("Status"));
    jw_kstr(b, "apiVersion", S("v1"));
    jw_kraw(b, "metadata", S("{}"));
    jw_kstr(b, "status", S("Success"));
    jw_kbegin(b, "details", '{');
    jw_kstr(b, "name", c->path.name);
    if (*c->path.r->group)
        jw_kstr(b, "group", str_of(c->path.r->group));
    jw_kstr(b, "kind", str_of(c->path.r->plural));
    jw_kstr(b, "uid", json_str_of(json_find_path(json, uid, 2), &c->arena));
    jw_end(b, '}');
    jw_end(b, '}');
    c->reply->status = 200;
}

int api_delete(struct api_call *c)
{
    struct options o;
    struct str json;
    bool removed = false;
    if (read_options(c, &o) < 0 || delete_one(c, c->path.name, &o, &json, &removed) < 0)
        return -1;
    if (removed && !(c->path.r->flags & RES_RETURN))
        send_success(c, json);
    else
        api_send_object(c, 200, json);
    return 0;
}

/* ---- a collection ------------------------------------------------------------------------------------------------ */

/* Names of what the selectors pick: views of the store don't live through the first delete. */
static int pick(struct api_call *c, struct str **names, size_t *n)
{
    struct filter f;
    struct store_scan s;
    size_t cap = 0;
    int64_t seconds;
    int rc;
    if (api_timeout_seconds(c, &seconds) < 0 ||
        filter_parse(&f, c->path.r, c->path.ns, api_query(c, "labelSelector"), api_query(c, "fieldSelector"), &c->e) < 0)
        return -1;
    store_scan_begin(c->api->store, &s, resource_prefix(c->path.r, c->path.ns, &c->arena), S(""));
    while ((rc = store_scan_next(&s, &c->e)) > 0) {
        struct version v;
        struct str name = s.at.key;
        str_cut(&name, '/');
        struct str ns = str_cut(&name, '/');
        version_view(&v, c->path.r, ns, name, s.at.revision, s.at.json);
        if (filter_matches(&f, &v)) {
            if (*n == cap) {
                cap = cap ? cap * 2 : 64;
                *names = xrealloc(*names, cap * sizeof **names);
            }
            (*names)[(*n)++] = arena_str(&c->arena, name);
        }
        arena_reset(&v.arena);
    }
    store_scan_end(&s);
    filter_free(&f);
    return rc;
}

bool api_deletes_collections(const struct resource *r) { return *r->group || strcmp(r->plural, "namespaces"); }

int api_delete_collection(struct api_call *c)
{
    struct options o;
    AUTO_FREE struct str *names = NULL;
    size_t n = 0;
    char api[96];
    struct buf *b = &c->reply->body;
    if (!api_deletes_collections(c->path.r))
        return kr_fail(&c->e, KR_METHOD, "the server does not allow this method on the requested resource");
    if (read_options(c, &o) < 0 || pick(c, &names, &n) < 0)
        return -1;
    jw_begin(b, '{');
    jw_kstr(b, "kind", arena_fmt(&c->arena, "%sList", c->path.r->kind));
    jw_kstr(b, "apiVersion", resource_api_version(c->path.r, api));
    jw_kbegin(b, "items", '[');
    struct arena_mark before = arena_mark(&c->arena);      /* the budget is that of one object, however many there are */
    for (size_t i = 0; i < n; i++) {
        struct str json;
        bool removed;
        if (delete_one(c, names[i], &o, &json, &removed) < 0)
            return -1;
        jw_raw(b, json);
        arena_rewind(&c->arena, before);
    }
    jw_end(b, ']');
    jw_kbegin(b, "metadata", '{');
    jw_kstr(b, "resourceVersion", arena_fmt(&c->arena, "%llu", (unsigned long long)store_revision(c->api->store)));
    jw_end(b, '}');
    jw_end(b, '}');
    c->reply->status = 200;
    return 0;
}
