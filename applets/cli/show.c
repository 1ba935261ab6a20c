/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show: what get and list do: ask the server, arrange, print. Tables are the server's, without the objects where nobody asks
 * for them: a list of many is short then. A server that makes none gives objects, and the columns are our own.
 * Tests: tests/local/output.py
 */
#include "applets/cli/output.h"
#include "applets/cli/which.h"
#include "core/terminal.h"
#include "core/uri.h"
#include "crds/crds.h"
#include <stdio.h>

#define TABLE "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

struct showing {
    struct cli *c;
    const struct view *view;
    enum cli_form form;
    struct str template;
    struct buf *bodies; size_t nbodies;           /* answers; items point into them */
    struct items items;
    struct str table;                             /* the first of the answers that was a Table; p NULL: none */
};

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static bool wants_tables(const struct showing *s) { return !s->view->columns && s->form <= FORM_NAME; }

/* Of each object: nothing, its metadata, or all. */
static const char *include(void)
{
    bool meta = str_starts(cli_list.sort_by, S(".metadata.")) || str_starts(cli_list.sort_by, S("{.metadata."));
    if (cli_list.sort_by.n && !meta)
        return "Object";
    bool labels = cli_list.label_columns.n || cli_list.labels;
    return cli_list.sort_by.n || cli_list.all || cli_list.since_us || cli_list.older_us || labels ? "Metadata" : "None";
}

