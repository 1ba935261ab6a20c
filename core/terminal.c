/* SPDX-License-Identifier: Apache-2.0 */
/* terminal: see terminal.h. A sequence may be cut between two pieces; C1 controls come as two bytes of UTF-8. Tests: tests/unit/core/terminal.c */
#include "core/terminal.h"
#include "core/fs.h"
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* How the bytes that begin with ESC or 0xc2 stand: a whole colour, nothing to be obeyed, or too short to tell. */
enum verdict { SHOW, PASS, MORE };

static enum verdict judge(const char *p, size_t n)
{
    if ((unsigned char)p[0] == 0xc2)
        return n < 2 ? MORE : (unsigned char)p[1] < 0xa0 ? SHOW : PASS;
    if (n < 2)
        return MORE;
    if (p[1] != '[')
        return SHOW;
    for (size_t i = 2; i < n; i++) {
        if (p[i] == 'm')
            return PASS;
        if (!((p[i] >= '0' && p[i] <= '9') || p[i] == ';' || p[i] == ':'))
            return SHOW;
    }
    return n < TERMINAL_HELD ? MORE : SHOW;
}

static void show(unsigned char c, struct buf *out)
{
    if (c == 0xc2)
        buf_lit(out, "\\x");                      /* a C1 control: its second byte follows as hex */
    else if (c >= 0x80 && c < 0xa0)
        buf_fmt(out, "%02x", c);
    else if (c == 127)
        buf_lit(out, "^?");
    else if (c < ' ' && c != '\n' && c != '\t' && c != '\r')
        buf_fmt(out, "^%c", c + 64);
    else
        buf_byte(out, (char)c);
}

static void put_byte(struct terminal *t, char c, struct buf *out)
{
    bool opens = c == 27 || (unsigned char)c == 0xc2;
    if (!t->n && !opens) {
        if ((unsigned char)c >= 0x80)
            buf_byte(out, c);
        else
            show((unsigned char)c, out);
        return;
    }
    t->held[t->n++] = c;
    enum verdict v = judge(t->held, t->n);
    if (v == MORE)
        return;
    if (v == PASS) {
        buf_add(out, t->held, t->n);
        t->n = 0;
        return;
    }
    char again[TERMINAL_HELD];
    size_t n = t->n;
    memcpy(again, t->held, n);
    t->n = 0;
    bool c1 = (unsigned char)again[0] == 0xc2;
    show((unsigned char)again[0], out);
    if (c1)
        show((unsigned char)again[1], out);
    for (size_t i = c1 ? 2 : 1; i < n; i++)
        put_byte(t, again[i], out);               /* what follows is looked at anew: no deeper than the bytes held */
}

void terminal_put(struct terminal *t, struct str bytes, struct buf *out)
{
    for (size_t i = 0; i < bytes.n; i++)
        put_byte(t, bytes.p[i], out);
}

void terminal_end(struct terminal *t, struct buf *out)
{
    for (size_t i = 0; i < t->n; i++)
        show((unsigned char)t->held[i], out);
    t->n = 0;
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

struct str terminal_text(int fd, struct str text, struct buf *b)
{
    struct terminal t = { .n = 0 };
    if (!isatty(fd))
        return text;
    b->max = 4 * text.n + 256;
    terminal_put(&t, text, b);
    terminal_end(&t, b);
    return buf_view(b);
}

int terminal_write(struct terminal *t, int fd, struct str bytes, struct kr_err *e)
{
    AUTO_BUF struct buf shown = { .max = 4 * bytes.n + 256 };
    if (!t) {
        bytes = terminal_text(fd, bytes, &shown);
    } else if (isatty(fd)) {
        terminal_put(t, bytes, &shown);
        bytes = buf_view(&shown);
    }
    return fs_write_fd(fd, bytes, fd == 2 ? "stderr" : "stdout", e);
}

void terminal_draw(size_t *drawn, struct str picture, bool last, struct buf *out)
{
    AUTO_BUF struct buf shown = { 0 };
    struct winsize w = { 0 };
    if (*drawn)
        buf_fmt(out, "\033[%zuA\033[J", *drawn);
    *drawn = 0;
    picture = terminal_text(1, picture, &shown);
    for (size_t i = 0; i < picture.n; i++)
        *drawn += picture.p[i] == '\n';
    if (ioctl(1, TIOCGWINSZ, &w) == 0 && !last)
        for (; w.ws_row > 1 && *drawn >= w.ws_row; --*drawn)
            str_cut(&picture, '\n');
    buf_lit(out, last ? "" : "\033[?7l");         /* no wrapping */
    buf_str(out, picture);
    buf_lit(out, last ? "" : "\033[?7h");
}

void terminal_say(const char *fmt, ...)
{
    char text[8192];
    struct kr_err ignored = { 0 };
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    terminal_write(NULL, 2, str_of(text), &ignored);
}
