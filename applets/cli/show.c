/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show: objects as tables (made by the server), names, JSON, YAML, or by a path template.
 */
#include "applets/cli/cli.h"
#include "core/uri.h"
#include "core/yaml.h"
#include "k8s/jsonpath.h"
#include <stdio.h>

#define TABLE "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
enum { MAX_COLUMNS = 24 };

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static struct str cell_text(struct arena *a, const struct json *cell)
{
    if (json_is(cell, JSON_STRING))
        return json_string(cell);
    if (!cell || json_is(cell, JSON_NULL))
        return S("");
    AUTO_BUF struct buf b = { .max = 65536 };
    json_print(&b, cell);
    return arena_str(a, buf_view(&b));
}

struct grid { struct str *cells; size_t columns, rows, cap; size_t width[MAX_COLUMNS]; struct arena *a; };

static void put_cell(struct grid *g, size_t column, struct str s)
{
    if (g->rows * g->columns + g->columns > g->cap) {
        g->cap = g->cap ? g->cap * 2 : 64 * g->columns;
        g->cells = xrealloc(g->cells, g->cap * sizeof *g->cells);
    }
    g->cells[g->rows * g->columns + column] = s;
    size_t n = str_runes(s);
    if (n > g->width[column])
        g->width[column] = n;
}

static void print_grid(const struct grid *g, struct buf *b)
{
    for (size_t r = 0; r < g->rows; r++)
        for (size_t c = 0; c < g->columns; c++) {
            struct str s = g->cells[r * g->columns + c];
            buf_str(b, s);
            if (c + 1 == g->columns) {
                buf_byte(b, '\n');
                continue;
            }
            for (size_t pad = g->width[c] + 3 - str_runes(s); pad; pad--)
                buf_byte(b, ' ');
        }
}

static struct str upper(struct arena *a, struct str s)
{
    char *p = arena_copy(a, s.p, s.n);
    for (size_t i = 0; p && i < s.n; i++)
        if (p[i] >= 'a' && p[i] <= 'z')
            p[i] = (char)(p[i] - 'a' + 'A');
    return (struct str){ p, s.n };
}

static int cli_print_table(struct str table, bool wide, bool with_ns, bool header, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_KUBE_ANSWER };
    AUTO_BUF struct buf out = { .max = LIMIT_KUBE_ANSWER };
    static const char *const ns_path[] = { "object", "metadata", "namespace" };
    struct json *t = json_parse(&a, table, e);
    bool take[MAX_COLUMNS] = { false };
    size_t n = 0, i = 0;
    if (!t)
        return -1;
    struct grid g = { .columns = with_ns, .a = &a };
    for (struct json *c = json_first(json_get(t, "columnDefinitions")); c && n < MAX_COLUMNS - 1; c = json_next(c), n++) {
        int64_t priority = 0;
        json_int(json_get(c, "priority"), &priority);
        take[n] = wide || !priority;
        g.columns += take[n];
    }
    if (with_ns)
        put_cell(&g, 0, S("NAMESPACE"));
    size_t at = with_ns;
    for (struct json *c = json_first(json_get(t, "columnDefinitions")); c && i < n; c = json_next(c), i++)
        if (take[i])
            put_cell(&g, at++, upper(&a, json_string(json_get(c, "name"))));
    g.rows = header;
    for (struct json *r = json_first(json_get(t, "rows")); r; r = json_next(r)) {
        at = with_ns;
        i = 0;
        if (with_ns)
            put_cell(&g, 0, json_string(json_get_path(r, ns_path, 3)));
        for (struct json *c = json_first(json_get(r, "cells")); c && i < n; c = json_next(c), i++)
            if (take[i])
                put_cell(&g, at++, cell_text(&a, c));
        g.rows++;
    }
    print_grid(&g, &out);
    free(g.cells);
    return applet_print(buf_view(&out), e);
}

/* ---- other forms ------------------------------------------------------------------------------------------------- */

