/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server: answers that wait for their peer, requests that do not go on, what comes behind the last answer, and its end. */
#include "tests/kit/http_ends.h"
#include "tests/kit/test.h"
#include <stdio.h>

#define NONE ((struct http_fields){ 0 })
enum { MINUTE_US = 60000000 };

static void held(struct served *x)
{
    for (int n = 0; n < 60000 && !x->held && !x->over; n++)
        here_run(&x->h, 1000);
    if (!CHECK(x->held))
        abort();
}
static void respond(struct served *x, const char *text)
{
    held(x);
    hreq_respond(x->held, 200, NONE, str_of(text));
    here_turn(&x->h);
}

/* ---- HTTP/1.1: what waits, and what is held back --------------------------------------------------------------------------- */

/* More than half of what may wait does, and more is in the socket: nobody turns in circles over it, and all of it is answered. */
TEST(a_pipeline_that_is_full_waits_quietly)
{
    enum { N = 400, EACH = 1024 };
    static char all[N * EACH + 1];
    struct served x;
    for (int i = 0; i < N; i++)
        snprintf(all + (size_t)i * EACH, EACH + 1, "GET /end/hold HTTP/1.1\r\nhost: h\r\nx-a: %*s\r\n\r\n", EACH - 42, "a");
    CHECK_INT(strlen(all), N * EACH);
    served_begin(&x, NULL, true);
    size_t sent = 0;
    for (int i = 0; i < N; i++) {
        for (int n = 0; n < 50 && sent < N * EACH; n++) {
            ptrdiff_t took = link_write(x.l, all + sent, N * EACH - sent);
            sent += took > 0 ? (size_t)took : 0;
            if (took <= 0 || x.ends)
                break;
            here_run(&x.h, 1000);
        }
        held(&x);
        if (i == 1) {
            here_run(&x.h, 1000);
            uint64_t before = loop_wakeups(x.h.loop);
            here_run(&x.h, 50000);
            CHECK(loop_wakeups(x.h.loop) - before < 20);
        }
        CHECK_INT(x.ends, i + 1);
        respond(&x, "held");
    }
    CHECK(sent == N * EACH && !x.over);
    served_end(&x);
}

/* A request may end while its user holds it back: the next one is read all the same. */
TEST(a_request_that_ends_while_it_is_held_back_leaves_its_connection_to_the_next)
{
    struct served x;
    served_begin(&x, NULL, true);
    for (int i = 1; i <= 3; i++) {
        served_say(&x, "POST /data/pause/end/respond HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nfew");
        served_until(&x, &x.gone, i);
    }
    CHECK(served_hears(&x, "early") && !x.over);
    served_end(&x);
}

/* Bytes behind the head that upgrades are raw, also where it had waited for its turn. */
TEST(an_upgrade_in_a_pipeline_keeps_what_follows_it)
{
    struct served x;
    served_begin(&x, NULL, true);
    served_say(&x, "GET /end/hold HTTP/1.1\r\nhost: h\r\n\r\nGET /begin/upgrade/data/piece HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nraw");
    respond(&x, "held");
    CHECK(served_hears(&x, "\r\n\r\npiece") && !x.over);
    served_end(&x);
}

/* A request that comes while one before it waits, in a piece of its own; the second of them breaks. */
TEST(what_follows_a_request_that_waits_is_read_in_its_turn)
{
    static const struct { const char *next, *hear; } rows[] = {
        { "GET /end/respond HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", "early" },
        { "POST /begin/reset HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nfew", "" },
        { "POST /begin/none HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400" },
        { "NONSENSE\r\n\r\n", "HTTP/1.1 400" },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct served x;
        served_begin(&x, NULL, true);
        served_say(&x, "GET /end/hold HTTP/1.1\r\nhost: h\r\n\r\n");
        held(&x);
        served_say(&x, rows[i].next);
        here_run(&x.h, 5000);
        CHECK(!x.in.n && x.ends == 1);
        respond(&x, "first");
        here_until(&x.h, &x.over);
        CHECK(str_find(buf_view(&x.in), S("first")) > 0 || !rows[i].hear[0]);
        CHECK(str_find(buf_view(&x.in), str_of(rows[i].hear)) >= 0);
        served_end(&x);
    }
}

/* ---- HTTP/1.1: the last answer ----------------------------------------------------------------------------------------------- */

