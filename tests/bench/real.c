/* SPDX-License-Identifier: Apache-2.0 */
/*
 * real: Runs through the whole product, and the same writes replayed with nothing executed. A watch of our own tells when a
 * Run is over, as it would tell a user.
 */
#include "tests/bench/bench.h"
#include "core/json.h"
#include "core/map.h"
#include "k8s/informer.h"
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

extern char **environ;
#define RUNS_PATH S("/apis/kruntimes.io/v1alpha1/namespaces/default/runs")
enum { FEW = 1000, MANY = 2000, SUBMITTERS = 32, MOST_LANES = 256 };

/* $KR_BENCH_RUNS of $KR_BENCH_SUBMITTERS, where another number is asked for (a cluster's figures are of 500 by 50). */
static size_t number(const char *name, size_t otherwise)
{
    int64_t n;
    return getenv(name) && str_i64(str_of(getenv(name)), &n) && n > 0 ? (size_t)n : otherwise;
}

static size_t many(void) { return number("KR_BENCH_RUNS", MANY); }

static size_t submitters(void)
{
    size_t n = number("KR_BENCH_SUBMITTERS", SUBMITTERS);
    return n < MOST_LANES ? n : MOST_LANES;
}

struct load {
    struct bench *b;
    size_t want, next, posted, over, in_flight, width;
    const char *prefix, *spec;                    /* members of spec */
    struct informer *watch;
    double *begun, *ended;                        /* by number */
    int bad;
};

static size_t number_of(struct load *l, struct str name)
{
    int64_t n;
    size_t skip = strlen(l->prefix);
    return str_starts(name, str_of(l->prefix)) && str_i64(str_from(name, skip), &n) ? (size_t)n : SIZE_MAX;
}

static void seen(void *ctx, struct str key, struct str json)
{
    struct load *l = ctx;
    AUTO_ARENA struct arena a = { .limit = 4096 };
    static const char *const path[] = { "status", "phase" };
    struct str name = key, phase = json_str_of(json_find_path(json, path, 2), &a);
    str_cut(&name, '/');
    size_t n = number_of(l, name);
    if (n >= l->want || l->ended[n] || !phase.n)
        return;
    if (!str_is(phase, "Succeeded") && !str_is(phase, "Failed"))
        return;
    l->bad += str_is(phase, "Failed");
    l->ended[n] = bench_seconds();
    l->over++;
}

static void gone(void *ctx, struct str key, struct str json)
{
    (void)ctx;
    (void)key;
    (void)json;
}

static void post_more(struct load *l);

static void posted(void *ctx, const struct kube_result *r)
{
    struct load *l = ctx;
    if (r->error) {
        fprintf(stderr, "bench: %s\n", r->error->msg);
        exit(1);
    }
    l->in_flight--;
    l->posted++;
    post_more(l);
}

static void post_more(struct load *l)
{
    while (l->next < l->want && l->in_flight < l->width) {
        char body[1024];
        int n = snprintf(body, sizeof body, "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Run\",\"metadata\":{\"name\":\"%s%zu\",\"labels\":{\"load\":\"%sx\"}},\"spec\":{%s}}",
                         l->prefix, l->next, l->prefix, l->spec);
        l->begun[l->next++] = bench_seconds();
        l->in_flight++;
        kube_create(l->b->kube, &kube_runs, S("default"), (struct str){ body, (size_t)n }, (struct kube_user){ posted, l });
    }
}

static bool all_over(void *ctx)
{
    struct load *l = ctx;
    return l->over == l->want;
}

static bool is_synced(void *ctx) { return informer_is_live(((struct load *)ctx)->watch); }

/* Submits `want` Runs, `width` at a time, and waits for their ends. Seconds for all of it. Watched by a label of their own: a list of
 * what else lies in the namespace would be work of the API server that is none of the product's. */
static double run_load(struct load *l)
{
    char labels[64];
    snprintf(labels, sizeof labels, "load=%sx", l->prefix);
    l->begun = xcalloc(l->want, sizeof *l->begun);
    l->ended = xcalloc(l->want, sizeof *l->ended);
    l->watch = informer_new(l->b->kube, &(struct informer_config){ .resource = &kube_runs, .ns = S("default"), .labels = str_of(labels), .user = { .set = seen, .gone = gone, .ctx = l } },
                            &l->b->rnd);
    loop_run_until(l->b->loop, is_synced, l, INT64_MAX);
    double begin = bench_seconds();
    post_more(l);
    loop_run_until(l->b->loop, all_over, l, INT64_MAX);
    double took = bench_seconds() - begin;
    informer_free(l->watch);
    if (l->bad)
        printf("%d of the Runs failed\n", l->bad);
    return took;
}

