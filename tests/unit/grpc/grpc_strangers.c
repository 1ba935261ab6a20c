/* SPDX-License-Identifier: Apache-2.0 */
/* What gRPC's client makes of servers that speak something else, reflection, and the limits of protobuf messages. */
#include "grpc/grpc.h"
#include "grpc/proto/descriptors.h"
#include "grpc/proto/health.pb.h"
#include "grpc/proto/reflection_v1.pb.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>

#define REQUEST grpc_reflection_v1_ServerReflectionRequest
#define RESPONSE grpc_reflection_v1_ServerReflectionResponse
#define TAG(x) grpc_reflection_v1_Server##x##_tag

struct got { bool over; int status, messages, metadata, cancel_at; struct grpc_call *call; struct buf last; char text[600]; };

static void on_message(void *ctx, struct str m)
{
    struct got *g = ctx;
    buf_clear(&g->last);
    buf_str(&g->last, m);
    if (++g->messages == g->cancel_at) {
        grpc_cancel(g->call);
        grpc_cancel(g->call);                     /* once is enough */
    }
}
static void on_done(void *ctx, int status, struct str text)
{
    struct got *g = ctx;
    CHECK(!g->over && !g->cancel_at);
    g->over = true;
    g->status = status;
    snprintf(g->text, sizeof g->text, "%.*s", SFMT(text));
}
static void on_metadata(void *ctx, struct http_fields f, bool trailing) { (void)f, (void)trailing; ((struct got *)ctx)->metadata++; }
static const struct grpc_options plain = { .timeout_us = 60000000 };

/* ---- servers that answer anything ---------------------------------------------------------------------------------- */

static const struct odd { int status; const char *type; struct str body; const char *code, *message; bool trailers; int want; const char *text; } odd[] = {
    { 400, "text/plain", { "no", 2 }, "", "", false, GRPC_INTERNAL, "the peer speaks no gRPC: it answered HTTP 400" },
    { 401, "text/plain", { "no", 2 }, "", "", false, GRPC_UNAUTHENTICATED, "the peer speaks no gRPC: it answered HTTP 401" },
    { 403, "text/plain", { "no", 2 }, "", "", false, GRPC_PERMISSION_DENIED, "the peer speaks no gRPC: it answered HTTP 403" },
    { 404, "text/plain", { "no", 2 }, "", "", false, GRPC_UNIMPLEMENTED, "the peer speaks no gRPC: it answered HTTP 404" },
    { 429, "text/plain", { "no", 2 }, "", "", false, GRPC_UNAVAILABLE, "the peer speaks no gRPC: it answered HTTP 429" },
    { 500, "text/plain", { "no", 2 }, "", "", false, GRPC_UNKNOWN, "the peer speaks no gRPC: it answered HTTP 500" },
    { 503, "application/grpc", { "", 0 }, "", "", false, GRPC_UNAVAILABLE, "the peer speaks no gRPC: it answered HTTP 503" },
    { 505, "text/plain", { "no", 2 }, "", "", false, GRPC_UNKNOWN, "the peer speaks no gRPC: it answered HTTP 505" },
    { 200, "text/plain", { "hello", 5 }, "", "", false, GRPC_UNKNOWN, "the peer speaks no gRPC: it answered HTTP 200" },
    { 200, "application/grpc", { "", 0 }, "", "", false, GRPC_UNKNOWN, "the answer has no grpc-status" },
    { 200, "application/grpc", { "", 0 }, "five", "", true, GRPC_UNKNOWN, "the answer has no grpc-status" },
    { 200, "application/grpc", { "\1\0\0\0\1x", 6 }, "0", "", true, GRPC_INTERNAL, "the answer is compressed, which was not asked for" },
    { 200, "application/grpc", { "\0\377\377\377\377", 5 }, "0", "", true, GRPC_RESOURCE_EXHAUSTED, "the answer is larger than allowed" },
    { 200, "application/grpc", { "\0\0\0\0\3xy", 7 }, "0", "", true, GRPC_INTERNAL, "the answer ended within a message" },
    { 200, "application/grpc", { "\0\0\0\0", 4 }, "0", "", true, GRPC_INTERNAL, "the answer ended within a message" },
    { 200, "application/grpc", { "\0\0\0\0\3xy", 7 }, "5", "none", true, GRPC_NOT_FOUND, "none" },
    { 200, "application/grpc", { "", 0 }, "4294967296", "no such code", true, GRPC_UNKNOWN, "no such code" },
    { 200, "application/grpc", { "", 0 }, "-4294967296", "no such code", true, GRPC_UNKNOWN, "no such code" },
    { 200, "application/grpc", { "", 0 }, "5", "a%2Fb%e2%82%AC%zz%", true, GRPC_NOT_FOUND, "a/b\xE2\x82\xAC%zz%" },
    { 400, "text/plain", { "", 0 }, "7", "said so", false, GRPC_PERMISSION_DENIED, "said so" },
};

