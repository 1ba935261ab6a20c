/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mirror: one folder for each URL below the mirrors' folder, with up to two bare repositories:
 *
 *   HASH.lock   two locks, USE and FETCH; its time tells when it was used last
 *   HASH/tip    single commits without their history, as servers give them away
 *   HASH/all    everything, once a server wouldn't give a single commit
 *
 * A commit that is in either needs no fetch, and by its whole number not even a connection. What is half written by a process
 * that was killed is never referred to: packs appear whole, by rename. So one may fetch while others lay out what is there: only
 * who fetches waits, for another that does. A mirror that proves damaged is thrown away.
 * Tests: tests/local/git.py.
 */
#include "applets/git_fetch/fetch.h"
#include "core/digest.h"
#include "core/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <git2/sys/errors.h>
#include <git2/sys/remote.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TIP, ALL };
/* Bytes of a lock file. USE is shared by whoever uses the mirror, and held alone to take something away from it. FETCH is taken
 * before it, and given back when the commit is there. */
enum { USE, FETCH };
enum { KEPT_REFS = 8, DEPTH_ONE = 1, DEPTH_MAX = 8 };          /* few: with each fetch the server is told them all */

int git_failed(const struct fetch *f, struct kr_err *e, const char *what)
{
    if (f->wire && wire_failed(f->wire, e))
        return -1;
    const git_error *g = git_error_last();
    char text[256];
    size_t n = 0;
    for (const char *p = g && g->message ? g->message : "no reason is known"; *p && n < sizeof text - 1; p++)
        text[n++] = *p < ' ' || *p > '~' ? ' ' : *p;
    return kr_fail(e, KR_PROTOCOL, "%s: %.*s", what, SFMT(str_trim((struct str){ text, n })));
}

/* ---- the folder -------------------------------------------------------------------------------------------------- */

static bool is_lock(const struct dirent *d) { return str_ends(str_of(d->d_name), S(".lock")); }

/* By their sizes, whatever lies there. */
static uint64_t bytes_in(int dir, const char *name, int depth)
{
    uint64_t sum = 0;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *x; d && (x = readdir(d));) {
        struct stat st;
        if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, "..") || fstatat(fd, x->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        sum += S_ISDIR(st.st_mode) && depth < DEPTH_MAX ? bytes_in(fd, x->d_name, depth + 1) : (uint64_t)st.st_size;
    }
    if (d)
        closedir(d);
    else
        kr_closep(&fd);
    return sum;
}

struct mirrors { int n; uint64_t bytes; char oldest[256]; };

static struct mirrors look_at(const char *mirrors)
{
    struct mirrors m = { 0 };
    struct timespec when = { 0 };
    DIR *d = opendir(mirrors);
    for (struct dirent *x; d && (x = readdir(d));) {
        struct stat st;
        char folder[256];
        if (!is_lock(x) || fstatat(dirfd(d), x->d_name, &st, 0) < 0)
            continue;
        m.n++;
        snprintf(folder, sizeof folder, "%.*s", (int)strlen(x->d_name) - 5, x->d_name);
        m.bytes += bytes_in(dirfd(d), folder, 0);
        if (!*m.oldest || st.st_mtim.tv_sec < when.tv_sec || (st.st_mtim.tv_sec == when.tv_sec && st.st_mtim.tv_nsec < when.tv_nsec)) {
            snprintf(m.oldest, sizeof m.oldest, "%s", x->d_name);
            when = st.st_mtim;
        }
    }
    if (d)
        closedir(d);
    return m;
}

/* type: F_RDLCK, F_WRLCK or F_UNLCK. The lock is the open file's: it goes when that is closed. */
static bool lock_byte(int fd, off_t byte, short type, bool wait)
{
    struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
    int rc;
    do rc = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l);
    while (rc < 0 && errno == EINTR);
    return rc == 0;
}

