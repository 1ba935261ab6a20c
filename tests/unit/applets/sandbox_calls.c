/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox_calls: each call by a name works on what is its own and does nothing to anything else, whatever the name looks like; and
 * what a process may do meanwhile. A child that has entered checks; this process answers it. */
#include "applets/runtime_server/sandbox_calls.h"
#include "tests/kit/test.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { NR_FCHMODAT2 = 452 };
enum { OLD = 1000000000 };                        /* a time that no file has by itself */
static const struct timespec old[2] = { { OLD, 0 }, { OLD, 0 } };

/* ---- a child, and answers for it --------------------------------------------------------------------------------- */

/* tmp/own/{f,sub/} with links beside, and tmp/other/f. Left in tmp. */
static void furnish(void)
{
    const char *d = test_tmpdir();
    CHECK(chdir(d) == 0 && mkdir("own", 0755) == 0 && mkdir("own/sub", 0755) == 0 && mkdir("other", 0755) == 0);
    for (int i = 0; i < 2; i++) {
        int fd = open(i ? "other/f" : "own/f", O_CREAT | O_WRONLY, 0600);
        CHECK(fd >= 0 && write(fd, "x", 1) == 1);
        close(fd);
    }
    CHECK(symlink("f", "own/to_f") == 0 && symlink("../other/f", "own/to_other") == 0 && symlink("/proc/self/fd/0", "own/to_fd") == 0);
}

static void answer_until_gone(struct calls *c)
{
    struct pollfd p = { .fd = c->listener, .events = POLLIN };
    while (poll(&p, 1, -1) > 0 && p.revents & POLLIN)
        calls_answer(c);
}

/* What `check` returns in a child for which tmp/own is its own: 0, or the line of what failed; -1: it was killed. */
static int answered(int (*check)(void))
{
    static struct calls c;
    int status = -1, line = 0, told[2];
    CHECK_INT(calls_begin(&c), 0);
    CHECK(pipe(told) == 0);
    calls_place(&c, "own");
    pid_t child = fork();
    if (child == 0) {
        int rc = calls_enter(&c) == 0 ? check() : __LINE__;
        _exit(write(told[1], &rc, sizeof rc) != sizeof rc);
    }
    close(told[1]);
    calls_take(&c);
    answer_until_gone(&c);
    calls_end(&c);
    CHECK(waitpid(child, &status, 0) == child);
    if (read(told[0], &line, sizeof line) != sizeof line)
        line = -1;
    close(told[0]);
    return line;
}

#define MUST(what) do { if (!(what)) return __LINE__; } while (0)
#define FAILS(err, what) do { errno = 0; if ((what) != -1 || errno != (err)) { fprintf(stderr, "%s: errno %d\n", #what, errno); return __LINE__; } } while (0)

/* ---- every call -------------------------------------------------------------------------------------------------- */

enum { BY_DIR = 5, CALLS = 17 };                  /* those below BY_DIR take a folder */

/* Each changes what can be seen; -1 and errno. */
static int call(int which, int dir, const char *path)
{
    static const int64_t micro[4] = { OLD, 0, OLD, 0 }, whole[2] = { OLD, OLD };
    switch (which) {
    case 0: return (int)syscall(SYS_fchmodat, dir, path, 0640);
    case 1: return (int)syscall(NR_FCHMODAT2, dir, path, 0640, 0);
    case 2: return (int)syscall(SYS_fchownat, dir, path, getuid(), getgid(), 0);
    case 3: return (int)syscall(SYS_utimensat, dir, path, old, 0);
    case 4: return (int)syscall(SYS_utimensat, dir, path, NULL, 0);
    case 5: return (int)syscall(SYS_setxattr, path, "user.kr", "v", 1, 0);
    case 6: return (int)syscall(SYS_removexattr, path, "user.kr");
    case 7: return (int)syscall(SYS_lsetxattr, path, "user.kr", "v", 1, 0);
    case 8: return (int)syscall(SYS_lremovexattr, path, "user.kr");
    case 9: return inotify_add_watch(inotify_init1(0), path, IN_ALL_EVENTS) < 0 ? -1 : 0;
#if defined __x86_64__
    case 10: return (int)syscall(SYS_chmod, path, 0640);
    case 11: return (int)syscall(SYS_chown, path, getuid(), getgid());
    case 12: return (int)syscall(SYS_lchown, path, getuid(), getgid());
    case 13: return (int)syscall(SYS_futimesat, AT_FDCWD, path, micro);
    case 14: return (int)syscall(SYS_utimes, path, micro);
    case 15: return (int)syscall(SYS_utime, path, whole);
    case 16: return (int)syscall(SYS_utime, path, NULL);
#endif
    }
    (void)micro, (void)whole;
    return -2;
}

