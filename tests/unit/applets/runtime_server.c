/* SPDX-License-Identifier: Apache-2.0 */
#include "applets/runtime_server/execution.h"
#include "applets/runtime_server/oom.h"
#include "tests/kit/test.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- output ---- */
TEST(output_keeps_head_and_tail)
{
    struct output o = { 0 };
    uint64_t at = 0, total = 0;
    char piece[70001];
    for (int i = 0; i < 120; i++) {
        for (size_t k = 0; k < sizeof piece; k++) piece[k] = (char)('a' + (total + k) % 23);
        output_add(&o, (struct str){ piece, sizeof piece });
        total += sizeof piece;
    }
    CHECK_INT(o.total, total);
    size_t read = 0;
    bool gap = false;
    for (;;) {
        uint64_t before = at;
        struct str s = output_at(&o, &at);
        gap |= at != before;
        if (!s.n) break;
        for (size_t i = 0; i < s.n; i++) CHECK_OR(s.p[i] == (char)('a' + (at + i) % 23));
        at += s.n;
        read += s.n;
    }
    CHECK(gap && at == total);
    CHECK_INT(read, OUTPUT_HEAD + OUTPUT_TAIL);
    output_free(&o);
}

TEST(status_text_is_utf8_and_marked_when_cut)
{
    AUTO_ARENA struct arena a = { .limit = 8 << 20 };
    struct output o = { 0 };
    output_add(&o, S("ok \xFF\xC3"));
    CHECK_STR(output_text(&o, &a), S("ok \xEF\xBF\xBD\xEF\xBF\xBD"));
    output_free(&o);
    for (int i = 0; i < 400000; i++) output_add(&o, S("é€"));
    struct str s = output_text(&o, &a);
    CHECK(str_utf8(s) && s.n <= OUTPUT_HEAD && str_ends(s, S("[output cut here]\n")));
    output_free(&o);
    CHECK_STR(output_text(&o, &a), S(""));
}

/* ---- argv ---- */
static void put_file(const char *dir, const char *name, const char *text, int mode)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

TEST(what_is_executed)
{
    static const char *const py[] = { "python3", "-u", NULL };
    static const struct { const char *entry; const char *args[3]; const char *const *interp; const char *path, *want; } T[] = {
        { "", { "echo hi" }, NULL, "/bin", "sh|-c|echo hi" },
        { "", { "echo hi" }, NULL, "/nowhere", "echo hi" },
        { "", { "print(1)" }, py, "/bin", "python3|-u|-c|print(1)" },
        { "", { "echo", "a b", "c" }, NULL, "/bin", "echo|a b|c" },
        { "plain", { "x" }, NULL, "/bin", "sh|./plain|x" },
        { "plain", { "x" }, py, "/bin", "python3|-u|./plain|x" },
        { "hashbang", { "x" }, py, "/bin", "./hashbang|x" },
        { "unexecutable", { NULL }, NULL, "/bin", "/usr/bin/env|perl -w|./unexecutable" },
        { "sub/elf", { "y" }, NULL, "/bin", "./sub/elf|y" },
        { "missing", { "echo", "x" }, NULL, "/bin", "echo|x" },
        { "missing", { NULL }, NULL, "/bin", "! entrypoint \"missing\" does not exist in the workspace, and there are no args to execute" },
        { "", { NULL }, NULL, "/bin", "! nothing to execute: neither entrypoint nor args" },
        { "out", { "x" }, NULL, "/bin", "! entrypoint \"out\" can't be used: it leads out of the workspace" },
        { "../plain", { "x" }, NULL, "/bin", "! entrypoint \"../plain\" can't be used: it leads out of the workspace" },
        { "sub", { "x" }, NULL, "/bin", "! entrypoint \"sub\" is not a file" },
    };
    char path[512];
    const char *d = test_tmpdir();
    put_file(d, "plain", "echo hi\n", 0600);
    put_file(d, "hashbang", "#!/bin/sh\n", 0700);
    put_file(d, "unexecutable", "#! /usr/bin/env perl -w\n", 0600);
    snprintf(path, sizeof path, "%s/sub", d);
    mkdir(path, 0700);
    put_file(d, "sub/elf", "\177ELF", 0700);
    snprintf(path, sizeof path, "%s/out", d);
    CHECK_OR(!symlink("/etc/passwd", path));
    AUTO_CLOSE int dir = open(d, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < LEN(T); i++) {
        AUTO_ARENA struct arena a = { .limit = 1 << 20 };
        AUTO_BUF struct buf b = { .max = 4096 };
        struct str args[3];
        size_t n = 0;
        struct kr_err e = { 0 };
        char **argv;
        while (n < 3 && T[i].args[n]) args[n] = str_of(T[i].args[n]), n++;
        struct argv_request r = { str_of(T[i].entry), { args, n }, T[i].interp, str_of(T[i].path), dir };
        /* bash may or may not be there: the tests name a folder with sh alone where it matters */
        if (argv_build(&argv, &r, &a, &e) < 0) buf_fmt(&b, "! %s", e.msg);
        else for (char **v = argv; *v; v++) buf_fmt(&b, "%s%s", v == argv ? "" : "|", !strcmp(*v, "bash") ? "sh" : *v);
        CHECK_STR(buf_view(&b), str_of(T[i].want));
    }
}

