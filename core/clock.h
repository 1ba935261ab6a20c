/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock and rnd: time and randomness are arguments, so that a test runs a day of backoff in a millisecond and replays
 * a failure from its seed. Nothing else in the tree asks the system for either.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H
#include "core/kr.h"

struct clock {
    int64_t (*mono_us)(const struct clock *);   /* microseconds that never go back: deadlines, durations */
    int64_t (*wall_us)(const struct clock *);   /* microseconds since 1970 UTC: what is written into objects */
};
extern const struct clock clock_system;

struct clock_fake { struct clock clock; int64_t mono, wall; };        /* &f.clock is a clock; the test moves both */
void clock_fake_init(struct clock_fake *f, int64_t mono_us, int64_t wall_us);
void clock_fake_advance(struct clock_fake *f, int64_t us);

struct rnd { uint64_t s[4]; };
void rnd_seed(struct rnd *r, uint64_t seed);                 /* the same seed gives the same numbers, everywhere */
void rnd_system(struct rnd *r);                              /* from the kernel */
uint64_t rnd_u64(struct rnd *r);
uint64_t rnd_below(struct rnd *r, uint64_t n);               /* 0 … n-1 without bias; n > 0 */
void rnd_secret(void *p, size_t n);                          /* bytes for secrets, always from the kernel; aborts if it has none */

/* RFC 3339 as Kubernetes writes it. */
enum { TIME_TEXT = 28 };
void time_print(char out[TIME_TEXT], int64_t wall_us);       /* metav1.Time: 2026-01-02T03:04:05Z */
void time_print_micro(char out[TIME_TEXT], int64_t wall_us); /* metav1.MicroTime: 2026-01-02T03:04:05.123456Z */
bool time_parse(struct str s, int64_t *wall_us);             /* either, and any offset; false when it isn't one */
/* The date of HTTP (RFC 9110 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT"; other forms are not read. */
enum { TIME_HTTP = 30 };
void time_print_http(char out[TIME_HTTP], int64_t wall_us);
bool time_parse_http(struct str s, int64_t *wall_us);
bool duration_parse(struct str s, int64_t *us);              /* "1.5s", "1m30s", "100ms", "5µs" (api: backoff); false beyond int64 or empty */
/* A duration for people, two units at most, as kubectl has it: 45s, 3m20s, 25m, 2h5m, 3d4h, 40d. */
enum { AGE_TEXT = 32 };
void age_print(char out[AGE_TEXT], int64_t seconds);
#endif
