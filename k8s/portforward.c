/* SPDX-License-Identifier: Apache-2.0 */
/*
 * portforward: pumps between one end of a socketpair and two channels of a WebSocket (0 data, 1 errors), each of which
 * begins with the port in two bytes. Neither side is read while what came of it before still waits for the other, and our end
 * closes behind the last byte of the server's; of PINGs that come faster than their answers leave, the last is answered (RFC 6455
 * section 5.5.3). Tested in tests/unit/k8s/portforward.c.
 */
#include "k8s/portforward.h"
#include "core/link.h"
#include "core/uri.h"
#include "core/websocket.h"
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

enum { QUEUE_HIGH = 1 << 20 };
struct kube_forward {
    struct kube *k;
    struct link *link;                            /* our end of the pair */
    struct hcall *call;
    struct ws ws;
    struct buf out, error;                        /* to the link; the server's refusal */
    size_t head[2];                               /* bytes of the port seen per channel */
    int status;
    char accept[WS_ACCEPT_TEXT], ping[125];
    size_t nping;
    bool ended;                                   /* by the server: our end closes once it has all of out */
    bool open, dead, full, pinged;                /* full: what was written to the server has not left yet; pinged: an answer is due */
    void (*failed)(void *, const struct kr_err *);
    void *ctx;
};

static void fail(struct kube_forward *f, const struct kr_err *e)
{
    if (f->dead)
        return;
    f->dead = true;
    link_close(TAKE(f->link));
    hcall_cancel(TAKE(f->call));
    f->failed(f->ctx, e);
}

static void flush_link(struct kube_forward *f)
{
    ptrdiff_t n = 0;
    while (f->link && f->out.n && (n = link_write(f->link, f->out.p, f->out.n)) > 0)
        buf_drop(&f->out, (size_t)n);
    if (f->link && f->ended && (!f->out.n || n < 0))
        link_close(TAKE(f->link));
    if (f->link)
        link_want_write(f->link, f->out.n > 0);
    if (f->call)
        hcall_pause(f->call, f->out.n > QUEUE_HIGH);
}

static void end_link(struct kube_forward *f)
{
    f->ended = true;
    flush_link(f);
}

static void send_frame(struct kube_forward *f, enum ws_kind kind, struct str data)
{
    AUTO_BUF struct buf b = { .max = data.n + 64 };
    ws_put(&f->ws, &b, kind, data);
    f->full = true;
    hcall_write(f->call, buf_view(&b));
}

/* From our end to the pod. */
static void link_ready(struct link *l, void *ctx)
{
    struct kube_forward *f = ctx;
    char chunk[16385];
    flush_link(f);
    while (f->open && !f->ended && !f->full && f->link == l) {
        ptrdiff_t n = link_read(l, chunk + 1, sizeof chunk - 1);
        if (n == 0)
            return;
        if (n < 0) {
            AUTO_BUF struct buf b = { .max = 256 };
            ws_put_close(&f->ws, &b, 1000, S(""));
            hcall_write(f->call, buf_view(&b));
            link_close(TAKE(f->link));
            return;
        }
        chunk[0] = 0;
        send_frame(f, WS_BINARY, (struct str){ chunk, (size_t)n + 1 });
    }
    if (f->link == l)
        link_pause_read(l, true);
}

static void on_ping(struct kube_forward *f, struct str data)
{
    f->pinged = f->full;
    if (!f->full)
        send_frame(f, WS_PONG, data);
    else if ((f->nping = data.n))
        memcpy(f->ping, data.p, data.n);
}

static void on_writable(struct hcall *h)
{
    struct kube_forward *f = hcall_ctx(h);
    f->full = false;
    if (f->pinged)
        on_ping(f, (struct str){ f->ping, f->nping });
    if (f->link && f->open) {
        link_pause_read(f->link, false);
        link_ready(f->link, f);
    }
}

