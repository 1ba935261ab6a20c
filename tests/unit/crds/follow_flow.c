/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of children whose pod answers by access key; and an API server that answers as it likes. */
#include "core/json.h"
#include "crds/follow_flow.h"
#include "tests/kit/logs_pod.h"
#include "tests/kit/test.h"
#include <stdio.h>
#include <string.h>

struct seen {
    struct buf lines;                             /* "LABEL STREAM LINE" */
    int changes, children, troubles, dones, exit, longest, nlines;
    bool over, has_flow;
    enum kr_code code;
    char error[600], trouble[600];
};

static void on_changed(void *ctx, const struct workflow *w) { (void)w, ((struct seen *)ctx)->changes++; }
static void on_child(void *ctx, const struct run *r) { (void)r, ((struct seen *)ctx)->children++; }
static void on_line(void *ctx, struct str label, int stream, struct str line)
{
    struct seen *s = ctx;
    s->lines.max = 1 << 20;
    CHECK(line.n && line.p[line.n - 1] == '\n');
    s->longest = (int)line.n > s->longest ? (int)line.n : s->longest;
    s->nlines++;
    buf_fmt(&s->lines, "%.*s %d %.*s", SFMT(label), stream, SFMT(line));
}
static void on_trouble(void *ctx, const struct kr_err *e)
{
    struct seen *s = ctx;
    s->troubles++;
    snprintf(s->trouble, sizeof s->trouble, "%s", e->msg);
}
static void on_done(void *ctx, const struct workflow *w, int exit, const struct kr_err *e)
{
    struct seen *s = ctx;
    s->dones++;
    s->over = true;
    s->has_flow = w;
    s->exit = exit;
    s->code = e ? e->code : KR_OK;
    snprintf(s->error, sizeof s->error, "%s", e ? e->msg : "");
}
#define DEAF(s, n, ...) (&(struct flow_follow_config){ .ns = S("default"), .name = str_of(n), .line = on_line, .done = on_done, .ctx = (s), __VA_ARGS__ })
#define FOLLOW(s, n, ...) DEAF(s, n, .changed = on_changed, .child = on_child, .trouble = on_trouble, __VA_ARGS__)

static void empty(struct seen *s)
{
    buf_free(&s->lines);
    *s = (struct seen){ 0 };
}

static void whole(struct logs_pod *p, struct seen *s, const struct flow_follow_config *c)
{
    empty(s);
    struct flow_follow *f = follow_flow(p->h.kube, c, &p->h.rnd);
    here_until(&p->h, &s->over);
    here_turn(&p->h);
    CHECK_INT(s->dones, 1);
    follow_flow_stop(f);
}

static bool has(const struct buf *b, const char *words)
{
    bool ok = CHECK(str_find(buf_view(b), str_of(words)) >= 0);
    if (!ok)
        printf("    '%.*s' lacks '%s'\n", (int)(b->n < 500 ? b->n : 500), b->p, words);
    return ok;
}
static bool says(const char *text, const char *words)
{
    bool ok = CHECK(str_find(str_of(text), str_of(words)) >= 0);
    if (!ok)
        printf("    '%s' lacks '%s'\n", text, words);
    return ok;
}

#define STEPS "\"steps\":[{\"name\":\"s\",\"run\":\"x\"},{\"name\":\"t\",\"run\":\"x\"}]"
#define JOBS "\"a\":{\"runs-on\":\"bash\"," STEPS "},\"m\":{\"runs-on\":\"bash\",\"strategy\":{\"matrix\":{\"os\":[\"x\"]}}," STEPS "}"

/* A Workflow of jobs "a" and "m", which has a matrix; its uid goes into uid. */
static void make_flow(struct logs_pod *p, const char *name, const char *status, char uid[64])
{
    static const char *const where[] = { "metadata", "uid" };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct here_answer r = { 0 };
    char text[800];
    snprintf(text, sizeof text, "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Workflow\",\"metadata\":{\"name\":\"%s\"},\"spec\":{\"jobs\":{" JOBS "}}}", name);
    logs_pod_create(p, &kube_workflows, text);
    kube_get(p->h.kube, &kube_workflows, S("default"), str_of(name), here_into(&r));
    here_until(&p->h, &r.over);
    snprintf(uid, 64, "%.*s", SFMT(json_str_of(json_find_path(buf_view(&r.body), where, 2), &a)));
    CHECK(*uid);
    here_answer_free(&r);
    if (status)
        logs_pod_status(p, &kube_workflows, name, status);
}

