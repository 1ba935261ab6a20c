/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml: YAML files into JSON text and JSON trees into YAML, as Kubernetes' tools have it.
 *
 * Plain scalars are read by YAML 1.1 as sigs.k8s.io/yaml does: null ~ true yes on y (and their capitals), 0x1F 0o17 0644
 * 1_000, 1.5e3; what is quoted is a string; dates are strings. Keys are strings: a number as key becomes its text; a key that would be
 * true, false or null is refused with the advice to quote it, as are duplicate keys, merge keys ("<<"), tags but
 * !!str !!int !!float !!bool !!null !!map !!seq, .inf and .nan.
 */
#ifndef CORE_YAML_H
#define CORE_YAML_H
#include "core/json.h"

/* json is checked (json_begin may be used); line is where the document's content starts, from 1. */
struct yaml_doc { struct str json; size_t line; };
struct yaml_docs { struct yaml_doc *docs; size_t n; };

/* All documents of a stream; those that are empty are left out. One JSON value is a stream of one, taken as it is (but without
 * duplicate keys). Aliases are expanded, up to LIMIT_YAML_ALIASED bytes. KR_BAD_REQUEST "line L, column C: …", with a hint where
 * there is one; KR_TOO_LARGE over LIMIT_FILE_INPUT, LIMIT_YAML_DOCUMENTS, LIMIT_JSON_DEPTH or the arena's budget. */
int yaml_to_json(struct str yaml, struct arena *a, struct yaml_docs *out, struct kr_err *e);

/* The tree in block style, with a line end; what yaml_to_json reads back is json_equal to it. Strings are quoted only where they
 * need it, text of several lines is a block ("|") where it can be. */
void yaml_print(struct buf *b, const struct json *j);

/* What a plain (unquoted) scalar means: JSON_NULL, _FALSE, _TRUE, _STRING, or _NUMBER with its JSON text in `number`; YAML_NO_JSON
 * for infinities and not-a-number. */
enum { YAML_NUMBER = 144, YAML_NO_JSON = -1 };
int yaml_plain(struct str text, char number[YAML_NUMBER]);
#endif
