/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model: API objects as tables. One row in a .def file says what a field is; from it come the C struct, decoding and
 * encoding, the CRD with its rules, admission (core/model_admit.h), and the reference page.
 *
 *     OBJECT(run_retry_policy, "What happens after a failed attempt.")
 *         FIELD(run_retry_policy, INT32, max_attempts, "maxAttempts", "The first one included.", .def = "1", .range = { 1, 100 })
 *     END(run_retry_policy)
 *
 * gives `struct run_retry_policy { int64_t max_attempts; bool has_max_attempts; }` and `model_run_retry_policy`.
 *
 *   type in a row   member                                                    absent is
 *   TEXT TIME       struct str x (RFC 3339 text for TIME)                     x.p NULL
 *   RAW RAW_AS(o)   struct str x: the value's JSON text; RAW_AS: rules of o   x.p NULL
 *   INT INT32       int64_t x                                                 !has_x
 *   BOOL            bool x                                                    !has_x
 *   OF(o)           struct o x                                                !has_x (when required, it is always encoded)
 *   LIST(o)         struct { struct o *v; size_t n; } x                       x.v NULL
 *   MAP(o)          struct { struct { struct str key; struct o value; } *v; size_t n; } x     likewise, as all below
 *   TEXTS           struct str_list x
 *   TEXT_MAP        struct str_map x
 *   TEXTS_MAP       struct str_list_map x
 *   TEXT_MAPS       struct str_map_list x
 *   COUNTS          struct count_map x: whole numbers, from numbers or strings of digits; more than int64 holds is its maximum
 */
#ifndef CORE_MODEL_H
#define CORE_MODEL_H
#include "core/json.h"

/* ---- what structs are made of ---- */
struct str_pair { struct str key, value; };
struct count_pair { struct str key; int64_t value; };
struct str_list { struct str *v; size_t n; };
struct str_map { struct str_pair *v; size_t n; };
struct count_map { struct count_pair *v; size_t n; };
struct str_list_pair { struct str key; struct str_list value; };
struct str_list_map { struct str_list_pair *v; size_t n; };
struct str_map_list { struct str_map *v; size_t n; };
struct str str_map_get(struct str_map, struct str key);                  /* p NULL when absent */
struct count_pair *count_map_find(const struct count_map *, struct str key);     /* NULL: absent */

/* ---- the tables (written by core/model_tables.h from .def files) ---- */
enum model_shape {
    MODEL_TEXT, MODEL_TIME, MODEL_INT, MODEL_INT32, MODEL_BOOL, MODEL_COUNT, MODEL_RAW, MODEL_OBJECT, MODEL_LIST, MODEL_MAP,
};

/* One x-kubernetes-validations entry. `reason` NULL is FieldValueInvalid; `path` is relative (".inline"). */
struct model_rule { const char *rule, *message, *reason, *path, *message_expr; };
#define RULE(r, m, ...) { .rule = r, .message = m, ##__VA_ARGS__ }
#define RULES(...) (const struct model_rule[]){ __VA_ARGS__, { .rule = NULL } }
/* A field that never changes, absent or present, of an object that is always there; MODEL_NEVER is an upper bound of 0 in `len`. */
#define FIXED(f) RULE("has(self." f ") ? has(oldSelf." f ") && self." f " == oldSelf." f " : !has(oldSelf." f ")", \
                      "field is immutable", .reason = "FieldValueForbidden", .path = "." f)
#define MODEL_NEVER (-1)

struct model_schema {
    enum model_shape shape;
    bool raw;                             /* the struct keeps JSON text though a schema is declared */
    bool required;
    int64_t len[2];                       /* min, max of characters, items or members; max 0: none */
    int64_t range[2];                     /* min, max of numbers; {0, 0}: none; INT64_MAX: no maximum */
    const char *pattern;                  /* RE2; of COUNT: of the string form */
    const char *one_of;                   /* allowed words, separated by single spaces */
    const char *def;                      /* default as JSON text */
    const char *list;                     /* LIST: NULL (as atomic, unsaid), "atomic", "set", "map:KEY" */
    const struct model_rule *rules;       /* ends with rule NULL; may be NULL */
    const struct model_schema *item;      /* LIST, MAP: of an item or value; NULL: any text */
    const struct model_object *object;    /* OBJECT */
    size_t size;                          /* LIST, MAP: bytes of an element in C */
};
#define ITEM(t, ...) &(const struct model_schema){ .shape = MODEL_##t, __VA_ARGS__ }

