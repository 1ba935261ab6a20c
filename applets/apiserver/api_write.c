/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_write: create, replace, and patch (RFC 7396, RFC 6902, and server-side apply by api_apply.c). All end in
 * api_store_object, which gives the object its new resourceVersion, puts it into the store and notes the event.
 *
 * A change that changes nothing is not written, as with a kube-apiserver. Our own kinds take no strategic merge patches.
 */
#include "applets/apiserver/api.h"
#include "core/http1.h"
#include "core/yaml.h"
#include "k8s/core_schema.h"
#include "k8s/patch.h"
#include "k8s/strategic.h"
#include <stdio.h>

enum { DELETION_BYTES = 4096 };              /* what a deletion adds: its time, the grace, a finalizer */

static void note_twice(void *ctx, struct str path)
{
    struct api_call *c = ctx;
    if (c->ntwice < LEN(c->twice))
        c->twice[c->ntwice++] = arena_str(&c->arena, path);
}

static int parse_json(struct api_call *c, struct json **ret)
{
    bool twice = false;
    *ret = json_parse_keys(&c->arena, c->q->body, &twice, &c->e);
    if (twice && json_is(*ret, JSON_OBJECT))
        json_twice(c->q->body, note_twice, c);
    return *ret ? 0 : kr_wrap(&c->e, "couldn't read the body");
}

int api_parse_yaml(struct api_call *c, struct json **ret)
{
    struct yaml_docs docs;
    if (yaml_to_json(c->q->body, &c->arena, &docs, &c->e) < 0)
        return kr_wrap(&c->e, "error decoding YAML");
    if (docs.n != 1)
        return kr_fail(&c->e, KR_BAD_REQUEST, "error decoding YAML: one document is wanted, not %zu", docs.n);
    return (*ret = json_parse(&c->arena, docs.docs[0].json, &c->e)) ? 0 : -1;
}

int api_parse_body(struct api_call *c, struct json **ret)
{
    struct str type = c->q->content_type;
    if (!type.n || http_media_is(type, "application/json"))
        return parse_json(c, ret);
    if (http_media_is(type, "application/yaml"))
        return api_parse_yaml(c, ret);
    if (!core_is_protobuf(type))
        return kr_fail(&c->e, KR_UNSUPPORTED, "the body of the request was in an unknown format - accepted media types include: "
                                              "application/json, application/yaml, application/vnd.kubernetes.protobuf");
    *ret = core_from_protobuf(&c->arena, c->q->body, &c->e);
    return *ret ? 0 : -1;
}

int api_store_object(struct api_call *c, struct str name, struct json *object, const struct store_value *old, struct str *json)
{
    struct api *api = c->api;
    struct str key = resource_key(c->path.r, c->path.ns, name, &c->arena);
    uint64_t revision = store_revision(api->store) + 1;
    struct json *meta = json_ensure_object(&c->arena, object, "metadata");
    if (c->dry_run)
        revision--;
    else
        json_set(&c->arena, meta, S("resourceVersion"), json_new_str(&c->arena, arena_fmt(&c->arena, "%llu", (unsigned long long)revision)));
    AUTO_BUF struct buf text = { .max = LIMIT_API_BODY };
    json_print(&text, object);
    size_t most = LIMIT_OBJECT_BYTES + (json_get(meta, "deletionTimestamp") ? DELETION_BYTES : 0);      /* to be deleted is never too much */
    if (text.failed || text.n > most)
        return kr_fail(&c->e, KR_TOO_LARGE, "Request entity too large: limit is %d", LIMIT_OBJECT_BYTES);
    *json = arena_str(&c->arena, buf_view(&text));
    if (c->arena.over)                           /* what is printed or named may lack a part */
        return kr_fail(&c->e, KR_TOO_LARGE, API_OVER);
    if (c->dry_run)
        return 0;
    struct version *before = old ? version_new(c->path.r, c->path.ns, name, old->revision, old->json) : NULL;
    if (store_put(api->store, key, *json, &c->e) < 0) {
        version_unref(before);
        return -1;
    }
    watch_note(api->watches, revision, version_new(c->path.r, c->path.ns, name, revision, *json), before);
    return 0;
}

