/* SPDX-License-Identifier: Apache-2.0 */
#include "core/digest.h"
#include "tests/kit/test.h"
#include <mbedtls/sha256.h>

TEST(known_answers)
{
    char text[DIGEST_TEXT];
    unsigned char mac[DIGEST_BYTES];
    digest_sha256_text(S("abc"), text);                  /* FIPS 180-4, appendix */
    CHECK_STR(str_of(text), S("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    digest_hmac(S("Jefe"), S("what do ya want for nothing?"), mac);      /* RFC 4231, test case 2 */
    static const unsigned char want[] = { 0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e };
    CHECK(!memcmp(mac, want, sizeof want));
    CHECK(digest_same(S("secret"), S("secret")) && !digest_same(S("secret"), S("secreT")) && !digest_same(S(""), S("x")) && digest_same(S(""), S("")));
}

TEST(in_pieces_it_is_the_same)
{
    char all[300], want[DIGEST_TEXT], got[DIGEST_TEXT];
    unsigned char raw[DIGEST_BYTES];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)(i * 7);
    digest_sha256_text((struct str){ all, sizeof all }, want);
    uint32_t crc = digest_crc32c(0, (struct str){ all, sizeof all });
    for (size_t cut = 0; cut <= sizeof all; cut++) {
        struct digest d;
        digest_begin(&d);
        digest_add(&d, (struct str){ all, cut });
        digest_add(&d, (struct str){ all + cut, sizeof all - cut });
        digest_end(&d, raw);
        digest_hex(raw, got);
        CHECK_Z(got, want);
        CHECK_INT(digest_crc32c(digest_crc32c(0, (struct str){ all, cut }), (struct str){ all + cut, sizeof all - cut }), crc);
    }
    CHECK_INT(digest_crc32c(0, S("123456789")), 0xe3069283);       /* RFC 3720's polynomial, the usual check value */
}

/* Whichever of the two this processor goes by (core/sha256.h), of every length about the blocks and at every alignment. */
TEST(as_the_library_has_it)
{
    static unsigned char text[4500];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (unsigned char)(i * i >> 3 ^ i);
    for (size_t n = 0; n < sizeof text - 16; n += n < 400 ? 1 : 61) {
        unsigned char got[DIGEST_BYTES], want[DIGEST_BYTES];
        struct str bytes = { (const char *)text + n % 16, n };
        digest_sha256(bytes, got);
        mbedtls_sha256((const unsigned char *)bytes.p, bytes.n, want, 0);
        CHECK(!memcmp(got, want, sizeof got));
        uint32_t crc = 0xffffffff;
        for (size_t i = 0; i < n; i++)
            for (int bit = (crc ^= (unsigned char)bytes.p[i], 0); bit < 8; bit++)
                crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
        CHECK_INT(digest_crc32c(0, bytes), ~crc);
    }
}
