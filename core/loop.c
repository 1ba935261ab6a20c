/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop: one turn is: fire the timers that are due, run what was deferred, sleep in epoll, hand out what is ready. What the
 * deferred work of a turn defers belongs to the next one, which doesn't sleep: so every turn has an end.
 *
 * What epoll reported is handed out from an array; unwatching a source clears its entries there, so that a callback may
 * free any object. Children are pidfds, signals a signalfd: everything that can happen is a descriptor or a timer.
 * Tests: tests/unit/core/loop.c
 */
#include "core/loop.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EVENTS = 64 };
struct signals { struct fdsrc src; void (*got)(struct loop *, int sig, void *ctx); void *ctx; };
struct loop {
    int epfd;
    const struct clock *clock;
    int64_t now_us, wall_us;
    struct heap timers;
    struct defer *first, **last, end;             /* end: behind what this turn has to run */
    struct epoll_event ready[EVENTS];
    int nready, at;
    bool stopped;
    uint64_t wakeups;
    struct signals signals;
};

static bool sooner(const struct heap_node *a, const struct heap_node *b)
{
    return container_of(a, struct timer, node)->at_us < container_of(b, struct timer, node)->at_us;
}

static void read_time(struct loop *l)
{
    l->now_us = l->clock->mono_us(l->clock);
    l->wall_us = l->clock->wall_us(l->clock);
}

struct loop *loop_new(const struct clock *clock)
{
    struct loop *l = xcalloc(1, sizeof *l);
    l->epfd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epfd < 0) {
        perror("kruntimes: epoll_create1");
        abort();
    }
    l->clock = clock ? clock : &clock_system;
    l->timers.less = sooner;
    l->last = &l->first;
    l->signals.src.fd = -1;
    read_time(l);
    return l;
}

void loop_free(struct loop *l)
{
    if (!l) return;
    if (l->signals.src.fd >= 0) close(l->signals.src.fd);
    close(l->epfd);
    heap_free(&l->timers);
    free(l);
}

int64_t loop_now_us(struct loop *l) { return l->now_us; }
int64_t loop_wall_us(struct loop *l) { return l->wall_us; }
uint64_t loop_wakeups(const struct loop *l) { return l->wakeups; }
void loop_stop(struct loop *l) { l->stopped = true; }

/* ---- descriptors: `want` has bit LOOP_HUP while the source is watched ---- */
void loop_watch(struct loop *l, struct fdsrc *s, unsigned want)
{
    want |= LOOP_HUP;
    if (s->want == want) return;
    struct epoll_event ev = { .events = (want & LOOP_IN ? EPOLLIN | EPOLLRDHUP : 0u) | (want & LOOP_OUT ? EPOLLOUT : 0u), .data.ptr = s };
    if (epoll_ctl(l->epfd, s->want ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, &ev) < 0) {
        perror("kruntimes: epoll_ctl");           /* a descriptor that is not one: a bug, or the kernel is out of memory */
        abort();
    }
    s->want = want;
}

void loop_unwatch(struct loop *l, struct fdsrc *s)
{
    if (!s->want) return;
    epoll_ctl(l->epfd, EPOLL_CTL_DEL, s->fd, NULL);
    s->want = 0;
    for (int i = l->at; i < l->nready; i++)
        if (l->ready[i].data.ptr == s) l->ready[i].data.ptr = NULL;
}

static void hand_out(struct loop *l)
{
    for (l->at = 0; l->at < l->nready;) {
        struct epoll_event ev = l->ready[l->at++];
        struct fdsrc *s = ev.data.ptr;
        if (!s) continue;
        unsigned got = (ev.events & (EPOLLIN | EPOLLRDHUP) ? LOOP_IN : 0u) | (ev.events & EPOLLOUT ? LOOP_OUT : 0u) | (ev.events & (EPOLLHUP | EPOLLERR) ? LOOP_HUP : 0u);
        s->ready(l, s, got);
    }
    l->nready = l->at = 0;
}

/* ---- timers ---- */
void loop_timer_at(struct loop *l, struct timer *t, int64_t mono_us)
{
    t->at_us = mono_us;
    if (t->node.slot) heap_fix(&l->timers, &t->node);
    else heap_push(&l->timers, &t->node);
}

void loop_timer_in(struct loop *l, struct timer *t, int64_t us)
{
    int64_t at;
    loop_timer_at(l, t, __builtin_add_overflow(l->now_us, us, &at) ? INT64_MAX : at);
}

void loop_timer_stop(struct loop *l, struct timer *t) { heap_remove(&l->timers, &t->node); }

