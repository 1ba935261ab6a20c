/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table: aligned columns. Cells come from the server's Table, or by paths from objects; both may meet in one table. Control
 * characters of a cell are shown escaped: a line is one object, and nothing in it moves a terminal's cursor.
 * Tests: tests/local/output.py
 */
#include "applets/cli/output.h"
#include "core/terminal.h"
#include "k8s/selector.h"
#include <stdio.h>

static struct table_column *add_column(struct table *t, struct str name)
{
    static struct table_column spare;             /* what is beyond the bound is left out */
    struct table_column *c = t->n < TABLE_COLUMNS ? &t->v[t->n++] : &spare;
    char *p = arena_copy(&t->arena, name.p, name.n);
    for (size_t i = 0; p && i < name.n; i++)
        if (p[i] >= 'a' && p[i] <= 'z')
            p[i] = (char)(p[i] - 'a' + 'A');
    *c = (struct table_column){ .name = { p, p ? name.n : 0 } };
    return c;
}

void table_done(struct table *t) { arena_reset(&t->arena); }

void table_event_column(struct table *t)
{
    t->arena.limit = 1 << 20;
    add_column(t, S("event"))->from = FROM_EVENT;
}

static void begin(struct table *t)
{
    t->arena.limit = 1 << 20;
    if (cli_list.all)
        add_column(t, S("namespace"))->from = FROM_NAMESPACE;
}

int table_of_server(struct table *t, struct str table, bool wide, struct kr_err *e)
{
    begin(t);
    const struct json *list = json_parse(&t->arena, json_find(table, "columnDefinitions"), e), *c = json_first(list);
    for (size_t i = 0; c; c = json_next(c), i++) {
        int64_t priority = 0;
        json_int(json_get(c, "priority"), &priority);
        if (wide || !priority)
            add_column(t, json_string(json_get(c, "name")))->cell = i;
    }
    return list ? 0 : -1;
}

static int add_label(struct table *t, struct str key, struct kr_err *e)
{
    struct str name = key;
    for (ptrdiff_t slash; (slash = str_chr(name, '/')) >= 0;)
        name = str_from(name, (size_t)slash + 1);
    if (!label_key_ok(key))
        return kr_fail(e, KR_USAGE, "--label-columns: \"%.*s\" is no label", SFMT(key));
    if (t->n == TABLE_COLUMNS)
        return kr_fail(e, KR_USAGE, "--label-columns: a table has at most %d columns", TABLE_COLUMNS);
    struct table_column *c = add_column(t, name);
    c->from = FROM_LABEL;
    c->label = key;
    return 0;
}

int table_label_columns(struct table *t, struct kr_err *e)
{
    for (size_t i = 0; i < cli_list.label_columns.n; i++) {
        struct str rest = cli_list.label_columns.v[i];
        do {
            if (add_label(t, str_cut(&rest, ','), e) < 0)
                return -1;
        } while (rest.n);
    }
    if (cli_list.labels)
        add_column(t, S("labels"))->from = FROM_LABELS;
    return 0;
}

static int add_path(struct table *t, struct str name, struct str path, enum cell_how how, struct kr_err *e)
{
    struct table_column *c = add_column(t, name);
    c->from = FROM_PATH;
    c->how = how;
    c->path = jsonpath_parse_column(&t->arena, path, e);
    return c->path ? 0 : -1;
}

int table_of_view(struct table *t, const struct view *v, bool wide, struct kr_err *e)
{
    begin(t);
    for (const struct view_column *c = v->columns; c->name; c++)
        if ((wide || !c->wide) && add_path(t, str_of(c->name), str_of(c->path), c->how, e) < 0)
            return -1;
    return 0;
}

int table_of_text(struct table *t, struct str text, struct kr_err *e)
{
    begin(t);
    t->absent = S("<none>");
    if (!text.n)
        return kr_fail(e, KR_USAGE, "--output: custom-columns= needs HEADING:PATH,…");
    while (text.p) {
        struct str path = str_cut(&text, ','), name;
        while (text.p && str_find(path, S("[")) >= 0 && str_chr(path, ']') < 0) {          /* a comma of a union or filter */
            struct str more = str_cut(&text, ',');
            path.n = (size_t)(more.p + more.n - path.p);
        }
        name = str_cut(&path, ':');
        if (!name.n || !path.n)
            return kr_fail(e, KR_USAGE, "--output: custom-columns: \"%.*s\" is not HEADING:PATH", SFMT(name));
        if (add_path(t, name, path, CELL_TEXT, e) < 0)
            return e->code = KR_USAGE, kr_wrap(e, "--output: %.*s", SFMT(name));
    }
    return 0;
}

/* ---- cells ------------------------------------------------------------------------------------------------------- */

static void put_text(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\n')
            buf_lit(b, "\\n");
        else if (s.p[i] == '\t')
            buf_byte(b, ' ');
        else if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
            buf_fmt(b, "^%c", s.p[i] ^ 64);
        else
            buf_byte(b, s.p[i]);
}

static void put_raw(struct buf *b, struct str raw, struct arena *a)
{
    if (!raw.n || str_is(raw, "null"))
        return;
    put_text(b, *raw.p == '"' ? json_str_of(raw, a) : raw);
}

