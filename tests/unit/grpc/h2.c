/* SPDX-License-Identifier: Apache-2.0 */
#include "core/clock.h"
#include "grpc/h2_conn.h"
#include "tests/kit/h2_ends.h"
#include <sys/mman.h>

#define GET_SEEN " :method=GET :scheme=http :path=/x :authority=h"

/* ---- exchanges ---- */
static const char block[70000];

static void answer(struct h2_end *s, const struct h2_event *ev)
{
    if (ev->type == H2_HEADERS) {
        h2_headers(s->h, ev->stream, H2_FIELDS(H2_FLD(":status", "103")), false);
        h2_headers(s->h, ev->stream, H2_200, false);
    }
    if (!ev->end) return;
    h2_data(s->h, ev->stream, S("hel"), false);
    h2_data(s->h, ev->stream, S("lo"), false);
    h2_headers(s->h, ev->stream, H2_FIELDS(H2_FLD("grpc-status", "0"), H2_FLD("authorization", "x")), true);
}

TEST(a_request_and_its_response)
{
    BOTH_ENDS(0, 0);
    s.on = answer;
    int mark;
    h2_pump(&c, &s, 100);
    CHECK_INT(h2_open(c.h, H2_GET, false, &mark), 1);
    CHECK(h2_user(c.h, 1) == &mark);
    CHECK(h2_data(c.h, 1, S("abc"), false));
    CHECK_INT(h2_queued(c.h, 1), 0);              /* it fits: it has left for the output */
    CHECK(h2_headers(c.h, 1, H2_FIELDS(H2_FLD("x-sum", "7")), true));
    CHECK(!h2_data(c.h, 1, S("late"), false));
    h2_pump(&c, &s, 100);
    CHECK_STR(h2_end_trace(&s), S("HEADERS 1" GET_SEEN "\nDATA 1 abc\nTRAILERS 1 x-sum=7 end\nCLOSED 1\n"));
    CHECK_STR(h2_end_trace(&c), S("INFORMATIONAL 1 :status=103\nHEADERS 1 :status=200\nDATA 1 hello\nTRAILERS 1 grpc-status=0 authorization=x end\nCLOSED 1\n"));
    CHECK_INT(h2_streams(c.h) + h2_streams(s.h), 0);
    CHECK(!h2_headers(s.h, 1, H2_200, true));
    h2_ping(c.h, 0x123456789abcdef0);
    h2_pump(&c, &s, 100);
    CHECK_STR(h2_end_trace(&c), S("PONG 123456789abcdef0\n"));
    ENDS_DONE();
}

static void answer_at_once(struct h2_end *s, const struct h2_event *ev)
{
    if (ev->type == H2_HEADERS) h2_headers(s->h, ev->stream, H2_200, true);
}

TEST(every_cut_gives_the_same_events)
{
    BOTH_ENDS(0, 0);
    AUTO_BUF struct buf all = { .max = 1 << 20 }, piece = { 0 }, want = { .max = 1 << 20 };
    s.on = answer_at_once;                         /* data would leave, and streams end, when the output is taken */
    for (int i = 0; i < 4; i++) {                  /* the client's side of a conversation, recorded */
        uint32_t id = h2_open(c.h, H2_GET, i == 3, NULL);
        if (i < 3) h2_data(c.h, id, S("some bytes"), i == 1);
        if (i == 2) h2_headers(c.h, id, H2_FIELDS(H2_FLD("x", "y")), true);
        if (i == 0) h2_reset(c.h, id, H2_CANCEL);
        h2_ping(c.h, 7);
        buf_str(&all, h2_end_take(&c, &piece));
        h2_end_feed(&s, buf_view(&piece), piece.n);
        h2_end_feed(&c, h2_end_take(&s, &piece), piece.n);
    }
    buf_str(&all, test_hex(&piece, "000001 00 00 00000000 00"));              /* DATA on stream 0 */
    h2_end_feed(&s, buf_view(&piece), piece.n);
    buf_str(&want, h2_end_trace(&s));
    CHECK(str_find(buf_view(&want), S("DEAD code 1")) > 0);
    for (size_t cut = 1; cut <= all.n; cut = cut < 40 ? cut + 1 : cut * 2) {
        struct h2_end again;
        h2_end_init(&again, H2_SERVER, 0, 0);
        again.on = answer_at_once;
        struct str in = buf_view(&all);
        while (in.n) {                             /* what it sends goes to nobody, but it must get rid of it */
            size_t n = in.n < cut ? in.n : cut;
            h2_end_feed(&again, (struct str){ in.p, n }, n);
            h2_end_take(&again, &piece);
            in = str_from(in, n);
        }
        CHECK_STR(h2_end_trace(&again), buf_view(&want));
        h2_end_done(&again);
    }
    ENDS_DONE();
}

