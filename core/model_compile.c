/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_compile: a kind's table as a tree of nodes with compiled patterns and rules (core/model_check.h).
 *
 * An object that stands at two places has two nodes, as a rule's paths and types belong to a place. The trees of all
 * kinds are kept until the process ends: there are few, and they never change.
 */
#include "core/model_check.h"

static int build(struct model_node *, const struct model_schema *, const struct model_type *, struct kr_err *);

struct model_node *model_node_field(const struct model_node *n, struct str name)
{
    if (n->s->shape != MODEL_OBJECT)
        return NULL;
    const struct model_field *f = model_find(n->s->object, name);
    return f ? &n->fields[f - n->s->object->fields] : NULL;
}

static const struct expr_schema *cel_field(const struct expr_schema *s, struct str name)
{
    struct model_node *f = model_node_field(container_of(s, struct model_node, cel), name);
    return f ? &f->cel : NULL;
}

static const struct expr_schema *cel_item(const struct expr_schema *s)
{
    return &container_of(s, struct model_node, cel)->item->cel;
}

/* Of metadata a rule sees the names, of the root also what kind of object it is. */
static const struct expr_schema *meta_field(const struct expr_schema *s, struct str name)
{
    static const struct expr_schema text = { .kind = EXPR_STRING };
    (void)s;
    return str_is(name, "name") || str_is(name, "generateName") ? &text : NULL;
}

static const struct expr_schema *root_field(const struct expr_schema *s, struct str name)
{
    static const struct expr_schema text = { .kind = EXPR_STRING };
    static const struct expr_schema meta = { .kind = EXPR_OBJECT, .field = meta_field };
    if (str_is(name, "apiVersion") || str_is(name, "kind"))
        return &text;
    return str_is(name, "metadata") ? &meta : cel_field(s, name);
}

static struct expr_schema cel_of(const struct model_schema *s)
{
    switch (s->shape) {
    case MODEL_TEXT: return (struct expr_schema){ .kind = EXPR_STRING };
    case MODEL_INT:
    case MODEL_INT32: return (struct expr_schema){ .kind = EXPR_INT };
    case MODEL_BOOL: return (struct expr_schema){ .kind = EXPR_BOOL };
    case MODEL_OBJECT: return (struct expr_schema){ .kind = EXPR_OBJECT, .field = cel_field };
    case MODEL_LIST:
        return (struct expr_schema){ .kind = EXPR_LIST, .items = cel_item, .as_set = s->list && strcmp(s->list, "atomic") };
    case MODEL_MAP: return (struct expr_schema){ .kind = EXPR_MAP, .items = cel_item };
    case MODEL_TIME:
    case MODEL_COUNT:
    case MODEL_RAW: break;
    }
    return (struct expr_schema){ .kind = EXPR_DYN };
}

static size_t count(const struct model_rule *r)
{
    size_t n = 0;
    while (r && r[n].rule)
        n++;
    return n;
}

static int compile_rules(struct model_node *n, const struct model_rule *rules, struct kr_err *e)
{
    for (; rules && rules->rule; rules++) {
        struct model_compiled_rule *r = &n->rules[n->nrules++];
        r->rule = rules;
        r->test = expr_compile(str_of(rules->rule), &n->env, e);
        if (!r->test)
            return kr_wrap(e, "rule '%s'", rules->rule);
        r->transition = expr_uses(r->test, "oldSelf");
        n->transitions_below |= r->transition;
        if (rules->message_expr && !(r->message = expr_compile(str_of(rules->message_expr), &n->env, e)))
            return kr_wrap(e, "messageExpression '%s'", rules->message_expr);
    }
    return 0;
}

static int build_children(struct model_node *n, const struct model_type *t, struct kr_err *e)
{
    const struct model_schema *s = n->s;
    if (s->shape == MODEL_LIST || s->shape == MODEL_MAP) {
        n->item = xcalloc(1, sizeof *n->item);
        if (build(n->item, model_item(s), NULL, e) < 0)
            return -1;
        n->rules_below = n->item->rules_below;
        n->transitions_below = n->item->transitions_below;
    }
    if (s->shape != MODEL_OBJECT)
        return 0;
    const struct model_field *f = s->object->fields;
    while (f[n->nfields].name)
        n->nfields++;
    n->fields = xcalloc(n->nfields + 1, sizeof *n->fields);
    for (size_t i = 0; i < n->nfields; i++) {
        if (t && !strcmp(f[i].name, "metadata"))
            continue;
        if (build(&n->fields[i], &f[i].s, NULL, e) < 0)
            return kr_wrap(e, "%s", f[i].name);
        n->rules_below |= n->fields[i].rules_below;
        n->transitions_below |= n->fields[i].transitions_below;
    }
    return 0;
}

/* t is set at the root only. */
static int build(struct model_node *n, const struct model_schema *s, const struct model_type *t, struct kr_err *e)
{
    n->s = s;
    n->cel = cel_of(s);
    if (t)
        n->cel.field = root_field;
    n->vars[0] = (struct expr_var){ "self", &n->cel };
    n->vars[1] = (struct expr_var){ "oldSelf", &n->cel };
    n->env = (struct expr_env){ .vars = n->vars, .nvars = 2 };
    if (build_children(n, t, e) < 0)
        return -1;
    if (s->pattern && !(n->pattern = regex_compile(str_of(s->pattern), e)))
        return kr_wrap(e, "pattern '%s'", s->pattern);
    const struct model_rule *object = s->shape == MODEL_OBJECT ? s->object->rules : NULL;
    size_t total = count(s->rules) + count(object);
    n->rules = xcalloc(total + 1, sizeof *n->rules);
    n->rules_below |= total > 0;
    return compile_rules(n, s->rules, e) < 0 ? -1 : compile_rules(n, object, e);
}

struct compiled {
    const struct model_type *type;
    struct model_schema schema;
    struct model_node root;
    struct compiled *next;
};

struct model_node *model_compile(const struct model_type *t, struct kr_err *e)
{
    static struct compiled *all;
    for (struct compiled *c = all; c; c = c->next)
        if (c->type == t)
            return &c->root;
    struct compiled *c = xcalloc(1, sizeof *c);
    c->type = t;
    c->schema = (struct model_schema){ .shape = MODEL_OBJECT, .object = t->object };
    c->next = all;
    all = c;
    if (build(&c->root, &c->schema, t, e) < 0) {
        kr_wrap(e, "table of %s", t->kind);
        c->type = NULL;                           /* a wrong table is a bug of this program; nobody finds its pieces again */
        return NULL;
    }
    return &c->root;
}
