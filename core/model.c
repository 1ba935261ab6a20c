/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model: look-ups in the tables of core/model.h: by name, by path, and the names of types. Decoding, encoding, the CRD
 * and admission are in files of their own.
 */
#include "core/model.h"
#include "core/opt.h"

struct str str_map_get(struct str_map m, struct str key)
{
    for (size_t i = m.n; i > 0; i--)                       /* a key that is there twice: the last one wins */
        if (str_eq(m.v[i - 1].key, key))
            return m.v[i - 1].value;
    return (struct str){ NULL, 0 };
}

struct count_pair *count_map_find(const struct count_map *m, struct str key)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(m->v[i].key, key))
            return &m->v[i];
    return NULL;
}

const struct model_schema *model_item(const struct model_schema *s)
{
    static const struct model_schema any_text = { .shape = MODEL_TEXT };
    return s->item ? s->item : &any_text;
}

void model_api_version(const struct model_type *t, struct buf *b)
{
    if (t->group)
        buf_fmt(b, "%s/", t->group);
    buf_lit(b, t->version);
}

const struct model_field *model_find(const struct model_object *o, struct str name)
{
    for (const struct model_field *f = o->fields; f->name; f++)
        if (f->len == name.n && !memcmp(f->name, name.p, name.n))
            return f;
    return NULL;
}

/* Walks a path; returns its last field (NULL: the path is empty, or *unknown has the first name that isn't declared in *at). */
static const struct model_field *walk(const struct model_type *t, struct str path, struct str *unknown, const struct model_object **at)
{
    const struct model_object *o = t->object;
    const struct model_field *found = NULL;
    bool key = false;                                      /* a map's key may come next */
    *unknown = (struct str){ 0 };
    while (path.n) {
        struct str name = str_cut(&path, '.');
        ptrdiff_t bracket = str_chr(name, '[');
        if (bracket >= 0)
            name.n = (size_t)bracket;
        const struct model_field *f = o ? model_find(o, name) : NULL;
        if (!f && key && name.n) {
            key = false;
            continue;
        }
        if (!f) {
            *unknown = name;
            *at = o;
            return NULL;
        }
        found = f;
        key = f->s.shape == MODEL_MAP;
        const struct model_schema *s = &f->s;
        while (s->shape == MODEL_LIST || s->shape == MODEL_MAP)
            s = model_item(s);
        o = s->object;
    }
    return found;
}

int model_look_up(const struct model_type *t, struct str path, const struct model_field **out, struct kr_err *e)
{
    const struct model_object *at;
    struct str unknown;
    const struct model_field *found = walk(t, path, &unknown, &at);
    if (unknown.p)
        return kr_fail(e, KR_NOT_FOUND, "field '%.*s' does not exist in '%.*s'", SFMT(unknown), SFMT(path));
    *out = found;
    return 0;
}

const char *model_nearest(const struct model_type *t, struct str path)
{
    enum { MOST = 64 };
    const struct model_object *at = NULL;
    const char *names[MOST];
    struct str unknown;
    size_t n = 0;
    walk(t, path, &unknown, &at);
    for (const struct model_field *f = unknown.p && at ? at->fields : NULL; f && f->name && n < MOST; f++)
        names[n++] = f->name;
    return opt_nearest(unknown, names, n);
}

void model_type_name(const struct model_schema *s, struct buf *b)
{
    static const char *const names[] = {
        [MODEL_TEXT] = "string", [MODEL_TIME] = "string", [MODEL_INT] = "integer", [MODEL_INT32] = "integer",
        [MODEL_BOOL] = "boolean", [MODEL_COUNT] = "int-or-string", [MODEL_RAW] = "object", [MODEL_OBJECT] = "object",
        [MODEL_LIST] = "[]", [MODEL_MAP] = "map[string]",
    };
    buf_lit(b, names[s->shape]);
    if (s->shape == MODEL_LIST || s->shape == MODEL_MAP)
        model_type_name(model_item(s), b);
}