/* ---- ends and limits ---- */
TEST(numbers_of_streams_are_used_up)
{
    BOTH_ENDS(0, 0);
    h2_pump(&c, &s, 4096);
    c.h->next_local = STREAM_MAX;
    CHECK(h2_can_open(c.h));
    CHECK_INT(h2_open(c.h, H2_GET, true, NULL), STREAM_MAX);
    CHECK(!h2_can_open(c.h) && !h2_open(c.h, H2_GET, true, NULL));
    h2_end_trace(&s);
    h2_pump(&c, &s, 4096);
    CHECK_STR(h2_end_trace(&s), S("HEADERS 2147483647" GET_SEEN " end\n"));
    ENDS_DONE();
}

TEST(who_says_goaway_opens_nothing)
{
    BOTH_ENDS(0, 0);
    h2_pump(&c, &s, 4096);
    h2_goaway(c.h, H2_NO_ERROR, true);
    CHECK(!h2_can_open(c.h) && !h2_open(c.h, H2_GET, true, NULL));
    ENDS_DONE();
}

TEST(a_dead_connection_sends_no_data_that_waits)
{
    static char bytes[100000];
    struct h2_end s;
    AUTO_BUF struct buf b = { 0 }, out = { .max = 1 << 20 };
    h2_end_behind_preface(&s, 0);
    h2_end_feed(&s, test_hex(&b, "000000 04 00 00000000  000006 01 05 00000001 828684 410178"), 99);
    h2_end_take(&s, &out);
    CHECK(h2_data(s.h, 1, (struct str){ bytes, sizeof bytes }, true));
    h2_end_feed(&s, test_hex(&b, "000001 00 00 00000000 00"), 99);
    CHECK(h2_end_take(&s, &out).n < 100 && out.p[3] == FRAME_GOAWAY && h2_is_done(s.h));
    h2_end_done(&s);
}

TEST(no_event_follows_a_reset)
{
    BOTH_ENDS(0, 0);
    struct h2_event ev;
    AUTO_BUF struct buf out = { 0 };
    h2_pump(&c, &s, 4096);
    uint32_t id = h2_open(c.h, H2_GET, true, &c);
    h2_pump(&c, &s, 4096);
    h2_headers(s.h, id, H2_200, false);
    h2_data(s.h, id, S("x"), true);
    struct str in = h2_end_take(&s, &out);
    h2_feed(c.h, in, 0);
    CHECK(h2_next(c.h, &ev) && ev.type == H2_HEADERS && ev.user == &c);
    CHECK(h2_next(c.h, &ev) && ev.type == H2_DATA);
    h2_reset(c.h, id, H2_CANCEL);                  /* H2_CLOSED is queued; it must not come */
    CHECK(!h2_next(c.h, &ev));
    CHECK_INT(h2_pending(c.h).n, 0);
    ENDS_DONE();
}

TEST(goaway_lets_streams_end_and_refuses_others)
{
    BOTH_ENDS(0, 0);
    h2_pump(&c, &s, 4096);
    h2_open(c.h, H2_GET, true, NULL);
    h2_pump(&c, &s, 4096);
    h2_goaway(s.h, H2_NO_ERROR, true);
    h2_open(c.h, H2_GET, true, NULL);              /* on its way when the GOAWAY comes */
    h2_end_trace(&c);
    h2_end_trace(&s);
    h2_pump(&c, &s, 4096);
    CHECK_STR(h2_end_trace(&c), S("GOAWAY_SEEN code 0 last 1\nRESET 3 code 7 by peer\n"));
    CHECK_STR(h2_end_trace(&s), S(""));
    CHECK(!h2_can_open(c.h) && !h2_open(c.h, H2_GET, true, NULL));
    CHECK(!h2_is_done(s.h) && !h2_is_done(c.h));
    h2_headers(s.h, 1, H2_200, true);
    h2_pump(&c, &s, 4096);
    CHECK(h2_is_done(s.h) && h2_is_done(c.h));
    ENDS_DONE();
}

