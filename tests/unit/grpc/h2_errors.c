/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_errors: what the peer does wrong, as raw frames, and the answer that RFC 9113 wants: "goaway CODE" or "rst STREAM CODE".
 */
#include "tests/kit/h2_ends.h"

struct row { const char *what, *frames, *answer; };

#define GET(id) " 000006 01 05 000000" id " 828684 410178 "         /* with END_STREAM */
#define POST(id) " 000006 01 04 000000" id " 828684 410178 "

/* RST_STREAM and GOAWAY among the frames, and how many bytes of WINDOW_UPDATE for the connection. */
static void put_answer(struct buf *b, struct str in)
{
    while (in.n >= 9) {
        const unsigned char *p = (const unsigned char *)in.p;
        size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        if (p[3] == 3) buf_fmt(b, "%srst %u %u", b->n ? " " : "", p[8], p[12]);
        if (p[3] == 7) buf_fmt(b, "%sgoaway %u", b->n ? " " : "", p[16]);
        in = str_from(in, 9 + n);
    }
}

static void check_rows(const struct row *rows, size_t n, enum h2_role role)
{
    for (size_t i = 0; i < n; i++) {
        struct h2_end e;
        AUTO_BUF struct buf b = { 0 }, out = { 0 }, answer = { .max = 4096 };
        h2_end_init(&e, role, 0, 0);
        if (role == H2_SERVER) h2_end_feed(&e, S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 99);
        for (int k = 0; role == H2_CLIENT && k < 2; k++) h2_open(e.h, H2_GET, true, NULL);
        h2_end_take(&e, &out);
        h2_end_feed(&e, test_hex(&b, "000000 04 00 00000000"), 99);
        h2_end_feed(&e, test_hex(&b, rows[i].frames), 1 << 20);
        put_answer(&answer, h2_end_take(&e, &out));
        bool dead = str_find(h2_end_trace(&e), S("DEAD")) >= 0;
        bool ok = CHECK_STR(buf_view(&answer), str_of(rows[i].answer));
        ok = CHECK(dead == (str_find(str_of(rows[i].answer), S("goaway")) >= 0) && dead == h2_is_done(e.h)) && ok;
        if (!ok) test_check(false, __FILE__, __LINE__, rows[i].what);
        h2_end_done(&e);
    }
}

static const struct row frames[] = {
    { "nothing wrong", POST("01") "000003 00 01 00000001 616263" GET("03"), "" },
    { "frame larger than 16384", "004001 00 00 00000001", "goaway 6" },
    { "unknown type", "000003 5a ff 00000001 000000", "" },
    { "DATA on stream 0", "000001 00 00 00000000 00", "goaway 1" },
    { "DATA on an idle stream", "000001 00 00 00000001 00", "goaway 1" },
    { "DATA behind END_STREAM", GET("01") "000001 00 00 00000001 00", "rst 1 5" },
    { "DATA after RST_STREAM", POST("01") "000004 03 00 00000001 00000008 000001 00 00 00000001 00", "rst 1 5" },
    { "padding as long as DATA", POST("01") "000002 00 08 00000001 02 00", "goaway 1" },
    { "padding that just fits", POST("01") "000003 00 09 00000001 02 00 00", "" },
    { "PADDED without a length", POST("01") "000000 00 08 00000001", "goaway 6" },
    { "HEADERS on stream 0", "000006 01 05 00000000 828684 410178", "goaway 1" },
    { "HEADERS with an even number", GET("02"), "goaway 1" },
    { "HEADERS behind END_STREAM", GET("01") GET("01"), "rst 1 5" },
    { "HEADERS on a smaller number", GET("05") GET("03"), "goaway 5" },
    { "HEADERS after RST_STREAM", POST("01") "000004 03 00 00000001 00000008" GET("01"), "goaway 5" },
    { "HEADERS with too much padding", "000007 01 0d 00000001 07 828684 410178", "goaway 1" },
    { "HEADERS with priority, too short", "000004 01 25 00000001 00000000", "goaway 6" },
    { "HEADERS that depend on themselves", "00000b 01 25 00000001 00000001 10 828684 410178", "goaway 1" },
    { "PRIORITY of 4 bytes", GET("01") "000004 02 00 00000001 00000000", "rst 1 6" },
    { "PRIORITY on stream 0", "000005 02 00 00000000 0000000310", "goaway 1" },
    { "PRIORITY on itself", GET("01") "000005 02 00 00000001 0000000110", "rst 1 1" },
    { "PRIORITY on an idle stream", "000005 02 00 00000009 0000000110", "" },
    { "RST_STREAM on stream 0", "000004 03 00 00000000 00000000", "goaway 1" },
    { "RST_STREAM on an idle stream", "000004 03 00 00000001 00000000", "goaway 1" },
    { "RST_STREAM of 3 bytes", GET("01") "000003 03 00 00000001 000000", "goaway 6" },
    { "PUSH_PROMISE", GET("01") "000004 05 04 00000001 00000002", "goaway 1" },
    { "PING on a stream", "000008 06 00 00000001 0000000000000000", "goaway 1" },
    { "PING of 7 bytes", "000007 06 00 00000000 00000000000000", "goaway 6" },
    { "GOAWAY while requests are open", POST("01") "000008 07 00 00000000 0000000000000000 000001 00 01 00000001 61", "" },
    { "GOAWAY on a stream", "000008 07 00 00000001 0000000000000000", "goaway 1" },
    { "GOAWAY of 7 bytes", "000007 07 00 00000000 00000000000000", "goaway 6" },
};
TEST(frames_to_a_server) { check_rows(frames, LEN(frames), H2_SERVER); }