static uint64_t revision(struct bench *b)
{
    AUTO_BUF struct buf body = { .max = 1 << 20 };
    AUTO_ARENA struct arena a = { .limit = 4096 };
    static const char *const rv[] = { "metadata", "resourceVersion" };
    uint64_t n = 0;
    bench_request(b, "GET", S("/api/v1/namespaces"), NULL, S(""), &body);
    str_u64(json_str_of(json_find_path(buf_view(&body), rv, 2), &a), &n);
    return n;
}

int bench_throughput(struct bench *b)
{
    static const char *const parts[] = { "apiserver", "scheduler", "controller", "runtimed", "runtime-server", "node" };
    double before[LEN(parts)], after;
    size_t count;
    for (size_t i = 0; b->state && i < LEN(parts); i++)
        bench_cpu(b, parts[i], &before[i], &count);
    uint64_t from = revision(b);
    const char *prefix = getenv("KR_BENCH_PREFIX");
    struct load l = { .b = b, .want = many(), .width = submitters(), .prefix = prefix ? prefix : "t", .spec = "\"runtime\":\"bash\",\"args\":[\"true\",\"\"]" };
    double took = run_load(&l), n = (double)l.want;
    printf("throughput: %zu Runs of true, %zu submitters: %.2f s, %.0f Runs/s, %.2f API writes per Run\n", l.want, l.width, took, n / took,
           (double)(revision(b) - from) / n);
    printf("RATE %f\n", n / took);
    if (!b->state)
        return l.bad != 0;                        /* not ours to see: the parts are in pods */
    printf("CPU per Run:");
    for (size_t i = 0; i < LEN(parts); i++) {
        bench_cpu(b, parts[i], &after, &count);
        printf(" %s %.0f us", parts[i], (after - before[i]) / n * 1e6);
    }
    printf("\n");
    return l.bad != 0;
}

/* ---- replay ------------------------------------------------------------------------------------------------------ */

struct lane { struct replay *r; size_t n; int step, end; };      /* steps: 0 create, 1 bind, 2 Running where it is written too, last the end */
struct replay { struct bench *b; size_t many, next, over, running; struct informer *watches[5]; };

static void lane_next(struct lane *k);

/* Of a whole Run: so many of a hundred live long enough to be told Running. */
static int whole_run(const struct replay *r, size_t n) { return n % 100 < r->running ? 4 : 3; }

static void lane_done(void *ctx, const struct kube_result *r)
{
    struct lane *k = ctx;
    if (r->error) {
        fprintf(stderr, "bench: %s\n", r->error->msg);
        exit(1);
    }
    k->step++;
    lane_next(k);
}

static const char bind_body[] =
    "{\"status\":{\"phase\":\"Scheduled\",\"reason\":null,\"message\":null,\"assignedPod\":\"runtime-bash-553234-%05zu\",\"assignedPodUID\":\"9b2f2f7e-53a8-4f0e-8c57-1d1b3f9d7a2%zu\","
    "\"attempt\":1,\"timings\":{\"scheduled\":\"2026-01-01T00:00:00.000000Z\"},\"conditions\":[{\"type\":\"Scheduled\",\"status\":\"True\","
    "\"lastTransitionTime\":\"2026-01-01T00:00:00Z\",\"reason\":\"Assigned\",\"message\":\"least loaded of 2, now runs 1/16\"}]}}";
static const char running_body[] =
    "[{\"op\":\"test\",\"path\":\"/status/attempt\",\"value\":1},{\"op\":\"test\",\"path\":\"/status/phase\",\"value\":\"Scheduled\"},"
    "{\"op\":\"add\",\"path\":\"/status/phase\",\"value\":\"Running\"},{\"op\":\"add\",\"path\":\"/status/startTime\",\"value\":\"2026-01-01T00:00:00Z\"},"
    "{\"op\":\"add\",\"path\":\"/status/accessKey\",\"value\":\"0123456789abcdef0123456789abcdef\"},"
    "{\"op\":\"add\",\"path\":\"/status/conditions\",\"value\":["
    "{\"type\":\"Scheduled\",\"status\":\"True\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\",\"reason\":\"Assigned\",\"message\":\"least loaded of 2, now runs 1/16\"},"
    "{\"type\":\"Started\",\"status\":\"True\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\",\"reason\":\"Executed\",\"message\":\"\"}]}]";
