/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve: the one place where the API meets a socket. A request is carried out as soon as its body is there; its reply is
 * held until the turn's commit when the store is dirty (a read may have seen what is not on disk yet).
 *
 * Who is asking is found out when the head is there (authn.h, impersonation included). Whether he may is found out when his
 * request is carried out, or by the head alone before more of a body is kept than LIMIT_API_UNUSED_BODY.
 */
#include "applets/apiserver/serve.h"
#include "applets/apiserver/identify.h"
#include "applets/apiserver/portforward.h"
#include "core/metrics.h"
#include "core/uri.h"
#include "grpc/h2.h"
#include <stdio.h>

enum { REACH_US = 3000000 };                      /* how long a request waits for the revision it names */

struct held {                                     /* a request from its head to its reply */
    struct held *next;
    struct serve *s;
    struct hreq *r;                               /* NULL once the peer is gone */
    struct api_reply reply;
    struct watcher *watcher;
    bool write, waited;
    bool columns_told;                            /* a watch of tables: the first row comes with them */
    int64_t until_us;                             /* while it waits for reply.wait_for */
    struct portforward *forward;
    struct follow *follow;
    struct arena arena;                           /* of the user */
    struct api_user user;
};
struct serve {
    struct api *api;
    struct httpd *d;
    struct held *waiting, **waiting_end;          /* replies behind the commit */
    size_t made;                                  /* bytes of them */
    struct held *later, **later_end;              /* reads, carried out behind those */
    struct held *early;                           /* ask for a revision that isn't reached */
    struct timer early_end;
    struct defer turn;
    bool shutting;
};

/* ---- replies ----------------------------------------------------------------------------------------------------- */

static void held_free(struct held *h)
{
    watch_remove(h->watcher);
    portforward_free(h->forward);
    follow_free(h->follow);
    api_reply_free(&h->reply);
    arena_reset(&h->arena);
    xblock_free(h, sizeof *h);
}

static void free_all(struct held *h)
{
    for (struct held *next; h; h = next) {
        next = h->next;
        held_free(h);
    }
}

static void watch_write(void *ctx, struct str bytes)
{
    struct held *h = ctx;
    if (!h->r)
        return;
    if (h->watcher && hreq_is_crowded(h->r))
        hreq_reset(h->r, H2_ENHANCE_YOUR_CALM);   /* what waits goes at once: it may come back from the last version that it has seen */
    else
        hreq_write(h->r, bytes);
}

static size_t watch_queued(void *ctx)
{
    struct held *h = ctx;
    return h->r ? hreq_queued(h->r) : 0;
}

static void watch_close(void *ctx)
{
    struct held *h = ctx;
    if (h->r)
        hreq_finish(h->r, (struct http_fields){ 0 });
}

static void watch_render(void *ctx, struct buf *out, struct version *v)
{
    struct held *h = ctx;
    form_one(out, v->r, h->reply.form, v->json, loop_wall_us(h->s->api->loop), !h->columns_told);
    h->columns_told = true;
}

static void start_watch(struct held *h)
{
    struct kr_err e = { 0 };
    struct http_field f[] = { { S("content-type"), S("application/json") }, { S("cache-control"), S("no-cache, private") } };
    struct api_reply *r = &h->reply;
    r->start.user = (struct watcher_user){ watch_write, watch_queued, watch_close, r->form != FORM_OBJECT ? watch_render : NULL, h };
    hreq_start(h->r, 200, (struct http_fields){ f, LEN(f) });
    hreq_write(h->r, buf_view(&r->body));
    h->columns_told = r->body.n > 0;
    buf_free(&r->body);
    h->watcher = watch_add(h->s->api->watches, &r->start, &e);
    if (h->watcher)
        return;
    filter_free(&r->start.filter);                /* as with a kube-apiserver, an expired version is told in the stream */
    r->watch = false;
    api_reply_error(r, &e);
    AUTO_BUF struct buf line = { .max = 4096 };
    watch_line(&line, "ERROR", buf_view(&r->body));
    hreq_write(h->r, buf_view(&line));
    hreq_finish(h->r, (struct http_fields){ 0 });
}

