/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_read: a YAML stream into JSON texts, from libyaml's events.
 *
 * The one idea: the JSON text is written as the events come, without a tree. An anchor is then a range of that text, an alias
 * a counted copy of the range; a range is only known when it is complete, so a value can't contain itself.
 *
 * libyaml gives syntax and positions only; what a scalar means is in yaml_plain.c.
 * Not here: merge keys, own tags, comments (they are lost).
 */
#include "core/yaml.h"
#include "core/map.h"
#include <stdio.h>
#include <yaml.h>

#define CORE_TAG "tag:yaml.org,2002:"

struct anchor { size_t start, end; int levels; };   /* of the document's JSON text */
struct key { size_t line; };

/* A mapping or sequence that is open. */
struct frame {
    bool object, value_next;        /* value_next: the key is written */
    struct map keys;                /* of an object: struct key */
    struct str anchor;              /* p NULL when it has none */
    size_t start;
    int levels;                     /* containers below */
};

struct reader {
    yaml_parser_t parser;
    struct arena *a;
    struct kr_err *e;
    struct str text;
    struct buf out;                 /* the document at hand */
    struct frame frames[LIMIT_JSON_DEPTH];
    int depth;
    struct map anchors;             /* struct anchor */
    size_t copied;                  /* bytes that aliases cost */
    size_t line;                    /* where the document's content starts; 0: it has none */
    struct yaml_doc *docs;
    size_t ndocs;
};