static void odd_begin(struct hreq *r, void *ctx)
{
    (void)ctx;
    uint64_t i = 0;
    str_u64(str_from(hreq_path(r), 1), &i);
    const struct odd *o = &odd[i];
    struct http_field f[] = { { S("content-type"), str_of(o->type) }, { S("grpc-status"), str_of(o->code) }, { S("grpc-message"), str_of(o->message) } };
    if (!o->trailers) {
        hreq_respond(r, o->status, (struct http_fields){ f, *o->code ? 3 : 1 }, o->body);
        return;
    }
    hreq_start(r, o->status, (struct http_fields){ f, 1 });
    hreq_write(r, o->body);
    hreq_finish(r, (struct http_fields){ f + 1, 2 });
}
static void odd_data(struct hreq *r, struct str b) { (void)r, (void)b; }
static void odd_end(struct hreq *r) { (void)r; }

TEST(what_is_not_grpc_becomes_the_status_that_is_nearest)
{
    struct here h;
    struct kr_err e = { 0 };
    here_loop(&h);
    struct httpd *d = httpd_new(h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { .begin = odd_begin, .data = odd_data, .end = odd_end, .gone = odd_end } }, &e);
    CHECK_OR(d);
    struct grpc_client *c = grpc_client_new(h.loop, S("127.0.0.1"), httpd_port(d));
    for (size_t i = 0; i < LEN(odd); i++) {
        struct got g = { .last = { .max = 65536 } };
        char path[16];
        snprintf(path, sizeof path, "/%zu", i);
        grpc_call(c, path, S("x"), &plain, (struct grpc_user){ on_message, on_done, &g });
        here_until(&h, &g.over);
        if (!CHECK_INT(g.status, odd[i].want) | !CHECK_Z(g.text, odd[i].text))
            printf("    row %zu\n", i);
        CHECK(!g.messages);
        buf_free(&g.last);
    }
    grpc_client_free(c);
    grpc_client_free(NULL);
    httpd_free(d);
    loop_free(h.loop);
}

/* ---- a server of ours, and calls that are unusual -------------------------------------------------------------------- */

static void three(struct grpc_request *r, struct str m)
{
    struct http_field many[GRPC_METADATA + 4];
    for (size_t i = 0; i < LEN(many); i++)
        many[i] = (struct http_field){ S("x-word"), S("w") };
    grpc_head(r, (struct http_fields){ many, LEN(many) });           /* as many as there may be */
    for (int i = 0; i < 3; i++)
        grpc_reply(r, m);
    grpc_end_with(r, GRPC_OK, S(""), (struct http_fields){ many, LEN(many) });
    grpc_end(r, GRPC_ABORTED, S("it is over"));   /* without effect, as what follows */
    grpc_reply(r, m);
    grpc_head(r, (struct http_fields){ 0 });
}
static void quiet(struct grpc_request *r, struct str m) { (void)r, (void)m; }
static void flood(struct grpc_request *r, struct str m)
{
    static char much[3 * HTTP_LOW_WATER];
    (void)m;
    grpc_reply(r, (struct str){ much, sizeof much });
}
static void flooded(struct grpc_request *r) { grpc_end(r, GRPC_OK, S("all is out")); }
static const struct grpc_method methods[] = { { .name = "Three", .message = three }, { .name = "Once", .stream_in = true, .message = three },
                                              { .name = "Quiet", .stream_in = true, .message = quiet },
                                              { .name = "Flood", .message = flood, .writable = flooded }, { 0 } };
