/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stories: tests/golden/plans/controller/NAME.in is a YAML map of what is known (`what` says which function is asked), NAME.plan
 * what is to be done, bodies as YAML. A runtime story with `again: true` shows the plan of a second look, after its objects
 * were made as the first look wanted; `gone` lists those of them that somebody has deleted since.
 */
#include "applets/controller/controller.h"
#include "core/clock.h"
#include "core/yaml.h"
#include "tests/kit/test.h"
#include <dirent.h>
#include <stdio.h>

struct story { struct json *in; struct arena a; struct buf out; int64_t now_us; };

static struct str text(struct story *s, const char *key)
{
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    const struct json *j = json_get(s->in, key);
    if (!j)
        return (struct str){ 0 };
    json_print(&b, j);
    return arena_str(&s->a, buf_view(&b));
}

static int64_t moment(struct story *s, const char *key)
{
    int64_t us = 0;
    struct str t = json_string(json_get(s->in, key));
    CHECK(!t.n || time_parse(t, &us));
    return us;
}

static int64_t number(struct story *s, const char *key)
{
    int64_t n = 0;
    json_int(json_get(s->in, key), &n);
    return n;
}

static void show_body(struct story *s, struct str body)
{
    AUTO_BUF struct buf yaml = { .max = 1 << 20 };
    struct kr_err e = { 0 };
    struct json *j = json_parse(&s->a, body, &e);
    CHECK_OR(j);
    yaml_print(&yaml, j);
    for (struct str rest = buf_view(&yaml); rest.n;) {
        struct str line = str_cut(&rest, '\n');
        buf_fmt(&s->out, "    %.*s\n", SFMT(line));
    }
}

static void show(struct story *s, const struct plan *p, int rc, const struct kr_err *e)
{
    if (rc < 0)
        buf_fmt(&s->out, "error: %s\n", e->msg);
    for (size_t i = 0; i < p->n; i++) {
        const struct plan_op *op = &p->ops[i];
        buf_fmt(&s->out, "%s %s%s%s %.*s/%.*s%s%.*s%s%s\n", plan_verbs[op->verb], op->resource->plural, op->sub ? "/" : "", op->sub ? op->sub : "", SFMT(op->ns),
                SFMT(op->name), op->uid.n ? " if uid " : "", SFMT(op->uid), op->why ? "  # " : "", op->why ? op->why : "");
        if (op->body.n)
            show_body(s, op->body);
    }
    if (p->look_again_us) {
        char at[TIME_TEXT];
        time_print(at, p->look_again_us);
        buf_fmt(&s->out, "look again at %s\n", at);
    }
    if (rc == 0 && !p->n && !p->look_again_us)
        buf_lit(&s->out, "nothing\n");
}

/* What a create made, as the next look sees it. */
static struct str made(struct story *s, const struct plan *p, const struct kube_resource *r, struct str known)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->ops[i].verb == PLAN_APPLY && p->ops[i].resource == r)
            return arena_str(&s->a, p->ops[i].body);
    return known;
}

static struct count_map counts(struct story *s, const char *key)
{
    struct count_map m = { .v = arena_alloc(&s->a, 16 * sizeof *m.v) };
    for (struct json *j = json_first(json_get(s->in, key)); j; j = json_next(j)) {
        m.v[m.n].key = json_key(j);
        json_int(j, &m.v[m.n++].value);
    }
    return m;
}

static const struct pod_load *loads(struct story *s)
{
    const struct pod_load *first = NULL;
    for (const struct json *j = json_first(json_get(s->in, "loads")); j; j = json_next(j)) {
        struct pod_load *l = arena_new(&s->a, struct pod_load);
        *l = (struct pod_load){ first, json_string(json_get(j, "name")), json_string(json_get(j, "cost")), 0 };
        json_int(json_get(j, "runs"), &l->runs);
        first = l;
    }
    return first;
}