PRINTF(4, 5) static int fail_at(struct reader *r, enum kr_code c, yaml_mark_t at, const char *fmt, ...)
{
    char what[LIMIT_ERR_MESSAGE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return kr_fail(r->e, c, "line %zu, column %zu: %s", at.line + 1, at.column + 1, what);
}

static struct str z_view(const yaml_char_t *z) { return str_of((const char *)z); }
static int cut(struct str s) { return (int)str_rune_cut(s, 80); }

static int no_room(struct reader *r, yaml_mark_t at)
{
    return fail_at(r, KR_TOO_LARGE, at, "the document needs more memory than is allowed");
}

/* ---- libyaml's own errors ---- */
static const char *hint(const char *problem, bool tab)
{
    static const struct { const char *part, *hint; } hints[] = {
        { "mapping values are not allowed", "; put a text with ': ' in quotes, or check the indentation" },
        { "did not find expected key", "; check the indentation of this line and of the one before" },
        { "did not find expected '-' indicator", "; check the indentation of this line and of the one before" },
        { "could not find expected ':'", "; a ':' and a space are missing behind a key" },
        { "unexpected end of stream", "; a quote is not closed" },
        { "cannot start any token", "; put a text that begins with this character in quotes" },
        { "did not find expected ',' or", "; a bracket is not closed, or a comma is missing" },
        { "unknown escape character", "; in double quotes a backslash is written \\\\" },
        { "did not find expected alphabetic", "; put a text that begins with & or * in quotes" },
    };
    if (tab) return "; YAML is indented with spaces, here is a tab";
    for (size_t i = 0; i < LEN(hints); i++)
        if (strstr(problem, hints[i].part)) return hints[i].hint;
    return "";
}

static int parser_error(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    yaml_mark_t at = p->problem_mark;
    if (p->error == YAML_MEMORY_ERROR) abort();
    if (p->error == YAML_READER_ERROR)
        return kr_fail(r->e, KR_BAD_REQUEST, "offset %zu: %s", p->problem_offset, p->problem);
    bool at_end = at.index >= r->text.n;
    bool tab = !at_end && strstr(p->problem, "cannot start any token") && memchr(r->text.p, '\t', r->text.n)
               && p->buffer.pointer < p->buffer.last && *p->buffer.pointer == '\t';
    return fail_at(r, KR_BAD_REQUEST, at, "%s%s%s%s", p->problem, p->context ? " " : "",
                   p->context ? p->context : "", hint(p->problem, tab));
}

/* ---- values ---- */
/* A value is complete, from `start` (or behind the comma that was put there) to the end of the text. */
static int value_done(struct reader *r, struct str anchor, size_t start, int levels, yaml_mark_t at)
{
    if (r->depth) {
        struct frame *f = &r->frames[r->depth - 1];
        f->value_next = false;
        if (levels > f->levels) f->levels = levels;
    }
    if (r->out.failed) return no_room(r, at);
    if (!anchor.p) return 0;
    struct anchor *own = arena_new(r->a, struct anchor);
    if (!own) return no_room(r, at);
    *own = (struct anchor){ start + (r->out.p[start] == ','), r->out.n, levels };
    map_put(&r->anchors, anchor, own);             /* a later one of that name wins, as YAML says */
    return 0;
}

static int anchor_name(struct reader *r, const yaml_char_t *z, struct str *out, yaml_mark_t at)
{
    *out = z ? arena_str(r->a, z_view(z)) : (struct str){ 0 };
    return r->a->over ? no_room(r, at) : 0;
}

static bool key_is_next(const struct reader *r)
{
    return r->depth && r->frames[r->depth - 1].object && !r->frames[r->depth - 1].value_next;
}

/* Which of the core tags; JSON_ARRAY and JSON_OBJECT stand for !!seq and !!map, -2 for !!float (that is a number as well). */
enum { TAG_NONE = -1, TAG_FLOAT = -2, TAG_UNKNOWN = -3 };
static int tag_type(const yaml_char_t *tag)
{
    static const struct { const char *tag; int type; } tags[] = {
        { "!", JSON_STRING }, { CORE_TAG "str", JSON_STRING }, { CORE_TAG "int", JSON_NUMBER }, { CORE_TAG "float", TAG_FLOAT },
        { CORE_TAG "bool", JSON_TRUE }, { CORE_TAG "null", JSON_NULL }, { CORE_TAG "seq", JSON_ARRAY }, { CORE_TAG "map", JSON_OBJECT },
    };
    if (!tag) return TAG_NONE;
    for (size_t i = 0; i < LEN(tags); i++)
        if (str_is(z_view(tag), tags[i].tag)) return tags[i].type;
    return TAG_UNKNOWN;
}

/* A number that is tagged !!float may be beyond a double's range; yaml_print writes such. */
static bool tagged_number(struct str text, char number[YAML_NUMBER])
{
    struct kr_err e;
    struct str digits = text.n && text.p[0] == '+' ? str_from(text, 1) : text;
    if (digits.n >= YAML_NUMBER || json_scan(digits, &e) < 0) return false;
    struct json_cur c = json_begin(digits);
    if (json_kind(&c) != JSON_NUMBER) return false;
    memcpy(number, digits.p, digits.n);
    number[digits.n] = 0;
    return true;
}

/* What the scalar is, by its tag and style; YAML_NO_JSON after an error. */
static int scalar_type(struct reader *r, const yaml_event_t *ev, char number[YAML_NUMBER])
{
    struct str text = { (const char *)ev->data.scalar.value, ev->data.scalar.length };
    int want = tag_type(ev->data.scalar.tag);
    if (want == TAG_UNKNOWN) {
        struct str tag = z_view(ev->data.scalar.tag);
        fail_at(r, KR_BAD_REQUEST, ev->start_mark, "unknown tag '%.*s'; put a text that begins with '!' in quotes", cut(tag), tag.p);
        return YAML_NO_JSON;
    }
    if (want == JSON_STRING || (want == TAG_NONE && ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)) return JSON_STRING;
    int is = yaml_plain(text, number);
    if (want == TAG_FLOAT && is == JSON_STRING && tagged_number(text, number)) is = JSON_NUMBER;
    bool matches = want == TAG_NONE || want == is || (want == TAG_FLOAT && is == JSON_NUMBER) || (want == JSON_TRUE && is == JSON_FALSE);
    if (want == JSON_NUMBER && is == JSON_NUMBER && strpbrk(number, ".e")) matches = false;
    if (is == YAML_NO_JSON) fail_at(r, KR_BAD_REQUEST, ev->start_mark, "'%.*s' has no place in JSON; quote it if it is a text", SFMT(text));
    else if (!matches) fail_at(r, KR_BAD_REQUEST, ev->start_mark, "'%.*s' is not what its tag says", cut(text), text.p);
    return matches ? is : YAML_NO_JSON;
}

static int take_key(struct reader *r, const yaml_event_t *ev)
{
    char number[YAML_NUMBER];
    struct frame *f = &r->frames[r->depth - 1];
    struct str text = { (const char *)ev->data.scalar.value, ev->data.scalar.length };
    yaml_mark_t at = ev->start_mark;
    int type = scalar_type(r, ev, number);
    if (type == YAML_NO_JSON) return -1;
    if (ev->data.scalar.anchor) return fail_at(r, KR_BAD_REQUEST, at, "a key can't have an anchor");
    if (type != JSON_STRING && type != JSON_NUMBER)
        return fail_at(r, KR_BAD_REQUEST, at, "the key '%.*s' is read as %s; put it in quotes", cut(text), text.p,
                       type == JSON_NULL ? "null" : type == JSON_TRUE ? "true" : "false");
    if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && str_is(text, "<<"))
        return fail_at(r, KR_BAD_REQUEST, at, "merge keys ('<<') are not offered; write the members out");
    if (text.n && memchr(text.p, 0, text.n)) return fail_at(r, KR_BAD_REQUEST, at, "a key has a NUL character inside");
    struct str name = arena_str(r->a, type == JSON_NUMBER ? str_of(number) : text);
    struct key *own = arena_new(r->a, struct key), *before = map_get(&f->keys, name);
    if (!own) return no_room(r, at);
    if (before) return fail_at(r, KR_BAD_REQUEST, at, "the key '%.*s' is there already, in line %zu", cut(name), name.p, before->line);
    own->line = at.line + 1;
    map_put(&f->keys, name, own);
    jw_key(&r->out, name);
    f->value_next = true;
    return 0;
}