static void start_follow(struct held *h)
{
    struct api_reply *r = &h->reply;
    struct kr_err e = { 0 };
    struct http_field f[] = { { S("content-type"), str_of(r->content_type) }, { S("cache-control"), S("no-cache, private") } };
    hreq_start(h->r, 200, (struct http_fields){ f, LEN(f) });
    hreq_write(h->r, buf_view(&r->body));
    buf_free(&r->body);
    h->follow = follow_start(h->s->api->loop, TAKE_FD(r->follow->fd), r->follow->at, &r->follow->view,
                             (struct follow_user){ watch_write, watch_queued, watch_close, h }, &e);
    if (!h->follow)
        hreq_finish(h->r, (struct http_fields){ 0 });
}

static void too_much_waits(struct api_reply *r)
{
    struct kr_err e = { 0 };
    kr_fail(&e, KR_TOO_MANY, "too many answers wait to be read: read those, or try again");
    e.retry_after_s = 1;
    api_reply_error(r, &e);
}

static void send_reply(struct held *h)
{
    struct api_reply *r = &h->reply;
    struct http_field f[12];
    char retry[16], date[TIME_HTTP];
    size_t n = 0;
    if (!h->r)
        return;
    if (r->body.n > HTTP_LOW_WATER && hreq_is_crowded(h->r))
        too_much_waits(r);
    metric_add(METRIC_API_REQUESTS, metric_word(METRIC_API_REQUESTS, r->watch ? S("WATCH") : hreq_method(h->r)), 1);
    if (h->write && r->status < 300)
        metric_add(METRIC_API_WRITES, 0, 1);
    if (r->watch) {
        start_watch(h);
        return;
    }
    if (r->follow) {
        start_follow(h);
        return;
    }
    f[n++] = (struct http_field){ S("content-type"), str_of(r->content_type) };
    f[n++] = (struct http_field){ S("cache-control"), S("no-cache, private") };
    if (r->retry_after_s) {
        snprintf(retry, sizeof retry, "%d", r->retry_after_s);
        f[n++] = (struct http_field){ S("retry-after"), str_of(retry) };
    }
    if (str_is(hreq_path(h->r), "/version")) {            /* who compares clocks asks here; elsewhere a date would only cost */
        time_print_http(date, loop_wall_us(h->s->api->loop));
        f[n++] = (struct http_field){ S("date"), str_of(date) };
    }
    AUTO_ARENA struct arena a = { .limit = 262144 };
    struct str rest = buf_view(&r->warnings);
    while (rest.n && n < LEN(f)) {
        AUTO_BUF struct buf quoted = { .max = 8192 };
        jw_str(&quoted, str_cut(&rest, '\n'));
        f[n++] = (struct http_field){ S("warning"), arena_fmt(&a, "299 - %.*s", SFMT(buf_view(&quoted))) };
    }
    hreq_respond(h->r, r->status, (struct http_fields){ f, n }, buf_view(&r->body));
    buf_free(&r->body);
}

static void handle(struct held *h, struct str body);

/* Those whose revision is reached by now, or who waited long enough to be refused. */
static void retry_early(struct serve *s, int64_t now_us)
{
    struct held *h = TAKE(s->early);
    for (struct held *next; h; h = next) {
        next = h->next;
        if (!h->r) {
            held_free(h);
            continue;
        }
        h->waited = now_us >= h->until_us;
        if (h->waited || h->reply.wait_for <= store_revision(s->api->store)) {
            api_reply_free(&h->reply);
            handle(h, S(""));
            continue;
        }
        h->next = s->early;
        s->early = h;
    }
}

static void early_fired(struct loop *loop, struct timer *t)
{
    struct serve *s = container_of(t, struct serve, early_end);
    retry_early(s, loop_now_us(loop));
    int64_t first = INT64_MAX;
    for (struct held *h = s->early; h; h = h->next)
        first = h->until_us < first ? h->until_us : first;
    if (s->early)
        loop_timer_at(loop, t, first);
}

