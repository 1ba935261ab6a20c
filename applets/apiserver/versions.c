/* SPDX-License-Identifier: Apache-2.0 */
/*
 * versions: one allocation for the struct, an arena for its text. Selectable fields are read by a cursor walk of the JSON
 * text, not by a tree: every write and every item of a filtered list comes by here.
 */
#include "applets/apiserver/versions.h"

static struct str member(struct str object, struct str name)
{
    char key[64];
    if (!object.p || name.n >= sizeof key)
        return (struct str){ 0 };
    memcpy(key, name.p, name.n);
    key[name.n] = '\0';
    return json_find(object, key);
}

/* Fields of one part of the object stand side by side in r->fields, so that the part is looked for once. */
static void read_fields(struct version *v)
{
    const struct resource *r = v->r;
    struct str part = { 0 }, part_json = { 0 };
    for (size_t i = 0; r->fields && r->fields[i] && i < VERSION_FIELDS; i++) {
        struct str rest = str_of(r->fields[i]), first = str_cut(&rest, '.');
        if (!part.p || !str_eq(first, part))
            part_json = member(v->json, part = first);
        struct str at = part_json;
        while (rest.n && at.p)
            at = member(at, str_cut(&rest, '.'));
        v->fields[i] = json_str_of(at, &v->arena);
    }
}

struct version *version_new(const struct resource *r, struct str ns, struct str name, uint64_t revision, struct str json)
{
    struct version *v = xblock(sizeof *v);
    size_t first = 1024;                          /* a size of which spare blocks are kept: versions come and go */
    while (first < json.n + ns.n + name.n + 512 && first < 65536)
        first *= 2;
    *v = (struct version){ .refs = 1, .r = r, .revision = revision, .arena = { .limit = SIZE_MAX / 2, .first = first } };
    v->json = arena_str(&v->arena, json);
    v->ns = arena_str(&v->arena, ns);
    v->name = arena_str(&v->arena, name);
    read_fields(v);
    return v;
}

void version_view(struct version *v, const struct resource *r, struct str ns, struct str name, uint64_t revision, struct str json)
{
    *v = (struct version){ .refs = 1, .r = r, .revision = revision, .json = json, .ns = ns, .name = name,
                           .arena = { .limit = LIMIT_API_ARENA } };
    read_fields(v);
}

void version_unref(struct version *v)
{
    if (!v || --v->refs)
        return;
    arena_reset(&v->arena);
    xblock_free(v, sizeof *v);
}

size_t version_bytes(const struct version *v) { return sizeof *v + v->arena.used; }

int filter_parse(struct filter *f, const struct resource *r, struct str ns, struct str labels, struct str fields, struct kr_err *e)
{
    *f = (struct filter){ .r = r };
    if (ns.n)
        f->ns = (struct str){ f->own = xstrndup(ns.p, ns.n), ns.n };
    if (labels.n && !(f->labels = selector_parse(labels, e))) {
        filter_free(f);
        return kr_wrap(e, "unable to parse requirement");
    }
    if (fields.n && field_selector_parse(&f->fields, fields, e) < 0) {
        filter_free(f);
        return -1;
    }
    for (size_t i = 0; i < f->fields.n; i++) {
        struct str path = f->fields.v[i].path;
        bool known = str_is(path, "metadata.name") || (r->namespaced && str_is(path, "metadata.namespace"));
        for (size_t k = 0; !known && r->fields && r->fields[k]; k++)
            known = str_is(path, r->fields[k]);
        if (!known) {
            kr_fail(e, KR_BAD_REQUEST, "field label not supported: %.*s", SFMT(path));
            filter_free(f);
            return -1;
        }
    }
    return 0;
}

void filter_free(struct filter *f)
{
    selector_free(f->labels);
    field_selector_free(&f->fields);
    free(f->own);
    *f = (struct filter){ 0 };
}

static struct str get_field(void *ctx, struct str path)
{
    const struct version *v = ctx;
    if (str_is(path, "metadata.name"))
        return v->name;
    if (str_is(path, "metadata.namespace"))
        return v->ns;
    for (size_t i = 0; v->r->fields && v->r->fields[i] && i < VERSION_FIELDS; i++)
        if (str_is(path, v->r->fields[i]))
            return v->fields[i].p ? v->fields[i] : S("");
    return S("");
}

static const struct selector_labels *labels_of(struct version *v)
{
    if (v->labels_known)
        return &v->labels;
    static const char *const path[] = { "metadata", "labels" };
    struct kr_err e = { 0 };
    struct str raw = json_find_path(v->json, path, LEN(path));
    struct json *map = raw.p ? json_parse(&v->arena, raw, &e) : NULL;
    v->labels = labels_of_json(map, &v->arena);
    v->labels_known = true;
    return &v->labels;
}

bool filter_matches(const struct filter *f, struct version *v)
{
    if (f->r != v->r || (f->ns.n && !str_eq(f->ns, v->ns)))
        return false;
    if (f->fields.n && !field_selector_matches(&f->fields, get_field, v))
        return false;
    return !f->labels || selector_matches(f->labels, labels_of(v));
}
