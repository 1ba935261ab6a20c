/* SPDX-License-Identifier: Apache-2.0 */
/* expr_ast: the tree between expr_parse.c and expr_eval.c. Private to core/expr*.c. */
#ifndef CORE_EXPR_AST_H
#define CORE_EXPR_AST_H
#include "core/expr.h"
#include "core/regex.h"

enum node_op {
    N_LITERAL, N_VAR, N_FIELD, N_INDEX, N_LIST, N_MAP, N_CALL, N_HAS,
    N_NOT, N_NEG, N_AND, N_OR, N_COND, N_EQ, N_NE, N_LT, N_LE, N_GT, N_GE, N_IN, N_ADD, N_SUB, N_MUL, N_DIV, N_MOD,
    N_ALL, N_EXISTS, N_EXISTS_ONE, N_FILTER, N_MAP_TO,
};
struct node {
    enum node_op op;
    uint32_t at;                     /* position in the text, 0-based */
    uint32_t slot;                   /* VAR: index; macros: where their variable is kept */
    uint32_t n;                      /* LIST, MAP (2 a pair), CALL: children */
    uint16_t depth;                  /* of the tree from here down: evaluation recurses */
    struct str name;                 /* FIELD, HAS; VAR for messages */
    struct value value;              /* LITERAL */
    struct node *a, *b, *c;          /* operands; macros: list, predicate, and what MAP_TO makes */
    struct node **kids;
    const struct expr_fn *fn;
    struct regex *regex;             /* CALL of matches with a literal pattern */
};
struct expr {
    struct arena arena;
    struct str text;
    const struct expr_env *env;
    size_t nslots;                   /* env's variables, then those of macros */
    struct node *root;
    const struct expr_schema *yields;  /* schema of the root; NULL: unknown */
    struct node *regexes[LIMIT_EXPR_REGEXES];
    size_t nregexes;
    uint64_t uses;                   /* bit i: env variable i */
};
extern const struct expr_fn expr_builtins[];
extern const size_t expr_nbuiltins;

/* expr_value.c */
bool value_equal(struct expr_run *, struct value, struct value);
size_t value_len(struct value);                                              /* LIST, MAP, OBJECT */
struct value value_at(struct value list, size_t i);                          /* i < value_len */
struct value value_key(struct value map, size_t i);
struct value value_item(struct value map, size_t i);
bool value_get(struct value map, struct value key, struct value *out);
bool value_get_field(struct value map, struct str name, struct value *out);
const char *kind_name(enum expr_kind);
/* expr_eval.c: takes cost off the budget; <0 when it is spent */
int expr_charge(struct expr_run *, size_t cost, struct kr_err *);
/* -1, 0, 1; INT32_MIN when the two can't be compared. */
int value_compare(struct value, struct value);
#endif
