/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_check: an object against its schema: types, lengths, ranges, patterns, words, and list types; in the words of a
 * Kubernetes API server. Rules are in model_rules.c.
 *
 * As there, an object or text that is too long is not looked at further, one list that is too long neither (ours), and
 * what is missing, too long, of a wrong type or not among the words keeps all rules from being run.
 */
#include "core/clock.h"
#include "core/model_check.h"
#include <stdio.h>

static void check(struct model_checker *, const struct model_node *, const struct json *, const struct json *old,
                  const struct model_place *);

/* ---- words ------------------------------------------------------------------------------------------------------- */

void model_place_print(struct buf *b, const struct model_place *at, bool brackets)
{
    if (!at)
        return;
    model_place_print(b, at->up, brackets);
    if (!at->key.p)
        buf_fmt(b, "[%zu]", at->index);
    else if (at->map_key && brackets)
        buf_fmt(b, "[%.*s]", SFMT(at->key));
    else
        buf_fmt(b, "%s%.*s", b->n ? "." : "", SFMT(at->key));
}

const char *model_json_type(const struct json *v)
{
    switch (json_type(v)) {
    case JSON_NUMBER: return json_is_whole(v) ? "integer" : "number";
    case JSON_FALSE:
    case JSON_TRUE: return "boolean";
    case JSON_STRING: return "string";
    case JSON_ARRAY: return "array";
    case JSON_OBJECT: return "object";
    case JSON_NULL: break;
    }
    return "null";
}

static void quote_text(struct buf *b, struct str s)
{
    bool cut = s.n > LIMIT_MODEL_VALUE;
    s.n = cut ? str_rune_cut(s, LIMIT_MODEL_VALUE) : s.n;
    buf_byte(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            buf_fmt(b, "\\%c", c);
        else if (c == '\n' || c == '\t' || c == '\r')
            buf_lit(b, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
        else if (c < 0x20 || c == 0x7f)
            buf_fmt(b, "\\x%02x", c);
        else
            buf_byte(b, (char)c);
    }
    buf_lit(b, cut ? "…\"" : "\"");
}

void model_quote(struct buf *b, const struct json *v)
{
    if (json_is(v, JSON_STRING))
        quote_text(b, json_string(v));
    else
        json_print(b, v);
}

void model_cause_add(struct model_errors *l, struct arena *a, const char *reason, struct str field, const char *fmt, ...)
{
    if (l->n >= LIMIT_MODEL_ERRORS)
        return;
    AUTO_BUF struct buf b = { .max = 1 << 16 };
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *room = n < 0 ? NULL : buf_room(&b, (size_t)n + 1);
    if (!room)
        return;
    va_start(ap, fmt);
    b.n += (size_t)vsnprintf(room, (size_t)n + 1, fmt, ap);
    va_end(ap);
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 4;
        struct model_cause *more = arena_alloc(a, cap * sizeof *more);
        if (!more)
            return;
        if (l->n)
            memcpy(more, l->v, l->n * sizeof *more);
        l->v = more;
        l->cap = cap;
    }
    l->v[l->n++] = (struct model_cause){ reason, arena_str(a, field), arena_str(a, buf_view(&b)) };
}

enum trouble { REQUIRED, TYPE, LONG, MANY, WORD, VALUE, TWICE };

/* `what` says what is wrong; `%s` style is not needed: pieces are joined by the callers. */
static void wrong(struct model_checker *c, enum trouble t, const struct model_place *at, const struct buf *what)
{
    static const char *const reasons[] = { "FieldValueRequired", "FieldValueTypeInvalid", "FieldValueTooLong", "FieldValueTooMany",
                                           "FieldValueNotSupported", "FieldValueInvalid", "FieldValueDuplicate" };
    AUTO_BUF struct buf path = { .max = LIMIT_MODEL_PATH };
    model_place_print(&path, at, t == TWICE);
    c->blocked |= t <= WORD;
    model_cause_add(c->errors, c->arena, reasons[t], buf_view(&path), "%.*s", SFMT(buf_view(what)));
}

/* "Invalid value: V: PATH in body " to be followed by what it should be. The status is checked on its own there, so its
 * paths begin below it. */
static void invalid_head(struct buf *b, const struct model_place *at, struct str value)
{
    AUTO_BUF struct buf path = { .max = LIMIT_MODEL_PATH };
    model_place_print(&path, at, false);
    struct str p = buf_view(&path);
    if (str_starts(p, S("status.")))
        p = str_from(p, 7);
    buf_fmt(b, "Invalid value: %.*s: %.*s in body ", SFMT(value), SFMT(p));
}

