/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: the cases of gRPC's interop tests, in the words of its "interop test descriptions", against other people's
 * servers (tests/interop/grpc_go.py). Each case is one or two calls one after the other; what isn't as described is told.
 */
#include "tests/interop/testing/testing.h"
#include <stdio.h>

enum { CALL_US = 20000000, SOAK = 50 };
static const char zeros[1 << 20];
static const int32_t asked[] = { 31415, 9, 2653, 58979 }, sent[] = { 27182, 8, 1828, 45904 };

/* One call and what came of it. */
struct one {
    struct loop *loop;
    struct grpc_call *call;
    bool over;
    int status;
    struct buf text, head, tail;
    size_t sizes[8], n;                          /* of the payloads, in order */
    int32_t sum;                                 /* StreamingInputCall's answer */
    void (*on_message)(struct one *);            /* may be NULL */
    bool input;                                  /* answers are StreamingInputCallResponse */
};
struct run { struct loop *loop; struct grpc_client *client; const char *name; uint16_t port; int failed; };

static void expect(struct run *u, bool ok, const char *what)
{
    if (!ok && !u->failed++)
        printf("FAIL %s: %s\n", u->name, what);
}

/* The status, or the call's own words for what went wrong. */
static void expect_ok(struct run *u, const struct one *o)
{
    if (o->status != GRPC_OK)
        expect(u, false, o->text.n ? o->text.p : grpc_status_name(o->status));
}

static void metadata(void *ctx, struct http_fields f, bool trailing)
{
    struct one *o = ctx;
    struct str v = http_get(f, trailing ? "x-grpc-test-echo-trailing-bin" : "x-grpc-test-echo-initial");
    buf_str(trailing ? &o->tail : &o->head, v);
}

static void message(void *ctx, struct str bytes)
{
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    struct one *o = ctx;
    struct kr_err e = { 0 };
    grpc_testing_SimpleResponse answer = { 0 };
    grpc_testing_StreamingInputCallResponse sum = { 0 };
    if (o->input && pb_from_bytes(TESTING(StreamingInputCallResponse), &sum, bytes, &a, &e) == 0)
        o->sum = sum.aggregated_payload_size;
    else if (!o->input && pb_from_bytes(TESTING(SimpleResponse), &answer, bytes, &a, &e) == 0 && o->n < LEN(o->sizes))
        o->sizes[o->n] = answer.payload ? answer.payload->body.n : 0;
    o->n++;
    if (o->on_message)
        o->on_message(o);
}

static void done(void *ctx, int status, struct str text)
{
    struct one *o = ctx;
    o->over = true;
    o->status = status;
    buf_str(&o->text, text);
}

static bool is_over(void *ctx) { return ((struct one *)ctx)->over; }
static void wait_for(struct one *o)
{
    if (loop_run_until(o->loop, is_over, o, loop_now_us(o->loop) + 2 * (int64_t)CALL_US) < 0)
        o->status = -1;
}

static void one_free(struct one *o)
{
    buf_free(&o->text);
    buf_free(&o->head);
    buf_free(&o->tail);
}
#define AUTO_ONE __attribute__((cleanup(one_free)))
#define ONE(u) { .loop = (u)->loop, .text = { .max = 4096 }, .head = { .max = 4096 }, .tail = { .max = 4096 } }

/* Begins a call. msg NULL: it is open, and nothing is sent yet. */
static void begin(struct run *u, struct one *o, const char *path, const pb_msgdesc_t *d, const void *msg, struct grpc_options g)
{
    AUTO_BUF struct buf b = { .max = 2 << 20 };
    struct kr_err e = { 0 };
    if (msg && pb_to_bytes(d, msg, &b, &e) < 0)
        expect(u, false, e.msg);
    g.open = !msg;
    g.timeout_us = g.timeout_us ? g.timeout_us : CALL_US;
    o->call = grpc_call(u->client, path, msg ? buf_view(&b) : (struct str){ 0 }, &g, (struct grpc_user){ message, done, o, metadata });
}
#define SERVICE "/grpc.testing.TestService/"

