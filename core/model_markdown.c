/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_markdown: a kind's part of the reference page: one table row a field, from the same tables as the CRD, so that
 * the page can't say what the server doesn't do. Rules are told by their messages, not by their expressions.
 */
#include "core/model_crd.h"

static void fields(struct buf *, const struct model_object *, struct str path);

/* Text of a cell: a bar would end it, and what looks like markup is none. */
static void cell(struct buf *b, struct str s, bool plain)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!plain && strchr("|<>*", s.p[i]))
            buf_byte(b, '\\');
        buf_byte(b, s.p[i]);
    }
}

/* In a code span nothing is markup but the bar of the table. */
static void code(struct buf *b, struct str s, bool plain)
{
    if (plain) {
        buf_str(b, s);
        return;
    }
    buf_byte(b, '`');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '|')
            buf_byte(b, '\\');
        buf_byte(b, s.p[i]);
    }
    buf_byte(b, '`');
}

static void separate(struct buf *b, size_t start)
{
    if (b->n > start)
        buf_lit(b, "; ");
}

static void bounds(struct buf *b, size_t start, const int64_t at[2], const char *unit)
{
    int64_t max = at[1] == MODEL_NEVER ? 0 : at[1];
    if (!at[0] && !at[1])
        return;
    separate(b, start);
    if (!at[1] || at[1] == INT64_MAX)
        buf_fmt(b, "at least %lld%s", (long long)at[0], unit);
    else if (at[0] == max)
        buf_fmt(b, "%lld%s", (long long)max, unit);
    else if (!at[0] && *unit)
        buf_fmt(b, "at most %lld%s", (long long)max, unit);
    else
        buf_fmt(b, "%lld…%lld%s", (long long)at[0], (long long)max, unit);
}

/* Neighbours that say the same of several fields say it once. */
static void rules(struct buf *b, size_t start, const struct model_rule *r, bool plain)
{
    for (; r && r->rule; r++) {
        separate(b, start);
        for (; r->path && r[1].path && !strcmp(r->message, r[1].message); r++) {
            code(b, str_from(str_of(r->path), 1), plain);
            buf_lit(b, ", ");
        }
        if (r->path) {
            code(b, str_from(str_of(r->path), 1), plain);
            buf_lit(b, ": ");
        }
        cell(b, str_of(r->message), plain);
    }
}

void model_constraints(struct buf *b, size_t start, const struct model_schema *s, bool plain)
{
    bool list = s->shape == MODEL_LIST, map = s->shape == MODEL_MAP || s->shape == MODEL_RAW || s->shape == MODEL_OBJECT;
    bounds(b, start, s->len, list ? " items" : map ? " members" : " characters");
    bounds(b, start, s->range, "");
    if (s->one_of) {
        separate(b, start);
        struct str rest = str_of(s->one_of);
        for (const char *comma = ""; rest.n; comma = ", ") {
            buf_lit(b, comma);
            code(b, str_cut(&rest, ' '), plain);
        }
    }
    if (s->pattern) {
        separate(b, start);
        code(b, str_of(s->pattern), plain);
    }
    if (s->list && strcmp(s->list, "atomic")) {
        separate(b, start);
        if (!strcmp(s->list, "set"))
            buf_lit(b, "each once");
        else
            buf_fmt(b, plain ? "each %s once" : "each `%s` once", s->list + 4);
    }
    rules(b, start, s->rules, plain);
    if (s->shape == MODEL_OBJECT)
        rules(b, start, s->object->rules, plain);
    if (s->shape == MODEL_LIST || s->shape == MODEL_MAP) {
        AUTO_BUF struct buf inner = { .max = 1 << 16 };
        model_constraints(&inner, 0, model_item(s), plain);
        if (inner.n) {
            separate(b, start);
            buf_lit(b, "each: ");
            buf_str(b, buf_view(&inner));
        }
    }
}

static void field(struct buf *b, const struct model_field *f, struct str path)
{
    AUTO_BUF struct buf name = { .max = 1024 };
    buf_fmt(&name, "%.*s%s%s", SFMT(path), path.n ? "." : "", f->name);
    buf_lit(b, "| ");
    code(b, buf_view(&name), false);
    buf_lit(b, " | ");
    model_type_name(&f->s, b);
    buf_lit(b, " | ");
    if (f->s.required)
        buf_lit(b, "required");
    if (f->s.def)
        code(b, str_of(f->s.def), false);
    buf_lit(b, " | ");
    cell(b, str_of(f->doc), false);
    buf_lit(b, " | ");
    model_constraints(b, b->n, &f->s, false);
    buf_lit(b, " |\n");
    const struct model_schema *s = &f->s;
    for (; s->shape == MODEL_LIST || s->shape == MODEL_MAP; s = model_item(s))
        buf_lit(&name, s->shape == MODEL_LIST ? "[]" : ".*");
    if (s->shape == MODEL_OBJECT)
        fields(b, s->object, buf_view(&name));
}

static void fields(struct buf *b, const struct model_object *o, struct str path)
{
    for (const struct model_field *f = o->fields; f->name; f++)
        if (path.n || strcmp(f->name, "metadata"))
            field(b, f, path);
}

void model_crd_markdown(const struct model_type *t, struct buf *b)
{
    buf_fmt(b, "## %s\n\n%s `apiVersion: ", t->kind, t->doc);
    model_api_version(t, b);
    buf_fmt(b, "`, `kind: %s`; %s", t->kind, t->plural);
    if (t->short_name)
        buf_fmt(b, ", short %s", t->short_name);
    buf_lit(b, ".\n\n| field | type | default | meaning | rules |\n|---|---|---|---|---|\n");
    fields(b, t->object, S(""));
    if (!t->object->rules)
        return;
    buf_lit(b, "\nAcross fields, and from one version of an object to the next:\n\n");
    for (const struct model_rule *r = t->object->rules; r->rule; r++) {
        buf_lit(b, "- ");
        rules(b, b->n, (const struct model_rule[]){ *r, { .rule = NULL } }, false);
        buf_byte(b, '\n');
    }
}
