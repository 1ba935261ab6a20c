/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox: below the floor it says so; what namespaces are furnished with. What it keeps from a Run is tried by tests/local/sandbox.py. */
#include "applets/runtime_server/sandbox.h"
#include "applets/runtime_server/spaces.h"
#include "core/landlock.h"
#include "tests/kit/test.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A kernel without Landlock, as far as this process can tell. */
static bool take_landlock_away(void)
{
    struct sock_filter v[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 444, 0, 1),
                               BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
    struct sock_fprog p = { LEN(v), v };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) == 0;
}

TEST(below_the_floor_it_says_so)
{
    struct kr_err e = { 0 };
    CHECK_OR(take_landlock_away());
    CHECK_INT(landlock_abi(), 0);
    CHECK(sandbox_check(&e) < 0);
    CHECK_INT(e.code, KR_UNSUPPORTED);
    CHECK(str_starts(str_of(e.msg), S("SandboxUnavailable: ")));
    CHECK(landlock_begin(LANDLOCK_FILES, &e) < 0);
}

TEST(a_filter_that_the_kernel_takes)
{
    if (landlock_abi() < 6) {
        printf("skip sandbox: the kernel has Landlock ABI %d\n", landlock_abi());
        return;
    }
    int status = -1;
    pid_t child = fork();                         /* the leak sanitizer traces, which the filter refuses */
    if (child == 0) {
        int pair[2];
        bool ok = sandbox_filter(false, false, false) == 0 && syscall(SYS_unshare, 0x10000000) == -1 && errno == EPERM;
        ok = ok && syscall(SYS_socket, 1, 1, 0) == -1 && errno == EPERM;
        ok = ok && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0;
        ok = ok && socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == -1 && errno == EPERM && socketpair(AF_UNIX, SOCK_RAW | SOCK_NONBLOCK, 0, pair) == -1 && errno == EPERM;
        ok = ok && syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS;
        _exit(ok ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
    child = fork();
    if (child == 0) {
        int pair[2];
        bool ok = sandbox_filter(false, true, true) == 0 && socket(AF_UNIX, SOCK_STREAM, 0) >= 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0;
        ok = ok && socket(AF_PACKET, SOCK_RAW, 0) == -1 && errno == EPERM;
        _exit(ok ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

/* In a child that is process 1 of namespaces: what a neighbour left may not be seen. The number of the first check that fails. */
static int look_around(enum spaces kind, const char *workspaces)
{
    struct kr_err e = { 0 };
    struct stat st;
    if (getpid() != 1 || spaces_furnish(kind, workspaces, &e) < 0) return 1;
    if (getuid() != geteuid() || stat("/proc/1", &st) < 0 || stat("/proc/2", &st) == 0) return 2;
    if (stat(workspaces, &st) < 0 || spaces_are_used()) return 3;
    if (stat("/proc/keys", &st) == 0 && !S_ISCHR(st.st_mode)) return 4;
    if (mkdir("/tmp/kr-left", 0700) < 0 || !spaces_are_used()) return 5;
    return 0;
}

static int look_at_ipc(enum spaces kind, const char *workspaces)
{
    struct kr_err e = { 0 };
    if (spaces_furnish(kind, workspaces, &e) < 0 || spaces_are_used()) return 1;
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    if (id < 0 || !spaces_are_used()) return 2;
    shmctl(id, IPC_RMID, NULL);
    return spaces_are_used() ? 3 : 0;
}

static int within(enum spaces kind, const char *workspaces, int (*look)(enum spaces, const char *))
{
    int status = -1;
    pid_t child = spaces_fork(kind);
    if (child == 0)
        _exit(look(kind, workspaces));
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(namespaces_begin_empty_and_tell_what_was_left)
{
    struct kr_err why = { 0 };
    const char *d = test_tmpdir();
    enum spaces kind = spaces_try(d, &why);
    if (!kind) {
        printf("skip namespaces: %s\n", why.msg);
        return;
    }
    CHECK_INT(within(kind, d, look_around), 0);
    CHECK_INT(within(kind, d, look_around), 0);          /* what the one before made is not there */
    CHECK_INT(within(kind, d, look_at_ipc), 0);
    if (kind == SPACES_ALL_USERS)                        /* who may map all may also map one */
        CHECK_INT(within(SPACES_ONE_USER, d, look_around), 0);
}

TEST(namespaces_that_are_refused_are_not_made)
{
    struct kr_err why = { 0 };
    CHECK_INT(spaces_try("/no/such/folder", &why), SPACES_NONE);
    CHECK(why.msg[0]);
}