static void send(struct run *u, struct one *o, const pb_msgdesc_t *d, const void *msg)
{
    AUTO_BUF struct buf b = { .max = 2 << 20 };
    struct kr_err e = { 0 };
    if (pb_to_bytes(d, msg, &b, &e) < 0)
        expect(u, false, e.msg);
    grpc_send(o->call, buf_view(&b));
}

/* ---- the cases ---- */

static void empty_unary(struct run *u)
{
    AUTO_ONE struct one o = ONE(u);
    begin(u, &o, SERVICE "EmptyCall", TESTING(Empty), &(grpc_testing_Empty){ 0 }, (struct grpc_options){ 0 });
    wait_for(&o);
    expect_ok(u, &o);
    expect(u, o.n == 1, "one empty answer");
}

static void large_unary(struct run *u)
{
    AUTO_ONE struct one o = ONE(u);
    grpc_testing_Payload p = { .body = { zeros, 271828 } };
    begin(u, &o, SERVICE "UnaryCall", TESTING(SimpleRequest), &(grpc_testing_SimpleRequest){ .response_size = 314159, .payload = &p }, (struct grpc_options){ 0 });
    wait_for(&o);
    expect_ok(u, &o);
    expect(u, o.n == 1 && o.sizes[0] == 314159, "one answer of 314159 bytes");
}

static void client_streaming(struct run *u)
{
    AUTO_ONE struct one o = ONE(u);
    o.input = true;
    begin(u, &o, SERVICE "StreamingInputCall", NULL, NULL, (struct grpc_options){ 0 });
    for (size_t i = 0; i < LEN(sent); i++) {
        grpc_testing_Payload p = { .body = { zeros, (size_t)sent[i] } };
        send(u, &o, TESTING(StreamingInputCallRequest), &(grpc_testing_StreamingInputCallRequest){ .payload = &p });
    }
    grpc_half_close(o.call);
    wait_for(&o);
    expect_ok(u, &o);
    expect(u, o.n == 1 && o.sum == 74922, "a sum of 74922");
}

static void expect_asked(struct run *u, const struct one *o)
{
    expect_ok(u, o);
    expect(u, o->n == LEN(asked), "four answers");
    for (size_t i = 0; i < LEN(asked); i++)
        expect(u, o->sizes[i] == (size_t)asked[i], "sizes as asked for");
}

static void server_streaming(struct run *u)
{
    AUTO_ONE struct one o = ONE(u);
    grpc_testing_ResponseParameters want[LEN(asked)] = { 0 };
    for (size_t i = 0; i < LEN(asked); i++)
        want[i].size = asked[i];
    grpc_testing_StreamingOutputCallRequest q = { .response_parameters = want, .response_parameters_count = LEN(asked) };
    begin(u, &o, SERVICE "StreamingOutputCall", TESTING(StreamingOutputCallRequest), &q, (struct grpc_options){ 0 });
    wait_for(&o);
    expect_asked(u, &o);
}

static struct run *current;
static void ping(struct one *o)
{
    if (o->n >= LEN(asked)) {
        grpc_half_close(o->call);
        return;
    }
    grpc_testing_Payload p = { .body = { zeros, (size_t)sent[o->n] } };
    grpc_testing_ResponseParameters want = { .size = asked[o->n] };
    send(current, o, TESTING(StreamingOutputCallRequest),
         &(grpc_testing_StreamingOutputCallRequest){ .response_parameters = &want, .response_parameters_count = 1, .payload = &p });
}

static void ping_pong(struct run *u)
{
    AUTO_ONE struct one o = ONE(u);
    o.on_message = ping;
    begin(u, &o, SERVICE "FullDuplexCall", NULL, NULL, (struct grpc_options){ 0 });
    ping(&o);
    wait_for(&o);
    expect_asked(u, &o);
}

