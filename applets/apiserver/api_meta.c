/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_meta: ObjectMeta's rules (Kubernetes API conventions, "Metadata"): what a client says, what the server says, and
 * what never changes. What names and labels may be is k8s/meta.h's, spec rules are the model's; api_admit.c asks both.
 */
#include "applets/apiserver/api.h"
#include <stdio.h>

/* Types of the members of metadata that the server itself reads: a wrong one is a request that can't be decoded. */
static int check_types(struct api_call *c, const struct json *meta)
{
    static const struct { const char *key; enum json_type type; const char *items; } want[] = {
        { "name", JSON_STRING, NULL }, { "generateName", JSON_STRING, NULL }, { "namespace", JSON_STRING, NULL }, { "uid", JSON_STRING, NULL },
        { "resourceVersion", JSON_STRING, NULL }, { "labels", JSON_OBJECT, "string" }, { "annotations", JSON_OBJECT, "string" },
        { "finalizers", JSON_ARRAY, "string" }, { "ownerReferences", JSON_ARRAY, NULL },
    };
    for (size_t i = 0; i < LEN(want); i++) {
        const struct json *m = json_get(meta, want[i].key);
        if (!m || json_is(m, JSON_NULL))
            continue;
        bool ok = json_is(m, want[i].type);
        for (const struct json *item = json_first(m); ok && want[i].items && item; item = json_next(item))
            ok = json_is(item, JSON_STRING);
        if (!ok)
            return kr_fail(&c->e, KR_BAD_REQUEST, "metadata.%s: a %s%s was expected", want[i].key, json_type_name(want[i].type),
                           want[i].items ? " of strings" : "");
    }
    return 0;
}

int meta_check_kind(struct api_call *c, const struct json *object)
{
    char api[96];
    const struct resource *r = c->path.r;
    struct str version = resource_api_version(r, api), got = json_string(json_get(object, "apiVersion")), kind = json_string(json_get(object, "kind"));
    if (!kind.n || !got.n)
        return kr_fail(&c->e, KR_BAD_REQUEST, "Object '%s' is missing in the request body", kind.n ? "apiVersion" : "Kind");
    if (!str_eq(got, version))
        return kr_fail(&c->e, KR_BAD_REQUEST, "the API version in the data (%.*s) does not match the expected API version (%.*s)", SFMT(got),
                       SFMT(version));
    if (!str_is(kind, r->kind) && r->type) {      /* a custom resource's is a field like others */
        struct str name = json_string(json_get(json_get(object, "metadata"), "name")), why = arena_fmt(&c->arena, "Invalid value: \"%.*s\": must be %s", SFMT(kind), r->kind);
        api_add_cause(c, "FieldValueInvalid", why, S("kind"));
        c->about = name;
        c->about_kind = true;
        return kr_fail(&c->e, KR_INVALID, "%.*s.%s \"%.*s\" is invalid: kind: %.*s", SFMT(kind), r->group, SFMT(name), SFMT(why));
    }
    if (!str_is(kind, r->kind))
        return kr_fail(&c->e, KR_BAD_REQUEST, "the kind in the data (%.*s) does not match the expected kind (%s)", SFMT(kind), r->kind);
    return 0;
}

static int check_namespace(struct api_call *c, struct json *meta)
{
    struct str ns = json_string(json_get(meta, "namespace"));
    if (!c->path.r->namespaced) {
        json_del(meta, S("namespace"));
        return 0;
    }
    if (ns.n && !str_eq(ns, c->path.ns))
        return kr_fail(&c->e, KR_BAD_REQUEST, "the namespace of the provided object does not match the namespace sent on the request");
    if (!ns.n)
        json_set(&c->arena, meta, S("namespace"), json_new_str(&c->arena, c->path.ns));
    return 0;
}

/* Typed clients leave out of core kinds what the path says already. */
static void say_kind(struct api_call *c, struct json *object)
{
    char api[96];
    if (c->path.r->type)
        return;
    if (!json_string(json_get(object, "apiVersion")).n)
        json_set(&c->arena, object, S("apiVersion"), json_new_str(&c->arena, resource_api_version(c->path.r, api)));
    if (!json_string(json_get(object, "kind")).n)
        json_set(&c->arena, object, S("kind"), json_new_str(&c->arena, str_of(c->path.r->kind)));
}

