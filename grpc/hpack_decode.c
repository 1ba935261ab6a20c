/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpack_decode: header blocks to fields (RFC 7541 sections 3, 5, 6). Names and values are gathered in one buffer as
 * offsets; pointers are made at the end, when it no longer moves. A list that is too large is decoded on, so that the
 * table stays equal to the peer's, but not without end. Tests: tests/unit/grpc/hpack.c
 */
#include "grpc/hpack.h"

struct reader { const unsigned char *p, *end; };

void hpack_decoder_init(struct hpack_decoder *d)
{
    *d = (struct hpack_decoder){ .table = { .max = HPACK_TABLE }, .allowed = HPACK_TABLE, .text = { .max = 4 * LIMIT_H2_HEADER_LIST } };
}

void hpack_decoder_free(struct hpack_decoder *d)
{
    hpack_table_free(&d->table);
    buf_free(&d->text);
    free(d->spans);
    free(d->fields);
}

/* Section 5.1. Nothing we take is near 2^32. */
static bool read_int(struct reader *r, unsigned prefix, uint64_t *ret)
{
    uint64_t max = (1u << prefix) - 1, v;
    unsigned shift = 0;
    if (r->p == r->end)
        return false;
    v = *r->p++ & max;
    if (v < max) {
        *ret = v;
        return true;
    }
    for (; r->p < r->end && shift <= 28; shift += 7) {
        unsigned char ch = *r->p++;
        v += (uint64_t)(ch & 127) << shift;
        if (!(ch & 128)) {
            *ret = v;
            return v <= UINT32_MAX;
        }
    }
    return false;
}

/* Section 5.2: appends the string to the text. */
static bool read_string(struct hpack_decoder *d, struct reader *r, struct str *ret)
{
    uint64_t n;
    bool coded = r->p < r->end && *r->p & 128;
    size_t at = d->text.n;
    if (!read_int(r, 7, &n) || n > (size_t)(r->end - r->p))
        return false;
    struct str raw = { (const char *)r->p, n };
    r->p += n;
    if (!coded)
        buf_str(&d->text, raw);
    else if (!huffman_decode(&d->text, raw))
        return false;
    *ret = (struct str){ NULL, d->text.n - at };
    return true;
}

/* Once the list is too large its fields are only counted: a byte that stands for a field must not take the room of one. */
static void add_span(struct hpack_decoder *d, uint32_t name, size_t name_n, uint32_t value, size_t value_n)
{
    d->size += name_n + value_n + HPACK_OVERHEAD;
    if (d->size > LIMIT_H2_HEADER_LIST) {
        d->text.n = name;
        return;
    }
    if (d->n == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 32;
        d->spans = xrealloc(d->spans, d->cap * sizeof *d->spans);
        d->fields = xrealloc(d->fields, d->cap * sizeof *d->fields);
    }
    d->spans[d->n++] = (struct hpack_span){ name, (uint32_t)name_n, value, (uint32_t)value_n };
}

/* Section 6.2: the name by index or literally, then the value. */
static bool read_literal(struct hpack_decoder *d, struct reader *r, unsigned prefix, bool add)
{
    uint64_t index;
    struct str name, value, unused;
    uint32_t name_at = (uint32_t)d->text.n;
    if (!read_int(r, prefix, &index))
        return false;
    if (index) {
        if (!hpack_at(&d->table, index, &name, &unused))
            return false;
        buf_str(&d->text, name);
    } else if (!read_string(d, r, &name)) {
        return false;
    }
    uint32_t value_at = (uint32_t)d->text.n;
    if (!read_string(d, r, &value))
        return false;
    if (d->text.failed)
        return true;
    if (add)
        hpack_add(&d->table, (struct str){ d->text.p + name_at, name.n }, (struct str){ d->text.p + value_at, value.n });
    add_span(d, name_at, name.n, value_at, value.n);
    return true;
}

static bool read_indexed(struct hpack_decoder *d, struct reader *r)
{
    uint64_t index;
    struct str name, value;
    if (!read_int(r, 7, &index) || !hpack_at(&d->table, index, &name, &value))
        return false;
    uint32_t at = (uint32_t)d->text.n;
    buf_str(&d->text, name);
    buf_str(&d->text, value);
    if (!d->text.failed)
        add_span(d, at, name.n, at + (uint32_t)name.n, value.n);
    return true;
}

static bool read_one(struct hpack_decoder *d, struct reader *r, bool *fields_seen)
{
    unsigned char first = *r->p;
    uint64_t size;
    if ((first & 0xe0) == 0x20) {                /* section 6.3: only in front of the first field (4.2) */
        if (*fields_seen || !read_int(r, 5, &size) || size > d->allowed)
            return false;
        hpack_resize(&d->table, size);
        return true;
    }
    *fields_seen = true;
    if (first & 0x80)
        return read_indexed(d, r);
    if (first & 0x40)
        return read_literal(d, r, 6, true);
    return read_literal(d, r, 4, false);
}

enum hpack_result hpack_decode(struct hpack_decoder *d, struct str block, struct http_fields *ret)
{
    struct reader r = { (const unsigned char *)block.p, (const unsigned char *)block.p + block.n };
    bool fields_seen = false;
    buf_clear(&d->text);
    d->n = d->size = 0;
    while (r.p < r.end) {
        if (!read_one(d, &r, &fields_seen))
            return HPACK_BROKEN;
        if (d->text.failed || d->size > d->text.max)
            return HPACK_BROKEN;                 /* so large that we don't follow to its end: the connection ends */
    }
    if (d->size > LIMIT_H2_HEADER_LIST)
        return HPACK_TOO_LARGE;
    for (size_t i = 0; i < d->n; i++) {
        const struct hpack_span *s = &d->spans[i];
        d->fields[i] = (struct http_field){ { d->text.p + s->name, s->name_n }, { d->text.p + s->value, s->value_n } };
    }
    *ret = (struct http_fields){ d->fields, d->n };
    return HPACK_OK;
}
