/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox_calls: see sandbox_calls.h. A second filter, of the execution alone, sends these calls to a listener, which the child
 * hands to its shim by a pair of sockets. The shim's root and mounts are those of the process, as nobody below it may change its own.
 * Trusted is only what the kernel says of the process: its arguments are copied once and belong to an enemy, and no file of it is
 * ever held here but as a place (O_PATH): to close one may take as long as its owner likes.
 * Tests: tests/unit/applets/sandbox_calls.c, tests/local/sandbox.py
 */
#include "applets/runtime_server/sandbox_calls.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Headers of a build machine may be older than the kernel below; the same numbers on every architecture. */
enum { NR_FCHMODAT2 = 452, NR_SETXATTRAT = 463, NR_REMOVEXATTRAT = 466, NR_FILE_SETATTR = 469 };
enum { WAIT_KILLABLE = 1 << 5,                    /* SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: no signal makes it begin anew once we have it */
       PIDFD_OF_THREAD = O_EXCL };                /* PIDFD_THREAD */
#define SET_FLAGS _IOW('!', 4, uint64_t)          /* SECCOMP_IOCTL_NOTIF_SET_FLAGS, Linux 6.6 */
enum { SYNC_WAKE_UP = 1 };                        /* the process and we take turns on one processor: a third less time a call */
enum { GROUPS_MAX = 256, NAME_MAX_XATTR = 255, VALUE_MAX = 65536 };

enum act { MODE, OWNER, TIMES, TIMES_US, TIMES_S, SET_XATTR, REMOVE_XATTR, WATCH };
/* Where its arguments are; -1: it has none of that kind. `rest` is the first that says what to do. */
static const struct call { uint32_t nr; enum act act; int dir, path, rest, flags; bool link; } known[] = {
    { SYS_fchmodat, MODE, 0, 1, 2, -1, false },
    { NR_FCHMODAT2, MODE, 0, 1, 2, 3, false },
    { SYS_fchownat, OWNER, 0, 1, 2, 4, false },
    { SYS_utimensat, TIMES, 0, 1, 2, 3, false },
    { SYS_setxattr, SET_XATTR, -1, 0, 1, -1, false },
    { SYS_lsetxattr, SET_XATTR, -1, 0, 1, -1, true },
    { SYS_removexattr, REMOVE_XATTR, -1, 0, 1, -1, false },
    { SYS_lremovexattr, REMOVE_XATTR, -1, 0, 1, -1, true },
    { SYS_inotify_add_watch, WATCH, -1, 1, 2, -1, false },
#if defined __x86_64__
    { SYS_chmod, MODE, -1, 0, 1, -1, false },
    { SYS_chown, OWNER, -1, 0, 1, -1, false },
    { SYS_lchown, OWNER, -1, 0, 1, -1, true },
    { SYS_futimesat, TIMES_US, 0, 1, 2, -1, false },
    { SYS_utimes, TIMES_US, -1, 0, 1, -1, false },
    { SYS_utime, TIMES_S, -1, 0, 1, -1, false },
#endif
};
static const uint32_t newer[] = { NR_SETXATTRAT, NR_REMOVEXATTRAT, NR_FILE_SETATTR };

/* ---- the child --------------------------------------------------------------------------------------------------- */

#define JUMP(code, k, yes, no) (struct sock_filter)BPF_JUMP(BPF_JMP | (code) | BPF_K, k, yes, no)
#define LOAD(at) (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(at))
#define ANSWER(a) (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, a)

/* Of this architecture alone: the filter that is there already refuses others. utimensat and futimesat without a name are calls on
 * a descriptor. */
static int listen_to_calls(void)
{
    struct sock_filter v[LEN(known) * 7 + LEN(newer) * 2 + 4];
    unsigned short n = 0;
    v[n++] = LOAD(offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < LEN(newer); i++) {
        v[n++] = JUMP(BPF_JEQ, newer[i], 0, 1);
        v[n++] = ANSWER(SECCOMP_RET_ERRNO | ENOSYS);
    }
    v[n++] = JUMP(BPF_JEQ, SYS_pidfd_getfd, 0, 1);
    v[n++] = ANSWER(SECCOMP_RET_ERRNO | EPERM);
    for (size_t i = 0; i < LEN(known); i++) {
        bool nameless = known[i].dir >= 0 && known[i].act >= TIMES && known[i].act <= TIMES_S;
        size_t path = offsetof(struct seccomp_data, args) + (size_t)known[i].path * 8;
        v[n++] = JUMP(BPF_JEQ, known[i].nr, 0, nameless ? 6 : 1);
        if (nameless) {
            v[n++] = LOAD(path);
            v[n++] = JUMP(BPF_JEQ, 0, 0, 3);
            v[n++] = LOAD(path + 4);
            v[n++] = JUMP(BPF_JEQ, 0, 0, 1);
            v[n++] = ANSWER(SECCOMP_RET_ALLOW);
        }
        v[n++] = ANSWER(SECCOMP_RET_USER_NOTIF);
    }
    v[n++] = ANSWER(SECCOMP_RET_ALLOW);
    struct sock_fprog f = { n, v };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | WAIT_KILLABLE, &f);
}

