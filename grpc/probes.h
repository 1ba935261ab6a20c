/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probes: a plain HTTP server for /livez and /healthz (the loop turns), /readyz and /metrics of a process.
 */
#ifndef GRPC_PROBES_H
#define GRPC_PROBES_H
#include "grpc/http.h"

struct probes;
struct probes_user {
    bool (*ready)(void *ctx, struct buf *why);    /* false: 503, `why` for people */
    /* Further pages, `path` with its query: true when it answered, or will answer later. May be NULL. */
    bool (*page)(void *ctx, struct hreq *, struct str path);
    void (*page_gone)(void *ctx, struct hreq *);  /* an exchange that `page` took is over; may be NULL */
    void *ctx;
};
/* bind: "127.0.0.1:8081", "[::1]:8081"; ":8081" is all addresses; "unix:/path"; "off": NULL without an error. */
struct probes *probes_new(struct loop *, struct str bind, const struct probes_user *, struct kr_err *);
void probes_free(struct probes *);                /* NULL is fine */
#endif