static int take_scalar(struct reader *r, const yaml_event_t *ev)
{
    char number[YAML_NUMBER];
    struct str anchor, text = { (const char *)ev->data.scalar.value, ev->data.scalar.length };
    size_t start = r->out.n;
    if (key_is_next(r)) return take_key(r, ev);
    int type = scalar_type(r, ev, number);
    if (type == YAML_NO_JSON || anchor_name(r, ev->data.scalar.anchor, &anchor, ev->start_mark) < 0) return -1;
    if (type == JSON_STRING && text.n && memchr(text.p, 0, text.n))
        return fail_at(r, KR_BAD_REQUEST, ev->start_mark, "a text has a NUL character inside");
    if (type == JSON_STRING) jw_str(&r->out, text);
    else if (type == JSON_NUMBER) jw_raw(&r->out, str_of(number));
    else if (type == JSON_NULL) jw_null(&r->out);
    else jw_bool(&r->out, type == JSON_TRUE);
    return value_done(r, anchor, start, 0, ev->end_mark);
}

static int open_container(struct reader *r, const yaml_event_t *ev, bool object)
{
    const yaml_char_t *tag = object ? ev->data.mapping_start.tag : ev->data.sequence_start.tag;
    const yaml_char_t *anchor = object ? ev->data.mapping_start.anchor : ev->data.sequence_start.anchor;
    int want = tag_type(tag);
    if (want != TAG_NONE && want != (object ? JSON_OBJECT : JSON_ARRAY))
        return fail_at(r, KR_BAD_REQUEST, ev->start_mark, "the tag '%.*s' is not offered here", cut(z_view(tag)), tag);
    if (key_is_next(r)) return fail_at(r, KR_BAD_REQUEST, ev->start_mark, "a key is a text, not %s", object ? "a mapping" : "a list");
    if (r->depth == LIMIT_JSON_DEPTH)
        return fail_at(r, KR_TOO_LARGE, ev->start_mark, "nested more than %d levels deep", LIMIT_JSON_DEPTH);
    struct frame f = { .object = object, .start = r->out.n };
    if (anchor_name(r, anchor, &f.anchor, ev->start_mark) < 0) return -1;
    r->frames[r->depth++] = f;
    jw_begin(&r->out, object ? '{' : '[');
    return r->out.failed ? no_room(r, ev->start_mark) : 0;
}

