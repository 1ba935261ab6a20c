/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_scale: the /scale subresource of Deployments and Runtimes as autoscaling/v1 Scale: a view of the object through which
 * only spec.replicas can be written (Kubernetes API conventions, "Scale").
 */
#include "applets/apiserver/api.h"
#include <stdio.h>

static struct str selector_text(struct api_call *c, const struct json *object)
{
    static const char *const labels[] = { "spec", "selector", "matchLabels" };
    AUTO_BUF struct buf b = { .max = 65536 };
    struct str said = json_string(json_get(json_get(object, "status"), "selector"));
    if (said.n || c->path.r->type)
        return said;
    for (const struct json *m = json_first(json_get_path(object, labels, 3)); m; m = json_next(m))
        buf_fmt(&b, "%s%.*s=%.*s", b.n ? "," : "", SFMT(json_key(m)), SFMT(json_string(m)));
    return arena_str(&c->arena, buf_view(&b));
}

static struct json *scale_of(struct api_call *c, const struct json *object)
{
    static const char *const kept[] = { "name", "namespace", "uid", "resourceVersion", "creationTimestamp" };
    struct arena *a = &c->arena;
    struct json *s = json_new_object(a), *meta = json_new_object(a), *spec = json_new_object(a), *status = json_new_object(a);
    int64_t want = 1, have = 0;
    const struct json *from = json_get(object, "metadata");
    for (size_t i = 0; i < LEN(kept); i++)
        if (json_get(from, kept[i]))
            json_add(a, meta, str_of(kept[i]), json_clone(a, json_get(from, kept[i])));
    json_int(json_get(json_get(object, "spec"), "replicas"), &want);
    json_int(json_get(json_get(object, "status"), "replicas"), &have);
    if (want)
        json_add(a, spec, S("replicas"), json_new_int(a, want));      /* left out means 0, as Kubernetes' type has it */
    json_add(a, status, S("replicas"), json_new_int(a, have));
    struct str selector = selector_text(c, object);
    if (selector.n)
        json_add(a, status, S("selector"), json_new_str(a, selector));
    json_add(a, s, S("kind"), json_new_str(a, S("Scale")));
    json_add(a, s, S("apiVersion"), json_new_str(a, S("autoscaling/v1")));
    json_add(a, s, S("metadata"), meta);
    json_add(a, s, S("spec"), spec);
    json_add(a, s, S("status"), status);
    return s;
}

void api_send_scale(struct api_call *c, int status, struct str object)
{
    struct json *o = json_parse(&c->arena, object, &c->e);
    if (o)
        json_print(&c->reply->body, scale_of(c, o));
    c->reply->status = status;
}

static int check(struct api_call *c, const struct json *scale, const struct json *object, int64_t *replicas)
{
    const struct json *meta = json_get(scale, "metadata"), *spec = json_get(json_get(scale, "spec"), "replicas");
    struct str name = json_string(json_get(meta, "name")), kind = json_string(json_get(scale, "kind")), version = json_string(json_get(scale, "apiVersion"));
    struct str uid = json_string(json_get(meta, "uid")), is_uid = json_string(json_get(json_get(object, "metadata"), "uid"));
    if (!json_is(scale, JSON_OBJECT) || !str_is(kind, "Scale") || !str_is(version, "autoscaling/v1"))
        return kr_fail(&c->e, KR_BAD_REQUEST, "expected an autoscaling/v1 Scale, got %.*s %.*s", SFMT(version), SFMT(kind));
    if (!str_eq(name, c->path.name))
        return kr_fail(&c->e, KR_BAD_REQUEST, "the name of the object (%.*s) does not match the name on the URL (%.*s)", SFMT(name), SFMT(c->path.name));
    if (uid.n && !str_eq(uid, is_uid))
        return api_fail_conflict(c, name, arena_fmt(&c->arena, "Precondition failed: UID in precondition: %.*s, UID in object meta: %.*s", SFMT(uid), SFMT(is_uid)).p);
    *replicas = 0;
    if (spec && !json_is(spec, JSON_NULL) && !json_int(spec, replicas))
        return kr_fail(&c->e, KR_BAD_REQUEST, "spec.replicas: a whole number was expected");
    if (*replicas >= 0 || c->path.r->type)            /* a model says so itself */
        return 0;
    struct str why = arena_fmt(&c->arena, "Invalid value: %lld: should be a non-negative integer", (long long)*replicas);
    api_add_cause(c, "FieldValueInvalid", why, S("spec.replicas"));
    c->about = name;
    return kr_fail(&c->e, KR_INVALID, "Scale.autoscaling \"%.*s\" is invalid: spec.replicas: %.*s", SFMT(name), SFMT(why));
}

int api_scaled(struct api_call *c, const struct json *object, int (*change)(struct api_call *, const struct json *scale, struct json **ret), struct json **ret)
{
    struct json *scale;
    int64_t replicas;
    if (change(c, scale_of(c, object), &scale) < 0 || check(c, scale, object, &replicas) < 0)
        return -1;
    *ret = json_clone(&c->arena, object);
    struct json *meta = json_get(*ret, "metadata");
    const struct json *version = json_get(json_get(scale, "metadata"), "resourceVersion");
    if (version)
        json_set(&c->arena, meta, S("resourceVersion"), json_clone(&c->arena, version));
    json_set(&c->arena, json_ensure_object(&c->arena, *ret, "spec"), S("replicas"), json_new_int(&c->arena, replicas));
    return 0;
}
