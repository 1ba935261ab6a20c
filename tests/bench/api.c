/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api: what an API server takes, ours or another that $KUBECONFIG names: 32 clients, each with a connection of its own, make
 * the same requests one after the other. $API_PID is the server's process, for its memory. Lines that begin with RATE are
 * for tests/bench/api, which divides one server's by the other's.
 */
#include "tests/bench/bench.h"
#include "core/fs.h"
#include "core/json.h"
#include <stdio.h>

enum { CLIENTS = 32, OBJECTS = 10000, READS = 20000, WATCHERS = 1000, WATCHED = 20 };
#define RUNS "/apis/kruntimes.io/v1alpha1/namespaces/default/runs"
static const char spec[] = "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Run\",\"metadata\":{\"name\":\"a%zu\",\"labels\":{\"app\":\"bench\"}},"
                           "\"spec\":{\"runtime\":\"bash\",\"args\":[\"echo\",\"hello\"],\"env\":[{\"name\":\"A\",\"value\":\"b\"}],\"timeoutSeconds\":60}}";
static const char status[] = "{\"status\":{\"phase\":\"Scheduled\",\"assignedPod\":\"runtime-bash-553234-%05zu\",\"assignedPodUID\":"
                             "\"9b2f2f7e-53a8-4f0e-8c57-1d1b3f9d7a21\",\"attempt\":1,\"conditions\":[{\"type\":\"Scheduled\",\"status\":\"True\","
                             "\"lastTransitionTime\":\"2026-01-01T00:00:00Z\",\"reason\":\"Assigned\",\"message\":\"least loaded of 2\"}]}}";

enum what { CREATE, PATCH, GET };
struct round;
struct client { struct round *r; struct kube *kube; };
struct round { enum what what; size_t want, next, over; struct client clients[CLIENTS]; };

static void next_one(struct client *c);

static void one_done(void *ctx, const struct kube_result *r)
{
    struct client *c = ctx;
    if (r->error) {
        fprintf(stderr, "bench: %s\n", r->error->msg);
        exit(1);
    }
    c->r->over++;
    next_one(c);
}

static void next_one(struct client *c)
{
    char body[1024], name[32];
    struct kube_user user = { one_done, c };
    size_t n = c->r->next++;
    if (n >= c->r->want)
        return;
    snprintf(name, sizeof name, "a%zu", n % OBJECTS);
    if (c->r->what == CREATE) {
        snprintf(body, sizeof body, spec, n);
        kube_create(c->kube, &kube_runs, S("default"), str_of(body), user);
    } else if (c->r->what == PATCH) {
        snprintf(body, sizeof body, status, n);
        kube_merge_patch(c->kube, &kube_runs, S("default"), str_of(name), "status", str_of(body), user);
    } else {
        kube_get(c->kube, &kube_runs, S("default"), str_of(name), user);
    }
}

static bool round_over(void *ctx)
{
    struct round *r = ctx;
    return r->over >= r->want;
}

static void rate(struct bench *b, struct round *r, enum what what, size_t want, const char *name)
{
    r->what = what;
    r->want = want;
    r->next = r->over = 0;
    double begin = bench_seconds();
    for (size_t i = 0; i < CLIENTS; i++)
        next_one(&r->clients[i]);
    loop_run_until(b->loop, round_over, r, INT64_MAX);
    double took = bench_seconds() - begin;
    printf("%s: %zu by %d clients in %.2f s: %.0f/s\nRATE %s %f\n", name, want, CLIENTS, took, (double)want / took, name, (double)want / took);
    fflush(stdout);
}

/* ---- watchers ---------------------------------------------------------------------------------------------------- */

struct crowd { struct bench *b; size_t open, lines, posted; };

static void crowd_opened(void *ctx) { ((struct crowd *)ctx)->open++; }
static void crowd_line(void *ctx, struct str json)
{
    if (str_find(json, S("\"ADDED\"")) >= 0)
        ((struct crowd *)ctx)->lines++;
}
static void crowd_ended(void *ctx, int code, const struct kr_err *error)
{
    (void)ctx;
    fprintf(stderr, "bench: a watch ended: %d %s\n", code, error ? error->msg : "");
    exit(1);
}

static bool crowd_open(void *ctx) { return ((struct crowd *)ctx)->open == WATCHERS; }
static bool crowd_told(void *ctx) { return ((struct crowd *)ctx)->lines >= (size_t)WATCHERS * WATCHED; }

