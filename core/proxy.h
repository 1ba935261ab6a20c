/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy: what stands between us and a server, from a URL or from the environment.
 *
 *     http://proxy.example:3128      CONNECT (RFC 9110 section 9.3.6)
 *     https://proxy.example          the same inside of TLS
 *     socks5://proxy.example:1080    SOCKS version 5 (RFC 1928); the proxy looks the name up. "socks5h" means the same
 *
 * User and password may stand in the URL (`user:word@`, percent-encoded); they are never part of a message.
 */
#ifndef CORE_PROXY_H
#define CORE_PROXY_H
#include "core/kr.h"

enum proxy_kind { PROXY_HTTP, PROXY_HTTPS, PROXY_SOCKS5 };
struct proxy {
    enum proxy_kind kind;
    struct str host;              /* without brackets */
    uint16_t port;                /* 80, 443 or 1080 when not written */
    struct str user, password;    /* decoded; empty: none */
};
/* Text without a scheme counts as http://. The result's strings are on the arena. KR_BAD_REQUEST says what is wrong without
 * repeating the text. */
int proxy_parse(struct proxy *ret, struct str url, struct arena *, struct kr_err *);
/* The proxy that $HTTPS_PROXY, or for a plain server $HTTP_PROXY, names (lower case goes too); empty when there is none, when
 * $NO_PROXY excepts the server (names and their subdomains, addresses, networks as 10.0.0.0/8, each perhaps with a port; "*"),
 * and always for loopback and "localhost". The text is the environment's. */
struct str proxy_from_env(bool https, struct str host, uint16_t port);
#endif
