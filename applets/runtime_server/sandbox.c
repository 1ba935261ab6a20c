/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox: Landlock can only add, never except. So what is readable is found once, when the server starts: everything below "/"
 * but for the hidden folders; around a hidden folder its neighbours are taken one by one. That may be hundreds of rules, so they
 * are one ruleset ("machine"), entered once by each shim, with the folder of all workspaces writable. With namespaces each shim
 * makes it, as it has folders of its own; else it is made once.
 * The second ruleset is made for each execution, so it should be short: it hides only that folder and /proc, around which few
 * things stand, and knows nothing of what the first one hides.
 * Tests: tests/local/sandbox.py, tests/unit/applets/sandbox.c.
 */
#include "applets/runtime_server/sandbox.h"
#include "applets/runtime_server/sandbox_calls.h"
#include "applets/runtime_server/spaces.h"
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

/* Folders to leave out, and what stands around them. */
struct around {
    char *hidden[HIDDEN_MAX]; size_t nhidden;     /* real paths */
    int fd[READABLE_MAX]; size_t n;               /* O_PATH */
};
struct sandbox {
    int machine;                                  /* ruleset; -1: each shim makes it */
    struct around readable, neighbours;           /* readable: until that ruleset is made */
    enum spaces spaces;
    struct kr_err lacks;                          /* why there are none */
    bool answers;                                 /* calls, by sandbox_calls.h */
    struct kr_err open;                           /* why it doesn't */
    char *workspaces;
    char *own[SPACES_OWN]; size_t nown;           /* what executions get of spaces_own */
    int proc[16]; size_t nproc;                   /* what is shown of /proc besides the process itself */
    int dev;                                      /* /dev: the ruleset of the machine says which of it */
};

/* Of kruntimes; then what all processes of a machine share; then devices, of which some are given back below. */
static const char *const always_hidden[] = { "/kruntimes/secret", "/var/lib/kruntimes", "/run/secrets", "/var/run/secrets", "/tmp", "/var/tmp",
                                             "/dev", "/run/user", "/run/kruntimes", "/etc/shadow", "/etc/gshadow", "/boot" };
/* Keys and tokens in a user's home. */
static const char *const home_hidden[] = { ".kube", ".ssh", ".aws", ".azure", ".gnupg", ".docker", ".config/gcloud", ".netrc", ".git-credentials",
                                           ".config/git/credentials", ".local/state/kruntimes" };
static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts" };
/* The machine as programs ask for it. Not here: memory, keys, symbols and messages of the kernel. */
static const char *const of_proc[] = { "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/vmstat", "/proc/loadavg", "/proc/uptime", "/proc/version",
                                       "/proc/filesystems", "/proc/cgroups", "/proc/devices", "/proc/swaps", "/proc/partitions", "/proc/diskstats", "/proc/sys" };

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

static void hide(struct around *s, const char *path)
{
    char real[4096];
    if (s->nhidden < HIDDEN_MAX && realpath(path, real))
        s->hidden[s->nhidden++] = xstrndup(real, strlen(real));
}

static bool is_hidden(const struct around *s, const char *path)
{
    for (size_t i = 0; i < s->nhidden; i++)
        if (!strcmp(s->hidden[i], path))
            return true;
    return false;
}

static bool has_hidden_below(const struct around *s, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < s->nhidden; i++)
        if (!strncmp(s->hidden[i], path, n) && s->hidden[i][n] == '/')
            return true;
    return false;
}

static int look(struct around *s, const struct around *but, const char *dir, int depth, struct kr_err *e);

/* What `but` hides needs no rule here: it is refused already. */
static int look_at(struct around *s, const struct around *but, const char *path, int depth, struct kr_err *e)
{
    struct stat st;
    if (is_hidden(s, path) || (but && is_hidden(but, path)))
        return 0;
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (fstat(fd, &st) < 0 || S_ISLNK(st.st_mode)) {      /* where a link leads has a place of its own */
        close(fd);
        return 0;
    }
    if (S_ISDIR(st.st_mode) && has_hidden_below(s, path)) {
        close(fd);
        return look(s, but, path, depth + 1, e);
    }
    if (s->n == READABLE_MAX) {
        close(fd);
        return kr_fail(e, KR_TOO_LARGE, "around a hidden folder there are more than %d files: \"%s\"", READABLE_MAX, path);
    }
    s->fd[s->n++] = fd;
    return 0;
}

