/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock: the only file that asks the system what time it is and for random bytes.
 * The generator is xoshiro256** (Blackman, Vigna) seeded by splitmix64, written from its description.
 * Tests: tests/unit/core/clock.c
 */
#include "core/clock.h"
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <stdio.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
static int64_t system_mono(const struct clock *c) { (void)c; return read_clock(CLOCK_MONOTONIC); }
static int64_t system_wall(const struct clock *c) { (void)c; return read_clock(CLOCK_REALTIME); }
const struct clock clock_system = { system_mono, system_wall };

static int64_t fake_mono(const struct clock *c) { return container_of(c, const struct clock_fake, clock)->mono; }
static int64_t fake_wall(const struct clock *c) { return container_of(c, const struct clock_fake, clock)->wall; }

void clock_fake_init(struct clock_fake *f, int64_t mono_us, int64_t wall_us)
{
    *f = (struct clock_fake){ { fake_mono, fake_wall }, mono_us, wall_us };
}

void clock_fake_advance(struct clock_fake *f, int64_t us)
{
    f->mono += us;
    f->wall += us;
}

/* ---- random numbers ---- */
static uint64_t rotl(uint64_t x, int k) { return x << k | x >> (64 - k); }

void rnd_seed(struct rnd *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        r->s[i] = z ^ z >> 31;
    }
}

void rnd_secret(void *p, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t k = getrandom((char *)p + got, n - got, 0);
        if (k < 0 && errno != EINTR) abort();
        if (k > 0) got += (size_t)k;
    }
}

void rnd_system(struct rnd *r)
{
    uint64_t seed;
    rnd_secret(&seed, sizeof seed);
    rnd_seed(r, seed);
}

uint64_t rnd_u64(struct rnd *r)
{
    uint64_t *s = r->s, out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

uint64_t rnd_below(struct rnd *r, uint64_t n)
{
    uint64_t reject = -n % n, x;              /* 2^64 mod n: the numbers that would favour the small ones */
    do x = rnd_u64(r);
    while (x < reject);
    return x % n;
}

/* ---- RFC 3339 ---- */
/* v in n digits, and what stands behind them. */
static char *put(char *to, int n, unsigned v, char behind)
{
    for (int i = n; i-- > 0; v /= 10) to[i] = (char)('0' + v % 10);
    to[n] = behind;
    return to + n + 1;
}

static void print_time(char *out, int64_t wall_us, bool micro)
{
    time_t s = (time_t)(wall_us / 1000000);
    long us = (long)(wall_us % 1000000);
    struct tm tm;
    if (us < 0) us += 1000000, s--;
    gmtime_r(&s, &tm);
    char *at = put(out, 4, (unsigned)(tm.tm_year + 1900), '-');
    at = put(at, 2, (unsigned)tm.tm_mon + 1, '-');
    at = put(at, 2, (unsigned)tm.tm_mday, 'T');
    at = put(at, 2, (unsigned)tm.tm_hour, ':');
    at = put(at, 2, (unsigned)tm.tm_min, ':');
    at = put(at, 2, (unsigned)tm.tm_sec, micro ? '.' : 'Z');
    if (micro) at = put(at, 6, (unsigned)us, 'Z');
    *at = 0;
}

void time_print(char out[TIME_TEXT], int64_t wall_us) { print_time(out, wall_us, false); }
void time_print_micro(char out[TIME_TEXT], int64_t wall_us) { print_time(out, wall_us, true); }

/* Exactly n digits. */
static bool digits(struct str *s, size_t n, int *out)
{
    int64_t v;
    if (s->n < n || s->p[0] == '-' || !str_i64((struct str){ s->p, n }, &v)) return false;
    *out = (int)v;
    *s = str_from(*s, n);
    return true;
}
static bool letter(struct str *s, const char *any)
{
    if (!s->n || !s->p[0] || !strchr(any, s->p[0])) return false;
    *s = str_from(*s, 1);
    return true;
}

static bool fraction(struct str *s, int64_t *us)
{
    int64_t scale = 100000;
    size_t n = 0;
    *us = 0;
    if (!letter(s, ".,")) return true;
    for (; n < s->n && s->p[n] >= '0' && s->p[n] <= '9'; n++, scale /= 10) *us += (s->p[n] - '0') * scale;
    *s = str_from(*s, n);
    return n > 0;
}

static bool offset(struct str *s, int64_t *seconds)
{
    int h, m;
    *seconds = 0;
    if (letter(s, "Zz")) return true;
    bool west = s->n && s->p[0] == '-';
    if (!letter(s, "+-") || !digits(s, 2, &h) || !letter(s, ":") || !digits(s, 2, &m) || h > 23 || m > 59) return false;
    *seconds = (h * 60 + m) * (west ? -60 : 60);
    return true;
}

bool time_parse(struct str s, int64_t *wall_us)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    struct tm tm = { 0 };
    int64_t us, off;
    int y;
    if (!digits(&s, 4, &y) || !letter(&s, "-") || !digits(&s, 2, &tm.tm_mon) || !letter(&s, "-") || !digits(&s, 2, &tm.tm_mday) || !letter(&s, "Tt ")) return false;
    if (!digits(&s, 2, &tm.tm_hour) || !letter(&s, ":") || !digits(&s, 2, &tm.tm_min) || !letter(&s, ":") || !digits(&s, 2, &tm.tm_sec)) return false;
    if (!fraction(&s, &us) || !offset(&s, &off) || s.n) return false;
    bool leap = (y % 4 == 0 && y % 100) || y % 400 == 0;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > days[tm.tm_mon - 1] + (tm.tm_mon == 2 && leap)) return false;
    if (tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60) return false;
    tm.tm_year = y - 1900;
    tm.tm_mon--;
    *wall_us = ((int64_t)timegm(&tm) - off) * 1000000 + us;
    return true;
}

