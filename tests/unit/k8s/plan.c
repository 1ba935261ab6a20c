/* SPDX-License-Identifier: Apache-2.0 */
#include "k8s/plan.h"
#include "tests/kit/here.h"
#include "tests/kit/test.h"
#include <stdio.h>
#include <sys/mman.h>

TEST(a_plan_is_told_a_line_an_operation)
{
    struct plan p = { 0 };
    AUTO_BUF struct buf b = { .max = 4096 };
    plan_add(&p, PLAN_CREATE, &kube_pods, S("ns"), S("a"))->body = S("{\"x\":1}");
    struct plan_op *op = plan_add(&p, PLAN_MERGE_PATCH, &kube_runs, S("ns"), S("b"));
    op->sub = "status";
    op->body = S("{}");
    op->why = "because";
    plan_add(&p, PLAN_DELETE, &kube_namespaces, S(""), S("c"))->uid = S("u-1");
    p.look_again_us = 1767225600000000;
    plan_print(&p, &b);
    CHECK_STR(buf_view(&b), S("create pods ns/a {\"x\":1}\nmerge-patch runs/status ns/b {}  # because\n"
                              "delete namespaces c if uid=u-1\nlook again at 2026-01-01T00:00:00.000000Z\n"));
    plan_free(&p);
    CHECK(!p.n && !p.ops);
}

#define MAP(name) S("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"" name "\"}}")

struct end { bool over, failed; char msg[512]; };
static void ended(void *ctx, const struct kr_err *e)
{
    struct end *end = ctx;
    *end = (struct end){ .over = true, .failed = e };
    snprintf(end->msg, sizeof end->msg, "%s", e ? e->msg : "");
}

static struct plan_op *create(struct plan *p, struct str name, struct str body)
{
    struct plan_op *op = plan_add(p, PLAN_CREATE, &kube_configmaps, S("default"), name);
    op->body = body;
    return op;
}

static void carry_out(struct here *h, struct plan *p, struct end *end)
{
    *end = (struct end){ 0 };
    plan_execute(h->kube, p, ended, end);
    CHECK(!end->over && !p->n);                   /* never from inside; taken over */
    here_until(h, &end->over);
}

static bool is_there(struct here *h, struct str name)
{
    struct here_answer r = { 0 };
    kube_get(h->kube, &kube_configmaps, S("default"), name, here_into(&r));
    here_until(h, &r.over);
    here_answer_free(&r);
    return r.status == 200;
}