static int close_container(struct reader *r, const yaml_event_t *ev)
{
    struct frame f = r->frames[--r->depth];
    map_free(&f.keys);
    jw_end(&r->out, f.object ? '}' : ']');
    return value_done(r, f.anchor, f.start, f.levels + 1, ev->end_mark);
}

static int take_alias(struct reader *r, const yaml_event_t *ev)
{
    struct str name = z_view(ev->data.alias.anchor);
    const struct anchor *to = map_get(&r->anchors, name);
    yaml_mark_t at = ev->start_mark;
    if (key_is_next(r)) return fail_at(r, KR_BAD_REQUEST, at, "a key can't be an alias; put a text that begins with '*' in quotes");
    if (!to) return fail_at(r, KR_BAD_REQUEST, at, "nothing before this has the anchor '&%.*s', or it is not complete yet",
                            cut(name), name.p);
    size_t n = to->end - to->start, start = r->out.n;
    if (r->depth + to->levels > LIMIT_JSON_DEPTH)
        return fail_at(r, KR_TOO_LARGE, at, "nested more than %d levels deep", LIMIT_JSON_DEPTH);
    r->copied += n;
    if (r->copied > LIMIT_YAML_ALIASED)
        return fail_at(r, KR_TOO_LARGE, at, "the aliases of this file stand for more than %d bytes", LIMIT_YAML_ALIASED);
    AUTO_FREE char *copy = xstrndup(r->out.p + to->start, n);      /* the buffer may move while it is appended to */
    jw_raw(&r->out, (struct str){ copy, n });
    return value_done(r, (struct str){ 0 }, start, to->levels, at);
}

/* ---- documents ---- */
static int end_document(struct reader *r, const yaml_event_t *ev)
{
    struct kr_err why = { 0 };
    if (!r->line) return 0;
    if (r->ndocs == LIMIT_YAML_DOCUMENTS)
        return fail_at(r, KR_TOO_LARGE, ev->start_mark, "the file has more than %d documents", LIMIT_YAML_DOCUMENTS);
    struct str json = arena_str(r->a, buf_view(&r->out));
    if (r->a->over) return no_room(r, ev->start_mark);
    if (json_scan(json, &why) < 0) return kr_fail(r->e, why.code, "the document at line %zu: %s", r->line, why.msg);
    r->docs = xrealloc(r->docs, (r->ndocs + 1) * sizeof *r->docs);
    r->docs[r->ndocs++] = (struct yaml_doc){ json, r->line };
    return 0;
}

/* "---" with nothing behind it: libyaml makes it an empty plain scalar. */
static bool is_nothing(const yaml_event_t *ev)
{
    return ev->type == YAML_SCALAR_EVENT && !ev->data.scalar.length && ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE
           && !ev->data.scalar.tag && !ev->data.scalar.anchor;
}

static int take_event(struct reader *r, const yaml_event_t *ev)
{
    if (ev->type == YAML_DOCUMENT_START_EVENT) {
        buf_clear(&r->out);
        map_free(&r->anchors);
        r->line = 0;
        return 0;
    }
    if (ev->type == YAML_DOCUMENT_END_EVENT) return end_document(r, ev);
    if (ev->type == YAML_STREAM_START_EVENT || ev->type == YAML_STREAM_END_EVENT) return 0;
    if (!r->line) {
        if (is_nothing(ev)) return 0;
        r->line = ev->start_mark.line + 1;
    }
    switch (ev->type) {
    case YAML_ALIAS_EVENT: return take_alias(r, ev);
    case YAML_SCALAR_EVENT: return take_scalar(r, ev);
    case YAML_SEQUENCE_START_EVENT: return open_container(r, ev, false);
    case YAML_MAPPING_START_EVENT: return open_container(r, ev, true);
    default: return close_container(r, ev);
    }
}