static bool is_time(int which) { return which == 3 || (which >= 13 && which <= 15); }
static bool takes_link(int which) { return which == 7 || which == 8 || which == 12; }
static bool is_mode(int which) { return which == 0 || which == 1 || which == 10; }

/* Not each file system has attributes for users. */
static bool worked(int which, int rc)
{
    struct stat st;
    if (rc == -2)
        return true;
    if (rc < 0)
        return which >= 5 && which <= 8 && (errno == ENOTSUP || errno == ENODATA);
    return stat("own/f", &st) == 0 && (!is_time(which) || st.st_mtim.tv_sec == OLD) && (!is_mode(which) || (st.st_mode & 07777) == 0640);
}

static int try_own(void)
{
    int own = open("own", O_PATH | O_DIRECTORY), f = open("own/f", O_PATH);
    char by_fd[64], whole[PATH_MAX + 16], here[PATH_MAX];
    snprintf(by_fd, sizeof by_fd, "/proc/self/fd/%d", f);
    MUST(own >= 0 && f >= 0 && getcwd(here, sizeof here));
    snprintf(whole, sizeof whole, "%s/own/f", here);
    const char *const names[] = { "own/f", "own/to_f", "./own/sub/../f", "own/sub/../../other/../own/f", whole, by_fd };
    for (int which = 0; which < CALLS; which++)
        for (size_t i = 0; i < LEN(names); i++) {
            struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
            int fd = open("own/f", O_WRONLY);
            MUST(fchmod(fd, 0600) == 0 && futimens(fd, now) == 0 && close(fd) == 0);
            bool at = which < BY_DIR && i == 0;
            int rc = call(which, at ? own : AT_FDCWD, at ? "f" : names[i]);
            bool refused = takes_link(which) && (i == 1 || i == 5);      /* a link has no attributes, and one of /proc is nobody's */
            if (!refused && !worked(which, rc)) {
                fprintf(stderr, "call %d, name %zu: %d, errno %d\n", which, i, rc, errno);
                return __LINE__;
            }
        }
    return 0;
}

TEST(each_call_works_on_what_is_its_own)
{
    furnish();
    CHECK_INT(answered(try_own), 0);
}

static int try_others(void)
{
    int other = open("other", O_PATH | O_DIRECTORY), f = open("other/f", O_PATH);
    char by_fd[64], by_dev[64], beneath[64], parent[64];
    MUST(other >= 0 && f >= 0);
    snprintf(by_fd, sizeof by_fd, "/proc/self/fd/%d", f);
    snprintf(by_dev, sizeof by_dev, "/dev/fd/%d", f);
    snprintf(beneath, sizeof beneath, "/proc/thread-self/fd/%d/f", other);
    snprintf(parent, sizeof parent, "/proc/%d/cwd/own/f", getppid());
    const char *const names[] = { "other/f", "own/to_other", "own/../other/f", "own/sub/../../other/f", "other", ".", "/", by_fd, by_dev, beneath };
    for (int which = 0; which < CALLS; which++) {
        int no = which == 9 ? EACCES : EPERM;
        for (size_t i = 0; i < LEN(names); i++) {
            bool itself = takes_link(which) && (i == 1 || i >= 7);      /* the link, which is its own or of /proc */
            int rc = call(which, AT_FDCWD, names[i]);
            if (rc != -2 && !itself && (rc != -1 || errno != no)) {
                fprintf(stderr, "call %d, name %zu: %d, errno %d\n", which, i, rc, errno);
                return __LINE__;
            }
        }
        if (which < BY_DIR)
            FAILS(EPERM, call(which, other, "f"));
        int rc = call(which, AT_FDCWD, parent);
        MUST(rc == -2 || (rc == -1 && errno == ELOOP));
    }
    FAILS(EPERM, syscall(NR_FCHMODAT2, f, "", 0644, AT_EMPTY_PATH));
    FAILS(EPERM, syscall(SYS_fchownat, f, "", getuid(), getgid(), AT_EMPTY_PATH));
    FAILS(EPERM, syscall(SYS_utimensat, f, "", old, AT_EMPTY_PATH));
    FAILS(EPERM, syscall(SYS_fchownat, AT_FDCWD, "", getuid(), getgid(), AT_EMPTY_PATH));
    FAILS(ELOOP, call(0, AT_FDCWD, "own/to_fd"));
    return 0;
}

