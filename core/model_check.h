/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_check: what the files behind core/model_admit.h share; private to core/model_*.c. A kind's schema, with its
 * patterns and rules compiled, is a tree of nodes that is made at first use and kept as long as the process lives.
 */
#ifndef CORE_MODEL_CHECK_H
#define CORE_MODEL_CHECK_H
#include "core/expr.h"
#include "core/model_admit.h"
#include "core/regex.h"

struct model_compiled_rule {
    const struct model_rule *rule;
    struct expr *test, *message;          /* message NULL: the fixed one */
    bool transition;                      /* uses oldSelf */
};
struct model_node {
    struct expr_schema cel;               /* what rules see of it */
    const struct model_schema *s;
    struct model_node *fields;            /* OBJECT: parallel to s->object->fields */
    struct model_node *item;              /* LIST, MAP */
    struct regex *pattern;
    struct model_compiled_rule *rules;
    size_t nfields, nrules;
    bool rules_below, transitions_below;  /* here or further down */
    struct expr_var vars[2];              /* self, oldSelf */
    struct expr_env env;
};
/* The root node of the kind; NULL and e when the table is wrong. */
struct model_node *model_compile(const struct model_type *, struct kr_err *e);

/* Where a value is: a chain on the stack. Rules and list types write keys of maps in brackets, the schema does not. */
struct model_place {
    const struct model_place *up;
    struct str key;                       /* p NULL: item `index` of a list */
    size_t index;
    bool map_key;
};
void model_place_print(struct buf *, const struct model_place *, bool brackets);

struct model_checker {
    struct arena *arena;
    struct model_errors *errors;
    int64_t cost_left;                    /* for all rules of the object */
    bool blocked;                         /* an error that keeps rules from being checked */
};
static inline bool model_full(const struct model_checker *c) { return c->errors->n >= LIMIT_MODEL_ERRORS || c->arena->over; }
/* The field declared under that name; NULL when there is none. */
struct model_node *model_node_field(const struct model_node *, struct str name);
/* The value in `old` that a child of an unchanged place corresponds to; NULL when there is none. */
const struct json *model_old_item(const struct model_schema *list, const struct json *old, const struct json *item);
/* "string", "integer", "number", "boolean", "array", "object", "null" */
const char *model_json_type(const struct json *);
/* A value as it stands in "Invalid value: …". */
void model_quote(struct buf *, const struct json *);
/* Runs every rule of the tree below `n` that applies. */
void model_check_rules(struct model_checker *, const struct model_node *n, const struct json *v, const struct json *old,
                       const struct model_place *at);
#endif
