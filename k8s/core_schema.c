/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_schema: the table's text is parsed type by type, each when it is first needed. A type is known by its name before its
 * fields are read, so types may refer to themselves. Protobuf is in core_protobuf.c. Tests: tests/unit/k8s/core_schema.c
 */
#include "k8s/core_schema.h"
#include "core/map.h"
#include "k8s/core_schema_private.h"

static const struct { const char *name, *fields; } table[] = {
#define TYPE(name, fields) { name, fields },
#include "k8s/core_schema.def"
#undef TYPE
};

static struct map types;                          /* struct core_type by name */
static struct arena arena = { .limit = 16 << 20, .first = 16384 };

static const struct { const char *name; enum core_shape shape; enum model_shape model; } words[] = {
    { "string", CORE_STRING, MODEL_TEXT }, { "bool", CORE_BOOL, MODEL_BOOL }, { "int32", CORE_INT, MODEL_INT32 }, { "int64", CORE_INT, MODEL_INT },
    { "bytes", CORE_BYTES, MODEL_TEXT }, { "time", CORE_TIME, MODEL_TIME }, { "microtime", CORE_MICROTIME, MODEL_TEXT }, { "quantity", CORE_QUANTITY, MODEL_RAW },
    { "intorstring", CORE_INT_OR_STRING, MODEL_RAW }, { "raw", CORE_RAW, MODEL_RAW }, { "any", CORE_RAW, MODEL_RAW },
};

static struct core_type *type_named(struct str name);

/* "*[]core/v1.Container": how the field is shaped, from the outside in. */
static void read_type(struct str text, struct core_value *v, struct model_schema *s)
{
    if (str_starts(text, S("*"))) {
        v->pointer = true;
        text = str_from(text, 1);
    }
    if (str_starts(text, S("wrapped"))) {
        v->wrapped = true;
        text = str_from(text, 7);
    }
    bool list = str_starts(text, S("[]")), map = str_starts(text, S("map:"));
    if (list || map) {
        struct model_schema *item = arena_alloc(&arena, sizeof *item);
        v->item = arena_alloc(&arena, sizeof *v->item);
        v->shape = list ? CORE_LIST : CORE_MAP;
        read_type(str_from(text, list ? 2 : 4), v->item, item);
        s->shape = list ? MODEL_LIST : MODEL_MAP;
        s->item = item;
        return;
    }
    for (size_t i = 0; i < LEN(words); i++)
        if (str_is(text, words[i].name)) {
            v->shape = words[i].shape;
            s->shape = words[i].model;
            return;
        }
    v->shape = CORE_OBJECT;
    v->type = type_named(text);
    s->shape = MODEL_OBJECT;
    s->object = v->type ? &v->type->object : NULL;
}

static void read_flags(struct str rest, struct core_field *f, struct model_schema *s)
{
    while (rest.n) {
        struct str word = str_cut(&rest, ' ');
        if (str_is(word, "!"))
            s->required = true;
        else if (str_starts(word, S("map=")))
            s->list = arena_fmt(&arena, "map:%.*s", SFMT(str_from(word, 4))).p;
        else if (str_is(word, "set") || str_is(word, "atomic"))
            s->list = arena_z(&arena, word);
        else if (str_starts(word, S("merge=")))
            f->merge = (struct core_merge){ word.n > 6 ? arena_z(&arena, str_from(word, 6)) : NULL, true, f->merge.retain_keys };
        else if (str_is(word, "retainKeys"))
            f->merge.retain_keys = true;
    }
}

static void add_field(struct core_type *t, size_t *nfields, struct str line)
{
    struct core_field *f = &t->fields[t->n++];
    struct str rest = line, name = str_cut(&rest, ' '), number = str_cut(&rest, ' '), type = str_cut(&rest, ' ');
    struct model_schema s = { 0 };
    uint64_t n = 0;
    str_u64(number, &n);
    *f = (struct core_field){ .number = (uint32_t)n, .name = arena_str(&arena, name) };
    read_type(type, &f->value, &s);
    read_flags(rest, f, &s);
    if (str_is(name, "protocol") && f->value.shape == CORE_STRING)
        s.def = "\"TCP\"";                        /* a key of ports, where it is often left out */
    if (f->name.n == 1 && f->name.p[0] == '-') {  /* its fields are the object's own */
        f->name = S("");
        for (size_t i = 0; f->value.type && f->value.type->object.fields[i].name; i++)
            t->model[(*nfields)++] = f->value.type->object.fields[i];
        return;
    }
    t->model[(*nfields)++] = (struct model_field){ .name = f->name.p, .doc = "", .len = (uint32_t)f->name.n, .s = s };
}

static size_t count(struct str text, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == c;
    return n;
}

static struct core_type *make(struct str name, bool atomic, const char *text)
{
    enum { INLINED = 64 };                        /* room for fields of inlined types: a Volume has 30 sources */
    struct str rest = str_of(text);
    size_t lines = count(rest, '\n'), nfields = 0;
    struct core_type *t = arena_alloc(&arena, sizeof *t);
    t->name = arena_z(&arena, name);
    t->fields = arena_alloc(&arena, lines * sizeof *t->fields);
    t->model = arena_alloc(&arena, (lines + INLINED + 1) * sizeof *t->model);
    t->object = (struct model_object){ .doc = "", .atomic = atomic, .fields = t->model };
    map_put(&types, str_of(t->name), t);
    while (rest.n) {
        struct str line = str_cut(&rest, '\n');
        if (line.n)
            add_field(t, &nfields, line);
    }
    return t;
}