static void empty_stream(struct run *u)
{
    AUTO_ONE struct one o = ONE(u);
    begin(u, &o, SERVICE "FullDuplexCall", NULL, NULL, (struct grpc_options){ 0 });
    grpc_half_close(o.call);
    wait_for(&o);
    expect_ok(u, &o);
    expect(u, o.n == 0, "no answer and OK");
}

static void timeout_on_sleeping_server(struct run *u)
{
    AUTO_ONE struct one o = ONE(u);
    grpc_testing_Payload p = { .body = { zeros, 27182 } };
    begin(u, &o, SERVICE "FullDuplexCall", NULL, NULL, (struct grpc_options){ .timeout_us = 1000 });
    send(u, &o, TESTING(StreamingOutputCallRequest), &(grpc_testing_StreamingOutputCallRequest){ .payload = &p });
    wait_for(&o);
    expect(u, o.status == GRPC_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED");
}

/* A call that is cancelled says nothing more; the connection carries the next one. */
static void cancel_after_begin(struct run *u)
{
    AUTO_ONE struct one o = ONE(u);
    begin(u, &o, SERVICE "StreamingInputCall", NULL, NULL, (struct grpc_options){ 0 });
    grpc_cancel(o.call);
    empty_unary(u);
    expect(u, !o.over && o.n == 0, "nothing of a call that was cancelled");
}

static void cancel_it(struct one *o)
{
    grpc_cancel(o->call);
    o->over = true;
}

static void cancel_after_first_response(struct run *u)
{
    AUTO_ONE struct one o = ONE(u);
    o.on_message = cancel_it;
    o.status = -2;
    begin(u, &o, SERVICE "FullDuplexCall", NULL, NULL, (struct grpc_options){ 0 });
    ping(&o);
    wait_for(&o);
    empty_unary(u);
    expect(u, o.n == 1 && o.sizes[0] == 31415 && o.status == -2, "one answer, then nothing");
}

static void expect_status(struct run *u, const struct one *o, const char *text)
{
    expect(u, o->status == GRPC_UNKNOWN, "status UNKNOWN");
    expect(u, str_is(buf_view(&o->text), text), "its message");
}

static void status_code_and_message(struct run *u)
{
    AUTO_ONE struct one unary = ONE(u), duplex = ONE(u);
    char text[] = "test status message";
    grpc_testing_EchoStatus s = { GRPC_UNKNOWN, text };
    begin(u, &unary, SERVICE "UnaryCall", TESTING(SimpleRequest), &(grpc_testing_SimpleRequest){ .response_status = &s }, (struct grpc_options){ 0 });
    wait_for(&unary);
    expect_status(u, &unary, text);
    begin(u, &duplex, SERVICE "FullDuplexCall", NULL, NULL, (struct grpc_options){ 0 });
    send(u, &duplex, TESTING(StreamingOutputCallRequest), &(grpc_testing_StreamingOutputCallRequest){ .response_status = &s });
    grpc_half_close(duplex.call);
    wait_for(&duplex);
    expect_status(u, &duplex, text);
}

static void special_status_message(struct run *u)
{
    AUTO_ONE struct one o = ONE(u);
    char text[] = "\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and non-BMP \xf0\x9f\x98\x88\t\n";
    grpc_testing_EchoStatus s = { GRPC_UNKNOWN, text };
    begin(u, &o, SERVICE "UnaryCall", TESTING(SimpleRequest), &(grpc_testing_SimpleRequest){ .response_status = &s }, (struct grpc_options){ 0 });
    wait_for(&o);
    expect_status(u, &o, text);
}

static void expect_echo(struct run *u, const struct one *o)
{
    expect_ok(u, o);
    expect(u, o->n == 1 && o->sizes[0] == 314159, "one answer of 314159 bytes");
    expect(u, str_is(buf_view(&o->head), "test_initial_metadata_value"), "the metadata ahead of it");
    expect(u, str_is(buf_view(&o->tail), "q6ur") || str_is(buf_view(&o->tail), "q6ur\n"), "the metadata behind it: ababab in base64");
}

static void custom_metadata(struct run *u)
{
    AUTO_ONE struct one unary = ONE(u), duplex = ONE(u);
    struct http_field f[] = { { S("x-grpc-test-echo-initial"), S("test_initial_metadata_value") }, { S("x-grpc-test-echo-trailing-bin"), S("q6ur") } };
    struct grpc_options g = { .metadata = { f, 2 } };
    grpc_testing_Payload p = { .body = { zeros, 271828 } };
    grpc_testing_ResponseParameters want = { .size = 314159 };
    begin(u, &unary, SERVICE "UnaryCall", TESTING(SimpleRequest), &(grpc_testing_SimpleRequest){ .response_size = 314159, .payload = &p }, g);
    wait_for(&unary);
    expect_echo(u, &unary);
    begin(u, &duplex, SERVICE "FullDuplexCall", NULL, NULL, g);
    send(u, &duplex, TESTING(StreamingOutputCallRequest),
         &(grpc_testing_StreamingOutputCallRequest){ .response_parameters = &want, .response_parameters_count = 1, .payload = &p });
    grpc_half_close(duplex.call);
    wait_for(&duplex);
    expect_echo(u, &duplex);
}

static void unimplemented(struct run *u, const char *path)
{
    AUTO_ONE struct one o = ONE(u);
    begin(u, &o, path, TESTING(Empty), &(grpc_testing_Empty){ 0 }, (struct grpc_options){ 0 });
    wait_for(&o);
    expect(u, o.status == GRPC_UNIMPLEMENTED, "UNIMPLEMENTED");
}
static void unimplemented_method(struct run *u) { unimplemented(u, SERVICE "UnimplementedCall"); }
static void unimplemented_service(struct run *u) { unimplemented(u, "/grpc.testing.UnimplementedService/UnimplementedCall"); }

static void rpc_soak(struct run *u)
{
    for (int i = 0; i < SOAK && !u->failed; i++)
        large_unary(u);
}

/* Each call on a connection of its own. */
static void channel_soak(struct run *u)
{
    for (int i = 0; i < SOAK && !u->failed; i++) {
        large_unary(u);
        grpc_client_free(u->client);
        u->client = grpc_client_new(u->loop, S("127.0.0.1"), u->port);
    }
}

static const struct { const char *name; void (*run)(struct run *); } cases[] = {
    { "empty_unary", empty_unary }, { "large_unary", large_unary }, { "client_streaming", client_streaming },
    { "server_streaming", server_streaming }, { "ping_pong", ping_pong }, { "empty_stream", empty_stream },
    { "timeout_on_sleeping_server", timeout_on_sleeping_server }, { "cancel_after_begin", cancel_after_begin },
    { "cancel_after_first_response", cancel_after_first_response }, { "status_code_and_message", status_code_and_message },
    { "special_status_message", special_status_message }, { "custom_metadata", custom_metadata },
    { "unimplemented_method", unimplemented_method }, { "unimplemented_service", unimplemented_service },
    { "rpc_soak", rpc_soak }, { "channel_soak", channel_soak } };

int testing_call(struct loop *loop, uint16_t port, char **names, int n)
{
    int failed = 0;
    for (int i = 0; i < n; i++) {
        struct run u = { .loop = loop, .client = grpc_client_new(loop, S("127.0.0.1"), port), .name = names[i], .port = port };
        size_t k = 0;
        while (k < LEN(cases) && strcmp(cases[k].name, names[i]))
            k++;
        current = &u;
        if (k < LEN(cases))
            cases[k].run(&u);
        expect(&u, k < LEN(cases), "no such case");
        if (!u.failed)
            printf("ok %s\n", names[i]);
        failed += u.failed != 0;
        grpc_client_free(u.client);
    }
    return failed;
}
