/* SPDX-License-Identifier: Apache-2.0 */
/*
 * install: copies this binary into a directory, so that an init container can bring it into a pod whose image doesn't have
 * it. The copy appears at once and whole.
 */
#include "core/applet.h"
#include "core/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static int copy(int from, int to, const char *path, struct kr_err *e)
{
    struct stat st;
    if (fstat(from, &st) < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "look at this binary");
    for (off_t left = st.st_size; left > 0;) {
        ptrdiff_t n = sendfile(to, from, NULL, (size_t)left);
        if (n <= 0)
            return kr_fail_sys(e, KR_SYSTEM, errno, "write \"%s\"", path);
        left -= n;
    }
    return 0;
}

static int run(struct applet_call *c, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 16384 };
    const char *path = fs_join(&a, c->args[0].p, "kruntimes"), *fresh = fs_join(&a, c->args[0].p, ".kruntimes.new");
    if (fs_make_dir(c->args[0].p, 0755, e) < 0)
        return -1;
    AUTO_CLOSE int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    AUTO_CLOSE int out = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0755);
    if (from < 0 || out < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "%s", from < 0 ? "open this binary" : fresh);
    if (copy(from, out, path, e) < 0 || fchmod(out, 0755) < 0 || rename(fresh, path) < 0) {
        int why = errno;
        unlink(fresh);
        return e->code ? -1 : kr_fail_sys(e, KR_SYSTEM, why, "write \"%s\"", path);
    }
    return 0;
}

const struct applet applet_install = { .name = "install", .group = APPLET_TOOL, .brief = "copies this binary into a directory", .args = "DIRECTORY",
                                       .min_args = 1, .max_args = 1, .main = run };