static const struct row settings[] = {
    { "SETTINGS on a stream", "000000 04 00 00000001", "goaway 1" },
    { "SETTINGS of 5 bytes", "000005 04 00 00000000 0001000000", "goaway 6" },
    { "an ACK with bytes", "000006 04 01 00000000 000100000000", "goaway 6" },
    { "ENABLE_PUSH 2", "000006 04 00 00000000 000200000002", "goaway 1" },
    { "INITIAL_WINDOW_SIZE 2^31", "000006 04 00 00000000 000480000000", "goaway 3" },
    { "MAX_FRAME_SIZE 16383", "000006 04 00 00000000 000500003fff", "goaway 1" },
    { "MAX_FRAME_SIZE 2^24", "000006 04 00 00000000 000501000000", "goaway 1" },
    { "ENABLE_PUSH 1", "000006 04 00 00000000 000200000001", "" },
    { "an unknown setting", "000006 04 00 00000000 00ff00000001", "" },
    { "every setting there is", "00001e 04 00 00000000 000100000000 000200000000 000300000000 000500ffffff 000600000000", "" },
    { "a window that shrinks under a stream", POST("01") "000006 04 00 00000000 000400000001", "" },
    { "a window that grows over 2^31-1", GET("01") "000004 08 00 00000001 7fff0000   000006 04 00 00000000 000400010000", "goaway 3" },
    { "WINDOW_UPDATE of 3 bytes", "000003 08 00 00000000 000001", "goaway 6" },
    { "WINDOW_UPDATE 0 for the connection", "000004 08 00 00000000 00000000", "goaway 1" },
    { "WINDOW_UPDATE 0 for a stream", GET("01") "000004 08 00 00000001 00000000", "rst 1 1" },
    { "WINDOW_UPDATE on an idle stream", "000004 08 00 00000001 00000001", "goaway 1" },
    { "WINDOW_UPDATE over 2^31-1, connection", "000004 08 00 00000000 7fffffff", "goaway 3" },
    { "WINDOW_UPDATE over 2^31-1, stream", GET("01") "000004 08 00 00000001 7fffffff", "rst 1 3" },
    { "WINDOW_UPDATE on a closed stream", GET("01") "000004 03 00 00000001 00000008 000004 08 00 00000001 00000001", "" },
};
TEST(settings_and_windows) { check_rows(settings, LEN(settings), H2_SERVER); }

