/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quantity: Kubernetes' resource amounts.
 *
 * The one idea: everything becomes digits * 10^exponent without trailing zeros, which is unique, so that comparing and
 * printing have one case. 1024^n is an integer and so fits the form.
 *
 * Not here: sums (who adds resources takes milli or whole units), and the silent rounding of amounts finer than a nano.
 */
#include "k8s/quantity.h"
#include <inttypes.h>
#include <stdio.h>

enum { FINEST = -9, COARSEST = 18 };

static const struct suffix { const char *text; int exponent, binary; } suffixes[] = {
    { "", 0, 0 }, { "n", -9, 0 }, { "u", -6, 0 }, { "m", -3, 0 }, { "k", 3, 0 },
    { "M", 6, 0 }, { "G", 9, 0 }, { "T", 12, 0 }, { "P", 15, 0 },
    { "E", 18, 0 }, { "Ki", 0, 1 }, { "Mi", 0, 2 }, { "Gi", 0, 3 }, { "Ti", 0, 4 }, { "Pi", 0, 5 }, { "Ei", 0, 6 },
};

static void shorten(struct quantity *q)
{
    while (q->digits && q->digits % 10 == 0) q->digits /= 10, q->exponent++;
    if (!q->digits) q->exponent = 0;
}

static int refuse(struct str text, const char *what, struct kr_err *e)
{
    return kr_fail(e, KR_INVALID, "quantity '%.*s': %s", (int)str_rune_cut(text, 64), text.p ? text.p : "", what);
}

/* "12.50" into digits and exponent; *used is how long it is. NULL, or what is wrong. */
static const char *take_number(struct str s, struct quantity *q, size_t *used)
{
    bool negative = s.n && s.p[0] == '-', point = false;
    size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+'), seen = 0;
    int zeros = 0;                                       /* zeros at the end are held back: they may be many and mean little */
    for (; i < s.n; i++) {
        char c = s.p[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9') break;
        if (++seen > 64) return "too many digits";
        if (point) q->exponent--;
        zeros++;
        if (c == '0') continue;
        for (; zeros; zeros--)
            if (__builtin_mul_overflow(q->digits, 10, &q->digits)) return "more digits than can be told apart";
        if (__builtin_add_overflow(q->digits, c - '0', &q->digits)) return "more digits than can be told apart";
    }
    if (!seen) return "it must begin with a number";
    q->exponent += zeros;
    if (negative) q->digits = -q->digits;
    *used = i;
    return NULL;
}

static bool take_exponent(struct str s, struct quantity *q)
{
    int64_t n;
    if (s.n < 2 || (s.p[0] != 'e' && s.p[0] != 'E')) return false;
    struct str number = str_from(s, s.p[1] == '+' ? 2 : 1);
    if (!str_i64(number, &n) || n < -99 || n > 99 || (s.p[1] == '+' && number.p[0] == '-')) return false;
    q->exponent += (int)n;
    q->format = QUANTITY_EXPONENT;
    return true;
}

static const char *take_suffix(struct str s, struct quantity *q)
{
    for (size_t i = 0; i < LEN(suffixes); i++) {
        if (!str_is(s, suffixes[i].text)) continue;
        q->exponent += suffixes[i].exponent;
        if (suffixes[i].binary) q->format = QUANTITY_BINARY;
        shorten(q);
        for (int k = 0; k < suffixes[i].binary; k++) {
            /* 1024 = 2^10: taking the fives out of the decimal point first keeps "0.5Gi" within range. */
            if (__builtin_mul_overflow(q->digits, 1024, &q->digits)) return "too large";
            shorten(q);
        }
        return NULL;
    }
    return take_exponent(s, q) ? NULL : "unknown suffix; there are n u m k M G T P E, Ki Mi Gi Ti Pi Ei, and e3";
}

int quantity_parse(struct str text, struct quantity *out, struct kr_err *e)
{
    struct quantity q = { 0 };
    size_t used = 0;
    const char *wrong = take_number(text, &q, &used);
    if (!wrong) wrong = take_suffix(str_from(text, used), &q);
    if (wrong) return refuse(text, wrong, e);
    shorten(&q);
    if (q.exponent < FINEST) return refuse(text, "finer than a nano (1n)", e);
    if (q.exponent > COARSEST || q.digits == INT64_MIN) return refuse(text, "too large", e);
    *out = q;
    return 0;
}

static bool times_ten(int64_t v, int power, int64_t *out)
{
    for (; power > 0; power--)
        if (__builtin_mul_overflow(v, 10, &v)) return false;
    *out = v;
    return true;
}

int quantity_cmp(const struct quantity *a, const struct quantity *b)
{
    int least = a->exponent < b->exponent ? a->exponent : b->exponent;
    int64_t x, y;
    /* What does not fit when both are brought to one exponent has the larger amount, by its sign. */
    if (!times_ten(a->digits, a->exponent - least, &x)) return a->digits < 0 ? -1 : 1;
    if (!times_ten(b->digits, b->exponent - least, &y)) return b->digits < 0 ? 1 : -1;
    return (x > y) - (x < y);
}

static bool scaled(const struct quantity *q, int exponent, int64_t *out)
{
    int64_t v = q->digits;
    int less = exponent - q->exponent;
    if (less <= 0) return times_ten(v, -less, out);
    bool rest = false;
    for (; less > 0; less--) {
        rest |= v % 10 != 0;
        v /= 10;
    }
    *out = v + (rest && q->digits > 0);
    return true;
}

bool quantity_whole(const struct quantity *q, int64_t *out) { return scaled(q, 0, out); }
bool quantity_milli(const struct quantity *q, int64_t *out) { return scaled(q, -3, out); }

static struct str print_binary(int64_t whole, char buf[QUANTITY_TEXT])
{
    int k = 0;
    while (k < 6 && whole % 1024 == 0) whole /= 1024, k++;
    return (struct str){ buf, (size_t)snprintf(buf, QUANTITY_TEXT, "%" PRId64 "%s", whole, k ? suffixes[9 + k].text : "") };
}

struct str quantity_print(const struct quantity *q, char buf[QUANTITY_TEXT])
{
    int64_t whole, v;
    if (!q->digits) return (struct str){ buf, (size_t)snprintf(buf, QUANTITY_TEXT, "0") };
    bool binary = q->format == QUANTITY_BINARY && q->exponent >= 0 && quantity_whole(q, &whole) && (whole >= 1024 || whole <= -1024);
    if (binary) return print_binary(whole, buf);
    int at = q->exponent < 0 ? -(-q->exponent + 2) / 3 * 3 : q->exponent / 3 * 3;     /* down to a multiple of three */
    /* Cannot overflow by parsing's limits but for digits near int64's end; then the exponent is printed as it is. */
    if (!times_ten(q->digits, q->exponent - at, &v)) v = q->digits, at = q->exponent;
    const char *text = NULL;
    for (size_t i = 0; i < 10; i++)
        if (suffixes[i].exponent == at) text = suffixes[i].text;
    int n = text && q->format != QUANTITY_EXPONENT ? snprintf(buf, QUANTITY_TEXT, "%" PRId64 "%s", v, text)
          : at ? snprintf(buf, QUANTITY_TEXT, "%" PRId64 "e%d", v, at) : snprintf(buf, QUANTITY_TEXT, "%" PRId64, v);
    return (struct str){ buf, (size_t)n };
}
