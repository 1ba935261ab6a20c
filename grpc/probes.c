/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probes: three pages and a hook. /livez (and /healthz, its older name) says only that the loop turns, so that a broken API never
 * restarts a container.
 * Deliberately not here: TLS and who may ask; what these pages tell is no secret. Tests: tests/unit/grpc/probes.c.
 */
#include "grpc/probes.h"
#include "core/metrics.h"

struct probes { struct loop *loop; struct httpd *d; struct probes_user user; };

static void answer(struct hreq *r, int status, const char *type, struct str body)
{
    struct http_field f[] = { { S("content-type"), str_of(type) } };
    hreq_respond(r, status, (struct http_fields){ f, LEN(f) }, body);
}

static void begin(struct hreq *r, void *ctx)
{
    struct probes *p = ctx;
    struct str whole = hreq_path(r), rest = whole, path = str_cut(&rest, '?');
    hreq_set_user(r, NULL);
    if (!str_is(hreq_method(r), "GET") && !str_is(hreq_method(r), "HEAD")) {
        struct http_field f[] = { { S("allow"), S("GET, HEAD") }, { S("content-type"), S("text/plain; charset=utf-8") } };
        hreq_respond(r, 405, (struct http_fields){ f, LEN(f) }, S("these pages are read-only\n"));
    } else if (str_is(path, "/livez") || str_is(path, "/healthz")) {
        answer(r, 200, "text/plain; charset=utf-8", S("ok\n"));
    } else if (str_is(path, "/readyz")) {
        AUTO_BUF struct buf why = { .max = 1024 };
        bool ready = p->user.ready(p->user.ctx, &why);
        answer(r, ready ? 200 : 503, "text/plain; charset=utf-8", ready ? S("ok\n") : buf_view(&why));
    } else if (str_is(path, "/metrics")) {
        AUTO_BUF struct buf page = { .max = LIMIT_METRICS_PAGE };
        enum metrics_format format = metrics_accepted(http_get(hreq_fields(r), "accept"));
        metrics_print(&page, format, loop_wall_us(p->loop));
        answer(r, 200, metrics_content_types[format], buf_view(&page));
    } else if (p->user.page && p->user.page(p->user.ctx, r, whole)) {
        hreq_set_user(r, p);
    } else {
        answer(r, 404, "text/plain; charset=utf-8", S("there are /livez, /readyz, /healthz and /metrics\n"));
    }
}

static void gone(struct hreq *r)
{
    struct probes *p = hreq_user(r);
    if (p && p->user.page_gone)
        p->user.page_gone(p->user.ctx, r);
}

static struct probes *start(struct loop *loop, struct str host, uint16_t port, const struct probes_user *user, struct kr_err *e)
{
    struct probes *p = xcalloc(1, sizeof *p);
    *p = (struct probes){ .loop = loop, .user = *user };
    struct httpd_config c = { .host = host, .port = port, .connections = LIMIT_HTTP_CONNECTIONS, .user = { .begin = begin, .gone = gone, .ctx = p } };
    p->d = httpd_new(loop, &c, e);
    if (p->d)
        return p;
    free(p);
    return NULL;
}

struct probes *probes_new(struct loop *loop, struct str bind, const struct probes_user *user, struct kr_err *e)
{
    int64_t port;
    size_t colon = bind.n;
    if (str_is(bind, "off"))
        return NULL;
    if (str_starts(bind, S("unix:")))
        return start(loop, bind, 0, user, e);
    while (colon && bind.p[colon - 1] != ':')
        colon--;
    if (!colon || !str_i64(str_from(bind, colon), &port) || port < 0 || port > 65535) {
        kr_fail(e, KR_USAGE, "\"%.*s\" is no address: write HOST:PORT, :PORT or off", SFMT(bind));
        return NULL;
    }
    struct str host = { bind.p, colon - 1 };
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = (struct str){ host.p + 1, host.n - 2 };
    return start(loop, host.n ? host : S("0.0.0.0"), (uint16_t)port, user, e);
}

void probes_free(struct probes *p)
{
    if (!p)
        return;
    httpd_free(p->d);
    free(p);
}
