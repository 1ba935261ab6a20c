/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_openapi: OpenAPI v3 (an index and a document per group and version) and v2 (one document, JSON), printed from the same
 * tables that objects are checked by. kubectl's explain, apply, create --validate and diff read them.
 *
 * Core types are components of their own, referred to by name; our kinds are written out in place, as CRDs publish them.
 */
#include "applets/apiserver/api.h"
#include "core/map.h"
#include "core/version.h"
#include "crds/crds.h"
#include "k8s/core_schema.h"
#include <stdio.h>

struct doc { struct buf *b; bool v2; struct map named; struct arena *a; const struct model_object **queue; size_t n, cap; };

static void put_schema(struct doc *, const struct model_object *of, const struct model_field *, const struct model_schema *, const char *text);

/* "core/v1.PodSpec" → io.k8s.api.core.v1.PodSpec */
static struct str public_name(struct doc *d, const char *name)
{
    struct str rest = str_of(name), group = str_cut(&rest, '/');
    if (str_is(group, "meta"))
        return arena_fmt(d->a, "io.k8s.apimachinery.pkg.apis.meta.%.*s", SFMT(rest));
    return arena_fmt(d->a, "io.k8s.api.%.*s.%.*s", SFMT(group), SFMT(rest));
}

static void refer(struct doc *d, const struct model_object *o, struct str name)
{
    if (!map_get(&d->named, name)) {
        map_put(&d->named, name, (void *)(uintptr_t)o);
        if (d->n == d->cap) {
            d->cap = d->cap ? d->cap * 2 : 64;
            d->queue = xrealloc(d->queue, d->cap * sizeof *d->queue);
        }
        d->queue[d->n++] = o;
    }
    jw_kstr(d->b, "$ref", arena_fmt(d->a, "#/%s/%.*s", d->v2 ? "definitions" : "components/schemas", SFMT(name)));
}

static void put_properties(struct doc *d, const struct model_object *o)
{
    bool any = false;
    jw_kstr(d->b, "type", S("object"));
    jw_kbegin(d->b, "properties", '{');
    for (const struct model_field *f = o->fields; f->name; f++) {
        jw_key(d->b, (struct str){ f->name, f->len });
        put_schema(d, o, f, &f->s, f->doc);
        any |= f->s.required;
    }
    jw_end(d->b, '}');
    if (any) {
        jw_kbegin(d->b, "required", '[');
        for (const struct model_field *f = o->fields; f->name; f++)
            if (f->s.required)
                jw_str(d->b, (struct str){ f->name, f->len });
        jw_end(d->b, ']');
    }
    if (o->open)
        jw_kbool(d->b, "x-kubernetes-preserve-unknown-fields", true);
    if (o->atomic)
        jw_kstr(d->b, "x-kubernetes-map-type", S("atomic"));
}

static void put_list(struct doc *d, const struct model_object *of, const struct model_field *f, const struct model_schema *s)
{
    struct core_merge m = of && f ? core_merge_of(of, (struct str){ f->name, f->len }) : (struct core_merge){ 0 };
    jw_kstr(d->b, "type", S("array"));
    jw_key(d->b, S("items"));
    put_schema(d, NULL, NULL, model_item(s), "");
    if (s->list) {
        bool map = !strncmp(s->list, "map:", 4);
        jw_kstr(d->b, "x-kubernetes-list-type", map ? S("map") : str_of(s->list));
        struct str keys = map ? str_of(s->list + 4) : S("");
        if (map)
            jw_kbegin(d->b, "x-kubernetes-list-map-keys", '[');
        while (keys.n)
            jw_str(d->b, str_cut(&keys, ','));
        if (map)
            jw_end(d->b, ']');
    }
    if (m.merge)
        jw_kstr(d->b, "x-kubernetes-patch-strategy", m.retain_keys ? S("merge,retainKeys") : S("merge"));
    if (m.key)
        jw_kstr(d->b, "x-kubernetes-patch-merge-key", str_of(m.key));
}

static void put_object(struct doc *d, const struct model_schema *s)
{
    const char *name = core_schema_name(s->object);
    if (s->object == &model_object_meta)
        name = "meta/v1.ObjectMeta";
    if (!name) {
        put_properties(d, s->object);
        return;
    }
    const struct model_object *o = s->object == &model_object_meta ? core_schema_named(S("meta/v1.ObjectMeta")) : s->object;
    jw_kbegin(d->b, "allOf", '[');
    jw_begin(d->b, '{');
    refer(d, o, public_name(d, name));
    jw_end(d->b, '}');
    jw_end(d->b, ']');
}

static void put_range(struct doc *d, const struct model_schema *s)
{
    if (s->range[0] || s->range[1]) {
        jw_kint(d->b, "minimum", s->range[0]);
        if (s->range[1] != INT64_MAX)
            jw_kint(d->b, "maximum", s->range[1]);
    }
}

