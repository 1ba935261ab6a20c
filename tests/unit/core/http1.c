/* SPDX-License-Identifier: Apache-2.0 */
#include "core/http1.h"
#include "tests/kit/test.h"

/* ---- one line of text per event; DATA in a row is one line, so that every cut must give the same text ---- */
struct trace { struct buf b; struct str kind; bool in_data; };

static void put_fields(struct buf *b, struct http_fields f)
{
    for (size_t i = 0; i < f.n; i++) buf_fmt(b, " %.*s=[%.*s]", SFMT(f.v[i].name), SFMT(f.v[i].value));
}

static void put_head(struct buf *b, const struct http1_head *h)
{
    static const char *const body[] = { "", " length", " chunked", " until-close" };
    if (h->status) buf_fmt(b, "HEAD %d", h->status);
    else buf_fmt(b, "HEAD %.*s %.*s @%.*s", SFMT(h->method), SFMT(h->target), SFMT(h->authority));
    buf_fmt(b, "%s%s%s", body[h->body], h->keep_alive ? " keep" : " close", h->expect_continue ? " expect" : "");
    if (h->upgrade.p) buf_fmt(b, " upgrade=%.*s", SFMT(h->upgrade));
    put_fields(b, h->fields);
    buf_byte(b, '\n');
}

static void put_event(struct trace *t, const struct http1_event *ev)
{
    if (t->in_data && ev->type != HTTP1_DATA) buf_byte(&t->b, '\n');
    if (ev->type == HTTP1_DATA && !t->in_data) buf_lit(&t->b, "DATA ");
    t->in_data = ev->type == HTTP1_DATA;
    switch (ev->type) {
    case HTTP1_HEAD: put_head(&t->b, ev->head); break;
    case HTTP1_DATA: buf_str(&t->b, ev->data); break;
    case HTTP1_END: buf_lit(&t->b, "END"), put_fields(&t->b, ev->trailers), buf_byte(&t->b, '\n'); break;
    case HTTP1_ERROR: buf_fmt(&t->b, "ERROR %d %s\n", ev->status, ev->text); break;
    }
}

static void drain(struct http1 *p, struct str *in, struct trace *t)
{
    struct http1_event ev;
    for (;;) {
        while (http1_next(p, in, &ev)) put_event(t, &ev);
        if (!http1_is_complete(p)) return;
        http1_restart(p);
        if (!in->n) return;
    }
}

/* The trace of the bytes given in pieces of `step` bytes, or in two pieces cut at `cut`; then end of input. */
static struct buf trace(enum http1_role role, bool head_request, struct str bytes, size_t cut, size_t step)
{
    struct http1 p;
    struct trace t = { .b = { .max = 1 << 20 } };
    struct http1_event ev;
    http1_init(&p, role);
    http1_expect_head(&p, head_request);
    for (size_t at = 0; at < bytes.n;) {
        size_t n = step ? step : at < cut ? cut : bytes.n - at;
        if (n > bytes.n - at) n = bytes.n - at;
        char *piece = xmalloc(n);                        /* of its own, so that the sanitizer sees a byte read too far */
        memcpy(piece, bytes.p + at, n);
        struct str in = { piece, n };
        drain(&p, &in, &t);
        free(piece);
        at += n;
    }
    if (http1_eof(&p, &ev)) put_event(&t, &ev);
    if (t.in_data) buf_byte(&t.b, '\n');
    http1_done(&p);
    return t.b;
}

static bool check_all_cuts(enum http1_role role, bool head_request, struct str bytes, const char *want)
{
    AUTO_BUF struct buf whole = trace(role, head_request, bytes, 0, 0), single = trace(role, head_request, bytes, 0, 1);
    bool ok = CHECK_STR(buf_view(&whole), str_of(want)) && CHECK_STR(buf_view(&single), str_of(want));
    for (size_t cut = 1; ok && cut < bytes.n; cut++) {
        AUTO_BUF struct buf two = trace(role, head_request, bytes, cut, 0);
        ok = CHECK_STR(buf_view(&two), str_of(want));
    }
    return ok;
}

struct row { const char *what; struct str bytes; const char *want; };
static void check_rows(enum http1_role role, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!check_all_cuts(role, false, rows[i].bytes, rows[i].want)) test_check(false, rows[i].what, 0, "see above");
}

