/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: requests to the Kubernetes API over one multiplexed HTTP/2 connection, and one more for watches.
 *
 *     kube_merge_patch(k, &kube_runs, ns, name, "status", body, (struct kube_user){ done, ctx });
 *
 * A call ends exactly once with `done`. Errors come from the server's Status (Kubernetes API conventions, "Response status
 * kind"): code by reason, its words as message. 429 and 503 with Retry-After are waited out and sent again inside the call's
 * time; after a 401 with credentials that may be had anew (credentials.h) it is sent again once. Nothing else is retried here,
 * but see httpc_new. Any callback may close the client.
 */
#ifndef K8S_CLIENT_H
#define K8S_CLIENT_H
#include "core/loop.h"
#include "grpc/http.h"
#include "k8s/kubeconfig.h"
#include "k8s/resource.h"

struct kube;
struct kube_call;
/* The configuration is copied. user_agent: "kruntimes-scheduler/0.1.0". */
struct kube *kube_new(struct loop *, const struct kube_config *, const char *user_agent, struct kr_err *);
void kube_free(struct kube *);                    /* open calls end with KR_CANCELLED */
struct str kube_namespace(const struct kube *);   /* the configuration's default */
struct loop *kube_loop(const struct kube *);
struct str kube_server(const struct kube *);      /* for messages */
/* From now on what is not a GET is sent only while may_write says so, else it ends with KR_PRECONDITION: a leader that was
 * stopped and wakes up must not finish what it had in mind. */
void kube_fence(struct kube *, bool (*may_write)(void *ctx), void *ctx);

struct kube_result {
    int status;                                   /* HTTP; 0 when there was no answer */
    struct str body;                              /* checked JSON on success */
    const struct kr_err *error;                   /* NULL on success */
    int64_t date_us;                              /* the server's clock when it answered, whole seconds; 0: it did not say */
    bool causes;                                  /* the refusal lists what is wrong with the object: trying again is useless */
};
struct kube_user { void (*done)(void *ctx, const struct kube_result *); void *ctx; };

struct kube_request {
    const char *method;
    struct str path;                              /* with query, as from kube_path and uri_put_param */
    struct str body;                              /* copied */
    const char *content_type;                     /* NULL: application/json */
    const char *accept;                           /* NULL: application/json */
    const char *kind;                             /* what a success must be ("Pod", "PodList"): anything else is KR_PROTOCOL; NULL: any JSON */
    int64_t timeout_us;                           /* 0: the configuration's, else 30 s */
    bool unfenced;                                /* sent whatever kube_fence says */
    bool first;                                   /* goes before those that wait for their turn */
};
struct kube_call *kube_send(struct kube *, const struct kube_request *, struct kube_user);
void kube_cancel(struct kube_call *);             /* no further callback; NULL is fine */

struct kube_call *kube_get(struct kube *, const struct kube_resource *, struct str ns, struct str name, struct kube_user);
struct kube_call *kube_create(struct kube *, const struct kube_resource *, struct str ns, struct str object, struct kube_user);
/* sub: "status" or NULL. The content type is the function's: application/merge-patch+json, json-patch+json, apply-patch+yaml. */
struct kube_call *kube_merge_patch(struct kube *, const struct kube_resource *, struct str ns, struct str name, const char *sub, struct str patch,
                                   struct kube_user);
struct kube_call *kube_json_patch(struct kube *, const struct kube_resource *, struct str ns, struct str name, const char *sub, struct str patch,
                                  struct kube_user);
struct kube_call *kube_apply(struct kube *, const struct kube_resource *, struct str ns, struct str name, const char *manager, struct str object,
                             struct kube_user);
/* uid empty: no precondition. grace_s < 0: the object's own. */
struct kube_call *kube_delete(struct kube *, const struct kube_resource *, struct str ns, struct str name, struct str uid, int64_t grace_s,
                              struct kube_user);

/* A stream of lines (watch): each complete line comes in one `line`. Ends with `ended`, once; error NULL: the server's end. */
struct kube_stream;
struct kube_stream_user {
    void (*opened)(void *ctx);                    /* the server accepted; may be NULL */
    void (*line)(void *ctx, struct str json);     /* not yet checked */
    void (*ended)(void *ctx, int status, const struct kr_err *error);
    void *ctx;
};
struct kube_stream *kube_open_stream(struct kube *, struct str path, struct kube_stream_user);
void kube_close_stream(struct kube_stream *);     /* no further callback; NULL is fine */
/* A WebSocket (or other upgrade) beside the other connections: for port-forward. Fields are added to authorization. */
struct hcall *kube_upgrade(struct kube *, struct str path, struct http_fields, struct hcall_user);
/* Error from a Status object's text, or from the HTTP status when it is none. An object that etcd does not take is KR_TOO_LARGE. */
void kube_status_error(int status, struct str body, struct kr_err *, bool *causes);
/* The token of the page behind this one of a list of r; empty: it was the last. KR_PROTOCOL for a page that leads to itself, as such a
 * list has no end. before: the token it was asked for with; *token is the arena's. */
int kube_next_page(struct str list, struct str before, const struct kube_resource *r, struct arena *, struct str *token, struct kr_err *);
#endif
