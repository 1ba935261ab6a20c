/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_tables: turns a .def file into the tables that core/model.h describes. Included once per file, in a .c:
 *
 *     #define MODEL_DEF "crds/run.def"
 *     #include "core/model_tables.h"
 */
#include "core/model.h"

/* As in model_structs.h, what a type's macro ends in takes the member: offset of its presence, or nothing. */
#define MODEL_P_NONE(o, x)
#define MODEL_P_HAS(o, x) .has = offsetof(struct o, has_##x),
#define MODEL_P_TEXT MODEL_P_NONE
#define MODEL_P_TIME MODEL_P_NONE
#define MODEL_P_RAW MODEL_P_NONE
#define MODEL_P_RAW_AS(i) MODEL_P_NONE
#define MODEL_P_INT MODEL_P_HAS
#define MODEL_P_INT32 MODEL_P_HAS
#define MODEL_P_BOOL MODEL_P_HAS
#define MODEL_P_OF(i) MODEL_P_HAS
#define MODEL_P_LIST(i) MODEL_P_NONE
#define MODEL_P_MAP(i) MODEL_P_NONE
#define MODEL_P_TEXTS MODEL_P_NONE
#define MODEL_P_TEXT_MAP MODEL_P_NONE
#define MODEL_P_TEXTS_MAP MODEL_P_NONE
#define MODEL_P_TEXT_MAPS MODEL_P_NONE
#define MODEL_P_COUNTS MODEL_P_NONE

#define MODEL_S_TEXT .shape = MODEL_TEXT
#define MODEL_S_TIME .shape = MODEL_TIME
#define MODEL_S_RAW .shape = MODEL_RAW, .raw = true
#define MODEL_S_RAW_AS(i) .shape = MODEL_OBJECT, .raw = true, .object = &model_##i
#define MODEL_S_INT .shape = MODEL_INT
#define MODEL_S_INT32 .shape = MODEL_INT32
#define MODEL_S_BOOL .shape = MODEL_BOOL
#define MODEL_S_OF(i) .shape = MODEL_OBJECT, .object = &model_##i
#define MODEL_S_LIST(i) .shape = MODEL_LIST, .size = sizeof(struct i), .item = ITEM(OBJECT, .object = &model_##i)
#define MODEL_S_MAP(i) .shape = MODEL_MAP, .size = sizeof(struct { struct str key; struct i value; }), \
    .item = ITEM(OBJECT, .object = &model_##i)
#define MODEL_S_TEXTS .shape = MODEL_LIST, .size = sizeof(struct str)
#define MODEL_S_TEXT_MAP .shape = MODEL_MAP, .size = sizeof(struct str_pair)
#define MODEL_S_TEXTS_MAP .shape = MODEL_MAP, .size = sizeof(struct str_list_pair)
#define MODEL_S_TEXT_MAPS .shape = MODEL_LIST, .size = sizeof(struct str_map)
#define MODEL_S_COUNTS .shape = MODEL_MAP, .size = sizeof(struct count_pair)

#define OBJECT(o, about, ...) \
    const struct model_object model_##o = { .doc = about, .size = sizeof(struct o), ##__VA_ARGS__, .fields = (const struct model_field[]){
#define FIELD(o, t, x, json, about, ...) \
    { .name = json, .doc = about, .len = sizeof(json) - 1, .at = offsetof(struct o, x), MODEL_P_##t (o, x) \
      .s = { MODEL_S_##t, ##__VA_ARGS__ } },
#define END(o) { .name = NULL } } };
#define KIND(o, ...) const struct model_type type_##o = { .object = &model_##o, __VA_ARGS__ };
#include MODEL_DEF
#undef OBJECT
#undef FIELD
#undef END
#undef KIND
#undef MODEL_DEF
