/* SPDX-License-Identifier: Apache-2.0 */
/* A port-forward through an API server that is not well-meaning: what it makes a client keep. */
#include "k8s/portforward.h"
#include "core/websocket.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>

struct way {
    struct here h;
    struct httpd *d;
    struct kube *k;
    struct kube_forward *f;
    struct link *mine;                            /* the caller's end */
    struct hreq *r;
    struct ws ws;
    bool open, done, over;                        /* over: our end was closed */
    int pongs, failures;
    char last[126];                               /* what the PONG that came last said */
    size_t bytes, got;                            /* that the server heard; that came out at our end */
};

static void on_begin(struct hreq *r, void *ctx)
{
    struct way *w = ctx;
    char accept[WS_ACCEPT_TEXT];
    ws_accept(http_get(hreq_fields(r), "sec-websocket-key"), accept);
    struct http_field f[] = { { S("upgrade"), S("websocket") }, { S("connection"), S("Upgrade") }, { S("sec-websocket-accept"), str_of(accept) } };
    hreq_set_user(r, w);
    hreq_upgrade(r, (struct http_fields){ f, LEN(f) });
    w->r = r;
    w->open = true;
}
static void on_data(struct hreq *r, struct str bytes)
{
    struct way *w = hreq_user(r);
    struct ws_event ev;
    struct kr_err e = { 0 };
    while (bytes.n && CHECK_INT(ws_take(&w->ws, &bytes, &ev, &e), 0)) {
        w->bytes += ev.kind == WS_BINARY ? ev.data.n - 1 : 0;
        w->pongs += ev.kind == WS_PONG;
        if (ev.kind == WS_PONG)
            snprintf(w->last, sizeof w->last, "%.*s", SFMT(ev.data));
    }
}
static void on_end(struct hreq *r) { (void)r; }
static void on_gone(struct hreq *r) { ((struct way *)hreq_user(r))->r = NULL; }
static void on_failed(void *ctx, const struct kr_err *e) { (void)e; ((struct way *)ctx)->failures++; }

static void mine_ready(struct link *l, void *ctx)
{
    struct way *w = ctx;
    char chunk[16384];
    ptrdiff_t n;
    while ((n = link_read(l, chunk, sizeof chunk)) > 0)
        w->got += (size_t)n;
    w->done |= w->got > 0;
    w->over |= n < 0;
}

static void begin(struct way *w)
{
    struct kr_err e = { 0 };
    int fd;
    *w = (struct way){ 0 };
    here_loop(&w->h);
    ws_init(&w->ws, WS_SERVER, &w->h.rnd);
    w->d = httpd_new(w->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { on_begin, on_data, on_end, NULL, on_gone, w } }, &e);
    CHECK_OR(w->d);
    w->k = here_client(&w->h, httpd_port(w->d));
    w->f = kube_forward_open(w->k, S("default"), S("p"), 80, &w->h.rnd, &fd, on_failed, w);
    w->mine = link_accept(w->h.loop, fd, NULL, (struct link_user){ mine_ready, w });
    here_until(&w->h, &w->open);
    here_run(&w->h, 2000);
}
static void end(struct way *w)
{
    link_close(w->mine);
    kube_forward_close(w->f);
    kube_free(w->k);
    httpd_free(w->d);
    ws_free(&w->ws);
    loop_free(w->h.loop);
}

static void say(struct way *w, enum ws_kind kind, struct str data)
{
    AUTO_BUF struct buf b = { .max = data.n + 64 };
    ws_put(&w->ws, &b, kind, data);
    hreq_write(w->r, buf_view(&b));
}