static void make_child(struct logs_pod *p, const char *uid, const char *name, const char *labels, const char *status)
{
    char text[600];
    snprintf(text, sizeof text, "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Run\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"kruntimes.io/workflow-uid\":\"%s\",%s}},"
             "\"spec\":{\"runtime\":\"bash\",\"code\":\"true\"}}", name, uid, labels);
    logs_pod_create(p, &kube_runs, text);
    logs_pod_status(p, &kube_runs, name, status);
}
#define LABELS(job, step) "\"kruntimes.io/job\":\"" job "\",\"kruntimes.io/step\":\"" step "\",\"kruntimes.io/leg\":\"0\""

TEST(lines_come_with_the_step_that_wrote_them)
{
    static struct logs_pod p;
    static struct seen s;
    char uid[64];
    logs_pod_begin(&p);
    logs_pod_make(&p, "p", true);
    make_flow(&p, "w", NULL, uid);
    make_child(&p, uid, "r1", LABELS("a", "s"), "\"phase\":\"Succeeded\"," LOGS_ON("p", 1, "0"));
    make_child(&p, uid, "r2", LABELS("a", "t"), "\"phase\":\"Succeeded\"," LOGS_ON("p", 1, "1"));
    make_child(&p, uid, "r3", LABELS("m", "t"), "\"phase\":\"Succeeded\"," LOGS_ON("p", 1, "6"));
    struct flow_follow *f = follow_flow(p.h.kube, FOLLOW(&s, "w", .logs = true, .until_end = true), &p.h.rnd);
    here_until_is(&p.h, &s.nlines, 4);
    here_until_is(&p.h, &s.troubles, 1);
    CHECK(!s.over);
    logs_pod_status(&p, &kube_workflows, "w", "\"phase\":\"Succeeded\"");
    here_until(&p.h, &s.over);
    CHECK(s.has_flow && s.code == KR_OK && s.exit == 0);
    has(&s.lines, "a/s 1 r1 1\n");
    has(&s.lines, "a/s 2 err\n");
    has(&s.lines, "m[0]/t 1 bbb");
    says(s.trouble, "a/t: the logs of attempt 1: says the pod");
    size_t bare = 0;
    for (size_t i = 0; i < s.lines.n; i++)
        bare += s.lines.p[i] == 'b';
    CHECK_INT(bare, 20000);                       /* nothing is lost where a line is cut */
    CHECK(s.longest <= 16384);
    follow_flow_stop(f);
    follow_flow_stop(NULL);
    CHECK_INT(s.dones, 1);
    whole(&p, &s, DEAF(&s, "w", .logs = true, .until_end = true));      /* and nobody wants to hear of the trouble */
    CHECK(s.exit == 0 && s.nlines == 4);
    empty(&s);
    logs_pod_end(&p);
}

TEST(lines_of_one_job_or_step_alone)
{
    static const struct { const char *only; bool r1, r2, r3; } T[] = {
        { "", true, true, true }, { "a", true, true, false }, { "a/t", false, true, false }, { "m/t", false, false, true }, { "m/s", false, false, false }, { "b", false, false, false },
    };
    static struct logs_pod p;
    static struct seen s;
    char uid[64];
    logs_pod_begin(&p);
    logs_pod_make(&p, "p", true);
    make_flow(&p, "w", "\"phase\":\"Running\"", uid);
    make_child(&p, uid, "r1", LABELS("a", "s"), "\"phase\":\"Succeeded\"," LOGS_ON("p", 1, "0"));
    make_child(&p, uid, "r2", LABELS("a", "t"), "\"phase\":\"Succeeded\"," LOGS_ON("p", 1, "0"));
    make_child(&p, uid, "r3", LABELS("m", "t"), "\"phase\":\"Running\"," LOGS_ON("p", 1, "0"));
    for (size_t i = 0; i < LEN(T); i++) {
        whole(&p, &s, FOLLOW(&s, "w", .logs = true, .only = str_of(T[i].only)));
        CHECK(s.code == KR_OK && s.exit == 0 && s.children == 3);
        CHECK((str_find(buf_view(&s.lines), S("a/s 1 r1 1\n")) >= 0) == T[i].r1);
        CHECK((str_find(buf_view(&s.lines), S("a/t 1 r2 1\n")) >= 0) == T[i].r2);
        CHECK((str_find(buf_view(&s.lines), S("m[0]/t 1 r3 1\n")) >= 0) == T[i].r3);
    }
    empty(&s);
    logs_pod_end(&p);
}

