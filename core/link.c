/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link: a socket, and TLS over it when asked for. States go one way: RESOLVING → CONNECTING → HANDSHAKE → OPEN → DEAD.
 *
 * TLS works on memory: what the socket gives is fed to the session, what the session makes waits in it until the socket
 * takes it. So a write never has to be repeated with the same bytes, and plain and TLS differ in four places only.
 */
#include "core/link.h"
#include "core/resolve.h"
#include "core/tls_session.h"
#include "core/tunnel.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>                            /* of struct tcp_info the C library's header has but the beginning */
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum link_state { LINK_RESOLVING, LINK_CONNECTING, LINK_HANDSHAKE, LINK_OPEN, LINK_DEAD };
enum { TLS_OUT_HIGH = 65536, FILLS = 16 };
enum { PROBE_IDLE_S = 15, PROBE_EVERY_S = 10, PROBES = 3 };
enum { SILENCE_MS = (PROBE_IDLE_S + PROBES * PROBE_EVERY_S) * 1000, LOOK_US = 15000000 };
enum { ADDRESS_US = 2000000 };                    /* a lost first packet is sent again after one second */

struct link {
    struct loop *loop;
    struct fdsrc src;
    struct link_user user;
    struct defer kick;                            /* ready is to be called though the socket says nothing */
    enum link_state state;
    struct tls_session *tls;
    struct tunnel *tunnel;
    struct resolve *resolve;
    struct resolved addrs; size_t next_addr;
    struct timer unanswered;                      /* while it connects and another address is left */
    struct timer unacknowledged;                  /* since something was sent, until all is acknowledged */
    char *host;
    bool want_write, paused, unwritable, peer_closed, busy, closed;
    struct kr_err e;
    char peer[64];
};

static void on_event(struct loop *loop, struct fdsrc *src, unsigned got);
static void unanswered(struct loop *loop, struct timer *t);
static void unacknowledged(struct loop *loop, struct timer *t);

static void call_ready(struct link *l)
{
    l->busy = true;
    l->user.ready(l, l->user.ctx);
    l->busy = false;
    if (l->closed)
        free(l);
}

static void kicked(struct loop *loop, struct defer *d)
{
    (void)loop;
    call_ready(container_of(d, struct link, kick));
}

static void rewatch(struct link *l)
{
    if (l->src.fd < 0 || l->closed)
        return;
    unsigned want = 0;
    if (l->state == LINK_CONNECTING || (l->tls && tls_session_pending(l->tls).n) || (l->want_write && l->state == LINK_OPEN))
        want |= LOOP_OUT;
    if (l->state == LINK_HANDSHAKE || (l->state == LINK_OPEN && !l->paused && !l->peer_closed))
        want |= LOOP_IN;
    loop_watch(l->loop, &l->src, want);
}

static void die(struct link *l)
{
    l->state = LINK_DEAD;
    if (l->src.fd >= 0) {
        loop_unwatch(l->loop, &l->src);
        close(l->src.fd);
        l->src.fd = -1;
    }
}

/* What the socket took, 0: nothing now, -1: nothing any more. */
static ptrdiff_t put(struct link *l, const void *p, size_t n)
{
    ptrdiff_t took;
    do
        took = send(l->src.fd, p, n, MSG_NOSIGNAL);
    while (took < 0 && errno == EINTR);
    if (took < 0 && errno == EAGAIN)
        return 0;
    if (took < 0 && !l->e.code)
        kr_fail_sys(&l->e, KR_UNAVAILABLE, errno, "%s: write", l->peer);
    l->unwritable |= took < 0;
    if (took > 0 && !timer_is_set(&l->unacknowledged))
        loop_timer_in(l->loop, &l->unacknowledged, LOOK_US);
    return took;
}

/* ---- TLS beneath ------------------------------------------------------------------------------------------------- */

/* A socket that takes nothing any more may still hold what the peer said before it closed: whoever reads comes to the end of that. */
static void tls_flush(struct link *l)
{
    for (struct str out; l->src.fd >= 0 && (out = tls_session_pending(l->tls)).n;) {
        ptrdiff_t n = l->unwritable ? (ptrdiff_t)out.n : put(l, out.p, out.n);
        if (n == 0)
            break;
        if (n < 0 && (l->state != LINK_OPEN || l->paused))
            die(l);
        else if (n > 0)
            tls_session_sent(l->tls, (size_t)n);
    }
    rewatch(l);
}

