/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc: start a program.
 *
 * The child shares our memory until its exec (vfork), so a start costs the same however big we are, and why an exec
 * failed is known when proc_spawn returns. It starts with default signal handlers, an empty signal mask and only the
 * descriptors it was given. It is an ordinary child: reap it with loop_child.
 */
#ifndef CORE_PROC_H
#define CORE_PROC_H
#include "core/kr.h"
#include <sys/types.h>

struct proc_fd { int from, to; };                  /* the child sees our descriptor `from` as `to` (> 2) */
struct proc_limit { int resource; uint64_t soft, hard; };       /* RLIMIT_…; UINT64_MAX: unlimited */
struct proc_spec {
    const char *const *argv;                       /* NULL-terminated; argv[0] without '/' is looked for in `path` */
    const char *const *envp;                       /* NULL-terminated; NULL: an empty environment */
    const char *program;                           /* file to execute when it isn't argv[0] ("/proc/self/exe"); may be NULL */
    const char *path;                              /* a $PATH for the look-up; NULL: our own */
    const char *dir;                               /* working directory; NULL: ours */
    int dir_fd;                                    /* the same as a descriptor, used when dir is NULL and this is > 0 */
    int in, out, err;                              /* descriptors; -1: /dev/null. 0, 1 and 2 hand ours down */
    const struct proc_fd *fds; size_t nfds;        /* at most 16; every other descriptor is closed */
    const struct proc_limit *limits; size_t nlimits;
    bool new_session;                              /* setsid: own session and process group */
    bool new_group;                                /* own process group in our session */
    bool no_new_privs;
    int death_signal;                              /* sent to it when the thread that started it ends; 0: none */
};
/* 0 and *pid. A failure returns -errno (-ENOENT: no such program or directory, -EACCES, -ENOEXEC, -E2BIG: arguments and
 * environment too long, …); the message names the program and the step. */
int proc_spawn(const struct proc_spec *, pid_t *pid, struct kr_err *);

/* "exit code 3", "signal 9": what a wait status says, for people. */
struct str proc_status_text(int wait_status, char out[48]);
/* Exit code as a shell reports it: 0…255, 128+n for signal n. */
int proc_status_code(int wait_status);
#endif
