/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client behind a door that cuts, delays and spoils bytes by seed. Where it only cuts, the picture is true in the end and
 * nothing was ever told as gone; where it spoils, nothing may break (sanitizers look on).
 */
#include "k8s/informer.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>

struct door {
    struct here h;
    struct httpd *d;
    struct listener *l;
    struct hole { struct door *d; struct link *in, *out; int64_t left; } holes[64];
    int n;
    bool spoil, calm;
    struct rnd rnd;
    int sets, gones, synced, answers, asked, visits;
};

static void on_begin(struct hreq *r, void *ctx) { hreq_set_user(r, ctx); }
static void on_data(struct hreq *r, struct str b) { (void)r; (void)b; }
static void on_over(struct hreq *r) { (void)r; }
static void on_request(struct hreq *r)
{
    static const struct http_fields none = { 0 };
    struct str path = hreq_path(r);
    if (str_find(path, S("/pods/")) > 0) {
        hreq_respond(r, 200, none, S("{\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"}}"));
    } else if (str_find(path, S("watch=true")) > 0) {
        hreq_start(r, 200, none);
        for (int i = 0; i < 20; i++)
            hreq_write(r, S("{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"ConfigMap\",\"metadata\":{\"namespace\":\"d\",\"name\":\"a\",\"resourceVersion\":\"11\"}}}\n"));
    } else {
        hreq_respond(r, 200, none, S("{\"kind\":\"ConfigMapList\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":["
                                     "{\"metadata\":{\"namespace\":\"d\",\"name\":\"a\",\"resourceVersion\":\"1\"}},"
                                     "{\"metadata\":{\"namespace\":\"d\",\"name\":\"b\",\"resourceVersion\":\"2\"}}]}"));
    }
}

static void shut(struct hole *p)
{
    link_close(TAKE(p->in));
    link_close(TAKE(p->out));
}

static void pour(struct hole *p, struct link *from, struct link *to)
{
    struct door *d = p->d;
    char chunk[512];
    ptrdiff_t n = 0;
    while (p->in && p->left && (n = link_read(from, chunk, 1 + rnd_below(&d->rnd, sizeof chunk))) > 0) {
        size_t take = (int64_t)n < p->left ? (size_t)n : (size_t)p->left;
        if (d->spoil && !d->calm && rnd_below(&d->rnd, 8) == 0)
            chunk[rnd_below(&d->rnd, take)] = (char)rnd_u64(&d->rnd);
        link_write(to, chunk, take);
        p->left -= (int64_t)take;
    }
    if (p->in && (n < 0 || !p->left))
        shut(p);
}

static void hole_ready(struct link *l, void *ctx)
{
    struct hole *p = ctx;
    (void)l;
    if (!p->out || !p->in || !link_is_open(p->out))
        return;
    pour(p, p->in, p->out);
    if (p->in)
        pour(p, p->out, p->in);
}

static void let_in(void *ctx, int fd)
{
    struct door *d = ctx;
    struct hole *p = &d->holes[d->visits++ % (int)LEN(d->holes)];
    shut(p);
    p->d = d;
    p->left = d->calm ? INT64_MAX : (int64_t)rnd_below(&d->rnd, rnd_below(&d->rnd, 4) ? 1200 : 60);
    p->out = link_connect(d->h.loop, &(struct link_target){ .host = S("127.0.0.1"), .port = httpd_port(d->d) }, (struct link_user){ hole_ready, p });
    p->in = link_accept(d->h.loop, fd, NULL, (struct link_user){ hole_ready, p });
}

static void on_set(void *ctx, struct str key, struct str json) { (void)key; (void)json; ((struct door *)ctx)->sets++; }
static void on_gone(void *ctx, struct str key, struct str json) { (void)key; (void)json; ((struct door *)ctx)->gones++; }
static void on_synced(void *ctx) { ((struct door *)ctx)->synced++; }
static void answered(void *ctx, const struct kube_result *r)
{
    (void)r;
    ((struct door *)ctx)->answers++;
}

static void story(uint64_t seed, bool spoil)
{
    struct door d = { .spoil = spoil };
    struct kr_err e = { 0 };
    here_loop(&d.h);
    rnd_seed(&d.rnd, seed);
    d.d = httpd_new(d.h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { on_begin, on_data, on_request, NULL, on_over, &d } }, &e);
    d.l = listen_tcp(d.h.loop, S("127.0.0.1"), 0, let_in, &d, &e);
    if (!CHECK(d.d && d.l))
        abort();
    struct kube *k = here_client(&d.h, listener_port(d.l));
    struct informer *inf = informer_new(k, &(struct informer_config){ .resource = &kube_configmaps, .ns = S("d"), .user = { on_set, on_gone, on_synced, NULL, &d } }, &d.rnd);
    for (int i = 0; i < 40; i++) {
        struct kube_call *c = kube_get(k, &kube_pods, S("d"), S("p"), (struct kube_user){ answered, &d });
        if (rnd_below(&d.rnd, 4) == 0)
            kube_cancel(c);
        else
            d.asked++;
        here_run(&d.h, 500);
        here_skip(&d.h, (int64_t)rnd_below(&d.rnd, 2000000));
    }
    d.calm = true;                                /* from now on all is well */
    for (size_t i = 0; i < LEN(d.holes); i++)
        shut(&d.holes[i]);
    for (int i = 0; i < 4000 && (d.answers < d.asked || !informer_is_live(inf)); i++) {
        here_skip(&d.h, 100000);
        here_run(&d.h, 500);
    }
    CHECK_INT(d.answers, d.asked);                /* each call ends once */
    CHECK(informer_is_live(inf));
    if (!spoil) {
        CHECK_INT(d.gones, 0);
        CHECK(d.sets >= 2 && d.sets <= 2 + 2 * d.synced);
    }
    informer_free(inf);
    kube_free(k);
    here_turn(&d.h);
    for (size_t i = 0; i < LEN(d.holes); i++)
        shut(&d.holes[i]);
    listener_close(d.l);
    httpd_free(d.d);
    loop_free(d.h.loop);
}

TEST(row37_random_cuts_never_corrupt_the_picture)
{
    for (uint64_t i = 0; i < 12; i++)
        story(test_seed() + i, false);
}

TEST(row37_random_bytes_break_nothing)
{
    for (uint64_t i = 0; i < 12; i++)
        story(test_seed() + 1000 + i, true);
}
