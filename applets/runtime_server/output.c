/* SPDX-License-Identifier: Apache-2.0 */
/* output: see output.h. Tests: tests/unit/applets/runtime_server.c */
#include "applets/runtime_server/output.h"

static const char CUT[] = "\n[output cut here]\n", BAD[] = "\xEF\xBF\xBD";

static void add_head(struct output *o, struct str b)
{
    size_t need = (size_t)o->total + b.n;
    if (need > o->head_cap) {
        size_t cap = o->head_cap ? o->head_cap : 1024;
        while (cap < need) cap *= 2;
        o->head_cap = cap < OUTPUT_HEAD ? cap : OUTPUT_HEAD;
        o->head = xrealloc(o->head, o->head_cap);
    }
    memcpy(o->head + o->total, b.p, b.n);
}

static void grow_tail(struct output *o, size_t want)
{
    size_t cap = o->tail_cap ? o->tail_cap : 65536;
    while (cap < want && cap < OUTPUT_TAIL) cap *= 2;
    if (cap > OUTPUT_TAIL) cap = OUTPUT_TAIL;
    if (cap == o->tail_cap) return;
    char *p = xmalloc(cap);
    size_t first = o->tail_cap - o->tail_at < o->tail_n ? o->tail_cap - o->tail_at : o->tail_n;
    if (o->tail_n) {
        memcpy(p, o->tail + o->tail_at, first);
        memcpy(p + first, o->tail, o->tail_n - first);
    }
    free(o->tail);
    o->tail = p;
    o->tail_cap = cap;
    o->tail_at = 0;
}

static void add_tail(struct output *o, struct str b)
{
    if (b.n > OUTPUT_TAIL) b = str_from(b, b.n - OUTPUT_TAIL);
    grow_tail(o, o->tail_n + b.n);
    size_t over = o->tail_n + b.n > o->tail_cap ? o->tail_n + b.n - o->tail_cap : 0;
    o->tail_at = (o->tail_at + over) % o->tail_cap;
    o->tail_n -= over;
    size_t to = (o->tail_at + o->tail_n) % o->tail_cap, first = o->tail_cap - to < b.n ? o->tail_cap - to : b.n;
    memcpy(o->tail + to, b.p, first);
    memcpy(o->tail, b.p + first, b.n - first);
    o->tail_n += b.n;
}

void output_add(struct output *o, struct str bytes)
{
    if (o->total < OUTPUT_HEAD && bytes.n) {
        size_t room = OUTPUT_HEAD - (size_t)o->total;
        struct str part = { bytes.p, bytes.n < room ? bytes.n : room };
        add_head(o, part);
        o->total += part.n;
        bytes = str_from(bytes, part.n);
    }
    if (!bytes.n) return;
    o->total += bytes.n;
    add_tail(o, bytes);
}

struct str output_at(const struct output *o, uint64_t *offset)
{
    uint64_t head = o->total < OUTPUT_HEAD ? o->total : OUTPUT_HEAD, tail = o->total - o->tail_n;
    if (*offset < head) return (struct str){ o->head + *offset, (size_t)(head - *offset) };
    if (*offset > o->total) *offset = o->total;
    if (*offset < tail) *offset = tail;
    if (*offset == o->total) return S("");
    size_t skip = (size_t)(*offset - tail), from = (o->tail_at + skip) % o->tail_cap, n = o->tail_n - skip;
    return (struct str){ o->tail + from, o->tail_cap - from < n ? o->tail_cap - from : n };
}

struct str output_text(const struct output *o, struct arena *a)
{
    struct str s = { o->head, o->total < OUTPUT_HEAD ? (size_t)o->total : OUTPUT_HEAD };
    bool cut = o->total > OUTPUT_HEAD;
    AUTO_BUF struct buf b = { .max = (size_t)OUTPUT_HEAD * 3 + sizeof CUT };
    if (cut) s.n = OUTPUT_HEAD - sizeof CUT;
    if (!cut && (!s.n || str_utf8(s))) return arena_str(a, s);
    for (size_t i = 0; i < s.n;) {
        /* the longest valid stretch, then one replaced byte */
        size_t n = str_utf8_prefix(str_from(s, i));
        buf_add(&b, s.p + i, n);
        i += n;
        if (i < s.n && !(cut && s.n - i < 4)) buf_lit(&b, BAD);
        i++;
    }
    if (b.n > OUTPUT_HEAD - sizeof CUT) {
        b.n = str_rune_cut((struct str){ b.p, b.n }, OUTPUT_HEAD - sizeof CUT);
        cut = true;
    }
    if (cut) buf_lit(&b, CUT);
    return arena_str(a, buf_view(&b));
}

void output_free(struct output *o)
{
    free(o->head);
    free(o->tail);
    *o = (struct output){ 0 };
}