/* False when the socket has nothing now. */
static bool tls_fill(struct link *l)
{
    UNFILLED char chunk[16384];
    ptrdiff_t n;
    do
        n = recv(l->src.fd, chunk, sizeof chunk, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        tls_session_feed(l->tls, chunk, (size_t)n);
        return true;
    }
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n < 0 && !l->e.code)
        kr_fail_sys(&l->e, KR_UNAVAILABLE, errno, "%s: read", l->peer);
    l->peer_closed = true;
    tls_session_eof(l->tls);
    rewatch(l);
    return true;
}

static void handshake(struct link *l)
{
    for (;;) {
        int rc = tls_session_handshake(l->tls, &l->e);
        tls_flush(l);
        if (l->state == LINK_DEAD)
            break;
        if (rc < 0) {
            kr_wrap(&l->e, "%s", l->host ? l->host : l->peer);
            die(l);
            break;
        }
        if (rc > 0) {
            l->state = LINK_OPEN;
            rewatch(l);
            break;
        }
        if (!tls_fill(l))
            return;
    }
    loop_defer(l->loop, &l->kick);
}

static void begin_tls(struct link *l)
{
    if (!l->tls) {
        l->state = LINK_OPEN;
        rewatch(l);
        loop_defer(l->loop, &l->kick);
        return;
    }
    l->state = LINK_HANDSHAKE;
    handshake(l);
    rewatch(l);
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

static void set_tcp_options(int fd)
{
    int one = 1, idle = PROBE_IDLE_S, every = PROBE_EVERY_S, count = PROBES;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

/* While something waits to be acknowledged the kernel doesn't probe but sends it again, for a quarter of an hour. Who is there answers
 * each time, also when he takes nothing; a window that is shut may make the times between longer than ours. */
static void unacknowledged(struct loop *loop, struct timer *t)
{
    struct link *l = container_of(t, struct link, unacknowledged);
    struct tcp_info i = { 0 };
    socklen_t n = sizeof i;
    getsockopt(l->src.fd, IPPROTO_TCP, TCP_INFO, &i, &n);         /* all zero where it is no TCP */
    if (!i.tcpi_unacked)
        return;
    if (!i.tcpi_snd_wnd || i.tcpi_last_ack_recv < SILENCE_MS || i.tcpi_last_data_recv < SILENCE_MS) {
        loop_timer_in(loop, t, LOOK_US);
        return;
    }
    kr_fail_sys(&l->e, KR_UNAVAILABLE, ETIMEDOUT, "%s: write", l->peer);
    die(l);
    call_ready(l);
}

static void connect_next(struct link *l)
{
    while (l->next_addr < l->addrs.n) {
        size_t i = l->next_addr++;
        int fd = socket(l->addrs.addr[i].ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        resolve_text(&l->addrs.addr[i], l->peer);
        if (fd < 0) {
            kr_fail_sys(&l->e, KR_UNAVAILABLE, errno, "%s: socket", l->peer);
            continue;
        }
        if (l->addrs.addr[i].ss_family != AF_UNIX)
            set_tcp_options(fd);
        if (connect(fd, (struct sockaddr *)&l->addrs.addr[i], l->addrs.len[i]) < 0 && errno != EINPROGRESS && errno != EAGAIN) {
            kr_fail_sys(&l->e, KR_UNAVAILABLE, errno, "%s: connect", l->peer);
            close(fd);
            continue;
        }
        l->src.fd = fd;
        l->state = LINK_CONNECTING;
        rewatch(l);
        if (l->next_addr < l->addrs.n)
            loop_timer_in(l->loop, &l->unanswered, ADDRESS_US);
        return;
    }
    l->state = LINK_DEAD;
    if (!l->e.code)
        kr_fail(&l->e, KR_UNAVAILABLE, "%s: no address to connect to", l->host);
    loop_defer(l->loop, &l->kick);
}

static void give_up_address(struct link *l, int why)
{
    kr_fail_sys(&l->e, KR_UNAVAILABLE, why, "%s: connect", l->peer);
    die(l);
    connect_next(l);
}

static void unanswered(struct loop *loop, struct timer *t)
{
    (void)loop;
    give_up_address(container_of(t, struct link, unanswered), ETIMEDOUT);
}

static void connected(struct link *l)
{
    int why = 0;
    socklen_t n = sizeof why;
    loop_timer_stop(l->loop, &l->unanswered);
    getsockopt(l->src.fd, SOL_SOCKET, SO_ERROR, &why, &n);
    if (why) {
        give_up_address(l, why);
        return;
    }
    l->e = (struct kr_err){ 0 };
    begin_tls(l);
}

static void resolved(void *ctx, const struct resolved *r, const struct kr_err *e)
{
    struct link *l = ctx;
    l->resolve = NULL;
    if (e) {
        l->e = *e;
        l->state = LINK_DEAD;
        loop_defer(l->loop, &l->kick);
        return;
    }
    l->addrs = *r;
    connect_next(l);
}

/* The socket leads through a proxy; a tunnel that pumps stays as long as the link. */
static void tunnelled(void *ctx, int fd, const struct kr_err *e)
{
    struct link *l = ctx;
    if (e) {
        l->e = *e;
        l->state = LINK_DEAD;
        loop_defer(l->loop, &l->kick);
        return;
    }
    l->src.fd = fd;
    begin_tls(l);
}

/* The session is made at once: the configuration need not live until the connection is there. */
static struct link *link_new(struct loop *loop, struct link_user user, const struct tls *tls, struct str name)
{
    struct link *l = xcalloc(1, sizeof *l);
    *l = (struct link){ .loop = loop, .src = { .fd = -1, .ready = on_event }, .user = user, .kick = { .run = kicked },
                        .unanswered = { .fire = unanswered }, .unacknowledged = { .fire = unacknowledged } };
    if (tls && !(l->tls = tls_session_new(tls, name, &l->e))) {
        l->state = LINK_DEAD;
        loop_defer(loop, &l->kick);
    }
    return l;
}

static bool unix_address(struct str path, struct resolved *r)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    *r = (struct resolved){ .n = 1 };
    if (path.n >= sizeof un.sun_path)
        return false;
    memcpy(un.sun_path, path.p, path.n);
    memcpy(&r->addr[0], &un, sizeof un);
    r->len[0] = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    return true;
}

struct link *link_connect(struct loop *loop, const struct link_target *t, struct link_user user)
{
    if (t->fd > 0)
        return link_accept(loop, t->fd, t->tls, user);
    struct link *l = link_new(loop, user, t->tls, t->server_name.n ? t->server_name : t->host);
    l->host = xstrndup(t->host.p, t->host.n);
    snprintf(l->peer, sizeof l->peer, "%.*s:%u", t->host.n < 50 ? (int)t->host.n : 50, t->host.p, t->port);
    if (l->state == LINK_DEAD)
        return l;
    if (str_starts(t->host, S("unix:"))) {
        if (!unix_address(str_from(t->host, 5), &l->addrs)) {
            l->addrs.n = 0;
            kr_fail(&l->e, KR_INVALID, "the path \"%s\" is too long for a socket", l->host);
        }
        connect_next(l);
    } else if (t->proxy) {
        l->tunnel = tunnel_open(loop, t->proxy, t->proxy_tls, t->host, t->port, (struct tunnel_user){ tunnelled, l });
    } else if (resolve_literal(t->host, t->port, &l->addrs)) {
        connect_next(l);
    } else {
        l->resolve = resolve_start(loop, t->host, t->port, resolved, l);
    }
    return l;
}

struct link *link_accept(struct loop *loop, int fd, const struct tls *tls, struct link_user user)
{
    struct link *l = link_new(loop, user, tls, S(""));
    struct sockaddr_storage a = { 0 };
    socklen_t n = sizeof a;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    l->src.fd = fd;
    if (getpeername(fd, (struct sockaddr *)&a, &n) == 0)
        resolve_text(&a, l->peer);
    if (a.ss_family == AF_INET || a.ss_family == AF_INET6)
        set_tcp_options(fd);
    if (l->state != LINK_DEAD)
        begin_tls(l);
    return l;
}

void link_pair(struct loop *loop, struct link *out[2], struct link_user a, struct link_user b)
{
    int fd[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
        abort();
    out[0] = link_accept(loop, fd[0], NULL, a);
    out[1] = link_accept(loop, fd[1], NULL, b);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void on_event(struct loop *loop, struct fdsrc *src, unsigned got)
{
    (void)loop;
    struct link *l = container_of(src, struct link, src);
    if (l->state == LINK_CONNECTING) {
        connected(l);
        return;
    }
    if (l->tls && (got & LOOP_OUT))
        tls_flush(l);
    if (l->state == LINK_HANDSHAKE) {
        handshake(l);
        return;
    }
    if ((got & LOOP_HUP) && !(got & LOOP_IN) && l->paused && l->state == LINK_OPEN) {
        int why = 0;
        socklen_t n = sizeof why;
        getsockopt(l->src.fd, SOL_SOCKET, SO_ERROR, &why, &n);
        if (why) {                                /* reset, or vanished: what waits to be read is of nobody any more */
            kr_fail_sys(&l->e, KR_UNAVAILABLE, why, "%s: read", l->peer);
            die(l);
        } else if (!l->want_write) {              /* nobody reads now: HUP would come again and again */
            loop_unwatch(l->loop, &l->src);
        }
    }
    call_ready(l);
}

/* ---- what owners call -------------------------------------------------------------------------------------------- */

static ptrdiff_t plain_read(struct link *l, void *p, size_t n)
{
    ptrdiff_t got;
    do
        got = recv(l->src.fd, p, n, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        return got;
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got < 0)
        kr_fail_sys(&l->e, KR_UNAVAILABLE, errno, "%s: read", l->peer);
    l->peer_closed = true;
    rewatch(l);
    return -1;
}

ptrdiff_t link_read(struct link *l, void *p, size_t n)
{
    if (l->state == LINK_DEAD)
        return -1;
    if (l->state != LINK_OPEN || l->paused || !n)
        return 0;
    if (!l->tls)
        return plain_read(l, p, n);
    for (int fills = 0;; fills++) {
        ptrdiff_t got = tls_session_read(l->tls, p, n, &l->e);
        if (got != 0) {
            if (got > 0 && tls_session_has_input(l->tls))
                loop_defer(l->loop, &l->kick);
            return got;
        }
        if (l->peer_closed)
            return -1;
        if (fills == FILLS || !tls_fill(l))       /* so many records that hold nothing for us: others have their turn, and epoll tells again */
            return 0;
    }
}

ptrdiff_t link_write(struct link *l, const void *p, size_t n)
{
    if (l->state == LINK_DEAD || l->unwritable)
        return -1;
    if (l->state != LINK_OPEN || !n)
        return 0;
    if (!l->tls)
        return put(l, p, n);
    if (tls_session_pending(l->tls).n > TLS_OUT_HIGH)
        tls_flush(l);
    if (l->unwritable)
        return -1;
    if (tls_session_pending(l->tls).n > TLS_OUT_HIGH)
        return 0;
    ptrdiff_t took = tls_session_write(l->tls, p, n, &l->e);
    tls_flush(l);
    return l->unwritable ? -1 : took;             /* nothing else would tell: the socket is gone */
}

bool link_has_unsent(const struct link *l) { return l->tls && l->src.fd >= 0 && tls_session_pending(l->tls).n > 0; }
bool link_is_open(const struct link *l) { return l->state == LINK_OPEN; }
struct str link_alpn(const struct link *l) { return l->tls && l->state == LINK_OPEN ? tls_session_alpn(l->tls) : (struct str){ 0 }; }
const struct kr_err *link_error(const struct link *l) { return &l->e; }
struct str link_peer(const struct link *l) { return str_of(l->peer); }
struct str link_client_cn(const struct link *l, struct arena *a) { return l->tls ? tls_session_peer_cn(l->tls, a) : (struct str){ 0 }; }
struct str link_client_groups(const struct link *l, struct arena *a) { return l->tls ? tls_session_peer_groups(l->tls, a) : (struct str){ 0 }; }

void link_want_write(struct link *l, bool on)
{
    if (l->want_write == on)
        return;
    l->want_write = on;
    rewatch(l);
}

void link_end_write(struct link *l)
{
    if (l->state == LINK_OPEN && l->tls) {
        tls_session_close(l->tls);
        tls_flush(l);
    }
    if (l->state == LINK_OPEN && !link_has_unsent(l))
        shutdown(l->src.fd, SHUT_WR);
}

void link_pause_read(struct link *l, bool on)
{
    if (l->paused == on)
        return;
    l->paused = on;
    rewatch(l);
    if (!on && l->state == LINK_OPEN && l->tls)
        loop_defer(l->loop, &l->kick);
}

int link_detach(struct link *l)
{
    int fd = l->src.fd;
    loop_unwatch(l->loop, &l->src);
    l->src.fd = -1;
    link_close(l);
    return fd;
}

void link_close(struct link *l)
{
    if (!l || l->closed)
        return;
    if (l->tls && l->state == LINK_OPEN) {
        tls_session_close(l->tls);
        tls_flush(l);
    }
    l->closed = true;
    resolve_cancel(l->resolve);
    loop_defer_cancel(l->loop, &l->kick);
    loop_timer_stop(l->loop, &l->unanswered);
    loop_timer_stop(l->loop, &l->unacknowledged);
    die(l);
    tunnel_close(l->tunnel);
    tls_session_free(l->tls);
    free(l->host);
    if (!l->busy)
        free(l);
}
