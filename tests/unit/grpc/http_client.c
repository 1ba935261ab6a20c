/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client: which connection a call gets, what can't be sent, what is held back, and connections that end by the way. */
#include "grpc/h2_conn.h"
#include "grpc/http_client.h"
#include "tests/kit/http_ends.h"
#include "tests/kit/test.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static const char fine[] = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/* Another client than peer_begin's, of the same server. */
static void use(struct peer *p, struct httpc_config c)
{
    httpc_free(p->c);
    c.target.host = c.target.host.n ? c.target.host : S("127.0.0.1");
    c.target.port = c.target.port ? c.target.port : listener_port(p->l);
    p->c = httpc_new(p->h.loop, &c);
}

/* ---- what can't be sent ------------------------------------------------------------------------------------------------- */

/* A line break within a field would end the head: nothing of it goes out, and the next call does. */
TEST(a_request_that_can_not_be_written_fails_at_once)
{
    static const struct { const char *method, *path; struct http_field field; } rows[] = {
        { "GET", "/", { S("x-a"), S("one\r\nx-b: two") } }, { "GET", "/", { S("x a"), S("one") } }, { "GET", "/", { S(""), S("one") } },
        { "GE T", "/", { S("x-a"), S("one") } },            { "GET", "/a b", { S("x-a"), S("one") } },
    };
    for (int h2 = 0; h2 < 2; h2++)
        for (size_t i = 0; i < LEN(rows); i++) {
            struct peer p;
            struct peer_call q = { 0 };
            peer_begin(&p, h2 ? HTTP_2 : HTTP_11);
            p.say = fine;
            for (int body = 0; body < 2; body++) {
                peer_call(p.c, &q, &(struct httpc_request){ .method = str_of(rows[i].method), .path = str_of(rows[i].path), .authority = S("t"), .fields = { &rows[i].field, 1 }, .more = body },
                          &peer_whole);
                here_until(&p.h, &q.over);
                CHECK(q.failed && q.code == KR_INVALID && str_find(str_of(q.msg), S("can't be sent")) > 0);
            }
            CHECK(p.requests == 0 && (h2 || !p.ones[0].in.n));
            peer_call(p.c, &q, PEER_REQUEST("GET", "/pieces"), &peer_whole);
            here_until(&p.h, &q.over);
            CHECK(!q.failed);
            peer_end(&p);
        }
}

/* ---- what is held back ---------------------------------------------------------------------------------------------------- */

/* Holding back ends with the call: the next one on the connection hears its answer. */
TEST(a_call_that_ends_while_it_holds_back_leaves_its_connection_to_the_next)
{
    for (int h2 = 0; h2 < 2; h2++) {
        struct peer p;
        struct peer_call q = { .leave = PAUSES_AT_DATA };
        peer_begin(&p, h2 ? HTTP_2 : HTTP_11);
        p.say = fine;
        for (int i = 0; i < 3; i++) {
            peer_call(p.c, &q, PEER_REQUEST("GET", "/pieces"), &peer_whole);
            here_until(&p.h, &q.over);
            CHECK(!q.failed && q.got == (h2 ? 15 : 5));
        }
        CHECK(p.n == 1 && !p.lost);
        link_close(TAKE(p.ones[0].link));         /* nobody holds back any more: its end is heard, too */
        here_until_is(&p.h, &p.lost, 1);
        peer_end(&p);
    }
}

/* Who holds back before there is a connection hears nothing of HTTP/1.1 until he goes on. */
TEST(a_call_holds_back_before_it_is_sent)
{
    struct peer p;
    struct peer_call q = { 0 };
    peer_begin(&p, HTTP_11);
    p.say = fine;
    peer_call(p.c, &q, PEER_REQUEST("GET", "/"), &peer_whole);
    hcall_pause(q.c, true);
    here_until_is(&p.h, &p.n, 1);
    while (!p.ones[0].in.n)
        here_run(&p.h, 1000);
    here_run(&p.h, 5000);
    CHECK(!q.status && !q.over);
    hcall_pause(q.c, false);
    here_until(&p.h, &q.over);
    CHECK(q.status == 200 && q.got == 5);
    peer_end(&p);
}

/* What is written and not taken is not room for more. */
TEST(a_call_hears_of_room_when_its_bytes_have_left)
{
    static char much[48 << 20];                   /* more than sockets hold */
    for (int h2 = 0; h2 < 2; h2++) {
        struct peer p;
        struct peer_call q = { 0 };
        peer_begin(&p, h2 ? HTTP_2 : HTTP_11);
        peer_call(p.c, &q, PEER_REQUEST("PUT", "/hold", .more = true), &peer_whole);
        here_until_is(&p.h, &p.n, 1);
        link_pause_read(p.ones[0].link, true);
        hcall_write(q.c, (struct str){ much, sizeof much });
        here_run(&p.h, 20000);
        CHECK(!q.told);
        link_pause_read(p.ones[0].link, false);
        here_until(&p.h, &q.told);
        CHECK(!q.over);
        peer_end(&p);
    }
}

/* ---- which connection a call gets ----------------------------------------------------------------------------------------- */

