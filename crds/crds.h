/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crds: our own kinds as structs: struct run, runtime, workflow and what they are made of (every field is one row of
 * crds/KIND.def), with model_X for core/model.h and type_run, type_runtime, type_workflow.
 *
 *     struct run *r = model_decode(run, text, &arena, &e);
 *     if (r->spec.has_timeout_seconds) …
 */
#ifndef CRDS_CRDS_H
#define CRDS_CRDS_H
#include "k8s/core_types.h"

#define MODEL_DEF "crds/common.def"
#include "core/model_structs.h"
#define MODEL_DEF "crds/run.def"
#include "core/model_structs.h"
#define MODEL_DEF "crds/runtime.def"
#include "core/model_structs.h"
#define MODEL_DEF "crds/workflow.def"
#include "core/model_structs.h"

/* type_run, type_runtime, type_workflow, NULL. */
extern const struct model_type *const crd_types[];
/* By kind, plural, singular or short name; NULL when it is none of ours. */
const struct model_type *crd_find(struct str name);
/* What a Runtime's Deployment and the like are called: "runtime-NAME", of a long name its beginning and a hash. */
struct str runtime_object_name(struct str runtime, struct arena *);
#endif