static struct timer *next_timer(struct loop *l)
{
    struct heap_node *top = heap_top(&l->timers);
    return top ? container_of(top, struct timer, node) : NULL;
}

static void fire_timers(struct loop *l)
{
    for (struct timer *t; (t = next_timer(l)) && t->at_us <= l->now_us;) {
        heap_remove(&l->timers, &t->node);
        t->fire(l, t);
    }
}

/* ---- deferred work ---- */
void loop_defer(struct loop *l, struct defer *d)
{
    if (d->queued) return;
    d->queued = true;
    d->next = NULL;
    *l->last = d;
    l->last = &d->next;
}

void loop_defer_cancel(struct loop *l, struct defer *d)
{
    if (!d->queued) return;
    struct defer **at = &l->first;
    while (*at != d) at = &(*at)->next;
    *at = d->next;
    if (l->last == &d->next) l->last = at;
    d->queued = false;
}

/* No more than there is at the beginning: who defers himself without end may not keep the others from theirs. */
static void run_deferred(struct loop *l)
{
    if (!l->first) return;
    loop_defer(l, &l->end);
    for (struct defer *d; (d = l->first);) {
        l->first = d->next;
        if (!l->first) l->last = &l->first;
        d->queued = false;
        if (d == &l->end) return;
        d->run(l, d);
    }
}

/* ---- signals and children ---- */
static void signalled(struct loop *l, struct fdsrc *src, unsigned got)
{
    struct signals *s = container_of(src, struct signals, src);
    struct signalfd_siginfo info;
    (void)got;
    while (read(src->fd, &info, sizeof info) == sizeof info) s->got(l, (int)info.ssi_signo, s->ctx);
}

void loop_signals(struct loop *l, const int *signals, size_t n, void (*got)(struct loop *, int, void *), void *ctx)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < n; i++) sigaddset(&set, signals[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    l->signals = (struct signals){ { .fd = signalfd(l->signals.src.fd, &set, SFD_NONBLOCK | SFD_CLOEXEC), .want = l->signals.src.want, .ready = signalled }, got, ctx };
    loop_watch(l, &l->signals.src, LOOP_IN);
}

static void child_ended(struct loop *l, struct fdsrc *src, unsigned got)
{
    struct child *c = container_of(src, struct child, src);
    int status = 0;
    (void)got;
    pid_t r = waitpid(c->pid, &status, WNOHANG);
    if (r == 0 || (r < 0 && errno == EINTR)) return;
    loop_child_forget(l, c);
    c->ended(l, c, r < 0 ? 0 : status);
}

int loop_child(struct loop *l, struct child *c, struct kr_err *e)
{
    c->src = (struct fdsrc){ .fd = (int)syscall(SYS_pidfd_open, c->pid, 0), .ready = child_ended };
    if (c->src.fd < 0) return kr_fail_sys(e, KR_SYSTEM, errno, "process %d can't be watched", (int)c->pid);
    loop_watch(l, &c->src, LOOP_IN);
    return 0;
}

void loop_child_forget(struct loop *l, struct child *c)
{
    if (!c->src.want) return;
    loop_unwatch(l, &c->src);
    close(c->src.fd);
    c->src.fd = -1;
}

/* ---- turning ---- */
static int sleep_ms(struct loop *l, int64_t deadline_us)
{
    struct timer *t = next_timer(l);
    int64_t until = t && t->at_us < deadline_us ? t->at_us : deadline_us;
    if (l->first || l->stopped) return 0;
    if (until == INT64_MAX) return -1;
    int64_t us = until - l->now_us;
    if (us <= 0) return 0;
    return us / 1000 >= INT32_MAX ? INT32_MAX : (int)((us + 999) / 1000);       /* never early: rounded up */
}

static void wait_for_more(struct loop *l, int64_t deadline_us)
{
    l->nready = epoll_wait(l->epfd, l->ready, EVENTS, sleep_ms(l, deadline_us));
    if (l->nready < 0) l->nready = 0;
    l->wakeups++;
    read_time(l);
    hand_out(l);
}

int loop_run_until(struct loop *l, bool (*done)(void *), void *ctx, int64_t deadline_us)
{
    read_time(l);
    for (;;) {
        fire_timers(l);
        run_deferred(l);
        if (done && done(ctx)) return 0;
        if (l->stopped) return l->stopped = false, 1;
        if (l->now_us >= deadline_us) return -1;
        wait_for_more(l, deadline_us);
    }
}

void loop_run(struct loop *l) { loop_run_until(l, NULL, NULL, INT64_MAX); }
