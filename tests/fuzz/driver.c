/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver: runs a target on inputs that it makes of others by small changes, and keeps those that reach code no other did:
 * gcc's -fsanitize-coverage=trace-pc calls us at each basic block. It needs nothing but gcc.
 *
 * Inputs are the files and folders that are named; what reaches something new goes into the folder --keep. The input at which
 * the process ends (a sanitizer's finding, a DEMAND, 10 s of work without an end) is left in build/fuzz/TARGET.crash. Not here:
 * what the targets demand. See fuzz.h.
 */
#include "tests/fuzz/fuzz.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MAP = 1 << 16, INPUT_MAX = 1 << 14, HANG_S = 10 };
struct input { char *p; size_t n; };
static struct {
    const struct fuzz_target *target;
    struct input *v;
    size_t n, cap;
    uint64_t rnd, runs;
    const char *keep, *crash;
} g;
static uint8_t map[MAP] __attribute__((aligned(8))), seen[MAP];
static uintptr_t last;
static struct str current;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    uintptr_t here = (uintptr_t)__builtin_return_address(0);
    here = (here ^ here >> 16) * 0x9e3779b1u;
    uint8_t *m = &map[(here ^ last) & (MAP - 1)];
    *m = (uint8_t)(*m + (*m < 255));
    last = here >> 1;
}

/* ---- chance ------------------------------------------------------------------------------------------------------ */

static uint64_t rnd(void)
{
    g.rnd ^= g.rnd << 13;
    g.rnd ^= g.rnd >> 7;
    g.rnd ^= g.rnd << 17;
    return g.rnd;
}

static size_t below(size_t n) { return n ? (size_t)(rnd() % n) : 0; }

/* ---- the end of it ----------------------------------------------------------------------------------------------- */

static void write_file(const char *path, struct str bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, bytes.p, bytes.n) != (ssize_t)bytes.n)
        perror(path);
    if (fd >= 0)
        close(fd);
}

static void tell(const char *why)
{
    fprintf(stderr, "%s: %s after %llu runs; the input is in %s\n", g.target->name, why, (unsigned long long)g.runs, g.crash);
    write_file(g.crash, current);
}

void __sanitizer_set_death_callback(void (*)(void)) __attribute__((weak));      /* not there without sanitizers: make coverage */
static void died(void) { tell("a sanitizer's finding"); }

static void on_signal(int n)
{
    tell(n == SIGPROF ? "no end in 10 s" : "a demand that doesn't hold");
    signal(SIGABRT, SIG_DFL);
    _exit(1);
}

/* By processor time: on a busy machine a process may wait for its turn as long. What waits for ever is for run.py to end. */
static void limit_time(void) { setitimer(ITIMER_PROF, &(struct itimerval){ .it_value.tv_sec = HANG_S }, NULL); }

/* ---- one run ----------------------------------------------------------------------------------------------------- */

/* Counts of a block in classes: 1, 2, 3, 4-7, 8-15, 16-31, 32-127, more. */
static uint8_t class_of(uint8_t n) { return n < 4 ? (uint8_t)(n ? 1 << (n - 1) : 0) : n < 8 ? 8 : n < 16 ? 16 : n < 32 ? 32 : n < 128 ? 64 : 128; }

static bool is_new(size_t at)
{
    bool fresh = false;
    for (size_t i = at; i < at + 8; i++) {
        uint8_t c = map[i] ? class_of(map[i]) : 0;
        fresh |= c & ~seen[i];
        seen[i] |= c;
    }
    return fresh;
}

static bool run(struct str in)
{
    bool fresh = false;
    memset(map, 0, sizeof map);
    last = 0;
    g.runs++;
    char *copy = xmalloc(in.n + 1);                /* of its own, so that reading beyond it shows */
    char *exact = in.n ? xrealloc(copy, in.n) : copy;
    if (in.n)
        memcpy(exact, in.p, in.n);
    current = (struct str){ in.p, in.n };
    g.target->one((struct str){ exact, in.n });
    free(exact);
    for (size_t i = 0; i < MAP; i += 8)
        fresh |= *(uint64_t *)(void *)&map[i] && is_new(i);
    return fresh;
}

static void add(struct str in)
{
    if (g.n == g.cap) {
        g.cap = g.cap ? 2 * g.cap : 256;
        g.v = xrealloc(g.v, g.cap * sizeof *g.v);
    }
    g.v[g.n++] = (struct input){ xstrndup(in.p, in.n), in.n };
}

static void keep(struct str in)
{
    char path[4096];
    add(in);
    if (!g.keep)
        return;
    uint64_t h = 14695981039346656037u;               /* FNV-1a: the same input has the same name in every run */
    for (size_t i = 0; i < in.n; i++)
        h = (h ^ (unsigned char)in.p[i]) * 1099511628211u;
    snprintf(path, sizeof path, "%s/%016llx", g.keep, (unsigned long long)h);
    write_file(path, in);
}

/* ---- changes ----------------------------------------------------------------------------------------------------- */

