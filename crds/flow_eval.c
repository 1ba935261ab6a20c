/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow_eval: values of names, and the functions that Workflows add to core/expr. Names are built only where the expression
 * uses them; every expression has a cost budget and an arena. Tests: tests/unit/crds/flow.c
 */
#include "crds/flow.h"

/* ---- functions ----------------------------------------------------------------------------------------------------- */

static int wrong(struct kr_err *e, const char *what) { return kr_fail(e, KR_INVALID, "no such overload: %s", what); }

#define TEXT_TEST(id, name, test)                                                                                           \
    static int id(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)                 \
    {                                                                                                                       \
        (void)n;                                                                                                            \
        if (a[0].kind != EXPR_STRING || a[1].kind != EXPR_STRING)                                                           \
            return wrong(e, name "(string, string) is what there is");                                                      \
        r->cost_left -= (int64_t)a[0].s.n / 10;                                                                             \
        *out = value_of_bool(test);                                                                                         \
        return 0;                                                                                                           \
    }
TEXT_TEST(f_contains, "contains", str_find(a[0].s, a[1].s) >= 0)
TEXT_TEST(f_starts, "startsWith", str_starts(a[0].s, a[1].s))
TEXT_TEST(f_ends, "endsWith", str_ends(a[0].s, a[1].s))

static int give(struct expr_run *r, struct buf *b, struct value *out, struct kr_err *e)
{
    r->cost_left -= (int64_t)b->n / 10 + 1;
    if (b->failed || r->cost_left < 0)
        return kr_fail(e, KR_TOO_LARGE, "the result is too large");
    *out = value_of_str(arena_str(r->arena, buf_view(b)));
    return r->arena->over ? kr_fail(e, KR_TOO_LARGE, "the expression needs too much memory") : 0;
}

/* format('{0} of {1}, {{literally}}', a, b) */
static int f_format(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    AUTO_BUF struct buf b = { .max = LIMIT_FLOW_TEXT };
    if (a[0].kind != EXPR_STRING)
        return wrong(e, "format(string, …) is what there is");
    for (struct str s = a[0].s; s.n; s = str_from(s, 1)) {
        char c = s.p[0], d = s.n > 1 ? s.p[1] : 0;
        if ((c == '{' || c == '}') && d == c) {
            buf_byte(&b, c);
            s = str_from(s, 1);
        } else if (c == '{' && d >= '0' && d <= '9' && s.n > 2 && s.p[2] == '}') {
            if ((size_t)(d - '0') + 1 >= n)
                return kr_fail(e, KR_INVALID, "format(): {%c} has no argument", d);
            value_print(&b, a[d - '0' + 1]);
            s = str_from(s, 2);
        } else if (c == '{' || c == '}') {
            return kr_fail(e, KR_INVALID, "format(): write {{ or }} for a brace, and {0} for the first argument");
        } else {
            buf_byte(&b, c);
        }
    }
    return give(r, &b, out, e);
}

static int f_to_json(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    AUTO_BUF struct buf b = { .max = LIMIT_FLOW_TEXT };
    (void)n;
    if (a[0].kind == EXPR_STRING)
        jw_str(&b, a[0].s);
    else if (a[0].kind == EXPR_DURATION || a[0].kind == EXPR_TYPE)
        return wrong(e, "toJSON() of what JSON doesn't have");
    else
        value_print(&b, a[0]);
    return give(r, &b, out, e);
}

static int f_from_json(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)
{
    (void)n;
    if (a[0].kind != EXPR_STRING)
        return wrong(e, "fromJSON(string) is what there is");
    r->cost_left -= (int64_t)a[0].s.n;
    struct json *j = r->cost_left < 0 ? NULL : json_parse(r->arena, a[0].s, e);
    if (!j)
        return r->cost_left < 0 ? kr_fail(e, KR_TOO_LARGE, "the expression costs more than its budget") : kr_wrap(e, "fromJSON()");
    *out = value_of_json(j, NULL);
    return 0;
}

#define STATUS(id, answer)                                                                                                  \
    static int id(struct expr_run *r, const struct value *a, size_t n, struct value *out, struct kr_err *e)                 \
    {                                                                                                                       \
        const struct flow_data *d = r->ctx;                                                                                 \
        (void)a, (void)n, (void)e, (void)d;                                                                                 \
        *out = value_of_bool(answer);                                                                                       \
        return 0;                                                                                                           \
    }
STATUS(f_success, d->success)
STATUS(f_failure, d->failure)
STATUS(f_always, true)
STATUS(f_cancelled, d->cancelled)

const struct expr_fn flow_functions[] = {
    { "contains", 2, 2, false, f_contains }, { "startsWith", 2, 2, false, f_starts }, { "endsWith", 2, 2, false, f_ends },
    { "format", 1, 8, false, f_format },     { "toJSON", 1, 1, false, f_to_json },    { "fromJSON", 1, 1, false, f_from_json },
    { "success", 0, 0, false, f_success },   { "failure", 0, 0, false, f_failure },   { "always", 0, 0, false, f_always },
    { "cancelled", 0, 0, false, f_cancelled } };
const size_t flow_nfunctions = LEN(flow_functions), flow_nplain = 6;

/* ---- values -------------------------------------------------------------------------------------------------------- */

static struct value map_of(struct str_map m, struct arena *a)
{
    struct value_pair *v = arena_alloc(a, (m.n + 1) * sizeof *v);
    for (size_t i = 0; v && i < m.n; i++)
        v[i] = (struct value_pair){ value_of_str(m.v[i].key), value_of_str(m.v[i].value) };
    return (struct value){ .kind = EXPR_MAP, .n = v ? (uint32_t)m.n : 0, .pairs = v };
}

/* {"outputs": m} */
static struct value holder(struct str_map m, struct arena *a)
{
    struct value_pair *v = arena_alloc(a, sizeof *v);
    if (v)
        *v = (struct value_pair){ value_of_str(S("outputs")), map_of(m, a) };
    return (struct value){ .kind = EXPR_MAP, .n = v != NULL, .pairs = v };
}

static struct value workflow_value(const struct flow *f, struct arena *a)
{
    const struct object_meta *m = &f->w->metadata;
    struct str_map all = { (struct str_pair[]){ { S("name"), m->name }, { S("namespace"), m->namespace }, { S("uid"), m->uid } }, 3 };
    return map_of(all, a);
}

static struct value steps_value(const struct flow_scope *c, const struct flow_data *d, struct arena *a)
{
    size_t n = c->place == FLOW_JOB_OUTPUT ? c->job->spec->steps.n : c->step;
    struct value_pair *v = arena_alloc(a, (n + 1) * sizeof *v);
    for (size_t i = 0; v && i < n; i++)
        v[i] = (struct value_pair){ value_of_str(c->job->spec->steps.v[i].name), holder(d->step_outputs(d->ctx, i), a) };
    return (struct value){ .kind = EXPR_MAP, .n = v ? (uint32_t)n : 0, .pairs = v };
}

static struct value jobs_value(const struct flow_scope *c, const struct flow_data *d, struct arena *a)
{
    struct value_pair *v = arena_alloc(a, (c->f->njobs + 1) * sizeof *v);
    uint32_t n = 0;
    for (size_t i = 0; v && i < c->f->njobs; i++)
        if (c->place == FLOW_OUTPUT || c->job->above >> i & 1)
            v[n++] = (struct value_pair){ value_of_str(c->f->jobs[i].name), holder(d->job_outputs(d->ctx, i), a) };
    return (struct value){ .kind = EXPR_MAP, .n = n, .pairs = v };
}

static struct value value_of(const char *name, const struct flow_scope *c, const struct flow_data *d, struct arena *a)
{
    switch (name[0]) {
    case 'w': return workflow_value(c->f, a);
    case 'e': return map_of(d->env, a);
    case 'm': return map_of(d->matrix, a);
    case 'j': return jobs_value(c, d, a);
    default: return steps_value(c, d, a);
    }
}

/* ---- evaluation ---------------------------------------------------------------------------------------------------- */

static int eval(const struct flow_scope *c, const struct flow_data *d, struct str text, struct arena *a, struct value *out, struct kr_err *e)
{
    struct flow_env env;
    struct value vars[5];
    struct expr *x = flow_compile(c, text, a, &env, e);
    if (!x)
        return -1;
    for (size_t i = 0; i < env.env.nvars; i++)
        vars[i] = expr_uses(x, env.vars[i].name) ? value_of(env.vars[i].name, c, d, a) : value_of_bool(false);
    struct expr_run run = { .arena = a, .cost_left = LIMIT_FLOW_COST, .ctx = (void *)d };
    int rc = a->over ? kr_fail(e, KR_TOO_LARGE, "the expression needs too much memory") : expr_eval(x, &run, vars, out, e);
    if (rc == 0 && out->kind == EXPR_STRING)
        *out = value_of_str(arena_str(a, out->s));     /* it may point into the expression */
    if (rc == 0 && out->kind != EXPR_STRING) {
        AUTO_BUF struct buf b = { .max = LIMIT_FLOW_TEXT };
        bool yes = out->kind == EXPR_BOOL && out->b;
        value_print(&b, *out);
        *out = (struct value){ .kind = out->kind == EXPR_BOOL ? EXPR_BOOL : EXPR_DYN, .s = arena_str(a, buf_view(&b)) };
        if (out->kind == EXPR_BOOL)
            *out = value_of_bool(yes);
        if (b.failed)
            rc = kr_fail(e, KR_TOO_LARGE, "the result is too large");
    }
    expr_free(x);
    return rc < 0 ? -1 : a->over ? kr_fail(e, KR_TOO_LARGE, "the expression needs too much memory") : 0;
}

int flow_text(const struct flow_scope *c, const struct flow_data *d, struct str text, struct arena *out_arena, struct str *out, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_FLOW_ARENA };
    AUTO_BUF struct buf b = { .max = LIMIT_FLOW_TEXT };
    struct flow_part *parts;
    size_t n;
    if (str_find(text, S("${{")) < 0) {
        *out = text;
        return 0;
    }
    if (flow_parts(text, &a, &parts, &n, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct value v = value_of_str(parts[i].text);
        if (parts[i].is_expr && eval(c, d, parts[i].text, &a, &v, e) < 0)
            return kr_wrap(e, "${{%.*s}}", (int)(parts[i].text.n < 80 ? parts[i].text.n : 80), parts[i].text.p);
        buf_str(&b, v.kind == EXPR_BOOL ? v.b ? S("true") : S("false") : v.s);
    }
    if (b.failed)
        return kr_fail(e, KR_TOO_LARGE, "the text with its values is larger than %d bytes", LIMIT_FLOW_TEXT);
    *out = arena_str(out_arena, buf_view(&b));
    return out_arena->over ? kr_fail(e, KR_TOO_LARGE, "the text with its values needs too much memory") : 0;
}

int flow_if(const struct flow_scope *c, const struct flow_data *d, struct str text, struct arena *unused, bool *out, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = LIMIT_FLOW_ARENA };
    struct str expression;
    struct value v;
    (void)unused;
    if (!text.p) {
        *out = d->success;
        return 0;
    }
    if (flow_condition(text, &a, &expression, e) < 0)
        return -1;
    if (!flow_asks_status(expression) && !d->success) {
        *out = false;
        return 0;
    }
    if (eval(c, d, expression, &a, &v, e) < 0)
        return -1;
    *out = v.kind == EXPR_BOOL && v.b;
    return v.kind == EXPR_BOOL ? 0 : kr_fail(e, KR_INVALID, "the condition yields no bool");
}
