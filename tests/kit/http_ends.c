/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_ends: see its header. Both servers run in the loop of the test, so that a test decides what happens before what.
 */
#include "tests/kit/http_ends.h"
#include "tests/kit/test.h"
#include <stdio.h>
#include <sys/mman.h>

#define NONE ((struct http_fields){ 0 })

/* ---- a call whose callbacks may leave ------------------------------------------------------------------------------------ */


static void leave(struct peer_call *q)
{
    q->left = true;
    hcall_cancel(q->c);
    hcall_cancel(q->c);                           /* the memory goes in a later turn; until then all of these are without effect */
    hcall_write(q->c, S("no"));
    hcall_finish(q->c);
    hcall_pause(q->c, true);
}
static void c_head(struct hcall *h, int status, struct http_fields f)
{
    struct peer_call *q = hcall_ctx(h);
    (void)f;
    CHECK(!q->left);
    q->status = status;
    if (q->leave == LEAVES_AT_HEAD)
        leave(q);
}
static void c_data(struct hcall *h, struct str b)
{
    struct peer_call *q = hcall_ctx(h);
    CHECK(!q->left);
    q->got += b.n;
    if (q->leave == LEAVES_AT_DATA)
        leave(q);
    if (q->leave == PAUSES_AT_DATA || q->leave == PAUSES_AND_LEAVES_AT_DATA)
        hcall_pause(h, true);
    if (q->leave == PAUSES_AND_LEAVES_AT_DATA)
        leave(q);
}
void peer_ended(struct hcall *h, struct http_fields t)
{
    struct peer_call *q = hcall_ctx(h);
    (void)t;
    q->over = true;
    q->stamp = hcall_stamp(h);
}
static void c_writable(struct hcall *h) { ((struct peer_call *)hcall_ctx(h))->told = true; }
void peer_failed(struct hcall *h, const struct kr_err *e)
{
    struct peer_call *q = hcall_ctx(h);
    q->over = q->failed = true;
    q->code = e->code;
    snprintf(q->msg, sizeof q->msg, "%s", e->msg);
}
const struct hcall_user peer_whole = { .head = c_head, .data = c_data, .end = peer_ended, .failed = peer_failed, .writable = c_writable };
const struct hcall_user peer_deaf = { .end = peer_ended, .failed = peer_failed };

void peer_call(struct httpc *c, struct peer_call *q, const struct httpc_request *r, const struct hcall_user *user)
{
    struct hcall_user u = *user;
    *q = (struct peer_call){ .leave = q->leave };
    u.ctx = q;
    q->c = httpc_call(c, r, u);
}

/* ---- a server by hand: text for HTTP/1.1, a state machine for HTTP/2 ----------------------------------------------------- */

void peer_say(struct peer_one *o, struct str text) { if (o->link) link_write(o->link, text.p, text.n); }

static void out_h2(struct peer_one *o)
{
    ptrdiff_t n;
    for (struct str out; o->link && (out = h2_pending(o->h2)).n && (n = link_write(o->link, out.p, out.n)) > 0;)
        h2_sent(o->h2, (size_t)n);
}

static void headers_h2(struct peer_one *o, const struct h2_event *ev)
{
    struct str path = http_get(ev->fields, ":path");
    struct http_field ok = { S(":status"), S("200") }, sum = { S("x-sum"), S("1") };
    o->p->requests++;
    if (str_is(path, "/refuse")) {
        h2_reset(o->h2, ev->stream, H2_REFUSED_STREAM);
        return;
    }
    if (str_is(path, "/nonsense")) {
        out_h2(o);
        peer_say(o, (struct str){ "\0\0\0\4\0\0\0\0\1", 9 });          /* SETTINGS of a stream */
        return;
    }
    if (str_is(path, "/malformed")) {
        h2_headers(o->h2, ev->stream, (struct http_fields){ &sum, 1 }, true);         /* no :status */
        return;
    }
    h2_headers(o->h2, ev->stream, (struct http_fields){ &ok, 1 }, str_is(path, "/bare"));
    if (str_is(path, "/open"))
        h2_data(o->h2, ev->stream, S("piece"), false);
    if (str_is(path, "/cancel") || str_is(path, "/internal") || str_is(path, "/refuse-late"))
        h2_reset(o->h2, ev->stream, str_is(path, "/cancel") ? H2_CANCEL : str_is(path, "/internal") ? H2_INTERNAL_ERROR : H2_REFUSED_STREAM);
    if (str_is(path, "/pieces"))
        for (int i = 0; i < 3; i++) {
            h2_data(o->h2, ev->stream, S("piece"), i == 2);
            out_h2(o);
        }
    if (str_is(path, "/trailers")) {
        h2_data(o->h2, ev->stream, S("piece"), false);
        h2_headers(o->h2, ev->stream, (struct http_fields){ &sum, 1 }, true);
    }
}

