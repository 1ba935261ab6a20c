/* SPDX-License-Identifier: Apache-2.0 */
/*
 * portforward: the client's side of a port-forward, whichever way it came. With channels each port has a link of its own,
 * 2i carrying its data and 2i+1 its errors; SPDY is forward_spdy's. A client that doesn't read what it asked for isn't read
 * either, nor one whose bytes a pod doesn't take.
 */
#include "applets/apiserver/portforward.h"
#include "applets/apiserver/forward_spdy.h"
#include "core/uri.h"
#include "core/websocket.h"

#define CHANNELS "v4.channel.k8s.io"
#define PROTOCOL "portforward.k8s.io"

enum { MAX_PORTS = 8 };
struct forward_port { struct forward_link link; struct portforward *f; unsigned channel; bool closed; };
struct portforward {
    struct hreq *r;
    bool bare, ended;                             /* bare: no WebSocket */
    struct ws ws;
    struct forward_spdy *spdy;                    /* NULL: channels */
    struct forward_port ports[MAX_PORTS];
    size_t n;
};

bool portforward_wants(const struct hreq *r)
{
    AUTO_ARENA struct arena a = { .limit = 65536, .first = 1024 };
    struct str path, query;
    struct api_path p;
    uri_split(hreq_path(r), &path, &query);
    return str_ends(path, S("/portforward")) && api_path_parse(&p, path, &a) == 0 && !*p.r->group && !strcmp(p.r->plural, "pods") &&
           str_is(p.sub, "portforward");
}

/* ---- to the client ----------------------------------------------------------------------------------------------- */

static void hold_back(struct portforward *f)
{
    size_t waits = 0;
    for (size_t i = 0; i < f->n; i++)
        waits += f->ports[i].link.out.n;
    bool full = hreq_queued(f->r) > 2 * FORWARD_HIGH || waits > FORWARD_HIGH || (f->spdy && forward_spdy_is_full(f->spdy));
    hreq_pause(f->r, full && !f->ended);
}

static void send_message(struct portforward *f, struct str bytes)
{
    AUTO_BUF struct buf out = { .max = bytes.n + 32 };
    if (f->bare) {
        hreq_write(f->r, bytes);
        return;
    }
    ws_put(&f->ws, &out, WS_BINARY, bytes);
    hreq_write(f->r, buf_view(&out));
}

static void send_channel(struct portforward *f, unsigned channel, struct str bytes)
{
    AUTO_BUF struct buf message = { .max = bytes.n + 1 };
    buf_byte(&message, (char)channel);
    buf_str(&message, bytes);
    send_message(f, buf_view(&message));
}

static void close_all(struct portforward *f, int code)
{
    AUTO_BUF struct buf out = { .max = 256 };
    f->ended = true;
    if (!f->bare)
        ws_put_close(&f->ws, &out, code, S(""));
    hreq_write(f->r, buf_view(&out));
    hreq_finish(f->r, (struct http_fields){ 0 });
}

/* ---- channels ---------------------------------------------------------------------------------------------------- */

static void port_got(struct forward_link *l, struct str bytes)
{
    struct forward_port *p = container_of(l, struct forward_port, link);
    send_channel(p->f, p->channel, bytes);
}

static void port_moved(struct forward_link *l) { hold_back(container_of(l, struct forward_port, link)->f); }

static void port_ended(struct forward_link *l, const struct kr_err *why)
{
    struct forward_port *p = container_of(l, struct forward_port, link);
    p->closed = true;
    buf_free(&l->out);
    if (why->code)
        send_channel(p->f, p->channel + 1, str_of(why->msg));
    for (size_t i = 0; i < p->f->n; i++)
        if (!p->f->ports[i].closed) {
            hold_back(p->f);                      /* what waited for this one waits no more */
            return;
        }
    close_all(p->f, 1000);
}

static size_t port_queued(struct forward_link *l) { return hreq_queued(container_of(l, struct forward_port, link)->f->r); }

static const struct forward_link_user port_user = { port_got, port_moved, port_ended, port_queued };

static void take_message(struct portforward *f, struct str message)
{
    unsigned channel = message.n ? (unsigned char)message.p[0] : 255;
    size_t i = channel / 2;
    if (channel % 2 || i >= f->n || f->ports[i].closed)
        return;                                   /* nothing is expected on the error channels */
    forward_link_write(&f->ports[i].link, str_from(message, 1), false);
}

static void connect_ports(struct portforward *f, struct loop *loop, struct str ip, struct str query, struct arena *a)
{
    struct str rest = query, value;
    int64_t port;
    while (f->n < MAX_PORTS && uri_query_next_of(&rest, "ports", a, &value)) {
        while (value.n && f->n < MAX_PORTS) {
            if (!str_i64(str_cut(&value, ','), &port) || port < 1 || port > 65535)
                continue;
            struct forward_port *p = &f->ports[f->n];
            *p = (struct forward_port){ .f = f, .channel = (unsigned)f->n * 2 };
            forward_link_init(&p->link, &port_user);
            char two[2] = { (char)(port & 255), (char)(port >> 8) };
            send_channel(f, p->channel, (struct str){ two, 2 });
            send_channel(f, p->channel + 1, (struct str){ two, 2 });
            forward_link_connect(&p->link, loop, ip, (uint16_t)port);
            f->n++;
        }
    }
}

/* ---- SPDY -------------------------------------------------------------------------------------------------------- */

static void spdy_send(void *ctx, struct str bytes) { send_message(ctx, bytes); }
static void spdy_held(void *ctx) { hold_back(ctx); }

static size_t spdy_queued(void *ctx)
{
    struct portforward *f = ctx;
    return hreq_queued(f->r);
}