static const char end_body[] =
    "[{\"op\":\"test\",\"path\":\"/status/attempt\",\"value\":1},{\"op\":\"test\",\"path\":\"/status/phase\",\"value\":\"%s\"},"
    "{\"op\":\"add\",\"path\":\"/status/phase\",\"value\":\"Succeeded\"},{\"op\":\"add\",\"path\":\"/status/startTime\",\"value\":\"2026-01-01T00:00:00Z\"},"
    "{\"op\":\"add\",\"path\":\"/status/completionTime\",\"value\":\"2026-01-01T00:00:00Z\"},{\"op\":\"add\",\"path\":\"/status/duration\",\"value\":\"2ms\"},"
    "{\"op\":\"add\",\"path\":\"/status/exitCode\",\"value\":0},{\"op\":\"add\",\"path\":\"/status/accessKey\",\"value\":\"0123456789abcdef0123456789abcdef\"},"
    "{\"op\":\"add\",\"path\":\"/status/timings\",\"value\":{\"scheduled\":\"2026-01-01T00:00:00.000000Z\",\"started\":\"2026-01-01T00:00:00.000000Z\","
    "\"executed\":\"2026-01-01T00:00:00.000000Z\",\"finished\":\"2026-01-01T00:00:00.000000Z\"}},{\"op\":\"add\",\"path\":\"/status/conditions\",\"value\":["
    "{\"type\":\"Scheduled\",\"status\":\"True\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\",\"reason\":\"Assigned\",\"message\":\"least loaded of 2, now runs 1/16\"},"
    "{\"type\":\"Finished\",\"status\":\"True\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\",\"reason\":\"Succeeded\",\"message\":\"\"},"
    "{\"type\":\"Succeeded\",\"status\":\"True\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\",\"reason\":\"Succeeded\",\"message\":\"\"},"
    "{\"type\":\"Started\",\"status\":\"True\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\",\"reason\":\"Executed\",\"message\":\"\"}]}]";

static void lane_next(struct lane *k)
{
    char name[64], body[4096];
    const char *prefix = getenv("KR_BENCH_PREFIX");
    struct kube_user user = { lane_done, k };
    if (k->step == k->end) {
        k->step = k->end > 2 ? 0 : k->end - 1;
        k->r->over++;
        k->n = k->r->next++;
        if (k->end > 2)
            k->end = whole_run(k->r, k->n);
    }
    if (k->n >= k->r->many)
        return;
    snprintf(name, sizeof name, "%s%zu", prefix ? prefix : "p", k->n);
    if (k->step == 0) {
        snprintf(body, sizeof body, "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Run\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"load\":\"%sx\"}},\"spec\":{\"runtime\":\"bash\",\"args\":[\"true\",\"\"]}}",
                 name, prefix ? prefix : "p");
        kube_create(k->r->b->kube, &kube_runs, S("default"), str_of(body), user);
    } else if (k->step == 1) {
        snprintf(body, sizeof body, bind_body, k->n % 2, k->n % 2);
        kube_merge_patch(k->r->b->kube, &kube_runs, S("default"), str_of(name), "status", str_of(body), user);
    } else if (k->step + 1 < k->end) {
        kube_json_patch(k->r->b->kube, &kube_runs, S("default"), str_of(name), "status", str_of(running_body), user);
    } else {
        snprintf(body, sizeof body, end_body, k->end > 3 ? "Running" : "Scheduled");
        kube_json_patch(k->r->b->kube, &kube_runs, S("default"), str_of(name), "status", str_of(body), user);
    }
}

static void nothing(void *ctx, struct str key, struct str json)
{
    (void)ctx;
    (void)key;
    (void)json;
}

static bool all_replayed(void *ctx) { return ((struct replay *)ctx)->over >= ((struct replay *)ctx)->many; }

static bool watches_live(void *ctx)
{
    struct replay *r = ctx;
    for (size_t i = 0; i < LEN(r->watches); i++)
        if (!informer_is_live(r->watches[i]))
            return false;
    return true;
}