static void play_runtime(struct story *s)
{
    struct runtime_config config = { "kruntimes:1" };
    struct runtime_view v = { .runtime = text(s, "runtime"), .deployment = text(s, "deployment"), .service_account = text(s, "serviceAccount"),
                              .role = text(s, "role"), .role_binding = text(s, "roleBinding"), .network_policy = text(s, "networkPolicy"),
                              .pods = number(s, "pods"), .ready_pods = number(s, "ready"), .loads = loads(s), .capacity = counts(s, "capacity"), .used = counts(s, "used"),
                              .status_written_us = moment(s, "sumsWritten"), .refused = json_string(json_get(s->in, "refused")) };
    runtime_trouble_of_deployment(&v.trouble, v.deployment, &s->a);
    for (const struct json *j = json_first(json_get(s->in, "unready")); j; j = json_next(j)) {
        AUTO_BUF struct buf pod = { .max = 1 << 20 };
        json_print(&pod, j);
        runtime_trouble_of_pod(&v.trouble, buf_view(&pod), &s->a);
    }
    struct plan p = { 0 }, second = { 0 };
    struct kr_err e = { 0 };
    int rc = runtime_plan(&v, &config, s->now_us, &p, &e);
    if (!json_is(json_get(s->in, "again"), JSON_TRUE)) {
        show(s, &p, rc, &e);
        plan_free(&p);
        return;
    }
    v.deployment = made(s, &p, &kube_deployments, v.deployment);
    v.service_account = made(s, &p, &kube_serviceaccounts, v.service_account);
    v.role = made(s, &p, &kube_roles, v.role);
    v.role_binding = made(s, &p, &kube_rolebindings, v.role_binding);
    v.network_policy = made(s, &p, &kube_networkpolicies, v.network_policy);
    for (const struct json *j = json_first(json_get(s->in, "gone")); j; j = json_next(j))
        if (str_is(json_string(j), "networkPolicy"))
            v.network_policy = (struct str){ 0 };
    struct json *changed = json_get(s->in, "thenDeployment"), *live = json_parse(&s->a, v.deployment, &e);
    for (struct json *j = json_first(changed); j; j = json_next(j)) {      /* somebody edits spec */
        struct json *spec = json_get(live, "spec");
        json_set(&s->a, spec, json_key(j), json_clone(&s->a, j));
    }
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    json_print(&b, live);
    v.deployment = arena_str(&s->a, buf_view(&b));
    rc = runtime_plan(&v, &config, s->now_us, &second, &e);
    show(s, &second, rc, &e);
    plan_free(&p);
    plan_free(&second);
}

static void play_reaper(struct story *s)
{
    struct reaper_view v = { .run = text(s, "run"), .pod = text(s, "pod"), .node_unknown_since_us = moment(s, "nodeUnknownSince"),
                             .node_lost_after_us = INT64_C(300000000) };
    struct plan p = { 0 };
    struct kr_err e = { 0 };
    int rc = reaper_plan(&v, s->now_us, &p, &e);
    show(s, &p, rc, &e);
    plan_free(&p);
}

static void play_ttl(struct story *s)
{
    struct kr_err e = { 0 };
    struct run *r = model_decode(run, text(s, "run"), &s->a, &e);
    char at[TIME_TEXT];
    CHECK_OR(r);
    int64_t due = gc_due_us(r);
    time_print(at, due);
    buf_fmt(&s->out, "%s%s\n", due ? "delete at " : "kept", due ? at : "");
}

static void tell(void *ctx, const struct run *r, struct str message)
{
    struct story *s = ctx;
    buf_fmt(&s->out, "event %.*s: %.*s\n", SFMT(r->metadata.name), SFMT(message));
}

struct queue { const struct str *v; size_t n, at; };

static struct str next_run(void *ctx)
{
    struct queue *q = ctx;
    return q->at < q->n ? q->v[q->at++] : (struct str){ 0 };
}

/* Of `runs` those count that wait for the clean-up of the first one's store. */
static void play_cleanup(struct story *s)
{
    struct str list[16], group = { 0 };
    size_t n = 0;
    struct plan p = { 0 };
    struct kr_err e = { 0 };
    for (struct json *j = json_first(json_get(s->in, "runs")); j && n < LEN(list); j = json_next(j)) {
        AUTO_BUF struct buf b = { .max = 1 << 20 };
        json_print(&b, j);
        struct str run = arena_str(&s->a, buf_view(&b)), g = cleanup_group(json_find(run, "metadata"), json_find(run, "status"), &s->a);
        group = group.p ? group : g;
        buf_fmt(&s->out, "%.*s: %s\n", SFMT(json_string(json_get(json_get(j, "metadata"), "name"))), !g.n ? "waits for none" : str_eq(g, group) ? "waits" : "another group");
        if (g.n && str_eq(g, group))
            list[n++] = run;
    }
    struct queue queue = { list, n, 0 };
    struct cleanup_view v = { .ns = S("default"), .group = group, .job = text(s, "job"), .next = next_run, .runs = &queue, .refused = json_is(json_get(s->in, "refused"), JSON_TRUE),
                              .tell = tell, .ctx = s };
    int rc = cleanup_plan(&v, &(struct runtime_config){ "kruntimes:1" }, &p, &e);
    show(s, &p, rc, &e);
    plan_free(&p);
}

