/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode: a Run as a watch shows it: its text checked and decoded into its struct, beside what cJSON takes to make and free a
 * tree of it; and what one costs that is kept by its key.
 */
#include "tests/bench/bench.h"
#include "crds/crds.h"
#include "k8s/indexer.h"
#include <cjson/cJSON.h>
#include <stdio.h>

#define FIELDS "\"f:metadata\":{\"f:labels\":{\".\":{},\"f:app\":{}}},\"f:spec\":{\".\":{},\"f:args\":{},\"f:env\":{\".\":{},\"k:{\\\"name\\\":\\\"A\\\"}\":{\".\":{},\"f:name\":{},\"f:value\":{}}},\"f:runtime\":{}}"
static const char run[] =
    "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Run\",\"metadata\":{\"name\":\"nightly-report-7f9c4\",\"namespace\":\"reports\",\"uid\":"
    "\"9b2f2f7e-53a8-4f0e-8c57-1d1b3f9d7a21\",\"resourceVersion\":\"184467\",\"generation\":1,\"creationTimestamp\":\"2026-01-01T00:00:00Z\","
    "\"labels\":{\"app\":\"report\",\"team\":\"data\"},\"finalizers\":[\"kruntimes.io/run\"],\"managedFields\":[{\"manager\":\"kubectl\",\"operation\":\"Update\","
    "\"apiVersion\":\"kruntimes.io/v1alpha1\",\"time\":\"2026-01-01T00:00:00Z\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{" FIELDS "}}]},"
    "\"spec\":{\"runtime\":\"python\",\"args\":[\"report.py\",\"--since\",\"yesterday\",\"--format\",\"html\"],\"env\":[{\"name\":\"A\",\"value\":\"b\"},"
    "{\"name\":\"TZ\",\"value\":\"UTC\"}],\"source\":{\"inline\":\"import sys\\nprint(\\\"hello\\\", sys.argv)\\n\"},\"timeoutSeconds\":600,\"priority\":10,"
    "\"retryPolicy\":{\"maxAttempts\":3}},\"status\":{\"phase\":\"Succeeded\",\"assignedPod\":\"runtime-python-553234-00001\",\"assignedPodUID\":"
    "\"8bc62323-41b1-4ad6-93e4-0123456789ab\",\"attempt\":1,\"startTime\":\"2026-01-01T00:00:01Z\",\"completionTime\":\"2026-01-01T00:00:09Z\",\"exitCode\":0,"
    "\"conditions\":[{\"type\":\"Scheduled\",\"status\":\"True\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\",\"reason\":\"Assigned\",\"message\":"
    "\"least loaded of 2\"},{\"type\":\"Complete\",\"status\":\"True\",\"lastTransitionTime\":\"2026-01-01T00:00:09Z\",\"reason\":\"Succeeded\",\"message\":\"\"}]}}";
enum { TIMES = 50000, TURNS = 5, KEPT = 20000 };

static double ours(void)
{
    struct kr_err e = { 0 };
    double begin = bench_cpu_seconds();
    for (int i = 0; i < TIMES; i++) {
        AUTO_ARENA struct arena a = { .limit = 1 << 20, .first = 4096 };
        if (json_scan(str_of(run), &e) < 0 || !model_decode(run, str_of(run), &a, &e)) {
            fprintf(stderr, "bench: %s\n", e.msg);
            exit(1);
        }
    }
    return (bench_cpu_seconds() - begin) / TIMES;
}

static double theirs(void)
{
    double begin = bench_cpu_seconds();
    for (int i = 0; i < TIMES; i++)
        cJSON_Delete(cJSON_ParseWithLength(run, sizeof run - 1));
    return (bench_cpu_seconds() - begin) / TIMES;
}

int bench_json(void)
{
    double us[TURNS], them[TURNS];
    for (int i = 0; i < TURNS; i++) {
        us[i] = ours();
        them[i] = theirs();
    }
    double a = bench_median(us, TURNS), b = bench_median(them, TURNS);
    printf("JSON: a Run of %zu bytes into its struct %.2f µs (%.2f GB/s); cJSON parse and free %.2f µs: %.2f times as fast\n", sizeof run - 1, a * 1e6,
           (double)(sizeof run - 1) / a / 1e9, b * 1e6, b / a);
    struct indexer *ix = indexer_new(0, 0);
    size_t before = bench_resident("self");
    char key[64];
    for (int i = 0; i < KEPT; i++) {
        snprintf(key, sizeof key, "reports/nightly-report-%d", i);
        indexer_set(ix, str_of(key), str_of(run));
    }
    printf("memory: %zu bytes per Run of %zu bytes that is kept by its key\n", (bench_resident("self") - before) / KEPT, sizeof run - 1);
    indexer_free(ix);
    return 0;
}
