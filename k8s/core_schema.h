/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_schema: what Kubernetes' core kinds look like, as tables of the model engine, made from core_schema.def when a kind is
 * first asked for. For those who handle any object (the embedded API server); what our applets decode is in core_types.def.
 */
#ifndef K8S_CORE_SCHEMA_H
#define K8S_CORE_SCHEMA_H
#include "core/json.h"
#include "core/model.h"

/* The kind's object, kept as long as the process lives; NULL: not one of them. "v1" "Pod", "apps/v1" "Deployment". */
const struct model_object *core_schema(struct str api_version, struct str kind);
const struct model_object *core_schema_named(struct str name);           /* "core/v1.PodSpec" */
/* "core/v1.PodSpec"; NULL when the object isn't from here. */
const char *core_schema_name(const struct model_object *);

/* How a strategic merge patch treats a field (Kubernetes API conventions, "Strategic Merge Patch"). */
struct core_merge { const char *key; bool merge, retain_keys; };      /* merge with key NULL: a list of plain values */
struct core_merge core_merge_of(const struct model_object *, struct str field);

/* Are all values of the types that the schema says? KR_BAD_REQUEST in the words of a kube-apiserver's decoder. Metadata, and
 * fields that aren't declared, are not looked at. */
int core_check_types(const struct model_object *, const struct json *object, struct kr_err *);

/* JSON tree of a body in Kubernetes' protobuf form (k8s\0 and an Unknown message): what typed Go clients send for core kinds.
 * KR_UNSUPPORTED for other kinds, KR_BAD_REQUEST for what can't be decoded. */
struct json *core_from_protobuf(struct arena *, struct str body, struct kr_err *);
bool core_is_protobuf(struct str content_type);
#endif
