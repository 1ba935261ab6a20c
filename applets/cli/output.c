/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output: objects as names, JSON, YAML, or by a path template. Tables are in table.c. Tests: tests/local/output.py
 */
#include "applets/cli/output.h"
#include "core/yaml.h"

/* Bookkeeping of the server, longer than many an object; kubectl doesn't show it either. */
static void hide_managers(struct json *object) { json_del(json_get(object, "metadata"), S("managedFields")); }

/* "run.kruntimes.io/", by what the object says it is. */
static void put_kind(struct buf *b, const struct json *o)
{
    struct str kind = json_string(json_get(o, "kind")), rest = json_string(json_get(o, "apiVersion")), group = str_cut(&rest, '/');
    for (size_t i = 0; i < kind.n; i++)
        buf_byte(b, (char)(kind.p[i] >= 'A' && kind.p[i] <= 'Z' ? kind.p[i] - 'A' + 'a' : kind.p[i]));
    if (rest.n)
        buf_fmt(b, ".%.*s", SFMT(group));
    buf_byte(b, '/');
}

static int put_names(struct buf *b, const struct view *v, const struct items *l, struct kr_err *e)
{
    for (size_t i = 0; i < l->n; i++) {
        AUTO_ARENA struct arena a = { .limit = 64 << 20 };
        struct json_cur cell = json_begin(l->v[i].cells);
        if (v->name_form)
            buf_fmt(b, "%s/", v->name_form);
        if (l->v[i].cells.p) {                    /* of a table the name is the first */
            json_enter(&cell);
            buf_str(b, json_item(&cell) ? json_text(&cell, &a) : S(""));
        } else {
            const struct json *o = json_parse(&a, l->v[i].object, e);
            if (!o)
                return -1;
            if (!v->name_form)
                put_kind(b, o);
            if (v->put_name)
                v->put_name(b, o);
            else
                buf_str(b, json_string(json_get(json_get(o, "metadata"), "name")));
        }
        buf_byte(b, '\n');
    }
    return 0;
}

/* One after the other, so that no tree of all is made. */
static int put_json(struct buf *b, const struct items *l, bool single, struct kr_err *e)
{
    AUTO_BUF struct buf all = { .max = LIMIT_KUBE_ANSWER };
    if (!single)
        buf_lit(&all, "{\"apiVersion\":\"v1\",\"items\":[");
    for (size_t i = 0; i < l->n; i++) {
        AUTO_ARENA struct arena a = { .limit = 64 << 20 };
        AUTO_BUF struct buf one = { .max = LIMIT_KUBE_ANSWER };
        struct json *o = json_parse(&a, l->v[i].object, e);
        if (!o)
            return -1;
        hide_managers(o);
        json_print(&one, o);
        buf_lit(&all, i ? "," : "");
        buf_str(&all, buf_view(&one));
    }
    if (!single)
        buf_lit(&all, "],\"kind\":\"List\"}");
    json_indent(b, buf_view(&all));
    buf_byte(b, '\n');
    return all.failed ? kr_fail(e, KR_TOO_LARGE, "what is shown is larger than %d bytes", LIMIT_KUBE_ANSWER) : 0;
}

/* One tree of all: templates and YAML want it. */
static struct json *tree_of(const struct items *l, bool single, bool managers, struct arena *a, struct kr_err *e)
{
    struct json *root = json_new_object(a), *list = json_new_array(a), *o = NULL;
    for (size_t i = 0; i < l->n; i++) {
        if (!(o = json_parse(a, l->v[i].object, e)))
            return NULL;
        if (!managers)
            hide_managers(o);
        if (!single)
            json_append(list, o);
    }
    if (single)
        return o;
    json_set(a, root, S("apiVersion"), json_new_str(a, S("v1")));
    json_set(a, root, S("items"), list);
    json_set(a, root, S("kind"), json_new_str(a, S("List")));
    return root;
}

static int put_template(struct buf *b, struct str template, const struct json *root, struct arena *a, struct kr_err *e)
{
    struct jsonpath *path = jsonpath_parse(a, template, e);
    if (path && jsonpath_print(path, root, b, e) == 0)
        return 0;
    if (!path)
        e->code = KR_USAGE;
    return kr_wrap(e, "--output");
}

int output_print(const struct view *v, enum cli_form form, struct str template, const struct items *l, bool single, struct buf *out, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 4 * (size_t)LIMIT_KUBE_ANSWER };
    single = single && l->n == 1;
    int rc;
    if (form == FORM_NAME || form == FORM_JSON) {
        rc = form == FORM_NAME ? put_names(out, v, l, e) : put_json(out, l, single, e);
    } else {
        const struct json *root = tree_of(l, single, form == FORM_JSONPATH, &a, e);
        rc = root ? 0 : -1;
        if (root && form == FORM_YAML)
            yaml_print(out, root);
        else if (root)
            rc = put_template(out, template, root, &a, e);
    }
    if (rc == 0 && out->failed)
        rc = kr_fail(e, KR_TOO_LARGE, "what is shown is larger than %zu bytes", out->max);
    return rc;
}
