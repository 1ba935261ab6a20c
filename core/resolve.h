/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve: names to addresses without holding up the loop: a helper thread does the look-up and speaks through an eventfd.
 * IP literals and "localhost" are answered at once (127.0.0.1 before ::1). Of a name's addresses those of the two families
 * take turns, and the first RESOLVE_MAX count.
 */
#ifndef CORE_RESOLVE_H
#define CORE_RESOLVE_H
#include "core/loop.h"
#include <sys/socket.h>

enum { RESOLVE_MAX = 8 };
struct resolved { struct sockaddr_storage addr[RESOLVE_MAX]; socklen_t len[RESOLVE_MAX]; size_t n; };
/* What getaddrinfo gave. */
struct addrinfo;
void resolve_take(struct resolved *, const struct addrinfo *list);
/* Literals and localhost: true and *ret. False: a look-up is needed. Empty host: all addresses (for listening). */
bool resolve_literal(struct str host, uint16_t port, struct resolved *ret);
struct resolve;
/* got is called once from the loop: addresses (n > 0), or the error. */
struct resolve *resolve_start(struct loop *, struct str host, uint16_t port,
                              void (*got)(void *ctx, const struct resolved *, const struct kr_err *), void *ctx);
void resolve_cancel(struct resolve *);            /* no callback any more; NULL is fine */
/* "127.0.0.1:80", "[::1]:80", "unix": for messages. */
struct str resolve_text(const struct sockaddr_storage *, char out[64]);
#endif