static int check_common(struct api_call *c, struct json *object, struct json **meta)
{
    struct json *m = json_get(object, "metadata");
    if (m && !json_is(m, JSON_OBJECT))
        return kr_fail(&c->e, KR_BAD_REQUEST, "metadata: an object was expected");
    *meta = json_ensure_object(&c->arena, object, "metadata");
    say_kind(c, object);
    if (meta_check_kind(c, object) < 0 || check_types(c, *meta) < 0 || check_namespace(c, *meta) < 0)
        return -1;
    json_del(*meta, S("selfLink"));
    static const char *const omitted[] = { "labels", "annotations", "finalizers", "ownerReferences" };     /* when empty */
    for (size_t i = 0; i < LEN(omitted); i++)
        if (json_get(*meta, omitted[i]) && !json_len(json_get(*meta, omitted[i])))
            json_del(*meta, str_of(omitted[i]));
    return 0;
}

static struct str new_uid(struct api_call *c)
{
    uint64_t a = rnd_u64(c->api->rnd), b = rnd_u64(c->api->rnd);
    return arena_fmt(&c->arena, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(a >> 32), (unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff),
                     (unsigned)(0x8000 | (b >> 48 & 0x3fff)), (unsigned long long)(b & UINT64_C(0xffffffffffff)));
}

/* As a kube-apiserver has it: the name stays a DNS label, and one that is taken is drawn again. */
enum { GENERATED_BASE = 58, GENERATED_TRIES = 8 };
static void generate_name(struct api_call *c, struct json *meta)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    struct str base = json_string(json_get(meta, "generateName"));
    char tail[6] = "";
    struct store_value v;
    struct kr_err e;
    struct str name = S("");
    if (base.n > GENERATED_BASE)
        base.n = GENERATED_BASE;
    for (int tries = 0; tries < GENERATED_TRIES; tries++) {
        for (int i = 0; i < 5; i++)
            tail[i] = letters[rnd_below(c->api->rnd, sizeof letters - 1)];
        name = arena_fmt(&c->arena, "%.*s%s", SFMT(base), tail);
        if (store_get(c->api->store, resource_key(c->path.r, c->path.ns, name, &c->arena), &v, &e) <= 0)
            break;
    }
    json_set(&c->arena, meta, S("name"), json_new_str(&c->arena, name));
}

int meta_for_create(struct api_call *c, struct json *object)
{
    struct json *meta;
    char now[TIME_TEXT];
    if (check_common(c, object, &meta) < 0)
        return -1;
    if (!json_string(json_get(meta, "name")).n && json_string(json_get(meta, "generateName")).n)
        generate_name(c, meta);
    if (json_string(json_get(meta, "resourceVersion")).n)
        return kr_fail(&c->e, KR_BAD_REQUEST, "resourceVersion should not be set on objects to be created");
    static const char *const server_s[] = { "deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion" };
    for (size_t i = 0; i < LEN(server_s); i++)
        json_del(meta, str_of(server_s[i]));
    json_set(&c->arena, meta, S("uid"), json_new_str(&c->arena, new_uid(c)));
    time_print(now, loop_wall_us(c->api->loop));
    json_set(&c->arena, meta, S("creationTimestamp"), json_new_str(&c->arena, str_of(now)));
    if (c->path.r->flags & RES_GENERATION)
        json_set(&c->arena, meta, S("generation"), json_new_int(&c->arena, 1));
    else
        json_del(meta, S("generation"));
    return 0;
}

static void keep(struct api_call *c, struct json *meta, const struct json *old_meta, const char *key)
{
    const struct json *was = json_get(old_meta, key);
    if (was)
        json_set(&c->arena, meta, str_of(key), json_clone(&c->arena, was));
    else
        json_del(meta, str_of(key));
}

