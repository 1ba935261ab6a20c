/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client and server over TLS: where a body ends is told by who sent it, never by a connection that was cut, nor cut by us. */
#include "core/tls.h"
#include "grpc/http.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>
#include <sys/socket.h>

struct agreed { struct tls *server, *client; };
static void agree(struct agreed *t)
{
    struct kr_err e = { 0 };
    struct str name = S("127.0.0.1");
    struct tls_pair ca = { 0 }, leaf = { 0 };
    int64_t now = clock_system.wall_us(&clock_system);
    CHECK_INT(tls_make_ca(&ca, S("ca"), now, 10, &e), 0);
    CHECK_INT(tls_issue(&leaf, &ca, &(struct tls_request){ .common_name = name, .names = &name, .nnames = 1, .usage = TLS_FOR_SERVER, .now_us = now, .days = 1 }, &e), 0);
    t->server = tls_server_new(&(struct tls_config){ .cert = buf_view(&leaf.cert), .key = buf_view(&leaf.key) }, &e);
    t->client = tls_client_new(&(struct tls_config){ .ca = buf_view(&ca.cert) }, &e);
    if (!CHECK(t->server && t->client))
        abort();
    tls_pair_free(&ca);
    tls_pair_free(&leaf);
}

/* ---- the last answer -------------------------------------------------------------------------------------------------------- */

struct answering { struct here h; struct httpd *d; size_t size; bool gone, opened, over; size_t got; struct link *l; };

static void adopt(void *ctx, int fd)
{
    int small = 65536;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    httpd_serve_fd(((struct answering *)ctx)->d, fd);
}

static void respond(struct hreq *r, void *ctx)
{
    struct answering *x = ctx;
    AUTO_BUF struct buf body = { .max = x->size };
    memset(buf_room(&body, x->size), 'b', x->size);
    body.n = x->size;
    hreq_set_user(r, x);
    hreq_respond(r, 200, (struct http_fields){ 0 }, buf_view(&body));
}
static void is_gone(struct hreq *r) { ((struct answering *)hreq_user(r))->gone = true; }

static void heard(struct link *l, void *ctx)
{
    struct answering *x = ctx;
    char chunk[5000];
    ptrdiff_t n;
    x->opened = link_is_open(l);
    while ((n = link_read(l, chunk, sizeof chunk)) > 0)
        x->got += (size_t)n;
    x->over |= n < 0;
}

/* What the connection has taken, but not the socket, goes out before it is closed. Of these sizes some end there, wherever the socket is full. */
TEST(the_last_answer_is_whole_however_late_it_is_read)
{
    static const char request[] = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    struct agreed t;
    agree(&t);
    for (size_t size = 32768; size < 1000000; size += 32768) {
        struct answering x = { .size = size };
        struct kr_err e = { 0 };
        char head[128];
        int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\nconnection: close\r\n\r\n", size);
        here_loop(&x.h);
        struct listener *door = listen_tcp(x.h.loop, S("127.0.0.1"), 0, adopt, &x, &e);
        x.d = httpd_new(x.h.loop, &(struct httpd_config){ .tls = t.server, .user = { .begin = respond, .gone = is_gone, .ctx = &x } }, &e);
        x.l = link_connect(x.h.loop, &(struct link_target){ .host = S("127.0.0.1"), .port = listener_port(door), .tls = t.client }, (struct link_user){ heard, &x });
        here_until(&x.h, &x.opened);
        link_pause_read(x.l, true);
        CHECK_INT(link_write(x.l, request, sizeof request - 1), sizeof request - 1);
        here_until(&x.h, &x.gone);
        here_run(&x.h, 2000);
        link_pause_read(x.l, false);
        here_until(&x.h, &x.over);
        CHECK_INT(x.got, (size_t)n + size);
        CHECK_INT(link_error(x.l)->code, KR_OK);
        link_close(x.l);
        httpd_free(x.d);
        listener_close(door);
        loop_free(x.h.loop);
    }
    tls_free(t.server);
    tls_free(t.client);
}

/* ---- an answer that ends with its connection ---------------------------------------------------------------------------------- */

struct asking { struct here h; const struct tls *tls; struct link *server; int fd, status; bool heard, over, failed; size_t got; };

