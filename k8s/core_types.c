/* SPDX-License-Identifier: Apache-2.0 */
/* core_types: the tables of Kubernetes' own kinds, made from k8s/core_types.def; see k8s/core_types.h. No code is here. */
#include "k8s/core_types.h"

#define MODEL_DEF "k8s/core_types.def"
#include "core/model_tables.h"
