/* SPDX-License-Identifier: Apache-2.0 */
/* digest: SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104), by Mbed TLS; comparing secrets. */
#ifndef CORE_DIGEST_H
#define CORE_DIGEST_H
#include "core/kr.h"

enum { DIGEST_BYTES = 32, DIGEST_TEXT = 65 };
void digest_sha256(struct str bytes, unsigned char out[DIGEST_BYTES]);
void digest_sha256_text(struct str bytes, char out[DIGEST_TEXT]);        /* lower-case hex, NUL-terminated */
void digest_hmac(struct str key, struct str bytes, unsigned char out[DIGEST_BYTES]);
/* Equal, in a time that tells nothing of where they differ (only of their lengths). */
bool digest_same(struct str a, struct str b);
#endif
