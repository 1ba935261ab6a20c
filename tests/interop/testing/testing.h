/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testing: gRPC's own interop tests with our library at one end: TestService as a server, and the cases as a client.
 *
 *     build/dev/interop serve              prints "port N" and serves until it is ended
 *     build/dev/interop call PORT CASE…    one line a case: "ok CASE", or "FAIL CASE: why"
 *     build/dev/interop hpack              header compression by lines (hpack.c)
 *     build/dev/interop regex              patterns by lines (lines.c)
 *     build/dev/interop expr               expressions by lines
 */
#ifndef TESTS_INTEROP_TESTING_H
#define TESTS_INTEROP_TESTING_H
#include "grpc/grpc.h"
#include "tests/interop/testing/testing.pb.h"

int testing_serve(struct loop *);
int testing_hpack(void);
int testing_regex(void);
int testing_expr(void);
struct str testing_hex(struct arena *, struct str hex);      /* the bytes that lower-case digits stand for */
int testing_call(struct loop *, uint16_t port, char **cases, int n);
#define TESTING(name) grpc_testing_##name##_fields
#endif