static void play(const char *name)
{
    static const struct { const char *what; void (*play)(struct story *); } kinds[] = {
        { "runtime", play_runtime }, { "reaper", play_reaper }, { "ttl", play_ttl }, { "cleanup", play_cleanup } };
    char path[300];
    struct kr_err e = { 0 };
    struct yaml_docs docs;
    struct story s = { .a = { .limit = 64 << 20 }, .out = { .max = 1 << 20 } };
    snprintf(path, sizeof path, "tests/golden/plans/controller/%s.in", name);
    CHECK_OR(yaml_to_json(test_file(path), &s.a, &docs, &e) == 0 && docs.n == 1);
    s.in = json_parse(&s.a, docs.docs[0].json, &e);
    s.now_us = moment(&s, "now");
    if (!s.now_us)
        time_parse(S("2026-01-01T00:10:00Z"), &s.now_us);
    struct str what = json_string(json_get(s.in, "what"));
    for (size_t i = 0; i < LEN(kinds); i++)
        if (str_is(what, kinds[i].what))
            kinds[i].play(&s);
    snprintf(path, sizeof path, "plans/controller/%s.plan", name);
    test_golden(path, buf_view(&s.out));
    buf_free(&s.out);
    arena_reset(&s.a);
}

TEST(golden_plans_of_the_controller)
{
    DIR *dir = opendir("tests/golden/plans/controller");
    int n = 0;
    CHECK_OR(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char *dot = strrchr(e->d_name, '.');
        if (!dot || strcmp(dot, ".in"))
            continue;
        *dot = '\0';
        play(e->d_name);
        n++;
    }
    closedir(dir);
    CHECK(n >= 36);
}

/* A pod template of a user's, and the Deployment made of it as a server keeps it, or as somebody has edited it since. */
TEST(a_deployment_is_applied_again_when_something_of_ours_differs)
{
    static const char template[] =
        "{\"spec\":{\"hostNetwork\":false,\"hostUsers\":false,\"nodeSelector\":{},\"containers\":[{\"name\":\"runtime\",\"image\":\"i\",\"args\":[],\"env\":[{\"name\":\"E\",\"value\":\"\"}],"
        "\"readinessProbe\":{\"initialDelaySeconds\":0,\"tcpSocket\":{\"port\":9091}},\"resources\":{\"requests\":{\"cpu\":0.5,\"memory\":\"1024Mi\"},\"limits\":{\"cpu\":1}}}],"
        "\"volumes\":[{\"name\":\"v\",\"emptyDir\":{\"sizeLimit\":\"2048Ki\"}},{\"name\":\"w\",\"emptyDir\":{}}]}}";
    static const struct { const char *was, *is; bool differs; } T[] = {
        { "", "", false }, { "\"hostNetwork\":false,", "", false }, { "\"nodeSelector\":{},", "", false }, { "\"args\":[],", "", false }, { ",\"value\":\"\"", "", false },
        { "\"initialDelaySeconds\":0,", "", false }, { "\"cpu\":0.5", "\"cpu\":\"500m\"", false }, { "\"1024Mi\"", "\"1Gi\"", false }, { "\"cpu\":1", "\"cpu\":\"1\"", false },
        { "\"2048Ki\"", "\"2Mi\"", false }, { "\"hostNetwork\":false", "\"hostNetwork\":true", true }, { "\"args\":[]", "\"args\":[\"a\"]", true },
        { "\"nodeSelector\":{}", "\"nodeSelector\":{\"a\":\"b\"}", false },      /* says nothing of others */
        { "\"value\":\"\"", "\"value\":\"x\"", true }, { "\"cpu\":0.5", "\"cpu\":\"501m\"", true }, { "\"cpu\":0.5", "\"cpu\":\"many\"", true }, { "\"cpu\":1}", "\"memory\":\"1\"}", true },
        { "\"hostUsers\":false,", "", true }, { "\"image\":\"i\",", "", true }, { ",\"readOnlyRootFilesystem\":true", "", true }, { "\"capabilities\":{\"drop\":[\"ALL\"]},", "", true }, { "\"emptyDir\":{}", "\"hostPath\":{\"path\":\"/\"}", true }, { "\"automountServiceAccountToken\":false,", "", true },
        { "\"allowPrivilegeEscalation\":false,", "", true }, { "\"containerPort\":9094", "\"containerPort\":\"9094\"", true },
    };
    AUTO_ARENA struct arena a = { .limit = 4 << 20 };
    struct runtime_view v = { .runtime = arena_fmt(&a, "{\"metadata\":{\"name\":\"py\",\"namespace\":\"default\",\"uid\":\"u\"},\"spec\":{\"template\":%s}}", template) };
    struct plan first = { 0 };
    struct kr_err e = { 0 };
    CHECK_INT(runtime_plan(&v, &(struct runtime_config){ "kruntimes:1" }, 1, &first, &e), 0);
    struct str made = { 0 };
    for (size_t k = 0; k < first.n; k++)
        made = first.ops[k].resource == &kube_deployments ? first.ops[k].body : made;
    for (size_t i = 0; i < LEN(T); i++) {
        struct plan p = { 0 };
        ptrdiff_t at = str_find(made, str_of(T[i].was));
        bool applied = false;
        CHECK_OR(at >= 0);
        v.deployment = arena_join(&a, (struct str[]){ { made.p, (size_t)at }, str_of(T[i].is), str_from(made, (size_t)at + strlen(T[i].was)) }, 3);
        CHECK_INT(runtime_plan(&v, &(struct runtime_config){ "kruntimes:1" }, 1, &p, &e), 0);
        for (size_t k = 0; k < p.n; k++)
            applied |= p.ops[k].resource == &kube_deployments;
        if (!CHECK_INT(applied, T[i].differs))
            printf("  %s -> %s\n", T[i].was, T[i].is);
        plan_free(&p);
    }
    plan_free(&first);
}

