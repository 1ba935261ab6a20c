/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_crd: a kind's CustomResourceDefinition as YAML.
 *
 * The printer knows just enough YAML to write it: two spaces a level, plain words where they can't be taken for anything
 * else, single quotes elsewhere, no folding, no anchors. Reading YAML is another file's business.
 */
#include "core/model_crd.h"
#include "core/version.h"

static void schema(struct buf *, int in, const struct model_schema *, const char *doc);

static bool is_word(struct str s)
{
    static const char *const reserved[] = { "true", "false", "null", "yes", "no", "on", "off", "y", "n" };
    for (size_t i = 0; i < LEN(reserved); i++)
        if (str_caseeq(s, str_of(reserved[i])))
            return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], low = c | 0x20;
        bool letter = low >= 'a' && low <= 'z';
        bool inner = (c >= '0' && c <= '9') || (c == ' ' && i + 1 < s.n) || c == '_' || c == '/' || c == '-' || c == '.';
        if (!letter && !(inner && i > 0))
            return false;
    }
    return s.n > 0;
}

static void scalar(struct buf *b, struct str s)
{
    if (is_word(s)) {
        buf_str(b, s);
        return;
    }
    buf_byte(b, '\'');
    for (size_t i = 0; i < s.n; i++) {
        buf_byte(b, s.p[i]);
        if (s.p[i] == '\'')
            buf_byte(b, '\'');
    }
    buf_byte(b, '\'');
}

static void pad(struct buf *b, int in)
{
    buf_fmt(b, "%*s", in, "");
}

static void line(struct buf *b, int in, const char *key, const char *value)
{
    if (!value)
        return;
    pad(b, in);
    buf_fmt(b, "%s: ", key);
    scalar(b, str_of(value));
    buf_byte(b, '\n');
}

static void open_line(struct buf *b, int in, const char *key)
{
    pad(b, in);
    buf_fmt(b, "%s:\n", key);
}

static void number_line(struct buf *b, int in, const char *key, int64_t value)
{
    pad(b, in);
    buf_fmt(b, "%s: %lld\n", key, (long long)value);
}

static void true_line(struct buf *b, int in, const char *key, bool value)
{
    if (!value)
        return;
    pad(b, in);
    buf_fmt(b, "%s: true\n", key);
}

static void words(struct buf *b, int in, const char *key, const char *spaced)
{
    struct str rest = str_of(spaced);
    open_line(b, in, key);
    while (rest.n) {
        pad(b, in);
        buf_lit(b, "- ");
        scalar(b, str_cut(&rest, ' '));
        buf_byte(b, '\n');
    }
}

static void lengths(struct buf *b, int in, const struct model_schema *s, const char *min, const char *max)
{
    if (s->len[0])
        number_line(b, in, min, s->len[0]);
    if (s->len[1])
        number_line(b, in, max, s->len[1] == MODEL_NEVER ? 0 : s->len[1]);
}

static void rule(struct buf *b, int in, const struct model_rule *r)
{
    pad(b, in);
    buf_lit(b, "- rule: ");
    scalar(b, str_of(r->rule));
    buf_byte(b, '\n');
    line(b, in + 2, "message", r->message);
    line(b, in + 2, "messageExpression", r->message_expr);
    line(b, in + 2, "reason", r->reason);
    line(b, in + 2, "fieldPath", r->path);
}

/* Those of the place and those of the object that stands there. */
static void rules(struct buf *b, int in, const struct model_rule *here, const struct model_rule *object)
{
    if (!here && !object)
        return;
    open_line(b, in, "x-kubernetes-validations");
    for (; here && here->rule; here++)
        rule(b, in, here);
    for (; object && object->rule; object++)
        rule(b, in, object);
}

static void numbers(struct buf *b, int in, const struct model_schema *s)
{
    if (!s->range[0] && !s->range[1])
        return;
    number_line(b, in, "minimum", s->range[0]);
    if (s->range[1] != INT64_MAX)
        number_line(b, in, "maximum", s->range[1]);
}

static void required(struct buf *b, int in, const struct model_object *o, bool root)
{
    bool any = false;
    for (const struct model_field *f = o->fields; f->name; f++) {
        if (!f->s.required || (root && !strcmp(f->name, "metadata")))
            continue;
        if (!any)
            open_line(b, in, "required");
        any = true;
        pad(b, in);
        buf_lit(b, "- ");
        scalar(b, str_of(f->name));
        buf_byte(b, '\n');
    }
}

static void properties(struct buf *b, int in, const struct model_object *o)
{
    if (o->fields->name)
        open_line(b, in, "properties");
    for (const struct model_field *f = o->fields; f->name; f++) {
        open_line(b, in + 2, f->name);
        schema(b, in + 4, &f->s, f->doc);
    }
}

static void list(struct buf *b, int in, const struct model_schema *s)
{
    line(b, in, "type", "array");
    lengths(b, in, s, "minItems", "maxItems");
    if (s->list && !strncmp(s->list, "map:", 4)) {
        line(b, in, "x-kubernetes-list-type", "map");
        words(b, in, "x-kubernetes-list-map-keys", s->list + 4);
    } else {
        line(b, in, "x-kubernetes-list-type", s->list);
    }
    open_line(b, in, "items");
    schema(b, in + 2, model_item(s), NULL);
}

static void object(struct buf *b, int in, const struct model_object *o)
{
    line(b, in, "type", "object");
    line(b, in, "x-kubernetes-map-type", o->atomic ? "atomic" : NULL);
    true_line(b, in, "x-kubernetes-preserve-unknown-fields", o->open);
    required(b, in, o, false);
    properties(b, in, o);
}

