/* SPDX-License-Identifier: Apache-2.0 */
/* forward_spdy: pairs of streams against real sockets of this process. */
#include "applets/apiserver/forward_spdy.h"
#include "tests/kit/here.h"
#include "tests/kit/spdy_peer.h"
#include "tests/kit/test.h"
#include <stdio.h>
#include <unistd.h>

struct side {
    struct here here;                             /* its loop, and the clock */
    struct loop *loop;
    struct listener *l;
    struct link *link[8]; size_t n;               /* the pod's ends */
    struct buf heard;                             /* of all of them */
    bool ended;                                   /* one has read its end */
    struct forward_spdy *f;
    struct spdy_peer peer;
    struct buf got, trace;                        /* from the server: bytes, and as text */
    size_t queued;
};

static void pod_ready(struct link *l, void *ctx)
{
    struct side *s = ctx;
    char chunk[4096];
    ptrdiff_t n;
    while ((n = link_read(l, chunk, sizeof chunk)) > 0)
        buf_add(&s->heard, chunk, (size_t)n);
    s->ended |= n < 0;
}

static void accepted(void *ctx, int fd)
{
    struct side *s = ctx;
    if (s->n < LEN(s->link))
        s->link[s->n++] = link_accept(s->loop, fd, NULL, (struct link_user){ pod_ready, s });
}

static uint32_t number(const char *p) { return (uint32_t)(unsigned char)p[0] << 24 | (uint32_t)(unsigned char)p[1] << 16 | (uint32_t)(unsigned char)p[2] << 8 | (unsigned char)p[3]; }

/* Frames that came, as text: "1:reply 3:hello 3:end". */
static void got(void *ctx, struct str bytes)
{
    struct side *s = ctx;
    buf_str(&s->got, bytes);
    for (size_t n; s->got.n >= 8 && s->got.n >= (n = 8 + (number(s->got.p + 4) & 0xFFFFFF)); buf_drop(&s->got, n)) {
        uint32_t head = number(s->got.p);
        if (head >> 31)
            buf_fmt(&s->trace, "%u:%s ", number(s->got.p + 8), (head & 0xFFFF) == 2 ? "reply" : (head & 0xFFFF) == 3 ? "reset" : "goaway");
        else if (n > 8)
            buf_fmt(&s->trace, "%u:%.*s ", head, (int)(n - 8), s->got.p + 8);
        if (!(head >> 31) && s->got.p[4])
            buf_fmt(&s->trace, "%u:end ", head);
    }
}

static void held(void *ctx) { (void)ctx; }
static size_t queued(void *ctx) { return ((struct side *)ctx)->queued; }

static void begin(struct side *s)
{
    struct kr_err e = { 0 };
    *s = (struct side){ .heard = { .max = 1 << 24 }, .got = { .max = 1 << 24 }, .trace = { .max = 1 << 24 } };
    here_loop(&s->here);
    s->loop = s->here.loop;
    s->l = listen_tcp(s->loop, S("127.0.0.1"), 0, accepted, s, &e);
    s->f = forward_spdy_new(s->loop, S("web"), S("127.0.0.1"), (struct forward_spdy_user){ got, held, queued, s });
    spdy_peer_init(&s->peer);
}

static void end(struct side *s)
{
    forward_spdy_free(s->f);
    for (size_t i = 0; i < s->n; i++)
        link_close(s->link[i]);
    listener_close(s->l);
    spdy_peer_free(&s->peer);
    buf_free(&s->heard);
    buf_free(&s->got);
    buf_free(&s->trace);
    loop_free(s->loop);
}

static int feed(struct side *s)
{
    struct kr_err e = { 0 };
    int rc = forward_spdy_data(s->f, buf_view(&s->peer.out), &e);
    buf_clear(&s->peer.out);
    return rc;
}

static void open_pair(struct side *s, uint32_t stream, uint16_t port)
{
    char fields[96];
    snprintf(fields, sizeof fields, "streamtype=error port=%u requestid=%u", port, stream);
    spdy_peer_open(&s->peer, stream, fields, true);
    snprintf(fields, sizeof fields, "streamtype=data port=%u requestid=%u", port, stream);
    spdy_peer_open(&s->peer, stream + 2, fields, false);
}

struct wait { struct buf *b; const char *what; size_t n; };
static bool there(void *ctx)
{
    struct wait *w = ctx;
    return w->what ? str_find(buf_view(w->b), str_of(w->what)) >= 0 : w->b->n >= w->n;
}

static void wait_for(struct side *s, struct buf *b, const char *what)
{
    struct wait w = { b, what, 0 };
    if (!CHECK_INT(loop_run_until(s->loop, there, &w, loop_now_us(s->loop) + 20000000), 0))
        printf("    waited for \"%s\" in \"%.*s\"\n", what, SFMT(buf_view(b)));
}

static bool has_ended(void *ctx) { return ((struct side *)ctx)->ended; }
static bool never(void *ctx) { return ctx == NULL; }

