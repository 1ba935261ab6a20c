/* SPDX-License-Identifier: Apache-2.0 */
/* The question for the pod of a workspace, to a server whose pages of more than 100 Runs are larger than an answer may be. */
#include "crds/sched/asks.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"

struct asked { struct here h; int questions; bool found; };

static void on_begin(struct hreq *r, void *ctx) { hreq_set_user(r, ctx); }
static void on_data(struct hreq *r, struct str bytes) { (void)r; (void)bytes; }
static void on_over(struct hreq *r) { (void)r; }
static void on_end(struct hreq *r)
{
    struct asked *x = hreq_user(r);
    struct http_field vast = { S("content-length"), S("268435457") };
    ptrdiff_t at = str_find(hreq_path(r), S("limit="));
    struct str rest = str_from(hreq_path(r), at < 0 ? 0 : (size_t)at + 6);
    int64_t limit = INT64_MAX;
    str_i64(str_cut(&rest, '&'), &limit);
    x->questions++;
    if (limit > 100)
        hreq_start(r, 200, (struct http_fields){ &vast, 1 });
    else
        hreq_respond(r, 200, (struct http_fields){ 0 }, S("{\"items\":[{\"spec\":{\"runtime\":\"r\",\"workspace\":{\"name\":\"w\"}},\"status\":{\"assignedPodUID\":\"u\"}}]}"));
}
static void found(void *ctx, struct str ns, struct str runtime, struct str workspace, struct str uid)
{
    struct asked *x = ctx;
    CHECK_STR(ns, S("default"));
    CHECK_STR(runtime, S("r"));
    CHECK_STR(workspace, S("w"));
    CHECK_STR(uid, S("u"));
    x->found = true;
}

TEST(pages_that_are_too_large_are_asked_for_in_smaller_ones)
{
    struct asked x = { 0 };
    struct kr_err e = { 0 };
    here_loop(&x.h);
    struct httpd *d = httpd_new(x.h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { on_begin, on_data, on_end, NULL, on_over, &x } }, &e);
    CHECK_OR(d);
    struct kube *k = here_client(&x.h, httpd_port(d));
    struct asks *asks = asks_new(k, found, &x);
    asks_send(asks, S("default"), S("r"), S("w"));
    for (int n = 0; n < 4 && !x.found; n++) {
        here_until_is(&x.h, &x.questions, n + 1);
        here_run(&x.h, 5000);                     /* the answer has come */
        here_skip(&x.h, 4000000);
    }
    here_until(&x.h, &x.found);
    CHECK_INT(x.questions, 4);                    /* 500, 250, 125, 62 */
    asks_free(asks);
    kube_free(k);
    httpd_free(d);
    loop_free(x.h.loop);
}
