/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scheduler: its cache and pass alone: 100,000 waiting Runs, 1,000 pods. Decisions are counted until every slot is taken;
 * then Runs end and make room, so that the queue is worked off.
 */
#include "tests/bench/bench.h"
#include "crds/sched/sched.h"
#include <stdio.h>

enum { RUNS = 100000, PODS = 1000, SLOTS = 16, BATCH = 256 };

static void add_pods(struct sched *s)
{
    struct sched_amount runs = { S("runs"), SLOTS };
    sched_set_runtime(s, &(struct sched_runtime){ S("default"), S("bash"), { &runs, 1 }, false });
    for (int i = 0; i < PODS; i++) {
        char name[32];
        int n = snprintf(name, sizeof name, "pod-%d", i);
        struct str id = { name, (size_t)n };
        sched_set_pod(s, &(struct sched_pod){ .ns = S("default"), .name = id, .uid = id, .runtime = S("bash"), .node = S("n"), .capacity = { &runs, 1 }, .ready = true });
    }
}

static struct sched_run run_number(int i, char name[32], char uid[64])
{
    snprintf(name, 32, "run-%06d", i);
    snprintf(uid, 64, "8bc62323-41b1-4ad6-93e4-%012d", i);
    return (struct sched_run){ .ns = S("default"), .name = str_of(name), .uid = str_of(uid), .runtime = S("bash"), .version = (uint64_t)i + 1,
                               .phase = SCHED_PENDING, .priority = i % 5, .created_us = 1000000 + i };
}

int bench_scheduler(void)
{
    struct sched *s = sched_new();
    static struct sched_decision out[BATCH];
    char name[32], uid[64];
    add_pods(s);
    size_t before = bench_resident("self"), decided = 0;
    for (int i = 0; i < RUNS; i++) {
        struct sched_run r = run_number(i, name, uid);
        sched_set_run(s, &r, 2000000);
    }
    size_t bytes = (bench_resident("self") - before) / RUNS;
    double begin = bench_seconds(), spent = 0;
    while (decided < RUNS) {
        double from = bench_seconds();
        size_t n = sched_pass(s, 2000000, out, BATCH);
        spent += bench_seconds() - from;
        if (!n)
            break;
        decided += n;
        for (size_t i = 0; i < n; i++) {          /* the bind is written, and the Run ends at once */
            struct sched_run r = { .ns = out[i].ns, .name = out[i].run, .uid = out[i].uid, .runtime = S("bash"), .phase = SCHED_OVER };
            char a[32], u[64];
            snprintf(a, sizeof a, "%.*s", SFMT(out[i].run));
            snprintf(u, sizeof u, "%.*s", SFMT(out[i].uid));
            from = bench_seconds();
            sched_done(s, S("default"), str_of(a), str_of(u), RUNS + decided, 2000000);
            spent += bench_seconds() - from;
            r.ns = S("default");
            r.name = str_of(a);
            r.uid = str_of(u);
            r.version = 10 * RUNS + decided;
            sched_set_run(s, &r, 2000000);
        }
    }
    double whole = bench_seconds() - begin;
    printf("scheduler alone: %d waiting Runs, %d pods: %.0f decisions/s (%.0f/s with every event of the cache), %zu bytes per cached Run\n", RUNS, PODS,
           (double)decided / spent, (double)decided / whole, bytes);
    sched_free(s);
    return decided != RUNS;
}
