/* SPDX-License-Identifier: Apache-2.0 */
/* descriptors: the proto files as reflection hands them out; descriptors.c is generated. */
#ifndef GRPC_PROTO_DESCRIPTORS_H
#define GRPC_PROTO_DESCRIPTORS_H
#include <stddef.h>

struct proto_file { const char *name, *package, *services; const unsigned char *data; size_t n; };    /* services: full names, by commas */
extern const struct proto_file proto_files[];
extern const size_t nproto_files;
#endif
