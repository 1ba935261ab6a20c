/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_encode: structs to JSON text, driven by the tables of core/model.h; the mirror of model_decode. What is absent
 * in the struct is absent in the text; a present but empty list is written as []. Rules are not checked here.
 */
#include "core/model.h"

static void encode_value(const struct model_schema *s, const char *v, struct buf *b)
{
    const struct str *text = (const struct str *)(const void *)v;
    if (s->raw) {
        jw_raw(b, *text);
        return;
    }
    switch (s->shape) {
    case MODEL_TEXT:
    case MODEL_TIME: jw_str(b, *text); return;
    case MODEL_RAW: jw_raw(b, *text); return;
    case MODEL_INT:
    case MODEL_INT32:
    case MODEL_COUNT: jw_int(b, *(const int64_t *)(const void *)v); return;
    case MODEL_BOOL: jw_bool(b, *(const bool *)(const void *)v); return;
    case MODEL_OBJECT: model_encode_object(s->object, v, b); return;
    case MODEL_LIST:
    case MODEL_MAP: break;
    }
    const struct str_list *l = (const struct str_list *)(const void *)v;
    const char *at = (const char *)l->v;
    bool map = s->shape == MODEL_MAP;
    jw_begin(b, map ? '{' : '[');
    for (size_t i = 0; i < l->n; i++, at += s->size) {
        if (map)
            jw_key(b, *(const struct str *)(const void *)at);
        encode_value(model_item(s), at + (map ? sizeof(struct str) : 0), b);
    }
    jw_end(b, map ? '}' : ']');
}

static void encode_fields(const struct model_object *o, const char *p, struct buf *b)
{
    for (const struct model_field *f = o->fields; f->name; f++) {
        const char *v = p + f->at;
        bool there = f->has ? *(const bool *)(p + f->has) || (f->s.required && f->s.shape == MODEL_OBJECT)
                            : *(const void *const *)(const void *)v != NULL;
        if (!there)
            continue;
        jw_key(b, (struct str){ f->name, f->len });
        encode_value(&f->s, v, b);
    }
}

void model_encode_object(const struct model_object *o, const void *p, struct buf *b)
{
    jw_begin(b, '{');
    encode_fields(o, p, b);
    jw_end(b, '}');
}

void model_encode_kind(const struct model_type *t, const void *p, struct buf *b)
{
    AUTO_BUF struct buf version = { .max = 256 };
    model_api_version(t, &version);
    jw_begin(b, '{');
    jw_kstr(b, "apiVersion", buf_view(&version));
    jw_kstr(b, "kind", str_of(t->kind));
    encode_fields(t->object, p, b);
    jw_end(b, '}');
}
