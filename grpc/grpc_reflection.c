/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_reflection: grpc.reflection.v1 and v1alpha, whose messages are the same on the wire, so that grpcurl works without a
 * proto file. Extensions are proto2 and not known here.
 */
#include "grpc/grpc_server.h"
#include "grpc/proto/descriptors.h"
#include "grpc/proto/reflection_v1.pb.h"

#define REQUEST grpc_reflection_v1_ServerReflectionRequest
#define RESPONSE grpc_reflection_v1_ServerReflectionResponse
#define RESPONSE_TAG(x) grpc_reflection_v1_ServerReflectionResponse_##x##_tag

static void set_error(struct grpc_request *r, RESPONSE *a, int code, const char *text)
{
    grpc_reflection_v1_ErrorResponse *e = arena_alloc(&r->arena, sizeof *e);
    *e = (grpc_reflection_v1_ErrorResponse){ .error_code = code, .error_message = arena_z(&r->arena, str_of(text)) };
    a->which_message_response = RESPONSE_TAG(error_response);
    a->message_response.error_response = e;
}

static void set_file(struct grpc_request *r, RESPONSE *a, const struct proto_file *f)
{
    grpc_reflection_v1_FileDescriptorResponse *d = arena_alloc(&r->arena, sizeof *d);
    if (!f) {
        set_error(r, a, GRPC_NOT_FOUND, "not found");
        return;
    }
    d->file_descriptor_proto = arena_alloc(&r->arena, sizeof *d->file_descriptor_proto);
    d->file_descriptor_proto[0] = pb_bytes(&r->arena, (struct str){ (const char *)f->data, f->n });
    d->file_descriptor_proto_count = 1;
    a->which_message_response = RESPONSE_TAG(file_descriptor_response);
    a->message_response.file_descriptor_response = d;
}

static const struct proto_file *by_name(struct str name)
{
    for (size_t i = 0; i < nproto_files; i++)
        if (str_is(name, proto_files[i].name))
            return &proto_files[i];
    return NULL;
}

/* Packages are unique per file: the longest that the symbol begins with, if the next word is declared in it. */
static const struct proto_file *by_symbol(struct str symbol)
{
    for (size_t i = 0; i < nproto_files; i++) {
        struct str package = str_of(proto_files[i].package);
        if (!str_starts(symbol, package) || symbol.n <= package.n || symbol.p[package.n] != '.')
            continue;
        struct str rest = str_from(symbol, package.n + 1), word = str_cut(&rest, '.');
        if (word.n && memmem(proto_files[i].data, proto_files[i].n, word.p, word.n))
            return &proto_files[i];
    }
    return NULL;
}

static void add_services(struct grpc_request *r, grpc_reflection_v1_ListServiceResponse *l, struct str names)
{
    while (names.n)
        l->service[l->service_count++].name = arena_z(&r->arena, str_cut(&names, ','));
}

static void list(struct grpc_request *r, RESPONSE *a)
{
    const struct grpc_server_config *c = &r->s->config;
    grpc_reflection_v1_ListServiceResponse *l = arena_alloc(&r->arena, sizeof *l);
    l->service = arena_alloc(&r->arena, (c->n + 3) * sizeof *l->service);
    for (size_t i = 0; i < c->n; i++)
        add_services(r, l, str_of(c->services[i].name));
    add_services(r, l, S("grpc.health.v1.Health,grpc.reflection.v1.ServerReflection,grpc.reflection.v1alpha.ServerReflection"));
    a->which_message_response = RESPONSE_TAG(list_services_response);
    a->message_response.list_services_response = l;
}

static void info(struct grpc_request *r, struct str bytes)
{
    REQUEST *q = grpc_decode(r, grpc_reflection_v1_ServerReflectionRequest_fields, sizeof *q, bytes);
    if (!q)
        return;
    RESPONSE a = { .valid_host = q->host, .original_request = q };
    switch (q->which_message_request) {
    case grpc_reflection_v1_ServerReflectionRequest_list_services_tag:
        list(r, &a);
        break;
    case grpc_reflection_v1_ServerReflectionRequest_file_by_filename_tag:
        set_file(r, &a, by_name(pb_str(q->message_request.file_by_filename)));
        break;
    case grpc_reflection_v1_ServerReflectionRequest_file_containing_symbol_tag:
        set_file(r, &a, by_symbol(pb_str(q->message_request.file_containing_symbol)));
        break;
    default:
        set_error(r, &a, GRPC_NOT_FOUND, "there are no extensions here");
        break;
    }
    grpc_reply_pb(r, grpc_reflection_v1_ServerReflectionResponse_fields, &a);
    arena_reset(&r->arena);                       /* a stream of questions may have no end */
}

static void half_closed(struct grpc_request *r) { grpc_end(r, GRPC_OK, S("")); }

const struct grpc_method grpc_reflection_v1_methods[] = {
    { "ServerReflectionInfo", .stream_in = true, .message = info, .half_closed = half_closed }, { 0 } };
const struct grpc_method grpc_reflection_v1alpha_methods[] = {
    { "ServerReflectionInfo", .stream_in = true, .message = info, .half_closed = half_closed }, { 0 } };
