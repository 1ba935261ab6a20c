/* SPDX-License-Identifier: Apache-2.0 */
/* digest: SHA-256 (FIPS 180-4), HMAC-SHA-256 (RFC 2104), CRC-32C (RFC 3720); comparing secrets. */
#ifndef CORE_DIGEST_H
#define CORE_DIGEST_H
#include "core/kr.h"

enum { DIGEST_BYTES = 32, DIGEST_TEXT = 65 };
void digest_sha256(struct str bytes, unsigned char out[DIGEST_BYTES]);
void digest_sha256_text(struct str bytes, char out[DIGEST_TEXT]);        /* lower-case hex, NUL-terminated */
/* The same in pieces: begin, add…, end (which may not be followed by another add). */
struct digest { _Alignas(16) unsigned char room[128]; };
void digest_begin(struct digest *);
void digest_add(struct digest *, struct str bytes);
void digest_end(struct digest *, unsigned char out[DIGEST_BYTES]);
void digest_hex(const unsigned char raw[DIGEST_BYTES], char out[DIGEST_TEXT]);
/* CRC-32C of `bytes` behind those whose CRC is `crc` (0 at first). */
uint32_t digest_crc32c(uint32_t crc, struct str bytes);
void digest_hmac(struct str key, struct str bytes, unsigned char out[DIGEST_BYTES]);
/* Equal, in a time that tells nothing of where they differ (only of their lengths). */
bool digest_same(struct str a, struct str b);
#endif