/* More PINGs than sockets hold answers of, from a server that reads none of them. */
TEST(a_server_that_only_asks_is_answered_once_it_reads)
{
    enum { PINGS = 250000 };
    static char text[125];
    struct way w;
    begin(&w);
    memset(text, 'x', sizeof text);
    hreq_pause(w.r, true);
    for (int i = 0; i < PINGS; i++)
        say(&w, WS_PING, (struct str){ text, sizeof text });
    say(&w, WS_PING, S("the last"));
    say(&w, WS_BINARY, (struct str){ "\0\0\120hello", 8 });
    here_until(&w.h, &w.done);                    /* all of it was heard */
    CHECK_INT(w.got, 5);
    hreq_pause(w.r, false);
    for (int n = 0; n < 60000 && strcmp(w.last, "the last") != 0; n++)
        here_run(&w.h, 1000);
    CHECK_Z(w.last, "the last");
    CHECK(w.pongs < PINGS / 2);
    CHECK(!w.failures && w.r);
    end(&w);
}

static bool is_written(struct way *w, size_t *left)
{
    static char zeros[65536];
    ptrdiff_t n = link_write(w->mine, zeros, *left < sizeof zeros ? *left : sizeof zeros);
    *left -= n > 0 ? (size_t)n : 0;
    return n <= 0;
}

/* What is sent to a pod that takes nothing waits with who sends it. */
TEST(a_server_that_does_not_read_holds_back_who_writes)
{
    enum { ALL = 40 << 20 };
    struct way w;
    size_t left = ALL;
    begin(&w);
    hreq_pause(w.r, true);
    for (int still = 0; left && still < 50; still = is_written(&w, &left) ? still + 1 : 0)
        here_run(&w.h, 1000);
    CHECK(left > ALL / 4);
    hreq_pause(w.r, false);
    for (int n = 0; n < 60000 && w.bytes < ALL; n++) {
        if (left)
            is_written(&w, &left);
        here_run(&w.h, 500);
    }
    CHECK_INT(w.bytes, ALL);
    CHECK(!w.failures);
    end(&w);
}

/* More than the pair of sockets holds, and the end in one with it: by CLOSE, or by the end of the connection. */
TEST(the_last_bytes_before_the_end_come_out)
{
    enum { PARTS = 48 };
    static char part[16385];
    for (int by_close = 0; by_close < 2; by_close++) {
        struct way w;
        AUTO_BUF struct buf all = { .max = 1 << 20 };
        begin(&w);
        ws_put(&w.ws, &all, WS_BINARY, (struct str){ "\0\0\120", 3 });
        for (int i = 0; i < PARTS; i++)
            ws_put(&w.ws, &all, WS_BINARY, (struct str){ part, sizeof part });
        if (by_close)
            ws_put_close(&w.ws, &all, 1000, S(""));
        hreq_write(w.r, buf_view(&all));
        if (!by_close)
            hreq_finish(w.r, (struct http_fields){ 0 });
        here_until(&w.h, &w.over);
        CHECK_INT(w.got, PARTS * (sizeof part - 1));
        CHECK(!w.failures);
        end(&w);
    }
}

/* What it sends while ours has not taken all is for nobody; and who never takes it may leave. */
TEST(an_end_that_leaves_with_bytes_to_come_is_let_go)
{
    static char part[600001];
    struct way w;
    AUTO_BUF struct buf all = { .max = 1 << 20 };
    begin(&w);
    link_pause_read(w.mine, true);
    ws_put(&w.ws, &all, WS_BINARY, (struct str){ "\0\0\120", 3 });
    ws_put(&w.ws, &all, WS_BINARY, (struct str){ part, sizeof part });
    ws_put_close(&w.ws, &all, 1000, S(""));
    hreq_write(w.r, buf_view(&all));
    hreq_finish(w.r, (struct http_fields){ 0 });
    here_run(&w.h, 20000);
    CHECK_INT(link_write(w.mine, "more", 4), 4);
    here_run(&w.h, 5000);
    while (link_read(w.mine, part, sizeof part) > 0)
        ;                                         /* so that the pair holds nothing, whose loss would be an error */
    link_close(TAKE(w.mine));
    here_run(&w.h, 5000);
    uint64_t before = loop_wakeups(w.h.loop);
    here_run(&w.h, 20000);
    CHECK(loop_wakeups(w.h.loop) - before <= 4);  /* nothing is tried again */
    CHECK(!w.failures);
    end(&w);
}