static void wait_for_end(struct side *s) { CHECK_INT(loop_run_until(s->loop, has_ended, s, loop_now_us(s->loop) + 20000000), 0); }

TEST(forward_pairs_beside_each_other)
{
    struct side s;
    begin(&s);
    open_pair(&s, 1, listener_port(s.l));
    open_pair(&s, 5, listener_port(s.l));
    spdy_peer_data(&s.peer, 3, "first;", false);
    spdy_peer_data(&s.peer, 7, "second;", false);
    CHECK_INT(feed(&s), 0);
    CHECK_STR(buf_view(&s.trace), S("1:reply 3:reply 5:reply 7:reply "));
    wait_for(&s, &s.heard, "first;");
    wait_for(&s, &s.heard, "second;");
    CHECK_INT(s.n, 2);
    link_write(s.link[0], "one", 3);
    link_write(s.link[1], "two", 3);
    wait_for(&s, &s.trace, "3:one ");
    wait_for(&s, &s.trace, "7:two ");
    link_close(TAKE(s.link[0]));                  /* the pod ends one: both of its streams end, the other goes on */
    wait_for(&s, &s.trace, "1:end 3:end ");
    spdy_peer_data(&s.peer, 3, "late", true);
    spdy_peer_control(&s.peer, 3, 0, S("\0\0\0\3\0\0\0\5"), S(""));
    spdy_peer_data(&s.peer, 7, "still", false);
    CHECK_INT(feed(&s), 0);
    wait_for(&s, &s.heard, "still");
    CHECK(str_find(buf_view(&s.heard), S("late")) < 0);
    end(&s);
}

TEST(forward_the_client_ends_its_half)
{
    struct side s;
    begin(&s);
    open_pair(&s, 1, listener_port(s.l));
    spdy_peer_data(&s.peer, 3, "all", false);
    spdy_peer_data(&s.peer, 3, "", true);
    CHECK_INT(feed(&s), 0);
    wait_for(&s, &s.heard, "all");
    wait_for_end(&s);
    link_write(s.link[0], "answer", 6);           /* the other half is open */
    wait_for(&s, &s.trace, "3:answer ");
    end(&s);
}

TEST(forward_a_reset_closes_the_connection)
{
    struct side s;
    begin(&s);
    open_pair(&s, 1, listener_port(s.l));
    spdy_peer_data(&s.peer, 3, "x", false);
    feed(&s);
    wait_for(&s, &s.heard, "x");
    spdy_peer_control(&s.peer, 3, 0, S("\0\0\0\1\0\0\0\5"), S(""));           /* the error stream: nobody reads it */
    spdy_peer_data(&s.peer, 3, "y", false);
    feed(&s);
    wait_for(&s, &s.heard, "y");
    spdy_peer_control(&s.peer, 3, 0, S("\0\0\0\3\0\0\0\5"), S(""));
    feed(&s);
    wait_for_end(&s);
    CHECK_STR(buf_view(&s.trace), S("1:reply 3:reply "));
    end(&s);
}

/* Nobody listens there: said on the error stream of that pair; the others don't notice. */
TEST(forward_to_a_closed_port)
{
    struct side s;
    struct kr_err e = { 0 };
    begin(&s);
    struct listener *gone = listen_tcp(s.loop, S("127.0.0.1"), 0, accepted, &s, &e);
    uint16_t port = listener_port(gone);
    listener_close(gone);
    open_pair(&s, 1, listener_port(s.l));
    open_pair(&s, 5, port);
    feed(&s);
    char want[128];
    snprintf(want, sizeof want, "5:error forwarding port %u to pod web: 127.0.0.1:%u: connect: Connection refused 5:end 7:end ", port, port);
    wait_for(&s, &s.trace, want);
    spdy_peer_data(&s.peer, 3, "hello", false);
    feed(&s);
    wait_for(&s, &s.heard, "hello");
    end(&s);
}

TEST(forward_streams_that_are_refused)
{
    static const char *const fields[] = {
        "", "streamtype=data requestid=1", "streamtype=data port=80", "streamtype=other port=80 requestid=1", "streamtype=data port=0 requestid=1",
        "streamtype=data port=65536 requestid=1", "streamtype=data port=80 requestid=01234567890123456789012345678901" };
    struct side s;
    AUTO_BUF struct buf want = { .max = 4096 };
    begin(&s);
    for (uint32_t i = 0; i < LEN(fields); i++) {
        spdy_peer_open(&s.peer, 2 * i + 1, fields[i], false);
        buf_fmt(&want, "%u:reset ", 2 * i + 1);
    }
    spdy_peer_open(&s.peer, 101, "streamtype=data port=80 requestid=7", false);
    spdy_peer_open(&s.peer, 103, "streamtype=data port=80 requestid=7", false);             /* twice */
    spdy_peer_open(&s.peer, 105, "streamtype=error port=81 requestid=7", false);            /* another port */
    buf_lit(&want, "101:reply 103:reset 105:reset ");
    CHECK_INT(feed(&s), 0);
    CHECK_STR(buf_view(&s.trace), buf_view(&want));
    spdy_peer_data(&s.peer, 4, "x", false);
    CHECK_INT(feed(&s), -1);
    CHECK(str_ends(buf_view(&s.trace), S("105:goaway ")));
    end(&s);
}

