/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shim: see shim.h.
 *
 * While a command runs the shim waits for SIGCHLD (somebody ended), for its socket (end it all, or the server is gone), for calls
 * that it makes for others (sandbox_calls.h), and while ending for a deadline; between two it waits for an order. It must not allocate: it is a fork of a server with open buffers, and small.
 * What is below it is found through /proc/self/task/<tid>/children (a kernel without it: by a scan of /proc), again and
 * again until nobody is left, because a process may fork while it is looked for. With namespaces one signal reaches them all.
 * Tests: tests/unit/applets/runtime_server.c
 */
#include "applets/runtime_server/shim.h"
#include "applets/runtime_server/sandbox.h"
#include "applets/runtime_server/sandbox_calls.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FILES_MAX = 65536, SWEEP_MS = 20, ORDER_MAX = 65536, END_SIZE = 1, WORDS_MAX = 4096, NFDS = 4 };

/* An order: this head, then path, the paths of the working directory and the Run's folder, argv and envp, each with its NUL. Both sides are one program.
 * A packet of one byte ends the execution that was ordered last. */
struct order_head { int64_t memory; uint32_t argc, envc; int32_t grace_ms; bool harden; };

/* ---- the command ---------------------------------------------------------------------------------------------- */
static void harden(const struct shim_spec *s)
{
    struct rlimit none = { 0, 0 }, files = { FILES_MAX, FILES_MAX }, data = { (rlim_t)s->memory, (rlim_t)s->memory };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_NOFILE, &files);          /* fails when the hard limit is lower: then that one holds */
    if (s->memory) setrlimit(RLIMIT_DATA, &data);
}

/* The descriptor leads to where the server is, and from there up into its folders. With namespaces the same folder is taken
 * from our own ones. */
static int go_to_dir(const struct shim_spec *s)
{
    struct stat own, given;
    if (!s->sandbox || sandbox_lacks(s->sandbox)) return fchdir(s->dir) < 0 ? errno : 0;
    if (chdir(s->where) < 0 || stat(".", &own) < 0 || fstat(s->dir, &given) < 0) return errno;
    return own.st_ino == given.st_ino && own.st_dev == given.st_dev ? 0 : ESTALE;
}

/* execvp with the execution's own $PATH; the most telling errno is kept. A look first: an execve that fails has made, and
 * thrown away, a whole address space. */
static int exec_in_path(const struct shim_spec *s)
{
    char file[4096];
    int worst = ENOENT;
    struct str path = str_of(s->path);
    if (strchr(s->argv[0], '/')) {
        execve(s->argv[0], s->argv, s->envp);
        return errno;
    }
    while (path.p) {
        struct str dir = str_cut(&path, ':');
        int n = snprintf(file, sizeof file, "%.*s/%s", SFMT(dir), s->argv[0]);
        if (!dir.n || n < 0 || (size_t)n >= sizeof file) continue;
        if (access(file, X_OK) == 0) execve(file, s->argv, s->envp);
        if (errno != ENOENT && errno != ENOTDIR) worst = errno;
        if (errno == E2BIG || errno == ENOMEM) break;
    }
    return worst;
}

/* A server ignores these; what it starts must not. */
static const int inherited[] = { SIGPIPE, SIGHUP, SIGINT, SIGQUIT };

/* Runs in the child that shares the shim's memory until exec: only system calls, and the answer through *failed. */
static void become_command(const struct shim_spec *s, struct calls *calls, volatile int *failed)
{
    sigset_t none;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigemptyset(&none);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);           /* should somebody kill the shim */
    for (size_t i = 0; i < LEN(inherited); i++) signal(inherited[i], SIG_DFL);
    if (s->harden) harden(s);
    if ((*failed = go_to_dir(s)) != 0) _exit(127);
    if (null < 0 || dup2(null, 0) < 0 || dup2(s->out, 1) < 0 || dup2(s->err, 2) < 0) {
        *failed = errno;
        _exit(127);
    }
    if (s->sandbox && (*failed = sandbox_enter(s->sandbox, s->rules, calls, s->folder)) != 0) _exit(127);
    syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);      /* unshared table: a vfork child has its own */
    sigprocmask(SIG_SETMASK, &none, NULL);
    *failed = exec_in_path(s);
    _exit(127);
}

