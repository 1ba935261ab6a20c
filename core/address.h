/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address: is an IP address one of the open Internet? Asked of each address that a stranger's URL leads to, after the look-up
 * and for the very address that is connected to, so that no spelling (decimal, octal, a name that changes) gets around it.
 */
#ifndef CORE_ADDRESS_H
#define CORE_ADDRESS_H
#include "core/kr.h"
#include <sys/socket.h>

/* NULL for a public unicast address; else what it is ("a loopback address", …), by the registries of special-purpose addresses
 * (RFC 6890 and what followed). IPv4 inside IPv6 (mapped, 6to4, NAT64, Teredo) counts as the IPv4 address it stands for. */
const char *address_special(const struct sockaddr_storage *);
#endif