static bool spec_differs(const struct json *a, const struct json *b)
{
    for (const struct json *m = json_first(a); m; m = json_next(m)) {
        struct str k = json_key(m);
        if (str_is(k, "metadata") || str_is(k, "status"))
            continue;
        const struct json *other = json_get_str(b, k);
        if (!other || !json_equal(m, other))
            return true;
    }
    return false;
}

/* Kinds whose objects a PUT must name the version of: custom resources, and of the core those whose writers race. */
static bool needs_version(const struct resource *r)
{
    return r->type || !strcmp(r->plural, "leases") || !strcmp(r->plural, "serviceaccounts") || !strcmp(r->plural, "namespaces");
}

int meta_for_update(struct api_call *c, struct json *object, const struct json *old)
{
    struct json *meta, *old_meta = json_get(old, "metadata");
    if (check_common(c, object, &meta) < 0)
        return -1;
    struct str name = json_string(json_get(meta, "name")), uid = json_string(json_get(meta, "uid"));
    struct str rv = json_string(json_get(meta, "resourceVersion")), old_uid = json_string(json_get(old_meta, "uid"));
    if (!str_eq(name, c->path.name))
        return kr_fail(&c->e, KR_BAD_REQUEST, "the name of the object (%.*s) does not match the name on the URL (%.*s)", SFMT(name),
                       SFMT(c->path.name));
    if (uid.n && !str_eq(uid, old_uid))
        return api_fail_conflict(c, name, arena_fmt(&c->arena, "Precondition failed: UID in precondition: %.*s, UID in object meta: %.*s", SFMT(uid),
                                                    SFMT(old_uid)).p);
    if (str_is(rv, "0"))
        rv = S("");                               /* as if it weren't said */
    if (!rv.n && str_is(c->q->method, "PUT") && !str_is(c->path.sub, "scale") && needs_version(c->path.r)) {
        static const char why[] = "Invalid value: 0: must be specified for an update";
        api_add_cause(c, "FieldValueInvalid", str_of(why), S("metadata.resourceVersion"));
        c->about = name;
        return kr_fail(&c->e, KR_INVALID, "%.*s \"%.*s\" is invalid: metadata.resourceVersion: %s", SFMT(api_resource_name(c->path.r, &c->arena)), SFMT(name), why);
    }
    if (rv.n && !str_eq(rv, json_string(json_get(old_meta, "resourceVersion"))))
        return api_fail_conflict(c, name, "the object has been modified; please apply your changes to the latest version and try again");
    static const char *const server_s[] = { "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation",
                                            "resourceVersion", "generateName" };
    for (size_t i = 0; i < LEN(server_s); i++)
        keep(c, meta, old_meta, server_s[i]);
    if (json_get(old_meta, "deletionTimestamp")) {
        for (const struct json *f = json_first(json_get(meta, "finalizers")); f; f = json_next(f)) {
            const struct json *had = json_first(json_get(old_meta, "finalizers"));
            while (had && !json_equal(had, f))
                had = json_next(had);
            if (!had)
                api_add_cause(c, "FieldValueForbidden", S("Forbidden: no new finalizers can be added if the object is being deleted"),
                              S("metadata.finalizers"));
        }
    }
    return 0;
}

void meta_raise_generation(struct api_call *c, struct json *object)
{
    struct json *meta = json_get(object, "metadata");
    int64_t generation;
    if (json_int(json_get(meta, "generation"), &generation))
        json_set(&c->arena, meta, S("generation"), json_new_int(&c->arena, generation + 1));
}

void meta_next_generation(struct api_call *c, struct json *object, const struct json *old)
{
    if ((c->path.r->flags & RES_GENERATION) && (spec_differs(object, old) || spec_differs(old, object)))
        meta_raise_generation(c, object);
}

bool meta_is_deleted(const struct json *object)
{
    const struct json *meta = json_get(object, "metadata");
    bool is_namespace = str_is(json_string(json_get(object, "kind")), "Namespace");
    int64_t grace = 0;
    if (is_namespace && json_len(json_get(json_get(object, "spec"), "finalizers")))
        return false;
    json_int(json_get(meta, "deletionGracePeriodSeconds"), &grace);
    return json_get(meta, "deletionTimestamp") && !json_len(json_get(meta, "finalizers")) && grace == 0;
}
