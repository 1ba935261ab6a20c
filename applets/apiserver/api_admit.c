/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_admit: our kinds go through their model (pruning, defaults, schema, rules); its findings become the causes and
 * warnings of the API. Of core kinds undeclared fields and types are looked at; metadata is checked of all.
 */
#include "applets/apiserver/api.h"
#include "core/base64.h"
#include "core/model_admit.h"
#include "k8s/core_schema.h"
#include "k8s/meta.h"
#include <stdio.h>

enum field_validation { FIELDS_IGNORE, FIELDS_WARN, FIELDS_STRICT };

static int validation_mode(struct api_call *c, enum field_validation *mode)
{
    struct str v = api_query(c, "fieldValidation");
    *mode = str_is(v, "Strict") ? FIELDS_STRICT : str_is(v, "Ignore") ? FIELDS_IGNORE : FIELDS_WARN;
    if (v.n && *mode == FIELDS_WARN && !str_is(v, "Warn"))
        return api_fail_option(c, api_options_of(c->q->method), "fieldValidation", "FieldValueNotSupported",
                               arena_fmt(&c->arena, "Unsupported value: \"%.*s\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"", SFMT(v)));
    return 0;
}

/* What a strict reader finds wrong: keys that were there twice (the last has won), and undeclared fields (they are gone). */
static int strict_findings(struct api_call *c, const struct str_list *unknown, enum field_validation mode)
{
    AUTO_BUF struct buf all = { .max = 400 };
    size_t n = mode == FIELDS_IGNORE ? 0 : c->ntwice + unknown->n;
    for (size_t i = 0; i < n; i++) {
        bool twice = i < c->ntwice;
        struct str one = arena_fmt(&c->arena, "%s field \"%.*s\"", twice ? "duplicate" : "unknown", SFMT(twice ? c->twice[i] : unknown->v[i - c->ntwice]));
        if (mode == FIELDS_WARN)
            api_warn(c, one);
        buf_fmt(&all, "%s%.*s", i ? ", " : "", SFMT(one));
    }
    if (mode != FIELDS_STRICT || !n)
        return 0;
    if (str_is(c->q->method, "PATCH")) {
        struct str why = arena_fmt(&c->arena, "Invalid value: strict decoding error: %.*s", SFMT(buf_view(&all)));
        api_add_cause(c, "FieldValueInvalid", why, S("patch"));
        return kr_fail(&c->e, KR_INVALID, " \"\" is invalid: patch: %.*s", SFMT(why));
    }
    return kr_fail(&c->e, KR_BAD_REQUEST, "%s in version \"%s\" cannot be handled as a %s: strict decoding error: %.*s", c->path.r->kind,
                   c->path.r->version, c->path.r->kind, SFMT(buf_view(&all)));
}

static enum meta_name name_rule(const struct resource *r)
{
    if (r->group && str_starts(str_of(r->group), S("rbac.")))
        return META_PATH;
    return str_is(str_of(r->kind), "Namespace") || str_is(str_of(r->kind), "Service") ? META_LABEL : META_SUBDOMAIN;
}

/* A Secret's stringData is written in clear and kept in data, over what data says of the same key. */
static void merge_string_data(struct api_call *c, struct json *object)
{
    struct json *plain = json_get(object, "stringData");
    if (*c->path.r->group || strcmp(c->path.r->plural, "secrets") || !plain)
        return;
    for (const struct json *m = json_first(plain); m; m = json_next(m)) {
        struct str text = base64_encode(&c->arena, BASE64_STD, json_string(m));
        if (text.p)
            json_set(&c->arena, json_ensure_object(&c->arena, object, "data"), json_key(m), json_new_str(&c->arena, text));
    }
    json_del(object, S("stringData"));
}

/* Core kinds: undeclared fields go, values are of their types. What a real API server asks beyond that is not asked here. */
static int admit_core(struct api_call *c, const struct model_object *core, struct json *object, enum field_validation mode)
{
    struct str_list unknown = { 0 };
    if (core_check_types(core, object, &c->e) < 0)
        return kr_wrap(&c->e, "%s in version \"%s\" cannot be handled as a %s", c->path.r->kind, c->path.r->version, c->path.r->kind);
    merge_string_data(c, object);
    model_prune(&(struct model_type){ .object = core }, &c->arena, object, &unknown);
    return strict_findings(c, &unknown, mode);
}

int admit(struct api_call *c, struct json *object, const struct json *old, bool status_only)
{
    struct str name = json_string(json_get(json_get(object, "metadata"), "name"));
    enum field_validation mode;
    struct model_errors errors = { 0 };
    (void)status_only;
    meta_check(object, name_rule(c->path.r), &c->arena, &errors);
    if (c->path.r->type) {
        struct str_list unknown = { 0 };
        if (validation_mode(c, &mode) < 0 || model_admit(c->path.r->type, &c->arena, object, old, &errors, &unknown, &c->e) < 0)
            return -1;
        if (strict_findings(c, &unknown, mode) < 0)
            return -1;
    }
    const struct model_object *core = c->path.r->type ? NULL : resource_object(c->path.r);
    if (core && (validation_mode(c, &mode) < 0 || admit_core(c, core, object, mode) < 0))
        return -1;
    if (api_is_claim(c) && api_claim_check(c, object, old) < 0)
        return -1;
    for (size_t i = 0; i < errors.n; i++)
        api_add_cause(c, errors.v[i].reason, errors.v[i].message, errors.v[i].field);
    return c->ncauses ? api_fail_invalid(c, name) : 0;
}
