/* SPDX-License-Identifier: Apache-2.0 */
/*
 * opt_help: option tables as text, for --help and the reference pages. Nothing here knows a terminal: the caller says how
 * wide.
 */
#include "core/opt.h"
#include <stdio.h>

static void spaces(struct buf *b, size_t n)
{
    while (n--)
        buf_byte(b, ' ');
}

void opt_wrap(struct str text, size_t indent, size_t width, struct buf *out)
{
    while (text.n) {
        struct str line = str_cut(&text, '\n');
        size_t column = 0, lead = 0;
        while (lead < line.n && line.p[lead] == ' ')
            lead++;                               /* a line that is indented stays so */
        line = str_from(line, lead);
        while (line.n) {
            struct str word = str_cut(&line, ' ');
            size_t n = str_runes(word);
            if (column && indent + lead + column + 1 + n > width) {
                buf_byte(out, '\n');
                column = 0;
            }
            if (!column)
                spaces(out, indent + lead);
            else
                buf_byte(out, ' ');
            buf_str(out, word);
            column += n + (column ? 1 : 0);
        }
        buf_byte(out, '\n');
    }
}

static void put_duration(struct buf *b, int64_t us)
{
    if (us % 60000000 == 0)
        buf_fmt(b, "%lldm", (long long)(us / 60000000));
    else if (us % 1000000 == 0)
        buf_fmt(b, "%llds", (long long)(us / 1000000));
    else if (us % 1000 == 0)
        buf_fmt(b, "%lldms", (long long)(us / 1000));
    else
        buf_fmt(b, "%lldus", (long long)us);
}

void opt_default_text(const struct opt *o, struct buf *out)
{
    switch (o->type) {
    case OPT_FLAG:
        if (*(const bool *)o->to)
            buf_lit(out, "on");
        break;
    case OPT_STR:
        buf_str(out, *(const struct str *)o->to);
        break;
    case OPT_INT:
        if (!o->required && *(const int64_t *)o->to)      /* 0 mostly stands for "none"; where it doesn't, help says so */
            buf_fmt(out, "%lld", (long long)*(const int64_t *)o->to);
        break;
    case OPT_DURATION:
        if (*(const int64_t *)o->to)
            put_duration(out, *(const int64_t *)o->to);
        break;
    case OPT_ENUM:
        buf_lit(out, o->words[*(const int *)o->to]);
        break;
    case OPT_LIST:
        break;
    }
}

static void heading(const struct opt *o, struct buf *b)
{
    if (o->letter)
        buf_fmt(b, "-%c, ", o->letter);
    else
        buf_lit(b, "    ");
    buf_fmt(b, "--%s", o->name);
    if (o->type != OPT_FLAG)
        buf_fmt(b, " %s", o->arg ? o->arg : "VALUE");
}

static void explanation(const struct opt *o, struct buf *b)
{
    AUTO_BUF struct buf def = { .max = 512 };
    buf_lit(b, o->help);
    if (o->type == OPT_ENUM) {
        buf_lit(b, ": ");
        for (int i = 0; o->words[i]; i++)
            buf_fmt(b, "%s%s", i ? ", " : "", o->words[i]);
    }
    opt_default_text(o, &def);
    if (def.n)
        buf_fmt(b, " (default %s)", def.p);
    if (o->required)
        buf_lit(b, " (needed)");
    if (o->env)
        buf_fmt(b, " [$%s]", o->env);
}

void opt_help(const struct opt *const *tables, size_t width, struct buf *out)
{
    enum { COLUMN = 30 };
    for (const struct opt *const *t = tables; *t; t++)
        for (const struct opt *o = *t; o->name; o++) {
            AUTO_BUF struct buf head = { .max = 256 }, text = { .max = 2048 }, wrapped = { .max = 8192 };
            if (o->hidden || opt_find(tables, str_of(o->name)) != o)
                continue;
            heading(o, &head);
            explanation(o, &text);
            opt_wrap(buf_view(&text), COLUMN, width, &wrapped);
            buf_lit(out, "  ");
            buf_str(out, buf_view(&head));
            size_t used = str_runes(buf_view(&head)) + 2;
            if (used + 2 > COLUMN) {
                buf_byte(out, '\n');
                buf_str(out, buf_view(&wrapped));
            } else {
                spaces(out, COLUMN - used);
                buf_str(out, str_from(buf_view(&wrapped), COLUMN));
            }
        }
}
