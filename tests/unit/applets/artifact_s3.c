/* SPDX-License-Identifier: Apache-2.0 */
#include "applets/artifact/s3.h"
#include "tests/kit/http_ends.h"
#include "tests/kit/test.h"
#include <sys/mman.h>
#include <unistd.h>

static const struct s3_keys keys = { S("AKIAIOSFODNN7EXAMPLE"), S("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), S("") };
#define EMPTY S("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

static void check(struct sigv4 q, const char *signature)
{
    AUTO_BUF struct buf b = { .max = 4096 };
    q.host = S("examplebucket.s3.amazonaws.com");
    q.region = S("us-east-1");
    q.service = S("s3");
    q.keys = &keys;
    q.date = "20130524T000000Z";
    sigv4_authorization(&q, &b);
    CHECK(str_ends(buf_view(&b), str_of(signature)));
    CHECK(str_starts(buf_view(&b), S("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=")));
}

/* The examples of "Signature Calculations for the Authorization Header", Amazon S3 API Reference. */
TEST(signatures_of_the_reference)
{
    struct http_field get[] = { { S("range"), S("bytes=0-9") }, { S("x-amz-content-sha256"), EMPTY }, { S("x-amz-date"), S("20130524T000000Z") } };
    check((struct sigv4){ .method = S("GET"), .path = S("/test.txt"), .query = S(""), .fields = get, .n = 3, .payload = EMPTY },
          "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    struct str sum = S("44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
    struct http_field put[] = { { S("date"), S("Fri, 24 May 2013 00:00:00 GMT") }, { S("x-amz-content-sha256"), sum }, { S("x-amz-date"), S("20130524T000000Z") },
                                { S("x-amz-storage-class"), S("REDUCED_REDUNDANCY") } };
    check((struct sigv4){ .method = S("PUT"), .path = S("/test%24file.text"), .query = S(""), .fields = put, .n = 4, .payload = sum },
          "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    struct http_field list[] = { { S("x-amz-date"), S("20130524T000000Z") }, { S("x-amz-content-sha256"), EMPTY } };
    check((struct sigv4){ .method = S("GET"), .path = S("/"), .query = S("max-keys=2&prefix=J"), .fields = list, .n = 2, .payload = EMPTY },
          "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
    char date[SIGV4_DATE];
    sigv4_date(date, INT64_C(1369353600000000));
    CHECK_Z(date, "20130524T000000Z");
}

TEST(xml_is_looked_up_and_never_expanded)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct str doc = S("<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><L xmlns=\"u\"><Key>a&amp;b&#x41;&#228;&lt;</Key>"
                       "<Key>&b;&b;</Key><Key/><Key>open"), text;
    size_t at = 0;
    CHECK(xml_find(doc, &at, "Key", &a, &text));
    CHECK_STR(text, S("a&bA\xc3\xa4<"));
    CHECK(xml_find(doc, &at, "Key", &a, &text));
    CHECK_STR(text, S("&b;&b;"));
    CHECK(!xml_find(doc, &at, "Key", &a, &text));
    CHECK_STR(xml_first(doc, "Code", &a), S(""));
    AUTO_ARENA struct arena vast = { .limit = 16 << 20 };
    AUTO_BUF struct buf b = { .max = 5 << 20 };          /* what a store may answer: looked through once, not once for each '&' */
    buf_lit(&b, "<M>");
    for (int i = 0; i < 4 << 20; i++)
        buf_byte(&b, '&');
    buf_lit(&b, "</M>");
    CHECK_INT(xml_first(buf_view(&b), "M", &vast).n, 4 << 20);
    struct str odd = S("<K>&#0;&#xd800;&#x110000;&#99999999;&;&amp</K>");
    CHECK_STR(xml_first(odd, "K", &a), S("&#0;&#xd800;&#x110000;&#99999999;&;&amp"));
}

/* ---- what comes slowly --------------------------------------------------------------------------------------------------- */
enum { SLOWLY = 24 << 20 };
struct slow { struct peer p; struct s3 s; struct s3_call c; };

static void slow_call(struct slow *x, const char *say, struct s3_call c)
{
    peer_begin(&x->p, HTTP_11);
    x->p.say = say;
    x->s = (struct s3){ .loop = x->p.h.loop, .place = { S("127.0.0.1"), listener_port(x->p.l), false }, .host = S("t"), .base = S("/b"), .region = S("r"), .keys = keys, .concurrency = 1, .retries_left = 9 };
    rnd_seed(&x->s.rnd, 1);
    s3_connect(&x->s);
    x->c = c;
    s3_start(&x->s, &x->c);
    CHECK(here_until_is(&x->p.h, &x->c.status, 200));
}
static void slow_begin(struct slow *x)
{
    slow_call(x, "HTTP/1.1 200 OK\r\ncontent-length: 25165824\r\n\r\n", (struct s3_call){ .method = "GET", .key = S("k"), .out = memfd_create("out", MFD_CLOEXEC) });
}

static bool slow_is_over(const struct slow *x) { return x->c.done || x->c.tries; }

/* Another piece of so many bytes every 50 s, until all came or it is over. */
static void slow_go(struct slow *x, size_t piece)
{
    static char bytes[65536];
    for (uint64_t sent = 0, want = piece; sent < SLOWLY && !slow_is_over(x); want += piece) {
        here_skip(&x->p.h, 50000000);
        here_turn(&x->p.h);
        while (x->c.got < want && !slow_is_over(x)) {
            size_t n = want - sent < sizeof bytes ? (size_t)(want - sent) : sizeof bytes;
            ptrdiff_t took = n ? link_write(x->p.ones[0].link, bytes, n) : 0;
            sent += took > 0 ? (uint64_t)took : 0;
            here_run(&x->p.h, took > 0 ? 0 : 1000);
        }
    }
}

static void slow_end(struct slow *x)
{
    s3_call_end(&x->c);
    if (x->c.out > 0)
        close(x->c.out);
    httpc_free(x->s.http);
    arena_reset(&x->s.arena);
    peer_end(&x->p);
}

/* Four pieces of 6 MiB within 200 s are more than 100 kB a second: one try is enough. One byte in 50 s isn't. */
TEST(a_download_may_take_as_long_as_it_comes)
{
    struct slow x;
    slow_begin(&x);
    slow_go(&x, SLOWLY / 4);
    CHECK(here_until(&x.p.h, &x.c.done));
    CHECK(!x.c.e.code && x.c.got == SLOWLY && x.c.tries == 0 && x.p.n == 1);
    slow_end(&x);
    slow_begin(&x);
    slow_go(&x, 1);
    CHECK(x.c.tries == 1 && x.c.got < 3 && x.c.e.code == KR_UNAVAILABLE);
    slow_end(&x);
}

/* A blank every 50 s is a sign of life of who joins parts; a minute without one isn't. */
TEST(joining_may_take_as_long_as_blanks_come)
{
    struct slow x;
    for (int dies = 0; dies < 2; dies++) {
        slow_call(&x, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", (struct s3_call){ .method = "POST", .key = S("k"), .joins = true });
        for (size_t n = 1; n < 10; n++) {
            here_skip(&x.p.h, 50000000);
            here_turn(&x.p.h);
            peer_say(&x.p.ones[0], S(" "));
            while (x.c.answer.n < n && !slow_is_over(&x))
                here_run(&x.p.h, 1000);
        }
        CHECK(!slow_is_over(&x));
        if (dies) {
            here_skip(&x.p.h, 61000000);
            here_turn(&x.p.h);
            CHECK(x.c.tries == 1 && x.c.e.code == KR_UNAVAILABLE);
        } else {
            peer_say(&x.p.ones[0], S("."));
            CHECK(here_until(&x.p.h, &x.c.done));
            CHECK(!x.c.e.code && x.p.n == 1);
        }
        slow_end(&x);
    }
}

static void slow_breaks(struct slow *x, int times)
{
    for (int i = 0; i < times && !x->c.done; i++) {
        int n = x->p.n;
        for (int k = 0; k < 10000 && x->p.n == n && !x->c.done; k++) {
            here_skip(&x->p.h, 100000);
            here_run(&x->p.h, 100);
        }
    }
}

/* One that breaks off a dozen times, each time a little further on, comes to its end; one that brings nothing is given up after six tries. */
TEST(a_download_may_break_as_often_as_it_goes_on)
{
    struct slow x;
    slow_begin(&x);
    x.p.say = "HTTP/1.1 206 OK\r\ncontent-length: 100\r\n\r\nx";
    x.p.hang_up = true;
    link_close(TAKE(x.p.ones[0].link));
    slow_breaks(&x, 8);
    CHECK(!x.c.done && x.c.tries <= 1 && x.c.got >= 7);
    x.p.say = "HTTP/1.1 206 OK\r\ncontent-length: 1\r\n\r\nx";
    CHECK(here_until(&x.p.h, &x.c.done));
    CHECK(!x.c.e.code && x.c.got >= 8);
    slow_end(&x);
    slow_begin(&x);
    x.p.say = "HTTP/1.1 206 OK\r\ncontent-length: 100\r\n\r\n";
    x.p.hang_up = true;
    link_close(TAKE(x.p.ones[0].link));
    slow_breaks(&x, 12);
    CHECK(x.c.done && x.c.e.code == KR_UNAVAILABLE && x.p.n == 6);
    slow_end(&x);
}
