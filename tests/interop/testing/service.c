/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service: TestService: answers of the sizes that are asked for, at the intervals that are asked for, echoed metadata and
 * status. Other people's clients run their cases against it (tests/interop/grpc_go.py).
 */
#include "tests/interop/testing/testing.h"
#include <signal.h>
#include <stdio.h>

static const char zeros[1 << 20];
static const char echo_head[] = "x-grpc-test-echo-initial", echo_tail[] = "x-grpc-test-echo-trailing-bin";

/* ---- what every method does ---- */

static void head(struct grpc_request *r)
{
    struct str value = http_get(grpc_metadata(r), echo_head);
    struct http_field f[] = { { S("x-grpc-test-echo-initial"), value } };
    grpc_head(r, (struct http_fields){ f, value.n ? 1 : 0 });
}

static void end(struct grpc_request *r, int status, struct str text)
{
    struct str value = http_get(grpc_metadata(r), echo_tail);
    struct http_field f[] = { { S("x-grpc-test-echo-trailing-bin"), value } };
    head(r);
    grpc_end_with(r, status, text, (struct http_fields){ f, value.n ? 1 : 0 });
}

/* True: the request asked for a status and has it now. */
static bool asked_status(struct grpc_request *r, const grpc_testing_EchoStatus *s)
{
    if (!s || !s->code)
        return false;
    end(r, s->code, pb_str(s->message));
    return true;
}

/* Responses differ in type but not in shape: a payload in field 1. */
static bool reply(struct grpc_request *r, int32_t size, char *server_id)
{
    if (size < 0 || (size_t)size > sizeof zeros) {
        end(r, GRPC_INVALID_ARGUMENT, S("no such size"));
        return false;
    }
    grpc_testing_Payload body = { .body = { zeros, (size_t)size } };
    head(r);
    return grpc_reply_pb(r, TESTING(SimpleResponse), &(grpc_testing_SimpleResponse){ .payload = &body, .server_id = server_id }) == 0;
}

/* ---- one answer ---- */

static void empty_call(struct grpc_request *r, struct str bytes)
{
    if (!grpc_decode(r, TESTING(Empty), sizeof(grpc_testing_Empty), bytes))
        return;
    head(r);
    grpc_reply(r, S(""));
    end(r, GRPC_OK, S(""));
}

static void unary_call(struct grpc_request *r, struct str bytes)
{
    grpc_testing_SimpleRequest *q = grpc_decode(r, TESTING(SimpleRequest), sizeof *q, bytes);
    char id[] = "the one";
    if (q && !asked_status(r, q->response_status) && reply(r, q->response_size, q->fill_server_id ? id : NULL))
        end(r, GRPC_OK, S(""));
}

static void input(struct grpc_request *r, struct str bytes)
{
    grpc_testing_StreamingInputCallRequest *q = grpc_decode(r, TESTING(StreamingInputCallRequest), sizeof *q, bytes);
    int32_t *sum = grpc_user(r);
    if (!q)
        return;
    if (!sum)
        grpc_set_user(r, sum = arena_new(grpc_arena(r), int32_t));
    if (sum && q->payload)
        *sum += (int32_t)q->payload->body.n;
}

static void input_ends(struct grpc_request *r)
{
    int32_t *sum = grpc_user(r);
    grpc_testing_StreamingInputCallResponse a = { .aggregated_payload_size = sum ? *sum : 0 };
    head(r);
    if (grpc_reply_pb(r, TESTING(StreamingInputCallResponse), &a) == 0)
        end(r, GRPC_OK, S(""));
}

/* ---- many answers: each waits its interval after the one before ---- */

struct due { struct due *next; int32_t size; int64_t interval_us; };
struct output {
    struct grpc_request *r;
    struct loop *loop;
    struct due *first, **end;
    struct timer timer;
    bool last;                                   /* nothing more is asked for */
};

static void go_on(struct output *o)
{
    while (o->first && !o->first->interval_us) {
        int32_t size = o->first->size;
        o->first = o->first->next;
        if (!reply(o->r, size, NULL))
            return;
    }
    if (!o->first)
        o->end = &o->first;
    if (o->first && !timer_is_set(&o->timer))
        loop_timer_in(o->loop, &o->timer, o->first->interval_us);
    else if (!o->first && o->last)
        end(o->r, GRPC_OK, S(""));
}

static void interval_over(struct loop *loop, struct timer *t)
{
    struct output *o = container_of(t, struct output, timer);
    (void)loop;
    o->first->interval_us = 0;
    go_on(o);
}

static struct output *output_of(struct grpc_request *r)
{
    struct output *o = grpc_user(r);
    if (!o && (o = arena_new(grpc_arena(r), struct output))) {
        *o = (struct output){ .r = r, .loop = grpc_service_ctx(r), .timer = { .fire = interval_over } };
        o->end = &o->first;
        grpc_set_user(r, o);
    }
    return o;
}

static void output(struct grpc_request *r, struct str bytes)
{
    grpc_testing_StreamingOutputCallRequest *q = grpc_decode(r, TESTING(StreamingOutputCallRequest), sizeof *q, bytes);
    struct output *o = q ? output_of(r) : NULL;
    if (!o || asked_status(r, q->response_status))
        return;
    for (size_t i = 0; i < q->response_parameters_count; i++) {
        struct due *d = arena_new(grpc_arena(r), struct due);
        if (!d)
            return end(r, GRPC_RESOURCE_EXHAUSTED, S("too many answers are asked for"));
        *d = (struct due){ .size = q->response_parameters[i].size, .interval_us = q->response_parameters[i].interval_us };
        *o->end = d;
        o->end = &d->next;
    }
    go_on(o);
}

static void output_once(struct grpc_request *r, struct str bytes)
{
    struct output *o = output_of(r);
    if (o)
        o->last = true;
    output(r, bytes);
}

static void output_ends(struct grpc_request *r)
{
    struct output *o = output_of(r);
    if (o) {
        o->last = true;
        go_on(o);
    }
}

static void output_gone(struct grpc_request *r)
{
    struct output *o = grpc_user(r);
    if (o)
        loop_timer_stop(o->loop, &o->timer);
}

/* ---- the server ---- */

static const struct grpc_method methods[] = {
    { "EmptyCall", .message = empty_call },
    { "UnaryCall", .message = unary_call },
    { "StreamingInputCall", .stream_in = true, .message = input, .half_closed = input_ends },
    { "StreamingOutputCall", .message = output_once, .gone = output_gone },
    { "FullDuplexCall", .stream_in = true, .message = output, .half_closed = output_ends, .gone = output_gone },
    { 0 } };

static void told(struct loop *loop, int sig, void *ctx)
{
    (void)sig, (void)ctx;
    loop_stop(loop);
}

int testing_serve(struct loop *loop)
{
    struct grpc_service service = { "grpc.testing.TestService", methods, loop };
    struct kr_err e = { 0 };
    struct grpc_server *s = grpc_server_new(loop, &(struct grpc_server_config){ .host = S("127.0.0.1"), .services = &service, .n = 1 }, &e);
    if (!s) {
        fprintf(stderr, "interop: %s\n", e.msg);
        return 1;
    }
    loop_signals(loop, (const int[]){ SIGTERM }, 1, told, NULL);
    printf("port %u\n", grpc_server_port(s));
    fflush(stdout);
    loop_run(loop);
    grpc_server_free(s);
    loop_free(loop);
    return 0;
}
