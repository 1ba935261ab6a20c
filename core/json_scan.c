/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_scan: the checking pass, and the cursor over checked text.
 *
 * The pass is recursive over containers (depth is bounded) and looks at each byte once; strings are walked eight bytes at
 * a time until something special turns up. The cursor trusts: it never looks for an end that the pass has not seen.
 * Tests: tests/unit/core/json.c
 */
#include "core/json.h"
#include "core/map.h"
#include <endian.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct scan {
    const char *start, *at, *end;
    int depth;
    void (*twice)(void *, struct str, size_t);
    void *ctx;
    struct kr_err *e;
};

static int bad(struct scan *s, const char *what)
{
    return kr_fail(s->e, KR_BAD_REQUEST, "JSON, offset %zu: %s", (size_t)(s->at - s->start), what);
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) p++;
    return p;
}
static char byte(const struct scan *s) { return s->at < s->end ? *s->at : 0; }

/* Eight bytes at a time. In a word of bytes looked at as one number, ((w - 0x01…) & ~w & 0x80…) has its lowest bit set in the
 * first byte that is zero; what it says of bytes behind that one may be wrong, so only the first is asked for. */
#define ONES UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)
static uint64_t zeros(uint64_t w) { return (w - ONES) & ~w & HIGHS; }
static uint64_t eight(const char *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
    return le64toh(w);
}

/* The next byte that is a quote, a backslash, a control character or not ASCII. */
static const char *plain_run(const char *p, const char *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t w = eight(p), m = zeros(w ^ ONES * '"') | zeros(w ^ ONES * '\\') | ((w | (w - ONES * 0x20)) & HIGHS);
        if (m) return p + __builtin_ctzll(m) / 8;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\') p++;
    return p;
}

static int hex4(const char *p, const char *end, unsigned *out)
{
    *out = 0;
    if (end - p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int v = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (v < 0) return -1;
        *out = *out << 4 | (unsigned)v;
    }
    return 0;
}

static int scan_escape(struct scan *s)
{
    unsigned u;
    char c = s->at + 1 < s->end ? s->at[1] : 0;
    if (c && strchr("\"\\/bfnrt", c)) {
        s->at += 2;
        return 0;
    }
    if (c != 'u' || hex4(s->at + 2, s->end, &u) < 0) return bad(s, "an escape that JSON does not have");
    s->at += 6;
    return 0;
}

static int scan_string(struct scan *s)
{
    if (byte(s) != '"') return bad(s, "a string is expected");
    s->at++;
    for (;;) {
        s->at = plain_run(s->at, s->end);
        if (s->at >= s->end) return bad(s, "a string that is not closed");
        unsigned char c = (unsigned char)*s->at;
        if (c == '"') return s->at++, 0;
        if (c == '\\') {
            if (scan_escape(s) < 0) return -1;
        } else if (c < 0x20) {
            return bad(s, "a control character in a string");
        } else {
            /* One character, not more: what follows may be the closing quote. */
            size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
            if ((size_t)(s->end - s->at) < n || !str_utf8((struct str){ s->at, n })) return bad(s, "bytes that are not UTF-8");
            s->at += n;
        }
    }
}

static size_t scan_digits(struct scan *s)
{
    const char *from = s->at;
    while (byte(s) >= '0' && byte(s) <= '9') s->at++;
    return (size_t)(s->at - from);
}

static int scan_number(struct scan *s)
{
    if (byte(s) == '-') s->at++;
    bool zero = byte(s) == '0';
    size_t n = scan_digits(s);
    if (!n || (zero && n > 1)) return bad(s, "a number that JSON does not have");
    if (byte(s) == '.') {
        s->at++;
        if (!scan_digits(s)) return bad(s, "a number that JSON does not have");
    }
    if ((byte(s) | 32) == 'e') {
        s->at++;
        if (byte(s) == '+' || byte(s) == '-') s->at++;
        if (!scan_digits(s)) return bad(s, "a number that JSON does not have");
    }
    return 0;
}

static int scan_value(struct scan *s);

static int scan_array(struct scan *s)
{
    s->at = skip_space(s->at + 1, s->end);
    if (byte(s) == ']') return s->at++, 0;
    for (;;) {
        if (scan_value(s) < 0) return -1;
        s->at = skip_space(s->at, s->end);
        if (byte(s) == ']') return s->at++, 0;
        if (byte(s) != ',') return bad(s, "\",\" or \"]\" is expected");
        s->at = skip_space(s->at + 1, s->end);
    }
}