/* ---- HTTP ---- */
static const char day_names[] = "SunMonTueWedThuFriSat", month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

void time_print_http(char out[TIME_HTTP], int64_t wall_us)
{
    time_t s = (time_t)(wall_us / 1000000);
    struct tm tm;
    gmtime_r(&s, &tm);
    snprintf(out, TIME_HTTP, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", day_names + 3 * tm.tm_wday, (unsigned)tm.tm_mday % 100, month_names + 3 * tm.tm_mon,
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

bool time_parse_http(struct str s, int64_t *wall_us)
{
    char text[32];
    int month = 0;
    if (s.n != TIME_HTTP - 1 || s.p[3] != ',' || !str_ends(s, S(" GMT"))) return false;
    while (month < 12 && memcmp(month_names + 3 * month, s.p + 8, 3) != 0) month++;
    snprintf(text, sizeof text, "%.4s-%02d-%.2sT%.8sZ", s.p + 12, month + 1, s.p + 5, s.p + 17);
    return month < 12 && time_parse(str_of(text), wall_us);
}

/* ---- durations as Go prints them ---- */
bool duration_parse(struct str s, int64_t *us)
{
    static const struct { const char *name; double us; } units[] = { { "ns", 1e-3 }, { "us", 1 }, { "µs", 1 }, { "μs", 1 }, { "ms", 1e3 }, { "s", 1e6 }, { "m", 60e6 }, { "h", 3600e6 } };
    double all = 0;
    if (!s.n || s.n > 64) return false;
    while (s.n) {
        char number[66];
        size_t n = 0, u = 0, unit_n = 0, dots = 0;
        while (n < s.n && ((s.p[n] >= '0' && s.p[n] <= '9') || s.p[n] == '.')) dots += s.p[n++] == '.';
        if (!n || dots > 1 || (n == 1 && dots)) return false;
        memcpy(number, s.p, n);
        number[n] = 0;
        s = str_from(s, n);
        while (unit_n < s.n && s.p[unit_n] != '.' && (s.p[unit_n] < '0' || s.p[unit_n] > '9')) unit_n++;
        while (u < LEN(units) && !str_is((struct str){ s.p, unit_n }, units[u].name)) u++;
        if (u == LEN(units)) return false;
        all += strtod(number, NULL) * units[u].us;
        s = str_from(s, unit_n);
    }
    if (all > 9.2e18) return false;
    *us = (int64_t)(all + 0.5);
    return true;
}

void age_print(char out[AGE_TEXT], int64_t seconds)
{
    long long s = seconds < 0 ? 0 : seconds;
    if (s < 120)
        snprintf(out, AGE_TEXT, "%llds", s);
    else if (s < 600)
        snprintf(out, AGE_TEXT, s % 60 ? "%lldm%llds" : "%lldm", s / 60, s % 60);
    else if (s < 10800)
        snprintf(out, AGE_TEXT, "%lldm", s / 60);
    else if (s < 28800)
        snprintf(out, AGE_TEXT, s / 60 % 60 ? "%lldh%lldm" : "%lldh", s / 3600, s / 60 % 60);
    else if (s < 172800)
        snprintf(out, AGE_TEXT, "%lldh", s / 3600);
    else if (s < 691200)
        snprintf(out, AGE_TEXT, s / 3600 % 24 ? "%lldd%lldh" : "%lldd", s / 86400, s / 3600 % 24);
    else
        snprintf(out, AGE_TEXT, "%lldd", s / 86400);
}
