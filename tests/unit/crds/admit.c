/* SPDX-License-Identifier: Apache-2.0 */
/* Admission: what is pruned and filled in, and what is refused in which words. */
#include "core/model_admit.h"
#include "crds/crds.h"
#include "tests/kit/test.h"

static struct arena arena = { .limit = 1 << 26 };

static struct json *tree(const char *text)
{
    struct kr_err e = { .msg = "" };
    struct json *j = text ? json_parse(&arena, str_of(text), &e) : NULL;
    CHECK_Z(e.msg, "");
    return j;
}

/* The object as it would be stored, or why not (without the name in front), then what was pruned. */
static void admitted(const struct model_type *t, const char *object, const char *old, const char *want)
{
    struct json *new = tree(object);
    struct model_errors errors = { 0 };
    struct str_list unknown = { 0 };
    struct kr_err e = { .msg = "" };
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    CHECK_INT(model_admit(t, &arena, new, tree(old), &errors, &unknown, &e), 0);
    CHECK_Z(e.msg, "");
    if (!errors.n)
        json_print(&b, new);
    else
        model_errors_print(t, S("x"), &errors, &b);
    for (size_t i = 0; i < unknown.n; i++)
        buf_fmt(&b, " -%.*s", SFMT(unknown.v[i]));
    struct str got = buf_view(&b), head = S(" is invalid: ");
    ptrdiff_t at = str_find(got, head);
    CHECK_STR(errors.n && at >= 0 ? str_from(got, (size_t)at + head.n) : got, str_of(want));
}

static void run_is(const char *spec, const char *want)
{
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    buf_fmt(&b, "{\"metadata\":{\"name\":\"x\"},\"spec\":%s}", spec);
    admitted(&type_run, b.p, NULL, want);
}

#define BLOCKED ", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid;" \
                " correct the existing errors to complete validation]"

TEST(pruned_and_filled_in)
{
    admitted(&type_run, "{\"extra\":1,\"metadata\":{\"x\":1},\"spec\":{\"runtime\":\"b\",\"retryPolicy\":{\"backoff\":null},\"zoo\":{},"
        "\"env\":[{\"name\":\"A\",\"values\":1,\"value\":null}]}}", NULL,
        "{\"metadata\":{\"x\":1},\"spec\":{\"runtime\":\"b\",\"retryPolicy\":{\"maxAttempts\":1,\"backoff\":\"1s\"},"
        "\"env\":[{\"name\":\"A\"}],\"priority\":0}} -extra -spec.env[0].values -spec.zoo");
    admitted(&type_runtime, "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"template\":{\"x\":null,"
        "\"metadata\":{\"labels\":{\"a\":null}},\"spec\":{\"y\":1,"
        "\"containers\":[{\"name\":\"runtime\",\"image\":\"i\",\"z\":{}}]}},\"replicas\":0,\"port\":9091,\"server\":\"Image\"}}", NULL,
        "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"template\":{\"x\":null,\"metadata\":{\"labels\":{}},\"spec\":{\"y\":1,"
        "\"containers\":[{\"name\":\"runtime\",\"image\":\"i\",\"z\":{}}]}},\"replicas\":0,\"port\":9091,\"server\":\"Image\","
        "\"isolation\":\"Process\"}}");
}

/* A bare "metadata: object" would drop all of it without a word. */
TEST(the_template_keeps_what_its_metadata_says)
{
    const char *said = "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"template\":{\"metadata\":{\"labels\":{\"team\":\"a\"},"
        "\"annotations\":{\"example.com/note\":\"y\"},\"creationTimestamp\":null},\"spec\":{\"nodeSelector\":{\"disk\":\"ssd\"},"
        "\"containers\":[{\"name\":\"runtime\",\"image\":\"i\"}]}},\"replicas\":0,\"port\":9091,\"server\":\"Image\",\"isolation\":\"Process\"}}";
    admitted(&type_runtime, said, NULL, said);
}

TEST(what_stops_rules)
{
    run_is("{}", "[spec.runtime: Required value" BLOCKED);
    admitted(&type_run, "{}", NULL, "[spec: Required value" BLOCKED);
    run_is("{\"runtime\":\"b\",\"args\":[\"a\",5]}",
           "[spec.args[1]: Invalid value: \"integer\": spec.args[1] in body must be of type string: \"integer\"" BLOCKED);
    run_is("{\"runtime\":\"b\",\"env\":[null]}",
           "[spec.env[0]: Invalid value: \"null\": spec.env[0] in body must be of type object: \"null\"" BLOCKED);
    run_is("{\"runtime\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
           "[spec.runtime: Too long: may not be more than 63 bytes" BLOCKED);
    admitted(&type_run, "{\"spec\":{\"runtime\":\"b\"},\"status\":{\"phase\":\"\"}}", NULL,
        "[status.phase: Unsupported value: \"\": supported values: \"Pending\", \"Scheduled\", \"Running\", \"Succeeded\", \"Failed\","
        " \"Timeout\", \"Cancelled\"" BLOCKED);
    admitted(&type_run, "{\"spec\":{\"runtime\":\"b\"},\"status\":{\"startTime\":\"2026-02-30T00:00:00Z\"}}", NULL,
        "[status.startTime: Invalid value: \"2026-02-30T00:00:00Z\": startTime in body must be of type date-time:"
        " \"2026-02-30T00:00:00Z\"" BLOCKED);
}

