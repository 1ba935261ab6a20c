/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pb: protobuf messages by nanopb, on an arena: strings, bytes and lists of a decoded message live until the arena is
 * reset, and its limit bounds them. Generated structs are in grpc/proto/NAME.pb.h.
 */
#ifndef GRPC_PB_H
#define GRPC_PB_H
#include "core/kr.h"
#include <pb.h>

/* Decodes `bytes` into *msg (zeroed first). KR_PROTOCOL for a malformed message, KR_TOO_LARGE over the arena's limit. */
int pb_from_bytes(const pb_msgdesc_t *, void *msg, struct str bytes, struct arena *, struct kr_err *);
/* Appends the encoded message. KR_TOO_LARGE over out->max. */
int pb_to_bytes(const pb_msgdesc_t *, const void *msg, struct buf *out, struct kr_err *);
/* A string member: NULL is empty. */
static inline struct str pb_str(const char *z) { return str_of(z ? z : ""); }
/* A bytes member from a view, and back. The first is a copy on the arena; NULL over its limit, and beyond
 * PB_SIZE_MAX (65535) bytes, which nanopb's length can't say. */
pb_bytes_array_t *pb_bytes(struct arena *, struct str);
static inline struct str pb_view(const pb_bytes_array_t *b) { return b ? (struct str){ (const char *)b->bytes, b->size } : (struct str){ 0 }; }
/* A string member from bytes of a stranger: bad UTF-8 becomes U+FFFD (a `string` must be valid for strict peers). */
char *pb_clean(struct arena *, struct str);
#endif