TEST(a_plan_that_needs_too_much_memory_is_not_carried_out)
{
    struct here h;
    struct plan p = { 0 };
    struct end end;
    void *zeros = mmap(NULL, LIMIT_PLAN_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK_OR(zeros != MAP_FAILED);
    here_init(&h);
    create(&p, S("fits"), MAP("fits"))->beside = true;
    struct plan_op *op = plan_add(&p, PLAN_CREATE, &kube_configmaps, S("default"), S("large"));
    op->body = arena_str(&p.arena, (struct str){ zeros, LIMIT_PLAN_BYTES });
    CHECK_INT(op->body.n, 0);
    carry_out(&h, &p, &end);
    CHECK(end.failed);
    CHECK_Z(end.msg, "the operations need more than 67108864 bytes");
    CHECK(!is_there(&h, S("fits")));
    here_done(&h);
}

TEST(operations_are_carried_out_in_order_until_one_is_refused)
{
    struct here h;
    struct plan p = { 0 };
    struct end end;
    here_init(&h);
    carry_out(&h, &p, &end);                      /* nothing to do is done */
    CHECK(!end.failed);
    create(&p, S("a"), MAP("a"));
    plan_add(&p, PLAN_MERGE_PATCH, &kube_configmaps, S("default"), S("a"))->body = S("{\"data\":{\"x\":\"1\"}}");
    plan_add(&p, PLAN_JSON_PATCH, &kube_configmaps, S("default"), S("a"))->body = S("[{\"op\":\"test\",\"path\":\"/data/x\",\"value\":\"1\"}]");
    carry_out(&h, &p, &end);
    CHECK(!end.failed);
    create(&p, S("a"), MAP("a"));
    create(&p, S("b"), MAP("b"));
    carry_out(&h, &p, &end);
    CHECK(end.failed);
    CHECK(str_starts(str_of(end.msg), S("create configmaps \"a\": ")));
    CHECK(!is_there(&h, S("b")));
    create(&p, S("a"), MAP("a"))->exists_is_fine = true;
    plan_add(&p, PLAN_DELETE, &kube_configmaps, S("default"), S("gone"))->missing_is_fine = true;
    create(&p, S("b"), MAP("b"));
    carry_out(&h, &p, &end);
    CHECK(!end.failed);
    CHECK(is_there(&h, S("b")));
    here_done(&h);
}

TEST(operations_marked_beside_are_sent_together_and_the_others_wait)
{
    enum { N = 300 };                             /* more than are under way at a time */
    struct here h;
    struct plan p = { 0 };
    struct end end;
    char names[N][16], bodies[N][96];
    here_init(&h);
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i);
        snprintf(bodies[i], sizeof bodies[i], "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"m%d\"}}", i);
        create(&p, str_of(names[i]), str_of(bodies[i]))->beside = true;
    }
    plan_add(&p, PLAN_DELETE, &kube_configmaps, S("default"), S("m299"));      /* is there only when it waited */
    carry_out(&h, &p, &end);
    CHECK(!end.failed);
    CHECK(is_there(&h, S("m298")) && !is_there(&h, S("m299")));
    create(&p, S("m1"), MAP("m1"))->beside = true;                             /* is refused; the one beside it isn't */
    create(&p, S("n1"), MAP("n1"))->beside = true;
    create(&p, S("n2"), MAP("n2"));
    carry_out(&h, &p, &end);
    CHECK(end.failed && str_starts(str_of(end.msg), S("create configmaps \"m1\": ")));
    CHECK(is_there(&h, S("n1")) && !is_there(&h, S("n2")));
    here_done(&h);
}

#define BAD_MAP(name) S("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"" name "\",\"labels\":{\"a b\":\"c\"}}}")

TEST(a_refused_operation_does_not_stop_those_beside_it)
{
    struct here h;
    struct plan p = { 0 };
    struct end end;
    here_init(&h);
    for (int i = 0; i < 40; i++)                  /* all of them are answered before the last is sent */
        create(&p, S("bad"), BAD_MAP("bad"))->beside = true;
    create(&p, S("good"), MAP("good"))->beside = true;
    create(&p, S("after"), MAP("after"));
    create(&p, S("last"), MAP("last"))->beside = true;
    carry_out(&h, &p, &end);
    CHECK(end.failed && str_starts(str_of(end.msg), S("create configmaps \"bad\": ")));
    CHECK(is_there(&h, S("good")) && !is_there(&h, S("after")) && !is_there(&h, S("last")));
    here_done(&h);
}

TEST(advice_that_is_refused_keeps_nothing_from_being_done)
{
    static const char *const patches[] = { "{\"metadata\":{\"labels\":{\"a b\":\"c\"}}}", "{\"metadata\":{\"resourceVersion\":\"1\"}}" };      /* 422, 409 */
    struct here h;
    struct plan p = { 0 };
    struct end end;
    here_init(&h);
    for (size_t i = 0; i < LEN(patches); i++) {
        struct plan_op *op = plan_add(&p, PLAN_MERGE_PATCH, &kube_namespaces, S(""), S("default"));
        op->body = str_of(patches[i]);
        op->beside = op->refused_is_fine = true;
    }
    create(&p, S("after"), MAP("after"));
    carry_out(&h, &p, &end);
    CHECK(!end.failed && is_there(&h, S("after")));
    here_done(&h);
}

/* The ConfigMap's finalizer keeps the namespace, which takes nothing new. */
static void end_namespace(struct here *h)
{
    struct plan p = { 0 };
    struct end end;
    plan_add(&p, PLAN_CREATE, &kube_namespaces, S(""), S("ends"))->body = S("{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"ends\"}}");
    plan_add(&p, PLAN_CREATE, &kube_configmaps, S("ends"), S("a"))->body =
        S("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\",\"finalizers\":[\"example.com/stay\"]}}");
    plan_add(&p, PLAN_DELETE, &kube_namespaces, S(""), S("ends"));
    carry_out(h, &p, &end);
    CHECK_Z(end.msg, "");
}

