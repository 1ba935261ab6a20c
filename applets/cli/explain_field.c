/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain_field: what a kind or one of its fields is, from the tables that the server checks by: no server is needed, and none can say
 * otherwise. The paths are kubectl's: run.spec.env.name. Tests: tests/unit/applets/tables.c, tests/local/mistakes.py
 */
#include "core/applet.h"
#include "core/model_crd.h"
#include "crds/crds.h"

enum { WIDTH = 80, DEPTH = 12 };

static struct { bool recursive; } o;
static const struct opt opts[] = {
    { "recursive", 0, OPT_FLAG, &o.recursive, NULL, "all fields below, names and types only" },
    { 0 } };

static void put_labelled(struct buf *b, const char *label, struct str text)
{
    AUTO_BUF struct buf wrapped = { .max = 65536 };
    if (!text.n)
        return;
    opt_wrap(text, 13, WIDTH, &wrapped);
    buf_fmt(b, "%-12s ", label);
    buf_str(b, str_from(buf_view(&wrapped), 13));
}

static void put_type(struct buf *b, const struct model_field *f)
{
    buf_byte(b, '<');
    model_type_name(&f->s, b);
    buf_byte(b, '>');
    if (f->s.required)
        buf_lit(b, " -required-");
    if (f->s.def)
        buf_fmt(b, " (default %s)", f->s.def);
}

static const struct model_object *below(const struct model_schema *s)
{
    while (s->shape == MODEL_LIST || s->shape == MODEL_MAP)
        s = model_item(s);
    return s->object;
}

static void put_names(struct buf *b, const struct model_object *ob, int depth)
{
    for (const struct model_field *f = ob->fields; f->name; f++) {
        buf_fmt(b, "%*s%s ", 2 * depth, "", f->name);
        put_type(b, f);
        buf_byte(b, '\n');
        if (below(&f->s) && depth < DEPTH)
            put_names(b, below(&f->s), depth + 1);
    }
}

static void put_fields(struct buf *b, const struct model_object *ob)
{
    buf_lit(b, "\nFIELDS\n");
    if (o.recursive) {
        put_names(b, ob, 1);
        return;
    }
    for (const struct model_field *f = ob->fields; f->name; f++) {
        buf_fmt(b, "  %s ", f->name);
        put_type(b, f);
        buf_byte(b, '\n');
        opt_wrap(str_of(f->doc), 4, WIDTH, b);
    }
}

static void put_kind(struct buf *b, const struct model_type *t)
{
    AUTO_BUF struct buf names = { .max = 1024 };
    put_labelled(b, "KIND", str_of(t->kind));
    AUTO_BUF struct buf version = { .max = 256 };
    model_api_version(t, &version);
    put_labelled(b, "VERSION", buf_view(&version));
    buf_fmt(&names, "%s, %s%s%s", t->plural, t->singular, t->short_name ? ", " : "", t->short_name ? t->short_name : "");
    put_labelled(b, "NAMES", buf_view(&names));
}

static int explain(const struct model_type *t, struct str path, struct buf *b, struct kr_err *e)
{
    const struct model_field *f = NULL;
    if (model_look_up(t, path, &f, e) < 0) {
        const char *near = model_nearest(t, path);
        struct kr_err was = *e;
        return near ? kr_fail(e, was.code, "%s: did you mean \"%s\"?", was.msg, near)
                    : kr_fail(e, was.code, "%s; kruntimes explain %s --recursive lists all", was.msg, t->singular);
    }
    put_kind(b, t);
    if (f) {
        AUTO_BUF struct buf type = { .max = 1024 }, rules = { .max = 65536 };
        buf_fmt(&type, "%.*s ", SFMT(path));
        put_type(&type, f);
        put_labelled(b, "FIELD", buf_view(&type));
        put_labelled(b, "MEANING", str_of(f->doc));
        model_constraints(&rules, 0, &f->s, true);
        put_labelled(b, "RULES", buf_view(&rules));
    } else {
        put_labelled(b, "MEANING", str_of(t->doc));
    }
    const struct model_object *ob = f ? below(&f->s) : t->object;
    if (ob)
        put_fields(b, ob);
    return 0;
}

static int run(struct applet_call *call, struct kr_err *e)
{
    static const char *const kinds[] = { "run", "runtime", "workflow" };
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    struct str path = call->args[0], kind = str_cut(&path, '.');
    AUTO_ARENA struct arena a = { .limit = 65536 };
    char *low = arena_copy(&a, kind.p, kind.n);
    for (size_t i = 0; low && i < kind.n; i++)
        low[i] = (char)(low[i] >= 'A' && low[i] <= 'Z' ? low[i] - 'A' + 'a' : low[i]);
    const struct model_type *t = crd_find((struct str){ low, low ? kind.n : 0 });
    if (!t) {
        const char *near = opt_nearest(kind, kinds, LEN(kinds));
        return kr_fail(e, KR_NOT_FOUND, "there is no kind \"%.*s\" (run, runtime and workflow are explained here)%s%s%s", SFMT(kind), near ? ": did you mean " : "",
                       near ? near : "", near ? "?" : "");
    }
    return explain(t, path, &b, e) < 0 ? -1 : applet_print(buf_view(&b), e);
}

const struct applet applet_explain = {
    .name = "explain", .group = APPLET_WORK, .brief = "what a kind or a field is, and what it may be", .args = "KIND[.FIELD]", .min_args = 1, .max_args = 1, .opts = opts,
    .help = "Printed from the tables that the server checks objects by; needs no server. Why a Run waits is told by `run explain`.",
    .examples = "explain run\nexplain run.spec.retryPolicy\nexplain workflow.spec.jobs.steps --recursive", .main = run };
