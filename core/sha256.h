/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sha256: the block function of SHA-256 (FIPS 180-4, 6.2.2) by the SHA extensions of x86-64 processors, several times as fast as
 * without. Mbed TLS has such a thing for ARM only. core/digest.c asks once whether the processor has them and goes by
 * Mbed TLS where it hasn't; nobody else needs this.
 */
#ifndef CORE_SHA256_H
#define CORE_SHA256_H
#include "core/kr.h"

enum { SHA256_BLOCK = 64 };
bool sha256_is_there(void);                       /* this processor has what sha256_blocks needs (and SSE 4.2, which all of them have) */
/* state: the eight words H0…H7. Only where sha256_is_there. */
void sha256_blocks(uint32_t state[8], const unsigned char *p, size_t blocks);
#endif
