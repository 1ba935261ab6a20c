/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names: which names of a tree are never made on disk. ".git" as three file systems would take it: in any case, with
 * characters that HFS+ passes over, with the ends that NTFS passes over (and as its short name "git~1"). The workspace may lie
 * on any of them, or be copied to one. Tests: tests/unit/applets/git_fetch/names.c.
 */
#include "applets/git_fetch/fetch.h"

/* Bytes of a character that HFS+ passes over at p: ZWNJ, ZWJ, marks of direction, BOM (Apple's TN1150 and its table). */
static size_t ignored(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    if (s.n < 3)
        return 0;
    if (p[0] == 0xe2 && p[1] == 0x80 && ((p[2] >= 0x8c && p[2] <= 0x8f) || (p[2] >= 0xaa && p[2] <= 0xae)))
        return 3;
    if (p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xaa && p[2] <= 0xaf)
        return 3;
    return p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf ? 3 : 0;
}

/* As a lenient file system reads it: at most 15 characters of it, lower case. */
static struct str plain(struct str s, char out[16])
{
    size_t n = 0;
    while (s.n && *s.p != ':') {                  /* an NTFS stream */
        size_t skip = ignored(s);
        if (!skip && n < 16)
            out[n++] = *s.p >= 'A' && *s.p <= 'Z' ? (char)(*s.p + 32) : *s.p;
        s = str_from(s, skip ? skip : 1);
        if (n == 16)
            return (struct str){ out, 0 };        /* longer than anything we look for */
    }
    while (n && (out[n - 1] == '.' || out[n - 1] == ' '))
        n--;
    return (struct str){ out, n };
}

const char *name_refused(struct str s)
{
    char small[16];
    if (!s.n)
        return "an empty name";
    if (s.n > 255)
        return "a name longer than 255 bytes";
    if (str_is(s, ".") || str_is(s, ".."))
        return "the name of a folder itself";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '/' || c == '\\')
            return "a separator in a name";
        if (c < 0x20 || c == 0x7f)
            return "a control character in a name";
    }
    struct str p = plain(s, small);
    return str_is(p, ".git") || str_is(p, "git~1") ? "a spelling of \".git\"" : NULL;
}

bool link_leaves(struct str target, size_t depth)
{
    if (!target.n || *target.p == '/' || memchr(target.p, '\0', target.n))
        return true;
    while (target.n) {
        struct str part = str_cut(&target, '/');
        if (!part.n || str_is(part, "."))
            continue;
        if (!str_is(part, ".."))
            depth++;
        else if (depth-- == 0)
            return true;
    }
    return false;
}