/* Keys met so far: compared one by one while few, by a table beyond. */
enum { FEW_KEYS = 16 };
struct keys { struct str few[FEW_KEYS]; size_t n; struct map many; };

static void note_key(struct scan *s, struct keys *k, struct str key)
{
    if (k->n < FEW_KEYS) {
        for (size_t i = 0; i < k->n; i++)
            if (str_eq(k->few[i], key)) {
                s->twice(s->ctx, key, (size_t)(key.p - s->start));
                return;
            }
        k->few[k->n++] = key;
        return;
    }
    while (k->many.n < FEW_KEYS) map_put(&k->many, k->few[k->many.n], s);
    if (map_put(&k->many, key, s)) s->twice(s->ctx, key, (size_t)(key.p - s->start));
}

static int scan_members(struct scan *s, struct keys *k)
{
    for (;;) {
        const char *key = s->at + 1;
        if (scan_string(s) < 0) return -1;
        if (s->twice) note_key(s, k, (struct str){ key, (size_t)(s->at - key) - 1 });
        s->at = skip_space(s->at, s->end);
        if (byte(s) != ':') return bad(s, "\":\" is expected");
        s->at = skip_space(s->at + 1, s->end);
        if (scan_value(s) < 0) return -1;
        s->at = skip_space(s->at, s->end);
        if (byte(s) == '}') return s->at++, 0;
        if (byte(s) != ',') return bad(s, "\",\" or \"}\" is expected");
        s->at = skip_space(s->at + 1, s->end);
    }
}

static int scan_object(struct scan *s)
{
    struct keys k = { .n = 0 };
    s->at = skip_space(s->at + 1, s->end);
    if (byte(s) == '}') return s->at++, 0;
    int r = scan_members(s, &k);
    map_free(&k.many);
    return r;
}

static int scan_word(struct scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n)) return bad(s, "a value is expected");
    s->at += n;
    return 0;
}

static int scan_value(struct scan *s)
{
    int r;
    switch (byte(s)) {
    case '"': return scan_string(s);
    case '{': case '[':
        if (++s->depth > LIMIT_JSON_DEPTH) return bad(s, "nested too deeply");
        r = *s->at == '{' ? scan_object(s) : scan_array(s);
        s->depth--;
        return r;
    case 't': return scan_word(s, "true");
    case 'f': return scan_word(s, "false");
    case 'n': return scan_word(s, "null");
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9': return scan_number(s);
    default: return bad(s, s->at < s->end ? "a value is expected" : "the text ends where a value is expected");
    }
}

int json_scan_keys(struct str text, void (*twice)(void *, struct str, size_t), void *ctx, struct kr_err *e)
{
    const char *p = text.n ? text.p : "";
    struct scan s = { .start = p, .at = skip_space(p, p + text.n), .end = p + text.n, .twice = twice, .ctx = ctx, .e = e };
    if (str_starts(text, S("\xEF\xBB\xBF"))) return bad(&s, "a byte order mark");
    if (scan_value(&s) < 0) return -1;
    s.at = skip_space(s.at, s.end);
    return s.at < s.end ? bad(&s, "something behind the value") : 0;
}

int json_scan(struct str text, struct kr_err *e) { return json_scan_keys(text, NULL, NULL, e); }

/* ---- cursor ----------------------------------------------------------------------------------------------------- */
struct json_cur json_begin(struct str checked)
{
    const char *p = checked.n ? checked.p : "";
    return (struct json_cur){ skip_space(p, p + checked.n), p + checked.n };
}

enum json_type json_kind(const struct json_cur *c)
{
    switch (c->at < c->end ? *c->at : 'n') {
    case '"': return JSON_STRING;
    case '{': return JSON_OBJECT;
    case '[': return JSON_ARRAY;
    case 't': return JSON_TRUE;
    case 'f': return JSON_FALSE;
    case 'n': return JSON_NULL;
    default: return JSON_NUMBER;
    }
}

/* Behind the string that starts at p, in text that the pass has seen: what a backslash stands before is a part of it. */
static const char *string_end(const char *p, const char *end)
{
    for (p++; p < end; p += 2) {
        uint64_t m = 0;
        for (; end - p >= 8; p += 8) {
            uint64_t w = eight(p);
            m = zeros(w ^ ONES * '"') | zeros(w ^ ONES * '\\');
            if (m) break;
        }
        if (m) p += __builtin_ctzll(m) / 8;
        else while (p < end && *p != '"' && *p != '\\') p++;
        if (p < end && *p == '"') return p + 1;
    }
    return end;
}

