/* SPDX-License-Identifier: Apache-2.0 */
/*
 * managed: metadata.managedFields and server-side apply (Kubernetes API concepts, "Server-Side Apply"): who last set which
 * field, kept true by every write, and what an apply makes of a live object.
 *
 * A manager is a name, an operation, an API version and a subresource. Applying merges the given object into the live one,
 * takes away what this manager applied before, no longer does, and nobody else has; and it fails where another manager's
 * field would change, unless forced. Any other write makes its writer the one owner of what it changed.
 */
#ifndef K8S_MANAGED_H
#define K8S_MANAGED_H
#include "k8s/fieldset.h"

struct manager {
    struct str name, api_version, subresource, time;      /* subresource may be empty; time RFC 3339 */
    bool apply;                                           /* operation Apply, else Update */
    struct fieldset fields;
};
struct managers { struct manager *v; size_t n, cap; };    /* on an arena */

/* From and to the list in metadata; a list that can't be read counts as empty (as in a kube-apiserver). */
void managed_parse(struct arena *, const struct json *managed_fields, struct managers *out);
struct json *managed_json(struct arena *, const struct managers *);      /* a list, or NULL when there is no manager */

/* `who` changed old (NULL: created it) to now. who->fields is not looked at; who->time is when. Fields that belong to the
 * server (name, uid, resourceVersion …) are nobody's. True when something in `m` changed. */
bool managed_update(struct arena *, struct managers *m, const struct manager *who, const struct model_object *schema, const struct json *old,
                    const struct json *now);

/* One field that an apply would change though another manager has it. */
struct managed_conflict { struct str path; const struct manager *manager; };
struct managed_conflicts { struct managed_conflict *v; size_t n, cap; };
/* Applies `applied` to live, NULL when there is none. Returns the new tree and
 * changes `m`; NULL when there are conflicts and force isn't set: then `m` is as before. */
struct json *managed_apply(struct arena *, struct managers *m, const struct manager *who, const struct model_object *schema,
                           const struct json *live, const struct json *applied, bool force, struct managed_conflicts *out);
/* "conflict with "kubectl" using v1: .data.key", several as a list: what a kube-apiserver says behind "Apply failed with ". */
void managed_conflicts_print(const struct managed_conflicts *, struct buf *);
/* `"kubectl" with subresource "status" using v1`: how a manager is named there. */
void manager_print(const struct manager *, struct buf *);
#endif