TEST(requests_give_the_same_events_at_every_cut)
{
    static const struct { const char *in, *want; } cases[] = {
        { "GET /a?b=c HTTP/1.1\r\nHost: h:1\r\n\r\n", "HEAD GET /a?b=c @h:1 keep host=[h:1]\nEND\n" },
        { "\r\nGET / HTTP/1.0\r\n\r\n", "HEAD GET / @ close\nEND\n" },
        { "GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n", "HEAD GET / @ keep connection=[x, Keep-Alive]\nEND\n" },
        { "GET / HTTP/1.1\r\nHost: h\r\nconnection: close\r\n\r\n", "HEAD GET / @h close host=[h] connection=[close]\nEND\n" },
        { "POST /p HTTP/1.1\r\nHost:h\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\nhelloGET / HTTP/1.1\r\nhost: h\r\n\r\n",
          "HEAD POST /p @h length keep expect host=[h] content-length=[5] expect=[100-Continue]\nDATA hello\nEND\nHEAD GET / @h keep host=[h]\nEND\n" },
        { "PUT /p HTTP/1.1\r\nHost: h\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n00000006;a=\"b\"\r\n world\r\n0\r\nX-Sum:  1 2 \r\n\r\n",
          "HEAD PUT /p @h chunked keep host=[h] transfer-encoding=[Chunked]\nDATA hello world\nEND x-sum=[1 2]\n" },
        { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "HEAD POST / @h keep host=[h] content-length=[0]\nEND\n" },
        { "GET http://other:8/x?y HTTP/1.1\r\nHost: h\r\n\r\n", "HEAD GET /x?y @other:8 keep host=[h]\nEND\n" },
        { "GET HTTP://[::1] HTTP/1.1\r\nHost: h\r\n\r\n", "HEAD GET / @[::1] keep host=[h]\nEND\n" },
        { "OPTIONS * HTTP/1.1\r\nHost: \r\n\r\n", "HEAD OPTIONS * @ keep host=[]\nEND\n" },
        { "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n\x01\x02",
          "HEAD GET / @h keep upgrade=websocket host=[h] upgrade=[websocket] connection=[keep-alive, Upgrade]\nEND\nERROR 400 the connection was closed inside a message\n" },
        { "GET / HTTP/1.1\r\nHost: h\r\nX: \xc3\xa9\t\xff\r\n\r\n", "HEAD GET / @h keep host=[h] x=[\xc3\xa9\t\xff]\nEND\n" },
        { "GET / HT", "ERROR 400 the connection was closed inside a message\n" },
        { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel",
          "HEAD POST / @h length keep host=[h] content-length=[5]\nDATA hel\nERROR 400 the connection was closed inside a message\n" },
    };
    for (size_t i = 0; i < LEN(cases); i++) check_all_cuts(HTTP1_SERVER, false, str_of(cases[i].in), cases[i].want);
}

