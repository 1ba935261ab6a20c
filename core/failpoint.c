/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failpoint: see failpoint.h. Each hit looks for one file, so that a test can arm a point of a process that runs. Who removes
 * the file is the one that dies; of two at the same moment the other goes on.
 */
#include "core/failpoint.h"
#ifdef KR_FAILPOINTS
#include "core/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

extern const char *__start_kr_failpoints[], *__stop_kr_failpoints[];

const char *failpoint_name(unsigned i)
{
    return i < (size_t)(__stop_kr_failpoints - __start_kr_failpoints) ? __start_kr_failpoints[i] : NULL;
}

/* The applet: the first word of the command line after the program. */
static const char *process(void)
{
    static char text[256];
    AUTO_CLOSE int fd = *text ? -1 : open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, text, sizeof text - 1) < 0)
        text[0] = '\0';
    return *text ? text + strlen(text) + 1 : "";
}

static const char *folder(void)
{
    static char path[4096];
    if (*path)
        return path;
    ptrdiff_t n = readlink("/proc/self/exe", path, sizeof path - 16);
    memcpy(path + (n > 0 ? n : 0), ".armed", 7);
    return path;
}

/* Counts down; true when this was the last one. */
static bool is_due(const char *path)
{
    char text[16];
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    ptrdiff_t n = fd < 0 ? 0 : pread(fd, text, sizeof text, 0);
    int64_t left = 1;
    if (fd < 0 || n < 0)
        return false;
    str_i64(str_trim((struct str){ text, (size_t)n }), &left);
    if (left <= 1)
        return unlink(path) == 0;
    int m = snprintf(text, sizeof text, "%-8lld", (long long)left - 1);
    return pwrite(fd, text, (size_t)m, 0) < 0 && unlink(path) == 0;
}

static void die(const char *name)
{
    char text[512];
    snprintf(text, sizeof text, "%s/killed", folder());
    AUTO_CLOSE int fd = open(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int n = snprintf(text, sizeof text, "%s %ld\n", name, (long)getpid());
    if (fd < 0 || write(fd, text, (size_t)n) < 0)
        fprintf(stderr, "the failpoint \"%s\" can't leave a note\n", name);
    kill(getpid(), SIGKILL);
}

void failpoint_hit(const char *point)
{
    char name[200], path[4400];
    int kept = errno;
    size_t n = strlen(process());
    snprintf(name, sizeof name, "%s%s", *point == '*' ? process() : "", point + (*point == '*'));
    if (!strncmp(name, process(), n) && name[n] == '.') {
        snprintf(path, sizeof path, "%s/%s", folder(), name);
        for (char *c = path + strlen(folder()) + 1; *c; c++)
            if (*c == '/')
                *c = '+';
        if (is_due(path))
            die(name);
    }
    errno = kept;
}
#endif
