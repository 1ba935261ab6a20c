/* SPDX-License-Identifier: Apache-2.0 */
/*
 * portforward: one link per port, channel 2i carries its data and 2i+1 its errors. Back pressure both ways: the link is
 * not read while the client's queue is long, and the client's body is held back while a link takes no more.
 *
 * Not here: SPDY (removed from Kubernetes clients in favour of WebSocket, KEP-4006); it is refused with 400.
 */
#include "applets/apiserver/portforward.h"
#include "core/link.h"
#include "core/uri.h"
#include "core/websocket.h"

enum { MAX_PORTS = 8, QUEUE_HIGH = 1048576 };
struct forward_port { struct portforward *f; struct link *link; uint16_t port; unsigned channel; struct buf out; bool closed, told; };
struct portforward {
    struct api *api;
    struct hreq *r;
    struct ws ws;
    struct forward_port ports[MAX_PORTS];
    size_t n;
};

bool portforward_wants(const struct hreq *r)
{
    struct str path, query;
    uri_split(hreq_path(r), &path, &query);
    return str_starts(path, S("/api/v1/namespaces/")) && str_ends(path, S("/portforward"));
}

/* ---- to the client ----------------------------------------------------------------------------------------------- */

static void send_channel(struct portforward *f, unsigned channel, struct str bytes)
{
    AUTO_BUF struct buf message = { .max = bytes.n + 1 }, out = { .max = bytes.n + 32 };
    buf_byte(&message, (char)channel);
    buf_str(&message, bytes);
    ws_put(&f->ws, &out, WS_BINARY, buf_view(&message));
    hreq_write(f->r, buf_view(&out));
}

static void tell_error(struct forward_port *p, const char *text)
{
    if (p->told)
        return;
    p->told = true;
    send_channel(p->f, p->channel + 1, str_of(text));
}

static void close_all(struct portforward *f, int code)
{
    AUTO_BUF struct buf out = { .max = 256 };
    ws_put_close(&f->ws, &out, code, S(""));
    hreq_write(f->r, buf_view(&out));
    hreq_finish(f->r, (struct http_fields){ 0 });
}

static void port_closed(struct forward_port *p)
{
    const struct kr_err *e = link_error(p->link);
    if (e->code)
        tell_error(p, e->msg);
    link_close(TAKE(p->link));
    p->closed = true;
    for (size_t i = 0; i < p->f->n; i++)
        if (!p->f->ports[i].closed)
            return;
    close_all(p->f, 1000);
}

static void write_out(struct forward_port *p)
{
    while (p->link && p->out.n) {
        ptrdiff_t n = link_write(p->link, p->out.p, p->out.n);
        if (n < 0) {
            port_closed(p);
            return;
        }
        if (n == 0)
            break;
        buf_drop(&p->out, (size_t)n);
    }
    if (p->link)
        link_want_write(p->link, p->out.n > 0);
    hreq_pause(p->f->r, p->out.n > QUEUE_HIGH);
}

static void port_ready(struct link *l, void *ctx)
{
    struct forward_port *p = ctx;
    char chunk[16384];
    write_out(p);
    while (p->link == l && hreq_queued(p->f->r) < QUEUE_HIGH) {
        ptrdiff_t n = link_read(l, chunk, sizeof chunk);
        if (n == 0)
            return;
        if (n < 0) {
            port_closed(p);
            return;
        }
        send_channel(p->f, p->channel, (struct str){ chunk, (size_t)n });
    }
    if (p->link == l)
        link_pause_read(l, true);
}

void portforward_writable(struct portforward *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->ports[i].link)
            link_pause_read(f->ports[i].link, false);
}

/* ---- from the client --------------------------------------------------------------------------------------------- */

static void take_message(struct portforward *f, struct str message)
{
    unsigned channel = message.n ? (unsigned char)message.p[0] : 255;
    size_t i = channel / 2;
    if (channel % 2 || i >= f->n)
        return;                                   /* nothing is expected on the error channels */
    struct forward_port *p = &f->ports[i];
    if (p->closed)
        return;
    buf_str(&p->out, str_from(message, 1));
    if (p->out.failed) {
        tell_error(p, "too much data waits for the port");
        port_closed(p);
        return;
    }
    write_out(p);
}

