/* SPDX-License-Identifier: Apache-2.0 */
/* logs_pod: a loopback address of the process's own, as the port is the same for every pod. */
#include "tests/kit/logs_pod.h"
#include "grpc/proto/logs.pb.h"
#include "tests/kit/test.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PORT = 9093 };

static struct str field(struct grpc_request *r, const char *name)
{
    struct http_fields f = grpc_metadata(r);
    for (size_t i = 0; i < f.n; i++)
        if (str_is(f.v[i].name, name))
            return f.v[i].value;
    return S("");
}

static void say(struct grpc_request *r, int stream, struct str text, int64_t attempt)
{
    kruntimes_logs_v1_TailChunk chunk = { .stream = stream, .data = pb_bytes(grpc_arena(r), text), .unix_nano = 5000, .attempt = (int32_t)attempt };
    grpc_reply_pb(r, kruntimes_logs_v1_TailChunk_fields, &chunk);
}

static void say_lines(struct grpc_request *r, int64_t attempt)
{
    char line[200];
    snprintf(line, sizeof line, "%.*s %d\n", SFMT(field(r, "kruntimes-run")), (int)attempt);
    say(r, 1, str_of(line), attempt);
    say(r, 2, S("err\n"), attempt);
}

/* As far as the n-th call goes. True: that was all. */
static bool say_pieces(struct grpc_request *r, const kruntimes_logs_v1_TailRequest *q, int n)
{
    static const struct { int64_t at; int stream; const char *text; } pieces[] = {
        { 5, 1, "a\n" }, { 5, 2, "b\n" }, { 5, 1, "c\n" }, { 6, 1, "d\n" }, { 6, 1, "e\n" }, { 6, 2, "f\n" }, { 7, 1, "g\n" } };
    for (int i = 0; i < (int)LEN(pieces) && i < n; i++) {
        kruntimes_logs_v1_TailChunk chunk = { .stream = pieces[i].stream, .data = pb_bytes(grpc_arena(r), str_of(pieces[i].text)),
                                              .unix_nano = pieces[i].at * 1000, .attempt = q->attempt };
        if (chunk.unix_nano >= q->since_unix_nano)
            grpc_reply_pb(r, kruntimes_logs_v1_TailChunk_fields, &chunk);
    }
    return n >= (int)LEN(pieces);
}

static void tail(struct grpc_request *r, struct str bytes)
{
    static char bare[10000];
    struct logs_pod *p = grpc_service_ctx(r);
    struct str key = field(r, "kruntimes-access-key");
    const kruntimes_logs_v1_TailRequest *q = grpc_decode(r, kruntimes_logs_v1_TailRequest_fields, sizeof *q, bytes);
    if (!CHECK(q && key.n == 32 && pb_str(q->run_uid).n))
        return;
    int what = key.p[31] - '0';
    p->followed = q->follow;
    p->tail_lines = q->tail_lines;
    p->calls++;
    p->open++;
    p->most = p->open > p->most ? p->open : p->most;
    memset(bare, 'b', sizeof bare);
    if (what == LOGS_BROKEN)
        grpc_reply(r, S("\xff\xff\xff"));
    for (int i = 0; i < 2 && what == LOGS_BARE; i++)
        say(r, 1, (struct str){ bare, sizeof bare }, q->attempt);
    if (what == LOGS_TEXT || what == LOGS_CUT || what == LOGS_BROKEN || what == LOGS_STAY)
        say_lines(r, q->attempt);
    bool cut = what == LOGS_CUT || (what == LOGS_PIECES && !say_pieces(r, q, p->calls));
    if (what == LOGS_STAY && CHECK(p->nheld < LEN(p->held)))
        p->held[p->nheld++] = r;
    else
        grpc_end(r, what == LOGS_REFUSED ? GRPC_PERMISSION_DENIED : what == LOGS_AWAY || cut ? GRPC_UNAVAILABLE : GRPC_OK, S("says the pod"));
}

static void gone(struct grpc_request *r)
{
    struct logs_pod *p = grpc_service_ctx(r);
    p->open--;
    for (size_t i = 0; i < p->nheld; i++)
        if (p->held[i] == r)
            p->held[i--] = p->held[--p->nheld];
}

void logs_pod_begin(struct logs_pod *p)
{
    static const struct grpc_method methods[] = { { .name = "Tail", .message = tail, .gone = gone }, { 0 } };
    struct kr_err e = { 0 };
    *p = (struct logs_pod){ .service = { "kruntimes.logs.v1.Logs", methods, p } };
    here_init(&p->h);
    snprintf(p->ip, sizeof p->ip, "127.99.%d.%d", (int)getpid() >> 8 & 255, (int)getpid() & 255);
    p->server = grpc_server_new(p->h.loop, &(struct grpc_server_config){ .host = str_of(p->ip), .port = PORT, .services = &p->service, .n = 1 }, &e);
    if (!CHECK(p->server)) {
        printf("    %s\n", e.msg);
        abort();
    }
}

void logs_pod_let_go(struct logs_pod *p)
{
    while (p->nheld)
        grpc_end(p->held[--p->nheld], GRPC_OK, S(""));
}

void logs_pod_end(struct logs_pod *p)
{
    logs_pod_let_go(p);
    grpc_server_free(p->server);
    here_done(&p->h);
}

static void wants(struct logs_pod *p, struct here_answer *r, int status, const char *what)
{
    here_until(&p->h, &r->over);
    if (!CHECK_INT(r->status, status)) {
        printf("    %s: %s\n", what, r->msg);
        fflush(stdout);
        abort();                                  /* what follows would wait for it */
    }
    here_answer_free(r);
}

void logs_pod_create(struct logs_pod *p, const struct kube_resource *kind, const char *object)
{
    struct here_answer r = { 0 };
    kube_create(p->h.kube, kind, S("default"), str_of(object), here_into(&r));
    wants(p, &r, 201, object);
}

void logs_pod_status(struct logs_pod *p, const struct kube_resource *kind, const char *name, const char *status)
{
    struct here_answer r = { 0 };
    AUTO_BUF struct buf b = { .max = 65536 };
    buf_fmt(&b, "{\"status\":{%s}}", status);
    kube_merge_patch(p->h.kube, kind, S("default"), str_of(name), "status", buf_view(&b), here_into(&r));
    wants(p, &r, 200, status);
}

void logs_pod_delete(struct logs_pod *p, const struct kube_resource *kind, const char *name)
{
    struct here_answer r = { 0 };
    kube_delete(p->h.kube, kind, S("default"), str_of(name), S(""), 0, here_into(&r));
    wants(p, &r, 200, name);
}

void logs_pod_make(struct logs_pod *p, const char *name, bool ready)
{
    char text[400];
    snprintf(text, sizeof text, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"kruntimes.io/runtime\":\"bash\"}},"
             "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}", name);
    logs_pod_create(p, &kube_pods, text);
    snprintf(text, sizeof text, "\"podIP\":\"%s\",\"phase\":\"Running\",\"conditions\":[{\"type\":\"Initialized\",\"status\":\"True\"},{\"type\":\"Ready\",\"status\":\"%s\"}]",
             p->ip, ready ? "True" : "False");
    logs_pod_status(p, &kube_pods, name, text);
}