void json_enter(struct json_cur *c) { c->at = skip_space(c->at + 1, c->end); }

/* At the next thing of a container, or behind its end. */
static bool advance(struct json_cur *c, char close)
{
    c->at = skip_space(c->at, c->end);
    if (c->at < c->end && *c->at == ',') c->at = skip_space(c->at + 1, c->end);
    if (c->at < c->end && *c->at != close) return true;
    c->at += c->at < c->end;
    return false;
}

bool json_item(struct json_cur *c) { return advance(c, ']'); }

bool json_member(struct json_cur *c, struct arena *a, struct str *key)
{
    if (!advance(c, '}')) return false;
    *key = json_text(c, a);
    c->at = skip_space(c->at, c->end);
    c->at = skip_space(c->at + 1, c->end);       /* the colon */
    return true;
}

/* ---- skipping ----
 * Who looks for few members passes over much: managedFields alone are half of an object, hundreds of short keys. So what is
 * nested is skipped 64 bytes at a time, by masks of quotes and brackets. */
struct nest { size_t depth; uint64_t inside; bool escaped; };      /* inside a string: all ones; the next byte is behind a backslash */

#ifdef __SSE2__
static uint64_t where(const __m128i v[4], char is)
{
    uint64_t m = 0;
    for (int i = 0; i < 4; i++) m |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v[i], _mm_set1_epi8(is))) << 16 * i;
    return m;
}

/* What stands behind a backslash that is none itself. */
static uint64_t escapes(uint64_t slashes, bool *carry)
{
    uint64_t out = *carry;
    for (slashes &= ~out, *carry = false; slashes;) {
        uint64_t one = slashes & -slashes;
        out |= one << 1;
        *carry |= one >> 63;
        slashes &= ~(one | one << 1);
    }
    return out;
}

/* The 64 bytes at p: how many of them up to and with the closing bracket, 0 when it is not among them. */
static size_t nest_block(struct nest *n, const char *p)
{
    __m128i v[4];
    for (int i = 0; i < 4; i++) v[i] = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
    uint64_t inside = where(v, '"') & ~escapes(where(v, '\\'), &n->escaped);
    for (int shift = 1; shift < 64; shift *= 2) inside ^= inside << shift;       /* from a quote to before the next */
    inside ^= n->inside;
    for (int i = 0; i < 4; i++) v[i] = _mm_or_si128(v[i], _mm_set1_epi8(0x20));   /* [ and ] become { and } */
    uint64_t open = where(v, '{') & ~inside, close = where(v, '}') & ~inside;
    n->inside = -(inside >> 63);
    for (uint64_t m = open | close; m; m &= m - 1) {
        uint64_t one = m & -m;
        if (one & open) n->depth++;
        else if (--n->depth == 0) return (size_t)__builtin_ctzll(one) + 1;
    }
    return 0;
}
#else
static size_t nest_block(struct nest *n, const char *p)
{
    for (size_t i = 0; i < 64; i++) {
        if (n->escaped) n->escaped = false;
        else if (n->inside) n->escaped = p[i] == '\\', n->inside = p[i] == '"' ? 0 : n->inside;
        else if (p[i] == '"') n->inside = ~UINT64_C(0);
        else if (p[i] == '{' || p[i] == '[') n->depth++;
        else if ((p[i] == '}' || p[i] == ']') && --n->depth == 0) return i + 1;
    }
    return 0;
}
#endif

/* Behind the bracket that closes the one at p. */
static const char *nest_end(const char *p, const char *end)
{
    struct nest n = { 0 };
    size_t last;
    for (; end - p >= 64; p += 64)
        if ((last = nest_block(&n, p))) return p + last;
    char rest[64] = { 0 };
    memcpy(rest, p, (size_t)(end - p));
    return (last = nest_block(&n, rest)) ? p + last : end;
}

struct str json_raw(struct json_cur *c)
{
    const char *from = c->at, *p = from;
    if (p >= c->end) return (struct str){ from, 0 };
    if (*p == '"') p = string_end(p, c->end);
    else if (*p == '{' || *p == '[') p = nest_end(p, c->end);
    else while (p < c->end && !strchr(",]} \t\r\n", *p)) p++;        /* a number or a word */
    c->at = p;
    return (struct str){ from, (size_t)(p - from) };
}

