/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pod_way: the ways of this process in one list, found by client, namespace, pod and port, with a count of shares. A way whose
 * socket has ended is opened anew when somebody asks for it. Tested in tests/unit/k8s/pod_way.c.
 */
#include "k8s/pod_way.h"
#include "k8s/portforward.h"

struct pod_way {
    struct pod_way *next, **at;
    struct kube *k;
    char *ns, *pod;
    uint16_t port;
    unsigned shares;
    struct rnd *rnd;
    struct kube_forward *forward;
    struct grpc_client *client;
    struct kr_err e;
};
static struct pod_way *ways;                      /* one thread, and a handful of pods */

bool pod_way_is(const struct pod_way *w, struct str ns, struct str pod) { return str_is(ns, w->ns) && str_is(pod, w->pod); }

struct pod_way *pod_way_open(struct kube *k, struct str ns, struct str pod, uint16_t port, struct rnd *rnd)
{
    for (struct pod_way *w = ways; w; w = w->next)
        if (w->k == k && w->port == port && pod_way_is(w, ns, pod)) {
            w->shares++;
            return w;
        }
    struct pod_way *w = xcalloc(1, sizeof *w);
    *w = (struct pod_way){ .next = ways, .at = &ways, .k = k, .ns = xstrndup(ns.p, ns.n), .pod = xstrndup(pod.p, pod.n), .port = port, .shares = 1, .rnd = rnd };
    if (ways)
        ways->at = &w->next;
    ways = w;
    return w;
}

static void shut(struct pod_way *w)
{
    grpc_client_free(TAKE(w->client));
    kube_forward_close(TAKE(w->forward));
}

void pod_way_close(struct pod_way *w)
{
    if (!w || --w->shares)
        return;
    *w->at = w->next;
    if (w->next)
        w->next->at = w->at;
    shut(w);
    free(w->ns);
    free(w->pod);
    free(w);
}

static void failed(void *ctx, const struct kr_err *e) { ((struct pod_way *)ctx)->e = *e; }

struct grpc_client *pod_way_client(struct pod_way *w)
{
    int fd;
    if (w->client && !grpc_client_is_spent(w->client))
        return w->client;
    shut(w);
    w->e = (struct kr_err){ 0 };
    w->forward = kube_forward_open(w->k, str_of(w->ns), str_of(w->pod), w->port, w->rnd, &fd, failed, w);
    w->client = grpc_client_over(kube_loop(w->k), fd);
    return w->client;
}

const struct kr_err *pod_way_error(const struct pod_way *w) { return &w->e; }
