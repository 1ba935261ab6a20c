/* SPDX-License-Identifier: Apache-2.0 */
/* digest: thin. Nothing here can fail: the algorithms are compiled in. Tests: tests/unit/core/digest.c */
#include "core/digest.h"
#include <mbedtls/md.h>
#include <mbedtls/sha256.h>
#include <stdio.h>

void digest_sha256(struct str bytes, unsigned char out[DIGEST_BYTES]) { mbedtls_sha256((const unsigned char *)bytes.p, bytes.n, out, 0); }

void digest_sha256_text(struct str bytes, char out[DIGEST_TEXT])
{
    unsigned char raw[DIGEST_BYTES];
    digest_sha256(bytes, raw);
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", raw[i]);
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