/* ---- executions ---- */
struct runner { struct loop *l; struct execs *all; struct exec_watch w; bool stays, ended, cancelled; };
static void changed(struct exec_watch *w, struct execution *x, bool gone)
{
    struct runner *r = container_of(w, struct runner, w);
    if (gone || exec_state(x) != EXEC_RUNNING) r->ended = true;
    if (r->ended && !gone && !r->stays) exec_unwatch(x, w);
}
static bool has_ended(void *ctx) { return ((struct runner *)ctx)->ended; }
static void on_cancelled(void *ctx) { ((struct runner *)ctx)->cancelled = true; }
static bool is_cancelled(void *ctx) { return ((struct runner *)ctx)->cancelled; }

static struct runner *runner(int grace_ms)
{
    struct runner *r = xcalloc(1, sizeof *r);
    r->l = loop_new(&clock_system);
    r->all = execs_new(r->l, &(struct exec_config){ .harden = true, .grace_ms = grace_ms });
    r->w.changed = changed;
    return r;
}
static void runner_free(struct runner *r)
{
    execs_free(r->all);
    loop_free(r->l);
    free(r);
}
static struct execution *start(struct runner *r, const char *const *args, int64_t timeout_s)
{
    struct str v[8];
    struct kr_err e = { 0 };
    size_t n = 0;
    for (; args[n]; n++) v[n] = str_of(args[n]);
    struct exec_request q = { .id = S("x"), .working_dir = str_of(test_tmpdir()), .args = { v, n }, .timeout_s = timeout_s };
    if (exec_start(r->all, &q, &e) < 0) return printf("  %s\n", e.msg), NULL;
    struct execution *x = exec_find(r->all, S("x"));
    exec_watch(x, &r->w);
    return x;
}
static struct execution *run(struct runner *r, const char *const *args)
{
    struct execution *x = start(r, args, 0);
    if (x) CHECK_INT(loop_run_until(r->l, has_ended, r, loop_now_us(r->l) + 30000000), 0);
    r->ended = false;
    return x;
}
static struct str text(struct execution *x, int stream)
{
    uint64_t at = 0;
    return output_at(exec_output(x, stream), &at);
}
#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

TEST(ends_are_told_apart)
{
    static const struct { const char *args[3]; int code; const char *out, *error; } T[] = {
        { { "echo hello; echo oops >&2" }, 0, "hello\n", "" },
        { { "exit 7" }, 7, "", "" },
        { { "kill -9 $$" }, 137, "", "Signalled: ended by signal 9 (Killed)" },
        { { "no-such-command-here", "x" }, 127, "", "NotFound: command \"no-such-command-here\" was not found (or the interpreter its \"#!\" line names)" },
        { { "/etc/passwd", "x" }, 126, "", "NotExecutable: command \"/etc/passwd\" can't be executed: Permission denied" },
        { { "printf %s", "x" }, 127, "", "NotFound: command \"printf %s\" was not found (or the interpreter its \"#!\" line names)" },
    };
    for (size_t i = 0; i < LEN(T); i++) {
        struct runner *r = runner(1000);
        struct execution *x = run(r, (const char *const[]){ T[i].args[0], T[i].args[1], NULL });
        if (CHECK(x)) {
            CHECK_INT(exec_exit_code(x), T[i].code);
            CHECK(exec_state(x) == (T[i].code ? EXEC_FAILED : EXEC_SUCCEEDED));
            CHECK_STR(text(x, 1), str_of(T[i].out));
            CHECK_STR(exec_error(x), str_of(T[i].error));
        }
        runner_free(r);
    }
}