static void wrong_type(struct model_checker *c, const struct model_place *at, const char *wanted, struct str quoted)
{
    AUTO_BUF struct buf b = { .max = 1 << 15 };
    invalid_head(&b, at, quoted);
    buf_fmt(&b, "must be of type %s: %.*s", wanted, SFMT(quoted));
    wrong(c, TYPE, at, &b);
}

/* "should be at least 1 chars long": a bound that was passed, of the value or of its size. */
static void passed(struct model_checker *c, const struct model_place *at, struct str value, const char *head, int64_t bound,
                   const char *tail)
{
    AUTO_BUF struct buf b = { .max = 1 << 15 };
    invalid_head(&b, at, value);
    buf_fmt(&b, "should %s %lld%s", head, (long long)bound, tail);
    wrong(c, VALUE, at, &b);
}

/* ---- scalars ----------------------------------------------------------------------------------------------------- */

static void check_text(struct model_checker *c, const struct model_node *n, const struct json *v, const struct model_place *at)
{
    const struct model_schema *s = n->s;
    struct str text = json_string(v);
    AUTO_BUF struct buf quoted = { .max = 1 << 14 }, b = { .max = 1 << 15 };
    if (s->len[1] > 0 && text.n > (size_t)s->len[1] && str_runes(text) > (size_t)s->len[1]) {
        buf_fmt(&b, "Too long: may not be more than %lld bytes", (long long)s->len[1]);
        wrong(c, LONG, at, &b);
        return;
    }
    if (s->len[0] && text.n < (size_t)s->len[0]) {             /* a minimum is only ever "not empty" */
        quote_text(&quoted, text);
        passed(c, at, buf_view(&quoted), "be at least", s->len[0], " chars long");
        return;
    }
    if (n->pattern && !regex_search(n->pattern, text)) {
        quote_text(&quoted, text);
        invalid_head(&b, at, buf_view(&quoted));
        buf_fmt(&b, "should match '%s'", s->pattern);
        wrong(c, VALUE, at, &b);
    }
}

static void check_number(struct model_checker *c, const struct model_node *n, const struct json *v, const struct model_place *at)
{
    const struct model_schema *s = n->s;
    int64_t i;
    struct str text = json_number_text(v);
    bool fits = json_int(v, &i);
    bool ranged = s->range[0] || s->range[1];
    if (!fits)
        i = text.n && text.p[0] == '-' ? INT64_MIN : INT64_MAX;
    if (ranged && i < s->range[0])
        passed(c, at, text, "be greater than or equal to", s->range[0], "");
    else if ((ranged && i > s->range[1]) || !fits)
        passed(c, at, text, "be less than or equal to", ranged ? s->range[1] : INT64_MAX, "");
}

static void check_words(struct model_checker *c, const struct model_schema *s, const struct json *v, const struct model_place *at)
{
    for (struct str rest = str_of(s->one_of); rest.n;)
        if (str_eq(str_cut(&rest, ' '), json_string(v)))
            return;
    AUTO_BUF struct buf b = { .max = 1 << 15 };
    buf_lit(&b, "Unsupported value: ");
    model_quote(&b, v);
    buf_lit(&b, ": supported values:");
    struct str rest = str_of(s->one_of);
    for (const char *comma = " "; rest.n; comma = ", ") {
        struct str word = str_cut(&rest, ' ');
        buf_fmt(&b, "%s\"%.*s\"", comma, SFMT(word));
    }
    wrong(c, WORD, at, &b);
}

/* ---- lists, maps, objects ---------------------------------------------------------------------------------------- */

static bool check_size(struct model_checker *c, const struct model_schema *s, size_t n, const char *unit, const struct model_place *at)
{
    int64_t max = s->len[1] == MODEL_NEVER ? 0 : s->len[1];
    AUTO_BUF struct buf b = { .max = 256 };
    if (s->len[1] && n > (size_t)max) {
        buf_fmt(&b, "Too many: %zu: must have at most %lld items", n, (long long)max);
        wrong(c, MANY, at, &b);
        return false;
    }
    if (n < (size_t)s->len[0]) {
        buf_fmt(&b, "%zu", n);
        passed(c, at, buf_view(&b), "have at least", s->len[0], unit);
        return false;
    }
    return true;
}

