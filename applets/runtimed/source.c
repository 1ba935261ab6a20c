/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source: a Git source is fetched by a process of its own (git-fetch), which gets the workspace's folder as a descriptor and
 * tells when its time begins to count and how it went (git_fetch/main.c). It has a group, limits and a deadline, dies with us, and
 * is killed when the Run is stopped. Tests: tests/local/git.py.
 */
#include "applets/runtimed/runtimed.h"
#include "core/failpoint.h"
#include "core/log.h"
#include "core/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* TURNS: others from there may fetch before us, each for all of its time: no more, as a server that is down isn't waited for in a row. */
enum { ANSWER_MAX = 2048, TURNS = 10, LATE_US = 2000000, INTO_FD = 3, FILES_MAX = 256, CPU_MORE_S = 5 };

struct source {
    struct task *t;                               /* NULL: nobody waits any more */
    struct child child;
    struct fdsrc answer;
    char text[ANSWER_MAX]; size_t n;              /* what it has said */
    struct timer late;
    bool begun, too_late;
};

static void source_free(struct source *s, struct loop *loop)
{
    loop_timer_stop(loop, &s->late);
    loop_unwatch(loop, &s->answer);
    close(s->answer.fd);
    if (s->t)
        s->t->source = NULL;
    free(s);
}

/* False at its end. */
static bool listen_to(struct source *s)
{
    ptrdiff_t n = read(s->answer.fd, s->text + s->n, sizeof s->text - s->n);
    s->n += n > 0 ? (size_t)n : 0;
    s->begun = str_starts((struct str){ s->text, s->n }, S("begun\n"));
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void tells(struct loop *loop, struct fdsrc *src, unsigned got)
{
    (void)got;
    struct source *s = container_of(src, struct source, answer);
    bool had_begun = s->begun;
    if (!listen_to(s))
        loop_unwatch(loop, src);
    if (s->t && s->begun && !had_begun)           /* its own deadline has the better message */
        loop_timer_in(loop, &s->late, s->t->d->git.timeout_s * 1000000 + LATE_US);
}

/* What it says, or how it ended when it says nothing. */
static bool understand(struct source *s, int status, char commit[65], struct kr_err *e)
{
    char how[48];
    listen_to(s);
    struct str text = str_from((struct str){ s->text, s->n }, s->begun ? strlen("begun\n") : 0), word = str_cut(&text, ' ');
    text = str_trim(text);
    text.n = str_utf8_prefix(text);
    if (s->too_late && !s->begun)
        kr_fail(e, KR_DEADLINE, "others were fetching from there, for %d times git.timeoutSeconds: %lld", TURNS, (long long)s->t->d->git.timeout_s);
    else if (s->too_late)
        kr_fail(e, KR_DEADLINE, "the fetch took longer than git.timeoutSeconds: %lld", (long long)s->t->d->git.timeout_s);
    else if (str_is(word, "ok") && text.n > 0 && text.n < 65)
        snprintf(commit, 65, "%.*s", SFMT(text));
    else if (str_is(word, "error"))
        kr_fail(e, KR_INVALID, "%.*s", SFMT(text));
    else
        kr_fail(e, KR_SYSTEM, "the process that fetches ended with %.*s: it may have reached its limit of memory, processor time or file size",
                SFMT(proc_status_text(status, how)));
    return !e->code;
}

static void ended(struct loop *loop, struct child *child, int status)
{
    struct source *s = container_of(child, struct source, child);
    struct task *t = s->t;
    struct kr_err e = { 0 };
    bool ok = t && understand(s, status, t->commit, &e);
    source_free(s, loop);
    if (!t)
        return;
    if (t->stop)
        task_stopped(t);
    else if (ok)
        task_prepared(t);
    else {
        kr_wrap(&e, "source.repoURL");
        task_refused(t, "PrepareSource", str_of(e.msg));
    }
}

static void is_late(struct loop *loop, struct timer *timer)
{
    (void)loop;
    struct source *s = container_of(timer, struct source, late);
    s->too_late = true;
    kill(-s->child.pid, SIGKILL);
}

static int start(struct source *s, int work, int answer, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    struct runtimed *d = s->t->d;
    const struct run_source *from = &s->t->run->spec.source;
    const char *ca = getenv("SSL_CERT_FILE"), *argv[9] = { "kruntimes", "git-fetch" }, *envp[2] = { ca ? arena_fmt(&a, "SSL_CERT_FILE=%s", ca).p : NULL };
    size_t n = 2;
    argv[n++] = arena_fmt(&a, "--url=%.*s", SFMT(from->repo_url)).p;
    argv[n++] = arena_fmt(&a, "--ref=%.*s", SFMT(from->commit_sha)).p;
    argv[n++] = arena_fmt(&a, "--mirrors=%s/git", d->state).p;
    argv[n++] = arena_fmt(&a, "--timeout=%llds", (long long)d->git.timeout_s).p;
    if (d->git.secret)
        argv[n++] = arena_fmt(&a, "--secret=%s", d->git.secret).p;
    if (d->git.allow_private)
        argv[n++] = "--allow-private";
    struct proc_limit limits[] = { { RLIMIT_CORE, 0, 0 }, { RLIMIT_NOFILE, FILES_MAX, FILES_MAX }, { RLIMIT_FSIZE, LIMIT_GIT_BYTES, LIMIT_GIT_BYTES },
                                   { RLIMIT_CPU, (uint64_t)d->git.timeout_s + CPU_MORE_S, (uint64_t)d->git.timeout_s + CPU_MORE_S },
                                   { RLIMIT_DATA, LIMIT_GIT_MEMORY, LIMIT_GIT_MEMORY } };
    struct proc_fd fds[] = { { work, INTO_FD } };
    struct proc_spec spec = { .argv = argv, .envp = envp, .program = "/proc/self/exe", .dir = "/", .in = -1, .out = answer, .err = 2, .fds = fds,
                              .nfds = LEN(fds), .limits = limits, .nlimits = LEN(limits), .new_session = true, .no_new_privs = true, .death_signal = SIGKILL };
#ifdef __SANITIZE_ADDRESS__
    spec.nlimits--;                               /* its shadow memory alone is larger */
#endif
    return KR_FAILPOINTS_AROUND("runtimed.fetch-source.fork", proc_spawn(&spec, &s->child.pid, e)) < 0 || loop_child(d->loop, &s->child, e) < 0 ? -1 : 0;
}

int source_begin(struct task *t, int work, struct kr_err *e)
{
    int pipe_fds[2];
    struct source *s = xcalloc(1, sizeof *s);
    if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0) {
        free(s);
        return kr_fail_sys(e, KR_SYSTEM, errno, "make a pipe");
    }
    *s = (struct source){ .t = t, .child.ended = ended, .answer = { .fd = pipe_fds[0], .ready = tells }, .late.fire = is_late };
    AUTO_CLOSE int answer = pipe_fds[1];
    if (start(s, work, answer, e) < 0) {
        s->t = NULL;
        source_free(s, t->d->loop);
        return kr_wrap(e, "source.repoURL");
    }
    t->source = s;
    loop_watch(t->d->loop, &s->answer, LOOP_IN);
    loop_timer_in(t->d->loop, &s->late, TURNS * t->d->git.timeout_s * 1000000);
    return 0;
}

void source_stop(struct task *t) { kill(-t->source->child.pid, SIGKILL); }

void source_forget(struct task *t)
{
    if (!t->source)
        return;
    kill(-t->source->child.pid, SIGKILL);
    TAKE(t->source)->t = NULL;                    /* reaped when it has ended */
}