TEST(no_more_streams_than_the_peer_allows)
{
    struct h2_end c = { .trace = { .max = 65536 } }, s = { .trace = { .max = 65536 } };
    c.h = h2_new(&(struct h2_config){ .role = H2_CLIENT });
    s.h = h2_new(&(struct h2_config){ .role = H2_SERVER, .max_streams = 2 });
    for (int i = 0; i < 3; i++) CHECK(h2_open(c.h, H2_GET, true, NULL));     /* it has not heard of the limit yet */
    h2_pump(&c, &s, 4096);
    CHECK_STR(h2_end_trace(&c), S("RESET 5 code 7 by peer\n"));
    CHECK(!h2_can_open(c.h));
    h2_headers(s.h, 1, H2_200, true);
    h2_pump(&c, &s, 4096);
    CHECK(h2_can_open(c.h));
    ENDS_DONE();
}

static void not_found(struct h2_end *s, const struct h2_event *ev)
{
    static char etag[5000];
    memset(etag, 'a', sizeof etag);
    struct http_field v[] = { H2_FLD(":status", "404"), { S("etag"), { etag, sizeof etag } } };
    if (ev->type == H2_HEADERS) h2_headers(s->h, ev->stream, (struct http_fields){ v, LEN(v) }, true);
}

TEST(a_client_that_does_not_read_is_refused)
{
    BOTH_ENDS(0, 0);
    AUTO_BUF struct buf out = { 0 };
    s.on = not_found;
    h2_pump(&c, &s, 4096);
    size_t most = 0;
    bool dead = false;
    for (int i = 0; i < 5000 && !dead; i++) {    /* answered, never read; the client forgets its streams */
        uint32_t id = h2_open(c.h, H2_GET, true, NULL);
        h2_end_feed(&s, h2_end_take(&c, &out), 4096);
        h2_reset(c.h, id, H2_CANCEL);
        h2_sent(c.h, h2_pending(c.h).n);           /* the server isn't told */
        dead = str_find(buf_view(&s.trace), S("DEAD code 11")) >= 0;
        if (i % 100 == 0 || dead) most = h2_pending(s.h).n;
        if (!dead) buf_clear(&s.trace);
    }
    CHECK(dead);
    CHECK(most > LIMIT_H2_OUTPUT && most < LIMIT_H2_OUTPUT + 65536);
    ENDS_DONE();
}

static void large_answer(struct h2_end *e, const struct h2_event *ev)
{
    static char body[1 << 20];
    if (ev->type == H2_HEADERS && h2_headers(e->h, ev->stream, H2_200, false))
        h2_data(e->h, ev->stream, (struct str){ body, sizeof body }, true);
}

TEST(no_more_is_queued_for_a_client_that_takes_nothing_than_the_limit_and_an_answer)
{
    BOTH_ENDS(0, 0);
    size_t refused = 0, queued = 0;
    s.on = large_answer;
    c.hold = true;
    h2_pump(&c, &s, 4096);
    for (int i = 0; i < 120; i++) {
        uint32_t id = h2_open(c.h, H2_GET, false, NULL);       /* open, or its end would give the window back */
        h2_pump(&c, &s, 65536);
        queued += h2_queued(s.h, id);
        refused += str_find(h2_end_trace(&c), S("RESET")) >= 0;
        buf_clear(&c.trace);
    }
    CHECK_INT(queued, LIMIT_H2_QUEUED + (1 << 20));
    CHECK_INT(refused, 120 - 16 - 64 - 1);         /* 16 are within the connection's window */
    ENDS_DONE();
}

/* Zeros that take no memory. */
static struct str zeros(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!CHECK(p != MAP_FAILED))
        abort();
    return (struct str){ p, n };
}

TEST(input_and_queues_have_a_size)
{
    BOTH_ENDS(0, 0);
    h2_pump(&c, &s, 4096);
    CHECK_INT(h2_open(c.h, H2_GET, false, NULL), 1);
    CHECK_INT(h2_open(c.h, H2_GET, true, NULL), 3);
    CHECK(!h2_data(c.h, 1, zeros(LIMIT_H2_STREAM_QUEUE + (size_t)1), true));
    h2_pump(&c, &s, 4096);
    CHECK_STR(h2_end_trace(&c), S("RESET 1 code 2\n"));
    CHECK(!h2_is_done(c.h) && h2_can_open(c.h));
    buf_clear(&s.trace);
    h2_feed(s.h, zeros(LIMIT_H2_INPUT + (size_t)1), s.now_us);
    h2_end_drain(&s);
    CHECK(str_find(h2_end_trace(&s), S("DEAD code 2")) >= 0);
    ENDS_DONE();
}

