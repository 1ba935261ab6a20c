/* SPDX-License-Identifier: Apache-2.0 */
/* What everybody who writes a Run's status agrees on: conditions, the wait before a retry, what is tried again, texts. */
#include "core/clock.h"
#include "core/json.h"
#include "crds/run.h"
#include "tests/kit/test.h"

static struct arena arena = { .limit = 1 << 20 };

static struct run *read_run(const char *json)
{
    struct kr_err e = { 0 };
    struct str text = str_of(json);
    return json_scan(text, &e) < 0 ? NULL : model_decode(run, text, &arena, &e);
}

TEST(a_run_without_a_phase_is_pending)
{
    static const struct { const char *json, *phase; bool terminal; } T[] = {
        { "{}", "Pending", false }, { "{\"status\":{}}", "Pending", false }, { "{\"status\":{\"phase\":\"Pending\"}}", "Pending", false },
        { "{\"status\":{\"phase\":\"Scheduled\"}}", "Scheduled", false }, { "{\"status\":{\"phase\":\"Running\"}}", "Running", false },
        { "{\"status\":{\"phase\":\"Succeeded\"}}", "Succeeded", true }, { "{\"status\":{\"phase\":\"Failed\"}}", "Failed", true },
        { "{\"status\":{\"phase\":\"Timeout\"}}", "Timeout", true }, { "{\"status\":{\"phase\":\"Cancelled\"}}", "Cancelled", true },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        struct run *r = read_run(T[i].json);
        CHECK_OR(r);
        CHECK_STR(run_phase(r), str_of(T[i].phase));
        CHECK(run_is_terminal(r) == T[i].terminal);
    }
}

TEST(the_wait_before_a_retry_doubles_up_to_a_minute)
{
    static const struct { const char *policy; int64_t next, want_us; } T[] = {
        { "{}", 2, 1000000 }, { "{}", 3, 2000000 }, { "{}", 8, 60000000 }, { "{}", 100, 60000000 },
        { "{\"backoff\":\"10ms\"}", 2, 10000 }, { "{\"backoff\":\"10ms\"}", 5, 80000 }, { "{\"backoff\":\"1m\"}", 2, 60000000 },
        { "{\"backoff\":\"59s\"}", 3, 60000000 },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        struct str json = arena_fmt(&arena, "{\"spec\":{\"retryPolicy\":%s}}", T[i].policy);
        CHECK_INT(run_backoff_us(read_run(json.p), T[i].next), T[i].want_us);
    }
    CHECK_INT(run_attempts_max(read_run("{}")), 1);
    CHECK_INT(run_attempts_max(read_run("{\"spec\":{\"retryPolicy\":{}}}")), 1);
    CHECK_INT(run_attempts_max(read_run("{\"spec\":{\"retryPolicy\":{\"maxAttempts\":7}}}")), 7);
}

TEST(what_is_tried_again)
{
    struct run *any = read_run("{\"spec\":{\"retryPolicy\":{\"maxAttempts\":3}}}"), *none = read_run("{}");
    struct run *some = read_run("{\"spec\":{\"retryPolicy\":{\"retryableReasons\":[\"Timeout\",\"Cancelled\",\"OutputsInvalid\"]}}}");
    static const struct { const char *reason; bool any, some; } T[] = {
        { "ExitCode", true, false }, { "Timeout", true, true }, { "PodLost", true, false }, { "PodDrained", true, false }, { "ExecutionLost", true, false },
        { "PrepareSource", true, false }, { "RuntimeExecute", true, false }, { "Signalled", true, false }, { "OOMKilled", true, false },
        { "ArtifactStore", true, false },
        /* These never are, whatever the list says. */
        { "Cancelled", false, false }, { "OutputsInvalid", false, false }, { "OutputsTooLarge", false, false }, { "ArtifactInvalid", false, false },
        { "InvalidResources", false, false }, { "WorkspaceLost", false, false },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        CHECK(run_may_retry(any, T[i].reason) == T[i].any);
        CHECK(run_may_retry(none, T[i].reason) == T[i].any);
        CHECK(run_may_retry(some, T[i].reason) == T[i].some);
    }
}

TEST(conditions_keep_the_moment_at_which_they_turned)
{
    struct run *r = read_run("{\"status\":{\"conditions\":["
                             "{\"type\":\"Scheduled\",\"status\":\"True\",\"lastTransitionTime\":\"2026-01-01T00:00:01Z\",\"reason\":\"Assigned\",\"message\":\"m\"},"
                             "{\"type\":\"Started\",\"status\":\"True\",\"lastTransitionTime\":\"2026-01-01T00:00:02Z\",\"reason\":\"Executed\",\"message\":\"\"},"
                             "{\"type\":\"Succeeded\",\"status\":\"Unknown\",\"lastTransitionTime\":\"2026-01-01T00:00:03Z\",\"reason\":\"x\",\"message\":\"\"}]}}");
    struct run_condition_set set[] = { { .type = "Scheduled", .status = "True", .reason = "Again" }, { .type = "Succeeded", .status = "False", .reason = "ExitCode" },
                                       { .type = "Started", .remove = true } };
    int64_t now = 0;
    CHECK_OR(r && time_parse(S("2026-01-01T00:00:09Z"), &now));
    AUTO_BUF struct buf b = { .max = 4096 };
    run_put_conditions(&b, r, set, LEN(set), now);
    CHECK_STR(buf_view(&b), S("[{\"type\":\"Scheduled\",\"status\":\"True\",\"lastTransitionTime\":\"2026-01-01T00:00:01Z\",\"reason\":\"Again\",\"message\":\"\"},"
                              "{\"type\":\"Succeeded\",\"status\":\"False\",\"lastTransitionTime\":\"2026-01-01T00:00:09Z\",\"reason\":\"ExitCode\",\"message\":\"\"}]"));
    CHECK_STR(run_condition(r, "Started"), S("True"));
    CHECK_STR(run_condition(r, "Finished"), S(""));
}

TEST(durations_are_for_people)
{
    static const struct { int64_t us; const char *want; } T[] = {
        { -5, "0ms" }, { 0, "0ms" }, { 999, "0ms" }, { 12345, "12ms" }, { 999999, "999ms" }, { 1000000, "1.0s" }, { 2449999, "2.4s" },
        { 59999999, "59.9s" }, { 65000000, "1m5s" }, { 3599000000, "59m59s" }, { INT64_C(7380000000), "2h3m" },
    };
    char out[32];
    for (size_t i = 0; i < LEN(T); i++)
        CHECK_STR(run_duration_text(T[i].us, out), str_of(T[i].want));
}