/* It is on its way, and what the peer says meanwhile is neither a request nor the user's. */
TEST(nothing_is_heard_behind_the_last_answer)
{
    static const char *const first[] = {
        "GET /end/vast HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n",
        "GET /begin/upgrade/begin/vast HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        "GET /begin/upgrade/begin/vast HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nraw",
    };
    for (size_t i = 0; i < LEN(first); i++) {
        struct served x;
        served_begin(&x, NULL, true);
        link_pause_read(x.l, true);
        served_say(&x, first[i]);
        served_until(&x, &x.gone, 1);
        served_say(&x, "GET /end/respond HTTP/1.1\r\nhost: h\r\n\r\n");
        here_run(&x.h, 20000);
        CHECK(!x.over && x.got == 0);
        link_pause_read(x.l, false);
        here_until(&x.h, &x.over);
        CHECK(x.got > SERVED_VAST && x.got < SERVED_VAST + 300 && x.gone == 1);
        served_end(&x);
    }
}

/* What would not arrive as it was said is not said at all: the connection ends, or the stream. */
TEST(an_answer_that_can_not_be_written_is_not_cut)
{
    static const char *const whats[] = { "/end/unsendable", "/end/trailer" };
    for (size_t i = 0; i < LEN(whats); i++)
        for (int h2 = 0; h2 < 2; h2++) {
            struct served x;
            char text[128];
            served_begin(&x, h2 ? SERVED_H2 : NULL, true);
            if (h2) {
                served_open(&x, "GET", whats[i], true);
            } else {
                snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nhost: h\r\n\r\n", whats[i]);
                served_say(&x, text);
            }
            here_until(&x.h, &x.over);
            served_until(&x, &x.gone, 1);
            CHECK(str_find(buf_view(&x.in), S("x-b")) < 0 && (h2 ? x.resets == 1 : x.in.n == 0));
            served_end(&x);
        }
}

/* What is under way may end, its body included; it ends the connection then, and so it says. */
TEST(a_request_whose_body_still_comes_may_end_while_its_server_drains)
{
    static const struct { const char *head, *hear; } rows[] = {
        { "POST /collect HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n", "connection: close\r\n\r\nfew" },
        { "POST /begin/hold HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n", "connection: close\r\n\r\nheld" },
        { "POST /begin/start/end/finish HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n", "\r\n\r\n0\r\n\r\n" },
        { "POST /begin/upgrade/data/piece HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: x\r\ncontent-length: 3\r\n\r\n", "\r\n\r\npiece" },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct served x;
        served_begin(&x, NULL, true);
        served_say(&x, rows[i].head);
        while (httpd_is_idle(x.d) && !x.over)
            here_run(&x.h, 1000);
        httpd_drain(x.d, loop_now_us(x.h.loop) + 300000000);
        served_say(&x, "few");
        if (x.held) {
            served_until(&x, &x.ends, 1);
            respond(&x, "held");
        }
        CHECK(served_hears(&x, rows[i].hear));
        if (i != 3)
            here_until(&x.h, &x.over);
        served_end(&x);
    }
}

/* A stream of answers that was begun as one of many ends its connection all the same. */
TEST(an_answer_that_was_begun_before_its_server_drains_ends_the_connection)
{
    struct served x;
    served_begin(&x, NULL, true);
    served_say(&x, "GET /end/piece/end/hold HTTP/1.1\r\nhost: h\r\n\r\n");
    CHECK(served_hears(&x, "piece"));
    httpd_drain(x.d, loop_now_us(x.h.loop) + 300000000);
    held(&x);
    hreq_finish(x.held, NONE);
    here_until(&x.h, &x.over);
    CHECK(str_find(buf_view(&x.in), S("\r\n0\r\n\r\n")) > 0);
    served_end(&x);
}

/* A user who has enough need not wait for the rest. */
TEST(a_request_is_given_up_while_more_of_it_is_there)
{
    static char body[300000];
    struct served x;
    served_begin(&x, NULL, true);
    served_say(&x, "POST /data/reset HTTP/1.1\r\nhost: h\r\ncontent-length: 300000\r\n\r\n");
    for (size_t at = 0; at < sizeof body && !x.over;) {
        ptrdiff_t n = link_write(x.l, body + at, sizeof body - at);
        at += n > 0 ? (size_t)n : 0;
        if (n < 0)
            break;
        here_run(&x.h, n ? 0 : 1000);
    }
    served_until(&x, &x.gone, 1);
    here_until(&x.h, &x.over);
    CHECK(!x.in.n && !x.ends);
    served_end(&x);
}