/* What makes an item of a list-map or set itself; NULL when it has nothing to compare. */
static const struct json *identity(const struct model_schema *s, const struct json *item)
{
    return !strcmp(s->list, "set") ? item : json_get(item, s->list + 4);
}

static bool is_unique(const struct model_schema *s)
{
    return s->list && strcmp(s->list, "atomic");
}

const struct json *model_old_item(const struct model_schema *s, const struct json *old, const struct json *item)
{
    const struct json *id = old && is_unique(s) && strcmp(s->list, "set") ? identity(s, item) : NULL;
    for (const struct json *o = id ? json_first(old) : NULL; o; o = json_next(o)) {
        const struct json *other = identity(s, o);
        if (other && json_equal(id, other))
            return o;
    }
    return NULL;
}

/* Lists of this kind have a maximum that was checked before, so comparing all with all stays small. */
static void check_unique(struct model_checker *c, const struct model_schema *s, const struct json *list, const struct model_place *up)
{
    size_t i = 0;
    for (const struct json *m = json_first(list); m; m = json_next(m), i++) {
        const struct json *id = identity(s, m);
        for (const struct json *before = id ? json_first(list) : NULL; before && before != m; before = json_next(before)) {
            const struct json *other = identity(s, before);
            if (!other || !json_equal(id, other))
                continue;
            AUTO_BUF struct buf b = { .max = 1 << 15 };
            struct model_place at = { .up = up, .index = i };
            buf_lit(&b, "Duplicate value: ");
            if (strcmp(s->list, "set"))
                buf_fmt(&b, "{\"%s\":", s->list + 4);
            model_quote(&b, id);
            if (strcmp(s->list, "set"))
                buf_byte(&b, '}');
            wrong(c, TWICE, &at, &b);
            break;
        }
    }
}

static void check_list(struct model_checker *c, const struct model_node *n, const struct json *v, const struct json *old,
                       const struct model_place *up)
{
    if (!check_size(c, n->s, json_len(v), " items", up))
        return;
    size_t i = 0;
    for (const struct json *m = json_first(v); m && !model_full(c); m = json_next(m), i++) {
        struct model_place at = { .up = up, .index = i };
        check(c, n->item, m, model_old_item(n->s, old, m), &at);
    }
    if (is_unique(n->s))
        check_unique(c, n->s, v, up);
}

static void check_object(struct model_checker *c, const struct model_node *n, const struct json *v, const struct json *old,
                         const struct model_place *up)
{
    const struct model_field *f = n->s->object->fields;
    for (size_t i = 0; i < n->nfields && !model_full(c); i++) {
        struct model_place at = { .up = up, .key = { f[i].name, f[i].len } };
        if (!n->fields[i].s)
            continue;                                      /* metadata of the root */
        const struct json *m = json_get_str(v, at.key);
        if (m) {
            check(c, &n->fields[i], m, json_get_str(old, at.key), &at);
        } else if (f[i].s.required) {
            AUTO_BUF struct buf b = { .max = 64 };
            buf_lit(&b, "Required value");
            wrong(c, REQUIRED, &at, &b);
        }
    }
}

static void check_map(struct model_checker *c, const struct model_node *n, const struct json *v, const struct json *old,
                      const struct model_place *up)
{
    if (!check_size(c, n->s, json_len(v), " properties", up))
        return;
    for (const struct json *m = json_first(v); m && !model_full(c); m = json_next(m)) {
        struct model_place at = { .up = up, .key = json_key(m), .map_key = true };
        check(c, n->item, m, json_get_str(old, at.key), &at);
    }
}

/* ---- any value --------------------------------------------------------------------------------------------------- */

static bool has_type(const struct model_schema *s, const struct json *v)
{
    switch (s->shape) {
    case MODEL_TEXT:
    case MODEL_TIME: return json_is(v, JSON_STRING);
    case MODEL_INT:
    case MODEL_INT32: return json_is_whole(v);
    case MODEL_COUNT: return json_is(v, JSON_STRING) || json_is_whole(v);
    case MODEL_BOOL: return json_is(v, JSON_TRUE) || json_is(v, JSON_FALSE);
    case MODEL_LIST: return json_is(v, JSON_ARRAY);
    case MODEL_RAW:
    case MODEL_OBJECT:
    case MODEL_MAP: return json_is(v, JSON_OBJECT);
    }
    return false;
}

