/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address: two tables of prefixes. What isn't global unicast is special; an IPv6 prefix that carries an IPv4 address asks the
 * other table. Tests: tests/unit/core/address.c.
 */
#include "core/address.h"
#include <netinet/in.h>

struct prefix { unsigned char bytes[12]; int bits; const char *what; int v4_at; };      /* v4_at: where an IPv4 address lies; 0: nowhere */

static const struct prefix v4[] = {
    { { 0 }, 8, "an address of \"this network\"", 0 },
    { { 10 }, 8, "a private address", 0 },
    { { 100, 64 }, 10, "a private address (shared address space)", 0 },
    { { 127 }, 8, "a loopback address", 0 },
    { { 169, 254 }, 16, "a link-local address", 0 },
    { { 172, 16 }, 12, "a private address", 0 },
    { { 192, 0, 0 }, 24, "a reserved address", 0 },
    { { 192, 0, 2 }, 24, "a documentation address", 0 },
    { { 192, 88, 99 }, 24, "a reserved address", 0 },
    { { 192, 168 }, 16, "a private address", 0 },
    { { 198, 18 }, 15, "a private address (benchmarks)", 0 },
    { { 198, 51, 100 }, 24, "a documentation address", 0 },
    { { 203, 0, 113 }, 24, "a documentation address", 0 },
    { { 224 }, 4, "a multicast address", 0 },
    { { 240 }, 4, "a reserved address", 0 },
};
static const struct prefix v6[] = {
    { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 96, NULL, 12 },
    { { 0, 0x64, 0xff, 0x9b, 0, 1 }, 48, "a private address (local NAT64)", 0 },
    { { 0, 0x64, 0xff, 0x9b }, 96, NULL, 12 },
    { { 0x20, 0x02 }, 16, NULL, 2 },
    { { 0x20, 0x01, 0, 0 }, 23, "a reserved address", 0 },              /* Teredo and other protocols */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32, "a documentation address", 0 },
    { { 0x3f, 0xff }, 20, "a documentation address", 0 },
    { { 0xfc }, 7, "a private address", 0 },
    { { 0xfe, 0x80 }, 10, "a link-local address", 0 },
    { { 0xfe, 0xc0 }, 10, "a private address (site-local)", 0 },
    { { 0xff }, 8, "a multicast address", 0 },
};

static bool has_prefix(const unsigned char *a, const struct prefix *p)
{
    int whole = p->bits / 8, rest = p->bits % 8;
    return !memcmp(a, p->bytes, (size_t)whole) && (!rest || (a[whole] ^ p->bytes[whole]) >> (8 - rest) == 0);
}

static const char *special_v4(const unsigned char *a)
{
    for (size_t i = 0; i < LEN(v4); i++)
        if (has_prefix(a, &v4[i]))
            return v4[i].what;
    return NULL;
}

static const char *special_v6(const unsigned char *a)
{
    static const unsigned char loopback[16] = { [15] = 1 };
    if (!memcmp(a, loopback, 16))
        return "a loopback address";
    for (size_t i = 0; i < LEN(v6); i++)
        if (has_prefix(a, &v6[i]))
            return v6[i].v4_at ? special_v4(a + v6[i].v4_at) : v6[i].what;
    return a[0] >> 5 == 1 ? NULL : "a reserved address";      /* 2000::/3 is all that was given out */
}

const char *address_special(const struct sockaddr_storage *s)
{
    if (s->ss_family == AF_INET)
        return special_v4((const unsigned char *)&((const struct sockaddr_in *)(const void *)s)->sin_addr);
    if (s->ss_family == AF_INET6)
        return special_v6((const unsigned char *)&((const struct sockaddr_in6 *)(const void *)s)->sin6_addr);
    return "an address of an unknown family";
}
