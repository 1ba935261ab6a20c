/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server: exchanges and their one end each, the server, and what users call. A connection's turns and its clock are in
 * http_server_conn.c. Tested in tests/unit/grpc/http.c for both versions.
 */
#include "grpc/http_server.h"
#include <stdio.h>
#include <unistd.h>

/* ---- exchanges --------------------------------------------------------------------------------------------------- */

static void hreq_unlink(struct hreq *r)
{
    *r->at = r->next;
    if (r->next)
        r->next->at = r->at;
}

static void hreq_link_in(struct hreq *r, struct hreq **head)
{
    r->next = *head;
    r->at = head;
    if (*head)
        (*head)->at = &r->next;
    *head = r;
}

static struct str put(char **at, struct str s)
{
    char *p = *at;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    *at += s.n + 1;
    return (struct str){ p, s.n };
}

struct hreq *hreq_new(struct hconn *c, struct str method, struct str path, struct str authority, struct http_fields f)
{
    size_t bytes = method.n + path.n + authority.n + 3;
    for (size_t i = 0; i < f.n; i++)
        bytes += f.v[i].name.n + f.v[i].value.n + 2;
    size_t size = sizeof(struct hreq) + f.n * sizeof *f.v + bytes;
    struct hreq *r = xblock(size);
    *r = (struct hreq){ .c = c, .fields = (struct http_field *)(r + 1), .nfields = f.n, .size = size };
    char *at = (char *)(r->fields + f.n);
    r->method = put(&at, method);
    r->path = put(&at, path);
    r->authority = put(&at, authority);
    for (size_t i = 0; i < f.n; i++)
        r->fields[i] = (struct http_field){ put(&at, f.v[i].name), put(&at, f.v[i].value) };
    room_begin(r);
    hreq_link_in(r, &c->reqs);
    c->nreqs++;
    c->d->nreqs++;
    return r;
}

void hreq_over(struct hreq *r)
{
    r->over = true;
    room_end(r);
    hreq_unlink(r);
    hreq_link_in(r, &r->c->ending);
    r->c->nreqs--;
    r->c->d->nreqs--;
    if (r->c->h1_req == r)
        r->c->h1_req = NULL;
    hconn_turn(r->c);
}

void hreq_gone(struct hreq *r)
{
    r->c->d->user.gone(r);
    hreq_unlink(r);
    buf_free(&r->body);
    xblock_free(r, r->size);
}

void hreq_refuse_body(struct hreq *r, const struct kr_err *e, int status, struct str text)
{
    r->full = true;
    r->got(r, (struct str){ 0 }, e);
    if (r->full && !r->started)
        hreq_respond(r, status, (struct http_fields){ 0 }, text);
}

void hreq_too_large(struct hreq *r)
{
    struct kr_err e = { 0 };
    kr_fail(&e, KR_TOO_LARGE, "the request body is larger than %zu bytes", r->body.max);
    hreq_refuse_body(r, &e, 413, S("the request body is too large\n"));
}

bool hreq_wants_100(struct hreq *r)
{
    if (r->over || !r->expect_continue || r->started)
        return false;
    while (r->asks_too_much && !r->full)
        hreq_too_large(r);
    return !r->full;
}

void hreq_body(struct hreq *r, struct str bytes)
{
    if (r->full)
        return;
    if (!r->got) {
        if (r->c->d->user.data)
            r->c->d->user.data(r, bytes);
        return;
    }
    r->moved_us = loop_now_us(r->c->d->loop);
    while (!r->full && bytes.n > r->body.max - r->body.n)
        hreq_too_large(r);
    if (r->full)
        return;
    buf_str(&r->body, bytes);
    room_keep(r, r->body.n);
}

void hreq_body_end(struct hreq *r)
{
    r->got_end = true;
    room_end(r);
    if (r->full)
        return;
    if (r->got)
        r->got(r, buf_view(&r->body), NULL);
    else if (r->c->d->user.end)
        r->c->d->user.end(r);
}

