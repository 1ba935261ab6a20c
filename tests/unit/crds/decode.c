/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds' structs: what JSON they are read from, what they are written as, and how wrong input is named. */
#include "crds/crds.h"
#include "tests/kit/test.h"

static struct arena arena = { .limit = 1 << 20 };

static struct run *read_run(const char *json, struct kr_err *e)
{
    struct str text = str_of(json);
    return json_scan(text, e) < 0 ? NULL : model_decode(run, text, &arena, e);
}

static void refused(const char *json, const char *message)
{
    struct kr_err e = { .msg = "" };
    CHECK(read_run(json, &e) == NULL);
    CHECK_Z(e.msg, message);
    CHECK_INT(e.code, KR_INVALID);
}

TEST(run_members)
{
    struct kr_err e;
    struct run *r = read_run("{\"status\":{\"attempt\":2,\"outputs\":{\"k\":\"v\",\"n\":null},\"conditions\":[{\"type\":\"Finished\"}]},"
        "\"unknown\":[{}],\"spec\":{\"timeoutSeconds\":1e3,\"runtime\":\"b\\u0061sh\",\"args\":[],\"env\":[{\"name\":\"A\"},"
        "{\"name\":\"B\",\"value\":\"\"}],\"resources\":{\"requests\":{\"runs\":\"3\",\"gpu\":4}},\"priority\":null},"
        "\"metadata\":{\"name\":\"r\",\"labels\":{\"a\":\"b\"}}}", &e);
    CHECK_OR(r);
    CHECK_STR(r->metadata.name, S("r"));
    CHECK_STR(str_map_get(r->metadata.labels, S("a")), S("b"));
    CHECK_STR(r->spec.runtime, S("bash"));
    CHECK(r->spec.has_timeout_seconds);
    CHECK_INT(r->spec.timeout_seconds, 1000);
    CHECK(!r->spec.has_priority);
    CHECK(r->spec.args.v && r->spec.args.n == 0);
    CHECK_INT(r->spec.env.n, 2);
    CHECK(!r->spec.env.v[0].value.p && r->spec.env.v[1].value.p && !r->spec.env.v[1].value.n);
    CHECK_INT(r->spec.resources.requests.v[0].value, 3);
    CHECK_INT(r->spec.resources.requests.v[1].value, 4);
    CHECK_INT(r->status.attempt, 2);
    CHECK_INT(r->status.outputs.n, 1);
    CHECK_STR(r->status.conditions.v[0].type, S("Finished"));
    CHECK(!r->status.source.commit.p && !r->status.has_source);
}

TEST(wrong_types_have_a_path)
{
    refused("{\"spec\":{\"env\":[{},{\"name\":7}]}}", "spec.env[1].name: expected a string, got a number");
    refused("{\"spec\":{\"timeoutSeconds\":1.5}}", "spec.timeoutSeconds: expected a whole number, got a number");
    refused("{\"spec\":{\"env\":[null]}}", "spec.env[0]: expected an object, got null");
    refused("{\"spec\":{\"args\":{}}}", "spec.args: expected a list, got an object");
    refused("{\"spec\":{\"resources\":{\"requests\":{\"runs\":\"x\"}}}}",
            "spec.resources.requests.runs: expected a whole number, got a string");
    refused("{\"spec\":{\"cancelRequested\":1}}", "spec.cancelRequested: expected true or false, got a number");
    refused("[]", "expected an object, got a list");
}

TEST(last_duplicate_wins_whole)
{
    struct kr_err e;
    struct run *r = read_run("{\"spec\":{\"source\":{\"inline\":\"x\"},\"source\":{},\"priority\":1,\"priority\":null}}", &e);
    CHECK_OR(r);
    CHECK(r->spec.has_source && !r->spec.source.inline_.p);
    CHECK(!r->spec.has_priority);
}