TEST(fields_that_must_not_be_sent)
{
    BOTH_ENDS(0, 0);
    h2_pump(&c, &s, 4096);
    CHECK_INT(h2_open(c.h, H2_FIELDS(H2_FLD(":method", "GET"), H2_FLD("x", "a\r\nb")), true, NULL), 1);
    h2_end_drain(&c);
    CHECK_STR(h2_end_trace(&c), S("RESET 1 code 2\n"));
    h2_open(c.h, H2_GET, true, NULL);
    h2_pump(&c, &s, 4096);
    CHECK_STR(h2_end_trace(&s), S("HEADERS 3" GET_SEEN " end\n"));
    CHECK(!h2_headers(s.h, 3, H2_FIELDS(H2_FLD(":status", "200"), H2_FLD("X-Upper", "1")), true));
    h2_pump(&c, &s, 4096);
    CHECK_STR(h2_end_trace(&s), S("RESET 3 code 2\n"));
    CHECK_STR(h2_end_trace(&c), S("RESET 3 code 2 by peer\n"));
    ENDS_DONE();
}

TEST(many_trailers_wait_behind_data)
{
    BOTH_ENDS(0, 0);
    h2_pump(&c, &s, 4096);
    struct http_field v[100];
    for (size_t i = 0; i < LEN(v); i++) v[i] = (struct http_field){ S("x"), i % 3 ? S("some") : S("") };
    h2_open(c.h, H2_GET, true, NULL);
    h2_pump(&c, &s, 4096);
    h2_headers(s.h, 1, H2_200, false);
    h2_data(s.h, 1, (struct str){ block, sizeof block }, false);
    CHECK(h2_queued(s.h, 1) > 0 && h2_headers(s.h, 1, (struct http_fields){ v, LEN(v) }, true));
    h2_pump(&c, &s, 4096);
    struct str t = h2_end_trace(&c);
    size_t n = 0;
    for (size_t i = 0; i + 3 <= t.n; i++) n += !memcmp(t.p + i, " x=", 3);
    CHECK_INT(n, 100);
    CHECK(str_ends(t, S(" end\nCLOSED 1\n")));
    ENDS_DONE();
}

TEST(trailers_larger_than_a_header_list_may_be_don_t_wait)
{
    static char large[LIMIT_H2_HEADER_LIST];
    BOTH_ENDS(0, 0);
    memset(large, 'a', sizeof large);
    h2_pump(&c, &s, 4096);
    h2_open(c.h, H2_GET, true, NULL);
    h2_pump(&c, &s, 4096);
    h2_headers(s.h, 1, H2_200, false);
    h2_data(s.h, 1, (struct str){ block, sizeof block }, false);
    CHECK(!h2_headers(s.h, 1, (struct http_fields){ (struct http_field[]){ { S("x"), { large, sizeof large } } }, 1 }, true));
    h2_end_trace(&s);
    h2_pump(&c, &s, 4096);
    CHECK_STR(h2_end_trace(&s), S("RESET 1 code 2\n"));
    ENDS_DONE();
}

/* ---- floods ---- */
/* Feeds the frames again and again; SSSSSSSS stands for the next stream's number. False once it was too much. */
static bool endures(const char *frames, size_t times, int64_t pause_us, bool reads)
{
    struct h2_end s;
    AUTO_BUF struct buf text = { .max = 65536 }, b = { 0 }, out = { 0 };
    h2_end_behind_preface(&s, 0);
    h2_end_feed(&s, test_hex(&b, "000000 04 00 00000000  000000 04 01 00000000  000006 01 04 00000001 828684 410178"), 99);
    for (unsigned i = 0; i < times; i++) {
        buf_clear(&text);
        for (const char *p = frames; *p; p++) {
            if (*p != 'S') buf_byte(&text, *p);
            else buf_fmt(&text, "%08x", 2 * i + 3), p += 7;
        }
        h2_end_feed(&s, test_hex(&b, text.p), 999);
        s.now_us += pause_us;
        if (reads) h2_end_take(&s, &out);
    }
    struct str trace = h2_end_trace(&s);
    bool dead = str_find(trace, S("DEAD")) >= 0;
    CHECK(!dead || str_find(trace, S("DEAD code 11")) >= 0);
    h2_end_done(&s);
    return !dead;
}

TEST(floods_spend_a_budget_that_refills)
{
    static const char *const floods[] = {
        "000006 01 04 SSSSSSSS 828684 410178   000004 03 00 SSSSSSSS 00000008",     /* rapid reset */
        "000003 01 05 SSSSSSSS 828682",                                             /* opened and malformed at once */
        "000000 00 00 00000001",                                                    /* empty DATA */
        "000001 00 08 00000001 00",                                                 /* nothing but padding */
        "000000 04 00 00000000",                                                    /* SETTINGS */
        "000005 02 00 00000001 00000000 10",                                        /* PRIORITY */
        "000000 77 00 00000001",                                                    /* unknown */
    };
    for (size_t i = 0; i < LEN(floods); i++) {
        if (!CHECK(endures(floods[i], 990, 0, true)) || !CHECK(!endures(floods[i], 1010, 0, true)) ||
            !CHECK(endures(floods[i], 3000, 31000, true)))
            test_check(false, __FILE__, __LINE__, floods[i]);
    }
}

/* What comes without end and says nothing. */
TEST(answers_that_are_none_and_empty_continuations_spend_a_budget)
{
    static const struct { enum h2_role role; const char *first, *again; } rows[] = {
        { H2_CLIENT, "", "000005 01 04 00000001 08 03 313033" },
        { H2_CLIENT, "", "000008 07 00 00000000 7fffffff 00000000" },
        { H2_SERVER, "000003 01 01 00000001 828684", "000000 09 00 00000001" },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct h2_end e;
        AUTO_BUF struct buf b = { 0 }, out = { .max = 1 << 20 };
        h2_end_init(&e, rows[i].role, 0, 0);
        if (rows[i].role == H2_CLIENT)
            h2_open(e.h, H2_GET, true, NULL);
        else
            h2_end_feed(&e, S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 99);
        h2_end_feed(&e, test_hex(&b, "000000 04 00 00000000"), 99);
        h2_end_feed(&e, test_hex(&b, rows[i].first), 99);
        struct str again = test_hex(&b, rows[i].again);
        int n = 0;
        while (n < 100000 && !h2_is_done(e.h)) {
            h2_end_feed(&e, again, 99);
            h2_end_take(&e, &out);
            n++;
        }
        CHECK(n > 10 && n < 100000);
        h2_end_done(&e);
    }
}

/* An answer to a stream that is over is decoded for the table's sake: a few bytes that name a large field again and again. */
TEST(large_lists_that_nobody_waits_for_spend_a_budget)
{
    static const struct { int indexed; bool endless; } rows[] = { { 0, true }, { 1, true }, { 2, false }, { 60, false } };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct h2_end e;
        AUTO_BUF struct buf text = { .max = 1 << 16 }, b = { 0 }, out = { .max = 1 << 20 };
        h2_end_init(&e, H2_CLIENT, 0, 0);
        h2_open(e.h, H2_GET, true, NULL);
        h2_end_feed(&e, test_hex(&b, "000000 04 00 00000000"), 99);
        enum { VALUE = 4000 };
        buf_fmt(&text, "%06x 01 05 00000001 88 40 01 78 7f %02x %02x", 1 + 3 + 3 + VALUE, ((VALUE - 127) & 127) | 128, (VALUE - 127) >> 7);
        for (int n = 0; n < VALUE; n++)
            buf_lit(&text, "61");
        h2_end_feed(&e, test_hex(&b, text.p), 1 << 16);
        CHECK_INT(h2_streams(e.h), 0);
        buf_clear(&text);
        buf_fmt(&text, "%06x 01 05 00000001 88", 1 + rows[i].indexed);
        for (int n = 0; n < rows[i].indexed; n++)
            buf_lit(&text, "be");
        struct str again = test_hex(&b, text.p);
        int n = 0;
        for (; n < 3000 && !h2_is_done(e.h); n++) {
            h2_end_feed(&e, again, 99);
            h2_end_take(&e, &out);
        }
        CHECK(rows[i].endless ? n == 3000 : n > 900 && n < 1100);
        h2_end_done(&e);
    }
}

TEST(pings_cost_nothing_but_their_unread_answers)
{
    CHECK(endures("000008 06 00 00000000 0102030405060708", 20000, 0, true));
    CHECK(!endures("000008 06 00 00000000 0102030405060708", LIMIT_H2_CONTROL / 17 + 100, 0, false));
    CHECK(endures("000008 06 01 00000000 0102030405060708", 20000, 0, false));
}

static void reset_at_head(struct h2_end *s, const struct h2_event *ev)
{
    if (ev->type == H2_HEADERS) h2_reset(s->h, ev->stream, H2_NO_ERROR);
}

TEST(what_crosses_a_reset_costs_nothing)
{
    BOTH_ENDS(0, 0);
    char *body = xcalloc(1, 1000);
    h2_pump(&c, &s, 4096);
    s.on = reset_at_head;
    for (int i = 0; i < 100; i++) {                /* the server resets them while 20 frames each are on their way */
        uint32_t id = h2_open(c.h, H2_GET, false, NULL);
        AUTO_BUF struct buf all = { .max = 1 << 20 }, piece = { 0 };
        for (int k = 0; k < 20; k++) {
            h2_data(c.h, id, (struct str){ body, 1000 }, false);
            buf_str(&all, h2_end_take(&c, &piece));
        }
        h2_end_feed(&s, buf_view(&all), 4096);
        h2_pump(&c, &s, 4096);
    }
    s.on = NULL;
    for (int i = 0; i < 300; i++) {                /* the client gives calls up that the server answers all the same */
        uint32_t id = h2_open(c.h, H2_GET, true, NULL);
        AUTO_BUF struct buf out = { 0 };
        h2_end_feed(&s, h2_end_take(&c, &out), 4096);
        h2_headers(s.h, id, H2_200, false);
        h2_data(s.h, id, (struct str){ body, 1000 }, false);
        h2_headers(s.h, id, H2_FIELDS(H2_FLD("grpc-status", "0")), true);
        h2_reset(c.h, id, H2_CANCEL);
        s.now_us += 31000;
    }
    h2_pump(&c, &s, 4096);
    CHECK(str_find(h2_end_trace(&c), S("DEAD")) < 0);
    CHECK(str_find(h2_end_trace(&s), S("DEAD")) < 0);
    CHECK_INT(h2_streams(c.h) + h2_streams(s.h), 0);
    free(body);
    ENDS_DONE();
}

/* ---- at random ---- */
struct walk { struct rnd r; size_t sent[2], got[2], open; bool resets; };
static struct walk walk;

static void on_walk(struct h2_end *e, const struct h2_event *ev, int side)
{
    if (ev->type == H2_DATA) walk.got[side] += ev->data.n;
    if (ev->type == H2_DATA && e->hold) h2_consume(e->h, ev->stream, rnd_below(&walk.r, 2) ? ev->data.n : ev->data.n / 2);
    if (side == 1 && ev->type == H2_HEADERS) h2_headers(e->h, ev->stream, H2_200, false);
    if (side == 1 && ev->type == H2_HEADERS) h2_set_user(e->h, ev->stream, e);
    if (ev->type == H2_CLOSED || ev->type == H2_RESET) walk.open -= side == 0;
    CHECK(ev->type != H2_DEAD);
}
static void on_client(struct h2_end *e, const struct h2_event *ev) { on_walk(e, ev, 0); }
static void on_server(struct h2_end *e, const struct h2_event *ev) { on_walk(e, ev, 1); }

/* Something on one of the streams 1 … 2n-1. */
static void step(struct h2_end *e, int side, uint32_t last)
{
    uint32_t id = 2 * (uint32_t)rnd_below(&walk.r, (last + 1) / 2) + 1;
    size_t n = rnd_below(&walk.r, 4) ? rnd_below(&walk.r, 300) : rnd_below(&walk.r, sizeof block);
    switch (rnd_below(&walk.r, 12)) {
    case 0: h2_headers(e->h, id, H2_FIELDS(H2_FLD("x-a", "b"), { S("x-b"), { "aaaaaaaaaaaaaaaaaaaaaaaa", n % 24 } }), true); break;
    case 1: if (!walk.resets) break;
            walk.open -= side == 0 && h2_user(e->h, id);
            h2_reset(e->h, id, H2_CANCEL); break;
    case 2: h2_ping(e->h, id); break;
    default: if (h2_data(e->h, id, (struct str){ block, n }, n % 16 == 0)) walk.sent[side] += n;
    }
}

