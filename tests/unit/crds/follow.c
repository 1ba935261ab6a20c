/* SPDX-License-Identifier: Apache-2.0 */
/* follow, follow_flow: against the embedded API server, with nobody who executes anything: statuses are written here. */
#include "crds/follow_flow.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>

struct seen {
    struct here h;
    int changes, children, troubles, ends;
    bool done, gone;
    int exit;
    enum kr_code code;
    char msg[512], trouble[512];
};

static void write_object(struct here *h, const struct kube_resource *r, const char *object)
{
    struct here_answer a = { 0 };
    kube_create(h->kube, r, S("default"), str_of(object), here_into(&a));
    here_until(h, &a.over);
    if (!CHECK_INT(a.status, 201))
        printf("    %s\n", a.msg);
    here_answer_free(&a);
}

static void write_status(struct here *h, const struct kube_resource *r, const char *name, const char *status)
{
    struct here_answer a = { 0 };
    char patch[1024];
    snprintf(patch, sizeof patch, "{\"status\":%s}", status);
    kube_merge_patch(h->kube, r, S("default"), str_of(name), "status", str_of(patch), here_into(&a));
    here_until(h, &a.over);
    if (!CHECK_INT(a.status, 200))
        printf("    %s\n", a.msg);
    here_answer_free(&a);
}

static void drop(struct here *h, const struct kube_resource *r, const char *name)
{
    struct here_answer a = { 0 };
    kube_delete(h->kube, r, S("default"), str_of(name), S(""), 0, here_into(&a));
    here_until(h, &a.over);
    CHECK_INT(a.status, 200);
    here_answer_free(&a);
}

static void on_trouble(void *ctx, const struct kr_err *e)
{
    struct seen *s = ctx;
    s->troubles++;
    snprintf(s->trouble, sizeof s->trouble, "%s", e->msg);
}

static void over(struct seen *s, bool there, int status, const struct kr_err *e)
{
    s->ends++;
    s->done = true;
    s->gone = !there;
    s->exit = status;
    s->code = e ? e->code : KR_OK;
    snprintf(s->msg, sizeof s->msg, "%s", e ? e->msg : "");
}

/* ---- a Run --------------------------------------------------------------------------------------------------------- */

#define KEY "\"accessKey\":\"0123456789abcdef0123456789abcdef\""
#define RUN_HEAD "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Run\",\"metadata\":{\"name\":\"r\"},\"spec\":{\"runtime\":\"bash\",\"args\":[\"true\"]}}"

static void run_changed(void *ctx, const struct run *r)
{
    (void)r;
    ((struct seen *)ctx)->changes++;
}
static void run_output(void *ctx, int stream, struct str bytes)
{
    (void)ctx, (void)stream, (void)bytes;
    CHECK(false);                                 /* nobody writes any */
}
static void run_done(void *ctx, const struct run *r, const struct kr_err *e) { over(ctx, r, e ? failure_exit_status(e) : r ? run_exit_status(r) : EXIT_LOST, e); }

static struct follow *watch_run(struct seen *s, struct follow_config c)
{
    c.ns = S("default");
    c.name = S("r");
    c.changed = run_changed;
    c.output = run_output;
    c.trouble = c.missing = on_trouble;
    c.done = run_done;
    c.ctx = s;
    return follow_run(s->h.kube, &c, &s->h.rnd);
}