TEST(what_does_not)
{
    run_is("{\"runtime\":\"\"}", "spec.runtime: Invalid value: \"\": spec.runtime in body should be at least 1 chars long");
    run_is("{\"runtime\":\"B\\n\"}", "spec.runtime: Invalid value: \"B\\n\": spec.runtime in body should match"
           " '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'");
    run_is("{\"runtime\":\"b\",\"timeoutSeconds\":0,\"priority\":1001}",
           "[spec.timeoutSeconds: Invalid value: 0: spec.timeoutSeconds in body should be greater than or equal to 1,"
           " spec.priority: Invalid value: 1001: spec.priority in body should be less than or equal to 1000]");
    run_is("{\"runtime\":\"b\",\"env\":[{\"name\":\"A\"},{\"name\":\"B\"},{\"name\":\"A\"}]}",
           "spec.env[2]: Duplicate value: {\"name\":\"A\"}");
    run_is("{\"runtime\":\"b\",\"retryPolicy\":{\"retryableReasons\":[\"a\",\"a\"]}}",
           "spec.retryPolicy.retryableReasons[1]: Duplicate value: \"a\"");
    run_is("{\"runtime\":\"b\",\"resources\":{\"requests\":{\"runs\":\"0\"}}}",
           "spec.resources.requests: Invalid value: \"object\": runs must be at least 1");
    run_is("{\"runtime\":\"b\",\"env\":[{\"name\":\"A\",\"valueFrom\":{\"x\":1}}]}", "spec.env[0].valueFrom: Forbidden:"
           " valueFrom is not supported; mount the Secret in the Runtime's template instead");
    run_is("{\"runtime\":\"b\",\"entrypoint\":\"a//b\"}",
           "spec.entrypoint: Invalid value: \"string\": must be a relative path without empty, \".\" or \"..\" segments");
    admitted(&type_runtime, "{\"metadata\":{\"name\":\"a.b\"},\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"runtime\"}]}},"
        "\"workspace\":{}}}", NULL,
        "[spec.workspace: Invalid value: 0: spec.workspace in body should have at least 1 properties,"
        " metadata.name: Invalid value: \"object\": must be a DNS label of at most 63 characters,"
        " spec.template.spec.containers: Required value: the first container must have an image]");
    admitted(&type_workflow, "{\"spec\":{\"jobs\":{\"a\":{\"runs-on\":\"b\",\"needs\":[\"c\"],\"steps\":[{\"name\":\"s\"}]}}}}", NULL,
        "[spec.jobs: Invalid value: \"object\": job a needs a job that does not exist,"
        " spec.jobs[a].steps[0].run: Required value: needs run or args]");
}

#define STEPS(a, b) "{\"spec\":{\"failFast\":true,\"jobs\":{\"a\":{\"runs-on\":\"b\",\"steps\":[" \
    "{\"name\":\"" a "\",\"run\":\"true\"},{\"name\":\"" b "\",\"run\":\"true\"}]}}}}"

TEST(a_rule_without_an_answer)
{
    run_is("{\"runtime\":\"b\",\"retryPolicy\":{\"backoff\":\"x\"}}",
           "[spec.retryPolicy.backoff: Invalid value: \"x\": spec.retryPolicy.backoff in body should match"
           " '^([0-9]+(\\.[0-9]+)?(ns|us|\xc2\xb5s|ms|s|m|h))+$', spec.retryPolicy.backoff: Invalid value: \"string\":"
           " type conversion error from 'string' to 'google.protobuf.Duration' evaluating rule: must be 1ms to 60s]");
}

TEST(from_one_version_to_the_next)
{
    const char *old = "{\"spec\":{\"runtime\":\"b\",\"args\":[\"1\"],\"priority\":0,\"cancelRequested\":true},"
                      "\"status\":{\"phase\":\"Failed\",\"attempt\":2}}";
    admitted(&type_run, "{\"spec\":{\"runtime\":\"b\",\"args\":[\"2\"],\"priority\":0},"
        "\"status\":{\"phase\":\"Running\",\"attempt\":1}}", old,
        "[status.phase: Forbidden: a terminal phase never changes, status.attempt: Forbidden: may not decrease,"
        " spec.args: Forbidden: field is immutable, spec.cancelRequested: Forbidden: cannot be taken back once true]");
    admitted(&type_run, "{\"spec\":{\"runtime\":\"b\",\"args\":[\"1\"],\"priority\":0,\"cancelRequested\":true}}", old,
        "[status.phase: Forbidden: a terminal phase never changes, status.attempt: Forbidden: may not decrease]");
    admitted(&type_run, old, old, old);
    admitted(&type_workflow, STEPS("y", "x"), STEPS("x", "y"), "spec.jobs: Forbidden: the order of steps is immutable");
    admitted(&type_workflow, STEPS("x", "y"), STEPS("x", "y"), STEPS("x", "y"));
}