/* ---- what is below us ------------------------------------------------------------------------------------------ */
static pid_t parent_of(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (n <= 0) return -1;
    text[n] = 0;
    char *behind = strrchr(text, ')');                /* the name may hold anything, so look behind its last bracket */
    return behind && strlen(behind) > 4 ? (pid_t)strtol(behind + 4, NULL, 10) : -1;
}

static void signal_tree(pid_t of, int sig, int depth);

/* What is below this child of `of`, then it. The descriptor pins the process: its number can't have become a stranger's between
 * the look at its parent and the signal. Our own children keep theirs until we reap them. */
static void signal_child(pid_t pid, pid_t of, int sig, int depth)
{
    int fd = of == getpid() ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (of != getpid() && parent_of(pid) != of) pid = 0;
    if (pid) {
        signal_tree(pid, sig, depth + 1);
        if (fd < 0) kill(pid, sig);                      /* ours, or a kernel before 5.3 */
        else syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0);
    }
    if (fd >= 0) close(fd);
}

static void signal_by_scan(pid_t of, int sig, int depth)
{
    DIR *proc = opendir("/proc");
    struct dirent *d;
    while (proc && (d = readdir(proc))) {
        pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);
        if (pid > 0 && parent_of(pid) == of) signal_child(pid, of, sig, depth);
    }
    if (proc) closedir(proc);
}

/* Each number of the list has a space behind it. One that a read cut in two is complete with the next read. */
static void signal_listed(int list, pid_t of, int sig, int depth)
{
    char text[512];
    ssize_t n;
    for (size_t have = 0; (n = read(list, text + have, sizeof text - have)) > 0;) {
        char *at = text, *space;
        for (have += (size_t)n; (space = memchr(at, ' ', (size_t)(text + have - at))); at = space + 1) {
            *space = 0;
            pid_t pid = (pid_t)strtol(at, NULL, 10);
            if (pid > 0) signal_child(pid, of, sig, depth);
        }
        have = (size_t)(text + have - at);
        memmove(text, at, have);
    }
}

/* Everybody below `of`, the lowest first. A tree deeper than a sane one is cut: its lower half moves up to us when its
 * parents are gone, and the next sweep finds it. */
static void signal_tree(pid_t of, int sig, int depth)
{
    char path[64];
    if (depth > 16) return;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", of, of);
    int list = open(path, O_RDONLY | O_CLOEXEC);
    if (list < 0) {
        signal_by_scan(of, sig, depth);
        return;
    }
    signal_listed(list, of, sig, depth);
    close(list);
}

/* ---- the shim's life -------------------------------------------------------------------------------------------- */
struct shim {
    const struct shim_spec *spec;
    int socket;
    struct calls *calls;
    pid_t leader;
    bool leader_ended, ending, killing;
    int64_t kill_at_ms;
    struct shim_report report;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* True while somebody is left. */
static bool reap(struct shim *s)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid == 0) return true;
        if (pid < 0) return errno == EINTR;
        if (pid != s->leader) continue;
        s->leader_ended = true;
        s->report.status = status;
    }
}

static void end_all(struct shim *s, int sig)
{
    if (getpid() == 1) {
        kill(-1, sig);                                   /* all in our namespace but us */
        return;
    }
    if (!s->leader_ended) kill(-s->leader, sig);
    signal_tree(getpid(), sig, 0);
}

static void begin_ending(struct shim *s)
{
    if (s->ending) return;
    s->ending = true;
    s->report.killed_rest = s->leader_ended;
    s->kill_at_ms = now_ms() + s->spec->grace_ms;
    end_all(s, SIGTERM);
}

/* Waits until somebody has ended, made a call or KILL is due; true when the server wants the end, or is gone. While a command runs nothing else
 * comes by the socket: what was sent before its order was read before it. */