static size_t insert(char *p, size_t n, size_t at, const char *what, size_t k)
{
    if (n + k > INPUT_MAX)
        return n;
    memmove(p + at + k, p + at, n - at);
    memcpy(p + at, what, k);
    return n + k;
}

static size_t change(char *p, size_t n)
{
    static const char odd[] = { 0, 1, 127, (char)128, (char)255, '"', '{', '[', '\\', '\n', '-', '0', '9', ':', ',', '/', '%', '\'', '(', '*' };
    size_t at = below(n + 1), k;
    char some[64];
    const char *const *w = g.target->words;
    const struct input *other = &g.v[below(g.n)];
    switch (below(9)) {
    case 0: if (n) p[at % n] ^= (char)(1 << below(8)); return n;
    case 1: if (n) p[at % n] = odd[below(sizeof odd)]; return n;
    case 2: if (n) p[at % n] = (char)(p[at % n] + (char)below(35) - 17); return n;
    case 3:                                                        /* a piece goes */
        k = below(n - at < 32 ? n - at + 1 : below(n - at) + 1);
        memmove(p + at, p + at + k, n - at - k);
        return n - k;
    case 4:                                                        /* a piece comes twice */
        k = below(n - at < 64 ? n - at + 1 : 64);
        memcpy(some, p + at, k);
        return insert(p, n, below(n + 1), some, k);
    case 5:                                                        /* a piece of another input */
        k = below(other->n);
        return insert(p, n, at, other->p + k, below(other->n - k < 512 ? other->n - k + 1 : 512));
    case 6:
        for (k = 0; k < 1 + below(8); k++)
            some[k] = (char)rnd();
        return insert(p, n, at, some, k);
    default: {
        size_t words = 0;
        while (w[words])
            words++;
        if (!words)
            return n;
        const char *word = w[below(words)];
        return insert(p, n, at, word, strlen(word));
    }
    }
}

static void mutate(void)
{
    static char p[INPUT_MAX];
    /* What was found last is looked at more often. */
    const struct input *in = &g.v[below(3) ? below(g.n) : g.n - 1 - below(g.n < 32 ? g.n : 32)];
    size_t n = in->n < INPUT_MAX ? in->n : INPUT_MAX;
    memcpy(p, in->p, n);
    for (size_t i = 0, k = 1 + below(below(3) ? 4 : 24); i < k; i++)
        n = change(p, n);
    if (run((struct str){ p, n }))
        keep((struct str){ p, n });
}

/* ---- inputs of others -------------------------------------------------------------------------------------------- */

static void take(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return;
    if (S_ISDIR(st.st_mode)) {
        DIR *d = opendir(path);
        for (struct dirent *x; d && (x = readdir(d));) {
            char sub[4096];
            snprintf(sub, sizeof sub, "%s/%s", path, x->d_name);
            if (*x->d_name != '.')
                take(sub);
        }
        if (d)
            closedir(d);
        return;
    }
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    AUTO_FREE char *p = xmalloc((size_t)st.st_size + 1);
    ssize_t n = fd < 0 ? -1 : read(fd, p, (size_t)st.st_size);
    if (n < 0)
        return;
    run((struct str){ p, (size_t)n });
    add((struct str){ p, (size_t)n });
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t number(const char *text)
{
    uint64_t n = 0;
    if (!text || !str_u64(str_of(text), &n)) {
        fprintf(stderr, "a whole number is wanted, not \"%s\"\n", text ? text : "");
        exit(2);
    }
    return n;
}

int main(int argc, char **argv)
{
    static char crash[300];
    uint64_t seconds = 0, runs = 0, seed = 1;
    if (argc < 2) {
        fuzz_find(NULL);
        return 0;
    }
    g.target = fuzz_find(argv[1]);
    if (!g.target) {
        fprintf(stderr, "there is no target \"%s\"; without arguments they are listed\n", argv[1]);
        return 2;
    }
    snprintf(crash, sizeof crash, "build/fuzz/%s.crash", argv[1]);
    g.crash = crash;
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(died);
    signal(SIGABRT, on_signal);
    signal(SIGPROF, on_signal);
    limit_time();
    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "--seconds")) seconds = number(argv[++i]);
        else if (!strcmp(argv[i], "--runs")) runs = number(argv[++i]);
        else if (!strcmp(argv[i], "--seed")) seed = number(argv[++i]);
        else if (!strcmp(argv[i], "--keep")) g.keep = argv[++i];
        else take(argv[i]);
        limit_time();
    }
    size_t given = g.n;
    add(S(""));
    g.rnd = seed * 0x9e3779b97f4a7c15u | 1;
    for (double end = now() + (double)seconds; (seconds && now() < end) || g.runs < runs;)
        for (int i = 0; i < 64; i++) {
            if (i % 16 == 0)
                limit_time();
            mutate();
        }
    printf("%s: %llu runs, seed %llu, %zu inputs given, %zu found\n", g.target->name, (unsigned long long)g.runs, (unsigned long long)seed, given, g.n - given - 1);
    return 0;
}