/* Writes `all` bytes, unless the connection breaks before; how many were taken. */
static size_t pour(struct served *x, size_t all)
{
    static char body[65536];
    size_t at = 0;
    for (ptrdiff_t n = 0; n >= 0 && at < all; at += n > 0 ? (size_t)n : 0) {
        n = link_write(x->l, body, all - at < sizeof body ? all - at : sizeof body);
        here_run(&x->h, n ? 0 : 1000);
    }
    return at;
}

#define POST_VAST "POST /begin/respond HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000000\r\n\r\n"
#define UPGRADE "GET /begin/upgrade/data/piece/data/finish HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
/* Who sends what is not wanted, a body or raw bytes, is not told that his connection was reset, but the answer; within limits of time
 * and bytes. */
TEST(an_early_answer_is_heard_by_who_still_sends)
{
    static const struct { const char *say, *head, *end; size_t more; int64_t later_us; bool cut; } rows[] = {
        { POST_VAST, "HTTP/1.1 200", "\r\n\r\nearly", 1 << 20, 4000000, false },
        { POST_VAST, "HTTP/1.1 200", "\r\n\r\nearly", 1 << 20, 5000001, true },
        { POST_VAST, "HTTP/1.1 200", "\r\n\r\nearly", 2 * (size_t)LIMIT_HTTP_LINGER, 0, true },
        { UPGRADE, "HTTP/1.1 101", "\r\n\r\npiece", 1 << 20, 4000000, false },
        { UPGRADE, "HTTP/1.1 101", "\r\n\r\npiece", 1 << 20, 5000001, true },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct served x;
        served_begin(&x, NULL, true);
        served_say(&x, rows[i].say);
        CHECK_INT(pour(&x, LIMIT_HTTP_LINGER / 4 * 3), LIMIT_HTTP_LINGER / 4 * 3);
        here_until(&x.h, &x.over);
        CHECK(x.gone == 1 && str_find(buf_view(&x.in), str_of(rows[i].head)) == 0 && str_find(buf_view(&x.in), str_of(rows[i].end)) > 0);
        here_skip(&x.h, rows[i].later_us);
        here_run(&x.h, 20000);
        if (!CHECK_INT(pour(&x, rows[i].more) < rows[i].more, rows[i].cut))
            printf("    row %zu\n", i);
        served_end(&x);
    }
}

/* ---- HTTP/2: what waits for its peer ------------------------------------------------------------------------------------------ */

static void data(struct served *x, const char *text, bool end)
{
    h2_data(x->h2, x->stream, str_of(text), end);
    served_send(x);
}
static void answered(struct served *x)
{
    for (int n = 0; n < 60000 && !x->status && !x->over; n++)
        here_run(&x->h, 1000);
    CHECK(x->status);
}

/* The answer is there before its request is whole, and the window is shut: it waits, whatever comes of the request meanwhile. Then the
 * request is asked to end, where it has not. */
TEST(an_early_answer_waits_for_its_window)
{
    static const struct { const char *path; int status; size_t n; } rows[] = { { "/collect", 413, 30 }, { "/begin/respond", 200, 5 }, { "/data/respond", 200, 5 } };
    for (size_t i = 0; i < LEN(rows); i++)
        for (int ends = 0; ends < 2; ends++) {
            struct served x;
            served_begin(&x, &(struct h2_config){ .role = H2_CLIENT, .stream_window = 2 }, true);
            served_open(&x, "POST", rows[i].path, false);
            data(&x, "more than eight bytes", false);
            answered(&x);
            data(&x, "and more", false);
            if (ends)
                data(&x, "", true);
            here_run(&x.h, 5000);
            CHECK(x.status == rows[i].status && x.got == 2 && !x.gone && !x.resets);
            x.takes = true;
            h2_consume(x.h2, x.stream, x.got);
            served_until(&x, &x.gone, 1);
            here_until(&x.h, &x.over);
            CHECK(x.got == rows[i].n && (ends || x.code == H2_NO_ERROR));
            served_end(&x);
        }
}

