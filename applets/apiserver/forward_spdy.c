/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward_spdy: pairs of streams ↔ connections to the pod. A pair begins when both of its streams are there, which may take
 * PAIR_US as with a kubelet, and ends with its connection; what comes for a stream afterwards is late and passed over.
 *
 * An error is told as a kubelet tells it. kubectl (1.23 and later) ends its whole session when it reads one; that is its choice,
 * the other pairs live on here.
 */
#include "applets/apiserver/forward_spdy.h"
#include "grpc/spdy.h"

enum { PAIR_US = 30000000 };
struct pair {
    struct forward_link link;
    struct timer other;                           /* the other stream is waited for */
    struct forward_spdy *f;
    uint16_t port;
    char request[32];
    uint32_t data, error;                         /* 0: not there */
};
struct forward_spdy {
    struct loop *loop;
    struct forward_spdy_user user;
    struct spdy spdy;
    char *pod, *ip;
    struct pair *pair[LIMIT_FORWARDS];
    size_t n;
};

static void pair_free(struct pair *p)
{
    struct forward_spdy *f = p->f;
    for (size_t i = 0; i < f->n; i++)
        if (f->pair[i] == p)
            f->pair[i] = f->pair[--f->n];
    forward_link_free(&p->link);
    loop_timer_stop(f->loop, &p->other);
    free(p);
}

static void send(struct forward_spdy *f, const struct buf *out)
{
    if (out->n)
        f->user.send(f->user.ctx, buf_view(out));
}

static void send_data(struct forward_spdy *f, uint32_t stream, struct str bytes, bool fin)
{
    AUTO_BUF struct buf out = { .max = bytes.n + 64 };
    if (stream)
        spdy_put_data(&out, stream, bytes, fin);
    send(f, &out);
}

/* ---- from the pod ------------------------------------------------------------------------------------------------ */

static void got(struct forward_link *l, struct str bytes)
{
    struct pair *p = container_of(l, struct pair, link);
    send_data(p->f, p->data, bytes, false);
}

static void moved(struct forward_link *l)
{
    struct forward_spdy *f = container_of(l, struct pair, link)->f;
    f->user.held(f->user.ctx);
}

static void ended(struct forward_link *l, const struct kr_err *why)
{
    struct pair *p = container_of(l, struct pair, link);
    struct forward_spdy *f = p->f;
    AUTO_BUF struct buf text = { .max = 2 * LIMIT_ERR_MESSAGE };
    if (why->code)
        buf_fmt(&text, "error forwarding port %u to pod %s: %s", p->port, f->pod, why->msg);
    send_data(f, p->error, buf_view(&text), true);
    send_data(f, p->data, S(""), true);
    pair_free(p);
    f->user.held(f->user.ctx);
}

static size_t queued(struct forward_link *l)
{
    struct forward_spdy *f = container_of(l, struct pair, link)->f;
    return f->user.queued(f->user.ctx);
}

static const struct forward_link_user link_user = { got, moved, ended, queued };

static void alone(struct loop *l, struct timer *t)
{
    struct kr_err why = { 0 };
    (void)l;
    kr_fail(&why, KR_DEADLINE, "timed out waiting for streams");
    ended(&container_of(t, struct pair, other)->link, &why);
}

/* ---- from the client --------------------------------------------------------------------------------------------- */

static struct pair *pair_of_stream(struct forward_spdy *f, uint32_t stream)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->pair[i]->data == stream || f->pair[i]->error == stream)
            return f->pair[i];
    return NULL;
}

static struct pair *pair_of_request(struct forward_spdy *f, struct str request, uint16_t port)
{
    for (size_t i = 0; i < f->n; i++)
        if (str_is(request, f->pair[i]->request))
            return f->pair[i]->port == port ? f->pair[i] : NULL;
    if (f->n == LIMIT_FORWARDS)
        return NULL;
    struct pair *p = xcalloc(1, sizeof *p);
    *p = (struct pair){ .other.fire = alone, .f = f, .port = port };
    memcpy(p->request, request.p, request.n);
    forward_link_init(&p->link, &link_user);
    loop_timer_in(f->loop, &p->other, PAIR_US);
    return f->pair[f->n++] = p;
}