union rights { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; };

int calls_enter(const struct calls *c)
{
    AUTO_CLOSE int listener = listen_to_calls();
    if (listener < 0)
        return errno;
    char byte = 0;
    struct iovec io = { &byte, 1 };
    union rights r = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
    struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &r, .msg_controllen = sizeof r };
    memcpy(CMSG_DATA(&r.head), &listener, sizeof listener);
    return sendmsg(c->pair[1], &m, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

/* The real path of what a descriptor holds, or an errno. A pipe has a name of another kind ("pipe:[1]"). */
static int path_of(int fd, char path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX);
    if (n < 0)
        return errno;
    if (n == PATH_MAX)
        return ENAMETOOLONG;
    path[n] = 0;
    return 0;
}

void calls_place(struct calls *c, const char *path)
{
    AUTO_CLOSE int fd = c->n < CALLS_PLACES ? open(path, O_PATH | O_CLOEXEC) : -1;
    if (fd >= 0 && path_of(fd, c->place[c->n]) == 0)
        c->n++;
}

/* ---- as whom ----------------------------------------------------------------------------------------------------- */

/* With which rights a process looks for files and changes them. */
struct who { uid_t uid; gid_t gid; uint64_t caps; size_t n; gid_t groups[GROUPS_MAX]; };
static struct who self;
static struct __user_cap_data_struct own_caps[2];
static bool self_known;                           /* most executions make no such call */

static struct str line_of(struct str text, struct str key)
{
    ptrdiff_t at = str_find(text, key);
    struct str rest = at < 0 ? S("") : str_from(text, (size_t)at + key.n);
    return str_cut(&rest, '\n');
}

static bool fourth(struct str line, uint32_t *id)
{
    int64_t n = -1;
    for (int i = 0; i < 3; i++)
        str_cut(&line, '\t');
    bool ok = str_i64(str_cut(&line, '\t'), &n);
    *id = (uint32_t)n;
    return ok;
}