static void walk_once(uint64_t seed, bool resets)
{
    walk = (struct walk){ .resets = resets };
    rnd_seed(&walk.r, seed);
    BOTH_ENDS((uint32_t)(1 + rnd_below(&walk.r, 100000)), (uint32_t)rnd_below(&walk.r, 200000));
    AUTO_BUF struct buf out = { 0 };
    c.on = on_client;
    s.on = on_server;
    h2_pump(&c, &s, 1 << 16);
    uint32_t last = 0;
    for (int i = 0; i < 300; i++) {
        if (!rnd_below(&walk.r, 4) && h2_can_open(c.h)) {
            last = h2_open(c.h, H2_GET, false, &c);
            walk.open++;
        }
        int side = (int)rnd_below(&walk.r, 2);
        if (last) step(side ? &s : &c, side, last);
        struct h2_end *from = rnd_below(&walk.r, 2) ? &c : &s;
        h2_end_feed(from == &c ? &s : &c, h2_end_take(from, &out), 1 + rnd_below(&walk.r, 20000));
        c.now_us = s.now_us += 40000;
    }
    for (uint32_t id = 1; id <= last; id += 2) h2_data(c.h, id, S(""), true);
    h2_pump(&c, &s, 1 << 16);                      /* requests that were on their way are there now */
    for (uint32_t id = 1; id <= last; id += 2) h2_data(s.h, id, S(""), true);
    h2_pump(&c, &s, 1 << 16);
    CHECK_INT(h2_streams(c.h) + h2_streams(s.h), 0);
    CHECK_INT(walk.open, 0);
    CHECK(str_find(h2_end_trace(&c), S("DEAD")) < 0);
    CHECK(str_find(h2_end_trace(&s), S("DEAD")) < 0);
    ENDS_DONE();
}

TEST(walks_at_random_end_with_all_delivered)
{
    for (uint64_t i = 0; i < 30; i++) {
        walk_once(test_seed() + i, false);
        CHECK_INT(walk.got[0] + walk.got[1], walk.sent[0] + walk.sent[1]);
        walk_once(test_seed() + 1000 + i, true);
        CHECK(walk.got[0] + walk.got[1] <= walk.sent[0] + walk.sent[1]);
    }
}

TEST(changed_bytes_do_no_harm)
{
    AUTO_BUF struct buf all = { .max = 1 << 20 }, piece = { 0 }, copy = { .max = 1 << 20 };
    BOTH_ENDS(0, 0);
    s.on = answer;
    for (int i = 0; i < 8; i++) {
        uint32_t id = h2_open(c.h, H2_GET, i % 2, NULL);
        h2_data(c.h, id, (struct str){ block, 100 }, false);
        h2_headers(c.h, id, H2_FIELDS(H2_FLD("some", "trailer")), true);
        h2_ping(c.h, 1);
        buf_str(&all, h2_end_take(&c, &piece));
    }
    struct rnd r;
    rnd_seed(&r, test_seed());
    for (int i = 0; i < 1500; i++) {
        struct h2_end e;
        buf_clear(&copy);
        buf_str(&copy, buf_view(&all));
        for (uint64_t k = rnd_below(&r, 6) + 1; k; k--) copy.p[24 + rnd_below(&r, copy.n - 24)] = (char)rnd_u64(&r);
        h2_end_init(&e, H2_SERVER, 0, 0);
        e.on = answer;
        h2_end_feed(&e, buf_view(&copy), 1 + rnd_below(&r, 700));
        h2_end_take(&e, &piece);
        CHECK(piece.n < 1 << 16);
        h2_end_done(&e);
    }
    ENDS_DONE();
}

/* ---- frames of one block, and calls that come too late ---- */
/* Types of the frames, one letter each: H for HEADERS, C for CONTINUATION, the last of a block in upper case. */
static void put_types(struct buf *b, struct str frames)
{
    while (frames.n >= 9) {
        const unsigned char *p = (const unsigned char *)frames.p;
        if (p[3] == 1 || p[3] == 9) buf_byte(b, (char)((p[3] == 1 ? 'h' : 'c') - (p[4] & 4 ? 32 : 0)));
        frames = str_from(frames, 9 + ((size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2]));
    }
}

TEST(a_block_larger_than_a_frame_is_continued)
{
    static char big[40000];
    BOTH_ENDS(0, 0);
    AUTO_BUF struct buf out = { 0 }, types = { .max = 64 };
    memset(big, '~', sizeof big);
    h2_pump(&c, &s, 4096);
    h2_end_trace(&s);
    CHECK_INT(h2_open(c.h, H2_FIELDS(H2_FLD(":method", "HEAD"), H2_FLD(":scheme", "http"), H2_FLD(":path", "/x"), { S("x"), { big, sizeof big } }), true, NULL), 1);
    struct str frames = h2_end_take(&c, &out);
    put_types(&types, frames);
    CHECK_STR(buf_view(&types), S("hcC"));
    h2_end_feed(&s, frames, 1000);
    CHECK(str_starts(h2_end_trace(&s), S("HEADERS 1 :method=HEAD :scheme=http :path=/x x=~~~~")));
    h2_headers(s.h, 1, H2_FIELDS(H2_FLD(":status", "200"), { S("y"), { big, 16000 } }), true);
    h2_pump(&c, &s, 4096);
    CHECK(str_starts(h2_end_trace(&c), S("HEADERS 1 :status=200 y=~~~~")));
    ENDS_DONE();
}