/* A script of ours, SLEEP being one that no other process on this machine has. */
static const char *sleeper(void)
{
    static char text[32];
    snprintf(text, sizeof text, "sleep %d", 80000000 + getpid());
    return text;
}
static const char *with_sleep(const char *script)
{
    static char text[512];
    struct buf b = { .p = text, .cap = sizeof text, .max = sizeof text - 1 };
    struct str rest = str_of(script);
    for (ptrdiff_t i; (i = str_find(rest, S("SLEEP"))) >= 0; rest = str_from(rest, (size_t)i + 5))
        buf_fmt(&b, "%.*s%s", (int)i, rest.p, sleeper());
    buf_str(&b, rest);
    return text;
}

/* Is a sleep of ours still there? */
static bool alive(void)
{
    DIR *proc = opendir("/proc");
    bool found = false;
    for (struct dirent *d; !found && (d = readdir(proc));) {
        char path[300], line[4096] = { 0 };
        if (d->d_name[0] < '0' || d->d_name[0] > '9' || strtol(d->d_name, NULL, 10) == getpid()) continue;
        snprintf(path, sizeof path, "/proc/%s/cmdline", d->d_name);
        int fd = open(path, O_RDONLY);
        ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
        if (fd >= 0) close(fd);
        for (ssize_t i = 0; i < n; i++)
            if (!line[i]) line[i] = ' ';
        found = strstr(line, sleeper());
    }
    closedir(proc);
    return found;
}

TEST(nothing_is_left_behind)
{
    static const char *const scripts[] = {
        "SLEEP & echo started",
        "(setsid env -i /bin/sh -c 'SLEEP & SLEEP' >/dev/null 2>&1 </dev/null &) ; echo started",
        "sh -c 'trap \"\" TERM; SLEEP & SLEEP' & echo started",
        "for i in 1 2 3 4 5; do (setsid sh -c '(SLEEP &)' &); done; echo started",
    };
    for (size_t i = 0; i < LEN(scripts); i++) {
        struct runner *r = runner(200);
        struct execution *x = run(r, ARGS(with_sleep(scripts[i])));
        if (CHECK(x)) {
            CHECK_STR(text(x, 1), S("started\n"));
            CHECK(exec_state(x) == EXEC_SUCCEEDED);
        }
        CHECK(!alive());
        runner_free(r);
    }
}

/* Their numbers are more text than one read takes, so a sweep that cuts one signals a stranger, and misses the rest. */
TEST(each_of_many_is_told_to_end)
{
    struct runner *r = runner(20000);
    struct execution *x = run(r, ARGS(with_sleep("for i in $(seq 300); do setsid sh -c 'trap \"echo told; exit\" TERM; echo >> up; while :; do SLEEP & wait; done' & done\n"
                                                 "until [ $(wc -l < up) = 300 ]; do sleep 0.05; done")));
    if (CHECK(x)) CHECK_INT(text(x, 1).n, 300 * strlen("told\n"));
    CHECK(!alive());
    runner_free(r);
}

TEST(cancel_ends_everything_and_removes_the_entry)
{
    struct runner *r = runner(200);
    struct execution *x = start(r, ARGS(with_sleep("trap '' TERM; setsid SLEEP & SLEEP; SLEEP; SLEEP")), 0);
    struct kr_err e;
    CHECK_OR(x);
    CHECK(exec_forget(r->all, x, &e) < 0 && e.code == KR_PRECONDITION);
    exec_cancel(r->all, x, on_cancelled, r);
    CHECK_INT(loop_run_until(r->l, is_cancelled, r, loop_now_us(r->l) + 30000000), 0);
    CHECK(!exec_find(r->all, S("x")) && !alive() && r->ended);
    runner_free(r);
}

