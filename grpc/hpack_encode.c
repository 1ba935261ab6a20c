/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpack_encode: fields to header blocks. What comes again on the same connection goes into the dynamic table; paths and
 * lengths, which hardly do, don't, and credentials never do: who can have fields of his own sent on the connection could
 * guess at them by the size of what follows (RFC 7541 section 7.1). Strings are Huffman-coded when that is shorter.
 * Tests: tests/unit/grpc/hpack.c
 */
#include "grpc/hpack.h"

enum form { ADD = 0x40, PLAIN = 0, NEVER = 0x10 };       /* sections 6.2.1, 6.2.2, 6.2.3 */

void hpack_encoder_init(struct hpack_encoder *e) { *e = (struct hpack_encoder){ .table = { .max = HPACK_TABLE } }; }
void hpack_encoder_free(struct hpack_encoder *e) { hpack_table_free(&e->table); }

void hpack_encoder_limit(struct hpack_encoder *e, size_t peer_max)
{
    size_t max = peer_max < HPACK_TABLE ? peer_max : HPACK_TABLE;
    if (max == e->table.max)
        return;
    if (!e->resize || max < e->smallest)
        e->smallest = max;
    hpack_resize(&e->table, max);
    e->resize = true;
}

static void put_int(struct buf *b, unsigned prefix, unsigned top, uint64_t v)
{
    uint64_t max = (1u << prefix) - 1;
    if (v < max) {
        buf_byte(b, (char)(top | v));
        return;
    }
    buf_byte(b, (char)(top | max));
    for (v -= max; v >= 128; v >>= 7)
        buf_byte(b, (char)((v & 127) | 128));
    buf_byte(b, (char)v);
}

static void put_string(struct buf *b, struct str s)
{
    size_t coded = huffman_length(s);
    if (coded < s.n) {
        put_int(b, 7, 0x80, coded);
        huffman_encode(b, s);
    } else {
        put_int(b, 7, 0, s.n);
        buf_str(b, s);
    }
}

/* The static table by name: its entries of one name follow each other, and their first is in the slot of the name or behind it. */
enum { SLOTS = 128 };
static uint8_t firsts[SLOTS];
static bool ready;

static unsigned slot_of(struct str name)
{
    unsigned first = (unsigned char)name.p[0], last = (unsigned char)name.p[name.n - 1];
    return ((unsigned)name.n * 7 + first * 5 + last * 13) % SLOTS;
}

static void prepare(void)
{
    if (ready)
        return;
    for (uint8_t i = 1; i <= HPACK_STATIC; i++) {
        unsigned at = slot_of(hpack_static[i].name);
        while (firsts[at] && !str_eq(hpack_static[firsts[at]].name, hpack_static[i].name))
            at = (at + 1) % SLOTS;
        if (!firsts[at])
            firsts[at] = i;
    }
    ready = true;
}

/* The first entry of that name in the static table, 0 when there is none. */
static uint64_t find_static(struct str name)
{
    if (!name.n)
        return 0;
    unsigned at = slot_of(name);
    while (firsts[at] && !str_eq(hpack_static[firsts[at]].name, name))
        at = (at + 1) % SLOTS;
    return firsts[at];
}

/* Index of the whole field, or 0 and *by_name (0 when not even the name is there). */
static uint64_t find(const struct hpack_table *t, const struct http_field *f, uint64_t *by_name)
{
    uint64_t first = *by_name = find_static(f->name);
    for (uint64_t i = first; i && i <= HPACK_STATIC && str_eq(hpack_static[i].name, f->name); i++)
        if (str_eq(hpack_static[i].value, f->value))
            return i;
    for (size_t i = 0, at = t->first; i < t->n; i++, at = at + 1 == t->cap ? 0 : at + 1) {
        const struct hpack_entry *e = &t->v[at];
        if (e->name != f->name.n || memcmp(e->p, f->name.p, e->name) != 0)
            continue;
        if (e->value == f->value.n && (!e->value || memcmp(e->p + e->name, f->value.p, e->value) == 0))
            return HPACK_STATIC + 1 + i;
        if (!first)
            *by_name = HPACK_STATIC + 1 + i;
    }
    return 0;
}

static enum form form_of(const struct http_field *f)
{
    struct str n = f->name;
    if (str_is(n, "authorization") || str_is(n, "cookie") || str_is(n, "set-cookie") || str_is(n, "proxy-authorization"))
        return NEVER;
    bool once = str_is(n, ":path") || str_is(n, "content-length") || str_is(n, "grpc-timeout") || str_is(n, "grpc-message") || str_is(n, "warning");
    return n.n + f->value.n < HPACK_TABLE / 4 && !once ? ADD : PLAIN;
}

void hpack_encode(struct hpack_encoder *e, struct http_fields fields, struct buf *out)
{
    prepare();
    if (e->resize && e->smallest < e->table.max)
        put_int(out, 5, 0x20, e->smallest);      /* the peer has to evict what we did in between (section 4.2) */
    if (e->resize)
        put_int(out, 5, 0x20, e->table.max);
    e->resize = false;
    for (size_t i = 0; i < fields.n; i++) {
        const struct http_field *f = &fields.v[i];
        uint64_t by_name, index = find(&e->table, f, &by_name);
        if (index) {
            put_int(out, 7, 0x80, index);
            continue;
        }
        enum form form = form_of(f);
        put_int(out, form == ADD ? 6 : 4, (unsigned)form, by_name);
        if (!by_name)
            put_string(out, f->name);
        put_string(out, f->value);
        if (form == ADD)
            hpack_add(&e->table, f->name, f->value);
    }
}
