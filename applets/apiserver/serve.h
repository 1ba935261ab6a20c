/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve: HTTP exchanges ↔ api_handle. Replies to writes, and to whatever read beside them, wait for the one commit at the
 * end of the loop turn; watch streams are fed from there too.
 */
#ifndef APISERVER_SERVE_H
#define APISERVER_SERVE_H
#include "applets/apiserver/api.h"
#include "grpc/http.h"

struct serve;
struct serve_config {
    struct str host; uint16_t port;
    const struct tls *tls;                        /* NULL: plain HTTP, for tests */
};
struct serve *serve_new(struct api *, const struct serve_config *, struct kr_err *);
uint16_t serve_port(const struct serve *);
void serve_drain(struct serve *, int64_t deadline_us);
void serve_free(struct serve *);
#endif
