/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_table: objects as a meta.k8s.io/v1 Table, which is what `kubectl get` asks for, or as their metadata alone
 * (PartialObjectMetadata: clients that only follow owners and labels). Cells are read by dotted paths from the object's
 * text; dates become ages as kubectl prints them.
 */
#include "applets/apiserver/api.h"
#include <stdio.h>

/* JSON as it is: also for who would read YAML, of which it is a part. */
static bool takes_json(struct str media)
{
    static const char *const types[] = { "application/json", "application/yaml", "application/*", "*/*" };
    struct str type = str_trim(str_cut(&media, ';'));
    for (size_t i = 0; i < LEN(types); i++)
        if (str_is(type, types[i]))
            return str_find(media, S("as=")) < 0;
    return false;
}

/* The first of the media types that is served decides. */
enum api_form api_form_of(struct str accept, struct str include)
{
    bool any = !str_trim(accept).n;
    while (accept.n) {
        struct str media = str_cut(&accept, ',');
        if (str_find(media, S("as=Table")) >= 0)
            return str_is(include, "Object") ? FORM_TABLE_OBJECTS : str_is(include, "None") ? FORM_TABLE_BARE : FORM_TABLE;
        if (str_find(media, S("as=PartialObjectMetadata")) >= 0)
            return FORM_METADATA;
        if (takes_json(media)) {
            any = true;
            break;
        }
    }
    return any ? FORM_OBJECT : FORM_NONE;
}

void form_metadata(struct buf *b, struct str json)
{
    struct str meta = json_find(json, "metadata");
    jw_begin(b, '{');
    jw_kstr(b, "kind", S("PartialObjectMetadata"));
    jw_kstr(b, "apiVersion", S("meta.k8s.io/v1"));
    jw_kraw(b, "metadata", meta.p ? meta : S("{}"));
    jw_end(b, '}');
}

static void column(struct buf *b, const char *name, const char *type, const char *format, const char *path, int priority)
{
    char words[256];
    jw_begin(b, '{');
    jw_kstr(b, "name", str_of(name));
    jw_kstr(b, "type", str_of(type));
    jw_kstr(b, "format", str_of(format));
    snprintf(words, sizeof words, "%s%s", path ? "Custom resource definition column (in JSONPath format): " : "", path ? path : name);
    jw_kstr(b, "description", str_of(words));
    jw_kint(b, "priority", priority);
    jw_end(b, '}');
}

/* As the CRD has it; NULL: not a column of ours. */
static const char *column_path(const struct resource *r, const char *name)
{
    for (const struct model_column *c = r->type ? r->type->columns : NULL; c && c->name; c++)
        if (!strcmp(c->name, name))
            return c->path;
    return NULL;
}

static bool is_text(const struct resource *r, const struct resource_column *c)
{
    static const char *const shown[] = { "modes", "object", "phase", "unset" };
    bool text = *c->path == '#' || (!strcmp(c->type, "date") && !r->type);          /* as Kubernetes calls its own kinds' */
    for (size_t i = 0; i < LEN(shown); i++)
        text |= !strcmp(c->type, shown[i]);
    return text;
}

static void columns(struct buf *b, const struct resource *r)
{
    jw_kbegin(b, "columnDefinitions", '[');
    if (!(r->flags & RES_OWN_COLUMNS))
        column(b, "Name", "string", "name", NULL, 0);
    for (size_t i = 0; i < r->ncolumns; i++) {
        const struct resource_column *c = &r->columns[i];
        column(b, c->name, is_text(r, c) ? "string" : c->type, "", column_path(r, c->name), c->priority);
    }
    jw_end(b, ']');
}

void table_begin(struct buf *b, const struct resource *r)
{
    jw_begin(b, '{');
    jw_kstr(b, "kind", S("Table"));
    jw_kstr(b, "apiVersion", S("meta.k8s.io/v1"));
    if (r)
        columns(b, r);
    else
        jw_kraw(b, "columnDefinitions", S("null"));
    jw_kbegin(b, "rows", '[');
}

static struct str look_up(struct str json, const char *path)
{
    struct str rest = str_of(path), at = json;
    while (rest.n && at.p) {
        struct str part = str_cut(&rest, '.');
        char key[64];
        int64_t index;
        if (part.n >= sizeof key)
            return (struct str){ 0 };
        memcpy(key, part.p, part.n);
        key[part.n] = '\0';
        if (str_i64(part, &index)) {
            struct json_cur cur = json_begin(at);
            at = (struct str){ 0 };
            if (json_kind(&cur) != JSON_ARRAY)
                break;
            json_enter(&cur);
            while (json_item(&cur)) {
                struct str item = json_raw(&cur);
                if (index-- == 0) {
                    at = item;
                    break;
                }
            }
        } else {
            at = json_find(at, key);
        }
    }
    return at;
}