static void same(const struct model_type *t, const char *json)
{
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    struct kr_err e = { .msg = "" };
    struct str text = str_of(json);
    void *p = json_scan(text, &e) < 0 ? NULL : model_decode_object(t->object, text, &arena, &e);
    CHECK_Z(e.msg, "");
    CHECK_OR(p);
    model_encode_kind(t, p, &b);
    CHECK_STR(buf_view(&b), text);
}

TEST(written_as_read)
{
    same(&type_run, "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Run\",\"metadata\":{\"name\":\"r\",\"finalizers\":[\"f\"]},"
        "\"spec\":{\"runtime\":\"b\",\"args\":[],\"env\":[{\"name\":\"A\",\"value\":\"\\\"\"}],\"retryPolicy\":{\"maxAttempts\":3},"
        "\"priority\":-1,\"cancelRequested\":false},\"status\":{\"outputs\":{\"k\":\"v\"}}}");
    same(&type_runtime, "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Runtime\",\"metadata\":{},"
        "\"spec\":{\"template\":{\"spec\":{\"x\":[1.50,{}]}},\"capacity\":{\"resources\":{\"runs\":4}}}}");
    same(&type_workflow, "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Workflow\",\"metadata\":{},"
        "\"spec\":{\"jobs\":{\"a\":{\"runs-on\":\"b\",\"strategy\":{\"matrix\":{\"v\":[\"1\",\"2\",\"3\",\"4\",\"5\"]},"
        "\"include\":[{\"v\":\"9\"}]},"
        "\"steps\":[{\"name\":\"x\",\"run\":\"true\",\"if\":\"always()\"}]}}}}");
    same(&type_lease, "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{},\"spec\":{\"leaseTransitions\":0}}");
    same(&type_pod, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{},\"status\":{\"podIP\":\"127.0.0.1\"}}");
}

TEST(over_the_arena)
{
    struct arena small = { .limit = sizeof(struct run) + 512 };
    struct kr_err e = { .msg = "" };
#define TEN "\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\","
    struct str text = S("{\"metadata\":{\"finalizers\":[" TEN TEN TEN TEN TEN "\"\"]}}");
    CHECK(model_decode(run, text, &small, &e) == NULL);
    CHECK_INT(e.code, KR_TOO_LARGE);
    arena_reset(&small);
}

TEST(look_up)
{
    const struct model_field *f = NULL;
    struct kr_err e;
    CHECK_INT(model_look_up(&type_run, S("spec.env[3].name"), &f, &e), 0);
    CHECK(f == &model_run_env_var.fields[0]);
    CHECK_INT(model_look_up(&type_workflow, S("spec.jobs.a.steps.run"), &f, &e), 0);
    CHECK_Z(f->name, "run");
    CHECK_INT(model_look_up(&type_workflow, S("spec.jobs.steps"), &f, &e), 0);
    CHECK_Z(f->name, "steps");
    CHECK_INT(model_look_up(&type_run, S("spec.colour"), &f, &e), -1);
    CHECK_Z(e.msg, "field 'colour' does not exist in 'spec.colour'");
    CHECK_INT(e.code, KR_NOT_FOUND);
    AUTO_BUF struct buf b = { .max = 100 };
    model_type_name(&model_find(&model_workflow_strategy, S("matrix"))->s, &b);
    CHECK_STR(buf_view(&b), S("map[string][]string"));
}

TEST(what_is_kept_stays_until_another_is_whole)
{
    struct model_kept k = { 0 };
    struct kr_err e = { 0 };
    struct run *first = model_keep(run, &k, S("{\"metadata\":{\"name\":\"one\"}}"), 1 << 16, &e);
    CHECK_OR(first);
    CHECK(model_keep(run, &k, S("{\"metadata\":{\"name\":7}}"), 1 << 16, &e) == NULL);
    CHECK_INT(e.code, KR_INVALID);
    CHECK(str_is(first->metadata.name, "one"));
    struct run *next = model_keep(run, &k, S("{\"metadata\":{\"name\":\"two\"}}"), 1 << 16, &e);
    CHECK(next && str_is(next->metadata.name, "two"));
    model_kept_free(&k);
}