TEST(of_very_many_children_some_are_read_at_a_time)
{
    static struct logs_pod p;
    static struct seen s;
    char uid[64], name[16], labels[200];
    logs_pod_begin(&p);
    logs_pod_make(&p, "p", true);
    make_flow(&p, "w", "\"phase\":\"Succeeded\"", uid);
    for (int i = 0; i < 36; i++) {
        snprintf(name, sizeof name, "r%d", i);
        snprintf(labels, sizeof labels, "\"kruntimes.io/job\":\"a\",\"kruntimes.io/step\":\"s%d\"", i);
        make_child(&p, uid, name, labels, "\"phase\":\"Succeeded\"," LOGS_ON("p", 1, "5"));
    }
    struct flow_follow *f = follow_flow(p.h.kube, FOLLOW(&s, "w", .logs = true, .until_end = true), &p.h.rnd);
    here_until_is(&p.h, &p.open, 32);
    CHECK(!s.over);
    logs_pod_let_go(&p);
    here_until_is(&p.h, &p.calls, 36);
    here_until_is(&p.h, &p.open, 4);
    logs_pod_let_go(&p);
    here_until(&p.h, &s.over);
    CHECK_INT(p.most, 32);
    CHECK_INT(s.nlines, 72);
    follow_flow_stop(f);
    empty(&s);
    logs_pod_end(&p);
}

/* ---- a server that answers as it likes ----------------------------------------------------------------------------------- */

/* child: what is answered about one child; NULL: what children write isn't wanted. */
struct script { struct here h; struct httpd *d; const char *flows, *children, *child; };
#define NONE ((struct http_fields){ 0 })
#define LIST(kind, items) "{\"kind\":\"" kind "List\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[" items "]}"
#define FLOW(phase) LIST("Workflow", "{\"metadata\":{\"namespace\":\"default\",\"name\":\"w\",\"uid\":\"u\",\"resourceVersion\":\"1\"},\"spec\":{\"jobs\":{" JOBS "}},\"status\":{\"phase\":\"" phase "\"}}")
#define CHILD "{\"metadata\":{\"namespace\":\"default\",\"name\":\"r\",\"resourceVersion\":\"1\",\"labels\":{" LABELS("a", "s") "}},\"spec\":{\"runtime\":\"bash\",\"code\":\"x\"},\"status\":{\"phase\":\"Succeeded\"}}"
#define REFUSED(what) "{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\",\"message\":\"may not " what "\"}"

static void on_begin(struct hreq *r, void *ctx) { hreq_set_user(r, ctx); }
static void on_data(struct hreq *r, struct str bytes) { (void)r, (void)bytes; }
static void on_over(struct hreq *r) { (void)r; }
static void on_request(struct hreq *r)
{
    struct script *s = hreq_user(r);
    const char *text = str_find(hreq_path(r), S("/workflows")) >= 0 ? s->flows : str_find(hreq_path(r), S("labelSelector")) >= 0 ? s->children : s->child;
    if (str_find(hreq_path(r), S("watch=true")) >= 0)
        hreq_start(r, 200, NONE);
    else
        hreq_respond(r, str_find(str_of(text), S("\"code\":403")) >= 0 ? 403 : 200, NONE, str_of(text));
}

static void play(struct script *s, struct seen *v, bool until_end, bool hears)
{
    struct kr_err e = { 0 };
    empty(v);
    here_loop(&s->h);
    s->d = httpd_new(s->h.loop, &(struct httpd_config){ .host = S("127.0.0.1"), .user = { on_begin, on_data, on_request, NULL, on_over, s } }, &e);
    CHECK_OR(s->d);
    struct kube *k = here_client(&s->h, httpd_port(s->d));
    struct flow_follow *f = follow_flow(k, hears ? FOLLOW(v, "w", .logs = s->child, .until_end = until_end) : DEAF(v, "w", .logs = s->child, .until_end = until_end), &s->h.rnd);
    here_until(&s->h, &v->over);
    here_turn(&s->h);
    CHECK_INT(v->dones, 1);
    follow_flow_stop(f);
    kube_free(k);
    httpd_free(s->d);
    loop_free(s->h.loop);
}

TEST(what_the_server_refuses_is_told)
{
    static struct seen s;
    play(&(struct script){ .flows = REFUSED("list workflows") }, &s, true, true);
    CHECK(s.code == KR_FORBIDDEN && !s.has_flow);
    says(s.error, "may not list workflows");
    play(&(struct script){ .flows = LIST("Workflow", "{\"metadata\":{\"namespace\":\"default\",\"name\":\"w\"},\"spec\":5}") }, &s, true, true);
    CHECK(s.code != KR_OK && !s.has_flow);
    says(s.error, "spec");
    /* Children are what is to be read: without a list of them nothing was. With a watch on them most likely all was. */
    play(&(struct script){ .flows = FLOW("Running"), .children = REFUSED("list children") }, &s, false, true);
    CHECK_INT(s.code, KR_FORBIDDEN);
    CHECK_INT(s.exit, EXIT_OTHER);
    says(s.error, "may not list children");
    play(&(struct script){ .flows = FLOW("Cancelled"), .children = REFUSED("list children") }, &s, true, true);
    CHECK(s.code == KR_OK && s.has_flow && s.troubles == 1);
    CHECK_INT(s.exit, EXIT_CANCELLED);
    says(s.trouble, "may not list children");
    play(&(struct script){ .flows = FLOW("Cancelled"), .children = REFUSED("list children") }, &s, true, false);
    CHECK_INT(s.exit, EXIT_CANCELLED);
    play(&(struct script){ .flows = FLOW("Succeeded"), .children = LIST("Run", CHILD), .child = REFUSED("look at a child") }, &s, false, true);
    CHECK(s.code == KR_OK && s.exit == 0 && s.troubles == 1);
    says(s.trouble, "may not look at a child");
    play(&(struct script){ .flows = FLOW("Succeeded"), .children = LIST("Run", "{\"spec\":5}," CHILD), .child = LIST("Run", CHILD) }, &s, false, true);
    CHECK(s.code == KR_OK && s.exit == 0 && !s.troubles);      /* what is no Run is passed over */
    CHECK_INT(s.children, 1);
    play(&(struct script){ .flows = FLOW("Succeeded"), .children = "{\"items\":5}" }, &s, false, true);
    CHECK(s.code == KR_OK && !s.children);
}

