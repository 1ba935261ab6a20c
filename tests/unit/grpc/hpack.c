/* SPDX-License-Identifier: Apache-2.0 */
#include "core/clock.h"
#include "grpc/hpack.h"
#include "tests/kit/test.h"

static struct str hex(struct buf *b, const char *text)
{
    buf_clear(b);
    b->max = 1 << 20;
    for (int half = -1; *text; text++) {
        int v = *text >= '0' && *text <= '9' ? *text - '0' : *text >= 'a' && *text <= 'f' ? *text - 'a' + 10 : -1;
        if (v < 0) continue;
        if (half < 0) {
            half = v;
        } else {
            buf_byte(b, (char)(half << 4 | v));
            half = -1;
        }
    }
    return buf_view(b);
}

static struct str show(struct buf *b, struct http_fields f)
{
    buf_clear(b);
    b->max = 1 << 20;
    for (size_t i = 0; i < f.n; i++) buf_fmt(b, "%.*s=%.*s;", SFMT(f.v[i].name), SFMT(f.v[i].value));
    return buf_view(b);
}

static void check_decode(struct hpack_decoder *d, const char *block, const char *want, uint32_t size)
{
    AUTO_BUF struct buf in = { 0 }, text = { 0 };
    struct http_fields f;
    if (!CHECK_INT(hpack_decode(d, hex(&in, block), &f), HPACK_OK)) return;
    CHECK_STR(show(&text, f), str_of(want));
    CHECK_INT(d->table.size, size);
}

#define GET ":method=GET;:scheme=http;:path=/;:authority=www.example.com;"
#define CUSTOM ":method=GET;:scheme=https;:path=/index.html;:authority=www.example.com;custom-key=custom-value;"
#define DATE1 "date=Mon, 21 Oct 2013 20:13:21 GMT;location=https://www.example.com;"
#define LAST ":status=200;cache-control=private;date=Mon, 21 Oct 2013 20:13:22 GMT;location=https://www.example.com;" \
    "content-encoding=gzip;set-cookie=foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1;"

TEST(appendix_c2_single_fields)
{
    struct hpack_decoder d;
    hpack_decoder_init(&d);
    check_decode(&d, "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key=custom-header;", 55);
    check_decode(&d, "040c 2f73 616d 706c 652f 7061 7468", ":path=/sample/path;", 55);
    check_decode(&d, "1008 7061 7373 776f 7264 0673 6563 7265 74", "password=secret;", 55);
    check_decode(&d, "82", ":method=GET;", 55);
    hpack_decoder_free(&d);
}

TEST(appendix_c3_and_c4_requests)
{
    struct hpack_decoder d;
    hpack_decoder_init(&d);
    check_decode(&d, "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", GET, 57);
    check_decode(&d, "8286 84be 5808 6e6f 2d63 6163 6865", GET "cache-control=no-cache;", 110);
    check_decode(&d, "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", CUSTOM, 164);
    hpack_decoder_free(&d);
    hpack_decoder_init(&d);
    check_decode(&d, "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", GET, 57);
    check_decode(&d, "8286 84be 5886 a8eb 1064 9cbf", GET "cache-control=no-cache;", 110);
    check_decode(&d, "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", CUSTOM, 164);
    hpack_decoder_free(&d);
}

TEST(appendix_c5_and_c6_responses_with_eviction)
{
    struct hpack_decoder d;
    hpack_decoder_init(&d);
    hpack_resize(&d.table, d.allowed = 256);
    check_decode(&d, "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120"
        "474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", ":status=302;cache-control=private;" DATE1, 222);
    check_decode(&d, "4803 3330 37c1 c0bf", ":status=307;cache-control=private;" DATE1, 222);
    check_decode(&d, "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738"
        "666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630"
        "303b 2076 6572 7369 6f6e 3d31", LAST, 215);
    hpack_decoder_free(&d);
    hpack_decoder_init(&d);
    hpack_resize(&d.table, d.allowed = 256);
    check_decode(&d, "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718"
        "63c7 8f0b 97c8 e9ae 82ae 43d3", ":status=302;cache-control=private;" DATE1, 222);
    check_decode(&d, "4883 640e ffc1 c0bf", ":status=307;cache-control=private;" DATE1, 222);
    check_decode(&d, "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7"
        "b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07", LAST, 215);
    hpack_decoder_free(&d);
}

static void check_encode(struct hpack_encoder *c, struct http_fields f, const char *want)
{
    AUTO_BUF struct buf out = { .max = 65536 }, w = { 0 };
    hpack_encode(c, f, &out);
    CHECK_STR(buf_view(&out), hex(&w, want));
}
#define FIELDS(...) (struct http_fields){ (struct http_field[]){ __VA_ARGS__ }, sizeof (struct http_field[]){ __VA_ARGS__ } / sizeof(struct http_field) }
#define FLD(n, v) { S(n), S(v) }

