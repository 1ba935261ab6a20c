/* SPDX-License-Identifier: Apache-2.0 */
/*
 * here: the store lies in the test's folder, the server has neither TLS nor a token. Not here: more than one server.
 */
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>

enum { REAL_LIMIT_US = 60000000 };

static int64_t mono(const struct clock *c) { return clock_system.mono_us(&clock_system) + ((const struct here *)(const void *)c)->clock.ahead; }
static int64_t wall(const struct clock *c) { return clock_system.wall_us(&clock_system) + ((const struct here *)(const void *)c)->clock.ahead; }

void here_loop(struct here *h)
{
    *h = (struct here){ .clock = { .clock = { mono, wall } } };
    rnd_seed(&h->rnd, test_seed());
    h->loop = loop_new(&h->clock.clock);
}

struct kube *here_client(struct here *h, uint16_t port)
{
    struct kr_err e = { 0 };
    struct kube_config c = { .server = S("http://127.0.0.1"), .host = S("127.0.0.1"), .port = port, .ns = S("default"), .source = S("test") };
    struct kube *k = kube_new(h->loop, &c, "kruntimes-test/1", &e);
    if (!k)
        abort();
    return k;
}

void here_init(struct here *h)
{
    struct kr_err e = { 0 };
    char path[300];
    here_loop(h);
    h->api = (struct api){ .loop = h->loop, .rnd = &h->rnd };
    snprintf(path, sizeof path, "%s/store.mdb", test_tmpdir());
    h->api.store = store_open(path, &e);
    if (!CHECK(h->api.store))
        abort();
    h->api.watches = watches_new(h->loop, h->api.store);
    CHECK_INT(api_bootstrap(&h->api, &e), 0);
    h->serve = serve_new(&h->api, &(struct serve_config){ .host = S("127.0.0.1") }, &e);
    if (!CHECK(h->serve))
        abort();
    h->port = serve_port(h->serve);
    h->kube = here_client(h, h->port);
}

void here_done(struct here *h)
{
    kube_free(h->kube);
    here_turn(h);
    serve_free(h->serve);
    if (h->api.watches)
        watches_free(h->api.watches);
    if (h->api.store)
        store_close(h->api.store);
    loop_free(h->loop);
}

void here_skip(struct here *h, int64_t us) { h->clock.ahead += us; }
void here_turn(struct here *h) { loop_run_until(h->loop, NULL, NULL, loop_now_us(h->loop)); }
void here_run(struct here *h, int64_t us) { loop_run_until(h->loop, NULL, NULL, mono(&h->clock.clock) + us); }

static bool is_set(void *flag) { return *(const bool *)flag; }
struct reached { const int *counter; int at_least; };
static bool is_reached(void *ctx) { const struct reached *r = ctx; return *r->counter >= r->at_least; }

bool here_until(struct here *h, const bool *flag)
{
    return CHECK(loop_run_until(h->loop, is_set, (void *)flag, mono(&h->clock.clock) + REAL_LIMIT_US) == 0);
}

bool here_until_is(struct here *h, const int *counter, int at_least)
{
    struct reached r = { counter, at_least };
    return CHECK(loop_run_until(h->loop, is_reached, &r, mono(&h->clock.clock) + REAL_LIMIT_US) == 0);
}

static void answered(void *ctx, const struct kube_result *r)
{
    struct here_answer *a = ctx;
    a->over = true;
    a->status = r->status;
    a->causes = r->causes;
    buf_clear(&a->body);
    buf_str(&a->body, r->body);
    a->code = r->error ? r->error->code : KR_OK;
    snprintf(a->msg, sizeof a->msg, "%s", r->error ? r->error->msg : "");
}

struct kube_user here_into(struct here_answer *a)
{
    buf_free(&a->body);
    *a = (struct here_answer){ .body = { .max = 1 << 24 } };
    return (struct kube_user){ answered, a };
}

void here_answer_free(struct here_answer *a) { buf_free(&a->body); }
