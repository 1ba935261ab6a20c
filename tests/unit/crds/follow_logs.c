/* SPDX-License-Identifier: Apache-2.0 */
/* What follow reads: from a pod that answers by access key; and an API server that answers as it likes. */
#include "crds/follow.h"
#include "grpc/http.h"
#include "tests/kit/logs_pod.h"
#include "tests/kit/test.h"
#include <stdio.h>
#include <string.h>

struct seen {
    struct buf out, err;
    int changes, outputs, troubles, missing, dones;
    bool over, has_run;
    int64_t attempt;                              /* of the last output_at */
    enum kr_code code;
    char phase[32], error[600], lost[600];
};

static void on_changed(void *ctx, const struct run *r)
{
    struct seen *s = ctx;
    s->changes++;
    snprintf(s->phase, sizeof s->phase, "%.*s", SFMT(run_phase(r)));
}
static void on_output(void *ctx, int stream, struct str bytes)
{
    struct seen *s = ctx;
    s->outputs++;
    s->out.max = s->err.max = 1 << 16;
    buf_str(stream == 2 ? &s->err : &s->out, bytes);
}
static void on_output_at(void *ctx, int stream, struct str bytes, int64_t unix_us, int64_t attempt)
{
    CHECK_INT(unix_us, 5);
    ((struct seen *)ctx)->attempt = attempt;
    on_output(ctx, stream, bytes);
}
static void on_trouble(void *ctx, const struct kr_err *e)
{
    (void)e;
    ((struct seen *)ctx)->troubles++;
}
static void on_missing(void *ctx, const struct kr_err *e)
{
    struct seen *s = ctx;
    s->missing++;
    snprintf(s->lost, sizeof s->lost, "%s", e->msg);
}
static void on_done(void *ctx, const struct run *r, const struct kr_err *e)
{
    struct seen *s = ctx;
    s->dones++;
    s->over = true;
    s->has_run = r;
    s->code = e ? e->code : KR_OK;
    snprintf(s->error, sizeof s->error, "%s", e ? e->msg : "");
}

#define DEAF(s, n, ...) (&(struct follow_config){ .ns = S("default"), .name = str_of(n), .output = on_output, .done = on_done, .ctx = (s), __VA_ARGS__ })
#define FOLLOW(s, n, ...) DEAF(s, n, .changed = on_changed, .trouble = on_trouble, .missing = on_missing, __VA_ARGS__)

static void make_run(struct logs_pod *p, const char *name, const char *status)
{
    char text[300];
    snprintf(text, sizeof text, "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Run\",\"metadata\":{\"name\":\"%s\"},\"spec\":{\"runtime\":\"bash\",\"code\":\"true\"}}", name);
    logs_pod_create(p, &kube_runs, text);
    if (status)
        logs_pod_status(p, &kube_runs, name, status);
}

/* Follows until it is over; the outcome is in *s, whose buffers are the caller's. */
static void whole(struct logs_pod *p, struct seen *s, const struct follow_config *c)
{
    buf_free(&s->out);
    buf_free(&s->err);
    *s = (struct seen){ 0 };
    struct follow *f = follow_run(p->h.kube, c, &p->h.rnd);
    here_until(&p->h, &s->over);
    here_turn(&p->h);
    CHECK_INT(s->dones, 1);
    follow_stop(f);
}

static bool says(const char *text, const char *words)
{
    bool ok = CHECK(str_find(str_of(text), str_of(words)) >= 0);
    if (!ok)
        printf("    '%s' lacks '%s'\n", text, words);
    return ok;
}

TEST(changes_are_told_up_to_the_end)
{
    static struct logs_pod p;
    struct seen s = { 0 }, t = { 0 };
    logs_pod_begin(&p);
    whole(&p, &s, FOLLOW(&s, "nobody", .until_end = true));
    CHECK_INT(s.code, KR_NOT_FOUND);
    CHECK_Z(s.error, "runs.kruntimes.io \"nobody\" not found");
    CHECK(!s.has_run);
    make_run(&p, "r", NULL);
    s = (struct seen){ 0 };
    struct follow *f = follow_run(p.h.kube, FOLLOW(&s, "r", .until_end = true), &p.h.rnd);
    struct follow *quiet = follow_run(p.h.kube, DEAF(&t, "r", .until_end = true), &p.h.rnd);
    here_until_is(&p.h, &s.changes, 1);
    CHECK_Z(s.phase, "Pending");
    logs_pod_status(&p, &kube_runs, "r", "\"phase\":\"Running\"");
    here_until_is(&p.h, &s.changes, 2);
    CHECK(!s.over);
    logs_pod_status(&p, &kube_runs, "r", "\"phase\":\"Failed\",\"reason\":\"ExitCode\"");
    here_until(&p.h, &s.over);
    here_until(&p.h, &t.over);
    CHECK_Z(s.phase, "Failed");
    CHECK(s.has_run && s.code == KR_OK);
    logs_pod_delete(&p, &kube_runs, "r");         /* after the end nothing more is said */
    here_until_is(&p.h, &s.changes, 3);
    CHECK_INT(s.dones, 1);
    follow_stop(f);
    follow_stop(quiet);
    follow_stop(NULL);
    logs_pod_end(&p);
}