static void take_bytes(struct portforward *f, struct str bytes)
{
    struct kr_err e = { 0 };
    if (forward_spdy_data(f->spdy, bytes, &e) < 0)
        close_all(f, 1002);
}

/* ---- from the client --------------------------------------------------------------------------------------------- */

static void take_event(struct portforward *f, const struct ws_event *ev)
{
    AUTO_BUF struct buf out = { .max = 256 };
    if (ev->kind == WS_BINARY || ev->kind == WS_TEXT) {
        if (f->spdy)
            take_bytes(f, ev->data);
        else
            take_message(f, ev->data);
    } else if (ev->kind == WS_PING) {
        ws_put(&f->ws, &out, WS_PONG, ev->data);
        hreq_write(f->r, buf_view(&out));
    } else if (ev->kind == WS_CLOSE) {
        close_all(f, 1000);
    }
}

void portforward_data(struct portforward *f, struct str bytes)
{
    struct ws_event ev;
    struct kr_err e = { 0 };
    if (f->bare && !f->ended)
        take_bytes(f, bytes);
    while (!f->bare && !f->ended && bytes.n) {
        if (ws_take(&f->ws, &bytes, &ev, &e) < 0)
            close_all(f, f->ws.fail_code);
        else
            take_event(f, &ev);
    }
    if (!f->ended)
        hold_back(f);
}

void portforward_writable(struct portforward *f)
{
    for (size_t i = 0; i < f->n; i++)
        forward_link_resume(&f->ports[i].link);
    if (f->spdy)
        forward_spdy_writable(f->spdy);
    hold_back(f);
}

/* ---- beginning --------------------------------------------------------------------------------------------------- */

static struct portforward *refuse(struct hreq *r, int status, const char *text)
{
    struct http_field f[] = { { S("content-type"), S("text/plain; charset=utf-8") } };
    hreq_respond(r, status, (struct http_fields){ f, LEN(f) }, str_of(text));
    return NULL;
}

static struct str pod_ip(struct api *api, const struct api_path *p, struct arena *a)
{
    static const char *const ip[] = { "status", "podIP" };
    struct store_value v;
    struct kr_err e = { 0 };
    if (store_get(api->store, resource_key(p->r, p->ns, p->name, a), &v, &e) <= 0)
        return (struct str){ 0 };
    return json_str_of(json_find_path(v.json, ip, 2), a);
}

/* Switches protocols, to a WebSocket with the key, or to SPDY. */
static struct portforward *switch_to(struct hreq *r, struct str key, struct str protocol)
{
    struct portforward *f = xcalloc(1, sizeof *f);
    struct http_field answer[4];
    char accept[WS_ACCEPT_TEXT];
    size_t n = 0;
    *f = (struct portforward){ .r = r, .bare = !key.n };
    answer[n++] = (struct http_field){ S("connection"), S("Upgrade") };
    answer[n++] = (struct http_field){ S("upgrade"), f->bare ? S("SPDY/3.1") : S("websocket") };
    answer[n++] = (struct http_field){ f->bare ? S("x-stream-protocol-version") : S("sec-websocket-protocol"), protocol };
    if (!f->bare) {
        ws_accept(key, accept);
        answer[n++] = (struct http_field){ S("sec-websocket-accept"), str_of(accept) };
        ws_init(&f->ws, WS_SERVER, NULL);
    }
    hreq_upgrade(r, (struct http_fields){ answer, n });
    return f;
}

/* The request's way, NULL when it was refused. */
static struct portforward *agree(struct hreq *r, bool *spdy)
{
    struct http_fields h = hreq_fields(r);
    struct str key = http_get(h, "sec-websocket-key"), offered = http_get(h, "sec-websocket-protocol"), upgrade = http_get(h, "upgrade");
    *spdy = true;
    if (http_has_token(upgrade, "SPDY/3.1"))
        return http_has_token(http_get(h, "x-stream-protocol-version"), PROTOCOL) ? switch_to(r, S(""), S(PROTOCOL))
            : refuse(r, 403, "the stream protocol " PROTOCOL " is needed\n");
    if (!http_has_token(upgrade, "websocket") || !ws_key_ok(key))
        return refuse(r, 400, "port-forward is offered over WebSocket and SPDY/3.1\n");
    *spdy = !http_has_token(offered, CHANNELS);
    if (!*spdy || http_has_token(offered, "SPDY/3.1+" PROTOCOL))
        return switch_to(r, key, *spdy ? S("SPDY/3.1+" PROTOCOL) : S(CHANNELS));
    return refuse(r, 400, "the subprotocol " CHANNELS " or SPDY/3.1+" PROTOCOL " is needed\n");
}

struct portforward *portforward_start(struct api *api, struct hreq *r)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct str path, query;
    struct api_path p;
    bool spdy;
    uri_split(hreq_path(r), &path, &query);
    struct str ip = api_path_parse(&p, path, &a) == 0 ? pod_ip(api, &p, &a) : S("");
    if (!ip.n)
        return refuse(r, 404, "no such pod, or it has no address yet\n");
    struct portforward *f = agree(r, &spdy);
    if (f && spdy)
        f->spdy = forward_spdy_new(api->loop, p.name, ip, (struct forward_spdy_user){ spdy_send, spdy_held, spdy_queued, f });
    else if (f)
        connect_ports(f, api->loop, ip, query, &a);
    if (f && !spdy && !f->n)
        close_all(f, 1008);
    return f;
}

void portforward_free(struct portforward *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++)
        forward_link_free(&f->ports[i].link);
    forward_spdy_free(f->spdy);
    if (!f->bare)
        ws_free(&f->ws);
    free(f);
}