static void take_message(struct kube_forward *f, struct str m)
{
    unsigned channel = m.n ? (unsigned char)m.p[0] : 9;
    if (channel > 1)
        return;
    m = str_from(m, 1);
    while (m.n && f->head[channel] < 2) {
        f->head[channel]++;
        m = str_from(m, 1);
    }
    if (!m.n)
        return;
    if (channel == 0) {
        buf_str(&f->out, m);
        flush_link(f);
        return;
    }
    struct kr_err e = { 0 };
    kr_fail(&e, KR_UNAVAILABLE, "port-forward: %.*s", (int)str_rune_cut(m, 300), m.p);
    fail(f, &e);
}

static void on_head(struct hcall *h, int status, struct http_fields fields)
{
    struct kube_forward *f = hcall_ctx(h);
    struct kr_err e = { 0 };
    f->status = status;
    if (status != 101)
        return;
    if (!str_is(http_get(fields, "sec-websocket-accept"), f->accept)) {
        kr_fail(&e, KR_PROTOCOL, "port-forward: the server's WebSocket handshake is wrong");
        fail(f, &e);
        return;
    }
    f->open = true;
    link_pause_read(f->link, false);
    link_ready(f->link, f);
}

static void on_data(struct hcall *h, struct str bytes)
{
    struct kube_forward *f = hcall_ctx(h);
    struct ws_event ev;
    struct kr_err e = { 0 };
    if (!f->open) {
        buf_str(&f->error, bytes);
        return;
    }
    while (bytes.n && !f->dead) {
        if (ws_take(&f->ws, &bytes, &ev, &e) < 0) {
            fail(f, &e);
            return;
        }
        if (ev.kind == WS_BINARY || ev.kind == WS_TEXT)
            take_message(f, ev.data);
        else if (ev.kind == WS_PING)
            on_ping(f, ev.data);
        else if (ev.kind == WS_CLOSE)
            end_link(f);
    }
}

static void on_end(struct hcall *h, struct http_fields t)
{
    struct kube_forward *f = hcall_ctx(h);
    struct kr_err e = { 0 };
    (void)t;
    f->call = NULL;
    if (f->open) {
        end_link(f);
        return;
    }
    kube_status_error(f->status, buf_view(&f->error), &e, NULL);
    fail(f, &e);
}

static void on_failed(struct hcall *h, const struct kr_err *e)
{
    struct kube_forward *f = hcall_ctx(h);
    f->call = NULL;
    if (f->open)
        end_link(f);
    else
        fail(f, e);
}

struct kube_forward *kube_forward_open(struct kube *k, struct str ns, struct str pod, uint16_t port, struct rnd *rnd, int *fd,
                                       void (*failed)(void *, const struct kr_err *), void *ctx)
{
    int pair[2];
    char key[WS_KEY_TEXT], number[8];
    AUTO_BUF struct buf path = { .max = 4096 };
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        abort();
    struct kube_forward *f = xcalloc(1, sizeof *f);
    *f = (struct kube_forward){ .k = k, .out = { .max = 64 << 20 }, .error = { .max = 65536 }, .failed = failed, .ctx = ctx };
    ws_init(&f->ws, WS_CLIENT, rnd);
    ws_key(rnd, key);
    ws_accept(str_of(key), f->accept);
    f->link = link_accept(kube_loop(k), pair[0], NULL, (struct link_user){ link_ready, f });
    *fd = pair[1];
    kube_path(&path, &kube_pods, ns, pod, "portforward");
    snprintf(number, sizeof number, "%u", port);
    uri_put_param(&path, "ports", str_of(number));
    struct http_field fields[] = { { S("upgrade"), S("websocket") }, { S("connection"), S("Upgrade") }, { S("sec-websocket-version"), S("13") },
                                   { S("sec-websocket-key"), str_of(key) }, { S("sec-websocket-protocol"), S("v4.channel.k8s.io") } };
    f->call = kube_upgrade(k, buf_view(&path), (struct http_fields){ fields, LEN(fields) },
                           (struct hcall_user){ .head = on_head, .data = on_data, .writable = on_writable, .end = on_end, .failed = on_failed, .ctx = f });
    return f;
}

void kube_forward_close(struct kube_forward *f)
{
    if (!f)
        return;
    hcall_cancel(f->call);
    link_close(f->link);
    ws_free(&f->ws);
    buf_free(&f->out);
    buf_free(&f->error);
    free(f);
}
