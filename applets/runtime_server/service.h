/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service: executor.v1.Runtime and kruntimes.runtime.v1.RuntimeWatch over the table of executions.
 */
#ifndef APPLETS_RUNTIME_SERVER_SERVICE_H
#define APPLETS_RUNTIME_SERVER_SERVICE_H
#include "applets/runtime_server/execution.h"
#include "grpc/grpc.h"

enum { RS_SERVICES = 2 };
/* Fills `out` for grpc_server_config.services. */
void rs_services(struct execs *, struct grpc_service out[RS_SERVICES]);
/* For grpc_server_config.allow: metadata `authorization: Bearer SECRET`, compared in constant time. */
int rs_allow(struct str secret, struct http_fields metadata, struct kr_err *);
#endif
