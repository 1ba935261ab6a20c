/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest: SHA-256 by the processor where it can (core/sha256.h), else by Mbed TLS; CRC-32C likewise, else by tables. Which of the
 * two it is, is asked once. Nothing here can fail: the algorithms are compiled in. Tests: tests/unit/core/digest.c
 */
#include "core/digest.h"
#include "core/sha256.h"
#include <mbedtls/md.h>
#include <mbedtls/sha256.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

static bool by_processor(void)
{
    static int known;                             /* 0: not asked yet */
    if (!known)
        known = sha256_is_there() ? 1 : -1;
    return known > 0;
}

/* ---- SHA-256 ----------------------------------------------------------------------------------------------------- */

struct by_processor { uint32_t state[8]; uint64_t n; unsigned char rest[SHA256_BLOCK]; };      /* n: bytes added; n % 64 of them are in rest */
_Static_assert(sizeof(struct by_processor) <= sizeof ((struct digest *)0)->room, "room for ours");
_Static_assert(sizeof(mbedtls_sha256_context) <= sizeof ((struct digest *)0)->room, "room for the library's state");
static struct by_processor *ours(struct digest *d) { return (struct by_processor *)(void *)d->room; }
static mbedtls_sha256_context *library(struct digest *d) { return (mbedtls_sha256_context *)(void *)d->room; }

void digest_begin(struct digest *d)
{
    if (!by_processor()) {
        mbedtls_sha256_init(library(d));
        mbedtls_sha256_starts(library(d), 0);
        return;
    }
    *ours(d) = (struct by_processor){ { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 }, 0, { 0 } };
}

static void add(struct by_processor *d, const unsigned char *p, size_t n)
{
    size_t have = (size_t)(d->n % SHA256_BLOCK), part = SHA256_BLOCK - have < n ? SHA256_BLOCK - have : n;
    if (!n)
        return;
    d->n += n;
    if (have || n < SHA256_BLOCK) {
        memcpy(d->rest + have, p, part);
        if (have + part < SHA256_BLOCK)
            return;
        sha256_blocks(d->state, d->rest, 1);
        p += part;
        n -= part;
    }
    sha256_blocks(d->state, p, n / SHA256_BLOCK);
    memcpy(d->rest, p + n - n % SHA256_BLOCK, n % SHA256_BLOCK);
}

void digest_add(struct digest *d, struct str bytes)
{
    if (by_processor())
        add(ours(d), (const unsigned char *)bytes.p, bytes.n);
    else
        mbedtls_sha256_update(library(d), (const unsigned char *)bytes.p, bytes.n);
}

/* A one, zeros up to eight bytes before the end of a block, and the length in bits. */
static void finish(struct by_processor *d, unsigned char out[DIGEST_BYTES])
{
    unsigned char tail[SHA256_BLOCK + 8] = { 0x80 };
    uint64_t bits = d->n * 8;
    size_t zeros = (size_t)((2 * SHA256_BLOCK - 9 - d->n % SHA256_BLOCK) % SHA256_BLOCK);
    for (int i = 0; i < 8; i++)
        tail[1 + zeros + (size_t)i] = (unsigned char)(bits >> (56 - 8 * i));
    add(d, tail, 9 + zeros);
    for (int i = 0; i < DIGEST_BYTES; i++)
        out[i] = (unsigned char)(d->state[i / 4] >> (24 - 8 * (i % 4)));
}

void digest_end(struct digest *d, unsigned char out[DIGEST_BYTES])
{
    if (by_processor())
        finish(ours(d), out);
    else
        mbedtls_sha256_finish(library(d), out);
}

void digest_sha256(struct str bytes, unsigned char out[DIGEST_BYTES])
{
    struct digest d;
    digest_begin(&d);
    digest_add(&d, bytes);
    digest_end(&d, out);
}

void digest_hex(const unsigned char raw[DIGEST_BYTES], char out[DIGEST_TEXT]) { hex_put(out, raw, DIGEST_BYTES); }

void digest_sha256_text(struct str bytes, char out[DIGEST_TEXT])
{
    unsigned char raw[DIGEST_BYTES];
    digest_sha256(bytes, raw);
    digest_hex(raw, out);
}

/* ---- CRC-32C ----------------------------------------------------------------------------------------------------- */

#ifdef __x86_64__
static __attribute__((target("sse4.2"))) uint32_t crc_by_processor(uint32_t crc, struct str bytes)
{
    const char *p = bytes.p;
    size_t n = bytes.n;
    uint64_t wide = crc, eight;
    for (; n >= sizeof eight; n -= sizeof eight, p += sizeof eight) {
        memcpy(&eight, p, sizeof eight);
        wide = _mm_crc32_u64(wide, eight);
    }
    for (crc = (uint32_t)wide; n; n--)
        crc = _mm_crc32_u8(crc, (unsigned char)*p++);
    return crc;
}
#else
static uint32_t crc_by_processor(uint32_t crc, struct str bytes) { return (void)bytes, crc; }
#endif

/* Eight bytes at a time by eight tables, made on first use. */
static uint32_t crc_by_tables(uint32_t crc, struct str bytes)
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
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t lo = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = table[7][lo & 255] ^ table[6][lo >> 8 & 255] ^ table[5][lo >> 16 & 255] ^ table[4][lo >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^
              table[1][p[6]] ^ table[0][p[7]];
    }
    for (; n; n--, p++)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
    return crc;
}

uint32_t digest_crc32c(uint32_t crc, struct str bytes) { return by_processor() ? ~crc_by_processor(~crc, bytes) : ~crc_by_tables(~crc, bytes); }

/* ---- HMAC, comparing --------------------------------------------------------------------------------------------- */

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
