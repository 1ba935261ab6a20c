/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen: listening sockets. When descriptors run out it stops accepting for 100 ms instead of spinning; a socket file that
 * nobody listens on any more is replaced, one that somebody does is an error.
 */
#include "core/link.h"
#include "core/resolve.h"
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024, PAUSE_US = 100000, PER_TURN = 64 };
struct listener {
    struct loop *loop;
    struct fdsrc src;
    struct timer again;
    void (*accepted)(void *, int);
    void *ctx;
    char *path;
    bool in_call, closed;
};

static void again(struct loop *loop, struct timer *t) { loop_watch(loop, &container_of(t, struct listener, again)->src, LOOP_IN); }

static void on_event(struct loop *loop, struct fdsrc *src, unsigned got)
{
    (void)got;
    struct listener *l = container_of(src, struct listener, src);
    l->in_call = true;
    for (int i = 0; i < PER_TURN && !l->closed; i++) {
        int fd = accept4(src->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            l->accepted(l->ctx, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            loop_watch(loop, src, 0);
            loop_timer_in(loop, &l->again, PAUSE_US);
        }
        if (errno != EINTR && errno != ECONNABORTED)
            break;
    }
    l->in_call = false;
    if (l->closed)
        free(l);
}

static struct listener *start(struct loop *loop, int fd, const char *path, void (*accepted)(void *, int), void *ctx)
{
    struct listener *l = xcalloc(1, sizeof *l);
    *l = (struct listener){ .loop = loop, .src = { .fd = fd, .ready = on_event }, .again = { .fire = again }, .accepted = accepted, .ctx = ctx,
                            .path = path ? xstrndup(path, strlen(path)) : NULL };
    loop_watch(loop, &l->src, LOOP_IN);
    return l;
}

struct listener *listen_tcp(struct loop *loop, struct str host, uint16_t port, void (*accepted)(void *, int), void *ctx, struct kr_err *e)
{
    struct resolved r;
    char text[64];
    int one = 1;
    if (!resolve_literal(host, port, &r)) {
        kr_fail(e, KR_USAGE, "\"%.*s\" is no IP address to listen on", SFMT(host));
        return NULL;
    }
    resolve_text(&r.addr[0], text);
    AUTO_CLOSE int fd = socket(r.addr[0].ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&r.addr[0], r.len[0]) < 0 || listen(fd, BACKLOG) < 0) {
        if (errno == EADDRINUSE)
            kr_fail(e, KR_EXISTS, "%s is in use by another process: stop it, or choose another port", text);
        else
            kr_fail_sys(e, KR_SYSTEM, errno, "listen on %s", text);
        return NULL;
    }
    return start(loop, TAKE_FD(fd), NULL, accepted, ctx);
}

/* A socket file without a listener is what a killed process leaves. */
static void remove_stale(const struct sockaddr_un *un)
{
    struct stat st;
    AUTO_CLOSE int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (lstat(un->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) && connect(probe, (const struct sockaddr *)un, sizeof *un) < 0 && errno == ECONNREFUSED)
        unlink(un->sun_path);
}

struct listener *listen_unix(struct loop *loop, struct str path, void (*accepted)(void *, int), void *ctx, struct kr_err *e)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    if (path.n >= sizeof un.sun_path) {
        kr_fail(e, KR_INVALID, "the path \"%.*s\" is too long for a socket", SFMT(path));
        return NULL;
    }
    memcpy(un.sun_path, path.p, path.n);
    remove_stale(&un);
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof un) < 0 || listen(fd, BACKLOG) < 0) {
        kr_fail_sys(e, errno == EADDRINUSE ? KR_EXISTS : KR_SYSTEM, errno, "listen on \"%s\"", un.sun_path);
        return NULL;
    }
    return start(loop, TAKE_FD(fd), un.sun_path, accepted, ctx);
}

uint16_t listener_port(const struct listener *l)
{
    struct sockaddr_storage a = { 0 };
    socklen_t n = sizeof a;
    if (getsockname(l->src.fd, (struct sockaddr *)&a, &n) < 0)
        return 0;
    if (a.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&a)->sin_port);
    return a.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&a)->sin6_port) : 0;
}

void listener_close(struct listener *l)
{
    if (!l || l->closed)
        return;
    loop_unwatch(l->loop, &l->src);
    loop_timer_stop(l->loop, &l->again);
    close(l->src.fd);
    if (l->path)
        unlink(l->path);
    free(l->path);
    l->closed = true;
    if (!l->in_call)
        free(l);
}