TEST(attempts_are_read_one_after_the_other)
{
    static struct logs_pod p;
    struct seen s = { 0 };
    logs_pod_begin(&p);
    logs_pod_make(&p, "p", true);
    make_run(&p, "r", "\"phase\":\"Succeeded\"," LOGS_ON("p", 3, "0"));
    whole(&p, &s, FOLLOW(&s, "r", .logs = true, .until_end = true));
    CHECK_STR(buf_view(&s.out), S("r 1\nr 2\nr 3\n"));
    CHECK_STR(buf_view(&s.err), S("err\nerr\nerr\n"));
    CHECK(p.followed && s.code == KR_OK && !s.troubles && !s.missing);
    CHECK_INT(s.attempt, 0);
    whole(&p, &s, FOLLOW(&s, "r", .logs = true, .output_at = on_output_at));      /* what there is: of the last */
    CHECK_STR(buf_view(&s.out), S("r 3\n"));
    CHECK_INT(s.attempt, 3);
    CHECK(!p.followed);
    whole(&p, &s, FOLLOW(&s, "r", .logs = true, .previous = true));
    CHECK_STR(buf_view(&s.out), S("r 2\n"));
    whole(&p, &s, FOLLOW(&s, "r", .logs = true, .attempt = 1, .tail_lines = 5));
    CHECK_STR(buf_view(&s.out), S("r 1\n"));
    whole(&p, &s, FOLLOW(&s, "r", .until_end = true));                            /* no logs are wanted */
    CHECK_INT(s.outputs, 0);
    make_run(&p, "one", "\"phase\":\"Succeeded\"," LOGS_ON("p", 1, "0"));
    whole(&p, &s, FOLLOW(&s, "one", .logs = true, .previous = true));
    CHECK_Z(s.error, "run/one has had no attempt before its last one");
    CHECK_INT(s.code, KR_NOT_FOUND);
    make_run(&p, "none", "\"phase\":\"Cancelled\"");                              /* it never came to a pod */
    whole(&p, &s, FOLLOW(&s, "none", .logs = true, .until_end = true));
    CHECK(s.code == KR_OK && !s.outputs);
    buf_free(&s.out);
    buf_free(&s.err);
    logs_pod_end(&p);
}

TEST(a_pod_that_refuses_is_asked_once_and_one_that_is_away_some_times)
{
    static const struct { const char *name, *status, *out; int calls, missing; const char *lost; } T[] = {
        { "refused", "\"phase\":\"Succeeded\"," LOGS_ON("p", 1, "1"), "", 1, 1, "the logs of attempt 1: says the pod" },
        { "away", "\"phase\":\"Succeeded\"," LOGS_ON("p", 1, "2"), "", 5, 1, "the logs of attempt 1: says the pod" },
        { "cut", "\"phase\":\"Succeeded\"," LOGS_ON("p", 1, "3"), "cut 1\n", 5, 1, "the logs of attempt 1: says the pod" },
        { "broken", "\"phase\":\"Succeeded\"," LOGS_ON("p", 1, "4"), "broken 1\n", 1, 1, "a part of the logs of attempt 1: " },
        { "twice", "\"phase\":\"Succeeded\"," LOGS_ON("p", 2, "1"), "", 2, 2, "the logs of attempt 2: says the pod" },
    };
    static struct logs_pod p;
    struct seen s = { 0 };
    logs_pod_begin(&p);
    logs_pod_make(&p, "p", true);
    for (size_t i = 0; i < LEN(T); i++) {
        p.calls = 0;
        make_run(&p, T[i].name, T[i].status);
        struct follow_config c = *FOLLOW(&s, T[i].name, .logs = true, .until_end = true);
        whole(&p, &s, &c);
        CHECK(s.has_run && s.code == KR_OK);
        CHECK_INT(p.calls, T[i].calls);
        CHECK_INT(s.missing, T[i].missing);
        CHECK_STR(buf_view(&s.out), str_of(T[i].out));
        says(s.lost, T[i].lost);
        c.missing = NULL;                         /* and nobody who wants to hear of it */
        whole(&p, &s, &c);
        CHECK(s.has_run && s.code == KR_OK);
    }
    buf_free(&s.out);
    buf_free(&s.err);
    logs_pod_end(&p);
}

