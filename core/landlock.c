/* SPDX-License-Identifier: Apache-2.0 */
/*
 * landlock: the three system calls. Structures and numbers are the kernel's (include/uapi/linux/landlock.h), written here as
 * far as they are used: the headers of a build machine may be older than the kernel below.
 * Tests: tests/unit/core/landlock.c.
 */
#include "core/landlock.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CREATE = 444, ADD_RULE = 445, RESTRICT = 446 };        /* the same numbers on every architecture */
enum { VERSION_FLAG = 1, RULE_PATH = 1 };

#define FS_EXECUTE UINT64_C(1)
#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_CHANGE_TREE (UINT64_C(0x17b) << 4)     /* remove and make: 4…12, but for devices (6 and 11), which nobody gets */
#define FS_REFER (UINT64_C(1) << 13)              /* ABI 2 */
#define FS_TRUNCATE (UINT64_C(1) << 14)           /* ABI 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15)          /* ABI 5 */
#define FS_RESOLVE_UNIX (UINT64_C(1) << 16)       /* ABI 9 */
#define FS_ALL (UINT64_C(0x1ffff))
#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV | FS_RESOLVE_UNIX)
#define NET_TCP UINT64_C(3)                       /* bind, connect: ABI 4 */
#define SCOPES UINT64_C(3)                        /* abstract sockets, signals: ABI 6 */

struct ruleset { uint64_t fs, net, scoped; };
struct path_rule { uint64_t allowed; int32_t parent; } __attribute__((packed));

int landlock_abi(void)
{
    static int abi = -1;                          /* asked once: each rule wants to know */
    if (abi < 0) {
        long v = syscall(CREATE, NULL, 0, VERSION_FLAG);
        abi = v > 0 ? (int)v : 0;
    }
    return abi;
}

static uint64_t known_files(int abi)
{
    return FS_ALL & ~(abi < 2 ? FS_REFER : 0) & ~(abi < 3 ? FS_TRUNCATE : 0) & ~(abi < 5 ? FS_IOCTL_DEV : 0) & ~(abi < 9 ? FS_RESOLVE_UNIX : 0);
}

bool landlock_keeps_sockets(void) { return landlock_abi() >= 9; }

int landlock_begin(unsigned what, struct kr_err *e)
{
    int abi = landlock_abi();
    if (!abi || (what & LANDLOCK_TCP && abi < 4) || (what & LANDLOCK_SCOPES && abi < 6))
        return kr_fail(e, KR_UNSUPPORTED, "the kernel has no Landlock of ABI %d (it has %d)", what & LANDLOCK_SCOPES ? 6 : what & LANDLOCK_TCP ? 4 : 1, abi);
    struct ruleset r = { what & LANDLOCK_FILES ? known_files(abi) : 0, what & LANDLOCK_TCP ? NET_TCP : 0, what & LANDLOCK_SCOPES ? SCOPES : 0 };
    size_t size = abi < 4 ? 8 : abi < 6 ? 16 : sizeof r;
    int fd = (int)syscall(CREATE, &r, size, 0);
    return fd < 0 ? kr_fail_sys(e, KR_SYSTEM, errno, "make a Landlock ruleset") : fd;
}

int landlock_path_fd(int ruleset, int fd, unsigned rights, struct kr_err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "look at a path for Landlock");
    uint64_t a = (rights & LANDLOCK_READ ? FS_EXECUTE | FS_READ_FILE | FS_READ_DIR : 0) |
                 (rights & LANDLOCK_WRITE ? FS_WRITE_FILE | FS_TRUNCATE | FS_CHANGE_TREE | FS_REFER | FS_RESOLVE_UNIX : 0) | (rights & LANDLOCK_DEVICE ? FS_IOCTL_DEV : 0);
    a &= known_files(landlock_abi()) & (S_ISDIR(st.st_mode) ? FS_ALL : FS_OF_FILES);
    struct path_rule r = { a, fd };
    return syscall(ADD_RULE, ruleset, RULE_PATH, &r, 0) < 0 ? kr_fail_sys(e, KR_SYSTEM, errno, "add a Landlock rule") : 0;
}

int landlock_path(int ruleset, const char *path, unsigned rights, struct kr_err *e)
{
    AUTO_CLOSE int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : kr_fail_sys(e, KR_SYSTEM, errno, "open \"%s\" for Landlock", path);
    return landlock_path_fd(ruleset, fd, rights, e) < 0 ? kr_wrap(e, "\"%s\"", path) : 0;
}

int landlock_enter(int ruleset, struct kr_err *e)
{
    int rc = 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(RESTRICT, ruleset, 0) < 0)
        rc = kr_fail_sys(e, KR_SYSTEM, errno, "enter a Landlock domain");
    close(ruleset);
    return rc;
}