/* Those not used for longest go until there is room for one more; one that is in use stays. */
static void evict(const char *mirrors)
{
    for (int tries = 0; tries < 64; tries++) {
        AUTO_ARENA struct arena a = { .limit = 65536 };
        struct kr_err ignored = { 0 };
        struct mirrors m = look_at(mirrors);
        if (!m.n || (m.n < LIMIT_GIT_MIRRORS && m.bytes <= (uint64_t)LIMIT_GIT_MIRROR_BYTES))
            return;
        const char *lock = fs_join(&a, mirrors, m.oldest);
        AUTO_CLOSE int fd = open(lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || !lock_byte(fd, USE, F_WRLCK, false))
            return;
        m.oldest[strlen(m.oldest) - 5] = '\0';
        fs_remove_tree(fs_join(&a, mirrors, m.oldest), &ignored);
        unlink(lock);
    }
}

/* Takes the locks, and looks whether the file is still the one of that name: it may have been evicted meanwhile. */
static int take_locks(struct fetch *f, bool fetch, struct kr_err *e)
{
    char path[4300];
    struct stat held, named;
    snprintf(path, sizeof path, "%s.lock", f->dir);
    for (int i = 0; i < 100; i++) {
        f->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (f->lock < 0 || (fetch && !lock_byte(f->lock, FETCH, F_WRLCK, true)) || !lock_byte(f->lock, USE, F_RDLCK, true))
            return kr_fail_sys(e, KR_SYSTEM, errno, "lock \"%s\"", path);
        if (fstat(f->lock, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino) {
            futimens(f->lock, NULL);
            return 0;
        }
        close(TAKE_FD(f->lock));
    }
    return kr_fail(e, KR_SYSTEM, "the lock of the mirror \"%s\" vanishes again and again", path);
}

static int count_packs(const char *repo)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    int n = 0;
    DIR *d = opendir(fs_join(&a, repo, "objects/pack"));
    for (struct dirent *x; d && (x = readdir(d));)
        n += str_ends(str_of(x->d_name), S(".pack"));
    if (d)
        closedir(d);
    return n;
}

static const char *repo_path(const struct fetch *f, int which, struct arena *a) { return fs_join(a, f->dir, which == ALL ? "all" : "tip"); }

/* Who fetches may, while nobody uses the mirror. wait false: where somebody does, it stays. */
static int remove_alone(struct fetch *f, const char *path, bool wait, struct kr_err *e)
{
    if (!lock_byte(f->lock, USE, F_WRLCK, wait))
        return wait ? kr_fail_sys(e, KR_SYSTEM, errno, "lock \"%s\"", f->dir) : 0;
    int rc = fs_remove_tree(path, e);
    lock_byte(f->lock, USE, F_RDLCK, false);
    return rc;
}

static int remove_full(struct fetch *f, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    int rc = 0;
    for (int i = TIP; rc == 0 && i <= ALL; i++)
        if (count_packs(repo_path(f, i, &a)) >= LIMIT_GIT_MIRROR_PACKS)
            rc = remove_alone(f, repo_path(f, i, &a), false, e);
    return rc;
}

/* make false: only what is there already. */
static git_repository *open_repo(struct fetch *f, int which, bool make, struct kr_err *e)
{
    AUTO_ARENA struct arena a = { .limit = 65536 };
    git_repository_init_options o = GIT_REPOSITORY_INIT_OPTIONS_INIT;
    const char *path = repo_path(f, which, &a);
    if (f->open[which])
        return f->open[which];
    if (fs_exists(path) && git_repository_open_ext(&f->open[which], path, GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_BARE, NULL) == 0) {
        f->old = true;
        return f->open[which];
    }
    if (!make || fs_remove_tree(path, e) < 0)
        return NULL;
    o.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKPATH | GIT_REPOSITORY_INIT_NO_REINIT;
    o.initial_head = "none";
    if (git_repository_init_ext(&f->open[which], path, &o) < 0)
        git_failed(f, e, "make a mirror");
    return f->open[which];
}

