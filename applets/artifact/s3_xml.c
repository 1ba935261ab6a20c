/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_xml: looks elements up in a bounded text. Nothing is ever defined or expanded but the five entities and character
 * references of XML itself, so an answer can't grow. Tests: tests/unit/applets/artifact_s3.c
 */
#include "applets/artifact/s3.h"

enum { REFERENCE_MAX = 12 };

static void put_rune(char *out, size_t *n, uint32_t c)
{
    if (c < 0x80) {
        out[(*n)++] = (char)c;
    } else if (c < 0x800) {
        out[(*n)++] = (char)(0xc0 | c >> 6);
        out[(*n)++] = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        out[(*n)++] = (char)(0xe0 | c >> 12);
        out[(*n)++] = (char)(0x80 | (c >> 6 & 63));
        out[(*n)++] = (char)(0x80 | (c & 63));
    } else {
        out[(*n)++] = (char)(0xf0 | c >> 18);
        out[(*n)++] = (char)(0x80 | (c >> 12 & 63));
        out[(*n)++] = (char)(0x80 | (c >> 6 & 63));
        out[(*n)++] = (char)(0x80 | (c & 63));
    }
}

/* "#65", "#x41": a character; 0 when it is none. */
static uint32_t reference(struct str s)
{
    uint32_t c = 0;
    bool hex = s.n > 1 && (s.p[1] == 'x' || s.p[1] == 'X');
    for (size_t i = hex ? 2 : 1; i < s.n; i++) {
        char d = s.p[i];
        uint32_t v = d >= '0' && d <= '9' ? (uint32_t)(d - '0') : hex && d >= 'a' && d <= 'f' ? (uint32_t)(d - 'a' + 10) : hex && d >= 'A' && d <= 'F' ? (uint32_t)(d - 'A' + 10) : 99;
        if (v == 99 || (c = c * (hex ? 16 : 10) + v) > 0x10ffff)
            return 0;
    }
    return c >= 0xd800 && c < 0xe000 ? 0 : c;
}

static struct str decode(struct str raw, struct arena *a)
{
    static const struct { const char *name; char c; } entities[] = { { "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' } };
    char *out = arena_alloc(a, raw.n + 1);        /* a reference is never shorter than its character */
    size_t n = 0;
    while (out && raw.n) {
        struct str near = { raw.p, raw.n < REFERENCE_MAX ? raw.n : REFERENCE_MAX };      /* not further: an answer may be megabytes of '&' */
        ptrdiff_t end = raw.p[0] == '&' ? str_chr(near, ';') : -1;
        uint32_t c = 0;
        if (end > 1) {
            struct str name = { raw.p + 1, (size_t)end - 1 };
            c = name.p[0] == '#' ? reference(name) : 0;
            for (size_t i = 0; i < LEN(entities); i++)
                c = str_is(name, entities[i].name) ? (uint32_t)entities[i].c : c;
        }
        if (c)
            put_rune(out, &n, c);
        else
            out[n++] = raw.p[0];
        raw = str_from(raw, c ? (size_t)end + 1 : 1);
    }
    return out ? (struct str){ out, n } : S("");
}

bool xml_find(struct str doc, size_t *at, const char *name, struct arena *a, struct str *text)
{
    AUTO_BUF struct buf open = { .max = 128 }, close = { .max = 128 };
    buf_fmt(&open, "<%s>", name);
    buf_fmt(&close, "</%s>", name);
    struct str rest = str_from(doc, *at);
    ptrdiff_t from = str_find(rest, buf_view(&open));
    if (from < 0)
        return false;
    struct str body = str_from(rest, (size_t)from + open.n);
    ptrdiff_t n = str_find(body, buf_view(&close));
    if (n < 0)
        return false;
    *text = decode((struct str){ body.p, (size_t)n }, a);
    *at = (size_t)(body.p - doc.p) + (size_t)n + close.n;
    return true;
}

struct str xml_first(struct str doc, const char *name, struct arena *a)
{
    size_t at = 0;
    struct str text;
    return xml_find(doc, &at, name, a, &text) ? text : S("");
}