/* Output is lost with the entry, and who follows may not have had all of it. */
TEST(cancel_waits_for_who_follows)
{
    for (int leaves = 0; leaves < 2; leaves++) {
        struct runner *r = runner(leaves ? 60000 : 200);
        struct execution *x = start(r, ARGS("echo words; kill $$"), 0);
        CHECK_OR(x);
        r->stays = true;
        exec_cancel(r->all, x, on_cancelled, r);
        CHECK_INT(loop_run_until(r->l, has_ended, r, loop_now_us(r->l) + 30000000), 0);
        CHECK(!r->cancelled && exec_find(r->all, S("x")) == x);
        if (leaves) exec_unwatch(x, &r->w);
        CHECK_INT(loop_run_until(r->l, is_cancelled, r, loop_now_us(r->l) + 30000000), 0);
        CHECK(!exec_find(r->all, S("x")));
        runner_free(r);
    }
}

TEST(a_second_execute_of_an_id_is_refused)
{
    struct runner *r = runner(200);
    CHECK(run(r, ARGS("true", "x")));
    struct str args[] = { S("true") };
    struct kr_err e = { 0 };
    struct exec_request q = { .id = S("x"), .args = { args, 1 } };
    CHECK(exec_start(r->all, &q, &e) < 0 && e.code == KR_EXISTS);
    CHECK(!exec_forget(r->all, exec_find(r->all, S("x")), &e));
    CHECK(!exec_start(r->all, &q, &e));
    runner_free(r);
}

TEST(the_environment_is_the_request_s_over_ours)
{
    struct runner *r = runner(200);
    setenv("KR_SECRET", "s", 1);
    setenv("SHARED", "server", 1);
    setenv("KEPT", "kept", 1);
    struct str args[] = { S("echo $SHARED $KEPT ${KR_SECRET:-none} $TWICE") };
    struct { struct str key, value; } env[] = { { S("SHARED"), S("run") }, { S("TWICE"), S("first") }, { S("TWICE"), S("last") } };
    struct exec_request q = { .id = S("x"), .args = { args, 1 }, .env = (const void *)env, .nenv = LEN(env) };
    struct kr_err e = { 0 };
    CHECK_OR(!exec_start(r->all, &q, &e));
    exec_watch(exec_find(r->all, S("x")), &r->w);
    CHECK_INT(loop_run_until(r->l, has_ended, r, loop_now_us(r->l) + 30000000), 0);
    CHECK_STR(text(exec_find(r->all, S("x")), 1), S("run kept none last\n"));
    q.id = S("y");
    env[0].key = S("A=B");
    CHECK(exec_start(r->all, &q, &e) < 0 && e.code == KR_INVALID);
    runner_free(r);
}

TEST(a_timeout_ends_it)
{
    struct runner *r = runner(200);
    struct execution *x = start(r, ARGS(with_sleep("SLEEP & SLEEP")), 1);
    CHECK_OR(x);
    CHECK_INT(loop_run_until(r->l, has_ended, r, loop_now_us(r->l) + 30000000), 0);
    CHECK_STR(exec_error(x), S("Timeout: not done in time"));
    CHECK(exec_state(x) == EXEC_FAILED && !alive());
    runner_free(r);
}

TEST(arguments_the_kernel_refuses_are_a_clean_end)
{
    struct runner *r = runner(200);
    char *big = xcalloc(1, 200001);
    memset(big, 'x', 200000);
    struct execution *x = run(r, ARGS("true", big));
    if (CHECK(x)) CHECK_STR(exec_error(x), S("TooLarge: arguments and environment are more than the kernel takes"));
    free(big);
    runner_free(r);
}

/* Runs it, gives back what it printed as a number, and forgets it. */
static long printed(struct runner *r, const char *script)
{
    struct kr_err e;
    struct execution *x = run(r, ARGS(script));
    if (!CHECK(x && exec_state(x) == EXEC_SUCCEEDED)) return -1;
    long n = strtol(text(x, 1).p, NULL, 10);
    CHECK(!exec_forget(r->all, x, &e));
    r->ended = false;
    return n;
}