/* Whatever the client speaks with the server else: HTTP/1.1, one for each, and other calls keep off them. */
TEST(upgrades_have_connections_of_their_own)
{
    for (int h2 = 0; h2 < 2; h2++) {
        struct served x;
        struct peer_call up[3] = { 0 }, plain[3] = { 0 };
        served_begin(&x, NULL, true);
        struct httpc *c = httpc_new(x.h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = httpd_port(x.d) }, .version = h2 ? HTTP_2 : HTTP_11 });
        for (size_t i = 0; i < LEN(up); i++) {
            peer_call(c, &up[i], PEER_REQUEST("GET", "/begin/upgrade/data/piece", .upgrade = true, .more = true), &peer_whole);
            peer_call(c, &plain[i], PEER_REQUEST("GET", "/end/respond"), &peer_whole);
        }
        for (size_t i = 0; i < LEN(up); i++) {
            here_until(&x.h, &plain[i].over);
            while (!up[i].status && !up[i].over)
                here_run(&x.h, 1000);
            CHECK(plain[i].got == 5 && up[i].status == 101 && !up[i].got);
        }
        for (size_t i = 0; i < LEN(up); i++) {    /* calls come and go, and those that were upgraded stay */
            peer_call(c, &plain[i], PEER_REQUEST("GET", "/end/respond"), &peer_whole);
            here_until(&x.h, &plain[i].over);
            hcall_write(up[i].c, S("raw"));
            while (!up[i].got && !up[i].over)
                here_run(&x.h, 1000);
            CHECK(!plain[i].failed && !up[i].over && up[i].got == 5);
        }
        httpc_free(c);
        served_end(&x);
    }
}

TEST(no_more_calls_than_were_configured_are_on_a_connection_at_once)
{
    struct peer p;
    struct peer_call q[3] = { 0 };
    peer_begin(&p, HTTP_2);
    use(&p, (struct httpc_config){ .version = HTTP_2, .max_calls = 2 });
    for (size_t i = 0; i < LEN(q); i++)
        peer_call(p.c, &q[i], PEER_REQUEST("GET", "/open"), &peer_whole);
    here_until_is(&p.h, &p.requests, 2);
    here_run(&p.h, 5000);
    CHECK_INT(p.requests, 2);
    hcall_cancel(q[0].c);
    here_until_is(&p.h, &p.requests, 3);
    CHECK(p.n == 1 && !q[1].over && !q[2].over);
    peer_end(&p);
}

/* RFC 9113 section 5.1.1: what was begun ends where it is, the next call gets another connection. */
TEST(a_connection_without_numbers_is_followed_by_another)
{
    struct peer p;
    struct peer_call first = { 0 }, last = { 0 }, next = { 0 };
    peer_begin(&p, HTTP_2);
    peer_call(p.c, &first, PEER_REQUEST("GET", "/bare"), &peer_whole);
    here_until(&p.h, &first.over);
    p.c->conns->h2->next_local = STREAM_MAX;
    peer_call(p.c, &last, PEER_REQUEST("GET", "/open"), &peer_whole);
    peer_call(p.c, &next, PEER_REQUEST("GET", "/bare"), &peer_whole);
    here_until(&p.h, &next.over);
    CHECK(!next.failed && p.n == 2 && !last.over);
    hcall_cancel(last.c);
    here_until_is(&p.h, &p.lost, 1);
    CHECK(!httpc_is_spent(p.c));
    peer_end(&p);
}

/* The one under way is not waited for: it was begun with what is no longer valid. */
TEST(a_client_that_is_renewed_while_it_connects_connects_again)
{
    struct peer p;
    struct peer_call q[2] = { 0 };
    peer_begin(&p, HTTP_2);
    peer_call(p.c, &q[0], PEER_REQUEST("GET", "/bare"), &peer_whole);
    here_turn(&p.h);                              /* it connects, and nobody has looked whether it is through */
    peer_call(p.c, &q[1], PEER_REQUEST("GET", "/bare"), &peer_whole);
    httpc_renew(p.c);
    for (size_t i = 0; i < LEN(q); i++) {
        here_until(&p.h, &q[i].over);
        CHECK(!q[i].failed);
    }
    here_until_is(&p.h, &p.n, 2);
    CHECK(!p.lost && !p.ones[0].in.n);            /* it never was open */
    peer_end(&p);
}

