/* SPDX-License-Identifier: Apache-2.0 */
#include "core/proc.h"
#include "core/fs.h"
#include "tests/kit/test.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(const char *const *argv, char *text, size_t size)
{
    int fd[2], status = 0;
    pid_t pid;
    struct kr_err e = { 0 };
    CHECK(pipe2(fd, O_CLOEXEC) == 0);
    struct proc_spec s = { .argv = argv, .in = -1, .out = fd[1], .err = -1, .path = "/usr/bin:/bin" };
    int rc = proc_spawn(&s, &pid, &e);
    close(fd[1]);
    if (rc < 0) {
        close(fd[0]);
        return rc;
    }
    AUTO_BUF struct buf b = { .max = size - 1 };
    CHECK_INT(fs_read_fd(fd[0], "pipe", &b, &e), 0);
    memcpy(text, b.n ? b.p : "", b.n);
    text[b.n] = '\0';
    close(fd[0]);
    CHECK(waitpid(pid, &status, 0) == pid);
    return proc_status_code(status);
}

TEST(a_child_has_its_output_its_exit_code_and_no_other_descriptor)
{
    char text[256];
    int extra = open("/dev/null", O_RDONLY);      /* not close-on-exec: it must not arrive */
    CHECK_INT(run((const char *const[]){ "sh", "-c", "echo hi; exit 3", NULL }, text, sizeof text), 3);
    CHECK_Z(text, "hi\n");
    CHECK_INT(run((const char *const[]){ "sh", "-c", "ls /proc/self/fd | wc -l", NULL }, text, sizeof text), 0);
    CHECK_Z(text, "4\n");                         /* 0, 1, 2 and ls's own */
    CHECK_INT(run((const char *const[]){ "sh", "-c", "kill -9 $$", NULL }, text, sizeof text), 137);
    close(extra);
}

TEST(why_a_start_failed_is_known_at_once)
{
    char text[64];
    CHECK_INT(run((const char *const[]){ "there-is-no-such-program", NULL }, text, sizeof text), -ENOENT);
    CHECK_INT(run((const char *const[]){ "/etc/passwd", NULL }, text, sizeof text), -EACCES);
}
