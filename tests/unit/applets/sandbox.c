/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox: below the floor it says so. What it keeps from a Run is tried by tests/local/sandbox.py. */
#include "applets/runtime_server/sandbox.h"
#include "core/landlock.h"
#include "tests/kit/test.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
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
        bool ok = sandbox_filter() == 0 && syscall(SYS_unshare, 0x10000000) == -1 && errno == EPERM;
        ok = ok && syscall(SYS_socket, 1, 1, 0) == -1 && errno == EPERM;
        ok = ok && syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS;
        _exit(ok ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}