static void wait_early(struct held *h)
{
    struct serve *s = h->s;
    int64_t timeout_us = h->reply.timeout_us;
    h->until_us = loop_now_us(s->api->loop) + (timeout_us && timeout_us < REACH_US ? timeout_us : REACH_US);
    h->next = s->early;
    s->early = h;
    if (!timer_is_set(&s->early_end) || h->until_us < s->early_end.at_us)
        loop_timer_at(s->api->loop, &s->early_end, h->until_us);
}

/* What is answered once it is known whether the turn's writes are on disk. Who read or began to watch beside a write that is
 * taken back now saw what never was, and did no wrong: it is carried out anew. */
static void finish(struct held *h, const struct kr_err *failure)
{
    if (failure && h->r && !h->write) {
        api_reply_free(&h->reply);
        handle(h, S(""));
        return;
    }
    if (failure)
        api_reply_error(&h->reply, failure);
    send_reply(h);
    if (!h->r)
        held_free(h);
    else
        h->next = h;                              /* no longer in the queue */
}

/* In the order in which they came; what doesn't fit again waits again. */
static void carry_out_later(struct serve *s)
{
    struct held *h = TAKE(s->later);
    s->later_end = &s->later;
    for (struct held *next; h; h = next) {
        next = h->next;
        if (h->r)
            handle(h, S(""));
        else
            held_free(h);
    }
}

