/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_claim: what a kube-apiserver does with PersistentVolumeClaims beyond keeping them: a new one is Pending and protected by
 * a finalizer, which whoever has the volumes takes off when no pod uses it (locally the node); what is asked for is
 * checked, and doesn't change afterwards.
 */
#include "applets/apiserver/api.h"
#include "k8s/quantity.h"

#define PROTECTION "kubernetes.io/pvc-protection"

bool api_is_claim(const struct api_call *c) { return !*c->path.r->group && !strcmp(c->path.r->plural, "persistentvolumeclaims"); }

void api_claim_furnish(struct api_call *c, struct json *object)
{
    struct arena *a = &c->arena;
    struct json *meta = json_ensure_object(a, object, "metadata"), *finalizers = json_get(meta, "finalizers"), *spec = json_ensure_object(a, object, "spec");
    struct json *status = json_new_object(a);
    json_set(a, status, S("phase"), json_new_str(a, S("Pending")));
    json_set(a, object, S("status"), status);
    if (!json_get(spec, "volumeMode"))
        json_set(a, spec, S("volumeMode"), json_new_str(a, S("Filesystem")));
    for (const struct json *f = json_first(finalizers); f; f = json_next(f))
        if (str_is(json_string(f), PROTECTION))
            return;
    if (!finalizers)
        json_set(a, meta, S("finalizers"), finalizers = json_new_array(a));
    json_append(finalizers, json_new_str(a, S(PROTECTION)));
}

static void check_modes(struct api_call *c, const struct json *modes)
{
    static const char *const known[] = { "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod" };
    if (!json_len(modes))
        api_add_cause(c, "FieldValueRequired", S("Required value: at least 1 access mode is required"), S("spec.accessModes"));
    for (const struct json *m = json_first(modes); m; m = json_next(m)) {
        bool ok = false;
        for (size_t i = 0; i < LEN(known); i++)
            ok |= str_is(json_string(m), known[i]);
        if (!ok)
            api_add_cause(c, "FieldValueNotSupported", arena_fmt(&c->arena, "Unsupported value: \"%.*s\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", "
                          "\"ReadWriteOnce\", \"ReadWriteOncePod\"", SFMT(json_string(m))), S("spec.accessModes"));
    }
}

static int check_size(struct api_call *c, const struct json *spec)
{
    static const char *const path[] = { "resources", "requests", "storage" };
    const struct json *size = json_get_path(spec, path, 3);
    struct quantity q;
    struct kr_err e = { 0 };
    int64_t number;
    struct str text = json_int(size, &number) ? arena_fmt(&c->arena, "%lld", (long long)number) : json_string(size);
    if (!size)
        api_add_cause(c, "FieldValueRequired", S("Required value"), S("spec.resources[storage]"));
    else if (quantity_parse(text, &q, &e) < 0)
        return kr_fail(&c->e, KR_BAD_REQUEST, "PersistentVolumeClaim in version \"v1\" cannot be handled as a PersistentVolumeClaim: quantities must match the regular "
                       "expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
    else if (q.digits <= 0)
        api_add_cause(c, "FieldValueInvalid", arena_fmt(&c->arena, "Invalid value: \"%.*s\": must be greater than zero", SFMT(text)), S("spec.resources[storage]"));
    return 0;
}

/* What may change is left out: a bound claim may ask for more, and a claim is given its volume once. */
static const struct json *fixed_part(struct api_call *c, const struct json *object, const struct json *old)
{
    struct json *spec = json_clone(&c->arena, json_get(object, "spec"));
    if (str_is(json_string(json_get(json_get(old, "status"), "phase")), "Bound")) {
        json_del(json_get(spec, "resources"), S("requests"));
        json_del(spec, S("volumeAttributesClassName"));
    }
    if (!json_string(json_get(json_get(old, "spec"), "volumeName")).n)
        json_del(spec, S("volumeName"));
    return spec;
}

int api_claim_check(struct api_call *c, const struct json *object, const struct json *old)
{
    const struct json *spec = json_get(object, "spec");
    check_modes(c, json_get(spec, "accessModes"));
    if (check_size(c, spec) < 0)
        return -1;
    if (old && !json_equal(fixed_part(c, object, old), fixed_part(c, old, old)))
        api_add_cause(c, "FieldValueForbidden", S("Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for "
                      "bound claims"), S("spec"));
    return 0;
}