static struct core_type *type_named(struct str name)
{
    struct core_type *t = map_get(&types, name);
    for (size_t i = 0; !t && i < LEN(table); i++) {
        struct str rest = str_of(table[i].name), is = str_cut(&rest, ' ');
        if (str_eq(is, name))
            t = make(name, str_is(rest, "atomic"), table[i].fields);
    }
    return t;
}

struct core_type *core_type(struct str api_version, struct str kind)
{
    AUTO_ARENA struct arena a = { .limit = 4096 };
    struct str version = api_version, group = str_chr(api_version, '/') >= 0 ? str_cut(&version, '/') : S("core"), domain = group, first = str_cut(&domain, '.');
    return type_named(str_is(kind, "DeleteOptions") ? S("meta/v1.DeleteOptions") : arena_fmt(&a, "%.*s/%.*s.%.*s", SFMT(first), SFMT(version), SFMT(kind)));
}

const struct model_object *core_schema(struct str api_version, struct str kind)
{
    struct core_type *t = core_type(api_version, kind);
    return t ? &t->object : NULL;
}

const struct model_object *core_schema_named(struct str name)
{
    struct core_type *t = type_named(name);
    return t ? &t->object : NULL;
}

static struct core_type *type_of(const struct model_object *o)
{
    struct core_type *t;
    for (size_t i = 0; (t = map_next(&types, &i));)
        if (&t->object == o)
            return t;
    return NULL;
}

const char *core_schema_name(const struct model_object *o)
{
    const struct core_type *t = type_of(o);
    return t ? t->name : NULL;
}

static const struct core_field *find(const struct core_type *t, struct str name)
{
    for (size_t i = 0; t && i < t->n; i++) {
        const struct core_field *f = t->fields[i].name.n ? str_eq(t->fields[i].name, name) ? &t->fields[i] : NULL : find(t->fields[i].value.type, name);
        if (f)
            return f;
    }
    return NULL;
}

struct core_merge core_merge_of(const struct model_object *o, struct str field)
{
    const struct core_field *f = find(type_of(o), field);
    return f ? f->merge : (struct core_merge){ 0 };
}

/* ---- types ------------------------------------------------------------------------------------------------------- */

static int check(const struct model_schema *s, const struct json *v, struct buf *path, struct kr_err *e);

static int check_members(const struct model_object *o, const struct json *v, struct buf *path, struct kr_err *e)
{
    size_t n = path->n;
    for (const struct json *m = json_first(v); m; m = json_next(m)) {
        const struct model_field *f = model_find(o, json_key(m));
        if (!f || (!n && str_is(json_key(m), "metadata")))
            continue;
        buf_lit(path, n ? "." : "");
        buf_lit(path, f->name);
        if (check(&f->s, m, path, e) < 0)
            return -1;
        path->n = n;
    }
    return 0;
}

static bool fits(const struct model_schema *s, const struct json *v)
{
    switch (s->shape) {
    case MODEL_TEXT:
    case MODEL_TIME: return json_is(v, JSON_STRING);
    case MODEL_INT:
    case MODEL_INT32: return json_is(v, JSON_NUMBER) && json_is_whole(v);
    case MODEL_BOOL: return json_is(v, JSON_TRUE) || json_is(v, JSON_FALSE);
    case MODEL_OBJECT:
    case MODEL_MAP: return json_is(v, JSON_OBJECT);
    case MODEL_LIST: return json_is(v, JSON_ARRAY);
    default: return true;
    }
}

static int check(const struct model_schema *s, const struct json *v, struct buf *path, struct kr_err *e)
{
    if (json_is(v, JSON_NULL))
        return 0;
    if (!fits(s, v)) {
        AUTO_BUF struct buf type = { .max = 256 };
        model_type_name(s, &type);
        const char *got = json_is(v, JSON_TRUE) || json_is(v, JSON_FALSE) ? "bool" : json_type_name(json_type(v));
        return kr_fail(e, KR_BAD_REQUEST, "json: cannot unmarshal %s into Go struct field %.*s of type %.*s", got, SFMT(buf_view(path)), SFMT(buf_view(&type)));
    }
    if (s->shape == MODEL_OBJECT)
        return s->object ? check_members(s->object, v, path, e) : 0;
    size_t n = path->n;
    for (const struct json *m = s->shape == MODEL_LIST || s->shape == MODEL_MAP ? json_first(v) : NULL; m; m = json_next(m)) {
        if (s->shape == MODEL_MAP)
            buf_fmt(path, ".%.*s", SFMT(json_key(m)));
        if (check(model_item(s), m, path, e) < 0)
            return -1;
        path->n = n;
    }
    return 0;
}

int core_check_types(const struct model_object *o, const struct json *object, struct kr_err *e)
{
    AUTO_BUF struct buf path = { .max = 65536 };
    return check_members(o, object, &path, e);
}
