/* SPDX-License-Identifier: Apache-2.0 */
/*
 * str: looking at bytes that came from outside. Nothing here allocates, nothing trusts a terminator.
 * Tests: tests/unit/core/kr.c
 */
#include "core/kr.h"
#include <sys/random.h>

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int r = n ? memcmp(a.p, b.p, n) : 0;
    return r ? r : (a.n > b.n) - (a.n < b.n);
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

bool str_caseeq(struct str a, struct str b)
{
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i])) return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq((struct str){ s.p, prefix.n }, prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq((struct str){ s.p + s.n - suffix.n, suffix.n }, suffix);
}

ptrdiff_t str_find(struct str s, struct str what)
{
    if (!what.n) return 0;
    if (!s.n) return -1;
    const char *at = memmem(s.p, s.n, what.p, what.n);
    return at ? at - s.p : -1;
}

ptrdiff_t str_chr(struct str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? at - s.p : -1;
}

struct str str_from(struct str s, size_t off)
{
    return off >= s.n ? (struct str){ "", 0 } : (struct str){ s.p + off, s.n - off };
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

struct str str_trim(struct str s)
{
    while (s.n && is_space(s.p[0])) s.p++, s.n--;
    while (s.n && is_space(s.p[s.n - 1])) s.n--;
    return s;
}

struct str str_cut(struct str *rest, char sep)
{
    ptrdiff_t at = str_chr(*rest, sep);
    struct str head = *rest;
    if (at < 0) {
        *rest = (struct str){ NULL, 0 };
        return head;
    }
    head.n = (size_t)at;
    *rest = (struct str){ head.p + at + 1, rest->n - (size_t)at - 1 };
    return head;
}

bool str_u64(struct str s, uint64_t *out)
{
    uint64_t v = 0;
    if (!s.n) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v)) return false;
    }
    *out = v;
    return true;
}

bool str_i64(struct str s, int64_t *out)
{
    bool neg = s.n && s.p[0] == '-';
    uint64_t v;
    if (!str_u64(str_from(s, neg), &v) || v > (uint64_t)INT64_MAX + neg) return false;
    *out = neg ? (int64_t)-v : (int64_t)v;
    return true;
}

size_t str_put_i64(char out[21], int64_t v)
{
    char text[20], *at = text + sizeof text;
    uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
    do *--at = (char)('0' + u % 10);
    while (u /= 10);
    size_t n = (size_t)(text + sizeof text - at);
    *out = '-';
    memcpy(out + (v < 0), at, n);
    return n + (v < 0);
}

void hex_put(char *out, const void *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[b[i] >> 4];
        *out++ = digits[b[i] & 15];
    }
    *out = 0;
}

/* Length of the well-formed UTF-8 sequence at p (RFC 3629, section 4), 0 when there is none. */
static size_t rune_len(const unsigned char *p, size_t n)
{
    unsigned c = p[0];
    size_t len = c < 0x80 ? 1 : c >= 0xC2 && c <= 0xDF ? 2 : c >= 0xE0 && c <= 0xEF ? 3 : c >= 0xF0 && c <= 0xF4 ? 4 : 0;
    if (!len || len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    if ((c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F) || (c == 0xF0 && p[1] < 0x90) || (c == 0xF4 && p[1] > 0x8F)) return 0;
    return len;
}

size_t str_utf8_prefix(struct str s)
{
    size_t i = 0;
    for (size_t len; i < s.n && (len = rune_len((const unsigned char *)s.p + i, s.n - i)); i += len) {}
    return i;
}

bool str_utf8(struct str s) { return str_utf8_prefix(s) == s.n; }

size_t str_runes(struct str s)
{
    size_t runes = 0;
    for (size_t i = 0; i < s.n; i++) runes += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return runes;
}

size_t str_rune_cut(struct str s, size_t max)
{
    if (s.n <= max && (!s.n || str_utf8(s))) return s.n;
    size_t n = s.n < max ? s.n : max;
    /* step back over an unfinished sequence: at most three bytes */
    for (size_t back = 0; back < 4 && back < n; back++) {
        unsigned char c = (unsigned char)s.p[n - 1 - back];
        if ((c & 0xC0) == 0x80) continue;
        return rune_len((const unsigned char *)s.p + n - 1 - back, back + 1) == back + 1 ? n : n - 1 - back;
    }
    return n;
}

/* FNV-1a with a random start: strangers choose our keys, so the buckets must not be theirs to choose. */
uint64_t str_hash(struct str s)
{
    static uint64_t seed;
    if (!seed && (getrandom(&seed, sizeof seed, 0) != sizeof seed || !seed)) seed = 0x9E3779B97F4A7C15u;
    uint64_t h = seed;
    for (size_t i = 0; i < s.n; i++) h = (h ^ (unsigned char)s.p[i]) * 0x100000001B3u;
    return h ^ h >> 32;
}
