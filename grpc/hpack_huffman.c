/* SPDX-License-Identifier: Apache-2.0 */
/*
 * huffman: the code of RFC 7541 appendix B. It is canonical (codes of one length follow each other in the order of their
 * symbols, RFC 1951 section 3.2.2), so the lengths below say everything; tables are made from them on first use.
 * Tests: tests/unit/grpc/hpack.c
 */
#include "grpc/hpack.h"

enum { EOS = 256, SYMBOLS = 257, LONGEST = 30, FAST_BITS = 9 };
static const uint8_t length_of[SYMBOLS] = {
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
};
static uint32_t code_of[SYMBOLS], first_code[LONGEST + 2];
static uint16_t first_place[LONGEST + 2], sorted[SYMBOLS];
static struct { uint8_t bits, symbol; } fast[1 << FAST_BITS];
static bool ready;

static void prepare(void)
{
    uint32_t code = 0;
    uint16_t place = 0;
    if (ready)
        return;
    for (unsigned bits = 1; bits <= LONGEST; bits++) {
        code <<= 1;
        first_code[bits] = code;
        first_place[bits] = place;
        for (unsigned s = 0; s < SYMBOLS; s++) {
            if (length_of[s] != bits)
                continue;
            if (bits <= FAST_BITS)
                for (uint32_t i = 0; i < 1u << (FAST_BITS - bits); i++) {
                    fast[(code << (FAST_BITS - bits)) + i].bits = (uint8_t)bits;
                    fast[(code << (FAST_BITS - bits)) + i].symbol = (uint8_t)s;
                }
            sorted[place++] = (uint16_t)s;
            code_of[s] = code++;
        }
    }
    first_place[LONGEST + 1] = place;
    ready = true;
}

size_t huffman_length(struct str s)
{
    size_t bits = 0;
    for (size_t i = 0; i < s.n; i++)
        bits += length_of[(unsigned char)s.p[i]];
    return (bits + 7) / 8;
}

void huffman_encode(struct buf *b, struct str s)
{
    uint64_t hold = 0;
    unsigned n = 0;
    size_t size = huffman_length(s);
    char *to = buf_room(b, size);
    if (!to)
        return;
    prepare();
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        hold = hold << length_of[ch] | code_of[ch];
        n += length_of[ch];
        for (; n >= 8; n -= 8)
            *to++ = (char)(hold >> (n - 8));
    }
    if (n)
        *to = (char)(hold << (8 - n) | 0xff >> n);            /* padded with the most significant bits of EOS: ones */
    b->n += size;
    b->p[b->n] = '\0';
}

/* The symbol at the top of a 32-bit window of which `have` bits are real; 0 bits used when there is none. */
static unsigned look_up(uint32_t window, unsigned have, unsigned *symbol)
{
    unsigned bits = fast[window >> (32 - FAST_BITS)].bits;
    if (bits) {
        *symbol = fast[window >> (32 - FAST_BITS)].symbol;
        return bits <= have ? bits : 0;
    }
    for (bits = FAST_BITS + 1; bits <= LONGEST && bits <= have; bits++) {
        uint32_t code = window >> (32 - bits);
        unsigned count = first_place[bits + 1 > LONGEST ? LONGEST + 1 : bits + 1] - first_place[bits];
        if (code >= first_code[bits] && code - first_code[bits] < count) {
            *symbol = sorted[first_place[bits] + code - first_code[bits]];
            return bits;
        }
    }
    return 0;
}

bool huffman_decode(struct buf *b, struct str s)
{
    uint64_t hold = 0;
    unsigned have = 0, symbol;
    size_t i = 0;
    char *start = buf_room(b, s.n * 8 / 5 + 1), *to = start;  /* the shortest code has 5 bits */
    if (!to)
        return false;
    prepare();
    for (;;) {
        while (have <= 32 && i < s.n) {
            hold = hold << 8 | (unsigned char)s.p[i++];
            have += 8;
        }
        if (!have)
            break;
        uint32_t window = have >= 32 ? (uint32_t)(hold >> (have - 32)) : (uint32_t)(hold << (32 - have));
        unsigned used = look_up(window, have < 32 ? have : 32, &symbol);
        if (!used) {                             /* what is left must be padding: fewer than 8 bits, all ones */
            if (i < s.n || have >= 8 || hold != (1u << have) - 1)
                return false;
            break;
        }
        if (symbol == EOS)
            return false;
        *to++ = (char)symbol;
        have -= used;
        hold &= (UINT64_C(1) << have) - 1;
    }
    b->n += (size_t)(to - start);
    b->p[b->n] = '\0';
    return true;
}
