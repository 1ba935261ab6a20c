/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patch: RFC 7396 merge patches and RFC 6902 JSON patches (with RFC 6901 pointers) on JSON trees.
 *
 * The target is never changed: what comes back is another tree on the arena, which shares nothing with target or patch.
 * Memory is the arena's budget and depth LIMIT_JSON_DEPTH, so a patch that copies its copies is refused, not executed.
 */
#ifndef K8S_PATCH_H
#define K8S_PATCH_H
#include "core/json.h"

/* Why a patch could not be applied; it also tells which code is in the error. */
enum patch_failure {
    PATCH_OK,
    PATCH_MALFORMED,        /* not a patch at all: KR_BAD_REQUEST */
    PATCH_UNKNOWN_OP,       /* an operation that there isn't: KR_INVALID, as an API server answers */
    PATCH_TEST_FAILED,      /* an operation "test" found something else: KR_INVALID, as an API server answers */
    PATCH_NO_TARGET,        /* a path that the document does not have: KR_INVALID */
    PATCH_TOO_LARGE,        /* more than LIMIT_PATCH_OPS, over the arena's budget or LIMIT_PATCH_WORK, or too deep: KR_TOO_LARGE */
};

/* RFC 7396: null deletes, objects merge, everything else replaces. NULL and e (KR_TOO_LARGE) over a limit. A target of
 * NULL counts as absent. */
struct json *patch_merge(struct arena *a, const struct json *target, const struct json *patch, struct kr_err *e);

/* RFC 6902: all operations or none. ops is the parsed patch document. On failure NULL, *why (may be NULL) and an error that
 * names the operation by number (from 0) and its path: "operation 2 (replace '/spec/x'): no such member". */
struct json *patch_json(struct arena *a, const struct json *target, const struct json *ops, enum patch_failure *why, struct kr_err *e);

/* RFC 6901: the value at the pointer, NULL when there is none (or the pointer is malformed). "" is the whole document. */
struct json *patch_pointer(const struct json *document, struct str pointer);
#endif