static void read_request(struct link *l, void *ctx)
{
    struct asking *x = ctx;
    char chunk[1000];
    while (link_read(l, chunk, sizeof chunk) > 0)
        x->heard = true;
}
static void meet(void *ctx, int fd)
{
    struct asking *x = ctx;
    x->fd = fd;
    x->server = link_accept(x->h.loop, fd, x->tls, (struct link_user){ read_request, x });
}
static void got(struct hcall *c, struct str bytes) { ((struct asking *)hcall_ctx(c))->got += bytes.n; }
static void ended(struct hcall *c, struct http_fields trailers)
{
    (void)trailers;
    ((struct asking *)hcall_ctx(c))->over = true;
}
static void failed(struct hcall *c, const struct kr_err *e)
{
    struct asking *x = hcall_ctx(c);
    (void)e;
    x->over = x->failed = true;
}

static bool is_asked(void *ctx) { return ((struct asking *)ctx)->heard; }
static void head(struct hcall *c, int status, struct http_fields f)
{
    (void)f;
    ((struct asking *)hcall_ctx(c))->status = status;
}

/* A server that answers a request's head and closes, with bytes of the body unread, has the kernel reset the connection. The answer is
 * heard, whether it is a write that notices or the loop, and whatever waits to be written. */
TEST(an_answer_is_heard_though_the_rest_of_its_request_is_refused)
{
    static const char answer[] = "HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\nconnection: close\r\n\r\ndenied";
    static char vast[8 << 20];
    struct agreed t;
    agree(&t);
    for (int tls = 0; tls < 2; tls++)
        for (int large = 0; large < 2; large++)
            for (int looks = 0; looks < 2; looks++) {
                struct asking x = { .tls = tls ? t.server : NULL };
                struct kr_err e = { 0 };
                here_loop(&x.h);
                struct listener *door = listen_tcp(x.h.loop, S("127.0.0.1"), 0, meet, &x, &e);
                struct httpc *c = httpc_new(x.h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = listener_port(door), .tls = tls ? t.client : NULL }, .version = HTTP_11 });
                struct hcall *k = httpc_call(c, &(struct httpc_request){ .method = S("PUT"), .path = S("/"), .authority = S("h"), .more = true },
                                             (struct hcall_user){ .head = head, .data = got, .end = ended, .failed = failed, .ctx = &x });
                CHECK_INT(loop_run_until(x.h.loop, is_asked, &x, loop_now_us(x.h.loop) + 60000000), 0);
                link_pause_read(x.server, true);
                hcall_write(k, (struct str){ vast, large ? sizeof vast : 1 });
                here_turn(&x.h);
                CHECK_INT(link_write(x.server, answer, sizeof answer - 1), sizeof answer - 1);
                link_close(TAKE(x.server));
                if (!looks) {
                    hcall_write(k, S("more"));
                    here_turn(&x.h);
                }
                here_until(&x.h, &x.over);
                if (!CHECK(!x.failed && x.status == 403 && x.got == 6))
                    printf("    tls %d, large %d, looks %d: %d\n", tls, large, looks, x.status);
                httpc_free(c);
                listener_close(door);
                loop_free(x.h.loop);
            }
    tls_free(t.server);
    tls_free(t.client);
}

TEST(a_body_without_a_length_ends_with_close_notify_only)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\n\r\nhalf of it";
    struct agreed t;
    agree(&t);
    for (int cut = 0; cut < 2; cut++) {
        struct asking x = { .tls = t.server };
        struct kr_err e = { 0 };
        here_loop(&x.h);
        struct listener *door = listen_tcp(x.h.loop, S("127.0.0.1"), 0, meet, &x, &e);
        struct httpc *c = httpc_new(x.h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = listener_port(door), .tls = t.client }, .version = HTTP_11 });
        httpc_call(c, &(struct httpc_request){ .method = S("GET"), .path = S("/"), .authority = S("h") },
                   (struct hcall_user){ .data = got, .end = ended, .failed = failed, .ctx = &x });
        here_until(&x.h, &x.heard);
        CHECK_INT(link_write(x.server, answer, sizeof answer - 1), sizeof answer - 1);
        if (cut)
            shutdown(x.fd, SHUT_RDWR);
        else
            link_close(TAKE(x.server));
        here_until(&x.h, &x.over);
        CHECK_INT(x.got, 10);
        CHECK_INT(x.failed, cut);
        httpc_free(c);
        link_close(x.server);
        listener_close(door);
        loop_free(x.h.loop);
    }
    tls_free(t.server);
    tls_free(t.client);
}