static const struct grpc_service service = { "test.Test", methods, NULL };

struct ours { struct here h; struct grpc_server *s; struct grpc_client *c; struct got g; };

static void begin(struct ours *x)
{
    struct kr_err e = { 0 };
    *x = (struct ours){ .g = { .last = { .max = 1 << 20 } } };
    here_loop(&x->h);
    x->s = grpc_server_new(x->h.loop, &(struct grpc_server_config){ .host = S("127.0.0.1"), .services = &service, .n = 1, .max_message = 20000 }, &e);
    CHECK_Z(e.msg, "");
    if (!x->s)
        abort();
    x->c = grpc_client_new(x->h.loop, S("127.0.0.1"), grpc_server_port(x->s));
}

static void end(struct ours *x)
{
    buf_free(&x->g.last);
    grpc_client_free(x->c);
    grpc_server_free(x->s);
    grpc_server_free(NULL);
    loop_free(x->h.loop);
}

static void call(struct ours *x, const char *path, struct str m, const struct grpc_options *o)
{
    struct buf last = x->g.last;
    int cancel_at = x->g.cancel_at;
    x->g = (struct got){ .last = last, .cancel_at = cancel_at };
    x->g.call = grpc_call(x->c, path, m, o, (struct grpc_user){ on_message, on_done, &x->g });
}