/* ---- server ------------------------------------------------------------------------------------------------------ */

static void accepted(void *ctx, int fd)
{
    if (room_for_another(ctx))
        hconn_adopt(ctx, fd);
    else
        close(fd);
}

void httpd_serve_fd(struct httpd *d, int fd) { hconn_adopt(d, fd); }

static void drain_over(struct loop *loop, struct timer *t)
{
    (void)loop;
    struct httpd *d = container_of(t, struct httpd, drain);
    for (struct hconn *c = d->conns; c; c = c->next)
        hconn_kill(c);
}

struct httpd *httpd_new(struct loop *loop, const struct httpd_config *config, struct kr_err *e)
{
    struct httpd *d = xcalloc(1, sizeof *d);
    *d = (struct httpd){ .loop = loop, .coming_end = &d->coming, .most_kept = config->bodies ? config->bodies : LIMIT_HTTP_BODIES,
                         .most_queued = config->queued ? config->queued : LIMIT_HTTP_QUEUED, .most_conns = config->connections, .user = config->user, .tls = config->tls,
                         .idle_us = config->idle_us ? config->idle_us : INT64_C(300000000), .drain = { .fire = drain_over } };
    if (config->host.n) {
        d->listener = str_starts(config->host, S("unix:")) ? listen_unix(loop, str_from(config->host, 5), accepted, d, e)
                                                           : listen_tcp(loop, config->host, config->port, accepted, d, e);
        if (!d->listener) {
            free(d);
            return NULL;
        }
    }
    return d;
}

uint16_t httpd_port(const struct httpd *d) { return d->listener ? listener_port(d->listener) : 0; }
bool httpd_is_idle(const struct httpd *d) { return d->nreqs == 0; }

void httpd_drain(struct httpd *d, int64_t deadline_us)
{
    if (d->draining)
        return;
    d->draining = true;
    listener_close(d->listener);
    d->listener = NULL;
    for (struct hconn *c = d->conns; c; c = c->next) {
        if (c->mode == HCONN_H2)
            h2_goaway(c->h2, H2_NO_ERROR, true);
        else if (!c->nreqs)
            c->dead = true;
        hconn_turn(c);
    }
    loop_timer_at(d->loop, &d->drain, deadline_us);
}

void httpd_free(struct httpd *d)
{
    if (!d)
        return;
    listener_close(d->listener);
    while (d->conns)
        hconn_free(d->conns);
    loop_timer_stop(d->loop, &d->drain);
    free(d);
}

/* ---- what users call ----------------------------------------------------------------------------------------------- */

struct str hreq_method(const struct hreq *r) { return r->method; }
struct str hreq_path(const struct hreq *r) { return r->path; }
struct str hreq_authority(const struct hreq *r) { return r->authority; }
struct http_fields hreq_fields(const struct hreq *r) { return (struct http_fields){ r->fields, r->nfields }; }
bool hreq_is_h2(const struct hreq *r) { return r->c->mode == HCONN_H2; }
struct link *hreq_link(const struct hreq *r) { return r->c->link; }
void hreq_set_user(struct hreq *r, void *user) { r->user = user; }
void *hreq_user(const struct hreq *r) { return r->user; }

void hreq_collect(struct hreq *r, size_t max, void (*got)(struct hreq *, struct str, const struct kr_err *))
{
    r->body.max = max;
    r->full = false;
    r->got = got;
    r->moved_us = r->asked_us = loop_now_us(r->c->d->loop);
    struct str length = http_get(hreq_fields(r), "content-length");
    uint64_t n;
    r->asks_too_much = r->expect_continue && str_u64(length, &n) && n > max;
}

static void will_wait(struct hreq *r)
{
    if (!r->waits)
        r->moved_us = 0;
    r->waits = r->c->mode == HCONN_H2;
}

