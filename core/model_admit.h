/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_admit: what a Kubernetes API server does to an object of a CRD before it stores it, in the same order and the
 * same words: null members dropped, undeclared fields pruned, defaults filled in, schema, list types and rules checked.
 *
 * Metadata is left alone (it is the server's own business), but rules may look at it. On an update an unchanged value is
 * not checked again, so a tightened table doesn't lock old objects; rules that use oldSelf run all the same.
 */
#ifndef CORE_MODEL_ADMIT_H
#define CORE_MODEL_ADMIT_H
#include "core/model.h"

/* One entry of a Status' details.causes. */
struct model_cause {
    const char *reason;                   /* "FieldValueRequired" and the like */
    struct str field;                     /* "spec.env[0].name" */
    struct str message;                   /* "Required value" */
};
struct model_errors {
    struct model_cause *v;                /* on the arena */
    size_t n, cap;                        /* at most LIMIT_MODEL_ERRORS; what comes behind is not looked for */
};

/* Drops null members and undeclared fields of the object. `unknown` (may be NULL) gets their paths, sorted; on the arena. */
void model_prune(const struct model_type *, struct arena *, struct json *object, struct str_list *unknown);
/* Adds defaults of absent fields in objects that are there. */
void model_default(const struct model_type *, struct arena *, struct json *object);
/* Appends what is wrong to `errors`; `old` is the stored object, NULL on create. 0 whether or not something is wrong; <0
 * KR_TOO_LARGE when the arena is over, KR_INVALID when a rule or pattern of the table itself can't be compiled. */
int model_check(const struct model_type *, struct arena *, const struct json *object, const struct json *old,
                struct model_errors *errors, struct kr_err *e);
/* The three one after the other. */
int model_admit(const struct model_type *, struct arena *, struct json *object, const struct json *old,
                struct model_errors *errors, struct str_list *unknown, struct kr_err *e);

/* Appends a cause; for checks that a table can't express. field is copied. */
PRINTF(5, 6) void model_cause_add(struct model_errors *, struct arena *, const char *reason, struct str field, const char *fmt, ...);
/* `Run.kruntimes.io "name" is invalid: spec.runtime: Required value`, several in brackets. */
void model_errors_print(const struct model_type *, struct str name, const struct model_errors *, struct buf *);
#endif