TEST(output_that_breaks_off_is_gone_on_with)
{
    static struct logs_pod p;
    struct seen s = { 0 };
    logs_pod_begin(&p);
    logs_pod_make(&p, "p", true);
    make_run(&p, "r", "\"phase\":\"Succeeded\"," LOGS_ON("p", 1, "7"));
    whole(&p, &s, FOLLOW(&s, "r", .logs = true, .until_end = true, .tail_lines = 9));
    CHECK_STR(buf_view(&s.out), S("a\nc\nd\ne\ng\n"));
    CHECK_STR(buf_view(&s.err), S("b\nf\n"));
    CHECK_INT(p.calls, 7);
    CHECK_INT(p.tail_lines, -1);                  /* what had come may be more than that by now */
    CHECK_INT(s.missing, 0);
    buf_free(&s.out);
    buf_free(&s.err);
    logs_pod_end(&p);
}

TEST(when_its_pod_is_gone_another_ready_one_reads_the_store)
{
    static struct logs_pod p;
    struct seen s = { 0 };
    logs_pod_begin(&p);
    make_run(&p, "r", "\"phase\":\"Succeeded\"," LOGS_ON("left", 2, "0"));
    whole(&p, &s, FOLLOW(&s, "r", .logs = true, .until_end = true));
    CHECK_INT(s.missing, 2);
    says(s.lost, "the logs of attempt 2: its pod is gone, and no other pod");
    whole(&p, &s, DEAF(&s, "r", .logs = true));
    CHECK(s.has_run && s.code == KR_OK);
    logs_pod_make(&p, "idle", false);
    whole(&p, &s, FOLLOW(&s, "r", .logs = true));
    CHECK_INT(s.missing, 1);
    logs_pod_make(&p, "other", true);
    whole(&p, &s, FOLLOW(&s, "r", .logs = true, .until_end = true));
    CHECK_INT(s.missing, 0);
    CHECK_STR(buf_view(&s.out), S("r 1\nr 2\n"));
    buf_free(&s.out);
    buf_free(&s.err);
    logs_pod_end(&p);
}

TEST(it_may_be_stopped_while_something_is_under_way)
{
    static struct logs_pod p;
    struct seen s = { 0 };
    logs_pod_begin(&p);
    logs_pod_make(&p, "p", true);
    make_run(&p, "stay", "\"phase\":\"Running\"," LOGS_ON("p", 1, "5"));
    make_run(&p, "away", "\"phase\":\"Running\"," LOGS_ON("p", 1, "2"));
    struct follow *f = follow_run(p.h.kube, FOLLOW(&s, "stay", .logs = true, .until_end = true), &p.h.rnd);
    here_until_is(&p.h, &s.outputs, 2);
    logs_pod_status(&p, &kube_runs, "stay", "\"message\":\"a change while it is read\"");
    here_until_is(&p.h, &s.changes, 2);
    here_turn(&p.h);
    CHECK_INT(p.calls, 1);
    follow_stop(f);
    s = (struct seen){ .out = s.out, .err = s.err };
    f = follow_run(p.h.kube, FOLLOW(&s, "away", .logs = true, .until_end = true), &p.h.rnd);
    here_until_is(&p.h, &p.calls, 2);
    here_until_is(&p.h, &p.calls, 3);             /* it waits in between */
    follow_stop(f);
    here_run(&p.h, 1000);
    CHECK(!s.over && !s.troubles && !s.missing);
    buf_free(&s.out);
    buf_free(&s.err);
    logs_pod_end(&p);
}

/* ---- a server that answers as it likes ----------------------------------------------------------------------------------- */

struct script { struct here h; struct httpd *d; const char *runs, *pods; int status, asked; };
#define NONE ((struct http_fields){ 0 })

static void on_begin(struct hreq *r, void *ctx) { hreq_set_user(r, ctx); }
static void on_data(struct hreq *r, struct str bytes) { (void)r, (void)bytes; }
static void on_over(struct hreq *r) { (void)r; }
static void on_request(struct hreq *r)
{
    struct script *s = hreq_user(r);
    s->asked++;
    if (str_find(hreq_path(r), S("watch=true")) >= 0)
        hreq_start(r, 200, NONE);
    else if (str_find(hreq_path(r), S("/portforward")) >= 0)
        hreq_respond(r, 404, NONE, S("{\"kind\":\"Status\",\"code\":404,\"reason\":\"NotFound\",\"message\":\"no pod\"}"));
    else if (str_find(hreq_path(r), S("/pods")) >= 0)
        hreq_respond(r, 403, NONE, str_of(s->pods));
    else
        hreq_respond(r, s->status, NONE, str_of(s->runs));
}