static int namespace_takes(struct api_call *c, struct str name)
{
    static const char *const deleted[] = { "metadata", "deletionTimestamp" };
    struct store_value v;
    if (!c->path.r->namespaced)
        return 0;
    int rc = store_get(c->api->store, arena_fmt(&c->arena, "namespaces.//%.*s", SFMT(c->path.ns)), &v, &c->e);
    if (rc > 0 && !json_find_path(v.json, deleted, 2).p)
        return 0;
    if (rc > 0) {
        c->about = name;
        api_add_cause(c, "NamespaceTerminating", arena_fmt(&c->arena, "namespace %.*s is being terminated", SFMT(c->path.ns)), S("metadata.namespace"));
        return kr_fail(&c->e, KR_FORBIDDEN, "%.*s \"%.*s\" is forbidden: unable to create new content in namespace %.*s because it is being terminated",
                       SFMT(api_resource_name(c->path.r, &c->arena)), SFMT(name), SFMT(c->path.ns));
    }
    c->about = c->path.ns;
    c->path.r = resource_by_prefix(S("namespaces"));      /* it is the namespace that is missing */
    return rc < 0 ? -1 : kr_fail(&c->e, KR_NOT_FOUND, "namespaces \"%.*s\" not found", SFMT(c->path.ns));
}

/* What is made has no status yet, whatever was sent (a copy has that of another); a node comes with its own. */
static void furnish_status(struct api_call *c, struct json *object)
{
    struct arena *a = &c->arena;
    if (!(c->path.r->flags & RES_STATUS) || !strcmp(c->path.r->plural, "nodes"))
        return;
    json_del(object, S("status"));
    if (!strcmp(c->path.r->plural, "pods"))
        json_set(a, json_ensure_object(a, object, "status"), S("phase"), json_new_str(a, S("Pending")));
}

/* A namespace holds itself until it is empty, is active, and can be selected by its name. */
static void furnish_namespace(struct api_call *c, struct json *object, struct str name)
{
    struct arena *a = &c->arena;
    struct json *finalizers = json_new_array(a);
    json_append(finalizers, json_new_str(a, S("kubernetes")));
    json_set(a, json_ensure_object(a, object, "spec"), S("finalizers"), finalizers);
    json_set(a, json_ensure_object(a, object, "status"), S("phase"), json_new_str(a, S("Active")));
    json_set(a, json_ensure_object(a, json_get(object, "metadata"), "labels"), S("kubernetes.io/metadata.name"), json_new_str(a, name));
}

/* Stores a new object; applied: it comes with its managers. */
static int create(struct api_call *c, struct json *object, bool applied)
{
    struct store_value v;
    struct str json;
    if (!applied)
        json_del(json_get(object, "metadata"), S("managedFields"));
    if (meta_for_create(c, object) < 0)
        return -1;
    struct str name = json_string(json_get(json_get(object, "metadata"), "name"));
    if (namespace_takes(c, name) < 0)
        return -1;
    furnish_status(c, object);
    if (api_is_namespace(c))
        furnish_namespace(c, object, name);
    if (api_is_claim(c))
        api_claim_furnish(c, object);
    if (admit(c, object, NULL, false) < 0 || api_may_grant(c, object, NULL) < 0 || (!applied && api_track(c, object, NULL, NULL) < 0))
        return -1;
    int rc = store_get(c->api->store, resource_key(c->path.r, c->path.ns, name, &c->arena), &v, &c->e);
    if (rc < 0)
        return -1;
    if (rc > 0) {
        c->about = name;
        return kr_fail(&c->e, KR_EXISTS, "%.*s \"%.*s\" already exists", SFMT(api_resource_name(c->path.r, &c->arena)), SFMT(name));
    }
    if (api_store_object(c, name, object, NULL, &json) < 0)
        return -1;
    api_send_object(c, 201, json);
    return 0;
}