TEST(calls_that_are_unusual)
{
    struct ours x;
    struct kr_err e = { 0 };
    begin(&x);
    call(&x, "/test.Test/Three", S("abc"), &plain);
    here_until(&x.h, &x.g.over);
    CHECK(x.g.status == GRPC_OK && x.g.messages == 3);
    x.g.cancel_at = 2;                            /* by who hears the second message: nothing comes behind */
    call(&x, "/test.Test/Three", S("abc"), &plain);
    here_until_is(&x.h, &x.g.messages, 2);
    x.g.cancel_at = 0;
    struct http_field many[GRPC_METADATA + 4];
    for (size_t i = 0; i < LEN(many); i++)
        many[i] = (struct http_field){ S("x-word"), S("w") };
    call(&x, "/test.Test/Once", S("abc"), &(struct grpc_options){ .timeout_us = 60000000, .open = true, .metadata = { many, LEN(many) } });
    grpc_pause(x.g.call, true);
    grpc_pause(x.g.call, false);
    grpc_send(x.g.call, S("behind the end"));
    here_until(&x.h, &x.g.over);
    CHECK(x.g.status == GRPC_OK && x.g.messages == 3);
    grpc_cancel(NULL);
    call(&x, "/test.Test/Quiet", S("abc"), &(struct grpc_options){ .timeout_us = 5000000, .open = true });
    here_turn(&x.h);
    here_skip(&x.h, 5000000);
    here_until(&x.h, &x.g.over);
    CHECK_INT(x.g.status, GRPC_DEADLINE_EXCEEDED);
    struct got g = { .last = { .max = 4096 } };
    grpc_call(x.c, "/test.Test/Three", S("abc"), &plain, (struct grpc_user){ NULL, on_done, &g });        /* who wants no message */
    here_until(&x.h, &g.over);
    CHECK(!g.messages);
    g = (struct got){ .last = g.last };
    grpc_call(x.c, "/test.Test/None", (struct str){ 0 }, &plain, (struct grpc_user){ on_message, on_done, &g, on_metadata });       /* the status comes with the head */
    here_until(&x.h, &g.over);
    CHECK(g.status == GRPC_UNIMPLEMENTED && g.metadata == 1);
    call(&x, "/test.Test/Flood", S("x"), &plain);
    here_until(&x.h, &x.g.over);
    CHECK(x.g.status == GRPC_OK && x.g.last.n == 3 * HTTP_LOW_WATER);
    CHECK_Z(x.g.text, "all is out");
    call(&x, "/test.Test/Flood", S("x"), &(struct grpc_options){ .timeout_us = 60000000, .max_message = 1000 });
    here_until(&x.h, &x.g.over);
    CHECK_INT(x.g.status, GRPC_RESOURCE_EXHAUSTED);
    call(&x, "/grpc.health.v1.Health/Check", S("\xff"), &plain);
    here_until(&x.h, &x.g.over);
    CHECK_INT(x.g.status, GRPC_INTERNAL);
    call(&x, "/grpc.health.v1.Health/Watch", S("\xff"), &plain);
    here_until(&x.h, &x.g.over);
    CHECK_INT(x.g.status, GRPC_INTERNAL);
    call(&x, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", (struct str){ 0 }, &(struct grpc_options){ .timeout_us = 60000000, .open = true });
    grpc_half_close(x.g.call);                    /* a stream of no message */
    here_until(&x.h, &x.g.over);
    CHECK(x.g.status == GRPC_OK && !x.g.messages);
    static char host[400];
    memset(host, 'h', sizeof host);
    grpc_client_free(grpc_client_new(x.h.loop, (struct str){ host, sizeof host }, 1));
    CHECK(!grpc_server_new(x.h.loop, &(struct grpc_server_config){ .host = S("127.0.0.1"), .port = grpc_server_port(x.s) }, &e) && e.code);
    grpc_server_free(TAKE(x.s));                  /* nobody asked to be told of it */
    call(&x, "/test.Test/Three", S("abc"), &plain);
    here_until(&x.h, &x.g.over);
    CHECK_INT(x.g.status, GRPC_UNAVAILABLE);
    end(&x);
}

/* ---- what HTTP sees of it ---------------------------------------------------------------------------------------------- */

struct raw { bool over; int status; char code[16]; };
static void raw_code(struct raw *r, struct http_fields f)
{
    struct str s = http_get(f, "grpc-status");
    if (s.n)
        snprintf(r->code, sizeof r->code, "%.*s", SFMT(s));
}
static void raw_head(struct hcall *c, int status, struct http_fields f)
{
    struct raw *r = hcall_ctx(c);
    r->status = status;
    raw_code(r, f);
}
static void raw_data(struct hcall *c, struct str b) { (void)c, (void)b; }
static void raw_end(struct hcall *c, struct http_fields f)
{
    struct raw *r = hcall_ctx(c);
    raw_code(r, f);
    r->over = true;
}
static void raw_failed(struct hcall *c, const struct kr_err *e) { (void)e; ((struct raw *)hcall_ctx(c))->over = true; }

TEST(the_port_of_grpc_is_told_over_http_too)
{
    static const struct { enum http_version version; const char *type, *path; int skip_s, status; const char *code; } rows[] = {
        { HTTP_11, "application/grpc", "/test.Test/Three", 0, 505, "" },
        { HTTP_2, "application/grpc;x=y", "/test.Test/Three", 0, 200, "0" },
        { HTTP_2, "application/grpc", "/test.Test/Quiet", 3, 200, "4" },           /* its time is up, and its method wants not to hear of it */
    };
    struct ours x;
    begin(&x);
    for (size_t i = 0; i < LEN(rows); i++) {
        struct raw r = { 0 };
        struct httpc *c = httpc_new(x.h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = grpc_server_port(x.s) }, .version = rows[i].version });
        struct http_field f[] = { { S("content-type"), str_of(rows[i].type) }, { S("grpc-timeout"), rows[i].skip_s ? S("2S") : S("1H") } };
        httpc_call(c, &(struct httpc_request){ .method = S("POST"), .path = str_of(rows[i].path), .authority = S("t"), .fields = { f, 2 }, .body = { "\0\0\0\0\1x", 6 },
                                               .more = rows[i].skip_s > 0 },
                   (struct hcall_user){ .head = raw_head, .data = raw_data, .end = raw_end, .failed = raw_failed, .ctx = &r });
        if (rows[i].skip_s) {
            here_run(&x.h, 50000);
            here_skip(&x.h, rows[i].skip_s * INT64_C(1000000));
        }
        here_until(&x.h, &r.over);
        CHECK_INT(r.status, rows[i].status);
        CHECK_Z(r.code, rows[i].code);
        httpc_free(c);
    }
    end(&x);
}