/* How many members the objects at these paths have together. */
static int64_t count(struct str paths, struct str json)
{
    int64_t n = 0;
    AUTO_ARENA struct arena a = { .limit = LIMIT_API_BODY };
    while (paths.n) {
        char path[64];
        struct str one = str_cut(&paths, '+');
        snprintf(path, sizeof path, "%.*s", SFMT(one));
        struct str at = look_up(json, path);
        struct json_cur cur = json_begin(at);
        if (!at.p || json_kind(&cur) != JSON_OBJECT)
            continue;
        json_enter(&cur);
        for (struct str key; json_member(&cur, &a, &key); n++)
            json_skip(&cur);
    }
    return n;
}

/* "RWO,ROX" */
static void modes(struct buf *b, struct str list)
{
    static const char *const names[][2] = { { "ReadWriteOnce", "RWO" }, { "ReadOnlyMany", "ROX" }, { "ReadWriteMany", "RWX" }, { "ReadWriteOncePod", "RWOP" } };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    AUTO_BUF struct buf text = { .max = 256 };
    struct json_cur cur = json_begin(list);
    json_enter(&cur);
    while (json_item(&cur)) {
        struct str mode = json_str_of(json_raw(&cur), &a);
        for (size_t i = 0; i < LEN(names); i++)
            if (str_is(mode, names[i][0]))
                buf_fmt(&text, "%s%s", text.n ? "," : "", names[i][1]);
    }
    jw_str(b, buf_view(&text));
}

/* "runtime/bash" of a reference. */
static void reference(struct buf *b, struct str v)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    AUTO_BUF struct buf text = { .max = 1024 };
    struct str kind = json_str_of(json_find(v, "kind"), &a), name = json_str_of(json_find(v, "name"), &a);
    for (size_t i = 0; i < kind.n; i++)
        buf_byte(&text, (char)(kind.p[i] >= 'A' && kind.p[i] <= 'Z' ? kind.p[i] - 'A' + 'a' : kind.p[i]));
    buf_byte(&text, '/');
    buf_str(&text, name);
    jw_str(b, buf_view(&text));
}

/* Columns whose text isn't the field's; false: it is. */
static bool special_cell(struct buf *b, const struct resource_column *col, struct str json, struct str v)
{
    static const char *const deleted[] = { "metadata", "deletionTimestamp" };
    if (!strcmp(col->type, "phase") && json_find_path(json, deleted, 2).p)
        jw_str(b, S("Terminating"));
    else if (!strcmp(col->type, "unset") && !v.p)
        jw_str(b, S("<unset>"));
    else if (!strcmp(col->type, "modes") && v.p && *v.p == '[')
        modes(b, v);
    else if (!strcmp(col->type, "object") && v.p)
        reference(b, v);
    else
        return false;
    return true;
}

static void cell(struct buf *b, const struct resource_column *col, struct str json, int64_t now_us)
{
    if (*col->path == '#') {
        jw_int(b, count(str_of(col->path + 1), json));
        return;
    }
    struct str v = look_up(json, col->path);
    if (special_cell(b, col, json, v))
        return;
    bool date = !strcmp(col->type, "date");
    if (!v.p) {
        if (date)
            jw_str(b, S("<unknown>"));
        else
            jw_null(b);
        return;
    }
    int64_t then;
    AUTO_ARENA struct arena a = { .limit = 65536 };
    if (date && time_parse(json_str_of(v, &a), &then)) {
        char text[32];
        age_print(text, (now_us - then) / 1000000);
        jw_str(b, str_of(text));
    } else {
        jw_raw(b, v);
    }
}

void table_row(struct buf *b, const struct resource *r, enum api_form form, struct str json, int64_t now_us)
{
    static const char *const name_path[] = { "metadata", "name" };
    struct str name = json_find_path(json, name_path, 2);
    jw_begin(b, '{');
    jw_kbegin(b, "cells", '[');
    if (!(r->flags & RES_OWN_COLUMNS))
        jw_raw(b, name.p ? name : S("\"\""));
    for (size_t i = 0; i < r->ncolumns; i++)
        cell(b, &r->columns[i], json, now_us);
    jw_end(b, ']');
    if (form == FORM_TABLE_OBJECTS) {
        jw_kraw(b, "object", json);
    } else if (form != FORM_TABLE_BARE) {
        jw_key(b, S("object"));
        form_metadata(b, json);
    }
    jw_end(b, '}');
}

void table_end(struct buf *b, struct str rv, struct str cont)
{
    jw_end(b, ']');
    jw_kbegin(b, "metadata", '{');
    jw_kstr(b, "resourceVersion", rv);
    if (cont.n)
        jw_kstr(b, "continue", cont);
    jw_end(b, '}');
    jw_end(b, '}');
}

void form_one(struct buf *b, const struct resource *r, enum api_form form, struct str json, int64_t now_us, bool with_columns)
{
    static const char *const rv_path[] = { "metadata", "resourceVersion" };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    if (form == FORM_METADATA) {
        form_metadata(b, json);
        return;
    }
    table_begin(b, with_columns ? r : NULL);
    table_row(b, r, form, json, now_us);
    table_end(b, json_str_of(json_find_path(json, rv_path, 2), &a), S(""));
}