static void crowd(struct bench *b, struct round *r)
{
    struct crowd c = { .b = b };
    AUTO_BUF struct buf list = { .max = 1 << 20 };
    AUTO_ARENA struct arena a = { .limit = 65536 };
    static const char *const rv[] = { "metadata", "resourceVersion" };
    bench_request(b, "GET", S(RUNS "?limit=1&labelSelector=none"), NULL, S(""), &list);
    struct str from = json_str_of(json_find_path(buf_view(&list), rv, 2), &a);
    struct str path = arena_fmt(&a, RUNS "?watch=1&labelSelector=app%%3Dcrowd&resourceVersion=%.*s", SFMT(from));
    for (size_t i = 0; i < WATCHERS; i++)
        kube_open_stream(r->clients[i % CLIENTS].kube, path, (struct kube_stream_user){ crowd_opened, crowd_line, crowd_ended, &c });
    loop_run_until(b->loop, crowd_open, &c, INT64_MAX);
    double begin = bench_seconds();
    for (size_t i = 0; i < WATCHED; i++) {
        struct str body = arena_fmt(&a, "{\"apiVersion\":\"kruntimes.io/v1alpha1\",\"kind\":\"Run\",\"metadata\":{\"name\":\"crowd%zu\",\"labels\":{\"app\":\"crowd\"}},"
                                        "\"spec\":{\"runtime\":\"bash\",\"args\":[\"true\"]}}", i);
        bench_request(b, "POST", S(RUNS), NULL, body, NULL);
    }
    loop_run_until(b->loop, crowd_told, &c, INT64_MAX);
    double took = bench_seconds() - begin;
    printf("watchers: %d creates told to each of %d: %.2f s, %.0f events/s\nRATE watchers %f\n", WATCHED, WATCHERS, took, WATCHED * WATCHERS / took,
           WATCHED * WATCHERS / took);
}

static double own_memory(const char *pid)
{
    char path[64];
    int64_t kib = 0;
    struct kr_err ignored = { 0 };
    AUTO_BUF struct buf text = { .max = 65536 };
    snprintf(path, sizeof path, "/proc/%.20s/status", pid);
    if (fs_read(path, &text, &ignored) == 0) {
        struct str rest = buf_view(&text);
        ptrdiff_t at = str_find(rest, S("VmRSS:"));
        if (at >= 0) {
            rest = str_trim(str_from(rest, (size_t)at + 6));
            str_i64(str_cut(&rest, ' '), &kib);
        }
    }
    return (double)kib / 1024;
}

int bench_api(struct bench *b)
{
    static struct round r;
    struct kube_config kc;
    struct kr_err e = { 0 };
    const char *pid = getenv("API_PID");
    if (!pid || kube_config_find(&kc, &(struct kube_flags){ 0 }, &e) < 0)
        return fprintf(stderr, "bench: API_PID is to be set\n"), 1;
    for (size_t i = 0; i < CLIENTS; i++) {
        r.clients[i].r = &r;
        if (!(r.clients[i].kube = kube_new(b->loop, &kc, "kruntimes-bench", &e)))
            return fprintf(stderr, "bench: %s\n", e.msg), 1;
    }
    double before = own_memory(pid);
    rate(b, &r, CREATE, OBJECTS, "creates");
    double after = own_memory(pid);
    printf("memory: %.1f MB before, %.1f MB with %d Runs: %.2f MB per 1000\n", before, after, OBJECTS, (after - before) * 1000 / OBJECTS);
    rate(b, &r, PATCH, OBJECTS, "status-patches");
    rate(b, &r, GET, READS, "gets");
    AUTO_BUF struct buf list = { .max = 256 << 20 };
    double times[5];
    for (size_t i = 0; i < LEN(times); i++) {
        buf_clear(&list);
        double begin = bench_seconds();
        bench_request(b, "GET", S(RUNS), NULL, S(""), &list);
        times[i] = bench_seconds() - begin;
    }
    double t = bench_median(times, LEN(times));
    printf("list of %d Runs: %.1f MB in %.0f ms\nRATE lists %f\n", OBJECTS, (double)list.n / 1e6, t * 1e3, 1 / t);
    crowd(b, &r);
    printf("memory: %.1f MB at the end\n", own_memory(pid));
    return 0;
}
