/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spaces: see spaces.h. The order matters: users first, since rights over the rest come from there; the new /proc last, since the
 * old one tells what is where until then.
 * A fresh /proc shows the kernel's own files too. Rules can't except any (sandbox.c), so all but those that a Run may read are
 * covered. Tests: tests/unit/applets/sandbox.c, tests/local/sandbox.py.
 */
#include "applets/runtime_server/spaces.h"
#include "applets/runtime_server/sandbox.h"
#include "core/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEW_SPACES (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC)
#define QUIET (MS_NOSUID | MS_NODEV)

const char *const spaces_own[SPACES_OWN] = { "/tmp", "/var/tmp", "/dev/shm" };
/* ---- users ------------------------------------------------------------------------------------------------------- */

static int put(const char *path, struct str text)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n ? 0 : -1;
}

/* The next number of a line in which they stand in columns; false at its end. */
static bool next_number(struct str *line, int64_t *n)
{
    while (line->n && line->p[0] == ' ')
        str_cut(line, ' ');
    return str_i64(str_cut(line, ' '), n);
}

/* All IDs that we have ourselves, each as itself. */
static int map_all(pid_t pid, const char *kind)
{
    AUTO_BUF struct buf own = { .max = 16384 }, map = { .max = 16384 };
    struct kr_err ignored = { 0 };
    char path[64];
    snprintf(path, sizeof path, "/proc/self/%s", kind);
    if (fs_read(path, &own, &ignored) < 0)
        return -1;
    struct str text = buf_view(&own), line;
    while ((line = str_cut(&text, '\n')).n) {
        int64_t inside, outside, n;
        if (next_number(&line, &inside) && next_number(&line, &outside) && next_number(&line, &n))
            buf_fmt(&map, "%lld %lld %lld\n", (long long)inside, (long long)inside, (long long)n);
    }
    snprintf(path, sizeof path, "/proc/%d/%s", pid, kind);
    return put(path, buf_view(&map));
}

/* Who we were outside: inside we are nobody until we are mapped. */
static struct { uid_t uid; gid_t gid; } outside;

/* Ourselves alone. The files of a process that can't be looked into are root's, so for this moment it can. */
static int map_one(struct kr_err *e)
{
    char users[32], groups[32];
    snprintf(users, sizeof users, "%u %u 1", outside.uid, outside.uid);
    snprintf(groups, sizeof groups, "%u %u 1", outside.gid, outside.gid);
    prctl(PR_SET_DUMPABLE, 1);
    int rc = put("/proc/self/setgroups", S("deny")) < 0 || put("/proc/self/uid_map", str_of(users)) < 0 || put("/proc/self/gid_map", str_of(groups)) < 0 ? -1 : 0;
    int err = errno;
    prctl(PR_SET_DUMPABLE, 0);
    return rc < 0 ? kr_fail_sys(e, KR_SYSTEM, err, "map the user") : 0;
}

/* The child waits until it is somebody: until then all IDs are nobody's. */
pid_t spaces_fork(enum spaces kind)
{
    int go[2];
    char byte = 0;
    if (pipe2(go, O_CLOEXEC) < 0)
        return -1;
    outside.uid = geteuid();
    outside.gid = getegid();
    pid_t pid = (pid_t)syscall(SYS_clone, NEW_SPACES | SIGCHLD, NULL, NULL, NULL, NULL);
    int err = errno;
    if (pid == 0) {
        close(go[1]);
        if (read(go[0], &byte, 1) != 1)
            _exit(127);
        close(go[0]);
        return 0;
    }
    if (pid > 0 && kind == SPACES_ALL_USERS && (map_all(pid, "uid_map") < 0 || map_all(pid, "gid_map") < 0)) {
        err = errno;
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
        pid = -1;
    }
    if (pid > 0 && write(go[1], &byte, 1) < 0)
        kill(pid, SIGKILL);
    close(go[0]);                                 /* not before: there was somebody to read, though the child be gone */
    close(go[1]);
    errno = err;
    return pid;
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

static int put_mount(const char *source, const char *at, const char *type, unsigned long flags, const char *options, struct kr_err *e)
{
    if (mount(source, at, type, flags, options) == 0)
        return 0;
    return kr_fail_sys(e, KR_SYSTEM, errno, "mount %s", at);
}

static bool is_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return !strncmp(path, dir, n) && path[n] == '/';
}

/* The workspaces, where one of the new folders lies over them. */
static int put_back(const char *path, int dir, struct kr_err *e)
{
    char part[4096], from[64];
    size_t n = strlen(path);
    if (n >= sizeof part)
        return kr_fail(e, KR_TOO_LARGE, "the path of the workspaces is too long");
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i])
            continue;
        snprintf(part, sizeof part, "%.*s", (int)i, path);
        if (mkdir(part, 0755) < 0 && errno != EEXIST)
            return kr_fail_sys(e, KR_SYSTEM, errno, "make %s", part);
    }
    snprintf(from, sizeof from, "/proc/self/fd/%d", dir);
    return put_mount(from, path, NULL, MS_BIND | MS_REC, NULL, e);
}

