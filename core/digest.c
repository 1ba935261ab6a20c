/* SPDX-License-Identifier: Apache-2.0 */
/* digest: thin. Nothing here can fail: the algorithms are compiled in. Tests: tests/unit/core/digest.c */
#include "core/digest.h"
#include <mbedtls/md.h>
#include <mbedtls/sha256.h>
#include <stdio.h>

void digest_sha256(struct str bytes, unsigned char out[DIGEST_BYTES]) { mbedtls_sha256((const unsigned char *)bytes.p, bytes.n, out, 0); }

void digest_hex(const unsigned char raw[DIGEST_BYTES], char out[DIGEST_TEXT])
{
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", raw[i]);
}

void digest_sha256_text(struct str bytes, char out[DIGEST_TEXT])
{
    unsigned char raw[DIGEST_BYTES];
    digest_sha256(bytes, raw);
    digest_hex(raw, out);
}

_Static_assert(sizeof(mbedtls_sha256_context) <= sizeof(struct digest), "room for the library's state");
static mbedtls_sha256_context *state(struct digest *d) { return (mbedtls_sha256_context *)(void *)d->room; }

void digest_begin(struct digest *d)
{
    mbedtls_sha256_init(state(d));
    mbedtls_sha256_starts(state(d), 0);
}

void digest_add(struct digest *d, struct str bytes) { mbedtls_sha256_update(state(d), (const unsigned char *)bytes.p, bytes.n); }
void digest_end(struct digest *d, unsigned char out[DIGEST_BYTES]) { mbedtls_sha256_finish(state(d), out); }

/* Eight bytes at a time by eight tables, made on first use. */
uint32_t digest_crc32c(uint32_t crc, struct str bytes)
{
    static uint32_t table[8][256];
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t n = bytes.n;
    if (!table[0][1])
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int bit = 0; bit < 8; bit++)
                c = c & 1 ? c >> 1 ^ 0x82f63b78 : c >> 1;
            table[0][i] = c;
        }
    if (!table[1][1])
        for (uint32_t i = 0; i < 256; i++)
            for (int k = 1; k < 8; k++)
                table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t lo = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = table[7][lo & 255] ^ table[6][lo >> 8 & 255] ^ table[5][lo >> 16 & 255] ^ table[4][lo >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^
              table[1][p[6]] ^ table[0][p[7]];
    }
    for (; n; n--, p++)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
    return ~crc;
}

void digest_hmac(struct str key, struct str bytes, unsigned char out[DIGEST_BYTES])
{
    mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), (const unsigned char *)key.p, key.n, (const unsigned char *)bytes.p, bytes.n, out);
}

bool digest_same(struct str a, struct str b)
{
    unsigned char diff = a.n != b.n;
    for (size_t i = 0; i < a.n; i++)
        diff |= (unsigned char)(a.p[i] ^ b.p[b.n ? i % b.n : 0]);
    return !diff;
}
