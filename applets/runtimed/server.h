/* SPDX-License-Identifier: Apache-2.0 */
/* server: the Runtime Server of the pod (secret, health, leftovers), and what runtimed itself serves. */
#ifndef APPLETS_RUNTIMED_SERVER_H
#define APPLETS_RUNTIMED_SERVER_H
#include "grpc/grpc.h"

struct runtimed;
/* server.c */
int server_start(struct runtimed *, struct str host, uint16_t port, struct kr_err *);
void server_stop(struct runtimed *);
void server_trouble(struct runtimed *, const char *call, int status, struct str text);      /* one failed so: look at its health now */
struct http_fields server_metadata(const struct runtimed *, struct http_field store[1]);

/* print.c: output of a task as it comes; and what is left of it at its end. */
struct task;
void print_output(struct task *, int stream, struct str bytes);
void print_rest(struct task *);

/* tail.c */
extern const struct grpc_method tail_methods[];
#endif
