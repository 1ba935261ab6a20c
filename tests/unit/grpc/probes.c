/* SPDX-License-Identifier: Apache-2.0 */
/* probes: the pages over a local socket, by either version of HTTP, and the addresses that are refused. */
#include "grpc/probes.h"
#include "core/metrics.h"
#include "tests/kit/test.h"
#include <stdio.h>

static struct {
    bool ready, done, failed;
    int status, gone;
    char path[64], type[64];
    struct buf body;
} t;

static bool is_ready(void *ctx, struct buf *why)
{
    (void)ctx;
    if (!t.ready)
        buf_lit(why, "no list yet\n");
    return t.ready;
}

static bool page(void *ctx, struct hreq *r, struct str path)
{
    (void)ctx;
    if (!str_starts(path, S("/own")))
        return false;
    hreq_respond(r, 200, (struct http_fields){ 0 }, path);
    return true;
}

static void page_gone(void *ctx, struct hreq *r)
{
    (void)ctx;
    (void)r;
    t.gone++;
}

static void got_head(struct hcall *c, int status, struct http_fields f)
{
    (void)c;
    t.status = status;
    for (size_t i = 0; i < f.n; i++)
        if (str_is(f.v[i].name, "content-type"))
            snprintf(t.type, sizeof t.type, "%.*s", SFMT(f.v[i].value));
}
static void got_data(struct hcall *c, struct str s)
{
    (void)c;
    buf_str(&t.body, s);
}
static void got_end(struct hcall *c, struct http_fields f)
{
    (void)c;
    (void)f;
    t.done = true;
}
static void got_failure(struct hcall *c, const struct kr_err *e)
{
    (void)c;
    printf("  %s\n", e->msg);
    t.done = t.failed = true;
}
static bool done(void *ctx)
{
    (void)ctx;
    return t.done;
}

static int ask(struct loop *loop, struct httpc *c, const char *method, const char *path)
{
    const struct httpc_request r = { .method = str_of(method), .path = str_of(path), .authority = S("localhost") };
    buf_free(&t.body);
    t.body.max = LIMIT_METRICS_PAGE;
    t.done = t.failed = false;
    t.status = 0;
    httpc_call(c, &r, (struct hcall_user){ .head = got_head, .data = got_data, .end = got_end, .failed = got_failure });
    CHECK_INT(loop_run_until(loop, done, NULL, loop_now_us(loop) + INT64_C(10000000)), 0);
    CHECK(!t.failed);
    return t.status;
}

static void pages_by(enum http_version version)
{
    struct kr_err e;
    struct loop *loop = loop_new(&clock_system);
    const struct probes_user user = { .ready = is_ready, .page = page, .page_gone = page_gone };
    snprintf(t.path, sizeof t.path, "unix:%s/%d", test_tmpdir(), (int)version);
    t.ready = false;
    t.gone = 0;
    struct probes *p = probes_new(loop, str_of(t.path), &user, &e);
    CHECK_OR(p);
    struct httpc *c = httpc_new(loop, &(struct httpc_config){ .target = { .host = str_of(t.path) }, .version = version });
    CHECK_INT(ask(loop, c, "GET", "/healthz"), 200);
    CHECK_INT(ask(loop, c, "GET", "/livez"), 200);
    CHECK_STR(buf_view(&t.body), S("ok\n"));
    CHECK_INT(ask(loop, c, "GET", "/readyz"), 503);
    CHECK_STR(buf_view(&t.body), S("no list yet\n"));
    t.ready = true;
    CHECK_INT(ask(loop, c, "GET", "/readyz?verbose"), 200);
    CHECK_INT(ask(loop, c, "GET", "/metrics"), 200);
    CHECK_Z(t.type, metrics_content_types[METRICS_TEXT]);
    CHECK(str_find(buf_view(&t.body), S("\nkruntimes_build_info{")) > 0);
    CHECK_INT(ask(loop, c, "HEAD", "/metrics"), 200);
    CHECK_INT(t.body.n, 0);
    CHECK_INT(ask(loop, c, "POST", "/healthz"), 405);
    CHECK_INT(ask(loop, c, "GET", "/healthzz"), 404);
    CHECK_INT(t.gone, 0);
    CHECK_INT(ask(loop, c, "GET", "/own?x=1"), 200);
    CHECK_STR(buf_view(&t.body), S("/own?x=1"));
    httpc_free(c);
    probes_free(p);
    loop_free(loop);
    CHECK_INT(t.gone, 1);
    buf_free(&t.body);
}

TEST(pages_by_http_1) { pages_by(HTTP_11); }
TEST(pages_by_http_2) { pages_by(HTTP_2); }

TEST(addresses) {
    static const char *const wrong[] = { "", "8081", "127.0.0.1", ":x", ":65536", ":-1", "127.0.0.1:", "[::1:8081", "example.com:1" };
    struct loop *loop = loop_new(&clock_system);
    const struct probes_user user = { .ready = is_ready };
    struct kr_err e = { 0 };
    CHECK(!probes_new(loop, S("off"), &user, &e));
    CHECK_INT(e.code, KR_OK);
    for (size_t i = 0; i < LEN(wrong); i++) {
        e = (struct kr_err){ 0 };
        CHECK(!probes_new(loop, str_of(wrong[i]), &user, &e));
        CHECK_INT(e.code, KR_USAGE);
    }
    static const char *const right[] = { "127.0.0.1:0", ":0", "[::1]:0" };
    for (size_t i = 0; i < LEN(right); i++) {
        e = (struct kr_err){ 0 };
        struct probes *p = probes_new(loop, str_of(right[i]), &user, &e);
        CHECK(p || str_find(str_of(e.msg), S("[::1]")) >= 0 || str_find(str_of(e.msg), S("::1")) >= 0);       /* not every machine has IPv6 */
        probes_free(p);
    }
    probes_free(NULL);
    loop_free(loop);
}

/* Without pages of its own a process answers those that all have. */
TEST(pages_that_all_have)
{
    struct kr_err e;
    struct loop *loop = loop_new(&clock_system);
    const struct probes_user user = { .ready = is_ready };
    snprintf(t.path, sizeof t.path, "unix:%s/p", test_tmpdir());
    struct probes *p = probes_new(loop, str_of(t.path), &user, &e);
    CHECK_OR(p);
    struct httpc *c = httpc_new(loop, &(struct httpc_config){ .target = { .host = str_of(t.path) }, .version = HTTP_11 });
    CHECK_INT(ask(loop, c, "GET", "/livez"), 200);
    CHECK_INT(ask(loop, c, "GET", "/own"), 404);
    httpc_free(c);
    probes_free(p);
    loop_free(loop);
    buf_free(&t.body);
}

/* Who has pages that are answered at once need not hear that an exchange is over. */
TEST(pages_whose_end_nobody_wants_to_hear)
{
    struct kr_err e;
    struct loop *loop = loop_new(&clock_system);
    const struct probes_user user = { .ready = is_ready, .page = page };
    snprintf(t.path, sizeof t.path, "unix:%s/p", test_tmpdir());
    struct probes *p = probes_new(loop, str_of(t.path), &user, &e);
    CHECK_OR(p);
    struct httpc *c = httpc_new(loop, &(struct httpc_config){ .target = { .host = str_of(t.path) }, .version = HTTP_11 });
    CHECK_INT(ask(loop, c, "GET", "/own"), 200);
    CHECK_INT(ask(loop, c, "GET", "/own"), 200);
    httpc_free(c);
    probes_free(p);
    loop_free(loop);
    buf_free(&t.body);
}
