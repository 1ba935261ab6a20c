/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow: inotify tells when the file grew, went or was renamed; it is read as fast as the reader takes it, never faster. Tested in
 * tests/unit/applets/apiserver_log.c and with kubectl.
 */
#include "applets/apiserver/follow.h"
#include "core/clock.h"
#include <errno.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { QUEUE_HIGH = 262144, CHUNK = 16384, LINE_MAX = 65536 };

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void give(struct log_view *v, struct str bytes, struct buf *out)
{
    if (v->limit >= 0 && bytes.n > (size_t)v->limit)
        bytes.n = (size_t)v->limit;
    if (v->limit >= 0)
        v->limit -= (int64_t)bytes.n;
    buf_str(out, bytes);
}

static void give_line(struct log_view *v, struct str line, struct buf *out)
{
    int64_t t;
    char stamp[TIME_TEXT];
    struct str rest = line;
    if (!v->middle && time_parse(str_cut(&rest, ' '), &t))
        v->at_us = t;
    if (v->at_us >= v->since_us) {
        if (v->stamps && !v->middle) {
            time_print_micro(stamp, v->at_us);
            give(v, str_of(stamp), out);
            give(v, S(" "), out);
        }
        give(v, line, out);
    }
    v->middle = line.n && line.p[line.n - 1] != '\n';
}

size_t log_view_feed(struct log_view *v, struct str text, bool last, struct buf *out)
{
    size_t taken = 0;
    if (!v->stamps && !v->since_us) {
        give(v, text, out);
        return text.n;
    }
    while (text.n) {
        ptrdiff_t end = str_chr(text, '\n');
        if (end < 0 && !last && text.n < LINE_MAX)
            break;
        size_t n = end < 0 ? text.n : (size_t)end + 1;
        give_line(v, (struct str){ text.p, n }, out);
        text = str_from(text, n);
        taken += n;
    }
    return taken;
}

/* ---- what comes -------------------------------------------------------------------------------------------------- */

struct follow {
    struct loop *loop;
    struct fdsrc notify;
    int fd;
    int64_t at;
    struct log_view view;
    struct follow_user user;
    struct buf rest, out;                /* rest: the beginning of a line */
    bool ended;
};

static void end(struct follow *f)
{
    if (f->ended)
        return;
    f->ended = true;
    loop_unwatch(f->loop, &f->notify);
    f->user.end(f->user.ctx);
}

/* Nobody writes it any more: it was removed, or is the log of a process that another one has followed. */
static bool is_over(const struct follow *f)
{
    char link[32], path[4096];
    struct stat st;
    snprintf(link, sizeof link, "/proc/self/fd/%d", f->fd);
    ssize_t n = readlink(link, path, sizeof path);
    return fstat(f->fd, &st) < 0 || st.st_nlink == 0 || (n > 0 && str_ends((struct str){ path, (size_t)n }, S(LOG_PREVIOUS)));
}

static void read_on(struct follow *f)
{
    char chunk[CHUNK];
    bool gone = is_over(f);              /* before reading: what was written until then is read */
    while (!f->ended && f->user.queued(f->user.ctx) < QUEUE_HIGH) {
        ssize_t n = pread(f->fd, chunk, sizeof chunk, f->at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n > 0)
            buf_str(&f->rest, (struct str){ chunk, (size_t)n });
        buf_clear(&f->out);
        buf_drop(&f->rest, log_view_feed(&f->view, buf_view(&f->rest), n <= 0 && gone, &f->out));
        if (f->out.n)
            f->user.write(f->user.ctx, buf_view(&f->out));
        if (n < 0 || (n == 0 && gone) || log_view_over(&f->view))
            end(f);
        if (n <= 0)
            return;
        f->at += n;
    }
}

static void notified(struct loop *loop, struct fdsrc *src, unsigned got)
{
    char events[4096];
    struct follow *f = container_of(src, struct follow, notify);
    (void)loop;
    (void)got;
    while (read(src->fd, events, sizeof events) > 0)
        ;
    read_on(f);
}

void follow_writable(struct follow *f)
{
    if (!f->ended)
        read_on(f);
}

struct follow *follow_start(struct loop *loop, int fd, int64_t at, const struct log_view *view, struct follow_user user, struct kr_err *e)
{
    char path[32];
    struct follow *f = xcalloc(1, sizeof *f);
    *f = (struct follow){ .loop = loop, .fd = fd, .at = at, .view = *view, .user = user, .rest = { .max = 2 * LINE_MAX }, .out = { .max = 16 * LINE_MAX } };
    f->notify = (struct fdsrc){ .fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), .ready = notified };
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (f->notify.fd < 0 || inotify_add_watch(f->notify.fd, path, IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF) < 0) {
        kr_fail_sys(e, KR_SYSTEM, errno, "the log can't be followed");
        follow_free(f);
        return NULL;
    }
    loop_watch(loop, &f->notify, LOOP_IN);
    read_on(f);                          /* what came between the first read and the watch */
    return f;
}

void follow_free(struct follow *f)
{
    if (!f)
        return;
    loop_unwatch(f->loop, &f->notify);
    if (f->notify.fd >= 0)
        close(f->notify.fd);
    close(f->fd);
    buf_free(&f->rest);
    buf_free(&f->out);
    free(f);
}
