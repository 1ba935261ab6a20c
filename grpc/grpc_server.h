/* SPDX-License-Identifier: Apache-2.0 */
/* Private to grpc_server.c and the services every server has (grpc_health.c, grpc_reflection.c). */
#ifndef GRPC_GRPC_SERVER_H
#define GRPC_GRPC_SERVER_H
#include "grpc/grpc.h"

struct grpc_request {
    struct grpc_request *next, **at;              /* those who watch health */
    struct grpc_server *s;
    struct hreq *http;
    const struct grpc_service *service;
    const struct grpc_method *method;
    struct grpc_framer framer;
    struct arena arena;
    struct timer deadline;
    void *user;
    unsigned messages;
    bool head_sent, over, gone, ended;            /* ended: the client has sent all, the method has not heard of it */
};
struct grpc_server {
    struct loop *loop;
    struct httpd *httpd;
    struct grpc_server_config config;
    struct grpc_request *health_watchers;
};
extern const struct grpc_method grpc_health_methods[], grpc_reflection_v1_methods[], grpc_reflection_v1alpha_methods[];
#endif