/* What a front end and we could read differently must be refused: each of these has hidden a second request somewhere. */
#define G "GET / HTTP/1.1\r\nHost: h\r\n"
#define P "POST / HTTP/1.1\r\nHost: h\r\n"
#define CHUNKED "HEAD POST / @h chunked keep host=[h] transfer-encoding=[chunked]\n"
static const struct row smuggling[] = {
    { "both lengths", S(P "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "ERROR 400 both content-length and transfer-encoding\n" },
    { "both, other order", S(P "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"), "ERROR 400 both content-length and transfer-encoding\n" },
    { "two lengths", S(P "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"), "ERROR 400 more than one content-length\n" },
    { "two equal lengths", S(P "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd"), "ERROR 400 more than one content-length\n" },
    { "length list", S(P "Content-Length: 4, 4\r\n\r\nabcd"), "ERROR 400 content-length is not a number\n" },
    { "length with sign", S(P "Content-Length: +4\r\n\r\nabcd"), "ERROR 400 content-length is not a number\n" },
    { "negative length", S(P "Content-Length: -1\r\n\r\n"), "ERROR 400 content-length is not a number\n" },
    { "hex length", S(P "Content-Length: 0x4\r\n\r\nabcd"), "ERROR 400 content-length is not a number\n" },
    { "empty length", S(P "Content-Length:\r\n\r\n"), "ERROR 400 content-length is not a number\n" },
    { "length beyond 2^63", S(P "Content-Length: 9223372036854775808\r\n\r\n"), "ERROR 400 content-length is not a number\n" },
    { "length beyond 2^64", S(P "Content-Length: 18446744073709551617\r\n\r\n"), "ERROR 400 content-length is not a number\n" },
    { "unknown coding", S(P "Transfer-Encoding: gzip\r\n\r\n"), "ERROR 501 transfer-encoding is not 'chunked'\n" },
    { "chunked not last", S(P "Transfer-Encoding: chunked, identity\r\n\r\n"), "ERROR 400 transfer-encoding is not 'chunked'\n" },
    { "chunked after gzip", S(P "Transfer-Encoding: gzip, chunked\r\n\r\n"), "ERROR 400 transfer-encoding is not 'chunked'\n" },
    { "chunked twice", S(P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), "ERROR 400 more than one transfer-encoding\n" },
    { "chunked in quotes", S(P "Transfer-Encoding: \"chunked\"\r\n\r\n"), "ERROR 501 transfer-encoding is not 'chunked'\n" },
    { "chunked after VT", S(P "Transfer-Encoding: \x0b" "chunked\r\n\r\n"), "ERROR 400 a header value has control bytes\n" },
    { "chunked in 1.0", S("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), "ERROR 400 transfer-encoding in an HTTP/1.0 message\n" },
    { "space before colon", S(P "Transfer-Encoding : chunked\r\n\r\n"), "ERROR 400 a header line has no proper name before its colon\n" },
    { "tab before colon", S(G "X\t: a\r\n\r\n"), "ERROR 400 a header line has no proper name before its colon\n" },
    { "no colon", S(G "X\r\n\r\n"), "ERROR 400 a header line has no proper name before its colon\n" },
    { "no name", S(G ": x\r\n\r\n"), "ERROR 400 a header line has no proper name before its colon\n" },
    { "NUL in name", S(G "X\0Y: a\r\n\r\n"), "ERROR 400 a header line has no proper name before its colon\n" },
    { "folded", S(G "X: a\r\n b\r\n\r\n"), "ERROR 400 a header line is folded\n" },
    { "folded first", S("GET / HTTP/1.1\r\n Host: h\r\n\r\n"), "ERROR 400 a header line is folded\n" },
    { "NUL in value", S(G "X: a\0b\r\n\r\n"), "ERROR 400 a header value has control bytes\n" },
    { "CR in value", S(G "X: a\rb\r\n\r\n"), "ERROR 400 a header value has control bytes\n" },
    { "DEL in value", S(G "X: a\x7f\r\n\r\n"), "ERROR 400 a header value has control bytes\n" },
    { "bare LF in field", S(G "X: a\nY: b\r\n\r\n"), "ERROR 400 a line ends in a bare line feed\n" },
    { "bare LF in request line", S("GET / HTTP/1.1\nHost: h\n\n"), "ERROR 400 a line ends in a bare line feed\n" },
    { "bare LF at end", S(G "\n"), "ERROR 400 a line ends in a bare line feed\n" },
    { "no host", S("GET / HTTP/1.1\r\n\r\n"), "ERROR 400 the host field is missing\n" },
    { "two hosts", S(G "Host: i\r\n\r\n"), "ERROR 400 more than one host field\n" },
    { "host with path", S("GET / HTTP/1.1\r\nHost: h/x\r\n\r\n"), "ERROR 400 the host field is not a host\n" },
    { "host with user", S("GET / HTTP/1.1\r\nHost: a@h\r\n\r\n"), "ERROR 400 the host field is not a host\n" },
    { "host list", S("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), "ERROR 400 the host field is not a host\n" },
    { "user in target", S("GET http://a@h/ HTTP/1.1\r\nHost: h\r\n\r\n"), "ERROR 400 the request target has no proper host\n" },
    { "no host in target", S("GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n"), "ERROR 400 the request target has no proper host\n" },
    { "two spaces", S("GET  / HTTP/1.1\r\nHost: h\r\n\r\n"), "ERROR 400 the request line is not 'method target HTTP/1.1'\n" },
    { "tab for space", S("GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"), "ERROR 400 the request line does not start with a method\n" },
    { "space at end", S("GET / HTTP/1.1 \r\nHost: h\r\n\r\n"), "ERROR 400 the request line is not 'method target HTTP/1.1'\n" },
    { "HTTP/0.9", S("GET /\r\n"), "ERROR 400 the request line is not 'method target HTTP/1.1'\n" },
    { "HTTP/1.10", S("GET / HTTP/1.10\r\n"), "ERROR 400 the request line is not 'method target HTTP/1.1'\n" },
    { "lower-case version", S("GET / http/1.1\r\n"), "ERROR 400 the request line is not 'method target HTTP/1.1'\n" },
    { "HTTP/1.2", S("GET / HTTP/1.2\r\n"), "ERROR 505 this HTTP version is not offered here\n" },
    { "PRI in between", S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "ERROR 505 this HTTP version is not offered here\n" },
    { "two empty lines first", S("\r\n\r\nGET / HTTP/1.1\r\n"), "ERROR 400 the request line does not start with a method\n" },
    { "TLS hello", S("\x16\x03\x01\x00\n"), "ERROR 400 a line ends in a bare line feed\n" },
    { "NUL in target", S("GET /\0 HTTP/1.1\r\n"), "ERROR 400 the request target has bytes that are not allowed\n" },
    { "non-ASCII target", S("GET /\xc3\xa9 HTTP/1.1\r\n"), "ERROR 400 the request target has bytes that are not allowed\n" },
    { "relative target", S("GET a/b HTTP/1.1\r\n"), "ERROR 400 the request target is neither a path nor a URL\n" },
    { "other scheme", S("GET ftp://h/ HTTP/1.1\r\n"), "ERROR 400 the request target is neither a path nor a URL\n" },
    { "star for GET", S("GET * HTTP/1.1\r\n"), "ERROR 400 the request target is neither a path nor a URL\n" },
    { "CONNECT", S("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"), "ERROR 501 CONNECT is not offered here\n" },
    { "other expectation", S(P "Content-Length: 1\r\nExpect: miracles\r\n\r\n"), "ERROR 417 only '100-continue' can be expected\n" },
    { "chunk size overflow", S(P "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n"), CHUNKED "ERROR 400 the chunk size is out of range\n" },
    { "chunk size 2^64 + 5", S(P "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n"), CHUNKED "ERROR 400 the chunk size is out of range\n" },
    { "chunk size sign", S(P "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n"), CHUNKED "ERROR 400 the chunk size is not a number\n" },
    { "chunk size 0x", S(P "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n"), CHUNKED "ERROR 400 the chunk size is not a number\n" },
    { "chunk size space", S(P "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n"), CHUNKED "ERROR 400 the chunk size is not a number\n" },
    { "chunk size empty", S(P "Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n"), CHUNKED "ERROR 400 the chunk size is not a number\n" },
    { "chunk line bare LF", S(P "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n"), CHUNKED "ERROR 400 a line ends in a bare line feed\n" },
    { "extension with NUL", S(P "Transfer-Encoding: chunked\r\n\r\n5;\0\r\nhello\r\n"), CHUNKED "ERROR 400 a chunk line has control bytes\n" },
    { "extension with bare LF", S(P "Transfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n"), CHUNKED "ERROR 400 a line ends in a bare line feed\n" },
    { "chunk too long", S(P "Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n"), CHUNKED "DATA hello\nERROR 400 the chunk does not end where its size says\n" },
    { "chunk end bare LF", S(P "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n"), CHUNKED "DATA hello\nERROR 400 a line ends in a bare line feed\n" },
    { "length in trailer", S(P "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n"), CHUNKED "ERROR 400 a trailer field that belongs into the header\n" },
    { "folded trailer", S(P "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n"), CHUNKED "ERROR 400 a header line is folded\n" },
};

TEST(requests_that_could_be_read_in_two_ways_are_refused)
{
    check_rows(HTTP1_SERVER, smuggling, LEN(smuggling));
}

TEST(responses_give_the_same_events_at_every_cut)
{
    static const struct { const char *in, *want; } cases[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 204 No Content\r\n\r\n",
          "HEAD 200 length keep content-length=[2]\nDATA ok\nEND\nHEAD 204 keep\nEND\n" },
        { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
          "HEAD 100 keep\nHEAD 200 chunked keep transfer-encoding=[chunked]\nDATA ok\nEND\n" },
        { "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "HEAD 304 keep content-length=[5]\nEND\n" },
        { "HTTP/1.0 200 OK\r\n\r\nall the rest", "HEAD 200 until-close close\nDATA all the rest\nEND\n" },
        { "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
          "HEAD 101 keep upgrade=websocket upgrade=[websocket] connection=[Upgrade]\nEND\n" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nok",
          "HEAD 200 length close content-length=[4] connection=[close]\nDATA ok\nERROR 400 the connection was closed inside a message\n" },
        { "HTTP/1.1 20 OK\r\n\r\n", "ERROR 400 the status line has no status\n" },
        { "HTTP/1.1 2000 OK\r\n\r\n", "ERROR 400 the status line has no status\n" },
        { "HTTP/1.1 099 No\r\n\r\n", "ERROR 400 the status line has no status\n" },
        { "HTTP/2 200\r\n\r\n", "ERROR 400 the response does not start with 'HTTP/1.1'\n" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "ERROR 400 both content-length and transfer-encoding\n" },
        { "<html>\r\n", "ERROR 400 the response does not start with 'HTTP/1.1'\n" },
    };
    for (size_t i = 0; i < LEN(cases); i++) check_all_cuts(HTTP1_CLIENT, false, str_of(cases[i].in), cases[i].want);
    check_all_cuts(HTTP1_CLIENT, true, S("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"), "HEAD 200 keep content-length=[900]\nEND\n");
    check_all_cuts(HTTP1_CLIENT, true, S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "HEAD 200 keep transfer-encoding=[chunked]\nEND\n");
}

/* Long input is made here: `n` times `piece` between a start and an end. */
static void check_long(const char *start, const char *piece, size_t n, const char *end, const char *want)
{
    AUTO_BUF struct buf in = { .max = 1 << 20 };
    buf_lit(&in, start);
    for (size_t i = 0; i < n; i++) buf_lit(&in, piece);
    buf_lit(&in, end);
    for (size_t step = 0; step < 5000; step = step * 3 + 1) {
        AUTO_BUF struct buf t = trace(HTTP1_SERVER, false, buf_view(&in), 0, step);
        struct str last = buf_view(&t);
        if (last.n > strlen(want)) last = str_from(last, last.n - strlen(want));
        CHECK_STR(last, str_of(want));
    }
}

TEST(every_limit_of_the_parser_answers_with_its_status)
{
    check_long("GET /", "a", LIMIT_HTTP1_START_LINE, " HTTP/1.1\r\n", "ERROR 414 the request line is too long\n");
    check_long("GET /", "a", LIMIT_HTTP1_START_LINE - 16, " HTTP/1.1\r\nHost: h\r\n\r\n", "END\n");
    check_long(G "X: ", "a", LIMIT_HTTP1_HEAD, "\r\n\r\n", "ERROR 431 the header fields are too large\n");
    check_long(G, "X: a\r\n", LIMIT_HTTP1_FIELDS, "\r\n", "ERROR 431 too many header fields\n");
    check_long(G, "X: a\r\n", LIMIT_HTTP1_FIELDS - 1, "\r\n", "END\n");
    check_long(P "Transfer-Encoding: chunked\r\n\r\n", "0", LIMIT_HTTP1_CHUNK_LINE, "\r\n\r\n", "ERROR 400 the chunk line is too long\n");
    check_long(P "Transfer-Encoding: chunked\r\n\r\n", "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n", 400, "0\r\n\r\n", "ERROR 400 too many chunk extensions\n");
    check_long(P "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: aaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 4000, "\r\n", "ERROR 431 too many header fields\n");
}

TEST(the_head_stays_valid_until_the_next_call)
{
    struct http1 p;
    struct http1_event ev;
    struct str in = S(P "Content-Length: 1\r\nX: y\r\n\r\nzGET");
    http1_init(&p, HTTP1_SERVER);
    CHECK(http1_is_idle(&p));
    CHECK_OR(http1_next(&p, &in, &ev) && ev.type == HTTP1_HEAD);
    CHECK(!http1_is_idle(&p));
    CHECK_STR(http_get(ev.head->fields, "x"), S("y"));
    CHECK(!http_get(ev.head->fields, "absent").p);
    CHECK(http1_next(&p, &in, &ev) && ev.type == HTTP1_DATA);
    CHECK(http1_next(&p, &in, &ev) && ev.type == HTTP1_END && http1_is_complete(&p));
    CHECK(!http1_next(&p, &in, &ev));
    CHECK_STR(in, S("GET"));
    CHECK(!http1_eof(&p, &ev));
    http1_restart(&p);
    CHECK(http1_is_idle(&p));
    http1_done(&p);
}

/* Its answer may take hours, as that of a watch; and the connection may be idle afterwards. */
TEST(a_large_head_is_not_kept_behind_its_message)
{
    struct http1 p;
    struct http1_event ev;
    AUTO_BUF struct buf b = { .max = 65536 };
    buf_lit(&b, G);
    for (int i = 0; i < 50; i++)
        buf_fmt(&b, "x-%d: %100d\r\n", i, i);
    buf_lit(&b, "\r\n" P "Transfer-Encoding: chunked\r\n\r\n0\r\nx-sum: 9\r\n\r\n");
    struct str in = buf_view(&b);
    http1_init(&p, HTTP1_SERVER);
    CHECK_OR(http1_next(&p, &in, &ev) && ev.type == HTTP1_HEAD);
    CHECK_STR(http_get(ev.head->fields, "x-49"), S("49"));
    CHECK(http1_next(&p, &in, &ev) && ev.type == HTTP1_END && !http1_next(&p, &in, &ev));
    CHECK(!p.text.p && !p.spans && !p.fields);
    http1_restart(&p);
    CHECK_OR(http1_next(&p, &in, &ev) && ev.type == HTTP1_HEAD);
    CHECK_STR(http_get(ev.head->fields, "transfer-encoding"), S("chunked"));
    CHECK_OR(http1_next(&p, &in, &ev) && ev.type == HTTP1_END);
    CHECK_STR(http_get(ev.trailers, "x-sum"), S("9"));
    http1_done(&p);
}

TEST(what_is_written_reads_back)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    struct http_field sum = { S("x-sum"), S("9") };
    http1_put_request(&b, S("POST"), S("/a"), S("h:1"));
    http1_put_field(&b, S("transfer-encoding"), S("chunked"));
    http1_put_end(&b);
    http1_put_chunk(&b, S("hello, "));
    http1_put_chunk(&b, S(""));
    http1_put_chunk(&b, S("0123456789"));
    http1_put_last_chunk(&b, (struct http_fields){ &sum, 1 });
    CHECK(!b.failed);
    check_all_cuts(HTTP1_SERVER, false, buf_view(&b),
                   "HEAD POST /a @h:1 chunked keep host=[h:1] transfer-encoding=[chunked]\nDATA hello, 0123456789\nEND x-sum=[9]\n");
    buf_clear(&b);
    http1_put_status(&b, 404);
    http1_put_field(&b, S("content-length"), S("0"));
    http1_put_end(&b);
    CHECK_STR(buf_view(&b), S("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"));
}

TEST(what_could_split_a_message_is_not_written)
{
    static const struct { struct str name, value; } bad[] = {
        { S("x"), S("a\r\nSet-Cookie: b") }, { S("x"), S("a\nb") }, { S("x"), S("a\0b") }, { S("x y"), S("a") }, { S(""), S("a") }, { S("x:"), S("a") },
    };
    for (size_t i = 0; i < LEN(bad); i++) {
        AUTO_BUF struct buf b = { .max = 4096 };
        http1_put_field(&b, bad[i].name, bad[i].value);
        CHECK(b.failed);
    }
    AUTO_BUF struct buf b = { .max = 4096 };
    http1_put_request(&b, S("GET"), S("/a b"), S("h"));
    CHECK(b.failed);
    buf_clear(&b);
    http1_put_request(&b, S("GET /"), S("/"), S("h"));
    CHECK(b.failed);
    CHECK(http_has_token(S("a, Chunked ,b"), "chunked") && !http_has_token(S("achunked"), "chunked") && !http_has_token(S(""), "a"));
    CHECK(http_media_is(S("Application/JSON ; charset=utf-8"), "application/json") && http_media_is(S("a/b"), "a/b"));
    CHECK(!http_media_is(S("a/bc"), "a/b") && !http_media_is(S("a/b, a/b"), "a/b") && !http_media_is(S(""), "a/b"));
}