void portforward_data(struct portforward *f, struct str bytes)
{
    struct ws_event ev;
    struct kr_err e = { 0 };
    while (bytes.n) {
        if (ws_take(&f->ws, &bytes, &ev, &e) < 0) {
            close_all(f, f->ws.fail_code);
            return;
        }
        if (ev.kind == WS_BINARY || ev.kind == WS_TEXT) {
            take_message(f, ev.data);
        } else if (ev.kind == WS_PING) {
            AUTO_BUF struct buf out = { .max = 256 };
            ws_put(&f->ws, &out, WS_PONG, ev.data);
            hreq_write(f->r, buf_view(&out));
        } else if (ev.kind == WS_CLOSE) {
            close_all(f, 1000);
            return;
        }
    }
}

/* ---- beginning --------------------------------------------------------------------------------------------------- */

static struct portforward *refuse(struct hreq *r, int status, const char *text)
{
    struct http_field f[] = { { S("content-type"), S("text/plain; charset=utf-8") } };
    hreq_respond(r, status, (struct http_fields){ f, LEN(f) }, str_of(text));
    return NULL;
}

static struct str pod_ip(struct api *api, struct str path, struct arena *a)
{
    static const char *const ip[] = { "status", "podIP" };
    struct api_path p;
    struct store_value v;
    struct kr_err e = { 0 };
    if (api_path_parse(&p, path, a) < 0 || store_get(api->store, resource_key(p.r, p.ns, p.name, a), &v, &e) <= 0)
        return (struct str){ 0 };
    return json_str_of(json_find_path(v.json, ip, 2), a);
}

static void connect_ports(struct portforward *f, struct str ip, struct str query, struct arena *a)
{
    struct str rest = query, value;
    int64_t port;
    while (f->n < MAX_PORTS && uri_query_next_of(&rest, "ports", a, &value)) {
        while (value.n && f->n < MAX_PORTS) {
            if (!str_i64(str_cut(&value, ','), &port) || port < 1 || port > 65535)
                continue;
            struct forward_port *p = &f->ports[f->n];
            *p = (struct forward_port){ .f = f, .port = (uint16_t)port, .channel = (unsigned)f->n * 2, .out = { .max = 8 * QUEUE_HIGH } };
            char two[2] = { (char)(port & 255), (char)(port >> 8) };
            send_channel(f, p->channel, (struct str){ two, 2 });
            send_channel(f, p->channel + 1, (struct str){ two, 2 });
            p->link = link_connect(f->api->loop, &(struct link_target){ .host = ip, .port = p->port }, (struct link_user){ port_ready, p });
            f->n++;
        }
    }
}

struct portforward *portforward_start(struct api *api, struct hreq *r)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct http_fields h = hreq_fields(r);
    struct str key = http_get(h, "sec-websocket-key"), path, query;
    uri_split(hreq_path(r), &path, &query);
    if (!http_has_token(http_get(h, "upgrade"), "websocket") || !ws_key_ok(key))
        return refuse(r, 400, "port-forward is offered over WebSocket only\n");
    if (!http_has_token(http_get(h, "sec-websocket-protocol"), "v4.channel.k8s.io"))
        return refuse(r, 400, "the subprotocol v4.channel.k8s.io is needed\n");
    struct str ip = pod_ip(api, path, &a);
    if (!ip.n)
        return refuse(r, 404, "no such pod, or it has no address yet\n");
    struct portforward *f = xcalloc(1, sizeof *f);
    *f = (struct portforward){ .api = api, .r = r };
    char accept[WS_ACCEPT_TEXT];
    ws_accept(key, accept);
    ws_init(&f->ws, WS_SERVER, NULL);
    struct http_field answer[] = { { S("upgrade"), S("websocket") }, { S("connection"), S("Upgrade") },
                                   { S("sec-websocket-accept"), str_of(accept) }, { S("sec-websocket-protocol"), S("v4.channel.k8s.io") } };
    hreq_upgrade(r, (struct http_fields){ answer, LEN(answer) });
    connect_ports(f, ip, query, &a);
    if (!f->n)
        close_all(f, 1008);
    return f;
}

void portforward_free(struct portforward *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++) {
        link_close(f->ports[i].link);
        buf_free(&f->ports[i].out);
    }
    ws_free(&f->ws);
    free(f);
}