struct model_field {
    const char *name, *doc;               /* name in JSON; NULL ends the table */
    uint32_t len;                         /* of name */
    uint32_t at, has;                     /* offsets; has 0: presence is in the value */
    struct model_schema s;
};
struct model_object {
    const char *doc;
    size_t size;
    bool open;                            /* unknown fields are kept (x-kubernetes-preserve-unknown-fields) */
    bool atomic;                          /* x-kubernetes-map-type: atomic */
    const struct model_rule *rules;       /* of the object itself */
    const struct model_field *fields;
};

/* `type` string, integer, date; `wide` only with -o wide. */
struct model_column { const char *name, *type, *path; bool wide; };
#define COLUMNS(...) (const struct model_column[]){ __VA_ARGS__, { .name = NULL } }
struct model_type {
    const char *group, *version, *kind, *plural, *singular;
    const char *short_name;               /* NULL: none */
    const char *doc;
    const struct model_object *object;    /* the root: metadata, spec, status */
    const struct model_column *columns;   /* NULL: name and age */
    const char *selectable;               /* field paths (".spec.runtime"), separated by spaces; NULL: none */
    bool cluster;                         /* not namespaced */
    bool status;                          /* has a /status subresource */
    const char *scale_spec, *scale_status, *scale_selector;    /* paths of /scale; NULL: none */
    bool names_in_rules;                  /* metadata.name is declared, so that a root rule can point at it */
};

/* ---- structs from JSON and back ---- */
/* Decodes a *checked* text (json_scan) to a new struct on the arena; strings are views into the text where they have no
 * escapes. Unknown fields are skipped, null is absent, nothing is defaulted. NULL and KR_INVALID
 * "spec.env[3].name: expected a string, got a number"; KR_TOO_LARGE when the arena is over. */
void *model_decode_object(const struct model_object *, struct str checked, struct arena *, struct kr_err *e);
#define model_decode(T, checked, arena, e) ((struct T *)model_decode_object(&model_##T, (checked), (arena), (e)))
/* The state that a watch showed last: a copy of its text, and what was decoded from it. Starts as zeros. */
struct model_kept { struct buf text; struct arena arena; };
/* Decodes a copy of the text, which takes the place of what was kept; on failure that stays. budget: bytes of the arena. */
void *model_keep_object(struct model_kept *, const struct model_object *, struct str checked, size_t budget, struct kr_err *e);
#define model_keep(T, kept, checked, budget, e) ((struct T *)model_keep_object((kept), &model_##T, (checked), (budget), (e)))
void model_kept_free(struct model_kept *);
/* Appends the object as JSON, fields in table order, absent ones left out. */
void model_encode_object(const struct model_object *, const void *, struct buf *);
#define model_encode(T, p, out) model_encode_object(&model_##T, 1 ? (p) : (const struct T *)NULL, (out))
/* A whole API object: with apiVersion and kind in front. */
void model_encode_kind(const struct model_type *, const void *, struct buf *);

/* ---- about the tables ---- */
/* "kruntimes.io/v1alpha1", or "v1" of the core group. */
void model_api_version(const struct model_type *, struct buf *);
const struct model_field *model_find(const struct model_object *, struct str name);
/* The field at "spec.env.name" (lists and maps are stepped into; a map's key may be written or left out); empty path:
 * NULL with success. KR_NOT_FOUND with the first unknown name. */
int model_look_up(const struct model_type *, struct str path, const struct model_field **out, struct kr_err *e);
/* The declared name that the first unknown one of a path was probably meant to be; NULL when none is near. */
const char *model_nearest(const struct model_type *, struct str path);
/* "string", "integer", "[]object", "map[string]string" as kubectl explain writes types. */
void model_type_name(const struct model_schema *, struct buf *);
/* The schema of items, also where a table leaves plain text unsaid. */
const struct model_schema *model_item(const struct model_schema *);
#endif
