/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_types: Kubernetes' own kinds as structs (struct object_meta, pod, k8s_node, lease, deployment, k8s_event,
 * k8s_status, condition, …; all fields are in k8s/core_types.def), each with model_X for core/model.h and, for kinds, type_X.
 */
#ifndef K8S_CORE_TYPES_H
#define K8S_CORE_TYPES_H
#define MODEL_DEF "k8s/core_types.def"
#include "core/model_structs.h"

/* A pod's annotation, a number (0 without it): when some of several pods are taken away, of equally ready ones the lowest go first. */
#define POD_DELETION_COST "controller.kubernetes.io/pod-deletion-cost"
#endif