TEST(each_end_of_a_run_has_its_exit_status)
{
    static const struct { const char *status; int exit; } rows[] = {
        { "{\"phase\":\"Succeeded\"}", 0 },
        { "{\"phase\":\"Failed\",\"exitCode\":7}", 7 },
        { "{\"phase\":\"Failed\",\"exitCode\":255}", 255 },
        { "{\"phase\":\"Failed\",\"exitCode\":0}", EXIT_LOST },        /* its outputs could not be had, say: 0 would say that all is well */
        { "{\"phase\":\"Failed\",\"exitCode\":256}", EXIT_LOST },
        { "{\"phase\":\"Failed\",\"reason\":\"ExecutionLost\"}", EXIT_LOST },
        { "{\"phase\":\"Timeout\",\"exitCode\":7}", EXIT_TIMEOUT },
        { "{\"phase\":\"Cancelled\"}", EXIT_CANCELLED },
    };
    struct seen s = { 0 };
    here_init(&s.h);
    for (size_t i = 0; i < LEN(rows); i++) {
        write_object(&s.h, &kube_runs, RUN_HEAD);
        s.done = false;
        s.changes = 0;
        struct follow *f = watch_run(&s, (struct follow_config){ .until_end = true });
        here_until_is(&s.h, &s.changes, 1);
        write_status(&s.h, &kube_runs, "r", "{\"phase\":\"Pending\"}");
        here_until_is(&s.h, &s.changes, 2);
        CHECK(!s.done);
        write_status(&s.h, &kube_runs, "r", rows[i].status);
        here_until(&s.h, &s.done);
        if (!CHECK_INT(s.exit, rows[i].exit) || !CHECK_INT(s.ends, (int)i + 1))
            printf("    %s\n", rows[i].status);
        follow_stop(f);
        drop(&s.h, &kube_runs, "r");
    }
    CHECK_INT(s.troubles, 0);
    here_done(&s.h);
}

TEST(a_run_that_is_not_there_or_goes)
{
    struct seen s = { 0 };
    here_init(&s.h);
    struct follow *f = watch_run(&s, (struct follow_config){ .until_end = true });
    here_until(&s.h, &s.done);
    CHECK(s.code == KR_NOT_FOUND && s.exit == EXIT_OTHER && s.gone);
    CHECK_Z(s.msg, "runs.kruntimes.io \"r\" not found");
    follow_stop(f);
    write_object(&s.h, &kube_runs, RUN_HEAD);
    s.done = false;
    f = watch_run(&s, (struct follow_config){ .until_end = true });
    here_until_is(&s.h, &s.changes, 1);
    drop(&s.h, &kube_runs, "r");
    here_until(&s.h, &s.done);
    CHECK(s.code == KR_OK && s.exit == EXIT_LOST && s.gone);
    follow_stop(f);
    follow_stop(NULL);
    here_done(&s.h);
}

TEST(the_attempt_before_the_last_may_not_exist)
{
    struct seen s = { 0 };
    here_init(&s.h);
    write_object(&s.h, &kube_runs, RUN_HEAD);
    write_status(&s.h, &kube_runs, "r", "{\"phase\":\"Running\",\"attempt\":1," KEY "}");
    struct follow *f = watch_run(&s, (struct follow_config){ .logs = true, .previous = true });
    here_until(&s.h, &s.done);
    CHECK_INT(s.code, KR_NOT_FOUND);
    CHECK_Z(s.msg, "run/r has had no attempt before its last one");
    follow_stop(f);
    here_done(&s.h);
}

/* The Run's pod has gone; its output is in the Runtime's store, if another pod of the Runtime is there to look. */
TEST(logs_of_a_pod_that_is_gone)
{
    static const char *const pods[] = {
        NULL,
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"other\",\"labels\":{\"kruntimes.io/runtime\":\"bash\"}},"
        "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"x\"}]}}",
    };
    struct seen s = { 0 };
    here_init(&s.h);
    write_object(&s.h, &kube_runs, RUN_HEAD);
    write_status(&s.h, &kube_runs, "r", "{\"phase\":\"Succeeded\",\"attempt\":1," KEY ",\"assignedPod\":\"gone\",\"assignedPodUID\":\"u\"}");
    for (size_t i = 0; i < LEN(pods); i++) {      /* one that isn't ready is as none */
        if (pods[i])
            write_object(&s.h, &kube_pods, pods[i]);
        s.done = false;
        s.troubles = 0;
        struct follow *f = watch_run(&s, (struct follow_config){ .logs = true });
        here_until(&s.h, &s.done);
        CHECK_INT(s.exit, 0);
        CHECK_INT(s.troubles, 1);
        CHECK_Z(s.trouble, "the logs of attempt 1: its pod is gone, and no other pod of the Runtime is there to look into the store");
        follow_stop(f);
    }
    write_status(&s.h, &kube_pods, "other", "{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}");
    s.done = false;
    s.troubles = 0;
    struct follow *f = watch_run(&s, (struct follow_config){ .logs = true });
    while (!s.done) {                             /* it is ready, and nothing answers at its port: tried again, and told once */
        here_skip(&s.h, 1000000);
        here_run(&s.h, 1000);
    }
    CHECK_INT(s.exit, 0);
    CHECK_INT(s.troubles, 1);
    CHECK(str_starts(str_of(s.trouble), S("the logs of attempt 1: ")));
    follow_stop(f);
    here_done(&s.h);
}