/* NULL: the stream is refused. */
static struct pair *join(struct forward_spdy *f, const struct spdy_event *ev)
{
    struct str type = http_get(ev->fields, "streamtype"), request = http_get(ev->fields, "requestid");
    int64_t port;
    bool data = str_is(type, "data");
    if ((!data && !str_is(type, "error")) || !request.n || request.n >= sizeof f->pair[0]->request || memchr(request.p, '\0', request.n))
        return NULL;
    if (!str_i64(http_get(ev->fields, "port"), &port) || port < 1 || port > 65535)
        return NULL;
    struct pair *p = pair_of_request(f, request, (uint16_t)port);
    if (!p || p->link.link || (data ? p->data : p->error))
        return NULL;
    *(data ? &p->data : &p->error) = ev->stream;
    return p;
}

static void opened(struct forward_spdy *f, const struct spdy_event *ev, struct buf *out)
{
    struct pair *p = join(f, ev);
    if (!p) {
        spdy_put_reset(out, ev->stream, SPDY_REFUSED_STREAM);
        return;
    }
    spdy_put_reply(&f->spdy, out, ev->stream);
    if (ev->stream == p->data && ev->fin)
        forward_link_write(&p->link, S(""), true);
    if (!p->data || !p->error)
        return;
    loop_timer_stop(f->loop, &p->other);
    forward_link_connect(&p->link, f->loop, str_of(f->ip), p->port);
}

static void take(struct forward_spdy *f, const struct spdy_event *ev, struct buf *out)
{
    if (ev->kind == SPDY_OPENED) {
        opened(f, ev, out);
        return;
    }
    struct pair *p = pair_of_stream(f, ev->stream);
    if (!p)
        return;
    if (ev->kind == SPDY_RESET && ev->stream == p->error)
        p->error = 0;                             /* nobody reads it; the data goes on */
    else if (ev->kind == SPDY_RESET)
        pair_free(p);
    else if (ev->stream == p->data)
        forward_link_write(&p->link, ev->data, ev->fin);
}

int forward_spdy_data(struct forward_spdy *f, struct str bytes, struct kr_err *e)
{
    struct spdy_event ev;
    int rc;
    do {
        AUTO_BUF struct buf out = { .max = bytes.n + 4096 };
        rc = spdy_take(&f->spdy, &bytes, &ev, &out, e);
        if (rc == 0 && ev.kind)
            take(f, &ev, &out);
        else if (rc < 0)
            spdy_put_goaway(&f->spdy, &out);
        send(f, &out);
    } while (rc == 0 && (ev.kind || bytes.n));
    f->user.held(f->user.ctx);
    return rc;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

struct forward_spdy *forward_spdy_new(struct loop *loop, struct str pod, struct str ip, struct forward_spdy_user user)
{
    struct forward_spdy *f = xcalloc(1, sizeof *f);
    *f = (struct forward_spdy){ .loop = loop, .user = user, .pod = xstrndup(pod.p, pod.n), .ip = xstrndup(ip.p, ip.n) };
    spdy_init(&f->spdy);
    return f;
}

bool forward_spdy_is_full(const struct forward_spdy *f)
{
    size_t waits = 0;
    for (size_t i = 0; i < f->n; i++)
        waits += f->pair[i]->link.out.n;
    return waits > FORWARD_HIGH;
}

void forward_spdy_writable(struct forward_spdy *f)
{
    for (size_t i = 0; i < f->n; i++)
        forward_link_resume(&f->pair[i]->link);
}

void forward_spdy_free(struct forward_spdy *f)
{
    if (!f)
        return;
    while (f->n)
        pair_free(f->pair[f->n - 1]);
    spdy_free(&f->spdy);
    free(f->pod);
    free(f->ip);
    free(f);
}