/* One object, or one page of a list. */
static int fetch(struct showing *s, struct str name, int64_t most, struct str token, struct kr_err *e)
{
    AUTO_BUF struct buf p = { .max = LIMIT_HTTP1_START_LINE };
    AUTO_BUF struct buf limit = { .max = 32 };
    s->bodies = xrealloc(s->bodies, (s->nbodies + 1) * sizeof *s->bodies);
    struct buf *body = &s->bodies[s->nbodies++];
    *body = (struct buf){ .max = LIMIT_KUBE_ANSWER };
    kube_path(&p, s->view->resource, name.n ? str_of(s->c->own_ns) : s->c->ns, name, NULL);
    if (cli_list.selector.n)
        uri_put_param(&p, "labelSelector", cli_list.selector);
    if (cli_list.fields.n)
        uri_put_param(&p, "fieldSelector", cli_list.fields);
    if (wants_tables(s))
        uri_put_param(&p, "includeObject", str_of(include()));
    buf_fmt(&limit, "%lld", (long long)most);
    if (most)
        uri_put_param(&p, "limit", buf_view(&limit));
    if (token.n)
        uri_put_param(&p, "continue", token);
    if (p.failed)
        return kr_fail(e, KR_TOO_LARGE, "--selector and --field-selector are longer than %d bytes", LIMIT_HTTP1_START_LINE);
    return cli_call(s->c, &(struct kube_request){ .method = "GET", .path = buf_view(&p), .accept = wants_tables(s) ? TABLE : NULL }, body, e);
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

static void take_object(struct showing *s, struct str object)
{
    if (s->view->expand)
        s->view->expand(&s->items, object);
    else
        items_add(&s->items, object, (struct str){ 0 });
}

static void take(struct showing *s, struct str body)
{
    struct str rows = json_find(body, "rows"), list = json_find(body, "items");
    struct json_cur cur = json_begin(rows.p ? rows : list);
    if (!rows.p && !list.p) {
        take_object(s, body);
        return;
    }
    if (rows.p && !s->table.p)
        s->table = body;
    if (json_kind(&cur) != JSON_ARRAY)
        return;
    json_enter(&cur);
    while (json_item(&cur)) {
        struct str one = json_raw(&cur);
        if (rows.p)
            items_add(&s->items, json_find(one, "object"), json_find(one, "cells"));
        else
            take_object(s, one);
    }
}

static void forget(struct showing *s)
{
    for (size_t i = 0; i < s->nbodies; i++)
        buf_free(&s->bodies[i]);
    s->nbodies = 0;
    s->table = (struct str){ 0 };
    items_free(&s->items);
}

/* Page by page. Where the server has forgotten the version that the pages are of, all is asked for anew and at once. */
static int gather_all(struct showing *s, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    struct str token = S("");
    int64_t most = cli_list.chunk;
    do {
        if (fetch(s, S(""), most, token, e) < 0) {
            if (e->code != KR_EXPIRED || !token.n)
                return -1;
            *e = (struct kr_err){ 0 };
            forget(s);
            most = 0;
            token = S("");
            continue;
        }
        struct str body = buf_view(&s->bodies[s->nbodies - 1]);
        take(s, body);
        if (kube_next_page(body, token, s->view->resource, &a, &token, e) < 0)
            return -1;
    } while (token.n || !s->nbodies);
    return 0;
}

/* What isn't there doesn't keep the others from being shown; the first such error is the command's. */
static int gather(struct showing *s, const struct str *names, size_t n, struct kr_err *e)
{
    int rc = 0;
    if (!n)
        return gather_all(s, e);
    for (size_t i = 0; i < n; i++) {
        struct kr_err one = { 0 };
        if (fetch(s, names[i], 0, S(""), &one) == 0) {
            take(s, buf_view(&s->bodies[s->nbodies - 1]));
        } else {
            if (rc < 0)
                terminal_say("%s\n", one.msg);
            else
                *e = one;
            rc = -1;
            if (one.code != KR_NOT_FOUND)
                break;
        }
    }
    return rc;
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

/* A kind's printer columns, as a view has them. */
static void own_columns(const struct kube_resource *r, struct view_column v[TABLE_COLUMNS])
{
    const struct model_type *type = crd_find(str_of(r->plural));
    size_t n = 0;
    v[n++] = (struct view_column){ .name = "Name", .path = ".metadata.name" };
    for (const struct model_column *c = type ? type->columns : NULL; c && c->name && n < TABLE_COLUMNS - 1; c++)
        v[n++] = (struct view_column){ c->name, c->path, strcmp(c->type, "date") ? CELL_TEXT : CELL_AGE, c->wide };
    v[n] = (struct view_column){ 0 };
}

int output_columns(struct table *t, const struct view *view, enum cli_form form, struct str template, struct kr_err *e)
{
    struct view_column own[TABLE_COLUMNS];
    struct view v = *view;
    if (form == FORM_COLUMNS)
        return table_of_text(t, template, e);
    own_columns(view->resource, own);
    v.columns = view->columns ? view->columns : own;
    return table_of_view(t, &v, form == FORM_WIDE, e) < 0 ? -1 : table_label_columns(t, e);
}

static int print(struct showing *s, bool single, struct kr_err *e)
{
    AUTO_BUF struct buf out = { .max = 4 * (size_t)LIMIT_KUBE_ANSWER };
    struct table t = { 0 };
    int rc;
    if (s->form >= FORM_NAME && s->form <= FORM_JSONPATH) {
        rc = output_print(s->view, s->form, s->template, &s->items, single, &out, e);
    } else {
        rc = s->table.p ? table_of_server(&t, s->table, s->form == FORM_WIDE, e) : output_columns(&t, s->view, s->form, s->template, e);
        if (rc == 0 && s->table.p)
            rc = table_label_columns(&t, e);
        if (rc == 0)
            rc = table_print(&t, &s->items, cli_list.headers, NULL, loop_wall_us(s->c->loop), &out, e);
        table_done(&t);
    }
    return rc < 0 ? -1 : cli_print(buf_view(&out), e);
}

static int show(struct showing *s, const struct str *names, size_t n, struct kr_err *e)
{
    struct kr_err missing = { 0 };
    int lost = gather(s, names, n, &missing);
    if (lost < 0 && !s->items.n)
        return *e = missing, -1;
    if (items_arrange(&s->items, s->view->time_path, loop_wall_us(s->c->loop), e) < 0)
        return -1;
    if (!s->items.n && s->form != FORM_JSON && s->form != FORM_YAML && s->form != FORM_JSONPATH)
        fprintf(stderr, "no %s found%s%.*s\n", s->view->plural, s->c->ns.n && !n ? " in namespace " : "", n ? 0 : (int)s->c->ns.n, s->c->ns.p);
    else if (print(s, n == 1 && !s->view->expand, e) < 0)
        return -1;
    *e = missing;
    return lost;
}

static int check(size_t n, enum cli_form form, struct kr_err *e)
{
    bool table = form == FORM_TABLE || form == FORM_WIDE || form == FORM_COLUMNS;
    if (n && (cli_list.all || cli_list.selector.n || cli_list.fields.n || cli_list.phases.n || cli_list.has_chunk))
        return kr_fail(e, KR_USAGE, "names don't go together with --all-namespaces, --selector, --field-selector, --phase or --chunk-size");
    if ((cli_list.label_columns.n || cli_list.labels) && (!table || form == FORM_COLUMNS))
        return kr_fail(e, KR_USAGE, "--label-columns and --show-labels are for tables: they don't go together with this --output");
    if (!cli_list.headers && !table)
        return kr_fail(e, KR_USAGE, "--no-headers is for tables: it doesn't go together with this --output");
    if (cli_list.watch && cli_list.sort_by.n)
        return kr_fail(e, KR_USAGE, "--watch shows things as they come: it doesn't go together with --sort-by");
    if (cli_list.watch && cli_list.has_chunk)
        return kr_fail(e, KR_USAGE, "--chunk-size is for lists: it doesn't go together with --watch");
    if (cli_list.events && !cli_list.watch)
        return kr_fail(e, KR_USAGE, "--output-watch-events goes together with --watch");
    if (cli_list.events && (form == FORM_NAME || form == FORM_JSONPATH))
        return kr_fail(e, KR_USAGE, "--output-watch-events is for tables, JSON and YAML");
    return 0;
}

int cli_show_view(struct cli *c, const struct view *v, const struct str *names, size_t n, struct kr_err *e)
{
    struct showing s = { .c = c, .view = v, .items = { .arena = { .limit = 4 * (size_t)LIMIT_KUBE_ANSWER } } };
    if (cli_form(cli_list.output, &s.form, &s.template, e) < 0 || check(n, s.form, e) < 0 || cli_phases(v->resource, e) < 0)
        return -1;
    if (cli_list.watch)
        return cli_watch(c, v, s.form, s.template, names, n, e);
    int rc = show(&s, names, n, e);
    forget(&s);
    free(s.bodies);
    return rc;
}

const char *const made_at[2] = { "metadata", "creationTimestamp" };

int cli_show(struct cli *c, const struct kube_resource *r, const struct str *names, size_t n, struct kr_err *e)
{
    char form[96];
    size_t at = 0;
    for (; at < 48 && r->kind[at]; at++)
        form[at] = (char)(r->kind[at] >= 'A' && r->kind[at] <= 'Z' ? r->kind[at] - 'A' + 'a' : r->kind[at]);
    snprintf(form + at, sizeof form - at, "%s%s", *r->group ? "." : "", r->group);
    return cli_show_view(c, &(struct view){ .resource = r, .plural = r->plural, .name_form = form, .time_path = made_at }, names, n, e);
}
