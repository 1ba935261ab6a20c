/* SPDX-License-Identifier: Apache-2.0 */
/* landlock: what a process may reach after it has given rights up. Each test is a process of its own. */
#include "core/landlock.h"
#include "tests/kit/test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
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

/* ---- named sockets ----------------------------------------------------------------------------------------------- */

static struct sockaddr_un named(const char *dir, const char *name)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", dir, name);
    return a;
}

static int listening(const char *dir, const char *name, int type)
{
    struct sockaddr_un a = named(dir, name);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || (type == SOCK_STREAM && listen(fd, 1) < 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* 0, or why not. */
static int reaches(const char *dir, const char *name, int type)
{
    struct sockaddr_un a = named(dir, name);
    AUTO_CLOSE int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    int rc = type == SOCK_STREAM ? connect(fd, (struct sockaddr *)&a, sizeof a) : (int)sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof a);
    return rc < 0 ? errno : 0;
}

static bool enter(const char *one, const char *two)
{
    struct kr_err e = { 0 };
    int rules = landlock_begin(LANDLOCK_FILES | LANDLOCK_SCOPES, &e);
    return rules >= 0 && landlock_path(rules, one, LANDLOCK_READ | LANDLOCK_WRITE, &e) == 0 && landlock_path(rules, two, LANDLOCK_READ | LANDLOCK_WRITE, &e) == 0 &&
           landlock_path(rules, "/proc", LANDLOCK_READ, &e) == 0 && landlock_enter(rules, &e) == 0;
}

/* As the executions of one shim: all may write to both folders, this one to its own alone. The number of the first that fails. */
static int neighbour(const char *own, const char *others)
{
    if (!enter(own, "/proc/self")) return 1;
    if (listening(own, "mine", SOCK_STREAM) < 0 || reaches(own, "mine", SOCK_STREAM)) return 2;
    if (listening(own, "mine-too", SOCK_DGRAM) < 0 || reaches(own, "mine-too", SOCK_DGRAM)) return 3;
    if (reaches(others, "theirs", SOCK_STREAM) != EACCES) return 4;
    return reaches(others, "theirs-too", SOCK_DGRAM) == EACCES ? 0 : 5;
}

TEST(named_sockets_of_others_are_out_of_reach)
{
    char own[512], others[512], outside[512];
    int status = -1;
    if (!landlock_keeps_sockets()) {
        printf("skip named sockets: the kernel has Landlock ABI %d, 9 is needed\n", landlock_abi());
        return;
    }
    snprintf(own, sizeof own, "%s/own", test_tmpdir());
    snprintf(others, sizeof others, "%s/others", test_tmpdir());
    snprintf(outside, sizeof outside, "%s/outside", test_tmpdir());
    CHECK(mkdir(own, 0700) == 0 && mkdir(others, 0700) == 0 && mkdir(outside, 0700) == 0);
    AUTO_CLOSE int far = listening(outside, "far", SOCK_STREAM), mail = listening(outside, "mail", SOCK_DGRAM), before = listening(own, "before", SOCK_STREAM);
    CHECK(far >= 0 && mail >= 0 && before >= 0);
    CHECK_OR(enter(own, others));
    CHECK_INT(reaches(outside, "far", SOCK_STREAM), EACCES);
    CHECK_INT(reaches(outside, "mail", SOCK_DGRAM), EACCES);
    CHECK_INT(reaches(own, "before", SOCK_STREAM), 0);          /* of somebody else, in a folder that may be written */
    AUTO_CLOSE int theirs = listening(others, "theirs", SOCK_STREAM), too = listening(others, "theirs-too", SOCK_DGRAM);
    CHECK(theirs >= 0 && too >= 0);
    CHECK_INT(reaches(others, "theirs", SOCK_STREAM), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(neighbour(own, others));
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}
