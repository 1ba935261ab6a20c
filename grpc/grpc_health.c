/* SPDX-License-Identifier: Apache-2.0 */
/* grpc_health: grpc.health.v1.Health of every server. The empty service name asks for the server as a whole. */
#include "grpc/grpc_server.h"
#include "grpc/proto/health.pb.h"

static bool is_served(const struct grpc_server *s, struct str name)
{
    bool known = !name.n;
    for (size_t i = 0; !known && i < s->config.n; i++)
        known = str_is(name, s->config.services[i].name);
    return known;
}

static grpc_health_v1_HealthCheckResponse state_of(struct grpc_request *r, struct str name)
{
    const struct grpc_server_config *c = &r->s->config;
    bool ok = !c->healthy || c->healthy(c->ctx, name);
    return (grpc_health_v1_HealthCheckResponse){ .status = ok ? grpc_health_v1_HealthCheckResponse_ServingStatus_SERVING
                                                              : grpc_health_v1_HealthCheckResponse_ServingStatus_NOT_SERVING };
}

static void check(struct grpc_request *r, struct str bytes)
{
    grpc_health_v1_HealthCheckRequest *q = grpc_decode(r, grpc_health_v1_HealthCheckRequest_fields, sizeof *q, bytes);
    if (!q)
        return;
    if (!is_served(r->s, pb_str(q->service))) {
        grpc_end(r, GRPC_NOT_FOUND, S("no such service"));
        return;
    }
    grpc_health_v1_HealthCheckResponse a = state_of(r, pb_str(q->service));
    if (grpc_reply_pb(r, grpc_health_v1_HealthCheckResponse_fields, &a) == 0)
        grpc_end(r, GRPC_OK, S(""));
}

static void tell(struct grpc_request *r)
{
    struct str name = pb_str(r->user);
    grpc_health_v1_HealthCheckResponse a = state_of(r, name);
    if (!is_served(r->s, name))
        a.status = grpc_health_v1_HealthCheckResponse_ServingStatus_SERVICE_UNKNOWN;
    grpc_reply_pb(r, grpc_health_v1_HealthCheckResponse_fields, &a);
}

static void watch(struct grpc_request *r, struct str bytes)
{
    grpc_health_v1_HealthCheckRequest *q = grpc_decode(r, grpc_health_v1_HealthCheckRequest_fields, sizeof *q, bytes);
    if (!q)
        return;
    r->user = q->service;
    r->next = r->s->health_watchers;
    r->at = &r->s->health_watchers;
    if (r->next)
        r->next->at = &r->next;
    r->s->health_watchers = r;
    tell(r);
}

void grpc_server_health_changed(struct grpc_server *s)
{
    for (struct grpc_request *r = s->health_watchers; r; r = r->next)
        tell(r);
}

const struct grpc_method grpc_health_methods[] = { { "Check", .message = check }, { "Watch", .message = watch }, { 0 } };