/* A request may end in a frame behind the one that was answered; and who asks it to end does so behind the answer's own end. */
TEST(an_early_answer_is_whole_before_its_request_is_given_up)
{
    static const struct { const char *path; size_t n; } rows[] = { { "/data/piece/data/stream", 100005 }, { "/begin/piece/begin/stream", 100005 }, { "/begin/piece/begin/finish", 5 },
                                                                   { "/begin/start/begin/finish", 0 }, { "/begin/respond", 5 } };
    for (size_t i = 0; i < LEN(rows); i++)
        for (int ends = 0; ends < 2; ends++) {
            struct served x;
            served_begin(&x, SERVED_H2, true);
            x.takes = true;
            served_open(&x, "POST", rows[i].path, false);
            h2_data(x.h2, x.stream, S("few"), false);
            if (ends)
                h2_data(x.h2, x.stream, S(""), true);
            served_send(&x);
            served_until(&x, &x.gone, 1);
            served_until(&x, ends ? &x.whole : &x.resets, 1);
            if (!CHECK(x.whole == 1 && x.got == rows[i].n && x.code == H2_NO_ERROR))
                printf("    %s, %d whole, %zu bytes, code %d\n", rows[i].path, x.whole, x.got, (int)x.code);
            served_end(&x);
        }
}

/* RFC 9110 section 9.3.2: the head is all of it, however the user answers. */
TEST(an_answer_to_head_has_no_body_over_http2_either)
{
    static const char *const paths[] = { "/end/respond", "/end/stream", "/end/piece/end/finish", "/end/start/end/trailer", "/begin/piece/begin/finish" };
    for (size_t i = 0; i < LEN(paths); i++)
        for (int ends = 0; ends < 2; ends++) {
            struct served x;
            served_begin(&x, SERVED_H2, true);
            served_open(&x, "HEAD", paths[i], ends);
            if (!ends)
                data(&x, "", true);
            served_until(&x, &x.gone, 1);
            served_until(&x, &x.whole, 1);
            if (!CHECK(x.status == 200 && !x.got && x.code == H2_NO_ERROR))
                printf("    %s, %d, %zu bytes, code %d\n", paths[i], (int)x.status, x.got, (int)x.code);
            served_end(&x);
        }
}

/* RFC 9110 section 10.1.1 knows no version that may leave a client waiting for it. */
TEST(who_waits_for_a_100_hears_it_over_http2_too)
{
    static const struct { const char *path, *expect, *length; bool end; int informed, status; } rows[] = {
        { "/collect", "100-continue", "3", false, 1, 200 },
        { "/collect", "100-Continue", "3", false, 1, 200 },
        { "/collect", "miracles", "3", false, 0, 200 },
        { "/collect", "100-continue", "0", true, 0, 200 },             /* there is nothing to wait with */
        { "/collect", "100-continue", "9", false, 0, 413 },            /* who asks need not send it */
        { "/begin/respond", "100-continue", "3", false, 0, 200 },
        { "/begin/reset", "100-continue", "3", false, 0, 0 },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct served x;
        served_begin(&x, SERVED_H2, true);
        struct http_field f[] = { { S(":method"), S("POST") }, { S(":scheme"), S("http") }, { S(":path"), str_of(rows[i].path) }, { S(":authority"), S("h") },
                                  { S("expect"), str_of(rows[i].expect) }, { S("content-length"), str_of(rows[i].length) } };
        x.stream = h2_open(x.h2, (struct http_fields){ f, LEN(f) }, rows[i].end, NULL);
        served_send(&x);
        if (rows[i].informed)
            served_until(&x, &x.informed, 1);
        else
            here_run(&x.h, 2000);
        if (!x.over)
            data(&x, "abc", true);
        served_until(&x, &x.gone, 1);
        here_until(&x.h, &x.over);
        if (!CHECK_INT(x.informed, rows[i].informed) | !CHECK_INT(x.status, rows[i].status))
            printf("    row %zu\n", i);
        served_end(&x);
    }
}

/* Who has begun to answer decides himself how long the rest of the request may take. */
TEST(a_body_that_is_answered_already_may_take_its_time)
{
    for (int h2 = 0; h2 < 2; h2++) {
        struct served x;
        served_begin(&x, h2 ? SERVED_H2 : NULL, true);
        if (h2)
            served_open(&x, "POST", "/collect/8/begin/start", false);
        else
            served_say(&x, "POST /collect/8/begin/start HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n");
        for (int n = 0; n < 60000 && !(h2 ? x.status == 200 : x.in.n); n++)
            here_run(&x.h, 1000);
        here_skip(&x.h, 2 * MINUTE_US);
        here_run(&x.h, 20000);
        CHECK(!x.over && !x.gone);
        served_end(&x);
    }
}

