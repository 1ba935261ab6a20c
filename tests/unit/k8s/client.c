/* SPDX-License-Identifier: Apache-2.0 */
#include "core/fs.h"
#include "core/json.h"
#include "k8s/client.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>

#define MAP(name) S("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"" name "\"}}")

static void check_refused(struct here *h, struct here_answer *r, int status, enum kr_code code, const char *word)
{
    here_until(h, &r->over);
    CHECK_INT(r->status, status);
    CHECK_INT(r->code, code);
    if (!CHECK(str_find(str_of(r->msg), str_of(word)) >= 0))
        printf("    \"%s\" lacks \"%s\"\n", r->msg, word);
}

TEST(refusals_come_as_codes_and_in_the_servers_words)
{
    struct here h;
    struct here_answer r = { 0 };
    here_init(&h);
    kube_get(h.kube, &kube_configmaps, S("default"), S("nope"), here_into(&r));
    check_refused(&h, &r, 404, KR_NOT_FOUND, "\"nope\" not found");
    kube_create(h.kube, &kube_configmaps, S("default"), MAP("a"), here_into(&r));
    check_refused(&h, &r, 201, KR_OK, "");
    kube_create(h.kube, &kube_configmaps, S("default"), MAP("a"), here_into(&r));
    check_refused(&h, &r, 409, KR_EXISTS, "already exists");
    kube_merge_patch(h.kube, &kube_configmaps, S("default"), S("a"), NULL, S("{\"metadata\":{\"resourceVersion\":\"1\"}}"), here_into(&r));
    check_refused(&h, &r, 409, KR_CONFLICT, "modified");
    kube_delete(h.kube, &kube_configmaps, S("default"), S("a"), S("another-uid"), -1, here_into(&r));
    check_refused(&h, &r, 409, KR_CONFLICT, "UID");
    kube_create(h.kube, &kube_configmaps, S("default"), MAP("Not A Name"), here_into(&r));
    check_refused(&h, &r, 422, KR_INVALID, "metadata.name");
    CHECK(r.causes);
    kube_json_patch(h.kube, &kube_configmaps, S("default"), S("a"), NULL, S("[{\"op\":\"test\",\"path\":\"/data\",\"value\":1}]"), here_into(&r));
    check_refused(&h, &r, 422, KR_INVALID, "");
    CHECK(!r.causes);                             /* the world is another: not the object's fault */
    kube_create(h.kube, &kube_configmaps, S("default"), S("{nonsense"), here_into(&r));
    check_refused(&h, &r, 400, KR_BAD_REQUEST, "");
    here_answer_free(&r);
    here_done(&h);
}

static void vast_begin(struct hreq *r, void *ctx)
{
    struct http_field f = { S("content-length"), ctx ? S("268435457") : S("268435456") };
    hreq_start(r, 200, (struct http_fields){ &f, 1 });
}
static void vast_data(struct hreq *r, struct str b) { (void)r; (void)b; }
static void vast_event(struct hreq *r) { (void)r; }

TEST(an_answer_that_is_too_large_is_not_taken)
{
    for (int over = 1; over >= 0; over--) {       /* one byte beyond the limit, and one that would just fit: it is waited for */
        struct here h;
        struct here_answer r = { 0 };
        struct kr_err e = { 0 };
        here_loop(&h);
        struct httpd *d = httpd_new(h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { vast_begin, vast_data, vast_event, NULL, vast_event, over ? &h : NULL } }, &e);
        CHECK_OR(d);
        h.kube = here_client(&h, httpd_port(d));
        struct kube_call *q = kube_get(h.kube, &kube_configmaps, S("default"), S("a"), here_into(&r));
        if (over)
            check_refused(&h, &r, 0, KR_TOO_LARGE, "the answer is larger than 268435456 bytes");
        else
            here_run(&h, 50000);
        CHECK_INT(r.over, over);
        if (!over)
            kube_cancel(q);
        here_answer_free(&r);
        kube_free(h.kube);
        httpd_free(d);
        loop_free(h.loop);
    }
}

TEST(every_verb_reaches_its_object)
{
    struct here h;
    struct here_answer r = { 0 };
    here_init(&h);
    kube_apply(h.kube, &kube_configmaps, S("default"), S("a"), "tester",
               S("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"},\"data\":{\"x\":\"1\"}}"), here_into(&r));
    check_refused(&h, &r, 201, KR_OK, "");
    kube_merge_patch(h.kube, &kube_configmaps, S("default"), S("a"), NULL, S("{\"data\":{\"y\":\"2\"}}"), here_into(&r));
    check_refused(&h, &r, 200, KR_OK, "");
    kube_json_patch(h.kube, &kube_configmaps, S("default"), S("a"), NULL, S("[{\"op\":\"remove\",\"path\":\"/data/x\"}]"), here_into(&r));
    check_refused(&h, &r, 200, KR_OK, "");
    CHECK_STR(json_find(buf_view(&r.body), "data"), S("{\"y\":\"2\"}"));
    kube_delete(h.kube, &kube_configmaps, S("default"), S("a"), S(""), 0, here_into(&r));
    check_refused(&h, &r, 200, KR_OK, "");
    kube_get(h.kube, &kube_configmaps, S("default"), S("a"), here_into(&r));
    check_refused(&h, &r, 404, KR_NOT_FOUND, "");
    here_answer_free(&r);
    here_done(&h);
}

