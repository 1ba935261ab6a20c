/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_structs: turns a .def file into C structs and declares its tables. Included once per file, in a header:
 *
 *     #define MODEL_DEF "crds/run.def"
 *     #include "core/model_structs.h"
 */
#include "core/model.h"

/* A type's macro ends in the name of one more, which then takes the member: INT (x) -> int64_t MODEL_HAS (x). */
#define MODEL_PLAIN(x) x;
#define MODEL_HAS(x) x; bool has_##x;
#define MODEL_C_TEXT struct str MODEL_PLAIN
#define MODEL_C_TIME struct str MODEL_PLAIN
#define MODEL_C_RAW struct str MODEL_PLAIN
#define MODEL_C_RAW_AS(o) struct str MODEL_PLAIN
#define MODEL_C_INT int64_t MODEL_HAS
#define MODEL_C_INT32 int64_t MODEL_HAS
#define MODEL_C_BOOL bool MODEL_HAS
#define MODEL_C_OF(o) struct o MODEL_HAS
#define MODEL_C_LIST(o) struct { struct o *v; size_t n; } MODEL_PLAIN
#define MODEL_C_MAP(o) struct { struct { struct str key; struct o value; } *v; size_t n; } MODEL_PLAIN
#define MODEL_C_TEXTS struct str_list MODEL_PLAIN
#define MODEL_C_TEXT_MAP struct str_map MODEL_PLAIN
#define MODEL_C_TEXTS_MAP struct str_list_map MODEL_PLAIN
#define MODEL_C_TEXT_MAPS struct str_map_list MODEL_PLAIN
#define MODEL_C_COUNTS struct count_map MODEL_PLAIN

#define OBJECT(o, about, ...) struct o {
#define FIELD(o, t, x, json, about, ...) MODEL_C_##t (x)
#define END(o) };
#define KIND(o, ...)
#include MODEL_DEF
#undef OBJECT
#undef FIELD
#undef END
#undef KIND

#define OBJECT(o, about, ...) extern const struct model_object model_##o;
#define FIELD(o, t, x, json, about, ...)
#define END(o)
#define KIND(o, ...) extern const struct model_type type_##o;
#include MODEL_DEF
#undef OBJECT
#undef FIELD
#undef END
#undef KIND

#undef MODEL_DEF
