/* SPDX-License-Identifier: Apache-2.0
 *
 * counts: linked into what `make coverage` builds, and into nothing else. gcc's counts are written by exit(); here they are also
 * when a process leaves by _exit, is ended by a signal that it left to its default or by a SIGKILL of ours, and what goes into a
 * Landlock domain takes the folder of the counts with it. The linker puts __wrap_NAME in the place of NAME (LDFLAGS_coverage in the Makefile). */
#include "core/landlock.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

void __gcov_dump(void);
void __gcov_reset(void);
void __wrap__exit(int status) __attribute__((noreturn));
void __real__exit(int status) __attribute__((noreturn));
int __wrap_landlock_enter(int ruleset, struct kr_err *e);
int __real_landlock_enter(int ruleset, struct kr_err *e);
int __wrap_kill(pid_t pid, int sig);
int __real_kill(pid_t pid, int sig);
#define WRITE_AND_DIE (SIGRTMAX - 1)

/* What libgcov says of a file that a sandbox keeps from it is no business of whoever reads standard error. Behind it all counts from
 * nothing: a child of vfork has its parent's, who goes on and would write them twice, or never again. */
static void write_counts(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (null >= 0 && (err < 0 || dup2(null, STDERR_FILENO) >= 0)) {
        __gcov_dump();
        __gcov_reset();
    }
    if (err >= 0) {
        dup2(err, STDERR_FILENO);
        close(err);
    }
    if (null >= 0)
        close(null);
}

void __wrap__exit(int status)
{
    write_counts();
    __real__exit(status);
}

/* They lie in obj/ beside the program. A ruleset that is not about files takes no rule, which is as well. */
int __wrap_landlock_enter(int ruleset, struct kr_err *e)
{
    char place[4096];
    ssize_t n = readlink("/proc/self/exe", place, sizeof place);
    struct kr_err ignored;
    while (n > 0 && place[n - 1] != '/')
        n--;
    if (n > 0 && (size_t)n + sizeof "obj" <= sizeof place) {
        snprintf(place + n, sizeof place - (size_t)n, "obj");
        landlock_path(ruleset, place, LANDLOCK_READ | LANDLOCK_WRITE, &ignored);
    }
    return __real_landlock_enter(ruleset, e);
}

/* Does it wait for WRITE_AND_DIE? Not when it is another program. */
static bool counts_too(pid_t pid)
{
    char path[32], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    const char *mask = strstr(text, "SigCgt:");
    return mask && strtoull(mask + strlen("SigCgt:"), NULL, 16) >> (WRITE_AND_DIE - 1) & 1;
}

/* Before SIGKILL two seconds at most for its counts. */
int __wrap_kill(pid_t pid, int sig)
{
    pid_t one = pid < 0 ? -pid : pid;
    if (sig == SIGKILL && one > 1 && counts_too(one)) {
        AUTO_CLOSE int fd = (int)syscall(SYS_pidfd_open, one, 0);
        struct pollfd end = { .fd = fd, .events = POLLIN };
        if (fd >= 0 && __real_kill(one, WRITE_AND_DIE) == 0)
            poll(&end, 1, 2000);
    }
    return __real_kill(pid, sig);
}

static void on_end(int sig)
{
    write_counts();
    raise(sig == WRITE_AND_DIE ? SIGKILL : sig);         /* the default again, by SA_RESETHAND */
}

__attribute__((constructor)) static void watch_end(void)
{
    struct sigaction end = { .sa_handler = on_end, .sa_flags = SA_RESETHAND | SA_NODEFER }, old;
    if (sigaction(SIGTERM, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        sigaction(SIGTERM, &end, NULL);
    sigaction(WRITE_AND_DIE, &end, NULL);
}