/* ---- servers of our own ------------------------------------------------------------------------------------------ */

struct script { struct here h; struct httpd *d; struct kube *k; int requests; char path[256], auth[64]; void (*answer)(struct script *, struct hreq *); };

#define NONE ((struct http_fields){ 0 })
static void on_begin(struct hreq *r, void *ctx) { hreq_set_user(r, ctx); }
static void on_data(struct hreq *r, struct str bytes) { (void)r; (void)bytes; }
static void on_request(struct hreq *r)
{
    struct script *s = hreq_user(r);
    s->requests++;
    snprintf(s->path, sizeof s->path, "%.*s", SFMT(hreq_path(r)));
    snprintf(s->auth, sizeof s->auth, "%.*s", SFMT(http_get(hreq_fields(r), "authorization")));
    s->answer(s, r);
}
static void on_over(struct hreq *r) { (void)r; }

static void play(struct script *s, void (*answer)(struct script *, struct hreq *))
{
    struct kr_err e = { 0 };
    *s = (struct script){ .answer = answer };
    here_loop(&s->h);
    s->d = httpd_new(s->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { on_begin, on_data, on_request, NULL, on_over, s } }, &e);
    if (!CHECK(s->d))
        abort();
    s->k = here_client(&s->h, httpd_port(s->d));
}

static void done(struct script *s)
{
    kube_free(s->k);
    httpd_free(s->d);
    loop_free(s->h.loop);
}

static void respond_later(struct hreq *r, int status, const char *seconds)
{
    struct http_field f = { S("retry-after"), str_of(seconds) };
    hreq_respond(r, status, (struct http_fields){ &f, 1 }, S("{\"kind\":\"Status\",\"reason\":\"TooManyRequests\",\"message\":\"slow down\"}"));
}
static void busy_twice(struct script *s, struct hreq *r)
{
    if (s->requests < 3)
        respond_later(r, s->requests == 1 ? 429 : 503, "7");
    else
        hreq_respond(r, 200, NONE, S("{\"kind\":\"Pod\"}"));
}
static void always_busy(struct script *s, struct hreq *r) { (void)s; respond_later(r, 429, "20"); }
static void unavailable(struct script *s, struct hreq *r) { (void)s; hreq_respond(r, 503, NONE, S("<html>")); }

TEST(retry_after_is_waited_out)
{
    struct script s;
    struct here_answer r = { 0 };
    play(&s, busy_twice);
    kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r));
    for (int i = 1; i <= 2; i++) {
        here_until_is(&s.h, &s.requests, i);
        here_run(&s.h, 20000);      /* the answer comes; no further request */
        here_skip(&s.h, 6000000);
        here_run(&s.h, 20000);
        CHECK_INT(s.requests, i);
        here_skip(&s.h, 1000000);
    }
    here_until(&s.h, &r.over);
    CHECK_INT(r.status, 200);
    CHECK_INT(s.requests, 3);
    CHECK_Z(s.path, "/api/v1/namespaces/ns/pods/p");
    done(&s);
    play(&s, always_busy);
    kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r));
    here_until_is(&s.h, &s.requests, 1);
    here_run(&s.h, 20000);
    here_skip(&s.h, 20000000);
    here_until(&s.h, &r.over);                    /* a second wait would end behind the call's deadline */
    CHECK_INT(s.requests, 2);
    CHECK_INT(r.status, 429);
    CHECK_Z(r.msg, "slow down");
    done(&s);
    play(&s, unavailable);
    kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r));
    here_until(&s.h, &r.over);                    /* nobody asked for another try */
    CHECK_INT(s.requests, 1);
    CHECK_INT(r.code, KR_UNAVAILABLE);
    here_answer_free(&r);
    done(&s);
}

TEST(an_object_that_etcd_does_not_take_is_too_large)
{
    struct kr_err e = { 0 };
    kube_status_error(500, S("{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"etcdserver: request is too large\",\"code\":500}"), &e, NULL);
    CHECK_INT(e.code, KR_TOO_LARGE);
    CHECK_Z(e.msg, "etcdserver: request is too large");
    kube_status_error(500, S("{\"message\":\"etcdserver: request timed out\"}"), &e, NULL);
    CHECK_INT(e.code, KR_PROTOCOL);
}

