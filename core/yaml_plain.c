/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_plain: what an unquoted YAML scalar means.
 *
 * The rules are YAML 1.1's as Kubernetes' tools apply them: first the words, then integers in four bases, then decimal
 * fractions. Numbers keep their digits: the JSON text is made from the scalar's text, never from a double.
 *
 * Not here: base 60 ("1:30") and dates, which those tools take as strings too.
 */
#include "core/yaml.h"
#include <inttypes.h>
#include <stdio.h>

static const struct { const char *word; int type; } words[] = {
    { "", JSON_NULL }, { "~", JSON_NULL }, { "null", JSON_NULL }, { "true", JSON_TRUE }, { "yes", JSON_TRUE }, { "on", JSON_TRUE },
    { "y", JSON_TRUE }, { "false", JSON_FALSE }, { "no", JSON_FALSE }, { "off", JSON_FALSE }, { "n", JSON_FALSE },
    { ".inf", YAML_NO_JSON }, { "+.inf", YAML_NO_JSON }, { "-.inf", YAML_NO_JSON }, { ".nan", YAML_NO_JSON },
};

static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Words are known in small letters, in capitals, and with one capital in front ("yes", "YES", "Yes"; ".nan" also as ".NaN"). */
static bool same_word(struct str s, struct str word)
{
    size_t letters = 0, upper = 0;
    bool first = false;
    if (!str_caseeq(s, word)) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (is_upper(s.p[i]) && !letters) first = true;
        letters += is_upper(s.p[i]) || is_lower(s.p[i]);
        upper += is_upper(s.p[i]);
    }
    return !upper || upper == letters || (upper == 1 && first) || str_is(s, ".NaN");
}

/* [-+]? then 0x, 0o, 0b, or a leading zero for octal, or decimal; within int64 or uint64. */
static bool integer(const char *z, char number[YAML_NUMBER])
{
    bool minus = *z == '-';
    uint64_t v = 0;
    unsigned base = 10;
    if (*z == '-' || *z == '+') z++;
    if (z[0] == '0' && z[1]) {
        char c = (char)(z[1] | 0x20);
        base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
        z += c == 'x' || c == 'b' || c == 'o' ? 2 : 1;
    }
    if (!*z) return false;
    for (; *z; z++) {
        char c = (char)(*z | 0x20);
        unsigned d = is_digit(*z) ? (unsigned)(*z - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 99;
        if (d >= base || __builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v)) return false;
    }
    if (minus && v > (uint64_t)INT64_MAX + 1) return false;
    snprintf(number, YAML_NUMBER, "%s%" PRIu64, minus && v ? "-" : "", v);
    return true;
}

static size_t take_digits(const char **z, char *to)
{
    size_t n = 0;
    while (is_digit(**z)) to[n++] = *(*z)++;
    return n;
}

/* [-+]? (.5 | 5 | 5. | 5.5) ([eE][-+]?5)?, written as JSON wants it: a digit before and behind the point, no '+'. */
static bool fraction(const char *z, char number[YAML_NUMBER])
{
    char *to = number;
    if (*z == '-') *to++ = '-';
    if (*z == '-' || *z == '+') z++;
    const char *from = z;
    while (*z == '0' && is_digit(z[1])) z++;
    size_t before = take_digits(&z, to);
    to += before;
    if (!before) *to++ = '0';
    bool point = *z == '.';
    if (point) {
        z++;
        to[0] = '.';
        size_t behind = take_digits(&z, to + 1);
        if (!behind && !before) return false;
        if (behind) to += 1 + behind;
    }
    if (z == from) return false;
    if (*z == 'e' || *z == 'E') {
        *to++ = 'e';
        z++;
        if (*z == '-') *to++ = '-';
        if (*z == '-' || *z == '+') z++;
        size_t n = take_digits(&z, to);
        if (!n) return false;
        to += n;
    }
    *to = 0;
    return !*z;
}

int yaml_plain(struct str text, char number[YAML_NUMBER])
{
    char z[YAML_NUMBER - 8];
    size_t n = 0;
    for (size_t i = 0; i < LEN(words); i++)
        if (same_word(text, str_of(words[i].word))) return words[i].type;
    if (text.n >= sizeof z || (!is_digit(text.p[0]) && !strchr("+-.", text.p[0]))) return JSON_STRING;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] != '_') z[n++] = text.p[i] ? text.p[i] : ' ';
    z[n] = 0;
    if (integer(z, number)) return JSON_NUMBER;
    /* Beyond a double's range it is a string, as Go's parser has it. */
    return fraction(z, number) && json_fits_double(number) ? JSON_NUMBER : JSON_STRING;
}