static int put_own_folders(const char *workspaces, struct kr_err *e)
{
    char options[96], real[4096];
    bool covered = false;
    AUTO_CLOSE int dir = open(workspaces, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "open \"%s\"", workspaces);
    snprintf(options, sizeof options, "mode=1777,size=%lld,nr_inodes=%d", (long long)LIMIT_SANDBOX_TMP, LIMIT_SANDBOX_TMP_FILES);
    for (size_t i = 0; i < SPACES_OWN; i++) {
        if (!realpath(spaces_own[i], real))
            continue;                             /* an image without it */
        if (put_mount("tmpfs", real, "tmpfs", QUIET, options, e) < 0)
            return -1;
        covered |= is_below(workspaces, real);
    }
    return covered ? put_back(workspaces, dir, e) : 0;
}

/* Links are of processes, and System V IPC is our own. */
static bool is_shown(const struct dirent *d)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%s", d->d_name);
    bool process = d->d_type == DT_LNK || (d->d_name[0] >= '0' && d->d_name[0] <= '9');
    return process || d->d_name[0] == '.' || !strcmp(d->d_name, "sysvipc") || sandbox_shows(path);
}

static int cover(const struct dirent *d, struct kr_err *e)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%s", d->d_name);
    if (d->d_type == DT_DIR)
        return put_mount("tmpfs", path, "tmpfs", QUIET | MS_NOEXEC | MS_RDONLY, "size=4096,mode=555", e);
    return put_mount("/dev/null", path, NULL, MS_BIND, NULL, e);
}

static int put_proc(struct kr_err *e)
{
    int rc = put_mount("proc", "/proc", "proc", QUIET | MS_NOEXEC, NULL, e);
    DIR *proc = rc < 0 ? NULL : opendir("/proc");
    if (!proc)
        return rc < 0 ? rc : kr_fail_sys(e, KR_SYSTEM, errno, "read \"/proc\" of a sandbox");
    for (struct dirent *d; rc == 0 && (d = readdir(proc));)
        if (!is_shown(d))
            rc = cover(d, e);
    closedir(proc);
    return rc;
}

/* ---- what an execution leaves behind ----------------------------------------------------------------------------- */

static uint64_t before;

static uint64_t mix(uint64_t sum, uint64_t v) { return (sum ^ v) * UINT64_C(0x100000001b3); }

/* A folder's time of change is set by all that is made, removed or renamed in it and by a change of its mode. */
static uint64_t mix_folder(uint64_t sum, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return mix(sum, 1);
    uint64_t at = (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec;
    return mix(mix(sum, at), st.st_mode);
}

static uint64_t look(void)
{
    uint64_t sum = 0;
    struct statfs fs;
    for (size_t i = 0; i < SPACES_OWN; i++) {
        sum = mix_folder(sum, spaces_own[i]);
        sum = mix(sum, statfs(spaces_own[i], &fs) < 0 ? 1 : (uint64_t)fs.f_ffree);
    }
    return sum;
}

static bool is_ipc_used(void)
{
    struct shm_info shm = { 0 };
    struct seminfo sem = { 0 };
    struct msginfo msg = { 0 };
    shmctl(0, SHM_INFO, (void *)&shm);
    semctl(0, 0, SEM_INFO, &sem);
    msgctl(0, MSG_INFO, (void *)&msg);
    return shm.used_ids || sem.semusz || msg.msgpool;
}

bool spaces_are_used(void) { return look() != before || is_ipc_used(); }

int spaces_furnish(enum spaces kind, const char *workspaces, struct kr_err *e)
{
    if (kind == SPACES_ONE_USER && map_one(e) < 0)
        return -1;
    if (put_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL, e) < 0 || put_own_folders(workspaces, e) < 0 ||
        put_mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620", e) < 0 || put_proc(e) < 0)
        return -1;
    before = look();
    return 0;
}

/* ---- the trial --------------------------------------------------------------------------------------------------- */

static int try(enum spaces kind, const char *workspaces, struct kr_err *e)
{
    AUTO_BUF struct buf said = { .max = sizeof e->msg };
    int answer[2], status = -1;
    if (pipe2(answer, O_CLOEXEC) < 0)
        return kr_fail_sys(e, KR_SYSTEM, errno, "make a pipe");
    pid_t pid = spaces_fork(kind);
    if (pid == 0) {
        struct kr_err ignored = { 0 };
        int rc = spaces_furnish(kind, workspaces, e);
        if (rc < 0)
            fs_write_fd(answer[1], str_of(e->msg), "the answer", &ignored);
        _exit(rc < 0);
    }
    int err = errno;
    close(answer[1]);
    struct kr_err ignored = { 0 };
    if (pid > 0)
        fs_read_fd(answer[0], "the answer", &said, &ignored);
    close(answer[0]);
    if (pid < 0)
        return kr_fail_sys(e, KR_SYSTEM, err, "make namespaces");
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    struct str why = said.n ? buf_view(&said) : S("the process that tried it was killed");
    return status == 0 ? 0 : kr_fail(e, KR_UNSUPPORTED, "%.*s", SFMT(why));
}

enum spaces spaces_try(const char *workspaces, struct kr_err *why)
{
    struct kr_err ignored = { 0 };
    if (try(SPACES_ALL_USERS, workspaces, &ignored) == 0)
        return SPACES_ALL_USERS;
    return try(SPACES_ONE_USER, workspaces, why) == 0 ? SPACES_ONE_USER : SPACES_NONE;
}