int api_create(struct api_call *c)
{
    struct json *object;
    if (api_parse_body(c, &object) < 0)
        return -1;
    if (!json_is(object, JSON_OBJECT))
        return kr_fail(&c->e, KR_BAD_REQUEST, "the body must be an object");
    return create(c, object, false);
}

/* Everything but status comes from `old` under /status, and status from `old` elsewhere. */
static void keep_other_half(struct api_call *c, struct json **object, const struct json *old)
{
    if (!(c->path.r->flags & RES_STATUS))
        return;
    bool on_status = str_is(c->path.sub, "status");
    const struct json *status = json_get(on_status ? *object : old, "status");
    if (on_status) {
        struct json *whole = json_clone(&c->arena, old);
        struct json *meta = json_get(*object, "metadata"), *to = json_ensure_object(&c->arena, whole, "metadata");
        static const char *const said[] = { "resourceVersion", "uid", "name" };      /* what is compared, by meta_for_update */
        for (size_t i = 0; i < LEN(said); i++) {
            const struct json *m = json_get(meta, said[i]);
            if (m)
                json_set(&c->arena, to, str_of(said[i]), json_clone(&c->arena, m));
        }
        *object = whole;
    }
    if (status)
        json_set(&c->arena, *object, S("status"), json_clone(&c->arena, status));
    else
        json_del(*object, S("status"));
}

/* spec.finalizers of a namespace: from the object under /finalize, where nothing else counts, else from `old`. */
static void keep_namespace(struct api_call *c, struct json **object, const struct json *old)
{
    const struct json *from = old;
    if (!api_is_namespace(c))
        return;
    if (str_is(c->path.sub, "finalize")) {
        from = *object;
        *object = json_clone(&c->arena, old);
    }
    const struct json *finalizers = json_get(json_get(from, "spec"), "finalizers");
    struct json *spec = json_ensure_object(&c->arena, *object, "spec");
    if (json_len(finalizers))
        json_set(&c->arena, spec, S("finalizers"), json_clone(&c->arena, finalizers));
    else
        json_del(spec, S("finalizers"));
}

static int load(struct api_call *c, struct store_value *old, struct json **tree)
{
    struct str key = resource_key(c->path.r, c->path.ns, c->path.name, &c->arena);
    int rc = store_get(c->api->store, key, old, &c->e);
    if (rc <= 0)
        return rc < 0 ? -1 : api_fail_not_found(c, c->path.name);
    old->json = arena_str(&c->arena, old->json);
    old->key = key;
    *tree = json_parse(&c->arena, old->json, &c->e);
    return *tree ? 0 : -1;
}

/* Who wrote it, for all but applies; true in *same when nothing was changed. A writer may send other managers than there are
 * (kubectl does so when it goes over to server-side apply), and [{}] forgets them. */
static int settle_managers(struct api_call *c, struct json *object, const struct json *old, bool applied, bool *same)
{
    struct json *meta = json_get(object, "metadata");
    const struct json *had = json_get(json_get(old, "metadata"), "managedFields"), *sent = json_get(meta, "managedFields"), *base;
    *same = applied && json_equal(object, old);
    if (applied)
        return 0;
    base = api_resets_managers(object) ? NULL : json_len(sent) ? json_clone(&c->arena, sent) : had;
    json_del(meta, S("managedFields"));
    if (base)
        json_set(&c->arena, meta, S("managedFields"), json_clone(&c->arena, base));
    *same = json_equal(object, old);
    return *same ? 0 : api_track(c, object, old, base);
}

