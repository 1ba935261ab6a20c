/* SPDX-License-Identifier: Apache-2.0 */
/* address: which addresses of the registries are public, and IPv4 in its disguises. */
#include "core/address.h"
#include "core/resolve.h"
#include "tests/kit/test.h"

static const char *judge(const char *text)
{
    struct resolved r;
    if (!resolve_literal(str_of(text), 1, &r))
        return "no address";
    return address_special(&r.addr[0]);
}

TEST(special_addresses_are_told)
{
    static const char *const special[] = {
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1", "169.254.169.254", "172.16.0.1",
        "172.31.255.255", "192.0.0.8", "192.168.1.1", "198.18.0.1", "198.19.255.255", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1",
        "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "2001::1", "2001:db8::1", "fc00::1", "fd12:3456::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "4000::1", "::2", "100::1" };
    for (size_t i = 0; i < LEN(special); i++)
        if (!CHECK(judge(special[i]) != NULL))
            CHECK_Z(special[i], "an address that is told as special");
}

TEST(public_addresses_pass)
{
    static const char *const open[] = { "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.1.1.1", "128.0.0.1",
                                        "169.253.1.1", "172.15.1.1", "172.32.0.1", "192.0.1.1", "192.167.1.1", "198.17.0.1", "198.20.0.1", "223.255.255.254",
                                        "2606:4700::1", "2a00:1450::1", "2001:4860::8888", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1" };
    for (size_t i = 0; i < LEN(open); i++)
        if (!CHECK(judge(open[i]) == NULL))
            CHECK_Z(open[i], "an address that passes");
}