TEST(who_watches_the_health_of_what_there_is_not)
{
    struct ours x;
    struct got g[3] = { { .last = { .max = 64 } }, { .last = { .max = 64 } }, { .last = { .max = 64 } } };
    struct grpc_call *c[3];
    begin(&x);
    for (int i = 0; i < 3; i++) {
        c[i] = grpc_call(x.c, "/grpc.health.v1.Health/Watch", i ? S("\x0a\x01z") : S("\x0a\x09test.Test"), &plain, (struct grpc_user){ on_message, on_done, &g[i] });
        here_until_is(&x.h, &g[i].messages, 1);
    }
    CHECK_STR(buf_view(&g[0].last), S("\x08\x01"));       /* SERVING */
    CHECK_STR(buf_view(&g[1].last), S("\x08\x03"));       /* SERVICE_UNKNOWN */
    grpc_cancel(c[1]);                                    /* the one in the middle goes first */
    call(&x, "/grpc.health.v1.Health/Check", S(""), &plain);
    here_until(&x.h, &x.g.over);
    grpc_server_health_changed(x.s);
    here_until_is(&x.h, &g[2].messages, 2);
    here_until_is(&x.h, &g[0].messages, 2);
    CHECK_INT(g[1].messages, 1);
    grpc_cancel(c[0]);
    grpc_cancel(c[2]);
    for (int i = 0; i < 3; i++)
        buf_free(&g[i].last);
    end(&x);
}

/* ---- reflection ------------------------------------------------------------------------------------------------------ */

static char *word(const char *z) { return (char *)(uintptr_t)z; }      /* messages own what they point at, or so their type says */