static int read_all(struct reader *r)
{
    for (bool end = false; !end; ) {
        yaml_event_t ev;
        if (!yaml_parser_parse(&r->parser, &ev)) return parser_error(r);
        end = ev.type == YAML_STREAM_END_EVENT;
        int rc = take_event(r, &ev);
        yaml_event_delete(&ev);
        if (rc < 0) return rc;
    }
    return 0;
}

/* ---- JSON as it is ---- */
struct twice { struct str key; size_t offset; bool seen; };
static void note_twice(void *ctx, struct str key, size_t offset)
{
    struct twice *t = ctx;
    if (!t->seen) *t = (struct twice){ key, offset, true };
}

static size_t line_of(struct str text, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset; i++) line += text.p[i] == '\n';
    return line;
}

/* 1: it was one JSON value; 0: it is for the YAML parser. JSON has escapes ("\ud83d\ude00") that YAML has not. */
static int take_json(struct str text, struct arena *a, struct yaml_docs *out, struct kr_err *e)
{
    struct twice twice = { .seen = false };
    struct kr_err why;
    struct str body = str_trim(text);
    if (!body.n || (body.p[0] != '{' && body.p[0] != '[') || json_scan_keys(body, note_twice, &twice, &why) < 0) return 0;
    size_t before = (size_t)(body.p - text.p);
    if (twice.seen)
        return kr_fail(e, KR_BAD_REQUEST, "line %zu: the key '%.*s' is there already", line_of(text, before + twice.offset),
                       cut(twice.key), twice.key.p);
    struct yaml_doc doc = { arena_str(a, body), line_of(text, before) }, *docs = arena_copy(a, &doc, sizeof doc);
    if (!docs) return kr_fail(e, KR_TOO_LARGE, "the file needs more memory than is allowed");
    *out = (struct yaml_docs){ docs, 1 };
    return 1;
}

int yaml_to_json(struct str yaml, struct arena *a, struct yaml_docs *out, struct kr_err *e)
{
    if (yaml.n > LIMIT_FILE_INPUT) return kr_fail(e, KR_TOO_LARGE, "the file has %zu bytes, %d are allowed", yaml.n, LIMIT_FILE_INPUT);
    if (!str_utf8(yaml)) return kr_fail(e, KR_BAD_REQUEST, "line %zu: not UTF-8", line_of(yaml, str_utf8_prefix(yaml)));
    int rc = take_json(yaml, a, out, e);
    if (rc) return rc < 0 ? rc : 0;
    struct reader *r = xcalloc(1, sizeof *r);
    r->a = a, r->e = e, r->text = yaml;
    r->out.max = 2 * (size_t)LIMIT_FILE_INPUT;
    if (!yaml_parser_initialize(&r->parser)) abort();
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)(yaml.n ? yaml.p : ""), yaml.n);
    rc = read_all(r);
    struct yaml_doc *docs = rc < 0 || !r->ndocs ? NULL : arena_copy(a, r->docs, r->ndocs * sizeof *docs);
    if (rc == 0 && a->over) rc = kr_fail(e, KR_TOO_LARGE, "the file needs more memory than is allowed");
    if (rc == 0) *out = (struct yaml_docs){ docs, r->ndocs };
    for (int i = 0; i < r->depth; i++) map_free(&r->frames[i].keys);
    map_free(&r->anchors);
    yaml_parser_delete(&r->parser);
    buf_free(&r->out);
    free(r->docs);
    free(r);
    return rc;
}
