/* SPDX-License-Identifier: Apache-2.0 */
/* forward_link: a link, what waits for it, and the rule when each side pauses. */
#include "applets/apiserver/forward_link.h"

void forward_link_init(struct forward_link *f, const struct forward_link_user *user)
{
    *f = (struct forward_link){ .user = user, .out = { .max = 8 * FORWARD_HIGH } };
}

static void end(struct forward_link *f)
{
    struct kr_err e = *link_error(f->link);
    if (f->out.failed && !e.code)
        kr_fail(&e, KR_TOO_LARGE, "too much data waits for the port");
    link_close(TAKE(f->link));
    f->user->ended(f, &e);
}

/* False: it has ended. */
static bool write_out(struct forward_link *f)
{
    size_t before = f->out.n;
    while (f->out.n) {
        ptrdiff_t n = link_write(f->link, f->out.p, f->out.n);
        if (n < 0) {
            end(f);
            return false;
        }
        if (n == 0)
            break;
        buf_drop(&f->out, (size_t)n);
    }
    link_want_write(f->link, f->out.n > 0);
    if (!f->out.n && f->no_more)
        link_end_write(f->link);
    if (f->out.n < before)
        f->user->moved(f);
    return true;
}

static void ready(struct link *l, void *ctx)
{
    struct forward_link *f = ctx;
    UNFILLED char chunk[16384];
    if (!write_out(f))
        return;
    while (f->user->queued(f) < FORWARD_HIGH) {
        ptrdiff_t n = link_read(l, chunk, sizeof chunk);
        if (n == 0)
            return;
        if (n < 0) {
            end(f);
            return;
        }
        f->user->got(f, (struct str){ chunk, (size_t)n });
    }
    link_pause_read(l, true);
}

void forward_link_connect(struct forward_link *f, struct loop *loop, struct str ip, uint16_t port)
{
    f->link = link_connect(loop, &(struct link_target){ .host = ip, .port = port }, (struct link_user){ ready, f });
}

void forward_link_write(struct forward_link *f, struct str bytes, bool last)
{
    buf_str(&f->out, bytes);
    f->no_more |= last;
    if (f->link && f->out.failed)
        end(f);
    else if (f->link)
        write_out(f);
}

void forward_link_resume(struct forward_link *f)
{
    if (f->link)
        link_pause_read(f->link, false);
}

void forward_link_free(struct forward_link *f)
{
    link_close(TAKE(f->link));
    buf_free(&f->out);
}