static void turn(struct loop *loop, struct defer *d)
{
    (void)loop;
    struct serve *s = container_of(d, struct serve, turn);
    struct kr_err e = { 0 };
    bool ok = store_commit(s->api->store, &e) == 0;
    metric_add(METRIC_API_COMMITS, !ok, 1);
    struct held *h = s->waiting;
    s->waiting = NULL;
    s->waiting_end = &s->waiting;
    s->made = 0;
    if (!ok)
        watch_forget(s->api->watches);
    for (struct held *next; h; h = next) {
        next = h->next;
        finish(h, ok ? NULL : &e);
    }
    watch_publish(s->api->watches);
    retry_early(s, loop_now_us(loop));
    carry_out_later(s);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static bool reads(const struct hreq *r) { return str_is(hreq_method(r), "GET") || str_is(hreq_method(r), "HEAD"); }
static const struct api_user *user_of(const struct held *h) { return h->s->api->authn ? &h->user : NULL; }

static void put_last(struct held *h, struct held ***end)
{
    h->next = NULL;
    **end = h;
    *end = &h->next;
}

static void handle(struct held *h, struct str body)
{
    struct hreq *r = h->r;
    struct serve *s = h->s;
    if (s->made > LIMIT_API_ANSWERS && reads(r)) {        /* one packet may hold hundreds of requests for all there is */
        put_last(h, &s->later_end);
        return;
    }
    struct str path, query, m = hreq_method(r);
    uri_split(hreq_path(r), &path, &query);
    struct api_request q = { .method = m, .path = path, .query = query, .body = body,
                             .content_type = http_get(hreq_fields(r), "content-type"), .accept = http_get(hreq_fields(r), "accept"),
                             .user_agent = http_get(hreq_fields(r), "user-agent"), .user = user_of(h) };
    api_handle(s->api, &q, &h->reply);
    if (h->reply.wait_for && !h->waited) {
        wait_early(h);
        return;
    }
    h->write = !reads(r);
    s->made += h->reply.body.n;
    put_last(h, &s->waiting_end);
    loop_defer(s->api->loop, &s->turn);
}

static void refuse(struct held *h, const struct kr_err *e)
{
    api_reply_error(&h->reply, e);
    send_reply(h);
}

/* Whether the user may, by the head alone. */
static int check(const struct held *h, struct kr_err *e)
{
    struct str path, query;
    uri_split(hreq_path(h->r), &path, &query);
    return api_check(h->s->api, user_of(h), hreq_method(h->r), path, query, e);
}

static void refuse_body(struct held *h, const struct kr_err *why, int limit)
{
    struct kr_err e = *why;
    if (e.code == KR_TOO_LARGE)
        kr_fail(&e, KR_TOO_LARGE, "Request entity too large: limit is %d", limit);
    refuse(h, &e);
}

static void got_large(struct hreq *r, struct str body, const struct kr_err *e)
{
    if (e)
        refuse_body(hreq_user(r), e, LIMIT_API_BODY);
    else
        handle(hreq_user(r), body);
}

/* Of a body that is larger than what is kept for anyone the rest is taken of who may. */
static void got_small(struct hreq *r, struct str body, const struct kr_err *e)
{
    struct held *h = hreq_user(r);
    struct kr_err no = { 0 };
    if (!e)
        handle(h, body);
    else if (e->code == KR_TOO_LARGE && check(h, &no) < 0)
        refuse(h, &no);
    else if (e->code == KR_TOO_LARGE && !reads(r))
        hreq_collect(r, LIMIT_API_BODY, got_large);
    else
        refuse_body(h, e, LIMIT_API_UNUSED_BODY);
}

static void begin(struct hreq *r, void *ctx)
{
    struct serve *s = ctx;
    struct held *h = xblock(sizeof *h);
    *h = (struct held){ .s = s, .r = r, .arena = { .limit = 65536, .first = 1024 } };
    h->next = h;
    hreq_set_user(r, h);
    struct kr_err e = { 0 };
    if (identify(s->api, r, &h->arena, &h->user, &e) < 0) {
        refuse(h, &e);
        return;
    }
    struct str coding = http_get(hreq_fields(r), "content-encoding");
    if (coding.n && !str_is(coding, "identity")) {
        kr_fail(&e, KR_UNSUPPORTED, "a body with content-encoding is not offered: send it as it is");
        refuse(h, &e);
        return;
    }
    if (portforward_wants(r)) {
        if (check(h, &e) < 0) {
            refuse(h, &e);
            return;
        }
        h->forward = portforward_start(s->api, r);
        return;
    }
    hreq_collect(r, LIMIT_API_UNUSED_BODY, got_small);
}

static void data(struct hreq *r, struct str bytes)
{
    struct held *h = hreq_user(r);
    if (h->forward)
        portforward_data(h->forward, bytes);
}

static void writable(struct hreq *r)
{
    struct held *h = hreq_user(r);
    if (h->forward)
        portforward_writable(h->forward);
    if (h->follow)
        follow_writable(h->follow);
}

static void gone(struct hreq *r)
{
    struct held *h = hreq_user(r);
    watch_remove(TAKE(h->watcher));
    portforward_free(TAKE(h->forward));
    follow_free(TAKE(h->follow));
    h->r = NULL;
    if (h->next == h)                             /* in no queue */
        held_free(h);
}

static void commit_soon(void *ctx)
{
    struct serve *s = ctx;
    loop_defer(s->api->loop, &s->turn);
}

struct serve *serve_new(struct api *api, const struct serve_config *config, struct kr_err *e)
{
    struct serve *s = xcalloc(1, sizeof *s);
    s->api = api;
    s->waiting_end = &s->waiting;
    s->later_end = &s->later;
    s->turn.run = turn;
    s->early_end.fire = early_fired;
    api->wrote = commit_soon;
    api->wrote_ctx = s;
    struct httpd_config hc = { .host = config->host, .port = config->port, .tls = config->tls,
                               .user = { .begin = begin, .data = data, .writable = writable, .gone = gone, .ctx = s } };
    s->d = httpd_new(api->loop, &hc, e);
    if (!s->d) {
        free(s);
        return NULL;
    }
    return s;
}

uint16_t serve_port(const struct serve *s) { return httpd_port(s->d); }
void serve_drain(struct serve *s, int64_t deadline_us) { httpd_drain(s->d, deadline_us); }
void serve_free(struct serve *s)
{
    if (!s)
        return;
    s->api->wrote = NULL;
    httpd_free(s->d);
    loop_defer_cancel(s->api->loop, &s->turn);
    loop_timer_stop(s->api->loop, &s->early_end);
    free_all(s->early);
    free_all(s->waiting);
    free_all(s->later);
    free(s);
}
