/* SPDX-License-Identifier: Apache-2.0 */
/* How much of which stream flows when: windows of streams and of the connection, turns of streams that wait (RFC 9113, 5.2). */
#include "grpc/h2_conn.h"
#include "tests/kit/h2_ends.h"

static const char block[70000];

static void echo_size(struct h2_end *s, const struct h2_event *ev)
{
    if (ev->type == H2_HEADERS) h2_headers(s->h, ev->stream, H2_200, false);
    if (ev->end)
        for (int i = 0; i < 20; i++) h2_data(s->h, ev->stream, (struct str){ block, 50000 }, i == 19);
}

TEST(big_bodies_through_small_windows)
{
    static const uint32_t windows[] = { 1, 1000, 65535, 100000 };
    for (size_t w = 0; w < LEN(windows); w++) {
        BOTH_ENDS(windows[w], 65535);
        s.on = echo_size;
        size_t total = windows[w] == 1 ? 2000 : 1000000;
        char *body = xcalloc(1, total);
        h2_pump(&c, &s, 4096);
        uint32_t a = h2_open(c.h, H2_GET, false, NULL), b = h2_open(c.h, H2_GET, false, NULL);
        h2_data(c.h, a, (struct str){ body, total }, true);
        h2_data(c.h, b, (struct str){ body, total }, windows[w] > 1);
        h2_pump(&c, &s, 4096);
        CHECK_INT(s.data[0], total);
        CHECK_INT(s.data[1], total);
        CHECK_INT(c.data[0], windows[w] > 1 ? 1000000 : c.data[0]);
        CHECK_INT(h2_streams(c.h), windows[w] > 1 ? 0 : h2_streams(c.h));
        free(body);
        ENDS_DONE();
    }
}

TEST(nothing_flows_that_was_not_consumed)
{
    BOTH_ENDS(30000, 65535);
    char *body = xcalloc(1, 200000);
    s.hold = true;
    h2_pump(&c, &s, 4096);
    for (int i = 0; i < 3; i++) h2_data(c.h, h2_open(c.h, H2_GET, false, NULL), (struct str){ body, 200000 }, true);
    h2_pump(&c, &s, 4096);
    CHECK_INT(s.data[0], 30000);
    CHECK_INT(s.data[0] + s.data[1] + s.data[2], 65535);
    h2_consume(s.h, 1, 1 << 30);                   /* no more than it got */
    h2_pump(&c, &s, 4096);
    CHECK_INT(s.data[0] + s.data[1] + s.data[2], 65535);     /* 30000 of 65535: less than half is not told */
    CHECK_INT(s.data[1], 19151);
    h2_consume(s.h, 3, 19151);
    h2_pump(&c, &s, 4096);
    CHECK_INT(s.data[0] + s.data[1] + s.data[2], 65535 + 30000 + 19151);
    free(body);
    ENDS_DONE();
}

TEST(an_end_passes_streams_that_wait_for_the_connection)
{
    BOTH_ENDS(0, 65535);
    char *body = xcalloc(1, 200000);
    s.hold = true;
    h2_pump(&c, &s, 4096);
    uint32_t a = h2_open(c.h, H2_GET, false, NULL), b = h2_open(c.h, H2_GET, false, NULL);
    h2_data(c.h, a, (struct str){ body, 200000 }, true);
    h2_pump(&c, &s, 4096);
    CHECK_INT(s.data[0], 65535);
    h2_data(c.h, b, S(""), true);
    h2_end_trace(&s);
    h2_pump(&c, &s, 4096);
    CHECK_STR(h2_end_trace(&s), S("DATA 3  end\n"));
    s.hold = false;
    h2_consume(s.h, a, 65535);
    h2_pump(&c, &s, 4096);
    CHECK_INT(s.data[0], 200000);
    free(body);
    ENDS_DONE();
}

static void reset_at_data(struct h2_end *s, const struct h2_event *ev)
{
    if (ev->type == H2_DATA) h2_reset(s->h, ev->stream, H2_CANCEL);
}

