/* SPDX-License-Identifier: Apache-2.0 */
/* The API server's certificate is renewed while connections with the old one, and what flows on them, go on. */
#include "applets/apiserver/state.h"
#include "core/log.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>

enum { CLIENTS = 8, WATCHES = 8, WRITES = 20 };
#define HOUR INT64_C(3600000000)
#define DAY (24 * HOUR)
#define MAPS "/api/v1/namespaces/default/configmaps"

/* Clients that write and watch at once; each write is told to every watch. */
struct crowd;
struct client { struct crowd *crowd; struct kube *k; int written; };
struct crowd {
    struct here h;
    struct tls *tls;
    struct serve *serve;
    struct client c[CLIENTS];
    struct kube_stream *w[CLIENTS * WATCHES];
    int opened, ended, failed, told, writes;
    bool go;
};

static int64_t wall_ahead;
static int64_t wall(const struct clock *c) { (void)c; return clock_system.wall_us(&clock_system) + wall_ahead; }

static struct kube *secure(struct crowd *x, const struct state *s, bool insecure)
{
    struct kr_err e = { 0 };
    struct kube_config c = { .server = S("https://127.0.0.1"), .host = S("127.0.0.1"), .port = serve_port(x->serve), .tls = true, .ca = buf_view(&s->ca.cert),
                             .insecure = insecure, .ns = S("default"), .source = S("test") };
    struct kube *k = kube_new(x->h.loop, &c, "kruntimes-test/1", &e);
    if (!CHECK(k))
        abort();
    return k;
}

static void opened(void *ctx) { ((struct crowd *)ctx)->opened++; }
static void line(void *ctx, struct str json) { ((struct crowd *)ctx)->told += str_find(json, S("\"ADDED\"")) > 0; }
static void ended(void *ctx, int status, const struct kr_err *e) { (void)status; (void)e; ((struct crowd *)ctx)->ended++; }

static void write_one(struct client *c);
static void written(void *ctx, const struct kube_result *r)
{
    struct client *c = ctx;
    c->crowd->failed += r->status != 201;
    c->crowd->writes++;
    write_one(c);
}
static void write_one(struct client *c)
{
    char object[160];
    if (c->written == (c->crowd->go ? WRITES : WRITES / 2))
        return;
    snprintf(object, sizeof object, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c%d-%d\"}}", (int)(c - c->crowd->c), c->written++);
    kube_send(c->k, &(struct kube_request){ .method = "POST", .path = S(MAPS), .body = str_of(object), .timeout_us = 10 * HOUR }, (struct kube_user){ written, c });
}

static int ask(struct crowd *x, struct kube *k)
{
    struct here_answer a = { 0 };
    kube_send(k, &(struct kube_request){ .method = "GET", .path = S("/version") }, here_into(&a));
    here_until(&x->h, &a.over);
    int status = a.status;
    here_answer_free(&a);
    return status;
}

TEST(a_certificate_is_renewed_under_load_and_no_connection_ends)
{
    struct crowd x = { 0 };
    struct state s;
    struct kr_err e = { 0 };
    char dir[300];
    here_init(&x.h);
    x.h.clock.clock.wall_us = wall;
    log_std.level = LOG_WARN;
    snprintf(dir, sizeof dir, "%s/state", test_tmpdir());
    wall_ahead = -400 * DAY;                      /* it was started so long ago that its certificate has ended meanwhile */
    CHECK_OR(state_open(&s, dir, wall(NULL), &e) == 0);
    CHECK_OR(x.tls = state_tls(&s, &e));
    state_keep_fresh(&s, x.h.loop, x.tls);
    CHECK_OR(x.serve = serve_new(&x.h.api, &(struct serve_config){ .host = S("127.0.0.1"), .tls = x.tls }, &e));
    for (int i = 0; i < CLIENTS; i++) {
        x.c[i] = (struct client){ .crowd = &x, .k = secure(&x, &s, true) };
        for (int j = 0; j < WATCHES; j++)
            x.w[i * WATCHES + j] = kube_open_stream(x.c[i].k, S(MAPS "?watch=1&resourceVersion=1&timeoutSeconds=86400"), (struct kube_stream_user){ opened, line, ended, &x });
    }
    here_until_is(&x.h, &x.opened, CLIENTS * WATCHES);
    struct kube *strict = secure(&x, &s, false);
    CHECK_INT(ask(&x, strict), 0);
    here_skip(&x.h, HOUR + 1);
    here_run(&x.h, 20000);
    CHECK_INT(ask(&x, strict), 0);                /* to the server's own clock it is new */
    for (int i = 0; i < CLIENTS; i++)
        write_one(&x.c[i]);
    here_until_is(&x.h, &x.writes, CLIENTS);
    wall_ahead = 0;
    x.go = true;                                  /* those that still write write on, past the renewal */
    here_skip(&x.h, HOUR + 1);
    here_until_is(&x.h, &x.writes, CLIENTS * WRITES);
    here_until_is(&x.h, &x.told, CLIENTS * WATCHES * CLIENTS * WRITES);
    CHECK_INT(x.told, CLIENTS * WATCHES * CLIENTS * WRITES);
    CHECK_INT(x.ended, 0);
    CHECK_INT(x.failed, 0);
    CHECK_INT(ask(&x, strict), 200);
    int64_t end_us = 0;
    CHECK(tls_not_after(buf_view(&s.server.cert), &end_us, &e) == 0 && end_us > wall(NULL) + 364 * DAY);
    here_skip(&x.h, HOUR + 1);                     /* a young one stays */
    AUTO_BUF struct buf young = { .max = 65536 };
    buf_str(&young, buf_view(&s.server.cert));
    here_run(&x.h, 20000);
    CHECK_STR(buf_view(&s.server.cert), buf_view(&young));
    kube_free(strict);
    for (int i = 0; i < CLIENTS * WATCHES; i++)
        kube_close_stream(x.w[i]);
    for (int i = 0; i < CLIENTS; i++)
        kube_free(x.c[i].k);
    here_turn(&x.h);
    serve_free(x.serve);
    tls_free(x.tls);
    state_close(&s);
    here_done(&x.h);
}
