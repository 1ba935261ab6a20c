/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64: RFC 4648 sections 4 and 5.
 *
 * The one idea: bits go through one 32-bit accumulator in either direction; what is left in it at the end of decoding must
 * be zero, or two texts would mean the same bytes.
 *
 * Not here: line breaks (MIME, PEM); who reads PEM leaves that to mbedTLS.
 */
#include "core/base64.h"

static const char *alphabet(enum base64_kind kind)
{
    return kind == BASE64_URL ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
                              : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

static int digit(enum base64_kind kind, unsigned char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == (kind == BASE64_URL ? '-' : '+')) return 62;
    return c == (kind == BASE64_URL ? '_' : '/') ? 63 : -1;
}

static size_t encode(enum base64_kind kind, struct str in, char *to)
{
    const char *digits = alphabet(kind);
    uint32_t bits = 0;
    int have = 0;
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        bits = bits << 8 | (unsigned char)in.p[i];
        for (have += 8; have >= 6; have -= 6) to[n++] = digits[bits >> (have - 6) & 63];
    }
    if (have) to[n++] = digits[bits << (6 - have) & 63];
    while (kind == BASE64_STD && n % 4) to[n++] = '=';
    return n;
}

void base64_put(struct buf *b, enum base64_kind kind, struct str bytes)
{
    char *to = buf_room(b, bytes.n / 3 * 4 + 4);
    if (to) b->n += encode(kind, bytes, to), b->p[b->n] = 0;
}

struct str base64_encode(struct arena *a, enum base64_kind kind, struct str bytes)
{
    char *to = arena_alloc(a, bytes.n / 3 * 4 + 5);
    if (!to) return (struct str){ 0 };
    return (struct str){ to, encode(kind, bytes, to) };
}

int base64_decode(struct arena *a, enum base64_kind kind, struct str text, struct str *bytes, struct kr_err *e)
{
    size_t digits = text.n, n = 0;
    uint32_t bits = 0;
    int have = 0;
    if (kind == BASE64_STD) {
        if (text.n % 4) return kr_fail(e, KR_BAD_REQUEST, "base64: the length %zu is not a multiple of four", text.n);
        while (digits && digits + 2 > text.n && text.p[digits - 1] == '=') digits--;
    }
    if (digits % 4 == 1) return kr_fail(e, KR_BAD_REQUEST, "base64: cut short at offset %zu", digits);
    char *to = arena_alloc(a, digits / 4 * 3 + 3);
    if (!to) return kr_fail(e, KR_TOO_LARGE, "base64: %zu bytes are more than is allowed here", text.n);
    for (size_t i = 0; i < digits; i++) {
        int d = digit(kind, (unsigned char)text.p[i]);
        if (d < 0) return kr_fail(e, KR_BAD_REQUEST, "base64: not a digit at offset %zu", i);
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8) have -= 8, to[n++] = (char)(bits >> have);
    }
    if (bits & ((1u << have) - 1)) return kr_fail(e, KR_BAD_REQUEST, "base64: stray bits in the last digit, at offset %zu", digits - 1);
    *bytes = (struct str){ to, n };
    return 0;
}
