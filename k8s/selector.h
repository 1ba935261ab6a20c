/* SPDX-License-Identifier: Apache-2.0 */
/*
 * selector: which objects are meant, by labels or by fields.
 *
 * Label selectors in both spellings of the API: the text of `-l` and labelSelector= (a=b, a==b, a!=b, a in (x,y),
 * a notin (x,y), a, !a, a>1, a<1), and the LabelSelector object (matchLabels, matchExpressions). Field selectors: a.b=c, a.b==c,
 * a.b!=c, with \\ before a comma, an equals sign or a backslash that is meant. All terms must hold; none selects everything.
 */
#ifndef K8S_SELECTOR_H
#define K8S_SELECTOR_H
#include "core/json.h"

struct selector_label { struct str key, value; };
struct selector_labels { const struct selector_label *v; size_t n; bool sorted; };    /* sorted: by key */
struct selector_labels labels_of_json(const struct json *map, struct arena *);     /* {"k":"v"}; items that are no strings are left out; many are sorted */
struct selector_labels labels_copy(struct selector_labels);                        /* owned: one allocation, labels_free */
void labels_free(struct selector_labels *);
struct selector_labels labels_from(struct selector_label *, size_t n);               /* of v: many are sorted, in place */
bool labels_eq(const struct selector_labels *, const struct selector_labels *);    /* in the same order, too */

struct selector;
/* KR_BAD_REQUEST with what is wrong. Bounded by LIMIT_SELECTOR_TEXT and LIMIT_SELECTOR_TERMS. */
struct selector *selector_parse(struct str text, struct kr_err *e);
struct selector *selector_of_json(const struct json *label_selector, struct kr_err *e);
void selector_free(struct selector *);
bool selector_matches(const struct selector *, const struct selector_labels *);    /* NULL selects everything */
size_t selector_cost(const struct selector *);                                     /* so many comparisons at most, about */
void selector_print(struct buf *, const struct selector *);                        /* in the text form */
/* The rules of the API for keys ("prefix/name") and values. */
bool label_key_ok(struct str key);
bool label_value_ok(struct str value);

struct field_term { struct str path, value; bool not; };
struct field_selector { struct field_term *v; size_t n; char *own; };
/* Which fields may be asked for is the caller's to check: it compares the paths with its own list. */
int field_selector_parse(struct field_selector *, struct str text, struct kr_err *e);
void field_selector_free(struct field_selector *);
/* get answers an empty string for a field that is absent, as the API server does. */
bool field_selector_matches(const struct field_selector *, struct str (*get)(void *ctx, struct str path), void *ctx);
#endif