/* Seconds that n processes take, SUBMITTERS at a time. */
static double spawn_many(const char *const *argv, size_t n)
{
    double begin = bench_seconds();
    size_t started = 0, running = 0;
    int status;
    while (started < n || running) {
        pid_t pid;
        while (started < n && running < submitters() && posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ) == 0) {
            started++;
            running++;
        }
        if (wait(&status) > 0)
            running--;
    }
    return bench_seconds() - begin;
}

/* All steps from `first` to before `end` for each Run, as many Runs at a time as there are submitters. Seconds. */
static double play(struct replay *r, int first, int end)
{
    static struct lane lanes[MOST_LANES];
    double begin = bench_seconds();
    r->next = r->over = 0;
    for (size_t i = 0; i < submitters(); i++) {
        lanes[i] = (struct lane){ .r = r, .n = r->next++, .step = first, .end = end > 2 ? whole_run(r, i) : end };
        lane_next(&lanes[i]);
    }
    loop_run_until(r->b->loop, all_replayed, r, INT64_MAX);
    return bench_seconds() - begin;
}

/* What the API server can write when nobody watches: creates of Runs, then patches of their status. Nothing may act on them. */
int bench_rates(struct bench *b)
{
    struct replay r = { .b = b, .many = many() };
    double n = (double)r.many, create = n / play(&r, 0, 1), patch = n / play(&r, 1, 2);
    printf("rates: %zu at a time: %.0f creates/s, %.0f status patches/s\nRATE %f %f\n", submitters(), create, patch, create, patch);
    return 0;
}

/* The watches that the product has open: controller and user (all), scheduler (unfinished), two runtimeds (their own). */
int bench_replay(struct bench *b)
{
    static const char *const fields[] = { "", "", "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Timeout,status.phase!=Cancelled",
                                          "status.assignedPod=runtime-bash-553234-00000", "status.assignedPod=runtime-bash-553234-00001" };
    struct replay r = { .b = b, .many = many() };
    for (size_t i = 0; i < LEN(fields); i++)
        r.watches[i] = informer_new(b->kube, &(struct informer_config){ .resource = &kube_runs, .fields = str_of(fields[i]), .user = { .set = nothing, .gone = nothing } },
                                    &b->rnd);
    loop_run_until(b->loop, watches_live, &r, INT64_MAX);
    r.running = number("KR_BENCH_RUNNING", 0);
    double took = play(&r, 0, 3), n = (double)r.many;
    const char *const argv[] = { "true", NULL };
    double bare = spawn_many(argv, r.many);
    printf("replay: the same watches and %.2f writes per Run, nothing executed: %.2f s, %.0f Runs/s; %zu bare posix_spawn of the same true: %.2f s\nRATE %f %f\n",
           3 + (double)r.running / 100, took, n / took, r.many, bare, n / took, n / (took + bare));
    return 0;
}

/* ---- latency ----------------------------------------------------------------------------------------------------- */

static double spawn_once(const char *file, const char *const *argv)
{
    pid_t pid;
    int status;
    double begin = bench_seconds();
    if (posix_spawn(&pid, file, NULL, NULL, (char *const *)argv, environ) != 0)
        return 0;
    waitpid(pid, &status, 0);
    return bench_seconds() - begin;
}

int bench_version(void)
{
    enum { N = 300 };
    static double ours[N], theirs[N];
    const char *const argv[] = { "kruntimes", "version", NULL }, *const true_argv[] = { "true", NULL };
    fflush(stdout);
    for (size_t i = 0; i < N; i++) {
        ours[i] = spawn_once("build/kruntimes", argv);
        theirs[i] = spawn_once("/bin/true", true_argv);
    }
    printf("kruntimes version: %.0f us from posix_spawn to its end (p50); true of coreutils, in turns with it: %.0f us\n", bench_median(ours, N) * 1e6, bench_median(theirs, N) * 1e6);
    return 0;
}

