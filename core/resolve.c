/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve: getaddrinfo blocks, so it gets a thread of its own per look-up (they are rare: connections are kept). Thread and
 * loop share one job; whoever comes second to the exchange of its state frees it.
 */
#include "core/resolve.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { RUNNING, ANSWERED, LEFT };                 /* LEFT: the loop took the answer or no longer wants it */
struct resolve {
    struct fdsrc src;
    struct loop *loop;
    char *host;
    uint16_t port;
    struct resolved found;
    int rc;
    atomic_int state;
    void (*got)(void *, const struct resolved *, const struct kr_err *);
    void *ctx;
};

static void add(struct resolved *r, const void *addr, socklen_t len)
{
    if (r->n == RESOLVE_MAX)
        return;
    memcpy(&r->addr[r->n], addr, len);
    r->len[r->n++] = len;
}

static const struct addrinfo *of_family(const struct addrinfo *a, bool v6)
{
    while (a && a->ai_family != (v6 ? AF_INET6 : AF_INET))
        a = a->ai_next;
    return a;
}

/* One of each family in turn (RFC 8305 section 4): where there is no way for the first one's, the other isn't far. */
void resolve_take(struct resolved *r, const struct addrinfo *list)
{
    bool v6 = list && list->ai_family == AF_INET6;
    const struct addrinfo *next = of_family(list, v6), *other = of_family(list, !v6);
    while (next) {
        const struct addrinfo *left = of_family(next->ai_next, v6);
        add(r, next->ai_addr, next->ai_addrlen);
        if (other) {                              /* its turn */
            next = other;
            other = left;
            v6 = !v6;
        } else {
            next = left;
        }
    }
}

static bool add_literal(struct resolved *r, const char *text, uint16_t port)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        add(r, &v4, sizeof v4);
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        add(r, &v6, sizeof v6);
    else
        return false;
    return true;
}

bool resolve_literal(struct str host, uint16_t port, struct resolved *r)
{
    char text[64];
    *r = (struct resolved){ 0 };
    if (str_is(host, "localhost"))
        return add_literal(r, "127.0.0.1", port) && add_literal(r, "::1", port);
    if (host.n >= sizeof text)
        return false;
    memcpy(text, host.p ? host.p : "", host.n);
    text[host.n] = '\0';
    return add_literal(r, host.n ? text : "0.0.0.0", port);
}

static void job_free(struct resolve *j)
{
    close(j->src.fd);
    free(j->host);
    free(j);
}

static void *look_up(void *arg)
{
    struct resolve *j = arg;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    char port[8];
    uint64_t one = 1;
    snprintf(port, sizeof port, "%u", j->port);
    j->rc = getaddrinfo(j->host, port, &hints, &list);
    if (j->rc == 0)
        resolve_take(&j->found, list);
    if (list)
        freeaddrinfo(list);
    while (write(j->src.fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
    if (atomic_exchange(&j->state, ANSWERED) == LEFT)
        job_free(j);
    return NULL;
}

static void leave(struct resolve *j)
{
    loop_unwatch(j->loop, &j->src);
    if (atomic_exchange(&j->state, LEFT) == ANSWERED)
        job_free(j);
}

static void answered(struct loop *loop, struct fdsrc *src, unsigned events)
{
    (void)loop;
    (void)events;
    struct resolve *j = container_of(src, struct resolve, src);
    struct resolved found = j->found;
    struct kr_err e = { 0 };
    if (j->rc || !found.n)
        kr_fail(&e, KR_UNAVAILABLE, "the name \"%s\" can't be resolved: %s", j->host, j->rc ? gai_strerror(j->rc) : "it has no address");
    void (*got)(void *, const struct resolved *, const struct kr_err *) = j->got;
    void *ctx = j->ctx;
    leave(j);
    got(ctx, &found, e.code ? &e : NULL);
}

struct resolve *resolve_start(struct loop *loop, struct str host, uint16_t port,
                              void (*got)(void *, const struct resolved *, const struct kr_err *), void *ctx)
{
    struct resolve *j = xcalloc(1, sizeof *j);
    *j = (struct resolve){ .src = { .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = answered }, .loop = loop,
                           .host = xstrndup(host.p, host.n), .port = port, .got = got, .ctx = ctx };
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 131072);
    loop_watch(loop, &j->src, LOOP_IN);
    if (pthread_create(&thread, &attr, look_up, j) != 0) {
        uint64_t one = 1;
        j->rc = EAI_AGAIN;
        atomic_store(&j->state, ANSWERED);
        if (write(j->src.fd, &one, sizeof one) < 0)
            j->rc = EAI_SYSTEM;
    }
    pthread_attr_destroy(&attr);
    return j;
}

void resolve_cancel(struct resolve *j)
{
    if (j)
        leave(j);
}

struct str resolve_text(const struct sockaddr_storage *a, char out[64])
{
    char ip[INET6_ADDRSTRLEN] = "";
    int n;
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)a;
        inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof ip);
        n = snprintf(out, 64, "%s:%u", ip, ntohs(v4->sin_port));
    } else if (a->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)a;
        inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof ip);
        n = snprintf(out, 64, "[%s]:%u", ip, ntohs(v6->sin6_port));
    } else {
        n = snprintf(out, 64, "unix");
    }
    return (struct str){ out, (size_t)n };
}
