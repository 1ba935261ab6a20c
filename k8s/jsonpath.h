/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsonpath: the templates of `-o jsonpath=` and the paths of printer columns, on JSON trees.
 *
 *   {.a.b} {['a']} {.a\.b}        members             {[0]} {[-1]} {[0,2]} {[1:3]} {[::2]}   items
 *   {.a[*]} {.a.*}                all                 {..name} {..*}                         at any depth
 *   {.a[?(@.x=="y")]}             items that hold     == != < > <= >=, or {[?(@.x)]}: is there
 *   {range .a[*]}{.b}{"\n"}{end}  repeats             {$.a} the root, {@} or {.} the current value
 *   {"text\t"}, and what stands outside of braces as it is
 *
 * Everything else (&&, ||, arithmetic, functions, regular expressions) is refused with its offset. What is absent prints
 * as nothing; but an index beyond the end of an array, written outside of a filter and not behind "..", is an error, as
 * kubectl has it. Slices are cut to the array; a negative step is refused.
 */
#ifndef K8S_JSONPATH_H
#define K8S_JSONPATH_H
#include "core/json.h"

struct jsonpath;

/* A template. Lives on the arena, as does what it borrows from nobody: the text is copied. NULL and KR_BAD_REQUEST
 * "jsonpath: offset N: …", or KR_TOO_LARGE above LIMIT_JSONPATH_TEXT. */
struct jsonpath *jsonpath_parse(struct arena *a, struct str text, struct kr_err *e);
/* One path, as additionalPrinterColumns and custom columns have it: ".a.b", also "a.b" and "{.a.b}". */
struct jsonpath *jsonpath_parse_column(struct arena *a, struct str path, struct kr_err *e);

/* Several results of one path are separated by a space; strings as they are, everything else as compact JSON.
 * KR_INVALID for an index beyond the end, KR_TOO_LARGE after LIMIT_JSONPATH_VISITS steps or when out is full. What was
 * printed until then stays in the buffer. */
int jsonpath_print(const struct jsonpath *p, const struct json *root, struct buf *out, struct kr_err *e);
/* The values of a column's path with commas between them; nothing when there is none, an index beyond the end included. */
void jsonpath_print_column(const struct jsonpath *p, const struct json *root, struct buf *out);
/* The first value that a column's path finds; NULL when there is none (or p is a template of more than one path). */
const struct json *jsonpath_first(const struct jsonpath *p, const struct json *root);
#endif