TEST(no_window_is_lost_with_a_stream)
{
    BOTH_ENDS(0, 65535);
    char *body = xcalloc(1, 40000);
    s.hold = true;
    s.on = reset_at_data;
    h2_pump(&c, &s, 4096);
    for (int i = 0; i < 50; i++) {
        h2_data(c.h, h2_open(c.h, H2_GET, false, NULL), (struct str){ body, 40000 }, true);
        h2_pump(&c, &s, 4096);
    }
    s.on = NULL;
    s.data[50 % 8] = 0;
    h2_data(c.h, h2_open(c.h, H2_GET, false, NULL), (struct str){ body, 40000 }, true);
    h2_pump(&c, &s, 4096);
    CHECK(s.data[50 % 8] >= 32767);                /* what is not told yet is less than half */
    CHECK_INT(h2_streams(c.h), 1);
    free(body);
    ENDS_DONE();
}

/* Our SETTINGS hold from their ACK on (section 6.5.3); the window of a stream that was opened before moves by the difference. */
TEST(our_smaller_window_holds_for_streams_that_are_open)
{
    static const struct { const char *frames; bool fits; } rows[] = {
        { "000004 00 00 00000001 61626364  000000 04 01 00000000  000003 00 00 00000003 616263", true },
        { "000000 04 01 00000000  000003 00 00 00000001 616263", true },
        { "000000 04 01 00000000  000004 00 00 00000001 61626364", false },
        { "000003 00 00 00000001 616263  000000 04 01 00000000  000001 00 00 00000001 61", false },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct h2_end s;
        AUTO_BUF struct buf b = { 0 };
        h2_end_behind_preface(&s, 3);
        s.hold = true;
        h2_end_feed(&s, test_hex(&b, "000000 04 00 00000000  000006 01 04 00000001 828684 410178  000006 01 04 00000003 828684 410178"), 99);
        h2_end_feed(&s, test_hex(&b, rows[i].frames), 99);
        CHECK_INT(str_find(h2_end_trace(&s), S("RESET 1 code 3")) < 0, rows[i].fits);
        h2_end_done(&s);
    }
}

TEST(what_is_consumed_in_pieces_comes_back_in_pieces)
{
    struct h2_end s;
    AUTO_BUF struct buf b = { 0 }, out = { 0 };
    h2_end_behind_preface(&s, 4);
    s.hold = true;
    h2_end_feed(&s, test_hex(&b, "000000 04 00 00000000  000000 04 01 00000000  000006 01 04 00000001 828684 410178  000004 00 00 00000001 61626364"), 99);
    h2_end_take(&s, &out);
    h2_consume(s.h, 1, 1);
    CHECK_INT(h2_end_take(&s, &out).n, 0);                       /* less than half of it is not told */
    h2_consume(s.h, 1, 2);
    CHECK_STR(h2_end_take(&s, &out), test_hex(&b, "000004 08 00 00000001 00000003"));
    h2_consume(s.h, 1, 2);                                       /* one is left */
    h2_end_feed(&s, test_hex(&b, "000003 00 00 00000001 616263"), 99);
    CHECK(str_find(h2_end_trace(&s), S("RESET")) < 0);
    h2_end_feed(&s, test_hex(&b, "000002 00 00 00000001 6161"), 99);
    CHECK(str_find(h2_end_trace(&s), S("RESET 1 code 3")) >= 0);
    h2_end_done(&s);
}

TEST(a_window_may_become_negative)
{
    struct h2_end s;
    AUTO_BUF struct buf b = { 0 }, out = { 0 };
    h2_end_behind_preface(&s, 0);
    s.on = echo_size;
    h2_end_feed(&s, test_hex(&b, "000006 04 00 00000000 0004 00000003   000006 01 05 00000001 828684 410178"), 99);
    h2_end_take(&s, &out);
    CHECK(str_ends(buf_view(&out), test_hex(&b, "000003 00 00 00000001 000000")));
    h2_end_feed(&s, test_hex(&b, "000006 04 00 00000000 0004 00000001"), 99);       /* 3 sent: the window is -2 */
    CHECK_STR(h2_end_take(&s, &out), test_hex(&b, "000000 04 01 00000000"));
    h2_end_feed(&s, test_hex(&b, "000004 08 00 00000001 00000002"), 99);
    CHECK_STR(h2_end_take(&s, &out), S(""));
    h2_end_feed(&s, test_hex(&b, "000004 08 00 00000001 00000002"), 99);
    CHECK_STR(h2_end_take(&s, &out), test_hex(&b, "000002 00 00 00000001 0000"));
    h2_end_done(&s);
}

