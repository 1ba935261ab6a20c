/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc: vfork and exec. Between the two the child runs on our memory, so it makes system calls and nothing else; why it
 * failed it leaves in a struct of ours. Descriptors are first moved out of the way, then put where they belong.
 */
#include "core/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_FDS = 16, FD_BASE = 64 };
struct failure { int sys; const char *step; };

/* ---- the child ------------------------------------------------------------------------------------------------------ */

static bool set_limits(const struct proc_spec *s)
{
    for (size_t i = 0; i < s->nlimits; i++) {
        struct rlimit r = { s->limits[i].soft == UINT64_MAX ? RLIM_INFINITY : (rlim_t)s->limits[i].soft,
                            s->limits[i].hard == UINT64_MAX ? RLIM_INFINITY : (rlim_t)s->limits[i].hard };
        if (setrlimit(s->limits[i].resource, &r) < 0)
            return false;
    }
    return true;
}

static bool set_fds(const struct proc_spec *s)
{
    int from[3 + MAX_FDS], to[3 + MAX_FDS] = { 0, 1, 2 }, n = 3, last = 2;
    const int std[3] = { s->in, s->out, s->err };
    for (int i = 0; i < 3; i++)
        from[i] = std[i] >= 0 ? std[i] : open("/dev/null", i ? O_WRONLY : O_RDONLY);
    for (size_t i = 0; i < s->nfds && i < MAX_FDS; i++) {
        from[n] = s->fds[i].from;
        to[n++] = s->fds[i].to;
    }
    for (int i = 0; i < n; i++)                   /* a source may stand where another's target is */
        if ((from[i] = fcntl(from[i], F_DUPFD, FD_BASE)) < 0)
            return false;
    for (int i = 0; i < n; i++) {
        if (dup2(from[i], to[i]) < 0)
            return false;
        last = to[i] > last ? to[i] : last;
    }
    for (int fd = 3; fd <= last; fd++) {
        bool wanted = false;
        for (int i = 3; i < n; i++)
            wanted |= to[i] == fd;
        if (!wanted)
            close(fd);
    }
    syscall(SYS_close_range, (unsigned)last + 1, ~0u, 0);      /* musl has no wrapper */
    return true;
}

static void reset_signals(void)
{
    sigset_t none;
    struct sigaction dfl = { .sa_handler = SIG_DFL };
    for (int sig = 1; sig < 32; sig++)
        if (sig != SIGKILL && sig != SIGSTOP)
            sigaction(sig, &dfl, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static const char *prepare(const struct proc_spec *s)
{
    if (s->new_session && setsid() < 0)
        return "start a session";
    if (s->new_group && setpgid(0, 0) < 0)
        return "start a process group";
    if (s->dir ? chdir(s->dir) < 0 : s->dir_fd > 0 && fchdir(s->dir_fd) < 0)
        return "enter its directory";
    if (!set_fds(s))
        return "hand down descriptors";
    if (!set_limits(s))
        return "set limits";
    if (s->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return "give up privileges";
    if (s->death_signal && prctl(PR_SET_PDEATHSIG, s->death_signal) < 0)
        return "follow its parent";
    return NULL;
}

/* A program without '/' is looked for in `path`; what is found and can't be executed is remembered, as a shell does. */
static void execute(const struct proc_spec *s, const char *program, const char *path)
{
    static char *const none[] = { NULL };
    char *const *argv = (char *const *)s->argv, *const *envp = s->envp ? (char *const *)s->envp : none;
    int best = ENOENT;
    if (strchr(program, '/')) {
        execve(program, argv, envp);
        return;
    }
    for (const char *p = path; p && *p;) {
        char full[4096];
        const char *end = strchrnul(p, ':');
        size_t n = (size_t)(end - p), m = strlen(program);
        if (n + m + 2 <= sizeof full) {
            memcpy(full, p, n);
            full[n] = '/';
            memcpy(full + n + 1, program, m + 1);
            execve(full, argv, envp);
            if (errno != ENOENT && errno != ENOTDIR)
                best = errno;
        }
        p = *end ? end + 1 : end;
    }
    errno = best;
}

/* ---- the parent ------------------------------------------------------------------------------------------------------ */

__attribute__((noinline)) static pid_t start(const struct proc_spec *s, const char *program, const char *path, volatile struct failure *f)
{
    pid_t pid = vfork();
    if (pid)
        return pid;
    const char *step = prepare(s);
    if (!step) {
        reset_signals();
        execute(s, program, path);
        step = "execute it";
    }
    f->sys = errno;
    f->step = step;
    _exit(127);
}

int proc_spawn(const struct proc_spec *s, pid_t *ret, struct kr_err *e)
{
    const char *program = s->program ? s->program : s->argv[0], *path = s->path ? s->path : getenv("PATH");
    volatile struct failure f = { 0, NULL };
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);      /* no handler of ours may run in the child */
    pid_t pid = start(s, program, path, &f);
    int why = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        kr_fail_sys(e, KR_SYSTEM, why, "start \"%s\"", program);
        return -why;
    }
    if (f.step) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        kr_fail_sys(e, KR_SYSTEM, f.sys, "start \"%s\": %s", program, f.step);
        return -f.sys;
    }
    *ret = pid;
    return 0;
}

struct str proc_status_text(int status, char out[48])
{
    int n = WIFSIGNALED(status) ? snprintf(out, 48, "signal %d", WTERMSIG(status)) : snprintf(out, 48, "exit code %d", WEXITSTATUS(status));
    return (struct str){ out, (size_t)n };
}

int proc_status_code(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }
