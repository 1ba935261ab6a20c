/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test: runs every registered test in a forked child with a deadline, prints failures as they come and closes with
 * "N passed, N failed". Not here: parallelism (the whole unit suite is to take seconds).
 */
#include "tests/kit/test.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int deadline_s = 60;                       /* of a test; KR_TEST_SECONDS, where everything is slower */
extern const struct test *const __start_kr_tests[], *const __stop_kr_tests[];
static int failures;
static uint64_t seed;
static char tmpdir[64];

bool test_check(bool ok, const char *file, int line, const char *what)
{
    if (!ok) failures++, printf("  %s:%d: %s\n", file, line, what);
    return ok;
}

bool test_check_str(struct str got, struct str want, const char *file, int line, const char *what)
{
    bool ok = str_eq(got, want);
    if (!ok) failures++, printf("  %s:%d: %s\n    got  \"%.*s\"\n    want \"%.*s\"\n", file, line, what, SFMT(got), SFMT(want));
    return ok;
}

bool test_check_int(int64_t got, int64_t want, const char *file, int line, const char *what)
{
    if (got != want) failures++, printf("  %s:%d: %s is %lld, want %lld\n", file, line, what, (long long)got, (long long)want);
    return got == want;
}

static bool slurp(const char *path, struct buf *b)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    for (;;) {
        char *p = buf_room(b, 65536);
        ssize_t n = p ? read(fd, p, 65536) : -1;
        if (n <= 0) return n == 0;
        b->n += (size_t)n;
        b->p[b->n] = 0;
    }
}

struct str test_file(const char *path)
{
    struct kept { struct kept *next; struct buf b; } *k = xcalloc(1, sizeof *k);
    static struct kept *all;                  /* what was read stays reachable: no leak is reported */
    k->next = all;
    all = k;
    k->b.max = 1 << 28;
    if (!slurp(path, &k->b)) test_check(false, path, 0, "cannot be read");
    return buf_view(&k->b);
}

void test_golden(const char *path, struct str got)
{
    char full[512];
    snprintf(full, sizeof full, "tests/golden/%s", path);
    const char *mode = getenv("KR_GOLDEN");
    if (mode && !strcmp(mode, "write")) {
        FILE *f = fopen(full, "w");
        if (test_check(f, full, 0, "cannot be written")) fwrite(got.p, 1, got.n, f), fclose(f);
        return;
    }
    test_check_str(got, test_file(full), full, 0, "golden file differs (KR_GOLDEN=write rewrites it)");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

const char *test_tmpdir(void)
{
    if (!tmpdir[0]) {
        snprintf(tmpdir, sizeof tmpdir, "/tmp/kr-test.XXXXXX");
        if (!mkdtemp(tmpdir)) test_check(false, tmpdir, 0, "mkdtemp");
    }
    return tmpdir;
}

uint64_t test_seed(void) { return seed; }

static int run_here(const struct test *t)
{
    t->fn();
    if (tmpdir[0]) nftw(tmpdir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    fflush(stdout);
    return failures;
}

static bool run_forked(const struct test *t)
{
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) exit(run_here(t) ? 1 : 0);      /* not _exit: the leak check runs at exit */
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status = -1;
    struct pollfd p = { .fd = pidfd, .events = POLLIN };
    if (poll(&p, 1, deadline_s * 1000) != 1) {
        printf("  not done after %d s\n", deadline_s);
        kill(pid, SIGKILL);
    }
    close(pidfd);
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status)) printf("  ended by signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) && !WEXITSTATUS(status);
}

/* What a test said before it aborted is not lost in a pipe. */
static void on_abort(int n)
{
    (void)n;
    fflush(stdout);
}

int main(int argc, char **argv)
{
    signal(SIGABRT, on_abort);
    bool here = argc > 1 && !strcmp(argv[1], "-f");
    const char *word = argc > 1 + here ? argv[1 + here] : "", *s = getenv("KR_SEED"), *longer = getenv("KR_TEST_SECONDS");
    int passed = 0, failed = 0;
    seed = s ? strtoull(s, NULL, 0) : 20260101;
    deadline_s = longer ? (int)strtol(longer, NULL, 10) : deadline_s;
    for (const struct test *const *t = __start_kr_tests; t < __stop_kr_tests; t++) {
        char name[256];
        snprintf(name, sizeof name, "%s/%s", (*t)->file, (*t)->name);
        if (!strstr(name, word)) continue;
        bool ok = here ? !run_here(*t) : run_forked(*t);
        ok ? passed++ : failed++;
        if (!ok) printf("FAIL %s (seed %llu)\n", name, (unsigned long long)seed);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
