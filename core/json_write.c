/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_write: JSON onto a buf. Whether a comma is due is told by the byte before: after an opening bracket, a colon or
 * nothing there is none. Tests: tests/unit/core/json.c
 */
#include "core/json.h"

static void comma(struct buf *b)
{
    if (!b->n || b->failed) return;
    char c = b->p[b->n - 1];
    if (c != '{' && c != '[' && c != ':' && c != '\n') buf_byte(b, ',');
}

void jw_begin(struct buf *b, char bracket)
{
    comma(b);
    buf_byte(b, bracket);
}

void jw_end(struct buf *b, char bracket) { buf_byte(b, bracket); }

static void quoted(struct buf *b, struct str s)
{
    static const char hex[] = "0123456789abcdef";
    size_t from = 0;
    buf_byte(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        buf_add(b, s.p + from, i - from);
        from = i + 1;
        switch (c) {
        case '"': buf_lit(b, "\\\""); break;
        case '\\': buf_lit(b, "\\\\"); break;
        case '\n': buf_lit(b, "\\n"); break;
        case '\r': buf_lit(b, "\\r"); break;
        case '\t': buf_lit(b, "\\t"); break;
        default: buf_add(b, (char[]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 6);
        }
    }
    buf_add(b, s.p + from, s.n - from);
    buf_byte(b, '"');
}

void jw_key(struct buf *b, struct str key)
{
    comma(b);
    quoted(b, key);
    buf_byte(b, ':');
}

void jw_kbegin(struct buf *b, const char *key, char bracket)
{
    jw_key(b, str_of(key));
    buf_byte(b, bracket);
}

void jw_str(struct buf *b, struct str s)
{
    comma(b);
    quoted(b, s);
}

void jw_int(struct buf *b, int64_t v)
{
    char text[21];
    comma(b);
    buf_add(b, text, str_put_i64(text, v));
}

void jw_bool(struct buf *b, bool v)
{
    comma(b);
    buf_lit(b, v ? "true" : "false");
}

void jw_null(struct buf *b)
{
    comma(b);
    buf_lit(b, "null");
}

void jw_raw(struct buf *b, struct str json)
{
    comma(b);
    buf_str(b, json);
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

static void new_line(struct buf *b, size_t level)
{
    buf_byte(b, '\n');
    while (level--)
        buf_lit(b, "    ");
}

/* Where the string that begins at `at` ends, behind its quote. */
static size_t string_end(struct str s, size_t at)
{
    for (at++; at < s.n && s.p[at] != '"'; at++)
        at += s.p[at] == '\\';
    return at + 1 < s.n ? at + 1 : s.n;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

void json_indent(struct buf *b, struct str s)
{
    size_t level = 0, end;
    bool opened = false;                          /* nothing stands behind the bracket yet: an empty one stays together */
    for (size_t i = 0; i < s.n; i = end) {
        char c = s.p[i];
        end = c == '"' ? string_end(s, i) : i + 1;
        if (is_blank(c))
            continue;
        bool closes = c == '}' || c == ']';
        level -= closes && level;
        if (opened != closes)
            new_line(b, level);
        opened = c == '{' || c == '[';
        level += opened;
        if (c == ',') {
            buf_byte(b, c);
            new_line(b, level);
        } else {
            buf_add(b, s.p + i, end - i);
            buf_lit(b, c == ':' ? " " : "");
        }
    }
}