TEST(forward_no_more_pairs_than_the_limit)
{
    struct side s;
    char fields[96];
    begin(&s);
    for (unsigned i = 0; i <= LIMIT_FORWARDS; i++) {
        snprintf(fields, sizeof fields, "streamtype=data port=80 requestid=%u", i);
        spdy_peer_open(&s.peer, 2 * i + 1, fields, false);
    }
    CHECK_INT(feed(&s), 0);
    CHECK(str_ends(buf_view(&s.trace), S("511:reply 513:reset ")));
    end(&s);
}

/* As long as a kubelet waits; the stream that is there hears of it, one that comes after it begins anew. */
TEST(forward_half_a_pair_waits_for_the_other)
{
    struct side s;
    begin(&s);
    open_pair(&s, 1, listener_port(s.l));
    spdy_peer_open(&s.peer, 5, "streamtype=error port=80 requestid=5", true);
    spdy_peer_open(&s.peer, 7, "streamtype=data port=80 requestid=7", false);
    spdy_peer_open(&s.peer, 9, "streamtype=error port=80 requestid=9", true);
    spdy_peer_control(&s.peer, 3, 0, S("\0\0\0\11\0\0\0\5"), S(""));
    CHECK_INT(feed(&s), 0);
    here_skip(&s.here, 29000000);
    here_turn(&s.here);
    CHECK_STR(buf_view(&s.trace), S("1:reply 3:reply 5:reply 7:reply 9:reply "));
    here_skip(&s.here, 1000000);
    wait_for(&s, &s.trace, "7:end ");
    CHECK_STR(str_from(buf_view(&s.trace), 40), S("5:error forwarding port 80 to pod web: timed out waiting for streams 5:end 7:end "));
    spdy_peer_open(&s.peer, 11, "streamtype=data port=80 requestid=5", false);
    spdy_peer_data(&s.peer, 3, "still", false);
    CHECK_INT(feed(&s), 0);
    CHECK(str_ends(buf_view(&s.trace), S("7:end 11:reply ")));
    wait_for(&s, &s.heard, "still");
    end(&s);
}

/* Each alone would not be too much: a client is held back for what waits in all of its pairs. */
TEST(forward_many_pairs_wait_together)
{
    struct side s;
    AUTO_FREE char *much = xcalloc(1, FORWARD_HIGH / 2 + 2);
    memset(much, 'm', FORWARD_HIGH / 2 + 1);
    begin(&s);
    spdy_peer_open(&s.peer, 1, "streamtype=data port=80 requestid=1", false);
    spdy_peer_data(&s.peer, 1, much, false);
    CHECK_INT(feed(&s), 0);
    CHECK(!forward_spdy_is_full(s.f));
    spdy_peer_open(&s.peer, 3, "streamtype=data port=80 requestid=2", false);
    spdy_peer_data(&s.peer, 3, much, false);
    CHECK_INT(feed(&s), 0);
    CHECK(forward_spdy_is_full(s.f));
    spdy_peer_control(&s.peer, 3, 0, S("\0\0\0\1\0\0\0\5"), S(""));
    CHECK_INT(feed(&s), 0);
    CHECK(!forward_spdy_is_full(s.f));
    end(&s);
}

/* A client that doesn't read stops the pod's writing; a pod that doesn't read shows as full. */
TEST(forward_holds_back_on_both_sides)
{
    struct side s;
    AUTO_FREE char *much = xcalloc(1, 300001);
    memset(much, 'm', 300000);
    begin(&s);
    open_pair(&s, 1, listener_port(s.l));
    spdy_peer_data(&s.peer, 3, "x", false);
    feed(&s);
    wait_for(&s, &s.heard, "x");
    s.queued = 2 * FORWARD_HIGH;
    size_t before = s.trace.n;
    link_write(s.link[0], "wait", 4);
    loop_run_until(s.loop, never, &s, loop_now_us(s.loop) + 50000);
    CHECK_INT(s.trace.n, before);
    s.queued = 0;
    forward_spdy_writable(s.f);
    wait_for(&s, &s.trace, "3:wait ");
    link_pause_read(s.link[0], true);
    size_t sent = 1;
    for (int i = 0; i < 100 && !forward_spdy_is_full(s.f); i++, sent += 300000) {
        spdy_peer_data(&s.peer, 3, much, false);
        CHECK_INT(feed(&s), 0);
    }
    CHECK(forward_spdy_is_full(s.f));
    link_pause_read(s.link[0], false);
    struct wait w = { &s.heard, NULL, sent };
    CHECK_INT(loop_run_until(s.loop, there, &w, loop_now_us(s.loop) + 20000000), 0);
    CHECK(!forward_spdy_is_full(s.f));
    end(&s);
}