TEST(what_is_said_too_late_is_without_effect)
{
    BOTH_ENDS(0, 0);
    AUTO_BUF struct buf out = { 0 };
    h2_pump(&c, &s, 4096);
    h2_open(c.h, H2_GET, true, NULL);
    h2_open(c.h, H2_GET, false, NULL);
    h2_pump(&c, &s, 4096);
    CHECK(h2_headers(s.h, 1, H2_200, false) && h2_data(s.h, 1, S("x"), true));
    CHECK(!h2_headers(s.h, 1, H2_200, true) && !h2_data(s.h, 1, S("y"), true));          /* it has ended */
    CHECK(!h2_headers(s.h, 9, H2_200, true) && !h2_data(s.h, 9, S("y"), true));          /* never was */
    CHECK(!h2_queued(s.h, 9) && !h2_moved(s.h, 9) && !h2_has_ended(s.h, 9) && !h2_user(s.h, 9));
    static char large[200000];                                                           /* more than the window: its end waits */
    CHECK(h2_headers(s.h, 3, H2_200, false) && h2_data(s.h, 3, (struct str){ large, sizeof large }, true));
    CHECK(!h2_headers(s.h, 3, H2_FIELDS(H2_FLD("x", "y")), true) && !h2_data(s.h, 3, S("y"), false));
    CHECK(h2_queued(s.h, 3) > 0);
    h2_goaway(s.h, H2_NO_ERROR, false);
    h2_goaway(s.h, H2_NO_ERROR, true);
    h2_goaway(s.h, H2_NO_ERROR, true);
    h2_pump(&c, &s, 4096);
    CHECK(!h2_can_open(c.h) && !h2_open(c.h, H2_GET, true, NULL));
    h2_end_feed(&c, S("\0\0\1\0\0\0\0\0\0x"), 99);                                       /* DATA without a stream */
    h2_end_take(&c, &out);
    CHECK(h2_is_done(c.h) && !h2_can_open(c.h) && !h2_open(c.h, H2_GET, true, NULL));
    CHECK(!h2_headers(c.h, 3, H2_200, true) && !h2_data(c.h, 3, S("x"), true));
    h2_consume(c.h, 3, 1);
    h2_reset(c.h, 3, H2_CANCEL);
    h2_ping(c.h, 1);
    h2_goaway(c.h, H2_NO_ERROR, true);
    h2_end_feed(&c, S("more"), 99);
    CHECK_INT(h2_end_take(&c, &out).n, 0);
    ENDS_DONE();
}

TEST(fields_of_a_connection_or_without_a_name_are_not_sent)
{
    static const struct http_field wrong[] = { H2_FLD("connection", "close"), H2_FLD("", "x"), H2_FLD(":", "x"), H2_FLD("te", "gzip"), H2_FLD("x", "a\x7f"),
                                              H2_FLD(":path", "/a b"), H2_FLD(":method", "GET ") };
    BOTH_ENDS(0, 0);
    h2_pump(&c, &s, 4096);
    for (size_t i = 0; i < LEN(wrong); i++) {
        CHECK(h2_open(c.h, (struct http_fields){ &wrong[i], 1 }, true, NULL) > 0);
        h2_end_drain(&c);
        CHECK(str_ends(h2_end_trace(&c), S(" code 2\n")));
    }
    h2_pump(&c, &s, 4096);
    CHECK_STR(h2_end_trace(&s), S(""));
    ENDS_DONE();
}

TEST(more_input_than_is_kept_ends_a_connection)
{
    struct h2_end s;
    AUTO_FREE char *much = xcalloc(1, LIMIT_H2_INPUT + 1);
    h2_end_init(&s, H2_SERVER, 0, 0);
    h2_feed(s.h, (struct str){ much, LIMIT_H2_INPUT + 1 }, 0);
    h2_end_drain(&s);
    CHECK(str_find(h2_end_trace(&s), S("DEAD")) >= 0);
    h2_end_done(&s);
}