static void close_repos(struct fetch *f)
{
    for (size_t i = 0; i < LEN(f->open); i++)
        git_repository_free(TAKE(f->open[i]));
    f->repo = NULL;
}

/* ---- what is there ----------------------------------------------------------------------------------------------- */

/* The commit that this object is, or that this tag is of. */
static bool has_commit(struct fetch *f, git_repository *repo, const git_oid *oid)
{
    git_object *o = NULL, *commit = NULL;
    bool ok = git_object_lookup(&o, repo, oid, GIT_OBJECT_ANY) == 0 && git_object_peel(&commit, o, GIT_OBJECT_COMMIT) == 0;
    if (ok) {
        f->commit = *git_object_id(commit);
        f->repo = repo;
    }
    git_object_free(commit);
    git_object_free(o);
    return ok;
}

static bool is_there(struct fetch *f, const git_oid *oid)
{
    struct kr_err ignored = { 0 };
    for (int i = TIP; i <= ALL; i++) {
        git_repository *repo = open_repo(f, i, false, &ignored);
        if (repo && has_commit(f, repo, oid))
            return true;
    }
    return false;
}

/* ---- the fetch --------------------------------------------------------------------------------------------------- */

/* With each object: also while deltas are put together, when no byte is waited for. */
static int count_objects(const git_indexer_progress *p, void *ctx)
{
    const struct fetch *f = ctx;
    bool late = clock_system.mono_us(&clock_system) > f->deadline_us;
    if (p->total_objects <= LIMIT_GIT_OBJECTS && !late)
        return 0;
    git_error_set_str(GIT_ERROR_NET, late ? "the fetch took longer than git.timeoutSeconds" : "the repository has too many objects");
    return -1;
}

static git_remote_callbacks callbacks(struct fetch *f)
{
    git_remote_callbacks c = GIT_REMOTE_CALLBACKS_INIT;
    c.transport = transport_new;
    c.transfer_progress = count_objects;
    c.payload = f;
    return c;
}

static int fetch_specs(struct fetch *f, git_remote *r, const char *const *specs, size_t n, int depth)
{
    git_fetch_options o = GIT_FETCH_OPTIONS_INIT;
    o.callbacks = callbacks(f);
    o.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
    o.update_fetchhead = 0;
    o.depth = depth;
    return git_remote_fetch(r, &(git_strarray){ (char **)specs, n }, &o, NULL);
}

struct server { git_remote *remote; const git_remote_head **heads; size_t nheads; };

static int connect_server(struct fetch *f, git_repository *repo, struct server *s, struct kr_err *e)
{
    git_remote_callbacks c = callbacks(f);
    if (git_remote_create_anonymous(&s->remote, repo, f->url.p) < 0 || git_remote_connect(s->remote, GIT_DIRECTION_FETCH, &c, NULL, NULL) < 0 ||
        git_remote_ls(&s->heads, &s->nheads, s->remote) < 0)
        return git_failed(f, e, "the server's answer");
    return 0;
}

/* One commit without its history. false: the server doesn't give it so. */
static bool fetch_tip(struct fetch *f, const struct server *s, const struct ref_found *want)
{
    char oid[GIT_OID_SHA1_HEXSIZE + 1], spec[400];
    const char *specs[] = { spec };
    git_oid_tostr(oid, sizeof oid, &want->oid);
    snprintf(spec, sizeof spec, "+%s:refs/keep/%u", want->name ? want->name : oid, want->oid.id[0] % KEPT_REFS);
    return fetch_specs(f, s->remote, specs, 1, DEPTH_ONE) == 0 && has_commit(f, f->open[TIP], &want->oid);
}

static int fetch_all(struct fetch *f, struct kr_err *e)
{
    static const char *const specs[] = { "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*" };
    struct server s = { 0 };
    git_repository *repo = open_repo(f, ALL, true, e);
    int rc = repo ? connect_server(f, repo, &s, e) : -1;
    if (rc == 0 && fetch_specs(f, s.remote, specs, LEN(specs), GIT_FETCH_DEPTH_FULL) < 0)
        rc = git_failed(f, e, "the fetch");
    git_remote_free(s.remote);
    return rc;
}