/* ---- a Workflow ---------------------------------------------------------------------------------------------------- */

#define FLOW "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Workflow\",\"metadata\":{\"name\":\"w\"},\"spec\":{\"jobs\":{" \
             "\"a\":{\"runs-on\":\"bash\",\"steps\":[{\"name\":\"one\",\"run\":\"true\"}]}," \
             "\"m\":{\"runs-on\":\"bash\",\"strategy\":{\"matrix\":{\"v\":[\"x\",\"y\"]}},\"steps\":[{\"name\":\"one\",\"run\":\"true\"}]}}}}"

static void flow_changed(void *ctx, const struct workflow *w)
{
    (void)w;
    ((struct seen *)ctx)->changes++;
}
static void flow_child(void *ctx, const struct run *r)
{
    (void)r;
    ((struct seen *)ctx)->children++;
}
static void flow_line(void *ctx, struct str label, int stream, struct str line)
{
    (void)ctx, (void)label, (void)stream, (void)line;
    CHECK(false);
}
static void flow_done(void *ctx, const struct workflow *w, int status, const struct kr_err *e) { over(ctx, w, status, e); }

static struct flow_follow *watch_flow(struct seen *s, struct flow_follow_config c)
{
    s->done = false;
    s->changes = s->children = s->troubles = 0;
    c.ns = S("default");
    c.name = S("w");
    c.changed = flow_changed;
    c.child = flow_child;
    c.line = flow_line;
    c.trouble = on_trouble;
    c.done = flow_done;
    c.ctx = s;
    return follow_flow(s->h.kube, &c, &s->h.rnd);
}

static void read_uid(struct seen *s, char uid[64])
{
    struct here_answer a = { 0 };
    AUTO_BUF struct buf path = { .max = 4096 };
    AUTO_ARENA struct arena arena = { .limit = 4096 };
    static const char *const at[] = { "metadata", "uid" };
    kube_path(&path, &kube_workflows, S("default"), S("w"), NULL);
    kube_send(s->h.kube, &(struct kube_request){ .method = "GET", .path = buf_view(&path) }, here_into(&a));
    here_until(&s->h, &a.over);
    snprintf(uid, 64, "%.*s", SFMT(json_str_of(json_find_path(buf_view(&a.body), at, 2), &arena)));
    here_answer_free(&a);
}

/* A child as the controller makes it. */
static void write_child(struct seen *s, const char *name, const char *job, const char *leg, const char *status)
{
    char uid[64], object[1024];
    read_uid(s, uid);
    snprintf(object, sizeof object, "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Run\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"kruntimes.io/workflow-uid\":\"%s\","
             "\"kruntimes.io/job\":\"%s\",\"kruntimes.io/step\":\"one\",\"kruntimes.io/leg\":\"%s\"}},\"spec\":{\"runtime\":\"bash\",\"args\":[\"true\"]}}", name, uid, job, leg);
    write_object(&s->h, &kube_runs, object);
    if (status)
        write_status(&s->h, &kube_runs, name, status);
}

#define LEG(phase, run) "\"phase\":\"" phase "\",\"legs\":[{\"name\":\"0\",\"phase\":\"" phase "\",\"runs\":[{\"step\":\"one\",\"name\":\"" run "\"}]}]"

