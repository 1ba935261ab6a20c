/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench: `build/bench SCENARIO`, against the API server that $KUBECONFIG names (tests/bench/run starts what is needed). One
 * process, one loop, as many requests at a time as the scenario says: the load generator costs as little as the product's
 * own client.
 */
#include "tests/bench/bench.h"
#include <stdio.h>
#include <time.h>

static double read_clock(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double bench_seconds(void) { return read_clock(CLOCK_MONOTONIC); }
double bench_cpu_seconds(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double bench_percentile(double *sorted, size_t n, double p)
{
    size_t i = (size_t)(p * (double)n);
    return n ? sorted[i < n ? i : n - 1] : 0;
}

double bench_median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return bench_percentile(v, n, 0.5);
}

struct one { bool done; int status; struct buf *answer; };

static void answered(void *ctx, const struct kube_result *r)
{
    struct one *o = ctx;
    o->done = true;
    o->status = r->status;
    if (o->answer && !r->error)
        buf_str(o->answer, r->body);
    if (r->error && r->status != 404)
        fprintf(stderr, "bench: %s\n", r->error->msg);
}

static bool is_done(void *ctx) { return ((struct one *)ctx)->done; }

int bench_request(struct bench *b, const char *method, struct str path, const char *type, struct str body, struct buf *answer)
{
    struct one o = { .answer = answer };
    kube_send(b->kube, &(struct kube_request){ .method = method, .path = path, .body = body, .content_type = type }, (struct kube_user){ answered, &o });
    loop_run_until(b->loop, is_done, &o, INT64_MAX);
    return o.status;
}

int main(int argc, char **argv)
{
    static const struct { const char *name; int (*run)(struct bench *); } scenarios[] = {
        { "throughput", bench_throughput }, { "replay", bench_replay }, { "rates", bench_rates }, { "latency", bench_latency },
        { "echo", bench_echo },
        { "slots", bench_slots }, { "memory", bench_memory }, { "capacity", bench_capacity }, { "api", bench_api } };
    static const struct { const char *name; int (*run)(void); } alone[] = {          /* without an API server */
        { "scheduler", bench_scheduler }, { "version", bench_version }, { "json", bench_json }, { "http", bench_http }, { "grpc", bench_grpc },
        { "call", bench_call }, { "hold", bench_hold }, { "lines", bench_lines } };
    struct kube_config kc;
    struct kr_err e = { 0 };
    struct bench b = { .state = getenv("KRUNTIMES_STATE_DIR") };
    for (size_t i = 0; argc == 2 && i < LEN(alone); i++)
        if (!strcmp(argv[1], alone[i].name))
            return alone[i].run();
    if (kube_config_find(&kc, &(struct kube_flags){ 0 }, &e) < 0) {
        fprintf(stderr, "bench: %s\n", e.msg);
        return 1;
    }
    rnd_system(&b.rnd);
    b.loop = loop_new(&clock_system);
    b.kube = kube_new(b.loop, &kc, "kruntimes-bench", &e);
    for (size_t i = 0; b.kube && argc == 2 && i < LEN(scenarios); i++)
        if (!strcmp(argv[1], scenarios[i].name))
            return scenarios[i].run(&b);
    fprintf(stderr, "usage: bench throughput|replay|rates|latency|echo|slots|memory|api|scheduler|version|json|http|grpc|call|hold|lines\n");
    return 2;
}
