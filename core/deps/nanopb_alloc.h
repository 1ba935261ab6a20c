/* SPDX-License-Identifier: Apache-2.0 */
/* Included into nanopb's sources: what messages need comes from the arena that grpc/pb.c has set. */
#include <stddef.h>
void *kr_pb_realloc(void *p, size_t n);
void kr_pb_free(void *p);
#define pb_realloc(p, n) kr_pb_realloc(p, n)
#define pb_free(p) kr_pb_free(p)
