/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resources: the table of resources.def as data, and paths (Kubernetes API conventions: /api/v1 for the core group,
 * /apis/GROUP/VERSION for the others). What a path names beyond this is a 404 of the caller.
 */
#include "applets/apiserver/resources.h"
#include "core/uri.h"
#include "crds/crds.h"
#include "k8s/core_schema.h"

#define COL(name, type, path, priority) { name, type, path, priority }
#define COLS(id, ...) static const struct resource_column columns_##id[] = { __VA_ARGS__ };
#define FIELDS(id, ...) static const char *const fields_##id[] = { __VA_ARGS__ };
#define RESOURCE(...)
#include "applets/apiserver/resources.def"
#undef COLS
#undef FIELDS
#undef RESOURCE

const struct resource resources[] = {
#define COLS(id, ...)
#define FIELDS(id, ...)
#define RESOURCE(group_, version_, plural_, singular_, kind_, shorts, cats, namespaced_, flags_, cols, fields_id, type_)               \
    { .group = group_, .version = version_, .plural = plural_, .singular = singular_, .kind = kind_, .short_names = shorts,            \
      .categories = cats, .namespaced = namespaced_, .flags = flags_, .columns = columns_##cols, .ncolumns = LEN(columns_##cols),       \
      .fields = fields_##fields_id, .type = type_ },
#include "applets/apiserver/resources.def"
#undef COLS
#undef FIELDS
#undef RESOURCE
};
const size_t nresources = LEN(resources);

static const struct resource *resource_find(struct str group, struct str version, struct str plural)
{
    for (size_t i = 0; i < nresources; i++)
        if (str_is(plural, resources[i].plural) && str_is(group, resources[i].group) && str_is(version, resources[i].version))
            return &resources[i];
    return NULL;
}

struct str resource_api_version(const struct resource *r, char out[96])
{
    char *end = *r->group ? stpcpy(stpcpy(out, r->group), "/") : out;      /* of our own table: they fit */
    return (struct str){ out, (size_t)(stpcpy(end, r->version) - out) };
}

const struct resource *resource_by_kind(struct str api_version, struct str kind)
{
    char version[96];
    for (size_t i = 0; i < nresources; i++)
        if (str_is(kind, resources[i].kind) && str_eq(api_version, resource_api_version(&resources[i], version)))
            return &resources[i];
    return NULL;
}

const struct resource *resource_by_prefix(struct str prefix)
{
    struct str group = prefix, plural = str_cut(&group, '.');
    for (size_t i = 0; i < nresources; i++)
        if (str_is(plural, resources[i].plural) && str_is(group, resources[i].group))
            return &resources[i];
    return NULL;
}

const struct model_object *resource_object(const struct resource *r)
{
    char version[96];
    return r->type ? r->type->object : core_schema(resource_api_version(r, version), str_of(r->kind));
}

int api_path_parse(struct api_path *p, struct str path, struct arena *a)
{
    struct str part[8], group = S(""), version;
    size_t n = 0;
    struct kr_err e = { 0 };
    *p = (struct api_path){ 0 };
    int rc = uri_segments(a, path, part, LEN(part), &e);
    if (rc < 0)
        return -1;
    n = (size_t)rc;
    size_t i = 0;
    if (n >= 3 && str_is(part[0], "api")) {
        version = part[1];
        i = 2;
    } else if (n >= 4 && str_is(part[0], "apis")) {
        group = part[1];
        version = part[2];
        i = 3;
    } else {
        return -1;
    }
    bool in_ns = false;
    if (str_is(part[i], "namespaces") && n - i >= 3 && !(n - i == 3 && (str_is(part[i + 2], "status") || str_is(part[i + 2], "finalize")))) {
        p->ns = part[i + 1];
        i += 2;
        in_ns = true;
    }
    p->r = resource_find(group, version, part[i++]);
    if (!p->r || (in_ns && !p->r->namespaced))
        return -1;
    p->all_namespaces = p->r->namespaced && !in_ns;
    if (i < n)
        p->name = part[i++];
    if (i < n)
        p->sub = part[i++];
    return i < n || (p->all_namespaces && p->name.n) ? -1 : 0;
}

struct str resource_prefix(const struct resource *r, struct str ns, struct arena *a)
{
    const struct str parts[] = { str_of(r->plural), S("."), str_of(r->group), S("/"), ns, ns.n ? S("/") : S("") };
    return arena_join(a, parts, LEN(parts));
}

struct str resource_key(const struct resource *r, struct str ns, struct str name, struct arena *a)
{
    const struct str parts[] = { str_of(r->plural), S("."), str_of(r->group), S("/"), ns, S("/"), name };
    return arena_join(a, parts, LEN(parts));
}
