/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/kit/spdy_peer.h"

void spdy_peer_init(struct spdy_peer *p)
{
    AUTO_BUF struct buf dictionary = { 0 };
    struct str d = spdy_dictionary(&dictionary);
    *p = (struct spdy_peer){ .out = { .max = 1 << 24 } };
    deflateInit(&p->z, 9);
    deflateSetDictionary(&p->z, (const Bytef *)d.p, (uInt)d.n);
}

void spdy_peer_free(struct spdy_peer *p)
{
    deflateEnd(&p->z);
    buf_free(&p->out);
}

static void put_number(struct buf *out, uint32_t v)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_byte(out, (char)(v >> shift));
}

void spdy_peer_control(struct spdy_peer *p, unsigned type, unsigned flags, struct str plain, struct str packed)
{
    AUTO_BUF struct buf block = { .max = 1 << 20 };
    if (packed.n) {
        p->z.next_in = (Bytef *)(uintptr_t)packed.p;
        p->z.avail_in = (uInt)packed.n;
        p->z.avail_out = 1 << 17;
        p->z.next_out = buf_room(&block, 1 << 17);
        deflate(&p->z, Z_SYNC_FLUSH);
        block.n = (1 << 17) - p->z.avail_out;
    }
    put_number(&p->out, 0x80030000u | type);
    put_number(&p->out, flags << 24 | (uint32_t)(plain.n + block.n));
    buf_str(&p->out, plain);
    buf_str(&p->out, buf_view(&block));
}

void spdy_peer_open(struct spdy_peer *p, uint32_t stream, const char *fields, bool fin)
{
    AUTO_BUF struct buf plain = { .max = 64 }, list = { .max = 1 << 16 }, pairs = { .max = 1 << 16 };
    uint32_t n = 0;
    for (struct str rest = str_of(fields); rest.n; n++) {
        struct str value = str_cut(&rest, ' '), name = str_cut(&value, '=');
        put_number(&pairs, (uint32_t)name.n);
        buf_str(&pairs, name);
        put_number(&pairs, (uint32_t)value.n);
        buf_str(&pairs, value);
    }
    put_number(&plain, stream);
    put_number(&plain, 0);
    buf_add(&plain, "\0\0", 2);
    put_number(&list, n);
    buf_str(&list, buf_view(&pairs));
    spdy_peer_control(p, 1, fin, buf_view(&plain), buf_view(&list));
}

void spdy_peer_data(struct spdy_peer *p, uint32_t stream, const char *text, bool fin)
{
    put_number(&p->out, stream);
    put_number(&p->out, (fin ? 1u << 24 : 0) | (uint32_t)strlen(text));
    buf_lit(&p->out, text);
}