static void put_schema(struct doc *d, const struct model_object *of, const struct model_field *f, const struct model_schema *s, const char *text)
{
    jw_begin(d->b, '{');
    if (text && *text)
        jw_kstr(d->b, "description", str_of(text));
    switch (s->shape) {
    case MODEL_TEXT: jw_kstr(d->b, "type", S("string")); break;
    case MODEL_TIME: jw_kstr(d->b, "type", S("string")); jw_kstr(d->b, "format", S("date-time")); break;
    case MODEL_INT:
    case MODEL_INT32:
        jw_kstr(d->b, "type", S("integer"));
        jw_kstr(d->b, "format", s->shape == MODEL_INT ? S("int64") : S("int32"));
        put_range(d, s);
        break;
    case MODEL_BOOL: jw_kstr(d->b, "type", S("boolean")); break;
    case MODEL_COUNT: jw_kbool(d->b, "x-kubernetes-int-or-string", true); break;
    case MODEL_RAW:
        if (s->object)
            put_properties(d, s->object);
        else
            jw_kbool(d->b, "x-kubernetes-preserve-unknown-fields", true);
        break;
    case MODEL_OBJECT: put_object(d, s); break;
    case MODEL_LIST: put_list(d, of, f, s); break;
    case MODEL_MAP:
        jw_kstr(d->b, "type", S("object"));
        jw_key(d->b, S("additionalProperties"));
        put_schema(d, NULL, NULL, model_item(s), "");
        break;
    }
    if (s->pattern)
        jw_kstr(d->b, "pattern", str_of(s->pattern));
    if (s->def)
        jw_kraw(d->b, "default", str_of(s->def));
    if (s->one_of) {
        struct str words = str_of(s->one_of);
        jw_kbegin(d->b, "enum", '[');
        while (words.n)
            jw_str(d->b, str_cut(&words, ' '));
        jw_end(d->b, ']');
    }
    jw_end(d->b, '}');
}

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

static void put_gvk(struct doc *d, const struct resource *r)
{
    jw_begin(d->b, '{');
    jw_kstr(d->b, "group", str_of(r->group));
    jw_kstr(d->b, "kind", str_of(r->kind));
    jw_kstr(d->b, "version", str_of(r->version));
    jw_end(d->b, '}');
}

static struct str kind_name(struct doc *d, const struct resource *r)
{
    const char *core = r->type ? NULL : core_schema_name(resource_object(r));
    return core ? public_name(d, core) : arena_fmt(d->a, "io.kruntimes.%s.%s", r->version, r->kind);
}

static void put_kind(struct doc *d, const struct resource *r)
{
    const struct model_object *o = resource_object(r);
    struct str name = kind_name(d, r);
    if (!o)
        return;
    map_put(&d->named, name, (void *)(uintptr_t)o);
    jw_key(d->b, name);
    jw_begin(d->b, '{');
    jw_kstr(d->b, "description", r->type && o->doc ? str_of(o->doc) : arena_fmt(d->a, "%s of Kubernetes' %s/%s.", r->kind, *r->group ? r->group : "core", r->version));
    jw_kstr(d->b, "type", S("object"));
    jw_kbegin(d->b, "properties", '{');
    jw_key(d->b, S("apiVersion"));
    jw_raw(d->b, S("{\"type\":\"string\",\"description\":\"Group and version of this representation of an object.\"}"));
    jw_key(d->b, S("kind"));
    jw_raw(d->b, S("{\"type\":\"string\",\"description\":\"What the object is.\"}"));
    for (const struct model_field *f = o->fields; f->name; f++) {
        jw_key(d->b, (struct str){ f->name, f->len });
        put_schema(d, o, f, &f->s, f->doc);
    }
    jw_end(d->b, '}');
    jw_kbegin(d->b, "x-kubernetes-group-version-kind", '[');
    put_gvk(d, r);
    jw_end(d->b, ']');
    jw_end(d->b, '}');
}

static void put_param(struct doc *d, const char *name)
{
    jw_begin(d->b, '{');
    jw_kstr(d->b, "name", str_of(name));
    jw_kstr(d->b, "in", S("query"));
    if (d->v2) {
        jw_kstr(d->b, "type", S("string"));
        jw_kbool(d->b, "uniqueItems", true);
    } else {
        jw_kraw(d->b, "schema", S("{\"type\":\"string\",\"uniqueItems\":true}"));
    }
    jw_end(d->b, '}');
}

static void put_operation(struct doc *d, const struct resource *r, const char *method, const char *action, bool write)
{
    jw_kbegin(d->b, method, '{');
    jw_kstr(d->b, "operationId", arena_fmt(d->a, "%s%s%s", action, r->namespaced ? "Namespaced" : "", r->kind));
    jw_kbegin(d->b, "parameters", '[');
    if (write) {
        put_param(d, "dryRun");
        put_param(d, "fieldManager");
        put_param(d, "fieldValidation");
    }
    jw_end(d->b, ']');
    jw_kraw(d->b, "responses", S("{\"200\":{\"description\":\"OK\"}}"));
    jw_kstr(d->b, "x-kubernetes-action", str_of(action));
    jw_key(d->b, S("x-kubernetes-group-version-kind"));
    put_gvk(d, r);
    jw_end(d->b, '}');
}