/* What pods execute is told when some of them are to go and some to stay. */
TEST(costs_are_told_when_replicas_are_lowered)
{
    static const struct { const char *live; int wanted; bool told; } T[] = { { "3", 2, true }, { "3", 1, true }, { "3", 3, false }, { "2", 3, false }, { "3", 0, false }, { "null", 1, false } };
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_ARENA struct arena a = { .limit = 1 << 20 };
        struct pod_load load = { NULL, S("p"), S(""), 1 };
        struct runtime_view v = { .deployment = arena_fmt(&a, "{\"spec\":{\"replicas\":%s}}", T[i].live), .loads = &load,
                                  .runtime = arena_fmt(&a, "{\"metadata\":{\"name\":\"py\",\"namespace\":\"default\",\"uid\":\"u\"},\"spec\":{\"replicas\":%d,\"template\":{\"spec\":{\"containers\":[{\"name\":\"runtime\"}]}}}}", T[i].wanted) };
        struct plan p = { 0 };
        struct kr_err e = { 0 };
        size_t told = 0, lowered = 0;
        CHECK_INT(runtime_plan(&v, &(struct runtime_config){ "kruntimes:1" }, 1, &p, &e), 0);
        for (size_t k = 0; k < p.n; k++) {
            if (p.ops[k].resource == &kube_pods)
                told = k;
            if (p.ops[k].resource == &kube_deployments)
                lowered = k;
        }
        if (!CHECK_INT(told > 0, T[i].told) || !CHECK(told < lowered))
            printf("  %s -> %d\n", T[i].live, T[i].wanted);
        plan_free(&p);
    }
}

/* A server keeps no empty value of a variable. */
TEST(a_variable_without_a_value_is_not_set)
{
    static const struct { const char *capacity; bool set; } T[] = { { "", false }, { ",\"capacity\":{\"resources\":{\"gpu\":1}}", true } };
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_ARENA struct arena a = { .limit = 1 << 20 };
        AUTO_BUF struct buf overridden = { .max = 1000 }, b = { .max = 1 << 20 };
        struct kr_err e = { 0 };
        struct runtime *r = model_decode(runtime, arena_fmt(&a, "{\"metadata\":{\"name\":\"py\"},\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"runtime\"}]}}%s}}", T[i].capacity), &a, &e);
        CHECK_OR(r);
        json_print(&b, runtime_pod_template(r, &(struct runtime_config){ "kruntimes:1" }, &a, &overridden, &e));
        CHECK_INT(str_find(buf_view(&b), S("{\"name\":\"KRUNTIMES_CAPACITY\",\"value\":\"gpu=1\"}")) >= 0, T[i].set);
        CHECK_INT(str_find(buf_view(&b), S("\"value\":\"\"")), -1);
    }
}

