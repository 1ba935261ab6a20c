/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expr: a subset of CEL, the expression language of Kubernetes' validation rules and of Workflow's ${{ }}.
 *
 * An expression is compiled once (names, functions, argument counts and declared fields are checked then) and evaluated
 * often, each time within a cost budget. As in CEL there are no implicit conversions, int64 overflow is an error, an
 * error on one side of && or || is forgiven when the other side decides, and strings count Unicode characters.
 *
 *   literals    1  0x1F  1.5  'a' "a" r"\d" '''…'''  true false null  [a, b]  {"k": v}
 *   operators   ?:  ||  &&  == != < <= > >= in  + -  * / %  ! -  .field  [index]
 *   macros      has(a.b)  l.all(x, p)  l.exists(x, p)  l.exists_one(x, p)  l.filter(x, p)  l.map(x, e)  l.map(x, p, e)
 *   functions   size int double string bool duration type, of strings contains startsWith endsWith matches split join replace
 *               trim lowerAscii upperAscii substring charAt indexOf lastIndexOf, of lists sum min max isSorted, and those
 *               the caller adds
 *   not here    uint and bytes literals, timestamps, messages, optionals: refused when compiled
 */
#ifndef CORE_EXPR_H
#define CORE_EXPR_H
#include "core/json.h"

/* ---- what is known of the data before there is any ---- */
enum expr_kind { EXPR_DYN, EXPR_BOOL, EXPR_INT, EXPR_DOUBLE, EXPR_STRING, EXPR_LIST, EXPR_MAP, EXPR_OBJECT, EXPR_DURATION, EXPR_NULL, EXPR_TYPE };
/* A schema is what the caller has; expr asks it only this. NULL stands for "anything". */
struct expr_schema {
    enum expr_kind kind;
    /* OBJECT: the schema of a declared field, NULL when there is none of that name. */
    const struct expr_schema *(*field)(const struct expr_schema *, struct str name);
    const struct expr_schema *(*items)(const struct expr_schema *);       /* LIST: of an item; MAP: of a value; may be NULL */
    bool as_set;                                                         /* LIST: equality without order (list type set or map) */
};

/* ---- values ---- */
struct value;
struct value_pair;
struct value {
    enum expr_kind kind;
    uint32_t n;                               /* LIST, MAP built by the expression: how many */
    const struct expr_schema *schema;
    union {
        bool b; int64_t i; double d;          /* i: also DURATION, in nanoseconds, and TYPE (a kind) */
        struct str s;
        const struct value *items;            /* LIST with json NULL */
        const struct value_pair *pairs;       /* MAP with json NULL */
    };
    const struct json *json;                  /* LIST, MAP, OBJECT that stand on a tree */
};
struct value_pair { struct value key, value; };
struct value value_of_json(const struct json *, const struct expr_schema *);   /* NULL tree: null */
static inline struct value value_of_str(struct str s) { return (struct value){ .kind = EXPR_STRING, .s = s }; }
static inline struct value value_of_bool(bool b) { return (struct value){ .kind = EXPR_BOOL, .b = b }; }
static inline struct value value_of_int(int64_t i) { return (struct value){ .kind = EXPR_INT, .i = i }; }
/* As string() writes scalars, and lists and maps as JSON. */
void value_print(struct buf *, struct value);

/* ---- compile ---- */
struct expr_run;
struct expr_var { const char *name; const struct expr_schema *schema; };
struct expr_fn {
    const char *name;
    uint8_t min_args, max_args;               /* the receiver of a method counts as the first */
    bool method;                              /* x.f(…) rather than f(…) */
    /* <0 and an error in *e ends the evaluation (unless && or || forgives it). */
    int (*call)(struct expr_run *, const struct value *args, size_t n, struct value *out, struct kr_err *e);
};
struct expr_env {
    const struct expr_var *vars; size_t nvars;
    const struct expr_fn *fns; size_t nfns;   /* besides the built-in ones */
};
struct expr;
/* KR_INVALID with the position (1-based, in bytes): "at 12: undeclared field 'foo'". */
struct expr *expr_compile(struct str text, const struct expr_env *, struct kr_err *e);
void expr_free(struct expr *);
/* What it yields where that can be said before there are values, else EXPR_DYN. */
enum expr_kind expr_yields(const struct expr *);
bool expr_uses(const struct expr *, const char *var);

/* ---- evaluate ---- */
struct expr_run {
    struct arena *arena;                      /* for what is built on the way; the result may point into it */
    int64_t cost_left;                        /* goes down; below zero: KR_TOO_LARGE "cost budget" */
    void *ctx;                                /* for the caller's functions */
};
/* vars are parallel to env.vars. */
int expr_eval(const struct expr *, struct expr_run *, const struct value *vars, struct value *out, struct kr_err *e);
/* The same, and the result must be a bool. */
int expr_eval_bool(const struct expr *, struct expr_run *, const struct value *vars, bool *out, struct kr_err *e);
#endif