static bool is_told_to_end(const struct shim *s, const sigset_t *waiting)
{
    int64_t ms = s->killing ? SWEEP_MS : s->kill_at_ms - now_ms();
    if (ms < 0) ms = 0;
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    struct pollfd p[] = { { .fd = s->ending ? -1 : s->socket, .events = POLLIN }, { .fd = s->calls->listener, .events = POLLIN } };
    if (ppoll(p, LEN(p), s->ending ? &t : NULL, waiting) <= 0) return false;
    if (p[1].revents & POLLIN) calls_answer(s->calls);
    else if (p[1].revents) calls_end(s->calls);          /* nobody is left who could make one */
    return p[0].revents != 0;
}

/* Until nobody is left. */
static void live(struct shim *s, const sigset_t *waiting)
{
    while (reap(s)) {
        if (s->leader_ended) begin_ending(s);
        if (is_told_to_end(s, waiting)) begin_ending(s);
        if (s->ending && now_ms() >= s->kill_at_ms) {
            s->killing = true;
            end_all(s, SIGKILL);
        }
    }
}

static void execute(const struct shim_spec *spec, int socket, const sigset_t *waiting, int unsettled)
{
    static struct calls calls = CALLS_NONE;
    struct shim s = { .spec = spec, .socket = socket, .calls = &calls };
    volatile int failed = unsettled;
    if (!unsettled && spec->sandbox && !sandbox_leaves_open(spec->sandbox)) failed = calls_begin(&calls);
    if (!failed && (s.leader = vfork()) == 0) become_command(spec, &calls, &failed);
    if (s.leader < 0) failed = errno;
    calls_take(&calls);
    s.report.exec_errno = failed;
    close(spec->out);                                    /* the pipes end when the command's side does */
    close(spec->err);
    close(spec->dir);
    if (spec->sandbox) close(spec->rules);
    live(&s, waiting);
    calls_end(&calls);
    s.report.spent = spec->sandbox && sandbox_is_used(spec->sandbox);
    send(socket, &s.report, sizeof s.report, MSG_NOSIGNAL);
}

/* ---- orders ------------------------------------------------------------------------------------------------------ */
static char **take_words(char **at, char *end, uint32_t n, char **to)
{
    for (uint32_t i = 0; i < n; i++) {
        char *nul = memchr(*at, 0, (size_t)(end - *at));
        if (!nul) return NULL;
        to[i] = *at;
        *at = nul + 1;
    }
    to[n] = NULL;
    return to + n + 1;
}

/* Waits for the next one; false when the server is gone. The spec's memory is that of the order before. */
static bool next_order(int socket, struct shim_spec *spec)
{
    const struct sandbox *sandbox = spec->sandbox;
    static char text[ORDER_MAX];
    static char *words[WORDS_MAX + 4];
    union { struct cmsghdr head; char room[CMSG_SPACE(NFDS * sizeof(int))]; } control;
    struct iovec io = { text, sizeof text };
    struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control };
    struct order_head h;
    int fds[NFDS];
    ssize_t n;
    do {
        m.msg_controllen = sizeof control;
        n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    } while (n == END_SIZE || (n < 0 && errno == EINTR));        /* for the execution that was over */
    struct cmsghdr *c = n < (ssize_t)sizeof h ? NULL : CMSG_FIRSTHDR(&m);
    if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof fds)) return false;
    memcpy(fds, CMSG_DATA(c), sizeof fds);
    memcpy(&h, text, sizeof h);
    char *at = text + sizeof h, *end = text + n, **free_words = words;
    *spec = (struct shim_spec){ .dir = fds[0], .out = fds[1], .err = fds[2], .grace_ms = h.grace_ms, .harden = h.harden,
                                .memory = h.memory, .sandbox = sandbox, .rules = fds[3] };
    if (!sandbox) close(fds[3]);
    if (h.argc > WORDS_MAX || h.envc > WORDS_MAX - h.argc) return false;
    char *paths[4];
    if (!take_words(&at, end, 3, paths)) return false;
    spec->path = paths[0];
    spec->where = paths[1];
    spec->folder = paths[2];
    spec->argv = free_words;
    if (!(free_words = take_words(&at, end, h.argc, free_words))) return false;
    spec->envp = free_words;
    return take_words(&at, end, h.envc, free_words) != NULL;
}