static char *put_utf8(char *to, unsigned r)
{
    if (r < 0x80) return *to++ = (char)r, to;
    if (r < 0x800) *to++ = (char)(0xC0 | r >> 6);
    else if (r < 0x10000) *to++ = (char)(0xE0 | r >> 12), *to++ = (char)(0x80 | (r >> 6 & 63));
    else *to++ = (char)(0xF0 | r >> 18), *to++ = (char)(0x80 | (r >> 12 & 63)), *to++ = (char)(0x80 | (r >> 6 & 63));
    *to++ = (char)(0x80 | (r & 63));
    return to;
}

static struct str unescape(struct str raw, struct arena *a)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    char *d = arena_alloc(a, raw.n + 1), *to = d;
    const char *p = raw.p, *end = p + raw.n;
    if (!d) return S("");
    while (p < end) {
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        if (p[1] != 'u') {
            *to++ = into[strchr(from, p[1]) - from];
            p += 2;
            continue;
        }
        unsigned u = 0, low;
        hex4(p + 2, end, &u);
        p += 6;
        bool high = u >= 0xD800 && u < 0xDC00;
        if (high && end - p >= 6 && p[0] == '\\' && p[1] == 'u' && hex4(p + 2, end, &low) == 0 && low >= 0xDC00 && low < 0xE000) {
            p += 6;
            u = 0x10000 + ((u - 0xD800) << 10) + (low - 0xDC00);
        } else if (u >= 0xD800 && u < 0xE000) {
            u = 0xFFFD;                           /* half of a pair */
        }
        to = put_utf8(to, u);
    }
    return (struct str){ d, (size_t)(to - d) };
}

struct str json_text(struct json_cur *c, struct arena *a)
{
    const char *from = c->at + 1, *end = string_end(c->at, c->end);
    struct str raw = { from, (size_t)(end - from) - 1 };
    c->at = end;
    return raw.n && memchr(raw.p, '\\', raw.n) ? unescape(raw, a) : raw;
}

/* Whole numbers written otherwise (1.0, 1e3): by decimal shifting, exact or refused. */
static bool odd_number(struct str s, int64_t *out)
{
    bool neg = s.p[0] == '-';
    int64_t v = 0, exp = 0;
    ptrdiff_t e = str_chr(s, 'e'), f;
    if (e < 0) e = str_chr(s, 'E');
    struct str power = e < 0 ? S("") : str_from(s, (size_t)e + 1);
    if (e >= 0) s.n = (size_t)e;
    if (power.n && power.p[0] == '+') power = str_from(power, 1);
    if (power.n && (!str_i64(power, &exp) || exp > 400 || exp < -400)) return false;
    s = str_from(s, neg);
    f = str_chr(s, '.');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.') continue;
        exp -= f >= 0 && i > (size_t)f;
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, s.p[i] - '0', &v)) return false;
    }
    for (; v && exp > 0; exp--)
        if (__builtin_mul_overflow(v, 10, &v)) return false;
    for (; v && exp < 0; exp++, v /= 10)
        if (v % 10) return false;
    if (!neg && v == INT64_MIN) return false;
    *out = neg ? v : -v;                         /* gathered as a negative, which has the larger range */
    return true;
}

bool json_i64(struct json_cur *c, int64_t *out)
{
    bool number = json_kind(c) == JSON_NUMBER;
    struct str raw = json_raw(c);
    return number && (str_i64(raw, out) || odd_number(raw, out));
}

void json_pick(struct str object, const char *const *keys, struct str *out, size_t n)
{
    struct json_cur c = json_begin(object);
    for (size_t i = 0; i < n; i++) out[i] = (struct str){ NULL, 0 };
    if (!object.p || json_kind(&c) != JSON_OBJECT) return;
    json_enter(&c);
    while (advance(&c, '}')) {
        struct str key = json_raw(&c);
        c.at = skip_space(c.at, c.end);
        c.at = skip_space(c.at + 1, c.end);
        struct str value = json_raw(&c);
        for (size_t i = 0; i < n; i++)
            if (!strncmp(keys[i], key.p + 1, key.n - 2) && !keys[i][key.n - 2]) {
                out[i] = value;
                break;
            }
    }
}

struct str json_find(struct str object, const char *key)
{
    struct str found;
    json_pick(object, &key, &found, 1);
    return found;
}

struct str json_find_path(struct str object, const char *const *keys, size_t n)
{
    for (size_t i = 0; i < n && object.p; i++) object = json_find(object, keys[i]);
    return object;
}

struct str json_str_of(struct str raw, struct arena *a)
{
    struct json_cur c = json_begin(raw);
    if (!raw.p || json_kind(&c) != JSON_STRING) return (struct str){ NULL, 0 };
    return json_text(&c, a);
}
