/* SPDX-License-Identifier: Apache-2.0 */
/* bench: scenarios of `make bench`. Each prints one line a figure; ratios are of one run of the program. */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H
#include "k8s/client.h"

struct bench { struct loop *loop; struct kube *kube; struct rnd rnd; const char *state; };
double bench_seconds(void);                       /* monotonic */
double bench_cpu_seconds(void);                   /* this process's: what else the machine does is not in it */
double bench_median(double *v, size_t n);         /* sorts */
double bench_percentile(double *sorted, size_t n, double p);
int bench_request(struct bench *, const char *method, struct str path, const char *type, struct str body, struct buf *answer);   /* HTTP status; waits */

int bench_throughput(struct bench *);             /* real.c */
int bench_replay(struct bench *);
int bench_rates(struct bench *);
int bench_version(void);
int bench_latency(struct bench *);
int bench_echo(struct bench *);
int bench_slots(struct bench *);
int bench_capacity(struct bench *);               /* sets $CAPACITY slots per pod and $ISOLATION (Process), waits for the new pods */
int bench_api(struct bench *);                    /* api.c: any API server, ours or another */
int bench_memory(struct bench *);                 /* processes.c */
void bench_cpu(struct bench *, const char *applet, double *seconds, size_t *count);
size_t bench_rss(struct bench *, const char *applet, size_t *count);      /* bytes, of the largest */
size_t bench_resident(const char *pid);           /* bytes; "self": of this process */
int bench_scheduler(void);                        /* scheduler.c */
int bench_json(void);                             /* decode.c */
int bench_http(void);                             /* wire.c: servers, which print "port N"; and clients */
int bench_grpc(void);
int bench_call(void);
int bench_hold(void);
int bench_lines(void);
#endif