TEST(encoder_writes_appendix_c4)
{
    struct hpack_encoder c;
    hpack_encoder_init(&c);
    check_encode(&c, FIELDS(FLD(":method", "GET"), FLD(":scheme", "http"), FLD(":path", "/"), FLD(":authority", "www.example.com")),
                 "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff");
    check_encode(&c, FIELDS(FLD(":method", "GET"), FLD(":scheme", "http"), FLD(":path", "/"), FLD(":authority", "www.example.com"),
                 FLD("cache-control", "no-cache")), "8286 84be 5886 a8eb 1064 9cbf");
    check_encode(&c, FIELDS(FLD(":method", "GET"), FLD(":scheme", "https"), FLD(":path", "/index.html"),
                 FLD(":authority", "www.example.com"), FLD("custom-key", "custom-value")),
                 "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf");
    check_encode(&c, FIELDS(FLD("authorization", "~~")), "1f08 027e 7e");          /* never indexed, Huffman would be longer */
    hpack_encoder_limit(&c, 0);
    hpack_encoder_limit(&c, 100);
    check_encode(&c, FIELDS(FLD(":method", "GET")), "20 3f45 82");                 /* the smallest size, then the last */
    check_encode(&c, FIELDS(FLD(":method", "GET")), "82");
    hpack_encoder_free(&c);
}

TEST(what_is_secret_or_said_once_stays_out_of_the_table)
{
    static const char *const names[] = { "authorization", "cookie", "set-cookie", "proxy-authorization", ":path", "content-length", "grpc-timeout", "grpc-message", "warning" };
    struct hpack_encoder c;
    struct hpack_decoder d;
    hpack_encoder_init(&c);
    hpack_decoder_init(&d);
    for (size_t i = 0; i < LEN(names); i++) {
        AUTO_BUF struct buf out = { .max = 4096 };
        struct http_field f = { str_of(names[i]), S("said once") };
        struct http_fields got;
        hpack_encode(&c, (struct http_fields){ &f, 1 }, &out);
        CHECK(!c.table.n && (i > 3 || (out.p[0] & 0xf0) == 0x10));     /* secrets: never indexed, by nobody on the way */
        CHECK(hpack_decode(&d, buf_view(&out), &got) == HPACK_OK && got.n == 1 && str_eq(got.v[0].name, f.name) && str_eq(got.v[0].value, f.value));
    }
    check_encode(&c, FIELDS(FLD("www-authenticate", "x")), "7d 01 78");           /* the last name of the static table */
    check_encode(&c, FIELDS(FLD("", "x")), "40 00 01 78");
    hpack_encoder_limit(&c, 4096);                                     /* as it is: nothing is said */
    check_encode(&c, FIELDS(FLD(":method", "GET")), "82");
    hpack_encoder_limit(&c, 100);
    hpack_encoder_limit(&c, 50);
    check_encode(&c, FIELDS(FLD(":method", "GET")), "3f13 82");
    hpack_encoder_free(&c);
    hpack_decoder_free(&d);
}

static void check_refused(const char *block, enum hpack_result want)
{
    AUTO_BUF struct buf in = { 0 };
    struct http_fields f = { NULL, 77 };
    struct hpack_decoder d;
    hpack_decoder_init(&d);
    if (!CHECK_INT(hpack_decode(&d, hex(&in, block), &f), want)) test_check(false, __FILE__, __LINE__, block);
    CHECK_INT(f.n, 77);
    hpack_decoder_free(&d);
}

TEST(broken_blocks)
{
    check_refused("80", HPACK_BROKEN);                      /* index 0 */
    check_refused("be", HPACK_BROKEN);                      /* index 62, empty table */
    check_refused("ff ff ff ff ff ff 0f", HPACK_BROKEN);    /* integer too large */
    check_refused("ff 80 80 80 80 80 00", HPACK_BROKEN);    /* too many bytes for an integer */
    check_refused("ff", HPACK_BROKEN);
    check_refused("7e 01 61", HPACK_BROKEN);                /* a name at index 62, empty table */
    check_refused("3f", HPACK_BROKEN);                      /* a size update that ends */
    check_refused("04 84 ff ff 00 00", HPACK_BROKEN);       /* Huffman: no code begins like this */
    check_refused("40 05 61", HPACK_BROKEN);                /* string longer than the block */
    check_refused("40 01 61", HPACK_BROKEN);                /* no value */
    check_refused("82 20", HPACK_BROKEN);                   /* size update behind a field */
    check_refused("3f e2 1f", HPACK_BROKEN);                /* size update to 4097 */
    check_refused("04 82 f1 ff ", HPACK_BROKEN);            /* Huffman: 8 bits of padding */
    check_refused("04 81 00 ", HPACK_BROKEN);               /* Huffman: zeros as padding */
    check_refused("04 84 ff ff ff ff", HPACK_BROKEN);       /* Huffman: EOS */
    check_refused("04 84 ff ff ff fc", HPACK_BROKEN);
}