/* What an older, laxer table let in stays, as long as it isn't touched. */
TEST(unchanged_is_not_checked_again)
{
    const char *old = "{\"spec\":{\"runtime\":\"b\",\"priority\":5000,\"env\":[{\"name\":\"A B\"}]}}";
    admitted(&type_run, "{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"runtime\":\"b\",\"priority\":5000,"
        "\"env\":[{\"name\":\"A B\"}],\"cancelRequested\":true}}", old,
        "{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"runtime\":\"b\",\"priority\":5000,"
        "\"env\":[{\"name\":\"A B\"}],\"cancelRequested\":true}}");
    admitted(&type_run, "{\"spec\":{\"runtime\":\"b\",\"priority\":5001,\"env\":[{\"name\":\"A B\"}]}}", old,
        "[spec.priority: Invalid value: 5001: spec.priority in body should be less than or equal to 1000,"
        " spec.priority: Forbidden: field is immutable]");
}

TEST(many_errors_are_cut)
{
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    struct model_errors errors = { 0 };
    struct kr_err e;
    buf_lit(&b, "{\"spec\":{\"runtime\":\"b\",\"args\":[0");
    for (int i = 1; i < 256; i++)
        buf_lit(&b, ",0");
    buf_lit(&b, "]}}");
    CHECK_INT(model_admit(&type_run, &arena, tree(b.p), NULL, &errors, NULL, &e), 0);
    CHECK_INT(errors.n, LIMIT_MODEL_ERRORS);
}

TEST(a_long_path_is_cut_in_what_is_said_of_it)
{
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    struct model_errors errors = { 0 };
    struct str_list unknown = { 0 };
    struct kr_err e = { 0 };
    buf_lit(&b, "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"runtime\":\"b\",\"");
    for (int i = 0; i < 2 * LIMIT_MODEL_PATH; i++)
        buf_byte(&b, 'k');
    buf_lit(&b, "\":1}}");
    CHECK_INT(model_admit(&type_run, &arena, tree(b.p), NULL, &errors, &unknown, &e), 0);
    CHECK_INT(unknown.n, 1);
    CHECK(str_starts(unknown.v[0], S("spec")) && unknown.v[0].n <= LIMIT_MODEL_PATH);
}

TEST(a_long_value_is_cut_in_what_is_said_of_it)
{
    AUTO_BUF struct buf b = { .max = 1 << 20 };
    struct model_errors errors = { 0 };
    struct kr_err e;
    buf_lit(&b, "{\"spec\":{\"runtime\":\"");
    for (int i = 0; i < 2 * LIMIT_MODEL_VALUE; i++)
        buf_byte(&b, '/');
    buf_lit(&b, "\"}}");
    CHECK_INT(model_admit(&type_run, &arena, tree(b.p), NULL, &errors, NULL, &e), 0);
    CHECK_OR(errors.n);
    for (size_t i = 0; i < errors.n; i++)
        CHECK(errors.v[i].message.n < LIMIT_MODEL_VALUE + 200);
}

/* The largest lists that the table allows must be within the budget of the rules that look at them. */
TEST(the_largest_fit_the_budget)
{
    AUTO_BUF struct buf b = { .max = 1 << 22 };
    struct model_errors errors = { 0 };
    struct kr_err e = { .msg = "" };
    buf_lit(&b, "{\"spec\":{\"failFast\":true,\"jobs\":{");
    for (int j = 0; j < 64; j++) {
        buf_fmt(&b, "%s\"j%d\":{\"runs-on\":\"b\",\"needs\":[\"j%d\"],\"steps\":[", j ? "," : "", j, j ? 0 : 1);
        for (int s = 0; s < 64; s++)
            buf_fmt(&b, "%s{\"name\":\"s%d\",\"run\":\"true\",\"retryPolicy\":{\"maxAttempts\":2,\"backoff\":\"2s\"}}", s ? "," : "", s);
        buf_lit(&b, "]}");
    }
    buf_lit(&b, "}}}");
    CHECK_INT(model_admit(&type_workflow, &arena, tree(b.p), NULL, &errors, NULL, &e), 0);
    CHECK_INT(model_admit(&type_workflow, &arena, tree(b.p), tree(b.p), &errors, NULL, &e), 0);
    CHECK_Z(e.msg, "");
    CHECK_INT(errors.n, 0);
    if (errors.n)
        CHECK_STR(errors.v[0].message, S(""));
}