/* Of uploads and downloads on one connection those end that have not moved for a minute, and no others. */
TEST(each_exchange_has_a_minute_of_its_own)
{
    struct served x;
    served_begin(&x, &(struct h2_config){ .role = H2_CLIENT, .stream_window = 100 }, true);
    for (int i = 0; i < 2; i++) {
        served_open(&x, "POST", "/collect", false);
        served_open(&x, "GET", "/end/stream", true);
        served_until(&x, &x.ends, i + 1);
        here_skip(&x.h, MINUTE_US / 2 + i);
    }
    here_run(&x.h, 20000);                        /* the first two are due now */
    served_until(&x, &x.gone, 2);
    here_run(&x.h, 20000);
    CHECK_INT(x.gone, 2);
    here_skip(&x.h, MINUTE_US / 2 + 1);
    served_until(&x, &x.gone, 4);
    CHECK(httpd_is_idle(x.d));
    served_end(&x);
}

/* The window has been shut before the first byte of what waits was written: its minute begins there. */
TEST(what_waits_is_timed_from_when_it_was_written)
{
    struct served x;
    served_begin(&x, &(struct h2_config){ .role = H2_CLIENT, .stream_window = 5 }, true);
    served_open(&x, "POST", "/begin/piece/data/piece", false);
    answered(&x);
    here_skip(&x.h, 2 * MINUTE_US);               /* nothing waits */
    data(&x, "x", false);
    here_run(&x.h, 20000);
    here_skip(&x.h, MINUTE_US - 20000000);
    here_run(&x.h, 20000);
    CHECK(!x.gone && x.got == 5);
    here_skip(&x.h, 20000000);
    served_until(&x, &x.gone, 1);
    here_until(&x.h, &x.over);
    CHECK_INT(x.code, H2_CANCEL);
    served_end(&x);
}

/* Windows are open and the socket is full: it is the connection that waits, not its streams. */
TEST(a_client_of_http2_that_reads_nothing_is_given_up)
{
    struct served x;
    served_begin(&x, &(struct h2_config){ .role = H2_CLIENT, .stream_window = 2 * SERVED_VAST, .connection_window = 2 * SERVED_VAST }, true);
    link_pause_read(x.l, true);
    served_open(&x, "GET", "/end/vast", true);
    served_until(&x, &x.ends, 1);
    here_run(&x.h, 100000);
    here_skip(&x.h, MINUTE_US / 2);
    for (int i = 0; i < 5; i++) {                 /* that it writes makes no difference */
        h2_ping(x.h2, 1);
        served_send(&x);
        here_run(&x.h, 10000);
        CHECK(!x.gone);
    }
    here_skip(&x.h, MINUTE_US);
    served_until(&x, &x.gone, 1);
    link_pause_read(x.l, false);
    here_until(&x.h, &x.over);
    CHECK(x.got < SERVED_VAST);
    served_end(&x);
}

/* So much waits already that large answers are dropped; small ones are not. */
TEST(a_crowded_connection_takes_small_answers_only)
{
    static const char large[HTTP_LOW_WATER + 1];
    for (int small = 0; small < 2; small++) {
        struct served x;
        served_begin(&x, &(struct h2_config){ .role = H2_CLIENT, .stream_window = 1 }, true);
        served_open(&x, "GET", "/end/hold", true);
        held(&x);
        struct hreq *r = x.held;
        CHECK(!hreq_is_crowded(r));
        for (int i = 0; i < 2; i++)
            served_open(&x, "GET", "/end/vast", true);
        served_until(&x, &x.ends, 3);
        CHECK(hreq_is_crowded(r));
        hreq_respond(r, 201, NONE, (struct str){ large, small ? sizeof large - 1 : sizeof large });
        CHECK_INT(hreq_is_crowded(r), small);
        if (small) {
            for (int n = 0; n < 60000 && x.status != 201; n++)
                here_run(&x.h, 1000);
            CHECK(x.status == 201 && !x.gone);
        } else {
            served_until(&x, &x.resets, 1);
            CHECK(x.code == H2_ENHANCE_YOUR_CALM && x.gone == 1);
        }
        served_end(&x);
    }
}