static void put_paths(struct doc *d, const struct resource *r)
{
    char version[96];
    struct str api = resource_api_version(r, version);
    struct str all = arena_fmt(d->a, "/%s/%.*s/%s%s", *r->group ? "apis" : "api", SFMT(api), r->namespaced ? "namespaces/{namespace}/" : "", r->plural);
    jw_key(d->b, all);
    jw_begin(d->b, '{');
    if (!(r->flags & RES_REVIEW))
        put_operation(d, r, "get", "list", false);
    put_operation(d, r, "post", "create", true);
    jw_end(d->b, '}');
    if (r->flags & RES_REVIEW)
        return;
    jw_key(d->b, arena_fmt(d->a, "%.*s/{name}", SFMT(all)));
    jw_begin(d->b, '{');
    put_operation(d, r, "get", "get", false);
    put_operation(d, r, "put", "update", true);
    put_operation(d, r, "patch", "patch", true);
    put_operation(d, r, "delete", "delete", false);
    jw_end(d->b, '}');
}

static bool is_of(const struct resource *r, struct str group, struct str version, bool all)
{
    return all || (str_is(group, r->group) && str_is(version, r->version));
}

/* Components that others refer to, until none is new. */
static void put_named(struct doc *d)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct model_object *o = d->queue[i];
        jw_key(d->b, public_name(d, core_schema_name(o)));
        jw_begin(d->b, '{');
        put_properties(d, o);
        jw_end(d->b, '}');
    }
}

static bool print_doc(struct api_call *c, struct str group, struct str version, bool v2)
{
    struct doc d = { .b = &c->reply->body, .v2 = v2, .a = &c->arena };
    bool any = false;
    for (size_t i = 0; i < nresources; i++)
        any |= is_of(&resources[i], group, version, v2);
    if (!any)
        return false;
    jw_begin(d.b, '{');
    jw_kstr(d.b, v2 ? "swagger" : "openapi", v2 ? S("2.0") : S("3.0.0"));
    jw_kbegin(d.b, "info", '{');
    jw_kstr(d.b, "title", S("kruntimes"));
    jw_kstr(d.b, "version", str_of(kr_version));
    jw_end(d.b, '}');
    jw_kbegin(d.b, "paths", '{');
    for (size_t i = 0; i < nresources; i++)
        if (is_of(&resources[i], group, version, v2))
            put_paths(&d, &resources[i]);
    jw_end(d.b, '}');
    if (!v2)
        jw_kbegin(d.b, "components", '{');
    jw_kbegin(d.b, v2 ? "definitions" : "schemas", '{');
    for (size_t i = 0; i < nresources; i++)
        if (is_of(&resources[i], group, version, v2))
            put_kind(&d, &resources[i]);
    put_named(&d);
    jw_end(d.b, '}');
    if (!v2)
        jw_end(d.b, '}');
    jw_end(d.b, '}');
    map_free(&d.named);
    free(d.queue);
    c->reply->status = 200;
    return true;
}

static void print_index(struct api_call *c)
{
    struct buf *b = &c->reply->body;
    char version[96];
    jw_begin(b, '{');
    jw_kbegin(b, "paths", '{');
    for (size_t i = 0; i < nresources; i++) {
        const struct resource *r = &resources[i];
        bool first = true;
        for (size_t k = 0; k < i; k++)
            first &= strcmp(resources[k].group, r->group) != 0;
        if (!first)
            continue;
        struct str api = resource_api_version(r, version), path = arena_fmt(&c->arena, "%s/%.*s", *r->group ? "apis" : "api", SFMT(api));
        jw_key(b, path);
        jw_begin(b, '{');
        jw_kstr(b, "serverRelativeURL", arena_fmt(&c->arena, "/openapi/v3/%.*s?hash=%s", SFMT(path), kr_version));
        jw_end(b, '}');
    }
    jw_end(b, '}');
    jw_end(b, '}');
    c->reply->status = 200;
}

bool api_openapi(struct api_call *c, const struct str *part, size_t n)
{
    if (n == 2 && str_is(part[1], "v2"))
        return print_doc(c, S(""), S(""), true);
    if (n < 2 || !str_is(part[1], "v3"))
        return false;
    if (n == 2)
        return print_index(c), true;
    if (n == 4 && str_is(part[2], "api"))
        return print_doc(c, S(""), part[3], false);
    return n == 5 && str_is(part[2], "apis") && print_doc(c, part[3], part[4], false);
}