static const struct row blocks[] = {
    { "a block in pieces", "000001 01 01 00000001 82  000002 09 00 00000001 8684  000003 09 04 00000001 410178", "" },
    { "another frame inside", "000001 01 01 00000001 82  000008 06 00 00000000 0000000000000000", "goaway 1" },
    { "another stream's CONTINUATION", "000001 01 01 00000001 82  000001 09 04 00000003 86", "goaway 1" },
    { "an unknown frame inside", "000001 01 01 00000001 82  000000 5a 00 00000001", "goaway 1" },
    { "CONTINUATION alone", GET("01") "000001 09 04 00000001 82", "goaway 1" },
    { "CONTINUATION on stream 0", "000001 01 01 00000001 82  000001 09 04 00000000 86", "goaway 1" },
    { "not HPACK", "000001 01 05 00000001 80", "goaway 9" },
    { "not HPACK, on a stream that is gone", POST("01") "000004 03 00 00000001 00000008 000001 01 05 00000001 80", "goaway 9" },
    { "the table follows a refused request", "000008 01 05 00000001 8286 4003613a62 0163" "000007 01 05 00000003 828684 410178 be", "goaway 9" },
};
TEST(header_blocks) { check_rows(blocks, LEN(blocks), H2_SERVER); }

/* ---- requests and responses as fields ---- */
struct fields_row { const char *what; struct http_field v[8]; bool ok; };