static void play(struct script *s, struct seen *v, bool logs)
{
    struct kr_err e = { 0 };
    here_loop(&s->h);
    s->d = httpd_new(s->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { on_begin, on_data, on_request, NULL, on_over, s } }, &e);
    CHECK_OR(s->d);
    struct kube *k = here_client(&s->h, httpd_port(s->d));
    struct follow *f = follow_run(k, FOLLOW(v, "r", .logs = logs, .until_end = true), &s->h.rnd);
    here_until(&s->h, &v->over);
    follow_stop(f);
    kube_free(k);
    httpd_free(s->d);
    loop_free(s->h.loop);
}

#define RUNS(run) "{\"kind\":\"RunList\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[" run "]}"
#define RUN(uid, spec) "{\"metadata\":{\"namespace\":\"default\",\"name\":\"r\",\"resourceVersion\":\"1\",\"uid\":\"" uid "\"},\"spec\":" spec ",\"status\":{\"phase\":\"Failed\"," LOGS_ON("p", 1, "0") "}}"

TEST(what_waiting_does_not_mend_ends_it_at_once)
{
    struct seen s = { 0 };
    play(&(struct script){ .status = 403, .runs = "{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\",\"message\":\"may not list\"}" }, &s, false);
    CHECK_INT(s.code, KR_FORBIDDEN);
    says(s.error, "may not list");
    CHECK_INT(s.dones, 1);
    s = (struct seen){ 0 };
    play(&(struct script){ .status = 200, .runs = RUNS(RUN("u", "5")) }, &s, false);      /* no Run of ours */
    CHECK(s.code != KR_OK && !s.has_run);
    says(s.error, "spec");
}

TEST(that_pods_may_not_be_listed_is_told)
{
    struct seen s = { 0 };
    struct script p = { .status = 200, .runs = RUNS(RUN("u", "{\"runtime\":\"bash\",\"code\":\"x\"}")),
                        .pods = "{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\",\"message\":\"may not list pods\"}" };
    play(&p, &s, true);
    CHECK(s.has_run && s.code == KR_OK);
    CHECK_INT(s.missing, 1);
    says(s.lost, "its pod is gone, and other pods of the Runtime can't be looked for: ");
    says(s.lost, "may not list pods");
}

TEST(a_run_whose_uid_is_out_of_measure_has_no_logs)
{
    static char text[8000];
    struct seen s = { 0 };
    char uid[1200];
    memset(uid, 'u', sizeof uid);
    uid[sizeof uid - 1] = 0;
    snprintf(text, sizeof text, RUNS(RUN("%s", "{\"runtime\":\"bash\",\"code\":\"x\"}")), uid);
    play(&(struct script){ .status = 200, .runs = text }, &s, true);
    CHECK_INT(s.code, KR_TOO_LARGE);
}

TEST(a_server_that_was_there_is_waited_for)
{
    static struct logs_pod p;
    struct seen s = { 0 };
    logs_pod_begin(&p);
    logs_pod_make(&p, "p", true);
    make_run(&p, "r", "\"phase\":\"Running\"," LOGS_ON("p", 1, "5"));
    struct kr_err e = { 0 };
    struct serve *door = serve_new(&p.h.api, &(struct serve_config){ .host = S("127.0.0.1") }, &e);
    CHECK_OR(door);
    uint16_t port = serve_port(door);
    struct kube *k = here_client(&p.h, port);
    struct follow *f = follow_run(k, FOLLOW(&s, "r", .logs = true, .until_end = true), &p.h.rnd);
    here_until_is(&p.h, &s.outputs, 2);
    serve_free(door);
    for (int i = 0; i < 4000 && s.troubles < 8; i++) {
        here_run(&p.h, 2000);
        here_skip(&p.h, 100000);
    }
    CHECK(s.troubles >= 8 && !s.missing && !s.over);          /* it was there: it is waited for */
    door = serve_new(&p.h.api, &(struct serve_config){ .host = S("127.0.0.1"), .port = port }, &e);
    CHECK_OR(door);
    here_until_is(&p.h, &p.calls, 2);             /* and so is what it wrote */
    here_run(&p.h, 1000);
    CHECK_INT(s.outputs, 2);
    follow_stop(f);
    kube_free(k);
    serve_free(door);
    buf_free(&s.out);
    buf_free(&s.err);
    logs_pod_end(&p);
}
