/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded API server, a "pod" that is a gRPC server behind a door which counts who comes in. */
#include "k8s/pod_way.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>

enum { READERS = 20, MESSAGES = 50 };
struct pod {
    struct here h;
    struct grpc_server *server;
    struct listener *door;
    struct through { struct link *in, *out; } t[4];
    int visits;
};
struct reader { struct pod_way *way; struct grpc_call *call; int messages, status; bool over; size_t bytes; char text[300]; };

static void tail(struct grpc_request *r, struct str bytes)
{
    for (int i = 0; i < MESSAGES; i++)
        grpc_reply(r, bytes);
    if (!str_is(bytes, "stay"))
        grpc_end(r, GRPC_OK, S(""));
}
static const struct grpc_method methods[] = { { .name = "Tail", .message = tail }, { 0 } };
static const struct grpc_service service = { "test.Logs", methods, NULL };

static void pour(struct link *from, struct link *to)
{
    char chunk[16384];
    ptrdiff_t n;
    while ((n = link_read(from, chunk, sizeof chunk)) > 0)
        CHECK_INT(link_write(to, chunk, (size_t)n), n);
}
static void through_ready(struct link *l, void *ctx)
{
    struct through *t = ctx;
    (void)l;
    if (!t->out || !t->in || !link_is_open(t->out))
        return;
    pour(t->in, t->out);
    pour(t->out, t->in);
}
static void visit(void *ctx, int fd)
{
    struct pod *p = ctx;
    struct through *t = &p->t[p->visits++ % (int)LEN(p->t)];
    t->out = link_connect(p->h.loop, &(struct link_target){ .host = S("127.0.0.1"), .port = grpc_server_port(p->server) }, (struct link_user){ through_ready, t });
    t->in = link_accept(p->h.loop, fd, NULL, (struct link_user){ through_ready, t });
}

static void begin(struct pod *p)
{
    struct kr_err e = { 0 };
    struct here_answer r = { 0 };
    here_init(&p->h);
    p->server = grpc_server_new(p->h.loop, &(struct grpc_server_config){ .host = S("127.0.0.1"), .services = &service, .n = 1 }, &e);
    p->door = listen_tcp(p->h.loop, S("127.0.0.1"), 0, visit, p, &e);
    if (!CHECK(p->server && p->door))
        abort();
    kube_create(p->h.kube, &kube_pods, S("default"), S("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}"),
                here_into(&r));
    here_until(&p->h, &r.over);
    CHECK_INT(r.status, 201);
    kube_merge_patch(p->h.kube, &kube_pods, S("default"), S("p"), "status", S("{\"status\":{\"podIP\":\"127.0.0.1\",\"phase\":\"Running\"}}"), here_into(&r));
    here_until(&p->h, &r.over);
    CHECK_INT(r.status, 200);
    here_answer_free(&r);
}

static void hang_up(struct pod *p)
{
    for (size_t i = 0; i < LEN(p->t); i++) {
        link_close(TAKE(p->t[i].in));
        link_close(TAKE(p->t[i].out));
    }
}
static void end(struct pod *p)
{
    hang_up(p);
    listener_close(p->door);
    grpc_server_free(p->server);
    here_done(&p->h);
}

static void on_message(void *ctx, struct str bytes)
{
    struct reader *q = ctx;
    q->messages++;
    q->bytes += bytes.n;
}
static void on_done(void *ctx, int status, struct str text)
{
    struct reader *q = ctx;
    CHECK(!q->over);
    q->over = true;
    q->call = NULL;
    q->status = status;
    snprintf(q->text, sizeof q->text, "%.*s", SFMT(text));
}
static void ask(struct pod *p, struct reader *q, const char *pod, struct str what)
{
    struct pod_way *way = q->way ? q->way : pod_way_open(p->h.kube, S("default"), str_of(pod), listener_port(p->door), &p->h.rnd);
    *q = (struct reader){ .way = way };
    q->call = grpc_call(pod_way_client(way), "/test.Logs/Tail", what, &(struct grpc_options){ .timeout_us = 60000000 }, (struct grpc_user){ on_message, on_done, q });
}

TEST(many_streams_of_one_pod_share_one_port_forward)
{
    static struct reader q[READERS];
    static char big[3000];
    struct pod p = { 0 };
    begin(&p);
    for (int i = 0; i < READERS; i++)
        ask(&p, &q[i], "p", i % 2 ? (struct str){ big, sizeof big } : S("small"));
    for (int i = 0; i < READERS; i++) {
        here_until(&p.h, &q[i].over);
        CHECK_INT(q[i].status, GRPC_OK);
        CHECK_INT(q[i].messages, MESSAGES);
        CHECK_INT(q[i].bytes, MESSAGES * (i % 2 ? sizeof big : 5));
        CHECK(q[i].way == q[0].way);
    }
    ask(&p, &q[0], "p", S("again"));              /* later, too */
    here_until(&p.h, &q[0].over);
    CHECK_INT(q[0].status, GRPC_OK);
    CHECK_INT(p.visits, 1);
    for (int i = 0; i < READERS; i++)
        pod_way_close(q[i].way);
    end(&p);
}

TEST(a_way_that_has_ended_is_opened_anew)
{
    struct reader q[3] = { 0 };
    struct pod p = { 0 };
    begin(&p);
    for (int i = 0; i < 2; i++)
        ask(&p, &q[i], "p", S("stay"));
    for (int i = 0; i < 2; i++)
        here_until_is(&p.h, &q[i].messages, MESSAGES);
    hang_up(&p);
    for (int i = 0; i < 2; i++) {
        here_until(&p.h, &q[i].over);
        CHECK_INT(q[i].status, GRPC_UNAVAILABLE);
    }
    for (int i = 0; i < 2; i++) {
        ask(&p, &q[i], "p", S("more"));
        here_until(&p.h, &q[i].over);
        CHECK_INT(q[i].status, GRPC_OK);
    }
    CHECK_INT(p.visits, 2);
    ask(&p, &q[2], "p", S("stay"));               /* one goes while it reads, the others stay */
    here_until_is(&p.h, &q[2].messages, 1);
    grpc_cancel(q[2].call);
    pod_way_close(q[2].way);
    ask(&p, &q[0], "p", S("more"));
    here_until(&p.h, &q[0].over);
    CHECK_INT(q[0].status, GRPC_OK);
    CHECK_INT(p.visits, 2);
    pod_way_close(q[0].way);
    pod_way_close(q[1].way);
    end(&p);
}

TEST(why_there_is_no_way_is_told)
{
    struct reader q = { 0 };
    struct pod p = { 0 };
    begin(&p);
    ask(&p, &q, "nobody", S("x"));
    here_until(&p.h, &q.over);
    CHECK_INT(q.status, GRPC_UNAVAILABLE);
    CHECK_INT(pod_way_error(q.way)->code, KR_NOT_FOUND);
    if (!CHECK(str_find(str_of(pod_way_error(q.way)->msg), S("no such pod")) >= 0))
        printf("    %s\n", pod_way_error(q.way)->msg);
    pod_way_close(q.way);
    end(&p);
}