TEST(each_end_of_a_workflow_has_its_exit_status)
{
    static const struct { const char *status; int exit; } rows[] = {
        { "{\"phase\":\"Succeeded\",\"jobs\":{\"a\":{" LEG("Succeeded", "w-a") "}}}", 0 },
        { "{\"phase\":\"Cancelled\"}", EXIT_CANCELLED },
        { "{\"phase\":\"Failed\",\"reason\":\"InvalidWorkflow\"}", EXIT_USAGE },
        { "{\"phase\":\"Failed\",\"reason\":\"Timeout\"}", EXIT_TIMEOUT },
        { "{\"phase\":\"Failed\",\"reason\":\"StepFailed\"}", EXIT_LOST },
        { "{\"phase\":\"Failed\",\"reason\":\"StepFailed\",\"jobs\":{\"a\":{" LEG("Failed", "w-a") "}}}", 9 },
        { "{\"phase\":\"Failed\",\"reason\":\"StepFailed\",\"jobs\":{\"a\":{" LEG("Failed", "another") "}}}", EXIT_LOST },
        { "{\"phase\":\"Failed\",\"reason\":\"StepFailed\",\"jobs\":{\"a\":{" LEG("Succeeded", "w-a") "}}}", EXIT_LOST },     /* it was let fail */
    };
    struct seen s = { 0 };
    here_init(&s.h);
    for (size_t i = 0; i < 2 * LEN(rows); i++) {
        bool before = i % 2;                      /* the child ends before it is seen; else while it is */
        write_object(&s.h, &kube_workflows, FLOW);
        write_child(&s, "w-a", "a", "0", before ? "{\"phase\":\"Failed\",\"exitCode\":9}" : NULL);
        struct flow_follow *f = watch_flow(&s, (struct flow_follow_config){ .until_end = true, .logs = before });
        here_until_is(&s.h, &s.children, 1);
        if (!before)
            write_status(&s.h, &kube_runs, "w-a", "{\"phase\":\"Failed\",\"exitCode\":9}");
        CHECK(!s.done);
        write_status(&s.h, &kube_workflows, "w", rows[i / 2].status);
        here_until(&s.h, &s.done);
        if (!CHECK_INT(s.exit, rows[i / 2].exit) || !CHECK(!s.gone && s.ends == (int)i + 1 && !s.troubles))
            printf("    %s %s\n", rows[i / 2].status, s.trouble);
        follow_flow_stop(f);
        drop(&s.h, &kube_runs, "w-a");
        drop(&s.h, &kube_workflows, "w");
    }
    here_done(&s.h);
}

TEST(a_workflow_that_is_not_there_or_goes)
{
    struct seen s = { 0 };
    here_init(&s.h);
    struct flow_follow *f = watch_flow(&s, (struct flow_follow_config){ .until_end = true });
    here_until(&s.h, &s.done);
    CHECK(s.code == KR_NOT_FOUND && s.exit == EXIT_OTHER);
    CHECK_Z(s.msg, "workflows.kruntimes.io \"w\" not found");
    follow_flow_stop(f);
    write_object(&s.h, &kube_workflows, FLOW);
    write_child(&s, "w-a", "a", "0", NULL);
    f = watch_flow(&s, (struct flow_follow_config){ .until_end = true });
    here_until_is(&s.h, &s.children, 1);
    drop(&s.h, &kube_runs, "w-a");
    drop(&s.h, &kube_workflows, "w");
    here_until(&s.h, &s.done);
    CHECK(s.code == KR_OK && s.exit == EXIT_LOST && s.gone && s.ends == 2);
    follow_flow_stop(f);
    follow_flow_stop(NULL);
    here_done(&s.h);
}