/* In what was fetched whole. */
static int find_in_all(struct fetch *f, struct ref_found *want, struct kr_err *e)
{
    git_object *o = NULL;
    git_oid prefix;
    int rc = 0;
    if (want->kind == REF_SHORT) {
        rc = git_oid_fromstrn(&prefix, f->ref.p, f->ref.n);
        if (rc == 0)
            rc = git_object_lookup_prefix(&o, f->open[ALL], &prefix, f->ref.n, GIT_OBJECT_COMMIT);
        if (rc == 0)
            want->oid = *git_object_id(o);
        git_object_free(o);
    }
    if (rc == GIT_EAMBIGUOUS)
        return kr_fail(e, KR_INVALID, "several commits begin with \"%.*s\": write more of it", SFMT(f->ref));
    if (rc == 0 && has_commit(f, f->open[ALL], &want->oid))
        return 0;
    return kr_fail(e, KR_NOT_FOUND, "no branch or tag leads to a commit \"%.*s\"", SFMT(f->ref));
}

static int not_found(const struct fetch *f, const struct server *s, struct kr_err *e)
{
    return kr_fail(e, KR_NOT_FOUND, s->nheads ? "the repository has no branch, tag or commit \"%.*s\"" : "the repository is empty: it has no \"%.*s\"",
                   SFMT(f->ref.n ? f->ref : S("HEAD")));
}

/* 1: it is there; 0: only a fetch of everything can tell; -1. */
static int try_tip(struct fetch *f, struct ref_found *want, struct kr_err *e)
{
    struct server s = { 0 };
    git_repository *repo = open_repo(f, TIP, true, e);
    int rc = repo ? connect_server(f, repo, &s, e) : -1;
    if (rc == 0) {
        *want = ref_find(f->ref, s.heads, s.nheads);
        if (want->kind == REF_NONE)
            rc = not_found(f, &s, e);
        else if (want->kind != REF_SHORT)
            rc = is_there(f, &want->oid) || fetch_tip(f, &s, want);
        want->name = NULL;                        /* it goes with the connection */
    }
    git_remote_free(s.remote);
    return rc == 0 && wire_failed(f->wire, e) ? -1 : rc;
}

static int fetch_wanted(struct fetch *f, struct kr_err *e)
{
    struct ref_found want = { 0 };
    int rc = try_tip(f, &want, e);
    if (rc == 0)
        return fetch_all(f, e) < 0 ? -1 : find_in_all(f, &want, e);
    return rc < 0 ? -1 : 0;
}

int mirror_get(struct fetch *f, bool fresh, struct kr_err *e)
{
    char hash[DIGEST_TEXT];
    struct ref_found want = ref_find(f->ref, NULL, 0);
    digest_sha256_text(f->url, hash);
    snprintf(f->dir, sizeof f->dir, "%s/%.32s", f->mirrors, hash);
    if (!fresh) {
        evict(f->mirrors);
        if (take_locks(f, false, e) < 0)
            return -1;
        if (want.kind == REF_COMMIT && is_there(f, &want.oid)) {
            fetch_begins(f);
            return 0;
        }
    }
    mirror_close(f);                              /* who waits for FETCH keeps nobody from taking the mirror away */
    if (take_locks(f, true, e) < 0)
        return -1;
    fetch_begins(f);
    if ((fresh && remove_alone(f, f->dir, true, e) < 0) || remove_full(f, e) < 0 || fs_make_dir(f->dir, 0700, e) < 0)
        return -1;
    int rc = want.kind == REF_COMMIT && is_there(f, &want.oid) ? 0 : fetch_wanted(f, e);
    lock_byte(f->lock, FETCH, F_UNLCK, false);
    return rc;
}

void mirror_close(struct fetch *f)
{
    close_repos(f);
    if (f->lock >= 0)
        close(TAKE_FD(f->lock));
}