static int look(struct around *s, const struct around *but, const char *dir, int depth, struct kr_err *e)
{
    char path[4096];
    int rc = 0;
    DIR *d = depth > DEPTH_MAX ? NULL : opendir(dir);
    for (struct dirent *x; rc == 0 && d && (x = readdir(d));) {
        if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, ".."))
            continue;
        int n = snprintf(path, sizeof path, "%s/%s", dir[1] ? dir : "", x->d_name);
        if (n > 0 && (size_t)n < sizeof path)
            rc = look_at(s, but, path, depth, e);
    }
    if (d)
        closedir(d);
    return rc;
}

static void around_free(struct around *s)
{
    for (size_t i = 0; i < s->nhidden; i++)
        free(s->hidden[i]);
    for (size_t i = 0; i < s->n; i++)
        close(s->fd[i]);
}

static void hide_all(struct around *s, const char *const *hidden, size_t n)
{
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
}

static int open_all(const char *const *paths, size_t n, int *fd)
{
    int some = 0;
    for (size_t i = 0; i < n; i++)
        if ((fd[some] = open(paths[i], O_PATH | O_CLOEXEC)) >= 0)
            some++;
    return some;
}

/* ---- the machine ------------------------------------------------------------------------------------------------- */

/* The ruleset, or -1 and no descriptor left. */
static int rules_or_close(int rules, int rc)
{
    if (rc == 0)
        return rules;
    if (rules >= 0)
        close(rules);
    return -1;
}

/* A rule holds for all that is below, mounted or not: where the workspaces are in one of these folders, nobody gets that one. */
static void find_own(struct sandbox *s)
{
    char real[4096];
    for (size_t i = 0; i < SPACES_OWN; i++) {
        size_t n = realpath(spaces_own[i], real) ? strlen(real) : 0;
        if (n && (strncmp(s->workspaces, real, n) != 0 || s->workspaces[n] != '/'))
            s->own[s->nown++] = xstrndup(real, n);
    }
}

/* What spaces_furnish has put there. */
static int own_rules(const struct sandbox *s, int rules, struct kr_err *e)
{
    int rc = landlock_path(rules, "/proc", LANDLOCK_READ, e);
    for (size_t i = 0; rc == 0 && i < s->nown; i++)
        rc = landlock_path(rules, s->own[i], LANDLOCK_READ | LANDLOCK_WRITE, e);
    return rc;
}

static int machine_rules(const struct sandbox *s, struct kr_err *e)
{
    int rules = landlock_begin(LANDLOCK_FILES | LANDLOCK_SCOPES, e), rc = rules < 0 ? -1 : 0;
    for (size_t i = 0; rc == 0 && i < s->readable.n; i++)
        rc = landlock_path_fd(rules, s->readable.fd[i], LANDLOCK_READ, e);
    for (size_t i = 0; rc == 0 && i < LEN(devices); i++)
        rc = landlock_path(rules, devices[i], LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_DEVICE, e);
    if (rc == 0)
        rc = landlock_path(rules, s->workspaces, LANDLOCK_READ | LANDLOCK_WRITE, e);
    if (rc == 0 && s->spaces)
        rc = own_rules(s, rules, e);
    return rules_or_close(rules, rc);
}

/* Without namespaces the ruleset is made now, and what it was made of isn't needed any more. */
static int make_machine(struct sandbox *s, struct kr_err *e)
{
    if (s->spaces)
        return 0;
    s->machine = machine_rules(s, e);
    around_free(&s->readable);
    s->readable = (struct around){ .n = 0 };
    return s->machine < 0 ? -1 : 0;
}

