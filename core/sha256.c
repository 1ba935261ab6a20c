/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sha256: sixteen groups of four rounds. SHA256RNDS2 does two rounds on the state as two vectors, ABEF and CDGH, and gives back
 * the half that changed; SHA256MSG1 and SHA256MSG2 make the words of the message schedule, four at a time.
 * Tests: tests/unit/core/digest.c, against Mbed TLS.
 */
#include "core/sha256.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

/* The first 32 bits of the fractions of the cube roots of the first 64 primes. */
static const uint32_t k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

bool sha256_is_there(void)
{
    enum { SSSE3 = 1 << 9, SSE4_1 = 1 << 19, SSE4_2 = 1 << 20, SHA = 1 << 29 };
    unsigned a, b, c, d, want = SSSE3 | SSE4_1 | SSE4_2;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & want) == want && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & SHA);
}

static inline __attribute__((target("sha,sse4.2"))) __m128i load(const void *p) { return _mm_loadu_si128((const __m128i *)p); }

__attribute__((target("sha,sse4.2"))) void sha256_blocks(uint32_t state[8], const unsigned char *p, size_t blocks)
{
    const __m128i big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    __m128i badc = _mm_shuffle_epi32(load(state), 0xb1), efgh = _mm_shuffle_epi32(load(state + 4), 0x1b);      /* by their top words */
    __m128i abef = _mm_alignr_epi8(badc, efgh, 8), cdgh = _mm_blend_epi16(efgh, badc, 0xf0);
    for (; blocks; blocks--, p += SHA256_BLOCK) {
        __m128i w[4], abef_before = abef, cdgh_before = cdgh;
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(load(p + 16 * i), big_endian);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            __m128i now = w[i % 4], sum = _mm_add_epi32(now, load(k + 4 * i));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
            __m128i next = _mm_sha256msg1_epu32(now, w[(i + 1) % 4]), last = w[(i + 3) % 4];
            w[i % 4] = _mm_sha256msg2_epu32(_mm_add_epi32(next, _mm_alignr_epi8(last, w[(i + 2) % 4], 4)), last);     /* of the last four: for nobody */
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

#else
bool sha256_is_there(void) { return false; }
void sha256_blocks(uint32_t state[8], const unsigned char *p, size_t blocks) { (void)state, (void)p, (void)blocks; }
#endif