static void shape(struct buf *b, int in, const struct model_schema *s)
{
    switch (s->shape) {
    case MODEL_TEXT:
    case MODEL_TIME:
        line(b, in, "type", "string");
        line(b, in, "format", s->shape == MODEL_TIME ? "date-time" : NULL);
        lengths(b, in, s, "minLength", "maxLength");
        break;
    case MODEL_INT:
    case MODEL_INT32:
        line(b, in, "type", "integer");
        line(b, in, "format", s->shape == MODEL_INT ? "int64" : "int32");
        break;
    case MODEL_BOOL: line(b, in, "type", "boolean"); break;
    case MODEL_COUNT:
        true_line(b, in, "x-kubernetes-int-or-string", true);
        open_line(b, in, "anyOf");
        line(b, in, "- type", "integer");
        line(b, in, "- type", "string");
        break;
    case MODEL_RAW:
        line(b, in, "type", "object");
        true_line(b, in, "x-kubernetes-preserve-unknown-fields", true);
        lengths(b, in, s, "minProperties", "maxProperties");
        break;
    case MODEL_OBJECT: object(b, in, s->object); break;
    case MODEL_LIST: list(b, in, s); break;
    case MODEL_MAP:
        line(b, in, "type", "object");
        lengths(b, in, s, "minProperties", "maxProperties");
        open_line(b, in, "additionalProperties");
        schema(b, in + 2, model_item(s), NULL);
        break;
    }
}

static void schema(struct buf *b, int in, const struct model_schema *s, const char *doc)
{
    line(b, in, "description", doc);
    shape(b, in, s);
    if (s->def) {
        pad(b, in);
        buf_fmt(b, "default: %s\n", s->def);
    }
    numbers(b, in, s);
    line(b, in, "pattern", s->pattern);
    if (s->one_of)
        words(b, in, "enum", s->one_of);
    rules(b, in, s->rules, s->shape == MODEL_OBJECT ? s->object->rules : NULL);
}

/* apiVersion, kind and metadata are the server's; only what rules may see of them is declared. */
static void root(struct buf *b, int in, const struct model_type *t)
{
    line(b, in, "description", t->doc);
    line(b, in, "type", "object");
    required(b, in, t->object, true);
    open_line(b, in, "properties");
    for (size_t i = 0; i < 2; i++) {
        open_line(b, in + 2, i ? "kind" : "apiVersion");
        line(b, in + 4, "type", "string");
    }
    for (const struct model_field *f = t->object->fields; f->name; f++) {
        open_line(b, in + 2, f->name);
        if (strcmp(f->name, "metadata")) {
            schema(b, in + 4, &f->s, f->doc);
            continue;
        }
        line(b, in + 4, "type", "object");
        if (t->names_in_rules) {
            open_line(b, in + 4, "properties");
            open_line(b, in + 6, "name");
            line(b, in + 8, "type", "string");
        }
    }
    rules(b, in, NULL, t->object->rules);
}

static void subresources(struct buf *b, int in, const struct model_type *t)
{
    if (!t->status && !t->scale_spec)
        return;
    open_line(b, in, "subresources");
    if (t->status) {
        pad(b, in + 2);
        buf_lit(b, "status: {}\n");
    }
    if (t->scale_spec) {
        open_line(b, in + 2, "scale");
        line(b, in + 4, "specReplicasPath", t->scale_spec);
        line(b, in + 4, "statusReplicasPath", t->scale_status);
        line(b, in + 4, "labelSelectorPath", t->scale_selector);
    }
}

static void columns(struct buf *b, int in, const struct model_type *t)
{
    struct str rest = str_of(t->selectable);
    if (rest.n)
        open_line(b, in, "selectableFields");
    while (rest.n) {
        pad(b, in);
        buf_lit(b, "- jsonPath: ");
        buf_str(b, str_cut(&rest, ' '));
        buf_byte(b, '\n');
    }
    if (t->columns)
        open_line(b, in, "additionalPrinterColumns");
    for (const struct model_column *c = t->columns; c && c->name; c++) {
        line(b, in, "- name", c->name);
        line(b, in + 2, "type", c->type);
        if (c->wide)
            number_line(b, in + 2, "priority", 1);
        line(b, in + 2, "jsonPath", c->path);
    }
}

void model_crd_yaml(const struct model_type *t, struct buf *b)
{
    buf_fmt(b, "# Generated from crds/%s.def; do not edit.\n", t->singular);
    buf_lit(b, "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n");
    buf_fmt(b, "  name: %s.%s\n  annotations:\n    %s/version: %s\nspec:\n", t->plural, t->group, t->group, kr_version);
    line(b, 2, "group", t->group);
    line(b, 2, "scope", t->cluster ? "Cluster" : "Namespaced");
    open_line(b, 2, "names");
    line(b, 4, "kind", t->kind);
    buf_fmt(b, "    listKind: %sList\n", t->kind);
    line(b, 4, "plural", t->plural);
    line(b, 4, "singular", t->singular);
    if (t->short_name)
        words(b, 4, "shortNames", t->short_name);
    words(b, 4, "categories", "all kruntimes");
    open_line(b, 2, "versions");
    line(b, 2, "- name", t->version);
    true_line(b, 4, "served", true);
    true_line(b, 4, "storage", true);
    subresources(b, 4, t);
    columns(b, 4, t);
    open_line(b, 4, "schema");
    open_line(b, 6, "openAPIV3Schema");
    root(b, 8, t);
}
