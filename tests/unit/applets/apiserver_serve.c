/* SPDX-License-Identifier: Apache-2.0 */
/* The API server behind its port: what waits, and for how long. Time stands still but for here_skip. */
#include "tests/kit/here.h"
#include "tests/kit/test.h"

static int64_t stands_at;
static int64_t still(const struct clock *c) { return stands_at + ((const struct here *)(const void *)c)->clock.ahead; }

static void ask(struct here *h, const char *path, struct here_answer *a)
{
    kube_send(h->kube, &(struct kube_request){ .method = "GET", .path = str_of(path) }, here_into(a));
}

/* Who names a revision that isn't there yet waits for it, but no longer than ?timeout= says. */
TEST(a_request_waits_no_longer_than_it_says)
{
    struct here h;
    struct here_answer usual = { 0 }, short_ = { 0 }, longer = { 0 }, after = { 0 };
    here_init(&h);
    stands_at = loop_now_us(h.loop);
    h.clock.clock.mono_us = still;
    ask(&h, "/api/v1/configmaps?resourceVersion=99999", &usual);
    ask(&h, "/api/v1/configmaps?resourceVersion=99999&timeout=1s", &short_);
    ask(&h, "/api/v1/configmaps?resourceVersion=99999&timeout=1h", &longer);
    ask(&h, "/version", &after);
    here_until(&h, &after.over);                  /* one behind the other on one connection: the others wait by now */
    CHECK(!usual.over && !short_.over && !longer.over);
    here_skip(&h, 1000000);
    here_until(&h, &short_.over);
    CHECK_INT(short_.status, 504);
    here_answer_free(&after);
    after = (struct here_answer){ 0 };
    ask(&h, "/version", &after);
    here_until(&h, &after.over);
    CHECK(!usual.over && !longer.over);
    here_skip(&h, 2000000);
    here_until(&h, &usual.over);
    here_until(&h, &longer.over);
    CHECK_INT(usual.status, 504);
    CHECK_INT(longer.status, 504);
    here_answer_free(&usual);
    here_answer_free(&short_);
    here_answer_free(&longer);
    here_answer_free(&after);
    here_done(&h);
}
