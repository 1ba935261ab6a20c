/* SPDX-License-Identifier: Apache-2.0 */
/* What fieldset.c and fieldset_object.c share. */
#ifndef K8S_FIELDSET_PRIVATE_H
#define K8S_FIELDSET_PRIVATE_H
#include "k8s/fieldset.h"

int fieldset_order(struct str a, struct str b);
void fieldset_sort(struct fieldset *);
const struct fieldset *fieldset_child(const struct fieldset *, struct str element);      /* NULL when there is none, or the set is NULL */
#endif