struct sandbox *sandbox_new(const char *workspaces, const char *const *hidden, size_t n, bool namespaces, struct kr_err *e)
{
    struct sandbox *s = xcalloc(1, sizeof *s);
    char real[4096];
    bool there = realpath(workspaces, real) != NULL;
    s->machine = -1;
    s->workspaces = xstrndup(there ? real : workspaces, strlen(there ? real : workspaces));
    s->dev = open("/dev", O_PATH | O_CLOEXEC);
    s->nproc = (size_t)open_all(of_proc, LEN(of_proc), s->proc);
    if (namespaces)
        s->spaces = spaces_try(s->workspaces, &s->lacks);
    else
        kr_fail(&s->lacks, KR_UNSUPPORTED, "they are switched off");
    s->answers = calls_try(&s->open) == 0;
    find_own(s);
    hide_all(&s->readable, hidden, n);
    hide(&s->neighbours, workspaces);
    hide(&s->neighbours, "/proc");
    hide(&s->neighbours, "/dev");
    if (look(&s->readable, NULL, "/", 0, e) == 0 && look(&s->neighbours, &s->readable, "/", 0, e) == 0 && make_machine(s, e) == 0)
        return s;
    sandbox_free(s);
    return NULL;
}

const char *sandbox_lacks(const struct sandbox *s) { return s->spaces ? NULL : s->lacks.msg; }

const char *sandbox_leaves_open(const struct sandbox *s) { return s->answers ? NULL : s->open.msg; }

void sandbox_free(struct sandbox *s)
{
    if (!s)
        return;
    around_free(&s->readable);
    around_free(&s->neighbours);
    for (size_t i = 0; i < s->nproc; i++)
        close(s->proc[i]);
    if (s->machine >= 0)
        close(s->machine);
    if (s->dev >= 0)
        close(s->dev);
    for (size_t i = 0; i < s->nown; i++)
        free(s->own[i]);
    free(s->workspaces);
    free(s);
}

pid_t sandbox_fork(const struct sandbox *s) { return s->spaces ? spaces_fork(s->spaces) : fork(); }

int sandbox_settle(const struct sandbox *s)
{
    struct kr_err e = { 0 };
    int machine = s->machine;
    if (s->spaces && (spaces_furnish(s->spaces, s->workspaces, &e) < 0 || (machine = machine_rules(s, &e)) < 0))
        return EPERM;
    return landlock_enter(machine, &e) < 0 ? EPERM : sandbox_filter(s->spaces, landlock_keeps_sockets(), s->answers);
}

bool sandbox_is_used(const struct sandbox *s) { return s->spaces && spaces_are_used(); }

bool sandbox_shows(const char *path)
{
    for (size_t i = 0; i < LEN(of_proc); i++)
        if (!strcmp(of_proc[i], path))
            return true;
    return false;
}

/* ---- an execution ------------------------------------------------------------------------------------------------ */

int sandbox_rules(const struct sandbox *s, const char *const *own, size_t n, struct kr_err *e)
{
    int rules = landlock_begin(LANDLOCK_FILES | LANDLOCK_SCOPES, e), rc = rules < 0 ? -1 : 0;
    for (size_t i = 0; rc == 0 && i < s->neighbours.n; i++)
        rc = landlock_path_fd(rules, s->neighbours.fd[i], LANDLOCK_READ, e);
    for (size_t i = 0; rc == 0 && i < s->nproc; i++)
        rc = landlock_path_fd(rules, s->proc[i], LANDLOCK_READ, e);
    if (rc == 0 && s->dev >= 0)
        rc = landlock_path_fd(rules, s->dev, LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_DEVICE, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (own[i])
            rc = landlock_path(rules, own[i], LANDLOCK_READ | LANDLOCK_WRITE, e);
    return rules_or_close(rules, rc);
}

/* What its rules let it write, but for devices. */
static int enter_calls(const struct sandbox *s, struct calls *c, const char *folder)
{
    if (folder[0])
        calls_place(c, folder);
    calls_place(c, ".");
    calls_place(c, "/dev/pts");
    for (size_t i = 0; s->spaces && i < s->nown; i++)
        calls_place(c, s->own[i]);
    return calls_enter(c);
}

int sandbox_enter(const struct sandbox *s, int rules, struct calls *c, const char *folder)
{
    struct kr_err e = { 0 };
    int rc = s->spaces ? own_rules(s, rules, &e) : landlock_path(rules, "/proc/self", LANDLOCK_READ, &e);
    if (rc < 0 || landlock_enter(rules, &e) < 0)
        return EPERM;
    return s->answers ? enter_calls(s, c, folder) : 0;
}