TEST(a_400_is_never_taken_for_our_command_line)
{
    struct kr_err e = { 0 };
    kube_status_error(400, S("{\"reason\":\"BadRequest\",\"message\":\"no\"}"), &e, NULL);
    CHECK_INT(e.code, KR_BAD_REQUEST);
    kube_status_error(400, S("no Status at all"), &e, NULL);
    CHECK_INT(e.code, KR_BAD_REQUEST);
    CHECK_Z(e.msg, "the API server answered 400 Bad Request: no Status at all");
    kube_status_error(502, S("<html>\nno words\n"), &e, NULL);
    CHECK_Z(e.msg, "the API server answered 502 Bad Gateway");
    kube_status_error(502, S("\33[31mred"), &e, NULL);
    CHECK_Z(e.msg, "the API server answered 502 Bad Gateway");
}

static void nonsense(struct script *s, struct hreq *r) { (void)s; hreq_respond(r, 200, NONE, S("<html>hello</html>")); }
static void elsewhere(struct script *s, struct hreq *r) { (void)s; hreq_respond(r, 302, NONE, S("{}")); }
static void nothing(struct script *s, struct hreq *r) { (void)s; (void)r; }
static void cut(struct script *s, struct hreq *r) { (void)s; hreq_start(r, 200, NONE); hreq_write(r, S("{\"a\":")); hreq_reset(r, 2); }

TEST(answers_that_are_none_end_in_an_error)
{
    struct script s;
    struct here_answer r = { 0 };
    play(&s, nonsense);
    kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r));
    here_until(&s.h, &r.over);
    CHECK(r.code != KR_OK);
    CHECK(str_find(str_of(r.msg), S("the API server's answer")) == 0);
    kube_send(s.k, &(struct kube_request){ .method = "GET", .path = S("/x"), .accept = "application/json;as=Table;g=meta.k8s.io;v=v1" }, here_into(&r));
    here_until(&s.h, &r.over);
    CHECK(r.code != KR_OK);
    s.answer = elsewhere;
    kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r));
    here_until(&s.h, &r.over);
    CHECK(r.code != KR_OK);
    CHECK_Z(r.msg, "the API server answered 302 Found");
    s.answer = cut;
    kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r));
    here_until(&s.h, &r.over);
    CHECK(r.code != KR_OK);
    CHECK_INT(r.status, 0);
    s.answer = nothing;
    kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r));
    here_until_is(&s.h, &s.requests, 5);
    here_skip(&s.h, 31000000);
    here_until(&s.h, &r.over);
    CHECK_INT(r.code, KR_DEADLINE);
    here_answer_free(&r);
    done(&s);
}

TEST(cancelled_calls_are_silent_and_the_others_hear_of_the_end)
{
    struct script s;
    struct here_answer r = { 0 }, q = { 0 };
    play(&s, nothing);
    struct kube_call *c = kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r));
    kube_get(s.k, &kube_pods, S("ns"), S("q"), here_into(&q));
    here_until_is(&s.h, &s.requests, 2);
    kube_cancel(c);
    here_turn(&s.h);
    CHECK(!r.over && !q.over);
    kube_free(TAKE(s.k));
    CHECK(!r.over && q.over);
    CHECK_INT(q.code, KR_CANCELLED);
    s.k = here_client(&s.h, 1);                   /* nobody listens on port 1 */
    kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r));
    here_until(&s.h, &r.over);
    CHECK_INT(r.code, KR_UNAVAILABLE);
    CHECK_INT(r.status, 0);
    CHECK(str_find(str_of(r.msg), S("127.0.0.1:1")) >= 0);
    here_answer_free(&r);
    here_answer_free(&q);
    done(&s);
}

static void only_new(struct script *s, struct hreq *r)
{
    bool ok = !strcmp(s->auth, "Bearer new");
    hreq_respond(r, ok ? 200 : 401, NONE, ok ? S("{\"kind\":\"Pod\"}") : S("{\"kind\":\"Status\",\"reason\":\"Unauthorized\",\"message\":\"who are you\"}"));
}

TEST(a_token_file_is_read_again_after_a_401_and_when_it_has_changed)
{
    struct script s;
    struct here_answer r = { 0 };
    struct kr_err e = { 0 };
    char path[300];
    play(&s, only_new);
    kube_free(s.k);
    snprintf(path, sizeof path, "%s/token", test_tmpdir());
    CHECK_INT(fs_write(path, S("old\n"), 0600, false, &e), 0);
    s.k = kube_new(s.h.loop, &(struct kube_config){ .server = S("http://x"), .host = S("127.0.0.1"), .port = httpd_port(s.d), .path = S("/prefix"),
                                                    .token_file = str_of(path) }, "test", &e);
    kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r));
    here_until(&s.h, &r.over);
    CHECK_INT(r.status, 401);
    CHECK_INT(s.requests, 2);
    CHECK_Z(s.auth, "Bearer old");
    CHECK_Z(s.path, "/prefix/api/v1/namespaces/ns/pods/p");
    CHECK_INT(fs_write(path, S("new\n"), 0600, false, &e), 0);
    kube_get(s.k, &kube_pods, S("ns"), S("p"), here_into(&r));
    here_until(&s.h, &r.over);
    CHECK_INT(r.status, 200);
    CHECK_INT(s.requests, 3);                     /* without another 401 */
    here_answer_free(&r);
    done(&s);
}