/* One word at *n; false when it doesn't fit. */
static bool put_word(char *text, size_t *n, const char *word)
{
    size_t len = strlen(word) + 1;
    if (len > ORDER_MAX - *n) return false;
    memcpy(text + *n, word, len);
    *n += len;
    return true;
}

bool shim_order(int socket, const struct shim_spec *spec)
{
    static char text[ORDER_MAX];                         /* one loop, one thread */
    struct order_head h = { .memory = spec->memory, .grace_ms = spec->grace_ms, .harden = spec->harden };
    size_t n = sizeof h;
    bool fits = put_word(text, &n, spec->path) && put_word(text, &n, spec->where ? spec->where : "") &&
                put_word(text, &n, spec->folder ? spec->folder : "");
    for (char **v = spec->argv; fits && *v; v++, h.argc++) fits = put_word(text, &n, *v);
    for (char **v = spec->envp; fits && *v; v++, h.envc++) fits = put_word(text, &n, *v);
    if (!fits || h.argc + h.envc > WORDS_MAX) return false;
    memcpy(text, &h, sizeof h);
    int fds[NFDS] = { spec->dir, spec->out, spec->err, spec->sandbox ? spec->rules : spec->dir };
    union { struct cmsghdr head; char room[CMSG_SPACE(sizeof fds)]; } control = { .head = { .cmsg_len = CMSG_LEN(sizeof fds), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
    struct iovec io = { text, n };
    struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    memcpy(CMSG_DATA(&control.head), fds, sizeof fds);
    return sendmsg(socket, &m, MSG_NOSIGNAL) == (ssize_t)n;
}

/* When there is no room one is on its way. */
void shim_order_end(int socket) { send(socket, "", END_SIZE, MSG_NOSIGNAL); }

int shim_read(int socket, struct shim_report *report)
{
    ssize_t n = recv(socket, report, sizeof *report, 0);
    if (n == sizeof *report) return 1;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

/* ---- the process ------------------------------------------------------------------------------------------------- */
/* A signal that is ignored wakes nobody. */
static void on_child(int sig) { (void)sig; }

__attribute__((noreturn)) static void shim_main(const struct shim_spec *first, int socket, int unsettled)
{
    sigset_t blocked, waiting;
    struct shim_spec spec = *first;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);                        /* a stranger's: what it watches over would be left behind */
    waiting = blocked;
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    signal(SIGCHLD, on_child);
    prctl(PR_SET_NAME, "kr-shim", 0, 0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    setsid();                                            /* a signal to the server's group is not for us */
    do execute(&spec, socket, &waiting, unsettled);
    while (next_order(socket, &spec));
    _exit(0);
}

/* Of the server's descriptors the shim keeps those it was given. */
static void close_others(const struct shim_spec *s, int socket)
{
    int keep[] = { s->dir, s->out, s->err, socket, s->sandbox ? s->rules : socket };
    unsigned from = 3;
    for (size_t round = 0; round <= LEN(keep); round++) {
        unsigned next = ~0u;
        for (size_t i = 0; i < LEN(keep); i++)
            if ((unsigned)keep[i] >= from && (unsigned)keep[i] < next) next = (unsigned)keep[i];
        if (next > from) syscall(SYS_close_range, from, next == ~0u ? ~0u : next - 1, 0);
        if (next == ~0u) return;
        from = next + 1;
    }
}

pid_t shim_fork(const struct shim_spec *spec, int *ret_socket, struct kr_err *e)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "no socket for an execution");
    pid_t pid = spec->sandbox ? sandbox_fork(spec->sandbox) : fork();
    if (pid == 0) {
        close(ends[0]);
        int unsettled = spec->sandbox ? sandbox_settle(spec->sandbox) : 0;
        close_others(spec, ends[1]);
        shim_main(spec, ends[1], unsettled);
    }
    int err = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return kr_fail_sys(e, KR_SYSTEM, err, "no process can be started");
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *ret_socket = ends[0];
    return pid;
}
