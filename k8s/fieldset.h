/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fieldset: which fields of an object: the sets of paths that server-side apply keeps for each manager, in the form of
 * metadata.managedFields (Kubernetes API concepts, "Server-Side Apply"; KEP-555: fieldsV1).
 *
 * A path's element is text as in fieldsV1: `f:name` a field, `k:{"name":"x"}` an item of a list with keys, `v:"x"` an item
 * of a set, `i:0` an item by number. What is one field and what many is the schema's to say: an atomic list or map is one;
 * where there is no schema, maps are many and lists are one. All of a set lives on the arena it was made on.
 */
#ifndef K8S_FIELDSET_H
#define K8S_FIELDSET_H
#include "core/json.h"
#include "core/model.h"

struct fieldset {
    struct str element;                   /* empty at the root */
    bool member;                          /* the path itself is in the set, not only what is below it */
    struct fieldset *v; size_t n;         /* what is below, in order */
};

/* KR_BAD_REQUEST when it isn't one, KR_TOO_LARGE beyond LIMIT_FIELDSET. */
int fieldset_parse(struct arena *, const struct json *fields_v1, struct fieldset *out, struct kr_err *e);
struct json *fieldset_json(struct arena *, const struct fieldset *);

bool fieldset_is_empty(const struct fieldset *);
bool fieldset_equal(const struct fieldset *, const struct fieldset *);
struct fieldset fieldset_union(struct arena *, const struct fieldset *, const struct fieldset *);
struct fieldset fieldset_difference(struct arena *, const struct fieldset *, const struct fieldset *);       /* paths of the first that are not in the second */
struct fieldset fieldset_intersection(struct arena *, const struct fieldset *, const struct fieldset *);
/* Calls fn for each path, as people read it: `.spec.containers[name="a"].image`. */
void fieldset_each(const struct fieldset *, void (*fn)(void *ctx, struct str path), void *ctx);

/* The fields that an applied object has. schema NULL: none is known. */
struct fieldset fieldset_of(struct arena *, const struct model_object *schema, const struct json *object);
/* What another writer did: old may be NULL (created). */
struct field_changes { struct fieldset added, modified, removed; };
void fieldset_compare(struct arena *, const struct model_object *schema, const struct json *old, const struct json *now, struct field_changes *out);

/* The applied object laid over the live one: maps are merged, items of lists by their keys, the rest is replaced. New tree. */
struct json *fieldset_merge(struct arena *, const struct model_object *schema, const struct json *live, const struct json *applied);
/* Takes the fields in `drop` out of the object, but none that is in `keep` or has something below it that is. A map that is
 * emptied by it goes too. */
void fieldset_remove(struct arena *, const struct model_object *schema, struct json *object, const struct fieldset *drop, const struct fieldset *keep);
#endif