TEST(what_a_workflow_is_now_is_told_at_once)
{
    struct seen s = { 0 };
    here_init(&s.h);
    write_object(&s.h, &kube_workflows, FLOW);
    write_child(&s, "w-a", "a", "0", NULL);
    struct flow_follow *f = watch_flow(&s, (struct flow_follow_config){ .logs = true });
    here_until(&s.h, &s.done);
    CHECK(s.exit == 0 && !s.gone && s.code == KR_OK);
    CHECK_INT(s.children, 1);
    follow_flow_stop(f);
    here_done(&s.h);
}

/* Children whose logs can't be had: of those alone that are asked for, and with the leg where there are several. */
TEST(trouble_of_a_child_names_its_step)
{
    static const struct { const char *only; int troubles; const char *last; } rows[] = {
        { "", 3, NULL },
        { "a", 1, "a/one: the logs of attempt 1: " },
        { "a/one", 1, "a/one: the logs of attempt 1: " },
        { "a/two", 0, NULL },
        { "m", 2, NULL },
        { "b", 0, NULL },
    };
    static const char over_and_gone[] = "{\"phase\":\"Succeeded\",\"attempt\":1," KEY ",\"assignedPod\":\"gone\",\"assignedPodUID\":\"u\"}";
    struct seen s = { 0 };
    here_init(&s.h);
    write_object(&s.h, &kube_workflows, FLOW);
    write_child(&s, "w-a", "a", "0", over_and_gone);
    write_child(&s, "w-m-0", "m", "0", over_and_gone);
    write_child(&s, "w-m-1", "m", "1", over_and_gone);
    write_status(&s.h, &kube_workflows, "w", "{\"phase\":\"Succeeded\"}");
    for (size_t i = 0; i < LEN(rows); i++) {
        struct flow_follow *f = watch_flow(&s, (struct flow_follow_config){ .logs = true, .until_end = true, .only = str_of(rows[i].only) });
        here_until(&s.h, &s.done);
        CHECK_INT(s.troubles, rows[i].troubles);
        CHECK_INT(s.exit, 0);
        CHECK(!rows[i].last || str_starts(str_of(s.trouble), str_of(rows[i].last)));
        CHECK(!str_is(str_of(rows[i].only), "m") || str_starts(str_of(s.trouble), S("m[0]/one: ")) || str_starts(str_of(s.trouble), S("m[1]/one: ")));
        follow_flow_stop(f);
    }
    here_done(&s.h);
}

/* ---- an API server that is not there ------------------------------------------------------------------------------- */

TEST(a_server_that_nobody_ever_reached_is_given_up)
{
    struct seen s = { 0 };
    here_init(&s.h);
    struct kube *nobody = here_client(&s.h, 1), *own = s.h.kube;
    s.h.kube = nobody;
    struct follow *f = watch_run(&s, (struct follow_config){ .until_end = true });
    while (!s.done) {
        here_skip(&s.h, 1000000);
        here_run(&s.h, 1000);
    }
    CHECK(s.code == KR_UNAVAILABLE && s.exit == EXIT_UNREACHABLE && s.troubles > 0);
    follow_stop(f);
    struct flow_follow *w = watch_flow(&s, (struct flow_follow_config){ .until_end = true });
    here_until_is(&s.h, &s.troubles, 1);          /* it is tried again */
    CHECK(!s.done);
    follow_flow_stop(w);
    kube_free(nobody);
    s.h.kube = own;
    here_done(&s.h);
}

TEST(failures_of_ours_have_exit_statuses)
{
    static const struct { enum kr_code code; int exit; } rows[] = {
        { KR_USAGE, EXIT_USAGE }, { KR_INVALID, EXIT_USAGE }, { KR_BAD_REQUEST, EXIT_USAGE }, { KR_UNAVAILABLE, EXIT_UNREACHABLE },
        { KR_UNAUTHORIZED, EXIT_UNREACHABLE }, { KR_DEADLINE, EXIT_UNREACHABLE }, { KR_FORBIDDEN, EXIT_OTHER }, { KR_NOT_FOUND, EXIT_OTHER },
    };
    for (size_t i = 0; i < LEN(rows); i++)
        CHECK_INT(failure_exit_status(&(struct kr_err){ .code = rows[i].code }), rows[i].exit);
}