static void put_path(struct buf *b, const struct table_column *c, const struct json *root, int64_t wall_us)
{
    AUTO_BUF struct buf text = { .max = 1 << 20 };
    char age[AGE_TEXT];
    int64_t then;
    if (root)
        jsonpath_print_column(c->path, root, &text);
    if (c->how == CELL_DIGEST && text.n) {
        struct str digits = str_from(buf_view(&text), (size_t)(str_chr(buf_view(&text), ':') + 1));
        put_text(b, (struct str){ digits.p, digits.n < 12 ? digits.n : 12 });
    } else if (c->how != CELL_AGE) {
        put_text(b, buf_view(&text));
    } else if (time_parse(buf_view(&text), &then)) {
        age_print(age, (wall_us - then) / 1000000);
        buf_lit(b, age);
    } else {
        buf_lit(b, "<unknown>");
    }
}

struct row { const struct item *item; struct str cells[TABLE_COLUMNS]; const struct json *root; size_t ncells; const char *event; };

static void open_row(struct row *r, const struct table *t, struct arena *a)
{
    struct kr_err ignored = { 0 };
    struct json_cur cur = json_begin(r->item->cells);
    bool paths = false;
    for (size_t i = 0; i < t->n; i++)
        paths |= t->v[i].from == FROM_PATH;
    if (paths)
        r->root = json_parse(a, r->item->object, &ignored);
    if (!r->item->cells.p)
        return;
    json_enter(&cur);
    while (json_item(&cur)) {
        struct str raw = json_raw(&cur);
        if (r->ncells < TABLE_COLUMNS)
            r->cells[r->ncells++] = raw;
    }
}

/* What an object stands for says it itself. */
static struct str namespace_of(const struct item *i)
{
    static const char *const path[] = { "metadata", "namespace" };
    struct str ns = json_find_path(i->object, path, 2);
    return ns.p ? ns : json_find(i->object, "namespace");
}

/* "a=b,c=d". A label's key and value have no character that would have to be escaped. */
static void put_labels(struct buf *b, struct str object, struct str key)
{
    static const char *const path[] = { "metadata", "labels" };
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct str labels = json_find_path(object, path, 2), name;
    struct json_cur cur = json_begin(labels);
    size_t before = b->n;
    if (labels.p && json_kind(&cur) == JSON_OBJECT)
        for (json_enter(&cur); json_member(&cur, &a, &name);) {
            struct str value = json_str_of(json_raw(&cur), &a);
            if (!key.n)
                buf_fmt(b, "%s%.*s=", b->n > before ? "," : "", SFMT(name));
            if (!key.n || str_eq(name, key))
                put_text(b, value);
        }
    if (b->n == before)
        buf_lit(b, "<none>");
}

static void put_cell(struct buf *b, const struct table *t, const struct table_column *c, const struct row *r, struct arena *a, int64_t wall_us)
{
    size_t before = b->n;
    if (c->from == FROM_EVENT)
        buf_lit(b, r->event ? r->event : "");
    else if (c->from == FROM_PATH)
        put_path(b, c, r->root, wall_us);
    else if (c->from == FROM_LABEL || c->from == FROM_LABELS)
        put_labels(b, r->item->object, c->label);
    else
        put_raw(b, c->from == FROM_NAMESPACE ? namespace_of(r->item) : c->cell < r->ncells ? r->cells[c->cell] : S(""), a);
    if (b->n == before)
        buf_str(b, t->absent);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void put_line(struct buf *out, const struct table *t, const struct buf *text, const size_t *ends)
{
    for (size_t c = 0, from = 0; c < t->n; from = ends[c++]) {
        struct str s = { text->p + from, ends[c] - from };
        buf_str(out, s);
        if (c + 1 == t->n)
            break;
        for (size_t pad = str_runes(s); pad < t->width[c] + 3; pad++)
            buf_byte(out, ' ');
    }
    buf_byte(out, '\n');
}

static void widen(struct table *t, const struct buf *text, size_t from, const size_t *ends)
{
    for (size_t c = 0; c < t->n; from = ends[c++]) {
        size_t n = str_runes((struct str){ text->p + from, ends[c] - from });
        t->width[c] = n > t->width[c] ? n : t->width[c];
    }
}

int table_print(struct table *t, const struct items *l, bool headings, const char *event, int64_t wall_us, struct buf *out, struct kr_err *e)
{
    AUTO_BUF struct buf text = { .max = 2 * (size_t)LIMIT_KUBE_ANSWER };
    AUTO_ARENA struct arena a = { .limit = 64 << 20 };
    AUTO_FREE size_t *ends = xcalloc((l->n + 1) * (t->n + 1), sizeof *ends);
    size_t rows = 0;
    for (size_t r = 0; r < l->n + headings; r++) {
        struct row row = { .item = r < headings ? NULL : &l->v[r - headings], .event = event };
        struct arena_mark mark = arena_mark(&a);
        size_t before = text.n, *own = &ends[rows++ * t->n];
        if (row.item)
            open_row(&row, t, &a);
        for (size_t c = 0; c < t->n; own[c++] = text.n)
            if (row.item)
                put_cell(&text, t, &t->v[c], &row, &a, wall_us);
            else
                buf_str(&text, t->v[c].name);
        widen(t, &text, before, own);
        for (size_t c = 0; c < t->n; c++)
            own[c] -= before;
        arena_rewind(&a, mark);
    }
    for (size_t r = 0, from = 0; r < rows && !text.failed; r++) {
        struct buf line = { .p = text.p + from, .n = text.n - from };
        put_line(out, t, &line, &ends[r * t->n]);
        from += t->n ? ends[r * t->n + t->n - 1] : 0;
    }
    return out->failed || text.failed ? kr_fail(e, KR_TOO_LARGE, "the table is larger than %zu bytes", out->max) : 0;
}

int cli_print(struct str text, struct kr_err *e)
{
    AUTO_BUF struct buf shown = { 0 };
    return applet_print(terminal_text(1, text, &shown), e);
}
