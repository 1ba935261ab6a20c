/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpack: our encoder and decoder by lines on stdin, for another implementation to be held against (tests/interop/hpack_python.py).
 * Bytes are hexadecimal digits; a list is "name=value name=value …". Each line has one line for an answer.
 *
 *   encode LIST     the block           limit N    SETTINGS_HEADER_TABLE_SIZE of the peer: "ok"
 *   decode BLOCK    the list, "broken" or "large"  fresh      both begin anew: "ok"
 */
#include "grpc/hpack.h"
#include "tests/interop/testing/testing.h"
#include <stdio.h>

enum { LINE = 1 << 20 };
struct ends { struct hpack_encoder enc; struct hpack_decoder dec; bool begun; };

static void fresh(struct ends *x)
{
    if (x->begun) {
        hpack_encoder_free(&x->enc);
        hpack_decoder_free(&x->dec);
    }
    x->begun = true;
    hpack_encoder_init(&x->enc);
    hpack_decoder_init(&x->dec);
}

static void put_hex(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_fmt(out, "%02x", (unsigned char)s.p[i]);
}

static void encode(struct ends *x, struct arena *a, struct str list, struct buf *out)
{
    static struct http_field f[1024];
    AUTO_BUF struct buf block = { .max = LINE };
    size_t n = 0;
    while (list.n && n < LEN(f)) {
        struct str value = str_cut(&list, ' '), name = str_cut(&value, '=');
        f[n++] = (struct http_field){ testing_hex(a, name), testing_hex(a, value) };
    }
    hpack_encode(&x->enc, (struct http_fields){ f, n }, &block);
    put_hex(out, buf_view(&block));
}

static void decode(struct ends *x, struct str block, struct buf *out)
{
    struct http_fields f;
    char *own = xmalloc(block.n);                 /* of its own, so that the sanitizer sees a byte read too far */
    memcpy(own, block.p, block.n);
    enum hpack_result r = hpack_decode(&x->dec, (struct str){ own, block.n }, &f);
    free(own);
    if (r != HPACK_OK) {
        buf_lit(out, r == HPACK_BROKEN ? "broken" : "large");
        return;
    }
    for (size_t i = 0; i < f.n; i++) {
        buf_lit(out, i ? " " : "");
        put_hex(out, f.v[i].name);
        buf_byte(out, '=');
        put_hex(out, f.v[i].value);
    }
}

int testing_hpack(void)
{
    static char line[LINE];
    struct ends x = { 0 };
    fresh(&x);
    while (fgets(line, sizeof line, stdin)) {
        AUTO_ARENA struct arena a = { .limit = 2 * LINE };
        AUTO_BUF struct buf out = { .max = 2 * LINE };
        struct str rest = str_trim(str_of(line)), word = str_cut(&rest, ' ');
        uint64_t n;
        if (str_is(word, "encode"))
            encode(&x, &a, rest, &out);
        else if (str_is(word, "decode"))
            decode(&x, testing_hex(&a, rest), &out);
        else if (str_is(word, "limit") && str_u64(rest, &n))
            hpack_encoder_limit(&x.enc, n), buf_lit(&out, "ok");
        else
            fresh(&x), buf_lit(&out, "ok");
        printf("%.*s\n", SFMT(buf_view(&out)));
        fflush(stdout);
    }
    hpack_encoder_free(&x.enc);
    hpack_decoder_free(&x.dec);
    return 0;
}