TEST(creates_end_when_many_are_forbidden_and_the_rest_of_the_plan_does_not)
{
    struct here h;
    struct plan p = { 0 };
    struct end end;
    here_init(&h);
    end_namespace(&h);
    for (int i = 0; i < 40; i++) {
        struct plan_op *op = plan_add(&p, PLAN_CREATE, &kube_configmaps, S("ends"), S("b"));
        op->body = MAP("b");
        op->beside = true;
    }
    create(&p, S("late"), MAP("late"))->beside = true;
    struct plan_op *op = plan_add(&p, PLAN_MERGE_PATCH, &kube_namespaces, S(""), S("default"));
    op->body = S("{\"metadata\":{\"labels\":{\"patched\":\"yes\"}}}");
    op->beside = true;
    carry_out(&h, &p, &end);
    CHECK(end.failed && str_find(str_of(end.msg), S("being terminated")) >= 0);
    CHECK(!is_there(&h, S("late")));
    struct here_answer r = { 0 };
    kube_get(h.kube, &kube_namespaces, S(""), S("default"), here_into(&r));
    here_until(&h, &r.over);
    CHECK(str_find(buf_view(&r.body), S("\"patched\":\"yes\"")) >= 0);
    here_answer_free(&r);
    here_done(&h);
}

static bool leads_no_more(void *asked)
{
    ++*(int *)asked;
    return false;
}

TEST(what_is_no_refusal_ends_the_plan)
{
    struct here h;
    struct plan p = { 0 };
    struct end end;
    int asked = 0;
    here_init(&h);
    kube_fence(h.kube, leads_no_more, &asked);
    for (int i = 0; i < 400; i++)
        create(&p, S("a"), MAP("a"))->beside = true;
    carry_out(&h, &p, &end);
    CHECK(end.failed && asked > 0 && asked < 100);        /* what was under way with the first */
    here_done(&h);
}

TEST(a_stale_operation_ends_the_plan_without_failure_and_an_invalid_one_with)
{
    static const struct { enum plan_verb verb; struct str name, body, uid; bool failed; } rows[] = {
        { PLAN_MERGE_PATCH, { "a", 1 }, { "{\"metadata\":{\"resourceVersion\":\"1\"}}", 36 }, { 0 }, false },
        { PLAN_MERGE_PATCH, { "gone", 4 }, { "{}", 2 }, { 0 }, false },
        { PLAN_JSON_PATCH, { "a", 1 }, { "[{\"op\":\"test\",\"path\":\"/x\",\"value\":1}]", 37 }, { 0 }, false },
        { PLAN_DELETE, { "a", 1 }, { 0 }, { "other", 5 }, false },
        { PLAN_MERGE_PATCH, { "a", 1 }, { "{\"metadata\":{\"labels\":{\"a b\":\"c\"}}}", 35 }, { 0 }, true },
    };
    struct here h;
    struct plan p = { 0 };
    struct end end;
    here_init(&h);
    create(&p, S("a"), MAP("a"));
    carry_out(&h, &p, &end);
    for (size_t i = 0; i < LEN(rows); i++) {
        for (int stale_is_fine = 1; stale_is_fine >= 0; stale_is_fine--) {
            struct plan_op *op = plan_add(&p, rows[i].verb, &kube_configmaps, S("default"), rows[i].name);
            op->body = rows[i].body;
            op->uid = rows[i].uid;
            op->stale_is_fine = stale_is_fine;
            create(&p, S("b"), MAP("b"));
            carry_out(&h, &p, &end);
            if (!CHECK(end.failed == (rows[i].failed || !stale_is_fine)))
                printf("    row %zu: %s\n", i, end.msg);
            CHECK(!is_there(&h, S("b")));         /* either way nothing behind it is carried out */
        }
    }
    here_done(&h);
}
