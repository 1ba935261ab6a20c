/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox: Landlock can only add, never except. So what is readable is found once, when the server starts: everything below "/"
 * but for the hidden folders; around a hidden folder its neighbours are taken one by one. Each is kept as a descriptor, and an
 * execution's ruleset is those, the devices, and its own folders.
 * Tests: tests/local/sandbox.py, tests/unit/applets/sandbox.c.
 */
#include "applets/runtime_server/sandbox.h"
#include "core/landlock.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { HIDDEN_MAX = 64, READABLE_MAX = 4096, DEPTH_MAX = 24 };

struct sandbox {
    char *hidden[HIDDEN_MAX]; size_t nhidden;     /* real paths */
    int readable[READABLE_MAX]; size_t nreadable;
    int devices[16]; size_t ndevices;
};

/* Of kruntimes; then what all processes of a machine share; then devices, of which some are given back below. */
static const char *const always_hidden[] = { "/workspace", "/kruntimes/secret", "/var/lib/kruntimes", "/run/secrets", "/var/run/secrets", "/tmp", "/var/tmp",
                                             "/dev", "/run/user", "/run/kruntimes", "/etc/shadow", "/etc/gshadow", "/boot", "/proc/1" };
/* Keys and tokens in a user's home. */
static const char *const home_hidden[] = { ".kube", ".ssh", ".aws", ".azure", ".gnupg", ".docker", ".config/gcloud", ".netrc", ".git-credentials",
                                           ".config/git/credentials", ".local/state/kruntimes" };
static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts" };

int sandbox_check(struct kr_err *e)
{
    uint32_t action = SECCOMP_RET_ERRNO;
    int abi = landlock_abi();
    if (abi < 6)
        return kr_fail(e, KR_UNSUPPORTED, "SandboxUnavailable: the kernel has Landlock ABI %d, isolation Sandbox needs 6 (Linux 6.12): set isolation to Process, or "
                                          "use newer nodes", abi);
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0)
        return kr_fail(e, KR_UNSUPPORTED, "SandboxUnavailable: the kernel has no seccomp filters, which isolation Sandbox needs: set isolation to Process");
    return 0;
}

/* ---- what is there ----------------------------------------------------------------------------------------------- */

static void hide(struct sandbox *s, const char *path)
{
    char real[4096];
    if (s->nhidden < HIDDEN_MAX && realpath(path, real))
        s->hidden[s->nhidden++] = xstrndup(real, strlen(real));
}

static bool is_hidden(const struct sandbox *s, const char *path)
{
    for (size_t i = 0; i < s->nhidden; i++)
        if (!strcmp(s->hidden[i], path))
            return true;
    return false;
}

static bool has_hidden_below(const struct sandbox *s, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < s->nhidden; i++)
        if (!strncmp(s->hidden[i], path, n) && s->hidden[i][n] == '/')
            return true;
    return false;
}

static int look(struct sandbox *s, const char *dir, int depth, struct kr_err *e);

static int look_at(struct sandbox *s, const char *path, int depth, struct kr_err *e)
{
    struct stat st;
    if (is_hidden(s, path) || (!strncmp(path, "/proc/", 6) && path[6] >= '0' && path[6] <= '9'))
        return 0;                                 /* a process: sandbox_enter gives the command its own one */
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (fstat(fd, &st) < 0 || S_ISLNK(st.st_mode)) {      /* where a link leads has a place of its own */
        close(fd);
        return 0;
    }
    if (S_ISDIR(st.st_mode) && has_hidden_below(s, path)) {
        close(fd);
        return look(s, path, depth + 1, e);
    }
    if (s->nreadable == READABLE_MAX) {
        close(fd);
        return kr_fail(e, KR_TOO_LARGE, "around a hidden folder there are more than %d files: \"%s\"", READABLE_MAX, path);
    }
    s->readable[s->nreadable++] = fd;
    return 0;
}

static int look(struct sandbox *s, const char *dir, int depth, struct kr_err *e)
{
    char path[4096];
    int rc = 0;
    DIR *d = depth > DEPTH_MAX ? NULL : opendir(dir);
    for (struct dirent *x; rc == 0 && d && (x = readdir(d));) {
        if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, ".."))
            continue;
        int n = snprintf(path, sizeof path, "%s/%s", dir[1] ? dir : "", x->d_name);
        if (n > 0 && (size_t)n < sizeof path)
            rc = look_at(s, path, depth, e);
    }
    if (d)
        closedir(d);
    return rc;
}

struct sandbox *sandbox_new(const char *const *hidden, size_t n, struct kr_err *e)
{
    struct sandbox *s = xcalloc(1, sizeof *s);
    const char *home = getenv("HOME");
    char path[4096];
    for (size_t i = 0; i < n; i++)
        hide(s, hidden[i]);
    for (size_t i = 0; i < LEN(always_hidden); i++)
        hide(s, always_hidden[i]);
    for (size_t i = 0; home && *home == '/' && i < LEN(home_hidden); i++) {
        snprintf(path, sizeof path, "%s/%s", home, home_hidden[i]);
        hide(s, path);
    }
    for (size_t i = 0; i < LEN(devices); i++) {
        int fd = open(devices[i], O_PATH | O_CLOEXEC);
        if (fd >= 0)
            s->devices[s->ndevices++] = fd;
    }
    if (look(s, "/", 0, e) == 0)
        return s;
    sandbox_free(s);
    return NULL;
}

void sandbox_free(struct sandbox *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->nhidden; i++)
        free(s->hidden[i]);
    for (size_t i = 0; i < s->nreadable; i++)
        close(s->readable[i]);
    for (size_t i = 0; i < s->ndevices; i++)
        close(s->devices[i]);
    free(s);
}

/* ---- an execution ------------------------------------------------------------------------------------------------ */

int sandbox_rules(const struct sandbox *s, const char *const *own, size_t n, struct kr_err *e)
{
    int rules = landlock_begin(LANDLOCK_FILES | LANDLOCK_SCOPES, e), rc = rules < 0 ? -1 : 0;
    for (size_t i = 0; rc == 0 && i < s->nreadable; i++)
        rc = landlock_path_fd(rules, s->readable[i], LANDLOCK_READ, e);
    for (size_t i = 0; rc == 0 && i < s->ndevices; i++)
        rc = landlock_path_fd(rules, s->devices[i], LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_DEVICE, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (own[i])
            rc = landlock_path(rules, own[i], LANDLOCK_READ | LANDLOCK_WRITE, e);
    if (rc == 0)
        return rules;
    if (rules >= 0)
        close(rules);
    return -1;
}

int sandbox_enter(int rules)
{
    struct kr_err e = { 0 };
    if (landlock_path(rules, "/proc/self", LANDLOCK_READ, &e) < 0 || landlock_enter(rules, &e) < 0)
        return EPERM;
    return sandbox_filter();
}