/* proc: the folder of a process or thread there. */
static int who_is(int proc, struct who *w)
{
    static char room[8192];
    AUTO_CLOSE int fd = openat(proc, "status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, room, sizeof room - 1);
    struct str text = { room, n < 0 ? 0 : (size_t)n };
    room[text.n] = 0;
    ptrdiff_t caps = str_find(text, S("\nCapEff:\t"));
    *w = (struct who){ .n = 0 };
    if (caps < 0 || !fourth(line_of(text, S("\nUid:\t")), &w->uid) || !fourth(line_of(text, S("\nGid:\t")), &w->gid))
        return EPERM;
    w->caps = strtoull(text.p + caps + S("\nCapEff:\t").n, NULL, 16);
    for (struct str groups = line_of(text, S("\nGroups:\t")); groups.n;) {
        int64_t id;
        struct str one = str_cut(&groups, ' ');
        if (w->n == GROUPS_MAX)
            return EPERM;
        if (str_i64(one, &id))
            w->groups[w->n++] = (gid_t)id;
    }
    return 0;
}

static int know_self(void)
{
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    AUTO_CLOSE int proc = self_known ? -1 : open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (!self_known && (proc < 0 || syscall(SYS_capget, &head, own_caps) < 0 || who_is(proc, &self) != 0))
        return EPERM;
    self_known = true;
    return 0;
}

static bool same_groups(const struct who *w) { return w->n == self.n && !memcmp(w->groups, self.groups, w->n * sizeof *w->groups); }

static void use_caps(uint64_t effective)
{
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct v[2] = { own_caps[0], own_caps[1] };
    for (int i = 0; i < 2; i++)
        v[i].effective = v[i].permitted & (uint32_t)(effective >> 32 * i);
    syscall(SYS_capset, &head, v);
}

/* Its IDs, but with our capabilities still, by which one of another user can be looked into. */
static int become(const struct who *w)
{
    if (!same_groups(w) && syscall(SYS_setgroups, w->n, w->groups) < 0)
        return EPERM;
    setfsgid(w->gid);
    setfsuid(w->uid);
    use_caps(self.caps);
    return setfsgid((gid_t)-1) == (int)w->gid && setfsuid((uid_t)-1) == (int)w->uid ? 0 : EPERM;
}

static void be_self_again(const struct who *w)
{
    use_caps(self.caps);
    setfsuid(self.uid);
    setfsgid(self.gid);
    if (!same_groups(w))
        syscall(SYS_setgroups, self.n, self.groups);
}

/* ---- what it asks for -------------------------------------------------------------------------------------------- */

struct asked {
    const struct call *call;
    const __u64 *args;
    bool link, empty;                             /* follow no link; no path: the descriptor itself */
    char path[PATH_MAX], name[NAME_MAX_XATTR + 1];
    struct timespec times[2];
    uint8_t value[VALUE_MAX];
};

static int copy(int mem, uint64_t at, void *to, size_t n) { return pread(mem, to, n, (off_t)at) == (ssize_t)n ? 0 : EFAULT; }

static int copy_text(int mem, uint64_t at, char *to, size_t size, int too_long)
{
    ssize_t n = pread(mem, to, size, (off_t)at);
    if (n > 0 && memchr(to, 0, (size_t)n))
        return 0;
    return n == (ssize_t)size ? too_long : EFAULT;
}

/* utime gives seconds, utimes gives microseconds too. */
static int copy_times(int mem, enum act act, uint64_t at, struct timespec to[2])
{
    int64_t v[4] = { 0 };
    int rc = copy(mem, at, v, act == TIMES_S ? 16 : 32);
    if (rc)
        return rc;
    if (act == TIMES_S)
        v[2] = v[1], v[1] = 0;
    for (int i = 0; i < 2; i++) {
        if (act == TIMES_US && (v[2 * i + 1] < 0 || v[2 * i + 1] >= 1000000))
            return EINVAL;
        to[i] = (struct timespec){ v[2 * i], act == TIMES_US ? v[2 * i + 1] * 1000 : v[2 * i + 1] };
    }
    return 0;
}

static int copy_xattr(int mem, const __u64 *rest, bool value, struct asked *a)
{
    int rc = copy_text(mem, rest[0], a->name, sizeof a->name, ERANGE);
    if (rc || !value)
        return rc;
    return rest[2] > VALUE_MAX ? E2BIG : copy(mem, rest[1], a->value, rest[2]);
}

static int copy_arguments(int mem, struct asked *a)
{
    const struct call *k = a->call;
    const __u64 *rest = a->args + k->rest;
    uint32_t flags = k->flags < 0 ? 0 : (uint32_t)a->args[k->flags];
    if (flags & ~(uint32_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return EINVAL;
    a->link = k->link || flags & AT_SYMLINK_NOFOLLOW || (k->act == WATCH && rest[0] & IN_DONT_FOLLOW);
    int rc = copy_text(mem, a->args[k->path], a->path, sizeof a->path, ENAMETOOLONG);
    a->empty = flags & AT_EMPTY_PATH && !a->path[0];
    if (rc == 0 && k->act >= TIMES && k->act <= TIMES_S && rest[0])
        rc = copy_times(mem, k->act, rest[0], a->times);
    if (rc == 0 && (k->act == SET_XATTR || k->act == REMOVE_XATTR))
        rc = copy_xattr(mem, rest, k->act == SET_XATTR, a);
    return rc;
}

/* ---- which file -------------------------------------------------------------------------------------------------- */

/* The number of the descriptor that a path begins with, and what follows; -1: it doesn't. In our /proc they would be ours. */
static int descriptor_in(const char **path)
{
    static const char *const folders[] = { "/proc/self/fd/", "/proc/thread-self/fd/", "/dev/fd/" }, *const standard[] = { "/dev/stdin", "/dev/stdout", "/dev/stderr" };
    for (size_t i = 0; i < LEN(standard); i++)
        if (!strcmp(*path, standard[i])) {
            *path = "";
            return (int)i;
        }
    for (size_t i = 0; i < LEN(folders); i++) {
        int64_t fd;
        struct str rest = str_of(*path);
        if (!str_starts(rest, str_of(folders[i])))
            continue;
        rest = str_from(rest, strlen(folders[i]));
        if (!str_i64(str_cut(&rest, '/'), &fd) || fd < 0 || fd > INT_MAX)
            return -1;
        *path = rest.p ? rest.p + strspn(rest.p, "/") : "";
        return (int)fd;
    }
    return -1;
}

/* As the process has it: a place, or -1 and errno. */
static int open_base(int proc, int fd)
{
    char name[32];
    snprintf(name, sizeof name, "fd/%d", fd);
    int base = openat(proc, fd == AT_FDCWD ? "cwd" : name, O_PATH | O_CLOEXEC);
    if (base < 0 && errno == ENOENT)
        errno = EBADF;
    return base;
}

/* With the rights of the process, but for the way to what it has open itself. */
static int open_asked(int proc, const struct asked *a, uint64_t caps)
{
    const char *path = a->path;
    int fd = a->link ? -1 : descriptor_in(&path);
    bool itself = fd >= 0 ? !*path : a->empty;
    if (!*path && !itself) {
        errno = ENOENT;
        return -1;
    }
    if (fd < 0)
        fd = a->call->dir < 0 ? AT_FDCWD : (int)a->args[a->call->dir];
    AUTO_CLOSE int base = *path == '/' ? -1 : open_base(proc, fd);
    if (base < 0 && *path != '/')
        return -1;
    use_caps(caps);
    if (itself)
        return TAKE_FD(base);
    struct open_how how = { .flags = O_PATH | O_CLOEXEC | (a->link ? O_NOFOLLOW : 0), .resolve = RESOLVE_NO_MAGICLINKS };
    return (int)syscall(SYS_openat2, base, path, &how, sizeof how);
}

static int check_own(const struct calls *c, int fd, enum act act)
{
    static char path[PATH_MAX];
    int rc = path_of(fd, path);
    if (rc || path[0] != '/')
        return rc;
    for (size_t i = 0; i < c->n; i++) {
        size_t n = strlen(c->place[i]);
        if (!strncmp(path, c->place[i], n) && (path[n] == '/' || !path[n]))
            return 0;
    }
    return act == WATCH ? EACCES : EPERM;
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

static bool is_waiting(const struct calls *c, uint64_t id) { return ioctl(c->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0; }

/* The watch belongs into the process's own inotify descriptor. Only a child of ours ever holds that, whatever it turns out to be. */
static int64_t add_watch(const struct calls *c, const struct seccomp_notif *n, const char *file, uint32_t mask)
{
    volatile int64_t result = -EPERM;
    AUTO_CLOSE int process = (int)syscall(SYS_pidfd_open, n->pid, PIDFD_OF_THREAD);
    if (process < 0 || !is_waiting(c, n->id))
        return -EPERM;
    pid_t child = vfork();
    if (child == 0) {
        int fd = (int)syscall(SYS_pidfd_getfd, process, (int)n->data.args[0], 0);
        int watch = fd < 0 ? -1 : inotify_add_watch(fd, file, mask & ~(uint32_t)IN_DONT_FOLLOW);
        result = watch < 0 ? -errno : watch;
        _exit(0);
    }
    return child < 0 ? -errno : result;
}

/* `file` leads to the descriptor that we hold. What the call gives, or minus an errno. */
static int64_t apply(const struct calls *c, const struct seccomp_notif *n, const struct asked *a, const char *file)
{
    const __u64 *v = a->args + a->call->rest;
    int rc = -1;
    switch (a->call->act) {
    case MODE: rc = chmod(file, (mode_t)v[0]); break;
    case OWNER: rc = chown(file, (uid_t)v[0], (gid_t)v[1]); break;
    case TIMES:
    case TIMES_US:
    case TIMES_S: rc = utimensat(AT_FDCWD, file, v[0] ? a->times : NULL, 0); break;
    case SET_XATTR: rc = setxattr(file, a->name, a->value, v[2], (int)v[3]); break;
    case REMOVE_XATTR: rc = removexattr(file, a->name); break;
    case WATCH: return add_watch(c, n, file, (uint32_t)v[0]);
    }
    return rc < 0 ? -errno : 0;
}

static int64_t call_as(const struct calls *c, const struct seccomp_notif *n, int proc, const struct who *w)
{
    static struct asked a;
    a.call = NULL;
    a.args = n->data.args;
    for (size_t i = 0; i < LEN(known); i++)
        if (known[i].nr == (uint32_t)n->data.nr)
            a.call = &known[i];
    AUTO_CLOSE int mem = a.call ? openat(proc, "mem", O_RDONLY | O_CLOEXEC) : -1;
    if (mem < 0)
        return -EPERM;
    int rc = copy_arguments(mem, &a);
    if (rc)
        return -rc;
    AUTO_CLOSE int fd = open_asked(proc, &a, w->caps);
    if (fd < 0)
        return -errno;
    if ((rc = check_own(c, fd, a.call->act)) != 0)
        return -rc;
    char file[64];
    snprintf(file, sizeof file, "/proc/self/fd/%d", fd);
    return apply(c, n, &a, file);
}

/* Its folder in /proc is opened before the look whether it still waits: from then on that is of no other process. */
static int64_t make_call(const struct calls *c, const struct seccomp_notif *n)
{
    static struct who w;
    char path[64];
    snprintf(path, sizeof path, "/proc/%u", n->pid);
    AUTO_CLOSE int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0 || !is_waiting(c, n->id) || know_self() != 0 || who_is(proc, &w) != 0)
        return -EPERM;
    int64_t result = become(&w) == 0 ? call_as(c, n, proc, &w) : -EPERM;
    be_self_again(&w);
    return result;
}

/* The kernel's structures may have grown: what it doesn't know of ours must be zero, and calls_try looks at its sizes. */
union notice { struct seccomp_notif v; char room[512]; };
union reply { struct seccomp_notif_resp v; char room[512]; };

void calls_answer(const struct calls *c)
{
    union notice n = { .room = { 0 } };
    union reply r = { .room = { 0 } };
    if (ioctl(c->listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
        return;                                   /* it was killed */
    int64_t result = make_call(c, &n.v);
    r.v.id = n.v.id;
    r.v.val = result < 0 ? 0 : result;
    r.v.error = result < 0 ? (int32_t)result : 0;
    ioctl(c->listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

/* ---- the shim ---------------------------------------------------------------------------------------------------- */

int calls_begin(struct calls *c)
{
    self_known = false;                           /* the process that tried it may have been another */
    c->n = 0;
    c->listener = c->pair[0] = c->pair[1] = -1;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, c->pair) < 0 ? errno : 0;
}

static void end_pair(struct calls *c)
{
    for (int i = 0; i < 2; i++) {
        kr_closep(&c->pair[i]);
        c->pair[i] = -1;
    }
}

void calls_take(struct calls *c)
{
    char byte;
    struct iovec io = { &byte, 1 };
    union rights r;
    struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &r, .msg_controllen = sizeof r };
    kr_closep(&c->pair[1]);                       /* the other one is the child's: it has sent, or goes */
    c->pair[1] = -1;
    if (recvmsg(c->pair[0], &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m))
        memcpy(&c->listener, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof c->listener);
    if (c->listener >= 0)
        ioctl(c->listener, SET_FLAGS, (unsigned long)SYNC_WAKE_UP);
    end_pair(c);
}

void calls_end(struct calls *c)
{
    end_pair(c);
    kr_closep(&c->listener);
    c->listener = -1;
}

/* ---- the trial --------------------------------------------------------------------------------------------------- */

/* An errno: of what was refused, or what a call for a file that isn't there gave instead of that. */
static int answer_child(struct calls *c)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        int err = calls_enter(c);
        _exit(err ? err : chmod("/proc/self/none", 0) == 0 || errno == ENOENT ? 0 : errno);
    }
    if (pid < 0)
        return errno;
    calls_take(c);
    struct pollfd p = { .fd = c->listener, .events = POLLIN };
    if (c->listener >= 0 && poll(&p, 1, -1) == 1 && p.revents & POLLIN)
        calls_answer(c);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
}

int calls_try(struct kr_err *e)
{
    static struct calls c;
    struct seccomp_notif_sizes sizes = { 0 };
    if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
        return kr_fail_sys(e, KR_UNSUPPORTED, errno, "listen to system calls");
    if (sizes.seccomp_notif > sizeof(union notice) || sizes.seccomp_notif_resp > sizeof(union reply))
        return kr_fail(e, KR_UNSUPPORTED, "the kernel tells more of a system call than is known here");
    int err = calls_begin(&c);
    if (!err)
        err = answer_child(&c);
    calls_end(&c);
    return err ? kr_fail_sys(e, KR_UNSUPPORTED, err, "answer a system call of a child") : 0;
}