static void count_told(void *ctx, const struct run *r, struct str message)
{
    (void)r, (void)message;
    ++*(size_t *)ctx;
}

/* 300 Runs wait, and a Job was asked for the 100 that stand at `from` of them: others may have come, or been listed, before and behind. */
TEST(what_a_clean_up_job_was_asked_for_is_found_among_any_number)
{
    static const struct { const char *end; size_t from, told; } T[] = { { "Complete", 0, 0 }, { "Complete", 200, 0 }, { "Failed", 100, 100 }, { "Failed", 200, 100 } };
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_ARENA struct arena a = { .limit = 4 << 20 };
        AUTO_BUF struct buf job = { .max = 65536 };
        struct str list[300];
        size_t told = 0, patches = 0;
        buf_lit(&job, "{\"metadata\":{\"uid\":\"j\"},\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"args\":[\"--namespace\",\"default\"");
        for (size_t k = 0; k < LEN(list); k++) {
            list[k] = arena_fmt(&a, "{\"metadata\":{\"name\":\"r%zu\",\"namespace\":\"default\",\"uid\":\"u-%zu\",\"finalizers\":[\"kruntimes.io/artifact-cleanup\"]},\"status\":{\"artifactStore\":{}}}", k, k);
            if (k >= T[i].from && k < T[i].from + 100)
                buf_fmt(&job, ",\"u-%zu\"", k);
        }
        buf_fmt(&job, "]}]}}},\"status\":{\"conditions\":[{\"type\":\"%s\",\"status\":\"True\"}]}}", T[i].end);
        struct queue queue = { list, LEN(list), 0 };
        struct cleanup_view v = { .ns = S("default"), .group = S("g"), .job = buf_view(&job), .next = next_run, .runs = &queue, .tell = count_told, .ctx = &told };
        struct plan p = { 0 };
        struct kr_err e = { 0 };
        CHECK_INT(cleanup_plan(&v, &(struct runtime_config){ "kruntimes:1" }, &p, &e), 0);
        for (size_t k = 0; k < p.n; k++)
            patches += p.ops[k].verb == PLAN_JSON_PATCH;
        CHECK_INT(patches, 100);
        CHECK(p.n == 101 && p.ops[100].verb == PLAN_DELETE && CHECK_STR(p.ops[0].name, arena_fmt(&a, "r%zu", T[i].from)));
        CHECK_INT(told, T[i].told);
        plan_free(&p);
    }
}

/* The oldest, at most 100, and of large ones few: what makes a plan is decoded. */
TEST(a_clean_up_job_is_asked_for_the_oldest)
{
    static const struct { int bytes; size_t asked; } T[] = { { 1, 100 }, { 1 << 20, 3 }, { 5 << 20, 1 } };
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_ARENA struct arena a = { .limit = 32 << 20 };
        struct str list[120];
        struct queue queue = { list, 0, 0 };
        for (size_t k = 0; k < LEN(list); k++)
            list[queue.n++] = k < 4 || T[i].bytes == 1 ? arena_fmt(&a, "{\"metadata\":{\"name\":\"r\",\"uid\":\"u-%zu\"},\"spec\":{\"source\":{\"inline\":\"%*s\"}}}", k, T[i].bytes, "x") : list[3];
        struct cleanup_view v = { .ns = S("default"), .group = S("g"), .next = next_run, .runs = &queue };
        struct plan p = { 0 };
        struct kr_err e = { 0 };
        CHECK_INT(cleanup_plan(&v, &(struct runtime_config){ "kruntimes:1" }, &p, &e), 0);
        CHECK_OR(p.n == 1 && p.ops[0].verb == PLAN_CREATE);
        static const char *const path[] = { "spec", "template", "spec", "containers" };
        struct json *args = json_get(json_first(json_get_path(json_parse(&a, p.ops[0].body, &e), path, 4)), "args");
        CHECK_INT(json_len(args), 2 + T[i].asked);
        CHECK_STR(json_string(json_next(json_next(json_first(args)))), S("u-0"));
        plan_free(&p);
    }
}