bool hreq_is_crowded(const struct hreq *r)
{
    return !r->over && (room_is_short(r->c->d) || (r->c->mode == HCONN_H2 && h2_is_full(r->c->h2)));
}

void hreq_keeps(struct hreq *r, size_t body) { room_keep(r, body); }

static bool is_head(const struct hreq *r) { return str_is(r->method, "HEAD"); }

void hreq_respond(struct hreq *r, int status, struct http_fields f, struct str body)
{
    if (r->over || r->started)
        return;
    if (body.n > HTTP_LOW_WATER && hreq_is_crowded(r)) {
        hreq_reset(r, H2_ENHANCE_YOUR_CALM);         /* it was begun before the queue was full */
        return;
    }
    r->started = true;
    will_wait(r);
    room_wrote(r->c, body.n);
    if (r->c->mode == HCONN_H2) {
        h2_serve_start(r, status, f, !body.n || is_head(r));
        if (body.n && !is_head(r))
            h2_serve_write(r, body, true);
        r->finished = true;
        h2_serve_finish(r, (struct http_fields){ 0 });
    } else {
        h1_serve_start(r, status, f, true, body.n);
        h1_serve_write(r, body);
        r->finished = true;
        h1_serve_finish(r, (struct http_fields){ 0 });
    }
    hconn_turn(r->c);
}

void hreq_start(struct hreq *r, int status, struct http_fields f)
{
    if (r->over || r->started)
        return;
    r->started = true;
    if (r->c->mode == HCONN_H2) {
        r->finished = is_head(r);
        h2_serve_start(r, status, f, r->finished);
        if (r->finished)
            h2_serve_finish(r, (struct http_fields){ 0 });
    } else {
        h1_serve_start(r, status, f, false, 0);
    }
    hconn_turn(r->c);
}

void hreq_write(struct hreq *r, struct str bytes)
{
    if (r->over || r->finished || !r->started || !bytes.n)
        return;
    will_wait(r);
    room_wrote(r->c, bytes.n);
    if (r->c->mode == HCONN_H2)
        h2_serve_write(r, bytes, false);
    else
        h1_serve_write(r, bytes);
    r->want_writable = true;
    hconn_turn(r->c);
}

void hreq_finish(struct hreq *r, struct http_fields trailers)
{
    if (r->over || r->finished || !r->started)
        return;
    if (r->c->mode == HCONN_H2) {
        if (trailers.n)
            h2_headers(r->c->h2, r->stream, trailers, true);
        else
            h2_serve_write(r, (struct str){ 0 }, true);
        r->finished = true;
        h2_serve_finish(r, trailers);
    } else {
        r->finished = true;
        h1_serve_finish(r, trailers);
    }
    hconn_turn(r->c);
}

size_t hreq_queued(const struct hreq *r)
{
    if (r->over)
        return 0;
    return r->c->mode == HCONN_H2 ? h2_queued(r->c->h2, r->stream) : r->c->out.n - r->c->out_at;
}

void hreq_reset(struct hreq *r, uint32_t code)
{
    if (r->over)
        return;
    if (r->c->mode == HCONN_H2)
        h2_reset(r->c->h2, r->stream, code);
    else
        r->c->dead = true;
    hreq_over(r);
}

void hreq_pause(struct hreq *r, bool on)
{
    if (r->over || r->paused == on)
        return;
    r->paused = on;
    if (!on && r->held) {
        h2_consume(r->c->h2, r->stream, r->held);
        r->held = 0;
    }
    if (on && r->c->mode == HCONN_H1)
        link_pause_read(r->c->link, true);        /* reading goes on by the turn, as other requests may wait there too */
    hconn_turn(r->c);
}

void hreq_upgrade(struct hreq *r, struct http_fields f)
{
    if (r->over || r->started || r->c->mode != HCONN_H1)
        return;
    r->started = true;
    room_end(r);                                  /* what comes now has no end, and its user holds it back */
    h1_serve_upgrade(r, f);
    hconn_turn(r->c);
}
