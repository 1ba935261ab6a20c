/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_delete: preconditions, finalizers, and the grace of pods (deletionTimestamp is the moment at which the grace is
 * over, as with a kube-apiserver; whoever runs the pod deletes it with grace 0 when it is gone).
 *
 * Dependents are not collected here: propagation policies other than the default are refused.
 */
#include "applets/apiserver/api.h"

enum { POD_GRACE_S = 30 };

static int preconditions(struct api_call *c, const struct json *options, const struct json *object)
{
    static const char *const uid_path[] = { "preconditions", "uid" }, *const rv_path[] = { "preconditions", "resourceVersion" };
    static const char *const uid_is[] = { "metadata", "uid" }, *const rv_is[] = { "metadata", "resourceVersion" };
    const struct json *uid = json_get_path(options, uid_path, 2), *rv = json_get_path(options, rv_path, 2);
    struct str have_uid = json_string(json_get_path(object, uid_is, 2)), have_rv = json_string(json_get_path(object, rv_is, 2));
    if (json_is(uid, JSON_STRING) && !str_eq(json_string(uid), have_uid))
        return api_fail_conflict(c, c->path.name, arena_fmt(&c->arena, "Precondition failed: UID in precondition: %.*s, UID in object meta: %.*s",
                                                            SFMT(json_string(uid)), SFMT(have_uid)).p);
    if (json_is(rv, JSON_STRING) && !str_eq(json_string(rv), have_rv))
        return api_fail_conflict(c, c->path.name, arena_fmt(&c->arena, "Precondition failed: ResourceVersion in precondition: %.*s, "
                                 "ResourceVersion in object meta: %.*s", SFMT(json_string(rv)), SFMT(have_rv)).p);
    return 0;
}

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
    if (store_delete(api->store, resource_key(c->path.r, c->path.ns, name, &c->arena), &c->e) < 0)
        return -1;
    watch_note(api->watches, revision, NULL, version_new(c->path.r, c->path.ns, name, revision, buf_view(&text)));
    return 0;
}

static int read_options(struct api_call *c, struct json **ret)
{
    *ret = json_new_object(&c->arena);
    if (c->q->body.n && !(*ret = json_parse(&c->arena, c->q->body, &c->e)))
        return -1;
    struct str policy = api_query(c, "propagationPolicy");
    if (!policy.n)
        policy = json_string(json_get(*ret, "propagationPolicy"));
    if (policy.n && !str_is(policy, "Background") && !str_is(policy, "Orphan"))
        return kr_fail(&c->e, KR_UNSUPPORTED, "propagationPolicy \"%.*s\" is not offered by this server: use Background", SFMT(policy));
    return 0;
}

static int64_t grace_of(struct api_call *c, const struct json *options, const struct json *object)
{
    static const char *const grace_path[] = { "spec", "terminationGracePeriodSeconds" }, *const node_path[] = { "spec", "nodeName" };
    int64_t grace = POD_GRACE_S;
    struct str text = api_query(c, "gracePeriodSeconds");
    if (!(c->path.r->flags & RES_GRACE) || !json_string(json_get_path(object, node_path, 2)).n)
        return 0;
    json_int(json_get_path(object, grace_path, 2), &grace);
    json_int(json_get(options, "gracePeriodSeconds"), &grace);
    if (text.n)
        str_i64(text, &grace);
    return grace < 0 ? 1 : grace;
}

static struct str moment(struct api_call *c, int64_t wall_us)
{
    char text[TIME_TEXT];
    time_print(text, wall_us);
    return arena_str(&c->arena, str_of(text));
}

int api_delete(struct api_call *c)
{
    struct store_value old;
    struct json *options, *object;
    struct str key = resource_key(c->path.r, c->path.ns, c->path.name, &c->arena);
    if (read_options(c, &options) < 0)
        return -1;
    int rc = store_get(c->api->store, key, &old, &c->e);
    if (rc <= 0)
        return rc < 0 ? -1 : api_fail_not_found(c, c->path.name);
    struct str was = arena_str(&c->arena, old.json);
    if (!(object = json_parse(&c->arena, was, &c->e)) || preconditions(c, options, object) < 0)
        return -1;
    struct json *meta = json_ensure_object(&c->arena, object, "metadata");
    int64_t grace = grace_of(c, options, object);
    bool held = json_len(json_get(meta, "finalizers")) > 0;
    if (!held && !grace) {
        if (!c->dry_run && api_remove(c, c->path.name, was) < 0)
            return -1;
        api_send_object(c, 200, was);
        return 0;
    }
    int64_t now = loop_wall_us(c->api->loop), had = 0;
    bool marked = json_get(meta, "deletionTimestamp") != NULL;
    json_int(json_get(meta, "deletionGracePeriodSeconds"), &had);
    if (marked && grace >= had) {
        api_send_object(c, 200, was);
        return 0;
    }
    json_set(&c->arena, meta, S("deletionTimestamp"), json_new_str(&c->arena, moment(c, now + grace * 1000000)));
    json_set(&c->arena, meta, S("deletionGracePeriodSeconds"), json_new_int(&c->arena, grace));
    struct str json;
    if (api_store_object(c, c->path.name, object, &(struct store_value){ key, old.revision, was }, &json) < 0)
        return -1;
    api_send_object(c, 200, json);
    return 0;
}