/* A stream that has its turn may lose its window before it is asked for bytes; it goes on when it has one again. */
TEST(a_window_may_shut_before_a_turn_comes)
{
    static char bytes[40000];
    struct h2_end s;
    AUTO_BUF struct buf b = { 0 }, out = { .max = 1 << 20 };
    h2_end_behind_preface(&s, 0);
    h2_end_feed(&s, test_hex(&b, "000006 04 00 00000000 0005 00010000   000006 01 05 00000001 828684 410178"), 99);       /* and larger frames than we send */
    h2_headers(s.h, 1, H2_200, false);
    h2_consume(s.h, 1, 1000);                     /* what never came */
    h2_end_take(&s, &out);
    CHECK(h2_data(s.h, 1, (struct str){ bytes, sizeof bytes }, false) && h2_headers(s.h, 1, H2_FIELDS(H2_FLD("x-sum", "1")), true));
    h2_feed(s.h, test_hex(&b, "000006 04 00 00000000 0004 00000000"), 0);
    h2_end_drain(&s);
    CHECK_STR(h2_end_take(&s, &out), test_hex(&b, "000000 04 01 00000000"));
    CHECK_INT(h2_queued(s.h, 1), sizeof bytes);
    h2_end_feed(&s, test_hex(&b, "000004 08 00 00000001 00010000"), 99);
    CHECK(h2_end_take(&s, &out).n > sizeof bytes);
    CHECK_INT(h2_queued(s.h, 1), 0);
    h2_end_done(&s);
}

TEST(streams_take_turns)
{
    BOTH_ENDS(1 << 20, 1 << 22);
    AUTO_BUF struct buf out = { 0 }, order = { .max = 4096 };
    char *body = xcalloc(1, 100000);
    h2_pump(&c, &s, 4096);
    for (int i = 0; i < 3; i++) h2_data(c.h, h2_open(c.h, H2_GET, false, NULL), (struct str){ body, 40000 }, true);
    struct str in = h2_end_take(&c, &out);
    while (in.n >= 9) {
        const unsigned char *p = (const unsigned char *)in.p;
        size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        if (p[3] == 0) buf_fmt(&order, "%u ", p[8]);
        CHECK(n <= 16384);
        in = str_from(in, 9 + n);
    }
    CHECK_STR(buf_view(&order), S("1 3 5 1 3 5 1 3 5 "));
    free(body);
    ENDS_DONE();
}

/* The output is full while streams wait for the connection's window: all of them keep their turn. */
TEST(turns_are_kept_by_streams_that_wait_for_the_connection)
{
    static char bytes[100000];
    BOTH_ENDS(1 << 20, 65535);
    AUTO_BUF struct buf out = { .max = 1 << 20 };
    s.hold = true;
    h2_pump(&c, &s, 4096);
    uint32_t a = h2_open(c.h, H2_GET, false, NULL), b = h2_open(c.h, H2_GET, false, NULL), d = h2_open(c.h, H2_GET, false, NULL);
    CHECK(h2_data(c.h, a, (struct str){ bytes, 65535 }, false));
    h2_pump(&c, &s, 4096);                                       /* the connection's window is used up */
    for (int i = 0; i < OUT_HIGH / 17; i++) h2_ping(c.h, 1);      /* one byte less than the most */
    CHECK(h2_data(c.h, a, S("a"), false) && h2_data(c.h, b, S(""), true) && h2_data(c.h, d, S("d"), false));
    CHECK_INT(h2_pending(c.h).n, OUT_HIGH - 1 + FRAME_HEAD);     /* b's end passes a, and d isn't looked at */
    h2_sent(c.h, OUT_HIGH - 1 + FRAME_HEAD);
    CHECK_INT(h2_pending(c.h).n, 0);
    h2_consume(s.h, a, 65535);
    h2_end_feed(&c, h2_end_take(&s, &out), 4096);
    CHECK_STR(h2_end_take(&c, &out), S("\0\0\1\0\0\0\0\0\1a\0\0\1\0\0\0\0\0\5d"));
    ENDS_DONE();
}

TEST(output_that_was_large_gives_its_memory_back)
{
    BOTH_ENDS(0, 0);
    AUTO_BUF struct buf out = { 0 };
    h2_pump(&c, &s, 4096);
    for (int i = 0; i < 5 * OUT_HIGH / 17; i++) h2_ping(c.h, 1);
    CHECK(h2_pending(c.h).n > 4 * OUT_HIGH && c.h->out.cap > 4 * OUT_HIGH);
    h2_sent(c.h, 17);
    CHECK(c.h->out.cap > 4 * OUT_HIGH);
    h2_end_take(&c, &out);
    CHECK_INT(c.h->out.cap, 0);
    ENDS_DONE();
}