static void put_many(struct buf *b, const char *bytes, size_t n, size_t times)
{
    for (size_t i = 0; i < times; i++) buf_add(b, bytes, n);
}

TEST(too_large_lists_keep_the_table_right)
{
    struct hpack_decoder d;
    struct http_fields f = { NULL, 77 };
    AUTO_BUF struct buf in = { .max = 1 << 20 };
    hpack_decoder_init(&d);
    put_many(&in, "\x82", 1, 65536 / 42 + 1);            /* ":method: GET" counts 42 */
    buf_add(&in, "\x40\x01\x63\x02\x64\x64", 6);         /* behind the limit, and inserted all the same */
    CHECK_INT(hpack_decode(&d, buf_view(&in), &f), HPACK_TOO_LARGE);
    CHECK_INT(f.n, 77);
    CHECK(d.cap <= LIMIT_H2_HEADER_LIST / 32);
    check_decode(&d, "be", "c=dd;", 35);
    buf_clear(&in);
    put_many(&in, "\x82", 1, 4 * 65536 / 42 + 1);        /* given up, not followed to its end */
    CHECK_INT(hpack_decode(&d, buf_view(&in), &f), HPACK_BROKEN);
    CHECK(d.cap <= LIMIT_H2_HEADER_LIST / 32);
    hpack_decoder_free(&d);
}

/* A string that is larger than all we would follow: its block is given up, plain or coded, and none is written beyond its room. */
TEST(strings_beyond_every_room)
{
    static char much[300000];
    AUTO_BUF struct buf few = { .max = 8 };
    for (int coded = 0; coded < 2; coded++) {
        AUTO_BUF struct buf in = { .max = 1 << 20 };
        struct http_fields f = { NULL, 77 };
        struct hpack_decoder d;
        hpack_decoder_init(&d);
        buf_add(&in, coded ? "\x44\xff" : "\x44\x7f", 2);              /* :path, and its length in 7 bits and more */
        for (uint32_t v = sizeof much - 127; ; v >>= 7) {
            buf_byte(&in, (char)(v < 128 ? v : (v & 127) | 128));
            if (v < 128)
                break;
        }
        buf_add(&in, much, sizeof much);
        CHECK_INT(hpack_decode(&d, buf_view(&in), &f), HPACK_BROKEN);
        CHECK_INT(f.n, 77);
        hpack_decoder_free(&d);
    }
    huffman_encode(&few, S("www.example.com"));
    CHECK(few.failed && few.n <= 8);
}

TEST(random_lists_survive_both_tables)
{
    struct rnd r;
    rnd_seed(&r, test_seed());
    struct hpack_encoder c;
    struct hpack_decoder d;
    hpack_encoder_init(&c);
    hpack_decoder_init(&d);
    char bytes[600];
    for (int round = 0; round < 400; round++) {
        struct http_field v[12];
        for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(round % 3 ? 'a' + rnd_below(&r, 26) : rnd_below(&r, 256));
        for (size_t i = 0; i < 12; i++) {                /* few names, so that some are met again */
            struct str name[] = { S("x-one"), S("cookie"), S("content-type"), S(":path"), S("etag"), { bytes, 1 + rnd_below(&r, 40) } };
            v[i] = (struct http_field){ name[rnd_below(&r, 6)], { bytes + 40 + rnd_below(&r, 4), rnd_below(&r, 550) } };
        }
        if (!rnd_below(&r, 20)) hpack_encoder_limit(&c, (uint32_t)rnd_below(&r, 5000));
        AUTO_BUF struct buf out = { .max = 65536 }, a = { 0 }, b = { 0 };
        struct http_fields got;
        hpack_encode(&c, (struct http_fields){ v, 12 }, &out);
        CHECK_OR(hpack_decode(&d, buf_view(&out), &got) == HPACK_OK);
        CHECK_STR(show(&a, got), show(&b, (struct http_fields){ v, 12 }));
        CHECK_OR(c.table.size == d.table.size && c.table.n == d.table.n && c.table.size <= c.table.max);
    }
    hpack_encoder_free(&c);
    hpack_decoder_free(&d);
}

TEST(huffman_of_every_byte)
{
    AUTO_BUF struct buf code = { .max = 8192 }, back = { .max = 8192 };
    char all[256];
    for (int i = 0; i < 256; i++) all[i] = (char)i;
    for (size_t n = 0; n <= 256; n += 32) {
        buf_clear(&code);
        buf_clear(&back);
        huffman_encode(&code, (struct str){ all, n });
        CHECK_INT(code.n, huffman_length((struct str){ all, n }));
        CHECK(huffman_decode(&back, buf_view(&code)));
        CHECK_STR(buf_view(&back), ((struct str){ all, n }));
    }
}