TEST(a_server_that_never_answers_is_given_up)
{
    static struct seen s;
    struct here h;
    here_loop(&h);
    struct kube *k = here_client(&h, 1);
    struct flow_follow *f = follow_flow(k, FOLLOW(&s, "w", .until_end = true), &h.rnd);
    for (int i = 0; i < 2000 && !s.over; i++) {
        here_run(&h, 2000);
        here_skip(&h, 100000);
    }
    CHECK(s.over && s.code == KR_UNAVAILABLE && !s.has_flow);
    CHECK_INT(s.exit, EXIT_UNREACHABLE);
    CHECK_INT(s.troubles, FOLLOW_TRIES - 1);
    follow_flow_stop(f);
    kube_free(k);
    loop_free(h.loop);
}

TEST(the_exit_status_is_that_of_the_step_that_failed_it)
{
#define STEP(name, forgives) "{\"name\":\"" name "\",\"run\":\"x\",\"continueOnError\":" forgives "}"
#define JOB(forgives, step_forgives) "{\"runs-on\":\"bash\",\"continueOnError\":" forgives ",\"steps\":[" STEP("s", step_forgives) "," STEP("t", "false") "]}"
#define RUNS(job) "\"runs\":[{\"step\":\"s\",\"name\":\"" job "-s\"},{\"step\":\"t\",\"name\":\"" job "-t\"}]"
#define BECAME(job, phase, leg) "\"" job "\":{\"phase\":\"" phase "\",\"legs\":[{\"name\":\"\",\"phase\":\"" leg "\"," RUNS(job) "}]}"
#define ENDED(jobs, status) LIST("Workflow", "{\"metadata\":{\"namespace\":\"default\",\"name\":\"w\",\"uid\":\"u\",\"resourceVersion\":\"1\"}," \
    "\"spec\":{\"jobs\":{" jobs "}},\"status\":{\"phase\":\"Failed\",\"jobs\":{" status "}}}")
#define EXITED(name, code) "{\"metadata\":{\"namespace\":\"default\",\"name\":\"" name "\",\"resourceVersion\":\"1\"},\"spec\":{\"runtime\":\"bash\",\"code\":\"x\"}," \
    "\"status\":{\"phase\":\"Failed\",\"reason\":\"ExitCode\",\"exitCode\":" code "}}"
#define PLAIN "\"a\":" JOB("false", "false") ",\"b\":" JOB("false", "false")
    static const struct { const char *flow; int exit; } T[] = {
        { ENDED(PLAIN, BECAME("a", "Failed", "Failed") "," BECAME("b", "Failed", "Failed")), 3 },
        { ENDED("\"a\":" JOB("false", "true"), BECAME("a", "Failed", "Failed")), 4 },
        { ENDED("\"a\":" JOB("true", "false") ",\"b\":" JOB("false", "false"), BECAME("a", "Failed", "Failed") "," BECAME("b", "Failed", "Failed")), 5 },
        { ENDED(PLAIN, BECAME("a", "Succeeded", "Succeeded") "," BECAME("b", "Failed", "Failed")), 5 },
        { ENDED(PLAIN, BECAME("a", "Failed", "Cancelled") "," BECAME("b", "Failed", "Failed")), 5 },
        { ENDED(PLAIN, BECAME("a", "Cancelled", "Failed")), EXIT_LOST },
    };
    static struct seen s;
    for (size_t i = 0; i < LEN(T); i++) {         /* the last one comes first: nothing goes by the order in which they arrive */
        play(&(struct script){ .flows = T[i].flow, .children = LIST("Run", EXITED("b-t", "6") "," EXITED("b-s", "5") "," EXITED("a-t", "4") "," EXITED("a-s", "3")) }, &s, true, true);
        CHECK(s.code == KR_OK && s.children >= 4);
        CHECK_INT(s.exit, T[i].exit);
    }
}
