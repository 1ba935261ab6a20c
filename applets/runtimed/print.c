/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print: what Runs write as lines of JSON on runtimed's stdout, for collectors of a cluster (--print-output): one object a
 * line of output, of at most LINE bytes; bytes that are no UTF-8 become U+FFFD. Tests: tests/local/logs.py
 */
#include "applets/runtimed/runtimed.h"
#include "core/fs.h"

enum { LINE = 16384 };

static void print_line(struct task *t, int stream, struct str line, bool partial)
{
    AUTO_BUF struct buf b = { .max = 8 * LINE };
    AUTO_ARENA struct arena a = { .limit = 8 * LINE };
    char now[TIME_TEXT];
    struct kr_err ignored = { 0 };
    time_print_micro(now, loop_wall_us(t->d->loop));
    jw_begin(&b, '{');
    jw_kstr(&b, "time", str_of(now));
    jw_kstr(&b, "namespace", t->ns);
    jw_kstr(&b, "run", t->name);
    jw_kstr(&b, "uid", t->uid);
    jw_kint(&b, "attempt", t->attempt);
    jw_kstr(&b, "stream", stream == 2 ? S("stderr") : S("stdout"));
    jw_kstr(&b, "text", str_of(pb_clean(&a, line)));
    if (partial)
        jw_kbool(&b, "partial", true);
    jw_end(&b, '}');
    buf_byte(&b, '\n');
    fs_write_fd(1, buf_view(&b), "stdout", &ignored);
}

void print_output(struct task *t, int stream, struct str bytes)
{
    struct buf *part = &t->unprinted[stream];
    if (!t->d->print_output)
        return;
    part->max = LINE;
    while (bytes.n) {
        ptrdiff_t end = str_chr(bytes, '\n');
        size_t room = LINE - part->n, n = end >= 0 && (size_t)end <= room ? (size_t)end : bytes.n < room ? bytes.n : room;
        bool whole = end >= 0 && (size_t)end == n;
        buf_add(part, bytes.p, n);
        bytes = str_from(bytes, n + whole);
        if (!whole && part->n < LINE)
            return;                               /* the rest of the line is to come */
        print_line(t, stream, buf_view(part), !whole);
        buf_clear(part);
    }
}

void print_rest(struct task *t)
{
    for (int stream = 1; stream <= 2; stream++) {
        if (t->unprinted[stream].n)
            print_line(t, stream, buf_view(&t->unprinted[stream]), false);
        buf_free(&t->unprinted[stream]);
    }
}
