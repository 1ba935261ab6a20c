/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json: RFC 8259 in three tools.
 *
 *   scan     one pass that checks a text, then a cursor that walks it without a tree (typed decoding, look-ups)
 *   tree     for documents of unknown shape: patches, jsonpath, expressions. Is cJSON inside; only core/json_tree.c knows
 *   write    a stream of members and items onto a buf
 *
 * Checked means: UTF-8, no byte order mark, nothing behind the value, depth at most LIMIT_JSON_DEPTH. Half of a
 * surrogate pair is read as U+FFFD, as Kubernetes does. Of duplicate keys the last wins. Numbers keep their text: what a double can't hold is not rounded.
 */
#ifndef CORE_JSON_H
#define CORE_JSON_H
#include "core/kr.h"

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* ---- scan ------------------------------------------------------------------------------------------------------- */
/* KR_BAD_REQUEST "offset N: …" when the text is not one checked JSON value. */
int json_scan(struct str text, struct kr_err *e);
/* As above; calls `twice` for each key that an object has a second time (raw key, offset). Costs a little more. */
int json_scan_keys(struct str text, void (*twice)(void *ctx, struct str key, size_t offset), void *ctx, struct kr_err *e);

/* A cursor stands at a value of a *checked* text; on an unchecked one nothing holds. */
struct json_cur { const char *at, *end; };
struct json_cur json_begin(struct str checked);
enum json_type json_kind(const struct json_cur *);
/* Objects: json_enter, then while (json_member(&c, a, &key)) consume the value; the same with json_item for arrays.
 * When there is none left the closing bracket is consumed. A key without escapes is a view, else a copy on the arena. */
void json_enter(struct json_cur *);
bool json_member(struct json_cur *, struct arena *, struct str *key);
bool json_item(struct json_cur *);
struct str json_raw(struct json_cur *);                      /* consumes the value, gives its text */
static inline void json_skip(struct json_cur *c) { (void)json_raw(c); }
/* Consumes a string; without escapes a view, else a copy on the arena (empty when that is over its budget). */
struct str json_text(struct json_cur *, struct arena *);
/* Consumes the value; false when it is not a whole number in int64 (1.0 and 1e3 are whole). */
bool json_i64(struct json_cur *, int64_t *out);
/* The member of that name in an object's text (last one wins), as raw text; p NULL when absent or not an object.
 * Keys with escapes are not found. */
struct str json_find(struct str object, const char *key);
struct str json_find_path(struct str object, const char *const *keys, size_t n);
/* Several of them in one pass: out[i] is what json_find gives for keys[i]. */
void json_pick(struct str object, const char *const *keys, struct str *out, size_t n);
/* The string at a raw value; p NULL when it isn't one. */
struct str json_str_of(struct str raw, struct arena *);

/* ---- tree ------------------------------------------------------------------------------------------------------- */
struct json;
/* All memory comes from the arena; nothing is freed before it. Checks as json_scan does; a key with \u0000 inside is
 * refused, and a number that no double holds (1e400). NULL and e on failure (KR_TOO_LARGE when the arena is over). */
struct json *json_parse(struct arena *, struct str text, struct kr_err *e);
/* As above; *twice says whether an object had a key twice, json_twice where. */
struct json *json_parse_keys(struct arena *, struct str text, bool *twice, struct kr_err *e);
/* Calls `told` for each key of a checked text that its object had before: "spec.containers[0].name". */
void json_twice(struct str checked, void (*told)(void *ctx, struct str path), void *ctx);
enum json_type json_type(const struct json *);
const char *json_type_name(enum json_type);                  /* "string", "integer" is not told from "number" */
bool json_is(const struct json *, enum json_type);           /* false for NULL */
struct str json_string(const struct json *);                 /* empty unless a string */
bool json_int(const struct json *, int64_t *out);            /* as json_i64 */
double json_double(const struct json *);                     /* 0 unless a number; converts its text each time */
bool json_fits_double(const char *number);                   /* of a number as JSON writes it: false for 1e400 */
struct str json_number_text(const struct json *);            /* as it will be printed; the tree's */
bool json_is_whole(const struct json *);                     /* a number without fraction, of any size */

size_t json_len(const struct json *);                        /* members or items */
struct json *json_first(const struct json *);                /* for (j = json_first(o); j; j = json_next(j)) */
struct json *json_next(const struct json *);
struct str json_key(const struct json *member);
struct json *json_at(const struct json *array, size_t i);    /* O(i) */
struct json *json_get_str(const struct json *object, struct str key);     /* NULL when absent, or not an object */
static inline struct json *json_get(const struct json *object, const char *key) { return json_get_str(object, str_of(key)); }
struct json *json_get_path(const struct json *object, const char *const *keys, size_t n);

struct json *json_new_null(struct arena *);
struct json *json_new_bool(struct arena *, bool);
struct json *json_new_int(struct arena *, int64_t);
struct json *json_new_double(struct arena *, double);
struct json *json_new_str(struct arena *, struct str);
struct json *json_new_object(struct arena *);
struct json *json_new_array(struct arena *);
/* The value must be in no tree; it replaces a member of that key in its place, else it comes last. */
void json_set(struct arena *, struct json *object, struct str key, struct json *value);
/* As json_set for a key that the object does not have: no look. */
void json_add(struct arena *, struct json *object, struct str key, struct json *value);
/* Of members with the same key the last one stays: for who had no time to look at each json_add. */
void json_drop_duplicates(struct json *tree);
struct json *json_ensure_object(struct arena *, struct json *object, const char *key);   /* made when absent or of another type */
bool json_del(struct json *object, struct str key);
void json_append(struct json *array, struct json *value);
bool json_insert(struct json *array, size_t i, struct json *value);       /* before item i; i == json_len appends; false beyond */
bool json_remove_at(struct json *array, size_t i);
void json_remove(struct json *parent, struct json *child);
void json_replace(struct json *parent, struct json *child, struct json *value);      /* the value, in no tree, takes the child's place and key */
struct json *json_clone(struct arena *, const struct json *);             /* without the key of a member */
bool json_equal(const struct json *, const struct json *);                /* objects without order, numbers by value */
void json_print(struct buf *, const struct json *);                       /* compact; order as it stands */

/* A checked text with line ends and four spaces a level, for people. */
void json_indent(struct buf *, struct str checked);

/* ---- write ------------------------------------------------------------------------------------------------------ */
/* Commas are put where they belong: jw_* look at the last byte of the buf. The k-forms write a member. */
void jw_begin(struct buf *, char bracket);                   /* '{' or '[' as an item or at the start */
void jw_kbegin(struct buf *, const char *key, char bracket);
void jw_end(struct buf *, char bracket);                     /* '}' or ']' */
void jw_key(struct buf *, struct str key);                   /* then exactly one value */
void jw_str(struct buf *, struct str);
void jw_int(struct buf *, int64_t);
void jw_bool(struct buf *, bool);
void jw_null(struct buf *);
void jw_raw(struct buf *, struct str json);                  /* a value that is JSON already */
static inline void jw_kstr(struct buf *b, const char *key, struct str v) { jw_key(b, str_of(key)); jw_str(b, v); }
static inline void jw_kint(struct buf *b, const char *key, int64_t v) { jw_key(b, str_of(key)); jw_int(b, v); }
static inline void jw_kbool(struct buf *b, const char *key, bool v) { jw_key(b, str_of(key)); jw_bool(b, v); }
static inline void jw_kraw(struct buf *b, const char *key, struct str json) { jw_key(b, str_of(key)); jw_raw(b, json); }
#endif
