/* SPDX-License-Identifier: Apache-2.0 */
/* What core_schema.c and core_protobuf.c share: types with the numbers of their fields. */
#ifndef K8S_CORE_SCHEMA_PRIVATE_H
#define K8S_CORE_SCHEMA_PRIVATE_H
#include "k8s/core_schema.h"

enum core_shape {
    CORE_STRING, CORE_BOOL, CORE_INT, CORE_BYTES, CORE_TIME, CORE_MICROTIME, CORE_QUANTITY, CORE_INT_OR_STRING, CORE_RAW, CORE_OBJECT, CORE_LIST, CORE_MAP,
};
struct core_value { enum core_shape shape; bool pointer, wrapped; struct core_type *type; struct core_value *item; };
struct core_field { uint32_t number; struct str name; struct core_value value; struct core_merge merge; };      /* name empty: inlined */
struct core_type { struct model_object object; const char *name; struct core_field *fields; size_t n; struct model_field *model; };
struct core_type *core_type(struct str api_version, struct str kind);        /* NULL: not a core kind */
#endif