TEST(no_call_does_anything_to_what_is_anothers)
{
    struct stat before, after;
    char value[8];
    furnish();
    CHECK_OR(stat("other/f", &before) == 0);
    CHECK_INT(answered(try_others), 0);
    CHECK(stat("other/f", &after) == 0 && after.st_mode == before.st_mode && after.st_ctim.tv_sec == before.st_ctim.tv_sec && after.st_ctim.tv_nsec == before.st_ctim.tv_nsec);
    CHECK(getxattr("other/f", "user.kr", value, sizeof value) < 0);
}

/* A name that begins as its own does isn't beneath it. */
static int try_beside(void)
{
    FAILS(EPERM, chmod("own2", 0700));
    MUST(chmod("own", 0700) == 0 && chmod("own/sub", 0700) == 0);
    return 0;
}

TEST(what_is_named_alike_is_anothers)
{
    furnish();
    CHECK(mkdir("own2", 0755) == 0);
    CHECK_INT(answered(try_beside), 0);
}

/* ---- its forms --------------------------------------------------------------------------------------------------- */

static int try_forms(void)
{
    struct stat st;
    int f = open("own/f", O_PATH), r = open("own/f", O_RDONLY), gone = open("own/gone", O_CREAT | O_RDWR, 0600), ends[2];
    char name[64];
    MUST(f >= 0 && r >= 0 && gone >= 0 && unlink("own/gone") == 0 && pipe(ends) == 0);
    MUST(syscall(NR_FCHMODAT2, f, "", 0640, AT_EMPTY_PATH) == 0 && fstat(f, &st) == 0 && (st.st_mode & 07777) == 0640);
    MUST(syscall(SYS_fchownat, f, "", getuid(), getgid(), AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0);
    MUST(syscall(SYS_utimensat, f, "", old, AT_EMPTY_PATH) == 0 && fstat(f, &st) == 0 && st.st_mtim.tv_sec == OLD);
    MUST(fchmod(r, 0600) == 0 && futimens(r, NULL) == 0 && fstat(f, &st) == 0 && (st.st_mode & 07777) == 0600 && st.st_mtim.tv_sec != OLD);
    FAILS(EBADF, syscall(SYS_utimensat, f, NULL, old, 0));               /* a place isn't open */
    MUST(utimensat(AT_FDCWD, "own/to_f", old, AT_SYMLINK_NOFOLLOW) == 0 && lstat("own/to_f", &st) == 0 && st.st_mtim.tv_sec == OLD);
    MUST(stat("own/f", &st) == 0 && st.st_mtim.tv_sec != OLD);
    MUST(utimensat(AT_FDCWD, "own/to_other", old, AT_SYMLINK_NOFOLLOW) == 0 && lchown("own/to_other", getuid(), getgid()) == 0);
    FAILS(EOPNOTSUPP, syscall(NR_FCHMODAT2, AT_FDCWD, "own/to_f", 0600, AT_SYMLINK_NOFOLLOW));
    snprintf(name, sizeof name, "/proc/self/fd/%d", gone);
    MUST(chmod(name, 0640) == 0 && fstat(gone, &st) == 0 && (st.st_mode & 07777) == 0640);
    MUST(dup2(ends[1], 1) == 1 && chmod("/dev/stdout", 0622) == 0);
    MUST(chdir("own/sub") == 0 && chmod("../f", 0640) == 0 && chmod(".", 0700) == 0);
    return 0;
}

TEST(links_descriptors_and_what_is_removed)
{
    furnish();
    CHECK_INT(answered(try_forms), 0);
}

static int try_watch(void)
{
    union { struct inotify_event e; char room[512]; } got;
    int n = inotify_init1(IN_NONBLOCK), first = inotify_add_watch(n, "own/sub", IN_CREATE | IN_ONLYDIR), second = inotify_add_watch(n, "own/to_f", IN_ATTRIB | IN_DONT_FOLLOW);
    MUST(first > 0 && second > 0 && first != second && inotify_add_watch(n, "own/sub", IN_CREATE | IN_ONLYDIR) == first);
    FAILS(ENOTDIR, inotify_add_watch(n, "own/f", IN_CREATE | IN_ONLYDIR));
    FAILS(EBADF, inotify_add_watch(9999, "own/f", IN_CREATE));
    FAILS(EINVAL, inotify_add_watch(open("own/f", O_RDONLY), "own/f", IN_CREATE));
    close(open("own/sub/new", O_CREAT | O_WRONLY, 0600));
    MUST(read(n, &got, sizeof got) > 0 && got.e.wd == first && !strcmp(got.e.name, "new"));
    MUST(inotify_rm_watch(n, first) == 0);
    return 0;
}

TEST(a_watch_is_in_its_own_inotify)
{
    furnish();
    CHECK_INT(answered(try_watch), 0);
}

static int try_nonsense(void)
{
    static char lengthy[PATH_MAX + 1];
    const int64_t bad[4] = { 0, 1000000, 0, 0 };
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(lengthy, 'x', PATH_MAX);
    MUST(page != MAP_FAILED && munmap(page + 4096, 4096) == 0);
    memset(page, 'x', 4096);
    memcpy(page + 4096 - 6, "own/f", 6);
    FAILS(EFAULT, syscall(SYS_fchmodat, AT_FDCWD, 8L, 0600));
    FAILS(EFAULT, syscall(SYS_fchmodat, AT_FDCWD, -4096L, 0600));
    FAILS(EFAULT, syscall(SYS_fchmodat, AT_FDCWD, NULL, 0600));
    FAILS(EFAULT, syscall(SYS_fchmodat, AT_FDCWD, memset(page + 4094, 'x', 2), 0600));
    FAILS(EFAULT, syscall(SYS_utimensat, AT_FDCWD, "own/f", 8L, 0));
    FAILS(EFAULT, syscall(SYS_setxattr, "own/f", 8L, "v", 1, 0));
    FAILS(EFAULT, syscall(SYS_setxattr, "own/f", "user.kr", 8L, 1, 0));
    memcpy(page + 4096 - 6, "own/f", 6);
    MUST(syscall(SYS_fchmodat, AT_FDCWD, page + 4096 - 6, 0600) == 0);
    FAILS(ENAMETOOLONG, syscall(SYS_fchmodat, AT_FDCWD, lengthy, 0600));
    FAILS(ENOENT, chmod("", 0600));
    FAILS(ENOENT, chmod("own/none", 0600));
    FAILS(ENOTDIR, chmod("own/f/x", 0600));
    FAILS(EBADF, syscall(SYS_fchmodat, 9999, "own/f", 0600));
    FAILS(EBADF, chmod("/proc/self/fd/9999", 0600));
    MUST(chmod("/dev/fd/x", 0600) == -1);
    FAILS(EINVAL, syscall(NR_FCHMODAT2, AT_FDCWD, "own/f", 0600, 1));
    FAILS(EINVAL, syscall(SYS_utimensat, AT_FDCWD, "own/f", (const struct timespec[2]){ { 0, -1 }, { 0, 0 } }, 0));
    FAILS(E2BIG, syscall(SYS_setxattr, "own/f", "user.kr", "v", 65537L, 0));
    FAILS(ERANGE, syscall(SYS_setxattr, "own/f", lengthy, "v", 1, 0));
#if defined __x86_64__
    FAILS(EINVAL, syscall(SYS_utimes, "own/f", bad));
#endif
    (void)bad;
    for (int nr = 463; nr <= 469; nr += 3)
        FAILS(ENOSYS, syscall(nr, AT_FDCWD, "own/f", 0, "user.kr", NULL, 0));
    FAILS(EPERM, syscall(SYS_pidfd_getfd, 0, 0, 0));
    return 0;
}

TEST(what_the_kernel_refuses_is_refused_alike)
{
    furnish();
    CHECK_INT(answered(try_nonsense), 0);
}

/* ---- as whom ----------------------------------------------------------------------------------------------------- */

static int try_less(void)
{
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct none[2] = { { 0 } };
    gid_t groups[] = { 12345 };
    pid_t pid = fork();
    if (pid == 0)                                 /* root without its rights */
        _exit(syscall(SYS_capset, &head, none) == 0 && chmod("own/of_nobody", 0640) == -1 && errno == EPERM && chmod("own/f", 0640) == 0 ? 0 : 1);
    int status = -1;
    MUST(waitpid(pid, &status, 0) == pid && status == 0);
    MUST(syscall(SYS_setgroups, 1, groups) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    FAILS(EPERM, chmod("own/f", 0666));
    FAILS(EACCES, chmod("own/sub/deep", 0666));
    FAILS(EPERM, chown("own/of_nobody", (uid_t)-1, 54321));
    MUST(chown("own/of_nobody", (uid_t)-1, 12345) == 0 && chmod("own/of_nobody", 0600) == 0);
    return 0;
}

TEST(it_has_no_more_rights_than_the_process)
{
    if (geteuid() != 0) {
        printf("skip rights: only root can be another\n");
        return;
    }
    furnish();
    CHECK(chmod(".", 0755) == 0 && chmod("own/sub", 0700) == 0);
    for (int i = 0; i < 2; i++)
        close(open(i ? "own/sub/deep" : "own/of_nobody", O_CREAT | O_WRONLY, 0600));
    CHECK(chown("own/of_nobody", 65534, 65534) == 0);
    CHECK_INT(answered(try_less), 0);
    struct stat st;
    CHECK(stat("own/f", &st) == 0 && (st.st_mode & 07777) == 0640);
    CHECK(geteuid() == 0 && access("own/sub/deep", R_OK) == 0 && chown("own/f", 65534, 0) == 0 && chmod("own/f", 0600) == 0);      /* as before */
}

/* ---- many, and none ---------------------------------------------------------------------------------------------- */

static void *change_often(void *name)
{
    for (int i = 0; i < 50; i++)
        if (chmod(name, 0600 | (i & 077)) < 0 || chmod("other/f", 0777) == 0)
            return name;
    return NULL;
}

static int try_threads(void)
{
    static pthread_t t[32];
    static char name[32][32];
    int failed = 0;
    for (int i = 0; i < 32; i++) {
        snprintf(name[i], sizeof name[i], "own/%d", i);
        close(open(name[i], O_CREAT | O_WRONLY, 0600));
        MUST(pthread_create(&t[i], NULL, change_often, name[i]) == 0);
    }
    for (int i = 0; i < 32; i++) {
        struct stat st;
        void *bad = NULL;
        MUST(pthread_join(t[i], &bad) == 0);
        failed += bad || stat(name[i], &st) < 0 || (st.st_mode & 07777) != (0600 | 49);
    }
    return failed ? __LINE__ : 0;
}

TEST(thirty_two_threads_at_once)
{
    furnish();
    CHECK_INT(answered(try_threads), 0);
}

/* Its call is told, but nobody has come to it yet. */
TEST(a_process_that_is_killed_in_its_call)
{
    static struct calls c;
    furnish();
    CHECK_OR(calls_begin(&c) == 0);
    calls_place(&c, "own");
    pid_t child = fork();
    if (child == 0) {
        if (calls_enter(&c) == 0)
            chmod("own/f", 0666);
        _exit(1);
    }
    calls_take(&c);
    struct pollfd p = { .fd = c.listener, .events = POLLIN };
    CHECK(poll(&p, 1, -1) == 1 && p.revents & POLLIN);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    calls_answer(&c);                             /* comes back */
    CHECK(poll(&p, 1, -1) == 1 && !(p.revents & POLLIN));
    calls_end(&c);
    struct stat st;
    CHECK(stat("own/f", &st) == 0 && (st.st_mode & 07777) == 0600);
}

TEST(a_child_that_never_entered_leaves_no_listener)
{
    struct calls *c = xcalloc(1, sizeof *c);
    CHECK_OR(calls_begin(c) == 0);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    calls_take(c);
    CHECK_INT(c->listener, -1);
    CHECK(waitpid(child, NULL, 0) == child);
    calls_end(c);
    free(c);
}

/* An outer filter that has a listener, as some container engines make one: a second is refused. */
TEST(where_there_can_be_no_listener_it_says_why)
{
    struct kr_err e = { 0 };
    CHECK_INT(calls_try(&e), 0);
    static struct calls c;
    int status = -1;
    CHECK_OR(calls_begin(&c) == 0);
    pid_t child = fork();
    if (child == 0)
        _exit(calls_enter(&c) == 0 && calls_try(&e) < 0 && e.code == KR_UNSUPPORTED && str_find(str_of(e.msg), S("busy")) > 0 ? 0 : 1);
    calls_take(&c);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    calls_end(&c);
}
