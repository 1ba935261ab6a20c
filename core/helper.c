/* SPDX-License-Identifier: Apache-2.0 */
/*
 * helper: see helper.h. The order is a memfd, so that no order is too long for a pipe; the end is told when the process is
 * reaped and both pipes are drained, so that no byte is lost. Tests: tests/unit/core/helper.c.
 */
#include "core/helper.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ERR_MAX = 4096, CHUNK = 65536 };
struct helper {
    struct loop *loop;
    struct helper_user user;
    struct child child;
    struct fdsrc out, err;
    struct buf out_text, err_text;
    struct timer deadline;
    struct defer turn;
    int status;
    bool reaped, late, paused, stopped;
};

static void close_source(struct helper *h, struct fdsrc *s)
{
    if (s->fd < 0)
        return;
    loop_unwatch(h->loop, s);
    close(s->fd);
    s->fd = -1;
}

static void end_all(struct helper *h)
{
    close_source(h, &h->out);
    close_source(h, &h->err);
    loop_timer_stop(h->loop, &h->deadline);
    loop_defer_cancel(h->loop, &h->turn);
    buf_free(&h->out_text);
    buf_free(&h->err_text);
    free(h);
}

static void kill_all(struct helper *h)
{
    if (!h->reaped)
        kill(-h->child.pid, SIGKILL);              /* its process group */
}

static void turn(struct loop *loop, struct defer *d)
{
    (void)loop;
    struct helper *h = container_of(d, struct helper, turn);
    if (!h->reaped || (!h->stopped && (h->out.fd >= 0 || h->err.fd >= 0)))
        return;
    if (!h->stopped) {
        struct helper_end end = { h->status, h->late, buf_view(&h->out_text), buf_view(&h->err_text) };
        h->user.ended(h->user.ctx, &end);
    }
    end_all(h);
}

/* 0: nothing now, or the end, of which the turn then tells. */
static size_t take_some(struct loop *loop, struct helper *h, struct fdsrc *s, char *to, size_t max)
{
    ptrdiff_t n = read(s->fd, to, max);
    if (n > 0)
        return (size_t)n;
    if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        close_source(h, s);
        loop_defer(loop, &h->turn);
    }
    return 0;
}

static void out_ready(struct loop *loop, struct fdsrc *s, unsigned got)
{
    struct helper *h = container_of(s, struct helper, out);
    char chunk[CHUNK];
    if (h->paused && !(got & LOOP_IN)) {           /* hung up with bytes in it: they wait for us */
        loop_unwatch(loop, s);
        return;
    }
    size_t n = take_some(loop, h, s, chunk, sizeof chunk);
    if (!n)
        return;
    if (h->user.data) {
        h->user.data(h->user.ctx, (struct str){ chunk, n });
        return;
    }
    buf_add(&h->out_text, chunk, n);
    if (h->out_text.failed)
        kill_all(h);
}

static void err_ready(struct loop *loop, struct fdsrc *s, unsigned got)
{
    struct helper *h = container_of(s, struct helper, err);
    char chunk[ERR_MAX];
    (void)got;
    size_t n = take_some(loop, h, s, chunk, sizeof chunk);
    if (!n)
        return;
    size_t room = ERR_MAX - h->err_text.n;
    buf_add(&h->err_text, chunk, n < room ? n : room);
}

static void ended(struct loop *loop, struct child *c, int status)
{
    struct helper *h = container_of(c, struct helper, child);
    h->reaped = true;
    h->status = status;
    loop_defer(loop, &h->turn);
}

static void too_late(struct loop *loop, struct timer *t)
{
    (void)loop;
    struct helper *h = container_of(t, struct helper, deadline);
    h->late = true;
    kill_all(h);
}

/* The order, as a file that is read from its beginning. */
static int order(struct str input, struct kr_err *e)
{
    AUTO_CLOSE int fd = memfd_create("order", MFD_CLOEXEC);
    if (fd < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "make an order for a helper");
    for (struct str rest = input; rest.n;) {
        ptrdiff_t n = write(fd, rest.p, rest.n);
        if (n <= 0)
            return kr_fail_sys(e, KR_SYSTEM, errno, "write an order for a helper");
        rest = str_from(rest, (size_t)n);
    }
    lseek(fd, 0, SEEK_SET);
    return TAKE_FD(fd);
}

static int spawn(struct helper *h, const struct helper_spec *s, int in, int out, int err, struct kr_err *e)
{
    struct proc_limit limits[3] = { { RLIMIT_CORE, 0, 0 } };
    struct proc_spec p = { .argv = s->argv, .envp = s->envp, .program = "/proc/self/exe", .in = in, .out = out, .err = err, .fds = s->fds, .nfds = s->nfds,
                           .limits = limits, .nlimits = 1, .new_group = true, .no_new_privs = true, .death_signal = SIGKILL };
#ifndef __SANITIZE_ADDRESS__
    if (s->memory)
        limits[p.nlimits++] = (struct proc_limit){ RLIMIT_DATA, s->memory, s->memory };
#endif
    return proc_spawn(&p, &h->child.pid, e) < 0 ? -1 : loop_child(h->loop, &h->child, e);
}

struct helper *helper_start(struct loop *loop, const struct helper_spec *s, struct helper_user user, struct kr_err *e)
{
    int out[2] = { -1, -1 }, err[2] = { -1, -1 };
    AUTO_CLOSE int in = order(s->input, e);
    if (in < 0)
        return NULL;
    struct helper *h = xcalloc(1, sizeof *h);
    *h = (struct helper){ .loop = loop, .user = user, .child = { .ended = ended }, .out = { .fd = -1, .ready = out_ready }, .err = { .fd = -1, .ready = err_ready },
                          .out_text = { .max = s->max_out }, .err_text = { .max = ERR_MAX }, .deadline = { .fire = too_late }, .turn = { .run = turn } };
    if (pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2(err, O_CLOEXEC | O_NONBLOCK) < 0)
        kr_fail_sys(e, KR_SYSTEM, errno, "make a pipe");
    else {
        fcntl(out[1], F_SETFL, 0);                 /* its ends block, ours don't */
        fcntl(err[1], F_SETFL, 0);
        spawn(h, s, in, out[1], err[1], e);
    }
    kr_closep(&out[1]);
    kr_closep(&err[1]);
    if (e->code) {
        kr_closep(&out[0]);
        kr_closep(&err[0]);
        free(h);
        return NULL;
    }
    h->out.fd = out[0];
    h->err.fd = err[0];
    loop_watch(loop, &h->out, LOOP_IN);
    loop_watch(loop, &h->err, LOOP_IN);
    loop_timer_in(loop, &h->deadline, s->timeout_us);
    return h;
}

void helper_pause(struct helper *h, bool on)
{
    if (h->paused == on)
        return;
    h->paused = on;
    if (h->out.fd < 0)
        return;
    if (on)
        loop_unwatch(h->loop, &h->out);
    else
        loop_watch(h->loop, &h->out, LOOP_IN);
}

void helper_kill(struct helper *h, struct helper_user user)
{
    h->user = user;
    helper_pause(h, false);
    kill_all(h);
}

void helper_stop(struct helper *h)
{
    if (!h)
        return;
    kill_all(h);
    h->stopped = true;
    h->user = (struct helper_user){ 0 };
    close_source(h, &h->out);
    close_source(h, &h->err);
    if (h->reaped)
        loop_defer(h->loop, &h->turn);             /* else its end frees it */
}