static void heard(struct peer_one *o, struct str in)
{
    struct h2_event ev;
    if (!o->h2) {
        if (o->p->say)
            peer_say(o, str_of(o->p->say));
        if (o->p->hang_up)
            link_close(TAKE(o->link));
        return;
    }
    h2_feed(o->h2, in, loop_now_us(o->p->h.loop));
    while (h2_next(o->h2, &ev))
        if (ev.type == H2_HEADERS)
            headers_h2(o, &ev);
        else if (ev.type == H2_DATA)
            h2_consume(o->h2, ev.stream, ev.data.n);
    out_h2(o);
}

static void one_ready(struct link *l, void *ctx)
{
    struct peer_one *o = ctx;
    char chunk[16384];
    ptrdiff_t n;
    while (o->link && (n = link_read(l, chunk, sizeof chunk)) > 0) {
        buf_add(&o->in, chunk, (size_t)n);
        heard(o, (struct str){ chunk, (size_t)n });
    }
}
static void one_more(void *ctx, int fd)
{
    struct peer *p = ctx;
    struct peer_one *o = &p->ones[p->n % (int)LEN(p->ones)];
    CHECK_OR(!o->link);
    *o = (struct peer_one){ .p = p, .h2 = p->h2 ? h2_new(&(struct h2_config){ .role = H2_SERVER }) : NULL, .in = { .max = 1 << 20 } };
    p->n++;
    o->link = link_accept(p->h.loop, fd, NULL, (struct link_user){ one_ready, o });
}
static void on_lost(void *ctx) { ((struct peer *)ctx)->lost++; }
static struct http_fields on_sign(void *ctx, uint32_t *stamp)
{
    static struct http_field many[20];
    (void)ctx;
    *stamp = 7;
    for (size_t i = 0; i < LEN(many); i++)
        many[i] = (struct http_field){ S("x-sign"), S("s") };
    return (struct http_fields){ many, LEN(many) };
}
void peer_begin(struct peer *p, enum http_version v)
{
    struct kr_err e = { 0 };
    *p = (struct peer){ .h2 = v == HTTP_2 };
    here_loop(&p->h);
    p->l = listen_tcp(p->h.loop, S("127.0.0.1"), 0, one_more, p, &e);
    if (!CHECK(p->l))
        abort();
    p->c = httpc_new(p->h.loop, &(struct httpc_config){ .target = { .host = S("127.0.0.1"), .port = listener_port(p->l) }, .version = v, .lost = on_lost, .lost_ctx = p,
                                                         .sign = on_sign });
}
void peer_end(struct peer *p)
{
    httpc_free(TAKE(p->c));
    for (size_t i = 0; i < LEN(p->ones); i++) {
        link_close(p->ones[i].link);
        h2_free(p->ones[i].h2);
        buf_free(&p->ones[i].in);
    }
    listener_close(p->l);
    loop_free(p->h.loop);
}

/* ---- a server whose exchanges do what their path says --------------------------------------------------------------------- */

/* Zeros that take no memory. */
static struct str zeros(size_t n)
{
    static void *p;
    if (!p)
        p = mmap(NULL, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!CHECK(p != MAP_FAILED))
        abort();
    return (struct str){ p, n };
}

static void do_reset(struct hreq *r) { hreq_reset(r, H2_CANCEL); }
static void do_respond(struct hreq *r) { hreq_respond(r, 200, NONE, S("early")); }
static void do_start(struct hreq *r) { hreq_start(r, 200, NONE); }
static void do_finish(struct hreq *r) { hreq_finish(r, NONE); }
static void do_upgrade(struct hreq *r) { hreq_upgrade(r, NONE); }
static void do_pause(struct hreq *r) { hreq_pause(r, true); }
static void do_go_on(struct hreq *r) { hreq_pause(r, false); }
static void do_hold(struct hreq *r) { ((struct served *)hreq_user(r))->held = r; }
static void do_piece(struct hreq *r)
{
    hreq_start(r, 200, NONE);
    hreq_write(r, S("piece"));
}
static void do_stream(struct hreq *r)
{
    hreq_start(r, 200, NONE);
    hreq_write(r, zeros(100000));
    hreq_finish(r, NONE);
}
static void do_vast(struct hreq *r)
{
    hreq_start(r, 200, NONE);
    hreq_write(r, zeros(SERVED_VAST));
    hreq_finish(r, NONE);
}
static void do_unsendable(struct hreq *r)
{
    struct http_field split = { S("x-a"), S("one\r\nx-b: two") };
    hreq_respond(r, 204, (struct http_fields){ &split, 1 }, S(""));
}
static void do_trailer(struct hreq *r)
{
    struct http_field split = { S("x-a"), S("one\r\nx-b: two") };
    hreq_start(r, 200, NONE);
    hreq_finish(r, (struct http_fields){ &split, 1 });
}
static const struct { const char *what; void (*does)(struct hreq *); } acts[] = {
    { "reset", do_reset }, { "respond", do_respond }, { "start", do_start }, { "finish", do_finish }, { "upgrade", do_upgrade }, { "pause", do_pause },
    { "go-on", do_go_on }, { "hold", do_hold }, { "piece", do_piece }, { "stream", do_stream }, { "vast", do_vast },
    { "unsendable", do_unsendable }, { "trailer", do_trailer },
};

