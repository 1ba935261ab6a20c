/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpack: header compression for HTTP/2 (RFC 7541). One decoder and one encoder per connection; both only ever see bytes.
 */
#ifndef GRPC_HPACK_H
#define GRPC_HPACK_H
#include "core/http1.h"                    /* struct http_field, struct http_fields */

/* Dynamic table, newest entry first (index 62). Private to the hpack_*.c. */
struct hpack_entry { char *p; uint32_t name, value; };
struct hpack_table { struct hpack_entry *v; size_t cap, first, n, size, max; };

struct hpack_decoder {
    struct hpack_table table;
    size_t allowed;                        /* what our SETTINGS_HEADER_TABLE_SIZE allows the peer */
    struct buf text;                       /* names and values of the block being decoded */
    struct hpack_span { uint32_t name, name_n, value, value_n; } *spans;
    struct http_field *fields;
    size_t n, cap, size;                   /* size: as in RFC 9113 section 10.5.1 */
};
void hpack_decoder_init(struct hpack_decoder *);
void hpack_decoder_free(struct hpack_decoder *);
enum hpack_result { HPACK_OK, HPACK_TOO_LARGE, HPACK_BROKEN };
/* Decodes a whole header block. The fields live until the next call. TOO_LARGE: the list is over LIMIT_H2_HEADER_LIST (size as in
 * RFC 9113 section 10.5.1); the table has followed, so the connection may go on. BROKEN: the connection can't (COMPRESSION_ERROR). */
enum hpack_result hpack_decode(struct hpack_decoder *, struct str block, struct http_fields *ret);

struct hpack_encoder { struct hpack_table table; size_t smallest; bool resize; };     /* smallest: since the last block */
void hpack_encoder_init(struct hpack_encoder *);
void hpack_encoder_free(struct hpack_encoder *);
void hpack_encoder_limit(struct hpack_encoder *, size_t peer_max);         /* the peer's SETTINGS_HEADER_TABLE_SIZE */
void hpack_encode(struct hpack_encoder *, struct http_fields, struct buf *out);

/* Private: tables and Huffman code. */
enum { HPACK_STATIC = 61, HPACK_TABLE = 4096, HPACK_OVERHEAD = 32 };
extern const struct http_field hpack_static[HPACK_STATIC + 1];              /* from 1 */
bool hpack_at(const struct hpack_table *, uint64_t index, struct str *name, struct str *value);
void hpack_add(struct hpack_table *, struct str name, struct str value);
void hpack_resize(struct hpack_table *, size_t max);
void hpack_table_free(struct hpack_table *);
size_t huffman_length(struct str);                                          /* bytes when coded */
void huffman_encode(struct buf *, struct str);
bool huffman_decode(struct buf *, struct str);                              /* false: not a code, or wrong padding */
#endif
