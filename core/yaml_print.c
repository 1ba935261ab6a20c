/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_print: JSON trees as YAML in block style, laid out as kubectl does (lists at their key's indentation).
 *
 * The one idea: a string is written plain only if every rule under which a reader could take it for something else says no;
 * in doubt it is in double quotes, which can hold everything.
 *
 * Not here: anchors, folded text, comments.
 */
#include "core/yaml.h"

/* libyaml and others take a key on one line for a key only within 1024 characters. */
enum { KEY_MAX = 1000 };

static void indent_by(struct buf *b, int n)
{
    while (n-- > 0) buf_byte(b, ' ');
}

/* The next character of valid UTF-8. */
static uint32_t rune(struct str s, size_t *at)
{
    unsigned char c = (unsigned char)s.p[(*at)++];
    if (c < 0x80) return c;
    int more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
    uint32_t v = c & (0x3F >> more);
    while (more--) v = v << 6 | ((unsigned char)s.p[(*at)++] & 0x3F);
    return v;
}

/* Must be escaped: controls, what YAML 1.1 takes for line breaks, and the byte order mark. Tab and line feed have a say elsewhere. */
static bool is_special(uint32_t c)
{
    if ((c < 0x20 && c != '\t' && c != '\n') || (c >= 0x7F && c < 0xA0)) return true;
    return c == 0x2028 || c == 0x2029 || c == 0xFEFF || (c & 0xFFFE) == 0xFFFE;
}

static void put_quoted(struct buf *b, struct str s)
{
    buf_byte(b, '"');
    for (size_t i = 0; i < s.n; ) {
        size_t from = i;
        uint32_t c = rune(s, &i);
        if (c == '"' || c == '\\') buf_fmt(b, "\\%c", (char)c);
        else if (c == '\n') buf_lit(b, "\\n");
        else if (c == '\t') buf_lit(b, "\\t");
        else if (!is_special(c)) buf_add(b, s.p + from, i - from);
        else if (c < 0x100) buf_fmt(b, "\\x%02X", c);
        else if (c < 0x10000) buf_fmt(b, "\\u%04X", c);
        else buf_fmt(b, "\\U%08X", c);
    }
    buf_byte(b, '"');
}

/* Base 60 numbers and dates: strings to us, not to every reader. */
static bool looks_like_time(struct str s)
{
    size_t digits = 0, colons = 0;
    for (size_t i = 0; i < s.n; i++) {
        digits += s.p[i] >= '0' && s.p[i] <= '9';
        colons += s.p[i] == ':';
        if (i == 4 && digits == 4 && s.p[i] == '-') return true;
    }
    return colons && digits + colons == s.n;
}

static bool plain_start(struct str s)
{
    if (strchr(" \t-?:,[]{}#&*!|>'\"%@`=<", s.p[0])) {
        /* "-v" and "--flag" are usual in argument lists. */
        if (s.p[0] != '-' || s.n < 2 || strchr(" \t", s.p[1])) return false;
    }
    return !str_starts(s, S("---")) && !str_starts(s, S("..."));
}

static bool can_be_plain(struct str s)
{
    char number[YAML_NUMBER];
    if (!s.n || !plain_start(s) || s.p[s.n - 1] == ' ' || s.p[s.n - 1] == ':') return false;
    for (size_t i = 0; i < s.n; ) {
        uint32_t c = rune(s, &i);
        if (c == '\t' || c == '\n' || is_special(c)) return false;
        if (i < s.n && ((c == ':' && s.p[i] == ' ') || (c == ' ' && s.p[i] == '#'))) return false;
    }
    return yaml_plain(s, number) == JSON_STRING && !looks_like_time(s);
}

/* Several lines, of which the first neither is empty nor begins with a space (that would need an indentation indicator). */
static bool can_be_block(struct str s)
{
    if (str_chr(s, '\n') < 0 || strchr(" \t\n", s.p[0])) return false;
    for (size_t i = 0; i < s.n; )
        if (is_special(rune(s, &i))) return false;
    return true;
}

static void put_block(struct buf *b, struct str s, int indent)
{
    bool ends = str_ends(s, S("\n"));
    buf_lit(b, !ends ? "|-" : str_ends(s, S("\n\n")) ? "|+" : "|");
    if (ends) s.n--;
    for (bool last = false; !last; ) {
        last = str_chr(s, '\n') < 0;
        struct str line = str_cut(&s, '\n');
        buf_byte(b, '\n');
        if (line.n) indent_by(b, indent);
        buf_str(b, line);
    }
}

static void put_text(struct buf *b, struct str s)
{
    if (can_be_plain(s)) buf_str(b, s);
    else put_quoted(b, s);
}

static void put_number(struct buf *b, const struct json *j)
{
    char number[YAML_NUMBER];
    struct str text = json_number_text(j);
    if (yaml_plain(text, number) != JSON_NUMBER) buf_lit(b, "!!float ");       /* beyond a double */
    buf_str(b, text);
}

/* What goes on one line, or a block below it; without the line's end. */
static void put_scalar(struct buf *b, const struct json *j, int indent)
{
    switch (json_type(j)) {
    case JSON_STRING:
        if (can_be_block(json_string(j))) put_block(b, json_string(j), indent);
        else put_text(b, json_string(j));
        return;
    case JSON_NUMBER: put_number(b, j); return;
    case JSON_OBJECT: buf_lit(b, "{}"); return;
    case JSON_ARRAY: buf_lit(b, "[]"); return;
    case JSON_NULL: buf_lit(b, "null"); return;
    default: buf_lit(b, json_is(j, JSON_TRUE) ? "true" : "false"); return;
    }
}

static void put_lines(struct buf *b, const struct json *j, int indent, bool inside);

static void put_member(struct buf *b, const struct json *m, int indent)
{
    size_t before = b->n;
    put_text(b, json_key(m));
    if (b->n - before > KEY_MAX) {
        b->n = before;
        buf_lit(b, "? ");
        put_text(b, json_key(m));
        buf_byte(b, '\n');
        indent_by(b, indent);
    }
    buf_byte(b, ':');
    if (json_first(m)) {
        buf_byte(b, '\n');
        put_lines(b, m, json_is(m, JSON_ARRAY) ? indent : indent + 2, false);
    } else {
        buf_byte(b, ' ');
        put_scalar(b, m, indent + 2);
        buf_byte(b, '\n');
    }
}

/* The members or items of a container that has some. inside: the first one continues a line ("- "). */
static void put_lines(struct buf *b, const struct json *j, int indent, bool inside)
{
    for (const struct json *k = json_first(j); k && !b->failed; k = json_next(k), inside = false) {
        if (!inside) indent_by(b, indent);
        if (json_is(j, JSON_OBJECT)) {
            put_member(b, k, indent);
            continue;
        }
        buf_lit(b, "- ");
        if (json_first(k)) {
            put_lines(b, k, indent + 2, true);
        } else {
            put_scalar(b, k, indent + 2);
            buf_byte(b, '\n');
        }
    }
}

void yaml_print(struct buf *b, const struct json *j)
{
    if (json_first(j)) {
        put_lines(b, j, 0, false);
    } else {
        put_scalar(b, j, 2);
        buf_byte(b, '\n');
    }
}