int bench_latency(struct bench *b)
{
    enum { N = 200 };
    static double spawn[N], patch[N], whole[N];
    const char *const argv[] = { "bash", "-c", "true", NULL };
    for (size_t i = 0; i < N; i++)
        spawn[i] = spawn_once("/bin/bash", argv);
    struct load first = { .b = b, .want = 1, .width = 1, .prefix = "lat-first", .spec = "\"runtime\":\"bash\",\"args\":[\"true\"]" };
    run_load(&first);
    for (size_t i = 0; i < N; i++) {
        double begin = bench_seconds();
        bench_request(b, "PATCH", S("/apis/kruntimes.io/v1alpha1/namespaces/default/runs/lat-first0/status"), "application/merge-patch+json",
                      i % 2 ? S("{\"status\":{\"message\":\"a\"}}") : S("{\"status\":{\"message\":\"b\"}}"), NULL);
        patch[i] = bench_seconds() - begin;
    }
    for (size_t i = 0; i < N; i++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "lat%zu-", i);
        struct load l = { .b = b, .want = 1, .width = 1, .prefix = prefix, .spec = "\"runtime\":\"bash\",\"args\":[\"true\"]" };
        run_load(&l);
        whole[i] = l.ended[0] - l.begun[0];
    }
    double s = bench_median(spawn, N), p = bench_median(patch, N), w = bench_median(whole, N);
    printf("latency: submit to Finished p50 %.2f ms, p99 %.2f ms; bare posix_spawn p50 %.2f ms; one status patch p50 %.2f ms; (%.2f - %.2f) / %.2f = %.1f\n",
           w * 1e3, bench_percentile(whole, N, 0.99) * 1e3, s * 1e3, p * 1e3, w * 1e3, s * 1e3, p * 1e3, (w - s) / p);
    return 0;
}

/* ---- echo, slots ------------------------------------------------------------------------------------------------- */

int bench_echo(struct bench *b)
{
    const char *const argv[] = { "bash", "-c", "echo hello >/dev/null", NULL };
    struct load l = { .b = b, .want = FEW, .width = SUBMITTERS, .prefix = "e", .spec = "\"runtime\":\"bash\",\"args\":[\"echo hello\"]" };
    double took = run_load(&l), bare = spawn_many(argv, FEW);
    printf("echo: %.0f Runs/s through bash; a loop of posix_spawn of the same bash, %d at a time: %.0f/s; ratio %.2f\n", FEW / took, SUBMITTERS,
           FEW / bare, bare / took);
    return l.bad != 0;
}

int bench_slots(struct bench *b)
{
    struct load l = { .b = b, .want = 50, .width = 50, .prefix = "s", .spec = "\"runtime\":\"bash\",\"args\":[\"sleep\",\"0.5\"]" };
    double took = run_load(&l), ideal = 7 * 0.5;
    printf("slots: 50 Runs of 500 ms over 8 slots: %.3f s of at least %.1f s; ratio %.3f\nRATE %f\n", took, ideal, ideal / took, ideal / took);
    return l.bad != 0;
}

/* ---- capacity ---------------------------------------------------------------------------------------------------- */

struct capacity { struct informer *watch; int64_t want; bool ready; };

static void runtime_seen(void *ctx, struct str key, struct str json)
{
    struct capacity *c = ctx;
    static const char *const runs[] = { "status", "capacity", "runs" }, *const pods[] = { "status", "replicas" }, *const ready[] = { "status", "readyReplicas" };
    int64_t n = 0, have = 0, up = 0;
    (void)key;
    str_i64(json_find_path(json, runs, 3), &n);
    str_i64(json_find_path(json, pods, 2), &have);
    str_i64(json_find_path(json, ready, 2), &up);
    c->ready = n == 2 * c->want && have == 2 && up == 2;
}

static bool capacity_ready(void *ctx) { return ((struct capacity *)ctx)->ready; }

int bench_capacity(struct bench *b)
{
    struct capacity c = { 0 };
    char body[128];
    const char *isolation = getenv("ISOLATION");
    str_i64(str_of(getenv("CAPACITY")), &c.want);
    snprintf(body, sizeof body, "{\"spec\":{\"isolation\":\"%s\",\"capacity\":{\"resources\":{\"runs\":%lld}}}}", isolation ? isolation : "Process", (long long)c.want);
    bench_request(b, "PATCH", S("/apis/kruntimes.io/v1alpha1/namespaces/default/runtimes/bash"), "application/merge-patch+json", str_of(body), NULL);
    c.watch = informer_new(b->kube, &(struct informer_config){ .resource = &kube_runtimes, .ns = S("default"), .user = { .set = runtime_seen, .gone = gone, .ctx = &c } },
                           &b->rnd);
    return loop_run_until(b->loop, capacity_ready, &c, loop_now_us(b->loop) + 30000000) != 0;
}