TEST(a_shim_serves_one_execution_after_another)
{
    struct runner *r = runner(200);
    struct kr_err e;
    long shim = printed(r, "echo $PPID");
    CHECK_INT(printed(r, "SLEEP & echo $PPID"), shim);
    CHECK(!alive());
    char *big = xcalloc(1, 70001), *script = xcalloc(1, 70100);
    memset(big, '#', 70000);
    snprintf(script, 70100, "echo $PPID %s", big);
    CHECK(printed(r, script) != shim);                   /* larger than an order may be: a shim of its own */

    kill((pid_t)shim, SIGTERM);                          /* of a stranger: neither the shim's end nor that of what it executes */
    for (int i = 0; i < 3; i++) CHECK(printed(r, "echo $PPID") > 0);

    /* one that was killed is replaced, and its execution ends */
    struct execution *x = run(r, ARGS("kill -9 $PPID; exec sleep 60"));
    if (CHECK(x)) CHECK_STR(exec_error(x), S("Signalled: the process that watched over the command was killed"));
    CHECK(x && !exec_forget(r->all, x, &e));
    r->ended = false;
    CHECK(printed(r, "echo $PPID") > 0);
    free(big);
    free(script);
    runner_free(r);
}

/* However late it looks at its order: it is stopped while Execute and Cancel come. An end that comes twice crosses its report, and
 * is not for the next execution. */
TEST(a_shim_is_told_to_end_what_it_has_not_begun)
{
    struct runner *r = runner(200);
    long shim = printed(r, "echo $PPID");
    kill((pid_t)shim, SIGSTOP);
    struct execution *x = start(r, ARGS(with_sleep("SLEEP & SLEEP")), 0);
    CHECK_OR(x);
    exec_cancel(r->all, x, NULL, NULL);
    exec_cancel(r->all, x, on_cancelled, r);
    kill((pid_t)shim, SIGCONT);
    CHECK_INT(loop_run_until(r->l, is_cancelled, r, loop_now_us(r->l) + 30000000), 0);
    r->ended = false;
    CHECK(!alive());
    CHECK_INT(printed(r, "echo $PPID"), shim);
    runner_free(r);
}

TEST(a_server_that_is_killed_takes_everything_along)
{
    int told[2];
    long shim = 0;
    CHECK_OR(!pipe(told));
    pid_t server = fork();
    if (server == 0) {
        struct runner *r = runner(200);
        shim = printed(r, "echo $PPID");
        start(r, ARGS(with_sleep("setsid SLEEP & SLEEP")), 0);
        (void)!write(told[1], &shim, sizeof shim);
        kill(getpid(), SIGKILL);
    }
    CHECK(read(told[0], &shim, sizeof shim) == sizeof shim && shim > 0);
    CHECK_INT(waitpid(server, NULL, 0), server);
    struct pollfd gone = { .fd = (int)syscall(SYS_pidfd_open, shim, 0), .events = POLLIN };
    if (gone.fd >= 0) {
        CHECK_INT(poll(&gone, 1, 30000), 1);
        close(gone.fd);
    }
    CHECK(!alive());
    close(told[0]);
    close(told[1]);
}

/* ---- kills by the kernel ---- */
TEST(kills_for_want_of_memory_are_counted_where_the_cgroup_tells)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    CHECK_INT(oom_count(S("low 0\nhigh 0\nmax 3\noom 2\noom_kill 7\noom_group_kill 0\n")), 7);
    CHECK_INT(oom_count(S("oom_kill_disable 0\nunder_oom 0\noom_kill 12\n")), 12);
    CHECK_INT(oom_count(S("oom_kill_disable 0\nunder_oom 0\n")), -1);
    CHECK_INT(oom_count(S("oom_kill many\n")), -1);
    CHECK_INT(oom_count(S("")), -1);
    struct str both = S("9:name=systemd:/\n4:memory:/pods/x\n0::/unified/x\n");
    CHECK_STR(oom_file(both, true, &a), S("/sys/fs/cgroup/unified/x/memory.events"));
    CHECK_STR(oom_file(both, false, &a), S("/sys/fs/cgroup/memory/pods/x/memory.oom_control"));
    CHECK(!oom_file(S("0::/\n"), false, &a).p && !oom_file(S(""), true, &a).p);
    int64_t before = oom_kills();
    CHECK(before >= 0 && oom_kills() >= before);
}