/* What reflection says to one question: "file NAME", "services N", "error TEXT". */
static void asked(struct ours *x, pb_size_t which, const char *text, const char *want)
{
    REQUEST q = { .which_message_request = which, .message_request.list_services = word(text) };       /* of whatever it is the name */
    AUTO_ARENA struct arena a = { .limit = 1 << 20 };
    AUTO_BUF struct buf b = { .max = 65536 }, out = { .max = 4096 };
    struct kr_err e = { 0 };
    RESPONSE r = { 0 };
    CHECK_INT(pb_to_bytes(grpc_reflection_v1_ServerReflectionRequest_fields, &q, &b, &e), 0);
    call(x, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", buf_view(&b), &plain);
    here_until(&x->h, &x->g.over);
    CHECK_INT(x->g.status, GRPC_OK);
    CHECK_INT(pb_from_bytes(grpc_reflection_v1_ServerReflectionResponse_fields, &r, buf_view(&x->g.last), &a, &e), 0);
    if (r.which_message_response == TAG(ReflectionResponse_list_services_response))
        buf_fmt(&out, "services %u", r.message_response.list_services_response->service_count);
    else if (r.which_message_response == TAG(ReflectionResponse_error_response))
        buf_fmt(&out, "error %s", r.message_response.error_response->error_message);
    else
        for (size_t i = 0; i < nproto_files; i++)
            if (str_eq(pb_view(r.message_response.file_descriptor_response->file_descriptor_proto[0]), (struct str){ (const char *)proto_files[i].data, proto_files[i].n }))
                buf_fmt(&out, "file %s", proto_files[i].name);
    CHECK_STR(buf_view(&out), str_of(want));
}

TEST(reflection_knows_our_files_and_services)
{
    static const struct { const char *symbol, *want; } rows[] = {
        { "grpc.health.v1.Health", "file health.proto" }, { "grpc.health.v1.Health.Check", "file health.proto" }, { "grpc.health.v1.Nothing", "error not found" },
        { "grpc.health.v1", "error not found" }, { "grpc.health.v1.", "error not found" }, { "grpc.health.v1x.Health", "error not found" }, { "", "error not found" },
    };
    struct ours x;
    begin(&x);
    asked(&x, TAG(ReflectionRequest_list_services), "", "services 4");
    for (size_t i = 0; i < LEN(rows); i++)
        asked(&x, TAG(ReflectionRequest_file_containing_symbol), rows[i].symbol, rows[i].want);
    for (size_t i = 0; i < nproto_files; i++) {
        char want[200];
        snprintf(want, sizeof want, "file %s", proto_files[i].name);
        asked(&x, TAG(ReflectionRequest_file_by_filename), proto_files[i].name, want);
    }
    asked(&x, TAG(ReflectionRequest_file_by_filename), "other.proto", "error not found");
    asked(&x, TAG(ReflectionRequest_all_extension_numbers_of_type), "x", "error there are no extensions here");
    call(&x, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", S("\xff"), &plain);
    here_until(&x.h, &x.g.over);
    CHECK_INT(x.g.status, GRPC_INTERNAL);
    end(&x);
}

/* A stream of questions is answered for as long as it lasts: what one needs of memory goes with its answer. */
TEST(reflection_answers_as_many_questions_as_are_asked)
{
    static char host[19001];
    enum { QUESTIONS = 40 };                      /* ten of them are more than a call's memory */
    AUTO_BUF struct buf b = { .max = 65536 };
    struct kr_err e = { 0 };
    struct ours x;
    memset(host, 'h', sizeof host - 1);
    begin(&x);
    REQUEST q = { .host = host, .which_message_request = TAG(ReflectionRequest_list_services), .message_request.list_services = word("") };
    CHECK_INT(pb_to_bytes(grpc_reflection_v1_ServerReflectionRequest_fields, &q, &b, &e), 0);
    call(&x, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", buf_view(&b), &(struct grpc_options){ .timeout_us = 60000000, .open = true });
    for (int i = 1; i < QUESTIONS; i++)
        grpc_send(x.g.call, buf_view(&b));
    grpc_half_close(x.g.call);
    here_until(&x.h, &x.g.over);
    CHECK_INT(x.g.status, GRPC_OK);
    CHECK_INT(x.g.messages, QUESTIONS);
    end(&x);
}

/* ---- protobuf -------------------------------------------------------------------------------------------------------- */

TEST(messages_are_bounded_and_checked)
{
    grpc_reflection_v1_ServiceResponse names[40];
    grpc_reflection_v1_ListServiceResponse list = { .service_count = LEN(names), .service = names }, back;
    AUTO_BUF struct buf b = { .max = 65536 };
    struct kr_err e = { 0 };
    for (size_t i = 0; i < LEN(names); i++)
        names[i].name = word("test.Test");
    CHECK_INT(pb_to_bytes(grpc_reflection_v1_ListServiceResponse_fields, &list, &b, &e), 0);
    bool whole = false;
    for (size_t limit = 0; !whole && limit < 1 << 16; limit += 64) {
        AUTO_ARENA struct arena a = { .limit = limit };
        whole = pb_from_bytes(grpc_reflection_v1_ListServiceResponse_fields, &back, buf_view(&b), &a, &e) == 0;
        CHECK(whole || e.code == KR_TOO_LARGE);
        CHECK(!whole || (back.service_count == LEN(names) && !strcmp(back.service[39].name, "test.Test")));
    }
    AUTO_ARENA struct arena a = { .limit = 65536 };
    CHECK(whole && pb_from_bytes(grpc_reflection_v1_ListServiceResponse_fields, &back, S("\x0a\xff"), &a, &e) < 0 && e.code == KR_PROTOCOL);
    CHECK(pb_from_bytes(grpc_reflection_v1_ListServiceResponse_fields, &back, (struct str){ 0 }, &a, &e) == 0 && !back.service_count);
    AUTO_BUF struct buf few = { .max = 100 };
    CHECK(pb_to_bytes(grpc_reflection_v1_ListServiceResponse_fields, &list, &few, &e) < 0 && e.code == KR_TOO_LARGE);
    CHECK_Z(pb_clean(&a, S("a\xff" "b\xc3" "\0c\xe2\x82\xac")), "a\xef\xbf\xbd" "b\xef\xbf\xbd c\xe2\x82\xac");
    CHECK(pb_view(pb_bytes(&a, S(""))).n == 0 && pb_view(NULL).n == 0 && !pb_bytes(&(struct arena){ .limit = 8 }, S("more than eight")));
}

TEST(codes_and_messages_of_strangers)
{
    AUTO_ARENA struct arena a = { .limit = 4096 };
    CHECK_Z(grpc_status_name(99), "CODE_99");
    CHECK_INT(grpc_code(99), KR_PROTOCOL);
    CHECK_STR(grpc_parse_message(&a, S("%0g%g0%:0%0:%@0%0@%`0%G0%/0%aF")), S("%0g%g0%:0%0:%@0%0@%`0%G0%/0\xaf"));
    CHECK_INT(grpc_parse_message(&(struct arena){ .limit = 8 }, S("a message of more than eight bytes")).n, 0);
}