/* Go takes neither a space between date and time nor a leap second; of what time_parse took. */
static bool is_go_time(struct str s) { return s.p[10] != ' ' && s.p[17] != '6'; }

static void check(struct model_checker *c, const struct model_node *n, const struct json *v, const struct json *old,
                  const struct model_place *at)
{
    static const char *const names[] = {
        [MODEL_TEXT] = "string", [MODEL_TIME] = "string", [MODEL_INT] = "integer", [MODEL_INT32] = "integer", [MODEL_BOOL] = "boolean",
        [MODEL_COUNT] = "integer,string", [MODEL_RAW] = "object", [MODEL_OBJECT] = "object", [MODEL_LIST] = "array", [MODEL_MAP] = "object",
    };
    const struct model_schema *s = n->s;
    AUTO_BUF struct buf quoted = { .max = 1 << 14 };
    int64_t moment;
    if (old && json_equal(v, old))
        return;
    if (!has_type(s, v)) {
        buf_fmt(&quoted, "\"%s\"", model_json_type(v));
        wrong_type(c, at, names[s->shape], buf_view(&quoted));
        return;
    }
    switch (s->shape) {
    case MODEL_TEXT: check_text(c, n, v, at); break;
    case MODEL_COUNT:
        if (json_is(v, JSON_STRING)) {
            check_text(c, n, v, at);
            break;
        }
        /* fall through */
    case MODEL_INT:
    case MODEL_INT32: check_number(c, n, v, at); break;
    case MODEL_TIME:
        if (!time_parse(json_string(v), &moment) || !is_go_time(json_string(v))) {
            quote_text(&quoted, json_string(v));
            wrong_type(c, at, "date-time", buf_view(&quoted));
        }
        break;
    case MODEL_BOOL: break;
    case MODEL_RAW: check_size(c, s, json_len(v), " properties", at); break;
    case MODEL_OBJECT: check_object(c, n, v, old, at); break;
    case MODEL_LIST: check_list(c, n, v, old, at); break;
    case MODEL_MAP: check_map(c, n, v, old, at); break;
    }
    if (s->one_of)
        check_words(c, s, v, at);
}

/* Also what was found elsewhere before (metadata) keeps rules from being run. */
static bool blocks(const struct model_errors *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i].reason, "FieldValueInvalid") && strcmp(l->v[i].reason, "FieldValueDuplicate")
            && strcmp(l->v[i].reason, "FieldValueForbidden"))
            return true;
    return false;
}

int model_check(const struct model_type *t, struct arena *a, const struct json *object, const struct json *old,
                struct model_errors *errors, struct kr_err *e)
{
    struct model_node *root = model_compile(t, e);
    if (!root)
        return -1;
    struct model_checker c = { .arena = a, .errors = errors, .cost_left = LIMIT_RULES_COST, .blocked = blocks(errors) };
    if (!json_is(object, JSON_OBJECT))
        model_cause_add(errors, a, "FieldValueTypeInvalid", S(""), "Invalid value: \"%s\": must be an object", model_json_type(object));
    else
        check_object(&c, root, object, old, NULL);
    if (c.blocked)
        model_cause_add(errors, a, "FieldValueInvalid", S("<nil>"), "Invalid value: null: some validation rules were not checked"
                        " because the object was invalid; correct the existing errors to complete validation");
    else if (json_is(object, JSON_OBJECT))
        model_check_rules(&c, root, object, old, NULL);
    return a->over ? kr_fail(e, KR_TOO_LARGE, "checking the object needs more than %zu bytes of memory", a->limit) : 0;
}

int model_admit(const struct model_type *t, struct arena *a, struct json *object, const struct json *old,
                struct model_errors *errors, struct str_list *unknown, struct kr_err *e)
{
    model_prune(t, a, object, unknown);
    model_default(t, a, object);
    return model_check(t, a, object, old, errors, e);
}

void model_errors_print(const struct model_type *t, struct str name, const struct model_errors *l, struct buf *b)
{
    buf_fmt(b, "%s%s%s \"%.*s\" is invalid: ", t->kind, t->group ? "." : "", t->group ? t->group : "", SFMT(name));
    if (l->n != 1)
        buf_byte(b, '[');
    for (size_t i = 0; i < l->n; i++)
        buf_fmt(b, "%s%.*s: %.*s", i ? ", " : "", SFMT(l->v[i].field), SFMT(l->v[i].message));
    if (l->n != 1)
        buf_byte(b, ']');
}
