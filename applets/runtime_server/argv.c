/* SPDX-License-Identifier: Apache-2.0 */
/*
 * argv: see argv.h. The entrypoint is opened through the file system with RESOLVE_BENEATH, so that neither `..` nor a
 * symbolic link leads out of the working directory. Tests: tests/unit/applets/runtime_server.c
 */
#include "applets/runtime_server/argv.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SHEBANG_MAX = 256 };            /* as the kernel: BINPRM_BUF_SIZE */

static int open_beneath(int dir, const char *path)
{
    struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}

static int push(char **argv, size_t *n, struct arena *a, struct str s, struct kr_err *e)
{
    argv[*n] = arena_z(a, s);
    if (!argv[*n]) return kr_fail(e, KR_INVALID, a->over ? "arguments are too large" : "an argument has a NUL byte inside");
    ++*n;
    return 0;
}

static bool in_path(struct str path, const char *name)
{
    char file[4096];
    while (path.p) {
        struct str dir = str_cut(&path, ':');
        int n = snprintf(file, sizeof file, "%.*s/%s", SFMT(dir), name);
        if (dir.n && n > 0 && (size_t)n < sizeof file && !access(file, X_OK)) return true;
    }
    return false;
}

static const char *const *interpreter_of(const struct argv_request *r)
{
    static const char *const bash[] = { "bash", NULL }, *const sh[] = { "sh", NULL }, *const none[] = { NULL };
    if (r->interpreter) return r->interpreter;
    return in_path(r->path, "bash") ? bash : in_path(r->path, "sh") ? sh : none;
}

static int push_interpreter(char **argv, size_t *n, const char *const *with, struct arena *a, struct kr_err *e)
{
    for (; *with; with++)
        if (push(argv, n, a, str_of(*with), e) < 0) return -1;
    return 0;
}

/* "#!/usr/bin/env python3 -u": the path, and everything behind it as one argument, as the kernel does. */
static int push_shebang(char **argv, size_t *n, struct str line, struct arena *a, struct kr_err *e)
{
    ptrdiff_t end = str_chr(line, '\n');
    if (end >= 0) line.n = (size_t)end;
    line = str_trim(str_from(line, 2));
    struct str rest = line, path = str_cut(&rest, ' ');
    rest = str_trim(rest);
    if (!path.n) return kr_fail(e, KR_INVALID, "the \"#!\" line of the entrypoint names no interpreter");
    if (push(argv, n, a, path, e) < 0) return -1;
    return rest.n ? push(argv, n, a, rest, e) : 0;
}

/* How the file starts decides who runs it. The file's own name is pushed as "./entrypoint". */
static int push_file(char **argv, size_t *n, int fd, const struct argv_request *r, struct arena *a, struct kr_err *e)
{
    char start[SHEBANG_MAX];
    struct stat st;
    if (fstat(fd, &st) < 0) return kr_fail_sys(e, KR_SYSTEM, errno, "entrypoint \"%.*s\"", SFMT(r->entrypoint));
    if (!S_ISREG(st.st_mode)) return kr_fail(e, KR_INVALID, "entrypoint \"%.*s\" is not a file", SFMT(r->entrypoint));
    ssize_t got = pread(fd, start, sizeof start, 0);
    struct str head = { start, got > 0 ? (size_t)got : 0 };
    bool executable = st.st_mode & 0111, elf = str_starts(head, S("\177ELF")), shebang = str_starts(head, S("#!"));
    int bad = 0;
    if (shebang && !executable) bad = push_shebang(argv, n, head, a, e);
    else if (!shebang && !(elf && executable)) bad = push_interpreter(argv, n, interpreter_of(r), a, e);
    struct str self = arena_fmt(a, "./%.*s", SFMT(r->entrypoint));
    return bad < 0 ? -1 : push(argv, n, a, self, e);
}

int argv_build(char ***out, const struct argv_request *r, struct arena *a, struct kr_err *e)
{
    size_t n = 0, most = r->args.n + 8;
    for (size_t i = 0; r->interpreter && r->interpreter[i]; i++) most++;
    char **argv = arena_alloc(a, most * sizeof *argv);
    char *file = arena_z(a, r->entrypoint);
    if (!argv || !file) return kr_fail(e, KR_INVALID, a->over ? "arguments are too large" : "entrypoint has a NUL byte inside");
    AUTO_CLOSE int fd = r->entrypoint.n ? open_beneath(r->dir, file) : -1;
    if (r->entrypoint.n && fd < 0 && errno != ENOENT && errno != ENOTDIR)
        return kr_fail(e, KR_INVALID, "entrypoint \"%s\" can't be used: %s", file, errno == EXDEV ? "it leads out of the workspace" : strerror(errno));
    if (fd >= 0) {
        if (push_file(argv, &n, fd, r, a, e) < 0) return -1;
    } else if (!r->args.n) {
        return r->entrypoint.n ? kr_fail(e, KR_INVALID, "entrypoint \"%s\" does not exist in the workspace, and there are no args to execute", file)
                               : kr_fail(e, KR_INVALID, "nothing to execute: neither entrypoint nor args");
    } else if (r->args.n == 1 && interpreter_of(r)[0]) {
        if (push_interpreter(argv, &n, interpreter_of(r), a, e) < 0 || push(argv, &n, a, S("-c"), e) < 0) return -1;
    }
    for (size_t i = 0; i < r->args.n; i++)
        if (push(argv, &n, a, r->args.v[i], e) < 0) return -1;
    *out = argv;
    return 0;
}
