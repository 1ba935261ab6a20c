/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_crd: what is printed from the tables of core/model.h: CustomResourceDefinitions and the reference page.
 */
#ifndef CORE_MODEL_CRD_H
#define CORE_MODEL_CRD_H
#include "core/model.h"

/* The CRD (apiextensions.k8s.io/v1) as YAML. The type must have a group. */
void model_crd_yaml(const struct model_type *, struct buf *);
/* One kind of the reference page, as Markdown: every field with its type, default, bounds and rules. */
void model_crd_markdown(const struct model_type *, struct buf *);
/* What a field may be, in words: "1…63 characters; each name once"; nothing when all is allowed. start: where the list began in the
 * buf; plain: for a terminal, not for a page. */
void model_constraints(struct buf *, size_t start, const struct model_schema *, bool plain);
#endif