/* A socket that was given is the only one: it takes no call any more once it is dead or on its way out. */
TEST(a_socket_that_was_given_is_spent_at_once)
{
    for (int renew = 0; renew < 2; renew++) {
        struct served x;
        struct peer_call q = { 0 }, next = { 0 };
        int fd[2];
        served_begin(&x, NULL, true);
        CHECK_OR(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
        httpd_serve_fd(x.d, fd[0]);
        struct httpc *c = httpc_new(x.h.loop, &(struct httpc_config){ .target = { .host = S("t"), .fd = fd[1] } });
        peer_call(c, &q, PEER_REQUEST("GET", "/end/hold"), &peer_whole);
        while (!x.held && !q.over)
            here_run(&x.h, 1000);
        CHECK_OR(x.held);
        CHECK(!httpc_is_spent(c));
        if (renew)
            httpc_renew(c);
        else
            hcall_cancel(q.c);
        CHECK(httpc_is_spent(c));
        peer_call(c, &next, PEER_REQUEST("GET", "/end/respond"), &peer_whole);
        if (renew)
            hreq_respond(x.held, 200, (struct http_fields){ 0 }, S("held"));
        here_until(&x.h, &next.over);
        CHECK(next.failed && q.over == renew && !q.failed && q.got == (renew ? 4 : 0));
        httpc_free(c);
        served_end(&x);
    }
}

/* ---- connections that end ------------------------------------------------------------------------------------------------- */

static struct httpc **to_close;
static void ended_and_close(struct hcall *h, struct http_fields t)
{
    peer_ended(h, t);
    httpc_free(TAKE(*to_close));
}

/* The end of the connection is the end of the answer, and its user closes the client with it. */
TEST(the_end_of_an_answer_and_of_the_client_is_the_end_of_the_connection)
{
    struct hcall_user user = peer_whole;
    struct peer p;
    struct peer_call q = { 0 };
    user.end = ended_and_close;
    peer_begin(&p, HTTP_11);
    to_close = &p.c;
    p.say = "HTTP/1.1 200 OK\r\n\r\nhello";
    p.hang_up = true;
    peer_call(p.c, &q, PEER_REQUEST("GET", "/"), &user);
    here_until(&p.h, &q.over);
    CHECK(!q.failed && q.got == 5 && !p.c && !p.lost);
    peer_end(&p);
}

/* A server that is silent was asked under a call that is gone: the next one gives it as long again, and no second PING. */
TEST(a_server_that_was_asked_already_is_given_as_long_again)
{
    struct peer p;
    struct peer_call q = { 0 };
    peer_begin(&p, HTTP_2);
    use(&p, (struct httpc_config){ .version = HTTP_2, .keepalive_us = 20000000 });
    peer_call(p.c, &q, PEER_REQUEST("GET", "/bare"), &peer_whole);
    here_until(&p.h, &q.over);
    link_pause_read(p.ones[0].link, true);
    here_run(&p.h, 20000);                        /* what it has said so far is heard before */
    here_skip(&p.h, 20000001);
    peer_call(p.c, &q, PEER_REQUEST("POST", "/hold"), &peer_whole);
    here_run(&p.h, 2000);                         /* it is asked */
    hcall_cancel(q.c);
    here_skip(&p.h, 20000001);
    here_run(&p.h, 2000);                         /* nobody waits for the answer */
    CHECK(!p.lost && p.n == 1);
    peer_call(p.c, &q, PEER_REQUEST("POST", "/hold"), &peer_whole);
    here_run(&p.h, 2000);
    CHECK(!q.over);
    here_skip(&p.h, 20000001);
    here_until(&p.h, &q.over);
    CHECK(q.code == KR_UNAVAILABLE && str_find(str_of(q.msg), S("has gone silent")) > 0 && p.n == 1);
    peer_end(&p);
}

/* A socket of IPv6 loopback that listens and takes nobody any more, and another that keeps its port shut for IPv4: -1 without IPv6. */
static int full_and_shut(int fd[4], uint16_t *port)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t n = sizeof six;
    for (int i = 0; i < 4; i++)
        fd[i] = socket(i == 1 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(fd[0], (struct sockaddr *)&six, n) < 0 || listen(fd[0], 0) < 0 || getsockname(fd[0], (struct sockaddr *)&six, &n) < 0)
        return -1;
    four.sin_port = six.sin6_port;
    if (bind(fd[1], (struct sockaddr *)&four, sizeof four) < 0)
        return -1;
    for (int i = 2; i < 4; i++)                   /* the queue has room for one */
        connect(fd[i], (struct sockaddr *)&six, n);
    *port = ntohs(six.sin6_port);
    return 0;
}

/* "localhost" has two addresses: what the first one said is told when the second says nothing. */
TEST(who_does_not_connect_in_time_is_told_of_the_address_before)
{
    struct peer p;
    struct peer_call q = { 0 };
    int fd[4];
    uint16_t port;
    peer_begin(&p, HTTP_11);
    if (full_and_shut(fd, &port) == 0) {          /* not every machine has IPv6 */
        use(&p, (struct httpc_config){ .target = { .host = S("localhost"), .port = port }, .version = HTTP_11, .connect_timeout_us = 300000000 });
        peer_call(p.c, &q, PEER_REQUEST("GET", "/"), &peer_whole);
        for (int i = 0; i < 10 && !q.over; i++)
            here_run(&p.h, 5000);
        CHECK(!q.over);
        here_skip(&p.h, 300000001);
        here_until(&p.h, &q.over);
        CHECK(q.code == KR_UNAVAILABLE && str_find(str_of(q.msg), S("no connection in time: 127.0.0.1:")) > 0);
    }
    for (int i = 0; i < 4; i++)
        if (fd[i] >= 0)
            close(fd[i]);
    peer_end(&p);
}