static void by_path(struct hreq *r, const char *when)
{
    for (struct str rest = str_from(hreq_path(r), 1); rest.n;) {
        struct str at = str_cut(&rest, '/'), what = str_cut(&rest, '/');
        for (size_t i = 0; i < LEN(acts); i++)
            if (str_is(at, when) && str_is(what, acts[i].what))
                acts[i].does(r);
    }
}
static void s_got(struct hreq *r, struct str body, const struct kr_err *e)
{
    if (e && str_is(hreq_method(r), "PATCH"))
        hreq_respond(r, 400, NONE, S("in other words"));
    else if (!e)
        hreq_respond(r, 200, NONE, body);
}
static void s_begin(struct hreq *r, void *ctx)
{
    hreq_set_user(r, ctx);
    if (str_starts(hreq_path(r), S("/collect")))
        hreq_collect(r, 8, s_got);
    by_path(r, "begin");
}
static void s_data(struct hreq *r, struct str b) { (void)b; by_path(r, "data"); }
static void s_end(struct hreq *r)
{
    ((struct served *)hreq_user(r))->ends++;
    by_path(r, "end");
}
static void s_writable(struct hreq *r) { ((struct served *)hreq_user(r))->told++; }
static void s_gone(struct hreq *r)
{
    struct served *x = hreq_user(r);
    x->gone++;
    x->held = x->held == r ? NULL : x->held;
}

/* ---- its client by hand --------------------------------------------------------------------------------------------------- */

static void s_event(struct served *x, const struct h2_event *ev)
{
    if (ev->type == H2_HEADERS)
        str_i64(http_get(ev->fields, ":status"), &x->status);
    x->informed += ev->type == H2_INFORMATIONAL;
    x->whole += ev->end;
    if (ev->type == H2_DATA)
        x->got += ev->data.n;
    if (ev->type == H2_DATA && x->takes)
        h2_consume(x->h2, ev->stream, ev->data.n);
    if (ev->type == H2_RESET) {
        x->resets++;
        x->code = ev->code;
    }
    x->over |= ev->type == H2_RESET || ev->type == H2_CLOSED || ev->type == H2_DEAD || ev->end;
}

static void s_ready(struct link *l, void *ctx)
{
    struct served *x = ctx;
    char chunk[16384];
    ptrdiff_t n;
    while ((n = link_read(l, chunk, sizeof chunk)) > 0) {
        struct h2_event ev;
        buf_add(&x->in, chunk, (size_t)n);
        if (x->h2)
            h2_feed(x->h2, (struct str){ chunk, (size_t)n }, loop_now_us(x->h.loop));
        else
            x->got += (size_t)n;
        while (x->h2 && h2_next(x->h2, &ev))
            s_event(x, &ev);
    }
    x->over |= n < 0;
    if (x->takes)
        served_send(x);
}

void served_begin(struct served *x, const struct h2_config *h2, bool hears)
{
    struct kr_err e = { 0 };
    *x = (struct served){ .in = { .max = 1 << 22 } };
    here_loop(&x->h);
    x->d = httpd_new(x->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { s_begin, hears ? s_data : NULL, hears ? s_end : NULL, hears ? s_writable : NULL, s_gone, x } }, &e);
    if (!CHECK(x->d))
        abort();
    x->h2 = h2 ? h2_new(h2) : NULL;
    x->l = link_connect(x->h.loop, &(struct link_target){ .host = S("127.0.0.1"), .port = httpd_port(x->d) }, (struct link_user){ s_ready, x });
    while (!link_is_open(x->l) && !x->over)
        here_run(&x->h, 500);
}

void served_end(struct served *x)
{
    link_close(x->l);
    h2_free(x->h2);
    httpd_free(x->d);
    buf_free(&x->in);
    loop_free(x->h.loop);
}

void served_send(struct served *x)
{
    ptrdiff_t n;
    for (struct str out; (out = h2_pending(x->h2)).n && (n = link_write(x->l, out.p, out.n)) > 0;)
        h2_sent(x->h2, (size_t)n);
}

void served_open(struct served *x, const char *method, const char *path, bool end)
{
    struct http_field f[] = { { S(":method"), str_of(method) }, { S(":scheme"), S("http") }, { S(":path"), str_of(path) }, { S("host"), S("h") } };
    x->over = false;
    x->status = 0;
    x->stream = h2_open(x->h2, (struct http_fields){ f, LEN(f) }, end, NULL);
    served_send(x);
}

void served_say(struct served *x, const char *text)
{
    struct str s = str_of(text);
    CHECK_INT(link_write(x->l, s.p, s.n), s.n);
}

bool served_hears(struct served *x, const char *text)
{
    for (int n = 0; n < 60000 && !x->over && str_find(buf_view(&x->in), str_of(text)) < 0; n++)
        here_run(&x->h, 1000);
    return str_find(buf_view(&x->in), str_of(text)) >= 0;
}

bool served_until(struct served *x, const int *counter, int at_least)
{
    for (int n = 0; n < 60000 && *counter < at_least; n++) {
        here_run(&x->h, 1000);
        if (x->h2)
            served_send(x);
    }
    return CHECK(*counter >= at_least);
}