static int replace(struct api_call *c, const struct store_value *old, const struct json *old_tree, struct json *object, bool applied)
{
    struct str json;
    bool same;
    if (!json_is(object, JSON_OBJECT))
        return kr_fail(&c->e, KR_BAD_REQUEST, "the result is not an object");
    const struct json *managed = applied ? json_get(json_get(object, "metadata"), "managedFields") : NULL;
    keep_other_half(c, &object, old_tree);
    keep_namespace(c, &object, old_tree);
    if (managed)
        json_set(&c->arena, json_get(object, "metadata"), S("managedFields"), json_clone(&c->arena, managed));
    if (meta_for_update(c, object, old_tree) < 0 || admit(c, object, old_tree, str_is(c->path.sub, "status")) < 0)
        return -1;
    meta_next_generation(c, object, old_tree);
    if (api_may_grant(c, object, old_tree) < 0 || settle_managers(c, object, old_tree, applied, &same) < 0)
        return -1;
    if (meta_is_deleted(object)) {
        if (!c->dry_run && api_remove(c, c->path.name, old->json) < 0)
            return -1;
        AUTO_BUF struct buf text = { .max = LIMIT_API_BODY };
        json_print(&text, object);
        api_send_object(c, 200, arena_str(&c->arena, buf_view(&text)));
        return 0;
    }
    if (same) {
        api_send_object(c, 200, old->json);
        return 0;
    }
    if (api_store_object(c, c->path.name, object, old, &json) < 0)
        return -1;
    api_send_object(c, 200, json);
    return 0;
}

static bool on_scale(const struct api_call *c) { return str_is(c->path.sub, "scale"); }

static int sent(struct api_call *c, const struct json *unused, struct json **ret)
{
    (void)unused;
    return api_parse_body(c, ret);
}

int api_update(struct api_call *c)
{
    struct store_value old;
    struct json *tree, *object;
    if (load(c, &old, &tree) < 0 || (on_scale(c) ? api_scaled(c, tree, sent, &object) : api_parse_body(c, &object)) < 0)
        return -1;
    return replace(c, &old, tree, object, false);
}

static int apply_patch(struct api_call *c, const struct json *tree, struct json **object)
{
    struct str type = c->q->content_type;
    struct json *patch;
    bool strategic = http_media_is(type, "application/strategic-merge-patch+json") && !c->path.r->type;
    bool merge = http_media_is(type, "application/merge-patch+json");
    if (!strategic && !merge && !http_media_is(type, "application/json-patch+json"))
        return kr_fail(&c->e, KR_UNSUPPORTED, "the body of the request was in an unknown format - accepted media types include: "
                                              "application/json-patch+json, application/merge-patch+json, %sapplication/apply-patch+yaml",
                       c->path.r->type ? "" : "application/strategic-merge-patch+json, ");
    if (parse_json(c, &patch) < 0)
        return -1;
    if (strategic)
        *object = strategic_merge(&c->arena, resource_object(c->path.r), tree, patch, &c->e);
    else if (merge)
        *object = patch_merge(&c->arena, tree, patch, &c->e);
    else if (!(*object = patch_json(&c->arena, tree, patch, NULL, &c->e)) && c->e.code != KR_TOO_LARGE) {
        c->options = "";
        kr_wrap(&c->e, "the server rejected our request due to an error in our request");
    }
    return *object ? 0 : -1;
}

/* The object may be there or not. */
static int patch_by_apply(struct api_call *c)
{
    struct store_value old;
    struct json *tree = NULL, *object;
    int rc = load(c, &old, &tree);
    if (rc < 0 && (c->e.code != KR_NOT_FOUND || c->path.sub.n))
        return -1;
    if (on_scale(c))
        return kr_fail(&c->e, KR_UNSUPPORTED, "apply patches are not offered on scale: apply spec.replicas of the object");
    c->e = (struct kr_err){ 0 };
    if ((!tree && api_may_create(c) < 0) || api_apply(c, tree, &object) < 0)
        return -1;
    return tree ? replace(c, &old, tree, object, true) : create(c, object, true);
}

int api_patch(struct api_call *c)
{
    struct store_value old;
    struct json *tree, *object;
    if (http_media_is(c->q->content_type, "application/apply-patch+yaml"))
        return patch_by_apply(c);
    if (load(c, &old, &tree) < 0 || (on_scale(c) ? api_scaled(c, tree, apply_patch, &object) : apply_patch(c, tree, &object)) < 0)
        return -1;
    return replace(c, &old, tree, object, false);
}
