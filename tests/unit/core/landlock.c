/* SPDX-License-Identifier: Apache-2.0 */
/* landlock: what a process may reach after it has given rights up. Each test is a process of its own. */
#include "core/landlock.h"
#include "tests/kit/test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool opens(const char *dir, const char *name, int flags)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

TEST(only_what_is_allowed)
{
    struct kr_err e = { 0 };
    const char *dir = test_tmpdir();
    char own[512], other[512];
    if (landlock_abi() < 6) {
        printf("skip landlock: the kernel has ABI %d\n", landlock_abi());
        return;
    }
    snprintf(own, sizeof own, "%s/own", dir);
    snprintf(other, sizeof other, "%s/other", dir);
    CHECK(mkdir(own, 0700) == 0 && mkdir(other, 0700) == 0 && opens(own, "a", O_RDWR | O_CREAT) && opens(other, "a", O_RDWR | O_CREAT));
    int rules = landlock_begin(LANDLOCK_FILES | LANDLOCK_TCP | LANDLOCK_SCOPES, &e);
    CHECK_OR(rules >= 0);
    CHECK_INT(landlock_path(rules, own, LANDLOCK_READ | LANDLOCK_WRITE, &e), 0);

    CHECK_INT(landlock_path(rules, "/proc", LANDLOCK_READ, &e), 0);          /* the leak sanitizer looks there when the test ends */
    CHECK_INT(landlock_path(rules, "/there/is/no/such", LANDLOCK_READ, &e), 0);
    CHECK_INT(landlock_enter(rules, &e), 0);
    CHECK(opens(own, "a", O_RDWR));
    CHECK(opens(own, "new", O_RDWR | O_CREAT));
    CHECK(!opens(other, "a", O_RDONLY) && errno == EACCES);
    CHECK(!opens(other, "new", O_RDWR | O_CREAT));
    CHECK(!opens("/etc", "passwd", O_RDONLY));
    char from[520], to[520];
    snprintf(from, sizeof from, "%s/a", own);
    snprintf(to, sizeof to, "%s/b", other);
    CHECK(rename(from, to) < 0);
    CHECK(rmdir(own) < 0);
}
