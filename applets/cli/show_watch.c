/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show_watch: get and list with --watch: what is there, then each change as it comes, over breaks of the connection, until
 * somebody interrupts it. Rows are made here, from the objects: a watch of the server's tables ends with its connection.
 * Tests: tests/local/output.py
 */
#include "applets/cli/output.h"
#include "core/map.h"
#include "core/terminal.h"
#include "k8s/informer.h"
#include <stdio.h>

struct watching {
    struct cli *c;
    const struct view *view;
    enum cli_form form;
    struct str template;
    struct table table;
    struct items begun;                           /* until all first lists are complete; texts on its arena */
    struct map known;                             /* keys that were shown; of an expanding view the texts. The values are the keys, owned */
    size_t lists, complete;
    bool shown, headed, over;
    struct kr_err e;
    char told[LIMIT_ERR_MESSAGE];
};

static void stop(struct watching *w, const struct kr_err *e)
{
    if (!w->over)
        w->e = *e;
    w->over = true;
}

/* True the first time. */
static bool is_new(struct watching *w, struct str key)
{
    if (map_get(&w->known, key))
        return false;
    char *own = xstrndup(key.p, key.n);
    map_put(&w->known, (struct str){ own, key.n }, own);
    return true;
}

static void forget_all(struct watching *w)
{
    size_t at = 0;
    for (void *own; (own = map_next(&w->known, &at));)
        free(own);
    map_free(&w->known);
}

/* A JSON document around the object that says what happened to it. */
static struct str with_event(struct items *l, struct str object, const char *event)
{
    return arena_fmt(&l->arena, "{\"type\":\"%s\",\"object\":%.*s}", event, SFMT(object));
}

static int print_objects(struct watching *w, struct items *l, const char *event, struct buf *out, struct kr_err *e)
{
    for (size_t i = 0; i < l->n; i++) {           /* each a document of its own */
        struct items one = { .v = &l->v[i], .n = 1 };
        if (cli_list.events)
            l->v[i].object = with_event(l, l->v[i].object, event);
        if (w->form == FORM_YAML && (i || w->shown))
            buf_lit(out, "---\n");
        if (output_print(w->view, w->form, w->template, &one, true, out, e) < 0)
            return -1;
        if (w->form == FORM_JSONPATH && out->n && out->p[out->n - 1] != '\n')
            buf_byte(out, '\n');
    }
    return 0;
}

static void print(struct watching *w, struct items *l, const char *event)
{
    AUTO_BUF struct buf out = { .max = 4 * (size_t)LIMIT_KUBE_ANSWER };
    struct kr_err e = { 0 };
    bool table = w->form == FORM_TABLE || w->form == FORM_WIDE || w->form == FORM_COLUMNS;
    if (!l->n || w->over)
        return;
    int rc = table ? table_print(&w->table, l, !w->headed && cli_list.headers, event, loop_wall_us(w->c->loop), &out, &e)
                   : print_objects(w, l, event, &out, &e);
    if (rc < 0 || cli_print(buf_view(&out), &e) < 0)
        stop(w, &e);
    w->headed = w->shown = true;
}

static bool take(struct watching *w, struct items *l, struct str json)
{
    struct str own = arena_str(&l->arena, json);
    size_t before = l->n, kept = before;
    if (w->view->expand)
        w->view->expand(l, own);
    else
        items_add(l, own, (struct str){ 0 });
    for (size_t i = before; i < l->n; i++)
        if (item_is_recent(&l->v[i], w->view->time_path, loop_wall_us(w->c->loop)) && (!w->view->expand || is_new(w, l->v[i].object)))
            l->v[kept++] = l->v[i];
    l->n = kept;
    return l->n > before;
}

static void change(struct watching *w, struct str json, const char *event)
{
    struct items one = { .arena = { .limit = 3 * (size_t)LIMIT_KUBE_LINE } };
    if (take(w, &one, json))
        print(w, &one, event);
    items_free(&one);
}

struct source { struct watching *w; struct informer *informer; bool complete; };

static void on_set(void *ctx, struct str key, struct str json)
{
    struct source *s = ctx;
    bool first = cli_list.events && !s->w->view->expand && is_new(s->w, key);
    if (!s->w->shown)
        take(s->w, &s->w->begun, json);
    else
        change(s->w, json, first || s->w->view->expand ? "ADDED" : "MODIFIED");
}

static void on_gone(void *ctx, struct str key, struct str json)
{
    struct source *s = ctx;
    free(map_del(&s->w->known, key));
    if (json.p && !s->w->view->expand)            /* what a Run left isn't told of once more when that goes */
        change(s->w, json, "DELETED");
}

static void on_synced(void *ctx)
{
    struct source *s = ctx;
    struct watching *w = s->w;
    w->complete += !s->complete;
    s->complete = true;
    if (w->complete < w->lists || w->shown)
        return;
    if (!w->begun.n)
        fprintf(stderr, "no %s yet\n", w->view->plural);
    print(w, &w->begun, "ADDED");
    w->shown = true;
    items_free(&w->begun);
}

static void on_trouble(void *ctx, const struct kr_err *e)
{
    struct source *s = ctx;
    struct watching *w = s->w;
    if (!s->complete) {
        stop(w, e);
    } else if (strcmp(w->told, e->msg)) {
        snprintf(w->told, sizeof w->told, "%s", e->msg);
        terminal_say("%s\n", e->msg);
    }
}

static bool is_over(void *ctx) { return ((struct watching *)ctx)->over; }

int cli_watch(struct cli *c, const struct view *v, enum cli_form form, struct str template, const struct str *names, size_t n, struct kr_err *e)
{
    struct watching w = { .c = c, .view = v, .form = form, .template = template, .lists = n ? n : 1,
                          .begun = { .arena = { .limit = 4 * (size_t)LIMIT_KUBE_ANSWER } } };
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    if (cli_list.events)
        table_event_column(&w.table);
    if (output_columns(&w.table, v, form, template, e) < 0)
        return -1;
    struct source *sources = xcalloc(w.lists, sizeof *sources);
    for (size_t i = 0; i < w.lists; i++) {
        struct str fields = n ? arena_fmt(&a, "metadata.name=%.*s", SFMT(names[i])) : cli_list.fields;
        sources[i].w = &w;
        sources[i].informer = informer_new(c->kube, &(struct informer_config){
            .resource = v->resource, .ns = n ? str_of(c->own_ns) : c->ns, .labels = cli_list.selector, .fields = fields,
            .user = { .set = on_set, .gone = on_gone, .synced = on_synced, .trouble = on_trouble, .ctx = &sources[i] } }, &c->rnd);
    }
    int status = loop_run_until(c->loop, is_over, &w, INT64_MAX);
    for (size_t i = 0; i < w.lists; i++)
        informer_free(sources[i].informer);
    free(sources);
    items_free(&w.begun);
    forget_all(&w);
    table_done(&w.table);
    if (w.e.code)
        return *e = w.e, -1;
    return status ? kr_fail(e, KR_CANCELLED, "interrupted") : 0;
}