static bool accepted(enum h2_role role, const struct http_field *v, const char *data, bool trailers)
{
    struct h2_end e;
    AUTO_BUF struct buf b = { 0 }, out = { 0 }, frames_in = { .max = 65536 }, block = { .max = 65536 }, answer = { .max = 4096 };
    h2_end_init(&e, role, 0, 0);
    if (role == H2_SERVER) buf_lit(&frames_in, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    else h2_open(e.h, H2_GET, true, NULL);
    h2_end_take(&e, &out);
    buf_str(&frames_in, test_hex(&b, "000000 04 00 00000000"));
    if (trailers) buf_str(&frames_in, test_hex(&b, POST("01")));
    for (; v->name.p; v++) {                       /* literals without index: the encoder would refuse some of them */
        buf_byte(&block, 0);
        buf_byte(&block, (char)v->name.n);
        buf_str(&block, v->name);
        buf_byte(&block, (char)v->value.n);
        buf_str(&block, v->value);
    }
    char head[] = { 0, 0, (char)block.n, 1, data ? 4 : 5, 0, 0, 0, 1 };
    buf_add(&frames_in, head, sizeof head);
    buf_str(&frames_in, buf_view(&block));
    if (data) buf_str(&frames_in, test_hex(&b, data));
    h2_end_feed(&e, buf_view(&frames_in), 1 << 20);
    put_answer(&answer, h2_end_take(&e, &out));
    bool ok = answer.n == 0;
    CHECK(ok || str_is(buf_view(&answer), "rst 1 1"));
    CHECK(role == H2_CLIENT || trailers || data || ok == (h2_end_trace(&e).n > 0));         /* what is refused was never shown */
    h2_end_done(&e);
    return ok;
}

#define M H2_FLD(":method", "GET")
#define SC H2_FLD(":scheme", "http")
#define P H2_FLD(":path", "/")
#define A H2_FLD(":authority", "h:1")
static const struct fields_row requests[] = {
    { "plain", { M, SC, P, A, H2_FLD("x", "a b"), H2_FLD("te", "trailers"), H2_FLD("host", "H:1") }, true },
    { "without :authority", { M, SC, P, H2_FLD("host", "h") }, true },
    { "CONNECT", { H2_FLD(":method", "CONNECT"), A }, true },
    { "OPTIONS *", { H2_FLD(":method", "OPTIONS"), SC, H2_FLD(":path", "*") }, true },
    { "an empty value", { M, SC, P, H2_FLD("x", "") }, true },
    { "GET *", { M, SC, H2_FLD(":path", "*") }, false },
    { "CONNECT with :path", { H2_FLD(":method", "CONNECT"), A, P }, false },
    { "CONNECT without :authority", { H2_FLD(":method", "CONNECT") }, false },
    { "no :method", { SC, P }, false },
    { "no :scheme", { M, P }, false },
    { "no :path", { M, SC }, false },
    { "an empty :path", { M, SC, H2_FLD(":path", "") }, false },
    { "a relative :path", { M, SC, H2_FLD(":path", "x") }, false },
    { "a :path with a space", { M, SC, H2_FLD(":path", "/a b") }, false },
    { "a method that is no token", { H2_FLD(":method", "G T"), SC, P }, false },
    { ":method twice", { M, M, SC, P }, false },
    { ":path twice", { M, SC, P, P }, false },
    { ":authority twice", { M, SC, P, A, A }, false },
    { "a user in :authority", { M, SC, P, H2_FLD(":authority", "u@h") }, false },
    { "an unknown pseudo-header field", { M, SC, P, H2_FLD(":protocol", "websocket") }, false },
    { ":status", { M, SC, P, H2_FLD(":status", "200") }, false },
    { "a pseudo-header field behind others", { M, SC, H2_FLD("x", "y"), P }, false },
    { "an upper-case name", { M, SC, P, H2_FLD("X", "y") }, false },
    { "an empty name", { M, SC, P, H2_FLD("", "y") }, false },
    { "a space in a name", { M, SC, P, H2_FLD("x ", "y") }, false },
    { "a line feed in a value", { M, SC, P, H2_FLD("x", "y\nz") }, false },
    { "a NUL in a value", { M, SC, P, H2_FLD("x", "y\0z") }, false },
    { "space in front of a value", { M, SC, P, H2_FLD("x", " y") }, false },
    { "space behind a value", { M, SC, P, H2_FLD("x", "y\t") }, false },
    { "connection", { M, SC, P, H2_FLD("connection", "close") }, false },
    { "keep-alive", { M, SC, P, H2_FLD("keep-alive", "1") }, false },
    { "proxy-connection", { M, SC, P, H2_FLD("proxy-connection", "close") }, false },
    { "transfer-encoding", { M, SC, P, H2_FLD("transfer-encoding", "chunked") }, false },
    { "upgrade", { M, SC, P, H2_FLD("upgrade", "h3") }, false },
    { "te", { M, SC, P, H2_FLD("te", "trailers, gzip") }, false },
    { "host against :authority", { M, SC, P, A, H2_FLD("host", "other") }, false },
    { "host twice", { M, SC, P, H2_FLD("host", "h"), H2_FLD("host", "h") }, false },
    { "a length without a body", { M, SC, P, H2_FLD("content-length", "1") }, false },
    { "a tab inside a value", { M, SC, P, H2_FLD("x", "y\tz") }, true },
    { "a tab in front of a value", { M, SC, P, H2_FLD("x", "\ty") }, false },
    { "a DEL in a value", { M, SC, P, H2_FLD("x", "y\x7fz") }, false },
    { "a DEL in a :path", { M, SC, H2_FLD(":path", "/\x7f") }, false },
    { "a space in :scheme", { M, H2_FLD(":scheme", "ht tp"), P }, false },
    { "a space in :authority", { M, SC, P, H2_FLD(":authority", "h h") }, false },
    { "an empty :scheme", { M, H2_FLD(":scheme", ""), P }, false },
    { "an empty host", { M, SC, P, A, H2_FLD("host", "") }, true },
    { "CONNECT with :scheme", { H2_FLD(":method", "CONNECT"), A, SC }, false },
    { "OPTIONS with another :path", { H2_FLD(":method", "OPTIONS"), SC, H2_FLD(":path", "x") }, false },
    { "the same length twice", { M, SC, P, H2_FLD("content-length", "0"), H2_FLD("content-length", "0") }, true },
    { "a length that no number holds", { M, SC, P, H2_FLD("content-length", "9223372036854775807") }, false },
    { "a length that is no number", { M, SC, P, H2_FLD("content-length", "+0") }, false },
    { "two lengths", { M, SC, P, H2_FLD("content-length", "0"), H2_FLD("content-length", "1") }, false },
};
TEST(requests)
{
    for (size_t i = 0; i < LEN(requests); i++)
        if (!CHECK_INT(accepted(H2_SERVER, requests[i].v, NULL, false), requests[i].ok)) test_check(false, __FILE__, __LINE__, requests[i].what);
}

static const struct fields_row responses[] = {
    { "plain", { H2_FLD(":status", "200") }, true },
    { "no :status", { H2_FLD("x", "y") }, false },
    { ":status of two digits", { H2_FLD(":status", "20") }, false },
    { ":status below 100", { H2_FLD(":status", "099") }, false },
    { ":status of letters", { H2_FLD(":status", "2xx") }, false },
    { ":status of four digits", { H2_FLD(":status", "2000") }, false },
    { ":status twice", { H2_FLD(":status", "200"), H2_FLD(":status", "200") }, false },
    { "a request", { M, SC, P }, false },
    { "an interim response that ends the stream", { H2_FLD(":status", "103") }, false },
    { "an upgrade", { H2_FLD(":status", "101") }, false },
    { "304 tells a length", { H2_FLD(":status", "304"), H2_FLD("content-length", "9") }, true },
    { "200 without its body", { H2_FLD(":status", "200"), H2_FLD("content-length", "9") }, false },
};
TEST(responses)
{
    for (size_t i = 0; i < LEN(responses); i++)
        if (!CHECK_INT(accepted(H2_CLIENT, responses[i].v, NULL, false), responses[i].ok)) test_check(false, __FILE__, __LINE__, responses[i].what);
}

TEST(trailers)
{
    CHECK(accepted(H2_SERVER, (struct http_field[]){ H2_FLD("x", "y"), { { 0 }, { 0 } } }, NULL, true));
    CHECK(accepted(H2_SERVER, (struct http_field[]){ { { 0 }, { 0 } } }, NULL, true));
    CHECK(accepted(H2_SERVER, (struct http_field[]){ H2_FLD("content-length", "9"), { { 0 }, { 0 } } }, NULL, true));      /* says nothing there */
    CHECK(!accepted(H2_SERVER, (struct http_field[]){ M, { { 0 }, { 0 } } }, NULL, true));
    CHECK(!accepted(H2_SERVER, (struct http_field[]){ H2_FLD("X", "y"), { { 0 }, { 0 } } }, NULL, true));
    CHECK(!accepted(H2_SERVER, (struct http_field[]){ H2_FLD("x", "y"), { { 0 }, { 0 } } }, "000000 00 01 00000001", true));    /* no END_STREAM */
}

TEST(content_length_agrees_with_data_and_trailers)
{
    const struct http_field three[] = { M, SC, P, H2_FLD("content-length", "3"), { { 0 }, { 0 } } };
    CHECK(accepted(H2_SERVER, three, "000003 00 01 00000001 616263", false));
    CHECK(accepted(H2_SERVER, three, "000001 00 00 00000001 61  000002 00 01 00000001 6263", false));
    CHECK(accepted(H2_SERVER, three, "000003 00 00 00000001 616263  000005 01 05 00000001 0001780179", false));
    CHECK(accepted(H2_SERVER, three, "000006 00 09 00000001 02 616263 0000", false));
    CHECK(!accepted(H2_SERVER, three, "000002 00 01 00000001 6162", false));
    CHECK(!accepted(H2_SERVER, three, "000004 00 00 00000001 61626364", false));
    CHECK(!accepted(H2_SERVER, three, "000002 00 00 00000001 6162  000005 01 05 00000001 0001780179", false));
    CHECK(!accepted(H2_CLIENT, (struct http_field[]){ H2_FLD(":status", "103"), { { 0 }, { 0 } } }, "000001 00 01 00000001 61", false));
}

static const struct row to_client[] = {
    { "nothing wrong", "000001 01 05 00000001 88", "" },
    { "PUSH_PROMISE", "000004 05 04 00000001 00000002", "goaway 1" },
    { "ENABLE_PUSH 1", "000006 04 00 00000000 000200000001", "goaway 1" },
    { "ENABLE_PUSH 0", "000006 04 00 00000000 000200000000", "" },
    { "an interim response", "000005 01 04 00000001 08 03 313033  000001 01 05 00000001 88", "" },
    { "an upgrade in between", "000005 01 04 00000001 08 03 313031", "rst 1 1" },
    { "a response without fields", "000000 01 05 00000001", "rst 1 1" },
    { "a stream of the server's", "000001 01 05 00000002 88", "goaway 1" },
    { "a stream that was not opened", "000001 01 05 00000009 88", "goaway 1" },
    { "GOAWAY that takes back", "000008 07 00 00000000 0000000300000000  000008 07 00 00000000 0000000500000000", "" },
    { "GOAWAY twice", "000008 07 00 00000000 7fffffff00000000  000008 07 00 00000000 0000000100000000", "" },
    { "DATA in front of the response", "000001 00 00 00000001 61", "rst 1 1" },
    { "DATA after the response", "000001 01 05 00000001 88  000001 00 00 00000001 61", "" },
    { "a second response without END_STREAM", "000001 01 04 00000001 88  000001 01 04 00000001 88", "rst 1 1" },
    { "RST_STREAM on an idle stream", "000004 03 00 00000009 00000000", "goaway 1" },
};
TEST(frames_to_a_client) { check_rows(to_client, LEN(to_client), H2_CLIENT); }

/* ---- beginnings and limits ---- */
static void check_first(enum h2_role role, struct str in, const char *want)
{
    struct h2_end e;
    AUTO_BUF struct buf out = { 0 }, answer = { .max = 4096 };
    h2_end_init(&e, role, 0, 0);
    h2_end_take(&e, &out);
    h2_end_feed(&e, in, 1);
    put_answer(&answer, h2_end_take(&e, &out));
    CHECK_STR(buf_view(&answer), str_of(want));
    h2_end_done(&e);
}

TEST(how_a_connection_begins)
{
    AUTO_BUF struct buf b = { 0 };
    check_first(H2_SERVER, S("GET / HTTP/1.1\r\n"), "goaway 1");
    check_first(H2_SERVER, S("PRI * HTTP/2.0\r\n\r\nSM\r\n\n"), "goaway 1");
    check_first(H2_SERVER, S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\1\0\0\0\0"), "goaway 1");      /* an ACK first */
    check_first(H2_CLIENT, test_hex(&b, "000008 06 00 00000000 0000000000000000"), "goaway 1");
    check_first(H2_CLIENT, S("HTTP/1.1 400 Bad Request\r\n\r\n"), "goaway 6");
}

static void feed_block(struct h2_end *s, struct str block, const char *want)
{
    AUTO_BUF struct buf in = { .max = 1 << 20 }, out = { 0 }, answer = { .max = 4096 };
    bool first = true;
    buf_lit(&in, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    buf_add(&in, "\0\0\0\4\0\0\0\0\0", 9);
    while (block.n) {
        size_t n = block.n < 16384 ? block.n : 16384;
        char head[] = { 0, (char)(n >> 8), (char)n, first ? 1 : 9, (first ? 1 : 0) | (n == block.n ? 4 : 0), 0, 0, 0, 1 };
        buf_add(&in, head, sizeof head);
        buf_add(&in, block.p, n);
        block = str_from(block, n);
        first = false;
    }
    h2_end_feed(s, buf_view(&in), 1 << 20);
    put_answer(&answer, h2_end_take(s, &out));
    CHECK_STR(buf_view(&answer), str_of(want));
}

TEST(header_lists_have_a_limit)
{
    static char bytes[LIMIT_H2_HEADER_BLOCK + 1];
    struct h2_end s;
    memset(bytes, 0x82, sizeof bytes);             /* ":method: GET", 42 each */
    h2_end_init(&s, H2_SERVER, 0, 0);
    feed_block(&s, (struct str){ bytes, LIMIT_H2_HEADER_LIST / 42 + 1 }, "rst 1 11");
    h2_end_done(&s);
    h2_end_init(&s, H2_SERVER, 0, 0);
    feed_block(&s, (struct str){ bytes, sizeof bytes }, "goaway 11");
    h2_end_done(&s);
}

TEST(more_data_than_a_window)
{
    struct h2_end s;
    AUTO_BUF struct buf b = { 0 }, in = { .max = 1 << 20 }, out = { 0 }, answer = { .max = 4096 };
    h2_end_init(&s, H2_SERVER, 1000, 65535);
    s.hold = true;
    h2_end_feed(&s, S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 99);
    h2_end_feed(&s, test_hex(&b, "000000 04 00 00000000  000000 04 01 00000000" POST("01") POST("03")), 99);
    static char body[1001];
    buf_add(&in, "\0\3\xe9\0\0\0\0\0\1", 9);        /* 1001 bytes where 1000 are allowed */
    buf_add(&in, body, sizeof body);
    h2_end_feed(&s, buf_view(&in), 1 << 20);
    put_answer(&answer, h2_end_take(&s, &out));
    CHECK_STR(buf_view(&answer), S("rst 1 3"));
    h2_end_done(&s);
}

/* Frames of 16384 bytes, the most there may be, until four of them have filled the connection's window; then one byte more. */
TEST(more_data_than_the_connection_s_window)
{
    static const struct { const char *last, *answer; } rows[] = { { "000000 00 00 00000001", "" }, { "000001 00 00 00000003 61", "goaway 3" } };
    static char body[16384];
    for (size_t i = 0; i < LEN(rows); i++) {
        struct h2_end s;
        AUTO_BUF struct buf b = { 0 }, in = { .max = 1 << 20 }, out = { 0 }, answer = { .max = 4096 };
        h2_end_init(&s, H2_SERVER, 262144, 65535);
        s.hold = true;
        h2_end_feed(&s, S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 99);
        h2_end_feed(&s, test_hex(&b, "000000 04 00 00000000  000000 04 01 00000000" POST("01") POST("03")), 99);
        for (int k = 0; k < 4; k++) {
            size_t n = k < 3 ? sizeof body : sizeof body - 1;
            char head[] = { 0, (char)(n >> 8), (char)n, 0, 0, 0, 0, 0, 1 };
            buf_add(&in, head, sizeof head);
            buf_add(&in, body, n);
        }
        h2_end_feed(&s, buf_view(&in), 1 << 20);
        CHECK_INT(s.data[0], 65535);
        h2_end_feed(&s, test_hex(&b, rows[i].last), 99);
        put_answer(&answer, h2_end_take(&s, &out));
        CHECK_STR(buf_view(&answer), str_of(rows[i].answer));
        h2_end_done(&s);
    }
}

/* What was on its way when we reset a stream is passed over, as far as its window reached (section 5.4.2). */
TEST(more_data_than_the_window_of_a_stream_that_was_reset)
{
    struct h2_end s;
    AUTO_BUF struct buf b = { 0 }, out = { 0 }, answer = { .max = 4096 };
    h2_end_init(&s, H2_SERVER, 3, 65535);
    h2_end_feed(&s, S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 99);
    h2_end_feed(&s, test_hex(&b, "000000 04 00 00000000  000000 04 01 00000000" POST("01")), 99);
    h2_reset(s.h, 1, H2_CANCEL);
    h2_end_take(&s, &out);
    h2_end_feed(&s, test_hex(&b, "000003 00 00 00000001 616263"), 99);
    CHECK_INT(h2_end_take(&s, &out).n, 0);
    h2_end_feed(&s, test_hex(&b, "000001 00 01 00000001 61"), 99);
    put_answer(&answer, h2_end_take(&s, &out));
    CHECK_STR(buf_view(&answer), S("goaway 3"));
    h2_end_done(&s);
}

TEST(settings_that_are_never_acknowledged_end_the_connection)
{
    for (int with_ack = 0; with_ack < 2; with_ack++) {
        struct h2_end e;
        AUTO_BUF struct buf b = { 0 }, out = { 0 }, answer = { .max = 4096 };
        h2_end_init(&e, H2_SERVER, 0, 0);
        e.now_us = 1000000;
        h2_end_feed(&e, S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 99);
        h2_end_feed(&e, test_hex(&b, "000000 04 00 00000000"), 99);
        e.now_us = 11000001;
        h2_end_feed(&e, test_hex(&b, with_ack ? "000000 04 01 00000000" : GET("01")), 99);
        CHECK(!h2_is_done(e.h));
        h2_end_feed(&e, test_hex(&b, GET("03")), 99);
        put_answer(&answer, h2_end_take(&e, &out));
        CHECK_STR(buf_view(&answer), with_ack ? S("") : S("goaway 4"));
        h2_end_done(&e);
    }
}