static void put_names(struct buf *b, const struct kube_resource *r, const struct json *root)
{
    const struct json *items = json_get(root, "items");
    char kind[64];
    size_t n = 0;
    for (; r->kind[n] && n < sizeof kind - 1; n++)
        kind[n] = (char)(r->kind[n] >= 'A' && r->kind[n] <= 'Z' ? r->kind[n] - 'A' + 'a' : r->kind[n]);
    kind[n] = '\0';
    for (const struct json *i = items ? json_first(items) : root; i; i = items ? json_next(i) : NULL)
        buf_fmt(b, "%s.%s/%.*s\n", kind, r->group, SFMT(json_string(json_get(json_get(i, "metadata"), "name"))));
}

/* Bookkeeping of the server, longer than many an object; kubectl doesn't show it either. */
static void hide_managers(struct json *root)
{
    struct json *items = json_get(root, "items");
    for (struct json *i = items ? json_first(items) : root; i; i = items ? json_next(i) : NULL)
        json_del(json_get(i, "metadata"), S("managedFields"));
}

static int print_form(const struct kube_resource *r, enum cli_form form, struct str template, struct str body, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_KUBE_ANSWER };
    AUTO_BUF struct buf out = { .max = LIMIT_KUBE_ANSWER };
    struct json *root = json_parse(&a, body, e);
    if (!root)
        return -1;
    if (form == FORM_YAML || form == FORM_JSON)
        hide_managers(root);
    if (form == FORM_NAME) {
        put_names(&out, r, root);
    } else if (form == FORM_YAML) {
        yaml_print(&out, root);
    } else if (form == FORM_JSON) {
        json_print(&out, root);
        buf_byte(&out, '\n');
    } else {
        struct jsonpath *path = jsonpath_parse(&a, template, e);
        if (!path || jsonpath_print(path, root, &out, e) < 0)
            return kr_wrap(e, "--output");
    }
    return applet_print(buf_view(&out), e);
}

/* ---- getting ----------------------------------------------------------------------------------------------------- */

static int fetch(struct cli *c, const struct kube_resource *r, struct str name, const char *accept, struct buf *body, struct kr_err *e)
{
    AUTO_BUF struct buf p = { .max = LIMIT_HTTP1_START_LINE };
    kube_path(&p, r, name.n ? str_of(c->own_ns) : c->ns, name, NULL);
    if (!name.n && cli_selector().n)
        uri_put_param(&p, "labelSelector", cli_selector());
    return cli_call(c, &(struct kube_request){ .method = "GET", .path = buf_view(&p), .accept = accept }, body, e);
}

/* The items of several answers in one v1 List. */
static int fetch_many(struct cli *c, const struct kube_resource *r, const struct str *names, size_t n, struct buf *list, struct kr_err *e)
{
    buf_lit(list, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[");
    for (size_t i = 0; i < n; i++) {
        AUTO_BUF struct buf one = { .max = LIMIT_KUBE_ANSWER };
        if (fetch(c, r, names[i], NULL, &one, e) < 0)
            return -1;
        buf_lit(list, i ? "," : "");
        buf_str(list, buf_view(&one));
    }
    buf_lit(list, "]}");
    return 0;
}

int cli_show(struct cli *c, const struct kube_resource *r, const struct str *names, size_t n, struct kr_err *e)
{
    enum cli_form form;
    struct str template;
    if (cli_form(&form, &template, e) < 0)
        return -1;
    if (n && cli_all_namespaces())
        return kr_fail(e, KR_USAGE, "names and --all-namespaces don't go together");
    AUTO_BUF struct buf body = { .max = LIMIT_KUBE_ANSWER };
    if (form > FORM_WIDE) {
        int rc = n > 1 ? fetch_many(c, r, names, n, &body, e) : fetch(c, r, n ? names[0] : S(""), NULL, &body, e);
        return rc < 0 ? -1 : print_form(r, form, template, buf_view(&body), e);
    }
    for (size_t i = 0; i < (n ? n : 1); i++) {
        buf_clear(&body);
        if (fetch(c, r, n ? names[i] : S(""), TABLE, &body, e) < 0)
            return -1;
        if (!n && str_find(buf_view(&body), S("\"rows\":[]")) >= 0) {
            fprintf(stderr, "no %s found%s%.*s\n", r->plural, c->ns.n ? " in namespace " : "", SFMT(c->ns));
            return 0;
        }
        if (cli_print_table(buf_view(&body), form == FORM_WIDE, cli_all_namespaces(), i == 0, e) < 0)
            return -1;
    }
    return 0;
}
